/* The IMAP backend, between its files. A store walks from the link to a ready session
 * (imap_store.c), then runs jobs: each kind has a file with a start function that sends commands,
 * and answers come back to it. Only body fetches of one folder run side by side.
 */
#pragma once

#include "net/link.h"
#include "protocol/imap_session.h"
#include "store/store.h"

#define IMAP_BODY_DEPTH 16 /* body fetches in flight */
/* NATs forget a connection that was silent for ten minutes. */
#define IMAP_WATCH_MS (9 * 60 * 1000)

struct imap_job {
	struct store *store;
	struct store_job *job;
	int64_t started_ms;
	unsigned commands;		     /* in flight */
	void (*next)(struct imap_job *job);  /* after the mailbox was opened or left */
	void (*after)(struct imap_job *job); /* then */
	/* instead of its end, when its mailbox cannot be opened; may be NULL */
	void (*refused)(struct imap_job *job);
	char *leaving; /* the mailbox */
	GError *error; /* the first that went wrong */
	/* changes */
	uint32_t rights; /* letters of MYRIGHTS */
	bool rights_told;
	bool unselectable; /* LIST says so */
	/* refresh */
	uint32_t highest; /* UID seen */
	/* UIDs of this pass, when they are counted; told by COPYUID; of `odd`, those that are still
	 * there; which of the mailboxes that are watched were told of */
	struct seqset seen;
	bool ahead;	   /* the fetch went out behind the opening, and was not refused */
	unsigned searches; /* of verify(), not answered yet */
	bool search_failed;
	bool counting;
	/* body */
	bool opening;	  /* and the fetch was sent behind that */
	bool asked;	  /* its mailbox is open, the fetch was sent */
	bool got;	  /* the answer with our UID came whole */
	bool again;	  /* news were asked for */
	bool fresh;	  /* its mailbox was opened for it */
	bool still_there; /* the second look found the UID */
	uint64_t span;	  /* bytes asked for; 0: all */
	uint64_t len;
	uint64_t came;	   /* of it, told */
	unsigned expunges; /* store->expunges when it was sent */
	/* Of a batch, those that came otherwise than announced, or behind an EXPUNGE: of struct
	 * store_item, or NULL. */
	GArray *odd;
	/* watch */
	bool told; /* the server waits with us, and that was told */
};

struct store {
	const struct account *account;
	const struct credential *credential; /* for the login alone */
	const struct store_sink *sink;
	void *data;
	const char *role;

	struct link *link;
	struct imap_session *session; /* made when the link is open */
	int64_t now_ms;		      /* of the step under way */
	int64_t progress_ms;	      /* the last byte that came, or the last command */
	int64_t born_ms;
	GError *fatal;
	bool closing;

	GQueue jobs; /* of struct imap_job, in order of submission */
	unsigned list_count;
	bool list_inbox;

	/* The selected mailbox: 0 and NULL for none. */
	uint32_t selected;
	char *selected_name;
	bool writable;	      /* opened by SELECT */
	GPtrArray *permanent; /* its PERMANENTFLAGS, of char *; NULL: not told */
	GPtrArray *listed;    /* its FLAGS; NULL: not told */
	struct store_mailbox box;
	bool counted;	      /* EXISTS was told */
	bool dirty;	      /* something happened that only a refresh can tell */
	bool dirty_flags;     /* to flags, at least */
	bool clean;	      /* a refresh ended in this selection */
	bool watching;	      /* it is open for being told of what happens, alone */
	bool news;	      /* something did in this step */
	bool news_flags;      /* to flags, at least */
	int64_t watch_ms;     /* when the watch is begun anew */
	bool notified;	      /* NOTIFY was asked for */
	unsigned expunges;    /* seen, of the kind that names no UID */
	GHashTable *flags_ms; /* folder -> when all its flags were fetched last */

	/* The literal that is arriving. */
	struct imap_job *body; /* whose it is; NULL: nobody's */
	uint32_t body_uid;
	uint64_t body_len; /* so far */
	bool body_certain; /* it is what was asked for */
	bool body_failed;  /* the sink could not take it */
	int64_t body_ms;   /* when it began */
	uint64_t bytes_s;  /* how fast bodies come; 0: not known */
	bool uid_late;	   /* the server sends UID behind the body: one at a time */
};

/* Sends for a job; `done` gets the struct imap_job. Counts it as in flight. */
void imap_store_send(struct imap_job *job, struct imap_command **command, bool alone,
		     imap_done_fn done);
/* "VERB name" */
struct imap_command *imap_store_named(const char *verb, const char *name);
/* Two names of one mailbox. */
bool imap_store_is_same(const char *a, const char *b);
/* To be called first in each `done`: false if the job must not go on (connection lost, or NO/BAD,
 * whose error is kept with `what` in front). */
bool imap_store_answered(struct imap_job *job, const struct imap_response *tagged,
			 const char *what);
/* The same for what delivers into `target`: ERROR_REFUSED if there is no such mailbox. */
bool imap_store_delivered(struct imap_job *job, const struct imap_response *tagged,
			  const char *what, const char *target);
/* Ends the job when nothing of it is in flight any more. */
void imap_store_finish(struct imap_job *job);
/* The mailbox of the job, fit for messages. Free with g_free(). */
char *imap_store_shown_name(const struct imap_job *job);
/* NOOP, then `next`: a message that another connection saw arrive may be news to this one, and UID
 * FETCH need not look for news. */
void imap_store_news(struct imap_job *job, void (*next)(struct imap_job *));
/* Keeps the first error. Takes it over. */
void imap_store_fail(struct imap_job *job, GError *error);
/* `set` as text, in pieces that fit a command line; of char *. */
GPtrArray *imap_store_set_pieces(const struct seqset *set);
/* "\\Seen $Junk" of enum store_flag and of keywords parted by spaces, which may be NULL. NULL if
 * one cannot be sent, or if they are too many for a command line. Free with g_free(). */
char *imap_store_flag_list(unsigned flags, const char *words);

/* EXAMINE; then `next`. `parameters` such as " (CONDSTORE)" or "". */
void imap_select(struct imap_job *job, const char *parameters, void (*next)(struct imap_job *));
/* The same, but what is sent next need not wait for it. That may be answered out of a mailbox that
 * was open before: what comes counts only behind `next`. */
void imap_select_ahead(struct imap_job *job, const char *parameters,
		       void (*next)(struct imap_job *));
/* The same unless it is open already, in whichever way; the job ends if it was replaced. */
void imap_select_to_read(struct imap_job *job, void (*next)(struct imap_job *));
/* SELECT, and what is allowed there, unless it is open so already; the job ends if the mailbox was
 * replaced. */
void imap_select_to_change(struct imap_job *job, void (*next)(struct imap_job *));
void imap_rights_untagged(struct imap_job *job, const struct imap_response *response);
/* Leaves the selected mailbox, if there is one, then `next`. Nothing is ever expunged by it: a
 * mailbox that was opened for change is never closed by CLOSE (RFC 9051 section 6.4.1). */
void imap_leave(struct imap_job *job, void (*next)(struct imap_job *));
void imap_select_clear(struct store *store);
void imap_select_untagged(struct store *store, const struct imap_response *response);

void imap_list_start(struct imap_job *job);
void imap_list_untagged(struct store *store, const struct imap_response *response);
void imap_status_start(struct imap_job *job);
void imap_status_untagged(struct imap_job *job, const struct imap_response *response);
void imap_list_status(struct store *store, const struct imap_response *response);
void imap_quota_untagged(struct store *store, const struct imap_response *response);
void imap_refresh_start(struct imap_job *job);
/* True if the response was news of the job's folder that it wanted. */
void imap_refresh_fetch(struct imap_job *job, const struct imap_fetch *fetch);
void imap_refresh_search(struct imap_job *job, const struct imap_response *response);
void imap_body_start(struct imap_job *job);
/* The mailbox of this job is being opened for others: its fetch may follow theirs. */
bool imap_body_is_opening(const struct store *store, const struct store_job *job);
void imap_body_begin(struct store *store, uint32_t uid, uint64_t origin, uint64_t size);
void imap_body_data(struct store *store, const uint8_t *bytes, size_t len);
/* At the end of a step: how far the literal came. */
void imap_body_tell(struct store *store);
void imap_body_fetch(struct store *store, const struct imap_fetch *fetch);
/* A FETCH without a body: the answer to a second look. */
void imap_body_seen(struct store *store, uint32_t uid);
void imap_body_vanished(struct store *store, const struct seqset *uids);
void imap_measure_start(struct imap_job *job);
void imap_rights_start(struct imap_job *job);
void imap_flags_start(struct imap_job *job);
void imap_expunge_start(struct imap_job *job);
void imap_transfer_start(struct imap_job *job);
/* COPYUID, tagged or not. */
void imap_transfer_told(struct imap_job *job, const struct imap_response *response);
void imap_find_start(struct imap_job *job);
void imap_find_fetch(struct imap_job *job, const struct imap_fetch *fetch);
void imap_append_start(struct imap_job *job);
void imap_mark_start(struct imap_job *job);
void imap_mark_untagged(struct imap_job *job, const struct imap_response *response);
void imap_create_start(struct imap_job *job);
void imap_delete_start(struct imap_job *job);
void imap_delete_listed(struct imap_job *job, const struct imap_response *response);
void imap_rename_start(struct imap_job *job);
void imap_leave_start(struct imap_job *job);
void imap_watch_start(struct imap_job *job);
/* While a watch is the only job. */
bool imap_watch_accepts(const struct store *store, const struct store_job *job);
void imap_watch_untagged(struct store *store, const struct imap_response *response);
void imap_watch_status(struct imap_job *job, const struct imap_response *response);
void imap_watch_overflow(struct imap_job *job);
/* What came in a step is told together. */
void imap_watch_tell(struct store *store);
void imap_watch_step(struct store *store);
int64_t imap_watch_deadline_ms(const struct store *store);
