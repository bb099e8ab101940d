/*
 * hash.h - seeded hash for maps (not for storage), 64 bits.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/bytes.h"

/* Choose the process's seed from the kernel; called once at start (otherwise
 * a fixed seed, for tests). */
void hash_seed(void);

/* SipHash-1-3 or better: a client that chooses keys can't make them collide. */
uint64_t hash_bytes(struct bytes b);

#endif
