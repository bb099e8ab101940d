/* Tables: what they hold, that SQL works on them, and that nothing else does. */
#include "unit/admin/visit.h"

static void selects_all(struct task *t, struct house *h)
{
    for (unsigned i = 0; i < n_admin_tables; i++) {
        char sql[120];
        struct answer a;
        struct fault why = FAULT_NONE;
        snprintf(sql, sizeof sql, "select * from `%s`", admin_tables[i].name);
        answer_init(&a);
        if (!admin_run(t, &h->visitor, bytes_str(sql), NULL, 0, &a, &why))
            fail_msg("%s: %s", sql, why.text);
        assert_int_equal(a.n_columns, table_width(&admin_tables[i]));
        assert_int_equal(a.rows.n_cells % a.n_columns, 0);
        answer_release(&a);
    }
}

static void every_table_can_be_selected_from(void **state)
{
    (void)state;
    visiting("looker", selects_all);
}

static void every_column_of_ours_has_a_name_of_its_own_and_help(void **state)
{
    (void)state;
    for (const struct table *x = admin_tables; x < admin_tables + n_admin_tables; x++) {
        assert_true(!x->is_ours || x->help != NULL);
        assert_ptr_equal(x, &admin_tables[table_find(bytes_str(x->name))]);
        for (const struct table_column *c = x->columns; c->name != NULL; c++) {
            assert_true(!x->is_ours || c->help != NULL);
            for (const struct table_column *d = x->columns; d < c; d++)
                assert_int_not_equal(strcasecmp(c->name, d->name), 0);
        }
    }
}

static void computes(struct task *t, struct house *h)
{
    expect("select name, open from listeners", "name|open\nmain|3\nother|0\n");
    expect("select sum(open) s, count(*) n from listeners", "s|n\n3|2\n");
    expect("select accepts from listeners where name = 'MAIN'", "accepts\n9223372036854775807\n");
    expect("select s.name, g.name from servers s join groups g on g.name = s.group_name order by 1",
           "name|name\ndb-2|main\ndb1|main\n");
    expect("select u.name from volvox.users u where exists (select 1 from servers)", "name\napp\n");
    expect("with recursive c(x) as (select 1 union all select x + 1 from c where x < 9) select sum(x) from c",
           "sum(x)\n45\n");
    expect("select table_name from information_schema.tables where table_schema = 'volvox' and table_name like 'p%' "
           "order by 1", "TABLE_NAME\npins\npools\n");
    expect("select count(*) from information_schema.events", "count(*)\n0\n");
    expect("select concat('a', 1), concat_ws('-', 'a', null, 'b'), if(1 > 2, 'x', 'y')",
           "concat('a', 1)|concat_ws('-', 'a', null, 'b')|if(1 > 2, 'x', 'y')\na1|a-b|y\n");
    expect("select 'x' collate utf8mb4_general_ci = 'X' as same", "same\n1\n");
}

static void sql_works_on_them(void **state)
{
    (void)state;
    visiting("looker", computes);
}

static void hides(struct task *t, struct house *h)
{
    static const char *const secrets[] = { "topsecret", "adminsecret", "looksecret", "appsecret" };
    for (unsigned i = 0; i < n_admin_tables; i++) {
        char sql[120];
        snprintf(sql, sizeof sql, "select * from `%s`", admin_tables[i].name);
        char *text = said(t, h, sql);
        for (size_t s = 0; s < ARRAY_LEN(secrets); s++)
            assert_null(strstr(text, secrets[s]));
        free(text);
    }
    expect("select value from settings where setting = 'monitor_password'", "value\n***\n");
}

static void secrets_are_in_none_of_them(void **state)
{
    (void)state;
    visiting("admin", hides);
}

static void breaks_out(struct task *t, struct house *h)
{
    expect_part("select * from sqlite_master", "1235");
    expect_part("select count(*) from sqlite_schema", "1235");
    expect_part("select * from pragma_table_list", "1235");
    expect_part("select load_extension('x')", "1235");
    expect_part("with x as (select 1) delete from servers", "1235");
    expect_part("select * from srevers", "1146: Table 'srevers' doesn't exist: did you mean 'servers'?");
    expect_part("select nmae from servers", "1054: Unknown column 'nmae': did you mean 'name'?");
    expect_part("select nosuch(1)", "1305");
    expect_part("select * frm servers", "1064: Syntax error at character 10");
    expect_part("select @@nosuch", "1193");
    expect_part("select ?", "1210");
}

static void nothing_else_is_possible(void **state)
{
    (void)state;
    visiting("admin", breaks_out);
}

static void takes_for_ever(struct task *t, struct house *h)
{
    double began = worker_now(task_worker(t));
    expect_part("with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c", "3024");
    assert_true(worker_now(task_worker(t)) - began < 20);
    expect_part("select a.*, hex(randomblob(100000)) from columns a, columns b", ": ");
    expect("select 1", "1\n1\n");
}

static void what_takes_too_long_or_too_much_is_ended(void **state)
{
    (void)state;
    visiting("looker", takes_for_ever);
}

static void the_reference_is_up_to_date(void **state)
{
    char *made = NULL, *kept = NULL;
    size_t len, kept_len = 0;
    (void)state;
    FILE *out = open_memstream(&made, &len);
    admin_print_markdown(out);
    fclose(out);
    FILE *in = fopen("docs/admin.md", "r");
    assert_non_null(in);
    assert_true(getdelim(&kept, &kept_len, '\0', in) > 0);
    fclose(in);
    assert_string_equal(kept, made);
    free(kept);
    free(made);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_can_be_selected_from),
        cmocka_unit_test(every_column_of_ours_has_a_name_of_its_own_and_help),
        cmocka_unit_test(sql_works_on_them),
        cmocka_unit_test(secrets_are_in_none_of_them),
        cmocka_unit_test(nothing_else_is_possible),
        cmocka_unit_test(what_takes_too_long_or_too_much_is_ended),
        cmocka_unit_test(the_reference_is_up_to_date),
    };
    if (argc == 2 && strcmp(argv[1], "--print") == 0) {
        admin_print_markdown(stdout);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
