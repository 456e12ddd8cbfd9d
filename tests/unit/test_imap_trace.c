#include "protocol/imap_trace.h"

#include <string.h>

static void check(const char *text, const char *expected)
{
	g_autofree char *line = imap_trace_response(text, strlen(text));

	g_assert_cmpstr(line, ==, expected);
}

static void test_lines(void)
{
	check("", "");
	check("* OK hi", "* OK hi");
	check("* OK say \"this\"", "* OK say \"this\"");
	check("a1 NO \x1b[31m", "a1 NO \\x1B[31m");
}

static void test_literals(void)
{
	check("* LIST () \"/\" {6}\r\nsecret", "* LIST () \"/\" {6}");
	check("* 1 FETCH (BODY[] {700}\r\n UID 5)", "* 1 FETCH (BODY[] {700}");
	check("* 1 FETCH (BODY[HEADER] {4}\nmail)", "* 1 FETCH (BODY[HEADER] {4}");
}

static void test_quoted_mail(void)
{
	check("* 1 FETCH (BODY[] \"mail\" UID 5)", "* 1 FETCH (BODY[] \"...\" UID 5)");
	check("* 1 fetch (BODY[] \"a\\\"b\\\\\" UID 5)", "* 1 fetch (BODY[] \"...\" UID 5)");
	check("* 1 FETCH (BODY[] \"open", "* 1 FETCH (BODY[] \"");
	check("* 1 FETCH (BODY[] \"open\\", "* 1 FETCH (BODY[] \"");
	check("*  22  FETCH \"x\" \"y\"", "*  22  FETCH \"...\" \"...\"");
}

static void test_length(void)
{
	g_autofree char *text = g_strnfill(5000, 'x');
	g_autofree char *line = imap_trace_response(text, 5000);
	g_autofree char *fetch = g_strdup_printf("* 1 FETCH %s", text);
	g_autofree char *shown = imap_trace_response(fetch, strlen(fetch));

	g_assert_cmpuint(strlen(line), <=, 200);
	g_assert_true(g_str_has_suffix(line, "..."));
	g_assert_cmpuint(strlen(shown), <=, 200);
	g_assert_true(g_str_has_suffix(shown, "..."));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/imap-trace/lines", test_lines);
	g_test_add_func("/imap-trace/literals", test_literals);
	g_test_add_func("/imap-trace/quoted-mail", test_quoted_mail);
	g_test_add_func("/imap-trace/length", test_length);
	return g_test_run();
}
