/* SIGINT, SIGTERM and SIGHUP, but for those that are ignored: held back while there is something
 * half done, so that it can be tidied up first. */
#pragma once

#include <signal.h>
#include <stdbool.h>

struct interrupt {
	int fd; /* readable when one came */
	sigset_t before;
};

/* False: errno. */
bool interrupt_hold(struct interrupt *ret);
/* One came. */
bool interrupt_came(const struct interrupt *interrupt);
/* Waits until `fd` can be read. False: one came. */
bool interrupt_wait(const struct interrupt *interrupt, int fd);
/* Those that came take their effect, which may be the end. */
void interrupt_release(struct interrupt *interrupt);
