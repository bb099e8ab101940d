/* select.c - SELECT: prepare on the SQL worker, collect from the workers, step on the SQL worker. */
#include "admin/inside.h"

#include "base/clock.h"
#include "base/mem.h"

struct job {
    struct visitor *v;
    struct translated tr;
    struct database_shape shape;
    struct database_run run;
    struct answer *out;
    struct fault *why;
    bool ok;
};

static void do_prepare(struct worker *w, void *arg)
{
    struct job *job = arg;
    struct visitor *v = job->v;
    (void)w;
    if (v->sql == NULL)
        v->sql = database_open();
    job->ok = v->sql != NULL ? database_prepare(v->sql, &job->tr, &v->facts, &job->shape, job->why)
                             : fault_set(job->why, BLAME_OURS, ER_OUT_OF_RESOURCES, "No memory for a database");
}

static void do_columns(struct worker *w, void *arg)
{
    struct job *job = arg;
    (void)w;
    database_columns(job->v->sql, job->out);
    database_finish(job->v->sql);
}

static void do_step(struct worker *w, void *arg)
{
    struct job *job = arg;
    (void)w;
    job->ok = database_step(job->v->sql, &job->run, job->out, job->why);
    database_finish(job->v->sql);
}

static void do_finish(struct worker *w, void *arg)
{
    struct job *job = arg;
    (void)w;
    database_finish(job->v->sql);
}

static bool ask(struct task *t, struct job *job, void (*fn)(struct worker *, void *))
{
    if (worker_ask(t, job->v->admin->sql, fn, job))
        return true;
    return fault_set(job->why, BLAME_OURS, ER_SERVER_SHUTDOWN, "Server shutdown in progress");
}

static bool prepare(struct task *t, struct job *job, struct bytes text)
{
    return translate(text, &job->tr, job->why) && ask(t, job, do_prepare) && job->ok;
}

/* Rows of each table that the statement names.  Parks. */
static bool collect(struct task *t, struct job *job, struct rows **rows)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < n_admin_tables; i++) {
        if ((job->shape.tables >> i & 1) == 0)
            continue;
        rows[i] = mem_alloc(sizeof **rows);
        rows_init(rows[i], table_width(&admin_tables[i]));
        struct gather g = { .t = t, .v = job->v, .host = &job->v->admin->host, .rows = rows[i] };
        if (admin_tables[i].fill != NULL)
            admin_tables[i].fill(&g);
        must(rows[i]->n_cells % rows[i]->n_columns == 0);
        bytes += rows[i]->bytes;
        if (rows[i]->is_full || bytes > ROWS_LIMIT_BYTES)
            return fault_set(job->why, BLAME_POLICY, ER_OUT_OF_RESOURCES,
                             "There are too many rows in '%s' for one statement", admin_tables[i].name);
        if (task_is_cancelled(t))
            return fault_set(job->why, BLAME_POLICY, ER_QUERY_INTERRUPTED, "Query execution was interrupted");
    }
    return true;
}

static void release_rows(struct rows **rows)
{
    for (unsigned i = 0; i < n_admin_tables; i++) {
        if (rows[i] == NULL)
            continue;
        rows_release(rows[i]);
        mem_free(rows[i]);
    }
}

static uint64_t deadline_us(const struct visitor *v)
{
    const struct config *c = v->admin->host.config(v->admin->host.arg);
    unsigned ms = c->admin.statement_timeout_ms;
    return ms > 0 ? clock_us() + ms * UINT64_C(1000) : UINT64_MAX;
}

static bool collect_and_step(struct task *t, struct job *job)
{
    struct rows *rows[MAX_TABLES] = { NULL };
    bool ok = collect(t, job, rows);
    if (ok) {
        job->run.rows = rows;
        job->run.max_rows = job->tr.has_limit ? 0 : job->v->select_limit;
        job->run.deadline_us = deadline_us(job->v);
        job->run.cancel = &job->v->is_interrupted;
        ok = ask(t, job, do_step) && job->ok;
    } else {
        struct fault ignored = FAULT_NONE, *why = job->why;
        job->why = &ignored;
        ask(t, job, do_finish);
        job->why = why;
    }
    release_rows(rows);
    return ok;
}

bool select_run(struct task *t, struct visitor *v, struct bytes text, const struct cell *params,
                unsigned n_params, struct answer *out, struct fault *why)
{
    struct job job = { .v = v, .out = out, .why = why };
    job.run.params = params;
    job.run.n_params = n_params;
    bool ok = prepare(t, &job, text);
    if (ok && job.shape.n_params != n_params) {
        ask(t, &job, do_finish);
        ok = fault_set(why, BLAME_QUERY, 1210, "Incorrect arguments: the statement has %u parameters, %u came",
                       job.shape.n_params, n_params);
    }
    ok = ok && collect_and_step(t, &job);
    translated_release(&job.tr);
    return ok;
}

bool select_describe(struct task *t, struct visitor *v, struct bytes text, struct answer *columns,
                     unsigned *n_params, struct fault *why)
{
    struct job job = { .v = v, .out = columns, .why = why };
    bool ok = prepare(t, &job, text);
    if (ok) {
        *n_params = job.shape.n_params;
        ok = ask(t, &job, do_columns);
    }
    translated_release(&job.tr);
    return ok;
}
