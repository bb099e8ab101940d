/* store.c - what logins taught; see accounts.h. */
#include "accounts/accounts.h"

#include "base/mem.h"

struct store_entry {
    struct list used;        /* in store.used */
    struct account *account; /* counted */
    uint64_t proven_us, used_us;
    size_t key_len;
    uint8_t key[];
};

static struct bytes key_of(const struct store_entry *e)
{
    return bytes_of(e->key, e->key_len);
}

static void remove_entry(struct account_store *s, struct store_entry *e)
{
    map_remove(&s->by_key, key_of(e));
    list_leave(&e->used);
    account_drop(e->account);
    mem_free(e);
}

static struct store_entry *oldest(const struct account_store *s)
{
    struct list *last = list_last(&s->used);
    return last != NULL ? list_entry(last, struct store_entry, used) : NULL;
}

static void touch(struct account_store *s, struct store_entry *e, uint64_t now_us)
{
    e->used_us = now_us;
    list_leave(&e->used);
    list_push_front(&s->used, &e->used);
}

/* (threads' clocks differ by a loop turn) */
static bool is_old(const struct account_store *s, const struct store_entry *e, uint64_t now_us)
{
    return now_us > e->used_us + (uint64_t)s->lifetime_s * 1000000;
}

static void forget_old(struct account_store *s, uint64_t now_us)
{
    for (struct store_entry *e; (e = oldest(s)) != NULL && is_old(s, e, now_us);)
        remove_entry(s, e);
}

static void forget_surplus(struct account_store *s)
{
    while (s->by_key.count > s->max)
        remove_entry(s, oldest(s));
}

void account_store_init(struct account_store *s)
{
    *s = (struct account_store){ .by_key = MAP_EMPTY };
    list_init(&s->used);
    pthread_mutex_init(&s->lock, NULL);
}

void account_store_release(struct account_store *s)
{
    for (struct store_entry *e; (e = oldest(s)) != NULL;)
        remove_entry(s, e);
    map_release(&s->by_key);
    pthread_mutex_destroy(&s->lock);
}

void account_store_limits(struct account_store *s, unsigned max, unsigned lifetime_s)
{
    pthread_mutex_lock(&s->lock);
    s->max = max;
    s->lifetime_s = lifetime_s;
    forget_surplus(s);
    pthread_mutex_unlock(&s->lock);
}

struct account *account_store_find(struct account_store *s, struct bytes key, uint64_t now_us,
                                   uint64_t *proven_us)
{
    struct account *found = NULL;
    pthread_mutex_lock(&s->lock);
    struct store_entry *e = map_get(&s->by_key, key);
    if (e != NULL && is_old(s, e, now_us)) {
        remove_entry(s, e);
    } else if (e != NULL) {
        touch(s, e, now_us);
        found = account_take(e->account);
        *proven_us = e->proven_us;
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

static struct store_entry *add_entry(struct account_store *s, struct bytes key)
{
    struct store_entry *e = mem_zalloc(sizeof *e + key.len);
    e->key_len = key.len;
    memcpy(e->key, key.data, key.len);
    map_put(&s->by_key, key_of(e), e);
    return e;
}

void account_store_put(struct account_store *s, struct bytes key, struct account *a,
                       uint64_t now_us)
{
    pthread_mutex_lock(&s->lock);
    struct store_entry *e = map_get(&s->by_key, key);
    if (e == NULL)
        e = add_entry(s, key);
    account_take(a);
    account_drop(e->account);
    e->account = a;
    e->proven_us = now_us;
    touch(s, e, now_us);
    forget_surplus(s);
    pthread_mutex_unlock(&s->lock);
}

void account_store_forget(struct account_store *s, struct bytes key, const struct account *a)
{
    pthread_mutex_lock(&s->lock);
    struct store_entry *e = map_get(&s->by_key, key);
    if (e != NULL && e->account == a)
        remove_entry(s, e);
    pthread_mutex_unlock(&s->lock);
}

void account_store_sweep(struct account_store *s, uint64_t now_us)
{
    pthread_mutex_lock(&s->lock);
    forget_old(s, now_us);
    pthread_mutex_unlock(&s->lock);
}

unsigned account_store_count(struct account_store *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->by_key.count;
    pthread_mutex_unlock(&s->lock);
    return n;
}
