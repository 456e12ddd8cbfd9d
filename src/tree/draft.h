/* Files of the spool: what is no message, or not yet. See also file_private.h. Any thread. */
#pragma once

#include "tree/spot.h"

/* What stands under the new name is a spool file, which goes, or nothing. */
int draft_rename(const struct visit *visit, const struct spot *from, const struct spot *to);
/* What is to be replaced by a rename waits under a name of its own, and has the old one again if
 * nothing came of it. Nothing to do if it is no spool file. EEXIST: it is a message by now. */
int draft_put_aside(const struct visit *visit, const struct spot *to);
void draft_end_aside(const struct visit *visit, const struct spot *to, bool replaced);
/* Nothing would be lost with it: no bytes, and it is to be no copy of a message. */
bool draft_is_empty(const struct visit *visit, const struct spot *spot);
/* A file that is to be a copy of the message, if there is one, gets the bytes: the message goes. */
int draft_fill_clone_of(const struct visit *visit, uint32_t epoch, uint32_t uid);
