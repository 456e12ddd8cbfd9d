#include "protocol/pop3_session.h"

#include "base/text.h"
#include "protocol/pop3_session_private.h"

#include <stdarg.h>
#include <string.h>

/* What is in flight is capped, and a login is. */
#define OUTPUT_MAX (64 * 1024)
#define MINUTE_MS (60 * 1000)

/* ---- State and errors ---- */

void pop3_session_set_state(struct pop3_session *session, enum pop3_session_state state)
{
	session->state = state;
}

void pop3_session_close(struct pop3_session *session)
{
	pop3_session_set_state(session, POP3_SESSION_CLOSED);
	pop3_login_forget(session);
	buf_wipe(&session->sender.output);
	pop3_answer_clear(session);
	pop3_send_lost(session);
}

static void fail_with(struct pop3_session *session, GError *error)
{
	if (session->error) {
		g_error_free(error);
		return;
	}
	session->error = error;
	pop3_session_close(session);
}

void pop3_session_fail(struct pop3_session *session, enum mailfs_error code, const char *format,
		       ...)
{
	va_list args;

	va_start(args, format);
	fail_with(session, g_error_new_valist(MAILFS_ERROR, code, format, args));
	va_end(args);
}

char *pop3_session_server_text(const struct pop3_session *session, const struct pop3_reply *reply)
{
	if (session->echo)
		return g_strdup(" (its reason repeats the password and is not shown)");
	if (session->tls_required && !session->tls_active)
		return g_strdup_printf(", says somebody without TLS: %s", reply->text);
	return g_strdup_printf(": %s", reply->text);
}

void pop3_session_fail_nonsense(struct pop3_session *session, const struct pop3_reply *reply)
{
	g_autofree char *text = pop3_session_server_text(session, reply);

	pop3_session_fail(session, ERROR_PROTOCOL, "the server's answer makes no sense here%s",
			  text);
}

/* ---- Replies ---- */

/* A server that has waited long enough says so before it goes. */
static void take_unasked(struct pop3_session *session, const struct pop3_reply *reply)
{
	g_autofree char *text = pop3_session_server_text(session, reply);

	if (reply->status == POP3_ERR)
		pop3_session_fail(session, ERROR_TEMPORARY, "the server ends the session%s", text);
	else
		pop3_session_fail(session, ERROR_PROTOCOL,
				  "the server answers what it was not asked%s", text);
}

static void take_asked(struct pop3_session *session, struct pop3_reply *reply)
{
	switch (session->state) {
	case POP3_SESSION_GREETING:
		pop3_login_greeting(session, reply);
		break;
	case POP3_SESSION_CAPA:
	case POP3_SESSION_AFTER_LOGIN:
		pop3_login_capa(session, reply);
		break;
	case POP3_SESSION_STLS:
		pop3_login_stls(session, reply);
		break;
	case POP3_SESSION_UTF8:
		pop3_login_utf8(session, reply);
		break;
	case POP3_SESSION_USER:
		pop3_login_user(session, reply);
		break;
	case POP3_SESSION_AUTH:
		pop3_login_auth(session, reply);
		break;
	case POP3_SESSION_READY:
	case POP3_SESSION_QUIT:
		pop3_send_take(session, reply);
		break;
	case POP3_SESSION_WANT_TLS:
	case POP3_SESSION_CLOSED:
		g_assert_not_reached();
	}
}

static void take_reply(struct pop3_session *session, struct pop3_reply *reply)
{
	session->echo = pop3_login_is_echo(session, reply);
	line_sender_trace(&session->sender, 'S', "%s", session->echo ? "..." : reply->text);
	if (line_sender_answered(&session->sender))
		take_asked(session, reply);
	else
		take_unasked(session, reply);
}

/* Takes `error`, which shows how the reply begins. */
static void fail_reply(struct pop3_session *session, GError *error)
{
	if (session->state == POP3_SESSION_USER || session->state == POP3_SESSION_AUTH) {
		g_free(error->message);
		error->message = g_strdup("the server's answer to the login makes no sense");
	}
	fail_with(session, error);
}

static size_t feed_reply(struct pop3_session *session, const uint8_t *bytes, size_t len)
{
	struct pop3_reply reply = {0};
	GError *failure = NULL;
	size_t used = len;

	if (pop3_reply_parser_feed(session->parser, bytes, len, &used, &reply, &failure))
		take_reply(session, &reply);
	else if (failure)
		fail_reply(session, failure);
	pop3_reply_clear(&reply);
	return used;
}

static bool can_read(const struct pop3_session *session)
{
	return session->state != POP3_SESSION_CLOSED && session->state != POP3_SESSION_WANT_TLS;
}

bool pop3_session_feed(struct pop3_session *session, const uint8_t *bytes, size_t len,
		       GError **error)
{
	while (len > 0 && can_read(session)) {
		size_t used = session->answer.active ? pop3_answer_feed(session, bytes, len)
						     : feed_reply(session, bytes, len);

		bytes += used;
		len -= used;
	}
	/* Somebody could have put these bytes before the ones that TLS will protect. */
	if (session->state == POP3_SESSION_WANT_TLS && len > 0)
		pop3_session_fail(session, ERROR_TLS, "the server sends more behind STLS");
	if (session->error && error)
		*error = g_error_copy(session->error);
	return !session->error;
}

/* ---- The owner's side ---- */

struct pop3_session *pop3_session_new(const struct pop3_session_config *config,
				      const struct pop3_session_events *events, void *data)
{
	struct pop3_session *session = g_new0(struct pop3_session, 1);

	session->login = config->login;
	session->tls_active = config->tls_active;
	session->tls_required = config->tls_required;
	session->no_capa = config->no_capa;
	session->events = *events;
	session->data = data;
	session->parser = pop3_reply_parser_new();
	line_sender_init(&session->sender, OUTPUT_MAX);
	/* With a CR and a NUL. */
	buf_init(&session->answer.line, LIMIT_POP3_LINE + 2);
	pop3_capa_init(&session->capa);
	session->waiting = g_queue_new();
	session->flying = g_queue_new();
	return session;
}

void pop3_session_free(struct pop3_session **session)
{
	struct pop3_session *gone = *session;

	if (!gone)
		return;
	/* Callbacks may still call it. */
	pop3_session_close(gone);
	*session = NULL;
	pop3_reply_parser_free(&gone->parser);
	line_sender_clear(&gone->sender);
	buf_clear(&gone->answer.line);
	pop3_capa_clear(&gone->capa);
	g_free(gone->timestamp);
	g_queue_free(gone->waiting);
	g_queue_free(gone->flying);
	g_clear_error(&gone->error);
	g_free(gone);
}

enum pop3_session_state pop3_session_state(const struct pop3_session *session)
{
	return session->state;
}

const struct pop3_capa *pop3_session_capa(const struct pop3_session *session)
{
	return &session->capa;
}

enum pop3_code pop3_session_code(const struct pop3_session *session)
{
	return session->code;
}

int64_t pop3_session_patience_ms(const struct pop3_session *session)
{
	switch (session->state) {
	case POP3_SESSION_WANT_TLS:
	case POP3_SESSION_CLOSED:
		return 0;
	case POP3_SESSION_GREETING:
	case POP3_SESSION_CAPA:
	case POP3_SESSION_STLS:
	case POP3_SESSION_UTF8:
	case POP3_SESSION_USER:
	case POP3_SESSION_AFTER_LOGIN:
		return MINUTE_MS;
	case POP3_SESSION_AUTH:
		/* It may read a whole mailbox first. */
		return 5 * MINUTE_MS;
	case POP3_SESSION_READY:
		return session->sender.asked->len > 0 || session->answer.active ? 3 * MINUTE_MS : 0;
	case POP3_SESSION_QUIT:
		break;
	}
	/* Or write it anew. */
	return session->quit_sent ? 10 * MINUTE_MS : 3 * MINUTE_MS;
}

void pop3_session_tls_done(struct pop3_session *session, const struct sasl_binding *binding)
{
	g_return_if_fail(session->state == POP3_SESSION_WANT_TLS);
	session->tls_active = true;
	if (binding)
		session->login.binding = *binding;
	pop3_login_ask_capa(session);
}

const struct buf *pop3_session_output(const struct pop3_session *session)
{
	return &session->sender.output;
}

void pop3_session_wrote(struct pop3_session *session, size_t len)
{
	if (session->state == POP3_SESSION_CLOSED)
		return;
	buf_consume(&session->sender.output, len);
	/* What is consumed still stands in memory. */
	if (session->state == POP3_SESSION_AUTH && buf_len(&session->sender.output) == 0)
		buf_wipe(&session->sender.output);
}

void pop3_session_set_trace(struct pop3_session *session, line_trace_fn trace, void *data)
{
	session->sender.trace = trace;
	session->sender.trace_data = data;
}
