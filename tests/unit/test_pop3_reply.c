#include "base/error.h"
#include "base/limits.h"
#include "protocol/pop3_reply.h"

#include <string.h>

/* Feeds all of `bytes`; false with an error. */
static bool feed(struct pop3_reply_parser *parser, const char *bytes, size_t len, size_t step,
		 struct pop3_reply *ret, GError **error)
{
	for (size_t at = 0; at < len; at += step) {
		size_t part = MIN(step, len - at);
		g_autoptr(GError) failure = NULL;
		size_t used = SIZE_MAX;

		if (pop3_reply_parser_feed(parser, (const uint8_t *)bytes + at, part, &used, ret,
					   &failure)) {
			g_assert_cmpuint(at + used, ==, len);
			g_assert_true(pop3_reply_parser_is_empty(parser));
			return true;
		}
		if (failure) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return false;
		}
		g_assert_cmpuint(used, ==, part);
		g_assert_false(pop3_reply_parser_is_empty(parser));
	}
	g_assert_not_reached();
}

static void check(const char *bytes, enum pop3_status status, const char *raw, const char *text)
{
	for (size_t step = 1; step <= strlen(bytes); step++) {
		struct pop3_reply_parser *parser = pop3_reply_parser_new();
		struct pop3_reply reply;

		g_assert_true(pop3_reply_parser_is_empty(parser));
		g_assert_true(feed(parser, bytes, strlen(bytes), step, &reply, NULL));
		g_assert_cmpint(reply.status, ==, status);
		g_assert_cmpstr(reply.raw, ==, raw);
		g_assert_cmpuint(reply.raw_len, ==, strlen(raw));
		g_assert_cmpstr(reply.text, ==, text);
		pop3_reply_clear(&reply);
		g_assert_null(reply.raw);
		g_assert_null(reply.text);
		pop3_reply_parser_free(&parser);
		g_assert_null(parser);
	}
}

static void test_status(void)
{
	check("+OK\r\n", POP3_OK, "", "+OK");
	check("+OK \r\n", POP3_OK, "", "+OK ");
	check("+OK 2 320\r\n", POP3_OK, "2 320", "+OK 2 320");
	check("+OK\t 2 320\n", POP3_OK, "2 320", "+OK\\x09 2 320");
	check("+ok 2\r\n", POP3_OK, "2", "+ok 2");
	check("-ERR no such message\r\n", POP3_ERR, "no such message", "-ERR no such message");
	check("-err\r\n", POP3_ERR, "", "-err");
	check("+OK, welcome\r\n", POP3_OK, ", welcome", "+OK, welcome");
	check("+OK[AUTH]\r\n", POP3_OK, "[AUTH]", "+OK[AUTH]");
	check("-ERR \x1b[31mred\xff\r\n", POP3_ERR, "\x1b[31mred\xff", "-ERR \\x1B[31mred\\xFF");
}

static void test_continuation(void)
{
	check("+ \r\n", POP3_CONTINUE, "", "+ ");
	check("+\r\n", POP3_CONTINUE, "", "+");
	check("+ dGVzdA==\r\n", POP3_CONTINUE, "dGVzdA==", "+ dGVzdA==");
	check("+ OK\r\n", POP3_CONTINUE, "OK", "+ OK");
}

static void check_bad_bytes(const char *bytes, size_t len, enum mailfs_error code)
{
	for (size_t step = 1; step <= len; step += 1 + step / 64 * 1000) {
		struct pop3_reply_parser *parser = pop3_reply_parser_new();
		struct pop3_reply reply = {.raw_len = 7};
		g_autoptr(GError) error = NULL;

		g_assert_false(feed(parser, bytes, len, step, &reply, &error));
		g_assert_error(error, MAILFS_ERROR, (int)code);
		g_assert_cmpuint(reply.raw_len, ==, 7);
		g_assert_cmpuint(strlen(error->message), <, 120);
		pop3_reply_parser_free(&parser);
	}
}

static void test_bad(void)
{
	static const char *const lines[] = {
		"\r\n",		 "\n",	      "OK\r\n",	   "+O\r\n",   "+OKAY then\r\n",
		"-ERROR\r\n",	 "-\r\n",     "- ERR\r\n", " +OK\r\n", "220 mx ESMTP\r\n",
		"* OK IMAP\r\n", "+dGVz\r\n", "+ERR\r\n",  "-OK\r\n",  ".\r\n",
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++)
		check_bad_bytes(lines[i], strlen(lines[i]), ERROR_PROTOCOL);
	check_bad_bytes("\0+OK\r\n", 6, ERROR_PROTOCOL);
}

static void test_nul(void)
{
	struct pop3_reply_parser *parser = pop3_reply_parser_new();
	struct pop3_reply reply;

	g_assert_true(feed(parser, "+OK a\0b\r\n", 9, 9, &reply, NULL));
	g_assert_cmpuint(reply.raw_len, ==, 3);
	g_assert_true(memcmp(reply.raw, "a\0b", 4) == 0);
	g_assert_cmpstr(reply.text, ==, "+OK a\\x00b");
	pop3_reply_clear(&reply);
	pop3_reply_parser_free(&parser);
}

static void check_code(const char *bytes, enum pop3_code code)
{
	struct pop3_reply_parser *parser = pop3_reply_parser_new();
	struct pop3_reply reply;

	g_assert_true(feed(parser, bytes, strlen(bytes), strlen(bytes), &reply, NULL));
	g_assert_cmpint(reply.code, ==, code);
	pop3_reply_clear(&reply);
	pop3_reply_parser_free(&parser);
}

static void test_codes(void)
{
	check_code("-ERR [IN-USE] Do you have another POP session running?\r\n", POP3_CODE_IN_USE);
	check_code("-ERR [in-use]\r\n", POP3_CODE_IN_USE);
	check_code("-ERR [LOGIN-DELAY] at least 1 minute apart\r\n", POP3_CODE_LOGIN_DELAY);
	check_code("-ERR [SYS/TEMP] later\r\n", POP3_CODE_SYS_TEMP);
	check_code("-ERR [SYS/TEMP/DISK] later\r\n", POP3_CODE_SYS_TEMP);
	check_code("-ERR   [SYS/PERM]\r\n", POP3_CODE_SYS_PERM);
	check_code("-ERR [AUTH] no\r\n", POP3_CODE_AUTH);
	check_code("-ERR [UTF8] no\r\n", POP3_CODE_UTF8);
	check_code("+OK [AUTH] odd\r\n", POP3_CODE_AUTH);
	check_code("-ERR [SYS] no\r\n", POP3_CODE_NONE);
	check_code("-ERR [SYS/TEMPO] no\r\n", POP3_CODE_NONE);
	check_code("-ERR [AUTHX] no\r\n", POP3_CODE_NONE);
	check_code("-ERR [AUTH no\r\n", POP3_CODE_NONE);
	check_code("-ERR [AUT]\r\n", POP3_CODE_NONE);
	check_code("-ERR []\r\n", POP3_CODE_NONE);
	check_code("-ERR [\r\n", POP3_CODE_NONE);
	check_code("-ERR [A]UTH]\r\n", POP3_CODE_NONE);
	check_code("-ERR no [AUTH]\r\n", POP3_CODE_NONE);
	check_code("+ [AUTH]\r\n", POP3_CODE_NONE);
}

/* With `len` bytes before the line end. */
static char *long_line(size_t len, const char *end)
{
	g_autofree char *fill = g_strnfill(len - 4, 'x');

	return g_strconcat("+OK ", fill, end, NULL);
}

static void test_limit(void)
{
	static const char *const ends[] = {"\r\n", "\n"};

	for (unsigned i = 0; i < G_N_ELEMENTS(ends); i++) {
		for (int more = -1; more <= 0; more++) {
			g_autofree char *line =
				long_line((size_t)(LIMIT_POP3_LINE + more), ends[i]);
			struct pop3_reply_parser *parser = pop3_reply_parser_new();
			struct pop3_reply reply;

			g_assert_true(feed(parser, line, strlen(line), 1000, &reply, NULL));
			g_assert_cmpuint(reply.raw_len, ==, LIMIT_POP3_LINE + more - 4);
			g_assert_cmpuint(strlen(reply.text), ==, 500);
			pop3_reply_clear(&reply);
			pop3_reply_parser_free(&parser);
		}
		g_autofree char *over = long_line(LIMIT_POP3_LINE + 1, ends[i]);

		check_bad_bytes(over, strlen(over), ERROR_LIMIT);
	}
	g_autofree char *endless = long_line(3 * LIMIT_POP3_LINE, "");

	check_bad_bytes(endless, strlen(endless), ERROR_LIMIT);
}

static void test_several(void)
{
	static const char bytes[] = "+OK 1\r\n-ERR 2\r\n+ 3\r\n";
	struct pop3_reply_parser *parser = pop3_reply_parser_new();
	g_autoptr(GString) seen = g_string_new(NULL);
	size_t at = 0;

	while (at < strlen(bytes)) {
		struct pop3_reply reply;
		size_t used;

		g_assert_true(pop3_reply_parser_feed(parser, (const uint8_t *)bytes + at,
						     strlen(bytes) - at, &used, &reply, NULL));
		g_string_append_printf(seen, "%s;", reply.text);
		pop3_reply_clear(&reply);
		at += used;
	}
	g_assert_cmpstr(seen->str, ==, "+OK 1;-ERR 2;+ 3;");
	pop3_reply_parser_free(&parser);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pop3_reply/status", test_status);
	g_test_add_func("/pop3_reply/continuation", test_continuation);
	g_test_add_func("/pop3_reply/bad", test_bad);
	g_test_add_func("/pop3_reply/nul", test_nul);
	g_test_add_func("/pop3_reply/codes", test_codes);
	g_test_add_func("/pop3_reply/limit", test_limit);
	g_test_add_func("/pop3_reply/several", test_several);
	return g_test_run();
}
