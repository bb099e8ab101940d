/* report.c - what operators see of sessions, and how they end them; see session.h. */
#include "session/inside.h"

#include "base/str.h"

static const char *phase_name(const struct session *s)
{
    static const char *const names[] = {
        [SESSION_LOGIN] = "login", [SESSION_IDLE] = "idle", [SESSION_BUSY] = "busy",
        [SESSION_CLOSING] = "closing",
    };
    return s->is_paused ? "paused" : names[s->phase];
}

static void copy_session(const struct session *s, struct session_row *row, uint64_t now_us)
{
    const struct config *c = s->config;
    char host[ADDRESS_TEXT_BYTES], through[ADDRESS_TEXT_BYTES];
    *row = (struct session_row){
        .id = s->id,
        .worker = (unsigned)worker_index(session_worker(s)),
        .phase = phase_name(s),
        .command = command_name(s->code),
        .since_us = now_us - s->since_us,
        .digest = s->digest,
        .pins = s->pins,
        .commands = s->commands,
        .bytes_in = s->client.received,
        .bytes_out = s->client.sent,
        .compression = stream_compression(&s->client),
    };
    session_host(s, host);
    session_through(s, through);
    str_copy(row->host, sizeof row->host, bytes_str(host));
    struct tls_facts tls;
    if (stream_tls(&s->client, &tls)) {
        str_copy(row->tls, sizeof row->tls, bytes_str(tls.version));
        str_copy(row->cipher, sizeof row->cipher, bytes_str(tls.cipher));
    }
    str_copy(row->through, sizeof row->through, bytes_str(through));
    if (s->state != NULL)
        str_copy(row->schema, sizeof row->schema, s->state->schema);
    if (s->user != NULL) {
        unsigned group = session_group_index(s, s->user);
        str_copy(row->user, sizeof row->user, bytes_str(s->account->name));
        if (group < c->n_groups)
            str_copy(row->group, sizeof row->group, bytes_str(c->groups[group].name));
    }
    if (s->lease != NULL) {
        str_copy(row->server, sizeof row->server, bytes_str(s->lease->server->name));
        row->server_thread = s->lease->thread_id;
    }
}

/* Bookmarks stand in the same list, so that sessions may come and go behind and before them. */
static bool is_bookmark(const struct list *link)
{
    return link->next != NULL && container_of(link, struct session, all)->home == NULL;
}

void sessions_copy_drop(struct worker *w, struct session_bookmark *mark)
{
    (void)w;
    list_leave(&mark->place.all);
}

size_t sessions_copy(struct worker *w, struct session_bookmark *mark, struct session_row *rows,
                     size_t max)
{
    struct sessions *ss = worker_sessions(w);
    uint64_t now_us = worker_now_us(w);
    struct list *at = list_linked(&mark->place.all) ? mark->place.all.next : ss->all.next;
    size_t n = 0;
    list_leave(&mark->place.all);
    if (mark->at_end) {
        mark->at_end = false;
        return 0;
    }
    while (at != &ss->all && n < max) {
        if (!is_bookmark(at))
            copy_session(list_entry(at, struct session, all), &rows[n++], now_us);
        at = at->next;
    }
    mark->at_end = at == &ss->all && n > 0;
    if (at != &ss->all)
        list_insert(&mark->place.all, at->prev, at);
    return n;
}

bool session_kill(struct worker *w, uint32_t id, bool query_only)
{
    struct session *s = id_find(worker_sessions(w), id);
    if (s == NULL || s->phase == SESSION_CLOSING)
        return false;
    if (query_only)
        return session_interrupt(s);
    session_dismiss(s, ER_CONNECTION_KILLED, "Connection was killed");
    return true;
}
