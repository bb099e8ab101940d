/*
 * worker.c - a worker's thread, loop and clock; its end.
 *
 * The end, on the worker's thread: the loop is left, the mailbox closes and hands
 * out the rest, every task is cancelled until it has returned.  Nothing that was
 * accepted is lost; what the handlers and tasks made of it is for the folders
 * above to release after worker_join().
 */
#include "run/inside.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#include <signal.h>

static void on_clock(struct ev_loop *loop, ev_check *check, int revents)
{
    struct worker *w = check->data;
    (void)loop, (void)revents;
    w->before_us = w->now_us;
    w->now_us = clock_us();
}

static void on_bell(struct ev_loop *loop, ev_async *bell, int revents)
{
    struct worker *w = bell->data;
    (void)revents;
    mailbox_deliver(w);
    if (atomic_load_explicit(&w->is_stopping, memory_order_acquire))
        ev_break(loop, EVBREAK_ALL);
}

struct worker *worker_new(int index)
{
    struct worker *w = mem_zalloc(sizeof *w);
    w->index = index;
    w->now_us = clock_us();
    w->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    must(w->loop != NULL);
    atomic_init(&w->is_stopping, false);
    mailbox_init(w);
    ask_init(w);
    ev_async_init(&w->bell, on_bell);
    w->bell.data = w;
    ev_async_start(w->loop, &w->bell);
    /* Before every other callback of the turn. */
    ev_check_init(&w->clock, on_clock);
    ev_set_priority(&w->clock, EV_MAXPRI);
    w->clock.data = w;
    ev_check_start(w->loop, &w->clock);
    tasks_init(w);
    return w;
}

void worker_free(struct worker *w)
{
    must(!w->has_thread);
    tasks_end(w);
    ev_loop_destroy(w->loop);
    pthread_mutex_destroy(&w->mailbox.lock);
    mem_free(w);
}

void worker_run(struct worker *w)
{
    ev_now_update(w->loop);
    w->now_us = clock_us();
    ev_run(w->loop, 0);
    w->tasks.is_ending = true;
    mailbox_close(w);
    tasks_end(w);
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;
    char name[16];
    snprintf(name, sizeof name, "worker %d", w->index);
    pthread_setname_np(pthread_self(), name);
    worker_run(w);
    buf_drop_spares();
    return NULL;
}

/* Signals are the main thread's: a worker inherits a mask that blocks them all. */
void worker_start(struct worker *w)
{
    sigset_t all, before;
    sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    must(pthread_create(&w->thread, NULL, thread_main, w) == 0);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    w->has_thread = true;
}

void worker_stop(struct worker *w)
{
    atomic_store_explicit(&w->is_stopping, true, memory_order_release);
    ev_async_send(w->loop, &w->bell);
}

void worker_join(struct worker *w)
{
    if (!w->has_thread)
        return;
    must(pthread_join(w->thread, NULL) == 0);
    w->has_thread = false;
}

int worker_index(const struct worker *w)
{
    return w->index;
}

struct ev_loop *worker_loop(struct worker *w)
{
    return w->loop;
}

double worker_now(struct worker *w)
{
    return (double)w->now_us / 1e6;
}

uint64_t worker_now_us(struct worker *w)
{
    return w->now_us;
}

void worker_on_turn_over(struct worker *w, void (*fn)(struct worker *w))
{
    w->turn_over = fn;
}

uint64_t worker_took_us(const struct worker *w, uint64_t since_us)
{
    uint64_t not_yet = w->before_us > since_us ? w->before_us - since_us : 0;
    uint64_t asleep = MAX(MAX(w->asleep_us, since_us), w->before_us);
    return not_yet + (w->now_us > asleep ? w->now_us - asleep : 0);
}

void worker_set_part(struct worker *w, enum worker_part part, void *thing)
{
    must(part < WORKER_PARTS);
    w->parts[part] = thing;
}

void *worker_part(const struct worker *w, enum worker_part part)
{
    must(part < WORKER_PARTS);
    return w->parts[part];
}
