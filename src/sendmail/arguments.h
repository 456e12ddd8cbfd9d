/* The command line, as sendmail(8) has it. */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct arguments {
	char *outbox;	       /* a directory; NULL: not said */
	char *sender;	       /* "": none; NULL: as the header says */
	char *full_name;       /* for a From field, if there is none; may be NULL */
	GPtrArray *recipients; /* of char *: addresses */
	bool from_header;      /* -t: those of the header too */
	bool dot_ends;	       /* a line with a dot alone is the end */
	bool wait;	       /* for the verdict */
};

enum arguments_result { ARGUMENTS_RUN, ARGUMENTS_HELP, ARGUMENTS_VERSION, ARGUMENTS_ERROR };

/* Fills `ret`, whatever was in it; all but ARGUMENTS_RUN leave it empty. Uses getopt(3): one
 * thread. EX_USAGE; EX_NOUSER: a recipient without a domain. */
enum arguments_result arguments_parse(struct arguments *ret, int argc, char **argv, GError **error);
void arguments_clear(struct arguments *arguments);

/* Appends the addresses of "a@b", "Name <a@b>" and lists of such with ',' between. Only what would
 * break the envelope's lines or is no address at all is refused here: EX_USAGE, EX_NOUSER. */
bool arguments_addresses(const char *text, GPtrArray *addresses, GError **error);
/* The text of the envelope: see struct envelope_config in outbox/envelope.h. */
char *arguments_envelope(const struct arguments *arguments);
