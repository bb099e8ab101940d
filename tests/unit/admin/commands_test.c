/* Commands: what is understood, what is told when it isn't, and who may. */
#include "unit/admin/visit.h"

static void changes(struct task *t, struct house *h)
{
    expect("set queue_timeout = 5s", "ok: queue_timeout = 5s; SAVE CONFIG keeps it for the next start");
    assert_string_equal(h->set_name, "queue_timeout");
    assert_string_equal(h->set_value, "5s");
    expect_part("SET server db-2.weight = '7';", "ok: ");
    assert_string_equal(h->set_name, "server db-2.weight");
    assert_string_equal(h->set_value, "7");
    expect_part("set log_areas = pool=debug,servers=warn", "ok: ");
    assert_string_equal(h->set_value, "pool=debug,servers=warn");
    expect("set monitor_password = 'topsecret'", "ok: monitor_password = ***; SAVE CONFIG keeps it for the next start");
    expect("set queue_timeout = bad", "1231: bad value");
    expect("reload", "changed\nweight of db1: 100 -> 5\nand more\n");
    expect("reload dry run", "would change\nnothing\n");
    expect_part("save config", "1105: no runtime_file");
    expect("server db1 drain", "ok: server db1 is draining");
    expect("server 'db-2' disable", "ok: server db-2 is disabled");
    expect("server db-2 enable", "ok: server db-2 is normal");
    expect("server db1 weight 5", "ok: server db1 has weight 5");
    assert_string_equal(h->set_name, "server db1.weight");    /* so that SAVE CONFIG keeps it */
    expect("select name, operated, weight from servers order by name desc", "name|operated|weight\ndb1|draining|100\n"
                                                                            "db-2|normal|100\n");
    expect("pause", "ok: all groups: new commands wait, at most queue_timeout");
    expect("resume main", "ok: main: commands run again");
    expect("reset stats", "ok: the digests begin anew");
    expect("shutdown", "ok: stopping");
    assert_true(h->was_shut_down);
}

static void changing_commands_reach_the_host(void **state)
{
    (void)state;
    visiting("admin", changes);
}

static void notes(struct task *t, struct house *h)
{
    expect_part("server db1 drain", "ok");
    expect("select kind, who, text from events where kind = 'admin' order by number desc limit 1",
           "kind|who|text\nadmin|admin|SERVER db1: draining\n");
    expect_part("set monitor_password = 'topsecret'", "ok");
    expect("select count(*) from events where text like '%topsecret%'", "count(*)\n0\n");
}

static void what_was_done_is_noted_with_who_did_it_and_without_secrets(void **state)
{
    (void)state;
    visiting("admin", notes);
}

static void looks(struct task *t, struct house *h)
{
    static const char *const commands[] = { "set queue_timeout = 5s", "reload", "server db1 drain",
                                            "server db1 weight 1", "pause", "resume", "kill 1", "kill query 1",
                                            "reset stats", "save config", "shutdown" };
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        expect_part(commands[i], "1227: Access denied");
    assert_string_equal(h->set_name, "");
    assert_false(h->was_shut_down);
    expect_part("reload dry run", "nothing");
    expect_part("explain route select 1", "goes to|replica");
    expect("set names utf8mb4", "ok: ");
    expect("start transaction", "ok: ");
}

static void who_may_only_look_changes_nothing(void **state)
{
    (void)state;
    visiting("looker", looks);
}

static void accountless(struct task *t, struct house *h)
{
    expect_part("pause", "1227");
}

static void an_account_that_is_gone_changes_nothing(void **state)
{
    (void)state;
    visiting("gone", accountless);
}

static void stumbles(struct task *t, struct house *h)
{
    static const struct {
        const char *sql, *told;
    } cases[] = {
        { "", "1065: Query was empty" },
        { "  -- nothing", "1065: Query was empty" },
        { "selct 1", "1064: Syntax error at character 1: expected 'select' or another command (HELP lists "
                     "them), but found 'selct'" },
        { "server", "1064: Syntax error at character 7: expected a server's name, but the statement ends there" },
        { "server db1 drian", "1064: Syntax error at character 12: expected DRAIN, DISABLE, ENABLE or WEIGHT, but "
                              "found 'drian'" },
        { "server db1 drain now", "1064: Syntax error at character 18: expected the end, but found 'now'" },
        { "server bd1 drain", "1105: There is no server 'bd1': did you mean 'db1'?" },
        { "server 'unclosed", "1064: Syntax error at character 8: a string, name or comment is not closed" },
        { "pause mian", "1105: There is no group 'mian': did you mean 'main'?" },
        { "kill x", "1064: Syntax error at character 6: expected a client's id (a number up to 4294967295), but "
                    "found 'x'" },
        { "kill 5", "1094: Unknown thread id: 5" },
        { "reload dry", "1064: Syntax error at character 11: expected RUN, but the statement ends there" },
        { "save", "1064: Syntax error at character 5: expected CONFIG, but the statement ends there" },
        { "explain route for user ap select 1", "1105: There is no user 'ap': did you mean 'app'?" },
        { "explain nosuch", "1064: Syntax error at character 9: expected ROUTE or a table's name, but found 'nosuch'" },
        { "show servrs", "1064: Syntax error at character 6: expected 'servers', but found 'servrs'" },
        { "show servers x", "1064: Syntax error at character 14: expected LIKE, WHERE, ORDER BY, LIMIT or the end, but "
                            "found 'x'" },
        { "describe nosuchthing", "1146: Table 'nosuchthing' doesn't exist: SHOW TABLES lists them" },
        { "drop table servers", "1235: drop is not possible here: tables are read by SELECT, and changed by the "
                                "commands that HELP lists" },
        { "set @x = 1", "1235: User variables are not supported here" },
        { "set session max_allowed_packet = 1", "1238: Variable 'max_allowed_packet' can't be set here" },
        { "set session sql_mod = 1", "1193: Unknown system variable 'sql_mod': did you mean 'sql_mode'?" },
        { "set queue_timeout", "1064: Syntax error at character 18: expected =, but the statement ends there" },
        { "use nowhere", "1049: Unknown database 'nowhere': there are volvox and information_schema" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect(cases[i].sql, cases[i].told);
}

static void errors_say_where_and_what_was_expected(void **state)
{
    (void)state;
    visiting("admin", stumbles);
}

static void tools_begin(struct task *t, struct house *h)
{
    expect("SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci", "ok: ");
    expect("set character set utf8", "ok: ");
    expect("/*!40101 SET NAMES utf8 */", "ok: ");
    expect("SET sql_mode = CONCAT(@@sql_mode, ',A'), @@session.autocommit = 1, time_zone = '+00:00'", "ok: ");
    expect("set session sql_select_limit = 2", "ok: ");
    expect("with recursive c(x) as (select 1 union all select x + 1 from c) select x from c", "x\n1\n2\n");
    expect("select table_name from tables order by 1 limit 1", "TABLE_NAME\nbackends\n");
    expect("set sql_select_limit = default", "ok: ");
    expect("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "ok: ");
    expect("select @@version_comment limit 1", "@@version_comment\nVolvox admin\n");
    expect("select connection_id(), user(), database()", "connection_id()|user()|database()\n7|admin@here|NULL\n");
    expect("use VOLVOX", "ok: ");
    expect("select database()", "database()\nvolvox\n");
    expect("show warnings", "Level|Code|Message\n");
    expect("show variables like 'max\\_allowed%'", "Variable_name|Value\nmax_allowed_packet|16777216\n");
    expect("show databases", "Database\ninformation_schema\nvolvox\n");
    expect("show global variables where Variable_name = 'autocommit'", "Variable_name|Value\nautocommit|1\n");
    expect_part("show full columns from servers like 'na%'", "name|varchar(4096)|utf8mb4_general_ci|YES");
    expect_part("desc servers name", "name|varchar(4096)|YES");
    expect_part("show create table pins", "pins|CREATE TABLE `pins` (");
    expect_part("show grants for current_user()", "ALL PRIVILEGES");
}

static void the_opening_questions_of_tools_are_answered(void **state)
{
    (void)state;
    visiting("admin", tools_begin);
}

static void begins_and_ends(struct task *t, struct house *h)
{
    expect("start transaction read only", "ok: ");
    assert_int_equal(h->visitor.status & STATUS_IN_TRANS, STATUS_IN_TRANS);
    expect("commit", "ok: ");
    assert_int_equal(h->visitor.status & STATUS_IN_TRANS, 0);
    expect("set autocommit = 0", "ok: ");
    assert_int_equal(h->visitor.status & STATUS_AUTOCOMMIT, 0);
    expect("set session autocommit = ON", "ok: ");
    assert_int_equal(h->visitor.status & STATUS_AUTOCOMMIT, STATUS_AUTOCOMMIT);
    expect_part("start slave", "1064");
}

static void drivers_find_the_flags_that_they_set(void **state)
{
    (void)state;
    visiting("looker", begins_and_ends);
}

static void describes(struct task *t, struct house *h)
{
    struct answer columns;
    struct fault why = FAULT_NONE;
    unsigned n;
    answer_init(&columns);
    assert_true(admin_describe(t, &h->visitor, BYTES_LITERAL("select name, ? from servers where weight > ?"),
                               &columns, &n, &why));
    assert_int_equal(n, 2);
    assert_int_equal(columns.n_columns, 2);
    assert_true(admin_describe(t, &h->visitor, BYTES_LITERAL("server db1 drain"), &columns, &n, &why));
    assert_int_equal(n, 0);
    assert_int_equal(columns.n_columns, 0);
    assert_false(admin_describe(t, &h->visitor, BYTES_LITERAL("kill ?"), &columns, &n, &why));
    assert_int_equal(why.code, 1295);
    answer_release(&columns);
    expect("select operated from servers where name = 'db1'", "operated\nnormal\n");
}

static void preparing_runs_nothing(void **state)
{
    (void)state;
    visiting("admin", describes);
}

static void reads_help(struct task *t, struct house *h)
{
    expect_part("help", "PAUSE [group]|");
    expect("help 'GRACEFUL'", "command|help\nSHUTDOWN [GRACEFUL [seconds]]|stop; GRACEFUL: when transactions have "
                              "ended, at the latest after so long\n");
}

static void help_lists_commands(void **state)
{
    (void)state;
    visiting("looker", reads_help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changing_commands_reach_the_host),
        cmocka_unit_test(what_was_done_is_noted_with_who_did_it_and_without_secrets),
        cmocka_unit_test(who_may_only_look_changes_nothing),
        cmocka_unit_test(an_account_that_is_gone_changes_nothing),
        cmocka_unit_test(errors_say_where_and_what_was_expected),
        cmocka_unit_test(the_opening_questions_of_tools_are_answered),
        cmocka_unit_test(drivers_find_the_flags_that_they_set),
        cmocka_unit_test(preparing_runs_nothing),
        cmocka_unit_test(help_lists_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
