/*
 * auth.c - passwords and the plugins that prove them.
 */
#include "protocol/inside.h"

#include "base/mem.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

/* ---- digests ---- */

/* Fetched once: a fetch per digest costs more than the digest. */
static EVP_MD *sha1, *sha256;

static void fetch(void)
{
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    must(sha1 != NULL && sha256 != NULL);
}

static void digest_of(EVP_MD *const *md, struct bytes a, struct bytes b, uint8_t *out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    must(pthread_once(&once, fetch) == 0);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx != NULL);
    must(EVP_DigestInit_ex2(ctx, *md, NULL) == 1);
    must(EVP_DigestUpdate(ctx, a.data, a.len) == 1);
    must(EVP_DigestUpdate(ctx, b.data, b.len) == 1);
    must(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
    EVP_MD_CTX_free(ctx);
}

void sha1_of(struct bytes a, struct bytes b, uint8_t out[SHA1_BYTES])
{
    digest_of(&sha1, a, b, out);
}

void sha256_of(struct bytes a, struct bytes b, uint8_t out[SHA256_BYTES])
{
    digest_of(&sha256, a, b, out);
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
    [AUTH_NATIVE] = "mysql_native_password",
    [AUTH_CACHING_SHA2] = "caching_sha2_password",
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

/* ---- secrets ---- */

static void sha256_twice_of(struct bytes password, uint8_t out[SHA256_BYTES])
{
    uint8_t once[SHA256_BYTES];
    sha256_of(password, BYTES_NONE, once);
    sha256_of(bytes_of(once, sizeof once), BYTES_NONE, out);
    OPENSSL_cleanse(once, sizeof once);
}

void secret_from_clear(struct secret *s, struct bytes password)
{
    uint8_t once[SHA1_BYTES];
    *s = (struct secret){ .has_password = password.len > 0 };
    s->clear = mem_strndup(password.data, password.len);
    s->clear_len = password.len;
    sha1_of(password, BYTES_NONE, once);
    sha1_of(bytes_of(once, sizeof once), BYTES_NONE, s->sha1_twice);
    OPENSSL_cleanse(once, sizeof once);
    sha256_twice_of(password, s->sha256_twice);
}

void secret_release(struct secret *s)
{
    if (s->clear != NULL)
        mem_free_secret(s->clear, s->clear_len + 1);
    OPENSSL_cleanse(s, sizeof *s);
}

/* Stands for accounts that do not exist, so that asking for them takes as long.  No
 * password is known to have these digests, and the answer is no in any case. */
static const struct secret nobody = { .has_password = true };

static bool token_is_empty(enum auth_plugin p, struct bytes token)
{
    return token.len == 0 || (p == AUTH_CACHING_SHA2 && token.len == 1 && token.data[0] == 0);
}

bool auth_token_matches(enum auth_plugin p, const uint8_t scramble[SCRAMBLE_BYTES],
                        struct bytes token, const struct secret *secret)
{
    const struct secret *s = secret != NULL ? secret : &nobody;
    size_t expected = p == AUTH_NATIVE ? SHA1_BYTES : SHA256_BYTES;
    uint8_t padded[SHA256_BYTES] = { 0 };
    if (p == AUTH_UNKNOWN)
        return false;
    if (token.len == expected)
        memcpy(padded, token.data, expected);
    bool proven = p == AUTH_NATIVE ? native_matches(scramble, padded, s->sha1_twice)
                                   : sha2_matches(scramble, padded, s->sha256_twice);
    bool matches = s->has_password ? proven & (token.len == expected) : token_is_empty(p, token);
    return matches & (secret != NULL);
}

bool auth_clear_matches(struct bytes password, const struct secret *secret)
{
    const struct secret *s = secret != NULL ? secret : &nobody;
    uint8_t twice[SHA256_BYTES];
    sha256_twice_of(password, twice);
    bool proven = digest_equal(twice, s->sha256_twice, sizeof twice);
    OPENSSL_cleanse(twice, sizeof twice);
    bool matches = s->has_password ? proven & (password.len > 0) : password.len == 0;
    return matches & (secret != NULL);
}

size_t auth_token_make(enum auth_plugin p, const uint8_t scramble[SCRAMBLE_BYTES],
                       const struct secret *secret, uint8_t out[32])
{
    if (!secret->has_password || secret->clear == NULL)
        return 0;
    struct bytes password = bytes_of(secret->clear, secret->clear_len);
    switch (p) {
    case AUTH_NATIVE:
        native_make(scramble, password, out);
        return SHA1_BYTES;
    case AUTH_CACHING_SHA2:
        sha2_make(scramble, password, out);
        return SHA256_BYTES;
    case AUTH_UNKNOWN:
        break;
    }
    return 0;
}

/* ---- packets ---- */

void auth_switch_write(struct buf *out, uint8_t *seq, enum auth_plugin p,
                       const uint8_t scramble[SCRAMBLE_BYTES])
{
    size_t mark = packet_begin(out);
    write_u8(out, EOF_HEADER);
    write_nul_bytes(out, auth_plugin_name(p));
    write_nul_bytes(out, bytes_of(scramble, SCRAMBLE_BYTES));
    packet_end(out, mark, seq);
}

bool auth_switch_read(struct bytes payload, struct bytes *plugin, uint8_t scramble[SCRAMBLE_BYTES],
                      struct fault *why)
{
    memset(scramble, 0, SCRAMBLE_BYTES);
    *plugin = BYTES_NONE;
    struct cursor c = cursor_of(payload);
    if (read_u8(&c) != EOF_HEADER || c.bad)
        return fault_set(why, BLAME_SERVER, ER_MALFORMED_PACKET,
                         "volvox: malformed request to switch authentication");
    if (cursor_left(&c) == 0)
        return fault_set(why, BLAME_SERVER, ER_HANDSHAKE_ERROR,
                         "volvox: the server asks for a password in the format before 4.1");
    *plugin = read_nul_bytes(&c);
    struct bytes data = read_rest(&c);
    bool needs_scramble = auth_plugin_by_name(*plugin) != AUTH_UNKNOWN;
    if (c.bad || (needs_scramble && data.len < SCRAMBLE_BYTES))
        return fault_set(why, BLAME_SERVER, ER_MALFORMED_PACKET,
                         "volvox: malformed request to switch authentication");
    if (data.len > 0)
        memcpy(scramble, data.data, MIN(data.len, (size_t)SCRAMBLE_BYTES));
    return true;
}

void auth_more_write(struct buf *out, uint8_t *seq, struct bytes data)
{
    size_t mark = packet_begin(out);
    write_u8(out, MORE_DATA_HEADER);
    buf_add(out, data);
    packet_end(out, mark, seq);
}
