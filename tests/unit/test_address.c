#include "base/error.h"
#include "outbox/address.h"

#include <string.h>

#define U_UMLAUT "\xc3\xbc"

static char *parse(const char *value, GError **error)
{
	g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func(g_free);

	if (!address_list_parse(value, addresses, error)) {
		g_assert_cmpuint(addresses->len, ==, 0);
		return NULL;
	}
	g_ptr_array_add(addresses, NULL);
	return g_strjoinv(" | ", (char **)addresses->pdata);
}

struct list_case {
	const char *value;
	const char *addresses;
};

static void check_lists(const struct list_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *addresses = parse(cases[i].value, &error);

		g_assert_no_error(error);
		g_assert_cmpstr(addresses, ==, cases[i].addresses);
	}
}

static void check_refused(const char *const *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *addresses = parse(values[i], &error);

		if (addresses)
			g_test_message("[%s] was taken", values[i]);
		g_assert_error(error, MAILFS_ERROR, ERROR_REFUSED);
		g_assert_null(strpbrk(error->message, "\r\n\x1b"));
		g_assert_cmpuint(strlen(error->message), <, 200);
	}
}

/* RFC 5322 appendix A.1, A.5 and A.6. */
static void test_rfc5322(void)
{
	static const struct list_case cases[] = {
		{"John Doe <jdoe@machine.example>", "jdoe@machine.example"},
		{"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
		 "mary@x.test | jdoe@example.org | one@y.test"},
		{"<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
		 "boss@nil.test | sysservices@example.net"},
		{"\"Joe Q. Public\" <john.q.public@example.com>", "john.q.public@example.com"},
		{"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
		 "c@a.test | joe@where.test | jdoe@one.test"},
		{"Undisclosed recipients:;", ""},
		{"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
		 "pete@silly.test"},
		{"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
		 "         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end "
		 "of "
		 "the group)",
		 "c@public.example | joe@example.org | jdoe@one.test"},
		{"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", ""},
		{"Joe Q. Public <john.q.public@example.com>", "john.q.public@example.com"},
		{"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
		 "mary@example.net | jdoe@test.example"},
	};

	check_lists(cases, G_N_ELEMENTS(cases));
}

static void test_lists(void)
{
	static const struct list_case cases[] = {
		{"", ""},
		{" (nobody) ", ""},
		{",a@b,,c@d,", "a@b | c@d"},
		{"a@b, (c@d) e@f", "a@b | e@f"},
		{"(a (nested \\( @) b) a@b (c)", "a@b"},
		{" a @ b ", "a@b"},
		{"a . b @ c", "a.b@c"},
		{"<@a,@b:c@d>", "c@d"},
		{"G: a@b, H <c@d>; , e@f", "a@b | c@d | e@f"},
		{"G:;, H:;", ""},
		{"\"G:;,\" <a@b>", "a@b"},
		{"\"a@b\" <c@d>", "c@d"},
		{"\"<a@b>\" <c@d>", "c@d"},
		{"x. <a@b>", "a@b"},
		{"a@b, c@d, a@b", "a@b | c@d | a@b"}, /* as they stand */
		/* local parts */
		{"\"attacker@evil.com x\"@internal.org", "\"attacker@evil.com x\"@internal.org"},
		{"\"a b\"@c, \"a\\\"b\"@c, \"<>\"@c, \",;:\"@c",
		 "\"a b\"@c | \"a\\\"b\"@c | \"<>\"@c | \",;:\"@c"},
		{"\"(no comment)\"@c", "\"(no comment)\"@c"},
		{"\"a\r\n b\"@c", "\"a b\"@c"},
		{"-x@b, !#$%&'*+-/=?^_`{|}~@b", "-x@b | !#$%&'*+-/=?^_`{|}~@b"},
		{"Case@b", "Case@b"},
		/* domains */
		{"a@[127.0.0.1], b@[IPv6:::1]", "a@[127.0.0.1] | b@[IPv6:::1]"},
		{"a@xn--bcher-kva.example", "a@xn--bcher-kva.example"},
		{"a@x.xn--bcher-kva.example", "a@x.xn--bcher-kva.example"},
		{"a@xn--strae-oqa.example", "a@xn--strae-oqa.example"},
		{"a@localhost", "a@localhost"},
		/* folds of each kind */
		{"a@b,\r\n c@d,\n\te@f,\r g@h\r\n", "a@b | c@d | e@f | g@h"},
		{"a@b,\r\n \r\n c@d", "a@b | c@d"},
	};

	check_lists(cases, G_N_ELEMENTS(cases));
}

/* Display names may be anything, also not UTF-8. */
static void test_names(void)
{
	static const struct list_case cases[] = {
		{"=?utf-8?q?foo=40bar.org?= <a@b>", "a@b"},
		{"=?utf-8?q?a=3Cc=40d=3E=2C?= <a@b>", "a@b"},
		{"=?utf-8?q?a=0D=0ARCPT?= <a@b>", "a@b"},
		{"=?utf-8?b?!!!?= <a@b>, =?x?q?y?= <c@d>", "a@b | c@d"},
		{"\"=?utf-8?q?a=00b?=\" <a@b>", "a@b"},
		{"J\xfcrgen <a@b>, \"J\xfcrgen\" <c@d>", "a@b | c@d"},
		{"J" U_UMLAUT "rgen <a@b>", "a@b"},
		{"a@b (J\xfcrgen)", "a@b"},
	};

	check_lists(cases, G_N_ELEMENTS(cases));
}

static void test_rfc6532(void)
{
	static const struct list_case cases[] = {
		{U_UMLAUT "@b" U_UMLAUT "cher.example", U_UMLAUT "@b" U_UMLAUT "cher.example"},
		{"J <j" U_UMLAUT "rgen@x.example>", "j" U_UMLAUT "rgen@x.example"},
		{"\"j" U_UMLAUT " x\"@x.example", "\"j" U_UMLAUT " x\"@x.example"},
		{"\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b\xe5\xad\x90.\xe6\xb5\x8b\xe8\xaf\x95",
		 "\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b\xe5\xad\x90.\xe6\xb5\x8b\xe8\xaf\x95"},
	};

	check_lists(cases, G_N_ELEMENTS(cases));
}

static void test_refused(void)
{
	static const char *const values[] = {
		/* no domain */
		"root",
		"foo <a@b>, Bar",
		"root, Bob <a@b>",
		"Doe, John <a@b>",
		"<root>",
		"root@",
		"@foo",
		"<>",
		"<a@b>, <>",
		/* not parted */
		"a@b c@d",
		"a@b; c@d",
		"a@b;",
		";",
		"Bob <a@b> trailing",
		"<a@b> <c@d>",
		"a@b <c@d>",
		"Bob a@b",
		"a b@c",
		"a@b c",
		"a@b@c",
		/* does not end, or begin */
		"<a@b",
		"a@b>",
		"<<a@b>>",
		"a@b (comment",
		"a@b )",
		"\"unclosed <a@b>",
		"\"a\\\"@b",
		"a@[1",
		"a@b\\",
		"a\\b@c",
		"(\\",
		/* groups */
		"G: a@b",
		"G:",
		"mailto:a@b",
		"<mailto:a@b>",
		"G: H: a@b;;",
		"G: a@b; c@d",
		"G: a@b; H: c@d;",
		":;",
		": a@b;",
		"a@b: c@d;",
		"<a@b>: c@d;",
		"G: a@b;;",
		/* addresses */
		"a..b@c",
		".a@c",
		"a.@c",
		"a@b..c",
		"a@.b",
		"a@b.",
		"\"a\"b@c",
		"\"a\".\"b\"@c",
		"a.\"b\"@c",
		"a@\"b\"",
		"a@[]",
		"a@[x y]",
		"a@[[x]",
		"a@[1]b",
		"a@b!c",
		"<@a:@b:c@d>",
		"<@a c@d>",
		"[x] <a@b>",
		/* encoded words are no addresses */
		"=?utf-8?q?foo=40bar.org?=",
		"=?utf-8?q?foo?=@b",
		"=?utf-8?q?a=0d=0aRCPT?=@b",
		"a@=?utf-8?q?b?=",
		"a@b, =?utf-8?q?c=40d=2C?= e@f",
		"\"=?utf-8?q?a?=\"@b",
	};

	check_refused(values, G_N_ELEMENTS(values));
}

static void test_controls(void)
{
	static const char *const values[] = {
		"a@b\r\nRCPT TO:<c@d>",
		"a@b\nc@d",
		"a@b\rc@d",
		"a@b,\r\n\r\n c@d",
		"a@b\n\n",
		"\"a\nb\"@c",
		"\"a\\\nb\"@c",
		"\"a\x01\"@c",
		"\"a\\\x7f\"@c",
		"\"a\tb\"@c",
		"a\x1b@b",
		"a@b\x01",
		"a\x7f@b",
		"\x1b[31m <a@b>",
		/* not UTF-8 */
		"x\xff@b.c",
		"\"x\xff\"@b.c",
		"a@b\xff.c",
		"a@\xc3",
		/* what nobody sees */
		"a\xc2\x85@b",
		"a@b\xe2\x80\xae.c",
		"a\xe2\x80\x8b@b",
		"a@\xef\xbb\xbf.b",
	};

	check_refused(values, G_N_ELEMENTS(values));
}

static void test_message(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GError) control = NULL;

	g_assert_null(parse("foo <a@b>, Bar", &error));
	g_assert_cmpstr(error->message, ==, "'Bar' is no address: it has no domain");
	g_assert_null(parse("a@b, x y@z , c@d\r\nRCPT", &control));
	g_assert_cmpstr(control->message, ==,
			"'a@b, x y@z , c@d\\x0D\\x0ARCPT' holds a control character");
}

/* What is there stays there. */
static void test_appends(void)
{
	g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func(g_free);

	g_assert_true(address_list_parse("a@b", addresses, NULL));
	g_assert_false(address_list_parse("c@d, e", addresses, NULL));
	g_assert_cmpuint(addresses->len, ==, 1);
	g_assert_true(address_list_parse("f@g", addresses, NULL));
	g_assert_cmpuint(addresses->len, ==, 2);
	g_assert_cmpstr(addresses->pdata[1], ==, "f@g");
}

static char *repeated(const char *text, unsigned times)
{
	GString *out = g_string_new(NULL);

	while (times-- > 0)
		g_string_append(out, text);
	return g_string_free(out, FALSE);
}

static bool is_fine(unsigned local, unsigned domain)
{
	g_autofree char *before = repeated("x", local);
	g_autofree char *after = repeated("y", domain);
	g_autofree char *address = g_strdup_printf("%s@%s", before, after);
	g_autofree char *listed = parse(address, NULL);

	g_assert_cmpint(address_check(address, NULL), ==, listed != NULL);
	return listed != NULL;
}

static void test_limits(void)
{
	g_assert_true(is_fine(1, 1));
	g_assert_false(is_fine(0, 1));
	g_assert_false(is_fine(1, 0));
	g_assert_true(is_fine(63, 5));
	g_assert_true(is_fine(64, 5));
	g_assert_false(is_fine(65, 5));
	g_assert_true(is_fine(5, 254));
	g_assert_true(is_fine(5, 255));
	g_assert_false(is_fine(5, 256));
}

/* As large as a header can be: in time, and on a stack of this size. */
static void test_depth(void)
{
	static const char *const units[] = {"a:", "(",	 "<",	 "\"", "[",
					    "\\", "G:;", "a@b;", "@",  ";"};
	g_autofree char *commas = repeated(",", 1000000);
	g_autofree char *comments = repeated("(a(b)c)", 100000);
	g_autofree char *many = repeated("N N <a@b>, ", 20000);
	g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func(g_free);

	for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
		g_autofree char *value = repeated(units[i], 300000);
		const char *const values[] = {value};

		check_refused(values, 1);
	}
	g_assert_true(address_list_parse(commas, addresses, NULL));
	g_assert_true(address_list_parse(comments, addresses, NULL));
	g_assert_cmpuint(addresses->len, ==, 0);
	g_assert_true(address_list_parse(many, addresses, NULL));
	g_assert_cmpuint(addresses->len, ==, 20000);
}

/* Bare ones: no names, no comments, no spaces. */
static void test_check(void)
{
	static const char *const bad[] = {"",	     "a",      "@",	"a@",	    "@b",
					  "<a@b>",   "a @b",   " a@b",	"a@b ",	    "N <a@b>",
					  "a@b,c@d", "a(x)@b", "a@b\n", "a@b\r\nX", "a@b c",
					  "a@b>",    "a>@b",   "\"a@b", "\"\"\"@b"};
	static const char *const good[] = {"a@b",	  "-a@b",
					   "\"a b\"@c",	  "\"\"@b",
					   "a@[1.2.3.4]", "j" U_UMLAUT "@b" U_UMLAUT ".c"};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(address_check(bad[i], &error));
		g_assert_error(error, MAILFS_ERROR, ERROR_REFUSED);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_true(address_check(good[i], NULL));
}

static void test_equal(void)
{
	g_assert_true(address_equal("a@B.c", "a@b.C"));
	g_assert_cmpuint(address_hash("a@B.c"), ==, address_hash("a@b.C"));
	g_assert_false(address_equal("A@b.c", "a@b.c"));
	g_assert_false(address_equal("a@b", "a@bc"));
	g_assert_false(address_equal("a@b", "ab@b"));
	g_assert_true(address_equal("\"x@Y\"@z", "\"x@Y\"@Z"));
	g_assert_false(address_equal("\"x@Y\"@z", "\"x@y\"@z"));
}

static void check_ascii(const char *address, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *ascii = address_to_ascii(address, &error);

	g_assert_cmpstr(ascii, ==, expected);
	if (!expected)
		g_assert_error(error, MAILFS_ERROR, ERROR_REFUSED);
}

static void test_ascii(void)
{
	g_autofree char *label = repeated(U_UMLAUT, 60);
	g_autofree char *label_long = g_strconcat("a@", label, ".example", NULL);

	check_ascii("a@b", "a@b");
	check_ascii("a@B.Example", "a@B.Example");
	check_ascii("a@b" U_UMLAUT "cher.example", "a@xn--bcher-kva.example");
	check_ascii("a@B\xc3\x9c"
		    "CHER.example",
		    "a@xn--bcher-kva.example");
	check_ascii("j" U_UMLAUT "@b" U_UMLAUT "cher.example",
		    "j" U_UMLAUT "@xn--bcher-kva.example");
	check_ascii("a@[1.2.3.4]", "a@[1.2.3.4]");
	/* what would be read as something else */
	check_ascii("a@\xe2\x84\x80.example", NULL);		  /* "a/c" */
	check_ascii("a@\xef\xbd\x81.example", NULL);		  /* a wide "a" */
	check_ascii("a@\xef\xbc\xa0.example", NULL);		  /* a wide "@" */
	check_ascii("a@b\xe3\x80\x82" U_UMLAUT ".example", NULL); /* another full stop */
	check_ascii(label_long, NULL);
}

static void test_needs_utf8(void)
{
	g_assert_false(address_needs_utf8("a@b"));
	g_assert_false(address_needs_utf8("a@b" U_UMLAUT));
	g_assert_true(address_needs_utf8("\"" U_UMLAUT "\"@b"));
	g_assert_true(address_needs_utf8(U_UMLAUT "@b"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/address/rfc5322", test_rfc5322);
	g_test_add_func("/address/lists", test_lists);
	g_test_add_func("/address/names", test_names);
	g_test_add_func("/address/rfc6532", test_rfc6532);
	g_test_add_func("/address/refused", test_refused);
	g_test_add_func("/address/controls", test_controls);
	g_test_add_func("/address/message", test_message);
	g_test_add_func("/address/appends", test_appends);
	g_test_add_func("/address/limits", test_limits);
	g_test_add_func("/address/depth", test_depth);
	g_test_add_func("/address/check", test_check);
	g_test_add_func("/address/equal", test_equal);
	g_test_add_func("/address/ascii", test_ascii);
	g_test_add_func("/address/needs-utf8", test_needs_utf8);
	return g_test_run();
}
