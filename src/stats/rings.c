/*
 * rings.c - what happened lately: events and faults, the newest of each.
 */
#include "stats/stats.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#include <pthread.h>
#include <stdarg.h>

enum { RING_SIZE = 512 };

/* Number n (from 1) lies in slot n % RING_SIZE. */
struct ring {
    pthread_mutex_t lock;
    uint64_t last_number;
    struct happening slots[RING_SIZE];
};
static struct ring events = { .lock = PTHREAD_MUTEX_INITIALIZER };
static struct ring faults = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void lock(struct ring *r)
{
    must(pthread_mutex_lock(&r->lock) == 0);
}

static void unlock(struct ring *r)
{
    must(pthread_mutex_unlock(&r->lock) == 0);
}

static void note(struct ring *r, struct happening *h)
{
    h->wall_us = clock_wall_us();
    lock(r);
    h->number = ++r->last_number;
    r->slots[h->number % RING_SIZE] = *h;
    unlock(r);
}

void event_note(const char *kind, const char *who, const char *fmt, ...)
{
    struct happening h = { .session = 0 };
    str_copy(h.kind, sizeof(h.kind), bytes_str(kind));
    str_copy(h.who, sizeof(h.who), bytes_str(who));
    va_list args;
    va_start(args, fmt);
    vsnprintf(h.text, sizeof(h.text), fmt, args);
    va_end(args);
    note(&events, &h);
}

void fault_note(const struct fault *why, const char *user, uint32_t session)
{
    struct happening h = { .session = session, .code = why->code };
    str_copy(h.kind, sizeof(h.kind), bytes_str(blame_name(why->blame)));
    str_copy(h.who, sizeof(h.who), bytes_str(user));
    str_copy(h.text, sizeof(h.text), bytes_str(why->text));
    note(&faults, &h);
}

static struct happening *copy(struct ring *r, size_t *count)
{
    struct happening *out = mem_alloc(RING_SIZE * sizeof(*out));
    lock(r);
    size_t n = (size_t)MIN(r->last_number, (uint64_t)RING_SIZE);
    for (size_t i = 0; i < n; i++)
        out[i] = r->slots[(r->last_number - n + 1 + i) % RING_SIZE];
    unlock(r);
    *count = n;
    return out;
}

struct happening *events_copy(size_t *count)
{
    return copy(&events, count);
}

struct happening *faults_copy(size_t *count)
{
    return copy(&faults, count);
}
