/* Which server serves a command.  The hot path: no allocation, two short passes. */
#include "servers/inside.h"

#include <limits.h>

/* ---- objections, in words --------------------------------------------------------------- */

static const char *objection_to_all(const struct server_state *s)
{
    if (s->operated == OPERATED_DISABLED)
        return "disabled";
    if (s->health == HEALTH_DOWN)
        return "down";
    if (s->operated == OPERATED_DRAIN)
        return "draining";
    if (atomic_load_explicit(&s->server->draining, memory_order_relaxed))
        return "draining";
    return NULL;
}

static bool role_is_known(const struct server_state *s)
{
    return s->role != SERVER_AUTO || s->max_allowed_packet != 0;
}

static const char *objection_as_primary(const struct server_state *s)
{
    if (s->role == SERVER_REPLICA)
        return "a replica";
    if (!role_is_known(s))
        return "its role is not known";
    return s->writable ? "writable, but not the primary" : "read-only";
}

static const char *objection_as_replica(const struct server_state *s)
{
    if (!role_is_known(s))
        return "its role is not known";
    if (s->role == SERVER_AUTO && s->writable && !s->replicates)
        return "writable, but not the primary";
    return s->lagging ? "too far behind" : NULL;
}

const char *topology_objection(const struct topology *t, unsigned server_index,
                               enum pick_role role)
{
    const struct server_state *s = &t->servers[server_index];
    const char *words = objection_to_all(s);
    if (words != NULL || t->groups[s->group].primary == server_index)
        return words;
    switch (role) {
    case PICK_PRIMARY:
        return objection_as_primary(s);
    case PICK_REPLICA:
        return objection_as_replica(s);
    case PICK_ANY:
        return role_is_known(s) ? objection_as_replica(s) : NULL;
    }
    must(!"a role");
}

/* ---- faults ----------------------------------------------------------------------------- */

static const char *role_words(enum pick_role role)
{
    switch (role) {
    case PICK_PRIMARY:
        return "primary";
    case PICK_REPLICA:
        return "replica";
    case PICK_ANY:
        return "server";
    }
    must(!"a role");
}

static bool is_avoided(const struct server *s, struct server *const *avoid, unsigned n_avoid)
{
    for (unsigned i = 0; i < n_avoid; i++)
        if (avoid[i] == s)
            return true;
    return false;
}

/* "volvox: no usable primary in group main (db1: down: connection refused; db2: read-only)" */
static struct server *refuse(const struct topology *t, const struct group_state *g,
                             enum pick_role role, struct server *const *avoid, unsigned n_avoid,
                             struct fault *why)
{
    char text[sizeof(why->text)];
    size_t used;
    if (why == NULL)
        return NULL;
    used = (size_t)snprintf(text, sizeof(text), "volvox: no usable %s in group %.64s (",
                            role_words(role), g->name);
    for (unsigned i = 0; i < g->n_members && used < sizeof(text); i++) {
        const struct server_state *s = &t->servers[g->members[i]];
        const char *words = topology_objection(t, g->members[i], role);
        bool is_down = s->health == HEALTH_DOWN && s->operated != OPERATED_DISABLED &&
                       s->why[0] != '\0';
        if (words == NULL)
            words = is_avoided(s->server, avoid, n_avoid) ? "just failed" : "serves no reads";
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s: %s%s%s",
                                 i > 0 ? "; " : "", s->server->name, words, is_down ? ": " : "",
                                 is_down ? s->why : "");
    }
    fault_set_state(why, BLAME_SERVER, ER_UNKNOWN_ERROR, "08S01", "%s%s", text,
                    used < sizeof(text) - 1 ? ")" : "");
    return NULL;
}

/* ---- balance ---------------------------------------------------------------------------- */

/* One way through the candidates of the best rank. */
struct field {
    const struct topology *t;
    const struct group_state *g;
    struct server *const *avoid;
    unsigned n_avoid;
    unsigned rank, count, weights; /* the best rank, how many have it, their weights */
};

static bool is_out(const struct field *f, const struct server_state *s)
{
    return s->read_rank == 0 ||
           atomic_load_explicit(&s->server->draining, memory_order_relaxed) ||
           (f->n_avoid > 0 && is_avoided(s->server, f->avoid, f->n_avoid));
}

static void survey(struct field *f)
{
    f->rank = UINT_MAX;
    for (unsigned i = 0; i < f->g->n_members; i++) {
        const struct server_state *s = &f->t->servers[f->g->members[i]];
        if (s->read_rank > f->rank || is_out(f, s))
            continue;
        if (s->read_rank < f->rank)
            f->rank = s->read_rank, f->count = f->weights = 0;
        f->count++, f->weights += s->weight;
    }
}

/* The k-th candidate; the last one should others have begun to drain meanwhile. */
static const struct server_state *candidate(const struct field *f, unsigned k)
{
    const struct server_state *last = NULL;
    for (unsigned i = 0; i < f->g->n_members; i++) {
        const struct server_state *s = &f->t->servers[f->g->members[i]];
        if (s->read_rank != f->rank || is_out(f, s))
            continue;
        last = s;
        if (k-- == 0)
            break;
    }
    return last;
}

/* A number below n from 32 random bits. */
static unsigned below(unsigned n, uint32_t random)
{
    return (unsigned)((uint64_t)n * random >> 32);
}

static const struct server_state *by_weight(const struct field *f, uint64_t random)
{
    const struct server_state *last = NULL;
    unsigned mark = below(f->weights, (uint32_t)random);
    if (f->weights == 0)
        return candidate(f, below(f->count, (uint32_t)random));
    for (unsigned i = 0; i < f->g->n_members; i++) {
        const struct server_state *s = &f->t->servers[f->g->members[i]];
        if (s->read_rank != f->rank || is_out(f, s))
            continue;
        last = s;
        if (mark < s->weight)
            break;
        mark -= s->weight;
    }
    return last;
}

/* What one more command would make of it, relative to its weight. */
static bool is_less_busy(const struct server_state *a, const struct server_state *b)
{
    uint64_t busy_a = 1ull + atomic_load_explicit(&a->server->in_use, memory_order_relaxed);
    uint64_t busy_b = 1ull + atomic_load_explicit(&b->server->in_use, memory_order_relaxed);
    return busy_a * MAX(b->weight, 1) < busy_b * MAX(a->weight, 1);
}

/* Of two chosen at random: nearly as even as the best of all, and no herd runs to the one
 * that was idle a moment ago. */
static const struct server_state *less_busy_of_two(const struct field *f, uint64_t random)
{
    unsigned i = below(f->count, (uint32_t)random);
    unsigned j = below(f->count - 1, (uint32_t)(random >> 32));
    const struct server_state *a = candidate(f, i), *b = candidate(f, j + (j >= i));
    if (a == NULL || b == NULL)
        return a;
    return is_less_busy(b, a) ? b : a;
}

static const struct server_state *balance(const struct field *f, uint64_t random)
{
    if (f->count == 1)
        return candidate(f, 0);
    switch (f->g->balance) {
    case BALANCE_ROUND_ROBIN: {
        atomic_uint *turn = (atomic_uint *)&f->g->turn;
        return candidate(f, atomic_fetch_add_explicit(turn, 1, memory_order_relaxed) % f->count);
    }
    case BALANCE_WEIGHTED:
        return by_weight(f, random);
    case BALANCE_LEAST_OUTSTANDING:
        return less_busy_of_two(f, random);
    case BALANCE_FIRST_AVAILABLE:
        return candidate(f, 0);
    }
    must(!"a balance");
}

static struct server *pick_reader(struct field *f, uint64_t random)
{
    survey(f);
    const struct server_state *s = f->count > 0 ? balance(f, random) : NULL;
    return s != NULL ? s->server : NULL;
}

static struct server *pick_primary(const struct field *f)
{
    if (f->g->primary == UINT_MAX)
        return NULL;
    const struct server_state *s = &f->t->servers[f->g->primary];
    bool fits = objection_to_all(s) == NULL && !is_avoided(s->server, f->avoid, f->n_avoid);
    return fits ? s->server : NULL;
}

/* Before the first probes: whoever may be alive, for what any server can answer. */
static struct server *pick_whoever(const struct field *f)
{
    for (unsigned i = 0; i < f->g->n_members; i++) {
        struct server *s = f->t->servers[f->g->members[i]].server;
        if (topology_objection(f->t, f->g->members[i], PICK_ANY) == NULL &&
            !is_avoided(s, f->avoid, f->n_avoid))
            return s;
    }
    return NULL;
}

struct server *topology_pick(const struct topology *t, unsigned group, enum pick_role role,
                             uint64_t random, struct server *const *avoid, unsigned n_avoid,
                             struct fault *why)
{
    must(group < t->n_groups);
    struct field f = { .t = t, .g = &t->groups[group], .avoid = avoid, .n_avoid = n_avoid };
    struct server *s = NULL;
    switch (role) {
    case PICK_PRIMARY:
        s = pick_primary(&f);
        break;
    case PICK_REPLICA:
        s = pick_reader(&f, random);
        if (s == NULL && (f.g->no_replica == NO_REPLICA_PRIMARY || f.g->reads == READS_PRIMARY))
            s = pick_primary(&f);
        break;
    case PICK_ANY:
        s = pick_primary(&f);
        if (s == NULL)
            s = pick_reader(&f, random);
        if (s == NULL)
            s = pick_whoever(&f);
        break;
    }
    return s != NULL ? s : refuse(t, f.g, role, avoid, n_avoid, why);
}
