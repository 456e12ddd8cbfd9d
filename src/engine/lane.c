/* Lanes: the account's connections, one for listing, one for bodies, so that a long listing does
 * not hold up a reader, and one for changes, one for what is read ahead and some that watch, while
 * there is something for them to do. One login at a time: the others
 * connect when the first is logged in; if one cannot, or not soon (many servers allow few
 * connections), its jobs take the first; one that is refused the login beside another that is
 * logged in is no reason to doubt the password, but no more are tried then.
 *
 * A connection that ends gives its jobs back; those are tried once more on the next. Failures in a
 * row back off for all lanes together. A refused login ends all tries, until somebody wants a
 * reconnect.
 * Where only one is to be had, or none is to be held for long, brief.c says when and what for.
 */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

void lanes_init(struct engine *engine)
{
	engine->lanes[LANE_LIST].role = "list";
	engine->lanes[LANE_BODY].role = "body";
	engine->lanes[LANE_BULK].role = "bulk";
	engine->lanes[LANE_CHANGE].role = "change";
	for (int i = LANE_WATCH; i < LANES; i++)
		engine->lanes[i].role = "watch";
	for (int i = 0; i < LANES; i++)
		g_queue_init(&engine->lanes[i].queue);
	engine->doubtful = engine->account->delay_connect;
	if (!engine->account->offline)
		return;
	engine->shared.state = ACCOUNT_KEPT_OFFLINE;
	engine->retry_ms = INT64_MAX;
}

static bool is_ready(const struct engine *engine, enum lane_id id)
{
	return engine->lanes[id].state == LANE_READY;
}

int lanes_down_errno(const struct engine *engine)
{
	return engine->down ? error_errno(engine->down) : EHOSTUNREACH;
}

static int64_t patience_of_first_ends_ms(const struct engine *engine)
{
	return engine->lanes[LANE_LIST].opened_ms +
	       (engine->down ? ENGINE_STALL_MS : ENGINE_FIRST_MS);
}

static int64_t waiting_ends_ms(const struct engine *engine)
{
	return engine->waiting_ms +
	       (engine->doubtful ? ENGINE_STALL_MS : engine->account->timeout_s * 1000ll);
}

/* A server that was silent, or away, is given a moment by those who wait for it, and goes on being
 * connected to when they are gone. */
static bool is_out_of_patience(const struct engine *engine)
{
	if (engine->waiting_ms > 0)
		return engine->now_ms >= waiting_ends_ms(engine);
	return engine->doubtful && engine->lanes[LANE_LIST].state == LANE_CONNECTING &&
	       engine->now_ms >= patience_of_first_ends_ms(engine);
}

bool lane_is_down(const struct engine *engine, enum lane_id id)
{
	/* A lock is waited for. */
	if (engine->brief.locked > 0 || is_ready(engine, id) || is_ready(engine, LANE_LIST))
		return false;
	return is_out_of_patience(engine) ||
	       (engine->now_ms < engine->retry_ms && engine->lanes[id].state == LANE_CLOSED);
}

void lane_queue(struct engine *engine, enum lane_id id, struct store_job *job)
{
	job->queued_ms = engine->now_ms;
	g_queue_push_tail(&engine->lanes[id].queue, job);
}

/* The name itself, or of a mailbox below it. */
static void rename_one(char **name, const struct operation *operation)
{
	size_t len = strlen(operation->mailbox);
	char *old = *name;

	if (!old || strncmp(old, operation->mailbox, len) != 0 ||
	    (old[len] != '\0' && (operation->separator == 0 || old[len] != operation->separator)))
		return;
	*name = g_strconcat(operation->target, old + len, NULL);
	g_free(old);
}

void lanes_renamed(struct engine *engine, const struct operation *operation)
{
	for (int i = 0; i < LANES; i++) {
		for (GList *link = engine->lanes[i].queue.head; link; link = link->next) {
			struct store_job *job = link->data;

			rename_one(&job->name, operation);
			rename_one(&job->target, operation);
		}
	}
	rename_one(&engine->upload.mailbox, operation);
}

/* --- what others see of it --- */

const char *account_state_word(enum account_state state)
{
	static const char *const words[] = {"connecting", "online", "offline", "login refused",
					    "offline, as asked for"};

	return words[state];
}

bool lanes_are_starting(const struct engine *engine)
{
	return !engine->shared.settled_first && !engine->account->delay_connect &&
	       !engine->account->offline;
}

static void set_state(struct engine *engine, enum account_state state)
{
	bool changed, was_online;

	pthread_mutex_lock(&engine->lock);
	changed = engine->shared.state != state;
	was_online = engine->shared.state == ACCOUNT_ONLINE;
	engine->shared.state = state;
	if (changed)
		engine->shared.state_since_ns = engine->now_ns;
	pthread_mutex_unlock(&engine->lock);
	/* A refused login was told already. */
	if (changed && state != ACCOUNT_REFUSED &&
	    (state == ACCOUNT_ONLINE || !lanes_are_starting(engine)))
		log_info("%s: %s", engine->account->name, account_state_word(state));
	if (changed && (was_online || state == ACCOUNT_ONLINE))
		news_state(engine, !was_online);
	if (changed && state == ACCOUNT_ONLINE)
		engine->events->online(engine->data);
}

static void share_busy(struct engine *engine)
{
	unsigned connections = 0;

	pthread_mutex_lock(&engine->lock);
	for (int i = 0; i < LANES; i++) {
		engine->shared.busy_ms[i] = engine->lanes[i].busy_ms;
		connections += engine->lanes[i].state == LANE_READY;
	}
	engine->shared.connections = connections;
	pthread_mutex_unlock(&engine->lock);
}

/* The server answered something: its time begins anew. */
static void set_busy(struct engine *engine, struct lane *lane)
{
	/* Who waits for a session waits for the server. */
	bool owes = lane->running > 0 || (lane->state == LANE_CONNECTING && brief_is(engine));

	lane->busy_ms = owes ? engine->now_ms : 0;
	share_busy(engine);
}

static void share_description(struct engine *engine, const struct lane *lane)
{
	GString *text = g_string_new(NULL);

	engine->ops->describe(lane->store, text);
	pthread_mutex_lock(&engine->lock);
	g_free(engine->shared.description);
	engine->shared.description = g_string_free(text, FALSE);
	pthread_mutex_unlock(&engine->lock);
}

/* --- jobs --- */

/* Not a batch: what ended the connection may be in it. What changes something is tried again from
 * the record of it. */
static bool may_retry(const struct store_job *job, const GError *error)
{
	return !job->batch && !job->changes && job->ticket == 0 && job->tries + 1 < ENGINE_TRIES &&
	       (g_error_matches(error, MAILFS_ERROR, ERROR_UNREACHABLE) ||
		g_error_matches(error, MAILFS_ERROR, ERROR_TEMPORARY));
}

void lane_done(struct engine *engine, struct store_job *job, const GError *error)
{
	struct lane *lane = engine->lane;

	lane->running--;
	lane->used_ms = engine->now_ms;
	if (lane->dying && may_retry(job, error)) {
		job->tries++;
		body_go_on(engine, job);
		g_queue_push_tail(&lane->queue, job);
		return;
	}
	apply_done(engine, job, error);
	store_job_free(&job);
}

static void fail_queue(struct engine *engine, struct lane *lane, const GError *error)
{
	struct store_job *job;

	while ((job = g_queue_pop_head(&lane->queue))) {
		apply_done(engine, job, error);
		store_job_free(&job);
	}
}

bool lane_submit_one(struct engine *engine, struct lane *lane, GQueue *queue)
{
	struct store_job *job = g_queue_peek_head(queue);

	if (!job || !engine->ops->accepts(lane->store, job))
		return false;
	g_queue_pop_head(queue);
	if (lane->running++ == 0)
		lane->busy_ms = engine->now_ms;
	lane->used_ms = engine->now_ms;
	engine->lane = lane;
	job->order = engine->order;
	engine->ops->submit(lane->store, job, engine->now_ms);
	if (lane->running == 0)
		lane->busy_ms = 0; /* some jobs end without a command */
	return true;
}

void lane_submit_from(struct engine *engine, struct lane *lane, GQueue *queue)
{
	while (lane_submit_one(engine, lane, queue))
		;
}

/* Some servers answer no more connections than they allow, but leave them waiting. */
static int64_t patience_ends_ms(const struct lane *lane)
{
	return lane->opened_ms + ENGINE_STALL_MS;
}

static bool may_open(const struct engine *engine, enum lane_id id);

/* It cannot do its jobs for now. */
static bool is_absent(const struct engine *engine, enum lane_id id)
{
	const struct lane *lane = &engine->lanes[id];

	if (lane->state == LANE_CLOSED)
		return engine->now_ms < engine->retry_ms || !may_open(engine, id);
	return lane->state == LANE_CONNECTING && engine->now_ms >= patience_ends_ms(lane);
}

bool lane_is_coming(const struct engine *engine, enum lane_id id)
{
	return !is_ready(engine, id) && !is_absent(engine, id);
}

static bool is_on_demand(enum lane_id id)
{
	return id >= LANE_BULK;
}

void lane_want(struct engine *engine, enum lane_id id)
{
	engine->lanes[id].wanted_ms = engine->now_ms;
}

static bool is_wanted(const struct engine *engine, enum lane_id id)
{
	const struct lane *lane = &engine->lanes[id];

	return !is_on_demand(id) || !g_queue_is_empty((GQueue *)&lane->queue) ||
	       (lane->wanted_ms > 0 && engine->now_ms < lane->wanted_ms + ENGINE_WANTED_MS);
}

/* The account is as well without it: what it does others can do, or nobody waits for. */
static bool is_extra(const struct engine *engine, const struct lane *lane)
{
	enum lane_id id = (enum lane_id)(lane - engine->lanes);

	return id == LANE_BULK || id >= LANE_WATCH;
}

/* There was nothing to do for a while. */
static bool is_idle(const struct engine *engine, const struct lane *lane)
{
	return lane->state == LANE_READY && lane->running == 0 &&
	       g_queue_is_empty((GQueue *)&lane->queue) &&
	       engine->now_ms >= lane->used_ms + ENGINE_IDLE_MS;
}

static void close_idle(struct engine *engine)
{
	for (int i = 0; i < LANES; i++) {
		struct lane *lane = &engine->lanes[i];

		if (!is_on_demand(i) || !is_idle(engine, lane))
			continue;
		engine->lane = lane;
		engine->ops->close(&lane->store);
		lane->state = LANE_CLOSED;
	}
}

static void submit_to_all(struct engine *engine)
{
	close_idle(engine);
	for (int i = 0; i < LANES; i++) {
		struct lane *lane = &engine->lanes[i];

		if (lane->state != LANE_READY)
			continue;
		if (g_queue_is_empty(&lane->queue) && lane->running == 0 &&
		    engine->now_ms >= lane->used_ms + ENGINE_PROBE_MS)
			lane_queue(engine, i, store_job_new(STORE_PROBE));
		lane_submit_from(engine, lane, &lane->queue);
	}
	if (!is_ready(engine, LANE_BULK) && is_ready(engine, LANE_BODY))
		lane_submit_from(engine, &engine->lanes[LANE_BODY],
				 &engine->lanes[LANE_BULK].queue);
	for (int i = LANE_BODY; i < LANE_WATCH && is_ready(engine, LANE_LIST); i++) {
		if (is_absent(engine, i) && (i != LANE_BULK || is_absent(engine, LANE_BODY)))
			lane_submit_from(engine, &engine->lanes[LANE_LIST],
					 &engine->lanes[i].queue);
	}
}

void lanes_submit(struct engine *engine)
{
	if (brief_is(engine))
		brief_submit(engine);
	else
		submit_to_all(engine);
	share_busy(engine);
}

/* --- connections --- */

void lanes_first_attempt_ended(struct engine *engine, const GError *error)
{
	pthread_mutex_lock(&engine->lock);
	if (!engine->shared.settled_first) {
		engine->shared.settled_first = true;
		engine->shared.first_error = error ? g_error_copy(error) : NULL;
		pthread_cond_broadcast(&engine->first);
	}
	pthread_mutex_unlock(&engine->lock);
}

static void back_off(struct engine *engine, const GError *error)
{
	int64_t delay_ms = ENGINE_RETRY_MS;

	if (g_error_matches(error, MAILFS_ERROR, ERROR_AUTH)) {
		/* The same secret again and again would lock the account. */
		engine->refused = true;
		engine->retry_ms = INT64_MAX;
		return;
	}
	/* What was lost together failed once. */
	if (!engine->refused && engine->now_ms < engine->retry_ms)
		return;
	for (unsigned i = 0; i < engine->failures && delay_ms < ENGINE_RETRY_MAX_MS; i++)
		delay_ms *= 2;
	delay_ms = MIN(delay_ms, ENGINE_RETRY_MAX_MS);
	delay_ms += g_random_int_range(0, (gint32)(delay_ms / 4));
	engine->failures++;
	engine->retry_ms = engine->now_ms + delay_ms;
}

static void note_down(struct engine *engine, const GError *error)
{
	g_clear_error(&engine->down);
	engine->down = g_error_copy(error);
}

static void note_error(struct engine *engine, const struct lane *lane, const GError *error)
{
	note_down(engine, error);
	status_error(engine, lane, error);
}

/* A connection that served is made anew at once, but one that never lasts only now and then. */
static bool may_reopen_at_once(struct engine *engine, struct lane *lane)
{
	bool was_ready = lane->state == LANE_READY;
	bool was_stable = was_ready && engine->now_ms - lane->ready_ms >= ENGINE_STABLE_MS;
	bool at_once = was_stable || (was_ready && !lane->reopened);

	lane->reopened = at_once && !was_stable;
	if (was_stable)
		engine->failures = 0;
	return at_once;
}

/* Its jobs come back. True: it may be opened anew at once, to log in with something else. */
static bool lane_close(struct engine *engine, struct lane *lane, const GError *error)
{
	bool beside = lane != &engine->lanes[LANE_LIST] && is_ready(engine, LANE_LIST);

	lane->dying = true;
	engine->lane = lane;
	engine->ops->close(&lane->store);
	lane->dying = false;
	lane->state = LANE_CLOSED;
	lane->running = 0;
	set_busy(engine, lane);
	if (beside)
		return credentials_end_beside(engine->credentials, CREDENTIALS_MAILBOX,
					      &lane->credential, error);
	return credentials_end(engine->credentials, CREDENTIALS_MAILBOX, &lane->credential, error);
}

static bool is_refusal(const GError *error)
{
	return g_error_matches(error, MAILFS_ERROR, ERROR_AUTH);
}

/* Each try beside the listing lane could be the one that locks the account. */
static void lanes_stay_alone(struct engine *engine, const GError *error)
{
	log_warning("%s: no further connection: %s", engine->account->name, error->message);
	engine->alone = true;
}

/* A session that ended as it should. */
static void lane_end(struct engine *engine, struct lane *lane)
{
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, ERROR_UNREACHABLE, "it is over");

	brief_end(engine, true);
	lane_close(engine, lane, error);
	engine->failures = 0;
}

/* That one is not to be had, or was cut, is nobody's trouble: it is tried again later, without
 * noise. */
static void lane_missed(struct engine *engine, struct lane *lane, const GError *error)
{
	bool lasted =
		lane->state == LANE_READY && engine->now_ms - lane->ready_ms >= ENGINE_STABLE_MS;

	log_debug("%s: %s: %s", engine->account->name, lane->role, error->message);
	lane->retry_ms = engine->now_ms + (lasted ? ENGINE_RETRY_MS : ENGINE_EXTRA_PAUSE_MS);
	if (lane_close(engine, lane, error))
		lane->retry_ms = engine->now_ms;
	else if (is_refusal(error))
		lanes_stay_alone(engine, error);
	if (lane >= &engine->lanes[LANE_WATCH])
		fail_queue(engine, lane, error);
}

/* Nothing is lost: what is queued waits. */
static void lane_locked_out(struct engine *engine, struct lane *lane, const GError *error)
{
	note_error(engine, lane, error);
	brief_end(engine, false);
	lane_close(engine, lane, error);
	set_state(engine, ACCOUNT_OFFLINE);
	brief_wait_for_lock(engine, error);
}

/* With another secret it may go on at once. */
static void forget_refusal(struct engine *engine)
{
	engine->refused = false;
	engine->retry_ms = engine->now_ms;
}

static void warn(const struct engine *engine, const GError *error)
{
	if (!lanes_are_starting(engine))
		log_warning("%s: %s%s", engine->account->name, error->message,
			    engine->refused
				    ? "; to try again: echo reconnect >.mailfs/ctl in the mount"
				    : "");
}

/* `asked`: that is no news, and nothing went wrong. */
static void lane_drop(struct engine *engine, struct lane *lane, const GError *error, bool asked)
{
	bool at_once = may_reopen_at_once(engine, lane);

	note_down(engine, error);
	if (!asked)
		status_error(engine, lane, error);
	if (!at_once || g_error_matches(error, MAILFS_ERROR, ERROR_TIMEOUT))
		engine->doubtful = true;
	if (at_once)
		engine->retry_ms = engine->now_ms;
	else
		back_off(engine, error);
	brief_end(engine, false);
	engine->brief.locked = 0;
	if (lane_close(engine, lane, error)) {
		at_once = true;
		forget_refusal(engine);
	}
	if (!asked)
		warn(engine, error);
	if (!is_ready(engine, LANE_LIST))
		set_state(engine, engine->refused ? ACCOUNT_REFUSED : ACCOUNT_OFFLINE);
	if (at_once || is_ready(engine, LANE_LIST))
		return;
	for (int i = 0; i < LANES; i++) {
		if (!is_ready(engine, i))
			fail_queue(engine, &engine->lanes[i], error);
	}
	pending_settle_needs(engine);
	lanes_first_attempt_ended(engine, error);
}

static void lane_die(struct engine *engine, struct lane *lane, const GError *error)
{
	lane_drop(engine, lane, error, false);
}

static void tell_waiting(struct engine *engine)
{
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, ERROR_TIMEOUT,
					      "the password or token is still being looked for");

	note_error(engine, &engine->lanes[LANE_LIST], error);
}

void lanes_lose_patience(struct engine *engine)
{
	g_autoptr(GError) error = NULL;

	if (!lane_is_down(engine, LANE_LIST) ||
	    (engine->lanes[LANE_LIST].state != LANE_CONNECTING && engine->waiting_ms == 0))
		return;
	if (engine->waiting_ms > 0)
		tell_waiting(engine);
	error = engine->down ? g_error_copy(engine->down)
			     : g_error_new(MAILFS_ERROR, ERROR_UNREACHABLE,
					   "%s has not answered yet", engine->account->host);
	for (int i = 0; i < LANES; i++) {
		if (!is_ready(engine, i))
			fail_queue(engine, &engine->lanes[i], error);
	}
	pending_settle_needs(engine);
}

static void lane_open(struct engine *engine, struct lane *lane)
{
	struct store_config config = {
		.account = engine->account,
		.credential = lane->credential,
		.role = lane->role,
		.index = engine->index,
	};

	engine->attempt_ms = engine->now_ms;
	lane->state = LANE_CONNECTING;
	lane->store = engine->ops->open(&config, &engine_sink, engine, engine->now_ms);
	lane->opened_ms = engine->now_ms;
	lane->wanted_ms = 0;
	set_busy(engine, lane);
}

/* One login at a time, the listing lane's first; but who reads does not wait for the watches'. */
static bool may_open(const struct engine *engine, enum lane_id id)
{
	bool extra = id >= LANE_WATCH;

	if ((brief_is_alone(engine) && id != LANE_LIST) ||
	    engine->now_ms < engine->lanes[id].retry_ms)
		return false;
	if (engine->alone && id != LANE_LIST)
		return false;
	for (int i = 0; i < LANES; i++) {
		if (engine->lanes[i].state == LANE_CONNECTING &&
		    (extra || !is_extra(engine, &engine->lanes[i])))
			return false;
	}
	if (!is_wanted(engine, id))
		return false;
	return id == LANE_LIST || is_ready(engine, LANE_LIST);
}

static void lane_over(struct engine *engine, struct lane *lane, const GError *error);

/* If there is something to log in with. */
static void lane_begin(struct engine *engine, struct lane *lane)
{
	g_autoptr(GError) error = NULL;

	switch (credentials_begin(engine->credentials, CREDENTIALS_MAILBOX, &lane->credential,
				  &error)) {
	case CREDENTIALS_GO:
		lane_open(engine, lane);
		break;
	case CREDENTIALS_WAIT:
		lane->waits = true;
		break;
	case CREDENTIALS_STOP:
		lane_over(engine, lane, error);
		break;
	}
}

void lanes_connect(struct engine *engine)
{
	for (int i = 0; i < LANES; i++)
		engine->lanes[i].waits = false;
	for (int i = 0; i < LANES && engine->now_ms >= engine->retry_ms; i++) {
		if (engine->lanes[i].state == LANE_CLOSED && may_open(engine, i) &&
		    brief_may_begin(engine))
			lane_begin(engine, &engine->lanes[i]);
	}
	if (!engine->lanes[LANE_LIST].waits)
		engine->waiting_ms = 0;
	else if (engine->waiting_ms == 0)
		engine->waiting_ms = engine->now_ms;
}

static void share_abilities(struct engine *engine, const struct lane *lane)
{
	uint64_t append_max_bytes;
	unsigned abilities = engine->ops->abilities(lane->store, &append_max_bytes);

	pthread_mutex_lock(&engine->lock);
	engine->shared.abilities = abilities;
	engine->shared.append_max_bytes = append_max_bytes;
	pthread_mutex_unlock(&engine->lock);
	index_abilities_set(engine->index, abilities, append_max_bytes);
}

static void lane_ready(struct engine *engine, struct lane *lane)
{
	lane->state = LANE_READY;
	lane->ready_ms = lane->used_ms = engine->now_ms;
	engine->refused = false;
	credentials_taken(engine->credentials, CREDENTIALS_MAILBOX, &lane->credential,
			  engine->ops->way_in(lane->store));
	share_abilities(engine, lane);
	status_recovered(engine, lane);
	change_soon(engine, 0);
	if (lane != &engine->lanes[LANE_LIST])
		return;
	engine->alone = false;
	brief_begin(engine);
	share_description(engine, lane);
	engine->doubtful = false;
	rights_age(engine);
	change_look_first(engine);
	set_state(engine, ACCOUNT_ONLINE);
	for (int i = 0; i < LANES; i++)
		engine->lanes[i].retry_ms = 0;
	watch_again(engine);
	folder_set_fresh(engine, INDEX_ROOT, 0);
	engine->compare = true;
	folders_list(engine);
	brief_list(engine, false);
}

static int64_t connecting_ends_ms(const struct engine *engine, const struct lane *lane)
{
	/* A brief session lists before it is ready: it has time as long as it answers. */
	int64_t since_ms = brief_is(engine) ? lane->busy_ms : lane->opened_ms;

	return since_ms + engine->account->timeout_s * 1000ll;
}

static bool ends_too_slowly(const struct engine *engine, const struct lane *lane)
{
	return lane->state == LANE_FINISHING && engine->now_ms >= brief_deadline_ms(engine);
}

static bool is_too_slow(const struct engine *engine, const struct lane *lane)
{
	return lane->state == LANE_CONNECTING && engine->now_ms >= connecting_ends_ms(engine, lane);
}

/* Of one that had nothing left to do no error matters. */
static void lane_over(struct engine *engine, struct lane *lane, const GError *error)
{
	if (!error || lane->state == LANE_FINISHING)
		lane_end(engine, lane);
	else if (brief_is_locked_out(engine, lane, error))
		lane_locked_out(engine, lane, error);
	else if (is_extra(engine, lane) ||
		 (is_refusal(error) && lane != &engine->lanes[LANE_LIST] &&
		  is_ready(engine, LANE_LIST)))
		lane_missed(engine, lane, error);
	else
		lane_die(engine, lane, error);
}

void lane_step(struct engine *engine, struct lane *lane, bool due)
{
	g_autoptr(GError) error = NULL;

	if (!lane->store || (!due && !is_too_slow(engine, lane) && !ends_too_slowly(engine, lane)))
		return;
	engine->lane = lane;
	engine->last_folder = 0;
	if (!engine->ops->step(lane->store, engine->now_ms, &error) ||
	    ends_too_slowly(engine, lane)) {
		lane_over(engine, lane, error);
		return;
	}
	if (lane->state == LANE_CONNECTING && engine->ops->ready(lane->store)) {
		lane_ready(engine, lane);
	} else if (is_too_slow(engine, lane)) {
		error = g_error_new(MAILFS_ERROR, ERROR_TIMEOUT, "no answer from %s in %u s",
				    engine->account->host, engine->account->timeout_s);
		lane_over(engine, lane, error);
	}
	if (lane->store)
		set_busy(engine, lane);
}

static int64_t idle_ends_ms(const struct engine *engine, enum lane_id id)
{
	const struct lane *lane = &engine->lanes[id];

	if (brief_is(engine))
		return brief_deadline_ms(engine);
	return lane->used_ms + (is_on_demand(id) ? ENGINE_IDLE_MS : ENGINE_PROBE_MS);
}

int64_t lanes_deadline_ms(const struct engine *engine)
{
	int64_t deadline = INT64_MAX;

	for (int i = 0; i < LANES; i++) {
		const struct lane *lane = &engine->lanes[i];

		if (lane->state == LANE_CONNECTING && engine->now_ms < patience_ends_ms(lane))
			deadline = MIN(deadline, patience_ends_ms(lane));
		else if (lane->state == LANE_CONNECTING && engine->doubtful &&
			 engine->now_ms < patience_of_first_ends_ms(engine))
			deadline = MIN(deadline, patience_of_first_ends_ms(engine));
		else if (lane->state == LANE_CONNECTING)
			deadline = MIN(deadline, connecting_ends_ms(engine, lane));
		else if (lane->state == LANE_READY && lane->running == 0)
			deadline = MIN(deadline, idle_ends_ms(engine, i));
		else if (lane->state == LANE_FINISHING)
			deadline = MIN(deadline, brief_deadline_ms(engine));
		else if (i == LANE_LIST && lane->waits && !is_out_of_patience(engine))
			deadline = MIN(deadline, waiting_ends_ms(engine));
		else if (lane->state == LANE_CLOSED && !lane->waits && may_open(engine, i))
			deadline = MIN(deadline, MAX(engine->retry_ms, brief_due_ms(engine)));
	}
	return deadline;
}

/* Somebody waits: a long back-off is cut short, but the server is not hammered. */
void lanes_demand(struct engine *engine)
{
	if (!engine->refused && engine->brief.locked == 0 && !engine->account->offline)
		engine->retry_ms = MIN(engine->retry_ms, MAX(engine->attempt_ms + ENGINE_DEMAND_MS,
							     engine->brief.rest_ms));
}

void lanes_reconnect(struct engine *engine)
{
	g_autoptr(GError) error =
		g_error_new(MAILFS_ERROR, ERROR_UNREACHABLE, "asked to reconnect");

	log_info("%s: asked to reconnect", engine->account->name);
	for (int i = 0; i < LANES; i++) {
		if (engine->lanes[i].store)
			lane_drop(engine, &engine->lanes[i], error, true);
	}
	engine->brief = (struct brief){.rest_ms = engine->brief.rest_ms};
	folders_heal(engine);
	spool_retry(engine->state);
	change_soon(engine, 0);
	engine->failures = 0;
	engine->refused = engine->alone = false;
	if (!engine->account->offline)
		engine->retry_ms = engine->now_ms;
}

void lanes_clear(struct engine *engine)
{
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, ERROR_UNREACHABLE, "unmounting");

	for (int i = 0; i < LANES; i++) {
		engine->lane = &engine->lanes[i];
		engine->ops->close(&engine->lanes[i].store);
		credentials_end(engine->credentials, CREDENTIALS_MAILBOX,
				&engine->lanes[i].credential, error);
		fail_queue(engine, &engine->lanes[i], error);
		engine->lanes[i].state = LANE_CLOSED;
	}
}
