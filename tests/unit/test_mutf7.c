#include "protocol/mutf7.h"

#include <string.h>

static void test_both_ways(void)
{
	static const struct {
		const char *encoded;
		const char *utf8;
	} rows[] = {
		{"", ""},
		{"INBOX", "INBOX"},
		{"a/b.c d~!", "a/b.c d~!"},
		{"&-", "&"},
		{"a&-b&-", "a&b&"},
		{"&AOQ-", "ä"},
		{"Entw&APw-rfe", "Entwürfe"},
		{"&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-", "Отправленные"},
		{"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"},
		{"&2D3eAA-", "😀"},
		{"&2D3eANg93gE-x", "😀😁x"},
		{"nl&AAo-x", "nl\nx"},
		{"esc&ABs-[31m", "esc\033[31m"},
		{"&AH8-", "\177"},
		{"&AOQ-&-&AOQ-", "ä&ä"},
		{"&AOQ--", "ä-"},
		{"&,,8-", "\xef\xbf\xbf"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *utf8 = mutf7_decode(rows[i].encoded, strlen(rows[i].encoded));
		g_autofree char *encoded = mutf7_encode(rows[i].utf8);
		g_assert_cmpstr(utf8, ==, rows[i].utf8);
		g_assert_cmpstr(encoded, ==, rows[i].encoded);
	}
}

static void test_refused(void)
{
	static const char *const bad[] = {
		"&",	      "a&",	  "&bad",     "&AGE-",	  /* a, encoded without need */
		"&ACY-",					  /* "&" likewise */
		"&AAA-",					  /* NUL */
		"&AOQ",						  /* not closed */
		"&AOQ=-",     "&AO/-",	  "&A-",      "&AO-",	  /* bits missing */
		"&AOR-",					  /* bits left over */
		"&AOQA-",					  /* a digit too many */
		"&AOQ-&AOQ-",					  /* two shifts in a row */
		"&2D0-",      "&3gA-",	  "&3gDYPQ-", "&2D0AYQ-", /* halves of pairs */
		"&2D3YPQ-",   "\xc3\xa4", "a\tb",     "\x7f",	  "\x01", "&AOQ\xc3-", "& -",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_null(mutf7_decode(bad[i], strlen(bad[i])));
	g_assert_null(mutf7_decode("a\0b", 3));
	g_assert_null(mutf7_decode("&A\0OQ-", 6));
}

static void test_length(void)
{
	g_autofree char *text = mutf7_decode("INBOX&", 5);

	g_assert_cmpstr(text, ==, "INBOX");
}

static void test_all_characters(void)
{
	for (gunichar c = 1; c <= 0x10ffff; c += c < 0x3000 ? 1 : 37) {
		char utf8[8] = "x";
		g_autofree char *encoded = NULL;
		g_autofree char *decoded = NULL;

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		utf8[1 + g_unichar_to_utf8(c, utf8 + 1)] = 0;
		encoded = mutf7_encode(utf8);
		decoded = mutf7_decode(encoded, strlen(encoded));
		g_assert_cmpstr(decoded, ==, utf8);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mutf7/both-ways", test_both_ways);
	g_test_add_func("/mutf7/refused", test_refused);
	g_test_add_func("/mutf7/length", test_length);
	g_test_add_func("/mutf7/all-characters", test_all_characters);
	return g_test_run();
}
