#include "cache/uidls.h"

#include "cache/index_private.h"

void uidl_row_free(void *row)
{
	struct uidl_row *gone = row;

	g_free(gone->uidl);
	g_free(gone->hash);
	g_free(gone);
}

static char *text_copy(sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	return g_strdup(text ? text : "");
}

static struct uidl_row row_read(sqlite3_stmt *statement)
{
	return (struct uidl_row){
		.number = (uint32_t)sqlite3_column_int64(statement, 0),
		.uidl = text_copy(statement, 1),
		.size = (uint64_t)sqlite3_column_int64(statement, 2),
		.hash = text_copy(statement, 3),
	};
}

GPtrArray *uidls_all(struct index *index)
{
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(uidl_row_free);
	sqlite3_stmt *list = index_write_query(index, SQL_UIDLS_ALL);

	if (!list)
		return NULL;
	while (index_db_row(&index->db, list)) {
		struct uidl_row row = row_read(list);

		g_ptr_array_add(rows, g_memdup2(&row, sizeof(row)));
	}
	sqlite3_reset(list);
	/* Half of them would make the others new. */
	return index_write_ready(index) ? g_steal_pointer(&rows) : NULL;
}

bool uidls_get(struct index *index, uint32_t number, struct uidl_row *ret)
{
	sqlite3_stmt *get = index_write_query(index, SQL_UIDL_GET);
	bool found;

	if (!get)
		return false;
	INDEX_BIND(get, number);
	found = index_db_row(&index->db, get);
	if (found)
		*ret = row_read(get);
	sqlite3_reset(get);
	return found;
}

uint32_t uidls_add(struct index *index, const char *uidl, uint64_t size, const char *hash)
{
	uint32_t number = uidls_next(index);
	sqlite3_stmt *add = number > 0 ? index_write_statement(index, SQL_UIDL_ADD) : NULL;

	if (!add)
		return 0;
	INDEX_BIND(add, number, (int64_t)size);
	index_bind_text(add, 3, uidl);
	index_bind_text(add, 4, hash);
	index->gave_numbers = true;
	return index_db_run(&index->db, add) ? number : 0;
}

void uidls_set(struct index *index, const struct uidl_row *row)
{
	sqlite3_stmt *set = index_write_statement(index, SQL_UIDL_SET);

	if (!set)
		return;
	INDEX_BIND(set, row->number, (int64_t)row->size);
	index_bind_text(set, 3, row->uidl);
	index_bind_text(set, 4, row->hash);
	index_db_run(&index->db, set);
}

void uidls_forget(struct index *index, uint32_t number)
{
	sqlite3_stmt *forget = index_write_statement(index, SQL_UIDL_FORGET);

	if (!forget)
		return;
	INDEX_BIND(forget, number);
	index_db_run(&index->db, forget);
}

/* 0 if there is none. */
static int64_t number_get(struct index *index, enum index_sql which)
{
	sqlite3_stmt *get = index_write_query(index, which);
	int64_t number = 0;

	if (!get)
		return 0;
	if (index_db_row(&index->db, get))
		number = sqlite3_column_int64(get, 0);
	sqlite3_reset(get);
	return number;
}

uint32_t uidls_next(struct index *index)
{
	int64_t next = number_get(index, SQL_UIDL_NEXT);

	/* As a UIDNEXT, the one behind it must be a number too. */
	return next > 0 && next < UINT32_MAX ? (uint32_t)next : 0;
}

static uint32_t draw_validity(struct index *index)
{
	sqlite3_stmt *set = index_write_statement(index, SQL_UIDLS_VALIDITY_SET);
	int32_t drawn = g_random_int_range(1, G_MAXINT32);

	if (!set)
		return 0;
	INDEX_BIND(set, drawn);
	return index_db_run(&index->db, set) ? (uint32_t)drawn : 0;
}

uint32_t uidls_validity(struct index *index)
{
	int64_t found = number_get(index, SQL_UIDLS_VALIDITY_GET);

	return found > 0 && found <= UINT32_MAX ? (uint32_t)found : draw_validity(index);
}

void uidls_spoken_of(struct index *index, uint32_t number)
{
	uint32_t next = uidls_next(index);

	if (next > 0 && number >= next)
		draw_validity(index);
}
