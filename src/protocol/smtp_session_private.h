/* The inside of a session, for smtp_session.c (feeding, dispatch, the owner's side), smtp_caps.c
 * (the reply to EHLO), smtp_login.c (from the greeting to READY) and smtp_send.c (transactions)
 * alone. */
#pragma once

#include "base/error.h"
#include "base/limits.h"
#include "protocol/smtp_data.h"
#include "protocol/smtp_session.h"

/* With their line ends: RFC 5321 section 4.5.3.1.4, RFC 4954 section 4. */
#define SMTP_COMMAND_MAX 512
#define SMTP_AUTH_LINE_MAX 12288

struct smtp_session {
	enum smtp_session_state state;
	char *helo;
	struct sasl_login login; /* empty from READY on */
	struct sasl *sasl;	 /* while it logs in */
	const char *way_in;	 /* by which it logged in; NULL: it did not */
	GError *login_error;	 /* the login was cancelled for it; its no is to come */
	bool login_required;
	bool tls_active;
	bool tls_required;
	struct smtp_session_events events;
	void *data;

	struct smtp_reply_parser *parser;
	bool echo; /* the present reply repeats a secret: its words are shown to nobody */

	struct line_sender sender;

	unsigned caps;
	uint64_t size_max;
	unsigned auth;	  /* mechanisms offered: enum auth_mechanism */
	char *mechanisms; /* the same, with those that are unknown, parted by spaces */
	bool plain_helo;  /* HELO was sent */

	bool in_transaction;
	struct smtp_transaction transaction;
	bool utf8;		   /* SMTPUTF8 is part of it */
	unsigned replied;	   /* to MAIL and RCPT */
	unsigned accepted;	   /* recipients */
	struct smtp_reply refusal; /* the first 4xx to RCPT, or else the first 5xx */
	struct smtp_data encoder;
	uint64_t text_len; /* as given out */
	bool text_over;	   /* all was read */

	GError *error; /* the fatal one: stays */
};

/* smtp_session.c */
void smtp_session_set_state(struct smtp_session *session, enum smtp_session_state state);
/* The first error wins; a transaction under way is lost; nothing is sent or read any more. */
void smtp_session_fail(struct smtp_session *session, enum mailfs_error code, const char *format,
		       ...) G_GNUC_PRINTF(3, 4);
/* The server's words for an error message: marked if nobody vouches for them, and withheld if they
 * repeat the password. Free with g_free(). */
char *smtp_session_server_text(const struct smtp_session *session, const struct smtp_reply *reply);

/* smtp_caps.c */
void smtp_caps_forget(struct smtp_session *session);
void smtp_caps_take(struct smtp_session *session, const struct smtp_reply *reply);

/* smtp_login.c; each takes the reply of its state. */
void smtp_login_greeting(struct smtp_session *session, const struct smtp_reply *reply);
void smtp_login_ehlo(struct smtp_session *session, const struct smtp_reply *reply);
void smtp_login_starttls(struct smtp_session *session, const struct smtp_reply *reply);
void smtp_login_auth(struct smtp_session *session, const struct smtp_reply *reply);
void smtp_login_ask_ehlo(struct smtp_session *session);
bool smtp_login_is_echo(const struct smtp_session *session, const struct smtp_reply *reply);
void smtp_login_forget(struct smtp_session *session);

/* smtp_send.c; the same. */
void smtp_send_mail(struct smtp_session *session, struct smtp_reply *reply);
void smtp_send_data(struct smtp_session *session, const struct smtp_reply *reply);
void smtp_send_dot(struct smtp_session *session, const struct smtp_reply *reply);
void smtp_send_rset(struct smtp_session *session, const struct smtp_reply *reply);
/* A reply before the dot was written. */
void smtp_send_early(struct smtp_session *session, const struct smtp_reply *reply);
/* More of the text, and the dot behind it, if it is their time. */
void smtp_send_refill(struct smtp_session *session);
/* If a transaction is under way. */
void smtp_send_finish(struct smtp_session *session, enum smtp_outcome outcome,
		      const struct smtp_reply *reply, const char *text);
/* The same, as its state demands. `text` NULL: nobody knows why. */
void smtp_send_lost(struct smtp_session *session, const char *text);
