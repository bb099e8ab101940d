/* Bytes that pass from socket to socket in the kernel: all of them, in order, and no more than
 * asked for. */
#include "unit/net/sockets.h"

#include "base/mem.h"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

enum { PART = 256 << 10 };

struct passage {
    struct stream from, to;
    int sender, receiver;
    uint64_t left;
    enum spliced last;
    struct fault why;
    bool is_over;
};

static void open_passage(struct task *t, struct passage *p)
{
    *p = (struct passage){ .last = SPLICE_EMPTY };
    p->sender = open_stream(t, &p->from);
    p->receiver = open_stream(t, &p->to);
    p->to.blame = BLAME_SERVER;
}

static void close_passage(struct passage *p)
{
    stream_close(&p->from);
    stream_close(&p->to);
}

static void run_passage(struct task *t, void *arg)
{
    struct passage *p = arg;
    while (p->left > 0) {
        p->last = stream_splice(t, &p->from, &p->to, &p->left, after(t, 10), &p->why);
        if (p->last == SPLICE_EMPTY && stream_wait_readable(t, &p->from, after(t, 10), &p->why))
            continue;
        if (p->last != SPLICE_MOVED)
            break;
    }
    p->is_over = true;
}

static void fill(uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d) != NULL)
        count++;
    closedir(d);
    return count;
}

/* The sender sends more than is asked for, in pieces; the receiver takes its time. */
static void pass_a_part(struct task *t)
{
    struct passage p;
    uint8_t *sent = mem_alloc(PART), *got = mem_alloc(PART);
    size_t out = 0, in = 0, asked = PART - 1000;
    fill(sent, PART);
    open_passage(t, &p);
    p.left = asked;
    assert_true(stream_may_splice(&p.from, &p.to, p.left));
    assert_true(task_start(task_worker(t), "passage", run_passage, &p));
    for (int i = 0; i < 5000 && in < asked; i++) {
        ssize_t n = out < PART
                        ? send(p.sender, sent + out, MIN((size_t)9000, PART - out), MSG_NOSIGNAL)
                        : 0;
        out += n > 0 ? (size_t)n : 0;
        if (i % 3 == 0)
            in += peer_gets(p.receiver, got + in, MIN((size_t)30000, PART - in));
        nap(t, 0.001);
    }
    assert_int_equal(in, asked);
    assert_memory_equal(got, sent, asked);
    assert_true(p.is_over);
    assert_int_equal(p.left, 0);
    assert_int_equal(p.from.received, asked);
    assert_int_equal(p.to.sent, asked);
    /* what was not asked for is there for whoever reads next */
    assert_true(stream_need(t, &p.from, PART - asked, after(t, 10), &p.why));
    assert_memory_equal(buf_head(&p.from.in), sent + asked, PART - asked);
    close(p.sender);
    close(p.receiver);
    close_passage(&p);
    mem_free(sent);
    mem_free(got);
}

static void exactly_what_was_asked_for_passes(void **state)
{
    (void)state;
    in_task(pass_a_part);
}

static void keep_order(struct task *t)
{
    struct passage p;
    char got[64];
    open_passage(t, &p);
    assert_true(stream_put(t, &p.to, bytes_str("first "), after(t, 10), &p.why));
    peer_sends(p.sender, "second", 6);
    p.left = SPLICE_LEAST;
    assert_int_equal(stream_splice(t, &p.from, &p.to, &p.left, after(t, 10), &p.why), SPLICE_MOVED);
    assert_int_equal(p.left, SPLICE_LEAST - 6);
    assert_int_equal(peer_gets(p.receiver, got, sizeof got), 12);
    assert_memory_equal(got, "first second", 12);
    assert_int_equal(stream_splice(t, &p.from, &p.to, &p.left, after(t, 10), &p.why), SPLICE_EMPTY);
    close(p.sender);
    assert_int_equal(stream_splice(t, &p.from, &p.to, &p.left, after(t, 10), &p.why), SPLICE_NOT);
    close(p.receiver);
    close_passage(&p);
}

static void what_was_put_before_comes_before(void **state)
{
    (void)state;
    in_task(keep_order);
}

/* What is stuck in a pipe does not come out for the next one. */
static void lose_the_receiver(struct task *t)
{
    struct passage p;
    static uint8_t data[PART];
    unsigned before = 0;
    for (int round = 0; round < 10; round++) {
        open_passage(t, &p);
        p.left = 1 << 30;
        assert_true(task_start(task_worker(t), "passage", run_passage, &p));
        for (int i = 0; i < 40; i++) {
            send(p.sender, data, sizeof data, MSG_NOSIGNAL);
            nap(t, 0.001);
        }
        close(p.receiver);
        for (int i = 0; i < 2000 && !p.is_over; i++)
            nap(t, 0.005);
        assert_true(p.is_over);
        assert_int_equal(p.last, SPLICE_FAILED);
        assert_int_equal(p.why.blame, BLAME_SERVER);
        close(p.sender);
        close_passage(&p);
        before = round == 0 ? open_descriptors() : before;
    }
    assert_int_equal(open_descriptors(), before);
    keep_order(t);
}

static void a_lost_receiver_leaves_nothing_behind(void **state)
{
    (void)state;
    in_task(lose_the_receiver);
}

static void refuse(struct task *t)
{
    struct passage p;
    open_passage(t, &p);
    assert_false(stream_may_splice(&p.from, &p.to, SPLICE_LEAST - 1));
    peer_sends(p.sender, "x", 1);
    assert_true(stream_need(t, &p.from, 1, after(t, 10), &p.why));
    assert_false(stream_may_splice(&p.from, &p.to, SPLICE_LEAST));
    buf_skip(&p.from.in, 1);
    assert_true(stream_may_splice(&p.from, &p.to, SPLICE_LEAST));
    stream_compress(&p.to, COMPRESSION_ZLIB, 0);
    assert_false(stream_may_splice(&p.from, &p.to, SPLICE_LEAST));
    close(p.sender);
    close(p.receiver);
    close_passage(&p);
}

static void what_must_be_looked_at_is_not_spliced(void **state)
{
    (void)state;
    in_task(refuse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_what_was_asked_for_passes),
        cmocka_unit_test(what_was_put_before_comes_before),
        cmocka_unit_test(a_lost_receiver_leaves_nothing_behind),
        cmocka_unit_test(what_must_be_looked_at_is_not_spliced),
    };
    signal(SIGPIPE, SIG_IGN); /* as the program does: splice() has no MSG_NOSIGNAL */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
