#include "base/hash.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

/* SipHash-1-3 under a key of zeros, as another implementation (CPython's) says. */
static void without_a_seed_the_values_are_those_of_siphash_1_3(void **state)
{
    (void)state;
    uint8_t counting[64];
    for (unsigned i = 0; i < sizeof(counting); i++)
        counting[i] = (uint8_t)i;
    assert_int_equal(hash_bytes(bytes_str("abcdefghi")), 0xf89b34a3d11eb6e5);
    assert_int_equal(hash_bytes(bytes_str("The quick brown fox jumps over the lazy dog")),
                     0x8df676d3d00c451e);
    assert_int_equal(hash_bytes(bytes_of(counting, sizeof(counting))), 0x75e05fd5bbc870c6);
}

static void the_place_in_memory_does_not_matter(void **state)
{
    (void)state;
    char shifted[32] = { 0 };
    for (size_t i = 0; i < 8; i++) {
        memcpy(shifted + i, "abcdefghi", 9);
        assert_int_equal(hash_bytes(bytes_of(shifted + i, 9)), hash_bytes(bytes_str("abcdefghi")));
    }
    assert_int_equal(hash_bytes(BYTES_NONE), hash_bytes(bytes_str("")));
}

static void a_seed_changes_every_value(void **state)
{
    (void)state;
    uint64_t before = hash_bytes(bytes_str("key"));
    hash_seed();
    uint64_t seeded = hash_bytes(bytes_str("key"));
    assert_int_not_equal(seeded, before);
    assert_int_equal(hash_bytes(bytes_str("key")), seeded);
    hash_seed();
    assert_int_not_equal(hash_bytes(bytes_str("key")), seeded);
}

/* How many places of 4096 the hashes of 4096 keys take up; by chance it would be 2589. */
static unsigned places_taken(unsigned shift)
{
    static bool taken[4096];
    unsigned n = 0;
    memset(taken, 0, sizeof(taken));
    for (uint64_t i = 1; i <= ARRAY_LEN(taken); i++) {
        uint64_t word = i << shift;
        bool *place = &taken[hash_bytes(bytes_of(&word, sizeof(word))) % ARRAY_LEN(taken)];
        n += !*place;
        *place = true;
    }
    return n;
}

static void keys_of_a_word_spread(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift <= 12; shift++)
        assert_in_range(places_taken(shift), 2300, 4096);
    assert_int_not_equal(hash_bytes(bytes_of("a", 1)), hash_bytes(bytes_of("a\0", 2)));
}

int main(void)
{
    /* In this order: the last one seeds. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_seed_the_values_are_those_of_siphash_1_3),
        cmocka_unit_test(the_place_in_memory_does_not_matter),
        cmocka_unit_test(keys_of_a_word_spread),
        cmocka_unit_test(a_seed_changes_every_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
