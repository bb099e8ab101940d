/* What probes mean. */
#include "unit/servers/made_up.h"

#include <limits.h>

#define S 1000000ull

static enum health after(struct pulse *p, bool alive, uint64_t now_us)
{
    pulse_judge(p, alive, 2, 1, now_us);
    return p->health;
}

static void the_first_answer_makes_a_server_up(void **state)
{
    struct pulse p = PULSE_NONE;
    (void)state;
    assert_true(pulse_judge(&p, true, 2, 3, S));
    assert_int_equal(p.health, HEALTH_UP);
    assert_false(pulse_judge(&p, true, 2, 3, 2 * S));
}

static void it_takes_fall_failures_in_a_row_to_be_down(void **state)
{
    struct pulse p = PULSE_NONE;
    (void)state;
    assert_int_equal(after(&p, false, S), HEALTH_UNKNOWN);
    assert_int_equal(after(&p, true, 2 * S), HEALTH_UP);
    assert_int_equal(after(&p, false, 3 * S), HEALTH_UP);
    assert_int_equal(after(&p, true, 4 * S), HEALTH_UP);
    assert_int_equal(after(&p, false, 5 * S), HEALTH_UP);
    assert_int_equal(after(&p, false, 6 * S), HEALTH_DOWN);
}

static void a_server_that_never_answered_goes_down_too(void **state)
{
    struct pulse p = PULSE_NONE;
    (void)state;
    assert_int_equal(after(&p, false, S), HEALTH_UNKNOWN);
    assert_int_equal(after(&p, false, 2 * S), HEALTH_DOWN);
    assert_int_equal(after(&p, true, 3 * S), HEALTH_UP);
}

static void it_takes_rise_answers_in_a_row_to_be_up_again(void **state)
{
    struct pulse p = PULSE_NONE;
    (void)state;
    pulse_judge(&p, false, 1, 3, S);
    assert_int_equal(p.health, HEALTH_DOWN);
    assert_false(pulse_judge(&p, true, 1, 3, 2 * S));
    assert_false(pulse_judge(&p, true, 1, 3, 3 * S));
    assert_false(pulse_judge(&p, false, 1, 3, 4 * S));
    assert_false(pulse_judge(&p, true, 1, 3, 5 * S));
    assert_false(pulse_judge(&p, true, 1, 3, 6 * S));
    assert_true(pulse_judge(&p, true, 1, 3, 7 * S));
}

/* Down by one failure, then count the answers until it is up again. */
static unsigned answers_needed(struct pulse *p, uint64_t *now)
{
    unsigned n = 1;
    pulse_judge(p, false, 1, 1, *now += S);
    assert_int_equal(p->health, HEALTH_DOWN);
    while (!pulse_judge(p, true, 1, 1, *now += S))
        n++;
    return n;
}

static void flapping_asks_for_more_patience(void **state)
{
    struct pulse p = PULSE_NONE;
    uint64_t now = S;
    (void)state;
    pulse_judge(&p, true, 1, 1, now);
    assert_int_equal(answers_needed(&p, &now), 2);
    assert_int_equal(answers_needed(&p, &now), 4);
    assert_int_equal(answers_needed(&p, &now), 8);
    assert_int_equal(answers_needed(&p, &now), 8);
}

static void a_long_time_up_is_forgiving(void **state)
{
    struct pulse p = PULSE_NONE;
    uint64_t now = S;
    (void)state;
    pulse_judge(&p, true, 1, 1, now);
    assert_int_equal(answers_needed(&p, &now), 2);
    pulse_judge(&p, true, 1, 1, now += 299 * S);
    assert_int_equal(p.patience, 2);
    pulse_judge(&p, true, 1, 1, now += S);
    assert_int_equal(p.patience, 1);
    assert_int_equal(answers_needed(&p, &now), 1);
}

static void lag_has_a_limit_and_a_way_back(void **state)
{
    (void)state;
    assert_false(lag_judge(false, true, 10000, 10000));
    assert_true(lag_judge(false, true, 10001, 10000));
    assert_true(lag_judge(true, true, 8000, 10000));
    assert_false(lag_judge(true, true, 7999, 10000));
    assert_true(lag_judge(false, true, UINT32_MAX, 10000));
    assert_false(lag_judge(false, true, UINT32_MAX, 0));
    assert_false(lag_judge(false, false, UINT32_MAX, 10000));
    assert_false(lag_judge(true, true, 0, 1));
}

/* ---- roles ------------------------------------------------------------------------------ */

static const unsigned three[] = { 0, 1, 2 };

static unsigned primary_of(struct made_up *m, unsigned current, bool *split)
{
    const struct server *s = current < m->n ? m->states[current].server : NULL;
    return primary_judge(m->states, three, 3, s, split);
}

static void the_writable_server_is_the_primary(void **state)
{
    struct made_up m;
    bool split;
    (void)state;
    make_up(&m, 3, "");
    assert_int_equal(primary_of(&m, UINT_MAX, &split), 0);
    m.states[0].writable = false, m.states[2].writable = true;
    assert_int_equal(primary_of(&m, 0, &split), 2);
    assert_false(split);
    m.states[2].health = HEALTH_DOWN;
    assert_int_equal(primary_of(&m, 2, &split), UINT_MAX);
    assert_false(split);
    unmake(&m);
}

static void without_a_writable_server_there_is_no_primary(void **state)
{
    struct made_up m;
    bool split;
    (void)state;
    make_up(&m, 3, "");
    m.states[0].writable = false;
    assert_int_equal(primary_of(&m, 0, &split), UINT_MAX);
    unmake(&m);
}

static void of_several_writable_one_that_does_not_replicate_is_preferred(void **state)
{
    struct made_up m;
    bool split;
    (void)state;
    make_up(&m, 3, "");
    m.states[1].writable = true;               /* a replica that forgot read_only */
    assert_int_equal(primary_of(&m, 1, &split), 0);
    assert_false(split);
    unmake(&m);
}

static void of_equal_rivals_the_current_primary_stays(void **state)
{
    struct made_up m;
    bool split;
    (void)state;
    make_up(&m, 3, "");
    m.states[2].writable = true, m.states[2].replicates = false;
    assert_int_equal(primary_of(&m, 2, &split), 2);
    assert_true(split);
    assert_int_equal(primary_of(&m, UINT_MAX, &split), 0);
    assert_true(split);
    assert_int_equal(primary_of(&m, 1, &split), 0);
    unmake(&m);
}

static void the_file_wins_over_what_servers_say(void **state)
{
    struct made_up m;
    bool split;
    (void)state;
    make_up(&m, 3, "");
    m.states[1].role = SERVER_PRIMARY, m.states[1].health = HEALTH_DOWN;
    assert_int_equal(primary_of(&m, 0, &split), 1);
    m.states[1].role = SERVER_AUTO;
    m.states[0].role = SERVER_REPLICA;
    assert_int_equal(primary_of(&m, 0, &split), UINT_MAX);
    unmake(&m);
}

static void the_only_one_left_is_the_primary_as_long_as_nobody_could_ask_it(void **state)
{
    struct made_up m;
    bool split;
    (void)state;
    make_up(&m, 3, "");
    m.states[0].writable = false, m.states[0].max_allowed_packet = 0;
    m.states[1].role = m.states[2].role = SERVER_REPLICA;
    assert_int_equal(primary_of(&m, UINT_MAX, &split), 0);
    m.states[1].role = SERVER_AUTO;
    assert_int_equal(primary_of(&m, UINT_MAX, &split), UINT_MAX);
    m.states[1].role = SERVER_REPLICA;
    m.states[0].max_allowed_packet = 1024;     /* asked: it is read-only */
    assert_int_equal(primary_of(&m, UINT_MAX, &split), UINT_MAX);
    unmake(&m);
}

static void a_primary_out_of_service_stays_it_only_without_a_rival(void **state)
{
    static const enum operator_state out[] = { OPERATED_DRAIN, OPERATED_DISABLED };
    bool split;
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(out); i++) {
        struct made_up m;
        make_up(&m, 2, "");
        m.states[0].operated = out[i];
        assert_int_equal(primary_of(&m, 0, &split), 0);
        m.states[1].writable = true;           /* and still replicates */
        assert_int_equal(primary_of(&m, 0, &split), 1);
        assert_false(split);
        m.states[0].operated = OPERATED_NORMAL;
        assert_int_equal(primary_of(&m, 1, &split), 0);
        unmake(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_answer_makes_a_server_up),
        cmocka_unit_test(it_takes_fall_failures_in_a_row_to_be_down),
        cmocka_unit_test(a_server_that_never_answered_goes_down_too),
        cmocka_unit_test(it_takes_rise_answers_in_a_row_to_be_up_again),
        cmocka_unit_test(flapping_asks_for_more_patience),
        cmocka_unit_test(a_long_time_up_is_forgiving),
        cmocka_unit_test(lag_has_a_limit_and_a_way_back),
        cmocka_unit_test(the_writable_server_is_the_primary),
        cmocka_unit_test(without_a_writable_server_there_is_no_primary),
        cmocka_unit_test(of_several_writable_one_that_does_not_replicate_is_preferred),
        cmocka_unit_test(of_equal_rivals_the_current_primary_stays),
        cmocka_unit_test(a_primary_out_of_service_stays_it_only_without_a_rival),
        cmocka_unit_test(the_file_wins_over_what_servers_say),
        cmocka_unit_test(the_only_one_left_is_the_primary_as_long_as_nobody_could_ask_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
