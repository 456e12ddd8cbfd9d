/* From the greeting to READY: capabilities, STARTTLS, login, ENABLE, ID and COMPRESS. Each step
 * sends one thing, and its answer's function takes the next step. */
#include "protocol/imap_code.h"
#include "protocol/imap_session_private.h"

#include <string.h>

/* Longer initial responses do not go into the AUTHENTICATE line: servers cap it. */
#define INITIAL_RESPONSE_MAX 1000

/* ---- After login ---- */

/* A refusal changes nothing: what is enabled was said by "* ENABLED". */
static void extension_done(void *data, const struct imap_response *response)
{
	struct imap_session *session = data;

	session->extensions--;
}

static void become_ready(struct imap_session *session)
{
	imap_session_set_state(session, IMAP_SESSION_READY);
	imap_send_pump(session);
}

static void compress_done(void *data, const struct imap_response *response)
{
	struct imap_session *session = data;

	if (response->status == IMAP_OK)
		imap_session_set_state(session, IMAP_SESSION_WANT_DEFLATE);
	else
		become_ready(session);
}

void imap_login_compressed(struct imap_session *session)
{
	become_ready(session);
}

static void enable(struct imap_session *session)
{
	const unsigned qresync = IMAP_CAP_ENABLE | IMAP_CAP_QRESYNC;

	if ((session->caps & qresync) != qresync)
		return;
	session->extensions++;
	imap_send_now(session, imap_command_new("ENABLE QRESYNC"), extension_done);
}

/* NetEase lets nobody in who does not say what it is. */
static void identify(struct imap_session *session)
{
	if (!(session->caps & IMAP_CAP_ID))
		return;
	session->extensions++;
	imap_send_now(
		session,
		imap_command_new("ID (\"name\" \"mailfs\" \"version\" \"%s\")", MAILFS_VERSION),
		extension_done);
}

/* All in one round trip. */
static void extend(struct imap_session *session)
{
	enable(session);
	identify(session);
	/* The last: nothing may be sent behind it until it is answered (RFC 4978 section 3). */
	if (session->compress && session->caps & IMAP_CAP_COMPRESS_DEFLATE)
		imap_send_now(session, imap_command_new("COMPRESS DEFLATE"), compress_done);
	else
		become_ready(session);
}

static void after_login_capability_done(void *data, const struct imap_response *response)
{
	struct imap_session *session = data;

	if (response->code == IMAP_CODE_CAPABILITY)
		imap_session_set_caps(session, response->words);
	extend(session);
}

static void logged_in(struct imap_session *session)
{
	imap_session_set_state(session, IMAP_SESSION_AFTER_LOGIN);
	session->frame.max_line = LIMIT_LINE;
	imap_login_forget(session);
	if (session->caps_known) {
		extend(session);
		return;
	}
	imap_session_set_caps(session, NULL);
	imap_send_now(session, imap_command_new("CAPABILITY"), after_login_capability_done);
}

/* ---- Login ---- */

/* Nothing is said against the password: it may be tried again. */
static bool refusal_is_temporary(const struct imap_response *response)
{
	enum mailfs_error error = imap_code_error(response);

	return error == ERROR_TEMPORARY || error == ERROR_BUSY ||
	       response->code == IMAP_CODE_SERVERBUG;
}

void imap_login_forget(struct imap_session *session)
{
	session->login = (struct sasl_login){0};
	sasl_free(&session->sasl);
	g_clear_error(&session->login_error);
}

const char *imap_session_way_in(const struct imap_session *session)
{
	return session->way_in;
}

/* It is done by the server's word, and by SASL's. */
static bool is_success(struct imap_session *session, const struct imap_response *response)
{
	GError *error = g_steal_pointer(&session->login_error);

	if (!error && response->status == IMAP_OK && session->sasl)
		sasl_success(session->sasl, &error);
	if (error)
		imap_session_fail_with(session, error);
	return !error && response->status == IMAP_OK;
}

static void login_done(void *data, const struct imap_response *response)
{
	struct imap_session *session = data;

	buf_wipe(&session->output);
	if (is_success(session, response)) {
		session->way_in = session->sasl ? sasl_name(session->sasl) : "LOGIN";
		if (response->code == IMAP_CODE_CAPABILITY)
			imap_session_set_caps(session, response->words);
		logged_in(session);
		return;
	}
	g_autofree char *text = imap_session_server_text(session, response->text);

	imap_session_fail(session, refusal_is_temporary(response) ? ERROR_TEMPORARY : ERROR_AUTH,
			  "login refused%s%s", session->sasl ? sasl_reason(session->sasl) : "",
			  text);
}

/* What is wrong is told when the server has said its no. */
static void cancel(struct imap_session *session, GError *error)
{
	session->login_error = error;
	imap_send_answer(session, "*");
}

void imap_login_challenge(struct imap_session *session, const struct imap_response *response)
{
	GError *error = NULL;
	const char *line;

	if (session->login_error) {
		imap_session_fail_with(session, g_steal_pointer(&session->login_error));
		return;
	}
	/* What was written still stands in memory. */
	if (buf_len(&session->output) == 0)
		buf_wipe(&session->output);
	line = sasl_step(session->sasl, response->challenge, response->challenge_len, &error);
	if (line)
		imap_send_answer(session, line);
	else
		cancel(session, error);
}

static struct imap_command *authenticate(struct imap_session *session)
{
	struct imap_command *command =
		imap_command_new("AUTHENTICATE %s", sasl_name(session->sasl));
	const char *initial = NULL;

	if (session->caps & IMAP_CAP_SASL_IR)
		initial = sasl_initial(session->sasl, INITIAL_RESPONSE_MAX);
	if (initial)
		imap_command_initial(command, initial);
	return command;
}

static struct imap_command *login_command(const struct imap_session *session)
{
	const struct sasl_login *login = &session->login;
	struct imap_command *command = imap_command_new("LOGIN ");

	imap_command_string(command, login->user, strlen(login->user));
	imap_command_text(command, " ");
	imap_command_secret(command, login->password, strlen(login->password));
	return command;
}

/* NULL after a fatal error. */
static struct imap_command *choose_login(struct imap_session *session)
{
	const struct sasl_server server = {.service = "imap",
					   .offered = session->auth,
					   .offered_text = session->auth_text,
					   .tls = session->tls_active,
					   .cleartext = !session->tls_required};
	GError *error = NULL;

	session->sasl = sasl_new(&session->login, &server, &error);
	if (session->sasl)
		return authenticate(session);
	if (!(session->caps & IMAP_CAP_LOGINDISABLED) &&
	    sasl_may_tell_password(&session->login, &server)) {
		g_clear_error(&error);
		return login_command(session);
	}
	imap_session_fail_with(session, error);
	return NULL;
}

static void login_begin(struct imap_session *session)
{
	struct imap_command *command = choose_login(session);

	if (!command)
		return;
	/* What is offered may differ behind the login. */
	session->caps_known = false;
	imap_session_set_state(session, IMAP_SESSION_LOGIN);
	imap_send_now(session, command, login_done);
}

/* ---- STARTTLS ---- */

static void starttls_done(void *data, const struct imap_response *response)
{
	struct imap_session *session = data;

	if (response->status == IMAP_OK) {
		imap_session_set_state(session, IMAP_SESSION_WANT_TLS);
		return;
	}
	g_autofree char *text = imap_session_server_text(session, response->text);

	imap_session_fail(session, ERROR_TLS, "the server refuses STARTTLS%s", text);
}

static void starttls_begin(struct imap_session *session)
{
	if (!(session->caps & IMAP_CAP_STARTTLS)) {
		imap_session_fail(session, ERROR_TLS, "the server does not offer STARTTLS");
		return;
	}
	imap_session_set_state(session, IMAP_SESSION_STARTTLS);
	imap_send_now(session, imap_command_new("STARTTLS"), starttls_done);
}

/* ---- Capabilities ---- */

static bool tls_is_missing(const struct imap_session *session)
{
	return session->tls_required && !session->tls_active;
}

static void capability_known(struct imap_session *session)
{
	if (tls_is_missing(session))
		starttls_begin(session);
	else
		login_begin(session);
}

static void capability_done(void *data, const struct imap_response *response)
{
	struct imap_session *session = data;

	if (response->status == IMAP_OK) {
		if (response->code == IMAP_CODE_CAPABILITY)
			imap_session_set_caps(session, response->words);
		capability_known(session);
		return;
	}
	g_autofree char *text = imap_session_server_text(session, response->text);

	imap_session_fail(session, tls_is_missing(session) ? ERROR_TLS : ERROR_PROTOCOL,
			  "the server refuses CAPABILITY%s", text);
}

void imap_login_ask_capability(struct imap_session *session)
{
	imap_session_set_caps(session, NULL);
	session->caps_known = false;
	imap_session_set_state(session, IMAP_SESSION_CAPABILITY);
	imap_send_now(session, imap_command_new("CAPABILITY"), capability_done);
}

/* ---- Greeting ---- */

static void greeting_preauth(struct imap_session *session)
{
	/* Whoever says so in cleartext may be anybody, and there is no way back to STARTTLS. */
	if (tls_is_missing(session)) {
		imap_session_fail(session, ERROR_TLS, "the server skips the login before STARTTLS");
		return;
	}
	logged_in(session);
}

void imap_login_greeting(struct imap_session *session, const struct imap_response *response)
{
	bool is_status = response->kind == IMAP_UNTAGGED && response->data == IMAP_DATA_STATUS;

	if (!is_status || (response->status != IMAP_OK && response->status != IMAP_PREAUTH)) {
		imap_session_fail(session, ERROR_PROTOCOL, "the server does not greet like IMAP");
		return;
	}
	session->frame.max_line = LIMIT_PREAUTH_LINE;
	if (response->code == IMAP_CODE_CAPABILITY)
		imap_session_set_caps(session, response->words);
	if (response->status == IMAP_PREAUTH)
		greeting_preauth(session);
	else if (session->caps_known)
		capability_known(session);
	else
		imap_login_ask_capability(session);
}
