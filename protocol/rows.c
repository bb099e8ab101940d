/*
 * rows.c - column definitions and text rows.
 */
#include "protocol/inside.h"

enum { COLUMN_NAMES = 6, COLUMN_FIXED_BYTES = 12 };

bool column_read(struct bytes payload, uint64_t caps, struct column *out, struct fault *why)
{
    *out = (struct column){ 0 };
    struct cursor c = cursor_of(payload);
    read_lenenc_bytes(&c); /* catalog, always "def" */
    out->schema = read_lenenc_bytes(&c);
    out->table = read_lenenc_bytes(&c);
    out->org_table = read_lenenc_bytes(&c);
    out->name = read_lenenc_bytes(&c);
    out->org_name = read_lenenc_bytes(&c);
    if ((caps & CAP_EXTENDED_METADATA) != 0)
        read_lenenc_bytes(&c); /* of the type */
    if (read_lenenc(&c) != COLUMN_FIXED_BYTES)
        c.bad = true;
    out->charset = read_u16(&c);
    out->length = read_u32(&c);
    out->type = read_u8(&c);
    out->flags = read_u16(&c);
    out->decimals = read_u8(&c);
    read_u16(&c);
    return !c.bad ||
           fault_set(why, BLAME_SERVER, ER_MALFORMED_PACKET, "volvox: malformed column definition");
}

bool column_extension_at(struct bytes payload, size_t *at, struct fault *why)
{
    struct cursor c = cursor_of(payload);
    for (int i = 0; i < COLUMN_NAMES; i++)
        read_lenenc_bytes(&c);
    *at = payload.len - cursor_left(&c);
    return (!c.bad && cursor_left(&c) > COLUMN_FIXED_BYTES) ||
           fault_set(why, BLAME_SERVER, ER_MALFORMED_PACKET, "volvox: malformed column definition");
}

void column_write(struct buf *out, uint8_t *seq, const struct column *c)
{
    size_t mark = packet_begin(out);
    write_lenenc_bytes(out, BYTES_LITERAL("def"));
    write_lenenc_bytes(out, c->schema);
    write_lenenc_bytes(out, c->table);
    write_lenenc_bytes(out, c->org_table);
    write_lenenc_bytes(out, c->name);
    write_lenenc_bytes(out, c->org_name);
    write_lenenc(out, COLUMN_FIXED_BYTES);
    write_u16(out, c->charset);
    write_u32(out, c->length);
    write_u8(out, c->type);
    write_u16(out, c->flags);
    write_u8(out, c->decimals);
    write_u16(out, 0);
    packet_end(out, mark, seq);
}

void column_count_write(struct buf *out, uint8_t *seq, uint64_t count)
{
    size_t mark = packet_begin(out);
    write_lenenc(out, count);
    packet_end(out, mark, seq);
}

bool column_count_read(struct bytes payload, uint64_t caps, struct column_count *out)
{
    struct cursor c = cursor_of(payload);
    out->count = read_lenenc(&c);
    out->follow = (caps & (CAP_CACHE_METADATA | CAP_OPTIONAL_METADATA)) == 0 || read_u8(&c) != 0;
    return !c.bad && cursor_left(&c) == 0;
}

void text_row_write(struct buf *out, uint8_t *seq, const struct bytes *values, size_t count)
{
    size_t mark = packet_begin(out);
    for (size_t i = 0; i < count; i++) {
        if (values[i].data == NULL)
            write_u8(out, NULL_HEADER);
        else
            write_lenenc_bytes(out, values[i]);
    }
    packet_end(out, mark, seq);
}

bool text_row_read(struct bytes payload, struct bytes *values, size_t count, struct fault *why)
{
    struct cursor c = cursor_of(payload);
    for (size_t i = 0; i < count; i++) {
        if (cursor_left(&c) > 0 && *c.at == NULL_HEADER) {
            read_u8(&c);
            values[i] = BYTES_NONE;
        } else {
            values[i] = read_lenenc_bytes(&c);
        }
    }
    return (!c.bad && cursor_left(&c) == 0) ||
           fault_set(why, BLAME_SERVER, ER_MALFORMED_PACKET, "volvox: malformed row");
}
