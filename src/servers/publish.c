/* The topology in force, per worker. */
#include "servers/inside.h"

#include "base/mem.h"

enum { CALLBACKS = 4 };

/* Filled before the workers start. */
static void (*callbacks[CALLBACKS])(struct worker *w, const struct topology *now);
static unsigned n_callbacks;

struct topology_mail {
    struct mail mail;
    struct topology *topology; /* a reference */
};

void topology_on_swap(void (*swapped)(struct worker *w, const struct topology *now))
{
    for (unsigned i = 0; i < n_callbacks; i++)
        if (callbacks[i] == swapped)
            return;
    must(n_callbacks < CALLBACKS);
    callbacks[n_callbacks++] = swapped;
}

static void take_mail(struct worker *w, struct mail *m)
{
    struct topology_mail *tm = container_of(m, struct topology_mail, mail);
    struct topology *old = worker_topology(w);
    worker_set_part(w, PART_TOPOLOGY, tm->topology);
    for (unsigned i = 0; i < n_callbacks; i++)
        callbacks[i](w, tm->topology);
    topology_drop(old);
    mem_free(tm);
}

void topology_publish(struct topology *t, struct worker **workers, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct topology_mail *tm = mem_zalloc(sizeof(*tm));
        tm->mail.kind = MAIL_TOPOLOGY;
        tm->topology = topology_take(t);
        if (worker_post(workers[i], &tm->mail))
            continue;
        topology_drop(t);
        mem_free(tm);
    }
}

void topology_worker_init(struct worker *w, struct topology *t)
{
    worker_set_part(w, PART_TOPOLOGY, topology_take(t));
    worker_on_mail(w, MAIL_TOPOLOGY, take_mail);
}

void topology_worker_release(struct worker *w)
{
    topology_drop(worker_topology(w));
    worker_set_part(w, PART_TOPOLOGY, NULL);
}

struct topology *worker_topology(const struct worker *w)
{
    return worker_part(w, PART_TOPOLOGY);
}
