/* Every option with its value and where it was set. */
#include "unit/config/texts.h"

static unsigned option_index(const char *section, const char *name)
{
    for (unsigned i = 0; i < n_options; i++)
        if (strcmp(options[i].section, section) == 0 && strcmp(options[i].name, name) == 0)
            return i;
    fail_msg("no option %s of [%s]", name, section);
    return 0;
}

static void check(const struct config *c, const char *section, unsigned at, const char *option,
                  const char *value, const char *where)
{
    struct setting s;
    assert_true(config_setting(c, option_index(section, option), at, &s));
    assert_string_equal(s.value, value);
    assert_string_equal(s.where, where);
}

static const char text[] = "[volvox]\nqueue_timeout = 3s\nmonitor_password = geheim\n"
                           "[group g]\n[listener l]\n[listener m]\naddress = 127.0.0.1:1\ngroup = g\n"
                           "[server s]\naddress = 127.0.0.1\n"
                           "[user zoe]\npassword = geheim\nschema = shop\n[user adam]\n"
                           "[admin_user o]\npassword = geheim\naccess = full\n";

static void values_and_their_lines_are_told(void **state)
{
    (void)state;
    struct config *c = good(text);
    check(c, "volvox", 0, "queue_timeout", "3s", "file test.ini:2");
    check(c, "volvox", 0, "linger", "2s", "default");
    check(c, "group", 0, "balance", "least-outstanding", "default");
    check(c, "listener", 1, "address", "127.0.0.1:1", "file test.ini:7");
    check(c, "listener", 0, "group", "", "default");
    check(c, "listener", 1, "group", "g", "file test.ini:8");
    check(c, "server", 0, "group", "g", "default");
    check(c, "admin", 0, "address", "127.0.0.1:6032", "default");
    check(c, "admin_user", 0, "access", "full", "file test.ini:17");
    /* users are sorted by name */
    assert_string_equal(c->users[0].name, "adam");
    check(c, "user", 0, "schema", "", "default");
    check(c, "user", 1, "schema", "shop", "file test.ini:13");
    check(c, "user", 1, "server_user", "zoe", "default");
    config_drop(c);
}

static void secrets_are_not_told(void **state)
{
    (void)state;
    struct config *c = good(text);
    check(c, "volvox", 0, "monitor_password", "***", "file test.ini:3");
    check(c, "user", 1, "password", "***", "file test.ini:12");
    check(c, "user", 1, "server_password", "***", "default");
    check(c, "user", 0, "password", "", "default");
    check(c, "admin_user", 0, "password", "***", "file test.ini:16");
    config_drop(c);
}

static void what_was_set_at_run_time_is_told_so(void **state)
{
    struct overrides o = OVERRIDES_NONE;
    struct setting_name name;
    struct fault why;
    struct complaints out;
    (void)state;
    struct config *c = good(text);
    assert_true(setting_name_read(c, bytes_str("queue_timeout"), &name, &why));
    assert_true(overrides_set(&o, c, &name, bytes_str("5s"), &why));
    struct config *next = config_change(c, &o, &out);
    complaints_release(&out);
    check(next, "volvox", 0, "queue_timeout", "5s", "runtime");
    check(next, "volvox", 0, "monitor_password", "***", "file test.ini:3");
    config_drop(next);
    overrides_release(&o);
    next = config_change(c, &o, &out);
    complaints_release(&out);
    check(next, "volvox", 0, "queue_timeout", "3s", "file test.ini:2");
    config_drop(next);
    config_drop(c);
}

static void a_value_that_needs_a_restart_keeps_its_place(void **state)
{
    (void)state;
    struct config *now = good("[volvox]\n\n\nworkers = 2\n" REST);
    struct config *next = good("[volvox]\nworkers = 3\n" REST);
    free(config_diff(now, next));
    check(next, "volvox", 0, "workers", "2", "file test.ini:4");
    config_drop(now);
    config_drop(next);
}

struct tally {
    unsigned rows, users, secrets;
    const char *last_section;
};

static void add_row(void *arg, const struct setting *s)
{
    struct tally *t = arg;
    t->rows++;
    t->users += strcmp(s->option->section, "user") == 0;
    if (strstr(s->value, "geheim") != NULL)
        t->secrets++;
    t->last_section = s->option->section;
}

static unsigned options_of(const char *section)
{
    unsigned n = 0;
    for (unsigned i = 0; i < n_options; i++)
        n += strcmp(options[i].section, section) == 0;
    return n;
}

static void the_walk_meets_every_option_of_every_section(void **state)
{
    struct tally t = { 0, 0, 0, NULL };
    (void)state;
    struct config *c = good(text);
    config_walk_settings(c, add_row, &t);
    assert_int_equal(t.users, 2 * options_of("user"));
    /* two users and two listeners, one of everything else */
    assert_int_equal(t.rows, n_options + options_of("user") + options_of("listener"));
    assert_int_equal(t.secrets, 0);
    struct setting s;
    assert_false(config_setting(c, n_options, 0, &s));
    assert_false(config_setting(c, option_index("user", "schema"), 2, &s));
    assert_false(config_setting(c, option_index("volvox", "workers"), 1, &s));
    config_drop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_their_lines_are_told),
        cmocka_unit_test(secrets_are_not_told),
        cmocka_unit_test(what_was_set_at_run_time_is_told_so),
        cmocka_unit_test(a_value_that_needs_a_restart_keeps_its_place),
        cmocka_unit_test(the_walk_meets_every_option_of_every_section),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
