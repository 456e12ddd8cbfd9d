/* The text that goes out: what was added, the header, the body. Read in order, once, through a
 * small buffer; line ends as they are in the file. Owned by one thread. */
#pragma once

#include "outbox/envelope.h"

#include <sys/types.h>

struct compose;

enum compose_for {
	COMPOSE_SENDING, /* without Bcc and Resent-Bcc */
	COMPOSE_FILING,	 /* with them */
};

/* Borrows `fd` (read with pread) and the envelope. */
struct compose *compose_new(int fd, const struct envelope *envelope, enum compose_for purpose);
void compose_free(struct compose **compose);
/* Up to `max` bytes; 0 at the end; -1: it cannot be read any more, or is shorter than it was. */
ssize_t compose_read(struct compose *compose, void *bytes, size_t max);
