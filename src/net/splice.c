/*
 * splice.c - bytes that nobody looks at go from socket to socket without coming by here; see net.h.
 *
 * splice() wants a pipe between the two.  A worker keeps a few of them; one is in use only while
 * its bytes are on their way, which for a slow receiver can be long: there are at most
 * PIPES_MOST then, and who gets none copies.
 */
#include "net/inside.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

enum {
    PIPE_BYTES = 1 << 20, /* asked for; what the system grants may be less          */
    PIPES_KEPT = 4,       /* of each worker, empty                                   */
    PIPES_MOST = 64,      /* of each worker                                          */
};

struct tube {
    int out, in; /* as pipe2() fills them */
};

/* A worker's; on the heap of its thread. */
struct tubes {
    struct tube kept[PIPES_KEPT];
    unsigned n_kept, n_open;
};

static pthread_key_t tubes_key;
static pthread_once_t tubes_once = PTHREAD_ONCE_INIT;

static void tube_close(struct tubes *all, struct tube tube)
{
    close(tube.out);
    close(tube.in);
    all->n_open--;
}

static void free_tubes(void *mine)
{
    struct tubes *all = mine;
    while (all->n_kept > 0)
        tube_close(all, all->kept[--all->n_kept]);
    mem_free(all);
}

static void make_key(void)
{
    must(pthread_key_create(&tubes_key, free_tubes) == 0);
}

static struct tubes *tubes_of_thread(void)
{
    pthread_once(&tubes_once, make_key);
    struct tubes *all = pthread_getspecific(tubes_key);
    if (all == NULL) {
        all = mem_zalloc(sizeof *all);
        must(pthread_setspecific(tubes_key, all) == 0);
    }
    return all;
}

static bool tube_get(struct tubes *all, struct tube *tube)
{
    int ends[2];
    if (all->n_kept > 0) {
        *tube = all->kept[--all->n_kept];
        return true;
    }
    if (all->n_open == PIPES_MOST || pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        return false;
    all->n_open++;
    *tube = (struct tube){ .out = ends[0], .in = ends[1] };
    (void)fcntl(tube->in, F_SETPIPE_SZ, PIPE_BYTES);
    return true;
}

/* It is empty. */
static void tube_put(struct tubes *all, struct tube tube)
{
    if (all->n_kept == PIPES_KEPT)
        tube_close(all, tube);
    else
        all->kept[all->n_kept++] = tube;
}

static ssize_t splice_some(int from, int to, size_t n)
{
    ssize_t moved;
    do
        moved = splice(from, NULL, to, NULL, n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    while (moved < 0 && errno == EINTR);
    return moved;
}

/* All that is in the tube; parks while the receiver takes nothing. */
static bool drain(struct task *t, struct tube tube, struct stream *to, size_t n, double deadline,
                  struct fault *why)
{
    while (n > 0) {
        ssize_t moved = splice_some(tube.out, stream_fd(to), n);
        if (moved > 0) {
            to->sent += (uint64_t)moved;
            n -= (size_t)moved;
        } else if (errno != EAGAIN) {
            to->broken = true;
            return stream_say_lost(to, errno, why);
        } else if (!stream_wait_writable(t, to, deadline, why)) {
            return false;
        }
    }
    return true;
}

bool stream_may_splice(const struct stream *from, const struct stream *to, uint64_t n)
{
    return n >= SPLICE_LEAST && from->top == NULL && to->top == NULL && buf_len(&from->in) == 0 &&
           !from->peer_closed && !from->unreadable;
}

enum spliced stream_splice(struct task *t, struct stream *from, struct stream *to, uint64_t *n,
                           double deadline, struct fault *why)
{
    struct tube tube;
    struct tubes *all = tubes_of_thread();
    if (!stream_flush(t, to, deadline, why))
        return SPLICE_FAILED;
    if (!tube_get(all, &tube))
        return SPLICE_NOT;
    ssize_t moved = splice_some(stream_fd(from), tube.in, (size_t)MIN(*n, (uint64_t)PIPE_BYTES));
    if (moved <= 0) {
        int error = errno;
        tube_put(all, tube);
        return moved < 0 && error == EAGAIN ? SPLICE_EMPTY : SPLICE_NOT;
    }
    from->received += (uint64_t)moved;
    *n -= (uint64_t)moved;
    if (!drain(t, tube, to, (size_t)moved, deadline, why)) {
        tube_close(all, tube); /* something is left in it */
        return SPLICE_FAILED;
    }
    tube_put(all, tube);
    return SPLICE_MOVED;
}
