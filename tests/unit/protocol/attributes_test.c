#include "recorded.h"

static size_t text_at(struct bytes payload, uint64_t caps)
{
    size_t at = SIZE_MAX;
    struct fault why = FAULT_NONE;
    struct bytes exact = exact_copy(payload);
    bool read = query_read(exact, caps, &at, &why);
    exact_free(exact);
    if (!read)
        assert_int_equal(why.code, ER_MALFORMED_PACKET);
    return read ? at : SIZE_MAX;
}

static void assert_text_is(struct bytes payload, const char *text)
{
    size_t at = text_at(payload, CAP_QUERY_ATTRIBUTES);
    assert_true(at <= payload.len);
    assert_text(bytes_skip(payload, at), text);
}

static void without_the_capability_all_is_text(void **state)
{
    (void)state;
    assert_int_equal(text_at(BYTES_LITERAL("\3select 1"), 0), 1);
    assert_int_equal(text_at(BYTES_LITERAL("\3\0\1select 1"), 0), 1);
    assert_int_equal(text_at(BYTES_LITERAL("\3"), 0), 1);
}

static void no_attributes_take_two_bytes(void **state)
{
    (void)state;
    assert_text_is(BYTES_LITERAL("\3\0\1select 1"), "select 1");
    assert_text_is(BYTES_LITERAL("\3\0\1"), "");
}

static void the_text_is_behind_values_of_any_type(void **state)
{
    static const struct {
        uint8_t type;
        const char *value;
        size_t len;
    } cases[] = {
        { 0x00, "\0031.5", 4 },
        { 0x01, "\5", 1 },
        { 0x02, "\5\0", 2 },
        { 0x03, "\5\0\0\0", 4 },
        { 0x04, "\0\0\0\0", 4 },
        { 0x05, "\0\0\0\0\0\0\0\0", 8 },
        { 0x07, "\4\xe7\7\1\2", 5 },
        { 0x08, "\5\0\0\0\0\0\0\0", 8 },
        { 0x0A, "\0", 1 },
        { 0x0B, "\x08\0\0\0\0\0\1\2\3", 9 },
        { 0x0C, "\7\xe7\7\1\2\3\4\5", 8 },
        { 0x0F, "\2ab", 3 },
        { 0x10, "\1\1", 2 },
        { 0xF5, "\2{}", 3 },
        { 0xF6, "\0031.5", 4 },
        { 0xFC, "\xFC\3\0abc", 6 },
        { 0xFD, "\0", 1 },
        { 0xFE, "\1a", 2 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = { 0 };
        buf_add(&b, BYTES_LITERAL("\3\1\1\0\1"));
        write_u16(&b, cases[i].type);
        buf_add(&b, BYTES_LITERAL("\1x"));
        buf_add(&b, bytes_of(cases[i].value, cases[i].len));
        buf_add(&b, BYTES_LITERAL("do 1"));
        assert_text_is(buf_bytes(&b), "do 1");
        size_t front = buf_len(&b) - strlen("do 1");
        for (size_t n = 1; n < front; n++)
            assert_int_equal(text_at(bytes_of(buf_head(&b), n), CAP_QUERY_ATTRIBUTES), SIZE_MAX);
        buf_release(&b);
    }
}

static void a_null_has_no_value(void **state)
{
    (void)state;
    assert_text_is(BYTES_LITERAL("\3\2\1\1\1\xFD\0\1x\3\0\1y1234do 1"), "do 1");
}

/* MySQL 9.7 refuses these, too. */
static void nonsense_is_refused(void **state)
{
    (void)state;
    const uint64_t caps = CAP_QUERY_ATTRIBUTES;
    assert_int_equal(text_at(BYTES_LITERAL("\3select 1"), caps), SIZE_MAX);
    assert_int_equal(text_at(BYTES_LITERAL("\3\0\0select 1"), caps), SIZE_MAX);
    assert_int_equal(text_at(BYTES_LITERAL("\3\0\2select 1"), caps), SIZE_MAX);
    assert_int_equal(text_at(BYTES_LITERAL("\3"), caps), SIZE_MAX);
    assert_int_equal(text_at(BYTES_LITERAL("\3\0"), caps), SIZE_MAX);
    assert_int_equal(text_at(BYTES_LITERAL("\3\1\1\0\0select 1"), caps), SIZE_MAX);
    assert_int_equal(
        text_at(BYTES_LITERAL("\3\xFE\377\377\377\377\377\377\377\377\1select 1"), caps), SIZE_MAX);
    assert_int_equal(text_at(BYTES_LITERAL("\3\xFC\377\377\1select 1"), caps), SIZE_MAX);
}

static void strips(struct bytes named, unsigned params, struct bytes plain)
{
    struct execute x;
    struct fault why = FAULT_NONE;
    struct bytes exact = exact_copy(named);
    uint8_t *to = malloc(named.len);
    assert_true(execute_read(exact, params, CAP_QUERY_ATTRIBUTES, &x, &why));
    size_t len = execute_strip(exact, &x, params, to, &why);
    assert_bytes_equal(bytes_of(to, len), plain);
    if (params > 0)
        assert_true(execute_read(bytes_of(to, len), params, 0, &x, &why));
    free(to);
    exact_free(exact);
}

#define FRONT(flags) "\x17\4\3\2\1" flags "\1\0\0\0"

static void an_execute_without_attributes_loses_count_and_names(void **state)
{
    (void)state;
    strips(BYTES_LITERAL(FRONT("\x09") "\2\0\1\3\0\0\xFD\0\0"
                                       "1234\1a"),
           2,
           BYTES_LITERAL(FRONT("\1") "\0\1\3\0\xFD\0"
                                     "1234\1a"));
    strips(BYTES_LITERAL(FRONT("\x08") "\2\0\0"
                                       "1234\1a"),
           2,
           BYTES_LITERAL(FRONT("\0") "\0\0"
                                     "1234\1a"));
    strips(BYTES_LITERAL(FRONT("\x08") "\0"), 0, BYTES_LITERAL(FRONT("\0")));
    strips(BYTES_LITERAL(FRONT("\0")), 0, BYTES_LITERAL(FRONT("\0")));
}

static void an_execute_loses_its_attributes_values(void **state)
{
    (void)state;
    strips(BYTES_LITERAL(FRONT("\x08") "\3\4\1\3\0\0\xFD\0\0\xFD\0\1n"
                                       "1234\1a"),
           2,
           BYTES_LITERAL(FRONT("\0") "\0\1\3\0\xFD\0"
                                     "1234\1a"));
    strips(BYTES_LITERAL(FRONT("\x08") "\3\1\1\3\0\0\xFD\0\0\xFD\0\1n"
                                       "\1a\3abc"),
           2,
           BYTES_LITERAL(FRONT("\0") "\1\1\3\0\xFD\0"
                                     "\1a"));
    strips(BYTES_LITERAL(FRONT("\x08") "\1\0\1\xFD\0\1n"
                                       "\3abc"),
           0, BYTES_LITERAL(FRONT("\0")));
    /* nine values in two bytes of bitmap, eight parameters in one */
    strips(BYTES_LITERAL(FRONT("\x08") "\x09\xFF\0\1"
                                       "\6\0\0\6\0\0\6\0\0\6\0\0\6\0\0\6\0\0\6\0\0\6\0\0"
                                       "\1\0\1n"
                                       "7"),
           8,
           BYTES_LITERAL(FRONT("\0") "\xFF\1"
                                     "\6\0\6\0\6\0\6\0\6\0\6\0\6\0\6\0"));
}

static void values_that_are_cut_are_not_stripped(void **state)
{
    (void)state;
    struct execute x;
    struct fault why = FAULT_NONE;
    uint8_t to[64];
    struct bytes named = BYTES_LITERAL(FRONT("\x08") "\2\0\1\3\0\0\xFD\0\1n"
                                                     "12");
    assert_true(execute_read(named, 1, CAP_QUERY_ATTRIBUTES, &x, &why));
    assert_int_equal(execute_strip(named, &x, 1, to, &why), 0);
    assert_int_equal(why.blame, BLAME_CLIENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_capability_all_is_text),
        cmocka_unit_test(no_attributes_take_two_bytes),
        cmocka_unit_test(the_text_is_behind_values_of_any_type),
        cmocka_unit_test(a_null_has_no_value),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(an_execute_without_attributes_loses_count_and_names),
        cmocka_unit_test(an_execute_loses_its_attributes_values),
        cmocka_unit_test(values_that_are_cut_are_not_stripped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
