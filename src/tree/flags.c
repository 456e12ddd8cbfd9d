/* Flags as words: those of the table, and keywords. What is read and compared is what the index
 * says with the changes on record. */

#include "base/limits.h"
#include "base/text.h"
#include "base/words.h"
#include "state/changes.h"
#include "store/store.h"
#include "tree/alter.h"
#include "tree/node.h"
#include "tree/tree_private.h"

#include <errno.h>
#include <string.h>

/* Text that was cleaned may be longer: four bytes for one. */
#define KEYWORDS_TEXT_BYTES (4 * LIMIT_KEYWORDS * (LIMIT_KEYWORD + 1))

static const struct flag {
	const char *word;
	unsigned bit;
	unsigned right; /* to alter it */
} table[] = {
	{"seen", STORE_FLAG_SEEN, STORE_MAY_SEEN},
	{"answered", STORE_FLAG_ANSWERED, STORE_MAY_FLAG},
	{"flagged", STORE_FLAG_FLAGGED, STORE_MAY_FLAG},
	{"deleted", STORE_FLAG_DELETED, STORE_MAY_DELETE},
	{"draft", STORE_FLAG_DRAFT, STORE_MAY_FLAG},
};

struct flag_set {
	unsigned bits; /* enum store_flag */
	char *words;   /* keywords, parted by spaces */
};

static void set_clear(struct flag_set *set)
{
	g_clear_pointer(&set->words, g_free);
}

static void set_alter_words(struct flag_set *set, const char *add, const char *drop)
{
	char *words = words_alter(set->words, add, drop);

	g_free(set->words);
	set->words = words;
}

/* --- what a message has --- */

static bool copy_row(void *data, const struct message_row *row)
{
	struct flag_set *ret = data;

	ret->bits = row->flags;
	ret->words = g_strdup(row->keywords);
	return true;
}

static bool get_flags(const struct visit *visit, uint64_t node, struct flag_set *ret,
		      struct overlay *ret_overlay)
{
	struct state *state = visit->tree->config.state;
	uint32_t epoch = tree_node_epoch(node), uid = node_low(node);
	char *words;

	*ret_overlay = (struct overlay){0};
	if (!index_message_get(visit->view, epoch, uid, copy_row, ret))
		return false;
	if (!changes_in(state, epoch))
		return true;
	changes_overlay(state, epoch, uid, ret_overlay);
	ret->bits = (ret->bits | ret_overlay->set) & ~ret_overlay->clear;
	words = changes_keywords(state, epoch, uid, ret->words);
	g_free(ret->words);
	ret->words = words;
	return true;
}

int flags_text(const struct visit *visit, uint64_t node, char **ret, gsize *ret_len)
{
	g_autofree char *clean = NULL;
	struct flag_set set = {0};
	struct overlay overlay;
	GString *out;

	if (!get_flags(visit, node, &set, &overlay))
		return ESTALE;
	out = g_string_new(NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		if ((set.bits & table[i].bit) != 0)
			g_string_append_printf(out, "%s\n", table[i].word);
	}
	clean = text_clean(set.words, -1, KEYWORDS_TEXT_BYTES);
	g_strdelimit(clean, " ", '\n');
	if (*clean != '\0')
		g_string_append_printf(out, "%s\n", clean);
	set_clear(&set);
	*ret_len = out->len;
	*ret = g_string_free(out, FALSE);
	return 0;
}

/* --- what is asked for --- */

struct word {
	char sign; /* '+', '-', or 0 */
	unsigned bit;
	char keyword[LIMIT_KEYWORD + 1]; /* if `bit` is 0 */
};

/* 0 if it is not one of these. */
static unsigned find_bit(const char *text, size_t len)
{
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		if (strlen(table[i].word) == len &&
		    g_ascii_strncasecmp(table[i].word, text, len) == 0)
			return table[i].bit;
	}
	return 0;
}

/* An atom: RFC 9051 section 9. */
static bool is_atom(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!g_ascii_isgraph(text[i]) || strchr("(){%*\"\\]", text[i]) != NULL)
			return false;
	}
	return len > 0;
}

static bool parse_word(const char *text, size_t len, struct word *ret)
{
	bool system;

	*ret = (struct word){0};
	if (*text == '+' || *text == '-') {
		ret->sign = *text;
		text++;
		len--;
	}
	system = len > 0 && *text == '\\';
	ret->bit = find_bit(text + system, len - system);
	if (ret->bit != 0)
		return true;
	if (len > LIMIT_KEYWORD || !is_atom(text, len))
		return false;
	memcpy(ret->keyword, text, len);
	return true;
}

static void apply_word(struct flag_set *want, const struct word *word)
{
	bool add = word->sign != '-';

	if (word->bit != 0)
		want->bits = add ? want->bits | word->bit : want->bits & ~word->bit;
	else
		set_alter_words(want, add ? word->keyword : NULL, add ? NULL : word->keyword);
}

static bool is_separator(char c)
{
	return g_ascii_isspace(c) || c == ',' || c == '\v';
}

/* The word at `*at`, which moves behind it; false at the end. */
static bool next_word(const char **at, const char *end, size_t *ret_len)
{
	const char *stop;

	while (*at < end && is_separator(**at))
		(*at)++;
	for (stop = *at; stop < end && !is_separator(*stop);)
		stop++;
	*ret_len = (size_t)(stop - *at);
	return stop > *at;
}

size_t flags_whole_words(const char *text, size_t len)
{
	const char *at = text;
	size_t word_len;

	while (len > 0 && !is_separator(text[len - 1]))
		len--;
	return next_word(&at, text + len, &word_len) ? len : 0;
}

/* `want` comes with what is there and is altered, or replaced. */
static int parse(const char *text, size_t len, struct flag_set *want)
{
	const char *at = text, *end = text + len;
	unsigned count = 0, signs = 0;
	struct word word;

	for (size_t n; next_word(&at, end, &n); at += n, count++) {
		if (count == LIMIT_KEYWORDS || !parse_word(at, n, &word))
			return EINVAL;
		signs += word.sign != 0;
		if (count == 0 && word.sign == 0) {
			set_clear(want);
			want->bits = 0;
		}
		apply_word(want, &word);
	}
	if (count == 0) {
		set_clear(want);
		want->bits = 0;
	}
	return signs == 0 || signs == count ? 0 : EINVAL;
}

/* --- what is allowed --- */

/* The server makes a keyword when it is first used. */
static bool may_use_all(const struct visit *visit, uint32_t folder, const char *words)
{
	g_auto(GStrv) each = g_strsplit(words, " ", -1);

	for (char **word = each; *word != NULL; word++) {
		if (**word != '\0' &&
		    !engine_has_keyword(visit->tree->config.engine, folder, *word))
			return false;
	}
	return true;
}

static int check_rights(const struct visit *visit, const struct folder_row *folder,
			const struct change_request *request)
{
	unsigned altered = request->set | request->clear, needed = 0;
	struct store_rights rights;
	int result;

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
		needed |= (altered & table[i].bit) != 0 ? table[i].right : 0;
	if (*request->set_words != '\0' || *request->clear_words != '\0')
		needed |= STORE_MAY_FLAG;
	result = spot_may(visit, folder, needed);
	if (result != 0 || !engine_rights(visit->tree->config.engine, folder->id, &rights))
		return result;
	if ((altered & ~rights.flags) != 0)
		return EPERM;
	if ((rights.may & STORE_MAY_KEYWORD) == 0 &&
	    !may_use_all(visit, folder->id, request->set_words))
		return EPERM;
	return 0;
}

/* --- changing --- */

static int send_difference(const struct visit *visit, uint64_t node, const struct flag_set *have,
			   const struct flag_set *want)
{
	g_autofree char *set_words = words_alter(want->words, NULL, have->words);
	g_autofree char *clear_words = words_alter(have->words, NULL, want->words);
	struct change_request request = {.kind = CHANGE_FLAGS,
					 .uid = node_low(node),
					 .set = want->bits & ~have->bits,
					 .clear = have->bits & ~want->bits,
					 .set_words = set_words,
					 .clear_words = clear_words};
	struct folder_row folder;
	int result;

	if ((request.set | request.clear) == 0 && *set_words == '\0' && *clear_words == '\0')
		return 0;
	if (!index_folder_by_epoch(visit->view, tree_node_epoch(node), &folder))
		return ESTALE;
	request.box = spot_box(&folder);
	result = check_rights(visit, &folder, &request);
	if (result == 0)
		result = alter_add(visit, &request);
	folder_row_clear(&folder);
	return result;
}

int flags_write(const struct visit *visit, uint64_t node, const char *text, size_t len)
{
	struct flag_set have = {0}, want = {0};
	struct overlay overlay;
	int result = spot_may_change(visit);

	if (result != 0)
		return result;
	if (!get_flags(visit, node, &have, &overlay))
		return ESTALE;
	want = (struct flag_set){.bits = have.bits, .words = g_strdup(have.words)};
	result = parse(text, len, &want);
	if (result == 0 && overlay.gone)
		result = ENOENT;
	if (result == 0)
		result = send_difference(visit, node, &have, &want);
	set_clear(&have);
	set_clear(&want);
	return result;
}
