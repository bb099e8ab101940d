#include "fuzz.h"

/* What is left of a command without its attributes is one that servers without them read alike. */
static void strip(struct bytes payload, const struct execute *e, unsigned params)
{
    struct execute plain;
    struct fault why = FAULT_NONE;
    uint8_t *to = malloc(payload.len);
    size_t len = execute_strip(payload, e, params, to, &why);
    must(len <= payload.len);
    if (len == 0)
        must(why.blame == BLAME_CLIENT && e->n_values > params);
    else
        must(execute_read(bytes_of(to, len), params, 0, &plain, &why));
    if (len > 0 && params > 0)
        must(plain.types_sent == e->types_sent && plain.n_values == params);
    free(to);
}

static void read_types(struct bytes payload, const struct execute *e, unsigned params)
{
    uint8_t *types = malloc(2 * (size_t)params + 1);
    execute_types(payload, e, params, types);
    fuzz_touch(bytes_of(types, 2 * (size_t)params));
    free(types);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t choices[4];
    struct execute e;
    struct prepared p;
    struct fault why = FAULT_NONE;
    if (!fuzz_choices(&data, &size, choices))
        return 0;
    unsigned params = choices[0] | (unsigned)choices[1] << 8;
    uint64_t caps =
        (choices[2] & 1 ? CAP_QUERY_ATTRIBUTES : 0) | (choices[2] & 2 ? CAP_OPTIONAL_METADATA : 0);
    struct bytes payload = bytes_of(data, size);
    prepared_read(payload, caps, &p, &why);
    if (!execute_read(payload, params, caps, &e, &why)) {
        must(why.blame == BLAME_CLIENT);
        return 0;
    }
    must(e.n_values >= params && e.values_at <= size && e.types_at <= e.values_at);
    must(e.flag_at < e.types_at || e.flag_at == 0);
    if (e.flag_at > 0)
        must(((data[e.flag_at] & e.flag) != 0) == e.types_sent || data[0] == COM_STMT_EXECUTE);
    if (e.types_sent)
        read_types(payload, &e, params);
    if (data[0] == COM_STMT_EXECUTE && e.has_names)
        strip(payload, &e, params);
    return 0;
}
