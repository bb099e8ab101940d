/* JSON strings: whatever bytes a client has sent, a browser can read them. */
#include "unit/http/house.h"

static void is_written(const void *bytes, size_t len, const char *expected)
{
    char *text;
    printed(text, to, json_text(to, bytes_of(bytes, len)));
    assert_string_equal(text, expected);
    free(text);
}
#define literal_is_written(s, expected) is_written("" s "", sizeof(s) - 1, expected)

static void quotes_and_control_bytes_are_escaped(void **state)
{
    (void)state;
    literal_is_written("", "\"\"");
    literal_is_written("a\"b\\c", "\"a\\\"b\\\\c\"");
    literal_is_written("a\nb\0c\x7f", "\"a\\u000ab\\u0000c\\u007f\"");
}

static void utf8_stays_as_it_is(void **state)
{
    (void)state;
    literal_is_written("h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80",
                       "\"h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80\"");
    literal_is_written("\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF",
                       "\"\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF\"");
}

static void what_is_not_utf8_is_replaced(void **state)
{
    (void)state;
    literal_is_written("caf\xE9!", "\"caf\\ufffd!\"");               /* latin1 */
    literal_is_written("\x80", "\"\\ufffd\"");                       /* a tail alone */
    literal_is_written("\xC0\xAF", "\"\\ufffd\\ufffd\"");            /* overlong / */
    literal_is_written("\xE0\x9F\xBF", "\"\\ufffd\\ufffd\\ufffd\""); /* overlong */
    literal_is_written("\xED\xA0\x80", "\"\\ufffd\\ufffd\\ufffd\""); /* a surrogate */
    literal_is_written("\xF4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
    literal_is_written("\xF8", "\"\\ufffd\"");
}

static void a_sequence_that_is_cut_off_is_replaced(void **state)
{
    static const uint8_t euro[] = { 'x', 0xE2, 0x82, 0xAC };
    static const uint8_t smile[] = { 0xF0, 0x9F, 0x98, 0x80 };
    (void)state;
    is_written(euro, 2, "\"x\\ufffd\"");
    is_written(euro, 3, "\"x\\ufffd\\ufffd\"");
    is_written(smile, 3, "\"\\ufffd\\ufffd\\ufffd\"");
}

static void every_two_bytes_give_printable_json(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 0x10000; i++) {
        uint8_t *two = mem_alloc(2); /* of its own, so that reading beyond it is seen */
        char *text;
        two[0] = (uint8_t)(i >> 8), two[1] = (uint8_t)i;
        printed(text, to, json_text(to, bytes_of(two, 2)));
        size_t len = strlen(text);
        assert_true(len >= 4 && text[0] == '"' && text[len - 1] == '"');
        for (size_t n = 0; n < len; n++)
            assert_true((uint8_t)text[n] >= 0x20);
        free(text);
        mem_free(two);
    }
}

static void keys_have_commas_between_them(void **state)
{
    char *text;
    bool first = true;
    (void)state;
    printed(text, to, json_key(to, &first, "a"), json_key(to, &first, "b"));
    assert_string_equal(text, "\"a\":,\"b\":");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_and_control_bytes_are_escaped),
        cmocka_unit_test(utf8_stays_as_it_is),
        cmocka_unit_test(what_is_not_utf8_is_replaced),
        cmocka_unit_test(a_sequence_that_is_cut_off_is_replaced),
        cmocka_unit_test(every_two_bytes_give_printable_json),
        cmocka_unit_test(keys_have_commas_between_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
