/* account.c - an account on the servers; see accounts.h. */
#include "accounts/accounts.h"

#include "base/hash.h"
#include "base/mem.h"

static void set_key(struct account *a)
{
    struct buf all = { 0 };
    buf_add_u8(&all, a->is_relayed);
    buf_add(&all, bytes_of(a->secret.mark, sizeof a->secret.mark));
    buf_add(&all, bytes_str(a->server_user));
    sha256_of(buf_bytes(&all), BYTES_NONE, a->key);
    buf_release(&all);
}

struct account *account_new(const char *name, const char *server_user, const struct secret *secret,
                            bool is_learnt)
{
    size_t name_size = strlen(name) + 1, user_size = strlen(server_user) + 1;
    size_t size = sizeof(struct account) + name_size + user_size;
    struct account *a = mem_secret_alloc(size);
    char *texts = (char *)(a + 1);
    ref_init(&a->ref);
    a->size = size;
    a->name = memcpy(texts, name, name_size);
    a->name_hash = hash_bytes(bytes_str(name));
    a->server_user = memcpy(texts + name_size, server_user, user_size);
    a->is_learnt = is_learnt;
    a->is_relayed = secret == NULL;
    if (secret != NULL)
        secret_copy(&a->secret, secret);
    set_key(a);
    return a;
}

struct account *account_take(struct account *a)
{
    ref_take(&a->ref);
    return a;
}

void account_drop(struct account *a)
{
    if (a == NULL || !ref_drop(&a->ref))
        return;
    secret_release(&a->secret);
    mem_secret_free(a, a->size);
}

bool account_is_usable(const struct account *a)
{
    return !a->is_relayed && (!a->secret.has_password || secret_logs_in(&a->secret, AUTH_NATIVE));
}
