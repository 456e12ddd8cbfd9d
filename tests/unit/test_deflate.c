#include "base/error.h"
#include "base/limits.h"
#include "net/deflate.h"

#include <string.h>
#include <zlib.h>

/* --- Helpers --- */

static struct deflate *stream_new(void)
{
	GError *error = NULL;
	struct deflate *stream = deflate_new("server:993", &error);

	g_assert_no_error(error);
	return stream;
}

/* What a server would send for `text`: raw DEFLATE, flushed, and ended if `end`. */
static GByteArray *squeeze(const void *text, size_t len, bool end)
{
	z_stream out = {0};
	GByteArray *bytes = g_byte_array_new();

	g_assert_cmpint(deflateInit2(&out, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), ==, Z_OK);
	g_byte_array_set_size(bytes, (guint)deflateBound(&out, len) + 64);
	out.next_in = (Bytef *)text;
	out.avail_in = (uInt)len;
	out.next_out = bytes->data;
	out.avail_out = bytes->len;
	g_assert_cmpint(deflate(&out, end ? Z_FINISH : Z_SYNC_FLUSH), ==,
			end ? Z_STREAM_END : Z_OK);
	g_byte_array_set_size(bytes, bytes->len - out.avail_out);
	deflateEnd(&out);
	return bytes;
}

/* Reads by `max` bytes until it has to be fed. */
static bool drain(struct deflate *stream, size_t max, GString *out, GError **error)
{
	g_autofree char *bytes = g_malloc(max);
	ssize_t n;

	while ((n = deflate_read(stream, bytes, max, error)) > 0)
		g_string_append_len(out, bytes, n);
	if (n == 0)
		g_assert_false(deflate_pending(stream));
	return n == 0;
}

static bool feed(struct deflate *stream, const void *bytes, size_t len, size_t max, GString *out,
		 GError **error)
{
	deflate_feed(stream, bytes, len);
	return drain(stream, max, out, error);
}

static char *mails(size_t len)
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; text->len < len; i++)
		g_string_append_printf(text, "* %u FETCH (UID %u FLAGS (\\Seen) X %u)\r\n", i,
				       i * 7, g_random_int());
	g_string_truncate(text, len);
	return g_string_free(text, FALSE);
}

/* --- What comes --- */

static void test_split_everywhere(void)
{
	g_autofree char *text = mails(700);
	g_autoptr(GByteArray) bytes = squeeze(text, 700, false);

	for (unsigned at = 0; at <= bytes->len; at++) {
		struct deflate *stream = stream_new();
		g_autoptr(GString) out = g_string_new(NULL);

		g_assert_true(feed(stream, bytes->data, at, 1000, out, NULL));
		g_assert_true(feed(stream, bytes->data + at, bytes->len - at, 1000, out, NULL));
		g_assert_cmpstr(out->str, ==, text);
		deflate_free(&stream);
	}
}

static void test_byte_by_byte(void)
{
	g_autofree char *text = mails(5000);
	g_autoptr(GByteArray) bytes = squeeze(text, 5000, false);
	struct deflate *stream = stream_new();
	g_autoptr(GString) out = g_string_new(NULL);

	for (unsigned i = 0; i < bytes->len; i++)
		g_assert_true(feed(stream, bytes->data + i, 1, 1, out, NULL));
	g_assert_cmpstr(out->str, ==, text);
	deflate_free(&stream);
}

/* However little room there is, nothing waits for bytes that do not come. */
static void test_small_reads(void)
{
	g_autofree char *text = mails(100000);
	g_autoptr(GByteArray) bytes = squeeze(text, 100000, false);

	for (size_t max = 1; max < 70000; max = max * 3 + 1) {
		struct deflate *stream = stream_new();
		g_autoptr(GString) out = g_string_new(NULL);

		g_assert_true(feed(stream, bytes->data, bytes->len, max, out, NULL));
		g_assert_cmpstr(out->str, ==, text);
		deflate_free(&stream);
	}
}

static void test_nothing(void)
{
	static const uint8_t empty_block[] = {0x00, 0x00, 0x00, 0xff, 0xff};
	struct deflate *stream = stream_new();
	g_autoptr(GString) out = g_string_new(NULL);

	g_assert_false(deflate_pending(stream));
	g_assert_true(feed(stream, "", 0, 10, out, NULL));
	for (int i = 0; i < 1000; i++)
		g_assert_true(feed(stream, empty_block, sizeof(empty_block), 10, out, NULL));
	g_assert_cmpuint(out->len, ==, 0);
	deflate_free(&stream);
}

static void assert_bad(const void *bytes, size_t len, enum mailfs_error code)
{
	struct deflate *stream = stream_new();
	g_autoptr(GString) out = g_string_new(NULL);
	GError *error = NULL;

	g_assert_false(feed(stream, bytes, len, 100, out, &error));
	g_assert_error(error, MAILFS_ERROR, (int)code);
	g_assert_nonnull(strstr(error->message, "server:993"));
	g_assert_nonnull(strstr(error->message, "compress=off"));
	g_error_free(error);
	deflate_free(&stream);
}

static void test_garbage(void)
{
	static const char *const bad[] = {
		"* OK in clear, not compressed at all\r\n", /* ends in a block of a type that is not
							     */
		"\x07\xff\xff\xff",
		"\x78\x9c\x4b\xcb\xcf\x07\x00\x02\x82\x01\x45", /* with zlib's header */
		"\x1f\x8b\x08\xff\xff\xff\xff\xff\xff\xff",	/* gzip */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_bad(bad[i], strlen(bad[i]), ERROR_PROTOCOL);
}

/* Noise never does more than fail. */
static void test_noise(void)
{
	for (int run = 0; run < 2000; run++) {
		struct deflate *stream = stream_new();
		g_autoptr(GString) out = g_string_new(NULL);
		uint8_t noise[64];

		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (uint8_t)g_random_int();
		feed(stream, noise, sizeof(noise), 4096, out, NULL);
		g_assert_cmpuint(out->len, <=, sizeof(noise) * 1040);
		deflate_free(&stream);
	}
}

/* What was cut is given as far as it goes, and no further. */
static void test_truncated(void)
{
	g_autofree char *text = mails(3000);
	g_autoptr(GByteArray) bytes = squeeze(text, 3000, true);

	for (unsigned at = 0; at < bytes->len; at++) {
		struct deflate *stream = stream_new();
		g_autoptr(GString) out = g_string_new(NULL);

		g_assert_true(feed(stream, bytes->data, at, 500, out, NULL));
		g_assert_true(memcmp(out->str, text, out->len) == 0);
		deflate_free(&stream);
	}
}

static void test_behind_the_end(void)
{
	g_autoptr(GByteArray) bytes = squeeze("* BYE\r\n", 7, true);
	struct deflate *stream = stream_new();
	g_autoptr(GString) out = g_string_new(NULL);
	GError *error = NULL;

	g_assert_true(feed(stream, bytes->data, bytes->len, 100, out, NULL));
	g_assert_cmpstr(out->str, ==, "* BYE\r\n");
	g_assert_false(feed(stream, "x", 1, 100, out, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_PROTOCOL);
	g_error_free(error);
	deflate_free(&stream);

	g_byte_array_append(bytes, (const guint8 *)"x", 1);
	assert_bad(bytes->data, bytes->len, ERROR_PROTOCOL);
}

/* --- Bombs --- */

/* Zeros, `count` megabytes of them at most; gives how many came before it failed. */
static uint64_t read_zeros(uint64_t megabytes, GError **error)
{
	g_autofree char *zeros = g_malloc0(1024 * 1024);
	g_autofree char *room = g_malloc(1024 * 1024);
	struct deflate *stream = stream_new();
	uint8_t raw[4096];
	z_stream out = {0};
	uint64_t got = 0;
	ssize_t n = 0;

	g_assert_cmpint(deflateInit2(&out, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), ==, Z_OK);
	for (uint64_t i = 0; i < megabytes && n >= 0; i++) {
		out.next_in = (Bytef *)zeros;
		out.avail_in = 1024 * 1024;
		out.next_out = raw;
		out.avail_out = sizeof(raw);
		g_assert_cmpint(deflate(&out, Z_NO_FLUSH), ==, Z_OK);
		deflate_feed(stream, raw, sizeof(raw) - out.avail_out);
		while ((n = deflate_read(stream, room, 1024 * 1024, error)) > 0)
			got += (uint64_t)n;
	}
	deflateEnd(&out);
	deflate_free(&stream);
	return got;
}

static void test_bomb(void)
{
	GError *error = NULL;
	uint64_t got = read_zeros(1024, &error);

	g_assert_error(error, MAILFS_ERROR, ERROR_LIMIT);
	g_error_free(error);
	g_assert_cmpuint(got, <=, LIMIT_INFLATE_BYTES + 1024 * 1024);
	g_assert_cmpuint(got, >=, LIMIT_INFLATE_BYTES - 2 * 1024 * 1024);
}

/* A folder of small mails that are all the same is none, nor is a short stream. */
static void test_no_bomb(void)
{
	GError *error = NULL;

	read_zeros(LIMIT_INFLATE_BYTES / 1024 / 1024, &error);
	g_assert_no_error(error);
}

/* --- What goes --- */

/* As a link does it, when the socket takes `step` bytes at a time. */
static GByteArray *send_all(struct deflate *stream, const char *text, size_t len, size_t step)
{
	GByteArray *sent = g_byte_array_new();

	while (len > 0) {
		size_t raw_len, taken;
		const uint8_t *raw = deflate_write(stream, text, len, &raw_len);

		g_assert_cmpuint(raw_len, >, 0);
		raw_len = MIN(raw_len, step);
		g_byte_array_append(sent, raw, (guint)raw_len);
		taken = deflate_sent(stream, raw_len);
		g_assert_cmpuint(taken, <=, len);
		text += taken;
		len -= taken;
	}
	return sent;
}

static void test_round_trip(void)
{
	const size_t len = 100001;
	g_autofree char *text = mails(len);

	for (size_t step = 1; step <= 100000; step *= 10) {
		struct deflate *here = stream_new(), *there = stream_new();
		g_autoptr(GByteArray) sent = send_all(here, text, len, step);
		g_autoptr(GString) out = g_string_new(NULL);

		g_assert_cmpuint(sent->len, <, len / 2);
		g_assert_true(feed(there, sent->data, sent->len, 4096, out, NULL));
		g_assert_cmpuint(out->len, ==, len);
		g_assert_cmpstr(out->str, ==, text);
		deflate_free(&here);
		deflate_free(&there);
	}
}

/* A command that was taken is readable by the server at once. */
static void test_flushed(void)
{
	struct deflate *here = stream_new(), *there = stream_new();
	g_autoptr(GString) out = g_string_new(NULL);

	for (int i = 0; i < 100; i++) {
		g_autoptr(GByteArray) sent = send_all(here, "a1 NOOP\r\n", 9, 3);

		g_string_truncate(out, 0);
		g_assert_true(feed(there, sent->data, sent->len, 100, out, NULL));
		g_assert_cmpstr(out->str, ==, "a1 NOOP\r\n");
	}
	deflate_free(&here);
	deflate_free(&there);
}

static void test_incompressible(void)
{
	const size_t len = 200000;
	g_autofree char *noise = g_malloc(len);
	struct deflate *here = stream_new(), *there = stream_new();
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(GByteArray) sent = NULL;

	for (size_t i = 0; i < len; i++)
		noise[i] = (char)g_random_int();
	sent = send_all(here, noise, len, 1000);
	g_assert_true(feed(there, sent->data, sent->len, 65536, out, NULL));
	g_assert_cmpuint(out->len, ==, len);
	g_assert_true(memcmp(out->str, noise, len) == 0);
	deflate_free(&here);
	deflate_free(&there);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/deflate/split-everywhere", test_split_everywhere);
	g_test_add_func("/deflate/byte-by-byte", test_byte_by_byte);
	g_test_add_func("/deflate/small-reads", test_small_reads);
	g_test_add_func("/deflate/nothing", test_nothing);
	g_test_add_func("/deflate/garbage", test_garbage);
	g_test_add_func("/deflate/noise", test_noise);
	g_test_add_func("/deflate/truncated", test_truncated);
	g_test_add_func("/deflate/behind-the-end", test_behind_the_end);
	g_test_add_func("/deflate/bomb", test_bomb);
	g_test_add_func("/deflate/no-bomb", test_no_bomb);
	g_test_add_func("/deflate/round-trip", test_round_trip);
	g_test_add_func("/deflate/flushed", test_flushed);
	g_test_add_func("/deflate/incompressible", test_incompressible);
	return g_test_run();
}
