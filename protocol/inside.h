/*
 * inside.h - what the files of protocol/ share with each other only.
 */
#ifndef PROTOCOL_INSIDE_H
#define PROTOCOL_INSIDE_H

#include "protocol/protocol.h"

enum {
    OK_HEADER = 0x00,
    MORE_DATA_HEADER = 0x01,
    NEXT_FACTOR_HEADER = 0x02,
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
enum { SHA1_BYTES = 20, SHA256_BYTES = 32, SHA512_BYTES = 64 };
/* Digest of the parts, one after the other. */
void sha1_of(struct bytes a, struct bytes b, uint8_t out[SHA1_BYTES]);
void sha512_of(struct bytes a, struct bytes b, struct bytes c, uint8_t out[SHA512_BYTES]);
void sha256_twice_of(struct bytes password, uint8_t out[SHA256_BYTES]);
void xor_into(uint8_t *to, const uint8_t *with, size_t n);
bool digest_equal(const uint8_t *a, const uint8_t *b, size_t n); /* constant time */
/* A context made for SHA256, for many digests in a row. */
struct evp_md_ctx_st;
struct evp_md_ctx_st *sha256_begin(void);
void sha256_restart(struct evp_md_ctx_st *ctx);

/* ---- auth_native.c, auth_sha2.c, auth_ed25519.c: what one plugin does ---- */
bool native_matches(const uint8_t scramble[SCRAMBLE_BYTES], const uint8_t token[SHA1_BYTES],
                    const uint8_t sha1_twice[SHA1_BYTES], uint8_t sha1[SHA1_BYTES]);
void native_make(const uint8_t scramble[SCRAMBLE_BYTES], const uint8_t sha1[SHA1_BYTES],
                 uint8_t out[SHA1_BYTES]);
bool sha2_matches(const uint8_t scramble[SCRAMBLE_BYTES], const uint8_t token[SHA256_BYTES],
                  const uint8_t sha256_twice[SHA256_BYTES]);
void sha2_make(const uint8_t scramble[SCRAMBLE_BYTES], struct bytes password,
               uint8_t out[SHA256_BYTES]);
void ed25519_public(struct bytes password, uint8_t key[ED25519_KEY_BYTES]);
/* MariaDB's way: the expanded key is SHA512 of the password, whatever its length. */
void ed25519_sign(struct bytes password, struct bytes message,
                  uint8_t out[ED25519_SIGNATURE_BYTES]);
bool ed25519_verify(const uint8_t key[ED25519_KEY_BYTES], struct bytes message,
                    struct bytes signature);

/* ---- auth_parsec.c ---- */
enum { PARSEC_SALT_BYTES = 18, PARSEC_EXT_SALT_BYTES = 20, PARSEC_ANSWER_BYTES = 96 };
/* The answer to the server's salt, for its scramble; false if the salt makes no sense. */
bool parsec_answer(struct bytes password, const uint8_t scramble[32], struct bytes ext_salt,
                   uint8_t out[PARSEC_ANSWER_BYTES]);

/* ---- auth_crypt.c ---- */
/* "$A$005$salt digest" or "$5$salt$digest"; false if it is neither. */
bool sha_crypt_read(struct bytes text, struct sha_crypt *out);
void sha_crypt_begin(struct sha_crypt_work *w, const struct sha_crypt *c, struct bytes password);
/* Some rounds; true when all are done, and w->digest is the result. */
bool sha_crypt_step(struct sha_crypt_work *w, const struct sha_crypt *c, size_t password_len);

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
