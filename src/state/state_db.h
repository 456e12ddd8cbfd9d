/* The state's database: one connection, prepared statements, transactions. Under the state's lock.
 */
#pragma once

#include <glib.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

enum db_sql {
	DB_CHANGE_INSERT,
	DB_CHANGE_MERGE,
	DB_CHANGE_STEP,
	DB_CHANGE_DELETE,
	DB_CHANGE_EACH,
	DB_FILE_PUT,
	DB_FILE_DELETE,
	DB_FILE_EACH,
	DB_NAME_PUT,
	DB_NAME_DELETE,
	DB_NAME_DELETE_BOX,
	DB_NAME_EACH,
	DB_RENAME_SOURCE,
	DB_RENAME_TARGET,
	DB_RENAME_FILE,
	DB_RENAME_CLONE,
	DB_RENAME_FREE,
	DB_RENAME_NAME,
	DB_STATEMENTS,
};

struct db {
	sqlite3 *handle;
	sqlite3_stmt *statements[DB_STATEMENTS];
	char *path;
	char *why;   /* of the last failure */
	bool full;   /* the last failure: no room */
	bool synced; /* the transaction under way */
};

struct db_value {
	bool text;
	int64_t number;
	const char *string; /* NULL: NULL */
};

#define DB_INT(x)                                                                                  \
	{                                                                                          \
		.number = (int64_t)(x)                                                             \
	}
#define DB_TEXT(x)                                                                                 \
	{                                                                                          \
		.text = true, .string = (x)                                                        \
	}

/* Opens or makes DIR/state.sqlite for this process alone. One that is damaged or of a newer version
 * is set aside, with a log line. `*ret_anew`: it is a new one, until db_begun(). ERROR_IO;
 * ERROR_BUSY: another process has it. */
bool db_open(struct db *db, const char *dir, bool *ret_anew, GError **error);
void db_close(struct db *db);
/* Closes it, sets it aside, and opens a new one. */
bool db_begin_anew(struct db *db, const char *dir, GError **error);
/* What was there before it is looked after. */
void db_begun(struct db *db);

/* A placeholder's number is its place among the values. */
bool db_run(struct db *db, enum db_sql which, const struct db_value *values, unsigned n);
#define DB_RUN(db, which, ...)                                                                     \
	db_run(db, which, (const struct db_value[]){__VA_ARGS__},                                  \
	       sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value))
/* `each` for every row. False if it cannot be read to the end: it is damaged. */
typedef void (*db_row_fn)(void *data, sqlite3_stmt *row);
bool db_each(struct db *db, enum db_sql which, db_row_fn each, void *data);

/* `synced`: what it commits survives a power failure. */
bool db_begin(struct db *db, bool synced);
/* Commits what went well so far (`ok`), else takes it back. ERROR_IO; ERROR_NO_SPACE. */
bool db_end(struct db *db, bool ok, GError **error);
/* False, with the last failure. */
bool db_fail(const struct db *db, GError **error);
