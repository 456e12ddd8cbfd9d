/* POP3 replies (RFC 1939 section 3, response codes RFC 2449 section 8, RFC 3206, RFC 6856): one
 * line each. Fed bytes as they come; nothing here opens a socket. What is wrong with a reply ends
 * the connection: ERROR_PROTOCOL (neither "+OK" nor "-ERR" nor "+"), ERROR_LIMIT (over
 * LIMIT_POP3_LINE). */
#pragma once

#include "base/buf.h"

enum pop3_status {
	POP3_OK,
	POP3_ERR,
	POP3_CONTINUE, /* "+ ": of SASL alone */
};

/* Codes may be longer than these: the levels that are known decide. */
enum pop3_code {
	POP3_CODE_NONE, /* or one that says nothing to us */
	POP3_CODE_IN_USE,
	POP3_CODE_LOGIN_DELAY,
	POP3_CODE_SYS_TEMP,
	POP3_CODE_SYS_PERM,
	POP3_CODE_AUTH,
	POP3_CODE_UTF8,
};

struct pop3_reply {
	enum pop3_status status;
	enum pop3_code code;
	char *raw;	/* what stands behind the status, with its code; NUL behind it */
	size_t raw_len; /* it may hold NULs */
	char *text;	/* the whole reply as one clean line, as for a log; capped at 500 bytes */
};

/* Wipes: a server may repeat a password. */
void pop3_reply_clear(struct pop3_reply *reply);

struct pop3_reply_parser;

struct pop3_reply_parser *pop3_reply_parser_new(void);
void pop3_reply_parser_free(struct pop3_reply_parser **parser);
/* True when a reply is whole: it is in `ret`, the caller's to clear. Consumes from `bytes` what
 * belongs to it (`*ret_used`), or all. False without an error: more is needed. */
bool pop3_reply_parser_feed(struct pop3_reply_parser *parser, const uint8_t *bytes, size_t len,
			    size_t *ret_used, struct pop3_reply *ret, GError **error);
/* Bytes of a reply that is not whole yet. */
bool pop3_reply_parser_is_empty(const struct pop3_reply_parser *parser);
