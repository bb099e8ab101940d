#include "recorded.h"

enum { MARIADB_CAPS = (int)0x81fff7fe, MYSQL_CAPS = (int)0xdfffffff };

static void clients_are_offered_what_servers_and_volvox_can(void **state)
{
    (void)state;
    uint32_t offer = shape_offer((uint32_t)MYSQL_CAPS);
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
    assert_int_equal(shape_ask((uint32_t)MARIADB_CAPS, CAP_PROTOCOL_41) & rich, rich);
    assert_int_equal(shape_ask((uint32_t)MYSQL_CAPS, CAP_PROTOCOL_41) & rich, rich);
    assert_false(shape_ask((uint32_t)MYSQL_CAPS & ~CAP_DEPRECATE_EOF, UINT32_MAX) &
                 CAP_DEPRECATE_EOF);
}

static void flags_that_change_meaning_are_the_clients(void **state)
{
    (void)state;
    assert_int_equal(shape_ask((uint32_t)MYSQL_CAPS, 0) & CAPS_FIT, 0);
    assert_int_equal(shape_ask((uint32_t)MYSQL_CAPS, CAP_FOUND_ROWS) & CAPS_FIT, CAP_FOUND_ROWS);
    assert_int_equal(shape_ask((uint32_t)MYSQL_CAPS, CAPS_FIT) & CAPS_FIT, CAPS_FIT);
}

static void what_volvox_does_not_speak_is_never_asked_or_offered(void **state)
{
    (void)state;
    const uint32_t unknown = CAP_COMPRESS | CAP_SSL | CAP_ZSTD | CAP_OPTIONAL_METADATA |
                             CAP_QUERY_ATTRIBUTES | CAP_MFA | CAP_EXPIRED_PASSWORDS;
    assert_int_equal(shape_ask(UINT32_MAX, UINT32_MAX) & unknown, 0);
    assert_int_equal(shape_offer(UINT32_MAX) & unknown, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_are_offered_what_servers_and_volvox_can),
        cmocka_unit_test(logins_need_nothing_of_the_servers),
        cmocka_unit_test(servers_are_asked_for_the_richest_dialect),
        cmocka_unit_test(flags_that_change_meaning_are_the_clients),
        cmocka_unit_test(what_volvox_does_not_speak_is_never_asked_or_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
