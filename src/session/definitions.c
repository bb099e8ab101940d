/*
 * definitions.c - column definitions where the hops speak of them in different ways; see inside.h.
 *
 *   server                        client
 *   CACHE_METADATA: "they are     CACHE_METADATA: the same, if it was sent just those before;
 *     what I sent you before"       else "they follow", and they do
 *   neither of these              CACHE_METADATA, OPTIONAL_METADATA: "they follow"
 *   no EXTENDED_METADATA          EXTENDED_METADATA: an empty description in each
 *
 * Statements of many sessions share one on a backend, so what its server has sent before, it may
 * have sent to somebody else (docs/decisions/21-cached-definitions.md).
 */
#include "session/inside.h"

/* A server needs less for its widest table. */
enum { KEPT_MAX_BYTES = 16 << 20 };

bool definitions_matter(struct relay *x)
{
    const uint64_t said = CAPS_SAY_WHETHER | CAP_EXTENDED_METADATA;
    uint8_t code = x->cmd->code;
    bool prepares = code == COM_STMT_PREPARE;
    bool executes = code == COM_STMT_EXECUTE || code == COM_STMT_BULK_EXECUTE;
    bool keeps = (x->be->caps & x->s->caps & CAP_CACHE_METADATA) != 0 && (prepares || executes);
    x->missing = x->s->caps & ~x->be->caps & said;
    if (keeps && executes)
        x->keeps = x->cmd->stmt;
    return keeps || x->missing != 0;
}

bool definition_keep(struct buf *kept, struct bytes definition, struct fault *why)
{
    uint8_t seq = 0;
    if (!buf_reserve(kept, definition.len + FRAME_HEADER, KEPT_MAX_BYTES, why))
        return false;
    packet_write(kept, &seq, definition);
    return true;
}

static void know(struct stmt *st, struct definitions *d)
{
    definitions_drop(st->definitions);
    st->definitions = definitions_take(d);
}

/* The client was sent others, which nobody noted. */
static void forget(struct stmt *st)
{
    if (st == NULL)
        return;
    definitions_drop(st->definitions);
    st->definitions = NULL;
}

/* All have come: this is what the server takes for known from now on. */
static void note_kept(struct relay *x)
{
    struct backend_stmt *bs = backend_stmt_find(x->be, x->keeps->text);
    struct definitions *d = definitions_get(buf_bytes(&x->kept));
    know(x->keeps, d);
    if (bs != NULL) {
        definitions_drop(bs->definitions);
        bs->definitions = definitions_take(d);
    }
    definitions_drop(d);
}

static bool put_packet(struct task *t, struct relay *x, struct bytes before, struct bytes between,
                       struct bytes after, uint8_t seq)
{
    uint8_t header[FRAME_HEADER];
    frame_set_header(header, (uint32_t)(before.len + between.len + after.len), seq);
    return relay_put(t, x, bytes_of(header, sizeof header)) && relay_put(t, x, before) &&
           relay_put(t, x, between) && relay_put(t, x, after);
}

/* In the client's dialect. */
static bool put_definition(struct task *t, struct relay *x, struct bytes definition, uint8_t seq)
{
    const uint8_t nothing = 0;
    if (x->cmd->has_own_id)
        definition = own_id_column(x->s, definition);
    size_t at = definition.len;
    if ((x->missing & CAP_EXTENDED_METADATA) != 0 &&
        !column_extension_at(definition, &at, &x->out->why))
        return false;
    return put_packet(t, x, bytes_of(definition.data, at), bytes_of(&nothing, at < definition.len),
                      bytes_skip(definition, at), seq);
}

static bool put_count(struct task *t, struct relay *x, uint64_t count, uint8_t seq)
{
    struct buf *out = &x->s->client.out;
    size_t mark = packet_begin(out);
    (void)t;
    write_lenenc(out, count);
    if ((x->s->caps & CAPS_SAY_WHETHER) != 0)
        write_u8(out, 1);
    packet_end(out, mark, &seq);
    x->out->answered = true;
    return true;
}

/* The server left out what this client does not have, or not in this form. */
static bool put_known(struct task *t, struct relay *x, uint64_t count, uint8_t seq)
{
    struct bytes rest = x->keeps->definitions->in.key;
    if (!put_count(t, x, count, seq))
        return false;
    while (rest.len > 0) {
        uint32_t len = frame_len(rest.data);
        if (!put_definition(t, x, bytes_of(rest.data + FRAME_HEADER, len), ++seq))
            return false;
        rest = bytes_skip(rest, FRAME_HEADER + len);
        x->r.seq_shift++;
    }
    return true;
}

static bool pass(struct task *t, struct relay *x, const struct response_found *f)
{
    return relay_put(t, x, bytes_of(f->payload - FRAME_HEADER, f->payload_len + FRAME_HEADER));
}

bool on_columns(struct task *t, struct relay *x, const struct response_found *f)
{
    struct column_count c;
    bool is_first = !x->has_columns;
    must(column_count_read(bytes_of(f->payload, f->payload_len), x->be->caps, &c));
    x->has_columns = true;
    if ((x->missing & CAPS_SAY_WHETHER) != 0) {
        forget(x->cmd->stmt);
        return put_count(t, x, c.count, f->seq);
    }
    if (x->keeps == NULL || c.follow) {
        x->n_due = x->keeps != NULL && is_first ? c.count : 0;
        return pass(t, x, f);
    }
    struct backend_stmt *bs = backend_stmt_find(x->be, x->keeps->text);
    if (bs == NULL || bs->definitions == NULL)
        return fault_set(&x->out->why, BLAME_SERVER, ER_MALFORMED_PACKET,
                         "volvox: server %s leaves out definitions that it never sent",
                         x->be->server->name);
    if (bs->definitions == x->keeps->definitions)
        return pass(t, x, f);
    know(x->keeps, bs->definitions);
    return put_known(t, x, c.count, f->seq);
}

bool on_definition(struct task *t, struct relay *x, const struct response_found *f)
{
    struct bytes definition = bytes_of(f->payload, f->payload_len);
    bool keep = x->n_params == 0 && x->n_due > 0;
    if (keep && !definition_keep(&x->kept, definition, &x->out->why))
        return false;
    x->n_params -= x->n_params > 0;
    x->n_due -= keep;
    if (keep && x->n_due == 0)
        note_kept(x);
    bool changes = (x->missing & CAP_EXTENDED_METADATA) != 0 || x->cmd->has_own_id;
    return changes ? put_definition(t, x, definition, f->seq) : pass(t, x, f);
}

bool on_prepared_columns(struct task *t, struct relay *x, struct stmt *st, const struct prepared *p,
                         const struct response_found *f)
{
    const uint8_t follow = 1;
    if ((x->be->caps & x->s->caps & CAP_CACHE_METADATA) != 0)
        x->keeps = st;
    x->n_params = p->params;
    x->n_due = x->keeps != NULL ? p->columns : 0;
    if ((x->missing & CAP_OPTIONAL_METADATA) == 0)
        return pass(t, x, f);
    return put_packet(t, x, bytes_of(f->payload, f->payload_len), bytes_of(&follow, 1), BYTES_NONE,
                      f->seq);
}
