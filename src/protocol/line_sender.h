/* The sending half of a protocol of lines, SMTP and POP3: the bytes to be written, and behind which
 * of them each command ends, so that a reply that nobody can have asked for is told from the
 * others. One thread. */
#pragma once

#include "base/buf.h"

#include <glib.h>

typedef void (*line_trace_fn)(void *data, char direction, const char *line);

struct line_sender {
	struct buf output;
	uint64_t
		appended; /* bytes ever put into `output`: what is not in it any more was written */
	GArray *asked;	  /* of uint64_t: `appended` behind each command without a reply */
	line_trace_fn trace;
	void *trace_data;
};

/* `max` bytes wait at the most: more is the caller's fault. */
void line_sender_init(struct line_sender *sender, size_t max);
/* Wipes the output, which may hold a password. */
void line_sender_clear(struct line_sender *sender);
/* A line that will be replied to. `secret`: its rest, not shown; or NULL. */
void line_sender_command(struct line_sender *sender, const char *command, const char *secret);
/* The reply that came is to the oldest command: it was sent whole. False: to none. */
bool line_sender_answered(struct line_sender *sender);
/* One line, cleaned, if somebody listens. */
void line_sender_trace(const struct line_sender *sender, char direction, const char *format, ...)
	G_GNUC_PRINTF(3, 4);
