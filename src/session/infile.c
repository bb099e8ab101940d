/* infile.c - LOAD DATA LOCAL INFILE: the other direction; see inside.h.
 *
 * The file is the client's: Volvox passes the server's request on to a client that said it
 * allows that (relay.c has asked), and the client's packets back to the server.  It opens no file.
 *
 * The frames are numbered anew: a client counts what came to it, and that is not what the server
 * sent if a packet was added on the way, or if the client's connection is compressed.
 */
#include "session/inside.h"

/* A client that takes its time does not hold up what it has sent. */
static bool need_header(struct task *t, struct session *s, struct backend *be, struct fault *why)
{
    if (buf_len(&s->client.in) < FRAME_HEADER && stream_fill(&s->client, FRAME_HEADER) == 0 &&
        !stream_flush(t, &be->stream, stall_deadline(t), why))
        return false;
    return stream_need(t, &s->client, FRAME_HEADER, stall_deadline(t), why);
}

/* The next frame of the file; *frame is its length. */
static bool pass_frame(struct task *t, struct session *s, struct backend *be, struct upload *up,
                       uint32_t *frame, struct fault *why)
{
    if (!need_header(t, s, be, why))
        return false;
    uint8_t *header = buf_head(&s->client.in);
    *frame = frame_len(header);
    up->client_seq = (uint8_t)(frame_seq(header) + 1);
    frame_set_header(header, *frame, up->server_seq++);
    return copy_bytes(t, &s->client, &be->stream, (uint64_t)*frame + FRAME_HEADER, why);
}

bool infile(struct task *t, struct session *s, struct backend *be, struct bytes request,
            struct upload *up, struct fault *why)
{
    uint32_t frame = 0, before;
    if (!stream_put(t, &s->client, request, stall_deadline(t), why) ||
        !stream_flush(t, &s->client, stall_deadline(t), why))
        return false;
    /* Until an empty packet; an empty frame behind a full one only ends that one's. */
    do {
        before = frame;
        if (!pass_frame(t, s, be, up, &frame, why))
            return false;
    } while (frame > 0 || before == FRAME_MAX);
    return stream_flush(t, &be->stream, stall_deadline(t), why);
}
