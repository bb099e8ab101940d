/*
 * recorded.h - what record.py recorded, and a few helpers for tests of protocol/.
 */
#ifndef UNIT_PROTOCOL_RECORDED_H
#define UNIT_PROTOCOL_RECORDED_H

#include "protocol/protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct record {
    char name[48], kind[16], steps[16];
    uint64_t caps;
    uint8_t seq;
    struct bytes data; /* freed by record_release() */
};

static const char *const recorded_families[] = { "mariadb", "mysql" };

static inline struct bytes from_hex(const char *hex)
{
    size_t n = strcspn(hex, "\r\n ") / 2;
    uint8_t *data = malloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        data[i] = (uint8_t)byte;
    }
    return bytes_of(data, n);
}

/* Call f for each response recorded from `family`; returns how many there were. */
static inline unsigned each_record(const char *family, void (*f)(const struct record *r, void *arg),
                                   void *arg)
{
    char path[128], *line = NULL;
    size_t size = 0;
    unsigned count = 0;
    snprintf(path, sizeof path, "tests/unit/protocol/data/%s.txt", family);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (getline(&line, &size, file) > 0) {
        struct record r;
        unsigned seq;
        unsigned long long caps;
        int at = 0;
        if (strncmp(line, "token ", 6) == 0)
            continue;
        assert_int_equal(
            sscanf(line, "%47s %15s %16llx %u %15s %n", r.name, r.kind, &caps, &seq, r.steps, &at), 5);
        r.caps = caps;
        r.seq = (uint8_t)seq;
        r.data = from_hex(line + at);
        f(&r, arg);
        free((void *)r.data.data);
        count++;
    }
    free(line);
    fclose(file);
    return count;
}

/* A copy of exactly this size, so that ASan sees a read beyond it.  Freed by the caller. */
static inline struct bytes exact_copy(struct bytes b)
{
    uint8_t *copy = malloc(b.len > 0 ? b.len : 1);
    if (b.len > 0)
        memcpy(copy, b.data, b.len);
    /* An empty view one past the only byte: reading it is an overrun, too. */
    return bytes_of(b.len > 0 ? copy : copy + 1, b.len);
}

static inline void exact_free(struct bytes b)
{
    free((void *)(b.len > 0 ? b.data : b.data - 1));
}

#define assert_bytes_equal(got, expected)                                                          \
    do {                                                                                           \
        struct bytes got_ = (got), expected_ = (expected);                                         \
        assert_int_equal(got_.len, expected_.len);                                                 \
        if (expected_.len > 0)                                                                     \
            assert_memory_equal(got_.data, expected_.data, expected_.len);                         \
    } while (0)
#define assert_text(got, expected) assert_bytes_equal(got, bytes_str(expected))

/* The payload of the only packet in `out`. */
static inline struct bytes payload_of(const struct buf *out)
{
    struct packet p;
    size_t need;
    assert_true(packet_find(buf_bytes(out), SIZE_MAX, &p, &need, NULL));
    assert_int_equal(p.wire_len, buf_len(out));
    assert_int_equal(p.frames, 1);
    return bytes_of(buf_head(out) + FRAME_HEADER, p.payload_len);
}

#endif
