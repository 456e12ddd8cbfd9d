/* Every statement of the index. A placeholder's number is the place in the call that binds it. */
#include "cache/index_sql.h"

#define FOLDER_COLUMNS                                                                             \
	"id, parent, name, leaf, separator, attributes, epoch, uidvalidity, uidnext, modseq,"      \
	" synced, messages, mtime_ns, token"
#define FOLDER_SELECT "SELECT " FOLDER_COLUMNS " FROM folder "
#define MESSAGE_COLUMNS "uid, size_hint, size, date_s, ctime_ns, flags, keywords, label"
#define MESSAGE_SELECT "SELECT " MESSAGE_COLUMNS " FROM message "
/* An index of these alone is used only where the same words are asked for. */
#define MESSAGE_DELETED "flags & 8"

/* An epoch is NULL until the folder was opened once, so that UNIQUE takes many of them. A folder's
 * `messages` and `bytes` are kept equal to the sums over its messages. `size` and `ctime_ns` are
 * NULL for as long as they say what size_hint and date_s say. */
const char index_schema[] =
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE folder ("
	" id INTEGER PRIMARY KEY,"
	" parent INTEGER NOT NULL,"
	" name TEXT NOT NULL UNIQUE,"
	" leaf TEXT NOT NULL,"
	" separator INTEGER NOT NULL,"
	" attributes INTEGER NOT NULL,"
	" epoch INTEGER UNIQUE,"
	" uidvalidity INTEGER NOT NULL DEFAULT 0,"
	" uidnext INTEGER NOT NULL DEFAULT 1,"
	" modseq INTEGER NOT NULL DEFAULT 0,"
	" synced INTEGER NOT NULL DEFAULT 0,"
	" messages INTEGER NOT NULL DEFAULT 0,"
	" bytes INTEGER NOT NULL DEFAULT 0,"
	" mtime_ns INTEGER NOT NULL,"
	" token TEXT NOT NULL DEFAULT '');"
	"CREATE INDEX folder_parent ON folder (parent);"
	"CREATE UNIQUE INDEX folder_leaf ON folder (parent, leaf);"
	"CREATE INDEX folder_inbox ON folder (id) WHERE name = 'INBOX' COLLATE NOCASE;"
	"CREATE TABLE message ("
	" epoch INTEGER NOT NULL,"
	" uid INTEGER NOT NULL,"
	" size_hint INTEGER NOT NULL,"
	" size INTEGER,"
	" date_s INTEGER NOT NULL,"
	" ctime_ns INTEGER,"
	" flags INTEGER NOT NULL,"
	" keywords TEXT NOT NULL,"
	" label TEXT NOT NULL,"
	" PRIMARY KEY (epoch, uid)) WITHOUT ROWID;"
	"CREATE INDEX message_deleted ON message (epoch, uid) WHERE " MESSAGE_DELETED ";"
	"CREATE TABLE rights ("
	" folder INTEGER PRIMARY KEY,"
	" read_only INTEGER NOT NULL,"
	" may INTEGER NOT NULL,"
	" flags INTEGER NOT NULL,"
	" keywords TEXT NOT NULL);"
	"CREATE TABLE abilities ("
	" id INTEGER PRIMARY KEY CHECK (id = 1),"
	" bits INTEGER NOT NULL,"
	" append_max INTEGER NOT NULL);"
	"CREATE TABLE uidl ("
	" number INTEGER PRIMARY KEY AUTOINCREMENT,"
	" uidl TEXT NOT NULL,"
	" size INTEGER NOT NULL,"
	" hash TEXT NOT NULL);";

const char *const index_sql_text[SQL_STATEMENTS] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",

	[SQL_FOLDER_GET] = FOLDER_SELECT "WHERE id = ?1",
	[SQL_FOLDER_BY_EPOCH] = FOLDER_SELECT "WHERE epoch = ?1",
	[SQL_FOLDER_BY_NAME] = FOLDER_SELECT "WHERE name = ?1",
	[SQL_FOLDER_CHILD] = FOLDER_SELECT "WHERE parent = ?1 AND leaf = ?2",
	[SQL_FOLDER_INBOX] = FOLDER_SELECT "WHERE name = 'INBOX' COLLATE NOCASE LIMIT 1",
	[SQL_FOLDERS_EACH] = FOLDER_SELECT "INDEXED BY folder_parent"
					   " WHERE parent = ?1 AND id > ?2 ORDER BY id",
	[SQL_FOLDERS_LATEST] = FOLDER_SELECT "WHERE synced AND modseq > 0"
					     " ORDER BY name = 'INBOX' COLLATE NOCASE DESC,"
					     " mtime_ns DESC LIMIT ?1",
	[SQL_FOLDERS_COUNT] = "SELECT count(*) FROM folder WHERE parent = ?1",
	/* a name is longer than its parent's: children come first */
	[SQL_FOLDERS_ALL] = "SELECT id, attributes FROM folder WHERE id <> ?1"
			    " ORDER BY length(CAST(name AS BLOB)) DESC",
	/* parents come first */
	[SQL_FOLDERS_NAMES] = "SELECT id, name, separator FROM folder WHERE id <> ?1"
			      " ORDER BY length(CAST(name AS BLOB))",
	[SQL_FOLDERS_TOTAL] = "SELECT count(*) FROM folder",
	[SQL_FOLDER_PARENT] = "SELECT parent FROM folder WHERE id = ?1",
	[SQL_FOLDER_ID_TAKEN] = "SELECT 1 FROM folder WHERE id = ?1",
	[SQL_FOLDER_EPOCH_TAKEN] = "SELECT 1 FROM folder WHERE epoch = ?1",
	[SQL_FOLDER_INSERT] = "INSERT INTO folder"
			      " (id, parent, separator, attributes, mtime_ns, name, leaf)"
			      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[SQL_FOLDER_PLACE] = "UPDATE folder SET parent = ?2, separator = ?3, name = ?4, leaf = ?5"
			     " WHERE id = ?1",
	[SQL_FOLDER_ATTRIBUTES] = "UPDATE folder SET attributes = ?2 WHERE id = ?1",
	[SQL_FOLDER_DELETE] = "DELETE FROM folder WHERE id = ?1",
	[SQL_FOLDER_OPEN] = "UPDATE folder SET epoch = ?2, uidvalidity = ?3, uidnext = 1,"
			    " modseq = 0, synced = 0, messages = 0, bytes = 0, token = ?4"
			    " WHERE id = ?1",
	[SQL_FOLDER_CLOSE] = "UPDATE folder SET epoch = NULL, uidvalidity = 0, uidnext = 1,"
			     " modseq = 0, synced = 0, messages = 0, bytes = 0, token = ''"
			     " WHERE id = ?1",
	[SQL_FOLDER_REFRESHED] = "UPDATE folder SET uidnext = max(uidnext, ?2), modseq = ?3,"
				 " synced = 1 WHERE id = ?1",
	[SQL_FOLDER_TOUCH] = "UPDATE folder SET mtime_ns = max(mtime_ns + 1, ?2) WHERE id = ?1",
	[SQL_FOLDER_ADD] = "UPDATE folder SET messages = messages + ?2, bytes = bytes + ?3"
			   " WHERE epoch = ?1",

	[SQL_MESSAGE_GET] = MESSAGE_SELECT "WHERE epoch = ?1 AND uid = ?2",
	[SQL_MESSAGES_EACH] = MESSAGE_SELECT "WHERE epoch = ?1 AND uid > ?2 ORDER BY uid",
	[SQL_DELETED_EACH] = MESSAGE_SELECT "INDEXED BY message_deleted WHERE " MESSAGE_DELETED
					    " AND epoch = ?1 AND uid > ?2 ORDER BY uid",
	[SQL_DELETED_COUNT] = "SELECT count(*) FROM message INDEXED BY message_deleted"
			      " WHERE " MESSAGE_DELETED " AND epoch = ?1",
	[SQL_MESSAGE_INSERT] = "INSERT OR IGNORE INTO message"
			       " (epoch, uid, size_hint, date_s, flags, keywords, label)"
			       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[SQL_MESSAGE_COPY] = "INSERT OR IGNORE INTO message (epoch, uid, size_hint, size, date_s,"
			     " ctime_ns, flags, keywords, label)"
			     " SELECT ?3, ?4, size_hint, size, date_s, ?6, ?5, keywords, label"
			     " FROM message WHERE epoch = ?1 AND uid = ?2",
	[SQL_MESSAGE_GET_FLAGS] = "SELECT flags, keywords FROM message"
				  " WHERE epoch = ?1 AND uid = ?2",
	[SQL_MESSAGE_FLAGS] = "UPDATE message SET flags = ?3, ctime_ns = ?4, keywords = ?5"
			      " WHERE epoch = ?1 AND uid = ?2",
	[SQL_MESSAGE_SIZES] = "SELECT size_hint, size FROM message WHERE epoch = ?1 AND uid = ?2",
	[SQL_MESSAGE_SET_SIZE] = "UPDATE message SET size = ?3 WHERE epoch = ?1 AND uid = ?2",
	[SQL_MESSAGES_UIDS] = "SELECT uid FROM message WHERE epoch = ?1 AND uid <= ?2"
			      " ORDER BY uid",
	[SQL_MESSAGES_RANGE] = "SELECT uid, label, coalesce(size, size_hint) FROM message"
			       " WHERE epoch = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid"
			       " LIMIT ?4",
	[SQL_MESSAGES_DELETE_RANGE] = "DELETE FROM message"
				      " WHERE epoch = ?1 AND uid BETWEEN ?2 AND ?3",
	[SQL_MESSAGES_DELETE_EPOCH] = "DELETE FROM message WHERE epoch = ?1",
	[SQL_MESSAGES_HIGHEST] = "SELECT max(uid) FROM message WHERE epoch = ?1",
	[SQL_SIZES_SET] = "REPLACE INTO meta VALUES ('sizes', ?1)",
	[SQL_SIZES_GET] = "SELECT value FROM meta WHERE key = 'sizes'",
	[SQL_TOTALS] = "SELECT total(bytes), sum(messages) FROM folder",

	[SQL_RIGHTS_SET] = "REPLACE INTO rights (folder, read_only, may, flags, keywords)"
			   " VALUES (?1, ?2, ?3, ?4, ?5)",
	[SQL_RIGHTS_ALL] = "SELECT folder, read_only, may, flags, keywords FROM rights",
	[SQL_RIGHTS_DELETE] = "DELETE FROM rights WHERE folder = ?1",
	[SQL_ABILITIES_SET] = "REPLACE INTO abilities (id, bits, append_max) VALUES (1, ?1, ?2)",
	[SQL_ABILITIES_GET] = "SELECT bits, append_max FROM abilities WHERE id = 1",

	[SQL_UIDLS_ALL] = "SELECT number, uidl, size, hash FROM uidl ORDER BY number",
	[SQL_UIDL_GET] = "SELECT number, uidl, size, hash FROM uidl WHERE number = ?1",
	[SQL_UIDL_ADD] = "INSERT INTO uidl (number, size, uidl, hash) VALUES (?1, ?2, ?3, ?4)",
	[SQL_UIDL_SET] = "UPDATE uidl SET size = ?2, uidl = ?3, hash = ?4 WHERE number = ?1",
	[SQL_UIDL_FORGET] = "DELETE FROM uidl WHERE number = ?1",
	[SQL_UIDL_NEXT] = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence"
			  " WHERE name = 'uidl'",
	[SQL_UIDLS_VALIDITY_GET] = "SELECT value FROM meta WHERE key = 'uidls'",
	[SQL_UIDLS_VALIDITY_SET] = "REPLACE INTO meta VALUES ('uidls', ?1)",
};
