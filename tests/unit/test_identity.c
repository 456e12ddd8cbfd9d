#include "base/limits.h"
#include "store/identity.h"

#include <glib.h>
#include <string.h>

/* From memory of exactly this length. */
static void check_bytes(const char *header, size_t len, const char *expected)
{
	g_autofree char *copy = g_memdup2(header, len);
	g_autofree char *fields = store_identity_fields(copy, len);

	g_assert_cmpstr(fields, ==, expected);
}

static void check(const char *header, const char *expected)
{
	check_bytes(header, strlen(header), expected);
}

static void test_order(void)
{
	check("Subject: s\r\nTo: t\r\nFrom: f\r\nDate: d\r\nMessage-ID: m\r\n\r\n",
	      "Message-ID:m\nDate:d\nFrom:f\nTo:t\nSubject:s\n");
	check("MESSAGE-id:m\r\nsubject: s\r\n", "Message-ID:m\nSubject:s\n");
	check("X: y\r\nSubject: s", "Subject:s\n");
}

static void test_nothing(void)
{
	check("", "");
	check("\r\n", "");
	check("X: y\r\n\r\n", "");
	check("no field\r\n:\r\n", "");
	check("Subjects: x\r\nSub ject: x\r\nXSubject: x\r\nSubject\r\n", "");
}

static void test_white_space(void)
{
	check("Subject:  a \t b\r\n\tc\r\n  d  \r\n", "Subject:a b c d\n");
	check("Subject:\r\n a\r\n", "Subject:a\n");
	check("Subject : a\r\n", "Subject:a\n");
	check("Subject:a\rb\r\n", "Subject:a b\n");
	check_bytes("Subject:a\0b\r\n", 13, "Subject:a b\n");
}

/* Some servers leave such a field out. */
static void test_empty_value(void)
{
	check("Subject:\r\nTo: \t\r\n \r\nFrom: x\r\n", "From:x\n");
	check("Subject:\r\nSubject: b\r\n", "Subject:b\n");
}

static void test_repeated(void)
{
	check("To: a\r\nTo: b\r\n", "To:a\n");
}

/* Local files may end their lines otherwise, and have a body. */
static void test_file(void)
{
	check("Subject: a\n b\nTo: x\n\nFrom: body\n", "To:x\nSubject:a b\n");
	check("Subject: a\r\n\r\nFrom: body\r\n", "Subject:a\n");
	check("From alice Thu Jan 1 00:00:00 1970\nTo: x\n", "To:x\n");
}

static void test_limit(void)
{
	for (size_t len = LIMIT_IDENTITY_VALUE - 1; len <= LIMIT_IDENTITY_VALUE + 1; len++) {
		g_autofree char *value = g_strnfill(len, 'x');
		g_autofree char *header = g_strdup_printf("Subject: %s\r\nTo: y\r\n", value);
		g_autofree char *cut = g_strndup(value, MIN(len, LIMIT_IDENTITY_VALUE));
		g_autofree char *expected = g_strdup_printf("To:y\nSubject:%s\n", cut);

		check(header, expected);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/identity/order", test_order);
	g_test_add_func("/identity/nothing", test_nothing);
	g_test_add_func("/identity/white-space", test_white_space);
	g_test_add_func("/identity/empty-value", test_empty_value);
	g_test_add_func("/identity/repeated", test_repeated);
	g_test_add_func("/identity/file", test_file);
	g_test_add_func("/identity/limit", test_limit);
	return g_test_run();
}
