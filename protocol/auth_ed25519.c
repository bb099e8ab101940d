/*
 * auth_ed25519.c - MariaDB's ed25519: the client signs the server's nonce; the server stores the
 * public key.
 *
 * Signatures are those of RFC 8032 but for one thing: there the secret scalar and the prefix are
 * SHA512 of a seed of 32 bytes, here they are SHA512 of the password.  OpenSSL only signs with
 * seeds, so the scalars are multiplied by libsodium; verifying is as in the RFC.
 */
#include "protocol/inside.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <sodium.h>

enum { SCALAR_BYTES = 32 };

/* Secret scalar and prefix. */
static void expand(struct bytes password, uint8_t expanded[SHA512_BYTES])
{
    sha512_of(password, BYTES_NONE, BYTES_NONE, expanded);
    expanded[0] &= 248;
    expanded[31] &= 127;
    expanded[31] |= 64;
}

/* The base point times a scalar.  A scalar that is 0 (no digest is known to be) gives zeros. */
static void multiply_base(const uint8_t scalar[SCALAR_BYTES], uint8_t point[SCALAR_BYTES])
{
    if (crypto_scalarmult_ed25519_base_noclamp(point, scalar) != 0)
        memset(point, 0, SCALAR_BYTES);
}

static void scalar_of_digest(struct bytes a, struct bytes b, struct bytes c,
                             uint8_t scalar[SCALAR_BYTES])
{
    uint8_t digest[SHA512_BYTES];
    sha512_of(a, b, c, digest);
    crypto_core_ed25519_scalar_reduce(scalar, digest);
    OPENSSL_cleanse(digest, sizeof digest);
}

void ed25519_public(struct bytes password, uint8_t key[ED25519_KEY_BYTES])
{
    uint8_t expanded[SHA512_BYTES];
    expand(password, expanded);
    multiply_base(expanded, key);
    OPENSSL_cleanse(expanded, sizeof expanded);
}

void ed25519_sign(struct bytes password, struct bytes message, uint8_t out[ED25519_SIGNATURE_BYTES])
{
    uint8_t expanded[SHA512_BYTES], key[ED25519_KEY_BYTES];
    uint8_t nonce[SCALAR_BYTES], challenge[SCALAR_BYTES], product[SCALAR_BYTES];
    expand(password, expanded);
    multiply_base(expanded, key);
    scalar_of_digest(bytes_of(expanded + SCALAR_BYTES, SCALAR_BYTES), message, BYTES_NONE, nonce);
    multiply_base(nonce, out);
    scalar_of_digest(bytes_of(out, SCALAR_BYTES), bytes_of(key, sizeof key), message, challenge);
    crypto_core_ed25519_scalar_mul(product, challenge, expanded);
    crypto_core_ed25519_scalar_add(out + SCALAR_BYTES, product, nonce);
    OPENSSL_cleanse(expanded, sizeof expanded);
    OPENSSL_cleanse(nonce, sizeof nonce);
    OPENSSL_cleanse(product, sizeof product);
}

bool ed25519_verify(const uint8_t key[ED25519_KEY_BYTES], struct bytes message,
                    struct bytes signature)
{
    EVP_PKEY *public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, ED25519_KEY_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good =
        public != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, public) == 1 &&
        EVP_DigestVerify(ctx, signature.data, signature.len, message.data, message.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(public);
    /* What stays in this thread's queue would be taken for an error of TLS. */
    ERR_clear_error();
    return good;
}
