/*
 * secret.c - what is known of a password: itself, or what a server stores of it.
 */
#include "protocol/inside.h"

#include "base/mem.h"
#include "base/str.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* ---- life ---- */

/* Of everything that is known. */
static void set_mark(struct secret *s)
{
    struct buf all = { 0 };
    write_u32(&all, s->forms);
    write_u8(&all, s->has_password);
    buf_add(&all, bytes_of(s->sha1, sizeof s->sha1));
    buf_add(&all, bytes_of(s->sha1_twice, sizeof s->sha1_twice));
    buf_add(&all, bytes_of(s->sha256_twice, sizeof s->sha256_twice));
    buf_add(&all, bytes_of(s->ed25519, sizeof s->ed25519));
    write_u32(&all, s->crypt.rounds);
    buf_add(&all, bytes_of(s->crypt.salt, sizeof s->crypt.salt));
    buf_add(&all, bytes_of(s->crypt.digest, sizeof s->crypt.digest));
    sha256_of(buf_bytes(&all), BYTES_NONE, s->mark);
    OPENSSL_cleanse(all.mem, all.cap);
    buf_release(&all);
}

static void keep_clear(struct secret *s, struct bytes password)
{
    s->clear = mem_secret_alloc(password.len + 1);
    if (password.len > 0)
        memcpy(s->clear, password.data, password.len);
    s->clear_len = password.len;
    s->forms |= KNOWN_CLEAR;
}

void secret_from_clear(struct secret *s, struct bytes password)
{
    *s = (struct secret){ .has_password = password.len > 0 };
    keep_clear(s, password);
    sha1_of(password, BYTES_NONE, s->sha1);
    sha1_of(bytes_of(s->sha1, sizeof s->sha1), BYTES_NONE, s->sha1_twice);
    sha256_twice_of(password, s->sha256_twice);
    s->forms |= KNOWN_SHA1 | KNOWN_SHA1_TWICE | KNOWN_SHA256_TWICE;
    set_mark(s);
}

static bool ed25519_read(struct bytes text, uint8_t key[ED25519_KEY_BYTES])
{
    enum { TEXT_BYTES = 43 };
    uint8_t padded[TEXT_BYTES + 1], decoded[ED25519_KEY_BYTES + 1];
    if (text.len != TEXT_BYTES)
        return false;
    memcpy(padded, text.data, TEXT_BYTES);
    padded[TEXT_BYTES] = '=';
    /* EVP_DecodeBlock() overlooks white space around it, and padding within. */
    for (size_t i = 0; i < TEXT_BYTES; i++)
        if (!((padded[i] >= 'A' && padded[i] <= 'Z') || (padded[i] >= 'a' && padded[i] <= 'z') ||
              ascii_digit(padded[i]) || padded[i] == '+' || padded[i] == '/'))
            return false;
    if (EVP_DecodeBlock(decoded, padded, sizeof padded) != ED25519_KEY_BYTES + 1)
        return false;
    memcpy(key, decoded, ED25519_KEY_BYTES);
    return true;
}

/* 0xHEX, as servers print what holds bytes that are no text. */
static bool crypt_read(struct bytes text, struct sha_crypt *out)
{
    uint8_t raw[80];
    if (text.len < 2 || text.data[0] != '0' || ascii_lower(text.data[1]) != 'x')
        return sha_crypt_read(text, out);
    size_t n = (text.len - 2) / 2;
    return n <= sizeof raw && str_from_hex(bytes_skip(text, 2), raw, n) &&
           sha_crypt_read(bytes_of(raw, n), out);
}

bool secret_from_hash(struct secret *s, struct bytes text)
{
    *s = (struct secret){ .has_password = true };
    if (text.len > 0 && text.data[0] == '*' &&
        str_from_hex(bytes_skip(text, 1), s->sha1_twice, sizeof s->sha1_twice))
        s->forms = KNOWN_SHA1_TWICE;
    else if (ed25519_read(text, s->ed25519))
        s->forms = KNOWN_ED25519;
    else if (crypt_read(text, &s->crypt))
        s->forms = KNOWN_CRYPT;
    if (s->forms == 0)
        *s = (struct secret){ 0 };
    else
        set_mark(s);
    return s->forms != 0;
}

void secret_copy(struct secret *to, const struct secret *from)
{
    *to = *from;
    if (from->clear == NULL)
        return;
    to->clear = mem_secret_alloc(from->clear_len + 1);
    memcpy(to->clear, from->clear, from->clear_len + 1);
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
    return memcmp(a->mark, b->mark, sizeof a->mark) == 0;
}

void secret_release(struct secret *s)
{
    if (s->clear != NULL)
        mem_secret_free(s->clear, s->clear_len + 1);
    OPENSSL_cleanse(s, sizeof *s);
}

void secret_learn_native(struct secret *s, const uint8_t scramble[SCRAMBLE_BYTES],
                         const uint8_t token[SHA1_BYTES])
{
    if ((s->forms & KNOWN_SHA1_TWICE) == 0 ||
        !native_matches(scramble, token, s->sha1_twice, s->sha1)) {
        OPENSSL_cleanse(s->sha1, sizeof s->sha1);
        return;
    }
    s->forms |= KNOWN_SHA1;
    set_mark(s);
}

/* ---- what can be done with it ---- */

const char *secret_words(const struct secret *s)
{
    if (!s->has_password)
        return "that it is empty";
    if (s->forms & KNOWN_CLEAR)
        return "the password";
    if (s->forms & KNOWN_SHA1_TWICE)
        return "its mysql_native_password hash";
    if (s->forms & KNOWN_ED25519)
        return "its ed25519 key";
    return s->forms & KNOWN_CRYPT ? "its SHA-256 hash" : "nothing";
}

bool secret_checks(const struct secret *s, enum auth_plugin p)
{
    if (!s->has_password)
        return p == AUTH_NATIVE || p == AUTH_CACHING_SHA2;
    if (p == AUTH_NATIVE)
        return (s->forms & KNOWN_SHA1_TWICE) != 0;
    if (p == AUTH_CACHING_SHA2)
        return (s->forms & KNOWN_SHA256_TWICE) != 0;
    return p == AUTH_ED25519 && (s->forms & (KNOWN_ED25519 | KNOWN_CLEAR)) != 0;
}

bool secret_logs_in(const struct secret *s, enum auth_plugin p)
{
    if (p == AUTH_UNKNOWN)
        return false;
    return (s->forms & (p == AUTH_NATIVE ? KNOWN_SHA1 : KNOWN_CLEAR)) != 0;
}
