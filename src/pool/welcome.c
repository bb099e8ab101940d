/* welcome.c - what servers tell who logs in, so that clients of Volvox hear the same; see pool.h. */
#include "pool/inside.h"

#include "base/mem.h"

static struct bytes key_of(const unsigned *number)
{
    return bytes_of(number, sizeof *number);
}

const struct welcome *pool_welcome(const struct worker *w, const struct server *server)
{
    return map_get(&worker_pools(w)->welcomes, key_of(&server->number));
}

void welcome_note(struct pools *ps, const struct server *server, struct tracking *usual,
                  struct bytes at_login)
{
    struct welcome *x = map_get(&ps->welcomes, key_of(&server->number));
    if (x == NULL) {
        x = mem_zalloc(sizeof *x);
        x->number = server->number;
        map_put(&ps->welcomes, key_of(&x->number), x);
    }
    if (!bytes_equal(x->at_login, at_login)) {
        mem_free((void *)x->at_login.data);
        x->at_login = bytes_of(mem_strndup(at_login.data, at_login.len), at_login.len);
    }
    tracking_drop(x->usual);
    x->usual = tracking_take(usual);
}

void welcomes_release(struct pools *ps)
{
    uint32_t at = 0;
    for (struct welcome *x; (x = map_next(&ps->welcomes, &at)) != NULL;) {
        tracking_drop(x->usual);
        mem_free((void *)x->at_login.data);
        mem_free(x);
    }
    map_release(&ps->welcomes);
}
