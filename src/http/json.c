/* json.c - see inside.h. */
#include "http/inside.h"

/* Length of the UTF-8 sequence that s starts with; 0 if it is none (overlong ones, surrogates and
 * what lies beyond U+10FFFF are none). */
static size_t utf8_len(struct bytes s)
{
    const uint8_t *p = s.data;
    uint8_t low = 0x80, high = 0xBF;
    size_t len;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    len = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (p[0] == 0xE0)
        low = 0xA0;
    else if (p[0] == 0xED)
        high = 0x9F;
    else if (p[0] == 0xF0)
        low = 0x90;
    else if (p[0] == 0xF4)
        high = 0x8F;
    if (s.len < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

void json_text(FILE *to, struct bytes text)
{
    fputc('"', to);
    while (text.len > 0) {
        size_t len = utf8_len(text);
        uint8_t c = text.data[0];
        if (len == 0)
            fputs("\\ufffd", to);
        else if (c == '"' || c == '\\')
            fprintf(to, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            fprintf(to, "\\u%04x", c);
        else
            fwrite(text.data, 1, len, to);
        text = bytes_skip(text, MAX(len, 1));
    }
    fputc('"', to);
}

void json_key(FILE *to, bool *is_first, const char *name)
{
    if (!*is_first)
        fputc(',', to);
    *is_first = false;
    json_text(to, bytes_str(name));
    fputc(':', to);
}
