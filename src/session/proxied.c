/*
 * proxied.c - where clients come from: through load balancers, and for servers that are told; see
 * inside.h.
 *
 * A load balancer writes its header at once; an ordinary client waits for the greeting.  Who comes
 * from a trusted network may be either (health checks are ordinary clients), so the greeting goes out
 * first, and what comes back tells: the first bytes of a header can't be those of a login.
 */
#include "session/inside.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

/* The connection's own address is a load balancer's. */
static bool is_trusted(const struct session *s)
{
    const struct listener_config *l = session_listener(s);
    struct ends ends;
    if (l == NULL || l->n_proxies == 0 || !ends_of_socket(stream_fd(&s->client), &ends))
        return false;
    for (unsigned i = 0; i < l->n_proxies; i++)
        if (network_has(&l->proxies[i], &ends.from))
            return true;
    return false;
}

static bool refused(const struct session *s, struct fault *why)
{
    char host[ADDRESS_TEXT_BYTES];
    session_host(s, host);
    if (why->code == 0)
        fault_set(why, BLAME_POLICY, ER_HANDSHAKE_ERROR, "volvox: no PROXY header is expected from %s",
                  host);
    log_info("PROXY header refused", "session=%u host=%s why=%s", s->id, host,
             log_quote(bytes_str(why->text)));
    return false;
}

/* Without one `header` stays as it is. */
static bool read_header(struct task *t, struct session *s, double deadline,
                        struct proxy_header *header, struct fault *why)
{
    struct stream *in = &s->client;
    size_t need = FRAME_HEADER;
    while (stream_need(t, in, need, deadline, why)) {
        if (!proxy_header_begins(buf_head(&in->in)))
            return true;
        if (need == FRAME_HEADER && !is_trusted(s))
            return refused(s, why);
        if (proxy_header_read(buf_bytes(&in->in), header, &need, why)) {
            buf_skip(&in->in, header->wire_len);
            return true;
        }
        if (need == 0)
            return refused(s, why);
    }
    why->blame = BLAME_CLIENT;    /* also for being too slow: servers close without a word */
    why->code = 0;
    return false;
}

static void keep(struct session *s, const struct ends *ends)
{
    struct session_more *more = session_more(s);
    must(more->ends == NULL);
    more->ends = mem_alloc(sizeof *ends);
    *more->ends = *ends;
}

bool proxied_read(struct task *t, struct session *s, double deadline, struct fault *why)
{
    struct proxy_header header = { .family = PROXY_UNKNOWN };
    struct ends ends;
    if (!read_header(t, s, deadline, &header, why))
        return false;
    s->client.passed_on = ends_from_header(&header, &ends);
    if (s->client.passed_on)
        keep(s, &ends);
    return true;
}

/* As the header says, else as the socket does. */
static const struct ends *ends_of(struct session *s)
{
    struct ends ends;
    if (s->more == NULL || s->more->ends == NULL) {
        /* of a client that has just left nobody needs to know */
        if (!ends_of_socket(stream_fd(&s->client), &ends))
            ends = (struct ends){ .from = { .len = sizeof(sa_family_t), .any.sa_family = AF_UNIX } };
        keep(s, &ends);
    }
    return s->more->ends;
}

const struct ends *session_ends_for(struct session *s, const struct server *server)
{
    bool is_told =
        atomic_load_explicit(&server->proxy_protocol, memory_order_relaxed) != PROXY_OFF;
    return is_told ? ends_of(s) : NULL;
}

struct bytes session_told_ip(struct session *s, const struct user_config *u)
{
    const struct config *c = s->config;
    unsigned group = session_group_index(s, u);
    for (unsigned i = 0; i < c->n_servers; i++)
        if (c->servers[i].group == group && c->servers[i].proxy_protocol != PROXY_OFF)
            return address_ip(&ends_of(s)->from);
    return BYTES_NONE;
}

void session_ends_forget(struct session *s)
{
    if (s->more == NULL)
        return;
    mem_free(s->more->ends);
    s->more->ends = NULL;
}

void session_address(const struct session *s, struct address *out)
{
    *out = (struct address){ .len = sizeof out->un };
    if (s->more != NULL && s->more->ends != NULL)
        *out = s->more->ends->from;
    else if (getpeername(stream_fd(&s->client), &out->any, &out->len) != 0)
        out->len = 0;
    else
        address_unmap(out);
}

void session_host(const struct session *s, char out[ADDRESS_TEXT_BYTES])
{
    struct address a;
    session_address(s, &a);
    if (a.len == 0)
        str_copy(out, ADDRESS_TEXT_BYTES, BYTES_LITERAL("?"));
    else
        address_print(&a, false, out);
}

void session_through(const struct session *s, char out[ADDRESS_TEXT_BYTES])
{
    struct ends ends;
    out[0] = '\0';
    if (s->client.passed_on && ends_of_socket(stream_fd(&s->client), &ends))
        address_print(&ends.from, false, out);
}
