/*
 * log.h - events as key=value lines.
 *
 * Any thread.  Lines go through a bounded ring of the calling thread to the
 * scribe thread, which writes them; before log_start() and after log_stop()
 * they are written at once.  A full ring drops the line and counts it; the
 * scribe says so.  Values with spaces, quotes, '=' or control bytes are quoted
 * and escaped by log_quote().  Each folder's lines belong to its area, which may
 * have a level of its own.
 *
 *     2026-11-23T08:00:00.123456Z warn event="server lost" session=12 server=db1 age_ms=5120
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/bytes.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above it are not even formatted.  Any thread may change it. */
extern _Atomic enum log_level log_level;

/* X(area, folder).  volvox_folder() in CMakeLists.txt defines LOG_AREA for a folder's files. */
#define LOG_AREA_LIST(X)                                                              \
    X(MAIN, "main") X(BASE, "base") X(PROTOCOL, "protocol") X(ROUTER, "router")       \
    X(RUN, "run") X(STATS, "stats") X(NET, "net") X(CONFIG, "config")                 \
    X(SERVERS, "servers") X(POOL, "pool") X(SESSION, "session") X(ADMIN, "admin")     \
    X(HTTP, "http")
enum log_area {
#define X(area, folder) LOG_AREA_##area,
    LOG_AREA_LIST(X)
#undef X
    LOG_AREAS
};
#ifndef LOG_AREA
#define LOG_AREA LOG_AREA_MAIN
#endif

/* An area's own level, or LOG_AS_ALL: that of log_level.  Any thread may change it. */
enum { LOG_AS_ALL = -1 };
extern _Atomic signed char log_level_of[LOG_AREAS];

static inline bool log_wants(enum log_area area, enum log_level level)
{
    int own = log_level_of[area];
    return (int)level <= (own != LOG_AS_ALL ? own : (int)log_level);
}

/* The space in front makes an empty format one the compiler accepts; log_line() skips it. */
#define log_error(event, ...) log_at(LOG_ERROR, event, " " __VA_ARGS__)
#define log_warn(event, ...) log_at(LOG_WARN, event, " " __VA_ARGS__)
#define log_info(event, ...) log_at(LOG_INFO, event, " " __VA_ARGS__)
#define log_debug(event, ...) log_at(LOG_DEBUG, event, " " __VA_ARGS__)
#define log_at(level, event, ...) \
    (log_wants(LOG_AREA, level) ? log_line(level, event, __VA_ARGS__) : (void)0)

/* The event in words and "key=value key=value" by format; at most 2 KiB. */
void log_line(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* s as a value, quoted where needed, into one of four buffers of this thread
 * that are reused in turn; at most 512 bytes, cut with "...". */
const char *log_quote(struct bytes s);

/* What this thread is working on, put into its lines ("session=12 "); the
 * string is copied, at most 63 bytes; "" for none. */
void log_context(const char *words);

/* Open `path` (NULL = stderr) and start the scribe.  False with errno set when
 * the file can't be opened.  log_reopen() after rotation (SIGUSR1). */
bool log_start(const char *path);
void log_reopen(void);
/* Write what is queued, stop the scribe. */
void log_stop(void);

bool log_level_parse(struct bytes name, enum log_level *out); /* error warn info debug */
const char *log_level_name(enum log_level level);

/* Levels of all areas, as a text such as "pool=debug,servers=warn" says. */
struct log_areas {
    signed char level[LOG_AREAS];          /* an enum log_level, or LOG_AS_ALL */
};
/* False with the first piece that is no "area=level" in `wrong`; an area that is not named, or
 * named in a text that is wrong, is LOG_AS_ALL. */
bool log_areas_parse(struct bytes text, struct log_areas *out, struct bytes *wrong);
void log_areas_set(const struct log_areas *areas);
const char *log_area_name(enum log_area area);

#endif
