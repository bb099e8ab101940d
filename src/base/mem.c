#include "base/mem.h"

static void *must_have(void *p, size_t size)
{
    if (p == NULL) {
        char what[64];
        snprintf(what, sizeof(what), "memory for %zu bytes", size);
        must_failed(what, __FILE__, __LINE__);
    }
    return p;
}

void *mem_alloc(size_t size)
{
    return must_have(malloc(MAX(size, 1)), size);
}

void *mem_zalloc(size_t size)
{
    return must_have(calloc(1, MAX(size, 1)), size);
}

/* Size 0 would free p and return NULL. */
void *mem_realloc(void *p, size_t size)
{
    return must_have(realloc(p, MAX(size, 1)), size);
}

void mem_free(void *p)
{
    free(p);
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

char *mem_strndup(const void *data, size_t len)
{
    must(len < SIZE_MAX);
    char *copy = mem_alloc(len + 1);
    if (len > 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

void mem_free_secret(void *p, size_t size)
{
    if (p == NULL)
        return;
    explicit_bzero(p, size);
    free(p);
}
