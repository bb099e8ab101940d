/*
 * names.c - what verbs, roles, reasons and effects are called in logs and admin answers.
 */
#include "router/router.h"

const char *route_why_name(enum route_why why)
{
    switch (why) {
    case WHY_PLAIN_READ:
        return "plain read";
    case WHY_WRITE:
        return "write";
    case WHY_DDL:
        return "ddl";
    case WHY_LOCKING_READ:
        return "locking read";
    case WHY_SIDE_EFFECT:
        return "side effect";
    case WHY_TRANSACTION:
        return "transaction";
    case WHY_READ_ONLY_TRANSACTION:
        return "read only transaction";
    case WHY_AUTOCOMMIT_OFF:
        return "autocommit off";
    case WHY_SESSION_COMMAND:
        return "session command";
    case WHY_SHOW:
        return "show";
    case WHY_ADMIN:
        return "administration";
    case WHY_DIAGNOSTICS:
        return "diagnostics";
    case WHY_HINT:
        return "hint";
    case WHY_NOT_UNDERSTOOD:
        return "not understood";
    case WHY_MULTI:
        return "several statements";
    case WHY_PINNED:
        return "pinned";
    case WHY_NO_SPLIT:
        return "no read splitting";
    case WHY_EMPTY:
        return "empty";
    }
    return "?";
}

const char *verb_name(enum verb v)
{
    static const char *const names[] = {
        [VERB_EMPTY] = "empty",
        [VERB_SELECT] = "select",
        [VERB_WRITE] = "write",
        [VERB_DDL] = "ddl",
        [VERB_BEGIN] = "begin",
        [VERB_COMMIT] = "commit",
        [VERB_ROLLBACK] = "rollback",
        [VERB_SAVEPOINT] = "savepoint",
        [VERB_XA] = "xa",
        [VERB_SET] = "set",
        [VERB_USE] = "use",
        [VERB_SHOW] = "show",
        [VERB_EXPLAIN] = "explain",
        [VERB_CALL] = "call",
        [VERB_LOCK] = "lock",
        [VERB_PREPARE] = "prepare",
        [VERB_HANDLER] = "handler",
        [VERB_DO] = "do",
        [VERB_KILL] = "kill",
        [VERB_ADMIN] = "admin",
        [VERB_OTHER] = "other",
    };
    return (size_t)v < ARRAY_LEN(names) ? names[v] : "?";
}

const char *role_name(enum role r)
{
    static const char *const names[] = {
        [ROLE_ANY] = "any",
        [ROLE_PRIMARY] = "primary",
        [ROLE_REPLICA] = "replica",
        [ROLE_SAME] = "same",
    };
    return (size_t)r < ARRAY_LEN(names) ? names[r] : "?";
}

/* By bit. */
static const char *const effect_names[] = {
    "locking read",
    "into file",
    "user variable",
    "named lock",
    "release lock",
    "sequence",
    "handler",
    "calculates found rows",
    "uses found rows",
    "uses row count",
    "uses insert id",
    "sets insert id",
    "diagnostics",
    "procedure",
    "role",
    "resource group",
    "set statement",
    "temporary table",
    "text prepare",
    "table lock",
    "unknown function",
    "read only transaction",
    "several statements",
    "server state",
    "connection id",
    "set global",
    "instance lock",
    "unreported variable",
    "one-shot variable",
    "session trackers",
};

void effects_print(uint32_t effects, char *out, size_t size)
{
    size_t at = 0;
    if (size > 0)
        out[0] = '\0';
    for (unsigned bit = 0; bit < 32 && at + 1 < size; bit++) {
        if ((effects & ~EFFECT_LIMIT & (1u << bit)) == 0)
            continue;             /* (a LIMIT is none to speak of) */
        bool has_name = bit < ARRAY_LEN(effect_names) && effect_names[bit] != NULL;
        const char *name = has_name ? effect_names[bit] : "?";
        int n = snprintf(out + at, size - at, "%s%s", at > 0 ? ", " : "", name);
        at = MIN(at + (size_t)MAX(n, 0), size - 1);
    }
}
