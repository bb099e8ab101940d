/*
 * data.c - /data.json: what the dashboard draws.
 *
 * Counters and histograms are totals; the page makes rates and percentiles from the difference
 * between two of its polls, so nothing is kept here for any visitor.
 */
#include "http/inside.h"

#include <inttypes.h>
#include <limits.h>

#include "base/clock.h"

enum { DIGESTS_SHOWN = 50 };

static void put_number(FILE *to, bool *is_first, const char *name, unsigned long long v)
{
    json_key(to, is_first, name);
    fprintf(to, "%llu", v);
}

static void put_bool(FILE *to, bool *is_first, const char *name, bool v)
{
    json_key(to, is_first, name);
    fputs(v ? "true" : "false", to);
}

static void put_text(FILE *to, bool *is_first, const char *name, const char *v)
{
    json_key(to, is_first, name);
    json_text(to, bytes_str(v));
}

/* ---- counters, gauges, latencies ---------------------------------------------------- */

static void print_counters(struct http *h, FILE *to)
{
    bool first = true;
    fputc('{', to);
    for (unsigned i = 0; i < n_counter_rows; i++)
        put_number(to, &first, counter_rows[i].name,
                   counters_sum(h->counted, h->n_counted, counter_rows[i].offset));
    fputc('}', to);
}

/* What goes up on one worker may go down on another: below 0 only for a moment. */
static unsigned gauge_sum(const struct http *h, size_t offset)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < h->n_counted; i++) {
        const char *base = (const char *)worker_counters(h->counted[i]);
        sum += atomic_load_explicit((const atomic_uint *)(base + offset), memory_order_relaxed);
    }
    return sum <= INT_MAX ? sum : 0;
}

static void print_gauges(const struct http *h, FILE *to)
{
    bool first = true;
    fputc('{', to);
#define GAUGE(name) put_number(to, &first, #name, gauge_sum(h, offsetof(struct counters, name)))
    GAUGE(sessions);
    GAUGE(sessions_busy);
    GAUGE(sessions_pinned);
    GAUGE(backends_idle);
    GAUGE(backends_leased);
#undef GAUGE
    fputc('}', to);
}

/* [[bound_us, count], ...] of the buckets that hold anything; the last bucket has no bound. */
static void print_histogram(const struct http *h, size_t offset, FILE *to)
{
    struct histogram sum = { .count = 0 };
    const char *comma = "";
    for (unsigned i = 0; i < h->n_counted; i++)
        histogram_merge(
            &sum,
            (const struct histogram *)((const char *)worker_counters(h->counted[i]) + offset));
    fputc('[', to);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        unsigned long long n = atomic_load_explicit(&sum.buckets[i], memory_order_relaxed);
        if (n == 0)
            continue;
        fprintf(to, "%s[%" PRIu64 ",%llu]", comma, histogram_bound_us(i), n);
        comma = ",";
    }
    fputc(']', to);
}

static void print_latencies(const struct http *h, FILE *to)
{
    bool first = true;
    fputc('{', to);
#define LATENCY(name, member)                                                                      \
    json_key(to, &first, name);                                                                    \
    print_histogram(h, offsetof(struct counters, member), to)
    LATENCY("primary", latency[SERVED_PRIMARY]);
    LATENCY("replica", latency[SERVED_REPLICA]);
    LATENCY("volvox", latency[SERVED_HERE]);
    LATENCY("wait", wait);
#undef LATENCY
    fputc('}', to);
}

/* ---- servers ------------------------------------------------------------------------ */

static const char *role_of(const struct topology *t, unsigned i)
{
    const struct server_state *s = &t->servers[i];
    if (t->groups[s->group].primary == i)
        return "primary";
    if (s->health == HEALTH_UNKNOWN && s->role == SERVER_AUTO)
        return "unknown";
    if (!s->writable || s->replicates)
        return "replica";
    return s->health == HEALTH_DOWN ? "lost primary" : "not the primary";
}

static const char *health_of(const struct server_state *s)
{
    if (s->operated == OPERATED_DISABLED)
        return "disabled";
    if (s->health == HEALTH_DOWN)
        return "down";
    if (atomic_load_explicit(&s->server->draining, memory_order_relaxed))
        return "draining";
    if (s->health == HEALTH_UNKNOWN)
        return "unknown";
    return s->lagging ? "lagging" : "up";
}

static void print_lag(FILE *to, bool *first, const struct server_state *s)
{
    bool is_broken = s->lag_known && s->lag_ms == UINT32_MAX;
    put_bool(to, first, "broken", is_broken);
    json_key(to, first, "lag_ms");
    if (s->lag_known && !is_broken)
        fprintf(to, "%" PRIu32, s->lag_ms);
    else
        fputs("null", to);
}

static void print_server(const struct topology *t, unsigned i, FILE *to)
{
    const struct server_state *s = &t->servers[i];
    char address[ADDRESS_TEXT_BYTES];
    bool first = true;
    address_print(&s->server->address, true, address);
    fputc('{', to);
    put_text(to, &first, "name", s->server->name);
    put_text(to, &first, "group", t->groups[s->group].name);
    put_text(to, &first, "address", address);
    put_text(to, &first, "role", role_of(t, i));
    put_text(to, &first, "health", health_of(s));
    put_text(to, &first, "why", s->why);
    put_text(to, &first, "version", s->version);
    put_bool(to, &first, "reads", s->read_rank != 0);
    print_lag(to, &first, s);
    put_number(to, &first, "weight", s->weight);
    put_number(to, &first, "since_ms", s->since_us / 1000);
#define LOAD(name, member)                                                                         \
    put_number(to, &first, name, atomic_load_explicit(&s->server->member, memory_order_relaxed))
    LOAD("open", open);
    LOAD("in_use", in_use);
    LOAD("limit", max_open);
    LOAD("waiting", wanted);
    LOAD("commands", commands);
    LOAD("connects", connects);
    LOAD("failures", connect_failures);
#undef LOAD
    fputc('}', to);
}

static void print_servers(const struct topology *t, FILE *to)
{
    fputc('[', to);
    for (unsigned i = 0; i < t->n_servers; i++) {
        fputs(i > 0 ? "," : "", to);
        print_server(t, i, to);
    }
    fputc(']', to);
}

/* ---- digests ------------------------------------------------------------------------ */

static uint64_t average(const struct digest_row *r)
{
    return r->count > 0 ? r->sum_us / r->count : 0;
}

static uint64_t key_of(const struct digest_row *r, enum digest_order by)
{
    switch (by) {
    case BY_COUNT:
        return r->count;
    case BY_ERRORS:
        return r->errors;
    case BY_ROWS:
        return r->rows;
    case BY_AVERAGE:
        return average(r);
    case BY_MAX:
        return r->max_us;
    case BY_P95:
        return r->p95_us;
    case BY_P99:
        return r->p99_us;
    case BY_SEEN:
        return r->last_seen_us;
    case BY_TIME:
    case DIGEST_ORDERS:
        break;
    }
    return r->sum_us;
}

static const char *const order_words[DIGEST_ORDERS] = {
    [BY_TIME] = "time", [BY_COUNT] = "count", [BY_ERRORS] = "errors",
    [BY_ROWS] = "rows", [BY_AVERAGE] = "avg", [BY_MAX] = "max",
    [BY_P95] = "p95",   [BY_P99] = "p99",     [BY_SEEN] = "seen",
};

bool digest_order_parse(const char *word, enum digest_order *out)
{
    for (unsigned i = 0; i < DIGEST_ORDERS; i++)
        if (strcmp(order_words[i], word) == 0) {
            *out = (enum digest_order)i;
            return true;
        }
    return false;
}

/* Equal ones by digest, so that they don't change places at each poll. */
static bool goes_before(const struct digest_row *x, const struct digest_row *y,
                        enum digest_order by)
{
    uint64_t kx = key_of(x, by), ky = key_of(y, by);
    return kx != ky ? kx > ky : x->digest < y->digest;
}

/* The first of all rows in the order, and how many they are; one pass, as there may be many. */
static size_t pick_first(const struct digest_rows *rows, enum digest_order by,
                         const struct digest_row *first[DIGESTS_SHOWN])
{
    size_t n = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const struct digest_row *r = &rows->rows[i];
        size_t at = n;
        while (at > 0 && goes_before(r, first[at - 1], by))
            at--;
        if (at == DIGESTS_SHOWN)
            continue;
        n = MIN(n + 1, (size_t)DIGESTS_SHOWN);
        memmove(&first[at + 1], &first[at], (n - 1 - at) * sizeof(*first));
        first[at] = r;
    }
    return n;
}

static void print_digest(const struct digest_row *r, FILE *to)
{
    char digest[20];
    bool first = true;
    snprintf(digest, sizeof digest, "%016" PRIx64, r->digest);
    fputc('{', to);
    put_text(to, &first, "digest", digest);
    put_text(to, &first, "text", r->text != NULL ? r->text : "");
    put_text(to, &first, "schema", r->schema);
    put_text(to, &first, "user", r->user);
    put_text(to, &first, "server", r->server);
    put_number(to, &first, "count", r->count);
    put_number(to, &first, "errors", r->errors);
    put_number(to, &first, "rows", r->rows);
    put_number(to, &first, "primary", r->on_primary);
    put_number(to, &first, "replica", r->on_replica);
    put_number(to, &first, "volvox", r->answered_here);
    put_number(to, &first, "time", r->sum_us);
    put_number(to, &first, "avg", average(r));
    put_number(to, &first, "max", r->max_us);
    put_number(to, &first, "p95", r->p95_us);
    put_number(to, &first, "p99", r->p99_us);
    put_number(to, &first, "seen_ms", r->last_seen_us / 1000);
    fputc('}', to);
}

static void print_digests(struct http *h, enum digest_order by, FILE *to)
{
    const struct digest_rows *rows = http_digests(h);
    const struct digest_row *shown[DIGESTS_SHOWN];
    size_t n = pick_first(rows, by, shown);
    uint64_t time_us = 0;
    bool first = true;
    for (size_t i = 0; i < rows->count; i++)
        time_us += rows->rows[i].sum_us;
    fputc('{', to);
    put_number(to, &first, "total", rows->count);
    put_number(to, &first, "evicted", rows->evicted);
    put_number(to, &first, "time", time_us);
    put_text(to, &first, "by", order_words[by]);
    json_key(to, &first, "rows");
    fputc('[', to);
    for (size_t i = 0; i < n; i++) {
        fputs(i > 0 ? "," : "", to);
        print_digest(shown[i], to);
    }
    fputs("]}", to);
}

/* ---- the whole ---------------------------------------------------------------------- */

static void print_readiness(const struct http *h, FILE *to, bool *first)
{
    char *why = NULL;
    size_t len = 0;
    FILE *words = open_memstream(&why, &len);
    must(words != NULL);
    put_bool(to, first, "ready", http_is_ready(h, words));
    must(fclose(words) == 0);
    json_key(to, first, "why");
    json_text(to, bytes_of(why, len > 0 ? len - 1 : 0));
    free(why);
}

void data_print(struct http *h, enum digest_order by, FILE *to)
{
    const struct topology *t = monitor_topology(h->host.monitor(h->host.arg));
    bool first = true;
    fputc('{', to);
    put_text(to, &first, "version", VOLVOX_VERSION);
    put_number(to, &first, "now_us", clock_us());
    put_number(to, &first, "wall_ms", clock_wall_us() / 1000);
    put_number(to, &first, "started_ms", h->started_us / 1000);
    put_number(to, &first, "workers", h->host.n_workers);
    put_bool(to, &first, "stopping", h->host.is_stopping(h->host.arg));
    print_readiness(h, to, &first);
    json_key(to, &first, "counters");
    print_counters(h, to);
    json_key(to, &first, "gauges");
    print_gauges(h, to);
    json_key(to, &first, "latency");
    print_latencies(h, to);
    json_key(to, &first, "servers");
    print_servers(t, to);
    json_key(to, &first, "digests");
    print_digests(h, by, to);
    fputs("}\n", to);
}
