/* Where something is to be changed: a folder, or its view of deleted messages, and what stands
 * there under a name. And whether it may be changed. Any thread. */
#pragma once

#include "state/state.h"
#include "tree/tree_private.h"

enum spot_kind {
	SPOT_FREE, /* nothing has the name */
	SPOT_FOLDER,
	SPOT_MESSAGE,
	SPOT_GUEST, /* a message on its way in */
	SPOT_SPOOL,
	SPOT_FIXED, /* what can only be looked at */
};

struct spot {
	struct folder_row dir; /* the root has a row too */
	bool deleted;	       /* in the view of deleted messages */
	enum spot_kind kind;
	uint64_t node;	  /* of what stands there */
	const char *name; /* borrowed */
};

/* EPERM where nothing is ever made or removed, ESTALE if the folder is gone; ENAMETOOLONG. Nothing
 * to clear then. */
int spot_find(const struct visit *visit, uint64_t parent, const char *name, struct spot *ret);
void spot_clear(struct spot *spot);

/* What unlink(2) and rmdir(2) have in common: what `may` says, else `alter` of what stands there.
 */
int spot_alter(struct tree *tree, struct tree_call *call, uint64_t parent, const char *name,
	       int (*may)(const struct visit *visit),
	       int (*alter)(const struct visit *visit, const struct spot *spot));

/* The folder can hold messages. */
bool spot_holds_mail(const struct spot *spot);
/* The folder is `top`, or somewhere below it. */
bool spot_is_below(const struct visit *visit, uint32_t folder, uint32_t top);
/* The folder, for the state. Lives as long as the row. */
struct state_box spot_box(const struct folder_row *row);

/* EROFS if nothing can be changed in this mount. */
int spot_may_change(const struct visit *visit);
/* EROFS if not even messages can be removed from it: a maildrop can do that, and nothing else. */
int spot_may_remove(const struct visit *visit);
/* That is all that can be done. */
bool spot_is_maildrop(const struct visit *visit);
/* `needed`: of enum store_right. EROFS, EACCES; asks the server if that is not known, and takes its
 * silence for a yes. */
int spot_may(const struct visit *visit, const struct folder_row *row, unsigned needed);
/* The same, but only of what is known: for who waits for the server's verdict anyhow. */
int spot_may_known(const struct visit *visit, const struct folder_row *row, unsigned needed);

/* What stands there is about to become a message of the folder: waits until it is. */
int spot_wait_for_guest(const struct visit *visit, const struct spot *spot);
int spot_wait_for_spool(const struct visit *visit, uint32_t id);
/* Frees the name of the spool file that has it. */
int spot_remove_spool(const struct visit *visit, const struct spot *spot);
