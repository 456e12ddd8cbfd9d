/* What the kernel holds of ours: how often it looked up each node (12 bytes a node), how many
 * children of each folder it knows, and which listing of a folder it may have cached. Any thread
 * may call; nothing blocks but for a short mutex.
 *
 * By the layout of node ids, nodes that differ only in the low 32 bits are children of one folder.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct known;

struct known *known_new(void);
void known_free(struct known **known);

/* One more lookup of `node`, found in `parent`; 0: not where its like belong. */
void known_add(struct known *known, uint64_t parent, uint64_t node);
/* `lookups` less. More than there are count as all. */
void known_forget(struct known *known, uint64_t node, uint64_t lookups);
bool known_has(struct known *known, uint64_t node);
/* Around looking something up and the answer that tells the kernel of it. */
void known_enter(struct known *known);
void known_leave(struct known *known);
/* It has the node, or somebody is between the two: he may have found it in what was true a moment
 * ago, and be about to tell the kernel. */
bool known_may_have(struct known *known, uint64_t node);
uint32_t known_children(struct known *known, uint64_t folder);
/* Number of nodes. */
size_t known_size(struct known *known);
/* Known nodes that share `node`'s upper half; 0: all. Rising. Free with g_array_unref(); of
 * uint64_t. */
GArray *known_siblings(struct known *known, uint64_t node);

enum known_listing {
	KNOWN_LISTING_NONE,  /* drop it, and do not cache: each entry shall come with its attributes
			      */
	KNOWN_LISTING_CACHE, /* drop it, and cache the one that is read now */
	KNOWN_LISTING_KEEP,  /* what is cached is this one */
};

/* What the kernel shall do with the listing that is opened. A cached listing never brings
 * attributes, so it is worth having only if the kernel knows nearly all the children. */
enum known_listing known_listing(struct known *known, uint64_t node, int64_t generation,
				 uint32_t entries);
