#include "recorded.h"

#include <arpa/inet.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* How a header is read when it arrives byte by byte: never early, never asking for less than is
 * there. Its length, or 0 when it was refused. */
static size_t read_slowly(struct bytes wire, struct proxy_header *h)
{
    size_t need = 0;
    for (size_t n = 1; n <= wire.len; n++) {
        struct fault why = FAULT_NONE;
        struct bytes shown = exact_copy(bytes_of(wire.data, n));
        bool done = proxy_header_read(shown, h, &need, &why);
        exact_free(shown);
        if (done) {
            assert_int_equal(h->wire_len, n);
            return n;
        }
        if (need == 0) {
            assert_int_equal(why.code, ER_UNKNOWN_ERROR);
            assert_string_equal(why.text, "Failed to parse proxy header");
            return 0;
        }
        assert_true(need > n);
    }
    return 0;
}

static void assert_ip(int family, const struct proxy_end *end, const char *ip, unsigned port)
{
    char text[INET6_ADDRSTRLEN];
    inet_ntop(family, end->ip, text, sizeof text);
    assert_string_equal(text, ip);
    assert_int_equal(end->port, port);
}

/* ---- version 1 ------------------------------------------------------------------------------ */

static void a_line_gives_both_ends(void **state)
{
    (void)state;
    struct proxy_header h;
    struct bytes v4 = BYTES_LITERAL("PROXY TCP4 192.0.2.7 10.0.0.1 51234 3306\r\n");
    struct bytes v6 = BYTES_LITERAL("PROXY TCP6 2001:db8::7 ::1 1 65535\r\n");
    assert_int_equal(read_slowly(v4, &h), v4.len);
    assert_int_equal(h.family, PROXY_IP4);
    assert_ip(AF_INET, &h.from, "192.0.2.7", 51234);
    assert_ip(AF_INET, &h.to, "10.0.0.1", 3306);
    assert_int_equal(read_slowly(v6, &h), v6.len);
    assert_int_equal(h.family, PROXY_IP6);
    assert_ip(AF_INET6, &h.from, "2001:db8::7", 1);
    assert_ip(AF_INET6, &h.to, "::1", 65535);
}

/* CVE-2026-48772: addresses behind UNKNOWN are anybody's. */
static void unknown_says_nothing_of_the_client(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN 10.9.9.9 10.9.9.8 1 2\r\n",
        "PROXY UNKNOWN TCP4 10.9.9.9 10.9.9.8 1 2\r\n",
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
        "65535 65535\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct proxy_header h;
        assert_int_equal(read_slowly(bytes_str(lines[i]), &h), strlen(lines[i]));
        assert_int_equal(h.family, PROXY_UNKNOWN);
    }
}

static void lines_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 nonsense\r\n",
        "PROXY TCP5 192.0.2.7 10.0.0.1 51234 3306\r\n",
        "PROXY tcp4 192.0.2.7 10.0.0.1 51234 3306\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY  TCP4 192.0.2.7 10.0.0.1 51234 3306\r\n",
        "PROXY TCP4 192.0.2.7  10.0.0.1 51234 3306\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 51234\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 51234 \r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 51234 3306 \r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 51234 3306 7\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 51234 65536\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 -1 3306\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 99999999999999999999 3306\r\n",
        "PROXY TCP4 192.0.2 10.0.0.1 51234 3306\r\n",
        "PROXY TCP4 2001:db8::7 ::1 51234 3306\r\n",
        "PROXY TCP6 192.0.2.7 10.0.0.1 51234 3306\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 51234 3306\n",
        "PROXY TCP4 192.0.2.7\r10.0.0.1 51234 3306\r\n",
        "PROXX TCP4 192.0.2.7 10.0.0.1 51234 3306\r\n",
        "GET / HTTP/1.0\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct proxy_header h;
        if (read_slowly(bytes_str(lines[i]), &h) != 0)
            fail_msg("taken: %s", lines[i]);
    }
}

static void a_zero_byte_does_not_end_an_address(void **state)
{
    (void)state;
    struct proxy_header h;
    assert_int_equal(
        read_slowly(BYTES_LITERAL("PROXY TCP4 192.0.2.7\0x 10.0.0.1 51234 3306\r\n"), &h), 0);
}

static void a_line_without_end_is_given_up_at_107_bytes(void **state)
{
    (void)state;
    char line[300] = "PROXY UNKNOWN ";
    struct proxy_header h;
    size_t need;
    memset(line + 14, 'x', sizeof line - 14);
    assert_false(proxy_header_read(bytes_of(line, 106), &h, &need, NULL));
    assert_int_equal(need, 107);
    assert_false(proxy_header_read(bytes_of(line, 107), &h, &need, NULL));
    assert_int_equal(need, 0);
    /* the last place for its end */
    memcpy(line + 105, "\r\n", 2);
    assert_int_equal(read_slowly(bytes_of(line, sizeof line), &h), 107);
    memcpy(line + 105, "x\r\n", 3);
    assert_int_equal(read_slowly(bytes_of(line, sizeof line), &h), 0);
}

/* ---- version 2 ------------------------------------------------------------------------------ */

struct v2 {
    uint8_t wire[70000];
    size_t len;
};

static struct bytes v2_of(struct v2 *v, uint8_t command, uint8_t kind, struct bytes body)
{
    memcpy(v->wire, SIGNATURE, 12);
    v->wire[12] = command, v->wire[13] = kind;
    v->wire[14] = (uint8_t)(body.len >> 8), v->wire[15] = (uint8_t)body.len;
    if (body.len > 0)
        memcpy(v->wire + 16, body.data, body.len);
    v->len = 16 + body.len;
    return bytes_of(v->wire, v->len);
}

#define ENDS4 "\xc0\0\x02\x07\x0a\0\0\x01\xc8\x22\x0c\xea" /* 192.0.2.7:51234, 10.0.0.1:3306 */

static void a_binary_header_gives_both_ends(void **state)
{
    (void)state;
    static struct v2 v;
    struct proxy_header h;
    assert_int_equal(read_slowly(v2_of(&v, 0x21, 0x11, BYTES_LITERAL(ENDS4)), &h), 28);
    assert_int_equal(h.family, PROXY_IP4);
    assert_ip(AF_INET, &h.from, "192.0.2.7", 51234);
    assert_ip(AF_INET, &h.to, "10.0.0.1", 3306);

    uint8_t ends6[36] = {
        0x20, 0x01, 0x0d, 0xb8, [15] = 9, [31] = 1, [33] = 5, [34] = 1, [35] = 2
    };
    assert_int_equal(read_slowly(v2_of(&v, 0x21, 0x21, bytes_of(ends6, 36)), &h), 52);
    assert_int_equal(h.family, PROXY_IP6);
    assert_ip(AF_INET6, &h.from, "2001:db8::9", 5);
    assert_ip(AF_INET6, &h.to, "::1", 258);

    uint8_t paths[216] = "/run/app";
    assert_int_equal(read_slowly(v2_of(&v, 0x21, 0x31, bytes_of(paths, 216)), &h), 232);
    assert_int_equal(h.family, PROXY_UNIX);
}

static void what_follows_the_addresses_is_skipped(void **state)
{
    (void)state;
    static struct v2 v;
    static uint8_t body[65535] = ENDS4 "\x04\0\x03xyz\x20\xff\xff";
    struct proxy_header h;
    assert_int_equal(read_slowly(v2_of(&v, 0x21, 0x11, bytes_of(body, 21)), &h), 37);
    assert_ip(AF_INET, &h.from, "192.0.2.7", 51234);
    size_t need;
    struct bytes longest = v2_of(&v, 0x21, 0x11, bytes_of(body, sizeof body));
    assert_false(proxy_header_read(bytes_of(longest.data, 100), &h, &need, NULL));
    assert_int_equal(need, 16 + 65535);
    assert_true(proxy_header_read(longest, &h, &need, NULL));
    assert_int_equal(h.wire_len, 16 + 65535);
}

static void local_and_unspecified_say_nothing_of_the_client(void **state)
{
    (void)state;
    static struct v2 v;
    struct proxy_header h;
    assert_int_equal(read_slowly(v2_of(&v, 0x20, 0x00, BYTES_NONE), &h), 16);
    assert_int_equal(h.family, PROXY_UNKNOWN);
    assert_int_equal(read_slowly(v2_of(&v, 0x20, 0x11, BYTES_LITERAL(ENDS4)), &h), 28);
    assert_int_equal(h.family, PROXY_UNKNOWN);
    assert_int_equal(read_slowly(v2_of(&v, 0x21, 0x00, BYTES_LITERAL("anything")), &h), 24);
    assert_int_equal(h.family, PROXY_UNKNOWN);
}

static void binary_headers_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static struct v2 v;
    struct proxy_header h;
    uint8_t long_enough[216] = { 0 };
    struct bytes ends = BYTES_LITERAL(ENDS4), body = bytes_of(long_enough, sizeof long_enough);
    static const uint8_t commands[] = { 0x22, 0x2F, 0x11, 0x31, 0x01, 0x00 };
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        assert_int_equal(read_slowly(v2_of(&v, commands[i], 0x11, ends), &h), 0);
    static const uint8_t kinds[] = { 0x01, 0x10, 0x12, 0x13, 0x20, 0x22, 0x30, 0x32, 0x41, 0xFF };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        assert_int_equal(read_slowly(v2_of(&v, 0x21, kinds[i], body), &h), 0);
    /* shorter than its addresses */
    assert_int_equal(read_slowly(v2_of(&v, 0x21, 0x11, bytes_of(ends.data, 11)), &h), 0);
    assert_int_equal(read_slowly(v2_of(&v, 0x21, 0x21, bytes_of(long_enough, 35)), &h), 0);
    assert_int_equal(read_slowly(v2_of(&v, 0x21, 0x31, bytes_of(long_enough, 215)), &h), 0);
    assert_int_equal(read_slowly(v2_of(&v, 0x21, 0x11, BYTES_NONE), &h), 0);
    /* a wrong byte in the signature */
    for (size_t i = 0; i < 12; i++) {
        struct bytes wire = v2_of(&v, 0x21, 0x11, ends);
        v.wire[i] ^= 1;
        assert_int_equal(read_slowly(wire, &h), 0);
    }
}

/* ---- both ----------------------------------------------------------------------------------- */

static void a_client_s_first_frame_is_no_header(void **state)
{
    (void)state;
    assert_true(proxy_header_begins((const uint8_t *)"PROX"));
    assert_true(proxy_header_begins((const uint8_t *)"\r\n\r\n"));
    for (unsigned i = 0; i < 1 << 16; i++) {
        uint8_t header[4] = { i & 0xFF, i >> 8 & 0xFF, i >> 3 & 0xFF, 1 };
        assert_false(proxy_header_begins(header));
    }
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    static const struct proxy_header headers[] = {
        { .family = PROXY_UNKNOWN },
        { .family = PROXY_UNIX },
        { .family = PROXY_IP4,
          .from = { { 192, 0, 2, 7 }, 51234 },
          .to = { { 10, 0, 0, 1 }, 3306 } },
        { .family = PROXY_IP4, .from = { { 255, 255, 255, 255 }, 65535 }, .to = { { 0 }, 0 } },
        { .family = PROXY_IP6, .from = { { 0x20, 1, [15] = 7 }, 1 }, .to = { { [15] = 1 }, 2 } },
    };
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        for (enum proxy_version v = PROXY_V1; v <= PROXY_V2; v++) {
            struct buf out = { 0 };
            struct proxy_header back;
            const struct proxy_header *h = &headers[i];
            proxy_header_write(&out, v, h);
            assert_int_equal(read_slowly(buf_bytes(&out), &back), buf_len(&out));
            bool has_ip = h->family == PROXY_IP4 || h->family == PROXY_IP6;
            assert_int_equal(back.family, has_ip ? h->family : PROXY_UNKNOWN);
            if (has_ip) {
                assert_memory_equal(&back.from, &h->from, sizeof back.from);
                assert_memory_equal(&back.to, &h->to, sizeof back.to);
            }
            buf_release(&out);
        }
    struct buf nothing = { 0 };
    proxy_header_write(&nothing, PROXY_OFF, &headers[2]);
    assert_int_equal(buf_len(&nothing), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_gives_both_ends),
        cmocka_unit_test(unknown_says_nothing_of_the_client),
        cmocka_unit_test(lines_that_make_no_sense_are_refused),
        cmocka_unit_test(a_zero_byte_does_not_end_an_address),
        cmocka_unit_test(a_line_without_end_is_given_up_at_107_bytes),
        cmocka_unit_test(a_binary_header_gives_both_ends),
        cmocka_unit_test(what_follows_the_addresses_is_skipped),
        cmocka_unit_test(local_and_unspecified_say_nothing_of_the_client),
        cmocka_unit_test(binary_headers_that_make_no_sense_are_refused),
        cmocka_unit_test(a_client_s_first_frame_is_no_header),
        cmocka_unit_test(what_is_written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
