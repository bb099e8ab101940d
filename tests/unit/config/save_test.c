/* SAVE CONFIG: the file it writes, and how that is read. */
#include "unit/config/texts.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static char *path_of(const char *name)
{
    static char path[2][128];
    static unsigned turn;
    char *out = path[turn++ % 2];
    snprintf(out, sizeof(path[0]), "%s/%s", dir, name);
    return out;
}

static void write_file(const char *name, const char *text)
{
    FILE *out = fopen(path_of(name), "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static unsigned count_files(void)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/volvox-save-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    static const char *const names[] = { "a.ini", "run.ini", "secret", "" };
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        remove(path_of(names[i]));
    return 0;
}

static struct config *load(const struct overrides *o, char **told)
{
    struct complaints out;
    struct config *c = config_load_with(path_of("a.ini"), o, &out);
    *told = complaints_text(&out);
    complaints_release(&out);
    return c;
}

/* A good one that is told nothing. */
static struct config *load_quietly(const struct overrides *o)
{
    char *told;
    struct config *c = load(o, &told);
    assert_string_equal(told, "");
    free(told);
    return c;
}

static void set(struct overrides *o, const struct config *c, const char *setting, const char *value)
{
    struct setting_name name;
    struct fault why = FAULT_NONE;
    if (!setting_name_read(c, bytes_str(setting), &name, &why) ||
        !overrides_set(o, c, &name, bytes_str(value), &why))
        fail_msg("%s", why.text);
}

#define OPERATOR "[admin_user o]\npassword = p\n"

static void whatever_is_saved_is_read_again(void **state)
{
    struct overrides o = OVERRIDES_NONE, again;
    struct fault why = FAULT_NONE;
    char longest[4097];
    (void)state;
    for (unsigned i = 0; i < sizeof(longest) - 1; i++)
        longest[i] = "\"\\; #[]=:a\xC3\xA4 "[i % 13];
    longest[sizeof(longest) - 1] = '\0';
    struct config *c = good(REST "[user v]\n");
    set(&o, c, "user v.password", longest);
    set(&o, c, "queue_timeout", "3s");
    set(&o, c, "user v.schema", " # ; ");
    set(&o, c, "log_areas", "");
    set(&o, c, "user u.password", "\\");
    assert_true(overrides_save(&o, path_of("run.ini"), &why));
    assert_true(overrides_load(&again, path_of("run.ini"), &why));
    assert_int_equal(again.count, o.count);
    for (unsigned i = 0; i < o.count; i++) {
        bool found = false;
        for (unsigned j = 0; j < again.count; j++)
            found |= strcmp(o.items[i].section, again.items[j].section) == 0 &&
                     strcmp(o.items[i].name, again.items[j].name) == 0 &&
                     strcmp(o.items[i].key, again.items[j].key) == 0 &&
                     strcmp(o.items[i].value, again.items[j].value) == 0;
        if (!found)
            fail_msg("[%s %s] %s", o.items[i].section, o.items[i].name, o.items[i].key);
    }
    overrides_release(&o);
    overrides_release(&again);
    config_drop(c);
}

static void the_file_is_private_and_nothing_is_left_beside_it(void **state)
{
    struct overrides o = OVERRIDES_NONE;
    struct fault why = FAULT_NONE;
    struct stat st;
    (void)state;
    write_file("run.ini", "");
    unsigned before = count_files();
    assert_true(overrides_save(&o, path_of("run.ini"), &why));
    assert_int_equal(stat(path_of("run.ini"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(count_files(), before);
}

static void what_can_not_be_written_leaves_the_old_file(void **state)
{
    struct overrides o = OVERRIDES_NONE;
    struct fault why = FAULT_NONE;
    (void)state;
    assert_false(overrides_save(&o, path_of("absent/run.ini"), &why));
    assert_non_null(strstr(why.text, "No such file or directory"));
    unsigned before = count_files();
    assert_int_equal(mkdir(path_of("secret"), 0700), 0);
    assert_false(overrides_save(&o, path_of("secret"), &why));
    assert_non_null(strstr(why.text, "Is a directory"));
    assert_int_equal(count_files(), before + 1);
    assert_int_equal(rmdir(path_of("secret")), 0);
}

static void without_a_runtime_file_the_option_is_named(void **state)
{
    struct overrides o = OVERRIDES_NONE;
    struct fault why = FAULT_NONE;
    (void)state;
    struct config *c = good(REST);
    assert_null(config_save(c, &o, &why));
    assert_string_equal(why.text, "set runtime_file in [volvox] of test.ini to a path, and reload: "
                                  "it names the file to save to");
    config_drop(c);
}

static void a_saved_change_outlives_the_process(void **state)
{
    struct overrides o = OVERRIDES_NONE;
    struct fault why = FAULT_NONE;
    struct setting s;
    char where[200];
    (void)state;
    remove(path_of("run.ini"));
    write_file("a.ini", MONITOR "runtime_file = run.ini\nqueue_timeout = 2s\nlinger = 1s\n" REST
                                OPERATOR);
    struct config *c = load_quietly(&o);
    set(&o, c, "server db1.weight", "7");
    set(&o, c, "queue_timeout", "3s");
    char *path = config_save(c, &o, &why);
    assert_string_equal(path, path_of("run.ini"));
    mem_free(path);
    overrides_release(&o);
    config_drop(c);

    c = load_quietly(NULL);
    assert_int_equal(c->servers[0].weight, 7);
    assert_int_equal(c->settings.queue_timeout_ms, 3000);
    assert_int_equal(c->settings.linger_ms, 1000);
    for (unsigned i = 0; i < n_options; i++)
        if (strcmp(options[i].section, "server") == 0 && strcmp(options[i].name, "weight") == 0)
            assert_true(config_setting(c, i, 0, &s));
    snprintf(where, sizeof(where), "file %s:5", path_of("run.ini"));
    assert_string_equal(s.where, where);

    /* A second save keeps what the first has saved, and only changes what was set since. */
    set(&o, c, "queue_timeout", "4s");
    mem_free(config_save(c, &o, &why));
    overrides_release(&o);
    config_drop(c);
    c = load_quietly(NULL);
    assert_int_equal(c->servers[0].weight, 7);
    assert_int_equal(c->settings.queue_timeout_ms, 4000);
    config_drop(c);
}

static void complaints_name_the_file_they_are_about(void **state)
{
    struct complaints out;
    char *told;
    (void)state;
    write_file("a.ini", MONITOR "runtime_file = run.ini\nworkers = x\n" REST OPERATOR);
    write_file("run.ini", "[volvox]\nlinger = y\nlingr = 1s\nruntime_file = b.ini\n[server gone]\n"
                          "weight = 1\n");
    struct config *c = config_load_with(path_of("a.ini"), NULL, &out);
    assert_null(c);
    told = complaints_text(&out);
    assert_string_equal(told,
                        "5: error: workers: \"x\" is not a whole number\n"
                        "2: error: linger: \"y\" is not a time such as 500ms, 10s, 5m or 2h\n"
                        "3: error: unknown option \"lingr\" in [volvox]; did you mean \"linger\"?\n"
                        "4: error: runtime_file: can only be set in the main file\n"
                        "5: warning: there is no [server gone] any more: what was set for it at run "
                        "time is ignored\n");
    assert_string_equal(out.items[0].file, path_of("a.ini"));
    for (unsigned i = 1; i < 5; i++)
        assert_string_equal(out.items[i].file, path_of("run.ini"));
    complaints_release(&out);
    free(told);
}

static void a_runtime_file_that_can_not_be_read_is_an_error(void **state)
{
    char *told;
    (void)state;
    write_file("a.ini", MONITOR "runtime_file = a.ini/x\n" REST OPERATOR);
    assert_null(load(NULL, &told));
    assert_non_null(strstr(told, "4: error: runtime_file: can't read"));
    free(told);
}

static void a_change_sees_the_files_as_they_were(void **state)
{
    struct overrides o = OVERRIDES_NONE;
    struct complaints out;
    (void)state;
    write_file("secret", "geheim\n");
    write_file("run.ini", "[volvox]\nlinger = 3s\n");
    write_file("a.ini", MONITOR "runtime_file = run.ini\n[listener l]\n[server s]\n"
                                "address = localhost\n[user u]\npassword_file = secret\n"
                                "server_password_file = secret\n[admin_user o]\n"
                                "password_file = secret\n");
    struct config *c = load_quietly(NULL);
    write_file("a.ini", "nonsense");
    write_file("run.ini", "nonsense");
    remove(path_of("secret"));
    c->servers[0].resolved.in4.sin_port = htons(4711); /* as no name server says any more */
    set(&o, c, "queue_timeout", "4s");
    struct config *next = config_change(c, &o, &out);
    for (unsigned i = 0; i < out.count; i++)
        print_message("%s\n", out.items[i].text);
    assert_int_equal(out.count, 0);
    assert_int_equal(next->settings.queue_timeout_ms, 4000);
    assert_int_equal(next->settings.linger_ms, 3000);
    assert_string_equal(next->users[0].secret.clear, "geheim");
    assert_string_equal(next->users[0].account->secret.clear, "geheim");
    assert_string_equal(next->admin_users[0].secret.clear, "geheim");
    assert_int_equal(next->servers[0].resolved.in4.sin_port, htons(4711));
    char *words = config_diff(c, next);
    assert_string_equal(words, "queue_timeout: 10s -> 4s\n");
    free(words);
    complaints_release(&out);
    overrides_release(&o);
    config_drop(next);
    config_drop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_saved_is_read_again),
        cmocka_unit_test(the_file_is_private_and_nothing_is_left_beside_it),
        cmocka_unit_test(what_can_not_be_written_leaves_the_old_file),
        cmocka_unit_test(without_a_runtime_file_the_option_is_named),
        cmocka_unit_test(a_saved_change_outlives_the_process),
        cmocka_unit_test(complaints_name_the_file_they_are_about),
        cmocka_unit_test(a_runtime_file_that_can_not_be_read_is_an_error),
        cmocka_unit_test(a_change_sees_the_files_as_they_were),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
