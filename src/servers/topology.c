/* The snapshot of what the probes found, for the workers. */
#include "servers/inside.h"

#include "base/mem.h"
#include "base/str.h"

#include <limits.h>

struct topology *topology_take(struct topology *t)
{
    ref_take(&t->ref);
    return t;
}

void topology_drop(struct topology *t)
{
    if (t == NULL || !ref_drop(&t->ref))
        return;
    for (unsigned i = 0; i < t->n_servers; i++)
        server_drop(t->servers[i].server);
    for (unsigned i = 0; i < t->n_groups; i++)
        mem_free(t->groups[i].members);
    mem_free(t->servers);
    mem_free(t->groups);
    config_drop(t->config);
    mem_free(t);
}

const struct group_state *topology_group(const struct topology *t, const char *name)
{
    for (unsigned i = 0; t != NULL && i < t->n_groups; i++)
        if (strcmp(t->groups[i].name, name) == 0)
            return &t->groups[i];
    return NULL;
}

const struct server_state *topology_server(const struct topology *t, struct bytes name,
                                           unsigned group)
{
    if (group >= t->n_groups)
        return NULL;
    const struct group_state *g = &t->groups[group];
    for (unsigned i = 0; i < g->n_members; i++) {
        const struct server_state *s = &t->servers[g->members[i]];
        if (bytes_equal(bytes_str(s->server->name), name))
            return s;
    }
    return NULL;
}

/* ---- what clients are told -------------------------------------------------------------- */

static void tell_as(struct group_state *g, const struct server_state *s)
{
    str_copy(g->version, sizeof(g->version), bytes_str(s->version));
    g->is_mariadb = s->is_mariadb;
    g->version_number = s->version_number;
    g->collation = s->collation;
    g->utf8mb3_collation = s->utf8mb3_collation;
    g->utf8mb4_collation = s->utf8mb4_collation;
    g->globals = s->globals;
    g->max_allowed_packet = s->max_allowed_packet;
}

static void agree_on_dialect(struct topology *t, struct group_state *g)
{
    uint64_t caps = UINT64_MAX;
    for (unsigned i = 0; i < g->n_members; i++) {
        const struct server_state *s = &t->servers[g->members[i]];
        if (s->version[0] == '\0')
            continue;
        caps &= s->caps;
        if (g->version[0] == '\0' || g->members[i] == g->primary)
            tell_as(g, s);
    }
    if (g->version[0] != '\0')
        g->caps = caps;
}

/* ---- groups ----------------------------------------------------------------------------- */

static void gather_members(struct topology *t, struct group_state *g, unsigned group)
{
    g->members = mem_alloc(t->n_servers * sizeof(*g->members));
    for (unsigned i = 0; i < t->n_servers; i++)
        if (t->servers[i].group == group)
            g->members[g->n_members++] = i;
}

static void choose_primary(struct topology *t, struct group_state *g,
                           const struct topology *before)
{
    const struct group_state *old = topology_group(before, g->name);
    const struct server *current = NULL;
    if (old != NULL && old->primary != UINT_MAX)
        current = before->servers[old->primary].server;
    g->primary = primary_judge(t->servers, g->members, g->n_members, current, &g->split_brain);
}

static void judge_lag(struct topology *t, struct group_state *g)
{
    bool has_primary = g->primary != UINT_MAX && t->servers[g->primary].health != HEALTH_DOWN;
    for (unsigned i = 0; i < g->n_members; i++) {
        struct server_state *s = &t->servers[g->members[i]];
        /* Nothing is written without a primary: who has lost it is as fresh as can be. */
        s->lagging = lag_judge(s->lagging, s->lag_known, s->lag_ms, g->max_lag_ms) &&
                     (has_primary || !s->is_cut_off);
    }
}

/* Who may serve plain reads, in which order of preference: those known to be up before those
 * never probed; weight 0 after both. */
static uint8_t rank_for_reads(const struct topology *t, const struct group_state *g, unsigned i)
{
    const struct server_state *s = &t->servers[i];
    if (g->reads == READS_PRIMARY || (i == g->primary && g->reads != READS_ALL) ||
        topology_objection(t, i, PICK_REPLICA) != NULL)
        return 0;
    return (uint8_t)(1 + (s->health != HEALTH_UP) + 2 * (s->weight == 0));
}

static void build_group(struct topology *t, unsigned group, const struct topology *before)
{
    const struct group_config *c = &t->config->groups[group];
    struct group_state *g = &t->groups[group];
    g->name = c->name;
    g->balance = c->balance;
    g->reads = c->reads;
    g->no_replica = c->no_replica;
    g->max_lag_ms = c->max_lag_ms;
    gather_members(t, g, group);
    choose_primary(t, g, before);
    judge_lag(t, g);
    agree_on_dialect(t, g);
}

struct topology *topology_build(struct config *c, struct server_state *states, unsigned n,
                                const struct topology *before)
{
    struct topology *t = mem_zalloc(sizeof(*t));
    ref_init(&t->ref);
    t->number = before != NULL ? before->number + 1 : 1;
    t->config = config_take(c);
    t->n_servers = n;
    t->n_groups = c->n_groups;
    t->servers = mem_zalloc(n * sizeof(*t->servers));
    t->groups = mem_zalloc(c->n_groups * sizeof(*t->groups));
    for (unsigned i = 0; i < n; i++) {
        t->servers[i] = states[i];
        server_take(states[i].server);
    }
    for (unsigned i = 0; i < t->n_groups; i++)
        build_group(t, i, before);
    for (unsigned i = 0; i < n; i++) {
        t->servers[i].read_rank = rank_for_reads(t, &t->groups[states[i].group], i);
        states[i].lagging = t->servers[i].lagging;
    }
    return t;
}
