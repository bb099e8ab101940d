/* Sets of session state: equal ones are one, what differs is written as SET. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "pool/inside.h"

#define B(text) BYTES_LITERAL(text)

/* A state with these variables; name and value in turn, ended by NULL. */
static struct state *state_of(const char *schema, ...)
{
    struct state_var vars[16];
    unsigned n = 0;
    struct bytes name = bytes_str(schema);
    struct state *none = state_at_login(0, 0);
    va_list ap;
    va_start(ap, schema);
    for (const char *s; (s = va_arg(ap, const char *)) != NULL; n++)
        vars[n] = (struct state_var){ bytes_str(s), bytes_str(va_arg(ap, const char *)) };
    va_end(ap);
    struct state *s = state_changed(none, &name, vars, n);
    state_drop(none);
    return s;
}

/* What leads from one to the other, as text; takes over both. */
static const char *set_under(uint64_t caps, struct state *from, struct state *to, const uint64_t *insert_id)
{
    static char text[1024];
    struct buf sql = { 0 };
    bool wrote = state_write_set(from, to, caps, insert_id, &sql);
    assert_true(buf_len(&sql) < sizeof text);
    if (wrote)
        memcpy(text, buf_head(&sql), buf_len(&sql));
    text[buf_len(&sql)] = '\0';
    assert_int_equal(wrote, text[0] != '\0');
    buf_release(&sql);
    state_drop(from);
    state_drop(to);
    return text;
}

static const char *set_between(struct state *from, struct state *to, const uint64_t *insert_id)
{
    return set_under(0, from, to, insert_id);
}

static void drop_two(struct state *a, struct state *b)
{
    state_drop(a);
    state_drop(b);
}

static void equal_sets_are_the_same_pointer(void **state)
{
    (void)state;
    struct state *a = state_of("shop", "sql_mode", "ANSI", "autocommit", "OFF", NULL);
    struct state *b = state_of("shop", "autocommit", "OFF", "sql_mode", "ANSI", NULL);
    struct state *c = state_of("shop", "autocommit", "ON", "sql_mode", "ANSI", NULL);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    drop_two(a, b);
    state_drop(c);
}

static void where_a_value_ends_cannot_be_mistaken(void **state)
{
    (void)state;
    struct state *a = state_of("s", "ab", "c", NULL);
    struct state *b = state_of("s", "a", "bc", NULL);
    struct state *c = state_of("sab", "c", "", NULL);
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(a, c);
    drop_two(a, b);
    state_drop(c);
}

static void a_later_change_of_a_variable_wins(void **state)
{
    (void)state;
    struct state *a = state_of("", "x", "1", "y", "2", "x", "3", NULL);
    assert_memory_equal(state_value(a, B("x")).data, "3", 1);
    assert_int_equal(a->n_vars, 2);
    struct state_var back = { B("x"), B("1") };
    struct state *b = state_changed(a, NULL, &back, 1);
    struct state *c = state_of("", "x", "1", "y", "2", NULL);
    assert_ptr_equal(b, c);
    drop_two(a, b);
    state_drop(c);
}

static void a_change_without_a_value_takes_a_variable_out(void **state)
{
    const struct state_var gone[] = { { B("b"), BYTES_NONE }, { B("z"), BYTES_NONE } };
    (void)state;
    struct state *s = state_of("s", "a", "1", "b", "2", "c", "", NULL);
    struct state *without = state_changed(s, NULL, gone, ARRAY_LEN(gone));
    struct state *same = state_of("s", "a", "1", "c", "", NULL);
    assert_ptr_equal(without, same);
    assert_true(state_undoes(s, without));
    assert_false(state_undoes(without, s));
    drop_two(s, without);
    state_drop(same);
}

static void names_that_are_no_words_are_not_taken(void **state)
{
    (void)state;
    assert_true(state_takes(B("time_zone")) && state_takes(B("validate_password.length")));
    assert_true(state_takes(B("wsrep_OSU_method")) && state_takes(B("a1")));
    assert_false(state_takes(B("")) || state_takes(B("a b")) || state_takes(B("a=1,b")));
    assert_false(state_takes(B(".a")) || state_takes(B("a.")) || state_takes(B("a..b")));
    assert_false(state_takes(B("a;")) || state_takes(B("a\xC3\xA4")) || state_takes(B("`a`")));
}

static void a_change_keeps_the_schema_unless_told(void **state)
{
    (void)state;
    struct state *a = state_of("shop", NULL);
    struct state_var var = { B("x"), B("1") };
    struct state *b = state_changed(a, NULL, &var, 1);
    assert_true(bytes_equal(b->schema, B("shop")));
    struct bytes none = B("");
    struct state *c = state_changed(b, &none, NULL, 0);
    assert_int_equal(c->schema.len, 0);
    assert_int_equal(c->n_vars, 1);
    drop_two(a, b);
    state_drop(c);
}

static void a_missing_variable_has_no_value(void **state)
{
    (void)state;
    struct state *a = state_of("", "x", "", NULL);
    assert_non_null(state_value(a, B("x")).data);
    assert_int_equal(state_value(a, B("x")).len, 0);
    assert_null(state_value(a, B("y")).data);
    state_drop(a);
}

static void the_distance_counts_what_differs(void **state)
{
    (void)state;
    struct state *a = state_of("shop", "a", "1", "b", "2", NULL);
    struct state *b = state_of("test", "b", "3", "c", "4", NULL);
    assert_int_equal(state_distance(a, a), 0);
    assert_int_equal(state_distance(a, b), 4);
    assert_int_equal(state_distance(b, a), 4);
    drop_two(a, b);
}

static void a_schema_cannot_be_left_for_none(void **state)
{
    (void)state;
    struct state *a = state_of("shop", NULL), *b = state_of("", NULL);
    assert_true(state_distance(a, b) == SIZE_MAX);
    assert_int_equal(state_distance(b, a), 1);
    drop_two(a, b);
}

static void nothing_is_written_when_nothing_differs(void **state)
{
    (void)state;
    assert_string_equal(
        set_between(state_of("a", "x", "1", NULL), state_of("b", "x", "1", NULL), NULL), "");
}

static void values_are_written_as_they_are_read(void **state)
{
    static const struct {
        const char *value, *sql;
    } cases[] = {
        { "17", "SET @@session.v=17" },
        { "-1.5", "SET @@session.v=-1.5" },
        { ".5", "SET @@session.v=.5" },
        { "1.2.3", "SET @@session.v='1.2.3'" },
        { "-", "SET @@session.v='-'" },
        { ".", "SET @@session.v='.'" },
        { "1e5", "SET @@session.v='1e5'" },
        { "+07:00", "SET @@session.v='+07:00'" },
        { "12345678901234567890123456789012345678901",
          "SET @@session.v='12345678901234567890123456789012345678901'" },
        { "", "SET @@session.v=''" },
        { "ON", "SET @@session.v='ON'" },
        { "STRICT_ALL_TABLES,NO_ZERO_DATE", "SET @@session.v='STRICT_ALL_TABLES,NO_ZERO_DATE'" },
        { "it's", "SET @@session.v=_utf8 0x69742773" },
        { "a\\b", "SET @@session.v=_utf8 0x615c62" },
        { "a\"b`c", "SET @@session.v='a\"b`c'" },
        { "\xc3\xa4\n", "SET @@session.v=_utf8 0xc3a40a" },
        { "\x7f", "SET @@session.v=_utf8 0x7f" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(
            set_between(state_of("", NULL), state_of("", "v", cases[i].value, NULL), NULL),
            cases[i].sql);
}

static void a_variable_that_is_not_in_the_set_goes_back_to_its_default(void **state)
{
    (void)state;
    assert_string_equal(
        set_between(state_of("", "a", "1", "b", "2", NULL), state_of("", "b", "2", NULL), NULL),
        "SET @@session.a=DEFAULT");
    /* MySQL's default of these two is not the global value */
    assert_string_equal(set_between(state_of("", "foreign_key_checks", "OFF", "unique_checks", "OFF", NULL),
                                    state_of("", NULL), NULL),
                        "SET @@session.foreign_key_checks=@@global.foreign_key_checks,"
                        "@@session.unique_checks=@@global.unique_checks");
}

static void no_character_set_for_results_is_null(void **state)
{
    (void)state;
    assert_string_equal(
        set_between(state_of("", NULL), state_of("", "character_set_results", "", NULL), NULL),
        "SET @@session.character_set_results=NULL");
}

/* Setting the character set also sets its default collation, so the collation comes after it. */
static void the_collation_follows_its_character_set(void **state)
{
    (void)state;
    assert_string_equal(
        set_between(
            state_of("", "character_set_connection", "latin1", "collation_connection", "x", NULL),
            state_of("", "character_set_connection", "utf8mb4", "collation_connection", "x", NULL),
            NULL),
        "SET @@session.character_set_connection='utf8mb4',@@session.collation_connection='x'");
    assert_string_equal(
        set_between(
            state_of("", "character_set_connection", "latin1", "collation_connection", "x", NULL),
            state_of("", "character_set_connection", "utf8mb4", "collation_connection", "y", NULL),
            NULL),
        "SET @@session.character_set_connection='utf8mb4',@@session.collation_connection='y'");
    assert_string_equal(set_between(state_of("", "collation_connection", "x", NULL),
                                    state_of("", "collation_connection", "y", NULL), NULL),
                        "SET @@session.collation_connection='y'");
}

static void the_insert_id_is_written_even_if_nothing_else_differs(void **state)
{
    uint64_t id = UINT64_MAX;
    (void)state;
    assert_string_equal(set_between(state_of("", NULL), state_of("", NULL), &id),
                        "SET @@session.last_insert_id=18446744073709551615");
    id = 0;
    assert_string_equal(set_between(state_of("", NULL), state_of("", "a", "1", NULL), &id),
                        "SET @@session.a=1,@@session.last_insert_id=0");
}

static void a_login_sets_all_of_its_character_set(void **state)
{
    (void)state;
    struct state *latin = state_at_login(8, 45);
    assert_true(bytes_equal(state_value(latin, B("character_set_client")), B("latin1")));
    assert_true(bytes_equal(state_value(latin, B("character_set_connection")), B("latin1")));
    assert_true(bytes_equal(state_value(latin, B("character_set_results")), B("latin1")));
    assert_true(bytes_equal(state_value(latin, B("collation_connection")), B("latin1_swedish_ci")));
    assert_int_equal(latin->schema.len, 0);
    state_drop(latin);
}

/* 35 is ucs2, 54 utf16, 60 utf32: no client can speak those. */
static void a_login_with_a_collation_that_cannot_be_gets_the_fallback(void **state)
{
    static const unsigned bad[] = { 0, 35, 54, 60, 65535 };
    (void)state;
    struct state *usual = state_at_login(45, 45);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct state *s = state_at_login(bad[i], 45);
        assert_ptr_equal(s, usual);
        state_drop(s);
    }
    state_drop(usual);
}

static void to_prepare_again_everything_is_as_then(void **state)
{
    (void)state;
    struct state *then = state_of("shop", "sql_mode", "ANSI", NULL);
    struct state *now = state_of("test", "sql_mode", "", "time_zone", "UTC", NULL);
    struct state *s = state_to_prepare_in(then, now);
    assert_ptr_equal(s, then);
    drop_two(then, now);
    state_drop(s);
}

static void to_prepare_again_autocommit_stays(void **state)
{
    (void)state;
    struct state *then = state_of("shop", "autocommit", "OFF", "sql_mode", "ANSI", NULL);
    struct state *on = state_of("shop", "autocommit", "ON", NULL), *unset = state_of("shop", NULL);
    struct state *s = state_to_prepare_in(then, on);
    struct state *expected = state_of("shop", "autocommit", "ON", "sql_mode", "ANSI", NULL);
    assert_ptr_equal(s, expected);
    drop_two(s, expected);
    s = state_to_prepare_in(then, unset);
    expected = state_of("shop", "sql_mode", "ANSI", NULL);
    assert_ptr_equal(s, expected);
    drop_two(s, expected);
    drop_two(then, on);
    state_drop(unset);
}

static void to_prepare_again_without_a_schema_any_will_do(void **state)
{
    (void)state;
    struct state *then = state_of("", NULL), *now = state_of("shop", NULL);
    struct state *s = state_to_prepare_in(then, now);
    assert_ptr_equal(s, now);
    assert_true(state_distance(now, s) != SIZE_MAX);
    drop_two(then, now);
    state_drop(s);
}

/* What DEFAULT gives is the global value, not what a session with that flag began with. */
static void what_a_flag_did_at_login_is_done_again(void **state)
{
    (void)state;
#define MODE "sql_mode", "ANSI_QUOTES"
#define WAIT "wait_timeout", "5"
    assert_string_equal(set_under(CAP_IGNORE_SPACE, state_of("", MODE, WAIT, NULL), state_of("", NULL), NULL),
                        "SET @@session.sql_mode=CONCAT_WS(',',NULLIF(@@global.sql_mode,''),'IGNORE_SPACE'),"
                        "@@session.wait_timeout=DEFAULT");
    assert_string_equal(set_under(CAP_INTERACTIVE, state_of("", MODE, WAIT, NULL), state_of("", NULL), NULL),
                        "SET @@session.sql_mode=DEFAULT,@@session.wait_timeout=@@global.interactive_timeout");
    assert_string_equal(set_under(CAP_INTERACTIVE | CAP_IGNORE_SPACE, state_of("", NULL),
                                  state_of("", WAIT, NULL), NULL),
                        "SET @@session.wait_timeout=5");
}

static struct state *without(const struct state *from, const char *name)
{
    const struct state_var none = { .name = bytes_str(name) };
    return state_changed(from, NULL, &none, 1);
}

static void a_wait_timeout_is_known_and_can_be_taken_out(void **state)
{
    (void)state;
    struct state *s = state_of("shop", "time_zone", "UTC", "wait_timeout", "15", NULL);
    struct state *rest = without(s, "wait_timeout"), *other = state_of("shop", "time_zone", "UTC", NULL);
    assert_int_equal(s->wait_s, 15);
    assert_int_equal(rest->wait_s, 0);
    assert_ptr_equal(rest, other);
    struct state *same = without(rest, "wait_timeout");
    assert_ptr_equal(same, rest);
    state_drop(s);
    state_drop(rest);
    state_drop(other);
    state_drop(same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_sets_are_the_same_pointer),
        cmocka_unit_test(where_a_value_ends_cannot_be_mistaken),
        cmocka_unit_test(a_later_change_of_a_variable_wins),
        cmocka_unit_test(a_change_without_a_value_takes_a_variable_out),
        cmocka_unit_test(names_that_are_no_words_are_not_taken),
        cmocka_unit_test(a_change_keeps_the_schema_unless_told),
        cmocka_unit_test(a_missing_variable_has_no_value),
        cmocka_unit_test(the_distance_counts_what_differs),
        cmocka_unit_test(a_schema_cannot_be_left_for_none),
        cmocka_unit_test(nothing_is_written_when_nothing_differs),
        cmocka_unit_test(values_are_written_as_they_are_read),
        cmocka_unit_test(a_variable_that_is_not_in_the_set_goes_back_to_its_default),
        cmocka_unit_test(no_character_set_for_results_is_null),
        cmocka_unit_test(the_collation_follows_its_character_set),
        cmocka_unit_test(the_insert_id_is_written_even_if_nothing_else_differs),
        cmocka_unit_test(a_login_sets_all_of_its_character_set),
        cmocka_unit_test(a_login_with_a_collation_that_cannot_be_gets_the_fallback),
        cmocka_unit_test(to_prepare_again_everything_is_as_then),
        cmocka_unit_test(to_prepare_again_autocommit_stays),
        cmocka_unit_test(to_prepare_again_without_a_schema_any_will_do),
        cmocka_unit_test(what_a_flag_did_at_login_is_done_again),
        cmocka_unit_test(a_wait_timeout_is_known_and_can_be_taken_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
