/* What a message says about its own sending: who sends it to whom, and what it lacks (RFC 5322
 * section 3.6, Resent-* section 3.6.6). Reads a file; any thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct envelope_config {
	/* Who sends what does not say so, or names somebody without a domain; may be NULL. */
	const char *from;
	/* One address a line: the sender ("" or "<>": none; "header": as the header says), then
	 * recipients, instead of those of the header unless a line "header" is among them. NULL:
	 * all as the header says. */
	const char *given;
	/* What was added before: the same again. NULL: made anew where it is missing. */
	const char *message_id;
	int64_t date_s; /* when it was handed over: for a Date that is missing */
};

/* Of the file, in bytes. */
struct envelope_span {
	uint64_t offset;
	uint64_t len;
};

struct envelope {
	char *sender;	       /* "": none */
	GPtrArray *recipients; /* of char *, each once */
	char *message_id;      /* the header's, or the one that is added: "<...>" */
	char *additions;       /* fields that are missing, each ended by CRLF; "" */
	uint64_t skip;	       /* bytes before the header: an mbox "From " line */
	uint64_t header_len;   /* from there on, without the empty line */
	uint64_t length;       /* of the file */
	GArray *blind;	       /* of struct envelope_span: what is not sent (Bcc); rising */
	uint64_t size;	       /* of all that is sent at most, line ends as CRLF */
	bool eight_bit;	       /* bytes over 127 */
	bool utf8_header;      /* some of them in the header */
};

/* Lines end in LF, CRLF or CR. ERROR_REFUSED: no header, a line in it that is no field (its
 * number), a bad address (in which field), no recipient, more than LIMIT_RECIPIENTS, several From
 * without a Sender to take; From, Date or Message-ID empty; NUL, or a line over LIMIT_TEXT_LINE
 * (its number). ERROR_LIMIT: a header over LIMIT_HEADER. ERROR_IO. */
bool envelope_read(int fd, const struct envelope_config *config, struct envelope *ret,
		   GError **error);
/* Of one that is all zero, too. */
void envelope_clear(struct envelope *envelope);
