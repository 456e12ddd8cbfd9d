/* From the greeting to READY: EHLO, STARTTLS, EHLO again, AUTH. Each step sends one thing, and its
 * answer's function takes the next step. */
#include "protocol/smtp_session_private.h"

#include <string.h>

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
	session->login = (struct sasl_login){0};
	sasl_free(&session->sasl);
	g_clear_error(&session->login_error);
}

bool smtp_login_is_echo(const struct smtp_session *session, const struct smtp_reply *reply)
{
	if (session->state != SMTP_SESSION_AUTH)
		return false;
	for (unsigned i = 0; i < reply->lines->len; i++) {
		const char *line = g_ptr_array_index(reply->lines, i);

		if (sasl_is_echo(session->sasl, &session->login, line, strlen(line)))
			return true;
	}
	return sasl_is_echo(session->sasl, &session->login, reply->text, strlen(reply->text));
}

static void ready(struct smtp_session *session)
{
	smtp_login_forget(session);
	smtp_session_set_state(session, SMTP_SESSION_READY);
}

static void fail_with(struct smtp_session *session, GError *error)
{
	smtp_session_fail(session, error->code, "%s", error->message);
	g_error_free(error);
}

/* The command, with its initial response where RFC 4954 section 4 allows one: the line would else
 * be longer than any server has to take. */
static void auth_begin(struct smtp_session *session)
{
	g_autofree char *command = g_strdup_printf("AUTH %s ", sasl_name(session->sasl));
	size_t len = strlen(command);
	const char *initial = sasl_initial(session->sasl, SMTP_COMMAND_MAX - 2 - len);

	smtp_session_set_state(session, SMTP_SESSION_AUTH);
	if (!initial)
		command[len - 1] = '\0';
	line_sender_command(&session->sender, command, initial);
}

/* What is wrong is told when the server has said its no. */
static void cancel(struct smtp_session *session, GError *error)
{
	session->login_error = error;
	line_sender_command(&session->sender, "*", NULL);
}

static void auth_continue(struct smtp_session *session, const struct smtp_reply *reply)
{
	const char *challenge = g_ptr_array_index(reply->lines, reply->lines->len - 1);
	GError *error = NULL;
	const char *line = sasl_step(session->sasl, challenge, strlen(challenge), &error);

	if (line)
		line_sender_command(&session->sender, "", line);
	else
		cancel(session, error);
}

static void auth_done(struct smtp_session *session)
{
	GError *error = NULL;

	if (!sasl_success(session->sasl, &error)) {
		fail_with(session, error);
		return;
	}
	session->way_in = sasl_name(session->sasl);
	ready(session);
}

const char *smtp_session_way_in(const struct smtp_session *session)
{
	return session->way_in;
}

void smtp_login_auth(struct smtp_session *session, const struct smtp_reply *reply)
{
	g_autofree char *what = NULL;

	if (session->login_error) {
		fail_with(session, g_steal_pointer(&session->login_error));
	} else if (smtp_reply_class(reply) == 2) {
		auth_done(session);
	} else if (smtp_reply_class(reply) == 3) {
		auth_continue(session, reply);
	} else {
		what = g_strdup_printf("login refused%s", sasl_reason(session->sasl));
		refused(session, reply, ERROR_AUTH, what);
	}
}

static void login_begin(struct smtp_session *session)
{
	const struct sasl_server server = {.service = "smtp",
					   .offered = session->auth,
					   .offered_text = session->mechanisms,
					   .tls = session->tls_active,
					   .cleartext = !session->tls_required,
					   .line_max = SMTP_AUTH_LINE_MAX - 2};
	GError *error = NULL;

	if (session->caps & SMTP_CAP_AUTH && session->login.user) {
		session->sasl = sasl_new(&session->login, &server, &error);
		if (session->sasl)
			auth_begin(session);
		else
			fail_with(session, error);
	} else if (session->login_required) {
		smtp_session_fail(session, ERROR_NO_LOGIN, "the server offers no login");
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
		error = ERROR_NO_LOGIN;
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
