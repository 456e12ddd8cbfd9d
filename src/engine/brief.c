/* Sessions of a store that holds none for long (STORE_BRIEF), or that can only have one
 * (STORE_EXCLUSIVE). There is one connection, the listing lane's, and it does the jobs of all.
 *
 * A session tells what was there when it began, so that is how fresh a listing can be:
 *
 *   it begins   at once, if it is the first, the last one was lost, or somebody waits: for a
 *               message, for a folder that was never listed, or for what is pending;
 *               else when there is a job, or something is pending, but not earlier than `poll`
 *               after the last one began; and never earlier than the server wants
 *   in it       messages first, then what lists; when nothing else is to be done, changes, as
 *               the store may have to end the session to commit them
 *   it ends     after a few seconds without a job; and when it is too old for what is asked
 *
 * What is pending goes with the first session that begins after it was promised, and waits no
 * longer than `poll`. An end without an error is no loss of the server. */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"

bool brief_is(const struct engine *engine)
{
	return (engine->ops->traits & STORE_BRIEF) != 0;
}

bool brief_is_alone(const struct engine *engine)
{
	return (engine->ops->traits & (STORE_BRIEF | STORE_EXCLUSIVE)) != 0;
}

static int64_t poll_ms(const struct engine *engine)
{
	return engine->account->poll_s * 1000ll;
}

static bool has_jobs(const struct engine *engine, enum lane_id id)
{
	return !g_queue_is_empty((GQueue *)&engine->lanes[id].queue);
}

static struct lane *session(struct engine *engine)
{
	return &engine->lanes[LANE_LIST];
}

/* --- when --- */

int64_t brief_company_ms(const struct engine *engine)
{
	return brief_is(engine) ? poll_ms(engine) : ENGINE_COMPANY_MS;
}

int64_t brief_seen_ms(const struct engine *engine)
{
	return brief_is(engine) ? engine->brief.seen_ms : engine->now_ms;
}

/* As old as it may be. */
void brief_outdated(struct engine *engine)
{
	struct brief *brief = &engine->brief;

	if (brief_is(engine))
		brief->seen_ms = MIN(brief->seen_ms, engine->now_ms - poll_ms(engine));
}

/* Of what it holds nothing is known. */
static bool waits_for_first_listing(const struct engine *engine)
{
	for (GList *link = engine->lanes[LANE_LIST].queue.head; link; link = link->next) {
		const struct store_job *job = link->data;

		if (job->kind == STORE_REFRESH && job->known.uidvalidity == 0)
			return true;
	}
	return false;
}

/* But for the server's wish. */
static int64_t wanted_ms(const struct engine *engine)
{
	const struct brief *brief = &engine->brief;
	int64_t due_ms = INT64_MAX, ready_ms;

	if (!brief->calm || has_jobs(engine, LANE_BODY) || waits_for_first_listing(engine))
		return 0;
	if (has_jobs(engine, LANE_LIST) || has_jobs(engine, LANE_CHANGE))
		due_ms = brief->next_ms;
	if (state_pending(engine->state) == 0)
		return due_ms;
	ready_ms = has_jobs(engine, LANE_CHANGE) ? 0 : engine->change_ms;
	return MIN(due_ms, pending_is_awaited(engine) ? ready_ms : MAX(brief->next_ms, ready_ms));
}

int64_t brief_due_ms(const struct engine *engine)
{
	return brief_is(engine) ? MAX(wanted_ms(engine), engine->brief.rest_ms) : 0;
}

/* By somebody who would not wait for `poll`. */
static bool is_awaited(const struct engine *engine)
{
	return has_jobs(engine, LANE_BODY) || pending_is_awaited(engine);
}

bool brief_may_begin(struct engine *engine)
{
	struct brief *brief = &engine->brief;

	if (engine->now_ms >= brief_due_ms(engine))
		return true;
	/* Who waits can read why. */
	if (!brief->told_rest && engine->now_ms < brief->rest_ms && is_awaited(engine)) {
		log_info("%s: the server allows no login for %u s", engine->account->name,
			 (unsigned)((brief->rest_ms - engine->now_ms + 999) / 1000));
		brief->told_rest = true;
	}
	return false;
}

bool brief_may_poll(const struct engine *engine)
{
	const struct lane *lane = &engine->lanes[LANE_LIST];

	return lane->state == LANE_READY ||
	       (brief_is(engine) && lane->state == LANE_CLOSED && engine->brief.calm);
}

/* --- the life of a session --- */

void brief_begin(struct engine *engine)
{
	engine->brief.began_ms = engine->brief.seen_ms = engine->now_ms;
	engine->brief.locked = 0;
}

static bool refresh_each(void *data, const struct folder_row *row)
{
	if (!(row->attributes & STORE_ATTR_NOSELECT))
		folder_refresh(data, row->id);
	return true;
}

static bool refresh_new(void *data, const struct folder_row *row)
{
	return row->epoch != 0 || refresh_each(data, row);
}

void brief_list(struct engine *engine, bool only_new)
{
	if (brief_is(engine))
		index_folders_each(engine->view, INDEX_ROOT, 0,
				   only_new ? refresh_new : refresh_each, engine);
}

/* Before its store is closed. */
void brief_end(struct engine *engine, bool calm)
{
	const struct lane *lane = session(engine);
	struct brief *brief = &engine->brief;
	int64_t login_ms;

	if (!brief_is(engine))
		return;
	/* One that was lost in its login may have counted. */
	login_ms = lane->state == LANE_CONNECTING ? engine->now_ms : brief->began_ms;
	brief->calm = calm;
	brief->rest_ms = login_ms + engine->ops->rest_ms(lane->store);
	brief->told_rest = false;
	brief->next_ms = brief->began_ms + MIN(poll_ms(engine), ENGINE_OUTDATED_MS);
	brief->next_ms = MAX(brief->next_ms, brief->seen_ms + poll_ms(engine));
	/* What is promised from now on has its own time to wait. */
	if (state_pending(engine->state) == 0)
		engine->change_ms = INT64_MAX;
	/* It was refused: trying does not help. */
	if (lane->state == LANE_CONNECTING)
		engine->retry_ms = MAX(engine->retry_ms, brief->rest_ms);
}

bool brief_is_locked_out(struct engine *engine, const struct lane *lane, const GError *error)
{
	return brief_is_alone(engine) && lane->state == LANE_CONNECTING &&
	       g_error_matches(error, MAILFS_ERROR, ERROR_BUSY);
}

void brief_wait_for_lock(struct engine *engine, const GError *error)
{
	struct brief *brief = &engine->brief;
	int64_t delay_ms = ENGINE_LOCKED_MS;

	for (unsigned i = 0; i < brief->locked && delay_ms < ENGINE_LOCKED_MAX_MS; i++)
		delay_ms *= 2;
	if (brief->locked++ == 0) {
		brief->locked_ms = engine->now_ms;
		log_warning("%s: %s: it is tried again", engine->account->name, error->message);
	}
	engine->retry_ms = engine->now_ms + MIN(delay_ms, ENGINE_LOCKED_MAX_MS);
	brief->rest_ms = 0; /* it was no login */
	/* Whoever starts it is told in time. */
	if (engine->now_ms - brief->locked_ms >= engine->account->timeout_s * 1000ll)
		lanes_first_attempt_ended(engine, error);
}

/* --- its jobs --- */

/* When it was asked for, what the session tells was too old already. */
static bool is_outdated(const struct engine *engine, const struct store_job *job)
{
	return job->kind == STORE_REFRESH && job->known.uidvalidity != 0 &&
	       job->queued_ms >= engine->brief.seen_ms + poll_ms(engine);
}

static bool wants_news(const struct engine *engine)
{
	const struct store_job *job = g_queue_peek_head((GQueue *)&engine->lanes[LANE_LIST].queue);

	return job && is_outdated(engine, job);
}

/* Nothing more is begun in it: a new one is wanted, or a change has waited long enough. One that
 * the server will not allow for a while is not paid for by those who read. */
static bool is_drained(struct engine *engine)
{
	if (has_jobs(engine, LANE_CHANGE) &&
	    engine->now_ms >= engine->brief.seen_ms + ENGINE_SESSION_MS)
		return true;
	return wants_news(engine) &&
	       (!has_jobs(engine, LANE_BODY) || engine->ops->rest_ms(session(engine)->store) == 0);
}

static void finish(struct engine *engine)
{
	struct lane *lane = session(engine);

	engine->lane = lane;
	engine->ops->finish(lane->store);
	lane->state = LANE_FINISHING;
	lane->used_ms = engine->now_ms;
}

static void submit_reading(struct engine *engine)
{
	struct lane *lane = session(engine);

	lane_submit_from(engine, lane, &engine->lanes[LANE_BODY].queue);
	/* What the store does not take keeps its place. */
	while (!g_queue_is_empty(&lane->queue) && !wants_news(engine)) {
		if (!lane_submit_one(engine, lane, &lane->queue))
			break;
	}
}

void brief_submit(struct engine *engine)
{
	struct lane *lane = session(engine);
	GQueue *changes = &engine->lanes[LANE_CHANGE].queue;
	bool committing = engine->changing && g_queue_is_empty(changes);
	bool drained;

	if (lane->state != LANE_READY || (committing && lane->running > 0))
		return;
	drained = is_drained(engine);
	if (!drained)
		submit_reading(engine);
	if (lane->running > 0)
		return;
	if (!g_queue_is_empty(changes))
		lane_submit_from(engine, lane, changes);
	else if (drained || engine->now_ms >= lane->used_ms + ENGINE_SESSION_IDLE_MS)
		finish(engine);
}

int64_t brief_deadline_ms(const struct engine *engine)
{
	const struct lane *lane = &engine->lanes[LANE_LIST];

	if (lane->state == LANE_FINISHING)
		return lane->used_ms + engine->account->timeout_s * 1000ll;
	return lane->used_ms + ENGINE_SESSION_IDLE_MS;
}
