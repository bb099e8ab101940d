/*
 * tls_keys.c - keys of the process: those of session tickets, and a certificate for who has none.
 *
 * A ticket is the server's side of a session, encrypted and kept by the client: nothing is stored
 * here, and all workers and contexts understand it (a context takes only what it gave itself: the
 * session says which one that was).  Keys live in memory only.  One encrypts for an hour, and
 * decrypts for another, because a ticket is good for an hour.
 */
#include "net/inside.h"

#include "base/clock.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

/* ---- tickets ------------------------------------------------------------------------- */

enum { NAME_BYTES = 16, KEY_BYTES = 32 };

struct ticket_key {
    uint8_t name[NAME_BYTES], cipher[KEY_BYTES], mac[KEY_BYTES];
    uint64_t made_us; /* 0: none yet */
};

static struct {
    pthread_mutex_t lock;
    struct ticket_key now, before;
} ring = { .lock = PTHREAD_MUTEX_INITIALIZER };

static uint64_t age_s(const struct ticket_key *k)
{
    return (clock_us() - k->made_us) / 1000000;
}

static bool make_key(struct ticket_key *k)
{
    k->made_us = clock_us();
    return RAND_bytes(k->name, sizeof k->name) == 1 &&
           RAND_priv_bytes(k->cipher, sizeof k->cipher) == 1 &&
           RAND_priv_bytes(k->mac, sizeof k->mac) == 1;
}

/* The key to encrypt with. */
static bool present_key(struct ticket_key *out)
{
    bool ok = true;
    pthread_mutex_lock(&ring.lock);
    if (ring.now.made_us == 0 || age_s(&ring.now) >= TLS_TICKET_S) {
        struct ticket_key next;
        ok = make_key(&next);
        if (ok) {
            ring.before = ring.now;
            ring.now = next;
        }
        OPENSSL_cleanse(&next, sizeof next);
    }
    *out = ring.now;
    pthread_mutex_unlock(&ring.lock);
    return ok;
}

/* The key of that name, unless it is too old; is it the present one? */
static bool find_key(const uint8_t name[NAME_BYTES], struct ticket_key *out, bool *is_present)
{
    bool found = false;
    const struct ticket_key *keys[] = { &ring.now, &ring.before };
    pthread_mutex_lock(&ring.lock);
    for (unsigned i = 0; i < ARRAY_LEN(keys) && !found; i++) {
        found = keys[i]->made_us != 0 && memcmp(keys[i]->name, name, NAME_BYTES) == 0 &&
                age_s(keys[i]) < 2 * TLS_TICKET_S;
        if (found)
            *out = *keys[i];
        *is_present = i == 0 && age_s(keys[i]) < TLS_TICKET_S;
    }
    pthread_mutex_unlock(&ring.lock);
    return found;
}

static bool set_mac(EVP_MAC_CTX *mac, const struct ticket_key *k)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)k->mac, sizeof k->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* OpenSSL's question: set up the two for a ticket that is made, or for one that came.  -1 failed,
 * 0 no such key, 1 done, 2 done and give it a new one. */
static int set_up_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int encrypt)
{
    struct ticket_key k;
    bool is_present = true, ok;
    if (encrypt) {
        ok = present_key(&k) && RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
             EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), k.cipher, iv, NULL) == 1;
        memcpy(name, k.name, NAME_BYTES);
    } else {
        if (!find_key(name, &k, &is_present))
            return 0;
        ok = EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), k.cipher, iv, NULL) == 1;
    }
    ok = ok && set_mac(mac, &k);
    OPENSSL_cleanse(&k, sizeof k);
    if (!ok)
        return -1;
    /* In TLS 1.3 clients want to use each ticket once. */
    return is_present && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
}

void tls_use_ticket_keys(SSL_CTX *ctx)
{
    must(SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, set_up_ticket) == 1);
    SSL_CTX_set_timeout(ctx, TLS_TICKET_S);
    /* One will do: a client that has many connections may use it for all of them. */
    must(SSL_CTX_set_num_tickets(ctx, 1) == 1);
}

/* ---- a certificate ------------------------------------------------------------------- */

enum { OWN_DAYS = 3650 };

static X509 *own_certificate;
static EVP_PKEY *own_key;

static bool name_it(X509 *x)
{
    X509_NAME *name = X509_get_subject_name(x);
    const char *text = "Volvox, made at start";
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)text, -1, -1,
                                      0) == 1 &&
           X509_set_issuer_name(x, name) == 1;
}

/* Some clients refuse a certificate without a serial number, or of a version before 3. */
static bool number_it(X509 *x)
{
    uint64_t serial;
    return RAND_bytes((uint8_t *)&serial, sizeof serial) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1 | 1) == 1 &&
           X509_set_version(x, X509_VERSION_3) == 1;
}

static void make_own(void)
{
    own_key = EVP_EC_gen("P-256");
    own_certificate = X509_new();
    must(own_key != NULL && own_certificate != NULL);
    must(name_it(own_certificate) && number_it(own_certificate));
    must(X509_gmtime_adj(X509_getm_notBefore(own_certificate), -86400) != NULL);
    must(X509_time_adj_ex(X509_getm_notAfter(own_certificate), OWN_DAYS, 0, NULL) != NULL);
    must(X509_set_pubkey(own_certificate, own_key) == 1);
    must(X509_sign(own_certificate, own_key, EVP_sha256()) > 0);
}

void tls_use_own_certificate(SSL_CTX *ctx)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    must(pthread_once(&once, make_own) == 0);
    must(SSL_CTX_use_certificate(ctx, own_certificate) == 1);
    must(SSL_CTX_use_PrivateKey(ctx, own_key) == 1);
}
