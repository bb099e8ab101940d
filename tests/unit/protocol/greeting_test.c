#include "recorded.h"

/* ---- greetings ---- */

static void check_greeting(const struct record *rec, void *arg)
{
    struct greeting g, again;
    struct fault why = FAULT_NONE;
    if (strcmp(rec->kind, "GREETING") != 0)
        return;
    struct bytes payload = bytes_skip(rec->data, FRAME_HEADER);
    assert_true(greeting_read(payload, &g, &why));
    bool mariadb = strcmp(arg, "mariadb") == 0;
    assert_int_equal(greeting_is_mariadb(&g), mariadb);
    assert_int_equal(g.caps & CAP_LONG_PASSWORD, mariadb ? 0 : CAP_LONG_PASSWORD);
    assert_int_equal(g.caps >> 32, mariadb ? 0x1d : 0);
    assert_int_equal(g.status, STATUS_AUTOCOMMIT);
    assert_text(g.plugin, mariadb ? "mysql_native_password" : "caching_sha2_password");
    assert_memory_equal(g.version.data, mariadb ? "5.5.5-10.11." : "9.7.4", 5);
    for (size_t i = 0; i < SCRAMBLE_BYTES; i++)
        assert_int_not_equal(g.scramble[i], 0);

    /* What we write is what the server wrote. */
    struct buf out = { 0 };
    uint8_t seq = 0;
    greeting_write(&out, &seq, &g);
    assert_bytes_equal(buf_bytes(&out), rec->data);
    assert_true(greeting_read(payload_of(&out), &again, &why));
    assert_memory_equal(again.scramble, g.scramble, SCRAMBLE_BYTES);
    buf_release(&out);

    /* The last bytes are the NUL of the plugin's name, and the name itself. */
    size_t needed = payload.len - g.plugin.len - 1;
    for (size_t n = 0; n < payload.len; n++) {
        struct bytes cut = exact_copy(bytes_of(payload.data, n));
        assert_int_equal(greeting_read(cut, &again, &why), n + 1 >= needed);
        exact_free(cut);
    }
}

static void greetings_of_servers_are_read_and_written_alike(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(recorded_families); i++)
        each_record(recorded_families[i], check_greeting, (void *)recorded_families[i]);
}

static void a_refusal_in_place_of_a_greeting_keeps_its_number(void **state)
{
    (void)state;
    struct greeting g;
    struct fault why = FAULT_NONE;
    assert_false(greeting_read(BYTES_LITERAL("\xFF\x10\x04Too many connections"), &g, &why));
    assert_int_equal(why.blame, BLAME_SERVER);
    assert_int_equal(why.code, ER_CON_COUNT_ERROR);
    assert_string_equal(why.sqlstate, "08004");
    assert_string_equal(why.text, "Too many connections");
    assert_false(greeting_read(BYTES_LITERAL("\xFF\x10"), &g, &why));
    assert_int_equal(why.code, ER_MALFORMED_PACKET);
}

static void servers_of_another_protocol_are_refused(void **state)
{
    (void)state;
    struct greeting g;
    struct fault why = FAULT_NONE;
    assert_false(greeting_read(BYTES_LITERAL("\x09"
                                             "3.20\0"),
                               &g, &why));
    assert_int_equal(why.code, ER_HANDSHAKE_ERROR);
    assert_non_null(strstr(why.text, "9"));
}

static struct greeting a_greeting(void)
{
    struct greeting g = { .version = BYTES_LITERAL("8.0.1"),
                          .caps = CAP_LONG_PASSWORD | CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION |
                                  CAP_PLUGIN_AUTH,
                          .thread_id = 0x01020304,
                          .collation = 45,
                          .plugin = BYTES_LITERAL("caching_sha2_password") };
    scramble_make(g.scramble);
    return g;
}

static void extended_capabilities_unset_bit_0_as_mariadb_does(void **state)
{
    (void)state;
    struct greeting g = a_greeting(), got;
    struct buf out = { 0 };
    uint8_t seq = 0;
    g.caps |= 0x1dull << 32;
    greeting_write(&out, &seq, &g);
    assert_int_equal(seq, 1);
    assert_true(greeting_read(payload_of(&out), &got, NULL));
    assert_false(got.caps & CAP_LONG_PASSWORD);
    assert_int_equal(got.caps >> 32, 0x1d);
    assert_true(greeting_is_mariadb(&got));
    buf_release(&out);
}

/* What servers of all ages and their imitators send. */
static void greetings_of_all_ages_are_read(void **state)
{
#define FRONT(version)                                                                             \
    "\x0A" version "\0"                                                                            \
    "\4\3\2\1"                                                                                     \
    "12345678"                                                                                     \
    "\0"
#define SECOND "90abcdefghij"
    static const struct {
        struct bytes payload;
        uint64_t caps;
        const char *plugin;
    } cases[] = {
        /* MySQL 5.0: no length of the scramble, no plugin */
        { BYTES_LITERAL(FRONT("5.0.96") "\x2c\xa2\x08\2\0"
                                        "\0\0\0\0\0\0\0\0\0\0\0\0\0" SECOND "\0"),
          0xa22c, "mysql_native_password" },
        /* MySQL 5.5.8: the plugin's name ends with the packet */
        { BYTES_LITERAL(FRONT("5.5.8") "\xff\xf7\x08\2\0"
                                       "\x0f\x80\x15\0\0\0\0\0\0\0\0\0\0" SECOND "\0"
                                       "mysql_native_password"),
          0x800ff7ff, "mysql_native_password" },
        /* MariaDB 10.1: progress reports had bit 29, and bit 0 is set: nothing extended */
        { BYTES_LITERAL(FRONT("5.5.5-10.1.48-MariaDB") "\xff\xf7\x08\2\0"
                                                       "\x3f\xa0\x15\0\0\0\0\0\0\0\0\0\0" SECOND
                                                       "\0"
                                                       "mysql_native_password\0"),
          0xa03ff7ff, "mysql_native_password" },
        /* MariaDB 10.2: the first with extended ones */
        { BYTES_LITERAL(FRONT("5.5.5-10.2.44-MariaDB") "\xfe\xf7\x08\2\0"
                                                       "\xff\x81\x15\0\0\0\0\0\0\7\0\0\0" SECOND
                                                       "\0"
                                                       "mysql_native_password\0"),
          0x781fff7fe, "mysql_native_password" },
        /* a longer scramble, of which 20 bytes count */
        { BYTES_LITERAL(FRONT("8.0") "\xff\xff\x08\2\0"
                                     "\xff\xcf\x19\0\0\0\0\0\0\0\0\0\0" SECOND "klmn\0"
                                     "caching_sha2_password\0"),
          0xcfffffff, "caching_sha2_password" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct greeting g;
        struct fault why = FAULT_NONE;
        struct bytes exact = exact_copy(cases[i].payload);
        assert_true(greeting_read(exact, &g, &why));
        assert_int_equal(g.caps, cases[i].caps);
        assert_int_equal(g.thread_id, 0x01020304);
        assert_text(g.plugin, cases[i].plugin);
        assert_memory_equal(g.scramble, "1234567890abcdefghij", SCRAMBLE_BYTES);
        exact_free(exact);
    }
}

static void a_greeting_without_plugin_means_the_native_one(void **state)
{
    (void)state;
    struct greeting g = a_greeting(), got;
    struct buf out = { 0 };
    uint8_t seq = 0;
    g.caps &= ~CAP_PLUGIN_AUTH;
    greeting_write(&out, &seq, &g);
    assert_true(greeting_read(payload_of(&out), &got, NULL));
    assert_text(got.plugin, "mysql_native_password");
    assert_memory_equal(got.scramble, g.scramble, SCRAMBLE_BYTES);
    buf_release(&out);
}

static void mariadb_is_told_by_its_version(void **state)
{
    static const struct {
        const char *version;
        bool mariadb;
    } cases[] = {
        { "5.5.5-10.11.19-MariaDB-0+deb12u1", true },
        { "11.8.2-mariadb", true },
        { "5.5.5-10.3.1-log", true },
        { "5.5.5-m3", false },
        { "9.7.4-2", false },
        { "5.5.62", false },
        { "", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct greeting g = { .version = bytes_str(cases[i].version) };
        assert_int_equal(greeting_is_mariadb(&g), cases[i].mariadb);
    }
}

static void versions_are_numbers(void **state)
{
    static const struct {
        const char *version;
        bool mariadb;
        uint32_t number;
    } cases[] = {
        { "5.5.5-10.11.19-MariaDB-0+deb12u1", true, 101119 },
        { "11.8.9-MariaDB-0+deb13u1 from Debian-log", true, 110809 },
        { "9.7.4-2", false, 90704 },
        { "8.0.36", false, 80036 },
        { "5.5.5-m3", false, 50505 },
        { "8", false, 80000 },
        { "8.1", false, 80100 },
        { "8.1-x.7", false, 80100 },
        { "11.8.1000", false, 110899 },
        { "x8.0.36", false, 0 },
        { "", true, 0 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(version_number(bytes_str(cases[i].version), cases[i].mariadb),
                         cases[i].number);
}

static void scrambles_have_no_nul_and_no_dollar_and_differ(void **state)
{
    (void)state;
    uint8_t first[SCRAMBLE_BYTES], next[SCRAMBLE_BYTES];
    scramble_make(first);
    for (int i = 0; i < 1000; i++) {
        scramble_make(next);
        assert_memory_not_equal(first, next, SCRAMBLE_BYTES);
        for (size_t at = 0; at < SCRAMBLE_BYTES; at++)
            assert_true(next[at] > 0 && next[at] < 0x80 && next[at] != '$');
    }
}

/* ---- logins ---- */

static struct login a_login(uint64_t caps)
{
    return (struct login){ .caps = caps | CAP_LONG_PASSWORD | CAP_PROTOCOL_41,
                           .max_packet = 1 << 24,
                           .collation = 45,
                           .user = BYTES_LITERAL("me"),
                           .auth = BYTES_LITERAL("12345678901234567890"),
                           .schema = BYTES_LITERAL("db"),
                           .plugin = BYTES_LITERAL("mysql_native_password"),
                           .attributes = BYTES_LITERAL("\2_a\1b") };
}

static void login_comes_back(uint64_t caps)
{
    struct login l = a_login(caps), got;
    struct buf out = { 0 };
    struct fault why = FAULT_NONE;
    uint8_t seq = 1;
    login_write(&out, &seq, &l);
    struct bytes payload = payload_of(&out);
    assert_true(login_read(payload, UINT64_MAX, &got, &why));
    assert_int_equal(got.caps, caps & CAPS_MARIADB ? l.caps & ~CAP_LONG_PASSWORD : l.caps);
    assert_true(login_read(payload, UINT32_MAX, &got, &why));
    assert_int_equal(got.caps & CAPS_MARIADB, 0);
    assert_int_equal(got.max_packet, l.max_packet);
    assert_int_equal(got.collation, l.collation);
    assert_false(got.is_ssl_request);
    assert_bytes_equal(got.user, l.user);
    assert_bytes_equal(got.auth, l.auth);
    assert_text(got.schema, caps & CAP_CONNECT_WITH_DB ? "db" : "");
    assert_text(got.plugin, caps & CAP_PLUGIN_AUTH ? "mysql_native_password" : "");
    assert_bytes_equal(got.attributes, caps & CAP_CONNECT_ATTRS ? l.attributes : BYTES_NONE);

    /* Only strings at the end may be cut: the user and token are never. */
    size_t fixed = 32 + 3 + 1 + 20;
    for (size_t n = 0; n < payload.len; n++) {
        struct bytes cut = exact_copy(bytes_of(payload.data, n));
        bool read = login_read(cut, UINT32_MAX & ~CAP_SSL, &got, &why);
        if (n < fixed || (caps & CAP_CONNECT_ATTRS))
            assert_false(read);
        exact_free(cut);
    }
    buf_release(&out);
}

static void logins_come_back_in_every_form(void **state)
{
    (void)state;
    static const uint64_t optional[] = { CAP_CONNECT_WITH_DB, CAP_PLUGIN_AUTH, CAP_CONNECT_ATTRS,
                                         CAP_SECURE_CONNECTION, CAP_PLUGIN_AUTH_LENENC };
    for (unsigned set = 0; set < 1u << ARRAY_LEN(optional); set++) {
        uint64_t caps = 0;
        for (size_t i = 0; i < ARRAY_LEN(optional); i++)
            if (set & 1u << i)
                caps |= optional[i];
        login_comes_back(caps);
        login_comes_back(caps | 0x1dull << 32);
    }
}

static void recorded_logins_are_read(const struct record *rec, void *arg)
{
    struct login l;
    struct fault why = FAULT_NONE;
    if (strcmp(rec->kind, "LOGIN") != 0)
        return;
    assert_true(login_read(rec->data, UINT32_MAX, &l, &why));
    assert_int_equal(l.caps, rec->caps);
    assert_text(l.user, "rec");
    assert_int_equal(auth_plugin_by_name(l.plugin),
                     strcmp(arg, "mysql") == 0 ? AUTH_CACHING_SHA2 : AUTH_NATIVE);
}

static void logins_that_servers_accepted_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(recorded_families); i++)
        each_record(recorded_families[i], recorded_logins_are_read, (void *)recorded_families[i]);
}

static void the_short_form_asks_for_tls(void **state)
{
    (void)state;
    struct login l = a_login(CAP_SSL), got;
    struct buf out = { 0 };
    struct fault why = FAULT_NONE;
    uint8_t seq = 1;
    l.is_ssl_request = true;
    login_write(&out, &seq, &l);
    assert_int_equal(payload_of(&out).len, 32);
    assert_true(login_read(payload_of(&out), CAP_SSL, &got, &why));
    assert_true(got.is_ssl_request);
    assert_true(login_asks_for_tls(payload_of(&out), CAP_SSL, &got));
    /* Who was not offered TLS asks for it all the same. */
    assert_true(login_read(payload_of(&out), 0, &got, &why));
    assert_true(got.is_ssl_request);
    assert_false(login_asks_for_tls(payload_of(&out), 0, &got));
    buf_release(&out);
}

static void the_flag_asks_for_tls_whatever_follows(void **state)
{
    (void)state;
    struct login l = a_login(CAP_SSL), got;
    struct buf out = { 0 };
    uint8_t seq = 1;
    l.collation = 8;
    login_write(&out, &seq, &l);
    struct bytes whole = payload_of(&out);
    assert_true(login_asks_for_tls(whole, UINT32_MAX, &got));
    assert_int_equal(got.collation, 8);
    assert_int_equal(got.caps & CAP_SSL, CAP_SSL);
    assert_int_equal(got.user.len, 0);
    assert_false(login_asks_for_tls(whole, ~CAP_SSL, &got));
    assert_false(login_asks_for_tls(bytes_of(whole.data, 31), UINT32_MAX, &got));
    assert_false(login_asks_for_tls(BYTES_NONE, UINT32_MAX, &got));
    buf_release(&out);
}

static void capabilities_that_were_not_offered_do_not_count(void **state)
{
    (void)state;
    struct login l = a_login(CAP_SECURE_CONNECTION), got;
    struct buf out = { 0 };
    uint8_t seq = 1;
    l.caps |= CAP_COMPRESS | CAP_FOUND_ROWS;
    login_write(&out, &seq, &l);
    assert_true(login_read(payload_of(&out), ~CAP_COMPRESS, &got, NULL));
    assert_int_equal(got.caps & (CAP_COMPRESS | CAP_FOUND_ROWS), CAP_FOUND_ROWS);
    buf_release(&out);
}

/* Behind everything else; a level that zstd does not have is refused, and so is none. */
static void zstd_needs_a_level(void **state)
{
    (void)state;
    static const uint64_t forms[] = { 0, CAP_PLUGIN_AUTH, CAP_PLUGIN_AUTH | CAP_CONNECT_ATTRS };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        for (unsigned level = 0; level < 30; level++) {
            struct login l = a_login(CAP_SECURE_CONNECTION | CAP_ZSTD | forms[i]), got;
            struct buf out = { 0 };
            struct fault why = FAULT_NONE;
            uint8_t seq = 1;
            l.zstd_level = (uint8_t)level;
            login_write(&out, &seq, &l);
            bool is_right = level >= 1 && level <= ZSTD_LEVEL_MAX;
            assert_int_equal(login_read(payload_of(&out), UINT64_MAX, &got, &why), is_right);
            if (is_right)
                assert_int_equal(got.zstd_level, level);
            else
                assert_int_equal(why.code, 3923);
            /* who was not offered it may write what it likes there */
            assert_true(login_read(payload_of(&out), ~CAP_ZSTD, &got, &why));
            struct bytes cut = exact_copy(bytes_of(payload_of(&out).data, payload_of(&out).len - 1));
            assert_false(login_read(cut, UINT64_MAX, &got, &why));
            exact_free(cut);
            buf_release(&out);
        }
}

static void clients_older_than_4_1_are_refused(void **state)
{
    (void)state;
    struct login got;
    struct fault why = FAULT_NONE;
    assert_false(login_read(BYTES_LITERAL("\5\0\0\0\0me\0"), UINT32_MAX, &got, &why));
    assert_int_equal(why.code, ER_HANDSHAKE_ERROR);
    assert_int_equal(why.blame, BLAME_CLIENT);
    assert_false(login_read(BYTES_NONE, UINT32_MAX, &got, &why));
    assert_int_equal(why.code, ER_HANDSHAKE_ERROR);
}

static void attributes_are_at_most_64_kib(void **state)
{
    (void)state;
    static const uint8_t zeros[65536];
    struct login l = a_login(CAP_SECURE_CONNECTION | CAP_CONNECT_ATTRS), got;
    l.attributes = bytes_of(zeros, 65535);
    struct buf out = { 0 };
    uint8_t seq = 1;
    login_write(&out, &seq, &l);
    assert_true(login_read(payload_of(&out), UINT32_MAX, &got, NULL));
    assert_int_equal(got.attributes.len, 65535);
    buf_release(&out);

    size_t mark = packet_begin(&out);
    write_u32(&out, l.caps);
    buf_add(&out, bytes_of(zeros, 28));
    buf_add(&out, BYTES_LITERAL("me\0\0"));
    write_lenenc_bytes(&out, bytes_of(zeros, 65536));
    packet_end(&out, mark, &seq);
    assert_false(login_read(payload_of(&out), UINT32_MAX, &got, NULL));
    buf_release(&out);
}

static void attributes_are_walked_to_their_end(void **state)
{
    (void)state;
    struct bytes name, value;
    struct cursor at = cursor_of(BYTES_LITERAL("\4_pid\2"
                                               "42"
                                               "\1k\0"));
    assert_true(attribute_next(&at, &name, &value));
    assert_text(name, "_pid");
    assert_text(value, "42");
    assert_true(attribute_next(&at, &name, &value));
    assert_text(name, "k");
    assert_text(value, "");
    assert_false(attribute_next(&at, &name, &value));
    assert_false(at.bad);

    at = cursor_of(BYTES_LITERAL("\4_pid\3"
                                 "42"));
    assert_false(attribute_next(&at, &name, &value));
    assert_true(at.bad);
    assert_false(attribute_next(&at, &name, &value));
}

/* ---- change of user ---- */

enum {
    CHANGE_CAPS = CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION | CAP_PLUGIN_AUTH | CAP_CONNECT_ATTRS |
                  CAP_PLUGIN_AUTH_LENENC
};

static void a_change_of_user_is_read(void **state)
{
    (void)state;
    struct change_user u;
    struct fault why = FAULT_NONE;
    struct bytes whole = BYTES_LITERAL("you\0"
                                       "\3tok"
                                       "db\0"
                                       "\xff\1"
                                       "plugin\0"
                                       "\4\1a\1b");
    assert_true(change_user_read(whole, CHANGE_CAPS, &u, &why));
    assert_text(u.user, "you");
    assert_text(u.auth, "tok");
    assert_text(u.schema, "db");
    assert_int_equal(u.collation, 0x1ff);
    assert_text(u.plugin, "plugin");
    assert_text(u.attributes, "\1a\1b");

    /* Whoever cuts it leaves out what old clients leave out, or is refused. */
    for (size_t n = 0; n < whole.len; n++) {
        struct bytes cut = exact_copy(bytes_of(whole.data, n));
        bool read = change_user_read(cut, CHANGE_CAPS, &u, &why);
        bool in_attributes = n > whole.len - 5 && n < whole.len;
        assert_int_equal(read, n > 8 && !in_attributes);
        exact_free(cut);
    }
}

static void a_change_of_user_without_secure_connection_ends_its_token_with_nul(void **state)
{
    (void)state;
    struct change_user u;
    assert_true(change_user_read(BYTES_LITERAL("you\0"
                                               "tok\0"
                                               "db\0"),
                                 CAP_PROTOCOL_41, &u, NULL));
    assert_text(u.auth, "tok");
    assert_text(u.schema, "db");
    assert_int_equal(u.collation, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greetings_of_servers_are_read_and_written_alike),
        cmocka_unit_test(a_refusal_in_place_of_a_greeting_keeps_its_number),
        cmocka_unit_test(servers_of_another_protocol_are_refused),
        cmocka_unit_test(extended_capabilities_unset_bit_0_as_mariadb_does),
        cmocka_unit_test(greetings_of_all_ages_are_read),
        cmocka_unit_test(a_greeting_without_plugin_means_the_native_one),
        cmocka_unit_test(mariadb_is_told_by_its_version),
        cmocka_unit_test(versions_are_numbers),
        cmocka_unit_test(scrambles_have_no_nul_and_no_dollar_and_differ),
        cmocka_unit_test(logins_come_back_in_every_form),
        cmocka_unit_test(logins_that_servers_accepted_are_read),
        cmocka_unit_test(the_short_form_asks_for_tls),
        cmocka_unit_test(the_flag_asks_for_tls_whatever_follows),
        cmocka_unit_test(capabilities_that_were_not_offered_do_not_count),
        cmocka_unit_test(zstd_needs_a_level),
        cmocka_unit_test(clients_older_than_4_1_are_refused),
        cmocka_unit_test(attributes_are_at_most_64_kib),
        cmocka_unit_test(attributes_are_walked_to_their_end),
        cmocka_unit_test(a_change_of_user_is_read),
        cmocka_unit_test(a_change_of_user_without_secure_connection_ends_its_token_with_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
