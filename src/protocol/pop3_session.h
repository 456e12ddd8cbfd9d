/* A POP3 connection without a socket (RFC 1939; CAPA and response codes RFC 2449, STLS RFC 2595,
 * AUTH RFC 5034, UTF8 RFC 6856). It is fed the bytes that came, gives out the bytes to send, and
 * carries itself from the greeting to POP3_SESSION_READY; from then on it sends the commands given
 * to it, pipelined where the server offers that, and reports answers in their order.
 *
 * Rules that it keeps, so that nobody else has to: nothing is sent behind a command before the
 * login until its reply is there; one byte buffered behind the reply to STLS ends the connection,
 * and no capability learnt before TLS is kept; a reply that nobody asked for ends the connection;
 * APOP only where it was asked for, and never with a timestamp that is no msg-id; UTF8 goes before
 * the login. QUIT is given out alone, when all before it is answered: so a connection that was lost
 * before has deleted nothing.
 *
 * Message numbers are those of this session, and mean nothing in another.
 *
 * Owned and called by one thread. Callbacks come from within pop3_session_feed(), _send(), _quit()
 * or _free(); of the session they may call pop3_session_send() and _quit() alone.
 */
#pragma once

#include "protocol/line_sender.h"
#include "protocol/pop3_list.h"
#include "protocol/pop3_reply.h"
#include "protocol/sasl.h"

struct pop3_session;

enum pop3_session_state {
	POP3_SESSION_GREETING,
	POP3_SESSION_CAPA,
	POP3_SESSION_STLS,
	POP3_SESSION_WANT_TLS, /* the owner does the handshake, then pop3_session_tls_done() */
	POP3_SESSION_UTF8,
	POP3_SESSION_USER,
	POP3_SESSION_AUTH,	  /* PASS, AUTH or APOP */
	POP3_SESSION_AFTER_LOGIN, /* CAPA again; may go back to AUTH once */
	POP3_SESSION_READY,
	POP3_SESSION_QUIT, /* takes no more commands; sends QUIT behind the last */
	POP3_SESSION_CLOSED,
};

struct pop3_session_config {
	struct sasl_login login; /* what it borrows: until READY */
	bool tls_active;	 /* implicit TLS is already on */
	bool tls_required;	 /* STLS before anything else, or fail */
	bool no_capa;		 /* never asked: some servers hang up at it */
};

enum pop3_verb {
	POP3_STAT, /* pop3_list_stat() of the reply's `raw` tells what it says */
	POP3_UIDL,
	POP3_LIST,
	POP3_TOP, /* the header alone */
	POP3_RETR,
	POP3_DELE, /* on record until QUIT */
	POP3_NOOP,
};

/* Of the answer to the oldest command without one; the `data` is that of the session. */
struct pop3_session_events {
	/* A line of UIDL, a line of LIST; as of pop3_list.h. Lines that name no message are left
	 * out; numbers may come in any order, and more than once. */
	void (*uid)(void *data, uint32_t number, const char *uid);
	void (*size)(void *data, uint32_t number, uint64_t size);
	/* Bytes of TOP or RETR, as the message has them, and as many as the server sends: there is
	 * no way to stop it. The message is whole when `done` comes with an OK. */
	void (*body)(void *data, uint32_t number, const uint8_t *bytes, size_t len);
};

struct pop3_session *pop3_session_new(const struct pop3_session_config *config,
				      const struct pop3_session_events *events, void *data);
/* Commands without an answer get their `done` with NULL. */
void pop3_session_free(struct pop3_session **session);

enum pop3_session_state pop3_session_state(const struct pop3_session *session);
/* By the last CAPA; of LOGIN-DELAY and EXPIRE what was last told. Valid until the next call. */
const struct pop3_capa *pop3_session_capa(const struct pop3_session *session);
/* The mechanism by which it logged in, or "USER" or "APOP"; NULL: it did not, or not yet. */
const char *pop3_session_way_in(const struct pop3_session *session);
/* Of the reply that ended the session, to greeting or login; behind POP3_CODE_LOGIN_DELAY the
 * capabilities may say how long to wait. */
enum pop3_code pop3_session_code(const struct pop3_session *session);
/* How long the server may be silent now. 0: it owes nothing. */
int64_t pop3_session_patience_ms(const struct pop3_session *session);

/* False on a fatal error: ERROR_PROTOCOL, ERROR_LIMIT, ERROR_TLS (no STLS), ERROR_AUTH (login
 * refused), ERROR_NO_LOGIN (none that may be used), ERROR_BUSY (IN-USE, or words that mean it),
 * ERROR_TEMPORARY (LOGIN-DELAY, SYS/TEMP, a greeting that is -ERR, a connection that the server
 * ends), ERROR_SERVER (SYS/PERM). The state is then POP3_SESSION_CLOSED, and every later call gives
 * the same error. Bytes behind the reply to QUIT are ignored. */
bool pop3_session_feed(struct pop3_session *session, const uint8_t *bytes, size_t len,
		       GError **error);
/* The handshake is done; `binding` may be NULL. */
void pop3_session_tls_done(struct pop3_session *session, const struct sasl_binding *binding);

/* Bytes to write; the owner says what it wrote of them, before it feeds what it read later. May
 * hold a password: never logged. */
const struct buf *pop3_session_output(const struct pop3_session *session);
void pop3_session_wrote(struct pop3_session *session, size_t len);

/* Waits until READY; in QUIT and CLOSED it is `done` at once, from within. `number` is that of a
 * message, for TOP, RETR and DELE; else 0. `done` comes once: with the reply, the listing or
 * message behind it told before; or with NULL if the session ends first. */
typedef void (*pop3_done_fn)(void *data, const struct pop3_reply *reply);
void pop3_session_send(struct pop3_session *session, enum pop3_verb verb, uint32_t number,
		       pop3_done_fn done, void *data);
/* Commands without an answer, sent or not. */
unsigned pop3_session_pending(const struct pop3_session *session);

/* What became of the deletions. */
enum pop3_quit {
	POP3_QUIT_COMMITTED, /* all that DELE said +OK to are gone */
	POP3_QUIT_PARTLY,    /* -ERR: some may be left */
	POP3_QUIT_UNKNOWN,   /* QUIT was given out, and its reply did not come */
	POP3_QUIT_NOT_SENT,  /* the session ended before: nothing is deleted */
};

/* READY: QUIT, behind all commands so far; else closes at once. `done` comes once, behind those of
 * the commands; `reply` is NULL if there was none. Without effect if it was called before. */
typedef void (*pop3_quit_fn)(void *data, enum pop3_quit result, const struct pop3_reply *reply);
void pop3_session_quit(struct pop3_session *session, pop3_quit_fn done, void *data);

/* A line for -d that shows neither password nor mail. Set before use. */
void pop3_session_set_trace(struct pop3_session *session, line_trace_fn trace, void *data);
