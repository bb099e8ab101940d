/* What is set at run time: what may be, and what it makes of the configuration. */
#include "unit/config/texts.h"

#define TEXT MONITOR "queue_timeout = 3s\n" REST "[server db.2]\naddress = 127.0.0.2\n" \
    "[admin_user o]\npassword = p\n"

/* SET `setting` = `value`, as an operator says it. */
static bool set(struct overrides *o, const struct config *c, const char *setting, const char *value,
                struct fault *why)
{
    struct setting_name name;
    *why = FAULT_NONE;
    return setting_name_read(c, bytes_str(setting), &name, why) &&
           overrides_set(o, c, &name, bytes_str(value), why);
}

static void must_set(struct overrides *o, const struct config *c, const char *setting,
                     const char *value)
{
    struct fault why;
    if (!set(o, c, setting, value, &why))
        fail_msg("%s: %s", setting, why.text);
}

static struct config *with(const char *text, const struct overrides *o, char **told)
{
    struct complaints out;
    struct config *c = config_parse_with(bytes_str(text), "test.ini", o, &out);
    *told = complaints_text(&out);
    complaints_release(&out);
    return c;
}

static void a_setting_is_named_by_section_name_and_option(void **state)
{
    struct setting_name n;
    struct fault why = FAULT_NONE;
    (void)state;
    struct config *c = good(TEXT);
    assert_true(setting_name_read(c, bytes_str(" queue_timeout "), &n, &why));
    assert_true(bytes_equal(n.section, BYTES_LITERAL("volvox")));
    assert_int_equal(n.name.len, 0);
    assert_true(bytes_equal(n.key, BYTES_LITERAL("queue_timeout")));
    assert_true(setting_name_read(c, bytes_str("volvox.queue_timeout"), &n, &why));
    assert_true(bytes_equal(n.section, BYTES_LITERAL("volvox")));
    assert_true(setting_name_read(c, bytes_str("server  db.2 . weight"), &n, &why));
    assert_true(bytes_equal(n.section, BYTES_LITERAL("server")));
    assert_true(bytes_equal(n.name, BYTES_LITERAL("db.2")));
    assert_true(bytes_equal(n.key, BYTES_LITERAL("weight")));
    assert_true(setting_name_read(c, bytes_str("group main.max_lag"), &n, &why));
    config_drop(c);
}

static void a_setting_that_is_not_there_is_answered_with_a_suggestion(void **state)
{
    static const char *const cases[][2] = {
        { "queue_timeuot", "[volvox] has no option \"queue_timeuot\"; did you mean "
                           "\"queue_timeout\"?" },
        { "sever db1.weight", "there is no section [sever]; did you mean \"server\"?" },
        { "server db3.weight", "there is no [server db3]; did you mean \"db1\"?" },
        { "server.weight", "say which server: \"server NAME.option\"" },
        { "admin x.address", "[admin] has no name" },
        { "user u.pasword", "[user] has no option \"pasword\"; did you mean \"password\"?" },
        { "", "[volvox] has no option \"\"" },
        { ".", "there is no section []" },
    };
    (void)state;
    struct config *c = good(TEXT);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct setting_name n;
        struct fault why = FAULT_NONE;
        assert_false(setting_name_read(c, bytes_str(cases[i][0]), &n, &why));
        assert_string_equal(why.text, cases[i][1]);
        assert_int_equal(why.blame, BLAME_POLICY);
    }
    config_drop(c);
}

static void what_needs_a_restart_or_makes_no_sense_is_refused(void **state)
{
    static const char *const cases[][3] = {
        { "workers", "3",
          "workers can only be changed in the configuration file, with a restart" },
        { "runtime_file", "/etc/passwd",
          "runtime_file can only be set in the configuration file" },
        { "queue_timeout", "10",
          "queue_timeout: \"10\" is not a time such as 500ms, 10s, 5m or 2h" },
        { "server db1.weight", "65536", "weight: \"65536\" is not between 0 and 65535" },
        { "user u.schema", "a\nb", "schema: no control characters and at most 4096 bytes" },
    };
    struct overrides o = OVERRIDES_NONE;
    (void)state;
    struct config *c = good(TEXT);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct fault why;
        assert_false(set(&o, c, cases[i][0], cases[i][1], &why));
        assert_string_equal(why.text, cases[i][2]);
    }
    assert_int_equal(o.count, 0);
    config_drop(c);
}

static void overrides_win_over_the_file(void **state)
{
    struct overrides o = OVERRIDES_NONE;
    char *told;
    (void)state;
    struct config *c = good(TEXT);
    must_set(&o, c, "queue_timeout", "1s");
    must_set(&o, c, "queue_timeout", "700ms");
    must_set(&o, c, "server db.2.weight", "7");
    must_set(&o, c, "group main.reads", "all");
    must_set(&o, c, "admin.max_connections", "3");
    assert_int_equal(o.count, 4);
    struct config *next = with(TEXT, &o, &told);
    assert_string_equal(told, "");
    assert_int_equal(next->settings.queue_timeout_ms, 700);
    assert_int_equal(next->servers[1].weight, 7);
    assert_int_equal(next->servers[0].weight, 100);
    assert_int_equal(next->groups[0].reads, READS_ALL);
    assert_int_equal(next->n_groups, 1);
    assert_int_equal(next->admin.max_connections, 3);
    free(told);
    config_drop(next);
    config_drop(c);
    overrides_release(&o);
}

static void what_only_shows_together_is_found_by_the_change(void **state)
{
    struct overrides o = OVERRIDES_NONE;
    struct complaints out;
    (void)state;
    struct config *c = good(TEXT);
    must_set(&o, c, "server db.2.address", "127.0.0.1");
    must_set(&o, c, "log_areas", "pool");
    assert_null(config_change(c, &o, &out));
    char *told = complaints_text(&out);
    assert_non_null(strstr(told, "0: error: the address is that of [server db1] in line 7\n"));
    assert_non_null(strstr(told, "0: error: log_areas: \"pool\" is not area=level"));
    assert_string_equal(out.items[0].file, "runtime");
    complaints_release(&out);
    free(told);
    config_drop(c);
    overrides_release(&o);
}

static void a_password_takes_the_place_of_its_file(void **state)
{
    static const char text[] = REST "[user v]\npassword_file = absent\n";
    struct overrides o = OVERRIDES_NONE;
    char *told;
    (void)state;
    struct config *c = good(REST "[user v]\n");
    must_set(&o, c, "user v.password", "new \\ \"one\" ;");
    struct config *next = with(text, &o, &told);
    assert_non_null(next);
    assert_string_equal(config_user(next, BYTES_LITERAL("v"))->secret.clear, "new \\ \"one\" ;");
    free(told);
    config_drop(next);

    must_set(&o, c, "user v.password_file", "elsewhere");
    assert_int_equal(o.count, 1);
    assert_string_equal(o.items[0].key, "password_file");
    config_drop(c);
    overrides_release(&o);
}

static void overrides_of_what_is_gone_are_only_warned_of(void **state)
{
    struct overrides o = OVERRIDES_NONE;
    char *told;
    (void)state;
    struct config *c = good(TEXT);
    must_set(&o, c, "server db.2.weight", "7");
    must_set(&o, c, "group main.reads", "all");
    struct config *next = with(MONITOR "[group shop]\n" REST, &o, &told);
    assert_non_null(next);
    assert_string_equal(told,
                        "0: warning: there is no [server db.2] any more: what was set for it at "
                        "run time is ignored\n"
                        "0: warning: there is no [group main] any more: what was set for it at run "
                        "time is ignored\n" NO_ADMIN);
    assert_int_equal(next->n_servers, 1);
    assert_int_equal(next->n_groups, 1);
    free(told);
    config_drop(next);
    config_drop(c);
    overrides_release(&o);
}

static void a_copy_stands_for_itself(void **state)
{
    struct overrides o = OVERRIDES_NONE, copy;
    struct setting_name name;
    struct fault why;
    (void)state;
    struct config *c = good(TEXT);
    must_set(&o, c, "queue_timeout", "1s");
    must_set(&o, c, "linger", "1s");
    overrides_copy(&copy, &o);
    assert_true(setting_name_read(c, bytes_str("queue_timeout"), &name, &why));
    assert_true(overrides_remove(&o, &name));
    assert_false(overrides_remove(&o, &name));
    assert_int_equal(o.count, 1);
    assert_string_equal(o.items[0].key, "linger");
    assert_int_equal(copy.count, 2);
    assert_string_equal(copy.items[0].key, "queue_timeout");
    assert_string_equal(copy.items[0].value, "1s");
    overrides_release(&o);
    overrides_release(&copy);
    config_drop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_setting_is_named_by_section_name_and_option),
        cmocka_unit_test(a_setting_that_is_not_there_is_answered_with_a_suggestion),
        cmocka_unit_test(what_needs_a_restart_or_makes_no_sense_is_refused),
        cmocka_unit_test(overrides_win_over_the_file),
        cmocka_unit_test(what_only_shows_together_is_found_by_the_change),
        cmocka_unit_test(a_password_takes_the_place_of_its_file),
        cmocka_unit_test(overrides_of_what_is_gone_are_only_warned_of),
        cmocka_unit_test(a_copy_stands_for_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
