/* Message bodies: which bytes to ask for, and what to do with them. A small message comes whole; a
 * large one window by window, as far as readers got, or over a fast line all that is left. */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <unistd.h>

bool body_is_met(struct engine *engine, uint32_t epoch, uint32_t uid, uint64_t upto)
{
	uint64_t received = bodies_received(engine->bodies, epoch, uid);
	struct file_span span;

	if (received >= upto)
		return true;
	if (!bodies_get(engine->bodies, epoch, uid, UINT64_MAX, &span))
		return false;
	close(span.fd);
	return true;
}

/* A message with a job. */
struct fetching {
	struct need key; /* first */
	bool alone;	 /* somebody waits for it */
	bool ahead;	 /* one of a batch: */
	uint64_t place;	 /* engine.ahead_asked with it */
};

static struct fetching *find(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	return g_hash_table_lookup(engine->fetching,
				   &(struct need){.kind = NEED_BODY, .id = epoch, .uid = uid});
}

static struct fetching *get(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	struct fetching *fetching = find(engine, epoch, uid);

	if (fetching)
		return fetching;
	fetching = g_new0(struct fetching, 1);
	fetching->key = (struct need){.kind = NEED_BODY, .id = epoch, .uid = uid};
	g_hash_table_add(engine->fetching, fetching);
	return fetching;
}

static void settle(struct engine *engine, struct fetching *fetching)
{
	if (!fetching->alone && !fetching->ahead)
		g_hash_table_remove(engine->fetching, fetching);
}

bool body_is_under_way(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	return find(engine, epoch, uid) != NULL;
}

void body_set_ahead(struct engine *engine, uint32_t epoch, uint32_t uid, uint64_t place)
{
	struct fetching *fetching = get(engine, epoch, uid);

	fetching->ahead = true;
	fetching->place = place;
}

void body_end_ahead(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	struct fetching *fetching = find(engine, epoch, uid);

	if (!fetching)
		return;
	engine->ahead_got = MAX(engine->ahead_got, fetching->place);
	fetching->ahead = false;
	settle(engine, fetching);
}

bool body_takes_ahead(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	const struct fetching *fetching = find(engine, epoch, uid);

	return fetching && !fetching->alone;
}

/* So much comes before it that it is better asked for again. To who reads in order it would be of
 * no use: he wants the rest, too. */
static bool is_far(struct engine *engine, const struct fetching *fetching)
{
	return fetching->place > engine->ahead_got + ENGINE_AHEAD_FAR &&
	       !ahead_is_in_order(engine, fetching->key.id, fetching->key.uid);
}

static bool take_hint(void *data, const struct message_row *row)
{
	*(uint64_t *)data = row->size_hint;
	return false;
}

void body_go_on(struct engine *engine, struct store_job *job)
{
	uint64_t left;

	if (job->kind != STORE_BODY || job->window == 0 || brief_is(engine))
		return;
	job->origin = bodies_received(engine->bodies, job->epoch, job->uid);
	/* And one: if it does not come, the end has. */
	left = job->size_hint - MIN(job->origin, job->size_hint) + 1;
	job->more = left - MIN(left, job->window);
}

struct store_job *body_job(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	struct folder_row row;
	struct store_job *job;
	uint64_t hint;

	if (!index_message_get(engine->view, epoch, uid, take_hint, &hint) ||
	    !index_folder_by_epoch(engine->view, epoch, &row))
		return NULL;
	job = store_job_new(STORE_BODY);
	job->folder = row.id;
	job->name = g_strdup(row.name);
	job->known.uidvalidity = row.uidvalidity;
	job->epoch = epoch;
	job->uid = uid;
	job->size_hint = hint;
	if (hint > ENGINE_WINDOW) {
		job->window = ENGINE_WINDOW;
		body_go_on(engine, job);
	}
	folder_row_clear(&row);
	return job;
}

void body_fetch(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	const struct fetching *fetching = find(engine, epoch, uid);
	struct store_job *job;

	if (fetching && (fetching->alone || !is_far(engine, fetching)))
		return;
	job = body_job(engine, epoch, uid);
	if (!job) {
		needs_settle(engine, NEED_BODY, epoch, uid, ESTALE);
		return;
	}
	get(engine, epoch, uid)->alone = true;
	lane_queue(engine, LANE_BODY, job);
}

void body_got_further(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	const struct need *need = needs_find(engine, NEED_BODY, epoch, uid);

	if (need && body_is_met(engine, epoch, uid, need->upto))
		needs_settle(engine, NEED_BODY, epoch, uid, 0);
}

void body_came(struct engine *engine, uint32_t epoch, uint32_t uid, uint64_t upto)
{
	uint64_t before = bodies_received(engine->bodies, epoch, uid);

	bodies_part_publish(engine->bodies, epoch, uid, upto);
	/* Somebody may wait for less than the one who waits for most. */
	if (upto / ENGINE_WINDOW > before / ENGINE_WINDOW)
		needs_settle(engine, NEED_BODY, epoch, uid, 0);
	else
		body_got_further(engine, epoch, uid);
}

/* What was read already stays as it is, and is gone on from: the kernel has it too. */
static bool is_void(const struct store_job *job, const GError *error)
{
	return job->window == 0 || g_error_matches(error, MAILFS_ERROR, ERROR_GONE) ||
	       g_error_matches(error, MAILFS_ERROR, ERROR_STALE);
}

void body_done(struct engine *engine, struct store_job *job, const GError *error)
{
	struct fetching *fetching = find(engine, job->epoch, job->uid);
	const struct need *need;

	if (job->batch) {
		ahead_done(engine, job, error);
		return;
	}
	if (fetching) {
		fetching->alone = false;
		/* What came alone is not taken from a batch any more. */
		fetching->ahead &= error != NULL;
		settle(engine, fetching);
	}
	sizes_body_done(engine, job, error);
	bodies_part_rest(engine->bodies, job->epoch, job->uid);
	if (error) {
		if (is_void(job, error))
			bodies_part_discard(engine->bodies, job->epoch, job->uid);
		log_warning("%s: %s", engine->account->name, error->message);
		folder_changed(engine, job->folder);
		needs_settle(engine, NEED_BODY, job->epoch, job->uid, error_errno(error));
		return;
	}
	need = needs_find(engine, NEED_BODY, job->epoch, job->uid);
	/* The next window is on its way before the readers of this one are told. */
	if (need && !body_is_met(engine, job->epoch, job->uid, need->upto))
		body_fetch(engine, job->epoch, job->uid);
	needs_settle(engine, NEED_BODY, job->epoch, job->uid, 0);
}
