/* The snapshot in force, per worker. */
#include "config/inside.h"

#include "base/mem.h"

enum { CALLBACKS = 4 };

/* Filled before the workers start. */
static void (*callbacks[CALLBACKS])(struct worker *w, const struct config *now);
static unsigned n_callbacks;

struct config_mail {
    struct mail mail;
    struct config *config;    /* a reference */
};

void config_on_swap(void (*swapped)(struct worker *w, const struct config *now))
{
    for (unsigned i = 0; i < n_callbacks; i++)
        if (callbacks[i] == swapped)
            return;
    must(n_callbacks < CALLBACKS);
    callbacks[n_callbacks++] = swapped;
}

static void take_mail(struct worker *w, struct mail *m)
{
    struct config_mail *cm = container_of(m, struct config_mail, mail);
    struct config *old = worker_config(w);
    worker_set_part(w, PART_CONFIG, cm->config);
    for (unsigned i = 0; i < n_callbacks; i++)
        callbacks[i](w, cm->config);
    config_drop(old);
    mem_free(cm);
}

void config_publish(struct config *c, struct worker **workers, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct config_mail *cm = mem_zalloc(sizeof(*cm));
        cm->mail.kind = MAIL_CONFIG;
        cm->config = config_take(c);
        if (worker_post(workers[i], &cm->mail))
            continue;
        config_drop(c);
        mem_free(cm);
    }
}

void config_worker_init(struct worker *w, struct config *c)
{
    worker_set_part(w, PART_CONFIG, config_take(c));
    worker_on_mail(w, MAIL_CONFIG, take_mail);
}

void config_worker_release(struct worker *w)
{
    config_drop(worker_config(w));
    worker_set_part(w, PART_CONFIG, NULL);
}

struct config *worker_config(const struct worker *w)
{
    return worker_part(w, PART_CONFIG);
}
