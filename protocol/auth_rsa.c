/*
 * auth_rsa.c - passwords on their way without TLS: with their NUL, XORed with the scramble,
 * encrypted for the other side's RSA key (OAEP with SHA1).
 */
#include "protocol/inside.h"

#include "base/mem.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

enum { RSA_BITS = 2048, RSA_BITS_MAX = 8192, RSA_BYTES_MAX = RSA_BITS_MAX / 8, OAEP_BYTES = 42 };

struct rsa_key {
    EVP_PKEY *pair;
    char *pem; /* the public half */
    size_t pem_len;
};

static struct rsa_key *failed(struct fault *why, const char *what)
{
    char reason[160];
    unsigned long code = ERR_get_error();
    if (code != 0)
        ERR_error_string_n(code, reason, sizeof reason);
    else
        snprintf(reason, sizeof reason, "no reason given");
    /* What stays in this thread's queue would be taken for an error of TLS. */
    ERR_clear_error();
    fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR, "%s: %s", what, reason);
    return NULL;
}

static char *public_pem_of(EVP_PKEY *pair, size_t *len)
{
    char *pem = NULL, *copy = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio != NULL && PEM_write_bio_PUBKEY(bio, pair) == 1) {
        long n = BIO_get_mem_data(bio, &pem);
        *len = (size_t)n;
        copy = mem_strndup(pem, *len);
    }
    BIO_free(bio);
    return copy;
}

/* Takes the pair. */
static struct rsa_key *key_of(EVP_PKEY *pair, struct fault *why)
{
    size_t pem_len;
    char *pem = public_pem_of(pair, &pem_len);
    if (pem == NULL) {
        EVP_PKEY_free(pair);
        return failed(why, "cannot write an RSA public key");
    }
    struct rsa_key *k = mem_alloc(sizeof *k);
    *k = (struct rsa_key){ .pair = pair, .pem = pem, .pem_len = pem_len };
    return k;
}

struct rsa_key *rsa_key_new(struct fault *why)
{
    EVP_PKEY *pair = EVP_RSA_gen(RSA_BITS);
    return pair != NULL ? key_of(pair, why) : failed(why, "cannot make an RSA key");
}

static bool is_good_rsa(const EVP_PKEY *key)
{
    int bits = EVP_PKEY_get_bits(key);
    return EVP_PKEY_is_a(key, "RSA") && bits >= 1024 && bits <= RSA_BITS_MAX;
}

/* For PEM files with a pass phrase: there is nobody to ask. */
static int no_pass_phrase(char *text, int size, int writing, void *arg)
{
    (void)text, (void)size, (void)writing, (void)arg;
    return -1;
}

struct rsa_key *rsa_key_load(const char *pem_file, struct fault *why)
{
    FILE *f = fopen(pem_file, "re");
    if (f == NULL) {
        fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR, "cannot open %s: %m", pem_file);
        return NULL;
    }
    EVP_PKEY *pair = PEM_read_PrivateKey(f, NULL, no_pass_phrase, NULL);
    fclose(f);
    if (pair == NULL)
        return failed(why, "cannot read an RSA private key");
    if (!is_good_rsa(pair)) {
        EVP_PKEY_free(pair);
        fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR, "%s is not an RSA key of 1024 to %d bits",
                  pem_file, RSA_BITS_MAX);
        return NULL;
    }
    return key_of(pair, why);
}

void rsa_key_free(struct rsa_key *k)
{
    if (k == NULL)
        return;
    EVP_PKEY_free(k->pair);
    mem_free(k->pem);
    mem_free(k);
}

struct bytes rsa_key_public_pem(const struct rsa_key *k)
{
    return bytes_of(k->pem, k->pem_len);
}

static void xor_with_scramble(uint8_t *text, size_t n, const uint8_t scramble[SCRAMBLE_BYTES])
{
    for (size_t i = 0; i < n; i++)
        text[i] ^= scramble[i % SCRAMBLE_BYTES];
}

static bool oaep_decrypt(EVP_PKEY *pair, struct bytes cipher, uint8_t *text, size_t *len)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pair, NULL);
    bool done = ctx != NULL && EVP_PKEY_decrypt_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
                EVP_PKEY_decrypt(ctx, text, len, cipher.data, cipher.len) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return done;
}

int rsa_key_decrypt(const struct rsa_key *k, struct bytes cipher,
                    const uint8_t scramble[SCRAMBLE_BYTES], uint8_t *password, size_t size)
{
    uint8_t text[RSA_BYTES_MAX];
    size_t len = sizeof text;
    int password_len = -1;
    if (cipher.len == (size_t)EVP_PKEY_get_size(k->pair) &&
        oaep_decrypt(k->pair, cipher, text, &len)) {
        xor_with_scramble(text, len, scramble);
        if (len > 0 && text[len - 1] == 0 && len - 1 <= size) {
            memcpy(password, text, len - 1);
            password_len = (int)len - 1;
        }
    }
    OPENSSL_cleanse(text, sizeof text);
    return password_len;
}

static bool oaep_encrypt(EVP_PKEY *key, const uint8_t *text, size_t n, uint8_t *cipher, size_t *len)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool done = ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
                EVP_PKEY_encrypt(ctx, cipher, len, text, n) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return done;
}

static EVP_PKEY *public_key_of(struct bytes pem)
{
    BIO *bio = pem.len <= 64 * 1024 ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PUBKEY(bio, NULL, no_pass_phrase, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (key != NULL && !is_good_rsa(key)) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

bool rsa_encrypt_password(struct bytes pem, const uint8_t scramble[SCRAMBLE_BYTES],
                          const struct secret *secret, struct buf *out, struct fault *why)
{
    uint8_t text[RSA_BYTES_MAX], cipher[RSA_BYTES_MAX];
    size_t n = secret->clear_len + 1, len = sizeof cipher;
    if (secret->clear == NULL)
        return fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR,
                         "volvox: the account's password is not known in clear");
    EVP_PKEY *key = public_key_of(pem);
    if (key == NULL)
        return fault_set(why, BLAME_SERVER, ER_MALFORMED_PACKET,
                         "volvox: the server's public key is not an RSA key in PEM");
    bool done = n + OAEP_BYTES <= (size_t)EVP_PKEY_get_size(key);
    if (done) {
        memcpy(text, secret->clear, n);
        xor_with_scramble(text, n, scramble);
        done = oaep_encrypt(key, text, n, cipher, &len);
        OPENSSL_cleanse(text, n);
    }
    EVP_PKEY_free(key);
    if (!done)
        return fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR,
                         "volvox: the password does not fit the server's RSA key");
    buf_add(out, bytes_of(cipher, len));
    return true;
}
