/* What a reload is said to change. */
#include "unit/config/texts.h"

static void differ(const char *now, const char *next, const char *words)
{
    struct config *a = good(now), *b = good(next);
    char *text = config_diff(a, b);
    assert_string_equal(text, words);
    free(text);
    text = config_diff(b, b);
    assert_string_equal(text, "");
    free(text);
    config_drop(a);
    config_drop(b);
}

static void equal_files_differ_in_nothing(void **state)
{
    (void)state;
    differ(MONITOR REST, MONITOR REST, "");
}

static void settings_are_told_with_both_values(void **state)
{
    (void)state;
    differ("[volvox]\nmonitor_interval = 2s\nmax_packet = 8M\nmonitor_password = a\n" REST,
           "[volvox]\nmonitor_interval = 1500ms\nidle_timeout = 0\nlog_level = warn\n"
           "monitor_user = m\nmonitor_password = b\n" REST,
           "log_level: info -> warn\nmax_packet: 8M -> 1M\nidle_timeout: 8h -> 0\n"
           "monitor_user: \"\" -> \"m\"\nmonitor_password changes\n"
           "monitor_interval: 2s -> 1500ms\n");
}

static void what_needs_a_restart_keeps_its_value(void **state)
{
    (void)state;
    struct config *a = good("[volvox]\nworkers = 2\npid_file = a\n" REST);
    struct config *b = good("[volvox]\nworkers = 4\npid_file = b\n" REST);
    char *text = config_diff(a, b);
    assert_string_equal(text, "needs a restart: workers: 2 -> 4\n"
                              "needs a restart: pid_file: \"a\" -> \"b\"\n");
    assert_int_equal(b->settings.workers, 2);
    assert_string_equal(b->settings.pid_file, "a");
    free(text);
    config_drop(a);
    assert_string_equal(b->settings.pid_file, "a");
    config_drop(b);
}

static void sections_come_go_and_change(void **state)
{
    (void)state;
    differ(MONITOR "[group a]\n[group b]\n[server s]\naddress=127.0.0.1\ngroup=a\n"
           "[server t]\naddress=127.0.0.2\ngroup=b\n[user u]\ngroup=a\npassword=x\n"
           "[user v]\ngroup=a\n",
           MONITOR "[group b]\nmax_lag = 5s\n[server s]\naddress=127.0.0.1\nweight=5\n"
           "role=primary\n[server w]\naddress=127.0.0.3\n[user u]\npassword=y\nsplit_reads=no\n[user z]\n",
           "[group a] is gone\n"
           "[group b]: max_lag: 10s -> 5s\n"
           "[server s]: role: auto -> primary\n"
           "[server s]: weight: 100 -> 5\n"
           "[server s]: group: \"a\" -> \"b\"\n"
           "[server t] is gone\n"
           "[server w] is new\n"
           "[user u]: split_reads: yes -> no\n"
           "[user u]: group: \"a\" -> \"b\"\n"
           "[user u]: password changes\n"
           "[user u]: server_password changes\n"
           "[user v] is gone\n"
           "[user z] is new\n");
}

static void passwords_are_not_told(void **state)
{
    (void)state;
    struct config *a = good(MONITOR REST "[user v]\npassword = hunter2\n");
    struct config *b = good("[volvox]\nmonitor_user=m\nmonitor_password = hunter4\n" REST
                            "[user v]\npassword = hunter3\n");
    char *text = config_diff(a, b);
    assert_null(strstr(text, "hunter"));
    free(text);
    config_drop(a);
    config_drop(b);
}

static void listeners_come_go_and_move(void **state)
{
    static const char servers[] = "[group g]\n[group h]\n[server s]\naddress=127.0.0.1\ngroup=g\n"
                                  "[server t]\naddress=127.0.0.2\ngroup=h\n";
    char now[1000], next[1000];
    (void)state;
    snprintf(now, sizeof(now), "%s%s", servers,
             "[listener a]\naddress=127.0.0.1:7001\ngroup=g\n[listener b]\n"
             "address=127.0.0.1:7002\n[listener c]\naddress=127.0.0.1:7003\n");
    snprintf(next, sizeof(next), "%s%s", servers,
             "[listener d]\naddress=127.0.0.1:7004\n[listener a]\naddress=127.0.0.1:7009\n"
             "max_connections=5\ngroup=h\n[listener b]\naddress=127.0.0.1:7002\ngroup=g\n");
    differ(now, next,
           "[listener a]: address: \"127.0.0.1:7001\" -> \"127.0.0.1:7009\"\n"
           "[listener a]: max_connections: 0 -> 5\n"
           "[listener a]: group: \"g\" -> \"h\"\n"
           "[listener b]: group: \"\" -> \"g\"\n"
           "[listener c] is gone\n"
           "[listener d] is new\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_files_differ_in_nothing),
        cmocka_unit_test(settings_are_told_with_both_values),
        cmocka_unit_test(what_needs_a_restart_keeps_its_value),
        cmocka_unit_test(sections_come_go_and_change),
        cmocka_unit_test(passwords_are_not_told),
        cmocka_unit_test(listeners_come_go_and_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
