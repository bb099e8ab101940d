/* The option table, the values it allows, and what is generated from it. */
#include "unit/config/texts.h"

static char *read_all(const char *path)
{
    char *text = mem_zalloc(1 << 20);
    FILE *in = fopen(path, "r");
    if (in == NULL)
        fail_msg("%s is missing", path);
    assert_in_range(fread(text, 1, (1 << 20) - 1, in), 1, (1 << 20) - 2);
    fclose(in);
    return text;
}

static void every_option_stands_once_and_its_default_is_valid(void **state)
{
    (void)state;
    for (unsigned i = 0; i < n_options; i++) {
        const struct option *o = &options[i];
        assert_true(strlen(o->help) > 10);
        assert_true(o->type != OPTION_ENUM || o->words != NULL);
        for (unsigned j = 0; j < i; j++)
            if (strcmp(o->section, options[j].section) == 0 &&
                strcmp(o->name, options[j].name) == 0)
                fail_msg("%s twice", o->name);
    }
}

static void defaults_are_as_documented(void **state)
{
    (void)state;
    struct config *c = good(REST);
    const struct settings *s = &c->settings;
    assert_int_equal(s->workers, 0);
    assert_int_equal(s->max_connections, 10000);
    assert_int_equal(s->backlog, 4096);
    assert_int_equal(s->log_level, LOG_INFO);
    assert_int_equal(s->login_timeout_ms, 10000);
    assert_int_equal(s->idle_timeout_s, 28800);
    assert_int_equal(s->linger_ms, 2000);
    assert_int_equal(s->drain_timeout_s, 30);
    assert_int_equal(s->max_packet_bytes, 1 << 20);
    assert_int_equal(s->memory_limit_bytes, 0);
    assert_int_equal(s->max_statements, 16382);
    assert_int_equal(s->monitor_interval_ms, 2000);
    assert_int_equal(s->pool_max_age_s, 3600);
    assert_int_equal(s->server_keepalive.idle_s, 60);
    assert_int_equal(s->client_keepalive.count, 6);
    assert_int_equal(s->client_keepalive.user_timeout_ms, 0);
    assert_string_equal(s->monitor_user, "");
    assert_string_equal(c->groups[0].name, "main");
    assert_int_equal(c->groups[0].max_lag_ms, 10000);
    assert_int_equal(c->groups[0].balance, BALANCE_LEAST_OUTSTANDING);
    assert_int_equal(c->groups[0].reads, READS_REPLICAS);
    assert_int_equal(c->groups[0].no_replica, NO_REPLICA_PRIMARY);
    assert_int_equal(c->servers[0].weight, 100);
    assert_int_equal(c->servers[0].max_connections, 100);
    assert_int_equal(c->servers[0].role, SERVER_AUTO);
    assert_int_equal(ntohs(c->servers[0].resolved.in4.sin_port), 3306);
    assert_int_equal(ntohs(c->listeners[0].resolved.in4.sin_port), 6033);
    assert_int_equal(c->listeners[0].group, -1);
    assert_true(c->users[0].split_reads);
    assert_string_equal(c->users[0].server_user, "u");
    assert_string_equal(c->users[0].schema, "");
    assert_string_equal(c->users[0].account->secret.clear, "p");
    assert_int_equal(s->slow_query_ms, 0);
    assert_int_equal(s->slow_query_sample, 1);
    assert_int_equal(s->digests, 2000);
    assert_int_equal(s->digest_text_bytes, 1024);
    assert_false(s->audit);
    assert_string_equal(s->runtime_file, "");
    assert_null(c->runtime_file);
    assert_int_equal(c->admin.resolved.in4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_int_equal(ntohs(c->admin.resolved.in4.sin_port), 6032);
    assert_int_equal(c->admin.max_connections, 16);
    assert_int_equal(c->admin.statement_timeout_ms, 10000);
    assert_int_equal(c->http.resolved.len, 0);
    config_drop(c);
}

static void operators_doors_can_be_shut(void **state)
{
    (void)state;
    struct config *c = good(REST "[admin]\naddress =\n[http]\naddress = \"\"\n");
    assert_int_equal(c->admin.resolved.len, 0);
    assert_int_equal(c->http.resolved.len, 0);
    config_drop(c);
}

static void parts_may_have_log_levels_of_their_own(void **state)
{
    (void)state;
    struct config *c = good("[volvox]\nlog_areas = pool=debug, SERVERS = warn\n" REST);
    assert_int_equal(c->settings.log_areas.level[LOG_AREA_POOL], LOG_DEBUG);
    assert_int_equal(c->settings.log_areas.level[LOG_AREA_SERVERS], LOG_WARN);
    assert_int_equal(c->settings.log_areas.level[LOG_AREA_MAIN], LOG_AS_ALL);
    config_drop(c);
    expect(MONITOR "log_areas = pool=debug,sever=warn\n" REST,
           "4: error: log_areas: \"sever=warn\" is not area=level, once for each area; areas are "
           "main, base, protocol, router, run, stats, net, config, servers, pool, session, admin "
           "and http; levels error, warn, info and debug\n");
}

/* The words in options.c and in the complaint are by hand. */
static void every_part_with_a_log_level_is_documented(void **state)
{
    (void)state;
    const char *help = NULL;
    for (unsigned i = 0; i < n_options; i++)
        if (strcmp(options[i].name, "log_areas") == 0)
            help = options[i].help;
    assert_non_null(help);
    for (unsigned i = 0; i < LOG_AREAS; i++)
        if (strstr(help, log_area_name((enum log_area)i)) == NULL)
            fail_msg("%s is missing", log_area_name((enum log_area)i));
}

static void times_sizes_and_words_are_understood(void **state)
{
    (void)state;
    struct config *c = good("[volvox]\nlogin_timeout = 500ms\nidle_timeout = 5m\nlinger = 1 s\n"
                            "connect_timeout = 2m\npool_max_age = 2h\npool_idle_timeout = 1d\n"
                            "max_packet = 8M\nmemory_limit = 3g\nlog_level = DEBUG\n"
                            "queue_timeout = 0\n"
                            "[group g]\nbalance = round-robin\nreads = all\nno_replica = error\n"
                            "[server s]\naddress = 127.0.0.1\n"
                            "[user a]\nsplit_reads = off\n[user b]\nsplit_reads = TRUE\n"
                            "[user c]\nsplit_reads = 0\n");
    assert_int_equal(c->settings.login_timeout_ms, 500);
    assert_int_equal(c->settings.idle_timeout_s, 300);
    assert_int_equal(c->settings.linger_ms, 1000);
    assert_int_equal(c->settings.connect_timeout_ms, 120000);
    assert_int_equal(c->settings.pool_max_age_s, 7200);
    assert_int_equal(c->settings.pool_idle_timeout_s, 86400);
    assert_int_equal(c->settings.max_packet_bytes, 8 << 20);
    assert_int_equal(c->settings.memory_limit_bytes, 3ull << 30);
    assert_int_equal(c->settings.log_level, LOG_DEBUG);
    assert_int_equal(c->settings.queue_timeout_ms, 0);
    assert_int_equal(c->groups[0].balance, BALANCE_ROUND_ROBIN);
    assert_int_equal(c->groups[0].reads, READS_ALL);
    assert_int_equal(c->groups[0].no_replica, NO_REPLICA_ERROR);
    assert_false(c->users[0].split_reads);
    assert_true(c->users[1].split_reads);
    assert_false(c->users[2].split_reads);
    config_drop(c);
}

static void nonsense_values_are_named_with_what_would_be_right(void **state)
{
    (void)state;
    expect(MONITOR "workers = four\nmax_connections = 0\nlogin_timeout = 10\n"
                   "idle_timeout = 500ms\nmax_packet = 1X\nlog_level = loud\n"
                   "backlog = 99999999999999999999\n"
                   "linger = 2m\nmemory_limit = 99999999999G\nworkers = -1\n" REST
                   "split_reads = maybe\n",
           "4: error: workers: \"four\" is not a whole number\n"
           "5: error: max_connections: \"0\" is not between 1 and 10000000\n"
           "6: error: login_timeout: \"10\" is not a time such as 500ms, 10s, 5m or 2h\n"
           "7: error: idle_timeout: \"500ms\" is not a time in whole seconds such as 10s, 5m or "
           "2h\n"
           "8: error: max_packet: \"1X\" is not a size such as 4096, 64K, 16M or 1G\n"
           "9: error: log_level: \"loud\" is not one of error, warn, info, debug\n"
           "10: error: backlog: \"99999999999999999999\" is not a whole number\n"
           "11: error: linger: \"2m\" is not between 0 and 1m\n"
           "12: error: memory_limit: \"99999999999G\" is not a size such as 4096, 64K, 16M or 1G\n"
           "13: error: \"workers\" stands twice in [volvox], first in line 4\n"
           "19: error: split_reads: \"maybe\" is not yes or no\n");
}

static void the_reference_is_up_to_date(void **state)
{
    char *made = NULL;
    size_t len;
    (void)state;
    FILE *out = open_memstream(&made, &len);
    options_print_markdown(out);
    fclose(out);
    char *kept = read_all("docs/configuration.md");
    assert_string_equal(kept, made);
    free(made);
    mem_free(kept);
}

static void the_annotated_example_is_good_and_complete(void **state)
{
    struct complaints told;
    (void)state;
    struct config *c = config_load("conf/volvox.ini", &told);
    for (unsigned i = 0; i < told.count; i++)
        print_message("%u: %s\n", told.items[i].line, told.items[i].text);
    assert_int_equal(told.errors, 0);
    assert_non_null(c);
    char *text = read_all("conf/volvox.ini");
    for (unsigned i = 0; i < n_options; i++) {
        char line[128];
        snprintf(line, sizeof(line), "%s =", options[i].name);
        if (strstr(text, line) == NULL)
            fail_msg("conf/volvox.ini lacks %s of [%s]", options[i].name, options[i].section);
    }
    mem_free(text);
    complaints_release(&told);
    config_drop(c);
}

static void the_read_write_split_example_is_good(void **state)
{
    struct complaints told;
    (void)state;
    struct config *c = config_load("conf/examples/rw-split.ini", &told);
    assert_int_equal(told.count, 0);
    assert_int_equal(c->n_servers, 3);
    complaints_release(&told);
    config_drop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_stands_once_and_its_default_is_valid),
        cmocka_unit_test(defaults_are_as_documented),
        cmocka_unit_test(operators_doors_can_be_shut),
        cmocka_unit_test(parts_may_have_log_levels_of_their_own),
        cmocka_unit_test(every_part_with_a_log_level_is_documented),
        cmocka_unit_test(times_sizes_and_words_are_understood),
        cmocka_unit_test(nonsense_values_are_named_with_what_would_be_right),
        cmocka_unit_test(the_reference_is_up_to_date),
        cmocka_unit_test(the_annotated_example_is_good_and_complete),
        cmocka_unit_test(the_read_write_split_example_is_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
