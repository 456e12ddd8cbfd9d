/* Walks the fields of a header in memory, whatever its line ends: LF, CRLF, CR, also mixed (RFC
 * 5322 section 2.2). Pure; allocates nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct header {
	const char *bytes;
	size_t len; /* may go on behind the header's end */
	size_t at;
	unsigned line; /* number of the line at `at`, from 1 */
};

/* A line with those that go on with a space or a tab. Points into the header. */
struct header_field {
	size_t offset;
	size_t len; /* with all line ends */
	unsigned line;
	const char *name; /* NULL: it is no field */
	size_t name_len;  /* without spaces before the colon */
	const char *value;
	size_t value_len; /* folds are in it, the last line end is not */
};

void header_init(struct header *header, const char *bytes, size_t len);
/* False, and `ret` untouched, at an empty line or the end. */
bool header_next(struct header *header, struct header_field *ret);
/* In any case of letters. */
bool header_field_is(const struct header_field *field, const char *name);
/* The value without its folds, and without space around it. Free with g_free(). */
char *header_field_text(const struct header_field *field);
