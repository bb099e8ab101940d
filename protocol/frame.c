/*
 * frame.c - frames and packets.
 *
 * Reframing.  Bytes inserted into a payload of several frames push as many bytes from
 * the end of each full frame into the next one:
 *
 *      in    [H aaaaaaaaaaaaaa][H bbbbbbbbbbbbbb][H cccc]
 *      out   [H aa++aaaaaaaaaa][H aabbbbbbbbbbbb][H bbcccc]
 *                           `--carry--^        `--^
 *
 * If the last frame and what is carried reach 0xFFFFFF bytes, one more frame leaves
 * than came in; it may be empty.
 */
#include "protocol/inside.h"

#include "base/arena.h"

size_t packet_begin(struct buf *out)
{
    static const uint8_t header[FRAME_HEADER];
    size_t mark = buf_len(out);
    buf_add(out, bytes_of(header, sizeof header));
    return mark;
}

/* Make room for the headers between frames, moving from the back. */
static void spread(struct buf *out, size_t mark, size_t payload_len)
{
    static const uint8_t header[FRAME_HEADER];
    size_t more = payload_len / FRAME_MAX;
    for (size_t i = 0; i < more; i++)
        buf_add(out, bytes_of(header, sizeof header));
    uint8_t *first = buf_head(out) + mark + FRAME_HEADER;
    for (size_t i = more; i > 0; i--) {
        size_t from = i * FRAME_MAX;
        size_t len = MIN(payload_len - from, (size_t)FRAME_MAX);
        memmove(first + from + i * FRAME_HEADER, first + from, len);
    }
}

void packet_end(struct buf *out, size_t mark, uint8_t *seq)
{
    must(mark + FRAME_HEADER <= buf_len(out));
    size_t left = buf_len(out) - mark - FRAME_HEADER;
    if (left >= FRAME_MAX)
        spread(out, mark, left);
    uint8_t *header = buf_head(out) + mark;
    for (;;) {
        uint32_t len = (uint32_t)MIN(left, (size_t)FRAME_MAX);
        frame_set_header(header, len, (*seq)++);
        left -= len;
        if (len < FRAME_MAX)
            return;
        header += FRAME_HEADER + len;
    }
}

void packet_write(struct buf *out, uint8_t *seq, struct bytes payload)
{
    uint8_t header[FRAME_HEADER];
    size_t len;
    do {
        len = MIN(payload.len, (size_t)FRAME_MAX);
        frame_set_header(header, (uint32_t)len, (*seq)++);
        buf_add(out, bytes_of(header, sizeof header));
        buf_add(out, bytes_of(payload.data, len));
        payload = bytes_skip(payload, len);
    } while (len == FRAME_MAX);
}

bool packet_find(struct bytes window, size_t max_payload, struct packet *out, size_t *need,
                 struct fault *why)
{
    *out = (struct packet){ 0 };
    *need = 0;
    for (;;) {
        if (window.len - out->wire_len < FRAME_HEADER) {
            *need = out->wire_len + FRAME_HEADER;
            return false;
        }
        const uint8_t *header = window.data + out->wire_len;
        uint32_t len = frame_len(header);
        if (out->frames == 0)
            out->seq = out->next_seq = frame_seq(header);
        if (frame_seq(header) != out->next_seq)
            return fault_set(why, BLAME_CLIENT, ER_PACKETS_OUT_OF_ORDER,
                             "Got packets out of order");
        if (len > max_payload - out->payload_len)
            return fault_set(why, BLAME_CLIENT, ER_PACKET_TOO_LARGE,
                             "Got a packet bigger than 'max_allowed_packet' bytes");
        if (window.len - out->wire_len - FRAME_HEADER < len) {
            *need = out->wire_len + FRAME_HEADER + len;
            return false;
        }
        out->wire_len += FRAME_HEADER + len;
        out->payload_len += len;
        out->frames++;
        out->next_seq++;
        if (len < FRAME_MAX)
            return true;
    }
}

struct bytes packet_payload(struct bytes window, const struct packet *p, struct arena *a)
{
    must(p->frames > 0 && p->wire_len <= window.len);
    if (p->frames == 1)
        return bytes_of(window.data + FRAME_HEADER, p->payload_len);
    uint8_t *joined = arena_alloc(a, p->payload_len);
    const uint8_t *frame = window.data;
    size_t at = 0;
    for (unsigned i = 0; i < p->frames; i++) {
        uint32_t len = frame_len(frame);
        memcpy(joined + at, frame + FRAME_HEADER, len);
        at += len;
        frame += FRAME_HEADER + len;
    }
    return bytes_of(joined, at);
}

void renumber(struct renumbering *r, uint8_t *part, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t pass = MIN((size_t)r->left, len - at);
        r->left -= (uint32_t)pass;
        at += pass;
        for (; r->left == 0 && r->header_bytes < 3 && at < len; r->header_bytes++)
            r->length |= (uint32_t)part[at++] << 8 * r->header_bytes;
        if (r->header_bytes < 3 || at == len)
            continue;
        part[at++] = r->seq++;
        r->left = r->length;
        r->length = r->header_bytes = 0;
    }
}

void reframe_begin(struct reframe *r, size_t inserted, uint8_t seq)
{
    must(inserted <= sizeof r->carry);
    r->carried = 0;
    r->growth = (uint32_t)inserted;
    r->room = 0;
    r->tail_len = SIZE_MAX;
    r->seq = seq;
}

static void leave(struct reframe *r, size_t len, struct buf *out)
{
    uint8_t header[FRAME_HEADER];
    frame_set_header(header, (uint32_t)len, r->seq++);
    buf_add(out, bytes_of(header, sizeof header));
    r->room = (uint32_t)len;
}

void reframe_frame(struct reframe *r, size_t in_len, struct buf *out)
{
    must(in_len <= FRAME_MAX && r->room == 0);
    size_t total = in_len + r->carried + r->growth;
    r->growth = 0;
    if (in_len < FRAME_MAX && total >= FRAME_MAX)
        r->tail_len = total - FRAME_MAX;
    leave(r, MIN(total, (size_t)FRAME_MAX), out);

    /* What was carried is at most sizeof carry, so it fits into a full frame; and if
     * the frame is shorter, its length was counted in. */
    buf_add(out, bytes_of(r->carry, r->carried));
    r->room -= r->carried;
    r->carried = 0;
    if (r->room == 0 && r->tail_len != SIZE_MAX)
        reframe_pass(r, BYTES_NONE, out);
}

void reframe_pass(struct reframe *r, struct bytes part, struct buf *out)
{
    for (;;) {
        size_t n = MIN(part.len, (size_t)r->room);
        buf_add(out, bytes_of(part.data, n));
        r->room -= (uint32_t)n;
        part = bytes_skip(part, n);
        if (r->room > 0 || r->tail_len == SIZE_MAX)
            break;
        leave(r, r->tail_len, out);
        r->tail_len = SIZE_MAX;
    }
    must(part.len <= sizeof r->carry - r->carried);
    if (part.len > 0)
        memcpy(r->carry + r->carried, part.data, part.len);
    r->carried += (uint32_t)part.len;
}
