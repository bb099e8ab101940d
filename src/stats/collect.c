/*
 * collect.c - the digests of all workers in one list.
 *
 * Which digests there are is noted first; then they are copied a few at a time, so
 * that no worker finds its table locked for longer than a few microseconds.  What is
 * evicted meanwhile is left out.
 */
#include "stats/inside.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

enum { BATCH = 32 };

/* A row being summed up. */
struct sum {
    struct digest_row row; /* seen: loop time until the end                       */
    struct histogram latency;
};
struct sums {
    struct map by_digest;
};

static struct bytes key_of(const uint64_t *digest)
{
    return bytes_of(digest, sizeof(*digest));
}

static struct sum *sum_for(struct sums *sums, uint64_t digest)
{
    struct sum *sum = map_get(&sums->by_digest, key_of(&digest));
    if (sum != NULL)
        return sum;
    sum = mem_zalloc(sizeof(*sum));
    sum->row.digest = digest;
    sum->row.min_us = sum->row.first_seen_us = UINT64_MAX;
    map_put(&sums->by_digest, key_of(&sum->row.digest), sum);
    return sum;
}

static void take_names(struct digest_row *row, const struct digest_entry *e)
{
    memcpy(row->schema, e->schema, sizeof(row->schema));
    memcpy(row->user, e->user, sizeof(row->user));
    memcpy(row->server, e->server, sizeof(row->server));
    row->last_seen_us = e->last_seen_us;
}

static void add_entry(struct sum *sum, const struct digest_entry *e)
{
    struct digest_row *row = &sum->row;
    if (row->text == NULL && e->text != NULL)
        row->text = mem_strdup(e->text);
    if (e->last_seen_us >= row->last_seen_us)
        take_names(row, e);
    row->errors += e->errors;
    row->rows += e->rows;
    row->bytes += e->bytes;
    row->on_primary += e->by[SERVED_PRIMARY];
    row->on_replica += e->by[SERVED_REPLICA];
    row->answered_here += e->by[SERVED_HERE];
    row->min_us = MIN(row->min_us, e->min_us);
    row->first_seen_us = MIN(row->first_seen_us, e->first_seen_us);
    histogram_merge(&sum->latency, &e->latency);
}

/* The caller frees. */
static uint64_t *note_digests(struct digest_table *t, size_t *count)
{
    size_t n = 0, room = 0;
    uint64_t *out = NULL;
    for (;;) {
        must(pthread_mutex_lock(&t->lock) == 0);
        size_t wanted = atomic_load_explicit(&t->count, memory_order_relaxed);
        if (wanted <= room)
            break;
        must(pthread_mutex_unlock(&t->lock) == 0);
        mem_free(out);
        room = wanted + BATCH;
        out = mem_alloc(room * sizeof(*out));
    }
    for (size_t i = 0; i < (size_t)1 << (64 - t->shift); i++) {
        if (t->slots[i].entry != NULL)
            out[n++] = t->slots[i].digest;
    }
    must(pthread_mutex_unlock(&t->lock) == 0);
    *count = n;
    return out;
}

static void add_batch(struct sums *sums, struct digest_table *t, const uint64_t *digests, size_t n)
{
    struct sum *into[BATCH];
    for (size_t i = 0; i < n; i++)
        into[i] = sum_for(sums, digests[i]);
    must(pthread_mutex_lock(&t->lock) == 0);
    for (size_t i = 0; i < n; i++) {
        const struct digest_entry *e = digest_table_find(t, digests[i]);
        if (e != NULL)
            add_entry(into[i], e);
    }
    must(pthread_mutex_unlock(&t->lock) == 0);
}

static void add_worker(struct sums *sums, struct digest_table *t)
{
    size_t n = 0;
    uint64_t *digests = note_digests(t, &n);
    for (size_t i = 0; i < n; i += BATCH)
        add_batch(sums, t, digests + i, MIN(n - i, (size_t)BATCH));
    mem_free(digests);
}

/* Gives the text to the row. */
static void finish_row(struct digest_row *row, struct sum *sum, uint64_t to_wall_us)
{
    *row = sum->row;
    if (row->text == NULL)
        row->text = mem_strdup("");
    row->count = atomic_load_explicit(&sum->latency.count, memory_order_relaxed);
    row->sum_us = atomic_load_explicit(&sum->latency.sum_us, memory_order_relaxed);
    row->max_us = atomic_load_explicit(&sum->latency.max_us, memory_order_relaxed);
    row->p50_us = histogram_quantile(&sum->latency, 0.50);
    row->p95_us = histogram_quantile(&sum->latency, 0.95);
    row->p99_us = histogram_quantile(&sum->latency, 0.99);
    row->first_seen_us += to_wall_us;
    row->last_seen_us += to_wall_us;
}

static void finish(struct sums *sums, struct digest_rows *out)
{
    uint64_t to_wall_us = clock_wall_us() - clock_us();
    uint32_t at = 0;
    struct sum *sum;
    out->rows = mem_alloc(sums->by_digest.count * sizeof(*out->rows));
    while ((sum = map_next(&sums->by_digest, &at)) != NULL) {
        if (atomic_load_explicit(&sum->latency.count, memory_order_relaxed) > 0)
            finish_row(&out->rows[out->count++], sum, to_wall_us);
        mem_free(sum);
    }
    map_release(&sums->by_digest);
}

void digests_collect(struct worker *const *workers, unsigned n, struct digest_rows *out)
{
    struct sums sums = { MAP_EMPTY };
    *out = (struct digest_rows){ NULL, 0, 0 };
    for (unsigned i = 0; i < n; i++) {
        struct digest_table *t = worker_digests(workers[i]);
        add_worker(&sums, t);
        out->evicted += atomic_load_explicit(&t->evicted, memory_order_relaxed);
    }
    finish(&sums, out);
}

void digest_rows_release(struct digest_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        mem_free(rows->rows[i].text);
    mem_free(rows->rows);
    *rows = (struct digest_rows){ NULL, 0, 0 };
}

void digests_reset(struct worker *const *workers, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        digest_table_clear(worker_digests(workers[i]));
}
