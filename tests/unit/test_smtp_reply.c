#include "base/error.h"
#include "base/limits.h"
#include "protocol/smtp_reply.h"

#include <string.h>

/* Feeds all of `bytes`; false with an error. */
static bool feed(struct smtp_reply_parser *parser, const char *bytes, size_t len, size_t step,
		 struct smtp_reply *ret, GError **error)
{
	for (size_t at = 0; at < len; at += step) {
		size_t part = MIN(step, len - at);
		g_autoptr(GError) failure = NULL;
		size_t used = SIZE_MAX;

		if (smtp_reply_parser_feed(parser, (const uint8_t *)bytes + at, part, &used, ret,
					   &failure)) {
			g_assert_cmpuint(at + used, ==, len);
			g_assert_true(smtp_reply_parser_is_empty(parser));
			return true;
		}
		if (failure) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return false;
		}
		g_assert_cmpuint(used, ==, part);
		g_assert_false(smtp_reply_parser_is_empty(parser));
	}
	g_assert_not_reached();
}

static void check(const char *bytes, unsigned code, const char *text)
{
	for (size_t step = 1; step <= strlen(bytes); step++) {
		struct smtp_reply_parser *parser = smtp_reply_parser_new();
		struct smtp_reply reply;

		g_assert_true(smtp_reply_parser_is_empty(parser));
		g_assert_true(feed(parser, bytes, strlen(bytes), step, &reply, NULL));
		g_assert_cmpuint(reply.code, ==, code);
		g_assert_cmpuint(smtp_reply_class(&reply), ==, code / 100);
		g_assert_cmpstr(reply.text, ==, text);
		smtp_reply_clear(&reply);
		g_assert_null(reply.text);
		smtp_reply_parser_free(&parser);
	}
}

static void check_bad_bytes(const char *bytes, size_t len, enum mailfs_error code)
{
	for (size_t step = 1; step <= len; step += 1 + step / 64 * 1000) {
		struct smtp_reply_parser *parser = smtp_reply_parser_new();
		struct smtp_reply reply = {.code = 7};
		g_autoptr(GError) error = NULL;

		g_assert_false(feed(parser, bytes, len, step, &reply, &error));
		g_assert_error(error, MAILFS_ERROR, (int)code);
		g_assert_cmpuint(reply.code, ==, 7);
		smtp_reply_parser_free(&parser);
		g_assert_null(parser);
	}
}

static void check_bad(const char *bytes)
{
	check_bad_bytes(bytes, strlen(bytes), ERROR_PROTOCOL);
}

static void test_lines(void)
{
	check("250 OK\r\n", 250, "250 OK");
	check("250 OK\n", 250, "250 OK");
	check("250\r\n", 250, "250");
	check("250 \r\n", 250, "250");
	check("200 a\r\n", 200, "200 a");
	check("599 a\r\n", 599, "599 a");
	check("250-a\r\n250-\r\n250 b\r\n", 250, "250 a b");
	check("250-a\r\n250\r\n", 250, "250 a");
	check("554 \x1b[31mred\r\n", 554, "554 \\x1B[31mred");
	check("554 a\rb\xff\r\n", 554, "554 a\\x0Db\\xFF");
}

static void test_bad(void)
{
	check_bad("\r\n");
	check_bad("25\r\n");
	check_bad("2500 a\r\n");
	check_bad("250_a\r\n");
	check_bad("199 a\r\n");
	check_bad("600 a\r\n");
	check_bad("+25 a\r\n");
	check_bad(" 250 a\r\n");
	check_bad("* OK IMAP4rev1\r\n");
	check_bad("HTTP/1.1 400 Bad Request\r\n");
	check_bad("250-a\r\n251 b\r\n");
	check_bad("250-a\r\n550 b\r\n");
	check_bad("250-a\r\nb\r\n");
	check_bad_bytes("\0"
			"50 a\r\n",
			7, ERROR_PROTOCOL);
}

static void test_error_shows_little(void)
{
	struct smtp_reply_parser *parser = smtp_reply_parser_new();
	g_autofree char *bytes = g_strnfill(4000, 'x');
	g_autoptr(GError) error = NULL;
	struct smtp_reply reply;

	bytes[0] = '\x1b';
	bytes[3999] = '\n';
	g_assert_false(feed(parser, bytes, 4000, 4000, &reply, &error));
	g_assert_nonnull(strstr(error->message, "\"\\x1Bxxx"));
	g_assert_cmpuint(strlen(error->message), <, 120);
	smtp_reply_parser_free(&parser);
}

static void check_enhanced(const char *bytes, unsigned class, unsigned subject, unsigned detail,
			   const char *text)
{
	struct smtp_reply_parser *parser = smtp_reply_parser_new();
	struct smtp_reply reply;

	g_assert_true(feed(parser, bytes, strlen(bytes), strlen(bytes), &reply, NULL));
	g_assert_cmpuint(reply.enhanced[0], ==, class);
	g_assert_cmpuint(reply.enhanced[1], ==, subject);
	g_assert_cmpuint(reply.enhanced[2], ==, detail);
	g_assert_cmpstr(reply.text, ==, text);
	smtp_reply_clear(&reply);
	smtp_reply_parser_free(&parser);
}

static void test_enhanced(void)
{
	check_enhanced("250 2.1.0 Ok\r\n", 2, 1, 0, "250 2.1.0 Ok");
	check_enhanced("550 5.7.999\r\n", 5, 7, 999, "550 5.7.999");
	check_enhanced("550-5.7.26 not\r\n550-5.7.26 yours\r\n550 5.7.26\r\n", 5, 7, 26,
		       "550 5.7.26 not yours");
	check_enhanced("550-5.7.1 a\r\n550 5.7.10 b\r\n", 5, 7, 1, "550 5.7.1 a 5.7.10 b");
	check_enhanced("550 4.7.1 no\r\n", 0, 0, 0, "550 4.7.1 no");
	check_enhanced("334 3.0.0 no\r\n", 0, 0, 0, "334 3.0.0 no");
	check_enhanced("550 5.7 no\r\n", 0, 0, 0, "550 5.7 no");
	check_enhanced("550 5.7.\r\n", 0, 0, 0, "550 5.7.");
	check_enhanced("550 5\r\n", 0, 0, 0, "550 5");
	check_enhanced("550 5.7.1.1 no\r\n", 0, 0, 0, "550 5.7.1.1 no");
	check_enhanced("550 5.7.1000 no\r\n", 0, 0, 0, "550 5.7.1000 no");
	check_enhanced("550 05.7.1 no\r\n", 0, 0, 0, "550 05.7.1 no");
	check_enhanced("550 5..1 no\r\n", 0, 0, 0, "550 5..1 no");
	check_enhanced("550 \r\n", 0, 0, 0, "550");
}

static void test_several(void)
{
	static const char bytes[] = "250-one\r\n250 SIZE 5\r\n550 two\r\n25";
	struct smtp_reply_parser *parser = smtp_reply_parser_new();
	const uint8_t *at = (const uint8_t *)bytes;
	size_t left = strlen(bytes);
	struct smtp_reply reply;
	size_t used;

	g_assert_true(smtp_reply_parser_feed(parser, at, left, &used, &reply, NULL));
	g_assert_cmpuint(used, ==, 21);
	g_assert_cmpuint(reply.lines->len, ==, 2);
	g_assert_cmpstr(g_ptr_array_index(reply.lines, 0), ==, "one");
	g_assert_cmpstr(g_ptr_array_index(reply.lines, 1), ==, "SIZE 5");
	smtp_reply_clear(&reply);
	at += used;
	left -= used;
	g_assert_true(smtp_reply_parser_feed(parser, at, left, &used, &reply, NULL));
	g_assert_cmpuint(used, ==, 9);
	g_assert_cmpstr(reply.text, ==, "550 two");
	smtp_reply_clear(&reply);
	at += used;
	left -= used;
	g_assert_false(smtp_reply_parser_feed(parser, at, left, &used, &reply, NULL));
	g_assert_cmpuint(used, ==, 2);
	g_assert_false(smtp_reply_parser_is_empty(parser));
	smtp_reply_parser_free(&parser);
}

/* A line of `len` bytes without its end. */
static GString *long_line(size_t len, const char *end)
{
	g_autofree char *fill = g_strnfill(len - 4, 'x');
	GString *line = g_string_new("250 ");

	g_string_append(line, fill);
	g_string_append(line, end);
	return line;
}

static void test_long_line(void)
{
	static const char *const ends[] = {"\n", "\r\n"};

	for (unsigned i = 0; i < 2; i++) {
		for (size_t len = LIMIT_SMTP_LINE - 1; len <= LIMIT_SMTP_LINE; len++) {
			struct smtp_reply_parser *parser = smtp_reply_parser_new();
			GString *line = long_line(len, ends[i]);
			struct smtp_reply reply;

			g_assert_true(feed(parser, line->str, line->len, 100, &reply, NULL));
			g_assert_cmpuint(strlen(g_ptr_array_index(reply.lines, 0)), ==, len - 4);
			g_assert_cmpuint(strlen(reply.text), ==, 500);
			g_assert_true(g_str_has_suffix(reply.text, "x..."));
			smtp_reply_clear(&reply);
			smtp_reply_parser_free(&parser);
			g_string_free(line, TRUE);
		}
		GString *line = long_line(LIMIT_SMTP_LINE + 1, ends[i]);

		check_bad_bytes(line->str, line->len, ERROR_LIMIT);
		g_string_free(line, TRUE);
	}
	/* Without an end. */
	GString *line = long_line(LIMIT_SMTP_LINE + 2, "");

	check_bad_bytes(line->str, line->len, ERROR_LIMIT);
	g_string_free(line, TRUE);
}

static void check_many(unsigned lines, bool good)
{
	struct smtp_reply_parser *parser = smtp_reply_parser_new();
	GString *bytes = g_string_new(NULL);
	struct smtp_reply reply;
	g_autoptr(GError) error = NULL;

	for (unsigned i = 1; i < lines; i++)
		g_string_append(bytes, "250-x\r\n");
	g_string_append(bytes, "250 x\r\n");
	g_assert_true(feed(parser, bytes->str, bytes->len, bytes->len, &reply, &error) == good);
	if (good) {
		g_assert_cmpuint(reply.lines->len, ==, lines);
		smtp_reply_clear(&reply);
	} else {
		g_assert_error(error, MAILFS_ERROR, ERROR_LIMIT);
	}
	g_string_free(bytes, TRUE);
	smtp_reply_parser_free(&parser);
}

static void test_many_lines(void)
{
	check_many(LIMIT_SMTP_LINES - 1, true);
	check_many(LIMIT_SMTP_LINES, true);
	check_many(LIMIT_SMTP_LINES + 1, false);
}

static void test_text_limit(void)
{
	for (unsigned len = 499; len <= 501; len++) {
		struct smtp_reply_parser *parser = smtp_reply_parser_new();
		GString *line = long_line(len, "\r\n");
		struct smtp_reply reply;

		g_assert_true(feed(parser, line->str, line->len, line->len, &reply, NULL));
		g_assert_cmpuint(strlen(reply.text), ==, MIN(len, 500));
		g_assert_true(g_str_has_suffix(reply.text, "...") == (len == 501));
		smtp_reply_clear(&reply);
		smtp_reply_parser_free(&parser);
		g_string_free(line, TRUE);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/smtp-reply/lines", test_lines);
	g_test_add_func("/smtp-reply/bad", test_bad);
	g_test_add_func("/smtp-reply/error-shows-little", test_error_shows_little);
	g_test_add_func("/smtp-reply/enhanced", test_enhanced);
	g_test_add_func("/smtp-reply/several", test_several);
	g_test_add_func("/smtp-reply/long-line", test_long_line);
	g_test_add_func("/smtp-reply/many-lines", test_many_lines);
	g_test_add_func("/smtp-reply/text-limit", test_text_limit);
	return g_test_run();
}
