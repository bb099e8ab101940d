/*
 * base.h - what every file includes: assertions, a few macros, banned functions.
 *
 * base/ is a toolbox of small public headers; nothing in it knows MySQL, the
 * event loop, or any other folder.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_USE __attribute__((warn_unused_result))

/* Broken invariants end the process with a message, in every build.  What a
 * peer can send is never a must(), always a fault. */
#define must(cond) ((cond) ? (void)0 : must_failed(#cond, __FILE__, __LINE__))

/* Print what was expected and where, flush, abort().  Does not return. */
_Noreturn void must_failed(const char *what, const char *file, int line);

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Use base/str.h, snprintf, memcpy with a checked length. */
#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef strtok
#define strcpy(d, s) BANNED_use_base_str_h
#define strcat(d, s) BANNED_use_base_str_h
#define sprintf(...) BANNED_use_snprintf
#define vsprintf(...) BANNED_use_vsnprintf
#define strtok(s, d) BANNED_use_strtok_r

#endif
