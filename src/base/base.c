#include "base/base.h"

#include "base/inside.h"

void must_failed(const char *what, const char *file, int line)
{
    char text[512];
    snprintf(text, sizeof(text), "volvox: must hold: %s (%s:%d)", what, file, line);
    fflush(NULL);
    scribe_last_words(text);
    abort();
}
