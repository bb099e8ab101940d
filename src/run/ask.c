/*
 * ask.c - have a function run on another worker's thread, and wait for it.
 *
 * The question lies on the asking task's stack, so that task may not leave before the
 * answer has come, whatever happens to it meanwhile.  Ordinarily the answer is mail; once the
 * asker's mailbox is closed (its worker is stopping) the answering thread posts a semaphore
 * instead.
 */
#include "run/inside.h"

#include <semaphore.h>

struct question {
    struct mail mail;
    struct worker *asker;
    struct task *task;
    void (*fn)(struct worker *w, void *arg);
    void *arg;
    bool answered;            /* on its way back, or back */
    bool done;                /* back: the asker's thread says so */
    sem_t too_late_for_mail;
};

static void on_report(struct worker *w, struct mail *mail)
{
    struct question *q = container_of(mail, struct question, mail);
    if (q->answered) {
        q->done = true;
        task_wake(q->task);
        return;
    }
    q->fn(w, q->arg);
    q->answered = true;
    if (!worker_post(q->asker, &q->mail))
        sem_post(&q->too_late_for_mail);
}

void ask_init(struct worker *w)
{
    worker_on_mail(w, MAIL_REPORT, on_report);
}

/* A cancelled task waits on. */
static void wait_for_answer(struct task *t, struct question *q)
{
    bool cancelled = false;
    while (!q->done) {
        if (task_park(t, 0) != WOKE_CANCELLED)
            continue;
        cancelled = true;
        task_forgive(t);
        if (q->done || !mailbox_is_closed(q->asker))
            continue;
        while (sem_wait(&q->too_late_for_mail) != 0)
            ;
        break;
    }
    if (cancelled)
        task_cancel(t);
}

bool worker_ask(struct task *t, struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg)
{
    struct question q = { .mail.kind = MAIL_REPORT, .asker = task_worker(t), .task = t, .fn = fn,
                          .arg = arg };
    if (w == q.asker) {
        fn(w, arg);
        return true;
    }
    sem_init(&q.too_late_for_mail, 0, 0);
    bool posted = worker_post(w, &q.mail);
    if (posted)
        wait_for_answer(t, &q);
    sem_destroy(&q.too_late_for_mail);
    return posted;
}
