/*
 * metrics.c - Prometheus' text format 0.0.4, and the same catalogue as Markdown.
 *
 * What workers count comes from stats/catalog.c; what is known of servers, groups and the process
 * stands in the tables here.  Labels are names from the configuration and fixed words, so their
 * number is bounded.
 */
#include "http/inside.h"

#include <limits.h>
#include <math.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"

/* ---- the format --------------------------------------------------------------------- */

static void print_head(FILE *to, const char *name, const char *type, const char *help)
{
    fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Decimal, as short as is exact enough; whole numbers without an exponent. */
static void print_number(FILE *to, double v)
{
    if (isnan(v))
        fputs("NaN", to);
    else if (isinf(v))
        fputs(v > 0 ? "+Inf" : "-Inf", to);
    else if (v == floor(v) && fabs(v) < 1e15)
        fprintf(to, "%.0f", v);
    else
        fprintf(to, "%.12g", v);
}

static void print_value(FILE *to, double v)
{
    fputc(' ', to);
    print_number(to, v);
    fputc('\n', to);
}

static void print_label(FILE *to, const char *name, const char *value)
{
    fprintf(to, "%s=\"", name);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '\n') {
            fputs("\\n", to);
            continue;
        }
        if (*p == '"' || *p == '\\')
            fputc('\\', to);
        fputc(*p, to);
    }
    fputc('"', to);
}

/* ---- histograms --------------------------------------------------------------------- */

/* Our 132 buckets are more than a time series database wants to keep: the last bucket that ends at
 * or below each of these is where one of its buckets ends.  The label says that end exactly. */
static const uint64_t WANTED_US[] = { 100,     250,     500,      1000,    2500,   5000,
                                      10000,   25000,   50000,    100000,  250000, 500000,
                                      1000000, 2500000, 10000000, 60000000 };

static unsigned last_bucket_within(uint64_t us)
{
    unsigned b = 0;
    while (b + 1 < HISTOGRAM_BUCKETS && histogram_bound_us(b + 1) <= us)
        b++;
    return b;
}

static void print_series(FILE *to, const struct metric *m, const char *suffix, const char *le)
{
    bool has_labels = m->labels[0] != '\0';
    fprintf(to, "%s%s", m->name, suffix);
    if (has_labels || le != NULL)
        fprintf(to, "{%s%s", m->labels, has_labels && le != NULL ? "," : "");
    if (le != NULL)
        print_label(to, "le", le);
    if (has_labels || le != NULL)
        fputc('}', to);
}

/* The count is the sum of the buckets: read apart from them it might not fit, as a worker goes on
 * counting while we read. */
static void print_histogram(FILE *to, const struct metric *m)
{
    const struct histogram *h = m->histogram;
    unsigned long long sum = 0;
    unsigned next = 0;
    for (size_t i = 0; i < ARRAY_LEN(WANTED_US); i++) {
        char le[32];
        unsigned last = last_bucket_within(WANTED_US[i]);
        for (; next <= last; next++)
            sum += atomic_load_explicit(&h->buckets[next], memory_order_relaxed);
        snprintf(le, sizeof le, "%.9g", (double)histogram_bound_us(last) / 1e6);
        print_series(to, m, "_bucket", le);
        fprintf(to, " %llu\n", sum);
    }
    for (; next < HISTOGRAM_BUCKETS; next++)
        sum += atomic_load_explicit(&h->buckets[next], memory_order_relaxed);
    print_series(to, m, "_bucket", "+Inf");
    fprintf(to, " %llu\n", sum);
    print_series(to, m, "_sum", NULL);
    print_value(to, (double)atomic_load_explicit(&h->sum_us, memory_order_relaxed) / 1e6);
    print_series(to, m, "_count", NULL);
    fprintf(to, " %llu\n", sum);
}

/* ---- what workers count ------------------------------------------------------------- */

struct walk {
    FILE *to;
    const char *last; /* name of the row before: rows of one name stand together */
};

static bool is_new(struct walk *walk, const char *name)
{
    bool yes = walk->last == NULL || strcmp(walk->last, name) != 0;
    walk->last = name;
    return yes;
}

static void print_metric(void *arg, const struct metric *m)
{
    struct walk *walk = arg;
    if (is_new(walk, m->name))
        print_head(walk->to, m->name, m->type, m->help);
    if (m->histogram != NULL) {
        print_histogram(walk->to, m);
        return;
    }
    print_series(walk->to, m, "", NULL);
    print_value(walk->to, m->value);
}

/* ---- the process -------------------------------------------------------------------- */

static double start_time(struct http *h)
{
    return (double)h->started_us / 1e6;
}

static double cpu_seconds(struct http *h)
{
    struct rusage u;
    (void)h;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        return NAN;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double resident_bytes(struct http *h)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    (void)h;
    if (f == NULL)
        return NAN;
    if (fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double max_descriptors(struct http *h)
{
    struct rlimit limit;
    (void)h;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (double)limit.rlim_cur : NAN;
}

static double buffer_bytes(struct http *h)
{
    (void)h;
    return (double)buf_total();
}

static double n_workers(struct http *h)
{
    return h->host.n_workers;
}

static double is_ready(struct http *h)
{
    return http_is_ready(h, NULL);
}

static double is_stopping(struct http *h)
{
    return h->host.is_stopping(h->host.arg);
}

static double config_number(struct http *h)
{
    return (double)monitor_topology(h->host.monitor(h->host.arg))->config->number;
}

static const struct process_row {
    const char *name, *type, *help;
    double (*value)(struct http *h);
} process_rows[] = {
    { "process_start_time_seconds", "gauge", "when the process started, seconds since 1970",
      start_time },
    { "process_cpu_seconds_total", "counter", "processor time of all threads", cpu_seconds },
    { "process_resident_memory_bytes", "gauge", "memory that the process has in RAM",
      resident_bytes },
    { "process_max_fds", "gauge", "most descriptors the process may open", max_descriptors },
    { "volvox_buffer_bytes", "gauge", "memory in buffers of clients and servers", buffer_bytes },
    { "volvox_workers", "gauge", "worker threads", n_workers },
    { "volvox_ready", "gauge", "1 when every group has a usable primary and Volvox is not stopping",
      is_ready },
    { "volvox_stopping", "gauge", "1 when Volvox takes no new clients and waits for the last",
      is_stopping },
    { "volvox_config_number", "gauge",
      "number of the configuration in force; each load has its own", config_number },
};

static const char BUILD_HELP[] = "always 1; the version is in the label";

static void print_process(struct http *h, FILE *to)
{
    print_head(to, "volvox_build_info", "gauge", BUILD_HELP);
    fputs("volvox_build_info{version=\"" VOLVOX_VERSION "\"} 1\n", to);
    for (size_t i = 0; i < ARRAY_LEN(process_rows); i++) {
        const struct process_row *r = &process_rows[i];
        print_head(to, r->name, r->type, r->help);
        fputs(r->name, to);
        print_value(to, r->value(h));
    }
}

/* ---- groups ------------------------------------------------------------------------- */

static double has_primary(const struct topology *t, unsigned group)
{
    struct fault why;
    return topology_pick(t, group, PICK_PRIMARY, 0, NULL, 0, &why) != NULL;
}

static double is_split(const struct topology *t, unsigned group)
{
    return t->groups[group].split_brain;
}

static double n_members(const struct topology *t, unsigned group)
{
    return t->groups[group].n_members;
}

static double n_up(const struct topology *t, unsigned group)
{
    const struct group_state *g = &t->groups[group];
    unsigned n = 0;
    for (unsigned i = 0; i < g->n_members; i++)
        n += t->servers[g->members[i]].health == HEALTH_UP;
    return n;
}

static double n_readers(const struct topology *t, unsigned group)
{
    const struct group_state *g = &t->groups[group];
    unsigned n = 0;
    for (unsigned i = 0; i < g->n_members; i++)
        n += t->servers[g->members[i]].read_rank != 0;
    return n;
}

static const struct group_row {
    const char *name, *help; /* gauges all */
    double (*value)(const struct topology *t, unsigned group);
} group_rows[] = {
    { "volvox_group_primary_usable", "1 when the group has a primary that takes work",
      has_primary },
    { "volvox_group_split_brain", "1 when more than one server could be the primary", is_split },
    { "volvox_group_servers", "servers of the group", n_members },
    { "volvox_group_servers_up", "servers of the group that answer their probes", n_up },
    { "volvox_group_readers", "replicas (or all, by reads=all) that take plain reads now",
      n_readers },
};

static void print_groups(const struct topology *t, FILE *to)
{
    for (size_t r = 0; r < ARRAY_LEN(group_rows); r++) {
        print_head(to, group_rows[r].name, "gauge", group_rows[r].help);
        for (unsigned i = 0; i < t->n_groups; i++) {
            fprintf(to, "%s{", group_rows[r].name);
            print_label(to, "group", t->groups[i].name);
            fputc('}', to);
            print_value(to, group_rows[r].value(t, i));
        }
    }
}

/* ---- servers ------------------------------------------------------------------------ */

/* What is asked of a server; NAN: not known, no line then. */
#define OF_SERVER(function, expression)                                                            \
    static double function(const struct topology *t, unsigned i)                                   \
    {                                                                                              \
        const struct server_state *s = &t->servers[i];                                             \
        (void)t;                                                                                   \
        return (double)(expression);                                                               \
    }
#define RELAXED(member) atomic_load_explicit(&s->server->member, memory_order_relaxed)

OF_SERVER(server_up, s->health == HEALTH_UP)
OF_SERVER(server_writable, s->writable)
OF_SERVER(server_primary, t->groups[s->group].primary == i)
OF_SERVER(server_reads, s->read_rank != 0)
OF_SERVER(server_draining, RELAXED(draining))
OF_SERVER(server_lag, s->lag_known && s->lag_ms != UINT32_MAX ? s->lag_ms / 1e3 : NAN)
OF_SERVER(server_broken, s->lag_known && s->lag_ms == UINT32_MAX)
OF_SERVER(server_lagging, s->lagging)
OF_SERVER(server_weight, s->weight)
OF_SERVER(server_open, RELAXED(open))
OF_SERVER(server_in_use, RELAXED(in_use))
OF_SERVER(server_limit, RELAXED(max_open))
OF_SERVER(server_waiting, RELAXED(wanted))
OF_SERVER(server_connects, RELAXED(connects))
OF_SERVER(server_failures, RELAXED(connect_failures))
OF_SERVER(server_commands, RELAXED(commands))
OF_SERVER(server_disabled, s->operated == OPERATED_DISABLED)
OF_SERVER(server_probe, RELAXED(probe_us) != 0 ? RELAXED(probe_us) / 1e6 : NAN)
OF_SERVER(server_since, s->since_us != 0 ? (double)s->since_us / 1e6 : NAN)

static const struct server_row {
    const char *name, *type, *help;
    double (*value)(const struct topology *t, unsigned i);
} server_rows[] = {
    { "volvox_server_up", "gauge", "1 when the server answers its probes", server_up },
    { "volvox_server_writable", "gauge", "1 when read_only is off, or role=primary is configured",
      server_writable },
    { "volvox_server_primary", "gauge", "1 for the group's primary", server_primary },
    { "volvox_server_takes_reads", "gauge", "1 when plain reads may go to it now", server_reads },
    { "volvox_server_draining", "gauge",
      "1 when it gets nothing new: drained or disabled by an operator", server_draining },
    { "volvox_server_disabled", "gauge", "1 when an operator has disabled it: it is not probed",
      server_disabled },
    { "volvox_server_probe_seconds", "gauge", "how long the last probe took; no line if it failed",
      server_probe },
    { "volvox_server_lag_seconds", "gauge",
      "how far it is behind its source; no line when that is not known", server_lag },
    { "volvox_server_replication_broken", "gauge", "1 when its replication has stopped",
      server_broken },
    { "volvox_server_lagging", "gauge", "1 when it is over the group's max_lag", server_lagging },
    { "volvox_server_weight", "gauge", "its share of the reads", server_weight },
    { "volvox_server_connections_open", "gauge", "connections open or opening", server_open },
    { "volvox_server_connections_in_use", "gauge", "connections leased to sessions",
      server_in_use },
    { "volvox_server_connections_limit", "gauge", "max_connections of the server", server_limit },
    { "volvox_server_waiting", "gauge", "sessions waiting for a connection to it", server_waiting },
    { "volvox_server_connects_total", "counter", "connections made to it", server_connects },
    { "volvox_server_connect_failures_total", "counter", "connections that could not be made",
      server_failures },
    { "volvox_server_commands_total", "counter", "commands sent to it", server_commands },
    { "volvox_server_changed_timestamp_seconds", "gauge",
      "when its health, role or operator's state changed last, seconds since 1970", server_since },
};

static void print_servers(const struct topology *t, FILE *to)
{
    for (size_t r = 0; r < ARRAY_LEN(server_rows); r++) {
        const struct server_row *row = &server_rows[r];
        print_head(to, row->name, row->type, row->help);
        for (unsigned i = 0; i < t->n_servers; i++) {
            const struct server_state *s = &t->servers[i];
            double v = row->value(t, i);
            if (isnan(v))
                continue;
            fprintf(to, "%s{", row->name);
            print_label(to, "group", t->groups[s->group].name);
            fputc(',', to);
            print_label(to, "server", s->server->name);
            fputc('}', to);
            print_value(to, v);
        }
    }
}

void metrics_print(struct http *h, FILE *to)
{
    const struct topology *t = monitor_topology(h->host.monitor(h->host.arg));
    struct walk walk = { .to = to };
    metrics_walk(h->counted, h->n_counted, print_metric, &walk);
    print_process(h, to);
    print_groups(t, to);
    print_servers(t, to);
}

/* ---- docs/metrics.md ---------------------------------------------------------------- */

static void print_row(FILE *to, const char *name, const char *type, const char *labels,
                      const char *help)
{
    fprintf(to, "| `%s` | %s | %s | %s |\n", name, type, labels, help);
}

static void print_walked(void *arg, const struct metric *m)
{
    struct walk *walk = arg;
    char labels[64];
    if (!is_new(walk, m->name))
        return;
    snprintf(labels, sizeof labels, "%.*s", (int)strcspn(m->labels, "="), m->labels);
    print_row(walk->to, m->name, m->type, labels, m->help);
}

static void start_table(FILE *to, const char *title)
{
    fprintf(to, "\n## %s\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n", title);
}

void http_print_markdown(FILE *to)
{
    struct walk walk = { .to = to };
    fputs(
        "# Metrics\n\n"
        "What `/metrics` says, in Prometheus' text format.  This file is made from the program's\n"
        "own tables.  The number of series is bounded: labels are names from the configuration\n"
        "and fixed words.  Of the digests only their number is here; the statements themselves\n"
        "are on the dashboard (`/`) and in the admin table `digests`.\n",
        to);
    start_table(to, "Clients, commands and connections");
    metrics_walk(NULL, 0, print_walked, &walk);
    start_table(to, "Servers");
    for (size_t i = 0; i < ARRAY_LEN(server_rows); i++)
        print_row(to, server_rows[i].name, server_rows[i].type, "group, server",
                  server_rows[i].help);
    start_table(to, "Groups");
    for (size_t i = 0; i < ARRAY_LEN(group_rows); i++)
        print_row(to, group_rows[i].name, "gauge", "group", group_rows[i].help);
    start_table(to, "The process");
    print_row(to, "volvox_build_info", "gauge", "version", BUILD_HELP);
    for (size_t i = 0; i < ARRAY_LEN(process_rows); i++)
        print_row(to, process_rows[i].name, process_rows[i].type, "", process_rows[i].help);
}
