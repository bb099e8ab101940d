/*
 * functions.c - the names of built-in functions, and what some of them do.
 *
 * A call of anything else could be a stored function, and that could write.  The
 * lists are by family, because a name that is built in on one server can belong to
 * a stored function on the other; a name that came with a later release counts
 * from that release.  A name that is missing here costs a read its replica, no more.
 *
 * The arrays are sorted (a test says so).
 */
#include "router/inside.h"

#include "base/str.h"

/* Names in lines, not one per line. */
/* clang-format off */
/* Built in everywhere: MySQL from 8.0, MariaDB from 10.11.  (MySQL 9.7 has md5, sha and
 * sha1 from a component; what somebody puts in their place will not write.) */
static const char *const common_names[] = {
    "abs", "acos", "adddate", "addtime", "aes_decrypt", "aes_encrypt", "ascii", "asin", "atan",
    "atan2", "avg", "benchmark", "bin", "bit_and", "bit_count", "bit_length", "bit_or",
    "bit_xor", "cast", "ceil", "ceiling", "char", "char_length", "character_length", "charset",
    "coalesce", "coercibility", "collation", "compress", "concat", "concat_ws", "conv",
    "convert", "convert_tz", "cos", "cot", "count", "crc32", "cume_dist", "curdate",
    "current_date", "current_role", "current_time", "current_timestamp", "current_user",
    "curtime", "database", "date", "date_add", "date_format", "date_sub", "datediff", "day",
    "dayname", "dayofmonth", "dayofweek", "dayofyear", "default", "degrees", "dense_rank",
    "elt", "exp", "export_set", "extract", "extractvalue", "field", "find_in_set",
    "first_value", "floor", "format", "from_base64", "from_days", "from_unixtime",
    "geometrycollection", "get_format", "greatest", "group_concat", "hex", "hour", "if",
    "ifnull", "inet6_aton", "inet6_ntoa", "inet_aton", "inet_ntoa", "insert", "instr",
    "interval", "is_ipv4", "is_ipv4_compat", "is_ipv4_mapped", "is_ipv6", "isnull",
    "json_array", "json_array_append", "json_array_insert", "json_arrayagg", "json_contains",
    "json_contains_path", "json_depth", "json_extract", "json_insert", "json_keys",
    "json_length", "json_merge", "json_merge_patch", "json_merge_preserve", "json_object",
    "json_objectagg", "json_overlaps", "json_pretty", "json_quote", "json_remove",
    "json_replace", "json_search", "json_set", "json_type", "json_unquote", "json_valid",
    "json_value", "lag", "last_day", "last_value", "lcase", "lead", "least", "left", "length",
    "linestring", "ln", "localtime", "localtimestamp", "locate", "log", "log10", "log2",
    "lower", "lpad", "ltrim", "make_set", "makedate", "maketime", "master_pos_wait", "max",
    "mbrcontains", "mbrdisjoint", "mbrequals", "mbrintersects", "mbroverlaps", "mbrtouches",
    "mbrwithin", "md5", "microsecond", "mid", "min", "minute", "mod", "month", "monthname",
    "multilinestring", "multipoint", "multipolygon", "name_const", "now", "nth_value", "ntile",
    "nullif", "oct", "octet_length", "ord", "percent_rank", "period_add", "period_diff", "pi",
    "point", "polygon", "position", "pow", "power", "quarter", "quote", "radians", "rand",
    "random_bytes", "rank", "regexp_instr", "regexp_replace", "regexp_substr", "repeat",
    "replace", "reverse", "right", "round", "row_number", "rpad", "rtrim", "schema",
    "sec_to_time", "second", "session_user", "sha", "sha1", "sha2", "sign", "sin", "sleep",
    "soundex", "space", "sqrt", "st_area", "st_asbinary", "st_asgeojson", "st_astext",
    "st_aswkb", "st_aswkt", "st_buffer", "st_centroid", "st_contains", "st_convexhull",
    "st_crosses", "st_difference", "st_dimension", "st_disjoint", "st_distance",
    "st_distance_sphere", "st_endpoint", "st_envelope", "st_equals", "st_exteriorring",
    "st_geomcollfromtext", "st_geomcollfromwkb", "st_geometrycollectionfromtext",
    "st_geometrycollectionfromwkb", "st_geometryfromtext", "st_geometryfromwkb",
    "st_geometryn", "st_geometrytype", "st_geomfromgeojson", "st_geomfromtext",
    "st_geomfromwkb", "st_interiorringn", "st_intersection", "st_intersects", "st_isclosed",
    "st_isempty", "st_issimple", "st_length", "st_linefromtext", "st_linefromwkb",
    "st_linestringfromtext", "st_linestringfromwkb", "st_mlinefromtext", "st_mlinefromwkb",
    "st_mpointfromtext", "st_mpointfromwkb", "st_mpolyfromtext", "st_mpolyfromwkb",
    "st_multilinestringfromtext", "st_multilinestringfromwkb", "st_multipointfromtext",
    "st_multipointfromwkb", "st_multipolygonfromtext", "st_multipolygonfromwkb",
    "st_numgeometries", "st_numinteriorrings", "st_numpoints", "st_overlaps",
    "st_pointfromtext", "st_pointfromwkb", "st_pointn", "st_polyfromtext", "st_polyfromwkb",
    "st_polygonfromtext", "st_polygonfromwkb", "st_srid", "st_startpoint", "st_symdifference",
    "st_touches", "st_union", "st_within", "st_x", "st_y", "std", "stddev", "stddev_pop",
    "stddev_samp", "str_to_date", "strcmp", "subdate", "substr", "substring",
    "substring_index", "subtime", "sum", "sysdate", "system_user", "tan", "time",
    "time_format", "time_to_sec", "timediff", "timestamp", "timestampadd", "timestampdiff",
    "to_base64", "to_days", "to_seconds", "trim", "truncate", "ucase", "uncompress",
    "uncompressed_length", "unhex", "unix_timestamp", "updatexml", "upper", "user", "utc_date",
    "utc_time", "utc_timestamp", "uuid", "values", "var_pop", "var_samp", "variance", "week",
    "weekday", "weekofyear", "weight_string", "year", "yearweek",
};

/* ... in MySQL from 8.0 only. */
static const char *const mysql_names[] = {
    "any_value", "bin_to_uuid", "format_pico_time", "geomcollection", "grouping",
    "gtid_subset", "gtid_subtract", "icu_version", "is_uuid", "json_schema_validation_report",
    "json_storage_free", "json_storage_size", "mbrcoveredby", "mbrcovers", "ps_thread_id",
    "regexp_like", "roles_graphml", "source_pos_wait", "st_buffer_strategy",
    "st_frechetdistance", "st_geohash", "st_geomcollfromtxt", "st_hausdorffdistance",
    "st_isvalid", "st_latfromgeohash", "st_latitude", "st_lineinterpolatepoint",
    "st_lineinterpolatepoints", "st_longfromgeohash", "st_longitude", "st_makeenvelope",
    "st_numinteriorring", "st_pointatdistance", "st_pointfromgeohash", "st_simplify",
    "st_swapxy", "st_transform", "st_validate", "statement_digest", "statement_digest_text",
    "uuid_to_bin", "validate_password_strength", "wait_for_executed_gtid_set",
};

/* ... in MariaDB from 10.11 only. */
static const char *const mariadb_names[] = {
    "add_months", "area", "asbinary", "astext", "aswkb", "aswkt", "binlog_gtid_pos",
    "boundary", "buffer", "centroid", "chr", "column_add", "column_check", "column_create",
    "column_delete", "column_exists", "column_get", "column_json", "column_list",
    "concat_operator_oracle", "contains", "convexhull", "crc32c", "crosses", "decode",
    "decode_histogram", "decode_oracle", "des_decrypt", "des_encrypt", "dimension", "disjoint",
    "encode", "encrypt", "endpoint", "envelope", "equals", "exteriorring", "geomcollfromtext",
    "geomcollfromwkb", "geometrycollectionfromtext", "geometrycollectionfromwkb",
    "geometryfromtext", "geometryfromwkb", "geometryn", "geometrytype", "geomfromtext",
    "geomfromwkb", "glength", "interiorringn", "intersects", "isclosed", "isempty", "isring",
    "issimple", "json_compact", "json_detailed", "json_equals", "json_exists", "json_loose",
    "json_normalize", "json_query", "lengthb", "linefromtext", "linefromwkb",
    "linestringfromtext", "linestringfromwkb", "lpad_oracle", "ltrim_oracle",
    "master_gtid_wait", "mbrequal", "median", "mlinefromtext", "mlinefromwkb",
    "mpointfromtext", "mpointfromwkb", "mpolyfromtext", "mpolyfromwkb",
    "multilinestringfromtext", "multilinestringfromwkb", "multipointfromtext",
    "multipointfromwkb", "multipolygonfromtext", "multipolygonfromwkb", "natural_sort_key",
    "numgeometries", "numinteriorrings", "numpoints", "nvl", "nvl2", "old_password",
    "overlaps", "password", "percentile_cont", "percentile_disc", "pointfromtext",
    "pointfromwkb", "pointn", "pointonsurface", "polyfromtext", "polyfromwkb",
    "polygonfromtext", "polygonfromwkb", "replace_oracle", "rownum", "rpad_oracle",
    "rtrim_oracle", "schemas", "sformat", "srid", "st_boundary", "st_isring",
    "st_pointonsurface", "st_relate", "startpoint", "substr_oracle", "sys_guid", "to_char",
    "touches", "trim_oracle", "value", "within", "wsrep_last_seen_gtid",
    "wsrep_last_written_gtid", "wsrep_sync_wait_upto_gtid", "x", "y",
};

/* Without IGNORE_SPACE these are functions only when '(' follows at once; with
 * anything between, the name is looked up as that of a stored function. */
static const char *const close_names[] = {
    "adddate", "bit_and", "bit_or", "bit_xor", "cast", "count", "curdate", "curtime",
    "date_add", "date_sub", "extract", "group_concat", "json_arrayagg", "json_duality_object",
    "json_objectagg", "max", "mid", "min", "now", "position", "session_user", "std", "stddev",
    "stddev_pop", "stddev_samp", "subdate", "substr", "substring", "sum", "sysdate",
    "system_user", "trim", "var_pop", "var_samp", "variance",
};
static const char *const close_mariadb_names[] = {
    "cume_dist", "dense_rank", "first_value", "lag", "last_value", "lead", "median",
    "nth_value", "ntile", "percent_rank", "percentile_cont", "percentile_disc", "rank",
    "row_number", "st_collect", "trim_oracle",
};
/* clang-format on */

/* Those that came later, from which version of each on. */
#define NEVER UINT32_MAX
struct late_name {
    const char *name;
    uint32_t mysql, mariadb;
};
static const struct late_name late_names[] = {
    { "etag", 90300, NEVER },
    { "format_bytes", 80000, 110800 },
    { "from_vector", 90000, NEVER },
    { "json_array_intersect", NEVER, 110200 },
    { "json_duality_object", 90400, NEVER },
    { "json_key_value", NEVER, 110200 },
    { "json_object_filter_keys", NEVER, 110200 },
    { "json_object_to_array", NEVER, 110200 },
    { "json_schema_valid", 80000, 110100 },
    { "kdf", NEVER, 110300 },
    { "st_collect", 80000, 110800 },
    { "string_to_vector", 90000, NEVER },
    { "to_vector", 90000, NEVER },
    { "uuid_v4", NEVER, 110700 },
    { "uuid_v7", NEVER, 110700 },
    { "vec_distance", NEVER, 110800 },
    { "vec_distance_cosine", NEVER, 110700 },
    { "vec_distance_euclidean", NEVER, 110700 },
    { "vec_fromtext", NEVER, 110700 },
    { "vec_totext", NEVER, 110700 },
    { "vector_dim", 90000, NEVER },
    { "vector_to_string", 90000, NEVER },
};

#define ON_MYSQL   1u
#define ON_MARIADB 2u
#define ON_BOTH    (ON_MYSQL | ON_MARIADB)
/* Locks and sequences live on the primary: asking about them is done there too. */
struct special_name {
    const char *name;
    unsigned families;
    unsigned flags;
    uint32_t effects;
};
static const struct special_name special_names[] = {
    { "connection_id", ON_BOTH, 0, EFFECT_CONNECTION_ID },
    { "found_rows", ON_BOTH, 0, EFFECT_USES_FOUND_ROWS },
    { "get_lock", ON_BOTH, FUNCTION_PRIMARY, EFFECT_NAMED_LOCK },
    { "is_free_lock", ON_BOTH, FUNCTION_PRIMARY, 0 },
    { "is_used_lock", ON_BOTH, FUNCTION_PRIMARY, 0 },
    { "last_insert_id", ON_BOTH, FUNCTION_INSERT_ID, 0 },
    { "lastval", ON_MARIADB, FUNCTION_PRIMARY, EFFECT_SEQUENCE },
    { "load_file", ON_BOTH, 0, EFFECT_SERVER_STATE },
    { "nextval", ON_MARIADB, FUNCTION_PRIMARY, EFFECT_SEQUENCE },
    { "ps_current_thread_id", ON_MYSQL, 0, EFFECT_CONNECTION_ID },
    { "release_all_locks", ON_BOTH, FUNCTION_PRIMARY, EFFECT_RELEASE_LOCK },
    { "release_lock", ON_BOTH, FUNCTION_PRIMARY, EFFECT_RELEASE_LOCK },
    { "row_count", ON_BOTH, 0, EFFECT_USES_ROW_COUNT },
    { "setval", ON_MARIADB, FUNCTION_PRIMARY, EFFECT_SEQUENCE },
    { "uuid_short", ON_BOTH, 0, EFFECT_SERVER_STATE },
    { "version", ON_BOTH, 0, EFFECT_SERVER_STATE },
};

static int compare_names(const void *name, const void *row)
{
    return strcmp(name, *(const char *const *)row);
}

/* A row of an array whose rows begin with their name. */
#define find_in(name, rows)                                                                        \
    ((const void *)bsearch(name, rows, ARRAY_LEN(rows), sizeof((rows)[0]), compare_names))

/* What can't be said while the version is unknown is not said. */
static bool is_known(const char *name, const struct lexer_mode *mode)
{
    if (find_in(name, common_names) != NULL)
        return true;
    if (mode->version == 0)
        return false;
    if (mode->is_mariadb ? find_in(name, mariadb_names) != NULL
                         : find_in(name, mysql_names) != NULL)
        return true;
    const struct late_name *late = find_in(name, late_names);
    return late != NULL && mode->version >= (mode->is_mariadb ? late->mariadb : late->mysql);
}

static bool is_close_name(const char *name, const struct lexer_mode *mode)
{
    return find_in(name, close_names) != NULL ||
           (mode->is_mariadb && find_in(name, close_mariadb_names) != NULL);
}

static struct function_facts special_facts(const struct special_name *s,
                                           const struct lexer_mode *mode)
{
    bool is_known_here = (s->families & (mode->is_mariadb ? ON_MARIADB : ON_MYSQL)) != 0;
    return (struct function_facts){ s->flags | (is_known_here ? FUNCTION_KNOWN : 0), s->effects };
}

struct function_facts function_find(struct bytes name, const struct lexer_mode *mode, bool adjacent)
{
    const struct function_facts unknown = { 0, 0 };
    char lower[36];
    if (name.len >= sizeof(lower))
        return unknown;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = (char)ascii_lower(name.data[i]);
    lower[name.len] = '\0';
    const struct special_name *special = find_in(lower, special_names);
    if (special != NULL)
        return special_facts(special, mode);
    if (!is_known(lower, mode))
        return unknown;
    if (!adjacent && !mode->ignore_space && is_close_name(lower, mode))
        return unknown;
    return (struct function_facts){ FUNCTION_KNOWN, 0 };
}

bool functions_are_sorted(void)
{
#define CHECK(rows)                                                                                \
    for (size_t i = 1; i < ARRAY_LEN(rows); i++) {                                                 \
        if (strcmp(*(const char *const *)&(rows)[i - 1], *(const char *const *)&(rows)[i]) >= 0)   \
            return false;                                                                          \
    }
    CHECK(common_names)
    CHECK(mysql_names)
    CHECK(mariadb_names)
    CHECK(late_names)
    CHECK(close_names)
    CHECK(close_mariadb_names)
    CHECK(special_names)
#undef CHECK
    return true;
}
