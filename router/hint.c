/*
 * hint.c - comments that say where a statement should run.
 *
 *     volvox: primary        volvox: replica        volvox: server=NAME
 */
#include "router/inside.h"

#include "base/str.h"

static bool is_server_byte(uint8_t c)
{
    return ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '_' ||
           c == '-' || c == '.' || c == ':';
}

static bool is_server_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!is_server_byte(name.data[i]))
            return false;
    }
    return name.len > 0;
}

/* server = NAME, with or without blanks around the sign. */
static bool read_server(struct bytes text, struct bytes *name)
{
    static const char word[] = "server";
    size_t len = sizeof(word) - 1;
    if (text.len <= len || !bytes_equal_nocase(bytes_of(text.data, len), bytes_str(word)))
        return false;
    text = str_trim(bytes_skip(text, len));
    if (text.len == 0 || text.data[0] != '=')
        return false;
    *name = str_trim(bytes_skip(text, 1));
    return is_server_name(*name);
}

static struct hint hint_of(struct bytes text)
{
    struct hint h = { HINT_NONE, BYTES_NONE };
    if (bytes_equal_nocase(text, BYTES_LITERAL("primary")))
        h.kind = HINT_PRIMARY;
    else if (bytes_equal_nocase(text, BYTES_LITERAL("replica")))
        h.kind = HINT_REPLICA;
    else if (read_server(text, &h.server))
        h.kind = HINT_SERVER;
    else
        h = (struct hint){ HINT_BAD, text };
    return h;
}

void hint_read(struct bytes text, struct hint *hint)
{
    struct hint h = hint_of(text);
    if (hint->kind == HINT_BAD)
        return;
    bool is_same = hint->kind == h.kind && bytes_equal(hint->server, h.server);
    if (hint->kind == HINT_NONE || is_same)
        *hint = h;
    else
        *hint = (struct hint){ HINT_BAD, text };
}
