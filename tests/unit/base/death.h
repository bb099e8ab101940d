/*
 * death.h - watch a process end by must(): run `deed` in a child and read what
 * it says on stderr.
 */
#ifndef UNIT_BASE_DEATH_H
#define UNIT_BASE_DEATH_H

#include "base/base.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* True when the deed ended in abort(); `said` is NUL-terminated. */
static inline bool dies(void (*deed)(void), char *said, size_t size)
{
    int ends[2];
    must(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        signal(SIGABRT, SIG_DFL);
        deed();
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    for (ssize_t n; len + 1 < size && (n = read(ends[0], said + len, size - 1 - len)) > 0;)
        len += (size_t)n;
    said[len] = '\0';
    close(ends[0]);
    int status;
    must(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
