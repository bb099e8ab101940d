/* Our side of a login at a server: each plugin to its end, and what servers may not ask. */
#include "recorded.h"

#include "protocol/inside.h"

#include <openssl/evp.h>

#define NONCE "0123456789abcdef0123456789abcdef"
static const uint8_t scramble[SCRAMBLE_BYTES + 1] = "abcdefghijklmnopqrst";

struct server {
    struct auth_client client;
    struct secret secret;
    struct buf answer;
    bool has_answer;
    struct fault why;
};

static struct server meet(const char *password, bool is_private, const char *plugin)
{
    struct server s = { .why = FAULT_NONE };
    secret_from_clear(&s.secret, bytes_str(password));
    auth_client_begin(&s.client, &s.secret, is_private, bytes_str(plugin), scramble, &s.answer);
    return s;
}

/* The secret moved since. */
static bool say(struct server *s, struct bytes payload)
{
    struct bytes exact = exact_copy(payload);
    s->client.secret = &s->secret;
    buf_release(&s->answer);
    s->why = FAULT_NONE;
    bool ok = auth_client_next(&s->client, exact, &s->answer, &s->has_answer, &s->why);
    exact_free(exact);
    return ok;
}

static void leave(struct server *s)
{
    secret_release(&s->secret);
    buf_release(&s->answer);
}

#define SWITCH(plugin, data) BYTES_LITERAL("\xFE" plugin "\0" data)

static bool is_token(const struct server *s, enum auth_plugin p, const uint8_t *of)
{
    return auth_token_matches(p, of, buf_bytes(&s->answer), &s->secret);
}

/* ---- the plugins ---- */

static void native_is_a_token(void **state)
{
    (void)state;
    struct server s = meet("secret", false, "mysql_native_password");
    assert_true(is_token(&s, AUTH_NATIVE, scramble));
    assert_true(say(&s, SWITCH("mysql_native_password", "tsrqponmlkjihgfedcba\0")));
    assert_true(s.has_answer);
    assert_true(is_token(&s, AUTH_NATIVE, (const uint8_t *)"tsrqponmlkjihgfedcba"));
    leave(&s);
}

static void caching_sha2_is_a_token_and_maybe_more(void **state)
{
    (void)state;
    struct server s = meet("secret", false, "caching_sha2_password");
    assert_true(is_token(&s, AUTH_CACHING_SHA2, scramble));
    assert_true(say(&s, BYTES_LITERAL("\1\3")));
    assert_false(s.has_answer);
    assert_int_equal(buf_len(&s.answer), 0);
    leave(&s);
}

static void caching_sha2_in_full_is_the_password_where_nobody_reads_along(void **state)
{
    (void)state;
    struct server s = meet("secret", true, "caching_sha2_password");
    assert_true(say(&s, BYTES_LITERAL("\1\4")));
    assert_true(s.has_answer);
    assert_bytes_equal(buf_bytes(&s.answer), BYTES_LITERAL("secret\0"));
    leave(&s);
}

static void take_key(struct server *s, const uint8_t *mask)
{
    static struct rsa_key *key;
    uint8_t got[64];
    struct buf more = { 0 };
    if (key == NULL)
        key = rsa_key_new(NULL);
    buf_add_u8(&more, 1);
    buf_add(&more, rsa_key_public_pem(key));
    assert_true(say(s, buf_bytes(&more)));
    assert_int_equal(rsa_key_decrypt(key, buf_bytes(&s->answer), mask, got, sizeof got), 6);
    assert_memory_equal(got, "secret", 6);
    buf_release(&more);
}

static void caching_sha2_in_full_is_encrypted_elsewhere(void **state)
{
    (void)state;
    struct server s = meet("secret", false, "caching_sha2_password");
    assert_true(say(&s, BYTES_LITERAL("\1\4")));
    assert_bytes_equal(buf_bytes(&s.answer), BYTES_LITERAL("\2"));
    take_key(&s, scramble);
    leave(&s);
}

static void sha256_likewise(void **state)
{
    (void)state;
    struct server s = meet("secret", true, "sha256_password");
    assert_bytes_equal(buf_bytes(&s.answer), BYTES_LITERAL("secret\0"));
    leave(&s);
    s = meet("secret", false, "sha256_password");
    assert_bytes_equal(buf_bytes(&s.answer), BYTES_LITERAL("\1"));
    take_key(&s, scramble);
    assert_true(say(&s, SWITCH("sha256_password", "tsrqponmlkjihgfedcba\0")));
    assert_bytes_equal(buf_bytes(&s.answer), BYTES_LITERAL("\1"));
    take_key(&s, (const uint8_t *)"tsrqponmlkjihgfedcba");
    leave(&s);
}

static void ed25519_is_a_signature(void **state)
{
    (void)state;
    struct server s = meet("secret", false, "mysql_native_password");
    assert_true(say(&s, SWITCH("client_ed25519", NONCE)));
    assert_int_equal(buf_len(&s.answer), ED25519_SIGNATURE_BYTES);
    assert_true(auth_signature_matches((const uint8_t *)NONCE, buf_bytes(&s.answer), &s.secret));
    leave(&s);
}

static void clear_is_sent_only_where_nobody_reads_along(void **state)
{
    (void)state;
    struct server s = meet("secret", true, "mysql_native_password");
    assert_true(say(&s, SWITCH("mysql_clear_password", "")));
    assert_bytes_equal(buf_bytes(&s.answer), BYTES_LITERAL("secret\0"));
    leave(&s);
    s = meet("secret", false, "mysql_native_password");
    assert_false(say(&s, SWITCH("mysql_clear_password", "")));
    assert_int_equal(s.why.blame, BLAME_POLICY);
    assert_int_equal(buf_len(&s.answer), 0);
    leave(&s);
}

/* The signature is over both scrambles, by the key that the salt makes of the password. */
static void parsec_is_a_signature_with_a_salted_key(void **state)
{
    (void)state;
    uint8_t seed[32], key[32], message[64];
    size_t len = sizeof key;
    struct server s = meet("secret", false, "mysql_native_password");
    assert_true(say(&s, SWITCH("parsec", NONCE)));
    assert_true(s.has_answer);
    assert_int_equal(buf_len(&s.answer), 0);
    assert_true(say(&s, BYTES_LITERAL("P\2saltsaltsaltsaltsa")));
    assert_int_equal(buf_len(&s.answer), PARSEC_ANSWER_BYTES);

    assert_int_equal(PKCS5_PBKDF2_HMAC("secret", 6, (const uint8_t *)"saltsaltsaltsaltsa", 18, 4096,
                                       EVP_sha512(), sizeof seed, seed),
                     1);
    EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
    assert_int_equal(EVP_PKEY_get_raw_public_key(pair, key, &len), 1);
    memcpy(message, NONCE, 32);
    memcpy(message + 32, buf_head(&s.answer), 32);
    assert_true(ed25519_verify(key, bytes_of(message, sizeof message),
                               bytes_of(buf_head(&s.answer) + 32, 64)));
    EVP_PKEY_free(pair);
    leave(&s);
}

static void bad_salts_are_refused(void **state)
{
    (void)state;
    const struct bytes salts[] = {
        BYTES_LITERAL(""),
        BYTES_LITERAL("P"),
        BYTES_LITERAL("P\2saltsaltsaltsalts"),
        BYTES_LITERAL("P\2saltsaltsaltsaltsaX"),
        BYTES_LITERAL("Q\2saltsaltsaltsaltsa"),
        BYTES_LITERAL("P\4saltsaltsaltsaltsa"),
    };
    for (size_t i = 0; i < ARRAY_LEN(salts); i++) {
        struct server s = meet("secret", false, "mysql_native_password");
        assert_true(say(&s, SWITCH("parsec", NONCE)));
        assert_false(say(&s, salts[i]));
        assert_int_equal(s.why.blame, BLAME_SERVER);
        leave(&s);
    }
}

static void an_empty_password_is_told_as_each_plugin_has_it(void **state)
{
    (void)state;
    struct server s = meet("", false, "caching_sha2_password");
    assert_int_equal(buf_len(&s.answer), 0);
    assert_true(say(&s, SWITCH("mysql_native_password", "tsrqponmlkjihgfedcba\0")));
    assert_true(s.has_answer);
    assert_int_equal(buf_len(&s.answer), 0);
    assert_true(say(&s, SWITCH("sha256_password", "tsrqponmlkjihgfedcba\0")));
    assert_bytes_equal(buf_bytes(&s.answer), BYTES_LITERAL("\0"));
    leave(&s);
}

/* ---- what is known is not enough ---- */

static void who_knows_only_a_hash_says_so(void **state)
{
    (void)state;
    struct server s = meet("secret", false, "mysql_native_password");
    secret_release(&s.secret);
    assert_true(
        secret_from_hash(&s.secret, BYTES_LITERAL("*14E65567ABDB5135D0CFD9A70B3032C179A49EE7")));
    assert_false(say(&s, SWITCH("caching_sha2_password", "tsrqponmlkjihgfedcba\0")));
    assert_int_equal(s.why.blame, BLAME_POLICY);
    assert_non_null(strstr(s.why.text, "caching_sha2_password"));
    assert_non_null(strstr(s.why.text, "mysql_native_password hash"));
    assert_null(strstr(s.why.text, "14E6"));
    leave(&s);
}

/* Only SHA1(password) is known, as after a client's native login. */
static void it_begins_with_a_plugin_that_it_can_do(void **state)
{
    (void)state;
    struct secret whole;
    secret_from_clear(&whole, BYTES_LITERAL("secret"));
    struct secret s = { .has_password = true, .forms = KNOWN_SHA1 | KNOWN_SHA1_TWICE };
    struct auth_client c;
    struct buf token = { 0 };
    memcpy(s.sha1, whole.sha1, sizeof s.sha1);
    auth_client_begin(&c, &s, true, BYTES_LITERAL("caching_sha2_password"), scramble, &token);
    assert_int_equal(c.plugin, AUTH_NATIVE);
    assert_true(auth_token_matches(AUTH_NATIVE, scramble, buf_bytes(&token), &whole));
    buf_release(&token);
    secret_release(&whole);
}

/* ---- what servers may not ask ---- */

static void nonsense_is_refused(void **state)
{
    (void)state;
    const struct {
        struct bytes payload;
        enum blame blame;
        const char *words;
    } cases[] = {
        { BYTES_LITERAL("\xFE"), BLAME_SERVER, "before 4.1" },
        { BYTES_LITERAL("\xFE"
                        "mysql_native_password"),
          BLAME_SERVER, "malformed" },
        { SWITCH("mysql_native_password", "too short"), BLAME_SERVER, "malformed" },
        { SWITCH("client_ed25519", "0123456789abcdef0123456789abcde"), BLAME_SERVER, "malformed" },
        { SWITCH("authentication_webauthn_client", "x"), BLAME_POLICY, "webauthn" },
        { BYTES_LITERAL("\2caching_sha2_password\0tsrqponmlkjihgfedcba"), BLAME_POLICY,
          "second factor" },
        { BYTES_LITERAL("\1"), BLAME_SERVER, "never sends" },
        { BYTES_LITERAL("\1\5"), BLAME_SERVER, "never sends" },
        { BYTES_LITERAL("\1\3\3"), BLAME_SERVER, "never sends" },
        { BYTES_LITERAL(""), BLAME_SERVER, "never sends" },
        { BYTES_LITERAL("P\2saltsaltsaltsaltsa"), BLAME_SERVER, "never sends" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct server s = meet("secret", true, "caching_sha2_password");
        if (say(&s, cases[i].payload) || s.why.blame != cases[i].blame ||
            strstr(s.why.text, cases[i].words) == NULL)
            fail_msg("case %zu: %s", i, s.why.text);
        assert_int_equal(buf_len(&s.answer), 0);
        leave(&s);
    }
}

/* A key where none was asked for must not bring the password out. */
static void a_key_that_nobody_asked_for_is_refused(void **state)
{
    (void)state;
    struct server s = meet("secret", false, "mysql_native_password");
    assert_false(say(&s, BYTES_LITERAL("\1-----BEGIN PUBLIC KEY-----")));
    assert_int_equal(s.why.blame, BLAME_SERVER);
    assert_false(say(&s, BYTES_LITERAL("\1\4")));
    leave(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(native_is_a_token),
        cmocka_unit_test(caching_sha2_is_a_token_and_maybe_more),
        cmocka_unit_test(caching_sha2_in_full_is_the_password_where_nobody_reads_along),
        cmocka_unit_test(caching_sha2_in_full_is_encrypted_elsewhere),
        cmocka_unit_test(sha256_likewise),
        cmocka_unit_test(ed25519_is_a_signature),
        cmocka_unit_test(clear_is_sent_only_where_nobody_reads_along),
        cmocka_unit_test(parsec_is_a_signature_with_a_salted_key),
        cmocka_unit_test(bad_salts_are_refused),
        cmocka_unit_test(an_empty_password_is_told_as_each_plugin_has_it),
        cmocka_unit_test(who_knows_only_a_hash_says_so),
        cmocka_unit_test(it_begins_with_a_plugin_that_it_can_do),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_key_that_nobody_asked_for_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
