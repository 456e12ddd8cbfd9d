#include "protocol/imap_session_private.h"
#include "protocol/imap_trace.h"

#include <string.h>

/* Outlook breaks near 50 commands in flight. */
#define FLIGHT_MAX 25
/* A refusal of a longer literal should not be paid for with sending all of it. */
#define NONSYNC_MAX 100000
/* RFC 7888 section 5. */
#define LITERAL_MINUS_MAX 4096
/* Bytes of a stream that wait in the output. */
#define STREAM_AHEAD (64 * 1024)
#define STREAM_PIECE (16 * 1024)

void imap_pending_free(struct imap_pending *pending)
{
	imap_command_free(&pending->command);
	g_free(pending->tag);
	g_free(pending);
}

static void put(struct imap_session *session, const void *bytes, size_t len)
{
	if (session->error)
		return;
	if (buf_append(&session->output, bytes, len))
		session->appended += len;
	else
		imap_session_fail(session, ERROR_LIMIT, "a command is too long to be sent");
}

/* To the wire and into the trace. */
static void put_shown(struct imap_session *session, GString *shown, const char *text)
{
	put(session, text, strlen(text));
	g_string_append(shown, text);
}

static bool literal_is_nonsync(const struct imap_session *session, uint64_t len)
{
	if (session->caps & IMAP_CAP_LITERAL_PLUS)
		return len <= NONSYNC_MAX;
	return session->caps & IMAP_CAP_LITERAL_MINUS && len <= LITERAL_MINUS_MAX;
}

/* What stands before the bytes of a literal or a challenge. False if the server's "+" has to come
 * first. */
static bool put_announcement(struct imap_session *session, const struct imap_part *part,
			     GString *shown)
{
	bool nonsync = false;

	if (part->kind == IMAP_PART_LITERAL || part->kind == IMAP_PART_STREAM) {
		uint64_t len = part->kind == IMAP_PART_STREAM ? part->len : part->bytes->len;
		g_autofree char *size = NULL;

		nonsync = literal_is_nonsync(session, len);
		size = g_strdup_printf("{%" G_GUINT64_FORMAT "%s}", len, nonsync ? "+" : "");
		put_shown(session, shown, size);
	}
	put(session, "\r\n", 2);
	return nonsync;
}

static void put_bytes(struct imap_session *session, const struct imap_part *part, GString *shown)
{
	put(session, part->bytes->str, part->bytes->len);
	if (part->secret || (part->kind != IMAP_PART_TEXT && part->kind != IMAP_PART_DONE))
		g_string_append(shown, "...");
	else
		g_string_append(shown, part->bytes->str);
}

static bool stream_is_whole(const struct imap_pending *pending, const struct imap_part *part)
{
	return part->kind != IMAP_PART_STREAM || pending->streamed == part->len;
}

static void put_stream(struct imap_session *session, struct imap_pending *pending,
		       const struct imap_part *part)
{
	uint8_t bytes[STREAM_PIECE];

	while (!session->error && !stream_is_whole(pending, part) &&
	       buf_len(&session->output) < STREAM_AHEAD) {
		size_t max = (size_t)MIN(part->len - pending->streamed, sizeof(bytes));
		size_t len = part->read(part->data, pending->streamed, bytes, max);

		if (len == 0 || len > max) {
			imap_session_fail(session, ERROR_IO, "what is being sent cannot be read");
			return;
		}
		put(session, bytes, len);
		pending->streamed += len;
	}
}

/* False if the rest has to wait. */
static bool put_part(struct imap_session *session, struct imap_pending *pending,
		     const struct imap_part *part, GString *shown)
{
	if (part->kind != IMAP_PART_TEXT && !pending->got_plus &&
	    !put_announcement(session, part, shown)) {
		pending->wants_plus = true;
		return false;
	}
	pending->got_plus = false;
	put_bytes(session, part, shown);
	if (part->kind != IMAP_PART_STREAM)
		return true;
	pending->sent_at = pending->announced_at = session->appended;
	put_stream(session, pending, part);
	return stream_is_whole(pending, part);
}

static void put_end(struct imap_session *session, struct imap_pending *pending)
{
	put(session, "\r\n", 2);
	pending->complete = true;
	pending->sent_at = session->appended;
}

/* Hands out as much of the command as may go. */
static void pending_write(struct imap_session *session, struct imap_pending *pending)
{
	g_autoptr(GString) shown = g_string_new(NULL);

	if (!pending->tag) {
		pending->tag = g_strdup_printf("%s%u", session->prefix, ++session->tags);
		put_shown(session, shown, pending->tag);
		put_shown(session, shown, " ");
	}
	while (pending->part < imap_command_parts(pending->command)) {
		const struct imap_part *part = imap_command_part(pending->command, pending->part);

		if (!put_part(session, pending, part, shown))
			break;
		pending->part++;
	}
	if (pending->part == imap_command_parts(pending->command))
		put_end(session, pending);
	else if (pending->wants_plus)
		pending->sent_at = session->appended;
	if (session->trace) {
		g_autofree char *line = imap_trace_clean(shown->str, shown->len);

		session->trace(session->trace_data, 'C', line);
	}
}

static void pending_begin(struct imap_session *session, struct imap_pending *pending)
{
	g_queue_push_tail(&session->flight, pending);
	pending_write(session, pending);
}

void imap_send_now(struct imap_session *session, struct imap_command *command, imap_done_fn done)
{
	struct imap_pending *pending = g_new0(struct imap_pending, 1);

	pending->command = command;
	pending->done = done;
	pending->data = session;
	pending->ours = true;
	pending_begin(session, pending);
}

static bool may_begin(struct imap_session *session, const struct imap_pending *next)
{
	const struct imap_pending *last = g_queue_peek_tail(&session->flight);

	if (!last)
		return true;
	return !next->alone && !last->alone && last->complete &&
	       g_queue_get_length(&session->flight) < FLIGHT_MAX;
}

void imap_send_pump(struct imap_session *session)
{
	struct imap_pending *next;

	if (session->state != IMAP_SESSION_READY && session->state != IMAP_SESSION_LOGOUT)
		return;
	while ((next = g_queue_peek_head(&session->waiting)) && may_begin(session, next)) {
		g_queue_pop_head(&session->waiting);
		pending_begin(session, next);
	}
	if (next)
		imap_session_idle_end(session);
}

/* All that was handed out of this command has left. */
static bool was_written(const struct imap_session *session, const struct imap_pending *pending)
{
	return session->appended - buf_len(&session->output) >= pending->sent_at;
}

static bool was_announced(const struct imap_session *session, const struct imap_pending *pending)
{
	return pending->announced_at > 0 &&
	       session->appended - buf_len(&session->output) >= pending->announced_at;
}

/* Half a command can be refused, but not done. */
static bool is_answerable(const struct imap_session *session, struct imap_pending *pending,
			  const struct imap_response *response)
{
	if (was_written(session, pending) && pending->complete)
		return true;
	if (response->status == IMAP_OK)
		return false;
	pending->cut = was_announced(session, pending);
	return pending->cut || was_written(session, pending);
}

void imap_send_plus(struct imap_session *session)
{
	struct imap_pending *last = g_queue_peek_tail(&session->flight);

	if (!last || !last->wants_plus || !was_written(session, last)) {
		imap_session_fail(session, ERROR_PROTOCOL,
				  "the server asks for more although nothing is to come");
		return;
	}
	last->wants_plus = false;
	last->got_plus = true;
	if (last->held)
		return;
	pending_write(session, last);
	imap_send_pump(session);
}

bool imap_send_answer(struct imap_session *session, const char *line)
{
	struct imap_pending *last = g_queue_peek_tail(&session->flight);

	if (!last || !last->complete || !was_written(session, last)) {
		imap_session_fail(session, ERROR_PROTOCOL,
				  "the server asks for more although nothing is to come");
		return false;
	}
	put(session, line, strlen(line));
	put(session, "\r\n", 2);
	last->sent_at = session->appended;
	if (session->trace)
		session->trace(session->trace_data, 'C', *line ? "..." : "");
	return !session->error;
}

void imap_send_refill(struct imap_session *session)
{
	struct imap_pending *last = g_queue_peek_tail(&session->flight);
	const struct imap_part *part;

	if (session->error || !last || last->complete || last->wants_plus || last->held)
		return;
	part = imap_command_part(last->command, last->part);
	put_stream(session, last, part);
	if (!stream_is_whole(last, part))
		return;
	last->part++;
	put_end(session, last);
	imap_send_pump(session);
}

static GList *flight_find(struct imap_session *session, const char *tag)
{
	for (GList *link = session->flight.head; link; link = link->next) {
		const struct imap_pending *pending = link->data;

		if (g_str_equal(pending->tag, tag))
			return link;
	}
	return NULL;
}

struct imap_pending *imap_send_answered(struct imap_session *session,
					const struct imap_response *response)
{
	GList *link = flight_find(session, response->tag);
	struct imap_pending *pending = link ? link->data : NULL;

	if (!pending) {
		imap_session_fail(session, ERROR_PROTOCOL,
				  "the server answers a command that was not sent");
		return NULL;
	}
	if (!is_answerable(session, pending, response)) {
		imap_session_fail(session, ERROR_PROTOCOL,
				  "the server answers a command before it was sent");
		return NULL;
	}
	g_queue_delete_link(&session->flight, link);
	return pending;
}

static bool part_is_in(const struct imap_part *part, const char *text, size_t len)
{
	const char *bytes = part->bytes->str;
	size_t n = part->bytes->len;

	/* Between the quotes. */
	if (part->kind == IMAP_PART_TEXT && n >= 2 && bytes[0] == '"') {
		bytes++;
		n -= 2;
	}
	return part->secret && n > 0 && memmem(text, len, bytes, n);
}

bool imap_send_is_echo(const struct imap_session *session, const char *text, size_t len)
{
	if (session->state == IMAP_SESSION_LOGIN &&
	    sasl_is_echo(session->sasl, &session->login, text, len))
		return true;
	for (const GList *link = session->flight.head; link; link = link->next) {
		const struct imap_pending *pending = link->data;

		for (unsigned i = 0; i < imap_command_parts(pending->command); i++) {
			if (part_is_in(imap_command_part(pending->command, i), text, len))
				return true;
		}
	}
	return false;
}

void imap_send_drop(struct imap_session *session, GQueue *queue)
{
	struct imap_pending *pending;

	while ((pending = g_queue_pop_head(queue))) {
		if (!pending->ours)
			pending->done(pending->data, NULL);
		imap_pending_free(pending);
	}
}

/* Takes over what it points to. */
static void send_pending(struct imap_session *session, const struct imap_pending *wanted)
{
	struct imap_pending *pending = g_memdup2(wanted, sizeof(*wanted));

	if (session->state == IMAP_SESSION_LOGOUT || session->state == IMAP_SESSION_CLOSED) {
		pending->done(pending->data, NULL);
		imap_pending_free(pending);
		return;
	}
	g_queue_push_tail(&session->waiting, pending);
	imap_send_pump(session);
}

void imap_session_send(struct imap_session *session, struct imap_command **command, bool alone,
		       imap_done_fn done, void *data)
{
	send_pending(session, &(struct imap_pending){.command = g_steal_pointer(command),
						     .alone = alone,
						     .done = done,
						     .data = data});
}

void imap_session_idle(struct imap_session *session, imap_done_fn done, void *data)
{
	struct imap_command *command = imap_command_new("IDLE");

	imap_command_done(command);
	send_pending(session, &(struct imap_pending){.command = command,
						     .alone = true,
						     .held = true,
						     .done = done,
						     .data = data});
}

void imap_session_idle_end(struct imap_session *session)
{
	struct imap_pending *last = g_queue_peek_tail(&session->flight);

	if (!last || !last->held)
		return;
	last->held = false;
	if (last->got_plus)
		pending_write(session, last);
}

bool imap_session_is_idle(const struct imap_session *session)
{
	const struct imap_pending *last = g_queue_peek_tail((GQueue *)&session->flight);

	return last && last->held && last->got_plus;
}

unsigned imap_session_in_flight(const struct imap_session *session)
{
	return session->waiting.length + session->flight.length;
}

static void logout_done(void *data, const struct imap_response *response)
{
	imap_session_set_state(data, IMAP_SESSION_CLOSED);
}

void imap_session_logout(struct imap_session *session)
{
	struct imap_pending *pending;

	if (session->state == IMAP_SESSION_LOGOUT)
		return;
	/* Nothing may be sent behind STARTTLS or a login: such a connection is just closed. */
	if (session->state != IMAP_SESSION_READY) {
		imap_session_set_state(session, IMAP_SESSION_CLOSED);
		buf_wipe(&session->output);
		return;
	}
	imap_session_set_state(session, IMAP_SESSION_LOGOUT);
	imap_send_drop(session, &session->waiting);
	pending = g_new0(struct imap_pending, 1);
	pending->command = imap_command_new("LOGOUT");
	pending->done = logout_done;
	pending->data = session;
	pending->ours = true;
	g_queue_push_tail(&session->waiting, pending);
	imap_send_pump(session);
}
