/* explain.c - where a statement would go, and why: the code of the hot path, printed. */
#include "main/main.h"

static void print_servers(const struct topology *topology, unsigned group, enum pick_role role)
{
    const struct group_state *g = &topology->groups[group];
    for (unsigned i = 0; i < g->n_members; i++) {
        const struct server_state *st = &topology->servers[g->members[i]];
        const char *objection = topology_objection(topology, g->members[i], role);
        printf("  server     %s: %s\n", st->server->name, objection == NULL ? "may serve" : objection);
    }
}

static const struct user_config *choose_user(const struct config *c, const char *name)
{
    if (name != NULL)
        return config_user(c, bytes_str(name));
    return c->n_users > 0 ? &c->users[0] : NULL;
}

static void no_publish(void *arg, struct topology *t)
{
    (void)arg;
    topology_drop(t);
}

static void print_candidates(struct config *c, const struct user_config *u, const struct plan *plan)
{
    static const enum pick_role roles[] = { [ROLE_ANY] = PICK_ANY, [ROLE_PRIMARY] = PICK_PRIMARY,
                                            [ROLE_REPLICA] = PICK_REPLICA, [ROLE_SAME] = PICK_ANY };
    struct worker *control = worker_new(-1);
    stats_worker_init(control);
    struct monitor *m = monitor_new(control, c, no_publish, NULL);
    monitor_first_round(m, 3.0, 3.0);
    printf("  group      %s\n", c->groups[u->group].name);
    print_servers(monitor_topology(m), u->group, roles[plan->role]);
    worker_stop(control);
    worker_run(control);
    monitor_stop(m);
    stats_worker_release(control);
    worker_free(control);
}

int explain(struct config *c, const struct args *args)
{
    const struct user_config *u = choose_user(c, args->user);
    struct lexer_mode mode = { .is_mariadb = true };
    struct statement st;
    struct plan plan;
    struct fault why = FAULT_NONE;
    char effects[512];
    if (u == NULL) {
        fprintf(stderr, "volvox: there is no such user in %s\n", args->file);
        return 1;
    }
    statement_read(bytes_str(args->sql), &mode, &st);
    struct facts facts = { .in_transaction = args->in_transaction, .autocommit = true,
                           .splits_reads = u->split_reads };
    effects_print(st.effects, effects, sizeof effects);
    printf("  statement  %s%s\n", verb_name(st.verb), st.is_broken ? " (can't be read to its end)" : "");
    printf("  effects    %s\n", effects[0] != '\0' ? effects : "none that servers would not report");
    printf("  user       %s\n", u->name);
    if (!route(&facts, &st, &plan, &why)) {
        printf("  refused    %s\n", why.text);
        return 0;
    }
    printf("  goes to    %s\n", plan.stays ? "the server that the session holds" : role_name(plan.role));
    printf("  because    %s\n", route_why_name(plan.why));
    if (plan.server.len > 0)
        printf("  hint       server %.*s\n", BYTES_FMT(plan.server));
    if (!plan.stays)
        print_candidates(c, u, &plan);
    return 0;
}
