/*
 * auth_native.c - mysql_native_password:
 *
 *      token = SHA1(password) XOR SHA1(scramble, SHA1(SHA1(password)))
 */
#include "protocol/inside.h"

#include <openssl/crypto.h>

bool native_matches(const uint8_t scramble[SCRAMBLE_BYTES], const uint8_t token[SHA1_BYTES],
                    const uint8_t sha1_twice[SHA1_BYTES])
{
    uint8_t once[SHA1_BYTES], twice[SHA1_BYTES];
    sha1_of(bytes_of(scramble, SCRAMBLE_BYTES), bytes_of(sha1_twice, SHA1_BYTES), once);
    xor_into(once, token, SHA1_BYTES);
    sha1_of(bytes_of(once, SHA1_BYTES), BYTES_NONE, twice);
    bool equal = digest_equal(twice, sha1_twice, SHA1_BYTES);
    OPENSSL_cleanse(once, sizeof once);
    return equal;
}

void native_make(const uint8_t scramble[SCRAMBLE_BYTES], struct bytes password,
                 uint8_t out[SHA1_BYTES])
{
    uint8_t once[SHA1_BYTES], twice[SHA1_BYTES];
    sha1_of(password, BYTES_NONE, once);
    sha1_of(bytes_of(once, SHA1_BYTES), BYTES_NONE, twice);
    sha1_of(bytes_of(scramble, SCRAMBLE_BYTES), bytes_of(twice, SHA1_BYTES), out);
    xor_into(out, once, SHA1_BYTES);
    OPENSSL_cleanse(once, sizeof once);
}
