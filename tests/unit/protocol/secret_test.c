/* What is known of a password, and what can be done with it.  The vectors come from proofs.py,
 * which is written down from the specifications, and from servers. */
#include "recorded.h"

#include "protocol/inside.h"

#include "base/mem.h"

static struct secret secret_of(struct bytes password)
{
    struct secret s;
    secret_from_clear(&s, password);
    return s;
}

static struct secret hash_of(struct bytes text)
{
    struct secret s;
    assert_true(secret_from_hash(&s, text));
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

/* ---- stored forms ---- */

/* Each line "kind password ...", in hex. */
static unsigned each_vector(void (*f)(const char *kind, struct bytes password, const char *rest))
{
    char kind[16], *line = NULL;
    size_t size = 0;
    unsigned count = 0;
    int at = 0, rest = 0;
    FILE *file = fopen("tests/unit/protocol/data/secrets.txt", "re");
    assert_non_null(file);
    while (getline(&line, &size, file) > 0) {
        assert_int_equal(sscanf(line, "%15s %n%*s %n", kind, &at, &rest), 1);
        struct bytes password = from_hex(line + at);
        f(kind, password, line + rest);
        free((void *)password.data);
        count++;
    }
    free(line);
    fclose(file);
    return count;
}

static uint32_t form_of(const char *kind)
{
    return strcmp(kind, "native") == 0    ? KNOWN_SHA1_TWICE
           : strcmp(kind, "ed25519") == 0 ? KNOWN_ED25519
                                          : KNOWN_CRYPT;
}

static void check_hash(const char *kind, struct bytes password, const char *rest)
{
    uint8_t other[256];
    if (strcmp(kind, "signature") == 0)
        return;
    struct bytes stored = from_hex(rest);
    struct secret s = hash_of(stored);
    assert_int_equal(s.forms, form_of(kind));
    assert_true(clear_matches(password, &s));
    memcpy(other, password.data, password.len);
    other[password.len / 2] ^= 1;
    assert_false(clear_matches(bytes_of(other, password.len), &s));
    assert_false(clear_matches(bytes_of(password.data, password.len - 1), &s));
    assert_false(clear_matches(BYTES_NONE, &s));
    secret_release(&s);
    free((void *)stored.data);
}

static void stored_passwords_match_themselves_only(void **state)
{
    (void)state;
    assert_int_equal(each_vector(check_hash), 45);
}

static void what_real_servers_stored_matches(void **state)
{
    (void)state;
    const struct bytes stored[] = {
        BYTES_LITERAL("*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"),
        BYTES_LITERAL("*14e65567abdb5135d0cfd9a70b3032c179a49ee7"),
        BYTES_LITERAL("ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"),
        BYTES_LITERAL("$A$00A$li_V,1.L~Fz2UQyu\x1f%\x0c"
                      "08ybimwhWUg0vOJ1iaVvALRRR4YO0qF3ec23ki24Bfg2"),
        BYTES_LITERAL("$5$G\x1b\x19O\x16\x17` jM\x08"
                      "cV!I \x05|i\x02$Mi8dR.TaH2XiIwpT9IFvKYIa7v49SF8ODXUG.cNkOd4"),
    };
    for (size_t i = 0; i < ARRAY_LEN(stored); i++) {
        struct secret s = hash_of(stored[i]);
        assert_true(clear_matches(BYTES_LITERAL("secret"), &s));
        assert_false(clear_matches(BYTES_LITERAL("Secret"), &s));
        secret_release(&s);
    }
}

static void bytes_that_are_no_text_are_given_as_hex(void **state)
{
    (void)state;
    struct bytes raw = BYTES_LITERAL("$A$00A$li_V,1.L~Fz2UQyu\x1f%\x0c"
                                     "08ybimwhWUg0vOJ1iaVvALRRR4YO0qF3ec23ki24Bfg2");
    char hex[2 * 70 + 3] = "0x";
    for (size_t i = 0; i < raw.len; i++)
        snprintf(hex + 2 + 2 * i, 3, i & 1 ? "%02X" : "%02x", raw.data[i]);
    struct secret a = hash_of(raw), b = hash_of(bytes_str(hex));
    assert_true(secret_equal(&a, &b));
    for (size_t n = 0; n < strlen(hex); n++) {
        struct bytes cut = exact_copy(bytes_of(hex, n));
        struct secret none;
        if (n != 43) /* which might be an ed25519 key */
            assert_false(secret_from_hash(&none, cut));
        exact_free(cut);
    }
    secret_release(&a);
    secret_release(&b);
}

static void nonsense_is_no_stored_password(void **state)
{
    (void)state;
    static const char *const nonsense[] = {
        "",
        "*",
        "*14E65567ABDB5135D0CFD9A70B3032C179A49EE",
        "*14E65567ABDB5135D0CFD9A70B3032C179A49EE77",
        "*14E65567ABDB5135D0CFD9A70B3032C179A49EEG",
        "secret",
        "0x",
        "0xZZ",
        "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJ",
        "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY=",
        "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJ=",
        "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJ ",
        "$A$000$012345678901234567890123456789012345678901234567890123456789012",
        "$A$0G5$01234567890123456789012345678901234567890123456789012345678901x",
        "$A$005_01234567890123456789012345678901234567890123456789012345678901.",
        "$A$005$0123456789012345678901234567890123456789012345678901234567890!.",
        "$A$005$0123456789012345678901234567890123456789012345678901234567890zz",
        "$B$005$01234567890123456789012345678901234567890123456789012345678901.",
        "$5$01234567890123456789_0123456789012345678901234567890123456789012",
    };
    for (size_t i = 0; i < ARRAY_LEN(nonsense); i++) {
        struct secret s;
        struct bytes text = exact_copy(bytes_str(nonsense[i]));
        if (secret_from_hash(&s, text))
            fail_msg("taken: %s", nonsense[i]);
        assert_int_equal(s.forms, 0);
        exact_free(text);
    }
}

static void long_checks_are_done_in_pieces(void **state)
{
    (void)state;
    struct secret s = hash_of(BYTES_LITERAL("$A$00A$li_V,1.L~Fz2UQyu\x1f%\x0c"
                                            "08ybimwhWUg0vOJ1iaVvALRRR4YO0qF3ec23ki24Bfg2"));
    struct clear_proof c;
    unsigned steps = 1;
    clear_proof_begin(&c, BYTES_LITERAL("secret"), &s);
    while (!clear_proof_step(&c)) {
        assert_false(c.matches);
        steps++;
    }
    assert_true(c.matches);
    assert_in_range(steps, 10, 100);
    secret_release(&s);
}

static void a_password_of_any_length_is_checked_or_refused(void **state)
{
    (void)state;
    uint8_t letters[300];
    memset(letters, 'y', sizeof letters);
    struct secret s = hash_of(BYTES_LITERAL("*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"));
    struct secret crypt = { .has_password = true,
                            .forms = KNOWN_CRYPT,
                            .crypt = { .rounds = 1000 } };
    for (size_t n = 0; n <= sizeof letters; n++) {
        assert_false(clear_matches(bytes_of(letters, n), &s));
        if (n % 50 == 0 || n == PASSWORD_MAX_BYTES || n == PASSWORD_MAX_BYTES + 1)
            assert_false(clear_matches(bytes_of(letters, n), &crypt));
    }
    secret_release(&s);
}

/* ---- what they are good for ---- */

static void each_form_checks_and_logs_in_by_some_plugins(void **state)
{
    (void)state;
    struct secret clear = secret_of(BYTES_LITERAL("secret")), empty = secret_of(BYTES_NONE),
                  native = hash_of(BYTES_LITERAL("*14E65567ABDB5135D0CFD9A70B3032C179A49EE7")),
                  key = hash_of(BYTES_LITERAL("ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY")),
                  crypt = hash_of(BYTES_LITERAL(
                      "$A$005$01234567890123456789012345678901234567890123456789012345678901."));
    const struct {
        const struct secret *secret;
        const char *checks,
            *logs_in; /* n native, s caching_sha2, 2 sha256, c clear, e ed25519, p parsec */
    } cases[] = {
        { &clear, "nse", "ns2cep" }, { &empty, "ns", "ns2cep" }, { &native, "n", "" },
        { &key, "e", "" },           { &crypt, "", "" },
    };
    static const char letters[] = "ns2cep?";
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (unsigned p = AUTH_NATIVE; p <= AUTH_UNKNOWN; p++) {
            bool checks = strchr(cases[i].checks, letters[p]) != NULL;
            bool logs_in = strchr(cases[i].logs_in, letters[p]) != NULL;
            if (secret_checks(cases[i].secret, (enum auth_plugin)p) != checks ||
                secret_logs_in(cases[i].secret, (enum auth_plugin)p) != logs_in)
                fail_msg("case %zu, plugin %c", i, letters[p]);
        }
    secret_release(&clear);
    secret_release(&empty);
    secret_release(&native);
    secret_release(&key);
    secret_release(&crypt);
}

/* The whole way of a password that is only known as *HEX: client, we, server. */
static void a_native_token_teaches_what_logs_in(void **state)
{
    (void)state;
    struct secret client = secret_of(BYTES_LITERAL("secret")),
                  s = hash_of(BYTES_LITERAL("*14E65567ABDB5135D0CFD9A70B3032C179A49EE7")), before;
    uint8_t scramble[SCRAMBLE_BYTES], other[SCRAMBLE_BYTES], token[32];
    scramble_make(scramble);
    scramble_make(other);
    secret_copy(&before, &s);
    assert_int_equal(auth_token_make(AUTH_NATIVE, scramble, &s, token), 0);
    assert_int_equal(auth_token_make(AUTH_NATIVE, scramble, &client, token), 20);

    secret_learn_native(&s, other, token);
    assert_false(secret_logs_in(&s, AUTH_NATIVE));
    assert_true(secret_equal(&s, &before));

    secret_learn_native(&s, scramble, token);
    assert_true(secret_logs_in(&s, AUTH_NATIVE));
    assert_false(secret_logs_in(&s, AUTH_CACHING_SHA2));
    assert_false(secret_equal(&s, &before));
    assert_int_equal(auth_token_make(AUTH_NATIVE, other, &s, token), 20);
    assert_true(auth_token_matches(AUTH_NATIVE, other, bytes_of(token, 20), &client));
    secret_release(&client);
    secret_release(&before);
    secret_release(&s);
}

static void equal_secrets_have_equal_marks(void **state)
{
    (void)state;
    struct secret a = secret_of(BYTES_LITERAL("secret")), b = secret_of(BYTES_LITERAL("secret")),
                  c = secret_of(BYTES_LITERAL("Secret")), none = secret_of(BYTES_NONE), copy,
                  hash = hash_of(BYTES_LITERAL("*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"));
    secret_copy(&copy, &a);
    assert_true(secret_equal(&a, &b));
    assert_true(secret_equal(&a, &copy));
    assert_ptr_not_equal(a.clear, copy.clear);
    assert_string_equal(copy.clear, "secret");
    assert_false(secret_equal(&a, &c));
    assert_false(secret_equal(&a, &none));
    assert_false(secret_equal(&a, &hash)); /* the same password, but less is known of it */
    secret_release(&a);
    secret_release(&b);
    secret_release(&c);
    secret_release(&none);
    secret_release(&copy);
    secret_release(&hash);
}

static void secrets_live_in_memory_of_their_own(void **state)
{
    (void)state;
    size_t before = mem_secret_used();
    struct secret s = secret_of(BYTES_LITERAL("secret")), copy;
    secret_copy(&copy, &s);
    assert_true(mem_secret_used() > before);
    secret_release(&s);
    secret_release(&copy);
    assert_int_equal(mem_secret_used(), before);
}

/* ---- ed25519 ---- */

static void check_signature(const char *kind, struct bytes password, const char *rest)
{
    uint8_t made[ED25519_SIGNATURE_BYTES];
    if (strcmp(kind, "signature") != 0)
        return;
    struct bytes nonce = from_hex(rest), expected = from_hex(strchr(rest, ' ') + 1);
    struct secret s = secret_of(password);
    assert_true(auth_sign(nonce.data, &s, made));
    assert_bytes_equal(bytes_of(made, sizeof made), expected);
    assert_true(auth_signature_matches(nonce.data, expected, &s));
    secret_release(&s);
    free((void *)nonce.data);
    free((void *)expected.data);
}

static void signatures_are_those_of_the_specification(void **state)
{
    (void)state;
    each_vector(check_signature);
}

static void a_signature_proves_one_password_for_one_nonce(void **state)
{
    (void)state;
    struct secret right = secret_of(BYTES_LITERAL("secret")), wrong = secret_of(BYTES_LITERAL("x")),
                  key = hash_of(BYTES_LITERAL("ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"));
    uint8_t nonce[ED25519_NONCE_BYTES], other[ED25519_NONCE_BYTES], made[ED25519_SIGNATURE_BYTES];
    nonce_make(nonce);
    nonce_make(other);
    assert_false(auth_sign(nonce, &key, made));
    assert_true(auth_sign(nonce, &right, made));
    assert_true(auth_signature_matches(nonce, bytes_of(made, sizeof made), &key));
    assert_true(auth_signature_matches(nonce, bytes_of(made, sizeof made), &right));
    assert_false(auth_signature_matches(nonce, bytes_of(made, sizeof made), &wrong));
    assert_false(auth_signature_matches(other, bytes_of(made, sizeof made), &key));
    for (size_t n = 0; n < sizeof made; n++) {
        struct bytes cut = exact_copy(bytes_of(made, n));
        assert_false(auth_signature_matches(nonce, cut, &key));
        exact_free(cut);
        made[n] ^= 1;
        assert_false(auth_signature_matches(nonce, bytes_of(made, sizeof made), &key));
        made[n] ^= 1;
    }
    secret_release(&right);
    secret_release(&wrong);
    secret_release(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_passwords_match_themselves_only),
        cmocka_unit_test(what_real_servers_stored_matches),
        cmocka_unit_test(bytes_that_are_no_text_are_given_as_hex),
        cmocka_unit_test(nonsense_is_no_stored_password),
        cmocka_unit_test(long_checks_are_done_in_pieces),
        cmocka_unit_test(a_password_of_any_length_is_checked_or_refused),
        cmocka_unit_test(each_form_checks_and_logs_in_by_some_plugins),
        cmocka_unit_test(a_native_token_teaches_what_logs_in),
        cmocka_unit_test(equal_secrets_have_equal_marks),
        cmocka_unit_test(secrets_live_in_memory_of_their_own),
        cmocka_unit_test(signatures_are_those_of_the_specification),
        cmocka_unit_test(a_signature_proves_one_password_for_one_nonce),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
