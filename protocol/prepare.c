/*
 * prepare.c - the answer to PREPARE and the front of EXECUTE.
 */
#include "protocol/inside.h"

bool prepared_read(struct bytes payload, struct prepared *out, struct fault *why)
{
    *out = (struct prepared){ 0 };
    struct cursor c = cursor_of(payload);
    uint8_t header = read_u8(&c);
    out->id = read_u32(&c);
    out->columns = read_u16(&c);
    out->params = read_u16(&c);
    read_u8(&c);
    out->warnings = read_u16(&c);
    return (!c.bad && header == OK_HEADER) ||
           fault_set(why, BLAME_SERVER, ER_MALFORMED_PACKET, "Malformed answer to a prepare");
}

bool execute_read(struct bytes payload, unsigned params, struct execute *out, struct fault *why)
{
    *out = (struct execute){ 0 };
    struct cursor c = cursor_of(payload);
    uint8_t command = read_u8(&c);
    out->id = read_u32(&c);
    out->flags = read_u8(&c);
    out->iterations = read_u32(&c);
    if (params > 0) {
        read_bytes(&c, (params + 7) / 8);
        out->bound_flag_at = payload.len - cursor_left(&c);
        out->types_sent = read_u8(&c) != 0;
        if (out->types_sent)
            out->types = read_bytes(&c, 2 * (size_t)params);
    }
    return (!c.bad && command == COM_STMT_EXECUTE) ||
           fault_set(why, BLAME_CLIENT, ER_MALFORMED_PACKET, "Malformed COM_STMT_EXECUTE");
}
