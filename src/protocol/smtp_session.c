#include "base/text.h"
#include "protocol/smtp_session_private.h"

#include <stdarg.h>
#include <string.h>

/* Room for MAIL with all its RCPT, and for a piece of text on top of what waits: all that is ever
 * put there is capped before. */
#define OUTPUT_MAX (256 * 1024)
#define HELO_MAX 255
#define MINUTE_MS (60 * 1000)

/* ---- State and errors ---- */

void smtp_session_set_state(struct smtp_session *session, enum smtp_session_state state)
{
	session->state = state;
}

static void close_now(struct smtp_session *session, const char *why)
{
	smtp_send_lost(session, why);
	smtp_session_set_state(session, SMTP_SESSION_CLOSED);
	smtp_login_forget(session);
	buf_wipe(&session->sender.output);
}

static void fail_with(struct smtp_session *session, GError *error)
{
	if (session->error) {
		g_error_free(error);
		return;
	}
	session->error = error;
	close_now(session, error->message);
}

void smtp_session_fail(struct smtp_session *session, enum mailfs_error code, const char *format,
		       ...)
{
	va_list args;

	va_start(args, format);
	fail_with(session, g_error_new_valist(MAILFS_ERROR, code, format, args));
	va_end(args);
}

char *smtp_session_server_text(const struct smtp_session *session, const struct smtp_reply *reply)
{
	if (session->echo)
		return g_strdup(" (its reason repeats the password and is not shown)");
	if (session->tls_required && !session->tls_active)
		return g_strdup_printf(", says somebody without TLS: %s", reply->text);
	return g_strdup_printf(": %s", reply->text);
}

static bool tell(const struct smtp_session *session, GError **error)
{
	if (session->error && error)
		*error = g_error_copy(session->error);
	return !session->error;
}

/* ---- Replies ---- */

static void trace_reply(const struct smtp_session *session, const struct smtp_reply *reply)
{
	if (session->echo) {
		line_sender_trace(&session->sender, 'S', "...");
		return;
	}
	for (unsigned i = 0; session->sender.trace && i < reply->lines->len; i++) {
		const char *line = g_ptr_array_index(reply->lines, i);
		char mark = i + 1 < reply->lines->len ? '-' : ' ';

		line_sender_trace(&session->sender, 'S', "%u%c%s", reply->code, mark, line);
	}
}

static void take_closing(struct smtp_session *session, const struct smtp_reply *reply)
{
	g_autofree char *text = smtp_session_server_text(session, reply);

	smtp_send_finish(session, SMTP_DEFERRED, reply, reply->text);
	smtp_session_fail(session, ERROR_TEMPORARY, "the server closed the connection%s", text);
}

static void take_unasked(struct smtp_session *session, const struct smtp_reply *reply)
{
	if (session->state == SMTP_SESSION_TEXT || session->state == SMTP_SESSION_DOT) {
		smtp_send_early(session, reply);
		return;
	}
	g_autofree char *text = smtp_session_server_text(session, reply);

	smtp_session_fail(session, ERROR_PROTOCOL, "the server answers what it was not asked%s",
			  text);
}

static void take_asked(struct smtp_session *session, struct smtp_reply *reply)
{
	switch (session->state) {
	case SMTP_SESSION_GREETING:
		smtp_login_greeting(session, reply);
		break;
	case SMTP_SESSION_EHLO:
		smtp_login_ehlo(session, reply);
		break;
	case SMTP_SESSION_STARTTLS:
		smtp_login_starttls(session, reply);
		break;
	case SMTP_SESSION_AUTH:
		smtp_login_auth(session, reply);
		break;
	case SMTP_SESSION_MAIL:
		smtp_send_mail(session, reply);
		break;
	case SMTP_SESSION_DATA:
		smtp_send_data(session, reply);
		break;
	case SMTP_SESSION_DOT:
		smtp_send_dot(session, reply);
		break;
	case SMTP_SESSION_RSET:
		smtp_send_rset(session, reply);
		break;
	case SMTP_SESSION_WANT_TLS:
	case SMTP_SESSION_READY:
	case SMTP_SESSION_TEXT:
	case SMTP_SESSION_QUIT:
	case SMTP_SESSION_CLOSED:
		g_assert_not_reached();
	}
}

static void take_reply(struct smtp_session *session, struct smtp_reply *reply)
{
	session->echo = smtp_login_is_echo(session, reply);
	trace_reply(session, reply);
	if (session->state == SMTP_SESSION_QUIT)
		close_now(session, NULL);
	else if (reply->code == 421)
		take_closing(session, reply);
	else if (line_sender_answered(&session->sender))
		take_asked(session, reply);
	else
		take_unasked(session, reply);
}

/* Takes `error`, which shows how the reply begins. */
static void fail_reply(struct smtp_session *session, GError *error)
{
	if (session->state == SMTP_SESSION_QUIT) {
		g_error_free(error);
		close_now(session, NULL);
		return;
	}
	if (session->state == SMTP_SESSION_AUTH) {
		g_free(error->message);
		error->message = g_strdup("the server's answer to the login makes no sense");
	}
	fail_with(session, error);
}

static bool can_read(const struct smtp_session *session)
{
	return session->state != SMTP_SESSION_CLOSED && session->state != SMTP_SESSION_WANT_TLS;
}

bool smtp_session_feed(struct smtp_session *session, const uint8_t *bytes, size_t len,
		       GError **error)
{
	while (len > 0 && can_read(session)) {
		struct smtp_reply reply = {0};
		GError *failure = NULL;
		size_t used = len;

		if (smtp_reply_parser_feed(session->parser, bytes, len, &used, &reply, &failure))
			take_reply(session, &reply);
		else if (failure)
			fail_reply(session, failure);
		smtp_reply_clear(&reply);
		bytes += used;
		len -= used;
	}
	/* Somebody could have put these bytes before the ones that TLS will protect. */
	if (session->state == SMTP_SESSION_WANT_TLS && len > 0)
		smtp_session_fail(session, ERROR_TLS, "the server sends more behind STARTTLS");
	return tell(session, error);
}

/* ---- The owner's side ---- */

static char *helo_clean(const char *helo)
{
	GString *clean = g_string_new(NULL);

	for (; *helo && clean->len < HELO_MAX; helo++) {
		if (g_ascii_isalnum(*helo) || strchr("-.:[]", *helo))
			g_string_append_c(clean, *helo);
	}
	if (clean->len == 0)
		g_string_append(clean, "[127.0.0.1]");
	return g_string_free(clean, FALSE);
}

struct smtp_session *smtp_session_new(const struct smtp_session_config *config,
				      const struct smtp_session_events *events, void *data)
{
	struct smtp_session *session = g_new0(struct smtp_session, 1);

	session->helo = helo_clean(config->helo);
	session->login = config->login;
	session->login_required = config->login_required;
	session->tls_active = config->tls_active;
	session->tls_required = config->tls_required;
	session->events = *events;
	session->data = data;
	session->parser = smtp_reply_parser_new();
	line_sender_init(&session->sender, OUTPUT_MAX);
	smtp_caps_forget(session);
	return session;
}

void smtp_session_free(struct smtp_session **session)
{
	struct smtp_session *gone = g_steal_pointer(session);

	if (!gone)
		return;
	close_now(gone, NULL);
	smtp_caps_forget(gone);
	smtp_reply_clear(&gone->refusal);
	smtp_reply_parser_free(&gone->parser);
	line_sender_clear(&gone->sender);
	g_free(gone->helo);
	g_clear_error(&gone->error);
	g_free(gone);
}

enum smtp_session_state smtp_session_state(const struct smtp_session *session)
{
	return session->state;
}

unsigned smtp_session_caps(const struct smtp_session *session)
{
	return session->caps;
}

uint64_t smtp_session_size_max(const struct smtp_session *session)
{
	return session->size_max;
}

int64_t smtp_session_patience_ms(const struct smtp_session *session)
{
	switch (session->state) {
	case SMTP_SESSION_WANT_TLS:
	case SMTP_SESSION_READY:
	case SMTP_SESSION_CLOSED:
		return 0;
	case SMTP_SESSION_DATA:
		return 2 * MINUTE_MS;
	case SMTP_SESSION_TEXT:
		return 3 * MINUTE_MS;
	case SMTP_SESSION_DOT:
		return 10 * MINUTE_MS;
	case SMTP_SESSION_GREETING:
	case SMTP_SESSION_EHLO:
	case SMTP_SESSION_STARTTLS:
	case SMTP_SESSION_AUTH:
	case SMTP_SESSION_MAIL:
	case SMTP_SESSION_RSET:
	case SMTP_SESSION_QUIT:
		break;
	}
	return 5 * MINUTE_MS;
}

void smtp_session_tls_done(struct smtp_session *session, const struct sasl_binding *binding)
{
	g_return_if_fail(session->state == SMTP_SESSION_WANT_TLS);
	session->tls_active = true;
	if (binding)
		session->login.binding = *binding;
	smtp_login_ask_ehlo(session);
}

void smtp_session_quit(struct smtp_session *session)
{
	if (session->state == SMTP_SESSION_QUIT || session->state == SMTP_SESSION_CLOSED)
		return;
	if (session->state != SMTP_SESSION_READY) {
		close_now(session, NULL);
		return;
	}
	smtp_session_set_state(session, SMTP_SESSION_QUIT);
	line_sender_command(&session->sender, "QUIT", NULL);
}

const struct buf *smtp_session_output(const struct smtp_session *session)
{
	return &session->sender.output;
}

bool smtp_session_wrote(struct smtp_session *session, size_t len, GError **error)
{
	if (session->error)
		return tell(session, error);
	buf_consume(&session->sender.output, len);
	if (session->state == SMTP_SESSION_AUTH && buf_len(&session->sender.output) == 0)
		buf_wipe(&session->sender.output);
	smtp_send_refill(session);
	return tell(session, error);
}

void smtp_session_set_trace(struct smtp_session *session, line_trace_fn trace, void *data)
{
	session->sender.trace = trace;
	session->sender.trace_data = data;
}
