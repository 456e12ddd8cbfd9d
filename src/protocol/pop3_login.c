/* From the greeting to READY: CAPA, STLS, CAPA again, UTF8, the login, CAPA. Each step sends one
 * thing, and its answer's function takes the next step. */
#include "base/text.h"
#include "protocol/pop3_apop.h"
#include "protocol/pop3_session_private.h"

#include <string.h>

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
	session->login = (struct sasl_login){0};
	sasl_free(&session->sasl);
	g_clear_error(&session->login_error);
}

bool pop3_login_is_echo(const struct pop3_session *session, const struct pop3_reply *reply)
{
	char *shown;
	bool echo;

	if (session->state < POP3_SESSION_AUTH || !session->login.user)
		return false;
	/* As it would be shown. */
	shown = text_clean(reply->raw, (gssize)reply->raw_len, SIZE_MAX);
	echo = sasl_is_echo(session->sasl, &session->login, shown, strlen(shown));
	explicit_bzero(shown, strlen(shown));
	g_free(shown);
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

static void fail_with(struct pop3_session *session, GError *error)
{
	pop3_session_fail(session, error->code, "%s", error->message);
	g_error_free(error);
}

/* What is wrong is told when the server has said its no. */
static void cancel(struct pop3_session *session, GError *error)
{
	session->login_error = error;
	line_sender_command(&session->sender, "*", NULL);
}

static void auth_continue(struct pop3_session *session, const char *challenge)
{
	GError *error = NULL;
	const char *line = sasl_step(session->sasl, challenge, strlen(challenge), &error);

	session->initial = false;
	if (line)
		line_sender_command(&session->sender, "", line);
	else
		cancel(session, error);
}

/* Some say +OK instead of "+ ": there was no login yet. */
static bool means_continue(const struct pop3_session *session)
{
	return session->sasl && sasl_mechanism(session->sasl) == AUTH_PLAIN &&
	       !sasl_is_begun(session->sasl);
}

static void auth_done(struct pop3_session *session)
{
	GError *error = NULL;

	if (session->sasl && !sasl_success(session->sasl, &error)) {
		fail_with(session, error);
		return;
	}
	session->way_in = session->sasl	       ? sasl_name(session->sasl)
			  : session->timestamp ? "APOP"
					       : "USER";
	logged_in(session);
}

const char *pop3_session_way_in(const struct pop3_session *session)
{
	return session->way_in;
}

static void auth_refused(struct pop3_session *session, const struct pop3_reply *reply)
{
	g_autofree char *what =
		g_strdup_printf("login refused%s", session->sasl ? sasl_reason(session->sasl) : "");

	/* Or it is logged in, and refuses AUTH as it refused CAPA. */
	if (session->again && !sasl_is_begun(session->sasl) && reply->code == POP3_CODE_NONE)
		ready(session);
	else
		refused(session, reply, ERROR_AUTH, what);
}

void pop3_login_auth(struct pop3_session *session, const struct pop3_reply *reply)
{
	if (session->login_error) {
		fail_with(session, g_steal_pointer(&session->login_error));
		return;
	}
	switch (reply->status) {
	case POP3_OK:
		if (means_continue(session))
			auth_continue(session, "");
		else
			auth_done(session);
		break;
	case POP3_CONTINUE:
		if (session->sasl)
			auth_continue(session, reply->raw);
		else
			pop3_session_fail_nonsense(session, reply);
		break;
	case POP3_ERR:
		auth_refused(session, reply);
		break;
	}
}

static struct sasl *sasl_begin(struct pop3_session *session, unsigned offered, GError **error)
{
	const struct sasl_server server = {.service = "pop",
					   .offered = offered,
					   .offered_text = session->capa.mechanisms,
					   .tls = session->tls_active,
					   .cleartext = !session->tls_required,
					   .line_max = POP3_AUTH_LINE_MAX - 2};

	return sasl_new(&session->login, &server, error);
}

/* CAPA, which was known before the login, is refused behind it: a server that says +OK instead of
 * "+ " may have ignored the initial response, and have taken CAPA for the response. */
static void auth_plain_again(struct pop3_session *session)
{
	session->initial = false;
	session->again = true;
	sasl_free(&session->sasl);
	session->sasl = sasl_begin(session, AUTH_PLAIN, NULL);
	pop3_session_set_state(session, POP3_SESSION_AUTH);
	line_sender_command(&session->sender, "AUTH PLAIN", NULL);
}

static void auth_begin(struct pop3_session *session)
{
	g_autofree char *command = g_strdup_printf("AUTH %s ", sasl_name(session->sasl));
	size_t len = strlen(command);
	const char *initial = sasl_initial(session->sasl, POP3_COMMAND_MAX - 2 - len);

	pop3_session_set_state(session, POP3_SESSION_AUTH);
	session->initial = initial && sasl_mechanism(session->sasl) == AUTH_PLAIN;
	if (!initial)
		command[len - 1] = '\0';
	line_sender_command(&session->sender, command, initial);
}

void pop3_login_user(struct pop3_session *session, const struct pop3_reply *reply)
{
	switch (reply->status) {
	case POP3_OK:
		pop3_session_set_state(session, POP3_SESSION_AUTH);
		line_sender_command(&session->sender, "PASS ", session->login.password);
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
	if (fits_line(session->login.user) && fits_line(session->login.password))
		return true;
	pop3_session_fail(session, ERROR_AUTH,
			  "the user name or the password holds control characters, or is too long "
			  "for POP3");
	return false;
}

static void user_begin(struct pop3_session *session)
{
	g_autofree char *line = g_strdup_printf("USER %s", session->login.user);

	if (!login_fits_lines(session))
		return;
	pop3_session_set_state(session, POP3_SESSION_USER);
	line_sender_command(&session->sender, line, NULL);
}

static void apop_begin(struct pop3_session *session)
{
	g_autofree char *command = g_strdup_printf("APOP %s ", session->login.user);
	g_autofree char *digest = NULL;

	if (!session->timestamp) {
		pop3_session_fail(session, ERROR_NO_LOGIN,
				  "the server's greeting has no timestamp that APOP may use");
		return;
	}
	if (!login_fits_lines(session))
		return;
	digest = pop3_apop_digest(session->timestamp, session->login.password);
	pop3_session_set_state(session, POP3_SESSION_AUTH);
	line_sender_command(&session->sender, command, digest);
}

/* USER and PASS; known to servers that have no CAPA, too. */
static bool has_user(const struct pop3_session *session)
{
	const struct sasl_server server = {.tls = session->tls_active,
					   .cleartext = !session->tls_required};

	return (!session->capa.known || session->capa.caps & POP3_CAP_USER) &&
	       sasl_may_tell_password(&session->login, &server);
}

static bool has_apop(const struct pop3_session *session)
{
	return session->login.allowed & AUTH_APOP && session->login.password;
}

/* APOP is the weakest, but asked for. */
static void login_begin(struct pop3_session *session)
{
	GError *error = NULL;

	session->sasl = sasl_begin(session, session->capa.auth, &error);
	if (session->sasl)
		auth_begin(session);
	else if (has_user(session))
		user_begin(session);
	else if (has_apop(session))
		apop_begin(session);
	else
		fail_with(session, g_steal_pointer(&error));
	g_clear_error(&error);
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
		if (session->login.allowed & AUTH_APOP)
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
