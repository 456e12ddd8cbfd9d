/* From the greeting to READY: CAPA, STLS, CAPA again, UTF8, the login, CAPA. Each step sends one
 * thing, and its answer's function takes the next step. */
#include "base/text.h"
#include "protocol/pop3_apop.h"
#include "protocol/pop3_session_private.h"
#include "protocol/sasl.h"

#include <string.h>

#define MECHANISMS_SHOWN 200

static bool tls_is_missing(const struct pop3_session *session)
{
	return session->tls_required && !session->tls_active;
}

static bool has_one_of(const char *text, const char *const *words)
{
	while (*words && !strstr(text, *words))
		words++;
	return *words;
}

/* Servers without codes say in their own words that another session has the maildrop. An account
 * that is locked is another matter. */
static bool says_in_use(const struct pop3_reply *reply)
{
	static const char *const others[] = {"account", "password", "blocked", NULL};
	static const char *const certain[] = {"lock busy", "another session", NULL};
	static const char *const drops[] = {"mailbox", "maildrop", "mail drop", "mailspool", NULL};
	static const char *const taken[] = {"lock", "in use", NULL};
	g_autofree char *text = g_ascii_strdown(reply->text, -1);

	if (has_one_of(text, others))
		return false;
	return has_one_of(text, certain) || (has_one_of(text, drops) && has_one_of(text, taken));
}

/* To -ERR, where its code does not say that something else is the matter. */
static void refused(struct pop3_session *session, const struct pop3_reply *reply,
		    enum mailfs_error error, const char *what)
{
	g_autofree char *text = pop3_session_server_text(session, reply);

	switch (reply->code) {
	case POP3_CODE_IN_USE:
		error = ERROR_BUSY;
		break;
	case POP3_CODE_LOGIN_DELAY:
	case POP3_CODE_SYS_TEMP:
		error = ERROR_TEMPORARY;
		break;
	case POP3_CODE_SYS_PERM:
		error = ERROR_SERVER;
		break;
	case POP3_CODE_NONE:
		if (error == ERROR_AUTH && says_in_use(reply))
			error = ERROR_BUSY;
		break;
	case POP3_CODE_AUTH:
	case POP3_CODE_UTF8:
		break;
	}
	session->code = reply->code;
	pop3_session_fail(session, error, "%s%s", what, text);
}

/* ---- Secrets ---- */

void pop3_login_forget(struct pop3_session *session)
{
	session->user = session->password = NULL;
	sasl_free(&session->response);
}

bool pop3_login_is_echo(const struct pop3_session *session, const struct pop3_reply *reply)
{
	char *password, *shown;
	bool echo;

	if (session->state < POP3_SESSION_AUTH || !session->password)
		return false;
	/* As they would be shown. */
	password = text_clean(session->password, -1, LIMIT_SECRET);
	shown = text_clean(reply->raw, (gssize)reply->raw_len, SIZE_MAX);
	echo = (*password && strstr(shown, password)) ||
	       (session->response && strstr(shown, session->response));
	sasl_free(&password);
	sasl_free(&shown);
	return echo;
}

/* ---- Behind the login ---- */

static void ready(struct pop3_session *session)
{
	pop3_login_forget(session);
	pop3_session_set_state(session, POP3_SESSION_READY);
	pop3_send_pump(session);
}

static void logged_in(struct pop3_session *session)
{
	if (!session->initial)
		pop3_login_forget(session);
	if (!session->capa.known) {
		ready(session);
		return;
	}
	pop3_session_set_state(session, POP3_SESSION_AFTER_LOGIN);
	line_sender_command(&session->sender, "CAPA", NULL);
}

/* ---- Login ---- */

static void auth_respond(struct pop3_session *session)
{
	session->response_sent = true;
	line_sender_command(&session->sender, "", session->response);
}

static void auth_continue(struct pop3_session *session, const struct pop3_reply *reply)
{
	if (!session->response || session->was_asked) {
		pop3_session_fail_nonsense(session, reply);
		return;
	}
	session->was_asked = true;
	session->initial = false;
	auth_respond(session);
}

void pop3_login_auth(struct pop3_session *session, const struct pop3_reply *reply)
{
	switch (reply->status) {
	case POP3_OK:
		/* Some say it instead of "+ ": there was no login yet. */
		if (session->response && !session->response_sent)
			auth_respond(session);
		else
			logged_in(session);
		break;
	case POP3_CONTINUE:
		auth_continue(session, reply);
		break;
	case POP3_ERR:
		/* Or it is logged in, and refuses AUTH as it refused CAPA. */
		if (session->again && !session->response_sent && reply->code == POP3_CODE_NONE)
			ready(session);
		else
			refused(session, reply, ERROR_AUTH, "login refused");
		break;
	}
}

/* CAPA, which was known before the login, is refused behind it: a server that says +OK instead of
 * "+ " may have ignored the initial response, and have taken CAPA for the response. */
static void auth_plain_again(struct pop3_session *session)
{
	session->initial = session->response_sent = false;
	session->again = true;
	pop3_session_set_state(session, POP3_SESSION_AUTH);
	line_sender_command(&session->sender, "AUTH PLAIN", NULL);
}

static void auth_plain(struct pop3_session *session)
{
	static const char command[] = "AUTH PLAIN ";
	size_t len;

	session->response = sasl_plain(session->user, session->password);
	len = strlen(session->response);
	if (len + 2 > POP3_AUTH_LINE_MAX) {
		pop3_session_fail(session, ERROR_AUTH,
				  "the user name or the password is too long for POP3");
		return;
	}
	pop3_session_set_state(session, POP3_SESSION_AUTH);
	session->initial = strlen(command) + len + 2 <= POP3_COMMAND_MAX;
	session->response_sent = session->initial;
	if (session->initial)
		line_sender_command(&session->sender, command, session->response);
	else
		line_sender_command(&session->sender, "AUTH PLAIN", NULL);
}

void pop3_login_user(struct pop3_session *session, const struct pop3_reply *reply)
{
	switch (reply->status) {
	case POP3_OK:
		pop3_session_set_state(session, POP3_SESSION_AUTH);
		line_sender_command(&session->sender, "PASS ", session->password);
		break;
	case POP3_CONTINUE:
		pop3_session_fail_nonsense(session, reply);
		break;
	case POP3_ERR:
		refused(session, reply, ERROR_AUTH, "login refused");
		break;
	}
}

/* A line end would begin another command. */
static bool fits_line(const char *text)
{
	for (const char *at = text; *at; at++) {
		if (g_ascii_iscntrl(*at))
			return false;
	}
	return strlen(text) + strlen("PASS \r\n") <= POP3_AUTH_LINE_MAX;
}

static bool login_fits_lines(struct pop3_session *session)
{
	if (fits_line(session->user) && fits_line(session->password))
		return true;
	pop3_session_fail(session, ERROR_AUTH,
			  "the user name or the password holds control characters, or is too long "
			  "for POP3");
	return false;
}

static void user_begin(struct pop3_session *session)
{
	g_autofree char *line = g_strdup_printf("USER %s", session->user);

	if (!login_fits_lines(session))
		return;
	pop3_session_set_state(session, POP3_SESSION_USER);
	line_sender_command(&session->sender, line, NULL);
}

static void apop_begin(struct pop3_session *session)
{
	g_autofree char *command = g_strdup_printf("APOP %s ", session->user);
	g_autofree char *digest = NULL;

	if (!session->timestamp) {
		pop3_session_fail(session, ERROR_AUTH,
				  "the server's greeting has no timestamp that APOP may use");
		return;
	}
	if (!login_fits_lines(session))
		return;
	digest = pop3_apop_digest(session->timestamp, session->password);
	pop3_session_set_state(session, POP3_SESSION_AUTH);
	line_sender_command(&session->sender, command, digest);
}

static void login_begin(struct pop3_session *session)
{
	g_autofree char *offered = NULL;

	if (session->apop) {
		apop_begin(session);
	} else if (session->capa.caps & POP3_CAP_SASL_PLAIN) {
		auth_plain(session);
	} else if (!session->capa.known || session->capa.caps & POP3_CAP_USER) {
		user_begin(session);
	} else {
		offered = text_clean(session->capa.mechanisms ? session->capa.mechanisms : "", -1,
				     MECHANISMS_SHOWN);
		pop3_session_fail(session, ERROR_AUTH,
				  "the server offers no login that mailfs knows (%s)",
				  *offered ? offered : "none");
	}
}

/* A refusal changes nothing: mail comes as it would have. */
void pop3_login_utf8(struct pop3_session *session, const struct pop3_reply *reply)
{
	if (reply->status == POP3_CONTINUE)
		pop3_session_fail_nonsense(session, reply);
	else
		login_begin(session);
}

/* ---- STLS ---- */

void pop3_login_stls(struct pop3_session *session, const struct pop3_reply *reply)
{
	switch (reply->status) {
	case POP3_OK:
		pop3_capa_clear(&session->capa);
		pop3_session_set_state(session, POP3_SESSION_WANT_TLS);
		break;
	case POP3_CONTINUE:
		pop3_session_fail_nonsense(session, reply);
		break;
	case POP3_ERR:
		refused(session, reply, ERROR_TLS, "the server refuses STLS");
		break;
	}
}

static void stls_begin(struct pop3_session *session)
{
	/* A server without CAPA may know it nevertheless. */
	if (session->capa.known && !(session->capa.caps & POP3_CAP_STLS)) {
		pop3_session_fail(session, ERROR_TLS, "the server does not offer STLS");
		return;
	}
	pop3_session_set_state(session, POP3_SESSION_STLS);
	line_sender_command(&session->sender, "STLS", NULL);
}

/* ---- CAPA ---- */

void pop3_login_ask_capa(struct pop3_session *session)
{
	pop3_capa_clear(&session->capa);
	pop3_session_set_state(session, POP3_SESSION_CAPA);
	if (session->no_capa)
		pop3_login_capa_end(session);
	else
		line_sender_command(&session->sender, "CAPA", NULL);
}

void pop3_login_capa_end(struct pop3_session *session)
{
	if (session->state == POP3_SESSION_AFTER_LOGIN) {
		ready(session);
	} else if (tls_is_missing(session)) {
		stls_begin(session);
	} else if (session->capa.caps & POP3_CAP_UTF8) {
		pop3_session_set_state(session, POP3_SESSION_UTF8);
		line_sender_command(&session->sender, "UTF8", NULL);
	} else {
		login_begin(session);
	}
}

void pop3_login_capa_line(struct pop3_session *session, const char *line)
{
	line_sender_trace(&session->sender, 'S', "%s", line);
	pop3_capa_take(&session->capa, line);
}

/* Behind the login not all servers repeat what is about logins. */
static void capa_begin(struct pop3_session *session)
{
	struct pop3_capa *capa = &session->capa;
	struct pop3_capa kept = *capa;

	pop3_capa_clear(capa);
	capa->known = true;
	capa->caps = kept.caps & (POP3_CAP_LOGIN_DELAY | POP3_CAP_EXPIRE);
	capa->login_delay_s = kept.login_delay_s;
	capa->expire_days = kept.expire_days;
}

void pop3_login_capa(struct pop3_session *session, struct pop3_reply *reply)
{
	switch (reply->status) {
	case POP3_OK:
		capa_begin(session);
		pop3_answer_begin(session, reply);
		break;
	case POP3_CONTINUE:
		pop3_session_fail_nonsense(session, reply);
		break;
	case POP3_ERR:
		if (session->state == POP3_SESSION_AFTER_LOGIN && session->initial)
			auth_plain_again(session);
		else
			pop3_login_capa_end(session);
		break;
	}
}

/* ---- Greeting ---- */

void pop3_login_greeting(struct pop3_session *session, const struct pop3_reply *reply)
{
	switch (reply->status) {
	case POP3_OK:
		if (session->apop)
			session->timestamp = pop3_apop_timestamp(reply->raw, reply->raw_len);
		pop3_login_ask_capa(session);
		break;
	case POP3_CONTINUE:
		pop3_session_fail_nonsense(session, reply);
		break;
	case POP3_ERR:
		refused(session, reply, ERROR_TEMPORARY, "the server refuses the connection");
		break;
	}
}
