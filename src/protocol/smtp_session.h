/* An SMTP submission without a socket (RFC 6409, 5321; STARTTLS RFC 3207, AUTH RFC 4954, PIPELINING
 * RFC 2920, SIZE RFC 1870, 8BITMIME RFC 6152, SMTPUTF8 RFC 6531, DSN RFC 3461, enhanced codes RFC
 * 2034). It is fed the bytes that came, gives out the bytes to send, and carries itself from the
 * greeting to SMTP_SESSION_READY; then it hands in one transaction at a time.
 *
 * Rules that it keeps, so that nobody else has to: EHLO, and HELO where that is not known (with
 * neither TLS nor login required); nothing is sent behind STARTTLS, AUTH or DATA before their
 * reply; one byte buffered behind the reply to STARTTLS ends the connection, and nothing learnt
 * before TLS is kept; no second EHLO behind AUTH; a reply that nobody asked for ends the
 * connection. MAIL and all RCPT go together where the server offers PIPELINING, DATA never with
 * them. The dot that ends DATA is given out only when all before it is written: so a connection
 * that was lost before has sent nothing.
 *
 * Owned and called by one thread. Callbacks come from within smtp_session_feed(), _wrote() or
 * _free(), and must not call the session.
 */
#pragma once

#include "config/account.h" /* enum smtp_notify */
#include "protocol/line_sender.h"
#include "protocol/sasl.h"
#include "protocol/smtp_reply.h"

#include <sys/types.h>

struct smtp_session;

enum smtp_session_state {
	SMTP_SESSION_GREETING,
	SMTP_SESSION_EHLO, /* or HELO */
	SMTP_SESSION_STARTTLS,
	SMTP_SESSION_WANT_TLS, /* the owner does the handshake, then smtp_session_tls_done() */
	SMTP_SESSION_AUTH,
	SMTP_SESSION_READY,
	SMTP_SESSION_MAIL, /* MAIL and RCPT */
	SMTP_SESSION_DATA, /* waits for 354 */
	SMTP_SESSION_TEXT, /* is being sent */
	SMTP_SESSION_DOT,  /* the dot was given out */
	SMTP_SESSION_RSET,
	SMTP_SESSION_QUIT,
	SMTP_SESSION_CLOSED,
};

enum smtp_cap {
	SMTP_CAP_STARTTLS = 1 << 0,
	SMTP_CAP_AUTH = 1 << 1, /* in whatever form */
	SMTP_CAP_PIPELINING = 1 << 2,
	SMTP_CAP_SIZE = 1 << 3,
	SMTP_CAP_8BITMIME = 1 << 4,
	SMTP_CAP_SMTPUTF8 = 1 << 5,
	SMTP_CAP_DSN = 1 << 6,
	SMTP_CAP_ENHANCED = 1 << 7,
};

struct smtp_session_config {
	const char *helo; /* a host name or "[127.0.0.1]"; cleaned of all but letters, digits,
			     "-", ".", ":", "[" and "]"; copied */
	struct sasl_login login; /* what it borrows: until READY */
	bool login_required;	 /* else a server without AUTH is used without */
	bool tls_active;	 /* implicit TLS is already on */
	bool tls_required;	 /* STARTTLS before anything else, or fail */
};

enum smtp_outcome {
	SMTP_ACCEPTED, /* for all recipients that were not refused */
	SMTP_REFUSED,  /* for good: 5xx to MAIL, DATA or the text, every recipient refused, or the
			  server cannot take such a message at all (size, 8 bits, SMTPUTF8) */
	SMTP_DEFERRED, /* 4xx, or the connection ended before the dot */
	SMTP_UNKNOWN,  /* the connection ended behind the dot */
	SMTP_HELD,     /* the server wants another login first (530, 534, 535, 538 to MAIL) */
	SMTP_ABORTED,  /* events.commit said no */
};

/* All borrowed until `done`. Addresses hold no controls, no "<", no ">" outside of a quoted local
 * part: the caller has made sure. */
struct smtp_transaction {
	const char *sender; /* "": none (a report) */
	const GPtrArray
		*recipients; /* of const char *; at least one, at most SMTP_RECIPIENTS_MAX */
	uint64_t size;	     /* with line ends as CRLF */
	bool eight_bit;	     /* bytes over 127 in it */
	bool utf8_header;    /* some of them in its header */
	unsigned notify;     /* enum smtp_notify */
};

struct smtp_session_events {
	/* The text, in order: up to `max` bytes; 0: its end; -1: it cannot be read (the connection
	 * ends). */
	ssize_t (*read)(void *data, void *bytes, size_t max);
	/* The verdict on recipient `number`; before `done`. Of a transaction that ends before, not
	 * all may come. */
	void (*recipient)(void *data, unsigned number, const struct smtp_reply *reply);
	/* MAIL and at least one RCPT were accepted: to be put on record before DATA. False: not to
	 * be sent after all. */
	bool (*commit)(void *data);
	/* Once for each transaction. `reply`: what decided, or NULL; `text`: the same for people, a
	 * clean line. */
	void (*done)(void *data, enum smtp_outcome outcome, const struct smtp_reply *reply,
		     const char *text);
};

#define SMTP_RECIPIENTS_MAX 100 /* RFC 5321 section 4.5.3.1.8 */

struct smtp_session *smtp_session_new(const struct smtp_session_config *config,
				      const struct smtp_session_events *events, void *data);
/* A transaction under way is `done` before, as its state demands. */
void smtp_session_free(struct smtp_session **session);

enum smtp_session_state smtp_session_state(const struct smtp_session *session);
unsigned smtp_session_caps(const struct smtp_session *session);
/* The mechanism by which it logged in; NULL: it did not, or not yet. */
const char *smtp_session_way_in(const struct smtp_session *session);
/* The same in the server's words, parted by spaces; for people. Free with g_free(). */
char *smtp_session_cap_text(const struct smtp_session *session);
/* The largest message by the server's word; UINT64_MAX: none told. */
uint64_t smtp_session_size_max(const struct smtp_session *session);
/* How long the server may be silent now: RFC 5321 section 4.5.3.2. 0: it owes nothing. */
int64_t smtp_session_patience_ms(const struct smtp_session *session);

/* False on a fatal error: ERROR_PROTOCOL, ERROR_LIMIT, ERROR_TLS (no STARTTLS), ERROR_AUTH (login
 * refused for good), ERROR_NO_LOGIN (none offered that is required and may be used),
 * ERROR_TEMPORARY (4xx to any of these, 421, a greeting that is none), ERROR_REFUSED (5xx to
 * greeting or EHLO and HELO). The state is then SMTP_SESSION_CLOSED, and every later call gives the
 * same error. Bytes behind QUIT are ignored. */
bool smtp_session_feed(struct smtp_session *session, const uint8_t *bytes, size_t len,
		       GError **error);
/* The handshake is done; `binding` may be NULL. */
void smtp_session_tls_done(struct smtp_session *session, const struct sasl_binding *binding);

/* READY only. May be `done` at once, from within. */
void smtp_session_send(struct smtp_session *session, const struct smtp_transaction *transaction);
/* READY: QUIT. Else closes at once. */
void smtp_session_quit(struct smtp_session *session);

/* Bytes to write; the owner says what it wrote of them, before it feeds what it read later. May
 * hold a password: never logged. */
const struct buf *smtp_session_output(const struct smtp_session *session);
/* The first `len` bytes are written; more of the text is given out then, 64 KiB at a time. */
bool smtp_session_wrote(struct smtp_session *session, size_t len, GError **error);

/* A line for -d that shows neither password nor mail. Set before use. */
void smtp_session_set_trace(struct smtp_session *session, line_trace_fn trace, void *data);
