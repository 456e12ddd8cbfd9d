/* Changes of messages that were answered with success and are not confirmed by the server. They are
 * the first half of "what a folder shows = the index + the changes": nothing is written into the
 * index before the server confirmed it, and a refused change is undone by dropping it.
 *
 * Of one message, changes run in the order in which they were made. A change that the engine has in
 * hand (`running`) is not altered by anybody else; the engine thread alone takes, advances and
 * drops them.
 */
#pragma once

#include "state/state.h"

enum change_kind {
	CHANGE_FLAGS,
	CHANGE_EXPUNGE, /* for good */
	CHANGE_MOVE,
	CHANGE_COPY,
};

enum change_step {
	CHANGE_QUEUED,
	/* COPY, and MOVE where the server has no MOVE: UIDVALIDITY and UIDNEXT of the target are on
	 * record, the COPY may have been sent. One of an earlier run, or one whose connection was
	 * lost, is `unknown`: what came into the target since tells. */
	CHANGE_MARKED,
	CHANGE_COPIED, /* MOVE: the target has it, the source remains to be removed */
	/* The server confirmed it. No longer on record, but shown until a refresh that began later
	 * has ended: one under way may still tell what was before. MOVE and COPY are shown by each
	 * folder until its own refresh. */
	CHANGE_SETTLED,
};

struct change {
	uint64_t id; /* rises */
	enum change_kind kind;
	enum change_step step;
	bool running;
	bool unknown;
	bool sent;	/* MOVE: the connection was lost with it under way */
	unsigned tries; /* times that it was deferred */
	uint32_t folder;
	uint32_t epoch;
	char *mailbox;
	uint64_t uidvalidity;
	uint32_t uid;
	/* FLAGS: enum store_flag, and keywords parted by spaces ("" if none) */
	unsigned set;
	unsigned clear;
	char *set_words;
	char *clear_words;
	/* MOVE, COPY */
	uint32_t target; /* folder of the index; 0: not bound */
	char *target_mailbox;
	char *name; /* that the client chose; NULL: none */
	uint64_t mark_uidvalidity;
	uint32_t mark_uidnext;
	uint32_t target_uid; /* COPIED; 0: not known */
	uint64_t settled_at; /* as the engine orders such events */
};

/* --- making them --- */

/* What is asked of one message. Strings are copied; NULL words are none. */
struct change_request {
	enum change_kind kind;
	struct state_box box;
	uint32_t uid;
	unsigned set, clear;
	const char *set_words, *clear_words;
	uint32_t target;
	const char *target_mailbox;
	const char *name;
	bool not_behind; /* FLAGS: ERROR_GONE if another change of the message is in hand */
};

/* Joins a FLAGS change of the same message that is not running and has no other behind it: what is
 * asked for last counts (a `rm` taken back before it was sent becomes "-\Deleted", since what the
 * server has is not known here). Nothing is asked to be set and cleared at once. Touches both
 * folders. ERROR_GONE: a MOVE or EXPUNGE of the message is under way; ERROR_EXISTS: a guest or a
 * spool file of the target has the name; ERROR_BUSY: it is to be removed, and a spool file that is
 * to be a copy of it must get its bytes before (spool_find_clone()). */
bool changes_add(struct state *state, const struct change_request *request, GError **error);

/* --- what they make of the index --- */

struct overlay {
	unsigned set;	/* flags to be seen as set */
	unsigned clear; /* as not set */
	bool gone;	/* moved away or expunged: not there any more */
	bool copied;	/* a guest elsewhere has its node too */
	bool words;	/* keywords are altered, too: see changes_keywords() */
	bool pending;	/* something is not confirmed */
};

/* A message that shows more of the index than it did. */
struct bared {
	uint32_t uid;
	struct overlay was;
};

/* Any change of the epoch: where there is none, changes_overlay() need not be asked. */
bool changes_in(struct state *state, uint32_t epoch);
/* In any. Takes no lock: that is held while the disk is waited for. */
bool changes_any(struct state *state);
void changes_overlay(struct state *state, uint32_t epoch, uint32_t uid, struct overlay *ret);
/* By what the server has confirmed alone. */
void changes_overlay_settled(struct state *state, uint32_t epoch, uint32_t uid,
			     struct overlay *ret);
/* The keywords of a message with all changes applied, parted by spaces. Free with g_free(). */
char *changes_keywords(struct state *state, uint32_t epoch, uint32_t uid, const char *keywords);
/* Of all messages of the epoch that a change concerns, ascending; to count what is hidden. Free
 * with g_array_unref(); of uint32_t. */
GArray *changes_uids(struct state *state, uint32_t epoch);

/* A message that is on its way into a folder (MOVE or COPY): shown there under `name` with the
 * node, bytes and attributes that it has where it comes from, until the name is given to a message
 * of the folder (names_set()) or, once it is settled, a refresh of that folder has ended. One
 * without a name is not shown. */
struct guest {
	uint64_t id; /* of the change */
	uint32_t epoch;
	uint32_t uid;
	char *name; /* free with guest_clear() */
};

void guest_clear(struct guest *guest);
bool changes_guest(struct state *state, uint32_t folder, const char *name, struct guest *ret);
/* By rising id. NULL if there are none; free with g_ptr_array_unref(); of struct guest *. */
GPtrArray *changes_guests(struct state *state, uint32_t folder);

/* --- the engine --- */

/* The mailboxes whose messages are to be changed and that are not bound: nothing is sent of these
 * changes. NULL if there are none; a set of char *, INBOX in capitals; free with
 * g_hash_table_unref(). */
GHashTable *changes_unbound(struct state *state);
/* There is no such mailbox any more: its changes are dropped, and told as by state_bind(). */
void changes_lose(struct state *state, const char *mailbox, state_lost_fn lost, void *data);

/* Doubt: while a COPY or MOVE, or a spool file on its way there (spool.h), is `unknown`, nothing
 * else is taken that brings messages into the same mailbox: who searches for what is unknown finds
 * no other message of ours that looks like it. An unknown change waits for an unknown file, and a
 * file only for a change that the engine has in hand. */

#define CHANGES_BATCH 500 /* that go together, at most: a command line has an end */

/* The oldest change that can run (bound, not running, nothing before it of the same message, not
 * settled, no doubt about its target, and not put off: see changes_defer()), and all others that
 * are the same but for the UID (kind, step, unknown, source epoch, target, flags, words): now
 * running. One that is `alone` (changes_defer()) goes by itself. NULL if there is none. Free with
 * g_ptr_array_unref(); of struct change *, which stay valid and unaltered until they are advanced
 * or dropped. */
GPtrArray *changes_take(struct state *state, int64_t now_ms);
/* The same, however many there are. */
GPtrArray *changes_take_all(struct state *state, int64_t now_ms);
/* Back: not running, one more try. No change of the same folder is taken before `not_before_ms`, of
 * which the last word counts. `alone`: these in batches of one, until one is COPIED; only they, and
 * others of the folder that are alone, wait, and those that were tried less go first. */
void changes_defer(struct state *state, GPtrArray *changes, int64_t not_before_ms, bool alone);
/* QUEUED becomes MARKED; they stay running. Synced. On failure they stay as they were. */
bool changes_mark(struct state *state, GPtrArray *changes, uint64_t uidvalidity, uint32_t uidnext,
		  GError **error);
/* MARKED or QUEUED. `unknown`: the connection was lost with COPY under way. Not running any more.
 */
void changes_set_unknown(struct state *state, GPtrArray *changes);
/* MOVEs, still running: the server may have done them. */
void changes_set_sent(struct state *state, GPtrArray *changes);
/* An unknown one that proved not to have been done: QUEUED again, not running. */
bool changes_requeue(struct state *state, struct change *change, GError **error);
/* The target has it, as `target_uid` (0: not known). Synced; not running any more. On failure it is
 * unknown. */
bool changes_copied(struct state *state, struct change *change, uint32_t target_uid,
		    GError **error);
/* Confirmed: SETTLED. A failure to write is logged: it will be found done when it is done again.
 * They may be gone when it returns. */
void changes_settle(struct state *state, GPtrArray *changes, uint64_t at);
/* Refused, or moot: undone, not shown any more. */
void changes_drop(struct state *state, struct change *change);
/* A refresh of the epoch, which is bound, that began at `began` has ended: what was settled by
 * then is forgotten. If it told no `flags`, what was done to messages of the epoch shows on.
 * Adds each message that it concerned (struct bared, some more than once: what counts is the first)
 * to `ret`, if that is not NULL. */
void changes_refreshed(struct state *state, uint32_t epoch, uint64_t began, bool flags,
		       GArray *ret);
/* The message is gone, and not by any change in hand: those that were only asked for, now running,
 * for the engine to drop. NULL if there are none; free with g_ptr_array_unref(). */
GPtrArray *changes_take_gone(struct state *state, uint32_t epoch, uint32_t uid);
/* The folders whose messages are to be changed. Free with g_array_unref(); of uint32_t. */
GArray *changes_folders(struct state *state);
/* The highest UID that one of them names; 0: there are none. */
uint32_t changes_highest(struct state *state);
/* There is one that is not settled of this message. */
bool changes_pending(struct state *state, uint32_t epoch, uint32_t uid);
