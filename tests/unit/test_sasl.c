#include "protocol/sasl.h"

#include <string.h>

static void check_plain(const char *user, const char *password, const char *expected,
			size_t expected_len)
{
	char *message = sasl_plain(user, password);
	g_autofree guchar *bytes = NULL;
	gsize len;

	g_assert_nonnull(message);
	g_assert_null(strpbrk(message, "\r\n"));
	bytes = g_base64_decode(message, &len);
	g_assert_cmpmem(bytes, (int)len, expected, (int)expected_len);
	sasl_free(&message);
	g_assert_null(message);
}

static void test_plain(void)
{
	/* RFC 4616 section 4, without an authorisation identity. */
	check_plain("tim", "tanstaaftanstaaf", "\0tim\0tanstaaftanstaaf", 21);
	check_plain("j\xc3\xbcrgen", "\xc3\xa9\r\n\"\\", "\0j\xc3\xbcrgen\0\xc3\xa9\r\n\"\\", 15);
	check_plain("", "", "\0\0", 2);
}

static void test_plain_long(void)
{
	g_autofree char *password = g_strnfill(16 * 1024, 'x');
	g_autofree char *expected = g_strdup_printf("_u_%s", password);

	expected[0] = expected[2] = '\0';
	check_plain("u", password, expected, 16 * 1024 + 3);
}

static void test_initial(void)
{
	char *message = sasl_initial("", 0);

	g_assert_cmpstr(message, ==, "=");
	sasl_free(&message);
	message = sasl_initial("\0", 1);
	g_assert_cmpstr(message, ==, "AA==");
	sasl_free(&message);
	sasl_free(&message);
}

static void test_response(void)
{
	char *message = sasl_response("alice", 5);

	g_assert_cmpstr(message, ==, "YWxpY2U=");
	sasl_free(&message);
	message = sasl_response("", 0);
	g_assert_cmpstr(message, ==, "");
	sasl_free(&message);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sasl/plain", test_plain);
	g_test_add_func("/sasl/plain-long", test_plain_long);
	g_test_add_func("/sasl/initial", test_initial);
	g_test_add_func("/sasl/response", test_response);
	return g_test_run();
}
