/*
 * response_trap_test.c - the machine of response.c against hand-made servers: long
 * packets, bytes that look like something else, and servers that break the protocol.
 */
#include "recorded.h"

enum { RICH = CAP_PROTOCOL_41 | CAP_SESSION_TRACK | CAP_DEPRECATE_EOF, POOR = CAP_PROTOCOL_41 };
enum { PIECE = 1 << 20 };

struct wire {
    struct buf out;
    uint8_t seq;
    struct response r;
    struct response_found found;
    struct fault why;
};

static void begin(struct wire *w, enum response_kind kind, uint64_t caps)
{
    *w = (struct wire){ .seq = 1 };
    response_begin(&w->r, kind, caps, 1);
}

static void end(struct wire *w)
{
    buf_release(&w->out);
}

static void sends(struct wire *w, struct bytes payload)
{
    packet_write(&w->out, &w->seq, payload);
}

static void sends_text(struct wire *w, const char *payload)
{
    sends(w, bytes_str(payload));
}

/* A frame with any header. */
static void sends_raw(struct wire *w, uint32_t len, uint8_t seq, struct bytes payload)
{
    uint8_t header[FRAME_HEADER];
    frame_set_header(header, len, seq);
    buf_add(&w->out, bytes_of(header, sizeof header));
    buf_add(&w->out, payload);
}

/* `len` bytes of `fill`, but the first is `first`, in frames. */
static void sends_long(struct wire *w, uint8_t first, uint8_t fill, size_t len)
{
    uint8_t *payload = malloc(len);
    memset(payload, fill, len);
    payload[0] = first;
    sends(w, bytes_of(payload, len));
    free(payload);
}

static void sends_columns(struct wire *w, unsigned count)
{
    struct column c = { .name = BYTES_LITERAL("c"), .type = TYPE_VAR_STRING };
    column_count_write(&w->out, &w->seq, count);
    for (unsigned i = 0; i < count; i++)
        column_write(&w->out, &w->seq, &c);
}

static void sends_ok(struct wire *w, uint8_t header, uint16_t status)
{
    struct ok ok = { .status = status };
    ok_write(&w->out, &w->seq, &ok, header, RICH);
}

static void sends_error(struct wire *w, unsigned code)
{
    err_write(&w->out, &w->seq, code, NULL, BYTES_LITERAL("no"), RICH);
}

static enum response_step shown(struct wire *w, size_t len)
{
    struct bytes window = exact_copy(bytes_of(buf_head(&w->out), len));
    enum response_step step = response_next(&w->r, (uint8_t *)window.data, len, &w->found, &w->why);
    if (len > 0)
        memcpy(buf_head(&w->out), window.data, len);
    if (w->found.payload != NULL)
        w->found.payload = buf_head(&w->out) + (w->found.payload - window.data);
    exact_free(window);
    return step;
}

/* The next step that is no STEP_PASS, shown at most `piece` bytes at once but what the
 * machine asked for.  Drops what passes; the step's own packet stays. */
static enum response_step next_in(struct wire *w, size_t piece)
{
    size_t len = MIN(piece, buf_len(&w->out));
    for (;;) {
        enum response_step step = shown(w, len);
        if (step == STEP_MORE && w->found.need <= buf_len(&w->out)) {
            assert_true(w->found.need > len);
            len = w->found.need;
            continue;
        }
        if (step != STEP_PASS || w->found.last)
            return step;
        assert_true(w->found.len > 0 && w->found.len <= len);
        buf_skip(&w->out, w->found.len);
        len = MIN(piece, buf_len(&w->out));
    }
}

static enum response_step next(struct wire *w)
{
    return next_in(w, SIZE_MAX);
}

static void drop(struct wire *w)
{
    buf_skip(&w->out, w->found.len);
}

static void answers(struct wire *w, enum response_step step, bool last)
{
    enum response_step got = next(w);
    if (got != step)
        fail_msg("step %d instead of %d: %s", got, step, w->why.text);
    assert_int_equal(w->found.last, last);
    drop(w);
}

/* ---- rows of any length ---- */

static void row_of(size_t len, uint8_t first, uint8_t fill, uint32_t caps)
{
    struct wire w;
    begin(&w, RESPONSE_RESULT, caps);
    sends_columns(&w, 1);
    if (!(caps & CAP_DEPRECATE_EOF))
        eof_write(&w.out, &w.seq, STATUS_AUTOCOMMIT, 0);
    sends_long(&w, first, fill, len);
    sends_text(&w, "\1x");
    end_of_rows_write(&w.out, &w.seq, &(struct ok){ .status = STATUS_AUTOCOMMIT }, caps);

    assert_int_equal(next_in(&w, PIECE), STEP_COLUMNS_END);
    drop(&w);
    assert_int_equal(next_in(&w, PIECE), STEP_END_OF_ROWS);
    assert_true(w.found.last);
    assert_int_equal(w.r.rows, 2);
    drop(&w);
    assert_int_equal(buf_len(&w.out), 0);
    end(&w);
}

static void long_rows_end_where_their_last_frame_ends(void **state)
{
    (void)state;
    row_of(FRAME_MAX - 1, 0xFD, 'x', RICH);
    row_of(FRAME_MAX, 0xFD, 'x', RICH);
    row_of(FRAME_MAX + 1, 0xFD, 'x', RICH);
    row_of(2 * FRAME_MAX, 0xFE, 'x', RICH);
}

static void continued_frames_are_not_taken_for_errors_or_ends(void **state)
{
    (void)state;
    row_of(FRAME_MAX + 7, 0xFE, 0xFE, RICH);
    row_of(FRAME_MAX + 9, 0xFE, 0xFF, RICH);
    row_of(FRAME_MAX + 7, 0xFE, 0xFE, POOR);
    row_of(FRAME_MAX + 5, 0xFE, 0x00, POOR);
}

static void without_deprecate_eof_only_short_packets_end_rows(void **state)
{
    (void)state;
    row_of(9, 0xFE, 0, POOR);
}

static void a_row_that_begins_with_null_is_no_upload(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_RESULT, RICH);
    sends_columns(&w, 1);
    sends_text(&w, "\xFB");
    sends_ok(&w, 0xFE, 0);
    answers(&w, STEP_COLUMNS_END, false);
    answers(&w, STEP_END_OF_ROWS, true);
    assert_int_equal(w.r.rows, 1);
    end(&w);
}

static void half_a_row_passes_at_once(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_ROWS, RICH);
    sends_long(&w, 'x', 'x', 1000);
    assert_int_equal(shown(&w, 4), STEP_MORE);
    assert_int_equal(w.found.need, 5);
    assert_int_equal(shown(&w, 500), STEP_PASS);
    assert_int_equal(w.found.len, 500);
    buf_skip(&w.out, 500);
    assert_int_equal(shown(&w, 0), STEP_MORE);
    assert_int_equal(w.found.need, 1);
    assert_int_equal(shown(&w, 504), STEP_PASS);
    assert_int_equal(w.found.len, 504);
    end(&w);
}

static void many_rows_pass_in_one_step_and_numbers_wrap(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_ROWS, RICH);
    w.r.seq_shift = 200;
    for (int i = 0; i < 1000; i++)
        sends_text(&w, "\3abc");
    size_t all = buf_len(&w.out);
    assert_int_equal(shown(&w, all), STEP_PASS);
    assert_int_equal(w.found.len, all);
    assert_int_equal(w.r.rows, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(frame_seq(buf_head(&w.out) + i * 8), (i + 1 + 200) % 256);
    end(&w);
}

static void a_shift_raised_between_steps_counts_from_there(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_RESULT, RICH);
    sends_columns(&w, 1);
    sends_text(&w, "\1x");
    sends_ok(&w, 0xFE, 0);
    assert_int_equal(shown(&w, buf_len(&w.out)), STEP_PASS);
    assert_int_equal(frame_seq(buf_head(&w.out)), 1);
    drop(&w);
    assert_int_equal(shown(&w, buf_len(&w.out)), STEP_COLUMNS_END);
    assert_int_equal(w.found.len, 0);
    assert_int_equal(w.found.seq, 3);
    w.r.seq_shift++;
    assert_int_equal(shown(&w, buf_len(&w.out)), STEP_PASS);
    assert_int_equal(frame_seq(buf_head(&w.out)), 4);
    drop(&w);
    assert_int_equal(shown(&w, buf_len(&w.out)), STEP_END_OF_ROWS);
    assert_int_equal(w.found.seq, 5);
    assert_int_equal(frame_seq(buf_head(&w.out)), 5);
    end(&w);
}

/* ---- other answers ---- */

static void text_passes_whole_empty_or_long(void **state)
{
    static const size_t lengths[] = { 0, 1, 100, FRAME_MAX, FRAME_MAX + 3 };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct wire w;
        uint8_t *text = calloc(1, lengths[i] + 1);
        begin(&w, RESPONSE_STRING, RICH);
        sends(&w, bytes_of(text, lengths[i]));
        size_t all = buf_len(&w.out);
        assert_int_equal(next_in(&w, PIECE), STEP_PASS);
        assert_true(w.found.last);
        drop(&w);
        assert_int_equal(buf_len(&w.out), 0);
        assert_int_equal(w.r.bytes, all);
        free(text);
        end(&w);
    }
}

static void an_error_may_come_in_place_of_text(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_STRING, RICH);
    sends_error(&w, 1047);
    answers(&w, STEP_ERR, true);
    end(&w);
}

static void a_stream_begins_with_anything_but_an_error(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_STREAM, RICH);
    sends_error(&w, 1227);
    assert_int_equal(next(&w), STEP_ERR);
    assert_true(w.found.last);
    end(&w);
    begin(&w, RESPONSE_STREAM, RICH);
    sends_text(&w, "event");
    assert_int_equal(shown(&w, FRAME_HEADER), STEP_MORE);
    assert_int_equal(w.found.need, FRAME_HEADER + 1);
    assert_int_equal(next(&w), STEP_STREAM);
    assert_true(w.found.last);
    assert_int_equal(w.found.len, 0);
    end(&w);
    begin(&w, RESPONSE_STREAM, RICH);
    sends_raw(&w, 0, 1, BYTES_NONE);
    assert_int_equal(next(&w), STEP_STREAM);
    end(&w);
}

static void an_error_among_definitions_is_the_end(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_RESULT, RICH);
    sends_columns(&w, 1);
    w.out.mem[w.out.head + 4] = 2; /* two were announced */
    sends_error(&w, 1317);
    answers(&w, STEP_ERR, true);
    end(&w);
}

static void progress_reports_are_no_errors(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_RESULT, RICH | CAP_PROGRESS);
    for (int i = 0; i < 3; i++)
        sends(&w, BYTES_LITERAL("\xFF\xFF\xFF\1\1\2\20\0\0\4copy"));
    sends_ok(&w, 0x00, 0);
    for (int i = 0; i < 3; i++)
        answers(&w, STEP_PROGRESS, false);
    answers(&w, STEP_OK, true);
    assert_int_equal(w.found.seq, 4);
    end(&w);
}

/* SIGNAL ... SET MYSQL_ERRNO = 65535, and a report from a server that was not asked for any. */
static void errors_of_that_number_are_errors(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_RESULT, RICH);
    sends_error(&w, 0xFFFF);
    answers(&w, STEP_ERR, true);
    end(&w);
    begin(&w, RESPONSE_RESULT, RICH | CAP_PROGRESS);
    sends_error(&w, 0xFFFF);
    answers(&w, STEP_ERR, true);
    end(&w);
    begin(&w, RESPONSE_RESULT, RICH);
    sends(&w, BYTES_LITERAL("\xFF\xFF\xFF\1\1\2\20\0\0\4copy"));
    answers(&w, STEP_ERR, true);
    end(&w);
}

/* The count, and whether definitions follow, in either family's dialect. */
static void a_count_may_say_that_no_definitions_follow(void **state)
{
    (void)state;
    static const uint64_t dialects[] = { CAP_CACHE_METADATA, CAP_OPTIONAL_METADATA };
    for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
        struct wire w;
        begin(&w, RESPONSE_RESULT, RICH | dialects[i]);
        sends(&w, BYTES_LITERAL("\xFC\x2C\1\0"));
        sends_text(&w, "\1x");
        sends_ok(&w, 0xFE, 0);
        answers(&w, STEP_COLUMNS_END, false);
        answers(&w, STEP_END_OF_ROWS, true);
        assert_int_equal(w.r.rows, 1);
        end(&w);
        begin(&w, RESPONSE_RESULT, RICH | dialects[i]);
        sends(&w, BYTES_LITERAL("\1"));
        answers(&w, STEP_BAD, false);
        end(&w);
    }
    struct wire w;
    begin(&w, RESPONSE_RESULT, RICH);
    sends(&w, BYTES_LITERAL("\1\1"));
    answers(&w, STEP_BAD, false);
    end(&w);
}

/* Told one by one they must be there whole, and an end among them is none. */
static void told_definitions_may_not_be_ends(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_RESULT, RICH | CAP_CACHE_METADATA);
    w.r.tells_definitions = true;
    sends(&w, BYTES_LITERAL("\2\1"));
    sends_text(&w, "\3def");
    sends_ok(&w, 0xFE, 0);
    answers(&w, STEP_COLUMNS, false);
    assert_int_equal(shown(&w, FRAME_HEADER + 2), STEP_MORE);
    answers(&w, STEP_DEFINITION, false);
    answers(&w, STEP_BAD, false);
    end(&w);
    begin(&w, RESPONSE_RESULT, RICH | CAP_CACHE_METADATA);
    w.r.tells_definitions = true;
    sends(&w, BYTES_LITERAL("\2\1"));
    sends_error(&w, 1317);
    answers(&w, STEP_COLUMNS, false);
    answers(&w, STEP_ERR, true);
    end(&w);
}

static void an_upload_goes_on_with_the_given_number(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_RESULT, RICH);
    sends_text(&w, "\xFB"
                   "file");
    answers(&w, STEP_INFILE, false);
    assert_int_equal(shown(&w, 0), STEP_MORE);
    w.seq = 9;
    sends_ok(&w, 0x00, STATUS_MORE_RESULTS);
    sends_ok(&w, 0x00, 0);
    response_after_infile(&w.r, 9);
    answers(&w, STEP_OK, false);
    answers(&w, STEP_OK, true);
    end(&w);
}

static void a_server_may_give_up_in_an_upload(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_RESULT, RICH);
    sends_text(&w, "\xFB"
                   "file");
    answers(&w, STEP_INFILE, false);
    w.seq = 77;
    sends_error(&w, 1053);
    answers(&w, STEP_ERR, true);
    end(&w);
}

static void a_cursor_has_no_rows_in_either_dialect(void **state)
{
    (void)state;
    static const uint32_t dialects[] = { RICH, POOR };
    for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
        struct wire w;
        struct ok ok = { .status = STATUS_CURSOR_EXISTS };
        begin(&w, RESPONSE_RESULT, dialects[i]);
        sends_columns(&w, 3);
        end_of_rows_write(&w.out, &w.seq, &ok, dialects[i]);
        answers(&w, STEP_END_OF_ROWS, true);
        assert_int_equal(buf_len(&w.out), 0);
        end(&w);
    }
}

/* As MySQL does it: the EOF behind the row does not say that an OK follows. */
static void out_parameters_are_followed_by_an_ok(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_RESULT, POOR);
    sends_columns(&w, 1);
    eof_write(&w.out, &w.seq, STATUS_MORE_RESULTS | STATUS_PS_OUT_PARAMS, 0);
    sends(&w, BYTES_LITERAL("\0\0\1\0\0\0"));
    eof_write(&w.out, &w.seq, STATUS_AUTOCOMMIT, 0);
    sends_ok(&w, 0x00, STATUS_AUTOCOMMIT);
    answers(&w, STEP_COLUMNS_END, false);
    answers(&w, STEP_END_OF_ROWS, false);
    answers(&w, STEP_OK, true);
    end(&w);
}

/* ---- servers that break the protocol ---- */

static void breaks(struct wire *w, unsigned code)
{
    enum response_step step;
    while ((step = next(w)) != STEP_BAD) {
        if (step == STEP_MORE || w->found.last)
            fail_msg("step %d instead of STEP_BAD", step);
        drop(w);
    }
    assert_int_equal(w->why.blame, BLAME_SERVER);
    assert_int_equal(w->why.code, code);
    end(w);
}

static void packets_out_of_order_are_refused(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_RESULT, RICH);
    w.seq = 2;
    sends_ok(&w, 0x00, 0);
    breaks(&w, ER_PACKETS_OUT_OF_ORDER);

    begin(&w, RESPONSE_ROWS, RICH);
    sends_text(&w, "\1x");
    w.seq++;
    sends_text(&w, "\1x");
    breaks(&w, ER_PACKETS_OUT_OF_ORDER);

    begin(&w, RESPONSE_ROWS, RICH);
    uint8_t *payload = calloc(1, FRAME_MAX);
    sends_raw(&w, FRAME_MAX, 1, bytes_of(payload, FRAME_MAX));
    sends_raw(&w, 1, 1, BYTES_LITERAL("x"));
    free(payload);
    breaks(&w, ER_PACKETS_OUT_OF_ORDER);
}

static void an_unasked_error_says_why_the_server_left(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_RESULT, RICH);
    w.seq = 0;
    sends_error(&w, ER_CLIENT_INTERACTION_TIMEOUT);
    breaks(&w, ER_CLIENT_INTERACTION_TIMEOUT);
    assert_string_equal(w.why.text, "no");

    /* within compressed frames it may have the number of the answer */
    begin(&w, RESPONSE_RESULT, RICH);
    w.r.any_seq = true;
    sends_error(&w, ER_CLIENT_INTERACTION_TIMEOUT);
    breaks(&w, ER_CLIENT_INTERACTION_TIMEOUT);
    assert_string_equal(w.why.text, "no");
}

static void starts_with(enum response_kind kind, uint32_t caps, struct bytes payload)
{
    struct wire w;
    begin(&w, kind, caps);
    sends(&w, payload);
    breaks(&w, ER_MALFORMED_PACKET);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    starts_with(RESPONSE_OK, RICH, BYTES_NONE);
    starts_with(RESPONSE_OK, RICH, BYTES_LITERAL("\1"));
    starts_with(RESPONSE_OK, RICH, BYTES_LITERAL("\0\0\0\2"));
    starts_with(RESPONSE_OK, RICH, BYTES_LITERAL("\xFF\x10"));
    starts_with(RESPONSE_RESULT, RICH, BYTES_NONE);
    starts_with(RESPONSE_RESULT, RICH, BYTES_LITERAL("\1\0"));
    starts_with(RESPONSE_RESULT, RICH, BYTES_LITERAL("\xFC\0\0"));
    starts_with(RESPONSE_RESULT, RICH, BYTES_LITERAL("\xFD\0\0\1"));
    starts_with(RESPONSE_RESULT, RICH, BYTES_LITERAL("\xFC\1"));
    starts_with(RESPONSE_PREPARE, RICH, BYTES_LITERAL("\1\0\0\0\0\0\0\0\0\0\0\0"));
    starts_with(RESPONSE_PREPARE, RICH, BYTES_LITERAL("\0\0\0\0\0\0\0\0\0"));
    starts_with(RESPONSE_ROWS, RICH, BYTES_NONE);
    starts_with(RESPONSE_ROWS, RICH, BYTES_LITERAL("\xFE\0\0\2"));
    starts_with(RESPONSE_ROWS, POOR, BYTES_LITERAL("\xFE\0\0"));
}

static void an_early_end_of_definitions_is_refused(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_RESULT, RICH);
    sends_columns(&w, 1);
    w.out.mem[w.out.head + 4] = 2;
    sends_ok(&w, 0xFE, 0);
    breaks(&w, ER_MALFORMED_PACKET);

    begin(&w, RESPONSE_RESULT, POOR);
    sends_columns(&w, 1);
    sends_text(&w, "\1x");
    breaks(&w, ER_MALFORMED_PACKET);
}

static void words_in_an_upload_are_refused(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_RESULT, RICH);
    sends_text(&w, "\xFB"
                   "file");
    answers(&w, STEP_INFILE, false);
    sends_ok(&w, 0x00, 0);
    breaks(&w, ER_MALFORMED_PACKET);
}

static void packets_that_mean_something_are_never_huge(void **state)
{
    (void)state;
    struct wire w;
    begin(&w, RESPONSE_RESULT, RICH);
    sends_raw(&w, 1024 * 1024 + 1, 1, BYTES_LITERAL("\0\0\0"));
    breaks(&w, ER_MALFORMED_PACKET);
    begin(&w, RESPONSE_RESULT, RICH);
    sends_raw(&w, 1024 * 1024, 1, BYTES_LITERAL("\0\0\0"));
    assert_int_equal(next(&w), STEP_MORE);
    assert_int_equal(w.found.need, 1024 * 1024 + FRAME_HEADER);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_rows_end_where_their_last_frame_ends),
        cmocka_unit_test(continued_frames_are_not_taken_for_errors_or_ends),
        cmocka_unit_test(without_deprecate_eof_only_short_packets_end_rows),
        cmocka_unit_test(a_row_that_begins_with_null_is_no_upload),
        cmocka_unit_test(half_a_row_passes_at_once),
        cmocka_unit_test(many_rows_pass_in_one_step_and_numbers_wrap),
        cmocka_unit_test(a_shift_raised_between_steps_counts_from_there),
        cmocka_unit_test(text_passes_whole_empty_or_long),
        cmocka_unit_test(an_error_may_come_in_place_of_text),
        cmocka_unit_test(a_stream_begins_with_anything_but_an_error),
        cmocka_unit_test(an_error_among_definitions_is_the_end),
        cmocka_unit_test(progress_reports_are_no_errors),
        cmocka_unit_test(errors_of_that_number_are_errors),
        cmocka_unit_test(a_count_may_say_that_no_definitions_follow),
        cmocka_unit_test(told_definitions_may_not_be_ends),
        cmocka_unit_test(an_upload_goes_on_with_the_given_number),
        cmocka_unit_test(a_server_may_give_up_in_an_upload),
        cmocka_unit_test(a_cursor_has_no_rows_in_either_dialect),
        cmocka_unit_test(out_parameters_are_followed_by_an_ok),
        cmocka_unit_test(packets_out_of_order_are_refused),
        cmocka_unit_test(an_unasked_error_says_why_the_server_left),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(an_early_end_of_definitions_is_refused),
        cmocka_unit_test(words_in_an_upload_are_refused),
        cmocka_unit_test(packets_that_mean_something_are_never_huge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
