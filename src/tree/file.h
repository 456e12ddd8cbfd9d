/* An open file: a message, complete or still arriving, or the text of a control file. Any number of
 * threads may read one. */
#pragma once

#include "tree/tree.h"

/* Up to this size a message is fetched whole before it is open: then its size is certain. */
#define TREE_WHOLE_MAX (1024 * 1024)
/* So far ahead of the reader the rest of a message is asked for. */
#define TREE_AHEAD_BYTES (1024 * 1024)

struct visit;

int tree_file_open_message(const struct visit *visit, uint64_t node, struct tree_file **ret);
struct tree_file *tree_file_new_control(struct tree *tree, uint32_t number);
