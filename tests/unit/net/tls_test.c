#include "unit/net/certificates.h"
#include "unit/net/sockets.h"

#include "base/buf.h"
#include "base/clock.h"
#include "net/inside.h"

#include <openssl/err.h>

static struct made ca, server, client, stranger, revoked, expired;
static char *crl;

static int make_all(void **state)
{
    (void)state;
    ca = make_certificate("authority", NULL, NULL);
    server = make_certificate("db.test", "DNS:db.test,IP:192.0.2.7", &ca);
    client = make_certificate("alice", NULL, &ca);
    revoked = make_certificate("mallory", NULL, &ca);
    expired = make_certificate_for("db.test", "DNS:db.test", &ca, -7200, -3600);
    stranger = make_certificate("stranger", NULL, NULL);
    crl = make_crl(&ca, &revoked);
    return 0;
}

static int free_all(void **state)
{
    struct made *all[] = { &ca, &server, &client, &stranger, &revoked, &expired };
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        made_free(all[i]);
    mem_free(crl);
    return 0;
}

/* ---- contexts ------------------------------------------------------------------------------ */

static struct tls_terms serving(const struct made *own)
{
    return (struct tls_terms){ .is_server = true,
                               .want = TLS_PREFERRED,
                               .certificate = bytes_str(own->certificate),
                               .key = bytes_str(own->key),
                               .ciphers = "",
                               .ciphersuites = "",
                               .peer = "" };
}

static struct tls_terms calling(enum tls_want want, const char *peer)
{
    return (struct tls_terms){ .want = want, .ciphers = "", .ciphersuites = "", .peer = peer };
}

static struct tls_context *get(const struct tls_terms *terms)
{
    struct fault why = FAULT_NONE;
    enum tls_part wrong;
    struct tls_context *c = tls_context_get(terms, &wrong, &why);
    if (c == NULL)
        fail_msg("%s", why.text);
    return c;
}

/* ---- both ends in this process ----------------------------------------------------------------
 */

/* A pair of streams, one for each end, that shake hands. */
struct pair {
    struct stream server, client;
    struct tls_context *server_context, *client_context;
    struct fault server_why, client_why;
    bool server_ok, client_ok, client_done;
    struct task *waits;
};

static void shake_as_client(struct task *t, void *arg)
{
    struct pair *p = arg;
    p->client_ok = stream_start_tls(t, &p->client, p->client_context, after(t, 10), &p->client_why);
    p->client_done = true;
    if (p->waits != NULL)
        task_wake(p->waits);
}

static void open_pair(struct task *t, struct pair *p)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    stream_open(&p->server, task_worker(t), ends[0], BLAME_CLIENT);
    stream_open(&p->client, task_worker(t), ends[1], BLAME_SERVER);
}

/* `kind` of the terms: what each end goes by. */
static void shake(struct task *t, struct pair *p, const struct tls_terms *of_server,
                  const struct tls_terms *of_client)
{
    memset(p, 0, sizeof *p);
    open_pair(t, p);
    p->server_context = get(of_server);
    p->client_context = get(of_client);
    assert_true(task_start(task_worker(t), "client", shake_as_client, p));
    p->server_ok = stream_start_tls(t, &p->server, p->server_context, after(t, 10), &p->server_why);
    if (!p->server_ok)
        shutdown(stream_fd(&p->server), SHUT_RDWR);
    while (!p->client_done) {
        p->waits = t;
        task_park(t, after(t, 10));
    }
}

static void close_pair(struct pair *p)
{
    stream_close(&p->server);
    stream_close(&p->client);
    tls_context_drop(p->server_context);
    tls_context_drop(p->client_context);
}

static void says(struct task *t, struct stream *st, const char *text)
{
    struct fault why = FAULT_NONE;
    if (!stream_put(t, st, bytes_str(text), after(t, 10), &why) ||
        !stream_flush(t, st, after(t, 10), &why))
        fail_msg("%s", why.text);
}

static void hears(struct task *t, struct stream *st, const char *text)
{
    struct fault why = FAULT_NONE;
    size_t n = strlen(text);
    if (!stream_need(t, st, n, after(t, 10), &why))
        fail_msg("%s", why.text);
    assert_memory_equal(buf_head(&st->in), text, n);
    buf_skip(&st->in, n);
}

static void assert_talks(struct task *t, struct pair *p)
{
    if (!p->server_ok || !p->client_ok)
        fail_msg("server: %s; client: %s", p->server_why.text, p->client_why.text);
    says(t, &p->client, "hello");
    hears(t, &p->server, "hello");
    says(t, &p->server, "good day");
    hears(t, &p->client, "good day");
}

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

/* ---- who is believed ----------------------------------------------------------------------------
 */

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

/* ---- resuming -----------------------------------------------------------------------------------
 */

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

/* ---- much data
 * ------------------------------------------------------------------------------------ */

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

/* ---- the other end by hand
 * -------------------------------------------------------------------------- */

/* An OpenSSL client on a plain descriptor; its calls are tried until they need no more. */
struct hand {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
    bool done;
    int result;
};

static void hand_open(struct hand *h, int fd, int version)
{
    h->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(h->ctx, version);
    h->ssl = SSL_new(h->ctx);
    SSL_set_fd(h->ssl, fd);
    SSL_set_connect_state(h->ssl);
    h->fd = fd;
    h->done = false;
}

static void hand_shake(struct task *t, void *arg)
{
    struct hand *h = arg;
    do {
        ERR_clear_error();
        h->result = SSL_do_handshake(h->ssl);
        int error = SSL_get_error(h->ssl, h->result);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            break;
        task_park(t, after(t, 0.001));
    } while (true);
    h->done = true;
}

static void hand_close(struct hand *h)
{
    SSL_free(h->ssl);
    SSL_CTX_free(h->ctx);
    close(h->fd);
    ERR_clear_error();
}

/* A stream of ours with such a client at the other end. */
static void meet_hand(struct task *t, struct stream *st, struct hand *h, int version)
{
    struct tls_terms s = serving(&server);
    struct fault why = FAULT_NONE;
    struct tls_context *c = get(&s);
    hand_open(h, open_stream(t, st), version);
    assert_true(task_start(task_worker(t), "hand", hand_shake, h));
    if (!stream_start_tls(t, st, c, after(t, 10), &why))
        fail_msg("%s", why.text);
    while (!h->done)
        task_park(t, after(t, 0.001));
    assert_int_equal(h->result, 1);
    tls_context_drop(c);
}

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

/* ---- handshakes that come to nothing
 * ------------------------------------------------------------------ */

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

/* ---- other things that happen to streams
 * -------------------------------------------------------------- */

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

/* ---- blocking
 * -------------------------------------------------------------------------------------------- */

struct thread {
    struct tls_context *context;
    int fd;
    double seconds;
    bool ok;
    struct tls_fingerprint found;
    struct fault why;
};

static void *meet_there(void *arg)
{
    struct thread *th = arg;
    uint64_t deadline_us = clock_us() + (uint64_t)(th->seconds * 1e6);
    th->ok = tls_meet(th->context, th->fd, deadline_us, &th->found, &th->why);
    close(th->fd);
    return NULL;
}

static void meet_a_thread(struct task *t)
{
    struct stream st;
    struct fault why = FAULT_NONE;
    pthread_t thread;
    struct tls_fingerprint wanted;
    struct tls_terms c = calling(TLS_VERIFY_IDENTITY, "db.test");
    c.ca = bytes_str(ca.certificate);
    struct thread th = { .context = get(&c), .seconds = 10 };
    th.fd = open_stream(t, &st);
    assert_int_equal(pthread_create(&thread, NULL, meet_there, &th), 0);
    if (!start_server(t, &st, 10, &why))
        fail_msg("%s", why.text);
    assert_false(stream_need(t, &st, 1, after(t, 10), &why));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(th.ok);
    assert_int_equal(X509_digest(server.x, EVP_sha1(), wanted.sha1, NULL), 1);
    assert_int_equal(X509_digest(server.x, EVP_sha256(), wanted.sha256, NULL), 1);
    assert_memory_equal(&th.found, &wanted, sizeof wanted);
    stream_close(&st);
    th.seconds = 0.05; /* nobody answers */
    th.fd = open_stream(t, &st);
    assert_int_equal(pthread_create(&thread, NULL, meet_there, &th), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(th.ok);
    assert_int_equal(th.why.blame, BLAME_TIME);
    stream_close(&st);
    tls_context_drop(th.context);
}

static void a_thread_meets_a_server_and_tells_its_certificate(void **state)
{
    (void)state;
    in_task(meet_a_thread);
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
        cmocka_unit_test(megabytes_pass_both_ways_at_once),
        cmocka_unit_test(many_small_records_are_all_noticed),
        cmocka_unit_test(a_full_socket_stops_one_direction_only),
        cmocka_unit_test(one_that_leaves_is_gone_with_a_goodbye_or_without),
        cmocka_unit_test(what_came_before_the_goodbye_is_read),
        cmocka_unit_test(a_record_that_was_tampered_with_breaks_the_stream),
        cmocka_unit_test(a_record_that_comes_byte_by_byte_is_nothing_until_it_is_whole),
        cmocka_unit_test(nobody_can_renegotiate),
        cmocka_unit_test(changes_of_keys_cost_no_memory_and_do_not_hold_the_worker),
        cmocka_unit_test(garbage_is_no_handshake),
        cmocka_unit_test(clear_bytes_before_the_handshake_are_part_of_it),
        cmocka_unit_test(a_hello_that_came_early_is_used),
        cmocka_unit_test(a_handshake_that_stops_short_ends_at_the_deadline_or_the_close),
        cmocka_unit_test(a_cancelled_handshake_ends),
        cmocka_unit_test(versions_before_1_2_are_refused),
        cmocka_unit_test(a_stream_takes_its_tls_along),
        cmocka_unit_test(the_last_word_is_followed_by_a_goodbye),
        cmocka_unit_test(a_thread_meets_a_server_and_tells_its_certificate),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
