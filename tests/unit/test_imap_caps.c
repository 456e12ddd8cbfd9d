#include "config/auth.h"
#include "protocol/imap_caps.h"
#include "protocol/imap_session.h"

#include <string.h>

static unsigned parse(const char *line)
{
	g_auto(GStrv) split = g_strsplit(line, " ", -1);
	g_autoptr(GPtrArray) words = g_ptr_array_new();

	for (unsigned i = 0; split[i]; i++)
		g_ptr_array_add(words, split[i]);
	return imap_caps_parse(words);
}

static void test_words(void)
{
	g_assert_cmpuint(parse("IMAP4REV1"), ==, 0);
	g_assert_cmpuint(parse("SASL-IR LOGINDISABLED STARTTLS AUTH=PLAIN"), ==,
			 IMAP_CAP_SASL_IR | IMAP_CAP_LOGINDISABLED | IMAP_CAP_STARTTLS);
	g_assert_cmpuint(parse("LITERAL+ ENABLE CONDSTORE QRESYNC ESEARCH"), ==,
			 IMAP_CAP_LITERAL_PLUS | IMAP_CAP_ENABLE | IMAP_CAP_CONDSTORE |
				 IMAP_CAP_QRESYNC | IMAP_CAP_ESEARCH);
	g_assert_cmpuint(parse("LIST-EXTENDED SPECIAL-USE QUOTA ID LITERAL- XYZZY"), ==,
			 IMAP_CAP_LIST_EXTENDED | IMAP_CAP_SPECIAL_USE | IMAP_CAP_QUOTA |
				 IMAP_CAP_ID | IMAP_CAP_LITERAL_MINUS);
	g_assert_cmpuint(parse("idle NOTIFY"), ==, IMAP_CAP_IDLE | IMAP_CAP_NOTIFY);
	g_assert_cmpuint(parse("UIDPLUS MOVE UNSELECT ACL"), ==,
			 IMAP_CAP_UIDPLUS | IMAP_CAP_MOVE | IMAP_CAP_UNSELECT | IMAP_CAP_ACL);
}

static void check_auth(const char *line, unsigned mechanisms, const char *shown)
{
	g_auto(GStrv) split = g_strsplit(line, " ", -1);
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	g_autofree char *text = NULL;

	for (unsigned i = 0; split[i]; i++)
		g_ptr_array_add(words, split[i]);
	text = imap_caps_auth_text(words);
	g_assert_cmphex(imap_caps_auth(words), ==, mechanisms);
	g_assert_cmpstr(text, ==, shown);
}

static void test_auth(void)
{
	check_auth("IMAP4REV1 AUTH=PLAIN", AUTH_PLAIN, "PLAIN");
	check_auth("auth=plain SASL-IR Auth=Scram-Sha-256", AUTH_PLAIN | AUTH_SCRAM_SHA_256,
		   "plain Scram-Sha-256");
	check_auth("AUTH=NTLM AUTH=SCRAM-SHA-1-PLUS", AUTH_SCRAM_SHA_1_PLUS,
		   "NTLM SCRAM-SHA-1-PLUS");
	check_auth("AUTH=PLAINX AUTH= AUTH XAUTH=PLAIN", 0, "PLAINX ");
	check_auth("IDLE", 0, "");
	g_assert_cmphex(imap_caps_auth(NULL), ==, 0);
}

static uint64_t append_limit(const char *line)
{
	g_auto(GStrv) split = g_strsplit(line, " ", -1);
	g_autoptr(GPtrArray) words = g_ptr_array_new();

	for (unsigned i = 0; split[i]; i++)
		g_ptr_array_add(words, split[i]);
	return imap_caps_append_limit(words);
}

static void test_append_limit(void)
{
	g_assert_cmpuint(append_limit("IDLE APPENDLIMIT=35651584 MOVE"), ==, 35651584);
	g_assert_cmpuint(append_limit("appendlimit=0"), ==, 0);
	g_assert_cmpuint(append_limit("APPENDLIMIT=18446744073709551615"), ==, UINT64_MAX);
	g_assert_cmpuint(append_limit("APPENDLIMIT"), ==, UINT64_MAX);
	g_assert_cmpuint(append_limit("APPENDLIMIT="), ==, UINT64_MAX);
	g_assert_cmpuint(append_limit("APPENDLIMIT=1k"), ==, UINT64_MAX);
	g_assert_cmpuint(append_limit("APPENDLIMIT=99999999999999999999"), ==, UINT64_MAX);
	g_assert_cmpuint(append_limit("XAPPENDLIMIT=5"), ==, UINT64_MAX);
	g_assert_cmpuint(imap_caps_append_limit(NULL), ==, UINT64_MAX);
}

static void test_tolerance(void)
{
	g_assert_cmpuint(parse("starttls Auth=Plain"), ==, IMAP_CAP_STARTTLS);
	g_assert_cmpuint(parse(" ID   ID "), ==, IMAP_CAP_ID);
}

/* What only looks like a word that matters. */
static void test_near_misses(void)
{
	g_assert_cmpuint(parse("XSTARTTLS STARTTLSX START TLS STARTTLS=1 AUTH=PLAINX AUTH= AUTH"),
			 ==, 0);
	g_assert_cmpuint(parse("LITERAL LITERAL++ IDL IDLEX MOVE= QUOTA=RES-STORAGE"), ==, 0);
}

static void test_nothing(void)
{
	g_autoptr(GPtrArray) empty = g_ptr_array_new();
	g_autofree char *text = imap_caps_text(NULL);

	g_assert_cmpuint(imap_caps_parse(NULL), ==, 0);
	g_assert_cmpuint(imap_caps_parse(empty), ==, 0);
	g_assert_cmpstr(text, ==, "");
}

static void test_text(void)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	g_autofree char *text = NULL;

	g_ptr_array_add(words, (char *)"IMAP4REV1");
	g_ptr_array_add(words, (char *)"X\x1b[31m");
	text = imap_caps_text(words);
	g_assert_cmpstr(text, ==, "IMAP4REV1 X\\x1B[31m");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/imap-caps/words", test_words);
	g_test_add_func("/imap-caps/auth", test_auth);
	g_test_add_func("/imap-caps/append-limit", test_append_limit);
	g_test_add_func("/imap-caps/tolerance", test_tolerance);
	g_test_add_func("/imap-caps/near-misses", test_near_misses);
	g_test_add_func("/imap-caps/nothing", test_nothing);
	g_test_add_func("/imap-caps/text", test_text);
	return g_test_run();
}
