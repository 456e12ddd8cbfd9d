/* What the files of the outbox' thread share. */
#pragma once

#include "outbox/delivery.h"
#include "outbox/outbox.h"
#include "outbox/submitter.h"

#include <pthread.h>

/* Somebody waits for a verdict. */
struct wanted {
	uint32_t id;
	int64_t until_ms;
};

struct outbox {
	struct outbox_config config;
	const struct outbox_events *events;
	void *data;
	char *from; /* who sends what does not say so; may be NULL */
	struct queue *queue;

	pthread_t thread;
	bool started;
	int wake_fd; /* eventfd */
	pthread_mutex_t lock;
	pthread_cond_t flushed;
	struct {		/* under the lock */
		GArray *wanted; /* of struct wanted */
		bool stop;
		bool retry;
		bool online;
		bool flush;
		bool flushed;
		int64_t pause_ms; /* monotonic: no connection before; 0: none is in the way */
		int down;	  /* errno of that */
		char *why;	  /* the same for people */
		GArray *untold;	  /* of uint32_t: they failed, and nobody was told */
		uint64_t size_max;
	} shared;

	/* the thread's own */
	int64_t now_ms;	 /* monotonic */
	int64_t wall_ms; /* by which the queue goes */
	struct submitter *submitter;
	const struct credential *credential; /* that it logs in with; NULL: not now */
	bool delivering;		     /* a message is in hand: */
	struct delivery delivery;
	bool handed; /* to the session */
	bool over;   /* the session is done with it: */
	enum smtp_outcome outcome;
	bool closing;	    /* the server said that it closes the connection (421) */
	bool cut;	    /* so it did, or the connection was lost */
	bool unrecorded;    /* it could not be put on record */
	unsigned served;    /* transactions that this connection brought to an end */
	unsigned failures;  /* connections in a row */
	int64_t attempt_ms; /* the last connection begun */
	int64_t used_ms;    /* the last transaction's end */
	int64_t copy_ms;    /* copies are not tried before */
	int64_t hand_ms;    /* what could not be handed over is not tried before */
	unsigned unhanded;  /* how many could not */
	bool copy_waits;    /* and that was told */
};

/* --- outbox.c --- */

/* Somebody waits for all. */
bool outbox_hurries(struct outbox *outbox);
void outbox_note_failure(struct outbox *outbox, uint32_t id);

/* --- outbox_send.c, outbox_copy.c: the thread's work --- */

/* Takes what is due, connects, hands in. Gives when to come again. */
int64_t outbox_send(struct outbox *outbox);
/* The connection ended. */
void outbox_lost(struct outbox *outbox, const GError *error);
/* Files what is to be filed. Gives when to come again. */
int64_t outbox_file_copies(struct outbox *outbox);
/* Some can be filed now. */
bool outbox_has_copies(struct outbox *outbox);
/* The thread ends: goodbye, and what is in hand waits again. */
void outbox_hang_up(struct outbox *outbox);
void outbox_end_pause(struct outbox *outbox);
