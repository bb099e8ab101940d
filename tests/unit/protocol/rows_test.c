#include "recorded.h"

static void columns_come_back(void **state)
{
    (void)state;
    struct column c = { .schema = BYTES_LITERAL("db"),
                        .table = BYTES_LITERAL("alias"),
                        .org_table = BYTES_LITERAL("t"),
                        .name = BYTES_LITERAL("x"),
                        .org_name = BYTES_LITERAL("a"),
                        .charset = 255,
                        .length = 0x01020304,
                        .type = TYPE_LONGLONG,
                        .flags = 0x8081,
                        .decimals = 31 },
                  got;
    struct buf out = { 0 };
    uint8_t seq = 2;
    column_write(&out, &seq, &c);
    assert_int_equal(seq, 3);
    struct bytes payload = payload_of(&out);
    assert_true(column_read(payload, 0, &got, NULL));
    assert_text(got.schema, "db");
    assert_text(got.table, "alias");
    assert_text(got.org_table, "t");
    assert_text(got.name, "x");
    assert_text(got.org_name, "a");
    assert_int_equal(got.charset, 255);
    assert_int_equal(got.length, 0x01020304);
    assert_int_equal(got.type, TYPE_LONGLONG);
    assert_int_equal(got.flags, 0x8081);
    assert_int_equal(got.decimals, 31);
    for (size_t n = 0; n < payload.len; n++) {
        struct bytes cut = exact_copy(bytes_of(payload.data, n));
        assert_false(column_read(cut, 0, &got, NULL));
        exact_free(cut);
    }
    buf_release(&out);
}

static void a_definition_with_another_fixed_part_is_refused(void **state)
{
    (void)state;
    struct column got;
    struct fault why = FAULT_NONE;
    struct bytes good = BYTES_LITERAL("\3def\0\0\0\1x\0\x0C\x3f\0\1\0\0\0\x08\0\0\0\0\0");
    assert_true(column_read(good, 0, &got, &why));
    struct bytes bad = exact_copy(good);
    ((uint8_t *)bad.data)[10] = 0x0B;
    assert_false(column_read(bad, 0, &got, &why));
    assert_int_equal(why.blame, BLAME_SERVER);
    exact_free(bad);
}

static void what_describes_a_type_is_passed_over(void **state)
{
    (void)state;
    struct column got;
    struct bytes json = BYTES_LITERAL(
        "\3def\0\0\0\1x\0\6\1\4json\x0C\x2d\0\1\0\0\0\xFC\0\0\0\0\0");
    assert_true(column_read(json, CAP_EXTENDED_METADATA, &got, NULL));
    assert_int_equal(got.charset, 45);
    assert_int_equal(got.type, 0xFC);
    assert_false(column_read(json, 0, &got, NULL));
    struct bytes none = BYTES_LITERAL("\3def\0\0\0\1x\0\0\x0C\x3f\0\1\0\0\0\x08\0\0\0\0\0");
    assert_true(column_read(none, CAP_EXTENDED_METADATA, &got, NULL));
    assert_int_equal(got.charset, 63);
}

static void recorded_column(const struct record *rec, void *arg)
{
    struct column c;
    if (strcmp(rec->name, "new_select_rows") != 0)
        return;
    const uint8_t *frame = rec->data.data + FRAME_HEADER + 1;
    struct bytes wire = bytes_of(frame, FRAME_HEADER + frame_len(frame));
    assert_true(column_read(bytes_skip(wire, FRAME_HEADER), 0, &c, NULL));
    assert_text(c.schema, "recorded");
    assert_text(c.org_table, "t");
    assert_text(c.name, "a");
    assert_int_equal(c.type, 3);
    struct buf out = { 0 };
    uint8_t seq = frame_seq(frame);
    column_write(&out, &seq, &c);
    assert_bytes_equal(buf_bytes(&out), wire);
    buf_release(&out);
    ++*(unsigned *)arg;
}

static void definitions_of_servers_are_read_and_written_alike(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (size_t i = 0; i < ARRAY_LEN(recorded_families); i++)
        each_record(recorded_families[i], recorded_column, &seen);
    assert_int_equal(seen, 2);
}

static void rows_come_back_with_nulls_and_empty_values(void **state)
{
    (void)state;
    char long_text[300];
    memset(long_text, 'x', sizeof long_text);
    struct bytes values[] = { BYTES_LITERAL("one"), BYTES_NONE, BYTES_LITERAL(""),
                              bytes_of(long_text, sizeof long_text) },
                 got[4];
    struct buf out = { 0 };
    uint8_t seq = 4;
    text_row_write(&out, &seq, values, 4);
    struct bytes payload = payload_of(&out);
    assert_true(text_row_read(payload, got, 4, NULL));
    assert_text(got[0], "one");
    assert_null(got[1].data);
    assert_non_null(got[2].data);
    assert_int_equal(got[2].len, 0);
    assert_bytes_equal(got[3], values[3]);
    for (size_t n = 0; n < payload.len; n++) {
        struct bytes cut = exact_copy(bytes_of(payload.data, n));
        assert_false(text_row_read(cut, got, 4, NULL));
        exact_free(cut);
    }
    buf_release(&out);
}

static void a_row_has_exactly_its_values(void **state)
{
    (void)state;
    struct bytes got[3];
    struct bytes row = BYTES_LITERAL("\1a\1b");
    assert_true(text_row_read(row, got, 2, NULL));
    assert_false(text_row_read(row, got, 1, NULL));
    assert_false(text_row_read(row, got, 3, NULL));
}

static void column_counts_are_length_encoded(void **state)
{
    (void)state;
    struct buf out = { 0 };
    uint8_t seq = 1;
    column_count_write(&out, &seq, 300);
    assert_bytes_equal(buf_bytes(&out), BYTES_LITERAL("\3\0\0\1\xFC\x2C\1"));
    buf_release(&out);
}

static void a_count_says_whether_definitions_follow(void **state)
{
    (void)state;
    struct column_count c;
    assert_true(column_count_read(BYTES_LITERAL("\xFC\x2C\1"), 0, &c));
    assert_int_equal(c.count, 300);
    assert_true(c.follow);
    assert_false(column_count_read(BYTES_LITERAL("\xFC\x2C\1\1"), 0, &c));
    static const uint64_t dialects[] = { CAP_CACHE_METADATA, CAP_OPTIONAL_METADATA };
    for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
        assert_true(column_count_read(BYTES_LITERAL("\xFC\x2C\1\1"), dialects[i], &c));
        assert_true(c.follow);
        assert_true(column_count_read(BYTES_LITERAL("\xFC\x2C\1\0"), dialects[i], &c));
        assert_false(c.follow);
        assert_int_equal(c.count, 300);
        assert_false(column_count_read(BYTES_LITERAL("\xFC\x2C\1"), dialects[i], &c));
        assert_false(column_count_read(BYTES_LITERAL("\1\1\1"), dialects[i], &c));
    }
}

static void extended_metadata_has_its_place(void **state)
{
    (void)state;
    size_t at;
    struct fault why = FAULT_NONE;
    struct bytes good = BYTES_LITERAL("\3def\0\0\0\1x\0\x0C\x3f\0\1\0\0\0\x08\0\0\0\0\0");
    assert_true(column_extension_at(good, &at, &why));
    assert_int_equal(good.data[at], 0x0C);
    for (size_t n = 0; n < good.len; n++) {
        struct bytes cut = exact_copy(bytes_of(good.data, n));
        assert_false(column_extension_at(cut, &at, &why));
        exact_free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_come_back),
        cmocka_unit_test(a_definition_with_another_fixed_part_is_refused),
        cmocka_unit_test(what_describes_a_type_is_passed_over),
        cmocka_unit_test(definitions_of_servers_are_read_and_written_alike),
        cmocka_unit_test(rows_come_back_with_nulls_and_empty_values),
        cmocka_unit_test(a_row_has_exactly_its_values),
        cmocka_unit_test(column_counts_are_length_encoded),
        cmocka_unit_test(a_count_says_whether_definitions_follow),
        cmocka_unit_test(extended_metadata_has_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
