/* The words of a line; scribe.c knows where they go. */
#include "base/inside.h"

#include "base/str.h"

#include <errno.h>
#include <stdarg.h>

enum { QUOTE_BUFFERS = 4, QUOTE_BYTES = 512 };

_Atomic enum log_level log_level = LOG_INFO;
_Atomic signed char log_level_of[LOG_AREAS] = { [0 ... LOG_AREAS - 1] = LOG_AS_ALL };

static const char *const area_names[] = {
#define X(area, folder) [LOG_AREA_##area] = folder,
    LOG_AREA_LIST(X)
#undef X
};

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};

static _Thread_local char context[64];

/* A place in memory being filled; `end` leaves room for "...\"" and a NUL. */
struct cursor {
    char *at, *end;
};

static bool cursor_put(struct cursor *c, const char *piece, size_t len)
{
    if ((size_t)(c->end - c->at) < len)
        return false;
    memcpy(c->at, piece, len);
    c->at += len;
    return true;
}

static bool is_control(uint8_t c)
{
    return c < 0x20 || c == 0x7f;
}

static bool needs_quotes(struct bytes s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        if (is_control(c) || c == ' ' || c == '"' || c == '\'' || c == '=' || c == '\\')
            return true;
    }
    return s.len == 0;
}

/* How one byte is written between quotes; returns the length, at most 4. */
static size_t escape(uint8_t c, char out[5])
{
    static const char named[] = "\"\"\\\\\nn\rr\tt";
    for (const char *n = named; *n != '\0'; n += 2)
        if (c == (uint8_t)n[0]) {
            out[0] = '\\', out[1] = n[1];
            return 2;
        }
    if (is_control(c))
        return (size_t)snprintf(out, 5, "\\x%02x", c);
    out[0] = (char)c;
    return 1;
}

/* Take back a character of UTF-8 that was cut in two. */
static char *whole_characters(char *start, char *at)
{
    char *lead = at;
    while (lead > start && at - lead < 4 && ((uint8_t)lead[-1] & 0xc0) == 0x80)
        lead--;
    if (lead == start || (uint8_t)lead[-1] < 0xc0)
        return at;
    unsigned wanted = (uint8_t)lead[-1] >= 0xf0 ? 3 : (uint8_t)lead[-1] >= 0xe0 ? 2 : 1;
    return (size_t)(at - lead) < wanted ? lead - 1 : at;
}

/* s as a value into `out`, NUL-terminated; returns where it ends. */
static char *quote(char *out, size_t size, struct bytes s)
{
    const char *mark = needs_quotes(s) ? "\"" : "";
    struct cursor c = { out, out + size - sizeof("...\"") };
    cursor_put(&c, mark, strlen(mark));
    for (size_t i = 0; i < s.len; i++) {
        char piece[5] = { (char)s.data[i] };
        if (!cursor_put(&c, piece, *mark ? escape(s.data[i], piece) : 1)) {
            c.at = whole_characters(out, c.at);
            c.at = stpcpy(c.at, "...");
            break;
        }
    }
    return stpcpy(c.at, mark);
}

const char *log_quote(struct bytes s)
{
    static _Thread_local char buffers[QUOTE_BUFFERS][QUOTE_BYTES];
    static _Thread_local unsigned turn;
    char *out = buffers[turn++ % QUOTE_BUFFERS];
    quote(out, QUOTE_BYTES, s);
    return out;
}

void log_context(const char *words)
{
    str_copy(context, sizeof(context), bytes_str(words));
}

/* A value that somebody forgot to quote must not begin a line of its own. */
static void hide_control_bytes(char *text, const char *end)
{
    for (; text < end; text++)
        if (is_control((uint8_t)*text))
            *text = '?';
}

/* The formatted part behind `start`, in the room up to `end`; returns the end
 * of the text. */
static char *add_values(char *start, char *end, const char *fmt, va_list args)
{
    int wanted = vsnprintf(start, (size_t)(end - start), fmt, args);
    if (wanted < 0)
        return start;
    if (wanted < end - start)
        return start + wanted;
    return stpcpy(whole_characters(start, end - sizeof("...")), "...");
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
    static _Thread_local char line[LINE_MAX_BYTES + 1];
    int saved_errno = errno;
    char *at = stpcpy(line, "event=");
    at = quote(at, QUOTE_BYTES, bytes_str(event));
    *at++ = ' ';
    at = stpcpy(at, context);
    if (at[-1] != ' ')
        *at++ = ' ';
    va_list args;
    va_start(args, fmt);
    errno = saved_errno; /* for %m */
    at = add_values(at, line + sizeof(line), fmt[0] == ' ' ? fmt + 1 : fmt, args);
    va_end(args);
    hide_control_bytes(line, at);
    while (at[-1] == ' ')
        at--;
    scribe_line(level, bytes_of(line, (size_t)(at - line)));
    errno = saved_errno;
}

bool log_level_parse(struct bytes name, enum log_level *out)
{
    for (unsigned i = 0; i < ARRAY_LEN(level_names); i++)
        if (bytes_equal_nocase(name, bytes_str(level_names[i]))) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return (unsigned)level < ARRAY_LEN(level_names) ? level_names[level] : "unknown";
}

/* ---- areas ------------------------------------------------------------------------------ */

const char *log_area_name(enum log_area area)
{
    return (unsigned)area < ARRAY_LEN(area_names) ? area_names[area] : "unknown";
}

static bool area_parse(struct bytes name, enum log_area *out)
{
    for (unsigned i = 0; i < ARRAY_LEN(area_names); i++)
        if (bytes_equal_nocase(name, bytes_str(area_names[i]))) {
            *out = (enum log_area)i;
            return true;
        }
    return false;
}

/* One "area=level". */
static bool piece_parse(struct bytes piece, struct log_areas *out)
{
    enum log_area area;
    enum log_level level;
    const uint8_t *sign = piece.len > 0 ? memchr(piece.data, '=', piece.len) : NULL;
    size_t at = sign != NULL ? (size_t)(sign - piece.data) : 0;
    if (sign == NULL || !area_parse(str_trim(bytes_of(piece.data, at)), &area) ||
        !log_level_parse(str_trim(bytes_skip(piece, at + 1)), &level) ||
        out->level[area] != LOG_AS_ALL)
        return false;
    out->level[area] = (signed char)level;
    return true;
}

static void areas_clear(struct log_areas *areas)
{
    memset(areas->level, LOG_AS_ALL, sizeof(areas->level));
}

bool log_areas_parse(struct bytes text, struct log_areas *out, struct bytes *wrong)
{
    areas_clear(out);
    for (struct bytes rest = str_trim(text); rest.len > 0;) {
        const uint8_t *comma = memchr(rest.data, ',', rest.len);
        size_t len = comma != NULL ? (size_t)(comma - rest.data) : rest.len;
        struct bytes piece = str_trim(bytes_of(rest.data, len));
        rest = bytes_skip(rest, len + (comma != NULL));
        if (piece_parse(piece, out))
            continue;
        *wrong = piece;
        areas_clear(out);
        return false;
    }
    return true;
}

void log_areas_set(const struct log_areas *areas)
{
    for (unsigned i = 0; i < LOG_AREAS; i++)
        log_level_of[i] = areas->level[i];
}
