/*
 * auth.c - digests, plugins by name, and the packets of an authentication.
 */
#include "protocol/inside.h"

#include "base/mem.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

/* ---- digests ---- */

/* Fetched once: a fetch per digest costs more than the digest. */
static EVP_MD *sha1, *sha256, *sha512;

static void fetch(void)
{
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    must(sha1 != NULL && sha256 != NULL && sha512 != NULL);
}

static EVP_MD_CTX *digest_begin(EVP_MD *const *md)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    must(pthread_once(&once, fetch) == 0);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx != NULL);
    must(EVP_DigestInit_ex2(ctx, *md, NULL) == 1);
    return ctx;
}

static void digest_of(EVP_MD *const *md, struct bytes a, struct bytes b, struct bytes c,
                      uint8_t *out)
{
    EVP_MD_CTX *ctx = digest_begin(md);
    must(EVP_DigestUpdate(ctx, a.data, a.len) == 1);
    must(EVP_DigestUpdate(ctx, b.data, b.len) == 1);
    must(EVP_DigestUpdate(ctx, c.data, c.len) == 1);
    must(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
    EVP_MD_CTX_free(ctx);
}

void sha1_of(struct bytes a, struct bytes b, uint8_t out[SHA1_BYTES])
{
    digest_of(&sha1, a, b, BYTES_NONE, out);
}

void sha256_of(struct bytes a, struct bytes b, uint8_t out[SHA256_BYTES])
{
    digest_of(&sha256, a, b, BYTES_NONE, out);
}

void sha512_of(struct bytes a, struct bytes b, struct bytes c, uint8_t out[SHA512_BYTES])
{
    digest_of(&sha512, a, b, c, out);
}

void sha256_twice_of(struct bytes password, uint8_t out[SHA256_BYTES])
{
    uint8_t once[SHA256_BYTES];
    sha256_of(password, BYTES_NONE, once);
    sha256_of(bytes_of(once, sizeof once), BYTES_NONE, out);
    OPENSSL_cleanse(once, sizeof once);
}

EVP_MD_CTX *sha256_begin(void)
{
    return digest_begin(&sha256);
}

void sha256_restart(EVP_MD_CTX *ctx)
{
    must(EVP_DigestInit_ex2(ctx, NULL, NULL) == 1);
}

void xor_into(uint8_t *to, const uint8_t *with, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] ^= with[i];
}

bool digest_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

/* ---- plugins ---- */

static const char *const plugin_names[] = {
    [AUTH_NATIVE] = "mysql_native_password", [AUTH_CACHING_SHA2] = "caching_sha2_password",
    [AUTH_SHA256] = "sha256_password",       [AUTH_CLEAR] = "mysql_clear_password",
    [AUTH_ED25519] = "client_ed25519",       [AUTH_PARSEC] = "parsec",
};

enum auth_plugin auth_plugin_by_name(struct bytes name)
{
    for (size_t p = 0; p < ARRAY_LEN(plugin_names); p++)
        if (bytes_equal(name, bytes_str(plugin_names[p])))
            return (enum auth_plugin)p;
    return AUTH_UNKNOWN;
}

struct bytes auth_plugin_name(enum auth_plugin p)
{
    return p < ARRAY_LEN(plugin_names) ? bytes_str(plugin_names[p]) : BYTES_NONE;
}

/* ---- proofs ---- */

static bool token_is_empty(enum auth_plugin p, struct bytes token)
{
    return token.len == 0 || (p == AUTH_CACHING_SHA2 && token.len == 1 && token.data[0] == 0);
}

bool auth_token_matches(enum auth_plugin p, const uint8_t scramble[SCRAMBLE_BYTES],
                        struct bytes token, const struct secret *s)
{
    size_t expected = p == AUTH_NATIVE ? SHA1_BYTES : SHA256_BYTES;
    uint32_t needed = p == AUTH_NATIVE ? KNOWN_SHA1_TWICE : KNOWN_SHA256_TWICE;
    uint8_t padded[SHA256_BYTES] = { 0 }, once[SHA1_BYTES];
    if (p != AUTH_NATIVE && p != AUTH_CACHING_SHA2)
        return false;
    if (token.len == expected)
        memcpy(padded, token.data, expected);
    bool proven = p == AUTH_NATIVE ? native_matches(scramble, padded, s->sha1_twice, once)
                                   : sha2_matches(scramble, padded, s->sha256_twice);
    OPENSSL_cleanse(once, sizeof once);
    if (!s->has_password)
        return token_is_empty(p, token);
    return proven & (token.len == expected) & ((s->forms & needed) != 0);
}

bool auth_signature_matches(const uint8_t nonce[ED25519_NONCE_BYTES], struct bytes signature,
                            const struct secret *s)
{
    uint8_t key[ED25519_KEY_BYTES];
    if (s->forms & KNOWN_ED25519)
        memcpy(key, s->ed25519, sizeof key);
    else if (s->forms & KNOWN_CLEAR)
        ed25519_public(bytes_of(s->clear, s->clear_len), key);
    else
        return false;
    return signature.len == ED25519_SIGNATURE_BYTES &&
           ed25519_verify(key, bytes_of(nonce, ED25519_NONCE_BYTES), signature);
}

static bool matches_sha1(struct bytes password, const struct secret *s)
{
    uint8_t once[SHA1_BYTES], twice[SHA1_BYTES];
    sha1_of(password, BYTES_NONE, once);
    sha1_of(bytes_of(once, sizeof once), BYTES_NONE, twice);
    OPENSSL_cleanse(once, sizeof once);
    return digest_equal(twice, s->sha1_twice, sizeof twice);
}

static bool matches_sha256(struct bytes password, const struct secret *s)
{
    uint8_t twice[SHA256_BYTES];
    sha256_twice_of(password, twice);
    return digest_equal(twice, s->sha256_twice, sizeof twice);
}

static bool matches_ed25519(struct bytes password, const struct secret *s)
{
    uint8_t key[ED25519_KEY_BYTES];
    ed25519_public(password, key);
    return digest_equal(key, s->ed25519, sizeof key);
}

/* Only the stored form that takes long is known? */
static bool is_slow(const struct clear_proof *c)
{
    const uint32_t quick = KNOWN_SHA256_TWICE | KNOWN_SHA1_TWICE | KNOWN_ED25519;
    return (c->secret->forms & quick) == 0 && (c->secret->forms & KNOWN_CRYPT) != 0 &&
           c->secret->has_password && c->password.len <= PASSWORD_MAX_BYTES;
}

void clear_proof_begin(struct clear_proof *c, struct bytes password, const struct secret *s)
{
    *c = (struct clear_proof){ .secret = s, .password = password };
    if (!s->has_password)
        c->matches = password.len == 0;
    else if (password.len == 0 || password.len > PASSWORD_MAX_BYTES)
        c->matches = false;
    else if (s->forms & KNOWN_SHA256_TWICE)
        c->matches = matches_sha256(password, s);
    else if (s->forms & KNOWN_SHA1_TWICE)
        c->matches = matches_sha1(password, s);
    else if (s->forms & KNOWN_ED25519)
        c->matches = matches_ed25519(password, s);
    if (is_slow(c))
        sha_crypt_begin(&c->work, &s->crypt, password);
}

bool clear_proof_step(struct clear_proof *c)
{
    if (!is_slow(c))
        return true;
    if (!sha_crypt_step(&c->work, &c->secret->crypt, c->password.len))
        return false;
    c->matches =
        c->password.len > 0 && digest_equal(c->work.digest, c->secret->crypt.digest, SHA256_BYTES);
    OPENSSL_cleanse(&c->work, sizeof c->work);
    return true;
}

size_t auth_token_make(enum auth_plugin p, const uint8_t scramble[SCRAMBLE_BYTES],
                       const struct secret *s, uint8_t out[32])
{
    if (!s->has_password || !secret_logs_in(s, p))
        return 0;
    if (p == AUTH_NATIVE) {
        native_make(scramble, s->sha1, out);
        return SHA1_BYTES;
    }
    if (p == AUTH_CACHING_SHA2) {
        sha2_make(scramble, bytes_of(s->clear, s->clear_len), out);
        return SHA256_BYTES;
    }
    return 0;
}

bool auth_sign(const uint8_t nonce[ED25519_NONCE_BYTES], const struct secret *s,
               uint8_t out[ED25519_SIGNATURE_BYTES])
{
    if ((s->forms & KNOWN_CLEAR) == 0)
        return false;
    ed25519_sign(bytes_of(s->clear, s->clear_len), bytes_of(nonce, ED25519_NONCE_BYTES), out);
    return true;
}

/* ---- packets ---- */

void auth_switch_write(struct buf *out, uint8_t *seq, struct bytes plugin, struct bytes data)
{
    size_t mark = packet_begin(out);
    write_u8(out, EOF_HEADER);
    write_nul_bytes(out, plugin);
    buf_add(out, data);
    packet_end(out, mark, seq);
}

void auth_switch_write_scramble(struct buf *out, uint8_t *seq, enum auth_plugin p,
                                const uint8_t scramble[SCRAMBLE_BYTES])
{
    uint8_t data[SCRAMBLE_BYTES + 1] = { 0 };
    memcpy(data, scramble, SCRAMBLE_BYTES);
    auth_switch_write(out, seq, auth_plugin_name(p), bytes_of(data, sizeof data));
}

/* How much a plugin's data must be; scrambles are followed by a NUL, which may be missing. */
static size_t data_needed(enum auth_plugin p)
{
    static const uint8_t needed[] = {
        [AUTH_NATIVE] = SCRAMBLE_BYTES,
        [AUTH_CACHING_SHA2] = SCRAMBLE_BYTES,
        [AUTH_SHA256] = SCRAMBLE_BYTES,
        [AUTH_CLEAR] = 0,
        [AUTH_ED25519] = ED25519_NONCE_BYTES,
        [AUTH_PARSEC] = 32,
        [AUTH_UNKNOWN] = 0,
    };
    return needed[p];
}

bool auth_switch_read(struct bytes payload, struct bytes *plugin, struct bytes *data,
                      struct fault *why)
{
    *plugin = *data = BYTES_NONE;
    struct cursor c = cursor_of(payload);
    if (read_u8(&c) != EOF_HEADER || c.bad)
        return fault_set(why, BLAME_SERVER, ER_MALFORMED_PACKET,
                         "volvox: malformed request to switch authentication");
    if (cursor_left(&c) == 0)
        return fault_set(why, BLAME_SERVER, ER_HANDSHAKE_ERROR,
                         "volvox: the server asks for a password in the format before 4.1");
    *plugin = read_nul_bytes(&c);
    *data = read_rest(&c);
    if (c.bad || data->len < data_needed(auth_plugin_by_name(*plugin)))
        return fault_set(why, BLAME_SERVER, ER_MALFORMED_PACKET,
                         "volvox: malformed request to switch authentication");
    return true;
}

void auth_more_write(struct buf *out, uint8_t *seq, struct bytes data)
{
    size_t mark = packet_begin(out);
    write_u8(out, MORE_DATA_HEADER);
    buf_add(out, data);
    packet_end(out, mark, seq);
}
