/*
 * sql.h - a narrow face of libmariadb, BLOCKING.
 *
 * mysql.h and protocol.h name the same commands, so no file can include both: this one
 * includes neither.  Each connection is used by one thread at a time.
 */
#ifndef SERVERS_SQL_H
#define SERVERS_SQL_H

#include <stdbool.h>
#include <stdint.h>

struct sql;
struct sql_rows;

/* Of the server's certificate; the library wants the one or the other. */
struct sql_fingerprint {
    const uint8_t *sha1, *sha256;
};
struct sql_account {
    const char *host, *socket;      /* one of them NULL */
    unsigned port;
    const char *user, *password;
    unsigned timeout_s;             /* to connect, for each read and each write */
    bool with_tls;                  /* if the server offers it ...                           */
    const struct sql_fingerprint *only; /* ... and with this one or not at all; NULL = any   */
    const char *tls_certificate, *tls_key; /* paths; NULL = none                             */
    const char *tls_versions, *tls_ciphers; /* "TLSv1.3", ...; "" = the library's            */
};

/* Once, before any thread uses the rest. */
void sql_start(void);
/* Never NULL; look at sql_errno().  sql_disconnect() in either case. */
struct sql *sql_connect(const struct sql_account *account);
void sql_disconnect(struct sql *c);           /* NULL is fine */
unsigned sql_errno(const struct sql *c);      /* of the last call; 0 = none */
const char *sql_error(const struct sql *c);

/* What the server said of itself when it greeted; the version lives as long as `c`. */
struct sql_greeting {
    const char *version;
    bool is_mariadb;
    uint64_t caps;
};
void sql_greeting(struct sql *c, struct sql_greeting *out);

/* The rows of a query, or NULL with an error. */
struct sql_rows *sql_query(struct sql *c, const char *text);
bool sql_next(struct sql_rows *r);
/* Of the row that sql_next() went to: by place, by name in any case; NULL when it is NULL or
 * there is no such column. */
const char *sql_value(const struct sql_rows *r, unsigned column);
const char *sql_value_named(const struct sql_rows *r, const char *name);
void sql_rows_free(struct sql_rows *r);

#endif
