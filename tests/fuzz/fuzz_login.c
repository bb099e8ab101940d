#include "fuzz.h"

static void write_and_read(const struct login *l)
{
    struct login again;
    struct fault why = FAULT_NONE;
    struct buf out = { 0 };
    uint8_t seq = 1;
    login_write(&out, &seq, l);
    must(login_read(fuzz_payload(&out), UINT64_MAX, &again, &why));
    must((l->caps & CAPS_MARIADB) == (again.caps & CAPS_MARIADB));
    must(bytes_equal(l->user, again.user) && bytes_equal(l->auth, again.auth));
    must(bytes_equal(l->schema, again.schema) && bytes_equal(l->plugin, again.plugin));
    must(bytes_equal(l->attributes, again.attributes));
    must(l->is_ssl_request == again.is_ssl_request);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t choices[4];
    struct login l;
    struct fault why = FAULT_NONE;
    struct bytes name, value;
    if (!fuzz_choices(&data, &size, choices))
        return 0;
    uint64_t offered = choices[0] | (uint64_t)choices[1] << 8 | (uint64_t)choices[2] << 16 |
                       (uint64_t)choices[3] << 24 | (uint64_t)choices[0] << 32;
    if (!login_read(bytes_of(data, size), offered, &l, &why)) {
        must(why.blame == BLAME_CLIENT);
        return 0;
    }
    must((l.caps & ~offered) == 0);
    must(l.attributes.len <= 65535);
    struct cursor at = cursor_of(l.attributes);
    while (attribute_next(&at, &name, &value)) {
        fuzz_touch(name);
        fuzz_touch(value);
    }
    /* (the short form was asked for although it had not been offered: as a client we would not) */
    if (l.is_ssl_request)
        l.caps |= CAP_SSL;
    if (l.caps & CAP_PROTOCOL_41)
        write_and_read(&l);
    return 0;
}
