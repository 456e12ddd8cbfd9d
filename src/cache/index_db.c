/* One connection to the index: statements, binding, errors. */
#include "base/log.h"
#include "cache/index_private.h"
#include "cache/index_sql.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Codes that say that the file does not hold what was written, as opposed to a full disk. */
static bool code_is_damage(int code)
{
	switch (code & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return true;
	default:
		return code == SQLITE_IOERR_READ || code == SQLITE_IOERR_SHORT_READ ||
		       code == SQLITE_IOERR_CORRUPTFS || code == SQLITE_READONLY_DBMOVED;
	}
}

static void mark_damaged(struct index *index, const char *why)
{
	if (atomic_exchange(&index->damaged, true))
		return;
	log_error("%s: %s: it is not used any more and made anew at the next start", index->path,
		  why);
	int fd = open(index->mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0)
		close(fd);
}

void index_db_failed(struct index_db *db, int code)
{
	const char *why = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code);
	struct index *index = db->index;

	if (db == &index->db && !index->failure)
		index->failure = g_strdup(why);
	if (code_is_damage(code))
		mark_damaged(index, why);
	else if (code != db->error)
		log_warning("%s: %s", index->path, why);
	db->error = code;
}

sqlite3_stmt *index_db_statement(struct index_db *db, enum index_sql which)
{
	sqlite3_stmt **statement = &db->statements[which];

	if (!*statement) {
		int code = sqlite3_prepare_v3(db->handle, index_sql_text[which], -1,
					      SQLITE_PREPARE_PERSISTENT, statement, NULL);

		if (code != SQLITE_OK) {
			index_db_failed(db, code);
			return NULL;
		}
	}
	g_return_val_if_fail(!sqlite3_stmt_busy(*statement), NULL);
	return *statement;
}

bool index_db_row(struct index_db *db, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	if (code == SQLITE_ROW || code == SQLITE_DONE)
		db->error = SQLITE_OK;
	else
		index_db_failed(db, code);
	return code == SQLITE_ROW;
}

bool index_db_run(struct index_db *db, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	if (code != SQLITE_DONE)
		index_db_failed(db, code);
	sqlite3_reset(statement);
	return code == SQLITE_DONE;
}

void index_db_close(struct index_db *db)
{
	for (unsigned i = 0; i < SQL_STATEMENTS; i++)
		sqlite3_finalize(g_steal_pointer(&db->statements[i]));
	sqlite3_close(g_steal_pointer(&db->handle));
}

void index_bind_ints(sqlite3_stmt *statement, const int64_t *values, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		sqlite3_bind_int64(statement, (int)i + 1, values[i]);
}

void index_bind_text(sqlite3_stmt *statement, int column, const char *text)
{
	sqlite3_bind_text(statement, column, text, -1, SQLITE_STATIC);
}

static char *column_text(sqlite3_stmt *statement, int column)
{
	static char none[] = "";
	const unsigned char *text = sqlite3_column_text(statement, column);

	return text ? (char *)text : none;
}

void index_folder_borrow(sqlite3_stmt *statement, struct folder_row *ret)
{
	*ret = (struct folder_row){
		.id = (uint32_t)sqlite3_column_int64(statement, 0),
		.parent = (uint32_t)sqlite3_column_int64(statement, 1),
		.name = column_text(statement, 2),
		.leaf = column_text(statement, 3),
		.separator = (char)sqlite3_column_int(statement, 4),
		.attributes = (unsigned)sqlite3_column_int(statement, 5),
		.epoch = (uint32_t)sqlite3_column_int64(statement, 6),
		.uidvalidity = (uint64_t)sqlite3_column_int64(statement, 7),
		.uidnext = (uint32_t)sqlite3_column_int64(statement, 8),
		.modseq = (uint64_t)sqlite3_column_int64(statement, 9),
		.synced = sqlite3_column_int(statement, 10) != 0,
		.messages = (uint32_t)sqlite3_column_int64(statement, 11),
		.mtime_ns = sqlite3_column_int64(statement, 12),
	};
	g_strlcpy(ret->token, column_text(statement, 13), sizeof(ret->token));
}

bool index_folder_take(struct index_db *db, sqlite3_stmt *statement, struct folder_row *ret)
{
	struct folder_row row;
	bool found = index_db_row(db, statement);

	if (found) {
		index_folder_borrow(statement, &row);
		row.name = g_strdup(row.name);
		row.leaf = g_strdup(row.leaf);
		*ret = row;
	}
	sqlite3_reset(statement);
	return found;
}

void folder_row_clear(struct folder_row *row)
{
	g_clear_pointer(&row->name, g_free);
	g_clear_pointer(&row->leaf, g_free);
}
