#include "recorded.h"

static void integers_come_back(void **state)
{
    (void)state;
    struct buf out = { 0 };
    write_u8(&out, 0xA1);
    write_u16(&out, 0xB2B1);
    write_u24(&out, 0xC3C2C1);
    write_u32(&out, 0xD4D3D2D1);
    write_u64(&out, 0xE8E7E6E5E4E3E2E1);
    assert_bytes_equal(buf_bytes(&out),
                       BYTES_LITERAL("\xA1\xB1\xB2\xC1\xC2\xC3\xD1\xD2\xD3\xD4\xE1\xE2\xE3\xE4"
                                     "\xE5\xE6\xE7\xE8"));
    struct cursor c = cursor_of(buf_bytes(&out));
    assert_int_equal(read_u8(&c), 0xA1);
    assert_int_equal(read_u16(&c), 0xB2B1);
    assert_int_equal(read_u24(&c), 0xC3C2C1);
    assert_int_equal(read_u32(&c), 0xD4D3D2D1);
    assert_true(read_u64(&c) == 0xE8E7E6E5E4E3E2E1);
    assert_int_equal(cursor_left(&c), 0);
    assert_false(c.bad);
    buf_release(&out);
}

static void lengths_take_as_many_bytes_as_they_need(void **state)
{
    static const struct {
        uint64_t value;
        size_t bytes;
    } cases[] = {
        { 0, 1 },      { 250, 1 },     { 251, 3 },      { 252, 3 },       { 255, 3 },
        { 0xFFFF, 3 }, { 0x10000, 4 }, { 0xFFFFFF, 4 }, { 0x1000000, 9 }, { UINT64_MAX, 9 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = { 0 };
        write_lenenc(&out, cases[i].value);
        assert_int_equal(buf_len(&out), cases[i].bytes);
        struct cursor c = cursor_of(buf_bytes(&out));
        assert_true(read_lenenc(&c) == cases[i].value);
        assert_false(c.bad);
        assert_int_equal(cursor_left(&c), 0);
        buf_release(&out);
    }
}

static void null_and_ff_are_no_lengths(void **state)
{
    (void)state;
    struct cursor c = cursor_of(BYTES_LITERAL("\xFB\0\0\0\0\0\0\0\0"));
    read_lenenc(&c);
    assert_true(c.bad);
    c = cursor_of(BYTES_LITERAL("\xFF\0\0\0\0\0\0\0\0"));
    read_lenenc(&c);
    assert_true(c.bad);
}

static void strings_come_back(void **state)
{
    (void)state;
    struct buf out = { 0 };
    write_lenenc_bytes(&out, BYTES_LITERAL("one"));
    write_nul_bytes(&out, BYTES_LITERAL("two"));
    write_lenenc_bytes(&out, BYTES_NONE);
    write_nul_bytes(&out, BYTES_NONE);
    buf_add(&out, BYTES_LITERAL("rest"));
    struct cursor c = cursor_of(buf_bytes(&out));
    assert_text(read_lenenc_bytes(&c), "one");
    assert_text(read_nul_bytes(&c), "two");
    struct bytes empty = read_lenenc_bytes(&c);
    assert_int_equal(empty.len, 0);
    assert_non_null(empty.data);
    assert_text(read_nul_bytes(&c), "");
    assert_text(read_rest(&c), "rest");
    assert_text(read_rest(&c), "");
    assert_false(c.bad);
    buf_release(&out);
}

typedef void reader(struct cursor *c);

static void u8(struct cursor *c)
{
    assert_int_equal(read_u8(c), 0);
}
static void u16(struct cursor *c)
{
    assert_int_equal(read_u16(c), 0);
}
static void u24(struct cursor *c)
{
    assert_int_equal(read_u24(c), 0);
}
static void u32(struct cursor *c)
{
    assert_int_equal(read_u32(c), 0);
}
static void u64(struct cursor *c)
{
    assert_true(read_u64(c) == 0);
}
static void lenenc(struct cursor *c)
{
    assert_true(read_lenenc(c) == 0);
}
static void lenenc_bytes(struct cursor *c)
{
    assert_int_equal(read_lenenc_bytes(c).len, 0);
}
static void nul_bytes(struct cursor *c)
{
    assert_int_equal(read_nul_bytes(c).len, 0);
}

/* Every proper prefix of `whole` is too short for `read`. */
static void too_short(reader *read, struct bytes whole)
{
    for (size_t n = 0; n < whole.len; n++) {
        struct bytes copy = exact_copy(bytes_of(whole.data, n));
        struct cursor c = cursor_of(copy);
        read(&c);
        assert_true(c.bad);
        exact_free(copy);
    }
}

static void a_read_past_the_end_gives_nothing_and_is_remembered(void **state)
{
    (void)state;
    too_short(u8, BYTES_LITERAL("1"));
    too_short(u16, BYTES_LITERAL("12"));
    too_short(u24, BYTES_LITERAL("123"));
    too_short(u32, BYTES_LITERAL("1234"));
    too_short(u64, BYTES_LITERAL("12345678"));
    too_short(lenenc, BYTES_LITERAL("\xFC"
                                    "12"));
    too_short(lenenc, BYTES_LITERAL("\xFD"
                                    "123"));
    too_short(lenenc, BYTES_LITERAL("\xFE"
                                    "12345678"));
    too_short(lenenc_bytes, BYTES_LITERAL("\5abcde"));
    too_short(lenenc_bytes, BYTES_LITERAL("\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
                                          "abc"));
    too_short(nul_bytes, BYTES_LITERAL("abc"));
}

static void a_bad_cursor_stays_bad(void **state)
{
    (void)state;
    struct cursor c = cursor_of(BYTES_LITERAL("abc"));
    read_u32(&c);
    assert_int_equal(read_u8(&c), 0);
    assert_int_equal(read_rest(&c).len, 0);
    assert_int_equal(read_nul_bytes(&c).len, 0);
    assert_true(c.bad);
}

static void an_empty_view_can_be_read(void **state)
{
    (void)state;
    struct cursor c = cursor_of(BYTES_NONE);
    assert_int_equal(cursor_left(&c), 0);
    assert_int_equal(read_rest(&c).len, 0);
    assert_false(c.bad);
    read_nul_bytes(&c);
    assert_true(c.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_come_back),
        cmocka_unit_test(lengths_take_as_many_bytes_as_they_need),
        cmocka_unit_test(null_and_ff_are_no_lengths),
        cmocka_unit_test(strings_come_back),
        cmocka_unit_test(a_read_past_the_end_gives_nothing_and_is_remembered),
        cmocka_unit_test(a_bad_cursor_stays_bad),
        cmocka_unit_test(an_empty_view_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
