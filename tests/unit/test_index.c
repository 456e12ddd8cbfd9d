#include "cache/index.h"

#include "base/error.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "cache/ids.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMPLIED 5u /* NOSELECT | NONEXISTENT */
#define NOW INT64_C(1700000000000000000)

struct fixture {
	char *dir;
	struct index *index;
	struct index_view *view;
};

static void fixture_open(struct fixture *f, const char *account)
{
	GError *error = NULL;

	f->index = index_open(f->dir, account, &error);
	g_assert_no_error(error);
	f->view = index_view_new(f->index, &error);
	g_assert_no_error(error);
}

static void fixture_close(struct fixture *f)
{
	index_view_free(&f->view);
	index_close(&f->index);
}

static void setup(struct fixture *f, const void *data)
{
	f->dir = g_dir_make_tmp("index-XXXXXX", NULL);
	g_assert_nonnull(f->dir);
	fixture_open(f, "test");
}

static void teardown(struct fixture *f, const void *data)
{
	fixture_close(f);
	g_assert_true(file_remove_tree(f->dir, NULL));
	g_free(f->dir);
}

static void commit(struct fixture *f)
{
	GError *error = NULL;

	index_commit(f->index, &error);
	g_assert_no_error(error);
}

static bool seen(struct fixture *f, const char *name)
{
	return index_folder_seen(f->index, name, '/', 0, NOW);
}

/* --- helpers on folders --- */

static bool folder_line(void *data, const struct folder_row *row);

struct printer {
	struct fixture *f;
	GPtrArray *lines;
};

static void tree_print(struct printer *printer, uint32_t parent)
{
	GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	struct index_view *view = printer->f->view;
	GPtrArray *lines = printer->lines;

	printer->lines = NULL;
	index_folders_each(view, parent, 0, folder_line, ids);
	printer->lines = lines;
	g_assert_cmpuint(index_folders_count(view, parent), ==, ids->len);
	for (guint i = 0; i < ids->len; i++) {
		struct folder_row row;
		struct folder_row same;

		g_assert_true(index_folder_get(view, g_array_index(ids, uint32_t, i), &row));
		g_assert_true(index_folder_child(view, parent, row.leaf, &same));
		g_assert_cmpuint(same.id, ==, row.id);
		struct folder_row above = {0};

		g_assert_true(index_folder_get(view, row.parent, &above));
		g_ptr_array_add(lines,
				g_strdup_printf("%s|%s|%s%s", above.name, row.leaf, row.name,
						row.attributes == IMPLIED ? " (implied)" : ""));
		tree_print(printer, row.id);
		folder_row_clear(&above);
		folder_row_clear(&same);
		folder_row_clear(&row);
	}
	g_array_free(ids, TRUE);
}

static bool folder_line(void *data, const struct folder_row *row)
{
	GArray *ids = data;

	if (ids->len > 0)
		g_assert_cmpuint(g_array_index(ids, uint32_t, ids->len - 1), <, row->id);
	g_array_append_val(ids, row->id);
	return true;
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every folder as "parent|leaf|name", sorted. */
static void assert_tree(struct fixture *f, const char *expected)
{
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
	struct printer printer = {f, lines};

	tree_print(&printer, INDEX_ROOT);
	g_ptr_array_sort(lines, compare_lines);
	g_ptr_array_add(lines, NULL);
	g_autofree char *text = g_strjoinv("\n", (char **)lines->pdata);

	g_assert_cmpstr(text, ==, expected);
}

static void find(struct fixture *f, const char *path, struct folder_row *ret)
{
	g_auto(GStrv) leaves = g_strsplit(path, "/", -1);
	uint32_t parent = INDEX_ROOT;

	for (unsigned i = 0; leaves[i]; i++) {
		if (i > 0)
			folder_row_clear(ret);
		g_assert_true(index_folder_child(f->view, parent, leaves[i], ret));
		parent = ret->id;
	}
}

static uint32_t id_of(struct fixture *f, const char *path)
{
	struct folder_row row;

	find(f, path, &row);
	folder_row_clear(&row);
	return row.id;
}

static int64_t mtime_of(struct fixture *f, uint32_t id)
{
	struct folder_row row;

	g_assert_true(index_folder_get(f->view, id, &row));
	folder_row_clear(&row);
	return row.mtime_ns;
}

static void note_gone(void *data, const struct folder_row *row)
{
	GString *gone = data;

	g_string_append_printf(gone, "%s ", row->name);
}

static void assert_sweep(struct fixture *f, const char *expected)
{
	g_autoptr(GString) gone = g_string_new(NULL);

	index_folders_sweep(f->index, NOW, note_gone, gone);
	g_assert_cmpstr(gone->str, ==, expected);
	commit(f);
}

/* --- folders --- */

static void test_tree(struct fixture *f, const void *data)
{
	assert_tree(f, "");
	g_assert_true(seen(f, "Archive/2024/May"));
	g_assert_true(seen(f, "INBOX"));
	g_assert_true(seen(f, "Archive"));
	g_assert_false(seen(f, "INBOX"));
	g_assert_true(index_folder_seen(f->index, "a/b.c", 0, 0, NOW));
	g_assert_true(index_folder_seen(f->index, "x.y", '.', 0, NOW));
	commit(f);
	assert_tree(f, "Archive/2024|May|Archive/2024/May\n"
		       "Archive|2024|Archive/2024 (implied)\n"
		       "x|y|x.y\n"
		       "|Archive|Archive\n"
		       "|INBOX|INBOX\n"
		       "|a/b.c|a/b.c\n"
		       "|x|x (implied)");
}

static void test_empty_components(struct fixture *f, const void *data)
{
	static const char *const names[] = {"a/", "a//b", "/c", "//", "d/e/", "f/../g", "h/."};

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		g_assert_true(seen(f, names[i]));
	commit(f);
	assert_tree(f, "a/|b|a//b\n"
		       "d|e/|d/e/\n"
		       "f/..|g|f/../g\n"
		       "f|..|f/.. (implied)\n"
		       "h|.|h/.\n"
		       "|//|//\n"
		       "|/c|/c\n"
		       "|a/|a/\n"
		       "|d|d (implied)\n"
		       "|f|f (implied)\n"
		       "|h|h (implied)");
}

static void test_name_limits(struct fixture *f, const void *data)
{
	for (unsigned len = LIMIT_MAILBOX_NAME - 1; len <= LIMIT_MAILBOX_NAME + 1; len++) {
		g_autofree char *name = g_strnfill(len, 'n');

		g_assert_cmpint(seen(f, name), ==, len <= LIMIT_MAILBOX_NAME);
	}
	for (unsigned depth = LIMIT_FOLDER_DEPTH - 1; depth <= LIMIT_FOLDER_DEPTH + 1; depth++) {
		g_autofree char *name = g_strnfill(2 * depth - 1, 'd');

		for (unsigned i = 1; i < 2 * depth - 1; i += 2)
			name[i] = '/';
		g_assert_cmpint(seen(f, name), ==, depth <= LIMIT_FOLDER_DEPTH);
	}
	g_assert_false(seen(f, ""));
}

static void test_bytes(struct fixture *f, const void *data)
{
	struct folder_row row;

	g_assert_true(seen(f, "\xff\xfe/a'b\"\n%\x01"));
	commit(f);
	find(f, "\xff\xfe/a'b\"\n%\x01", &row);
	g_assert_cmpstr(row.name, ==, "\xff\xfe/a'b\"\n%\x01");
	folder_row_clear(&row);
}

static void test_inbox(struct fixture *f, const void *data)
{
	struct folder_row row;

	g_assert_false(index_inbox(f->view, &row));
	seen(f, "INBOXES");
	seen(f, "x/INBOX");
	commit(f);
	g_assert_false(index_inbox(f->view, &row));
	g_assert_true(seen(f, "Inbox"));
	g_assert_false(seen(f, "INBOX")); /* the same */
	g_assert_true(seen(f, "iNBOX/Lists"));
	commit(f);
	g_assert_true(index_inbox(f->view, &row));
	g_assert_cmpstr(row.name, ==, "Inbox");
	g_assert_cmpuint(row.id, ==, ids_folder("test", "INBOX"));
	g_assert_cmpuint(index_folders_count(f->view, row.id), ==, 1);
	folder_row_clear(&row);
}

static void test_separator_changes(struct fixture *f, const void *data)
{
	uint32_t id;

	seen(f, "a/b");
	seen(f, "a.b");
	seen(f, "a");
	commit(f);
	id = id_of(f, "a/b");
	/* the same place as a/b: told apart */
	g_assert_true(index_folder_seen(f->index, "a.b", '.', 0, NOW));
	commit(f);
	assert_tree(f, "a|b|a/b\n|a.b|a.b\n|a|a");
	g_assert_true(index_folder_seen(f->index, "a/b", 0, 0, NOW));
	commit(f);
	assert_tree(f, "|a.b|a.b\n|a/b|a/b\n|a|a");
	g_assert_true(index_folder_seen(f->index, "a/b", '/', 0, NOW));
	commit(f);
	g_assert_cmpuint(id_of(f, "a/b"), ==, id);
}

static void test_sweep(struct fixture *f, const void *data)
{
	seen(f, "a/b/c");
	seen(f, "a/b/d");
	seen(f, "e");
	assert_sweep(f, "");
	seen(f, "a/b/d");
	seen(f, "e");
	assert_sweep(f, "a/b/c ");
	assert_tree(f, "a/b|d|a/b/d\na|b|a/b (implied)\n|a|a (implied)\n|e|e");
	seen(f, "e");
	assert_sweep(f, "a/b/d a/b a ");
	assert_tree(f, "|e|e");
	assert_sweep(f, "e ");
	assert_tree(f, "");
}

static void test_sweep_keeps_parents(struct fixture *f, const void *data)
{
	uint32_t old;

	seen(f, "a");
	seen(f, "a/b");
	assert_sweep(f, "");
	uint32_t id = id_of(f, "a");
	uint32_t epoch = index_folder_open(f->index, id, 5, NOW, &old);

	seen(f, "a/b");
	assert_sweep(f, "");
	assert_tree(f, "a|b|a/b\n|a|a (implied)");
	g_assert_true(seen(f, "a")); /* it is back, and the same */
	seen(f, "a/b");
	assert_sweep(f, "");
	g_assert_cmpuint(id_of(f, "a"), ==, id);
	g_assert_cmpuint(index_folder_open(f->index, id, 5, NOW, &old), ==, epoch);
}

static void test_mtime(struct fixture *f, const void *data)
{
	seen(f, "a/b");
	commit(f);
	uint32_t a = id_of(f, "a");
	int64_t root = mtime_of(f, INDEX_ROOT);
	int64_t before = mtime_of(f, a);

	seen(f, "a/b");
	assert_sweep(f, "");
	g_assert_cmpint(mtime_of(f, a), ==, before);
	g_assert_cmpint(mtime_of(f, INDEX_ROOT), ==, root);
	seen(f, "a/c");
	seen(f, "a/b");
	assert_sweep(f, "");
	g_assert_cmpint(mtime_of(f, a), >, before);
	g_assert_cmpint(mtime_of(f, INDEX_ROOT), ==, root);
	before = mtime_of(f, a);
	seen(f, "a/b");
	assert_sweep(f, "a/c ");
	g_assert_cmpint(mtime_of(f, a), >, before);
	assert_sweep(f, "a/b a ");
	g_assert_cmpint(mtime_of(f, INDEX_ROOT), >, root);
	root = mtime_of(f, INDEX_ROOT);
	index_folder_touch(f->index, INDEX_ROOT, 1); /* the clock was set back */
	commit(f);
	g_assert_cmpint(mtime_of(f, INDEX_ROOT), ==, root + 1);
	index_folder_touch(f->index, INDEX_ROOT, NOW * 2);
	commit(f);
	g_assert_cmpint(mtime_of(f, INDEX_ROOT), ==, NOW * 2);
}

static void test_many_folders(struct fixture *f, const void *data)
{
	char name[32];

	for (unsigned i = 0; i < LIMIT_FOLDERS + 1; i++) {
		g_snprintf(name, sizeof(name), "box%u", i);
		g_assert_cmpint(seen(f, name), ==, i < LIMIT_FOLDERS);
	}
	commit(f);
	g_assert_cmpuint(index_folders_count(f->view, INDEX_ROOT), ==, LIMIT_FOLDERS);
	for (unsigned i = 0; i < LIMIT_FOLDERS; i += 1000) {
		g_snprintf(name, sizeof(name), "box%u", i);
		id_of(f, name);
	}
	index_folders_sweep(f->index, NOW, NULL, NULL);
	index_folders_sweep(f->index, NOW, NULL, NULL);
	g_assert_true(seen(f, "again"));
	commit(f);
	g_assert_cmpuint(index_folders_count(f->view, INDEX_ROOT), ==, 1);
}

static bool stop_at_third(void *data, const struct folder_row *row)
{
	GArray *ids = data;

	g_array_append_val(ids, row->id);
	return ids->len < 3;
}

static void test_folders_resume(struct fixture *f, const void *data)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	for (char name[2] = "a"; name[0] <= 'f'; name[0]++)
		seen(f, name);
	commit(f);
	index_folders_each(f->view, INDEX_ROOT, 0, stop_at_third, ids);
	g_assert_cmpuint(ids->len, ==, 3);
	index_folders_each(f->view, INDEX_ROOT, g_array_index(ids, uint32_t, 2), folder_line, ids);
	g_assert_cmpuint(ids->len, ==, 6);
}

/* --- ids --- */

static void test_ids(void)
{
	char token[IDS_TOKEN_LEN + 1];
	char other[IDS_TOKEN_LEN + 1];
	uint32_t epoch = ids_epoch("test", "INBOX", 1, token);

	g_assert_cmpuint(ids_folder("test", "a"), ==, ids_folder("test", "a"));
	g_assert_cmpuint(ids_folder("test", "a"), !=, ids_folder("test2", "a"));
	g_assert_cmpuint(ids_folder("test", "inbox"), ==, ids_folder("test", "INBOX"));
	g_assert_cmpuint(ids_folder("ab", "c"), !=, ids_folder("a", "bc"));
	g_assert_cmpuint(strspn(token, "abcdefghijklmnopqrstuvwxyz234567"), ==, IDS_TOKEN_LEN);
	g_assert_cmpuint(ids_epoch("test", "INBOX", 2, other), !=, epoch);
	g_assert_cmpstr(other, !=, token);
	for (unsigned i = 0; i < 10000; i++) {
		uint32_t id = ids_epoch("test", "x", i, token);

		g_assert_cmpuint(id, >=, 16);
		g_assert_cmpuint(id, <, 1u << 28);
	}
	g_assert_cmpuint(ids_next(16), ==, 17);
	g_assert_cmpuint(ids_next((1u << 28) - 2), ==, (1u << 28) - 1);
	g_assert_cmpuint(ids_next((1u << 28) - 1), ==, 16);
}

static void test_collisions(struct fixture *f, const void *data)
{
	const uint32_t id = ids_folder("test", "box7946");

	g_assert_cmpuint(ids_folder("test", "box28998"), ==, id);
	seen(f, "box7946");
	seen(f, "box28998");
	commit(f);
	g_assert_cmpuint(id_of(f, "box7946"), ==, id);
	g_assert_cmpuint(id_of(f, "box28998"), ==, id + 1);
}

static void test_epoch_collisions(struct fixture *f, const void *data)
{
	char token[IDS_TOKEN_LEN + 1];
	uint32_t old = 99;

	seen(f, "INBOX");
	commit(f);
	uint32_t inbox = id_of(f, "INBOX");
	uint32_t first = index_folder_open(f->index, inbox, 31906, NOW, &old);

	g_assert_cmpuint(first, ==, ids_epoch("test", "INBOX", 31906, token));
	g_assert_cmpuint(first, ==, ids_epoch("test", "INBOX", 33805, token));
	uint32_t second = index_folder_open(f->index, inbox, 33805, NOW, &old);

	g_assert_cmpuint(second, ==, first + 1);
	g_assert_cmpuint(old, ==, first);
}

static void test_ids_are_stable(struct fixture *f, const void *data)
{
	g_autofree char *path = g_build_filename(f->dir, "index.sqlite", NULL);
	uint32_t id = 0;
	uint32_t epoch = 0;
	uint32_t old;

	for (unsigned i = 0; i < 3; i++) {
		seen(f, "a/b");
		commit(f);
		uint32_t now_id = id_of(f, "a/b");
		uint32_t now_epoch = index_folder_open(f->index, now_id, 77, NOW, &old);

		if (i > 0) {
			g_assert_cmpuint(now_id, ==, id);
			g_assert_cmpuint(now_epoch, ==, epoch);
		}
		id = now_id;
		epoch = now_epoch;
		fixture_close(f);
		if (i == 1)
			g_assert_cmpint(unlink(path), ==, 0);
		fixture_open(f, "test");
	}
}

/* --- messages --- */

static uint32_t open_folder(struct fixture *f, const char *name, uint64_t uidvalidity)
{
	uint32_t old;

	seen(f, name);
	commit(f);
	return index_folder_open(f->index, id_of(f, name), uidvalidity, NOW, &old);
}

static enum index_change put(struct fixture *f, uint32_t epoch, uint32_t uid, unsigned flags)
{
	struct message_row row = {
		.uid = uid,
		.size_hint = 100,
		.date_s = 1000 + uid,
		.flags = flags,
		.keywords = "",
		.label = "Lunch",
	};

	return index_message_put(f->index, epoch, &row, NOW);
}

static bool copy_message(void *data, const struct message_row *row)
{
	*(struct message_row *)data = *row;
	return true;
}

static bool get(struct fixture *f, uint32_t epoch, uint32_t uid, struct message_row *ret)
{
	return index_message_get(f->view, epoch, uid, copy_message, ret);
}

static bool add_uid(void *data, const struct message_row *row)
{
	g_string_append_printf(data, "%" PRIu32 " ", row->uid);
	return row->uid != 7;
}

static void assert_uids(struct fixture *f, uint32_t epoch, const char *expected)
{
	g_autoptr(GString) uids = g_string_new(NULL);
	struct folder_row row;

	commit(f);
	index_messages_each(f->view, epoch, 0, add_uid, uids);
	g_assert_cmpstr(uids->str, ==, expected);
	unsigned n = 0;

	for (const char *c = uids->str; *c; c++)
		n += *c == ' ';
	g_assert_true(index_folder_by_epoch(f->view, epoch, &row));
	g_assert_cmpuint(row.messages, ==, n);
	folder_row_clear(&row);
}

static void assert_totals(struct fixture *f, uint64_t bytes, uint64_t messages)
{
	uint64_t now_bytes;
	uint64_t now_messages;

	commit(f);
	index_totals(f->view, &now_bytes, &now_messages);
	g_assert_cmpuint(now_bytes, ==, bytes);
	g_assert_cmpuint(now_messages, ==, messages);
}

static void test_open(struct fixture *f, const void *data)
{
	struct folder_row row;
	uint32_t old = 99;

	seen(f, "a");
	commit(f);
	uint32_t id = id_of(f, "a");

	g_assert_true(index_folder_get(f->view, id, &row));
	g_assert_cmpuint(row.epoch, ==, 0);
	g_assert_cmpuint(row.uidnext, ==, 1);
	g_assert_false(row.synced);
	g_assert_cmpstr(row.token, ==, "");
	g_assert_cmpuint(strlen(row.name), ==, 1);
	folder_row_clear(&row);
	g_assert_cmpuint(index_folder_open(f->index, id + 1, 1, NOW, &old), ==, 0);
	g_assert_cmpuint(old, ==, 99);
	uint32_t epoch = index_folder_open(f->index, id, UINT64_MAX, NOW, &old);

	g_assert_cmpuint(epoch, >=, 16);
	g_assert_cmpuint(old, ==, 0);
	index_folder_refreshed(f->index, id, 10, UINT64_MAX);
	index_folder_refreshed(f->index, id, 5, 7);
	commit(f);
	g_assert_true(index_folder_by_epoch(f->view, epoch, &row));
	g_assert_cmpuint(row.id, ==, id);
	g_assert_cmpuint(row.uidvalidity, ==, UINT64_MAX);
	g_assert_cmpuint(row.uidnext, ==, 10); /* never lower */
	g_assert_cmpuint(row.modseq, ==, 7);
	g_assert_true(row.synced);
	g_assert_cmpuint(strlen(row.token), ==, 4);
	folder_row_clear(&row);
	g_assert_false(index_folder_by_epoch(f->view, 0, &row));
}

static void test_uidvalidity_changes(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "a", 5);
	uint32_t other = open_folder(f, "b", 5);
	uint32_t id = id_of(f, "a");
	uint32_t old = 99;
	struct folder_row row;

	put(f, epoch, 1, 0);
	put(f, other, 1, 0);
	index_folder_refreshed(f->index, id, 2, 3);
	commit(f);
	int64_t before = mtime_of(f, id);

	g_assert_cmpuint(index_folder_open(f->index, id, 5, NOW, &old), ==, epoch);
	g_assert_cmpuint(old, ==, 0);
	uint32_t next = index_folder_open(f->index, id, 6, NOW, &old);

	g_assert_cmpuint(next, !=, epoch);
	g_assert_cmpuint(old, ==, epoch);
	commit(f);
	g_assert_true(index_folder_get(f->view, id, &row));
	g_assert_cmpuint(row.epoch, ==, next);
	g_assert_cmpuint(row.uidnext, ==, 1);
	g_assert_cmpuint(row.modseq, ==, 0);
	g_assert_cmpuint(row.messages, ==, 0);
	g_assert_cmpint(row.mtime_ns, >, before);
	g_assert_false(row.synced);
	folder_row_clear(&row);
	g_assert_false(get(f, epoch, 1, &(struct message_row){0}));
	assert_uids(f, other, "1 ");
	assert_totals(f, 100, 1);
}

static void test_put(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "a", 5);
	struct message_row row;

	g_assert_cmpint(put(f, epoch, 3, 1), ==, INDEX_NEW);
	g_assert_cmpint(put(f, epoch, UINT32_MAX, 1), ==, INDEX_NEW);
	g_assert_cmpint(put(f, epoch, 3, 1), ==, INDEX_SAME);
	g_assert_cmpint(put(f, epoch, 0, 1), ==, INDEX_SAME);
	g_assert_cmpint(put(f, 0, 3, 1), ==, INDEX_SAME);
	commit(f);
	g_assert_true(get(f, epoch, 3, &row));
	g_assert_cmpint(row.ctime_ns, ==, INT64_C(1003000000000));
	g_assert_cmpuint(row.size, ==, 100);
	g_assert_false(row.exact);
	g_assert_cmpint(put(f, epoch, 3, 2), ==, INDEX_CHANGED);
	g_assert_cmpint(index_message_flags(f->index, epoch, 3, 2, "", NOW + 1), ==, INDEX_SAME);
	g_assert_cmpint(index_message_flags(f->index, epoch, 3, 2, "a b", NOW + 2), ==,
			INDEX_CHANGED);
	g_assert_cmpint(index_message_flags(f->index, epoch, 4, 2, "", NOW), ==, INDEX_SAME);
	commit(f);
	g_assert_true(get(f, epoch, 3, &row));
	g_assert_cmpuint(row.flags, ==, 2);
	g_assert_cmpint(row.ctime_ns, ==, NOW + 2);
	g_assert_cmpint(row.date_s, ==, 1003);
	g_assert_false(get(f, epoch, 4, &row));
	g_assert_true(index_message_write_has(f->index, epoch, 3));
	g_assert_false(index_message_write_has(f->index, epoch, 4));
	assert_uids(f, epoch, "3 4294967295 ");
}

static bool check_strings(void *data, const struct message_row *row)
{
	g_assert_cmpstr(row->keywords, ==, "$Junk \xff");
	g_assert_cmpstr(row->label, ==, "Gr\xc3\xbc\xc3\x9f");
	(*(unsigned *)data)++;
	return false;
}

static void test_strings(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "a", 5);
	struct message_row row = {
		.uid = 1,
		.size_hint = UINT64_MAX,
		.date_s = INT64_MAX,
		.keywords = "$Junk \xff",
		.label = "Gr\xc3\xbc\xc3\x9f",
	};
	unsigned calls = 0;

	index_message_put(f->index, epoch, &row, NOW);
	row.uid = 2;
	row.date_s = INT64_MIN;
	index_message_put(f->index, epoch, &row, NOW);
	commit(f);
	g_assert_true(index_message_get(f->view, epoch, 1, check_strings, &calls));
	index_messages_each(f->view, epoch, 1, check_strings, &calls);
	g_assert_cmpuint(calls, ==, 2);
	g_assert_true(get(f, epoch, 1, &row));
	g_assert_cmpuint(row.size, ==, UINT64_C(1) << 40); /* nothing overflows */
	g_assert_cmpint(row.ctime_ns, >, 0);
	assert_totals(f, UINT64_C(2) << 40, 2);
}

static void test_size(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "a", 5);
	struct message_row row;

	put(f, epoch, 1, 0);
	g_assert_false(index_message_size(f->index, epoch, 2, 100));
	g_assert_false(index_message_size(f->index, epoch, 1, 100)); /* as the hint said */
	commit(f);
	g_assert_true(get(f, epoch, 1, &row));
	g_assert_true(row.exact);
	g_assert_true(index_message_size(f->index, epoch, 1, 0));
	g_assert_false(index_message_size(f->index, epoch, 1, 0));
	assert_totals(f, 0, 1);
	g_assert_true(get(f, epoch, 1, &row));
	g_assert_cmpuint(row.size, ==, 0);
	g_assert_cmpuint(row.size_hint, ==, 100);
	put(f, epoch, 1, 3);
	assert_totals(f, 0, 1);
}

static void note_uid(void *data, uint32_t uid, const char *label)
{
	g_assert_cmpstr(label, ==, "Lunch");
	g_string_append_printf(data, "%" PRIu32 " ", uid);
}

static void test_remove(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "a", 5);
	g_autoptr(GString) gone = g_string_new(NULL);
	struct seqset set = {0};
	uint32_t highest = 99;

	g_assert_cmpuint(index_messages_count(f->index, epoch, &highest), ==, 0);
	g_assert_cmpuint(highest, ==, 0);
	for (uint32_t uid = 1; uid <= 6; uid++)
		put(f, epoch, uid, 0);
	g_assert_cmpuint(index_messages_count(f->index, epoch, &highest), ==, 6);
	g_assert_cmpuint(highest, ==, 6);
	g_assert_cmpuint(index_messages_remove(f->index, epoch, &set, note_uid, gone), ==, 0);
	seqset_add(&set, 2, 3);
	seqset_add(&set, 5, 5);
	seqset_add(&set, 8, UINT32_MAX);
	g_assert_cmpuint(index_messages_remove(f->index, epoch, &set, note_uid, gone), ==, 3);
	g_assert_cmpuint(index_messages_remove(f->index, epoch, &set, note_uid, gone), ==, 0);
	g_assert_cmpstr(gone->str, ==, "2 3 5 ");
	assert_uids(f, epoch, "1 4 6 ");
	assert_totals(f, 300, 3);
	seqset_clear(&set);
}

static void test_keep(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "a", 5);
	g_autoptr(GString) gone = g_string_new(NULL);
	struct seqset set = {0};
	struct seqset none = {0};

	for (uint32_t uid = 2; uid <= 20; uid += 2)
		put(f, epoch, uid, 0);
	seqset_add(&set, 1, 1);
	seqset_add(&set, 3, 5);
	seqset_add(&set, 10, 11);
	seqset_add(&set, 19, 19);
	g_assert_cmpuint(index_messages_keep(f->index, epoch, &set, 16, note_uid, gone), ==, 6);
	g_assert_cmpstr(gone->str, ==, "2 6 8 12 14 16 ");
	assert_uids(f, epoch, "4 10 18 20 ");
	g_assert_cmpuint(index_messages_keep(f->index, epoch, &set, 18, NULL, NULL), ==, 1);
	g_assert_cmpuint(index_messages_keep(f->index, epoch, &none, 0, NULL, NULL), ==, 0);
	assert_totals(f, 300, 3);
	g_assert_cmpuint(index_messages_keep(f->index, epoch, &none, UINT32_MAX, NULL, NULL), ==,
			 3);
	assert_uids(f, epoch, "");
	seqset_clear(&set);
}

static void test_resume(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "a", 5);
	g_autoptr(GString) uids = g_string_new(NULL);

	for (uint32_t uid = 5; uid <= 10; uid++)
		put(f, epoch, uid, 0);
	commit(f);
	index_messages_each(f->view, epoch, 5, add_uid, uids); /* stops at 7 */
	index_messages_each(f->view, epoch, 8, add_uid, uids);
	index_messages_each(f->view, epoch, UINT32_MAX, add_uid, uids);
	index_messages_each(f->view, epoch + 1, 0, add_uid, uids);
	g_assert_cmpstr(uids->str, ==, "6 7 9 10 ");
}

static bool nest(void *data, const struct message_row *row)
{
	struct fixture *f = data;
	struct message_row same;
	struct folder_row folder;
	uint32_t uid = row->uid;

	g_assert_true(get(f, 0, 0, &same) == false);
	g_assert_true(index_inbox(f->view, &folder));
	g_assert_true(get(f, folder.epoch, uid, &same));
	g_assert_cmpuint(row->uid, ==, uid);
	folder_row_clear(&folder);
	return true;
}

static void test_nested(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "INBOX", 5);

	put(f, epoch, 1, 0);
	put(f, epoch, 2, 0);
	commit(f);
	index_messages_each(f->view, epoch, 0, nest, f);
}

static void test_only_committed(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "a", 5);
	struct message_row row;
	uint64_t bytes;
	uint64_t messages;

	commit(f);
	put(f, epoch, 1, 0);
	seen(f, "new");
	g_assert_true(index_message_write_has(f->index, epoch, 1));
	g_assert_false(get(f, epoch, 1, &row));
	g_assert_cmpuint(index_folders_count(f->view, INDEX_ROOT), ==, 1);
	index_totals(f->view, &bytes, &messages);
	g_assert_cmpuint(messages, ==, 0);
	commit(f);
	g_assert_true(get(f, epoch, 1, &row));
	g_assert_cmpuint(index_folders_count(f->view, INDEX_ROOT), ==, 2);
	put(f, epoch, 2, 0);
	fixture_close(f); /* not committed: lost */
	fixture_open(f, "test");
	assert_uids(f, epoch, "1 ");
}

struct reader {
	pthread_t thread;
	struct index_view *view;
	uint32_t epoch;
	atomic_bool *stop;
	unsigned rounds;
};

static bool count_messages(void *data, const struct message_row *row)
{
	(*(unsigned *)data)++;
	return true;
}

/* Batches of ten are seen whole, and never fewer than before. */
static void *read_on(void *data)
{
	struct reader *reader = data;
	unsigned last = 0;

	while (!atomic_load(reader->stop)) {
		struct message_row row;
		unsigned n = 0;

		index_messages_each(reader->view, reader->epoch, 0, count_messages, &n);
		g_assert_cmpuint(n % 10, ==, 0);
		g_assert_cmpuint(n, >=, last);
		if (n > 0)
			g_assert_true(index_message_get(reader->view, reader->epoch, n,
							copy_message, &row));
		last = n;
		reader->rounds++;
	}
	return NULL;
}

static void test_threads(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "a", 5);
	atomic_bool stop = false;
	struct reader readers[2];

	commit(f);
	for (unsigned i = 0; i < G_N_ELEMENTS(readers); i++) {
		readers[i] = (struct reader){.epoch = epoch, .stop = &stop};
		readers[i].view = index_view_new(f->index, NULL);
		g_assert_nonnull(readers[i].view);
		g_assert_cmpint(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), ==,
				0);
	}
	for (uint32_t uid = 1; uid <= 3000; uid++) {
		put(f, epoch, uid, 0);
		if (uid % 10 == 0)
			commit(f);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < G_N_ELEMENTS(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		index_view_free(&readers[i].view);
	}
}

/* --- damage --- */

static char *file_path(struct fixture *f, const char *name)
{
	return g_build_filename(f->dir, name, NULL);
}

static void fill(struct fixture *f)
{
	uint32_t epoch = open_folder(f, "a", 5);

	for (uint32_t uid = 1; uid <= 5000; uid++)
		put(f, epoch, uid, 0);
	commit(f);
}

static void spoil(const char *path, off_t offset, size_t len)
{
	g_autofree char *garbage = g_strnfill(len, '\xa5');
	int fd = open(path, O_WRONLY);

	g_assert_cmpint(fd, >=, 0);
	g_assert_true(file_pwrite_all(fd, garbage, len, offset));
	close(fd);
}

static unsigned log_count(const char *what)
{
	gsize len;
	g_autofree char *log = log_ring_copy(&len);
	unsigned n = 0;

	for (const char *at = log; (at = strstr(at, what)); at++)
		n++;
	return n;
}

/* Opens what was spoilt: it must be empty and usable. */
static void assert_empty(struct fixture *f, const char *account)
{
	fixture_open(f, account);
	assert_tree(f, "");
	fill(f);
	fixture_close(f);
	fixture_open(f, account);
	assert_tree(f, "|a|a");
}

/* And it was said in one line. */
static void assert_begun_anew(struct fixture *f, const char *account)
{
	unsigned before = log_count("beginning anew");

	assert_empty(f, account);
	g_assert_cmpuint(log_count("beginning anew"), ==, before + 1);
}

static void test_truncated(struct fixture *f, const void *data)
{
	g_autofree char *path = file_path(f, "index.sqlite");
	static const off_t sizes[] = {4096, 5000, 40960};
	static const off_t headless[] = {0, 1, 99, 100}; /* as good as a new file */

	fill(f);
	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		fixture_close(f);
		g_assert_cmpint(truncate(path, sizes[i]), ==, 0);
		assert_begun_anew(f, "test");
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(headless); i++) {
		fixture_close(f);
		g_assert_cmpint(truncate(path, headless[i]), ==, 0);
		assert_empty(f, "test");
	}
}

static void test_garbage(struct fixture *f, const void *data)
{
	g_autofree char *path = file_path(f, "index.sqlite");

	fill(f);
	for (unsigned page = 0; page < 3; page++) {
		fixture_close(f);
		spoil(path, (off_t)page * 4096, 4096);
		assert_begun_anew(f, "test");
	}
	fixture_close(f);
	g_assert_true(g_file_set_contents(path, "garbage", 7, NULL));
	assert_begun_anew(f, "test");
}

static void other_sql(const char *path, const char *sql)
{
	sqlite3 *db;

	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
	sqlite3_close(db);
}

static void test_foreign(struct fixture *f, const void *data)
{
	g_autofree char *path = file_path(f, "index.sqlite");
	static const char *const changes[] = {
		"PRAGMA user_version = 999",
		"PRAGMA application_id = 1",
		"UPDATE meta SET value = 'somebody'",
		"DELETE FROM meta",
		"DROP TABLE message",
		"DROP TABLE meta",
	};

	fill(f);
	for (unsigned i = 0; i < G_N_ELEMENTS(changes); i++) {
		fixture_close(f);
		other_sql(path, changes[i]);
		assert_begun_anew(f, "test");
	}
	fixture_close(f);
	assert_begun_anew(f, "it's \"another\" account");
}

static void test_damage_while_running(struct fixture *f, const void *data)
{
	g_autofree char *path = file_path(f, "index.sqlite");
	g_autoptr(GError) error = NULL;
	struct stat stat;
	struct message_row row;
	uint32_t epoch;
	unsigned n = 0;

	fill(f);
	epoch = open_folder(f, "a", 5);
	fixture_close(f); /* everything is in the main file now */
	fixture_open(f, "test");
	g_assert_cmpint(lstat(path, &stat), ==, 0);
	spoil(path, 4096 * 12, (size_t)stat.st_size - 4096 * 13);
	unsigned before = log_count("not used any more");

	index_messages_each(f->view, epoch, 0, count_messages, &n);
	g_assert_cmpuint(n, <, 5000);
	g_assert_true(index_is_damaged(f->index));
	g_assert_false(get(f, epoch, 1, &row));
	g_assert_cmpuint(index_folders_count(f->view, INDEX_ROOT), ==, 0);
	g_assert_cmpint(put(f, epoch, 6000, 0), ==, INDEX_SAME);
	g_assert_false(seen(f, "b"));
	index_folders_sweep(f->index, NOW, NULL, NULL);
	g_assert_false(index_commit(f->index, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	g_assert_cmpuint(log_count("not used any more"), ==, before + 1);
	fixture_close(f);
	assert_begun_anew(f, "test");
}

static void test_deleted_under_us(struct fixture *f, const void *data)
{
	struct message_row row;

	fill(f);
	uint32_t epoch = open_folder(f, "a", 5);

	g_assert_true(file_remove_tree(f->dir, NULL));
	for (uint32_t uid = 6000; uid < 20000; uid++) {
		put(f, epoch, uid, 0);
		if (uid % 1000 == 0 && !index_commit(f->index, NULL))
			break;
	}
	get(f, epoch, 1, &row);
	g_autoptr(GError) error = NULL;
	struct index_view *view = index_view_new(f->index, &error);

	g_assert_null(view);
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	fixture_close(f);
	g_assert_cmpint(g_mkdir_with_parents(f->dir, 0700), ==, 0);
	fixture_open(f, "test");
}

static void test_cannot_open(void)
{
	g_autoptr(GError) error = NULL;
	struct index *index = index_open("/nonexistent/directory", "test", &error);

	g_assert_null(index);
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	index_close(&index);
}

/* Another writer holds the lock for longer than we wait: the batch is lost, the next one is not. */
static void test_lost_batch(struct fixture *f, const void *data)
{
	g_autofree char *path = file_path(f, "index.sqlite");
	g_autoptr(GError) error = NULL;
	uint32_t epoch = open_folder(f, "a", 5);
	sqlite3 *db;

	commit(f);
	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), ==, SQLITE_OK);
	g_assert_cmpint(put(f, epoch, 1, 0), ==, INDEX_SAME);
	g_assert_cmpint(put(f, epoch, 2, 0), ==, INDEX_SAME);
	g_assert_false(index_commit(f->index, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	g_assert_false(index_is_damaged(f->index));
	sqlite3_close(db);
	g_assert_cmpint(put(f, epoch, 3, 0), ==, INDEX_NEW);
	assert_uids(f, epoch, "3 ");
}

#define ADD(name, function) g_test_add(name, struct fixture, NULL, setup, function, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/index/tree", test_tree);
	ADD("/index/empty-components", test_empty_components);
	ADD("/index/name-limits", test_name_limits);
	ADD("/index/bytes", test_bytes);
	ADD("/index/inbox", test_inbox);
	ADD("/index/separator-changes", test_separator_changes);
	ADD("/index/sweep", test_sweep);
	ADD("/index/sweep-keeps-parents", test_sweep_keeps_parents);
	ADD("/index/mtime", test_mtime);
	ADD("/index/many-folders", test_many_folders);
	ADD("/index/folders-resume", test_folders_resume);
	g_test_add_func("/index/ids", test_ids);
	ADD("/index/collisions", test_collisions);
	ADD("/index/epoch-collisions", test_epoch_collisions);
	ADD("/index/ids-are-stable", test_ids_are_stable);
	ADD("/index/open", test_open);
	ADD("/index/uidvalidity-changes", test_uidvalidity_changes);
	ADD("/index/put", test_put);
	ADD("/index/strings", test_strings);
	ADD("/index/size", test_size);
	ADD("/index/remove", test_remove);
	ADD("/index/keep", test_keep);
	ADD("/index/resume", test_resume);
	ADD("/index/nested", test_nested);
	ADD("/index/only-committed", test_only_committed);
	ADD("/index/threads", test_threads);
	ADD("/index/truncated", test_truncated);
	ADD("/index/garbage", test_garbage);
	ADD("/index/foreign", test_foreign);
	ADD("/index/damage-while-running", test_damage_while_running);
	ADD("/index/deleted-under-us", test_deleted_under_us);
	ADD("/index/lost-batch", test_lost_batch);
	g_test_add_func("/index/cannot-open", test_cannot_open);
	return g_test_run();
}
