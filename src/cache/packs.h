/* Small complete messages, many to a file: DIR/packs/<number>.pack, to which records are only
 * appended: a header, and the bytes of one message. Making a file for each would cost more than all
 * the rest of fetching it.
 *
 * Nothing is synced. The headers are looked at when the packs are opened, unless packs_close() has
 * left a list (pack_list.h): a record that is torn or wrong ends what is believed of its pack. Its
 * bytes are compared with their checksum once, when they are first read; its header is looked at
 * each time. Of two records of a message the later one counts. What is removed is marked on disk; a
 * pack of which nothing is left is unlinked, and one of which little is left is written anew by
 * packs_tidy(). When a pack was used last is its file's atime, set by us.
 *
 * Descriptors are the caller's, and outlive a removal. The engine thread writes.
 */
#pragma once

#include "base/file.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define PACKS_MESSAGE_MAX (64u * 1024) /* bytes of a message */

struct packs;

/* A message in a pack. */
struct packs_name {
	uint32_t epoch;
	uint32_t uid;
};

/* A pack. */
struct packs_use {
	uint32_t number; /* not 0 */
	uint64_t size;	 /* on disk */
	int64_t used_ns;
};

enum packs_found { PACKS_MISSING, PACKS_FOUND, PACKS_OTHER_SIZE };

/* `max_bytes`: of the whole cache; a pack has at most a small part of it. ERROR_IO. */
struct packs *packs_open(const char *dir, uint64_t max_bytes, GError **error);
void packs_close(struct packs **packs);

/* --- any thread --- */

/* `expected` is the exact size, or UINT64_MAX: then one from before packs_open() is missing. */
enum packs_found packs_get(struct packs *packs, uint32_t epoch, uint32_t uid, uint64_t expected,
			   struct file_span *ret);
bool packs_has(struct packs *packs, uint32_t epoch, uint32_t uid);
/* Bytes on disk. */
uint64_t packs_total(struct packs *packs);
/* Unless it is of the size `unless`. */
void packs_drop(struct packs *packs, uint32_t epoch, uint32_t uid, uint64_t unless);
/* Those of one epoch, one pack, or (0) of any. */
void packs_drop_all(struct packs *packs, uint32_t epoch, uint32_t number);
/* Of struct packs_name, likewise: of one epoch, one pack, or (0) of any. */
GArray *packs_names(struct packs *packs, uint32_t epoch, uint32_t number);
/* Of struct packs_use. */
GArray *packs_uses(struct packs *packs);

/* --- the engine thread --- */

/* A message of at most PACKS_MESSAGE_MAX bytes; it takes the place of one of that name. ERROR_IO,
 * ERROR_NO_SPACE. */
bool packs_put(struct packs *packs, uint32_t epoch, uint32_t uid, const void *bytes, uint32_t size,
	       GError **error);
/* Another one of the same bytes. Those again, and ERROR_IO: it is not there. */
bool packs_copy(struct packs *packs, uint32_t epoch, uint32_t uid, uint32_t to_epoch,
		uint32_t to_uid, GError **error);
/* To be called after removals: moves what is left of packs that are mostly empty. */
void packs_tidy(struct packs *packs);
