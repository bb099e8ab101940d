#include "recorded.h"

#define MARIADB_CAPS 0x1d81fff7feull
#define MYSQL_CAPS   0xdfffffffull

static void clients_are_offered_what_servers_and_volvox_can(void **state)
{
    (void)state;
    uint64_t offer = shape_offer(MYSQL_CAPS);
    assert_int_equal(offer & ~CAPS_KNOWN, 0);
    assert_true(offer & CAP_DEPRECATE_EOF);
    assert_false(shape_offer(CAP_PROTOCOL_41) & CAP_DEPRECATE_EOF);
    assert_false(shape_offer(CAP_PROTOCOL_41) & CAP_FOUND_ROWS);
}

static void logins_need_nothing_of_the_servers(void **state)
{
    (void)state;
    const uint32_t needed = CAP_LONG_PASSWORD | CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION |
                            CAP_PLUGIN_AUTH | CAP_CONNECT_WITH_DB;
    assert_int_equal(shape_offer(0) & needed, needed);
}

static void servers_are_asked_for_the_richest_dialect(void **state)
{
    (void)state;
    const uint32_t rich =
        CAP_DEPRECATE_EOF | CAP_SESSION_TRACK | CAP_MULTI_STATEMENTS | CAP_PLUGIN_AUTH;
    assert_int_equal(shape_ask(MARIADB_CAPS, CAP_PROTOCOL_41) & rich, rich);
    assert_int_equal(shape_ask(MYSQL_CAPS, CAP_PROTOCOL_41) & rich, rich);
    assert_false(shape_ask(MYSQL_CAPS & ~CAP_DEPRECATE_EOF, UINT64_MAX) & CAP_DEPRECATE_EOF);
}

static void flags_that_change_meaning_are_the_clients(void **state)
{
    (void)state;
    assert_int_equal(shape_ask(MYSQL_CAPS, 0) & CAPS_FIT, 0);
    assert_int_equal(shape_ask(MYSQL_CAPS, CAP_FOUND_ROWS) & CAPS_FIT, CAP_FOUND_ROWS);
    assert_int_equal(shape_ask(MYSQL_CAPS, CAPS_FIT) & CAPS_FIT, CAPS_FIT & MYSQL_CAPS);
    assert_int_equal(shape_ask(MARIADB_CAPS, CAPS_FIT) & CAPS_FIT, CAPS_FIT & MARIADB_CAPS);
}

static void a_familys_dialect_stays_in_the_family(void **state)
{
    (void)state;
    assert_int_equal(shape_ask(MYSQL_CAPS, UINT64_MAX) & CAPS_MARIADB, 0);
    assert_int_equal(shape_offer(MYSQL_CAPS) & CAPS_MARIADB, 0);
    assert_int_equal(shape_offer(MARIADB_CAPS) & (CAP_OPTIONAL_METADATA | CAP_QUERY_ATTRIBUTES), 0);
    assert_int_equal(shape_offer(MARIADB_CAPS) & CAPS_MARIADB, MARIADB_CAPS & CAPS_MARIADB);
    /* nobody knows yet which family it will be */
    assert_int_equal(shape_offer(0) & CAPS_FAMILY, 0);
    assert_true(shape_offer(0) & CAP_DEPRECATE_EOF);
}

static void what_costs_nothing_is_always_asked(void **state)
{
    (void)state;
    const uint64_t free = CAP_PROGRESS | CAP_BULK;
    assert_int_equal(shape_ask(MARIADB_CAPS, 0) & free, free);
    assert_int_equal(shape_ask(MARIADB_CAPS | CAP_BULK_UNIT_RESULTS, 0) & CAP_BULK_UNIT_RESULTS,
                     CAP_BULK_UNIT_RESULTS);
}

static void what_volvox_does_not_speak_is_never_asked_or_offered(void **state)
{
    (void)state;
    const uint64_t com_multi = 1ull << 33, later = 1ull << 38;
    const uint64_t unknown =
        CAP_COMPRESS | CAP_SSL | CAP_ZSTD | CAP_MFA | CAP_CAPABILITY_EXTENSION | com_multi | later;
    assert_int_equal(shape_ask(UINT64_MAX, UINT64_MAX) & unknown, 0);
    assert_int_equal(shape_offer(UINT64_MAX) & unknown, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_are_offered_what_servers_and_volvox_can),
        cmocka_unit_test(logins_need_nothing_of_the_servers),
        cmocka_unit_test(servers_are_asked_for_the_richest_dialect),
        cmocka_unit_test(flags_that_change_meaning_are_the_clients),
        cmocka_unit_test(a_familys_dialect_stays_in_the_family),
        cmocka_unit_test(what_costs_nothing_is_always_asked),
        cmocka_unit_test(what_volvox_does_not_speak_is_never_asked_or_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
