#include "unit/net/sockets.h"

#include <netinet/tcp.h>
#include <sys/stat.h>

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void dial_listener(struct task *t)
{
    struct address at;
    struct fault why = FAULT_NONE;
    struct keepalive k = { .idle_s = 11, .interval_s = 12, .user_timeout_ms = 13000 };
    int listener = listen_plainly(&at, 5);
    int fd = stream_dial(t, &at, after(t, 10), &why);
    assert_true(fd >= 0);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    int count = option(fd, IPPROTO_TCP, TCP_KEEPCNT);
    socket_keepalive(fd, &k);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 11);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 12);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPCNT), count); /* 0: as it was */
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 13000);
    close(fd);
    close(listener);
}

static void a_dialled_socket_does_not_delay_block_or_leak(void **state)
{
    (void)state;
    in_task(dial_listener);
}

static void dial_nobody(struct task *t)
{
    struct address at;
    struct fault why = FAULT_NONE;
    close(listen_plainly(&at, 5));
    int next = dup(STDIN_FILENO);
    close(next);
    assert_int_equal(stream_dial(t, &at, after(t, 10), &why), -1);
    assert_int_equal(why.blame, BLAME_SERVER);
    assert_non_null(strstr(why.text, "127.0.0.1"));
    assert_non_null(strstr(why.text, "refused"));
    at = address_of("/no/such/file.sock");
    assert_int_equal(stream_dial(t, &at, after(t, 10), &why), -1);
    assert_int_equal(why.blame, BLAME_SERVER);
    int again = dup(STDIN_FILENO);
    assert_int_equal(again, next); /* nothing was left open */
    close(again);
}

static void a_refused_dial_is_laid_to_the_server(void **state)
{
    (void)state;
    in_task(dial_nobody);
}

/* The kernel answers no SYN once the backlog is full. */
static int fill_backlog(const struct address *at, int fds[], int most)
{
    for (int i = 0; i < most; i++) {
        fds[i] = socket(at->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(fds[i] >= 0);
        if (connect(fds[i], &at->any, at->len) != 0 && errno != EINPROGRESS) {
            close(fds[i]);
            return i;
        }
    }
    return most;
}

static void dial_busy(struct task *t)
{
    struct address at;
    struct fault why = FAULT_NONE;
    int fds[4];
    int listener = listen_plainly(&at, 0);
    int n = fill_backlog(&at, fds, 4);
    double begin = worker_now(task_worker(t));
    assert_int_equal(stream_dial(t, &at, after(t, 0.05), &why), -1);
    assert_int_equal(why.blame, BLAME_TIME);
    assert_true(worker_now(task_worker(t)) - begin > 0.045);
    task_cancel(t);
    assert_int_equal(stream_dial(t, &at, after(t, 10), &why), -1);
    assert_int_equal(why.blame, BLAME_TIME);
    while (n > 0)
        close(fds[--n]);
    close(listener);
}

static void a_dial_that_nobody_answers_ends_at_the_deadline(void **state)
{
    (void)state;
    in_task(dial_busy);
}

struct late_acceptor {
    int listener, accepted;
};

static void accept_later(struct task *t, void *arg)
{
    struct late_acceptor *a = arg;
    nap(t, 0.03);
    a->accepted = accept(a->listener, NULL, NULL);
}

static void dial_unix(struct task *t)
{
    char dir[] = "/tmp/volvox-dial-XXXXXX";
    char path[64];
    struct fault why = FAULT_NONE;
    struct late_acceptor a = { socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), -1 };
    int fds[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s", dir);
    struct address at = address_of(path);
    assert_int_equal(bind(a.listener, &at.any, at.len), 0);
    assert_int_equal(listen(a.listener, 0), 0);
    int n = fill_backlog(&at, fds, 64);
    assert_in_range(n, 1, 63);
    assert_int_equal(stream_dial(t, &at, 0, &why), -1); /* no deadline: no asking again */
    assert_int_equal(why.blame, BLAME_SERVER);
    assert_int_equal(stream_dial(t, &at, after(t, 0.03), &why), -1);
    assert_int_equal(why.blame, BLAME_TIME);
    assert_true(task_start(task_worker(t), "late", accept_later, &a));
    int fd = stream_dial(t, &at, after(t, 10), &why);
    assert_true(fd >= 0);
    assert_true(a.accepted >= 0);
    while (n > 0)
        close(fds[--n]);
    close(fd);
    close(a.accepted);
    close(a.listener);
    unlink(path);
    rmdir(dir);
}

static void a_full_unix_backlog_is_asked_again_until_the_deadline(void **state)
{
    (void)state;
    in_task(dial_unix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dialled_socket_does_not_delay_block_or_leak),
        cmocka_unit_test(a_refused_dial_is_laid_to_the_server),
        cmocka_unit_test(a_dial_that_nobody_answers_ends_at_the_deadline),
        cmocka_unit_test(a_full_unix_backlog_is_asked_again_until_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
