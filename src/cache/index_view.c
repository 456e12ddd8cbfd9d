/* What readers ask of the index. */
#include "base/log.h"
#include "cache/index_private.h"

static sqlite3_stmt *view_statement(struct index_view *view, enum index_sql which)
{
	if (atomic_load(&view->db.index->damaged))
		return NULL;
	return index_db_statement(&view->db, which);
}

static bool folder_by_number(struct index_view *view, enum index_sql which, uint32_t number,
			     struct folder_row *ret)
{
	sqlite3_stmt *get = view_statement(view, which);

	if (!get)
		return false;
	INDEX_BIND(get, number);
	return index_folder_take(&view->db, get, ret);
}

bool index_folder_get(struct index_view *view, uint32_t id, struct folder_row *ret)
{
	return folder_by_number(view, SQL_FOLDER_GET, id, ret);
}

bool index_folder_by_epoch(struct index_view *view, uint32_t epoch, struct folder_row *ret)
{
	return folder_by_number(view, SQL_FOLDER_BY_EPOCH, epoch, ret);
}

bool index_folder_child(struct index_view *view, uint32_t parent, const char *leaf,
			struct folder_row *ret)
{
	sqlite3_stmt *get = view_statement(view, SQL_FOLDER_CHILD);

	if (!get)
		return false;
	INDEX_BIND(get, parent);
	index_bind_text(get, 2, leaf);
	return index_folder_take(&view->db, get, ret);
}

bool index_inbox(struct index_view *view, struct folder_row *ret)
{
	sqlite3_stmt *get = view_statement(view, SQL_FOLDER_INBOX);

	return get && index_folder_take(&view->db, get, ret);
}

static void rows_each(struct index_view *view, sqlite3_stmt *list, index_folder_each_fn each,
		      void *data)
{
	struct folder_row row;

	while (index_db_row(&view->db, list)) {
		index_folder_borrow(list, &row);
		if (!each(data, &row))
			break;
	}
	sqlite3_reset(list);
}

void index_folders_each(struct index_view *view, uint32_t parent, uint32_t after,
			index_folder_each_fn each, void *data)
{
	sqlite3_stmt *list = view_statement(view, SQL_FOLDERS_EACH);

	if (!list)
		return;
	INDEX_BIND(list, parent, after);
	rows_each(view, list, each, data);
}

void index_folders_latest(struct index_view *view, unsigned max, index_folder_each_fn each,
			  void *data)
{
	sqlite3_stmt *list = view_statement(view, SQL_FOLDERS_LATEST);

	if (!list)
		return;
	INDEX_BIND(list, max);
	rows_each(view, list, each, data);
}

struct search {
	GArray *folders; /* to be looked at: of uint32_t */
	unsigned wanted, unfit;
	uint32_t found; /* 0: not */
};

static bool search_one(void *data, const struct folder_row *row)
{
	struct search *search = data;

	if ((row->attributes & search->wanted) == search->wanted &&
	    (row->attributes & search->unfit) == 0)
		search->found = row->id;
	g_array_append_val(search->folders, row->id);
	return search->found == 0;
}

uint32_t index_folders_search(struct index_view *view, unsigned wanted, unsigned unfit)
{
	g_autoptr(GArray) folders = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	struct search search = {.folders = folders, .wanted = wanted, .unfit = unfit};
	uint32_t root = INDEX_ROOT;

	g_array_append_val(folders, root);
	for (guint i = 0; i < folders->len && search.found == 0; i++)
		index_folders_each(view, g_array_index(folders, uint32_t, i), 0, search_one,
				   &search);
	return search.found;
}

static uint32_t rows_count(struct index_view *view, enum index_sql which, uint32_t of)
{
	sqlite3_stmt *count = view_statement(view, which);
	uint32_t n = 0;

	if (!count)
		return 0;
	INDEX_BIND(count, of);
	if (index_db_row(&view->db, count))
		n = (uint32_t)sqlite3_column_int64(count, 0);
	sqlite3_reset(count);
	return n;
}

uint32_t index_folders_count(struct index_view *view, uint32_t parent)
{
	return rows_count(view, SQL_FOLDERS_COUNT, parent);
}

static int64_t ns_from_s(int64_t s)
{
	const int64_t limit = INT64_MAX / 1000000000;

	return CLAMP(s, -limit, limit) * 1000000000;
}

static const char *text_or_empty(const unsigned char *text)
{
	return text ? (const char *)text : "";
}

static void message_borrow(sqlite3_stmt *statement, struct message_row *ret)
{
	bool exact = sqlite3_column_type(statement, 2) != SQLITE_NULL;
	bool changed = sqlite3_column_type(statement, 4) != SQLITE_NULL;
	uint64_t hint = (uint64_t)sqlite3_column_int64(statement, 1);
	int64_t date_s = sqlite3_column_int64(statement, 3);

	*ret = (struct message_row){
		.uid = (uint32_t)sqlite3_column_int64(statement, 0),
		.size_hint = hint,
		.size = exact ? (uint64_t)sqlite3_column_int64(statement, 2) : hint,
		.exact = exact,
		.date_s = date_s,
		.ctime_ns = changed ? sqlite3_column_int64(statement, 4) : ns_from_s(date_s),
		.flags = (unsigned)sqlite3_column_int(statement, 5),
		.keywords = text_or_empty(sqlite3_column_text(statement, 6)),
		.label = text_or_empty(sqlite3_column_text(statement, 7)),
	};
}

/* Returns how many were told. */
static uint32_t messages_tell(struct index_view *view, sqlite3_stmt *list,
			      index_message_each_fn each, void *data)
{
	struct message_row row;
	uint32_t n = 0;
	bool more = true;

	while (more && index_db_row(&view->db, list)) {
		message_borrow(list, &row);
		more = each(data, &row);
		n++;
	}
	sqlite3_reset(list);
	return n;
}

static void messages_list(struct index_view *view, enum index_sql which, uint32_t epoch,
			  uint32_t after_uid, index_message_each_fn each, void *data)
{
	sqlite3_stmt *list = view_statement(view, which);

	if (!list)
		return;
	INDEX_BIND(list, epoch, after_uid);
	messages_tell(view, list, each, data);
}

void index_messages_each(struct index_view *view, uint32_t epoch, uint32_t after_uid,
			 index_message_each_fn each, void *data)
{
	messages_list(view, SQL_MESSAGES_EACH, epoch, after_uid, each, data);
}

void index_deleted_each(struct index_view *view, uint32_t epoch, uint32_t after_uid,
			index_message_each_fn each, void *data)
{
	messages_list(view, SQL_DELETED_EACH, epoch, after_uid, each, data);
}

uint32_t index_deleted_count(struct index_view *view, uint32_t epoch)
{
	return rows_count(view, SQL_DELETED_COUNT, epoch);
}

bool index_message_get(struct index_view *view, uint32_t epoch, uint32_t uid,
		       index_message_each_fn each, void *data)
{
	sqlite3_stmt *get = view_statement(view, SQL_MESSAGE_GET);

	if (!get)
		return false;
	INDEX_BIND(get, epoch, uid);
	return messages_tell(view, get, each, data) > 0;
}

void index_totals(struct index_view *view, uint64_t *ret_bytes, uint64_t *ret_messages)
{
	sqlite3_stmt *totals = view_statement(view, SQL_TOTALS);

	*ret_bytes = *ret_messages = 0;
	if (!totals)
		return;
	if (index_db_row(&view->db, totals)) {
		double bytes = sqlite3_column_double(totals, 0);

		*ret_bytes = bytes < 0x1p63 ? (uint64_t)bytes : (uint64_t)INT64_MAX;
		*ret_messages = (uint64_t)sqlite3_column_int64(totals, 1);
	}
	sqlite3_reset(totals);
}
