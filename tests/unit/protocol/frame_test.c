#include "recorded.h"

static struct bytes pattern(size_t len)
{
    uint8_t *data = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    return bytes_of(data, len);
}

static const size_t lengths[] = {
    0, 1, 1000, FRAME_MAX - 1, FRAME_MAX, FRAME_MAX + 1, 2 * FRAME_MAX, 2 * FRAME_MAX + 5
};

/* The packet in `out` is `payload`, in as few frames as the protocol allows. */
static void check(struct buf *out, struct bytes payload, uint8_t first_seq)
{
    struct packet p;
    struct arena a;
    size_t need;
    arena_init(&a);
    assert_true(packet_find(buf_bytes(out), SIZE_MAX, &p, &need, NULL));
    assert_int_equal(p.wire_len, buf_len(out));
    assert_int_equal(p.payload_len, payload.len);
    assert_int_equal(p.frames, payload.len / FRAME_MAX + 1);
    assert_int_equal(p.seq, first_seq);
    assert_int_equal(p.next_seq, (uint8_t)(first_seq + p.frames));
    assert_bytes_equal(packet_payload(buf_bytes(out), &p, &a), payload);
    arena_release(&a);
}

static void packets_of_any_length_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct bytes payload = pattern(lengths[i]);
        struct buf out = { 0 };
        uint8_t seq = 254;
        packet_write(&out, &seq, payload);
        check(&out, payload, 254);
        assert_int_equal(seq, (uint8_t)(254 + lengths[i] / FRAME_MAX + 1));
        buf_release(&out);
        free((void *)payload.data);
    }
}

static void a_packet_written_in_place_is_split_like_one_from_elsewhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct bytes payload = pattern(lengths[i]);
        struct buf placed = { 0 }, copied = { 0 };
        uint8_t seq = 3, other_seq = 3;
        buf_add(&placed, BYTES_LITERAL("before"));
        buf_add(&copied, BYTES_LITERAL("before"));
        size_t mark = packet_begin(&placed);
        buf_add(&placed, payload);
        packet_end(&placed, mark, &seq);
        packet_write(&copied, &other_seq, payload);
        assert_bytes_equal(buf_bytes(&placed), buf_bytes(&copied));
        assert_int_equal(seq, other_seq);
        buf_release(&placed);
        buf_release(&copied);
        free((void *)payload.data);
    }
}

static void a_cut_packet_says_how_much_it_needs(void **state)
{
    (void)state;
    struct buf out = { 0 };
    struct packet p;
    size_t need;
    uint8_t seq = 0;
    packet_write(&out, &seq, BYTES_LITERAL("hello"));
    for (size_t n = 0; n < buf_len(&out); n++) {
        struct bytes window = exact_copy(bytes_of(buf_head(&out), n));
        assert_false(packet_find(window, 100, &p, &need, NULL));
        assert_int_equal(need, n < FRAME_HEADER ? FRAME_HEADER : FRAME_HEADER + 5);
        exact_free(window);
    }
    buf_release(&out);
}

static void a_full_frame_needs_another(void **state)
{
    (void)state;
    struct bytes payload = pattern(FRAME_MAX);
    struct buf out = { 0 };
    struct packet p;
    size_t need;
    uint8_t seq = 0;
    packet_write(&out, &seq, payload);
    struct bytes window = bytes_of(buf_head(&out), FRAME_HEADER + FRAME_MAX);
    assert_false(packet_find(window, SIZE_MAX, &p, &need, NULL));
    assert_int_equal(need, FRAME_HEADER + FRAME_MAX + FRAME_HEADER);

    struct fault why = FAULT_NONE;
    buf_head(&out)[FRAME_HEADER + FRAME_MAX + 3]++;
    assert_false(packet_find(buf_bytes(&out), SIZE_MAX, &p, &need, &why));
    assert_int_equal(need, 0);
    assert_int_equal(why.code, ER_PACKETS_OUT_OF_ORDER);
    buf_release(&out);
    free((void *)payload.data);
}

static void a_packet_that_will_be_too_large_is_refused_by_its_header(void **state)
{
    (void)state;
    struct packet p;
    size_t need;
    struct fault why = FAULT_NONE;
    struct bytes header = BYTES_LITERAL("\x65\0\0\0");
    assert_false(packet_find(header, 100, &p, &need, &why));
    assert_int_equal(need, 0);
    assert_int_equal(why.code, ER_PACKET_TOO_LARGE);
    assert_false(packet_find(header, 101, &p, &need, &why));
    assert_int_equal(need, 105);
}

/* ---- reframing ---- */

/* Insert `inserted` at `at` into a payload streamed in parts of `part` bytes. */
static void reframes(size_t payload_len, struct bytes inserted, size_t at, size_t part)
{
    struct bytes payload = pattern(payload_len), rest = payload;
    struct buf out = { 0 };
    struct reframe r;
    size_t len, done = 0;
    bool is_inserted = false;
    reframe_begin(&r, inserted.len, 7);
    do {
        len = MIN(rest.len, (size_t)FRAME_MAX);
        reframe_frame(&r, len, &out);
        for (size_t left = len; left > 0 || !is_inserted;) {
            size_t n = MIN(left, part);
            if (!is_inserted)
                n = MIN(n, at - done);
            reframe_pass(&r, bytes_of(rest.data, n), &out);
            rest = bytes_skip(rest, n);
            left -= n;
            done += n;
            if (done == at && !is_inserted) {
                reframe_pass(&r, inserted, &out);
                is_inserted = true;
            }
        }
    } while (len == FRAME_MAX);

    struct buf whole = { 0 };
    buf_add(&whole, bytes_of(payload.data, at));
    buf_add(&whole, inserted);
    buf_add(&whole, bytes_skip(payload, at));
    check(&out, buf_bytes(&whole), 7);
    buf_release(&whole);
    buf_release(&out);
    free((void *)payload.data);
}

static void inserted_bytes_push_the_rest_on(void **state)
{
    static const size_t inserted_lengths[] = { 0, 1, 2, 4096 };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(inserted_lengths); i++) {
        size_t n = inserted_lengths[i];
        struct bytes inserted = pattern(n);
        reframes(10, inserted, 10, 3);
        reframes(FRAME_MAX - n - 1, inserted, 11, 1 << 20);
        reframes(FRAME_MAX - n, inserted, 11, 1 << 20);
        reframes(FRAME_MAX - n + 1, inserted, 0, 1 << 20);
        reframes(FRAME_MAX, inserted, 11, 65536);
        reframes(2 * FRAME_MAX - n, inserted, 11, SIZE_MAX);
        reframes(2 * FRAME_MAX - 1, inserted, 11, 1 << 20);
        reframes(2 * FRAME_MAX + 9, inserted, 11, 1 << 20);
        free((void *)inserted.data);
    }
}

static void frames_are_numbered_anew_however_they_are_cut(void **state)
{
    (void)state;
    static const size_t lengths_of[] = { 5, 0, 1, 300, 0, 70000, 2 };
    struct buf wire = { 0 }, expected = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(lengths_of); i++) {
        struct bytes payload = pattern(lengths_of[i]);
        uint8_t jumping = (uint8_t)(i * 37), seq = (uint8_t)(253 + i);
        packet_write(&wire, &jumping, payload);
        packet_write(&expected, &seq, payload);
        free((void *)payload.data);
    }
    for (size_t step = 1; step < 12; step++) {
        struct buf copy = { 0 };
        struct renumbering r = { .seq = 253 };
        buf_add(&copy, buf_bytes(&wire));
        for (size_t at = 0, n; at < buf_len(&copy); at += n) {
            n = MIN(step, buf_len(&copy) - at);
            renumber(&r, buf_head(&copy) + at, n);
        }
        assert_bytes_equal(buf_bytes(&copy), buf_bytes(&expected));
        assert_int_equal(r.seq, (uint8_t)(253 + ARRAY_LEN(lengths_of)));
        buf_release(&copy);
    }
    buf_release(&wire);
    buf_release(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_of_any_length_come_back),
        cmocka_unit_test(a_packet_written_in_place_is_split_like_one_from_elsewhere),
        cmocka_unit_test(a_cut_packet_says_how_much_it_needs),
        cmocka_unit_test(a_full_frame_needs_another),
        cmocka_unit_test(a_packet_that_will_be_too_large_is_refused_by_its_header),
        cmocka_unit_test(inserted_bytes_push_the_rest_on),
        cmocka_unit_test(frames_are_numbered_anew_however_they_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
