/* boot.c - the order of start and stop, in one place; see main.h. */
#include "main/main.h"

#include <errno.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "main/notify.h"

/* ---- descriptors ----------------------------------------------------------------------- */

/* As many descriptors as we may have; what that allows is logged, so that nobody has to guess. */
static void raise_descriptors(struct boot *b)
{
    const struct config *c = b->config;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("descriptor limit could not be raised", "why=%s", log_quote(bytes_str(strerror(errno))));
    getrlimit(RLIMIT_NOFILE, &limit);
    unsigned long long servers = 0, own = 40, have = limit.rlim_cur;
    for (unsigned i = 0; i < c->n_servers; i++)
        servers += c->servers[i].max_connections;
    /* Clients that are served must not want for a server connection, so those come first; but
     * no more than half is kept for connections that may never be needed. */
    unsigned long long left = have > own ? have - own : 0;
    servers = MIN(servers, left / 2);
    unsigned long long clients = left - servers;
    b->max_clients = (unsigned)MIN(clients, (unsigned long long)UINT_MAX);
    log_info("descriptors", "limit=%llu for_servers=%llu for_clients=%llu max_connections=%u", have,
             servers, clients, c->settings.max_connections);
    if (clients < c->settings.max_connections)
        log_warn("fewer descriptors than max_connections",
                 "clients_possible=%llu max_connections=%u", clients, c->settings.max_connections);
}

static void write_pid_file(const struct config *c)
{
    if (c->settings.pid_file == NULL || c->settings.pid_file[0] == '\0')
        return;
    FILE *f = fopen(c->settings.pid_file, "w");
    if (f == NULL || fprintf(f, "%d\n", (int)getpid()) < 0)
        log_warn("pid file could not be written", "file=%s why=%s", c->settings.pid_file,
                 log_quote(bytes_str(strerror(errno))));
    if (f != NULL)
        fclose(f);
}

/* ---- configuration and topology, to everybody ---------------------------------------------- */

static void on_config_swap(struct worker *w, const struct config *now)
{
    pools_configured(w, now);
    sessions_configured(w, now);
}

static void on_topology(void *arg, struct topology *t)
{
    struct boot *b = arg;
    topology_publish(t, b->workers, b->n_workers);
    topology_drop(t);
}

/* What takes effect by being known, not by being told. */
void boot_apply_settings(const struct config *c)
{
    const struct settings *x = &c->settings;
    const struct served_limits limits = { x->digests, x->digest_text_bytes, x->slow_query_ms,
                                          x->slow_query_sample };
    log_level = x->log_level;
    log_areas_set(&x->log_areas);
    buf_set_total_limit(x->memory_limit_bytes);
    served_set_limits(&limits);
}

/* Workers only mark a server they failed with: the monitor looks at it before its turn comes. */
static void on_suspects(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    struct boot *b = timer->data;
    const struct topology *t = monitor_topology(b->monitor);
    for (unsigned i = 0; i < t->n_servers; i++)
        if (atomic_exchange_explicit(&t->servers[i].server->last_failure_us, 0,
                                     memory_order_relaxed) != 0)
            monitor_suspect(b->monitor, t->servers[i].server);
}

/* ---- stopping ---------------------------------------------------------------------------------- */

struct drain_mail {
    struct mail mail;
    bool now;
};

static void on_drain(struct worker *w, struct mail *mail)
{
    struct drain_mail *m = container_of(mail, struct drain_mail, mail);
    if (m->now)
        sessions_end(w);
    else
        sessions_drain(w);
    pools_worker_drain(w);
    mem_free(m);
}

static void tell_workers(struct boot *b, bool now)
{
    for (unsigned i = 0; i < b->n_workers; i++) {
        struct drain_mail *m = mem_zalloc(sizeof *m);
        m->mail.kind = MAIL_DRAIN;
        m->now = now;
        if (!worker_post(b->workers[i], &m->mail))
            mem_free(m);
    }
}

static unsigned count_sessions(const struct boot *b)
{
    return atomic_load_explicit(&b->shared.open, memory_order_relaxed);
}

/* Time for the last words of those that were ended. */
enum { ENDING_S = 3 };

static void on_farewell(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    struct boot *b = timer->data;
    unsigned left = count_sessions(b);
    bool late = worker_now(b->control) >= b->stop_by;
    if (left > 0 && !late)
        return;
    if (left > 0 && !b->ending) {
        log_info("ending sessions that have not finished", "sessions=%u", left);
        b->ending = true;
        b->stop_by = worker_now(b->control) + ENDING_S;
        tell_workers(b, true);
        return;
    }
    worker_stop(b->control);
}

void boot_stop(struct boot *b, bool now, unsigned drain_s)
{
    double by = worker_now(b->control) + (now ? ENDING_S : drain_s);
    if (b->stopping && (!now || b->ending))
        return;
    log_info("stopping", "now=%d sessions=%u", now, count_sessions(b));
    b->stopping = true;
    b->ending = now;
    b->stop_by = by;
    doors_close(b);
    tell_workers(b, now);
    ev_timer_start(worker_loop(b->control), &b->farewell);
    notify_stopping(b);
}

/* ---- the whole life -------------------------------------------------------------------------------- */

static void make_workers(struct boot *b)
{
    unsigned n = b->config->settings.workers;
    if (n == 0)
        n = (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
    b->n_workers = n;
    b->workers = mem_alloc(n * sizeof *b->workers);
    for (unsigned i = 0; i < n; i++)
        b->workers[i] = worker_new((int)i);
    for (unsigned i = 0; i < n; i++) {
        struct worker *w = b->workers[i];
        stats_worker_init(w);
        config_worker_init(w, b->config);
        topology_worker_init(w, monitor_topology(b->monitor));
        pools_worker_init(w, b->workers, n);
        sessions_worker_init(w, &b->shared, b->workers, n);
        worker_on_mail(w, MAIL_DRAIN, on_drain);
    }
}

static void free_workers(struct boot *b)
{
    for (unsigned i = 0; i < b->n_workers; i++)
        worker_stop(b->workers[i]);
    for (unsigned i = 0; i < b->n_workers; i++)
        worker_join(b->workers[i]);
    for (unsigned i = 0; i < b->n_workers; i++) {
        struct worker *w = b->workers[i];
        sessions_worker_release(w);
        pools_worker_release(w);
        topology_worker_release(w);
        config_worker_release(w);
        stats_worker_release(w);
        worker_free(w);
    }
    mem_free(b->workers);
}

static struct rsa_key *make_rsa_key(const struct config *c, struct fault *why)
{
    const char *file = c->settings.rsa_key_file;
    return file != NULL && file[0] != '\0' ? rsa_key_load(file, why) : rsa_key_new(why);
}

static bool start(struct boot *b, struct fault *why)
{
    b->rsa = make_rsa_key(b->config, why);
    if (b->rsa == NULL)
        return false;
    sessions_shared_init(&b->shared, b->rsa);
    config_on_swap(on_config_swap);
    topology_on_swap(pools_topology);
    b->monitor = monitor_new(b->control, b->config, on_topology, b);
    /* So that the first clients find roles and versions; a dead server must not hold us up. */
    monitor_first_round(b->monitor, 1.0);
    make_workers(b);
    for (unsigned i = 0; i < b->n_workers; i++)
        worker_start(b->workers[i]);
    return operators_start(b, why) && doors_configure(b, b->config, why);
}

static void start_timers(struct boot *b)
{
    struct ev_loop *loop = worker_loop(b->control);
    signals_start(b);
    ev_timer_init(&b->suspects, on_suspects, 0.2, 0.2);
    ev_timer_init(&b->farewell, on_farewell, 0.05, 0.05);
    b->suspects.data = b->farewell.data = b;
    ev_timer_start(loop, &b->suspects);
}

static void release(struct boot *b)
{
    struct ev_loop *loop = worker_loop(b->control);
    doors_close(b);
    admin_close(b->admin);
    http_free(b->http);
    signals_stop(b);
    ev_timer_stop(loop, &b->suspects);
    ev_timer_stop(loop, &b->farewell);
    tell_workers(b, true);
    free_workers(b);
    monitor_stop(b->monitor);
    sessions_shared_release(&b->shared);
    doors_free(b);
    admin_free(b->admin);
    overrides_release(&b->overrides);
    stats_worker_release(b->control);
    worker_free(b->control);
    rsa_key_free(b->rsa);
}

int boot_run(struct config *c)
{
    struct boot b = { .config = c };
    struct fault why = FAULT_NONE;
    const char *log_file = c->settings.log_file;
    boot_apply_settings(c);
    if (!log_start(log_file != NULL && log_file[0] != '\0' ? log_file : NULL)) {
        fprintf(stderr, "volvox: the log file %s can't be opened: %s\n", log_file, strerror(errno));
        config_drop(c);
        return 1;
    }
    log_info("volvox starts", "version=%s file=%s", VOLVOX_VERSION, c->file);
    raise_descriptors(&b);
    b.control = worker_new(-1);
    stats_worker_init(b.control);
    bool ok = start(&b, &why);
    if (ok) {
        start_timers(&b);
        write_pid_file(c);
        notify_start(&b);
        slim();
        worker_run(b.control);
    } else {
        log_error("volvox can't start", "why=%s", log_quote(bytes_str(why.text)));
    }
    release(&b);
    log_info("volvox has stopped");
    log_stop();
    config_drop(b.config);
    return ok ? 0 : 1;
}
