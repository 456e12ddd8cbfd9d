/* A spool file in memory, and what is done to the files of the spool directory. */
#pragma once

#include "base/file.h"
#include "state/state_private.h"

#include <sys/stat.h>

/* <id>, <id>.eml, <id>.eml.tmp while it is made, and <id>.gone: a working file whose record is
 * about to go, or is gone while somebody still writes to it. */
enum part { PART_WORK, PART_UPLOAD, PART_TMP, PART_GONE, PARTS };

struct entry {
	struct spool_file file; /* its `size` is as of the last look */
	bool busy;		/* a thread reads or writes all of it, without the lock */
	bool unclaimed;		/* made, and not opened by its maker yet */
	bool whole;		/* nothing was written since the last flush */
	bool named;		/* the directory holds its name for good */
	bool stuck;		/* sealing failed when its last writer closed it */
	bool retired;		/* a listing has it; it is here for its writers alone */
	bool counted;		/* as pending */
	bool has_work;		/* PART_WORK, or PART_GONE if `aside` */
	bool aside;
	bool has_upload;
	int64_t not_before_ms;
	/* with clone_epoch and clone_uid (0: no clone) */
	char *clone_mailbox;
	uint32_t clone_folder;
	uint64_t clone_uidvalidity;
	GSequenceIter *in_files, *in_sendable;
	struct doubt *doubt; /* of its mailbox, as long as it is unknown */
};

/* --- spool_entry.c --- */

struct entry *entry_new(uint32_t id);
void entry_attach(struct state *state, struct entry *entry);
/* From memory; the files stay. */
void entry_free(struct state *state, struct entry *entry);
struct entry *entry_find(struct state *state, uint32_t id);
/* Waits while it is busy; NULL if it is not there (any more). */
struct entry *entry_wait(struct state *state, uint32_t id);
void entry_unbusy(struct state *state, struct entry *entry);
/* The record. `whole`: the size that is whole, or -1. */
bool entry_put(struct state *state, const struct entry *entry, const struct spool_file *file,
	       int64_t whole);
/* The record, then the memory. The strings of `want` are copied. */
bool entry_write(struct state *state, struct entry *entry, const struct spool_file *want,
		 int64_t whole, bool synced, GError **error);
/* The memory alone. */
void entry_become(struct state *state, struct entry *entry, const struct spool_file *want);
int64_t entry_whole(const struct entry *entry);
/* Looks at size and time of what there is. */
void entry_measure(struct state *state, struct entry *entry);
bool entry_is_mail(const struct entry *entry);
void entry_drop_work(struct state *state, struct entry *entry);
void entry_drop_upload(struct state *state, struct entry *entry);
void entry_drop_clone(struct entry *entry);
void spool_file_copy(const struct spool_file *file, struct spool_file *ret);
enum part entry_work_part(const struct entry *entry);

/* --- doubt.c --- */

/* It became unknown or known, or its mailbox has another name. */
void entry_doubt(struct state *state, struct entry *entry);
/* It can be sent, but must not be now. */
bool entry_waits(struct state *state, const struct entry *entry);

/* --- spool_seal.c --- */

/* Where a file is to be shown. */
struct destination {
	uint32_t folder;
	const char *mailbox;
	const char *name;
};

/* A LOCAL file that is mail and not empty becomes QUEUED, or a COPY, under its own name or, if `to`
 * is not NULL, under that one: then nothing is changed on failure, else a file that holds NUL is
 * FAILED (ERROR_REFUSED). Gives up the lock meanwhile; the entry may be gone after. */
bool entry_seal(struct state *state, struct entry *entry, const struct destination *to,
		GError **error);
/* A QUEUED or FAILED one is LOCAL again. */
bool entry_take_back(struct state *state, struct entry *entry, bool whole, GError **error);
bool entry_has_bytes(const struct entry *entry); /* or will have */

/* --- spool_parts.c --- */

#define PART_NAME_MAX 32
void part_name(uint32_t id, enum part part, char ret[PART_NAME_MAX]);
int part_open(struct state *state, uint32_t id, enum part part, int flags);
bool part_stat(struct state *state, uint32_t id, enum part part, struct stat *ret);
/* Failures are logged, but for a missing one. */
void part_unlink(struct state *state, uint32_t id, enum part part);
bool part_rename(struct state *state, uint32_t id, enum part from, enum part to);
/* ERROR_IO "cannot VERB 'PATH': ". */
bool part_fail(struct state *state, uint32_t id, enum part part, const char *verb, GError **error);
/* Makes the upload of the working file. Without the lock. ERROR_REFUSED: it holds NUL. */
bool part_make_upload(struct state *state, uint32_t id, GError **error);
/* The bytes of `from` (NULL: none) become those of the working file. Without the lock. */
bool part_fill(struct state *state, uint32_t id, const struct file_span *from, GError **error);
