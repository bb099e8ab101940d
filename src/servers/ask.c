/* One probe, blocking, on a probe thread: a few questions in SQL on a connection kept open, or
 * without an account just a look (visit.c). */
#include "servers/inside.h"
#include "servers/sql.h"

#include "base/clock.h"
#include "base/str.h"

/* libmariadb's: no connection, by TCP or unix socket; the account has a login method that
 * sql.c does not allow, or the greeting was garbage. */
enum { CR_NO_CONNECTION = 2002, CR_METHOD_REFUSED = 5010 };

static unsigned whole_seconds(unsigned ms)
{
    return (ms + 999) / 1000;
}

static bool fail_sql(struct probe *p, const char *what)
{
    char text[160];
    unsigned code = sql_errno(p->connection);
    p->found.alive = probe_shows_life(code);
    snprintf(text, sizeof(text), "%s: %u %s", what, code, sql_error(p->connection));
    return probe_failed(&p->found, text);
}

/* ---- with an account -------------------------------------------------------------------- */

void probe_hang_up(struct probe *p)
{
    sql_disconnect(p->connection);
    p->connection = NULL;
    config_drop(p->connected_as);
    p->connected_as = NULL;
}

static bool log_in(struct probe *p)
{
    const struct settings *s = &p->config->settings;
    const struct address *to = &p->server->address;
    const struct server_config *section = config_server(p->config, bytes_str(p->server->name));
    struct tls_context *tls = probe_tls(p);
    struct tls_fingerprint found;
    struct sql_fingerprint only = { found.sha1, found.sha256 };
    bool insists = tls_context_want(tls) >= TLS_REQUIRED;
    char host[ADDRESS_TEXT_BYTES];
    struct sql_account account = { .user = s->monitor_user,
                                   .password = s->monitor_password,
                                   .timeout_s = whole_seconds(s->monitor_timeout_ms),
                                   .with_tls = tls != NULL,
                                   .only = insists ? &only : NULL,
                                   .tls_certificate = tls != NULL ? section->tls_certificate_path : NULL,
                                   .tls_key = tls != NULL ? section->tls_key_path : NULL,
                                   .tls_versions = s->tls_min_version == TLS_1_3 ? "TLSv1.3"
                                                                                : "TLSv1.2,TLSv1.3",
                                   .tls_ciphers = s->tls_ciphers };
    if (insists && !probe_meet(p, &found))
        return false;
    if (to->any.sa_family == AF_UNIX) {
        account.socket = to->un.sun_path;
    } else {
        address_print(to, false, host);
        account.host = host;
        account.port = ntohs(to->any.sa_family == AF_INET ? to->in4.sin_port : to->in6.sin6_port);
    }
    p->connection = sql_connect(&account);
    p->connected_as = config_take(p->config);
    p->connected_by = tls_context_number(tls);
    if (sql_errno(p->connection) == 0) {
        struct sql_greeting g;
        sql_greeting(p->connection, &g);
        p->asks_mariadb = g.is_mariadb;
        return true;
    }
    fail_sql(p, "login");
    /* libmariadb says "Operation now in progress" of whatever went wrong: see for ourselves. */
    if (sql_errno(p->connection) == CR_NO_CONNECTION) {
        probe_greet(p, 100);
        p->found.alive = p->found.greeted = false; /* up just now: the next probe will see */
    } else if (sql_errno(p->connection) == CR_METHOD_REFUSED) {
        probe_greet(p, p->config->settings.monitor_timeout_ms);
    }
    return false;
}

static bool account_changed(const struct probe *p)
{
    const struct settings *was = &p->connected_as->settings, *is = &p->config->settings;
    return p->connected_by != tls_context_number(probe_tls(p)) ||
           strcmp(was->monitor_user, is->monitor_user) != 0 ||
           strcmp(was->monitor_password, is->monitor_password) != 0 ||
           was->monitor_timeout_ms != is->monitor_timeout_ms;
}

/* One result set, or NULL with the reason. */
static struct sql_rows *query(struct probe *p, const char *text, const char *what)
{
    struct sql_rows *rows = sql_query(p->connection, text);
    if (rows == NULL)
        fail_sql(p, what);
    return rows;
}

static bool is_off(const char *value)
{
    return strcmp(value, "0") == 0 || strcasecmp(value, "OFF") == 0;
}

/* 0 when unknown. */
static uint16_t collation_id(const char *name)
{
    const struct collation *c = name != NULL ? collation_by_name(bytes_str(name)) : NULL;
    return c != NULL ? c->id : 0;
}

/* What the greeting said, from the library that has read it. */
static void recall_greeting(struct finding *f, struct sql *connection, const char *collation_name)
{
    struct sql_greeting g;
    unsigned collation = collation_id(collation_name);
    sql_greeting(connection, &g);
    f->is_mariadb = g.is_mariadb;
    f->version_number = version_number(bytes_str(g.version), g.is_mariadb);
    /* The library hides what MariaDB 10 puts in front for old replicas. */
    bool disguised = f->is_mariadb && f->version_number >= 100000 && f->version_number < 110000;
    snprintf(f->version, sizeof(f->version), "%s%.50s", disguised ? "5.5.5-" : "", g.version);
    f->caps = g.caps;
    f->collation = (uint16_t)(collation != 0 ? collation : 45); /* utf8mb4_general_ci: all have it */
    f->greeted = true;
}

/* (What is cut could not be set again.) */
static bool take_global(const struct sql_rows *rows, unsigned column, char *out, size_t size)
{
    const char *value = sql_value(rows, column);
    str_copy(out, size, bytes_str(value != NULL ? value : ""));
    return value == NULL || strlen(value) < size;
}

static void learn_globals(struct globals *g, const struct sql_rows *rows)
{
    g->is_known = sql_value(rows, 3) != NULL &&
                  take_global(rows, 3, g->sql_mode, sizeof(g->sql_mode)) &&
                  take_global(rows, 4, g->charset_client, sizeof(g->charset_client)) &&
                  take_global(rows, 5, g->charset_connection, sizeof(g->charset_connection)) &&
                  take_global(rows, 6, g->charset_results, sizeof(g->charset_results)) &&
                  take_global(rows, 7, g->collation_connection, sizeof(g->collation_connection));
    if (!take_global(rows, 8, g->init_connect, sizeof(g->init_connect)))
        g->init_connect[0] = '\0';
}

static bool learn_variables(struct probe *p, struct sql_rows *rows)
{
    struct finding *f = &p->found;
    uint64_t max_packet = 0;
    if (!sql_next(rows))
        return false;
    const char *read_only = sql_value(rows, 0), *collation = sql_value(rows, 2);
    if (read_only == NULL || collation == NULL ||
        !str_to_u64(bytes_str(sql_value(rows, 1)), &max_packet) || max_packet == 0)
        return false;
    f->read_only = !is_off(read_only);
    f->max_allowed_packet = max_packet;
    recall_greeting(f, p->connection, collation);
    learn_globals(&f->globals, rows);
    if (f->is_mariadb) {
        f->utf8mb3_collation = collation_id(sql_value(rows, 9));
        f->utf8mb4_collation = collation_id(sql_value(rows, 10));
    }
    return true;
}

/* super_read_only needs no question of its own: it switches read_only on and goes off with it. */
static bool ask_variables(struct probe *p)
{
#define VARIABLES                                                                                  \
    "SELECT @@global.read_only, @@global.max_allowed_packet, @@global.collation_server, "         \
    "@@global.sql_mode, @@global.character_set_client, @@global.character_set_connection, "       \
    "@@global.character_set_results, @@global.collation_connection, @@global.init_connect"
    static const char of_mysql[] = VARIABLES;
    static const char of_mariadb[] =
        VARIABLES ", COLLATION(CONVERT('' USING utf8mb3)), COLLATION(CONVERT('' USING utf8mb4))";
#undef VARIABLES
    struct sql_rows *rows = query(p, p->asks_mariadb ? of_mariadb : of_mysql, "read_only");
    if (rows == NULL)
        return false;
    bool fits = learn_variables(p, rows);
    sql_rows_free(rows);
    return fits || probe_failed(&p->found, "read_only: a strange answer");
}

/* ---- replication ------------------------------------------------------------------------ */

/* Columns have two names, by version. */
static const char *column(const struct sql_rows *rows, const char *name, const char *old_name)
{
    const char *value = sql_value_named(rows, name);
    return value != NULL ? value : sql_value_named(rows, old_name);
}

static bool says(const char *value, const char *word)
{
    return value != NULL && strcasecmp(value, word) == 0;
}

enum receiver {
    RECEIVER_RUNS,
    RECEIVER_TRIES,           /* can't reach its source, and goes on trying */
    RECEIVER_GAVE_UP,         /* ... and tries no more                      */
    RECEIVER_STOPPED,         /* by somebody, or by an error of another kind */
};

static enum receiver receiver_of(const struct sql_rows *row)
{
    static const unsigned unreachable[] = { 2002, 2003, 2005, 2006, 2013 };
    const char *runs = column(row, "Replica_IO_Running", "Slave_IO_Running");
    const char *error = column(row, "Last_IO_Errno", "Last_IO_Errno");
    if (says(runs, "Yes"))
        return RECEIVER_RUNS;
    if (says(runs, "Connecting") || says(runs, "Preparing"))
        return RECEIVER_TRIES;
    for (unsigned i = 0; error != NULL && i < ARRAY_LEN(unreachable); i++)
        if (strtoul(error, NULL, 10) == unreachable[i])
            return RECEIVER_GAVE_UP;
    return RECEIVER_STOPPED;
}

/* One source.  The lag that the server tells is NULL when replication is broken; MySQL tells 0
 * also of a replica that has applied all it got and gets nothing any more. */
static void learn_source(struct finding *f, const struct sql_rows *row)
{
    uint64_t seconds = 0;
    const char *lag = column(row, "Seconds_Behind_Source", "Seconds_Behind_Master");
    bool applies = says(column(row, "Replica_SQL_Running", "Slave_SQL_Running"), "Yes");
    bool is_told = lag != NULL && str_to_u64(bytes_str(lag), &seconds);
    uint32_t lag_ms = (uint32_t)MIN(seconds, UINT32_MAX / 1000) * 1000;
    enum receiver receiver = receiver_of(row);
    f->replicates = true;
    if (!applies || receiver >= RECEIVER_GAVE_UP || (receiver == RECEIVER_RUNS && !is_told))
        lag_ms = UINT32_MAX;
    if (applies && (receiver == RECEIVER_TRIES || receiver == RECEIVER_GAVE_UP))
        f->is_cut_off = true;
    else
        f->is_broken |= lag_ms == UINT32_MAX;
    f->lag_ms = MAX(f->lag_ms, lag_ms);
}

static const char *replication_query(const struct finding *f)
{
    if (f->is_mariadb)
        return f->version_number >= 100000 ? "SHOW ALL SLAVES STATUS" : "SHOW SLAVE STATUS";
    return f->version_number >= 80022 ? "SHOW REPLICA STATUS" : "SHOW SLAVE STATUS";
}

static bool ask_replication(struct probe *p)
{
    struct finding *f = &p->found;
    struct sql_rows *rows = query(p, replication_query(f), "replication");
    if (rows == NULL) {
        f->lag_refused = f->alive; /* 1227: the account lives without the privilege */
        return f->lag_refused;
    }
    while (sql_next(rows))
        learn_source(f, rows);
    f->lag_known = f->replicates;
    f->is_cut_off &= !f->is_broken;
    sql_rows_free(rows);
    return true;
}

static bool ask_all(struct probe *p)
{
    if (!ask_variables(p) || !ask_replication(p))
        return false;
    p->found.alive = p->found.answered = true;
    p->found.why[0] = '\0';
    return true;
}

/* A connection that was kept may have died since: that says nothing of the server, so try
 * again with a new one.  Not so if it hung. */
static bool died_at_once(const struct probe *p, uint64_t began_us)
{
    return clock_us() - began_us < p->config->settings.monitor_timeout_ms * 1000ull / 2;
}

static void ask_with_account(struct probe *p)
{
    uint64_t began_us = clock_us();
    if (p->connection != NULL && account_changed(p))
        probe_hang_up(p);
    bool was_kept = p->connection != NULL;
    if (was_kept && ask_all(p))
        return;
    probe_hang_up(p);
    if (was_kept && !died_at_once(p, began_us))
        return;
    p->found = (struct finding){ .alive = false };
    if (log_in(p) && !ask_all(p))
        probe_hang_up(p);
}

void probe_ask(struct probe *p)
{
    uint64_t began_us = clock_us();
    if (p->config->settings.monitor_user[0] != '\0') {
        ask_with_account(p);
    } else {
        probe_hang_up(p);
        probe_greet(p, p->config->settings.monitor_timeout_ms);
    }
    uint64_t took_us = clock_us() - began_us;
    if (p->found.alive)
        p->found.took_us = (unsigned)MAX(MIN(took_us, UINT32_MAX), 1);
}
