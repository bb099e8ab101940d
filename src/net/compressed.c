/*
 * compressed.c - the compressed protocol as a layer; see net.h, and protocol/compress.c for what
 * travels.
 *
 * An idle stream has nothing here but the struct: no buffers, and no state of zlib or zstd, because
 * what compresses belongs to the thread, and what decompresses to a frame under way.
 */
#include "net/inside.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>

enum {
    RECEIVE_ROOM = 16 << 10,
    RECEIVES_MOST = 16, /* frames without any bytes don't keep a worker busy for longer */
};

struct squeezer {
    struct layer layer;
    struct compressed frames;
    struct buf in, out; /* received and not read; frames that have not left */
    struct traffic traffic;
};

static struct squeezer *squeezer_of(const struct layer *l)
{
    return container_of(l, struct squeezer, layer);
}

/* ---- what a thread has for all its streams ------------------------------------------------- */

static pthread_key_t tools_key;
static pthread_once_t tools_once = PTHREAD_ONCE_INIT;

static void free_tools(void *tools)
{
    compress_tools_free(tools);
}

static void make_key(void)
{
    must(pthread_key_create(&tools_key, free_tools) == 0);
}

static struct compress_tools *tools(void)
{
    must(pthread_once(&tools_once, make_key) == 0);
    struct compress_tools *mine = pthread_getspecific(tools_key);
    if (mine != NULL)
        return mine;
    mine = compress_tools_new();
    must(pthread_setspecific(tools_key, mine) == 0);
    return mine;
}

/* ---- receiving ----------------------------------------------------------------------------- */

static bool below_has_more(const struct layer *l)
{
    return buf_len(&l->early) > 0 || (l->below != NULL && l->below->kind->has_more(l->below));
}

static ssize_t receive_wire(struct squeezer *x)
{
    /* never more than the head of a frame is left from before */
    if (!buf_reserve(&x->in, RECEIVE_ROOM - buf_len(&x->in), RECEIVE_ROOM, NULL)) {
        errno = ENOMEM;
        return -1;
    }
    ssize_t n = layer_receive_below(&x->layer, buf_end(&x->in), buf_room(&x->in));
    if (n > 0) {
        buf_wrote(&x->in, (size_t)n);
        x->traffic.wire_received += (uint64_t)n;
    }
    return n;
}

static ssize_t squeezer_receive(struct layer *l, void *to, size_t room)
{
    struct squeezer *x = squeezer_of(l);
    size_t taken, given;
    for (int i = 0; i < RECEIVES_MOST || below_has_more(l); i++) {
        if (!compressed_read(&x->frames, tools(), buf_bytes(&x->in), &taken, to, room, &given)) {
            errno = x->frames.is_out_of_order ? EILSEQ : EBADMSG;
            return -1;
        }
        buf_skip(&x->in, taken);
        x->traffic.received += given;
        if (given > 0)
            return (ssize_t)given;
        ssize_t n = receive_wire(x);
        if (n <= 0)
            return n;
    }
    errno = EAGAIN;
    return -1;
}

static bool squeezer_has_more(const struct layer *l)
{
    const struct squeezer *x = squeezer_of(l);
    return compressed_has_more(&x->frames, buf_len(&x->in)) || below_has_more(l);
}

/* The end of a frame that has been read is no news, if it comes later than the rest. */
static ssize_t squeezer_peek(struct layer *l)
{
    struct squeezer *x = squeezer_of(l);
    uint8_t nothing;
    size_t taken, given;
    while (compressed_is_ending(&x->frames)) {
        ssize_t n = receive_wire(x);
        if (n <= 0)
            return n;
        if (!compressed_read(&x->frames, tools(), buf_bytes(&x->in), &taken, &nothing, 0, &given)) {
            errno = EBADMSG;
            return -1;
        }
        buf_skip(&x->in, taken);
    }
    return buf_len(&x->in) > 0 ? 1 : layer_peek_below(l);
}

/* ---- sending ------------------------------------------------------------------------------- */

/* Pass on what has been packed. */
static bool pass_on(struct squeezer *x)
{
    while (buf_len(&x->out) > 0) {
        ssize_t n = layer_send_below(&x->layer, buf_bytes(&x->out));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        buf_skip(&x->out, (size_t)n);
        x->traffic.wire_sent += (uint64_t)n;
    }
    return true;
}

/* One frame at a time, and no other until it has left. */
static ssize_t squeezer_send(struct layer *l, struct bytes data)
{
    struct squeezer *x = squeezer_of(l);
    if (!pass_on(x))
        return -1;
    size_t n = compressed_write(&x->frames, tools(), data, &x->out);
    x->traffic.sent += n;
    if (n > 0)
        return (ssize_t)n;
    errno = ENOMEM;
    return -1;
}

static int squeezer_flush(struct layer *l)
{
    if (!pass_on(squeezer_of(l)))
        return -1;
    return l->below != NULL ? l->below->kind->flush(l->below) : 0;
}

static bool squeezer_holds(const struct layer *l)
{
    return buf_len(&squeezer_of(l)->out) > 0 ||
           (l->below != NULL && l->below->kind->holds(l->below));
}

/* ---- life ---------------------------------------------------------------------------------- */

static void squeezer_rest(struct layer *l)
{
    struct squeezer *x = squeezer_of(l);
    compressed_rest(&x->frames, tools());
    buf_give_up(&x->in);
    buf_give_up(&x->out);
}

/* The protocol has no word for it; what is below may. */
static void squeezer_goodbye(struct layer *l)
{
    if (l->below != NULL)
        l->below->kind->goodbye(l->below);
}

static void squeezer_free(struct layer *l)
{
    struct squeezer *x = squeezer_of(l);
    compressed_release(&x->frames);
    buf_release(&x->in);
    buf_release(&x->out);
    mem_free(x);
}

#define SQUEEZER_KIND(called)                                                                      \
    {                                                                                              \
        .name = called, .receive = squeezer_receive, .peek = squeezer_peek, .send = squeezer_send, \
        .flush = squeezer_flush, .holds = squeezer_holds, .has_more = squeezer_has_more,           \
        .rest = squeezer_rest, .goodbye = squeezer_goodbye, .free = squeezer_free                  \
    }
static const struct layer_kind zlib_kind = SQUEEZER_KIND("zlib");
static const struct layer_kind zstd_kind = SQUEEZER_KIND("zstd");

void stream_compress(struct stream *st, enum compression algorithm, unsigned level)
{
    struct squeezer *x = mem_zalloc(sizeof *x);
    x->layer.kind = algorithm == COMPRESSION_ZLIB ? &zlib_kind : &zstd_kind;
    compressed_init(&x->frames, algorithm, level, st->blame == BLAME_SERVER);
    stream_push_layer(st, &x->layer);
}

/* It is on top of all others. */
static struct squeezer *squeezer_in(const struct stream *st)
{
    struct layer *top = st->top;
    return top != NULL && top->kind->free == squeezer_free ? squeezer_of(top) : NULL;
}

void stream_begin_command(struct stream *st)
{
    struct squeezer *x = squeezer_in(st);
    if (x != NULL)
        compressed_begin(&x->frames);
}

bool stream_is_out_of_order(const struct stream *st, uint8_t *due)
{
    const struct squeezer *x = squeezer_in(st);
    *due = x != NULL ? x->frames.seq : 0;
    return x != NULL && x->frames.is_out_of_order;
}

void stream_skip_numbers(struct stream *st, uint8_t n)
{
    struct squeezer *x = squeezer_in(st);
    if (x != NULL)
        x->frames.seq = (uint8_t)(x->frames.seq + n);
}

bool stream_has_begun(const struct stream *st)
{
    const struct squeezer *x = squeezer_in(st);
    return x != NULL && x->frames.in_frame && !compressed_is_ending(&x->frames);
}

const char *stream_compression(const struct stream *st)
{
    const struct squeezer *x = squeezer_in(st);
    return x != NULL ? x->layer.kind->name : NULL;
}

void stream_traffic(const struct stream *st, struct traffic *out)
{
    const struct squeezer *x = squeezer_in(st);
    *out = x != NULL ? x->traffic : (struct traffic){ 0 };
}
