/* What packs.c, packs_scan.c and packs_write.c share. "_locked": with the lock held. */
#pragma once

#include "cache/pack_record.h"
#include "cache/pack_table.h"
#include "cache/packs.h"

#include <pthread.h>

#define PACK_SUFFIX ".pack"
#define PACKS_OPEN 16 /* with a descriptor for readers */

struct pack {
	uint32_t number;
	int fd; /* readers' are made from it; -1: none */
	unsigned entries;
	uint64_t end;
	uint64_t live; /* bytes of records with an entry */
	int64_t used_ns;
	int64_t noted_ns; /* what the disk says */
	bool thin;	  /* it waits for packs_tidy() */
};

struct packs {
	char *dir;
	uint64_t pack_max;
	pthread_mutex_t lock;
	struct pack_table *table;
	GHashTable *packs;	   /* number -> struct pack */
	GArray *thin;		   /* numbers */
	uint32_t open[PACKS_OPEN]; /* numbers, in a ring */
	unsigned next_open;
	uint64_t total;

	/* the engine thread's own */
	uint32_t next;
	uint32_t current; /* written to, if it is still there; 0: none */
	int current_fd;	  /* -1: not open */
};

/* An entry that went. */
struct loss {
	uint32_t pack;
	uint32_t start;
	bool empty; /* nor is the pack there any more */
};

/* --- files --- */

char *pack_path(const struct packs *packs, uint32_t number);
/* Its atime is ours to set. */
int pack_open(const struct packs *packs, uint32_t number, int flags);
struct pack_record *pack_read_entry(int fd, uint32_t epoch, const struct pack_entry *entry);
void packs_end_current(struct packs *packs);

/* --- packs_scan.c --- */

void packs_scan(struct packs *packs);
void packs_list(const struct packs *packs);

/* --- packs and entries --- */

struct pack *pack_find(const struct packs *packs, uint32_t number);
struct pack *pack_new_locked(struct packs *packs, uint32_t number, int64_t used_ns);
void pack_forget_locked(struct packs *packs, const struct pack *pack);
/* Nobody has removed its file, or cut it: what is written behind its end then would leave a hole of
 * zeros in its messages. */
bool pack_is_whole_locked(const struct pack *pack, int fd);
/* Somebody else has removed its file, or altered it. */
void pack_lost_locked(struct packs *packs, uint32_t number);
/* If little is left of it, it waits for packs_tidy(). */
void pack_note_thin_locked(struct packs *packs, struct pack *pack);
void pack_use_locked(struct pack *pack, int fd);
bool pack_is_same(const struct pack_entry *a, const struct pack_entry *b);
/* True if another entry went for it. */
bool pack_set_locked(struct packs *packs, struct pack *pack, uint32_t epoch,
		     const struct pack_entry *entry, struct loss *ret);
/* On disk; without the lock. */
void pack_settle_loss(const struct packs *packs, const struct loss *loss);
/* What was found wrong goes, what was found right is not looked at again; nothing, if another has
 * its place meanwhile. Without the lock. */
void pack_settle_check(struct packs *packs, uint32_t epoch, const struct pack_entry *entry,
		       bool sound);
