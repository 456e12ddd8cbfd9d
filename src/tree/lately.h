/* Attributes of messages that were opened whole lately: to open one again the index is not asked,
 * as the file goes with its message. Any thread. */
#pragma once

#include "tree/tree.h"

struct lately;

struct lately *lately_new(void);
void lately_free(struct lately **lately);
void lately_note(struct lately *lately, const struct tree_entry *entry);
bool lately_find(struct lately *lately, uint64_t node, struct tree_entry *ret);
