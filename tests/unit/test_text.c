#include "base/text.h"

#include <glib.h>
#include <string.h>

static void assert_clean(const char *text, gssize len, size_t max, const char *want)
{
	g_autofree char *clean = text_clean(text, len, max);

	g_assert_cmpstr(clean, ==, want);
	g_assert_cmpuint(strlen(clean), <=, max);
}

static void test_keeps(void)
{
	assert_clean("", -1, 10, "");
	assert_clean("plain text", -1, 100, "plain text");
	assert_clean("Gr\xc3\xbc\xc3\x9f"
		     "e \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x90\xa7",
		     -1, 100,
		     "Gr\xc3\xbc\xc3\x9f"
		     "e \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x90\xa7");
	assert_clean("only three", 4, 100, "only");
}

static void test_escapes(void)
{
	assert_clean("a\r\nb\tc", -1, 100, "a\\x0D\\x0Ab\\x09c");
	assert_clean("\033[31mred\177", -1, 100, "\\x1B[31mred\\x7F");
	assert_clean("a\0b", 3, 100, "a\\x00b");
	assert_clean("\xc2\x9b"
		     "1m",
		     -1, 100, "\\xC2\\x9B1m");
	assert_clean("\xe2\x80\xaegpj.exe", -1, 100, "\\xE2\\x80\\xAEgpj.exe");
	assert_clean("\xf3\xa0\x81\x81", -1, 100, "\\xF3\\xA0\\x81\\x81");
}

static void test_invalid_utf8(void)
{
	assert_clean("\xff\xfe", -1, 100, "\\xFF\\xFE");
	assert_clean("\xc0\xaf", -1, 100, "\\xC0\\xAF");
	assert_clean("\xed\xa0\x80", -1, 100, "\\xED\\xA0\\x80");
	assert_clean("\xf4\x90\x80\x80", -1, 100, "\\xF4\\x90\\x80\\x80");
	assert_clean("x\xc3", -1, 100, "x\\xC3");
	assert_clean("\xe2\x82", -1, 100, "\\xE2\\x82");
	assert_clean("\xc3\xbc", 1, 100, "\\xC3");
}

static void test_cut(void)
{
	assert_clean("abcdefg", -1, 8, "abcdefg");
	assert_clean("abcdefgh", -1, 8, "abcdefgh");
	assert_clean("abcdefghi", -1, 8, "abcde...");
	assert_clean("abcd\xc3\xbcghi", -1, 8, "abcd...");
	assert_clean("abcd\nfghi", -1, 8, "abcd...");
	assert_clean("\n\n\n", -1, 8, "\\x0A...");
	assert_clean("abcd", -1, 3, "...");
	assert_clean("abcd", -1, 2, "..");
	assert_clean("abc", -1, 3, "abc");
	assert_clean("a", -1, 0, "");
}

/* Whatever comes in, one line of harmless UTF-8 comes out. */
static void test_random(void)
{
	GRand *rand = g_rand_new_with_seed(2);

	for (unsigned i = 0; i < 5000; i++) {
		char bytes[64];
		g_autofree char *clean = NULL;
		size_t len = (size_t)g_rand_int_range(rand, 0, sizeof(bytes) + 1);
		size_t max = (size_t)g_rand_int_range(rand, 0, 100);

		for (size_t j = 0; j < len; j++)
			bytes[j] = (char)g_rand_int_range(rand, 0, 256);
		clean = text_clean(bytes, (gssize)len, max);
		g_assert_cmpuint(strlen(clean), <=, max);
		g_assert_true(g_utf8_validate(clean, -1, NULL));
		for (const char *next = clean; *next; next = g_utf8_next_char(next))
			g_assert_false(text_char_is_hostile(g_utf8_get_char(next)));
	}
	g_rand_free(rand);
}

static void test_hostile(void)
{
	static const gunichar bad[] = {
		0,	0x1f,	0x7f,	0x9f,	0xad,	 0x61c,	  0x200b,  0x200d,   0x200e,
		0x200f, 0x2028, 0x2029, 0x202a, 0x202e,	 0x2060,  0x2066,  0x2069,   0xd800,
		0xfdd0, 0xfeff, 0xfffe, 0xffff, 0xe0001, 0xe007f, 0x1fffe, 0x10ffff, 0x110000,
	};
	static const gunichar good[] = {
		' ',	'~',	0xa0,	0xe9,	0x5d0,	0x627,	0x200a, 0x2010,	 0x2027,
		0x202f, 0x205f, 0x3042, 0xd7ff, 0xe000, 0xfdf0, 0xfffd, 0x1f427, 0x10fffd,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_true(text_char_is_hostile(bad[i]));
	for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_false(text_char_is_hostile(good[i]));
}

static void test_visible(void)
{
	g_assert_true(text_is_visible(""));
	g_assert_true(text_is_visible("Gr\303\274\303\237e \345\206\231"));
	g_assert_false(text_is_visible("a\nb"));
	g_assert_false(text_is_visible("a\342\200\256b"));
	g_assert_false(text_is_visible("a\377b"));
	g_assert_false(text_is_visible("cut \303"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/text/keeps", test_keeps);
	g_test_add_func("/text/escapes", test_escapes);
	g_test_add_func("/text/invalid-utf8", test_invalid_utf8);
	g_test_add_func("/text/cut", test_cut);
	g_test_add_func("/text/random", test_random);
	g_test_add_func("/text/hostile", test_hostile);
	g_test_add_func("/text/visible", test_visible);
	return g_test_run();
}
