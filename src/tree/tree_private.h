/* What the files of tree/ share. */
#pragma once

#include "tree/tree.h"

#include <pthread.h>

struct tree {
	struct tree_config config;
	int64_t born_ns;
	pthread_mutex_t lock; /* guards what follows */
	GPtrArray *views;     /* idle ones */
	/* The sum over all messages takes a while with a million of them. */
	uint64_t total_bytes;
	uint64_t total_messages;
	int64_t totals_until_ms; /* 0: never asked */
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
	int (*open)(const struct visit *visit, uint64_t node, struct tree_file **ret);
};

extern const struct node_ops folder_ops; /* the root too */
extern const struct node_ops message_ops;
extern const struct node_ops control_ops;

/* --- entries that folders hold --- */

void message_entry(struct tree_entry *ret, uint32_t epoch, const struct message_row *row);
/* ENOENT if the index does not hold `uid`, or under another name than `name`. */
int message_lookup(const struct visit *visit, const struct folder_row *folder, uint32_t uid,
		   const char *name, struct tree_entry *ret);
/* `.mailfs`: ENOENT for any other name. */
int control_lookup_dir(const struct visit *visit, const char *name, struct tree_entry *ret);
void folder_root_entry(const struct visit *visit, struct tree_entry *ret);

/* What reading needs to know of a message. */
struct message_facts {
	struct tree_entry entry;
	uint64_t size; /* exact, if `exact`; else the hint */
	uint64_t size_hint;
	bool exact;
};

bool message_get_facts(struct index_view *view, uint32_t epoch, uint32_t uid,
		       struct message_facts *ret);
/* The text of a control file. Free with g_free(). */
char *control_text(struct tree *tree, uint32_t number, gsize *ret_len);
bool control_grows(uint32_t number);
