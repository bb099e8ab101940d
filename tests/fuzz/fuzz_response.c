/*
 * fuzz_response.c - a server that sends anything: whole and in pieces the machine must
 * tell the same story, never look or pass beyond its window, and never stand still.
 */
#include "fuzz.h"

enum { EVENTS_MAX = 4096 };

struct event {
    enum response_step step;
    size_t at, len;
    bool last;
};

struct story {
    struct event events[EVENTS_MAX];
    size_t count;
    size_t end; /* how much was passed or taken */
    uint64_t rows;
    uint8_t *bytes;
};

/* The window is a copy of exact size, for ASan. */
static enum response_step show(struct response *r, uint8_t *from, size_t len,
                               struct response_found *found)
{
    struct fault why = FAULT_NONE;
    uint8_t *window = len > 0 ? malloc(len) : NULL;
    if (len > 0)
        memcpy(window, from, len);
    enum response_step step = response_next(r, window, len, found, &why);
    must(found->len <= len);
    if (found->payload != NULL && step != STEP_BAD && step != STEP_MORE)
        must(found->payload == window + FRAME_HEADER &&
             found->len == FRAME_HEADER + found->payload_len);
    if (step == STEP_BAD)
        must(why.blame == BLAME_SERVER && why.code != 0);
    if (len > 0)
        memcpy(from, window, len);
    free(window);
    return step;
}

static void note(struct story *s, enum response_step step, const struct response_found *found)
{
    bool silent = step == STEP_PASS && !found->last;
    if (silent || s->count == EVENTS_MAX)
        return;
    /* Text that only passes comes in pieces of any size. */
    size_t at = step == STEP_PASS ? s->end + found->len : s->end;
    s->events[s->count++] =
        (struct event){ step, at, step == STEP_PASS ? 0 : found->len, found->last };
}

static void tell(struct story *s, const struct response *start, const uint8_t *data, size_t size,
                 unsigned chance)
{
    struct response r = *start;
    struct response_found found;
    size_t shown = 0;
    s->count = s->end = 0;
    s->bytes = malloc(size + 1);
    memcpy(s->bytes, data, size);
    for (;;) {
        enum response_step step = show(&r, s->bytes + s->end, shown - s->end, &found);
        if (step == STEP_MORE) {
            must(found.need > shown - s->end);
            if (shown == size)
                break;
            size_t by = chance == 0 ? size : 1 + (size_t)rand_r(&chance) % 32;
            shown = MIN(size, shown + by);
            continue;
        }
        note(s, step, &found);
        if (step == STEP_BAD)
            break;
        must(found.len > 0 || step == STEP_COLUMNS_END || step == STEP_STREAM);
        s->end += found.len;
        if (found.last)
            break;
        if (step == STEP_INFILE)
            response_after_infile(&r, size - s->end > 3 ? data[s->end + 3] : 0);
    }
    must(r.bytes == s->end);
    s->rows = r.rows;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct story whole, pieces;
    static const enum response_kind kinds[] = { RESPONSE_OK,     RESPONSE_RESULT, RESPONSE_PREPARE,
                                                RESPONSE_FIELDS, RESPONSE_ROWS,   RESPONSE_STRING,
                                                RESPONSE_STREAM };
    uint8_t choices[4];
    struct response r;
    if (!fuzz_choices(&data, &size, choices))
        return 0;
    response_begin(&r, kinds[choices[0] % ARRAY_LEN(kinds)],
                   CAP_PROTOCOL_41 | (choices[1] & 1 ? CAP_DEPRECATE_EOF : 0) |
                       (choices[1] & 2 ? CAP_SESSION_TRACK : 0) |
                       (choices[1] & 4 ? CAP_CACHE_METADATA | CAP_EXTENDED_METADATA : 0) |
                       (choices[1] & 8 ? CAP_PROGRESS : 0) |
                       (choices[1] & 16 ? CAP_OPTIONAL_METADATA : 0),
                   1);
    r.tells_definitions = choices[1] & 32;
    r.seq_shift = choices[3];
    tell(&whole, &r, data, size, 0);
    tell(&pieces, &r, data, size, 1u + choices[2]);
    must(whole.count == pieces.count && whole.end == pieces.end && whole.rows == pieces.rows);
    for (size_t i = 0; i < whole.count; i++) {
        const struct event *a = &whole.events[i], *b = &pieces.events[i];
        must(a->step == b->step && a->at == b->at && a->len == b->len && a->last == b->last);
    }
    must(memcmp(whole.bytes, pieces.bytes, whole.end) == 0);
    free(whole.bytes);
    free(pieces.bytes);
    return 0;
}
