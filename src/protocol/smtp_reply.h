/* SMTP replies (RFC 5321 section 4.2, enhanced codes RFC 2034). Fed bytes as they come; nothing
 * here opens a socket. What is wrong with a reply ends the connection: ERROR_PROTOCOL (no code, a
 * code outside of 200 to 599, lines of one reply that differ in their code), ERROR_LIMIT (a line
 * over LIMIT_SMTP_LINE, more than LIMIT_SMTP_LINES). */
#pragma once

#include "base/buf.h"

struct smtp_reply {
	unsigned code; /* 200 to 599 */
	/* Its first digit is that of the code, else all are 0: none. */
	unsigned enhanced[3];
	char *text;	  /* one clean line: code and all, as for a log; capped at 500 bytes */
	GPtrArray *lines; /* of char *: each line behind its code, cleaned; for EHLO */
};

void smtp_reply_clear(struct smtp_reply *reply);

static inline unsigned smtp_reply_class(const struct smtp_reply *reply)
{
	return reply->code / 100;
}

struct smtp_reply_parser;

struct smtp_reply_parser *smtp_reply_parser_new(void);
void smtp_reply_parser_free(struct smtp_reply_parser **parser);
/* True when a reply is whole: it is in `ret`, the caller's to clear. Consumes from `bytes` what
 * belongs to it (`*ret_used`), or all. False without an error: more is needed. */
bool smtp_reply_parser_feed(struct smtp_reply_parser *parser, const uint8_t *bytes, size_t len,
			    size_t *ret_used, struct smtp_reply *ret, GError **error);
/* Bytes of a reply that is not whole yet. */
bool smtp_reply_parser_is_empty(const struct smtp_reply_parser *parser);
