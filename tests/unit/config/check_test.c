/* What only shows when everything is seen together. */
#include "unit/config/texts.h"

static void a_sound_configuration_draws_no_complaint(void **state)
{
    (void)state;
    expect(MONITOR REST, "");
}

static void what_is_required_is_missed(void **state)
{
    (void)state;
    expect(MONITOR "[listener l]\n[server db1]\nweight = 1\n[user u]\npassword = p\n",
           "5: error: [server db1] needs \"address\"\n");
    expect(MONITOR "[listener l]\n[server db1]\naddress =\n[user u]\npassword = p\n",
           "6: error: address: is empty\n");
}

static void emptiness_is_only_worth_a_warning(void **state)
{
    (void)state;
    expect("", "0: warning: no [listener]: clients can't connect\n"
               "0: warning: group \"main\" has no [server]\n"
               "0: warning: no [user]: nobody can log in\n");
}

static void without_a_monitor_user_the_consequences_are_named(void **state)
{
    (void)state;
    expect(REST,
           "0: warning: no monitor_user: roles come from this file only, lag is not known, and a "
           "server is up if it accepts a connection and greets\n");
    expect("[volvox]\nmonitor_user = m\n" REST, "2: warning: monitor_user has no password\n");
}

static void without_a_monitor_user_roles_must_be_told(void **state)
{
    static const char warning[] =
        "1: warning: no monitor_user: roles come from this file only, lag is not known, and a "
        "server is up if it accepts a connection and greets\n";
    char told[1024];
    (void)state;
    snprintf(told, sizeof(told),
             "%s0: error: group \"main\" has servers with role = auto, and without monitor_user "
             "nobody can ask them: set role = primary or role = replica\n",
             warning);
    expect("[volvox]\n" REST "[server db2]\naddress=127.0.0.2\n", told);
    expect("[volvox]\n" REST "[server db2]\naddress=127.0.0.2\nrole=primary\n", told);
    expect("[volvox]\n" REST "[server db2]\naddress=127.0.0.2\nrole=replica\n", warning);
}

static void two_primaries_of_a_group_are_an_error(void **state)
{
    (void)state;
    expect(MONITOR REST "[server a]\naddress=127.0.0.2\nrole=primary\n"
                        "[server b]\naddress=127.0.0.3\nrole=primary\n",
           "14: error: [server b] is a second primary of group \"main\", beside [server a] in line "
           "11\n");
    expect(MONITOR REST "[server a]\naddress=127.0.0.2\ngroup=x\n",
           "11: error: there is no [group x]\n");
}

static void replicas_only_are_worth_a_warning(void **state)
{
    (void)state;
    expect(MONITOR "[group g]\n" REST "[server a]\naddress=127.0.0.2\nrole=replica\n", "");
    expect(MONITOR "[group g]\n[listener l]\n[server a]\naddress=127.0.0.2\nrole=replica\n"
                   "[user u]\npassword=x\n",
           "4: warning: group \"g\" has replicas only: nothing can be written\n");
}

static void groups_must_be_named_when_there_are_several(void **state)
{
    (void)state;
    expect(MONITOR "[group orders]\n[group items]\n[listener l]\ngroup = itens\n"
                   "[server a]\naddress=127.0.0.1\ngroup=orders\n"
                   "[server b]\naddress=127.0.0.2\ngroup=items\n"
                   "[server c]\naddress=127.0.0.3\n[user u]\npassword=x\ngroup=order\n",
           "7: error: there is no [group itens]; did you mean \"items\"?\n"
           "14: error: [server c] needs \"group\": there are 2 groups\n"
           "18: error: there is no [group order]; did you mean \"orders\"?\n");
}

static void a_group_without_servers_is_an_error_where_clients_may_come(void **state)
{
    (void)state;
    expect(MONITOR "[group a]\n[group b]\n[listener l]\n[server s]\naddress=127.0.0.1\ngroup=a\n"
                   "[user u]\npassword=x\ngroup=a\n",
           "5: error: group \"b\" has no [server]\n");
}

static void one_address_serves_one_listener(void **state)
{
    (void)state;
    expect(MONITOR REST "[listener b]\naddress = 127.0.0.1:6033\n"
                        "[listener c]\naddress = 0.0.0.0:6033\n"
                        "[listener d]\naddress = 127.0.0.1:6034\n"
                        "[listener e]\naddress = /tmp/s\n[listener f]\naddress = /tmp/s\n",
           "10: error: the address is taken by [listener main] in line 4\n"
           "12: error: the address is taken by [listener main] in line 4\n"
           "18: error: the address is taken by [listener e] in line 16\n");
}

static void the_doors_for_operators_need_addresses_of_their_own(void **state)
{
    (void)state;
    expect(MONITOR REST "[admin]\naddress = 127.0.0.1:6033\n[http]\naddress = 0.0.0.0:6033\n"
                        "[admin_user o]\npassword = p\n",
           "10: error: the address is taken by [listener main] in line 4\n"
           "12: error: the address is taken by [listener main] in line 4\n");
    expect(MONITOR REST "[listener b]\naddress = 127.0.0.1:6032\n[http]\naddress = 0.0.0.0:6032\n"
                        "[admin_user o]\npassword = p\n",
           "12: error: the address is taken by [listener b] in line 10\n"
           "0: error: the default address of [admin] is taken by [listener b] in line 10\n");
    expect(MONITOR REST "[http]\naddress = 127.0.0.1:6032\n[admin_user o]\npassword = p\n",
           "10: error: the address is taken by [admin], where it is by default\n");
    expect(MONITOR REST "[listener b]\naddress = 127.0.0.1:6032\n", ""); /* closed without them */
    expect(MONITOR REST "[listener b]\naddress = 127.0.0.1:6032\n[listener c]\n"
                        "address = 127.0.0.1:6080\n[admin]\naddress =\n[http]\naddress =\n",
           "");
    expect(MONITOR REST "[http]\naddress = /run/http.sock\n",
           "10: error: address: HTTP has no use for a unix socket\n");
}

static void an_admin_port_without_operators_is_worth_a_warning(void **state)
{
    (void)state;
    expect(MONITOR REST "[admin]\n",
           "9: warning: no [admin_user]: the admin port stays closed\n");
    expect(MONITOR REST "[admin]\naddress = \"\"\n", "");
}

static void operators_need_passwords(void **state)
{
    (void)state;
    expect(MONITOR REST "[admin_user b]\n[admin_user a]\npassword = \"\"\naccess = full\n"
                        "[admin_user c]\npassword = x\naccess = all\n",
           "9: error: [admin_user b] needs a password\n"
           "11: error: [admin_user a] needs a password\n"
           "15: error: access: \"all\" is not one of read, full\n");
}

static void operators_are_found_by_name(void **state)
{
    (void)state;
    struct config *c = good(REST "[admin_user zoe]\npassword=z\naccess=full\n"
                                 "[admin_user adam]\npassword=a\n");
    assert_int_equal(c->n_admin_users, 2);
    assert_int_equal(config_admin_user(c, BYTES_LITERAL("zoe"))->access, ADMIN_FULL);
    assert_int_equal(config_admin_user(c, BYTES_LITERAL("adam"))->access, ADMIN_READ);
    assert_string_equal(config_admin_user(c, BYTES_LITERAL("adam"))->secret.clear, "a");
    assert_null(config_admin_user(c, BYTES_LITERAL("u")));
    assert_null(config_user(c, BYTES_LITERAL("zoe")));
    config_drop(c);
}

static void one_address_is_one_server_of_a_group(void **state)
{
    (void)state;
    expect(MONITOR REST "[server b]\naddress = 127.0.0.1:3306\n",
           "10: error: the address is that of [server db1] in line 6\n");
}

static void a_user_without_a_password_is_worth_a_warning(void **state)
{
    (void)state;
    expect(MONITOR REST "[user b]\n[user a]\npassword = \"\"\n",
           "9: warning: [user b] has no password: anybody can log in as it\n"
           "11: warning: [user a] has no password: anybody can log in as it\n");
}

static void addresses_must_make_sense(void **state)
{
    char *told;
    (void)state;
    assert_null(parse(MONITOR "[listener l]\naddress = 127.0.0.1:99999\n"
                              "[server s]\naddress = db1.example:3306\n[user u]\npassword=x\n",
                      &told));
    assert_non_null(strstr(told, "5: error: address: "));
    assert_non_null(strstr(told, "7: error: address: "));
    free(told);
}

static void users_are_found_by_name_whatever_their_order(void **state)
{
    static const char *const names[] = { "zoe", "adam", "mia", "ad", "adams" };
    char text[1000] = "[server s]\naddress=127.0.0.1\n";
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "[user %s]\npassword=p%u\nserver_user=s%u\n", names[i], i, i);
    struct config *c = good(text);
    for (unsigned i = 0; i < 5; i++) {
        const struct user_config *u = config_user(c, bytes_str(names[i]));
        assert_non_null(u);
        assert_int_equal(u->secret.clear[1], '0' + i);
        assert_int_equal(u->server_user[1], '0' + i);
    }
    assert_null(config_user(c, BYTES_LITERAL("ada")));
    assert_null(config_user(c, BYTES_LITERAL("")));
    assert_null(config_user(c, BYTES_LITERAL("zoex")));
    assert_non_null(config_server(c, BYTES_LITERAL("s")));
    assert_null(config_server(c, BYTES_LITERAL("S")));
    config_drop(c);
}

static void load_balancers_are_named_by_their_networks(void **state)
{
    (void)state;
    struct config *c = good(MONITOR REST "[listener b]\naddress = 127.0.0.1:1\n"
                                         "proxy_protocol = 10.0.0.0/8,  ::1 localhost\n");
    assert_int_equal(c->listeners[0].n_proxies, 0);
    assert_int_equal(c->listeners[1].n_proxies, 3);
    assert_int_equal(c->listeners[1].proxies[0].bits, 8);
    assert_int_equal(c->listeners[1].proxies[1].family, AF_INET6);
    assert_int_equal(c->listeners[1].proxies[2].family, AF_UNIX);
    config_drop(c);
    expect(MONITOR "[listener main]\nproxy_protocol = 10.0.0.0/8, lb.example.com\n"
                   "[server db1]\naddress = 127.0.0.1\n[user u]\npassword = p\n",
           "5: error: proxy_protocol: \"lb.example.com\" is not a network (10.0.0.0/8), an IP "
           "address, localhost or *\n");
}

static void compression_is_a_matter_of_each_hop(void **state)
{
    (void)state;
    struct config *c = good(MONITOR REST "[listener b]\naddress = 127.0.0.1:1\ncompression = zlib,zstd\n"
                                         "[server far]\naddress = 127.0.0.2\ncompression = zstd\n");
    assert_int_equal(c->listeners[0].compression, COMPRESSION_OF_SERVERS);
    assert_int_equal(c->listeners[1].compression, COMPRESSION_ZLIB | COMPRESSION_ZSTD);
    assert_int_equal(c->servers[0].compression, COMPRESSION_OFF);
    assert_int_equal(c->servers[1].compression, COMPRESSION_ZSTD);
    assert_int_equal(c->servers[1].proxy_protocol, PROXY_OFF);
    config_drop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_configuration_draws_no_complaint),
        cmocka_unit_test(what_is_required_is_missed),
        cmocka_unit_test(emptiness_is_only_worth_a_warning),
        cmocka_unit_test(without_a_monitor_user_the_consequences_are_named),
        cmocka_unit_test(without_a_monitor_user_roles_must_be_told),
        cmocka_unit_test(two_primaries_of_a_group_are_an_error),
        cmocka_unit_test(replicas_only_are_worth_a_warning),
        cmocka_unit_test(groups_must_be_named_when_there_are_several),
        cmocka_unit_test(a_group_without_servers_is_an_error_where_clients_may_come),
        cmocka_unit_test(one_address_serves_one_listener),
        cmocka_unit_test(the_doors_for_operators_need_addresses_of_their_own),
        cmocka_unit_test(an_admin_port_without_operators_is_worth_a_warning),
        cmocka_unit_test(operators_need_passwords),
        cmocka_unit_test(operators_are_found_by_name),
        cmocka_unit_test(one_address_is_one_server_of_a_group),
        cmocka_unit_test(a_user_without_a_password_is_worth_a_warning),
        cmocka_unit_test(addresses_must_make_sense),
        cmocka_unit_test(users_are_found_by_name_whatever_their_order),
        cmocka_unit_test(load_balancers_are_named_by_their_networks),
        cmocka_unit_test(compression_is_a_matter_of_each_hop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
