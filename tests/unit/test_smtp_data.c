#include "protocol/smtp_data.h"

#include <string.h>

static GString *encode(const char *text, size_t len, size_t step)
{
	struct smtp_data data = {0};
	struct buf out;
	GString *sent;

	buf_init(&out, 2 * len + 2);
	for (size_t at = 0; at < len; at += step)
		smtp_data_encode(&data, (const uint8_t *)text + at, MIN(step, len - at), &out);
	smtp_data_end(&data, &out);
	sent = g_string_new_len((const char *)buf_data(&out), (gssize)buf_len(&out));
	buf_clear(&out);
	return sent;
}

static void check_bytes(const char *text, size_t len, const char *expected, size_t expected_len)
{
	for (size_t step = 1; step <= len + 1; step++) {
		GString *sent = encode(text, len, step);

		g_assert_cmpmem(sent->str, (int)sent->len, expected, (int)expected_len);
		g_string_free(sent, TRUE);
	}
}

static void check(const char *text, const char *expected)
{
	check_bytes(text, strlen(text), expected, strlen(expected));
}

static void test_line_ends(void)
{
	check("", "");
	check("a", "a\r\n");
	check("a\n", "a\r\n");
	check("a\r", "a\r\n");
	check("a\r\n", "a\r\n");
	check("\n", "\r\n");
	check("a\n\nb\r\rc\r\n\r\nd", "a\r\n\r\nb\r\n\r\nc\r\n\r\nd\r\n");
	check("a\r\n\nb\n\rc", "a\r\n\r\nb\r\n\r\nc\r\n");
	check("a\r\r\nb", "a\r\n\r\nb\r\n");
	check_bytes("a\0b", 3, "a\0b\r\n", 5);
}

static void test_dots(void)
{
	check(".", "..\r\n");
	check("..", "...\r\n");
	check("a.b.\n.c", "a.b.\r\n..c\r\n");
	check("\r.\r", "\r\n..\r\n");
	check("a\r.b", "a\r\n..b\r\n");
}

/* None of them leaves the text. */
static void test_smuggling(void)
{
	static const char *const ends[] = {"\n", "\r", "\r\n"};

	for (unsigned i = 0; i < 9; i++) {
		g_autofree char *text =
			g_strdup_printf("a%s.%sMAIL FROM:<x@y>", ends[i / 3], ends[i % 3]);

		check(text, "a\r\n..\r\nMAIL FROM:<x@y>\r\n");
	}
	check("a\r\n\r.\r\n", "a\r\n\r\n..\r\n");
	check("a\r\n.\r\r\n", "a\r\n..\r\n\r\n");
	check_bytes("a\r\n\0.\r\nb", 8, "a\r\n\0.\r\nb\r\n", 10);
}

/* The state begins anew. */
static void test_end(void)
{
	struct smtp_data data = {0};
	struct buf out;

	buf_init(&out, 100);
	smtp_data_encode(&data, (const uint8_t *)"a\r", 2, &out);
	smtp_data_end(&data, &out);
	smtp_data_encode(&data, (const uint8_t *)"\n.", 2, &out);
	smtp_data_end(&data, &out);
	g_assert_cmpmem(buf_data(&out), (int)buf_len(&out), "a\r\n\r\n..\r\n", 9);
	buf_clear(&out);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/smtp-data/line-ends", test_line_ends);
	g_test_add_func("/smtp-data/dots", test_dots);
	g_test_add_func("/smtp-data/smuggling", test_smuggling);
	g_test_add_func("/smtp-data/end", test_end);
	return g_test_run();
}
