/*
 * catalog.c - every metric once: its name, its kind, how it is read.
 *
 * A counter gets its row from the list in stats.h; what is a gauge or a histogram
 * stands here.
 */
#include "stats/inside.h"

/* Where the rows go. */
struct walk {
    struct worker *const *workers;
    unsigned n;
    void (*row)(void *arg, const struct metric *m);
    void *arg;
};

static void give(const struct walk *w, const char *name, const char *help, const char *type,
                 double value)
{
    const struct metric m = {
        .name = name, .help = help, .type = type, .labels = "", .value = value
    };
    w->row(w->arg, &m);
}

/* ---- counters ---------------------------------------------------------------------- */

struct counter_metric {
    const char *name, *help;
    size_t offset;
};
static const struct counter_metric counter_metrics[] = {
#define X(name, help) { "volvox_" #name "_total", help, offsetof(struct counters, name) },
    STATS_COUNTERS(X)
#undef X
};

static void walk_counters(const struct walk *w)
{
    for (unsigned i = 0; i < ARRAY_LEN(counter_metrics); i++) {
        const struct counter_metric *c = &counter_metrics[i];
        give(w, c->name, c->help, "counter", (double)counters_sum(w->workers, w->n, c->offset));
    }
    unsigned long long evicted = 0;
    for (unsigned i = 0; i < w->n; i++)
        evicted +=
            atomic_load_explicit(&worker_digests(w->workers[i])->evicted, memory_order_relaxed);
    give(w, "volvox_digests_evicted_total", "statement digests forgotten to make place", "counter",
         (double)evicted);
}

/* ---- gauges ------------------------------------------------------------------------- */

struct gauge_metric {
    const char *name, *help;
    size_t offset; /* of the atomic_uint in struct worker_stats */
};
#define GAUGE(name) offsetof(struct worker_stats, counters.name)
static const struct gauge_metric gauge_metrics[] = {
    { "volvox_sessions", "clients connected", GAUGE(sessions) },
    { "volvox_sessions_busy", "sessions whose command is being served", GAUGE(sessions_busy) },
    { "volvox_sessions_pinned", "sessions that hold on to their connection to a server",
      GAUGE(sessions_pinned) },
    { "volvox_backends_idle", "connections to servers that nobody uses", GAUGE(backends_idle) },
    { "volvox_backends_leased", "connections to servers leased by sessions",
      GAUGE(backends_leased) },
    { "volvox_digests", "statement digests kept, counted on each worker",
      offsetof(struct worker_stats, digests.count) },
};

/* What goes up on one worker may go down on another: only the sum is a number. */
static int gauge_sum(const struct walk *w, size_t offset)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < w->n; i++) {
        const char *base = worker_part(w->workers[i], PART_STATS);
        sum += atomic_load_explicit((const atomic_uint *)(base + offset), memory_order_relaxed);
    }
    return (int)sum;
}

static void walk_gauges(const struct walk *w)
{
    for (unsigned i = 0; i < ARRAY_LEN(gauge_metrics); i++) {
        const struct gauge_metric *g = &gauge_metrics[i];
        give(w, g->name, g->help, "gauge", gauge_sum(w, g->offset));
    }
}

/* ---- histograms ----------------------------------------------------------------------- */

struct histogram_metric {
    const char *name, *help, *labels;
    size_t offset; /* of the struct histogram in struct counters */
};
#define LATENCY_HELP "from a command's first byte to the last of its answer, by who answered"
static const struct histogram_metric histogram_metrics[] = {
    { "volvox_command_seconds", LATENCY_HELP, "served_by=\"primary\"",
      offsetof(struct counters, latency[SERVED_PRIMARY]) },
    { "volvox_command_seconds", LATENCY_HELP, "served_by=\"replica\"",
      offsetof(struct counters, latency[SERVED_REPLICA]) },
    { "volvox_command_seconds", LATENCY_HELP, "served_by=\"volvox\"",
      offsetof(struct counters, latency[SERVED_HERE]) },
    { "volvox_backend_wait_seconds", "time commands waited for a connection to a server", "",
      offsetof(struct counters, wait) },
};

static void walk_histogram(const struct walk *w, const struct histogram_metric *h)
{
    struct histogram sum = { .count = 0 };
    for (unsigned i = 0; i < w->n; i++) {
        const char *base = (const char *)worker_counters(w->workers[i]);
        histogram_merge(&sum, (const struct histogram *)(base + h->offset));
    }
    const struct metric m = {
        .name = h->name,
        .help = h->help,
        .type = "histogram",
        .labels = h->labels,
        .histogram = &sum,
    };
    w->row(w->arg, &m);
}

void metrics_walk(struct worker *const *workers, unsigned n,
                  void (*row)(void *arg, const struct metric *m), void *arg)
{
    const struct walk w = { workers, n, row, arg };
    walk_counters(&w);
    walk_gauges(&w);
    for (unsigned i = 0; i < ARRAY_LEN(histogram_metrics); i++)
        walk_histogram(&w, &histogram_metrics[i]);
}
