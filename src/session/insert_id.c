/*
 * insert_id.c - LAST_INSERT_ID(), which lies in a connection, follows the session; see inside.h.
 *
 * The id in an OK packet is not always what the function gives: after an INSERT with an explicit
 * value for the AUTO_INCREMENT column it is that value, while the function keeps what it had (seen
 * on both families); and an INSERT that fails may have taken one and does not say so.  So an id is
 * believed if it can't have been given by the statement itself (router/values.c); in doubt the
 * connection is asked, while the client reads its answer, or, if the session keeps the connection,
 * when it leaves it.
 *
 * What the connection says then is new if it is not what the connection had before.
 */
#include "session/inside.h"

#include "base/str.h"

static void settle_with(struct session *s, uint64_t id)
{
    s->insert_id = id;
    s->has_new_id = false;
    give_insert_id(s, s->lease);
}

bool uses_insert_id(const struct command *cmd)
{
    return (cmd->st.effects & EFFECT_INSERT_ID) != 0 || cmd->st.verb == VERB_CALL;
}

static void doubt(struct session *s)
{
    struct backend *be = s->lease;
    struct session_more *more = session_more(s);
    if (!s->has_new_id)
        more->id_before = be->insert_id_in_doubt ? ID_NOT_KNOWN : be->insert_id;
    be->insert_id_in_doubt = true;
    s->has_new_id = true;
}

/* Parameters of an EXECUTE: any bytes that could be the id, as a number of any type or as text. */
static bool may_be_a_parameter(const struct command *cmd, uint64_t id)
{
    char digits[24];
    double d = (double)id;
    float f = (float)id;
    struct bytes sent = bytes_of(cmd->head, cmd->head_len);
    size_t width = id < 1u << 8 ? 1 : id < 1u << 16 ? 2 : id < 1ull << 32 ? 3 : 5;
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)id);
    const struct bytes looks[] = { bytes_str(digits), bytes_of(&id, width), bytes_of(&d, sizeof d),
                                   bytes_of(&f, sizeof f) };
    for (size_t i = 0; i < ARRAY_LEN(looks); i++)
        if (memmem(sent.data, sent.len, looks[i].data, looks[i].len) != NULL)
            return true;
    return false;
}

/* Did the server make it? */
static bool is_generated(const struct session *s, const struct command *cmd, uint64_t id)
{
    bool is_plain = cmd->code == COM_QUERY || cmd->code == COM_STMT_EXECUTE;
    if (!is_plain || !cmd->whole || cmd->st.verb != VERB_WRITE ||
        (cmd->st.effects & EFFECT_MULTI) != 0)
        return false;
    if (id > INT64_MAX) /* most likely the statement said -1 */
        return false;
    if (cmd->stmt != NULL && (cmd->stmt->has_long_data || may_be_a_parameter(cmd, id)))
        return false;
    return statement_gives_no_id(command_statement_text(cmd), &s->mode, id);
}

void note_insert_id(struct session *s, const struct command *cmd, uint64_t id)
{
    if (id == 0)
        return;
    if (is_generated(s, cmd, id))
        settle_with(s, id);
    else
        doubt(s);
}

void note_any_insert_id(struct session *s)
{
    doubt(s);
}

void set_insert_id(struct session *s, struct bytes value)
{
    uint64_t id;
    if (str_to_u64(value, &id))
        settle_with(s, id);
}

bool settle_insert_id(struct task *t, struct session *s, struct fault *why)
{
    struct bytes value;
    uint64_t id;
    if (!s->has_new_id)
        return true;
    struct backend *be = s->lease;
    if (be == NULL) { /* it died */
        s->has_new_id = false;
        return true;
    }
    if (!backend_ask_row(t, be, BYTES_LITERAL("SELECT LAST_INSERT_ID()"), &value, 1, why))
        return false;
    if (!str_to_u64(value, &id))
        return backend_nonsense(be, why);
    be->insert_id = id;
    be->insert_id_in_doubt = false;
    s->has_new_id = false;
    if (id != s->more->id_before)
        s->insert_id = id;
    return true;
}
