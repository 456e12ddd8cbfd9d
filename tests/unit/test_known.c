#include "fuse/known.h"

#define ROOT 1
#define FOLDER (UINT64_C(0x2000001) << 32)
#define OTHER (UINT64_C(0x2000002) << 32)

static uint64_t message(uint32_t epoch, uint32_t uid)
{
	return UINT64_C(3) << 60 | (uint64_t)epoch << 32 | uid;
}

static void test_counts(void)
{
	struct known *known = known_new();

	g_assert_false(known_has(known, FOLDER));
	known_add(known, ROOT, FOLDER);
	known_add(known, ROOT, FOLDER);
	known_add(known, FOLDER, message(16, 1));
	g_assert_cmpuint(known_children(known, ROOT), ==, 1);
	g_assert_cmpuint(known_children(known, FOLDER), ==, 1);

	known_forget(known, FOLDER, 1);
	g_assert_true(known_has(known, FOLDER));
	known_forget(known, FOLDER, 1);
	g_assert_false(known_has(known, FOLDER));
	g_assert_cmpuint(known_children(known, ROOT), ==, 0);
	g_assert_true(known_has(known, message(16, 1)));
	g_assert_cmpuint(known_size(known), ==, 1);
	known_free(&known);
	g_assert_null(known);
}

/* Who looks something up may be about to make it known. */
static void test_about_to_be_known(void)
{
	struct known *known = known_new();

	known_add(known, ROOT, FOLDER);
	g_assert_true(known_may_have(known, FOLDER));
	g_assert_false(known_may_have(known, OTHER));
	known_enter(known);
	known_enter(known);
	g_assert_true(known_may_have(known, OTHER));
	g_assert_false(known_has(known, OTHER));
	known_leave(known);
	g_assert_true(known_may_have(known, OTHER));
	known_leave(known);
	g_assert_false(known_may_have(known, OTHER));
	g_assert_true(known_may_have(known, FOLDER));
	known_free(&known);
}

static void test_siblings_rise(void)
{
	struct known *known = known_new();
	g_autoptr(GArray) some = NULL;
	g_autoptr(GArray) all = NULL;
	g_autoptr(GArray) none = NULL;

	for (uint32_t uid = 1000; uid > 0; uid--)
		known_add(known, FOLDER, message(16, uid));
	known_add(known, ROOT, FOLDER);
	some = known_siblings(known, message(16, 5));
	g_assert_cmpuint(some->len, ==, 1000);
	for (uint32_t i = 0; i < 1000; i++)
		g_assert_cmpuint(g_array_index(some, uint64_t, i), ==, message(16, i + 1));
	all = known_siblings(known, 0);
	g_assert_cmpuint(all->len, ==, 1001);
	g_assert_cmpuint(g_array_index(all, uint64_t, 0), ==, FOLDER);
	none = known_siblings(known, message(17, 5));
	g_assert_cmpuint(none->len, ==, 0);
	known_free(&known);
}

static void test_forget_too_much(void)
{
	struct known *known = known_new();

	known_forget(known, 0, 1);
	known_forget(known, ROOT, 7);
	known_forget(known, message(16, 1), 1);
	known_add(known, FOLDER, message(16, 1));
	known_forget(known, message(16, 1), UINT64_MAX);
	g_assert_false(known_has(known, message(16, 1)));
	known_forget(known, message(16, 1), 1);
	known_add(known, FOLDER, 0);
	g_assert_cmpuint(known_size(known), ==, 0);
	g_assert_cmpuint(known_children(known, FOLDER), ==, 0);
	known_free(&known);
}

static void test_moved(void)
{
	struct known *known = known_new();

	known_add(known, ROOT, FOLDER);
	known_add(known, OTHER, FOLDER);
	g_assert_cmpuint(known_children(known, ROOT), ==, 0);
	g_assert_cmpuint(known_children(known, OTHER), ==, 1);
	known_forget(known, FOLDER, 2);
	g_assert_cmpuint(known_children(known, OTHER), ==, 0);
	known_free(&known);
}

/* Met where its like do not belong, a node is known, but moves nobody. */
static void test_elsewhere(void)
{
	struct known *known = known_new();

	known_add(known, FOLDER, message(16, 1));
	known_add(known, 0, message(16, 1));
	known_add(known, 0, message(16, 2));
	g_assert_cmpuint(known_children(known, FOLDER), ==, 2);
	known_add(known, 0, message(17, 1));
	g_assert_true(known_has(known, message(17, 1)));
	known_add(known, OTHER, message(17, 2));
	g_assert_cmpuint(known_children(known, OTHER), ==, 2);
	g_assert_cmpuint(known_children(known, 0), ==, 0);
	known_forget(known, message(17, 1), 1);
	known_forget(known, message(17, 2), 1);
	known_forget(known, message(16, 2), 1);
	known_forget(known, message(16, 1), 2);
	g_assert_cmpuint(known_children(known, OTHER), ==, 0);
	g_assert_cmpuint(known_children(known, FOLDER), ==, 0);
	g_assert_cmpuint(known_size(known), ==, 0);
	known_free(&known);
}

/* Against a plain table, through growth, gaps and shrinking. */
static void test_random(void)
{
	enum { NODES = 3000, STEPS = 200000 };
	g_autofree uint32_t *lookups = g_new0(uint32_t, NODES);
	g_autoptr(GRand) random = g_rand_new_with_seed(7);
	struct known *known = known_new();
	uint32_t nodes = 0;

	for (int step = 0; step < STEPS; step++) {
		uint32_t i = (uint32_t)g_rand_int_range(random, 0, NODES);
		uint64_t node = message(16 + i % 3, 1 + i);

		/* Waves of adding and forgetting. */
		if (g_rand_int_range(random, 0, 100) < (step / 20000 % 2 ? 30 : 70)) {
			nodes += !lookups[i]++;
			known_add(known, FOLDER + i % 3, node);
		} else if (lookups[i]) {
			uint32_t n = 1 + (uint32_t)g_rand_int_range(random, 0, (int)lookups[i]);

			lookups[i] -= n;
			nodes -= !lookups[i];
			known_forget(known, node, n);
		}
		g_assert_true(known_has(known, node) == (lookups[i] > 0));
	}
	g_assert_cmpuint(known_size(known), ==, nodes);
	g_assert_cmpuint(known_children(known, FOLDER) + known_children(known, FOLDER + 1) +
				 known_children(known, FOLDER + 2),
			 ==, nodes);
	for (uint32_t i = 0; i < NODES; i++)
		g_assert_true(known_has(known, message(16 + i % 3, 1 + i)) == (lookups[i] > 0));
	known_free(&known);
}

static void test_siblings(void)
{
	struct known *known = known_new();
	g_autoptr(GArray) none = NULL;
	g_autoptr(GArray) found = NULL;

	for (uint32_t uid = 1; uid <= 100; uid++) {
		known_add(known, FOLDER, message(16, uid));
		known_add(known, OTHER, message(17, uid));
	}
	found = known_siblings(known, message(16, 1));
	g_assert_cmpuint(found->len, ==, 100);
	for (guint i = 0; i < found->len; i++)
		g_assert_cmpuint(g_array_index(found, uint64_t, i) >> 32, ==, message(16, 0) >> 32);
	none = known_siblings(known, message(18, 1));
	g_assert_cmpuint(none->len, ==, 0);
	known_free(&known);
}

static void test_listing(void)
{
	struct known *known = known_new();

	g_assert_cmpint(known_listing(known, FOLDER, 5, 100), ==, KNOWN_LISTING_NONE);
	for (uint32_t uid = 1; uid <= 97; uid++)
		known_add(known, FOLDER, message(16, uid));
	g_assert_cmpint(known_listing(known, FOLDER, 5, 100), ==, KNOWN_LISTING_NONE);
	known_add(known, FOLDER, message(16, 98));
	g_assert_cmpint(known_listing(known, FOLDER, 5, 100), ==, KNOWN_LISTING_CACHE);
	g_assert_cmpint(known_listing(known, FOLDER, 5, 100), ==, KNOWN_LISTING_KEEP);
	g_assert_cmpint(known_listing(known, FOLDER, 6, 99), ==, KNOWN_LISTING_CACHE);
	g_assert_cmpint(known_listing(known, FOLDER, 6, 99), ==, KNOWN_LISTING_KEEP);

	/* Dropped once: not to be taken for kept when the children are back. */
	known_forget(known, message(16, 1), 1);
	known_forget(known, message(16, 2), 1);
	g_assert_cmpint(known_listing(known, FOLDER, 6, 98), ==, KNOWN_LISTING_NONE);
	known_add(known, FOLDER, message(16, 1));
	g_assert_cmpint(known_listing(known, FOLDER, 6, 98), ==, KNOWN_LISTING_CACHE);
	known_free(&known);
}

static void test_listing_of_forgotten_folder(void)
{
	struct known *known = known_new();

	/* An empty one is cached too. */
	known_add(known, ROOT, FOLDER);
	g_assert_cmpint(known_listing(known, FOLDER, 1, 0), ==, KNOWN_LISTING_CACHE);
	g_assert_cmpint(known_listing(known, FOLDER, 1, 0), ==, KNOWN_LISTING_KEEP);
	known_forget(known, FOLDER, 1);
	known_add(known, ROOT, FOLDER);
	g_assert_cmpint(known_listing(known, FOLDER, 1, 0), ==, KNOWN_LISTING_CACHE);
	known_free(&known);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/known/counts", test_counts);
	g_test_add_func("/known/about-to-be-known", test_about_to_be_known);
	g_test_add_func("/known/siblings-rise", test_siblings_rise);
	g_test_add_func("/known/forget-too-much", test_forget_too_much);
	g_test_add_func("/known/moved", test_moved);
	g_test_add_func("/known/elsewhere", test_elsewhere);
	g_test_add_func("/known/random", test_random);
	g_test_add_func("/known/siblings", test_siblings);
	g_test_add_func("/known/listing", test_listing);
	g_test_add_func("/known/listing-of-forgotten-folder", test_listing_of_forgotten_folder);
	return g_test_run();
}
