/*
 * fault.h - why something failed, and who is to blame.
 *
 * A function that can fail returns bool (or NULL) and takes a `struct fault *`
 * that it fills where the failure is known.  The caller owns the struct; it
 * holds no pointers, so nobody frees it.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "base/base.h"

/* The one question the end of a command has to answer (session/settle.c). */
enum blame {
    BLAME_NONE = 0,
    BLAME_CLIENT,             /* left, or broke the protocol                 */
    BLAME_SERVER,             /* died, or broke the protocol                 */
    BLAME_QUERY,              /* the server answered ERR, already relayed    */
    BLAME_POLICY,             /* a rule, quota or limit of ours says no      */
    BLAME_TIME,               /* a deadline passed, or somebody cancelled    */
    BLAME_OURS,               /* bug, configuration, memory limit            */
};

struct fault {
    enum blame blame;
    uint16_t code;            /* MySQL error number to tell a client, or 0   */
    char sqlstate[6];         /* "" = what protocol/sqlstate.c says of code  */
    char text[256];           /* one sentence, no secrets                    */
};

#define FAULT_NONE ((struct fault){ .blame = BLAME_NONE })

/* Fill `why` (may be NULL) and return false, so that failing is one line. */
bool fault_set(struct fault *why, enum blame blame, unsigned code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* The same with an explicit five-character SQLSTATE. */
bool fault_set_state(struct fault *why, enum blame blame, unsigned code, const char *sqlstate,
                     const char *fmt, ...) PRINTF_LIKE(5, 6);

/* "client", "server", ...; for logs. */
const char *blame_name(enum blame blame);

#endif
