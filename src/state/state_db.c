#include "state/state_db.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BUSY_MS = 2000 };

enum opened {
	OPENED,
	OPENED_UNFIT,  /* damaged, or of a newer version */
	OPENED_FAILED, /* setting it aside would not help */
};

/* "mfs" and a byte that no text file begins with, one above the index's. */
#define APPLICATION_ID "1835430786"
#define VERSION "1"
/* Begun a moment ago: files of an earlier one may not have been looked after. */
#define VERSION_NEW "0"

/* Locked for this process: two that send the same would send it twice. Not mapped into memory: a
 * file that shrinks under a mapping kills the process. */
static const char pragmas[] = "PRAGMA locking_mode = EXCLUSIVE;"
			      "PRAGMA mmap_size = 0;"
			      "PRAGMA temp_store = MEMORY;"
			      "PRAGMA trusted_schema = OFF;"
			      "PRAGMA cell_size_check = ON;"
			      "PRAGMA cache_size = -2048;"
			      "PRAGMA synchronous = NORMAL;"
			      "PRAGMA journal_size_limit = 16777216;"
			      "PRAGMA wal_autocheckpoint = 4000;";

/* Mailbox names as the server spelt them, INBOX in capitals. `whole`: the size that the working
 * file had when all of it was there, or -1. */
static const char schema[] = "BEGIN IMMEDIATE;"
			     "CREATE TABLE change ("
			     " id INTEGER PRIMARY KEY,"
			     " kind INTEGER NOT NULL,"
			     " step INTEGER NOT NULL,"
			     " mailbox TEXT NOT NULL,"
			     " uidvalidity INTEGER NOT NULL,"
			     " uid INTEGER NOT NULL,"
			     " flags_set INTEGER NOT NULL,"
			     " flags_clear INTEGER NOT NULL,"
			     " words_set TEXT NOT NULL,"
			     " words_clear TEXT NOT NULL,"
			     " target TEXT,"
			     " name TEXT,"
			     " mark_uidvalidity INTEGER NOT NULL DEFAULT 0,"
			     " mark_uidnext INTEGER NOT NULL DEFAULT 0,"
			     " target_uid INTEGER NOT NULL DEFAULT 0);"
			     "CREATE TABLE file ("
			     " id INTEGER PRIMARY KEY,"
			     " mailbox TEXT NOT NULL,"
			     " name TEXT NOT NULL,"
			     " step INTEGER NOT NULL,"
			     " whole INTEGER NOT NULL,"
			     " former_uidvalidity INTEGER NOT NULL,"
			     " former_uid INTEGER NOT NULL,"
			     " mark_uidvalidity INTEGER NOT NULL,"
			     " mark_uidnext INTEGER NOT NULL,"
			     " error INTEGER NOT NULL,"
			     " reason TEXT,"
			     " clone_mailbox TEXT,"
			     " clone_uidvalidity INTEGER NOT NULL,"
			     " clone_uid INTEGER NOT NULL,"
			     " clone_size INTEGER NOT NULL);"
			     "CREATE TABLE name ("
			     " mailbox TEXT NOT NULL,"
			     " uidvalidity INTEGER NOT NULL,"
			     " uid INTEGER NOT NULL,"
			     " name TEXT NOT NULL,"
			     " PRIMARY KEY (mailbox, uidvalidity, uid)) WITHOUT ROWID;"
			     "PRAGMA application_id = " APPLICATION_ID ";"
			     "PRAGMA user_version = " VERSION_NEW ";"
			     "COMMIT;";

static const char *const sql_text[DB_STATEMENTS] = {
	[DB_CHANGE_INSERT] = "INSERT INTO change (id, kind, step, mailbox, uidvalidity, uid,"
			     " flags_set, flags_clear, words_set, words_clear, target, name)"
			     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
	[DB_CHANGE_MERGE] = "UPDATE change SET flags_set = ?2, flags_clear = ?3, words_set = ?4,"
			    " words_clear = ?5 WHERE id = ?1",
	[DB_CHANGE_STEP] = "UPDATE change SET step = ?2, mark_uidvalidity = ?3,"
			   " mark_uidnext = ?4, target_uid = ?5 WHERE id = ?1",
	[DB_CHANGE_DELETE] = "DELETE FROM change WHERE id = ?1",
	[DB_CHANGE_EACH] = "SELECT id, kind, step, mailbox, uidvalidity, uid, flags_set,"
			   " flags_clear, words_set, words_clear, target, name, mark_uidvalidity,"
			   " mark_uidnext, target_uid FROM change ORDER BY id",
	[DB_FILE_PUT] = "INSERT OR REPLACE INTO file (id, mailbox, name, step, whole,"
			" former_uidvalidity, former_uid, mark_uidvalidity, mark_uidnext, error,"
			" reason, clone_mailbox, clone_uidvalidity, clone_uid, clone_size) VALUES"
			" (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
	[DB_FILE_DELETE] = "DELETE FROM file WHERE id = ?1",
	[DB_FILE_EACH] = "SELECT id, mailbox, name, step, whole, former_uidvalidity, former_uid,"
			 " mark_uidvalidity, mark_uidnext, error, reason, clone_mailbox,"
			 " clone_uidvalidity, clone_uid, clone_size FROM file ORDER BY id",
	[DB_NAME_PUT] = "INSERT OR REPLACE INTO name (mailbox, uidvalidity, uid, name)"
			" VALUES (?1, ?2, ?3, ?4)",
	[DB_NAME_DELETE] = "DELETE FROM name WHERE mailbox = ?1 AND uidvalidity = ?2"
			   " AND uid BETWEEN ?3 AND ?4",
	[DB_NAME_DELETE_BOX] = "DELETE FROM name WHERE mailbox = ?1 AND uidvalidity = ?2",
	[DB_NAME_EACH] = "SELECT mailbox, uidvalidity, uid, name FROM name",
	[DB_RENAME_SOURCE] = "UPDATE change SET mailbox = ?2 WHERE mailbox = ?1",
	[DB_RENAME_TARGET] = "UPDATE change SET target = ?2 WHERE target = ?1",
	[DB_RENAME_FILE] = "UPDATE file SET mailbox = ?2 WHERE mailbox = ?1",
	[DB_RENAME_CLONE] = "UPDATE file SET clone_mailbox = ?2 WHERE clone_mailbox = ?1",
	[DB_RENAME_FREE] = "DELETE FROM name WHERE mailbox = ?1",
	[DB_RENAME_NAME] = "UPDATE name SET mailbox = ?2 WHERE mailbox = ?1",
};

/* --- opening --- */

static void note_failure(struct db *db, int code)
{
	bool io = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;

	g_free(db->why);
	db->why = g_strdup(db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code));
	db->full = (code & 0xff) == SQLITE_FULL ||
		   (io && db->handle && file_is_full(sqlite3_system_errno(db->handle)));
}

static enum opened verdict(struct db *db, int code)
{
	note_failure(db, code);
	switch (code & 0xff) {
	case SQLITE_OK:
		return OPENED;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return OPENED_UNFIT;
	default:
		return code == SQLITE_IOERR_SHORT_READ || code == SQLITE_IOERR_CORRUPTFS
			       ? OPENED_UNFIT
			       : OPENED_FAILED;
	}
}

/* The first column of the first row as text. Free with g_free(). */
static enum opened db_value(struct db *db, const char *sql, char **ret_text)
{
	sqlite3_stmt *statement;
	int code = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);

	if (code != SQLITE_OK)
		return verdict(db, code);
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret_text = g_strdup((const char *)sqlite3_column_text(statement, 0));
	enum opened opened = code == SQLITE_ROW ? OPENED : verdict(db, code);

	sqlite3_finalize(statement);
	return opened;
}

static enum opened db_expect(struct db *db, const char *sql, const char *value)
{
	g_autofree char *text = NULL;
	enum opened opened = db_value(db, sql, &text);

	if (opened != OPENED || g_strcmp0(text, value) == 0)
		return opened;
	g_free(db->why);
	db->why = g_strdup_printf("%s: %s", sql, text ? text : "nothing");
	return OPENED_UNFIT;
}

static enum opened db_make(struct db *db, bool *ret_anew)
{
	enum opened opened = verdict(db, sqlite3_exec(db->handle, schema, NULL, NULL, NULL));

	if (opened == OPENED)
		*ret_anew = true;
	return opened;
}

static enum opened db_check(struct db *db, bool *ret_anew)
{
	g_autofree char *tables = NULL;
	g_autofree char *version = NULL;
	enum opened opened =
		db_value(db, "SELECT count(*) FROM sqlite_schema WHERE name <> ''", &tables);

	if (opened != OPENED)
		return opened;
	if (strcmp(tables, "0") == 0)
		return db_make(db, ret_anew);
	opened = db_expect(db, "PRAGMA application_id", APPLICATION_ID);
	if (opened == OPENED)
		opened = db_value(db, "PRAGMA user_version", &version);
	if (opened == OPENED && g_strcmp0(version, VERSION_NEW) == 0)
		*ret_anew = true;
	else if (opened == OPENED)
		opened = db_expect(db, "PRAGMA user_version", VERSION);
	return opened == OPENED ? db_expect(db, "PRAGMA quick_check(1)", "ok") : opened;
}

static enum opened db_prepare(struct db *db)
{
	for (unsigned i = 0; i < DB_STATEMENTS; i++) {
		int code = sqlite3_prepare_v3(db->handle, sql_text[i], -1,
					      SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL);

		/* A table or column that is not there. */
		if (code == SQLITE_ERROR)
			code = SQLITE_CORRUPT;
		if (code != SQLITE_OK)
			return verdict(db, code);
	}
	return OPENED;
}

static int open_error(const struct db *db, int code)
{
	if ((code & 0xff) == SQLITE_BUSY)
		return ERROR_BUSY;
	return db->full ? ERROR_NO_SPACE : ERROR_IO;
}

static enum opened db_try(struct db *db, bool *ret_anew, GError **error)
{
	/* SQLite would make it readable for others. */
	int fd = open(db->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		file_fail("open", db->path, error);
		return OPENED_FAILED;
	}
	close(fd);
	int code = sqlite3_open_v2(db->path, &db->handle,
				   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (code == SQLITE_OK) {
		sqlite3_extended_result_codes(db->handle, 1);
		sqlite3_busy_timeout(db->handle, BUSY_MS);
		sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		code = sqlite3_exec(db->handle, pragmas, NULL, NULL, NULL);
	}
	if (code == SQLITE_OK)
		code = sqlite3_exec(db->handle, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
	enum opened opened = verdict(db, code);

	if (opened == OPENED)
		opened = db_check(db, ret_anew);
	if (opened == OPENED)
		opened = db_prepare(db);
	if (opened == OPENED_FAILED)
		g_set_error(error, MAILFS_ERROR, open_error(db, code), "cannot open '%s': %s",
			    db->path, db->why);
	return opened;
}

static void db_shut(struct db *db)
{
	for (unsigned i = 0; i < DB_STATEMENTS; i++)
		sqlite3_finalize(g_steal_pointer(&db->statements[i]));
	sqlite3_close(g_steal_pointer(&db->handle));
}

/* With what belongs to it, so that a tool can still read it. */
static bool db_set_aside(struct db *db, const char *dir, GError **error)
{
	static const char *const parts[] = {"-wal", "-shm", ""};
	g_autofree char *aside = NULL;
	int64_t now_s = time(NULL);

	do {
		g_free(aside);
		aside = g_strdup_printf("%s/state.damaged-%" G_GINT64_FORMAT, dir, now_s++);
	} while (access(aside, F_OK) == 0);
	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
		g_autofree char *from = g_strconcat(db->path, parts[i], NULL);
		g_autofree char *to = g_strconcat(aside, parts[i], NULL);

		if (rename(from, to) != 0 && errno != ENOENT)
			return file_fail("rename", from, error);
	}
	log_error("%s cannot be read (%s) and is set aside as %s: what it held of changes and "
		  "names that the server has not seen is not done",
		  db->path, db->why, aside);
	return true;
}

bool db_begin_anew(struct db *db, const char *dir, GError **error)
{
	bool anew;

	db_shut(db);
	if (!db_set_aside(db, dir, error))
		return false;
	switch (db_try(db, &anew, error)) {
	case OPENED:
		return true;
	case OPENED_UNFIT:
		g_set_error(error, MAILFS_ERROR, ERROR_IO, "cannot make '%s': %s", db->path,
			    db->why);
		return false;
	default:
		return false;
	}
}

bool db_open(struct db *db, const char *dir, bool *ret_anew, GError **error)
{
	bool anew = false;

	db->path = g_build_filename(dir, "state.sqlite", NULL);
	switch (db_try(db, &anew, error)) {
	case OPENED:
		*ret_anew = anew;
		return true;
	case OPENED_UNFIT:
		if (!db_begin_anew(db, dir, error))
			return false;
		*ret_anew = true;
		return true;
	default:
		return false;
	}
}

void db_begun(struct db *db)
{
	int code = sqlite3_exec(db->handle, "PRAGMA user_version = " VERSION, NULL, NULL, NULL);

	if (code != SQLITE_OK)
		log_warning("%s: %s", db->path, sqlite3_errmsg(db->handle));
}

void db_close(struct db *db)
{
	db_shut(db);
	g_clear_pointer(&db->path, g_free);
	g_clear_pointer(&db->why, g_free);
}

/* --- statements --- */

static bool db_failed(struct db *db)
{
	note_failure(db, sqlite3_extended_errcode(db->handle));
	return false;
}

bool db_fail(const struct db *db, GError **error)
{
	g_set_error(error, MAILFS_ERROR, db->full ? ERROR_NO_SPACE : ERROR_IO,
		    "cannot write '%s': %s", db->path, db->why ? db->why : "unknown error");
	return false;
}

bool db_run(struct db *db, enum db_sql which, const struct db_value *values, unsigned n)
{
	sqlite3_stmt *statement = db->statements[which];

	for (unsigned i = 0; i < n; i++) {
		if (values[i].text)
			sqlite3_bind_text(statement, (int)i + 1, values[i].string, -1,
					  SQLITE_STATIC);
		else
			sqlite3_bind_int64(statement, (int)i + 1, values[i].number);
	}
	bool ok = sqlite3_step(statement) == SQLITE_DONE || db_failed(db);

	sqlite3_reset(statement);
	return ok;
}

bool db_each(struct db *db, enum db_sql which, db_row_fn each, void *data)
{
	sqlite3_stmt *statement = db->statements[which];
	int code;

	while ((code = sqlite3_step(statement)) == SQLITE_ROW)
		each(data, statement);
	bool ok = code == SQLITE_DONE || db_failed(db);

	sqlite3_reset(statement);
	return ok;
}

static bool db_exec(struct db *db, const char *sql)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK || db_failed(db);
}

bool db_begin(struct db *db, bool synced)
{
	db->synced = synced;
	if (synced && !db_exec(db, "PRAGMA synchronous = FULL"))
		return false;
	return db_exec(db, "BEGIN IMMEDIATE");
}

bool db_end(struct db *db, bool ok, GError **error)
{
	ok = ok && db_exec(db, "COMMIT");
	if (!ok)
		db_fail(db, error);
	if (!sqlite3_get_autocommit(db->handle))
		sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
	if (db->synced)
		sqlite3_exec(db->handle, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
	db->synced = false;
	return ok;
}
