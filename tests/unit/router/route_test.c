/* What the table of cases can't say: names, messages, orders of precedence. */
#include "router/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct facts at_rest = { .autocommit = true, .splits_reads = true };

static struct statement read_sql(const char *sql)
{
    const struct lexer_mode mode = { .version = 90704 };
    struct statement st;
    statement_read(bytes_str(sql), &mode, &st);
    return st;
}

static void a_bad_hint_is_refused_with_what_is_possible(void **state)
{
    (void)state;
    struct statement st = read_sql("/* volvox: mas\x01ter */ select 1");
    struct plan plan;
    struct fault why = FAULT_NONE;
    assert_false(route(&at_rest, &st, &plan, &why));
    assert_int_equal(why.blame, BLAME_POLICY);
    assert_non_null(strstr(why.text, "mas?ter"));
    assert_non_null(strstr(why.text, "server=NAME"));
}

static void a_long_bad_hint_is_cut(void **state)
{
    (void)state;
    char sql[400] = "/* volvox: ";
    memset(sql + 11, 'x', 300);
    snprintf(sql + 311, sizeof(sql) - 311, " */ select 1");
    struct statement st = read_sql(sql);
    struct plan plan;
    struct fault why = FAULT_NONE;
    assert_false(route(&at_rest, &st, &plan, &why));
    assert_non_null(strstr(why.text, "xxx..."));
    assert_non_null(strstr(why.text, "one per statement"));
}

static void a_write_for_a_replica_is_refused_with_its_reason(void **state)
{
    (void)state;
    struct statement st = read_sql("/* volvox: replica */ delete from t");
    struct plan plan;
    struct fault why = FAULT_NONE;
    assert_false(route(&at_rest, &st, &plan, &why));
    assert_int_equal(why.blame, BLAME_POLICY);
    assert_non_null(strstr(why.text, "(write)"));
}

static void a_fault_may_have_nobody_to_tell(void **state)
{
    (void)state;
    struct statement st = read_sql("/* volvox: x */ select 1");
    struct plan plan;
    assert_false(route(&at_rest, &st, &plan, NULL));
}

static void setting_nothing_but_autocommit_is_told_apart(void **state)
{
    static const struct {
        const char *sql;
        bool only;
    } cases[] = {
        { "SET autocommit = 1", true },
        { "set @@session.autocommit = OFF, autocommit=1", true },
        { "SET SESSION `autocommit` := 0;", true },
        { "SET autocommit = @x", true },
        { "SET autocommit = f(1)", false },
        { "SET autocommit = 1 + 1", false },
        { "SET autocommit = 0, sql_notes = 0", false },
        { "SET sql_notes = 0, autocommit = 0", false },
        { "SET @autocommit = 1", false },
        { "SET autocommit = 0; SET sql_notes = 0", false },
        { "SET sql_notes = 0; SET autocommit = 0", false },
        { "SET NAMES utf8mb4, autocommit = 0", false },
        { "SET TRANSACTION READ ONLY", false },
        { "SET STATEMENT autocommit = 1 FOR SELECT 1", false },
        { "SELECT 1", false },
        { "", false },
    };
    const struct lexer_mode mode = { .is_mariadb = true, .version = 110809 };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct statement st;
        statement_read(bytes_str(cases[i].sql), &mode, &st);
        if (st.only_autocommit != cases[i].only)
            fail_msg("%s", cases[i].sql);
    }
}

static void what_may_end_the_connection_is_told(void **state)
{
    static const struct {
        const char *sql;
        enum release release;
    } cases[] = {
        { "COMMIT", RELEASE_USUAL },
        { "ROLLBACK WORK AND NO CHAIN", RELEASE_USUAL },
        { "commit release", RELEASE_YES },
        { "ROLLBACK AND NO CHAIN RELEASE;", RELEASE_YES },
        { "COMMIT AND CHAIN NO RELEASE", RELEASE_NO },
        { "SELECT 1; COMMIT RELEASE", RELEASE_YES },
        { "COMMIT RELEASE; SELECT 1", RELEASE_NONE },
        { "COMMIT /* RELEASE */", RELEASE_USUAL },
        { "ROLLBACK TO release", RELEASE_NONE },
        { "ROLLBACK TO SAVEPOINT release", RELEASE_NONE },
        { "RELEASE SAVEPOINT a", RELEASE_NONE },
        { "SELECT 1", RELEASE_NONE },
    };
    const struct lexer_mode mode = { .is_mariadb = true, .version = 110809 };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct statement st;
        statement_read(bytes_str(cases[i].sql), &mode, &st);
        if (st.release != cases[i].release)
            fail_msg("%s: %u", cases[i].sql, st.release);
    }
}

static void every_name_is_a_word(void **state)
{
    (void)state;
    for (int i = 0; i <= WHY_EMPTY; i++)
        assert_string_not_equal(route_why_name((enum route_why)i), "?");
    for (int i = 0; i <= VERB_OTHER; i++)
        assert_string_not_equal(verb_name((enum verb)i), "?");
    for (int i = 0; i <= ROLE_SAME; i++)
        assert_string_not_equal(role_name((enum role)i), "?");
    assert_string_equal(verb_name((enum verb)999), "?");
}

static void effects_are_printed_with_commas(void **state)
{
    (void)state;
    char out[100];
    effects_print(0, out, sizeof(out));
    assert_string_equal(out, "");
    effects_print(EFFECT_LOCKING_READ | EFFECT_MULTI, out, sizeof(out));
    assert_string_equal(out, "locking read, several statements");
    effects_print(EFFECT_INSTANCE_LOCK, out, sizeof(out));
    assert_string_equal(out, "instance lock");
}

static void effects_that_do_not_fit_are_cut(void **state)
{
    (void)state;
    for (size_t size = 1; size < 300; size++) {
        char *out = malloc(size); /* exact, for the sanitizer */
        effects_print(UINT32_MAX, out, size);
        assert_true(strlen(out) < size);
        free(out);
    }
    char untouched = 'x';
    effects_print(UINT32_MAX, &untouched, 0);
    assert_int_equal(untouched, 'x');
}

static void where_a_transaction_begins_says_its_begin(void **state)
{
    static const struct {
        bool read_only, splits, autocommit;
        const char *sql;
        enum role role;
    } cases[] = {
        { false, true, true, "select 1", ROLE_PRIMARY },
        { false, true, true, "/* volvox: replica */ select 1", ROLE_PRIMARY },
        { true, true, true, "select 1", ROLE_REPLICA },
        { true, true, true, "insert into t values (1)", ROLE_REPLICA },
        { true, true, true, "/* volvox: primary */ select 1", ROLE_REPLICA },
        { true, false, true, "select 1", ROLE_PRIMARY },
        { true, true, false, "select 1", ROLE_PRIMARY },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct facts facts = { .begins = true,
                                     .begins_read_only = cases[i].read_only,
                                     .splits_reads = cases[i].splits,
                                     .autocommit = cases[i].autocommit };
        struct statement st = read_sql(cases[i].sql);
        struct plan plan;
        struct fault why = FAULT_NONE;
        assert_true(route(&facts, &st, &plan, &why));
        assert_int_equal(plan.role, cases[i].role);
        assert_false(plan.stays);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_hint_is_refused_with_what_is_possible),
        cmocka_unit_test(a_long_bad_hint_is_cut),
        cmocka_unit_test(a_write_for_a_replica_is_refused_with_its_reason),
        cmocka_unit_test(a_fault_may_have_nobody_to_tell),
        cmocka_unit_test(where_a_transaction_begins_says_its_begin),
        cmocka_unit_test(setting_nothing_but_autocommit_is_told_apart),
        cmocka_unit_test(what_may_end_the_connection_is_told),
        cmocka_unit_test(every_name_is_a_word),
        cmocka_unit_test(effects_are_printed_with_commas),
        cmocka_unit_test(effects_that_do_not_fit_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
