/* Message bodies: which bytes to ask for, and what to do with them. A small message comes whole; a
 * large one window by window, as far as readers got. */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <unistd.h>

bool body_is_met(struct engine *engine, uint32_t epoch, uint32_t uid, uint64_t upto)
{
	uint64_t received = bodies_received(engine->bodies, epoch, uid);
	uint64_t size;
	int fd;

	if (received >= upto)
		return true;
	fd = bodies_get(engine->bodies, epoch, uid, UINT64_MAX, &size);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

bool body_is_under_way(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	return g_hash_table_contains(engine->fetching,
				     &(struct need){.kind = NEED_BODY, .id = epoch, .uid = uid});
}

void body_set_under_way(struct engine *engine, uint32_t epoch, uint32_t uid, bool on)
{
	struct need key = {.kind = NEED_BODY, .id = epoch, .uid = uid};

	if (on)
		g_hash_table_add(engine->fetching, g_memdup2(&key, sizeof(key)));
	else
		g_hash_table_remove(engine->fetching, &key);
}

static bool take_hint(void *data, const struct message_row *row)
{
	*(uint64_t *)data = row->size_hint;
	return false;
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
		if (!brief_is(engine))
			job->origin = bodies_received(engine->bodies, epoch, uid);
	}
	folder_row_clear(&row);
	return job;
}

void body_fetch(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	struct store_job *job;

	if (body_is_under_way(engine, epoch, uid))
		return;
	job = body_job(engine, epoch, uid);
	if (!job) {
		needs_settle(engine, NEED_BODY, epoch, uid, ESTALE);
		return;
	}
	body_set_under_way(engine, epoch, uid, true);
	lane_queue(engine, LANE_BODY, job);
}

void body_got_further(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	const struct need *need = needs_find(engine, NEED_BODY, epoch, uid);

	if (need && body_is_met(engine, epoch, uid, need->upto))
		needs_settle(engine, NEED_BODY, epoch, uid, 0);
}

void body_done(struct engine *engine, struct store_job *job, const GError *error)
{
	const struct need *need;

	if (job->batch) {
		ahead_done(engine, job, error);
		return;
	}
	body_set_under_way(engine, job->epoch, job->uid, false);
	if (error) {
		if (job->window == 0 || g_error_matches(error, MAILFS_ERROR, ERROR_GONE) ||
		    g_error_matches(error, MAILFS_ERROR, ERROR_STALE))
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
