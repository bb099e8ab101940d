/*
 * stack.c - make and switch stacks.
 *
 * On x86-64 a switch saves what a called function must preserve, on the stack that
 * is left, and takes the same from the other: 20 instructions, no system call.
 * Elsewhere, and with sanitizers, which must see it, a stack is entered once with
 * makecontext()/setcontext() and with siglongjmp() ever after: about 30 ns for a
 * round trip, against 600 ns for swapcontext(), which makes two system calls.  The
 * sanitizers, valgrind and, in debug builds, the paint that shows the deepest use
 * are told about it here and nowhere else.
 */
#undef _FORTIFY_SOURCE /* its longjmp() takes a second stack for a bug */

#include "run/inside.h"

#include "base/sanitizers.h"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if HAS_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#if HAS_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id)       (void)(id)
#define RUNNING_ON_VALGRIND                 0
#endif

/* Only unoptimized builds: paint makes every page of a stack resident. */
#if defined(NDEBUG) || defined(__OPTIMIZE__) || HAS_ASAN || HAS_TSAN
#define PAINTS 0
#else
#define PAINTS 1
#endif

#if defined(__x86_64__) && !defined(__SHSTK__) && !HAS_ASAN && !HAS_TSAN
#define SWAPS 1
#else
#define SWAPS 0
#endif

enum { STACK_BYTES = (HAS_ASAN || HAS_TSAN ? 256 : 64) << 10 };

static const uint64_t paint_word = UINT64_C(0x5ca1ab1e5ca1ab1e);

static _Thread_local struct {
    struct stack *from;
    void (*run)(void *);
    void *arg;
} entry; /* from stack_enter() to stack_main() */

#if SWAPS
/* The compiler must not conclude from the text below which registers a call leaves alone: after it, others
 * have used them all. */
#ifdef __clang__
#define OPAQUE __attribute__((naked, noinline))
#else
#define OPAQUE __attribute__((naked, noinline, noipa))
#endif

/* Leave what must be preserved and then the stack pointer, which *left remembers; go on where
 * `to` was remembered. */
OPAQUE static void swap(void **left, void *to)
{
    (void)left, (void)to;         /* in rdi and rsi */
    __asm__ volatile("pushq %rbp\n\t"
                     "pushq %rbx\n\t"
                     "pushq %r12\n\t"
                     "pushq %r13\n\t"
                     "pushq %r14\n\t"
                     "pushq %r15\n\t"
                     "movq %rsp, (%rdi)\n\t"
                     "movq %rsi, %rsp\n\t"
                     "popq %r15\n\t"
                     "popq %r14\n\t"
                     "popq %r13\n\t"
                     "popq %r12\n\t"
                     "popq %rbx\n\t"
                     "popq %rbp\n\t"
                     "ret");
}

/* As if swap() had been called there by nobody, to return to the beginning of `run`. */
static void *first_place(const struct stack *s, void (*run)(void))
{
    void **top = (void **)(((uintptr_t)s->base + s->size) & ~(uintptr_t)15);
    enum { NOBODY = 1, RETURN = 2, REGISTERS = 6 };
    memset(top - RETURN - REGISTERS, 0, (RETURN + REGISTERS) * sizeof *top);
    memcpy(top - RETURN, &run, sizeof run);
    return top - RETURN - REGISTERS;
}
#endif

/* After arriving on `on`.  `left` learns the bounds of the stack that we came
 * from, where it did not know them: the thread's own. */
static void arrived(struct stack *on, struct stack *left)
{
#if HAS_ASAN
    __sanitizer_finish_switch_fiber(on ? on->asan_fake : NULL, left ? &left->base : NULL,
                                    left ? &left->size : NULL);
#endif
    (void)on, (void)left;
}

#if !SWAPS
/* To be called between sigsetjmp() and the jump: TSan keeps jump buffers per
 * fiber and does not find them in any other order. */
static void leaving(struct stack *from, struct stack *to, bool for_ever)
{
#if HAS_ASAN
    __sanitizer_start_switch_fiber(for_ever ? NULL : &from->asan_fake, to->base, to->size);
#endif
#if HAS_TSAN
    from->tsan_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
    (void)from, (void)to, (void)for_ever;
}
#endif

static void stack_main(void)
{
    void (*run)(void *) = entry.run;
    void *arg = entry.arg;
    arrived(NULL, entry.from);
    run(arg);
    must(!"code on a stack returned");
}

void stack_enter(struct stack *from, struct stack *fresh, void (*run)(void *), void *arg)
{
    entry.from = from;
    entry.run = run;
    entry.arg = arg;
#if SWAPS
    swap(&from->place, first_place(fresh, stack_main));
#else
    ucontext_t uc;
    must(getcontext(&uc) == 0);
    uc.uc_stack.ss_sp = (void *)fresh->base;
    uc.uc_stack.ss_size = fresh->size;
    uc.uc_link = NULL;
    makecontext(&uc, stack_main, 0);
    if (sigsetjmp(from->at, 0) == 0) {
        leaving(from, fresh, false);
        setcontext(&uc);
        must(!"setcontext");
    }
    arrived(from, NULL);
#endif
}

void stack_switch(struct stack *from, struct stack *to)
{
#if SWAPS
    swap(&from->place, to->place);
#else
    if (sigsetjmp(from->at, 0) == 0) {
        leaving(from, to, false);
        siglongjmp(to->at, 1);
    }
    arrived(from, NULL);
#endif
}

_Noreturn void stack_leave(struct stack *from, struct stack *to)
{
#if SWAPS
    swap(&from->place, to->place);
    must(!"back on a stack left for ever");
#else
    leaving(from, to, true);
    siglongjmp(to->at, 1);
#endif
}

static void paint(struct stack *s)
{
    uint64_t *words = (uint64_t *)s->base;
    for (size_t i = 0; i < s->size / sizeof *words; i++)
        words[i] = paint_word;
    s->painted = true;
}

size_t stack_deepest(const struct stack *s)
{
    const uint64_t *words = s->base;
    size_t n = s->size / sizeof *words, i = 0;
    if (!s->painted)
        return 0;
    while (i < n && words[i] == paint_word)
        i++;
    return (n - i) * sizeof *words;
}

bool stack_make(struct stack *s)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    char *mem = mmap(NULL, guard + STACK_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (mem == MAP_FAILED)
        return false;
    if (mprotect(mem, guard, PROT_NONE) != 0) {
        munmap(mem, guard + STACK_BYTES);
        return false;
    }
    *s = (struct stack){ .mem = mem, .base = mem + guard, .size = STACK_BYTES };
    s->valgrind_id = VALGRIND_STACK_REGISTER(mem + guard, mem + guard + STACK_BYTES - 1);
    /* Valgrind does not let us read below a parked stack's pointer. */
    if (PAINTS && !RUNNING_ON_VALGRIND)
        paint(s);
#if HAS_TSAN
    s->tsan_fiber = __tsan_create_fiber(0);
#endif
    return true;
}

void stack_free(struct stack *s)
{
#if HAS_TSAN
    __tsan_destroy_fiber(s->tsan_fiber);
#endif
    VALGRIND_STACK_DEREGISTER(s->valgrind_id);
    must(munmap(s->mem, (size_t)((const char *)s->base - s->mem) + s->size) == 0);
    *s = (struct stack){ .mem = NULL };
}
