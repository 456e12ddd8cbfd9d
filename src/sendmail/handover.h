/* A message on its way into an outbox: a draft "NAME.tmp", then its envelope ".NAME.eml.envelope",
 * then the rename to "NAME.eml", which hands it over. */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct handover {
	char *path; /* of the outbox, for messages */
	char *name; /* without what follows the last dot */
	int dir;
	int fd; /* of the draft, -1: closed */
	guint64 size;
	bool has_draft; /* to be removed if it comes to nothing */
	bool has_envelope;
};

/* EX_CANTCREAT, EX_NOPERM. `ret` is to be cleared in any case. */
bool handover_begin(struct handover *ret, const char *outbox, GError **error);
/* EX_IOERR; EX_DATAERR: too large. */
bool handover_write(struct handover *handover, const char *bytes, size_t len, GError **error);
/* All is written: makes it durable, and its envelope. EX_DATAERR: it is empty. */
bool handover_finish(struct handover *handover, const char *envelope, GError **error);
/* From here on it is sent. EX_IOERR; EX_DATAERR: larger than the server takes. `*ret_reader`: a
 * descriptor whose fsync() gives the verdict. */
bool handover_commit(struct handover *handover, int *ret_reader, GError **error);
/* Removes what was not handed over. */
void handover_clear(struct handover *handover);
