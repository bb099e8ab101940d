/*
 * command.c - commands: their names, and what answers them.
 */
#include "protocol/inside.h"

const char *command_name(uint8_t code)
{
    static const char *const names[] = {
        [COM_SLEEP] = "Sleep",
        [COM_QUIT] = "Quit",
        [COM_INIT_DB] = "Init DB",
        [COM_QUERY] = "Query",
        [COM_FIELD_LIST] = "Field List",
        [COM_CREATE_DB] = "Create DB",
        [COM_DROP_DB] = "Drop DB",
        [COM_REFRESH] = "Refresh",
        [COM_SHUTDOWN] = "Shutdown",
        [COM_STATISTICS] = "Statistics",
        [COM_PROCESS_INFO] = "Processlist",
        [COM_CONNECT] = "Connect",
        [COM_PROCESS_KILL] = "Kill",
        [COM_DEBUG] = "Debug",
        [COM_PING] = "Ping",
        [COM_TIME] = "Time",
        [COM_DELAYED_INSERT] = "Delayed insert",
        [COM_CHANGE_USER] = "Change user",
        [COM_BINLOG_DUMP] = "Binlog Dump",
        [COM_TABLE_DUMP] = "Table Dump",
        [COM_CONNECT_OUT] = "Connect Out",
        [COM_REGISTER_SLAVE] = "Register Slave",
        [COM_STMT_PREPARE] = "Prepare",
        [COM_STMT_EXECUTE] = "Execute",
        [COM_STMT_SEND_LONG_DATA] = "Long Data",
        [COM_STMT_CLOSE] = "Close stmt",
        [COM_STMT_RESET] = "Reset stmt",
        [COM_SET_OPTION] = "Set option",
        [COM_STMT_FETCH] = "Fetch",
        [COM_DAEMON] = "Daemon",
        [COM_BINLOG_DUMP_GTID] = "Binlog Dump GTID",
        [COM_RESET_CONNECTION] = "Reset Connection",
        [COM_CLONE] = "Clone",
        [COM_SUBSCRIBE_GROUP_STREAM] = "Group Replication Data Stream subscription",
    };
    if (code == COM_STMT_BULK_EXECUTE)
        return "Bulk_execute";
    return code < ARRAY_LEN(names) ? names[code] : NULL;
}

enum response_kind command_response(uint8_t code)
{
    switch (code) {
    case COM_QUIT:
    case COM_STMT_CLOSE:
    case COM_STMT_SEND_LONG_DATA:
        return RESPONSE_NONE;
    case COM_QUERY:
    case COM_PROCESS_INFO:
    case COM_STMT_EXECUTE:
    case COM_STMT_BULK_EXECUTE:
        return RESPONSE_RESULT;
    case COM_STMT_PREPARE:
        return RESPONSE_PREPARE;
    case COM_FIELD_LIST:
        return RESPONSE_FIELDS;
    case COM_STMT_FETCH:
        return RESPONSE_ROWS;
    case COM_STATISTICS:
        return RESPONSE_STRING;
    case COM_BINLOG_DUMP:
    case COM_BINLOG_DUMP_GTID:
    case COM_CLONE:
    case COM_SUBSCRIBE_GROUP_STREAM:
        return RESPONSE_STREAM;
    default:
        /* Also what servers do not know: they answer ERR 1047. */
        return RESPONSE_OK;
    }
}
