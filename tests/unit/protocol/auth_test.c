#include "recorded.h"

#include "protocol/inside.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <unistd.h>

static struct secret secret_of(const char *password)
{
    struct secret s;
    secret_from_clear(&s, bytes_str(password));
    return s;
}

static bool clear_matches(struct bytes password, const struct secret *s)
{
    struct clear_proof c;
    clear_proof_begin(&c, password, s);
    while (!clear_proof_step(&c))
        ;
    return c.matches;
}

/* ---- tokens ---- */

/* Each line "token plugin scramble token password" of what a server accepted. */
static unsigned each_token(const char *family)
{
    char path[128], plugin[32], scramble[64], token[80], password[32], *line = NULL;
    size_t size = 0;
    unsigned count = 0;
    snprintf(path, sizeof path, "tests/unit/protocol/data/%s.txt", family);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (getline(&line, &size, file) > 0) {
        if (sscanf(line, "token %31s %63s %79s %31s", plugin, scramble, token, password) != 4)
            continue;
        struct bytes salt = from_hex(scramble), accepted = from_hex(token);
        struct secret s = secret_of(password);
        enum auth_plugin p = auth_plugin_by_name(bytes_str(plugin));
        uint8_t made[32];
        assert_int_equal(salt.len, SCRAMBLE_BYTES);
        assert_int_equal(auth_token_make(p, salt.data, &s, made), accepted.len);
        assert_memory_equal(made, accepted.data, accepted.len);
        assert_true(auth_token_matches(p, salt.data, accepted, &s));
        secret_release(&s);
        free((void *)salt.data);
        free((void *)accepted.data);
        count++;
    }
    free(line);
    fclose(file);
    return count;
}

static void tokens_that_servers_accepted_are_made_and_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(recorded_families); i++)
        assert_int_equal(each_token(recorded_families[i]), 3);
}

static void a_token_proves_one_password_for_one_scramble(enum auth_plugin p)
{
    uint8_t scramble[SCRAMBLE_BYTES], other[SCRAMBLE_BYTES], made[32];
    struct secret right = secret_of("correct horse"), wrong = secret_of("battery staple");
    scramble_make(scramble);
    scramble_make(other);
    size_t len = auth_token_make(p, scramble, &right, made);
    struct bytes token = exact_copy(bytes_of(made, len));
    assert_true(auth_token_matches(p, scramble, token, &right));
    assert_false(auth_token_matches(p, scramble, token, &wrong));
    assert_false(auth_token_matches(p, other, token, &right));
    for (size_t n = 0; n < len; n++) {
        struct bytes cut = exact_copy(bytes_of(made, n));
        assert_false(auth_token_matches(p, scramble, cut, &right));
        exact_free(cut);
        ((uint8_t *)token.data)[n] ^= 1;
        assert_false(auth_token_matches(p, scramble, token, &right));
        ((uint8_t *)token.data)[n] ^= 1;
    }
    exact_free(token);
    secret_release(&right);
    secret_release(&wrong);
}

static void tokens_prove_one_password_for_one_scramble(void **state)
{
    (void)state;
    a_token_proves_one_password_for_one_scramble(AUTH_NATIVE);
    a_token_proves_one_password_for_one_scramble(AUTH_CACHING_SHA2);
}

/* As login does for accounts that do not exist, where no user has a password. */
static void zero_tokens_do_not_prove_what_is_not_known(void **state)
{
    (void)state;
    const struct secret unknown = { .has_password = true };
    uint8_t scramble[SCRAMBLE_BYTES];
    static const uint8_t zeros[64];
    scramble_make(scramble);
    assert_false(auth_token_matches(AUTH_NATIVE, scramble, bytes_of(zeros, 20), &unknown));
    assert_false(auth_token_matches(AUTH_CACHING_SHA2, scramble, bytes_of(zeros, 32), &unknown));
    assert_false(auth_token_matches(AUTH_NATIVE, scramble, BYTES_NONE, &unknown));
    assert_false(auth_token_matches(AUTH_CACHING_SHA2, scramble, bytes_of(zeros, 1), &unknown));
    assert_false(auth_signature_matches(zeros, bytes_of(zeros, 64), &unknown));
    assert_false(clear_matches(BYTES_NONE, &unknown));
    assert_false(clear_matches(BYTES_LITERAL("x"), &unknown));
}

/* The right token for a hash that is all zeros, as an unset one would be. */
static void a_token_for_an_unset_hash_proves_nothing(void **state)
{
    (void)state;
    const struct secret unknown = { .has_password = true };
    uint8_t scramble[SCRAMBLE_BYTES], sha1[SHA1_BYTES] = { 0 }, token[32];
    struct secret crafted = { .has_password = true, .forms = KNOWN_SHA1 };
    scramble_make(scramble);
    assert_int_equal(auth_token_make(AUTH_NATIVE, scramble, &crafted, token), SHA1_BYTES);
    assert_false(auth_token_matches(AUTH_NATIVE, scramble, bytes_of(token, SHA1_BYTES), &unknown));
    assert_false(native_matches(scramble, token, unknown.sha1_twice, sha1));
}

static void an_empty_password_has_an_empty_token(void **state)
{
    (void)state;
    struct secret none = secret_of(""), some = secret_of("x");
    uint8_t scramble[SCRAMBLE_BYTES], made[32];
    scramble_make(scramble);
    struct bytes nul = BYTES_LITERAL("\0");
    assert_false(none.has_password);
    assert_int_equal(auth_token_make(AUTH_NATIVE, scramble, &none, made), 0);
    assert_int_equal(auth_token_make(AUTH_CACHING_SHA2, scramble, &none, made), 0);
    assert_true(auth_token_matches(AUTH_NATIVE, scramble, BYTES_NONE, &none));
    assert_false(auth_token_matches(AUTH_NATIVE, scramble, nul, &none));
    assert_true(auth_token_matches(AUTH_CACHING_SHA2, scramble, BYTES_NONE, &none));
    assert_true(auth_token_matches(AUTH_CACHING_SHA2, scramble, nul, &none));
    assert_false(auth_token_matches(AUTH_NATIVE, scramble, BYTES_NONE, &some));
    assert_false(auth_token_matches(AUTH_CACHING_SHA2, scramble, BYTES_NONE, &some));
    assert_false(auth_token_matches(AUTH_CACHING_SHA2, scramble, nul, &some));

    /* The right token for the digests of an empty password is no empty token. */
    none.has_password = true;
    size_t n = auth_token_make(AUTH_NATIVE, scramble, &none, made);
    none.has_password = false;
    assert_false(auth_token_matches(AUTH_NATIVE, scramble, bytes_of(made, n), &none));
    secret_release(&none);
    secret_release(&some);
}

static void a_password_in_clear_matches_itself_only(void **state)
{
    (void)state;
    struct secret s = secret_of("secret7"), none = secret_of("");
    assert_true(clear_matches(BYTES_LITERAL("secret7"), &s));
    assert_false(clear_matches(BYTES_LITERAL("secret"), &s));
    assert_false(clear_matches(BYTES_LITERAL("secret7\0"), &s));
    assert_false(clear_matches(BYTES_NONE, &s));
    assert_true(clear_matches(BYTES_NONE, &none));
    assert_false(clear_matches(BYTES_LITERAL("x"), &none));
    secret_release(&s);
    secret_release(&none);
}

static void a_released_secret_is_wiped(void **state)
{
    (void)state;
    static const struct secret empty;
    struct secret s = secret_of("secret7");
    assert_string_equal(s.clear, "secret7");
    secret_release(&s);
    assert_memory_equal(&s, &empty, sizeof s);
}

static void unknown_plugins_prove_nothing(void **state)
{
    (void)state;
    struct secret none = secret_of("");
    uint8_t scramble[SCRAMBLE_BYTES] = { 1 };
    assert_int_equal(auth_plugin_by_name(BYTES_LITERAL("dialog")), AUTH_UNKNOWN);
    assert_int_equal(auth_plugin_by_name(BYTES_NONE), AUTH_UNKNOWN);
    assert_int_equal(auth_plugin_name(AUTH_UNKNOWN).len, 0);
    assert_false(auth_token_matches(AUTH_UNKNOWN, scramble, BYTES_NONE, &none));
    secret_release(&none);
}

/* ---- packets ---- */

static void a_switch_comes_back(void **state)
{
    (void)state;
    struct buf out = { 0 };
    struct bytes plugin, data;
    uint8_t seq = 2, scramble[SCRAMBLE_BYTES];
    scramble_make(scramble);
    auth_switch_write_scramble(&out, &seq, AUTH_CACHING_SHA2, scramble);
    assert_int_equal(seq, 3);
    struct bytes payload = payload_of(&out);
    assert_true(auth_switch_read(payload, &plugin, &data, NULL));
    assert_text(plugin, "caching_sha2_password");
    assert_int_equal(data.len, SCRAMBLE_BYTES + 1);
    assert_memory_equal(data.data, scramble, SCRAMBLE_BYTES);
    for (size_t n = 0; n < payload.len; n++) {
        struct bytes cut = exact_copy(bytes_of(payload.data, n));
        assert_int_equal(auth_switch_read(cut, &plugin, &data, NULL), n == payload.len - 1);
        exact_free(cut);
    }
    buf_release(&out);
}

static void switches_to_old_passwords_are_refused(void **state)
{
    (void)state;
    struct bytes plugin, data;
    struct fault why = FAULT_NONE;
    assert_false(auth_switch_read(BYTES_LITERAL("\xFE"), &plugin, &data, &why));
    assert_int_equal(why.code, ER_HANDSHAKE_ERROR);
    assert_int_equal(why.blame, BLAME_SERVER);
}

static void each_plugin_has_the_data_it_needs(void **state)
{
    (void)state;
    struct bytes plugin, data;
    assert_true(auth_switch_read(BYTES_LITERAL("\xFE"
                                               "mysql_clear_password\0"),
                                 &plugin, &data, NULL));
    assert_text(plugin, "mysql_clear_password");
    assert_int_equal(data.len, 0);
    assert_true(auth_switch_read(BYTES_LITERAL("\xFE"
                                               "client_ed25519\0"
                                               "0123456789abcdef0123456789abcdef"),
                                 &plugin, &data, NULL));
    assert_text(data, "0123456789abcdef0123456789abcdef");
    assert_false(auth_switch_read(BYTES_LITERAL("\xFE"
                                                "client_ed25519\0"
                                                "0123456789abcdef0123456789abcde"),
                                  &plugin, &data, NULL));
    assert_true(auth_switch_read(BYTES_LITERAL("\xFE"
                                               "dialog\0\4Password:"),
                                 &plugin, &data, NULL));
    assert_text(data, "\4Password:");
}

static void more_data_has_its_header(void **state)
{
    (void)state;
    struct buf out = { 0 };
    uint8_t seq = 3;
    auth_more_write(&out, &seq, BYTES_LITERAL("\4"));
    assert_bytes_equal(buf_bytes(&out), BYTES_LITERAL("\2\0\0\3\1\4"));
    buf_release(&out);
}

/* ---- RSA ---- */

static struct rsa_key *the_key(void)
{
    static struct rsa_key *key;
    if (key == NULL)
        key = rsa_key_new(NULL);
    assert_non_null(key);
    return key;
}

static void passwords_come_back_through_rsa(void **state)
{
    (void)state;
    static const char *const passwords[] = { "x", "secret7", "longer than the scramble of twenty" };
    uint8_t scramble[SCRAMBLE_BYTES], got[256];
    scramble_make(scramble);
    for (size_t i = 0; i < ARRAY_LEN(passwords); i++) {
        struct secret s = secret_of(passwords[i]);
        struct buf out = { 0 };
        assert_true(rsa_encrypt_password(rsa_key_public_pem(the_key()), scramble, &s, &out, NULL));
        assert_int_equal(buf_len(&out), 256);
        int n = rsa_key_decrypt(the_key(), buf_bytes(&out), scramble, got, sizeof got);
        assert_int_equal(n, strlen(passwords[i]));
        assert_memory_equal(got, passwords[i], (size_t)n);
        assert_int_equal(rsa_key_decrypt(the_key(), buf_bytes(&out), scramble, got, (size_t)n), n);
        assert_int_equal(rsa_key_decrypt(the_key(), buf_bytes(&out), scramble, got, (size_t)n - 1),
                         -1);
        buf_release(&out);
        secret_release(&s);
    }
}

static void what_was_not_encrypted_for_us_is_refused(void **state)
{
    (void)state;
    uint8_t scramble[SCRAMBLE_BYTES], other[SCRAMBLE_BYTES], got[256];
    struct secret s = secret_of("secret7");
    struct buf out = { 0 };
    scramble_make(scramble);
    memcpy(other, scramble, sizeof other);
    other[7] ^= 1; /* where the NUL lies */
    assert_true(rsa_encrypt_password(rsa_key_public_pem(the_key()), scramble, &s, &out, NULL));
    assert_int_equal(rsa_key_decrypt(the_key(), buf_bytes(&out), other, got, sizeof got), -1);
    for (size_t n = 0; n < 256; n += 17)
        assert_int_equal(
            rsa_key_decrypt(the_key(), bytes_of(buf_head(&out), n), scramble, got, sizeof got), -1);
    buf_head(&out)[100] ^= 1;
    assert_int_equal(rsa_key_decrypt(the_key(), buf_bytes(&out), scramble, got, sizeof got), -1);
    buf_release(&out);
    secret_release(&s);
}

/* By OpenSSL alone, with the digest named: what other clients do. */
static void other_clients_use_oaep_with_sha1(void **state)
{
    (void)state;
    uint8_t scramble[SCRAMBLE_BYTES], text[] = "secret7", cipher[256], got[256];
    size_t len = sizeof cipher;
    scramble_make(scramble);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] ^= scramble[i];
    struct bytes pem = rsa_key_public_pem(the_key());
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha1()), 1);
    assert_int_equal(EVP_PKEY_encrypt(ctx, cipher, &len, text, sizeof text), 1);
    assert_int_equal(rsa_key_decrypt(the_key(), bytes_of(cipher, len), scramble, got, sizeof got),
                     7);
    assert_memory_equal(got, "secret7", 7);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    BIO_free(bio);
}

static void keys_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    uint8_t scramble[SCRAMBLE_BYTES] = { 1 };
    struct secret s = secret_of("secret7"), huge;
    struct buf out = { 0 };
    struct fault why = FAULT_NONE;
    assert_false(rsa_encrypt_password(BYTES_LITERAL("no key"), scramble, &s, &out, &why));
    assert_int_equal(why.blame, BLAME_SERVER);
    struct bytes pem = rsa_key_public_pem(the_key());
    struct bytes cut = exact_copy(bytes_of(pem.data, pem.len / 2));
    assert_false(rsa_encrypt_password(cut, scramble, &s, &out, &why));
    exact_free(cut);

    uint8_t letters[299];
    memset(letters, 'x', sizeof letters);
    secret_from_clear(&huge, bytes_of(letters, sizeof letters));
    assert_false(rsa_encrypt_password(pem, scramble, &huge, &out, &why));
    assert_int_equal(why.blame, BLAME_OURS);
    assert_int_equal(buf_len(&out), 0);
    secret_release(&huge);
    secret_release(&s);
}

static void write_key(int fd, EVP_PKEY *key)
{
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
}

static void a_key_file_is_loaded_or_says_why_not(void **state)
{
    (void)state;
    char path[] = "/tmp/volvox-key-XXXXXX";
    struct fault why = FAULT_NONE;
    assert_null(rsa_key_load("/nonexistent/key.pem", &why));
    assert_int_equal(why.blame, BLAME_OURS);
    assert_non_null(strstr(why.text, "/nonexistent/key.pem"));

    EVP_PKEY *rsa = EVP_RSA_gen(2048), *curve = EVP_EC_gen("P-256");
    write_key(mkstemp(path), rsa);
    struct rsa_key *loaded = rsa_key_load(path, &why);
    unlink(path);
    assert_non_null(loaded);
    assert_memory_equal(rsa_key_public_pem(loaded).data, "-----BEGIN PUBLIC KEY-----", 26);
    rsa_key_free(loaded);

    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    write_key(mkstemp(path), curve);
    assert_null(rsa_key_load(path, &why));
    unlink(path);
    assert_non_null(strstr(why.text, "not an RSA key"));
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(curve);
}

static void *decrypt_often(void *arg)
{
    uint8_t scramble[SCRAMBLE_BYTES] = { 1, 2, 3 }, got[64];
    struct buf *cipher = arg;
    for (int i = 0; i < 20; i++)
        if (rsa_key_decrypt(the_key(), buf_bytes(cipher), scramble, got, sizeof got) != 7)
            return arg;
    return NULL;
}

static void threads_share_a_key(void **state)
{
    (void)state;
    uint8_t scramble[SCRAMBLE_BYTES] = { 1, 2, 3 };
    struct secret s = secret_of("secret7");
    struct buf cipher = { 0 };
    pthread_t threads[4];
    assert_true(rsa_encrypt_password(rsa_key_public_pem(the_key()), scramble, &s, &cipher, NULL));
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, decrypt_often, &cipher), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    buf_release(&cipher);
    secret_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_that_servers_accepted_are_made_and_match),
        cmocka_unit_test(tokens_prove_one_password_for_one_scramble),
        cmocka_unit_test(zero_tokens_do_not_prove_what_is_not_known),
        cmocka_unit_test(a_token_for_an_unset_hash_proves_nothing),
        cmocka_unit_test(an_empty_password_has_an_empty_token),
        cmocka_unit_test(a_password_in_clear_matches_itself_only),
        cmocka_unit_test(a_released_secret_is_wiped),
        cmocka_unit_test(unknown_plugins_prove_nothing),
        cmocka_unit_test(a_switch_comes_back),
        cmocka_unit_test(switches_to_old_passwords_are_refused),
        cmocka_unit_test(each_plugin_has_the_data_it_needs),
        cmocka_unit_test(more_data_has_its_header),
        cmocka_unit_test(passwords_come_back_through_rsa),
        cmocka_unit_test(what_was_not_encrypted_for_us_is_refused),
        cmocka_unit_test(other_clients_use_oaep_with_sha1),
        cmocka_unit_test(keys_that_make_no_sense_are_refused),
        cmocka_unit_test(a_key_file_is_loaded_or_says_why_not),
        cmocka_unit_test(threads_share_a_key),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rsa_key_free(the_key());
    return failed;
}
