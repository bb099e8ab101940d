/*
 * histogram.c - latencies in steps that grow with them.
 *
 * Bucket 0 takes 0 and 1 us, 1 takes 2 us, 2 and 3 take 3 and 4 us; from there every
 * octave (2^e, 2^(e+1)] has four buckets of the same width.  A bucket includes its
 * upper bound, as Prometheus wants it.
 */
#include "stats/stats.h"

#include "base/base.h"

#include <math.h>

enum { STEP_BITS = 2, STEPS = 1 << STEP_BITS };

static unsigned bucket_of(uint64_t us)
{
    uint64_t v = us > 0 ? us - 1 : 0;
    if (v < STEPS)
        return (unsigned)v;
    unsigned octave = 63 - (unsigned)__builtin_clzll(v);
    unsigned step = (unsigned)(v >> (octave - STEP_BITS)) & (STEPS - 1);
    return MIN((octave - STEP_BITS + 1) * STEPS + step, (unsigned)HISTOGRAM_BUCKETS - 1);
}

uint64_t histogram_bound_us(unsigned bucket)
{
    if (bucket < STEPS)
        return bucket + 1;
    unsigned octave = bucket / STEPS - 1 + STEP_BITS;
    return (uint64_t)(STEPS + bucket % STEPS + 1) << (octave - STEP_BITS);
}

static unsigned long long load(const atomic_ullong *a)
{
    return atomic_load_explicit(a, memory_order_relaxed);
}

static void raise_to(atomic_ullong *max, unsigned long long v)
{
    if (v > load(max))
        atomic_store_explicit(max, v, memory_order_relaxed);
}

void histogram_add(struct histogram *h, uint64_t us)
{
    count_add(&h->count, 1);
    count_add(&h->sum_us, us);
    raise_to(&h->max_us, us);
    count_add(&h->buckets[bucket_of(us)], 1);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    count_add(&into->count, load(&from->count));
    count_add(&into->sum_us, load(&from->sum_us));
    raise_to(&into->max_us, load(&from->max_us));
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        count_add(&into->buckets[i], load(&from->buckets[i]));
}

/* How far into a bucket the value lies that has `before` of its `inside` values below
 * it, as if they were spread evenly; none is longer than `max`. */
static uint64_t inside_bucket(unsigned bucket, double before, double inside, uint64_t max)
{
    double from = bucket > 0 ? (double)histogram_bound_us(bucket - 1) : 0;
    double to = (double)MIN(histogram_bound_us(bucket), max);
    return (uint64_t)ceil(from + (to - from) * before / inside);
}

/* The buckets are counted, not `count`: the writer may be between the two. */
uint64_t histogram_quantile(const struct histogram *h, double q)
{
    unsigned long long counts[HISTOGRAM_BUCKETS], total = 0, below = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        total += counts[i] = load(&h->buckets[i]);
    if (total == 0)
        return 0;
    uint64_t max = load(&h->max_us);
    double wanted = MAX(1.0, ceil(q * (double)total));
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        if ((double)(below + counts[i]) >= wanted)
            return inside_bucket(i, wanted - (double)below, (double)counts[i], max);
        below += counts[i];
    }
    return max;
}
