#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct greeting g, again;
    struct fault why = FAULT_NONE;
    if (!greeting_read(bytes_of(data, size), &g, &why)) {
        must(why.blame == BLAME_SERVER);
        return 0;
    }
    fuzz_touch(g.version);
    fuzz_touch(g.plugin);
    must(version_number(g.version, greeting_is_mariadb(&g)) < 1000000);

    /* A plugin's name read up to the end may hold a NUL only behind itself. */
    struct buf out = { 0 };
    uint8_t seq = 0;
    greeting_write(&out, &seq, &g);
    must(greeting_read(fuzz_payload(&out), &again, &why));
    must(bytes_equal(g.version, again.version) && bytes_equal(g.plugin, again.plugin));
    must(g.caps == again.caps);
    must(g.thread_id == again.thread_id && g.status == again.status);
    must(memcmp(g.scramble, again.scramble, SCRAMBLE_BYTES) == 0);
    buf_release(&out);
    return 0;
}
