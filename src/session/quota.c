/* quota.c - max_connections of a user over all workers; see inside.h. */
#include "session/inside.h"

#include "base/mem.h"

bool quota_take(struct sessions_shared *shared, struct bytes name, unsigned most)
{
    pthread_mutex_lock(&shared->quota_lock);
    struct quota *q = map_get(&shared->quotas, name);
    bool free_place = q == NULL || q->used < most;
    if (q == NULL) {
        q = mem_zalloc(sizeof *q + name.len + 1);
        memcpy(q->name, name.data, name.len);
        map_put(&shared->quotas, bytes_of(q->name, name.len), q);
    }
    q->used += free_place;
    pthread_mutex_unlock(&shared->quota_lock);
    return free_place;
}

void quota_drop(struct sessions_shared *shared, struct bytes name)
{
    pthread_mutex_lock(&shared->quota_lock);
    struct quota *q = map_get(&shared->quotas, name);
    must(q != NULL && q->used > 0);
    if (--q->used == 0) {
        map_remove(&shared->quotas, name);
        mem_free(q);
    }
    pthread_mutex_unlock(&shared->quota_lock);
}
