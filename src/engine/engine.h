/* The account's actor: one thread that owns the connections and writes the index. Everyone else
 * reads the index and states needs.
 *
 * Every need that is stated is settled: with 0 when it is met (or got further: a body, a
 * listing), with an errno when it cannot be (EHOSTUNREACH, ETIMEDOUT, EACCES, ENOENT, ESTALE, EIO).
 * The server's silence settles it at the account's timeout.
 */
#pragma once

#include "cache/bodies.h"
#include "cache/index.h"
#include "config/account.h"
#include "config/credentials.h"
#include "engine/need.h"
#include "state/state.h"
#include "store/store.h"

struct engine;

/* What somebody may want to hear of. The own ones are what this mount did. */
enum engine_news_kind {
	NEWS_NEW,   /* a message: it shows up in a folder that had been listed before */
	NEWS_GONE,  /* a message that somebody else removed */
	NEWS_FLAGS, /* a message's */
	NEWS_FAILED, /* the server refused a change of a message, which shows again as it was */
	NEWS_MANY,   /* so much in this folder that it is not told one by one */
	NEWS_FOLDER_NEW,
	NEWS_FOLDER_GONE,
	NEWS_FOLDER_MOVED,
	NEWS_ONLINE,
	NEWS_OFFLINE,
};

/* Strings live during the call. */
struct engine_news {
	enum engine_news_kind kind;
	bool own;	 /* FOLDER_NEW, FOLDER_GONE */
	uint32_t folder; /* of the message, or the one that is meant */
	uint32_t epoch;	 /* of messages */
	uint32_t uid;
	/* GONE: "" if it has none. FOLDER_GONE and FOLDER_MOVED: the leaf that it had. FAILED: why. */
	const char *text;
	const char *token;  /* GONE: the folder's, for the name (semantics: "Names") */
	const char *chosen; /* GONE: the name that a client gave it, or NULL */
	uint32_t parent;    /* FOLDER_GONE and FOLDER_MOVED: where it was */
};

/* Called in the engine thread after the commit that made it true; must not block nor call the
 * engine's stop function. Ids and copies only. */
struct engine_events {
	void (*settled)(void *data, const struct need *need, int error);
	/* The entries of a folder changed (messages or child folders). INDEX_ROOT: the root. */
	void (*folder_changed)(void *data, uint32_t folder);
	void (*folder_gone)(void *data, uint32_t folder, uint32_t parent, const char *leaf);
	/* It is not in the folder any more, or is \Deleted now, or no longer. `token`: the
	 * folder's, for the name (semantics: "Names"); `chosen`: the name that a client gave it, or
	 * NULL. */
	void (*message_gone)(void *data, uint32_t folder, uint32_t epoch, uint32_t uid,
			     const char *label, const char *token, const char *chosen);
	/* The name stands for something else now, or for nothing. */
	void (*name_changed)(void *data, uint32_t folder, const char *name);
	/* A message that may be read soon is here, and as long as was told. */
	void (*body_ahead)(void *data, uint32_t epoch, uint32_t uid, uint64_t size);
	/* Flags (ctime). */
	void (*message_changed)(void *data, uint32_t epoch, uint32_t uid);
	/* The UIDVALIDITY changed: every node of the epoch is stale. */
	void (*epoch_gone)(void *data, uint32_t folder, uint32_t epoch);
	/* The server can be reached again. */
	void (*online)(void *data);
	/* Of one refresh of a folder, and of one listing of folders, the first 1,000 are told one by
	 * one, the rest as NEWS_MANY. */
	void (*news)(void *data, const struct engine_news *news);
};

/* How the components of mailbox names are shown in the mount, and back (NULL: none is shown so). Free
 * with g_free(). */
struct engine_names {
	char *(*shown)(const char *raw, bool at_root);
	char *(*raw)(const char *shown, bool at_root);
};

struct engine_config {
	struct engine_names names;
	const struct account *account; /* borrowed, as the rest */
	struct credentials *credentials; /* NULL: nothing is needed to log in */
	const struct store_ops *ops; /* the backend: &store_imap, ... */
	const char *sandbox;	     /* what holds the process, for the status; NULL: not told */
	struct index *index;
	struct bodies *bodies;
	struct state *state;
};

/* ERROR_IO. */
struct engine *engine_new(const struct engine_config *config, const struct engine_events *events,
			  void *data, GError **error);
/* Starts the thread; what was promised before shows when it returns. */
void engine_start(struct engine *engine);
/* Waits until the account is logged in and its folders are listed (true), or the first attempt
 * failed. */
bool engine_wait_ready(struct engine *engine, GError **error);
/* Sends what is pending now, and waits until nothing is and the index has it, or the server is away
 * or silent, or `timeout_ms` have passed. What is left waits for the next mount, and a log line says
 * so. */
void engine_flush(struct engine *engine, int64_t timeout_ms);
/* Ends the thread within a fraction of a second; open needs are settled with ECONNABORTED. */
void engine_stop(struct engine *engine);
void engine_free(struct engine **engine);

/* --- any thread --- */

void engine_need(struct engine *engine, const struct need *need);
/* A reader opened this message: readers in order are read ahead for. */
void engine_opened(struct engine *engine, uint32_t epoch, uint32_t uid);
/* A reader of a message that is here had to ask for its first bytes: the kernel's cache did not
 * have it. */
void engine_read(struct engine *engine, uint32_t epoch, uint32_t uid);
/* How far the first listing of a folder has come, which is read while it comes: NEED_MESSAGES brings
 * more. Ask before the index is read. */
struct arrivals {
	uint32_t epoch; /* that it comes for; 0: it does not come now */
	uint32_t upto;	/* messages up to this UID are here; others below it may come late */
	bool lost;	/* so many came late, at some time, that they are not all known as such */
};
struct arrivals engine_arrivals(struct engine *engine, uint32_t folder);
/* The message came when one with a higher UID had been told: who reads in the order of UIDs may have
 * been behind it. Ask when the index has it; it does not change later. */
bool engine_came_late(struct engine *engine, const struct folder_row *folder, uint32_t uid);
/* The first of these above `after`; 0: there is none. */
uint32_t engine_next_late(struct engine *engine, const struct folder_row *folder, uint32_t after);
/* At most poll seconds old. Asking counts as use: folders in use are polled. */
bool engine_folder_is_fresh(struct engine *engine, uint32_t folder);
bool engine_folders_are_fresh(struct engine *engine);
/* The server has left something unanswered for a second or is not connected: waiting for
 * freshness is pointless. */
bool engine_is_stalled(struct engine *engine);
/* Drops the back-off, or a refused login, and connects anew (SIGHUP), with a password or token that
 * is found anew: also for the outbox. */
void engine_reconnect(struct engine *engine);
/* For df; false if the server told no quota. */
bool engine_quota(struct engine *engine, uint64_t *ret_used_bytes, uint64_t *ret_limit_bytes);
/* The state got something new to send: it goes in a moment, with what comes until then. */
void engine_changed(struct engine *engine);
/* What the backend can do at all (enum store_ability) and the largest message that it takes; of the
 * last connection, be it of an earlier mount. 0: not known before the first. */
unsigned engine_abilities(struct engine *engine, uint64_t *ret_append_max_bytes);
/* What is known of the rights in a folder: NEED_RIGHTS brings it. True if it is known; `ret`
 * without the keywords (NULL). What an earlier connection told counts only while the server cannot
 * be asked. */
bool engine_rights(struct engine *engine, uint32_t folder, struct store_rights *ret);
/* The same, and what an earlier connection told counts always: for what is shown. */
bool engine_last_rights(struct engine *engine, uint32_t folder, struct store_rights *ret);
/* The keyword exists in the folder, in any case of letters. */
bool engine_has_keyword(struct engine *engine, uint32_t folder, const char *keyword);
/* RFC822.SIZE has proved true so far: what NEED_SIZE brings. */
enum sizes_trust engine_trusts_sizes(struct engine *engine);

struct queue;
struct queue_file;
struct compose;

/* As outbox_events.file_copy has it: a new message in the \Sent folder, sent there as any other. */
bool engine_file_sent(struct engine *engine, struct queue *queue, const struct queue_file *file,
		      struct compose *text, GError **error);
/* As outbox_events.wants_copies has it. */
bool engine_wants_copies(struct engine *engine);

enum folder_op_kind { FOLDER_CREATE, FOLDER_DELETE, FOLDER_RENAME };

struct folder_op {
	enum folder_op_kind kind;
	uint32_t folder;     /* DELETE, RENAME */
	const char *mailbox; /* CREATE: the new one */
	const char *target;  /* RENAME: its new name */
	char separator;
};

/* Asks the server; NEED_TICKET with the number that is returned is settled with its verdict, after
 * the index has been brought up to date. Never 0. The caller need not wait. */
uint32_t engine_folder_op(struct engine *engine, const struct folder_op *op);
/* The text of .mailfs/status. Free with g_free(). */
char *engine_status(struct engine *engine);
