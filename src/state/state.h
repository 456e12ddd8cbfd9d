/* What must not be lost: the account's state directory ($XDG_STATE_HOME/mailfs/<account>/, 0700),
 * with what this mount promised and the server has not confirmed (changes.h), the names that
 * clients chose (names.h), and files that are no messages yet (spool.h). One SQLite database and a
 * directory of spool files; never deleted by itself. Everything is held in memory too: readers do
 * not touch the disk.
 *
 * Any thread. A short lock guards it all; nothing but the local disk is waited for under it. What a
 * function has done when it returns survives kill -9; where "synced" is said, a power failure too.
 * (A forgotten `rm` loses nothing, a forgotten message does.) ERROR_IO or ERROR_NO_SPACE (the disk
 * is full) where nothing else is said: then nothing was changed.
 *
 * A folder is known by the mailbox name that the server spelt and its UIDVALIDITY, which outlive
 * the cache; folder and epoch, the numbers of the index, are bound to them while the program runs.
 * What is not bound (the index does not know the mailbox yet) waits and is not shown.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct state;

/* A mailbox at one UIDVALIDITY. */
struct state_box {
	uint32_t folder; /* of the index; 0: not bound */
	uint32_t epoch;	 /* likewise; 0 also where no message is meant (a spool file's folder) */
	const char *mailbox;
	uint64_t uidvalidity;
};

/* ERROR_IO; ERROR_BUSY: another process has it. What was left half done is brought to an end: whole
 * messages are sealed (spool.h), what belongs to nothing is removed. Files with bytes that no
 * record names are moved to DIR/lost/, with a log line each. A database that cannot be read, or is
 * of a newer version, is set aside as "state.damaged-<time>", with a log line, and begun anew. With
 * one that is new, or was missing, all spool files are such files, messages (<id>.eml) among them.
 */
struct state *state_open(const char *dir, GError **error);
void state_close(struct state **state);

/* The index knows this mailbox by these numbers. What belongs to the mailbox at another UIDVALIDITY
 * (not 0) names messages that exist no more: names are dropped, changes are dropped and each is
 * told to `lost` ("removing message 5 of X"; may be NULL), but for running ones, which the server
 * will refuse. To be called by whoever takes changes, also when nothing is new: cheap where nothing
 * is known of it. */
typedef void (*state_lost_fn)(void *data, const char *what);
void state_bind(struct state *state, const struct state_box *box, state_lost_fn lost, void *data);
/* A mailbox was renamed, those below it (behind `separator`) with it. To be called by whoever takes
 * changes. */
bool state_renamed(struct state *state, const char *from, const char *to, char separator,
		   GError **error);

/* When something of this mount last changed what the folder shows: wall clock, rises strictly; 0:
 * not since the start. What a listing shows was changed before this. */
int64_t state_touched_ns(struct state *state, uint32_t folder);
void state_touch(struct state *state, uint32_t folder);

/* Changes and spool files that the server has not confirmed and that did not fail. */
unsigned state_pending(struct state *state);
/* The same of one folder, as source or target. */
unsigned state_pending_of(struct state *state, uint32_t folder);
