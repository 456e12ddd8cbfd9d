/* What bodies.c and bodies_parts.c share. "_locked": with the lock held. */
#pragma once

#include "cache/bodies.h"
#include "cache/packs.h"

#include <pthread.h>
#include <time.h>

#define BODIES_PART ".part"

struct bodies {
	char *dir;
	uint64_t max_bytes;
	time_t opened_s; /* the mtime of the files that were made since */
	/* over names as well as the fields: a path is removed or replaced only under it */
	pthread_mutex_t lock;
	GHashTable *parts;
	struct held *held;
	struct packs *packs;
	GHashTable *files; /* keys of the complete ones: no other is looked for */
	uint64_t total;	   /* bytes of them */
	uint64_t gathered; /* the engine thread's own */
};

static inline gint64 bodies_key(uint32_t epoch, uint32_t uid)
{
	return (gint64)epoch << 32 | uid;
}

char *bodies_epoch_path(const struct bodies *bodies, uint32_t epoch);
char *bodies_path(const struct bodies *bodies, uint32_t epoch, uint32_t uid, const char *suffix);
bool bodies_make_epoch(struct bodies *bodies, uint32_t epoch, GError **error);
/* As an atime. What UTIME_NOW means is coarse: what was used before could seem to be used later. */
struct timespec bodies_use_now(void);
void bodies_file_add_locked(struct bodies *bodies, uint32_t epoch, uint32_t uid);
void bodies_total_take_locked(struct bodies *bodies, uint64_t size);
/* If there is one. */
void bodies_unlink_file_locked(struct bodies *bodies, uint32_t epoch, uint32_t uid);

/* --- bodies_parts.c --- */

GHashTable *bodies_parts_new(void);
/* Those of the epoch; their files are gone. */
void bodies_parts_drop(struct bodies *bodies, uint32_t epoch);
