/*
 * tell.c - what a client is told of changes in its session; see inside.h.
 *
 * Backends report everything.  A client hears of it what a connection of its own would report, which
 * is what it has set session_track_* to, or what the server does unless told otherwise: the same
 * entries in the same order.
 *
 * A result set that ends with an EOF packet has no place for entries: then the server holds them back for
 * the session's next OK, and so does Volvox.
 */
#include "session/inside.h"

#include <limits.h>

#include "base/mem.h"

enum { TRX_STATE_BYTES = 8 };

/* For a client whose result sets end with EOF. */
struct untold {
    struct buf entries;           /* held back; TRXSTATE apart                            */
    char reported[TRX_STATE_BYTES]; /* the transaction's state, as the client knows it     */
    char now[TRX_STATE_BYTES];    /* ... and as it is, if that is held back               */
    bool has_state;
};

void untold_free(struct untold *u)
{
    if (u == NULL)
        return;
    buf_release(&u->entries);
    mem_free(u);
}

static struct untold *untold_of(struct session *s)
{
    struct session_more *more = session_more(s);
    if (more->untold == NULL) {
        more->untold = mem_zalloc(sizeof *more->untold);
        memset(more->untold->reported, '_', TRX_STATE_BYTES);
    }
    return more->untold;
}

/* ---- what is asked for ------------------------------------------------------------------------- */

static const struct welcome *welcome_of_primary(const struct session *s)
{
    const struct topology *topology = worker_topology(session_worker(s));
    const struct group_state *g = session_group(s, topology);
    if (g == NULL || g->primary == UINT_MAX)
        return NULL;
    return pool_welcome(session_worker(s), topology->servers[g->primary].server);
}

const struct tracking *tracking_in_force(const struct session *s)
{
    if (s->more != NULL && s->more->tracking != NULL)
        return s->more->tracking;
    if (s->lease != NULL)
        return s->lease->usual;
    const struct welcome *theirs = welcome_of_primary(s);
    return theirs != NULL ? theirs->usual : NULL;
}

/* With session_track_transaction_info=OFF MySQL reports where explicit transactions begin and end (seen with
 * 9.7), and of what happens in them no more than that a snapshot was taken. */
static bool tell_boundary(struct session *s, struct bytes state, struct bytes characteristics, char *out)
{
    static const char snapshot[] = "WITH CONSISTENT SNAPSHOT";
    bool begins = state.len > 0 && state.data[0] == 'T';
    bool has_snapshot = begins && s->explicit_snapshot;
    if (begins && characteristics.data != NULL)   /* else it goes on */
        has_snapshot = memmem(characteristics.data, characteristics.len, snapshot, sizeof snapshot - 1) != NULL;
    if (s->mode.is_mariadb ||
        (begins == s->explicit_transaction && has_snapshot == s->explicit_snapshot))
        return false;
    s->explicit_transaction = begins;
    s->explicit_snapshot = has_snapshot;
    memset(out, '_', TRX_STATE_BYTES);
    out[0] = begins ? 'T' : '_';
    out[2] = has_snapshot ? 'R' : '_';
    return true;
}

/* ---- variables ---------------------------------------------------------------------------------- */

/* Where the server would have clients go instead of to Volvox. */
static bool is_secret(const struct track *track)
{
    return bytes_equal(track->name, BYTES_LITERAL("redirect_url")) && track->value.len > 0;
}

static void tell_variables(const struct tracking *as, struct bytes tracks, struct buf *kept)
{
    struct track_walk walk;
    struct track track;
    track_begin(&walk, tracks);
    while (track_next(&walk, &track))
        if (track.type == TRACK_SYSVAR && !is_secret(&track) &&
            (as == NULL || tracking_has_name(as, track.name)))
            track_write_sysvar(kept, track.name, track.value);
}

/* ---- the rest ------------------------------------------------------------------------------------ */

static struct bytes characteristics_in(struct bytes tracks)
{
    struct track_walk walk;
    struct track track;
    track_begin(&walk, tracks);
    while (track_next(&walk, &track))
        if (track.type == TRACK_TRX_CHARACTERISTICS)
            return track.value;
    return BYTES_NONE;
}

static bool is_wanted(const struct tracking *as, const struct track *track)
{
    switch (track->type) {
    case TRACK_SCHEMA:
        return as == NULL || as->schema;
    case TRACK_STATE:
        return as == NULL || as->state_change;
    case TRACK_GTID:
        return as == NULL || as->gtids != TRACK_NO_GTIDS;
    case TRACK_TRX_CHARACTERISTICS:
        return as == NULL || as->transactions == TRACK_CHARACTERISTICS;
    case TRACK_TRX_STATE:
        return as == NULL || as->transactions != TRACK_NO_TRANSACTIONS;
    case TRACK_SYSVAR:
        return false;                 /* they stand before */
    default:
        return as == NULL;
    }
}

static void tell_others(struct session *s, const struct tracking *as, struct bytes tracks,
                        struct buf *kept)
{
    struct track_walk walk;
    struct track track;
    char boundary[TRX_STATE_BYTES];
    track_begin(&walk, tracks);
    while (track_next(&walk, &track)) {
        if (is_wanted(as, &track))
            buf_add(kept, track.raw);
        else if (track.type == TRACK_TRX_STATE &&
                 tell_boundary(s, track.value, characteristics_in(tracks), boundary))
            track_write(kept, TRACK_TRX_STATE, bytes_of(boundary, sizeof boundary));
    }
}

/* ---- result sets that end with EOF --------------------------------------------------------------- */

static bool replaces(const struct track *later, const struct track *earlier)
{
    return later->type == earlier->type &&
           (later->type != TRACK_SYSVAR || bytes_equal(later->name, earlier->name));
}

static bool is_replaced(const struct track *track, struct bytes later)
{
    struct track_walk walk;
    struct track other;
    track_begin(&walk, later);
    while (track_next(&walk, &other))
        if (replaces(&other, track))
            return true;
    return false;
}

static void write_entry(struct buf *out, const struct track *track)
{
    if (track->type == TRACK_SYSVAR)
        track_write_sysvar(out, track->name, track->value);
    else
        buf_add(out, track->raw);
}

/* Those of `from` that are variables (or not), without what `later` replaces.  GTIDs are the statement's:
 * they are not held back. */
static void copy(struct bytes from, bool variables, bool is_held, struct bytes later, struct buf *out)
{
    struct track_walk walk;
    struct track track;
    track_begin(&walk, from);
    while (track_next(&walk, &track))
        if ((track.type == TRACK_SYSVAR) == variables && track.type != TRACK_TRX_STATE &&
            !(is_held && track.type == TRACK_GTID) && !is_replaced(&track, later))
            write_entry(out, &track);
}

static bool next_variable(struct track_walk *walk, struct track *out)
{
    while (track_next(walk, out))
        if (out->type == TRACK_SYSVAR)
            return true;
    return false;
}

/* Both are in the order of the alphabet. */
static void merge_variables(struct bytes before, struct bytes now, struct buf *out)
{
    struct track_walk walks[2];
    struct track heads[2];
    track_begin(&walks[0], before);
    track_begin(&walks[1], now);
    bool has[2] = { next_variable(&walks[0], &heads[0]), next_variable(&walks[1], &heads[1]) };
    while (has[0] || has[1]) {
        int order = !has[0] ? 1 : !has[1] ? -1 : bytes_compare(heads[0].name, heads[1].name);
        int next = order < 0 ? 0 : 1;
        write_entry(out, &heads[next]);
        if (order == 0)
            has[0] = next_variable(&walks[0], &heads[0]);
        has[next] = next_variable(&walks[next], &heads[next]);
    }
}

/* Variables of both, then the rest of both; what is new counts.  Transaction states are left out. */
static void merge(struct bytes before, struct bytes now, bool is_mariadb, struct buf *out)
{
    if (is_mariadb) {
        copy(before, true, true, now, out);
        copy(now, true, false, BYTES_NONE, out);
    } else {
        merge_variables(before, now, out);
    }
    copy(before, false, true, now, out);
    copy(now, false, false, BYTES_NONE, out);
}

/* True if there is one. */
static bool state_in(struct bytes entries, char out[TRX_STATE_BYTES])
{
    struct track_walk walk;
    struct track track;
    bool found = false;
    track_begin(&walk, entries);
    while (track_next(&walk, &track))
        if (track.type == TRACK_TRX_STATE && track.value.len == TRX_STATE_BYTES) {
            memcpy(out, track.value.data, TRX_STATE_BYTES);
            found = true;
        }
    return found;
}

/* The server compares the transaction's state with the one that it has told last: where some were held
 * back, that was another one for Volvox than for the client.  `is_new`: it was reported just now. */
static void tell_transaction(struct untold *u, bool is_new, struct buf *kept)
{
    bool differs = memcmp(u->now, u->reported, TRX_STATE_BYTES) != 0;
    bool tells = u->has_state ? differs : is_new;
    u->has_state = false;
    if (!tells)
        return;
    memcpy(u->reported, u->now, TRX_STATE_BYTES);
    struct buf all = { 0 };
    struct track_walk walk;
    struct track track;
    bool done = false;
    track_begin(&walk, buf_bytes(kept));
    while (track_next(&walk, &track)) {
        if (!done && track.type == TRACK_TRX_CHARACTERISTICS) {
            track_write(&all, TRACK_TRX_STATE, bytes_of(u->now, TRX_STATE_BYTES));
            done = true;
        }
        write_entry(&all, &track);
    }
    if (!done)
        track_write(&all, TRACK_TRX_STATE, bytes_of(u->now, TRX_STATE_BYTES));
    buf_release(kept);
    *kept = all;
}

/* At the end of rows `kept` is emptied: its entries come with the next OK. */
static void hold_back(struct session *s, bool end_of_rows, struct buf *kept)
{
    /* (MariaDB tells what it has held back together with something new) */
    if (buf_len(kept) == 0 && (!has_untold(s) || s->mode.is_mariadb))
        return;
    struct untold *u = untold_of(s);
    struct buf merged = { 0 };
    bool is_new = state_in(buf_bytes(kept), u->now);
    merge(buf_bytes(&u->entries), buf_bytes(kept), s->mode.is_mariadb, &merged);
    buf_skip(kept, buf_len(kept));
    buf_release(end_of_rows ? &u->entries : kept);
    if (end_of_rows) {
        u->entries = merged;
        u->has_state |= is_new;
        return;
    }
    buf_skip(&u->entries, buf_len(&u->entries));
    *kept = merged;
    tell_transaction(u, is_new, kept);
}

/* ---- for relay.c, login.c ------------------------------------------------------------------------- */

/* Servers say that something changed when a transaction did, even if what they tell of it is the same as
 * before: it began anew, or another one was asked for. */
static bool transaction_changed(const struct session *s, const struct tracking *as, struct bytes tracks,
                                bool was_explicit)
{
    struct track_walk walk;
    struct track track;
    bool changed = false;
    track_begin(&walk, tracks);
    while (track_next(&walk, &track))
        changed |= track.type == TRACK_TRX_CHARACTERISTICS;
    if (as->transactions == TRACK_NO_TRANSACTIONS)
        return changed && was_explicit && s->explicit_transaction;
    return changed;
}

bool tell(struct session *s, const struct ok *ok, bool end_of_rows, struct buf *kept)
{
    bool as_asked = s->lease != NULL && s->lease->reports_as_asked;
    const struct tracking *as = as_asked ? NULL : tracking_in_force(s);
    bool was_explicit = s->explicit_transaction, has_eof = (s->caps & CAP_DEPRECATE_EOF) == 0;
    if ((s->caps & CAP_SESSION_TRACK) == 0 || (as == NULL && !as_asked))
        return false;
    tell_variables(as, ok->track, kept);
    tell_others(s, as, ok->track, kept);
    bool changed = buf_len(kept) > 0;
    if (as == NULL)
        changed |= (ok->status & STATUS_SESSION_STATE_CHANGED) != 0;
    else
        changed |= transaction_changed(s, as, ok->track, was_explicit);
    if (has_eof)
        hold_back(s, end_of_rows, kept);
    if (end_of_rows && has_eof && !s->mode.is_mariadb)
        return false;                 /* MySQL does not say so in an EOF */
    return changed || buf_len(kept) > 0;
}

/* As the server's own OK, but with the session's character sets. */
static void tell_at_login(const struct session *s, struct bytes entries, struct buf *kept)
{
    struct track_walk walk;
    struct track track;
    track_begin(&walk, entries);
    while (track_next(&walk, &track)) {
        if (track.type != TRACK_SYSVAR)
            continue;
        struct bytes value = state_value(s->state, track.name);
        if (is_secret(&track))
            value = BYTES_LITERAL("");
        track_write_sysvar(kept, track.name, value.data != NULL ? value : track.value);
    }
}

void tell_welcome(const struct session *s, enum welcome_kind kind, struct buf *kept)
{
    const struct welcome *theirs = welcome_of_primary(s);
    struct tracking *family = tracking_by_default(s->mode.is_mariadb);
    const struct tracking *as = theirs != NULL && theirs->usual != NULL ? theirs->usual : family;
    struct bytes schema = kind == WELCOME_RESET ? BYTES_NONE : s->state->schema;
    if (kind == WELCOME_LOGIN && theirs != NULL)
        tell_at_login(s, theirs->at_login, kept);
    if (schema.len > 0 && as->schema)
        track_write(kept, TRACK_SCHEMA, schema);
    if (schema.len > 0 && as->state_change)
        track_write(kept, TRACK_STATE, BYTES_LITERAL("1"));
    if (as->transactions != TRACK_NO_TRANSACTIONS)
        track_write(kept, TRACK_TRX_STATE, BYTES_LITERAL("________"));
    if (as->transactions == TRACK_CHARACTERISTICS)
        track_write(kept, TRACK_TRX_CHARACTERISTICS, BYTES_NONE);
    tracking_drop(family);
}
