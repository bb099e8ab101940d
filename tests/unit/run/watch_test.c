#include "unit/run/harness.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static unsigned epoll_ctls;

/* Instead of libc's, to count them. */
int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    epoll_ctls++;
    return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

struct pair {
    struct watch watch;
    struct worker *worker;
    int peer;
    unsigned idle_calls;
    bool stops_idle;
};

static void open_pair(struct pair *p, struct task *t)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    *p = (struct pair){ .worker = task_worker(t), .peer = ends[1] };
    watch_init(&p->watch, ends[0]);
}

static void close_pair(struct pair *p)
{
    watch_stop(p->worker, &p->watch);
    close(p->watch.on_read.fd);
    close(p->peer);
}

static void peer_says(struct pair *p)
{
    assert_int_equal(send(p->peer, "x", 1, MSG_NOSIGNAL), 1);
}

static void hear(struct pair *p)
{
    char c;
    assert_int_equal(recv(p->watch.on_read.fd, &c, 1, 0), 1);
}

static enum woke wait_read(struct task *t, struct pair *p, double seconds)
{
    return task_wait(t, &(struct wait){ .readable = &p->watch, .deadline = after(t, seconds) });
}

static void count_idle(struct watch *watch)
{
    struct pair *p = container_of(watch, struct pair, watch);
    p->idle_calls++;
    hear(p);
}

/* ---- waiting -------------------------------------------------------------------- */

static void speak_soon(struct task *t, void *arg)
{
    nap(t, 0.005);
    peer_says(arg);
}

static void wait_for_reading(struct task *t)
{
    struct pair p;
    open_pair(&p, t);
    assert_int_equal(wait_read(t, &p, 0.01), WOKE_DEADLINE);
    assert_true(task_start(p.worker, "speaker", speak_soon, &p));
    assert_int_equal(wait_read(t, &p, 10), WOKE_READY);
    hear(&p);
    close_pair(&p);
}

static void a_wait_ends_when_the_peer_speaks_or_the_deadline_passes(void **state)
{
    (void)state;
    in_task(wait_for_reading);
}

static void fill(int fd)
{
    char block[4096] = "";
    while (send(fd, block, sizeof block, MSG_NOSIGNAL) > 0)
        ;
    assert_int_equal(errno, EAGAIN);
}

static void wait_for_writing(struct task *t)
{
    struct pair p;
    char block[4096];
    struct wait writable = { .writable = &p.watch };
    open_pair(&p, t);
    assert_int_equal(task_wait(t, &writable), WOKE_READY);
    fill(p.watch.on_read.fd);
    peer_says(&p); /* we do not wait for this */
    writable.deadline = after(t, 0.01);
    assert_int_equal(wait_read(t, &p, 1), WOKE_READY); /* leaves the watcher active */
    assert_int_equal(task_wait(t, &writable), WOKE_DEADLINE);
    while (recv(p.peer, block, sizeof block, 0) > 0)
        ;
    writable.deadline = after(t, 10);
    assert_int_equal(task_wait(t, &writable), WOKE_READY);
    close_pair(&p);
}

static void one_who_waits_to_write_is_not_woken_by_what_comes_in(void **state)
{
    (void)state;
    in_task(wait_for_writing);
}

static void wait_for_two(struct task *t)
{
    struct pair a, b;
    open_pair(&a, t);
    open_pair(&b, t);
    struct wait either = { .readable = &a.watch, .readable2 = &b.watch };
    either.deadline = after(t, 10);
    peer_says(&b);
    assert_int_equal(task_wait(t, &either), WOKE_READY);
    hear(&b);
    peer_says(&a);
    assert_int_equal(task_wait(t, &either), WOKE_READY);
    hear(&a);
    close_pair(&a);
    close_pair(&b);
}

static void either_of_two_ends_the_wait(void **state)
{
    (void)state;
    in_task(wait_for_two);
}

static void wait_past_deadline(struct task *t)
{
    struct pair p;
    open_pair(&p, t);
    peer_says(&p);
    assert_int_equal(wait_read(t, &p, -1), WOKE_READY);
    close_pair(&p);
}

static void what_is_there_goes_before_a_deadline_that_has_passed(void **state)
{
    (void)state;
    in_task(wait_past_deadline);
}

/* ---- idle ---------------------------------------------------------------------------- */

static void be_idle(struct task *t)
{
    struct pair p;
    open_pair(&p, t);
    watch_idle(p.worker, &p.watch, count_idle);
    peer_says(&p);
    nap(t, 0.005);
    assert_int_equal(p.idle_calls, 1);
    peer_says(&p);
    assert_int_equal(wait_read(t, &p, 10), WOKE_READY); /* we wait now: it is for us */
    hear(&p);
    assert_int_equal(p.idle_calls, 1);
    peer_says(&p);
    nap(t, 0.005);
    assert_int_equal(p.idle_calls, 2);
    watch_idle(p.worker, &p.watch, NULL);
    peer_says(&p);
    nap(t, 0.005);
    assert_int_equal(p.idle_calls, 2);
    watch_idle(p.worker, &p.watch, count_idle); /* level-triggered */
    nap(t, 0.005);
    assert_int_equal(p.idle_calls, 3);
    close_pair(&p);
}

static void on_idle_is_called_only_while_no_task_waits(void **state)
{
    (void)state;
    in_task(be_idle);
}

static void ignore_event(struct task *t)
{
    struct pair p;
    open_pair(&p, t);
    peer_says(&p);
    assert_int_equal(wait_read(t, &p, 10), WOKE_READY);
    unsigned turns = ev_iteration(worker_loop(p.worker));
    nap(t, 0.1); /* it is still readable, but nobody wants to know */
    assert_in_range(ev_iteration(worker_loop(p.worker)) - turns, 1, 10);
    close_pair(&p);
}

static void an_event_that_nobody_wants_does_not_spin_the_loop(void **state)
{
    (void)state;
    in_task(ignore_event);
}

/* ---- cost --------------------------------------------------------------------------------- */

struct echo {
    struct pair *pair;
    int rounds;
};

/* The other side, which waits for its own descriptor. */
static void echo_back(struct task *t, void *arg)
{
    struct echo *e = arg;
    struct watch watch;
    char c;
    watch_init(&watch, e->pair->peer);
    for (int i = 0; i < e->rounds; i++) {
        assert_int_equal(task_wait(t, &(struct wait){ .readable = &watch }), WOKE_READY);
        assert_int_equal(recv(e->pair->peer, &c, 1, 0), 1);
        assert_int_equal(send(e->pair->peer, &c, 1, MSG_NOSIGNAL), 1);
    }
    watch_stop(task_worker(t), &watch);
}

static void wait_often(struct task *t)
{
    struct pair p;
    open_pair(&p, t);
    struct echo e = { &p, 1000 };
    assert_true(task_start(p.worker, "echo", echo_back, &e));
    epoll_ctls = 0;
    for (int i = 0; i < e.rounds; i++) {
        assert_int_equal(send(p.watch.on_read.fd, "x", 1, MSG_NOSIGNAL), 1);
        assert_int_equal(wait_read(t, &p, 10), WOKE_READY);
        hear(&p);
    }
    assert_in_range(epoll_ctls, 2, 8);
    close_pair(&p);
}

static void two_thousand_waits_cost_a_few_epoll_ctls(void **state)
{
    (void)state;
    in_task(wait_often);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_ends_when_the_peer_speaks_or_the_deadline_passes),
        cmocka_unit_test(one_who_waits_to_write_is_not_woken_by_what_comes_in),
        cmocka_unit_test(either_of_two_ends_the_wait),
        cmocka_unit_test(what_is_there_goes_before_a_deadline_that_has_passed),
        cmocka_unit_test(on_idle_is_called_only_while_no_task_waits),
        cmocka_unit_test(an_event_that_nobody_wants_does_not_spin_the_loop),
        cmocka_unit_test(two_thousand_waits_cost_a_few_epoll_ctls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
