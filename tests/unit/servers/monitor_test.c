/* The monitor: a real MariaDB that changes, dies and comes back; servers that hang; reloads. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "servers/inside.h"

#include "unit/servers/mariadb.h"

#include "base/clock.h"
#include "base/mem.h"
#include "stats/stats.h"

#include <fcntl.h>
#include <limits.h>

struct watch_tower {
    struct worker *control;
    struct monitor *monitor;
    unsigned published;
};

static void publish(void *arg, struct topology *t)
{
    struct watch_tower *w = arg;
    w->published++;
    assert_ptr_equal(t, monitor_topology(w->monitor));
    topology_drop(t);
}

static struct config *config_of(const char *text)
{
    struct complaints out;
    struct config *c = config_parse(bytes_str(text), "test.ini", &out);
    if (c == NULL)
        fail_msg("%s", out.items[0].text);
    complaints_release(&out);
    return c;
}

static void tower_open(struct watch_tower *w, const char *text)
{
    struct config *c = config_of(text);
    *w = (struct watch_tower){ .control = worker_new(-1) };
    w->monitor = monitor_new(w->control, c, publish, w);
    config_drop(c);
}

static void tower_close(struct watch_tower *w)
{
    monitor_stop(w->monitor);
    worker_free(w->control);
}

static void tower_reload(struct watch_tower *w, const char *text)
{
    struct config *c = config_of(text);
    monitor_configure(w->monitor, c);
    config_drop(c);
}

static const struct server_state *server_at(const struct watch_tower *w, unsigned i)
{
    return &monitor_topology(w->monitor)->servers[i];
}

/* Run the control loop until `cond` holds, for some seconds at most. */
#define run_until(w, cond)                                             \
    do {                                                               \
        uint64_t end = clock_us() + 20 * 1000000ull;                   \
        while (!(cond) && clock_us() < end) {                          \
            ev_run(worker_loop((w)->control), EVRUN_NOWAIT);           \
            usleep(2000);                                              \
        }                                                              \
        if (!(cond))                                                   \
            fail_msg("never came true: %s", #cond);                    \
    } while (0)

static void run_for(struct watch_tower *w, unsigned ms)
{
    uint64_t end = clock_us() + ms * 1000ull;
    while (clock_us() < end) {
        ev_run(worker_loop(w->control), EVRUN_NOWAIT);
        usleep(2000);
    }
}

static bool last_event_is(const char *kind, const char *who, const char *text)
{
    size_t n;
    struct happening *events = events_copy(&n);
    const struct happening *e = n > 0 ? &events[n - 1] : NULL;
    bool is = e != NULL && strcmp(e->kind, kind) == 0 && strcmp(e->who, who) == 0 &&
              strcmp(e->text, text) == 0;
    if (!is)
        print_message("%s %s %s\n", e != NULL ? e->kind : "", e != NULL ? e->who : "",
                      e != NULL ? e->text : "");
    mem_free(events);
    return is;
}

#define QUICK "[volvox]\nmonitor_interval=100ms\nmonitor_timeout=1s\n"

/* ---- a real server ---------------------------------------------------------------------- */

static unsigned primary_of(const struct watch_tower *w)
{
    return monitor_topology(w->monitor)->groups[0].primary;
}

static struct server *pick(const struct watch_tower *w, enum pick_role role, struct fault *why)
{
    return topology_pick(monitor_topology(w->monitor), 0, role, 1, NULL, 0, why);
}

static void a_server_is_followed_through_its_life(void **state)
{
    struct mariadb db;
    struct watch_tower w;
    struct fault why = FAULT_NONE;
    char text[300];
    (void)state;
    sql_start();
    if (!mariadb_open(&db)) {
        print_message("SKIPPED: mariadbd is not installed\n");
        skip();
    }
    snprintf(text, sizeof(text), QUICK "monitor_user=root\n[server db1]\naddress=127.0.0.1:%u\n",
             db.port);
    tower_open(&w, text);
    assert_true(monitor_first_round(w.monitor, 5, 5));
    assert_int_equal(w.published, 0);
    assert_int_equal(server_at(&w, 0)->health, HEALTH_UP);
    assert_int_equal(primary_of(&w), 0);
    assert_memory_equal(monitor_topology(w.monitor)->groups[0].version, "5.5.5-10.", 9);
    assert_non_null(pick(&w, PICK_PRIMARY, &why));
    struct server *server = server_at(&w, 0)->server;
    assert_in_range(atomic_load(&server->probe_us), 1, 5000000);
    assert_in_range(clock_wall_us() - atomic_load(&server->probed_us), 0, 5000000);

    mariadb_do(&db, "SET GLOBAL read_only = 1");
    run_until(&w, primary_of(&w) == UINT_MAX);
    assert_true(last_event_is("group", "main", "no primary, was db1"));
    assert_true(w.published > 0);
    assert_null(pick(&w, PICK_PRIMARY, &why));
    assert_string_equal(why.text, "volvox: no usable primary in group main (db1: read-only)");
    assert_non_null(pick(&w, PICK_REPLICA, &why));

    mariadb_do(&db, "SET GLOBAL read_only = 0");
    run_until(&w, primary_of(&w) == 0);

    mariadb_kill(&db);
    run_until(&w, server_at(&w, 0)->health == HEALTH_DOWN);
    assert_int_equal(atomic_load(&server->probe_us), 0);
    assert_null(pick(&w, PICK_ANY, &why));
    assert_string_equal(why.text, "volvox: no usable server in group main "
                                  "(db1: down: Connection refused)");

    mariadb_start(&db);
    run_until(&w, server_at(&w, 0)->health == HEALTH_UP);
    assert_int_equal(primary_of(&w), 0);
    assert_non_null(pick(&w, PICK_PRIMARY, &why));
    tower_close(&w);
    mariadb_close(&db);
}

/* ---- sockets instead of servers --------------------------------------------------------- */

/* Connections are made and nothing ever comes. */
static int hang_at(uint16_t port)
{
    int fd = bound_socket(port);
    assert_true(fd >= 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static unsigned count_visits(int fd)
{
    unsigned n = 0;
    for (int c; (c = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0; n++)
        close(c);
    return n;
}

static void a_hanging_server_does_not_delay_the_others(void **state)
{
    struct watch_tower w;
    char text[400];
    uint16_t hanging = free_port(), refusing = free_port();
    int fd = hang_at(hanging);
    (void)state;
    snprintf(text, sizeof(text), QUICK "monitor_user=m\nprobe_threads=2\n"
             "[server db1]\naddress=127.0.0.1:%u\n[server db2]\naddress=127.0.0.1:%u\n",
             hanging, refusing);
    tower_open(&w, text);
    uint64_t began = clock_us();
    run_until(&w, server_at(&w, 1)->health == HEALTH_DOWN);
    assert_true(clock_us() - began < 800000);
    assert_int_equal(server_at(&w, 0)->health, HEALTH_UNKNOWN);
    run_until(&w, server_at(&w, 0)->health == HEALTH_DOWN);
    tower_close(&w);
    close(fd);
}

static void the_first_round_does_not_wait_for_those_that_hang(void **state)
{
    struct watch_tower w;
    char text[300];
    uint16_t port = free_port();
    int fd = hang_at(port);
    (void)state;
    snprintf(text, sizeof(text), QUICK "monitor_user=m\n[server db1]\naddress=127.0.0.1:%u\n",
             port);
    tower_open(&w, text);
    uint64_t began = clock_us();
    assert_false(monitor_first_round(w.monitor, 0.2, 0.2));
    assert_in_range(clock_us() - began, 190000, 700000);
    tower_close(&w);
    close(fd);
}

static void suspicion_makes_a_probe_come_early_but_not_often(void **state)
{
    struct watch_tower w;
    char text[300];
    uint16_t port = free_port();
    int fd = hang_at(port);
    (void)state;
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    snprintf(text, sizeof(text), "[volvox]\nmonitor_interval=1h\nmonitor_timeout=1s\n"
             "[server db1]\naddress=127.0.0.1:%u\n", port);
    tower_open(&w, text);
    unsigned visits = 0;
    run_until(&w, (visits += count_visits(fd)) == 1);
    run_for(&w, 300);
    assert_int_equal(count_visits(fd), 0);
    uint64_t began = clock_us();
    for (unsigned i = 0; i < 100; i++) {
        monitor_suspect(w.monitor, server_at(&w, 0)->server);
        run_for(&w, 12);
        visits += count_visits(fd);
    }
    /* 1.2 s, or more on a busy machine: one each half second. */
    assert_in_range(visits, 3, 2 + (clock_us() - began) / 500000);
    tower_close(&w);
    close(fd);
}

static void a_reload_keeps_adds_and_retires_servers(void **state)
{
    struct watch_tower w;
    char text[400];
    uint16_t a = free_port(), b = free_port(), c = free_port();
    int fd = hang_at(b);                       /* its probe is out when it is retired */
    (void)state;
    snprintf(text, sizeof(text), QUICK "monitor_user=m\n[server a]\naddress=127.0.0.1:%u\n"
             "[server b]\naddress=127.0.0.1:%u\n[server c]\naddress=127.0.0.1:%u\n", a, b, c);
    tower_open(&w, text);
    struct server *old_a = server_take(server_at(&w, 0)->server);
    struct server *old_b = server_take(server_at(&w, 1)->server);
    struct server *old_c = server_take(server_at(&w, 2)->server);
    snprintf(text, sizeof(text), QUICK "monitor_user=n\n[server c]\naddress=127.0.0.1:%u\n"
             "[server d]\naddress=127.0.0.1:%u\n[server a]\naddress=127.0.0.1:%u\nweight=7\n"
             "max_connections=9\n", free_port(), c, a);
    tower_reload(&w, text);
    assert_int_equal(w.published, 1);
    assert_int_equal(monitor_topology(w.monitor)->n_servers, 3);
    assert_ptr_equal(server_at(&w, 2)->server, old_a);
    assert_int_equal(server_at(&w, 2)->weight, 7);
    assert_int_equal(atomic_load(&old_a->max_open), 9);
    assert_false(atomic_load(&old_a->draining));
    assert_true(atomic_load(&old_b->draining));
    assert_true(atomic_load(&old_c->draining)); /* moved: a new server of the same name */
    assert_string_equal(server_at(&w, 0)->server->name, "c");
    assert_ptr_not_equal(server_at(&w, 0)->server, old_c);
    run_until(&w, server_at(&w, 0)->health == HEALTH_DOWN &&
                      server_at(&w, 1)->health == HEALTH_DOWN);
    run_until(&w, atomic_load(&old_b->ref.count) == 1); /* its probe came back and was freed */
    server_drop(old_a);
    server_drop(old_b);
    server_drop(old_c);
    tower_close(&w);
    close(fd);
}

static void a_reload_may_change_roles(void **state)
{
    struct watch_tower w;
    char text[400];
    uint16_t a = free_port(), b = free_port();
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        snprintf(text, sizeof(text), QUICK "[server a]\naddress=127.0.0.1:%u\nrole=%s\n"
                 "[server b]\naddress=127.0.0.1:%u\nrole=%s\n",
                 a, i == 0 ? "primary" : "replica", b, i == 0 ? "replica" : "primary");
        if (i == 0)
            tower_open(&w, text);
        else
            tower_reload(&w, text);
        assert_int_equal(primary_of(&w), i);
        assert_true(server_at(&w, i)->writable);
        assert_false(server_at(&w, 1 - i)->writable);
    }
    tower_close(&w);
}

/* ---- what operators say ----------------------------------------------------------------- */

static void operate(struct watch_tower *w, const char *server, enum operator_state state)
{
    struct fault why = FAULT_NONE;
    if (!monitor_operate(w->monitor, bytes_str(server), state, &why))
        fail_msg("%s", why.text);
}

static void a_drained_server_gets_nothing_until_it_is_enabled(void **state)
{
    struct watch_tower w;
    struct fault why = FAULT_NONE;
    char text[300];
    (void)state;
    snprintf(text, sizeof(text), QUICK "[server db1]\naddress=127.0.0.1:%u\nrole=primary\n",
             free_port());
    tower_open(&w, text);
    struct server *db1 = server_at(&w, 0)->server;
    assert_ptr_equal(pick(&w, PICK_PRIMARY, &why), db1);

    operate(&w, "db1", OPERATED_DRAIN);
    assert_int_equal(w.published, 1);
    assert_int_equal(server_at(&w, 0)->operated, OPERATED_DRAIN);
    assert_true(atomic_load(&db1->draining));
    assert_null(pick(&w, PICK_ANY, &why));
    assert_string_equal(why.text, "volvox: no usable server in group main (db1: draining)");
    assert_true(last_event_is("server", "db1", "draining, was normal"));
    operate(&w, "db1", OPERATED_DRAIN);
    assert_int_equal(w.published, 1);

    tower_reload(&w, text);
    assert_int_equal(server_at(&w, 0)->operated, OPERATED_DRAIN);
    assert_true(atomic_load(&db1->draining));
    run_until(&w, server_at(&w, 0)->health == HEALTH_DOWN); /* it is probed all the same */

    operate(&w, "db1", OPERATED_NORMAL);
    assert_false(atomic_load(&db1->draining));
    assert_int_equal(server_at(&w, 0)->health, HEALTH_DOWN);
    tower_close(&w);
}

static void a_disabled_server_is_left_alone(void **state)
{
    struct watch_tower w;
    struct fault why = FAULT_NONE;
    char text[300];
    uint16_t port = free_port();
    int fd = hang_at(port);
    (void)state;
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    snprintf(text, sizeof(text), QUICK "[server db1]\naddress=127.0.0.1:%u\n", port);
    tower_open(&w, text);
    unsigned visits = 0;
    run_until(&w, (visits += count_visits(fd)) > 0 && server_at(&w, 0)->health == HEALTH_DOWN);
    operate(&w, "db1", OPERATED_DISABLED);
    assert_null(pick(&w, PICK_ANY, &why));
    assert_string_equal(why.text, "volvox: no usable server in group main (db1: disabled)");
    run_for(&w, 100);                          /* the probe that was out */
    count_visits(fd);
    monitor_suspect(w.monitor, server_at(&w, 0)->server);
    tower_reload(&w, text);
    run_for(&w, 400);
    assert_int_equal(count_visits(fd), 0);
    assert_int_equal(server_at(&w, 0)->operated, OPERATED_DISABLED);

    operate(&w, "db1", OPERATED_NORMAL);
    assert_int_equal(server_at(&w, 0)->health, HEALTH_UNKNOWN);
    assert_non_null(pick(&w, PICK_ANY, &why));
    visits = 0;
    run_until(&w, (visits += count_visits(fd)) > 0);
    run_until(&w, server_at(&w, 0)->health == HEALTH_DOWN);
    tower_close(&w);
    close(fd);
}

static void a_probe_that_is_out_says_nothing_of_a_disabled_server(void **state)
{
    struct watch_tower w;
    char text[300];
    uint16_t port = free_port();
    int fd = hang_at(port);
    (void)state;
    snprintf(text, sizeof(text), QUICK "monitor_user=m\nmonitor_fall=1\n"
             "[server db1]\naddress=127.0.0.1:%u\n", port);
    tower_open(&w, text);
    run_for(&w, 50);
    operate(&w, "db1", OPERATED_DISABLED);
    run_for(&w, 1500);
    assert_int_equal(server_at(&w, 0)->health, HEALTH_UNKNOWN);
    assert_int_equal(atomic_load(&server_at(&w, 0)->server->probed_us), 0);
    tower_close(&w);
    close(fd);
}

static void a_disabled_server_stays_so_at_a_new_address(void **state)
{
    struct watch_tower w;
    char text[300];
    (void)state;
    snprintf(text, sizeof(text), QUICK "[server db1]\naddress=127.0.0.1:%u\n", free_port());
    tower_open(&w, text);
    operate(&w, "db1", OPERATED_DISABLED);
    snprintf(text, sizeof(text), QUICK "[server db1]\naddress=127.0.0.1:%u\n", free_port());
    tower_reload(&w, text);
    assert_int_equal(server_at(&w, 0)->operated, OPERATED_DISABLED);
    assert_true(atomic_load(&server_at(&w, 0)->server->draining));
    tower_close(&w);
}

static void a_new_weight_is_an_event(void **state)
{
    static const char file[] = QUICK "[server db1]\naddress=127.0.0.1:%u\nweight=%u\n";
    struct watch_tower w;
    char text[300];
    unsigned port = free_port();
    (void)state;
    snprintf(text, sizeof(text), file, port, 50);
    tower_open(&w, text);
    assert_int_equal(server_at(&w, 0)->weight, 50);
    snprintf(text, sizeof(text), file, port, 0);
    tower_reload(&w, text);
    assert_int_equal(server_at(&w, 0)->weight, 0);
    assert_true(last_event_is("server", "db1", "weight 0, was 50"));
    tower_close(&w);
}

static void operators_errors_are_explained(void **state)
{
    struct watch_tower w;
    struct fault why = FAULT_NONE;
    char text[300];
    (void)state;
    snprintf(text, sizeof(text), QUICK "[server db1]\naddress=127.0.0.1:%u\n", free_port());
    tower_open(&w, text);
    assert_false(monitor_operate(w.monitor, bytes_str("db2"), OPERATED_DRAIN, &why));
    assert_string_equal(why.text, "there is no server \"db2\"");
    assert_int_equal(w.published, 0);
    tower_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_is_followed_through_its_life),
        cmocka_unit_test(a_hanging_server_does_not_delay_the_others),
        cmocka_unit_test(the_first_round_does_not_wait_for_those_that_hang),
        cmocka_unit_test(suspicion_makes_a_probe_come_early_but_not_often),
        cmocka_unit_test(a_reload_keeps_adds_and_retires_servers),
        cmocka_unit_test(a_reload_may_change_roles),
        cmocka_unit_test(a_drained_server_gets_nothing_until_it_is_enabled),
        cmocka_unit_test(a_disabled_server_is_left_alone),
        cmocka_unit_test(a_probe_that_is_out_says_nothing_of_a_disabled_server),
        cmocka_unit_test(a_disabled_server_stays_so_at_a_new_address),
        cmocka_unit_test(a_new_weight_is_an_event),
        cmocka_unit_test(operators_errors_are_explained),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
