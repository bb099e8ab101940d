/*
 * accounts.h - who sessions are at the servers, what their logins have taught us, and which addresses
 * guess.
 *
 * Any thread.  An account is immutable and counted; the store and the throttle have a mutex each.
 */
#ifndef ACCOUNTS_ACCOUNTS_H
#define ACCOUNTS_ACCOUNTS_H

#include <pthread.h>

#include "base/list.h"
#include "base/map.h"
#include "base/ref.h"
#include "net/net.h"
#include "protocol/protocol.h"

/* ---- account.c: an account on the servers ---------------------------------------------- */

enum { ACCOUNT_KEY_BYTES = 32 };

struct account {
    struct ref ref;
    size_t size;                  /* of the allocation                                    */
    const char *name;             /* as the client logged in                              */
    uint64_t name_hash;           /* hash_bytes() of it                                   */
    const char *server_user;      /* as we log in                                         */
    struct secret secret;         /* what is known of the password there                  */
    uint8_t key[ACCOUNT_KEY_BYTES]; /* equal if server_user and secret are: pools go by it */
    bool is_learnt;               /* from logins, not from the configuration              */
    bool is_relayed;              /* nothing is known of the password: each connection is
                                     proven by the client itself                         */
};
/* With a copy of the secret; NULL: relayed. */
struct account *account_new(const char *name, const char *server_user, const struct secret *secret,
                            bool is_learnt);
struct account *account_take(struct account *a);
void account_drop(struct account *a);     /* NULL is fine; the last one wipes and frees */
/* May it log in at servers, by some plugin at least? */
bool account_is_usable(const struct account *a);

/* ---- store.c: what logins taught ----------------------------------------------------------- */

/* Accounts by a key of the caller's, at most `max`, the least recently used goes first; each is forgotten
 * when nobody has asked for it for `lifetime_s`.  Sessions that use an account hold it themselves. */
struct account_store {
    pthread_mutex_t lock;
    struct map by_key;            /* key -> struct store_entry                            */
    struct list used;             /* most recent first                                    */
    unsigned max;
    unsigned lifetime_s;
};
void account_store_init(struct account_store *s);
void account_store_release(struct account_store *s);
void account_store_limits(struct account_store *s, unsigned max, unsigned lifetime_s);
/* The account (a reference) and when it was last proven to be right; NULL if none is known. */
struct account *account_store_find(struct account_store *s, struct bytes key, uint64_t now_us,
                                   uint64_t *proven_us);
/* Remember (a reference of its own) instead of what was known. */
void account_store_put(struct account_store *s, struct bytes key, struct account *a, uint64_t now_us);
/* It does not hold any more; nothing happens if another one is known by now. */
void account_store_forget(struct account_store *s, struct bytes key, const struct account *a);
/* Now and then: forget what is old. */
void account_store_sweep(struct account_store *s, uint64_t now_us);
unsigned account_store_count(struct account_store *s);

/* ---- throttle.c: failed logins by address -------------------------------------------------- */

/* An address (of IPv6 the first 64 bits) that fails too often is slowed down: its next logins wait
 * before their password is looked at, few of them at a time.  Users that have logged in from there
 * before are not slowed by the others' failures, only by their own. */
struct throttle;
struct throttle_limits {
    unsigned failures;            /* 0: off                                               */
    unsigned window_s;            /* ... within this time                                 */
    unsigned delay_ms;
};
struct throttle *throttle_new(void);
void throttle_free(struct throttle *th);

enum throttle_verdict {
    THROTTLE_PASS,
    THROTTLE_WAIT,                /* for delay_ms; then throttle_waited()                 */
    THROTTLE_REFUSE,              /* too many of that address wait already                */
};
enum throttle_verdict throttle_ask(struct throttle *th, const struct throttle_limits *limits,
                                   const struct address *from, struct bytes user, uint64_t now_us);
void throttle_waited(struct throttle *th, const struct address *from);
/* How the login ended.  True when the address has just become slow. */
bool throttle_failed(struct throttle *th, const struct throttle_limits *limits,
                     const struct address *from, struct bytes user, uint64_t now_us);
void throttle_succeeded(struct throttle *th, const struct address *from, struct bytes user,
                        uint64_t now_us);

#endif
