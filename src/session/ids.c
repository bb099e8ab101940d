/*
 * ids.c - the thread ids that clients see; see inside.h.
 *
 *   1 ... 0x3FFFFFFF                    0x40000000 ... 0x7FFFFFFF
 *   a server's, as in SHOW PROCESSLIST  Volvox's, as in the greeting and CONNECTION_ID()
 *
 * A range of their own, which servers practically never reach, so that a KILL says by its number
 * whom it means.  All have ten digits and fit into a signed 32 bit number: some drivers keep them
 * in one.  (Why ten: router/thread_id.c.)
 *
 * They are given in turns, of as many ids as there are workers, one for each: so an id names its
 * worker, and none is given twice at the same time.  The turns go up: who comes later has the
 * greater id, as on a server.  They begin with a random one and go around, so that an id which a
 * client still has from before a restart, or from another Volvox behind the same address, hardly
 * ever hits anybody.
 */
#include "session/inside.h"

#include "base/random.h"

enum { FIRST = 0x40000000, IDS = 0x40000000 };

void ids_begin(struct sessions_shared *shared)
{
    atomic_store(&shared->next_turn, random_u64() % IDS);
}

bool id_is_ours(uint64_t id)
{
    return id >= FIRST && id < (uint64_t)FIRST + IDS;
}

struct worker *id_worker(const struct sessions *ss, uint32_t id)
{
    return ss->workers[(id - FIRST) % ss->n_workers];
}

static struct bytes key(const uint32_t *id)
{
    return bytes_of(id, sizeof *id);
}

void id_take(struct session *s)
{
    struct sessions *ss = s->home;
    unsigned turns = IDS / ss->n_workers;
    do {
        uint64_t turn = atomic_fetch_add_explicit(&ss->shared->next_turn, 1, memory_order_relaxed);
        s->id =
            FIRST + (unsigned)(turn % turns) * ss->n_workers + (unsigned)worker_index(ss->worker);
        s->id_round = (uint8_t)(turn / turns);
    } while (map_get(&ss->by_id, key(&s->id)) != NULL);
    map_put(&ss->by_id, key(&s->id), s);
}

void id_drop(struct session *s)
{
    map_remove(&s->home->by_id, key(&s->id));
}

struct session *id_find(const struct sessions *ss, uint32_t id)
{
    return map_get(&ss->by_id, key(&id));
}
