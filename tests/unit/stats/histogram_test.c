#include "stats/stats.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static unsigned bucket_with(const struct histogram *h)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (h->buckets[i] > 0)
            return i;
    }
    fail_msg("all buckets are empty");
    return 0;
}

static unsigned bucket_for(uint64_t us)
{
    struct histogram h = { .count = 0 };
    histogram_add(&h, us);
    return bucket_with(&h);
}

static void a_bucket_takes_what_is_up_to_its_bound(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        assert_int_equal(bucket_for(histogram_bound_us(i)), i);
    for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKETS; i++)
        assert_int_equal(bucket_for(histogram_bound_us(i) + 1), i + 1);
    assert_int_equal(bucket_for(0), 0);
}

static void bounds_grow_by_a_quarter_of_an_octave(void **state)
{
    (void)state;
    assert_int_equal(histogram_bound_us(0), 1);
    assert_int_equal(histogram_bound_us(3), 4);
    for (unsigned i = 4; i < HISTOGRAM_BUCKETS; i++) {
        assert_true(histogram_bound_us(i) > histogram_bound_us(i - 1));
        assert_int_equal(histogram_bound_us(i), i >= 8 ? 2 * histogram_bound_us(i - 4) : i + 1);
    }
}

static void the_last_bucket_takes_more_than_an_hour(void **state)
{
    (void)state;
    const uint64_t hour_us = 3600ull * 1000 * 1000;
    assert_true(histogram_bound_us(HISTOGRAM_BUCKETS - 2) > hour_us);
    assert_int_equal(bucket_for(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void an_empty_histogram_has_no_quantiles(void **state)
{
    (void)state;
    const struct histogram h = { .count = 0 };
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    assert_int_equal(histogram_quantile(&h, 1.0), 0);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

enum { SAMPLES = 20000 };

/* The lower bound of the bucket of a value. */
static uint64_t floor_of(uint64_t us)
{
    unsigned bucket = bucket_for(us);
    return bucket > 0 ? histogram_bound_us(bucket - 1) : 0;
}

/* A quantile lies in the bucket of the sample that it stands for. */
static void check_against(const uint64_t *sorted, size_t n, const struct histogram *h, double q)
{
    size_t rank = (size_t)ceil(q * (double)n);
    uint64_t exact = sorted[rank > 0 ? rank - 1 : 0], got = histogram_quantile(h, q);
    if (got < floor_of(exact) || got > histogram_bound_us(bucket_for(exact)) || got > sorted[n - 1])
        fail_msg("q %.3f of %zu: %llu, exactly %llu", q, n, (unsigned long long)got,
                 (unsigned long long)exact);
}

static void check_distribution(uint64_t (*sample)(uint64_t random), size_t n)
{
    static uint64_t sorted[SAMPLES];
    static const double shares[] = { 0, 0.001, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1 };
    struct histogram h = { .count = 0 };
    uint64_t seed = 42, sum = 0;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        sorted[i] = sample(seed >> 33);
        sum += sorted[i];
        histogram_add(&h, sorted[i]);
    }
    qsort(sorted, n, sizeof(sorted[0]), compare);
    assert_int_equal(h.count, n);
    assert_int_equal(h.sum_us, sum);
    assert_int_equal(h.max_us, sorted[n - 1]);
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
        check_against(sorted, n, &h, shares[i]);
}

static uint64_t evenly(uint64_t random)
{
    return random % 100000;
}

static uint64_t mostly_short(uint64_t random)
{
    return random % 100 < 97 ? 50 + random % 400 : 1000000 + random % 9000000;
}

static uint64_t tiny(uint64_t random)
{
    return random % 5;
}

static uint64_t always_the_same(uint64_t random)
{
    (void)random;
    return 12345;
}

static void quantiles_agree_with_sorted_samples(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 2, 10, 999, SAMPLES };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        check_distribution(evenly, sizes[i]);
        check_distribution(mostly_short, sizes[i]);
        check_distribution(tiny, sizes[i]);
        check_distribution(always_the_same, sizes[i]);
    }
}

static void an_even_spread_is_met_within_a_hundredth(void **state)
{
    (void)state;
    struct histogram h = { .count = 0 };
    for (uint64_t us = 1; us <= 10000; us++)
        histogram_add(&h, us);
    for (double q = 0.1; q < 1; q += 0.1)
        assert_true(fabs((double)histogram_quantile(&h, q) - 10000 * q) <= 100);
}

static void merging_adds_everything_up(void **state)
{
    (void)state;
    struct histogram a = { .count = 0 }, b = { .count = 0 }, both = { .count = 0 };
    for (uint64_t us = 0; us < 5000; us++) {
        histogram_add(us % 3 == 0 ? &a : &b, us * us);
        histogram_add(&both, us * us);
    }
    histogram_merge(&a, &b);
    assert_memory_equal(&a, &both, sizeof(a));
}

enum { ADDED = 200000 };

static void *add_many(void *arg)
{
    for (uint64_t i = 0; i < ADDED; i++)
        histogram_add(arg, i % 1000);
    return NULL;
}

static void a_histogram_can_be_read_while_it_is_written(void **state)
{
    (void)state;
    static struct histogram h;
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, add_many, &h), 0);
    uint64_t before = 0;
    for (int i = 0; i < 2000; i++) {
        struct histogram copy = { .count = 0 };
        histogram_merge(&copy, &h);
        assert_true(copy.count >= before && copy.count <= ADDED);
        assert_true(histogram_quantile(&h, 0.5) < 1000);
        before = copy.count;
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(h.count, ADDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_takes_what_is_up_to_its_bound),
        cmocka_unit_test(bounds_grow_by_a_quarter_of_an_octave),
        cmocka_unit_test(the_last_bucket_takes_more_than_an_hour),
        cmocka_unit_test(an_empty_histogram_has_no_quantiles),
        cmocka_unit_test(quantiles_agree_with_sorted_samples),
        cmocka_unit_test(an_even_spread_is_met_within_a_hundredth),
        cmocka_unit_test(merging_adds_everything_up),
        cmocka_unit_test(a_histogram_can_be_read_while_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
