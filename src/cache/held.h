/* Complete messages that are open without a descriptor, as the kernel mostly has their pages and
 * nobody reads. The file of one is opened when it is read, or just before it is removed: it stays
 * readable as long as it is held, like any open file. Any thread. */
#pragma once

#include "base/file.h"

#include <stdbool.h>
#include <stdint.h>

struct held;	  /* the table, a part of struct bodies */
struct held_body; /* one open message */

/* Opens the complete message. Called with the table's lock, and without. */
typedef bool (*held_open_fn)(void *data, uint32_t epoch, uint32_t uid, uint64_t size,
			     struct file_span *ret);

struct held *held_new(held_open_fn open, void *data);
/* Nothing is held any more. */
void held_free(struct held **held);

/* The message of this length, if its file was seen within the last minutes and not removed since;
 * else NULL, which says nothing. Does not look at the disk. */
struct held_body *held_take(struct held *held, uint32_t epoch, uint32_t uid, uint64_t size);
/* held_take() would give it, by its right length. False also while others open or remove files:
 * this waits for nobody. */
bool held_knows(struct held *held, uint32_t epoch, uint32_t uid);
/* Ends the holding. The descriptor is the caller's; false: somebody else removed the file. */
bool held_open(struct held_body **body, struct file_span *ret);
void held_release(struct held_body **body);

/* --- for bodies.c --- */

/* To be asked before the file is looked at, and told to held_note() after. */
uint64_t held_removals(struct held *held);
/* Its file was seen. Ignored if any was removed meanwhile. */
void held_note(struct held *held, uint32_t epoch, uint32_t uid, uint64_t size, uint64_t removals);
/* Its file is about to be removed. */
void held_going(struct held *held, uint32_t epoch, uint32_t uid);
