/*
 * prepare.c - the answer to PREPARE and the front of EXECUTE and BULK_EXECUTE.
 */
#include "protocol/inside.h"

bool prepared_read(struct bytes payload, uint64_t caps, struct prepared *out, struct fault *why)
{
    *out = (struct prepared){ 0 };
    struct cursor c = cursor_of(payload);
    uint8_t header = read_u8(&c);
    out->id = read_u32(&c);
    out->columns = read_u16(&c);
    out->params = read_u16(&c);
    read_u8(&c);
    out->warnings = read_u16(&c);
    out->follow = (caps & CAP_OPTIONAL_METADATA) == 0 || read_u8(&c) != 0;
    return (!c.bad && header == OK_HEADER) ||
           fault_set(why, BLAME_SERVER, ER_MALFORMED_PACKET, "volvox: malformed answer to a prepare");
}

/* The types of n values, each with a name behind it if they have names. */
static void read_types(struct cursor *c, struct execute *out)
{
    for (uint64_t i = 0; i < out->n_values && !c->bad; i++) {
        read_u16(c);
        if (out->has_names)
            read_lenenc_bytes(c);
    }
}

static void read_execute(struct cursor *c, struct bytes payload, unsigned params, uint64_t caps,
                         struct execute *out)
{
    out->flags = read_u8(c);
    read_u32(c); /* iterations */
    out->n_values = params;
    out->has_names = (caps & CAP_QUERY_ATTRIBUTES) != 0;
    if (out->has_names && (params > 0 || (out->flags & EXECUTE_HAS_COUNT)))
        out->n_values = read_lenenc(c);
    if (out->n_values < params || out->n_values > UINT32_MAX)
        c->bad = true;
    if (out->n_values == 0 || c->bad)
        return;
    out->nulls_at = payload.len - cursor_left(c);
    read_bytes(c, (out->n_values + 7) / 8);
    out->flag_at = payload.len - cursor_left(c);
    out->flag = 1;
    out->types_sent = read_u8(c) != 0;
    out->types_at = out->flag_at + 1;
    if (out->types_sent)
        read_types(c, out);
    else if (out->n_values > params)
        c->bad = true; /* servers remember no types of attributes */
}

static void read_bulk(struct cursor *c, unsigned params, struct execute *out)
{
    out->flags = read_u16(c);
    out->n_values = params;
    out->flag_at = 5;
    out->flag = BULK_TYPES;
    out->types_sent = (out->flags & BULK_TYPES) != 0;
    out->types_at = 7;
    if (out->types_sent)
        read_types(c, out);
}

bool execute_read(struct bytes payload, unsigned params, uint64_t caps, struct execute *out,
                  struct fault *why)
{
    *out = (struct execute){ 0 };
    struct cursor c = cursor_of(payload);
    uint8_t command = read_u8(&c);
    out->id = read_u32(&c);
    if (command == COM_STMT_EXECUTE)
        read_execute(&c, payload, params, caps, out);
    else if (command == COM_STMT_BULK_EXECUTE)
        read_bulk(&c, params, out);
    else
        c.bad = true;
    out->values_at = payload.len - cursor_left(&c);
    return !c.bad ||
           fault_set(why, BLAME_CLIENT, ER_MALFORMED_PACKET, "Malformed communication packet");
}

void execute_types(struct bytes payload, const struct execute *x, unsigned params, uint8_t *types)
{
    struct cursor c = cursor_of(payload);
    read_bytes(&c, x->types_at);
    for (unsigned i = 0; i < params; i++) {
        struct bytes type = read_bytes(&c, 2);
        must(!c.bad);
        memcpy(types + 2 * (size_t)i, type.data, 2);
        if (x->has_names)
            read_lenenc_bytes(&c);
    }
}
