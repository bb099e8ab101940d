#include "base/buf.h"

#include "base/mem.h"
#include "base/sanitizers.h"

#include <stdatomic.h>

enum {
    SMALLEST_CAP = 4096,
    OUT_OF_MEMORY = 1041, /* ER_OUT_OF_RESOURCES */
};

/* Sanitizers see what is used after it was freed only if it is freed. */
enum { SPARES_MOST = HAS_ASAN || HAS_TSAN ? 0 : 64 };

/* Blocks of the smallest size that this thread has given up: a session that goes from idle to busy
 * and back takes and leaves up to four with each command.  They stay in the total. */
struct spare {
    struct spare *next;
};
static _Thread_local struct spare *spares;
static _Thread_local unsigned n_spares;

static atomic_size_t total_bytes;
static atomic_size_t total_limit;

void buf_set_total_limit(size_t bytes)
{
    atomic_store_explicit(&total_limit, bytes, memory_order_relaxed);
}

size_t buf_total(void)
{
    return atomic_load_explicit(&total_bytes, memory_order_relaxed);
}

static void count_less(size_t bytes)
{
    atomic_fetch_sub_explicit(&total_bytes, bytes, memory_order_relaxed);
}

/* Added before it is compared, so that threads can't pass the limit together. */
static bool count_more(size_t bytes, bool is_limited)
{
    size_t limit = atomic_load_explicit(&total_limit, memory_order_relaxed);
    size_t before = atomic_fetch_add_explicit(&total_bytes, bytes, memory_order_relaxed);
    if (!is_limited || limit == 0 || (before <= limit && bytes <= limit - before))
        return true;
    count_less(bytes);
    return false;
}

/* True if b, which holds nothing, has a spare block now. */
static bool take_spare(struct buf *b)
{
    struct spare *first = spares;
    if (first == NULL)
        return false;
    spares = first->next;
    n_spares--;
    *b = (struct buf){ .mem = (uint8_t *)first, .cap = SMALLEST_CAP };
    return true;
}

static bool leave_spare(struct buf *b)
{
    struct spare *block = (struct spare *)(void *)b->mem;
    if (b->cap != SMALLEST_CAP || n_spares + 1 > SPARES_MOST)
        return false;
    block->next = spares;
    spares = block;
    n_spares++;
    return true;
}

void buf_drop_spares(void)
{
    for (struct buf b; take_spare(&b);) {
        count_less(b.cap);
        free(b.mem);
    }
}

static void slide(struct buf *b)
{
    size_t len = buf_len(b);
    if (len > 0)
        memmove(b->mem, b->mem + b->head, len);
    b->head = 0;
    b->tail = (uint32_t)len;
}

/* In a big buf sliding a few bytes at a time would cost its length each time;
 * a quarter consumed pays for moving the rest. */
static bool slide_is_cheap(const struct buf *b)
{
    return b->cap <= 64 * 1024 || b->head >= b->cap / 4;
}

/* The next capacity: doubled until `needed` fits, not past `limit` except for
 * the smallest. */
static uint32_t next_cap(const struct buf *b, size_t needed, size_t limit)
{
    uint64_t cap = MAX(b->cap, SMALLEST_CAP);
    while (cap < needed || cap <= b->cap)
        cap *= 2;
    return (uint32_t)MIN(cap, MAX(limit, SMALLEST_CAP));
}

/* Only unread bytes are worth copying; realloc() of a whole block may not copy
 * at all. */
static bool move_to(struct buf *b, uint32_t cap)
{
    size_t len = buf_len(b);
    uint8_t *mem = b->head == 0 ? realloc(b->mem, cap) : malloc(cap);
    if (mem == NULL)
        return false;
    if (b->head != 0) {
        memcpy(mem, b->mem + b->head, len);
        free(b->mem);
    }
    *b = (struct buf){ .mem = mem, .tail = (uint32_t)len, .cap = cap };
    return true;
}

static bool grow(struct buf *b, uint32_t cap, bool is_limited, struct fault *why)
{
    size_t more = cap - b->cap;
    if (!count_more(more, is_limited))
        return fault_set(why, BLAME_OURS, OUT_OF_MEMORY,
                         "volvox: out of memory: buffers hold %zu bytes, all that they may", buf_total());
    if (move_to(b, cap))
        return true;
    count_less(more);
    return fault_set(why, BLAME_OURS, OUT_OF_MEMORY,
                     "volvox: out of memory: the system refuses %u bytes for a buffer", cap);
}

static bool make_room(struct buf *b, size_t n, size_t limit, bool is_limited, struct fault *why)
{
    size_t needed = buf_len(b) + n;
    if (b->cap == 0 && n <= SMALLEST_CAP && take_spare(b))
        return true;
    if (needed > b->cap)
        return grow(b, next_cap(b, needed, limit), is_limited, why);
    uint32_t cap = next_cap(b, needed, limit);
    if (slide_is_cheap(b) || cap <= b->cap || !grow(b, cap, is_limited, NULL))
        slide(b);
    return true;
}

bool buf_reserve(struct buf *b, size_t n, size_t limit, struct fault *why)
{
    size_t len = buf_len(b);
    limit = MIN(limit, UINT32_MAX);
    if (len > limit || n > limit - len)
        return fault_set(
            why, BLAME_OURS, OUT_OF_MEMORY,
            "volvox: out of memory: a buffer of %zu bytes may not grow by %zu, its limit is %zu", len,
            n, limit);
    if (n <= buf_room(b))
        return true;
    return make_room(b, n, limit, true, why);
}

void buf_wrote(struct buf *b, size_t n)
{
    must(n <= buf_room(b));
    b->tail += (uint32_t)n;
}

void buf_skip(struct buf *b, size_t n)
{
    must(n <= buf_len(b));
    b->head += (uint32_t)n;
    if (b->head == b->tail)
        b->head = b->tail = 0;
}

/* A process limit that peers have reached must not end the process here. */
static void room_or_die(struct buf *b, size_t n)
{
    must(n <= UINT32_MAX - buf_len(b));
    if (n > buf_room(b)) {
        bool has_room = make_room(b, n, UINT32_MAX, false, NULL);
        must(has_room);
    }
}

void buf_add(struct buf *b, struct bytes data)
{
    if (data.len == 0)
        return;
    room_or_die(b, data.len);
    memcpy(buf_end(b), data.data, data.len);
    b->tail += (uint32_t)data.len;
}

void buf_add_u8(struct buf *b, uint8_t v)
{
    room_or_die(b, 1);
    b->mem[b->tail++] = v;
}

void buf_give_up(struct buf *b)
{
    if (buf_len(b) == 0)
        buf_release(b);
}

void buf_release(struct buf *b)
{
    if (b->mem == NULL)
        return;
    if (!leave_spare(b)) {
        count_less(b->cap);
        free(b->mem);
    }
    *b = (struct buf){ 0 };
}
