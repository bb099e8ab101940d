/*
 * fuzz_tell.c - servers that report anything to a session that asks for anything: what the client
 * gets is well-formed, and no more than what was asked for.
 */
#include "fuzz.h"

#include "base/mem.h"
#include "session/inside.h"

static struct tracking *policy_of(const uint8_t *choices, bool is_mariadb)
{
    static const char *const lists[] = { "*", "", "time_zone,sql_mode", "a, autocommit ,,b" };
    static const char *const infos[] = { "OFF", "STATE", "CHARACTERISTICS" };
    const struct bytes values[TRACKING_VARIABLES] = {
        bytes_str(lists[choices[1] % ARRAY_LEN(lists)]),
        bytes_str(choices[1] & 4 ? "ON" : "OFF"),
        bytes_str(choices[1] & 8 ? "1" : "0"),
        bytes_str(infos[choices[2] % ARRAY_LEN(infos)]),
        bytes_str(!is_mariadb && choices[2] & 4 ? "OWN_GTID" : "OFF"),
    };
    return tracking_of(values);
}

static void check(const struct session *s, const struct tracking *as, struct bytes kept)
{
    struct track_walk walk;
    struct track track;
    track_begin(&walk, kept);
    while (track_next(&walk, &track)) {
        must(track.type != TRACK_SYSVAR || !bytes_equal(track.name, BYTES_LITERAL("redirect_url")) ||
             track.value.len == 0);
        if (s->lease->reports_as_asked)
            continue;
        must(track.type != TRACK_SYSVAR || tracking_has_name(as, track.name));
        must(track.type != TRACK_SCHEMA || as->schema);
        must(track.type != TRACK_STATE || as->state_change);
        must(track.type != TRACK_TRX_STATE || as->transactions != TRACK_NO_TRANSACTIONS ||
             !s->mode.is_mariadb);
    }
    must(!walk.at.bad);
}

/* One OK: a byte of choices, two of length, its entries. */
static bool tell_one(struct session *s, const uint8_t **data, size_t *size)
{
    struct buf kept = { 0 };
    if (*size < 3)
        return false;
    uint8_t choice = (*data)[0];
    size_t len = MIN((size_t)(*data)[1] | (size_t)((*data)[2] & 1) << 8, *size - 3);
    uint8_t *entries = malloc(len > 0 ? len : 1);
    memcpy(entries, *data + 3, len);
    struct ok ok = { .status = choice & 2 ? STATUS_SESSION_STATE_CHANGED : 0,
                     .track = bytes_of(entries, len) };
    bool end_of_rows = choice & 1;
    tell(s, &ok, end_of_rows, &kept);
    if (end_of_rows && (s->caps & CAP_DEPRECATE_EOF) == 0)
        must(buf_len(&kept) == 0);
    check(s, tracking_in_force(s), buf_bytes(&kept));
    buf_release(&kept);
    free(entries);
    *data += 3 + len;
    *size -= 3 + len;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t choices[4];
    if (!fuzz_choices(&data, &size, choices))
        return 0;
    struct backend be = { .usual = tracking_by_default(choices[0] & 1),
                          .reports_as_asked = choices[0] & 2 };
    struct session s = { .lease = &be, .caps = CAP_PROTOCOL_41 | CAP_SESSION_TRACK };
    s.mode.is_mariadb = choices[0] & 1;
    if (choices[0] & 4)
        s.caps |= CAP_DEPRECATE_EOF;
    if (choices[0] & 8)
        session_more(&s)->tracking = policy_of(choices, choices[0] & 1);
    while (tell_one(&s, &data, &size))
        ;
    statements_forget(&s);
    mem_free(s.more);
    tracking_drop(be.usual);
    return 0;
}
