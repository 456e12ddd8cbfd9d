/* Going to the background, in two steps: the child does all the work, secrets and login included,
 * still on the terminal; the parent ends when the child says that it is done, with success, or when
 * the child ends, with its exit code. */
#pragma once

#include <stdbool.h>

/* Before any thread is started. Does not return in the parent, which ends with the code `killed` if a
 * signal ended the child. In the child: what
 * daemon_detach() needs; -1 with errno set if there is no child. */
int daemon_fork(int killed);
/* Tells the parent that all is well and leaves the terminal: own session, "/" as directory, no
 * standard files, log to syslog. False if the parent is gone: somebody ended it. */
bool daemon_detach(int fd);
/* Makes sure that 0, 1 and 2 are open, so that nothing else gets these numbers. */
void daemon_open_stdio(void);
