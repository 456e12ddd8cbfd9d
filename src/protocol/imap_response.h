/* IMAP, stage two: the grammar of a complete response (RFC 9051 section 7, with what servers really
 * send: extra and missing spaces, lower case, NIL or () for empty, unknown items skipped). Pure
 * functions; the result owns its memory.
 *
 * Any response that cannot be understood is either IMAP_DATA_OTHER (an unknown but well-formed one,
 * to be ignored) or an error, which is fatal to the connection.
 */
#pragma once

#include "protocol/seqset.h"

enum imap_kind { IMAP_TAGGED, IMAP_UNTAGGED, IMAP_CONTINUATION };

enum imap_status { IMAP_OK, IMAP_NO, IMAP_BAD, IMAP_BYE, IMAP_PREAUTH };

enum imap_data {
	IMAP_DATA_STATUS, /* tagged or untagged OK, NO, BAD, BYE, PREAUTH */
	IMAP_DATA_CAPABILITY,
	IMAP_DATA_ENABLED,
	IMAP_DATA_LIST,
	IMAP_DATA_MAILBOX_STATUS,
	IMAP_DATA_EXISTS,
	IMAP_DATA_EXPUNGE,
	IMAP_DATA_VANISHED,
	IMAP_DATA_FETCH,
	IMAP_DATA_SEARCH, /* SEARCH and ESEARCH */
	IMAP_DATA_FLAGS,
	IMAP_DATA_QUOTA,
	IMAP_DATA_MYRIGHTS,
	IMAP_DATA_OTHER,
};

/* Response codes that change what is done. One without the number or words that it needs is
 * IMAP_CODE_OTHER. */
enum imap_code {
	IMAP_CODE_NONE,
	IMAP_CODE_CAPABILITY,	 /* in response->words */
	IMAP_CODE_UIDVALIDITY,	 /* number */
	IMAP_CODE_UIDNEXT,	 /* number */
	IMAP_CODE_HIGHESTMODSEQ, /* number */
	IMAP_CODE_NOMODSEQ,
	IMAP_CODE_PERMANENTFLAGS, /* words */
	IMAP_CODE_READ_ONLY,
	IMAP_CODE_READ_WRITE,
	IMAP_CODE_CLOSED,
	IMAP_CODE_ALERT,
	IMAP_CODE_NONEXISTENT,
	IMAP_CODE_NOPERM,
	IMAP_CODE_AUTHENTICATIONFAILED,
	IMAP_CODE_AUTHORIZATIONFAILED,
	IMAP_CODE_EXPIRED,
	IMAP_CODE_PRIVACYREQUIRED,
	IMAP_CODE_CONTACTADMIN,
	IMAP_CODE_UNAVAILABLE,
	IMAP_CODE_INUSE,
	IMAP_CODE_LIMIT,
	IMAP_CODE_OVERQUOTA,
	IMAP_CODE_SERVERBUG,
	IMAP_CODE_CLIENTBUG,
	IMAP_CODE_EXPUNGEISSUED,
	IMAP_CODE_TRYCREATE,
	IMAP_CODE_APPENDUID, /* number: UIDVALIDITY; to */
	IMAP_CODE_COPYUID,   /* number: UIDVALIDITY; from, to */
	IMAP_CODE_NOTIFICATIONOVERFLOW,
	IMAP_CODE_OTHER,
};

enum imap_list_attribute {
	IMAP_LIST_NOSELECT = 1 << 0, /* \Noselect or \NonExistent */
	IMAP_LIST_NOINFERIORS = 1 << 1,
	IMAP_LIST_NONEXISTENT = 1 << 2,
	IMAP_LIST_SUBSCRIBED = 1 << 3,
	IMAP_LIST_ALL = 1 << 4, /* special use, RFC 6154 */
	IMAP_LIST_ARCHIVE = 1 << 5,
	IMAP_LIST_DRAFTS = 1 << 6,
	IMAP_LIST_FLAGGED = 1 << 7,
	IMAP_LIST_JUNK = 1 << 8,
	IMAP_LIST_SENT = 1 << 9,
	IMAP_LIST_TRASH = 1 << 10,
};

enum imap_flag {
	IMAP_FLAG_SEEN = 1 << 0,
	IMAP_FLAG_ANSWERED = 1 << 1,
	IMAP_FLAG_FLAGGED = 1 << 2,
	IMAP_FLAG_DELETED = 1 << 3,
	IMAP_FLAG_DRAFT = 1 << 4,
};

enum imap_fetch_item {
	IMAP_FETCH_UID = 1 << 0,
	IMAP_FETCH_SIZE = 1 << 1,
	IMAP_FETCH_DATE = 1 << 2,
	IMAP_FETCH_FLAGS = 1 << 3,
	IMAP_FETCH_MODSEQ = 1 << 4,
	IMAP_FETCH_HEADER = 1 << 5, /* BODY[HEADER.FIELDS ...] */
	IMAP_FETCH_BODY = 1 << 6,   /* BODY[], whole or <origin> */
};

enum imap_status_item {
	IMAP_STATUS_MESSAGES = 1 << 0,
	IMAP_STATUS_UIDNEXT = 1 << 1,
	IMAP_STATUS_UIDVALIDITY = 1 << 2,
	IMAP_STATUS_UNSEEN = 1 << 3,
	IMAP_STATUS_HIGHESTMODSEQ = 1 << 4,
	IMAP_STATUS_SIZE = 1 << 5,
};

struct imap_fetch {
	unsigned items; /* which of the following the response held */
	uint32_t uid;
	uint64_t size;
	int64_t date_s; /* INTERNALDATE as Unix time; 0 if it cannot be read */
	unsigned flags;
	GPtrArray *keywords; /* of char *; NULL if none */
	uint64_t modseq;
	GBytes *header; /* never NULL with IMAP_FETCH_HEADER */
	/* BODY[]: streamed (size announced = body_size, frame.h), inline (`body`), or NIL. */
	bool body_streamed;
	bool body_nil;
	bool body_partial; /* "BODY[]<origin>" */
	uint64_t body_origin;
	uint64_t body_size;
	GBytes *body; /* inline: a quoted string, or an empty literal */
};

struct imap_response {
	enum imap_kind kind;
	enum imap_data data;
	char *tag; /* IMAP_TAGGED */

	/* IMAP_DATA_STATUS */
	enum imap_status status;
	enum imap_code code;
	char *code_name; /* as sent, upper case, cleaned; NULL if none */
	char *text;	 /* cleaned, never NULL for IMAP_DATA_STATUS and IMAP_CONTINUATION */
	/* IMAP_CONTINUATION: what stands behind the "+ ", in the bytes that were parsed. */
	const char *challenge;
	size_t challenge_len;

	/* EXISTS and EXPUNGE: the number; FETCH: the sequence number; codes: their number */
	uint64_t number;
	/* Of struct seqrange in the order sent: the n-th UID of one is the n-th of the other, if
	 * they have as many. NULL without such a code. */
	GArray *from, *to;

	GPtrArray *words; /* CAPABILITY, ENABLED, FLAGS and such codes: upper-cased atoms (flags as
			     sent) */

	/* LIST, STATUS, QUOTA, MYRIGHTS */
	char *mailbox;	/* as the server spelt it, unquoted; NUL-terminated, may hold any other byte
			 */
	char separator; /* LIST: 0 for NIL */
	unsigned attributes;
	unsigned status_items;
	uint64_t messages, uidnext, uidvalidity, unseen, highestmodseq, size;
	bool has_storage; /* QUOTA: STORAGE, in bytes */
	uint64_t storage_used, storage_limit;
	bool has_message_quota;
	uint64_t message_used, message_limit;

	uint32_t rights; /* MYRIGHTS: bit 0 for the letter "a" and so on (RFC 4314 section 2.1) */

	/* SEARCH, VANISHED */
	struct seqset set;
	bool earlier; /* VANISHED (EARLIER) */
	/* SEARCH, or ESEARCH with UID and ALL. False too if one number of the answer makes no
	 * sense: then it tells nothing about what exists. */
	bool has_all;

	struct imap_fetch fetch;
};

/* `body_size` is what the frame announced if a body literal was streamed out of this frame.
 * On failure `*ret` holds nothing to free. ERROR_PROTOCOL, ERROR_LIMIT. */
bool imap_response_parse(const char *text, size_t len, uint64_t body_size,
			 struct imap_response *ret, GError **error);
void imap_response_clear(struct imap_response *response);

/* For IMAP_FRAME_BODY: the UID if the text so far holds one, else 0; and the first byte's place in
 * the message, 0 if it is not told. */
uint32_t imap_response_peek_body(const char *text, size_t len, uint64_t *ret_origin);

/* The error for a tagged NO or BAD, by its code (protocol table "response codes to errno"); `what`
 * names the operation: "cannot list INBOX". */
GError *imap_response_error(const struct imap_response *response, const char *what);
