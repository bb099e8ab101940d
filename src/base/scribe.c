/*
 * How lines get from any thread to the file.
 *
 *     thread --> its ring --+
 *     thread --> its ring --+--> pages (under reading_lock) --> write()
 *     thread --> its ring --+
 *
 * A ring has one writer, its thread, and one reader, whoever holds
 * reading_lock: the scribe while it runs, else the thread that has a line to
 * write.  So a thread with a scribe never waits for the file.
 *
 * Nothing is lost around log_stop(): a writer publishes its line and then looks
 * at `is_running`; log_stop() clears that and then reads the rings once more.
 * One of the two sees the other (both sides are seq_cst), and either reads.
 * The same argument with `is_asleep` wakes the scribe.
 */
#include "base/inside.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum {
    RING_BYTES = 64 * 1024, /* a power of two */
    PAGE_BYTES = 64 * 1024,
    STAMP_BYTES = 48,     /* time, level and the newline of a line */
    LINES_AT_ONCE = 1000, /* then the scribe lets others have the lock */
    LAST_WORDS_WAIT_MS = 200,
};

struct line_head {
    uint64_t wall_us;
    uint32_t len;
    uint32_t level;
};

struct ring {
    struct ring *older;    /* changed by the reader only */
    atomic_bool is_closed; /* its thread is gone */
    atomic_uint_fast64_t dropped;
    atomic_uint_fast64_t read, written; /* bytes since the beginning */
    char data[RING_BYTES];
};

static _Atomic(struct ring *) rings; /* newest first; pushed by any thread */
static _Thread_local struct ring *my_ring;
static pthread_key_t ring_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static atomic_bool is_running, is_asleep;
static sem_t wake;
static pthread_t scribe;

static pthread_mutex_t reading_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint waiting; /* for reading_lock, which by itself is not fair */
/* Under reading_lock, from here on. */
static int out_fd = STDERR_FILENO;
static uint64_t lost_lines; /* not reported yet */
static struct page {
    size_t used;
    unsigned lines;
    char data[PAGE_BYTES];
} page;
/* Of the control thread, which starts, reopens and stops. */
static char *out_path;

/* --- the page: lines on their way into the file ----------------------------- */

/* False when the file does not take them: a full disk, a reader gone. */
static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n >= 0) {
            data += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static void flush_page(void)
{
    if (!write_all(out_fd, page.data, page.used))
        lost_lines += page.lines;
    page.used = page.lines = 0;
}

/* Room for one more line, and the time and level in it. */
static void begin_line(uint64_t wall_us, enum log_level level)
{
    if (PAGE_BYTES - page.used < STAMP_BYTES + LINE_MAX_BYTES)
        flush_page();
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm utc;
    char day[24];
    gmtime_r(&seconds, &utc);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &utc);
    int n = snprintf(page.data + page.used, STAMP_BYTES, "%s.%06uZ %s ", day,
                     (unsigned)(wall_us % 1000000), log_level_name(level));
    page.used += (size_t)n;
}

static void end_line(void)
{
    page.data[page.used++] = '\n';
    page.lines++;
}

static void page_line(uint64_t wall_us, enum log_level level, struct bytes text)
{
    begin_line(wall_us, level);
    memcpy(page.data + page.used, text.data, text.len);
    page.used += text.len;
    end_line();
}

static void report_lost(void)
{
    char text[80];
    if (lost_lines == 0)
        return;
    int n = snprintf(text, sizeof(text), "event=\"log lines dropped\" lines=%llu",
                     (unsigned long long)lost_lines);
    uint64_t reported = lost_lines;
    flush_page();
    page_line(clock_wall_us(), LOG_WARN, bytes_of(text, (size_t)n));
    page.lines = 0; /* not counted as lost itself */
    if (write_all(out_fd, page.data, page.used))
        lost_lines -= reported;
    page.used = 0;
}

static void lock_reading(void)
{
    atomic_fetch_add(&waiting, 1);
    pthread_mutex_lock(&reading_lock);
    atomic_fetch_sub(&waiting, 1);
}

static void unlock_reading(void)
{
    pthread_mutex_unlock(&reading_lock);
}

/* --- rings, the writer's side ------------------------------------------------ */

static void read_rings(void);

static void wake_scribe(void)
{
    if (atomic_load(&is_asleep) && atomic_exchange(&is_asleep, false))
        sem_post(&wake);
}

/* Something has been published: somebody has to read it. */
static void have_it_read(void)
{
    if (atomic_load(&is_running)) {
        wake_scribe();
        return;
    }
    lock_reading();
    read_rings();
    unlock_reading();
}

/* The reader frees a closed ring when it has read it. */
static void close_ring(void *arg)
{
    struct ring *r = arg;
    my_ring = NULL;
    atomic_store(&r->is_closed, true);
    have_it_read();
}

static void init_once(void)
{
    must(pthread_key_create(&ring_key, close_ring) == 0);
    must(sem_init(&wake, 0, 0) == 0);
}

static struct ring *open_ring(void)
{
    struct ring *r = mem_alloc(sizeof(*r));
    atomic_init(&r->is_closed, false);
    atomic_init(&r->dropped, 0);
    atomic_init(&r->read, 0);
    atomic_init(&r->written, 0);
    r->older = atomic_load(&rings);
    while (!atomic_compare_exchange_weak(&rings, &r->older, r))
        ;
    pthread_setspecific(ring_key, r);
    return my_ring = r;
}

static void copy_in(struct ring *r, uint64_t at, const void *from, size_t len)
{
    size_t start = at % RING_BYTES;
    size_t first = MIN(len, RING_BYTES - start);
    memcpy(r->data + start, from, first);
    memcpy(r->data, (const char *)from + first, len - first);
}

static void copy_out(const struct ring *r, uint64_t at, void *to, size_t len)
{
    size_t start = at % RING_BYTES;
    size_t first = MIN(len, RING_BYTES - start);
    memcpy(to, r->data + start, first);
    memcpy((char *)to + first, r->data, len - first);
}

static void publish(struct ring *r, const struct line_head *head, struct bytes text)
{
    uint64_t written = atomic_load_explicit(&r->written, memory_order_relaxed);
    uint64_t used = written - atomic_load_explicit(&r->read, memory_order_acquire);
    if (RING_BYTES - used < sizeof(*head) + text.len) {
        atomic_fetch_add(&r->dropped, 1);
        return;
    }
    copy_in(r, written, head, sizeof(*head));
    copy_in(r, written + sizeof(*head), text.data, text.len);
    atomic_store(&r->written, written + sizeof(*head) + text.len);
}

static void write_at_once(const struct line_head *head, struct bytes text)
{
    lock_reading();
    read_rings();
    page_line(head->wall_us, head->level, text);
    flush_page();
    unlock_reading();
}

void scribe_line(enum log_level level, struct bytes text)
{
    must(text.len <= LINE_MAX_BYTES);
    struct line_head head = { clock_wall_us(), (uint32_t)text.len, level };
    if (!atomic_load(&is_running)) {
        write_at_once(&head, text);
        return;
    }
    publish(my_ring != NULL ? my_ring : open_ring(), &head, text);
    have_it_read();
}

/* --- rings, the reader's side (under reading_lock) --------------------------- */

static bool peek(const struct ring *r, struct line_head *head)
{
    uint64_t read = atomic_load_explicit(&r->read, memory_order_relaxed);
    if (atomic_load(&r->written) == read)
        return false;
    copy_out(r, read, head, sizeof(*head));
    return true;
}

/* The ring whose next line is the oldest of all, so that lines come out in the
 * order of their times. */
static struct ring *oldest_line(struct line_head *oldest)
{
    struct ring *found = NULL;
    struct line_head head;
    for (struct ring *r = atomic_load(&rings); r != NULL; r = r->older)
        if (peek(r, &head) && (found == NULL || head.wall_us < oldest->wall_us)) {
            found = r;
            *oldest = head;
        }
    return found;
}

static void take_line(struct ring *r, const struct line_head *head)
{
    uint64_t read = atomic_load_explicit(&r->read, memory_order_relaxed) + sizeof(*head);
    begin_line(head->wall_us, head->level);
    copy_out(r, read, page.data + page.used, head->len);
    page.used += head->len;
    end_line();
    atomic_store_explicit(&r->read, read + head->len, memory_order_release);
}

/* Other threads may push in front of the newest, so that one is taken out by
 * exchange; all others have a neighbour that only the reader changes. */
static void unlink_ring(struct ring *gone)
{
    struct ring *newest = gone;
    if (atomic_compare_exchange_strong(&rings, &newest, gone->older))
        return;
    while (newest->older != gone)
        newest = newest->older;
    newest->older = gone->older;
}

/* Collect what was dropped, free what is closed and empty. */
static void sweep_rings(void)
{
    struct line_head head;
    for (struct ring *r = atomic_load(&rings), *older; r != NULL; r = older) {
        older = r->older;
        bool is_closed = atomic_load(&r->is_closed);
        lost_lines += atomic_exchange(&r->dropped, 0);
        if (is_closed && !peek(r, &head)) {
            unlink_ring(r);
            mem_free(r);
        }
    }
}

static void read_lines(unsigned most)
{
    struct line_head head;
    struct ring *r;
    while (most-- > 0 && (r = oldest_line(&head)) != NULL)
        take_line(r, &head);
    sweep_rings();
    flush_page();
    report_lost();
}

static void read_rings(void)
{
    read_lines(UINT_MAX);
}

static bool rings_are_quiet(void)
{
    struct line_head head;
    for (struct ring *r = atomic_load(&rings); r != NULL; r = r->older)
        if (peek(r, &head) || atomic_load(&r->is_closed) || atomic_load(&r->dropped) > 0)
            return false;
    return true;
}

/* --- the scribe ----------------------------------------------------------------- */

/* Sleep unless something came after the last look. */
static void sleep_if_quiet(void)
{
    atomic_store(&is_asleep, true);
    lock_reading();
    bool has_work = !rings_are_quiet();
    unlock_reading();
    if ((has_work || !atomic_load(&is_running)) && atomic_exchange(&is_asleep, false))
        return;
    /* Asleep, or somebody has already posted. */
    while (sem_wait(&wake) != 0)
        ;
}

static void *scribe_main(void *unused)
{
    pthread_setname_np(pthread_self(), "scribe");
    while (atomic_load(&is_running)) {
        lock_reading();
        read_lines(LINES_AT_ONCE);
        unlock_reading();
        while (atomic_load(&waiting) > 0)
            usleep(50);
        sleep_if_quiet();
    }
    return unused;
}

/* Signals are the control thread's. */
static int start_thread(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&scribe, NULL, scribe_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

static void write_to(int fd)
{
    lock_reading();
    int before = out_fd;
    out_fd = fd;
    unlock_reading();
    if (before != STDERR_FILENO)
        close(before);
}

bool log_start(const char *path)
{
    must(!atomic_load(&is_running));
    pthread_once(&once, init_once);
    int fd = path != NULL ? open_file(path) : STDERR_FILENO;
    if (fd < 0)
        return false;
    write_to(fd);
    atomic_store(&is_running, true);
    int error = start_thread();
    if (error != 0) {
        atomic_store(&is_running, false);
        write_to(STDERR_FILENO);
        errno = error;
        return false;
    }
    out_path = path != NULL ? mem_strdup(path) : NULL;
    return true;
}

void log_reopen(void)
{
    if (out_path == NULL)
        return;
    int fd = open_file(out_path);
    if (fd >= 0)
        write_to(fd);
    else
        log_error("log not reopened", "path=%s error=\"%m\"", log_quote(bytes_str(out_path)));
}

/* The caller's ring goes with the scribe: the main thread never gets to the
 * end that frees the rings of the others. */
void log_stop(void)
{
    if (!atomic_exchange(&is_running, false))
        return;
    wake_scribe();
    pthread_join(scribe, NULL);
    if (my_ring != NULL) {
        pthread_setspecific(ring_key, NULL);
        close_ring(my_ring);
    }
    have_it_read();
    write_to(STDERR_FILENO);
    mem_free(out_path);
    out_path = NULL;
}

void scribe_last_words(const char *text)
{
    struct timespec deadline;
    dprintf(STDERR_FILENO, "%s\n", text);
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_nsec += LAST_WORDS_WAIT_MS * 1000000L;
    deadline.tv_sec += deadline.tv_nsec / 1000000000L;
    deadline.tv_nsec %= 1000000000L;
    if (pthread_mutex_timedlock(&reading_lock, &deadline) != 0)
        return;
    read_rings();
    if (out_fd != STDERR_FILENO) {
        page_line(clock_wall_us(), LOG_ERROR, bytes_str(text));
        flush_page();
    }
    unlock_reading();
}
