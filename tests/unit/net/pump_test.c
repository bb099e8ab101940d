#include "unit/net/sockets.h"

#include "base/mem.h"

/* Two streams with a pump between them, and their other ends. */
struct line {
    struct stream a, b;
    int at_a, at_b;
    struct task *pumping;
    struct renumbering *numbers;
    struct fault why;
    bool is_over;
};

static void run_pump(struct task *t, void *arg)
{
    struct line *l = arg;
    l->pumping = t;
    pump(t, &l->a, &l->b, l->numbers, &l->why);
    l->is_over = true;
}

static void open_line(struct task *t, struct line *l)
{
    *l = (struct line){ .is_over = false };
    l->at_a = open_stream(t, &l->a);
    l->at_b = open_stream(t, &l->b);
    l->b.blame = BLAME_SERVER;
}

static void start_pump(struct task *t, struct line *l)
{
    assert_true(task_start(task_worker(t), "pump", run_pump, l));
}

static void close_line(struct line *l)
{
    assert_true(l->is_over);
    stream_close(&l->a);
    stream_close(&l->b);
}

static void wait_until_over(struct task *t, const struct line *l)
{
    for (int i = 0; i < 2000 && !l->is_over; i++)
        nap(t, 0.005);
    assert_true(l->is_over);
}

/* Exactly len bytes that arrive at the plain end. */
static void arrives(struct task *t, int fd, const void *expected, size_t len)
{
    uint8_t *got = mem_alloc(len);
    size_t at = 0;
    for (int i = 0; i < 2000 && at < len; i++) {
        size_t n = peer_gets(fd, got + at, len - at);
        at += n;
        if (n == 0)
            nap(t, 0.005);
    }
    assert_int_equal(at, len);
    assert_memory_equal(got, expected, len);
    mem_free(got);
}

static void talk_both_ways(struct task *t)
{
    struct line l;
    open_line(t, &l);
    peer_sends(l.at_a, "early", 5);
    assert_true(stream_need(t, &l.a, 5, after(t, 10), &l.why)); /* lies in the buffer already */
    start_pump(t, &l);
    arrives(t, l.at_b, "early", 5);
    peer_sends(l.at_b, "answer", 6);
    arrives(t, l.at_a, "answer", 6);
    peer_sends(l.at_a, "ack", 3);
    arrives(t, l.at_b, "ack", 3);
    assert_false(l.is_over);
    close(l.at_a);
    wait_until_over(t, &l);
    assert_int_equal(l.why.blame, BLAME_CLIENT);
    close(l.at_b);
    close_line(&l);
}

static void what_one_side_sends_comes_out_at_the_other(void **state)
{
    (void)state;
    in_task(talk_both_ways);
}

static void leave_with_last_words(struct task *t)
{
    struct line l;
    open_line(t, &l);
    start_pump(t, &l);
    peer_sends(l.at_b, "the last word", 13);
    close(l.at_b);
    wait_until_over(t, &l);
    assert_int_equal(l.why.blame, BLAME_SERVER);
    arrives(t, l.at_a, "the last word", 13);
    close(l.at_a);
    close_line(&l);
}

static void the_last_word_of_who_closes_arrives(void **state)
{
    (void)state;
    in_task(leave_with_last_words);
}

/* How much the peer gets rid of while nobody at the other end reads. */
static size_t push_until_stuck(struct task *t, int fd, size_t most)
{
    static const uint8_t zeros[65536];
    size_t total = 0;
    for (int idle = 0; idle < 20 && total < most;) {
        ssize_t n = send(fd, zeros, sizeof zeros, MSG_NOSIGNAL);
        idle = n > 0 ? 0 : idle + 1;
        total += n > 0 ? (size_t)n : 0;
        nap(t, 0.001);
    }
    return total;
}

static void be_slow(struct task *t)
{
    static uint8_t zeros[16 << 20];
    struct line l;
    open_line(t, &l);
    start_pump(t, &l);
    size_t pushed = push_until_stuck(t, l.at_b, sizeof zeros);
    assert_in_range(pushed, 1, sizeof zeros - 1);
    assert_in_range(buf_len(&l.a.out), 1, 128 << 10);
    /* the other direction is not held up by it */
    peer_sends(l.at_a, "ack", 3);
    arrives(t, l.at_b, "ack", 3);
    arrives(t, l.at_a, zeros, pushed);
    close(l.at_b);
    wait_until_over(t, &l);
    close(l.at_a);
    close_line(&l);
}

static void a_slow_reader_holds_up_its_sender_and_nobody_else(void **state)
{
    (void)state;
    in_task(be_slow);
}

static void cancel_it(struct task *t)
{
    struct line l;
    open_line(t, &l);
    start_pump(t, &l);
    task_cancel(l.pumping);
    wait_until_over(t, &l);
    assert_int_equal(l.why.blame, BLAME_TIME);
    close(l.at_a);
    close(l.at_b);
    close_line(&l);
}

static void a_cancelled_pump_stops(void **state)
{
    (void)state;
    in_task(cancel_it);
}

static void number_anew(struct task *t)
{
    struct line l;
    struct renumbering numbers = { .seq = 255 };
    open_line(t, &l);
    l.numbers = &numbers;
    peer_sends(l.at_b, "\1\0\0\7x\0\0", 7); /* one lies there, with the head of the next */
    assert_true(stream_need(t, &l.b, 7, after(t, 10), &l.why));
    start_pump(t, &l);
    peer_sends(l.at_b, "\0\7\2\0\0\3yz", 8);
    peer_sends(l.at_a, "\1\0\0\5a", 5);
    arrives(t, l.at_a, "\1\0\0\377x\0\0\0\0\2\0\0\1yz", 15);
    arrives(t, l.at_b, "\1\0\0\5a", 5);
    close(l.at_a);
    wait_until_over(t, &l);
    close_line(&l);
    close(l.at_b);
}

static void one_side_s_frames_may_be_numbered_anew(void **state)
{
    (void)state;
    in_task(number_anew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_side_sends_comes_out_at_the_other),
        cmocka_unit_test(the_last_word_of_who_closes_arrives),
        cmocka_unit_test(a_slow_reader_holds_up_its_sender_and_nobody_else),
        cmocka_unit_test(a_cancelled_pump_stops),
        cmocka_unit_test(one_side_s_frames_may_be_numbered_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
