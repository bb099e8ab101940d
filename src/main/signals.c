/* signals.c - what each signal means; see main.h. */
#include "main/main.h"

#include <signal.h>

#include "base/log.h"

static void log_status(const struct boot *b)
{
    for (unsigned i = 0; i < n_counter_rows; i++)
        log_info("status", "%s=%llu", counter_rows[i].name,
                 counters_sum(b->workers, b->n_workers, counter_rows[i].offset) +
                     counters_sum(&b->control, 1, counter_rows[i].offset));
    struct counters sum = { 0 };
    for (unsigned i = 0; i < b->n_workers; i++) {
        const struct counters *c = worker_counters(b->workers[i]);
        sum.sessions += c->sessions;
        sum.sessions_busy += c->sessions_busy;
        sum.sessions_pinned += c->sessions_pinned;
        sum.backends_idle += c->backends_idle;
        sum.backends_leased += c->backends_leased;
    }
    log_info("status", "sessions=%u sessions_busy=%u sessions_pinned=%u backends_idle=%u "
             "backends_leased=%u buffer_bytes=%zu", sum.sessions, sum.sessions_busy,
             sum.sessions_pinned, sum.backends_idle, sum.backends_leased, buf_total());
}

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)loop, (void)revents;
    struct boot *b = watcher->data;
    switch (watcher->signum) {
    case SIGHUP:
        boot_reload(b);
        break;
    case SIGTERM:
    case SIGINT:
        boot_stop(b, false, b->config->settings.drain_timeout_s);
        break;
    case SIGQUIT:
        boot_stop(b, true, 0);
        break;
    case SIGUSR1:
        log_reopen();
        log_info("log reopened");
        break;
    case SIGUSR2:
        log_status(b);
        break;
    default:
        break;
    }
}

void signals_start(struct boot *b)
{
    static const int numbers[] = { SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2 };
    must(ARRAY_LEN(numbers) == ARRAY_LEN(b->signals));
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        ev_signal_init(&b->signals[i], on_signal, numbers[i]);
        b->signals[i].data = b;
        ev_signal_start(worker_loop(b->control), &b->signals[i]);
    }
}

void signals_stop(struct boot *b)
{
    for (unsigned i = 0; i < ARRAY_LEN(b->signals); i++)
        ev_signal_stop(worker_loop(b->control), &b->signals[i]);
}
