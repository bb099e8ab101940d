/* Settings by name and in a row, for operators. */
#include "config/inside.h"

#include "base/str.h"

#include <limits.h>

/* ---- values ----------------------------------------------------------------------------- */

static const char *group_name(const struct config *c, int group)
{
    return group < 0 || (unsigned)group >= c->n_groups ? "" : c->groups[group].name;
}

static const char *group_of(const struct config *c, enum kind kind, const void *entry)
{
    if (kind == KIND_SERVER)
        return group_name(c, (int)((const struct server_config *)entry)->group);
    if (kind == KIND_USER)
        return group_name(c, (int)((const struct user_config *)entry)->group);
    must(kind == KIND_LISTENER);
    return group_name(c, ((const struct listener_config *)entry)->group);
}

static const struct secret *secret_of(enum kind kind, const void *entry, const char *option)
{
    if (kind == KIND_ADMIN_USER)
        return &((const struct admin_user_config *)entry)->secret;
    must(kind == KIND_USER);
    const struct user_config *u = entry;
    if (u->account != NULL && strcmp(option, "server_password") == 0)
        return &u->account->secret;
    return &u->secret;
}

static void print_value(const struct config *c, enum kind kind, const void *entry,
                        struct setting *out)
{
    const struct option *o = out->option;
    if (o->offset != OPTION_NO_FIELD)
        value_text(o, entry, out->value, sizeof(out->value));
    else if (o->type == OPTION_SECRET)
        str_copy(out->value, sizeof(out->value),
                 bytes_str(secret_of(kind, entry, o->name)->has_password ? "***" : ""));
    else
        str_copy(out->value, sizeof(out->value), bytes_str(group_of(c, kind, entry)));
}

static void print_where(const struct config *c, unsigned place, struct setting *out)
{
    const char *file = c->file;
    if (place_source(place) == SOURCE_RUNTIME_FILE && c->runtime_file != NULL)
        file = c->runtime_file;
    if (place == 0)
        str_copy(out->where, sizeof(out->where), bytes_str("default"));
    else if (place_source(place) == SOURCE_RUNTIME)
        str_copy(out->where, sizeof(out->where), bytes_str("runtime"));
    else
        snprintf(out->where, sizeof(out->where), "file %.270s:%u", file, place_line(place));
}

bool config_setting(const struct config *c, unsigned option_index, unsigned section_index,
                    struct setting *out)
{
    if (option_index >= n_options)
        return false;
    const struct option *o = &options[option_index];
    struct shelf s = shelf_of(c, option_kind(o));
    if (section_index >= s.count)
        return false;
    const struct origins *origins = *shelf_origins(&s, section_index);
    unsigned ordinal = option_ordinal(o);
    *out = (struct setting){ .option = o, .name = shelf_name(&s, section_index) };
    print_value(c, s.kind, shelf_entry(&s, section_index), out);
    print_where(c, origins != NULL && ordinal < origins->n ? origins->places[ordinal] : 0, out);
    return true;
}

void config_walk_settings(const struct config *c, void (*row)(void *arg, const struct setting *s),
                          void *arg)
{
    struct setting setting;
    for (unsigned k = 0; k < KINDS; k++) {
        struct shelf s = shelf_of(c, (enum kind)k);
        for (unsigned i = 0; i < s.count; i++)
            for_each_option(o, k)
                if (config_setting(c, (unsigned)(o - options), i, &setting))
                    row(arg, &setting);
    }
}

/* ---- names ------------------------------------------------------------------------------ */

static bool unknown_section(struct bytes word, struct fault *why)
{
    struct suggestion g;
    suggest_begin(&g, word);
    for (unsigned k = 0; k < KINDS; k++)
        suggest_offer(&g, kind_names[k]);
    return fault_set(why, BLAME_POLICY, ER_UNKNOWN_VARIABLE,
                     "there is no section [%.*s]%s", (int)MIN(word.len, 60),
                     (const char *)word.data, g.hint);
}

static bool unknown_entry(const struct shelf *s, struct bytes name, struct fault *why)
{
    struct suggestion g;
    const char *word = kind_names[s->kind];
    if (name.len == 0)
        return fault_set(why, BLAME_POLICY, ER_UNKNOWN_VARIABLE,
                         "say which %s: \"%s NAME.option\"", word, word);
    if (!kind_has_name(s->kind))
        return fault_set(why, BLAME_POLICY, ER_UNKNOWN_VARIABLE, "[%s] has no name", word);
    suggest_begin(&g, name);
    for (unsigned i = 0; i < s->count; i++)
        suggest_offer(&g, shelf_name(s, i));
    return fault_set(why, BLAME_POLICY, ER_UNKNOWN_VARIABLE, "there is no [%s %.*s]%s", word,
                     (int)MIN(name.len, 60), (const char *)name.data, g.hint);
}

static bool unknown_key(enum kind kind, struct bytes key, struct fault *why)
{
    struct suggestion g;
    suggest_begin(&g, key);
    for_each_option(o, kind)
        suggest_offer(&g, o->name);
    return fault_set(why, BLAME_POLICY, ER_UNKNOWN_VARIABLE, "[%s] has no option \"%.*s\"%s",
                     kind_names[kind], (int)MIN(key.len, 60), (const char *)key.data, g.hint);
}

/* "server db1.weight" -> "server", "db1", "weight"; names may have dots, options have none. */
static void split(struct bytes text, struct setting_name *out)
{
    const uint8_t *dot = text.len > 0 ? memrchr(text.data, '.', text.len) : NULL;
    size_t head = dot != NULL ? (size_t)(dot - text.data) : 0, word = 0;
    out->key = dot != NULL ? str_trim(bytes_skip(text, head + 1)) : text;
    struct bytes section = str_trim(bytes_of(text.data, head));
    while (word < section.len && !ascii_space(section.data[word]))
        word++;
    out->section = dot != NULL ? bytes_of(section.data, word) : bytes_str(kind_names[KIND_VOLVOX]);
    out->name = str_trim(bytes_skip(section, word));
}

bool setting_check(const struct config *c, const struct setting_name *name, struct fault *why)
{
    enum kind kind;
    if (!kind_find(name->section, &kind))
        return unknown_section(name->section, why);
    struct shelf s = shelf_of(c, kind);
    if (shelf_find(&s, name->name) == UINT_MAX)
        return unknown_entry(&s, name->name, why);
    if (option_find(kind, name->key) == NULL)
        return unknown_key(kind, name->key, why);
    return true;
}

bool setting_name_read(const struct config *c, struct bytes text, struct setting_name *out,
                       struct fault *why)
{
    split(str_trim(text), out);
    return setting_check(c, out, why);
}
