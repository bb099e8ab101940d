/*
 * certificates.h - certificates made for a test: an authority, and what it signs.
 */
#ifndef UNIT_NET_CERTIFICATES_H
#define UNIT_NET_CERTIFICATES_H

#include "base/mem.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct made {
    X509 *x;
    EVP_PKEY *pair;
    char *certificate, *key; /* PEM */
};

static inline char *pem_text(BIO *bio)
{
    char *data;
    long n = BIO_get_mem_data(bio, &data);
    char *text = mem_strndup(data, (size_t)n);
    BIO_free(bio);
    return text;
}

static inline void add_extension(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    must(e != NULL && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

/* Signed by `by` (NULL: by itself, an authority); `names` as in "DNS:db.test,IP:127.0.0.1", NULL =
 * none; good from `from_s` to `until_s` from now. */
static inline struct made make_certificate_for(const char *cn, const char *names,
                                               const struct made *by, long from_s, long until_s)
{
    static long serial = 1;
    struct made m = { X509_new(), EVP_EC_gen("P-256"), NULL, NULL };
    X509_NAME *name = X509_get_subject_name(m.x);
    X509_set_version(m.x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(m.x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(m.x), from_s);
    X509_gmtime_adj(X509_getm_notAfter(m.x), until_s);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"Volvox", -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(m.x, by != NULL ? X509_get_subject_name(by->x) : name);
    X509_set_pubkey(m.x, m.pair);
    if (by == NULL)
        add_extension(m.x, NID_basic_constraints, "critical,CA:TRUE");
    if (names != NULL)
        add_extension(m.x, NID_subject_alt_name, names);
    must(X509_sign(m.x, by != NULL ? by->pair : m.pair, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, m.x);
    m.certificate = pem_text(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, m.pair, NULL, NULL, 0, NULL, NULL);
    m.key = pem_text(bio);
    return m;
}

static inline struct made make_certificate(const char *cn, const char *names, const struct made *by)
{
    return make_certificate_for(cn, names, by, -3600, 86400);
}

/* An authority's list with one revoked certificate. */
static inline char *make_crl(const struct made *by, const struct made *revoked)
{
    X509_CRL *crl = X509_CRL_new();
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *later = X509_gmtime_adj(NULL, 86400);
    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(by->x));
    X509_CRL_set1_lastUpdate(crl, now);
    X509_CRL_set1_nextUpdate(crl, later);
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->x));
    X509_REVOKED_set_revocationDate(entry, now);
    must(X509_CRL_add0_revoked(crl, entry) == 1);
    must(X509_CRL_sign(crl, by->pair, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509_CRL(bio, crl);
    ASN1_TIME_free(now);
    ASN1_TIME_free(later);
    X509_CRL_free(crl);
    return pem_text(bio);
}

static inline void made_free(struct made *m)
{
    X509_free(m->x);
    EVP_PKEY_free(m->pair);
    mem_free(m->certificate);
    mem_free(m->key);
}

#endif
