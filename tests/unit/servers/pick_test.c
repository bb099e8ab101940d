/* Which server serves a command. */
#include "unit/servers/made_up.h"

enum { ROUNDS = 100000 };

static uint64_t seed = 1;

/* The number of the server picked (1 = db1), 0 for none. */
static unsigned pick(struct made_up *m, enum pick_role role)
{
    struct fault why;
    struct server *s =
        topology_pick(m->topology, 0, role, next_random(&seed), NULL, 0, &why);
    return s != NULL ? (unsigned)(s->name[2] - '0') : 0;
}

static void tally(struct made_up *m, unsigned counts[MADE_UP_SERVERS + 1])
{
    memset(counts, 0, (MADE_UP_SERVERS + 1) * sizeof(*counts));
    rebuild(m);
    for (unsigned i = 0; i < ROUNDS; i++)
        counts[pick(m, PICK_REPLICA)]++;
}

static void about(unsigned count, unsigned percent)
{
    unsigned expected = ROUNDS / 100 * percent;
    assert_in_range(count, expected - ROUNDS / 100, expected + ROUNDS / 100);
}

static void each_role_gets_its_servers(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 2, "");
    rebuild(&m);
    assert_int_equal(pick(&m, PICK_PRIMARY), 1);
    assert_int_equal(pick(&m, PICK_REPLICA), 2);
    assert_int_equal(pick(&m, PICK_ANY), 1);
    unmake(&m);
}

static void without_a_replica_the_primary_reads_where_the_group_allows(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 2, "");
    m.states[1].health = HEALTH_DOWN;
    rebuild(&m);
    assert_int_equal(pick(&m, PICK_REPLICA), 1);
    unmake(&m);
    make_up(&m, 2, "no_replica = error");
    m.states[1].health = HEALTH_DOWN;
    rebuild(&m);
    assert_int_equal(pick(&m, PICK_REPLICA), 0);
    assert_int_equal(pick(&m, PICK_ANY), 1);
    unmake(&m);
}

static void a_group_decides_who_reads(void **state)
{
    struct made_up m;
    unsigned counts[MADE_UP_SERVERS + 1];
    (void)state;
    make_up(&m, 3, "reads = all\nbalance = weighted");
    tally(&m, counts);
    about(counts[1], 33);
    about(counts[2], 33);
    about(counts[3], 33);
    unmake(&m);
    make_up(&m, 3, "reads = primary\nno_replica = error");
    tally(&m, counts);
    assert_int_equal(counts[1], ROUNDS);
    unmake(&m);
}

static void weights_share_the_reads(void **state)
{
    struct made_up m;
    unsigned counts[MADE_UP_SERVERS + 1];
    (void)state;
    make_up(&m, 4, "balance = weighted");
    m.states[1].weight = 10, m.states[2].weight = 30, m.states[3].weight = 60;
    tally(&m, counts);
    assert_int_equal(counts[1], 0);
    about(counts[2], 10);
    about(counts[3], 30);
    about(counts[4], 60);
    unmake(&m);
}

static void weight_zero_serves_only_when_nothing_else_can(void **state)
{
    static const char *const balances[] = { "weighted", "least-outstanding", "round-robin",
                                            "first-available" };
    unsigned counts[MADE_UP_SERVERS + 1];
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(balances); i++) {
        struct made_up m;
        char group[64];
        snprintf(group, sizeof(group), "balance = %s", balances[i]);
        make_up(&m, 3, group);
        m.states[1].weight = 0;
        tally(&m, counts);
        assert_int_equal(counts[3], ROUNDS);
        m.states[2].health = HEALTH_DOWN;
        tally(&m, counts);
        assert_int_equal(counts[2], ROUNDS);
        unmake(&m);
    }
}

static void round_robin_takes_turns(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 4, "balance = round-robin");
    rebuild(&m);
    unsigned first = pick(&m, PICK_REPLICA), second = pick(&m, PICK_REPLICA);
    unsigned third = pick(&m, PICK_REPLICA);
    assert_int_equal(first + second + third, 2 + 3 + 4);
    assert_int_not_equal(first, second);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(pick(&m, PICK_REPLICA), first);
        assert_int_equal(pick(&m, PICK_REPLICA), second);
        assert_int_equal(pick(&m, PICK_REPLICA), third);
    }
    unmake(&m);
}

static void first_available_is_the_order_of_the_file(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 4, "balance = first-available");
    rebuild(&m);
    assert_int_equal(pick(&m, PICK_REPLICA), 2);
    m.states[1].health = HEALTH_DOWN;
    rebuild(&m);
    assert_int_equal(pick(&m, PICK_REPLICA), 3);
    unmake(&m);
}

static void the_less_busy_of_two_is_taken(void **state)
{
    struct made_up m;
    unsigned counts[MADE_UP_SERVERS + 1];
    (void)state;
    make_up(&m, 3, "");
    atomic_store(&m.states[1].server->in_use, 3);
    atomic_store(&m.states[2].server->in_use, 2);
    tally(&m, counts);
    assert_int_equal(counts[3], ROUNDS);
    m.states[1].weight = 200;                  /* (3 + 1) / 200 < (2 + 1) / 100 */
    tally(&m, counts);
    assert_int_equal(counts[2], ROUNDS);
    unmake(&m);
}

static void equally_busy_servers_share_and_the_busiest_is_spared(void **state)
{
    struct made_up m;
    unsigned counts[MADE_UP_SERVERS + 1];
    (void)state;
    make_up(&m, 4, "");
    tally(&m, counts);
    about(counts[2], 33);
    about(counts[3], 33);
    about(counts[4], 33);
    atomic_store(&m.states[1].server->in_use, 1);
    tally(&m, counts);
    assert_int_equal(counts[2], 0);
    about(counts[3], 50);
    about(counts[4], 50);
    unmake(&m);
}

static void leases_level_out(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 5, "");
    rebuild(&m);
    for (unsigned i = 0; i < 4000; i++) {
        struct server *s =
            topology_pick(m.topology, 0, PICK_REPLICA, next_random(&seed), NULL, 0, NULL);
        atomic_fetch_add(&s->in_use, 1);
    }
    for (unsigned i = 1; i < 5; i++)
        assert_in_range(atomic_load(&m.states[i].server->in_use), 990, 1010);
    unmake(&m);
}

static void a_server_known_to_be_up_is_taken_before_one_never_probed(void **state)
{
    struct made_up m;
    unsigned counts[MADE_UP_SERVERS + 1];
    (void)state;
    make_up(&m, 3, "");
    m.states[1].health = HEALTH_UNKNOWN;
    tally(&m, counts);
    assert_int_equal(counts[3], ROUNDS);
    m.states[2].health = HEALTH_DOWN;
    tally(&m, counts);
    assert_int_equal(counts[2], ROUNDS);
    unmake(&m);
}

static void the_avoided_are_passed_over(void **state)
{
    struct made_up m;
    struct fault why;
    (void)state;
    make_up(&m, 3, "");
    rebuild(&m);
    struct server *avoid[] = { m.states[2].server, m.states[0].server, m.states[1].server };
    for (unsigned i = 0; i < 100; i++)
        assert_ptr_equal(topology_pick(m.topology, 0, PICK_REPLICA, next_random(&seed), avoid, 1,
                                       &why),
                         m.states[1].server);
    assert_null(topology_pick(m.topology, 0, PICK_PRIMARY, 0, avoid, 2, &why));
    assert_string_equal(why.text, "volvox: no usable primary in group main (db1: just failed; "
                                  "db2: read-only; db3: read-only)");
    assert_null(topology_pick(m.topology, 0, PICK_ANY, 0, avoid, 3, &why));
    unmake(&m);
}

static void a_draining_server_gets_nothing(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 3, "");
    rebuild(&m);
    atomic_store(&m.states[1].server->draining, true);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(pick(&m, PICK_REPLICA), 3);
    atomic_store(&m.states[0].server->draining, true);
    assert_int_equal(pick(&m, PICK_PRIMARY), 0);
    assert_string_equal(topology_objection(m.topology, 0, PICK_PRIMARY), "draining");
    unmake(&m);
}

static void a_lagging_replica_gets_no_reads(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 2, "");
    m.states[1].lag_ms = 20000;
    rebuild(&m);
    assert_int_equal(pick(&m, PICK_REPLICA), 1);
    assert_string_equal(topology_objection(m.topology, 1, PICK_REPLICA), "too far behind");
    m.states[1].lag_known = false;             /* nobody may see it */
    rebuild(&m);
    assert_int_equal(pick(&m, PICK_REPLICA), 2);
    unmake(&m);
}

static void the_loser_of_a_split_brain_gets_nothing(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 2, "");
    m.states[1].writable = true, m.states[1].replicates = false;
    rebuild(&m);
    assert_int_equal(pick(&m, PICK_REPLICA), 1);
    assert_int_equal(pick(&m, PICK_PRIMARY), 1);
    assert_string_equal(topology_objection(m.topology, 1, PICK_REPLICA),
                        "writable, but not the primary");
    m.states[1].replicates = true;             /* a replica that forgot read_only */
    rebuild(&m);
    assert_int_equal(pick(&m, PICK_REPLICA), 2);
    unmake(&m);
}

static void before_the_first_probe_any_server_does_for_what_any_can_answer(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 2, "");
    for (unsigned i = 0; i < 2; i++) {
        m.states[i].health = HEALTH_UNKNOWN;
        m.states[i].writable = false;
        m.states[i].max_allowed_packet = 0;
    }
    rebuild(&m);
    assert_int_equal(pick(&m, PICK_PRIMARY), 0);
    assert_int_equal(pick(&m, PICK_REPLICA), 0);
    assert_int_equal(pick(&m, PICK_ANY), 1);
    m.states[0].health = HEALTH_DOWN;
    rebuild(&m);
    assert_int_equal(pick(&m, PICK_ANY), 2);
    unmake(&m);
}

static void a_fault_says_what_is_wrong_with_whom(void **state)
{
    struct made_up m;
    struct fault why = FAULT_NONE;
    (void)state;
    make_up(&m, 2, "no_replica = error");
    m.states[0].health = m.states[1].health = HEALTH_DOWN;
    str_copy(m.states[0].why, sizeof(m.states[0].why), bytes_str("connection refused"));
    rebuild(&m);
    assert_null(topology_pick(m.topology, 0, PICK_PRIMARY, 0, NULL, 0, &why));
    assert_int_equal(why.blame, BLAME_SERVER);
    assert_int_equal(why.code, 1105);
    assert_string_equal(why.sqlstate, "08S01");
    assert_string_equal(why.text, "volvox: no usable primary in group main "
                                  "(db1: down: connection refused; db2: down)");
    m.states[0].health = HEALTH_UP;
    rebuild(&m);
    assert_null(topology_pick(m.topology, 0, PICK_REPLICA, 0, NULL, 0, &why));
    assert_string_equal(why.text, "volvox: no usable replica in group main "
                                  "(db1: serves no reads; db2: down)");
    assert_null(topology_pick(m.topology, 0, PICK_REPLICA, 0, NULL, 0, NULL));
    unmake(&m);
}

static void a_fault_of_many_servers_is_cut(void **state)
{
    struct made_up m;
    struct fault why = FAULT_NONE;
    (void)state;
    make_up(&m, MADE_UP_SERVERS, "");
    for (unsigned i = 0; i < MADE_UP_SERVERS; i++) {
        m.states[i].health = HEALTH_DOWN;
        memset(m.states[i].why, 'x', sizeof(m.states[i].why) - 1);
    }
    rebuild(&m);
    assert_null(topology_pick(m.topology, 0, PICK_ANY, 0, NULL, 0, &why));
    assert_in_range(strlen(why.text), 200, sizeof(why.text) - 1);
    unmake(&m);
}

static void what_is_picked_has_no_objection(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 4, "reads = all");
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t r = next_random(&seed);
        for (unsigned k = 0; k < 4; k++, r >>= 12) {
            struct server_state *s = &m.states[k];
            s->health = (enum health)(r % 3);
            s->writable = r >> 2 & 1, s->replicates = r >> 3 & 1, s->lag_known = r >> 4 & 1;
            s->lag_ms = r >> 5 & 1 ? 50000 : 0, s->weight = r >> 6 & 1 ? 10 : 0;
            s->role = r >> 7 & 1 ? SERVER_REPLICA : SERVER_AUTO;
            s->max_allowed_packet = r >> 8 & 1;
            atomic_store(&s->server->draining, (r >> 9 & 3) == 0);
        }
        rebuild(&m);
        for (enum pick_role role = PICK_PRIMARY; role <= PICK_ANY; role++) {
            unsigned n = pick(&m, role);
            if (n > 0)
                assert_null(topology_objection(m.topology, n - 1, role));
            else if (role != PICK_PRIMARY)
                for (unsigned k = 0; k < 4; k++)
                    assert_non_null(topology_objection(m.topology, k, role));
        }
    }
    unmake(&m);
}

static void objections_tell_what_the_operator_said(void **state)
{
    struct made_up m;
    struct fault why = FAULT_NONE;
    (void)state;
    make_up(&m, 3, "no_replica=error\n");
    m.states[0].operated = OPERATED_DRAIN;
    m.states[1].operated = OPERATED_DISABLED;
    m.states[1].health = m.states[2].health = HEALTH_DOWN;
    str_copy(m.states[1].why, sizeof(m.states[1].why), bytes_str("as it was"));
    for (unsigned i = 0; i < 2; i++)
        atomic_store(&m.states[i].server->draining, true);
    rebuild(&m);
    assert_string_equal(topology_objection(m.topology, 0, PICK_PRIMARY), "draining");
    assert_string_equal(topology_objection(m.topology, 1, PICK_REPLICA), "disabled");
    assert_null(topology_pick(m.topology, 0, PICK_REPLICA, 1, NULL, 0, &why));
    assert_string_equal(why.text, "volvox: no usable replica in group main "
                                  "(db1: draining; db2: disabled; db3: down)");
    unmake(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_role_gets_its_servers),
        cmocka_unit_test(without_a_replica_the_primary_reads_where_the_group_allows),
        cmocka_unit_test(a_group_decides_who_reads),
        cmocka_unit_test(weights_share_the_reads),
        cmocka_unit_test(weight_zero_serves_only_when_nothing_else_can),
        cmocka_unit_test(round_robin_takes_turns),
        cmocka_unit_test(first_available_is_the_order_of_the_file),
        cmocka_unit_test(the_less_busy_of_two_is_taken),
        cmocka_unit_test(equally_busy_servers_share_and_the_busiest_is_spared),
        cmocka_unit_test(leases_level_out),
        cmocka_unit_test(a_server_known_to_be_up_is_taken_before_one_never_probed),
        cmocka_unit_test(the_avoided_are_passed_over),
        cmocka_unit_test(a_draining_server_gets_nothing),
        cmocka_unit_test(objections_tell_what_the_operator_said),
        cmocka_unit_test(a_lagging_replica_gets_no_reads),
        cmocka_unit_test(the_loser_of_a_split_brain_gets_nothing),
        cmocka_unit_test(before_the_first_probe_any_server_does_for_what_any_can_answer),
        cmocka_unit_test(a_fault_says_what_is_wrong_with_whom),
        cmocka_unit_test(a_fault_of_many_servers_is_cut),
        cmocka_unit_test(what_is_picked_has_no_objection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
