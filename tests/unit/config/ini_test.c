/* The grammar: what lines mean, and which line a complaint names. */
#include "unit/config/texts.h"

static const char *password_of(const struct config *c)
{
    const struct user_config *u = config_user(c, BYTES_LITERAL("u"));
    assert_non_null(u);
    return u->secret.clear != NULL ? u->secret.clear : "";
}

/* The value that a line gives to the password of user u. */
static void password_is(const char *line, const char *password)
{
    char text[1024];
    snprintf(text, sizeof(text), "[server s]\naddress=127.0.0.1\n[user u]\n%s\n", line);
    struct config *c = good(text);
    assert_string_equal(password_of(c), password);
    config_drop(c);
}

static void blanks_around_names_and_values_do_not_count(void **state)
{
    (void)state;
    password_is("password=abc", "abc");
    password_is("  password =  abc  ", "abc");
    password_is("\tpassword\t=\tabc\t", "abc");
    password_is("password = a b c", "a b c");
    password_is("password = abc\r", "abc");
}

static void indented_options_are_options(void **state)
{
    (void)state;
    struct config *c = good("[server s]\n    address = 127.0.0.1\n    weight = 7\n"
                            "    max_connections = 9\n");
    assert_string_equal(c->servers[0].address, "127.0.0.1");
    assert_int_equal(c->servers[0].weight, 7);
    assert_int_equal(c->servers[0].max_connections, 9);
    config_drop(c);
}

static void a_quoted_value_keeps_comment_signs_and_blanks(void **state)
{
    (void)state;
    password_is("password = \"a ;b\"", "a ;b");
    password_is("password = \" ; # \"", " ; # ");
    password_is("password = \";\" ; why", ";");
    password_is("password = \"\\\"\\\\\"", "\"\\");
    password_is("password = \"\"", "");
    password_is("password = \"a=b:c\"", "a=b:c");
    password_is("password = \"[x]\"", "[x]");
}

static void without_quotes_a_semicolon_or_hash_inside_a_word_belongs_to_it(void **state)
{
    (void)state;
    password_is("password = a;b", "a;b");
    password_is("password = a # b", "a # b");
    password_is("password = #", "#");
    password_is("password = a\"b", "a\"b");
    password_is("password = a\\b", "a\\b");
}

static void a_password_that_would_be_cut_is_refused(void **state)
{
    (void)state;
    expect(MONITOR REST "[user v]\npassword = secret1 ;secret2\n",
           "10: error: password: put quotes around the value; without them it ends before a \" ;\" "
           "or a backslash at the end of the line\n");
    expect(MONITOR REST "[user v]\npassword = ;secret\n",
           "10: error: password: put quotes around the value; without them it ends before a \" ;\" "
           "or a backslash at the end of the line\n"
           "10: warning: [user v] has no password: anybody can log in as it\n");
    expect(MONITOR REST "[user v]\npassword = secret1\\\n",
           "10: error: password: put quotes around the value; without them it ends before a \" ;\" "
           "or a backslash at the end of the line\n");
}

static void comments_and_blank_lines_are_skipped(void **state)
{
    (void)state;
    password_is("# comment\n; comment\n\n  # indented\npassword = x", "x");
    struct config *c = good("\xEF\xBB\xBF; bom\n[server s] ; note\naddress = 127.0.0.1 ; note\n"
                            "weight = 5\t; note\n");
    assert_string_equal(c->servers[0].address, "127.0.0.1");
    assert_int_equal(c->servers[0].weight, 5);
    config_drop(c);
}

static void a_backslash_joins_lines(void **state)
{
    (void)state;
    password_is("password = \"abc\" \\\n   \"def\"", "abcdef");
    password_is("password = \\\n\"a ;\"\\\n\\\n\"b\"", "a ;b");
    struct config *c = good("[server s]\naddress = 127.0\\\n.0.1\nweight = 3\n");
    assert_string_equal(c->servers[0].address, "127.0.0.1");
    assert_int_equal(c->servers[0].weight, 3);
    config_drop(c);
}

static void a_continuation_may_look_like_anything(void **state)
{
    (void)state;
    password_is("password = \"a\"\\\n\"# no comment\"", "a# no comment");
    struct config *c = good("[volvox]\nlog_file = a\\\n[b]\\\n=c\nworkers = 3\n"
                            "[server s]\naddress = 127.0.0.1\n");
    assert_string_equal(c->settings.log_file, "a[b]=c");
    assert_int_equal(c->settings.workers, 3);
    config_drop(c);
    expect(MONITOR REST "[volvox x]\n[user v]\npassword = \"x\"\nschema = a\\\n#b\n",
           "9: error: [volvox] has no name\n"
           "13: error: put quotes around what begins with '#' or ';'\n");
}

static void long_lines_are_refused_with_their_number(void **state)
{
    char line[400] = "log_file = ";
    (void)state;
    memset(line + strlen(line), 'x', 200 - strlen(line));
    char text[1000];
    snprintf(text, sizeof(text), MONITOR "%s\nworkers = x\n" REST, line);
    expect(text, "4: error: the line is longer than 197 bytes; end it in a backslash and go on in "
                 "the next\n5: error: workers: \"x\" is not a whole number\n");
}

static void the_longest_line_is_read_whole(void **state)
{
    char line[400] = "log_file = ";
    (void)state;
    memset(line + strlen(line), 'x', 197 - strlen(line));
    char text[1000];
    snprintf(text, sizeof(text), "[volvox]\n%s\n" REST, line);
    struct config *c = good(text);
    assert_int_equal(strlen(c->settings.log_file), 197 - strlen("log_file = "));
    config_drop(c);
}

static void long_values_are_made_of_several_lines(void **state)
{
    char text[4000] = "[volvox]\nlog_file = ";
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        memset(text + strlen(text), 'a' + (int)i, 100);
        stpcpy(text + strlen(text), i < 19 ? "\\\n" : "\n" REST);
    }
    struct config *c = good(text);
    assert_int_equal(strlen(c->settings.log_file), 2000);
    assert_int_equal(c->settings.log_file[1999], 'a' + 19);
    config_drop(c);
}

static void lines_that_are_no_pair_are_errors(void **state)
{
    (void)state;
    expect(MONITOR "workers\n= 5\nwork ers = 5\nworkers ; = 5\n" REST,
           "4: error: expected \"name = value\"\n"
           "5: error: expected \"name = value\"\n"
           "6: error: expected \"name = value\"\n"
           "7: error: expected \"name = value\"\n");
}

static void a_secret_on_a_wrong_line_is_not_repeated(void **state)
{
    char *told;
    (void)state;
    struct config *c = parse(MONITOR REST "[user v]\npassword hunter2\npassword hunter2: x\n"
                                          "hunter2 hunter2\npassword = \"hunter2\n"
                                          "password = \"hunter2\" hunter2\npassword = \\\nhunter2",
                             &told);
    assert_null(c);
    assert_null(strstr(told, "hunter2"));
    free(told);
}

static void unknown_names_are_errors_with_a_suggestion(void **state)
{
    (void)state;
    expect(MONITOR "max_connectons = 5\nfoo = 1\nWorkers = 2\n" REST,
           "4: error: unknown option \"max_connectons\" in [volvox]; did you mean "
           "\"max_connections\"?\n"
           "5: error: unknown option \"foo\" in [volvox]\n"
           "6: error: unknown option \"Workers\" in [volvox]; did you mean \"workers\"?\n");
    expect(MONITOR REST "[sever db2]\naddress = 1.2.3.4\nnonsense\n[qqqqqqqq]\n[]\n",
           "9: error: unknown section \"sever\"; did you mean \"server\"?\n"
           "12: error: unknown section \"qqqqqqqq\"\n"
           "13: error: unknown section \"\"\n");
    /* An option of another section is not one of this section. */
    expect(MONITOR "address = 127.0.0.1\n" REST,
           "4: error: unknown option \"address\" in [volvox]\n");
}

static void headers_must_be_whole(void **state)
{
    (void)state;
    expect(MONITOR REST "[server db2\n[server db3] x\n[server]\n[server a b]\n[server a/b]\n",
           "9: error: a section's header must end in ']'\n"
           "10: error: a section's header must end in ']'\n"
           "11: error: [server] needs a name: [server NAME]\n"
           "12: error: the name of a server consists of letters, digits, '_', '-' and '.'\n"
           "13: error: the name of a server consists of letters, digits, '_', '-' and '.'\n");
}

static void what_stands_twice_names_the_first(void **state)
{
    (void)state;
    expect(MONITOR REST "password = q\n[volvox]\nworkers = 1\n[ server   db1 ]\n[user u]\n",
           "9: error: \"password\" stands twice in [user u], first in line 8\n"
           "10: error: [volvox] stands twice, first in line 1\n"
           "12: error: [server db1] stands twice, first in line 5\n"
           "13: error: [user u] stands twice, first in line 7\n");
}

static void values_before_the_first_section_are_errors(void **state)
{
    (void)state;
    expect("workers = 1\n" MONITOR REST, "1: error: a value before the first section\n");
}

static void control_bytes_are_refused(void **state)
{
    struct complaints out;
    static const char text[] = MONITOR "log_file = a\x01"
                                       "b\n" REST;
    static const char nul[] = MONITOR "log_file = a\0b\n" REST;
    (void)state;
    expect(text, "4: error: control characters do not belong into this file\n");
    assert_null(config_parse(bytes_of(nul, sizeof(nul) - 1), "test.ini", &out));
    assert_int_equal(out.errors, 1);
    assert_int_equal(out.items[0].line, 4);
    complaints_release(&out);
}

static void sections_without_values_exist(void **state)
{
    (void)state;
    struct config *c = good("[group a]\n[group b]\n[server x]\naddress=127.0.0.1\ngroup=a\n"
                            "[server y]\naddress=127.0.0.2\ngroup=b\n[user z]\ngroup = b");
    assert_int_equal(c->n_groups, 2);
    assert_int_equal(config_user(c, BYTES_LITERAL("z"))->group, 1);
    config_drop(c);
}

static void user_names_may_be_unusual(void **state)
{
    (void)state;
    struct config *c = good("[server s]\naddress=127.0.0.1\n[user o'brien \xC3\xA4 @x]\n");
    assert_non_null(config_user(c, BYTES_LITERAL("o'brien \xC3\xA4 @x")));
    config_drop(c);
}

static void only_the_first_hundred_complaints_are_kept(void **state)
{
    struct complaints out;
    char text[1000];
    (void)state;
    memset(text, '=', sizeof(text));
    for (unsigned i = 1; i < sizeof(text); i += 2)
        text[i] = '\n';
    memcpy(text, "[volvox]\n", 9);
    assert_null(config_parse(bytes_of(text, sizeof(text)), "test.ini", &out));
    assert_int_equal(out.count, 100);
    assert_true(out.errors > 400);
    complaints_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blanks_around_names_and_values_do_not_count),
        cmocka_unit_test(indented_options_are_options),
        cmocka_unit_test(a_quoted_value_keeps_comment_signs_and_blanks),
        cmocka_unit_test(without_quotes_a_semicolon_or_hash_inside_a_word_belongs_to_it),
        cmocka_unit_test(a_password_that_would_be_cut_is_refused),
        cmocka_unit_test(comments_and_blank_lines_are_skipped),
        cmocka_unit_test(a_backslash_joins_lines),
        cmocka_unit_test(a_continuation_may_look_like_anything),
        cmocka_unit_test(long_lines_are_refused_with_their_number),
        cmocka_unit_test(the_longest_line_is_read_whole),
        cmocka_unit_test(long_values_are_made_of_several_lines),
        cmocka_unit_test(lines_that_are_no_pair_are_errors),
        cmocka_unit_test(a_secret_on_a_wrong_line_is_not_repeated),
        cmocka_unit_test(unknown_names_are_errors_with_a_suggestion),
        cmocka_unit_test(headers_must_be_whole),
        cmocka_unit_test(what_stands_twice_names_the_first),
        cmocka_unit_test(values_before_the_first_section_are_errors),
        cmocka_unit_test(control_bytes_are_refused),
        cmocka_unit_test(sections_without_values_exist),
        cmocka_unit_test(user_names_may_be_unusual),
        cmocka_unit_test(only_the_first_hundred_complaints_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
