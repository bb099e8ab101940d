/*
 * arena.h - bump allocation for everything that dies with one command.
 *
 * Owned by one task (or one test).  Under ASan each piece is allocated on its
 * own, so that overruns are seen.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/bytes.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;   /* newest first */
    char *at, *end;               /* free part of the newest block */
    size_t used_bytes;            /* handed out since the last reset */
};

void arena_init(struct arena *a);

/* Aligned to 16 bytes, never NULL, valid until arena_reset()/arena_rewind(). */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);

/* Copies with a NUL behind; the view's len excludes the NUL. */
struct bytes arena_copy(struct arena *a, struct bytes b);
/* One behind the other. */
struct bytes arena_join(struct arena *a, const struct bytes *parts, size_t n);
char *arena_strdup(struct arena *a, struct bytes b);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Remember a point; rewinding frees everything handed out after it. */
struct arena_mark {
    struct arena_block *block;
    char *at;
    size_t used_bytes;
};
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark mark);

/* Free everything but (outside ASan) one block of ordinary size. */
void arena_reset(struct arena *a);
/* Free everything. */
void arena_release(struct arena *a);

#endif
