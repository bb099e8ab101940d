/*
 * main.h - start and stop everything.  The control thread is the process's first thread.
 */
#ifndef MAIN_MAIN_H
#define MAIN_MAIN_H

#include "main/args.h"
#include "admin/admin.h"
#include "http/http.h"
#include "session/session.h"

/* ---- doors.c: listeners ---------------------------------------------------------------- */

/* One listening address.  Lives until the process ends, because its sessions count in it. */
struct door {
    struct door *next;
    struct listener listener;
    struct boot *boot;
    char *name, *address;
    int group;
    unsigned max_connections;
    struct session_door shared;   /* with its sessions */
    bool is_open;
};
/* Open the configuration's listeners, close those that are gone.  False (the rest is open) if
 * one can't be opened. */
bool doors_configure(struct boot *b, const struct config *c, struct fault *why);
void doors_close(struct boot *b);
void doors_free(struct boot *b);

/* ---- boot.c: order of start and stop --------------------------------------------------- */

struct boot {
    struct config *config;
    struct worker *control;
    struct worker **workers;
    unsigned n_workers;
    struct monitor *monitor;
    struct rsa_key *rsa;
    struct sessions_shared shared;
    struct door *doors;
    struct admin *admin;
    struct http *http;
    struct overrides overrides;   /* set at run time                                       */
    bool overrides_saved;         /* the runtime file has them                             */
    unsigned max_clients;         /* as the descriptor limit allows                        */
    ev_signal signals[6];
    unsigned n_signals;
    ev_timer suspects;            /* tells the monitor of servers that workers failed with */
    ev_timer farewell;            /* polls while draining                                  */
    double stop_by;               /* loop time: end what is left                           */
    bool stopping, ending;
};
/* The process's exit status. */
int boot_run(struct config *c);
/* Read the file again; what is wrong with it is logged and changes nothing. */
void boot_reload(struct boot *b);
/* Once all is running: what of the program and its libraries only the start needed need not stay in memory;
 * what is needed again comes back from the page cache (slim.c). */
void slim(void);
/* Stop taking clients, let running transactions finish for drain_s seconds (not for `now`), then
 * stop. */
void boot_stop(struct boot *b, bool now, unsigned drain_s);
/* Log levels, limits. */
void boot_apply_settings(const struct config *c);

/* ---- operate.c: the admin port and the HTTP listener ------------------------------------- */

bool operators_start(struct boot *b, struct fault *why);

/* ---- signals.c ---------------------------------------------------------------------------- */

void signals_start(struct boot *b);
void signals_stop(struct boot *b);

/* ---- explain.c ------------------------------------------------------------------------------ */

/* Print how a statement would be routed and why; the exit status. */
int explain(struct config *c, const struct args *args);

#endif
