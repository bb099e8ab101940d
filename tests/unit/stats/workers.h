/*
 * workers.h - workers that only count.
 */
#ifndef UNIT_STATS_WORKERS_H
#define UNIT_STATS_WORKERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stats/inside.h"

static inline struct worker *counting_worker(int index)
{
    struct worker *w = worker_new(index);
    stats_worker_init(w);
    return w;
}

static inline void drop_worker(struct worker *w)
{
    stats_worker_release(w);
    worker_free(w);
}

/* A statement that took so long, on the primary, for "ann" in "shop". */
static inline struct served served_in(uint64_t digest, const char *sql, uint64_t total_us)
{
    return (struct served){
        .digest = digest,
        .text = bytes_str(sql),
        .user = "ann",
        .server = "db1",
        .schema = BYTES_LITERAL("shop"),
        .by = SERVED_PRIMARY,
        .total_us = total_us,
    };
}

#endif
