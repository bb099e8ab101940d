/*
 * auth_parsec.c - MariaDB's parsec, as a client: a key is derived from the password with a salt
 * that the server sends, and signs the server's scramble and one of ours.
 *
 *      salt from the server:   'P' factor salt[18]
 *      seed of the key:        PBKDF2-HMAC-SHA512(password, salt, 1024 << factor)
 *      our answer:             scramble[32] signature[64]
 */
#include "protocol/inside.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

enum { SEED_BYTES = 32, SCRAMBLE32_BYTES = 32, ROUNDS_BASE = 1024, FACTOR_MAX = 3 };

static bool sign(const uint8_t seed[SEED_BYTES], struct bytes message, uint8_t *signature)
{
    size_t len = ED25519_SIGNATURE_BYTES;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SEED_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool done = key != NULL && ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestSign(ctx, signature, &len, message.data, message.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return done;
}

bool parsec_answer(struct bytes password, const uint8_t scramble[32], struct bytes ext_salt,
                   uint8_t out[PARSEC_ANSWER_BYTES])
{
    uint8_t seed[SEED_BYTES], message[2 * SCRAMBLE32_BYTES];
    struct cursor c = cursor_of(ext_salt);
    uint8_t algorithm = read_u8(&c), factor = read_u8(&c);
    struct bytes salt = read_bytes(&c, PARSEC_SALT_BYTES);
    if (c.bad || cursor_left(&c) > 0 || algorithm != 'P' || factor > FACTOR_MAX)
        return false;
    must(RAND_bytes(out, SCRAMBLE32_BYTES) == 1);
    memcpy(message, scramble, SCRAMBLE32_BYTES);
    memcpy(message + SCRAMBLE32_BYTES, out, SCRAMBLE32_BYTES);
    must(PKCS5_PBKDF2_HMAC((const char *)password.data, (int)password.len, salt.data, (int)salt.len,
                           ROUNDS_BASE << factor, EVP_sha512(), sizeof seed, seed) == 1);
    bool done = sign(seed, bytes_of(message, sizeof message), out + SCRAMBLE32_BYTES);
    OPENSSL_cleanse(seed, sizeof seed);
    return done;
}
