#include "protocol/pop3_reply.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/text.h"

#include <string.h>

#define TEXT_MAX 500
/* Of a line that is no reply, in an error message. */
#define SHOWN_MAX 60

struct pop3_reply_parser {
	struct buf line; /* not ended yet */
};

static void wipe(char **text, size_t len)
{
	if (*text)
		explicit_bzero(*text, len);
	g_clear_pointer(text, g_free);
}

void pop3_reply_clear(struct pop3_reply *reply)
{
	wipe(&reply->raw, reply->raw_len);
	wipe(&reply->text, reply->text ? strlen(reply->text) : 0);
	*reply = (struct pop3_reply){0};
}

struct pop3_reply_parser *pop3_reply_parser_new(void)
{
	struct pop3_reply_parser *parser = g_new0(struct pop3_reply_parser, 1);

	/* And a CR. */
	buf_init(&parser->line, LIMIT_POP3_LINE + 1);
	return parser;
}

void pop3_reply_parser_free(struct pop3_reply_parser **parser)
{
	struct pop3_reply_parser *gone = g_steal_pointer(parser);

	if (!gone)
		return;
	buf_clear(&gone->line);
	g_free(gone);
}

bool pop3_reply_parser_is_empty(const struct pop3_reply_parser *parser)
{
	return buf_len(&parser->line) == 0;
}

/* ---- The code ---- */

static const struct {
	const char *levels;
	enum pop3_code code;
} codes[] = {
	{"IN-USE", POP3_CODE_IN_USE},	  {"LOGIN-DELAY", POP3_CODE_LOGIN_DELAY},
	{"SYS/TEMP", POP3_CODE_SYS_TEMP}, {"SYS/PERM", POP3_CODE_SYS_PERM},
	{"AUTH", POP3_CODE_AUTH},	  {"UTF8", POP3_CODE_UTF8},
};

static enum pop3_code code_parse(const char *raw, size_t len)
{
	const char *end = len > 0 && raw[0] == '[' ? memchr(raw, ']', len) : NULL;

	if (!end)
		return POP3_CODE_NONE;
	for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++) {
		const char *behind = raw + 1 + strlen(codes[i].levels);

		if (behind <= end && (*behind == ']' || *behind == '/') &&
		    g_ascii_strncasecmp(raw + 1, codes[i].levels, strlen(codes[i].levels)) == 0)
			return codes[i].code;
	}
	return POP3_CODE_NONE;
}

/* ---- The line ---- */

static bool word_is(const char *line, size_t len, const char *word)
{
	return len == strlen(word) && g_ascii_strncasecmp(line, word, len) == 0;
}

/* `*ret_used`: the bytes of the status. */
static bool status_parse(const char *line, size_t len, enum pop3_status *ret, size_t *ret_used)
{
	size_t used = 1;

	if (len == 0)
		return false;
	while (used < len && g_ascii_isalpha(line[used]))
		used++;
	if (word_is(line, used, "+OK"))
		*ret = POP3_OK;
	else if (word_is(line, used, "-ERR"))
		*ret = POP3_ERR;
	else if (line[0] == '+' && (len == 1 || line[1] == ' '))
		*ret = POP3_CONTINUE;
	else
		return false;
	*ret_used = used;
	return true;
}

/* The line is whole, but for its LF. */
static bool line_take(struct pop3_reply_parser *parser, struct pop3_reply *ret, GError **error)
{
	const char *line = (const char *)buf_data(&parser->line);
	size_t len = buf_len(&parser->line);
	enum pop3_status status;
	size_t used;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len > LIMIT_POP3_LINE) {
		g_set_error(error, MAILFS_ERROR, ERROR_LIMIT,
			    "a line of the server is longer than %d bytes", LIMIT_POP3_LINE);
		return false;
	}
	if (!status_parse(line, len, &status, &used)) {
		g_autofree char *shown = text_clean(line, (gssize)len, SHOWN_MAX);

		g_set_error(error, MAILFS_ERROR, ERROR_PROTOCOL,
			    "the server does not answer like POP3: \"%s\"", shown);
		return false;
	}
	while (used < len && (line[used] == ' ' || line[used] == '\t'))
		used++;
	*ret = (struct pop3_reply){
		.status = status,
		.code = status == POP3_CONTINUE ? POP3_CODE_NONE
						: code_parse(line + used, len - used),
		.raw = g_malloc0(len - used + 1),
		.raw_len = len - used,
		.text = text_clean(line, (gssize)len, TEXT_MAX),
	};
	memcpy(ret->raw, line + used, len - used);
	buf_wipe(&parser->line);
	return true;
}

bool pop3_reply_parser_feed(struct pop3_reply_parser *parser, const uint8_t *bytes, size_t len,
			    size_t *ret_used, struct pop3_reply *ret, GError **error)
{
	const uint8_t *end = len > 0 ? memchr(bytes, '\n', len) : NULL;
	size_t part = end ? (size_t)(end - bytes) : len;

	if (!buf_append(&parser->line, bytes, part)) {
		g_set_error(error, MAILFS_ERROR, ERROR_LIMIT,
			    "a line of the server is longer than %d bytes", LIMIT_POP3_LINE);
		return false;
	}
	if (!end) {
		*ret_used = part;
		return false;
	}
	if (!line_take(parser, ret, error))
		return false;
	*ret_used = part + 1;
	return true;
}
