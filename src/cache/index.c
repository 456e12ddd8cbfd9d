/* The life of the database: open, check, begin anew, commit. */
#include "cache/index.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "cache/index_private.h"
#include "cache/index_sql.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 2000 };

enum opened {
	OPENED,
	OPENED_UNFIT,  /* not ours, or damaged: may be removed */
	OPENED_FAILED, /* removing it would not help */
};

/* Not mapped into memory: a file that shrinks under a mapping kills the process. WAL with
 * synchronous=NORMAL: a power failure costs the last commits at most. */
static const char common_pragmas[] = "PRAGMA mmap_size = 0;"
				     "PRAGMA temp_store = MEMORY;"
				     "PRAGMA trusted_schema = OFF;"
				     "PRAGMA cell_size_check = ON;";
static const char writer_pragmas[] = "PRAGMA cache_size = -4096;"
				     "PRAGMA synchronous = NORMAL;"
				     "PRAGMA journal_size_limit = 8388608;"
				     "PRAGMA wal_autocheckpoint = 1000;";
static const char reader_pragmas[] = "PRAGMA cache_size = -1024;"
				     "PRAGMA query_only = ON;";

static int db_exec(struct index_db *db, const char *sql)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
}

static const char *db_reason(const struct index_db *db, int code)
{
	bool last = db->handle && sqlite3_extended_errcode(db->handle) == code;

	return last ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code);
}

static int db_open(struct index_db *db, int flags, const char *pragmas)
{
	int code = sqlite3_open_v2(db->index->path, &db->handle,
				   flags | SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (code != SQLITE_OK)
		return code;
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	code = db_exec(db, common_pragmas);
	return code == SQLITE_OK ? db_exec(db, pragmas) : code;
}

/* The first column of the first row as text ("" if there is none). Free with g_free(). */
static int db_value(struct index_db *db, const char *sql, char **ret_text)
{
	sqlite3_stmt *statement;
	int code = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);

	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(statement);
	const unsigned char *text =
		code == SQLITE_ROW ? sqlite3_column_text(statement, 0) : (const unsigned char *)"";
	g_autofree char *copy = g_strdup(text ? (const char *)text : "");

	sqlite3_finalize(statement);
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return code;
	*ret_text = g_steal_pointer(&copy);
	return SQLITE_OK;
}

/* Makes the tables in a database that has none. */
static int schema_make(struct index *index)
{
	char *sql = sqlite3_mprintf(
		"BEGIN IMMEDIATE; PRAGMA application_id = %d; PRAGMA user_version = %d; %s"
		"INSERT INTO meta VALUES ('account', %Q);"
		"INSERT INTO folder (id, parent, separator, attributes, mtime_ns, name, leaf)"
		" VALUES (%u, 0, 0, %u, 0, '', '');"
		"COMMIT;",
		INDEX_APPLICATION_ID, INDEX_VERSION, index_schema, index->account, INDEX_ROOT,
		INDEX_IMPLIED);
	int code = sql ? db_exec(&index->db, sql) : SQLITE_NOMEM;

	sqlite3_free(sql);
	return code;
}

/* A damaged page is found when it is read: so some are, at both ends of the trees. Reading all
 * would take seconds with a million messages. */
static int schema_probe(struct index *index)
{
	static const char *const reads[] = {
		"SELECT leaf FROM folder ORDER BY id LIMIT 1",
		"SELECT leaf FROM folder ORDER BY id DESC LIMIT 1",
		"SELECT name FROM folder ORDER BY name DESC LIMIT 1",
		"SELECT label FROM message ORDER BY epoch, uid LIMIT 1",
		"SELECT label FROM message ORDER BY epoch DESC, uid DESC LIMIT 1",
		"SELECT uid FROM message INDEXED BY message_deleted WHERE flags & 8 LIMIT 1",
		"SELECT uidl FROM uidl ORDER BY number LIMIT 1",
		"SELECT uidl FROM uidl ORDER BY number DESC LIMIT 1",
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(reads); i++) {
		g_autofree char *text = NULL;
		int code = db_value(&index->db, reads[i], &text);

		if (code != SQLITE_OK)
			return code;
	}
	return SQLITE_OK;
}

/* `*ret_why` is set to a constant if it is another's. */
static int schema_check(struct index *index, const char **ret_why)
{
	static const char state[] = "SELECT application_id || '.' || user_version || '.' ||"
				    " (SELECT count(*) > 0 FROM sqlite_schema)"
				    " FROM pragma_application_id, pragma_user_version";
	char ours[64];
	g_autofree char *found = NULL;
	int code = db_value(&index->db, state, &found);

	if (code != SQLITE_OK)
		return code;
	if (g_strcmp0(found, "0.0.0") == 0)
		return schema_make(index);
	g_snprintf(ours, sizeof(ours), "%d.%d.1", INDEX_APPLICATION_ID, INDEX_VERSION);
	if (g_strcmp0(found, ours) != 0) {
		*ret_why = "it is of another version";
		return SQLITE_OK;
	}
	g_autofree char *account = NULL;

	code = db_value(&index->db, "SELECT value FROM meta WHERE key = 'account'", &account);
	if (code != SQLITE_OK)
		return code;
	if (g_strcmp0(account, index->account) != 0)
		*ret_why = "it is of another account";
	return *ret_why ? SQLITE_OK : schema_probe(index);
}

static int writer_open(struct index *index, const char **ret_why)
{
	g_autofree char *mode = NULL;
	int code = db_open(&index->db, SQLITE_OPEN_CREATE, writer_pragmas);

	if (code == SQLITE_OK)
		code = db_value(&index->db, "PRAGMA journal_mode = WAL", &mode);
	if (code == SQLITE_OK && g_strcmp0(mode, "wal") != 0)
		return SQLITE_CANTOPEN;
	return code == SQLITE_OK ? schema_check(index, ret_why) : code;
}

/* Free `*ret_why`. */
static enum opened index_try(struct index *index, char **ret_why)
{
	const char *foreign = NULL;
	int code = writer_open(index, &foreign);

	if (code == SQLITE_OK && !foreign)
		return OPENED;
	*ret_why = g_strdup(foreign ? foreign : db_reason(&index->db, code));
	index_db_close(&index->db);
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a table or column is missing */
		return OPENED_UNFIT;
	default:
		return code == SQLITE_IOERR_SHORT_READ ? OPENED_UNFIT : OPENED_FAILED;
	}
}

static bool files_remove(struct index *index, GError **error)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};

	for (unsigned i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *path = g_strconcat(index->path, suffixes[i], NULL);

		if (unlink(path) < 0 && errno != ENOENT)
			return file_fail("remove", path, error);
	}
	unlink(index->mark);
	return true;
}

static bool index_begin_anew(struct index *index, const char *why, GError **error)
{
	g_autofree char *again = NULL;

	log_warning("%s: %s: beginning anew", index->path, why);
	if (!files_remove(index, error))
		return false;
	if (index_try(index, &again) == OPENED)
		return true;
	g_set_error(error, MAILFS_ERROR, ERROR_IO, "cannot make %s: %s", index->path, again);
	return false;
}

static bool index_prepare(struct index *index, GError **error)
{
	g_autofree char *why = NULL;

	if (access(index->mark, F_OK) == 0)
		return index_begin_anew(index, "it was found damaged", error);
	switch (index_try(index, &why)) {
	case OPENED:
		return true;
	case OPENED_UNFIT:
		return index_begin_anew(index, why, error);
	case OPENED_FAILED:
		break;
	}
	g_set_error(error, MAILFS_ERROR, ERROR_IO, "cannot open %s: %s", index->path, why);
	return false;
}

struct index *index_open(const char *dir, const char *account, GError **error)
{
	struct index *index = g_new0(struct index, 1);

	/* Nobody asks how much memory is in use, and counting it takes a lock for each piece.
	 * Refused, without harm, if SQLite has been used before. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	index->path = g_build_filename(dir, "index.sqlite", NULL);
	index->mark = g_build_filename(dir, "index.damaged", NULL);
	index->account = g_strdup(account);
	index->db.index = index;
	index->listed = g_hash_table_new(NULL, NULL);
	index->ancestors = g_hash_table_new(NULL, NULL);
	index->folders = -1;
	index->messages = -1;
	if (!index_prepare(index, error))
		index_close(&index);
	return index;
}

void index_close(struct index **index)
{
	struct index *old = g_steal_pointer(index);

	if (!old)
		return;
	index_db_close(&old->db);
	g_hash_table_destroy(old->listed);
	g_hash_table_destroy(old->ancestors);
	g_free(old->failure);
	g_free(old->account);
	g_free(old->mark);
	g_free(old->path);
	g_free(old);
}

bool index_is_damaged(const struct index *index)
{
	return atomic_load(&index->damaged);
}

bool index_write_ready(const struct index *index)
{
	return !index->failure && !atomic_load(&index->damaged);
}

sqlite3_stmt *index_write_statement(struct index *index, enum index_sql which)
{
	if (!index_write_ready(index))
		return NULL;
	if (!index->in_transaction) {
		sqlite3_stmt *begin = index_db_statement(&index->db, SQL_BEGIN);

		if (!begin || !index_db_run(&index->db, begin))
			return NULL;
		index->in_transaction = true;
	}
	return index_db_statement(&index->db, which);
}

sqlite3_stmt *index_write_query(struct index *index, enum index_sql which)
{
	return index_write_ready(index) ? index_db_statement(&index->db, which) : NULL;
}

bool index_write_flush(struct index *index)
{
	if (!index->pending_messages && !index->pending_bytes)
		return index_write_ready(index);
	sqlite3_stmt *add = index_write_statement(index, SQL_FOLDER_ADD);

	if (!add)
		return false;
	INDEX_BIND(add, index->pending_epoch, index->pending_messages, index->pending_bytes);
	index->pending_messages = index->pending_bytes = 0;
	return index_db_run(&index->db, add);
}

void index_write_add(struct index *index, uint32_t epoch, int64_t messages, int64_t bytes)
{
	if (index->pending_epoch != epoch) {
		index_write_flush(index);
		index->pending_epoch = epoch;
		index->messages = -1;
	}
	index->pending_messages += messages;
	index->pending_bytes += bytes;
	if (index->messages >= 0)
		index->messages += messages;
}

/* What is in memory must not outlive what it was derived from. */
static void index_forget_transaction(struct index *index)
{
	if (!sqlite3_get_autocommit(index->db.handle)) {
		sqlite3_stmt *rollback = index_db_statement(&index->db, SQL_ROLLBACK);

		if (rollback)
			index_db_run(&index->db, rollback);
	}
	g_hash_table_remove_all(index->listed);
	g_hash_table_remove_all(index->ancestors);
	index->folders = -1;
	index->messages = -1;
	index->pending_messages = index->pending_bytes = 0;
	index->in_transaction = index->gave_numbers = false;
}

/* A power failure would take back a number that was given, and it would be given again. */
static void log_sync(struct index *index)
{
	g_autofree char *path = g_strconcat(index->path, "-wal", NULL);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fdatasync(fd) < 0)
		log_warning("%s: %s", path, g_strerror(errno));
	if (fd >= 0)
		close(fd);
	index->gave_numbers = false;
}

bool index_commit(struct index *index, GError **error)
{
	if (index->in_transaction && index_write_flush(index)) {
		sqlite3_stmt *commit = index_db_statement(&index->db, SQL_COMMIT);

		if (commit && index_db_run(&index->db, commit))
			index->in_transaction = false;
		if (index->gave_numbers && !index->in_transaction)
			log_sync(index);
	}
	if (index_write_ready(index))
		return true;
	g_set_error(error, MAILFS_ERROR, ERROR_IO, "cannot write %s: %s", index->path,
		    index->failure ? index->failure : "it is damaged");
	index_forget_transaction(index);
	g_clear_pointer(&index->failure, g_free);
	return false;
}

struct index_view *index_view_new(struct index *index, GError **error)
{
	struct index_view *view = g_new0(struct index_view, 1);

	view->db.index = index;
	int code = db_open(&view->db, 0, reader_pragmas);

	if (code == SQLITE_OK)
		return view;
	g_set_error(error, MAILFS_ERROR, ERROR_IO, "cannot read %s: %s", index->path,
		    db_reason(&view->db, code));
	index_view_free(&view);
	return NULL;
}

void index_view_free(struct index_view **view)
{
	struct index_view *old = g_steal_pointer(view);

	if (!old)
		return;
	index_db_close(&old->db);
	g_free(old);
}
