/* A mailstore in memory, with faults: what the engine's tests put in a server's place. The test
 * owns the account and changes it under its lock while the engine runs. */
#pragma once

#include "store/store.h"

#include <pthread.h>

struct memory_message {
	uint32_t uid;
	unsigned flags;
	const char *subject;
	const char *body;
	uint64_t size_told; /* RFC822.SIZE */
};

struct memory_folder {
	const char *name;
	unsigned attributes;
	uint64_t uidvalidity;
	uint64_t count_told; /* 0: the true count */
	struct memory_message messages[64];
	unsigned count;
	unsigned refreshes;
};

enum memory_second { MEMORY_WELCOME, MEMORY_REFUSED, MEMORY_LEFT_WAITING };

struct memory_account {
	pthread_mutex_t lock;
	struct memory_folder folders[32];
	unsigned folder_count;
	/* faults */
	int refuse;	  /* connections refused from now on, with this error code; 0: none */
	bool hang;	  /* jobs are taken and never answered */
	unsigned drip_ms; /* a first listing takes so long from message to message */
	uint32_t poison;  /* who asks for this message beside others loses the connection */
	bool hang_list;	  /* those that list folders */
	enum memory_second second; /* what becomes of a second connection */
	unsigned die_after;	   /* the connection ends at the n-th job from now; 0: never */
	/* what was asked */
	unsigned connections;
	unsigned open;	  /* connections that are ready */
	unsigned refused; /* connections */
	unsigned jobs[STORE_PROBE + 1];
	unsigned verifies;
	uint32_t stale_gone; /* a body job hears that this UID of another mailbox went */
	unsigned batched;    /* messages asked for in batches */
};

/* The account that connections reach; set before the engine starts. */
extern struct memory_account memory;
extern const struct store_ops store_memory;

void memory_reset(void);
/* How often something happened so far. */
unsigned memory_count(const unsigned *counter);
void memory_set(bool *fault, bool on);
struct memory_folder *memory_folder_add(const char *name, uint64_t uidvalidity);
void memory_message_add(struct memory_folder *folder, uint32_t uid, const char *subject,
			const char *body);
void memory_message_remove(struct memory_folder *folder, uint32_t uid);
