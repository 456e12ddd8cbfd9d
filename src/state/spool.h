/* Files that are no messages, or not yet: a new message while it is written and until the server
 * has it, editors' and rsync's temporary names, and what was refused. Each has a working file
 * (spool/<id>) that clients read and write; a message that is to be appended has an upload
 * (spool/<id>.eml) beside it, made by sealing: line ends CRLF, synced, never written to again.
 *
 * A file whose name ends in ".eml" becomes mail when its last writer closes it (spool_close()),
 * when it is renamed to such a name with no writer, or when a writer asks for it (spool_seal()); an
 * empty one does not. Any thread; see state.h.
 *
 * After kill -9 a file that was whole at its last flush (spool_flush(), no byte written since) is
 * sealed by state_open(); any other stands in its folder as it was left.
 *
 * Size and time are the file's own. What is asked of a file that was removed meanwhile (touch,
 * flush, close, seal) succeeds and does nothing: who has it open reads and writes on. A call about
 * a file that another thread seals, fills or flushes waits for that; spool_get(), spool_find(),
 * spool_list() and readers do not.
 */
#pragma once

#include "base/file.h"
#include "state/state.h"

enum spool_step {
	SPOOL_LOCAL,  /* not mail, or not yet */
	SPOOL_QUEUED, /* sealed, to be appended */
	/* As CHANGE_MARKED: the APPEND may have been sent. */
	SPOOL_MARKED,
	/* The server has it as `uid`; shown from here until a listing has it. Not on record. */
	SPOOL_UPLOADED,
	SPOOL_FAILED, /* refused for good: `error`, `reason`; kept, and tried again when asked */
};

struct spool_file {
	uint32_t id; /* of the mount; the same after a restart */
	enum spool_step step;
	bool running; /* an APPEND of it is under way */
	bool unknown;
	unsigned tries;	 /* times that it was deferred */
	uint32_t folder; /* 0: not bound */
	char *mailbox;
	char *name;
	uint64_t size; /* of the working file, or the upload where that is gone */
	int64_t mtime_ns;
	unsigned writers;
	/* It shall be a copy of this message (copy_file_range); uid 0: of none; epoch 0: not bound.
	 * Without a byte of its own. */
	uint32_t clone_epoch, clone_uid;
	uint64_t clone_size;
	/* The message that an earlier upload of this file became: the engine removes it when this
	 * one has arrived. 0: none. */
	uint64_t former_uidvalidity;
	uint32_t former_uid;
	uint64_t mark_uidvalidity;
	uint32_t mark_uidnext;
	uint64_t uidvalidity; /* UPLOADED */
	uint32_t uid;	      /* UPLOADED; 0: not known */
	uint64_t uploaded_at; /* as the engine orders such events */
	int error;	      /* FAILED: errno */
	char *reason;	      /* FAILED: one line, may be NULL */
};

void spool_file_clear(struct spool_file *file);
void spool_file_free(void *file); /* heap copies, for GDestroyNotify */

/* All give copies; false, or NULL, if there is none. */
bool spool_get(struct state *state, uint32_t id, struct spool_file *ret);
bool spool_find(struct state *state, uint32_t folder, const char *name, struct spool_file *ret);
/* By rising id; of struct spool_file *. */
GPtrArray *spool_list(struct state *state, uint32_t folder);

/* --- clients (FUSE threads) --- */

/* An empty file with one writer: the first who calls spool_open() to write. 0 on failure.
 * ERROR_EXISTS: a guest or another file has the name; else the caller made sure that it is free. */
uint32_t spool_create(struct state *state, uint32_t folder, const char *mailbox, const char *name,
		      GError **error);
/* A descriptor of the working file, or of the upload where that is all there is and it is only to
 * be read; -1 on failure. ERROR_BUSY: it is to be written and an APPEND of it is under way;
 * ERROR_READ_ONLY: it is to be written and UPLOADED (it is a message now); ERROR_GONE. Opening a
 * QUEUED or FAILED one to write takes it back: LOCAL again, its upload is gone. */
int spool_open(struct state *state, uint32_t id, bool writer, GError **error);
/* Before a writer's first write or truncation, and after each flush: it is not whole any more.
 * Cheap if that is known. One that was sealed while it is open is LOCAL again, with `former_uid`
 * set, and by the name that the message has now, if its upload has arrived; ERROR_BUSY while that
 * is under way, ERROR_READ_ONLY if it arrived and nobody knows as which message. */
bool spool_touch(struct state *state, uint32_t id, GError **error);
/* What is in the file is all for now: synced. The names of empty ones are on record too. */
bool spool_flush(struct state *state, uint32_t id, GError **error);
/* The writer is gone (also on failure); the last of a ".eml" that is not empty seals.
 * ERROR_REFUSED: it holds NUL, and is FAILED (EINVAL) now; after any other error it is LOCAL still.
 * ERROR_GONE: it was to be a copy of a message that is on its way out. `*ret_queued`: there is
 * something to send. */
bool spool_close(struct state *state, uint32_t id, bool writer, bool *ret_queued, GError **error);
/* As spool_close() of a writer whose mount has gone: what is not whole stays as after kill -9. */
bool spool_abandon(struct state *state, uint32_t id, bool *ret_queued, GError **error);
/* How many files in the folder (0: in all) are to be mail and whole since the last flush, but not
 * sealed: close(2) has returned, and the system's word that the last writer is gone is under way,
 * if it was the last. */
unsigned spool_closing(struct state *state, uint32_t folder);
/* Now, writers or not; also a FAILED one again. Nothing to do is success. A clone waits for its
 * last writer. Not while a write to the same file is under way. Errors of spool_close(). */
bool spool_seal(struct state *state, uint32_t id, bool *ret_queued, GError **error);
/* ".eml" and no writer: seals, and on failure (ERROR_REFUSED: NUL) it has its old name still. A
 * file of the new name must have been removed before, else ERROR_EXISTS. ERROR_BUSY while an APPEND
 * of it is under way, and for UPLOADED; ERROR_GONE. */
bool spool_rename(struct state *state, uint32_t id, uint32_t folder, const char *mailbox,
		  const char *name, bool *ret_queued, GError **error);
/* Who has it open reads and writes on. ERROR_BUSY and ERROR_GONE as above. A full disk is no
 * reason to fail. */
bool spool_remove(struct state *state, uint32_t id, GError **error);
bool spool_set_mtime(struct state *state, uint32_t id, int64_t mtime_ns, GError **error);
/* The file, which is empty, is to be a copy of the message: where sealing would queue an upload, a
 * CHANGE_COPY is made under its name instead, and the file is gone. */
bool spool_set_clone(struct state *state, uint32_t id, const struct state_box *box, uint32_t uid,
		     uint64_t size, GError **error);
/* The first that is to be a copy of the message. */
bool spool_find_clone(struct state *state, uint32_t epoch, uint32_t uid, struct spool_file *ret);
/* It has bytes of its own after all: those of `from` (NULL: none), copied into the working file.
 * Nothing to do if it is no clone any more. */
bool spool_fill_clone(struct state *state, uint32_t id, const struct file_span *from,
		      GError **error);

/* --- the engine --- */

/* The oldest that can be sent (bound or not: APPEND needs the name alone; but for doubt about its
 * mailbox, see changes.h), now running: a copy, with the upload's size and time. False if there is
 * none. `*ret_fd`: its upload, the caller's to close.
 */
bool spool_take(struct state *state, int64_t now_ms, struct spool_file *ret, int *ret_fd);
/* Not running any more; one more try. */
void spool_defer(struct state *state, uint32_t id, int64_t not_before_ms);
/* As changes_mark(). Synced; it stays running. */
bool spool_mark(struct state *state, uint32_t id, uint64_t uidvalidity, uint32_t uidnext,
		GError **error);
void spool_set_unknown(struct state *state, uint32_t id);
bool spool_requeue(struct state *state, uint32_t id, GError **error);
/* The server has it. With `uid` the name is recorded with it (names.h), in the same transaction
 * that ends the file's own record. Not running any more; on failure it is `unknown`. */
bool spool_uploaded(struct state *state, uint32_t id, uint64_t uidvalidity, uint32_t uid,
		    uint64_t at, GError **error);
void spool_fail(struct state *state, uint32_t id, int error, const char *reason);
/* A refresh of the folder that began at `began` has ended: UPLOADED ones from before are gone
 * from here, but known to spool_get() while they have writers. */
void spool_refreshed(struct state *state, uint32_t folder, uint64_t began);
/* FAILED ones are tried again (at the start, on SIGHUP), and sealing that failed at the last close.
 */
void spool_retry(struct state *state);

/* The name is one that becomes mail: ends in ".eml", does not begin with a dot. */
bool spool_name_is_mail(const char *name);
