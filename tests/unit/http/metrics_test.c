/* What Prometheus reads: format, values, and docs/metrics.md. */
#include "unit/http/house.h"

#include "base/map.h"

#include <errno.h>
#include <sys/wait.h>

static char *metrics_of(struct house *h)
{
    char *text;
    printed(text, to, metrics_print(h->http, to));
    return text;
}

/* The line that starts with `series` and a space has this value. */
static void says(const char *text, const char *series, const char *value)
{
    size_t len = strlen(series);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, series, len) != 0 || line[len] != ' ')
            continue;
        char found[64];
        str_copy(found, sizeof found, bytes_of(line + len + 1, strcspn(line + len + 1, "\n")));
        if (strcmp(found, value) != 0)
            fail_msg("%s is %s, not %s", series, found, value);
        return;
    }
    fail_msg("there is no %s", series);
}

static void has_no(const char *text, const char *series)
{
    if (strstr(text, series) != NULL)
        fail_msg("there is %s", series);
}

static void counters_of_all_workers_are_added(void **state)
{
    struct house h;
    (void)state;
    house_open(&h, 2);
    count_add(&worker_counters(h.workers[0])->commands, 5);
    count_add(&worker_counters(h.workers[1])->commands, 7);
    count_add(&worker_counters(h.control)->clients_refused, 3);
    gauge_add(&worker_counters(h.workers[0])->backends_idle, 4);
    gauge_add(&worker_counters(h.workers[1])->backends_idle, -1);
    char *text = metrics_of(&h);
    says(text, "volvox_commands_total", "12");
    says(text, "volvox_clients_refused_total", "3");
    says(text, "volvox_backends_idle", "3");
    says(text, "volvox_workers", "2");
    says(text, "volvox_build_info{version=\"" VOLVOX_VERSION "\"}", "1");
    free(text);
    house_close(&h);
}

static void servers_and_groups_have_their_state(void **state)
{
    struct house h;
    (void)state;
    house_open(&h, 4);
    struct server_state *s = h.servers.states;
    s[1].lag_ms = 2500;
    s[2].health = HEALTH_DOWN;
    s[3].lag_ms = UINT32_MAX;
    s[1].server->open = 9;
    s[1].server->in_use = 4;
    s[1].server->wanted = 2;
    s[1].server->connects = 11;
    s[1].server->connect_failures = 1;
    rebuild(&h.servers);
    char *text = metrics_of(&h);
    says(text, "volvox_server_up{group=\"main\",server=\"db1\"}", "1");
    says(text, "volvox_server_writable{group=\"main\",server=\"db1\"}", "1");
    says(text, "volvox_server_primary{group=\"main\",server=\"db1\"}", "1");
    says(text, "volvox_server_primary{group=\"main\",server=\"db2\"}", "0");
    says(text, "volvox_server_up{group=\"main\",server=\"db3\"}", "0");
    says(text, "volvox_server_lag_seconds{group=\"main\",server=\"db2\"}", "2.5");
    says(text, "volvox_server_connections_open{group=\"main\",server=\"db2\"}", "9");
    says(text, "volvox_server_connections_in_use{group=\"main\",server=\"db2\"}", "4");
    says(text, "volvox_server_waiting{group=\"main\",server=\"db2\"}", "2");
    says(text, "volvox_server_connects_total{group=\"main\",server=\"db2\"}", "11");
    says(text, "volvox_server_connect_failures_total{group=\"main\",server=\"db2\"}", "1");
    says(text, "volvox_server_replication_broken{group=\"main\",server=\"db4\"}", "1");
    has_no(text, "volvox_server_lag_seconds{group=\"main\",server=\"db4\"}");
    has_no(text, "volvox_server_lag_seconds{group=\"main\",server=\"db1\"}");
    says(text, "volvox_group_servers{group=\"main\"}", "4");
    says(text, "volvox_group_servers_up{group=\"main\"}", "3");
    says(text, "volvox_group_primary_usable{group=\"main\"}", "1");
    free(text);
    house_close(&h);
}

static void without_a_primary_volvox_is_not_ready(void **state)
{
    struct house h;
    (void)state;
    house_open(&h, 2);
    char *text = metrics_of(&h);
    says(text, "volvox_ready", "1");
    free(text);
    h.servers.states[0].health = HEALTH_DOWN;
    rebuild(&h.servers);
    text = metrics_of(&h);
    says(text, "volvox_ready", "0");
    says(text, "volvox_group_primary_usable{group=\"main\"}", "0");
    free(text);
    house_close(&h);
}

/* Of one histogram: the values of its le labels rise, so do the counts, and the last is _count. */
static void histograms_add_up(void **state)
{
    struct house h;
    (void)state;
    house_open(&h, 1);
    static const unsigned times_us[] = { 0, 1, 90, 96, 97, 300, 5000, 123456, 900000, 70000000 };
    for (size_t i = 0; i < ARRAY_LEN(times_us); i++)
        histogram_add(&worker_counters(h.workers[i % 2])->latency[SERVED_REPLICA], times_us[i]);
    char *text = metrics_of(&h);
    const char *const series = "volvox_command_seconds_bucket{served_by=\"replica\",le=\"";
    double bound_before = 0;
    unsigned long long before = 0, n = 0;
    for (const char *at = text; (at = strstr(at, series)) != NULL; n++) {
        at += strlen(series);
        double bound = strtod(at, NULL);
        unsigned long long count = strtoull(strchr(at, '}') + 2, NULL, 10), expected = 0;
        for (size_t i = 0; i < ARRAY_LEN(times_us); i++)
            expected += times_us[i] / 1e6 <= bound;
        assert_true(bound > bound_before);
        assert_int_equal(count, expected);
        assert_true(count >= before);
        bound_before = bound, before = count;
    }
    assert_in_range(n, 12, 18);
    assert_int_equal(before, ARRAY_LEN(times_us));
    says(text, "volvox_command_seconds_count{served_by=\"replica\"}", "10");
    says(text, "volvox_command_seconds_sum{served_by=\"replica\"}", "71.02904");
    says(text, "volvox_command_seconds_count{served_by=\"primary\"}", "0");
    free(text);
    house_close(&h);
}

static void every_name_has_one_head_and_its_lines_together(void **state)
{
    struct house h;
    (void)state;
    house_open(&h, 3);
    char *text = metrics_of(&h), *save = NULL, family[100] = "";
    struct map seen = MAP_EMPTY;
    unsigned lines = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            size_t len = strcspn(line + 7, " ");
            str_copy(family, sizeof family, bytes_of(line + 7, len));
            assert_true(line[7 + len] == ' ' && line[7 + len + 1] != '\0');
            assert_null(map_put(&seen, bytes_of(line + 7, len), line));
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_memory_equal(line + 7, family, strlen(family));
        } else {
            if (strncmp(line, family, strlen(family)) != 0)
                fail_msg("\"%s\" stands under %s", line, family);
            lines++;
        }
    }
    assert_true(lines > 60);
    map_release(&seen);
    free(text);
    house_close(&h);
}

static void names_are_escaped_in_labels(void **state)
{
    struct house h;
    (void)state;
    house_open(&h, 1);
    char *name = h.servers.states[0].server->name;
    h.servers.states[0].server->name = mem_strdup("a\"b\\c\nd");
    char *text = metrics_of(&h);
    says(text, "volvox_server_up{group=\"main\",server=\"a\\\"b\\\\c\\nd\"}", "1");
    free(text);
    mem_free(h.servers.states[0].server->name);
    h.servers.states[0].server->name = name;
    house_close(&h);
}

static void promtool_has_no_complaints(void **state)
{
    struct house h;
    (void)state;
    if (system("command -v promtool >/dev/null") != 0) {
        print_message("promtool is not installed (Debian package prometheus): not checked\n");
        skip();
    }
    house_open(&h, 3);
    histogram_add(&worker_counters(h.workers[0])->wait, 1234);
    char *text = metrics_of(&h);
    FILE *tool = popen("promtool check metrics", "w");
    assert_non_null(tool);
    fputs(text, tool);
    int status = pclose(tool);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    free(text);
    house_close(&h);
}

static void the_document_is_what_the_program_says(void **state)
{
    char *text, kept[64 * 1024];
    (void)state;
    printed(text, to, http_print_markdown(to));
    FILE *f = fopen("docs/metrics.md", "r");
    if (f == NULL)
        fail_msg("docs/metrics.md: %s", strerror(errno));
    kept[fread(kept, 1, sizeof kept - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(kept, text);
    free(text);
}

int main(int argc, char **argv)
{
    /* To make docs/metrics.md anew. */
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        http_print_markdown(stdout);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_of_all_workers_are_added),
        cmocka_unit_test(servers_and_groups_have_their_state),
        cmocka_unit_test(without_a_primary_volvox_is_not_ready),
        cmocka_unit_test(histograms_add_up),
        cmocka_unit_test(every_name_has_one_head_and_its_lines_together),
        cmocka_unit_test(names_are_escaped_in_labels),
        cmocka_unit_test(promtool_has_no_complaints),
        cmocka_unit_test(the_document_is_what_the_program_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
