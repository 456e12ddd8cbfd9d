/* From the greeting to READY: EHLO, STARTTLS, EHLO again, AUTH. Each step sends one thing, and its
 * answer's function takes the next step. */
#include "base/text.h"
#include "protocol/sasl.h"
#include "protocol/smtp_session_private.h"

#include <string.h>

#define MECHANISMS_SHOWN 200

static bool tls_is_missing(const struct smtp_session *session)
{
	return session->tls_required && !session->tls_active;
}

/* To a reply that is neither what was hoped for nor 421. */
static void refused(struct smtp_session *session, const struct smtp_reply *reply,
		    enum mailfs_error for_good, const char *what)
{
	g_autofree char *text = smtp_session_server_text(session, reply);

	switch (smtp_reply_class(reply)) {
	case 4:
		smtp_session_fail(session, ERROR_TEMPORARY, "%s%s", what, text);
		break;
	case 5:
		smtp_session_fail(session, for_good, "%s%s", what, text);
		break;
	default:
		smtp_session_fail(session, ERROR_PROTOCOL,
				  "the server's answer makes no sense here%s", text);
	}
}

/* ---- AUTH ---- */

void smtp_login_forget(struct smtp_session *session)
{
	session->user = session->password = NULL;
	for (unsigned i = 0; i < G_N_ELEMENTS(session->auth); i++)
		sasl_free(&session->auth[i]);
}

static bool is_in(const char *secret, const struct smtp_reply *reply)
{
	if (!secret || !*secret)
		return false;
	for (unsigned i = 0; i < reply->lines->len; i++) {
		if (strstr(g_ptr_array_index(reply->lines, i), secret))
			return true;
	}
	return strstr(reply->text, secret);
}

bool smtp_login_is_echo(const struct smtp_session *session, const struct smtp_reply *reply)
{
	char *clean;
	bool echo;

	if (session->state != SMTP_SESSION_AUTH)
		return false;
	/* As it would be shown. */
	clean = text_clean(session->password, -1, LIMIT_SECRET);
	echo = is_in(clean, reply);
	sasl_free(&clean);
	for (unsigned i = 0; i < G_N_ELEMENTS(session->auth); i++)
		echo |= is_in(session->auth[i], reply);
	return echo;
}

static void ready(struct smtp_session *session)
{
	smtp_login_forget(session);
	smtp_session_set_state(session, SMTP_SESSION_READY);
}

/* The command, with its initial response where RFC 4954 section 4 allows one: the line would else
 * be longer than any server has to take. */
static void auth_send_plain(struct smtp_session *session)
{
	static const char command[] = "AUTH PLAIN ";
	bool initial = strlen(command) + strlen(session->auth[0]) + 2 <= SMTP_COMMAND_MAX;

	if (initial)
		line_sender_command(&session->sender, command, session->auth[0]);
	else
		line_sender_command(&session->sender, "AUTH PLAIN", NULL);
}

static bool auth_fits(const struct smtp_session *session)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(session->auth); i++) {
		if (session->auth[i] && strlen(session->auth[i]) + 2 > SMTP_AUTH_LINE_MAX)
			return false;
	}
	return true;
}

static void auth_begin(struct smtp_session *session)
{
	bool plain = session->caps & SMTP_CAP_AUTH_PLAIN;

	if (plain) {
		session->auth[0] = sasl_plain(session->user, session->password);
	} else {
		session->auth[0] = sasl_response(session->user, strlen(session->user));
		session->auth[1] = sasl_response(session->password, strlen(session->password));
	}
	session->auth_next = 0;
	if (!auth_fits(session)) {
		smtp_session_fail(session, ERROR_AUTH,
				  "the user name or the password is too long for SMTP");
		return;
	}
	smtp_session_set_state(session, SMTP_SESSION_AUTH);
	if (plain)
		auth_send_plain(session);
	else
		line_sender_command(&session->sender, "AUTH LOGIN", NULL);
}

/* A server may ask even for what it got already as an initial response. */
static void auth_continue(struct smtp_session *session)
{
	unsigned next = session->auth_next++;

	if (next < G_N_ELEMENTS(session->auth) && session->auth[next])
		line_sender_command(&session->sender, "", session->auth[next]);
	else
		smtp_session_fail(session, ERROR_PROTOCOL,
				  "the server asks for more than user and password");
}

void smtp_login_auth(struct smtp_session *session, const struct smtp_reply *reply)
{
	if (smtp_reply_class(reply) == 2)
		ready(session);
	else if (smtp_reply_class(reply) == 3)
		auth_continue(session);
	else
		refused(session, reply, ERROR_AUTH, "login refused");
}

static void login_begin(struct smtp_session *session)
{
	const unsigned known = SMTP_CAP_AUTH_PLAIN | SMTP_CAP_AUTH_LOGIN;
	g_autofree char *offered = NULL;

	if (session->caps & SMTP_CAP_AUTH && session->user) {
		if (session->caps & known) {
			auth_begin(session);
			return;
		}
		offered = text_clean(session->mechanisms, -1, MECHANISMS_SHOWN);
		smtp_session_fail(session, ERROR_AUTH,
				  "the server offers no login that mailfs knows (%s)",
				  *offered ? offered : "none");
	} else if (session->login_required) {
		smtp_session_fail(session, ERROR_AUTH, "the server offers no login");
	} else {
		ready(session);
	}
}

/* ---- STARTTLS ---- */

void smtp_login_starttls(struct smtp_session *session, const struct smtp_reply *reply)
{
	if (smtp_reply_class(reply) == 2) {
		smtp_caps_forget(session);
		smtp_session_set_state(session, SMTP_SESSION_WANT_TLS);
		return;
	}
	refused(session, reply, ERROR_TLS, "the server refuses STARTTLS");
}

static void starttls_begin(struct smtp_session *session)
{
	if (!(session->caps & SMTP_CAP_STARTTLS)) {
		smtp_session_fail(session, ERROR_TLS, "the server does not offer STARTTLS");
		return;
	}
	smtp_session_set_state(session, SMTP_SESSION_STARTTLS);
	line_sender_command(&session->sender, "STARTTLS", NULL);
}

/* ---- EHLO ---- */

static void say_hello(struct smtp_session *session, const char *command)
{
	g_autofree char *line = g_strdup_printf("%s %s", command, session->helo);

	smtp_session_set_state(session, SMTP_SESSION_EHLO);
	line_sender_command(&session->sender, line, NULL);
}

void smtp_login_ask_ehlo(struct smtp_session *session)
{
	smtp_caps_forget(session);
	session->plain_helo = false;
	say_hello(session, "EHLO");
}

/* HELO has neither STARTTLS nor AUTH. */
static void ehlo_refused(struct smtp_session *session, const struct smtp_reply *reply)
{
	bool for_good = smtp_reply_class(reply) == 5;
	enum mailfs_error error = ERROR_REFUSED;

	if (for_good && !session->plain_helo && !tls_is_missing(session) &&
	    !session->login_required) {
		session->plain_helo = true;
		say_hello(session, "HELO");
		return;
	}
	if (tls_is_missing(session))
		error = ERROR_TLS;
	else if (session->login_required)
		error = ERROR_AUTH;
	refused(session, reply, error,
		session->plain_helo ? "the server refuses HELO" : "the server refuses EHLO");
}

void smtp_login_ehlo(struct smtp_session *session, const struct smtp_reply *reply)
{
	if (smtp_reply_class(reply) != 2) {
		ehlo_refused(session, reply);
		return;
	}
	if (!session->plain_helo)
		smtp_caps_take(session, reply);
	if (tls_is_missing(session))
		starttls_begin(session);
	else
		login_begin(session);
}

/* ---- Greeting ---- */

void smtp_login_greeting(struct smtp_session *session, const struct smtp_reply *reply)
{
	if (smtp_reply_class(reply) == 2) {
		smtp_login_ask_ehlo(session);
	} else if (smtp_reply_class(reply) == 3) {
		g_autofree char *text = smtp_session_server_text(session, reply);

		smtp_session_fail(session, ERROR_TEMPORARY, "the server does not greet like SMTP%s",
				  text);
	} else {
		refused(session, reply, ERROR_REFUSED, "the server refuses the connection");
	}
}
