#include "servers/sql.h"

#include "base/mem.h"

#include <mysql.h>

#include <strings.h>

struct sql {
    MYSQL handle;
};

struct sql_rows {
    MYSQL_RES *result;
    MYSQL_ROW row;
};

void sql_start(void)
{
    must(mysql_library_init(0, NULL, NULL) == 0);
}

/* The library compares before it sends anything of the account. */
static void set_only(MYSQL *m, const struct sql_fingerprint *only)
{
    bool is_new = MARIADB_PACKAGE_VERSION_ID >= 30400;
    const uint8_t *sum = is_new ? only->sha256 : only->sha1;
    char text[2 * 32 + 1];
    for (unsigned i = 0; i < (is_new ? 32 : 20); i++)
        snprintf(text + 2 * i, 3, "%02X", sum[i]);
    mysql_options(m, MARIADB_OPT_TLS_PEER_FP, text);
}

static void set_tls(MYSQL *m, const struct sql_account *a)
{
    my_bool with = a->with_tls, verify = false;
    mysql_options(m, MYSQL_OPT_SSL_ENFORCE, &with);
    mysql_options(m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    if (!with)
        return;
    if (a->only != NULL)
        set_only(m, a->only);
    if (a->tls_certificate != NULL) {
        mysql_options(m, MYSQL_OPT_SSL_CERT, a->tls_certificate);
        mysql_options(m, MYSQL_OPT_SSL_KEY, a->tls_key);
    }
    mysql_options(m, MARIADB_OPT_TLS_VERSION, a->tls_versions);
    if (a->tls_ciphers[0] != '\0')
        mysql_options(m, MYSQL_OPT_SSL_CIPHER, a->tls_ciphers);
}

static void set_options(MYSQL *m, unsigned timeout_s)
{
    unsigned no = 0;
    mysql_options(m, MYSQL_OPT_CONNECT_TIMEOUT, &timeout_s);
    mysql_options(m, MYSQL_OPT_READ_TIMEOUT, &timeout_s);
    mysql_options(m, MYSQL_OPT_WRITE_TIMEOUT, &timeout_s);
    /* A server must not be able to ask for our files, nor for the password in clear. */
    mysql_options(m, MYSQL_OPT_LOCAL_INFILE, &no);
    mysql_options(m, MARIADB_OPT_RESTRICTED_AUTH,
                  "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519");
    mysql_options4(m, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "volvox monitor");
}

struct sql *sql_connect(const struct sql_account *a)
{
    struct sql *c = mem_zalloc(sizeof(*c));
    must(mysql_init(&c->handle) != NULL);
    set_options(&c->handle, a->timeout_s);
    set_tls(&c->handle, a);
    (void)!mysql_real_connect(&c->handle, a->host, a->user, a->password, NULL, a->port, a->socket,
                              0);
    return c;
}

void sql_disconnect(struct sql *c)
{
    if (c == NULL)
        return;
    mysql_close(&c->handle);
    mem_free(c);
}

unsigned sql_errno(const struct sql *c)
{
    return mysql_errno((MYSQL *)&c->handle);
}

const char *sql_error(const struct sql *c)
{
    return mysql_error((MYSQL *)&c->handle);
}

void sql_greeting(struct sql *c, struct sql_greeting *out)
{
    unsigned long caps = 0, mariadb_caps = 0;
    mariadb_get_infov(&c->handle, MARIADB_CONNECTION_SERVER_CAPABILITIES, &caps);
    mariadb_get_infov(&c->handle, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES, &mariadb_caps);
    out->version = mysql_get_server_info(&c->handle);
    out->is_mariadb = mariadb_connection(&c->handle);
    out->caps = (uint32_t)caps;
    if (out->is_mariadb)
        out->caps |= (uint64_t)mariadb_caps << 32;
}

struct sql_rows *sql_query(struct sql *c, const char *text)
{
    MYSQL_RES *result = NULL;
    if (mysql_query(&c->handle, text) == 0)
        result = mysql_store_result(&c->handle);
    if (result == NULL)
        return NULL;
    struct sql_rows *r = mem_zalloc(sizeof(*r));
    r->result = result;
    return r;
}

bool sql_next(struct sql_rows *r)
{
    r->row = mysql_fetch_row(r->result);
    return r->row != NULL;
}

const char *sql_value(const struct sql_rows *r, unsigned column)
{
    return column < mysql_num_fields(r->result) ? r->row[column] : NULL;
}

const char *sql_value_named(const struct sql_rows *r, const char *name)
{
    const MYSQL_FIELD *fields = mysql_fetch_fields(r->result);
    for (unsigned i = 0; i < mysql_num_fields(r->result); i++)
        if (strcasecmp(fields[i].name, name) == 0)
            return r->row[i];
    return NULL;
}

void sql_rows_free(struct sql_rows *r)
{
    mysql_free_result(r->result);
    mem_free(r);
}
