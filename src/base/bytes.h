/*
 * bytes.h - a view: pointer and length.  Owns nothing.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include "base/base.h"

struct bytes {
    const uint8_t *data;      /* may be NULL only when len is 0 */
    size_t len;
};

#define BYTES_LITERAL(s) ((struct bytes){ (const uint8_t *)("" s ""), sizeof(s) - 1 })
#define BYTES_NONE ((struct bytes){ NULL, 0 })
/* For printf: "%.*s", BYTES_FMT(b) */
#define BYTES_FMT(b) (int)(b).len, (const char *)(b).data

static inline struct bytes bytes_of(const void *data, size_t len)
{
    return (struct bytes){ data, len };
}

/* View of a NUL-terminated string, without its NUL. */
static inline struct bytes bytes_str(const char *s)
{
    return (struct bytes){ (const uint8_t *)s, s ? strlen(s) : 0 };
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* ASCII letters compare equal in either case; other bytes as they are. */
bool bytes_equal_nocase(struct bytes a, struct bytes b);

/* Order as memcmp, shorter first when one is a prefix of the other. */
int bytes_compare(struct bytes a, struct bytes b);

/* The view without its first n bytes (n <= b.len). */
static inline struct bytes bytes_skip(struct bytes b, size_t n)
{
    must(n <= b.len);
    return (struct bytes){ b.data ? b.data + n : NULL, b.len - n };
}

#endif
