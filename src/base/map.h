/*
 * map.h - one open-addressing hash map keyed by bytes, with a seeded hash.
 *
 * Keys are views: the caller keeps the bytes alive as long as the entry is in
 * the map (usually the key lies inside the value).  Not thread-safe.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/bytes.h"

struct map_slot {
    struct bytes key;
    void *value;              /* NULL = empty slot */
    uint32_t hash;
};

struct map {
    struct map_slot *slots;
    uint32_t count, cap;      /* cap is 0 or a power of two */
};

#define MAP_EMPTY ((struct map){ NULL, 0, 0 })

/* NULL when absent. */
void *map_get(const struct map *m, struct bytes key);
/* Insert or replace; value is not NULL.  Returns the value replaced, or NULL. */
void *map_put(struct map *m, struct bytes key, void *value);
/* Take out; returns the value, or NULL. */
void *map_remove(struct map *m, struct bytes key);
/* Frees the table, not the values. */
void map_release(struct map *m);

/* Walk: start with *at = 0; NULL at the end.  No changes while walking. */
void *map_next(const struct map *m, uint32_t *at);

#endif
