/*
 * Blocks form a stack, newest first.  A piece too big for an ordinary block
 * gets one of its own on top of that stack, while at/end stay where they are:
 * in the newest ordinary block.
 */
#include "base/arena.h"

#include "base/mem.h"
#include "base/sanitizers.h"

#include <stdalign.h>
#include <stdarg.h>

struct arena_block {
    struct arena_block *older;
    bool is_ordinary;
    alignas(16) char data[];
};

enum {
    ALIGN = 16,
    ORDINARY_BYTES = 8192 - sizeof(struct arena_block),
};

void arena_init(struct arena *a)
{
    *a = (struct arena){ 0 };
}

static struct arena_block *push_block(struct arena *a, size_t size, bool is_ordinary)
{
    struct arena_block *block = mem_alloc(sizeof(*block) + size);
    block->older = a->blocks;
    block->is_ordinary = is_ordinary;
    a->blocks = block;
    return block;
}

static void pop_block(struct arena *a)
{
    struct arena_block *block = a->blocks;
    a->blocks = block->older;
    mem_free(block);
}

static void *from_new_block(struct arena *a, size_t size)
{
    struct arena_block *block = push_block(a, ORDINARY_BYTES, true);
    a->at = block->data + size;
    a->end = block->data + ORDINARY_BYTES;
    return block->data;
}

void *arena_alloc(struct arena *a, size_t size)
{
    must(size <= PTRDIFF_MAX / 2);
    size_t rounded = MAX((size + ALIGN - 1) & ~(size_t)(ALIGN - 1), ALIGN);
    a->used_bytes += rounded;
    if (HAS_ASAN)                 /* each piece alone, so that it sees what lies beyond */
        return push_block(a, size, false)->data;
    if (rounded <= (size_t)(a->end - a->at)) {
        void *piece = a->at;
        a->at += rounded;
        return piece;
    }
    /* A quarter at most of an ordinary block is left unused. */
    if (rounded > ORDINARY_BYTES / 4)
        return push_block(a, rounded, false)->data;
    return from_new_block(a, rounded);
}

void *arena_zalloc(struct arena *a, size_t size)
{
    return memset(arena_alloc(a, size), 0, size);
}

struct bytes arena_copy(struct arena *a, struct bytes b)
{
    must(b.len < SIZE_MAX);
    uint8_t *copy = arena_alloc(a, b.len + 1);
    if (b.len > 0)
        memcpy(copy, b.data, b.len);
    copy[b.len] = 0;
    return bytes_of(copy, b.len);
}

struct bytes arena_join(struct arena *a, const struct bytes *parts, size_t n)
{
    size_t len = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        len += parts[i].len;
    uint8_t *all = arena_alloc(a, len + 1);
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len > 0)
            memcpy(all + at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    all[len] = 0;
    return bytes_of(all, len);
}

char *arena_strdup(struct arena *a, struct bytes b)
{
    return (char *)arena_copy(a, b).data;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    must(len >= 0);
    char *text = arena_alloc(a, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    va_end(args);
    return text;
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){ a->blocks, a->at, a->used_bytes };
}

static char *end_of_newest_ordinary(const struct arena *a)
{
    for (struct arena_block *block = a->blocks; block != NULL; block = block->older)
        if (block->is_ordinary)
            return block->data + ORDINARY_BYTES;
    return NULL;
}

void arena_rewind(struct arena *a, struct arena_mark mark)
{
    while (a->blocks != mark.block) {
        must(a->blocks != NULL);
        pop_block(a);
    }
    a->at = mark.at;
    a->end = end_of_newest_ordinary(a);
    a->used_bytes = mark.used_bytes;
}

void arena_reset(struct arena *a)
{
    struct arena_block *kept = NULL;
    while (a->blocks != NULL) {
        if (kept == NULL && a->blocks->is_ordinary) {
            kept = a->blocks;
            a->blocks = kept->older;
        } else {
            pop_block(a);
        }
    }
    arena_init(a);
    if (kept == NULL)
        return;
    kept->older = NULL;
    a->blocks = kept;
    a->at = kept->data;
    a->end = kept->data + ORDINARY_BYTES;
}

void arena_release(struct arena *a)
{
    while (a->blocks != NULL)
        pop_block(a);
    arena_init(a);
}
