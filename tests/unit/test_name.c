/* Names of folders: every component has exactly one, every name at most one component. */

#include "tree/name.h"

#include <string.h>

struct name_case {
	const char *raw;
	const char *name;
};

static const struct name_case cases[] = {
	{"INBOX", "INBOX"},
	{"a b", "a b"},
	{" lead", " lead"},
	{"trail ", "trail "},
	{"trail.", "trail."},
	{"a*b\"c\\d~", "a*b\"c\\d~"},
	{"a.b", "a.b"},
	/* modified UTF-7 */
	{"Entw&APw-rfe", "Entw\xC3\xBCrfe"},
	{"a&-b", "a&b"},
	{"&ZeVnLIqe-", "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E"},
	{"&2D3eAA-", "\xF0\x9F\x98\x80"},
	/* what an entry cannot hold */
	{"", "%00"},
	{".", "%2E"},
	{"..", "%2E."},
	{".git", "%2Egit"},
	{".mailfs", "%2Emailfs"},
	{"a/b", "a%2Fb"},
	{"/", "%2F"},
	{"100%", "100%25"},
	{"%41", "%2541"},
	{"%26", "%2526"},
	{"%00", "%2500"},
	{"%~x", "%25~x"},
	/* what looks like a message */
	{"1.eml", "1%2Eeml"},
	{".eml", "%2Eeml"},
	{"a.eml.eml", "a.eml%2Eeml"},
	{"a.EML", "a.EML"},
	{"eml", "eml"},
	/* encoded controls and marks that fool a reader */
	{"a&AAk-b", "a%09b"},
	{"a&AAo-b", "a%0Ab"},
	{"&ABs-[2J", "%1B[2J"},
	{"&AH8-", "%7F"},
	{"&AIU-", "%C2%85"},
	{"a&IC4-b", "a%E2%80%AEb"},
	{"a&IAs-b", "a%E2%80%8Bb"},
	/* not canonical: shown as bytes, and never like a canonical one */
	{"&bad", "%26bad"},
	{"a&b", "a%26b"},
	{"&AGE-", "%26AGE-"},
	{"&AOQ-&APY-", "%26AOQ-%26APY-"},
	{"\xFF", "%~%FF"},
	{"\xC3\xA4", "%~\xC3\xA4"},
	{"a\tb", "%~a%09b"},
	{"\xE2\x80\xAE", "%~%E2%80%AE"},
	{"&\xFF/%.", "%26%FF%2F%25."},
	{".\xFF.eml", "%~%2E%FF%2Eeml"},
};

static void test_table(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *name = name_from_raw(cases[i].raw, false);
		g_autofree char *raw = name_to_raw(cases[i].name, false);

		g_assert_cmpstr(name, ==, cases[i].name);
		g_assert_cmpstr(raw, ==, cases[i].raw);
	}
}

static void test_outbox(void)
{
	g_autofree char *root = name_from_raw("outbox", true);
	g_autofree char *child = name_from_raw("outbox", false);
	g_autofree char *other = name_from_raw("Outbox", true);
	g_autofree char *raw = name_to_raw("%6Futbox", true);

	g_assert_cmpstr(root, ==, "%6Futbox");
	g_assert_cmpstr(child, ==, "outbox");
	g_assert_cmpstr(other, ==, "Outbox");
	g_assert_cmpstr(raw, ==, "outbox");
	g_assert_null(name_to_raw("outbox", true));
	g_assert_null(name_to_raw("%6Futbox", false));
}

/* Only one spelling of a name resolves. */
static void test_refused(void)
{
	static const char *const names[] = {
		"%41",	  "%",	    "%4",   "%4x",   "%2f",  "a%00b", "%00%00", ".",
		"..",	  ".git",   "a/b",  "1.eml", "\xFF", "a%FFb", "a%7Fb%", "%~abc",
		"%~a%26", "a%26%4", "\x1B", "\t",    "",     "%~",    "%~%00",	"%26-",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *raw = name_to_raw(names[i], false);

		if (raw != NULL)
			g_test_message("%zu", i);
		g_assert_null(raw);
	}
}

static char *repeat(const char *text, size_t times)
{
	GString *out = g_string_new(NULL);

	while (times-- > 0)
		g_string_append(out, text);
	return g_string_free(out, FALSE);
}

static void check_long(const char *raw, size_t want)
{
	g_autofree char *name = name_from_raw(raw, false);
	g_autofree char *back = name_to_raw(name, false);

	g_assert_cmpuint(strlen(name), ==, want);
	g_assert_true(g_utf8_validate(name, -1, NULL));
	g_assert_true(name_is_cut(name) == (back == NULL));
	if (back != NULL)
		g_assert_cmpstr(back, ==, raw);
}

static void test_long(void)
{
	g_autofree char *fits = repeat("x", 255), *over = repeat("x", 256);
	g_autofree char *escaped = repeat("%", 85), *escaped_over = repeat("%", 86);
	g_autofree char *umlauts = repeat("&APw-", 128), *longest = repeat("y", 1000);

	check_long(fits, 255);
	check_long(over, 252);
	check_long(escaped, 255);
	check_long(escaped_over, 252);
	check_long(longest, 252);
	/* Not canonical: "%26APw-" again and again, and an escape is not cut. */
	check_long(umlauts, 240 / 7 * 7 + 12);
}

static void test_long_characters(void)
{
	g_autoptr(GString) raw = g_string_new("x&");
	g_autofree char *name = NULL, *other = NULL;

	/* U+FC over and over: 16-bit units 00FC 00FC 00FC are eight base64 characters. */
	for (int i = 0; i < 50; i++)
		g_string_append(raw, "APwA,AD8");
	g_string_append(raw, "-");
	name = name_from_raw(raw->str, false);
	g_assert_true(name_is_cut(name));
	/* One odd byte, then characters of two: 239 bytes are kept. */
	g_assert_cmpuint(strlen(name), ==, 239 + 12);
	g_assert_true(g_utf8_validate(name, -1, NULL));
	/* The same start, another component. */
	g_string_append(raw, "z");
	other = name_from_raw(raw->str, false);
	g_assert_cmpint(memcmp(name, other, 239), ==, 0);
	g_assert_cmpstr(name, !=, other);
}

/* Bytes that make trouble are likelier than others. */
static char *random_raw(size_t max)
{
	static const char *const parts[] = {"%",    "%26",   "%~",	 "&",	  "&-",	 ".",
					    ".eml", "/",     "outbox",	 "&APw-", "%2E", "&AGE-",
					    "\t",   "&AAk-", "\xC3\xA4", "&IC4-", "a",	 "\xFF",
					    "26",   "~",     "\x7F",	 "%00",	  "E",	 "-"};
	g_autoptr(GString) raw = g_string_new(NULL);
	int count = g_test_rand_int_range(0, (int)max);

	for (int i = 0; i < count; i++) {
		if (g_test_rand_int_range(0, 4) != 0)
			g_string_append(raw, parts[g_test_rand_int_range(0, G_N_ELEMENTS(parts))]);
		else
			g_string_append_c(raw, (char)g_test_rand_int_range(1, 256));
	}
	return g_string_free(g_steal_pointer(&raw), FALSE);
}

static void check_name(const char *name)
{
	g_assert_true(g_utf8_validate(name, -1, NULL));
	g_assert_cmpuint(strlen(name), >, 0);
	g_assert_cmpuint(strlen(name), <=, NAME_MAX_BYTES);
	g_assert_cmpint(name[0], !=, '.');
	g_assert_null(strchr(name, '/'));
	g_assert_false(name_is_message_like(name));
}

static void check_random(GHashTable *seen, const char *raw, bool at_root)
{
	g_autofree char *name = name_from_raw(raw, at_root);
	g_autofree char *back = name_to_raw(name, at_root);
	const char *other = g_hash_table_lookup(seen, name);

	check_name(name);
	if (at_root)
		g_assert_cmpstr(name, !=, "outbox");
	if (name_is_cut(name))
		g_assert_null(back);
	else
		g_assert_cmpstr(back, ==, raw);
	if (other != NULL)
		g_assert_cmpstr(other, ==, raw);
	else
		g_hash_table_insert(seen, g_steal_pointer(&name), g_strdup(raw));
}

static void test_random(void)
{
	g_autoptr(GHashTable) root = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autoptr(GHashTable) child =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

	for (int i = 0; i < 20000; i++) {
		g_autofree char *raw = random_raw(i % 10 == 0 ? 200 : 4);

		check_random(root, raw, true);
		check_random(child, raw, false);
	}
}

/* Whatever resolves is the name of what it resolves to. */
static void test_random_names(void)
{
	for (int i = 0; i < 20000; i++) {
		g_autofree char *name = random_raw(4);
		g_autofree char *raw = name_to_raw(name, false);
		g_autofree char *again = raw != NULL ? name_from_raw(raw, false) : NULL;

		if (raw != NULL)
			g_assert_cmpstr(again, ==, name);
	}
}

static void test_parse_message(void)
{
	static const char *const bad[] = {
		"",	   "eml",
		".eml",	   "0.eml",
		"01.eml",  "4294967296.eml",
		"-1.eml",  "+1.eml",
		" 1.eml",  "1eml",
		"1.EML",   "1..eml",
		"1.eml.",  "1.eml ",
		"1a.eml",  "a.eml",
		"1.a.em",  "1.a.emll",
		"1,a.eml", "99999999999999999999.eml",
		"0x1.eml", "1.aeml",
		"1",	   "1.",
	};
	static const char *const good[] = {"1.eml", "1.a.eml", "1.eml.eml", "1.a.b.eml"};
	uint32_t uid = 7;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(name_parse_message(bad[i], &uid));
	g_assert_cmpuint(uid, ==, 7);
	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		g_assert_true(name_parse_message(good[i], &uid));
		g_assert_cmpuint(uid, ==, 1);
	}
	g_assert_true(name_parse_message("4294967295.x.eml", &uid));
	g_assert_cmpuint(uid, ==, UINT32_MAX);
}

static void test_of_message(void)
{
	g_autofree char *name = name_of_message(UINT32_MAX, "Lunch");

	g_assert_cmpstr(name, ==, "4294967295.Lunch.eml");
}

static void test_of_whole(void)
{
	static const char *const table[][2] = {
		{"5.d", "5.eml"},
		{"4294967296.d", "4294967296.eml"},
		{"5.x.eml.d", "5.x.eml"},
		{"x.eml.d", "x.eml"},
		{"5.d.d", NULL},
		{"x.d", NULL},
		{".d", NULL},
		{"d", NULL},
		{"", NULL},
		{"5.D", NULL},
		{"5.x.d", NULL},
		{"5", NULL},
		{"5.eml", NULL},
		{"-5.d", NULL},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *whole = name_of_whole(table[i][0]);

		g_assert_cmpstr(whole, ==, table[i][1]);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/name/table", test_table);
	g_test_add_func("/name/outbox", test_outbox);
	g_test_add_func("/name/refused", test_refused);
	g_test_add_func("/name/long", test_long);
	g_test_add_func("/name/long-characters", test_long_characters);
	g_test_add_func("/name/random", test_random);
	g_test_add_func("/name/random-names", test_random_names);
	g_test_add_func("/name/parse-message", test_parse_message);
	g_test_add_func("/name/of-message", test_of_message);
	g_test_add_func("/name/of-whole", test_of_whole);
	return g_test_run();
}
