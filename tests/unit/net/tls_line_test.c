/* TLS on a thread that may wait. */
#include "unit/net/tls_ends.h"

#include "base/clock.h"

struct thread {
    struct tls_context *context;
    int fd;
    double seconds;
    bool has_met, has_heard;
    struct tls_fingerprint found;
    struct fault why;
};

static void *meet_there(void *arg)
{
    struct thread *th = arg;
    char got[10];
    uint64_t deadline_us = clock_us() + (uint64_t)(th->seconds * 1e6);
    struct tls_line *l = tls_meet(th->context, th->fd, deadline_us, &th->found, &th->why);
    th->has_met = l != NULL;
    if (l != NULL) {
        th->has_heard = tls_line_send(l, BYTES_LITERAL("hello"), deadline_us) &&
                        tls_line_receive(l, got, sizeof got, deadline_us) == 8 &&
                        memcmp(got, "good day", 8) == 0;
        tls_line_close(l);
    }
    close(th->fd);
    return NULL;
}

static struct thread meet_a_thread(struct task *t, const struct made *shown,
                                   const struct tls_terms *c)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    pthread_t thread;
    struct tls_terms s = serving(shown);
    struct tls_context *of_server = get(&s);
    struct thread th = { .context = get(c), .seconds = 10 };
    th.fd = open_stream(t, &st);
    assert_int_equal(pthread_create(&thread, NULL, meet_there, &th), 0);
    if (!stream_start_tls(t, &st, of_server, after(t, 10), &why))
        fail_msg("%s", why.text);
    hears(t, &st, "hello");
    says(t, &st, "good day");
    assert_false(stream_need(t, &st, 1, after(t, 10), &why));
    assert_true(st.peer_closed);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_null(th.context->session);
    stream_close(&st);
    tls_context_drop(of_server);
    tls_context_drop(th.context);
    assert_true(th.has_met && th.has_heard);
    return th;
}

static void meet_threads(struct task *t)
{
    struct tls_terms c = calling(TLS_VERIFY_IDENTITY, "db.test");
    struct tls_fingerprint wanted;
    c.ca = bytes_str(ca.certificate);
    assert_int_equal(X509_digest(server.x, EVP_sha1(), wanted.sha1, NULL), 1);
    assert_int_equal(X509_digest(server.x, EVP_sha256(), wanted.sha256, NULL), 1);
    struct thread th = meet_a_thread(t, &server, &c);
    assert_int_equal(th.why.blame, BLAME_NONE);
    assert_memory_equal(&th.found, &wanted, sizeof wanted);
    /* Who is not believed is told from who is, and heard all the same. */
    c.peer = "elsewhere.test";
    th = meet_a_thread(t, &server, &c);
    assert_int_equal(th.why.blame, BLAME_SERVER);
    assert_non_null(strstr(th.why.text, "hostname mismatch"));
    c.peer = "db.test";
    th = meet_a_thread(t, &expired, &c);
    assert_non_null(strstr(th.why.text, "has expired"));
    c.want = TLS_VERIFY_CA;
    th = meet_a_thread(t, &stranger, &c);
    assert_non_null(strstr(th.why.text, "self-signed certificate"));
    c.want = TLS_REQUIRED;
    th = meet_a_thread(t, &stranger, &c);
    assert_int_equal(th.why.blame, BLAME_NONE);
}

static void a_thread_meets_a_server_and_says_whether_to_believe_it(void **state)
{
    (void)state;
    in_task(meet_threads);
}

static void meet_nobody(struct task *t)
{
    struct stream st;
    pthread_t thread;
    struct tls_terms c = calling(TLS_REQUIRED, "");
    for (int says_something = 0; says_something < 2; says_something++) {
        struct thread th = { .context = get(&c), .seconds = 0.05 };
        th.fd = open_stream(t, &st);
        if (says_something)
            peer_sends(stream_fd(&st), "this is no TLS at all", 21);
        assert_int_equal(pthread_create(&thread, NULL, meet_there, &th), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_false(th.has_met);
        assert_int_equal(th.why.blame, says_something ? BLAME_SERVER : BLAME_TIME);
        stream_close(&st);
        tls_context_drop(th.context);
    }
}

static void a_thread_gives_up_who_shakes_no_hands(void **state)
{
    (void)state;
    in_task(meet_nobody);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_meets_a_server_and_says_whether_to_believe_it),
        cmocka_unit_test(a_thread_gives_up_who_shakes_no_hands),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
