/* The POP3 backend, between its files. A store logs in and lists (pop3_list.c), finds out which of
 * the messages are known (pop3_map.c), then runs jobs: REFRESH (pop3_refresh.c), BODY
 * (pop3_body.c), FLAGS (pop3_remove.c), and those that need no question.
 *
 * Two numbers of a message must never be confused: its `place` is the server's, of this session
 * alone; its `number` is ours (cache/uidls.h), told as its UID.
 */
#pragma once

#include "cache/uidls.h"
#include "net/link.h"
#include "protocol/pop3_session.h"
#include "store/pop3/pop3_header.h"
#include "store/store.h"

enum pop3_stage {
	POP3_STAGE_LOGIN,
	POP3_STAGE_LISTING,
	POP3_STAGE_TELLING_APART,
	POP3_STAGE_WORKING,
	POP3_STAGE_LEAVING, /* QUIT is on its way, or will be behind the last command */
	POP3_STAGE_LEFT,
};

struct pop3_message {
	uint32_t place;
	uint32_t number; /* 0: not mapped */
	char *uidl;	 /* "": the server has none */
	bool uidl_told;
	uint64_t size; /* UINT64_MAX: not told */
	bool size_told;
	/* No other message of this session can be meant by `number`: it may be deleted. */
	bool certain;
	bool header_known; /* all of `header`; once it was told, its digest alone is kept */
	bool header_later; /* the server says that it could tell it another time */
	struct pop3_header header;
	/* while they are told apart */
	struct uidl_row *suspect; /* the same UIDL, another size */
	bool put_off;		  /* it cannot be told now which it is: as if it was not listed */
};

struct pop3_job {
	struct store *store;
	struct store_job *job;
	int64_t started_ms;
	unsigned asked; /* commands without an answer */
	GError *error;	/* the first that went wrong */
	/* refresh */
	GPtrArray *news;	/* messages to be told */
	uint32_t first_put_off; /* the lowest number that was not told; 0: all were */
	unsigned put_off;	/* how many */
	struct pop3_walk *walk;
	/* changes */
	unsigned unchecked;    /* TOP without an answer: DELE is next */
	struct seqset removed; /* of numbers: DELE was answered by +OK */
	struct seqset others;  /* of numbers: what is there is another message */
};

/* A command under way. */
struct pop3_ask {
	struct store *store;
	enum pop3_verb verb;
	struct pop3_message *message; /* may be NULL */
	void *owner;
	/* Bytes of it, beside what is collected of the header; may be NULL. */
	void (*body)(struct pop3_ask *ask, const uint8_t *bytes, size_t len);
	/* NULL: the session ended. The header is in `store->header`. */
	void (*done)(struct pop3_ask *ask, const struct pop3_reply *reply);
	/* bodies */
	uint64_t len; /* beyond LIMIT_MESSAGE_SIZE it is counted, and not kept */
	bool begun;
	bool failed;   /* the sink could not take it */
	char *refusal; /* what the server said; freed with the ask */
};

struct store {
	const struct account *account;
	const struct credential *credential; /* for the login alone */
	const struct store_sink *sink;
	void *data;
	const char *role;
	struct index *index;
	uint32_t validity;

	struct link *link;
	bool no_capa;		      /* the server hung up at it */
	struct pop3_session *session; /* made when the link is open */
	enum pop3_stage stage;
	int64_t now_ms;	     /* of the step under way */
	int64_t progress_ms; /* the last byte that came, or the last command */
	int64_t answered_ms; /* the last whole answer, or what began to wait for one */
	int64_t born_ms;
	GError *fatal;
	bool closing;
	bool finishing;

	GQueue asks;	 /* of struct pop3_ask, the oldest first */
	GString *header; /* of what arrives for the oldest */
	bool header_ended;

	GPtrArray *messages; /* of struct pop3_message, by rising place once it is listed */
	GHashTable *places;  /* place -> message */
	GHashTable *numbers; /* number -> message */
	uint64_t uidl_bytes;
	uint32_t count; /* by STAT */
	bool counted;
	unsigned listings; /* answers that came */
	bool uidls_listed, sizes_listed;
	GError *listing_error;
	bool partial;	      /* STAT tells of more: what is missing need not be gone */
	unsigned top_refused; /* since it was answered last */
	struct pop3_map *map;

	GQueue jobs; /* of struct pop3_job, in order of submission */
};

/* --- pop3_store.c --- */

/* The connection is of no use any more. Takes the error over. */
void pop3_store_break(struct store *store, GError *error);
/* A copy of `ask` is kept. If the session takes no more commands `done` is called from within. */
void pop3_store_ask(struct store *store, const struct pop3_ask *ask);
/* What stands behind -ERR. */
GError *pop3_store_refused(const struct pop3_reply *reply, const char *what);
bool pop3_store_is_temporary(const struct pop3_reply *reply);
/* Keeps the first error. Takes it over. */
void pop3_store_fail(struct pop3_job *job, GError *error);
/* Ends the job if nothing of it is under way any more. */
void pop3_store_end(struct pop3_job *job);
/* False, and the job has failed, if it is of another mailbox. */
bool pop3_store_is_here(struct pop3_job *job);
/* QUIT, behind all that was asked. */
void pop3_store_leave(struct store *store, pop3_quit_fn done, void *data);
struct pop3_message *pop3_store_message(const struct store *store, uint32_t number);
/* Over LIMIT_MESSAGE_SIZE, says LIST: RETR has no end, and is of no use unless that is a lie. */
bool pop3_store_is_too_large(const struct pop3_message *message);
/* What is on record of it; clear it with pop3_row_clear(). False, and the store breaks, if the
 * index lost what it was told. */
bool pop3_store_row(struct store *store, const struct pop3_message *message, struct uidl_row *ret);
void pop3_row_clear(struct uidl_row *row);
/* Whether the header that came for `ask` is that of the message on record; one of which none is on
 * record is. False, and the store breaks, if the index lost what it was told. */
bool pop3_store_is_on_record(struct pop3_ask *ask, bool *ret_same);
/* The number is of nothing that is there. */
void pop3_store_forget(struct store *store, uint32_t number);

/* --- pop3_list.c --- */

void pop3_list_begin(struct store *store);
void pop3_list_uid_told(struct store *store, uint32_t place, const char *uidl);
void pop3_list_size_told(struct store *store, uint32_t place, uint64_t size);
void pop3_message_free(void *message);

/* --- pop3_map.c --- */

/* Gives each message its number; asks for headers where these must decide. Then WORKING. */
void pop3_map_begin(struct store *store);
void pop3_map_free(struct pop3_map **map);

/* --- pop3_walk.c --- */

struct pop3_walk;

typedef void (*pop3_walk_each_fn)(void *data, struct pop3_message *message);
typedef void (*pop3_walk_done_fn)(void *data);
/* Asks for the header of each that has none, some at a time: TOP, or RETR where that is refused.
 * `each` is called when it is known, or will not be; `done` at the end, perhaps at once. Neither
 * is called once the session ended. `messages` is borrowed until the walk is freed. */
struct pop3_walk *pop3_walk_new(struct store *store, GPtrArray *messages, pop3_walk_each_fn each,
				pop3_walk_done_fn done, void *data);
void pop3_walk_start(struct pop3_walk *walk);
void pop3_walk_free(struct pop3_walk **walk);
bool pop3_walk_may_top(const struct store *store);

/* --- jobs --- */

void pop3_refresh_start(struct pop3_job *job);
void pop3_body_start(struct pop3_job *job);
void pop3_remove_start(struct pop3_job *job);
