#include "unit/net/sockets.h"

static bool has(const char *network, const char *address)
{
    struct network n;
    struct address a = address_of(address);
    if (!network_parse(bytes_str(network), &n))
        fail_msg("not parsed: %s", network);
    return network_has(&n, &a);
}

static void a_network_has_what_shares_its_bits(void **state)
{
    (void)state;
    assert_true(has("10.0.0.0/8", "10.255.1.2:5"));
    assert_false(has("10.0.0.0/8", "11.0.0.1:5"));
    assert_true(has("10.0.0.0/9", "10.127.0.1:5"));
    assert_false(has("10.0.0.0/9", "10.128.0.1:5"));
    assert_true(has("10.77.1.2/9", "10.0.0.1:5"));
    assert_true(has("192.0.2.7", "192.0.2.7:1"));
    assert_true(has("192.0.2.7/32", "192.0.2.7:1"));
    assert_false(has("192.0.2.7", "192.0.2.6:1"));
    assert_true(has("0.0.0.0/0", "1.2.3.4:1"));
    assert_true(has("2001:db8::/32", "[2001:db8:1::5]:1"));
    assert_false(has("2001:db8::/32", "[2001:db9::5]:1"));
    assert_true(has("2001:db8::/29", "[2001:dbf::5]:1"));
    assert_true(has("::1", "[::1]:1"));
    assert_false(has("::1", "[::2]:1"));
}

static void families_do_not_mix(void **state)
{
    (void)state;
    assert_false(has("0.0.0.0/0", "[::1]:1"));
    assert_false(has("::/0", "127.0.0.1:1"));
    assert_false(has("0.0.0.0/0", "/run/s"));
    assert_true(has("localhost", "/run/s"));
    assert_false(has("localhost", "127.0.0.1:1"));
    assert_true(has("*", "127.0.0.1:1") && has("*", "[::1]:1") && has("*", "/run/s"));
}

static void what_is_no_network_is_not_parsed(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",         "10.0.0.0/",   "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8",
        "10.0.0/8", "example.com", "::1/129",     "/8",          "10.0.0.1:80",
        "[::1]",    "10.0.0.0/ 8", "**",          "fe80::1%lo"
    };
    struct network n;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (network_parse(bytes_str(wrong[i]), &n))
            fail_msg("parsed: %s", wrong[i]);
    assert_false(network_parse(BYTES_LITERAL("10.0.0.1\0"), &n));
}

static void an_ipv4_address_in_ipv6_is_itself(void **state)
{
    (void)state;
    struct address a = address_of("[::ffff:10.0.0.1]:80"), v4 = address_of("10.0.0.1:80");
    address_unmap(&a);
    assert_true(address_equal(&a, &v4));
    struct address b = address_of("[2001:db8::1]:80"), same = b;
    address_unmap(&b);
    assert_true(address_equal(&b, &same));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_has_what_shares_its_bits),
        cmocka_unit_test(families_do_not_mix),
        cmocka_unit_test(what_is_no_network_is_not_parsed),
        cmocka_unit_test(an_ipv4_address_in_ipv6_is_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
