/* decide.c - write down the facts, ask the router; see inside.h. */
#include "session/inside.h"

static struct facts facts_of(const struct session *s)
{
    bool in_transaction = (s->pins & PIN_TRANSACTION) != 0;
    return (struct facts){
        .in_transaction = in_transaction,
        .in_read_only_transaction = in_transaction && (s->status & STATUS_IN_TRANS_READONLY) != 0,
        .autocommit = (s->status & STATUS_AUTOCOMMIT) != 0,
        .splits_reads = s->user->split_reads,
        .begins = deferred_begins(s),
        .begins_read_only = s->deferred == DEFERRED_READ_ONLY,
        .pinned = s->lease != NULL && (s->pins & ~PIN_LEAVABLE) != 0,
    };
}

bool decide(const struct session *s, const struct command *cmd, struct plan *plan, struct fault *why)
{
    struct facts facts = facts_of(s);
    return pins_allow(s, cmd, why) && route(&facts, &cmd->st, plan, why);
}
