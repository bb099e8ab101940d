/* The queue of due probes and the threads that serve it. */
#include "servers/inside.h"

#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

struct prober {
    pthread_mutex_t lock;
    pthread_cond_t due, done;
    struct list queue;        /* PROBE_QUEUED, oldest first   */
    struct list finished;     /* PROBE_DONE                   */
    bool is_stopping;
    void (*ring)(void *arg);
    void *arg;
    unsigned n_threads;
    pthread_t threads[];
};

/* ---- probes ----------------------------------------------------------------------------- */

struct probe *probe_new(struct server *s, void *owner)
{
    struct probe *p = mem_zalloc(sizeof(*p));
    p->server = server_take(s);
    p->owner = owner;
    return p;
}

void probe_free(struct probe *p)
{
    probe_hang_up(p);
    config_drop(p->config);
    server_drop(p->server);
    mem_free(p);
}

/* ---- threads ---------------------------------------------------------------------------- */

static struct probe *next_due(struct prober *pr)
{
    pthread_mutex_lock(&pr->lock);
    while (list_empty(&pr->queue) && !pr->is_stopping)
        pthread_cond_wait(&pr->due, &pr->lock);
    struct probe *p = NULL;
    if (!pr->is_stopping) {
        p = list_entry(list_first(&pr->queue), struct probe, link);
        list_leave(&p->link);
        p->place = PROBE_RUNNING;
    }
    pthread_mutex_unlock(&pr->lock);
    return p;
}

static void finish(struct prober *pr, struct probe *p)
{
    pthread_mutex_lock(&pr->lock);
    p->place = PROBE_DONE;
    list_push_back(&pr->finished, &p->link);
    pthread_cond_signal(&pr->done);
    pthread_mutex_unlock(&pr->lock);
    pr->ring(pr->arg);
}

static void *serve(void *arg)
{
    struct prober *pr = arg;
    struct probe *p;
    while ((p = next_due(pr)) != NULL) {
        if (p->is_last) {
            probe_free(p);
            continue;
        }
        probe_ask(p);
        finish(pr, p);
    }
    return NULL;
}

/* Signals are the main thread's: they would interrupt libmariadb's waiting. */
static void start_threads(struct prober *pr, unsigned threads)
{
    sigset_t all, before;
    sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    for (; pr->n_threads < threads; pr->n_threads++)
        must(pthread_create(&pr->threads[pr->n_threads], NULL, serve, pr) == 0);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

struct prober *prober_new(unsigned threads, void (*ring)(void *arg), void *arg)
{
    pthread_condattr_t monotonic;
    struct prober *pr = mem_zalloc(sizeof(*pr) + threads * sizeof(pr->threads[0]));
    pr->ring = ring, pr->arg = arg;
    list_init(&pr->queue);
    list_init(&pr->finished);
    must(pthread_condattr_init(&monotonic) == 0);
    must(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    must(pthread_mutex_init(&pr->lock, NULL) == 0);
    must(pthread_cond_init(&pr->due, NULL) == 0);
    must(pthread_cond_init(&pr->done, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
    start_threads(pr, threads);
    return pr;
}

/* ---- the control thread's side ---------------------------------------------------------- */

static void enqueue(struct prober *pr, struct probe *p)
{
    pthread_mutex_lock(&pr->lock);
    must(p->place == PROBE_AT_HOME);
    p->place = PROBE_QUEUED;
    list_push_back(&pr->queue, &p->link);
    pthread_cond_signal(&pr->due);
    pthread_mutex_unlock(&pr->lock);
}

void prober_submit(struct prober *pr, struct probe *p, struct config *c)
{
    config_drop(p->config);
    p->config = config_take(c);
    p->found = (struct finding){ .alive = false };
    enqueue(pr, p);
}

void prober_dismiss(struct prober *pr, struct probe *p)
{
    p->owner = NULL;
    p->is_last = true;
    enqueue(pr, p);
}

static struct timespec clock_time(uint64_t us)
{
    return (struct timespec){ .tv_sec = (time_t)(us / 1000000),
                              .tv_nsec = (long)(us % 1000000) * 1000 };
}

struct probe *prober_collect(struct prober *pr, uint64_t deadline_us)
{
    struct timespec until = clock_time(deadline_us);
    struct probe *p = NULL;
    int error = 0;
    pthread_mutex_lock(&pr->lock);
    while (list_empty(&pr->finished) && deadline_us != 0 && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&pr->done, &pr->lock, &until);
    if (!list_empty(&pr->finished)) {
        p = list_entry(list_first(&pr->finished), struct probe, link);
        list_leave(&p->link);
        p->place = PROBE_AT_HOME;
    }
    pthread_mutex_unlock(&pr->lock);
    return p;
}

static void free_unowned(struct list *probes)
{
    list_for_each_safe(at, probes) {
        struct probe *p = list_entry(at, struct probe, link);
        list_leave(at);
        p->place = PROBE_AT_HOME;
        if (p->owner == NULL)
            probe_free(p);
    }
}

void prober_free(struct prober *pr)
{
    pthread_mutex_lock(&pr->lock);
    pr->is_stopping = true;
    pthread_cond_broadcast(&pr->due);
    pthread_mutex_unlock(&pr->lock);
    for (unsigned i = 0; i < pr->n_threads; i++)
        must(pthread_join(pr->threads[i], NULL) == 0);
    free_unowned(&pr->queue);
    free_unowned(&pr->finished);
    pthread_cond_destroy(&pr->due);
    pthread_cond_destroy(&pr->done);
    pthread_mutex_destroy(&pr->lock);
    mem_free(pr);
}
