/* The draft: what the sources say, one over the other. */
#include "config/inside.h"

#include "base/mem.h"
#include "base/str.h"

enum { HEADER_BYTES = 192 };

static struct bytes write_header(char out[HEADER_BYTES], enum kind kind, struct bytes name)
{
    int len = snprintf(out, HEADER_BYTES, "%s%s%.*s", kind_names[kind], name.len > 0 ? " " : "",
                       BYTES_FMT(name));
    return bytes_of(out, MIN((size_t)len, HEADER_BYTES - 1));
}

struct draft_section *draft_find(const struct draft *d, enum kind kind, struct bytes name)
{
    char header[HEADER_BYTES];
    return map_get(&d->by_header, write_header(header, kind, name));
}

struct draft_section *draft_add_section(struct draft *d, enum kind kind, struct bytes name,
                                        unsigned place)
{
    char header[HEADER_BYTES];
    struct draft_section *s = mem_zalloc(sizeof(*s));
    struct bytes words = write_header(header, kind, name);
    s->kind = kind, s->place = place;
    s->header = mem_strndup(words.data, words.len);
    s->name = s->header + strlen(kind_names[kind]) + (name.len > 0);
    unsigned n = d->n_sections++;
    if ((n & (n - 1)) == 0)
        d->sections = mem_realloc(d->sections, MAX(2 * n, 1) * sizeof(*d->sections));
    d->sections[n] = s;
    map_put(&d->by_header, bytes_str(s->header), s);
    return s;
}

struct draft_value *draft_add_value(struct draft_section *s, const struct option *o,
                                    unsigned place)
{
    s->values = mem_realloc(s->values, (s->n_values + 1) * sizeof(*s->values));
    struct draft_value *v = &s->values[s->n_values++];
    *v = (struct draft_value){ .option = o, .text = mem_strdup(""), .place = place };
    return v;
}

/* Without leaving pieces of secrets in freed memory, as realloc would. */
void draft_append(struct draft_value *v, struct bytes piece)
{
    size_t len = strlen(v->text);
    char *joined = mem_alloc(len + piece.len + 1);
    memcpy(joined, v->text, len);
    if (piece.len > 0)
        memcpy(joined + len, piece.data, piece.len);
    joined[len + piece.len] = '\0';
    mem_free_secret(v->text, len);
    v->text = joined;
}

static void text_free(struct draft_value *v)
{
    mem_free_secret(v->text, strlen(v->text));
}

void draft_release(struct draft *d)
{
    for (unsigned i = 0; i < d->n_sections; i++) {
        struct draft_section *s = d->sections[i];
        for (unsigned j = 0; j < s->n_values; j++)
            text_free(&s->values[j]);
        mem_free(s->values);
        mem_free(s->header);
        mem_free(s);
    }
    mem_free(d->sections);
    map_release(&d->by_header);
}

/* ---- finding ---------------------------------------------------------------------------- */

const struct draft_value *draft_value(const struct draft_section *s, const char *option)
{
    for (unsigned i = 0; s != NULL && i < s->n_values; i++)
        if (strcmp(s->values[i].option->name, option) == 0)
            return &s->values[i];
    return NULL;
}

unsigned draft_place(const struct draft_section *s, const char *option)
{
    const struct draft_value *v = draft_value(s, option);
    return v != NULL ? v->place : s != NULL ? s->place : 0;
}

const struct draft_section *draft_section_of(const struct draft *d, enum kind kind, unsigned index)
{
    for (unsigned i = 0; i < d->n_sections; i++)
        if (d->sections[i]->kind == kind && d->sections[i]->index == index)
            return d->sections[i];
    return NULL;
}

const char *place_words(const struct draft *d, unsigned place, char out[PLACE_BYTES])
{
    enum source source = place_source(place);
    if (source == SOURCE_RUNTIME)
        snprintf(out, PLACE_BYTES, "what was set at run time");
    else if (source == SOURCE_RUNTIME_FILE)
        snprintf(out, PLACE_BYTES, "%s, line %u", d->files[source], place_line(place));
    else
        snprintf(out, PLACE_BYTES, "line %u", place_line(place));
    return out;
}

char *beside_file(const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    size_t dir = path[0] == '/' || slash == NULL ? 0 : (size_t)(slash - file) + 1;
    size_t size = dir + strlen(path) + 1;
    char *joined = mem_alloc(size);
    snprintf(joined, size, "%.*s%s", (int)dir, file, path);
    return joined;
}

/* ---- one source over another ------------------------------------------------------------ */

static bool has_groups(const struct draft *d)
{
    for (unsigned i = 0; i < d->n_sections; i++)
        if (d->sections[i]->kind == KIND_GROUP)
            return true;
    return false;
}

/* Is it there without standing in the file? */
static bool is_implied(const struct draft *d, enum kind kind, struct bytes name)
{
    return !kind_has_name(kind) ||
           (kind == KIND_GROUP && bytes_equal(name, bytes_str("main")) && !has_groups(d)) ||
           (kind == KIND_USER && bytes_equal(name, bytes_str(ANY_USER)));
}

static struct draft_section *section_below(struct draft *d, enum kind kind, struct bytes name,
                                           unsigned place)
{
    struct draft_section *s = draft_find(d, kind, name);
    if (s == NULL && is_implied(d, kind, name))
        return draft_add_section(d, kind, name, place);
    if (s == NULL)
        warn(d, place, "there is no [%s %.*s] any more: what was set for it at run time is ignored",
             kind_names[kind], BYTES_FMT(name));
    return s;
}

/* Take away what the option replaces: its value until now, and the other way to say it. */
static void make_way(struct draft_section *s, const struct option *o)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < s->n_values; i++) {
        const char *name = s->values[i].option->name;
        if (s->values[i].option == o || is_other_way(name, o->name))
            text_free(&s->values[i]);
        else
            s->values[kept++] = s->values[i];
    }
    s->n_values = kept;
}

static void put(struct draft *d, struct draft_section *s, const struct option *o, const char *text,
                unsigned place, bool is_risky)
{
    if (s->kind == KIND_VOLVOX && strcmp(o->name, "runtime_file") == 0) {
        complain(d, place, "runtime_file: can only be set in the main file");
        return;
    }
    make_way(s, o);
    struct draft_value *v = draft_add_value(s, o, place);
    draft_append(v, bytes_str(text));
    v->is_risky = is_risky;
}

void draft_merge(struct draft *d, const struct draft *over)
{
    for (unsigned i = 0; i < over->n_sections; i++) {
        const struct draft_section *from = over->sections[i];
        struct draft_section *to =
            section_below(d, from->kind, bytes_str(from->name), from->place);
        for (unsigned j = 0; to != NULL && j < from->n_values; j++) {
            const struct draft_value *v = &from->values[j];
            put(d, to, v->option, v->text, v->place, v->is_risky);
        }
    }
}

static void override_one(struct draft *d, const struct override *x)
{
    enum kind kind;
    if (!kind_find(bytes_str(x->section), &kind))
        return;
    const struct option *o = option_find(kind, bytes_str(x->key));
    struct draft_section *s = section_below(d, kind, bytes_str(x->name), PLACE_RUNTIME);
    if (s != NULL && o != NULL)
        put(d, s, o, x->value, PLACE_RUNTIME, false);
}

void draft_override(struct draft *d, const struct overrides *overrides)
{
    for (unsigned i = 0; overrides != NULL && i < overrides->count; i++)
        override_one(d, &overrides->items[i]);
}
