#include "protocol/seqset.h"

#include "base/limits.h"
#include "base/number.h"

#include <string.h>

static struct seqrange *range_at(const struct seqset *set, size_t i)
{
	return &g_array_index(set->ranges, struct seqrange, i);
}

static size_t range_count(const struct seqset *set)
{
	return set->ranges ? set->ranges->len : 0;
}

void seqset_clear(struct seqset *set)
{
	g_clear_pointer(&set->ranges, g_array_unref);
}

/* The first range that ends at `n` or behind it. */
static size_t range_find(const struct seqset *set, uint32_t n)
{
	size_t low = 0;
	size_t high = range_count(set);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (range_at(set, middle)->last < n)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void seqset_add(struct seqset *set, uint32_t first, uint32_t last)
{
	struct seqrange merged = {first, last};
	size_t from, to;

	if (!set->ranges)
		set->ranges = g_array_new(FALSE, FALSE, sizeof(struct seqrange));
	from = range_find(set, first > 1 ? first - 1 : 1);
	for (to = from; to < set->ranges->len; to++) {
		const struct seqrange *range = range_at(set, to);
		if (last < UINT32_MAX && range->first > last + 1)
			break;
		merged.first = MIN(merged.first, range->first);
		merged.last = MAX(merged.last, range->last);
	}
	if (to == from) {
		g_array_insert_val(set->ranges, (guint)from, merged);
		return;
	}
	*range_at(set, from) = merged;
	if (to > from + 1)
		g_array_remove_range(set->ranges, (guint)from + 1, (guint)(to - from - 1));
}

void seqset_add_all(struct seqset *set, const struct seqset *more)
{
	for (size_t i = 0; i < range_count(more); i++)
		seqset_add(set, range_at(more, i)->first, range_at(more, i)->last);
}

void seqset_remove(struct seqset *set, uint32_t first, uint32_t last)
{
	size_t from = range_find(set, first), to = from;
	struct seqrange head, tail;

	while (to < range_count(set) && range_at(set, to)->first <= last)
		to++;
	if (to == from)
		return;
	head = (struct seqrange){range_at(set, from)->first, first - 1};
	tail = (struct seqrange){last + 1, range_at(set, to - 1)->last};
	g_array_remove_range(set->ranges, (guint)from, (guint)(to - from));
	if (last < tail.last)
		g_array_insert_val(set->ranges, (guint)from, tail);
	if (head.first < first)
		g_array_insert_val(set->ranges, (guint)from, head);
	if (set->ranges->len == 0)
		seqset_clear(set);
}

bool seqset_contains(const struct seqset *set, uint32_t n)
{
	size_t i = range_find(set, n);

	return i < range_count(set) && range_at(set, i)->first <= n;
}

uint32_t seqset_next(const struct seqset *set, uint32_t after)
{
	size_t i;

	if (after == UINT32_MAX)
		return 0;
	i = range_find(set, after + 1);
	return i < range_count(set) ? MAX(range_at(set, i)->first, after + 1) : 0;
}

uint64_t seqset_count(const struct seqset *set)
{
	uint64_t count = 0;

	for (size_t i = 0; i < range_count(set); i++)
		count += (uint64_t)range_at(set, i)->last - range_at(set, i)->first + 1;
	return count;
}

void seqset_format(const struct seqset *set, GString *out)
{
	for (size_t i = 0; i < range_count(set); i++) {
		const struct seqrange *range = range_at(set, i);
		if (i > 0)
			g_string_append_c(out, ',');
		g_string_append_printf(out, "%" G_GUINT32_FORMAT, range->first);
		if (range->last > range->first)
			g_string_append_printf(out, ":%" G_GUINT32_FORMAT, range->last);
	}
}

static int range_compare(const void *a, const void *b)
{
	const struct seqrange *left = a;
	const struct seqrange *right = b;

	return (left->first > right->first) - (left->first < right->first);
}

/* Sorted first, so that a hostile order costs no more than a kind one. */
static void set_merge_sorted(struct seqset *set, GArray *ranges)
{
	g_array_sort(ranges, range_compare);
	for (size_t i = 0; i < ranges->len; i++) {
		const struct seqrange *range = &g_array_index(ranges, struct seqrange, i);
		seqset_add(set, range->first, range->last);
	}
}

static bool range_parse(const char *text, size_t len, struct seqrange *ret)
{
	const char *colon = memchr(text, ':', len);
	size_t n = colon ? (size_t)(colon - text) : len;
	struct seqrange range;

	if (!number_parse_u32(text, n, &range.first))
		return false;
	range.last = range.first;
	if (colon && !number_parse_u32(colon + 1, len - n - 1, &range.last))
		return false;
	if (range.first == 0 || range.last == 0)
		return false;
	*ret = (struct seqrange){MIN(range.first, range.last), MAX(range.first, range.last)};
	return true;
}

/* Numbers that go on where the last range ended make it longer: a SEARCH of a full folder is one
 * range. */
static void ranges_append(GArray *ranges, const struct seqrange *range)
{
	if (ranges->len > 0) {
		struct seqrange *last = &g_array_index(ranges, struct seqrange, ranges->len - 1);
		if (last->last < UINT32_MAX && range->first == last->last + 1) {
			last->last = range->last;
			return;
		}
	}
	g_array_append_val(ranges, *range);
}

static GArray *ranges_parse(const char *text, size_t len, char separator, size_t max)
{
	g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(struct seqrange));
	const char *end = text + len;

	while (text < end) {
		const char *stop = memchr(text, separator, (size_t)(end - text));
		size_t n = (size_t)((stop ? stop : end) - text);
		struct seqrange range;

		if (n > 0) {
			if (!range_parse(text, n, &range))
				return NULL;
			ranges_append(ranges, &range);
			if (ranges->len > max)
				return NULL;
		}
		text += n + (stop ? 1 : 0);
	}
	return g_steal_pointer(&ranges);
}

static bool set_parse(struct seqset *set, const char *text, size_t len, char separator, size_t max)
{
	g_autoptr(GArray) ranges = ranges_parse(text, len, separator, max);

	if (!ranges)
		return false;
	set_merge_sorted(set, ranges);
	return true;
}

GArray *seqset_parse_list(const char *text, size_t len)
{
	g_autoptr(GArray) ranges = ranges_parse(text, len, ',', LIMIT_TOKENS);

	return ranges && ranges->len > 0 ? g_steal_pointer(&ranges) : NULL;
}

bool seqset_parse(struct seqset *set, const char *text, size_t len)
{
	return set_parse(set, text, len, ',', LIMIT_TOKENS);
}

bool seqset_parse_words(struct seqset *set, const char *text, size_t len)
{
	return set_parse(set, text, len, ' ', SIZE_MAX);
}
