/*
 * compress.c - the compressed protocol: bytes of ordinary frames, cut and packed anew.
 *
 *      ordinary     [H aaaaaaaa][H bb][H cccccccccccccccc ...
 *      compressed   [h zzzzzzzzzzzzz ][h zzzzzzzz][h ...
 *
 *      h   3 bytes length, 1 byte number, 3 bytes uncompressed length (0: stored)
 *
 * The cuts have nothing to do with each other, but for one thing: servers throw away what
 * follows a command within its frame, and want the frame that begins a command to have number 0.
 * So each command begins a frame.  A command is a packet of number 0; in an upload numbers wrap
 * around, but then 255 went before and nobody answered.  Answers just go on counting.
 */
#include "protocol/inside.h"

void compressed_init(struct compressed *c, enum compression algorithm, unsigned level,
                     bool is_client)
{
    must(algorithm == COMPRESSION_ZLIB || algorithm == COMPRESSION_ZSTD);
    *c = (struct compressed){ .algorithm = algorithm,
                              .level = (uint8_t)level,
                              .is_client = is_client };
}

void compressed_release(struct compressed *c)
{
    engine_free(c->engine);
    c->engine = NULL;
}

/* ---- writing ---- */

/* Does the ordinary frame with this header begin a command? */
static bool begins_command(const struct compressed *c, const uint8_t *header)
{
    return frame_seq(header) == 0 && (c->last_seq != 255 || c->heard);
}

static void note_frame(struct compressed *c, const uint8_t *header)
{
    c->plain_left = frame_len(header);
    c->last_seq = frame_seq(header);
    c->heard = false;
    c->header_len = 0;
}

/* Note what there is of a header that does not lie whole in the data.  Never that of a command. */
static size_t note_partial_header(struct compressed *c, struct bytes data)
{
    size_t n = MIN(data.len, (size_t)FRAME_HEADER - c->header_len);
    memcpy(c->header + c->header_len, data.data, n);
    c->header_len = (uint8_t)(c->header_len + n);
    if (c->header_len == FRAME_HEADER)
        note_frame(c, c->header);
    return n;
}

/* How much of a client's data goes into the next compressed frame; numbers it. */
static size_t cut(struct compressed *c, struct bytes data)
{
    size_t at = 0, limit = MIN(data.len, (size_t)COMPRESSED_PIECE);
    while (at < limit) {
        size_t pass = MIN((size_t)c->plain_left, limit - at);
        c->plain_left -= (uint32_t)pass;
        at += pass;
        if (at == limit)
            break;
        if (c->header_len > 0 || data.len - at < FRAME_HEADER) {
            at += note_partial_header(c, bytes_skip(data, at));
            continue;
        }
        const uint8_t *header = data.data + at;
        bool command = begins_command(c, header);
        if (at > 0 && (command || limit - at < FRAME_HEADER))
            break;
        if (command)
            c->seq = 0;
        note_frame(c, header);
        at += FRAME_HEADER;
    }
    return at;
}

static void write_header(uint8_t *to, size_t len, uint8_t seq, size_t uncompressed)
{
    frame_set_header(to, (uint32_t)len, seq);
    for (int i = 0; i < 3; i++)
        to[FRAME_HEADER + i] = (uint8_t)(uncompressed >> 8 * i);
}

size_t compressed_write(struct compressed *c, struct compress_tools *tools, struct bytes data,
                        struct buf *out)
{
    if (!buf_reserve(out, COMPRESSED_HEADER + MIN(data.len, (size_t)COMPRESSED_PIECE), UINT32_MAX,
                     NULL))
        return 0;
    size_t n = c->is_client ? cut(c, data) : MIN(data.len, (size_t)COMPRESSED_PIECE);
    struct bytes piece = bytes_of(data.data, n);
    uint8_t *header = buf_end(out), *payload = header + COMPRESSED_HEADER;
    size_t small = 0;
    if (piece.len > COMPRESSED_MIN)
        small = engine_compress(tools, c->algorithm, c->level, piece, payload, piece.len - 1);
    if (small > 0) {
        write_header(header, small, c->seq++, piece.len);
        buf_wrote(out, COMPRESSED_HEADER + small);
    } else {
        write_header(header, piece.len, c->seq++, 0);
        memcpy(payload, piece.data, piece.len);
        buf_wrote(out, COMPRESSED_HEADER + piece.len);
    }
    return piece.len;
}

/* ---- reading ---- */

/* One call of compressed_read(). */
struct reading {
    struct bytes in;
    uint8_t *to;
    size_t room, given;
};

/* Has the client's last packet come to its end? */
static bool is_between_packets(const struct compressed *c)
{
    return c->header_len == 0 && c->plain_left == 0 && !c->goes_on;
}

/* What a client may send behind a packet without an answer in between is a command, or goes on with
 * a local file. */
static bool is_in_order(const struct compressed *c, uint8_t seq)
{
    if (c->is_client)
        return true;
    if (!is_between_packets(c))
        return seq == c->seq;
    return seq == 0 || (!c->begins && seq == c->seq);
}

static bool open_frame(struct compressed *c, struct compress_tools *tools, struct reading *r)
{
    const uint8_t *header = r->in.data;
    uint8_t seq = frame_seq(header);
    if (!is_in_order(c, seq)) {
        if (c->begins)
            c->seq = 0;
        c->is_out_of_order = true;
        return false;
    }
    c->begins = c->is_unchecked = false;
    c->in_frame = true;
    c->in_left = frame_len(header);
    c->due = frame_len(header + FRAME_HEADER) & 0xFFFFFF;
    c->is_stored = c->due == 0;
    if (!c->is_stored)
        c->engine = engine_take(tools, c->algorithm);
    c->in_seq = seq;
    c->seq = (uint8_t)(seq + 1);
    c->heard = true;
    r->in = bytes_skip(r->in, COMPRESSED_HEADER);
    return true;
}

/* The last byte of an ordinary frame's header is its number: it has just been given, and is made
 * right. */
static void read_header(struct compressed *c, uint8_t *number)
{
    if (c->goes_on)
        *number = (uint8_t)(c->last_seq + 1);
    else if (c->in_seq == 0)
        *number = 0;
    c->header[FRAME_HEADER - 1] = *number;
    note_frame(c, c->header);
    c->goes_on = c->plain_left == FRAME_MAX;
}

/* Follow what a client sends. */
static void note_given(struct compressed *c, uint8_t *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t pass = MIN((size_t)c->plain_left, len - at);
        c->plain_left -= (uint32_t)pass;
        at += pass;
        if (at == len)
            break;
        c->header[c->header_len++] = data[at++];
        if (c->header_len == FRAME_HEADER)
            read_header(c, data + at - 1);
    }
}

static void close_frame(struct compressed *c, struct compress_tools *tools)
{
    c->in_frame = c->is_full = false;
    if (c->engine != NULL)
        engine_give(tools, c->engine);
    c->engine = NULL;
}

static bool read_stored(struct compressed *c, struct compress_tools *tools, struct reading *r)
{
    size_t n = MIN(MIN((size_t)c->in_left, r->in.len), r->room - r->given);
    if (n > 0)
        memcpy(r->to + r->given, r->in.data, n);
    r->given += n;
    r->in = bytes_skip(r->in, n);
    c->in_left -= (uint32_t)n;
    if (c->in_left == 0)
        close_frame(c, tools);
    return true;
}

/* The frame must hold exactly what its header says: when all of that has been given, the engine
 * must come to its end without giving more. */
static bool read_compressed(struct compressed *c, struct compress_tools *tools, struct reading *r)
{
    uint8_t beyond;
    bool all_given = c->due == 0, ended;
    struct engine_run run = {
        .in = bytes_of(r->in.data, MIN((size_t)c->in_left, r->in.len)),
        .to = all_given ? &beyond : r->to + r->given,
        .room = all_given ? 1 : MIN((size_t)c->due, r->room - r->given),
    };
    size_t had = run.in.len;
    if (!engine_decompress(c->engine, &run, &ended) || (all_given && run.made > 0))
        return false;
    c->is_full = run.made == run.room;
    r->given += run.made;
    c->due -= (uint32_t)run.made;
    r->in = bytes_skip(r->in, had - run.in.len);
    c->in_left -= (uint32_t)(had - run.in.len);
    if (ended && c->in_left == 0) {
        close_frame(c, tools);
        return c->due == 0;
    }
    if (ended)
        return engine_may_go_on(c->engine);
    /* all of the input, and room enough: there is no more to come */
    return c->in_left > 0 || c->is_full;
}

/* The end of a frame that came so late that what would have checked it has been given back. */
static bool skip_unchecked(struct compressed *c, struct compress_tools *tools, struct reading *r)
{
    size_t n = MIN((size_t)c->in_left, r->in.len);
    r->in = bytes_skip(r->in, n);
    c->in_left -= (uint32_t)n;
    if (c->in_left == 0)
        close_frame(c, tools);
    return true;
}

static bool read_frame(struct compressed *c, struct compress_tools *tools, struct reading *r)
{
    size_t before = r->given;
    bool ok = c->is_unchecked ? skip_unchecked(c, tools, r)
              : c->is_stored  ? read_stored(c, tools, r)
                              : read_compressed(c, tools, r);
    if (!c->is_client)
        note_given(c, r->to + before, r->given - before);
    return ok;
}

/* A new command: not before this one has been read, and answered. */
static bool must_wait(const struct compressed *c, const struct reading *r)
{
    return r->given > 0 && (frame_seq(r->in.data) == 0 || (!c->is_client && is_between_packets(c)));
}

/* Nothing more can be read until more has arrived. */
static bool is_out_of_input(const struct compressed *c, const struct reading *r)
{
    if (!c->in_frame)
        return r->in.len < COMPRESSED_HEADER;
    return r->in.len == 0 && c->in_left > 0 && !c->is_full;
}

/* What is left is the engine's own. */
bool compressed_is_ending(const struct compressed *c)
{
    return c->in_frame && !c->is_stored && c->due == 0;
}

bool compressed_read(struct compressed *c, struct compress_tools *tools, struct bytes in,
                     size_t *taken, uint8_t *to, size_t room, size_t *given)
{
    struct reading r = { .in = in, .to = to, .room = room };
    bool ok = true;
    while (ok && (r.given < room || compressed_is_ending(c)) && !is_out_of_input(c, &r)) {
        if (c->in_frame)
            ok = read_frame(c, tools, &r);
        else if (must_wait(c, &r))
            break;
        else
            ok = open_frame(c, tools, &r);
    }
    *taken = in.len - r.in.len;
    *given = r.given;
    return ok;
}

void compressed_begin(struct compressed *c)
{
    c->begins = !c->in_frame && is_between_packets(c);
}

bool compressed_rest(struct compressed *c, struct compress_tools *tools)
{
    if (!compressed_is_ending(c))
        return !c->in_frame;
    if (c->engine != NULL)
        engine_give(tools, c->engine);
    c->engine = NULL;
    c->is_full = false;
    c->is_unchecked = true;
    return true;
}

bool compressed_has_more(const struct compressed *c, size_t in_len)
{
    if (!c->in_frame)
        return in_len >= COMPRESSED_HEADER;
    if (!compressed_is_ending(c))
        return in_len > 0 || c->is_full;
    return in_len >= (size_t)c->in_left + COMPRESSED_HEADER;
}
