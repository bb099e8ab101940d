/*
 * address.c - parse, resolve, print and compare socket addresses.
 */
#include "net/net.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>

/* "host:port" taken apart; brackets are gone. */
struct host_port {
    char host[ADDRESS_HOST_BYTES];
    uint16_t port;
    bool in_brackets;
};

static bool nonsense(struct bytes text, const char *complaint, struct fault *why)
{
    struct bytes shown = { text.data, MIN(text.len, (size_t)100) };
    return fault_set(why, BLAME_OURS, 0, "address '%.*s' %s", BYTES_FMT(shown), complaint);
}

static bool parse_unix(struct bytes path, struct address *out, struct fault *why)
{
    if (path.len >= sizeof out->un.sun_path)
        return nonsense(path, "is too long for a socket file", why);
    if (memchr(path.data, 0, path.len) != NULL)
        return nonsense(path, "has a zero byte", why);
    memset(out, 0, sizeof *out);
    out->un.sun_family = AF_UNIX;
    memcpy(out->un.sun_path, path.data, path.len);
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return true;
}

static bool parse_port(struct bytes digits, uint16_t *port)
{
    uint64_t n;
    if (digits.len > 5 || !str_to_u64(digits, &n) || n > UINT16_MAX)
        return false;
    *port = (uint16_t)n;
    return true;
}

/* How long the host is.  A second colon outside brackets makes the whole text an
 * IPv6 address without port. */
static size_t host_length(struct bytes text)
{
    const uint8_t *colon = memchr(text.data, ':', text.len);
    if (text.data[0] == '[') {
        const uint8_t *end = memchr(text.data, ']', text.len);
        return end ? (size_t)(end - text.data) + 1 : 0;
    }
    if (colon == NULL || memchr(colon + 1, ':', text.len - (size_t)(colon + 1 - text.data)))
        return text.len;
    return (size_t)(colon - text.data);
}

static bool split(struct bytes text, uint16_t default_port, struct host_port *out,
                  struct fault *why)
{
    size_t n = text.len > 0 ? host_length(text) : 0;
    if (n == 0 || memchr(text.data, 0, text.len) != NULL)
        return nonsense(text, "is not host:port or a path", why);
    struct bytes host = { text.data, n }, rest = bytes_skip(text, n);
    out->in_brackets = host.data[0] == '[';
    if (out->in_brackets)
        host = (struct bytes){ host.data + 1, host.len - 2 };
    if (host.len == 0 || host.len >= sizeof out->host)
        return nonsense(text, "has no usable host", why);
    str_copy(out->host, sizeof out->host, host);
    out->port = default_port;
    if (rest.len == 0)
        return default_port != 0 || nonsense(text, "has no port", why);
    if (rest.data[0] != ':' || !parse_port(bytes_skip(rest, 1), &out->port))
        return nonsense(text, "has a port that is not 0 to 65535", why);
    return true;
}

static bool numeric_v4(const struct host_port *hp, struct address *out)
{
    memset(out, 0, sizeof *out);
    if (hp->in_brackets || inet_pton(AF_INET, hp->host, &out->in4.sin_addr) != 1)
        return false;
    out->in4.sin_family = AF_INET;
    out->in4.sin_port = htons(hp->port);
    out->len = sizeof out->in4;
    return true;
}

/* fe80::1%eth0 names the interface of a link-local address. */
static bool numeric_v6(const struct host_port *hp, struct address *out)
{
    char host[ADDRESS_HOST_BYTES];
    char *scope;
    memset(out, 0, sizeof *out);
    str_copy(host, sizeof host, bytes_str(hp->host));
    if ((scope = strchr(host, '%')) != NULL) {
        uint64_t index = 0;
        *scope++ = '\0';
        if (!str_to_u64(bytes_str(scope), &index) || index > UINT32_MAX)
            index = if_nametoindex(scope);
        if (index == 0)
            return false;
        out->in6.sin6_scope_id = (uint32_t)index;
    }
    if (inet_pton(AF_INET6, host, &out->in6.sin6_addr) != 1)
        return false;
    out->in6.sin6_family = AF_INET6;
    out->in6.sin6_port = htons(hp->port);
    out->len = sizeof out->in6;
    return true;
}

bool address_parse(struct bytes text, uint16_t default_port, struct address *out, struct fault *why)
{
    struct host_port hp;
    if (text.len > 0 && text.data[0] == '/')
        return parse_unix(text, out, why);
    if (!split(text, default_port, &hp, why))
        return false;
    if (numeric_v4(&hp, out) || numeric_v6(&hp, out))
        return true;
    return nonsense(text, "is not a numeric IP address", why);
}

static bool look_up(const struct host_port *hp, struct address *out, struct fault *why)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *found = NULL;
    int code = getaddrinfo(hp->host, NULL, &hints, &found);
    if (code != 0)
        return fault_set(why, BLAME_OURS, 0, "host '%.100s' is not known: %s", hp->host,
                         gai_strerror(code));
    must(found->ai_addrlen <= sizeof out->un);
    memset(out, 0, sizeof *out);
    memcpy(&out->any, found->ai_addr, found->ai_addrlen);
    out->len = found->ai_addrlen;
    freeaddrinfo(found);
    if (out->any.sa_family == AF_INET6)
        out->in6.sin6_port = htons(hp->port);
    else
        out->in4.sin_port = htons(hp->port);
    return true;
}

bool address_resolve(struct bytes text, uint16_t default_port, struct address *out,
                     struct fault *why)
{
    struct host_port hp;
    if (address_parse(text, default_port, out, NULL))
        return true;
    if (text.len > 0 && text.data[0] == '/')
        return address_parse(text, default_port, out, why);
    return split(text, default_port, &hp, why) && look_up(&hp, out, why);
}

static void print_v6(const struct sockaddr_in6 *in6, bool with_port, char *out)
{
    char ip[INET6_ADDRSTRLEN], scope[12] = "";
    inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof ip);
    if (in6->sin6_scope_id != 0)
        snprintf(scope, sizeof scope, "%%%u", in6->sin6_scope_id);
    if (with_port)
        snprintf(out, ADDRESS_TEXT_BYTES, "[%s%s]:%u", ip, scope, ntohs(in6->sin6_port));
    else
        snprintf(out, ADDRESS_TEXT_BYTES, "%s%s", ip, scope);
}

static void print_v4(const struct sockaddr_in *in4, bool with_port, char *out)
{
    char ip[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &in4->sin_addr, ip, sizeof ip);
    if (with_port)
        snprintf(out, ADDRESS_TEXT_BYTES, "%s:%u", ip, ntohs(in4->sin_port));
    else
        snprintf(out, ADDRESS_TEXT_BYTES, "%s", ip);
}

/* A peer's unix socket mostly has no name: there is nothing behind the family. */
static struct bytes unix_path(const struct address *a)
{
    size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t most = a->len > start ? MIN(a->len - start, sizeof a->un.sun_path) : 0;
    return bytes_of(a->un.sun_path, strnlen(a->un.sun_path, most));
}

void address_host(struct bytes text, char out[ADDRESS_HOST_BYTES])
{
    struct host_port hp;
    bool is_path = text.len > 0 && text.data[0] == '/';
    bool known = !is_path && split(text, 1, &hp, NULL);
    str_copy(out, ADDRESS_HOST_BYTES, known ? bytes_str(hp.host) : BYTES_NONE);
}

void address_print(const struct address *a, bool with_port, char out[ADDRESS_TEXT_BYTES])
{
    if (a->any.sa_family == AF_INET)
        print_v4(&a->in4, with_port, out);
    else if (a->any.sa_family == AF_INET6)
        print_v6(&a->in6, with_port, out);
    else if (with_port && unix_path(a).len > 0)
        str_copy(out, ADDRESS_TEXT_BYTES, unix_path(a));
    else
        str_copy(out, ADDRESS_TEXT_BYTES, BYTES_LITERAL("localhost"));
}

void address_unmap(struct address *a)
{
    if (a->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
        return;
    struct address v4 = { .len = sizeof v4.in4, .in4 = { .sin_family = AF_INET } };
    v4.in4.sin_port = a->in6.sin6_port;
    memcpy(&v4.in4.sin_addr, &a->in6.sin6_addr.s6_addr[12], sizeof v4.in4.sin_addr);
    *a = v4;
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->in4.sin_port == b->in4.sin_port &&
               a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
    if (a->any.sa_family == AF_INET6)
        return a->in6.sin6_port == b->in6.sin6_port &&
               a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
               memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr) == 0;
    return bytes_equal(unix_path(a), unix_path(b));
}
