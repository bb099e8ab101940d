/*
 * result.c - result sets of our own, in the client's dialect; see inside.h.
 */
#include "session/inside.h"

void result_begin(struct session *s, uint8_t *seq, uint64_t columns)
{
    struct buf *out = &s->client.out;
    size_t mark = packet_begin(out);
    write_lenenc(out, columns);
    if ((s->caps & CAPS_SAY_WHETHER) != 0)
        write_u8(out, 1);
    packet_end(out, mark, seq);
}

void result_column(struct session *s, uint8_t *seq, const struct column *c)
{
    struct buf *out = &s->client.out, plain = { 0 };
    size_t at = 0;
    uint8_t ignored = 0;
    struct fault why;
    if ((s->caps & CAP_EXTENDED_METADATA) == 0) {
        column_write(out, seq, c);
        return;
    }
    column_write(&plain, &ignored, c);
    struct bytes definition = bytes_skip(buf_bytes(&plain), FRAME_HEADER);
    must(column_extension_at(definition, &at, &why));
    size_t mark = packet_begin(out);
    buf_add(out, bytes_of(definition.data, at));
    write_u8(out, 0); /* nothing to say of the type */
    buf_add(out, bytes_skip(definition, at));
    packet_end(out, mark, seq);
    buf_release(&plain);
}

void result_rows(struct session *s, uint8_t *seq, uint16_t warnings)
{
    if ((s->caps & CAP_DEPRECATE_EOF) == 0)
        eof_write(&s->client.out, seq, session_status(s), warnings);
}

void result_end(struct session *s, uint8_t *seq, uint16_t warnings)
{
    struct ok end = { .status = session_status(s), .warnings = warnings };
    end_of_rows_write(&s->client.out, seq, &end, s->caps);
}
