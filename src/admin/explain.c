/* explain.c - EXPLAIN ROUTE: the router's and the topology's own answers, in words; see inside.h. */
#include "admin/inside.h"

#include <inttypes.h>

#include "base/str.h"

struct options_given {
    char user[81], schema[65];
    bool in_transaction;
};

static bool take_options(struct words *w, struct options_given *o, struct fault *why)
{
    for (;;) {
        if (word_take(w, "for")) {
            if (!word_take(w, "user"))
                return words_expected(w, "USER", why);
            if (!name_take(w, "a user's name", o->user, sizeof o->user, why))
                return false;
        } else if (word_take(w, "schema")) {
            if (!name_take(w, "a schema's name", o->schema, sizeof o->schema, why))
                return false;
        } else if (word_take(w, "in")) {
            if (!word_take(w, "transaction"))
                return words_expected(w, "TRANSACTION", why);
            o->in_transaction = true;
        } else {
            return !words_at_end(w) || words_expected(w, "a statement", why);
        }
    }
}

static const struct user_config *choose_user(const struct config *c, const char *name, struct fault *why)
{
    const struct user_config *u = NULL;
    struct guess g;
    char words[120];
    if (name[0] != '\0')
        u = config_user(c, bytes_str(name));
    else if (c->n_users > 0)
        u = &c->users[0];
    if (u != NULL)
        return u;
    guess_begin(&g, bytes_str(name));
    for (unsigned i = 0; i < c->n_users; i++)
        guess_try(&g, c->users[i].name);
    fault_set(why, BLAME_QUERY, ER_UNKNOWN_ERROR, "There is no user '%.64s'%s", name,
              guess_words(&g, words, sizeof words));
    return NULL;
}

static void tell(struct answer *out, const char *what, const char *text)
{
    put_str(&out->rows, what);
    put_str(&out->rows, text);
}

/* The best rank of those that can serve reads now; see struct server_state. */
static unsigned best_rank(const struct topology *t, const struct group_state *g)
{
    unsigned best = UINT8_MAX;
    for (unsigned i = 0; i < g->n_members; i++) {
        unsigned rank = t->servers[g->members[i]].read_rank;
        if (rank > 0 && topology_objection(t, g->members[i], PICK_REPLICA) == NULL)
            best = MIN(best, rank);
    }
    return best;
}

static const char *verdict(const struct topology *t, unsigned server, enum pick_role role, unsigned best)
{
    const char *objection = topology_objection(t, server, role);
    unsigned rank = t->servers[server].read_rank;
    if (objection != NULL)
        return objection;
    if (role == PICK_REPLICA && rank == 0)
        return "serves no reads";
    return role == PICK_REPLICA && rank > best ? "only when no other can" : "may serve";
}

static void tell_candidates(struct answer *out, const struct topology *t, unsigned group,
                            const struct plan *plan)
{
    static const enum pick_role roles[] = { [ROLE_ANY] = PICK_ANY, [ROLE_PRIMARY] = PICK_PRIMARY,
                                            [ROLE_REPLICA] = PICK_REPLICA, [ROLE_SAME] = PICK_ANY };
    const struct group_state *g = &t->groups[group];
    unsigned best = best_rank(t, g);
    for (unsigned i = 0; i < g->n_members; i++) {
        put_format(&out->rows, "server %s", t->servers[g->members[i]].server->name);
        put_str(&out->rows, verdict(t, g->members[i], roles[plan->role], best));
    }
    if (best == UINT8_MAX && plan->role == ROLE_REPLICA)
        tell(out, "without replicas",
             g->no_replica == NO_REPLICA_PRIMARY ? "goes to the primary" : "is refused");
}

static void tell_plan(struct answer *out, const struct plan *plan)
{
    tell(out, "goes to", plan->stays ? "the server that the session holds" : role_name(plan->role));
    tell(out, "because", route_why_name(plan->why));
    if (plan->server.len > 0) {
        put_str(&out->rows, "hint");
        put_format(&out->rows, "server %.*s", (int)MIN(plan->server.len, (size_t)64),
                   (const char *)plan->server.data);
    }
}

static void tell_statement(struct answer *out, const struct statement *st)
{
    char effects[512];
    effects_print(st->effects, effects, sizeof effects);
    put_str(&out->rows, "statement");
    put_format(&out->rows, "%s%s%s", verb_name(st->verb), st->reads_only ? ", reads only" : "",
               st->is_broken ? ", can't be read to its end" : "");
    tell(out, "effects", effects[0] != '\0' ? effects : "none that servers would not report");
    if (st->digest != 0) {
        put_str(&out->rows, "digest");
        put_hex(&out->rows, st->digest);
    }
}

bool explain_route(struct words *w, struct visitor *v, struct answer *out, struct fault *why)
{
    const struct admin_host *host = &v->admin->host;
    const struct config *c = host->config(host->arg);
    const struct topology *t = monitor_topology(host->monitor(host->arg));
    struct options_given o = { .in_transaction = false };
    struct statement st;
    struct plan plan;
    struct fault refused = FAULT_NONE;
    if (!take_options(w, &o, why))
        return false;
    const struct user_config *u = choose_user(c, o.user, why);
    if (u == NULL)
        return false;
    if (u->group >= t->n_groups)
        return fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR, "The group of %s is not known yet", u->name);
    const struct group_state *g = &t->groups[u->group];
    struct lexer_mode mode = { .is_mariadb = g->is_mariadb, .version = g->version_number };
    statement_read(words_rest(w), &mode, &st);
    struct facts facts = { .in_transaction = o.in_transaction, .autocommit = true,
                           .splits_reads = u->split_reads && g->reads != READS_PRIMARY };
    answer_begin(out, 2);
    answer_column(out, 0, BYTES_LITERAL("item"), COLUMN_TEXT);
    answer_column(out, 1, BYTES_LITERAL("value"), COLUMN_TEXT);
    tell_statement(out, &st);
    tell(out, "user", u->name);
    tell(out, "schema", o.schema[0] != '\0' ? o.schema : u->schema);
    tell(out, "in transaction", o.in_transaction ? "yes" : "no");
    tell(out, "group", g->name);
    if (!route(&facts, &st, &plan, &refused)) {
        tell(out, "refused", refused.text);
        return true;
    }
    tell_plan(out, &plan);
    if (!plan.stays)
        tell_candidates(out, t, u->group, &plan);
    return true;
}
