#include "unit/run/harness.h"

#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

struct letter {
    struct mail mail;
    int from, number;
};

static struct mail *letter_new(enum mail_kind kind, int from, int number)
{
    struct letter *l = mem_zalloc(sizeof *l);
    l->mail.kind = kind;
    l->from = from;
    l->number = number;
    return &l->mail;
}

static struct letter *letter_of(struct mail *m)
{
    return container_of(m, struct letter, mail);
}

/* ---- order ------------------------------------------------------------------------ */

enum { SENDERS = 3, LETTERS = 3000 };

static int next_number[SENDERS]; /* read by the receiver's thread, then after join */
static int letters_read;
static struct worker *receiver;

static void read_letter(struct worker *w, struct mail *m)
{
    struct letter *l = letter_of(m);
    if (l->number == next_number[l->from])
        next_number[l->from]++;
    if (++letters_read == SENDERS * LETTERS)
        worker_stop(w);
    mem_free(l);
}

static void *send_letters(void *arg)
{
    for (int i = 0; i < LETTERS; i++)
        must(worker_post(receiver, letter_new(MAIL_NOTE, (int)(intptr_t)arg, i)));
    return NULL;
}

static void mail_of_one_sender_arrives_in_order(void **state)
{
    pthread_t threads[SENDERS];
    (void)state;
    letters_read = 0;
    receiver = worker_new(0);
    worker_on_mail(receiver, MAIL_NOTE, read_letter);
    worker_start(receiver);
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_letters, (void *)(intptr_t)i), 0);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    worker_join(receiver);
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(next_number[i], LETTERS);
    worker_free(receiver);
}

/* ---- there and back ------------------------------------------------------------------ */

enum { ROUNDS = 500 };

struct correspondent {
    struct task *waits;
    struct worker *other;
    int rounds;
};

static void answer(struct worker *w, struct mail *m)
{
    struct correspondent *c = worker_part(w, PART_MAIN);
    letter_of(m)->mail.kind = MAIL_GIVE;
    must(worker_post(c->other, m));
}

static void got_answer(struct worker *w, struct mail *m)
{
    struct correspondent *c = worker_part(w, PART_MAIN);
    mem_free(letter_of(m));
    task_wake(c->waits);
}

static void ask_often(struct task *t, void *arg)
{
    struct correspondent *c = arg;
    c->waits = t;
    for (; c->rounds < ROUNDS; c->rounds++) {
        must(worker_post(c->other, letter_new(MAIL_ASK, 0, c->rounds)));
        if (task_park(t, after(t, 60)) != WOKE_READY)
            break;
    }
    worker_stop(c->other);
    worker_stop(task_worker(t));
}

static void a_task_asks_another_worker_and_is_woken_by_the_answer(void **state)
{
    struct worker *asks = worker_new(0), *answers = worker_new(1);
    struct correspondent a = { .other = answers }, b = { .other = asks };
    (void)state;
    alarm(120);
    worker_set_part(asks, PART_MAIN, &a);
    worker_set_part(answers, PART_MAIN, &b);
    worker_on_mail(asks, MAIL_GIVE, got_answer);
    worker_on_mail(answers, MAIL_ASK, answer);
    worker_start(answers);
    assert_true(task_start(asks, "asks", ask_often, &a));
    worker_run(asks);
    worker_join(answers);
    assert_int_equal(a.rounds, ROUNDS);
    worker_free(asks);
    worker_free(answers);
}

/* ---- the end ---------------------------------------------------------------------------- */

static int handled;

static void count_letter(struct worker *w, struct mail *m)
{
    (void)w;
    handled++;
    mem_free(letter_of(m));
}

static atomic_int accepted;

static void *send_until_refused(void *arg)
{
    for (;;) {
        struct mail *m = letter_new(MAIL_NOTE, 0, 0);
        if (!worker_post(arg, m)) {
            mem_free(letter_of(m));
            return NULL;
        }
        if (atomic_fetch_add(&accepted, 1) == 200)
            worker_stop(arg);
    }
}

static void every_mail_is_either_handled_or_refused(void **state)
{
    pthread_t threads[2];
    struct worker *w = worker_new(0);
    (void)state;
    alarm(120);
    handled = 0;
    worker_on_mail(w, MAIL_NOTE, count_letter);
    worker_start(w);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_until_refused, w), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    worker_join(w);
    assert_true(handled > 200);
    assert_int_equal(handled, atomic_load(&accepted));
    worker_free(w);
}

static void a_worker_stopped_before_it_runs_handles_its_mail_and_returns(void **state)
{
    struct worker *w = worker_new(-1);
    (void)state;
    alarm(120);
    handled = 0;
    worker_on_mail(w, MAIL_NOTE, count_letter);
    assert_true(worker_post(w, letter_new(MAIL_NOTE, 0, 0)));
    worker_stop(w);
    worker_run(w);
    assert_int_equal(handled, 1);
    assert_int_equal(worker_index(w), -1);
    worker_free(w);
}

/* ---- threads ------------------------------------------------------------------------------- */

struct thread_facts {
    pthread_t thread;
    bool blocks_term;
    double first, second;
};

static void look_around(struct task *t, void *arg)
{
    struct thread_facts *f = arg;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    f->thread = pthread_self();
    f->blocks_term = sigismember(&mask, SIGTERM);
    f->first = worker_now(task_worker(t));
    task_park(t, f->first + 0.02);
    f->second = worker_now(task_worker(t));
    worker_stop(task_worker(t));
}

static void start_looking(struct worker *w, struct mail *m)
{
    mem_free(letter_of(m));
    must(task_start(w, "look", look_around, worker_part(w, PART_STATS)));
}

static void a_worker_has_a_thread_of_its_own_which_leaves_signals_to_the_main_one(void **state)
{
    struct thread_facts f = { .first = 0 };
    struct worker *w = worker_new(3);
    sigset_t mask;
    (void)state;
    worker_set_part(w, PART_STATS, &f);
    worker_on_mail(w, MAIL_NOTE, start_looking);
    worker_start(w);
    assert_true(worker_post(w, letter_new(MAIL_NOTE, 0, 0)));
    worker_join(w);
    assert_false(pthread_equal(f.thread, pthread_self()));
    assert_true(f.blocks_term);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_false(sigismember(&mask, SIGTERM));
    assert_true(f.second >= f.first + 0.019);
    worker_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_of_one_sender_arrives_in_order),
        cmocka_unit_test(a_task_asks_another_worker_and_is_woken_by_the_answer),
        cmocka_unit_test(every_mail_is_either_handled_or_refused),
        cmocka_unit_test(a_worker_stopped_before_it_runs_handles_its_mail_and_returns),
        cmocka_unit_test(a_worker_has_a_thread_of_its_own_which_leaves_signals_to_the_main_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
