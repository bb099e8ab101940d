/* Rows as packets, and parameters out of them. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "admin/inside.h"

static struct bytes take_packet(struct buf *b, uint8_t seq)
{
    struct packet p;
    size_t need;
    assert_true(packet_find(buf_bytes(b), SIZE_MAX, &p, &need, NULL));
    assert_int_equal(p.seq, seq);
    struct bytes payload = bytes_of(buf_head(b) + FRAME_HEADER, p.payload_len);
    buf_skip(b, p.wire_len);
    return payload;
}

static void make(struct answer *a)
{
    answer_init(a);
    answer_begin(a, 4);
    answer_column(a, 0, BYTES_LITERAL("i"), COLUMN_INT);
    answer_column(a, 1, BYTES_LITERAL("r"), COLUMN_REAL);
    answer_column(a, 2, BYTES_LITERAL("t"), COLUMN_TEXT);
    answer_column(a, 3, BYTES_LITERAL("n"), COLUMN_INT);
    put_int(&a->rows, -2);
    put_real(&a->rows, 0.5);
    put_str(&a->rows, "xy");
    put_null(&a->rows);
}

static void skip_definitions(struct buf *out)
{
    struct column c;
    static const char *const names[] = { "i", "r", "t", "n" };
    assert_int_equal(take_packet(out, 1).data[0], 4);
    for (uint8_t i = 0; i < 4; i++) {
        assert_true(column_read(take_packet(out, (uint8_t)(2 + i)), 0, &c, NULL));
        assert_true(bytes_equal(c.name, bytes_str(names[i])));
    }
}

static void text_rows_are_texts(void **state)
{
    struct answer a;
    struct buf out = { 0 };
    struct bytes values[4];
    uint8_t seq = 1;
    (void)state;
    make(&a);
    answer_write(&out, &seq, &a, (struct dialect){ .caps = CAP_PROTOCOL_41 });
    skip_definitions(&out);
    assert_int_equal(take_packet(&out, 6).data[0], 0xFE);
    assert_true(text_row_read(take_packet(&out, 7), values, 4, NULL));
    assert_true(bytes_equal(values[0], BYTES_LITERAL("-2")));
    assert_true(bytes_equal(values[1], BYTES_LITERAL("0.5")));
    assert_true(bytes_equal(values[2], BYTES_LITERAL("xy")));
    assert_null(values[3].data);
    assert_int_equal(take_packet(&out, 8).data[0], 0xFE);
    assert_int_equal(buf_len(&out), 0);
    buf_release(&out);
    answer_release(&a);
}

static void binary_rows_have_types_and_a_bitmap(void **state)
{
    static const uint8_t expected[] = { 0x00, 0x20, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                        0, 0, 0, 0, 0, 0, 0xe0, 0x3f, 2, 'x', 'y' };
    struct answer a;
    struct buf out = { 0 };
    uint8_t seq = 1;
    (void)state;
    make(&a);
    answer_write(&out, &seq, &a,
                 (struct dialect){ .caps = CAP_PROTOCOL_41 | CAP_DEPRECATE_EOF, .binary = true });
    skip_definitions(&out);
    struct bytes row = take_packet(&out, 6);
    assert_int_equal(row.len, sizeof expected);
    assert_memory_equal(row.data, expected, sizeof expected);
    assert_int_equal(take_packet(&out, 7).data[0], 0xFE);
    buf_release(&out);
    answer_release(&a);
}

static void parameters_of_the_common_types_are_read(void **state)
{
    static const uint8_t types[] = { 1, 0, 1, 0x80, 2, 0, 3, 0, 8, 0, 8, 0x80, 5, 0, 0xfd, 0, 12, 0, 11, 0, 6, 0 };
    static const uint8_t data[] = { 0xff, 0xff, 0xfe, 0xff, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f,
                                    2, 'h', 'i', 4, 0xea, 0x07, 11, 23, 8, 1, 1, 0, 0, 0, 2, 3, 4 };
    const uint8_t nulls[2] = { 0 };
    struct arena arena;
    struct cell c[11] = { 0 };
    struct fault why = FAULT_NONE;
    struct cursor at = cursor_of(bytes_of(data, sizeof data));
    (void)state;
    arena_init(&arena);
    assert_true(params_read(&at, nulls, types, 11, &arena, c, &why));
    assert_int_equal(cursor_left(&at), 0);
    assert_int_equal(c[0].integer, -1);
    assert_int_equal(c[1].integer, 255);
    assert_int_equal(c[2].integer, -2);
    assert_int_equal(c[3].integer, 1);
    assert_int_equal(c[4].integer, 2);
    assert_int_equal(c[5].kind, CELL_REAL);
    assert_true(c[6].real == 0.5);
    assert_string_equal(c[7].text, "hi");
    assert_string_equal(c[8].text, "2026-11-23 00:00:00");
    assert_string_equal(c[9].text, "-26:03:04");
    assert_int_equal(c[10].kind, CELL_NULL);
    arena_release(&arena);
}

static void parameters_that_end_too_early_are_malformed(void **state)
{
    static const uint8_t types[] = { 8, 0 }, nulls[] = { 0 };
    struct arena arena;
    struct cell c[1] = { 0 };
    struct fault why = FAULT_NONE;
    struct cursor at = cursor_of(BYTES_LITERAL("abc"));
    (void)state;
    arena_init(&arena);
    assert_false(params_read(&at, nulls, types, 1, &arena, c, &why));
    assert_int_equal(why.code, ER_MALFORMED_PACKET);
    arena_release(&arena);
}

static void rows_stop_at_their_limit_with_whole_rows(void **state)
{
    static char big[1 << 20];
    struct rows r;
    (void)state;
    memset(big, 'x', sizeof big - 1);
    rows_init(&r, 2);
    for (int i = 0; i < 100; i++) {
        put_str(&r, big);
        put_int(&r, i);
    }
    assert_true(r.is_full);
    assert_int_equal(r.n_cells % 2, 0);
    assert_in_range(rows_count(&r), 60, 70);
    rows_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_rows_are_texts),
        cmocka_unit_test(binary_rows_have_types_and_a_bitmap),
        cmocka_unit_test(parameters_of_the_common_types_are_read),
        cmocka_unit_test(parameters_that_end_too_early_are_malformed),
        cmocka_unit_test(rows_stop_at_their_limit_with_whole_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
