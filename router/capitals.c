/*
 * capitals.c - the words that are written in capitals in a statement's normal form:
 * those that MySQL or MariaDB reserve, and a few that are rarely names.
 *
 * Routing has a list of its own, keywords.c.  This one is for the eye, so it matters
 * little what is missing.
 */
#include "router/inside.h"

/* Names in lines, not one per line. */
/* clang-format off */
static const char *const capitals[] = {
    "accessible", "add", "all", "alter", "analyze", "and", "any", "as", "asc", "asensitive",
    "before", "begin", "between", "bigint", "binary", "blob", "both", "by", "call", "cascade",
    "case", "change", "char", "character", "check", "collate", "column", "commit", "condition",
    "constraint", "continue", "convert", "create", "cross", "cube", "current_date",
    "current_time", "current_timestamp", "current_user", "cursor", "database", "databases",
    "day_hour", "day_microsecond", "day_minute", "day_second", "dec", "decimal", "declare",
    "default", "delayed", "delete", "desc", "describe", "deterministic", "distinct",
    "distinctrow", "div", "double", "drop", "dual", "duplicate", "each", "else", "elseif",
    "enclosed", "end", "escaped", "except", "exists", "exit", "explain", "false", "fetch",
    "float", "float4", "float8", "for", "force", "foreign", "from", "fulltext", "generated",
    "grant", "group", "having", "high_priority", "hour_microsecond", "hour_minute",
    "hour_second", "if", "ignore", "in", "index", "infile", "inner", "inout", "insensitive",
    "insert", "int", "int1", "int2", "int3", "int4", "int8", "integer", "intersect", "interval",
    "into", "is", "iterate", "join", "json_table", "key", "keys", "kill", "lateral", "leading",
    "leave", "left", "like", "limit", "linear", "lines", "load", "localtime", "localtimestamp",
    "lock", "long", "longblob", "longtext", "loop", "low_priority", "match", "mediumblob",
    "mediumint", "mediumtext", "middleint", "minute_microsecond", "minute_second", "mod",
    "modifies", "natural", "no_write_to_binlog", "not", "null", "numeric", "of", "offset", "on",
    "optimize", "option", "optionally", "or", "order", "out", "outer", "outfile", "over",
    "partition", "precision", "primary", "procedure", "purge", "range", "read", "reads",
    "real", "recursive", "references", "regexp", "release", "rename", "repeat", "replace",
    "require", "resignal", "restrict", "return", "returning", "revoke", "right", "rlike",
    "rollback", "row", "rows", "savepoint", "schema", "schemas", "second_microsecond", "select",
    "sensitive", "separator", "set", "share", "show", "signal", "smallint", "spatial",
    "specific", "sql", "sql_big_result", "sql_calc_found_rows", "sql_no_cache",
    "sql_small_result", "sqlexception", "sqlstate", "sqlwarning", "ssl", "starting", "stored",
    "straight_join", "table", "terminated", "then", "tinyblob", "tinyint", "tinytext", "to",
    "trailing", "transaction", "trigger", "true", "undo", "union", "unique", "unlock",
    "unsigned", "update", "usage", "use", "using", "utc_date", "utc_time", "utc_timestamp",
    "values", "varbinary", "varchar", "varcharacter", "varying", "virtual", "when", "where",
    "while", "window", "with", "write", "xor", "year_month", "zerofill",
};
/* clang-format on */

static int compare_words(const void *word, const void *row)
{
    return strcmp(word, *(const char *const *)row);
}

bool word_is_capital(const char *word)
{
    return bsearch(word, capitals, ARRAY_LEN(capitals), sizeof(capitals[0]), compare_words) != NULL;
}

bool capitals_are_sorted(void)
{
    for (size_t i = 1; i < ARRAY_LEN(capitals); i++) {
        if (strcmp(capitals[i - 1], capitals[i]) >= 0)
            return false;
    }
    return true;
}
