/*
 * auth_native.c - mysql_native_password:
 *
 *      token = SHA1(password) XOR SHA1(scramble, SHA1(SHA1(password)))
 *
 * So who knows SHA1(SHA1(password)) learns SHA1(password) from a token, and can make tokens.
 */
#include "protocol/inside.h"

#include <openssl/crypto.h>

bool native_matches(const uint8_t scramble[SCRAMBLE_BYTES], const uint8_t token[SHA1_BYTES],
                    const uint8_t sha1_twice[SHA1_BYTES], uint8_t sha1[SHA1_BYTES])
{
    uint8_t twice[SHA1_BYTES];
    sha1_of(bytes_of(scramble, SCRAMBLE_BYTES), bytes_of(sha1_twice, SHA1_BYTES), sha1);
    xor_into(sha1, token, SHA1_BYTES);
    sha1_of(bytes_of(sha1, SHA1_BYTES), BYTES_NONE, twice);
    return digest_equal(twice, sha1_twice, SHA1_BYTES);
}

void native_make(const uint8_t scramble[SCRAMBLE_BYTES], const uint8_t sha1[SHA1_BYTES],
                 uint8_t out[SHA1_BYTES])
{
    uint8_t twice[SHA1_BYTES];
    sha1_of(bytes_of(sha1, SHA1_BYTES), BYTES_NONE, twice);
    sha1_of(bytes_of(scramble, SCRAMBLE_BYTES), bytes_of(twice, SHA1_BYTES), out);
    xor_into(out, sha1, SHA1_BYTES);
}
