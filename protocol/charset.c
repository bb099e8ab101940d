/*
 * charset.c - collations of MariaDB 10.11 and 11.8 and of MySQL 9.7, by id and by name.
 *
 * The families agree on every id that both have, but for five: what MySQL calls
 * <charset>_croatian_ci (utf16 122, ucs2 149, utf32 181, utf8mb3 213, utf8mb4 245) is
 * <charset>_croatian_mysql561_ci in MariaDB, whose own <charset>_croatian_ci has another
 * id (672, 640, 736, 576, 608).  By id the name is MySQL's, which either family accepts
 * in SET NAMES; by name the lower id is found, which fits into a login packet.
 */
#include "protocol/inside.h"

#include "base/str.h"

#include <pthread.h>

enum { MARIADB_10 = 1, MARIADB_11 = 2, MYSQL = 4 };

static const struct collation collations[] = {
#define OF(who, id, charset, rest) { id, who, #charset, #charset "_" #rest },
#define A(id, charset)       { id, MARIADB_10 | MARIADB_11 | MYSQL, #charset, #charset },
#define C(id, charset, rest) OF(MARIADB_10 | MARIADB_11 | MYSQL, id, charset, rest)
#define D(id, charset, rest) OF(MARIADB_10 | MARIADB_11, id, charset, rest)
#define E(id, charset, rest) OF(MARIADB_11, id, charset, rest)
#define F(id, charset, rest) OF(MARIADB_11 | MYSQL, id, charset, rest)
#define M(id, charset, rest) OF(MYSQL, id, charset, rest)
#include "protocol/collations.inc"
#undef OF
#undef A
#undef C
#undef D
#undef E
#undef F
#undef M
};

enum { COLLATIONS = ARRAY_LEN(collations), NAME_MAX_BYTES = 64 };

const struct collation *collation_by_id(unsigned id)
{
    size_t low = 0, high = COLLATIONS;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (collations[middle].id == id)
            return &collations[middle];
        if (collations[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* ---- by name ---- */

static uint16_t by_name[COLLATIONS];

static int compare_names(const void *a, const void *b)
{
    const struct collation *x = &collations[*(const uint16_t *)a];
    const struct collation *y = &collations[*(const uint16_t *)b];
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : (int)x->id - (int)y->id;
}

static void sort_names(void)
{
    for (uint16_t i = 0; i < COLLATIONS; i++)
        by_name[i] = i;
    qsort(by_name, COLLATIONS, sizeof by_name[0], compare_names);
}

/* The first that is not less, so the lowest id among equals. */
static const struct collation *find_name(const char *name)
{
    size_t low = 0, high = COLLATIONS;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(collations[by_name[middle]].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == COLLATIONS || strcmp(collations[by_name[low]].name, name) != 0)
        return NULL;
    return &collations[by_name[low]];
}

const struct collation *collation_by_name(struct bytes name)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const char old[] = "utf8_", now[] = "utf8mb3_";
    char folded[NAME_MAX_BYTES + sizeof now];
    if (name.len > NAME_MAX_BYTES || (name.len > 0 && memchr(name.data, 0, name.len) != NULL))
        return NULL;
    must(pthread_once(&once, sort_names) == 0);

    size_t n = 0;
    if (name.len >= sizeof old - 1 &&
        bytes_equal_nocase(bytes_of(name.data, sizeof old - 1), bytes_str(old))) {
        memcpy(folded, now, sizeof now - 1);
        n = sizeof now - 1;
        name = bytes_skip(name, sizeof old - 1);
    }
    for (size_t i = 0; i < name.len; i++)
        folded[n++] = (char)ascii_lower(name.data[i]);
    folded[n] = 0;
    return find_name(folded);
}

bool charset_is_for_clients(const char *charset)
{
    return strncmp(charset, "ucs2", 4) != 0 && strncmp(charset, "utf16", 5) != 0 &&
           strncmp(charset, "utf32", 5) != 0 && strcmp(charset, "filename") != 0;
}

size_t charset_width(struct bytes charset)
{
    if (bytes_equal(charset, BYTES_LITERAL("utf32")))
        return 4;
    bool is_wide = bytes_equal(charset, BYTES_LITERAL("ucs2")) ||
                   bytes_equal(charset, BYTES_LITERAL("utf16")) ||
                   bytes_equal(charset, BYTES_LITERAL("utf16le"));
    return is_wide ? 2 : 1;
}

/* MySQL's collations of UCA 9.0 came to MariaDB with 11.4.5, and only some of them. */
bool collation_known(unsigned id, bool is_mariadb, uint32_t version)
{
    unsigned who = !is_mariadb ? MYSQL : version >= 110405 ? MARIADB_11 : MARIADB_10;
    const struct collation *c = collation_by_id(id);
    return c != NULL && (c->servers & who) != 0;
}
