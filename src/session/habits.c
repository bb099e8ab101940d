/*
 * habits.c - LAST_INSERT_ID(), ROW_COUNT() and FOUND_ROWS(): what the statement before left behind
 * in its connection; see inside.h.
 *
 * Most applications never ask in SQL (drivers read the OK packet), so most sessions pay nothing.
 * Users whose sessions have asked once are remembered: from then on their sessions keep the
 * connection for the counts, and look up the id after each statement that reported one.
 *
 * The id in an OK packet is not always LAST_INSERT_ID(): after an INSERT with an explicit value for
 * the AUTO_INCREMENT column it is that value, while the function keeps what it had (seen on both
 * families).  So the connection is asked; what it says counts if it can have come from this
 * session's statements.
 */
#include "session/inside.h"

#include "base/hash.h"
#include "base/str.h"

static unsigned habit_word(const struct session *s, uint64_t *bit)
{
    uint64_t h = hash_bytes(bytes_str(s->account->name));
    *bit = 1ull << (h & 63);
    return h >> 6 & 15;
}

bool habit_is_known(const struct session *s, const struct habits *h)
{
    uint64_t bit;
    unsigned word = habit_word(s, &bit);
    return (atomic_load_explicit(&h->bits[word], memory_order_relaxed) & bit) != 0;
}

void habit_note(const struct session *s, struct habits *h)
{
    uint64_t bit;
    unsigned word = habit_word(s, &bit);
    atomic_fetch_or_explicit(&h->bits[word], bit, memory_order_relaxed);
}

void note_insert_id(struct session *s, uint64_t id)
{
    if (id == 0)
        return;
    struct session_more *more = session_more(s);
    if (s->has_new_id && more->new_id_ticket != s->lease->ticket) {
        s->insert_id = more->new_id;  /* of an earlier lease, that nobody asked for there */
        s->has_new_id = false;
    }
    more->new_id_ticket = s->lease->ticket;
    more->new_id_min = s->has_new_id ? MIN(more->new_id_min, id) : id;
    more->new_id_max = s->has_new_id ? MAX(more->new_id_max, id) : id;
    more->new_id = id;
    s->has_new_id = true;
}

void set_insert_id(struct session *s, struct bytes value)
{
    uint64_t id;
    if (!str_to_u64(value, &id))
        return;
    s->insert_id = id;
    s->has_new_id = false;
    give_insert_id(s, s->lease);
}

void note_any_insert_id(struct session *s)
{
    note_insert_id(s, 1);
    note_insert_id(s, UINT64_MAX);
}

/* In the connection that ran the statements? */
static bool is_at_hand(struct session *s)
{
    return s->lease != NULL && s->lease->ticket == s->more->new_id_ticket;
}

bool settle_insert_id(struct task *t, struct session *s, struct fault *why)
{
    struct bytes value;
    uint64_t id = 0;
    if (!s->has_new_id)
        return true;
    struct session_more *more = s->more;
    if (!is_at_hand(s)) {
        s->insert_id = more->new_id;
    } else {
        if (!backend_ask_row(t, s->lease, BYTES_LITERAL("SELECT LAST_INSERT_ID()"), &value, 1, why))
            return false;
        if (str_to_u64(value, &id) && id >= more->new_id_min && id <= more->new_id_max) {
            s->insert_id = id;
            give_insert_id(s, s->lease);
        }
    }
    s->has_new_id = false;
    return true;
}
