/* The mailstore contract: what the engine asks of a remote mailbox and what it is told. A store is
 * one connection; the engine opens several. A backend reports facts into a sink, in the order in
 * which the server told them, and never decides what to keep; the engine's applier turns facts into
 * index transactions.
 *
 * Life: open() starts connecting and returns at once. The engine polls what poll() says and calls
 * step() on events and deadlines. While ready() the engine may submit() jobs that accepts() takes;
 * every submitted job comes back by sink->done() exactly once: during submit(), if there is nothing
 * to ask, or during step(), or during close() with the error of that step() which ended the
 * connection, or ERROR_UNREACHABLE. After step() returned false the store is dead: the engine
 * closes it. A job that came back with an error before that has failed by itself; the connection
 * lives.
 *
 * A job that came back because the connection ended may be asked again on a new one, but for COPY,
 * APPEND, CREATE, DELETE and RENAME that were `sent`: what became of those must be found out.
 * FLAGS, EXPUNGE and MOVE name UIDs, so that doing them twice does no more than doing them once.
 *
 * All calls and all sink functions run in the engine thread. Sink functions must not call the
 * store. Strings and sets in facts live during the call.
 */
#pragma once

#include "config/account.h"
#include "protocol/seqset.h"

#include <poll.h>

enum store_attribute { /* as enum imap_list_attribute, kept in the index */
		       STORE_ATTR_NOSELECT = 1 << 0,
		       STORE_ATTR_NOINFERIORS = 1 << 1,
		       STORE_ATTR_NONEXISTENT = 1 << 2,
		       STORE_ATTR_SUBSCRIBED = 1 << 3,
		       STORE_ATTR_ALL = 1 << 4,
		       STORE_ATTR_ARCHIVE = 1 << 5,
		       STORE_ATTR_DRAFTS = 1 << 6,
		       STORE_ATTR_FLAGGED = 1 << 7,
		       STORE_ATTR_JUNK = 1 << 8,
		       STORE_ATTR_SENT = 1 << 9,
		       STORE_ATTR_TRASH = 1 << 10,
};

enum store_flag { /* as enum imap_flag, kept in the index */
		  STORE_FLAG_SEEN = 1 << 0,
		  STORE_FLAG_ANSWERED = 1 << 1,
		  STORE_FLAG_FLAGGED = 1 << 2,
		  STORE_FLAG_DELETED = 1 << 3,
		  STORE_FLAG_DRAFT = 1 << 4,
};

enum store_job_kind {
	STORE_LIST, /* facts: folder...; counts..., if asked for and one command tells of all; quota
		     */
	STORE_STATUS, /* facts: status for each of `names` that could be asked */
	/* Facts: opened, unless it is so already and only verified; message, flags, gone, present
	 * in any order. Flags and gone of what was known may come ahead of opened. Refreshed. */
	STORE_REFRESH,
	STORE_BODY,    /* facts: body_begin, body_data..., body_end */
	STORE_PROBE,   /* is it alive, has the open folder changed? facts: changed */
	STORE_MEASURE, /* is `size_hint` the true size of message `uid`? Result: honest */

	/* Changes. The mailbox is opened for change; facts: rights, when it is. `known.uidvalidity`
	 * as for BODY; for RIGHTS and FIND, 0 is any. A `target` (for APPEND, a `name`) that does
	 * not exist is ERROR_REFUSED: ERROR_GONE speaks of where the messages are, and of them. */
	STORE_RIGHTS,  /* nothing else; asks the server each time */
	STORE_FLAGS,   /* of `uids`: `set` and `set_words`, `clear` and `clear_words` */
	STORE_EXPUNGE, /* `uids` alone, for good; facts: gone. Without STORE_CAN_EXPUNGE: only
			  flagged, and no fact */
	STORE_MOVE,    /* `uids` to `target`; facts: gone. Results: copied_... */
	STORE_COPY,    /* `uids` to `target`. Results: copied_... */
	STORE_FIND, /* opened to be read. Results: found; of `uids`, or, if that is empty, all from
		       known.uidnext on */

	STORE_APPEND, /* to `name`: `len` bytes of `fd`, `date_s`, `set`. Results: box, uid */
	STORE_MARK,   /* results: box: UIDVALIDITY and UIDNEXT of `name` */

	/* Folders. Facts: none. No connection of the engine may have it open (LEAVE). */
	STORE_CREATE, /* and subscribed */
	STORE_DELETE, /* ERROR_NOT_EMPTY if it holds a message that is not \Deleted */
	STORE_RENAME, /* to `target`; its subscription with it */

	/* What happens in `name`, or in each of `names` (STORE_CAN_WATCH_MANY), is told until the
	 * next WATCH, or LEAVE of `name`, on the same store. Facts: status, watched, changed. */
	STORE_WATCH,
	STORE_LEAVE, /* `name` and those below it (behind `separator`) are open here no more */
};

enum store_ability {
	STORE_CAN_CHANGE = 1 << 0, /* all but RIGHTS, MOVE, EXPUNGE, which have bits of their own */
	STORE_CAN_MOVE = 1 << 1,
	STORE_CAN_EXPUNGE = 1 << 2, /* single messages */
	/* A maildrop: one folder, INBOX, whose messages can be removed, and nothing else done.
	 * FLAGS with \Deleted in `set` removes `uids` for good. It is done when the server
	 * confirmed it; facts: gone. ERROR_DENIED: those that were not told as gone stay, as they
	 * cannot be told from others; the rest is done. */
	STORE_CAN_REMOVE = 1 << 3,
	STORE_CAN_WATCH = 1 << 4,      /* one mailbox a connection */
	STORE_CAN_WATCH_MANY = 1 << 5, /* several */
};

/* What the server allows in a folder. */
enum store_right {
	STORE_MAY_INSERT = 1 << 0, /* append, copy and move into it */
	STORE_MAY_DELETE = 1 << 1, /* set and clear \Deleted */
	STORE_MAY_EXPUNGE = 1 << 2,
	STORE_MAY_SEEN = 1 << 3,
	STORE_MAY_FLAG = 1 << 4,    /* the other flags and keywords */
	STORE_MAY_KEYWORD = 1 << 5, /* new keywords */
	STORE_MAY_CREATE = 1 << 6,  /* folders below it */
	STORE_MAY_DROP = 1 << 7,    /* delete and rename it */
};
#define STORE_MAY_ALL 0xffu

struct store_rights {
	bool read_only;	     /* opened for change, it is READ-ONLY */
	unsigned may;	     /* enum store_right */
	unsigned flags;	     /* enum store_flag that are kept (PERMANENTFLAGS) */
	GPtrArray *keywords; /* those that exist, of char *; NULL: none */
};

/* What tells two messages apart across mailboxes. */
struct store_identity {
	uint32_t uid;
	uint64_t size;
	int64_t date_s;
	char *fields; /* Message-ID, Date, From, To, Subject: "name:value\n" each, in this order,
		       values with each run of white space as one space; "" if it has none */
};

/* What the index knew of a folder when the job was made. */
struct store_known {
	uint64_t uidvalidity; /* 0: never opened; then the rest is meaningless */
	uint32_t uidnext;     /* all UIDs below are known */
	uint64_t modseq;      /* 0: none */
	bool verify;	      /* the number of messages was wrong: find out which exist */
	bool flags;	      /* of known messages some have changed */
};

struct store_mailbox {
	uint64_t uidvalidity;
	uint64_t messages;
	uint32_t uidnext; /* 0: not told */
	uint64_t modseq;  /* 0: none */
	bool read_only;
};

struct store_pair {
	uint32_t from, to;
};

struct store_item {
	uint32_t uid;
	uint64_t size_hint;
};

struct store_job {
	enum store_job_kind kind;
	uint32_t folder;	  /* the engine's number of it, given back in facts */
	char *name;		  /* REFRESH, BODY: the mailbox, as the server spelt it */
	struct store_known known; /* REFRESH; BODY: uidvalidity alone, another one is ERROR_STALE */
	bool counts;		  /* LIST */
	GPtrArray *names;	  /* STATUS, WATCH: of char * */
	GArray *folders;	  /* STATUS, WATCH: of uint32_t, beside `names` */
	/* BODY of one message */
	uint32_t uid;
	uint64_t origin; /* first byte wanted */
	/* Bytes wanted; 0: the whole message, with origin 0. Up to `more` behind them may come at
	 * once, if the line is so fast that nobody would wait for them. To a STORE_BRIEF one: it
	 * comes whole, and body_end() tells after about so many bytes each how far it came. */
	uint64_t window;
	uint64_t more;
	uint64_t size_hint; /* RFC822.SIZE: a body of another length is looked at twice */
	/* BODY of many small ones, as far as the server plays along: those that do not come as
	 * announced are left out. Of struct store_item, by ascending UID; NULL: one message. */
	GArray *batch;
	/* changes */
	struct seqset uids;
	unsigned set, clear;	       /* enum store_flag */
	char *set_words, *clear_words; /* keywords parted by spaces; NULL or "": none */
	char *target;		       /* the mailbox, as the server spelt it */
	char separator;		       /* LEAVE, DELETE, RENAME; 0: none */
	int fd;			       /* APPEND: closed with the job; -1: none */
	uint64_t len;
	int64_t date_s;
	/* results */
	bool sent; /* the command that changes something was begun */
	bool honest;
	/* REFRESH: known.flags, but it would have cost too much to ask for them so soon again. */
	bool flags_left;
	struct store_mailbox
		box; /* MARK, APPEND, MOVE, COPY (of the target); uidvalidity 0: not told */
	uint32_t appended_uid; /* 0: not told */
	/* As COPYUID tells: the n-th of one is the n-th of the other (RFC 4315 section 3). Of
	 * struct store_pair; NULL: not told. */
	GArray *copied;
	GPtrArray *found; /* of struct store_identity * */
	/* the engine's own */
	GPtrArray *changes; /* of struct change * */
	uint32_t ticket;
	unsigned tries;
	uint32_t epoch;
	int64_t queued_ms;
	uint64_t order; /* of when it was submitted: see struct engine.order */
};

struct store_job *store_job_new(enum store_job_kind kind);
void store_job_free(struct store_job **job);
void store_identity_free(void *identity);

struct store_folder {
	const char *name;
	char separator;
	unsigned attributes;
};

struct store_message {
	uint32_t uid;
	uint64_t size;
	int64_t date_s;
	unsigned flags;
	GPtrArray *keywords; /* may be NULL */
	const char *subject; /* raw, unfolded or not; NULL if it has none */
};

struct store_quota {
	uint64_t used_bytes, limit_bytes; /* limit 0: none told */
	uint64_t used_messages, limit_messages;
};

struct store_sink {
	void (*folder)(void *data, const struct store_folder *folder);
	/* Status of a folder that was told before, in a list. */
	void (*counts)(void *data, const char *name, const struct store_mailbox *mailbox);
	void (*status)(void *data, uint32_t folder, const struct store_mailbox *mailbox);
	void (*opened)(void *data, uint32_t folder, const struct store_mailbox *mailbox);
	/* A message with all its items. Known ones may come again. */
	void (*message)(void *data, uint32_t folder, const struct store_message *message);
	/* The mailbox that they are of may have been replaced since by one of the same name: they
	 * tell its UIDVALIDITY. */
	void (*flags)(void *data, uint32_t folder, uint64_t uidvalidity, uint32_t uid,
		      unsigned flags, GPtrArray *keywords);
	void (*gone)(void *data, uint32_t folder, uint64_t uidvalidity, const struct seqset *uids);
	/* Exactly these UIDs exist below `upto`; checked against the server's own count. */
	void (*present)(void *data, uint32_t folder, const struct seqset *uids, uint32_t upto);
	/* The refresh established this state; comes last. `messages` is the server's count, or
	 * UINT64_MAX if it moved meanwhile. */
	void (*refreshed)(void *data, uint32_t folder, uint32_t uidnext, uint64_t modseq,
			  uint64_t messages);
	/* Something happened in the folder that only a refresh can tell; `flags`: to flags, too. */
	void (*changed)(void *data, uint32_t folder, bool flags);
	/* What happens in the folder from now on, or since the status that came before, is told. */
	void (*watched)(void *data, uint32_t folder);
	void (*quota)(void *data, const struct store_quota *quota);
	void (*rights)(void *data, uint32_t folder, const struct store_rights *rights);
	/* Bytes of message `uid`, not yet verified. False fails it: the disk is full. */
	bool (*body_begin)(void *data, const struct store_job *job, uint32_t uid);
	bool (*body_data)(void *data, const struct store_job *job, uint32_t uid, uint64_t offset,
			  const void *bytes, size_t len);
	/* Of a window: [origin, origin + len) is the message's, as far as can be told before the
	 * server said that all is well, and may be read. The job may still fail. */
	void (*body_came)(void *data, const struct store_job *job, uint32_t uid, uint64_t len);
	/* [origin, origin + len) is verified; `complete`: the message ends there. Not called for a
	 * message that failed. */
	bool (*body_end)(void *data, const struct store_job *job, uint32_t uid, uint64_t len,
			 bool complete);
	/* `error` is NULL on success. The job is the engine's again. */
	void (*done)(void *data, struct store_job *job, const GError *error);
};

/* How the engine has to treat its connections. */
enum store_trait {
	/* A session shuts out others: one connection at a time, for jobs of every kind. */
	STORE_EXCLUSIVE = 1 << 0,
	/* A session is held while there are jobs, and for some seconds: then finish(). It begins by
	 * listing, and sees nothing that came later. */
	STORE_BRIEF = 1 << 1,
	/* Its messages' numbers are given here (cache/uidls.h). */
	STORE_NUMBERS = 1 << 2,
};

struct credential;
struct store;

struct store_config {
	const struct account *account;	     /* borrowed for the life of the store */
	const struct credential *credential; /* borrowed until it is ready; NULL: none */
	const char *role;		     /* "list", "body", "change": for traces */
	struct index *index; /* for numbers that messages have here alone (uidls.h); NULL: LIST and
			      * STATUS are all that will be asked */
};

struct store_ops {
	unsigned traits; /* enum store_trait */
	unsigned always; /* enum store_ability: what needs no connection to be known */
	struct store *(*open)(const struct store_config *config, const struct store_sink *sink,
			      void *data, int64_t now_ms);
	/* Says goodbye if that costs nothing, gives back all jobs. */
	void (*close)(struct store **store);
	/* Of a STORE_BRIEF one: no more jobs. Steps go on until one returns false without an error.
	 */
	void (*finish)(struct store *store);
	/* Likewise: how long the server wants to be left alone after a login (LOGIN-DELAY). */
	int64_t (*rest_ms)(const struct store *store);
	bool (*ready)(const struct store *store);
	/* fd may be -1. `*ret_deadline_ms` INT64_MAX: none; 0: step at once. */
	void (*poll)(const struct store *store, struct pollfd *ret_poll, int64_t *ret_deadline_ms);
	bool (*step)(struct store *store, int64_t now_ms, GError **error);
	bool (*accepts)(const struct store *store, const struct store_job *job);
	void (*submit)(struct store *store, struct store_job *job, int64_t now_ms);
	/* While ready: enum store_ability, and the largest message that may be appended
	 * (UINT64_MAX: none told). */
	unsigned (*abilities)(const struct store *store, uint64_t *ret_append_max_bytes);
	/* While ready: how it logged in, "SCRAM-SHA-256"; NULL: it did not. */
	const char *(*way_in)(const struct store *store);
	/* Lines "key: value" for .mailfs/status: server, tls, capabilities. */
	void (*describe)(const struct store *store, GString *out);
};

extern const struct store_ops store_imap;
extern const struct store_ops store_pop3;
