/* What the server said that it allows: kept for the time when it cannot be asked. */
#include "cache/index_private.h"

void index_rights_set(struct index *index, const struct rights_row *row)
{
	sqlite3_stmt *set = index_write_statement(index, SQL_RIGHTS_SET);

	if (!set)
		return;
	INDEX_BIND(set, row->folder, row->read_only, row->may, row->flags);
	index_bind_text(set, 5, row->keywords);
	index_db_run(&index->db, set);
}

void index_rights_each(struct index *index, index_rights_fn each, void *data)
{
	sqlite3_stmt *all = index_write_query(index, SQL_RIGHTS_ALL);

	while (all && index_db_row(&index->db, all)) {
		const char *keywords = (const char *)sqlite3_column_text(all, 4);
		struct rights_row row = {
			.folder = (uint32_t)sqlite3_column_int64(all, 0),
			.read_only = sqlite3_column_int(all, 1) != 0,
			.may = (unsigned)sqlite3_column_int64(all, 2),
			.flags = (unsigned)sqlite3_column_int64(all, 3),
			.keywords = keywords ? keywords : "",
		};

		each(data, &row);
	}
	if (all)
		sqlite3_reset(all);
}

void index_abilities_set(struct index *index, unsigned abilities, uint64_t append_max_bytes)
{
	sqlite3_stmt *set = index_write_statement(index, SQL_ABILITIES_SET);

	if (!set)
		return;
	/* The largest number, which is none, is -1 there. */
	INDEX_BIND(set, abilities, (int64_t)append_max_bytes);
	index_db_run(&index->db, set);
}

bool index_abilities_get(struct index *index, unsigned *ret_abilities,
			 uint64_t *ret_append_max_bytes)
{
	sqlite3_stmt *get = index_write_query(index, SQL_ABILITIES_GET);
	bool found = get && index_db_row(&index->db, get);

	if (found) {
		*ret_abilities = (unsigned)sqlite3_column_int64(get, 0);
		*ret_append_max_bytes = (uint64_t)sqlite3_column_int64(get, 1);
	}
	if (get)
		sqlite3_reset(get);
	return found;
}
