#include "config/suggestion.h"

#include <glib.h>
#include <string.h>

#define TYPING_ERRORS_MAX 2

struct suggestion suggestion_for(const char *typed)
{
	return (struct suggestion){.typed = typed, .distance = TYPING_ERRORS_MAX + 1};
}

static size_t edit_distance(const char *a, const char *b)
{
	size_t len = strlen(b);
	size_t line[SUGGESTION_MAX + 1];

	for (size_t j = 0; j <= len; j++)
		line[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = line[0];

		line[0] = i + 1;
		for (size_t j = 0; j < len; j++) {
			size_t change = diagonal + (a[i] != b[j]);

			diagonal = line[j + 1];
			line[j + 1] = MIN(change, MIN(diagonal, line[j]) + 1);
		}
	}
	return line[len];
}

/* A few typing errors, or the beginning of a name. */
void suggestion_offer(struct suggestion *suggestion, const char *name)
{
	const char *typed = suggestion->typed;
	size_t distance;

	/* The distance costs the product of both lengths. */
	if (strlen(typed) > SUGGESTION_MAX || strlen(name) > SUGGESTION_MAX)
		return;
	distance = edit_distance(typed, name);
	if (strlen(typed) >= 3 && g_str_has_prefix(name, typed))
		distance = MIN(distance, TYPING_ERRORS_MAX);
	if (distance < suggestion->distance && distance < strlen(typed)) {
		suggestion->distance = distance;
		suggestion->name = name;
	}
}
