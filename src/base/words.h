/* Sets of words in one string, parted by spaces: keywords of messages. Equal in any case of ASCII
 * letters; order is kept. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* `words` with those of `set` and without those of `clear`; each may be NULL. Free with g_free().
 */
char *words_alter(const char *words, const char *set, const char *clear);
bool words_have(const char *words, const char *word);
