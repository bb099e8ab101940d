/* infile.c - LOAD DATA LOCAL INFILE: the other direction; see inside.h.
 *
 * The file is the client's: Volvox passes the server's request on to a client that said it
 * allows that (relay.c has asked), and the client's packets back to the server.  It opens no file.
 */
#include "session/inside.h"

bool infile(struct task *t, struct session *s, struct backend *be, uint8_t *packet, size_t len,
            uint8_t *next_seq, struct fault *why)
{
    uint32_t frame;
    if (!stream_put(t, &s->client, bytes_of(packet, len), stall_deadline(t), why) ||
        !stream_flush(t, &s->client, stall_deadline(t), why))
        return false;
    /* Frames until an empty one; a payload over 16 MiB is just more of them. */
    do {
        if (!stream_need(t, &s->client, FRAME_HEADER, stall_deadline(t), why))
            return false;
        frame = frame_len(buf_head(&s->client.in));
        *next_seq = (uint8_t)(frame_seq(buf_head(&s->client.in)) + 1);
        if (!copy_bytes(t, &s->client, &be->stream, (uint64_t)frame + FRAME_HEADER, why))
            return false;
    } while (frame > 0);
    return stream_flush(t, &be->stream, stall_deadline(t), why);
}
