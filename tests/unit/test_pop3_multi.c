#include "protocol/pop3_multi.h"

#include <glib.h>
#include <string.h>

/* Length of the next cut. */
typedef size_t (*cut_fn)(GRand *rand, size_t left);

static size_t cut_none(GRand *rand, size_t left)
{
	return left;
}

static size_t cut_bytes(GRand *rand, size_t left)
{
	return 1;
}

static size_t cut_random(GRand *rand, size_t left)
{
	return (size_t)g_rand_int_range(rand, 1, (int)MIN(left, 9) + 1);
}

/* All that is told of `bytes`; `*ret_used` up to the end, or all. */
static GString *decode(const char *bytes, size_t len, cut_fn cut, GRand *rand, size_t *ret_used,
		       bool *ret_ended)
{
	GString *out = g_string_new(NULL);
	struct pop3_multi multi = {0};
	struct pop3_piece piece = {0};
	size_t at = 0;

	while (at < len && !piece.ended) {
		size_t part = cut(rand, len - at);
		g_autofree uint8_t *copy = g_memdup2(bytes + at, part);
		size_t used = 0;

		while (used < part && !piece.ended) {
			size_t step = pop3_multi_next(&multi, copy + used, part - used, &piece);

			g_assert_cmpuint(step, <=, part - used);
			g_assert_true(step > 0 || piece.len > 0);
			g_string_append_len(out, (const char *)piece.bytes, (gssize)piece.len);
			used += step;
		}
		at += used;
	}
	*ret_used = at;
	*ret_ended = piece.ended;
	return out;
}

static void check_cut(const char *bytes, size_t len, const char *expected, size_t expected_len,
		      bool ends, cut_fn cut, GRand *rand)
{
	/* what is behind the end is somebody else's */
	g_autofree char *all = g_malloc(len + 6);
	size_t used;
	bool ended;
	GString *out;

	memcpy(all, bytes, len);
	memcpy(all + len, "+OK 7\n", 6);
	out = decode(all, ends ? len + 6 : len, cut, rand, &used, &ended);
	g_assert_cmpint(ended, ==, ends);
	g_assert_cmpuint(used, ==, len);
	g_assert_cmpuint(out->len, ==, expected_len);
	g_assert_true(memcmp(out->str, expected, expected_len) == 0);
	g_string_free(out, TRUE);
}

static void check_bytes(const char *bytes, size_t len, const char *expected, size_t expected_len,
			bool ends)
{
	GRand *rand = g_rand_new_with_seed((guint32)len);

	check_cut(bytes, len, expected, expected_len, ends, cut_none, rand);
	check_cut(bytes, len, expected, expected_len, ends, cut_bytes, rand);
	for (unsigned i = 0; i < 50; i++)
		check_cut(bytes, len, expected, expected_len, ends, cut_random, rand);
	g_rand_free(rand);
}

static void check(const char *bytes, const char *expected)
{
	check_bytes(bytes, strlen(bytes), expected, strlen(expected), true);
}

static void check_open(const char *bytes, const char *expected)
{
	check_bytes(bytes, strlen(bytes), expected, strlen(expected), false);
}

static void test_ends(void)
{
	check(".\r\n", "");
	check("\r\n.\r\n", "\r\n");
	check("a\r\n.\r\n", "a\r\n");
	check("a\r\n\r\nb\r\n.\r\n", "a\r\n\r\nb\r\n");
	check("a\n\r\n.\r\n", "a\n\r\n");
	check("a\r\r\n.\r\n", "a\r\r\n");
}

static void test_stuffed(void)
{
	check("..\r\n.\r\n", ".\r\n");
	check("...\r\n.\r\n", "..\r\n");
	check("..a\r\n..b\r\n.\r\n", ".a\r\n.b\r\n");
	check("a.\r\n.\r\n", "a.\r\n");
	check("a\r\n..\r\n.\r\n", "a\r\n.\r\n");
	check("..\r\n..\r\n.\r\n", ".\r\n.\r\n");
	/* a server that does not stuff */
	check(".a\r\n.\r\n", "a\r\n");
	check(".\r.\r\n.\r\n", "\r.\r\n");
	check(".\r\r\n.\r\n", "\r\r\n");
}

static void test_lone_ends_are_data(void)
{
	check("a\n.\nb\r\n.\r\n", "a\n.\nb\r\n");
	check("a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n");
	check("a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n");
	check("a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n");
	check("a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n");
	check("a\n..\nb\r\n.\r\n", "a\n..\nb\r\n");
	check("\n.\r\n\r\n.\r\n", "\n.\r\n\r\n");
	check_open("a\n.\n", "a\n.\n");
	check_open("a\r.\r", "a\r.\r");
	check_open("a\r\n.", "a\r\n");
	check_open("a\r\n.\r", "a\r\n");
	check_open("", "");
	/* a line end is two bytes that stand together: the dot is behind the LF of one */
	check("a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n");
}

static void test_any_bytes(void)
{
	char bytes[256 + 5], expected[256 + 2];

	for (unsigned i = 0; i < 256; i++)
		bytes[i] = expected[i] = (char)i;
	memcpy(bytes + 256, "\r\n.\r\n", 5);
	memcpy(expected + 256, "\r\n", 2);
	check_bytes(bytes, sizeof(bytes), expected, sizeof(expected), true);
}

static void test_long_line(void)
{
	size_t len = 3 * 1024 * 1024;
	g_autofree char *bytes = g_malloc(len + 5);
	GRand *rand = g_rand_new_with_seed(1);

	memset(bytes, '.', len);
	memcpy(bytes + len, "\r\n.\r\n", 5);
	check_cut(bytes, len + 5, bytes + 1, len + 1, true, cut_none, rand);
	check_cut(bytes, len + 5, bytes + 1, len + 1, true, cut_random, rand);
	g_rand_free(rand);
}

/* What a server makes of a message whose last line has an end. */
static GString *stuff(const GString *message)
{
	GString *out = g_string_new(NULL);

	for (size_t i = 0; i < message->len; i++) {
		bool begins = i == 0 || (i > 1 && memcmp(message->str + i - 2, "\r\n", 2) == 0);

		if (begins && message->str[i] == '.')
			g_string_append_c(out, '.');
		g_string_append_c(out, message->str[i]);
	}
	g_string_append(out, ".\r\n");
	return out;
}

static void test_round_trip(void)
{
	static const char letters[] = "..\r\n\r\nab";
	GRand *rand = g_rand_new_with_seed(1939);

	for (unsigned i = 0; i < 3000; i++) {
		g_autoptr(GString) message = g_string_new(NULL);
		g_autoptr(GString) wire = NULL;

		for (int n = g_rand_int_range(rand, 0, 30); n > 0; n--)
			g_string_append_c(message, letters[g_rand_int_range(rand, 0, 8)]);
		g_string_append(message, "\r\n");
		wire = stuff(message);
		check_cut(wire->str, wire->len, message->str, message->len, true, cut_none, rand);
		check_cut(wire->str, wire->len, message->str, message->len, true, cut_bytes, rand);
		check_cut(wire->str, wire->len, message->str, message->len, true, cut_random, rand);
	}
	g_rand_free(rand);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pop3_multi/ends", test_ends);
	g_test_add_func("/pop3_multi/stuffed", test_stuffed);
	g_test_add_func("/pop3_multi/lone_ends_are_data", test_lone_ends_are_data);
	g_test_add_func("/pop3_multi/any_bytes", test_any_bytes);
	g_test_add_func("/pop3_multi/long_line", test_long_line);
	g_test_add_func("/pop3_multi/round_trip", test_round_trip);
	return g_test_run();
}
