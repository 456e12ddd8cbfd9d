#include "protocol/imap_token.h"

#include "base/limits.h"
#include "base/number.h"

#include <glib.h>
#include <string.h>

void imap_cursor_init(struct imap_cursor *cursor, const char *text, size_t len)
{
	if (len == 0) /* an empty buffer has no memory */
		text = "";
	*cursor = (struct imap_cursor){.at = text, .end = text + len, .line = text};
}

char imap_cursor_peek(struct imap_cursor *cursor)
{
	while (cursor->at < cursor->end && *cursor->at == ' ')
		cursor->at++;
	return cursor->at < cursor->end ? *cursor->at : 0;
}

struct imap_token imap_cursor_word(struct imap_cursor *cursor)
{
	struct imap_token word = {.kind = IMAP_TOKEN_ATOM};

	imap_cursor_peek(cursor);
	word.text = cursor->at;
	while (cursor->at < cursor->end && g_ascii_isalpha(*cursor->at))
		cursor->at++;
	word.len = (size_t)(cursor->at - word.text);
	return word;
}

/* From "{" to behind "}"; NULL if it is not an announcement. */
static const char *literal_parse(const char *at, const char *end, uint64_t *ret_size)
{
	const char *digits = at + 1;
	const char *p = digits;
	uint64_t size;

	while (p < end && g_ascii_isdigit(*p))
		p++;
	if (p == digits)
		return NULL;
	if (!number_parse_u64(digits, (size_t)(p - digits), &size))
		size = UINT64_MAX;
	if (p < end && *p == '+')
		p++;
	if (p == end || *p != '}')
		return NULL;
	*ret_size = size;
	return p + 1;
}

/* In "name{5}" it is a part of the word. */
static bool literal_may_start(const char *line, const char *at)
{
	return at == line || memchr(" \t()[]>\"", at[-1], 8);
}

bool imap_literal_find(const char *line, const char *end, const char **ret_at, uint64_t *ret_size)
{
	const char *at;
	uint64_t size;

	if (end == line || end[-1] != '}')
		return false;
	at = memrchr(line, '{', (size_t)(end - line));
	if (!at || literal_parse(at, end, &size) != end)
		return false;
	if (at > line && at[-1] == '~')
		at--;
	if (!literal_may_start(line, at))
		return false;
	*ret_at = at;
	*ret_size = size;
	return true;
}

/* "<123>" before `end`, or "<123.456>": where it starts, or `end`. */
static const char *origin_before(const char *line, const char *end)
{
	const char *p = end;

	if (p == line || p[-1] != '>')
		return end;
	for (p--; p > line && (g_ascii_isdigit(p[-1]) || p[-1] == '.'); p--)
		;
	return p > line && p[-1] == '<' && p < end - 1 ? p - 1 : end;
}

bool imap_literal_is_body(const char *line, const char *at)
{
	static const char body[] = "BODY[]";
	const size_t n = sizeof(body) - 1;

	while (at > line && at[-1] == ' ')
		at--;
	at = origin_before(line, at);
	if ((size_t)(at - line) < n || g_ascii_strncasecmp(at - n, body, n) != 0)
		return false;
	at -= n;
	return at == line || g_ascii_isdigit(at[-1]) || memchr(" ()\"", at[-1], 4);
}

size_t imap_literal_kept(uint64_t size)
{
	return (size_t)MIN(size, LIMIT_INLINE_LITERAL);
}

bool imap_literal_in_fetch(const char *text, size_t len)
{
	struct imap_cursor cursor;
	struct imap_token word;
	const char *digits;

	imap_cursor_init(&cursor, text, len);
	if (imap_cursor_peek(&cursor) != '*')
		return false;
	cursor.at++;
	imap_cursor_peek(&cursor);
	for (digits = cursor.at; cursor.at < cursor.end && g_ascii_isdigit(*cursor.at); cursor.at++)
		;
	if (cursor.at == digits)
		return false;
	word = imap_cursor_word(&cursor);
	return imap_token_is(&word, "FETCH");
}

static enum imap_token_kind token_bad(struct imap_token *ret)
{
	ret->kind = IMAP_TOKEN_BAD;
	return ret->kind;
}

static enum imap_token_kind token_quoted(struct imap_cursor *cursor, struct imap_token *ret)
{
	const char *p = cursor->at + 1;

	ret->text = p;
	for (; p < cursor->end && *p != '"'; p++) {
		if (*p == '\n')
			return token_bad(ret);
		if (*p == '\\') {
			ret->escaped = true;
			if (++p == cursor->end || *p == '\n')
				return token_bad(ret);
		}
	}
	if (p == cursor->end)
		return token_bad(ret);
	ret->len = (size_t)(p - ret->text);
	cursor->at = p + 1;
	ret->kind = IMAP_TOKEN_STRING;
	return ret->kind;
}

/* `behind` is the first byte after "}". */
static enum imap_token_kind token_literal(struct imap_cursor *cursor, const char *behind,
					  struct imap_token *ret)
{
	const char *at = cursor->at;

	if (behind < cursor->end && *behind == '\r')
		behind++;
	if (behind == cursor->end || *behind != '\n')
		return token_bad(ret);
	behind++;
	if (cursor->fetch && imap_literal_is_body(cursor->line, at)) {
		ret->kind = IMAP_TOKEN_BODY;
	} else {
		size_t len = imap_literal_kept(ret->size);

		if (len > (size_t)(cursor->end - behind))
			return token_bad(ret);
		ret->kind = IMAP_TOKEN_STRING;
		ret->text = behind;
		ret->len = len;
	}
	cursor->at = behind + ret->len;
	cursor->line = cursor->at;
	return ret->kind;
}

static bool atom_byte(char c)
{
	return c != ' ' && c != '(' && c != ')' && c != '"' && c != '\r' && c != '\n' && c != 0;
}

/* An atom may run into a literal without a space: "BODY[1]{5}". */
static enum imap_token_kind token_atom(struct imap_cursor *cursor, struct imap_token *ret)
{
	const char *p = cursor->at;
	const char *literal;
	uint64_t size;

	ret->text = p;
	while (p < cursor->end && atom_byte(*p))
		p++;
	if (p == ret->text)
		return token_bad(ret);
	if (p < cursor->end && (*p == '\r' || *p == '\n') &&
	    imap_literal_find(ret->text, p, &literal, &size) && literal > ret->text)
		p = literal;
	ret->len = (size_t)(p - ret->text);
	cursor->at = p;
	ret->kind = IMAP_TOKEN_ATOM;
	return ret->kind;
}

enum imap_token_kind imap_token_next(struct imap_cursor *cursor, struct imap_token *ret)
{
	const char *at;
	char c = imap_cursor_peek(cursor);

	*ret = (struct imap_token){.kind = IMAP_TOKEN_END, .text = cursor->at};
	if (cursor->at == cursor->end)
		return ret->kind;
	if (++cursor->tokens > LIMIT_TOKENS) {
		cursor->over_limit = true;
		return token_bad(ret);
	}
	if (c == '(' || c == ')') {
		cursor->at++;
		ret->kind = c == '(' ? IMAP_TOKEN_OPEN : IMAP_TOKEN_CLOSE;
		return ret->kind;
	}
	if (c == '"')
		return token_quoted(cursor, ret);
	at = cursor->at;
	if (c == '~' && at + 1 < cursor->end && at[1] == '{')
		at++;
	if (*at == '{') {
		const char *behind = literal_parse(at, cursor->end, &ret->size);
		if (behind)
			return token_literal(cursor, behind, ret);
	}
	return token_atom(cursor, ret);
}

bool imap_token_skip(struct imap_cursor *cursor, const struct imap_token *token)
{
	struct imap_token inner = *token;
	unsigned depth = 0;

	for (;;) {
		if (inner.kind == IMAP_TOKEN_OPEN) {
			if (++depth > LIMIT_NESTING) {
				cursor->over_limit = true;
				return false;
			}
		} else if (inner.kind == IMAP_TOKEN_CLOSE) {
			if (depth == 0)
				return false;
			depth--;
		} else if (inner.kind != IMAP_TOKEN_ATOM && inner.kind != IMAP_TOKEN_STRING) {
			return false;
		}
		if (depth == 0)
			return true;
		imap_token_next(cursor, &inner);
	}
}

bool imap_token_astring(struct imap_cursor *cursor, struct imap_token *ret)
{
	imap_token_next(cursor, ret);
	if (ret->kind == IMAP_TOKEN_STRING)
		return true;
	if (ret->kind != IMAP_TOKEN_ATOM)
		return false;
	while (cursor->at < cursor->end && *cursor->at != ' ')
		cursor->at++;
	ret->len = (size_t)(cursor->at - ret->text);
	return true;
}

bool imap_token_is(const struct imap_token *token, const char *upper)
{
	return token->len == strlen(upper) &&
	       g_ascii_strncasecmp(token->text, upper, token->len) == 0;
}

bool imap_token_is_flag(const struct imap_token *token, const char *upper)
{
	struct imap_token plain = *token;

	if (token->escaped && token->len > 1 && token->text[1] == '\\') {
		plain.text++;
		plain.len--;
	}
	return imap_token_is(&plain, upper);
}

bool imap_token_is_nil(const struct imap_token *token)
{
	return token->kind == IMAP_TOKEN_ATOM && imap_token_is(token, "NIL");
}

bool imap_token_number(const struct imap_token *token, uint64_t *ret)
{
	return (token->kind == IMAP_TOKEN_ATOM || token->kind == IMAP_TOKEN_STRING) &&
	       number_parse_u64(token->text, token->len, ret);
}

char *imap_token_dup(const struct imap_token *token, size_t *ret_len)
{
	char *bytes = g_malloc(token->len + 1);
	size_t n = 0;

	if (!token->escaped) {
		memcpy(bytes, token->text, token->len);
		n = token->len;
	} else {
		for (size_t i = 0; i < token->len; i++) {
			if (token->text[i] == '\\')
				i++;
			bytes[n++] = token->text[i];
		}
	}
	bytes[n] = 0;
	if (ret_len)
		*ret_len = n;
	return bytes;
}
