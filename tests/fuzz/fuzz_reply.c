#include "fuzz.h"

/* What was read is written and read again as the same. */
static void write_entry(const struct track *t)
{
    struct buf out = { 0 };
    struct track_walk w;
    struct track again;
    if (t->type == TRACK_SYSVAR)
        track_write_sysvar(&out, t->name, t->value);
    else
        track_write(&out, (enum track_type)t->type, t->value);
    track_begin(&w, buf_bytes(&out));
    must(track_next(&w, &again));
    must(again.type == t->type && again.raw.len == buf_len(&out));
    must(bytes_equal(again.name, t->name) && bytes_equal(again.value, t->value));
    must(!track_next(&w, &again) && !w.at.bad);
    buf_release(&out);
}

static void walk(struct bytes block)
{
    struct track_walk w;
    struct track t;
    size_t raw = 0;
    track_begin(&w, block);
    while (track_next(&w, &t)) {
        fuzz_touch(t.name);
        fuzz_touch(t.value);
        raw += t.raw.len;
        if (t.type <= TRACK_TRX_STATE)
            write_entry(&t);
    }
    must(raw <= block.len);
    must(w.at.bad || raw == block.len);
}

static void check_ok(struct bytes payload, uint32_t caps)
{
    struct ok ok, again;
    if (!ok_read(payload, caps, &ok, NULL))
        return;
    fuzz_touch(ok.info);
    walk(ok.track);
    struct buf out = { 0 };
    uint8_t seq = 0;
    ok_write(&out, &seq, &ok, payload.data[0], caps);
    must(ok_read(fuzz_payload(&out), caps, &again, NULL));
    must(bytes_equal(ok.info, again.info) && bytes_equal(ok.track, again.track));
    must(ok.affected == again.affected && ok.insert_id == again.insert_id);
    must(ok.warnings == again.warnings);
    must((ok.status & ~STATUS_SESSION_STATE_CHANGED) ==
         (again.status & ~STATUS_SESSION_STATE_CHANGED));
    buf_release(&out);
}

static void check_err(struct bytes payload)
{
    struct err err, again;
    if (!err_read(payload, &err, NULL))
        return;
    fuzz_touch(err.text);
    must(memchr(err.sqlstate, 0, sizeof err.sqlstate) != NULL);
    if (strlen(err.sqlstate) != 5)
        return;
    struct buf out = { 0 };
    uint8_t seq = 0;
    err_write(&out, &seq, err.code, err.sqlstate, err.text, CAP_PROTOCOL_41);
    must(err_read(fuzz_payload(&out), &again, NULL));
    must(err.code == again.code && strcmp(err.sqlstate, again.sqlstate) == 0);
    must(bytes_equal(err.text, again.text));
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t choices[4];
    if (!fuzz_choices(&data, &size, choices))
        return 0;
    struct bytes payload = bytes_of(data, size);
    check_ok(payload, CAP_PROTOCOL_41 | (choices[0] & 1 ? CAP_SESSION_TRACK : 0));
    check_err(payload);
    walk(payload);
    return 0;
}
