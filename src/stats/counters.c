/* counters.c - see stats.h. */
#include "stats/inside.h"

#include "base/mem.h"

const struct counter_row counter_rows[] = {
#define X(name, help) { #name, help, offsetof(struct counters, name) },
    STATS_COUNTERS(X)
#undef X
};
const unsigned n_counter_rows = ARRAY_LEN(counter_rows);

void stats_worker_init(struct worker *w)
{
    struct worker_stats *stats = mem_zalloc(sizeof(*stats));
    digest_table_init(&stats->digests);
    worker_set_part(w, PART_STATS, stats);
}

void stats_worker_release(struct worker *w)
{
    struct worker_stats *stats = worker_part(w, PART_STATS);
    digest_table_release(&stats->digests);
    mem_free(stats);
    worker_set_part(w, PART_STATS, NULL);
}

unsigned long long counters_sum(struct worker *const *workers, unsigned n, size_t offset)
{
    unsigned long long sum = 0;
    for (unsigned i = 0; i < n; i++) {
        const char *base = (const char *)worker_counters(workers[i]);
        sum += atomic_load_explicit((const atomic_ullong *)(base + offset), memory_order_relaxed);
    }
    return sum;
}
