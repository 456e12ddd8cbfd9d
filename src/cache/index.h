/* The index: what is known of folders and messages, in one SQLite database (WAL) in the account's
 * cache directory. Nothing in it is the only copy of anything: a damaged or foreign database is
 * removed and begun anew, with a log line.
 *
 * One writer, the engine thread, which calls the index_*() functions; changes are seen by
 * readers after index_commit(). Readers are struct index_view: one thread at a time each, any
 * number of them, all freed before index_close(). Errors of a view (a damaged page) are logged and
 * read as "not there". A callback may use its own view (or writer) for anything but the function
 * that called it.
 *
 * Names are the bytes that the server spelt. `leaf` is the last component of the name, never empty:
 * a separator that has nothing before or behind it belongs to its neighbour ("a//b" is "a/" and
 * "b"). Of two names that claim the same leaf of the same parent (by different separators) the
 * later one is top-level with its whole name. INBOX is one folder in any case of letters.
 *
 * Identity (architecture: "identity is arithmetic"): a folder's id is 28 bits of a hash of account
 * and name; its epoch 28 bits of a hash of account, name and UIDVALIDITY. Taken values are stepped
 * over, so they are unique in the database, and the same after it was deleted but for such
 * collisions. Both are >= 16. A rename keeps them. INDEX_ROOT is the parent of top-level folders;
 * it has a row too, for its mtime, with an empty name.
 */
#pragma once

#include "protocol/seqset.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define INDEX_ROOT 1u

struct index;
struct index_view;

struct folder_row {
	uint32_t id;
	uint32_t parent;
	char *name; /* NUL-terminated; free with folder_row_clear() */
	char *leaf;
	char separator;	     /* 0: none */
	unsigned attributes; /* enum store_attribute */
	uint32_t epoch;	     /* 0 until it was opened once */
	uint64_t uidvalidity;
	uint32_t uidnext;  /* every UID below is known; 1 at first */
	uint64_t modseq;   /* 0: none */
	bool synced;	   /* listed completely at least once */
	uint32_t messages; /* rows of this epoch */
	int64_t mtime_ns;  /* rises strictly with every visible change; also its generation */
	char token[5];	   /* four base32 characters of the hash behind epoch */
};

struct message_row {
	uint32_t uid;
	uint64_t size_hint; /* RFC822.SIZE */
	uint64_t size;	    /* exact, if `exact`; else the hint */
	bool exact;
	int64_t date_s;	      /* INTERNALDATE */
	int64_t ctime_ns;     /* last change of flags that we saw; at first the date */
	unsigned flags;	      /* enum store_flag */
	const char *keywords; /* space-separated; "" if none */
	const char *label;    /* "" if it has none */
};

void folder_row_clear(struct folder_row *row);

/* Opens or makes DIR/index.sqlite. ERROR_IO. */
struct index *index_open(const char *dir, const char *account, GError **error);
void index_close(struct index **index);
/* Any thread. True once damage was met: from then on nothing is there, nothing can be written,
 * and the next index_open() begins anew. */
bool index_is_damaged(const struct index *index);

/* --- the writer (engine thread) --- */

/* Makes the changes since the last commit visible. ERROR_IO: they are lost; the caller carries on
 * (the server still has everything) and lists the folders again. */
bool index_commit(struct index *index, GError **error);

/* Listing of folders: index_folder_seen() for each, then index_folders_sweep(), which removes those
 * not seen since the sweep before (with their messages) and calls `gone` for each. A missing parent
 * is made, marked STORE_ATTR_NOSELECT | STORE_ATTR_NONEXISTENT. Parents' mtimes rise when a child
 * comes or goes. A folder that is not listed but has children that are stays, with its messages,
 * marked like a missing one. False if nothing changed or the name is refused (empty, over
 * LIMIT_MAILBOX_NAME, deeper than LIMIT_FOLDER_DEPTH, more than LIMIT_FOLDERS). */
typedef void (*index_folder_fn)(void *data, const struct folder_row *row);
/* Called for each folder that is made from now on, a parent too; with its id, parent and leaf. */
void index_on_folder_made(struct index *index, index_folder_fn made, void *data);
bool index_folder_seen(struct index *index, const char *name, char separator, unsigned attributes,
		       int64_t now_ns);
void index_folders_sweep(struct index *index, int64_t now_ns, index_folder_fn gone, void *data);

/* Sets the UIDVALIDITY that the server told. If it differs from the known one, the messages of the
 * old epoch are forgotten, a new epoch begins with `synced` false, and `*ret_old_epoch` is the old
 * one (0 if there was none or it did not change). Returns the epoch; 0 on failure. */
uint32_t index_folder_open(struct index *index, uint32_t folder, uint64_t uidvalidity,
			   int64_t now_ns, uint32_t *ret_old_epoch);
/* What a completed refresh established. */
void index_folder_refreshed(struct index *index, uint32_t folder, uint32_t uidnext,
			    uint64_t modseq);
/* Raises the mtime strictly; called once a commit at most by the engine for each changed folder. */
void index_folder_touch(struct index *index, uint32_t folder, int64_t now_ns);
bool index_folder_write_get(struct index *index, uint32_t folder, struct folder_row *ret);
bool index_folder_write_find(struct index *index, const char *name, struct folder_row *ret);

/* A folder that is known under another name from now on, and those below it (behind `separator`)
 * with it: ids, epochs and messages stay. What had the new names is gone; a parent that was only
 * made for it goes too. False if there is no such folder, the new name (or that of one below it) is
 * refused as by index_folder_seen() or is itself below the old one, or INBOX would become another
 * folder or another one INBOX. */
bool index_folder_rename(struct index *index, uint32_t folder, const char *name, char separator,
			 int64_t now_ns);
/* With its messages, and a parent that was only made for it. One that has children stays, without
 * an epoch, marked like a missing parent. */
void index_folder_remove(struct index *index, uint32_t folder, int64_t now_ns);

enum index_change {
	INDEX_SAME,
	INDEX_NEW,
	INDEX_CHANGED, /* flags or keywords; ctime is set to now */
	INDEX_SHIFTED, /* the same, and STORE_FLAG_DELETED came or went */
};

/* Inserts, or updates flags and keywords of a known one (size, date and label never change once
 * known). `row->ctime_ns`, `size` and `exact` are ignored. INDEX_SAME if it would be one more than
 * LIMIT_MESSAGES. */
enum index_change index_message_put(struct index *index, uint32_t epoch,
				    const struct message_row *row, int64_t now_ns);
/* What is on record, for the writer; false: it is not there. `ret_keywords`: free with g_free(), or
 * NULL. */
bool index_message_write_flags(struct index *index, uint32_t epoch, uint32_t uid,
			       unsigned *ret_flags, char **ret_keywords);
/* Flags alone; INDEX_SAME if the UID is unknown. */
enum index_change index_message_flags(struct index *index, uint32_t epoch, uint32_t uid,
				      unsigned flags, const char *keywords, int64_t now_ns);
/* The exact size; a later one replaces it. True if it differs from what readers were told so far.
 */
bool index_message_size(struct index *index, uint32_t epoch, uint32_t uid, uint64_t size);
bool index_message_write_has(struct index *index, uint32_t epoch, uint32_t uid);
/* Adds the message to another epoch as `to_uid`, with all that is known of it (also the exact
 * size); flags as given. INDEX_SAME if it is not known or the other is there already. */
enum index_change index_message_copy(struct index *index, uint32_t epoch, uint32_t uid,
				     uint32_t to_epoch, uint32_t to_uid, unsigned flags,
				     int64_t now_ns);

/* Whether RFC822.SIZE is believed (the engine finds out). */
enum sizes_trust { SIZES_UNPROVEN, SIZES_TRUE, SIZES_LIE };
void index_sizes_set(struct index *index, enum sizes_trust trust);
enum sizes_trust index_sizes_get(struct index *index);

/* What the server allowed in a folder when it was asked last; it goes with the folder. */
struct rights_row {
	uint32_t folder;
	bool read_only;
	unsigned may;	      /* enum store_right */
	unsigned flags;	      /* enum store_flag that are kept */
	const char *keywords; /* space-separated; "" if none */
};

typedef void (*index_rights_fn)(void *data, const struct rights_row *row);
void index_rights_set(struct index *index, const struct rights_row *row);
void index_rights_each(struct index *index, index_rights_fn each, void *data);
/* The same of the account: enum store_ability, and the largest message that it takes. */
void index_abilities_set(struct index *index, unsigned abilities, uint64_t append_max_bytes);
/* False if they were never set. */
bool index_abilities_get(struct index *index, unsigned *ret_abilities,
			 uint64_t *ret_append_max_bytes);

/* Those that go are many at times: after each INDEX_PIECE of them it is called with UID 0, when what
 * was told is removed and the rest is not looked at yet, so that it can be committed and told on. */
#define INDEX_PIECE 4096
typedef void (*index_gone_fn)(void *data, uint32_t uid, const char *label);
/* Both return how many went. `upto`: UIDs above are left alone. */
uint32_t index_messages_remove(struct index *index, uint32_t epoch, const struct seqset *uids,
			       index_gone_fn gone, void *data);
uint32_t index_messages_keep(struct index *index, uint32_t epoch, const struct seqset *uids,
			     uint32_t upto, index_gone_fn gone, void *data);
/* Known messages of the epoch, and the highest UID (0 if none). */
uint32_t index_messages_count(struct index *index, uint32_t epoch, uint32_t *ret_highest);

/* --- readers --- */

struct index_view *index_view_new(struct index *index, GError **error);
void index_view_free(struct index_view **view);

/* False if there is no such row; `ret` is filled only if true. */
bool index_folder_get(struct index_view *view, uint32_t id, struct folder_row *ret);
bool index_folder_by_epoch(struct index_view *view, uint32_t epoch, struct folder_row *ret);
bool index_folder_child(struct index_view *view, uint32_t parent, const char *leaf,
			struct folder_row *ret);
bool index_inbox(struct index_view *view, struct folder_row *ret); /* in any case of letters */

/* Children with an id above `after`, ascending, until `each` returns false. */
typedef bool (*index_folder_each_fn)(void *data, const struct folder_row *row);
void index_folders_each(struct index_view *view, uint32_t parent, uint32_t after,
			index_folder_each_fn each, void *data);
/* At most `max` of those that were listed completely and have a modseq: INBOX, then those that
 * changed last. */
void index_folders_latest(struct index_view *view, unsigned max, index_folder_each_fn each,
			  void *data);
/* The first that has all of `wanted` attributes and none of `unfit`; 0: none has. Looks at all. */
uint32_t index_folders_search(struct index_view *view, unsigned wanted, unsigned unfit);
uint32_t index_folders_count(struct index_view *view, uint32_t parent);

/* `each` gets a row whose strings live during the call. For a single message too. */
typedef bool (*index_message_each_fn)(void *data, const struct message_row *row);
void index_messages_each(struct index_view *view, uint32_t epoch, uint32_t after_uid,
			 index_message_each_fn each, void *data);
/* The same of those alone that have STORE_FLAG_DELETED; without a look at the others. */
void index_deleted_each(struct index_view *view, uint32_t epoch, uint32_t after_uid,
			index_message_each_fn each, void *data);
uint32_t index_deleted_count(struct index_view *view, uint32_t epoch);
/* False if it is not there; else `each` was called once. */
bool index_message_get(struct index_view *view, uint32_t epoch, uint32_t uid,
		       index_message_each_fn each, void *data);
/* Sum of sizes and number of all messages: what df shows where the server has no quota. */
void index_totals(struct index_view *view, uint64_t *ret_bytes, uint64_t *ret_messages);
