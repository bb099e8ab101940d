/*
 * cases_test.c - every line of tests/cases/routing.txt is read, routed and compared.
 *
 * The file's head says how a line is written.
 */
#include "router/router.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char path[] = "tests/cases/routing.txt";

struct section {
    struct lexer_mode mode;
    struct facts facts;
};

static const struct section plain = {
    .mode = { .version = 90704 },
    .facts = { .autocommit = true, .splits_reads = true },
};

/* ---- the file's own language ---------------------------------------------------------- */

struct word {
    const char *name;
    size_t offset;
    bool value;
};
#define FACT(field) offsetof(struct section, facts.field)
static const struct word words[] = {
    { "in_transaction", FACT(in_transaction), true },
    { "in_read_only_transaction", FACT(in_read_only_transaction), true },
    { "autocommit_off", FACT(autocommit), false },
    { "no_split", FACT(splits_reads), false },
    { "pinned", FACT(pinned), true },
};

static bool set_mode(struct lexer_mode *mode, const char *word)
{
    if (strcmp(word, "ansi_quotes") == 0)
        mode->ansi_quotes = true;
    else if (strcmp(word, "no_backslash_escapes") == 0)
        mode->no_backslash_escapes = true;
    else if (strcmp(word, "ignore_space") == 0)
        mode->ignore_space = true;
    else if (strcmp(word, "quotes_unknown") == 0)
        mode->quotes_unknown = true;
    else
        return false;
    return true;
}

static bool set_server(struct section *s, const char *word)
{
    unsigned version;
    if (sscanf(word, "mysql=%u", &version) == 1)
        s->mode.is_mariadb = false;
    else if (sscanf(word, "mariadb=%u", &version) == 1)
        s->mode.is_mariadb = true;
    else
        return false;
    s->mode.version = version;
    return true;
}

static bool set_word(struct section *s, const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(words[i].name, word) == 0) {
            *(bool *)((char *)s + words[i].offset) = words[i].value;
            return true;
        }
    }
    if (strncmp(word, "charset=", 8) == 0) {
        s->mode.charset = lexer_charset(bytes_str(word + 8));
        return true;
    }
    return set_mode(&s->mode, word) || set_server(s, word);
}

/* [mode: a, b; facts: c] */
static void read_section(char *line, unsigned number, struct section *s)
{
    *s = plain;
    char *rest = line + 1, *at;
    while ((at = strtok_r(rest, " ,;]\n", &rest)) != NULL) {
        size_t len = strlen(at);
        if (at[len - 1] != ':' && !set_word(s, at))
            fail_msg("%s:%u: what is '%s'?", path, number, at);
    }
}

static int hex_digit(char c)
{
    return ascii_digit((uint8_t)c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* {{0a}} is the byte 0x0a, {{e9 20}} two bytes.  In place. */
static size_t unescape(char *text)
{
    char *to = text;
    for (char *at = text; *at != '\0';) {
        if (at[0] != '{' || at[1] != '{') {
            *to++ = *at++;
            continue;
        }
        for (at += 2; *at != '}' && *at != '\0';) {
            if (hex_digit(at[0]) >= 0 && hex_digit(at[1]) >= 0) {
                *to++ = (char)(hex_digit(at[0]) * 16 + hex_digit(at[1]));
                at += 2;
            } else {
                at++;
            }
        }
        at += at[0] == '}' ? 1 + (at[1] == '}') : 0;
    }
    return (size_t)(to - text);
}

static void trim(char *text)
{
    struct bytes b = str_trim(bytes_str(text));
    memmove(text, b.data, b.len);
    text[b.len] = '\0';
}

/* ---- one case ---------------------------------------------------------------------------- */

/* "role, why[, server=NAME]"; "stays, why"; "fault". */
static void print_plan(bool ok, const struct plan *plan, char *out, size_t size)
{
    if (!ok) {
        snprintf(out, size, "fault");
        return;
    }
    int n = snprintf(out, size, "%s, %s", plan->stays ? "stays" : role_name(plan->role),
                     route_why_name(plan->why));
    if (plan->server.len > 0)
        snprintf(out + n, size - (size_t)n, ", server=%.*s", BYTES_FMT(plan->server));
}

/* The number of differences: 0 or 1. */
static unsigned try_case(const struct section *s, char *sql, char *expected, unsigned number)
{
    char *effects = strchr(expected, ';');
    if (effects != NULL)
        *effects++ = '\0';
    trim(expected);
    size_t len = unescape(sql);
    char *exact = malloc(len > 0 ? len : 1); /* so that the sanitizer sees any byte too far */
    memcpy(exact, sql, len);
    struct statement st;
    struct plan plan;
    struct fault why = FAULT_NONE;
    statement_read(bytes_of(exact, len), &s->mode, &st);
    bool ok = route(&s->facts, &st, &plan, &why);
    char got[200], got_effects[500];
    print_plan(ok, &plan, got, sizeof(got));
    free(exact);
    effects_print(st.effects, got_effects, sizeof(got_effects));
    if (effects != NULL) {
        trim(effects);
        if (strcmp(effects, "none") == 0)
            *effects = '\0';
    }
    if (strcmp(got, expected) == 0 && (effects == NULL || strcmp(effects, got_effects) == 0))
        return 0;
    print_error("%s:%u: %s\n  expected %s; %s\n  got      %s; %s (verb %s, %s)\n", path, number,
                sql, expected, effects ? effects : "(any)", got, got_effects, verb_name(st.verb),
                st.is_broken    ? "broken"
                : st.reads_only ? "reads only"
                                : "does more");
    return 1;
}

/* White space before "=>" belongs to the file, not to the SQL. */
static bool split_case(char *line, char **expected)
{
    char *arrow = NULL;
    for (char *at = line; (at = strstr(at, "=>")) != NULL; at++)
        arrow = at;
    if (arrow == NULL)
        return false;
    *expected = arrow + 2;
    while (arrow > line && arrow[-1] == ' ')
        arrow--;
    *arrow = '\0';
    return true;
}

static void statements_go_where_the_table_says(void **state)
{
    (void)state;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    struct section section = plain;
    static char line[100000];
    unsigned number = 0, cases = 0, differences = 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        char *expected;
        number++;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (split_case(line, &expected)) {
            differences += try_case(&section, line, expected, number);
            cases++;
        } else if (line[0] == '[') {
            read_section(line, number, &section);
        } else {
            fail_msg("%s:%u: neither a case nor a section", path, number);
        }
    }
    fclose(f);
    print_message("%u cases\n", cases);
    assert_true(cases > 300);
    assert_int_equal(differences, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_go_where_the_table_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
