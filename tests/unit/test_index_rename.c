/* Folders that get another name, or go, without a listing. */
#include "index_fixture.h"

#include "base/limits.h"

#include <sqlite3.h>

static bool rename_to(struct fixture *f, const char *path, const char *name)
{
	bool done = index_folder_rename(f->index, id_of(f, path), name, '/', NOW);

	commit(f);
	return done;
}

static void see(struct fixture *f, const char *const *names)
{
	for (; *names; names++)
		seen(f, *names);
	commit(f);
}

#define SEE(f, ...) see(f, (const char *const[]){__VA_ARGS__, NULL})

static void test_identity(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "a", 5);
	struct folder_row before;
	struct folder_row after;
	uint32_t old;

	SEE(f, "a/b");
	uint32_t below = index_folder_open(f->index, id_of(f, "a/b"), 6, NOW, &old);

	put(f, epoch, 1, 0);
	put(f, below, 2, 0);
	commit(f);
	uint32_t child = id_of(f, "a/b");

	find(f, "a", &before);
	int64_t root = mtime_of(f, INDEX_ROOT);

	g_assert_true(rename_to(f, "a", "z"));
	assert_tree(f, "z|b|z/b\n|z|z");
	find(f, "z", &after);
	g_assert_cmpuint(after.id, ==, before.id);
	g_assert_cmpuint(after.epoch, ==, epoch);
	g_assert_cmpuint(after.uidvalidity, ==, 5);
	g_assert_cmpstr(after.token, ==, before.token);
	g_assert_cmpint(after.mtime_ns, ==, before.mtime_ns); /* what is in it did not change */
	g_assert_cmpint(mtime_of(f, INDEX_ROOT), >, root);
	g_assert_cmpuint(id_of(f, "z/b"), ==, child);
	assert_uids(f, epoch, "1 ");
	assert_uids(f, below, "2 ");
	folder_row_clear(&before);
	folder_row_clear(&after);
	/* The old name is free for another folder, which is another. */
	g_assert_cmpuint(open_folder(f, "a", 5), !=, epoch);
	g_assert_cmpuint(id_of(f, "a"), !=, id_of(f, "z"));
}

static void test_parents(struct fixture *f, const void *data)
{
	SEE(f, "p/q/a", "p/q/a/b", "r");
	int64_t old_parent = mtime_of(f, id_of(f, "p"));
	int64_t new_parent = mtime_of(f, id_of(f, "r"));

	SEE(f, "p/x");
	old_parent = mtime_of(f, id_of(f, "p"));
	/* q was only made for a: gone; s is made */
	g_assert_true(rename_to(f, "p/q/a", "r/s/c"));
	assert_tree(f, "p|x|p/x\n"
		       "r/s/c|b|r/s/c/b\n"
		       "r/s|c|r/s/c\n"
		       "r|s|r/s (implied)\n"
		       "|p|p (implied)\n"
		       "|r|r");
	g_assert_cmpint(mtime_of(f, id_of(f, "p")), >, old_parent);
	g_assert_cmpint(mtime_of(f, id_of(f, "r")), >, new_parent);
	/* all the way up */
	g_assert_true(rename_to(f, "p/x", "y"));
	g_assert_true(rename_to(f, "r/s/c", "c"));
	assert_tree(f, "c|b|c/b\n|c|c\n|r|r\n|y|y");
	/* within one folder */
	new_parent = mtime_of(f, id_of(f, "c"));
	g_assert_true(rename_to(f, "c/b", "c/d"));
	g_assert_cmpint(mtime_of(f, id_of(f, "c")), >, new_parent);
	/* the same name: nothing happens */
	new_parent = mtime_of(f, id_of(f, "c"));
	g_assert_true(rename_to(f, "c/d", "c/d"));
	g_assert_cmpint(mtime_of(f, id_of(f, "c")), ==, new_parent);
	assert_tree(f, "c|d|c/d\n|c|c\n|r|r\n|y|y");
}

static void test_name_is_taken(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "z", 5);

	put(f, epoch, 1, 0);
	SEE(f, "a", "a/b", "a/c", "z/b", "z/b/e", "z/d");
	uint32_t id = id_of(f, "a");
	uint32_t child = id_of(f, "a/b");

	g_assert_true(rename_to(f, "a", "z"));
	assert_tree(f, "z/b|e|z/b/e\n"
		       "z|b|z/b\n"
		       "z|c|z/c\n"
		       "z|d|z/d\n"
		       "|z|z");
	g_assert_cmpuint(id_of(f, "z"), ==, id);
	g_assert_cmpuint(id_of(f, "z/b"), ==, child);
	g_assert_false(get(f, epoch, 1, &(struct message_row){0}));
}

static void test_to_its_parent(struct fixture *f, const void *data)
{
	SEE(f, "a", "a/b", "a/b/b", "a/b/x", "a/x", "a/y");
	uint32_t id = id_of(f, "a/b");
	uint32_t inner = id_of(f, "a/b/b");
	uint32_t x = id_of(f, "a/b/x");

	g_assert_true(rename_to(f, "a/b", "a"));
	assert_tree(f, "a|b|a/b\na|x|a/x\na|y|a/y\n|a|a");
	g_assert_cmpuint(id_of(f, "a"), ==, id);
	g_assert_cmpuint(id_of(f, "a/b"), ==, inner);
	g_assert_cmpuint(id_of(f, "a/x"), ==, x);
}

/* Folders whose separator is another stand where their own names say. */
static void test_separators(struct fixture *f, const void *data)
{
	SEE(f, "x", "x/y", "xy/z", "x/");
	index_folder_seen(f->index, "x.v", '.', 0, NOW);
	commit(f);
	uint32_t id = id_of(f, "x");

	g_assert_true(rename_to(f, "x", "n"));
	assert_tree(f, "n|y|n/y\n"
		       "xy|z|xy/z\n"
		       "x|v|x.v\n"
		       "|n|n\n"
		       "|x/|x/\n"
		       "|xy|xy (implied)\n"
		       "|x|x (implied)");
	g_assert_cmpuint(id_of(f, "n"), ==, id);
	/* no separator: nothing is below it */
	g_assert_true(index_folder_rename(f->index, id, "m/o", 0, NOW));
	commit(f);
	assert_tree(f, "n|y|n/y\n"
		       "xy|z|xy/z\n"
		       "x|v|x.v\n"
		       "|m/o|m/o\n"
		       "|n|n (implied)\n"
		       "|x/|x/\n"
		       "|xy|xy (implied)\n"
		       "|x|x (implied)");
}

static void test_inbox(struct fixture *f, const void *data)
{
	static const char tree[] = "Inbox|b|Inbox/b\n|Inbox|Inbox\n|a|a";

	SEE(f, "Inbox", "Inbox/b", "a");
	g_assert_false(rename_to(f, "Inbox", "c"));
	g_assert_false(rename_to(f, "a", "INBOX"));
	g_assert_false(rename_to(f, "Inbox", "INBOX/c"));
	assert_tree(f, tree);
	g_assert_true(rename_to(f, "Inbox", "INBOX")); /* the same, spelt anew */
	assert_tree(f, "INBOX|b|INBOX/b\n|INBOX|INBOX\n|a|a");
	g_assert_true(rename_to(f, "a", "inbox/a"));
	g_assert_true(rename_to(f, "INBOX/b", "b"));
	assert_tree(f, "INBOX|a|inbox/a\n|INBOX|INBOX\n|b|b");
}

static void test_refused(struct fixture *f, const void *data)
{
	g_autofree char *longest = g_strnfill(LIMIT_MAILBOX_NAME - 2, 'n');
	g_autofree char *long_below = g_strnfill(LIMIT_MAILBOX_NAME - 1, 'n');
	g_autofree char *deep = g_strnfill(2 * LIMIT_FOLDER_DEPTH - 1, 'd');

	for (unsigned i = 1; i < 2 * LIMIT_FOLDER_DEPTH - 1; i += 2)
		deep[i] = '/';
	SEE(f, "a/b");
	g_assert_false(rename_to(f, "a", ""));
	g_assert_false(rename_to(f, "a", "a/c"));
	g_assert_false(rename_to(f, "a", long_below)); /* its child's would be too long */
	g_assert_false(rename_to(f, "a", deep));
	g_assert_false(index_folder_rename(f->index, id_of(f, "a") + 1, "c", '/', NOW));
	g_assert_false(index_folder_rename(f->index, INDEX_ROOT, "c", '/', NOW));
	commit(f);
	assert_tree(f, "a|b|a/b\n|a|a (implied)");
	g_assert_true(rename_to(f, "a", longest)); /* its child's just fits */
}

static void note_gone(void *data, const struct folder_row *row)
{
	++*(unsigned *)data;
}

/* In the middle of a listing. */
static void test_sweep(struct fixture *f, const void *data)
{
	unsigned gone = 0;

	SEE(f, "a/b", "c");
	index_folders_sweep(f->index, NOW, NULL, NULL);
	SEE(f, "a/b", "c");
	g_assert_true(rename_to(f, "a", "new/a"));
	g_assert_true(rename_to(f, "c", "other/c"));
	index_folders_sweep(f->index, NOW, note_gone, &gone);
	commit(f);
	g_assert_cmpuint(gone, ==, 0);
	assert_tree(f, "new/a|b|new/a/b\n"
		       "new|a|new/a (implied)\n"
		       "other|c|other/c\n"
		       "|new|new (implied)\n"
		       "|other|other (implied)");
}

static void test_remove(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "a", 5);
	uint64_t bytes;
	uint64_t messages;
	struct folder_row row;

	put(f, epoch, 1, 0);
	SEE(f, "a/b", "p/q/r");
	/* it has a child: it stays without its messages */
	index_folder_remove(f->index, id_of(f, "a"), NOW);
	commit(f);
	assert_tree(f, "a|b|a/b\np/q|r|p/q/r\np|q|p/q (implied)\n|a|a (implied)\n|p|p (implied)");
	find(f, "a", &row);
	g_assert_cmpuint(row.epoch, ==, 0);
	g_assert_cmpuint(row.uidvalidity, ==, 0);
	g_assert_cmpuint(row.messages, ==, 0);
	g_assert_cmpuint(row.uidnext, ==, 1);
	g_assert_false(row.synced);
	g_assert_cmpstr(row.token, ==, "");
	folder_row_clear(&row);
	g_assert_false(get(f, epoch, 1, &(struct message_row){0}));
	int64_t root = mtime_of(f, INDEX_ROOT);

	index_folder_remove(f->index, id_of(f, "a/b"), NOW);
	index_folder_remove(f->index, id_of(f, "p/q/r"), NOW);
	index_folder_remove(f->index, INDEX_ROOT, NOW);
	index_folder_remove(f->index, 12345, NOW);
	commit(f);
	assert_tree(f, "");
	g_assert_cmpint(mtime_of(f, INDEX_ROOT), >, root);
	index_totals(f->view, &bytes, &messages);
	g_assert_cmpuint(messages, ==, 0);
	/* it can come back */
	epoch = open_folder(f, "a", 5);
	put(f, epoch, 1, 0);
	assert_uids(f, epoch, "1 ");
	index_folder_remove(f->index, id_of(f, "a"), NOW);
	commit(f);
	assert_tree(f, "");
	index_totals(f->view, &bytes, &messages);
	g_assert_cmpuint(messages + bytes, ==, 0);
}

static char *random_name(void)
{
	static const char *const parts[] = {"a", "b", "INBOX", "inbox", "c/", "/"};
	g_autoptr(GString) name = g_string_new(parts[g_test_rand_int_range(0, 6)]);

	for (int n = g_test_rand_int_range(0, 4); n > 0; n--)
		g_string_append_printf(name, "%c%s", g_test_rand_bit() ? '/' : '.',
				       parts[g_test_rand_int_range(0, 6)]);
	return g_strdup(name->str);
}

static unsigned rows(struct fixture *f)
{
	g_autofree char *path = g_build_filename(f->dir, "index.sqlite", NULL);
	sqlite3 *db;
	sqlite3_stmt *count;

	commit(f);
	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_prepare_v2(db, "SELECT count(*) - 1 FROM folder", -1, &count, NULL),
			==, SQLITE_OK);
	g_assert_cmpint(sqlite3_step(count), ==, SQLITE_ROW);
	unsigned n = (unsigned)sqlite3_column_int(count, 0);

	sqlite3_finalize(count);
	sqlite3_close(db);
	return n;
}

static bool note_id(void *data, const struct folder_row *row)
{
	g_array_append_val((GArray *)data, row->id);
	return true;
}

/* All that can be reached from the root. */
static GArray *all_ids(struct fixture *f)
{
	GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	index_folders_each(f->view, INDEX_ROOT, 0, note_id, ids);
	for (guint i = 0; i < ids->len; i++)
		index_folders_each(f->view, g_array_index(ids, uint32_t, i), 0, note_id, ids);
	return ids;
}

static void act_at_random(struct fixture *f, const GArray *ids)
{
	static const char separators[] = {'/', '/', '.', 0};
	g_autofree char *name = random_name();
	char separator = separators[g_test_rand_int_range(0, 4)];
	int action = ids->len ? g_test_rand_int_range(0, 8) : 0;
	uint32_t id =
		ids->len ? g_array_index(ids, uint32_t, g_test_rand_int_range(0, (int)ids->len))
			 : 0;

	if (action < 3)
		index_folder_seen(f->index, name, separator, 0, NOW);
	else if (action < 6)
		index_folder_rename(f->index, id, name, separator, NOW);
	else if (action < 7)
		index_folder_remove(f->index, id, NOW);
	else if (g_test_rand_int_range(0, 10) == 0)
		index_folders_sweep(f->index, NOW, NULL, NULL);
}

/* Whatever happens, no row is out of reach, and no name taken twice. */
static void test_random(struct fixture *f, const void *data)
{
	for (unsigned i = 0; i < 1000; i++) {
		g_autoptr(GArray) ids = all_ids(f);

		act_at_random(f, ids);
		commit(f);
		g_autoptr(GArray) now = all_ids(f);

		g_assert_cmpuint(rows(f), ==, now->len);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/index-rename/identity", test_identity);
	ADD("/index-rename/parents", test_parents);
	ADD("/index-rename/name-is-taken", test_name_is_taken);
	ADD("/index-rename/to-its-parent", test_to_its_parent);
	ADD("/index-rename/separators", test_separators);
	ADD("/index-rename/inbox", test_inbox);
	ADD("/index-rename/refused", test_refused);
	ADD("/index-rename/sweep", test_sweep);
	ADD("/index-rename/remove", test_remove);
	ADD("/index-rename/random", test_random);
	return g_test_run();
}
