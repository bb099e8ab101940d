/*
 * habits.c - what users' sessions have been seen to ask for; see inside.h.
 *
 * ROW_COUNT() and FOUND_ROWS() inside of a larger statement can only be answered by the connection that ran
 * the statement before.  Most applications never ask (drivers read the OK packet), so most sessions pay
 * nothing.  Users whose sessions have asked once are remembered: from then on their sessions keep the
 * connection.
 */
#include "session/inside.h"

static unsigned habit_word(const struct session *s, uint64_t *bit)
{
    uint64_t h = s->account->name_hash;
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
