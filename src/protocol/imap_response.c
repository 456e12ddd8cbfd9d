#include "protocol/imap_response.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/number.h"
#include "base/text.h"
#include "protocol/imap_code.h"
#include "protocol/imap_fetch.h"
#include "protocol/imap_token.h"

#include <string.h>

#define TAG_MAX 64
#define SAMPLE_MAX 60 /* of a response that makes no sense, in its error */

void imap_response_clear(struct imap_response *response)
{
	g_clear_pointer(&response->tag, g_free);
	g_clear_pointer(&response->code_name, g_free);
	g_clear_pointer(&response->text, g_free);
	g_clear_pointer(&response->words, g_ptr_array_unref);
	g_clear_pointer(&response->from, g_array_unref);
	g_clear_pointer(&response->to, g_array_unref);
	g_clear_pointer(&response->mailbox, g_free);
	seqset_clear(&response->set);
	imap_fetch_clear(&response->fetch);
}

/* False, with `data` set to OTHER, for a name that cannot be held. */
static bool response_mailbox(struct imap_response *response, const struct imap_token *name)
{
	size_t len;

	g_clear_pointer(&response->mailbox, g_free);
	response->mailbox = imap_token_dup(name, &len);
	if (len <= LIMIT_MAILBOX_NAME && !memchr(response->mailbox, 0, len))
		return true;
	g_clear_pointer(&response->mailbox, g_free);
	response->data = IMAP_DATA_OTHER;
	return false;
}

/* --- LIST ---------------------------------------------------------------------------------- */

static unsigned list_attribute(const struct imap_token *token)
{
	static const struct {
		const char *name;
		unsigned attributes;
	} rows[] = {
		{"\\NOSELECT", IMAP_LIST_NOSELECT},
		{"\\NONEXISTENT", IMAP_LIST_NONEXISTENT | IMAP_LIST_NOSELECT},
		{"\\NOINFERIORS", IMAP_LIST_NOINFERIORS},
		{"\\SUBSCRIBED", IMAP_LIST_SUBSCRIBED},
		{"\\ALL", IMAP_LIST_ALL},
		{"\\ARCHIVE", IMAP_LIST_ARCHIVE},
		{"\\DRAFTS", IMAP_LIST_DRAFTS},
		{"\\FLAGGED", IMAP_LIST_FLAGGED},
		{"\\JUNK", IMAP_LIST_JUNK},
		{"\\SENT", IMAP_LIST_SENT},
		{"\\TRASH", IMAP_LIST_TRASH},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (imap_token_is_flag(token, rows[i].name))
			return rows[i].attributes;
	return 0;
}

static bool list_attributes(struct imap_cursor *cursor, unsigned *ret)
{
	struct imap_token token;

	imap_token_next(cursor, &token);
	if (imap_token_is_nil(&token))
		return true;
	if (token.kind != IMAP_TOKEN_OPEN)
		return false;
	while (imap_token_next(cursor, &token) != IMAP_TOKEN_CLOSE) {
		if (!imap_token_skip(cursor, &token))
			return false;
		if (token.kind != IMAP_TOKEN_OPEN)
			*ret |= list_attribute(&token);
	}
	return true;
}

/* More than one byte cannot separate: then the response is not used. */
static bool list_separator(struct imap_cursor *cursor, struct imap_response *response)
{
	struct imap_token token;
	g_autofree char *bytes = NULL;
	size_t len;

	imap_token_next(cursor, &token);
	if (imap_token_is_nil(&token))
		return true;
	if (token.kind != IMAP_TOKEN_STRING && token.kind != IMAP_TOKEN_ATOM)
		return false;
	bytes = imap_token_dup(&token, &len);
	if (len > 1)
		response->data = IMAP_DATA_OTHER;
	response->separator = bytes[0];
	return true;
}

/* What follows the name (extended data) is of no use here. */
static bool parse_list(struct imap_cursor *cursor, struct imap_response *response)
{
	struct imap_token name;

	if (!list_attributes(cursor, &response->attributes) || !list_separator(cursor, response) ||
	    !imap_token_astring(cursor, &name))
		return false;
	if (response->data == IMAP_DATA_LIST)
		response_mailbox(response, &name);
	return true;
}

/* --- MYRIGHTS ------------------------------------------------------------------------------ */

static bool parse_myrights(struct imap_cursor *cursor, struct imap_response *response)
{
	struct imap_token name, rights;

	if (!imap_token_astring(cursor, &name))
		return false;
	response_mailbox(response, &name);
	imap_token_next(cursor, &rights);
	if (rights.kind != IMAP_TOKEN_ATOM && rights.kind != IMAP_TOKEN_STRING)
		return rights.kind == IMAP_TOKEN_END;
	for (size_t i = 0; i < rights.len; i++)
		if (g_ascii_islower(rights.text[i]))
			response->rights |= 1u << (rights.text[i] - 'a');
	return true;
}

/* --- STATUS, QUOTA ------------------------------------------------------------------------- */

static void status_item(struct imap_response *response, const struct imap_token *name,
			uint64_t value)
{
	const struct {
		const char *name;
		unsigned item;
		uint64_t *value;
	} rows[] = {
		{"MESSAGES", IMAP_STATUS_MESSAGES, &response->messages},
		{"UIDNEXT", IMAP_STATUS_UIDNEXT, &response->uidnext},
		{"UIDVALIDITY", IMAP_STATUS_UIDVALIDITY, &response->uidvalidity},
		{"UNSEEN", IMAP_STATUS_UNSEEN, &response->unseen},
		{"HIGHESTMODSEQ", IMAP_STATUS_HIGHESTMODSEQ, &response->highestmodseq},
		{"SIZE", IMAP_STATUS_SIZE, &response->size},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		if (imap_token_is(name, rows[i].name)) {
			*rows[i].value = value;
			response->status_items |= rows[i].item;
		}
	}
}

/* `*ret_list`: behind the name a list begins; there may be none. */
static bool parse_name(struct imap_cursor *cursor, struct imap_response *response, bool *ret_list)
{
	struct imap_token token;

	imap_token_next(cursor, &token);
	if (token.kind != IMAP_TOKEN_STRING && token.kind != IMAP_TOKEN_ATOM)
		return false;
	response_mailbox(response, &token);
	imap_token_next(cursor, &token);
	*ret_list = token.kind == IMAP_TOKEN_OPEN;
	return *ret_list || token.kind == IMAP_TOKEN_END || imap_token_is_nil(&token);
}

static bool parse_mailbox_status(struct imap_cursor *cursor, struct imap_response *response)
{
	struct imap_token name, value;
	bool list;
	uint64_t n;

	if (!parse_name(cursor, response, &list))
		return false;
	while (list && imap_token_next(cursor, &name) != IMAP_TOKEN_CLOSE) {
		if (!imap_token_skip(cursor, &name))
			return false;
		if (imap_cursor_peek(cursor) == ')')
			continue;
		imap_token_next(cursor, &value);
		if (!imap_token_skip(cursor, &value))
			return false;
		if (imap_token_number(&value, &n))
			status_item(response, &name, n);
	}
	return true;
}

/* STORAGE counts units of 1024 octets (RFC 9208 section 5.1). */
static uint64_t quota_bytes(uint64_t units)
{
	return units > UINT64_MAX / 1024 ? UINT64_MAX : units * 1024;
}

static void quota_resource(struct imap_response *response, const struct imap_token *name,
			   uint64_t used, uint64_t limit)
{
	if (imap_token_is(name, "STORAGE")) {
		response->has_storage = true;
		response->storage_used = quota_bytes(used);
		response->storage_limit = quota_bytes(limit);
	} else if (imap_token_is(name, "MESSAGE")) {
		response->has_message_quota = true;
		response->message_used = used;
		response->message_limit = limit;
	}
}

static bool parse_quota(struct imap_cursor *cursor, struct imap_response *response)
{
	struct imap_token name, used, limit;
	uint64_t u, l;
	bool list;

	if (!parse_name(cursor, response, &list))
		return false;
	while (list && imap_token_next(cursor, &name) != IMAP_TOKEN_CLOSE) {
		imap_token_next(cursor, &used);
		imap_token_next(cursor, &limit);
		if (name.kind != IMAP_TOKEN_ATOM || used.kind != IMAP_TOKEN_ATOM ||
		    limit.kind != IMAP_TOKEN_ATOM)
			return false;
		if (imap_token_number(&used, &u) && imap_token_number(&limit, &l))
			quota_resource(response, &name, u, l);
	}
	return true;
}

/* --- Sets ---------------------------------------------------------------------------------- */

/* "1 2 3 (MODSEQ 9)". A number that is none: the answer is not believed, as an absent message would
 * be taken for gone. */
static bool parse_search(struct imap_cursor *cursor, struct imap_response *response)
{
	const char *open = memchr(cursor->at, '(', (size_t)(cursor->end - cursor->at));
	const char *end = open ? open : cursor->end;

	response->has_all =
		seqset_parse_words(&response->set, cursor->at, (size_t)(end - cursor->at));
	return true;
}

static bool esearch_all(struct imap_response *response, const struct imap_token *value)
{
	return value->kind == IMAP_TOKEN_ATOM &&
	       seqset_parse(&response->set, value->text, value->len) && response->set.ranges;
}

/* "(TAG "a1") UID ALL 1:5,9 COUNT 6". Without UID these are sequence numbers, which nobody asked
 * for. */
static bool parse_esearch(struct imap_cursor *cursor, struct imap_response *response)
{
	struct imap_token name, value;
	bool uid = false;
	bool all = false;

	while (imap_token_next(cursor, &name) != IMAP_TOKEN_END) {
		if (!imap_token_skip(cursor, &name))
			return false;
		if (name.kind != IMAP_TOKEN_ATOM)
			continue;
		if (imap_token_is(&name, "UID")) {
			uid = true;
			continue;
		}
		imap_token_next(cursor, &value);
		if (value.kind == IMAP_TOKEN_END)
			break;
		if (!imap_token_skip(cursor, &value))
			return false;
		if (imap_token_is(&name, "ALL"))
			all = esearch_all(response, &value);
	}
	response->has_all = uid && all;
	if (!response->has_all)
		seqset_clear(&response->set);
	return true;
}

static bool parse_vanished(struct imap_cursor *cursor, struct imap_response *response)
{
	struct imap_token token;
	const char *end = cursor->end;

	if (imap_cursor_peek(cursor) == '(') {
		imap_token_next(cursor, &token);
		while (imap_token_next(cursor, &token) != IMAP_TOKEN_CLOSE) {
			if (token.kind != IMAP_TOKEN_ATOM)
				return false;
			response->earlier |= imap_token_is(&token, "EARLIER");
		}
	}
	imap_cursor_peek(cursor);
	while (end > cursor->at && end[-1] == ' ')
		end--;
	return seqset_parse(&response->set, cursor->at, (size_t)(end - cursor->at));
}

/* --- Others -------------------------------------------------------------------------------- */

static bool parse_words(struct imap_cursor *cursor, struct imap_response *response)
{
	response->words = imap_code_words(cursor->at, (size_t)(cursor->end - cursor->at));
	cursor->over_limit = !response->words;
	return response->words;
}

static bool parse_flags(struct imap_cursor *cursor, struct imap_response *response)
{
	response->words = imap_code_flags(cursor);
	return response->words;
}

static bool parse_fetch(struct imap_cursor *cursor, struct imap_response *response)
{
	return imap_fetch_parse(cursor, &response->fetch);
}

static bool parse_nothing(struct imap_cursor *cursor, struct imap_response *response)
{
	return true;
}

struct data_row {
	const char *name;
	enum imap_data data;
	bool (*parse)(struct imap_cursor *cursor, struct imap_response *response);
};

/* "* 5 NAME" */
static const struct data_row numbered[] = {
	{"FETCH", IMAP_DATA_FETCH, parse_fetch},
	{"EXISTS", IMAP_DATA_EXISTS, parse_nothing},
	{"EXPUNGE", IMAP_DATA_EXPUNGE, parse_nothing},
};

/* "* NAME" */
static const struct data_row named[] = {
	{"LIST", IMAP_DATA_LIST, parse_list},
	{"SEARCH", IMAP_DATA_SEARCH, parse_search},
	{"ESEARCH", IMAP_DATA_SEARCH, parse_esearch},
	{"VANISHED", IMAP_DATA_VANISHED, parse_vanished},
	{"STATUS", IMAP_DATA_MAILBOX_STATUS, parse_mailbox_status},
	{"FLAGS", IMAP_DATA_FLAGS, parse_flags},
	{"CAPABILITY", IMAP_DATA_CAPABILITY, parse_words},
	{"ENABLED", IMAP_DATA_ENABLED, parse_words},
	{"QUOTA", IMAP_DATA_QUOTA, parse_quota},
	{"MYRIGHTS", IMAP_DATA_MYRIGHTS, parse_myrights},
};

/* Unknown ones stay IMAP_DATA_OTHER. */
static bool parse_data(struct imap_cursor *cursor, struct imap_response *response,
		       const struct imap_token *word, const struct data_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (imap_token_is(word, rows[i].name)) {
			response->data = rows[i].data;
			return rows[i].parse(cursor, response);
		}
	}
	return true;
}

static bool status_of(const struct imap_token *word, enum imap_status *ret)
{
	static const char *const names[] = {"OK", "NO", "BAD", "BYE", "PREAUTH"};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		if (imap_token_is(word, names[i])) {
			*ret = (enum imap_status)i;
			return true;
		}
	}
	return false;
}

static void parse_status(struct imap_cursor *cursor, struct imap_response *response)
{
	response->data = IMAP_DATA_STATUS;
	imap_code_parse(cursor, response);
}

static bool parse_numbered(struct imap_cursor *cursor, struct imap_response *response)
{
	const char *digits = cursor->at;
	struct imap_token word;

	while (cursor->at < cursor->end && g_ascii_isdigit(*cursor->at))
		cursor->at++;
	if (!number_parse_u64(digits, (size_t)(cursor->at - digits), &response->number))
		return false;
	word = imap_cursor_word(cursor);
	return parse_data(cursor, response, &word, numbered, G_N_ELEMENTS(numbered));
}

static bool parse_untagged(struct imap_cursor *cursor, struct imap_response *response)
{
	struct imap_token word;
	char c = imap_cursor_peek(cursor);

	if (g_ascii_isdigit(c))
		return parse_numbered(cursor, response);
	if (c == '[') { /* some servers forget the OK */
		parse_status(cursor, response);
		return true;
	}
	word = imap_cursor_word(cursor);
	if (status_of(&word, &response->status)) {
		parse_status(cursor, response);
		return true;
	}
	return parse_data(cursor, response, &word, named, G_N_ELEMENTS(named));
}

static bool parse_tagged(struct imap_cursor *cursor, struct imap_response *response)
{
	const char *tag = cursor->at;
	struct imap_token word;

	while (cursor->at < cursor->end && g_ascii_isgraph(*cursor->at))
		cursor->at++;
	if (cursor->at == tag || cursor->at - tag > TAG_MAX)
		return false;
	response->kind = IMAP_TAGGED;
	response->tag = g_strndup(tag, (gsize)(cursor->at - tag));
	word = imap_cursor_word(cursor);
	if (!status_of(&word, &response->status) || response->status > IMAP_BAD)
		return false;
	parse_status(cursor, response);
	return true;
}

static void parse_continuation(struct imap_cursor *cursor, struct imap_response *response)
{
	response->kind = IMAP_CONTINUATION;
	imap_cursor_peek(cursor);
	response->text = text_clean(cursor->at, cursor->end - cursor->at, 512);
	response->challenge = cursor->at;
	response->challenge_len = (size_t)(cursor->end - cursor->at);
}

static bool response_parse(struct imap_cursor *cursor, struct imap_response *response)
{
	if (cursor->at == cursor->end) /* an empty line too many */
		return true;
	switch (*cursor->at) {
	case '+':
		cursor->at++;
		parse_continuation(cursor, response);
		return true;
	case '*':
		cursor->at++;
		return parse_untagged(cursor, response);
	default:
		return parse_tagged(cursor, response);
	}
}

/* What the frame handed out must be what the grammar saw. */
static bool response_body_fits(const struct imap_response *response, uint64_t body_size)
{
	return response->fetch.body_streamed ? response->fetch.body_size == body_size
					     : body_size == 0;
}

bool imap_response_parse(const char *text, size_t len, uint64_t body_size,
			 struct imap_response *ret, GError **error)
{
	struct imap_response response = {.kind = IMAP_UNTAGGED, .data = IMAP_DATA_OTHER};
	g_autofree char *sample = NULL;
	struct imap_cursor cursor;

	imap_cursor_init(&cursor, text, len);
	if (response_parse(&cursor, &response) && response_body_fits(&response, body_size)) {
		*ret = response;
		return true;
	}
	imap_response_clear(&response);
	sample = text_clean(text, (gssize)len, SAMPLE_MAX);
	if (cursor.over_limit)
		g_set_error(error, MAILFS_ERROR, ERROR_LIMIT,
			    "the server's answer is over a limit: %s", sample);
	else
		g_set_error(error, MAILFS_ERROR, ERROR_PROTOCOL,
			    "the server's answer makes no sense: %s", sample);
	return false;
}
