#include "fuzz.h"

static void round_trip(const struct proxy_header *h, enum proxy_version version)
{
    struct buf out = { 0 };
    struct proxy_header back;
    size_t need;
    bool has_ip = h->family == PROXY_IP4 || h->family == PROXY_IP6;
    proxy_header_write(&out, version, h);
    must(proxy_header_begins(buf_head(&out)));
    must(proxy_header_read(buf_bytes(&out), &back, &need, NULL) && back.wire_len == buf_len(&out));
    must(back.family == (has_ip ? h->family : PROXY_UNKNOWN));
    if (has_ip)
        must(memcmp(&back.from, &h->from, sizeof h->from) == 0 &&
             memcmp(&back.to, &h->to, sizeof h->to) == 0);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header h;
    struct fault why = FAULT_NONE;
    size_t need;
    if (!proxy_header_read(bytes_of(data, size), &h, &need, &why)) {
        must(need == 0 ? why.code != 0 : need > size);
        return 0;
    }
    must(h.wire_len <= size && proxy_header_begins(data));
    /* it ends where it says, whatever follows */
    struct proxy_header same;
    must(proxy_header_read(bytes_of(data, h.wire_len), &same, &need, NULL));
    must(!proxy_header_read(bytes_of(data, h.wire_len - 1), &same, &need, NULL) &&
         need == h.wire_len);
    round_trip(&h, PROXY_V1);
    round_trip(&h, PROXY_V2);
    return 0;
}
