/* What session_track_* say, in the words of servers. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "pool/inside.h"

#define B(text) BYTES_LITERAL(text)

static struct tracking *changed(struct tracking *x, const char *name, const char *value)
{
    struct tracking *next = tracking_changed(x, bytes_str(name), bytes_str(value));
    tracking_drop(x);
    return next;
}

static void equal_ones_are_the_same_pointer(void **state)
{
    (void)state;
    const struct bytes values[TRACKING_VARIABLES] = {
        B("autocommit,character_set_client,character_set_connection,character_set_results,time_zone"),
        B("1"), B("0"), B("OFF"), BYTES_NONE
    };
    struct tracking *read = tracking_of(values), *usual = tracking_by_default(true);
    assert_ptr_equal(read, usual);
    struct tracking *mysql = tracking_by_default(false);
    assert_ptr_not_equal(mysql, usual);
    tracking_drop(read);
    tracking_drop(usual);
    tracking_drop(mysql);
}

static void both_spellings_of_values_are_understood(void **state)
{
    (void)state;
    struct tracking *x = tracking_by_default(false);
    x = changed(x, "session_track_schema", "OFF");
    assert_false(x->schema);
    x = changed(x, "session_track_schema", "1");
    assert_true(x->schema);
    x = changed(x, "session_track_state_change", "on");
    assert_true(x->state_change);
    x = changed(x, "session_track_transaction_info", "STATE");
    assert_int_equal(x->transactions, TRACK_STATE_ONLY);
    x = changed(x, "session_track_transaction_info", "characteristics");
    assert_int_equal(x->transactions, TRACK_CHARACTERISTICS);
    x = changed(x, "session_track_gtids", "ALL_GTIDS");
    assert_int_equal(x->gtids, TRACK_ALL_GTIDS);
    x = changed(x, "session_track_gtids", "nonsense");
    assert_int_equal(x->gtids, TRACK_NO_GTIDS);
    tracking_drop(x);
}

static void names_are_found_in_lists_as_people_write_them(void **state)
{
    (void)state;
    struct tracking *x = tracking_by_default(true);
    assert_true(tracking_has_name(x, B("time_zone")));
    assert_false(tracking_has_name(x, B("time")));
    assert_false(tracking_has_name(x, B("sql_mode")));
    x = changed(x, "session_track_system_variables", " SQL_Mode ,, autocommit,");
    assert_true(tracking_has_name(x, B("sql_mode")));
    assert_true(tracking_has_name(x, B("autocommit")));
    assert_false(tracking_has_name(x, B("")));
    x = changed(x, "session_track_system_variables", "");
    assert_false(tracking_has_name(x, B("autocommit")));
    x = changed(x, "session_track_system_variables", "*");
    assert_true(tracking_has_name(x, B("anything")));
    tracking_drop(x);
}

static void what_brings_it_about_is_written_as_assignments(void **state)
{
    (void)state;
    struct buf sql = { 0 };
    struct tracking *x = tracking_by_default(false);
    x = changed(x, "session_track_system_variables", "a,'b");
    x = changed(x, "session_track_transaction_info", "STATE");
    tracking_write_set(x, &sql);
    const char *expected = "@@session.session_track_system_variables=_utf8 0x612c2762,"
                           "@@session.session_track_schema=ON,@@session.session_track_state_change=OFF,"
                           "@@session.session_track_transaction_info=STATE";
    assert_int_equal(buf_len(&sql), strlen(expected));
    assert_memory_equal(buf_head(&sql), expected, strlen(expected));
    buf_release(&sql);
    tracking_drop(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_ones_are_the_same_pointer),
        cmocka_unit_test(both_spellings_of_values_are_understood),
        cmocka_unit_test(names_are_found_in_lists_as_people_write_them),
        cmocka_unit_test(what_brings_it_about_is_written_as_assignments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
