#include "wire_imap.h"

#include "base/error.h"
#include "base/number.h"
#include "config/auth.h"
#include "protocol/imap_caps.h"
#include "protocol/imap_session.h"

#include <string.h>

struct subject {
	struct wire_play *play;
	struct imap_session *session; /* NULL while settings are read */
	char *user;
	char *password;
	char *token;   /* NULL: none */
	unsigned auth; /* enum auth_mechanism */
	bool certificate;
	char *tag;
	bool tls_active;
	bool tls_required;
	bool compress;
	size_t left; /* bytes that came compressed */
	unsigned commands;
	GQueue events; /* of char *: what happened and was not expected yet */
	GString *body; /* of the literal that arrives */
	GQueue then;   /* of char * */
	GPtrArray *trace;
	GPtrArray *streams; /* of GString * */
	GError *error;
};

struct answer {
	struct subject *subject;
	unsigned number;
};

/* ---- What the session reports ---- */

static const char *const status_names[] = {"OK", "NO", "BAD", "BYE", "PREAUTH"};

static char *describe_fetch(const struct imap_response *response)
{
	GString *text = g_string_new("FETCH");
	const struct imap_fetch *fetch = &response->fetch;

	g_string_append_printf(text, " %" G_GUINT64_FORMAT, response->number);
	if (fetch->items & IMAP_FETCH_UID)
		g_string_append_printf(text, " uid=%u", fetch->uid);
	if (fetch->items & IMAP_FETCH_SIZE)
		g_string_append_printf(text, " size=%" G_GUINT64_FORMAT, fetch->size);
	if (fetch->items & IMAP_FETCH_FLAGS)
		g_string_append_printf(text, " flags=%x", fetch->flags);
	if (fetch->items & IMAP_FETCH_HEADER)
		g_string_append_printf(text, " header=%zu", g_bytes_get_size(fetch->header));
	if (fetch->items & IMAP_FETCH_BODY)
		g_string_append(text, fetch->body_streamed ? " streamed"
				      : fetch->body_nil	   ? " nil"
							   : " inline");
	return g_string_free(text, FALSE);
}

static char *describe(const struct imap_response *response)
{
	switch (response->data) {
	case IMAP_DATA_STATUS:
		return g_strdup_printf("%s %s%s%s", status_names[response->status],
				       response->code_name ? response->code_name : "",
				       response->code_name ? " " : "", response->text);
	case IMAP_DATA_EXISTS:
		return g_strdup_printf("EXISTS %" G_GUINT64_FORMAT, response->number);
	case IMAP_DATA_EXPUNGE:
		return g_strdup_printf("EXPUNGE %" G_GUINT64_FORMAT, response->number);
	case IMAP_DATA_FETCH:
		return describe_fetch(response);
	case IMAP_DATA_LIST:
		return g_strdup_printf("LIST %s", response->mailbox);
	case IMAP_DATA_CAPABILITY:
		return g_strdup("CAPABILITY");
	default:
		return g_strdup_printf("data %d", response->data);
	}
}

static void on_untagged(void *data, const struct imap_response *response)
{
	struct subject *subject = data;
	g_autofree char *text = describe(response);

	if (subject->body) {
		g_queue_push_tail(&subject->events,
				  g_strdup_printf("untagged BODY %s", subject->body->str));
		g_string_free(g_steal_pointer(&subject->body), TRUE);
	}
	g_queue_push_tail(&subject->events, g_strdup_printf("untagged %s", text));
}

static void on_body_begin(void *data, uint32_t uid, uint64_t origin, uint64_t size)
{
	struct subject *subject = data;

	if (subject->body)
		wire_fail(subject->play, "a body begins inside a body");
	subject->body = g_string_new(NULL);
	g_string_printf(subject->body, "uid=%u size=%" G_GUINT64_FORMAT " ", uid, size);
}

static void on_body_data(void *data, const uint8_t *bytes, size_t len)
{
	struct subject *subject = data;

	if (!subject->body)
		wire_fail(subject->play, "bytes of no body");
	g_string_append_len(subject->body, (const char *)bytes, (gssize)len);
}

static void on_trace(void *data, char direction, const char *line)
{
	struct subject *subject = data;

	if (*subject->password && strstr(line, subject->password))
		wire_fail(subject->play, "the trace shows the password: %s", line);
	if (strlen(line) > 210 || strpbrk(line, "\r\n"))
		wire_fail(subject->play, "not a line for a trace: %s", line);
	g_ptr_array_add(subject->trace, g_strdup_printf("%c: %s", direction, line));
}

/* ---- Commands ---- */

static void subject_send(struct subject *subject, const char *text);

static void on_done(void *data, const struct imap_response *tagged)
{
	struct answer *answer = data;
	struct subject *subject = answer->subject;
	g_autofree char *then = NULL;

	g_queue_push_tail(&subject->events,
			  g_strdup_printf("done %u %s", answer->number,
					  tagged ? status_names[tagged->status] : "gone"));
	g_free(answer);
	then = g_queue_pop_head(&subject->then);
	if (then)
		subject_send(subject, then);
}

static const char *command_string(struct subject *subject, struct imap_command *command,
				  const char *text)
{
	g_autoptr(GString) string = g_string_new(NULL);
	bool secret = g_str_has_prefix(text, "$$");
	const char *rest = wire_unescape(text + (secret ? 3 : 2), true, string);

	if (!rest)
		wire_fail(subject->play, "no such string: %s", text);
	if (secret)
		imap_command_secret(command, string->str, string->len);
	else
		imap_command_string(command, string->str, string->len);
	return rest;
}

static size_t stream_read(void *data, uint64_t offset, void *bytes, size_t max)
{
	const GString *text = data;
	size_t len = MIN(max, text->len - MIN((size_t)offset, text->len));

	memcpy(bytes, text->str + MIN((size_t)offset, text->len), len);
	return len;
}

/* $~"text", and $~!"text" where there is less of it than was said. */
static const char *command_stream(struct subject *subject, struct imap_command *command,
				  const char *text)
{
	GString *bytes = g_string_new(NULL);
	bool cut = text[2] == '!';
	const char *rest = wire_unescape(text + (cut ? 4 : 3), true, bytes);

	if (!rest)
		wire_fail(subject->play, "no such string: %s", text);
	g_ptr_array_add(subject->streams, bytes);
	imap_command_stream(command, bytes->len + (cut ? 1 : 0), stream_read, bytes);
	return rest;
}

static struct imap_command *command_parse(struct subject *subject, const char *text)
{
	struct imap_command *command = imap_command_new("%s", "");

	while (*text) {
		if (g_str_has_prefix(text, "$\"") || g_str_has_prefix(text, "$$\"")) {
			text = command_string(subject, command, text);
		} else if (g_str_has_prefix(text, "$~")) {
			text = command_stream(subject, command, text);
		} else {
			imap_command_text(command, "%c", *text);
			text++;
		}
	}
	return command;
}

static void subject_send(struct subject *subject, const char *text)
{
	bool alone = g_str_has_prefix(text, "alone ");
	struct imap_command *command = command_parse(subject, alone ? text + 6 : text);
	struct answer *answer = g_new0(struct answer, 1);

	answer->subject = subject;
	answer->number = ++subject->commands;
	imap_session_send(subject->session, &command, alone, on_done, answer);
	if (command)
		wire_fail(subject->play, "the command was not taken over");
}

static void subject_idle(struct subject *subject)
{
	struct answer *answer = g_new0(struct answer, 1);

	answer->subject = subject;
	answer->number = ++subject->commands;
	imap_session_idle(subject->session, on_done, answer);
}

/* ---- Expectations ---- */

static const char *const state_names[] = {
	[IMAP_SESSION_GREETING] = "GREETING", [IMAP_SESSION_CAPABILITY] = "CAPABILITY",
	[IMAP_SESSION_STARTTLS] = "STARTTLS", [IMAP_SESSION_WANT_TLS] = "WANT_TLS",
	[IMAP_SESSION_LOGIN] = "LOGIN",	      [IMAP_SESSION_AFTER_LOGIN] = "AFTER_LOGIN",
	[IMAP_SESSION_READY] = "READY",	      [IMAP_SESSION_LOGOUT] = "LOGOUT",
	[IMAP_SESSION_CLOSED] = "CLOSED",     [IMAP_SESSION_WANT_DEFLATE] = "WANT_DEFLATE",
};

static const struct {
	enum mailfs_error code;
	const char *name;
} error_names[] = {
	{ERROR_TLS, "TLS"},
	{ERROR_AUTH, "AUTH"},
	{ERROR_NO_LOGIN, "NO_LOGIN"},
	{ERROR_TEMPORARY, "TEMPORARY"},
	{ERROR_PROTOCOL, "PROTOCOL"},
	{ERROR_LIMIT, "LIMIT"},
	{ERROR_IO, "IO"},
};

static void expect_text(struct subject *subject, const char *got, const char *expected)
{
	if (g_strcmp0(got, expected) != 0)
		wire_fail(subject->play, "expected: %s\ngot:      %s", expected,
			  got ? got : "nothing");
}

static void expect_event(struct subject *subject, const char *expected)
{
	g_autofree char *got = g_queue_pop_head(&subject->events);
	g_autoptr(GString) text = g_string_new(NULL);

	wire_unescape(expected, false, text);
	expect_text(subject, got, text->str);
}

static void expect_error(struct subject *subject, const char *expected)
{
	g_autofree char *got = NULL;

	for (size_t i = 0; subject->error && i < G_N_ELEMENTS(error_names); i++) {
		if (g_error_matches(subject->error, MAILFS_ERROR, (int)error_names[i].code))
			got = g_strdup_printf("%s %s", error_names[i].name,
					      subject->error->message);
	}
	/* Stage one and two word their own errors. */
	if (got && !strchr(expected, ' '))
		*strchr(got, ' ') = '\0';
	expect_text(subject, got, expected);
	expect_text(subject, state_names[imap_session_state(subject->session)], "CLOSED");
	g_clear_error(&subject->error);
}

static void expect_cap(struct subject *subject, const char *word, bool expected)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	unsigned bit;

	g_ptr_array_add(words, (char *)word);
	bit = imap_caps_parse(words);
	if (!bit || !(imap_session_caps(subject->session) & bit) == expected)
		wire_fail(subject->play, "capability %s is%s expected", word,
			  expected ? "" : " not");
}

static void expect_trace(struct subject *subject, const char *expected)
{
	for (unsigned i = 0; i < subject->trace->len; i++) {
		if (g_str_equal(g_ptr_array_index(subject->trace, i), expected))
			return;
	}
	for (unsigned i = 0; i < subject->trace->len; i++)
		g_printerr("  %s\n", (const char *)g_ptr_array_index(subject->trace, i));
	wire_fail(subject->play, "not in the trace: %s", expected);
}

/* What follows `word` and a space; NULL if `text` begins otherwise. */
static const char *after(const char *text, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(text, word, len) != 0)
		return NULL;
	if (text[len] == '\0')
		return text + len;
	return text[len] == ' ' ? text + len + 1 : NULL;
}

static void expect(struct subject *subject, const char *text)
{
	const char *rest;

	if ((rest = after(text, "state"))) {
		expect_text(subject, state_names[imap_session_state(subject->session)], rest);
	} else if ((rest = after(text, "error"))) {
		expect_error(subject, rest);
	} else if (after(text, "untagged") || after(text, "done")) {
		expect_event(subject, text);
	} else if ((rest = after(text, "cap"))) {
		expect_cap(subject, rest, true);
	} else if ((rest = after(text, "no cap"))) {
		expect_cap(subject, rest, false);
	} else if ((rest = after(text, "caps"))) {
		expect_text(subject, imap_session_cap_text(subject->session), rest);
	} else if ((rest = after(text, "in flight"))) {
		g_autofree char *got =
			g_strdup_printf("%u", imap_session_in_flight(subject->session));

		expect_text(subject, got, rest);
	} else if ((rest = after(text, "left"))) {
		g_autofree char *got = g_strdup_printf("%zu", subject->left);

		expect_text(subject, got, rest);
	} else if (g_str_equal(text, "idle") || g_str_equal(text, "no idle")) {
		if (imap_session_is_idle(subject->session) != g_str_equal(text, "idle"))
			wire_fail(subject->play, "expected: %s", text);
	} else if (g_str_equal(text, "settled") || g_str_equal(text, "not settled")) {
		if (imap_session_is_settled(subject->session) != g_str_equal(text, "settled"))
			wire_fail(subject->play, "expected: %s", text);
	} else if (after(text, "qresync")) {
		if (!imap_session_qresync_enabled(subject->session))
			wire_fail(subject->play, "QRESYNC is expected to be enabled");
	} else if ((rest = after(text, "trace"))) {
		expect_trace(subject, rest);
	} else {
		wire_fail(subject->play, "no such expectation: %s", text);
	}
}

/* ---- The driver ---- */

static void free_string(void *string)
{
	g_string_free(string, TRUE);
}

static void *subject_open(struct wire_play *play)
{
	struct subject *subject = g_new0(struct subject, 1);

	subject->play = play;
	subject->user = g_strdup("alice");
	subject->password = g_strdup("s3same");
	subject->tag = g_strdup("a");
	subject->tls_active = true;
	subject->trace = g_ptr_array_new_with_free_func(g_free);
	subject->streams = g_ptr_array_new_with_free_func(free_string);
	g_queue_init(&subject->events);
	g_queue_init(&subject->then);
	return subject;
}

static void subject_close(void *data)
{
	struct subject *subject = data;

	imap_session_free(&subject->session);
	g_queue_clear_full(&subject->events, g_free);
	g_queue_clear_full(&subject->then, g_free);
	g_ptr_array_unref(subject->trace);
	g_ptr_array_unref(subject->streams);
	if (subject->body)
		g_string_free(subject->body, TRUE);
	g_free(subject->user);
	g_free(subject->password);
	g_free(subject->token);
	g_free(subject->tag);
	g_free(subject);
}

static void subject_start(struct subject *subject)
{
	static const struct imap_session_events events = {
		.untagged = on_untagged,
		.body_begin = on_body_begin,
		.body_data = on_body_data,
	};
	struct imap_session_config config = {
		.login = {.user = subject->user,
			  .password = subject->password,
			  .token = subject->token,
			  .allowed = subject->auth,
			  .certificate = subject->certificate},
		.tls_active = subject->tls_active,
		.tls_required = subject->tls_required,
		.compress = subject->compress,
		.tag_prefix = subject->tag,
	};

	if (subject->session)
		return;
	subject->session = imap_session_new(&config, &events, subject);
	imap_session_set_trace(subject->session, on_trace, subject);
}

static void subject_feed(void *data, const uint8_t *bytes, size_t len)
{
	struct subject *subject = data;
	g_autoptr(GError) again = NULL;

	subject_start(subject);
	if (subject->error) {
		/* Whoever feeds on is told the same, and nothing happens. */
		if (imap_session_feed(subject->session, bytes, len, &again))
			wire_fail(subject->play, "goes on after an error");
		expect_text(subject, again->message, subject->error->message);
		return;
	}
	imap_session_feed(subject->session, bytes, len, &subject->error);
	if (imap_session_state(subject->session) == IMAP_SESSION_WANT_DEFLATE)
		subject->left += imap_session_left(subject->session);
	/* A login that is over must not depend on memory of its caller. */
	if (imap_session_state(subject->session) == IMAP_SESSION_READY)
		memset(subject->password, '#', strlen(subject->password));
}

static const uint8_t *subject_sent(void *data, size_t *ret_len)
{
	struct subject *subject = data;
	const struct buf *output;

	subject_start(subject);
	output = imap_session_output(subject->session);
	*ret_len = buf_len(output);
	return buf_data(output);
}

static void subject_take(void *data, size_t len)
{
	struct subject *subject = data;

	imap_session_wrote(subject->session, len, subject->error ? NULL : &subject->error);
}

static void set_tls(struct subject *subject, const char *text)
{
	subject->tls_required = g_str_equal(text, "required");
	subject->tls_active = g_str_equal(text, "active");
}

static bool setting(struct subject *subject, const char *text)
{
	const char *rest;

	if ((rest = after(text, "user"))) {
		g_autoptr(GString) bytes = g_string_new(NULL);

		wire_unescape(rest, false, bytes);
		g_free(subject->user);
		subject->user = g_strdup(bytes->str);
	} else if ((rest = after(text, "password"))) {
		g_autoptr(GString) bytes = g_string_new(NULL);

		wire_unescape(rest, false, bytes);
		g_free(subject->password);
		subject->password = g_strdup(bytes->str);
	} else if ((rest = after(text, "token"))) {
		g_free(subject->token);
		subject->token = g_strdup(rest);
	} else if ((rest = after(text, "auth"))) {
		if (!auth_parse(rest, &subject->auth))
			wire_fail(subject->play, "no such login: %s", rest);
	} else if (g_str_equal(text, "certificate")) {
		subject->certificate = true;
	} else if ((rest = after(text, "tag"))) {
		g_free(subject->tag);
		subject->tag = g_strdup(rest);
	} else if (after(text, "compress")) {
		subject->compress = true;
	} else if ((rest = after(text, "tls"))) {
		set_tls(subject, rest);
	} else {
		return false;
	}
	return true;
}

static void subject_directive(void *data, const char *text)
{
	struct subject *subject = data;
	const char *rest;

	if (setting(subject, text)) {
		if (subject->session)
			wire_fail(subject->play, "too late: %s", text);
		return;
	}
	subject_start(subject);
	if ((rest = after(text, "send")))
		subject_send(subject, rest);
	else if ((rest = after(text, "then")))
		g_queue_push_tail(&subject->then, g_strdup(rest));
	else if (g_str_equal(text, "tls-done"))
		imap_session_tls_done(subject->session, NULL);
	else if (g_str_equal(text, "deflate-done"))
		imap_session_deflate_done(subject->session);
	else if (g_str_equal(text, "idle"))
		subject_idle(subject);
	else if (g_str_equal(text, "idle-end"))
		imap_session_idle_end(subject->session);
	else if (g_str_equal(text, "logout"))
		imap_session_logout(subject->session);
	else if (g_str_equal(text, "free"))
		imap_session_free(&subject->session);
	else if ((rest = after(text, "expect")))
		expect(subject, rest);
	else
		wire_fail(subject->play, "no such directive: %s", text);
}

static void subject_finish(void *data)
{
	struct subject *subject = data;

	if (subject->error)
		wire_fail(subject->play, "not expected: %s", subject->error->message);
	if (!g_queue_is_empty(&subject->events))
		wire_fail(subject->play, "not expected: %s",
			  (const char *)g_queue_peek_head(&subject->events));
	if (subject->body)
		wire_fail(subject->play, "an unfinished body");
}

const struct wire_driver wire_imap = {
	.open = subject_open,
	.close = subject_close,
	.feed = subject_feed,
	.sent = subject_sent,
	.take = subject_take,
	.directive = subject_directive,
	.finish = subject_finish,
};
