/* fill_servers.c - rows about servers and the connections to them; see inside.h. */
#include "admin/inside.h"

#include "base/mem.h"

static unsigned load_uint(const atomic_uint *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

static uint64_t load_u64(const atomic_ullong *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

static const struct topology *topology_of(const struct gather *g)
{
    return monitor_topology(g->host->monitor(g->host->arg));
}

/* ---- servers ----------------------------------------------------------------------------- */

const struct table_column servers_columns[] = {
    { "name", COLUMN_TEXT, "as in `[server NAME]`" },
    { "address", COLUMN_TEXT, "host and port, or a socket's path" },
    { "group_name", COLUMN_TEXT, "its group" },
    { "role", COLUMN_TEXT, "`primary`, `replica` or `none`: what it is used as now" },
    { "health", COLUMN_TEXT, "`up`, `down` or `unknown`: what the probes found" },
    { "operated", COLUMN_TEXT, "`normal`, `draining` or `disabled`: what SERVER told it" },
    { "why", COLUMN_TEXT, "the reason for its state, in words" },
    { "writable", COLUMN_INT, "1: it does not say read_only" },
    { "lag_ms", COLUMN_INT, "behind its source; NULL when not known" },
    { "replication", COLUMN_TEXT, "`none`, `running`, `broken` or `cut off`" },
    { "weight", COLUMN_INT, "its share of the reads" },
    { "open", COLUMN_INT, "connections to it, open or opening, of all workers" },
    { "in_use", COLUMN_INT, "of those, held by sessions" },
    { "idle", COLUMN_INT, "of those, not held" },
    { "waiting", COLUMN_INT, "sessions that wait for a connection to it" },
    { "max_connections", COLUMN_INT, "how many there may be" },
    { "connects", COLUMN_INT, "connections made, ever" },
    { "connect_failures", COLUMN_INT, "connections that could not be made, ever" },
    { "commands", COLUMN_INT, "commands sent, ever" },
    { "avg_us", COLUMN_INT, "what a command took on the average, without waiting; NULL before the first" },
    { "max_us", COLUMN_INT, "what the slowest one took" },
    { "probe_us", COLUMN_INT, "how long the last probe took; NULL when it was not answered" },
    { "probed", COLUMN_TEXT, "when that was (UTC)" },
    { "since", COLUMN_TEXT, "when health, role or operation last changed (UTC)" },
    { "version", COLUMN_TEXT, "as the server says" },
    { 0 },
};

static const char *role_now(const struct topology *t, unsigned i)
{
    const struct server_state *st = &t->servers[i];
    if (st->group >= t->n_groups)
        return "none";
    if (t->groups[st->group].primary == i)
        return "primary";
    return st->health != HEALTH_UP || (st->writable && !st->replicates) ? "none" : "replica";
}

static const char *health_word(enum health health)
{
    switch (health) {
    case HEALTH_UP: return "up";
    case HEALTH_DOWN: return "down";
    case HEALTH_UNKNOWN: break;
    }
    return "unknown";
}

static const char *replication_word(const struct server_state *st)
{
    if (!st->replicates)
        return "none";
    if (st->lag_known && st->lag_ms == UINT32_MAX)
        return "broken";
    return st->is_cut_off ? "cut off" : "running";
}

static void put_server_state(struct rows *r, const struct topology *t, unsigned i)
{
    const struct server_state *st = &t->servers[i];
    char address[ADDRESS_TEXT_BYTES];
    address_print(&st->server->address, true, address);
    put_str(r, st->server->name);
    put_str(r, address);
    put_str(r, st->group < t->n_groups ? t->groups[st->group].name : NULL);
    put_str(r, role_now(t, i));
    put_str(r, health_word(st->health));
    put_str(r, operator_state_name(st->operated));
    put_str(r, st->why);
    put_int(r, st->writable);
    if (st->lag_known && st->lag_ms != UINT32_MAX)
        put_int(r, st->lag_ms);
    else
        put_null(r);
    put_str(r, replication_word(st));
    put_int(r, st->weight);
}

static void put_server_load(struct rows *r, const struct server *s)
{
    unsigned open = load_uint(&s->open), in_use = load_uint(&s->in_use);
    put_int(r, open);
    put_int(r, in_use);
    put_int(r, open > in_use ? open - in_use : 0);
    put_int(r, load_uint(&s->wanted));
    put_int(r, load_uint(&s->max_open));
    put_u64(r, load_u64(&s->connects));
    put_u64(r, load_u64(&s->connect_failures));
    unsigned long long commands = load_u64(&s->commands);
    put_u64(r, commands);
    if (commands > 0)
        put_u64(r, load_u64(&s->served_us) / commands);
    else
        put_null(r);
    put_u64(r, load_u64(&s->slowest_us));
    if (load_uint(&s->probe_us) > 0)
        put_int(r, load_uint(&s->probe_us));
    else
        put_null(r);
    put_wall(r, load_u64(&s->probed_us));
}

void fill_servers(struct gather *g)
{
    const struct topology *t = topology_of(g);
    for (unsigned i = 0; i < t->n_servers; i++) {
        put_server_state(g->rows, t, i);
        put_server_load(g->rows, t->servers[i].server);
        put_wall(g->rows, t->servers[i].since_us);
        put_str(g->rows, t->servers[i].version[0] != '\0' ? t->servers[i].version : NULL);
    }
}

/* ---- groups -------------------------------------------------------------------------------- */

const struct table_column groups_columns[] = {
    { "name", COLUMN_TEXT, "as in `[group NAME]`" },
    { "primary_server", COLUMN_TEXT, "who takes the writes; NULL when nobody can" },
    { "split_brain", COLUMN_INT, "1: more than one server could be the primary; the present one stays" },
    { "members", COLUMN_INT, "servers in it" },
    { "readers", COLUMN_INT, "servers that plain reads may go to now" },
    { "version", COLUMN_TEXT, "what clients are told" },
    { "max_lag_ms", COLUMN_INT, "replicas further behind get no reads; 0: any lag will do" },
    { 0 },
};

/* Those of the best rank: the others are asked only when none of these can. */
static unsigned count_readers(const struct topology *t, const struct group_state *group)
{
    unsigned best = UINT8_MAX, count = 0;
    for (unsigned m = 0; m < group->n_members; m++) {
        unsigned rank = t->servers[group->members[m]].read_rank;
        if (rank == 0 || rank > best || topology_objection(t, group->members[m], PICK_REPLICA) != NULL)
            continue;
        count = rank < best ? 1 : count + 1;
        best = rank;
    }
    return count;
}

void fill_groups(struct gather *g)
{
    const struct topology *t = topology_of(g);
    for (unsigned i = 0; i < t->n_groups; i++) {
        const struct group_state *group = &t->groups[i];
        unsigned readers = count_readers(t, group);
        put_str(g->rows, group->name);
        put_str(g->rows, group->primary < t->n_servers ? t->servers[group->primary].server->name : NULL);
        put_int(g->rows, group->split_brain);
        put_int(g->rows, group->n_members);
        put_int(g->rows, readers);
        put_str(g->rows, group->version[0] != '\0' ? group->version : NULL);
        put_int(g->rows, group->max_lag_ms);
    }
}

/* ---- backends, pools ------------------------------------------------------------------------- */

const struct table_column backends_columns[] = {
    { "server", COLUMN_TEXT, "to which server" },
    { "user", COLUMN_TEXT, "the account on the server" },
    { "worker", COLUMN_INT, "which worker owns it" },
    { "place", COLUMN_TEXT, "`idle`, `leased` (a session holds it) or `opening`" },
    { "thread_id", COLUMN_INT, "its id on the server, as in SHOW PROCESSLIST there" },
    { "tls", COLUMN_TEXT, "version of TLS; NULL: in clear" },
    { "cipher", COLUMN_TEXT, "its cipher" },
    { "client", COLUMN_INT, "id of the client that holds it, as in `clients`" },
    { "age_ms", COLUMN_INT, "since it was opened" },
    { "idle_ms", COLUMN_INT, "since it was last used; NULL unless idle" },
    { "schema_name", COLUMN_TEXT, "its current schema" },
    { "state", COLUMN_TEXT, "fingerprint of schema and variables: equal ones need no SET in between" },
    { "variables", COLUMN_INT, "session variables that differ from the server's" },
    { "statements", COLUMN_INT, "statements prepared on it" },
    { "commands", COLUMN_INT, "commands sent over it" },
    { "pipelined", COLUMN_INT, "statements of other clients that were sent behind its client's" },
    { "compression", COLUMN_TEXT, "`zlib` or `zstd`; NULL: none" },
    { "client_host", COLUMN_TEXT, "the client's address that the server was told; NULL: none" },
    { 0 },
};

enum { COPY_LIMIT = 65536 };

struct copy {
    void *rows;
    size_t count, max;
};

static void ask_backends(struct worker *w, void *arg)
{
    struct copy *c = arg;
    c->count = backends_copy(w, c->rows, c->max);
}

static void put_backend(struct rows *r, const struct backend_row *b)
{
    put_str(r, b->server);
    put_str(r, b->user);
    put_int(r, b->worker);
    put_str(r, b->place);
    put_int(r, b->thread_id);
    put_str(r, b->tls[0] != '\0' ? b->tls : NULL);
    put_str(r, b->cipher[0] != '\0' ? b->cipher : NULL);
    if (b->session != 0)
        put_int(r, b->session);
    else
        put_null(r);
    put_u64(r, b->age_us / 1000);
    if (b->idle_us > 0 || strcmp(b->place, "idle") == 0)
        put_u64(r, b->idle_us / 1000);
    else
        put_null(r);
    put_str(r, b->schema[0] != '\0' ? b->schema : NULL);
    put_hex(r, b->state);
    put_int(r, b->n_vars);
    put_int(r, b->n_statements);
    put_u64(r, b->commands);
    put_int(r, b->followers);
    put_str(r, b->compression);
    put_str(r, b->client_host[0] != '\0' ? b->client_host : NULL);
}

/* As many rows as there can be on one worker, with room for what is opened meanwhile. */
static size_t backends_at_most(const struct topology *t)
{
    size_t n = 64;
    for (unsigned i = 0; i < t->n_servers; i++)
        n += load_uint(&t->servers[i].server->open);
    return MIN(n, (size_t)COPY_LIMIT);
}

void fill_backends(struct gather *g)
{
    struct copy c = { .max = backends_at_most(topology_of(g)) };
    struct backend_row *rows = mem_alloc(c.max * sizeof *rows);
    c.rows = rows;
    for (unsigned w = 0; w < g->host->n_workers; w++) {
        c.count = 0;
        if (worker_ask(g->t, g->host->workers[w], ask_backends, &c))
            for (size_t i = 0; i < c.count; i++)
                put_backend(g->rows, &rows[i]);
    }
    mem_free(rows);
}

const struct table_column pools_columns[] = {
    { "server", COLUMN_TEXT, "to which server" },
    { "user", COLUMN_TEXT, "the account" },
    { "worker", COLUMN_INT, "of which worker" },
    { "idle", COLUMN_INT, "connections that nobody holds" },
    { "held", COLUMN_INT, "connections that sessions hold" },
    { "waiting", COLUMN_INT, "sessions that wait for one" },
    { "fit", COLUMN_TEXT, "capability flags that clients must share to share these, as bits" },
    { "client_host", COLUMN_TEXT, "the one client address whose connections these are; NULL: all" },
    { 0 },
};

static void ask_pools(struct worker *w, void *arg)
{
    struct copy *c = arg;
    c->count = pools_copy(w, c->rows, c->max);
}

void fill_pools(struct gather *g)
{
    struct copy c = { .max = 8192 };
    struct pool_row *rows = mem_alloc(c.max * sizeof *rows);
    c.rows = rows;
    for (unsigned w = 0; w < g->host->n_workers; w++) {
        c.count = 0;
        if (!worker_ask(g->t, g->host->workers[w], ask_pools, &c))
            continue;
        for (size_t i = 0; i < c.count; i++) {
            put_str(g->rows, rows[i].server);
            put_str(g->rows, rows[i].user);
            put_int(g->rows, rows[i].worker);
            put_int(g->rows, rows[i].idle);
            put_int(g->rows, rows[i].held);
            put_int(g->rows, rows[i].waiting);
            put_format(g->rows, "%010llx", (unsigned long long)rows[i].fit);
            put_str(g->rows, rows[i].client_host[0] != '\0' ? rows[i].client_host : NULL);
        }
    }
    mem_free(rows);
}
