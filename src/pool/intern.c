/* intern.c - equal things are the same pointer; see pool.h.
 *
 * Tables are touched when a session changes its state or prepares a statement, not once per
 * command, so one mutex per table will do.  The count may only reach zero under the mutex:
 * otherwise intern_get() could revive what is being freed.
 */
#include "pool/inside.h"

struct interned *intern_get(struct intern_table *t, struct bytes key,
                            struct interned *(*make)(void *arg, struct bytes key), void *arg)
{
    pthread_mutex_lock(&t->lock);
    struct interned *in = map_get(&t->map, key);
    if (in != NULL) {
        atomic_fetch_add_explicit(&in->count, 1, memory_order_relaxed);
    } else {
        in = make(arg, key);
        atomic_init(&in->count, 1);
        in->table = t;
        map_put(&t->map, in->key, in);
    }
    pthread_mutex_unlock(&t->lock);
    return in;
}

void intern_take(struct interned *in)
{
    atomic_fetch_add_explicit(&in->count, 1, memory_order_relaxed);
}

void intern_drop(struct interned *in)
{
    unsigned n = atomic_load_explicit(&in->count, memory_order_relaxed);
    while (n > 1)
        if (atomic_compare_exchange_weak_explicit(&in->count, &n, n - 1, memory_order_acq_rel,
                                                  memory_order_relaxed))
            return;
    struct intern_table *t = in->table;
    pthread_mutex_lock(&t->lock);
    bool last = atomic_fetch_sub_explicit(&in->count, 1, memory_order_acq_rel) == 1;
    if (last)
        map_remove(&t->map, in->key);
    if (last && t->map.count == 0)
        map_release(&t->map);
    pthread_mutex_unlock(&t->lock);
    if (last)
        t->free_one(in);
}
