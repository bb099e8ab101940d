/*
 * operate.c - what the admin port makes the process do: reload, settings, listeners, stop; see
 * main.h.  Control thread.
 */
#include "main/main.h"

#include "admin/admin.h"
#include "base/log.h"
#include "base/mem.h"
#include "main/notify.h"

/* ---- configuration ------------------------------------------------------------------------ */

static void log_complaints(const struct complaints *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        const struct complaint *x = &c->items[i];
        log_at(x->is_error ? LOG_ERROR : LOG_WARN, "configuration", "file=%s line=%u text=%s", x->file,
               x->line, log_quote(bytes_str(x->text)));
    }
}

/* The first error in words, for who asked; all of them are in the log. */
static bool first_complaint(const struct complaints *c, struct fault *why)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->items[i].is_error)
            return fault_set(why, BLAME_POLICY, ER_UNKNOWN_ERROR, "%.100s:%u: %.120s%s", c->items[i].file,
                             c->items[i].line, c->items[i].text,
                             c->errors > 1 ? " (and more: see the log)" : "");
    return fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR, "the configuration could not be loaded");
}

static void log_lines(const char *text)
{
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        log_info("reload", "text=%s", log_quote(bytes_of(text, n)));
        text += n + (text[n] == '\n');
    }
}

/* Put a new snapshot in force, to everybody; takes over the reference. */
static void put_in_force(struct boot *b, struct config *next)
{
    struct fault why = FAULT_NONE;
    boot_apply_settings(next);
    config_publish(next, b->workers, b->n_workers);
    monitor_configure(b->monitor, next);
    config_drop(b->config);
    b->config = next;
    if (!doors_configure(b, next, &why) || !admin_configure(b->admin, next, &why) ||
        !http_configure(b->http, next, &why)) {
        log_error("a listener could not be opened", "why=%s", log_quote(bytes_str(why.text)));
        event_note("reload", "volvox", "a listener could not be opened: %s", why.text);
    }
}

/* Load by `load`, tell the difference, and unless it is a dry run go by it.  The difference in words,
 * or NULL; the caller frees. */
static char *change_config(struct boot *b, const struct overrides *overrides, bool from_file, bool dry_run,
                           struct fault *why)
{
    struct complaints complaints;
    struct config *next = from_file ? config_load_with(b->config->file, overrides, &complaints)
                                    : config_change(b->config, overrides, &complaints);
    log_complaints(&complaints);
    if (next == NULL)
        first_complaint(&complaints, why);
    complaints_release(&complaints);
    if (next == NULL)
        return NULL;
    char *words = config_diff(b->config, next);
    if (dry_run) {
        config_drop(next);
        return words;
    }
    log_lines(words);
    put_in_force(b, next);
    return words;
}

static char *reload(void *arg, bool dry_run, struct fault *why)
{
    struct boot *b = arg;
    if (b->stopping) {
        fault_set(why, BLAME_POLICY, ER_SERVER_SHUTDOWN, "Server shutdown in progress");
        return NULL;
    }
    if (!dry_run)
        notify_reloading();
    /* What was saved stands in the runtime file now, and may have been edited there. */
    struct overrides none = OVERRIDES_NONE;
    char *words = change_config(b, b->overrides_saved ? &none : &b->overrides, true, dry_run, why);
    if (words != NULL && !dry_run && b->overrides_saved) {
        overrides_release(&b->overrides);
        b->overrides_saved = false;
    }
    if (words == NULL)
        log_error("reload refused, nothing has changed", "file=%s why=%s", b->config->file,
                  log_quote(bytes_str(why->text)));
    else if (!dry_run)
        log_info("reloaded", "file=%s number=%llu", b->config->file,
                 (unsigned long long)b->config->number);
    if (!dry_run) {
        event_note("reload", "volvox", "%s",
                   words == NULL ? why->text : words[0] != '\0' ? words : "nothing changed");
        notify_reloaded(b);
    }
    return words;
}

void boot_reload(struct boot *b)
{
    struct fault why = FAULT_NONE;
    mem_free(reload(b, false, &why));
}

static bool set(void *arg, struct bytes name, struct bytes value, struct fault *why)
{
    struct boot *b = arg;
    struct setting_name setting;
    struct overrides changed;
    overrides_copy(&changed, &b->overrides);
    char *words = NULL;
    if (setting_name_read(b->config, name, &setting, why) &&
        overrides_set(&changed, b->config, &setting, value, why))
        words = change_config(b, &changed, false, false, why);
    if (words == NULL) {
        overrides_release(&changed);
        return false;
    }
    overrides_release(&b->overrides);
    b->overrides = changed;
    b->overrides_saved = false;
    mem_free(words);
    return true;
}

static char *save(void *arg, struct fault *why)
{
    struct boot *b = arg;
    char *path = config_save(b->config, &b->overrides, why);
    b->overrides_saved |= path != NULL;
    return path;
}

/* ---- the rest ------------------------------------------------------------------------------- */

static struct config *present_config(void *arg)
{
    return ((struct boot *)arg)->config;
}

static struct monitor *present_monitor(void *arg)
{
    return ((struct boot *)arg)->monitor;
}

static void shut_down(void *arg, bool graceful, unsigned seconds)
{
    boot_stop(arg, !graceful, seconds);
}

static bool is_stopping(void *arg)
{
    return ((struct boot *)arg)->stopping;
}

static void walk_listeners(void *arg,
                           void (*row)(void *row_arg, const char *name, const char *address,
                                       unsigned open, unsigned limit, uint64_t accepts,
                                       uint64_t refusals),
                           void *row_arg)
{
    const struct boot *b = arg;
    for (const struct door *d = b->doors; d != NULL; d = d->next)
        if (d->is_open)
            row(row_arg, d->name, d->address, atomic_load_explicit(&d->shared.open, memory_order_relaxed),
                d->max_connections, d->listener.accepts, d->listener.refusals);
}

bool operators_start(struct boot *b, struct fault *why)
{
    const struct admin_host admin = {
        .control = b->control,
        .workers = b->workers,
        .n_workers = b->n_workers,
        .shared = &b->shared,
        .arg = b,
        .config = present_config,
        .monitor = present_monitor,
        .reload = reload,
        .set = set,
        .save = save,
        .shutdown = shut_down,
        .listeners = walk_listeners,
    };
    const struct http_host http = {
        .control = b->control,
        .workers = b->workers,
        .n_workers = b->n_workers,
        .monitor = present_monitor,
        .is_stopping = is_stopping,
        .arg = b,
    };
    b->admin = admin_new(&admin);
    b->http = http_new(&http);
    return admin_configure(b->admin, b->config, why) && http_configure(b->http, b->config, why);
}
