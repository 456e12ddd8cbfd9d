/* Sets of UIDs as ranges, never expanded (RFC 9051 sequence-set, uid-set without "*"). */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seqrange {
	uint32_t first; /* <= last, both > 0 */
	uint32_t last;
};

/* Sorted, disjoint, not adjacent. */
struct seqset {
	GArray *ranges; /* of struct seqrange; NULL when empty */
};

void seqset_clear(struct seqset *set);
/* 0 < first <= last */
void seqset_add(struct seqset *set, uint32_t first, uint32_t last);
void seqset_add_all(struct seqset *set, const struct seqset *more);
void seqset_remove(struct seqset *set, uint32_t first, uint32_t last);
bool seqset_contains(const struct seqset *set, uint32_t n);
/* The lowest above `after`; 0: there is none. */
uint32_t seqset_next(const struct seqset *set, uint32_t after);
uint64_t seqset_count(const struct seqset *set);
/* Appends "1:5,9" to `out`. */
void seqset_format(const struct seqset *set, GString *out);
/* Strict but for "5:3" (= 3:5) and an empty member; at most LIMIT_TOKENS ranges. The set is
 * untouched on failure. */
bool seqset_parse(struct seqset *set, const char *text, size_t len);
/* The same, but of struct seqrange in the order of `text`; NULL if it is malformed or empty. */
GArray *seqset_parse_list(const char *text, size_t len);
/* As seqset_parse() for the words of SEARCH, parted by spaces: "1 2 9". As many as there are: the
 * server sends one a message, and LIMIT_LINE bounds them. */
bool seqset_parse_words(struct seqset *set, const char *text, size_t len);
