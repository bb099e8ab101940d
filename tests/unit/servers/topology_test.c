/* The snapshot: what it says of groups, and that it lives as long as it is used. */
#include "unit/servers/made_up.h"

#include <limits.h>
#include <unistd.h>

static void a_group_speaks_as_its_primary(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 3, "");
    str_copy(m.states[0].version, sizeof(m.states[0].version), bytes_str("9.7.4"));
    m.states[0].version_number = 90704, m.states[0].collation = 255;
    m.states[1].collation = 8, m.states[1].version_number = 80400;
    const struct group_state *g = rebuild(&m);
    assert_string_equal(g->version, "9.7.4");
    assert_int_equal(g->version_number, 90704);
    assert_int_equal(g->collation, 255);
    m.states[0].writable = false, m.states[1].writable = true;
    g = rebuild(&m);
    assert_string_equal(g->version, "8.4.0");
    assert_int_equal(g->collation, 8);
    unmake(&m);
}

static void without_a_primary_any_that_answered_will_do(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 2, "");
    m.states[0].version[0] = '\0', m.states[0].writable = false;
    const struct group_state *g = rebuild(&m);
    assert_int_equal(g->primary, UINT_MAX);
    assert_string_equal(g->version, "8.4.0");
    m.states[1].version[0] = '\0';
    g = rebuild(&m);
    assert_string_equal(g->version, "");
    assert_int_equal(g->caps, 0);
    unmake(&m);
}

static void capabilities_are_those_all_have_in_common(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 3, "");
    m.states[0].caps = CAP_SSL | CAP_PROTOCOL_41 | CAP_DEPRECATE_EOF;
    m.states[1].caps = CAP_PROTOCOL_41 | CAP_DEPRECATE_EOF | CAP_ZSTD;
    m.states[2].caps = 0, m.states[2].version[0] = '\0';      /* never answered */
    m.states[0].caps |= 0x1dull << 32, m.states[1].caps |= 0x14ull << 32;
    const struct group_state *g = rebuild(&m);
    assert_int_equal(g->caps, CAP_PROTOCOL_41 | CAP_DEPRECATE_EOF | 0x14ull << 32);
    unmake(&m);
}

static void the_primary_stays_over_rivals_from_snapshot_to_snapshot(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 3, "");
    m.states[0].writable = false;
    m.states[2].writable = true, m.states[2].replicates = false;
    assert_int_equal(rebuild(&m)->primary, 2);
    m.states[0].writable = true;               /* the old one comes back */
    const struct group_state *g = rebuild(&m);
    assert_int_equal(g->primary, 2);
    assert_true(g->split_brain);
    assert_int_equal(m.topology->number, 2);
    unmake(&m);
}

static void lag_is_judged_over_snapshots(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 2, "max_lag = 10s");
    m.states[1].lag_ms = 11000;
    rebuild(&m);
    assert_true(m.topology->servers[1].lagging);
    m.states[1].lag_ms = 9000;
    rebuild(&m);
    assert_true(m.topology->servers[1].lagging);
    m.states[1].lag_ms = 7000;
    rebuild(&m);
    assert_false(m.topology->servers[1].lagging);
    m.states[1].lag_ms = 9000;
    rebuild(&m);
    assert_false(m.topology->servers[1].lagging);
    unmake(&m);
}

static void a_replica_cut_off_is_fresh_as_long_as_there_is_no_primary(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 2, "");
    m.states[1].is_cut_off = true, m.states[1].lag_ms = 60000;
    rebuild(&m);
    assert_true(m.topology->servers[1].lagging);
    m.states[0].health = HEALTH_DOWN;
    rebuild(&m);
    assert_false(m.topology->servers[1].lagging);
    m.states[1].is_cut_off = false, m.states[1].lag_ms = UINT32_MAX;
    rebuild(&m);
    assert_true(m.topology->servers[1].lagging);
    unmake(&m);
}

static void servers_are_found_by_name_in_their_group(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 2, "");
    rebuild(&m);
    assert_ptr_equal(topology_server(m.topology, BYTES_LITERAL("db2"), 0),
                     &m.topology->servers[1]);
    assert_null(topology_server(m.topology, BYTES_LITERAL("db3"), 0));
    assert_null(topology_server(m.topology, BYTES_LITERAL("db2"), 1));
    unmake(&m);
}

static void a_snapshot_holds_what_it_shows(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 2, "");
    rebuild(&m);
    struct topology *t = topology_take(m.topology);
    unmake(&m);
    assert_string_equal(t->servers[1].server->name, "db2");
    assert_string_equal(t->groups[0].name, "main");
    topology_drop(t);
}

static atomic_uint swaps;

static void swapped(struct worker *w, const struct topology *now)
{
    assert_ptr_equal(worker_topology(w), now);
    swaps++;
}

static void workers_swap_to_what_is_published(void **state)
{
    struct made_up m;
    struct worker *w = worker_new(0);
    (void)state;
    make_up(&m, 2, "");
    rebuild(&m);
    topology_on_swap(swapped);
    topology_worker_init(w, m.topology);
    worker_start(w);
    rebuild(&m);
    topology_publish(m.topology, &w, 1);
    for (unsigned i = 0; i < 5000 && swaps == 0; i++)
        usleep(1000);
    worker_stop(w);
    worker_join(w);
    assert_int_equal(swaps, 1);
    assert_ptr_equal(worker_topology(w), m.topology);
    topology_publish(m.topology, &w, 1);                  /* stopped: takes nothing */
    assert_int_equal(atomic_load(&m.topology->ref.count), 2);
    topology_worker_release(w);
    worker_free(w);
    unmake(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_speaks_as_its_primary),
        cmocka_unit_test(without_a_primary_any_that_answered_will_do),
        cmocka_unit_test(capabilities_are_those_all_have_in_common),
        cmocka_unit_test(the_primary_stays_over_rivals_from_snapshot_to_snapshot),
        cmocka_unit_test(lag_is_judged_over_snapshots),
        cmocka_unit_test(a_replica_cut_off_is_fresh_as_long_as_there_is_no_primary),
        cmocka_unit_test(servers_are_found_by_name_in_their_group),
        cmocka_unit_test(a_snapshot_holds_what_it_shows),
        cmocka_unit_test(workers_swap_to_what_is_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
