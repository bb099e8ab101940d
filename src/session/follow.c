/*
 * follow.c - reads that share a busy connection with others of their kind; see inside.h and
 * pool/pipeline.c.
 *
 * Which do: a plain SELECT outside of any transaction, of a session that keeps nothing and asks for
 * nothing else, whose digest has been seen to be short, small and free of warnings.  What turns out
 * otherwise loses the right at once, for a while that doubles.
 *
 * An answer that leaves something behind (a warning that the client may ask for, a variable that a
 * view's function has set) needs the connection for itself, and others may have run on it since.
 * Warnings: the read is run once more, alone, and that answer counts.  Anything else: the others
 * are sent away, and run elsewhere.
 */
#include "session/inside.h"

#include "base/mem.h"

enum {
    PACES = 512,
    SEEN_LEAST = 8,           /* times, before it is believed to be short                 */
    SHORT_US = 2000,          /* mostly                                                    */
    LONG_US = 20000,          /* seldom, and not twice in a row: other programs use the machine, too */
    TOO_LONG_US = 100000,     /* never                                                    */
    LARGE_BYTES = 8 << 10,    /* never                                                    */
    WAIT_US = 5000,           /* what those before it may take together                   */
    DEPTH_MOST = 128,
    BAR_FIRST_S = 1, BAR_MOST_S = 64,
};

/* How the statements of one digest have behaved, on this worker.  Two digests of one place take turns in
 * being forgotten, and do not follow. */
struct pace {
    uint64_t digest;
    uint64_t barred_until_us;
    uint32_t us;                  /* of service, at its quickest lately                    */
    uint16_t seen;
    uint8_t bar_s;                /* how long the last bar was                            */
    uint8_t strikes;              /* long ones lately                                     */
};
struct paces {
    struct pace at[PACES];
};

struct paces *paces_new(void)
{
    return mem_zalloc(sizeof(struct paces));
}

static struct pace *pace_of(const struct session *s, uint64_t digest)
{
    return &s->home->paces->at[(digest ^ digest >> 32) % PACES];
}

/* ---- what may ----------------------------------------------------------------------------- */

/* Effects that its answer and its diagnostics are all there is of. */
#define EFFECTS_HARMLESS EFFECT_LIMIT

static bool is_plain_read(const struct command *cmd)
{
    const struct statement *st = &cmd->st;
    bool is_text = cmd->code == COM_QUERY;
    bool is_execute = cmd->code == COM_STMT_EXECUTE && cmd->stmt != NULL && !cmd->stmt->has_long_data &&
                      !cmd->stmt->has_cursor && !cmd->stmt->is_only_here;
    return (is_text || is_execute) && st->verb == VERB_SELECT && st->reads_only && !st->is_broken &&
           (st->effects & ~EFFECTS_HARMLESS) == 0 && cmd->whole && !cmd->has_own_id;
}

/* Nothing that is to be put back, or to be kept apart from what servers say. */
static bool has_nothing_rare(const struct session_more *more)
{
    return more == NULL || (more->tracking == NULL && more->told == NULL && more->diagnostics == NULL &&
                            !more->diagnostics_in_doubt && more->unread == NULL);
}

/* Does the session need nothing but the answer?  (It keeps no connection.) */
static bool is_free(const struct session *s)
{
    return s->pins == 0 && s->knows_status && s->unclear == 0 && s->deferred == DEFERRED_NOTHING &&
           (s->status & (STATUS_AUTOCOMMIT | STATUS_IN_TRANS)) == STATUS_AUTOCOMMIT &&
           !s->has_new_id && !s->used_found_rows && !s->asks_for_gtids && !s->mode.quotes_unknown &&
           !s->reads_anew && has_nothing_rare(s->more) &&
           !habit_is_known(s, &s->home->shared->counts);
}

static bool is_on(const struct session *s)
{
    return s->config->groups[session_group_index(s, s->user)].pipelining == PIPELINING_AUTO;
}

static bool is_known_to_be_short(const struct session *s, const struct pace *p, uint64_t digest)
{
    return p->digest == digest && p->seen >= SEEN_LEAST && p->us <= SHORT_US &&
           worker_now_us(session_worker(s)) >= p->barred_until_us;
}

static bool may_share(const struct session *s, const struct command *cmd)
{
    return is_plain_read(cmd) && is_free(s) && is_on(s) &&
           is_known_to_be_short(s, pace_of(s, cmd->st.digest), cmd->st.digest);
}

/* ---- boarding ------------------------------------------------------------------------------- */

/* Does the connection read what the client wrote, as it would by itself? */
static bool suits(const struct session *s, const struct command *cmd, const struct backend *be)
{
    return be->state == s->state && !be->schema_is_old && !be->had_user_vars && !be->state_in_doubt &&
           be->sandbox == SANDBOX_NONE && be->gtids == TRACK_NO_GTIDS && !be->reports_as_asked &&
           (be->caps & CAP_SESSION_TRACK) != 0 &&
           (be->multi_statements == s->multi_statements || !has_tail(s, cmd));
}

bool follow_suits(const struct session *s, const struct command *cmd, const struct backend *be)
{
    return is_plain_read(cmd) && is_free(s) && suits(s, cmd, be);
}

static bool board(void *arg, struct backend *be)
{
    struct boarding *b = arg;
    struct command *cmd = b->cmd;
    if (!suits(b->s, cmd, be) || (b->s->caps & ~be->caps & CAP_QUERY_ATTRIBUTES) != 0 ||
        (cmd->stmt != NULL && !stmt_is_ready(b->t, b->s, be, cmd)))
        return false;
    buf_add(&be->stream.out, cmd->wire);
    return true;
}

static bool may_follow(struct follow *f)
{
    const struct boarding *b = f->arg;
    if (!may_share(b->s, b->cmd))
        return false;
    uint32_t us = pace_of(b->s, b->cmd->st.digest)->us;
    f->deepest = MIN((unsigned)DEPTH_MOST, 1 + WAIT_US / MAX(us, 1u));
    return true;
}

void follow_begin(struct follow *f, struct boarding *b)
{
    *f = (struct follow){ .may = may_follow, .board = board, .arg = b };
}

void follow_lead(struct session *s, const struct command *cmd, const struct outcome *out)
{
    if (out->may_share && pool_is_scarce(session_worker(s)) && may_share(s, cmd))
        backend_lead(s->lease);
}

/* ---- the answer --------------------------------------------------------------------------- */

static bool changed_something(const struct session *s)
{
    return s->unclear != 0 || s->has_new_id || s->state != s->lease->state || s->tracking_unseen;
}

bool follow_settle(struct task *t, struct session *s, struct command *cmd, struct outcome *out,
                   const struct state *before)
{
    if (!backend_is_followed(s->lease))
        return true;
    const uint32_t about_it = PIN_DIAGNOSTICS | PIN_COUNTS; /* as long as nothing else has run there */
    uint32_t pins = pins_behind(s, cmd, out);
    /* (who follows is in the state that was before, and keeps it alive; who did and is gone may not, so that
     * another state may lie in its place: then it is the backend's as well, and nothing is lost) */
    bool changed = s->state != before || changed_something(s) || (pins & ~about_it) != 0;
    if (!changed && pins == 0)
        return true;
    if (!changed && answer_is_unsent(s, out)) {
        out->goes_alone = true;
        return false;
    }
    if (!backend_recall(t, s->lease, stall_deadline(t), &out->why))
        return false;
    out->was_recalled = true;
    if ((pins & PIN_DIAGNOSTICS) != 0) {
        diagnostics_forget(s);
        diagnostics_doubt(s);
        out->diagnostics_taken = true;
    }
    return true;
}

bool follow_alone(struct session *s, struct outcome *out)
{
    if (!out->goes_alone)
        return false;
    count(session_worker(s), pipelined_alone);
    answer_take_back(s, out);
    s->lease->has_diagnostics = true;
    let_go(s, PUT_CLEAN);
    out->learned = out->got_error = out->over = out->sent = out->is_followed = false;
    out->warnings = out->error = 0;
    out->rows = out->bytes = 0;
    out->goes_alone = false;
    out->is_alone = true;
    return true;
}

/* ---- paces ------------------------------------------------------------------------------------ */

static void bar(struct pace *p, uint64_t now_us)
{
    bool is_new = now_us > p->barred_until_us + BAR_MOST_S * 1000000ull;
    p->strikes = 0;
    p->bar_s = (uint8_t)(is_new ? BAR_FIRST_S : MIN(2 * p->bar_s, BAR_MOST_S));
    p->barred_until_us = now_us + p->bar_s * 1000000ull;
}

/* Each long one counts as much as some that are short. */
static bool is_out(struct pace *p, uint64_t us)
{
    enum { STRIKE = 8, OUT = 12 };
    if (us > LONG_US)
        p->strikes += STRIKE;
    else if (p->strikes > 0)
        p->strikes--;
    return us > TOO_LONG_US || p->strikes > OUT;
}

void pace_note(const struct session *s, const struct command *cmd, const struct outcome *out)
{
    if (!pool_is_scarce(session_worker(s)) || !is_plain_read(cmd) || !out->over)
        return;
    struct pace *p = pace_of(s, cmd->st.digest);
    uint64_t us = MIN(worker_took_us(session_worker(s), out->started_us + out->wait_us), (uint64_t)UINT32_MAX);
    if (p->digest != cmd->st.digest)
        *p = (struct pace){ .digest = cmd->st.digest, .us = (uint32_t)us };
    if (out->got_error || out->warnings > 0 || out->is_alone || is_out(p, us) || out->bytes > LARGE_BYTES)
        bar(p, worker_now_us(session_worker(s)));
    if (out->was_followed)        /* how long it took is not known then */
        return;
    p->us = (uint32_t)(us < p->us ? p->us - (p->us - us) / 2 : p->us + (us - p->us) / 64);
    p->seen = (uint16_t)MIN(p->seen + 1, UINT16_MAX);
}
