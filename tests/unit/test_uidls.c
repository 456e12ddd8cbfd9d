/* The numbers of a maildrop's messages. */
#include "cache/uidls.h"

#include "index_fixture.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the database's log held when it was last synced. */
static struct {
	unsigned times;
	int64_t bytes;
} log_synced;

/* In place of that of the C library, for all that is linked here. */
int fdatasync(int fd)
{
	g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
	g_autofree char *path = g_file_read_link(link, NULL);
	struct stat st;

	if (path && g_str_has_suffix(path, "-wal") && fstat(fd, &st) == 0) {
		log_synced.times++;
		log_synced.bytes = st.st_size;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

static uint32_t add(struct fixture *f, const char *uidl)
{
	return uidls_add(f->index, uidl, 100, "");
}

static void reopen(struct fixture *f)
{
	fixture_close(f);
	fixture_open(f, "test");
}

static void assert_row(struct fixture *f, uint32_t number, const char *uidl, uint64_t size,
		       const char *hash)
{
	struct uidl_row row = {0};

	g_assert_true(uidls_get(f->index, number, &row));
	g_assert_cmpuint(row.number, ==, number);
	g_assert_cmpstr(row.uidl, ==, uidl);
	g_assert_cmpuint(row.size, ==, size);
	g_assert_cmpstr(row.hash, ==, hash);
	g_free(row.uidl);
	g_free(row.hash);
}

static void assert_all(struct fixture *f, const char *expected)
{
	g_autoptr(GPtrArray) rows = uidls_all(f->index);
	g_autoptr(GString) text = g_string_new(NULL);

	g_assert_nonnull(rows);
	for (unsigned i = 0; i < rows->len; i++) {
		const struct uidl_row *row = g_ptr_array_index(rows, i);

		g_string_append_printf(text, "%u=%s ", row->number, row->uidl);
	}
	g_assert_cmpstr(text->str, ==, expected);
}

static void test_given_once(struct fixture *f, const void *data)
{
	g_assert_cmpuint(uidls_next(f->index), ==, 1);
	g_assert_cmpuint(add(f, "a"), ==, 1);
	g_assert_cmpuint(add(f, "b"), ==, 2);
	g_assert_cmpuint(add(f, "c"), ==, 3);
	g_assert_cmpuint(uidls_next(f->index), ==, 4);
	uidls_forget(f->index, 2);
	uidls_forget(f->index, 3);
	assert_all(f, "1=a ");
	commit(f);
	reopen(f);
	g_assert_cmpuint(uidls_next(f->index), ==, 4);
	g_assert_cmpuint(add(f, "c"), ==, 4);
	for (uint32_t number = 1; number <= 4; number++)
		uidls_forget(f->index, number);
	commit(f);
	reopen(f);
	assert_all(f, "");
	g_assert_cmpuint(uidls_next(f->index), ==, 5);
}

static void test_rows(struct fixture *f, const void *data)
{
	static const char odd[] = "'; DROP TABLE uidl; --/../\xff\xfe %s";
	struct uidl_row row = {.number = 7, .uidl = (char *)"untouched"};

	g_assert_cmpuint(uidls_add(f->index, odd, UINT64_MAX, "0f"), ==, 1);
	g_assert_cmpuint(uidls_add(f->index, "", 0, ""), ==, 2);
	g_assert_cmpuint(uidls_add(f->index, "", 0, ""), ==, 3);
	commit(f);
	reopen(f);
	assert_row(f, 1, odd, UINT64_MAX, "0f");
	assert_row(f, 2, "", 0, "");
	assert_row(f, 3, "", 0, "");
	g_assert_false(uidls_get(f->index, 4, &row));
	g_assert_false(uidls_get(f->index, 0, &row));
	g_assert_cmpstr(row.uidl, ==, "untouched");
}

static void test_set(struct fixture *f, const void *data)
{
	struct uidl_row row = {.uidl = (char *)"b", .size = 200, .hash = (char *)"1234"};

	add(f, "a");
	add(f, "z");
	row.number = 1;
	uidls_set(f->index, &row);
	row.number = 9;
	uidls_set(f->index, &row);
	commit(f);
	assert_row(f, 1, "b", 200, "1234");
	assert_all(f, "1=b 2=z ");
}

/* What was not committed was never given. */
static void test_lost(struct fixture *f, const void *data)
{
	add(f, "a");
	commit(f);
	add(f, "b");
	reopen(f);
	assert_all(f, "1=a ");
	g_assert_cmpuint(uidls_next(f->index), ==, 2);
}

static int64_t log_bytes(const struct fixture *f)
{
	g_autofree char *path = g_build_filename(f->dir, "index.sqlite-wal", NULL);
	struct stat st;

	g_assert_cmpint(stat(path, &st), ==, 0);
	return st.st_size;
}

/* What was given survives a power failure; all else may be told anew. */
static void test_synced(struct fixture *f, const void *data)
{
	struct uidl_row row = {.number = 1, .uidl = (char *)"b", .hash = (char *)""};

	add(f, "a");
	commit(f);
	log_synced.times = 0;
	uidls_set(f->index, &row);
	commit(f);
	uidls_forget(f->index, 1);
	commit(f);
	g_assert_cmpuint(log_synced.times, ==, 0);
	add(f, "c");
	add(f, "d");
	g_assert_cmpuint(log_synced.times, ==, 0);
	commit(f);
	g_assert_cmpuint(log_synced.times, ==, 1);
	g_assert_cmpint(log_synced.bytes, ==, log_bytes(f));
	commit(f);
	g_assert_cmpuint(log_synced.times, ==, 1);
}

static void other_sql(struct fixture *f, const char *sql)
{
	g_autofree char *path = g_build_filename(f->dir, "index.sqlite", NULL);
	sqlite3 *db;

	fixture_close(f);
	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
	sqlite3_close(db);
}

/* Above that there is no UID. */
static void test_last(struct fixture *f, const void *data)
{
	add(f, "a");
	commit(f);
	other_sql(f, "UPDATE sqlite_sequence SET seq = 4294967292 WHERE name = 'uidl'");
	fixture_open(f, "test");
	g_assert_cmpuint(add(f, "b"), ==, UINT32_MAX - 2);
	g_assert_cmpuint(add(f, "c"), ==, UINT32_MAX - 1);
	g_assert_cmpuint(add(f, "d"), ==, 0);
	g_assert_cmpuint(uidls_next(f->index), ==, 0);
	commit(f);
	assert_all(f, "1=a 4294967293=b 4294967294=c ");
}

/* Numbers that begin anew are those of another UIDVALIDITY. */
static void test_validity(struct fixture *f, const void *data)
{
	uint32_t first = uidls_validity(f->index);
	uint32_t second;

	g_assert_cmpuint(first, >, 0);
	g_assert_cmpuint(uidls_validity(f->index), ==, first);
	commit(f);
	reopen(f);
	g_assert_cmpuint(uidls_validity(f->index), ==, first);
	add(f, "a");
	commit(f);
	other_sql(f, "DROP TABLE uidl; PRAGMA user_version = 2");
	fixture_open(f, "test");
	assert_all(f, "");
	g_assert_cmpuint(uidls_next(f->index), ==, 1);
	second = uidls_validity(f->index);
	g_assert_cmpuint(second, >, 0);
	g_assert_cmpuint(second, !=, first);
}

static void test_older_copy(struct fixture *f, const void *data)
{
	uint32_t first;

	add(f, "a");
	add(f, "b");
	uidls_forget(f->index, 2);
	first = uidls_validity(f->index);
	uidls_spoken_of(f->index, 0);
	uidls_spoken_of(f->index, 2);
	g_assert_cmpuint(uidls_validity(f->index), ==, first);
	uidls_spoken_of(f->index, 3);
	g_assert_cmpuint(uidls_validity(f->index), !=, first);
}

static void test_table_missing(struct fixture *f, const void *data)
{
	add(f, "a");
	commit(f);
	other_sql(f, "DROP TABLE uidl");
	fixture_open(f, "test");
	assert_all(f, "");
	g_assert_cmpuint(add(f, "b"), ==, 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/uidls/given-once", test_given_once);
	ADD("/uidls/rows", test_rows);
	ADD("/uidls/set", test_set);
	ADD("/uidls/lost", test_lost);
	ADD("/uidls/synced", test_synced);
	ADD("/uidls/last", test_last);
	ADD("/uidls/validity", test_validity);
	ADD("/uidls/older-copy", test_older_copy);
	ADD("/uidls/table-missing", test_table_missing);
	return g_test_run();
}
