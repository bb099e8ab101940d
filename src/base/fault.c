#include "base/fault.h"

#include "base/str.h"

#include <stdarg.h>

/* The arguments may point into *why (to put words in front of its text), so
 * nothing of it is touched before the new text is complete. */
static bool fill(struct fault *why, enum blame blame, unsigned code, const char *sqlstate,
                 const char *fmt, va_list args)
{
    struct fault made = { .blame = blame, .code = (uint16_t)code };
    if (why == NULL)
        return false;
    must(code <= UINT16_MAX);
    str_copy(made.sqlstate, sizeof(made.sqlstate), bytes_str(sqlstate));
    vsnprintf(made.text, sizeof(made.text), fmt, args);
    *why = made;
    return false;
}

bool fault_set(struct fault *why, enum blame blame, unsigned code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fill(why, blame, code, "", fmt, args);
    va_end(args);
    return false;
}

bool fault_set_state(struct fault *why, enum blame blame, unsigned code, const char *sqlstate,
                     const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fill(why, blame, code, sqlstate, fmt, args);
    va_end(args);
    return false;
}

const char *blame_name(enum blame blame)
{
    switch (blame) {
    case BLAME_NONE:
        return "none";
    case BLAME_CLIENT:
        return "client";
    case BLAME_SERVER:
        return "server";
    case BLAME_QUERY:
        return "query";
    case BLAME_POLICY:
        return "policy";
    case BLAME_TIME:
        return "time";
    case BLAME_OURS:
        return "ours";
    }
    return "unknown";
}
