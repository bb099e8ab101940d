/*
 * inside.h - what the files of protocol/ share with each other only.
 */
#ifndef PROTOCOL_INSIDE_H
#define PROTOCOL_INSIDE_H

#include "protocol/protocol.h"

enum {
    OK_HEADER = 0x00,
    MORE_DATA_HEADER = 0x01,
    NULL_HEADER = 0xFB,
    EOF_HEADER = 0xFE,
    ERR_HEADER = 0xFF
};
enum { EOF_BYTES = 5 };
enum { ATTRIBUTES_MAX = 65535 };
/* MariaDB's progress reports look like errors of this number. */
enum { PROGRESS_CODE = 0xFFFF };

/* ---- wire.c ---- */
size_t lenenc_size(uint64_t v);

/* ---- reply.c ---- */
/* The status flags of an OK or EOF payload; false when it is neither. */
bool reply_status(struct bytes payload, uint16_t *status);

/* ---- auth.c ---- */
enum { SHA1_BYTES = 20, SHA256_BYTES = 32 };
/* Digest of a followed by b. */
void sha1_of(struct bytes a, struct bytes b, uint8_t out[SHA1_BYTES]);
void sha256_of(struct bytes a, struct bytes b, uint8_t out[SHA256_BYTES]);
void xor_into(uint8_t *to, const uint8_t *with, size_t n);
bool digest_equal(const uint8_t *a, const uint8_t *b, size_t n); /* constant time */

/* ---- auth_native.c, auth_sha2.c: what one plugin does ---- */
bool native_matches(const uint8_t scramble[SCRAMBLE_BYTES], const uint8_t token[SHA1_BYTES],
                    const uint8_t sha1_twice[SHA1_BYTES]);
void native_make(const uint8_t scramble[SCRAMBLE_BYTES], struct bytes password,
                 uint8_t out[SHA1_BYTES]);
bool sha2_matches(const uint8_t scramble[SCRAMBLE_BYTES], const uint8_t token[SHA256_BYTES],
                  const uint8_t sha256_twice[SHA256_BYTES]);
void sha2_make(const uint8_t scramble[SCRAMBLE_BYTES], struct bytes password,
               uint8_t out[SHA256_BYTES]);

#endif
