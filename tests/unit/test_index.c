#include "index_fixture.h"

#include "base/limits.h"
#include "cache/ids.h"

#include <unistd.h>

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

static bool note_name(void *data, const struct folder_row *row)
{
	g_string_append_printf(data, "%s ", row->name);
	return true;
}

/* INBOX, then those that changed last; those alone that can be compared by numbers. */
static void test_latest(struct fixture *f, const void *data)
{
	static const char *const names[] = {"old", "inBOX", "new", "plain", "never"};
	uint32_t unused;

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		struct folder_row row;

		index_folder_seen(f->index, names[i], '/', 0, 1000);
		g_assert_true(index_folder_write_find(f->index, names[i], &row));
		g_assert_cmpstr(row.name, ==, names[i]);
		if (i < 4) {
			index_folder_open(f->index, row.id, 7, 1000, &unused);
			index_folder_refreshed(f->index, row.id, 2, i < 3 ? 9 : 0);
			index_folder_touch(f->index, row.id, (int64_t)(100000 * (i + 1)));
		}
		folder_row_clear(&row);
	}
	for (unsigned max = 0; max <= 4; max++) {
		static const char *const expected[] = {"", "inBOX ", "inBOX new ", "inBOX new old ",
						       "inBOX new old "};
		g_autoptr(GString) found = g_string_new(NULL);

		commit(f);
		index_folders_latest(f->view, max, note_name, found);
		g_assert_cmpstr(found->str, ==, expected[max]);
	}
	struct folder_row row;

	g_assert_false(index_folder_write_find(f->index, "other", &row));
	g_assert_true(index_folder_write_find(f->index, "INBOX", &row));
	folder_row_clear(&row);
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

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/index/tree", test_tree);
	ADD("/index/empty-components", test_empty_components);
	ADD("/index/name-limits", test_name_limits);
	ADD("/index/bytes", test_bytes);
	ADD("/index/inbox", test_inbox);
	ADD("/index/separator-changes", test_separator_changes);
	ADD("/index/latest", test_latest);
	ADD("/index/sweep", test_sweep);
	ADD("/index/sweep-keeps-parents", test_sweep_keeps_parents);
	ADD("/index/mtime", test_mtime);
	ADD("/index/many-folders", test_many_folders);
	ADD("/index/folders-resume", test_folders_resume);
	g_test_add_func("/index/ids", test_ids);
	ADD("/index/collisions", test_collisions);
	ADD("/index/epoch-collisions", test_epoch_collisions);
	ADD("/index/ids-are-stable", test_ids_are_stable);
	return g_test_run();
}
