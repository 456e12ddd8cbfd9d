/* What a service manager is told of us, see sd_notify(3): datagrams to $NOTIFY_SOCKET. Lines that
 * it does not take are lost. From main alone. */
#pragma once

#include <stdbool.h>

struct supervisor;

/* Takes the variable out of the environment, so that no child speaks for us. NULL: nobody asks. */
struct supervisor *supervisor_new(void);
/* The same to whoever has the other end of this socket, which keeps messages apart; takes it over.
 */
struct supervisor *supervisor_of(int fd);
/* Lines of NAME=value, such as "READY=1". NULL is told nothing. */
void supervisor_tell(const struct supervisor *supervisor, const char *lines);
void supervisor_free(struct supervisor **supervisor);
