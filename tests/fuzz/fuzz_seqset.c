/* A parsed set is in order, survives being written and read, and is what adding its ranges one by
 * one gives. */
#include "fuzz.h"
#include "protocol/seqset.h"

#include <string.h>

static void check_order(const struct seqset *set)
{
	uint64_t last = 0;

	for (guint i = 0; set->ranges && i < set->ranges->len; i++) {
		const struct seqrange *range = &g_array_index(set->ranges, struct seqrange, i);
		FUZZ_CHECK(range->first > 0 && range->first <= range->last);
		FUZZ_CHECK(i == 0 || range->first > last + 1);
		FUZZ_CHECK(seqset_contains(set, range->first));
		FUZZ_CHECK(seqset_contains(set, range->last));
		FUZZ_CHECK(range->last == UINT32_MAX || !seqset_contains(set, range->last + 1));
		last = range->last;
	}
}

static GString *format(const struct seqset *set)
{
	GString *text = g_string_new(NULL);

	seqset_format(set, text);
	return text;
}

static void check_same(const struct seqset *set, const struct seqset *other)
{
	GString *left = format(set);
	GString *right = format(other);

	FUZZ_CHECK(g_string_equal(left, right));
	FUZZ_CHECK(seqset_count(set) == seqset_count(other));
	g_string_free(left, TRUE);
	g_string_free(right, TRUE);
}

/* From the last range to the first. */
static void check_add(const struct seqset *set)
{
	struct seqset other = {0};

	for (guint i = set->ranges ? set->ranges->len : 0; i > 0; i--) {
		const struct seqrange *range = &g_array_index(set->ranges, struct seqrange, i - 1);
		seqset_add(&other, range->first, range->last);
		seqset_add(&other, range->last, range->last);
	}
	check_same(set, &other);
	seqset_clear(&other);
}

/* Pairs of small numbers, so that ranges meet. */
static void check_small(const uint8_t *bytes, size_t len)
{
	struct seqset set = {0};
	uint8_t model[512] = {0};

	for (size_t i = 0; i + 1 < len; i += 2) {
		uint32_t first = bytes[i] + 1u;
		uint32_t last = first + bytes[i + 1] % 16;
		seqset_add(&set, first, last);
		memset(model + first, 1, last - first + 1);
	}
	check_order(&set);
	for (uint32_t n = 0; n < sizeof(model); n++)
		FUZZ_CHECK(seqset_contains(&set, n) == model[n]);
	seqset_clear(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	g_autofree char *text = fuzz_copy(bytes, len);
	struct seqset set = {0};
	struct seqset again = {0};
	GString *out;

	check_small(bytes, len);
	if (seqset_parse(&set, text, len) || seqset_parse_words(&set, text, len)) {
		check_order(&set);
		check_add(&set);
		out = format(&set);
		FUZZ_CHECK(seqset_parse(&again, out->str, out->len));
		check_same(&set, &again);
		g_string_free(out, TRUE);
	} else {
		FUZZ_CHECK(!set.ranges);
	}
	seqset_clear(&set);
	seqset_clear(&again);
	return 0;
}
