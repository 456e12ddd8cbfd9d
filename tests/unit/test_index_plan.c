/* How the database goes about what it is asked: no statement looks at all messages of an account,
 * or at all folders to find one. */
#include "cache/index_sql.h"

#include <string.h>

/* Those that are about all folders, or all numbers of a maildrop. */
static bool is_about_all(enum index_sql which)
{
	switch (which) {
	case SQL_FOLDERS_ALL:
	case SQL_FOLDERS_NAMES:
	case SQL_FOLDERS_TOTAL:
	case SQL_FOLDERS_LATEST: /* at the start */
	case SQL_TOTALS:
	case SQL_RIGHTS_ALL:
	case SQL_UIDLS_ALL:
	case SQL_UIDL_NEXT: /* sqlite_sequence, which has one row */
		return true;
	default:
		return false;
	}
}

static void check_step(enum index_sql which, const char *detail)
{
	bool scans = g_str_has_prefix(detail, "SCAN") && !strstr(detail, "CONSTANT ROW");
	/* An index of some alone, all of which are wanted. */
	bool partial = strstr(detail, "folder_inbox") || strstr(detail, "message_deleted");
	bool sorts = strstr(detail, "TEMP B-TREE");

	if (is_about_all(which) ? strstr(detail, "message") != NULL : (scans && !partial) || sorts)
		g_error("%s: %s", index_sql_text[which], detail);
}

static void test_plans(void)
{
	sqlite3 *db;

	g_assert_cmpint(sqlite3_open(":memory:", &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, index_schema, NULL, NULL, NULL), ==, SQLITE_OK);
	for (int which = SQL_ROLLBACK + 1; which < SQL_STATEMENTS; which++) {
		g_autofree char *sql =
			g_strconcat("EXPLAIN QUERY PLAN ", index_sql_text[which], NULL);
		sqlite3_stmt *plan;

		g_assert_cmpint(sqlite3_prepare_v2(db, sql, -1, &plan, NULL), ==, SQLITE_OK);
		while (sqlite3_step(plan) == SQLITE_ROW)
			check_step((enum index_sql)which,
				   (const char *)sqlite3_column_text(plan, 3));
		sqlite3_finalize(plan);
	}
	sqlite3_close(db);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/index-plan/nothing-is-scanned", test_plans);
	return g_test_run();
}
