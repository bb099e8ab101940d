/*
 * throttle.c - failed logins by address; see accounts.h.
 *
 * One table holds two kinds of entries: an address, and a user who has logged in from an address.
 * Each has a level that failures raise and time lowers (a leaky bucket: `failures` leak out in
 * `window_s`).  The table is bounded: in a full row the entry that is least of a loss makes room,
 * so that whoever commands many addresses can wash out entries but not the others' logins.
 */
#include "accounts/accounts.h"

#include "base/hash.h"
#include "base/mem.h"

enum { ROWS = 4096, WAYS = 8, WAITING_MOST = 32, MEMORY_S = 24 * 3600 };

struct entry {
    uint64_t key;                      /* 0: unused */
    uint64_t touched_us, succeeded_us; /* succeeded_us: of a user, 0 = never */
    double level;                      /* as of touched_us */
    unsigned waiting;                  /* logins of an address */
};

struct throttle {
    pthread_mutex_t lock;
    struct entry entries[ROWS][WAYS];
};

struct throttle *throttle_new(void)
{
    struct throttle *th = mem_zalloc(sizeof *th);
    pthread_mutex_init(&th->lock, NULL);
    return th;
}

void throttle_free(struct throttle *th)
{
    pthread_mutex_destroy(&th->lock);
    mem_free(th);
}

/* ---- keys -------------------------------------------------------------------------------- */

/* Who has one IPv6 address has 2^64 of them. */
static size_t write_address(const struct address *from, uint8_t out[17])
{
    memset(out, 0, 17);
    if (from->any.sa_family == AF_INET) {
        out[0] = 4;
        memcpy(out + 1, &from->in4.sin_addr, 4);
    } else if (from->any.sa_family == AF_INET6) {
        out[0] = 6;
        memcpy(out + 1, &from->in6.sin6_addr, 8);
    }
    return 17; /* all unix sockets are one place */
}

static uint64_t key_of_address(const struct address *from)
{
    uint8_t text[17];
    size_t n = write_address(from, text);
    return hash_bytes(bytes_of(text, n)) | 1;
}

static uint64_t key_of_user(const struct address *from, struct bytes user)
{
    uint8_t text[17 + 96];
    size_t n = write_address(from, text), len = MIN(user.len, (size_t)96);
    if (len > 0)
        memcpy(text + n, user.data, len);
    return hash_bytes(bytes_of(text, n + len)) & ~1ull;
}

/* ---- entries ----------------------------------------------------------------------------- */

static struct entry *find(struct throttle *th, uint64_t key)
{
    struct entry *row = th->entries[(key >> 1) % ROWS];
    for (unsigned i = 0; i < WAYS; i++)
        if (row[i].key == key && key != 0)
            return &row[i];
    return NULL;
}

/* Lower is less of a loss. */
static bool is_less_of_a_loss(const struct entry *a, const struct entry *b)
{
    if ((a->key == 0) != (b->key == 0))
        return a->key == 0;
    if ((a->level >= 1) != (b->level >= 1))
        return a->level < 1;
    return a->touched_us < b->touched_us;
}

/* NULL if logins wait in all of the row's. */
static struct entry *find_or_make(struct throttle *th, uint64_t key)
{
    struct entry *row = th->entries[(key >> 1) % ROWS], *victim = NULL;
    struct entry *found = find(th, key);
    if (found != NULL)
        return found;
    for (unsigned i = 0; i < WAYS; i++)
        if (row[i].waiting == 0 && (victim == NULL || is_less_of_a_loss(&row[i], victim)))
            victim = &row[i];
    if (victim != NULL)
        *victim = (struct entry){ .key = key };
    return victim;
}

static void leak(struct entry *e, const struct throttle_limits *limits, uint64_t now_us)
{
    double elapsed_s = now_us > e->touched_us ? (double)(now_us - e->touched_us) / 1e6 : 0;
    e->level -= MIN(e->level, elapsed_s * limits->failures / MAX(limits->window_s, 1u));
    e->touched_us = MAX(now_us, e->touched_us);
}

/* Until one of `failures` has leaked out. */
static bool is_high(struct entry *e, const struct throttle_limits *limits, uint64_t now_us)
{
    leak(e, limits, now_us);
    return e->level > limits->failures - 1.0;
}

static void lift(struct entry *e, const struct throttle_limits *limits, uint64_t now_us)
{
    leak(e, limits, now_us);
    /* bounded, so that a long attack is forgotten soon after its end */
    e->level = MIN(e->level + 1, 2.0 * limits->failures);
}

/* ---- questions --------------------------------------------------------------------------- */

static enum throttle_verdict ask(struct throttle *th, const struct throttle_limits *limits,
                                 const struct address *from, struct bytes user, uint64_t now_us)
{
    struct entry *address = find(th, key_of_address(from));
    struct entry *known = find(th, key_of_user(from, user));
    if (address == NULL || !is_high(address, limits, now_us))
        return THROTTLE_PASS;
    if (known != NULL && known->succeeded_us + MEMORY_S * 1000000ull > now_us &&
        known->succeeded_us != 0 && !is_high(known, limits, now_us))
        return THROTTLE_PASS;
    if (address->waiting == WAITING_MOST)
        return THROTTLE_REFUSE;
    address->waiting++;
    return THROTTLE_WAIT;
}

enum throttle_verdict throttle_ask(struct throttle *th, const struct throttle_limits *limits,
                                   const struct address *from, struct bytes user, uint64_t now_us)
{
    if (limits->failures == 0)
        return THROTTLE_PASS;
    pthread_mutex_lock(&th->lock);
    enum throttle_verdict verdict = ask(th, limits, from, user, now_us);
    pthread_mutex_unlock(&th->lock);
    return verdict;
}

void throttle_waited(struct throttle *th, const struct address *from)
{
    pthread_mutex_lock(&th->lock);
    struct entry *address = find(th, key_of_address(from));
    must(address != NULL && address->waiting > 0);
    address->waiting--;
    pthread_mutex_unlock(&th->lock);
}

bool throttle_failed(struct throttle *th, const struct throttle_limits *limits,
                     const struct address *from, struct bytes user, uint64_t now_us)
{
    bool has_become_slow = false;
    if (limits->failures == 0)
        return false;
    pthread_mutex_lock(&th->lock);
    struct entry *address = find_or_make(th, key_of_address(from));
    struct entry *known = find(th, key_of_user(from, user));
    if (address != NULL) {
        bool was_high = is_high(address, limits, now_us);
        lift(address, limits, now_us);
        has_become_slow = !was_high && is_high(address, limits, now_us);
    }
    if (known != NULL)
        lift(known, limits, now_us);
    pthread_mutex_unlock(&th->lock);
    return has_become_slow;
}

void throttle_succeeded(struct throttle *th, const struct address *from, struct bytes user,
                        uint64_t now_us)
{
    pthread_mutex_lock(&th->lock);
    struct entry *known = find_or_make(th, key_of_user(from, user));
    if (known != NULL) {
        known->succeeded_us = now_us;
        if (known->level == 0) /* else it is the level's time */
            known->touched_us = MAX(known->touched_us, now_us);
    }
    pthread_mutex_unlock(&th->lock);
}
