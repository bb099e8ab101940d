/*
 * inside.h - what the files of base/ say to each other about the log.
 *
 * log.c makes the words of a line, scribe.c brings them to the file.
 */
#ifndef BASE_INSIDE_H
#define BASE_INSIDE_H

#include "base/log.h"

enum { LINE_MAX_BYTES = 2048 };

/* Queue (or, without a scribe, write) one line: everything behind the level.
 * text.len <= LINE_MAX_BYTES. */
void scribe_line(enum log_level level, struct bytes text);

/* For a process about to abort: write what is queued and then `text`, if that
 * can be done soon; stderr gets `text` in any case.  Never blocks for long. */
void scribe_last_words(const char *text);

#endif
