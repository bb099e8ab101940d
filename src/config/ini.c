/*
 * INI text into a draft.
 *
 * inih splits a line into name and value.  What it does silently, our line reader
 * prevents: it cuts lines at the size of its buffer, names no lines, ends values at " ;"
 * even between quotes, takes indented lines for continuations, tells nobody about sections
 * without values or text behind a header.  So the reader counts lines, reads headers itself,
 * takes comments away, hides the ';' of quoted values, and indents only lines that really
 * continue the one before (which ended in a backslash).
 */
#include "config/inside.h"

#include "base/mem.h"
#include "base/str.h"

#include <ini.h>

enum { HIDDEN_SEMICOLON = 1 };     /* control bytes can't stand in a file */
enum { NAME_MAX_BYTES = 128 };     /* users of MariaDB; others are shorter */
enum { LINE_LIMIT_BYTES = 2000 };  /* should inih be built for longer ones */

enum awaited { AWAIT_NOTHING, AWAIT_VALUE, AWAIT_MORE };

struct reader {
    struct draft *draft;
    struct bytes rest;        /* of the text                                       */
    unsigned line;
    struct draft_section *section; /* NULL: before the first, or in a bad one      */
    bool in_bad_section;      /* its values are not looked at                      */
    struct draft_value *value; /* what a continuation adds to, or NULL             */
    enum awaited awaited;     /* what inih must make of the line it has now        */
    bool is_continued;        /* the line ended in a backslash                     */
    bool has_comment;
};

static unsigned here(const struct reader *r)
{
    return place_of(r->draft->source, r->line);
}

/* ---- headers ---------------------------------------------------------------------------- */

static bool name_is_plain(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = ascii_lower(name.data[i]);
        if (!ascii_digit(c) && !(c >= 'a' && c <= 'z') && c != '_' && c != '-' && c != '.')
            return false;
    }
    return true;
}

static bool find_kind(struct reader *r, struct bytes word, enum kind *kind)
{
    struct suggestion g;
    if (kind_find(word, kind))
        return true;
    suggest_begin(&g, word);
    for (unsigned k = 0; k < KINDS; k++)
        suggest_offer(&g, kind_names[k]);
    complain(r->draft, here(r), "unknown section \"%.*s\"%s", (int)MIN(word.len, 60),
             (const char *)word.data, g.hint);
    return false;
}

static bool name_fits(struct reader *r, enum kind kind, struct bytes name)
{
    const char *word = kind_names[kind];
    if (!kind_has_name(kind) && name.len > 0)
        complain(r->draft, here(r), "[%s] has no name", word);
    else if (kind_has_name(kind) && name.len == 0)
        complain(r->draft, here(r), "[%s] needs a name: [%s NAME]", word, word);
    else if (name.len > NAME_MAX_BYTES)
        complain(r->draft, here(r), "the name is longer than %d bytes", NAME_MAX_BYTES);
    else if (kind != KIND_USER && kind != KIND_ADMIN_USER && !name_is_plain(name))
        complain(r->draft, here(r),
                 "the name of a %s consists of letters, digits, '_', '-' and '.'", word);
    else
        return true;
    return false;
}

/* "[kind name]", a comment taken away. */
static struct draft_section *read_header(struct reader *r, struct bytes line)
{
    enum kind kind;
    const uint8_t *close = memchr(line.data, ']', line.len);
    if (close == NULL || close != line.data + line.len - 1) {
        complain(r->draft, here(r), "a section's header must end in ']'");
        return NULL;
    }
    struct bytes inner = str_trim(bytes_of(line.data + 1, line.len - 2));
    size_t word = 0;
    while (word < inner.len && !ascii_space(inner.data[word]))
        word++;
    struct bytes name = str_trim(bytes_skip(inner, word));
    if (!find_kind(r, bytes_of(inner.data, word), &kind) || !name_fits(r, kind, name))
        return NULL;

    struct draft_section *first = draft_find(r->draft, kind, name);
    if (first == NULL)
        return draft_add_section(r->draft, kind, name, here(r));
    complain(r->draft, here(r), "[%s] stands twice, first in line %u", first->header,
             place_line(first->place));
    return NULL;
}

/* ---- values, as inih gives them --------------------------------------------------------- */

/* A piece of a value into its draft: without quotes and escapes. */
static void add_piece(struct reader *r, struct draft_value *v, const char *text)
{
    char piece[LINE_LIMIT_BYTES];
    size_t len = 0;
    bool quoted = text[0] == '"';
    must(strlen(text) < sizeof(piece));
    for (const char *at = text + quoted; *at != '\0' && !(quoted && *at == '"'); at++) {
        if (quoted && *at == '\\')
            at++;
        piece[len++] = *at == HIDDEN_SEMICOLON ? ';' : *at;
    }
    draft_append(v, bytes_of(piece, len));
    explicit_bzero(piece, len);
    v->is_risky |= !quoted && (r->has_comment || (r->is_continued && len > 0));
}

static void unknown_option(struct reader *r, const char *name)
{
    struct suggestion g;
    enum kind kind = r->section->kind;
    /* Something else than a name may be a secret that went astray. */
    if (name[0] == '\0' || !name_is_plain(bytes_str(name))) {
        complain(r->draft, here(r), "expected \"name = value\"");
        return;
    }
    suggest_begin(&g, bytes_str(name));
    for_each_option(o, kind)
        suggest_offer(&g, o->name);
    complain(r->draft, here(r), "unknown option \"%.60s\" in [%s]%s", name, r->section->header,
             g.hint);
}

static struct draft_value *new_value(struct reader *r, const char *name)
{
    if (r->in_bad_section)
        return NULL;
    if (r->section == NULL) {
        complain(r->draft, here(r), "a value before the first section");
        return NULL;
    }
    const struct option *o = option_find(r->section->kind, bytes_str(name));
    if (o == NULL) {
        unknown_option(r, name);
        return NULL;
    }
    const struct draft_value *first = draft_value(r->section, name);
    if (first != NULL) {
        complain(r->draft, here(r), "\"%s\" stands twice in [%s], first in line %u", name,
                 r->section->header, place_line(first->place));
        return NULL;
    }
    return draft_add_value(r->section, o, here(r));
}

static int take_value(void *arg, const char *section, const char *name, const char *value)
{
    struct reader *r = arg;
    (void)section;
    if (r->awaited == AWAIT_VALUE)
        r->value = new_value(r, name);
    r->awaited = AWAIT_NOTHING;
    if (r->value != NULL)
        add_piece(r, r->value, value);
    return 1;
}

/* ---- lines, as inih gets them ----------------------------------------------------------- */

static struct bytes next_line(struct reader *r)
{
    const uint8_t *end = memchr(r->rest.data, '\n', r->rest.len);
    struct bytes line = r->rest;
    if (end != NULL)
        line.len = (size_t)(end - r->rest.data);
    r->rest = bytes_skip(r->rest, line.len + (end != NULL));
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    if (++r->line == 1 && line.len >= 3 && memcmp(line.data, "\xEF\xBB\xBF", 3) == 0)
        line = bytes_skip(line, 3);
    return line;
}

static bool has_control_bytes(struct bytes line)
{
    for (size_t i = 0; i < line.len; i++)
        if ((line.data[i] < ' ' && line.data[i] != '\t') || line.data[i] == 0x7F)
            return true;
    return false;
}

/* Length of the quoted text at the front, both quotes included; 0 if it does not end. */
static size_t quoted_len(struct bytes text)
{
    for (size_t i = 1; i < text.len; i++) {
        if (text.data[i] == '"')
            return i + 1;
        if (text.data[i] == '\\')
            i++;
    }
    return 0;
}

/* Take the comment and then the backslash at the end away from what stands from `from`. */
static size_t trim_end(struct reader *r, const uint8_t *line, size_t from, size_t len)
{
    for (size_t i = from; i < len; i++)
        if (line[i] == ';' && (i == 0 || ascii_space(line[i - 1]))) {
            r->has_comment = true;
            len = i;
            break;
        }
    if (!r->has_comment && len > from && line[len - 1] == '\\') {
        r->is_continued = true;
        len--;
    }
    while (len > from && ascii_space(line[len - 1]))
        len--;
    return len;
}

/* Make the line one that inih can't misunderstand, in place; `at` is where its value begins.
 * Returns its length, or 0 after a complaint. */
static size_t clean_value(struct reader *r, uint8_t *line, size_t at, size_t len)
{
    size_t quoted = 0;
    while (at < len && ascii_space(line[at]))
        at++;
    if (at < len && line[at] == '"' &&
        (quoted = quoted_len(bytes_of(line + at, len - at))) == 0) {
        complain(r->draft, here(r), "the closing quote is missing");
        return 0;
    }
    size_t end = trim_end(r, line, at + quoted, len);
    if (quoted > 0 && end != at + quoted) {
        complain(r->draft, here(r), "only a comment (\" ;\") may follow the closing quote");
        return 0;
    }
    for (size_t i = at; i < end; i++)
        if (line[i] == ';')
            line[i] = HIDDEN_SEMICOLON;
    return end;
}

/* Where the value begins: behind the first '=' or ':'. */
static size_t value_offset(const uint8_t *line, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (line[i] == '=' || line[i] == ':')
            return i + 1;
    return len;
}

/* The line is in `out`, trimmed: what shall inih see of it?  Its length there. */
static size_t prepare_line(struct reader *r, uint8_t *out, size_t len, bool continues)
{
    r->has_comment = r->is_continued = false;
    if (continues) {
        out[0] = ' ';                      /* indented: inih calls it a continuation */
        size_t more = clean_value(r, out, 1, len);
        r->awaited = more > 1 ? AWAIT_MORE : AWAIT_NOTHING;
        return more;
    }
    r->value = NULL;
    if (len == 0 || out[0] == ';' || out[0] == '#')
        return 0;
    if (out[0] == '[') {
        r->section = read_header(r, bytes_of(out, trim_end(r, out, 1, len)));
        r->in_bad_section = r->section == NULL;
        r->is_continued = false;
        return 0;
    }
    r->awaited = AWAIT_VALUE;
    size_t cleaned = clean_value(r, out, value_offset(out, len), len);
    if (cleaned == 0)
        r->awaited = AWAIT_NOTHING;
    return cleaned;
}

/* inih called back for every line but this one. */
static void miss_value(struct reader *r)
{
    if (r->awaited == AWAIT_VALUE && !r->in_bad_section)
        complain(r->draft, here(r), "expected \"name = value\"");
    if (r->awaited == AWAIT_MORE && r->value != NULL)
        complain(r->draft, here(r), "put quotes around what begins with '#' or ';'");
    r->awaited = AWAIT_NOTHING;
}

static char *give_line(char *out, int size, void *arg)
{
    struct reader *r = arg;
    size_t room = MIN((size_t)size - 2, LINE_LIMIT_BYTES - 2); /* line feed and NUL follow */
    miss_value(r);
    if (r->rest.len == 0)
        return NULL;
    bool continues = r->is_continued;
    struct bytes line = str_trim(next_line(r));
    size_t len = 0, indent = continues;
    r->is_continued = false;
    if (has_control_bytes(line)) {
        complain(r->draft, here(r), "control characters do not belong into this file");
    } else if (line.len + indent > room) {
        complain(r->draft, here(r),
                 "the line is longer than %zu bytes; end it in a backslash and go on in the next",
                 room - 1);
        r->is_continued = line.data[line.len - 1] == '\\';
        r->value = NULL;
    } else {
        if (line.len > 0)
            memcpy(out + indent, line.data, line.len);
        len = prepare_line(r, (uint8_t *)out, line.len + indent, continues);
    }
    out[len] = '\n', out[len + 1] = '\0';
    return out;
}

void draft_read(struct draft *d, struct bytes text)
{
    struct reader r = { .draft = d, .rest = text };
    ini_parse_stream(give_line, &r, take_value, &r);
    miss_value(&r);
}
