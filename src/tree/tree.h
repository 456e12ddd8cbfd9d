/* The namespace: every operation a plain synchronous function over the index, the state and the
 * message files. What a folder shows is what the index says with the changes of this mount applied,
 * its files that are no messages yet, and the messages on their way into it.
 *
 * If something is missing that the server may have, it returns TREE_AGAIN with the need; the caller
 * parks the request, states the need, and calls the same function again when it is settled.
 *
 * A need is hard (nothing can be answered without it) or soft (the answer may be older than it
 * should be): `need_soft`. The second call says in tree_call.give_up why waiting ended (0: it was
 * met, ask anew; an errno: it was not). With an errno a soft need is answered from what is known
 * and a hard one fails with that errno; TREE_AGAIN is not returned then.
 *
 * Any thread may call; a struct tree_call belongs to one call. Results: 0, an errno, or TREE_AGAIN.
 */
#pragma once

#include "cache/bodies.h"
#include "cache/index.h"
#include "config/account.h"
#include "engine/engine.h"
#include "outbox/outbox.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#define TREE_AGAIN (-1)

struct tree;
struct tree_file;

struct tree_config {
	const struct account *account; /* borrowed, as the rest */
	struct index *index;
	struct bodies *bodies;
	struct state *state;
	struct engine *engine;
	struct outbox *outbox; /* NULL: there is none */
};

struct tree_call {
	int give_up;
	/* Of the operation that the server was asked for, or how far it has come; kept between
	 * calls. */
	uint32_t ticket;
	struct need need;
	bool need_soft;
};

/* Node ids (also st_ino): kind in bits 60-63, folder or epoch in 32-59, UID in 0-31. The root is 1.
 */
enum node_kind {
	NODE_SPECIAL,
	NODE_FOLDER,
	NODE_MESSAGE,
	NODE_CONTROL,
	NODE_SPOOL,  /* a file that is no message, or not yet: its number */
	NODE_VIEW,   /* of a folder: which (view.c) */
	NODE_PARTS,  /* of a message: "<uid>.d" */
	NODE_FLAGS,  /* of a message: "<uid>.d/flags" */
	NODE_OUTBOX, /* outbox/ and what is in it (outbox_dir.c) */
	NODE_GHOST = 15, /* tree_ghost() */
};

struct tree_entry {
	uint64_t node;
	struct stat attr;
	bool volatile_attr; /* may change at any time: no attribute caching (folders, control files)
			     */
	bool volatile_name; /* the name may stand for something else soon: no caching either */
};

struct tree *tree_new(const struct tree_config *config, GError **error);
void tree_free(struct tree **tree);

int tree_lookup(struct tree *tree, struct tree_call *call, uint64_t parent, const char *name,
		struct tree_entry *ret);
int tree_getattr(struct tree *tree, struct tree_call *call, uint64_t node, struct tree_entry *ret);

/* `*ret_generation` changes whenever the listing does; `*ret_entries` counts "." and "..", and is
 * UINT32_MAX while the folder is listed for the first time. Its first messages are waited for here,
 * the others by tree_readdir(), which hands out what comes while it comes. */
int tree_opendir(struct tree *tree, struct tree_call *call, uint64_t node, int64_t *ret_generation,
		 uint32_t *ret_entries);
/* Entries behind `cookie` (0: from the start) until `each` returns false. Cookies rise. That there
 * are none is the end; TREE_AGAIN, or an errno, only where there are none yet. ESTALE: the folder
 * was renumbered amid its first listing. */
typedef bool (*tree_entry_fn)(void *data, const char *name, const struct tree_entry *entry,
			      uint64_t cookie);
int tree_readdir(struct tree *tree, struct tree_call *call, uint64_t node, uint64_t cookie,
		 tree_entry_fn each, void *data);

/* Messages are read-only: any other access is EPERM (EROFS where nothing can be changed). */
int tree_open(struct tree *tree, struct tree_call *call, uint64_t node, int flags,
	      struct tree_file **ret);
/* The last writer of a new message hands it over to be sent: nothing is waited for. */
void tree_close(struct tree *tree, struct tree_file **file);
/* The same when the mount has gone while it was open: half a new message is not sent. */
void tree_abandon(struct tree *tree, struct tree_file **file);
/* As tree_getattr() of its node, but what is open outlives its removal: nlink is 0 then. */
int tree_file_getattr(struct tree *tree, struct tree_call *call, struct tree_file *file,
		      struct tree_entry *ret);
/* Texts made for the open (control files, flags): their size is that of the moment, so the kernel
 * must not cache. */
bool tree_file_is_text(const struct tree_file *file);
/* Once after the exact size turned out to differ from what getattr said before: 1 if it is larger
 * (the kernel's copy must be dropped before the answer to this open or read is sent), -1 if smaller
 * (after the answer to this read). Else 0. */
int tree_file_take_resized(struct tree_file *file);
/* `*ret_len` < len only at the end. `buffer` has room for `len` bytes. */
int tree_read(struct tree *tree, struct tree_call *call, struct tree_file *file, uint64_t offset,
	      size_t len, void *buffer, size_t *ret_len);
/* The bytes of a message that is here and has `size` of them; nothing is waited for. */
bool tree_peek(struct tree *tree, uint64_t node, uint64_t size, void *buffer);
/* A message that is opened, and closed, without a wait for a disk: the index, and what has just come,
 * are in memory mostly. */
bool tree_is_at_once(struct tree *tree, uint64_t node);

/* --- changing --- */

/* EROFS where nothing can be changed, EACCES where the server does not allow it: both at once, if
 * the rights are known. What answers 0 is done, or on record and sent soon. `flags`: renameat2(2).
 */
int tree_unlink(struct tree *tree, struct tree_call *call, uint64_t parent, const char *name);
int tree_rename(struct tree *tree, struct tree_call *call, uint64_t parent, const char *name,
		uint64_t new_parent, const char *new_name, unsigned flags);
/* These wait for the server's verdict. */
int tree_mkdir(struct tree *tree, struct tree_call *call, uint64_t parent, const char *name,
	       struct tree_entry *ret);
int tree_rmdir(struct tree *tree, struct tree_call *call, uint64_t parent, const char *name);
/* A new file, open for reading and writing. EEXIST if the name is taken. */
int tree_create(struct tree *tree, struct tree_call *call, uint64_t parent, const char *name,
		struct tree_entry *ret, struct tree_file **ret_file);

struct tree_setattr {
	bool set_size;
	uint64_t size;
	bool set_mtime;
	int64_t mtime_ns;
};

/* Size and time of what is not yet a message; all else (owner, mode; times of messages) succeeds
 * and does nothing. `file`: open for writing, or NULL. */
int tree_setattr(struct tree *tree, struct tree_call *call, uint64_t node, struct tree_file *file,
		 const struct tree_setattr *setattr, struct tree_entry *ret);
/* All of it, or an errno. */
int tree_write(struct tree *tree, struct tree_call *call, struct tree_file *file, uint64_t offset,
	       size_t len, const void *buffer);
/* Of a new message local errors alone, and nothing is waited for. Of flags what was written last
 * and may have been half a word: as tree_write(). */
int tree_flush(struct tree *tree, struct tree_call *call, struct tree_file *file);
/* Once after flags were changed through the file. */
bool tree_file_take_changed(struct tree_file *file);
/* The server's verdict on all that is pending of the file, or of the folder `node`; the root: of
 * all but the outbox. Of a file of the outbox that somebody writes to, EBUSY; who writes to it
 * himself makes it last, and waits for nobody. */
int tree_fsync(struct tree *tree, struct tree_call *call, struct tree_file *file);
int tree_fsyncdir(struct tree *tree, struct tree_call *call, uint64_t node);
/* A whole message into an empty new file becomes COPY on the server; anything else is EOPNOTSUPP,
 * for the caller to read and write. */
int tree_copy(struct tree *tree, struct tree_call *call, struct tree_file *from,
	      uint64_t from_offset, struct tree_file *to, uint64_t to_offset, uint64_t len,
	      uint64_t *ret_len);

/* Extended attributes. ENODATA; a value is at most 64 KiB. `*ret` is g_malloc'ed, `*ret_len` bytes.
 */
int tree_getxattr(struct tree *tree, struct tree_call *call, uint64_t node, const char *name,
		  char **ret, size_t *ret_len);
/* NUL-terminated names, one behind the other. */
int tree_listxattr(struct tree *tree, struct tree_call *call, uint64_t node, char **ret,
		   size_t *ret_len);
/* `flags`: XATTR_CREATE, XATTR_REPLACE. Attributes that are not ours: EOPNOTSUPP. EBUSY while a
 * copy of the message is on its way. */
int tree_setxattr(struct tree *tree, struct tree_call *call, uint64_t node, const char *name,
		  const char *value, size_t len, int flags);

int tree_statfs(struct tree *tree, struct statvfs *ret);

/* The listed name of a message and its alias, for notifications. g_free() both. */
char *tree_message_name(const struct tree *tree, uint32_t uid, const char *label,
			const char *token);
char *tree_message_alias(uint32_t uid);
/* The names under which a message may be listed in its folder, for the same purpose: its own, and
 * the one that a client chose. Free with g_ptr_array_unref(); of char *. NULL: it is not there. */
GPtrArray *tree_message_names(struct tree *tree, uint64_t node, uint32_t *ret_folder);
/* Of these nodes, those that are messages which their folder has but does not list: the names under
 * which it may have listed them. What is gone altogether has none that is known. */
typedef void (*tree_hidden_fn)(void *data, uint32_t folder, const char *name);
void tree_hidden_names(struct tree *tree, const uint64_t *nodes, size_t count, tree_hidden_fn each,
		       void *data);
/* The name of a folder in its parent. g_free(). */
char *tree_folder_name(uint32_t parent, const char *leaf);
/* Where a directory of mail (the root, a folder, a view, the outbox) stands, from the root: "" for
 * that, "INBOX/Lists". g_free(). NULL: it is not there, or is none. */
char *tree_path(struct tree *tree, uint64_t node);
/* False if it is not there. */
bool tree_folder_parent(struct tree *tree, uint32_t folder, uint32_t *ret_parent);
uint64_t tree_folder_node(uint32_t folder); /* INDEX_ROOT: the root */
uint64_t tree_message_node(uint32_t epoch, uint32_t uid);
uint64_t tree_deleted_node(uint32_t folder); /* its view ".deleted" */
uint64_t tree_outbox_node(bool failed);	     /* outbox/, or outbox/failed/ */
uint64_t tree_events_node(void); /* .mailfs/events: opened here it is empty */
/* What stands for something that is gone: a file, or a directory. `number`: any; no node is like it.
 */
void tree_ghost(uint32_t number, bool is_dir, struct tree_entry *ret);
enum node_kind tree_node_kind(uint64_t node);
uint32_t tree_node_epoch(uint64_t node); /* of a message; of a folder its id */
