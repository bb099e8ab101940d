/*
 * attributes.c - query attributes (MySQL): stepping over them, and commands without them.
 *
 *   COM_QUERY          n 1 [NULL bitmap, 1, n times (type, name), values] text
 *   COM_STMT_EXECUTE   behind the parameters of the statement, among which they are counted
 */
#include "protocol/inside.h"

/* As servers do: what has no fixed size has its length before it. */
static void skip_value(struct cursor *c, uint8_t type)
{
    switch (type) {
    case TYPE_TINY:
        read_bytes(c, 1);
        break;
    case TYPE_SHORT:
        read_bytes(c, 2);
        break;
    case TYPE_LONG:
    case TYPE_FLOAT:
        read_bytes(c, 4);
        break;
    case TYPE_LONGLONG:
    case TYPE_DOUBLE:
        read_bytes(c, 8);
        break;
    default:
        read_lenenc_bytes(c);
        break;
    }
}

/* The first n values, whose types (and names) are at `types`. */
static void skip_values(struct cursor *c, struct cursor types, const uint8_t *nulls, uint64_t n)
{
    for (uint64_t i = 0; i < n && !c->bad; i++) {
        uint8_t type = read_u16(&types) & 0xFF;
        read_lenenc_bytes(&types);
        if ((nulls[i / 8] >> i % 8 & 1) == 0)
            skip_value(c, type);
    }
}

static void skip_attributes(struct cursor *c, uint64_t n)
{
    if (n > cursor_left(c)) {
        c->bad = true;
        return;
    }
    const uint8_t *nulls = read_bytes(c, (n + 7) / 8).data;
    if (read_u8(c) != 1)
        c->bad = true;
    struct cursor types = *c;
    for (uint64_t i = 0; i < n && !c->bad; i++) {
        read_u16(c);
        read_lenenc_bytes(c);
    }
    if (!c->bad)
        skip_values(c, types, nulls, n);
}

bool query_read(struct bytes payload, uint64_t caps, size_t *text_at, struct fault *why)
{
    struct cursor c = cursor_of(payload);
    read_u8(&c);
    if (caps & CAP_QUERY_ATTRIBUTES) {
        uint64_t n = read_lenenc(&c);
        if (read_lenenc(&c) != 1)
            c.bad = true;
        if (n > 0 && !c.bad)
            skip_attributes(&c, n);
    }
    *text_at = payload.len - cursor_left(&c);
    return !c.bad ||
           fault_set(why, BLAME_CLIENT, ER_MALFORMED_PACKET, "Malformed communication packet.");
}

/* Where the values of the statement's own parameters end. */
static bool values_end(struct bytes payload, const struct execute *x, unsigned params, size_t *end)
{
    struct cursor c = cursor_of(payload), types = c;
    read_bytes(&c, x->values_at);
    read_bytes(&types, x->types_at);
    skip_values(&c, types, payload.data + x->nulls_at, params);
    *end = payload.len - cursor_left(&c);
    return !c.bad;
}

size_t execute_strip(struct bytes payload, const struct execute *x, unsigned params, uint8_t *to,
                     struct fault *why)
{
    size_t nulls = (params + 7) / 8, at = EXECUTE_FIXED_BYTES, end = payload.len;
    memcpy(to, payload.data, at);
    to[5] &= (uint8_t)~EXECUTE_HAS_COUNT;
    if (params == 0)
        return at;
    if (x->n_values > params && !values_end(payload, x, params, &end)) {
        fault_set(why, BLAME_CLIENT, ER_MALFORMED_PACKET, "Malformed communication packet.");
        return 0;
    }
    memcpy(to + at, payload.data + x->nulls_at, nulls);
    at += nulls;
    if (params % 8 != 0)
        to[at - 1] &= (uint8_t)((1u << params % 8) - 1);
    to[at++] = x->types_sent;
    if (x->types_sent) {
        execute_types(payload, x, params, to + at);
        at += 2 * (size_t)params;
    }
    memcpy(to + at, payload.data + x->values_at, end - x->values_at);
    return at + end - x->values_at;
}
