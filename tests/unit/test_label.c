#include "base/text.h"
#include "engine/label.h"

#include <string.h>

static const struct {
	const char *subject;
	const char *label;
} cases[] = {
	/* plain */
	{NULL, ""},
	{"", ""},
	{"Lunch on Friday", "Lunch-on-Friday"},
	{"Re: Lunch on Friday", "Re-Lunch-on-Friday"},
	{"  --  ", ""},
	{"---a - b---", "a-b"},
	{"a_b+c=d@e-f", "a_b+c=d@e-f"},
	{"=", "="},
	{"50% off!!!", "50-off"},
	{"../..", ""},
	{"../../etc/passwd", "etc-passwd"},
	{"-rf *", "rf"},
	{".hidden", "hidden"},
	{"a\nb\r\n\tc", "a-b-c"},
	{"$(reboot) `id` \"x\" 'y' \\z", "reboot-id-x-y-z"},
	{"\x1b[31mred\x1b]0;title\x07", "31mred-0-title"},
	/* raw bytes */
	{"Gr\xc3\xbc\xc3\x9f"
	 "e aus K\xc3\xb6ln",
	 "Gr\xc3\xbc\xc3\x9f"
	 "e-aus-K\xc3\xb6ln"},
	{"e\xcc\x81t\xc3\xa9", "\xc3\xa9t\xc3\xa9"}, /* composed */
	{"Caf\xe9 cr\xe8me", "Caf\xc3\xa9-cr\xc3\xa8me"},
	{"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x80\x81\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88",
	 "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e-\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88"},
	{"\xe0\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8\xe0\xa5\x8d\xe0\xa4\xa4\xe0\xa5\x87",
	 "\xe0\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8\xe0\xa5\x8d\xe0\xa4\xa4\xe0\xa5\x87"},
	{"party \xf0\x9f\x8e\x89\xf0\x9f\x8e\x89 now", "party-now"},
	{"\xf0\x9f\x8e\x89", ""},
	/* what nobody sees */
	{"\xe2\x80\xae"
	 "fdp.exe",
	 "fdp-exe"},
	{"a\xe2\x80\x8f\xd7\xa9\xe2\x81\xa6x", "a-\xd7\xa9-x"},
	{"a\xe2\x80\x8b\xe2\x80\x8b"
	 "b\xc2\xad"
	 "c",
	 "a-b-c"},
	{"a\xef\xb8\x8f"
	 "b",
	 "a-b"},
	{"x\xe3\x85\xa4y", "x-y"},
	{"\xcc\x81\xcc\x81 a", "a"}, /* marks without a letter */
	{"5\xe2\x83\xa3", "5"},
	{"q\xcc\xb4\xcc\xb5\xcc\xb6\xcc\xb7\xcc\xb8z", "q\xcc\xb4\xcc\xb5\xcc\xb6\xcc\xb7-z"},
	/* RFC 2047 */
	{"=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Gr\xc3\xbc\xc3\x9f"
					"e"},
	{"=?iso-8859-1?q?Patrik_F=E4ltstr=F6m?=", "Patrik-F\xc3\xa4ltstr\xc3\xb6m"},
	{"=?UTF-8?B?SMOpbGzDtg==?=", "H\xc3\xa9ll\xc3\xb6"},
	{"=?utf-8?q?one?= =?utf-8?q?two?=", "onetwo"},
	{"=?utf-8?q?one?=\r\n =?utf-8?q?two?= three", "onetwo-three"},
	{"=?utf-8?B?4oKs4o?=\r\n =?utf-8?B?KsNQ==?= 1", "5-1"},
	{"=?koi8-r?B?8NLJ18XU?=", "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"},
	{"=?utf-8?q?=2E=2E=2F=2E=2E=2Fetc=0A=2Drf?=", "etc-rf"},
	{"=?utf-8?q?=E2=80=AEfdp?=", "fdp"},
	{"=?utf-8?q?e=CC=81?=", "\xc3\xa9"},
	/* broken */
	{"=?utf-8?q?open", "=-utf-8-q-open"},
	{"=?utf-8?x?abc?= z", "=-utf-8-x-abc-=-z"},
	{"=?no-such-charset?q?abc?=", "abc"},
	{"=??q??\x3d", "=-q-="},
	{"=?", "="},
	{"1 =? 2", "1-=-2"},
};

static void test_table(void)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *label = label_from_subject(cases[i].subject);
		g_autofree char *shown =
			g_strescape(cases[i].subject ? cases[i].subject : "(none)", NULL);

		g_test_message("%u: %s", i, shown);
		g_assert_cmpstr(label, ==, cases[i].label);
	}
}

static void assert_fit(const char *label)
{
	g_assert_cmpuint(strlen(label), <=, LABEL_MAX_BYTES);
	g_assert_true(g_utf8_validate(label, -1, NULL));
	g_assert_false(g_str_has_prefix(label, "-"));
	g_assert_false(g_str_has_suffix(label, "-"));
	for (const char *c = label; *c; c = g_utf8_next_char(c)) {
		g_assert_false(text_char_is_hostile(g_utf8_get_char(c)));
		g_assert_cmpint(*c, !=, '/');
	}
}

static void test_cut(void)
{
	for (unsigned len = LABEL_MAX_BYTES - 1; len <= LABEL_MAX_BYTES + 1; len++) {
		g_autofree char *subject = g_strnfill(len, 'a');
		g_autofree char *label = label_from_subject(subject);

		g_assert_cmpuint(strlen(label), ==, MIN(len, LABEL_MAX_BYTES));
	}
	/* at a character */
	for (unsigned ascii = 0; ascii < 4; ascii++) {
		g_autoptr(GString) subject = g_string_new(NULL);

		for (unsigned i = 0; i < ascii; i++)
			g_string_append_c(subject, 'a');
		for (unsigned i = 0; i < 40; i++)
			g_string_append(subject, "\xe6\x97\xa5");
		g_autofree char *label = label_from_subject(subject->str);

		g_assert_cmpuint(strlen(label), ==, ascii + (80 - ascii) / 3 * 3);
		assert_fit(label);
	}
}

/* A '-' is written only together with what follows it. */
static void test_cut_leaves_no_dash(void)
{
	for (unsigned len = LABEL_MAX_BYTES - 2; len <= LABEL_MAX_BYTES; len++) {
		g_autofree char *head = g_strnfill(len, 'a');
		g_autofree char *subject = g_strconcat(head, " b", NULL);
		g_autofree char *label = label_from_subject(subject);

		g_assert_cmpuint(strlen(label), ==, len == LABEL_MAX_BYTES - 2 ? len + 2 : len);
		assert_fit(label);
	}
}

static void test_huge(void)
{
	static const char *const pieces[] = {
		"x",	" ",	    "=?utf-8?q?=CC=81?=", "=?",
		"\xff", "\xcc\x81", "a\xcc\x81\xcc\x96",  "=?a?b?c?=\r\n "};

	for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++) {
		g_autoptr(GString) subject = g_string_new(NULL);

		while (subject->len < 1024 * 1024)
			g_string_append(subject, pieces[i]);
		gint64 before = g_get_monotonic_time();
		g_autofree char *label = label_from_subject(subject->str);

		g_assert_cmpint(g_get_monotonic_time() - before, <, G_USEC_PER_SEC);
		assert_fit(label);
	}
}

static void test_random(void)
{
	for (unsigned i = 0; i < 20000; i++) {
		static const char alphabet[] = "=?utf-8QqBb_/.- \r\n\xe2\x80\xae\xcc\x81"
					       "aA0\xff\xf0\x9f";
		char subject[64];

		for (unsigned j = 0; j < sizeof(subject) - 1; j++)
			subject[j] = alphabet[g_test_rand_int_range(0, sizeof(alphabet) - 1)];
		subject[sizeof(subject) - 1] = '\0';
		g_autofree char *label = label_from_subject(subject);

		assert_fit(label);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	label_init();
	g_test_add_func("/label/table", test_table);
	g_test_add_func("/label/cut", test_cut);
	g_test_add_func("/label/cut-leaves-no-dash", test_cut_leaves_no_dash);
	g_test_add_func("/label/huge", test_huge);
	g_test_add_func("/label/random", test_random);
	return g_test_run();
}
