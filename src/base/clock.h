/* Time. The engine reads it once a turn and hands it down; protocol/ never reads it. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

int64_t clock_mono_ns(void);
int64_t clock_mono_ms(void); /* for deadlines */
int64_t clock_wall_ns(void); /* for file times */

/* A condition whose waits no change of the wall clock moves. */
void clock_cond_init(pthread_cond_t *cond);
/* As pthread_cond_timedwait(), by clock_mono_ms(). False: the time is up. */
bool clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ms);
