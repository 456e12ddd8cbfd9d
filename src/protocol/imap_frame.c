#include "protocol/imap_frame.h"

#include "base/error.h"
#include "base/limits.h"
#include "protocol/imap_token.h"

#include <string.h>

enum frame_state {
	FRAME_LINE,
	FRAME_LITERAL, /* `left` bytes of it come; the first `keep` go into the text */
	FRAME_BODY,    /* `left` bytes of it go to the owner */
	FRAME_DONE,    /* the text was reported */
	FRAME_FAILED,
};

void imap_frame_init(struct imap_frame *frame, size_t max_line)
{
	*frame = (struct imap_frame){.max_line = max_line, .state = FRAME_LINE};
	buf_init(&frame->text, LIMIT_RESPONSE);
}

void imap_frame_clear(struct imap_frame *frame)
{
	buf_clear(&frame->text);
}

bool imap_frame_is_empty(const struct imap_frame *frame)
{
	return frame->state == FRAME_DONE ||
	       (frame->state == FRAME_LINE && buf_len(&frame->text) == 0);
}

static enum imap_frame_event frame_fail(struct imap_frame *frame, enum mailfs_error code,
					const char *message, GError **error)
{
	frame->state = FRAME_FAILED;
	g_set_error_literal(error, MAILFS_ERROR, (int)code, message);
	return IMAP_FRAME_ERROR;
}

static void frame_restart(struct imap_frame *frame)
{
	buf_consume(&frame->text, buf_len(&frame->text));
	frame->line_start = 0;
	frame->line_bytes = 0;
	frame->body_size = 0;
	frame->body_seen = false;
	frame->state = FRAME_LINE;
}

/* "* OK", "a1 NO", "+ " and "* [": the rest is for people, and "{5}" in it is text. */
static bool frame_is_status(const char *text, size_t len)
{
	static const char *const words[] = {"OK", "NO", "BAD", "BYE", "PREAUTH"};
	struct imap_cursor cursor;
	struct imap_token word;

	imap_cursor_init(&cursor, text, len);
	if (imap_cursor_peek(&cursor) != '*')
		return true;
	cursor.at++;
	if (imap_cursor_peek(&cursor) == '[')
		return true;
	word = imap_cursor_word(&cursor);
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (imap_token_is(&word, words[i]))
			return true;
	return false;
}

/* True if a quoted string is open at `end`. */
static bool frame_in_quotes(const char *line, const char *end)
{
	const char *p = line;

	while ((p = memchr(p, '"', (size_t)(end - p)))) {
		for (p++; p < end && *p != '"'; p++)
			if (*p == '\\')
				p++;
		if (p >= end)
			return true;
		p++;
	}
	return false;
}

static bool frame_find_literal(const struct imap_frame *frame, const char *end, const char **ret_at,
			       uint64_t *ret_size)
{
	const char *text = (const char *)buf_data(&frame->text);
	const char *line = text + frame->line_start;

	return imap_literal_find(line, end, ret_at, ret_size) &&
	       !frame_is_status(text, (size_t)(end - text)) && !frame_in_quotes(line, *ret_at);
}

/* What a FETCH tells of is as long as some sender made it, who must not be able to end connections:
 * the rest of it is dropped. */
static enum imap_frame_event frame_begin_inline(struct imap_frame *frame, uint64_t size,
						bool in_fetch, GError **error)
{
	if (size > (in_fetch ? LIMIT_MESSAGE_SIZE : LIMIT_INLINE_LITERAL))
		return frame_fail(frame, ERROR_LIMIT,
				  "the server announced a literal that is too large", error);
	frame->state = FRAME_LITERAL;
	frame->left = size;
	frame->keep = imap_literal_kept(size);
	return IMAP_FRAME_MORE;
}

static enum imap_frame_event frame_begin_literal(struct imap_frame *frame, const char *at,
						 uint64_t size, GError **error)
{
	const char *text = (const char *)buf_data(&frame->text);
	bool in_fetch = imap_literal_in_fetch(text, buf_len(&frame->text));

	if (!in_fetch || !imap_literal_is_body(text + frame->line_start, at))
		return frame_begin_inline(frame, size, in_fetch, error);
	if (frame->body_seen)
		return frame_fail(frame, ERROR_PROTOCOL,
				  "the server sent two bodies in one response", error);
	if (size > LIMIT_MESSAGE_SIZE)
		return frame_fail(frame, ERROR_LIMIT,
				  "the server announced a message that is too large", error);
	frame->state = FRAME_BODY;
	frame->body_seen = true;
	frame->body_size = size;
	frame->left = size;
	return IMAP_FRAME_BODY;
}

/* The text ends in a line end. MORE: the response goes on. */
static enum imap_frame_event frame_end_line(struct imap_frame *frame, GError **error)
{
	const char *text = (const char *)buf_data(&frame->text);
	const char *at, *end = text + buf_len(&frame->text) - 1;
	enum imap_frame_event event;
	uint64_t size;

	if (end > text + frame->line_start && end[-1] == '\r')
		end--;
	if (frame_find_literal(frame, end, &at, &size)) {
		event = frame_begin_literal(frame, at, size, error);
		frame->line_start = buf_len(&frame->text);
		return event;
	}
	buf_truncate(&frame->text, (size_t)(end - text));
	frame->state = FRAME_DONE;
	return IMAP_FRAME_RESPONSE;
}

static enum imap_frame_event frame_take_line(struct imap_frame *frame, const uint8_t *bytes,
					     size_t len, size_t *ret_taken, GError **error)
{
	const uint8_t *newline = memchr(bytes, '\n', len);
	size_t taken = newline ? (size_t)(newline - bytes) + 1 : len;

	if (taken > frame->max_line - MIN(frame->line_bytes, frame->max_line) ||
	    !buf_append(&frame->text, bytes, taken))
		return frame_fail(frame, ERROR_LIMIT, "the server sent a line that is too long",
				  error);
	if (memchr(bytes, 0, taken))
		return frame_fail(frame, ERROR_PROTOCOL, "the server sent a NUL in a line", error);
	frame->line_bytes += taken;
	*ret_taken = taken;
	return newline ? frame_end_line(frame, error) : IMAP_FRAME_MORE;
}

static enum imap_frame_event frame_take_literal(struct imap_frame *frame, const uint8_t *bytes,
						size_t len, size_t *ret_taken, GError **error)
{
	size_t taken = (size_t)MIN(frame->left, len);
	size_t kept = MIN(frame->keep, taken);

	if (!buf_append(&frame->text, bytes, kept))
		return frame_fail(frame, ERROR_LIMIT, "the server sent a response that is too long",
				  error);
	frame->keep -= kept;
	frame->left -= taken;
	if (frame->left == 0) {
		frame->state = FRAME_LINE;
		frame->line_start = buf_len(&frame->text);
	}
	*ret_taken = taken;
	return IMAP_FRAME_MORE;
}

static enum imap_frame_event frame_take_body(struct imap_frame *frame, const uint8_t *bytes,
					     size_t len, size_t *ret_taken)
{
	size_t taken = (size_t)MIN(frame->left, len);

	frame->left -= taken;
	if (frame->left == 0)
		frame->state = FRAME_LINE;
	if (taken == 0)
		return IMAP_FRAME_MORE;
	frame->data = bytes;
	frame->data_len = taken;
	*ret_taken = taken;
	return IMAP_FRAME_DATA;
}

static enum imap_frame_event frame_take(struct imap_frame *frame, const uint8_t *bytes, size_t len,
					size_t *ret_taken, GError **error)
{
	switch ((enum frame_state)frame->state) {
	case FRAME_LINE:
		return frame_take_line(frame, bytes, len, ret_taken, error);
	case FRAME_LITERAL:
		return frame_take_literal(frame, bytes, len, ret_taken, error);
	case FRAME_BODY:
		return frame_take_body(frame, bytes, len, ret_taken);
	case FRAME_DONE:
		frame_restart(frame);
		return IMAP_FRAME_MORE;
	case FRAME_FAILED:
		break;
	}
	return frame_fail(frame, ERROR_PROTOCOL, "the connection has failed before", error);
}

enum imap_frame_event imap_frame_feed(struct imap_frame *frame, const uint8_t *bytes, size_t len,
				      size_t *ret_used, GError **error)
{
	enum imap_frame_event event = IMAP_FRAME_MORE;
	size_t used = 0;

	while (used < len && event == IMAP_FRAME_MORE) {
		size_t taken = 0;
		event = frame_take(frame, bytes + used, len - used, &taken, error);
		used += taken;
	}
	*ret_used = used;
	return event;
}
