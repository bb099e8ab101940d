/* Texts in, complaints out, for the tests of config/. */
#ifndef TESTS_CONFIG_TEXTS_H
#define TESTS_CONFIG_TEXTS_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "config/config.h"

#include "base/mem.h"

/* All complaints as "line: error: text\n", in a string for the caller to free. */
static inline char *complaints_text(const struct complaints *c)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    for (unsigned i = 0; i < c->count; i++)
        fprintf(out, "%u: %s: %s\n", c->items[i].line, c->items[i].is_error ? "error" : "warning",
                c->items[i].text);
    fclose(out);
    return text;
}

/* A configuration from exactly as much memory as it has letters. */
static inline struct config *parse(const char *text, char **complaints)
{
    struct complaints out;
    char *exact = mem_alloc(strlen(text));
    memcpy(exact, text, strlen(text));
    struct config *c = config_parse(bytes_of(exact, strlen(text)), "test.ini", &out);
    mem_free(exact);
    *complaints = complaints_text(&out);
    assert_true((c == NULL) == (out.errors > 0));
    complaints_release(&out);
    return c;
}

/* What a text that goes with the least of a good configuration is told. */
#define REST                                                        \
    "[listener main]\n[server db1]\naddress = 127.0.0.1\n[user u]\n" \
    "password = p\n"
#define MONITOR "[volvox]\nmonitor_user = m\nmonitor_password = p\n"

/* What a text without operators is told, after all else. */
#define NO_ADMIN "0: warning: no [admin_user]: the admin port stays closed\n"

/* NO_ADMIN needn't be mentioned. */
static inline void expect(const char *text, const char *complaints)
{
    char *told, expected[4096];
    struct config *c = parse(text, &told);
    bool has_admin = strstr(text, "[admin") != NULL;
    snprintf(expected, sizeof(expected), "%s%s", complaints, has_admin ? "" : NO_ADMIN);
    assert_string_equal(told, expected);
    free(told);
    config_drop(c);
}

/* A good one; warnings don't matter. */
static inline struct config *good(const char *text)
{
    char *told;
    struct config *c = parse(text, &told);
    if (c == NULL)
        fail_msg("refused: %s", told);
    free(told);
    return c;
}

#endif
