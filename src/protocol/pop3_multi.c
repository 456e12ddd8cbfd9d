#include "protocol/pop3_multi.h"

#include <glib.h>
#include <string.h>

/* How many bytes are told as they are: up to a dot that begins a line, or all. */
static size_t plain_len(struct pop3_multi *multi, const uint8_t *bytes, size_t len)
{
	size_t at = 0;

	while (at < len) {
		const uint8_t *lf;
		size_t end;
		bool crlf;

		if (multi->state == POP3_MULTI_LINE_BEGINS && bytes[at] == '.')
			return at;
		lf = memchr(bytes + at, '\n', len - at);
		if (!lf) {
			multi->state = bytes[len - 1] == '\r' ? POP3_MULTI_CR : POP3_MULTI_IN_LINE;
			return len;
		}
		end = (size_t)(lf - bytes);
		crlf = end > at ? bytes[end - 1] == '\r' : multi->state == POP3_MULTI_CR;
		multi->state = crlf ? POP3_MULTI_LINE_BEGINS : POP3_MULTI_IN_LINE;
		at = end + 1;
	}
	return len;
}

static size_t dot_cr_next(struct pop3_multi *multi, uint8_t byte, struct pop3_piece *ret)
{
	if (byte == '\n') {
		multi->state = POP3_MULTI_ENDED;
		ret->ended = true;
		return 1;
	}
	multi->state = POP3_MULTI_CR;
	ret->bytes = (const uint8_t *)"\r";
	ret->len = 1;
	return 0;
}

size_t pop3_multi_next(struct pop3_multi *multi, const uint8_t *bytes, size_t len,
		       struct pop3_piece *ret)
{
	g_assert(len > 0 && multi->state != POP3_MULTI_ENDED);
	*ret = (struct pop3_piece){.bytes = bytes};
	if (multi->state == POP3_MULTI_DOT_CR)
		return dot_cr_next(multi, bytes[0], ret);
	if (multi->state == POP3_MULTI_LINE_BEGINS && bytes[0] == '.') {
		multi->state = POP3_MULTI_DOT;
		return 1;
	}
	if (multi->state == POP3_MULTI_DOT && bytes[0] == '\r') {
		multi->state = POP3_MULTI_DOT_CR;
		return 1;
	}
	if (multi->state == POP3_MULTI_DOT)
		multi->state = POP3_MULTI_IN_LINE;
	ret->len = plain_len(multi, bytes, len);
	return ret->len;
}
