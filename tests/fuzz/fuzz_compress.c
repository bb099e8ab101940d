#include "fuzz.h"

/* Choices: which algorithm; how many bytes more are shown at a time; how much room there is; a
 * level. */

enum { WINDOW = 4096, GIVEN_MOST = 32 << 20 };

static struct compress_tools *tools(void)
{
    static struct compress_tools *all;
    if (all == NULL)
        all = compress_tools_new();
    return all;
}

/* Read until nothing more comes; false when the frames made no sense.  Each call sees a copy of
 * exactly the bytes that are there. */
static bool read_all(struct compressed *c, struct bytes wire, const uint8_t choices[4],
                     struct buf *out)
{
    static uint8_t window[WINDOW];
    size_t at = 0, shown = 0, all = 0, taken, given, room = 1 + choices[2] * 16u;
    for (;;) {
        uint8_t *in = malloc(shown - at + 1);
        memcpy(in, wire.data + at, shown - at);
        bool promised = compressed_has_more(c, shown - at);
        bool ok =
            compressed_read(c, tools(), bytes_of(in, shown - at), &taken, window, room, &given);
        free(in);
        must(taken <= shown - at && given <= room);
        must(given == 0 || promised);
        must(c->in_frame || c->engine == NULL);
        fuzz_touch(bytes_of(window, given));
        if (!ok)
            return false;
        at += taken;
        all += given;
        if (out != NULL)
            buf_add(out, bytes_of(window, given));
        /* 16 MiB from some bytes are right, but no use here */
        if (all > GIVEN_MOST)
            return true;
        if (given == 0 && taken == 0 && shown == wire.len)
            return true;
        if (given == 0 && taken == 0)
            shown = MIN(shown + 1 + choices[1], wire.len);
    }
}

/* As ordinary frames, cut somewhere, they come back. */
static void round_trip(struct bytes clear, const uint8_t choices[4], enum compression algorithm)
{
    struct compressed out, in;
    struct buf wire = { 0 }, back = { 0 };
    struct bytes left = clear;
    compressed_init(&out, algorithm, choices[3] % (ZSTD_LEVEL_MAX + 1), choices[0] & 4);
    compressed_init(&in, algorithm, 0, true); /* bytes, not numbers */
    while (left.len > 0) {
        size_t part = MIN(left.len, 1 + choices[1] * 300u);
        size_t n = compressed_write(&out, tools(), bytes_of(left.data, part), &wire);
        must(n > 0 && n <= part && n <= COMPRESSED_PIECE);
        left = bytes_skip(left, n);
    }
    must(read_all(&in, buf_bytes(&wire), choices, &back));
    must(bytes_equal(buf_bytes(&back), clear) && !in.in_frame);
    buf_release(&wire);
    buf_release(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t choices[4];
    struct compressed in;
    if (!fuzz_choices(&data, &size, choices) || size == 0)
        return 0;
    enum compression algorithm = choices[0] & 1 ? COMPRESSION_ZSTD : COMPRESSION_ZLIB;
    compressed_init(&in, algorithm, 0, choices[0] & 8);
    if (choices[0] & 16)
        compressed_begin(&in);
    read_all(&in, bytes_of(data, size), choices, NULL);
    compressed_release(&in);
    if (choices[0] & 2)
        round_trip(bytes_of(data, size), choices, algorithm);
    return 0;
}
