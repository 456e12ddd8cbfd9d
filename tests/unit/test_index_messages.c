#include "index_fixture.h"

#include "base/limits.h"
#include "cache/index_sql.h"

#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

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

/* \Deleted came or went: told apart from other changes, and listed by itself. */
static void test_deleted(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "a", 5);
	uint32_t other = open_folder(f, "b", 5);
	g_autoptr(GString) uids = g_string_new(NULL);
	struct message_row row;
	struct seqset set = {0};

	for (uint32_t uid = 1; uid <= 9; uid++)
		put(f, epoch, uid, uid % 2 ? 8 | 1 : 7);
	put(f, other, 2, 8);
	commit(f);
	g_assert_cmpuint(index_deleted_count(f->view, epoch), ==, 5);
	g_assert_cmpuint(index_deleted_count(f->view, other), ==, 1);
	g_assert_cmpuint(index_deleted_count(f->view, other + 1), ==, 0);
	index_deleted_each(f->view, epoch, 0, add_uid, uids); /* stops at 7 */
	index_deleted_each(f->view, epoch, 7, add_uid, uids);
	index_deleted_each(f->view, epoch, 9, add_uid, uids);
	g_assert_cmpstr(uids->str, ==, "1 3 5 7 9 ");

	g_assert_cmpint(put(f, epoch, 2, 7), ==, INDEX_SAME);
	g_assert_cmpint(put(f, epoch, 2, 6), ==, INDEX_CHANGED);
	g_assert_cmpint(put(f, epoch, 2, 8 | 6), ==, INDEX_SHIFTED);
	g_assert_cmpint(put(f, epoch, 2, 8 | 6), ==, INDEX_SAME);
	g_assert_cmpint(put(f, epoch, 3, 1), ==, INDEX_SHIFTED);
	g_assert_cmpint(index_message_flags(f->index, epoch, 1, 8, "a", NOW + 5), ==,
			INDEX_CHANGED);
	g_assert_cmpint(index_message_flags(f->index, epoch, 1, 0, "b", NOW + 6), ==,
			INDEX_SHIFTED);
	g_assert_cmpint(index_message_flags(f->index, epoch, 99, 8, "", NOW), ==, INDEX_SAME);
	seqset_add(&set, 5, 6);
	index_messages_remove(f->index, epoch, &set, NULL, NULL);
	seqset_clear(&set);
	commit(f);
	g_assert_true(get(f, epoch, 1, &row));
	g_assert_cmpint(row.ctime_ns, ==, NOW + 6);
	g_assert_cmpuint(index_deleted_count(f->view, epoch), ==, 3);
	g_string_truncate(uids, 0);
	index_deleted_each(f->view, epoch, 0, add_uid, uids);
	index_deleted_each(f->view, epoch, 7, add_uid, uids);
	g_assert_cmpstr(uids->str, ==, "2 7 9 ");
}

static void test_deleted_by_index(struct fixture *f, const void *data)
{
	g_autofree char *path = g_build_filename(f->dir, "index.sqlite", NULL);
	g_autofree char *sql =
		g_strconcat("EXPLAIN QUERY PLAN ", index_sql_text[SQL_DELETED_EACH], NULL);
	sqlite3 *db;
	sqlite3_stmt *plan;

	fixture_close(f);
	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_prepare_v2(db, sql, -1, &plan, NULL), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_step(plan), ==, SQLITE_ROW);
	g_assert_cmpstr((const char *)sqlite3_column_text(plan, 3), ==,
			"SEARCH message USING INDEX message_deleted (epoch=? AND uid>?)");
	g_assert_cmpint(sqlite3_step(plan), ==, SQLITE_DONE); /* nor sorted */
	sqlite3_finalize(plan);
	sqlite3_close(db);
	fixture_open(f, "test");
}

static bool copy_line(void *data, const struct message_row *row)
{
	g_string_printf(data, "%" PRIu32 " %" PRIu64 "/%" PRIu64 "%s %" PRIi64 " %u '%s' %s",
			row->uid, row->size, row->size_hint, row->exact ? "!" : "", row->date_s,
			row->flags, row->keywords, row->label);
	return true;
}

static void test_copy(struct fixture *f, const void *data)
{
	uint32_t from = open_folder(f, "a", 5);
	uint32_t to = open_folder(f, "b", 5);
	g_autoptr(GString) line = g_string_new(NULL);
	struct message_row row;

	put(f, from, 1, 1);
	put(f, from, 2, 8);
	index_message_size(f->index, from, 1, 300);
	index_message_flags(f->index, from, 1, 3, "$Work", NOW);
	g_assert_cmpint(index_message_copy(f->index, from, 1, to, 7, 1, NOW + 1), ==, INDEX_NEW);
	g_assert_cmpint(index_message_copy(f->index, from, 2, to, 7, 1, NOW + 1), ==, INDEX_SAME);
	g_assert_cmpint(index_message_copy(f->index, from, 3, to, 8, 1, NOW + 1), ==, INDEX_SAME);
	g_assert_cmpint(index_message_copy(f->index, from, 1, to, 0, 1, NOW + 1), ==, INDEX_SAME);
	g_assert_cmpint(index_message_copy(f->index, from, 1, 0, 8, 1, NOW + 1), ==, INDEX_SAME);
	g_assert_cmpint(index_message_copy(f->index, from, 2, from, 9, 8, NOW), ==, INDEX_NEW);
	commit(f);
	g_assert_true(index_message_get(f->view, to, 7, copy_line, line));
	g_assert_cmpstr(line->str, ==, "7 300/100! 1001 1 '$Work' Lunch");
	g_assert_true(get(f, to, 7, &row));
	g_assert_cmpint(row.ctime_ns, ==, NOW + 1);
	g_assert_true(index_message_get(f->view, from, 1, copy_line, line));
	g_assert_cmpstr(line->str, ==, "1 300/100! 1001 3 '$Work' Lunch");
	g_assert_cmpuint(index_deleted_count(f->view, from), ==, 2);
	assert_uids(f, to, "7 ");
	assert_uids(f, from, "1 2 9 ");
	assert_totals(f, 300 + 300 + 100 + 100, 4);
}

static void test_sizes_trust(struct fixture *f, const void *data)
{
	static const enum sizes_trust all[] = {SIZES_TRUE, SIZES_LIE, SIZES_UNPROVEN, SIZES_TRUE};

	g_assert_cmpint(index_sizes_get(f->index), ==, SIZES_UNPROVEN);
	for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
		index_sizes_set(f->index, all[i]);
		g_assert_cmpint(index_sizes_get(f->index), ==, all[i]);
		commit(f);
		fixture_close(f);
		fixture_open(f, "test");
		g_assert_cmpint(index_sizes_get(f->index), ==, all[i]);
	}
	index_sizes_set(f->index, SIZES_LIE);
	fixture_close(f); /* not committed */
	fixture_open(f, "test");
	g_assert_cmpint(index_sizes_get(f->index), ==, SIZES_TRUE);
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

/* So that nobody has to make two million. */
static void set_messages(struct fixture *f, uint32_t epoch, unsigned messages)
{
	g_autofree char *path = g_build_filename(f->dir, "index.sqlite", NULL);
	g_autofree char *sql = g_strdup_printf(
		"UPDATE folder SET messages = %u WHERE epoch = %" PRIu32, messages, epoch);
	sqlite3 *db;

	fixture_close(f);
	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
	sqlite3_close(db);
	fixture_open(f, "test");
}

static void test_limit(struct fixture *f, const void *data)
{
	uint32_t epoch = open_folder(f, "a", 5);
	uint32_t other = open_folder(f, "b", 5);
	uint32_t highest;

	commit(f);
	set_messages(f, epoch, LIMIT_MESSAGES - 2);
	g_assert_cmpint(put(f, epoch, 1, 0), ==, INDEX_NEW);
	g_assert_cmpint(put(f, other, 1, 0), ==, INDEX_NEW);
	g_assert_cmpint(put(f, epoch, 2, 0), ==, INDEX_NEW);
	g_assert_cmpint(put(f, epoch, 3, 0), ==, INDEX_SAME);
	g_assert_cmpint(put(f, epoch, 2, 1), ==, INDEX_CHANGED);
	g_assert_cmpint(put(f, other, 2, 0), ==, INDEX_NEW);
	g_assert_cmpint(put(f, epoch, 3, 0), ==, INDEX_SAME);
	g_assert_cmpint(index_message_copy(f->index, other, 1, epoch, 3, 0, NOW), ==, INDEX_SAME);
	commit(f);
	g_assert_cmpuint(index_messages_count(f->index, epoch, &highest), ==, LIMIT_MESSAGES);
	g_assert_cmpuint(highest, ==, 2);

	struct seqset gone = {0};

	seqset_add(&gone, 1, 1);
	g_assert_cmpuint(index_messages_remove(f->index, epoch, &gone, NULL, NULL), ==, 1);
	seqset_clear(&gone);
	g_assert_cmpint(put(f, epoch, 3, 0), ==, INDEX_NEW);
	g_assert_cmpint(put(f, epoch, 4, 0), ==, INDEX_SAME);
	/* A new epoch begins with none, and the old one too if it comes back. */
	for (uint64_t uidvalidity = 6; uidvalidity >= 5; uidvalidity--) {
		uint32_t old;
		uint32_t next = index_folder_open(f->index, id_of(f, "a"), uidvalidity, NOW, &old);

		if (uidvalidity == 5)
			g_assert_cmpint(put(f, next, 4, 0), ==, INDEX_NEW);
	}
	commit(f);
}

/* Many that go: told and removed in pieces, each of which can be committed. */
struct pieces {
	struct fixture *f;
	uint32_t epoch;
	uint32_t told, since, pauses;
};

static void note_piece(void *data, uint32_t uid, const char *label)
{
	struct pieces *pieces = data;
	uint32_t highest;

	if (uid != 0) {
		g_assert_cmpuint(uid, ==, ++pieces->told);
		g_assert_cmpuint(++pieces->since, <=, 2 * INDEX_PIECE);
		return;
	}
	pieces->pauses++;
	pieces->since = 0;
	commit(pieces->f);
	g_assert_cmpuint(index_messages_count(pieces->f->index, pieces->epoch, &highest), ==,
			 3 * INDEX_PIECE + 1 - pieces->told);
}

static void test_pieces(struct fixture *f, const void *data)
{
	const uint32_t n = 3 * INDEX_PIECE + 1;
	struct pieces pieces = {.f = f};
	struct seqset kept = {0};
	uint32_t old;

	seen(f, "INBOX");
	struct folder_row row;

	g_assert_true(index_inbox(f->view, &row) || (commit(f), index_inbox(f->view, &row)));
	pieces.epoch = index_folder_open(f->index, row.id, 1, NOW, &old);
	folder_row_clear(&row);
	for (uint32_t uid = 1; uid <= n; uid++)
		index_message_put(f->index, pieces.epoch,
				  &(struct message_row){.uid = uid, .keywords = "", .label = "x"},
				  NOW);
	commit(f);
	g_assert_cmpuint(
		index_messages_keep(f->index, pieces.epoch, &kept, UINT32_MAX, note_piece, &pieces),
		==, n);
	g_assert_cmpuint(pieces.told, ==, n);
	g_assert_cmpuint(pieces.pauses, ==, 3);
	seqset_clear(&kept);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/index-messages/open", test_open);
	ADD("/index-messages/uidvalidity-changes", test_uidvalidity_changes);
	ADD("/index-messages/put", test_put);
	ADD("/index-messages/strings", test_strings);
	ADD("/index-messages/size", test_size);
	ADD("/index-messages/remove", test_remove);
	ADD("/index-messages/keep", test_keep);
	ADD("/index-messages/limit", test_limit);
	ADD("/index-messages/deleted", test_deleted);
	ADD("/index-messages/deleted-by-index", test_deleted_by_index);
	ADD("/index-messages/copy", test_copy);
	ADD("/index-messages/sizes-trust", test_sizes_trust);
	ADD("/index-messages/resume", test_resume);
	ADD("/index-messages/nested", test_nested);
	ADD("/index-messages/only-committed", test_only_committed);
	ADD("/index-messages/threads", test_threads);
	g_test_add("/index-messages/pieces", struct fixture, NULL, setup, test_pieces, teardown);
	return g_test_run();
}
