#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t choices[4];
    struct packet p;
    struct arena a;
    struct fault why = FAULT_NONE;
    size_t need;
    if (!fuzz_choices(&data, &size, choices))
        return 0;
    size_t max_payload = choices[0] & 1 ? SIZE_MAX : (size_t)choices[1] << (choices[2] & 31);
    if (!packet_find(bytes_of(data, size), max_payload, &p, &need, &why)) {
        must(need == 0 ? why.blame != BLAME_NONE : need > size);
        return 0;
    }
    must(p.wire_len <= size && p.payload_len <= max_payload);
    must(p.wire_len == p.payload_len + p.frames * FRAME_HEADER);
    arena_init(&a);
    struct bytes payload = packet_payload(bytes_of(data, size), &p, &a);
    must(payload.len == p.payload_len);

    struct buf out = { 0 };
    uint8_t seq = p.seq;
    packet_write(&out, &seq, payload);
    must(bytes_equal(buf_bytes(&out), bytes_of(data, p.wire_len)) && seq == p.next_seq);
    buf_release(&out);
    arena_release(&a);
    return 0;
}
