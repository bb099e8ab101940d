#include "unit/net/sockets.h"

#include "base/mem.h"
#include "net/inside.h"

static double soon(struct task *t)
{
    return worker_now(task_worker(t)) + 10;
}

/* Two streams that face each other, compressed. */
struct pair {
    struct stream client, server;
    uint8_t seq;
};

static void open_pair(struct pair *p, struct task *t, enum compression algorithm)
{
    int fd = open_stream(t, &p->server);
    stream_open(&p->client, task_worker(t), fd, BLAME_SERVER);
    stream_compress(&p->client, algorithm, 0);
    stream_compress(&p->server, algorithm, 0);
    p->seq = 0;
}

static void close_pair(struct pair *p)
{
    stream_close(&p->client);
    stream_close(&p->server);
}

static const enum compression both[] = { COMPRESSION_ZLIB, COMPRESSION_ZSTD };

static struct bytes text_of(struct task *t, size_t len)
{
    uint8_t *data = arena_alloc(task_arena(t), len + 1);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)("a row, another row, "[i % 20] + (i / 1009 & 7));
    return bytes_of(data, len);
}

/* A packet from one to the other: it arrives as it was. */
static void send_packet(struct task *t, struct stream *from, struct stream *to, uint8_t *seq,
                        struct bytes payload)
{
    struct fault why = FAULT_NONE;
    packet_write(&from->out, seq, payload);
    assert_true(stream_flush(t, from, soon(t), &why));
    assert_false(stream_has_unsent(from));
    assert_true(stream_need(t, to, FRAME_HEADER + payload.len, soon(t), &why));
    assert_int_equal(buf_len(&to->in), FRAME_HEADER + payload.len);
    assert_int_equal(frame_len(buf_head(&to->in)), payload.len);
    if (payload.len > 0)
        assert_memory_equal(buf_head(&to->in) + FRAME_HEADER, payload.data, payload.len);
    buf_skip(&to->in, buf_len(&to->in));
}

static void converse(struct task *t)
{
    static const size_t lengths[] = { 1, 40, 60, 5000, 20000 };
    for (size_t a = 0; a < 2; a++) {
        struct pair p;
        struct traffic traffic;
        open_pair(&p, t, both[a]);
        for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
            uint8_t seq = 0;
            send_packet(t, &p.client, &p.server, &seq, text_of(t, lengths[i]));
            send_packet(t, &p.server, &p.client, &seq, text_of(t, lengths[i]));
            send_packet(t, &p.server, &p.client, &seq, text_of(t, 7));
        }
        stream_traffic(&p.client, &traffic);
        assert_int_equal(traffic.sent, 1 + 40 + 60 + 5000 + 20000 + 5 * FRAME_HEADER);
        assert_int_equal(traffic.received, traffic.sent + 5 * (7 + FRAME_HEADER));
        assert_in_range(traffic.wire_sent, 1, traffic.sent / 10);
        assert_in_range(traffic.wire_received, 1, traffic.received / 10);
        assert_string_equal(stream_compression(&p.client), a == 0 ? "zlib" : "zstd");
        close_pair(&p);
    }
}

static void both_sides_understand_each_other(void **state)
{
    (void)state;
    in_task(converse);
}

/* ---- more than the socket takes -------------------------------------------------------------- */

struct upload {
    struct pair p;
    struct bytes data;
    bool done;
};

static void upload(struct task *t, void *arg)
{
    struct upload *u = arg;
    struct fault why = FAULT_NONE;
    uint8_t header[FRAME_HEADER];
    frame_set_header(header, (uint32_t)u->data.len, 0);
    assert_true(stream_put(t, &u->p.client, bytes_of(header, sizeof header), soon(t), &why));
    assert_true(stream_put(t, &u->p.client, u->data, soon(t), &why));
    assert_true(stream_flush(t, &u->p.client, soon(t), &why));
    u->done = true;
}

static void send_noise(struct task *t)
{
    struct upload u = { .data = { arena_alloc(task_arena(t), 3 << 20), 3 << 20 } };
    struct fault why = FAULT_NONE;
    uint32_t x = 1;
    for (size_t i = 0; i < u.data.len; i++)
        ((uint8_t *)u.data.data)[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    open_pair(&u.p, t, COMPRESSION_ZSTD);
    assert_true(task_start(task_worker(t), "upload", upload, &u));
    assert_false(u.done);
    /* what lies between is bounded: nobody has read yet */
    assert_true(buf_len(&u.p.client.out) <= 256 << 10);
    for (size_t at = 0, n; at < u.data.len + FRAME_HEADER; at += n) {
        assert_true(stream_need(t, &u.p.server, 1, soon(t), &why));
        n = buf_len(&u.p.server.in);
        for (size_t i = MAX(at, (size_t)FRAME_HEADER); i < at + n; i++)
            if (buf_head(&u.p.server.in)[i - at] != u.data.data[i - FRAME_HEADER])
                fail_msg("byte %zu", i);
        buf_skip(&u.p.server.in, n);
    }
    while (!u.done)
        task_breathe(t);
    close_pair(&u.p);
}

static void a_slow_reader_holds_up_the_writer(void **state)
{
    (void)state;
    in_task(send_noise);
}

/* ---- idle -------------------------------------------------------------------------------------
 */

static void go_idle(struct task *t)
{
    for (size_t a = 0; a < 2; a++) {
        struct pair p;
        uint8_t seq = 0;
        size_t before = buf_total();
        open_pair(&p, t, both[a]);
        send_packet(t, &p.client, &p.server, &seq, text_of(t, 100000));
        send_packet(t, &p.server, &p.client, &seq, text_of(t, 100000));
        assert_true(buf_total() > before);
        stream_rest(&p.client);
        stream_rest(&p.server);
        assert_int_equal(buf_total(), before);
        /* and all is as before */
        send_packet(t, &p.server, &p.client, &seq, text_of(t, 1000));
        close_pair(&p);
        assert_int_equal(buf_total(), before);
    }
}

static void an_idle_stream_holds_no_buffers(void **state)
{
    (void)state;
    in_task(go_idle);
}

/* ---- the other end
 * ------------------------------------------------------------------------------- */

static const uint8_t ping[] = { 5, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x0E };

static void come_early(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    int peer = open_stream(t, &st);
    /* the client's first command came along with the end of its login */
    peer_sends(peer, "login", 5);
    peer_sends(peer, ping, sizeof ping);
    peer_sends(peer, ping, 8);
    assert_true(stream_need(t, &st, 5 + sizeof ping + 8, soon(t), &why));
    buf_skip(&st.in, 5);
    stream_compress(&st, COMPRESSION_ZLIB, 0);
    assert_int_equal(stream_peer(&st), PEER_SPOKE);
    assert_true(stream_need(t, &st, 5, soon(t), &why));
    assert_int_equal(buf_len(&st.in), 5);
    assert_memory_equal(buf_head(&st.in), ping + 7, 5);
    buf_skip(&st.in, 5);
    /* the second has arrived in part only: its first byte is there */
    assert_true(st.in_filled);
    assert_true(stream_need(t, &st, 1, soon(t), &why));
    assert_int_equal(stream_peer(&st), PEER_QUIET);
    peer_sends(peer, ping + 8, 4);
    assert_int_equal(stream_peer(&st), PEER_SPOKE);
    assert_true(stream_need(t, &st, 5, soon(t), &why));
    assert_memory_equal(buf_head(&st.in), ping + 7, 5);
    stream_close(&st);
    close(peer);
}

static void what_came_before_is_read_as_frames(void **state)
{
    (void)state;
    in_task(come_early);
}

/* A packet of 100 bytes in a frame of zlib, of which the last 4 bytes are a checksum. */
static size_t zlib_frame(struct buf *wire)
{
    struct compressed c;
    struct compress_tools *tools = compress_tools_new();
    uint8_t packet[FRAME_HEADER + 100];
    frame_set_header(packet, 100, 0);
    memset(packet + FRAME_HEADER, 'r', 100);
    compressed_init(&c, COMPRESSION_ZLIB, 0, false);
    assert_int_equal(compressed_write(&c, tools, bytes_of(packet, sizeof packet), wire),
                     sizeof packet);
    assert_true(buf_len(wire) < sizeof packet);
    compress_tools_free(tools);
    return buf_len(wire);
}

static void end_late(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    struct buf wire = { 0 };
    size_t len = zlib_frame(&wire);
    int peer = open_stream(t, &st);
    stream_compress(&st, COMPRESSION_ZLIB, 0);
    peer_sends(peer, buf_head(&wire), len - 4);
    assert_true(stream_need(t, &st, FRAME_HEADER + 100, soon(t), &why));
    buf_skip(&st.in, buf_len(&st.in));
    assert_int_equal(stream_peer(&st), PEER_QUIET);
    for (size_t at = len - 4; at < len; at += 2) {
        peer_sends(peer, buf_head(&wire) + at, 2);
        assert_int_equal(stream_peer(&st), PEER_QUIET);
    }
    peer_sends(peer, buf_head(&wire), 3);
    assert_int_equal(stream_peer(&st), PEER_SPOKE);
    peer_sends(peer, buf_head(&wire) + 3, len - 3);
    assert_true(stream_need(t, &st, FRAME_HEADER + 100, soon(t), &why));
    assert_int_equal(stream_peer(&st), PEER_QUIET);
    close(peer);
    assert_int_equal(stream_peer(&st), PEER_GONE);
    stream_close(&st);
    buf_release(&wire);
}

static void the_end_of_a_frame_is_no_news(void **state)
{
    (void)state;
    in_task(end_late);
}

static void leave_in_a_frame(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    int peer = open_stream(t, &st);
    stream_compress(&st, COMPRESSION_ZSTD, 0);
    peer_sends(peer, ping, 6);
    assert_int_equal(stream_fill(&st, 1), 0);
    close(peer);
    assert_false(stream_need(t, &st, 1, soon(t), &why));
    assert_true(st.peer_closed && !st.broken);
    assert_int_equal(why.blame, BLAME_CLIENT);
    stream_close(&st);
}

static void send_garbage(struct task *t)
{
    static const uint8_t garbage[] = { 5, 0, 0, 0, 9, 0, 0, 1, 2, 3, 4, 5 };
    for (size_t a = 0; a < 2; a++) {
        struct stream st;
        struct fault why = FAULT_NONE;
        int peer = open_stream(t, &st);
        stream_compress(&st, both[a], 0);
        peer_sends(peer, garbage, sizeof garbage);
        assert_false(stream_need(t, &st, 1, soon(t), &why));
        assert_true(st.broken && st.unreadable);
        assert_int_equal(why.blame, BLAME_CLIENT);
        stream_close(&st);
        close(peer);
    }
}

static void a_peer_that_leaves_within_a_frame_has_left(void **state)
{
    (void)state;
    in_task(leave_in_a_frame);
}

static void a_peer_that_sends_garbage_is_given_up(void **state)
{
    (void)state;
    in_task(send_garbage);
}

/* ---- on top of another layer, as of TLS
 * ------------------------------------------------------------ */

struct below {
    struct layer layer;
    struct buf record; /* received as a whole, given as asked for */
    struct buf held;
    bool rested, said_goodbye;
};

static struct below *below_of(const struct layer *l)
{
    return container_of(l, struct below, layer);
}

/* Takes all there is from the socket at once: what it has, the socket does not tell of. */
static ssize_t below_receive(struct layer *l, void *to, size_t room)
{
    struct below *x = below_of(l);
    if (buf_len(&x->record) == 0) {
        assert_true(buf_reserve(&x->record, 4096, 4096, NULL));
        ssize_t n = layer_receive_below(l, buf_end(&x->record), 4096);
        if (n <= 0)
            return n;
        buf_wrote(&x->record, (size_t)n);
    }
    size_t n = MIN(MIN(room, buf_len(&x->record)), (size_t)5);
    memcpy(to, buf_head(&x->record), n);
    buf_skip(&x->record, n);
    return (ssize_t)n;
}

static ssize_t below_send(struct layer *l, struct bytes data)
{
    size_t n = MIN(data.len, (size_t)3);
    buf_add(&below_of(l)->held, bytes_of(data.data, n));
    return (ssize_t)n;
}

static int below_flush(struct layer *l)
{
    struct buf *held = &below_of(l)->held;
    ssize_t n = buf_len(held) > 0 ? layer_send_below(l, buf_bytes(held)) : 0;
    if (n > 0)
        buf_skip(held, (size_t)n);
    return n < 0 ? -1 : 0;
}

static bool below_holds(const struct layer *l)
{
    return buf_len(&below_of(l)->held) > 0;
}

static bool below_has_more(const struct layer *l)
{
    return buf_len(&below_of(l)->record) > 0;
}

static void below_rest(struct layer *l)
{
    below_of(l)->rested = true;
}

static void below_goodbye(struct layer *l)
{
    below_of(l)->said_goodbye = true;
}

static void below_free(struct layer *l)
{
    assert_true(below_of(l)->said_goodbye && below_of(l)->rested);
    buf_release(&below_of(l)->record);
    buf_release(&below_of(l)->held);
    mem_free(below_of(l));
}

static const struct layer_kind below_kind = {
    .name = "below",
    .is_private = true,
    .receive = below_receive,
    .send = below_send,
    .flush = below_flush,
    .holds = below_holds,
    .has_more = below_has_more,
    .rest = below_rest,
    .goodbye = below_goodbye,
    .free = below_free,
};

static void stand_on_top(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    uint8_t got[sizeof ping];
    struct below *x = mem_zalloc(sizeof *x);
    int peer = open_stream(t, &st);
    x->layer.kind = &below_kind;
    stream_push_layer(&st, &x->layer);
    stream_compress(&st, COMPRESSION_ZLIB, 0);
    assert_true(stream_is_private(&st));
    peer_sends(peer, ping, sizeof ping);
    peer_sends(peer, ping, sizeof ping);
    /* the first command; the second lies below, and the socket is silent */
    assert_true(stream_need(t, &st, 5, soon(t), &why));
    assert_int_equal(buf_len(&st.in), 5);
    assert_true(st.in_filled);
    assert_int_equal(stream_peer(&st), PEER_SPOKE);
    assert_true(stream_need(t, &st, 10, soon(t), &why));
    assert_false(st.in_filled);
    buf_skip(&st.in, 10);

    assert_true(stream_put(t, &st, bytes_of(ping + 7, 5), soon(t), &why));
    assert_true(stream_flush(t, &st, soon(t), &why));
    assert_false(stream_has_unsent(&st));
    assert_int_equal(recv(peer, got, sizeof got, 0), sizeof got);
    assert_int_equal(got[3], 1); /* an answer */
    got[3] = 0;
    assert_memory_equal(got, ping, sizeof ping);
    stream_rest(&st);
    stream_close(&st);
    close(peer);
}

static void it_stands_on_top_of_other_layers(void **state)
{
    (void)state;
    in_task(stand_on_top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_understand_each_other),
        cmocka_unit_test(a_slow_reader_holds_up_the_writer),
        cmocka_unit_test(an_idle_stream_holds_no_buffers),
        cmocka_unit_test(what_came_before_is_read_as_frames),
        cmocka_unit_test(the_end_of_a_frame_is_no_news),
        cmocka_unit_test(a_peer_that_leaves_within_a_frame_has_left),
        cmocka_unit_test(a_peer_that_sends_garbage_is_given_up),
        cmocka_unit_test(it_stands_on_top_of_other_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
