/* Transcripts: a conversation with a server, as text. One step a line:
 *
 *   # a comment, or an empty line
 *   S: bytes      the server sends this and CRLF
 *   S- bytes      the server sends this alone
 *   C: bytes      exactly this, and CRLF, must have been sent
 *   C- bytes      exactly this must have been sent
 *   ! word ...    a directive for the driver
 *
 * Escapes in bytes: \r \n \t \0 \\ \" \xNN, \{text*n} for n times text, and \v for the version of
 * mailfs. Consecutive S lines are one
 * piece that the driver may cut as it likes.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum wire_kind { WIRE_SERVER, WIRE_CLIENT, WIRE_DIRECTIVE };

struct wire_step {
	enum wire_kind kind;
	unsigned line;
	GString *bytes; /* of a directive: as written, without "! " */
};

/* An array of struct wire_step; ends the program with a message if the file cannot be read. Free
 * with g_ptr_array_unref(). */
GPtrArray *wire_script_load(const char *path);

/* Appends `text` with its escapes resolved, up to the end or, if `quoted`, to the closing quote.
 * What follows; NULL if an escape is wrong or the quote missing. */
const char *wire_unescape(const char *text, bool quoted, GString *out);
