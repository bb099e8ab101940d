#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes plugin;
    uint8_t scramble[SCRAMBLE_BYTES], again[SCRAMBLE_BYTES];
    struct fault why = FAULT_NONE;
    if (!auth_switch_read(bytes_of(data, size), &plugin, scramble, &why)) {
        must(why.blame == BLAME_SERVER);
        return 0;
    }
    fuzz_touch(plugin);
    enum auth_plugin p = auth_plugin_by_name(plugin);
    if (p == AUTH_UNKNOWN)
        return 0;
    struct buf out = { 0 };
    uint8_t seq = 0;
    auth_switch_write(&out, &seq, p, scramble);
    must(auth_switch_read(fuzz_payload(&out), &plugin, again, &why));
    must(auth_plugin_by_name(plugin) == p);
    must(memcmp(scramble, again, SCRAMBLE_BYTES) == 0);
    buf_release(&out);
    return 0;
}
