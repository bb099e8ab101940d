#include "router/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct hint hint_in(const char *sql)
{
    const struct lexer_mode mode = { .version = 90704 };
    struct statement st;
    statement_read(bytes_str(sql), &mode, &st);
    return st.hint;
}

static void check(const char *sql, enum hint_kind kind, const char *server)
{
    struct hint h = hint_in(sql);
    if (h.kind != kind || !bytes_equal(h.server, bytes_str(server)))
        fail_msg("%s: kind %d, server '%.*s'", sql, h.kind, BYTES_FMT(h.server));
}

static void hints_are_read_in_every_kind_of_comment(void **state)
{
    (void)state;
    check("/* volvox: primary */ select 1", HINT_PRIMARY, "");
    check("/*volvox:replica*/ select 1", HINT_REPLICA, "");
    check("-- volvox: primary\nselect 1", HINT_PRIMARY, "");
    check("# VOLVOX: Replica\nselect 1", HINT_REPLICA, "");
    check("select 1 /* volvox: server=db-1.example */", HINT_SERVER, "db-1.example");
    check("select 1 -- volvox: server = db_2", HINT_SERVER, "db_2");
}

static void other_comments_are_no_hints(void **state)
{
    (void)state;
    check("/* about volvox: primary */ select 1", HINT_NONE, "");
    check("/* volvox primary */ select 1", HINT_NONE, "");
    check("select '/* volvox: primary */'", HINT_NONE, "");
    check("select `/* volvox: primary */`", HINT_NONE, "");
    check("/*+ volvox: primary */ select 1", HINT_NONE, "");
    check("select 1 --volvox: primary", HINT_NONE, "");
}

static void the_same_hint_twice_is_one_hint(void **state)
{
    (void)state;
    check("/* volvox: primary */ select 1 /* volvox: primary */", HINT_PRIMARY, "");
    check("/* volvox: server=a */ select 1 /* volvox: server=a */", HINT_SERVER, "a");
}

static void what_is_not_understood_or_contradicts_is_bad(void **state)
{
    (void)state;
    check("/* volvox: master */ select 1", HINT_BAD, "master");
    check("/* volvox: */ select 1", HINT_BAD, "");
    check("/* volvox: server= */ select 1", HINT_BAD, "server=");
    check("/* volvox: server=a b */ select 1", HINT_BAD, "server=a b");
    check("/* volvox: serverdb1 */ select 1", HINT_BAD, "serverdb1");
    check("/* volvox: primary */ /* volvox: replica */ select 1", HINT_BAD, "replica");
    check("/* volvox: server=a */ /* volvox: server=b */ select 1", HINT_BAD, "server=b");
    check("/* volvox: no */ /* volvox: primary */ select 1", HINT_BAD, "no");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hints_are_read_in_every_kind_of_comment),
        cmocka_unit_test(other_comments_are_no_hints),
        cmocka_unit_test(the_same_hint_twice_is_one_hint),
        cmocka_unit_test(what_is_not_understood_or_contradicts_is_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
