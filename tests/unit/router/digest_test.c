#include "router/inside.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char path[] = "tests/cases/digest.txt";
static const struct lexer_mode mysql = { .version = 90704 };

static uint64_t digest_in(const char *sql, size_t len, const struct lexer_mode *mode)
{
    char *exact = malloc(len > 0 ? len : 1); /* so that the sanitizer sees any byte too far */
    memcpy(exact, sql, len);
    struct statement st;
    statement_read(bytes_of(exact, len), mode, &st);
    free(exact);
    return st.digest;
}

static uint64_t digest(const char *sql)
{
    return digest_in(sql, strlen(sql), &mysql);
}

/* The normal form, in memory of exactly that size; the caller frees. */
static char *text_in(const char *sql, size_t len, size_t size)
{
    char *exact = malloc(len > 0 ? len : 1), *out = malloc(size);
    memcpy(exact, sql, len);
    size_t written = digest_text(bytes_of(exact, len), &mysql, out, size);
    assert_true(written < size);
    assert_int_equal(out[written], '\0');
    assert_int_equal(strlen(out), written);
    free(exact);
    return out;
}

/* ---- the table of cases ---------------------------------------------------------------- */

enum { CASES_MAX = 200 };
struct seen {
    unsigned line;
    uint64_t digest;
    char *text;
};

/* {{0a}} is the byte 0x0a.  In place; returns the length. */
static size_t unescape(char *text)
{
    char *to = text, *end;
    for (char *at = text; *at != '\0';) {
        if (at[0] != '{' || at[1] != '{') {
            *to++ = *at++;
            continue;
        }
        for (at += 2; *at != '}' && *at != '\0'; at = end) {
            *to++ = (char)strtoul(at, &end, 16);
            if (end == at)
                fail_msg("%s: what is '%s'?", path, at);
        }
        at += *at == '}' ? 2 : 0;
    }
    return (size_t)(to - text);
}

/* How many of the earlier ones it should be equal to and is not, or the reverse. */
static unsigned compare_with_others(const struct seen *seen, size_t n)
{
    unsigned differences = 0;
    const struct seen *mine = &seen[n];
    for (size_t i = 0; i < n; i++) {
        bool is_same_text = strcmp(seen[i].text, mine->text) == 0;
        if (is_same_text == (seen[i].digest == mine->digest))
            continue;
        differences++;
        print_error("%s:%u and %u: digests %s\n", path, seen[i].line, mine->line,
                    is_same_text ? "differ" : "are the same");
    }
    return differences;
}

static void normal_forms_and_digests_are_what_the_table_says(void **state)
{
    (void)state;
    static char line[10000];
    static struct seen seen[CASES_MAX];
    unsigned differences = 0;
    size_t n = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (unsigned number = 1; fgets(line, sizeof(line), f) != NULL; number++) {
        char *arrow = strstr(line, " => ");
        if (line[0] == '#' || arrow == NULL)
            continue;
        *arrow = '\0';
        struct bytes expected = str_trim(bytes_str(arrow + 4));
        size_t len = unescape(line);
        assert_true(n < CASES_MAX);
        seen[n] = (struct seen){ number, digest_in(line, len, &mysql), text_in(line, len, 1000) };
        if (!bytes_equal(bytes_str(seen[n].text), expected)) {
            differences++;
            print_error("%s:%u: %s\n  expected %.*s\n  got      %s\n", path, number, line,
                        BYTES_FMT(expected), seen[n].text);
        }
        differences += compare_with_others(seen, n++);
    }
    fclose(f);
    assert_true(n > 90);
    assert_int_equal(differences, 0);
    while (n > 0)
        free(seen[--n].text);
}

/* ---- what no table can say ----------------------------------------------------------------- */

static void a_statement_that_is_none_has_no_digest(void **state)
{
    (void)state;
    assert_int_equal(digest(""), 0);
    assert_int_equal(digest(" /* a */ -- b"), 0);
    assert_int_equal(digest(";;"), 0);
    assert_int_not_equal(digest("x"), 0);
}

static void the_same_words_in_other_places_are_another_statement(void **state)
{
    (void)state;
    assert_int_not_equal(digest("select a, b from t"), digest("select b, a from t"));
    assert_int_not_equal(digest("select a b"), digest("select ab"));
    assert_int_not_equal(digest("select `a`"), digest("select `A`"));
    assert_int_not_equal(digest("select @a"), digest("select @@a"));
    assert_int_not_equal(digest("select 1; select 2"), digest("select 1 select 2"));
}

static void a_digest_does_not_depend_on_what_lies_behind_the_text(void **state)
{
    (void)state;
    const char text[] = "select abcXYZ_and_more";
    for (size_t len = 1; len < sizeof(text) - 1; len++) {
        struct statement st;
        statement_read(bytes_of(text, len), &mysql, &st);
        assert_int_equal(st.digest, digest_in(text, len, &mysql));
    }
}

static void the_mode_says_what_is_a_literal(void **state)
{
    (void)state;
    struct lexer_mode ansi = { .version = 90704, .ansi_quotes = true };
    const char a[] = "select \"a\"", b[] = "select \"b\"";
    assert_int_equal(digest(a), digest(b));
    assert_int_not_equal(digest_in(a, strlen(a), &ansi), digest_in(b, strlen(b), &ansi));
}

static void a_long_text_is_cut_at_a_whole_character(void **state)
{
    (void)state;
    const char sql[] = "select n\xc3\xa4me from t where id = 1";
    const char whole[] = "SELECT n\xc3\xa4me FROM t WHERE id = ?";
    for (size_t size = 1; size <= sizeof(whole) + 5; size++) {
        char *out = text_in(sql, strlen(sql), size);
        if (size >= sizeof(whole)) {
            assert_string_equal(out, whole);
        } else if (size >= 4) {
            size_t kept = strlen(out) - 3;
            assert_string_equal(out + kept, "...");
            assert_memory_equal(out, whole, kept);
            assert_true((whole[kept] & 0xc0) != 0x80);
            assert_true(kept + 4 == size || kept + 5 == size);
        } else {
            assert_string_equal(out, "");
        }
        free(out);
    }
    assert_int_equal(digest_text(bytes_str(sql), &mysql, NULL, 0), 0);
}

static void a_long_list_needs_no_room_for_what_is_taken_back(void **state)
{
    (void)state;
    static char sql[100000];
    size_t at = (size_t)snprintf(sql, sizeof(sql), "insert into t values (1,'a')");
    while (at < sizeof(sql) - 300)
        at += (size_t)snprintf(sql + at, sizeof(sql) - at, ",(%zu,'text')", at);
    snprintf(sql + at, sizeof(sql) - at,
             " returning a in (1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16)");
    char *out = text_in(sql, strlen(sql), 64);
    assert_string_equal(out, "INSERT INTO t VALUES (...) RETURNING a IN (?+)");
    free(out);
    assert_int_equal(digest(sql), digest("insert into t values (1,2) returning a in (3)"));
}

static void no_literal_is_in_the_text(void **state)
{
    (void)state;
    const char *const texts[] = {
        "select 'secret'",    "select \"secret\"",         "select n'secret'",
        "select 'secret",     "select * from t /* secret", "select 1 # secret",
        "select 'a''secret'", "select 'a\\'secret'",       "select a'secret",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char *out = text_in(texts[i], strlen(texts[i]), 200);
        assert_null(strstr(out, "secret"));
        free(out);
    }
}

static void the_words_in_capitals_are_sorted_so_that_they_are_found(void **state)
{
    (void)state;
    assert_true(capitals_are_sorted());
    assert_true(word_is_capital("accessible") && word_is_capital("zerofill"));
    assert_false(word_is_capital("status"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_forms_and_digests_are_what_the_table_says),
        cmocka_unit_test(a_statement_that_is_none_has_no_digest),
        cmocka_unit_test(the_same_words_in_other_places_are_another_statement),
        cmocka_unit_test(a_digest_does_not_depend_on_what_lies_behind_the_text),
        cmocka_unit_test(the_mode_says_what_is_a_literal),
        cmocka_unit_test(a_long_text_is_cut_at_a_whole_character),
        cmocka_unit_test(a_long_list_needs_no_room_for_what_is_taken_back),
        cmocka_unit_test(no_literal_is_in_the_text),
        cmocka_unit_test(the_words_in_capitals_are_sorted_so_that_they_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
