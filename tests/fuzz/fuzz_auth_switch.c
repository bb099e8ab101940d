#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes plugin, given, again;
    struct fault why = FAULT_NONE;
    if (!auth_switch_read(bytes_of(data, size), &plugin, &given, &why)) {
        must(why.blame == BLAME_SERVER);
        return 0;
    }
    fuzz_touch(plugin);
    fuzz_touch(given);
    struct buf out = { 0 };
    uint8_t seq = 0;
    auth_switch_write(&out, &seq, plugin, given);
    struct bytes name;
    must(auth_switch_read(fuzz_payload(&out), &name, &again, &why));
    must(bytes_equal(name, plugin) && bytes_equal(again, given));
    buf_release(&out);
    return 0;
}
