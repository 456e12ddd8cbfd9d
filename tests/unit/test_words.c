#include "base/words.h"

static void check(const char *words, const char *set, const char *clear, const char *wanted)
{
	g_autofree char *got = words_alter(words, set, clear);

	g_assert_cmpstr(got, ==, wanted);
}

static void test_alter(void)
{
	check("a b", "c", NULL, "a b c");
	check("a b", "B", NULL, "a b");
	check("a b c", NULL, "B", "a c");
	check("", "x x X", "", "x");
	check(NULL, NULL, NULL, "");
	check("  a   b ", "d", "a e", "b d");
	check("$Junk", "$NotJunk", "$junk", "$NotJunk");
	/* Set wins over clear: who asks for both wants it. */
	check("a", "a", "a", "a");
}

static void test_have(void)
{
	g_assert_true(words_have("ab cd", "CD"));
	g_assert_false(words_have("ab cd", "c"));
	g_assert_false(words_have("abc", "ab"));
	g_assert_false(words_have(NULL, "ab"));
	g_assert_false(words_have("", "ab"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/words/alter", test_alter);
	g_test_add_func("/words/have", test_have);
	return g_test_run();
}
