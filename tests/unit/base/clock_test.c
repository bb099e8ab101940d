#include "base/clock.h"

#include <unistd.h>

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

static void time_passes_in_microseconds(void **state)
{
    (void)state;
    uint64_t before = clock_us(), wall_before = clock_wall_us();
    usleep(20000);
    /* A loaded machine may sleep much longer, never shorter. */
    assert_in_range(clock_us() - before, 20000, 10000000);
    assert_in_range(clock_wall_us() - wall_before, 19000, 10000000);
}

static void the_wall_clock_counts_from_1970(void **state)
{
    (void)state;
    uint64_t seconds = clock_wall_us() / 1000000;
    uint64_t now = (uint64_t)time(NULL);
    assert_in_range(seconds, now - 1, now + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_passes_in_microseconds),
        cmocka_unit_test(the_wall_clock_counts_from_1970),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
