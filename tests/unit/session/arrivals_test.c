/* Who comes in a crowd waits for his turn, for others' logins and for a stack, and nobody is
 * forgotten. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "servers/inside.h"
#include "session/inside.h"

#include <sys/socket.h>
#include <unistd.h>

enum { CROWD = 50, A_TURNS = 16, IN_TIME_S = 20 };

static struct worker *worker;
static struct topology *topology;
static struct config *config;
static struct server_state server;
static struct sessions_shared shared;
static struct session_door door;
static int clients[CROWD];
static unsigned n_clients;

static void build(const char *more)
{
    char text[400];
    struct complaints told;
    snprintf(text, sizeof text,
             "[volvox]\nmonitor_user=m\nlinger=0\n%s\n[listener main]\n[group main]\n"
             "[server db1]\naddress=127.0.0.1:1\n[user u]\npassword=x\n",
             more);
    log_level = LOG_ERROR;
    config = config_parse(bytes_str(text), "arrivals.ini", &told);
    assert_non_null(config);
    complaints_release(&told);
    server = (struct server_state){ .server = server_new(&config->servers[0]) };
    topology = topology_build(config, &server, 1, NULL);
    worker = worker_new(0);
    stats_worker_init(worker);
    config_worker_init(worker, config);
    topology_worker_init(worker, topology);
    pools_worker_init(worker, &worker, 1);
    sessions_shared_init(&shared, NULL);
    sessions_worker_init(worker, &shared, &worker, 1);
    door = (struct session_door){ .listener = "main" };
    n_clients = 0;
}

static void turn(void)
{
    ev_run(worker_loop(worker), EVRUN_NOWAIT);
}

static void arrive(void)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    struct client_mail *m = mem_zalloc(sizeof *m);
    m->mail.kind = MAIL_CLIENT;
    m->fd = ends[1];
    m->group = -1;
    m->door = &door;
    atomic_fetch_add(&door.open, 1);
    atomic_fetch_add(&shared.open, 1);
    assert_true(worker_post(worker, &m->mail));
    clients[n_clients++] = ends[0];
}

static bool is_greeted(int fd)
{
    uint8_t first;
    return fd >= 0 && recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

/* How many; they are those who came first. */
static unsigned greeted(void)
{
    unsigned n = 0;
    while (n < n_clients && is_greeted(clients[n]))
        n++;
    for (unsigned i = n; i < n_clients; i++)
        assert_false(is_greeted(clients[i]));
    return n;
}

static void leave(unsigned i)
{
    close(clients[i]);
    clients[i] = -1;
}

static void tear_down(void)
{
    for (unsigned i = 0; i < n_clients; i++)
        if (clients[i] >= 0)
            leave(i);
    for (uint64_t by_us = clock_us() + IN_TIME_S * 1000000; sessions_count(worker) > 0;) {
        assert_true(clock_us() < by_us);
        turn();
    }
    assert_int_equal(atomic_load(&door.open), 0);
    sessions_worker_release(worker);
    pools_worker_drain(worker);
    pools_worker_release(worker);
    topology_worker_release(worker);
    config_worker_release(worker);
    stats_worker_release(worker);
    worker_free(worker);
    sessions_shared_release(&shared);
    topology_drop(topology);
    server_drop(server.server);
    config_drop(config);
}

static void so_many_logins_begin_in_a_turn_of_the_loop(void **state)
{
    unsigned before = 0;
    (void)state;
    build("");
    for (int i = 0; i < CROWD; i++)
        arrive();
    for (uint64_t by_us = clock_us() + IN_TIME_S * 1000000; before < CROWD;) {
        assert_true(clock_us() < by_us);
        turn();
        unsigned now = greeted();
        assert_in_range(now, before, before + A_TURNS);
        before = now;
    }
    tear_down();
}

/* Nobody is greeted beyond that, for as many turns as it takes all of the crowd otherwise; who
 * leaves makes room. */
static void waits_for_those_before(unsigned most)
{
    for (unsigned i = 0; i < most + 2; i++)
        arrive();
    for (int i = 0; i < CROWD; i++)
        turn();
    assert_int_equal(greeted(), most);
    for (unsigned left = 0; left < 2; left++) {
        leave(left);
        for (uint64_t by_us = clock_us() + IN_TIME_S * 1000000;
             !is_greeted(clients[most + left]);) {
            assert_true(clock_us() < by_us);
            turn();
        }
        assert_false(left == 0 && is_greeted(clients[most + 1]));
    }
}

static void a_login_waits_for_a_stack(void **state)
{
    (void)state;
    build("");
    worker_set_task_limit(worker, 3);
    waits_for_those_before(3);
    tear_down();
}

static void a_login_waits_until_fewer_are_logging_in(void **state)
{
    (void)state;
    build("max_sessions_logging_in=2");
    waits_for_those_before(2);
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_logins_begin_in_a_turn_of_the_loop),
        cmocka_unit_test(a_login_waits_for_a_stack),
        cmocka_unit_test(a_login_waits_until_fewer_are_logging_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
