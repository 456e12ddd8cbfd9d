#include "protocol/smtp_reply.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/number.h"
#include "base/text.h"

#include <string.h>

#define CODE_MIN 200
/* RFC 5321 stops at 559; servers do not. */
#define CODE_MAX 599
#define TEXT_MAX 500
/* Of a line that is none, in an error message. */
#define SHOWN_MAX 60

struct smtp_reply_parser {
	struct buf line;  /* not ended yet */
	unsigned code;	  /* of the lines so far */
	GPtrArray *lines; /* NULL before the first */
};

void smtp_reply_clear(struct smtp_reply *reply)
{
	g_free(reply->text);
	if (reply->lines)
		g_ptr_array_unref(reply->lines);
	*reply = (struct smtp_reply){0};
}

struct smtp_reply_parser *smtp_reply_parser_new(void)
{
	struct smtp_reply_parser *parser = g_new0(struct smtp_reply_parser, 1);

	/* And a CR. */
	buf_init(&parser->line, LIMIT_SMTP_LINE + 1);
	return parser;
}

void smtp_reply_parser_free(struct smtp_reply_parser **parser)
{
	struct smtp_reply_parser *gone = g_steal_pointer(parser);

	if (!gone)
		return;
	buf_clear(&gone->line);
	if (gone->lines)
		g_ptr_array_unref(gone->lines);
	g_free(gone);
}

bool smtp_reply_parser_is_empty(const struct smtp_reply_parser *parser)
{
	return !parser->lines && buf_len(&parser->line) == 0;
}

/* ---- A whole reply ---- */

/* The length of the enhanced code that `line` begins with; 0: none. */
static size_t enhanced_parse(const char *line, unsigned class, unsigned ret[3])
{
	uint32_t parts[3];
	const char *at = line;

	for (unsigned i = 0; i < 3; i++) {
		size_t digits = strspn(at, "0123456789");

		if (digits > (i == 0 ? 1 : 3) || !number_parse_u32(at, digits, &parts[i]))
			return 0;
		at += digits;
		if (i < 2 && *at++ != '.')
			return 0;
	}
	/* There is no class 3 (RFC 3463). */
	if ((*at && *at != ' ') || parts[0] != class || class == 3)
		return 0;
	for (unsigned i = 0; i < 3; i++)
		ret[i] = parts[i];
	return (size_t)(at - line);
}

/* An enhanced code stands on every line: shown once. */
static const char *skip_repeated(const char *line, const char *first, size_t enhanced_len)
{
	if (enhanced_len == 0 || strncmp(line, first, enhanced_len) != 0)
		return line;
	if (line[enhanced_len] == ' ')
		return line + enhanced_len + 1;
	return line[enhanced_len] ? line : "";
}

static char *reply_text(const struct smtp_reply *reply, size_t enhanced_len)
{
	const char *first = g_ptr_array_index(reply->lines, 0);
	GString *text = g_string_new(NULL);
	char *clean;

	g_string_printf(text, "%u", reply->code);
	for (unsigned i = 0; i < reply->lines->len && text->len <= TEXT_MAX; i++) {
		const char *line = g_ptr_array_index(reply->lines, i);

		if (i > 0)
			line = skip_repeated(line, first, enhanced_len);
		if (*line)
			g_string_append_printf(text, " %s", line);
	}
	clean = text_clean(text->str, (gssize)text->len, TEXT_MAX);
	g_string_free(text, TRUE);
	return clean;
}

static void reply_take(struct smtp_reply_parser *parser, struct smtp_reply *ret)
{
	size_t enhanced_len;

	*ret = (struct smtp_reply){.code = parser->code, .lines = parser->lines};
	parser->lines = NULL;
	enhanced_len = enhanced_parse(g_ptr_array_index(ret->lines, 0), smtp_reply_class(ret),
				      ret->enhanced);
	ret->text = reply_text(ret, enhanced_len);
}

/* ---- Lines ---- */

static bool code_parse(const char *line, size_t len, unsigned *ret_code)
{
	uint32_t code;

	if (len < 3 || !number_parse_u32(line, 3, &code) || code < CODE_MIN || code > CODE_MAX)
		return false;
	if (len > 3 && line[3] != ' ' && line[3] != '-')
		return false;
	*ret_code = code;
	return true;
}

static bool line_check(const struct smtp_reply_parser *parser, const char *line, size_t len,
		       unsigned *ret_code, GError **error)
{
	if (len > LIMIT_SMTP_LINE) {
		g_set_error(error, MAILFS_ERROR, ERROR_LIMIT,
			    "a line of the server is longer than %d bytes", LIMIT_SMTP_LINE);
		return false;
	}
	if (!code_parse(line, len, ret_code)) {
		g_autofree char *shown = text_clean(line, (gssize)len, SHOWN_MAX);

		g_set_error(error, MAILFS_ERROR, ERROR_PROTOCOL,
			    "the server does not answer like SMTP: \"%s\"", shown);
		return false;
	}
	if (parser->lines && parser->code != *ret_code) {
		g_set_error(error, MAILFS_ERROR, ERROR_PROTOCOL,
			    "the server gives two codes in one answer: %u and %u", parser->code,
			    *ret_code);
		return false;
	}
	if (parser->lines && parser->lines->len >= LIMIT_SMTP_LINES) {
		g_set_error(error, MAILFS_ERROR, ERROR_LIMIT,
			    "an answer of the server has more than %d lines", LIMIT_SMTP_LINES);
		return false;
	}
	return true;
}

/* The line is whole, but for its LF. */
static bool line_take(struct smtp_reply_parser *parser, bool *ret_last, GError **error)
{
	const char *line = (const char *)buf_data(&parser->line);
	size_t len = buf_len(&parser->line);
	unsigned code;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (!line_check(parser, line, len, &code, error))
		return false;
	if (!parser->lines)
		parser->lines = g_ptr_array_new_with_free_func(g_free);
	parser->code = code;
	*ret_last = len == 3 || line[3] == ' ';
	g_ptr_array_add(parser->lines,
			len > 4 ? text_clean(line + 4, (gssize)(len - 4), LIMIT_SMTP_LINE)
				: g_strdup(""));
	buf_truncate(&parser->line, 0);
	return true;
}

bool smtp_reply_parser_feed(struct smtp_reply_parser *parser, const uint8_t *bytes, size_t len,
			    size_t *ret_used, struct smtp_reply *ret, GError **error)
{
	size_t used = 0;

	while (used < len) {
		const uint8_t *at = bytes + used;
		const uint8_t *end = memchr(at, '\n', len - used);
		size_t part = end ? (size_t)(end - at) : len - used;
		bool last;

		if (!buf_append(&parser->line, at, part)) {
			g_set_error(error, MAILFS_ERROR, ERROR_LIMIT,
				    "a line of the server is longer than %d bytes",
				    LIMIT_SMTP_LINE);
			return false;
		}
		used += part;
		if (!end)
			break;
		used++;
		if (!line_take(parser, &last, error))
			return false;
		if (last) {
			reply_take(parser, ret);
			*ret_used = used;
			return true;
		}
	}
	*ret_used = used;
	return false;
}
