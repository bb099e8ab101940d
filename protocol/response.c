/*
 * response.c - where a response ends.
 *
 *                   RESULT                PREPARE              FIELDS, ROWS   OK  STRING
 *                     |                      |                      |          |     |
 *             +---> FIRST --INFILE--+      FIRST                    |         ONE   TEXT
 *             |    |     ^          |        |                      |          |     |
 *        more |    |     `- upload -'   DEFINITIONS <--+ columns    |         end   end
 *             |    v                         |         | after      |
 *             | DEFINITIONS             DEFINITIONS_END+ params     |
 *             |    |                         |                      |
 *             | DEFINITIONS_END             end                     |
 *             |    |                                                |
 *             +-- ROWS <--------------------------------------------'
 *                  |
 *                 end
 *
 * An ERR packet ends the response at any stage, unless it is MariaDB's report of progress.
 * Definitions may be left out, their EOF packet is not.  What a frame is can be told from its
 * header and its first byte; only the first frame of a packet has such a byte.
 */
#include "protocol/inside.h"

enum { MEANINGFUL_MAX = 1024 * 1024, COLUMNS_MAX = 65535, PEEK_BYTES = FRAME_HEADER + 1 };

enum stage {
    STAGE_FIRST, /* of one result */
    STAGE_ONE,   /* OK, EOF or ERR */
    STAGE_TEXT,
    STAGE_STREAM,
    STAGE_PREPARE,
    STAGE_DEFINITIONS,
    STAGE_DEFINITIONS_END,
    STAGE_ROWS,
    STAGE_OUT_PARAMS, /* rows, too; see take_definitions_eof() */
    STAGE_UPLOAD,
    STAGE_OVER,
};

struct window {
    uint8_t *base;
    size_t len, at; /* at: what passes so far */
};

void response_begin(struct response *r, enum response_kind kind, uint64_t caps, uint8_t first_seq)
{
    static const uint8_t stages[] = {
        [RESPONSE_NONE] = STAGE_OVER,    [RESPONSE_OK] = STAGE_ONE,
        [RESPONSE_RESULT] = STAGE_FIRST, [RESPONSE_PREPARE] = STAGE_PREPARE,
        [RESPONSE_FIELDS] = STAGE_ROWS,  [RESPONSE_ROWS] = STAGE_ROWS,
        [RESPONSE_STRING] = STAGE_TEXT,  [RESPONSE_STREAM] = STAGE_STREAM,
    };
    *r = (struct response){
        .kind = kind, .stage = stages[kind], .next_seq = first_seq, .caps = caps
    };
}

void response_after_infile(struct response *r, uint8_t next_seq)
{
    must(r->stage == STAGE_UPLOAD);
    r->stage = STAGE_FIRST;
    r->next_seq = next_seq;
}

/* ---- what passes ---- */

uint64_t response_blind(const struct response *r)
{
    return r->frame_left > 0 ? r->frame_left - 1 : 0;
}

void response_passed(struct response *r, uint64_t n)
{
    must(n <= response_blind(r));
    r->frame_left -= n;
    r->bytes += n;
}

static bool in_order(const struct response *r, const uint8_t *frame)
{
    return frame_seq(frame) == r->next_seq || r->any_seq;
}

/* Count the frame at p as passing: only its header is touched. */
static void open_frame(struct response *r, uint8_t *p)
{
    uint32_t len = frame_len(p);
    p[3] = (uint8_t)(r->next_seq++ + r->seq_shift);
    r->frame_left = len;
    r->long_packet = len == FRAME_MAX;
}

/* Pass the rest of the packet under way.  False when more of it must come, or its
 * next frame is out of order. */
static bool pass_open_packet(struct response *r, struct window *w)
{
    for (;;) {
        size_t n = (size_t)MIN(r->frame_left, (uint64_t)(w->len - w->at));
        w->at += n;
        r->frame_left -= n;
        if (r->frame_left > 0)
            return false;
        if (!r->long_packet)
            return true;
        uint8_t *p = w->base + w->at;
        if (w->len - w->at < FRAME_HEADER || !in_order(r, p))
            return false;
        open_frame(r, p);
        w->at += FRAME_HEADER;
    }
}

/* Pass packets that mean nothing, at most `limit`, until one that may mean something,
 * or the window's end; returns how many began. */
static uint64_t pass_packets(struct response *r, struct window *w, uint64_t limit)
{
    uint64_t count = 0;
    if (w->len - w->at < PEEK_BYTES)
        return 0; /* an empty window has no address */
    uint8_t *p = w->base + w->at, *end = w->base + w->len;
    uint8_t next_seq = r->next_seq, shift = r->seq_shift;
    while (count < limit && end - p >= PEEK_BYTES) {
        uint32_t len = frame_len(p);
        if ((p[3] != next_seq && !r->any_seq) || len == 0 || p[4] >= EOF_HEADER)
            break;
        if (len == FRAME_MAX || len > (size_t)(end - p) - FRAME_HEADER)
            break;
        p[3] = (uint8_t)(next_seq++ + shift);
        p += FRAME_HEADER + len;
        count++;
    }
    r->next_seq = next_seq;
    w->at = (size_t)(p - w->base);
    return count;
}

static bool in_rows(const struct response *r)
{
    return r->stage == STAGE_ROWS || r->stage == STAGE_OUT_PARAMS;
}

/* May the packet whose frame is at p begin a definition or row?  A row beginning with
 * 0xFE has a first value of 16 MiB or more, hence a full frame; without DEPRECATE_EOF
 * any length but that of an EOF packet says so. */
static bool is_data(const struct response *r, const uint8_t *p)
{
    uint32_t len = frame_len(p);
    if (len == 0 || p[4] == ERR_HEADER)
        return false;
    if (p[4] != EOF_HEADER || len == FRAME_MAX)
        return true;
    return in_rows(r) && !(r->caps & CAP_DEPRECATE_EOF) && len >= 9;
}

/* The slow path around pass_packets(): long packets and those cut by the window's end. */
static uint64_t pass_data(struct response *r, struct window *w, uint64_t limit)
{
    uint64_t count = pass_packets(r, w, limit);
    while (count < limit && w->len - w->at >= PEEK_BYTES) {
        uint8_t *p = w->base + w->at;
        if (!in_order(r, p) || !is_data(r, p))
            break;
        open_frame(r, p);
        w->at += FRAME_HEADER;
        count++;
        if (!pass_open_packet(r, w))
            break;
        count += pass_packets(r, w, limit - count);
    }
    return count;
}

static enum response_step pass(const struct window *w, struct response_found *found)
{
    found->len = w->at;
    return STEP_PASS;
}

static enum response_step more(size_t need, struct response_found *found)
{
    found->need = need;
    return STEP_MORE;
}

/* ---- packets that mean something ---- */

static enum response_step bad(struct fault *why, const char *what)
{
    fault_set(why, BLAME_SERVER, ER_MALFORMED_PACKET, "volvox: the server broke the protocol: %s", what);
    return STEP_BAD;
}

/* An error that a server sends on its own before it hangs up (shutdown, timeout, kill)
 * is numbered as it likes.  It does not answer the command, but says why none comes. */
static enum response_step out_of_order(const struct window *w, struct fault *why)
{
    struct err err;
    const uint8_t *p = w->base;
    if (w->len >= PEEK_BYTES && p[4] == ERR_HEADER && frame_len(p) <= w->len - FRAME_HEADER &&
        err_read(bytes_of(p + FRAME_HEADER, frame_len(p)), &err, NULL) && err.code != 0) {
        fault_set_state(why, BLAME_SERVER, err.code,
                        err.sqlstate[0] != 0 ? err.sqlstate : sqlstate_of(err.code), "%.*s",
                        (int)MIN(err.text.len, sizeof why->text), (const char *)err.text.data);
        return STEP_BAD;
    }
    fault_set(why, BLAME_SERVER, ER_PACKETS_OUT_OF_ORDER,
              "volvox: the server broke the protocol: packets out of order");
    return STEP_BAD;
}

/* Check the frame at the window's front as far as it can be seen: STEP_PASS if its
 * header and first byte are there. */
static enum response_step peek(const struct response *r, const struct window *w,
                               struct response_found *found, struct fault *why)
{
    const uint8_t *p = w->base;
    if (w->len < FRAME_HEADER)
        return more(FRAME_HEADER, found);
    if (frame_len(p) > 0 && w->len < PEEK_BYTES)
        return more(PEEK_BYTES, found);
    if (!in_order(r, p))
        return out_of_order(w, why);
    return STEP_PASS;
}

/* The packet at the window's front into `found`: STEP_PASS when it is whole. */
static enum response_step look(const struct response *r, const struct window *w,
                               struct response_found *found, struct fault *why)
{
    enum response_step step = peek(r, w, found, why);
    if (step != STEP_PASS)
        return step;
    uint32_t len = frame_len(w->base);
    if (len == 0)
        return bad(why, "an empty packet");
    if (len > MEANINGFUL_MAX)
        return bad(why, "a packet of this kind is never so long");
    if (w->len - FRAME_HEADER < len)
        return more(FRAME_HEADER + (size_t)len, found);
    found->payload = w->base + FRAME_HEADER;
    found->payload_len = len;
    return STEP_PASS;
}

/* Take the packet that look() found. */
static enum response_step take(struct response *r, const struct window *w, enum response_step step,
                               enum stage next, struct response_found *found)
{
    found->seq = (uint8_t)(r->next_seq++ + r->seq_shift);
    w->base[3] = found->seq;
    found->len = FRAME_HEADER + found->payload_len;
    found->last = next == STAGE_OVER;
    r->stage = next;
    return step;
}

static enum response_step take_err(struct response *r, const struct window *w,
                                   struct response_found *found, struct fault *why)
{
    struct err err;
    if (!err_read(bytes_of(found->payload, found->payload_len), &err, why))
        return STEP_BAD;
    /* where numbers say nothing, its code must: it never answers a command */
    if (r->any_seq && r->bytes == 0 && err.code == ER_CLIENT_INTERACTION_TIMEOUT)
        return out_of_order(w, why);
    /* (a MySQL server's SIGNAL may raise an error of that number; it has an SQLSTATE) */
    if (err.code == PROGRESS_CODE && (r->caps & CAP_PROGRESS) && err.sqlstate[0] == '\0')
        return take(r, w, STEP_PROGRESS, r->stage, found);
    return take(r, w, STEP_ERR, STAGE_OVER, found);
}

/* OK or EOF at the end of one result. */
static enum response_step take_end(struct response *r, const struct window *w,
                                   enum response_step step, struct response_found *found,
                                   struct fault *why)
{
    uint16_t status;
    if (!reply_status(bytes_of(found->payload, found->payload_len), &status))
        return bad(why, "a malformed OK or EOF packet");
    bool again = r->kind == RESPONSE_RESULT &&
                 ((status & STATUS_MORE_RESULTS) || r->stage == STAGE_OUT_PARAMS);
    return take(r, w, step, again ? STAGE_FIRST : STAGE_OVER, found);
}

/* ---- stages ---- */

static enum response_step one(struct response *r, const struct window *w,
                              struct response_found *found, struct fault *why)
{
    enum response_step step = look(r, w, found, why);
    if (step != STEP_PASS)
        return step;
    switch (found->payload[0]) {
    case ERR_HEADER:
        return take_err(r, w, found, why);
    case OK_HEADER:
    case EOF_HEADER:
        return take_end(r, w, STEP_OK, found, why);
    default:
        return bad(why, "neither OK nor ERR");
    }
}

static enum response_step text(struct response *r, struct window *w, struct response_found *found,
                               struct fault *why)
{
    enum response_step step = peek(r, w, found, why);
    if (step != STEP_PASS)
        return step;
    if (frame_len(w->base) > 0 && w->base[4] == ERR_HEADER) {
        step = look(r, w, found, why);
        return step == STEP_PASS ? take_err(r, w, found, why) : step;
    }
    open_frame(r, w->base);
    w->at = FRAME_HEADER;
    r->stage = STAGE_OVER;
    found->last = pass_open_packet(r, w);
    return pass(w, found);
}

/* Only an ERR in place of the stream is an answer. */
static enum response_step stream(struct response *r, const struct window *w,
                                 struct response_found *found, struct fault *why)
{
    enum response_step step = peek(r, w, found, why);
    if (step != STEP_PASS)
        return step;
    if (frame_len(w->base) == 0 || w->base[4] != ERR_HEADER) {
        r->stage = STAGE_OVER;
        found->last = true;
        return STEP_STREAM;
    }
    step = look(r, w, found, why);
    return step == STEP_PASS ? take_err(r, w, found, why) : step;
}

/* A stage that `count` definitions begin. */
static enum stage begin_definitions(struct response *r, uint64_t count)
{
    r->definitions_left = r->no_definitions ? 0 : count;
    if (count == 0)
        return STAGE_OVER;
    return r->no_definitions ? STAGE_DEFINITIONS_END : STAGE_DEFINITIONS;
}

static enum response_step prepare(struct response *r, const struct window *w,
                                  struct response_found *found, struct fault *why)
{
    struct prepared prepared;
    enum response_step step = look(r, w, found, why);
    if (step != STEP_PASS)
        return step;
    if (found->payload[0] == ERR_HEADER)
        return take_err(r, w, found, why);
    if (!prepared_read(bytes_of(found->payload, found->payload_len), r->caps, &prepared, why))
        return STEP_BAD;
    bool params = prepared.params > 0;
    r->no_definitions = !prepared.follow;
    r->prepare_columns = params ? prepared.columns : 0;
    return take(r, w, STEP_PREPARED,
                begin_definitions(r, params ? prepared.params : prepared.columns), found);
}

/* The EOF between definitions and rows. */
static enum response_step take_definitions_eof(struct response *r, const struct window *w,
                                               enum stage next, struct response_found *found,
                                               struct fault *why)
{
    uint16_t status;
    enum response_step step = look(r, w, found, why);
    if (step != STEP_PASS)
        return step;
    if (found->payload[0] == ERR_HEADER)
        return take_err(r, w, found, why);
    if (found->payload[0] != EOF_HEADER ||
        !reply_status(bytes_of(found->payload, found->payload_len), &status))
        return bad(why, "no EOF after column definitions");
    /* The rows stay in the cursor: FETCH asks for them. */
    if (r->kind == RESPONSE_RESULT && (status & STATUS_CURSOR_EXISTS))
        return take_end(r, w, STEP_END_OF_ROWS, found, why);
    /* MySQL says here that more follows the OUT parameters, but not behind their row. */
    if (next == STAGE_ROWS && (status & STATUS_PS_OUT_PARAMS) && (status & STATUS_MORE_RESULTS))
        next = STAGE_OUT_PARAMS;
    return take(r, w, STEP_COLUMNS_END, next, found);
}

static enum response_step end_of_data(struct response *r, const struct window *w,
                                      struct response_found *found, struct fault *why)
{
    enum response_step step = look(r, w, found, why);
    if (step != STEP_PASS)
        return step;
    if (found->payload[0] == ERR_HEADER)
        return take_err(r, w, found, why);
    if (found->payload[0] != EOF_HEADER || !in_rows(r))
        return bad(why, "fewer column definitions than announced");
    return take_end(r, w, STEP_END_OF_ROWS, found, why);
}

/* Under DEPRECATE_EOF a cursor shows only in the OK packet that follows definitions at
 * once.  Such a result has no rows to come, so that its end is told as END_OF_ROWS
 * alone, as without DEPRECATE_EOF. */
static enum response_step opens_cursor(const struct response *r, const struct window *w,
                                       struct response_found *found, struct fault *why, bool *opens)
{
    uint16_t status;
    *opens = false;
    enum response_step step = peek(r, w, found, why);
    if (step != STEP_PASS || frame_len(w->base) == 0 || frame_len(w->base) == FRAME_MAX ||
        w->base[4] != EOF_HEADER)
        return step;
    step = look(r, w, found, why);
    if (step == STEP_PASS)
        *opens = reply_status(bytes_of(found->payload, found->payload_len), &status) &&
                 (status & STATUS_CURSOR_EXISTS);
    return step;
}

static enum response_step definitions_end(struct response *r, const struct window *w,
                                          struct response_found *found, struct fault *why)
{
    bool opens = false;
    enum stage next = STAGE_ROWS;
    if (r->kind == RESPONSE_PREPARE)
        next = begin_definitions(r, r->prepare_columns);
    if (!(r->caps & CAP_DEPRECATE_EOF)) {
        enum response_step step = take_definitions_eof(r, w, next, found, why);
        if (step == STEP_COLUMNS_END)
            r->prepare_columns = 0;
        return step;
    }
    if (r->kind == RESPONSE_RESULT) {
        enum response_step step = opens_cursor(r, w, found, why, &opens);
        if (step != STEP_PASS)
            return step;
    }
    r->stage = next;
    r->prepare_columns = 0;
    if (opens)
        return end_of_data(r, w, found, why);
    *found = (struct response_found){ .last = next == STAGE_OVER,
                                      .seq = (uint8_t)(r->next_seq + r->seq_shift) };
    return STEP_COLUMNS_END;
}

static enum response_step end_of_data_or(struct response *r, const struct window *w,
                                         enum stage next, struct response_found *found,
                                         struct fault *why)
{
    enum response_step step = look(r, w, found, why);
    if (step != STEP_PASS)
        return step;
    if (found->payload[0] >= EOF_HEADER)
        return end_of_data(r, w, found, why);
    return take(r, w, STEP_DEFINITION, next, found);
}

static enum response_step tell_definition(struct response *r, const struct window *w,
                                          struct response_found *found, struct fault *why)
{
    bool is_last = r->definitions_left == 1;
    enum response_step step =
        end_of_data_or(r, w, is_last ? STAGE_DEFINITIONS_END : STAGE_DEFINITIONS, found, why);
    r->definitions_left -= step == STEP_DEFINITION;
    return step;
}

static enum response_step definitions(struct response *r, struct window *w,
                                      struct response_found *found, struct fault *why)
{
    if (r->tells_definitions)
        return tell_definition(r, w, found, why);
    r->definitions_left -= pass_data(r, w, r->definitions_left);
    bool open = r->frame_left > 0 || r->long_packet;
    if (r->definitions_left == 0 && !open)
        r->stage = STAGE_DEFINITIONS_END;
    if (w->at > 0)
        return pass(w, found);
    return end_of_data(r, w, found, why);
}

static enum response_step rows(struct response *r, struct window *w, struct response_found *found,
                               struct fault *why)
{
    if (r->kind == RESPONSE_FIELDS && r->tells_definitions)
        return end_of_data_or(r, w, STAGE_ROWS, found, why);
    uint64_t count = pass_data(r, w, UINT64_MAX);
    if (r->kind != RESPONSE_FIELDS)
        r->rows += count;
    if (w->at > 0)
        return pass(w, found);
    return end_of_data(r, w, found, why);
}

static enum response_step column_count(struct response *r, struct window *w,
                                       struct response_found *found, struct fault *why)
{
    struct column_count c;
    if (!column_count_read(bytes_of(found->payload, found->payload_len), r->caps, &c) ||
        c.count == 0 || c.count > COLUMNS_MAX)
        return bad(why, "a malformed column count");
    r->columns = (uint32_t)c.count;
    r->no_definitions = !c.follow;
    enum stage next = begin_definitions(r, c.count);
    if (r->tells_definitions)
        return take(r, w, STEP_COLUMNS, next, found);
    take(r, w, STEP_PASS, STAGE_DEFINITIONS, found);
    w->at = found->len;
    *found = (struct response_found){ 0 };
    return definitions(r, w, found, why);
}

static enum response_step first(struct response *r, struct window *w, struct response_found *found,
                                struct fault *why)
{
    enum response_step step = look(r, w, found, why);
    if (step != STEP_PASS)
        return step;
    switch (found->payload[0]) {
    case ERR_HEADER:
        return take_err(r, w, found, why);
    case OK_HEADER:
    case EOF_HEADER:
        return take_end(r, w, STEP_OK, found, why);
    case NULL_HEADER:
        return take(r, w, STEP_INFILE, STAGE_UPLOAD, found);
    default:
        return column_count(r, w, found, why);
    }
}

/* While a file goes up a server has only one thing to say: that it gives up. */
static enum response_step upload(struct response *r, const struct window *w,
                                 struct response_found *found, struct fault *why)
{
    if (w->len >= FRAME_HEADER)
        r->next_seq = frame_seq(w->base);
    enum response_step step = look(r, w, found, why);
    if (step != STEP_PASS)
        return step;
    if (found->payload[0] != ERR_HEADER)
        return bad(why, "a packet in the middle of an upload");
    return take_err(r, w, found, why);
}

static enum response_step by_stage(struct response *r, struct window *w,
                                   struct response_found *found, struct fault *why)
{
    switch ((enum stage)r->stage) {
    case STAGE_FIRST:
        return first(r, w, found, why);
    case STAGE_ONE:
        return one(r, w, found, why);
    case STAGE_TEXT:
        return text(r, w, found, why);
    case STAGE_STREAM:
        return stream(r, w, found, why);
    case STAGE_PREPARE:
        return prepare(r, w, found, why);
    case STAGE_DEFINITIONS:
        return definitions(r, w, found, why);
    case STAGE_DEFINITIONS_END:
        return definitions_end(r, w, found, why);
    case STAGE_ROWS:
    case STAGE_OUT_PARAMS:
        return rows(r, w, found, why);
    case STAGE_UPLOAD:
        return upload(r, w, found, why);
    case STAGE_OVER:
        break;
    }
    must(!"response_next() after the last step");
    return STEP_BAD;
}

enum response_step response_next(struct response *r, uint8_t *window, size_t len,
                                 struct response_found *found, struct fault *why)
{
    struct window w = { window, len, 0 };
    enum response_step step;
    *found = (struct response_found){ 0 };
    bool was_open = r->frame_left > 0 || r->long_packet;
    if (was_open && !pass_open_packet(r, &w)) {
        if (w.at > 0)
            step = pass(&w, found);
        else if (len < (r->frame_left > 0 ? 1 : FRAME_HEADER))
            step = more(r->frame_left > 0 ? 1 : FRAME_HEADER, found);
        else
            step = out_of_order(&w, why);
    } else if (was_open && r->stage == STAGE_OVER) {
        found->last = true;
        step = pass(&w, found);
    } else {
        step = by_stage(r, &w, found, why);
    }
    r->bytes += found->len;
    return step;
}
