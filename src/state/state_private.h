/* What the files of this floor share. All of it is under state->lock. */
#pragma once

#include "state/changes.h"
#include "state/names.h"
#include "state/spool.h"
#include "state/state.h"
#include "state/state_db.h"

#include <pthread.h>
#include <stdatomic.h>

/* A folder of the index, as far as this mount has something to do with it. */
struct place {
	uint32_t folder;
	int64_t touched_ns;
	unsigned pending;
	GHashTable *guest_names; /* name -> struct item, the names are the items' */
	GSequence *guests;	 /* of struct item, by id */
	GHashTable *file_names;	 /* name -> struct entry, the names are the entries' */
	GSequence *files;	 /* of struct entry, by id */
};

/* The numbers by which the index knows a mailbox; 0: not told yet. */
struct binding {
	uint32_t folder;
	uint32_t epoch;
	uint64_t uidvalidity;
};

struct state {
	pthread_mutex_t lock;
	pthread_cond_t idle; /* an entry is not busy any more */
	struct db db;
	char *dir;
	int spool_fd;
	GHashTable *places;   /* folder -> struct place */
	GHashTable *bindings; /* mailbox -> struct binding; of all on record at least */
	GHashTable *epochs;   /* epoch -> folder */

	GQueue items;	     /* of struct item that are not settled, by id */
	GQueue settled;	     /* the others */
	GHashTable *sources; /* epoch -> struct source */
	atomic_uint changing; /* so many; to be read without the lock */
	uint64_t last_change;
	unsigned pending;

	GHashTable *name_boxes; /* struct name_box, by itself */
	GHashTable *name_epochs;

	GHashTable *entries; /* id -> struct entry */
	GSequence *sendable; /* of struct entry, by id */
	uint32_t last_file;

	GHashTable *doubts; /* mailbox -> struct doubt */
};

/* "INBOX" for INBOX in any case of letters, else the name itself. */
const char *mailbox_spelt(const char *mailbox);
struct place *place_get(struct state *state, uint32_t folder);	/* made if need be */
struct place *place_find(struct state *state, uint32_t folder); /* NULL */
void state_touch_locked(struct state *state, uint32_t folder);
/* Something of the mailbox is on record, by these numbers as far as they are known. */
void binding_note(struct state *state, const char *mailbox, uint32_t folder, uint32_t epoch,
		  uint64_t uidvalidity);
struct binding *binding_find(struct state *state, const char *mailbox);

/* --- changes.c, changes_index.c --- */

struct source;
struct batch;
struct message;
struct doubt;
struct entry;

struct item {
	struct change change; /* comes first: the engine holds it by this */
	bool alone;
	bool counted;	 /* as pending */
	bool hidden;	 /* as a guest: the folder shows the message itself */
	bool source_new; /* settled, and the source was listed since: only the guest is left */
	GList in_items;
	GList in_message;
	struct source *source; /* NULL: not bound */
	struct message *message;
	struct batch *batch; /* while it can run */
	GSequenceIter *in_source, *in_batch;
	GSequenceIter *in_guests;
	struct doubt *doubt; /* of the target, as long as it is unknown */
	bool sought;	     /* counted there as running */
	struct doubt *waits; /* until that is over; it can run, but for that */
	GList in_waiting;
};

struct message {
	uint32_t uid;
	GQueue items; /* by id */
};

/* Of an epoch, what can run. */
struct ready {
	GSequence *items; /* of struct item, by id; `alone`: those tried least come first */
	int64_t not_before_ms;
};

/* An epoch with changes. */
struct source {
	uint32_t epoch;
	GHashTable *messages; /* uid -> struct message */
	GHashTable *batches;  /* key -> struct batch */
	struct ready together;
	struct ready alone; /* one that never succeeds holds up none of the others */
};

/* What can go in one command. */
struct batch {
	char *key;
	GSequence *ready; /* of struct item, by id */
};

/* STORE_FLAG_DELETED, which is of a floor above: what rm does. */
#define FLAG_DELETED (1u << 3)

bool changes_load(struct state *state);
void changes_free(struct state *state);
struct item *item_new(const struct change_request *request);
void item_free(struct item *item);
bool item_insert(struct state *state, const struct item *item); /* the record */
/* Into memory; takes it over. Bound as far as the bindings tell. */
void item_attach(struct state *state, struct item *item);
void item_detach(struct state *state, struct item *item);
/* The message is not concerned any more. */
void item_leave_source(struct state *state, struct item *item);
/* Where it waits for its turn. */
struct ready *item_ready(struct item *item);
/* Out of what can run, or waits for that; message_review() puts it back. */
void item_unready(struct item *item);
void message_review(struct source *source, struct message *message);
/* It can be shown, or not any more. */
void item_guest_review(struct state *state, struct item *item);
void item_count(struct state *state, struct item *item);
struct message *message_find(struct state *state, uint32_t epoch, uint32_t uid);
bool message_leaves(const struct message *message);
bool item_is_settled(const struct item *item);
char *item_describe(const struct change *change);
/* Guests of this name in the folder, whose message has it now. */
void guests_named(struct state *state, uint32_t folder, const char *name);
void changes_bind(struct state *state, const struct state_box *box, GPtrArray *lost);
void changes_rename(struct state *state, const char *from, const char *to);

/* --- doubt.c --- */

void doubts_init(struct state *state);
/* It became unknown or known, is taken or not any more, or its target has another name. Others may
 * be able to run now. */
void item_doubt(struct state *state, struct item *item);
/* It can run, but must not: from now on it waits for the end of the doubt about its target. */
bool item_wait(struct state *state, struct item *item);
void item_unwait(struct item *item);

/* --- names.c --- */

bool names_load(struct state *state);
void names_free(struct state *state);
/* The record, within a transaction; then the memory. */
bool names_put(struct state *state, const struct state_box *box, uint32_t uid, const char *name);
void names_remember(struct state *state, const struct state_box *box, uint32_t uid,
		    const char *name);
/* NULL; names.c's own. */
const char *names_get_locked(struct state *state, const char *mailbox, uint64_t uidvalidity,
			     uint32_t uid);
uint32_t names_find_locked(struct state *state, uint32_t epoch, const char *name);
void names_bind(struct state *state, const struct state_box *box);
void names_rename(struct state *state, const char *from, const char *to);

/* --- spool.c, spool_entry.c, spool_recover.c --- */

bool spool_load(struct state *state);
/* The first that is to be a copy of the message; NULL. */
struct entry *entry_find_clone(struct state *state, uint32_t epoch, uint32_t uid);
/* Makes directory and records agree; seals what was whole. `anew`: the records are lost. False if
 * something of which nobody knows could not be moved to lost/. */
bool spool_recover(struct state *state, bool anew);
void spool_free(struct state *state);
void spool_bind(struct state *state, const struct state_box *box, GPtrArray *lost);
void spool_rename_mailbox(struct state *state, const char *from, const char *to);
