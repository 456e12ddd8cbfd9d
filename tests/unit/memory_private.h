/* What the files of the mailstore in memory share. All under the account's lock. */
#pragma once

#include "memory_store.h"

struct store {
	const struct store_sink *sink;
	void *data;
	bool ready;
	bool mute;		    /* what happens is not told any more */
	struct memory_folder *open; /* the mailbox that is selected */
	bool changeable;	    /* likewise, for change */
	GQueue jobs;		    /* of struct store_job */
	bool brief;
	bool ending;					/* a brief one */
	unsigned visible[G_N_ELEMENTS(memory.folders)]; /* messages of each folder, likewise */
	int64_t login_ends_ms; /* 0: not begun */
	unsigned dripped;
	bool told;     /* a refresh told all it knows: of this */
	struct store_mailbox box;
	int64_t drip_ms; /* when the next may come */
	bool watcher;	 /* by its role */
	struct store_job *watch; /* under way */
	int news_fd;		 /* eventfd: `news`, or the end */
	const char *news;	 /* a folder */
};

/* memory_account.c */
/* Lives until the next reset. */
void *memory_own(void *block);
struct memory_folder *memory_make_folder(const char *name, uint64_t uidvalidity);
struct memory_folder *memory_find(const char *name);
void memory_put_message(struct memory_folder *folder, const struct memory_message *message);
void memory_take_message(struct memory_folder *folder, uint32_t uid);
struct memory_message *memory_find_message(const struct memory_folder *folder, uint32_t uid);
struct store_mailbox memory_mailbox(const struct memory_folder *folder);
GPtrArray *memory_words(const char *words);

/* memory_watch.c */
void memory_watch(struct store *store, struct store_job *job);
/* The job, or NULL. */
struct store_job *memory_watch_end(struct store *store);
bool memory_watches(const struct store *store, const char *name);
/* False if the connection is cut. */
bool memory_watch_step(struct store *store);

/* memory_change.c */
void memory_leave(struct store *store);
void memory_open_folder(struct store *store, const struct store_job *job,
			struct memory_folder *folder);
GError *memory_append(struct store_job *job, struct memory_folder *folder);
GError *memory_create(struct store_job *job);
GError *memory_delete(struct store_job *job, struct memory_folder *folder);
GError *memory_rename(struct store_job *job, const struct memory_folder *folder);
void memory_leave_job(struct store *store, const struct store_job *job);
/* In a folder that is open, at the UIDVALIDITY that is meant. */
GError *memory_run_in_folder(struct store *store, struct store_job *job,
			     struct memory_folder *folder);
