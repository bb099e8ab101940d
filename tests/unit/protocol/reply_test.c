#include "recorded.h"

enum { TRACKED = CAP_PROTOCOL_41 | CAP_SESSION_TRACK | CAP_DEPRECATE_EOF, PLAIN = CAP_PROTOCOL_41 };

/* ---- OK and EOF ---- */

static void ok_comes_back(uint8_t header, uint32_t caps)
{
    struct ok ok = { .affected = 300,
                     .insert_id = 70000,
                     .warnings = 7,
                     .status = STATUS_AUTOCOMMIT | STATUS_SESSION_STATE_CHANGED,
                     .info = BYTES_LITERAL("Rows matched: 1"),
                     .track = BYTES_LITERAL("\1\3\2db") },
              got;
    struct buf out = { 0 };
    struct fault why = FAULT_NONE;
    uint8_t seq = 5;
    ok_write(&out, &seq, &ok, header, caps);
    assert_int_equal(seq, 6);
    struct bytes payload = payload_of(&out);
    assert_int_equal(payload.data[0], header);
    assert_true(ok_read(payload, caps, &got, &why));
    assert_int_equal(got.affected, 300);
    assert_int_equal(got.insert_id, 70000);
    assert_int_equal(got.warnings, 7);
    assert_bytes_equal(got.info, ok.info);
    if (caps & CAP_SESSION_TRACK) {
        assert_bytes_equal(got.track, ok.track);
        assert_int_equal(got.status, ok.status);
    } else {
        assert_int_equal(got.track.len, 0);
        assert_int_equal(got.status, STATUS_AUTOCOMMIT);
    }
    buf_release(&out);
}

static void ok_packets_come_back_as_far_as_the_capabilities_go(void **state)
{
    (void)state;
    ok_comes_back(0x00, TRACKED);
    ok_comes_back(0xFE, TRACKED);
    ok_comes_back(0x00, PLAIN);
}

static void every_cut_of_a_tracked_ok_is_refused(void **state)
{
    (void)state;
    struct ok got;
    struct bytes whole = BYTES_LITERAL("\0\1\2\0\x40\0\0\3abc\5\1\3\2db");
    assert_true(ok_read(whole, TRACKED, &got, NULL));
    for (size_t n = 0; n < whole.len; n++) {
        struct bytes cut = exact_copy(bytes_of(whole.data, n));
        /* Servers leave out the text and all behind it when both are empty. */
        assert_int_equal(ok_read(cut, TRACKED, &got, NULL), n == 7);
        exact_free(cut);
    }
}

static void text_without_its_length_is_read_when_nothing_is_tracked(void **state)
{
    (void)state;
    struct ok got;
    assert_true(ok_read(BYTES_LITERAL("\0\1\0\2\0\0\0Rows"), PLAIN, &got, NULL));
    assert_text(got.info, "Rows");
    assert_true(ok_read(BYTES_LITERAL("\0\1\0\2\0\0\0\4Rows"), PLAIN, &got, NULL));
    assert_text(got.info, "Rows");
}

static void other_headers_are_no_ok(void **state)
{
    (void)state;
    struct ok got;
    struct fault why = FAULT_NONE;
    assert_false(ok_read(BYTES_LITERAL("\1\0\0\2\0\0\0"), PLAIN, &got, &why));
    assert_int_equal(why.blame, BLAME_SERVER);
    assert_false(ok_read(BYTES_LITERAL("\xFF\0\0\2\0\0\0"), PLAIN, &got, &why));
    assert_false(ok_read(BYTES_LITERAL("\xFE"), PLAIN, &got, &why));
    assert_false(ok_read(BYTES_NONE, PLAIN, &got, &why));
}

static void the_end_of_rows_is_written_in_the_clients_dialect(void **state)
{
    (void)state;
    struct ok ok = { .status = STATUS_AUTOCOMMIT, .warnings = 3 }, got;
    struct buf out = { 0 };
    uint8_t seq = 1;
    end_of_rows_write(&out, &seq, &ok, PLAIN);
    assert_bytes_equal(payload_of(&out), BYTES_LITERAL("\xFE\3\0\2\0"));
    assert_true(ok_read(payload_of(&out), PLAIN, &got, NULL));
    assert_int_equal(got.warnings, 3);
    assert_int_equal(got.status, STATUS_AUTOCOMMIT);
    buf_release(&out);
    end_of_rows_write(&out, &seq, &ok, TRACKED);
    assert_bytes_equal(payload_of(&out), BYTES_LITERAL("\xFE\0\0\2\0\3\0"));
    buf_release(&out);
}

/* ---- ERR ---- */

static void errors_come_back(void **state)
{
    (void)state;
    struct err got;
    struct buf out = { 0 };
    uint8_t seq = 1;
    err_write(&out, &seq, 1146, NULL, BYTES_LITERAL("no table"), PLAIN);
    assert_bytes_equal(payload_of(&out), BYTES_LITERAL("\xFF\x7A\x04#42S02no table"));
    assert_true(err_read(payload_of(&out), &got, NULL));
    assert_int_equal(got.code, 1146);
    assert_string_equal(got.sqlstate, "42S02");
    assert_text(got.text, "no table");
    buf_release(&out);

    err_write(&out, &seq, 1644, "45000", BYTES_LITERAL("mine"), PLAIN);
    assert_true(err_read(payload_of(&out), &got, NULL));
    assert_string_equal(got.sqlstate, "45000");
    buf_release(&out);
}

static void before_the_handshake_errors_have_no_state(void **state)
{
    (void)state;
    struct err got;
    struct buf out = { 0 };
    uint8_t seq = 0;
    err_write(&out, &seq, ER_CON_COUNT_ERROR, NULL, BYTES_LITERAL("Too many"), 0);
    assert_bytes_equal(payload_of(&out), BYTES_LITERAL("\xFF\x10\x04Too many"));
    assert_true(err_read(payload_of(&out), &got, NULL));
    assert_string_equal(got.sqlstate, "");
    assert_text(got.text, "Too many");
    buf_release(&out);
}

static void an_error_cut_anywhere_is_not_overrun(void **state)
{
    (void)state;
    struct err got;
    struct bytes whole = BYTES_LITERAL("\xFF\x7A\x04#42S02x");
    for (size_t n = 0; n <= whole.len; n++) {
        struct bytes cut = exact_copy(bytes_of(whole.data, n));
        assert_int_equal(err_read(cut, &got, NULL), n >= 3);
        if (n >= 3)
            assert_string_equal(got.sqlstate, n >= 9 ? "42S02" : "");
        exact_free(cut);
    }
}

/* ---- session state changes ---- */

static void entries_come_back_one_by_one(void **state)
{
    (void)state;
    struct buf out = { 0 };
    track_write_sysvar(&out, BYTES_LITERAL("autocommit"), BYTES_LITERAL("ON"));
    track_write(&out, TRACK_SCHEMA, BYTES_LITERAL("db"));
    track_write(&out, TRACK_STATE, BYTES_LITERAL("1"));
    track_write(&out, TRACK_GTID, BYTES_LITERAL("uuid:3"));
    track_write(&out, TRACK_TRX_STATE, BYTES_LITERAL("T_______"));
    buf_add(&out, BYTES_LITERAL("\x42\3xyz"));
    static const struct {
        uint8_t type;
        const char *name, *value;
        size_t raw;
    } expected[] = {
        { TRACK_SYSVAR, "autocommit", "ON", 16 },
        { TRACK_SCHEMA, "", "db", 5 },
        { TRACK_STATE, "", "1", 3 },
        { TRACK_GTID, "", "uuid:3", 10 },
        { TRACK_TRX_STATE, "", "T_______", 11 },
        { 0x42, "", "xyz", 5 },
    };
    struct track_walk w;
    struct track t;
    size_t at = 0;
    track_begin(&w, buf_bytes(&out));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_true(track_next(&w, &t));
        assert_int_equal(t.type, expected[i].type);
        assert_text(t.name, expected[i].name);
        assert_text(t.value, expected[i].value);
        assert_int_equal(t.raw.len, expected[i].raw);
        assert_ptr_equal(t.raw.data, buf_head(&out) + at);
        at += t.raw.len;
    }
    assert_false(track_next(&w, &t));
    assert_false(w.at.bad);
    buf_release(&out);
}

static void one_entry_may_hold_several_variables(void **state)
{
    (void)state;
    struct track_walk w;
    struct track t;
    track_begin(&w, BYTES_LITERAL("\0\x08\1a\1"
                                  "1"
                                  "\1b\1"
                                  "2"
                                  "\2\1"
                                  "1"));
    assert_true(track_next(&w, &t));
    assert_text(t.name, "a");
    assert_int_equal(t.raw.len, 10);
    assert_true(track_next(&w, &t));
    assert_text(t.name, "b");
    assert_text(t.value, "2");
    assert_int_equal(t.raw.len, 0);
    assert_true(track_next(&w, &t));
    assert_int_equal(t.type, TRACK_STATE);
    assert_text(t.value, "1");
    assert_false(track_next(&w, &t));
    assert_false(w.at.bad);
}

static void a_block_cut_inside_an_entry_is_bad(void **state)
{
    (void)state;
    struct bytes whole = BYTES_LITERAL("\0\x08\1a\1"
                                       "1"
                                       "\1b\1"
                                       "2"
                                       "\1\3\2db");
    for (size_t n = 0; n <= whole.len; n++) {
        struct bytes cut = exact_copy(bytes_of(whole.data, n));
        struct track_walk w;
        struct track t;
        track_begin(&w, cut);
        while (track_next(&w, &t))
            assert_true(t.value.len > 0);
        assert_int_equal(w.at.bad, n != 0 && n != 10 && n != whole.len);
        assert_false(track_next(&w, &t));
        exact_free(cut);
    }
}

static void an_entry_shorter_than_what_it_holds_is_bad(void **state)
{
    (void)state;
    struct track_walk w;
    struct track t;
    track_begin(&w, BYTES_LITERAL("\0\3\1a\1"
                                  "1\1\3\2db"));
    assert_false(track_next(&w, &t));
    assert_true(w.at.bad);
    track_begin(&w, BYTES_LITERAL("\1\2\2d\1\3\2db"));
    assert_false(track_next(&w, &t));
    assert_true(w.at.bad);
}

/* ---- as servers send them ---- */

struct seen {
    bool names, schema, trx_state, characteristics;
};

static void walk(const char *name, const struct ok *ok, struct seen *seen)
{
    struct track_walk w;
    struct track t;
    track_begin(&w, ok->track);
    while (track_next(&w, &t)) {
        if (t.type == TRACK_SYSVAR && bytes_equal(t.name, BYTES_LITERAL("character_set_client")))
            seen->names |= bytes_equal(t.value, BYTES_LITERAL("latin1"));
        seen->schema |= t.type == TRACK_SCHEMA && bytes_equal(t.value, BYTES_LITERAL("recorded"));
        seen->trx_state |= t.type == TRACK_TRX_STATE && t.value.len == 8;
        seen->characteristics |=
            t.type == TRACK_TRX_CHARACTERISTICS &&
            bytes_equal(t.value, BYTES_LITERAL("START TRANSACTION READ ONLY;"));
    }
    if (w.at.bad || w.at.at != w.at.end)
        fail_msg("%s: %zu bytes of the block are left", name, cursor_left(&w.at));
}

/* The last packet of a recorded response is the OK. */
static void check_record(const struct record *rec, void *arg)
{
    struct ok ok;
    struct fault why = FAULT_NONE;
    size_t at = 0, last = 0;
    for (; at < rec->data.len; at += FRAME_HEADER + frame_len(rec->data.data + at))
        last = at;
    char end = rec->steps[strlen(rec->steps) - 1];
    if (end != 'O' && end != 'R')
        return;
    struct bytes payload = bytes_skip(rec->data, last + FRAME_HEADER);
    assert_true(ok_read(payload, rec->caps, &ok, &why));
    if (ok.track.len > 0)
        walk(rec->name, &ok, arg);
    if (strstr(rec->name, "update_info") != NULL)
        assert_text(ok.info, "Rows matched: 1  Changed: 1  Warnings: 0");

    struct buf out = { 0 };
    uint8_t seq = frame_seq(rec->data.data + last);
    if (payload.data[0] == 0x00 || (rec->caps & CAP_DEPRECATE_EOF))
        ok_write(&out, &seq, &ok, payload.data[0], rec->caps);
    else
        eof_write(&out, &seq, ok.status, ok.warnings);
    assert_bytes_equal(buf_bytes(&out), bytes_skip(rec->data, last));
    buf_release(&out);
}

static void what_servers_report_is_read_and_written_alike(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(recorded_families); i++) {
        struct seen seen = { 0 };
        each_record(recorded_families[i], check_record, &seen);
        assert_true(seen.names && seen.schema && seen.trx_state && seen.characteristics);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ok_packets_come_back_as_far_as_the_capabilities_go),
        cmocka_unit_test(every_cut_of_a_tracked_ok_is_refused),
        cmocka_unit_test(text_without_its_length_is_read_when_nothing_is_tracked),
        cmocka_unit_test(other_headers_are_no_ok),
        cmocka_unit_test(the_end_of_rows_is_written_in_the_clients_dialect),
        cmocka_unit_test(errors_come_back),
        cmocka_unit_test(before_the_handshake_errors_have_no_state),
        cmocka_unit_test(an_error_cut_anywhere_is_not_overrun),
        cmocka_unit_test(entries_come_back_one_by_one),
        cmocka_unit_test(one_entry_may_hold_several_variables),
        cmocka_unit_test(a_block_cut_inside_an_entry_is_bad),
        cmocka_unit_test(an_entry_shorter_than_what_it_holds_is_bad),
        cmocka_unit_test(what_servers_report_is_read_and_written_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
