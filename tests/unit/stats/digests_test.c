#include "unit/stats/workers.h"

#include "base/clock.h"
#include "router/router.h"

#include <stdatomic.h>

enum { LIMIT = 100, TEXT_BYTES = 40 };

static void set_limits(unsigned digests)
{
    served_set_limits(
        &(struct served_limits){ .digests = digests, .digest_text_bytes = TEXT_BYTES });
}

static void record(struct worker *w, uint64_t digest, const char *sql, uint64_t total_us)
{
    struct served s = served_in(digest, sql, total_us);
    served_record(w, &s);
}

/* Loop time goes on. */
static void later(struct worker *w)
{
    uint64_t now_us = worker_now_us(w);
    while (worker_now_us(w) == now_us)
        ev_run(worker_loop(w), EVRUN_NOWAIT);
}

static const struct digest_row *row_of(const struct digest_rows *rows, uint64_t digest)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->rows[i].digest == digest)
            return &rows->rows[i];
    }
    return NULL;
}

static void a_digest_sums_up_its_commands(void **state)
{
    (void)state;
    set_limits(LIMIT);
    struct worker *w = counting_worker(0);
    uint64_t began = clock_wall_us();
    struct served s = served_in(7, "select 'secret' from t", 100);
    s.rows = 3, s.bytes = 50;
    served_record(w, &s);
    later(w);
    s.total_us = 300, s.by = SERVED_REPLICA, s.server = "db2", s.error = 1146, s.user = "bob";
    s.schema = BYTES_LITERAL("shops");
    served_record(w, &s);
    later(w);
    s.total_us = 200, s.by = SERVED_HERE, s.server = NULL, s.error = 0, s.schema = BYTES_NONE;
    served_record(w, &s);
    struct digest_rows rows;
    digests_collect(&w, 1, &rows);
    assert_int_equal(rows.count, 1);
    const struct digest_row *r = &rows.rows[0];
    assert_string_equal(r->text, "SELECT ? FROM t");
    assert_string_equal(r->user, "bob");
    assert_string_equal(r->server, "");
    assert_string_equal(r->schema, "");
    assert_int_equal(r->count, 3);
    assert_int_equal(r->errors, 1);
    assert_int_equal(r->rows, 9);
    assert_int_equal(r->bytes, 150);
    assert_int_equal(r->on_primary, 1);
    assert_int_equal(r->on_replica, 1);
    assert_int_equal(r->answered_here, 1);
    assert_int_equal(r->sum_us, 600);
    assert_int_equal(r->min_us, 100);
    assert_int_equal(r->max_us, 300);
    assert_in_range(r->p50_us, 161, 224);
    assert_int_equal(r->p99_us, 300);
    assert_in_range(r->first_seen_us, began - 60000000, clock_wall_us());
    assert_in_range(r->last_seen_us, r->first_seen_us + 1, clock_wall_us());
    digest_rows_release(&rows);
    drop_worker(w);
}

static void names_are_those_of_the_last_command(void **state)
{
    (void)state;
    set_limits(LIMIT);
    struct worker *w = counting_worker(0);
    static const char *const schemas[] = { "shop", "shopping", "shop", "", "s" };
    for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
        struct served s = served_in(7, "x", 1);
        s.schema = bytes_str(schemas[i]);
        s.user = s.server = schemas[i];
        later(w);
        served_record(w, &s);
        struct digest_rows rows;
        digests_collect(&w, 1, &rows);
        assert_string_equal(rows.rows[0].schema, schemas[i]);
        assert_string_equal(rows.rows[0].user, schemas[i]);
        assert_string_equal(rows.rows[0].server, schemas[i]);
        digest_rows_release(&rows);
    }
    drop_worker(w);
}

static void names_too_long_are_cut(void **state)
{
    (void)state;
    set_limits(LIMIT);
    struct worker *w = counting_worker(0);
    char name[301];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    struct served s = served_in(7, "x", 1);
    s.user = s.server = name;
    s.schema = bytes_str(name);
    served_record(w, &s);
    served_record(w, &s);
    struct digest_rows rows;
    digests_collect(&w, 1, &rows);
    assert_int_equal(strlen(rows.rows[0].user), sizeof(rows.rows[0].user) - 1);
    assert_int_equal(strlen(rows.rows[0].server), sizeof(rows.rows[0].server) - 1);
    assert_int_equal(strlen(rows.rows[0].schema), sizeof(rows.rows[0].schema) - 1);
    digest_rows_release(&rows);
    drop_worker(w);
}

static void a_text_that_comes_later_is_taken(void **state)
{
    (void)state;
    set_limits(LIMIT);
    struct worker *w = counting_worker(0);
    record(w, 7, NULL, 1);
    struct digest_rows rows;
    digests_collect(&w, 1, &rows);
    assert_string_equal(rows.rows[0].text, "");
    digest_rows_release(&rows);
    record(w, 7, "select 1", 1);
    record(w, 7, "select another", 1);
    digests_collect(&w, 1, &rows);
    assert_int_equal(rows.rows[0].count, 3);
    assert_string_equal(rows.rows[0].text, "SELECT ?");
    digest_rows_release(&rows);
    drop_worker(w);
}

static void the_text_is_read_in_the_mode_of_the_session(void **state)
{
    (void)state;
    set_limits(LIMIT);
    struct worker *w = counting_worker(0);
    const struct lexer_mode ansi = { .ansi_quotes = true };
    struct served s = served_in(1, "select \"a\"", 1);
    served_record(w, &s);
    s.digest = 2, s.mode = &ansi;
    served_record(w, &s);
    struct digest_rows rows;
    digests_collect(&w, 1, &rows);
    assert_string_equal(row_of(&rows, 1)->text, "SELECT ?");
    assert_string_equal(row_of(&rows, 2)->text, "SELECT \"a\"");
    digest_rows_release(&rows);
    drop_worker(w);
}

static void what_is_no_statement_only_counts_as_latency(void **state)
{
    (void)state;
    set_limits(LIMIT);
    struct worker *w = counting_worker(0);
    struct served s = { .by = SERVED_HERE, .total_us = 50, .wait_us = 20 };
    served_record(w, &s);
    assert_int_equal(worker_counters(w)->latency[SERVED_HERE].count, 1);
    assert_int_equal(worker_counters(w)->latency[SERVED_HERE].sum_us, 50);
    assert_int_equal(worker_counters(w)->wait.sum_us, 20);
    assert_int_equal(worker_digests(w)->count, 0);
    drop_worker(w);
}

/* ---- the limit --------------------------------------------------------------------------- */

static void the_digests_used_longest_ago_go_first(void **state)
{
    (void)state;
    set_limits(3);
    struct worker *w = counting_worker(0);
    record(w, 1, "a", 1);
    record(w, 2, "b", 1);
    record(w, 3, "c", 1);
    record(w, 1, "a", 1);
    record(w, 4, "d", 1);
    record(w, 5, "e", 1);
    struct digest_rows rows;
    digests_collect(&w, 1, &rows);
    assert_int_equal(rows.count, 3);
    assert_int_equal(rows.evicted, 2);
    assert_non_null(row_of(&rows, 1));
    assert_null(row_of(&rows, 2));
    assert_null(row_of(&rows, 3));
    digest_rows_release(&rows);
    drop_worker(w);
}

/* Each digest is there exactly when a plain list of the newest ones says so. */
static void the_table_agrees_with_a_plain_list(void **state)
{
    (void)state;
    enum { KEEP = 50 };
    set_limits(KEEP);
    struct worker *w = counting_worker(0);
    uint64_t newest[KEEP], seed = 1;
    size_t n = 0;
    for (unsigned round = 0; round < 20000; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t digest = ((seed >> 40) % (KEEP * 2) + 1) << (round % 2 ? 0 : 57);
        record(w, digest, "select 1", 1);
        size_t at = 0;
        while (at < n && newest[at] != digest)
            at++;
        if (at == n && n < KEEP)
            n++;
        at = MIN(at, n - 1);
        memmove(newest + 1, newest, at * sizeof(newest[0]));
        newest[0] = digest;
        if (round % 97 != 0)
            continue;
        assert_int_equal(worker_digests(w)->count, n);
        for (size_t i = 0; i < n; i++)
            assert_non_null(digest_table_find(worker_digests(w), newest[i]));
    }
    drop_worker(w);
}

static void memory_stays_below_its_bound(void **state)
{
    (void)state;
    char sql[200];
    set_limits(LIMIT);
    struct worker *w = counting_worker(0);
    for (uint64_t i = 1; i <= 20 * LIMIT; i++) {
        snprintf(sql, sizeof(sql), "select %0*d_%llu from t", (int)(i % 100), 0,
                 (unsigned long long)i);
        record(w, i * 0x9E3779B97F4A7C15u, sql, 1);
        assert_true(worker_digests(w)->count <= LIMIT);
        assert_true(digest_table_bytes(worker_digests(w)) <= digest_table_bound(LIMIT, TEXT_BYTES));
    }
    assert_int_equal(worker_digests(w)->count, LIMIT);
    assert_int_equal(worker_digests(w)->evicted, 19 * LIMIT);
    drop_worker(w);
}

/* With texts of full length every byte of the bound is used, and none more. */
static void the_bound_of_memory_is_exact(void **state)
{
    (void)state;
    char sql[200];
    memset(sql, 'x', sizeof(sql) - 1);
    sql[sizeof(sql) - 1] = '\0';
    set_limits(LIMIT);
    struct worker *w = counting_worker(0);
    for (uint64_t i = 1; i <= 3 * LIMIT; i++)
        record(w, i, sql, 1);
    assert_int_equal(digest_table_bytes(worker_digests(w)), digest_table_bound(LIMIT, TEXT_BYTES));
    struct digest_rows rows;
    digests_collect(&w, 1, &rows);
    for (size_t i = 0; i < rows.count; i++)
        assert_int_equal(strlen(rows.rows[i].text), TEXT_BYTES);
    digest_rows_release(&rows);
    drop_worker(w);
}

static void a_lower_limit_is_kept_at_the_next_command(void **state)
{
    (void)state;
    set_limits(LIMIT);
    struct worker *w = counting_worker(0);
    for (uint64_t i = 1; i <= LIMIT; i++)
        record(w, i, "select 1", 1);
    set_limits(10);
    record(w, LIMIT, "select 1", 1);
    assert_int_equal(worker_digests(w)->count, 10);
    assert_true(digest_table_bytes(worker_digests(w)) <= digest_table_bound(10, TEXT_BYTES));
    for (uint64_t i = LIMIT - 9; i <= LIMIT; i++)
        assert_non_null(digest_table_find(worker_digests(w), i));
    set_limits(0);
    record(w, LIMIT, "select 1", 1);
    assert_int_equal(worker_digests(w)->count, 0);
    set_limits(LIMIT);
    record(w, LIMIT, "select 1", 1);
    assert_int_equal(worker_digests(w)->count, 1);
    drop_worker(w);
}

/* ---- several workers ------------------------------------------------------------------------ */

static void workers_are_merged_by_digest(void **state)
{
    (void)state;
    set_limits(LIMIT);
    struct worker *ws[3];
    for (int i = 0; i < 3; i++) {
        ws[i] = counting_worker(i);
        record(ws[i], 5, "select 5", (uint64_t)(i + 1) * 100);
        record(ws[i], 10 + (uint64_t)i, "select 1", 7);
    }
    struct digest_rows rows;
    digests_collect(ws, 3, &rows);
    assert_int_equal(rows.count, 4);
    const struct digest_row *r = row_of(&rows, 5);
    assert_int_equal(r->count, 3);
    assert_int_equal(r->sum_us, 600);
    assert_int_equal(r->min_us, 100);
    assert_int_equal(r->max_us, 300);
    assert_int_equal(row_of(&rows, 11)->count, 1);
    digest_rows_release(&rows);
    digests_reset(ws, 3);
    digests_collect(ws, 3, &rows);
    assert_int_equal(rows.count, 0);
    digest_rows_release(&rows);
    record(ws[1], 5, "select 5", 9);
    digests_collect(ws, 3, &rows);
    assert_int_equal(rows.count, 1);
    assert_int_equal(rows.rows[0].count, 1);
    digest_rows_release(&rows);
    for (int i = 0; i < 3; i++)
        drop_worker(ws[i]);
}

struct recorder {
    struct worker *w;
    atomic_bool *is_over;
    uint64_t recorded;
};

static void *record_until_over(void *arg)
{
    struct recorder *r = arg;
    while (!atomic_load(r->is_over) || r->recorded < 1000) {
        record(r->w, r->recorded % (2 * LIMIT) + 1, "select 1", r->recorded % 50);
        r->recorded++;
    }
    return NULL;
}

static void anyone_may_collect_and_reset_while_workers_record(void **state)
{
    (void)state;
    set_limits(LIMIT);
    atomic_bool is_over = false;
    struct worker *ws[2];
    struct recorder recorders[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        ws[i] = counting_worker(i);
        recorders[i] = (struct recorder){ .w = ws[i], .is_over = &is_over };
        assert_int_equal(pthread_create(&threads[i], NULL, record_until_over, &recorders[i]), 0);
    }
    for (int i = 0; i < 100; i++) {
        struct digest_rows rows;
        digests_collect(ws, 2, &rows);
        for (size_t at = 0; at < rows.count; at++) {
            assert_in_range(rows.rows[at].digest, 1, 2 * LIMIT);
            assert_string_equal(rows.rows[at].text, "SELECT ?");
            assert_true(rows.rows[at].count > 0 && rows.rows[at].max_us < 50);
        }
        digest_rows_release(&rows);
        set_limits(i % 10 == 0 ? LIMIT / 2 : LIMIT);
        if (i % 10 == 5)
            digests_reset(ws, 2);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(worker_counters(ws[i])->latency[SERVED_PRIMARY].count,
                         recorders[i].recorded);
        drop_worker(ws[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_digest_sums_up_its_commands),
        cmocka_unit_test(names_are_those_of_the_last_command),
        cmocka_unit_test(names_too_long_are_cut),
        cmocka_unit_test(a_text_that_comes_later_is_taken),
        cmocka_unit_test(the_text_is_read_in_the_mode_of_the_session),
        cmocka_unit_test(what_is_no_statement_only_counts_as_latency),
        cmocka_unit_test(the_digests_used_longest_ago_go_first),
        cmocka_unit_test(the_table_agrees_with_a_plain_list),
        cmocka_unit_test(memory_stays_below_its_bound),
        cmocka_unit_test(the_bound_of_memory_is_exact),
        cmocka_unit_test(a_lower_limit_is_kept_at_the_next_command),
        cmocka_unit_test(workers_are_merged_by_digest),
        cmocka_unit_test(anyone_may_collect_and_reset_while_workers_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
