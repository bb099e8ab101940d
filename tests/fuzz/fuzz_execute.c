#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t choices[4];
    struct execute e;
    struct prepared p;
    struct fault why = FAULT_NONE;
    if (!fuzz_choices(&data, &size, choices))
        return 0;
    unsigned params = choices[0] | (unsigned)choices[1] << 8;
    prepared_read(bytes_of(data, size), &p, &why);
    if (!execute_read(bytes_of(data, size), params, &e, &why)) {
        must(why.blame == BLAME_CLIENT);
        return 0;
    }
    fuzz_touch(e.types);
    must(e.types.len == (e.types_sent ? 2 * params : 0));
    must((e.bound_flag_at == 0) == (params == 0));
    must(e.bound_flag_at < size);
    if (params > 0)
        must((data[e.bound_flag_at] != 0) == e.types_sent);
    return 0;
}
