#include "unit/net/sockets.h"

#include "base/mem.h"
#include "net/inside.h"

/* ---- a layer that turns bytes over and keeps what it took until it is flushed ----------- */

enum { TAKES_MOST = 100, UNIT = 4 };

struct turner {
    struct layer layer;
    uint8_t held[TAKES_MOST], got[UNIT];
    size_t n_held, n_got;     /* of a received unit, what is still to be given */
    bool *freed, *said_goodbye;
};

static struct turner *turner_of(const struct layer *l)
{
    return container_of(l, struct turner, layer);
}

/* Receives units of four bytes, gives as much as is asked for. */
static ssize_t turner_receive(struct layer *l, void *to, size_t room)
{
    struct turner *x = turner_of(l);
    if (x->n_got == 0) {
        ssize_t n = layer_receive_below(l, x->got, UNIT);
        if (n <= 0)
            return n;
        must(n == UNIT);
        x->n_got = UNIT;
        for (size_t i = 0; i < UNIT; i++)
            x->got[i] ^= 0xFF;
    }
    size_t give = MIN(room, x->n_got);
    memcpy(to, x->got + UNIT - x->n_got, give);
    x->n_got -= give;
    return (ssize_t)give;
}

static int turner_flush(struct layer *l)
{
    struct turner *x = turner_of(l);
    while (x->n_held > 0) {
        ssize_t n = layer_send_below(l, bytes_of(x->held, x->n_held));
        if (n < 0)
            return -1;
        x->n_held -= (size_t)n;
        memmove(x->held, x->held + n, x->n_held);
    }
    return 0;
}

static ssize_t turner_send(struct layer *l, struct bytes data)
{
    struct turner *x = turner_of(l);
    if (x->n_held == TAKES_MOST && turner_flush(l) < 0)
        return -1;
    size_t n = MIN(data.len, TAKES_MOST - x->n_held);
    for (size_t i = 0; i < n; i++)
        x->held[x->n_held++] = data.data[i] ^ 0xFF;
    return (ssize_t)n;
}

static bool turner_holds(const struct layer *l)
{
    return turner_of(l)->n_held > 0;
}

static bool turner_has_more(const struct layer *l)
{
    return turner_of(l)->n_got > 0 || buf_len(&l->early) > 0;
}

static void turner_goodbye(struct layer *l)
{
    *turner_of(l)->said_goodbye = true;
}

static void turner_free(struct layer *l)
{
    *turner_of(l)->freed = true;
    mem_free(turner_of(l));
}

static const struct layer_kind turner_kind = {
    .name = "turner",
    .is_private = true,
    .receive = turner_receive,
    .send = turner_send,
    .flush = turner_flush,
    .holds = turner_holds,
    .has_more = turner_has_more,
    .goodbye = turner_goodbye,
    .free = turner_free,
};

struct seen {
    bool freed, said_goodbye;
};

static struct layer *turner_new(struct seen *seen)
{
    struct turner *x = mem_zalloc(sizeof *x);
    x->layer.kind = &turner_kind;
    x->freed = &seen->freed;
    x->said_goodbye = &seen->said_goodbye;
    return &x->layer;
}

static const uint8_t abcd_turned[] = { 0x9E, 0x9D, 0x9C, 0x9B };

/* ---- reading --------------------------------------------------------------------------- */

static void read_through_layers(struct task *t)
{
    struct stream st;
    struct seen one = { 0 }, two = { 0 };
    struct fault why = FAULT_NONE;
    int peer = open_stream(t, &st);
    stream_push_layer(&st, turner_new(&one));
    peer_sends(peer, abcd_turned, 4);
    assert_true(stream_need(t, &st, 4, after(t, 10), &why));
    assert_memory_equal(buf_head(&st.in), "abcd", 4);
    buf_skip(&st.in, 4);
    stream_push_layer(&st, turner_new(&two));      /* turned twice is as it was */
    peer_sends(peer, "wxyz", 4);
    assert_true(stream_need(t, &st, 4, after(t, 10), &why));
    assert_memory_equal(buf_head(&st.in), "wxyz", 4);
    assert_ptr_equal(stream_layer(&st, &turner_kind), st.top);
    close(peer);
    buf_skip(&st.in, 4);
    assert_false(stream_need(t, &st, 1, after(t, 10), &why));
    assert_true(st.peer_closed);
    stream_close(&st);
    assert_true(one.freed && two.freed && two.said_goodbye);
}

static void what_arrives_passes_the_layers_from_below_to_the_top(void **state)
{
    (void)state;
    in_task(read_through_layers);
}

static void push_with_unread(struct task *t)
{
    struct stream st;
    struct seen seen = { 0 };
    struct fault why = FAULT_NONE;
    int peer = open_stream(t, &st);
    peer_sends(peer, "plain", 5);
    peer_sends(peer, abcd_turned, 4);
    assert_true(stream_need(t, &st, 9, after(t, 10), &why));
    buf_skip(&st.in, 5);
    stream_push_layer(&st, turner_new(&seen));
    assert_int_equal(buf_len(&st.in), 0);
    assert_true(st.in_filled);                      /* the loop will not tell of it */
    assert_int_equal(stream_peer(&st), PEER_SPOKE);
    assert_true(stream_need(t, &st, 4, after(t, 10), &why));
    assert_memory_equal(buf_head(&st.in), "abcd", 4);
    assert_int_equal(stream_peer(&st), PEER_QUIET);
    stream_close(&st);
    close(peer);
}

static void what_lay_unread_is_read_through_the_new_layer(void **state)
{
    (void)state;
    in_task(push_with_unread);
}

/* ---- writing --------------------------------------------------------------------------- */

static void write_much(struct task *t)
{
    struct stream st;
    struct seen seen = { 0 };
    struct fault why = FAULT_NONE;
    int peer = open_stream(t, &st);
    uint8_t data[1000], got[1000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 31);
    stream_push_layer(&st, turner_new(&seen));
    assert_true(stream_put(t, &st, bytes_of(data, sizeof data), after(t, 10), &why));
    assert_true(stream_has_unsent(&st));
    assert_true(stream_flush(t, &st, after(t, 10), &why));
    assert_false(stream_has_unsent(&st));
    assert_int_equal(recv(peer, got, sizeof got, MSG_WAITALL), sizeof got);
    for (size_t i = 0; i < sizeof got; i++)
        assert_int_equal(got[i] ^ 0xFF, data[i]);
    assert_int_equal(st.sent, sizeof data);
    stream_close(&st);
    close(peer);
}

static void what_a_layer_holds_leaves_with_the_flush(void **state)
{
    (void)state;
    in_task(write_much);
}

/* ---- moving, privacy, the other end ------------------------------------------------------ */

static void move_it(struct task *t)
{
    struct stream from, to;
    struct seen seen = { 0 };
    struct fault why = FAULT_NONE;
    int peer = open_stream(t, &from);
    stream_push_layer(&from, turner_new(&seen));
    stream_move(&to, &from);
    stream_close(&from);
    assert_false(seen.freed);
    peer_sends(peer, abcd_turned, 4);
    assert_true(stream_need(t, &to, 4, after(t, 10), &why));
    assert_memory_equal(buf_head(&to.in), "abcd", 4);
    stream_close(&to);
    assert_true(seen.freed);
    close(peer);
}

static void a_moved_stream_takes_its_layers_along(void **state)
{
    (void)state;
    in_task(move_it);
}

static void look_at_peer(struct task *t)
{
    struct stream st;
    int peer = open_stream(t, &st);
    assert_int_equal(stream_peer(&st), PEER_QUIET);
    peer_sends(peer, "x", 1);
    assert_int_equal(stream_peer(&st), PEER_SPOKE);
    assert_int_equal(stream_fill(&st, 1), 1);
    assert_int_equal(stream_peer(&st), PEER_QUIET); /* what was received does not count */
    close(peer);
    assert_int_equal(stream_peer(&st), PEER_GONE);
    assert_true(st.peer_closed);
    stream_close(&st);
}

static void the_other_end_is_quiet_speaks_or_is_gone(void **state)
{
    (void)state;
    in_task(look_at_peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_arrives_passes_the_layers_from_below_to_the_top),
        cmocka_unit_test(what_lay_unread_is_read_through_the_new_layer),
        cmocka_unit_test(what_a_layer_holds_leaves_with_the_flush),
        cmocka_unit_test(a_moved_stream_takes_its_layers_along),
        cmocka_unit_test(the_other_end_is_quiet_speaks_or_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
