/* Requests that wait for a need. A request belongs to exactly one side at any time: to the park
 * from park_add() until its run() or abort() is called, to its owner otherwise; so it is answered
 * once, whether by a replay, an interrupt, a deadline or the end.
 *
 * Replays run in a small pool of threads. No lock is held while a callback runs. Any thread may
 * call, also the engine's: nothing here blocks but for a short mutex.
 */
#pragma once

#include "engine/need.h"

struct park;

enum park_state {
	PARK_OUTSIDE, /* the owner's: not yet added, or being run */
	PARK_WAITING, /* for its need, its deadline or an interrupt */
	PARK_READY,   /* for a thread of the pool */
};

struct parked;

struct parked_ops {
	/* Tries again. True: answered and gone. False: it lacks `*ret_need`, and waits on. With
	 * `give_up` not 0 waiting is over: it must answer. */
	bool (*run)(struct parked *parked, int give_up, struct need *ret_need, bool *ret_soft);
	/* Answers with the errno, and is gone. */
	void (*abort)(struct parked *parked, int error);
};

/* The first member of what is parked. Zeroed, but for `ops`; the rest is the park's. */
struct parked {
	const struct parked_ops *ops;
	enum park_state state;
	struct parked *prev, *next;
	struct need need;
	bool soft;
	bool interrupted;
	unsigned rounds;
	int64_t since_ms;      /* when it was parked first */
	int64_t soft_since_ms; /* the same for a soft need; 0: never */
	int64_t due_ms;
	int give_up; /* of the next run */
};

struct park_config {
	/* Told once the request waits, but not of tickets; may call park_settled(). */
	void (*state_need)(void *data, const struct need *need);
	void *data;
	int64_t soft_ms;      /* how long a soft need may delay an answer */
	int64_t hard_ms;      /* without a sign of progress: the engine should have settled it */
	int64_t interrupt_ms; /* an interrupt counts after this time (runtimes that signal their
				 own threads would see a stray EINTR) */
};

/* Starts the pool. */
struct park *park_new(const struct park_config *config);
/* Answers all with ECONNABORTED and ends the pool; later ones are aborted at once. May be called
 * more than once, by one thread at a time, not by a callback. */
void park_stop(struct park *park);
void park_free(struct park **park);

void park_add(struct park *park, struct parked *parked, const struct need *need, bool soft);
void park_settled(struct park *park, const struct need *need, int error);
/* The caller vouches that `parked` is not gone. It may be before park_add(). */
void park_interrupt(struct park *park, struct parked *parked);
