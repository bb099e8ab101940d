/*
 * own_id.c - CONNECTION_ID() is what the greeting said; see inside.h.
 *
 * A session's statements run on connections with ids of their own, and ordinary accounts may not set
 * pseudo_thread_id, whose value the function is on both families.  So the text that a server gets asks
 * for something else that gives the client's id (router/thread_id.c), and what comes back is put
 * right where it shows that: names of columns, errors.
 *
 * A text that was not read to its end or not for certain goes as it is.
 */
#include "session/inside.h"

void own_id_put(struct session *s, struct command *cmd)
{
    struct arena *arena = task_arena(s->task);
    struct bytes text = command_text(cmd);
    if (!cmd->whole || cmd->st.is_broken || cmd->st.changes_reading || s->says_own_id)
        return;
    struct bytes ours = thread_id_put(text, &s->mode, s->state->schema, s->id, arena);
    size_t front = (size_t)(text.data - cmd->head), len = front + ours.len;
    if (ours.data == text.data || len >= FRAME_MAX)
        return;
    uint8_t *wire = arena_alloc(arena, FRAME_HEADER + len);
    frame_set_header(wire, (uint32_t)len, 0);
    memcpy(wire + FRAME_HEADER, cmd->head, front);
    memcpy(wire + FRAME_HEADER + front, ours.data, ours.len);
    cmd->wire = bytes_of(wire, FRAME_HEADER + len);
    cmd->rewritten = ours;
    cmd->has_own_id = true;
}

struct bytes own_id_text(const struct session *s, struct bytes error)
{
    return thread_id_take_back(error, s->id, task_arena(s->task));
}

/* Catalog, schema, table, original table; then the name and the original name. */
enum { NAMES_BEFORE = 4, NAMES = 6 };

struct bytes own_id_column(const struct session *s, struct bytes definition)
{
    struct cursor c = cursor_of(definition);
    struct bytes names[NAMES];
    struct buf out = { 0 };
    bool changes = false;
    for (int i = 0; i < NAMES; i++) {
        struct bytes theirs = read_lenenc_bytes(&c);
        names[i] = i < NAMES_BEFORE ? theirs : own_id_text(s, theirs);
        changes |= names[i].data != theirs.data;
    }
    if (c.bad || !changes)
        return definition;
    for (int i = 0; i < NAMES; i++)
        write_lenenc_bytes(&out, names[i]);
    buf_add(&out, read_rest(&c));
    struct bytes ours = arena_copy(task_arena(s->task), buf_bytes(&out));
    buf_release(&out);
    return ours;
}
