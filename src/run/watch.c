/*
 * watch.c - wait for descriptors without a system call per wait.
 *
 * libev hands changes to the kernel once per turn, when the set of active
 * watchers of a descriptor differs from what the kernel knows.  So a watcher for
 * reading stays active when the wait is over: mostly somebody waits again.  It
 * stops when an event comes that nobody wants; its ev_io_set() is called only by
 * watch_init(), for it would cost an epoll_ctl() with every start.  A watcher for
 * writing stops at once, for a socket is nearly always writable: it lies on the
 * stack of the task that waits, and idle streams have none.
 *
 * The task that waits is the watcher's data.
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
    task_wake(io->data);
}

void watch_init(struct watch *watch, int fd)
{
    *watch = (struct watch){ .on_idle = NULL };
    ev_io_init(&watch->on_read, on_readable, fd, EV_READ);
}

void watch_idle(struct worker *worker, struct watch *watch, void (*on_idle)(struct watch *))
{
    watch->on_idle = on_idle;
    if (on_idle != NULL)
        ev_io_start(worker->loop, &watch->on_read);
}

void watch_stop(struct worker *worker, struct watch *watch)
{
    must(watch->on_read.data == NULL);
    ev_io_stop(worker->loop, &watch->on_read);
    watch->on_idle = NULL;
}

static void expect(struct task *t, struct watch *readable)
{
    if (readable == NULL)
        return;
    must(readable->on_read.data == NULL); /* one task per direction */
    readable->on_read.data = t;
    ev_io_start(t->worker->loop, &readable->on_read);
}

static void expect_writable(struct task *t, ev_io *io, const struct watch *writable)
{
    ev_io_init(io, on_writable, writable != NULL ? writable->on_read.fd : 0, EV_WRITE);
    io->data = t;
    if (writable != NULL)
        ev_io_start(t->worker->loop, io);
}

enum woke task_wait(struct task *t, const struct wait *what)
{
    struct ev_loop *loop = t->worker->loop;
    ev_io writable, writable2;
    expect(t, what->readable);
    expect(t, what->readable2);
    expect_writable(t, &writable, what->writable);
    expect_writable(t, &writable2, what->writable2);
    enum woke woke = task_park(t, what->deadline);
    if (what->readable != NULL)
        what->readable->on_read.data = NULL;
    if (what->readable2 != NULL)
        what->readable2->on_read.data = NULL;
    ev_io_stop(loop, &writable);
    ev_io_stop(loop, &writable2);
    return woke;
}
