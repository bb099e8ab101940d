/*
 * auth_crypt.c - SHA256-crypt, the way in which servers store passwords for caching_sha2_password
 * and sha256_password.
 *
 * As in Ulrich Drepper's specification ("Unix crypt using SHA-256 and SHA-512", 2007), which is in
 * the public domain, but with salts of 20 bytes.  Thousands of rounds take milliseconds, so they
 * are done in pieces.
 */
#include "protocol/inside.h"

#include "base/str.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { DIGEST_TEXT_BYTES = 43, ROUNDS_UNIT = 1000, ROUNDS_USUAL = 5000, ROUNDS_AT_ONCE = 256 };

/* ---- the stored form ---- */

static int value_of(uint8_t c)
{
    static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const char *found = c != 0 ? strchr(digits, c) : NULL;
    return found != NULL ? (int)(found - digits) : -1;
}

/* Four characters are three bytes of the digest, from places that the specification lists: the
 * first three are 0, 10, 20, then each moves on by one of 21, modulo 30; two bytes are left for the
 * end. */
static bool digest_read(struct bytes text, uint8_t digest[SHA256_BYTES])
{
    unsigned at[3] = { 0, 10, 20 };
    for (size_t group = 0; group < 11; group++) {
        uint32_t bits = 0;
        size_t n = group < 10 ? 4 : 3;
        for (size_t i = 0; i < n; i++) {
            int v = value_of(text.data[4 * group + i]);
            if (v < 0)
                return false;
            bits |= (uint32_t)v << 6 * i;
        }
        if (group == 10) {
            digest[31] = bits >> 8 & 0xFF;
            digest[30] = bits & 0xFF;
            return bits >> 16 == 0;
        }
        for (size_t i = 0; i < 3; i++) {
            digest[at[i]] = bits >> (16 - 8 * i) & 0xFF;
            at[i] = (at[i] + 21) % 30;
        }
    }
    return false;
}

static bool rounds_read(struct bytes text, uint32_t *rounds)
{
    *rounds = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = ascii_hex(text.data[i]);
        if (digit < 0)
            return false;
        *rounds = *rounds * 16 + (uint32_t)digit;
    }
    *rounds *= ROUNDS_UNIT;
    return *rounds > 0;
}

bool sha_crypt_read(struct bytes text, struct sha_crypt *out)
{
    struct cursor c = cursor_of(text);
    *out = (struct sha_crypt){ .rounds = ROUNDS_USUAL };
    bool is_caching = text.len > 1 && text.data[1] == 'A';
    struct bytes head = read_bytes(&c, 3);
    if (c.bad || !bytes_equal(head, is_caching ? BYTES_LITERAL("$A$") : BYTES_LITERAL("$5$")))
        return false;
    if (is_caching && (!rounds_read(read_bytes(&c, 3), &out->rounds) || read_u8(&c) != '$'))
        return false;
    struct bytes salt = read_bytes(&c, CRYPT_SALT_BYTES);
    if (!is_caching && read_u8(&c) != '$')
        return false;
    struct bytes digest = read_rest(&c);
    if (c.bad || digest.len != DIGEST_TEXT_BYTES)
        return false;
    memcpy(out->salt, salt.data, salt.len);
    return digest_read(digest, out->digest);
}

/* ---- computing it ---- */

static void add(EVP_MD_CTX *ctx, const void *data, size_t len)
{
    must(EVP_DigestUpdate(ctx, data, len) == 1);
}

static void finish(EVP_MD_CTX *ctx, uint8_t digest[SHA256_BYTES])
{
    must(EVP_DigestFinal_ex(ctx, digest, NULL) == 1);
}

/* So many bytes of the digest, over and over. */
static void repeat(uint8_t *to, size_t len, const uint8_t digest[SHA256_BYTES])
{
    for (size_t at = 0; at < len; at += SHA256_BYTES)
        memcpy(to + at, digest, MIN(len - at, (size_t)SHA256_BYTES));
}

/* The specification's steps 4 to 8 give B, 1 to 12 give A. */
static void first_digest(EVP_MD_CTX *ctx, struct bytes password, struct bytes salt,
                         uint8_t a[SHA256_BYTES])
{
    uint8_t b[SHA256_BYTES], filler[PASSWORD_MAX_BYTES];
    sha256_restart(ctx);
    add(ctx, password.data, password.len);
    add(ctx, salt.data, salt.len);
    add(ctx, password.data, password.len);
    finish(ctx, b);
    repeat(filler, password.len, b);

    sha256_restart(ctx);
    add(ctx, password.data, password.len);
    add(ctx, salt.data, salt.len);
    add(ctx, filler, password.len);
    for (size_t bits = password.len; bits > 0; bits >>= 1)
        if (bits & 1)
            add(ctx, b, sizeof b);
        else
            add(ctx, password.data, password.len);
    finish(ctx, a);
    OPENSSL_cleanse(b, sizeof b);
    OPENSSL_cleanse(filler, sizeof filler);
}

/* Steps 13 to 20: what each round mixes in. */
static void sequences(struct sha_crypt_work *w, EVP_MD_CTX *ctx, struct bytes password,
                      struct bytes salt)
{
    uint8_t digest[SHA256_BYTES];
    sha256_restart(ctx);
    for (size_t i = 0; i < password.len; i++)
        add(ctx, password.data, password.len);
    finish(ctx, digest);
    repeat(w->password_sequence, password.len, digest);

    sha256_restart(ctx);
    for (unsigned i = 0; i < 16u + w->digest[0]; i++)
        add(ctx, salt.data, salt.len);
    finish(ctx, digest);
    repeat(w->salt_sequence, salt.len, digest);
    OPENSSL_cleanse(digest, sizeof digest);
}

void sha_crypt_begin(struct sha_crypt_work *w, const struct sha_crypt *c, struct bytes password)
{
    must(password.len <= PASSWORD_MAX_BYTES);
    struct bytes salt = bytes_of(c->salt, sizeof c->salt);
    EVP_MD_CTX *ctx = sha256_begin();
    w->done = 0;
    first_digest(ctx, password, salt, w->digest);
    sequences(w, ctx, password, salt);
    EVP_MD_CTX_free(ctx);
}

/* Step 21. */
bool sha_crypt_step(struct sha_crypt_work *w, const struct sha_crypt *c, size_t password_len)
{
    EVP_MD_CTX *ctx = sha256_begin();
    for (uint32_t n = 0; n < ROUNDS_AT_ONCE && w->done < c->rounds; n++, w->done++) {
        bool odd = w->done & 1;
        sha256_restart(ctx);
        add(ctx, odd ? w->password_sequence : w->digest, odd ? password_len : SHA256_BYTES);
        if (w->done % 3 != 0)
            add(ctx, w->salt_sequence, sizeof w->salt_sequence);
        if (w->done % 7 != 0)
            add(ctx, w->password_sequence, password_len);
        add(ctx, odd ? w->digest : w->password_sequence, odd ? SHA256_BYTES : password_len);
        finish(ctx, w->digest);
    }
    EVP_MD_CTX_free(ctx);
    return w->done >= c->rounds;
}
