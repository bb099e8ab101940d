/*
 * fuzz.h - what the fuzzers of protocol/ share.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "protocol/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The payload of the only packet in `out`. */
static inline struct bytes fuzz_payload(const struct buf *out)
{
    struct packet p;
    size_t need;
    must(packet_find(buf_bytes(out), SIZE_MAX, &p, &need, NULL));
    must(p.frames == 1 && p.wire_len == buf_len(out));
    return bytes_of(buf_head(out) + FRAME_HEADER, p.payload_len);
}

/* Touch each byte, so that ASan sees a view that leaves its bounds. */
static inline void fuzz_touch(struct bytes b)
{
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < b.len; i++)
        sum = (uint8_t)(sum + b.data[i]);
}

/* Four bytes of choices in front of the input proper. */
static inline bool fuzz_choices(const uint8_t **data, size_t *size, uint8_t choices[4])
{
    if (*size < 4)
        return false;
    memcpy(choices, *data, 4);
    *data += 4;
    *size -= 4;
    return true;
}

#endif
