#include "protocol/imap_fetch.h"

#include "base/limits.h"
#include "base/number.h"

#include <string.h>

/* "BODY[section]<origin>" */
struct fetch_name {
	const char *text;
	size_t len; /* up to the bracket */
	bool has_section;
	const char *section;
	size_t section_len;
	bool has_origin;
	uint64_t origin;
};

void imap_fetch_clear(struct imap_fetch *fetch)
{
	g_clear_pointer(&fetch->keywords, g_ptr_array_unref);
	g_clear_pointer(&fetch->header, g_bytes_unref);
	g_clear_pointer(&fetch->body, g_bytes_unref);
}

/* --- Dates --------------------------------------------------------------------------------- */

/* `n` is four at most. */
static bool date_digits(const char *text, size_t n, int *ret)
{
	uint32_t value;

	if (!number_parse_u32(text, n, &value))
		return false;
	*ret = (int)value;
	return true;
}

static bool date_month(const char *text, int *ret)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (int i = 0; i < 12; i++) {
		if (g_ascii_strncasecmp(text, names + i * 3, 3) == 0) {
			*ret = i + 1;
			return true;
		}
	}
	return false;
}

static bool date_is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01. */
static int64_t date_days(int year, int month, int day)
{
	static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	int y = year - 1;
	int64_t days = (int64_t)y * 365 + y / 4 - y / 100 + y / 400 - 719162;

	return days + before[month - 1] + (month > 2 && date_is_leap(year)) + day - 1;
}

static bool date_day_exists(int year, int month, int day)
{
	static const int length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return year >= 1 && day >= 1 &&
	       day <= length[month - 1] + (month == 2 && date_is_leap(year));
}

/* "02:44:25 -0700" in seconds, as UTC. */
static bool date_time(const char *text, int64_t *ret)
{
	int hour, minute, second, zone_hour, zone_minute;
	int zone;

	if (!date_digits(text, 2, &hour) || text[2] != ':' || !date_digits(text + 3, 2, &minute) ||
	    text[5] != ':' || !date_digits(text + 6, 2, &second) || text[8] != ' ' ||
	    (text[9] != '+' && text[9] != '-') || !date_digits(text + 10, 2, &zone_hour) ||
	    !date_digits(text + 12, 2, &zone_minute))
		return false;
	if (hour > 23 || minute > 59 || second > 60 || zone_hour > 23 || zone_minute > 59)
		return false;
	zone = (zone_hour * 60 + zone_minute) * 60;
	*ret = (hour * 60 + minute) * 60 + second - (text[9] == '-' ? -zone : zone);
	return true;
}

int64_t imap_fetch_date(const char *text, size_t len)
{
	int day, month, year;
	int64_t seconds;
	size_t digits;

	while (len > 0 && *text == ' ') {
		text++;
		len--;
	}
	digits = len == 25 ? 1 : 2;
	if (len != digits + 24 || !date_digits(text, digits, &day))
		return 0;
	text += digits;
	if (text[0] != '-' || !date_month(text + 1, &month) || text[4] != '-' ||
	    !date_digits(text + 5, 4, &year) || text[9] != ' ' || !date_time(text + 10, &seconds))
		return 0;
	return date_day_exists(year, month, day) ? date_days(year, month, day) * 86400 + seconds
						 : 0;
}

/* --- Values -------------------------------------------------------------------------------- */

/* The value at hand, or END if it was left out: then the cursor stands before what comes instead.
 */
static bool fetch_value(struct imap_cursor *cursor, struct imap_token *ret)
{
	char c = imap_cursor_peek(cursor);

	if (c == ')' || cursor->at == cursor->end) {
		*ret = (struct imap_token){.kind = IMAP_TOKEN_END};
		return true;
	}
	return imap_token_next(cursor, ret) != IMAP_TOKEN_BAD;
}

/* The same where an atom other than NIL can only be the name of the next item. */
static bool fetch_value_no_atom(struct imap_cursor *cursor, struct imap_token *ret)
{
	if (!fetch_value(cursor, ret))
		return false;
	if (ret->kind == IMAP_TOKEN_ATOM && !imap_token_is_nil(ret)) {
		cursor->at = ret->text;
		ret->kind = IMAP_TOKEN_END;
	}
	return true;
}

/* Old Zimbra: "UID 5MODSEQ (7)". */
static void number_split(struct imap_cursor *cursor, struct imap_token *token)
{
	size_t n = 0;

	while (n < token->len && g_ascii_isdigit(token->text[n]))
		n++;
	if (n == 0 || n + 1 >= token->len || !g_ascii_isalpha(token->text[n]) ||
	    !g_ascii_isalpha(token->text[n + 1]))
		return;
	cursor->at = token->text + n;
	token->len = n;
}

/* `*ret_ok`: there was a number. */
static bool fetch_number(struct imap_cursor *cursor, uint64_t *ret, bool *ret_ok)
{
	struct imap_token token;

	*ret_ok = false;
	if (!fetch_value(cursor, &token))
		return false;
	if (token.kind == IMAP_TOKEN_END)
		return true;
	if (token.kind == IMAP_TOKEN_ATOM)
		number_split(cursor, &token);
	*ret_ok = imap_token_number(&token, ret);
	return imap_token_skip(cursor, &token);
}

static bool fetch_uid(struct imap_cursor *cursor, struct imap_fetch *fetch)
{
	uint64_t n;
	bool ok;

	if (!fetch_number(cursor, &n, &ok))
		return false;
	if (ok && n > 0 && n <= UINT32_MAX) {
		fetch->uid = (uint32_t)n;
		fetch->items |= IMAP_FETCH_UID;
	}
	return true;
}

static bool fetch_size(struct imap_cursor *cursor, struct imap_fetch *fetch)
{
	uint64_t n;
	bool ok;

	if (!fetch_number(cursor, &n, &ok))
		return false;
	if (ok) {
		fetch->size = n;
		fetch->items |= IMAP_FETCH_SIZE;
	}
	return true;
}

/* "(7)", and "7". */
static bool fetch_modseq(struct imap_cursor *cursor, struct imap_fetch *fetch)
{
	struct imap_token token;
	bool list = imap_cursor_peek(cursor) == '(';
	uint64_t n;
	bool ok;

	if (list)
		imap_token_next(cursor, &token);
	if (!fetch_number(cursor, &n, &ok))
		return false;
	if (ok) {
		fetch->modseq = n;
		fetch->items |= IMAP_FETCH_MODSEQ;
	}
	return !list || imap_token_next(cursor, &token) == IMAP_TOKEN_CLOSE;
}

static bool fetch_date(struct imap_cursor *cursor, struct imap_fetch *fetch)
{
	struct imap_token token;

	if (!fetch_value_no_atom(cursor, &token))
		return false;
	if (token.kind == IMAP_TOKEN_END)
		return true;
	fetch->items |= IMAP_FETCH_DATE;
	fetch->date_s =
		token.kind == IMAP_TOKEN_STRING ? imap_fetch_date(token.text, token.len) : 0;
	return imap_token_skip(cursor, &token);
}

static unsigned flag_system(const struct imap_token *token)
{
	static const struct {
		const char *name;
		unsigned flag;
	} flags[] = {
		{"\\SEEN", IMAP_FLAG_SEEN},	  {"\\ANSWERED", IMAP_FLAG_ANSWERED},
		{"\\FLAGGED", IMAP_FLAG_FLAGGED}, {"\\DELETED", IMAP_FLAG_DELETED},
		{"\\DRAFT", IMAP_FLAG_DRAFT},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
		if (imap_token_is_flag(token, flags[i].name))
			return flags[i].flag;
	return 0;
}

/* They are kept in lists that are parted by spaces. */
static bool flag_is_keyword(const struct imap_token *token)
{
	if (token->len == 0 || token->len > LIMIT_KEYWORD || token->text[0] == '\\' ||
	    imap_token_is_nil(token))
		return false;
	for (size_t i = 0; i < token->len; i++) {
		if (token->text[i] == ' ' || g_ascii_iscntrl(token->text[i]))
			return false;
	}
	return true;
}

unsigned imap_fetch_sort_flags(const GPtrArray *words, GPtrArray *keywords)
{
	unsigned flags = 0;

	for (unsigned i = 0; i < words->len; i++) {
		const char *word = g_ptr_array_index(words, i);
		struct imap_token token = {
			.kind = IMAP_TOKEN_ATOM, .text = word, .len = strlen(word)};

		flags |= flag_system(&token);
		if (flag_is_keyword(&token))
			g_ptr_array_add(keywords, g_strdup(word));
	}
	return flags;
}

/* Keywords beyond the cap, and those that can be none, are dropped. */
static void flag_add(struct imap_fetch *fetch, const struct imap_token *token)
{
	unsigned flag = flag_system(token);

	fetch->flags |= flag;
	if (flag || !flag_is_keyword(token))
		return;
	if (!fetch->keywords)
		fetch->keywords = g_ptr_array_new_with_free_func(g_free);
	if (fetch->keywords->len < LIMIT_KEYWORDS)
		g_ptr_array_add(fetch->keywords, imap_token_dup(token, NULL));
}

static bool fetch_flags(struct imap_cursor *cursor, struct imap_fetch *fetch)
{
	struct imap_token token;

	if (!fetch_value_no_atom(cursor, &token))
		return false;
	if (token.kind == IMAP_TOKEN_END)
		return true;
	fetch->items |= IMAP_FETCH_FLAGS;
	fetch->flags = 0;
	g_clear_pointer(&fetch->keywords, g_ptr_array_unref);
	if (token.kind != IMAP_TOKEN_OPEN)
		return imap_token_skip(cursor, &token);
	for (;;) {
		imap_token_next(cursor, &token);
		if (token.kind == IMAP_TOKEN_CLOSE)
			return true;
		if (!imap_token_skip(cursor, &token))
			return false;
		if (token.kind != IMAP_TOKEN_OPEN)
			flag_add(fetch, &token);
	}
}

static GBytes *bytes_of(const struct imap_token *token)
{
	size_t len;
	char *bytes;

	if (token->kind != IMAP_TOKEN_STRING)
		return g_bytes_new(NULL, 0);
	if (!token->escaped)
		return g_bytes_new(token->text, token->len);
	bytes = imap_token_dup(token, &len);
	return g_bytes_new_take(bytes, len);
}

static bool fetch_header(struct imap_cursor *cursor, struct imap_fetch *fetch)
{
	struct imap_token token;

	if (!fetch_value_no_atom(cursor, &token))
		return false;
	g_clear_pointer(&fetch->header, g_bytes_unref);
	fetch->header = bytes_of(&token);
	fetch->items |= IMAP_FETCH_HEADER;
	return token.kind == IMAP_TOKEN_END || imap_token_skip(cursor, &token);
}

/* A body that was handed out cannot be taken back by a second one. */
static bool fetch_body(struct imap_cursor *cursor, struct imap_fetch *fetch,
		       const struct fetch_name *name)
{
	struct imap_token token;

	if (fetch->body_streamed || !fetch_value_no_atom(cursor, &token))
		return false;
	g_clear_pointer(&fetch->body, g_bytes_unref);
	fetch->items |= IMAP_FETCH_BODY;
	fetch->body_partial = name->has_origin;
	fetch->body_origin = name->origin;
	fetch->body_nil = false;
	if (token.kind == IMAP_TOKEN_BODY) {
		fetch->body_streamed = true;
		fetch->body_size = token.size;
		return true;
	}
	if (token.kind == IMAP_TOKEN_STRING) {
		fetch->body = bytes_of(&token);
		fetch->body_size = g_bytes_get_size(fetch->body);
		return true;
	}
	fetch->body_nil = true;
	fetch->body_size = 0;
	return token.kind == IMAP_TOKEN_END || imap_token_skip(cursor, &token);
}

static bool fetch_unknown(struct imap_cursor *cursor)
{
	struct imap_token token;

	return fetch_value(cursor, &token) &&
	       (token.kind == IMAP_TOKEN_END || imap_token_skip(cursor, &token));
}

/* --- Items --------------------------------------------------------------------------------- */

/* From behind "[" to behind "]", over quoted strings and literals. */
static bool name_section(struct imap_cursor *cursor, struct fetch_name *name)
{
	struct imap_token token;

	name->section = cursor->at;
	while (cursor->at < cursor->end && *cursor->at != ']') {
		char c = *cursor->at;
		if (c != '"' && c != '{')
			cursor->at++;
		else if (imap_token_next(cursor, &token) == IMAP_TOKEN_BAD)
			return false;
	}
	if (cursor->at == cursor->end)
		return false;
	name->has_section = true;
	name->section_len = (size_t)(cursor->at - name->section);
	cursor->at++;
	return true;
}

/* "<0>", also "<0.100>" as some servers echo it. */
static bool name_origin(struct imap_cursor *cursor, struct fetch_name *name)
{
	const char *close = memchr(cursor->at, '>', (size_t)(cursor->end - cursor->at));
	const char *digits = cursor->at + 1;
	const char *dot;

	if (!close)
		return false;
	dot = memchr(digits, '.', (size_t)(close - digits));
	cursor->at = close + 1;
	name->has_origin = true;
	return number_parse_u64(digits, (size_t)((dot ? dot : close) - digits), &name->origin);
}

static bool name_byte(char c)
{
	return c != ' ' && c != '(' && c != ')' && c != '"' && c != '[' && c != '\r' && c != '\n' &&
	       c != 0;
}

static bool fetch_name(struct imap_cursor *cursor, struct fetch_name *ret)
{
	const char *p = cursor->at;

	*ret = (struct fetch_name){.text = p};
	while (p < cursor->end && name_byte(*p))
		p++;
	ret->len = (size_t)(p - ret->text);
	if (p < cursor->end && *p == '[') {
		cursor->at = p + 1;
		if (!name_section(cursor, ret))
			return false;
	} else if (ret->len == 0) {
		return false;
	} else {
		cursor->at = p;
	}
	if (ret->has_section && cursor->at < cursor->end && *cursor->at == '<')
		return name_origin(cursor, ret);
	return true;
}

static bool name_is(const struct fetch_name *name, const char *upper, size_t len)
{
	return name->len == len && g_ascii_strncasecmp(name->text, upper, len) == 0;
}

/* "HEADER.FIELDS (...)", not "HEADER.FIELDS.NOT (...)". */
static bool name_is_header(const struct fetch_name *name)
{
	static const char start[] = "HEADER.FIELDS";
	const size_t n = sizeof(start) - 1;

	return name->section_len > n && g_ascii_strncasecmp(name->section, start, n) == 0 &&
	       (name->section[n] == ' ' || name->section[n] == '(');
}

#define NAME_IS(name, text) name_is(name, text, sizeof(text) - 1)

static bool fetch_item(struct imap_cursor *cursor, struct imap_fetch *fetch)
{
	struct fetch_name name;

	if (!fetch_name(cursor, &name))
		return false;
	if (name.has_section) {
		if (!NAME_IS(&name, "BODY"))
			return fetch_unknown(cursor);
		if (name.section_len == 0)
			return fetch_body(cursor, fetch, &name);
		return name_is_header(&name) ? fetch_header(cursor, fetch) : fetch_unknown(cursor);
	}
	if (NAME_IS(&name, "UID"))
		return fetch_uid(cursor, fetch);
	if (NAME_IS(&name, "FLAGS"))
		return fetch_flags(cursor, fetch);
	if (NAME_IS(&name, "MODSEQ"))
		return fetch_modseq(cursor, fetch);
	if (NAME_IS(&name, "RFC822.SIZE"))
		return fetch_size(cursor, fetch);
	if (NAME_IS(&name, "INTERNALDATE"))
		return fetch_date(cursor, fetch);
	return fetch_unknown(cursor);
}

bool imap_fetch_parse(struct imap_cursor *cursor, struct imap_fetch *fetch)
{
	struct imap_token token;

	cursor->fetch = true;
	imap_token_next(cursor, &token);
	if (token.kind == IMAP_TOKEN_END)
		return true;
	if (token.kind != IMAP_TOKEN_OPEN)
		return false;
	for (;;) {
		char c = imap_cursor_peek(cursor);
		if (c == ')')
			break;
		/* a value without a name */
		if (c == '(' || c == '"' || c == '{' || c == '~') {
			if (!fetch_unknown(cursor))
				return false;
		} else if (!fetch_item(cursor, fetch)) {
			return false;
		}
	}
	cursor->at++;
	imap_cursor_peek(cursor);
	return cursor->at == cursor->end;
}

uint32_t imap_response_peek_body(const char *text, size_t len, uint64_t *ret_origin)
{
	struct imap_fetch fetch = {0};
	struct imap_cursor cursor;

	*ret_origin = 0;
	if (!imap_literal_in_fetch(text, len))
		return 0;
	imap_cursor_init(&cursor, text, len);
	while (imap_cursor_peek(&cursor) == '*' || g_ascii_isdigit(*cursor.at))
		cursor.at++;
	imap_cursor_word(&cursor);
	/* it breaks off at the body; what was understood before counts */
	imap_fetch_parse(&cursor, &fetch);
	imap_fetch_clear(&fetch);
	*ret_origin = fetch.body_origin;
	return fetch.uid;
}
