/* What probes mean: health, lag, and who is the primary.  No clock, no I/O. */
#include "servers/inside.h"

#include <limits.h>

/* Down again so soon after it came up is flapping; up for so long forgives it. */
#define FLAP_US (60ull * 1000000)
#define FORGIVE_US (300ull * 1000000)
enum { PATIENCE_MAX = 8 };

static void pulse_change(struct pulse *p, enum health health, uint64_t now_us)
{
    p->health = health;
    p->changed_us = now_us;
}

static bool beat(struct pulse *p, unsigned rise, uint64_t now_us)
{
    p->good++, p->failed = 0;
    if (p->health == HEALTH_UP) {
        if (now_us - p->changed_us >= FORGIVE_US)
            p->patience = 1;
        return false;
    }
    if (p->health == HEALTH_DOWN && p->good < rise * p->patience)
        return false;
    pulse_change(p, HEALTH_UP, now_us);
    return true;
}

static bool miss(struct pulse *p, unsigned fall, uint64_t now_us)
{
    p->failed++, p->good = 0;
    if (p->health == HEALTH_DOWN || p->failed < fall)
        return false;
    bool flaps = p->health == HEALTH_UP && p->changed_us != 0 && now_us - p->changed_us < FLAP_US;
    if (flaps)
        p->patience = MIN(2 * p->patience, PATIENCE_MAX);
    pulse_change(p, HEALTH_DOWN, now_us);
    return true;
}

bool pulse_judge(struct pulse *p, bool alive, unsigned fall, unsigned rise, uint64_t now_us)
{
    return alive ? beat(p, rise, now_us) : miss(p, fall, now_us);
}

bool lag_judge(bool was_lagging, bool known, uint32_t lag_ms, uint32_t limit_ms)
{
    if (limit_ms == 0 || !known)
        return false;
    if (was_lagging)
        return 5ull * lag_ms >= 4ull * limit_ms;
    return lag_ms > limit_ms;
}

/* ---- roles ------------------------------------------------------------------------------ */

/* How good a candidate is: 0 is none at all.  One that the operator has taken out of service
 * stays the primary only as long as there is no other. */
static unsigned claim(const struct server_state *s)
{
    if (s->role != SERVER_AUTO || s->health == HEALTH_DOWN || !s->writable)
        return 0;
    return (s->replicates ? 1 : 2) + (s->operated == OPERATED_NORMAL ? 2 : 0);
}

static bool role_is_open(const struct server_state *s)
{
    return s->role == SERVER_AUTO && s->max_allowed_packet == 0;
}

/* Nobody has said that it is writable: then the only member that could be the primary is,
 * as long as it was never asked. */
static unsigned by_elimination(const struct server_state *states, const unsigned *members,
                               unsigned n_members)
{
    unsigned only = UINT_MAX;
    for (unsigned i = 0; i < n_members; i++) {
        const struct server_state *s = &states[members[i]];
        if (s->role == SERVER_REPLICA)
            continue;
        if (only != UINT_MAX || !role_is_open(s))
            return UINT_MAX;
        only = members[i];
    }
    return only;
}

unsigned primary_judge(const struct server_state *states, const unsigned *members,
                       unsigned n_members, const struct server *current, bool *split_brain)
{
    unsigned best = 0, rivals = 0, chosen = UINT_MAX;
    *split_brain = false;
    for (unsigned i = 0; i < n_members; i++) {
        const struct server_state *s = &states[members[i]];
        if (s->role == SERVER_PRIMARY)
            return members[i];
        if (claim(s) == 0 || claim(s) < best)
            continue;
        bool is_better = claim(s) > best;
        rivals = is_better ? 1 : rivals + 1;
        best = claim(s);
        if (is_better || s->server == current)
            chosen = members[i];
    }
    *split_brain = rivals > 1;
    return chosen != UINT_MAX ? chosen : by_elimination(states, members, n_members);
}
