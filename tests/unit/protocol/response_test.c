/*
 * response_test.c - recorded conversations, whole and in all kinds of pieces.
 */
#include "recorded.h"

enum { SHIFT = 3, EVENTS_MAX = 512 };

struct event {
    char letter;
    size_t at; /* offset in the conversation */
    size_t payload_len;
};

struct story {
    struct event events[EVENTS_MAX];
    unsigned count;
    uint8_t *bytes; /* as passed on */
    uint64_t rows;
};

static enum response_kind kind_of(const char *name)
{
    static const char *const names[] = {
        [RESPONSE_OK] = "OK",         [RESPONSE_RESULT] = "RESULT", [RESPONSE_PREPARE] = "PREPARE",
        [RESPONSE_FIELDS] = "FIELDS", [RESPONSE_ROWS] = "ROWS",     [RESPONSE_STRING] = "STRING",
    };
    for (size_t i = RESPONSE_OK; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return (enum response_kind)i;
    return RESPONSE_NONE;
}

static char letter_of(enum response_step step, bool last)
{
    static const char letters[] = {
        [STEP_COLUMNS_END] = 'c', [STEP_OK] = 'o',      [STEP_END_OF_ROWS] = 'r',
        [STEP_ERR] = 'e',         [STEP_INFILE] = 'i',  [STEP_PREPARED] = 'p',
        [STEP_PASS] = 't',        [STEP_COLUMNS] = 'n', [STEP_DEFINITION] = 'd',
    };
    char letter = letters[step];
    return last ? (char)(letter & ~0x20) : letter;
}

/* What response_next() says of a window of exactly `len` bytes. */
static enum response_step show(struct response *r, uint8_t *from, size_t len,
                               struct response_found *found, struct fault *why)
{
    struct bytes window = exact_copy(bytes_of(from, len));
    enum response_step step = response_next(r, (uint8_t *)window.data, len, found, why);
    if (found->payload != NULL)
        found->payload = from + (found->payload - window.data);
    if (len > 0)
        memcpy(from, window.data, len);
    exact_free(window);
    return step;
}

/* How much more to show: 0 = everything, 1 = byte by byte, else by chance. */
static size_t more_of(unsigned *chance, size_t shown, size_t all)
{
    if (*chance == 0)
        return all;
    size_t by = *chance == 1 ? 1 : 1 + (size_t)rand_r(chance) % 40;
    return MIN(shown + by, all);
}

static void tell_more(struct story *s, const struct record *rec, unsigned chance, bool definitions)
{
    struct response r;
    struct response_found found;
    struct fault why = FAULT_NONE;
    size_t at = 0, shown = 0;
    bool last = false;
    *s = (struct story){ .bytes = malloc(rec->data.len) };
    memcpy(s->bytes, rec->data.data, rec->data.len);
    response_begin(&r, kind_of(rec->kind), rec->caps, rec->seq);
    r.seq_shift = SHIFT;
    r.tells_definitions = definitions;
    while (!last) {
        enum response_step step = show(&r, s->bytes + at, shown - at, &found, &why);
        if (step == STEP_BAD)
            fail_msg("%s at %zu: %s", rec->name, at, why.text);
        if (step == STEP_MORE) {
            assert_true(found.need > shown - at);
            assert_true(at + found.need <= rec->data.len);
            shown = more_of(&chance, shown, rec->data.len);
            continue;
        }
        assert_true(found.len <= shown - at);
        assert_true(found.len > 0 || step == STEP_COLUMNS_END);
        last = found.last;
        if (step != STEP_PASS || last) {
            assert_true(s->count < EVENTS_MAX);
            /* Text is passed in pieces; only its end is an event. */
            size_t where = step == STEP_PASS ? at + found.len : at;
            s->events[s->count++] =
                (struct event){ letter_of(step, last), where, found.payload_len };
        }
        at += found.len;
        if (step == STEP_INFILE)
            response_after_infile(&r, frame_seq(rec->data.data + at));
    }
    assert_int_equal(at, rec->data.len);
    assert_int_equal(r.bytes, rec->data.len);
    s->rows = r.rows;
}

static void tell(struct story *s, const struct record *rec, unsigned chance)
{
    tell_more(s, rec, chance, false);
}

static void check_steps(const struct record *rec, const struct story *s)
{
    char steps[EVENTS_MAX + 1] = "";
    for (unsigned i = 0; i < s->count; i++)
        steps[i] = s->events[i].letter;
    if (strcmp(steps, rec->steps) != 0)
        fail_msg("%s: expected %s, got %s", rec->name, rec->steps, steps);
}

static void check_numbers(const struct record *rec, const struct story *s)
{
    uint8_t *expected = malloc(rec->data.len);
    memcpy(expected, rec->data.data, rec->data.len);
    for (size_t at = 0; at < rec->data.len; at += FRAME_HEADER + frame_len(expected + at))
        expected[at + 3] += SHIFT;
    assert_memory_equal(s->bytes, expected, rec->data.len);
    free(expected);
}

static void check_same(const struct record *rec, const struct story *whole, unsigned chance)
{
    struct story s;
    tell(&s, rec, chance);
    assert_int_equal(s.count, whole->count);
    for (unsigned i = 0; i < s.count; i++) {
        assert_int_equal(s.events[i].letter, whole->events[i].letter);
        assert_int_equal(s.events[i].at, whole->events[i].at);
        assert_int_equal(s.events[i].payload_len, whole->events[i].payload_len);
    }
    assert_int_equal(s.rows, whole->rows);
    assert_memory_equal(s.bytes, whole->bytes, rec->data.len);
    free(s.bytes);
}

static void whole_and_in_pieces(const struct record *rec, void *arg)
{
    struct story whole;
    if (kind_of(rec->kind) == RESPONSE_NONE)
        return;
    tell(&whole, rec, 0);
    check_steps(rec, &whole);
    check_numbers(rec, &whole);
    for (unsigned chance = 1; chance < 20; chance++)
        check_same(rec, &whole, chance);
    free(whole.bytes);
    ++*(unsigned *)arg;
}

static void recorded_responses_end_where_they_end_however_they_come(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(recorded_families); i++) {
        unsigned told = 0;
        each_record(recorded_families[i], whole_and_in_pieces, &told);
        assert_true(told > 100);
    }
}

/* Within compressed frames a server's numbers jump: what passes is numbered as if they did not. */
static void with_jumping_numbers(const struct record *rec, void *arg)
{
    struct story plain;
    struct response r;
    struct response_found found;
    struct fault why = FAULT_NONE;
    (void)arg;
    if (kind_of(rec->kind) == RESPONSE_NONE || strchr(rec->steps, 'i') != NULL)
        return;
    tell(&plain, rec, 0);
    uint8_t *bytes = malloc(rec->data.len);
    memcpy(bytes, rec->data.data, rec->data.len);
    for (size_t at = 0; at < rec->data.len; at += FRAME_HEADER + frame_len(bytes + at))
        bytes[at + 3] = (uint8_t)(at * 7);
    response_begin(&r, kind_of(rec->kind), rec->caps, rec->seq);
    r.seq_shift = SHIFT;
    r.any_seq = true;
    for (size_t at = 0; at == 0 || !found.last; at += found.len)
        if (show(&r, bytes + at, rec->data.len - at, &found, &why) == STEP_BAD)
            fail_msg("%s at %zu: %s", rec->name, at, why.text);
    assert_memory_equal(bytes, plain.bytes, rec->data.len);
    free(bytes);
    free(plain.bytes);
}

static void numbers_need_not_be_right_within_compressed_frames(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(recorded_families); i++)
        each_record(recorded_families[i], with_jumping_numbers, NULL);
}

/* A definition follows the count or another definition. */
static void with_definitions(const struct record *rec, void *arg)
{
    struct story plain, told, pieces;
    char steps[EVENTS_MAX + 1] = "";
    unsigned n = 0, *definitions = arg;
    if (kind_of(rec->kind) == RESPONSE_NONE)
        return;
    tell(&plain, rec, 0);
    tell_more(&told, rec, 0, true);
    tell_more(&pieces, rec, 7, true);
    for (unsigned i = 0; i < told.count; i++) {
        if (strchr("nd", told.events[i].letter) == NULL)
            steps[n++] = told.events[i].letter;
        *definitions += told.events[i].letter == 'd';
        assert_int_equal(told.events[i].letter, pieces.events[i].letter);
        assert_int_equal(told.events[i].at, pieces.events[i].at);
    }
    assert_string_equal(steps, rec->steps);
    assert_int_equal(told.rows, plain.rows);
    assert_memory_equal(told.bytes, plain.bytes, rec->data.len);
    assert_memory_equal(pieces.bytes, plain.bytes, rec->data.len);
    free(plain.bytes);
    free(told.bytes);
    free(pieces.bytes);
}

static void definitions_are_told_one_by_one_to_who_asks(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(recorded_families); i++) {
        unsigned definitions = 0;
        each_record(recorded_families[i], with_definitions, &definitions);
        assert_true(definitions > 200);
    }
}

static void count_left_out(const struct record *rec, void *arg)
{
    struct story s;
    static const char *const without[] = { "kept_again",   "kept_cursor_again", "kept_bulk_again",
                                           "none_text",    "none_multi",        "none_prepare",
                                           "none_execute", "none_cursor",       "none_call" };
    const char *name = strchr(rec->name, '_');
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(without); i++) {
        if (strcmp(name + 1, without[i]) != 0)
            continue;
        tell_more(&s, rec, 0, true);
        for (unsigned at = 0; at < s.count; at++)
            assert_int_not_equal(s.events[at].letter, 'd');
        free(s.bytes);
        ++*(unsigned *)arg;
    }
}

static void definitions_may_be_left_out(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (size_t i = 0; i < ARRAY_LEN(recorded_families); i++)
        each_record(recorded_families[i], count_left_out, &seen);
    assert_int_equal(seen, 2 * 9);
}

static void count_rows(const struct record *rec, void *arg)
{
    static const struct {
        const char *name;
        uint64_t rows;
    } expected[] = {
        { "select", 1 },        { "select_rows", 4 }, { "select_none", 0 }, { "multi", 2 },
        { "error_in_rows", 2 }, { "execute", 3 },     { "field_list", 0 },  { "fetch", 2 },
        { "fetch_last", 1 },    { "insert", 0 },
    };
    const char *name = strchr(rec->name, '_');
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(expected); i++) {
        struct story s;
        if (strcmp(name + 1, expected[i].name) != 0)
            continue;
        tell(&s, rec, 0);
        assert_int_equal(s.rows, expected[i].rows);
        free(s.bytes);
        ++*(unsigned *)arg;
    }
}

static void rows_are_counted_but_not_field_definitions(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (size_t i = 0; i < ARRAY_LEN(recorded_families); i++)
        each_record(recorded_families[i], count_rows, &seen);
    assert_int_equal(seen, 2 * 3 * 10);
}

static void cut_short(const struct record *rec, void *arg)
{
    (void)arg;
    enum response_kind kind = kind_of(rec->kind);
    size_t cut = rec->data.len - 1;
    struct response r;
    struct response_found found;
    struct fault why = FAULT_NONE;
    if (kind == RESPONSE_NONE || strstr(rec->steps, "i") != NULL)
        return;
    uint8_t *bytes = malloc(rec->data.len);
    memcpy(bytes, rec->data.data, cut);
    response_begin(&r, kind, rec->caps, rec->seq);
    size_t at = 0;
    for (;;) {
        enum response_step step = show(&r, bytes + at, cut - at, &found, &why);
        assert_int_not_equal(step, STEP_BAD);
        assert_false(found.last);
        if (step == STEP_MORE)
            break;
        at += found.len;
    }
    free(bytes);
}

static void a_response_without_its_last_byte_is_not_over(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(recorded_families); i++)
        each_record(recorded_families[i], cut_short, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_responses_end_where_they_end_however_they_come),
        cmocka_unit_test(numbers_need_not_be_right_within_compressed_frames),
        cmocka_unit_test(definitions_are_told_one_by_one_to_who_asks),
        cmocka_unit_test(definitions_may_be_left_out),
        cmocka_unit_test(rows_are_counted_but_not_field_definitions),
        cmocka_unit_test(a_response_without_its_last_byte_is_not_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
