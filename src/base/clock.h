/*
 * clock.h - monotonic and wall time.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_us(void);      /* monotonic, microseconds */
uint64_t clock_wall_us(void); /* since 1970 UTC, microseconds */

#endif
