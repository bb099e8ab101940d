#include "unit/net/sockets.h"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { MOST = 300 };

/* A listener that keeps what it accepted. */
struct door {
    struct listener listener;
    int fds[MOST];
    unsigned count;
    struct address last_from;
};

static void on_accepted(struct listener *l, int fd, const struct address *from)
{
    struct door *d = l->owner;
    assert_true(d->count < MOST);
    d->fds[d->count++] = fd;
    d->last_from = *from;
}

static void on_refused(struct listener *l, int fd)
{
    (void)l;
    assert_int_equal(send(fd, "full", 4, MSG_NOSIGNAL), 4);
}

static bool door_open(struct task *t, struct door *d, const char *at, struct fault *why)
{
    struct address a = address_of(at);
    *d = (struct door){ .count = 0 };
    d->listener.accepted = on_accepted;
    d->listener.refused = on_refused;
    d->listener.owner = d;
    return listener_open(&d->listener, task_worker(t), &a, 512, why);
}

static void open_or_fail(struct task *t, struct door *d, const char *at)
{
    struct fault why = FAULT_NONE;
    if (!door_open(t, d, at, &why))
        fail_msg("%s", why.text);
}

static void door_close(struct door *d)
{
    while (d->count > 0)
        close(d->fds[--d->count]);
    listener_close(&d->listener);
    listener_close(&d->listener); /* does no harm */
}

static int dial(struct task *t, const struct address *to)
{
    struct fault why = FAULT_NONE;
    int fd = stream_dial(t, to, after(t, 10), &why);
    if (fd < 0)
        fail_msg("%s", why.text);
    return fd;
}

static void wait_for(struct task *t, const struct door *d, unsigned count)
{
    for (int i = 0; d->count < count && i < 5000; i++)
        nap(t, 0.001);
    assert_int_equal(d->count, count);
}

/* ---- accepting ------------------------------------------------------------------- */

static void accept_one_client(struct task *t)
{
    struct door d;
    struct address client = { .len = sizeof client.un };
    int nodelay = 0;
    socklen_t len = sizeof nodelay;
    open_or_fail(t, &d, "127.0.0.1:0");
    assert_int_not_equal(d.listener.address.in4.sin_port, 0);
    int fd = dial(t, &d.listener.address);
    wait_for(t, &d, 1);
    assert_int_equal(getsockname(fd, &client.any, &client.len), 0);
    assert_true(address_equal(&client, &d.last_from));
    assert_true(fcntl(d.fds[0], F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(d.fds[0], F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(d.fds[0], IPPROTO_TCP, TCP_NODELAY, &nodelay, &len), 0);
    assert_int_equal(nodelay, 1);
    assert_int_equal(d.listener.accepts, 1);
    close(fd);
    door_close(&d);
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

/* Nothing is set on an accepted socket itself: it has what the listener has, from when it was told.
 */
static void inherit_keepalive(struct task *t)
{
    struct door d;
    struct keepalive k = { .idle_s = 11, .interval_s = 12, .count = 3, .user_timeout_ms = 13000 };
    open_or_fail(t, &d, "127.0.0.1:0");
    int before = dial(t, &d.listener.address);
    wait_for(t, &d, 1);
    listener_keepalive(&d.listener, &k);
    int behind = dial(t, &d.listener.address);
    wait_for(t, &d, 2);
    assert_int_equal(option(d.fds[0], SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(option(d.fds[1], SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option(d.fds[1], IPPROTO_TCP, TCP_KEEPIDLE), 11);
    assert_int_equal(option(d.fds[1], IPPROTO_TCP, TCP_KEEPINTVL), 12);
    assert_int_equal(option(d.fds[1], IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(option(d.fds[1], IPPROTO_TCP, TCP_USER_TIMEOUT), 13000);
    assert_int_equal(option(d.fds[1], IPPROTO_TCP, TCP_NODELAY), 1);
    close(before);
    close(behind);
    door_close(&d);
}

static void accepted_sockets_have_the_listeners_options(void **state)
{
    (void)state;
    in_task(inherit_keepalive);
}

static void a_client_is_accepted_with_its_address_and_options_set(void **state)
{
    (void)state;
    in_task(accept_one_client);
}

static void accept_crowd(struct task *t)
{
    struct door d;
    int fds[200];
    open_or_fail(t, &d, "127.0.0.1:0");
    listener_pause(&d.listener, true);
    for (int i = 0; i < 200; i++)
        fds[i] = dial(t, &d.listener.address);
    nap(t, 0.01);
    assert_int_equal(d.count, 0);
    listener_pause(&d.listener, false);
    wait_for(t, &d, 200);
    for (int i = 0; i < 200; i++)
        close(fds[i]);
    door_close(&d);
}

static void a_paused_listener_leaves_clients_waiting_and_then_takes_them_all(void **state)
{
    (void)state;
    in_task(accept_crowd);
}

static void accept_mapped(struct task *t)
{
    struct door d;
    struct fault why = FAULT_NONE;
    char text[ADDRESS_TEXT_BYTES];
    if (!door_open(t, &d, "[::]:0", &why))
        return; /* no IPv6 here */
    struct address to = address_of("127.0.0.1:0");
    to.in4.sin_port = d.listener.address.in6.sin6_port;
    int fd = dial(t, &to);
    wait_for(t, &d, 1);
    address_print(&d.last_from, false, text);
    assert_string_equal(text, "127.0.0.1");
    close(fd);
    door_close(&d);
}

static void an_ipv4_client_of_an_ipv6_listener_has_an_ipv4_address(void **state)
{
    (void)state;
    in_task(accept_mapped);
}

static void listen_twice(struct task *t)
{
    struct door d, second;
    struct fault why = FAULT_NONE;
    char at[ADDRESS_TEXT_BYTES];
    open_or_fail(t, &d, "127.0.0.1:0");
    address_print(&d.listener.address, true, at);
    assert_false(door_open(t, &second, at, &why));
    assert_int_equal(why.blame, BLAME_OURS);
    assert_non_null(strstr(why.text, at));
    door_close(&d);
}

static void an_address_in_use_is_refused_by_name(void **state)
{
    (void)state;
    in_task(listen_twice);
}

/* ---- unix sockets ------------------------------------------------------------------- */

static char sock_dir[32], sock_path[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(sock_dir, sizeof sock_dir, "/tmp/volvox-listen-XXXXXX");
    if (mkdtemp(sock_dir) == NULL)
        return -1;
    snprintf(sock_path, sizeof sock_path, "%s/s", sock_dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(sock_path);
    return rmdir(sock_dir);
}

static void replace_stale(struct task *t)
{
    struct door d, second;
    struct stat st;
    struct fault why = FAULT_NONE;
    char text[ADDRESS_TEXT_BYTES];
    struct address at = address_of(sock_path);
    int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(stale, &at.any, at.len), 0);
    close(stale);
    open_or_fail(t, &d, sock_path);
    assert_int_equal(stat(sock_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0777);
    int fd = dial(t, &at);
    wait_for(t, &d, 1);
    address_print(&d.last_from, true, text);
    assert_string_equal(text, "localhost");
    assert_false(door_open(t, &second, sock_path, &why)); /* d lives */
    assert_non_null(strstr(why.text, "in use"));
    assert_int_equal(stat(sock_path, &st), 0);
    close(fd);
    door_close(&d);
    assert_int_equal(stat(sock_path, &st), -1);
}

static void a_stale_socket_file_is_replaced_and_a_live_one_is_not(void **state)
{
    (void)state;
    in_task(replace_stale);
}

static void keep_other_file(struct task *t)
{
    struct door d;
    struct stat st;
    struct fault why = FAULT_NONE;
    close(open(sock_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_false(door_open(t, &d, sock_path, &why));
    assert_int_equal(stat(sock_path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    (void)state;
    in_task(keep_other_file);
}

/* ---- out of descriptors ---------------------------------------------------------------- */

static void limit_descriptors(rlim_t most)
{
    struct rlimit now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    now.rlim_cur = most;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static rlim_t descriptor_limit(void)
{
    struct rlimit now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    return now.rlim_cur;
}

/* A client that was made before the descriptors ran out. */
static void client_open(struct task *t, struct stream *st)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    stream_open(st, task_worker(t), fd, BLAME_SERVER);
}

static void client_connect(struct stream *st, const struct address *to)
{
    if (connect(stream_fd(st), &to->any, to->len) != 0)
        assert_int_equal(errno, EINPROGRESS);
}

static void run_out(struct task *t)
{
    struct door d;
    struct stream clients[4];
    rlim_t before = descriptor_limit();
    open_or_fail(t, &d, "127.0.0.1:0");
    for (int i = 0; i < 4; i++)
        client_open(t, &clients[i]);
    int top = dup(STDIN_FILENO);
    close(top);
    limit_descriptors((rlim_t)top);
    for (int i = 0; i < 3; i++)
        client_connect(&clients[i], &d.listener.address);
    for (int i = 0; i < 3; i++) {
        assert_true(stream_need(t, &clients[i], 4, after(t, 10), NULL));
        assert_memory_equal(buf_head(&clients[i].in), "full", 4);
        assert_false(stream_need(t, &clients[i], 5, after(t, 10), NULL));
        assert_true(clients[i].peer_closed);
    }
    assert_int_equal(d.listener.refusals, 3);
    assert_int_equal(d.count, 0);
    assert_true(d.listener.reserve_fd >= 0);
    limit_descriptors(before);
    client_connect(&clients[3], &d.listener.address);
    wait_for(t, &d, 1);
    for (int i = 0; i < 4; i++)
        stream_close(&clients[i]);
    door_close(&d);
}

static void clients_are_told_when_descriptors_run_out(void **state)
{
    (void)state;
    in_task(run_out);
}

static void run_out_without_reserve(struct task *t)
{
    struct door d;
    struct stream client;
    rlim_t before = descriptor_limit();
    open_or_fail(t, &d, "127.0.0.1:0");
    client_open(t, &client);
    close(d.listener.reserve_fd);
    d.listener.reserve_fd = -1;
    int top = dup(STDIN_FILENO);
    close(top);
    limit_descriptors((rlim_t)MIN(top, stream_fd(&client)));
    client_connect(&client, &d.listener.address);
    nap(t, 0.01);
    unsigned turns = ev_iteration(worker_loop(task_worker(t)));
    nap(t, 0.05);
    assert_in_range(ev_iteration(worker_loop(task_worker(t))) - turns, 1, 10); /* no spinning */
    limit_descriptors(before);
    wait_for(t, &d, 1);
    assert_true(d.listener.reserve_fd >= 0);
    stream_close(&client);
    door_close(&d);
}

static void without_a_reserve_the_listener_rests_and_tries_again(void **state)
{
    (void)state;
    in_task(run_out_without_reserve);
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_is_accepted_with_its_address_and_options_set),
        cmocka_unit_test(accepted_sockets_have_the_listeners_options),
        cmocka_unit_test(a_paused_listener_leaves_clients_waiting_and_then_takes_them_all),
        cmocka_unit_test(an_ipv4_client_of_an_ipv6_listener_has_an_ipv4_address),
        cmocka_unit_test(an_address_in_use_is_refused_by_name),
        WITH_DIR(a_stale_socket_file_is_replaced_and_a_live_one_is_not),
        WITH_DIR(a_file_that_is_no_socket_is_left_alone),
        cmocka_unit_test(clients_are_told_when_descriptors_run_out),
        cmocka_unit_test(without_a_reserve_the_listener_rests_and_tries_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
