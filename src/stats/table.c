/*
 * table.c - a worker's digests: found by their number, forgotten in the order of use.
 *
 * Linear probing, at most half full, and no graves: what is taken out lets the
 * entries behind it move up.
 */
#include "stats/inside.h"

#include "base/mem.h"
#include "base/random.h"

enum { FEWEST_SLOTS = 16 };

static size_t slots_of(const struct digest_table *t)
{
    return (size_t)1 << (64 - t->shift);
}

static size_t slots_for(unsigned entries)
{
    size_t n = FEWEST_SLOTS;
    while (n < 2 * (size_t)entries)
        n *= 2;
    return n;
}

static unsigned count_of(const struct digest_table *t)
{
    return atomic_load_explicit(&t->count, memory_order_relaxed);
}

static void make_slots(struct digest_table *t, size_t n)
{
    t->slots = mem_zalloc(n * sizeof(*t->slots));
    t->shift = 64 - (unsigned)__builtin_ctzll(n);
}

static void put_into_slot(struct digest_table *t, struct digest_entry *e)
{
    size_t mask = slots_of(t) - 1, i = digest_table_home(t, e->digest);
    while (t->slots[i].entry != NULL)
        i = (i + 1) & mask;
    t->slots[i] = (struct digest_slot){ e->digest, e };
}

static void rebuild(struct digest_table *t, size_t n)
{
    mem_free(t->slots);
    make_slots(t, n);
    list_for_each(link, &t->recent)
        put_into_slot(t, list_entry(link, struct digest_entry, recent));
}

/* Close the gap at `hole`: whoever would no longer be found moves into it. */
static void close_gap(struct digest_table *t, size_t hole)
{
    size_t mask = slots_of(t) - 1;
    for (size_t i = (hole + 1) & mask; t->slots[i].entry != NULL; i = (i + 1) & mask) {
        size_t home = digest_table_home(t, t->slots[i].digest);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            t->slots[hole] = t->slots[i];
            hole = i;
        }
    }
    t->slots[hole].entry = NULL;
}

static void take_from_slot(struct digest_table *t, const struct digest_entry *e)
{
    size_t mask = slots_of(t) - 1, i = digest_table_home(t, e->digest);
    while (t->slots[i].entry != e)
        i = (i + 1) & mask;
    close_gap(t, i);
}

static size_t text_size(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

static void free_entry(struct digest_entry *e)
{
    mem_free(e->text);
    mem_free(e);
}

static void evict(struct digest_table *t)
{
    struct digest_entry *e = list_entry(list_last(&t->recent), struct digest_entry, recent);
    take_from_slot(t, e);
    list_leave(&e->recent);
    t->text_bytes -= text_size(e->text);
    gauge_add(&t->count, -1);
    count_add(&t->evicted, 1);
    free_entry(e);
}

void digest_table_fit(struct digest_table *t, unsigned limit)
{
    while (count_of(t) > limit)
        evict(t);
    if (slots_of(t) > slots_for(limit))
        rebuild(t, slots_for(limit));
}

void digest_table_add(struct digest_table *t, struct digest_entry *e, unsigned limit)
{
    while (count_of(t) >= limit)
        evict(t);
    size_t wanted = slots_for(count_of(t) + 1);
    if (wanted > slots_of(t))
        rebuild(t, wanted);
    put_into_slot(t, e);
    list_push_front(&t->recent, &e->recent);
    t->text_bytes += text_size(e->text);
    gauge_add(&t->count, 1);
}

void digest_table_set_text(struct digest_table *t, struct digest_entry *e, char *text)
{
    t->text_bytes += text_size(text) - text_size(e->text);
    mem_free(e->text);
    e->text = text;
}

size_t digest_table_bytes(const struct digest_table *t)
{
    return slots_of(t) * sizeof(*t->slots) + count_of(t) * sizeof(struct digest_entry) +
           t->text_bytes;
}

size_t digest_table_bound(unsigned limit, unsigned text_bytes)
{
    size_t entry = sizeof(struct digest_entry) + text_bytes + 1;
    return slots_for(limit) * sizeof(struct digest_slot) + limit * entry;
}

static void free_all(struct list *entries)
{
    list_for_each_safe(link, entries)
        free_entry(list_entry(link, struct digest_entry, recent));
}

/* Freeing takes longer than a worker should have to wait: it is done behind the lock. */
void digest_table_clear(struct digest_table *t)
{
    struct list gone;
    list_init(&gone);
    must(pthread_mutex_lock(&t->lock) == 0);
    struct list *first = list_first(&t->recent);
    if (first != NULL) {
        list_leave(&t->recent);
        list_insert(&gone, first->prev, first);
        list_init(&t->recent);
    }
    struct digest_slot *slots = t->slots;
    make_slots(t, FEWEST_SLOTS);
    t->text_bytes = 0;
    atomic_store_explicit(&t->count, 0, memory_order_relaxed);
    must(pthread_mutex_unlock(&t->lock) == 0);
    mem_free(slots);
    free_all(&gone);
}

void digest_table_init(struct digest_table *t)
{
    must(pthread_mutex_init(&t->lock, NULL) == 0);
    t->odd = random_u64() | 1;
    list_init(&t->recent);
    make_slots(t, FEWEST_SLOTS);
}

void digest_table_release(struct digest_table *t)
{
    free_all(&t->recent);
    mem_free(t->slots);
    pthread_mutex_destroy(&t->lock);
}
