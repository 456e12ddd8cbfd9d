/* Reading ahead across messages: who opens the messages of a folder in order (cat, grep -r, tar,
 * cp) is given the following ones by few commands, before they are asked for.
 *
 * In order means: of the few UIDs before one that is missed, one was opened lately. That holds for
 * ascending UIDs and for names in alphabetical order (1, 10, 100, 1000, 1001, ...), which are
 * several ascending runs side by side. Batches of a run grow as long as it goes on, and some of
 * them are on the way, or here, in front of its reader: when the first message of one is opened, or
 * waited for, those behind the last are asked for. Random access fetches nothing extra, and no more
 * than these few batches are wasted when a reader stops. Who begins with the first message of a
 * folder is taken for one who will go on, and is given a little on trust.
 *
 * They go over a connection of their own, but for the first of a run, which somebody will wait for
 * in a moment. What somebody waits for out of order that is still far behind in them is fetched
 * alone.
 *
 * What arrives ahead, and what is here already and read in order, is offered to the kernel's cache
 * (engine_events.body_ahead): there a window is asked for when the one before is used up, as
 * nothing tells how far in it a reader is.
 */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"

#define NEIGHBOURS 8

/* Opening a message begins a batch of a run. */
struct trigger {
	uint32_t run, batch;
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
		.kind = NEED_AHEAD, .id = epoch, .uid = trigger->run, .upto = trigger->batch};
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

bool ahead_is_in_order(struct engine *engine, uint32_t epoch, uint32_t uid)
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
	unsigned most;	    /* messages */
	uint64_t most_size; /* of one */
	uint64_t most_bytes;
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

	if (row->size_hint <= choice->most_size &&
	    !body_is_under_way(engine, choice->epoch, row->uid) &&
	    !is_here(engine, choice->epoch, row)) {
		choice->bytes += row->size_hint;
		g_array_append_val(choice->batch, item);
	}
	return ++choice->looked_at < 2 * choice->most && choice->batch->len < choice->most &&
	       choice->bytes < choice->most_bytes;
}

static void widen(struct engine *engine, struct run *run)
{
	unsigned most = lane_is_coming(engine, LANE_BULK) ? ENGINE_AHEAD_FEW : ENGINE_AHEAD_MAX;
	unsigned factor = run->window == ENGINE_AHEAD_MIN ? 2 : 4;

	run->window = run->window ? MIN(run->window * factor, most) : ENGINE_AHEAD_MIN;
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

/* What comes must still be here when it is read, also where several runs go on side by side. */
static uint64_t part_of_cache(const struct engine *engine, uint64_t bytes)
{
	return MIN(bytes, engine->account->cache_size_bytes / ENGINE_AHEAD_PART);
}

static struct run *run_new(struct engine *engine, uint32_t epoch, uint32_t end)
{
	uint32_t id = ++engine->last_run;
	struct run *run = &engine->runs[id % ENGINE_RUNS];

	*run = (struct run){.id = id,
			    .epoch = epoch,
			    .end = end,
			    .most_bytes = part_of_cache(engine, ENGINE_RUN_BYTES)};
	return run;
}

/* NULL: many others have begun since. */
static struct run *find_run(struct engine *engine, uint32_t epoch, uint32_t id)
{
	struct run *run = &engine->runs[id % ENGINE_RUNS];

	return run->id == id && run->epoch == epoch ? run : NULL;
}

/* What is chosen is the next batch of the run. False: there is nothing. */
static bool ask(struct run *run, struct choice *choice, enum lane_id lane)
{
	struct engine *engine = choice->engine;
	GArray *batch = choice->batch;

	index_messages_each(engine->view, run->epoch, run->end, choose, choice);
	if (batch->len == 0 || !queue_batch(engine, run->epoch, batch, lane))
		return false;
	run->before[run->batches++ % ENGINE_RUN_BATCHES] = run->bytes;
	run->bytes += choice->bytes;
	run->end = g_array_index(batch, struct store_item, batch->len - 1).uid;
	return true;
}

/* True if it is to be waited for that the batch asked for last is begun. */
static bool set_begin(struct engine *engine, const struct run *run, const GArray *batch)
{
	struct trigger trigger = {run->id, run->batches - 1};
	uint32_t first = g_array_index(batch, struct store_item, 0).uid;

	return set_trigger(engine, run->epoch, first, &trigger);
}

enum asked { ASKED_NOTHING, ASKED, ASKED_TOO_LATE /* the reader is there already */ };

/* A window of what is not here, behind the run's end. */
static enum asked ask_behind(struct engine *engine, struct run *run, enum lane_id lane)
{
	g_autoptr(GArray) batch = g_array_new(FALSE, FALSE, sizeof(struct store_item));
	struct choice choice = {.engine = engine,
				.epoch = run->epoch,
				.most_size = part_of_cache(engine, ENGINE_AHEAD_SIZE),
				.most_bytes = part_of_cache(engine, ENGINE_AHEAD_BYTES),
				.batch = batch};

	widen(engine, run);
	choice.most = run->window;
	if (!ask(run, &choice, lane))
		return ASKED_NOTHING;
	return set_begin(engine, run, batch) ? ASKED : ASKED_TOO_LATE;
}

/* A few, the first of which has to be opened before there is more. */
static void ask_few(struct engine *engine, uint32_t epoch, uint32_t end)
{
	g_autoptr(GArray) batch = g_array_new(FALSE, FALSE, sizeof(struct store_item));
	struct choice choice = {.engine = engine,
				.epoch = epoch,
				.most = ENGINE_AHEAD_MIN,
				.most_size = ENGINE_TRUST_BYTES,
				.most_bytes = ENGINE_TRUST_BYTES,
				.batch = batch};
	struct run *run = run_new(engine, epoch, end);

	run->window = choice.most;
	if (ask(run, &choice, LANE_BODY))
		set_begin(engine, run, batch);
}

static bool may_ask(const struct engine *engine)
{
	return !lane_is_down(engine, LANE_BODY) && engine->now_ms >= engine->ahead_not_before_ms;
}

/* The reader has begun this batch. */
static bool wants_more(const struct run *run, uint32_t batch)
{
	uint32_t ahead = run->batches - 1 - batch;
	uint64_t bytes = run->bytes - run->before[batch % ENGINE_RUN_BATCHES];

	return ahead < 2 || (run->window == ENGINE_AHEAD_MAX && ahead < ENGINE_RUN_BATCHES - 1 &&
			     bytes < run->most_bytes);
}

static void go_on(struct engine *engine, struct run *run, uint32_t batch)
{
	enum asked asked = ASKED;

	while (asked != ASKED_NOTHING && wants_more(run, batch)) {
		asked = ask_behind(engine, run, run->batches == 0 ? LANE_BODY : LANE_BULK);
		if (asked == ASKED_TOO_LATE)
			batch = run->batches - 1;
	}
}

void ahead_fetch(struct engine *engine, uint32_t epoch, uint32_t id, uint32_t batch)
{
	struct run *run = find_run(engine, epoch, id);

	if (!run || !may_ask(engine))
		return;
	run->idle = run->window == ENGINE_AHEAD_MAX && engine->ahead_got == engine->ahead_asked;
	go_on(engine, run, batch);
}

static bool exists(struct engine *engine, uint32_t epoch, uint64_t uid)
{
	return uid <= UINT32_MAX && index_message_write_has(engine->index, epoch, (uint32_t)uid);
}

/* Behind 1 the names 10, 100, 1000 follow in alphabetical order, then 1001, and later 101 and 11:
 * all of them begin runs. */
static bool ask_tens(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	uint64_t ten = uid * 10ull;

	if (!exists(engine, epoch, ten))
		return false;
	for (; exists(engine, epoch, ten); ten *= 10)
		ask_few(engine, epoch, (uint32_t)ten - 1);
	return true;
}

static bool follows_in_tens(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	bool follows;

	pthread_mutex_lock(&engine->lock);
	follows = uid % 10 == 0 &&
		  g_hash_table_contains(engine->shared.opened, message_key(epoch, uid / 10));
	pthread_mutex_unlock(&engine->lock);
	return follows;
}

static bool note_uid(void *data, const struct message_row *row)
{
	*(uint32_t *)data = row->uid;
	return false;
}

/* Not of a maildrop: there nothing is asked for beside; nor where it would hardly save anything. */
static bool is_first_of_many(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	struct folder_row row;
	uint32_t first = 0;
	bool many;

	if (brief_is(engine) || !index_folder_by_epoch(engine->view, epoch, &row))
		return false;
	many = row.messages >= ENGINE_TRUST_FROM;
	folder_row_clear(&row);
	if (!many)
		return false;
	index_messages_each(engine->view, epoch, 0, note_uid, &first);
	return first == uid;
}

static void begin_run(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	struct run *run = run_new(engine, epoch, uid);

	/* As if the one before it, which was missed, were a batch. */
	go_on(engine, run, UINT32_MAX);
}

/* Of a folder that is new to us, and large, nothing is here: who waits for its listing may read it
 * next, and a login takes as long as the listing. */
void ahead_listed(struct engine *engine, uint32_t folder)
{
	if (++folder_state(engine, folder)->listed == ENGINE_TRUST_FROM &&
	    needs_find(engine, NEED_FOLDER, folder, 0))
		lane_want(engine, LANE_BULK);
}

/* It is on the way. Who waits at the begin of a batch has begun it: what is behind is wanted one
 * round trip earlier than he can open it. */
static void wait_for_batch(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	struct run *run;
	struct need need;
	bool triggers;

	pthread_mutex_lock(&engine->lock);
	triggers = take_trigger_locked(engine, epoch, uid, &need);
	pthread_mutex_unlock(&engine->lock);
	if (!triggers)
		return;
	run = find_run(engine, need.id, need.uid);
	if (run && run->idle)
		run->most_bytes =
			MIN(run->most_bytes * 2, part_of_cache(engine, ENGINE_RUN_BYTES_MAX));
	ahead_fetch(engine, need.id, need.uid, (uint32_t)need.upto);
}

void ahead_missed(struct engine *engine, uint32_t epoch, uint32_t uid, bool was_asked)
{
	if (was_asked)
		wait_for_batch(engine, epoch, uid);
	if (was_asked || !may_ask(engine))
		return;
	if (ahead_is_in_order(engine, epoch, uid)) {
		begin_run(engine, epoch, uid);
	} else if (follows_in_tens(engine, epoch, uid)) {
		if (!ask_tens(engine, epoch, uid))
			begin_run(engine, epoch, uid);
	} else if (is_first_of_many(engine, epoch, uid)) {
		ask_few(engine, epoch, uid);
		ask_tens(engine, epoch, uid);
		lane_want(engine, LANE_BULK);
	}
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
