/* What was set at run time: a short list, in memory. */
#include "config/inside.h"

#include "base/mem.h"
#include "base/str.h"

static void override_release(struct override *x)
{
    mem_free(x->section);
    mem_free(x->name);
    mem_free(x->key);
    mem_free_secret(x->value, strlen(x->value));
}

static struct override *find(const struct overrides *o, const struct setting_name *s)
{
    for (unsigned i = 0; i < o->count; i++) {
        struct override *x = &o->items[i];
        if (bytes_equal(s->section, bytes_str(x->section)) &&
            bytes_equal(s->name, bytes_str(x->name)) && bytes_equal(s->key, bytes_str(x->key)))
            return x;
    }
    return NULL;
}

/* The name without "_file" or "_hash". */
static size_t stem_len(const char *name)
{
    size_t len = strlen(name);
    if (len > 5 && (strcmp(name + len - 5, "_file") == 0 || strcmp(name + len - 5, "_hash") == 0))
        len -= 5;
    return len;
}

bool is_other_way(const char *a, const char *b)
{
    size_t len = stem_len(a);
    return len == stem_len(b) && strncmp(a, b, len) == 0 && strcmp(a, b) != 0;
}

static void take_out(struct overrides *o, struct override *x)
{
    size_t behind = (size_t)(o->items + o->count - (x + 1));
    override_release(x);
    memmove(x, x + 1, behind * sizeof(*x));
    o->count--;
}

/* A password and the file that holds it take each other's place. */
static void drop_alternative(struct overrides *o, const struct override *of)
{
    for (unsigned i = 0; i < o->count; i++) {
        struct override *x = &o->items[i];
        if (strcmp(x->section, of->section) != 0 || strcmp(x->name, of->name) != 0 ||
            !is_other_way(x->key, of->key))
            continue;
        take_out(o, x);
        return;
    }
}

void overrides_put(struct overrides *o, const struct setting_name *s, struct bytes value)
{
    struct override *x = find(o, s);
    char *copy = mem_strndup(value.data, value.len);
    if (x != NULL) {
        mem_free_secret(x->value, strlen(x->value));
        x->value = copy;
        return;
    }
    o->items = mem_realloc(o->items, (o->count + 1) * sizeof(*o->items));
    o->items[o->count] = (struct override){
        .section = mem_strndup(s->section.data, s->section.len),
        .name = mem_strndup(s->name.data, s->name.len),
        .key = mem_strndup(s->key.data, s->key.len),
        .value = copy,
    };
    struct override added = o->items[o->count++];
    drop_alternative(o, &added);
}

bool overrides_remove(struct overrides *o, const struct setting_name *setting)
{
    struct override *x = find(o, setting);
    if (x == NULL)
        return false;
    take_out(o, x);
    return true;
}

static struct setting_name name_of(const struct override *x)
{
    return (struct setting_name){ bytes_str(x->section), bytes_str(x->name), bytes_str(x->key) };
}

void overrides_add(struct overrides *to, const struct overrides *from)
{
    for (unsigned i = 0; i < from->count; i++) {
        struct setting_name name = name_of(&from->items[i]);
        overrides_put(to, &name, bytes_str(from->items[i].value));
    }
}

void overrides_copy(struct overrides *to, const struct overrides *from)
{
    *to = OVERRIDES_NONE;
    overrides_add(to, from);
}

void overrides_release(struct overrides *o)
{
    for (unsigned i = 0; i < o->count; i++)
        override_release(&o->items[i]);
    mem_free(o->items);
    *o = OVERRIDES_NONE;
}

/* ---- what may be set --------------------------------------------------------------------- */

static bool is_writable(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] < ' ' || value.data[i] == 0x7F)
            return false;
    return value.len <= OVERRIDE_MAX_BYTES;
}

static bool may_be_set(const struct option *o, struct bytes value, struct fault *why)
{
    char problem[PROBLEM_BYTES];
    if (strcmp(o->name, "runtime_file") == 0)
        return fault_set(why, BLAME_POLICY, ER_NOT_AT_RUN_TIME,
                         "runtime_file can only be set in the configuration file");
    if (!o->reloadable)
        return fault_set(why, BLAME_POLICY, ER_NOT_AT_RUN_TIME,
                         "%s can only be changed in the configuration file, with a restart",
                         o->name);
    if (!is_writable(value))
        return fault_set(why, BLAME_POLICY, ER_WRONG_VALUE,
                         "%s: no control characters and at most %d bytes", o->name,
                         OVERRIDE_MAX_BYTES);
    if (!value_check(o, value, problem))
        return fault_set(why, BLAME_POLICY, ER_WRONG_VALUE, "%s: %s", o->name, problem);
    return true;
}

bool overrides_set(struct overrides *o, const struct config *c, const struct setting_name *setting,
                   struct bytes value, struct fault *why)
{
    enum kind kind;
    if (!setting_check(c, setting, why))
        return false;
    must(kind_find(setting->section, &kind));
    if (!may_be_set(option_find(kind, setting->key), value, why))
        return false;
    overrides_put(o, setting, value);
    return true;
}
