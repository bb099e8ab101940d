#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t choices[4];
    struct change_user u;
    struct fault why = FAULT_NONE;
    struct bytes name, value;
    if (!fuzz_choices(&data, &size, choices))
        return 0;
    uint32_t caps = CAP_PROTOCOL_41 | (choices[0] & 1 ? CAP_SECURE_CONNECTION : 0) |
                    (choices[0] & 2 ? CAP_PLUGIN_AUTH : 0) |
                    (choices[0] & 4 ? CAP_CONNECT_ATTRS : 0);
    if (!change_user_read(bytes_of(data, size), caps, &u, &why)) {
        must(why.blame == BLAME_CLIENT);
        return 0;
    }
    must(u.user.len + u.auth.len + u.schema.len + u.plugin.len + u.attributes.len <= size);
    fuzz_touch(u.user);
    fuzz_touch(u.auth);
    fuzz_touch(u.schema);
    fuzz_touch(u.plugin);
    struct cursor at = cursor_of(u.attributes);
    while (attribute_next(&at, &name, &value)) {
        fuzz_touch(name);
        fuzz_touch(value);
    }
    return 0;
}
