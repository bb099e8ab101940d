/* obtain.c - lease what the plan needs; see inside.h. */
#include "session/inside.h"

#include <limits.h>

#include "base/log.h"
#include "base/random.h"

/* A reload reaches sessions and topology one after the other, so where they stem from different
 * snapshots the index may have moved: the name counts. */
const struct group_state *group_state_of(const struct session *s, unsigned index,
                                         const struct topology *topology)
{
    if (index >= s->config->n_groups)
        return NULL;
    const char *name = s->config->groups[index].name;
    if (index < topology->n_groups && strcmp(topology->groups[index].name, name) == 0)
        return &topology->groups[index];
    for (unsigned i = 0; i < topology->n_groups; i++)
        if (strcmp(topology->groups[i].name, name) == 0)
            return &topology->groups[i];
    return NULL;
}

const struct group_state *session_group(const struct session *s, const struct topology *topology)
{
    return group_state_of(s, session_group_index(s, s->user), topology);
}

void let_go(struct session *s, enum put how)
{
    struct backend *be = s->lease;
    s->lease = NULL;
    s->has_new_id = false;        /* settled before, or lost with it */
    pool_put(be, how);
}

static bool is_primary(const struct session *s, const struct topology *topology)
{
    const struct group_state *g = session_group(s, topology);
    return g != NULL && g->primary != UINT_MAX && topology->servers[g->primary].server == s->lease->server;
}

/* Does the backend in hand do for this plan? */
static bool lease_serves(const struct session *s, const struct topology *topology,
                         const struct command *cmd, const struct plan *plan)
{
    if (plan->stays || plan->role == ROLE_SAME)
        return true;
    /* A SET may pin the session to it, as vars.c finds out afterwards: then it must be one for writes. */
    if (plan->role == ROLE_ANY)
        return cmd->st.verb != VERB_SET || is_primary(s, topology);
    if (plan->server.len > 0)
        return bytes_equal(plan->server, bytes_str(s->lease->server->name));
    /* (on MySQL its warning comes behind those that there are) */
    if (cmd->code == COM_FIELD_LIST && (s->pins & PIN_DIAGNOSTICS) != 0)
        return true;
    return is_primary(s, topology) == (plan->role == ROLE_PRIMARY);
}

static struct server *server_of_hint(const struct topology *topology, const struct group_state *g,
                                     const struct plan *plan, struct fault *why)
{
    unsigned group = (unsigned)(g - topology->groups);
    const struct server_state *found = topology_server(topology, plan->server, group);
    if (found == NULL) {
        fault_set(why, BLAME_POLICY, ER_UNKNOWN_ERROR,
                  "volvox: the hint names server '%.*s', which is not in group '%s'",
                  BYTES_FMT(plan->server), g->name);
        return NULL;
    }
    enum pick_role role = plan->role == ROLE_PRIMARY ? PICK_PRIMARY : PICK_ANY;
    const char *objection = topology_objection(topology, (unsigned)(found - topology->servers), role);
    if (objection == NULL)
        return found->server;
    fault_set(why, BLAME_POLICY, ER_UNKNOWN_ERROR, "volvox: the hint's server '%.*s' can't take this: %s",
              BYTES_FMT(plan->server), objection);
    return NULL;
}

static struct server *choose(const struct session *s, const struct topology *topology,
                             const struct plan *plan, const struct attempt *attempt,
                             struct fault *why)
{
    static const enum pick_role roles[] = {
        [ROLE_ANY] = PICK_ANY, [ROLE_PRIMARY] = PICK_PRIMARY, [ROLE_REPLICA] = PICK_REPLICA,
        [ROLE_SAME] = PICK_ANY,
    };
    const struct group_state *g = session_group(s, topology);
    if (g == NULL) {
        fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR, "volvox: the session's group is gone");
        return NULL;
    }
    if (plan->server.len > 0)
        return server_of_hint(topology, g, plan, why);
    return topology_pick(topology, (unsigned)(g - topology->groups), roles[plan->role], random_u64(),
                         attempt->avoid, attempt->n_avoid, why);
}

/* Where nobody could ask the servers before, a session learns only here how they read its texts. */
static void adopt_mode(struct session *s, const struct backend *be)
{
    struct state_var mode = { .name = BYTES_LITERAL("sql_mode") };
    if (!s->mode.quotes_unknown || be->fresh == NULL || state_value(s->state, mode.name).data != NULL)
        return;
    mode.value = state_value(be->fresh, mode.name);
    if (mode.value.data == NULL)
        return;
    session_set_state(s, state_changed(s->state, NULL, &mode, 1));
    s->reads_anew = true;
}

void lease_hold(struct session *s, struct backend *be)
{
    adopt_mode(s, be);
    s->lease = be;
    be->holder = s;
    be->holder_id = s->id;
    /* (a new connection has answered questions of ours) */
    s->has_found_rows &= be->ticket == s->last_ticket && s->last_ticket != 0;
    s->last_ticket = be->ticket;
    if (be->sandbox == SANDBOX_IN)
        session_pin(s, s->pins | PIN_EXPIRED);
    else if ((be->caps & CAP_SESSION_TRACK) == 0)
        session_pin(s, s->pins | PIN_UNTRACKED);
}

static bool lease_from(struct task *t, struct session *s, struct server *server, bool sure,
                       struct follow *follow, struct fault *why)
{
    struct worker *w = task_worker(t);
    double deadline = worker_now(w) + s->config->settings.queue_timeout_ms / 1000.0;
    struct lease_terms terms = {
        .server = server,
        .account = s->account,
        .fit = s->caps & CAPS_FIT,
        .state = s->state,
        .collation = s->collation,
        .client = session_ends_for(s, server),
        .sure = sure,
        .follow = follow,
    };
    s->is_waiting = true;
    struct backend *be = pool_take(t, &terms, deadline, why);
    s->is_waiting = false;
    if (be == NULL)
        return false;
    lease_hold(s, be);
    return true;
}

static void count_role(const struct session *s, const struct topology *topology, struct outcome *out)
{
    struct worker *w = session_worker(s);
    out->by = is_primary(s, topology) ? SERVED_PRIMARY : SERVED_REPLICA;
    if (out->by == SERVED_PRIMARY)
        count(w, commands_primary);
    else
        count(w, commands_replica);
}

/* What is asked is about the statement before: find the connection that ran it, if nobody has
 * used it since. */
static bool take_again(struct session *s, const struct command *cmd, const struct plan *plan,
                       struct fault *why)
{
    bool counts = (cmd->st.effects & EFFECT_COUNTS) != 0;
    if (plan->role != ROLE_SAME && !counts)
        return true;
    uint64_t ticket = s->last_ticket;
    struct backend *be =
        counts && s->counts_lost ? NULL : pool_take_again(session_worker(s), ticket);
    if (be != NULL) {
        s->last_ticket = be->ticket;
        lease_hold(s, be);
        return true;
    }
    return ticket == 0 || !counts_are_asked(s, cmd) || counts_are_gone(s, why);
}

/* LAST_INSERT_ID() is used: find out what it is, if that is in doubt.  If the connection had the session's id
 * before, what it has now is right in any case. */
static bool prepare_insert_id(struct task *t, struct session *s, const struct command *cmd,
                              struct fault *why)
{
    if (!uses_insert_id(cmd) || !s->has_new_id || s->more->id_before == s->insert_id)
        return true;
    if (counts_are_asked(s, cmd)) /* what is asked here would take the place of what it asks about */
        return counts_are_gone(s, why);
    counts_spoiled(s);
    return settle_insert_id(t, s, why);
}

/* Would what the plan asks for be the server at hand again? */
static bool leads_back(const struct session *s, const struct topology *topology, const struct plan *plan)
{
    const struct attempt first = { .n_avoid = 0 };
    struct fault why;
    return choose(s, topology, plan, &first, &why) == s->lease->server;
}

/* Held only for what the client might have asked next, and did not. */
static bool leave_lease(struct task *t, struct session *s, const struct command *cmd,
                        struct fault *why)
{
    if (!take_along(t, s, keeps_diagnostics(s, cmd), why)) {
        /* it stays; whether that server will do is for it to say */
        return why->blame == BLAME_OURS;
    }
    session_pin(s, s->pins & ~PIN_LEAVABLE);
    let_go(s, PUT_CLEAN);
    return true;
}

/* A session that was pinned on a replica (in a READ ONLY transaction, say) must not write there. */
static bool may_run_there(const struct session *s, const struct command *cmd, const struct plan *plan,
                          const struct topology *topology, struct fault *why)
{
    enum verb v = cmd->st.verb;
    bool writes = v == VERB_WRITE || v == VERB_DDL || v == VERB_CALL;
    char words[256];
    if (!plan->stays || !writes || (s->pins & PIN_TRANSACTION) != 0 || is_primary(s, topology) ||
        (cmd->st.effects & EFFECT_TEMP_TABLE) != 0)
        return true;
    pins_print(s->pins, words, sizeof words);
    return fault_set(why, BLAME_POLICY, ER_UNKNOWN_ERROR,
                     "volvox: this session can't leave replica %s (%s), and the statement needs the "
                     "primary", s->lease->server->name, words);
}

/* Does what is held (now, or again) do?  Otherwise it has been let go. */
static bool keep_held(struct task *t, struct session *s, const struct command *cmd,
                      const struct plan *plan, const struct topology *topology, struct fault *why)
{
    if (!diagnostics_are_here(s, cmd, why) || !counts_are_there(s, cmd, why) ||
        (s->lease == NULL && !take_again(s, cmd, plan, why)))
        return false;
    if (!prepare_insert_id(t, s, cmd, why))
        return false;
    if (s->lease == NULL)
        return true;
    if (!may_run_there(s, cmd, plan, topology, why))
        return false;
    return lease_serves(s, topology, cmd, plan) || leads_back(s, topology, plan) ||
           leave_lease(t, s, cmd, why);
}

static bool lease_new(struct task *t, struct session *s, const struct command *cmd,
                      const struct plan *plan, const struct topology *topology,
                      struct attempt *attempt, struct outcome *out)
{
    struct fault *why = &out->why;
    struct boarding boarding = { t, s, attempt->may_follow };
    struct follow follow;
    /* what can't be sent twice, and a second attempt, must not find a dead connection */
    bool sure = !cmd->st.reads_only || !cmd->whole || cmd->response == RESPONSE_NONE ||
                attempt->n_again++ > 0;
    out->may_share = attempt->may_follow != NULL && !out->is_alone && !plan->stays && plan->role != ROLE_SAME;
    follow_begin(&follow, &boarding);
    for (bool has_failed = false;; has_failed = true) {
        /* the first failure says more than that there is no other server */
        struct server *server = choose(s, topology, plan, attempt, has_failed ? NULL : why);
        if (server == NULL)
            return false;
        bool done = lease_from(t, s, server, sure, out->may_share ? &follow : NULL, why);
        out->is_followed = follow.is_sent;
        out->was_followed |= follow.is_sent || follow.was_lost;
        if (done)
            return true;
        if (fault_is_about_account(why) && account_renew(s))
            continue;
        if (why->blame != BLAME_SERVER || attempt->n_avoid == 3)
            return false;
        attempt->avoid[attempt->n_avoid++] = server;
        if (plan->role == ROLE_PRIMARY || plan->server.len > 0)
            return false; /* there is no other */
    }
}

/* A session's very first statement asks about the one before: then it must not be somebody else's. */
static bool forget_others(struct task *t, struct session *s, struct fault *why)
{
    return backend_reset(t, s->lease, stall_deadline(t), why);
}

bool obtain(struct task *t, struct session *s, const struct command *cmd, const struct plan *plan,
            struct attempt *attempt, struct outcome *out)
{
    struct worker *w = task_worker(t);
    uint64_t began_us = worker_now_us(w);
    struct topology *topology = topology_take(worker_topology(w));
    bool is_first = s->last_ticket == 0;
    out->is_followed = out->may_share = false;
    bool done = keep_held(t, s, cmd, plan, topology, &out->why) &&
                (s->lease != NULL || lease_new(t, s, cmd, plan, topology, attempt, out)) &&
                (!is_first || !counts_are_asked(s, cmd) || forget_others(t, s, &out->why));
    if (done)
        count_role(s, topology, out);
    topology_drop(topology);
    out->wait_us += worker_now_us(w) - began_us;
    return done;
}
