#include "memory_private.h"

#include "base/error.h"

#include <string.h>

#define LOGIN_STEP_MS 100

static struct store *open_any(const struct store_config *config, const struct store_sink *sink,
			      void *data, bool brief)
{
	struct store *store = g_new0(struct store, 1);

	store->brief = brief;
	store->watcher = strcmp(config->role, "watch") == 0;
	pthread_mutex_lock(&memory.lock);
	memory.alive++;
	memory.alive_most = MAX(memory.alive_most, memory.alive);
	pthread_mutex_unlock(&memory.lock);
	store->sink = sink;
	store->data = data;
	g_queue_init(&store->jobs);
	return store;
}

static struct store *memory_open(const struct store_config *config, const struct store_sink *sink,
				 void *data, int64_t now_ms)
{
	return open_any(config, sink, data, false);
}

static struct store *memory_open_brief(const struct store_config *config,
				       const struct store_sink *sink, void *data, int64_t now_ms)
{
	g_assert_nonnull(config->index);
	return open_any(config, sink, data, true);
}

static void memory_close(struct store **store)
{
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, ERROR_UNREACHABLE, "connection lost");
	struct store_job *job;

	if (!*store)
		return;
	while ((job = g_queue_pop_head(&(*store)->jobs)))
		(*store)->sink->done((*store)->data, job, error);
	pthread_mutex_lock(&memory.lock);
	job = memory_watch_end(*store);
	if (job)
		(*store)->sink->done((*store)->data, job, error);
	memory_leave(*store);
	memory.open -= (*store)->ready;
	memory.alive--;
	pthread_mutex_unlock(&memory.lock);
	g_clear_pointer(store, g_free);
}

static bool memory_ready(const struct store *store)
{
	return store->ready;
}

static bool is_left_waiting(const struct store *store)
{
	return !store->ready && memory.open > 0 && memory.second == MEMORY_LEFT_WAITING;
}

static bool hangs(const struct store *store)
{
	const struct store_job *job = g_queue_peek_head((GQueue *)&store->jobs);

	return memory.hang || is_left_waiting(store) || (job && memory.hold[job->kind]) ||
	       (memory.hold_refreshed && store->told) ||
	       (memory.hang_list && job && job->kind == STORE_LIST);
}

static void memory_poll(const struct store *store, struct pollfd *ret_poll,
			int64_t *ret_deadline_ms)
{
	bool work = !store->ready || store->ending || !g_queue_is_empty((GQueue *)&store->jobs);

	pthread_mutex_lock(&memory.lock);
	ret_poll->fd = store->watch ? store->news_fd : -1;
	ret_poll->events = POLLIN;
	*ret_deadline_ms = !work || hangs(store) ? INT64_MAX : store->drip_ms;
	pthread_mutex_unlock(&memory.lock);
}

/* --- jobs --- */

static void run_list(struct store *store, const struct store_job *job)
{
	for (unsigned i = 0; i < memory.folder_count; i++) {
		const struct memory_folder *folder = &memory.folders[i];
		struct store_folder fact = {
			.name = folder->name, .separator = '/', .attributes = folder->attributes};

		if (folder->gone)
			continue;
		store->sink->folder(store->data, &fact);
		if (job->counts && memory.counts) {
			struct store_mailbox box = memory_mailbox(folder);

			store->sink->counts(store->data, folder->name, &box);
		}
	}
}

static void tell_message(struct store *store, const struct store_job *job,
			 const struct memory_folder *folder, const struct memory_message *message)
{
	g_autoptr(GPtrArray) keywords = memory_words(message->keywords);
	struct store_message fact = {.uid = message->uid,
				     .size = message->size_told,
				     .date_s = message->date_s,
				     .flags = message->flags,
				     .keywords = keywords,
				     .subject = message->subject};

	bool known =
		job->known.uidvalidity == folder->uidvalidity && message->uid < job->known.uidnext;

	if (known && memory.leave_flags)
		return;
	if (known && message->modseq > 0 &&
	    (message->modseq <= job->known.modseq || job->known.verify))
		return;
	if (known)
		store->sink->flags(store->data, job->folder, folder->uidvalidity, message->uid,
				   message->flags, keywords);
	else
		store->sink->message(store->data, job->folder, &fact);
}

static unsigned visible(const struct store *store, const struct memory_folder *folder)
{
	return store->brief ? store->visible[folder - memory.folders] : UINT_MAX;
}

static void tell_folder(struct store *store, struct store_job *job,
			const struct memory_folder *folder)
{
	struct seqset present = {0};
	uint64_t modseq = store->box.modseq;

	store->box = memory_mailbox(folder);
	/* It is not opened anew. */
	if (job->known.verify)
		store->box.modseq = modseq;
	store->box.messages = MIN(store->box.messages, visible(store, folder));
	store->sink->opened(store->data, job->folder, &store->box);
	for (unsigned i = 0; i < MIN(folder->count, visible(store, folder)); i++) {
		seqset_add(&present, folder->messages[i].uid, folder->messages[i].uid);
		tell_message(store, job, folder, &folder->messages[i]);
	}
	if (job->known.verify) {
		memory.verifies++;
		store->sink->present(store->data, job->folder, &present, job->known.uidnext - 1);
	}
	seqset_clear(&present);
	job->flags_left = memory.leave_flags && job->known.flags && !job->known.verify;
	store->told = true;
}

static void run_refresh(struct store *store, struct store_job *job,
			struct memory_folder *folder)
{
	folder->refreshes++;
	if (!store->told)
		tell_folder(store, job, folder);
	store->told = false;
	store->sink->refreshed(store->data, job->folder,
			       MAX(store->box.uidnext, job->known.uidnext), store->box.modseq,
			       store->box.messages);
}

/* True while a refresh that told all is not to end. */
static bool lingers(struct store *store, struct store_job *job)
{
	if (!memory.hold_refreshed || job->kind != STORE_REFRESH)
		return false;
	tell_folder(store, job, memory_find(job->name));
	return true;
}

static void run_status(struct store *store, const struct store_job *job)
{
	for (unsigned i = 0; i < job->names->len; i++) {
		const struct memory_folder *folder = memory_find(g_ptr_array_index(job->names, i));
		struct store_mailbox box;

		if (!folder)
			continue;
		box = memory_mailbox(folder);
		store->sink->status(store->data, g_array_index(job->folders, uint32_t, i), &box);
	}
}

/* Whole, and told window by window. */
static void send_whole(struct store *store, const struct store_job *job,
		       const struct memory_message *message)
{
	size_t len = strlen(message->body);

	g_assert_cmpuint(job->origin, ==, 0);
	store->sink->body_begin(store->data, job, message->uid);
	for (size_t sent = 0, count; sent < len; sent += count) {
		count = job->window ? MIN(job->window, len - sent) : len;
		store->sink->body_data(store->data, job, message->uid, sent, message->body + sent,
				       count);
		store->sink->body_end(store->data, job, message->uid, sent + count,
				      sent + count == len);
	}
}

static void send_body(struct store *store, const struct store_job *job,
		      const struct memory_message *message)
{
	size_t len = strlen(message->body);
	size_t start = MIN(job->origin, len);
	size_t most = job->window + (memory.slow ? 0 : job->more);
	size_t count = job->window ? MIN(most, len - start) : len;

	if (store->brief) {
		send_whole(store, job, message);
		return;
	}
	store->sink->body_begin(store->data, job, message->uid);
	store->sink->body_data(store->data, job, message->uid, job->origin, message->body + start,
			       count);
	store->sink->body_end(store->data, job, message->uid, count,
			      job->window == 0 || count < most);
}

static void run_batch(struct store *store, const struct store_job *job,
		      const struct memory_folder *folder)
{
	for (unsigned i = 0; i < job->batch->len; i++) {
		const struct store_item *item = &g_array_index(job->batch, struct store_item, i);
		const struct memory_message *message = memory_find_message(folder, item->uid);

		memory.batched++;
		if (message && strlen(message->body) == item->size_hint)
			send_body(store, job, message);
	}
}

static GError *run_body(struct store *store, const struct store_job *job,
			const struct memory_folder *folder)
{
	const struct memory_message *message;

	if (memory.stale_gone) {
		struct seqset uids = {0};

		seqset_add(&uids, memory.stale_gone, memory.stale_gone);
		store->sink->gone(store->data, job->folder, folder->uidvalidity + 1, &uids);
		seqset_clear(&uids);
	}
	if (folder->uidvalidity != job->known.uidvalidity)
		return g_error_new(MAILFS_ERROR, ERROR_STALE, "replaced");
	if (memory.stale_flags)
		store->sink->flags(store->data, job->folder, folder->uidvalidity,
				   memory.stale_flags, STORE_FLAG_DELETED, NULL);
	if (job->batch) {
		run_batch(store, job, folder);
		return NULL;
	}
	if (memory.another == job->uid) {
		store->sink->changed(store->data, job->folder, false);
		return g_error_new(MAILFS_ERROR, ERROR_GONE, "another");
	}
	message = memory_find_message(folder, job->uid);
	if (!message)
		return g_error_new(MAILFS_ERROR, ERROR_GONE, "gone");
	send_body(store, job, message);
	return NULL;
}

static GError *run_on_folder(struct store *store, struct store_job *job,
			     struct memory_folder *folder)
{
	switch (job->kind) {
	case STORE_REFRESH:
		memory_open_folder(store, job, folder);
		run_refresh(store, job, folder);
		return NULL;
	case STORE_BODY:
		memory_open_folder(store, job, folder);
		return run_body(store, job, folder);
	case STORE_APPEND:
		return memory_append(job, folder);
	case STORE_MARK:
		job->box = memory_mailbox(folder);
		return NULL;
	case STORE_DELETE:
		return memory_delete(job, folder);
	case STORE_RENAME:
		return memory_rename(job, folder);
	default:
		return memory_run_in_folder(store, job, folder);
	}
}

static void leave_watch(struct store *store, const struct store_job *job)
{
	if (memory_watches(store, job->name))
		store->sink->done(store->data, memory_watch_end(store), NULL);
}

static GError *run_job(struct store *store, struct store_job *job)
{
	struct memory_folder *folder = job->name ? memory_find(job->name) : NULL;

	switch (job->kind) {
	case STORE_LIST:
		run_list(store, job);
		return NULL;
	case STORE_STATUS:
		run_status(store, job);
		return NULL;
	case STORE_PROBE:
		return NULL;
	case STORE_CREATE:
		return memory_create(job);
	case STORE_LEAVE:
		memory_leave_job(store, job);
		leave_watch(store, job);
		return NULL;
	default:
		break;
	}
	if (!folder)
		return g_error_new(MAILFS_ERROR, ERROR_GONE, "no such folder");
	return run_on_folder(store, job, folder);
}

static bool is_poisoned(const struct store_job *job)
{
	for (unsigned i = 0; job->batch && i < job->batch->len; i++) {
		if (g_array_index(job->batch, struct store_item, i).uid == memory.poison)
			return true;
	}
	return false;
}

/* True while there is more to come before the listing itself. */
static bool drips(struct store *store, const struct store_job *job, int64_t now_ms)
{
	const struct memory_folder *folder = job->name ? memory_find(job->name) : NULL;
	struct store_mailbox box;

	if (memory.drip_ms == 0 || job->kind != STORE_REFRESH || store->dripped == folder->count)
		return false;
	if (now_ms < store->drip_ms)
		return true;
	box = memory_mailbox(folder);
	if (store->dripped == 0)
		store->sink->opened(store->data, job->folder, &box);
	store->sink->message(store->data, job->folder,
			     &(struct store_message){.uid = folder->messages[store->dripped].uid});
	if (memory.dripped)
		memory.dripped(memory.dripped_data, folder->messages[store->dripped].uid);
	store->dripped++;
	store->drip_ms = now_ms + memory.drip_ms;
	return true;
}

/* As if no answer had come. */
static void forget_results(struct store_job *job)
{
	job->box = (struct store_mailbox){0};
	job->appended_uid = 0;
	g_clear_pointer(&job->copied, g_array_unref);
	g_clear_pointer(&job->found, g_ptr_array_unref);
}

/* False if the connection ends. */
static bool run_one(struct store *store, struct store_job *job)
{
	struct memory_fault fault = memory.faults[job->kind];
	g_autoptr(GError) failure = NULL;

	memory.faults[job->kind] = (struct memory_fault){0};
	memory.jobs[job->kind]++;
	if (fault.loss != MEMORY_KEPT) {
		store->mute = true;
		if (fault.loss == MEMORY_LOST_AFTER)
			failure = run_job(store, job);
		forget_results(job);
		job->sent = true;
		return false;
	}
	g_queue_pop_head(&store->jobs);
	if (job->kind == STORE_WATCH && !fault.refuse) {
		memory_watch(store, job);
		return true;
	}
	failure = fault.refuse ? g_error_new(MAILFS_ERROR, fault.refuse, "refused")
			       : run_job(store, job);
	store->sink->done(store->data, job, failure);
	return true;
}

static bool run_jobs(struct store *store, int64_t now_ms, GError **error)
{
	struct store_job *job;

	while (!hangs(store) && (job = g_queue_peek_head(&store->jobs)) &&
	       !drips(store, job, now_ms) && !lingers(store, job)) {
		if ((memory.die_after > 0 && --memory.die_after == 0) || is_poisoned(job) ||
		    !run_one(store, job)) {
			g_set_error(error, MAILFS_ERROR, ERROR_UNREACHABLE, "connection lost");
			return false;
		}
	}
	return true;
}

/* A word comes now and then, until it is in. */
static bool is_logging_in(struct store *store, int64_t now_ms)
{
	if (store->login_ends_ms == 0)
		store->login_ends_ms = now_ms + memory.login_ms;
	store->drip_ms = MIN(now_ms + LOGIN_STEP_MS, store->login_ends_ms);
	return now_ms < store->login_ends_ms;
}

static void login(struct store *store, int64_t now_ms)
{
	int64_t gap_ms = now_ms - memory.ready_ms;

	store->ready = true;
	memory.connections++;
	memory.open++;
	for (unsigned i = 0; i < memory.folder_count; i++)
		store->visible[i] = memory.folders[i].count;
	if (memory.ready_ms && (memory.gap_ms == 0 || gap_ms < memory.gap_ms))
		memory.gap_ms = gap_ms;
	memory.ready_ms = now_ms;
}

static bool memory_step(struct store *store, int64_t now_ms, GError **error)
{
	bool alive = true;

	pthread_mutex_lock(&memory.lock);
	memory.attempts += !store->ready && !is_left_waiting(store);
	if (store->ending && g_queue_is_empty(&store->jobs)) {
		memory.finished++;
		alive = false;
	} else if (!store->ready && memory.refuse) {
		g_set_error(error, MAILFS_ERROR, memory.refuse, "no entry");
		alive = false;
	} else if (store->watcher && (!memory_watch_step(store) || memory.cut_watches)) {
		g_set_error(error, MAILFS_ERROR, ERROR_TEMPORARY, "too many connections");
		alive = false;
	} else if (!store->ready && memory.open > 0 && memory.second == MEMORY_REFUSED) {
		memory.refused++;
		g_set_error(error, MAILFS_ERROR, ERROR_TEMPORARY, "too many connections");
		alive = false;
	} else if (!store->ready && !is_left_waiting(store) && !is_logging_in(store, now_ms)) {
		login(store, now_ms);
	} else if (store->ready) {
		alive = run_jobs(store, now_ms, error);
	}
	pthread_mutex_unlock(&memory.lock);
	return alive;
}

static bool memory_accepts(const struct store *store, const struct store_job *job)
{
	bool watched = store->watch && job->kind != STORE_WATCH && job->kind != STORE_LEAVE;

	return store->ready && !store->ending && !watched &&
	       g_queue_is_empty((GQueue *)&store->jobs);
}

static void memory_submit(struct store *store, struct store_job *job, int64_t now_ms)
{
	pthread_mutex_lock(&memory.lock);
	memory.submitted[job->kind]++;
	pthread_mutex_unlock(&memory.lock);
	g_queue_push_tail(&store->jobs, job);
}

static unsigned memory_abilities(const struct store *store, uint64_t *ret_append_max_bytes)
{
	unsigned abilities;

	pthread_mutex_lock(&memory.lock);
	*ret_append_max_bytes = memory.append_max_bytes;
	abilities = memory.abilities;
	pthread_mutex_unlock(&memory.lock);
	return abilities;
}

static const char *memory_way_in(const struct store *store)
{
	g_assert_true(store->ready);
	return "LOGIN";
}

static void memory_describe(const struct store *store, GString *out)
{
	g_string_append(out, "server: memory\n");
}

static void memory_finish(struct store *store)
{
	g_assert_true(store->ready && g_queue_is_empty(&store->jobs));
	store->ending = true;
}

static int64_t memory_rest_ms(const struct store *store)
{
	int64_t rest_ms;

	pthread_mutex_lock(&memory.lock);
	rest_ms = memory.rest_ms;
	pthread_mutex_unlock(&memory.lock);
	return rest_ms;
}

const struct store_ops store_memory_brief = {
	.traits = STORE_EXCLUSIVE | STORE_BRIEF,
	.always = STORE_CAN_REMOVE,
	.open = memory_open_brief,
	.close = memory_close,
	.finish = memory_finish,
	.rest_ms = memory_rest_ms,
	.ready = memory_ready,
	.poll = memory_poll,
	.step = memory_step,
	.accepts = memory_accepts,
	.submit = memory_submit,
	.abilities = memory_abilities,
	.way_in = memory_way_in,
	.describe = memory_describe,
};

const struct store_ops store_memory = {
	.open = memory_open,
	.close = memory_close,
	.ready = memory_ready,
	.poll = memory_poll,
	.step = memory_step,
	.accepts = memory_accepts,
	.submit = memory_submit,
	.abilities = memory_abilities,
	.way_in = memory_way_in,
	.describe = memory_describe,
};
