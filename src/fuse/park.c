#include "fuse/park.h"

#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <time.h>

#define PARK_THREADS 2
/* A need that is settled again and again without being met. */
#define PARK_MAX_ROUNDS 10000

struct park_list {
	struct parked *first, *last;
};

/* Requests that may still be on their way when their ticket is settled. */
#define PARK_VERDICTS 64

struct verdict {
	struct need need;
	int error;
};

struct park {
	struct park_config config;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	struct park_list waiting;
	struct park_list ready;
	int64_t next_due_ms;			/* not after the earliest of the waiting */
	struct verdict verdicts[PARK_VERDICTS]; /* nobody waited for them yet; oldest goes first */
	unsigned next_verdict;
	bool stopping;
	bool joined;
	pthread_t threads[PARK_THREADS];
};

static void list_append(struct park_list *list, struct parked *parked)
{
	parked->prev = list->last;
	parked->next = NULL;
	*(list->last ? &list->last->next : &list->first) = parked;
	list->last = parked;
}

static void list_remove(struct park_list *list, struct parked *parked)
{
	*(parked->prev ? &parked->prev->next : &list->first) = parked->next;
	*(parked->next ? &parked->next->prev : &list->last) = parked->prev;
	parked->prev = parked->next = NULL;
}

/* --- with the mutex held --- */

static void make_ready_locked(struct park *park, struct parked *parked, int give_up)
{
	list_remove(&park->waiting, parked);
	parked->state = PARK_READY;
	parked->give_up = give_up;
	list_append(&park->ready, parked);
}

static void heed_due_locked(struct park *park, struct parked *parked)
{
	if (parked->interrupted)
		parked->due_ms = MIN(parked->due_ms, parked->since_ms + park->config.interrupt_ms);
	park->next_due_ms = MIN(park->next_due_ms, parked->due_ms);
}

static int64_t deadline_of(const struct park *park, const struct parked *parked, int64_t now_ms)
{
	if (parked->need.kind == NEED_EVENTS) /* there may be none for days */
		return INT64_MAX;
	if (parked->rounds > PARK_MAX_ROUNDS)
		return now_ms;
	if (parked->soft)
		return parked->soft_since_ms + park->config.soft_ms;
	switch (parked->need.kind) {
	case NEED_CHANGE:
	case NEED_CHANGES:
	case NEED_SPOOL:
	case NEED_OUTBOX:
		/* Whatever is sent before it takes its time too. */
		return now_ms + LIMIT_JOB_MS;
	default:
		return MIN(now_ms + park->config.hard_ms, parked->since_ms + LIMIT_JOB_MS);
	}
}

static void wait_locked(struct park *park, struct parked *parked)
{
	int64_t now_ms = clock_mono_ms();

	if (!parked->rounds++)
		parked->since_ms = now_ms;
	if (parked->soft && !parked->soft_since_ms)
		parked->soft_since_ms = now_ms;
	parked->state = PARK_WAITING;
	parked->due_ms = deadline_of(park, parked, now_ms);
	list_append(&park->waiting, parked);
	heed_due_locked(park, parked);
}

/* A ticket is settled once, maybe before the request waits for it. */
static void verdict_add_locked(struct park *park, const struct need *need, int error)
{
	struct verdict *verdict = &park->verdicts[park->next_verdict++ % PARK_VERDICTS];

	*verdict = (struct verdict){.need = *need, .error = error};
}

static void verdict_find_locked(struct park *park, struct parked *parked)
{
	for (unsigned i = 0; i < PARK_VERDICTS; i++) {
		if (!need_equal(&park->verdicts[i].need, &parked->need))
			continue;
		park->verdicts[i].need.kind = NEED_NONE;
		make_ready_locked(park, parked, park->verdicts[i].error);
		return;
	}
}

/* Moves those whose time is up. An interrupt is told from a deadline by run_one(). */
static void expire_locked(struct park *park, int64_t now_ms)
{
	struct parked *next;

	if (now_ms < park->next_due_ms)
		return;
	park->next_due_ms = INT64_MAX;
	for (struct parked *parked = park->waiting.first; parked; parked = next) {
		next = parked->next;
		if (parked->due_ms <= now_ms)
			make_ready_locked(park, parked, ETIMEDOUT);
		else
			park->next_due_ms = MIN(park->next_due_ms, parked->due_ms);
	}
}

static void sleep_locked(struct park *park)
{
	if (park->next_due_ms == INT64_MAX)
		pthread_cond_wait(&park->wake, &park->mutex);
	else
		clock_cond_wait(&park->wake, &park->mutex, park->next_due_ms);
}

/* The next to run; NULL at the end. */
static struct parked *take_locked(struct park *park)
{
	struct parked *parked;

	while (!park->ready.first) {
		if (park->stopping)
			return NULL;
		expire_locked(park, clock_mono_ms());
		if (!park->ready.first)
			sleep_locked(park);
	}
	parked = park->ready.first;
	list_remove(&park->ready, parked);
	parked->state = PARK_OUTSIDE;
	return parked;
}

/* What ends the request without a run, or 0. */
static int abort_reason_locked(const struct park *park, const struct parked *parked)
{
	if (park->stopping)
		return ECONNABORTED;
	if (parked->interrupted && clock_mono_ms() >= parked->since_ms + park->config.interrupt_ms)
		return EINTR;
	return 0;
}

/* --- */

/* Puts it to the waiting, or answers it if there is no more waiting. */
static void wait_for(struct park *park, struct parked *parked, const struct need *need, bool soft)
{
	bool is_ticket = need->kind == NEED_TICKET;
	bool stopping;

	pthread_mutex_lock(&park->mutex);
	stopping = park->stopping;
	if (!stopping) {
		parked->need = *need;
		parked->soft = soft;
		wait_locked(park, parked);
		if (is_ticket)
			verdict_find_locked(park, parked);
		pthread_cond_signal(&park->wake);
	}
	pthread_mutex_unlock(&park->mutex);

	/* Stated after it waits: a need that is met at this moment still finds it. */
	if (stopping)
		parked->ops->abort(parked, ECONNABORTED);
	else if (!is_ticket)
		park->config.state_need(park->config.data, need);
}

static void run_one(struct park *park, struct parked *parked, int abort_reason)
{
	int give_up = parked->give_up;
	struct need need;
	bool soft;

	if (abort_reason)
		parked->ops->abort(parked, abort_reason);
	else if (parked->ops->run(parked, give_up, &need, &soft))
		return;
	else if (give_up)
		parked->ops->abort(parked, give_up);
	else
		wait_for(park, parked, &need, soft);
}

static void *pool_main(void *data)
{
	struct park *park = data;
	struct parked *parked;
	int abort_reason;

	pthread_mutex_lock(&park->mutex);
	while ((parked = take_locked(park))) {
		abort_reason = abort_reason_locked(park, parked);
		pthread_mutex_unlock(&park->mutex);
		run_one(park, parked, abort_reason);
		pthread_mutex_lock(&park->mutex);
	}
	pthread_mutex_unlock(&park->mutex);
	return NULL;
}

struct park *park_new(const struct park_config *config)
{
	struct park *park = g_new0(struct park, 1);

	park->config = *config;
	park->next_due_ms = INT64_MAX;
	pthread_mutex_init(&park->mutex, NULL);
	clock_cond_init(&park->wake);
	for (int i = 0; i < PARK_THREADS; i++)
		if (pthread_create(&park->threads[i], NULL, pool_main, park))
			g_error("cannot start a thread");
	return park;
}

void park_stop(struct park *park)
{
	if (!park || park->joined)
		return;
	pthread_mutex_lock(&park->mutex);
	park->stopping = true;
	while (park->waiting.first)
		make_ready_locked(park, park->waiting.first, ECONNABORTED);
	pthread_cond_broadcast(&park->wake);
	pthread_mutex_unlock(&park->mutex);
	for (int i = 0; i < PARK_THREADS; i++)
		pthread_join(park->threads[i], NULL);
	park->joined = true;
}

void park_free(struct park **park)
{
	if (!*park)
		return;
	park_stop(*park);
	pthread_cond_destroy(&(*park)->wake);
	pthread_mutex_destroy(&(*park)->mutex);
	g_clear_pointer(park, g_free);
}

void park_add(struct park *park, struct parked *parked, const struct need *need, bool soft)
{
	wait_for(park, parked, need, soft);
}

void park_settled(struct park *park, const struct need *need, int error)
{
	struct parked *next;
	bool any = false;

	pthread_mutex_lock(&park->mutex);
	for (struct parked *parked = park->waiting.first; parked; parked = next) {
		next = parked->next;
		if (!need_equal(&parked->need, need))
			continue;
		make_ready_locked(park, parked, error);
		any = true;
	}
	if (any)
		pthread_cond_broadcast(&park->wake);
	else if (need->kind == NEED_TICKET)
		verdict_add_locked(park, need, error);
	pthread_mutex_unlock(&park->mutex);
}

void park_interrupt(struct park *park, struct parked *parked)
{
	pthread_mutex_lock(&park->mutex);
	parked->interrupted = true;
	if (parked->state == PARK_WAITING) {
		heed_due_locked(park, parked);
		pthread_cond_signal(&park->wake);
	}
	pthread_mutex_unlock(&park->mutex);
}
