/* What the files of the index share: a connection with its prepared statements, and the writer.
 * See index.h for what it is.
 */
#pragma once

#include "cache/index.h"

#include <sqlite3.h>
#include <stdatomic.h>

/* What a folder that was only made for its children looks like. */
#define INDEX_IMPLIED (1u << 0 | 1u << 2) /* IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT */

#define INDEX_DELETED (1u << 3) /* IMAP_FLAG_DELETED */

/* Larger messages are told as this large: so no sum of sizes can overflow. */
#define INDEX_SIZE_MAX (UINT64_C(1) << 40)

enum index_sql {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_FOLDER_GET,
	SQL_FOLDER_BY_EPOCH,
	SQL_FOLDER_BY_NAME,
	SQL_FOLDER_CHILD,
	SQL_FOLDER_INBOX,
	SQL_FOLDERS_EACH,
	SQL_FOLDERS_LATEST,
	SQL_FOLDERS_COUNT,
	SQL_FOLDERS_ALL,
	SQL_FOLDERS_NAMES,
	SQL_FOLDERS_TOTAL,
	SQL_FOLDER_PARENT,
	SQL_FOLDER_ID_TAKEN,
	SQL_FOLDER_EPOCH_TAKEN,
	SQL_FOLDER_INSERT,
	SQL_FOLDER_PLACE,
	SQL_FOLDER_ATTRIBUTES,
	SQL_FOLDER_DELETE,
	SQL_FOLDER_OPEN,
	SQL_FOLDER_CLOSE,
	SQL_FOLDER_REFRESHED,
	SQL_FOLDER_TOUCH,
	SQL_FOLDER_ADD,
	SQL_MESSAGE_GET,
	SQL_MESSAGES_EACH,
	SQL_DELETED_EACH,
	SQL_DELETED_COUNT,
	SQL_MESSAGE_INSERT,
	SQL_MESSAGE_COPY,
	SQL_MESSAGE_GET_FLAGS,
	SQL_MESSAGE_FLAGS,
	SQL_MESSAGE_SIZES,
	SQL_MESSAGE_SET_SIZE,
	SQL_MESSAGES_UIDS,
	SQL_MESSAGES_RANGE,
	SQL_MESSAGES_DELETE_RANGE,
	SQL_MESSAGES_DELETE_EPOCH,
	SQL_MESSAGES_HIGHEST,
	SQL_SIZES_SET,
	SQL_SIZES_GET,
	SQL_TOTALS,
	SQL_RIGHTS_SET,
	SQL_RIGHTS_ALL,
	SQL_RIGHTS_DELETE,
	SQL_ABILITIES_SET,
	SQL_ABILITIES_GET,
	SQL_UIDLS_ALL,
	SQL_UIDL_GET,
	SQL_UIDL_ADD,
	SQL_UIDL_SET,
	SQL_UIDL_FORGET,
	SQL_UIDL_NEXT,
	SQL_UIDLS_VALIDITY_GET,
	SQL_UIDLS_VALIDITY_SET,
	SQL_STATEMENTS,
};

/* One connection: one thread at a time. */
struct index_db {
	sqlite3 *handle;
	struct index *index;
	sqlite3_stmt *statements[SQL_STATEMENTS]; /* made when first used */
	int error; /* the last one told: each is told once in a row */
};

struct index {
	char *path; /* of the database */
	char *mark; /* of the file that says: begin anew next time */
	char *account;
	atomic_bool damaged;

	/* the writer's */
	struct index_db db;
	bool in_transaction;
	bool gave_numbers;	/* of uidls.h, in this transaction: it must last */
	char *failure;		/* why the transaction is lost; NULL: it is not */
	GHashTable *listed;	/* ids of folders listed since the last sweep */
	GHashTable *ancestors;	/* and of those above them */
	int64_t folders;	/* rows; -1: to be counted */
	index_folder_fn made;	/* told of a new folder; may be NULL */
	void *made_data;
	uint32_t pending_epoch; /* the folder row that lacks these: */
	int64_t pending_messages;
	int64_t pending_bytes;
	int64_t messages; /* of pending_epoch, these too; -1: to be counted */
};

struct index_view {
	struct index_db db;
};

/* NULL on failure, which is noted. The caller resets it: a statement that is under way must not be
 * asked for again. */
sqlite3_stmt *index_db_statement(struct index_db *db, enum index_sql which);
/* True if there is a row; false at the end and on failure, which is noted. */
bool index_db_row(struct index_db *db, sqlite3_stmt *statement);
/* Runs one without a result, and resets it. */
bool index_db_run(struct index_db *db, sqlite3_stmt *statement);
void index_db_close(struct index_db *db);
/* Logs what the last call on the connection failed with; damage is remembered. */
void index_db_failed(struct index_db *db, int code);

void index_bind_ints(sqlite3_stmt *statement, const int64_t *values, unsigned n);
#define INDEX_BIND(statement, ...)                                                                 \
	index_bind_ints(statement, (const int64_t[]){__VA_ARGS__},                                 \
			G_N_ELEMENTS(((const int64_t[]){__VA_ARGS__})))
/* `text` lives until the statement is reset. */
void index_bind_text(sqlite3_stmt *statement, int column, const char *text);

/* Strings belong to the statement, until its next step. */
void index_folder_borrow(sqlite3_stmt *statement, struct folder_row *ret);
/* Runs a statement that yields at most one folder, copies it and resets the statement. */
bool index_folder_take(struct index_db *db, sqlite3_stmt *statement, struct folder_row *ret);

/* False if the transaction is lost already. */
bool index_write_ready(const struct index *index);
/* For a statement that changes something: begins a transaction if there is none. */
sqlite3_stmt *index_write_statement(struct index *index, enum index_sql which);
/* For one that reads what the writer wrote. */
sqlite3_stmt *index_write_query(struct index *index, enum index_sql which);
/* Adds to the sums of a folder row; they are written once a batch. */
void index_write_add(struct index *index, uint32_t epoch, int64_t messages, int64_t bytes);
bool index_write_flush(struct index *index);
