/*
 * route.c - the one decision: where a statement runs, and why.
 */
#include "router/router.h"

#define EFFECTS_ABOUT_BEFORE (EFFECT_DIAGNOSTICS | EFFECT_USES_FOUND_ROWS | EFFECT_USES_ROW_COUNT)

/* ---- what the statement asks for -------------------------------------------------------- */

struct wish {
    enum role role;
    enum route_why why;
};

static struct wish wish(enum role role, enum route_why why)
{
    return (struct wish){ role, why };
}

/* A SELECT that is more than a read. */
static enum route_why why_not_plain(const struct statement *st)
{
    if ((st->effects & EFFECT_LOCKING_READ) != 0)
        return WHY_LOCKING_READ;
    if ((st->effects & ~(EFFECT_UNKNOWN_FUNCTION | EFFECT_LIMIT)) == 0 &&
        (st->effects & EFFECT_UNKNOWN_FUNCTION) != 0)
        return WHY_NOT_UNDERSTOOD;
    return WHY_SIDE_EFFECT;
}

static struct wish wish_of_read(const struct statement *st)
{
    if (!st->reads_only)
        return wish(ROLE_PRIMARY, why_not_plain(st));
    if ((st->effects & EFFECTS_ABOUT_BEFORE) != 0)
        return wish(ROLE_SAME, WHY_DIAGNOSTICS);
    return wish(ROLE_REPLICA, WHY_PLAIN_READ);
}

static struct wish wish_of_explain(const struct statement *st)
{
    if (!st->reads_only && st->effects == 0)
        return wish(ROLE_PRIMARY, WHY_WRITE);
    return wish_of_read(st);
}

static struct wish wish_of_show(const struct statement *st)
{
    if ((st->effects & EFFECT_DIAGNOSTICS) != 0)
        return wish(ROLE_SAME, WHY_DIAGNOSTICS);
    return wish(ROLE_PRIMARY, WHY_SHOW);
}

static struct wish wish_of_set(const struct statement *st)
{
    if (st->reads_only)
        return wish(ROLE_ANY, WHY_SESSION_COMMAND);
    if ((st->effects & EFFECT_SET_GLOBAL) != 0)
        return wish(ROLE_PRIMARY, WHY_ADMIN);
    bool has_effect = (st->effects & (EFFECT_USER_VAR | EFFECT_ROLE | EFFECT_RESOURCE_GROUP |
                                      EFFECT_UNKNOWN_FUNCTION)) != 0;
    return wish(ROLE_PRIMARY, has_effect ? WHY_SIDE_EFFECT : WHY_SESSION_COMMAND);
}

static struct wish wish_of_begin(const struct statement *st)
{
    if (st->reads_only)
        return wish(ROLE_REPLICA, WHY_READ_ONLY_TRANSACTION);
    return wish(ROLE_PRIMARY, WHY_TRANSACTION);
}

/* COMMIT and the like with no transaction do nothing, unless they begin another. */
static struct wish wish_of_end(const struct statement *st)
{
    if (st->reads_only)
        return wish(ROLE_ANY, WHY_SESSION_COMMAND);
    return wish(ROLE_PRIMARY, WHY_TRANSACTION);
}

static struct wish wish_of_verb(const struct statement *st)
{
    switch (st->verb) {
    case VERB_EMPTY:
        return wish(ROLE_ANY, WHY_EMPTY);
    case VERB_SELECT:
        return wish_of_read(st);
    case VERB_EXPLAIN:
        return wish_of_explain(st);
    case VERB_WRITE:
        return wish(ROLE_PRIMARY, WHY_WRITE);
    case VERB_DDL:
        return wish(ROLE_PRIMARY, WHY_DDL);
    case VERB_BEGIN:
        return wish_of_begin(st);
    case VERB_COMMIT:
    case VERB_ROLLBACK:
    case VERB_SAVEPOINT:
        return wish_of_end(st);
    case VERB_XA:
        return wish(ROLE_PRIMARY, WHY_TRANSACTION);
    case VERB_SET:
        return wish_of_set(st);
    case VERB_USE:
        return wish(ROLE_ANY, WHY_SESSION_COMMAND);
    case VERB_SHOW:
        return wish_of_show(st);
    case VERB_CALL:
    case VERB_LOCK:
    case VERB_PREPARE:
    case VERB_HANDLER:
    case VERB_DO:
        return wish(ROLE_PRIMARY, WHY_SIDE_EFFECT);
    case VERB_KILL:
    case VERB_ADMIN:
        return wish(ROLE_PRIMARY, WHY_ADMIN);
    case VERB_OTHER:
        break;
    }
    return wish(ROLE_PRIMARY, WHY_NOT_UNDERSTOOD);
}

/* Several statements go to a replica only if all of them are plain reads. */
static bool is_mixed(const struct statement *st)
{
    return (st->effects & EFFECT_MULTI) != 0 &&
           !(st->reads_only && (st->verb == VERB_SELECT || st->verb == VERB_EXPLAIN));
}

static struct wish wish_of(const struct statement *st)
{
    if (st->is_broken)
        return wish(ROLE_PRIMARY, WHY_NOT_UNDERSTOOD);
    if (is_mixed(st))
        return wish(ROLE_PRIMARY, WHY_MULTI);
    return wish_of_verb(st);
}

static struct wish wish_in_group(const struct facts *facts, const struct statement *st)
{
    struct wish w = wish_of(st);
    if (w.role == ROLE_REPLICA && !facts->splits_reads)
        return wish(ROLE_PRIMARY, WHY_NO_SPLIT);
    return w;
}

/* The statement goes where its BEGIN would have gone. */
static struct wish wish_of_beginning(const struct facts *facts)
{
    const struct statement begin = { .verb = VERB_BEGIN, .reads_only = facts->begins_read_only };
    return wish_in_group(facts, &begin);
}

/* ---- hints -------------------------------------------------------------------------------- */

/* A hint's text as it may stand in a message: short and printable. */
static bool refuse_hint(struct bytes text, struct fault *why)
{
    char shown[41];
    size_t len = MIN(text.len, sizeof(shown) - 1);
    for (size_t i = 0; i < len; i++)
        shown[i] = text.data[i] >= ' ' && text.data[i] < 0x7f ? (char)text.data[i] : '?';
    shown[len] = '\0';
    return fault_set(why, BLAME_POLICY, 0,
                     "volvox: the hint '%s%s' is not understood or contradicts another one: "
                     "'primary', 'replica' and 'server=NAME' are possible, one per statement",
                     shown, len < text.len ? "..." : "");
}

static bool follow_hint(const struct facts *facts, const struct statement *st, struct plan *out,
                        struct fault *why)
{
    out->why = WHY_HINT;
    if (st->hint.kind == HINT_SERVER) {
        /* (an id is that of one server) */
        out->role = st->verb == VERB_KILL ? ROLE_ANY : wish_in_group(facts, st).role;
        out->server = st->hint.server;
        return true;
    }
    if (st->hint.kind == HINT_PRIMARY) {
        out->role = ROLE_PRIMARY;
        return true;
    }
    if (!st->reads_only)
        return fault_set(why, BLAME_POLICY, 0,
                         "volvox: the hint 'replica' is on a statement that may do more than read (%s)",
                         route_why_name(wish_of(st).why));
    out->role = ROLE_REPLICA;
    return true;
}

/* ---- the decision ---------------------------------------------------------------------------- */

static bool stay(struct plan *out, enum route_why reason)
{
    out->stays = true;
    out->role = ROLE_SAME;
    out->why = reason;
    return true;
}

bool route(const struct facts *facts, const struct statement *st, struct plan *out,
           struct fault *why)
{
    *out = (struct plan){ .role = ROLE_PRIMARY, .why = WHY_NOT_UNDERSTOOD };
    if (st->hint.kind == HINT_BAD)
        return refuse_hint(st->hint.server, why);
    if (facts->pinned)
        return stay(out, WHY_PINNED);
    if (facts->in_transaction)
        return stay(out,
                    facts->in_read_only_transaction ? WHY_READ_ONLY_TRANSACTION : WHY_TRANSACTION);
    if (!facts->autocommit) {
        out->why = WHY_AUTOCOMMIT_OFF;
        return true;
    }
    if (st->hint.kind != HINT_NONE && !facts->begins)
        return follow_hint(facts, st, out, why);
    struct wish w = facts->begins ? wish_of_beginning(facts) : wish_in_group(facts, st);
    out->role = w.role;
    out->why = w.why;
    return true;
}
