#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t choices[4];
    struct fault why = FAULT_NONE;
    size_t at = SIZE_MAX;
    if (!fuzz_choices(&data, &size, choices))
        return 0;
    struct bytes payload = bytes_of(data, size);
    if (query_read(payload, CAP_QUERY_ATTRIBUTES, &at, &why)) {
        must(at >= 3 && at <= size);
        fuzz_touch(bytes_skip(payload, at));
    } else {
        must(why.blame == BLAME_CLIENT && why.code == ER_MALFORMED_PACKET);
    }
    return 0;
}
