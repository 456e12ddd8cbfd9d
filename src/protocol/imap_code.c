#include "protocol/imap_code.h"

#include "base/limits.h"
#include "base/number.h"
#include "base/text.h"

#include <string.h>

#define TEXT_MAX 512
#define NAME_MAX_BYTES 64

enum code_argument {
	CODE_PLAIN,
	CODE_NUMBER,
	CODE_WORDS,
	CODE_FLAGS,
	CODE_APPENDUID,
	CODE_COPYUID,
};

/* The error is that of a NO with this code. */
static const struct code_row {
	const char *name;
	enum imap_code code;
	enum code_argument argument;
	enum mailfs_error error;
} code_rows[] = {
	{"CAPABILITY", IMAP_CODE_CAPABILITY, CODE_WORDS, ERROR_SERVER},
	{"UIDVALIDITY", IMAP_CODE_UIDVALIDITY, CODE_NUMBER, ERROR_SERVER},
	{"UIDNEXT", IMAP_CODE_UIDNEXT, CODE_NUMBER, ERROR_SERVER},
	{"HIGHESTMODSEQ", IMAP_CODE_HIGHESTMODSEQ, CODE_NUMBER, ERROR_SERVER},
	{"NOMODSEQ", IMAP_CODE_NOMODSEQ, CODE_PLAIN, ERROR_SERVER},
	{"PERMANENTFLAGS", IMAP_CODE_PERMANENTFLAGS, CODE_FLAGS, ERROR_SERVER},
	{"READ-ONLY", IMAP_CODE_READ_ONLY, CODE_PLAIN, ERROR_READ_ONLY},
	{"READ-WRITE", IMAP_CODE_READ_WRITE, CODE_PLAIN, ERROR_SERVER},
	{"CLOSED", IMAP_CODE_CLOSED, CODE_PLAIN, ERROR_SERVER},
	{"ALERT", IMAP_CODE_ALERT, CODE_PLAIN, ERROR_SERVER},
	{"NONEXISTENT", IMAP_CODE_NONEXISTENT, CODE_PLAIN, ERROR_GONE},
	{"NOPERM", IMAP_CODE_NOPERM, CODE_PLAIN, ERROR_DENIED},
	{"AUTHENTICATIONFAILED", IMAP_CODE_AUTHENTICATIONFAILED, CODE_PLAIN, ERROR_AUTH},
	{"AUTHORIZATIONFAILED", IMAP_CODE_AUTHORIZATIONFAILED, CODE_PLAIN, ERROR_AUTH},
	{"EXPIRED", IMAP_CODE_EXPIRED, CODE_PLAIN, ERROR_AUTH},
	{"PRIVACYREQUIRED", IMAP_CODE_PRIVACYREQUIRED, CODE_PLAIN, ERROR_AUTH},
	{"CONTACTADMIN", IMAP_CODE_CONTACTADMIN, CODE_PLAIN, ERROR_AUTH},
	{"UNAVAILABLE", IMAP_CODE_UNAVAILABLE, CODE_PLAIN, ERROR_TEMPORARY},
	{"INUSE", IMAP_CODE_INUSE, CODE_PLAIN, ERROR_BUSY},
	{"LIMIT", IMAP_CODE_LIMIT, CODE_PLAIN, ERROR_TEMPORARY},
	{"OVERQUOTA", IMAP_CODE_OVERQUOTA, CODE_PLAIN, ERROR_QUOTA},
	{"SERVERBUG", IMAP_CODE_SERVERBUG, CODE_PLAIN, ERROR_SERVER},
	{"CLIENTBUG", IMAP_CODE_CLIENTBUG, CODE_PLAIN, ERROR_SERVER},
	{"EXPUNGEISSUED", IMAP_CODE_EXPUNGEISSUED, CODE_PLAIN, ERROR_GONE},
	{"TRYCREATE", IMAP_CODE_TRYCREATE, CODE_PLAIN, ERROR_GONE},
	{"APPENDUID", IMAP_CODE_APPENDUID, CODE_APPENDUID, ERROR_SERVER},
	{"COPYUID", IMAP_CODE_COPYUID, CODE_COPYUID, ERROR_SERVER},
	{"NOTIFICATIONOVERFLOW", IMAP_CODE_NOTIFICATIONOVERFLOW, CODE_PLAIN, ERROR_SERVER},
	{"ALREADYEXISTS", IMAP_CODE_OTHER, CODE_PLAIN, ERROR_EXISTS},
	{"HASCHILDREN", IMAP_CODE_OTHER, CODE_PLAIN, ERROR_NOT_EMPTY},
	{"CANNOT", IMAP_CODE_OTHER, CODE_PLAIN, ERROR_REFUSED},
	{"TOOBIG", IMAP_CODE_OTHER, CODE_PLAIN, ERROR_LIMIT},
	{"THROTTLED", IMAP_CODE_OTHER, CODE_PLAIN, ERROR_TEMPORARY},
};

static bool word_is_printable(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isgraph(text[i]))
			return false;
	return len > 0;
}

/* "LITERAL +" came from a server that puts a space there. */
static bool word_join(GPtrArray *words, const char *text, size_t len)
{
	char *last = words->len > 0 ? words->pdata[words->len - 1] : NULL;

	if (len != 1 || (*text != '+' && *text != '-') || !last || strcmp(last, "LITERAL") != 0)
		return false;
	words->pdata[words->len - 1] = g_strdup_printf("%s%c", last, *text);
	g_free(last);
	return true;
}

GPtrArray *imap_code_words(const char *text, size_t len)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
	const char *end = text + len;

	while (text < end) {
		const char *space = memchr(text, ' ', (size_t)(end - text));
		size_t n = (size_t)((space ? space : end) - text);
		if (word_is_printable(text, n) && !word_join(words, text, n)) {
			if (words->len == LIMIT_CAPABILITIES)
				return NULL;
			g_ptr_array_add(words, g_ascii_strup(text, (gssize)n));
		}
		text += n + (space ? 1 : 0);
	}
	return g_steal_pointer(&words);
}

GPtrArray *imap_code_flags(struct imap_cursor *cursor)
{
	g_autoptr(GPtrArray) flags = g_ptr_array_new_with_free_func(g_free);
	struct imap_token token;

	imap_token_next(cursor, &token);
	if (token.kind == IMAP_TOKEN_END || imap_token_is_nil(&token))
		return g_steal_pointer(&flags);
	if (token.kind != IMAP_TOKEN_OPEN)
		return NULL;
	while (imap_token_next(cursor, &token) != IMAP_TOKEN_CLOSE) {
		if (!imap_token_skip(cursor, &token) || flags->len == LIMIT_CAPABILITIES)
			return NULL;
		if (token.kind != IMAP_TOKEN_OPEN && token.len > 0 && !imap_token_is_nil(&token) &&
		    !memchr(token.text, 0, token.len))
			g_ptr_array_add(flags, imap_token_dup(&token, NULL));
	}
	return g_steal_pointer(&flags);
}

/* The bracket that closes the code: flags and quoted strings may hold others. */
static const char *code_end(const char *start, const char *end)
{
	unsigned depth = 0;
	bool quoted = false;

	for (const char *p = start; p < end; p++) {
		if (quoted && *p == '\\')
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (*p == '(')
			depth++;
		else if (*p == ')' && depth > 0)
			depth--;
		else if (*p == ']' && depth == 0)
			return p;
	}
	return memchr(start, ']', (size_t)(end - start));
}

static const struct code_row *code_find(const char *text, size_t len)
{
	struct imap_token name = {.kind = IMAP_TOKEN_ATOM, .text = text, .len = len};

	for (size_t i = 0; i < G_N_ELEMENTS(code_rows); i++)
		if (imap_token_is(&name, code_rows[i].name))
			return &code_rows[i];
	return NULL;
}

/* NULL if there are none. */
static GArray *code_uids(struct imap_cursor *cursor)
{
	struct imap_token token;

	if (imap_token_next(cursor, &token) != IMAP_TOKEN_ATOM)
		return NULL;
	return seqset_parse_list(token.text, token.len);
}

/* "UIDVALIDITY uids", with `has_from` "UIDVALIDITY uids uids" (RFC 4315 section 3). */
static bool code_uidplus(struct imap_response *response, struct imap_cursor *cursor, bool has_from)
{
	struct imap_token token;
	g_autoptr(GArray) from = NULL;
	g_autoptr(GArray) to = NULL;
	uint64_t uidvalidity;

	imap_token_next(cursor, &token);
	if (!imap_token_number(&token, &uidvalidity) || uidvalidity == 0)
		return false;
	if (has_from)
		from = code_uids(cursor);
	to = code_uids(cursor);
	if ((has_from && !from) || !to || imap_cursor_peek(cursor) != 0)
		return false;
	response->number = uidvalidity;
	response->from = g_steal_pointer(&from);
	response->to = g_steal_pointer(&to);
	return true;
}

/* False if it is not what the code needs. */
static bool code_argument(struct imap_response *response, const struct code_row *row,
			  struct imap_cursor *cursor)
{
	struct imap_token token;

	switch (row->argument) {
	case CODE_PLAIN:
		return true;
	case CODE_NUMBER:
		imap_token_next(cursor, &token);
		return imap_token_number(&token, &response->number);
	case CODE_WORDS:
		response->words = imap_code_words(cursor->at, (size_t)(cursor->end - cursor->at));
		return response->words;
	case CODE_FLAGS:
		response->words = imap_code_flags(cursor);
		return response->words;
	case CODE_APPENDUID:
		return code_uidplus(response, cursor, false);
	case CODE_COPYUID:
		return code_uidplus(response, cursor, true);
	}
	return false;
}

static void code_read(struct imap_response *response, const char *text, size_t len)
{
	const char *space = memchr(text, ' ', len);
	size_t n = space ? (size_t)(space - text) : len;
	const struct code_row *row = code_find(text, n);
	g_autofree char *upper = g_ascii_strup(text, (gssize)MIN(n, NAME_MAX_BYTES));
	struct imap_cursor cursor;

	response->code_name = text_clean(upper, -1, NAME_MAX_BYTES);
	response->code = IMAP_CODE_OTHER;
	imap_cursor_init(&cursor, text + n, len - n);
	if (row && code_argument(response, row, &cursor))
		response->code = row->code;
}

void imap_code_parse(struct imap_cursor *cursor, struct imap_response *response)
{
	const char *close;

	if (imap_cursor_peek(cursor) == '[') {
		close = code_end(cursor->at + 1, cursor->end);
		if (close) {
			code_read(response, cursor->at + 1, (size_t)(close - cursor->at - 1));
			cursor->at = close + 1;
		}
	}
	imap_cursor_peek(cursor);
	response->text = text_clean(cursor->at, cursor->end - cursor->at, TEXT_MAX);
}

enum mailfs_error imap_code_error(const struct imap_response *response)
{
	const char *name = response->code_name;
	const struct code_row *row = name ? code_find(name, strlen(name)) : NULL;

	if (row)
		return row->error;
	return response->status == IMAP_BYE ? ERROR_TEMPORARY : ERROR_SERVER;
}

GError *imap_response_error(const struct imap_response *response, const char *what)
{
	const char *text = response->text && *response->text ? response->text : NULL;

	if (!text)
		text = response->code_name ? response->code_name : "refused by the server";
	return g_error_new(MAILFS_ERROR, (int)imap_code_error(response), "%s: %s", what, text);
}
