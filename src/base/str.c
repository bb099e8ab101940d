#include "base/str.h"

#include "base/mem.h"

bool str_from_hex(struct bytes text, uint8_t *out, size_t size)
{
    if (text.len != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = ascii_hex(text.data[2 * i]), low = ascii_hex(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

struct bytes str_trim(struct bytes s)
{
    while (s.len > 0 && ascii_space(s.data[0]))
        s = bytes_skip(s, 1);
    while (s.len > 0 && ascii_space(s.data[s.len - 1]))
        s.len--;
    return s;
}

void str_copy(char *dst, size_t size, struct bytes s)
{
    must(size > 0);
    size_t len = MIN(s.len, size - 1);
    if (len > 0)
        memcpy(dst, s.data, len);
    dst[len] = '\0';
}

bool str_to_u64(struct bytes s, uint64_t *out)
{
    uint64_t value = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!ascii_digit(s.data[i]))
            return false;
        unsigned digit = s.data[i] - '0';
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

/* Turn the distances from a's first i bytes to b's prefixes into those from
 * its first i + 1. */
static void next_row(unsigned *row, uint8_t letter, struct bytes b)
{
    unsigned diagonal = row[0]++;
    for (size_t j = 0; j < b.len; j++) {
        unsigned replaced = diagonal + (ascii_lower(letter) != ascii_lower(b.data[j]));
        diagonal = row[j + 1];
        row[j + 1] = MIN(replaced, MIN(row[j], diagonal) + 1);
    }
}

unsigned str_distance(struct bytes a, struct bytes b)
{
    unsigned *row = mem_alloc((b.len + 1) * sizeof(*row));
    for (size_t j = 0; j <= b.len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; i < a.len; i++)
        next_row(row, a.data[i], b);
    unsigned distance = row[b.len];
    mem_free(row);
    return distance;
}
