/* One server as all threads see it. */
#include "servers/inside.h"

#include "base/mem.h"

struct server *server_new(const struct server_config *c)
{
    static atomic_uint numbers;
    struct server *s = mem_zalloc(sizeof(*s));
    ref_init(&s->ref);
    s->name = mem_strdup(c->name);
    s->address = c->resolved;
    s->number = atomic_fetch_add(&numbers, 1) + 1;
    server_configure(s, c);
    must(pthread_mutex_init(&s->wants_lock, NULL) == 0);
    list_init(&s->wants);
    return s;
}

void server_configure(struct server *s, const struct server_config *c)
{
    atomic_store(&s->max_open, c->max_connections);
    atomic_store(&s->compression, (unsigned)c->compression);
    atomic_store(&s->compression_level, c->compression_level);
    atomic_store(&s->proxy_protocol, (unsigned)c->proxy_protocol);
    atomic_store(&s->told_no_compression, false);
}

struct server *server_take(struct server *s)
{
    ref_take(&s->ref);
    return s;
}

void server_drop(struct server *s)
{
    if (s == NULL || !ref_drop(&s->ref))
        return;
    must(list_empty(&s->wants));
    must(atomic_load(&s->open) == 0 && atomic_load(&s->leaving) == 0);
    pthread_mutex_destroy(&s->wants_lock);
    mem_free(s->name);
    mem_free(s);
}

bool server_may_open(struct server *s)
{
    unsigned open = atomic_load(&s->open);
    do {
        if (open >= atomic_load(&s->max_open) || atomic_load(&s->draining))
            return false;
    } while (!atomic_compare_exchange_weak(&s->open, &open, open + 1));
    return true;
}

void server_closed(struct server *s)
{
    must(atomic_fetch_sub(&s->open, 1) > 0);
}

unsigned server_unmet(struct server *s)
{
    unsigned wanted = atomic_load_explicit(&s->wanted, memory_order_relaxed);
    unsigned leaving = atomic_load_explicit(&s->leaving, memory_order_relaxed);
    return wanted > leaving ? wanted - leaving : 0;
}
