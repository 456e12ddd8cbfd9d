#include "base/header.h"

#include <glib.h>
#include <string.h>

/* From memory of exactly this length. Each field as "line:offset+len name=value;". */
static char *walk(const char *bytes, size_t len)
{
	g_autofree char *copy = g_memdup2(bytes, len);
	GString *out = g_string_new(NULL);
	struct header header;
	struct header_field field;

	header_init(&header, copy, len);
	while (header_next(&header, &field)) {
		g_string_append_printf(out, "%u:%zu+%zu ", field.line, field.offset, field.len);
		if (field.name)
			g_string_append_printf(out, "%.*s=%.*s;", (int)field.name_len, field.name,
					       (int)field.value_len, field.value);
		else
			g_string_append(out, "none;");
	}
	return g_string_free(out, FALSE);
}

static void check(const char *bytes, const char *expected)
{
	g_autofree char *fields = walk(bytes, strlen(bytes));

	g_assert_cmpstr(fields, ==, expected);
}

static void test_line_ends(void)
{
	check("a: b\nc: d\n", "1:0+5 a= b;2:5+5 c= d;");
	check("a: b\r\nc: d\r\n", "1:0+6 a= b;2:6+6 c= d;");
	check("a: b\rc: d\r", "1:0+5 a= b;2:5+5 c= d;");
	check("a:b\nc:d\r\ne:f\rg:h", "1:0+4 a=b;2:4+5 c=d;3:9+4 e=f;4:13+3 g=h;");
}

static void test_end(void)
{
	check("", "");
	check("\n", "");
	check("\r\na: b\n", "");
	check("a: b\n\nc: d\n", "1:0+5 a= b;");
	check("a: b\r\rc: d\n", "1:0+5 a= b;");
	check("a: b\n\rc: d\n", "1:0+5 a= b;");
	check("a: b\r\n\r\nc: d\n", "1:0+6 a= b;");
	check("a: b", "1:0+4 a= b;");
	check("a:", "1:0+2 a=;");
}

static void test_folds(void)
{
	check("a: b\n c\nd: e", "1:0+8 a= b\n c;3:8+4 d= e;");
	check("a: b\r\n\tc\r\n d\r\ne: f", "1:0+14 a= b\r\n\tc\r\n d;4:14+4 e= f;");
	check("a: b\r c\rd: e", "1:0+8 a= b\r c;3:8+4 d= e;");
	check("a:\n \nb: c", "1:0+5 a=\n ;3:5+4 b= c;");
}

static void test_names(void)
{
	check("Bcc : x", "1:0+7 Bcc= x;");
	check("Bcc \t : x", "1:0+9 Bcc= x;");
	check("!#~: x", "1:0+6 !#~= x;");
	check("a:b:c", "1:0+5 a=b:c;");
}

static void test_no_field(void)
{
	check("no field\na: b", "1:0+9 none;2:9+4 a= b;");
	check(": x", "1:0+3 none;");
	check(" a: b\nc: d", "1:0+6 none;2:6+4 c= d;");
	check("a b: c", "1:0+6 none;");
	check("a\x7f: c", "1:0+5 none;");
	check("a\xc3\xbc: c", "1:0+6 none;");
	check("a\n : b", "1:0+6 none;");
	g_autofree char *nul = walk("a\0: b\nc: \0d", 11);
	g_assert_cmpstr(nul, ==, "1:0+6 none;2:6+5 c= ;");
}

static struct header_field first(const char *bytes)
{
	struct header header;
	struct header_field field = {0};

	header_init(&header, bytes, strlen(bytes));
	g_assert_true(header_next(&header, &field));
	return field;
}

static void test_is(void)
{
	struct header_field field = first("sUbject : x");
	struct header_field none = first("none");

	g_assert_true(header_field_is(&field, "Subject"));
	g_assert_false(header_field_is(&field, "Subjec"));
	g_assert_false(header_field_is(&field, "Subjects"));
	g_assert_false(header_field_is(&none, ""));
}

static void test_text(void)
{
	struct header_field field = first("a: \t<x@\r\n y>\n\tz\r  \n");
	g_autofree char *text = header_field_text(&field);
	struct header_field empty = first("a:\r\n \t\r\n");
	g_autofree char *nothing = header_field_text(&empty);

	g_assert_cmpstr(text, ==, "<x@ y>\tz");
	g_assert_cmpstr(nothing, ==, "");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/header/line-ends", test_line_ends);
	g_test_add_func("/header/end", test_end);
	g_test_add_func("/header/folds", test_folds);
	g_test_add_func("/header/names", test_names);
	g_test_add_func("/header/no-field", test_no_field);
	g_test_add_func("/header/is", test_is);
	g_test_add_func("/header/text", test_text);
	return g_test_run();
}
