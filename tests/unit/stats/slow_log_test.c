#include "unit/stats/workers.h"

#include "base/log.h"

#include <unistd.h>

static char path[] = "/tmp/volvox-slow-log-XXXXXX";
static char logged[20000];

/* Run, and have what was logged meanwhile in `logged`. */
static void with_log(enum log_level level, void (*run)(struct worker *w))
{
    memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(log_start(path));
    log_level = level;
    struct worker *w = counting_worker(0);
    run(w);
    drop_worker(w);
    log_stop();
    log_level = LOG_INFO;
    ssize_t n = read(fd, logged, sizeof(logged) - 1);
    assert_true(n >= 0);
    logged[n] = '\0';
    close(fd);
    unlink(path);
}

static unsigned lines_with(const char *words)
{
    unsigned n = 0;
    for (const char *at = logged; (at = strstr(at, words)) != NULL; at++)
        n++;
    return n;
}

static void set_limits(unsigned digests, unsigned slow_ms, unsigned sample)
{
    served_set_limits(&(struct served_limits){
        .digests = digests, .digest_text_bytes = 100, .slow_ms = slow_ms, .slow_sample = sample });
}

static void one_slow_and_one_quick(struct worker *w)
{
    struct served s = served_in(0xabc, "select a from t where b = 'secret'", 12345);
    s.wait_us = 2300, s.rows = 17, s.error = 1317;
    served_record(w, &s);
    s.digest = 0xdef, s.total_us = 9999;
    served_record(w, &s);
}

static void a_slow_statement_is_logged_without_its_literals(void **state)
{
    (void)state;
    set_limits(10, 10, 1);
    with_log(LOG_INFO, one_slow_and_one_quick);
    assert_int_equal(lines_with("event=\"slow statement\""), 1);
    assert_non_null(strstr(logged, "digest=0000000000000abc "));
    assert_non_null(strstr(logged, "text=\"SELECT a FROM t WHERE b = ?\" "));
    assert_non_null(strstr(logged, "user=ann schema=shop server=db1 total_ms=12.3 wait_ms=2.3 "
                                   "rows=17 error=1317"));
    assert_null(strstr(logged, "secret"));
}

static void not_even_at_level_debug_are_the_literals_there(void **state)
{
    (void)state;
    set_limits(10, 10, 1);
    with_log(LOG_DEBUG, one_slow_and_one_quick);
    assert_int_equal(lines_with("event=\"slow statement\""), 1);
    assert_int_equal(lines_with("secret"), 0);
}

static void without_a_limit_nothing_is_slow(void **state)
{
    (void)state;
    set_limits(10, 0, 1);
    with_log(LOG_INFO, one_slow_and_one_quick);
    assert_string_equal(logged, "");
}

static void the_slow_log_does_not_need_digests(void **state)
{
    (void)state;
    set_limits(0, 10, 1);
    with_log(LOG_INFO, one_slow_and_one_quick);
    assert_non_null(strstr(logged, "text=\"SELECT a FROM t WHERE b = ?\" "));
}

static void thirty_slow_ones(struct worker *w)
{
    struct served s = served_in(1, "select 1", 50000);
    for (int i = 0; i < 30; i++)
        served_record(w, &s);
}

static void a_sample_is_one_of_so_many(void **state)
{
    (void)state;
    set_limits(10, 10, 10);
    with_log(LOG_INFO, thirty_slow_ones);
    assert_int_equal(lines_with("slow statement"), 3);
    set_limits(10, 10, 0);
    with_log(LOG_INFO, thirty_slow_ones);
    assert_int_equal(lines_with("slow statement"), 30);
}

static void once_with_text_then_slow_without(struct worker *w)
{
    struct served s = served_in(1, "select * from t limit 5", 10);
    served_record(w, &s);
    s.text = BYTES_NONE, s.total_us = 50000, s.server = NULL, s.by = SERVED_HERE;
    served_record(w, &s);
}

static void a_command_without_its_text_has_that_of_its_digest(void **state)
{
    (void)state;
    set_limits(10, 10, 1);
    with_log(LOG_INFO, once_with_text_then_slow_without);
    assert_non_null(strstr(logged, "text=\"SELECT * FROM t LIMIT ?\" "));
    assert_non_null(strstr(logged, "server=- "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_statement_is_logged_without_its_literals),
        cmocka_unit_test(not_even_at_level_debug_are_the_literals_there),
        cmocka_unit_test(without_a_limit_nothing_is_slow),
        cmocka_unit_test(the_slow_log_does_not_need_digests),
        cmocka_unit_test(a_sample_is_one_of_so_many),
        cmocka_unit_test(a_command_without_its_text_has_that_of_its_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
