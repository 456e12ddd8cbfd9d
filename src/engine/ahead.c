/* Reading ahead across messages: who opens the messages of a folder in order (cat, grep -r, tar,
 * cp) is given the following ones by few commands, before they are asked for.
 *
 * In order means: of the few UIDs before one that is missed, one was opened lately. That holds for
 * ascending UIDs and for names in alphabetical order (1, 10, 100, 1000, 1001, ...), which are
 * several ascending runs side by side. A run is two batches ahead of its reader: when the first
 * message of one is opened, the one behind the next is asked for. Batches double as long as it goes
 * on. Random access fetches nothing extra, and no more than two batches are wasted when a reader
 * stops.
 *
 * They go over a connection of their own, but for the first of a run, which somebody will wait for
 * in a moment. What somebody waits for that is still far behind in them is fetched alone.
 *
 * What arrives ahead, and what is here already and read in order, is offered to the kernel's cache
 * (engine_events.body_ahead): there a window is asked for when the one before is used up, as
 * nothing tells how far in it a reader is.
 */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"

#define NEIGHBOURS 8

/* Opening a message asks for what follows `end`; then `next` is the one to wait for. */
struct trigger {
	uint32_t next, end;
};

static gpointer message_key(uint32_t epoch, uint32_t uid)
{
	return GSIZE_TO_POINTER((gsize)((uint64_t)epoch << 32 | uid));
}

static void note_opened_locked(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	if (g_hash_table_size(engine->shared.opened) >= ENGINE_OPENED)
		g_hash_table_remove_all(engine->shared.opened);
	g_hash_table_add(engine->shared.opened, message_key(epoch, uid));
}

/* The need that a trigger means; false: there is none. */
static bool take_trigger_locked(struct engine *engine, uint32_t epoch, uint32_t uid,
				struct need *ret)
{
	gpointer key = message_key(epoch, uid);
	const struct trigger *trigger = g_hash_table_lookup(engine->shared.triggers, key);

	if (!trigger)
		return false;
	*ret = (struct need){
		.kind = NEED_AHEAD, .id = epoch, .uid = trigger->next, .upto = trigger->end};
	g_hash_table_remove(engine->shared.triggers, key);
	return true;
}

void engine_opened(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	struct need need;
	bool triggers;

	pthread_mutex_lock(&engine->lock);
	note_opened_locked(engine, epoch, uid);
	triggers = take_trigger_locked(engine, epoch, uid, &need);
	if (triggers)
		g_array_append_val(engine->shared.needs, need);
	pthread_mutex_unlock(&engine->lock);
	if (triggers)
		engine_wake(engine);
}

static bool is_in_order_locked(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	for (uint32_t i = 1; i <= NEIGHBOURS && i < uid; i++) {
		if (g_hash_table_contains(engine->shared.opened, message_key(epoch, uid - i)))
			return true;
	}
	return false;
}

static bool is_in_order(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	bool in_order;

	pthread_mutex_lock(&engine->lock);
	in_order = is_in_order_locked(engine, epoch, uid);
	pthread_mutex_unlock(&engine->lock);
	return in_order;
}

/* False if it was opened meanwhile: there is nothing to wait for. */
static bool set_trigger(struct engine *engine, uint32_t epoch, uint32_t uid,
			const struct trigger *trigger)
{
	gpointer key = message_key(epoch, uid);
	bool waits;

	pthread_mutex_lock(&engine->lock);
	waits = !g_hash_table_contains(engine->shared.opened, key);
	if (waits && g_hash_table_size(engine->shared.triggers) >= ENGINE_OPENED)
		g_hash_table_remove_all(engine->shared.triggers);
	if (waits)
		g_hash_table_insert(engine->shared.triggers, key,
				    g_memdup2(trigger, sizeof(*trigger)));
	pthread_mutex_unlock(&engine->lock);
	return waits;
}

/* --- from the server --- */

struct choice {
	struct engine *engine;
	uint32_t epoch;
	GArray *batch;
	unsigned looked_at;
	uint64_t bytes;
};

/* The view may not tell the size of what has just come. */
static bool is_here(struct engine *engine, uint32_t epoch, const struct message_row *row)
{
	return row->exact ? bodies_has(engine->bodies, epoch, row->uid)
			  : body_is_met(engine, epoch, row->uid, UINT64_MAX);
}

static bool choose(void *data, const struct message_row *row)
{
	struct choice *choice = data;
	struct engine *engine = choice->engine;
	struct store_item item = {row->uid, row->size_hint};

	if (row->size_hint <= ENGINE_AHEAD_SIZE &&
	    !body_is_under_way(engine, choice->epoch, row->uid) &&
	    !is_here(engine, choice->epoch, row)) {
		choice->bytes += row->size_hint;
		g_array_append_val(choice->batch, item);
	}
	return ++choice->looked_at < 2 * engine->ahead && choice->batch->len < engine->ahead &&
	       choice->bytes < ENGINE_AHEAD_BYTES;
}

static void widen(struct engine *engine, uint32_t epoch)
{
	unsigned most = lane_is_coming(engine, LANE_BULK) ? ENGINE_AHEAD_FEW : ENGINE_AHEAD_MAX;

	if (engine->ahead_epoch == epoch)
		engine->ahead = MIN(engine->ahead * 2, most);
	else
		engine->ahead = ENGINE_AHEAD_MIN;
	engine->ahead_epoch = epoch;
}

static bool queue_batch(struct engine *engine, uint32_t epoch, GArray *batch, enum lane_id lane)
{
	uint32_t first = g_array_index(batch, struct store_item, 0).uid;
	struct store_job *job = body_job(engine, epoch, first);

	if (!job)
		return false;
	job->batch = g_array_ref(batch);
	for (unsigned i = 0; i < batch->len; i++) {
		const struct store_item *item = &g_array_index(batch, struct store_item, i);

		engine->ahead_asked += item->size_hint;
		body_set_ahead(engine, epoch, item->uid, engine->ahead_asked);
	}
	lane_queue(engine, brief_is_alone(engine) ? LANE_BODY : lane, job);
	return true;
}

/* A window of what is not here, behind `uid`. */
static bool ask_behind(struct engine *engine, uint32_t epoch, uint32_t uid, enum lane_id lane,
		       struct trigger *ret_ends)
{
	g_autoptr(GArray) batch = g_array_new(FALSE, FALSE, sizeof(struct store_item));
	struct choice choice = {.engine = engine, .epoch = epoch, .batch = batch};

	widen(engine, epoch);
	index_messages_each(engine->view, epoch, uid, choose, &choice);
	if (batch->len == 0 || !queue_batch(engine, epoch, batch, lane))
		return false;
	ret_ends->next = g_array_index(batch, struct store_item, 0).uid;
	ret_ends->end = g_array_index(batch, struct store_item, batch->len - 1).uid;
	return true;
}

static bool may_ask(const struct engine *engine)
{
	return !lane_is_down(engine, LANE_BODY) && engine->now_ms >= engine->ahead_not_before_ms;
}

/* The reader has begun a batch; `next` is the one behind it, which ends with `end`. */
void ahead_fetch(struct engine *engine, uint32_t epoch, uint32_t next, uint32_t end)
{
	struct trigger ends;

	while (may_ask(engine) && ask_behind(engine, epoch, end, LANE_BULK, &ends) &&
	       !set_trigger(engine, epoch, next, &ends)) {
		next = ends.next;
		end = ends.end;
	}
}

static bool look_at_one(void *data, const struct message_row *row)
{
	struct choice *wish = data;
	bool wanted =
		row->size_hint <= ENGINE_AHEAD_SIZE && !is_here(wish->engine, wish->epoch, row);

	wish->bytes = wanted ? row->size_hint : 0;
	return false;
}

/* The names 1, 10, 100, 1000 follow each other in alphabetical order: those that come next are
 * asked for, too. The last of them, behind which a run begins; 0: it is not so. */
static uint32_t ask_tens(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	struct choice wish = {.engine = engine, .epoch = epoch};
	bool in_order;

	pthread_mutex_lock(&engine->lock);
	in_order = uid % 10 == 0 &&
		   g_hash_table_contains(engine->shared.opened, message_key(epoch, uid / 10));
	pthread_mutex_unlock(&engine->lock);
	if (!in_order)
		return 0;
	while (uid <= UINT32_MAX / 10 &&
	       index_message_get(engine->view, epoch, uid * 10, look_at_one, &wish)) {
		uid *= 10;
		if (wish.bytes > 0)
			body_fetch(engine, epoch, uid);
	}
	return uid;
}

static void begin_run(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	struct trigger first, second;

	if (!may_ask(engine) || !ask_behind(engine, epoch, uid, LANE_BODY, &first) ||
	    !ask_behind(engine, epoch, first.end, LANE_BULK, &second))
		return;
	if (!set_trigger(engine, epoch, first.next, &second))
		ahead_fetch(engine, epoch, second.next, second.end);
}

void ahead_missed(struct engine *engine, uint32_t epoch, uint32_t uid, bool was_asked)
{
	bool in_order = is_in_order(engine, epoch, uid);

	if (in_order && was_asked)
		widen(engine, epoch); /* the reader is faster */
	if (was_asked || !may_ask(engine))
		return;
	if (!in_order)
		uid = ask_tens(engine, epoch, uid);
	if (uid > 0)
		begin_run(engine, epoch, uid);
}

/* What is refused, or ends the connection, may be one message of many. */
static bool is_of_all(const GError *error)
{
	return g_error_matches(error, MAILFS_ERROR, ERROR_TIMEOUT) ||
	       g_error_matches(error, MAILFS_ERROR, ERROR_STALE);
}

/* Somebody may wait for one that was left out. */
static void end_item(struct engine *engine, const struct store_job *job, uint32_t uid,
		     const GError *error)
{
	body_end_ahead(engine, job->epoch, uid);
	if (body_is_under_way(engine, job->epoch, uid))
		return;
	bodies_part_discard(engine->bodies, job->epoch, uid);
	if (!needs_find(engine, NEED_BODY, job->epoch, uid))
		return;
	if (error && is_of_all(error))
		needs_settle(engine, NEED_BODY, job->epoch, uid, error_errno(error));
	else
		body_fetch(engine, job->epoch, uid);
}

void ahead_done(struct engine *engine, struct store_job *job, const GError *error)
{
	if (error) {
		log_warning("%s: %s", engine->account->name, error->message);
		engine->ahead_epoch = 0;
		engine->ahead_not_before_ms = engine->now_ms + ENGINE_AHEAD_PAUSE_MS;
		folder_changed(engine, job->folder);
	}
	for (unsigned i = 0; i < job->batch->len; i++)
		end_item(engine, job, g_array_index(job->batch, struct store_item, i).uid, error);
}

/* --- into the kernel's cache --- */

/* Shared, under engine->lock: a run of messages that are here and read in order. */
static struct pages *pages_find_locked(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	for (unsigned i = 0; i < ENGINE_PAGE_RUNS; i++) {
		struct pages *pages = &engine->shared.pages[i];

		if (pages->epoch == epoch && uid >= pages->from &&
		    (pages->busy || uid <= pages->upto + (uint64_t)NEIGHBOURS))
			return pages;
	}
	return NULL;
}

static struct pages *pages_new_locked(struct engine *engine, uint32_t epoch)
{
	struct pages *pages = &engine->shared.pages[engine->shared.next_pages++ % ENGINE_PAGE_RUNS];

	*pages = (struct pages){.epoch = epoch, .window = ENGINE_AHEAD_MIN / 2};
	return pages;
}

/* True if a window behind this message is wanted. */
static bool wants_pages_locked(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	struct pages *pages = pages_find_locked(engine, epoch, uid);

	if (pages && (pages->busy || uid <= pages->upto))
		return false;
	if (!pages && !is_in_order_locked(engine, epoch, uid))
		return false;
	if (!pages)
		pages = pages_new_locked(engine, epoch);
	pages->window = MIN(pages->window * 2, ENGINE_AHEAD_MAX);
	pages->from = uid;
	pages->busy = true;
	return true;
}

void engine_read(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	struct need need = {.kind = NEED_PAGES, .id = epoch, .uid = uid};
	bool wanted;

	pthread_mutex_lock(&engine->lock);
	wanted = wants_pages_locked(engine, epoch, uid);
	if (wanted)
		g_array_append_val(engine->shared.needs, need);
	pthread_mutex_unlock(&engine->lock);
	if (wanted)
		engine_wake(engine);
}

struct offer {
	struct engine *engine;
	uint32_t epoch;
	unsigned left;
	uint32_t last;
	uint64_t bytes;
};

void ahead_offer(struct engine *engine, uint32_t epoch, uint32_t uid, uint64_t size)
{
	if (size <= ENGINE_PAGES_SIZE)
		report_body_ahead(engine, epoch, uid, size);
}

/* Those whose size the kernel was told truly. */
static bool offer_one(void *data, const struct message_row *row)
{
	struct offer *offer = data;

	if (!row->exact || !bodies_has(offer->engine->bodies, offer->epoch, row->uid))
		return false;
	if (row->size == row->size_hint)
		ahead_offer(offer->engine, offer->epoch, row->uid, row->size);
	offer->bytes += MIN(row->size, ENGINE_PAGES_SIZE);
	offer->last = row->uid;
	return --offer->left > 0 && offer->bytes < ENGINE_AHEAD_BYTES;
}

void ahead_pages(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	struct offer offer = {.engine = engine, .epoch = epoch, .last = uid};
	struct pages *pages;

	pthread_mutex_lock(&engine->lock);
	pages = pages_find_locked(engine, epoch, uid);
	offer.left = pages ? pages->window : 0;
	pthread_mutex_unlock(&engine->lock);
	if (offer.left > 0)
		index_messages_each(engine->view, epoch, uid, offer_one, &offer);
	pthread_mutex_lock(&engine->lock);
	pages = pages_find_locked(engine, epoch, uid);
	if (pages) {
		pages->upto = offer.last;
		pages->busy = false;
	}
	pthread_mutex_unlock(&engine->lock);
}
