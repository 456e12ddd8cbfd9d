#include "protocol/imap_session_private.h"

#include "base/text.h"
#include "protocol/imap_caps.h"
#include "protocol/imap_trace.h"

#include <stdarg.h>
#include <string.h>

/* Room for a full flight of long commands. */
#define OUTPUT_MAX (1024 * 1024)
#define SERVER_TEXT_MAX 300

/* ---- State and errors ---- */

void imap_session_set_state(struct imap_session *session, enum imap_session_state state)
{
	session->state = state;
}

void imap_session_fail_with(struct imap_session *session, GError *error)
{
	if (session->error) {
		g_error_free(error);
		return;
	}
	session->error = error;
	imap_session_set_state(session, IMAP_SESSION_CLOSED);
	buf_wipe(&session->output);
}

void imap_session_fail(struct imap_session *session, enum mailfs_error code, const char *format,
		       ...)
{
	va_list args;

	va_start(args, format);
	imap_session_fail_with(session, g_error_new_valist(MAILFS_ERROR, code, format, args));
	va_end(args);
}

char *imap_session_server_text(const struct imap_session *session, const char *text)
{
	g_autofree char *clean = NULL;

	if (!*text)
		return g_strdup("");
	if (session->echo)
		return g_strdup(" (its reason repeats the password and is not shown)");
	clean = text_clean(text, -1, SERVER_TEXT_MAX);
	if (session->tls_required && !session->tls_active)
		return g_strdup_printf(", says somebody without TLS: %s", clean);
	return g_strdup_printf(": %s", clean);
}

void imap_session_set_caps(struct imap_session *session, const GPtrArray *words)
{
	g_free(session->cap_text);
	session->cap_text = imap_caps_text(words);
	session->caps = imap_caps_parse(words);
	session->auth = imap_caps_auth(words);
	g_free(session->auth_text);
	session->auth_text = imap_caps_auth_text(words);
	session->append_limit = imap_caps_append_limit(words);
	session->caps_known = true;
}

/* ---- Responses ---- */

static bool is_busy(const struct imap_session *session)
{
	return session->state == IMAP_SESSION_READY || session->state == IMAP_SESSION_LOGOUT;
}

static void trace_response(const struct imap_session *session)
{
	const struct buf *text = &session->frame.text;
	g_autofree char *line = NULL;

	if (!session->trace)
		return;
	line = session->echo ? g_strdup("...")
			     : imap_trace_response((const char *)buf_data(text), buf_len(text));
	session->trace(session->trace_data, 'S', line);
}

static void take_bye(struct imap_session *session, const struct imap_response *response)
{
	g_autofree char *text = NULL;

	if (session->state == IMAP_SESSION_LOGOUT)
		return;
	text = imap_session_server_text(session, response->text);
	imap_session_fail(session, ERROR_TEMPORARY, "the server closed the connection%s", text);
}

static void take_enabled(struct imap_session *session, const struct imap_response *response)
{
	for (unsigned i = 0; response->words && i < response->words->len; i++) {
		const char *word = g_ptr_array_index(response->words, i);

		if (g_ascii_strcasecmp(word, "QRESYNC") == 0)
			session->qresync_enabled = true;
	}
}

static void take_untagged_status(struct imap_session *session, const struct imap_response *response)
{
	if (response->status == IMAP_BYE)
		take_bye(session, response);
	else if (response->status == IMAP_PREAUTH)
		imap_session_fail(session, ERROR_PROTOCOL, "the server greets twice");
	else if (response->code == IMAP_CODE_CAPABILITY)
		imap_session_set_caps(session, response->words);
}

static void take_untagged(struct imap_session *session, const struct imap_response *response)
{
	if (response->data == IMAP_DATA_ENABLED && session->extensions > 0) {
		take_enabled(session, response);
		return;
	}
	if (response->data == IMAP_DATA_STATUS)
		take_untagged_status(session, response);
	else if (response->data == IMAP_DATA_CAPABILITY)
		imap_session_set_caps(session, response->words);
	/* Before READY nobody has asked for anything: whatever comes is not ours. */
	if (is_busy(session) && session->events.untagged)
		session->events.untagged(session->data, response);
}

static void take_tagged(struct imap_session *session, const struct imap_response *response)
{
	struct imap_pending *pending = imap_send_answered(session, response);

	if (!pending)
		return;
	pending->done(pending->data, response);
	if (pending->cut)
		imap_session_fail(session, ERROR_PROTOCOL,
				  "the server refuses a command before it was sent");
	imap_pending_free(pending);
	imap_send_pump(session);
}

static void take_response(struct imap_session *session, const struct imap_response *response)
{
	bool bye = response->kind == IMAP_UNTAGGED && response->data == IMAP_DATA_STATUS &&
		   response->status == IMAP_BYE;

	if (bye)
		take_untagged(session, response);
	else if (session->state == IMAP_SESSION_GREETING)
		imap_login_greeting(session, response);
	else if (response->kind == IMAP_CONTINUATION && session->sasl)
		imap_login_challenge(session, response);
	else if (response->kind == IMAP_CONTINUATION)
		imap_send_plus(session);
	else if (response->kind == IMAP_TAGGED)
		take_tagged(session, response);
	else
		take_untagged(session, response);
}

/* ---- Frames ---- */

/* Takes `error`, which shows how the response begins. */
static void fail_response(struct imap_session *session, GError *error)
{
	if (session->echo) {
		g_free(error->message);
		error->message = g_strdup("the server's answer makes no sense, and repeats the "
					  "password");
	}
	imap_session_fail_with(session, error);
}

static void frame_response(struct imap_session *session)
{
	const struct buf *text = &session->frame.text;
	uint64_t body_size = session->body_size;
	struct imap_response response;
	GError *error = NULL;

	session->body_size = 0;
	session->echo = imap_send_is_echo(session, (const char *)buf_data(text), buf_len(text));
	trace_response(session);
	if (!imap_response_parse((const char *)buf_data(text), buf_len(text), body_size, &response,
				 &error)) {
		fail_response(session, error);
		return;
	}
	take_response(session, &response);
	imap_response_clear(&response);
}

static void frame_body(struct imap_session *session)
{
	const struct buf *text = &session->frame.text;
	uint64_t origin;
	uint32_t uid;

	session->body_size = session->frame.body_size;
	if (!is_busy(session) || !session->events.body_begin)
		return;
	uid = imap_response_peek_body((const char *)buf_data(text), buf_len(text), &origin);
	session->events.body_begin(session->data, uid, origin, session->body_size);
}

static void frame_data(struct imap_session *session)
{
	if (is_busy(session) && session->events.body_data)
		session->events.body_data(session->data, session->frame.data,
					  session->frame.data_len);
}

/* One step; the bytes that it took. */
static size_t feed_some(struct imap_session *session, const uint8_t *bytes, size_t len,
			bool *ret_more)
{
	GError *error = NULL;
	size_t used = 0;

	switch (imap_frame_feed(&session->frame, bytes, len, &used, &error)) {
	case IMAP_FRAME_MORE:
		*ret_more = false;
		break;
	case IMAP_FRAME_RESPONSE:
		frame_response(session);
		break;
	case IMAP_FRAME_BODY:
		frame_body(session);
		break;
	case IMAP_FRAME_DATA:
		frame_data(session);
		break;
	case IMAP_FRAME_ERROR:
		imap_session_fail_with(session, error);
		break;
	}
	return used;
}

static bool can_read(const struct imap_session *session)
{
	return session->state != IMAP_SESSION_CLOSED && session->state != IMAP_SESSION_WANT_TLS &&
	       session->state != IMAP_SESSION_WANT_DEFLATE;
}

bool imap_session_feed(struct imap_session *session, const uint8_t *bytes, size_t len,
		       GError **error)
{
	bool more = true;

	while (more && can_read(session)) {
		size_t used = feed_some(session, bytes, len, &more);

		bytes += used;
		len -= used;
	}
	session->left = len;
	/* Somebody could have put these bytes before the ones that TLS will protect. */
	if (session->state == IMAP_SESSION_WANT_TLS &&
	    (len > 0 || !imap_frame_is_empty(&session->frame)))
		imap_session_fail(session, ERROR_TLS, "the server sends more behind STARTTLS");
	if (session->error && error)
		*error = g_error_copy(session->error);
	return !session->error;
}

/* ---- The owner's side ---- */

struct imap_session *imap_session_new(const struct imap_session_config *config,
				      const struct imap_session_events *events, void *data)
{
	struct imap_session *session = g_new0(struct imap_session, 1);

	session->login = config->login;
	session->tls_active = config->tls_active;
	session->tls_required = config->tls_required;
	session->compress = config->compress;
	g_strlcpy(session->prefix, config->tag_prefix, sizeof(session->prefix));
	session->events = *events;
	session->data = data;
	session->cap_text = g_strdup("");
	session->append_limit = UINT64_MAX;
	imap_frame_init(&session->frame, LIMIT_GREETING_LINE);
	buf_init(&session->output, OUTPUT_MAX);
	g_queue_init(&session->waiting);
	g_queue_init(&session->flight);
	return session;
}

void imap_session_free(struct imap_session **session)
{
	struct imap_session *gone = *session;

	if (!gone)
		return;
	*session = NULL;
	imap_session_set_state(gone, IMAP_SESSION_CLOSED);
	imap_send_drop(gone, &gone->flight);
	imap_send_drop(gone, &gone->waiting);
	imap_login_forget(gone);
	imap_frame_clear(&gone->frame);
	buf_clear(&gone->output);
	g_free(gone->cap_text);
	g_free(gone->auth_text);
	g_clear_error(&gone->error);
	g_free(gone);
}

enum imap_session_state imap_session_state(const struct imap_session *session)
{
	return session->state;
}

unsigned imap_session_caps(const struct imap_session *session)
{
	const unsigned both = IMAP_CAP_QRESYNC | IMAP_CAP_CONDSTORE;

	if (session->qresync_enabled)
		return session->caps | both;
	/* iCloud offers what it does not enable; then its change numbers are not to be trusted. */
	if (session->caps & IMAP_CAP_QRESYNC)
		return session->caps & ~both;
	return session->caps;
}

bool imap_session_is_settled(const struct imap_session *session)
{
	return session->extensions == 0;
}

bool imap_session_qresync_enabled(const struct imap_session *session)
{
	return session->qresync_enabled;
}

uint64_t imap_session_append_limit(const struct imap_session *session)
{
	return session->append_limit;
}

const char *imap_session_cap_text(const struct imap_session *session)
{
	return session->cap_text;
}

void imap_session_tls_done(struct imap_session *session, const struct sasl_binding *binding)
{
	g_return_if_fail(session->state == IMAP_SESSION_WANT_TLS);
	session->tls_active = true;
	if (binding)
		session->login.binding = *binding;
	imap_login_ask_capability(session);
}

size_t imap_session_left(const struct imap_session *session)
{
	return session->left;
}

void imap_session_deflate_done(struct imap_session *session)
{
	g_return_if_fail(session->state == IMAP_SESSION_WANT_DEFLATE);
	imap_login_compressed(session);
}

const struct buf *imap_session_output(const struct imap_session *session)
{
	return &session->output;
}

bool imap_session_wrote(struct imap_session *session, size_t len, GError **error)
{
	buf_consume(&session->output, len);
	imap_send_refill(session);
	if (session->error && error)
		*error = g_error_copy(session->error);
	return !session->error;
}

void imap_session_set_trace(struct imap_session *session, imap_trace_fn trace, void *data)
{
	session->trace = trace;
	session->trace_data = data;
}
