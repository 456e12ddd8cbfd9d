/* What the tests of the index share: one database in a directory of its own, and a view of it. */
#pragma once

#include "cache/index.h"

#include "base/error.h"
#include "base/file.h"

#include <inttypes.h>
#include <string.h>

#define IMPLIED 5u /* NOSELECT | NONEXISTENT */
#define NOW INT64_C(1700000000000000000)

struct fixture {
	char *dir;
	struct index *index;
	struct index_view *view;
};

static inline void fixture_open(struct fixture *f, const char *account)
{
	GError *error = NULL;

	f->index = index_open(f->dir, account, &error);
	g_assert_no_error(error);
	f->view = index_view_new(f->index, &error);
	g_assert_no_error(error);
}

static inline void fixture_close(struct fixture *f)
{
	index_view_free(&f->view);
	index_close(&f->index);
}

static inline void setup(struct fixture *f, const void *data)
{
	f->dir = g_dir_make_tmp("index-XXXXXX", NULL);
	g_assert_nonnull(f->dir);
	fixture_open(f, "test");
}

static inline void teardown(struct fixture *f, const void *data)
{
	fixture_close(f);
	g_assert_true(file_remove_tree(f->dir, NULL));
	g_free(f->dir);
}

static inline void commit(struct fixture *f)
{
	GError *error = NULL;

	index_commit(f->index, &error);
	g_assert_no_error(error);
}

static inline bool seen(struct fixture *f, const char *name)
{
	return index_folder_seen(f->index, name, '/', 0, NOW);
}

/* --- helpers on folders --- */

static inline bool folder_line(void *data, const struct folder_row *row);

struct printer {
	struct fixture *f;
	GPtrArray *lines;
};

static inline void tree_print(struct printer *printer, uint32_t parent)
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

static inline bool folder_line(void *data, const struct folder_row *row)
{
	GArray *ids = data;

	if (ids->len > 0)
		g_assert_cmpuint(g_array_index(ids, uint32_t, ids->len - 1), <, row->id);
	g_array_append_val(ids, row->id);
	return true;
}

static inline int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every folder as "parent|leaf|name", sorted. */
static inline void assert_tree(struct fixture *f, const char *expected)
{
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
	struct printer printer = {f, lines};

	tree_print(&printer, INDEX_ROOT);
	g_ptr_array_sort(lines, compare_lines);
	g_ptr_array_add(lines, NULL);
	g_autofree char *text = g_strjoinv("\n", (char **)lines->pdata);

	g_assert_cmpstr(text, ==, expected);
}

static inline void find(struct fixture *f, const char *path, struct folder_row *ret)
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

static inline uint32_t id_of(struct fixture *f, const char *path)
{
	struct folder_row row;

	find(f, path, &row);
	folder_row_clear(&row);
	return row.id;
}

static inline int64_t mtime_of(struct fixture *f, uint32_t id)
{
	struct folder_row row;

	g_assert_true(index_folder_get(f->view, id, &row));
	folder_row_clear(&row);
	return row.mtime_ns;
}

static inline uint32_t open_folder(struct fixture *f, const char *name, uint64_t uidvalidity)
{
	uint32_t old;

	seen(f, name);
	commit(f);
	return index_folder_open(f->index, id_of(f, name), uidvalidity, NOW, &old);
}

static inline enum index_change put(struct fixture *f, uint32_t epoch, uint32_t uid, unsigned flags)
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

static inline bool copy_message(void *data, const struct message_row *row)
{
	*(struct message_row *)data = *row;
	return true;
}

static inline bool get(struct fixture *f, uint32_t epoch, uint32_t uid, struct message_row *ret)
{
	return index_message_get(f->view, epoch, uid, copy_message, ret);
}

static inline bool count_messages(void *data, const struct message_row *row)
{
	(*(unsigned *)data)++;
	return true;
}

static inline bool add_uid(void *data, const struct message_row *row)
{
	g_string_append_printf(data, "%" PRIu32 " ", row->uid);
	return row->uid != 7;
}

static inline void assert_uids(struct fixture *f, uint32_t epoch, const char *expected)
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

#define ADD(name, function) g_test_add(name, struct fixture, NULL, setup, function, teardown)
