/*
 * str.h - parse and fold short strings.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/bytes.h"

static inline uint8_t ascii_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}
static inline bool ascii_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}
static inline bool ascii_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* The digit's value, or -1. */
static inline int ascii_hex(uint8_t c)
{
    if (ascii_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Two digits a byte; false when the text is anything but 2 * size of them. */
bool str_from_hex(struct bytes text, uint8_t *out, size_t size);

/* Without ASCII white space at both ends. */
struct bytes str_trim(struct bytes s);

/* Copy s into dst, cut at size-1, always NUL-terminated (size > 0). */
void str_copy(char *dst, size_t size, struct bytes s);

/* Whole of s is a decimal number (no sign) that fits; else false. */
bool str_to_u64(struct bytes s, uint64_t *out);

/* Edit distance, for "did you mean"; ASCII letters fold. */
unsigned str_distance(struct bytes a, struct bytes b);

#endif
