#include "router/inside.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct lexer_mode mysql = { .version = 90704 };
static const struct lexer_mode mariadb = { .is_mariadb = true, .version = 101119 };

static const char kinds[] = {
    [TOKEN_END] = '.',    [TOKEN_WORD] = 'w',       [TOKEN_QUOTED_NAME] = 'q',
    [TOKEN_STRING] = 's', [TOKEN_NUMBER] = 'n',     [TOKEN_USER_VAR] = '@',
    [TOKEN_PARAM] = '?',  [TOKEN_SYSTEM_VAR] = 'v', [TOKEN_SEMICOLON] = ';',
    [TOKEN_HINT] = 'h',   [TOKEN_BROKEN] = '!',     [TOKEN_PUNCT] = 'p',
};

/* Each token as its kind (k for a keyword, the character for punctuation) and its
 * text, between blanks; a final D for doubt. */
static void print_tokens(const char *sql, size_t len, const struct lexer_mode *mode, char *out,
                         size_t size)
{
    char *exact = malloc(len > 0 ? len : 1);
    memcpy(exact, sql, len);
    struct lexer lx;
    struct token t;
    size_t at = 0;
    out[0] = '\0';
    lexer_begin(&lx, bytes_of(exact, len), mode);
    while (lexer_next(&lx, &t) != TOKEN_END && t.kind != TOKEN_BROKEN) {
        char kind = t.keyword != KEYWORD_NONE ? 'k' : kinds[t.kind];
        at += (size_t)snprintf(out + at, size - at, "%s%c:%.*s", at ? " " : "", kind,
                               BYTES_FMT(t.text));
    }
    snprintf(out + at, size - at, "%s%s", t.kind == TOKEN_BROKEN ? at ? " !" : "!" : "",
             lx.in_doubt ? " D" : "");
    free(exact);
}

static void check_bytes(const char *sql, size_t len, const struct lexer_mode *mode,
                        const char *expected)
{
    char got[500];
    print_tokens(sql, len, mode, got, sizeof(got));
    if (strcmp(got, expected) != 0)
        fail_msg("%s\n  expected %s\n  got      %s", sql, expected, got);
}

static void check(const char *sql, const struct lexer_mode *mode, const char *expected)
{
    check_bytes(sql, strlen(sql), mode, expected);
}

static void words_and_keywords_are_told_apart(void **state)
{
    (void)state;
    check("SELECT a1, $b", &mysql, "k:SELECT w:a1 p:, w:$b");
    check("selectx select_", &mysql, "w:selectx w:select_");
    check("t.select select.t", &mysql, "w:t p:. w:select w:select p:. w:t");
    check("t. select", &mysql, "w:t p:. k:select");
    check("t .select", &mysql, "w:t p:. w:select");
    check("`select`", &mysql, "q:`select`");
    check("na\xc3\xafve", &mysql, "w:na\xc3\xafve");
}

static void numbers_end_where_the_servers_end_them(void **state)
{
    (void)state;
    check("1 1.5 .5 1. 1e10 1.e3 1e+5 0x1F 0b01", &mysql,
          "n:1 n:1.5 n:.5 n:1. n:1e10 n:1.e3 n:1e+5 n:0x1F n:0b01");
    check("1for", &mysql, "w:1for");
    check("0xfoo 0b2 0X1F 0x 0b01.1", &mysql, "w:0xfoo w:0b2 w:0X1F w:0x n:0b01 n:.1");
    check("1.for", &mysql, "n:1. k:for");
    check("1e1for", &mysql, "n:1e1 k:for");
    check("1e", &mysql, "w:1e");
    check("1-1", &mysql, "n:1 p:- n:1");
    check("db.1abs", &mysql, "w:db p:. w:1abs");
    check("db .1abs", &mysql, "w:db n:.1 w:abs");
}

static void strings_end_at_their_quote(void **state)
{
    (void)state;
    check("'a''b' \"c\"\"d\" ''", &mysql, "s:'a''b' s:\"c\"\"d\" s:''");
    check("'a\\'b' 'c\\\\'", &mysql, "s:'a\\'b' s:'c\\\\'");
    check("'a\\' b", &mysql, "!");
    check("n'a\\'b' x'41' b'1' N'x'", &mysql, "s:n'a\\'b' s:x'41' s:b'1' s:N'x'");
    check("_utf8'a'", &mysql, "w:_utf8 s:'a'");
    check("t.x'a'", &mysql, "w:t p:. w:x s:'a'");
    check("'a' ? ;", &mysql, "s:'a' ?:? ;:;");
}

static void the_mode_says_what_a_backslash_is(void **state)
{
    (void)state;
    struct lexer_mode mode = mysql;
    mode.no_backslash_escapes = true;
    check("'a\\' b", &mode, "s:'a\\' w:b");
    check("'a\\'' b'", &mode, "s:'a\\'' b'");
}

static void the_mode_says_what_a_double_quote_is(void **state)
{
    (void)state;
    struct lexer_mode mode = mysql;
    mode.ansi_quotes = true;
    check("\"a\\\" b", &mode, "q:\"a\\\" w:b");
    check("\"a\\\" b", &mysql, "!");
    check("\"a\"\"b\"", &mode, "q:\"a\"\"b\"");
}

static void variables_are_taken_whole(void **state)
{
    (void)state;
    check("@a @a.b @`x y` @'z' @\"w\" @", &mysql, "@:a @:a.b @:`x y` @:'z' @:\"w\" @:");
    check("@@x @@global.x @@session.`y` @@x+1", &mysql, "v:x v:global.x v:session.`y` v:x p:+ n:1");
    check("@a:=1 : b", &mysql, "@:a p::= n:1 p:: w:b");
    check("@`a", &mysql, "!");
    check("@@`a", &mysql, "!");
}

static void comments_are_passed(void **state)
{
    (void)state;
    check("a /* b */ c /**/ d", &mysql, "w:a w:c w:d");
    check("a -- b\nc # d\n e --\tf", &mysql, "w:a w:c w:e");
    check("a--b", &mysql, "w:a p:- p:- w:b");
    check("a --", &mysql, "w:a");
    check("a /* /* */ b", &mysql, "w:a w:b");
    check("a /*/ b */ c", &mysql, "w:a w:c");
    check("a /* b", &mysql, "w:a !");
    check("a / b * c", &mysql, "w:a p:/ w:b p:* w:c");
    check("/*+ max_execution_time(1) */ a", &mysql, "w:a");
}

static void versioned_comments_are_text_if_the_server_executes_them(void **state)
{
    (void)state;
    check("a /*! b */ c", &mysql, "w:a w:b w:c");
    check("a /*!80000 b */ c", &mysql, "w:a w:b w:c");
    check("a /*!080000 b */ c", &mysql, "w:a w:b w:c");
    check("a /*!99999 b */ c", &mysql, "w:a w:c");
    check("a /*!99999 b /* x */ y */ c", &mysql, "w:a w:c");
    check("a /*!123 b */ c", &mysql, "w:a n:123 w:b w:c");
    check("a /*! b /* x */ d */ c", &mysql, "w:a w:b w:d w:c");
    check("a /*! '*/' */ c", &mysql, "w:a s:'*/' w:c");
    check("a /*M! b */ c", &mysql, "w:a w:c");
    check("a /*! b", &mysql, "w:a w:b !");
    check("a /*!100100 b */ c", &mysql, "w:a w:c");
    check("a /*!100100b */ c", &mysql, "w:a w:0b w:c");
    check("a /*!800001*/ c", &mysql, "w:a n:1 w:c");
    check("a */ b", &mysql, "w:a p:* p:/ w:b");
}

static void mariadb_has_versioned_comments_of_its_own(void **state)
{
    (void)state;
    check("a /*M! b */ c", &mariadb, "w:a w:b w:c");
    check("a /*M!100000 b */ c", &mariadb, "w:a w:b w:c");
    check("a /*M!110000 b */ c", &mariadb, "w:a w:c");
    check("a /*!50699 b */ /*!50700 c */ /*!99999 d */ /*!100000e */", &mariadb, "w:a w:b w:e");
}

static void an_unknown_version_leaves_doubt(void **state)
{
    (void)state;
    const struct lexer_mode unknown = { .version = 0 };
    const struct lexer_mode old = { .version = 80036 };
    check("a /*!40001 b */", &unknown, "w:a w:b");
    check("a /*! b */", &unknown, "w:a w:b");
    check("a /*!80000 b */", &unknown, "w:a w:b D");
    check("a /*M! b */", &unknown, "w:a w:b D");
    check("a /*!080000 b */", &old, "w:a w:b D");
}

static void what_a_character_set_could_change_leaves_doubt(void **state)
{
    (void)state;
    struct lexer_mode unknown = mysql, latin1 = mysql, cp866 = mysql, swe7 = mysql, plain = mysql;
    unknown.charset = LEXER_UNKNOWN;
    latin1.charset = lexer_charset(BYTES_LITERAL("latin1"));
    cp866.charset = lexer_charset(BYTES_LITERAL("CP866"));
    swe7.charset = lexer_charset(BYTES_LITERAL("swe7"));
    plain.charset = lexer_charset(BYTES_LITERAL("koi8r"));
    check("'\xb1\\' a", &unknown, "! D");
    check("'\xb1z' a", &unknown, "s:'\xb1z' w:a");
    check("`\xb1`` a", &unknown, "! D");
    check("a\xb1|b", &unknown, "w:a\xb1 p:| w:b D");
    check("a\xb1", &unknown, "w:a\xb1 D");
    check("for\xa0update", &mysql, "w:for\xa0update D");
    check("for\xc3\xa0update", &mysql, "w:for\xc3\xa0update");
    check("for\xc3\xa0update", &latin1, "w:for\xc3\xa0update D");
    check("f\xfcr update '\xa0'", &latin1, "w:f\xfcr k:update s:'\xa0'");
    check("@a\xa0into", &latin1, "@:a\xa0into D");
    check("1\xa0into", &latin1, "w:1\xa0into D");
    check("@@a\xa0into", &latin1, "v:a\xa0into D");
    check("into\xff", &cp866, "w:into\xff D");
    check("into\xa0", &cp866, "w:into\xa0");
    check("f]g", &swe7, "w:f p:] w:g D");
    check("'f]g'", &swe7, "s:'f]g'");
    check("for\xa0update \xff", &plain, "w:for\xa0update w:\xff");
    check("a --\x81 b", &mysql, "w:a p:- p:- w:\x81 w:b D");
    check("/*+ qb_name(`a*/ b` */ c", &mysql, "w:b ! D");
}

static void second_bytes_belong_to_the_first(void **state)
{
    static const struct {
        const char *charset, *wide,
            *narrow; /* a byte that takes a backslash along, and one that does not */
    } charsets[] = {
        { "gbk", "\xbf", "\xff" },  { "sjis", "\x83", "\xb1" },    { "cp932", "\xfc", "\xa0" },
        { "big5", "\xa5", "\x9f" }, { "gb18030", "\xfe", "\xff" },
    };
    /* W is the wide byte, N the narrow one */
    static const struct {
        const char *sql, *expected;
    } cases[] = {
        { "'W\\' a'", "s:'W\\' w:a !" },  { "'N\\' a'", "s:'N\\' a'" },
        { "'\\W\\' a'", "s:'\\W\\' a'" }, /* an escape takes one byte, not a character */
        { "'W' a", "s:'W' w:a" },         /* a quote is never a second byte */
        { "`W`` a", "q:`W`` w:a" },       { "aW|bW@c", "w:aW|bW@c" },
        { "@aW b", "@:aW w:b D" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(charsets); i++) {
        struct lexer_mode mode = mysql;
        mode.charset = lexer_charset(bytes_str(charsets[i].charset));
        for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
            char sql[32], expected[32];
            str_copy(sql, sizeof sql, bytes_str(cases[k].sql));
            str_copy(expected, sizeof expected, bytes_str(cases[k].expected));
            for (size_t at = 0; at < sizeof sql; at++) {
                sql[at] = sql[at] == 'W'   ? charsets[i].wide[0]
                          : sql[at] == 'N' ? charsets[i].narrow[0]
                                           : sql[at];
                expected[at] = expected[at] == 'W'   ? charsets[i].wide[0]
                               : expected[at] == 'N' ? charsets[i].narrow[0]
                                                     : expected[at];
                if (sql[at] == '\0' && expected[at] == '\0')
                    break;
            }
            check(sql, &mode, expected);
        }
    }
    struct lexer_mode gb18030 = mysql;
    gb18030.charset = LEXER_GB18030;
    check("'\x81\x30\x81\x30\\' a'", &gb18030, "s:'\x81\x30\x81\x30\\' a'");
    check("'\x81\x30\x81\x5c' a", &gb18030, "s:'\x81\x30\x81\x5c' w:a");
}

static void with_sql_mode_unknown_quotes_leave_doubt(void **state)
{
    struct lexer_mode mode = mysql;
    (void)state;
    mode.quotes_unknown = true;
    check("'a' \"b\"", &mode, "s:'a' s:\"b\" D");
    check("'a' `b\\`", &mode, "s:'a' q:`b\\`");
    check("'a\\\\' b", &mode, "s:'a\\\\' w:b D");
    check("n'a\\n' b", &mode, "s:n'a\\n' w:b D");
}

static void a_nul_byte_ends_what_can_be_read(void **state)
{
    (void)state;
    check_bytes("a\0b", 3, &mysql, "w:a !");
    check_bytes("'a\0b' c", 7, &mysql, "s:'a w:c"); /* as far as %s prints it */
    check_bytes("a # b\0 c\n d", 11, &mysql, "w:a !");
}

static void a_broken_token_stays(void **state)
{
    (void)state;
    const char *const texts[] = { "'a", "`a", "\"a", "/* a", "/*! a", "x'a", "@`a", "@@`a", "n'" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct lexer lx;
        struct token t;
        lexer_begin(&lx, bytes_str(texts[i]), &mysql);
        while (lexer_next(&lx, &t) != TOKEN_BROKEN)
            assert_int_not_equal(t.kind, TOKEN_END);
        for (int n = 0; n < 3; n++)
            assert_int_equal(lexer_next(&lx, &t), TOKEN_BROKEN);
    }
}

static void nothing_has_no_tokens(void **state)
{
    (void)state;
    struct lexer lx;
    struct token t;
    lexer_begin(&lx, BYTES_NONE, &mysql);
    assert_int_equal(lexer_next(&lx, &t), TOKEN_END);
    assert_int_equal(lexer_next(&lx, &t), TOKEN_END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_keywords_are_told_apart),
        cmocka_unit_test(numbers_end_where_the_servers_end_them),
        cmocka_unit_test(strings_end_at_their_quote),
        cmocka_unit_test(the_mode_says_what_a_backslash_is),
        cmocka_unit_test(the_mode_says_what_a_double_quote_is),
        cmocka_unit_test(variables_are_taken_whole),
        cmocka_unit_test(comments_are_passed),
        cmocka_unit_test(versioned_comments_are_text_if_the_server_executes_them),
        cmocka_unit_test(mariadb_has_versioned_comments_of_its_own),
        cmocka_unit_test(an_unknown_version_leaves_doubt),
        cmocka_unit_test(what_a_character_set_could_change_leaves_doubt),
        cmocka_unit_test(second_bytes_belong_to_the_first),
        cmocka_unit_test(with_sql_mode_unknown_quotes_leave_doubt),
        cmocka_unit_test(a_nul_byte_ends_what_can_be_read),
        cmocka_unit_test(a_broken_token_stays),
        cmocka_unit_test(nothing_has_no_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
