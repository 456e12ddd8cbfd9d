/* The writer's messages. */
#include "base/limits.h"
#include "cache/index_private.h"

static bool epoch_is_full(struct index *index, uint32_t epoch)
{
	uint32_t highest;

	/* Makes it the epoch that is counted. */
	index_write_add(index, epoch, 0, 0);
	if (index->messages < 0)
		index->messages = index_messages_count(index, epoch, &highest);
	return index->messages >= LIMIT_MESSAGES;
}

enum index_change index_message_put(struct index *index, uint32_t epoch,
				    const struct message_row *row, int64_t now_ns)
{
	uint64_t size = MIN(row->size_hint, INDEX_SIZE_MAX);

	if (epoch == 0 || row->uid == 0)
		return INDEX_SAME;
	if (epoch_is_full(index, epoch))
		return index_message_flags(index, epoch, row->uid, row->flags, row->keywords,
					   now_ns);
	sqlite3_stmt *insert = index_write_statement(index, SQL_MESSAGE_INSERT);

	if (!insert)
		return INDEX_SAME;
	INDEX_BIND(insert, epoch, row->uid, size, row->date_s, row->flags);
	index_bind_text(insert, 6, row->keywords);
	index_bind_text(insert, 7, row->label);
	if (!index_db_run(&index->db, insert))
		return INDEX_SAME;
	if (sqlite3_changes(index->db.handle) == 0)
		return index_message_flags(index, epoch, row->uid, row->flags, row->keywords,
					   now_ns);
	index_write_add(index, epoch, 1, (int64_t)size);
	return INDEX_NEW;
}

bool index_message_write_flags(struct index *index, uint32_t epoch, uint32_t uid,
			       unsigned *ret_flags, char **ret_keywords)
{
	/* inside of the transaction: to begin and end one for each read takes longer */
	sqlite3_stmt *get = index_write_statement(index, SQL_MESSAGE_GET_FLAGS);

	if (!get)
		return false;
	INDEX_BIND(get, epoch, uid);
	bool found = index_db_row(&index->db, get);

	if (found) {
		*ret_flags = (unsigned)sqlite3_column_int64(get, 0);
		if (ret_keywords)
			*ret_keywords = g_strdup((const char *)sqlite3_column_text(get, 1));
	}
	sqlite3_reset(get);
	return found;
}

static enum index_change flags_compare(struct index *index, uint32_t epoch, uint32_t uid,
				       unsigned flags, const char *keywords)
{
	g_autofree char *words = NULL;
	unsigned old;

	if (!index_message_write_flags(index, epoch, uid, &old, &words))
		return INDEX_SAME;
	if ((old ^ flags) & INDEX_DELETED)
		return INDEX_SHIFTED;
	return old != flags || g_strcmp0(words, keywords) != 0 ? INDEX_CHANGED : INDEX_SAME;
}

enum index_change index_message_flags(struct index *index, uint32_t epoch, uint32_t uid,
				      unsigned flags, const char *keywords, int64_t now_ns)
{
	/* Most often they are the same: nothing is written. */
	enum index_change change = flags_compare(index, epoch, uid, flags, keywords);
	sqlite3_stmt *update =
		change == INDEX_SAME ? NULL : index_write_statement(index, SQL_MESSAGE_FLAGS);

	if (!update)
		return INDEX_SAME;
	INDEX_BIND(update, epoch, uid, flags, now_ns);
	index_bind_text(update, 5, keywords);
	return index_db_run(&index->db, update) ? change : INDEX_SAME;
}

/* What readers are told. */
static bool message_size_get(struct index *index, uint32_t epoch, uint32_t uid, uint64_t *ret_size,
			     bool *ret_exact)
{
	sqlite3_stmt *get = index_write_query(index, SQL_MESSAGE_SIZES);

	if (!get)
		return false;
	INDEX_BIND(get, epoch, uid);
	bool found = index_db_row(&index->db, get);

	if (found) {
		*ret_exact = sqlite3_column_type(get, 1) != SQLITE_NULL;
		*ret_size = (uint64_t)sqlite3_column_int64(get, *ret_exact ? 1 : 0);
	}
	sqlite3_reset(get);
	return found;
}

bool index_message_size(struct index *index, uint32_t epoch, uint32_t uid, uint64_t size)
{
	uint64_t told;
	bool exact;

	size = MIN(size, INDEX_SIZE_MAX);
	if (!message_size_get(index, epoch, uid, &told, &exact) || (exact && told == size))
		return false;
	sqlite3_stmt *set = index_write_statement(index, SQL_MESSAGE_SET_SIZE);

	if (!set)
		return false;
	INDEX_BIND(set, epoch, uid, size);
	if (!index_db_run(&index->db, set))
		return false;
	index_write_add(index, epoch, 0, (int64_t)size - (int64_t)told);
	return told != size;
}

bool index_message_write_has(struct index *index, uint32_t epoch, uint32_t uid)
{
	uint64_t size;
	bool exact;

	return message_size_get(index, epoch, uid, &size, &exact);
}

enum index_change index_message_copy(struct index *index, uint32_t epoch, uint32_t uid,
				     uint32_t to_epoch, uint32_t to_uid, unsigned flags,
				     int64_t now_ns)
{
	uint64_t size;
	bool exact;

	if (to_epoch == 0 || to_uid == 0 || epoch_is_full(index, to_epoch) ||
	    !message_size_get(index, epoch, uid, &size, &exact))
		return INDEX_SAME;
	sqlite3_stmt *copy = index_write_statement(index, SQL_MESSAGE_COPY);

	if (!copy)
		return INDEX_SAME;
	INDEX_BIND(copy, epoch, uid, to_epoch, to_uid, flags, now_ns);
	if (!index_db_run(&index->db, copy) || sqlite3_changes(index->db.handle) == 0)
		return INDEX_SAME;
	index_write_add(index, to_epoch, 1, (int64_t)size);
	return INDEX_NEW;
}

void index_sizes_set(struct index *index, enum sizes_trust trust)
{
	sqlite3_stmt *set = index_write_statement(index, SQL_SIZES_SET);

	if (!set)
		return;
	INDEX_BIND(set, trust);
	index_db_run(&index->db, set);
}

enum sizes_trust index_sizes_get(struct index *index)
{
	sqlite3_stmt *get = index_write_query(index, SQL_SIZES_GET);
	enum sizes_trust trust = SIZES_UNPROVEN;

	if (!get)
		return trust;
	if (index_db_row(&index->db, get)) {
		int value = sqlite3_column_int(get, 0);

		if (value == SIZES_TRUE || value == SIZES_LIE)
			trust = (enum sizes_trust)value;
	}
	sqlite3_reset(get);
	return trust;
}

/* Tells of those in the range, as far as they are a piece, and sums them up. `range` ends behind
 * the last one then. */
static uint32_t range_tell(struct index *index, uint32_t epoch, struct seqrange *range,
			   index_gone_fn gone, void *data, int64_t *ret_bytes)
{
	uint32_t uid = 0;
	sqlite3_stmt *list = index_write_query(index, SQL_MESSAGES_RANGE);
	uint32_t n = 0;

	*ret_bytes = 0;
	if (!list)
		return 0;
	INDEX_BIND(list, epoch, range->first, range->last, INDEX_PIECE);
	for (; index_db_row(&index->db, list); n++) {
		const char *label = (const char *)sqlite3_column_text(list, 1);

		*ret_bytes += sqlite3_column_int64(list, 2);
		uid = (uint32_t)sqlite3_column_int64(list, 0);
		if (gone)
			gone(data, uid, label ? label : "");
	}
	sqlite3_reset(list);
	if (n == INDEX_PIECE)
		range->last = uid;
	return n;
}

static uint32_t piece_remove(struct index *index, uint32_t epoch, struct seqrange *range,
			     index_gone_fn gone, void *data)
{
	int64_t bytes;
	uint32_t n = range_tell(index, epoch, range, gone, data, &bytes);

	if (n == 0)
		return 0;
	sqlite3_stmt *delete = index_write_statement(index, SQL_MESSAGES_DELETE_RANGE);

	if (!delete)
		return 0;
	INDEX_BIND(delete, epoch, range->first, range->last);
	if (!index_db_run(&index->db, delete))
		return 0;
	index_write_add(index, epoch, -(int64_t)n, -bytes);
	return n;
}

static uint32_t range_remove(struct index *index, uint32_t epoch, const struct seqrange *range,
			     index_gone_fn gone, void *data, uint32_t *since_pause)
{
	struct seqrange piece = *range;
	uint32_t n = 0, went;

	do {
		piece.last = range->last;
		went = piece_remove(index, epoch, &piece, gone, data);
		n += went;
		*since_pause += went;
		if (gone && *since_pause >= INDEX_PIECE) {
			gone(data, 0, "");
			*since_pause = 0;
		}
		piece.first = piece.last + 1;
	} while (went == INDEX_PIECE && piece.last < range->last);
	return n;
}

static uint32_t ranges_remove(struct index *index, uint32_t epoch, const GArray *ranges,
			      index_gone_fn gone, void *data)
{
	uint32_t n = 0, since_pause = 0;

	for (guint i = 0; ranges && i < ranges->len; i++)
		n += range_remove(index, epoch, &g_array_index(ranges, struct seqrange, i), gone,
				  data, &since_pause);
	return n;
}

uint32_t index_messages_remove(struct index *index, uint32_t epoch, const struct seqset *uids,
			       index_gone_fn gone, void *data)
{
	return ranges_remove(index, epoch, uids->ranges, gone, data);
}

/* The known UIDs outside of `uids`, up to `upto`. Between two that stay one range is enough. */
static GArray *ranges_outside(struct index *index, uint32_t epoch, const struct seqset *uids,
			      uint32_t upto)
{
	GArray *ranges = g_array_new(FALSE, FALSE, sizeof(struct seqrange));
	sqlite3_stmt *list = index_write_query(index, SQL_MESSAGES_UIDS);
	guint n = uids->ranges ? uids->ranges->len : 0;
	bool joins = false;

	if (!list)
		return ranges;
	INDEX_BIND(list, epoch, upto);
	for (guint i = 0; index_db_row(&index->db, list);) {
		uint32_t uid = (uint32_t)sqlite3_column_int64(list, 0);

		while (i < n && g_array_index(uids->ranges, struct seqrange, i).last < uid)
			i++;
		bool stays = i < n && g_array_index(uids->ranges, struct seqrange, i).first <= uid;

		if (joins && !stays)
			g_array_index(ranges, struct seqrange, ranges->len - 1).last = uid;
		else if (!stays)
			g_array_append_val(ranges, ((struct seqrange){uid, uid}));
		joins = !stays;
	}
	sqlite3_reset(list);
	return ranges;
}

uint32_t index_messages_keep(struct index *index, uint32_t epoch, const struct seqset *uids,
			     uint32_t upto, index_gone_fn gone, void *data)
{
	g_autoptr(GArray) ranges = ranges_outside(index, epoch, uids, upto);

	return ranges_remove(index, epoch, ranges, gone, data);
}

uint32_t index_messages_count(struct index *index, uint32_t epoch, uint32_t *ret_highest)
{
	struct folder_row row = {0};

	*ret_highest = 0;
	if (!index_write_flush(index))
		return 0;
	sqlite3_stmt *folder = index_db_statement(&index->db, SQL_FOLDER_BY_EPOCH);
	sqlite3_stmt *highest = index_db_statement(&index->db, SQL_MESSAGES_HIGHEST);

	if (!folder || !highest)
		return 0;
	INDEX_BIND(folder, epoch);
	if (index_db_row(&index->db, folder))
		index_folder_borrow(folder, &row);
	sqlite3_reset(folder);
	INDEX_BIND(highest, epoch);
	if (index_db_row(&index->db, highest))
		*ret_highest = (uint32_t)sqlite3_column_int64(highest, 0);
	sqlite3_reset(highest);
	return row.messages;
}
