/* Time. The engine reads it once a turn and hands it down; protocol/ never reads it. */
#pragma once

#include <stdint.h>

int64_t clock_mono_ms(void); /* for deadlines */
int64_t clock_wall_ns(void); /* for file times */
