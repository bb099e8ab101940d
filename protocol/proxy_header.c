/*
 * proxy_header.c - the header that says for whom a connection is passed on: the PROXY protocol,
 * version 1 (a line of text) and 2 (binary).  Source: haproxy.org, doc/proxy-protocol.txt.
 *
 *      v1   PROXY TCP4 192.0.2.7 10.0.0.1 51234 3306 CR LF
 *      v2   12 bytes signature, version and command, family and kind, 2 bytes length,
 *           addresses and ports, then items of type, length, value
 */
#include "protocol/inside.h"

#include "base/str.h"

#include <arpa/inet.h>

enum {
    V1_MAX = 107, /* the longest line, with its CR LF */
    V2_FIXED = 16,
    V2_UNIX_BYTES = 216, /* two paths */
    LOCAL = 0x20,
    PROXY = 0x21,
    UNSPECIFIED = 0x00,
    TCP4 = 0x11,
    TCP6 = 0x21,
    UNIX_STREAM = 0x31,
};

static const uint8_t v1_start[] = { 'P', 'R', 'O', 'X', 'Y', ' ' };
static const uint8_t v2_start[] = {
    '\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'
};

static bool starts_with(struct bytes window, const uint8_t *start, size_t len)
{
    return memcmp(window.data, start, MIN(window.len, len)) == 0;
}

bool proxy_header_begins(const uint8_t first[FRAME_HEADER])
{
    struct bytes window = bytes_of(first, FRAME_HEADER);
    return starts_with(window, v1_start, sizeof v1_start) ||
           starts_with(window, v2_start, sizeof v2_start);
}

static bool nonsense(struct fault *why)
{
    /* in MariaDB's words */
    return fault_set(why, BLAME_POLICY, ER_UNKNOWN_ERROR, "Failed to parse proxy header");
}

/* ---- version 1 ---- */

/* The line up to the next blank, or to its end. */
static struct bytes next_word(struct bytes *line)
{
    const uint8_t *blank = line->len > 0 ? memchr(line->data, ' ', line->len) : NULL;
    struct bytes word = *line;
    if (blank == NULL) {
        *line = BYTES_NONE;
        return word;
    }
    word.len = (size_t)(blank - line->data);
    *line = bytes_skip(*line, word.len + 1);
    return word;
}

static bool read_ip(struct bytes word, int family, uint8_t ip[16])
{
    char text[INET6_ADDRSTRLEN];
    if (word.len >= sizeof text)
        return false;
    str_copy(text, sizeof text, word);
    return strlen(text) == word.len && inet_pton(family, text, ip) == 1;
}

static bool read_port(struct bytes word, uint16_t *port)
{
    uint64_t n;
    if (word.len == 0 || word.len > 5 || !str_to_u64(word, &n) || n > UINT16_MAX)
        return false;
    *port = (uint16_t)n;
    return true;
}

/* Behind "PROXY ", without its CR LF. */
static bool read_line(struct bytes line, struct proxy_header *out)
{
    struct bytes kind = next_word(&line);
    if (bytes_equal(kind, BYTES_LITERAL("UNKNOWN")))
        return true; /* whatever else it says */
    if (bytes_equal(kind, BYTES_LITERAL("TCP4")))
        out->family = PROXY_IP4;
    else if (bytes_equal(kind, BYTES_LITERAL("TCP6")))
        out->family = PROXY_IP6;
    else
        return false;
    int family = out->family == PROXY_IP4 ? AF_INET : AF_INET6;
    return read_ip(next_word(&line), family, out->from.ip) &&
           read_ip(next_word(&line), family, out->to.ip) &&
           read_port(next_word(&line), &out->from.port) &&
           read_port(next_word(&line), &out->to.port) && line.data == NULL;
}

static bool read_v1(struct bytes window, struct proxy_header *out, size_t *need, struct fault *why)
{
    const uint8_t *end = memchr(window.data, '\n', MIN(window.len, (size_t)V1_MAX));
    if (end == NULL && window.len < V1_MAX) {
        *need = window.len + 1;
        return false;
    }
    if (end == NULL || end - window.data < (ptrdiff_t)sizeof v1_start + 1 || end[-1] != '\r')
        return nonsense(why);
    out->wire_len = (size_t)(end - window.data) + 1;
    struct bytes line = bytes_of(window.data, out->wire_len - 2);
    return read_line(bytes_skip(line, sizeof v1_start), out) || nonsense(why);
}

/* ---- version 2 ---- */

static uint16_t big_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static bool read_ends(struct bytes body, size_t ip_bytes, struct proxy_header *out)
{
    struct cursor c = cursor_of(body);
    struct bytes from = read_bytes(&c, ip_bytes), to = read_bytes(&c, ip_bytes);
    struct bytes ports = read_bytes(&c, 4);
    if (c.bad)
        return false;
    memcpy(out->from.ip, from.data, ip_bytes);
    memcpy(out->to.ip, to.data, ip_bytes);
    out->from.port = big_u16(ports.data);
    out->to.port = big_u16(ports.data + 2);
    return true;
}

/* Addresses; what follows them says nothing to us. */
static bool read_body(uint8_t kind, struct bytes body, struct proxy_header *out)
{
    switch (kind) {
    case UNSPECIFIED:
        return true;
    case TCP4:
        out->family = PROXY_IP4;
        return read_ends(body, 4, out);
    case TCP6:
        out->family = PROXY_IP6;
        return read_ends(body, 16, out);
    case UNIX_STREAM:
        out->family = PROXY_UNIX;
        return body.len >= V2_UNIX_BYTES;
    default:
        return false;
    }
}

static bool read_v2(struct bytes window, struct proxy_header *out, size_t *need, struct fault *why)
{
    if (window.len < V2_FIXED) {
        *need = V2_FIXED;
        return false;
    }
    const uint8_t *fixed = window.data + sizeof v2_start;
    out->wire_len = V2_FIXED + big_u16(fixed + 2);
    if (fixed[0] != LOCAL && fixed[0] != PROXY)
        return nonsense(why);
    if (window.len < out->wire_len) {
        *need = out->wire_len;
        return false;
    }
    struct bytes body = bytes_of(window.data + V2_FIXED, out->wire_len - V2_FIXED);
    return fixed[0] == LOCAL || read_body(fixed[1], body, out) || nonsense(why);
}

bool proxy_header_read(struct bytes window, struct proxy_header *out, size_t *need,
                       struct fault *why)
{
    *out = (struct proxy_header){ .family = PROXY_UNKNOWN };
    *need = 0;
    if (window.len == 0)
        *need = 1;
    else if (starts_with(window, v1_start, sizeof v1_start))
        return read_v1(window, out, need, why);
    else if (starts_with(window, v2_start, sizeof v2_start))
        return read_v2(window, out, need, why);
    else
        return nonsense(why);
    return false;
}

/* ---- writing ---- */

static void write_line(struct buf *out, const struct proxy_header *h)
{
    int family = h->family == PROXY_IP4 ? AF_INET : AF_INET6;
    char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN], line[V1_MAX + 1];
    int n = snprintf(line, sizeof line, "PROXY UNKNOWN\r\n");
    if (h->family == PROXY_IP4 || h->family == PROXY_IP6) {
        inet_ntop(family, h->from.ip, from, sizeof from);
        inet_ntop(family, h->to.ip, to, sizeof to);
        n = snprintf(line, sizeof line, "PROXY %s %s %s %u %u\r\n",
                     family == AF_INET ? "TCP4" : "TCP6", from, to, h->from.port, h->to.port);
    }
    must(n > 0 && n <= V1_MAX);
    buf_add(out, bytes_of(line, (size_t)n));
}

static void write_big_u16(struct buf *out, uint16_t v)
{
    write_u8(out, (uint8_t)(v >> 8));
    write_u8(out, v & 0xFF);
}

static void write_binary(struct buf *out, const struct proxy_header *h)
{
    bool is_known = h->family == PROXY_IP4 || h->family == PROXY_IP6;
    size_t ip_bytes = h->family == PROXY_IP4 ? 4 : 16;
    buf_add(out, bytes_of(v2_start, sizeof v2_start));
    write_u8(out, is_known ? PROXY : LOCAL);
    write_u8(out, !is_known ? UNSPECIFIED : h->family == PROXY_IP4 ? TCP4 : TCP6);
    write_big_u16(out, is_known ? (uint16_t)(2 * ip_bytes + 4) : 0);
    if (!is_known)
        return;
    buf_add(out, bytes_of(h->from.ip, ip_bytes));
    buf_add(out, bytes_of(h->to.ip, ip_bytes));
    write_big_u16(out, h->from.port);
    write_big_u16(out, h->to.port);
}

void proxy_header_write(struct buf *out, enum proxy_version version, const struct proxy_header *h)
{
    if (version == PROXY_V1)
        write_line(out, h);
    else if (version == PROXY_V2)
        write_binary(out, h);
}
