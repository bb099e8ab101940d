#include "unit/net/sockets.h"

#include <net/if.h>

struct row {
    const char *text;
    uint16_t default_port;
    const char *with_port, *without; /* NULL: refused */
};

static const struct row rows[] = {
    { "10.0.0.1:3306", 0, "10.0.0.1:3306", "10.0.0.1" },
    { "10.0.0.1", 3306, "10.0.0.1:3306", "10.0.0.1" },
    { "10.0.0.1:3307", 3306, "10.0.0.1:3307", "10.0.0.1" },
    { "0.0.0.0:0", 0, "0.0.0.0:0", "0.0.0.0" },
    { "255.255.255.255:65535", 0, "255.255.255.255:65535", "255.255.255.255" },
    { "[::1]:3306", 0, "[::1]:3306", "::1" },
    { "[::1]", 3306, "[::1]:3306", "::1" },
    { "::1", 3306, "[::1]:3306", "::1" },
    { "[2001:DB8:0::1]:1", 0, "[2001:db8::1]:1", "2001:db8::1" },
    { "[fe80::1%7]:3306", 0, "[fe80::1%7]:3306", "fe80::1%7" },
    { "/run/mysqld.sock", 0, "/run/mysqld.sock", "localhost" },
    { "/", 3306, "/", "localhost" },
    { "", 3306, NULL, NULL },
    { ":3306", 0, NULL, NULL },
    { "10.0.0.1", 0, NULL, NULL },
    { "10.0.0.1:", 3306, NULL, NULL },
    { "10.0.0.1:65536", 0, NULL, NULL },
    { "10.0.0.1:-1", 0, NULL, NULL },
    { "10.0.0.1:33 06", 0, NULL, NULL },
    { "10.0.0.1:000000003306", 0, NULL, NULL },
    { "10.0.0.1 :3306", 0, NULL, NULL },
    { "10.0.0:3306", 0, NULL, NULL },
    { "10.0.0.256:3306", 0, NULL, NULL },
    { "localhost:3306", 0, NULL, NULL },
    { "[10.0.0.1]:3306", 0, NULL, NULL },
    { "[::1:3306", 0, NULL, NULL },
    { "[::1]3306", 0, NULL, NULL },
    { "[]:3306", 0, NULL, NULL },
    { "[", 3306, NULL, NULL },
    { "::1", 0, NULL, NULL },
    { "[fe80::1%]:3306", 0, NULL, NULL },
    { "[fe80::1%no-such-interface]:1", 0, NULL, NULL },
    { ":::", 3306, NULL, NULL },
};

static void addresses_are_parsed_and_printed_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        char text[ADDRESS_TEXT_BYTES];
        struct address a;
        struct fault why = FAULT_NONE;
        bool parsed = address_parse(bytes_str(r->text), r->default_port, &a, &why);
        if (parsed != (r->with_port != NULL))
            fail_msg("'%s': parsed %d, %s", r->text, parsed, why.text);
        assert_int_equal(why.blame, parsed ? BLAME_NONE : BLAME_OURS);
        if (!parsed)
            continue;
        address_print(&a, true, text);
        assert_string_equal(text, r->with_port);
        address_print(&a, false, text);
        assert_string_equal(text, r->without);
    }
}

static void a_printed_address_parses_to_an_equal_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t j = 0; j < ARRAY_LEN(rows) && rows[i].with_port; j++) {
            if (rows[j].with_port == NULL)
                continue;
            struct address a = address_of(rows[i].with_port), b = address_of(rows[j].with_port);
            assert_int_equal(address_equal(&a, &b),
                             strcmp(rows[i].with_port, rows[j].with_port) == 0);
        }
}

static void a_socket_path_must_fit_and_have_no_zero_byte(void **state)
{
    char path[200] = "/";
    char text[ADDRESS_TEXT_BYTES];
    struct address a;
    (void)state;
    memset(path + 1, 'x', sizeof path - 2);
    assert_false(address_parse(bytes_of(path, 108), 0, &a, NULL));
    assert_true(address_parse(bytes_of(path, 107), 0, &a, NULL));
    address_print(&a, true, text);
    assert_int_equal(strlen(text), 107);
    assert_false(address_parse(BYTES_LITERAL("/a\0b"), 0, &a, NULL));
    assert_false(address_parse(BYTES_LITERAL("10.0.0.1\0:1"), 0, &a, NULL));
}

static void the_name_of_an_interface_becomes_its_number(void **state)
{
    struct address a;
    (void)state;
    if (if_nametoindex("lo") == 0)
        skip();
    assert_true(address_parse(BYTES_LITERAL("[fe80::1%lo]:1"), 0, &a, NULL));
    assert_int_equal(a.in6.sin6_scope_id, if_nametoindex("lo"));
}

static void a_nameless_unix_peer_is_localhost(void **state)
{
    char text[ADDRESS_TEXT_BYTES];
    struct address a = { .len = sizeof(sa_family_t), .any = { .sa_family = AF_UNIX } };
    (void)state;
    memset(a.un.sun_path, 'x', sizeof a.un.sun_path); /* not within len */
    address_print(&a, true, text);
    assert_string_equal(text, "localhost");
}

static void numbers_and_paths_resolve_to_themselves_and_nonsense_to_nothing(void **state)
{
    struct address a, b = address_of("10.0.0.1:3306");
    struct fault why = FAULT_NONE;
    (void)state;
    assert_true(address_resolve(BYTES_LITERAL("10.0.0.1"), 3306, &a, &why));
    assert_true(address_equal(&a, &b));
    assert_true(address_resolve(BYTES_LITERAL("/x"), 0, &a, &why));
    assert_false(address_resolve(BYTES_LITERAL("name:99999"), 0, &a, &why));
    assert_non_null(strstr(why.text, "name:99999"));
    assert_true(address_resolve(BYTES_LITERAL("localhost:3306"), 0, &a, &why));
    assert_int_equal(ntohs(a.any.sa_family == AF_INET6 ? a.in6.sin6_port : a.in4.sin_port), 3306);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_parsed_and_printed_as_the_table_says),
        cmocka_unit_test(a_printed_address_parses_to_an_equal_one),
        cmocka_unit_test(a_socket_path_must_fit_and_have_no_zero_byte),
        cmocka_unit_test(the_name_of_an_interface_becomes_its_number),
        cmocka_unit_test(a_nameless_unix_peer_is_localhost),
        cmocka_unit_test(numbers_and_paths_resolve_to_themselves_and_nonsense_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
