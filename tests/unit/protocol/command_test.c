#include "recorded.h"

static void commands_are_called_as_in_the_process_list(void **state)
{
    (void)state;
    assert_string_equal(command_name(COM_QUERY), "Query");
    assert_string_equal(command_name(COM_STMT_EXECUTE), "Execute");
    assert_string_equal(command_name(COM_RESET_CONNECTION), "Reset Connection");
    assert_string_equal(command_name(COM_STMT_BULK_EXECUTE), "Bulk_execute");
    for (unsigned code = COM_SLEEP; code <= COM_SUBSCRIBE_GROUP_STREAM; code++)
        assert_non_null(command_name((uint8_t)code));
    assert_null(command_name(COM_SUBSCRIBE_GROUP_STREAM + 1));
    assert_null(command_name(0xFF));
}

static void each_command_has_its_kind_of_answer(void **state)
{
    static const struct {
        uint8_t code;
        enum response_kind kind;
    } cases[] = {
        { COM_QUIT, RESPONSE_NONE },
        { COM_STMT_CLOSE, RESPONSE_NONE },
        { COM_STMT_SEND_LONG_DATA, RESPONSE_NONE },
        { COM_PING, RESPONSE_OK },
        { COM_INIT_DB, RESPONSE_OK },
        { COM_SET_OPTION, RESPONSE_OK },
        { COM_RESET_CONNECTION, RESPONSE_OK },
        { COM_STMT_RESET, RESPONSE_OK },
        { 0x77, RESPONSE_OK },
        { COM_QUERY, RESPONSE_RESULT },
        { COM_STMT_EXECUTE, RESPONSE_RESULT },
        { COM_STMT_BULK_EXECUTE, RESPONSE_RESULT },
        { COM_PROCESS_INFO, RESPONSE_RESULT },
        { COM_STMT_PREPARE, RESPONSE_PREPARE },
        { COM_STMT_FETCH, RESPONSE_ROWS },
        { COM_FIELD_LIST, RESPONSE_FIELDS },
        { COM_STATISTICS, RESPONSE_STRING },
        { COM_BINLOG_DUMP, RESPONSE_STREAM },
        { COM_BINLOG_DUMP_GTID, RESPONSE_STREAM },
        { COM_CLONE, RESPONSE_STREAM },
        { COM_REGISTER_SLAVE, RESPONSE_OK },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(command_response(cases[i].code), cases[i].kind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_called_as_in_the_process_list),
        cmocka_unit_test(each_command_has_its_kind_of_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
