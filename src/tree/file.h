/* An open file: a message, complete or still arriving; a file of the spool; or a text that was made
 * for the open. Any number of threads may use one. */
#pragma once

#include "tree/tree.h"

/* Up to this size a message of a server that lies about sizes is fetched whole before it is open:
 * then its size is certain. */
#define TREE_WHOLE_MAX (1024 * 1024)
/* So far ahead of the reader the rest of a message is asked for. */
#define TREE_AHEAD_BYTES (1024 * 1024)
#define TREE_AHEAD_MAX (16 * 1024 * 1024)

struct visit;

int tree_file_open_message(const struct visit *visit, uint64_t node, int flags,
			   struct tree_file **ret);
/* Takes the text: of a control file, or of flags for flags_file_new(). */
struct tree_file *tree_file_new_text(uint64_t node, char *text, gsize len);
