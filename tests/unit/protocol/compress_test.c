#include "recorded.h"

#include <zlib.h>
#include <zstd.h>

static const enum compression both[] = { COMPRESSION_ZLIB, COMPRESSION_ZSTD };
#define for_both(a)                                                                                \
    for (enum compression a, *at_ = (enum compression *)both;                                      \
         at_ < (enum compression *)both + 2 && (a = *at_, true); at_++)

static struct compress_tools *tools;

static int begin(void **state)
{
    (void)state;
    tools = compress_tools_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    compress_tools_free(tools);
    return 0;
}

/* ---- helpers -------------------------------------------------------------------------------- */

/* Everything in compressed frames. */
static void write_all(struct compressed *c, struct bytes data, struct buf *out)
{
    while (data.len > 0) {
        size_t n = compressed_write(c, tools, data, out);
        assert_in_range(n, 1, MIN(data.len, (size_t)COMPRESSED_PIECE));
        data = bytes_skip(data, n);
    }
}

/* Read all of `wire`, shown at most `step` bytes more at a time, into windows of `room` bytes. */
static bool read_all(struct compressed *c, struct bytes wire, size_t step, size_t room,
                     struct buf *out)
{
    uint8_t window[4096];
    size_t at = 0, shown = 0, taken, given;
    room = MIN(room, sizeof window);
    for (;;) {
        struct bytes in = exact_copy(bytes_of(wire.data + at, shown - at));
        bool promised = compressed_has_more(c, in.len);
        bool ok = compressed_read(c, tools, in, &taken, window, room, &given);
        exact_free(in);
        if (!ok)
            return false;
        assert_true(given <= room && taken <= shown - at);
        /* what was promised came, unless it was a frame without any bytes, or not yet enough */
        if (given > 0)
            assert_true(promised);
        at += taken;
        buf_add(out, bytes_of(window, given));
        if (given > 0 || taken > 0)
            continue;
        if (shown == wire.len)
            return true;
        shown = MIN(shown + step, wire.len);
    }
}

static bool is_whole(const struct compressed *c)
{
    return !c->in_frame && c->engine == NULL;
}

static struct bytes text_of(size_t len)
{
    uint8_t *data = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)("abcd efgh ijkl mnop "[i % 20] + (i / 997 & 1));
    return bytes_of(data, len);
}

static struct bytes noise_of(size_t len)
{
    uint8_t *data = malloc(len + 1);
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        data[i] = (uint8_t)x;
    }
    return bytes_of(data, len);
}

/* One packet of that payload, in ordinary frames. */
static void add_packet(struct buf *out, uint8_t seq, struct bytes payload)
{
    packet_write(out, &seq, payload);
}

static size_t squeezed(enum compression a, struct bytes data, uint8_t *to, size_t room)
{
    uLongf n = room;
    if (a == COMPRESSION_ZSTD) {
        size_t got = ZSTD_compress(to, room, data.data, data.len, 3);
        assert_false(ZSTD_isError(got));
        return got;
    }
    assert_int_equal(compress(to, &n, data.data, data.len), Z_OK);
    return n;
}

/* One frame as bytes, whatever it claims. */
static void add_frame(struct buf *out, uint8_t seq, struct bytes payload, size_t uncompressed)
{
    uint8_t header[COMPRESSED_HEADER];
    frame_set_header(header, (uint32_t)payload.len, seq);
    for (int i = 0; i < 3; i++)
        header[4 + i] = (uint8_t)(uncompressed >> 8 * i);
    buf_add(out, bytes_of(header, sizeof header));
    buf_add(out, payload);
}

struct frame_seen {
    uint32_t len, uncompressed;
    uint8_t seq;
};

static unsigned frames_in(const struct buf *wire, struct frame_seen *frames, unsigned max)
{
    struct bytes left = buf_bytes(wire);
    unsigned n = 0;
    for (; left.len > 0; n++) {
        assert_true(left.len >= COMPRESSED_HEADER && n < max);
        frames[n].len = frame_len(left.data);
        frames[n].seq = frame_seq(left.data);
        frames[n].uncompressed = frame_len(left.data + 4) & 0xFFFFFF;
        left = bytes_skip(left, COMPRESSED_HEADER + frames[n].len);
    }
    return n;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void what_is_written_is_read_however_it_arrives(void **state)
{
    (void)state;
    static const size_t steps[] = { 1, 2, 6, 7, 8, 63, 4096, SIZE_MAX };
    static const size_t rooms[] = { 1, 3, 50, 51, 4096 };
    struct bytes text = text_of(3000), noise = noise_of(700);
    for_both(a)
    {
        struct buf clear = { 0 }, wire = { 0 };
        struct compressed out;
        compressed_init(&out, a, 0, true);
        add_packet(&clear, 0, bytes_of(text.data, 5));
        add_packet(&clear, 1, text);
        add_packet(&clear, 2, BYTES_NONE);
        add_packet(&clear, 3, noise);
        write_all(&out, buf_bytes(&clear), &wire);
        for (size_t s = 0; s < ARRAY_LEN(steps); s++)
            for (size_t r = 0; r < ARRAY_LEN(rooms); r++) {
                struct buf back = { 0 };
                struct compressed in;
                size_t step = MIN(steps[s], buf_len(&wire));
                compressed_init(&in, a, 0, true);
                assert_true(read_all(&in, buf_bytes(&wire), step, rooms[r], &back));
                assert_bytes_equal(buf_bytes(&back), buf_bytes(&clear));
                assert_true(is_whole(&in));
                buf_release(&back);
            }
        buf_release(&clear);
        buf_release(&wire);
    }
    free((void *)text.data);
    free((void *)noise.data);
}

static void what_is_put_in_parts_is_the_same(void **state)
{
    (void)state;
    struct bytes text = text_of(300);
    for_both(a)
    {
        struct buf clear = { 0 };
        add_packet(&clear, 0, text);
        add_packet(&clear, 1, bytes_of(text.data, 7));
        add_packet(&clear, 2, text);
        /* every place to split it in two, but within a command's header */
        for (size_t at = FRAME_HEADER; at < buf_len(&clear); at++) {
            struct buf wire = { 0 }, back = { 0 };
            struct compressed out, in;
            compressed_init(&out, a, 0, true);
            compressed_init(&in, a, 0, true);
            write_all(&out, bytes_of(buf_head(&clear), at), &wire);
            write_all(&out, bytes_skip(buf_bytes(&clear), at), &wire);
            assert_true(read_all(&in, buf_bytes(&wire), SIZE_MAX / 2, 4096, &back));
            assert_bytes_equal(buf_bytes(&back), buf_bytes(&clear));
            assert_int_equal(out.seq, 2);
            assert_int_equal(out.last_seq, 2);
            assert_int_equal(out.plain_left + out.header_len, 0);
            buf_release(&wire);
            buf_release(&back);
        }
        buf_release(&clear);
    }
    free((void *)text.data);
}

static void short_pieces_and_those_that_do_not_shrink_are_stored(void **state)
{
    (void)state;
    struct bytes text = text_of(1000), noise = noise_of(1000);
    struct frame_seen f;
    for_both(a)
    {
        static const size_t lengths[] = { 1, 49, 50, 51, 52, 900 };
        for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
            for (int random = 0; random < 2; random++) {
                struct buf wire = { 0 };
                struct compressed out;
                compressed_init(&out, a, 0, true);
                out.plain_left = FRAME_MAX; /* in the middle of a long payload */
                write_all(&out, bytes_of(random ? noise.data : text.data, lengths[i]), &wire);
                assert_int_equal(frames_in(&wire, &f, 1), 1);
                bool shrinks = !random && lengths[i] > COMPRESSED_MIN;
                assert_int_equal(f.uncompressed, shrinks ? lengths[i] : 0);
                if (shrinks)
                    assert_true(f.len < lengths[i]);
                else
                    assert_int_equal(f.len, lengths[i]);
                buf_release(&wire);
            }
        }
    }
    free((void *)text.data);
    free((void *)noise.data);
}

static void levels_work_and_may_change_between_connections(void **state)
{
    (void)state;
    struct bytes text = text_of(COMPRESSED_PIECE);
    for_both(a)
    {
        for (unsigned level = 0; level <= ZSTD_LEVEL_MAX; level++) {
            struct buf wire = { 0 }, back = { 0 };
            struct compressed out, in;
            compressed_init(&out, a, level, true);
            compressed_init(&in, a, level, true);
            out.plain_left = FRAME_MAX;
            write_all(&out, text, &wire);
            assert_true(buf_len(&wire) < text.len / 10);
            assert_true(read_all(&in, buf_bytes(&wire), SIZE_MAX / 2, 4096, &back));
            assert_bytes_equal(buf_bytes(&back), text);
            buf_release(&wire);
            buf_release(&back);
        }
    }
    free((void *)text.data);
}

static void packets_over_16_MiB_travel_in_small_pieces(void **state)
{
    (void)state;
    struct bytes text = text_of(FRAME_MAX + 5);
    for_both(a)
    {
        struct buf clear = { 0 }, wire = { 0 }, back = { 0 };
        struct compressed out, in;
        compressed_init(&out, a, 1, true);
        compressed_init(&in, a, 0, false);
        add_packet(&clear, 0, text);
        write_all(&out, buf_bytes(&clear), &wire);
        assert_int_equal(out.last_seq, 1);
        assert_true(read_all(&in, buf_bytes(&wire), 64 << 10, 4096, &back));
        assert_bytes_equal(buf_bytes(&back), buf_bytes(&clear));
        buf_release(&clear);
        buf_release(&wire);
        buf_release(&back);
    }
    free((void *)text.data);
}

static void a_peer_may_put_16_MiB_into_one_frame(void **state)
{
    (void)state;
    struct bytes text = text_of(FRAME_MAX);
    size_t room = compressBound(text.len) + 1000;
    uint8_t *small = malloc(room);
    for_both(a)
    {
        struct buf wire = { 0 }, back = { 0 };
        struct compressed in;
        compressed_init(&in, a, 0, true);
        size_t n = squeezed(a, text, small, room);
        add_frame(&wire, 0, bytes_of(small, n), text.len);
        assert_true(read_all(&in, buf_bytes(&wire), 4096, 4096, &back));
        assert_bytes_equal(buf_bytes(&back), text);
        assert_true(is_whole(&in));
        buf_release(&wire);
        buf_release(&back);
    }
    struct buf wire = { 0 }, back = { 0 };
    struct compressed in;
    compressed_init(&in, COMPRESSION_ZLIB, 0, true);
    add_frame(&wire, 0, text, 0);
    assert_true(read_all(&in, buf_bytes(&wire), 100000, 4096, &back));
    assert_bytes_equal(buf_bytes(&back), text);
    buf_release(&wire);
    buf_release(&back);
    free(small);
    free((void *)text.data);
}

/* ---- numbers -------------------------------------------------------------------------------- */

static void each_command_begins_a_frame_numbered_0(void **state)
{
    (void)state;
    struct bytes text = text_of(100);
    struct frame_seen f[8];
    struct buf clear = { 0 }, wire = { 0 };
    struct compressed out;
    compressed_init(&out, COMPRESSION_ZLIB, 0, true);
    add_packet(&clear, 0, bytes_of(text.data, 10));
    add_packet(&clear, 0, text);
    add_packet(&clear, 0, bytes_of(text.data, 1));
    write_all(&out, buf_bytes(&clear), &wire);
    assert_int_equal(frames_in(&wire, f, ARRAY_LEN(f)), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(f[i].seq, 0);
    assert_int_equal(f[1].uncompressed, text.len + FRAME_HEADER);
    buf_release(&clear);
    buf_release(&wire);
    free((void *)text.data);
}

static void a_long_command_goes_on_counting(void **state)
{
    (void)state;
    struct bytes text = text_of(3 * COMPRESSED_PIECE);
    struct frame_seen f[8];
    struct buf clear = { 0 }, wire = { 0 };
    struct compressed out;
    compressed_init(&out, COMPRESSION_ZSTD, 0, true);
    add_packet(&clear, 0, text);
    write_all(&out, buf_bytes(&clear), &wire);
    assert_int_equal(frames_in(&wire, f, ARRAY_LEN(f)), 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(f[i].seq, i);
    buf_release(&clear);
    buf_release(&wire);
    free((void *)text.data);
}

static void answers_go_on_where_the_command_ended(void **state)
{
    (void)state;
    struct frame_seen f;
    struct buf asked = { 0 }, back = { 0 }, wire = { 0 }, answer = { 0 };
    struct compressed c;
    compressed_init(&c, COMPRESSION_ZLIB, 0, false);
    for (uint8_t seq = 0; seq < 3; seq++) /* one command in three frames */
        add_frame(&asked, seq, bytes_of("\x05\0\0\0\x03" + 2 * seq, seq < 2 ? 2 : 1), 0);
    assert_true(read_all(&c, buf_bytes(&asked), SIZE_MAX / 2, 100, &back));
    add_packet(&answer, 1, BYTES_LITERAL("ok"));
    write_all(&c, buf_bytes(&answer), &wire);
    assert_int_equal(frames_in(&wire, &f, 1), 1);
    assert_int_equal(f.seq, 3);
    buf_skip(&wire, buf_len(&wire));
    add_packet(&answer, 0, BYTES_LITERAL("rows, the 256th packet among them"));
    write_all(&c, buf_bytes(&answer), &wire);
    assert_int_equal(frames_in(&wire, &f, 1), 1);
    assert_int_equal(f.seq, 4);
    buf_release(&asked);
    buf_release(&back);
    buf_release(&wire);
    buf_release(&answer);
}

/* A client that does not wait has its answers numbered as if it had. */
static void a_command_that_came_early_is_read_by_itself(void **state)
{
    (void)state;
    uint8_t window[100];
    size_t taken, given;
    struct frame_seen f[2];
    struct buf wire = { 0 }, answer = { 0 }, out = { 0 };
    struct compressed c;
    compressed_init(&c, COMPRESSION_ZLIB, 0, false);
    add_frame(&wire, 0, BYTES_LITERAL("\x01\0\0"), 0);
    add_frame(&wire, 1, BYTES_LITERAL("\0\x0e"), 0);
    size_t first = buf_len(&wire);
    add_frame(&wire, 0, BYTES_LITERAL("\x01\0\0\0\x0e"), 0);
    assert_true(
        compressed_read(&c, tools, buf_bytes(&wire), &taken, window, sizeof window, &given));
    assert_int_equal(given, 5);
    assert_int_equal(taken, first);
    assert_true(compressed_has_more(&c, buf_len(&wire) - taken));
    buf_skip(&wire, taken);

    add_packet(&answer, 1, BYTES_LITERAL("first"));
    write_all(&c, buf_bytes(&answer), &out);
    assert_true(
        compressed_read(&c, tools, buf_bytes(&wire), &taken, window, sizeof window, &given));
    assert_int_equal(given, 5);
    write_all(&c, buf_bytes(&answer), &out);
    assert_int_equal(frames_in(&out, f, ARRAY_LEN(f)), 2);
    assert_int_equal(f[0].seq, 2);
    assert_int_equal(f[1].seq, 1);
    buf_release(&wire);
    buf_release(&answer);
    buf_release(&out);
}

static void numbers_wrap_around_in_an_upload(void **state)
{
    (void)state;
    struct frame_seen f[4];
    struct buf clear = { 0 }, wire = { 0 }, heard = { 0 }, ignored = { 0 };
    struct compressed out;
    compressed_init(&out, COMPRESSION_ZLIB, 0, true);
    out.seq = 17;
    add_packet(&clear, 254, BYTES_LITERAL("a"));
    add_packet(&clear, 255, BYTES_LITERAL("b"));
    add_packet(&clear, 0, BYTES_LITERAL("c"));
    write_all(&out, buf_bytes(&clear), &wire);
    assert_int_equal(frames_in(&wire, f, 4), 1);
    assert_int_equal(f[0].seq, 17);

    /* ... but after an answer 0 begins a command, even if 255 went before */
    clear.tail -= 5;
    write_all(&out, buf_bytes(&clear), &wire);
    add_frame(&heard, 30, BYTES_LITERAL("x"), 0);
    assert_true(read_all(&out, buf_bytes(&heard), 100, 100, &ignored));
    buf_release(&wire);
    buf_skip(&clear, buf_len(&clear));
    add_packet(&clear, 0, BYTES_LITERAL("d"));
    write_all(&out, buf_bytes(&clear), &wire);
    assert_int_equal(frames_in(&wire, f, 4), 1);
    assert_int_equal(f[0].seq, 0);
    buf_release(&clear);
    buf_release(&wire);
    buf_release(&heard);
    buf_release(&ignored);
}

/* ---- lies ----------------------------------------------------------------------------------- */

/* A frame of `payload` that claims `uncompressed` is refused, however it arrives, and never gives
 * more than it claims. */
static void assert_refused(enum compression a, struct bytes payload, size_t uncompressed)
{
    static const size_t steps[] = { 1, 5, 100000 };
    for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
        struct buf wire = { 0 }, back = { 0 };
        struct compressed in;
        compressed_init(&in, a, 0, false);
        add_frame(&wire, 0, payload, uncompressed);
        /* what would make up for it must not be reached */
        add_frame(&wire, 1, BYTES_LITERAL("behind"), 0);
        assert_false(read_all(&in, buf_bytes(&wire), steps[s], 4096, &back));
        assert_true(buf_len(&back) <= uncompressed);
        compressed_release(&in);
        buf_release(&wire);
        buf_release(&back);
    }
}

static void a_frame_must_hold_exactly_what_it_says(void **state)
{
    (void)state;
    struct bytes text = text_of(5000);
    uint8_t small[6000];
    for_both(a)
    {
        size_t n = squeezed(a, text, small, sizeof small - 10);
        struct bytes frame = bytes_of(small, n);
        assert_refused(a, frame, text.len + 1);
        assert_refused(a, frame, text.len - 1);
        assert_refused(a, frame, FRAME_MAX);
        assert_refused(a, frame, 1);
        assert_refused(a, bytes_of(small, n - 1), text.len);
        assert_refused(a, bytes_of(small, n / 2), text.len);
        assert_refused(a, BYTES_NONE, text.len);
        memset(small + n, 0x55, 4);
        assert_refused(a, bytes_of(small, n + 4), text.len);
        small[n / 2] ^= 0xFF;
        small[n / 2 + 1] ^= 0xFF;
        if (a == COMPRESSION_ZLIB) /* zstd's checksum is optional, and servers send none */
            assert_refused(a, frame, text.len);
    }
    free((void *)text.data);
}

static void garbage_is_refused(void **state)
{
    (void)state;
    struct bytes noise = noise_of(2000);
    for_both(a) assert_refused(a, noise, 100000);
    /* one algorithm's frames are the other's garbage */
    struct bytes text = text_of(5000);
    uint8_t small[6000];
    size_t n = squeezed(COMPRESSION_ZLIB, text, small, sizeof small);
    assert_refused(COMPRESSION_ZSTD, bytes_of(small, n), text.len);
    n = squeezed(COMPRESSION_ZSTD, text, small, sizeof small);
    assert_refused(COMPRESSION_ZLIB, bytes_of(small, n), text.len);
    free((void *)noise.data);
    free((void *)text.data);
}

/* 64 MiB of zeros in some KiB, for whom claims that they are 16. */
static void a_bomb_goes_off_where_its_claim_ends(void **state)
{
    (void)state;
    struct bytes zeros = { calloc(1, 64 << 20), 64 << 20 };
    size_t room = 1 << 20;
    uint8_t *small = malloc(room);
    for_both(a)
    {
        struct buf wire = { 0 };
        uint8_t window[4096];
        struct compressed in;
        size_t n = squeezed(a, zeros, small, room), all = 0, taken, given;
        compressed_init(&in, a, 0, false);
        add_frame(&wire, 0, bytes_of(small, n), FRAME_MAX);
        while (
            compressed_read(&in, tools, buf_bytes(&wire), &taken, window, sizeof window, &given)) {
            buf_skip(&wire, taken);
            all += given;
            assert_true(given > 0);
        }
        assert_true(all <= FRAME_MAX);
        compressed_release(&in);
        buf_release(&wire);
    }
    free(small);
    free((void *)zeros.data);
}

static void several_zstd_frames_may_stand_in_one(void **state)
{
    (void)state;
    struct bytes text = text_of(1000);
    uint8_t small[4000];
    struct buf wire = { 0 }, back = { 0 };
    struct compressed in;
    size_t n = squeezed(COMPRESSION_ZSTD, bytes_of(text.data, 400), small, sizeof small);
    n += squeezed(COMPRESSION_ZSTD, bytes_skip(text, 400), small + n, sizeof small - n);
    compressed_init(&in, COMPRESSION_ZSTD, 0, true);
    add_frame(&wire, 0, bytes_of(small, n), text.len);
    assert_true(read_all(&in, buf_bytes(&wire), 7, 4096, &back));
    assert_bytes_equal(buf_bytes(&back), text);
    buf_release(&wire);
    buf_release(&back);
    free((void *)text.data);
}

/* Clients send such when they have nothing to send; servers take them. */
static void an_empty_frame_is_nothing(void **state)
{
    (void)state;
    struct buf wire = { 0 }, back = { 0 };
    struct compressed in;
    compressed_init(&in, COMPRESSION_ZLIB, 0, false);
    for (uint8_t i = 0; i < 100; i++)
        add_frame(&wire, i, BYTES_NONE, 0);
    add_frame(&wire, 100, BYTES_LITERAL("x"), 0);
    assert_true(read_all(&in, buf_bytes(&wire), 3, 4096, &back));
    assert_bytes_equal(buf_bytes(&back), BYTES_LITERAL("x"));
    assert_int_equal(in.seq, 101);
    buf_release(&wire);
    buf_release(&back);
}

/* ---- what was agreed ------------------------------------------------------------------------ */

static void zlib_comes_first_when_both_were_agreed(void **state)
{
    (void)state;
    assert_int_equal(compression_agreed(CAP_COMPRESS | CAP_ZSTD), COMPRESSION_ZLIB);
    assert_int_equal(compression_agreed(CAP_ZSTD), COMPRESSION_ZSTD);
    assert_int_equal(compression_agreed(~(CAP_COMPRESS | CAP_ZSTD)), COMPRESSION_OFF);
    for (unsigned set = 0; set < 4; set++)
        assert_int_equal(compression_caps(set) != 0, set != 0);
    assert_int_equal(compression_caps(COMPRESSION_ZLIB | COMPRESSION_ZSTD),
                     CAP_COMPRESS | CAP_ZSTD);
}

/* ---- a client's numbers -------------------------------------------------------------------- */

/* What a server reads of that, all at once or byte by byte. */
static bool server_reads(struct compressed *c, const struct buf *wire, size_t step,
                         struct buf *back)
{
    buf_skip(back, buf_len(back));
    return read_all(c, buf_bytes(wire), step, 4096, back);
}

static void a_clients_frames_count_on_within_a_packet(void **state)
{
    (void)state;
    static const struct {
        uint8_t seqs[3], due;
        bool is_fine;
    } cases[] = {
        { { 0, 1, 2 }, 0, true },  { { 1, 2, 3 }, 0, false }, { { 5, 6, 7 }, 0, false },
        { { 0, 0, 1 }, 1, false }, { { 0, 3, 4 }, 1, false }, { { 0, 1, 0 }, 2, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t step = 1; step < 100; step += 98) {
            struct buf wire = { 0 }, back = { 0 };
            struct compressed c;
            compressed_init(&c, COMPRESSION_ZLIB, 0, false);
            compressed_begin(&c);
            add_frame(&wire, cases[i].seqs[0], BYTES_LITERAL("\x03\0"), 0);
            add_frame(&wire, cases[i].seqs[1], BYTES_LITERAL("\0\0\x03"), 0);
            add_frame(&wire, cases[i].seqs[2], BYTES_LITERAL("do"), 0);
            assert_int_equal(server_reads(&c, &wire, step, &back), cases[i].is_fine);
            assert_int_equal(c.is_out_of_order, !cases[i].is_fine);
            if (cases[i].is_fine)
                assert_bytes_equal(buf_bytes(&back), BYTES_LITERAL("\x03\0\0\0\x03"
                                                                   "do"));
            else
                assert_int_equal(c.seq, cases[i].due);
            buf_release(&wire);
            buf_release(&back);
        }
}

/* The first number after an answer is one too many for a command, and right for a file's next
 * packet. */
static void a_command_begins_with_0_and_a_file_goes_on(void **state)
{
    (void)state;
    for (int begins = 0; begins <= 1; begins++) {
        struct buf wire = { 0 }, back = { 0 };
        struct compressed c;
        compressed_init(&c, COMPRESSION_ZLIB, 0, false);
        add_frame(&wire, 0, BYTES_LITERAL("\x01\0\0\0\x0e"), 0);
        assert_true(server_reads(&c, &wire, 100, &back));
        if (begins)
            compressed_begin(&c);
        buf_skip(&wire, buf_len(&wire));
        add_frame(&wire, 1, BYTES_LITERAL("\x01\0\0\1\x0e"), 0);
        assert_int_equal(server_reads(&c, &wire, 100, &back), !begins);
        buf_release(&wire);
        buf_release(&back);
    }
}

static void ordinary_numbers_are_made_right(void **state)
{
    (void)state;
    for (size_t step = 1; step < 100; step += 98) {
        struct buf wire = { 0 }, back = { 0 };
        struct compressed c;
        compressed_init(&c, COMPRESSION_ZLIB, 0, false);
        add_frame(&wire, 0, BYTES_LITERAL("\x01\0\0\x4d\x0e"), 0);
        assert_true(server_reads(&c, &wire, step, &back));
        assert_bytes_equal(buf_bytes(&back), BYTES_LITERAL("\x01\0\0\0\x0e"));
        buf_release(&wire);
        buf_release(&back);
    }
}

static void what_continues_a_packet_is_counted_on(void **state)
{
    (void)state;
    struct bytes text = text_of(FRAME_MAX + 5);
    struct buf clear = { 0 }, wire = { 0 }, back = { 0 };
    struct compressed out, in;
    compressed_init(&out, COMPRESSION_ZLIB, 1, true);
    compressed_init(&in, COMPRESSION_ZLIB, 0, false);
    add_packet(&clear, 0, text);
    clear.mem[clear.head + FRAME_HEADER + FRAME_MAX + FRAME_HEADER - 1] = 99;
    write_all(&out, buf_bytes(&clear), &wire);
    assert_true(read_all(&in, buf_bytes(&wire), 64 << 10, 4096, &back));
    assert_int_equal(frame_seq(buf_head(&back) + FRAME_HEADER + FRAME_MAX), 1);
    buf_release(&clear);
    buf_release(&wire);
    buf_release(&back);
    free((void *)text.data);
}

/* All of the command has been read; what checks it, the last four bytes, has not come. */
static void an_end_that_comes_late_keeps_no_memory(void **state)
{
    (void)state;
    uint8_t small[200];
    struct bytes text = text_of(100);
    struct buf packet = { 0 }, wire = { 0 }, back = { 0 };
    struct compressed c;
    add_packet(&packet, 0, text);
    compressed_init(&c, COMPRESSION_ZLIB, 0, false);
    size_t n = squeezed(COMPRESSION_ZLIB, buf_bytes(&packet), small, sizeof small);
    add_frame(&wire, 0, bytes_of(small, n), buf_len(&packet));
    struct bytes most = bytes_of(buf_head(&wire), buf_len(&wire) - 3);
    assert_true(read_all(&c, most, 100, 4096, &back));
    assert_bytes_equal(buf_bytes(&back), buf_bytes(&packet));
    assert_non_null(c.engine);
    assert_true(compressed_rest(&c, tools));
    assert_null(c.engine);
    buf_skip(&wire, most.len);
    add_frame(&wire, 0, buf_bytes(&packet), 0);
    assert_true(server_reads(&c, &wire, 100, &back));
    assert_bytes_equal(buf_bytes(&back), buf_bytes(&packet));
    assert_true(is_whole(&c));
    buf_release(&packet);
    buf_release(&wire);
    buf_release(&back);
    free((void *)text.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_however_it_arrives),
        cmocka_unit_test(what_is_put_in_parts_is_the_same),
        cmocka_unit_test(short_pieces_and_those_that_do_not_shrink_are_stored),
        cmocka_unit_test(levels_work_and_may_change_between_connections),
        cmocka_unit_test(packets_over_16_MiB_travel_in_small_pieces),
        cmocka_unit_test(a_peer_may_put_16_MiB_into_one_frame),
        cmocka_unit_test(each_command_begins_a_frame_numbered_0),
        cmocka_unit_test(a_long_command_goes_on_counting),
        cmocka_unit_test(answers_go_on_where_the_command_ended),
        cmocka_unit_test(a_command_that_came_early_is_read_by_itself),
        cmocka_unit_test(numbers_wrap_around_in_an_upload),
        cmocka_unit_test(a_frame_must_hold_exactly_what_it_says),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_bomb_goes_off_where_its_claim_ends),
        cmocka_unit_test(several_zstd_frames_may_stand_in_one),
        cmocka_unit_test(a_clients_frames_count_on_within_a_packet),
        cmocka_unit_test(a_command_begins_with_0_and_a_file_goes_on),
        cmocka_unit_test(ordinary_numbers_are_made_right),
        cmocka_unit_test(what_continues_a_packet_is_counted_on),
        cmocka_unit_test(an_end_that_comes_late_keeps_no_memory),
        cmocka_unit_test(an_empty_frame_is_nothing),
        cmocka_unit_test(zlib_comes_first_when_both_were_agreed),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
