/* Files of the spool: what is no message, or not yet. See also file_private.h. Any thread. */
#pragma once

#include "tree/spot.h"

/* What stands under the new name is a spool file, which goes, or nothing. */
int draft_rename(const struct visit *visit, const struct spot *from, const struct spot *to);
