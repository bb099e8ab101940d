#include "recorded.h"

static void errors_have_the_states_that_servers_give_them(void **state)
{
    static const struct {
        unsigned code;
        const char *state;
    } cases[] = {
        { ER_CON_COUNT_ERROR, "08004" },
        { ER_HANDSHAKE_ERROR, "08S01" },
        { ER_DBACCESS_DENIED, "42000" },
        { ER_ACCESS_DENIED, "28000" },
        { ER_NO_DB, "3D000" },
        { ER_UNKNOWN_COM, "08S01" },
        { ER_BAD_DB, "42000" },
        { ER_SERVER_SHUTDOWN, "08S01" },
        { ER_PACKET_TOO_LARGE, "08S01" },
        { ER_PACKETS_OUT_OF_ORDER, "08S01" },
        { ER_NET_READ_ERROR, "08S01" },
        { ER_QUERY_INTERRUPTED, "70100" },
        { ER_CONNECTION_KILLED, "70100" },
        { ER_UNKNOWN_STMT, "HY000" },
        { ER_MALFORMED_PACKET, "HY000" },
        { 1022, "23000" },
        { 1064, "42000" },
        { 1146, "42S02" },
        { 1213, "40001" },
        { 1792, "25006" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(sqlstate_of(cases[i].code), cases[i].state);
}

static void others_are_general_errors(void **state)
{
    (void)state;
    assert_string_equal(sqlstate_of(0), "HY000");
    assert_string_equal(sqlstate_of(9999), "HY000");
    assert_string_equal(sqlstate_of(65535), "HY000");
}

static void every_state_has_five_characters(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 65536; code++)
        assert_int_equal(strlen(sqlstate_of(code)), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_the_states_that_servers_give_them),
        cmocka_unit_test(others_are_general_errors),
        cmocka_unit_test(every_state_has_five_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
