#include "engine/engine_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "cache/uidls.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- the other threads' side --- */

void engine_wake(struct engine *engine)
{
	uint64_t one = 1;

	while (write(engine->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void engine_need(struct engine *engine, const struct need *need)
{
	pthread_mutex_lock(&engine->lock);
	g_array_append_vals(engine->shared.needs, need, 1);
	pthread_mutex_unlock(&engine->lock);
	engine_wake(engine);
}

void engine_reconnect(struct engine *engine)
{
	credentials_renew(engine->credentials);
	pthread_mutex_lock(&engine->lock);
	engine->shared.reconnect = true;
	pthread_mutex_unlock(&engine->lock);
	engine_wake(engine);
}

void engine_changed(struct engine *engine)
{
	bool news;

	pthread_mutex_lock(&engine->lock);
	news = !engine->shared.changed;
	engine->shared.changed = true;
	pthread_mutex_unlock(&engine->lock);
	if (news)
		engine_wake(engine);
}

unsigned engine_abilities(struct engine *engine, uint64_t *ret_append_max_bytes)
{
	unsigned abilities;

	pthread_mutex_lock(&engine->lock);
	abilities = engine->shared.abilities;
	*ret_append_max_bytes = engine->shared.append_max_bytes;
	pthread_mutex_unlock(&engine->lock);
	return abilities;
}

static void tell_left(struct engine *engine)
{
	unsigned left = state_pending(engine->state);

	if (left > 0)
		log_warning("%s: %u changes wait for the next mount", engine->account->name, left);
}

void engine_flush(struct engine *engine, int64_t timeout_ms)
{
	int64_t until_ms = clock_mono_ms() + timeout_ms;

	pthread_mutex_lock(&engine->lock);
	engine->shared.flush = true;
	pthread_mutex_unlock(&engine->lock);
	engine_wake(engine);
	pthread_mutex_lock(&engine->lock);
	while (!engine->shared.flushed &&
	       clock_cond_wait(&engine->flushed, &engine->lock, until_ms))
		;
	pthread_mutex_unlock(&engine->lock);
	tell_left(engine);
}

bool engine_is_stalled_locked(const struct engine *engine)
{
	int64_t now_ms = clock_mono_ms();
	bool stalled = engine->shared.state != ACCOUNT_ONLINE;

	/* The others may take their time, and nobody's freshness. */
	for (int i = 0; i <= LANE_BODY; i++)
		stalled |= engine->shared.busy_ms[i] > 0 &&
			   now_ms - engine->shared.busy_ms[i] >= ENGINE_STALL_MS;
	return stalled;
}

bool engine_is_stalled(struct engine *engine)
{
	bool stalled;

	pthread_mutex_lock(&engine->lock);
	stalled = engine_is_stalled_locked(engine);
	pthread_mutex_unlock(&engine->lock);
	return stalled;
}

bool engine_quota(struct engine *engine, uint64_t *ret_used_bytes, uint64_t *ret_limit_bytes)
{
	bool known;

	pthread_mutex_lock(&engine->lock);
	known = engine->shared.has_quota && engine->shared.quota.limit_bytes > 0;
	if (known) {
		*ret_used_bytes = engine->shared.quota.used_bytes;
		*ret_limit_bytes = engine->shared.quota.limit_bytes;
	}
	pthread_mutex_unlock(&engine->lock);
	return known;
}

bool engine_wait_ready(struct engine *engine, GError **error)
{
	bool ready;

	pthread_mutex_lock(&engine->lock);
	while (!engine->shared.settled_first)
		pthread_cond_wait(&engine->first, &engine->lock);
	ready = !engine->shared.first_error;
	if (!ready)
		g_propagate_error(error, g_error_copy(engine->shared.first_error));
	pthread_mutex_unlock(&engine->lock);
	return ready;
}

/* --- the thread --- */

struct requests {
	GArray *needs;
	GArray *operations;
	bool stop;
	bool reconnect;
	bool demand;
	bool changed;
	bool flush;
};

static struct requests take_shared(struct engine *engine)
{
	struct requests requests;

	pthread_mutex_lock(&engine->lock);
	requests = (struct requests){.needs = engine->shared.needs,
				     .operations = engine->shared.operations,
				     .stop = engine->shared.stop,
				     .reconnect = engine->shared.reconnect,
				     .demand = engine->shared.demand,
				     .changed = engine->shared.changed,
				     .flush = engine->shared.flush};
	engine->shared.needs = g_array_new(FALSE, FALSE, sizeof(struct need));
	engine->shared.operations = g_array_new(FALSE, FALSE, sizeof(struct operation *));
	engine->shared.reconnect = engine->shared.demand = false;
	pthread_mutex_unlock(&engine->lock);
	return requests;
}

static bool take_requests(struct engine *engine)
{
	struct requests requests = take_shared(engine);

	if (requests.reconnect)
		lanes_reconnect(engine);
	if (requests.demand)
		lanes_demand(engine);
	if (requests.changed)
		change_soon(engine, brief_company_ms(engine));
	if (requests.flush && !engine->flushing)
		change_soon(engine, 0);
	engine->flushing = requests.flush;
	operations_take(engine, requests.operations);
	g_array_unref(requests.operations);
	for (unsigned i = 0; i < requests.needs->len; i++)
		needs_take(engine, &g_array_index(requests.needs, struct need, i));
	g_array_unref(requests.needs);
	return !requests.stop;
}

static int timeout_ms(const struct engine *engine, int64_t deadline_ms)
{
	int64_t left = deadline_ms - engine->now_ms;

	if (deadline_ms == INT64_MAX)
		return -1;
	return (int)CLAMP(left, 0, 3600 * 1000);
}

static void read_clock(struct engine *engine)
{
	engine->now_ms = clock_mono_ms();
	engine->now_ns = clock_wall_ns();
}

/* Nothing is pending, or nothing more can be done about it now. */
static void tell_flushed(struct engine *engine)
{
	if (!engine->flushing ||
	    (state_pending(engine->state) > 0 && !lane_is_down(engine, LANE_CHANGE)) ||
	    folders_catch_up(engine))
		return;
	pthread_mutex_lock(&engine->lock);
	engine->shared.flushed = true;
	pthread_cond_broadcast(&engine->flushed);
	pthread_mutex_unlock(&engine->lock);
}

/* Waits for an event, then steps what has one. */
static void wait_and_step(struct engine *engine, int64_t deadline_ms)
{
	struct pollfd fds[LANES + 1] = {{.fd = engine->wake_fd, .events = POLLIN}};
	int64_t lane_deadline_ms[LANES];
	uint64_t count;

	for (int i = 0; i < LANES; i++) {
		fds[i + 1].fd = -1;
		lane_deadline_ms[i] = INT64_MAX;
		if (engine->lanes[i].store)
			engine->ops->poll(engine->lanes[i].store, &fds[i + 1],
					  &lane_deadline_ms[i]);
		deadline_ms = MIN(deadline_ms, lane_deadline_ms[i]);
	}
	poll(fds, LANES + 1, timeout_ms(engine, deadline_ms));
	read_clock(engine);
	if (fds[0].revents && read(engine->wake_fd, &count, sizeof(count)) < 0)
		count = 0; /* EAGAIN: somebody else's wake was taken already */
	for (int i = 0; i < LANES; i++)
		lane_step(engine, &engine->lanes[i],
			  fds[i + 1].revents || engine->now_ms >= lane_deadline_ms[i]);
}

static void *run(void *data)
{
	struct engine *engine = data;
	int64_t poll_ms;

	read_clock(engine);
	engine->doubt_ms = engine->now_ms + ENGINE_DOUBT_MS;
	spool_retry(engine->state);
	while (take_requests(engine)) {
		poll_ms = MIN(folders_poll(engine), change_deadline_ms(engine));
		poll_ms = MIN(poll_ms, watch_run(engine));
		change_run(engine);
		lanes_connect(engine);
		lanes_lose_patience(engine);
		lanes_submit(engine);
		report_all(engine);
		tell_flushed(engine);
		wait_and_step(engine, MIN(poll_ms, lanes_deadline_ms(engine)));
	}
	/* First, so that nothing that fails now is asked for in another way. */
	needs_settle_all(engine, ECONNABORTED);
	lanes_clear(engine);
	report_all(engine);
	return NULL;
}

/* --- life --- */

static guint need_hash(gconstpointer key)
{
	const struct need *need = key;

	return ((guint)need->kind * 31 + need->id) * 2654435761u ^ need->uid;
}

static gboolean need_equal_keys(gconstpointer a, gconstpointer b)
{
	return need_equal(a, b);
}

static void init_changes(struct engine *engine)
{
	engine->upload_fd = -1;
	engine->marks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	engine->refused_in = g_hash_table_new(NULL, NULL);
	engine->unseen = g_hash_table_new(NULL, NULL);
	engine->operations = g_ptr_array_new_with_free_func(operation_free);
	engine->shared.trust = index_sizes_get(engine->index);
	rights_init(engine);
	engine->shared.operations = g_array_new(FALSE, FALSE, sizeof(struct operation *));
}

static void clear_changes(struct engine *engine)
{
	GArray *operations = engine->shared.operations;

	for (unsigned i = 0; i < operations->len; i++)
		operation_free(g_array_index(operations, struct operation *, i));
	g_array_unref(operations);
	seek_free(&engine->seek);
	if (engine->uploading)
		spool_file_clear(&engine->upload);
	if (engine->upload_fd >= 0)
		close(engine->upload_fd);
	seqset_clear(&engine->moving_uids);
	seqset_clear(&engine->moved);
	g_hash_table_unref(engine->marks);
	g_hash_table_unref(engine->refused_in);
	g_hash_table_unref(engine->unseen);
	g_ptr_array_unref(engine->operations);
	g_hash_table_unref(engine->shared.rights);
	g_hash_table_unref(engine->shared.arrivals);
}

static void wake(void *data)
{
	engine_wake(data);
}

struct engine *engine_new(const struct engine_config *config, const struct engine_events *events,
			  void *data, GError **error)
{
	struct index_view *view = index_view_new(config->index, error);
	struct engine *engine;

	if (!view)
		return NULL;
	engine = g_new0(struct engine, 1);
	engine->view = view;
	engine->names = config->names;
	engine->account = config->account;
	engine->credentials = config->credentials;
	engine->ops = config->ops;
	engine->sandbox = config->sandbox;
	engine->index = config->index;
	engine->bodies = config->bodies;
	engine->state = config->state;
	engine->events = events;
	engine->data = data;
	pthread_mutex_init(&engine->lock, NULL);
	pthread_cond_init(&engine->first, NULL);
	clock_cond_init(&engine->flushed);
	init_changes(engine);
	engine->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	engine->pending = g_hash_table_new_full(need_hash, need_equal_keys, g_free, NULL);
	engine->fetching = g_hash_table_new_full(need_hash, need_equal_keys, g_free, NULL);
	engine->folders = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	engine->touched = g_hash_table_new(NULL, NULL);
	engine->reports = report_array_new();
	news_init(engine);
	engine->shared.needs = g_array_new(FALSE, FALSE, sizeof(struct need));
	engine->shared.opened = g_hash_table_new(NULL, NULL);
	engine->shared.triggers = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	engine->shared.ages = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	engine->shared.arrivals = g_hash_table_new_full(NULL, NULL, NULL, arrivals_free);
	engine->shared.state_since_ns = clock_wall_ns();
	lanes_init(engine);
	watch_init(engine);
	credentials_watch(engine->credentials, CREDENTIALS_MAILBOX, wake, engine);
	return engine;
}

void engine_start(struct engine *engine)
{
	/* Whoever looks from now on sees what was promised before. */
	if (engine->ops->traits & STORE_NUMBERS)
		uidls_spoken_of(engine->index, changes_highest(engine->state));
	pending_bind(engine);
	engine->started = pthread_create(&engine->thread, NULL, run, engine) == 0;
	if (!engine->started)
		g_error("cannot start a thread");
}

void engine_stop(struct engine *engine)
{
	if (!engine->started)
		return;
	pthread_mutex_lock(&engine->lock);
	engine->shared.stop = true;
	pthread_mutex_unlock(&engine->lock);
	engine_wake(engine);
	pthread_join(engine->thread, NULL);
	engine->started = false;
}

void engine_free(struct engine **ret_engine)
{
	struct engine *engine = *ret_engine;

	if (!engine)
		return;
	engine_stop(engine);
	credentials_watch(engine->credentials, CREDENTIALS_MAILBOX, NULL, NULL);
	report_clear(engine);
	clear_changes(engine);
	watch_clear(engine);
	g_array_unref(engine->reports);
	news_clear(engine);
	g_hash_table_unref(engine->touched);
	g_hash_table_unref(engine->folders);
	g_hash_table_unref(engine->fetching);
	g_hash_table_unref(engine->pending);
	g_array_unref(engine->shared.needs);
	g_hash_table_unref(engine->shared.ages);
	g_hash_table_unref(engine->shared.opened);
	g_hash_table_unref(engine->shared.triggers);
	g_clear_error(&engine->shared.first_error);
	g_free(engine->shared.description);
	g_free(engine->shared.last_error.text);
	g_clear_error(&engine->down);
	index_view_free(&engine->view);
	close(engine->wake_fd);
	pthread_cond_destroy(&engine->first);
	pthread_cond_destroy(&engine->flushed);
	pthread_mutex_destroy(&engine->lock);
	g_clear_pointer(ret_engine, g_free);
}
