/* An entry of the queue in memory, and what is done to its files. All under the queue's lock. */
#pragma once

#include "outbox/queue.h"

#include <pthread.h>

enum queue_dir {
	QUEUE_DIR_DRAFT,
	QUEUE_DIR_WHOLE,
	QUEUE_DIR_WAITING,
	QUEUE_DIR_SENDING,
	QUEUE_DIR_SENT,
	QUEUE_DIR_FAILED,
	QUEUE_DIR_INFO,
	QUEUE_DIRS,
};

/* A name stands for one file in each. */
enum queue_space { QUEUE_SPACE_OUTBOX, QUEUE_SPACE_SENT, QUEUE_SPACE_FAILED, QUEUE_SPACES };

#define QUEUE_STEPS (QUEUE_FAILED + 1)
#define QUEUE_PATH_MAX (QUEUE_NAME_MAX + 16)

struct queue_entry {
	struct queue_file file; /* size and time as of the last look */
	enum queue_dir dir;
	bool unclaimed; /* made, and not opened by its maker yet */
	bool whole;	/* nothing was written since the last flush */
	bool has_info;	/* there is a file in info/ */
	bool unhanded;	/* its last writer closed it, and the disk did not play along */
	bool unended;	/* SENDING: as `ends`, but that could not be put on record */
	enum queue_step ends;
	unsigned touches;
	int64_t sent_ms;
};

struct queue {
	pthread_mutex_t lock;
	char *path;
	int dirs[QUEUE_DIRS];
	int64_t send_delay_ms;
	uint32_t last_id;
	uint64_t last_serial;
	GHashTable *entries;	   /* id -> struct queue_entry *, which it owns */
	GTree *steps[QUEUE_STEPS]; /* the same by step, by rising id */
	GHashTable *names[QUEUE_SPACES];
	bool unhanded;	       /* some entry may be */
	unsigned copies;       /* entries that want one, whatever their step */
	int64_t touched_ns[2]; /* outbox/, failed/ */
	GQueue leavers;	       /* of struct leaver *: names that were in failed/, oldest first */
	GHashTable *left;      /* name -> the latest of them */
};

/* --- queue_memory.c --- */

void queue_memory_init(struct queue *queue);
void queue_memory_clear(struct queue *queue);
int64_t queue_now_ms(void);
enum queue_step queue_step_of(enum queue_dir dir);
bool queue_name_is_sound(const char *name);
struct queue_entry *queue_entry_find(struct queue *queue, uint32_t id);
struct queue_entry *queue_entry_named(struct queue *queue, enum queue_space space,
				      const char *name);
/* Listed and found from now on. Takes what `file` has; does not take the name away from another. */
struct queue_entry *queue_entry_add(struct queue *queue, enum queue_dir dir,
				    const struct queue_file *file);
/* `name` and `info` are copied, and may be its own. Nobody has it in hand any more. */
void queue_entry_become(struct queue *queue, struct queue_entry *entry, enum queue_dir dir,
			const char *name, const struct queue_info *info);
/* `info` is copied, and may be its own. */
void queue_entry_set_info(struct queue *queue, struct queue_entry *entry,
			  const struct queue_info *info);
void queue_entry_renumber(struct queue *queue, struct queue_entry *entry, uint32_t id);
/* From memory; the files stay. */
void queue_entry_free(struct queue *queue, struct queue_entry *entry);
/* Looks at size and time. */
void queue_entry_measure(struct queue *queue, struct queue_entry *entry);
bool queue_entry_is_mail(const struct queue_entry *entry);
void queue_file_copy(const struct queue_file *file, struct queue_file *ret);
/* A name like that which is free there: "NAME~2.eml". */
char *queue_name_free(struct queue *queue, enum queue_space space, const char *name);
/* Somebody may still ask for it: queue_failed_was(). */
void queue_note_leaver(struct queue *queue, const char *name);

/* --- queue_info.c --- */

/* What info/ says: as what, and under which name, it is on its way or has arrived there. */
struct queue_record {
	enum queue_step step;
	char *name;
	int64_t sent_ms;
	struct queue_info info;
};

void queue_info_copy(const struct queue_info *info, struct queue_info *ret);
void queue_info_clear(struct queue_info *info);
bool queue_info_has_done(const struct queue_info *info);
/* Whoever does not have it yet gets it tried again. */
void queue_info_reopen(struct queue_info *info);
/* What a draft keeps of it: if somebody has it already, who that is. */
void queue_info_take_back(struct queue_info *info);
void queue_record_clear(struct queue_record *record);
/* Synced; of `record` nothing is kept. On failure info/ says what it said before. */
bool queue_info_put(struct queue *queue, struct queue_entry *entry,
		    const struct queue_record *record, GError **error);
/* Back to what the memory has, as well as it can be. */
void queue_info_restore(struct queue *queue, struct queue_entry *entry, bool had_info);
/* None is fine. False with errno. */
bool queue_info_unlink(struct queue *queue, uint32_t id);
/* ERROR_LIMIT, ERROR_IO: it makes no sense. */
bool queue_info_get(struct queue *queue, uint32_t id, struct queue_record *ret, GError **error);

/* --- queue_disk.c --- */

extern const char *const queue_dir_names[QUEUE_DIRS];

/* "<id>.<name>" */
void queue_path(uint32_t id, const char *name, char ret[QUEUE_PATH_MAX]);
/* "cannot VERB 'PATH': " and errno. */
bool queue_fail(struct queue *queue, const char *verb, enum queue_dir dir, const char *name,
		GError **error);
/* The same of where it stands. */
bool queue_entry_fail(struct queue *queue, const char *verb, const struct queue_entry *entry,
		      GError **error);
/* A descriptor; -1 with errno. */
int queue_entry_open(struct queue *queue, const struct queue_entry *entry, int flags);

/* Where an entry goes, and what for. */
struct queue_move {
	enum queue_dir dir;
	const char *name;
	const struct queue_info *info;
	int64_t sent_ms;
	struct queue_entry *replaced; /* had the name; gone after; may be NULL */
	struct queue_entry *envelope; /* is in info->given; likewise */
};

/* First info/ says what is to be, synced; then one rename(), synced: killed between them, the next
 * start goes on. On failure nothing has changed. */
bool queue_move(struct queue *queue, struct queue_entry *entry, const struct queue_move *move,
		GError **error);
/* draft/ to whole/ or back, synced. */
bool queue_shift(struct queue *queue, struct queue_entry *entry, enum queue_dir dir,
		 GError **error);
/* Its files go, and it from memory. */
bool queue_drop(struct queue *queue, struct queue_entry *entry, GError **error);
/* Goes on under another number, synced. */
bool queue_renumber(struct queue *queue, struct queue_entry *entry, uint32_t id, GError **error);

/* --- queue_hand.c --- */

/* What is in the file is on disk. Gives up the lock, as that may take long; `*entry` is NULL if it
 * is gone after. */
bool queue_sync_content(struct queue *queue, struct queue_entry **entry, GError **error);
bool queue_is_to_hand(const struct queue_entry *entry, const char *name);
/* Its content is synced. `replaced` may be NULL. ERROR_BUSY, ERROR_LIMIT, ERROR_REFUSED: its
 * envelope is being written, too long, no text. */
bool queue_hand(struct queue *queue, struct queue_entry *entry, const char *name,
		struct queue_entry *replaced, GError **error);

/* --- queue_recover.c --- */

bool queue_recover(struct queue *queue, GError **error);
