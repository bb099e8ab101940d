#include "unit/net/sockets.h"

#include "base/mem.h"

#include <netinet/tcp.h>

static struct bytes pattern(size_t len)
{
    uint8_t *data = mem_alloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    return bytes_of(data, len);
}

static bool same_at(struct bytes whole, size_t at, const void *data, size_t len)
{
    return at + len <= whole.len && memcmp(whole.data + at, data, len) == 0;
}

/* ---- reading ----------------------------------------------------------------- */

struct feeder {
    int fd;
    struct bytes data;
    size_t piece;
};

/* Looks at the feeder, which lies on another stack, for the last time when it
 * sends the last piece. */
static void feed(struct task *t, void *arg)
{
    struct feeder *f = arg;
    for (;;) {
        size_t n = MIN(f->piece, f->data.len);
        ssize_t sent = send(f->fd, f->data.data, n, MSG_NOSIGNAL);
        f->data = bytes_skip(f->data, sent > 0 ? (size_t)sent : 0);
        if (f->data.len == 0)
            break;
        task_park(t, after(t, 0.0005));
    }
    close(f->fd);
}

static void read_pieces(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    struct bytes data = pattern(100);
    struct feeder f = { open_stream(t, &st), data, 7 };
    assert_true(task_start(task_worker(t), "feeder", feed, &f));
    for (size_t at = 0; at < 100; at += 20) {
        assert_true(stream_need(t, &st, 20, after(t, 10), &why));
        assert_true(same_at(data, at, buf_head(&st.in), 20));
        buf_skip(&st.in, 20);
    }
    assert_int_equal(st.received, 100);
    assert_false(stream_need(t, &st, 1, after(t, 10), &why));
    assert_true(st.peer_closed);
    assert_int_equal(why.blame, BLAME_CLIENT);
    assert_non_null(strstr(why.text, "closed"));
    stream_close(&st);
    mem_free((void *)data.data);
}

static void need_gathers_partial_arrivals_until_the_peer_closes(void **state)
{
    (void)state;
    in_task(read_pieces);
}

static void read_last_words(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    int peer = open_stream(t, &st);
    peer_sends(peer, "goodbye", 7);
    close(peer);
    assert_true(stream_need(t, &st, 7, after(t, 10), &why));
    assert_false(stream_need(t, &st, 8, after(t, 10), &why));
    assert_int_equal(buf_len(&st.in), 7);
    stream_close(&st);
}

static void what_came_before_the_close_is_still_there(void **state)
{
    (void)state;
    in_task(read_last_words);
}

static void ask_too_much(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    int peer = open_stream(t, &st);
    st.in_limit_bytes = 1000;
    peer_sends(peer, "x", 1);
    assert_false(stream_need(t, &st, 1001, after(t, 10), &why));
    assert_int_equal(why.blame, BLAME_CLIENT);
    assert_int_equal(why.code, 1153);
    assert_true(stream_need(t, &st, 1, after(t, 10), &why));
    stream_close(&st);
    close(peer);
}

static void need_refuses_what_is_beyond_the_limit(void **state)
{
    (void)state;
    in_task(ask_too_much);
}

static void wait_in_vain(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    int peer = open_stream(t, &st);
    peer_sends(peer, "abc", 3);
    assert_false(stream_need(t, &st, 10 << 20, after(t, 0.02), &why));
    assert_int_equal(why.blame, BLAME_TIME);
    assert_int_equal(buf_len(&st.in), 3);
    assert_in_range(st.in.cap, 3, 4096); /* not the 10 MiB that were announced */
    task_cancel(t);
    assert_false(stream_need(t, &st, 10, after(t, 10), &why));
    assert_int_equal(why.blame, BLAME_TIME);
    assert_non_null(strstr(why.text, "cancelled"));
    assert_true(stream_need(t, &st, 3, after(t, 10), &why)); /* no wait, no complaint */
    task_forgive(t);
    stream_close(&st);
    close(peer);
}

static void a_deadline_or_cancellation_ends_the_wait_and_keeps_what_came(void **state)
{
    (void)state;
    in_task(wait_in_vain);
}

static void read_much(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    struct bytes data = pattern(3 << 20);
    struct feeder f = { open_stream(t, &st), data, 100000 };
    assert_true(task_start(task_worker(t), "feeder", feed, &f));
    assert_true(stream_need(t, &st, data.len, after(t, 60), &why));
    assert_true(same_at(data, 0, buf_head(&st.in), data.len));
    assert_in_range(st.in.cap, data.len, 3 * data.len);
    buf_skip(&st.in, data.len);
    stream_rest(&st);
    assert_int_equal(st.in.cap, 0);
    stream_close(&st);
    mem_free((void *)data.data);
}

static void memory_grows_with_what_arrives_and_is_given_up_at_rest(void **state)
{
    (void)state;
    in_task(read_much);
}

static void fill_only(struct task *t)
{
    struct stream st;
    int peer = open_stream(t, &st);
    assert_int_equal(stream_fill(&st, 1), 0);
    peer_sends(peer, "abc", 3);
    assert_int_equal(stream_fill(&st, 1), 3);
    close(peer);
    assert_int_equal(stream_fill(&st, 1), -1);
    assert_true(st.peer_closed && !st.broken);
    assert_int_equal(stream_fill(&st, 1), -1);
    stream_close(&st);
    assert_int_equal(stream_fd(&st), -1);
    stream_close(&st);
}

static void fill_says_what_came_without_waiting(void **state)
{
    (void)state;
    in_task(fill_only);
}

static void hoard(struct task *t)
{
    struct stream st;
    char block[8192] = "";
    int peer = open_stream(t, &st);
    st.in_limit_bytes = 100000;
    for (int i = 0; i < 1000 && !st.broken; i++) {
        send(peer, block, sizeof block, MSG_NOSIGNAL);
        stream_fill(&st, 1);
    }
    assert_true(st.broken);
    assert_in_range(buf_len(&st.in), 100000, 100000 + 65536);
    stream_close(&st);
    close(peer);
}

static void fill_does_not_hoard_without_bound(void **state)
{
    (void)state;
    in_task(hoard);
}

/* ---- writing -------------------------------------------------------------------- */

static void put_small(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    char got[16];
    int peer = open_stream(t, &st);
    assert_true(stream_put(t, &st, BYTES_LITERAL("one "), after(t, 10), &why));
    assert_true(stream_put(t, &st, BYTES_LITERAL("two"), after(t, 10), &why));
    assert_int_equal(peer_gets(peer, got, sizeof got), 0);
    assert_true(stream_flush(t, &st, after(t, 10), &why));
    assert_int_equal(peer_gets(peer, got, sizeof got), 7);
    assert_memory_equal(got, "one two", 7);
    assert_int_equal(st.sent, 7);
    stream_rest(&st);
    assert_int_equal(st.out.cap, 0);
    stream_close(&st);
    close(peer);
}

static void small_pieces_are_gathered_until_the_flush(void **state)
{
    (void)state;
    in_task(put_small);
}

static void put_large(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    struct bytes data = pattern(50000);
    uint8_t got[60000];
    int peer = open_stream(t, &st);
    assert_true(stream_put(t, &st, data, after(t, 10), &why));
    assert_int_equal(st.out.cap, 0); /* not copied */
    assert_int_equal(peer_gets(peer, got, sizeof got), 50000);
    assert_true(same_at(data, 0, got, 50000));
    assert_true(stream_put(t, &st, BYTES_LITERAL("head"), after(t, 10), &why));
    assert_true(stream_put(t, &st, data, after(t, 10), &why));
    assert_in_range(st.out.cap, 1, 4096);
    assert_int_equal(peer_gets(peer, got, sizeof got), 50004);
    assert_memory_equal(got, "head", 4);
    assert_true(same_at(data, 0, got + 4, 50000));
    stream_close(&st);
    close(peer);
    mem_free((void *)data.data);
}

static void large_data_is_sent_from_where_it_lies_behind_what_waits(void **state)
{
    (void)state;
    in_task(put_large);
}

struct slow_reader {
    int fd;
    struct bytes expects;
    size_t at;
    bool is_wrong;
    const struct stream *writer;
    size_t most_held;
};

static void read_slowly(struct task *t, void *arg)
{
    struct slow_reader *r = arg;
    uint8_t block[30000];
    while (r->at < r->expects.len) {
        task_park(t, after(t, 0.0002));
        if (task_is_cancelled(t))
            return;
        size_t n = peer_gets(r->fd, block, sizeof block);
        r->is_wrong |= !same_at(r->expects, r->at, block, n);
        r->at += n;
        r->most_held = MAX(r->most_held, (size_t)r->writer->out.cap);
    }
}

static void put_to_slow_reader(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    struct bytes data = pattern(4 << 20), rest = data;
    struct slow_reader r = { .fd = open_stream(t, &st), .expects = data, .writer = &st };
    const size_t sizes[] = { 5, 1000, 16383, 16384, 70000, 200000, 600000 };
    assert_true(task_start(task_worker(t), "reader", read_slowly, &r));
    for (int i = 0; rest.len > 0; i++) {
        size_t n = MIN(rest.len, sizes[i % ARRAY_LEN(sizes)]);
        assert_true(stream_put(t, &st, (struct bytes){ rest.data, n }, after(t, 60), &why));
        assert_in_range(buf_len(&st.out), 0, 256 << 10);
        rest = bytes_skip(rest, n);
    }
    assert_true(stream_flush(t, &st, after(t, 60), &why));
    while (r.at < data.len && !r.is_wrong)
        nap(t, 0.001);
    assert_false(r.is_wrong);
    assert_int_equal(r.at, data.len);
    assert_in_range(r.most_held, 4096, 512 << 10);
    assert_int_equal(st.sent, data.len);
    stream_close(&st);
    close(r.fd);
    mem_free((void *)data.data);
}

static void a_slow_reader_holds_the_writer_back_and_not_our_memory(void **state)
{
    (void)state;
    in_task(put_to_slow_reader);
}

static void flush_in_vain(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    struct bytes data = pattern(1 << 20);
    int peer = open_stream(t, &st);
    assert_false(stream_put(t, &st, data, after(t, 0.01), &why));
    assert_int_equal(why.blame, BLAME_TIME);
    assert_true(stream_put(t, &st, BYTES_LITERAL("more"), after(t, 0.01), &why));
    assert_false(stream_flush(t, &st, after(t, 0.01), &why));
    assert_int_equal(why.blame, BLAME_TIME);
    assert_true(stream_try_flush(&st)); /* full is not broken */
    stream_close(&st);
    close(peer);
    mem_free((void *)data.data);
}

static void a_peer_that_does_not_read_runs_into_the_deadline(void **state)
{
    (void)state;
    in_task(flush_in_vain);
}

static void write_to_nobody(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    close(open_stream(t, &st));
    st.blame = BLAME_SERVER;
    assert_true(stream_put(t, &st, BYTES_LITERAL("hello"), after(t, 10), &why));
    assert_false(stream_flush(t, &st, after(t, 10), &why));
    assert_int_equal(why.blame, BLAME_SERVER);
    assert_non_null(strstr(why.text, "server is lost"));
    assert_true(st.broken);
    assert_false(stream_try_flush(&st));
    assert_false(stream_put(t, &st, BYTES_LITERAL("hello"), after(t, 10), &why));
    assert_false(stream_need(t, &st, 1, after(t, 10), &why));
    stream_close(&st);
}

static void a_write_to_a_closed_peer_breaks_the_stream_and_not_the_process(void **state)
{
    (void)state;
    in_task(write_to_nobody);
}

static void close_blank(struct task *t)
{
    struct stream st = { .broken = false };
    int before = fcntl(STDIN_FILENO, F_GETFD);
    (void)t;
    stream_close(&st);
    assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), before);
    assert_int_equal(stream_fd(&st), -1);
}

static void closing_a_zeroed_stream_closes_nothing(void **state)
{
    (void)state;
    in_task(close_blank);
}

/* ---- lending --------------------------------------------------------------------- */

struct parcel {
    struct mail mail;
    struct stream st;
    struct worker *home;
    struct task *owner;
    int peer;
    bool is_back;
};

static void echo_parcel(struct task *t, void *arg)
{
    struct parcel *p = arg;
    struct fault why = FAULT_NONE;
    stream_join_worker(&p->st, task_worker(t));
    must(stream_need(t, &p->st, 8, after(t, 60), &why)); /* 4 from before, 4 now */
    must(stream_put(t, &p->st, buf_bytes(&p->st.in), 0, &why));
    must(stream_flush(t, &p->st, after(t, 60), &why));
    buf_skip(&p->st.in, 8);
    stream_leave_worker(&p->st);
    p->mail.kind = MAIL_GIVE;
    must(worker_post(p->home, &p->mail));
}

static void on_borrowed(struct worker *w, struct mail *m)
{
    must(task_start(w, "borrower", echo_parcel, container_of(m, struct parcel, mail)));
}

static void on_returned(struct worker *w, struct mail *m)
{
    struct parcel *p = container_of(m, struct parcel, mail);
    p->is_back = true;
    stream_join_worker(&p->st, w);
    task_wake(p->owner);
}

static struct worker *borrower;

static void lend_often(struct task *t)
{
    struct parcel p = { .home = task_worker(t), .owner = t };
    struct fault why = FAULT_NONE;
    char got[16];
    p.peer = open_stream(t, &p.st);
    worker_on_mail(p.home, MAIL_GIVE, on_returned);
    for (int i = 0; i < 100; i++) {
        peer_sends(p.peer, "abcd", 4);
        assert_true(stream_need(t, &p.st, 4, after(t, 60), &why));
        stream_leave_worker(&p.st);
        p.mail.kind = MAIL_ASK;
        p.is_back = false;
        assert_true(worker_post(borrower, &p.mail));
        peer_sends(p.peer, "efgh", 4);
        assert_int_equal(task_park(t, after(t, 60)), WOKE_READY);
        assert_true(p.is_back);
        assert_int_equal(peer_gets(p.peer, got, sizeof got), 8);
        assert_memory_equal(got, "abcdefgh", 8);
    }
    assert_int_equal(p.st.received, 800);
    stream_close(&p.st);
    close(p.peer);
}

static void a_stream_is_lent_to_another_worker_and_back(void **state)
{
    (void)state;
    borrower = worker_new(1);
    worker_on_mail(borrower, MAIL_ASK, on_borrowed);
    worker_start(borrower);
    in_task(lend_often);
    worker_stop(borrower);
    worker_join(borrower);
    worker_free(borrower);
}

/* ---- lingering --------------------------------------------------------------------- */

struct farewell {
    struct stream ours, theirs;
    bool waits_for_end;
    char word[16];
    size_t word_len;
    bool saw_end;
};

static void connect_both(struct task *t, struct farewell *f)
{
    struct address at;
    struct fault why = FAULT_NONE;
    int listener = listen_plainly(&at, 5);
    int theirs = stream_dial(t, &at, after(t, 10), &why);
    assert_true(theirs >= 0);
    int ours = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(ours >= 0);
    close(listener);
    stream_open(&f->ours, task_worker(t), ours, BLAME_CLIENT);
    stream_open(&f->theirs, task_worker(t), theirs, BLAME_SERVER);
}

static void client_reads_last_word(struct task *t, void *arg)
{
    struct farewell *f = arg;
    stream_put(t, &f->theirs, BYTES_LITERAL("still talking"), after(t, 10), NULL);
    stream_flush(t, &f->theirs, after(t, 10), NULL);
    stream_need(t, &f->theirs, 3, after(t, 10), NULL);
    f->word_len = buf_len(&f->theirs.in);
    memcpy(f->word, buf_head(&f->theirs.in), MIN(f->word_len, sizeof f->word));
    nap(t, 0.01);
    if (f->waits_for_end)
        f->saw_end = !stream_need(t, &f->theirs, 4, after(t, 10), NULL) && f->theirs.peer_closed;
    stream_close(&f->theirs);
}

static int tcp_state(const struct stream *st)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    assert_int_equal(getsockopt(stream_fd(st), IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return info.tcpi_state;
}

static void say_goodbye(struct task *t)
{
    struct farewell f = { .waits_for_end = false };
    double begin = worker_now(task_worker(t));
    connect_both(t, &f);
    assert_true(task_start(task_worker(t), "client", client_reads_last_word, &f));
    assert_true(stream_put(t, &f.ours, BYTES_LITERAL("bye"), 0, NULL));
    stream_linger(t, &f.ours, 20);
    assert_true(worker_now(task_worker(t)) - begin < 9);
    /* The peer's FIN came first, and we have sent none: TIME_WAIT will be its. */
    assert_int_equal(tcp_state(&f.ours), TCP_CLOSE_WAIT);
    assert_int_equal(f.word_len, 3);
    assert_memory_equal(f.word, "bye", 3);
    stream_close(&f.ours);
}

static void lingering_leaves_time_wait_to_a_peer_that_closes(void **state)
{
    (void)state;
    in_task(say_goodbye);
}

static void say_goodbye_to_one_who_waits(struct task *t)
{
    struct farewell f = { .waits_for_end = true };
    connect_both(t, &f);
    assert_true(task_start(task_worker(t), "client", client_reads_last_word, &f));
    assert_true(stream_put(t, &f.ours, BYTES_LITERAL("bye"), 0, NULL));
    double begin = worker_now(task_worker(t));
    stream_linger(t, &f.ours, 0.4);
    assert_true(worker_now(task_worker(t)) - begin >= 0.19);
    assert_true(f.ours.peer_closed);
    assert_true(f.saw_end);
    stream_close(&f.ours);
}

static void lingering_ends_our_side_for_a_peer_that_waits_for_it(void **state)
{
    (void)state;
    in_task(say_goodbye_to_one_who_waits);
}

static void linger_beside_silence(struct task *t)
{
    struct stream st;
    int peer = open_stream(t, &st);
    double begin = worker_now(task_worker(t));
    stream_linger(t, &st, 0.04);
    double passed = worker_now(task_worker(t)) - begin;
    assert_true(passed > 0.038 && passed < 5);
    stream_close(&st);
    close(peer);
}

static void lingering_is_bounded_when_the_peer_stays(void **state)
{
    (void)state;
    in_task(linger_beside_silence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(need_gathers_partial_arrivals_until_the_peer_closes),
        cmocka_unit_test(what_came_before_the_close_is_still_there),
        cmocka_unit_test(need_refuses_what_is_beyond_the_limit),
        cmocka_unit_test(a_deadline_or_cancellation_ends_the_wait_and_keeps_what_came),
        cmocka_unit_test(memory_grows_with_what_arrives_and_is_given_up_at_rest),
        cmocka_unit_test(fill_says_what_came_without_waiting),
        cmocka_unit_test(fill_does_not_hoard_without_bound),
        cmocka_unit_test(small_pieces_are_gathered_until_the_flush),
        cmocka_unit_test(large_data_is_sent_from_where_it_lies_behind_what_waits),
        cmocka_unit_test(a_slow_reader_holds_the_writer_back_and_not_our_memory),
        cmocka_unit_test(a_peer_that_does_not_read_runs_into_the_deadline),
        cmocka_unit_test(a_write_to_a_closed_peer_breaks_the_stream_and_not_the_process),
        cmocka_unit_test(closing_a_zeroed_stream_closes_nothing),
        cmocka_unit_test(a_stream_is_lent_to_another_worker_and_back),
        cmocka_unit_test(lingering_leaves_time_wait_to_a_peer_that_closes),
        cmocka_unit_test(lingering_ends_our_side_for_a_peer_that_waits_for_it),
        cmocka_unit_test(lingering_is_bounded_when_the_peer_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
