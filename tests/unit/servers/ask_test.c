/* One probe against a real MariaDB, and against things that are no server. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "servers/inside.h"

#include "unit/servers/mariadb.h"

#include "base/mem.h"

#include <pthread.h>

static struct mariadb db;
static bool have_db;

#define NEEDS_MARIADB                                          \
    if (!have_db) {                                            \
        print_message("SKIPPED: mariadbd is not installed\n"); \
        skip();                                                \
    }

static struct config *config_for(uint16_t port, const char *settings)
{
    struct complaints out;
    char text[500];
    snprintf(text, sizeof(text), "[volvox]\nmonitor_timeout=1s\n%s\n[server s]\n"
             "address=127.0.0.1:%u\n", settings, port);
    struct config *c = config_parse(bytes_str(text), "test.ini", &out);
    complaints_release(&out);
    assert_non_null(c);
    return c;
}

static struct probe *probe_of(uint16_t port, const char *settings)
{
    struct config *c = config_for(port, settings);
    struct server *s = server_new(&c->servers[0]);
    struct probe *p = probe_new(s, NULL);
    server_drop(s);
    p->config = c;
    return p;
}

static const struct finding *ask(struct probe *p)
{
    p->found = (struct finding){ .alive = false };
    probe_ask(p);
    return &p->found;
}

#define MONITOR "monitor_user=monitor\nmonitor_password=\"se cret\""

static int start(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    sql_start();
    have_db = mariadb_open(&db);
    if (!have_db)
        return 0;
    mariadb_do(&db, "CREATE USER monitor@'%' IDENTIFIED BY 'se cret'");
    mariadb_do(&db, "GRANT SLAVE MONITOR ON *.* TO monitor@'%'");
    mariadb_do(&db, "CREATE USER poor@'%' IDENTIFIED BY 'se cret'");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    if (have_db)
        mariadb_close(&db);
    return 0;
}

static void a_probe_learns_what_the_server_is(void **state)
{
    char collation[64], packet[64];
    (void)state;
    NEEDS_MARIADB
    struct probe *p = probe_of(db.port, MONITOR);
    const struct finding *f = ask(p);
    assert_string_equal(f->why, "");
    assert_true(f->alive && f->answered && f->greeted && f->is_mariadb);
    assert_false(f->read_only || f->replicates || f->lag_known || f->lag_refused);
    mariadb_ask(&db, "SELECT @@global.collation_server", collation, sizeof(collation));
    mariadb_ask(&db, "SELECT @@global.max_allowed_packet", packet, sizeof(packet));
    assert_string_equal(collation_by_id(f->collation)->name, collation);
    assert_int_equal(f->max_allowed_packet, strtoul(packet, NULL, 10));
    probe_free(p);
}

static void sql_and_the_greeting_tell_the_same(void **state)
{
    (void)state;
    NEEDS_MARIADB
    struct probe *p = probe_of(db.port, MONITOR), *q = probe_of(db.port, "");
    const struct finding *a = ask(p), *b = ask(q);
    assert_true(b->alive && b->greeted);
    assert_false(b->answered);
    assert_string_equal(a->version, b->version);
    assert_int_equal(a->version_number, b->version_number);
    assert_in_range(a->version_number, 100000, 200000);
    assert_int_equal(a->is_mariadb, b->is_mariadb);
    assert_int_equal(a->caps, b->caps);
    assert_int_not_equal(a->caps & CAPS_MARIADB, 0);
    probe_free(p);
    probe_free(q);
}

static void read_only_is_seen(void **state)
{
    (void)state;
    NEEDS_MARIADB
    struct probe *p = probe_of(db.port, MONITOR);
    mariadb_do(&db, "SET GLOBAL read_only = 1");
    assert_true(ask(p)->read_only);
    mariadb_do(&db, "SET GLOBAL read_only = 0");
    assert_false(ask(p)->read_only);
    probe_free(p);
}

static void a_wrong_password_does_not_make_the_server_dead(void **state)
{
    (void)state;
    NEEDS_MARIADB
    struct probe *p = probe_of(db.port, "monitor_user=monitor\nmonitor_password=wrong");
    const struct finding *f = ask(p);
    assert_true(f->alive);
    assert_false(f->answered);
    assert_non_null(strstr(f->why, "login: 1045 "));
    probe_free(p);
}

static void without_the_privilege_the_lag_is_not_known(void **state)
{
    (void)state;
    NEEDS_MARIADB
    struct probe *p = probe_of(db.port, "monitor_user=poor\nmonitor_password=\"se cret\"");
    const struct finding *f = ask(p);
    assert_true(f->alive && f->answered && f->lag_refused);
    assert_false(f->lag_known);
    probe_free(p);
}

/* Wait until replication is in the state that the finding shows. */
static const struct finding *ask_until_cut_off(struct probe *p)
{
    for (unsigned i = 0; i < 100 && !ask(p)->is_cut_off; i++)
        usleep(50000);
    return &p->found;
}

static void a_source_out_of_reach_and_a_stopped_replication_are_told_apart(void **state)
{
    char nowhere[200];
    (void)state;
    NEEDS_MARIADB
    struct probe *p = probe_of(db.port, MONITOR);
    snprintf(nowhere, sizeof(nowhere),
             "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%u, MASTER_USER='x', "
             "MASTER_CONNECT_RETRY=1",
             free_port());
    mariadb_do(&db, nowhere);
    const struct finding *f = ask(p);
    assert_true(f->replicates && f->lag_known && !f->is_cut_off);
    assert_int_equal(f->lag_ms, UINT32_MAX);
    mariadb_do(&db, "START SLAVE");
    f = ask_until_cut_off(p);
    assert_true(f->replicates && f->lag_known && f->is_cut_off);
    assert_int_equal(f->lag_ms, 0);
    mariadb_do(&db, "STOP SLAVE");
    f = ask(p);
    assert_false(f->is_cut_off);
    assert_int_equal(f->lag_ms, UINT32_MAX);
    mariadb_do(&db, "RESET SLAVE ALL");
    assert_false(ask(p)->replicates);
    probe_free(p);
}

static void the_connection_is_kept_and_renewed_when_it_died(void **state)
{
    char kill[200];
    (void)state;
    NEEDS_MARIADB
    struct probe *p = probe_of(db.port, MONITOR);
    assert_true(ask(p)->answered);
    struct sql *kept = p->connection;
    assert_non_null(kept);
    assert_true(ask(p)->answered);
    assert_ptr_equal(p->connection, kept);
    mariadb_ask(&db,
                "SELECT CONCAT('KILL ', id) FROM information_schema.processlist "
                "WHERE user = 'monitor'",
                kill, sizeof(kill));
    mariadb_do(&db, kill);
    assert_true(ask(p)->answered);
    assert_string_equal(p->found.why, "");
    probe_free(p);
}

static void a_new_account_is_used_at_once(void **state)
{
    (void)state;
    NEEDS_MARIADB
    struct probe *p = probe_of(db.port, MONITOR);
    assert_true(ask(p)->answered);
    config_drop(p->config);
    p->config = config_for(db.port, "monitor_user=nobody\nmonitor_password=x");
    assert_false(ask(p)->answered);
    assert_true(p->found.alive);
    probe_free(p);
}

/* ---- no server at all ------------------------------------------------------------------- */

struct fake {
    int fd;
    uint16_t port;
    const void *words;        /* sent to whoever connects; NULL: nobody is accepted */
    size_t len;
    pthread_t thread;
};

static void *speak(void *arg)
{
    const struct fake *f = arg;
    int fd;
    while ((fd = accept(f->fd, NULL, NULL)) >= 0) {
        assert_int_equal(send(fd, f->words, f->len, MSG_NOSIGNAL), f->len);
        close(fd);
    }
    return NULL;
}

static void fake_open(struct fake *f, const void *words, size_t len)
{
    *f = (struct fake){ .port = free_port(), .words = words, .len = len };
    f->fd = bound_socket(f->port);
    assert_int_equal(listen(f->fd, 16), 0);
    if (words != NULL)
        assert_int_equal(pthread_create(&f->thread, NULL, speak, f), 0);
}

static void fake_close(struct fake *f)
{
    shutdown(f->fd, SHUT_RDWR);
    if (f->words != NULL)
        pthread_join(f->thread, NULL);
    close(f->fd);
}

/* What both kinds of probe make of it. */
static void expect_dead(uint16_t port)
{
    static const char *const settings[] = { "", MONITOR };
    for (unsigned i = 0; i < 2; i++) {
        struct probe *p = probe_of(port, settings[i]);
        const struct finding *f = ask(p);
        assert_false(f->alive || f->answered || f->greeted);
        assert_int_not_equal(f->why[0], '\0');
        probe_free(p);
    }
}

static void a_refused_connection_is_a_dead_server(void **state)
{
    (void)state;
    uint16_t port = free_port();
    expect_dead(port);
    for (unsigned i = 0; i < 2; i++) {
        struct probe *p = probe_of(port, i == 0 ? "" : MONITOR);
        assert_string_equal(ask(p)->why, "Connection refused");
        probe_free(p);
    }
}

static void a_server_that_hangs_is_dead_after_the_timeout(void **state)
{
    struct fake f;
    (void)state;
    fake_open(&f, NULL, 0);
    alarm(20);
    expect_dead(f.port);
    alarm(0);
    fake_close(&f);
}

static void something_else_than_a_server_is_dead(void **state)
{
    static const char *const words[] = { "HTTP/1.1 400 Bad Request\r\n\r\n", "\x05",
                                         "\x01\0\0\0\x0a", "\0\0\0\0" };
    static const size_t lens[] = { 28, 1, 5, 4 };
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        struct fake f;
        fake_open(&f, words[i], lens[i]);
        expect_dead(f.port);
        fake_close(&f);
    }
}

static void a_server_that_is_full_is_alive(void **state)
{
    static const char full[] = "\x17\0\0\0\xff\x10\x04Too many connections";
    static const char *const settings[] = { "", MONITOR };
    struct fake f;
    (void)state;
    fake_open(&f, full, sizeof(full) - 1);
    for (unsigned i = 0; i < 2; i++) {
        struct probe *p = probe_of(f.port, settings[i]);
        assert_true(ask(p)->alive);
        assert_false(p->found.answered || p->found.greeted);
        probe_free(p);
    }
    fake_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_probe_learns_what_the_server_is),
        cmocka_unit_test(sql_and_the_greeting_tell_the_same),
        cmocka_unit_test(read_only_is_seen),
        cmocka_unit_test(a_wrong_password_does_not_make_the_server_dead),
        cmocka_unit_test(without_the_privilege_the_lag_is_not_known),
        cmocka_unit_test(a_source_out_of_reach_and_a_stopped_replication_are_told_apart),
        cmocka_unit_test(the_connection_is_kept_and_renewed_when_it_died),
        cmocka_unit_test(a_new_account_is_used_at_once),
        cmocka_unit_test(a_refused_connection_is_a_dead_server),
        cmocka_unit_test(a_server_that_hangs_is_dead_after_the_timeout),
        cmocka_unit_test(something_else_than_a_server_is_dead),
        cmocka_unit_test(a_server_that_is_full_is_alive),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
