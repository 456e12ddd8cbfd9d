/* fsync(2) in outbox/: the verdict, or none. */

#include "tree_outbox_fixture.h"

static int try_sync(struct fixture *f, struct tree_file *file)
{
	return tree_fsync(f->tree, &f->call, file);
}

/* As fsync(2) of a new call. */
static int new_sync(struct fixture *f, struct tree_file *file)
{
	f->call = (struct tree_call){0};
	return try_sync(f, file);
}

static void assert_waits(struct fixture *f, int result, uint32_t id, bool closing)
{
	assert_need(f, result, NEED_OUTBOX, 0, false);
	g_assert_cmpuint(f->call.need.uid, ==, id);
	g_assert_true((f->call.need.upto != 0) == closing);
}

static void test_fsync_local(struct fixture *f, gconstpointer data)
{
	struct tree_file *writer = must_create(f, "a.eml"), *reader;

	put_text(f, writer, 0, "text");
	g_assert_cmpint(try_sync(f, writer), ==, 0);
	shut(f, writer);
	reader = must_open(f, message_node(make(f, "scratch", "text")), O_RDONLY);
	g_assert_cmpint(try_sync(f, reader), ==, 0);
	tree_close(f->tree, &reader);
	reader = must_open(f, message_node(make(f, "empty.eml", "")), O_RDONLY);
	g_assert_cmpint(try_sync(f, reader), ==, 0);
	tree_close(f->tree, &reader);
}

static void test_fsync_verdict(struct fixture *f, gconstpointer data)
{
	uint32_t id = make(f, "a.eml", "text");
	struct tree_file *file = must_open(f, message_node(id), O_RDONLY);

	assert_waits(f, try_sync(f, file), id, false);
	/* Settled, but something happened since. */
	assert_waits(f, try_sync(f, file), id, false);
	finish(f, id, QUEUE_SENT);
	outbox_of(f)->settled = true;
	g_assert_cmpint(try_sync(f, file), ==, 0);
	/* Also for who comes late. */
	g_assert_cmpint(new_sync(f, file), ==, 0);
	outbox_of(f)->error = EACCES;
	g_assert_cmpint(new_sync(f, file), ==, EACCES);
	tree_close(f->tree, &file);
}

/* One that waits for its next try is asked for, as that may come sooner then. */
static void test_fsync_again(struct fixture *f, gconstpointer data)
{
	uint32_t id = make(f, "a.eml", "text");
	struct tree_file *file = must_open(f, message_node(id), O_RDONLY);

	outbox_of(f)->settled = true;
	outbox_of(f)->error = EAGAIN;
	assert_waits(f, try_sync(f, file), id, false);
	g_assert_cmpint(try_sync(f, file), ==, EAGAIN);
	f->call.give_up = EHOSTUNREACH;
	g_assert_cmpint(try_sync(f, file), ==, EHOSTUNREACH);
	tree_close(f->tree, &file);
}

static void test_fsync_failed(struct fixture *f, gconstpointer data)
{
	uint32_t id = make_failed(f, "a.eml");
	struct tree_file *file = must_open(f, message_node(id), O_RDONLY);

	outbox_of(f)->settled = true;
	outbox_of(f)->error = EACCES;
	g_assert_cmpint(try_sync(f, file), ==, EACCES);
	tree_close(f->tree, &file);
}

/* Somebody writes: that is no mail yet, and not made one by who looks at it. */
static void test_fsync_busy(struct fixture *f, gconstpointer data)
{
	struct tree_file *writer = must_create(f, "a.eml"), *reader;
	uint64_t node = must_find(f, top(), "a.eml");

	put_text(f, writer, 0, "ha");
	reader = must_open(f, node, O_RDONLY);
	g_assert_cmpint(try_sync(f, reader), ==, EBUSY);
	tree_abandon(f->tree, &writer);
	g_assert_cmpint(step_of(f, node_low(node)), ==, QUEUE_DRAFT);
	g_assert_cmpint(new_sync(f, reader), ==, EBUSY);
	tree_close(f->tree, &reader);
}

/* close(2) has returned, and the kernel is about to tell. */
static void test_fsync_closing(struct fixture *f, gconstpointer data)
{
	struct tree_file *writer = must_create(f, "a.eml"), *reader;
	uint64_t node = must_find(f, top(), "a.eml");

	put_text(f, writer, 0, "text");
	g_assert_cmpint(tree_flush(f->tree, &f->call, writer), ==, 0);
	reader = must_open(f, node, O_RDONLY);
	assert_waits(f, try_sync(f, reader), node_low(node), true);
	/* It was not. */
	g_assert_cmpint(try_sync(f, reader), ==, EBUSY);
	assert_waits(f, new_sync(f, reader), node_low(node), true);
	tree_close(f->tree, &writer);
	assert_waits(f, try_sync(f, reader), node_low(node), false);
	outbox_of(f)->settled = true;
	g_assert_cmpint(try_sync(f, reader), ==, 0);
	tree_close(f->tree, &reader);
}

/* Taken back while somebody waits: it was not sent. */
static void test_fsync_taken_back(struct fixture *f, gconstpointer data)
{
	uint32_t id = make(f, "a.eml", "text");
	struct tree_file *file = must_open(f, message_node(id), O_RDONLY);

	assert_waits(f, try_sync(f, file), id, false);
	g_assert_cmpint(unlink_in(f, top(), "a.eml"), ==, 0);
	outbox_of(f)->settled = true;
	g_assert_cmpint(try_sync(f, file), ==, ENOENT);
	g_assert_cmpint(new_sync(f, file), ==, 0);
	tree_close(f->tree, &file);
}

static void test_fsyncdir(struct fixture *f, gconstpointer data)
{
	assert_waits(f, tree_fsyncdir(f->tree, &f->call, top()), 0, true);
	g_assert_cmpint(tree_fsyncdir(f->tree, &f->call, top()), ==, 0);
	f->call = (struct tree_call){0};
	assert_waits(f, tree_fsyncdir(f->tree, &f->call, top()), 0, true);
	f->call.give_up = EACCES;
	g_assert_cmpint(tree_fsyncdir(f->tree, &f->call, top()), ==, EACCES);
	f->call = (struct tree_call){0};
	g_assert_cmpint(tree_fsyncdir(f->tree, &f->call, bad()), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	WORLD_TEST("/tree_outbox_sync/fsync/local", test_fsync_local);
	WORLD_TEST("/tree_outbox_sync/fsync/verdict", test_fsync_verdict);
	WORLD_TEST("/tree_outbox_sync/fsync/again", test_fsync_again);
	WORLD_TEST("/tree_outbox_sync/fsync/failed", test_fsync_failed);
	WORLD_TEST("/tree_outbox_sync/fsync/busy", test_fsync_busy);
	WORLD_TEST("/tree_outbox_sync/fsync/closing", test_fsync_closing);
	WORLD_TEST("/tree_outbox_sync/fsync/taken_back", test_fsync_taken_back);
	WORLD_TEST("/tree_outbox_sync/fsyncdir", test_fsyncdir);
	return g_test_run();
}
