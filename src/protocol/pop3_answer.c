/* Multi-line replies: bodies as they come, listings line by line. */
#include "protocol/pop3_session_private.h"

#include <string.h>

void pop3_answer_clear(struct pop3_session *session)
{
	struct pop3_answer *answer = &session->answer;

	answer->active = false;
	pop3_reply_clear(&answer->reply);
	answer->multi = (struct pop3_multi){0};
	buf_truncate(&answer->line, 0);
	answer->len = 0;
	answer->lines = 0;
}

void pop3_answer_begin(struct pop3_session *session, struct pop3_reply *reply)
{
	pop3_answer_clear(session);
	session->answer.active = true;
	session->answer.reply = *reply;
	*reply = (struct pop3_reply){0};
}

static bool is_capa(const struct pop3_session *session)
{
	return session->state == POP3_SESSION_CAPA || session->state == POP3_SESSION_AFTER_LOGIN;
}

/* ---- Listings ---- */

static bool line_check(struct pop3_session *session, size_t len)
{
	unsigned max = is_capa(session) ? LIMIT_CAPABILITIES : LIMIT_MESSAGES;

	if (len > LIMIT_POP3_LINE)
		pop3_session_fail(session, ERROR_LIMIT,
				  "a line of the server is longer than %d bytes", LIMIT_POP3_LINE);
	else if (++session->answer.lines > max)
		pop3_session_fail(session, ERROR_LIMIT,
				  "a listing of the server has more than %u lines", max);
	return !session->error;
}

/* The line is whole, but for its LF. */
static void line_take(struct pop3_session *session)
{
	struct buf *buf = &session->answer.line;
	size_t len = buf_len(buf);

	if (len > 0 && buf_data(buf)[len - 1] == '\r')
		len--;
	if (!line_check(session, len))
		return;
	buf_truncate(buf, len);
	buf_append(buf, "", 1);
	if (is_capa(session))
		pop3_login_capa_line(session, (const char *)buf_data(buf));
	else
		pop3_send_line(session, (const char *)buf_data(buf), len);
	buf_truncate(buf, 0);
}

static void listing_take(struct pop3_session *session, const uint8_t *bytes, size_t len)
{
	while (len > 0 && !session->error) {
		const uint8_t *end = memchr(bytes, '\n', len);
		size_t part = end ? (size_t)(end - bytes) : len;

		if (buf_len(&session->answer.line) + part > LIMIT_POP3_LINE + 1) {
			line_check(session, SIZE_MAX);
			return;
		}
		buf_append(&session->answer.line, bytes, part);
		if (end)
			line_take(session);
		part += end ? 1 : 0;
		bytes += part;
		len -= part;
	}
}

/* ---- Any ---- */

static void end(struct pop3_session *session)
{
	struct pop3_reply reply = session->answer.reply;

	line_sender_trace(&session->sender, 'S', "[%" G_GUINT64_FORMAT " bytes]",
			  session->answer.len);
	session->answer.reply = (struct pop3_reply){0};
	pop3_answer_clear(session);
	if (is_capa(session))
		pop3_login_capa_end(session);
	else
		pop3_send_end(session, &reply);
	pop3_reply_clear(&reply);
}

size_t pop3_answer_feed(struct pop3_session *session, const uint8_t *bytes, size_t len)
{
	struct pop3_piece piece;
	size_t used = pop3_multi_next(&session->answer.multi, bytes, len, &piece);

	session->answer.len += piece.len;
	if (piece.len > 0 && pop3_send_is_body(session))
		pop3_send_body(session, piece.bytes, piece.len);
	else if (piece.len > 0)
		listing_take(session, piece.bytes, piece.len);
	if (piece.ended)
		end(session);
	return used;
}
