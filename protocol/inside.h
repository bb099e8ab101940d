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

/* ---- engine.c: zlib and zstd ---- */
/* Compress into at most `room` bytes: how many it took, 0 if it takes more. */
size_t engine_compress(struct compress_tools *tools, enum compression algorithm, unsigned level,
                       struct bytes data, uint8_t *to, size_t room);
/* What decompresses one frame: taken when it begins, given back when it ended well. */
struct engine *engine_take(struct compress_tools *tools, enum compression algorithm);
void engine_give(struct compress_tools *tools, struct engine *e);
void engine_free(struct engine *e);           /* NULL is fine */
struct engine_run {
    struct bytes in;          /* what is left of it afterwards */
    uint8_t *to;
    size_t room, made;
};
/* As far as input and room last; false when the input makes no sense. */
bool engine_decompress(struct engine *e, struct engine_run *run, bool *ended);
/* May more follow in the same frame after its end?  zstd's frames may stand in a row. */
bool engine_may_go_on(const struct engine *e);

#endif
