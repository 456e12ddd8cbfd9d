/* outbox/ as the tree shows it. */

#include "base/limits.h"
#include "tree_outbox_fixture.h"

#include <stdio.h>

/* --- where it is --- */

/* Their times are those of the look. */
static void check_control(struct fixture *f, uint64_t dir, const char *const *want)
{
	struct entries entries;

	list(f, dir, 2, &entries);
	assert_names(&entries, want);
	entries_clear(&entries);
}

/* Without one, nothing of it can be seen. */
static void test_none(struct fixture *f, gconstpointer data)
{
	static const char *const control[] = {".", "..", "status", "log", NULL};
	static const char *const root[] = {".", "..", "INBOX", NULL};
	static const uint32_t uids[] = {1};
	struct tree_entry entry;

	fill_inbox(f, uids, 1);
	assert_missing(f, ROOT, "outbox", ENOENT);
	check_listing(f, ROOT, root);
	assert_count(f, ROOT, 3);
	check_control(f, must_find(f, ROOT, ".mailfs"), control);
	assert_missing(f, must_find(f, ROOT, ".mailfs"), "queue", ENOENT);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, top(), &entry), ==, ESTALE);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, message_node(1), &entry), ==, ESTALE);
	assert_missing(f, top(), "x", ESTALE);
	g_assert_cmpint(try_open(f, message_node(1), O_RDWR), ==, ESTALE);
	g_assert_cmpint(try_create(f, top(), "x.eml", NULL), ==, ESTALE);
	g_assert_cmpint(unlink_in(f, top(), "x.eml"), ==, ESTALE);
	g_assert_cmpint(rename_to(f, top(), "x", top(), "y"), ==, ESTALE);
	g_assert_cmpint(set_size(f, message_node(1), NULL, 0), ==, ESTALE);
	g_assert_cmpint(tree_fsyncdir(f->tree, &f->call, top()), ==, 0);
}

static void test_root(struct fixture *f, gconstpointer data)
{
	static const char *const names[] = {"INBOX", "outbox", NULL};
	static const char *const want[] = {".", "..", "outbox", "%6Futbox", "INBOX", NULL};
	static const char *const control[] = {".", "..", "status", "log", "queue", NULL};
	uint64_t dir;

	set_folders(f, names);
	check_listing(f, ROOT, want);
	assert_count(f, ROOT, 5);
	g_assert_cmpuint(must_find(f, ROOT, "outbox"), ==, top());
	g_assert_cmpuint(must_find(f, ROOT, "%6Futbox"), ==,
			 tree_folder_node(folder_of(f, "outbox")));
	/* Also while nothing is known of the folders. */
	f->engine.folders_fresh = false;
	g_assert_cmpuint(must_find(f, ROOT, "outbox"), ==, top());
	f->engine.folders_fresh = true;
	assert_entry(f, top(), S_IFDIR | 0700, 0);
	assert_entry(f, bad(), S_IFDIR | 0700, 0);
	g_assert_cmpint(tree_unlink(f->tree, &f->call, ROOT, "outbox"), ==, EPERM);
	g_assert_cmpint(tree_rmdir(f->tree, &f->call, ROOT, "outbox"), ==, EPERM);
	g_assert_cmpint(rename_to(f, ROOT, "outbox", ROOT, "x"), ==, EPERM);
	dir = must_find(f, ROOT, ".mailfs");
	check_control(f, dir, control);
	assert_count(f, dir, 5);
	assert_text(f, must_find(f, dir, "queue"), "nothing waits\n");
	g_assert_cmpint(try_open(f, must_find(f, dir, "queue"), O_WRONLY), ==, EPERM);
}

static void test_listing(struct fixture *f, gconstpointer data)
{
	static const char *const empty_top[] = {".", "..", "failed", NULL};
	static const char *const empty_bad[] = {".", "..", NULL};
	static const char *const want_top[] = {".", "..", "failed", "b.eml", "notes", NULL};
	static const char *const want_bad[] = {".", "..", "a.eml", "a.eml.err", NULL};
	int64_t generation;
	uint32_t id;

	check_listing(f, top(), empty_top);
	check_listing(f, bad(), empty_bad);
	assert_count(f, top(), 3);
	assert_count(f, bad(), 2);
	make_failed(f, "a.eml");
	generation = generation_of(f, top());
	id = make(f, "b.eml", "text");
	make(f, "notes", "");
	g_assert_cmpint(generation_of(f, top()), >, generation);
	check_listing(f, top(), want_top);
	check_listing(f, bad(), want_bad);
	assert_count(f, top(), 5);
	assert_count(f, bad(), 4);
	/* What is being sent is listed still, what was sent not, but it resolves. */
	finish(f, id, QUEUE_SENT);
	assert_count(f, top(), 4);
	g_assert_cmpuint(must_find(f, top(), "b.eml"), ==, message_node(id));
	assert_entry(f, message_node(id), S_IFREG | 0600, 4);
	assert_missing(f, top(), "a.eml", ENOENT);
	assert_missing(f, bad(), "notes", ENOENT);
	assert_missing(f, bad(), "failed", ENOENT);
	assert_missing(f, bad(), "notes.err", ENOENT);
	assert_missing(f, message_node(id), "x", ENOTDIR);
}

/* Where somebody stopped reading it goes on, whatever came and went meanwhile. */
static void test_cookies(struct fixture *f, gconstpointer data)
{
	struct entries first, rest;
	uint64_t cookie;

	make(f, "a", "");
	make(f, "b", "");
	make(f, "c", "");
	entries_init(&first);
	first.left = 5;
	g_assert_cmpint(tree_readdir(f->tree, &f->call, top(), 0, note_entry, &first), ==, 0);
	g_assert_cmpstr(g_ptr_array_index(first.names, 4), ==, "b");
	cookie = g_array_index(first.cookies, uint64_t, 4);
	g_assert_cmpint(unlink_in(f, top(), "a"), ==, 0);
	g_assert_cmpint(unlink_in(f, top(), "b"), ==, 0);
	make(f, "d", "");
	entries_init(&rest);
	rest.left = UINT_MAX;
	g_assert_cmpint(tree_readdir(f->tree, &f->call, top(), cookie, note_entry, &rest), ==, 0);
	g_assert_cmpuint(rest.names->len, ==, 2);
	g_assert_cmpstr(g_ptr_array_index(rest.names, 0), ==, "c");
	g_assert_cmpstr(g_ptr_array_index(rest.names, 1), ==, "d");
	entries_clear(&first);
	entries_clear(&rest);
}

static void test_mtime(struct fixture *f, gconstpointer data)
{
	struct tree_entry before, after;

	g_assert_cmpint(lookup(f, ROOT, "outbox", &before), ==, 0);
	make(f, "a", "");
	g_assert_cmpint(lookup(f, ROOT, "outbox", &after), ==, 0);
	g_assert_true(after.attr.st_mtim.tv_sec > before.attr.st_mtim.tv_sec ||
		      after.attr.st_mtim.tv_nsec > before.attr.st_mtim.tv_nsec);
}

/* --- making --- */

static void test_create(struct fixture *f, gconstpointer data)
{
	struct tree_file *file = must_create(f, "new.eml");
	uint32_t id = id_by_name(f, top(), "new.eml");

	assert_entry(f, message_node(id), S_IFREG | 0600, 0);
	g_assert_false(tree_file_is_text(file));
	put_text(f, file, 0, "abc");
	put_text(f, file, 3, "def");
	assert_entry(f, message_node(id), S_IFREG | 0600, 6);
	assert_read(f, file, "abcdef");
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, 0);
	g_assert_cmpint(step_of(f, id), ==, QUEUE_DRAFT);
	g_assert_cmpuint(outbox_of(f)->changes, ==, 0);
	tree_close(f->tree, &file);
	g_assert_cmpint(step_of(f, id), ==, QUEUE_WAITING);
	g_assert_cmpuint(outbox_of(f)->changes, ==, 1);
	assert_text(f, message_node(id), "abcdef");
	g_assert_cmpint(step_of(f, id), ==, QUEUE_WAITING);
}

static void test_create_scratch(struct fixture *f, gconstpointer data)
{
	uint32_t scratch = make(f, "m.eml.tmp", "text");
	uint32_t empty = make(f, "empty.eml", "");

	g_assert_cmpint(step_of(f, scratch), ==, QUEUE_DRAFT);
	g_assert_cmpint(step_of(f, empty), ==, QUEUE_DRAFT);
	g_assert_cmpuint(outbox_of(f)->changes, ==, 0);
}

static void test_create_twice(struct fixture *f, gconstpointer data)
{
	uint32_t id = make(f, "a.eml", "text");

	g_assert_cmpint(try_create(f, top(), "a.eml", NULL), ==, EEXIST);
	finish(f, id, QUEUE_SENT);
	g_assert_cmpint(try_create(f, top(), "a.eml", NULL), ==, 0);
}

static void test_create_where(struct fixture *f, gconstpointer data)
{
	struct tree_entry entry;

	g_assert_cmpint(try_create(f, top(), "failed", NULL), ==, EEXIST);
	g_assert_cmpint(try_create(f, bad(), "a.eml", NULL), ==, EPERM);
	g_assert_cmpint(tree_mkdir(f->tree, &f->call, top(), "d", &entry), ==, EPERM);
	g_assert_cmpint(tree_mkdir(f->tree, &f->call, bad(), "d", &entry), ==, EPERM);
	g_assert_cmpint(tree_rmdir(f->tree, &f->call, top(), "failed"), ==, EPERM);
	assert_count(f, top(), 3);
}

static void test_name_length(struct fixture *f, gconstpointer data)
{
	char name[QUEUE_NAME_MAX + 2];

	for (size_t len = QUEUE_NAME_MAX - 1; len <= QUEUE_NAME_MAX + 1; len++) {
		int want = len <= QUEUE_NAME_MAX ? 0 : ENAMETOOLONG;

		memset(name, 'x', len);
		name[len] = '\0';
		g_assert_cmpint(try_create(f, top(), name, NULL), ==, want);
		memset(name, 'y', len);
		make(f, "short", "");
		g_assert_cmpint(rename_to(f, top(), "short", top(), name), ==, want);
		if (want != 0)
			g_assert_cmpint(unlink_in(f, top(), "short"), ==, 0);
	}
}

/* Of no use to anybody, but a tree of mail that cannot be changed has an outbox all the same. */
static void test_read_only_mail(struct fixture *f, gconstpointer data)
{
	struct tree_file *file;
	uint32_t id;

	f->engine.abilities = STORE_CAN_EXPUNGE;
	id = make(f, "a", "text");
	g_assert_cmpint(set_size(f, message_node(id), NULL, 2), ==, 0);
	file = must_open(f, message_node(id), O_RDWR);
	put_text(f, file, 0, "x");
	shut(f, file);
	g_assert_cmpint(rename_to(f, top(), "a", top(), "b"), ==, 0);
	g_assert_cmpint(unlink_in(f, top(), "b"), ==, 0);
	assert_entry(f, top(), S_IFDIR | 0700, 0);
}

/* The mount went while it was open: half a mail is not sent. */
static void test_abandon(struct fixture *f, gconstpointer data)
{
	struct tree_file *half = must_create(f, "half.eml");
	struct tree_file *whole = must_create(f, "whole.eml");
	struct tree_file *reader;

	put_text(f, half, 0, "ha");
	put_text(f, whole, 0, "all");
	g_assert_cmpint(tree_flush(f->tree, &f->call, whole), ==, 0);
	reader = must_open(f, must_find(f, top(), "half.eml"), O_RDONLY);
	tree_abandon(f->tree, &half);
	tree_abandon(f->tree, &whole);
	tree_abandon(f->tree, &reader);
	g_assert_cmpint(step_of(f, id_by_name(f, top(), "half.eml")), ==, QUEUE_DRAFT);
	g_assert_cmpint(step_of(f, id_by_name(f, top(), "whole.eml")), ==, QUEUE_WAITING);
	g_assert_cmpuint(outbox_of(f)->changes, ==, 1);
}

/* --- writing what is there --- */

static void test_append(struct fixture *f, gconstpointer data)
{
	uint32_t id = make(f, "a.eml", "one ");
	unsigned changes = outbox_of(f)->changes;
	struct tree_file *file = must_open(f, message_node(id), O_WRONLY | O_APPEND);

	/* Who waits for its verdict must hear. */
	g_assert_cmpuint(outbox_of(f)->changes, ==, changes + 1);
	g_assert_cmpint(step_of(f, id), ==, QUEUE_DRAFT);
	put_text(f, file, 4, "two");
	shut(f, file);
	g_assert_cmpint(step_of(f, id), ==, QUEUE_WAITING);
	assert_text(f, message_node(id), "one two");
}

static void test_truncate_at_open(struct fixture *f, gconstpointer data)
{
	uint32_t id = make(f, "a.eml", "old");
	struct tree_file *file = must_open(f, message_node(id), O_WRONLY | O_TRUNC);

	g_assert_cmpint(step_of(f, id), ==, QUEUE_DRAFT);
	assert_entry(f, message_node(id), S_IFREG | 0600, 0);
	put_text(f, file, 0, "new one");
	shut(f, file);
	assert_text(f, message_node(id), "new one");
	g_assert_cmpint(step_of(f, id), ==, QUEUE_WAITING);
}

static void test_truncate_by_name(struct fixture *f, gconstpointer data)
{
	uint32_t id = make(f, "a.eml", "text");

	g_assert_cmpint(set_size(f, message_node(id), NULL, 2), ==, 0);
	assert_text(f, message_node(id), "te");
	g_assert_cmpint(step_of(f, id), ==, QUEUE_WAITING);
	g_assert_cmpint(set_size(f, message_node(id), NULL, 0), ==, 0);
	g_assert_cmpint(step_of(f, id), ==, QUEUE_DRAFT);
	g_assert_cmpint(set_size(f, message_node(id + 1), NULL, 0), ==, ESTALE);
	g_assert_cmpint(set_size(f, top(), NULL, 0), ==, EPERM);
}

static void test_sending(struct fixture *f, gconstpointer data)
{
	uint32_t id = make(f, "a.eml", "text");
	struct queue_file file;

	make(f, "other.eml", "");
	begin_sending(f, id, &file);
	g_assert_cmpint(try_open(f, message_node(id), O_WRONLY), ==, EBUSY);
	g_assert_cmpint(try_open(f, message_node(id), O_RDWR | O_TRUNC), ==, EBUSY);
	g_assert_cmpint(set_size(f, message_node(id), NULL, 1), ==, EBUSY);
	g_assert_cmpint(unlink_in(f, top(), "a.eml"), ==, EBUSY);
	g_assert_cmpint(rename_to(f, top(), "a.eml", top(), "b"), ==, EBUSY);
	g_assert_cmpint(rename_to(f, top(), "other.eml", top(), "a.eml"), ==, EBUSY);
	assert_text(f, message_node(id), "text");
	end_sending(f, &file, QUEUE_SENT);
	/* What is written now is another mail. */
	shut(f, must_open(f, message_node(id), O_WRONLY));
	g_assert_cmpint(step_of(f, id), ==, QUEUE_DRAFT);
	assert_entry(f, message_node(id), S_IFREG | 0600, 0);
	assert_count(f, top(), 5);
}

static void test_attributes(struct fixture *f, gconstpointer data)
{
	struct tree_setattr set = {.set_mtime = true, .mtime_ns = 5000000007}, none = {0};
	uint32_t id = make(f, "a.eml", "text");
	struct tree_file *file = must_open(f, message_node(id), O_RDONLY);
	struct tree_entry entry;

	g_assert_cmpint(tree_setattr(f->tree, &f->call, message_node(id), file, &set, &entry), ==,
			0);
	g_assert_cmpint(entry.attr.st_mtim.tv_sec, ==, 5);
	g_assert_cmpint(entry.attr.st_mtim.tv_nsec, ==, 7);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, message_node(id), NULL, &none, &entry), ==,
			0);
	g_assert_cmpuint(entry.attr.st_mode, ==, S_IFREG | 0600);
	tree_close(f->tree, &file);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, top(), NULL, &set, &entry), ==, 0);
	finish(f, id, QUEUE_FAILED);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, message_node(id), NULL, &set, &entry), ==,
			0);
}

static void test_size_limit(struct fixture *f, gconstpointer data)
{
	struct tree_file *file = must_create(f, "scratch");
	uint64_t node = must_find(f, top(), "scratch");

	g_assert_cmpint(set_size(f, node, file, LIMIT_MESSAGE_SIZE - 1), ==, 0);
	g_assert_cmpint(set_size(f, node, file, LIMIT_MESSAGE_SIZE), ==, 0);
	g_assert_cmpint(set_size(f, node, file, LIMIT_MESSAGE_SIZE + 1), ==, EFBIG);
	g_assert_cmpint(tree_write(f->tree, &f->call, file, LIMIT_MESSAGE_SIZE - 1, 1, "x"), ==, 0);
	g_assert_cmpint(tree_write(f->tree, &f->call, file, LIMIT_MESSAGE_SIZE, 1, "x"), ==, EFBIG);
	g_assert_cmpint(tree_write(f->tree, &f->call, file, INT64_MAX, 1, "x"), ==, EFBIG);
	/* Removed, it may not grow over it either. */
	g_assert_cmpint(unlink_in(f, top(), "scratch"), ==, 0);
	g_assert_cmpint(tree_write(f->tree, &f->call, file, LIMIT_MESSAGE_SIZE, 1, "x"), ==, EFBIG);
	tree_close(f->tree, &file);
}

/* What the server said that it takes counts for mail alone. */
static void test_size_of_mail(struct fixture *f, gconstpointer data)
{
	struct tree_file *file = must_create(f, "a.eml");

	outbox_of(f)->size_max = 4;
	put_text(f, file, 0, "123");
	put_text(f, file, 3, "4");
	g_assert_cmpint(tree_write(f->tree, &f->call, file, 4, 1, "5"), ==, EFBIG);
	tree_close(f->tree, &file);
	make(f, "four", "1234");
	make(f, "five", "12345");
	g_assert_cmpint(rename_to(f, top(), "five", top(), "b.eml"), ==, EFBIG);
	g_assert_cmpint(rename_to(f, top(), "five", top(), "b"), ==, 0);
	g_assert_cmpint(rename_to(f, top(), "four", top(), "b.eml"), ==, 0);
	g_assert_cmpint(step_of(f, id_by_name(f, top(), "b.eml")), ==, QUEUE_WAITING);
}

/* One with a write that failed, also after what came before was flushed. */
static struct tree_file *make_torn(struct fixture *f, const char *name, uint32_t *ret_id)
{
	struct tree_file *file = must_create(f, name);
	uint64_t end = LIMIT_MESSAGE_SIZE;

	*ret_id = id_by_name(f, top(), name);
	put_text(f, file, 0, "text");
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, 0);
	g_assert_cmpint(tree_write(f->tree, &f->call, file, end, 1, "x"), ==, EFBIG);
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, EFBIG);
	g_assert_cmpint(tree_fsync(f->tree, &f->call, file), ==, EFBIG);
	return file;
}

static void test_torn(struct fixture *f, gconstpointer data)
{
	uint32_t id, other;
	struct tree_file *file = make_torn(f, "a.eml", &id);
	struct tree_file *kept = make_torn(f, "b.eml", &other);

	tree_close(f->tree, &file);
	g_assert_cmpint(step_of(f, id), ==, QUEUE_DRAFT);
	tree_abandon(f->tree, &kept);
	g_assert_cmpint(step_of(f, other), ==, QUEUE_DRAFT);
	/* Written anew it is whole. */
	file = must_open(f, message_node(id), O_WRONLY | O_TRUNC);
	put_text(f, file, 0, "anew");
	shut(f, file);
	g_assert_cmpint(step_of(f, id), ==, QUEUE_WAITING);
}

static void test_torn_and_mended(struct fixture *f, gconstpointer data)
{
	uint32_t id;
	struct tree_file *file = make_torn(f, "a.eml", &id);

	g_assert_cmpint(set_size(f, message_node(id), file, 3), ==, 0);
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, EFBIG);
	g_assert_cmpint(set_size(f, message_node(id), file, 0), ==, 0);
	put_text(f, file, 0, "anew");
	shut(f, file);
	g_assert_cmpint(step_of(f, id), ==, QUEUE_WAITING);
}

static void test_not_a_writer(struct fixture *f, gconstpointer data)
{
	uint32_t id = make(f, "a.eml", "text");
	struct tree_file *file = must_open(f, message_node(id), O_RDONLY);

	g_assert_cmpint(tree_write(f->tree, &f->call, file, 0, 1, "x"), ==, EBADF);
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, 0);
	tree_close(f->tree, &file);
	g_assert_cmpint(step_of(f, id), ==, QUEUE_WAITING);
}

/* The caller reads and writes then. */
static void test_copy(struct fixture *f, gconstpointer data)
{
	uint64_t inbox = must_find(f, ROOT, "INBOX"), len = 0;
	struct tree_file *from, *to = must_create(f, "a.eml");

	complete(f, tree_node_epoch(must_find(f, inbox, "1.m.eml")), 1, 10);
	from = must_open(f, must_find(f, inbox, "1.m.eml"), O_RDONLY);
	g_assert_cmpint(tree_copy(f->tree, &f->call, from, 0, to, 0, 10, &len), ==, EOPNOTSUPP);
	g_assert_cmpint(tree_copy(f->tree, &f->call, to, 0, from, 0, 10, &len), ==, EOPNOTSUPP);
	tree_close(f->tree, &from);
	tree_close(f->tree, &to);
}

/* --- failed/ --- */

static void test_failed(struct fixture *f, gconstpointer data)
{
	uint32_t id = make_failed(f, "a.eml");
	uint64_t text = must_find(f, bad(), "a.eml.err");
	struct tree_entry entry;
	struct tree_file *file;

	g_assert_cmpuint(must_find(f, bad(), "a.eml"), ==, message_node(id));
	g_assert_cmpuint(text, ==, node_outbox(NODE_OUTBOX_ERROR, id));
	assert_entry(f, message_node(id), S_IFREG | 0600, 4);
	assert_entry(f, text, S_IFREG | 0600, 7);
	assert_text(f, message_node(id), "text");
	assert_text(f, text, "550 no\n");
	g_assert_cmpint(try_open(f, message_node(id), O_WRONLY), ==, EPERM);
	g_assert_cmpint(try_open(f, text, O_WRONLY), ==, EPERM);
	g_assert_cmpint(try_open(f, text, O_RDONLY | O_TRUNC), ==, EPERM);
	g_assert_cmpint(set_size(f, message_node(id), NULL, 0), ==, EPERM);
	g_assert_cmpint(set_size(f, text, NULL, 0), ==, EPERM);
	file = must_open(f, text, O_RDONLY);
	g_assert_true(tree_file_is_text(file));
	g_assert_cmpint(tree_write(f->tree, &f->call, file, 0, 1, "x"), ==, EBADF);
	g_assert_cmpint(tree_fsync(f->tree, &f->call, file), ==, 0);
	g_assert_cmpint(tree_file_getattr(f->tree, &f->call, file, &entry), ==, 0);
	tree_close(f->tree, &file);
}

static void test_remove_failed(struct fixture *f, gconstpointer data)
{
	uint32_t id = make_failed(f, "a.eml");
	uint64_t text = must_find(f, bad(), "a.eml.err");

	g_assert_cmpint(unlink_in(f, bad(), "a.eml.err"), ==, EPERM);
	g_assert_cmpint(unlink_in(f, bad(), "b.eml.err"), ==, ENOENT);
	g_assert_cmpint(unlink_in(f, bad(), "a.eml"), ==, 0);
	g_assert_false(exists(f, id));
	assert_count(f, bad(), 2);
	/* Both stood in somebody's `rm failed/...`. */
	g_assert_cmpint(node_outbox_what(must_find(f, bad(), "a.eml.err")), ==, NODE_OUTBOX_ERROR);
	assert_entry(f, must_find(f, bad(), "a.eml.err"), S_IFREG | 0600, 0);
	assert_entry(f, text, S_IFREG | 0600, 0);
	assert_text(f, text, "");
	g_assert_cmpint(unlink_in(f, bad(), "a.eml.err"), ==, 0);
	g_assert_cmpint(unlink_in(f, bad(), "b.eml.err"), ==, ENOENT);
	g_assert_cmpint(unlink_in(f, bad(), "a.eml"), ==, ENOENT);
}

static void test_retry(struct fixture *f, gconstpointer data)
{
	uint32_t id = make_failed(f, "a.eml");

	g_assert_cmpint(rename_to(f, bad(), "a.eml.err", top(), "x"), ==, EPERM);
	g_assert_cmpint(rename_to(f, bad(), "a.eml", bad(), "b.eml"), ==, EPERM);
	outbox_of(f)->changes = 0;
	g_assert_cmpint(rename_to(f, bad(), "a.eml", top(), "a.eml"), ==, 0);
	g_assert_cmpuint(outbox_of(f)->changes, >, 0);
	g_assert_cmpint(step_of(f, id), ==, QUEUE_WAITING);
	g_assert_cmpuint(must_find(f, top(), "a.eml"), ==, message_node(id));
	assert_missing(f, bad(), "a.eml", ENOENT);
	assert_count(f, bad(), 2);
}

/* --- removing and renaming --- */

static void test_unlink(struct fixture *f, gconstpointer data)
{
	uint32_t id = make(f, "a.eml", "text");

	outbox_of(f)->changes = 0;
	g_assert_cmpint(unlink_in(f, top(), "failed"), ==, EISDIR);
	g_assert_cmpint(unlink_in(f, top(), "b.eml"), ==, ENOENT);
	g_assert_cmpint(unlink_in(f, top(), "a.eml"), ==, 0);
	g_assert_false(exists(f, id));
	/* Who waits for its verdict must hear. */
	g_assert_cmpuint(outbox_of(f)->changes, ==, 1);
	assert_missing(f, top(), "a.eml", ENOENT);
}

static void test_unlink_open(struct fixture *f, gconstpointer data)
{
	struct tree_file *file = must_create(f, "a.eml");
	uint64_t node = must_find(f, top(), "a.eml");
	struct tree_entry entry;

	put_text(f, file, 0, "abc");
	g_assert_cmpint(unlink_in(f, top(), "a.eml"), ==, 0);
	put_text(f, file, 3, "def");
	assert_read(f, file, "abcdef");
	g_assert_cmpint(tree_file_getattr(f->tree, &f->call, file, &entry), ==, 0);
	g_assert_cmpuint(entry.attr.st_nlink, ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, 6);
	g_assert_cmpint(set_size(f, node, file, 1), ==, 0);
	g_assert_cmpint(set_size(f, node, file, 0), ==, 0);
	g_assert_cmpint(tree_fsync(f->tree, &f->call, file), ==, 0);
	shut(f, file);
	g_assert_cmpuint(outbox_of(f)->changes, ==, 1);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, node, &entry), ==, ESTALE);
	g_assert_cmpint(try_open(f, node, O_RDONLY), ==, ESTALE);
}

static void test_rename(struct fixture *f, gconstpointer data)
{
	uint32_t scratch = make(f, "m.tmp", "new"), other = make(f, "m.eml", "old");

	outbox_of(f)->changes = 0;
	g_assert_cmpint(
		tree_rename(f->tree, &f->call, top(), "m.tmp", top(), "m.eml", RENAME_NOREPLACE),
		==, EEXIST);
	g_assert_cmpint(
		tree_rename(f->tree, &f->call, top(), "m.tmp", top(), "m.eml", RENAME_EXCHANGE), ==,
		EINVAL);
	g_assert_cmpint(rename_to(f, top(), "m.tmp", top(), "m.eml"), ==, 0);
	g_assert_false(exists(f, other));
	g_assert_cmpint(step_of(f, scratch), ==, QUEUE_WAITING);
	g_assert_cmpuint(outbox_of(f)->changes, ==, 1);
	assert_text(f, must_find(f, top(), "m.eml"), "new");
	g_assert_cmpint(rename_to(f, top(), "m.eml", top(), "m.eml"), ==, 0);
	g_assert_cmpint(rename_to(f, top(), "m.tmp", top(), "x"), ==, ENOENT);
	/* Taken back. */
	g_assert_cmpint(rename_to(f, top(), "m.eml", top(), "m.txt"), ==, 0);
	g_assert_cmpint(step_of(f, scratch), ==, QUEUE_DRAFT);
}

static void test_rename_onto_sent(struct fixture *f, gconstpointer data)
{
	uint32_t sent = make(f, "m.eml", "old"), scratch;

	finish(f, sent, QUEUE_SENT);
	scratch = make(f, "m.tmp", "new");
	g_assert_cmpint(
		tree_rename(f->tree, &f->call, top(), "m.tmp", top(), "m.eml", RENAME_NOREPLACE),
		==, 0);
	g_assert_cmpuint(must_find(f, top(), "m.eml"), ==, message_node(scratch));
}

static void test_rename_where(struct fixture *f, gconstpointer data)
{
	uint64_t inbox = must_find(f, ROOT, "INBOX");

	make_failed(f, "b.eml");
	make(f, "a.eml", "text");
	g_assert_cmpint(rename_to(f, top(), "a.eml", inbox, "a.eml"), ==, EXDEV);
	g_assert_cmpint(rename_to(f, top(), "a.eml", ROOT, "a.eml"), ==, EXDEV);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", top(), "b.eml"), ==, EXDEV);
	g_assert_cmpint(rename_to(f, ROOT, "INBOX", top(), "INBOX"), ==, EXDEV);
	g_assert_cmpint(rename_to(f, top(), "a.eml", bad(), "a.eml"), ==, EPERM);
	g_assert_cmpint(rename_to(f, top(), "failed", top(), "x"), ==, EPERM);
	g_assert_cmpint(rename_to(f, top(), "failed", inbox, "x"), ==, EPERM);
	g_assert_cmpint(rename_to(f, top(), "a.eml", top(), "failed"), ==, EISDIR);
	g_assert_cmpint(rename_to(f, bad(), "b.eml", inbox, "b.eml"), ==, EXDEV);
}

/* --- extended attributes --- */

static void assert_attribute(struct fixture *f, uint64_t node, const char *name, const char *want)
{
	g_autofree char *value = NULL;
	size_t len;
	int result = tree_getxattr(f->tree, &f->call, node, name, &value, &len);

	g_assert_cmpint(result, ==, want == NULL ? ENODATA : 0);
	if (want == NULL)
		return;
	g_assert_cmpuint(len, ==, strlen(want));
	g_assert_true(memcmp(value, want, len) == 0);
}

static void test_xattr(struct fixture *f, gconstpointer data)
{
	uint32_t id = make(f, "a.eml", "text");
	g_autofree char *names = NULL;
	size_t len;

	assert_attribute(f, message_node(id), "user.mailfs.state", "waiting");
	assert_attribute(f, message_node(id), "user.mailfs.error", NULL);
	finish(f, id, QUEUE_FAILED);
	assert_attribute(f, message_node(id), "user.mailfs.state", "failed");
	assert_attribute(f, message_node(id), "user.mailfs.error", "550 no");
	assert_attribute(f, top(), "user.mailfs.state", NULL);
	g_assert_cmpint(tree_listxattr(f->tree, &f->call, top(), &names, &len), ==, 0);
	g_assert_cmpuint(len, ==, 0);
	g_assert_cmpint(
		tree_setxattr(f->tree, &f->call, message_node(id), "user.mailfs.state", "x", 1, 0),
		==, EOPNOTSUPP);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	FIXTURE_TEST("/tree_outbox/none", test_none);
	WORLD_TEST("/tree_outbox/root", test_root);
	WORLD_TEST("/tree_outbox/listing", test_listing);
	WORLD_TEST("/tree_outbox/cookies", test_cookies);
	WORLD_TEST("/tree_outbox/mtime", test_mtime);
	WORLD_TEST("/tree_outbox/create", test_create);
	WORLD_TEST("/tree_outbox/create/scratch", test_create_scratch);
	WORLD_TEST("/tree_outbox/create/twice", test_create_twice);
	WORLD_TEST("/tree_outbox/create/where", test_create_where);
	WORLD_TEST("/tree_outbox/name_length", test_name_length);
	WORLD_TEST("/tree_outbox/read_only_mail", test_read_only_mail);
	WORLD_TEST("/tree_outbox/abandon", test_abandon);
	WORLD_TEST("/tree_outbox/append", test_append);
	WORLD_TEST("/tree_outbox/truncate/at_open", test_truncate_at_open);
	WORLD_TEST("/tree_outbox/truncate/by_name", test_truncate_by_name);
	WORLD_TEST("/tree_outbox/sending", test_sending);
	WORLD_TEST("/tree_outbox/attributes", test_attributes);
	WORLD_TEST("/tree_outbox/size/limit", test_size_limit);
	WORLD_TEST("/tree_outbox/size/of_mail", test_size_of_mail);
	WORLD_TEST("/tree_outbox/torn", test_torn);
	WORLD_TEST("/tree_outbox/torn/mended", test_torn_and_mended);
	WORLD_TEST("/tree_outbox/not_a_writer", test_not_a_writer);
	WORLD_TEST("/tree_outbox/copy", test_copy);
	WORLD_TEST("/tree_outbox/failed", test_failed);
	WORLD_TEST("/tree_outbox/failed/remove", test_remove_failed);
	WORLD_TEST("/tree_outbox/failed/retry", test_retry);
	WORLD_TEST("/tree_outbox/unlink", test_unlink);
	WORLD_TEST("/tree_outbox/unlink/open", test_unlink_open);
	WORLD_TEST("/tree_outbox/rename", test_rename);
	WORLD_TEST("/tree_outbox/rename/onto_sent", test_rename_onto_sent);
	WORLD_TEST("/tree_outbox/rename/where", test_rename_where);
	WORLD_TEST("/tree_outbox/xattr", test_xattr);
	return g_test_run();
}
