/* TLS: the files that sections name, and the contexts they give. */
#include "unit/config/texts.h"
#include "unit/net/certificates.h"

#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static struct made ca, server, other, expired, early;

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static const char *const files[] = {
    "a.ini",       "ca.pem",    "server.pem", "server.key", "other.pem",
    "expired.pem", "early.pem", "empty.pem",  "both.pem",   ""
};

static int make_all(void **state)
{
    char both[8192];
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/volvox-config-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    ca = make_certificate("authority", NULL, NULL);
    server = make_certificate("db.test", "DNS:db.test", &ca);
    other = make_certificate("other", NULL, NULL);
    expired = make_certificate_for("old", NULL, &ca, -86400, -3600);
    early = make_certificate_for("early", NULL, &ca, 86400, 2 * 86400);
    write_file("ca.pem", ca.certificate);
    write_file("server.pem", server.certificate);
    write_file("server.key", server.key);
    snprintf(both, sizeof(both), "%s%s", server.certificate, server.key);
    write_file("both.pem", both);
    snprintf(both, sizeof(both), "%s%s", other.certificate, other.key);
    write_file("other.pem", both);
    snprintf(both, sizeof(both), "%s%s", expired.certificate, expired.key);
    write_file("expired.pem", both);
    snprintf(both, sizeof(both), "%s%s", early.certificate, early.key);
    write_file("early.pem", both);
    write_file("empty.pem", "");
    return 0;
}

static int free_all(void **state)
{
    struct made *all[] = { &ca, &server, &other, &expired, &early };
    char path[128];
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        made_free(all[i]);
    for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        remove(path);
    }
    return 0;
}

/* NULL after errors; what it was told is for the caller to free. */
static struct config *load(const char *text, char **told)
{
    struct complaints out;
    char path[128];
    write_file("a.ini", text);
    snprintf(path, sizeof(path), "%s/a.ini", dir);
    struct config *c = config_load(path, &out);
    *told = complaints_text(&out);
    complaints_release(&out);
    return c;
}

static void told(const char *text, const char *complaints)
{
    char *got, expected[4096];
    struct config *c = load(text, &got);
    snprintf(expected, sizeof(expected), "%s" NO_ADMIN, complaints);
    assert_string_equal(got, expected);
    free(got);
    config_drop(c);
}

static struct config *loaded(const char *text)
{
    char *got;
    struct config *c = load(text, &got);
    if (c == NULL)
        fail_msg("refused: %s", got);
    free(got);
    return c;
}

static void by_default_clients_and_servers_may_use_tls(void **state)
{
    (void)state;
    struct config *c = loaded(MONITOR REST);
    assert_non_null(c->settings.tls_context);
    assert_int_equal(c->listeners[0].tls, TLS_PREFERRED);
    assert_ptr_equal(c->listeners[0].tls_context, c->settings.tls_context);
    assert_int_equal(tls_context_want(c->servers[0].tls_context), TLS_PREFERRED);
    assert_int_equal(c->users[0].tls, USER_TLS_ANY);
    assert_int_equal(c->admin.tls, TLS_PREFERRED);
    config_drop(c);
}

static void what_is_disabled_or_a_unix_socket_has_no_context(void **state)
{
    (void)state;
    struct config *c =
        loaded(MONITOR "[listener l]\ntls = disabled\n[group g]\ntls = disabled\n"
                       "[server a]\naddress = 127.0.0.1\nrole = primary\n"
                       "[server b]\naddress = /tmp/no.sock\ntls = required\n"
                       "[server c]\naddress = 127.0.0.2\ntls = required\n[user u]\n");
    assert_null(c->listeners[0].tls_context);
    assert_null(c->servers[0].tls_context);
    assert_null(c->servers[1].tls_context);
    assert_int_equal(tls_context_want(c->servers[2].tls_context), TLS_REQUIRED);
    config_drop(c);
}

#define FILES "tls_certificate = server.pem\ntls_key = server.key\ntls_ca = ca.pem\n"

static void sections_inherit_pairs_of_files(void **state)
{
    (void)state;
    struct config *c = loaded(
        MONITOR FILES "[listener a]\n[listener b]\naddress = 127.0.0.1:6034\n"
                      "tls_certificate = other.pem\n"
                      "[listener c]\naddress = 127.0.0.1:6035\ntls_certificate = both.pem\n"
                      "[group g]\ntls = verify-ca\n" FILES "[server s]\naddress = 127.0.0.1\n"
                      "[server t]\naddress = 127.0.0.2\ntls_certificate = other.pem\n"
                      "tls = verify-identity\ntls_server_name = db.test\n[user u]\n");
    assert_ptr_equal(c->listeners[0].tls_context, c->settings.tls_context);
    assert_ptr_not_equal(c->listeners[1].tls_context, c->settings.tls_context);
    assert_ptr_not_equal(c->listeners[2].tls_context, c->listeners[1].tls_context);
    assert_int_equal(tls_context_want(c->servers[0].tls_context), TLS_VERIFY_CA);
    assert_int_equal(tls_context_want(c->servers[1].tls_context), TLS_VERIFY_IDENTITY);
    assert_non_null(strstr(c->servers[0].tls_certificate_path, "/server.pem"));
    assert_non_null(strstr(c->servers[0].tls_key_path, "/server.key"));
    assert_non_null(strstr(c->servers[1].tls_key_path, "/other.pem"));
    config_drop(c);
}

static void what_is_wrong_with_a_file_is_told_once_with_its_line(void **state)
{
    (void)state;
    char expected[1024];
    snprintf(expected, sizeof(expected),
             "4: error: tls_certificate: can't read \"%s/absent.pem\": No such file or directory\n"
             "5: error: tls_ca: \"%s/empty.pem\" is empty\n",
             dir, dir);
    told(MONITOR "tls_certificate = absent.pem\ntls_ca = empty.pem\n" REST, expected);
    told(MONITOR
         "tls_certificate = server.key\n[listener a]\n[listener b]\naddress = 127.0.0.1:6034\n"
         "[server s]\naddress = 127.0.0.1\n[user u]\npassword = p\n",
         "4: error: tls_certificate: \"server.key\": no start line\n");
    told(MONITOR "tls_certificate = server.pem\ntls_key = other.pem\n" REST,
         "5: error: tls_key: \"other.pem\": key values mismatch\n");
    told(MONITOR "tls_certificate = server.pem\n" REST,
         "4: error: tls_certificate: \"server.pem\": no private key without a pass phrase in it\n");
    told(MONITOR "tls_key = server.key\n" REST,
         "4: error: tls_key: there is no tls_certificate that it could belong to\n");
    told(MONITOR "tls_ca = server.key\n" REST, "4: error: tls_ca: \"server.key\": no start line\n");
    told(MONITOR "tls_crl = ca.pem\n" REST, "4: error: tls_crl: \"ca.pem\": no start line\n");
    told(MONITOR "tls_ciphers = NONSENSE\n" REST,
         "4: error: tls_ciphers: \"NONSENSE\": no cipher match\n");
    told(MONITOR "tls_ciphersuites = NONSENSE\n" REST,
         "4: error: tls_ciphersuites: \"NONSENSE\": no cipher match\n");
    told(MONITOR "tls_min_version = SSLv3\n" REST,
         "4: error: tls_min_version: \"SSLv3\" is not one of TLSv1.2, TLSv1.3\n");
}

static void a_group_s_file_is_complained_of_once_for_all_its_servers(void **state)
{
    (void)state;
    told(MONITOR "[listener l]\n[group g]\ntls = verify-ca\ntls_ca = server.key\n[server a]\n"
                 "address = 127.0.0.1\n[server b]\naddress = 127.0.0.2\nrole = replica\n"
                 "[user u]\npassword = p\n",
         "7: error: tls_ca: \"server.key\": no start line\n");
}

static void a_certificate_out_of_its_time_is_warned_of(void **state)
{
    (void)state;
    char *got;
    struct config *c = load(MONITOR "tls_certificate = expired.pem\n" REST, &got);
    assert_non_null(c);
    assert_non_null(strstr(got, "4: warning: tls_certificate: \"expired.pem\" has expired on 2"));
    free(got);
    config_drop(c);
    c = load(MONITOR "tls_certificate = early.pem\n" REST, &got);
    assert_non_null(c);
    assert_non_null(
        strstr(got, "4: warning: tls_certificate: \"early.pem\" is not valid before 2"));
    free(got);
    config_drop(c);
}

static void what_has_no_effect_or_locks_out_is_warned_of(void **state)
{
    (void)state;
    told(MONITOR "[listener l]\n[group g]\ntls_ca = ca.pem\n[server s]\naddress = 127.0.0.1\n"
                 "[user u]\npassword = p\n",
         "6: warning: tls_ca: nothing is verified with tls = preferred; verify-ca and "
         "verify-identity do\n");
    told(MONITOR REST "tls = x509\n[user v]\npassword = p\ntls_subject = /CN=v\n"
                      "[user w]\npassword = p\ntls_issuer = /CN=v\n",
         "9: warning: [user u] can't log in: no listener has tls_ca to believe its certificate\n"
         "12: warning: [user v] can't log in: no listener has tls_ca to believe its certificate\n"
         "15: warning: [user w] can't log in: no listener has tls_ca to believe its certificate\n");
    told(MONITOR "[listener l]\ntls = disabled\n[server s]\naddress = 127.0.0.1\n[user u]\n"
                 "password = p\ntls = required\n",
         "10: warning: [user u] can't log in but over a unix socket: no listener offers TLS\n");
    told(MONITOR "tls_ca = ca.pem\n" REST "tls = x509\n", "");
}

static void without_files_to_read_there_is_no_tls(void **state)
{
    (void)state;
    struct config *c = good(MONITOR REST);
    assert_null(c->settings.tls_context);
    assert_null(c->servers[0].tls_context);
    config_drop(c);
    expect(MONITOR "tls_certificate = server.pem\n" REST,
           "4: error: tls_certificate: files are not read here\n");
}

/* ---- reload -------------------------------------------------------------------------- */

#define WITH_FILES                                                                                 \
    MONITOR FILES "[listener l]\n[group g]\n" FILES "tls = verify-ca\n"                            \
                  "[server s]\naddress = 127.0.0.1\n[user u]\npassword = p\n"

static void a_reload_that_changes_nothing_keeps_the_contexts(void **state)
{
    (void)state;
    struct config *now = loaded(WITH_FILES), *next = loaded(WITH_FILES);
    assert_ptr_equal(now->listeners[0].tls_context, next->listeners[0].tls_context);
    assert_ptr_equal(now->servers[0].tls_context, next->servers[0].tls_context);
    char *words = config_diff(now, next);
    assert_string_equal(words, "");
    free(words);
    config_drop(now);
    config_drop(next);
}

static void new_files_under_the_same_names_are_picked_up_and_told_of(void **state)
{
    (void)state;
    struct config *now = loaded(WITH_FILES);
    struct made renewed = make_certificate("db.test", "DNS:db.test", &ca);
    write_file("server.pem", renewed.certificate);
    write_file("server.key", renewed.key);
    struct config *next = loaded(WITH_FILES);
    assert_ptr_not_equal(now->listeners[0].tls_context, next->listeners[0].tls_context);
    assert_ptr_not_equal(now->servers[0].tls_context, next->servers[0].tls_context);
    char *words = config_diff(now, next);
    assert_string_equal(words, "[volvox]: the files of its tls options have changed\n"
                               "[server s]: the files of its tls options have changed\n");
    free(words);
    config_drop(next);
    write_file("server.pem", server.certificate);
    write_file("server.key", server.key);
    made_free(&renewed);
    config_drop(now);
}

static void a_setting_at_run_time_reads_no_file_that_it_does_not_name(void **state)
{
    (void)state;
    struct config *now = loaded(WITH_FILES);
    struct setting_name name;
    struct fault why = FAULT_NONE;
    struct complaints out;
    struct overrides o = OVERRIDES_NONE;
    write_file("server.pem", "spoilt");
    assert_true(setting_name_read(now, BYTES_LITERAL("idle_timeout"), &name, &why));
    assert_true(overrides_set(&o, now, &name, BYTES_LITERAL("7m"), &why));
    struct config *next = config_change(now, &o, &out);
    assert_non_null(next);
    assert_ptr_equal(now->listeners[0].tls_context, next->listeners[0].tls_context);
    assert_ptr_equal(now->servers[0].tls_context, next->servers[0].tls_context);
    complaints_release(&out);
    config_drop(next);
    assert_true(setting_name_read(now, BYTES_LITERAL("server s.tls"), &name, &why));
    assert_true(overrides_set(&o, now, &name, BYTES_LITERAL("required"), &why));
    assert_null(config_change(now, &o, &out)); /* now the server's files are read */
    assert_true(out.errors > 0);
    complaints_release(&out);
    write_file("server.pem", server.certificate);
    next = config_change(now, &o, &out);
    assert_non_null(next);
    assert_int_equal(tls_context_want(next->servers[0].tls_context), TLS_REQUIRED);
    complaints_release(&out);
    config_drop(next);
    overrides_release(&o);
    config_drop(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_default_clients_and_servers_may_use_tls),
        cmocka_unit_test(what_is_disabled_or_a_unix_socket_has_no_context),
        cmocka_unit_test(sections_inherit_pairs_of_files),
        cmocka_unit_test(what_is_wrong_with_a_file_is_told_once_with_its_line),
        cmocka_unit_test(a_group_s_file_is_complained_of_once_for_all_its_servers),
        cmocka_unit_test(a_certificate_out_of_its_time_is_warned_of),
        cmocka_unit_test(what_has_no_effect_or_locks_out_is_warned_of),
        cmocka_unit_test(without_files_to_read_there_is_no_tls),
        cmocka_unit_test(a_reload_that_changes_nothing_keeps_the_contexts),
        cmocka_unit_test(new_files_under_the_same_names_are_picked_up_and_told_of),
        cmocka_unit_test(a_setting_at_run_time_reads_no_file_that_it_does_not_name),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
