/* Statement texts, and which of them a backend knows under which id. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "pool/inside.h"

struct fixture {
    struct backend be;
    struct state *state;
};

static int set_up(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    list_init(&f.be.statements_used);
    f.state = state_at_login(45, 45);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    backend_statements_forget(&f->be);
    buf_release(&f->be.stream.out);
    state_drop(f->state);
    return 0;
}

static struct stmt_text *text_of(struct fixture *f, const char *sql)
{
    return stmt_text_get(bytes_str(sql), f->state, 0);
}

/* Add a statement called by its id; the backend keeps the only reference. */
static struct backend_stmt *add(struct fixture *f, uint32_t id, unsigned limit)
{
    char sql[32];
    snprintf(sql, sizeof sql, "select %u", id);
    struct stmt_text *x = text_of(f, sql);
    struct backend_stmt *bs = backend_stmt_add(&f->be, x, id, limit);
    stmt_text_drop(x);
    return bs;
}

static struct backend_stmt *find(struct fixture *f, uint32_t id)
{
    char sql[32];
    snprintf(sql, sizeof sql, "select %u", id);
    struct stmt_text *x = text_of(f, sql);
    struct backend_stmt *bs = backend_stmt_find(&f->be, x);
    stmt_text_drop(x);
    return bs;
}

/* The next COM_STMT_CLOSE that was written; 0 when there is none. */
static uint32_t next_closed(struct fixture *f)
{
    struct buf *out = &f->be.stream.out;
    if (buf_len(out) == 0)
        return 0;
    const uint8_t *p = buf_head(out);
    assert_int_equal(p[0], 5);
    assert_int_equal(p[3], 0);
    assert_int_equal(p[4], COM_STMT_CLOSE);
    uint32_t id = p[5] | (uint32_t)p[6] << 8 | (uint32_t)p[7] << 16 | (uint32_t)p[8] << 24;
    buf_skip(out, 9);
    return id;
}

static void the_same_text_in_the_same_state_is_the_same_pointer(void **state)
{
    struct fixture *f = *state;
    struct state *other = state_at_login(8, 45);
    struct stmt_text *a = text_of(f, "select ?"), *b = text_of(f, "select ?");
    struct stmt_text *c = stmt_text_get(BYTES_LITERAL("select ?"), other, 0);
    struct stmt_text *d = stmt_text_get(BYTES_LITERAL("select ?"), f->state, 7);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_ptr_not_equal(a, d);
    assert_true(bytes_equal(a->text, BYTES_LITERAL("select ?")));
    assert_ptr_equal(c->state, other);
    state_drop(other); /* the text holds its own */
    assert_true(bytes_equal(state_value(c->state, BYTES_LITERAL("character_set_client")),
                            BYTES_LITERAL("latin1")));
    stmt_text_drop(a);
    stmt_text_drop(b);
    stmt_text_drop(c);
    stmt_text_drop(d);
}

static void a_text_may_be_empty_and_hold_any_byte(void **state)
{
    struct fixture *f = *state;
    struct stmt_text *a = stmt_text_get(BYTES_NONE, f->state, 0);
    struct stmt_text *b = stmt_text_get(bytes_of("\0x", 2), f->state, 0);
    struct stmt_text *c = stmt_text_get(bytes_of("\0y", 2), f->state, 0);
    assert_int_equal(a->text.len, 0);
    assert_ptr_not_equal(b, c);
    stmt_text_drop(a);
    stmt_text_drop(b);
    stmt_text_drop(c);
    stmt_text_drop(NULL);
}

static void a_backend_knows_what_was_added(void **state)
{
    struct fixture *f = *state;
    add(f, 1, 10);
    add(f, 0x01020304, 10);
    assert_int_equal(find(f, 1)->id, 1);
    assert_int_equal(find(f, 0x01020304)->id, 0x01020304);
    assert_null(find(f, 2));
    assert_int_equal(next_closed(f), 0);
}

static void closing_tells_the_server(void **state)
{
    struct fixture *f = *state;
    backend_stmt_close(&f->be, add(f, 0x01020304, 10));
    assert_null(find(f, 0x01020304));
    assert_int_equal(next_closed(f), 0x01020304);
    assert_int_equal(next_closed(f), 0);
}

static void the_least_recently_used_one_makes_room(void **state)
{
    struct fixture *f = *state;
    for (uint32_t id = 1; id <= 3; id++)
        add(f, id, 3);
    find(f, 1);
    add(f, 4, 3);
    assert_int_equal(next_closed(f), 2);
    add(f, 5, 3);
    assert_int_equal(next_closed(f), 3);
    assert_int_equal(next_closed(f), 0);
    assert_non_null(find(f, 1));
}

static void a_lower_limit_is_reached_at_once(void **state)
{
    struct fixture *f = *state;
    for (uint32_t id = 1; id <= 5; id++)
        add(f, id, 10);
    add(f, 6, 2);
    for (uint32_t id = 1; id <= 4; id++)
        assert_int_equal(next_closed(f), id);
    assert_int_equal(next_closed(f), 0);
    assert_int_equal(f->be.statements.count, 2);
}

static void what_is_open_does_not_make_room(void **state)
{
    struct fixture *f = *state;
    add(f, 1, 2)->is_open = true;
    add(f, 2, 2);
    add(f, 3, 2);
    assert_int_equal(next_closed(f), 2);
    find(f, 3)->is_open = true;
    add(f, 4, 2);
    assert_int_equal(next_closed(f), 0);
    assert_non_null(find(f, 1));
    assert_non_null(find(f, 3));
    assert_int_equal(f->be.statements.count, 3);
}

static void the_same_text_again_closes_its_older_id(void **state)
{
    struct fixture *f = *state;
    struct stmt_text *x = text_of(f, "select 'twice'");
    backend_stmt_add(&f->be, x, 1, 10)->bound = 5;
    struct backend_stmt *bs = backend_stmt_add(&f->be, x, 2, 10);
    assert_int_equal(next_closed(f), 1);
    assert_int_equal(bs->id, 2);
    assert_int_equal(bs->bound, 0);
    assert_int_equal(f->be.statements.count, 1);
    stmt_text_drop(x);
}

static void forgetting_says_nothing_to_the_server(void **state)
{
    struct fixture *f = *state;
    for (uint32_t id = 1; id <= 100; id++)
        add(f, id, 1000);
    backend_statements_forget(&f->be);
    assert_int_equal(next_closed(f), 0);
    assert_null(find(f, 50));
    add(f, 7, 10);
    assert_non_null(find(f, 7));
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        test(the_same_text_in_the_same_state_is_the_same_pointer),
        test(a_text_may_be_empty_and_hold_any_byte),
        test(a_backend_knows_what_was_added),
        test(closing_tells_the_server),
        test(the_least_recently_used_one_makes_room),
        test(a_lower_limit_is_reached_at_once),
        test(what_is_open_does_not_make_room),
        test(the_same_text_again_closes_its_older_id),
        test(forgetting_says_nothing_to_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
