/* Reading: complete files, files that still arrive, sizes that were not true. */

#include "base/log.h"
#include "tree/node.h"
#include "tree_fixture.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define BIG (5 * MIB)

/* INBOX with one message, UID 1, of which the server says that it has `size` bytes. */
static uint32_t one_message(struct fixture *f, uint64_t size)
{
	uint32_t epoch = fill_inbox(f, NULL, 0);

	put(f, epoch, 1, "m", size);
	commit(f);
	return epoch;
}

static int try_open(struct fixture *f, uint32_t epoch, struct tree_file **ret)
{
	return tree_open(f->tree, &f->call, tree_message_node(epoch, 1), O_RDONLY, ret);
}

static struct tree_file *must_open(struct fixture *f, uint32_t epoch)
{
	struct tree_file *file = NULL;

	g_assert_cmpint(try_open(f, epoch, &file), ==, 0);
	g_assert_false(tree_file_is_text(file));
	return file;
}

static void assert_need(struct fixture *f, int result, uint32_t epoch, uint64_t upto)
{
	g_assert_cmpint(result, ==, TREE_AGAIN);
	g_assert_cmpint(f->call.need.kind, ==, NEED_BODY);
	g_assert_cmpuint(f->call.need.id, ==, epoch);
	g_assert_cmpuint(f->call.need.uid, ==, 1);
	g_assert_cmpuint(f->call.need.upto, ==, upto);
	g_assert_false(f->call.need_soft);
}

static int try_read(struct fixture *f, struct tree_file *file, uint64_t offset, size_t len)
{
	g_autofree uint8_t *buffer = g_malloc(len + 1);
	size_t got;

	return tree_read(f->tree, &f->call, file, offset, len, buffer, &got);
}

/* `want` bytes of the pattern are read. */
static void must_read(struct fixture *f, struct tree_file *file, uint64_t offset, size_t len,
		      size_t want)
{
	g_autofree uint8_t *buffer = g_malloc(len + 1);
	size_t got = SIZE_MAX;

	g_assert_cmpint(tree_read(f->tree, &f->call, file, offset, len, buffer, &got), ==, 0);
	g_assert_cmpuint(got, ==, want);
	for (size_t i = 0; i < got; i++)
		g_assert_cmpuint(buffer[i], ==, pattern(offset + i));
}

/* --- open --- */

static void test_open_flags(struct fixture *f, gconstpointer data)
{
	static const int refused[] = {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_APPEND};
	uint32_t epoch = one_message(f, 10);
	struct tree_file *file = NULL;

	complete(f, epoch, 1, 10);
	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
		g_assert_cmpint(tree_open(f->tree, &f->call, tree_message_node(epoch, 1),
					  refused[i], &file),
				==, EPERM);
	f->account.read_only = true;
	g_assert_cmpint(tree_open(f->tree, &f->call, tree_message_node(epoch, 1), O_RDWR, &file),
			==, EROFS);
	g_assert_cmpint(tree_open(f->tree, &f->call, NODE_ROOT, O_RDONLY, &file), ==, EISDIR);
	g_assert_null(file);
}

static void test_open_small(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = one_message(f, 10);
	struct tree_file *file = NULL;

	assert_need(f, try_open(f, epoch, &file), epoch, UINT64_MAX);
	/* A part of a small one is not enough. */
	receive(f, epoch, 1, 5);
	assert_need(f, try_open(f, epoch, &file), epoch, UINT64_MAX);
	f->call.give_up = EHOSTUNREACH;
	g_assert_cmpint(try_open(f, epoch, &file), ==, EHOSTUNREACH);
	complete(f, epoch, 1, 10);
	file = must_open(f, epoch);
	g_assert_cmpint(tree_file_take_resized(file), ==, 0);
	must_read(f, file, 0, 10, 10);
	must_read(f, file, 0, 4096, 10);
	must_read(f, file, 4, 3, 3);
	must_read(f, file, 10, 1, 0);
	must_read(f, file, 4096, 4096, 0);
	tree_close(f->tree, &file);
	g_assert_null(file);
}

/* The border between messages that come whole and those that come in parts. */
static void test_open_border(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = fill_inbox(f, NULL, 0);
	static const struct {
		uint64_t size, upto;
	} cases[] = {{0, UINT64_MAX},
		     {TREE_WHOLE_MAX - 1, UINT64_MAX},
		     {TREE_WHOLE_MAX, UINT64_MAX},
		     {TREE_WHOLE_MAX + 1, 1}};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		put(f, epoch, (uint32_t)i + 1, "m", cases[i].size);
	commit(f);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct tree_file *file;

		g_assert_cmpint(tree_open(f->tree, &f->call,
					  tree_message_node(epoch, (uint32_t)i + 1), O_RDONLY,
					  &file),
				==, TREE_AGAIN);
		g_assert_cmpuint(f->call.need.upto, ==, cases[i].upto);
	}
}

/* Whether announced sizes are true is asked once, and not of a message whose size is known. */
static void test_trust_unproven(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = one_message(f, 10);
	struct tree_file *file = NULL;

	f->engine.trust = SIZES_UNPROVEN;
	g_assert_cmpint(try_open(f, epoch, &file), ==, TREE_AGAIN);
	g_assert_cmpint(f->call.need.kind, ==, NEED_SIZE);
	g_assert_cmpuint(f->call.need.id, ==, epoch);
	g_assert_cmpuint(f->call.need.uid, ==, 1);
	g_assert_false(f->call.need_soft);
	f->call.give_up = EHOSTUNREACH;
	g_assert_cmpint(try_open(f, epoch, &file), ==, EHOSTUNREACH);
	f->call.give_up = 0;
	complete(f, epoch, 1, 10);
	file = must_open(f, epoch);
	tree_close(f->tree, &file);
	/* Evicted. */
	bodies_drop(f->bodies, epoch, 1);
	file = must_open(f, epoch);
	assert_need(f, try_read(f, file, 0, 4096), epoch, UINT64_MAX);
	tree_close(f->tree, &file);
}

/* Not of a large one, which is open when it has begun. */
static void test_trust_large(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = one_message(f, BIG);
	struct tree_file *file = NULL;

	f->engine.trust = SIZES_UNPROVEN;
	assert_need(f, try_open(f, epoch, &file), epoch, 1);
	receive(f, epoch, 1, 1);
	file = must_open(f, epoch);
	tree_close(f->tree, &file);
}

static void test_trust_true(struct fixture *f, gconstpointer data)
{
	static const uint64_t sizes[] = {0, 10, TREE_WHOLE_MAX, TREE_WHOLE_MAX + 1, BIG};

	f->engine.trust = SIZES_TRUE;
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		uint32_t epoch = fill_inbox(f, NULL, 0);
		struct tree_file *file;

		put(f, epoch, 1, "m", sizes[i]);
		commit(f);
		file = must_open(f, epoch);
		g_assert_cmpint(tree_file_take_resized(file), ==, 0);
		assert_need(f, try_read(f, file, 0, 4096), epoch,
			    sizes[i] > 4096 ? 4096 : UINT64_MAX);
		complete(f, epoch, 1, sizes[i]);
		must_read(f, file, 0, 4096, MIN(sizes[i], 4096));
		g_assert_cmpint(tree_file_take_resized(file), ==, 0);
		tree_close(f->tree, &file);
		expunge(f, epoch);
	}
}

/* Open at once, and caught lying at the first read. */
static void test_trust_betrayed(struct fixture *f, gconstpointer data)
{
	static const uint64_t sizes[] = {0, 9, 11, 5000};

	f->engine.trust = SIZES_TRUE;
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		uint32_t epoch = one_message(f, 10);
		struct tree_file *file = must_open(f, epoch);

		assert_need(f, try_read(f, file, 0, 4096), epoch, UINT64_MAX);
		complete(f, epoch, 1, sizes[i]);
		must_read(f, file, 0, 4096, MIN(sizes[i], 4096));
		g_assert_cmpint(tree_file_take_resized(file), ==, sizes[i] > 10 ? 1 : -1);
		g_assert_cmpint(tree_file_take_resized(file), ==, 0);
		tree_close(f->tree, &file);
		expunge(f, epoch);
	}
}

static void test_open_gone(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = one_message(f, 10);
	struct tree_file *file, *other;
	struct tree_entry entry;

	complete(f, epoch, 1, 10);
	file = must_open(f, epoch);
	g_assert_cmpint(tree_file_getattr(f->tree, &f->call, file, &entry), ==, 0);
	g_assert_cmpuint(entry.attr.st_nlink, ==, 1);
	expunge(f, epoch);
	g_assert_cmpint(try_open(f, epoch, &other), ==, ESTALE);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, entry.node, &entry), ==, ESTALE);
	g_assert_cmpint(tree_file_getattr(f->tree, &f->call, file, &entry), ==, 0);
	g_assert_cmpuint(entry.node, ==, tree_message_node(epoch, 1));
	g_assert_cmpuint(entry.attr.st_nlink, ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, 10);
	/* What is open stays whole. */
	must_read(f, file, 0, 100, 10);
	tree_close(f->tree, &file);
}

/* --- sizes that were not true --- */

static void test_resized(struct fixture *f, gconstpointer data)
{
	static const uint64_t sizes[] = {0, 3, 9, 11, 20};

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		uint32_t epoch = fill_inbox(f, NULL, 0);
		struct tree_entry entry;
		struct tree_file *file;

		put(f, epoch, 1, "m", 10);
		commit(f);
		complete(f, epoch, 1, sizes[i]);
		file = must_open(f, epoch);
		g_assert_cmpint(tree_file_take_resized(file), ==, sizes[i] > 10 ? 1 : -1);
		g_assert_cmpint(tree_file_take_resized(file), ==, 0);
		must_read(f, file, 0, 4096, sizes[i]);
		g_assert_cmpint(tree_file_take_resized(file), ==, 0);
		tree_close(f->tree, &file);
		tree_getattr(f->tree, &f->call, tree_message_node(epoch, 1), &entry);
		g_assert_cmpint(entry.attr.st_size, ==, sizes[i]);
		expunge(f, epoch);
	}
}

/* The file is complete, but the index was not told (a crash in between). */
static void test_resized_untold(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	uint32_t epoch = one_message(f, 10);
	struct tree_entry entry;
	struct tree_file *file;

	receive(f, epoch, 1, 12);
	g_assert_true(bodies_part_commit(f->bodies, epoch, 1, 12, &error));
	file = must_open(f, epoch);
	g_assert_cmpint(tree_file_take_resized(file), ==, 1);
	must_read(f, file, 0, 4096, 12);
	tree_close(f->tree, &file);
	tree_getattr(f->tree, &f->call, tree_message_node(epoch, 1), &entry);
	g_assert_cmpint(entry.attr.st_size, ==, 12);
}

/* --- a message that still arrives --- */

static void test_part(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = one_message(f, BIG);
	struct tree_file *file = NULL;

	assert_need(f, try_open(f, epoch, &file), epoch, 1);
	receive(f, epoch, 1, MIB);
	file = must_open(f, epoch);
	g_assert_cmpint(tree_file_take_resized(file), ==, 0);
	must_read(f, file, 0, 128 * KIB, 128 * KIB);
	must_read(f, file, MIB - 1, 1, 1);
	assert_need(f, try_read(f, file, MIB, 1), epoch, MIB + 1);
	assert_need(f, try_read(f, file, MIB - 1, 2), epoch, MIB + 1);
	assert_need(f, try_read(f, file, 3 * MIB, 128 * KIB), epoch, 3 * MIB + 128 * KIB);
	f->call.give_up = ETIMEDOUT;
	g_assert_cmpint(try_read(f, file, MIB, 1), ==, ETIMEDOUT);
	must_read(f, file, 0, 10, 10);
	f->call.give_up = 0;
	receive(f, epoch, 1, 2 * MIB);
	must_read(f, file, MIB, 128 * KIB, 128 * KIB);
	/* The end is certain only with the whole. */
	assert_need(f, try_read(f, file, BIG - 10, 10), epoch, UINT64_MAX);
	assert_need(f, try_read(f, file, BIG - 10, 9), epoch, BIG - 1);
	complete(f, epoch, 1, BIG);
	must_read(f, file, BIG - 10, 4096, 10);
	must_read(f, file, BIG, 4096, 0);
	must_read(f, file, 0, 10, 10);
	g_assert_cmpint(tree_file_take_resized(file), ==, 0);
	tree_close(f->tree, &file);
}

/* The announced end is reached, but the message goes on, or ended before. */
static void test_part_resized(struct fixture *f, gconstpointer data)
{
	static const uint64_t sizes[] = {BIG - 5000, BIG - 1, BIG + 1, BIG + 5000};

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		uint32_t epoch = fill_inbox(f, NULL, 0);
		uint64_t end = MIN(sizes[i], BIG);
		struct tree_file *file;

		put(f, epoch, 1, "m", BIG);
		commit(f);
		receive(f, epoch, 1, end);
		file = must_open(f, epoch);
		assert_need(f, try_read(f, file, BIG - 4096, 4096), epoch, UINT64_MAX);
		g_assert_cmpint(tree_file_take_resized(file), ==, 0);
		complete(f, epoch, 1, sizes[i]);
		must_read(f, file, BIG - 8192, 8192, end - (BIG - 8192));
		g_assert_cmpint(tree_file_take_resized(file), ==, sizes[i] > BIG ? 1 : -1);
		g_assert_cmpint(tree_file_take_resized(file), ==, 0);
		must_read(f, file, BIG, 8192, sizes[i] > BIG ? sizes[i] - BIG : 0);
		tree_close(f->tree, &file);
		expunge(f, epoch);
	}
}

/* Evicted and fetched again: its size is certain from the start. */
static void test_part_exact(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = one_message(f, BIG + 1);
	struct tree_file *file = NULL;

	complete(f, epoch, 1, BIG);
	bodies_drop(f->bodies, epoch, 1);
	assert_need(f, try_open(f, epoch, &file), epoch, 1);
	receive(f, epoch, 1, BIG);
	file = must_open(f, epoch);
	g_assert_cmpint(tree_file_take_resized(file), ==, -1);
	must_read(f, file, BIG - 10, 4096, 10);
	tree_close(f->tree, &file);
}

static void pack(struct fixture *f, uint32_t epoch, uint32_t uid, uint64_t size)
{
	g_autofree uint8_t *bytes = g_malloc(size);
	uint64_t from;

	for (uint64_t at = 0; at < size; at++)
		bytes[at] = pattern(at);
	put(f, epoch, uid, "m", size);
	bodies_part_begin(f->bodies, epoch, uid, &from);
	g_assert_true(bodies_part_write(f->bodies, epoch, uid, 0, bytes, size, NULL));
	g_assert_true(bodies_part_commit(f->bodies, epoch, uid, size, NULL));
	index_message_size(f->index, epoch, uid, size);
	commit(f);
}

/* Nothing is read of the messages before and behind it in the same file, however it is opened. */
static void test_packed(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = fill_inbox(f, NULL, 0);
	uint8_t bytes[2000];

	pack(f, epoch, 2, 1000);
	pack(f, epoch, 1, 1000);
	pack(f, epoch, 3, 1000);
	for (unsigned round = 0; round < 3; round++) {
		struct tree_file *file = must_open(f, epoch);

		must_read(f, file, 0, 4096, 1000);
		must_read(f, file, 990, 4096, 10);
		must_read(f, file, 1000, 1, 0);
		must_read(f, file, 1001, 4096, 0);
		tree_close(f->tree, &file);
	}
	g_assert_true(tree_peek(f->tree, tree_message_node(epoch, 1), 1000, bytes));
	for (size_t i = 0; i < 1000; i++)
		g_assert_cmpuint(bytes[i], ==, pattern(i));
	struct tree_file *file = must_open(f, epoch);

	expunge(f, epoch);
	must_read(f, file, 990, 4096, 10);
	tree_close(f->tree, &file);
}

/* By another program, while it is open: that is no shorter message. */
static void test_cut(struct fixture *f, gconstpointer data)
{
	g_autofree char *path = g_build_filename(f->dir, "packs", "1.pack", NULL);
	uint32_t epoch = fill_inbox(f, NULL, 0);
	struct tree_file *file;

	pack(f, epoch, 1, 1000);
	file = must_open(f, epoch);
	must_read(f, file, 0, 4096, 1000);
	g_assert_cmpint(truncate(path, 700), ==, 0);
	must_read(f, file, 0, 512, 512);
	g_assert_cmpint(try_read(f, file, 0, 4096), ==, EIO);
	g_assert_cmpint(try_read(f, file, 900, 4096), ==, EIO);
	must_read(f, file, 1000, 4096, 0);
	tree_close(f->tree, &file);
	file = must_open(f, epoch);
	assert_need(f, try_read(f, file, 0, 4096), epoch, UINT64_MAX);
	tree_close(f->tree, &file);
}

/* A file of a wrong size (a power failure) is not served. */
static void test_wrong_file(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	uint32_t epoch = one_message(f, 10);
	struct tree_file *file = NULL;

	receive(f, epoch, 1, 8);
	g_assert_true(bodies_part_commit(f->bodies, epoch, 1, 8, &error));
	index_message_size(f->index, epoch, 1, 10);
	commit(f);
	assert_need(f, try_open(f, epoch, &file), epoch, UINT64_MAX);
}

static void test_part_gone(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = one_message(f, BIG);
	struct tree_file *file, *done;

	receive(f, epoch, 1, 2 * MIB);
	file = must_open(f, epoch);
	done = must_open(f, epoch);
	complete(f, epoch, 1, BIG);
	must_read(f, done, BIG - 1, 10, 1);
	expunge(f, epoch);
	/* What was there when it was opened can be read, the rest is lost. */
	must_read(f, file, 0, 4096, 4096);
	g_assert_cmpint(try_read(f, file, 3 * MIB, 4096), ==, ESTALE);
	/* This one was seen complete. */
	must_read(f, done, 3 * MIB, 4096, 4096);
	tree_close(f->tree, &file);
	tree_close(f->tree, &done);
}

/* A part that broke and was begun anew is found again. */
static void test_part_anew(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = one_message(f, BIG);
	struct tree_file *file;

	receive(f, epoch, 1, 2 * MIB);
	file = must_open(f, epoch);
	bodies_part_discard(f->bodies, epoch, 1);
	must_read(f, file, 0, 4096, 4096);
	assert_need(f, try_read(f, file, 2 * MIB, 4096), epoch, 2 * MIB + 4096);
	receive(f, epoch, 1, MIB);
	must_read(f, file, 2 * MIB - 4096, 4096, 4096);
	assert_need(f, try_read(f, file, 2 * MIB, 4096), epoch, 2 * MIB + 4096);
	receive(f, epoch, 1, 3 * MIB);
	must_read(f, file, 2 * MIB, 4096, 4096);
	tree_close(f->tree, &file);
}

/* The rest is asked for before the reader gets there, once for each length, unless it is coming. */
static void test_ahead(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = one_message(f, BIG);
	struct tree_file *file;
	uint64_t received;

	receive(f, epoch, 1, 2 * MIB);
	file = must_open(f, epoch);
	must_read(f, file, 0, 4096, 4096);
	g_assert_cmpuint(f->engine.needs, ==, 0);
	bodies_part_begin(f->bodies, epoch, 1, &received);
	must_read(f, file, MIB, 4096, 4096);
	g_assert_cmpuint(f->engine.needs, ==, 0);
	bodies_part_rest(f->bodies, epoch, 1);
	must_read(f, file, MIB, 4096, 4096);
	must_read(f, file, MIB + 4096, 4096, 4096);
	g_assert_cmpuint(f->engine.needs, ==, 1);
	g_assert_cmpint(f->engine.last.kind, ==, NEED_BODY);
	g_assert_cmpuint(f->engine.last.id, ==, epoch);
	g_assert_cmpuint(f->engine.last.uid, ==, 1);
	g_assert_cmpuint(f->engine.last.upto, ==, 2 * MIB + 1);
	receive(f, epoch, 1, 3 * MIB);
	must_read(f, file, MIB + 8192, 4096, 4096);
	g_assert_cmpuint(f->engine.needs, ==, 1);
	must_read(f, file, 2 * MIB, 4096, 4096);
	g_assert_cmpuint(f->engine.needs, ==, 2);
	g_assert_cmpuint(f->engine.last.upto, ==, 3 * MIB + 1);
	/* Nothing is ahead of the end. */
	complete(f, epoch, 1, BIG);
	must_read(f, file, BIG - 4096, 4096, 4096);
	must_read(f, file, 0, 4096, 4096);
	g_assert_cmpuint(f->engine.needs, ==, 2);
	tree_close(f->tree, &file);
}

static void test_range(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = one_message(f, 10);
	struct tree_file *file;

	complete(f, epoch, 1, 10);
	file = must_open(f, epoch);
	g_assert_cmpint(try_read(f, file, UINT64_MAX, 1), ==, EINVAL);
	g_assert_cmpint(try_read(f, file, INT64_MAX, 1), ==, EINVAL);
	must_read(f, file, INT64_MAX - 1, 1, 0);
	must_read(f, file, 0, 0, 0);
	tree_close(f->tree, &file);
}

/* --- many threads --- */

struct stream {
	struct fixture *f;
	struct tree_file *file;
	uint32_t epoch;
};

static void *read_to_end(void *data)
{
	struct stream *stream = data;
	struct tree_call call = {0};
	g_autofree uint8_t *buffer = g_malloc(128 * KIB);
	uint64_t at = 0;
	size_t got = 1;

	while (got > 0) {
		int result = tree_read(stream->f->tree, &call, stream->file, at, 128 * KIB, buffer,
				       &got);

		if (result == TREE_AGAIN) {
			g_assert_cmpint(call.need.kind, ==, NEED_BODY);
			sched_yield();
			continue;
		}
		g_assert_cmpint(result, ==, 0);
		for (size_t i = 0; i < got; i += 97)
			g_assert_cmpuint(buffer[i], ==, pattern(at + i));
		at += got;
	}
	tree_file_take_resized(stream->file);
	g_assert_cmpuint(at, ==, BIG + 3);
	return NULL;
}

static void test_threads(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = one_message(f, BIG);
	struct stream stream = {.f = f, .epoch = epoch};
	pthread_t threads[4];

	receive(f, epoch, 1, 64 * KIB);
	stream.file = must_open(f, epoch);
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, read_to_end, &stream), ==, 0);
	for (uint64_t at = 256 * KIB; at < BIG; at += 256 * KIB)
		receive(f, epoch, 1, at);
	complete(f, epoch, 1, BIG + 3);
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		pthread_join(threads[i], NULL);
	tree_close(f->tree, &stream.file);
}

/* --- control files --- */

static struct tree_file *open_control(struct fixture *f, const char *name)
{
	struct tree_entry entry;
	struct tree_file *file = NULL;

	g_assert_cmpint(tree_lookup(f->tree, &f->call, NODE_ROOT, ".mailfs", &entry), ==, 0);
	g_assert_cmpint(tree_open(f->tree, &f->call, entry.node, O_RDONLY, &file), ==, EISDIR);
	g_assert_cmpint(tree_lookup(f->tree, &f->call, entry.node, name, &entry), ==, 0);
	g_assert_cmpint(tree_open(f->tree, &f->call, entry.node, O_WRONLY, &file), ==, EPERM);
	g_assert_cmpint(tree_open(f->tree, &f->call, entry.node, O_RDONLY, &file), ==, 0);
	g_assert_true(tree_file_is_text(file));
	g_assert_cmpint(tree_file_take_resized(file), ==, 0);
	return file;
}

static char *read_control(struct fixture *f, struct tree_file *file, uint64_t offset, size_t len)
{
	char *text = g_malloc(len + 1);
	size_t got;

	g_assert_cmpint(tree_read(f->tree, &f->call, file, offset, len, text, &got), ==, 0);
	text[got] = '\0';
	return text;
}

static void test_status(struct fixture *f, gconstpointer data)
{
	struct tree_file *file = open_control(f, "status");
	g_autofree char *all = read_control(f, file, 0, 4096);
	g_autofree char *some = read_control(f, file, 7, 4);
	g_autofree char *none = read_control(f, file, 12, 4096);
	g_autofree char *far = read_control(f, file, INT64_MAX - 5000, 4096);

	g_assert_cmpstr(all, ==, "state: fine\n");
	g_assert_cmpstr(some, ==, "fine");
	g_assert_cmpstr(none, ==, "");
	g_assert_cmpstr(far, ==, "");
	tree_close(f->tree, &file);
}

/* Each write is a command, also where nothing else may be written. */
static void test_ctl(struct fixture *f, gconstpointer data)
{
	static const char *const words[] = {"",
					    "\n",
					    "re",
					    "connect\n",
					    "Reconnect",
					    "reconnect now",
					    "reconnect\nreconnect\n"};
	const struct tree_setattr cut = {.set_size = true};
	struct tree_file *file = NULL;
	struct tree_entry entry;
	uint64_t ctl;
	g_autofree char *text = NULL;

	f->account.read_only = true;
	g_assert_cmpint(tree_lookup(f->tree, &f->call, NODE_ROOT, ".mailfs", &entry), ==, 0);
	g_assert_cmpint(tree_lookup(f->tree, &f->call, entry.node, "ctl", &entry), ==, 0);
	ctl = entry.node;
	g_assert_cmphex(entry.attr.st_mode, ==, S_IFREG | 0200);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, ctl, NULL, &cut, &entry), ==, 0);
	g_assert_cmpint(tree_open(f->tree, &f->call, ctl, O_RDWR | O_TRUNC, &file), ==, 0);
	text = read_control(f, file, 0, 100);
	g_assert_cmpstr(text, ==, "");
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		g_assert_cmpint(tree_write(f->tree, &f->call, file, 0, strlen(words[i]), words[i]),
				==, EINVAL);
	g_assert_cmpuint(f->engine.reconnects, ==, 0);
	g_assert_cmpint(tree_write(f->tree, &f->call, file, 0, 9, "reconnectx"), ==, 0);
	g_assert_cmpint(tree_write(f->tree, &f->call, file, 9, 10, "reconnect\n"), ==, 0);
	g_assert_cmpuint(f->engine.reconnects, ==, 2);
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, 0);
	g_assert_cmpint(tree_fsync(f->tree, &f->call, file), ==, 0);
	tree_close(f->tree, &file);
}

/* As `tail -f` does: what was logged since is read behind the end. */
static void test_log(struct fixture *f, gconstpointer data)
{
	struct tree_file *file;
	g_autofree char *before = NULL, *after = NULL;

	log_debug("quiet");
	file = open_control(f, "log");
	before = read_control(f, file, 0, MIB);
	log_info("one more line");
	after = read_control(f, file, strlen(before), 4096);
	g_assert_nonnull(strstr(after, "one more line"));
	tree_close(f->tree, &file);
}

#define ADD(path, function)                                                                        \
	g_test_add(path, struct fixture, NULL, fixture_up, function, fixture_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/tree-file/open-flags", test_open_flags);
	ADD("/tree-file/open-small", test_open_small);
	ADD("/tree-file/open-border", test_open_border);
	ADD("/tree-file/trust-unproven", test_trust_unproven);
	ADD("/tree-file/trust-large", test_trust_large);
	ADD("/tree-file/trust-true", test_trust_true);
	ADD("/tree-file/trust-betrayed", test_trust_betrayed);
	ADD("/tree-file/open-gone", test_open_gone);
	ADD("/tree-file/resized", test_resized);
	ADD("/tree-file/resized-untold", test_resized_untold);
	ADD("/tree-file/part", test_part);
	ADD("/tree-file/part-resized", test_part_resized);
	ADD("/tree-file/part-exact", test_part_exact);
	ADD("/tree-file/packed", test_packed);
	ADD("/tree-file/cut", test_cut);
	ADD("/tree-file/wrong-file", test_wrong_file);
	ADD("/tree-file/part-gone", test_part_gone);
	ADD("/tree-file/part-anew", test_part_anew);
	ADD("/tree-file/ahead", test_ahead);
	ADD("/tree-file/range", test_range);
	ADD("/tree-file/threads", test_threads);
	ADD("/tree-file/status", test_status);
	ADD("/tree-file/ctl", test_ctl);
	ADD("/tree-file/log", test_log);
	return g_test_run();
}
