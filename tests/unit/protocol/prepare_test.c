#include "recorded.h"

static void the_answer_to_a_prepare_is_read(void **state)
{
    (void)state;
    struct prepared p;
    struct fault why = FAULT_NONE;
    struct bytes whole = BYTES_LITERAL("\0\4\3\2\1\2\0\3\0\0\5\0");
    assert_true(prepared_read(whole, 0, &p, &why));
    assert_int_equal(p.id, 0x01020304);
    assert_int_equal(p.columns, 2);
    assert_int_equal(p.params, 3);
    assert_int_equal(p.warnings, 5);
    for (size_t n = 0; n < whole.len; n++) {
        struct bytes cut = exact_copy(bytes_of(whole.data, n));
        assert_false(prepared_read(cut, 0, &p, &why));
        exact_free(cut);
    }
    assert_false(prepared_read(BYTES_LITERAL("\1\4\3\2\1\2\0\3\0\0\5\0"), 0, &p, &why));
    assert_int_equal(why.blame, BLAME_SERVER);
}

static void recorded_prepare(const struct record *rec, void *arg)
{
    struct prepared p;
    if (strcmp(rec->name, "new_prepare_both") != 0)
        return;
    struct bytes payload = bytes_of(rec->data.data + FRAME_HEADER, frame_len(rec->data.data));
    assert_true(prepared_read(payload, rec->caps, &p, NULL));
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
    assert_true(execute_read(whole, 9, 0, &e, &why));
    assert_int_equal(e.id, 0x01020304);
    assert_int_equal(e.flags, 1);
    assert_int_equal(e.n_values, 9);
    assert_true(e.types_sent);
    assert_int_equal(e.nulls_at, 10);
    assert_int_equal(e.flag_at, 12);
    assert_int_equal(e.flag, 1);
    assert_int_equal(e.types_at, 13);
    assert_text(bytes_skip(whole, e.values_at), "values");
    uint8_t types[18];
    execute_types(whole, &e, 9, types);
    assert_memory_equal(types, TYPES, sizeof types);

    /* The values may come later. */
    size_t front = whole.len - strlen("values");
    for (size_t n = 0; n <= whole.len; n++) {
        struct bytes cut = exact_copy(bytes_of(whole.data, n));
        assert_int_equal(execute_read(cut, 9, 0, &e, &why), n >= front);
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
                             9, 0, &e, NULL));
    assert_false(e.types_sent);
    assert_int_equal(e.flag_at, 12);
    assert_int_equal(e.types_at, e.values_at);
}

static void without_parameters_only_the_fixed_part_counts(void **state)
{
    (void)state;
    struct execute e;
    assert_true(execute_read(BYTES_LITERAL(FRONT), 0, 0, &e, NULL));
    assert_int_equal(e.flag_at, 0);
    assert_false(e.types_sent);
    assert_int_equal(sizeof FRONT - 1, EXECUTE_FIXED_BYTES);
}

static void a_prepare_may_say_that_no_definitions_follow(void **state)
{
    (void)state;
    struct prepared p;
    struct bytes none = BYTES_LITERAL("\0\4\3\2\1\2\0\3\0\0\5\0\0");
    assert_true(prepared_read(none, CAP_OPTIONAL_METADATA, &p, NULL));
    assert_false(p.follow);
    assert_true(prepared_read(BYTES_LITERAL("\0\4\3\2\1\2\0\3\0\0\5\0\1"), CAP_OPTIONAL_METADATA,
                              &p, NULL));
    assert_true(p.follow);
    assert_false(prepared_read(bytes_of(none.data, none.len - 1), CAP_OPTIONAL_METADATA, &p, NULL));
    assert_true(prepared_read(none, 0, &p, NULL));
    assert_true(p.follow);
}

static void the_front_of_a_bulk_execute_is_read(void **state)
{
    (void)state;
    struct execute e;
    uint8_t types[4];
    struct bytes whole = BYTES_LITERAL("\xFA\4\3\2\1\x80\0\x08\0\xFD\0values");
    assert_true(execute_read(whole, 2, 0, &e, NULL));
    assert_int_equal(e.id, 0x01020304);
    assert_true(e.types_sent);
    assert_int_equal(e.flag_at, 5);
    assert_int_equal(e.flag, BULK_TYPES);
    assert_text(bytes_skip(whole, e.values_at), "values");
    execute_types(whole, &e, 2, types);
    assert_memory_equal(types, "\x08\0\xFD\0", 4);
    for (size_t n = 0; n < 11; n++) {
        struct bytes cut = exact_copy(bytes_of(whole.data, n));
        assert_false(execute_read(cut, 2, 0, &e, NULL));
        exact_free(cut);
    }
    assert_true(execute_read(BYTES_LITERAL("\xFA\4\3\2\1\x40\0"), 2, 0, &e, NULL));
    assert_false(e.types_sent);
    assert_int_equal(e.types_at, 7);
    assert_int_equal(e.flags, BULK_UNIT_RESULTS);
}

/* As mysql's client sends them: two parameters, one attribute. */
#define NAMED "\x17\4\3\2\1\x08\1\0\0\0\3\0\1"

static void types_may_have_names(void **state)
{
    (void)state;
    struct execute e;
    struct fault why = FAULT_NONE;
    uint8_t types[4];
    struct bytes whole = BYTES_LITERAL(NAMED "\x08\0\0\xFD\0\0\3\0\4name"
                                             "values");
    assert_true(execute_read(whole, 2, CAP_QUERY_ATTRIBUTES, &e, &why));
    assert_true(e.has_names);
    assert_int_equal(e.n_values, 3);
    assert_int_equal(e.nulls_at, 11);
    assert_int_equal(e.flag_at, 12);
    assert_int_equal(e.types_at, 13);
    assert_text(bytes_skip(whole, e.values_at), "values");
    execute_types(whole, &e, 2, types);
    assert_memory_equal(types, "\x08\0\xFD\0", 4);
    /* fewer values than parameters; attributes without types */
    assert_false(execute_read(whole, 4, CAP_QUERY_ATTRIBUTES, &e, &why));
    assert_int_equal(why.code, ER_MALFORMED_PACKET);
    assert_false(execute_read(BYTES_LITERAL("\x17\4\3\2\1\x08\1\0\0\0\3\0\0"), 2,
                              CAP_QUERY_ATTRIBUTES, &e, &why));
    assert_false(
        execute_read(BYTES_LITERAL("\x17\4\3\2\1\x08\1\0\0\0\xFE\377\377\377\377\377\377\377\377"),
                     2, CAP_QUERY_ATTRIBUTES, &e, &why));
}

/* A bit each and nothing more: they are all NULL, and their types were sent before. */
static void there_may_be_more_parameters_than_bytes(void **state)
{
    (void)state;
    struct execute e;
    struct bytes plain = BYTES_LITERAL("\x17\4\3\2\1\0\1\0\0\0"
                                       "\377\377\377\377\377"
                                       "\0");
    struct bytes named = BYTES_LITERAL("\x17\4\3\2\1\x08\1\0\0\0\50"
                                       "\377\377\377\377\377"
                                       "\0");
    assert_true(execute_read(plain, 40, 0, &e, NULL));
    assert_int_equal(e.values_at, plain.len);
    assert_true(execute_read(named, 40, CAP_QUERY_ATTRIBUTES, &e, NULL));
    assert_int_equal(e.values_at, named.len);
}

static void without_parameters_only_the_flag_announces_a_count(void **state)
{
    (void)state;
    struct execute e;
    const uint64_t caps = CAP_QUERY_ATTRIBUTES;
    assert_true(execute_read(BYTES_LITERAL("\x17\4\3\2\1\0\1\0\0\0"), 0, caps, &e, NULL));
    assert_int_equal(e.n_values, 0);
    assert_false(execute_read(BYTES_LITERAL("\x17\4\3\2\1\x08\1\0\0\0"), 0, caps, &e, NULL));
    assert_true(execute_read(BYTES_LITERAL("\x17\4\3\2\1\x08\1\0\0\0\0"), 0, caps, &e, NULL));
    assert_true(execute_read(BYTES_LITERAL("\x17\4\3\2\1\x08\1\0\0\0\1\0\1\3\0\1x1234"), 0, caps,
                             &e, NULL));
    assert_int_equal(e.n_values, 1);
}

static void other_commands_are_no_execute(void **state)
{
    (void)state;
    struct execute e;
    struct fault why = FAULT_NONE;
    assert_false(execute_read(BYTES_LITERAL("\x16\4\3\2\1\1\1\0\0\0"), 0, 0, &e, &why));
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
        cmocka_unit_test(a_prepare_may_say_that_no_definitions_follow),
        cmocka_unit_test(the_front_of_a_bulk_execute_is_read),
        cmocka_unit_test(types_may_have_names),
        cmocka_unit_test(there_may_be_more_parameters_than_bytes),
        cmocka_unit_test(without_parameters_only_the_flag_announces_a_count),
        cmocka_unit_test(other_commands_are_no_execute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
