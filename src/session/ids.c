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

#include "base/mem.h"
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

/* ---- who has which: open addressing, at the place of its turn ------------------------------- */

enum { SLOTS_LEAST = 64 };

static uint32_t place_of(const struct sessions *ss, uint32_t id)
{
    return (id - FIRST) / ss->n_workers & (ss->ids.cap - 1);
}

/* Where it is, or would be. */
static uint32_t slot_of(const struct sessions *ss, uint32_t id)
{
    const struct id_table *x = &ss->ids;
    uint32_t at = place_of(ss, id);
    while (x->slots[at] != NULL && x->slots[at]->id != id)
        at = (at + 1) & (x->cap - 1);
    return at;
}

static void resize(struct sessions *ss, uint32_t cap)
{
    struct id_table before = ss->ids, *x = &ss->ids;
    x->slots = mem_zalloc(cap * sizeof(struct session *));
    x->cap = cap;
    for (uint32_t i = 0; i < before.cap; i++)
        if (before.slots[i] != NULL)
            x->slots[slot_of(ss, before.slots[i]->id)] = before.slots[i];
    mem_free(before.slots);
}

/* The slot is empty now: what follows in its row and may lie there moves up. */
static void close_gap(struct sessions *ss, uint32_t gap)
{
    struct id_table *x = &ss->ids;
    uint32_t mask = x->cap - 1;
    for (uint32_t at = (gap + 1) & mask; x->slots[at] != NULL; at = (at + 1) & mask) {
        uint32_t away = (at - place_of(ss, x->slots[at]->id)) & mask;
        if (away < ((at - gap) & mask))
            continue;
        x->slots[gap] = x->slots[at];
        x->slots[at] = NULL;
        gap = at;
    }
}

void ids_release(struct id_table *x)
{
    must(x->count == 0);
    mem_free(x->slots);
}

void id_take(struct session *s)
{
    struct sessions *ss = s->home;
    unsigned turns = IDS / ss->n_workers;
    if ((ss->ids.count + 1) * 4 > ss->ids.cap * 3)
        resize(ss, MAX(2 * ss->ids.cap, (uint32_t)SLOTS_LEAST));
    do {
        uint64_t turn = atomic_fetch_add_explicit(&ss->shared->next_turn, 1, memory_order_relaxed);
        s->id =
            FIRST + (unsigned)(turn % turns) * ss->n_workers + (unsigned)worker_index(ss->worker);
        s->id_round = (uint8_t)(turn / turns);
    } while (id_find(ss, s->id) != NULL);
    ss->ids.slots[slot_of(ss, s->id)] = s;
    ss->ids.count++;
}

void id_drop(struct session *s)
{
    struct sessions *ss = s->home;
    struct id_table *x = &ss->ids;
    uint32_t at = slot_of(ss, s->id);
    must(x->slots[at] == s);
    x->slots[at] = NULL;
    close_gap(ss, at);
    if (--x->count < x->cap / 8 && x->cap > SLOTS_LEAST)
        resize(ss, x->cap / 2);
}

struct session *id_find(const struct sessions *ss, uint32_t id)
{
    return ss->ids.cap > 0 ? ss->ids.slots[slot_of(ss, id)] : NULL;
}
