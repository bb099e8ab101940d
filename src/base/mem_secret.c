/*
 * mem_secret.c - memory that core dumps leave out: blocks of few sizes, cut from mappings that say
 * so.
 *
 * Mappings are never given back: what is free waits in a list per size, wiped.
 */
#include "base/mem.h"

#include <pthread.h>
#include <sys/mman.h>

enum { SMALLEST = 64, CLASSES = 8, LARGEST = SMALLEST << (CLASSES - 1), MAPPING = 64 << 10 };

struct block {
    struct block *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *unused[CLASSES];
static size_t used;

static void *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(p != MAP_FAILED);
    (void)madvise(p, size, MADV_DONTDUMP);
    return p;
}

static unsigned class_of(size_t size)
{
    unsigned class = 0;
    while ((size_t)SMALLEST << class < size)
        class ++;
    return class;
}

static void cut_mapping(unsigned class)
{
    size_t size = (size_t)SMALLEST << class;
    uint8_t *from = map(MAPPING);
    for (size_t at = 0; at + size <= MAPPING; at += size) {
        struct block *b = (struct block *)(void *)(from + at);
        b->next = unused[class];
        unused[class] = b;
    }
}

void *mem_secret_alloc(size_t size)
{
    if (size > LARGEST)
        return map(size);
    unsigned class = class_of(size);
    pthread_mutex_lock(&lock);
    if (unused[class] == NULL)
        cut_mapping(class);
    struct block *b = unused[class];
    unused[class] = b->next;
    used += (size_t)SMALLEST << class;
    pthread_mutex_unlock(&lock);
    b->next = NULL;
    return b;
}

void mem_secret_free(void *p, size_t size)
{
    if (p == NULL)
        return;
    explicit_bzero(p, size);
    if (size > LARGEST) {
        munmap(p, size);
        return;
    }
    unsigned class = class_of(size);
    struct block *b = p;
    pthread_mutex_lock(&lock);
    b->next = unused[class];
    unused[class] = b;
    used -= (size_t)SMALLEST << class;
    pthread_mutex_unlock(&lock);
}

size_t mem_secret_used(void)
{
    pthread_mutex_lock(&lock);
    size_t n = used;
    pthread_mutex_unlock(&lock);
    return n;
}
