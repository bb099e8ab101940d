/*
 * wire.c - integers, length-encoded values, strings.
 */
#include "protocol/inside.h"

static const uint8_t *take(struct cursor *c, size_t n)
{
    if (c->bad || n > cursor_left(c)) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *p = c->at;
    if (n > 0)
        c->at += n;
    return p;
}

static uint64_t read_little_endian(struct cursor *c, size_t n)
{
    const uint8_t *p = take(c, n);
    uint64_t v = 0;
    if (p == NULL)
        return 0;
    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

uint8_t read_u8(struct cursor *c)
{
    return (uint8_t)read_little_endian(c, 1);
}

uint16_t read_u16(struct cursor *c)
{
    return (uint16_t)read_little_endian(c, 2);
}

uint32_t read_u24(struct cursor *c)
{
    return (uint32_t)read_little_endian(c, 3);
}

uint32_t read_u32(struct cursor *c)
{
    return (uint32_t)read_little_endian(c, 4);
}

uint64_t read_u64(struct cursor *c)
{
    return read_little_endian(c, 8);
}

uint64_t read_lenenc(struct cursor *c)
{
    uint8_t first = read_u8(c);
    switch (first) {
    case 0xFB:
    case 0xFF:
        c->bad = true;
        return 0;
    case 0xFC:
        return read_u16(c);
    case 0xFD:
        return read_u24(c);
    case 0xFE:
        return read_u64(c);
    default:
        return first;
    }
}

struct bytes read_bytes(struct cursor *c, size_t n)
{
    const uint8_t *p = take(c, n);
    return p != NULL ? bytes_of(p, n) : BYTES_NONE;
}

struct bytes read_lenenc_bytes(struct cursor *c)
{
    uint64_t n = read_lenenc(c);
    if (n > cursor_left(c))
        c->bad = true;
    return c->bad ? BYTES_NONE : read_bytes(c, (size_t)n);
}

struct bytes read_nul_bytes(struct cursor *c)
{
    size_t left = cursor_left(c);
    const uint8_t *nul = left > 0 && !c->bad ? memchr(c->at, 0, left) : NULL;
    if (nul == NULL) {
        c->bad = true;
        return BYTES_NONE;
    }
    struct bytes b = bytes_of(c->at, (size_t)(nul - c->at));
    c->at = nul + 1;
    return b;
}

struct bytes read_rest(struct cursor *c)
{
    return read_bytes(c, cursor_left(c));
}

static void write_little_endian(struct buf *out, uint64_t v, size_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(v >> 8 * i);
    buf_add(out, bytes_of(bytes, n));
}

void write_u8(struct buf *out, uint8_t v)
{
    buf_add_u8(out, v);
}

void write_u16(struct buf *out, uint16_t v)
{
    write_little_endian(out, v, 2);
}

void write_u24(struct buf *out, uint32_t v)
{
    write_little_endian(out, v, 3);
}

void write_u32(struct buf *out, uint32_t v)
{
    write_little_endian(out, v, 4);
}

void write_u64(struct buf *out, uint64_t v)
{
    write_little_endian(out, v, 8);
}

size_t lenenc_size(uint64_t v)
{
    return v < 0xFB ? 1 : v <= 0xFFFF ? 3 : v <= 0xFFFFFF ? 4 : 9;
}

void write_lenenc(struct buf *out, uint64_t v)
{
    switch (lenenc_size(v)) {
    case 1:
        write_u8(out, (uint8_t)v);
        break;
    case 3:
        write_u8(out, 0xFC);
        write_u16(out, (uint16_t)v);
        break;
    case 4:
        write_u8(out, 0xFD);
        write_u24(out, (uint32_t)v);
        break;
    default:
        write_u8(out, 0xFE);
        write_u64(out, v);
        break;
    }
}

void write_lenenc_bytes(struct buf *out, struct bytes b)
{
    write_lenenc(out, b.len);
    buf_add(out, b);
}

void write_nul_bytes(struct buf *out, struct bytes b)
{
    buf_add(out, b);
    write_u8(out, 0);
}
