/* The outbox on disk, in the account's state directory: one file a message, whose directory is its
 * state and whose name is "<id>.<name>", so that one rename() alters both:
 *
 *   draft/    being written, or not to be sent ("NAME.eml" is what is)
 *   whole/    the same, and what is in it was flushed: close(2) has returned
 *   waiting/  handed over
 *   sending/  DATA may have been sent
 *   sent/     accepted; kept for QUEUE_SENT_MS, so that a late `sync` still finds it
 *   failed/   refused, or nobody knows
 *
 * and info/<id>, a key file, written anew as a whole: when it was handed over, the envelope, each
 * recipient's verdict. What has become durable is synced: files, directories, info. Everything is
 * held in memory too; readers do not touch the disk.
 *
 * Any thread; a short lock guards it all, under which nothing but the local disk is waited for.
 * ERROR_IO or ERROR_NO_SPACE where nothing else is said; then nothing was changed. Times: wall
 * clock, milliseconds.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define QUEUE_SENT_MS (5 * 60 * 1000)
#define QUEUE_NAME_MAX 240 /* bytes of a name */
#define QUEUE_FAILED_WAS_MS (10 * 1000)

enum queue_step {
	QUEUE_DRAFT, /* draft/ and whole/ */
	QUEUE_WAITING,
	QUEUE_SENDING,
	QUEUE_SENT, /* found by name and number, not listed */
	QUEUE_FAILED,
};

enum queue_verdict {
	QUEUE_OPEN,    /* not yet, or to be tried again */
	QUEUE_TAKEN,   /* the server said yes to RCPT, and the text is about to be sent */
	QUEUE_DONE,    /* it has it */
	QUEUE_REFUSED, /* for good */
	QUEUE_UNKNOWN, /* QUEUE_TAKEN, and then the connection was lost */
};

struct queue_recipient {
	char *address;
	enum queue_verdict verdict;
	char *reply; /* the last; may be NULL */
};

/* What has to be filed in the \Sent folder. */
enum queue_copy { QUEUE_COPY_NONE, QUEUE_COPY_WANTED, QUEUE_COPY_FILED };

/* What stands in info/; the submitter alters it. */
struct queue_info {
	int64_t handed_ms;     /* when it was handed over; 0: not yet */
	int64_t not_before_ms; /* the next try */
	unsigned tries;
	int error;	       /* errno of the last try, 0: none yet */
	char *reply;	       /* why, one clean line; may be NULL */
	char *given;	       /* the envelope that came beside it (queue_rename()); may be NULL */
	char *sender;	       /* from the first try on; may be NULL */
	char *message_id;      /* likewise */
	int64_t date_s;	       /* likewise: for a Date that is missing */
	GPtrArray *recipients; /* of struct queue_recipient *; empty before the first try */
	enum queue_copy copy;
	char *copy_name; /* under which it is filed; NULL: not decided */
};

struct queue_file {
	uint32_t id;	 /* the same after a restart; queue_open_file() may give it to another */
	uint64_t serial; /* what no other has, nor had since the start */
	enum queue_step step;
	char *name;
	uint64_t size;
	int64_t mtime_ns;
	unsigned writers;
	bool running; /* the submitter has it in hand */
	struct queue_info info;
};

struct queue;

/* DIR is made. What was left half done is brought to an end: what stands in whole/ is handed over
 * if it is to be sent, what stands in sending/ failed, its QUEUE_TAKEN recipients being unknown.
 * Files that it does not understand stay where they are, with a log line. One process at a time:
 * the caller has the state directory's claim. */
struct queue *queue_open(const char *dir, int64_t send_delay_ms, GError **error);
void queue_close(struct queue **queue);

void queue_file_clear(struct queue_file *file);
void queue_file_free(void *file); /* heap copies, for GDestroyNotify */
void queue_recipient_free(void *recipient);

/* --- looking; all give copies --- */

bool queue_get(struct queue *queue, uint32_t id, struct queue_file *ret);
/* In outbox/ (but for failed ones: also one that was sent lately), or in failed/. */
bool queue_find(struct queue *queue, bool failed, const char *name, struct queue_file *ret);
/* By rising id, of struct queue_file *: without those that were sent. */
GPtrArray *queue_list(struct queue *queue, bool failed);
/* When the listing of that directory last changed: wall clock, rises strictly. */
int64_t queue_touched_ns(struct queue *queue, bool failed);
/* A message of that name was in failed/ in the last QUEUE_FAILED_WAS_MS, and was removed or moved
 * out. */
bool queue_failed_was(struct queue *queue, const char *name);
/* "NAME.eml" that does not begin with a dot. */
bool queue_name_is_mail(const char *name);

/* --- clients (FUSE threads) --- */

/* An empty draft with one writer: the first who calls queue_open_file() to write. 0 on failure.
 * ERROR_EXISTS: the name is taken (one that was sent gives its name up); ERROR_LIMIT: LIMIT_QUEUE.
 */
uint32_t queue_create(struct queue *queue, const char *name, GError **error);
/* A descriptor; -1 on failure. To be written to, a waiting one is a draft again (who has it already
 * is kept on record), and one that was sent an empty one, while what was sent goes on under another
 * number. ERROR_BUSY: it is SENDING; ERROR_READ_ONLY: FAILED; ERROR_GONE. */
int queue_open_file(struct queue *queue, uint32_t id, bool writer, GError **error);
/* Before each write or truncation: cheap, if nothing was flushed since the last. ERROR_BUSY: it is
 * no draft. */
bool queue_touch(struct queue *queue, uint32_t id, GError **error);
/* Before it is truncated to nothing, after queue_touch(): what is written then is a new mail, and
 * nobody has it. Nothing to do if it is gone or no draft. */
bool queue_reset(struct queue *queue, uint32_t id, GError **error);
/* What is in the file is all for now: synced. */
bool queue_flush(struct queue *queue, uint32_t id, GError **error);
/* The writer is gone (also on failure). The last one of a NAME.eml that is not empty hands it over:
 * `*ret_handed`. What was removed meanwhile is fine. */
bool queue_close_file(struct queue *queue, uint32_t id, bool writer, bool *ret_handed,
		      GError **error);
/* As queue_close_file() of a writer whose mount has gone: what was not flushed stays a draft. */
bool queue_abandon(struct queue *queue, uint32_t id, bool *ret_handed, GError **error);
/* To another name in outbox/; what has that name is replaced, unless it is SENDING (ERROR_BUSY). A
 * draft, waiting or failed one that has the name of mail then, and no writer and is not empty, is
 * handed over (anew: at once, and only to those who do not have it); a waiting one that has no
 * longer is a draft. Where it is handed over, a draft ".NAME.eml.envelope" (struct
 * envelope_config.given) goes with it and is no more; while that is not whole: ERROR_BUSY, over
 * LIMIT_ENVELOPE: ERROR_LIMIT, with a NUL in it: ERROR_REFUSED (queue_close_file() too, and it
 * stays a draft). ERROR_BUSY: it is SENDING; ERROR_GONE: also if it was sent. */
bool queue_rename(struct queue *queue, uint32_t id, const char *name, bool *ret_handed,
		  GError **error);
/* Who has it open reads and writes on. ERROR_BUSY: it is SENDING; ERROR_GONE: also if it was sent.
 */
bool queue_remove(struct queue *queue, uint32_t id, GError **error);
bool queue_set_mtime(struct queue *queue, uint32_t id, int64_t mtime_ns, GError **error);
/* How many are written to and were flushed: close(2) may have returned, and its news be under way.
 */
unsigned queue_closing(struct queue *queue);

/* --- the submitter (one thread) --- */

/* The first that is due, running now: a copy, and its file. False: none; then `*ret_next_ms` says
 * when the next will be (INT64_MAX: none waits). `hurry`: those that were never tried are due. */
bool queue_take(struct queue *queue, int64_t now_ms, bool hurry, struct queue_file *ret,
		int *ret_fd, int64_t *ret_next_ms);
/* The oldest, due or not, if it was handed over no later than `handed_ms`: running now, a copy.
 * False: then `*ret_oldest_ms` says when it was (INT64_MAX: none waits). */
bool queue_take_old(struct queue *queue, int64_t handed_ms, struct queue_file *ret,
		    int64_t *ret_oldest_ms);
/* This one is due now, if it was never tried. */
void queue_hurry(struct queue *queue, uint32_t id);
/* Hands over what the disk did not let queue_close_file() hand over. How many are left so. */
unsigned queue_hand_left(struct queue *queue);
/* With its info: WAITING -> SENDING, synced, before DATA. ERROR_GONE: it was removed or taken back
 * meanwhile. */
bool queue_commit(struct queue *queue, const struct queue_file *file, GError **error);
/* With its info, synced; not running any more. A failure to write leaves what the next start will
 * find: SENDING, if it was. To WAITING, SENT or FAILED. Nothing to do if it is gone. FAILED: where
 * the name is taken in failed/, it gets another ("NAME~2.eml"). */
bool queue_finish(struct queue *queue, const struct queue_file *file, enum queue_step step,
		  GError **error);
/* Tries again to put on record what queue_finish() could not and left SENDING. True: something was.
 * `*ret_next_ms`: when to come again; INT64_MAX: nothing is left. */
bool queue_end_left(struct queue *queue, int64_t now_ms, int64_t *ret_next_ms);
/* One whose copy can be filed now: QUEUE_COPY_WANTED. 0: none. */
uint32_t queue_next_copy(struct queue *queue);
/* It is there, and has that number still. */
bool queue_has(struct queue *queue, const struct queue_file *file);
/* A descriptor to read from, whatever the state; -1: !queue_has(). */
int queue_read(struct queue *queue, const struct queue_file *file);
/* Of one that is QUEUE_COPY_WANTED; alters copy and copy_name alone, synced. ERROR_GONE: it is not
 * any more, or !queue_has(). */
bool queue_set_copy(struct queue *queue, const struct queue_file *file, enum queue_copy copy,
		    const char *name, GError **error);
/* Waiting ones are due now. */
void queue_retry(struct queue *queue);
/* Forgets what was sent long enough ago and has its copy filed. Gives when to come again. */
int64_t queue_expire(struct queue *queue, int64_t now_ms);
/* Waiting, sending. */
unsigned queue_pending(struct queue *queue);
/* Whether `check` is true of each of them; under the lock: it must not call the queue. */
typedef bool (*queue_check_fn)(void *data, const struct queue_file *file);
bool queue_pending_all(struct queue *queue, queue_check_fn check, void *data);
