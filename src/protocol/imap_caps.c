#include "protocol/imap_caps.h"

#include "base/limits.h"
#include "base/number.h"
#include "base/text.h"
#include "config/auth.h"
#include "protocol/imap_session.h"

#include <string.h>

static const struct {
	const char *word;
	enum imap_cap cap;
} words_known[] = {
	{"SASL-IR", IMAP_CAP_SASL_IR},
	{"LOGINDISABLED", IMAP_CAP_LOGINDISABLED},
	{"STARTTLS", IMAP_CAP_STARTTLS},
	{"LITERAL+", IMAP_CAP_LITERAL_PLUS},
	{"LITERAL-", IMAP_CAP_LITERAL_MINUS},
	{"ENABLE", IMAP_CAP_ENABLE},
	{"CONDSTORE", IMAP_CAP_CONDSTORE},
	{"QRESYNC", IMAP_CAP_QRESYNC},
	{"ESEARCH", IMAP_CAP_ESEARCH},
	{"LIST-EXTENDED", IMAP_CAP_LIST_EXTENDED},
	{"SPECIAL-USE", IMAP_CAP_SPECIAL_USE},
	{"QUOTA", IMAP_CAP_QUOTA},
	{"ID", IMAP_CAP_ID},
	{"UIDPLUS", IMAP_CAP_UIDPLUS},
	{"MOVE", IMAP_CAP_MOVE},
	{"UNSELECT", IMAP_CAP_UNSELECT},
	{"ACL", IMAP_CAP_ACL},
	{"IDLE", IMAP_CAP_IDLE},
	{"NOTIFY", IMAP_CAP_NOTIFY},
	{"COMPRESS=DEFLATE", IMAP_CAP_COMPRESS_DEFLATE},
	{"LIST-STATUS", IMAP_CAP_LIST_STATUS},
};

static unsigned word_to_bit(const char *word)
{
	for (size_t i = 0; i < G_N_ELEMENTS(words_known); i++) {
		if (g_ascii_strcasecmp(word, words_known[i].word) == 0)
			return words_known[i].cap;
	}
	return 0;
}

unsigned imap_caps_parse(const GPtrArray *words)
{
	unsigned caps = 0;

	for (unsigned i = 0; words && i < words->len; i++)
		caps |= word_to_bit(g_ptr_array_index(words, i));
	return caps;
}

/* What an "AUTH=" word names, or NULL. */
static const char *auth_word(const char *word)
{
	static const char name[] = "AUTH=";

	return g_ascii_strncasecmp(word, name, sizeof(name) - 1) == 0 ? word + sizeof(name) - 1
								      : NULL;
}

unsigned imap_caps_auth(const GPtrArray *words)
{
	unsigned mechanisms = 0;

	for (unsigned i = 0; words && i < words->len; i++) {
		const char *name = auth_word(g_ptr_array_index(words, i));

		if (name)
			mechanisms |= auth_find(name, strlen(name));
	}
	return mechanisms;
}

char *imap_caps_auth_text(const GPtrArray *words)
{
	g_autoptr(GPtrArray) named = g_ptr_array_new();

	for (unsigned i = 0; words && i < words->len; i++) {
		const char *name = auth_word(g_ptr_array_index(words, i));

		if (name)
			g_ptr_array_add(named, (char *)name);
	}
	return imap_caps_text(named);
}

uint64_t imap_caps_append_limit(const GPtrArray *words)
{
	static const char name[] = "APPENDLIMIT=";
	const size_t n = sizeof(name) - 1;
	uint64_t limit = UINT64_MAX;

	for (unsigned i = 0; words && i < words->len; i++) {
		const char *word = g_ptr_array_index(words, i);

		if (g_ascii_strncasecmp(word, name, n) == 0)
			number_parse_u64(word + n, strlen(word + n), &limit);
	}
	return limit;
}

char *imap_caps_text(const GPtrArray *words)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (unsigned i = 0; words && i < words->len; i++) {
		if (i > 0)
			g_string_append_c(text, ' ');
		g_string_append(text, g_ptr_array_index(words, i));
	}
	return text_clean(text->str, (gssize)text->len, LIMIT_LINE);
}
