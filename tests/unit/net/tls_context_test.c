#include "unit/net/certificates.h"
#include "unit/run/harness.h"

#include "net/net.h"

static struct made ca, server, other;

static int make_all(void **state)
{
    (void)state;
    ca = make_certificate("authority", NULL, NULL);
    server = make_certificate("db.test", "DNS:db.test", &ca);
    other = make_certificate("other", NULL, NULL);
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    made_free(&ca);
    made_free(&server);
    made_free(&other);
    return 0;
}

static struct tls_terms of_server(void)
{
    return (struct tls_terms){ .is_server = true,
                               .want = TLS_PREFERRED,
                               .certificate = bytes_str(server.certificate),
                               .key = bytes_str(server.key),
                               .ciphers = "",
                               .ciphersuites = "",
                               .peer = "" };
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

static void refused(const struct tls_terms *terms, enum tls_part part, const char *words)
{
    struct fault why = FAULT_NONE;
    enum tls_part wrong = (enum tls_part) - 1;
    assert_null(tls_context_get(terms, &wrong, &why));
    assert_int_equal(why.blame, BLAME_POLICY);
    assert_int_equal(wrong, part);
    if (strstr(why.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why.text, words);
}

static void equal_terms_give_the_same_context_while_it_is_in_use(void **state)
{
    (void)state;
    struct tls_terms terms = of_server();
    struct tls_context *a = get(&terms), *b = get(&terms);
    assert_ptr_equal(a, b);
    uint64_t number = tls_context_number(a);
    assert_true(number != 0);
    terms.min_version = TLS_1_3;
    struct tls_context *c = get(&terms);
    assert_ptr_not_equal(a, c);
    assert_int_not_equal(tls_context_number(c), number);
    tls_context_drop(a);
    tls_context_drop(b);
    tls_context_drop(c);
    terms.min_version = TLS_1_2;
    a = get(&terms);
    assert_int_not_equal(tls_context_number(a), number);
    tls_context_drop(a);
    assert_int_equal(tls_context_number(NULL), 0);
    assert_int_equal(tls_context_want(NULL), TLS_DISABLED);
}

static void each_server_has_a_context_of_its_own(void **state)
{
    (void)state;
    struct tls_terms terms = { .want = TLS_PREFERRED, .ciphers = "", .ciphersuites = "" };
    terms.peer = "db1.test";
    struct tls_context *a = get(&terms);
    terms.peer = "db2.test";
    struct tls_context *b = get(&terms);
    assert_ptr_not_equal(a, b);
    tls_context_drop(a);
    tls_context_drop(b);
}

static void what_makes_no_sense_is_named(void **state)
{
    (void)state;
    struct tls_terms terms = of_server();
    terms.certificate = BYTES_LITERAL("nothing of the kind");
    refused(&terms, TLS_PART_CERTIFICATE, "no start line");
    terms = of_server();
    terms.certificate =
        BYTES_LITERAL("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    refused(&terms, TLS_PART_CERTIFICATE, "");
    terms = of_server();
    terms.key = bytes_str(other.key);
    refused(&terms, TLS_PART_KEY, "mismatch");
    terms.key = bytes_str(server.certificate);
    refused(&terms, TLS_PART_KEY, "");
    terms = of_server();
    terms.ca = bytes_str(server.key);
    refused(&terms, TLS_PART_CA, "");
    terms = of_server();
    terms.crl = bytes_str(ca.certificate);
    refused(&terms, TLS_PART_CRL, "");
    terms = of_server();
    terms.ciphers = "NO-SUCH-CIPHER";
    refused(&terms, TLS_PART_CIPHERS, "no cipher match");
    terms = of_server();
    terms.ciphersuites = "TLS_NO_SUCH";
    refused(&terms, TLS_PART_CIPHERSUITES, "");
}

static void a_key_with_a_pass_phrase_is_refused_and_asks_nobody(void **state)
{
    (void)state;
    struct tls_terms terms = of_server();
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, server.pair, EVP_aes_128_cbc(), (unsigned char *)"secret", 6,
                             NULL, NULL);
    char *locked = pem_text(bio);
    terms.key = bytes_str(locked);
    refused(&terms, TLS_PART_KEY, "pass phrase");
    mem_free(locked);
}

static void a_chain_of_certificates_is_taken_whole_or_not_at_all(void **state)
{
    (void)state;
    char chain[8192];
    struct tls_terms terms = of_server();
    snprintf(chain, sizeof chain, "%s%s", server.certificate, ca.certificate);
    terms.certificate = bytes_str(chain);
    tls_context_drop(get(&terms));
    snprintf(chain, sizeof chain,
             "%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
             server.certificate);
    terms.certificate = bytes_str(chain);
    refused(&terms, TLS_PART_CERTIFICATE, "");
}

static void the_certificate_may_bring_its_key_in_one_file(void **state)
{
    (void)state;
    char both[8192];
    struct tls_terms terms = of_server();
    snprintf(both, sizeof both, "%s%s", server.key, server.certificate);
    terms.certificate = terms.key = bytes_str(both);
    tls_context_drop(get(&terms));
}

static void a_server_without_a_certificate_shows_one_that_was_made(void **state)
{
    (void)state;
    struct tls_terms terms = of_server();
    int64_t from, until, now = time(NULL);
    terms.certificate = terms.key = BYTES_NONE;
    struct tls_context *c = get(&terms);
    assert_true(tls_context_validity(c, &from, &until));
    assert_true(from < now && until > now + 9 * 365 * 86400LL);
    tls_context_drop(c);
    terms.is_server = false;
    c = get(&terms);
    assert_false(tls_context_validity(c, &from, &until));
    tls_context_drop(c);
}

static void the_validity_is_that_of_the_certificate(void **state)
{
    (void)state;
    struct made old = make_certificate_for("old", NULL, &ca, -1000, -500);
    struct tls_terms terms = of_server();
    int64_t from, until, now = time(NULL);
    terms.certificate = bytes_str(old.certificate);
    terms.key = bytes_str(old.key);
    struct tls_context *c = get(&terms);
    assert_true(tls_context_validity(c, &from, &until));
    assert_in_range(now - until, 400, 600);
    assert_in_range(now - from, 900, 1100);
    tls_context_drop(c);
    made_free(&old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_terms_give_the_same_context_while_it_is_in_use),
        cmocka_unit_test(each_server_has_a_context_of_its_own),
        cmocka_unit_test(what_makes_no_sense_is_named),
        cmocka_unit_test(a_key_with_a_pass_phrase_is_refused_and_asks_nobody),
        cmocka_unit_test(a_chain_of_certificates_is_taken_whole_or_not_at_all),
        cmocka_unit_test(the_certificate_may_bring_its_key_in_one_file),
        cmocka_unit_test(a_server_without_a_certificate_shows_one_that_was_made),
        cmocka_unit_test(the_validity_is_that_of_the_certificate),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
