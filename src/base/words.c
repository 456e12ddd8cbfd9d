#include "base/words.h"

#include <string.h>

/* The word at `*at`, which moves behind it; 0 at the end. */
static size_t next_word(const char **at, const char **ret_word)
{
	*at += strspn(*at, " ");
	*ret_word = *at;
	*at += strcspn(*at, " ");
	return (size_t)(*at - *ret_word);
}

static bool have(const char *words, const char *word, size_t len)
{
	const char *at = words ? words : "", *other;
	size_t n;

	while ((n = next_word(&at, &other)) > 0) {
		if (n == len && g_ascii_strncasecmp(other, word, len) == 0)
			return true;
	}
	return false;
}

bool words_have(const char *words, const char *word)
{
	return have(words, word, strlen(word));
}

static void add_all(GString *out, const char *words, const char *but)
{
	const char *at = words ? words : "", *word;
	size_t len;

	while ((len = next_word(&at, &word)) > 0) {
		if (have(but, word, len) || have(out->str, word, len))
			continue;
		if (out->len > 0)
			g_string_append_c(out, ' ');
		g_string_append_len(out, word, (gssize)len);
	}
}

char *words_alter(const char *words, const char *set, const char *clear)
{
	GString *out = g_string_new(NULL);

	add_all(out, words, clear);
	add_all(out, set, NULL);
	return g_string_free(out, FALSE);
}
