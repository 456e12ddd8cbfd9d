#include "config/auth.h"

#include <string.h>

static void check(const char *list, unsigned expected)
{
	unsigned set = 0x5000;

	if (expected)
		g_assert_true(auth_parse(list, &set));
	else
		g_assert_false(auth_parse(list, &set));
	g_assert_cmphex(set, ==, expected ? expected : 0x5000);
}

static void test_parse(void)
{
	check("plain", AUTH_PLAIN);
	check("SCRAM-SHA-256-PLUS:scram-sha-1-plus",
	      AUTH_SCRAM_SHA_256_PLUS | AUTH_SCRAM_SHA_1_PLUS);
	check("external,gssapi,oauthbearer,xoauth2",
	      AUTH_EXTERNAL | AUTH_GSSAPI | AUTH_OAUTHBEARER | AUTH_XOAUTH2);
	check("scram-sha-256:Scram-Sha-1:login:cram-md5:apop",
	      AUTH_SCRAM_SHA_256 | AUTH_SCRAM_SHA_1 | AUTH_LOGIN | AUTH_CRAM_MD5 | AUTH_APOP);
	check("plain:plain", AUTH_PLAIN);
	check("", 0);
	check(":", 0);
	check("plain:", 0);
	check(":plain", 0);
	check("plain login", 0);
	check("scram", 0);
	check("plainx", 0);
	check("scram_sha_256", 0);
}

static void test_text(void)
{
	g_autofree char *none = auth_text(0);
	g_autofree char *some = auth_text(AUTH_PLAIN | AUTH_SCRAM_SHA_256);

	g_assert_cmpstr(none, ==, "none");
	g_assert_cmpstr(some, ==, "SCRAM-SHA-256 PLAIN");
}

static void test_names(void)
{
	for (unsigned bit = AUTH_EXTERNAL; bit <= AUTH_APOP; bit <<= 1) {
		const char *name = auth_name(bit);

		g_assert_cmphex(auth_find(name, strlen(name)), ==, bit);
		g_assert_cmphex(auth_find(name, strlen(name) - 1), !=, bit);
	}
	g_assert_cmphex(auth_find("", 0), ==, 0);
	g_assert_cmphex(AUTH_DEFAULT & (AUTH_CRAM_MD5 | AUTH_APOP | AUTH_GSSAPI), ==, 0);
}

static void test_below(void)
{
	const unsigned shown = AUTH_PLAIN | AUTH_LOGIN | AUTH_OAUTHBEARER | AUTH_XOAUTH2;
	const unsigned bound = AUTH_SCRAM_SHA_256_PLUS | AUTH_SCRAM_SHA_1_PLUS;

	g_assert_cmphex(auth_below(0), ==, 0);
	for (unsigned bit = AUTH_EXTERNAL; bit <= AUTH_APOP; bit <<= 1) {
		unsigned below = auth_below(bit);

		g_assert_cmphex(below & bit, ==, 0);
		g_assert_cmphex(below & shown, ==, bit & shown ? 0 : shown);
		g_assert_cmphex(below & AUTH_SCRAM_SHA_256, ==,
				bit & bound ? AUTH_SCRAM_SHA_256 : 0);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/auth/parse", test_parse);
	g_test_add_func("/auth/text", test_text);
	g_test_add_func("/auth/names", test_names);
	g_test_add_func("/auth/below", test_below);
	return g_test_run();
}
