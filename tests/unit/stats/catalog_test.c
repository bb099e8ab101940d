#include "unit/stats/workers.h"

enum { METRICS_MAX = 100 };
struct seen {
    struct metric rows[METRICS_MAX];
    unsigned long long counts[METRICS_MAX]; /* of histograms: they live for the call only */
    unsigned n;
};

static void see(void *arg, const struct metric *m)
{
    struct seen *seen = arg;
    assert_true(seen->n < METRICS_MAX);
    seen->counts[seen->n] = m->histogram != NULL ? m->histogram->count : 0;
    seen->rows[seen->n++] = *m;
}

/* Where `name` with `labels` is. */
static unsigned at(const struct seen *seen, const char *name, const char *labels)
{
    for (unsigned i = 0; i < seen->n; i++) {
        if (strcmp(seen->rows[i].name, name) == 0 && strcmp(seen->rows[i].labels, labels) == 0)
            return i;
    }
    fail_msg("there is no %s{%s}", name, labels);
    return 0;
}

static double value(const struct seen *seen, const char *name)
{
    return seen->rows[at(seen, name, "")].value;
}

static void counters_are_summed_over_workers(void **state)
{
    (void)state;
    struct worker *ws[] = { counting_worker(0), counting_worker(1) };
    count(ws[0], commands);
    count(ws[1], commands);
    count_add(&worker_counters(ws[1])->bytes_to_clients, 1000);
    struct seen seen = { .n = 0 };
    metrics_walk(ws, 2, see, &seen);
    assert_true(value(&seen, "volvox_commands_total") == 2);
    assert_true(value(&seen, "volvox_bytes_to_clients_total") == 1000);
    assert_true(value(&seen, "volvox_pins_total") == 0);
    assert_string_equal(seen.rows[at(&seen, "volvox_pins_total", "")].type, "counter");
    for (unsigned i = 0; i < n_counter_rows; i++) {
        char name[100];
        snprintf(name, sizeof(name), "volvox_%s_total", counter_rows[i].name);
        assert_string_equal(seen.rows[at(&seen, name, "")].help, counter_rows[i].help);
    }
    drop_worker(ws[0]);
    drop_worker(ws[1]);
}

static void a_gauge_may_fall_on_another_worker_than_it_rose(void **state)
{
    (void)state;
    struct worker *ws[] = { counting_worker(0), counting_worker(1) };
    gauge_add(&worker_counters(ws[0])->backends_idle, 3);
    gauge_add(&worker_counters(ws[1])->backends_idle, -1);
    gauge_add(&worker_counters(ws[1])->sessions, 5);
    struct seen seen = { .n = 0 };
    metrics_walk(ws, 2, see, &seen);
    assert_true(value(&seen, "volvox_backends_idle") == 2);
    assert_true(value(&seen, "volvox_sessions") == 5);
    assert_true(value(&seen, "volvox_sessions_busy") == 0);
    assert_string_equal(seen.rows[at(&seen, "volvox_sessions", "")].type, "gauge");
    drop_worker(ws[0]);
    drop_worker(ws[1]);
}

static void histograms_say_who_served(void **state)
{
    (void)state;
    struct worker *w = counting_worker(0);
    struct served s = { .by = SERVED_REPLICA, .total_us = 1000, .wait_us = 10 };
    served_record(w, &s);
    served_record(w, &s);
    s.by = SERVED_HERE, s.wait_us = 0;
    served_record(w, &s);
    struct seen seen = { .n = 0 };
    metrics_walk(&w, 1, see, &seen);
    static const char name[] = "volvox_command_seconds";
    assert_int_equal(seen.counts[at(&seen, name, "served_by=\"primary\"")], 0);
    assert_int_equal(seen.counts[at(&seen, name, "served_by=\"replica\"")], 2);
    assert_int_equal(seen.counts[at(&seen, name, "served_by=\"volvox\"")], 1);
    assert_int_equal(seen.counts[at(&seen, "volvox_backend_wait_seconds", "")], 2);
    assert_string_equal(seen.rows[at(&seen, "volvox_backend_wait_seconds", "")].type, "histogram");
    drop_worker(w);
}

static void digests_are_counted_too(void **state)
{
    (void)state;
    served_set_limits(&(struct served_limits){ .digests = 2, .digest_text_bytes = 10 });
    struct worker *w = counting_worker(0);
    for (uint64_t digest = 1; digest <= 5; digest++) {
        struct served s = served_in(digest, "select 1", 1);
        served_record(w, &s);
    }
    struct seen seen = { .n = 0 };
    metrics_walk(&w, 1, see, &seen);
    assert_true(value(&seen, "volvox_digests") == 2);
    assert_true(value(&seen, "volvox_digests_evicted_total") == 3);
    drop_worker(w);
}

static void names_are_unique_and_every_row_has_its_help(void **state)
{
    (void)state;
    struct worker *w = counting_worker(0);
    struct seen seen = { .n = 0 };
    metrics_walk(&w, 1, see, &seen);
    assert_true(seen.n >= n_counter_rows + 9);
    for (unsigned i = 0; i < seen.n; i++) {
        assert_int_equal(at(&seen, seen.rows[i].name, seen.rows[i].labels), i);
        assert_true(strlen(seen.rows[i].help) > 0);
        assert_memory_equal(seen.rows[i].name, "volvox_", 7);
        assert_true((strcmp(seen.rows[i].type, "histogram") == 0) ==
                    (seen.rows[i].histogram != NULL));
    }
    drop_worker(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_are_summed_over_workers),
        cmocka_unit_test(a_gauge_may_fall_on_another_worker_than_it_rose),
        cmocka_unit_test(histograms_say_who_served),
        cmocka_unit_test(digests_are_counted_too),
        cmocka_unit_test(names_are_unique_and_every_row_has_its_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
