/*
 * auth_sha2.c - caching_sha2_password.  Fast:
 *
 *      token = SHA256(password) XOR SHA256(SHA256(SHA256(password)), scramble)
 *
 * Full: the password itself with its NUL, through TLS; or without TLS as auth_rsa.c has it.
 */
#include "protocol/inside.h"

#include <openssl/crypto.h>

bool sha2_matches(const uint8_t scramble[SCRAMBLE_BYTES], const uint8_t token[SHA256_BYTES],
                  const uint8_t sha256_twice[SHA256_BYTES])
{
    uint8_t once[SHA256_BYTES], twice[SHA256_BYTES];
    sha256_of(bytes_of(sha256_twice, SHA256_BYTES), bytes_of(scramble, SCRAMBLE_BYTES), once);
    xor_into(once, token, SHA256_BYTES);
    sha256_of(bytes_of(once, SHA256_BYTES), BYTES_NONE, twice);
    bool equal = digest_equal(twice, sha256_twice, SHA256_BYTES);
    OPENSSL_cleanse(once, sizeof once);
    return equal;
}

void sha2_make(const uint8_t scramble[SCRAMBLE_BYTES], struct bytes password,
               uint8_t out[SHA256_BYTES])
{
    uint8_t once[SHA256_BYTES], twice[SHA256_BYTES];
    sha256_of(password, BYTES_NONE, once);
    sha256_of(bytes_of(once, SHA256_BYTES), BYTES_NONE, twice);
    sha256_of(bytes_of(twice, SHA256_BYTES), bytes_of(scramble, SCRAMBLE_BYTES), out);
    xor_into(out, once, SHA256_BYTES);
    OPENSSL_cleanse(once, sizeof once);
}
