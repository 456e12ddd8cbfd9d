/* Files that are no messages, or not yet: from their creation to the hand-over. */

#include "base/limits.h"
#include "tree_change_fixture.h"

#define ROOT NODE_ROOT

static int try_create(struct fixture *f, uint64_t parent, const char *name)
{
	struct tree_entry entry;
	struct tree_file *file = NULL;
	int result = tree_create(f->tree, &f->call, parent, name, &entry, &file);

	if (result == 0)
		tree_close(f->tree, &file);
	return result;
}

static int try_open(struct fixture *f, uint32_t id, int flags, struct tree_file **ret)
{
	return tree_open(f->tree, &f->call, node_pack(NODE_SPOOL, 0, id), flags, ret);
}

static struct tree_file *must_open(struct fixture *f, uint32_t id, int flags)
{
	struct tree_file *file = NULL;

	g_assert_cmpint(try_open(f, id, flags, &file), ==, 0);
	return file;
}

static int try_write(struct fixture *f, struct tree_file *file, uint64_t offset, const char *text)
{
	return tree_write(f->tree, &f->call, file, offset, strlen(text), text);
}

static void assert_text(struct fixture *f, struct tree_file *file, const char *want)
{
	char buffer[100];
	size_t got;

	g_assert_cmpint(tree_read(f->tree, &f->call, file, 0, sizeof(buffer) - 1, buffer, &got), ==,
			0);
	buffer[got] = '\0';
	g_assert_cmpstr(buffer, ==, want);
}

static void assert_size(struct fixture *f, uint32_t id, int64_t want)
{
	struct tree_entry entry;

	g_assert_cmpint(tree_getattr(f->tree, &f->call, node_pack(NODE_SPOOL, 0, id), &entry), ==,
			0);
	g_assert_cmpint(entry.attr.st_size, ==, want);
	g_assert_cmpuint(entry.attr.st_nlink, ==, 1);
}

/* --- create --- */

static void test_create(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox);
	struct tree_entry entry;
	struct tree_file *file = create_in(f, inbox, "new.eml", &entry);

	g_assert_cmpuint(entry.attr.st_mode, ==, S_IFREG | 0600);
	g_assert_cmpint(entry.attr.st_size, ==, 0);
	g_assert_false(tree_file_is_text(file));
	g_assert_cmpuint(find(f, inbox, "new.eml"), ==, entry.node);
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, 0);
	write_text(f, file, 0, "abc");
	write_text(f, file, 3, "def");
	assert_text(f, file, "abcdef");
	assert_size(f, node_low(entry.node), 6);
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, 0);
	/* Not before the last writer has closed it. */
	g_assert_cmpint(step_of(f, node_low(entry.node)), ==, SPOOL_LOCAL);
	g_assert_cmpuint(f->engine.changes, ==, 0);
	tree_close(f->tree, &file);
	g_assert_cmpint(step_of(f, node_low(entry.node)), ==, SPOOL_QUEUED);
	g_assert_cmpuint(f->engine.changes, ==, 1);
	g_assert_cmpuint(find(f, inbox, "new.eml"), ==, entry.node);
}

static void test_create_refused(struct fixture *f, gconstpointer data)
{
	static const char *const taken[] = {"1.m.eml", "1.eml", "1.d", ".deleted"};
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), archive = node_of(mail.archive);
	g_autofree char *longest = g_strnfill(255, 'x'), *longer = g_strnfill(256, 'x');
	uint32_t group;

	for (size_t i = 0; i < G_N_ELEMENTS(taken); i++)
		g_assert_cmpint(try_create(f, inbox, taken[i]), ==, EEXIST);
	g_assert_cmpint(rename_to(f, inbox, "2.m.eml", inbox, "two.eml"), ==, 0);
	g_assert_cmpint(rename_to(f, inbox, "3.m.eml", archive, "three.eml"), ==, 0);
	g_assert_cmpint(try_create(f, inbox, "two.eml"), ==, EEXIST);
	g_assert_cmpint(try_create(f, archive, "three.eml"), ==, EEXIST);
	g_assert_cmpint(try_create(f, archive, "2024"), ==, EEXIST);
	make_file(f, inbox, "new.eml", "abc");
	g_assert_cmpint(try_create(f, inbox, "new.eml"), ==, EEXIST);
	g_assert_cmpint(try_create(f, inbox, ".Trash"), ==, EPERM);
	g_assert_cmpint(try_create(f, inbox, ".Trash-0"), ==, EPERM);
	g_assert_cmpint(try_create(f, ROOT, "x.eml"), ==, EPERM);
	g_assert_cmpint(try_create(f, ROOT, "scratch"), ==, EPERM);
	g_assert_cmpint(try_create(f, tree_deleted_node(mail.inbox), "x.eml"), ==, EPERM);
	g_assert_cmpint(try_create(f, find(f, ROOT, ".mailfs"), "x"), ==, EPERM);
	g_assert_cmpint(try_create(f, find(f, inbox, "1.d"), "x"), ==, EPERM);
	g_assert_cmpint(try_create(f, inbox, longer), ==, ENAMETOOLONG);
	g_assert_cmpint(try_create(f, inbox, longest), ==, 0);
	index_folder_seen(f->index, "Group", '/', STORE_ATTR_NOSELECT, NOW_NS);
	commit(f);
	group = folder_id(f, INDEX_ROOT, "Group");
	g_assert_cmpint(try_create(f, node_of(group), "x.eml"), ==, EPERM);
}

static void test_create_rights(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox);

	f->engine.rights_known = false;
	assert_soft(f, try_create(f, inbox, "new.eml"), NEED_RIGHTS, mail.inbox);
	g_assert_cmpint(try_create(f, inbox, "scratch"), ==, 0);
	f->engine.rights_known = true;
	f->engine.rights.may = STORE_MAY_ALL & ~(unsigned)STORE_MAY_INSERT;
	g_assert_cmpint(try_create(f, inbox, "new.eml"), ==, EACCES);
	g_assert_cmpint(try_create(f, inbox, ".new.eml"), ==, 0);
	g_assert_cmpint(rename_to(f, inbox, ".new.eml", inbox, "new.eml"), ==, EACCES);
	f->engine.rights.read_only = true;
	g_assert_cmpint(try_create(f, inbox, "new.eml"), ==, EROFS);
}

/* --- what becomes mail --- */

static void test_scratch(struct fixture *f, gconstpointer data)
{
	static const char *const names[] = {".x.eml", "x.eml~", "sedAbCdEf",
					    "4913",   "x.EML",	".goutputstream-ABC"};
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox);

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		uint32_t id = make_file(f, inbox, names[i], "abc");

		g_assert_cmpint(step_of(f, id), ==, SPOOL_LOCAL);
		find(f, inbox, names[i]);
	}
	/* Nor is an empty one. */
	g_assert_cmpint(step_of(f, make_file(f, inbox, "empty.eml", "")), ==, SPOOL_LOCAL);
	assert_nothing_to_send(f);
	g_assert_cmpuint(f->engine.changes, ==, 0);
}

/* A second writer in time takes it back. */
static void test_append(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint32_t id = make_file(f, node_of(mail.inbox), "new.eml", "abc\r\n");
	struct tree_file *file = must_open(f, id, O_WRONLY | O_APPEND);

	g_assert_cmpint(step_of(f, id), ==, SPOOL_LOCAL);
	write_text(f, file, 5, "def\r\n");
	tree_close(f->tree, &file);
	g_assert_cmpint(step_of(f, id), ==, SPOOL_QUEUED);
	file = must_open(f, id, O_RDONLY);
	assert_text(f, file, "abc\r\ndef\r\n");
	g_assert_cmpint(step_of(f, id), ==, SPOOL_QUEUED);
	g_assert_cmpint(try_write(f, file, 0, "x"), ==, EBADF);
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, 0);
	tree_close(f->tree, &file);
	file = must_open(f, id, O_WRONLY | O_TRUNC);
	assert_size(f, id, 0);
	write_text(f, file, 0, "x\n");
	tree_close(f->tree, &file);
	/* As it is sent. */
	assert_size(f, id, 3);
}

static void test_open_sending(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint32_t id = make_file(f, node_of(mail.inbox), "new.eml", "abc\r\n");
	struct tree_file *file = NULL;

	begin_sending(f, id);
	assert_hard(f, try_open(f, id, O_RDWR, &file), NEED_SPOOL, 0, id);
	file = must_open(f, id, O_RDONLY);
	assert_text(f, file, "abc\r\n");
	tree_close(f->tree, &file);
	end_sending(f, id, 1, 4);
	g_assert_cmpint(try_open(f, id, O_RDWR, &file), ==, EPERM);
	g_assert_cmpint(try_open(f, id, O_RDONLY | O_TRUNC, &file), ==, EPERM);
	file = must_open(f, id, O_RDONLY);
	assert_text(f, file, "abc\r\n");
	tree_close(f->tree, &file);
	g_assert_cmpint(try_open(f, 4711, O_RDONLY, &file), ==, ESTALE);
}

/* Opened, then removed: it reads and writes on. */
static void test_removed(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox);
	struct tree_setattr cut = {.set_size = true, .size = 2}, nothing = {.set_size = false};
	struct tree_entry entry;
	struct tree_file *file = create_in(f, inbox, "x.tmp", &entry);
	uint64_t node = entry.node;

	write_text(f, file, 0, "abc");
	g_assert_cmpint(unlink_in(f, inbox, "x.tmp"), ==, 0);
	write_text(f, file, 3, "def");
	assert_text(f, file, "abcdef");
	g_assert_cmpint(tree_file_getattr(f->tree, &f->call, file, &entry), ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, 6);
	g_assert_cmpuint(entry.attr.st_nlink, ==, 0);
	/* fstat(2) and fchmod(2) come without the file. */
	g_assert_cmpint(tree_getattr(f->tree, &f->call, node, &entry), ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, 6);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, node, NULL, &nothing, &entry), ==, 0);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, node, file, &cut, &entry), ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, 2);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, node, NULL, &cut, &entry), ==, ESTALE);
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, 0);
	g_assert_cmpint(tree_fsync(f->tree, &f->call, file), ==, 0);
	tree_close(f->tree, &file);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, node, &entry), ==, ESTALE);
	assert_nothing_to_send(f);
}

/* Sealing makes other bytes of it: a reader sees the old ones, with their size, or the new. */
static void test_sealed_while_read(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	struct tree_entry entry;
	struct tree_file *writer = create_in(f, node_of(mail.inbox), "new.eml", &entry);
	uint32_t id = node_low(entry.node);
	struct tree_file *reader, *second;

	write_text(f, writer, 0, "a\nb\n");
	reader = must_open(f, id, O_RDONLY);
	tree_close(f->tree, &writer);
	g_assert_cmpint(step_of(f, id), ==, SPOOL_QUEUED);
	second = must_open(f, id, O_RDONLY);
	assert_size(f, id, 4);
	assert_text(f, reader, "a\nb\n");
	assert_text(f, second, "a\nb\n");
	tree_close(f->tree, &reader);
	assert_size(f, id, 4);
	tree_close(f->tree, &second);
	assert_size(f, id, 6);
	second = must_open(f, id, O_RDONLY);
	assert_text(f, second, "a\r\nb\r\n");
	tree_close(f->tree, &second);
}

/* --- how large --- */

static void test_limits(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox);
	struct tree_file *mail_file = create_in(f, inbox, "new.eml", NULL);
	struct tree_file *scratch = create_in(f, inbox, "scratch", NULL);
	struct tree_setattr size = {.set_size = true};
	struct tree_entry entry;

	f->engine.append_max = 10;
	g_assert_cmpint(try_write(f, mail_file, 8, "xx"), ==, 0);
	g_assert_cmpint(try_write(f, mail_file, 8, "xxx"), ==, EFBIG);
	g_assert_cmpint(try_write(f, scratch, 8, "xxx"), ==, 0);
	g_assert_cmpint(rename_to(f, inbox, "scratch", inbox, "big.eml"), ==, EFBIG);
	f->engine.append_max = UINT64_MAX;
	g_assert_cmpint(try_write(f, scratch, LIMIT_MESSAGE_SIZE - 1, "x"), ==, 0);
	g_assert_cmpint(try_write(f, scratch, LIMIT_MESSAGE_SIZE, "x"), ==, EFBIG);
	g_assert_cmpint(try_write(f, mail_file, LIMIT_MESSAGE_SIZE, "x"), ==, EFBIG);
	g_assert_cmpint(try_write(f, mail_file, UINT64_MAX, "x"), ==, EFBIG);
	g_assert_cmpint(try_write(f, mail_file, INT64_MAX, "x"), ==, EFBIG);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, find(f, inbox, "scratch"), &entry), ==, 0);
	size.size = LIMIT_MESSAGE_SIZE + 1;
	g_assert_cmpint(tree_setattr(f->tree, &f->call, entry.node, scratch, &size, &entry), ==,
			EFBIG);
	f->engine.has_quota = true;
	f->engine.used = 90;
	f->engine.limit = 100;
	g_assert_cmpint(try_write(f, mail_file, 0, "0123456789"), ==, 0);
	g_assert_cmpint(try_write(f, mail_file, 1, "0123456789"), ==, EDQUOT);
	g_assert_cmpint(try_write(f, scratch, 1, "0123456789"), ==, 0);
	g_assert_cmpint(rename_to(f, inbox, "scratch", inbox, "big.eml"), ==, EDQUOT);
	f->engine.used = 101;
	g_assert_cmpint(try_write(f, mail_file, 0, "0"), ==, EDQUOT);
	tree_close(f->tree, &scratch);
	tree_close(f->tree, &mail_file);
}

/* One with a write that failed, after what came before was flushed. */
static struct tree_file *make_torn(struct fixture *f, uint64_t inbox, const char *name,
				   uint32_t *ret_id)
{
	struct tree_entry entry;
	struct tree_file *file = create_in(f, inbox, name, &entry);

	*ret_id = node_low(entry.node);
	f->engine.append_max = 10;
	g_assert_cmpint(try_write(f, file, 0, "text"), ==, 0);
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, 0);
	g_assert_cmpint(try_write(f, file, 4, "too much"), ==, EFBIG);
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, EFBIG);
	g_assert_cmpint(tree_fsync(f->tree, &f->call, file), ==, EFBIG);
	return file;
}

/* Half a mail stays local, until it is written anew. */
static void test_torn(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	struct tree_setattr none = {.set_size = true};
	struct tree_entry entry;
	uint32_t id, other;
	struct tree_file *file = make_torn(f, node_of(mail.inbox), "a.eml", &id);
	struct tree_file *mended = make_torn(f, node_of(mail.inbox), "b.eml", &other);

	tree_close(f->tree, &file);
	g_assert_cmpint(step_of(f, id), ==, SPOOL_LOCAL);
	file = must_open(f, id, O_WRONLY | O_TRUNC);
	g_assert_cmpint(try_write(f, file, 0, "anew"), ==, 0);
	tree_close(f->tree, &file);
	g_assert_cmpint(step_of(f, id), ==, SPOOL_QUEUED);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, node_pack(NODE_SPOOL, 0, other), mended,
				     &none, &entry),
			==, 0);
	g_assert_cmpint(try_write(f, mended, 0, "anew"), ==, 0);
	g_assert_cmpint(tree_flush(f->tree, &f->call, mended), ==, 0);
	tree_close(f->tree, &mended);
	g_assert_cmpint(step_of(f, other), ==, SPOOL_QUEUED);
}

static void test_setattr(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	struct tree_setattr size = {.set_size = true, .size = 5},
			    time = {.set_mtime = true, .mtime_ns = NOW_NS + 7}, none = {0};
	uint32_t id = make_file(f, node_of(mail.inbox), "new.eml", "abc\r\ndef\r\n");
	uint64_t node = node_pack(NODE_SPOOL, 0, id);
	struct tree_entry entry;

	g_assert_cmpint(tree_setattr(f->tree, &f->call, node, NULL, &none, &entry), ==, 0);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, node, NULL, &size, &entry), ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, 5);
	/* As truncate(1) leaves it: it is mail again. */
	g_assert_cmpint(step_of(f, id), ==, SPOOL_QUEUED);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, node, NULL, &time, &entry), ==, 0);
	g_assert_cmpint(entry.attr.st_mtim.tv_sec, ==, NOW_NS / 1000000000);
	g_assert_cmpint(entry.attr.st_mtim.tv_nsec, ==, 7);
	begin_sending(f, id);
	assert_hard(f, tree_setattr(f->tree, &f->call, node, NULL, &size, &entry), NEED_SPOOL, 0,
		    id);
	end_sending(f, id, 1, 4);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, node, NULL, &size, &entry), ==, EPERM);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, node, NULL, &time, &entry), ==, 0);
}

/* --- rename --- */

static void test_rename(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), archive = node_of(mail.archive);
	uint32_t id = make_file(f, inbox, ".new.XyZ", "abc");

	g_assert_cmpint(rename_to(f, inbox, ".new.XyZ", inbox, "1.m.eml"), ==, EEXIST);
	g_assert_cmpint(rename_to(f, inbox, ".new.XyZ", inbox, "1.eml"), ==, EEXIST);
	g_assert_cmpint(rename_to(f, inbox, ".new.XyZ", archive, "2024"), ==, EISDIR);
	g_assert_cmpint(rename_to(f, inbox, ".new.XyZ", ROOT, "x.eml"), ==, EPERM);
	g_assert_cmpint(rename_to(f, inbox, ".new.XyZ", inbox, ".Trash-0"), ==, EPERM);
	g_assert_cmpint(rename_to(f, inbox, ".new.XyZ", tree_deleted_node(mail.inbox), "x.eml"), ==,
			EPERM);
	g_assert_cmpint(rename_to(f, inbox, ".new.XyZ", inbox, ".new.XyZ"), ==, 0);
	g_assert_cmpuint(f->engine.changes, ==, 0);
	g_assert_cmpint(rename_to(f, inbox, ".new.XyZ", archive, "new.eml"), ==, 0);
	assert_missing(f, inbox, ".new.XyZ");
	g_assert_cmpuint(find(f, archive, "new.eml"), ==, node_pack(NODE_SPOOL, 0, id));
	g_assert_cmpint(step_of(f, id), ==, SPOOL_QUEUED);
	g_assert_cmpuint(f->engine.changes, ==, 1);
	/* It is being sent. */
	begin_sending(f, id);
	assert_hard(f, rename_to(f, archive, "new.eml", inbox, "x.eml"), NEED_SPOOL, 0, id);
	end_sending(f, id, 2, 2);
	assert_hard(f, rename_to(f, archive, "new.eml", inbox, "x.eml"), NEED_FOLDER, mail.archive,
		    0);
	put(f, mail.archive_epoch, 2, "m", 10);
	commit(f);
	bind_folder(f, mail.archive);
	g_assert_cmpint(rename_to(f, archive, "new.eml", inbox, "x.eml"), ==, 0);
}

/* As rsync and sed -i do. */
static void test_rename_replaces(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox);
	uint32_t old = make_file(f, inbox, "new.eml", "abc"),
		 new = make_file(f, inbox, "sedXYZ", "abcdef");

	g_assert_cmpint(
		tree_rename(f->tree, &f->call, inbox, "sedXYZ", inbox, "new.eml", RENAME_NOREPLACE),
		==, EEXIST);
	begin_sending(f, old);
	assert_hard(f, rename_to(f, inbox, "sedXYZ", inbox, "new.eml"), NEED_SPOOL, 0, old);
	spool_fail(f->state, old, EACCES, "no");
	g_assert_cmpint(rename_to(f, inbox, "sedXYZ", inbox, "new.eml"), ==, 0);
	g_assert_false(exists(f, old));
	g_assert_cmpuint(find(f, inbox, "new.eml"), ==, node_pack(NODE_SPOOL, 0, new));
	begin_sending(f, new);
	end_sending(f, new, 1, 4);
	/* A message by now, though it is not listed. */
	make_file(f, inbox, "sedXYZ", "abc");
	g_assert_cmpint(rename_to(f, inbox, "sedXYZ", inbox, "new.eml"), ==, EEXIST);
}

/* A message is no newer version of a new one, whatever became of that. */
static void test_message_replaces_none(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), archive = node_of(mail.archive);
	uint32_t id = make_file(f, archive, "new.eml", "abc");
	struct tree_entry entry;
	struct tree_file *file;

	g_assert_cmpint(step_of(f, id), ==, SPOOL_QUEUED);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", archive, "new.eml"), ==, EEXIST);
	g_assert_cmpint(rename_to(f, archive, "1.m.eml", archive, "new.eml"), ==, EEXIST);
	begin_sending(f, id);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", archive, "new.eml"), ==, EEXIST);
	spool_fail(f->state, id, EACCES, "no");
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", archive, "new.eml"), ==, EEXIST);
	g_assert_cmpint(step_of(f, id), ==, SPOOL_FAILED);
	g_assert_cmpuint(find(f, archive, "new.eml"), ==, node_pack(NODE_SPOOL, 0, id));
	/* Not handed over yet: its writer may have closed it already. */
	file = create_in(f, archive, "open.eml", &entry);
	write_text(f, file, 0, "abc");
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", archive, "open.eml"), ==, EEXIST);
	tree_close(f->tree, &file);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", archive, "open.eml"), ==, EEXIST);
	find(f, inbox, "1.m.eml");
	make_file(f, archive, "empty.eml", "");
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", archive, "empty.eml"), ==, 0);
	assert_missing(f, inbox, "1.m.eml");
	g_assert_cmpuint(find(f, archive, "empty.eml"), ==, tree_message_node(mail.inbox_epoch, 1));
}

/* What cannot be sent replaces nothing. */
static void test_rename_refused(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox);
	uint32_t old = make_file(f, inbox, "new.eml", "abc");
	struct tree_entry entry;
	struct tree_file *file = create_in(f, inbox, "tmp", &entry);

	g_assert_cmpint(tree_write(f->tree, &f->call, file, 0, 3, "a\0b"), ==, 0);
	tree_close(f->tree, &file);
	g_assert_cmpint(rename_to(f, inbox, "tmp", inbox, "new.eml"), ==, EINVAL);
	g_assert_cmpuint(find(f, inbox, "tmp"), ==, entry.node);
	g_assert_cmpuint(find(f, inbox, "new.eml"), ==, node_pack(NODE_SPOOL, 0, old));
	g_assert_cmpint(step_of(f, old), ==, SPOOL_QUEUED);
	assert_size(f, old, strlen("abc\r\n"));
}

/* --- fsync --- */

static int sync_file(struct fixture *f, struct tree_file *file)
{
	return tree_fsync(f->tree, &f->call, file);
}

static void test_fsync(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	struct tree_entry entry;
	struct tree_file *file = create_in(f, node_of(mail.inbox), "new.eml", &entry);
	uint32_t id = node_low(entry.node);

	/* Nothing to send. */
	g_assert_cmpint(sync_file(f, file), ==, 0);
	write_text(f, file, 0, "abc");
	assert_hard(f, sync_file(f, file), NEED_SPOOL, 0, id);
	g_assert_cmpint(step_of(f, id), ==, SPOOL_QUEUED);
	g_assert_cmpuint(f->engine.changes, >, 0);
	begin_sending(f, id);
	assert_hard(f, sync_file(f, file), NEED_SPOOL, 0, id);
	/* Its writer waits too. */
	assert_hard(f, try_write(f, file, 3, "def"), NEED_SPOOL, 0, id);
	end_sending(f, id, 1, 4);
	g_assert_cmpint(sync_file(f, file), ==, 0);
	tree_close(f->tree, &file);
}

static void test_fsync_failed(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint32_t id = make_file(f, node_of(mail.inbox), "new.eml", "abc");
	struct tree_file *file = must_open(f, id, O_RDONLY);

	assert_hard(f, sync_file(f, file), NEED_SPOOL, 0, id);
	begin_sending(f, id);
	spool_fail(f->state, id, EDQUOT, "full");
	f->call.give_up = EDQUOT;
	g_assert_cmpint(sync_file(f, file), ==, EDQUOT);
	/* Another one tries once more. */
	memset(&f->call, 0, sizeof(f->call));
	assert_hard(f, sync_file(f, file), NEED_SPOOL, 0, id);
	g_assert_cmpint(step_of(f, id), ==, SPOOL_QUEUED);
	begin_sending(f, id);
	spool_fail(f->state, id, EFBIG, "big");
	g_assert_cmpint(sync_file(f, file), ==, EFBIG);
	g_assert_cmpint(step_of(f, id), ==, SPOOL_FAILED);
	tree_close(f->tree, &file);
}

static void test_fsync_scratch(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	struct tree_file *file = create_in(f, node_of(mail.inbox), "scratch", NULL);

	write_text(f, file, 0, "abc");
	g_assert_cmpint(sync_file(f, file), ==, 0);
	tree_close(f->tree, &file);
	assert_nothing_to_send(f);
}

/* What cannot be mail is told at once to who waits for it. */
static void test_fsync_nul(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	struct tree_file *file = create_in(f, node_of(mail.inbox), "new.eml", NULL);

	g_assert_cmpint(tree_write(f->tree, &f->call, file, 0, 3, "a\0b"), ==, 0);
	g_assert_cmpint(sync_file(f, file), ==, EINVAL);
	tree_close(f->tree, &file);
	assert_nothing_to_send(f);
}

/* --- copies --- */

static struct tree_file *open_message(struct fixture *f, uint32_t epoch, uint32_t uid)
{
	struct tree_file *file = NULL;

	f->engine.trust = SIZES_TRUE;
	g_assert_cmpint(
		tree_open(f->tree, &f->call, tree_message_node(epoch, uid), O_RDONLY, &file), ==,
		0);
	return file;
}

static void test_copy(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t archive = node_of(mail.archive), len = 4711;
	struct tree_file *from = open_message(f, mail.inbox_epoch, 1);
	struct tree_entry entry;
	struct tree_file *to = create_in(f, archive, "one.eml", &entry), *other = NULL;

	g_assert_cmpint(tree_copy(f->tree, &f->call, from, 0, to, 0, 1 << 20, &len), ==, 0);
	g_assert_cmpuint(len, ==, 10);
	assert_size(f, node_low(entry.node), 10);
	g_assert_cmpint(tree_copy(f->tree, &f->call, from, 10, to, 10, 1 << 20, &len), ==, 0);
	g_assert_cmpuint(len, ==, 0);
	g_assert_cmpint(tree_flush(f->tree, &f->call, to), ==, 0);
	g_assert_cmpint(sync_file(f, to), ==, 0);
	assert_nothing_to_send(f);
	g_assert_cmpint(tree_open(f->tree, &f->call, entry.node, O_RDONLY, &other), ==, 0);
	assert_hard(f, sync_file(f, other), NEED_CHANGES, mail.archive, 0);
	tree_close(f->tree, &to);
	g_assert_cmpint(sync_file(f, other), ==, 0);
	f->call.give_up = EACCES;
	g_assert_cmpint(sync_file(f, other), ==, EACCES);
	f->call = (struct tree_call){0};
	tree_close(f->tree, &other);
	tree_close(f->tree, &from);
	g_assert_false(exists(f, node_low(entry.node)));
	g_assert_cmpuint(find(f, archive, "one.eml"), ==, tree_message_node(mail.inbox_epoch, 1));
	find(f, node_of(mail.inbox), "1.m.eml");
	assert_only_change(f, CHANGE_COPY, 1, 0, 0, mail.archive, "one.eml");
}

static void test_copy_refused(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t archive = node_of(mail.archive), len;
	struct tree_file *from = open_message(f, mail.inbox_epoch, 1);
	struct tree_file *to = create_in(f, archive, "one.eml", NULL);
	struct tree_file *scratch = create_in(f, archive, "scratch", NULL);
	struct tree_file *status = NULL;

	g_assert_cmpint(tree_open(f->tree, &f->call, find(f, find(f, ROOT, ".mailfs"), "status"),
				  O_RDONLY, &status),
			==, 0);
	g_assert_cmpint(tree_copy(f->tree, &f->call, from, 1, to, 0, 100, &len), ==, EOPNOTSUPP);
	g_assert_cmpint(tree_copy(f->tree, &f->call, from, 0, to, 1, 100, &len), ==, EOPNOTSUPP);
	g_assert_cmpint(tree_copy(f->tree, &f->call, from, 0, to, 0, 9, &len), ==, EOPNOTSUPP);
	g_assert_cmpint(tree_copy(f->tree, &f->call, from, 10, to, 10, 9, &len), ==, EOPNOTSUPP);
	g_assert_cmpint(tree_copy(f->tree, &f->call, from, 0, scratch, 0, 10, &len), ==,
			EOPNOTSUPP);
	g_assert_cmpint(tree_copy(f->tree, &f->call, scratch, 0, to, 0, 10, &len), ==, EOPNOTSUPP);
	g_assert_cmpint(tree_copy(f->tree, &f->call, status, 0, to, 0, 100, &len), ==, EOPNOTSUPP);
	g_assert_cmpint(tree_copy(f->tree, &f->call, to, 0, from, 0, 10, &len), ==, EOPNOTSUPP);
	write_text(f, to, 0, "x");
	g_assert_cmpint(tree_copy(f->tree, &f->call, from, 0, to, 0, 10, &len), ==, EOPNOTSUPP);
	tree_close(f->tree, &to);
	/* On its way elsewhere. */
	to = create_in(f, archive, "two.eml", NULL);
	g_assert_cmpint(rename_to(f, node_of(mail.inbox), "1.m.eml", node_of(mail.trash), "x.eml"),
			==, 0);
	g_assert_cmpint(tree_copy(f->tree, &f->call, from, 0, to, 0, 10, &len), ==, EOPNOTSUPP);
	tree_close(f->tree, &to);
	tree_close(f->tree, &status);
	tree_close(f->tree, &scratch);
	tree_close(f->tree, &from);
}

/* Who writes to a copy, or reads it, needs its bytes. */
static void test_copy_written(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	struct tree_file *from = open_message(f, mail.inbox_epoch, 1);
	struct tree_entry entry;
	struct tree_file *to = create_in(f, node_of(mail.archive), "one.eml", &entry);
	char buffer[20], want[11];
	uint64_t len;
	size_t got;

	g_assert_cmpint(tree_copy(f->tree, &f->call, from, 0, to, 0, 10, &len), ==, 0);
	assert_hard(f, try_write(f, to, 0, "A"), NEED_BODY, mail.inbox_epoch, 1);
	g_assert_cmpuint(f->call.need.upto, ==, UINT64_MAX);
	assert_hard(f, tree_read(f->tree, &f->call, to, 0, 10, buffer, &got), NEED_BODY,
		    mail.inbox_epoch, 1);
	complete(f, mail.inbox_epoch, 1, 10);
	g_assert_cmpint(try_write(f, to, 0, "A"), ==, 0);
	for (size_t i = 0; i < 10; i++)
		want[i] = (char)pattern(i);
	want[0] = 'A';
	g_assert_cmpint(tree_read(f->tree, &f->call, to, 0, 20, buffer, &got), ==, 0);
	g_assert_cmpuint(got, ==, 10);
	g_assert_cmpint(memcmp(buffer, want, 10), ==, 0);
	assert_size(f, node_low(entry.node), 10);
	g_assert_cmpint(tree_copy(f->tree, &f->call, from, 10, to, 10, 10, &len), ==, EOPNOTSUPP);
	tree_close(f->tree, &from);
	tree_close(f->tree, &to);
}

/* Only who closes it asks for the copy: what is removed before must not be lost with it. */
static void test_copy_then_removed(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t archive = node_of(mail.archive), inbox = node_of(mail.inbox), len;
	struct tree_file *from = open_message(f, mail.inbox_epoch, 1);
	struct tree_entry entry;
	struct tree_file *to = create_in(f, archive, "one.eml", &entry);

	g_assert_cmpint(tree_copy(f->tree, &f->call, from, 0, to, 0, 10, &len), ==, 0);
	f->account.delete_mode = GPOINTER_TO_INT(data);
	assert_hard(f, unlink_in(f, inbox, "1.m.eml"), NEED_BODY, mail.inbox_epoch, 1);
	assert_nothing_to_send(f);
	complete(f, mail.inbox_epoch, 1, 10);
	g_assert_cmpint(unlink_in(f, inbox, "1.m.eml"), ==, 0);
	tree_close(f->tree, &from);
	tree_close(f->tree, &to);
	/* Its own bytes now, to be sent: with a NUL here, which is refused. */
	g_assert_cmpint(step_of(f, node_low(entry.node)), ==, SPOOL_FAILED);
	assert_size(f, node_low(entry.node), 10);
	if (f->account.delete_mode == DELETE_EXPUNGE)
		assert_only_change(f, CHANGE_EXPUNGE, 1, 0, 0, 0, NULL);
	else
		assert_only_change(f, CHANGE_FLAGS, 1, STORE_FLAG_DELETED, 0, 0, NULL);
}

/* The server would make it \Deleted as well. */
static void test_copy_of_deleted(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	struct tree_file *from = open_message(f, mail.inbox_epoch, 1);
	struct tree_file *to = create_in(f, node_of(mail.archive), "one.eml", NULL);
	uint64_t len;

	g_assert_cmpint(unlink_in(f, node_of(mail.inbox), "1.m.eml"), ==, 0);
	g_assert_cmpint(tree_copy(f->tree, &f->call, from, 0, to, 0, 10, &len), ==, EOPNOTSUPP);
	tree_close(f->tree, &from);
	tree_close(f->tree, &to);
}

/* --- many threads --- */

#define WRITERS 4
#define WRITES 50

struct writer {
	struct fixture *f;
	struct tree_file *file;
	uint64_t number;
};

static void *write_on(void *data)
{
	struct writer *writer = data;
	struct tree_call call = {0};

	for (uint64_t i = 0; i < WRITES; i++) {
		uint64_t at = (i * WRITERS + writer->number) * 4;

		g_assert_cmpint(tree_write(writer->f->tree, &call, writer->file, at, 4, "abc\n"),
				==, 0);
		g_assert_cmpint(tree_flush(writer->f->tree, &call, writer->file), ==, 0);
	}
	return NULL;
}

/* Writers of one file, while its name changes and others are made and removed. */
static void test_threads(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox);
	struct tree_entry entry;
	struct tree_file *file = create_in(f, inbox, "a.eml", &entry);
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];

	for (uint64_t i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){f, file, i};
		g_assert_cmpint(pthread_create(&threads[i], NULL, write_on, &writers[i]), ==, 0);
	}
	for (int i = 0; i < 10; i++) {
		g_assert_cmpint(rename_to(f, inbox, "a.eml", inbox, "b.eml"), ==, 0);
		make_file(f, inbox, "a.eml", "x\n");
		g_assert_cmpint(unlink_in(f, inbox, "a.eml"), ==, 0);
		g_assert_cmpint(rename_to(f, inbox, "b.eml", inbox, "a.eml"), ==, 0);
	}
	for (size_t i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	tree_close(f->tree, &file);
	g_assert_cmpint(step_of(f, node_low(entry.node)), ==, SPOOL_QUEUED);
	assert_size(f, node_low(entry.node), WRITERS * WRITES * 5);
}

#define ADD_WITH(path, function, number)                                                           \
	g_test_add(path, struct fixture, GINT_TO_POINTER(number), fixture_up, function,            \
		   fixture_down)
#define ADD(path, function) ADD_WITH(path, function, 0)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/tree-draft/create", test_create);
	ADD("/tree-draft/create-refused", test_create_refused);
	ADD("/tree-draft/create-rights", test_create_rights);
	ADD("/tree-draft/scratch", test_scratch);
	ADD("/tree-draft/append", test_append);
	ADD("/tree-draft/open-sending", test_open_sending);
	ADD("/tree-draft/removed", test_removed);
	ADD("/tree-draft/limits", test_limits);
	ADD("/tree-draft/torn", test_torn);
	ADD("/tree-draft/setattr", test_setattr);
	ADD("/tree-draft/rename", test_rename);
	ADD("/tree-draft/rename-replaces", test_rename_replaces);
	ADD("/tree-draft/message-replaces-none", test_message_replaces_none);
	ADD("/tree-draft/sealed-while-read", test_sealed_while_read);
	ADD("/tree-draft/rename-refused", test_rename_refused);
	ADD("/tree-draft/fsync", test_fsync);
	ADD("/tree-draft/fsync-failed", test_fsync_failed);
	ADD("/tree-draft/fsync-scratch", test_fsync_scratch);
	ADD("/tree-draft/fsync-nul", test_fsync_nul);
	ADD("/tree-draft/copy", test_copy);
	ADD("/tree-draft/copy-refused", test_copy_refused);
	ADD("/tree-draft/copy-written", test_copy_written);
	ADD_WITH("/tree-draft/copy-then-flagged", test_copy_then_removed, DELETE_FLAG);
	ADD_WITH("/tree-draft/copy-then-expunged", test_copy_then_removed, DELETE_EXPUNGE);
	ADD("/tree-draft/copy-of-deleted", test_copy_of_deleted);
	ADD("/tree-draft/threads", test_threads);
	return g_test_run();
}
