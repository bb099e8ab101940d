/*
 * charset.c - what a character set means for cutting a text into tokens.
 *
 * As MariaDB 10.11 and MySQL 9.7 do it, seen by asking both: each first byte with each second
 * byte that could look like something else; each byte from 0x80 in the place of a blank.
 */
#include "router/inside.h"

#include "base/str.h"

enum lexer_charset lexer_charset(struct bytes name)
{
    static const struct {
        const char *name;
        enum lexer_charset charset;
    } charsets[] = {
        { "utf8mb4", LEXER_UTF8 },  { "utf8mb3", LEXER_UTF8 }, { "utf8", LEXER_UTF8 },
        { "latin1", LEXER_A0 },     { "gbk", LEXER_GBK },      { "sjis", LEXER_SJIS },
        { "cp932", LEXER_SJIS },    { "big5", LEXER_BIG5 },    { "gb18030", LEXER_GB18030 },
        { "binary", LEXER_PLAIN },  { "ascii", LEXER_PLAIN },  { "ujis", LEXER_PLAIN },
        { "eucjpms", LEXER_PLAIN }, { "euckr", LEXER_PLAIN },  { "gb2312", LEXER_PLAIN },
        { "cp1251", LEXER_PLAIN },  { "cp1256", LEXER_PLAIN }, { "cp1257", LEXER_PLAIN },
        { "cp850", LEXER_PLAIN },   { "hp8", LEXER_PLAIN },    { "koi8r", LEXER_PLAIN },
        { "koi8u", LEXER_PLAIN },   { "macce", LEXER_PLAIN },  { "macroman", LEXER_PLAIN },
        { "tis620", LEXER_PLAIN },  { "armscii8", LEXER_A0 },  { "cp1250", LEXER_A0 },
        { "dec8", LEXER_A0 },       { "geostd8", LEXER_A0 },   { "greek", LEXER_A0 },
        { "hebrew", LEXER_A0 },     { "latin2", LEXER_A0 },    { "latin5", LEXER_A0 },
        { "latin7", LEXER_A0 },     { "cp852", LEXER_FF },     { "cp866", LEXER_FF },
        { "keybcs2", LEXER_FF },    { "swe7", LEXER_SWE7 },
    };
    for (size_t i = 0; i < ARRAY_LEN(charsets); i++) {
        if (bytes_equal_nocase(name, bytes_str(charsets[i].name)))
            return charsets[i].charset;
    }
    return LEXER_UNKNOWN;
}

static bool is_in(uint8_t c, uint8_t from, uint8_t to)
{
    return c >= from && c <= to;
}

static size_t gb18030_length(const uint8_t *p, size_t left)
{
    if (!is_in(p[0], 0x81, 0xfe))
        return 1;
    if (is_in(p[1], 0x40, 0x7e) || is_in(p[1], 0x80, 0xfe))
        return 2;
    return left >= 4 && is_in(p[1], 0x30, 0x39) && is_in(p[2], 0x81, 0xfe) &&
                   is_in(p[3], 0x30, 0x39)
               ? 4
               : 1;
}

size_t charset_length(enum lexer_charset charset, const uint8_t *p, const uint8_t *end)
{
    size_t left = (size_t)(end - p);
    bool is_wide = false;
    if (left < 2)
        return 1;
    switch ((unsigned)charset) {
    case LEXER_GBK:
        is_wide = is_in(p[0], 0x81, 0xfe) && (is_in(p[1], 0x40, 0x7e) || is_in(p[1], 0x80, 0xfe));
        break;
    case LEXER_SJIS:
        is_wide = (is_in(p[0], 0x81, 0x9f) || is_in(p[0], 0xe0, 0xfc)) &&
                  (is_in(p[1], 0x40, 0x7e) || is_in(p[1], 0x80, 0xfc));
        break;
    case LEXER_BIG5:
        is_wide = is_in(p[0], 0xa1, 0xf9) && (is_in(p[1], 0x40, 0x7e) || is_in(p[1], 0xa1, 0xfe));
        break;
    case LEXER_GB18030:
        return gb18030_length(p, left);
    default:
        break;
    }
    return is_wide ? 2 : 1;
}

/* Is the byte at p a letter outside ASCII in well-formed UTF-8?  Its length, or 0. */
static size_t utf8_length(const uint8_t *p, const uint8_t *end)
{
    size_t len = *p >= 0xf0 && *p < 0xf5 ? 4 : *p >= 0xe0 ? 3 : 2;
    if (*p < 0xc2 || *p >= 0xf5 || (size_t)(end - p) < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

static bool is_well_formed(const uint8_t *from, const uint8_t *to)
{
    for (const uint8_t *p = from; p < to;) {
        size_t len = *p < 0x80 ? 1 : utf8_length(p, to);
        if (len == 0)
            return false;
        p += len;
    }
    return true;
}

bool charset_is_in_doubt(enum lexer_charset charset, const uint8_t *from, const uint8_t *to)
{
    size_t len = (size_t)(to - from);
    switch (charset) {
    case LEXER_UTF8:
        return !is_well_formed(from, to);
    case LEXER_A0:
        return memchr(from, 0xa0, len) != NULL;
    case LEXER_FF:
        return memchr(from, 0xff, len) != NULL;
    case LEXER_PLAIN:
    case LEXER_SWE7:
        return false;
    case LEXER_GBK:
    case LEXER_SJIS:
    case LEXER_BIG5:
    case LEXER_GB18030:
    case LEXER_UNKNOWN:
        break;
    }
    return true;
}
