#include "base/buf.h"

#include <glib.h>
#include <string.h>

static void assert_content(const struct buf *buf, const char *want)
{
	g_assert_cmpmem(buf_data(buf), (int)buf_len(buf), want, (int)strlen(want));
}

static bool append(struct buf *buf, const char *text)
{
	return buf_append(buf, text, strlen(text));
}

static void test_empty(void)
{
	struct buf buf;

	buf_init(&buf, 4);
	g_assert_cmpuint(buf_len(&buf), ==, 0);
	g_assert_nonnull(buf_data(&buf));
	g_assert_true(buf_append(&buf, NULL, 0));
	buf_consume(&buf, 0);
	buf_wipe(&buf);
	buf_clear(&buf);
	buf_clear(&buf);
}

static void test_cap(void)
{
	struct buf buf;

	buf_init(&buf, 4);
	g_assert_true(append(&buf, "abc"));
	g_assert_false(append(&buf, "de"));
	assert_content(&buf, "abc");
	g_assert_true(append(&buf, "d"));
	g_assert_false(append(&buf, "e"));
	g_assert_false(buf_append(&buf, "e", SIZE_MAX));
	buf_consume(&buf, 1);
	g_assert_true(append(&buf, "e"));
	assert_content(&buf, "bcde");
	buf_clear(&buf);
}

static void test_truncate(void)
{
	struct buf buf;

	buf_init(&buf, 5);
	g_assert_true(append(&buf, "abcde"));
	buf_consume(&buf, 1);
	buf_truncate(&buf, 4);
	assert_content(&buf, "bcde");
	buf_truncate(&buf, 2);
	assert_content(&buf, "bc");
	g_assert_true(append(&buf, "xyz"));
	assert_content(&buf, "bcxyz");
	buf_truncate(&buf, 0);
	assert_content(&buf, "");
	buf_clear(&buf);
}

/* A queue's life: the content is right however appends and consumes interleave, and memory stays
 * in proportion to what is held. */
static void test_queue(void)
{
	GRand *rand = g_rand_new_with_seed(1);
	struct buf buf;
	uint8_t in = 0;
	uint8_t out = 0;

	buf_init(&buf, 1000);
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t piece[300];
		size_t len = (size_t)g_rand_int_range(rand, 0, sizeof(piece));

		for (size_t j = 0; j < len; j++)
			piece[j] = (uint8_t)(in + j);
		if (buf_append(&buf, piece, len))
			in = (uint8_t)(in + len);
		else
			g_assert_cmpuint(buf_len(&buf) + len, >, 1000);
		len = (size_t)g_rand_int_range(rand, 0, (gint32)buf_len(&buf) + 1);
		for (size_t j = 0; j < len; j++)
			g_assert_cmpuint(buf_data(&buf)[j], ==, (uint8_t)(out + j));
		out = (uint8_t)(out + len);
		buf_consume(&buf, len);
		g_assert_cmpuint(buf.size, <=, 4000);
	}
	g_rand_free(rand);
	buf_clear(&buf);
}

static void test_wipe(void)
{
	struct buf buf;

	buf_init(&buf, 100);
	g_assert_true(append(&buf, "LOGIN alice secret"));
	buf_consume(&buf, 10);
	buf_wipe(&buf);
	g_assert_cmpuint(buf_len(&buf), ==, 0);
	for (size_t i = 0; i < buf.size && i < 24; i++)
		g_assert_cmpuint(buf.bytes[i], ==, 0);
	g_assert_true(append(&buf, "next"));
	assert_content(&buf, "next");
	buf_clear(&buf);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/buf/empty", test_empty);
	g_test_add_func("/buf/cap", test_cap);
	g_test_add_func("/buf/truncate", test_truncate);
	g_test_add_func("/buf/queue", test_queue);
	g_test_add_func("/buf/wipe", test_wipe);
	return g_test_run();
}
