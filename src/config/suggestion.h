/* "did you mean": of names that there are, the one nearest to what was typed. */
#pragma once

#include <stddef.h>

#define SUGGESTION_MAX 64 /* bytes of a name */

struct suggestion {
	const char *typed;
	const char *name; /* the best so far, borrowed; NULL: none is near */
	size_t distance;
};

struct suggestion suggestion_for(const char *typed);
/* `name` is at most SUGGESTION_MAX bytes long; longer ones are passed over. */
void suggestion_offer(struct suggestion *suggestion, const char *name);
