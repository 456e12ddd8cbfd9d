/* IMAP, stage one: cuts the byte stream into responses (RFC 9051 section 4.3, 7). A response is a
 * line with its literals. Small literals stay in the frame as they came ("{3}\r\nabc"); a literal
 * of a message body is handed out in pieces while it arrives, and the frame keeps only its
 * "{n}\r\n". Of any other in a FETCH it keeps the first LIMIT_INLINE_LITERAL bytes.
 *
 * A bare LF ends a line like CRLF. "{n}", "{n+}" and "~{n}" start a literal only at the end of a
 * line, outside a quoted string, and never in the text of a status response ("* OK ... {5}" is
 * text).
 *
 * A NUL outside of a literal is an error. Any error is fatal to the connection: after it no byte
 * can be trusted.
 */
#pragma once

#include "base/buf.h"

enum imap_frame_event {
	IMAP_FRAME_MORE,     /* all input used, nothing to report */
	IMAP_FRAME_RESPONSE, /* frame->text is a whole response without its last line end */
	IMAP_FRAME_BODY,     /* a body literal begins: frame->body_size, frame->text so far */
	IMAP_FRAME_DATA,     /* frame->data, data_len bytes of that literal */
	IMAP_FRAME_ERROR,
};

struct imap_frame {
	struct buf text;    /* the response so far */
	size_t max_line;    /* LIMIT_GREETING_LINE .. LIMIT_LINE; the owner raises it after login */
	uint64_t body_size; /* IMAP_FRAME_BODY: what the server announces; kept until the response
			       is over, 0 if it has no body literal */
	const uint8_t *data; /* IMAP_FRAME_DATA: points into the input */
	size_t data_len;
	/* private */
	int state;
	bool body_seen;
	size_t line_start;
	size_t line_bytes; /* of the response, without literals */
	uint64_t left;
	size_t keep;
};

void imap_frame_init(struct imap_frame *frame, size_t max_line);
void imap_frame_clear(struct imap_frame *frame);

/* Takes input until there is something to report; `*ret_used` bytes were taken. Call again with the
 * rest until IMAP_FRAME_MORE. After IMAP_FRAME_RESPONSE the next call starts a new response.
 * ERROR_LIMIT or ERROR_PROTOCOL. */
enum imap_frame_event imap_frame_feed(struct imap_frame *frame, const uint8_t *bytes, size_t len,
				      size_t *ret_used, GError **error);

/* Bytes of an unfinished response are held: for the check behind STARTTLS. */
bool imap_frame_is_empty(const struct imap_frame *frame);
