/* Who has .mailfs/events open gets each line, in order, or is told how many are missing. */
#include "fuse/stream.h"

#include <glib.h>
#include <string.h>

#define NOW_NS (INT64_C(1700000000) * 1000000000 + 7000000)
#define TIME "2023-11-14T22:13:20.007Z\t"

struct told {
	unsigned calls;
	uint32_t last;
	struct fuse_pollhandle *handle;
};

static void on_ready(void *data, uint32_t reader, struct fuse_pollhandle *handle)
{
	struct told *told = data;

	told->calls++;
	told->last = reader;
	told->handle = handle;
}

/* Nothing looks into it. */
static struct fuse_pollhandle *handle_of(char *place)
{
	return (struct fuse_pollhandle *)(void *)place;
}

static void assert_read(struct streams *streams, struct stream *stream, const char *expected)
{
	char buffer[512] = "";

	g_assert_cmpuint(stream_read(streams, stream, buffer, sizeof(buffer) - 1), ==,
			 strlen(expected));
	g_assert_cmpstr(buffer, ==, expected);
}

static void test_lines(void)
{
	struct told told = {0};
	struct streams *streams = streams_new(on_ready, &told);
	struct stream *first, *second;
	char byte;

	g_assert_false(streams_are_open(streams));
	streams_tell(streams, NOW_NS, "new", "nobody hears", NULL);
	first = stream_open(streams);
	g_assert_true(streams_are_open(streams));
	assert_read(streams, first, "");
	g_assert_false(streams_are_ready(streams, stream_number(first)));
	streams_tell(streams, NOW_NS, "moved", "a\tb\n\\\x7f", "\xc3\xa9 ");
	g_assert_true(streams_are_ready(streams, stream_number(first)));
	g_assert_cmpuint(told.last, ==, stream_number(first));
	second = stream_open(streams);
	g_assert_cmpuint(stream_number(second), !=, stream_number(first));
	g_assert_cmpuint(stream_read(streams, first, &byte, 1), ==, 1);
	g_assert_cmpint(byte, ==, '2');
	assert_read(streams, first, &(TIME "moved\ta\\011b\\012\\134\\177\t\xc3\xa9 \n")[1]);
	assert_read(streams, second, "");
	streams_tell(streams, NOW_NS, "gone", "x", NULL);
	assert_read(streams, first, TIME "gone\tx\n");
	assert_read(streams, second, TIME "gone\tx\n");
	stream_close(streams, &first);
	stream_close(streams, &second);
	streams_free(&streams);
}

/* Up to the last byte that fits. */
static void test_lost(void)
{
	struct told told = {0};
	struct streams *streams = streams_new(on_ready, &told);
	struct stream *stream = stream_open(streams);
	g_autofree char *buffer = g_malloc(2 * STREAM_BYTES);
	size_t line = strlen(TIME "new\tx\n"), fit = STREAM_BYTES / line;
	g_autofree char *rest = g_strnfill(STREAM_BYTES - fit * line + 1, 'x');

	for (size_t i = 0; i + 1 < fit; i++)
		streams_tell(streams, NOW_NS, "new", "x", NULL);
	streams_tell(streams, NOW_NS, "new", rest, NULL); /* to the brim */
	streams_tell(streams, NOW_NS, "new", "lost", NULL);
	g_assert_cmpuint(stream_read(streams, stream, buffer, 1), ==, 1);
	/* There is room for it again, but not in its place. */
	streams_tell(streams, NOW_NS, "x", "", NULL);
	g_assert_cmpuint(stream_read(streams, stream, buffer, 2 * STREAM_BYTES), ==,
			 STREAM_BYTES - 1);
	g_assert_true(streams_are_ready(streams, stream_number(stream)));
	assert_read(streams, stream, TIME "lost\t2\n");
	g_assert_false(streams_are_ready(streams, stream_number(stream)));
	streams_tell(streams, NOW_NS, "new", "x", NULL);
	assert_read(streams, stream, TIME "new\tx\n");
	stream_close(streams, &stream);
	streams_free(&streams);
}

static void test_poll(void)
{
	struct told told = {0};
	struct streams *streams = streams_new(on_ready, &told);
	struct stream *stream = stream_open(streams);
	struct fuse_pollhandle *old;
	char places[4];

	/* Each is given back once: replaced, told, or at the close. */
	g_assert_false(stream_poll(streams, stream, handle_of(&places[0]), &old));
	g_assert_null(old);
	g_assert_false(stream_poll(streams, stream, NULL, &old));
	g_assert_null(old);
	g_assert_false(stream_poll(streams, stream, handle_of(&places[1]), &old));
	g_assert_true(old == handle_of(&places[0]));
	streams_tell(streams, NOW_NS, "new", "x", NULL);
	g_assert_true(told.handle == handle_of(&places[1]));
	g_assert_true(stream_poll(streams, stream, handle_of(&places[2]), &old));
	g_assert_null(old);
	streams_tell(streams, NOW_NS, "new", "y", NULL);
	g_assert_true(told.handle == handle_of(&places[2]));
	assert_read(streams, stream, TIME "new\tx\n" TIME "new\ty\n");
	g_assert_false(stream_poll(streams, stream, handle_of(&places[3]), &old));
	g_assert_null(old);
	stream_close(streams, &stream);
	g_assert_null(stream);
	g_assert_true(told.handle == handle_of(&places[3]));
	g_assert_cmpuint(told.calls, ==, 3);
	streams_free(&streams);
}

static void test_many(void)
{
	struct told told = {0};
	struct streams *streams = streams_new(on_ready, &told);
	struct stream *readers[STREAM_READERS];

	for (unsigned i = 0; i < STREAM_READERS; i++)
		g_assert_nonnull(readers[i] = stream_open(streams));
	g_assert_null(stream_open(streams));
	streams_tell(streams, NOW_NS, "new", "x", NULL);
	g_assert_cmpuint(told.calls, ==, STREAM_READERS);
	stream_close(streams, &readers[0]);
	g_assert_nonnull(readers[0] = stream_open(streams));
	for (unsigned i = 0; i < STREAM_READERS; i++)
		stream_close(streams, &readers[i]);
	streams_free(&streams);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/stream/lines", test_lines);
	g_test_add_func("/stream/lost", test_lost);
	g_test_add_func("/stream/poll", test_poll);
	g_test_add_func("/stream/many", test_many);
	return g_test_run();
}
