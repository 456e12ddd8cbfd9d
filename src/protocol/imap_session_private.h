/* The inside of a session, for imap_session.c (feeding, dispatch), imap_send.c (queue, sending) and
 * imap_login.c (from the greeting to READY) alone. */
#pragma once

#include "base/error.h"
#include "base/limits.h"
#include "protocol/imap_command_parts.h"
#include "protocol/imap_frame.h"
#include "protocol/imap_session.h"

/* A command on its way. */
struct imap_pending {
	struct imap_command *command;
	char *tag; /* NULL until it is sent */
	bool alone;
	bool ours; /* the session's own: `data` is the session, and nobody waits for it */
	imap_done_fn done;
	void *data;
	unsigned part;	       /* the next to hand out */
	bool wants_plus;       /* handed out up to a place where the server has to say "+" */
	bool got_plus;	       /* it said it: the bytes of `part` may follow */
	bool held;	       /* but shall not yet: IDLE */
	uint64_t streamed;     /* bytes of its stream that were handed out */
	uint64_t announced_at; /* as sent_at, where its stream begins; 0: it has not begun */
	bool cut;	       /* it was refused while its stream was on the way */
	bool complete;	       /* handed out whole */
	uint64_t sent_at;      /* session->appended behind its last byte so far, or behind the
				  announcement of the stream under way */
};

struct imap_session {
	enum imap_session_state state;
	struct sasl_login login; /* empty from READY on */
	struct sasl *sasl;	 /* while it logs in by AUTHENTICATE */
	const char *way_in;	 /* by which it logged in; NULL: it did not */
	GError *login_error;	 /* the login was cancelled for it; its no is to come */
	bool tls_active;
	bool tls_required;
	bool compress;
	char prefix[5];
	unsigned tags;
	struct imap_session_events events;
	void *data;
	imap_trace_fn trace;
	void *trace_data;

	struct imap_frame frame;
	uint64_t body_size; /* of the literal that was streamed out of the present response */

	bool echo; /* the present response repeats a secret: its words are shown to nobody */

	struct buf output;
	uint64_t
		appended; /* bytes ever put into `output`: what is not in it any more was written */
	GQueue waiting;	  /* of struct imap_pending: not begun */
	GQueue flight;	  /* begun and not answered; only the last may be incomplete */

	unsigned caps;
	unsigned auth;	 /* mechanisms offered: enum auth_mechanism */
	char *auth_text; /* the same, with those that are unknown */
	char *cap_text;
	uint64_t append_limit;
	bool caps_known;
	bool qresync_enabled;
	size_t left;	     /* bytes fed last that were not taken */
	unsigned extensions; /* ENABLE and ID that are not answered */

	GError *error; /* the fatal one: stays */
};

/* imap_session.c */
void imap_session_set_state(struct imap_session *session, enum imap_session_state state);
/* The first error wins; nothing is sent or read any more. */
void imap_session_fail(struct imap_session *session, enum mailfs_error code, const char *format,
		       ...) G_GNUC_PRINTF(3, 4);
void imap_session_fail_with(struct imap_session *session, GError *error);
/* The server's words for an error message: marked if nobody vouches for them, and withheld if they
 * repeat the password. Free with g_free(). */
char *imap_session_server_text(const struct imap_session *session, const char *text);
void imap_session_set_caps(struct imap_session *session, const GPtrArray *words);

/* imap_send.c */
void imap_send_now(struct imap_session *session, struct imap_command *command, imap_done_fn done);
/* Sends of the waiting commands what may go. */
void imap_send_pump(struct imap_session *session);
void imap_send_plus(struct imap_session *session);
/* A line for the command under way, a secret. False if there is none that was sent: failed. */
bool imap_send_answer(struct imap_session *session, const char *line);
/* More of the stream under way, if there is one and the output has room. */
void imap_send_refill(struct imap_session *session);
/* The command that this tagged response answers, out of flight; NULL after a fatal error. */
struct imap_pending *imap_send_answered(struct imap_session *session,
					const struct imap_response *response);
/* The text holds a secret of a command in flight, as it was sent or as it is. */
bool imap_send_is_echo(const struct imap_session *session, const char *text, size_t len);
/* All of the queue is done with NULL. */
void imap_send_drop(struct imap_session *session, GQueue *queue);
void imap_pending_free(struct imap_pending *pending);

/* imap_login.c */
void imap_login_greeting(struct imap_session *session, const struct imap_response *response);
/* "+ ..." to AUTHENTICATE. */
void imap_login_challenge(struct imap_session *session, const struct imap_response *response);
void imap_login_forget(struct imap_session *session);
void imap_login_ask_capability(struct imap_session *session);
void imap_login_compressed(struct imap_session *session);
