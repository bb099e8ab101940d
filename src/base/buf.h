/*
 * buf.h - a growing byte queue with a limit: write at the end, read at the front.
 *
 *      mem          head            tail            cap
 *       |  consumed  |  unread data  |  free room    |
 *
 * An empty buf holds no memory after buf_give_up().  Pointers into it are
 * valid until the next call that writes or reserves.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/bytes.h"
#include "base/fault.h"

struct buf {
    uint8_t *mem;
    uint32_t head, tail, cap;
};

static inline size_t buf_len(const struct buf *b)
{
    return b->tail - b->head;
}
/* Of a buf without memory NULL: C does not even let 0 be added to it. */
static inline uint8_t *buf_at(const struct buf *b, uint32_t at)
{
    return b->mem ? b->mem + at : NULL;
}
static inline uint8_t *buf_head(const struct buf *b)
{
    return buf_at(b, b->head);
}
static inline struct bytes buf_bytes(const struct buf *b)
{
    return (struct bytes){ buf_head(b), buf_len(b) };
}
static inline size_t buf_room(const struct buf *b)
{
    return b->cap - b->tail;
}
static inline uint8_t *buf_end(const struct buf *b)
{
    return buf_at(b, b->tail);
}

/* Make room for n more bytes at the end, moving or growing (by doubling, at
 * least 4 KiB).  False (OURS) when unread + n would pass `limit`, the total of
 * all bufs would pass the process limit, or memory is refused. */
bool buf_reserve(struct buf *b, size_t n, size_t limit, struct fault *why) MUST_USE;

/* n bytes were written at buf_end() (n <= buf_room()). */
void buf_wrote(struct buf *b, size_t n);
/* Forget n bytes at the front (n <= buf_len()). */
void buf_skip(struct buf *b, size_t n);

/* Append, for sizes that we choose: dies when memory is refused.  Counted, but
 * not held to the process limit, which is for what peers cause. */
void buf_add(struct buf *b, struct bytes data);
void buf_add_u8(struct buf *b, uint8_t v);

/* Free the memory if nothing is unread; otherwise keep it. */
void buf_give_up(struct buf *b);
/* Free in any case. */
void buf_release(struct buf *b);
/* A thread keeps a few small blocks for its next bufs; before it ends it frees them. */
void buf_drop_spares(void);

/* Limit for all bufs of the process together (0 = none, the default), and how
 * much they hold now, with the blocks that threads keep; bytes.  Any thread. */
void buf_set_total_limit(size_t bytes);
size_t buf_total(void);

#endif
