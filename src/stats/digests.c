/*
 * digests.c - one command is over: its latency, its digest, the slow log.
 *
 * The path of a command that is neither slow nor new takes one uncontended mutex and
 * allocates nothing.  What the normal form of a new statement costs is paid before
 * the lock is taken.
 */
#include "stats/inside.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "router/router.h"

/* Not inlined: the common path is to need no more than its few instructions. */
#define APART __attribute__((noinline))

/* Longer ones do not fit into a line of the log. */
enum { SLOW_TEXT_BYTES = 512 };

static atomic_uint limit_digests, limit_text_bytes, limit_slow_ms, limit_slow_sample;

static unsigned limit_of(const atomic_uint *limit)
{
    return atomic_load_explicit(limit, memory_order_relaxed);
}

void served_set_limits(const struct served_limits *limits)
{
    atomic_store_explicit(&limit_digests, limits->digests, memory_order_relaxed);
    atomic_store_explicit(&limit_text_bytes, limits->digest_text_bytes, memory_order_relaxed);
    atomic_store_explicit(&limit_slow_ms, limits->slow_ms, memory_order_relaxed);
    atomic_store_explicit(&limit_slow_sample, limits->slow_sample, memory_order_relaxed);
}

static size_t normal_form(const struct served *s, char *out, size_t size)
{
    static const struct lexer_mode by_default = { .version = 0 };
    return digest_text(s->text, s->mode != NULL ? s->mode : &by_default, out, size);
}

/* ---- the table ------------------------------------------------------------------------ */

/* NULL when the text is unknown. */
static char *new_text(const struct served *s)
{
    if (s->text.len == 0)
        return NULL;
    size_t size = (size_t)limit_of(&limit_text_bytes) + 1;
    char *out = mem_alloc(size);
    size_t len = normal_form(s, out, size);
    return mem_realloc(out, len + 1);
}

static void keep_name(char *kept, size_t size, const char *name)
{
    str_copy(kept, size, bytes_str(name));
}

static APART void keep_names(struct digest_entry *e, const struct served *s)
{
    keep_name(e->user, sizeof(e->user), s->user);
    keep_name(e->server, sizeof(e->server), s->server);
    str_copy(e->schema, sizeof(e->schema), s->schema);
}

/* Commands of one turn of the loop ended at the same time, so that the names of the first are
 * as good as those of the others. */
static void add_to_entry(struct digest_entry *e, const struct served *s, uint64_t now_us)
{
    histogram_add(&e->latency, s->total_us);
    e->min_us = MIN(e->min_us, s->total_us);
    e->errors += s->error != 0;
    e->rows += s->rows;
    e->bytes += s->bytes;
    e->by[s->by]++;
    if (e->last_seen_us == now_us)
        return;
    e->last_seen_us = now_us;
    keep_names(e, s);
}

static struct digest_entry *new_entry(const struct served *s, uint64_t now_us)
{
    struct digest_entry *e = mem_zalloc(sizeof(*e));
    e->digest = s->digest;
    e->min_us = UINT64_MAX;
    e->first_seen_us = now_us;
    return e;
}

/* The first time on this worker, or the first time with a text.  Nobody else adds
 * entries, so what is missing now is missing still when the lock is taken again. */
static APART void record_new(struct digest_table *t, const struct served *s, unsigned limit,
                             uint64_t now_us)
{
    char *text = new_text(s);
    must(pthread_mutex_lock(&t->lock) == 0);
    struct digest_entry *e = digest_table_find(t, s->digest);
    if (e == NULL) {
        e = new_entry(s, now_us);
        digest_table_add(t, e, limit);
    }
    digest_table_touch(t, e);
    digest_table_set_text(t, e, text);
    add_to_entry(e, s, now_us);
    must(pthread_mutex_unlock(&t->lock) == 0);
}

static void record_digest(struct worker *w, struct digest_table *t, const struct served *s)
{
    unsigned limit = limit_of(&limit_digests);
    uint64_t now_us = worker_now_us(w);
    must(pthread_mutex_lock(&t->lock) == 0);
    if (atomic_load_explicit(&t->count, memory_order_relaxed) > limit)
        digest_table_fit(t, limit);
    struct digest_entry *e = digest_table_find(t, s->digest);
    bool is_known = e != NULL && (e->text != NULL || s->text.len == 0);
    if (is_known) {
        digest_table_touch(t, e);
        add_to_entry(e, s, now_us);
    }
    must(pthread_mutex_unlock(&t->lock) == 0);
    if (!is_known && limit > 0)
        record_new(t, s, limit, now_us);
}

/* ---- the slow log ------------------------------------------------------------------------ */

/* The text that the table keeps, for a command that comes without one. */
static void kept_text(struct digest_table *t, uint64_t digest, char *out, size_t size)
{
    must(pthread_mutex_lock(&t->lock) == 0);
    const struct digest_entry *e = digest_table_find(t, digest);
    str_copy(out, size, bytes_str(e != NULL ? e->text : NULL));
    must(pthread_mutex_unlock(&t->lock) == 0);
}

static bool is_sampled(struct digest_table *t)
{
    unsigned sample = limit_of(&limit_slow_sample);
    return t->slow_seen++ % MAX(sample, 1u) == 0;
}

static const char *quoted_name(const char *name)
{
    return log_quote(bytes_str(name));
}

/* Literals are the business of those who sent them: only the normal form is logged,
 * but at level debug. */
static APART void log_slow(struct digest_table *t, const struct served *s)
{
    char text[SLOW_TEXT_BYTES];
    if (s->text.len > 0)
        normal_form(s, text, sizeof(text));
    else
        kept_text(t, s->digest, text, sizeof(text));
    log_info("slow statement",
             "session=%u digest=%016llx text=%s user=%s schema=%s server=%s total_ms=%.1f "
             "wait_ms=%.1f rows=%llu error=%u",
             s->session, (unsigned long long)s->digest, quoted_name(text), quoted_name(s->user),
             log_quote(s->schema), s->server != NULL ? quoted_name(s->server) : "-",
             (double)s->total_us / 1e3, (double)s->wait_us / 1e3, (unsigned long long)s->rows,
             s->error);
}

void served_record(struct worker *w, const struct served *s)
{
    struct worker_stats *stats = worker_part(w, PART_STATS);
    must((unsigned)s->by < ARRAY_LEN(stats->counters.latency));
    histogram_add(&stats->counters.latency[s->by], s->total_us);
    if (s->wait_us > 0)
        histogram_add(&stats->counters.wait, s->wait_us);
    if (s->digest == 0)
        return;
    record_digest(w, &stats->digests, s);
    unsigned slow_ms = limit_of(&limit_slow_ms);
    if (slow_ms > 0 && s->total_us >= (uint64_t)slow_ms * 1000 && is_sampled(&stats->digests))
        log_slow(&stats->digests, s);
}
