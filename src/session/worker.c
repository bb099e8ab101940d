/* worker.c - what a worker has for its sessions, and what they all share; see session.h. */
#include "session/inside.h"

#include <malloc.h>
#include <sys/random.h>

#include "base/mem.h"

/* After so many clients, half of them gone, memory goes back to the system. */
enum { CROWD = 1000 };

/* malloc keeps what is free below something that is used: after a crowd, nearly all. */
static void return_memory(struct sessions *ss)
{
    unsigned open = atomic_load_explicit(&ss->shared->open, memory_order_relaxed);
    if (ss->peak < CROWD || open > ss->peak / 2)
        return;
    ss->peak = open;
    malloc_trim(0);
}

static void on_forget(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    struct sessions *ss = container_of(timer, struct sessions, forget);
    account_store_sweep(&ss->shared->learnt, worker_now_us(ss->worker));
    return_memory(ss);
}

void sessions_worker_init(struct worker *w, struct sessions_shared *shared,
                          struct worker *const *workers, unsigned n_workers)
{
    struct sessions *ss = mem_zalloc(sizeof *ss);
    ss->worker = w;
    ss->shared = shared;
    ss->workers = workers;
    ss->n_workers = n_workers;
    list_init(&ss->logging_in);
    list_init(&ss->idle);
    list_init(&ss->busy);
    list_init(&ss->starved);
    list_init(&ss->arriving);
    list_init(&ss->all);
    list_init(&ss->gates);
    ss->pins = pin_table_new();
    ss->paces = paces_new();
    account_store_limits(&shared->learnt, worker_config(w)->settings.accounts_remembered,
                         worker_config(w)->settings.accounts_lifetime_s);
    ev_timer_init(&ss->forget, on_forget, 10., 10.);
    if (worker_index(w) == 0)     /* one does it for all */
        ev_timer_start(worker_loop(w), &ss->forget);
    ev_timer_init(&ss->again, sessions_on_again, 0., 0.);
    idle_init(ss, worker_config(w)->settings.idle_timeout_s);
    worker_set_part(w, PART_SESSIONS, ss);
    worker_on_mail(w, MAIL_CLIENT, sessions_on_client);
}

void sessions_worker_release(struct worker *w)
{
    struct sessions *ss = worker_sessions(w);
    must(atomic_load(&ss->count) == 0);
    ev_timer_stop(worker_loop(w), &ss->again);
    ev_timer_stop(worker_loop(w), &ss->forget);
    timeouts_release(&ss->idle_timeouts);
    gates_release(ss);
    pin_table_free(ss->pins);
    mem_free(ss->paces);
    routines_release(ss);
    ids_release(&ss->ids);
    mem_free(ss);
    worker_set_part(w, PART_SESSIONS, NULL);
}

unsigned sessions_count(const struct worker *w)
{
    return atomic_load_explicit(&worker_sessions(w)->count, memory_order_relaxed);
}

void sessions_shared_init(struct sessions_shared *shared, const struct rsa_key *rsa)
{
    memset(shared, 0, sizeof *shared);
    shared->rsa = rsa;
    must(getrandom(shared->scramble_secret, sizeof shared->scramble_secret, 0) ==
         sizeof shared->scramble_secret);
    pthread_mutex_init(&shared->quota_lock, NULL);
    account_store_init(&shared->learnt);
    shared->throttle = throttle_new();
    ids_begin(shared);
}

void sessions_shared_release(struct sessions_shared *shared)
{
    must(shared->quotas.count == 0);
    map_release(&shared->quotas);
    account_store_release(&shared->learnt);
    throttle_free(shared->throttle);
    pthread_mutex_destroy(&shared->quota_lock);
}
