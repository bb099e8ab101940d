/*
 * admin.h - the admin port: SQL about Volvox itself, over the MySQL protocol.
 *
 * Runs on the control thread, a task per admin client for as long as it is connected.  Tables are
 * SQLite virtual tables: a statement is prepared, the tables it names are collected (from
 * workers by worker_ask(), which parks), then it is stepped, which never parks and has a time
 * budget; SQLite itself runs on a thread of its own, so that a long statement holds up nothing else.  Commands (SET, RELOAD, SERVER, PAUSE, KILL, ...) are recognised before SQLite sees the
 * text.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "session/session.h"

/* What main lets the admin port see and do.  All functions run on the control thread; `why` gets a
 * sentence for the operator.  Texts returned are freed with mem_free(). */
struct admin_host {
    struct worker *control;
    struct worker *const *workers;
    unsigned n_workers;
    struct sessions_shared *shared;
    void *arg;
    struct config *(*config)(void *arg);                 /* in force, borrowed            */
    struct monitor *(*monitor)(void *arg);
    /* RELOAD [DRY RUN]: the difference in words, or NULL. */
    char *(*reload)(void *arg, bool dry_run, struct fault *why);
    /* SET: reloadable settings of [volvox] (or "section name.key"), checked like the file's. */
    bool (*set)(void *arg, struct bytes name, struct bytes value, struct fault *why);
    /* SAVE CONFIG: the path written. */
    char *(*save)(void *arg, struct fault *why);
    void (*shutdown)(void *arg, bool graceful, unsigned seconds);
    /* Listeners: walks them. */
    void (*listeners)(void *arg, void (*row)(void *row_arg, const char *name, const char *address,
                                             unsigned open, unsigned limit, uint64_t accepts,
                                             uint64_t refusals), void *row_arg);
};

/* Listen as the configuration says ([admin]); follow a changed one.  False with `why`. */
struct admin;
struct admin *admin_new(const struct admin_host *host);
bool admin_configure(struct admin *a, const struct config *c, struct fault *why);
/* Close the listener and cancel the clients' tasks (they end before the loop does). */
void admin_close(struct admin *a);
void admin_free(struct admin *a);

/* docs/admin.md: tables with their columns, commands, as Markdown. */
void admin_print_markdown(FILE *to);

#endif
