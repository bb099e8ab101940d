/* What passes through TLS, and what does not count. */
#include "unit/net/tls_ends.h"

#include "base/buf.h"

#include <poll.h>

/* ---- much data ----------------------------------------------------------------------- */

enum { MUCH = 3 << 20 };

struct flow {
    struct stream *st;
    uint8_t *data;
    bool done;
};

static uint8_t *pattern(unsigned seed)
{
    uint8_t *data = mem_alloc(MUCH);
    for (unsigned i = 0; i < MUCH; i++)
        data[i] = (uint8_t)(i * 7 + i / 251 + seed);
    return data;
}

static void pour(struct task *t, void *arg)
{
    struct flow *f = arg;
    struct fault why = FAULT_NONE;
    size_t at = 0;
    while (at < MUCH) {
        size_t n = MIN((size_t)MUCH - at, at % 3 == 0 ? (size_t)100000 : (size_t)777);
        if (!stream_put(t, f->st, bytes_of(f->data + at, n), after(t, 60), &why))
            fail_msg("%s", why.text);
        at += n;
    }
    assert_true(stream_flush(t, f->st, after(t, 60), &why));
    f->done = true;
}

static void drink(struct task *t, struct stream *st, const uint8_t *wanted)
{
    struct fault why = FAULT_NONE;
    for (size_t at = 0; at < MUCH; at += 1 << 20) {
        if (!stream_need(t, st, 1 << 20, after(t, 60), &why))
            fail_msg("%s", why.text);
        assert_int_equal(memcmp(buf_head(&st->in), wanted + at, 1 << 20), 0);
        buf_skip(&st->in, 1 << 20);
    }
}

static void drink_there(struct task *t, void *arg)
{
    struct flow *f = arg;
    drink(t, f->st, f->data);
    f->done = true;
}

static void move_much(struct task *t)
{
    struct pair p;
    struct tls_terms s = serving(&server), c = calling(TLS_REQUIRED, "");
    uint8_t *up = pattern(1), *down = pattern(2);
    shake(t, &p, &s, &c);
    struct flow send_up = { .st = &p.client, .data = up },
                send_down = { .st = &p.server, .data = down };
    struct flow get_down = { .st = &p.client, .data = down };
    assert_true(task_start(task_worker(t), "up", pour, &send_up));
    assert_true(task_start(task_worker(t), "down", pour, &send_down));
    assert_true(task_start(task_worker(t), "get", drink_there, &get_down));
    drink(t, &p.server, up);
    while (!send_up.done || !send_down.done || !get_down.done)
        task_park(t, after(t, 0.001));
    assert_int_equal(p.client.sent, MUCH);
    assert_int_equal(p.server.received, MUCH);
    assert_false(stream_has_unsent(&p.client));
    stream_rest(&p.client);
    assert_int_equal(p.client.in.cap + p.client.out.cap, 0);
    close_pair(&p);
    mem_free(up);
    mem_free(down);
}

static void megabytes_pass_both_ways_at_once(void **state)
{
    (void)state;
    in_task(move_much);
}

static void read_with_little_room(struct task *t)
{
    struct pair p;
    struct tls_terms s = serving(&server), c = calling(TLS_REQUIRED, "");
    char line[12];
    shake(t, &p, &s, &c);
    for (int i = 0; i < 100; i++) { /* a record each */
        snprintf(line, sizeof line, "%05d", i);
        says(t, &p.client, line);
    }
    nap(t, 0.01);
    for (int i = 0; i < 100; i++) {
        snprintf(line, sizeof line, "%05d", i);
        hears(t, &p.server, line);
        bool more = i < 99;
        /* Whether in `in`, in the layer, or in the socket: what there is must not be forgotten. */
        if (buf_len(&p.server.in) == 0)
            assert_int_equal(stream_peer(&p.server), more ? PEER_SPOKE : PEER_QUIET);
    }
    close_pair(&p);
}

static void many_small_records_are_all_noticed(void **state)
{
    (void)state;
    in_task(read_with_little_room);
}

static void stuff_one_socket(struct task *t)
{
    struct pair p;
    struct tls_terms s = serving(&server), c = calling(TLS_REQUIRED, "");
    struct fault why = FAULT_NONE;
    uint8_t *data = pattern(3);
    shake(t, &p, &s, &c);
    assert_talks(t, &p);
    assert_false(stream_put(t, &p.server, bytes_of(data, MUCH), after(t, 0.05), &why));
    assert_int_equal(why.blame, BLAME_TIME);
    assert_true(stream_has_unsent(&p.server));
    assert_false(p.server.broken);
    /* One direction is full: the other must work all the same. */
    says(t, &p.client, "still here");
    hears(t, &p.server, "still here");
    size_t took = p.server.sent;
    assert_in_range(took, 1, MUCH);
    assert_true(stream_need(t, &p.client, took & ~(size_t)0xFFFF, after(t, 10), &why));
    assert_int_equal(memcmp(buf_head(&p.client.in), data, took & ~(size_t)0xFFFF), 0);
    close_pair(&p);
    mem_free(data);
}

static void a_full_socket_stops_one_direction_only(void **state)
{
    (void)state;
    in_task(stuff_one_socket);
}

/* ---- the other end by hand ------------------------------------------------------------- */

static void look_while_it_leaves(struct task *t)
{
    for (int polite = 0; polite < 2; polite++)
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct stream st;
            struct hand h;
            meet_hand(t, &st, &h, version);
            assert_int_equal(stream_peer(&st), PEER_QUIET);
            SSL_write(h.ssl, "x", 1);
            assert_int_equal(stream_peer(&st), PEER_SPOKE);
            assert_int_equal(stream_peer(&st), PEER_SPOKE);
            assert_true(st.in_filled);
            hears(t, &st, "x");
            assert_int_equal(stream_peer(&st), PEER_QUIET);
            if (polite)
                SSL_shutdown(h.ssl);
            else
                shutdown(h.fd, SHUT_WR);
            assert_int_equal(stream_peer(&st), PEER_GONE);
            assert_true(st.peer_closed);
            assert_false(st.broken);
            says(t, &st, "you can still hear us");
            stream_close(&st);
            hand_close(&h);
        }
}

static void one_that_leaves_is_gone_with_a_goodbye_or_without(void **state)
{
    (void)state;
    in_task(look_while_it_leaves);
}

static void get_tickets_late(struct task *t)
{
    struct stream st;
    struct hand h;
    struct fault why = FAULT_NONE;
    struct tls_terms terms = calling(TLS_REQUIRED, "late.test");
    struct tls_context *c = get(&terms);
    hand_open_server(&h, open_stream(t, &st));
    assert_true(task_start(task_worker(t), "hand", hand_shake, &h));
    if (!stream_start_tls(t, &st, c, after(t, 10), &why))
        fail_msg("%s", why.text);
    while (!h.done)
        task_park(t, after(t, 0.001));
    assert_null(c->session);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(SSL_new_session_ticket(h.ssl), 1);
        assert_int_equal(SSL_do_handshake(h.ssl), 1);
        struct pollfd readable = { .fd = stream_fd(&st), .events = POLLIN };
        assert_int_equal(poll(&readable, 1, 1000), 1);
        if (i != 1) { /* looked at, as before a lease */
            assert_int_equal(stream_peer(&st), PEER_QUIET);
        } else { /* read, as when the loop tells of it */
            assert_int_equal(stream_fill(&st, 1), 0);
        }
        assert_int_equal(buf_len(&st.in), 0);
        assert_false(st.peer_closed || st.broken);
        assert_false(i > 0 && st.in_filled); /* (before, more than the handshake might have come) */
        assert_non_null(c->session);
    }
    SSL_write(h.ssl, "now", 3);
    assert_int_equal(stream_peer(&st), PEER_SPOKE);
    hears(t, &st, "now");
    stream_close(&st);
    hand_close(&h);
    tls_context_drop(c);
}

static void tickets_that_come_late_mean_nothing(void **state)
{
    (void)state;
    in_task(get_tickets_late);
}

static void read_last_words(struct task *t)
{
    struct stream st;
    struct hand h;
    struct fault why = FAULT_NONE;
    meet_hand(t, &st, &h, TLS1_3_VERSION);
    SSL_write(h.ssl, "last words", 10);
    SSL_shutdown(h.ssl);
    hears(t, &st, "last words");
    assert_false(stream_need(t, &st, 1, after(t, 10), &why));
    assert_true(st.peer_closed);
    assert_int_equal(why.blame, BLAME_CLIENT);
    stream_close(&st);
    hand_close(&h);
}

static void what_came_before_the_goodbye_is_read(void **state)
{
    (void)state;
    in_task(read_last_words);
}

static void break_records(struct task *t)
{
    struct stream st;
    struct hand h;
    struct fault why = FAULT_NONE;
    meet_hand(t, &st, &h, TLS1_3_VERSION);
    SSL_write(h.ssl, "sound", 5);
    peer_sends(h.fd, "\x17\x03\x03\x00\x20garbage, garbage, garbage, garb.", 37);
    hears(t, &st, "sound");
    assert_false(stream_need(t, &st, 1, after(t, 10), &why));
    assert_true(st.broken);
    assert_int_equal(why.blame, BLAME_CLIENT);
    assert_int_equal(stream_peer(&st), PEER_GONE);
    assert_false(stream_put(t, &st, BYTES_LITERAL("x"), after(t, 10), &why));
    stream_close(&st);
    hand_close(&h);
}

static void a_record_that_was_tampered_with_breaks_the_stream(void **state)
{
    (void)state;
    in_task(break_records);
}

static void trickle_a_record(struct task *t)
{
    struct stream st;
    struct hand h;
    uint8_t record[200];
    struct fault why = FAULT_NONE;
    meet_hand(t, &st, &h, TLS1_3_VERSION);
    BIO *aside = BIO_new(BIO_s_mem()), *usual = SSL_get_wbio(h.ssl);
    BIO_up_ref(usual);
    SSL_set0_wbio(h.ssl, aside);
    SSL_write(h.ssl, "slowly", 6);
    int n = BIO_read(aside, record, sizeof record);
    assert_in_range(n, 20, sizeof record);
    SSL_set0_wbio(h.ssl, usual);
    for (int i = 0; i < n; i++) {
        assert_int_equal(stream_peer(&st), PEER_QUIET);
        assert_int_equal(stream_fill(&st, 1), 0);
        assert_false(st.top->kind->has_more(st.top)); /* only the socket can tell of more */
        peer_sends(h.fd, record + i, 1);
    }
    assert_int_equal(stream_peer(&st), PEER_SPOKE);
    assert_true(stream_need(t, &st, 6, after(t, 10), &why));
    hears(t, &st, "slowly");
    stream_close(&st);
    hand_close(&h);
}

static void a_record_that_comes_byte_by_byte_is_nothing_until_it_is_whole(void **state)
{
    (void)state;
    in_task(trickle_a_record);
}

struct flood {
    struct hand *hand;
    unsigned sent;
    bool stop, reads;
};

/* New keys without end, and each time ours are asked for as well. */
static void flood(struct task *t, void *arg)
{
    struct flood *f = arg;
    char got[100];
    while (!f->stop) {
        SSL_key_update(f->hand->ssl, SSL_KEY_UPDATE_REQUESTED);
        ERR_clear_error();
        bool sent = SSL_do_handshake(f->hand->ssl) == 1;
        f->sent += sent;
        if (f->reads)
            SSL_read(f->hand->ssl, got, sizeof got);
        if (!sent || f->sent % 100 == 0)
            task_park(t, after(t, 0.0005));
    }
}

static void change_keys_for_ever(struct task *t)
{
    for (int reads = 0; reads < 2; reads++) {
        struct stream st;
        struct hand h;
        struct fault why = FAULT_NONE;
        meet_hand(t, &st, &h, TLS1_3_VERSION);
        struct flood f = { .hand = &h, .reads = reads != 0 };
        assert_true(task_start(task_worker(t), "flood", flood, &f));
        bool got = stream_need(t, &st, 1, after(t, 0.5), &why);
        assert_false(got);
        assert_true(f.sent > 100);
        /* Who takes what we answer may go on; who does not must not fill our memory. */
        assert_true(why.blame == BLAME_TIME || !f.reads);
        assert_in_range(buf_total(), 0, 300 << 10);
        f.stop = true;
        nap(t, 0.01);
        stream_close(&st);
        hand_close(&h);
    }
}

static void changes_of_keys_cost_no_memory_and_do_not_hold_the_worker(void **state)
{
    (void)state;
    in_task(change_keys_for_ever);
}

/* ---- other things that happen to streams --------------------------------------------- */

static void take_it_elsewhere(struct task *t)
{
    struct pair p;
    struct tls_terms s = serving(&server), c = calling(TLS_REQUIRED, "");
    struct stream moved;
    shake(t, &p, &s, &c);
    assert_talks(t, &p);
    stream_move(&moved, &p.client);
    says(t, &p.server, "and on");
    hears(t, &moved, "and on");
    stream_leave_worker(&moved);
    stream_join_worker(&moved, task_worker(t));
    says(t, &moved, "and back");
    hears(t, &p.server, "and back");
    stream_close(&moved);
    close_pair(&p);
}

static void a_stream_takes_its_tls_along(void **state)
{
    (void)state;
    in_task(take_it_elsewhere);
}

static void compress_within(struct task *t)
{
    const enum compression algorithms[] = { COMPRESSION_ZLIB, COMPRESSION_ZSTD };
    for (unsigned i = 0; i < ARRAY_LEN(algorithms); i++) {
        struct pair p;
        struct tls_terms s = serving(&server), c = calling(TLS_REQUIRED, "");
        struct tls_facts facts;
        uint8_t *data = pattern(4);
        shake(t, &p, &s, &c);
        p.server.blame = BLAME_SERVER; /* what comes are no commands, with numbers to be right */
        stream_compress(&p.server, algorithms[i], 3);
        stream_compress(&p.client, algorithms[i], 3);
        assert_talks(t, &p);
        assert_true(stream_is_private(&p.server) && stream_tls(&p.server, &facts));
        assert_int_equal(stream_peer(&p.server), PEER_QUIET);
        struct flow up = { .st = &p.client, .data = data };
        assert_true(task_start(task_worker(t), "up", pour, &up));
        drink(t, &p.server, data);
        assert_int_equal(stream_peer(&p.server), PEER_QUIET);
        says(t, &p.client, "more");
        assert_int_equal(stream_peer(&p.server), PEER_SPOKE);
        hears(t, &p.server, "more");
        shutdown(stream_fd(&p.client), SHUT_WR);
        assert_int_equal(stream_peer(&p.server), PEER_GONE);
        close_pair(&p);
        mem_free(data);
    }
}

static void compression_works_within_tls(void **state)
{
    (void)state;
    in_task(compress_within);
}

static void linger_on(struct task *t)
{
    struct stream st;
    struct hand h;
    char got[20];
    struct fault why = FAULT_NONE;
    meet_hand(t, &st, &h, TLS1_3_VERSION);
    assert_true(stream_put(t, &st, BYTES_LITERAL("the last word"), after(t, 1), &why));
    stream_linger(t, &st, 0.1);
    stream_close(&st);
    assert_int_equal(SSL_read(h.ssl, got, sizeof got), 13);
    assert_int_equal(SSL_read(h.ssl, got, sizeof got), 0);
    assert_int_equal(SSL_get_shutdown(h.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    hand_close(&h);
}

static void the_last_word_is_followed_by_a_goodbye(void **state)
{
    (void)state;
    in_task(linger_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(megabytes_pass_both_ways_at_once),
        cmocka_unit_test(many_small_records_are_all_noticed),
        cmocka_unit_test(a_full_socket_stops_one_direction_only),
        cmocka_unit_test(one_that_leaves_is_gone_with_a_goodbye_or_without),
        cmocka_unit_test(tickets_that_come_late_mean_nothing),
        cmocka_unit_test(what_came_before_the_goodbye_is_read),
        cmocka_unit_test(a_record_that_was_tampered_with_breaks_the_stream),
        cmocka_unit_test(a_record_that_comes_byte_by_byte_is_nothing_until_it_is_whole),
        cmocka_unit_test(changes_of_keys_cost_no_memory_and_do_not_hold_the_worker),
        cmocka_unit_test(a_stream_takes_its_tls_along),
        cmocka_unit_test(compression_works_within_tls),
        cmocka_unit_test(the_last_word_is_followed_by_a_goodbye),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
