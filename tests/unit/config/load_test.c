/* Files: the configuration's own and those it names. */
#include "unit/config/texts.h"

#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static struct config *load(const char *name, char **complaints)
{
    struct complaints out;
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    struct config *c = config_load(path, &out);
    *complaints = complaints_text(&out);
    complaints_release(&out);
    return c;
}

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/volvox-config-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    static const char *const names[] = { "a.ini", "secret", "" };
    char path[128];
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        remove(path);
    }
    return 0;
}

static void a_missing_file_is_a_complaint_about_the_whole(void **state)
{
    char *told;
    (void)state;
    assert_null(load("absent.ini", &told));
    assert_string_equal(told, "0: error: can't read the file: No such file or directory\n");
    free(told);
    assert_null(load("", &told));
    assert_string_equal(told, "0: error: can't read the file: Is a directory\n");
    free(told);
}

static void passwords_come_from_the_first_line_of_files_beside_the_configuration(void **state)
{
    char *told;
    (void)state;
    write_file("secret", "s3cret ;#\nsecond line\n");
    write_file("a.ini", "[volvox]\nmonitor_user=m\nmonitor_password_file = secret\n[listener l]\n"
                        "[server s]\naddress=127.0.0.1\n[user u]\npassword_file = secret\n"
                        "server_password = other\n");
    struct config *c = load("a.ini", &told);
    assert_string_equal(told, NO_ADMIN);
    assert_string_equal(c->settings.monitor_password, "s3cret ;#");
    assert_string_equal(c->users[0].secret.clear, "s3cret ;#");
    assert_string_equal(c->users[0].account->secret.clear, "other");
    free(told);
    config_drop(c);
}

static void a_password_file_that_can_not_be_read_is_an_error(void **state)
{
    char *told, expected[512];
    (void)state;
    write_file("a.ini", MONITOR REST "[user v]\npassword_file = absent\n[user w]\npassword=x\n"
                                     "password_file=/dev/null\n");
    assert_null(load("a.ini", &told));
    snprintf(expected, sizeof(expected),
             "10: error: password_file: can't read \"%s/absent\": No such file or directory\n"
             "13: error: either \"password\" or \"password_file\", not both\n" NO_ADMIN,
             dir);
    assert_string_equal(told, expected);
    free(told);
}

static void names_are_resolved_when_the_file_is_loaded(void **state)
{
    char *told;
    (void)state;
    write_file("a.ini", MONITOR "[listener l]\naddress = localhost\n[server s]\n"
                                "address = localhost:3307\n[user u]\npassword=x\n");
    struct config *c = load("a.ini", &told);
    assert_string_equal(told, NO_ADMIN);
    assert_true(c->servers[0].resolved.len > 0);
    assert_string_equal(c->servers[0].address, "localhost:3307");
    free(told);
    config_drop(c);
    write_file("a.ini", MONITOR REST "[server t]\naddress = no-such-host.invalid\n");
    assert_null(load("a.ini", &told));
    assert_non_null(strstr(told, "10: error: address: "));
    free(told);
}

static void snapshots_are_numbered_and_shared(void **state)
{
    (void)state;
    struct config *a = good(REST), *b = good(REST);
    assert_true(b->number > a->number);
    assert_ptr_equal(config_take(a), a);
    config_drop(a);
    assert_string_equal(a->users[0].name, "u");
    config_drop(a);
    config_drop(b);
    config_drop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_file_is_a_complaint_about_the_whole),
        cmocka_unit_test(passwords_come_from_the_first_line_of_files_beside_the_configuration),
        cmocka_unit_test(a_password_file_that_can_not_be_read_is_an_error),
        cmocka_unit_test(names_are_resolved_when_the_file_is_loaded),
        cmocka_unit_test(snapshots_are_numbered_and_shared),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
