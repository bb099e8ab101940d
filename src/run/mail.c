/*
 * mail.c - post and deliver.  The lock is held for a few instructions, and the
 * bell is rung only for the first mail in an empty box.
 */
#include "run/inside.h"

static struct mail *take_all(struct mailbox *box, bool closes)
{
    pthread_mutex_lock(&box->lock);
    struct mail *first = box->first;
    box->first = NULL;
    box->last = &box->first;
    box->is_closed |= closes;
    pthread_mutex_unlock(&box->lock);
    return first;
}

static void hand_out(struct worker *w, struct mail *m)
{
    while (m != NULL) {
        struct mail *next = m->next;
        must(m->kind < MAIL_KINDS && w->handlers[m->kind] != NULL);
        w->handlers[m->kind](w, m); /* owns m from here on */
        m = next;
    }
}

void mailbox_init(struct worker *w)
{
    must(pthread_mutex_init(&w->mailbox.lock, NULL) == 0);
    w->mailbox.last = &w->mailbox.first;
}

void mailbox_deliver(struct worker *w)
{
    hand_out(w, take_all(&w->mailbox, false));
}

void mailbox_close(struct worker *w)
{
    hand_out(w, take_all(&w->mailbox, true));
}

bool mailbox_is_closed(struct worker *w)
{
    pthread_mutex_lock(&w->mailbox.lock);
    bool closed = w->mailbox.is_closed;
    pthread_mutex_unlock(&w->mailbox.lock);
    return closed;
}

void worker_on_mail(struct worker *w, enum mail_kind kind,
                    void (*handler)(struct worker *w, struct mail *m))
{
    must(kind < MAIL_KINDS);
    w->handlers[kind] = handler;
}

bool worker_post(struct worker *to, struct mail *m)
{
    struct mailbox *box = &to->mailbox;
    pthread_mutex_lock(&box->lock);
    bool is_open = !box->is_closed, is_first = box->first == NULL;
    if (is_open) {
        m->next = NULL;
        *box->last = m;
        box->last = &m->next;
        /* Inside the lock: once it is free, the worker may close the box and go. */
        if (is_first)
            ev_async_send(to->loop, &to->bell);
    }
    pthread_mutex_unlock(&box->lock);
    return is_open;
}
