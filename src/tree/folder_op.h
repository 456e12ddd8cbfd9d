/* Making, renaming and removing folders: the server's verdict is waited for. Any thread. */
#pragma once

#include "tree/spot.h"

/* What the rename is from is a folder. The new name is free, or its own. */
int folder_op_move(const struct visit *visit, const struct spot *from, const struct spot *to);
