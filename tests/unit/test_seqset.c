#include "base/limits.h"
#include "protocol/seqset.h"

#include <string.h>

static char *format(const struct seqset *set)
{
	GString *out = g_string_new(NULL);

	seqset_format(set, out);
	return g_string_free(out, FALSE);
}

static void assert_set(const struct seqset *set, const char *expected)
{
	g_autofree char *text = format(set);

	g_assert_cmpstr(text, ==, expected);
}

static void test_add(void)
{
	struct seqset set = {0};

	seqset_add(&set, 5, 5);
	seqset_add(&set, 1, 1);
	assert_set(&set, "1,5");
	seqset_add(&set, 3, 3);
	assert_set(&set, "1,3,5");
	seqset_add(&set, 2, 2);
	assert_set(&set, "1:3,5");
	seqset_add(&set, 4, 4);
	assert_set(&set, "1:5");
	seqset_add(&set, 2, 3);
	assert_set(&set, "1:5");
	seqset_add(&set, 10, 20);
	seqset_add(&set, 30, 40);
	seqset_add(&set, 50, 60);
	seqset_add(&set, 12, 49);
	assert_set(&set, "1:5,10:60");
	seqset_add(&set, 1, UINT32_MAX);
	assert_set(&set, "1:4294967295");
	g_assert_cmpuint(seqset_count(&set), ==, UINT32_MAX);
	seqset_add(&set, UINT32_MAX, UINT32_MAX);
	assert_set(&set, "1:4294967295");
	seqset_clear(&set);
	assert_set(&set, "");
	g_assert_cmpuint(seqset_count(&set), ==, 0);
}

static void test_remove(void)
{
	struct seqset set = {0};

	seqset_remove(&set, 1, UINT32_MAX);
	g_assert_null(set.ranges);
	seqset_add(&set, 1, UINT32_MAX);
	seqset_remove(&set, 5, 9);
	assert_set(&set, "1:4,10:4294967295");
	seqset_remove(&set, UINT32_MAX, UINT32_MAX);
	seqset_remove(&set, 1, 1);
	assert_set(&set, "2:4,10:4294967294");
	seqset_remove(&set, 5, 9);
	assert_set(&set, "2:4,10:4294967294");
	seqset_remove(&set, 4, 10);
	assert_set(&set, "2:3,11:4294967294");
	seqset_remove(&set, 1, 12);
	assert_set(&set, "13:4294967294");
	seqset_remove(&set, 13, UINT32_MAX);
	g_assert_null(set.ranges);
}

static void test_top(void)
{
	struct seqset set = {0};

	seqset_add(&set, UINT32_MAX, UINT32_MAX);
	seqset_add(&set, 1, 1);
	assert_set(&set, "1,4294967295");
	seqset_add(&set, UINT32_MAX - 1, UINT32_MAX - 1);
	assert_set(&set, "1,4294967294:4294967295");
	g_assert_true(seqset_contains(&set, UINT32_MAX));
	g_assert_false(seqset_contains(&set, UINT32_MAX - 2));
	g_assert_cmpuint(seqset_count(&set), ==, 3);
	seqset_clear(&set);
}

static void test_contains(void)
{
	struct seqset set = {0};

	g_assert_false(seqset_contains(&set, 1));
	g_assert_true(seqset_parse(&set, "3:5,9", 5));
	g_assert_false(seqset_contains(&set, 0));
	g_assert_false(seqset_contains(&set, 2));
	g_assert_true(seqset_contains(&set, 3));
	g_assert_true(seqset_contains(&set, 5));
	g_assert_false(seqset_contains(&set, 6));
	g_assert_true(seqset_contains(&set, 9));
	g_assert_false(seqset_contains(&set, 10));
	seqset_clear(&set);
}

/* Against a plain array of bits. */
static void test_next(void)
{
	static const uint32_t members[] = {1, 4, 5, 6, UINT32_MAX - 2, UINT32_MAX};
	struct seqset set = {0};
	uint32_t n = 0;

	g_assert_cmpuint(seqset_next(&set, 0), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
		seqset_add(&set, members[i], members[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
		n = seqset_next(&set, n);
		g_assert_cmpuint(n, ==, members[i]);
	}
	g_assert_cmpuint(seqset_next(&set, n), ==, 0);
	g_assert_cmpuint(seqset_next(&set, 2), ==, 4);
	seqset_remove(&set, UINT32_MAX, UINT32_MAX);
	g_assert_cmpuint(seqset_next(&set, UINT32_MAX - 2), ==, 0);
	seqset_clear(&set);
}

static void test_random(void)
{
	for (int round = 0; round < 200; round++) {
		struct seqset set = {0};
		struct seqset again = {0};
		bool model[66] = {false};
		unsigned count = 0;

		for (int i = 0; i < 20; i++) {
			uint32_t first = (uint32_t)g_test_rand_int_range(1, 64);
			uint32_t last = (uint32_t)g_test_rand_int_range((int)first, 65);
			if (i % 2)
				last = MIN(last, first + 2);
			seqset_add(&set, first, last);
			for (uint32_t n = first; n <= last; n++)
				model[n] = true;
		}
		for (uint32_t n = 0; n < G_N_ELEMENTS(model); n++) {
			g_assert_cmpint(seqset_contains(&set, n), ==, model[n]);
			count += model[n];
		}
		g_assert_cmpuint(seqset_count(&set), ==, count);
		g_autofree char *text = format(&set);
		g_assert_true(seqset_parse(&again, text, strlen(text)));
		assert_set(&again, text);
		for (guint i = 1; i < set.ranges->len; i++)
			g_assert_cmpuint(g_array_index(set.ranges, struct seqrange, i).first, >,
					 g_array_index(set.ranges, struct seqrange, i - 1).last +
						 1);
		seqset_clear(&set);
		seqset_clear(&again);
	}
}

static void test_parse(void)
{
	static const struct {
		const char *text;
		const char *set;
	} good[] = {
		{"1", "1"},	    {"1:5,9", "1:5,9"},	  {"5:3", "3:5"},
		{"9,1:5", "1:5,9"}, {"3,2,1", "1:3"},	  {"", ""},
		{",", ""},	    {"1,,3,", "1,3"},	  {"1:4294967295", "1:4294967295"},
		{"007", "7"},	    {"1,1,1:2,2", "1:2"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		struct seqset set = {0};
		g_assert_true(seqset_parse(&set, good[i].text, strlen(good[i].text)));
		assert_set(&set, good[i].set);
		seqset_clear(&set);
	}
}

static void test_parse_bad(void)
{
	static const char *const bad[] = {
		"0",  "0:5", "1:0", "*",  "1:*", "4294967296", "1:4294967296",
		"-1", "1 ",  " 1",  "1:", ":1",	 "1::2",       "1:2:3",
		"a",  "1e5", "1.5", "+1", "1;2",
	};
	struct seqset set = {0};

	g_assert_true(seqset_parse(&set, "7", 1));
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_false(seqset_parse(&set, bad[i], strlen(bad[i])));
		assert_set(&set, "7");
	}
	g_assert_false(seqset_parse(&set, "1,2\0,3", 6));
	/* reads no further than told */
	g_assert_true(seqset_parse(&set, "9,xyz", 2));
	assert_set(&set, "7,9");
	seqset_clear(&set);
}

static void test_parse_words(void)
{
	struct seqset set = {0};

	g_assert_true(seqset_parse_words(&set, " 4 2  3 9 ", 10));
	assert_set(&set, "2:4,9");
	g_assert_false(seqset_parse_words(&set, "1,2", 3));
	seqset_clear(&set);
}

static char *many(unsigned n, char separator, bool backwards)
{
	GString *out = g_string_new(NULL);

	for (unsigned i = 0; i < n; i++)
		g_string_append_printf(out, "%u%c", 2 * (backwards ? n - i : i + 1), separator);
	return g_string_free(out, FALSE);
}

static void test_limit(void)
{
	static const unsigned counts[] = {LIMIT_TOKENS - 1, LIMIT_TOKENS, LIMIT_TOKENS + 1};

	for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
		struct seqset set = {0};
		g_autofree char *text = many(counts[i], ',', false);
		g_assert_cmpint(seqset_parse(&set, text, strlen(text)), ==,
				counts[i] <= LIMIT_TOKENS);
		g_assert_cmpuint(seqset_count(&set), ==, counts[i] <= LIMIT_TOKENS ? counts[i] : 0);
		seqset_clear(&set);
	}
}

/* An order made to be slow must not be. */
static void test_backwards(void)
{
	struct seqset set = {0};
	g_autofree char *text = many(150000, ' ', true);
	gint64 start = g_get_monotonic_time();

	g_assert_true(seqset_parse_words(&set, text, strlen(text)));
	g_assert_cmpuint(seqset_count(&set), ==, 150000);
	g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
	seqset_clear(&set);
}

static void assert_list(const char *text, const char *expected)
{
	g_autoptr(GArray) list = seqset_parse_list(text, strlen(text));
	g_autoptr(GString) out = g_string_new(NULL);

	for (unsigned i = 0; list && i < list->len; i++) {
		const struct seqrange *range = &g_array_index(list, struct seqrange, i);

		g_string_append_printf(out, "%u-%u ", range->first, range->last);
	}
	g_assert_cmpstr(list ? out->str : NULL, ==, expected);
}

/* In the order of the text. */
static void test_parse_list(void)
{
	assert_list("5", "5-5 ");
	assert_list("9,3:5,1", "9-9 3-5 1-1 ");
	assert_list("5:3,1", "3-5 1-1 ");
	assert_list("3,4,5", "3-5 ");
	assert_list("5,4,3", "5-5 4-4 3-3 ");
	assert_list("5,5", "5-5 5-5 ");
	assert_list("1:4294967295,1", "1-4294967295 1-1 ");
	assert_list("", NULL);
	assert_list(",", NULL);
	assert_list("0", NULL);
	assert_list("1:0", NULL);
	assert_list("1:*", NULL);
	assert_list("1,x", NULL);
	assert_list("4294967296", NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/seqset/add", test_add);
	g_test_add_func("/seqset/remove", test_remove);
	g_test_add_func("/seqset/top", test_top);
	g_test_add_func("/seqset/contains", test_contains);
	g_test_add_func("/seqset/next", test_next);
	g_test_add_func("/seqset/random", test_random);
	g_test_add_func("/seqset/parse", test_parse);
	g_test_add_func("/seqset/parse-bad", test_parse_bad);
	g_test_add_func("/seqset/parse-words", test_parse_words);
	g_test_add_func("/seqset/parse-list", test_parse_list);
	g_test_add_func("/seqset/limit", test_limit);
	g_test_add_func("/seqset/backwards", test_backwards);
	return g_test_run();
}
