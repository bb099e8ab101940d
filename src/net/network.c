/* network.c - sets of addresses; see net.h. */
#include "net/net.h"

#include "base/str.h"

#include <arpa/inet.h>

static bool parse_bits(struct bytes digits, unsigned most, unsigned *bits)
{
    uint64_t n;
    if (!str_to_u64(digits, &n) || n > most)
        return false;
    *bits = (unsigned)n;
    return true;
}

static bool parse_ip(const char *ip, struct network *out)
{
    out->family = AF_INET;
    if (inet_pton(AF_INET, ip, out->ip) == 1)
        return true;
    out->family = AF_INET6;
    return inet_pton(AF_INET6, ip, out->ip) == 1;
}

bool network_parse(struct bytes text, struct network *out)
{
    char ip[INET6_ADDRSTRLEN];
    *out = (struct network){ .family = AF_UNSPEC };
    if (bytes_equal(text, BYTES_LITERAL("*")))
        return true;
    out->family = AF_UNIX;
    if (bytes_equal_nocase(text, BYTES_LITERAL("localhost")))
        return true;
    const uint8_t *slash = text.len > 0 ? memchr(text.data, '/', text.len) : NULL;
    struct bytes host = bytes_of(text.data, slash != NULL ? (size_t)(slash - text.data) : text.len);
    if (host.len == 0 || host.len >= sizeof ip || memchr(host.data, 0, host.len) != NULL)
        return false;
    str_copy(ip, sizeof ip, host);
    if (!parse_ip(ip, out))
        return false;
    unsigned most = out->family == AF_INET ? 32 : 128;
    out->bits = most;
    return slash == NULL || parse_bits(bytes_skip(text, host.len + 1), most, &out->bits);
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

bool network_has(const struct network *n, const struct address *a)
{
    if (n->family == AF_UNSPEC)
        return true;
    if (n->family != a->any.sa_family)
        return false;
    if (n->family == AF_INET)
        return same_bits(n->ip, (const uint8_t *)&a->in4.sin_addr, n->bits);
    return n->family == AF_UNIX || same_bits(n->ip, a->in6.sin6_addr.s6_addr, n->bits);
}
