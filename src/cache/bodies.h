/* Complete messages, verbatim. Small ones stand together in packs (packs.h); a large one is a file,
 * DIR/bodies/<epoch in hex>/<uid>, "<uid>.part" while it is being fetched. Paths are made of
 * numbers, never of a server's names. A complete message is never changed; an open descriptor
 * outlives its removal.
 *
 * Nothing is synced to disk: the index knows the exact size, and a message whose size differs
 * (after a power failure) is dropped and fetched again. One that the index does not know counts
 * only if it was made since bodies_open(): a file's mtime is that time. Use is remembered as the
 * atime of a file or a pack, set by us.
 *
 * A part of what will be a small message is gathered in memory, until it is complete or somebody
 * may read it.
 *
 * The engine thread writes; any thread may read.
 */
#pragma once

#include "base/file.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct bodies;
struct held;

/* Removes left-over parts, and looks at what there is. ERROR_IO. */
struct bodies *bodies_open(const char *dir, uint64_t max_bytes, GError **error);
void bodies_close(struct bodies **bodies);

/* --- any thread --- */

/* Where the complete message is; the descriptor is the caller's to close, and what lies around the
 * message in the file is none of his business. `expected` is the exact size if known, else
 * UINT64_MAX; one of another size is removed and counts as missing, as does one from before
 * bodies_open() if the size is not known. */
bool bodies_get(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t expected,
		struct file_span *ret);
/* Open messages whose files need not be open. Those of bodies_get() are known there. */
struct held *bodies_held(struct bodies *bodies);
/* A complete message is there; its size is not looked at. */
bool bodies_has(struct bodies *bodies, uint32_t epoch, uint32_t uid);
/* A descriptor of one that is being fetched, of which `*ret_received` bytes from its start may be
 * read, or -1: none may. It stays valid when the part becomes complete. */
int bodies_get_part(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t *ret_received);
/* Bytes of the part that may be read; 0 if there is no part (complete, dropped or not begun). */
uint64_t bodies_received(struct bodies *bodies, uint32_t epoch, uint32_t uid);
/* There is a part, and more of it is on its way. */
bool bodies_is_coming(struct bodies *bodies, uint32_t epoch, uint32_t uid);
/* Bytes on disk of what is complete. */
uint64_t bodies_total(struct bodies *bodies);

/* --- the engine thread --- */

/* Begins a part, or goes on with the one there is, and gives its received length. */
void bodies_part_begin(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t *ret_received);
/* Writes behind what was received; not yet readable. May be written again until it is published,
 * but leaves no hole. ERROR_IO; ERROR_LIMIT over LIMIT_MESSAGE_SIZE. */
bool bodies_part_write(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t offset,
		       const void *bytes, gsize len, GError **error);
/* The first `received` bytes are verified to be this message's: they may be read, unless the disk
 * is full. */
void bodies_part_publish(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t received);
/* What is to come has come, for now. */
void bodies_part_rest(struct bodies *bodies, uint32_t epoch, uint32_t uid);
/* It is complete with `size` bytes, all verified. ERROR_IO, ERROR_NO_SPACE: the part is as it was.
 */
bool bodies_part_commit(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t size,
			GError **error);
void bodies_part_discard(struct bodies *bodies, uint32_t epoch, uint32_t uid);

/* The complete message is also that of another epoch and UID now: a small one is copied, of a large
 * one each name counts with its size. Nothing happens if it is not there, or the other is. */
void bodies_link(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint32_t to_epoch,
		 uint32_t to_uid);
/* Both also discard parts. */
void bodies_drop(struct bodies *bodies, uint32_t epoch, uint32_t uid);
void bodies_drop_epoch(struct bodies *bodies, uint32_t epoch);
/* Removes the least recently used files and packs until 90 % of the maximum is left, if it is
 * exceeded; no part under way, and never what was used last: whoever fetched it must get to read
 * it.
 */
void bodies_evict(struct bodies *bodies);
