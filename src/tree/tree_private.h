/* What the files of tree/ share. */
#pragma once

#include "state/spool.h"
#include "tree/lately.h"
#include "tree/tree.h"

#include <pthread.h>

/* The kernel tells that a file is closed soon after close(2) returned. */
#define TREE_CLOSING_MS 1000

struct tree {
	struct tree_config config;
	int64_t born_ns;
	struct lately *lately;
	pthread_mutex_t lock; /* guards what follows */
	GPtrArray *views;     /* idle ones */
	GPtrArray *drafts;    /* open files of the spool and the outbox, borrowed */
	/* The sum over all messages takes a while with a million of them. */
	uint64_t total_bytes;
	uint64_t total_messages;
	int64_t totals_until_ms; /* 0: never asked */
	uint32_t trash;		 /* the folder; 0: none */
	int64_t trash_until_ms;	 /* 0: never looked for */
	bool told_no_trash, told_no_expunge;
};

/* One call: who asks, and through which view. Lives on the stack. */
struct visit {
	struct tree *tree;
	struct index_view *view;
	struct tree_call *call; /* NULL: it may not wait */
};

/* EIO if there is no view to be had. Every visit is ended. */
int visit_begin(struct visit *visit, struct tree *tree, struct tree_call *call);
void visit_end(struct visit *visit);

/* Nothing can be answered without it: TREE_AGAIN, or why waiting for it ended. */
int visit_need_hard(const struct visit *visit, const struct need *need);
/* 0 if it is answered from what is known, else TREE_AGAIN. */
int visit_need_soft(const struct visit *visit, const struct need *need);

/* What a kind of node can do; a missing function is ENOTDIR or EISDIR. */
struct node_ops {
	int (*lookup)(const struct visit *visit, uint64_t parent, const char *name,
		      struct tree_entry *ret);
	int (*getattr)(const struct visit *visit, uint64_t node, struct tree_entry *ret);
	int (*opendir)(const struct visit *visit, uint64_t node, int64_t *ret_generation,
		       uint32_t *ret_entries);
	int (*readdir)(const struct visit *visit, uint64_t node, uint64_t cookie,
		       tree_entry_fn each, void *data);
	/* `flags` ask for writing only of NODE_SPOOL, NODE_FLAGS, NODE_OUTBOX, and of
	 * ".mailfs/ctl". */
	int (*open)(const struct visit *visit, uint64_t node, int flags, struct tree_file **ret);
};

extern const struct node_ops folder_ops; /* the root too */
extern const struct node_ops message_ops;
extern const struct node_ops control_ops;
extern const struct node_ops view_ops;
extern const struct node_ops parts_ops; /* "<uid>.d" */
extern const struct node_ops flags_ops; /* "<uid>.d/flags" */
extern const struct node_ops draft_ops;
extern const struct node_ops outbox_dir_ops; /* and the files in it */

/* tree_lookup() within a visit. */
int node_lookup(const struct visit *visit, uint64_t parent, const char *name,
		struct tree_entry *ret);

/* --- entries that folders hold --- */

/* It can be removed, for all that is known: what the mode says. */
bool message_is_writable(const struct visit *visit, uint32_t folder);
void message_entry(struct tree_entry *ret, uint32_t epoch, const struct message_row *row,
		   bool writable);
/* ctime rises with a change on record, before the server knows. */
void message_touch(const struct tree *tree, uint32_t folder, struct tree_entry *entry);
/* A file of the spool: node, size, times. */
void draft_entry(struct tree *tree, const struct spool_file *file, struct tree_entry *ret);
/* `.mailfs`: ENOENT for any other name. */
int control_lookup_dir(const struct visit *visit, const char *name, struct tree_entry *ret);
void folder_root_entry(const struct visit *visit, struct tree_entry *ret);
void folder_entry(const struct visit *visit, const struct folder_row *row, struct tree_entry *ret);
/* Changes with every change of what is shown. */
int64_t folder_generation(const struct visit *visit, const struct folder_row *row);
/* 0 if what is known of the messages is fresh enough to answer from. `fresh`: the engine said so
 * before the index was read. */
int folder_wait(const struct visit *visit, const struct folder_row *row, bool fresh);
/* Of a view's node, as users write it. g_free(). NULL: it is none. */
char *view_name(uint64_t node);
/* An unlisted view: ENOENT for any other name. */
int view_lookup_dir(const struct visit *visit, const struct folder_row *folder, const char *name,
		    struct tree_entry *ret);

/* --- the outbox (outbox_dir.c), which can be changed where no folder can --- */

#define OUTBOX_DIR_NAME "outbox"

/* NULL: there is none. */
struct queue *outbox_dir_queue(const struct tree *tree);
void outbox_dir_entry(const struct visit *visit, bool failed, struct tree_entry *ret);
/* EFBIG, told before it is all written. `name` NULL: it has none any more. */
int outbox_dir_check_size(const struct visit *visit, const char *name, uint64_t size);
int outbox_dir_create(const struct visit *visit, uint64_t parent, const char *name,
		      struct tree_entry *ret, struct tree_file **ret_file);
int outbox_dir_unlink(const struct visit *visit, uint64_t parent, const char *name);
/* One of the directories is the outbox', or both. */
int outbox_dir_rename(const struct visit *visit, uint64_t parent, const char *name,
		      uint64_t new_parent, const char *new_name, bool no_replace);
int outbox_dir_fsync(const struct visit *visit, uint64_t node);

/* The text of "flags". ESTALE if the message is gone. g_free() it. */
int flags_text(const struct visit *visit, uint64_t node, char **ret, gsize *ret_len);
/* Words that are to be set ("seen", "+seen") or cleared ("-seen"); with no sign at all they are the
 * whole list. `node`: NODE_FLAGS or NODE_MESSAGE. EINVAL, EPERM (not kept by the server), EACCES,
 * EROFS, ENOENT (moved away), ESTALE; TREE_AGAIN for the rights. */
int flags_write(const struct visit *visit, uint64_t node, const char *text, size_t len);

/* How much of the text is words that are complete: 0, or up to a separator. */
size_t flags_whole_words(const char *text, size_t len);

/* What reading needs to know of a message. */
struct message_facts {
	struct tree_entry entry;
	uint64_t size; /* exact, if `exact`; else the hint */
	uint64_t size_hint;
	bool exact;
};

bool message_get_facts(const struct visit *visit, uint32_t epoch, uint32_t uid,
		       struct message_facts *ret);
/* The text of a control file. Free with g_free(). */
char *control_text(struct tree *tree, uint32_t number, gsize *ret_len);
bool control_grows(uint32_t number);
/* ".mailfs/ctl" can be written to, and nothing else there. */
bool control_is_written(uint64_t node);
/* A command: "reconnect", what SIGHUP does. EINVAL: it is none. */
int control_write(struct tree *tree, const void *buffer, size_t len);
