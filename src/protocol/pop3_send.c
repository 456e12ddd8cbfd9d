/* Commands behind the login, and their replies. */
#include "protocol/pop3_session_private.h"

/* Commands in flight: enough to hide the way, and few enough bytes for any server's buffer. */
#define PIPELINE_MAX 100

static const struct {
	const char *word;
	bool has_number; /* of a message */
	const char *rest;
	bool has_more; /* behind its +OK */
	bool is_body;
} verbs[] = {
	[POP3_STAT] = {"STAT"},
	[POP3_UIDL] = {"UIDL", .has_more = true},
	[POP3_LIST] = {"LIST", .has_more = true},
	[POP3_TOP] = {"TOP", true, " 0", .has_more = true, .is_body = true},
	[POP3_RETR] = {"RETR", true, "", .has_more = true, .is_body = true},
	[POP3_DELE] = {"DELE", true, ""},
	[POP3_NOOP] = {"NOOP"},
};

/* ---- The end ---- */

static void finish(struct pop3_command *command, const struct pop3_reply *reply)
{
	command->done(command->data, reply);
	g_free(command);
}

static void quit_tell(struct pop3_session *session, enum pop3_quit result,
		      const struct pop3_reply *reply)
{
	pop3_quit_fn done = session->quit_done;

	session->quit_done = NULL;
	if (done)
		done(session->quit_data, result, reply);
}

void pop3_send_lost(struct pop3_session *session)
{
	struct pop3_command *command;

	while ((command = g_queue_pop_head(session->flying)))
		finish(command, NULL);
	while ((command = g_queue_pop_head(session->waiting)))
		finish(command, NULL);
	quit_tell(session, session->quit_sent ? POP3_QUIT_UNKNOWN : POP3_QUIT_NOT_SENT, NULL);
}

/* ---- Sending ---- */

static void send_command(struct pop3_session *session, struct pop3_command *command)
{
	g_autofree char *line = NULL;

	g_queue_push_tail(session->flying, command);
	if (verbs[command->verb].has_number)
		line = g_strdup_printf("%s %u%s", verbs[command->verb].word, command->number,
				       verbs[command->verb].rest);
	else
		line = g_strdup(verbs[command->verb].word);
	line_sender_command(&session->sender, line, NULL);
}

static bool may_send(const struct pop3_session *session)
{
	bool pipelining = session->capa.caps & POP3_CAP_PIPELINING;

	return session->flying->length < (pipelining ? PIPELINE_MAX : 1);
}

void pop3_send_pump(struct pop3_session *session)
{
	bool is_open = session->state == POP3_SESSION_READY || session->state == POP3_SESSION_QUIT;

	if (!is_open || session->quit_sent)
		return;
	while (session->waiting->length > 0 && may_send(session))
		send_command(session, g_queue_pop_head(session->waiting));
	if (session->state == POP3_SESSION_QUIT && session->waiting->length == 0 &&
	    session->flying->length == 0) {
		session->quit_sent = true;
		line_sender_command(&session->sender, "QUIT", NULL);
	}
}

/* ---- Replies ---- */

static void take_quit(struct pop3_session *session, const struct pop3_reply *reply)
{
	if (reply->status == POP3_CONTINUE) {
		pop3_session_fail_nonsense(session, reply);
		return;
	}
	pop3_session_set_state(session, POP3_SESSION_CLOSED);
	quit_tell(session, reply->status == POP3_OK ? POP3_QUIT_COMMITTED : POP3_QUIT_PARTLY,
		  reply);
}

void pop3_send_end(struct pop3_session *session, const struct pop3_reply *reply)
{
	finish(g_queue_pop_head(session->flying), reply);
	pop3_send_pump(session);
}

void pop3_send_take(struct pop3_session *session, struct pop3_reply *reply)
{
	struct pop3_command *command = g_queue_peek_head(session->flying);

	if (session->quit_sent)
		take_quit(session, reply);
	else if (reply->status == POP3_CONTINUE)
		pop3_session_fail_nonsense(session, reply);
	else if (reply->status == POP3_OK && verbs[command->verb].has_more)
		pop3_answer_begin(session, reply);
	else
		pop3_send_end(session, reply);
}

bool pop3_send_is_body(const struct pop3_session *session)
{
	const struct pop3_command *command = g_queue_peek_head(session->flying);

	return command && verbs[command->verb].is_body;
}

void pop3_send_body(struct pop3_session *session, const uint8_t *bytes, size_t len)
{
	const struct pop3_command *command = g_queue_peek_head(session->flying);

	session->events.body(session->data, command->number, bytes, len);
}

void pop3_send_line(struct pop3_session *session, const char *line, size_t len)
{
	const struct pop3_command *command = g_queue_peek_head(session->flying);
	g_autofree char *uid = NULL;
	uint32_t number;
	uint64_t size;

	if (command->verb == POP3_UIDL && pop3_list_uid(line, len, &number, &uid))
		session->events.uid(session->data, number, uid);
	else if (command->verb == POP3_LIST && pop3_list_size(line, len, &number, &size))
		session->events.size(session->data, number, size);
}

/* ---- The owner's side ---- */

void pop3_session_send(struct pop3_session *session, enum pop3_verb verb, uint32_t number,
		       pop3_done_fn done, void *data)
{
	struct pop3_command *command;

	g_return_if_fail(verbs[verb].has_number == (number > 0));
	if (session->state == POP3_SESSION_QUIT || session->state == POP3_SESSION_CLOSED) {
		done(data, NULL);
		return;
	}
	command = g_new(struct pop3_command, 1);
	*command = (struct pop3_command){verb, number, done, data};
	g_queue_push_tail(session->waiting, command);
	pop3_send_pump(session);
}

unsigned pop3_session_pending(const struct pop3_session *session)
{
	return session->flying->length + session->waiting->length;
}

void pop3_session_quit(struct pop3_session *session, pop3_quit_fn done, void *data)
{
	if (session->quit_asked)
		return;
	session->quit_asked = true;
	session->quit_done = done;
	session->quit_data = data;
	if (session->state == POP3_SESSION_READY) {
		pop3_session_set_state(session, POP3_SESSION_QUIT);
		pop3_send_pump(session);
	} else {
		pop3_session_close(session);
	}
}
