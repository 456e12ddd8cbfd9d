/* The inside of a session, for pop3_session.c (feeding, dispatch, the owner's side), pop3_login.c
 * (from the greeting to READY), pop3_send.c (commands and their replies) and pop3_answer.c (what is
 * behind the first line of a reply) alone. */
#pragma once

#include "base/error.h"
#include "base/limits.h"
#include "protocol/pop3_multi.h"
#include "protocol/pop3_session.h"

/* With their line ends: RFC 2449 section 4, RFC 5034 section 4. */
#define POP3_COMMAND_MAX 255
#define POP3_AUTH_LINE_MAX 12288

struct pop3_command {
	enum pop3_verb verb;
	uint32_t number;
	pop3_done_fn done;
	void *data;
};

/* A multi-line reply under way. */
struct pop3_answer {
	bool active;
	struct pop3_reply reply; /* its first line */
	struct pop3_multi multi;
	struct buf line; /* of a listing, not ended yet */
	uint64_t len;	 /* bytes so far */
	unsigned lines;
};

struct pop3_session {
	enum pop3_session_state state;
	struct sasl_login login; /* empty from READY on */
	bool tls_active;
	bool tls_required;
	bool no_capa;
	struct pop3_session_events events;
	void *data;

	struct pop3_reply_parser *parser;
	bool echo; /* the present reply repeats a secret: its words are shown to nobody */

	struct line_sender sender;

	struct pop3_capa capa;
	char *timestamp;     /* of the greeting; only where APOP is allowed */
	struct sasl *sasl;   /* or NULL: another way */
	const char *way_in;  /* by which it logged in; NULL: it did not */
	GError *login_error; /* the login was cancelled for it; its no is to come */
	bool initial; /* PLAIN went inside the command, and nothing shows that it was read there */
	bool again;   /* the second AUTH */
	enum pop3_code code;

	struct pop3_answer answer;
	GQueue *waiting; /* of struct pop3_command *: not sent */
	GQueue *flying;	 /* the same: sent; the oldest first */

	bool quit_sent;
	bool quit_asked;
	pop3_quit_fn quit_done; /* NULL: not asked for, or told */
	void *quit_data;

	GError *error; /* the fatal one: stays */
};

/* pop3_session.c */
void pop3_session_set_state(struct pop3_session *session, enum pop3_session_state state);
/* The first error wins; commands without an answer are lost; nothing is sent or read any more. */
void pop3_session_fail(struct pop3_session *session, enum mailfs_error code, const char *format,
		       ...) G_GNUC_PRINTF(3, 4);
/* To a reply that makes no sense where it came. */
void pop3_session_fail_nonsense(struct pop3_session *session, const struct pop3_reply *reply);
/* The server's words for an error message: marked if nobody vouches for them, and withheld if they
 * repeat the password. Free with g_free(). */
char *pop3_session_server_text(const struct pop3_session *session, const struct pop3_reply *reply);
void pop3_session_close(struct pop3_session *session);

/* pop3_login.c; each takes the reply of its state. */
void pop3_login_greeting(struct pop3_session *session, const struct pop3_reply *reply);
void pop3_login_stls(struct pop3_session *session, const struct pop3_reply *reply);
void pop3_login_utf8(struct pop3_session *session, const struct pop3_reply *reply);
void pop3_login_user(struct pop3_session *session, const struct pop3_reply *reply);
void pop3_login_auth(struct pop3_session *session, const struct pop3_reply *reply);
/* CAPA, before and after the login; its lines come behind it. */
void pop3_login_capa(struct pop3_session *session, struct pop3_reply *reply);
void pop3_login_capa_line(struct pop3_session *session, const char *line);
void pop3_login_capa_end(struct pop3_session *session);
void pop3_login_ask_capa(struct pop3_session *session);
bool pop3_login_is_echo(const struct pop3_session *session, const struct pop3_reply *reply);
void pop3_login_forget(struct pop3_session *session);

/* pop3_send.c */
/* The reply to the oldest command, or to QUIT. */
void pop3_send_take(struct pop3_session *session, struct pop3_reply *reply);
/* Of that command's multi-line reply. */
void pop3_send_body(struct pop3_session *session, const uint8_t *bytes, size_t len);
void pop3_send_line(struct pop3_session *session, const char *line, size_t len);
void pop3_send_end(struct pop3_session *session, const struct pop3_reply *reply);
bool pop3_send_is_body(const struct pop3_session *session);
/* Sends what may be sent now. */
void pop3_send_pump(struct pop3_session *session);
/* All that was not answered is lost. */
void pop3_send_lost(struct pop3_session *session);

/* pop3_answer.c */
/* Behind this reply there is more: takes it over. */
void pop3_answer_begin(struct pop3_session *session, struct pop3_reply *reply);
/* How many of the bytes were part of it. */
size_t pop3_answer_feed(struct pop3_session *session, const uint8_t *bytes, size_t len);
void pop3_answer_clear(struct pop3_session *session);
