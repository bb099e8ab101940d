/* fuzz_secret.c - what a server stores of a password, as a file may have it: one of the forms, or
 * nothing. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct secret s, copy;
    if (!secret_from_hash(&s, bytes_of(data, size))) {
        must(s.forms == 0 && s.clear == NULL);
        return 0;
    }
    must(s.has_password &&
         (s.forms == KNOWN_SHA1_TWICE || s.forms == KNOWN_ED25519 || s.forms == KNOWN_CRYPT));
    must(s.forms != KNOWN_CRYPT || s.crypt.rounds > 0);
    for (unsigned p = AUTH_NATIVE; p <= AUTH_UNKNOWN; p++)
        must(!secret_logs_in(&s, (enum auth_plugin)p));
    secret_copy(&copy, &s);
    must(secret_equal(&s, &copy));
    if (s.forms != KNOWN_CRYPT) {
        struct clear_proof c;
        clear_proof_begin(&c, BYTES_LITERAL("x"), &s);
        must(clear_proof_step(&c));
        (void)auth_token_matches(AUTH_NATIVE, data, bytes_of(data, 20), &s);
    }
    secret_release(&s);
    secret_release(&copy);
    return 0;
}
