#include "base/limits.h"
#include "config/auth.h"
#include "protocol/pop3_list.h"

#include <string.h>

/* ---- UIDL ---- */

static void check_uid_bytes(const char *line, size_t len, uint32_t number, const char *uid)
{
	g_autofree char *copy = g_malloc0(len + 1);
	g_autofree char *found = NULL;
	uint32_t found_number = 0;

	memcpy(copy, line, len);
	g_assert_true(pop3_list_uid(copy, len, &found_number, &found));
	g_assert_cmpuint(found_number, ==, number);
	g_assert_cmpstr(found, ==, uid);
}

static void check_uid(const char *line, uint32_t number, const char *uid)
{
	check_uid_bytes(line, strlen(line), number, uid);
}

static void check_no_uid(const char *line)
{
	char *uid = NULL;
	uint32_t number = 7;

	g_assert_false(pop3_list_uid(line, strlen(line), &number, &uid));
	g_assert_cmpuint(number, ==, 7);
	g_assert_null(uid);
}

static void test_uid(void)
{
	/* RFC 1939 section 7 */
	check_uid("1 whqtswO00WBw418f9t5JxYwZ", 1, "whqtswO00WBw418f9t5JxYwZ");
	check_uid("2 QhdPYR:00WBw1Ph7x7", 2, "QhdPYR:00WBw1Ph7x7");
	check_uid("1   a", 1, "a");
	check_uid(" 1\t a \t", 1, "a");
	check_uid("0001 a", 1, "a");
	check_uid("1 ../../etc/passwd", 1, "../../etc/passwd");
	check_uid("1 a b", 1, "a b");
	check_uid("1 \xc3\xa4\xff", 1, "\xc3\xa4\xff");
	check_uid("2000000 a", LIMIT_MESSAGES, "a");
}

static void test_uid_none(void)
{
	check_uid("1", 1, "");
	check_uid("1 ", 1, "");
	check_uid("1 a\x1b", 1, "");
	check_uid("1 \x7f", 1, "");
	check_uid("1 a\tb", 1, "");
	check_uid("1 a\rb", 1, "");
	check_uid_bytes("1 a\0b", 5, 1, "");
	check_no_uid("");
	check_no_uid(" ");
	check_no_uid("a");
	check_no_uid("0 a");
	check_no_uid("-1 a");
	check_no_uid("+1 a");
	check_no_uid("1. a");
	check_no_uid("1a");
	check_no_uid("2000001 a");
	check_no_uid("4294967297 a");
	check_no_uid("99999999999999999999 a");
}

static void test_uid_long(void)
{
	for (int more = -1; more <= 1; more++) {
		g_autofree char *uid = g_strnfill((gsize)(LIMIT_POP3_UID + more), 'u');
		g_autofree char *line = g_strconcat("3 ", uid, NULL);

		check_uid(line, 3, more <= 0 ? uid : "");
	}
	g_autofree char *uid = g_strnfill(71, 'u');
	g_autofree char *line = g_strconcat("3 ", uid, NULL);

	check_uid(line, 3, uid);
}

/* ---- LIST ---- */

static void check_size(const char *line, uint32_t number, uint64_t size)
{
	uint32_t found_number = 0;
	uint64_t found = 0;

	g_assert_true(pop3_list_size(line, strlen(line), &found_number, &found));
	g_assert_cmpuint(found_number, ==, number);
	g_assert_cmpuint(found, ==, size);
}

static void test_size(void)
{
	/* RFC 1939 section 5 */
	check_size("1 120", 1, 120);
	check_size("2 200", 2, 200);
	check_size("  2 \t 200  ", 2, 200);
	check_size("2 200 octets", 2, 200);
	check_size("2 0", 2, 0);
	check_size("2 9223372036854775807", 2, G_MAXINT64);
	check_size("2 9223372036854775808", 2, POP3_SIZE_UNKNOWN);
	check_size("2 18446744073709551616", 2, POP3_SIZE_UNKNOWN);
	check_size("2 -1", 2, POP3_SIZE_UNKNOWN);
	check_size("2 12a", 2, POP3_SIZE_UNKNOWN);
	check_size("2 (120)", 2, POP3_SIZE_UNKNOWN);
	check_size("2", 2, POP3_SIZE_UNKNOWN);
	check_size("2 ", 2, POP3_SIZE_UNKNOWN);
}

static void test_size_none(void)
{
	static const char *const lines[] = {"", " ", "x", "0 120", "-1 120", "2000001 1", "1/2"};

	for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
		uint32_t number = 7;
		uint64_t size = 8;

		g_assert_false(pop3_list_size(lines[i], strlen(lines[i]), &number, &size));
		g_assert_cmpuint(number, ==, 7);
		g_assert_cmpuint(size, ==, 8);
	}
}

/* ---- STAT ---- */

static void check_stat(const char *text, uint32_t count, uint64_t size)
{
	uint32_t found_count = 7;
	uint64_t found = 8;

	g_assert_true(pop3_list_stat(text, strlen(text), &found_count, &found));
	g_assert_cmpuint(found_count, ==, count);
	g_assert_cmpuint(found, ==, size);
}

static void test_stat(void)
{
	static const char *const bad[] = {"", "-1 0", "messages: 2", "2000001 0", "2, 320"};

	check_stat("2 320", 2, 320);
	check_stat("0 0", 0, 0);
	check_stat("2   320 extra", 2, 320);
	check_stat("2", 2, POP3_SIZE_UNKNOWN);
	check_stat("2 messages (320 octets)", 2, POP3_SIZE_UNKNOWN);
	check_stat("2 -320", 2, POP3_SIZE_UNKNOWN);
	check_stat("2000000 1", LIMIT_MESSAGES, 1);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		uint32_t count = 7;
		uint64_t size = 8;

		g_assert_false(pop3_list_stat(bad[i], strlen(bad[i]), &count, &size));
		g_assert_cmpuint(count, ==, 7);
		g_assert_cmpuint(size, ==, 8);
	}
}

/* ---- CAPA ---- */

static struct pop3_capa capa_of(const char *lines)
{
	g_auto(GStrv) all = g_strsplit(lines, "|", -1);
	struct pop3_capa capa;

	pop3_capa_init(&capa);
	for (unsigned i = 0; all[i]; i++)
		pop3_capa_take(&capa, all[i]);
	return capa;
}

static void check_caps(const char *lines, unsigned caps)
{
	struct pop3_capa capa = capa_of(lines);

	g_assert_cmphex(capa.caps, ==, caps);
	pop3_capa_clear(&capa);
	g_assert_null(capa.mechanisms);
	g_assert_cmphex(capa.caps, ==, 0);
}

static void test_capa(void)
{
	/* RFC 2449 section 5 */
	struct pop3_capa capa = capa_of("TOP|USER|SASL CRAM-MD5 KERBEROS_V4|RESP-CODES|"
					"LOGIN-DELAY 900|PIPELINING|EXPIRE 60|UIDL|"
					"IMPLEMENTATION Shlemazle-Plotz-v302");

	g_assert_cmphex(capa.caps, ==,
			POP3_CAP_TOP | POP3_CAP_USER | POP3_CAP_RESP_CODES | POP3_CAP_LOGIN_DELAY |
				POP3_CAP_PIPELINING | POP3_CAP_EXPIRE | POP3_CAP_UIDL);
	g_assert_cmpuint(capa.login_delay_s, ==, 900);
	g_assert_cmpuint(capa.expire_days, ==, 60);
	g_assert_cmpstr(capa.mechanisms, ==, "CRAM-MD5 KERBEROS_V4");
	pop3_capa_clear(&capa);
}

static void test_capa_case(void)
{
	check_caps("top|uSeR|uidl|stls|Sasl plain|pipelining|resp-codes|utf8 user", 0x7f);
	check_caps(" TOP|USER |\tUIDL\t", POP3_CAP_TOP | POP3_CAP_USER | POP3_CAP_UIDL);
	check_caps("SASL", 0);
}

static void check_auth(const char *lines, unsigned mechanisms)
{
	struct pop3_capa capa = capa_of(lines);

	g_assert_cmphex(capa.auth, ==, mechanisms);
	pop3_capa_clear(&capa);
	g_assert_cmphex(capa.auth, ==, 0);
}

static void test_capa_auth(void)
{
	check_auth("SASL LOGIN|SASL\tPLAIN", AUTH_LOGIN | AUTH_PLAIN);
	check_auth("Sasl scram-sha-256 XOAUTH2  GSSAPI",
		   AUTH_SCRAM_SHA_256 | AUTH_XOAUTH2 | AUTH_GSSAPI);
	check_auth("SASL", 0);
	check_auth("SASL PLAINTEXT XPLAIN", 0);
}

static void test_capa_malformed(void)
{
	check_caps("EXPIRENEVER", 0);
	check_caps("||TOPS|XTOP|TOP0|USER:", 0);
	check_caps("EXPIRE", 0);
	check_caps("EXPIRE -1", 0);
	check_caps("EXPIRE soon", 0);
	check_caps("LOGIN-DELAY", 0);
	check_caps("LOGIN-DELAY -1", 0);
	check_caps("LOGIN-DELAY 4294967296", 0);
	check_caps("UTF-8", 0);
}

static void test_capa_values(void)
{
	static const struct {
		const char *line;
		uint32_t login_delay_s;
		uint32_t expire_days;
	} rows[] = {
		{"TOP", 0, POP3_EXPIRE_NEVER},
		{"EXPIRE NEVER", 0, POP3_EXPIRE_NEVER},
		{"expire never", 0, POP3_EXPIRE_NEVER},
		{"EXPIRENEVER", 0, POP3_EXPIRE_NEVER},
		{"EXPIRE 0", 0, 0},
		{"EXPIRE 30 USER", 0, 30},
		{"LOGIN-DELAY 60", 60, POP3_EXPIRE_NEVER},
		{"LOGIN-DELAY  60 USER", 60, POP3_EXPIRE_NEVER},
		{"LOGIN-DELAY 3599", 3599, POP3_EXPIRE_NEVER},
		{"LOGIN-DELAY 3600", LIMIT_LOGIN_DELAY_S, POP3_EXPIRE_NEVER},
		{"LOGIN-DELAY 3601", LIMIT_LOGIN_DELAY_S, POP3_EXPIRE_NEVER},
		{"LOGIN-DELAY 4294967295", LIMIT_LOGIN_DELAY_S, POP3_EXPIRE_NEVER},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct pop3_capa capa = capa_of(rows[i].line);

		g_assert_cmpuint(capa.login_delay_s, ==, rows[i].login_delay_s);
		g_assert_cmpuint(capa.expire_days, ==, rows[i].expire_days);
		pop3_capa_clear(&capa);
	}
}

static void check_text(const char *lines, bool known, const char *wanted)
{
	struct pop3_capa capa = capa_of(lines);
	g_autofree char *text = NULL;

	capa.known = known;
	text = pop3_capa_text(&capa);
	g_assert_cmpstr(text, ==, wanted);
	pop3_capa_clear(&capa);
}

static void test_capa_text(void)
{
	check_text("", false, "not told");
	check_text("IMPLEMENTATION x", true, "none");
	check_text("PIPELINING", true, "PIPELINING");
	check_text("EXPIRE NEVER|UTF8", true, "UTF8 EXPIRE=NEVER");
	check_text("UTF8|RESP-CODES|PIPELINING|STLS|UIDL|USER|TOP|EXPIRE 3|LOGIN-DELAY 60|"
		   "SASL PLAIN\x1b LOGIN",
		   true,
		   "TOP USER UIDL STLS PIPELINING RESP-CODES UTF8 SASL=PLAIN\\x1B,LOGIN "
		   "LOGIN-DELAY=60 EXPIRE=3");
}

/* However often a server says it, what is kept is bounded. */
static void test_capa_flood(void)
{
	struct pop3_capa capa;

	pop3_capa_init(&capa);
	for (unsigned i = 0; i < 1000; i++) {
		g_autofree char *line = g_strdup_printf("SASL MECHANISM-%u", i);

		pop3_capa_take(&capa, line);
	}
	g_assert_cmpuint(strlen(capa.mechanisms), <, 300);
	pop3_capa_take(&capa, "SASL PLAIN");
	g_assert_cmphex(capa.auth, ==, AUTH_PLAIN);
	pop3_capa_clear(&capa);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pop3_list/capa_text", test_capa_text);
	g_test_add_func("/pop3_list/uid", test_uid);
	g_test_add_func("/pop3_list/uid_none", test_uid_none);
	g_test_add_func("/pop3_list/uid_long", test_uid_long);
	g_test_add_func("/pop3_list/size", test_size);
	g_test_add_func("/pop3_list/size_none", test_size_none);
	g_test_add_func("/pop3_list/stat", test_stat);
	g_test_add_func("/pop3_list/capa", test_capa);
	g_test_add_func("/pop3_list/capa_case", test_capa_case);
	g_test_add_func("/pop3_list/capa_auth", test_capa_auth);
	g_test_add_func("/pop3_list/capa_malformed", test_capa_malformed);
	g_test_add_func("/pop3_list/capa_values", test_capa_values);
	g_test_add_func("/pop3_list/capa_flood", test_capa_flood);
	return g_test_run();
}
