/* fill_process.c - rows about the process: threads, tasks, listeners, settings, what happened. */
#include "admin/inside.h"

#include "base/mem.h"

static void put_unless_empty(struct rows *r, const char *text)
{
    put_str(r, text != NULL && text[0] != '\0' ? text : NULL);
}

/* ---- users ---------------------------------------------------------------------------------- */

const struct table_column users_columns[] = {
    { "name", COLUMN_TEXT, "as in `[user NAME]`" },
    { "group_name", COLUMN_TEXT, "whose servers it uses" },
    { "server_user", COLUMN_TEXT, "its name on the servers" },
    { "default_schema", COLUMN_TEXT, "for clients that name none" },
    { "split_reads", COLUMN_INT, "1: plain reads may go to replicas" },
    { "max_connections", COLUMN_INT, "clients at a time; 0: no limit of its own" },
    { "has_password", COLUMN_INT, "0: its password is empty, or known to the servers only" },
    { "checked_by", COLUMN_TEXT, "`file`, or `servers` (`auth = servers`)" },
    { 0 },
};

void fill_users(struct gather *g)
{
    const struct config *c = g->host->config(g->host->arg);
    for (unsigned i = 0; i < c->n_users; i++) {
        const struct user_config *u = &c->users[i];
        put_str(g->rows, u->name);
        put_str(g->rows, u->group < c->n_groups ? c->groups[u->group].name : NULL);
        put_str(g->rows, u->server_user);
        put_unless_empty(g->rows, u->schema);
        put_int(g->rows, u->split_reads);
        put_int(g->rows, u->max_connections);
        put_int(g->rows, u->secret.has_password);
        put_str(g->rows, u->asks_servers ? "servers" : "file");
    }
}

/* ---- listeners -------------------------------------------------------------------------------- */

const struct table_column listeners_columns[] = {
    { "name", COLUMN_TEXT, "as in `[listener NAME]`" },
    { "address", COLUMN_TEXT, "host and port, or a socket's path" },
    { "open", COLUMN_INT, "clients that came through it" },
    { "max_connections", COLUMN_INT, "how many there may be; 0: no limit of its own" },
    { "accepts", COLUMN_INT, "connections accepted, ever" },
    { "refusals", COLUMN_INT, "connections refused for want of descriptors, ever" },
    { 0 },
};

static void put_listener(void *arg, const char *name, const char *address, unsigned open, unsigned limit,
                         uint64_t accepts, uint64_t refusals)
{
    struct rows *r = arg;
    put_str(r, name);
    put_str(r, address);
    put_int(r, open);
    put_int(r, limit);
    put_u64(r, accepts);
    put_u64(r, refusals);
}

void fill_listeners(struct gather *g)
{
    g->host->listeners(g->host->arg, put_listener, g->rows);
}

/* ---- workers, tasks ------------------------------------------------------------------------------ */

const struct table_column workers_columns[] = {
    { "worker", COLUMN_INT, "0, 1, ...; -1 is the control thread" },
    { "clients", COLUMN_INT, "clients it serves" },
    { "busy", COLUMN_INT, "of those, with a command running" },
    { "pinned", COLUMN_INT, "of those, that can't leave their server connection" },
    { "backends_idle", COLUMN_INT, "server connections that nobody holds" },
    { "backends_leased", COLUMN_INT, "server connections that sessions hold" },
    { "commands", COLUMN_INT, "commands served, ever" },
    { "tasks", COLUMN_INT, "tasks that run or wait" },
    { "tasks_peak", COLUMN_INT, "the most there were at once" },
    { "stacks", COLUMN_INT, "stacks made for them" },
    { "stacks_limit", COLUMN_INT, "how many there may be" },
    { 0 },
};

static void ask_figures(struct worker *w, void *arg)
{
    worker_task_figures(w, arg);
}

static int64_t gauge(const atomic_uint *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

static void put_worker(struct gather *g, struct worker *w)
{
    struct task_figures f = { 0 };
    const struct counters *c = worker_counters(w);
    if (!worker_ask(g->t, w, ask_figures, &f))
        return;
    put_int(g->rows, worker_index(w));
    if (c != NULL) {
        put_int(g->rows, gauge(&c->sessions));
        put_int(g->rows, gauge(&c->sessions_busy));
        put_int(g->rows, gauge(&c->sessions_pinned));
        put_int(g->rows, gauge(&c->backends_idle));
        put_int(g->rows, gauge(&c->backends_leased));
        put_u64(g->rows, atomic_load_explicit(&c->commands, memory_order_relaxed));
    } else {
        for (int i = 0; i < 6; i++)
            put_null(g->rows);
    }
    put_int(g->rows, f.running);
    put_int(g->rows, f.peak);
    put_int(g->rows, f.made);
    put_int(g->rows, f.limit);
}

void fill_workers(struct gather *g)
{
    put_worker(g, g->host->control);
    for (unsigned w = 0; w < g->host->n_workers; w++)
        put_worker(g, g->host->workers[w]);
}

const struct table_column tasks_columns[] = {
    { "worker", COLUMN_INT, "on which thread; -1 is the control thread" },
    { "what", COLUMN_TEXT, "what it does" },
    { "age_ms", COLUMN_INT, "since it began" },
    { 0 },
};

enum { TASKS_LIMIT = 8192 };

struct tasks_ask {
    uint64_t now_us;
    size_t count;
    struct {
        const char *what;         /* static */
        uint64_t since_us;
    } rows[TASKS_LIMIT];
};

static void note_task(void *arg, const char *what, uint64_t since_us)
{
    struct tasks_ask *ask = arg;
    if (ask->count == TASKS_LIMIT)
        return;
    ask->rows[ask->count].what = what;
    ask->rows[ask->count++].since_us = since_us;
}

static void ask_tasks(struct worker *w, void *arg)
{
    struct tasks_ask *ask = arg;
    ask->now_us = worker_now_us(w);
    worker_each_task(w, note_task, ask);
}

static void put_tasks(struct gather *g, struct worker *w, struct tasks_ask *ask)
{
    ask->count = 0;
    if (!worker_ask(g->t, w, ask_tasks, ask))
        return;
    for (size_t i = 0; i < ask->count; i++) {
        uint64_t since = ask->rows[i].since_us;
        put_int(g->rows, worker_index(w));
        put_str(g->rows, ask->rows[i].what);
        put_u64(g->rows, ask->now_us > since ? (ask->now_us - since) / 1000 : 0);
    }
}

void fill_tasks(struct gather *g)
{
    struct tasks_ask *ask = mem_alloc(sizeof *ask);
    put_tasks(g, g->host->control, ask);
    for (unsigned w = 0; w < g->host->n_workers; w++)
        put_tasks(g, g->host->workers[w], ask);
    mem_free(ask);
}

/* ---- settings --------------------------------------------------------------------------------------- */

const struct table_column settings_columns[] = {
    { "section", COLUMN_TEXT, "kind of section: `volvox`, `server`, ..." },
    { "name", COLUMN_TEXT, "the section's name; NULL where it has none" },
    { "setting", COLUMN_TEXT, "the option" },
    { "value", COLUMN_TEXT, "in force now; secrets are `***`" },
    { "default_value", COLUMN_TEXT, "without it in the file; NULL: it must be there" },
    { "set_by", COLUMN_TEXT, "`default`, `file FILE:LINE` or `runtime`" },
    { "reloadable", COLUMN_INT, "1: SET and RELOAD change it; 0: it needs a restart" },
    { "help", COLUMN_TEXT, "what it means" },
    { 0 },
};

static void put_setting(void *arg, const struct setting *s)
{
    struct rows *r = arg;
    put_str(r, s->option->section);
    put_unless_empty(r, s->name);
    put_str(r, s->option->name);
    put_str(r, s->value);
    put_str(r, s->option->fallback);
    put_str(r, s->where);
    put_int(r, s->option->reloadable);
    put_str(r, s->option->help);
}

void fill_settings(struct gather *g)
{
    config_walk_settings(g->host->config(g->host->arg), put_setting, g->rows);
}

/* ---- faults, events ------------------------------------------------------------------------------------ */

const struct table_column faults_columns[] = {
    { "number", COLUMN_INT, "1, 2, ... since the start" },
    { "at", COLUMN_TEXT, "when (UTC)" },
    { "blame", COLUMN_TEXT, "who is to blame: `client`, `server`, `policy`, `time`, `ours`" },
    { "user", COLUMN_TEXT, "whose command it was" },
    { "client", COLUMN_INT, "its id" },
    { "code", COLUMN_INT, "error number that the client got" },
    { "text", COLUMN_TEXT, "what happened" },
    { 0 },
};

static void put_id(struct rows *r, uint32_t id)
{
    if (id != 0)
        put_int(r, id);
    else
        put_null(r);
}

void fill_faults(struct gather *g)
{
    size_t n;
    struct happening *found = faults_copy(&n);
    for (size_t i = 0; i < n; i++) {
        put_u64(g->rows, found[i].number);
        put_wall(g->rows, found[i].wall_us);
        put_str(g->rows, found[i].kind);
        put_unless_empty(g->rows, found[i].who);
        put_id(g->rows, found[i].session);
        put_int(g->rows, found[i].code);
        put_str(g->rows, found[i].text);
    }
    mem_free(found);
}

const struct table_column events_columns[] = {
    { "number", COLUMN_INT, "1, 2, ... since the start" },
    { "at", COLUMN_TEXT, "when (UTC)" },
    { "kind", COLUMN_TEXT, "`server`, `reload`, `admin`, ..." },
    { "who", COLUMN_TEXT, "the server or user" },
    { "text", COLUMN_TEXT, "what happened" },
    { 0 },
};

void fill_events(struct gather *g)
{
    size_t n;
    struct happening *found = events_copy(&n);
    for (size_t i = 0; i < n; i++) {
        put_u64(g->rows, found[i].number);
        put_wall(g->rows, found[i].wall_us);
        put_str(g->rows, found[i].kind);
        put_unless_empty(g->rows, found[i].who);
        put_str(g->rows, found[i].text);
    }
    mem_free(found);
}

/* ---- counters --------------------------------------------------------------------------------------------- */

const struct table_column counters_columns[] = {
    { "name", COLUMN_TEXT, "as in /metrics" },
    { "labels", COLUMN_TEXT, "what tells several of a name apart" },
    { "kind", COLUMN_TEXT, "`counter`, `gauge`, or `quantile` of a histogram" },
    { "value", COLUMN_REAL, "since the start, all workers" },
    { "help", COLUMN_TEXT, "what is counted" },
    { 0 },
};

static void put_counter(struct rows *r, const struct metric *m, const char *suffix, const char *labels,
                        const char *kind, double value)
{
    put_format(r, "%s%s", m->name, suffix);
    put_unless_empty(r, labels);
    put_str(r, kind);
    put_real(r, value);
    put_str(r, m->help);
}

static void put_metric(void *arg, const struct metric *m)
{
    static const double quantiles[] = { 0.5, 0.95, 0.99, 1 };
    struct rows *r = arg;
    const struct histogram *h = m->histogram;
    if (h == NULL) {
        put_counter(r, m, "", m->labels, m->type, m->value);
        return;
    }
    put_counter(r, m, "_count", m->labels, "counter", (double)atomic_load(&h->count));
    put_counter(r, m, "_sum", m->labels, "counter", (double)atomic_load(&h->sum_us) / 1e6);
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++) {
        char labels[160];
        snprintf(labels, sizeof labels, "%s%squantile=\"%g\"", m->labels, m->labels[0] != '\0' ? "," : "",
                 quantiles[i]);
        put_counter(r, m, "", labels, "quantile", (double)histogram_quantile(h, quantiles[i]) / 1e6);
    }
}

void fill_counters(struct gather *g)
{
    metrics_walk(g->host->workers, g->host->n_workers, put_metric, g->rows);
}
