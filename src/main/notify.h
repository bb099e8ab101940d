/*
 * notify.h - tells the service manager (systemd, Type=notify) how we are.
 *
 * Runs on the control thread.  Without $NOTIFY_SOCKET nothing of it does anything.
 */
#ifndef MAIN_NOTIFY_H
#define MAIN_NOTIFY_H

#include <stdbool.h>

struct boot;

/* Started and listening.  From now on a task tells the status and, if the manager wants it, keeps
 * its watchdog quiet for as long as every worker answers.  The task ends with the control loop. */
void notify_start(struct boot *b);
/* Around a reload, whether it succeeds or not. */
void notify_reloading(void);
void notify_reloaded(const struct boot *b);
/* Stopping until b->stop_by: the manager is asked for that much time. */
void notify_stopping(const struct boot *b);

/* One datagram of the protocol, lines "NAME=value"; false when nobody wants it or it could not
 * be sent. */
bool notify_send(const char *lines);

#endif
