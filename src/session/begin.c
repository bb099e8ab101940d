/*
 * begin.c - the state that a session begins in: by its login's collation, the client's flags and the
 * servers' global values, as the monitor found them; see inside.h.
 *
 * The servers' own sessions begin so too.  What is not known here is learnt from the first connection
 * that the session uses (obtain.c).
 */
#include "session/inside.h"

#include "base/str.h"

/* The collation that a server takes a login's for.  MariaDB reads what was the default of its
 * character set before 11.5 as "the default", which a variable names since then. */
static unsigned login_collation(unsigned collation, unsigned usual, const struct group_state *g)
{
    if (g == NULL || g->version[0] == '\0')
        return collation != 0 ? collation : usual;
    if (collation == UTF8MB3_GENERAL && g->utf8mb3_collation != 0)
        return g->utf8mb3_collation;
    if (collation == UTF8MB4_GENERAL && g->utf8mb4_collation != 0)
        return g->utf8mb4_collation;
    return collation_known(collation, g->is_mariadb, g->version_number) ? collation : usual;
}

bool begin_accepts(unsigned collation, const struct group_state *g, struct fault *why)
{
    enum { FILENAME = 17 };       /* MariaDB knows it by its number, too */
    const struct collation *c = collation_by_id(collation);
    const char *charset = "";
    if (g != NULL && collation_known(collation, g->is_mariadb, g->version_number))
        charset = c->charset;
    else if (g != NULL && g->is_mariadb && collation == FILENAME)
        charset = "filename";
    if (charset_is_for_clients(charset))
        return true;
    return fault_set(why, BLAME_POLICY, ER_WRONG_VALUE_FOR_VAR,
                     "Variable 'character_set_client' can't be set to the value of '%s'", charset);
}

/* Servers list the modes in a certain order: three may come before this one.  There is room. */
static void add_ignore_space(const char *modes, char *with, size_t size)
{
    static const char *const before[] = { "REAL_AS_FLOAT", "PIPES_AS_CONCAT", "ANSI_QUOTES" };
    const char *at = modes;
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        size_t n = strlen(before[i]);
        if (strncmp(at, before[i], n) == 0 && (at[n] == ',' || at[n] == '\0'))
            at += n + (at[n] == ',');
    }
    bool is_there = strncmp(at, "IGNORE_SPACE", 12) == 0;
    bool is_last = *at == '\0', is_behind = at > modes && at[-1] != ',';
    int n = is_there ? snprintf(with, size, "%s", modes)
                     : snprintf(with, size, "%.*s%sIGNORE_SPACE%s%s", (int)(at - modes), modes,
                                is_behind ? "," : "", is_last ? "" : ",", at);
    must(n >= 0 && (size_t)n < size);
}

/* Where the client's flag counts: for MariaDB only at the login itself. */
static bool flag_counts(const struct session *s, enum beginning when)
{
    return (s->caps & CAP_IGNORE_SPACE) != 0 && (when == AT_LOGIN || !s->mode.is_mariadb);
}

/* The collation of character_set_results, as far as it can be known: no variable says it. */
static struct bytes global_results(const struct group_state *g)
{
    const struct collation *c = collation_by_id(g->collation);
    bool is_servers = c != NULL && strcmp(c->charset, g->globals.charset_results) == 0;
    return is_servers ? bytes_str(c->name) : BYTES_NONE;
}

/* What the servers' global values add; takes over the reference.  A reset takes a session of MySQL to
 * the global character sets, one of MariaDB to those of its login. */
static struct state *with_globals(const struct session *s, struct state *from,
                                  const struct group_state *g, enum beginning when)
{
    const struct globals *now = &g->globals;
    char modes[sizeof now->sql_mode + sizeof ",IGNORE_SPACE"];
    if (flag_counts(s, when))
        add_ignore_space(now->sql_mode, modes, sizeof modes);
    else
        str_copy(modes, sizeof modes, bytes_str(now->sql_mode));
    const struct state_var vars[] = {
        { BYTES_LITERAL("sql_mode"), bytes_str(modes) },
        { BYTES_LITERAL("character_set_client"), bytes_str(now->charset_client) },
        { BYTES_LITERAL("character_set_connection"), bytes_str(now->charset_connection) },
        { BYTES_LITERAL("character_set_results"), bytes_str(now->charset_results) },
        { BYTES_LITERAL("collation_connection"), bytes_str(now->collation_connection) },
        { BYTES_LITERAL(COLLATION_RESULTS), global_results(g) },
    };
    bool all = when == AT_RESET && !s->mode.is_mariadb;
    struct state *state = state_changed(from, NULL, vars, all ? ARRAY_LEN(vars) : 1);
    state_drop(from);
    return state;
}

void begin_state(struct session *s, unsigned collation, const struct group_state *g,
                 enum beginning when)
{
    unsigned usual = g != NULL && g->collation != 0 ? g->collation : UTF8MB4_GENERAL;
    s->collation = (uint16_t)login_collation(collation, usual, g);
    s->status = STATUS_AUTOCOMMIT;
    s->knows_status = false;
    s->deferred = DEFERRED_NOTHING;
    s->insert_id = 0;
    counts_reset(s);
    s->has_new_id = s->says_own_id = s->explicit_transaction = s->explicit_snapshot = false;
    s->mode = (struct lexer_mode){ .is_mariadb = g != NULL && g->is_mariadb,
                                   .version = g != NULL ? g->version_number : 0 };
    struct state *state = state_at_login(s->collation, usual);
    if (g != NULL && g->globals.is_known)
        state = with_globals(s, state, g, when);
    session_set_state(s, state);
}
