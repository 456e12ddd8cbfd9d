#include "protocol/pop3_apop.h"

#include <string.h>

static void check(const char *greeting, const char *timestamp)
{
	g_autofree char *found = pop3_apop_timestamp(greeting, strlen(greeting));

	g_assert_cmpstr(found, ==, timestamp);
}

/* RFC 1939 section 7 */
static void test_digest(void)
{
	g_autofree char *digest = pop3_apop_digest("<1896.697170952@dbc.mtview.ca.us>", "tanstaaf");
	g_autofree char *empty = pop3_apop_digest("", "");

	g_assert_cmpstr(digest, ==, "c4c9334bac560ecc979e58001b3e22fb");
	g_assert_cmpstr(empty, ==, "d41d8cd98f00b204e9800998ecf8427e");
}

static void test_timestamp(void)
{
	check("POP3 server ready <1896.697170952@dbc.mtview.ca.us>",
	      "<1896.697170952@dbc.mtview.ca.us>");
	check("<1@h> ready", "<1@h>");
	check("<a_b-c+d=/e.f@host.example> <2@h>", "<a_b-c+d=/e.f@host.example>");
	check("<1.2@[127.0.0.1]>", "<1.2@[127.0.0.1]>");
	check("<1.2@[IPv6:::1]>", "<1.2@[IPv6:::1]>");
}

/* CVE-2007-1558 needs bytes that a msg-id cannot have. */
static void test_no_timestamp(void)
{
	static const char *const greetings[] = {
		"",	     "ready",	 "<",	      "<>",	     "<@>",	     "<1@>",
		"<@h>",	     "<1>",	 "<1@h",      "1@h>",	     ">1@h<",	     "<1@2@h>",
		"<1 2@h>",   "<1\t2@h>", "<1@h\x01>", "<1\x7f@h>",   "<\xc3\xa4@h>", "<1@h\xff>",
		"<1@\x80>",  "<a..b@h>", "<.a@h>",    "<a.@h>",	     "<a@h.>",	     "<a@.h>",
		"<<a@h>",    "<a(b)@h>", "<\"a\"@h>", "<a@[]>",	     "<a@[a]b]>",    "<a@[\x80]>",
		"<a@[b@c]>", "<a\\b@h>", "<a,b@h>",   "<bad> <1@h>", /* the first is the one */
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(greetings); i++)
		check(greetings[i], NULL);
	g_assert_null(pop3_apop_timestamp("<1\0@h>", 6));
	g_assert_null(pop3_apop_timestamp("<1@h\0>", 6));
	g_assert_null(pop3_apop_timestamp("<1@h>", 4));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pop3_apop/digest", test_digest);
	g_test_add_func("/pop3_apop/timestamp", test_timestamp);
	g_test_add_func("/pop3_apop/no_timestamp", test_no_timestamp);
	return g_test_run();
}
