/* What stat(2) says: the one place that decides modes. Any thread. */
#pragma once

#include "tree/tree.h"

#include <time.h>

struct timespec attr_time(int64_t ns);
void attr_set_size(struct tree_entry *entry, uint64_t size);
/* Both for reading alone; directories are volatile. */
void attr_dir(struct tree_entry *ret, uint64_t node, int64_t mtime_ns);
void attr_file(struct tree_entry *ret, uint64_t node, uint64_t size, bool volatile_attr);
/* A file that is written here: nothing about it stays. */
void attr_draft(struct tree_entry *ret, uint64_t node, uint64_t size, int64_t mtime_ns);
void attr_set_writable(struct tree_entry *entry);
