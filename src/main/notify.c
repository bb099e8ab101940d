/* notify.c - the service manager's datagrams; see notify.h and sd_notify(3). */
#include "main/notify.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "main/main.h"

#ifdef VOLVOX_SYSTEMD
#include <systemd/sd-daemon.h>
#else
#include <sys/socket.h>
#include <sys/un.h>
#endif
#include <unistd.h>

enum { STATUS_EVERY_S = 10, LAST_WORDS_S = 10, RELOAD_S = 600 };

/* ---- the datagram ---------------------------------------------------------------------- */

#ifdef VOLVOX_SYSTEMD
bool notify_send(const char *lines)
{
    return sd_notify(0, lines) > 0;
}
#else
/* "/path", or "@name" in the abstract namespace. */
static bool read_address(const char *text, struct sockaddr_un *out, socklen_t *len)
{
    size_t n = text != NULL ? strlen(text) : 0;
    if (n < 2 || n >= sizeof out->sun_path || (text[0] != '/' && text[0] != '@'))
        return false;
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(out->sun_path, text, n);
    if (text[0] == '@')
        out->sun_path[0] = '\0';
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return true;
}

bool notify_send(const char *lines)
{
    struct sockaddr_un to;
    socklen_t len;
    if (!read_address(getenv("NOTIFY_SOCKET"), &to, &len))
        return false;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    /* The manager may be slow to read: the loop must not wait for it. */
    ssize_t sent =
        sendto(fd, lines, strlen(lines), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to, len);
    close(fd);
    return sent >= 0;
}
#endif

static bool is_wanted(void)
{
    const char *to = getenv("NOTIFY_SOCKET");
    return to != NULL && to[0] != '\0';
}

/* ---- the task ---------------------------------------------------------------------------- */

/* Seconds between the signs of life that the manager expects of this process; 0: none. */
static double watchdog_s(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t number;
    if (us == NULL || !str_to_u64(bytes_str(us), &number) || number == 0)
        return 0;
    double seconds = (double)number / 1e6;
    bool ours =
        pid == NULL || (str_to_u64(bytes_str(pid), &number) && number == (uint64_t)getpid());
    return ours ? seconds : 0;
}

static void say_nothing(struct worker *w, void *arg)
{
    (void)w, (void)arg;
}

/* Parks until each worker has got round to it: one that hangs keeps us from going on, which is
 * the point. */
static void ask_workers(struct task *t, const struct boot *b)
{
    for (unsigned i = 0; i < b->n_workers; i++)
        if (!worker_ask(t, b->workers[i], say_nothing, NULL))
            return;
}

static const char *status_line(const struct boot *b, char *to, size_t size)
{
    snprintf(to, size, "STATUS=%s, %u clients\n", b->stopping ? "stopping" : "serving",
             atomic_load_explicit(&b->shared.open, memory_order_relaxed));
    return to;
}

static void keep_telling(struct task *t, void *arg)
{
    const struct boot *b = arg;
    struct worker *w = task_worker(t);
    double watchdog = watchdog_s();
    double every = watchdog > 0 ? MIN(watchdog / 3, STATUS_EVERY_S) : STATUS_EVERY_S;
    char line[128];
    while (task_park(t, worker_now(w) + every) != WOKE_CANCELLED) {
        ask_workers(t, b);
        notify_send(status_line(b, line, sizeof line));
        if (watchdog > 0)
            notify_send("WATCHDOG=1\n");
    }
}

/* ---- the moments -------------------------------------------------------------------------- */

void notify_start(struct boot *b)
{
    if (!is_wanted())
        return;
    char line[128];
    notify_send(status_line(b, line, sizeof line));
    if (!notify_send("READY=1\n"))
        log_warn("the service manager can't be told that we are ready");
    if (!task_start(b->control, "notify", keep_telling, b))
        log_warn("the service manager will hear nothing more: no stack for its task");
}

/* The watchdog's patience from now on. */
static void set_watchdog(double seconds)
{
    char line[64];
    snprintf(line, sizeof line, "WATCHDOG_USEC=%llu\n", (unsigned long long)(seconds * 1e6));
    notify_send(line);
}

/* Loading resolves names, which takes long when the resolver is away: no reason to be killed. */
void notify_reloading(void)
{
    char lines[128];
    if (watchdog_s() > 0)
        set_watchdog(RELOAD_S);
    snprintf(lines, sizeof lines, "RELOADING=1\nMONOTONIC_USEC=%llu\n",
             (unsigned long long)clock_us());
    notify_send(lines);
}

void notify_reloaded(const struct boot *b)
{
    char line[128];
    if (watchdog_s() > 0)
        set_watchdog(watchdog_s());
    notify_send("READY=1\n");
    notify_send(status_line(b, line, sizeof line));
}

void notify_stopping(const struct boot *b)
{
    double left = MAX(b->stop_by - worker_now(b->control), 0.) + LAST_WORDS_S;
    char lines[128], status[128];
    snprintf(lines, sizeof lines, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu\n",
             (unsigned long long)(left * 1e6));
    notify_send(lines);
    notify_send(status_line(b, status, sizeof status));
}
