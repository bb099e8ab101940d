/*
 * watch.c - wait for descriptors without a system call per wait.
 *
 * libev hands changes to the kernel once per turn, when the set of active
 * watchers of a descriptor differs from what the kernel knows.  So a watcher for
 * reading stays active when the wait is over: mostly somebody waits again.  It
 * stops when an event comes that nobody wants.  A watcher for writing stops at
 * once, for a socket is nearly always writable.  ev_io_set() is called only by
 * watch_init(): it would cost an epoll_ctl() with every start.
 *
 * The tasks that wait are on_read.data and on_write.data.
 */
#include "run/inside.h"

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct watch *watch = container_of(io, struct watch, on_read);
    (void)revents;
    if (io->data != NULL)
        task_wake(io->data);
    else if (watch->on_idle != NULL)
        watch->on_idle(watch); /* may free the watch */
    else
        ev_io_stop(loop, io);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)revents;
    ev_io_stop(loop, io);
    if (io->data != NULL)
        task_wake(io->data);
}

void watch_init(struct watch *watch, int fd)
{
    *watch = (struct watch){ .on_idle = NULL };
    ev_io_init(&watch->on_read, on_readable, fd, EV_READ);
    ev_io_init(&watch->on_write, on_writable, fd, EV_WRITE);
}

void watch_idle(struct worker *worker, struct watch *watch, void (*on_idle)(struct watch *))
{
    watch->on_idle = on_idle;
    if (on_idle != NULL)
        ev_io_start(worker->loop, &watch->on_read);
}

void watch_stop(struct worker *worker, struct watch *watch)
{
    must(watch->on_read.data == NULL && watch->on_write.data == NULL);
    ev_io_stop(worker->loop, &watch->on_read);
    ev_io_stop(worker->loop, &watch->on_write);
    watch->on_idle = NULL;
}

static void expect(struct task *t, ev_io *io)
{
    must(io->data == NULL); /* one task per direction */
    io->data = t;
    ev_io_start(t->worker->loop, io);
}

/* (nearly always writable: it would tell of it with every turn) */
static void expect_no_more(struct ev_loop *loop, struct watch *writable)
{
    if (writable == NULL)
        return;
    writable->on_write.data = NULL;
    ev_io_stop(loop, &writable->on_write);
}

enum woke task_wait(struct task *t, const struct wait *what)
{
    struct ev_loop *loop = t->worker->loop;
    if (what->readable != NULL)
        expect(t, &what->readable->on_read);
    if (what->readable2 != NULL)
        expect(t, &what->readable2->on_read);
    if (what->writable != NULL)
        expect(t, &what->writable->on_write);
    if (what->writable2 != NULL)
        expect(t, &what->writable2->on_write);
    enum woke woke = task_park(t, what->deadline);
    if (what->readable != NULL)
        what->readable->on_read.data = NULL;
    if (what->readable2 != NULL)
        what->readable2->on_read.data = NULL;
    expect_no_more(loop, what->writable);
    expect_no_more(loop, what->writable2);
    return woke;
}
