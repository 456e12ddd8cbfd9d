/* Files of the spool: what is no message, or not yet. See also file_private.h. Any thread. */
#pragma once

#include "tree/spot.h"

/* What stands under the new name is a spool file, which goes, or nothing. */
int draft_rename(const struct visit *visit, const struct spot *from, const struct spot *to);
/* A file that is to be a copy of the message, if there is one, gets the bytes: the message goes. */
int draft_fill_clone_of(const struct visit *visit, uint32_t epoch, uint32_t uid);
