/* Handshakes: who talks with whom. */
#include "unit/net/tls_ends.h"

/* ---- both ends in this process --------------------------------------------------------- */

static void talk_both_ways(struct task *t)
{
    struct pair p;
    struct tls_terms s = serving(&server), c = calling(TLS_REQUIRED, "");
    struct tls_facts facts;
    shake(t, &p, &s, &c);
    assert_talks(t, &p);
    assert_true(stream_is_private(&p.server));
    assert_true(stream_tls(&p.server, &facts));
    assert_string_equal(facts.version, "TLSv1.3");
    assert_non_null(strstr(facts.cipher, "TLS_"));
    assert_false(facts.was_resumed);
    assert_false(stream_tls_peer_is(&p.server, "", ""));
    close_pair(&p);
    s.ciphers = c.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
    struct tls_context *low = get(&s);
    must(SSL_CTX_set_max_proto_version(low->ctx, TLS1_2_VERSION) == 1);
    shake(t, &p, &s, &c);
    assert_ptr_equal(p.server_context, low);
    assert_talks(t, &p);
    assert_true(stream_tls(&p.client, &facts));
    assert_string_equal(facts.version, "TLSv1.2");
    assert_string_equal(facts.cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
    close_pair(&p);
    tls_context_drop(low);
}

static void both_ends_talk_in_tls_1_3_and_1_2(void **state)
{
    (void)state;
    in_task(talk_both_ways);
}

static void see_nothing(struct task *t)
{
    struct stream st;
    struct tls_facts facts;
    uint8_t sum[32];
    int peer = open_stream(t, &st);
    assert_false(stream_tls(&st, &facts));
    assert_false(stream_tls_peer_is(&st, "", ""));
    assert_false(stream_tls_fingerprint(&st, sum));
    stream_close(&st);
    close(peer);
}

static void a_plain_stream_has_no_facts(void **state)
{
    (void)state;
    in_task(see_nothing);
}

/* ---- who is believed ----------------------------------------------------------------- */

static void expect_refusal(struct task *t, const struct tls_terms *s, const struct tls_terms *c,
                           const char *client_says)
{
    struct pair p;
    shake(t, &p, s, c);
    assert_false(p.client_ok);
    assert_int_equal(p.client_why.blame, BLAME_SERVER);
    assert_int_equal(p.client_why.code, 2026);
    if (strstr(p.client_why.text, client_says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", p.client_why.text, client_says);
    assert_null(p.client.top);
    close_pair(&p);
}

static void check_servers(struct task *t)
{
    struct pair p;
    struct tls_terms s = serving(&server), c = calling(TLS_VERIFY_CA, "elsewhere.test");
    c.ca = bytes_str(ca.certificate);
    shake(t, &p, &s, &c);
    assert_talks(t, &p);
    close_pair(&p);
    c = calling(TLS_VERIFY_IDENTITY, "db.test");
    c.ca = bytes_str(ca.certificate);
    shake(t, &p, &s, &c);
    assert_talks(t, &p);
    close_pair(&p);
    c.peer = "192.0.2.7";
    shake(t, &p, &s, &c);
    assert_talks(t, &p);
    close_pair(&p);
    c.peer = "elsewhere.test";
    expect_refusal(t, &s, &c, "hostname mismatch");
    c.peer = "192.0.2.8";
    expect_refusal(t, &s, &c, "IP address mismatch");
    s = serving(&stranger);
    expect_refusal(t, &s, &c, "self-signed certificate");
    c.want = TLS_VERIFY_CA;
    expect_refusal(t, &s, &c, "self-signed certificate");
    c.ca = BYTES_NONE; /* nor does the system believe it */
    expect_refusal(t, &s, &c, "self-signed certificate");
    c.ca = bytes_str(ca.certificate);
    s = serving(&expired);
    expect_refusal(t, &s, &c, "certificate has expired");
    s = serving(&revoked);
    c.crl = bytes_str(crl);
    expect_refusal(t, &s, &c, "certificate revoked");
}

static void a_server_is_believed_as_far_as_was_asked_for(void **state)
{
    (void)state;
    in_task(check_servers);
}

static void check_clients(struct task *t)
{
    struct pair p;
    struct tls_terms s = serving(&server), c = calling(TLS_REQUIRED, "");
    s.ca = bytes_str(ca.certificate);
    shake(t, &p, &s, &c); /* none is shown: none is needed */
    assert_talks(t, &p);
    assert_false(stream_tls_peer_is(&p.server, "", ""));
    close_pair(&p);
    c.certificate = bytes_str(client.certificate);
    c.key = bytes_str(client.key);
    shake(t, &p, &s, &c);
    assert_talks(t, &p);
    assert_true(stream_tls_peer_is(&p.server, "", ""));
    assert_true(stream_tls_peer_is(&p.server, "/O=Volvox/CN=alice", ""));
    assert_true(stream_tls_peer_is(&p.server, "/O=Volvox/CN=alice", "/O=Volvox/CN=authority"));
    assert_false(stream_tls_peer_is(&p.server, "/O=Volvox/CN=bob", ""));
    assert_false(stream_tls_peer_is(&p.server, "/O=Volvox/CN=alice", "/O=Volvox/CN=bob"));
    close_pair(&p);
    c.certificate = bytes_str(stranger.certificate);
    c.key = bytes_str(stranger.key);
    shake(t, &p, &s, &c);
    assert_false(p.server_ok);
    assert_int_equal(p.server_why.blame, BLAME_CLIENT);
    assert_int_equal(p.server_why.code, 1043);
    assert_non_null(strstr(p.server_why.text, "self-signed certificate"));
    close_pair(&p);
    s.crl = bytes_str(crl);
    c.certificate = bytes_str(revoked.certificate);
    c.key = bytes_str(revoked.key);
    shake(t, &p, &s, &c);
    assert_false(p.server_ok);
    assert_non_null(strstr(p.server_why.text, "certificate revoked"));
    close_pair(&p);
    s = serving(&server); /* a server without authorities asks nobody */
    shake(t, &p, &s, &c);
    assert_talks(t, &p);
    assert_false(stream_tls_peer_is(&p.server, "", ""));
    close_pair(&p);
}

static void a_client_that_shows_a_certificate_must_be_believed(void **state)
{
    (void)state;
    in_task(check_clients);
}

static void compare_fingerprints(struct task *t)
{
    struct pair p;
    struct tls_terms s = serving(&server), c = calling(TLS_REQUIRED, "");
    uint8_t ours[32], wanted[32];
    shake(t, &p, &s, &c);
    assert_true(stream_tls_fingerprint(&p.server, ours));
    assert_int_equal(X509_digest(server.x, EVP_sha256(), wanted, NULL), 1);
    assert_memory_equal(ours, wanted, sizeof ours);
    assert_false(stream_tls_fingerprint(&p.client, ours));
    close_pair(&p);
}

static void the_fingerprint_is_that_of_the_certificate_shown(void **state)
{
    (void)state;
    in_task(compare_fingerprints);
}

/* ---- resuming ------------------------------------------------------------------------ */

static bool resumes(struct task *t, const struct tls_terms *s, const struct tls_terms *c)
{
    struct pair p;
    struct tls_facts facts, other;
    shake(t, &p, s, c);
    assert_talks(t, &p);
    assert_true(stream_tls(&p.server, &facts) && stream_tls(&p.client, &other));
    assert_int_equal(facts.was_resumed, other.was_resumed);
    if (c->certificate.len > 0)
        assert_true(stream_tls_peer_is(&p.server, "/O=Volvox/CN=alice", ""));
    close_pair(&p);
    return facts.was_resumed;
}

static void resume_sessions(struct task *t)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_terms s = serving(&server), c = calling(TLS_VERIFY_IDENTITY, "db.test");
        c.ca = s.ca = bytes_str(ca.certificate);
        c.certificate = bytes_str(client.certificate);
        c.key = bytes_str(client.key);
        struct tls_context *of_server = get(&s), *of_client = get(&c);
        must(SSL_CTX_set_max_proto_version(of_server->ctx, version) == 1);
        assert_false(resumes(t, &s, &c));
        assert_true(resumes(t, &s, &c));
        assert_true(resumes(t, &s, &c));
        /* Who asks for more is another client; a server with another certificate another server. */
        c.peer = "192.0.2.7";
        struct tls_context *of_other = get(&c);
        assert_false(resumes(t, &s, &c));
        assert_true(resumes(t, &s, &c));
        s.min_version = TLS_1_3;
        assert_false(resumes(t, &s, &c));
        tls_context_drop(of_server);
        tls_context_drop(of_client);
        tls_context_drop(of_other);
    }
}

static void a_client_goes_on_with_its_session_certificate_included(void **state)
{
    (void)state;
    in_task(resume_sessions);
}

/* ---- handshakes that come to nothing ------------------------------------------------- */

static bool start_server(struct task *t, struct stream *st, double seconds, struct fault *why)
{
    struct tls_terms s = serving(&server);
    struct tls_context *c = get(&s);
    bool ok = stream_start_tls(t, st, c, after(t, seconds), why);
    tls_context_drop(c);
    return ok;
}

static void get_garbage(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    uint8_t got[100];
    int peer = open_stream(t, &st);
    peer_sends(peer, "select 'this is no TLS at all'", 30);
    assert_false(start_server(t, &st, 10, &why));
    assert_int_equal(why.blame, BLAME_CLIENT);
    assert_int_equal(why.code, 1043);
    assert_null(st.top);
    assert_false(st.broken);
    assert_int_equal(buf_len(&st.in), 0);
    peer_gets(peer, got, sizeof got); /* perhaps an alert */
    says(t, &st, "in clear");
    assert_int_equal(peer_gets(peer, got, sizeof got), 8);
    assert_memory_equal(got, "in clear", 8);
    stream_close(&st);
    close(peer);
}

static void garbage_is_no_handshake(void **state)
{
    (void)state;
    in_task(get_garbage);
}

static void get_clear_bytes_first(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    struct hand h;
    hand_open(&h, open_stream(t, &st), TLS1_3_VERSION);
    peer_sends(h.fd, "injected", 8);
    assert_true(stream_need(t, &st, 8, after(t, 10), &why));
    assert_true(task_start(task_worker(t), "hand", hand_shake, &h));
    assert_false(start_server(t, &st, 10, &why));
    assert_int_equal(buf_len(&st.in), 0); /* thrown away with the handshake */
    stream_close(&st);
    while (!h.done)
        task_park(t, after(t, 0.001));
    assert_int_not_equal(h.result, 1);
    hand_close(&h);
}

static void clear_bytes_before_the_handshake_are_part_of_it(void **state)
{
    (void)state;
    in_task(get_clear_bytes_first);
}

static void get_hello_ahead(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    struct hand h;
    hand_open(&h, open_stream(t, &st), TLS1_3_VERSION);
    SSL_do_handshake(h.ssl); /* the ClientHello leaves */
    assert_true(stream_need(t, &st, 100, after(t, 10), &why));
    assert_true(task_start(task_worker(t), "hand", hand_shake, &h));
    if (!start_server(t, &st, 10, &why))
        fail_msg("%s", why.text);
    assert_int_equal(buf_len(&st.in), 0);
    SSL_write(h.ssl, "hello", 5);
    hears(t, &st, "hello");
    stream_close(&st);
    hand_close(&h);
}

static void a_hello_that_came_early_is_used(void **state)
{
    (void)state;
    in_task(get_hello_ahead);
}

static void stop_short(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    struct hand h;
    hand_open(&h, open_stream(t, &st), TLS1_3_VERSION);
    SSL_do_handshake(h.ssl);
    assert_false(start_server(t, &st, 0.05, &why));
    assert_int_equal(why.blame, BLAME_TIME);
    stream_close(&st);
    hand_close(&h);
    hand_open(&h, open_stream(t, &st), TLS1_3_VERSION);
    SSL_do_handshake(h.ssl);
    shutdown(h.fd, SHUT_WR);
    why = FAULT_NONE;
    assert_false(start_server(t, &st, 10, &why));
    assert_int_equal(why.blame, BLAME_CLIENT);
    assert_int_equal(why.code, 0);
    assert_non_null(strstr(why.text, "closed"));
    assert_true(st.peer_closed);
    stream_close(&st);
    hand_close(&h);
    int peer = open_stream(t, &st);
    close(peer);
    why = FAULT_NONE;
    assert_false(start_server(t, &st, 10, &why));
    assert_int_equal(why.code, 0);
    stream_close(&st);
}

static void a_handshake_that_stops_short_ends_at_the_deadline_or_the_close(void **state)
{
    (void)state;
    in_task(stop_short);
}

static void cancel_it(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    int peer = open_stream(t, &st);
    task_cancel(t);
    assert_false(start_server(t, &st, 10, &why));
    assert_int_equal(why.blame, BLAME_TIME);
    task_forgive(t);
    stream_close(&st);
    close(peer);
}

static void a_cancelled_handshake_ends(void **state)
{
    (void)state;
    in_task(cancel_it);
}

static void speak_old(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    struct hand h;
    hand_open(&h, open_stream(t, &st), TLS1_1_VERSION);
    SSL_set_security_level(h.ssl, 0);
    assert_true(task_start(task_worker(t), "hand", hand_shake, &h));
    assert_false(start_server(t, &st, 10, &why));
    assert_int_equal(why.code, 1043);
    stream_close(&st);
    while (!h.done)
        task_park(t, after(t, 0.001));
    hand_close(&h);
}

static void versions_before_1_2_are_refused(void **state)
{
    (void)state;
    in_task(speak_old);
}

/* ---- what must not be ------------------------------------------------------------------ */

static void try_to_renegotiate(struct task *t)
{
    struct stream st;
    struct hand h;
    char got[10];
    meet_hand(t, &st, &h, TLS1_2_VERSION);
    SSL_renegotiate(h.ssl);
    h.done = false;
    SSL_do_handshake(h.ssl); /* sends a ClientHello */
    assert_int_equal(stream_peer(&st), PEER_QUIET);
    says(t, &st, "no");
    ERR_clear_error();
    int n = SSL_read(h.ssl, got, sizeof got); /* the refusal comes first */
    assert_int_not_equal(n, 2);
    stream_close(&st);
    hand_close(&h);
}

static void nobody_can_renegotiate(void **state)
{
    (void)state;
    in_task(try_to_renegotiate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_talk_in_tls_1_3_and_1_2),
        cmocka_unit_test(a_plain_stream_has_no_facts),
        cmocka_unit_test(a_server_is_believed_as_far_as_was_asked_for),
        cmocka_unit_test(a_client_that_shows_a_certificate_must_be_believed),
        cmocka_unit_test(the_fingerprint_is_that_of_the_certificate_shown),
        cmocka_unit_test(a_client_goes_on_with_its_session_certificate_included),
        cmocka_unit_test(garbage_is_no_handshake),
        cmocka_unit_test(clear_bytes_before_the_handshake_are_part_of_it),
        cmocka_unit_test(a_hello_that_came_early_is_used),
        cmocka_unit_test(a_handshake_that_stops_short_ends_at_the_deadline_or_the_close),
        cmocka_unit_test(a_cancelled_handshake_ends),
        cmocka_unit_test(versions_before_1_2_are_refused),
        cmocka_unit_test(nobody_can_renegotiate),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
