#include "fuzz.h"

static void check_column(struct bytes payload, uint64_t caps)
{
    struct column c, again;
    if (!column_read(payload, caps, &c, NULL))
        return;
    struct buf out = { 0 };
    uint8_t seq = 0;
    column_write(&out, &seq, &c);
    must(column_read(fuzz_payload(&out), 0, &again, NULL));
    must(bytes_equal(c.schema, again.schema) && bytes_equal(c.table, again.table));
    must(bytes_equal(c.org_table, again.org_table) && bytes_equal(c.name, again.name));
    must(bytes_equal(c.org_name, again.org_name));
    must(c.charset == again.charset && c.length == again.length && c.type == again.type);
    must(c.flags == again.flags && c.decimals == again.decimals);
    buf_release(&out);
}

static void check_row(struct bytes payload, size_t count)
{
    struct bytes values[256], again[256];
    if (!text_row_read(payload, values, count, NULL))
        return;
    struct buf out = { 0 };
    uint8_t seq = 0;
    text_row_write(&out, &seq, values, count);
    must(text_row_read(fuzz_payload(&out), again, count, NULL));
    for (size_t i = 0; i < count; i++) {
        must(bytes_equal(values[i], again[i]));
        must((values[i].data == NULL) == (again[i].data == NULL));
    }
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t choices[4];
    if (!fuzz_choices(&data, &size, choices))
        return 0;
    check_column(bytes_of(data, size), (choices[1] & 1) != 0 ? CAP_EXTENDED_METADATA : 0);
    check_row(bytes_of(data, size), choices[0]);
    return 0;
}
