/*
 * inside.h - what a worker has for stats, and its table of digests.
 */
#ifndef STATS_INSIDE_H
#define STATS_INSIDE_H

#include "stats/stats.h"

#include "base/list.h"

#include <pthread.h>

/* What one worker knows of one digest. */
struct digest_entry {
    struct list recent;           /* in digest_table.recent                                 */
    uint64_t digest;
    char *text;                   /* normal form, or NULL while the text is unknown         */
    uint64_t errors, rows, bytes, by[3], min_us;
    uint64_t first_seen_us, last_seen_us; /* loop time */
    struct histogram latency;
    char schema[65], user[81], server[65];
};

/* Open addressing by the digest; an empty slot has no entry. */
struct digest_slot {
    uint64_t digest;
    struct digest_entry *entry;
};

/*
 * The worker writes, anyone may collect: the mutex is for all of it but `odd` and
 * `slow_seen`, which are the worker's own.
 */
struct digest_table {
    pthread_mutex_t lock;
    struct digest_slot *slots;
    unsigned shift;               /* 64 - log2 of the number of slots                       */
    uint64_t odd;                 /* a client that chooses digests can't choose slots       */
    struct list recent;           /* all entries, the one used last in front                */
    size_t text_bytes;            /* of all texts with their NULs                           */
    atomic_uint count;            /* written under the lock, read by anyone                 */
    atomic_ullong evicted;
    unsigned slow_seen;
};

struct worker_stats {
    struct counters counters;     /* first: worker_counters() points here                   */
    struct digest_table digests;
};

static inline struct digest_table *worker_digests(const struct worker *w)
{
    return &((struct worker_stats *)worker_part(w, PART_STATS))->digests;
}

/* ---- table.c ---- */

void digest_table_init(struct digest_table *t);
void digest_table_release(struct digest_table *t);
/* What it holds, and the most that it will ever hold with so many entries. */
size_t digest_table_bytes(const struct digest_table *t);
size_t digest_table_bound(unsigned limit, unsigned text_bytes);

static inline size_t digest_table_home(const struct digest_table *t, uint64_t digest)
{
    return (size_t)(digest * t->odd >> t->shift);
}
/* Under the lock: NULL when there is none. */
static inline struct digest_entry *digest_table_find(const struct digest_table *t, uint64_t digest)
{
    size_t mask = ((size_t)1 << (64 - t->shift)) - 1, i = digest_table_home(t, digest);
    while (t->slots[i].entry != NULL && t->slots[i].digest != digest)
        i = (i + 1) & mask;
    return t->slots[i].entry;
}
/* Under the lock: give it an entry whose digest it does not have yet, as the one used last;
 * with `limit` (not 0) entries before, one goes. */
void digest_table_add(struct digest_table *t, struct digest_entry *e, unsigned limit);
/* Under the lock: it is used now. */
static inline void digest_table_touch(struct digest_table *t, struct digest_entry *e)
{
    if (t->recent.next == &e->recent)
        return;
    e->recent.prev->next = e->recent.next;
    e->recent.next->prev = e->recent.prev;
    list_push_front(&t->recent, &e->recent);
}
/* Under the lock: drop the entries used longest ago while there are more than `limit`, and
 * the slots that so few don't need. */
void digest_table_fit(struct digest_table *t, unsigned limit);
/* Under the lock: give `text` (may be NULL) to an entry of the table. */
void digest_table_set_text(struct digest_table *t, struct digest_entry *e, char *text);
/* Takes the lock: forget everything. */
void digest_table_clear(struct digest_table *t);

#endif
