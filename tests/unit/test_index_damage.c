#include "index_fixture.h"

#include "base/log.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

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

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/index-damage/truncated", test_truncated);
	ADD("/index-damage/garbage", test_garbage);
	ADD("/index-damage/foreign", test_foreign);
	ADD("/index-damage/damage-while-running", test_damage_while_running);
	ADD("/index-damage/deleted-under-us", test_deleted_under_us);
	ADD("/index-damage/lost-batch", test_lost_batch);
	g_test_add_func("/index-damage/cannot-open", test_cannot_open);
	return g_test_run();
}
