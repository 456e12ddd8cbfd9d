/* A mailstore in memory, with faults: what the engine's tests put in a server's place. The test
 * owns the account and changes it under its lock while the engine runs. */
#pragma once

#include "store/store.h"

#include <pthread.h>

struct memory_message {
	uint32_t uid;
	unsigned flags;
	const char *keywords; /* parted by spaces */
	const char *subject;
	const char *body;
	uint64_t size_told; /* RFC822.SIZE */
	int64_t date_s;
	uint64_t modseq; /* its flags are told to who knows less; 0: to all */
};

struct memory_folder {
	const char *name;
	bool gone; /* deleted */
	unsigned attributes;
	uint64_t uidvalidity;
	uint32_t uidnext;
	uint64_t count_told;		 /* 0: the true count */
	uint64_t modseq;		 /* 0: none */
	struct memory_message *messages; /* moves when one is added */
	unsigned count, room;
	unsigned refreshes;
	bool read_only;
	unsigned may;	  /* enum store_right; at first all */
	unsigned openers; /* connections that have it selected */
};

enum memory_second { MEMORY_WELCOME, MEMORY_REFUSED, MEMORY_LEFT_WAITING };

/* When the connection ends. The command has been sent in both cases. */
enum memory_loss { MEMORY_KEPT, MEMORY_LOST_BEFORE, MEMORY_LOST_AFTER };

/* What becomes of the next job of a kind, and of that one alone. */
struct memory_fault {
	int refuse; /* an error code */
	enum memory_loss loss;
};

struct memory_account {
	pthread_mutex_t lock; /* all that follows is cleared by memory_reset() */
	struct memory_folder folders[32];
	unsigned folder_count;
	GPtrArray *owned; /* strings and messages of the above */
	GString *journal; /* a line for each change that was made */
	/* what the server can do */
	unsigned abilities; /* enum store_ability; at first all */
	uint64_t append_max_bytes;
	bool no_uidplus;    /* new UIDs are not told */
	bool cut_watches;   /* connections that watch end, and others are not to be had */
	bool counts;	    /* LIST tells of all, if asked to */
	uint64_t copied_to; /* the UIDVALIDITY that is told with them; 0: the true one */
	/* faults */
	int refuse;	  /* connections refused from now on, with this error code; 0: none */
	unsigned login_ms; /* how long it takes, answering all the time */
	bool slow;	  /* no more of a message than its window comes at once */
	bool hang;	  /* jobs are taken and never answered */
	unsigned drip_ms; /* a first listing takes so long from message to message */
	void (*dripped)(void *data, uint32_t uid); /* in the engine's thread, amid its turn; or NULL */
	void *dripped_data;
	uint32_t poison;  /* who asks for this message beside others loses the connection */
	bool hang_list;	  /* those that list folders */
	enum memory_second second; /* what becomes of a second connection */
	unsigned die_after;	   /* the connection ends at the n-th job from now; 0: never */
	uint32_t doubtful; /* this message is not removed, as it cannot be told from others */
	int doubt_error;   /* why; 0: ERROR_DENIED */
	int64_t rest_ms;   /* the server wants to be left alone so long after a login */
	struct memory_fault faults[STORE_LEAVE + 1];
	bool hold[STORE_LEAVE + 1]; /* jobs of a kind, and those behind them, wait */
	/* what was asked */
	unsigned connections;
	unsigned open;		    /* connections that are ready */
	unsigned refused;	    /* connections */
	unsigned attempts;	    /* logins */
	unsigned finished;	    /* sessions that ended as they should */
	unsigned alive, alive_most; /* connections, ready or not */
	int64_t ready_ms, gap_ms;   /* the last login, and the least time between two; 0: one */
	unsigned submitted[STORE_LEAVE + 1];
	unsigned jobs[STORE_LEAVE + 1]; /* done */
	unsigned verifies;
	bool undone;		  /* what FLAGS asks for was done, and undone since */
	bool echo;		  /* what FLAGS did is told */
	bool leave_flags;	  /* refreshes tell no flags of known messages */
	bool hold_refreshed;	  /* refreshes tell what they know, and do not end */
	uint32_t stale_flags;	  /* a body job hears that this UID is \Deleted */
	uint32_t stale_gone; /* a body job hears that this UID of another mailbox went */
	uint32_t another;    /* a body job finds that this is another message */
	GPtrArray *watches;  /* of struct store */
	unsigned watched;    /* how many */
	unsigned batched;    /* messages asked for in batches */
	unsigned trespasses; /* folders removed or renamed while a connection had them open */
};

/* The account that connections reach; set before the engine starts. */
extern struct memory_account memory;
extern const struct store_ops store_memory;
/* The same with the traits of a maildrop: a session sees no message that comes later, and ends when
 * something was removed (STORE_CAN_REMOVE) or finish() was called. */
extern const struct store_ops store_memory_brief;

void memory_reset(void);
/* How often something happened so far. */
unsigned memory_count(const unsigned *counter);
void memory_set(bool *fault, bool on);
struct memory_folder *memory_folder_add(const char *name, uint64_t uidvalidity);
/* NULL if there is none (any more). */
struct memory_folder *memory_folder_find(const char *name);
void memory_message_add(struct memory_folder *folder, uint32_t uid, const char *subject,
			const char *body);
void memory_message_remove(struct memory_folder *folder, uint32_t uid);
/* Who watches the folder is told that it changed. `name` is kept. */
void memory_tell(const char *name);
/* Returns when all of them ended. */
void memory_cut_watches(bool for_good);
void memory_fault_set(enum store_job_kind kind, int refuse, enum memory_loss loss);
/* The changes since the last call, as "move INBOX 5:6 Archive\n". Free with g_free(). */
char *memory_journal(void);
/* The messages of a folder as "5 6D 9 ($Work)": UID, then SAFDT for the flags Seen, Answered,
 * Flagged, Deleted, Draft (T), then keywords. "-" if there is no such folder. Free with g_free().
 */
char *memory_messages(const char *name);
