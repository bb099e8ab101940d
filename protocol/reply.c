/*
 * reply.c - OK, ERR and EOF packets, and the session state changes inside OK.
 */
#include "protocol/inside.h"

static bool malformed(struct fault *why, const char *what)
{
    return fault_set(why, BLAME_SERVER, ER_MALFORMED_PACKET, "volvox: malformed %s packet", what);
}

/* ---- OK and EOF ---- */

/* The EOF packet has exactly this length, which is too short for any OK. */
static bool is_eof(struct bytes payload)
{
    return payload.len == EOF_BYTES && payload.data[0] == EOF_HEADER;
}

bool reply_status(struct bytes payload, uint16_t *status)
{
    struct cursor c = cursor_of(payload);
    uint8_t header = read_u8(&c);
    if (is_eof(payload)) {
        read_u16(&c);
    } else {
        read_lenenc(&c);
        read_lenenc(&c);
    }
    *status = read_u16(&c);
    return !c.bad && (header == OK_HEADER || header == EOF_HEADER);
}

/* Documented as "the rest", but servers put a length before it; an old proxy may not. */
static struct bytes read_info_untracked(struct cursor *c)
{
    struct cursor try = *c;
    struct bytes info = read_lenenc_bytes(&try);
    if (try.bad || cursor_left(&try) > 0)
        return read_rest(c);
    *c = try;
    return info;
}

bool ok_read(struct bytes payload, uint64_t caps, struct ok *out, struct fault *why)
{
    *out = (struct ok){ 0 };
    struct cursor c = cursor_of(payload);
    uint8_t header = read_u8(&c);
    if (c.bad || (header != OK_HEADER && header != EOF_HEADER))
        return malformed(why, "OK");
    if (is_eof(payload)) {
        out->warnings = read_u16(&c);
        out->status = read_u16(&c);
        return true;
    }
    out->affected = read_lenenc(&c);
    out->insert_id = read_lenenc(&c);
    out->status = read_u16(&c);
    out->warnings = read_u16(&c);
    if (!(caps & CAP_SESSION_TRACK)) {
        if (cursor_left(&c) > 0)
            out->info = read_info_untracked(&c);
    } else if (cursor_left(&c) > 0) {
        out->info = read_lenenc_bytes(&c);
        if (out->status & STATUS_SESSION_STATE_CHANGED)
            out->track = read_lenenc_bytes(&c);
    }
    return !c.bad || malformed(why, "OK");
}

void ok_write(struct buf *out, uint8_t *seq, const struct ok *ok, uint8_t header, uint64_t caps)
{
    bool changed = (ok->status & STATUS_SESSION_STATE_CHANGED) || ok->track.len > 0;
    bool tracked = (caps & CAP_SESSION_TRACK) && changed;
    uint16_t status = ok->status & (uint16_t)~STATUS_SESSION_STATE_CHANGED;
    if (tracked)
        status |= STATUS_SESSION_STATE_CHANGED;
    size_t mark = packet_begin(out);
    write_u8(out, header);
    write_lenenc(out, ok->affected);
    write_lenenc(out, ok->insert_id);
    write_u16(out, status);
    write_u16(out, ok->warnings);
    if (ok->info.len > 0 || tracked)
        write_lenenc_bytes(out, ok->info);
    if (tracked)
        write_lenenc_bytes(out, ok->track);
    packet_end(out, mark, seq);
}

void eof_write(struct buf *out, uint8_t *seq, uint16_t status, uint16_t warnings)
{
    size_t mark = packet_begin(out);
    write_u8(out, EOF_HEADER);
    write_u16(out, warnings);
    write_u16(out, status);
    packet_end(out, mark, seq);
}

void end_of_rows_write(struct buf *out, uint8_t *seq, const struct ok *ok, uint64_t caps)
{
    if (caps & CAP_DEPRECATE_EOF)
        ok_write(out, seq, ok, EOF_HEADER, caps);
    else
        eof_write(out, seq, ok->status, ok->warnings);
}

/* ---- ERR ---- */

bool err_read(struct bytes payload, struct err *out, struct fault *why)
{
    *out = (struct err){ 0 };
    struct cursor c = cursor_of(payload);
    uint8_t header = read_u8(&c);
    out->code = read_u16(&c);
    if (c.bad || header != ERR_HEADER)
        return malformed(why, "ERR");
    if (cursor_left(&c) >= 6 && c.at[0] == '#') {
        read_u8(&c);
        memcpy(out->sqlstate, read_bytes(&c, 5).data, 5);
    }
    out->text = read_rest(&c);
    return true;
}

void err_write(struct buf *out, uint8_t *seq, unsigned code, const char *sqlstate,
               struct bytes text, uint64_t caps)
{
    size_t mark = packet_begin(out);
    write_u8(out, ERR_HEADER);
    write_u16(out, (uint16_t)code);
    if (caps & CAP_PROTOCOL_41) {
        struct bytes state = bytes_str(sqlstate);
        if (state.len != 5)
            state = bytes_str(sqlstate_of(code));
        write_u8(out, '#');
        buf_add(out, state);
    }
    buf_add(out, text);
    packet_end(out, mark, seq);
}

/* ---- session state changes ---- */

void track_begin(struct track_walk *w, struct bytes track)
{
    w->at = cursor_of(track);
    w->pairs = cursor_of(BYTES_NONE);
}

static bool read_pair(struct track_walk *w, struct track *out)
{
    out->type = TRACK_SYSVAR;
    out->name = read_lenenc_bytes(&w->pairs);
    out->value = read_lenenc_bytes(&w->pairs);
    if (w->pairs.bad)
        w->at.bad = true;
    return !w->at.bad;
}

bool track_next(struct track_walk *w, struct track *out)
{
    *out = (struct track){ 0 };
    if (w->at.bad)
        return false;
    if (cursor_left(&w->pairs) > 0)
        return read_pair(w, out);
    if (cursor_left(&w->at) == 0)
        return false;

    const uint8_t *start = w->at.at;
    out->type = read_u8(&w->at);
    struct bytes data = read_lenenc_bytes(&w->at);
    if (w->at.bad)
        return false;
    out->raw = bytes_of(start, (size_t)(w->at.at - start));

    struct cursor inside = cursor_of(data);
    switch (out->type) {
    case TRACK_SYSVAR:
        w->pairs = inside;
        return read_pair(w, out);
    case TRACK_GTID:
        read_u8(&inside); /* how it is encoded: always 0 */
        out->value = read_lenenc_bytes(&inside);
        break;
    case TRACK_SCHEMA:
    case TRACK_TRX_CHARACTERISTICS:
    case TRACK_TRX_STATE:
        out->value = read_lenenc_bytes(&inside);
        break;
    default:
        /* STATE has no second length inside, nor can we know of one in new types. */
        out->value = data;
        break;
    }
    w->at.bad = inside.bad;
    return !inside.bad;
}

void track_write_sysvar(struct buf *out, struct bytes name, struct bytes value)
{
    write_u8(out, TRACK_SYSVAR);
    write_lenenc(out, lenenc_size(name.len) + name.len + lenenc_size(value.len) + value.len);
    write_lenenc_bytes(out, name);
    write_lenenc_bytes(out, value);
}

void track_write(struct buf *out, enum track_type type, struct bytes value)
{
    must(type != TRACK_SYSVAR);
    write_u8(out, (uint8_t)type);
    if (type == TRACK_STATE) {
        write_lenenc_bytes(out, value);
        return;
    }
    write_lenenc(out, (type == TRACK_GTID) + lenenc_size(value.len) + value.len);
    if (type == TRACK_GTID)
        write_u8(out, 0);
    write_lenenc_bytes(out, value);
}
