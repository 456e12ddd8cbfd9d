/* Reading ahead across messages: who opens the messages of a folder in order (cat, grep -r, tar,
 * cp) is given the following ones by one command, before they are asked for.
 *
 * In order means: of the few UIDs before one that is missed, one was opened lately. That holds for
 * ascending UIDs and for names in alphabetical order (1, 10, 100, 1000, 1001, ...), which are
 * several ascending runs side by side. The number fetched doubles as long as it goes on; the next
 * batch is asked for when the middle of the last is opened, so that reading and fetching overlap.
 * Random access fetches nothing extra, and at most one batch is wasted when a reader stops.
 */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"

#define NEIGHBOURS 8

static gpointer message_key(uint32_t epoch, uint32_t uid)
{
	return GSIZE_TO_POINTER((gsize)((uint64_t)epoch << 32 | uid));
}

void engine_opened(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	gpointer key = message_key(epoch, uid);
	struct need need = {.kind = NEED_AHEAD, .id = epoch, .uid = uid};
	bool triggers;

	pthread_mutex_lock(&engine->lock);
	if (g_hash_table_size(engine->shared.opened) >= ENGINE_OPENED)
		g_hash_table_remove_all(engine->shared.opened);
	g_hash_table_add(engine->shared.opened, key);
	triggers = g_hash_table_remove(engine->shared.triggers, key);
	if (triggers)
		g_array_append_val(engine->shared.needs, need);
	pthread_mutex_unlock(&engine->lock);
	if (triggers)
		engine_wake(engine);
}

static bool is_in_order(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	bool found = false;

	pthread_mutex_lock(&engine->lock);
	for (uint32_t i = 1; !found && i <= NEIGHBOURS && i < uid; i++)
		found = g_hash_table_contains(engine->shared.opened, message_key(epoch, uid - i));
	pthread_mutex_unlock(&engine->lock);
	return found;
}

static void set_trigger(struct engine *engine, uint32_t epoch, const GArray *batch)
{
	uint32_t uid = g_array_index(batch, struct store_item, batch->len / 2).uid;

	pthread_mutex_lock(&engine->lock);
	if (g_hash_table_size(engine->shared.triggers) >= ENGINE_OPENED)
		g_hash_table_remove_all(engine->shared.triggers);
	g_hash_table_add(engine->shared.triggers, message_key(epoch, uid));
	pthread_mutex_unlock(&engine->lock);
}

struct choice {
	struct engine *engine;
	uint32_t epoch;
	GArray *batch;
	unsigned looked_at;
	uint64_t bytes;
};

static bool choose(void *data, const struct message_row *row)
{
	struct choice *choice = data;
	struct engine *engine = choice->engine;
	struct store_item item = {row->uid, row->size_hint};

	if (row->size_hint <= ENGINE_AHEAD_SIZE &&
	    !body_is_under_way(engine, choice->epoch, row->uid) &&
	    !(row->exact && bodies_has(engine->bodies, choice->epoch, row->uid))) {
		choice->bytes += row->size_hint;
		g_array_append_val(choice->batch, item);
	}
	return ++choice->looked_at < 2 * engine->ahead && choice->batch->len < engine->ahead &&
	       choice->bytes < ENGINE_AHEAD_BYTES;
}

static void widen(struct engine *engine, uint32_t epoch)
{
	if (engine->ahead_epoch == epoch)
		engine->ahead = MIN(engine->ahead * 2, ENGINE_AHEAD_MAX);
	else
		engine->ahead = ENGINE_AHEAD_MIN;
	engine->ahead_epoch = epoch;
}

static void queue_batch(struct engine *engine, uint32_t epoch, GArray *batch)
{
	uint32_t first = g_array_index(batch, struct store_item, 0).uid;
	struct store_job *job = body_job(engine, epoch, first);

	if (!job)
		return;
	job->batch = g_array_ref(batch);
	for (unsigned i = 0; i < batch->len; i++)
		body_set_under_way(engine, epoch, g_array_index(batch, struct store_item, i).uid,
				   true);
	set_trigger(engine, epoch, batch);
	lane_queue(engine, LANE_BODY, job);
}

void ahead_fetch(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	g_autoptr(GArray) batch = g_array_new(FALSE, FALSE, sizeof(struct store_item));
	struct choice choice = {.engine = engine, .epoch = epoch, .batch = batch};

	if (lane_is_down(engine, LANE_BODY) || engine->now_ms < engine->ahead_not_before_ms)
		return;
	widen(engine, epoch);
	index_messages_each(engine->view, epoch, uid, choose, &choice);
	if (batch->len > 0)
		queue_batch(engine, epoch, batch);
}

void ahead_missed(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	if (is_in_order(engine, epoch, uid))
		ahead_fetch(engine, epoch, uid);
}

/* What is refused, or ends the connection, may be one message of many. */
static bool is_of_all(const GError *error)
{
	return g_error_matches(error, MAILFS_ERROR, ERROR_TIMEOUT) ||
	       g_error_matches(error, MAILFS_ERROR, ERROR_STALE);
}

/* Somebody may wait for one that was left out. */
void ahead_done(struct engine *engine, struct store_job *job, const GError *error)
{
	if (error) {
		log_warning("%s: %s", engine->account->name, error->message);
		engine->ahead_epoch = 0;
		engine->ahead_not_before_ms = engine->now_ms + ENGINE_AHEAD_PAUSE_MS;
		folder_changed(engine, job->folder);
	}
	for (unsigned i = 0; i < job->batch->len; i++) {
		uint32_t uid = g_array_index(job->batch, struct store_item, i).uid;

		body_set_under_way(engine, job->epoch, uid, false);
		bodies_part_discard(engine->bodies, job->epoch, uid);
		if (!needs_find(engine, NEED_BODY, job->epoch, uid))
			continue;
		if (error && is_of_all(error))
			needs_settle(engine, NEED_BODY, job->epoch, uid, error_errno(error));
		else
			body_fetch(engine, job->epoch, uid);
	}
}
