/* libmicrohttpd in the loop: requests in pieces, visitors that hold on, addresses that change. */
#include "unit/http/house.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { PATIENCE_US = 10 * 1000000 };

static void configure(struct house *h, const char *address)
{
    struct fault why = FAULT_NONE;
    struct config *c = config_with_http(address);
    if (!http_configure(h->http, c, &why))
        fail_msg("%s", why.text);
    config_drop(c);
}

static void open_listening(struct house *h)
{
    house_open(h, 2);
    configure(h, "127.0.0.1:0");
}

static int visit(struct house *h)
{
    const struct address *at = &h->http->listener.address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (connect(fd, &at->any, at->len) != 0)
        assert_int_equal(errno, EINPROGRESS);
    return fd;
}

static void turn(struct house *h)
{
    ev_run(worker_loop(h->control), EVRUN_NOWAIT);
}

static void ask(int fd, const char *words)
{
    struct pollfd p = { fd, POLLOUT, 0 };
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(send(fd, words, strlen(words), MSG_NOSIGNAL), strlen(words));
}

/* Run the loop until the visitor has `enough` in its hands, or the connection has ended. */
static size_t hear(struct house *h, int fd, char *answer, size_t size, const char *enough)
{
    size_t len = 0;
    uint64_t end = clock_us() + PATIENCE_US;
    answer[0] = '\0';
    while (clock_us() < end) {
        turn(h);
        ssize_t n = recv(fd, answer + len, size - 1 - len, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return len;
        if (n < 0) {
            usleep(500);
            continue;
        }
        len += (size_t)n;
        answer[len] = '\0';
        if (enough != NULL && strstr(answer, enough) != NULL)
            return len;
    }
    fail_msg("neither \"%s\" nor the end came after: %s", enough ? enough : "", answer);
    return len;
}

static void a_request_is_answered(void **state)
{
    struct house h;
    char answer[4096];
    (void)state;
    open_listening(&h);
    int fd = visit(&h);
    ask(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(&h, fd, answer, sizeof answer, "\r\n\r\nok\n");
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
    close(fd);
    house_close(&h);
}

static void a_request_may_come_byte_by_byte(void **state)
{
    struct house h;
    char answer[4096];
    const char *const request = "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n";
    (void)state;
    open_listening(&h);
    int fd = visit(&h);
    for (const char *p = request; *p != '\0'; p++) {
        char one[2] = { *p, '\0' };
        ask(fd, one);
        turn(&h);
    }
    hear(&h, fd, answer, sizeof answer, "\r\n\r\nready\n");
    close(fd);
    house_close(&h);
}

static void requests_in_a_row_are_answered_on_one_connection(void **state)
{
    struct house h;
    char answer[64 * 1024];
    (void)state;
    open_listening(&h);
    int fd = visit(&h);
    ask(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nHEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
            "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(&h, fd, answer, sizeof answer, "\r\n\r\nok\n");
    assert_non_null(strstr(answer, "volvox_commands_total 0\n"));
    close(fd);
    house_close(&h);
}

static void head_gets_no_body(void **state)
{
    struct house h;
    char answer[4096];
    (void)state;
    open_listening(&h);
    int fd = visit(&h);
    ask(fd, "HEAD / HTTP/1.0\r\n\r\n");
    hear(&h, fd, answer, sizeof answer, NULL);
    assert_non_null(strstr(answer, " 200 OK\r\n"));
    assert_non_null(strstr(answer, "text/html"));
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
    close(fd);
    house_close(&h);
}

static void other_methods_are_refused(void **state)
{
    static const char *const methods[] = { "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "FROB" };
    struct house h;
    (void)state;
    open_listening(&h);
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        char request[200], answer[4096];
        int fd = visit(&h);
        snprintf(request, sizeof request,
                 "%s /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", methods[i]);
        ask(fd, request);
        hear(&h, fd, answer, sizeof answer, "\r\n\r\n");
        if (strncmp(answer, "HTTP/1.1 405 ", 13) != 0)
            fail_msg("%s: %s", methods[i], answer);
        close(fd);
    }
    house_close(&h);
}

static void what_is_no_http_ends_the_connection(void **state)
{
    static const char *const noise[] = {
        "\x16\x03\x01\x02\x01\xfc\x03\x03\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
    };
    struct house h;
    char answer[64 * 1024];
    (void)state;
    open_listening(&h);
    for (size_t i = 0; i < ARRAY_LEN(noise); i++) {
        int fd = visit(&h);
        ask(fd, noise[i]);
        hear(&h, fd, answer, sizeof answer, NULL);
        if (strstr(answer, " 200 ") != NULL)
            fail_msg("%zu: %s", i, answer);
        close(fd);
    }
    int fd = visit(&h);
    ask(fd, "GET /healthz HTTP/1.0\r\n\r\n");
    hear(&h, fd, answer, sizeof answer, "\r\n\r\nok\n");
    close(fd);
    house_close(&h);
}

static void a_body_that_nobody_wants_is_not_read(void **state)
{
    struct house h;
    char answer[4096];
    (void)state;
    open_listening(&h);
    int fd = visit(&h);
    ask(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\nfirst words");
    hear(&h, fd, answer, sizeof answer, NULL);
    assert_string_equal(answer, "");
    close(fd);
    house_close(&h);
}

static void a_visitor_that_leaves_in_the_middle_is_ended(void **state)
{
    struct house h;
    char answer[4096];
    (void)state;
    open_listening(&h);
    timeouts_set(&h.http->visitors, .3);
    int fd = visit(&h);
    ask(fd, "GET /hea");
    shutdown(fd, SHUT_WR);
    assert_int_equal(hear(&h, fd, answer, sizeof answer, NULL), 0);
    for (uint64_t end = clock_us() + PATIENCE_US; h.http->n_visitors > 0 && clock_us() < end;)
        turn(&h);
    assert_int_equal(h.http->n_visitors, 0);
    close(fd);
    house_close(&h);
}

static void a_head_that_does_not_end_is_cut_off(void **state)
{
    struct house h;
    char answer[4096], line[1100];
    (void)state;
    open_listening(&h);
    int fd = visit(&h);
    ask(fd, "GET / HTTP/1.1\r\nHost: x\r\n");
    memset(line, 'a', sizeof line);
    memcpy(line, "X: ", 3);
    memcpy(line + 1000, "\r\n", 3);
    for (unsigned i = 0; i < 200; i++) {
        if (send(fd, line, 1002, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
            break;
        turn(&h);
    }
    hear(&h, fd, answer, sizeof answer, NULL);
    assert_null(strstr(answer, " 200 "));
    close(fd);
    house_close(&h);
}

/* Those who only hold their connections open, many more than may be in the house. */
static void idle_visitors_keep_nobody_out(void **state)
{
    struct house h;
    char answer[4096];
    int idle[200];
    (void)state;
    open_listening(&h);
    for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
        idle[i] = visit(&h);
        for (unsigned n = 0; n < 4; n++)
            turn(&h);
        assert_true(h.http->n_visitors <= 64);
    }
    int fd = visit(&h);
    ask(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(&h, fd, answer, sizeof answer, "\r\n\r\nok\n");
    assert_true(h.http->n_visitors > 50);
    for (size_t i = 0; i < ARRAY_LEN(idle); i++)
        close(idle[i]);
    close(fd);
    for (uint64_t end = clock_us() + PATIENCE_US; h.http->n_visitors > 0 && clock_us() < end;)
        turn(&h);
    assert_int_equal(h.http->n_visitors, 0);
    house_close(&h);
}

static void a_request_that_drips_is_ended(void **state)
{
    struct house h;
    char answer[4096];
    (void)state;
    open_listening(&h);
    timeouts_set(&h.http->visitors, .3);
    int fd = visit(&h);
    uint64_t start = clock_us();
    for (const char *p = "GET /healthz HTTP/1.1\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"; *p;
         p++) {
        char one[2] = { *p, '\0' };
        if (send(fd, one, 1, MSG_NOSIGNAL) < 0)
            break;
        turn(&h);
        usleep(20000);
    }
    hear(&h, fd, answer, sizeof answer, NULL);
    assert_in_range(clock_us() - start, 250000, 5000000);
    close(fd);
    house_close(&h);
}

static void is_answered_at(struct house *h, const char *host)
{
    char answer[4096], at[ADDRESS_TEXT_BYTES];
    address_print(&h->http->listener.address, false, at);
    assert_string_equal(at, host);
    int fd = visit(h);
    ask(fd, "GET /healthz HTTP/1.0\r\n\r\n");
    hear(h, fd, answer, sizeof answer, "\r\n\r\nok\n");
    close(fd);
}

static void a_visitor_that_goes_on_asking_may_stay(void **state)
{
    struct house h;
    char answer[4096];
    (void)state;
    open_listening(&h);
    timeouts_set(&h.http->visitors, .5);
    int fd = visit(&h);
    for (unsigned i = 0; i < 12; i++) {
        ask(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_not_equal(hear(&h, fd, answer, sizeof answer, "\r\n\r\nok\n"), 0);
        usleep(100000);
    }
    close(fd);
    house_close(&h);
}

static void a_changed_address_is_followed(void **state)
{
    struct house h;
    char answer[4096];
    (void)state;
    open_listening(&h);
    int held = visit(&h);
    for (unsigned i = 0; i < 10; i++)
        turn(&h);
    configure(&h, "127.0.0.2:0");
    hear(&h, held, answer, sizeof answer, NULL);
    close(held);
    is_answered_at(&h, "127.0.0.2");
    uint64_t accepts = h.http->listener.accepts;
    configure(&h, "127.0.0.2:0");
    assert_int_equal(h.http->listener.accepts, accepts); /* it was left alone */
    configure(&h, "");
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, &h.http->listener.address.any, h.http->listener.address.len), -1);
    close(fd);
    configure(&h, "127.0.0.1:0");
    is_answered_at(&h, "127.0.0.1");
    house_close(&h);
}

static void an_address_in_use_is_said(void **state)
{
    struct house h, other;
    char address[ADDRESS_TEXT_BYTES];
    struct fault why = FAULT_NONE;
    (void)state;
    open_listening(&h);
    house_open(&other, 1);
    address_print(&h.http->listener.address, true, address);
    struct config *c = config_with_http(address);
    assert_false(http_configure(other.http, c, &why));
    assert_non_null(strstr(why.text, address));
    config_drop(c);
    configure(&other, "127.0.0.1:0");
    house_close(&other);
    house_close(&h);
}

static void it_can_be_closed_with_visitors_in_the_house(void **state)
{
    struct house h;
    int fds[70];
    (void)state;
    open_listening(&h);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = visit(&h);
        turn(&h);
    }
    ask(fds[69], "GET /metrics HTTP/1.1\r\n");
    house_close(&h);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered),
        cmocka_unit_test(a_request_may_come_byte_by_byte),
        cmocka_unit_test(requests_in_a_row_are_answered_on_one_connection),
        cmocka_unit_test(head_gets_no_body),
        cmocka_unit_test(other_methods_are_refused),
        cmocka_unit_test(what_is_no_http_ends_the_connection),
        cmocka_unit_test(a_body_that_nobody_wants_is_not_read),
        cmocka_unit_test(a_visitor_that_leaves_in_the_middle_is_ended),
        cmocka_unit_test(a_head_that_does_not_end_is_cut_off),
        cmocka_unit_test(idle_visitors_keep_nobody_out),
        cmocka_unit_test(a_request_that_drips_is_ended),
        cmocka_unit_test(a_visitor_that_goes_on_asking_may_stay),
        cmocka_unit_test(a_changed_address_is_followed),
        cmocka_unit_test(an_address_in_use_is_said),
        cmocka_unit_test(it_can_be_closed_with_visitors_in_the_house),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
