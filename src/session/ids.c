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
 * Each worker gives every n-th, from a random one on and around: so an id names its worker, none is
 * given twice at the same time, and one that a client still has from before a restart, or from
 * another Volvox behind the same address, hardly ever hits anybody.
 */
#include "session/inside.h"

#include "base/random.h"

enum { FIRST = 0x40000000, IDS = 0x40000000 };

static unsigned turns(const struct sessions *ss)
{
    return IDS / ss->n_workers;
}

void ids_begin(struct sessions *ss)
{
    ss->next_turn = (uint32_t)(random_u64() % turns(ss));
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
    do {
        s->id = FIRST + ss->next_turn * ss->n_workers + (unsigned)worker_index(ss->worker);
        s->id_round = ss->id_round;
        if (++ss->next_turn == turns(ss)) {
            ss->next_turn = 0;
            ss->id_round++;
        }
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
