/* variables.c - @@variables that tools read or set at their start; see inside.h. */
#include "admin/inside.h"

/* Sorted by name. */
const struct variable variables[] = {
    { "auto_increment_increment", "1" },
    { "autocommit", "1" },
    { "basedir", "" },
    { "character_set_client", "utf8mb4" },
    { "character_set_connection", "utf8mb4" },
    { "character_set_database", "utf8mb4" },
    { "character_set_results", "utf8mb4" },
    { "character_set_server", "utf8mb4" },
    { "character_set_system", "utf8mb3" },
    { "collation_connection", "utf8mb4_general_ci" },
    { "collation_database", "utf8mb4_general_ci" },
    { "collation_server", "utf8mb4_general_ci" },
    { "datadir", "" },
    { "default_storage_engine", "VOLVOX" },
    { "default_week_format", "0" },
    { "div_precision_increment", "4" },
    { "event_scheduler", "OFF" },
    { "foreign_key_checks", "1" },
    { "group_concat_max_len", "1048576" },
    { "have_openssl", "DISABLED" },
    { "have_profiling", "NO" },
    { "have_ssl", "DISABLED" },
    { "hostname", "volvox" },
    { "init_connect", "" },
    { "innodb_version", "" },
    { "interactive_timeout", "28800" },
    { "license", "" },
    { "local_infile", "OFF" },
    { "log_bin", "OFF" },
    { "lower_case_file_system", "OFF" },
    { "lower_case_table_names", "1" },
    { "max_allowed_packet", "16777216" },
    { "max_connections", "16" },
    { "max_execution_time", "0" },
    { "net_buffer_length", "16384" },
    { "net_read_timeout", "30" },
    { "net_write_timeout", "60" },
    { "performance_schema", "OFF" },
    { "port", "0" },
    { "profiling", "0" },
    { "protocol_version", "10" },
    { "query_cache_size", "0" },
    { "query_cache_type", "OFF" },
    { "read_only", "0" },
    { "server_id", "0" },
    { "server_uuid", "" },
    { "session_track_schema", "OFF" },
    { "session_track_state_change", "OFF" },
    { "skip_networking", "OFF" },
    { "skip_show_database", "OFF" },
    { "socket", "" },
    { "sql_auto_is_null", "0" },
    { "sql_mode", "" },
    { "sql_notes", "1" },
    { "sql_quote_show_create", "1" },
    { "sql_safe_updates", "0" },
    { "sql_select_limit", "18446744073709551615" },
    { "storage_engine", "VOLVOX" },
    { "super_read_only", "0" },
    { "system_time_zone", "UTC" },
    { "time_zone", "UTC" },
    { "timestamp", "0" },
    { "transaction_isolation", "READ-UNCOMMITTED" },
    { "transaction_read_only", "0" },
    { "tx_isolation", "READ-UNCOMMITTED" },
    { "tx_read_only", "0" },
    { "unique_checks", "1" },
    { "version", ADMIN_VERSION },
    { "version_comment", "Volvox admin" },
    { "version_compile_machine", "" },
    { "version_compile_os", "Linux" },
    { "wait_timeout", "28800" },
    { "warning_count", "0" },
};
const unsigned n_variables = ARRAY_LEN(variables);

/* Of what a client could set and nothing here depends on. */
static const char *const idle[] = {
    "autocommit", "auto_increment_increment", "character_set_client", "character_set_connection", "character_set_database", "character_set_results",
    "character_set_server", "collation_connection", "collation_database", "collation_server", "foreign_key_checks", "group_concat_max_len", "interactive_timeout",
    "lc_messages", "lc_time_names", "max_execution_time", "net_read_timeout", "net_write_timeout", "profiling",
    "query_cache_type", "sql_auto_is_null", "sql_mode", "sql_notes", "sql_select_limit", "sql_quote_show_create", "sql_safe_updates",
    "session_track_schema", "session_track_state_change", "time_zone", "transaction_isolation",
    "transaction_read_only", "tx_isolation", "tx_read_only", "unique_checks", "wait_timeout",
};

/* Without "session.", "global.", "local." and backticks. */
static struct bytes bare_name(struct bytes name)
{
    for (size_t i = name.len; i > 0; i--) {
        if (name.data[i - 1] == '.') {
            name = bytes_skip(name, i);
            break;
        }
    }
    if (name.len >= 2 && name.data[0] == '`' && name.data[name.len - 1] == '`')
        name = bytes_of(name.data + 1, name.len - 2);
    return name;
}

const char *variable_value(struct bytes name)
{
    struct bytes bare = bare_name(name);
    for (unsigned i = 0; i < n_variables; i++)
        if (bytes_equal_nocase(bare, bytes_str(variables[i].name)))
            return variables[i].value;
    return NULL;
}

bool variable_is_idle(struct bytes name)
{
    struct bytes bare = bare_name(name);
    for (size_t i = 0; i < ARRAY_LEN(idle); i++)
        if (bytes_equal_nocase(bare, bytes_str(idle[i])))
            return true;
    return false;
}
