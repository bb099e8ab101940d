/* /data.json: what the dashboard draws. */
#include "unit/http/house.h"

static char *data_of(struct house *h, enum digest_order by)
{
    char *text;
    printed(text, to, data_print(h->http, by, to));
    return text;
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no %s in %s", part, text);
}

/* `first` stands before `second`. */
static void in_order(const char *text, const char *first, const char *second)
{
    has(text, first);
    has(text, second);
    if (strstr(text, first) > strstr(text, second))
        fail_msg("%s comes after %s in %s", first, second, text);
}

static void serve(struct house *h, const char *text, uint64_t digest, uint64_t us, unsigned error)
{
    const struct served s = {
        .digest = digest,
        .text = bytes_str(text),
        .user = "u",
        .server = "db1",
        .schema = bytes_str("shop"),
        .by = SERVED_PRIMARY,
        .total_us = us,
        .rows = 3,
        .error = error,
    };
    served_record(h->workers[digest % 2], &s);
}

static void open_with_digests(struct house *h)
{
    served_set_limits(&(struct served_limits){ .digests = 200, .digest_text_bytes = 500 });
    house_open(h, 2);
}

static void counters_and_latencies_are_those_of_all_workers(void **state)
{
    struct house h;
    (void)state;
    house_open(&h, 1);
    count_add(&worker_counters(h.workers[0])->commands, 40);
    count_add(&worker_counters(h.workers[1])->commands, 2);
    gauge_add(&worker_counters(h.workers[1])->sessions, 6);
    histogram_add(&worker_counters(h.workers[0])->wait, 100);
    histogram_add(&worker_counters(h.workers[1])->wait, 100);
    histogram_add(&worker_counters(h.workers[1])->wait, 3);
    char *text = data_of(&h, BY_TIME);
    has(text, "\"commands\":42");
    has(text, "\"sessions\":6");
    has(text, "\"wait\":[[3,1],[112,2]]");
    has(text, "\"primary\":[]");
    free(text);
    house_close(&h);
}

static void servers_say_how_they_are(void **state)
{
    struct house h;
    (void)state;
    house_open(&h, 5);
    struct server_state *s = h.servers.states;
    s[1].lag_ms = 1500;
    s[2].lag_ms = UINT32_MAX;
    s[3].health = HEALTH_DOWN;
    str_copy(s[3].why, sizeof s[3].why, bytes_str("connect: \"refused\""));
    s[4].operated = OPERATED_DISABLED;
    s[1].server->open = 8;
    s[1].server->in_use = 5;
    rebuild(&h.servers);
    char *text = data_of(&h, BY_TIME);
    has(text,
        "\"name\":\"db1\",\"group\":\"main\",\"address\":\"127.0.0.1:3306\",\"role\":\"primary\","
        "\"health\":\"up\"");
    has(text, "\"broken\":false,\"lag_ms\":1500");
    has(text, "\"broken\":true,\"lag_ms\":null");
    has(text, "\"health\":\"down\",\"why\":\"connect: \\\"refused\\\"\"");
    has(text, "\"health\":\"disabled\"");
    has(text, "\"open\":8,\"in_use\":5");
    has(text, "\"ready\":true,\"why\":\"\"");
    free(text);
    house_close(&h);
}

static void what_keeps_volvox_from_being_ready_is_said(void **state)
{
    struct house h;
    (void)state;
    house_open(&h, 2);
    h.servers.states[0].health = HEALTH_DOWN;
    rebuild(&h.servers);
    h.is_stopping = true;
    char *text = data_of(&h, BY_TIME);
    has(text,
        "\"stopping\":true,\"ready\":false,\"why\":\"volvox is stopping\\u000avolvox: no usable "
        "primary in group main (db1: down");
    free(text);
    house_close(&h);
}

static void digests_come_in_the_order_asked_for(void **state)
{
    struct house h;
    (void)state;
    open_with_digests(&h);
    serve(&h, "SELECT slow FROM t", 1, 90000, 0);
    for (unsigned i = 0; i < 5; i++)
        serve(&h, "SELECT often FROM t", 2, 100, 0);
    serve(&h, "SELECT wrong FROM t", 3, 50, 1146);
    char *text = data_of(&h, BY_TIME);
    in_order(text, "slow", "often");
    in_order(text, "often", "wrong");
    free(text);
    text = data_of(&h, BY_COUNT);
    in_order(text, "often", "slow");
    free(text);
    text = data_of(&h, BY_ERRORS);
    in_order(text, "wrong", "often");
    has(text, "\"by\":\"errors\"");
    free(text);
    house_close(&h);
}

static void of_many_digests_the_first_fifty_are_sent(void **state)
{
    struct house h;
    (void)state;
    open_with_digests(&h);
    for (unsigned i = 0; i < 120; i++) {
        char sql[60];
        unsigned shuffled = i * 77 % 120;
        snprintf(sql, sizeof sql, "SELECT c%03u FROM t", shuffled);
        serve(&h, sql, shuffled + 1, 10 + shuffled * 1000, 0);
    }
    char *text = data_of(&h, BY_MAX);
    has(text, "\"total\":120");
    for (unsigned i = 119; i > 70; i--) {
        char first[20], second[20];
        snprintf(first, sizeof first, "SELECT c%03u", i);
        snprintf(second, sizeof second, "SELECT c%03u", i - 1);
        in_order(text, first, second);
    }
    assert_null(strstr(text, "SELECT c069"));
    free(text);
    house_close(&h);
}

static void only_known_orders_are_taken(void **state)
{
    enum digest_order by;
    (void)state;
    assert_true(digest_order_parse("p99", &by));
    assert_int_equal(by, BY_P99);
    assert_false(digest_order_parse("p98", &by));
    assert_false(digest_order_parse("", &by));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_and_latencies_are_those_of_all_workers),
        cmocka_unit_test(servers_say_how_they_are),
        cmocka_unit_test(what_keeps_volvox_from_being_ready_is_said),
        cmocka_unit_test(digests_come_in_the_order_asked_for),
        cmocka_unit_test(of_many_digests_the_first_fifty_are_sent),
        cmocka_unit_test(only_known_orders_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
