/*
 * mem.h - allocate or end the process with a message.
 *
 * For sizes that we choose.  Sizes chosen by a peer go through buf_reserve(),
 * which may refuse.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/bytes.h"

/* Never NULL (size 0 gives a unique pointer); the caller frees with mem_free(). */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);                       /* zeroed */
void *mem_realloc(void *p, size_t size);
void mem_free(void *p);                              /* NULL is fine */

/* Copies, NUL-terminated; the caller frees. */
char *mem_strdup(const char *s);
char *mem_strndup(const void *data, size_t len);

/* For secrets that stay: zeroed, left out of core dumps; freeing wipes.  Any thread. */
void *mem_secret_alloc(size_t size);
void mem_secret_free(void *p, size_t size);          /* of that size; NULL is fine */
size_t mem_secret_used(void);                        /* bytes, for tests */

/* Overwrite a secret so that the compiler keeps the write, then free. */
void mem_free_secret(void *p, size_t size);

#endif
