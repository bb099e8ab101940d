/* One value: from its words into a field of a struct, and back. */
#include "config/inside.h"

#include "base/mem.h"
#include "base/str.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit time_units[] = { { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 },
                                          { "s", 1000 },     { "ms", 1 },      { NULL, 0 } };
static const struct unit size_units[] = { { "T", 1ull << 40 }, { "G", 1ull << 30 },
                                          { "M", 1ull << 20 }, { "K", 1ull << 10 },
                                          { "", 1 },           { NULL, 0 } };

static void *field(const struct option *o, const void *base)
{
    must(o->offset != OPTION_NO_FIELD);
    return (char *)base + o->offset;
}

/* Values as numbers, in the field's own unit. */
static uint64_t number_get(const struct option *o, const void *base)
{
    const void *at = field(o, base);
    switch (o->type) {
    case OPTION_SIZE:
        return *(const uint64_t *)at;
    case OPTION_BOOL:
        return *(const bool *)at;
    case OPTION_ENUM:
    case OPTION_UINT:
    case OPTION_TIME_MS:
    case OPTION_TIME_S:
        return *(const unsigned *)at;
    case OPTION_TEXT:
    case OPTION_SECRET:
        break;
    }
    must(!"a number");
}

static void number_set(const struct option *o, void *base, uint64_t n)
{
    void *at = field(o, base);
    if (o->type == OPTION_SIZE)
        *(uint64_t *)at = n;
    else if (o->type == OPTION_BOOL)
        *(bool *)at = n != 0;
    else
        *(unsigned *)at = (unsigned)n;
}

static bool is_text(const struct option *o)
{
    return o->type == OPTION_TEXT || o->type == OPTION_SECRET;
}

static void text_free(char *text)
{
    if (text != NULL)
        mem_free_secret(text, strlen(text));
}

/* "64M": the digits and one of the units; false when it is not of this form or passes
 * 64 bits. */
static bool read_units(struct bytes text, const struct unit *units, uint64_t *out)
{
    size_t digits = 0;
    uint64_t n;
    while (digits < text.len && ascii_digit(text.data[digits]))
        digits++;
    if (!str_to_u64(bytes_of(text.data, digits), &n))
        return false;
    struct bytes name = str_trim(bytes_skip(text, digits));
    for (const struct unit *u = units; u->name != NULL; u++)
        if (bytes_equal_nocase(name, bytes_str(u->name))) {
            *out = n * u->factor;
            return n <= UINT64_MAX / u->factor;
        }
    *out = 0;
    return n == 0 && name.len == 0;
}

static void print_units(uint64_t n, const struct unit *units, char *out, size_t size)
{
    const struct unit *u = units;
    while (n % u->factor != 0)
        u++;
    if (n == 0)
        snprintf(out, size, "0");
    else
        snprintf(out, size, "%llu%s", (unsigned long long)(n / u->factor), u->name);
}

static bool read_bool(struct bytes text, uint64_t *out)
{
    static const char *const words[] = { "no", "yes", "off", "on", "false", "true", "0", "1" };
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        if (bytes_equal_nocase(text, bytes_str(words[i]))) {
            *out = i & 1;
            return true;
        }
    return false;
}

static bool read_word(const struct option *o, struct bytes text, uint64_t *out)
{
    for (unsigned i = 0; o->words[i] != NULL; i++)
        if (bytes_equal_nocase(text, bytes_str(o->words[i]))) {
            *out = i;
            return true;
        }
    return false;
}

/* The number in the field's unit; false if the words make none. */
static bool read_number(const struct option *o, struct bytes text, uint64_t *out)
{
    switch (o->type) {
    case OPTION_UINT:
        return str_to_u64(text, out);
    case OPTION_BOOL:
        return read_bool(text, out);
    case OPTION_ENUM:
        return read_word(o, text, out);
    case OPTION_SIZE:
        return read_units(text, size_units, out);
    case OPTION_TIME_MS:
        return read_units(text, time_units, out);
    case OPTION_TIME_S:
        if (!read_units(text, time_units, out) || *out % 1000 != 0)
            return false;
        *out /= 1000;
        return true;
    case OPTION_TEXT:
    case OPTION_SECRET:
        break;
    }
    must(!"a number");
}

/* What would have been right, after "x is not ". */
static void describe_wanted(const struct option *o, char *out, size_t size)
{
    static const char *const wanted[] = {
        [OPTION_UINT] = "a whole number",
        [OPTION_BOOL] = "yes or no",
        [OPTION_SIZE] = "a size such as 4096, 64K, 16M or 1G",
        [OPTION_TIME_MS] = "a time such as 500ms, 10s, 5m or 2h",
        [OPTION_TIME_S] = "a time in whole seconds such as 10s, 5m or 2h",
    };
    if (o->type != OPTION_ENUM) {
        snprintf(out, size, "%s", wanted[o->type]);
        return;
    }
    size_t used = (size_t)snprintf(out, size, "one of");
    for (unsigned i = 0; o->words[i] != NULL && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s %s", i > 0 ? "," : "", o->words[i]);
}

static void print_number(const struct option *o, uint64_t n, char *out, size_t size)
{
    switch (o->type) {
    case OPTION_BOOL:
        snprintf(out, size, "%s", n ? "yes" : "no");
        return;
    case OPTION_ENUM:
        snprintf(out, size, "%s", o->words[n]);
        return;
    case OPTION_SIZE:
        print_units(n, size_units, out, size);
        return;
    case OPTION_TIME_MS:
        print_units(n, time_units, out, size);
        return;
    case OPTION_TIME_S:
        print_units(n * 1000, time_units, out, size);
        return;
    case OPTION_UINT:
        snprintf(out, size, "%llu", (unsigned long long)n);
        return;
    case OPTION_TEXT:
    case OPTION_SECRET:
        break;
    }
    must(!"a number");
}

static bool has_bounds(const struct option *o)
{
    return o->type != OPTION_ENUM && o->type != OPTION_BOOL;
}

static bool read_checked(const struct option *o, struct bytes text, uint64_t *n,
                         char problem[PROBLEM_BYTES])
{
    char wanted[160], low[32], high[32];
    if (!read_number(o, text, n)) {
        describe_wanted(o, wanted, sizeof(wanted));
        snprintf(problem, PROBLEM_BYTES, "\"%.*s\" is not %s", (int)MIN(text.len, 60),
                 (const char *)text.data, wanted);
        return false;
    }
    if (has_bounds(o) && (*n < o->min || *n > o->max)) {
        print_number(o, o->min, low, sizeof(low));
        print_number(o, o->max, high, sizeof(high));
        snprintf(problem, PROBLEM_BYTES, "\"%.*s\" is not between %s and %s",
                 (int)MIN(text.len, 60), (const char *)text.data, low, high);
        return false;
    }
    return true;
}

bool value_set(const struct option *o, void *base, struct bytes text, char problem[PROBLEM_BYTES])
{
    uint64_t n;
    if (is_text(o)) {
        char **at = field(o, base);
        text_free(*at);
        *at = mem_strndup(text.data, text.len);
        return true;
    }
    if (!read_checked(o, text, &n, problem))
        return false;
    number_set(o, base, n);
    return true;
}

bool value_check(const struct option *o, struct bytes text, char problem[PROBLEM_BYTES])
{
    uint64_t n;
    return is_text(o) || read_checked(o, text, &n, problem);
}

void value_init(const struct option *o, void *base)
{
    char problem[PROBLEM_BYTES];
    if (is_text(o))
        *(char **)field(o, base) = mem_strdup(o->fallback != NULL ? o->fallback : "");
    else
        must(value_set(o, base, bytes_str(o->fallback), problem));
}

void value_release(const struct option *o, void *base)
{
    if (!is_text(o))
        return;
    char **at = field(o, base);
    text_free(*at);
    *at = NULL;
}

bool value_equal(const struct option *o, const void *a, const void *b)
{
    if (is_text(o))
        return strcmp(*(char **)field(o, a), *(char **)field(o, b)) == 0;
    return number_get(o, a) == number_get(o, b);
}

void value_copy(const struct option *o, void *a, const void *b)
{
    if (!is_text(o)) {
        number_set(o, a, number_get(o, b));
        return;
    }
    char *copy = mem_strdup(*(char **)field(o, b));
    value_release(o, a);
    *(char **)field(o, a) = copy;
}

void value_print(const struct option *o, const void *base, char out[VALUE_BYTES])
{
    if (o->type == OPTION_SECRET)
        snprintf(out, VALUE_BYTES, "***");
    else if (o->type == OPTION_TEXT)
        snprintf(out, VALUE_BYTES, "\"%s\"", *(char **)field(o, base));
    else
        print_number(o, number_get(o, base), out, VALUE_BYTES);
}

void value_text(const struct option *o, const void *base, char *out, size_t size)
{
    if (!is_text(o)) {
        print_number(o, number_get(o, base), out, size);
        return;
    }
    const char *text = *(char **)field(o, base);
    bool hide = o->type == OPTION_SECRET && text[0] != '\0';
    str_copy(out, size, bytes_str(hide ? "***" : text));
}
