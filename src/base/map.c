/*
 * Linear probing without tombstones: taking an entry out moves those behind it
 * back, so every entry can be reached from its home slot without a gap.
 */
#include "base/map.h"

#include "base/hash.h"
#include "base/mem.h"

enum { FIRST_CAP = 8 };

static uint32_t hash_key(struct bytes key)
{
    return (uint32_t)hash_bytes(key);
}

/* The key's slot, or the empty one where it would go.  The map has slots. */
static struct map_slot *find(const struct map *m, struct bytes key, uint32_t hash)
{
    uint32_t mask = m->cap - 1;
    for (uint32_t i = hash & mask;; i = (i + 1) & mask) {
        struct map_slot *slot = &m->slots[i];
        if (slot->value == NULL || (slot->hash == hash && bytes_equal(slot->key, key)))
            return slot;
    }
}

void *map_get(const struct map *m, struct bytes key)
{
    return m->count > 0 ? find(m, key, hash_key(key))->value : NULL;
}

static void grow(struct map *m)
{
    must(m->cap <= UINT32_MAX / 4);
    struct map old = *m;
    m->cap = MAX(old.cap * 2, FIRST_CAP);
    m->slots = mem_zalloc(m->cap * sizeof(*m->slots));
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.slots[i].value != NULL)
            *find(m, old.slots[i].key, old.slots[i].hash) = old.slots[i];
    mem_free(old.slots);
}

void *map_put(struct map *m, struct bytes key, void *value)
{
    must(value != NULL);
    if (m->count + 1 > m->cap / 4 * 3)
        grow(m);
    uint32_t hash = hash_key(key);
    struct map_slot *slot = find(m, key, hash);
    void *replaced = slot->value;
    /* The old key may lie in the value that goes. */
    *slot = (struct map_slot){ key, value, hash };
    m->count += replaced == NULL;
    return replaced;
}

/* Close the gap at i with entries that may stand there: those whose home is
 * not between the gap and themselves. */
static void shift_back(struct map *m, uint32_t i)
{
    uint32_t mask = m->cap - 1;
    for (uint32_t j = (i + 1) & mask; m->slots[j].value != NULL; j = (j + 1) & mask) {
        uint32_t from_home = (j - m->slots[j].hash) & mask;
        uint32_t from_gap = (j - i) & mask;
        if (from_home >= from_gap) {
            m->slots[i] = m->slots[j];
            i = j;
        }
    }
    m->slots[i] = (struct map_slot){ BYTES_NONE, NULL, 0 };
}

void *map_remove(struct map *m, struct bytes key)
{
    if (m->count == 0)
        return NULL;
    struct map_slot *slot = find(m, key, hash_key(key));
    void *value = slot->value;
    if (value == NULL)
        return NULL;
    shift_back(m, (uint32_t)(slot - m->slots));
    m->count--;
    return value;
}

void map_release(struct map *m)
{
    mem_free(m->slots);
    *m = MAP_EMPTY;
}

void *map_next(const struct map *m, uint32_t *at)
{
    while (*at < m->cap) {
        void *value = m->slots[(*at)++].value;
        if (value != NULL)
            return value;
    }
    return NULL;
}
