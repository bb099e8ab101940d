#include "recorded.h"

static void the_answer_to_a_prepare_is_read(void **state)
{
    (void)state;
    struct prepared p;
    struct fault why = FAULT_NONE;
    struct bytes whole = BYTES_LITERAL("\0\4\3\2\1\2\0\3\0\0\5\0");
    assert_true(prepared_read(whole, &p, &why));
    assert_int_equal(p.id, 0x01020304);
    assert_int_equal(p.columns, 2);
    assert_int_equal(p.params, 3);
    assert_int_equal(p.warnings, 5);
    for (size_t n = 0; n < whole.len; n++) {
        struct bytes cut = exact_copy(bytes_of(whole.data, n));
        assert_false(prepared_read(cut, &p, &why));
        exact_free(cut);
    }
    assert_false(prepared_read(BYTES_LITERAL("\1\4\3\2\1\2\0\3\0\0\5\0"), &p, &why));
    assert_int_equal(why.blame, BLAME_SERVER);
}

static void recorded_prepare(const struct record *rec, void *arg)
{
    struct prepared p;
    if (strcmp(rec->name, "new_prepare_both") != 0)
        return;
    struct bytes payload = bytes_of(rec->data.data + FRAME_HEADER, frame_len(rec->data.data));
    assert_true(prepared_read(payload, &p, NULL));
    assert_int_equal(p.columns, 2);
    assert_int_equal(p.params, 2);
    ++*(unsigned *)arg;
}

static void the_answers_of_servers_are_read(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (size_t i = 0; i < ARRAY_LEN(recorded_families); i++)
        each_record(recorded_families[i], recorded_prepare, &seen);
    assert_int_equal(seen, 2);
}

/* Nine parameters: two bytes of NULL bitmap. */
#define FRONT "\x17\4\3\2\1\1\1\0\0\0"
#define TYPES "\x08\0\xFD\0\x08\0\x08\0\x08\0\x08\0\x08\0\x08\0\x03\x80"

static void the_front_of_an_execute_is_read(void **state)
{
    (void)state;
    struct execute e;
    struct fault why = FAULT_NONE;
    struct bytes whole = BYTES_LITERAL(FRONT "\2\1"
                                             "\1" TYPES "values");
    assert_true(execute_read(whole, 9, &e, &why));
    assert_int_equal(e.id, 0x01020304);
    assert_int_equal(e.flags, 1);
    assert_int_equal(e.iterations, 1);
    assert_true(e.types_sent);
    assert_bytes_equal(e.types, BYTES_LITERAL(TYPES));
    assert_int_equal(e.bound_flag_at, 12);
    assert_int_equal(whole.data[e.bound_flag_at], 1);

    /* The values may come later. */
    size_t front = whole.len - strlen("values");
    for (size_t n = 0; n <= whole.len; n++) {
        struct bytes cut = exact_copy(bytes_of(whole.data, n));
        assert_int_equal(execute_read(cut, 9, &e, &why), n >= front);
        exact_free(cut);
    }
}

static void types_may_be_those_of_the_last_execution(void **state)
{
    (void)state;
    struct execute e;
    assert_true(execute_read(BYTES_LITERAL(FRONT "\0\0"
                                                 "\0"
                                                 "values"),
                             9, &e, NULL));
    assert_false(e.types_sent);
    assert_int_equal(e.types.len, 0);
    assert_int_equal(e.bound_flag_at, 12);
}

static void without_parameters_only_the_fixed_part_counts(void **state)
{
    (void)state;
    struct execute e;
    assert_true(execute_read(BYTES_LITERAL(FRONT), 0, &e, NULL));
    assert_int_equal(e.bound_flag_at, 0);
    assert_false(e.types_sent);
    assert_int_equal(sizeof FRONT - 1, EXECUTE_FIXED_BYTES);
}

static void other_commands_are_no_execute(void **state)
{
    (void)state;
    struct execute e;
    struct fault why = FAULT_NONE;
    assert_false(execute_read(BYTES_LITERAL("\x16\4\3\2\1\1\1\0\0\0"), 0, &e, &why));
    assert_int_equal(why.blame, BLAME_CLIENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_to_a_prepare_is_read),
        cmocka_unit_test(the_answers_of_servers_are_read),
        cmocka_unit_test(the_front_of_an_execute_is_read),
        cmocka_unit_test(types_may_be_those_of_the_last_execution),
        cmocka_unit_test(without_parameters_only_the_fixed_part_counts),
        cmocka_unit_test(other_commands_are_no_execute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
