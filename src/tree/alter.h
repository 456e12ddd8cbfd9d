/* What is asked of a message is put on record and sent soon. Any thread. */
#pragma once

#include "state/changes.h"
#include "tree/spot.h"

/* On record, and the engine knows. EIO; ENOENT, EEXIST if another call was faster. TREE_AGAIN for
 * the bytes of a message that is to be removed before it was copied. */
int alter_add(const struct visit *visit, const struct change_request *request);
/* \Deleted comes or goes. Where that removes it for good: ENOENT if it is being done already. */
int alter_deleted(const struct visit *visit, const struct spot *spot, bool deleted);
/* `name`: in the target; NULL: that which it will have anyhow. */
int alter_move(const struct visit *visit, const struct spot *spot, const struct folder_row *target,
	       const char *name);
