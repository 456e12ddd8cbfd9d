/* An IMAP connection without a socket (RFC 9051; STARTTLS, CAPABILITY, SASL-IR, ENABLE, ID; RFC
 * 4978 COMPRESS). It is fed the bytes that came, gives out the bytes to send, and carries itself
 * from the greeting to IMAP_SESSION_READY; from then on it sends the commands given to it,
 * pipelined where the RFC allows it, and reports answers.
 *
 * Rules that it keeps, so that nobody else has to: nothing is sent behind STARTTLS, a login or
 * COMPRESS; one
 * byte buffered behind the STARTTLS OK, PREAUTH in cleartext, a tagged reply to a command not yet
 * sent whole or unknown: the connection is closed; nothing learnt before TLS is kept; LOGINDISABLED
 * is obeyed; untagged data before login is ignored; a command marked `alone` (SELECT and its kind)
 * is sent when nothing is in flight and nothing is sent behind it until it is answered;
 * synchronising literals wait for their "+", and only the last command in flight has one; nothing
 * is sent between IDLE and its DONE. A command that is refused while its stream is on the way is
 * answered, and then the connection ends: what it takes for the rest of the stream cannot be known.
 *
 * Owned and called by one thread. Callbacks come from within imap_session_feed() and may call
 * imap_session_send().
 */
#pragma once

#include "protocol/imap_command.h"
#include "protocol/imap_response.h"
#include "protocol/sasl.h"

struct imap_session;

enum imap_session_state {
	IMAP_SESSION_GREETING,
	IMAP_SESSION_CAPABILITY,
	IMAP_SESSION_STARTTLS, /* sent */
	IMAP_SESSION_WANT_TLS, /* the owner does the handshake, then imap_session_tls_done() */
	IMAP_SESSION_LOGIN,
	IMAP_SESSION_AFTER_LOGIN, /* CAPABILITY, COMPRESS; ENABLE and ID go with it */
	/* The owner compresses from here on, then imap_session_deflate_done(). */
	IMAP_SESSION_WANT_DEFLATE,
	IMAP_SESSION_READY,
	IMAP_SESSION_LOGOUT,
	IMAP_SESSION_CLOSED,
};

/* Capabilities that change what is sent. */
enum imap_cap {
	IMAP_CAP_SASL_IR = 1 << 0,
	IMAP_CAP_LOGINDISABLED = 1 << 1,
	IMAP_CAP_STARTTLS = 1 << 2,
	IMAP_CAP_LITERAL_PLUS = 1 << 4,
	IMAP_CAP_ENABLE = 1 << 5,
	IMAP_CAP_CONDSTORE = 1 << 6,
	IMAP_CAP_QRESYNC = 1 << 7,
	IMAP_CAP_ESEARCH = 1 << 8,
	IMAP_CAP_LIST_EXTENDED = 1 << 9,
	IMAP_CAP_SPECIAL_USE = 1 << 10,
	IMAP_CAP_QUOTA = 1 << 11,
	IMAP_CAP_ID = 1 << 12,
	IMAP_CAP_LITERAL_MINUS = 1 << 13,
	IMAP_CAP_UIDPLUS = 1 << 14,
	IMAP_CAP_MOVE = 1 << 15,
	IMAP_CAP_UNSELECT = 1 << 16,
	IMAP_CAP_ACL = 1 << 17,
	IMAP_CAP_IDLE = 1 << 20,
	IMAP_CAP_NOTIFY = 1 << 21,
	IMAP_CAP_COMPRESS_DEFLATE = 1 << 18,
	IMAP_CAP_LIST_STATUS = 1 << 19,
};

struct imap_session_config {
	struct sasl_login login; /* what it borrows: until READY */
	bool tls_active;	 /* implicit TLS is already on */
	bool tls_required;	 /* STARTTLS before login, or fail */
	bool compress;		 /* if the server offers it */
	const char *tag_prefix;	 /* up to 4 letters, unpredictable; copied */
};

struct imap_session_events {
	/* READY only, in the order of arrival; `response` is the callee's to read during the call.
	 */
	void (*untagged)(void *data, const struct imap_response *response);
	/* The body literal of a FETCH that will be reported by `untagged` when it is complete.
	 * `uid` is 0 if it was not sent before the literal; `origin` is where in the message it
	 * begins. */
	void (*body_begin)(void *data, uint32_t uid, uint64_t origin, uint64_t size);
	void (*body_data)(void *data, const uint8_t *bytes, size_t len);
};

struct imap_session *imap_session_new(const struct imap_session_config *config,
				      const struct imap_session_events *events, void *data);
/* Commands without an answer get their `done` with NULL. */
void imap_session_free(struct imap_session **session);

enum imap_session_state imap_session_state(const struct imap_session *session);
/* Of the present state. Where the server offers QRESYNC, it and CONDSTORE count only if "* ENABLED"
 * confirmed them, which is known when the session is settled. */
unsigned imap_session_caps(const struct imap_session *session);
/* ENABLE and ID are answered. What needs nothing of them may go behind them as soon as it is READY.
 */
bool imap_session_is_settled(const struct imap_session *session);
bool imap_session_qresync_enabled(const struct imap_session *session);
/* As imap_caps_append_limit(). */
uint64_t imap_session_append_limit(const struct imap_session *session);
/* The mechanism by which it logged in, or "LOGIN"; NULL: it did not, or not yet. */
const char *imap_session_way_in(const struct imap_session *session);
/* Space-separated, in upper case, as the server listed them; for .mailfs/status. */
const char *imap_session_cap_text(const struct imap_session *session);

/* False on a fatal error: ERROR_PROTOCOL, ERROR_LIMIT, ERROR_TLS (no STARTTLS), ERROR_AUTH (login
 * refused), ERROR_NO_LOGIN (none that may be used), ERROR_TEMPORARY (UNAVAILABLE, BYE). The state
 * is then IMAP_SESSION_CLOSED, and every later call gives the same error. Bytes fed in
 * IMAP_SESSION_WANT_TLS are fatal: they are cleartext behind STARTTLS. In IMAP_SESSION_CLOSED after
 * a logout they are ignored. */
bool imap_session_feed(struct imap_session *session, const uint8_t *bytes, size_t len,
		       GError **error);
/* How many of the bytes fed last it did not take: in IMAP_SESSION_WANT_DEFLATE they are compressed.
 */
size_t imap_session_left(const struct imap_session *session);
/* The handshake is done; `binding` may be NULL. */
void imap_session_tls_done(struct imap_session *session, const struct sasl_binding *binding);
/* From the next byte on, both ways, what the session is fed was inflated and what it gives out will
 * be compressed. */
void imap_session_deflate_done(struct imap_session *session);

/* Bytes to write; the owner says what it wrote of them, before it feeds what it read later. May
 * hold a password: never logged. */
const struct buf *imap_session_output(const struct imap_session *session);
/* The first `len` bytes of the output are written. A stream under way gives more then, until the
 * output holds 64 KiB. False if it could not: a fatal error as of imap_session_feed(), of code
 * ERROR_IO. */
bool imap_session_wrote(struct imap_session *session, size_t len, GError **error);

/* Takes over `*command`. `done` comes once: with the tagged response, or with NULL if the
 * connection ends first. `alone`: see above. */
typedef void (*imap_done_fn)(void *data, const struct imap_response *tagged);
void imap_session_send(struct imap_session *session, struct imap_command **command, bool alone,
		       imap_done_fn done, void *data);
/* IDLE (RFC 2177), alone; `done` likewise. It lasts until imap_session_idle_end(), or until there
 * is another command to send. A server that ends it by itself breaks the protocol, but may refuse
 * it.
 */
void imap_session_idle(struct imap_session *session, imap_done_fn done, void *data);
/* Ends the one under way: DONE goes out as soon as the server said "+". */
void imap_session_idle_end(struct imap_session *session);
/* The server said "+" and is not asked to end it: its silence is no failure. */
bool imap_session_is_idle(const struct imap_session *session);
/* Commands sent or waiting to be sent. */
unsigned imap_session_in_flight(const struct imap_session *session);
/* Before READY: closes at once. Else commands not begun are dropped, and LOGOUT is sent as soon as
 * the protocol allows; the state is IMAP_SESSION_CLOSED when it is answered. */
void imap_session_logout(struct imap_session *session);

/* A line for -d that shows neither password nor mail: "C: a1 LOGIN ..." / "S: ...". Set before use.
 */
typedef void (*imap_trace_fn)(void *data, char direction, const char *line);
void imap_session_set_trace(struct imap_session *session, imap_trace_fn trace, void *data);
