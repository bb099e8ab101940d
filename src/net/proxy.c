/* proxy.c - addresses in headers of the PROXY protocol; see net.h. */
#include "net/net.h"

#include <arpa/inet.h>

static void end_read(const struct proxy_end *end, enum proxy_family family, struct address *out)
{
    *out = (struct address){ .len = sizeof out->in4 };
    if (family == PROXY_IP4) {
        out->in4.sin_family = AF_INET;
        out->in4.sin_port = htons(end->port);
        memcpy(&out->in4.sin_addr, end->ip, sizeof out->in4.sin_addr);
    } else if (family == PROXY_IP6) {
        out->len = sizeof out->in6;
        out->in6.sin6_family = AF_INET6;
        out->in6.sin6_port = htons(end->port);
        memcpy(&out->in6.sin6_addr, end->ip, sizeof out->in6.sin6_addr);
        address_unmap(out);
    } else {
        out->len = sizeof out->un.sun_family;
        out->un.sun_family = AF_UNIX;
    }
}

bool ends_from_header(const struct proxy_header *h, struct ends *out)
{
    if (h->family == PROXY_UNKNOWN)
        return false;
    end_read(&h->from, h->family, &out->from);
    end_read(&h->to, h->family, &out->to);
    return true;
}

struct bytes address_ip(const struct address *a)
{
    if (a->any.sa_family == AF_INET)
        return bytes_of(&a->in4.sin_addr, sizeof a->in4.sin_addr);
    if (a->any.sa_family == AF_INET6)
        return bytes_of(&a->in6.sin6_addr, sizeof a->in6.sin6_addr);
    return BYTES_NONE;
}

static void end_write(const struct address *a, struct proxy_end *out)
{
    struct bytes ip = address_ip(a);
    memcpy(out->ip, ip.data, ip.len);
    out->port = ntohs(a->any.sa_family == AF_INET ? a->in4.sin_port : a->in6.sin6_port);
}

/* A header has one family: an end of another is left out. */
void ends_to_header(const struct ends *ends, struct proxy_header *out)
{
    int family = ends->from.any.sa_family;
    *out = (struct proxy_header){ .family = PROXY_UNIX };
    if (family != AF_INET && family != AF_INET6)
        return;
    out->family = family == AF_INET ? PROXY_IP4 : PROXY_IP6;
    end_write(&ends->from, &out->from);
    if (ends->to.any.sa_family == family)
        end_write(&ends->to, &out->to);
}

bool ends_of_socket(int fd, struct ends *out)
{
    *out = (struct ends){ .from.len = sizeof out->from.un, .to.len = sizeof out->to.un };
    if (getpeername(fd, &out->from.any, &out->from.len) != 0 ||
        getsockname(fd, &out->to.any, &out->to.len) != 0)
        return false;
    address_unmap(&out->from);
    address_unmap(&out->to);
    return true;
}
