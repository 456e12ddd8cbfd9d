/* The message from standard input. Its header is read ahead: who sends it stands there. */
#pragma once

#include "sendmail/interrupt.h"

#include <glib.h>

enum dot_state { DOT_LINE_START, DOT_LINE_INSIDE, DOT_SEEN, DOT_SEEN_CR };

struct input {
	int fd;				   /* borrowed */
	const struct interrupt *interrupt; /* borrowed */
	bool dot_ends;
	enum dot_state state;
	bool ended;
	guint64 size; /* bytes read so far */
};

/* Appends what comes next to `out`; nothing more if `input->ended`. EX_IOERR; EX_DATAERR: over
 * LIMIT_MESSAGE_SIZE; EX_TEMPFAIL: interrupted. */
bool input_read(struct input *input, GString *out, GError **error);
/* Appends until the header is complete, or LIMIT_HEADER. */
bool input_read_header(struct input *input, GString *out, GError **error);

/* The address of the From field in what has been read, for choosing between accounts: NULL if there
 * is none. Free with g_free(). */
char *input_from(const GString *header, bool *ret_has_field);
/* Puts a From field with name and address where the header begins. */
void input_add_from(GString *header, const char *name, const char *address);
