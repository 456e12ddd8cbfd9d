#include "memory_store.h"

#include "base/error.h"

#include <string.h>

struct store {
	const struct store_sink *sink;
	void *data;
	bool ready;
	GQueue jobs; /* of struct store_job */
	unsigned dripped;
	int64_t drip_ms; /* when the next may come */
};

struct memory_account memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

void memory_reset(void)
{
	pthread_mutex_lock(&memory.lock);
	memset(memory.folders, 0, sizeof(memory.folders));
	memory.folder_count = memory.connections = memory.die_after = memory.verifies = 0;
	memory.stale_gone = 0;
	memory.batched = memory.open = memory.refused = 0;
	memory.refuse = 0;
	memory.poison = memory.drip_ms = 0;
	memory.hang = memory.hang_list = false;
	memory.second = MEMORY_WELCOME;
	memset(memory.jobs, 0, sizeof(memory.jobs));
	pthread_mutex_unlock(&memory.lock);
}

unsigned memory_count(const unsigned *counter)
{
	unsigned n;

	pthread_mutex_lock(&memory.lock);
	n = *counter;
	pthread_mutex_unlock(&memory.lock);
	return n;
}

void memory_set(bool *fault, bool on)
{
	pthread_mutex_lock(&memory.lock);
	*fault = on;
	pthread_mutex_unlock(&memory.lock);
}

struct memory_folder *memory_folder_add(const char *name, uint64_t uidvalidity)
{
	struct memory_folder *folder;

	pthread_mutex_lock(&memory.lock);
	folder = &memory.folders[memory.folder_count++];
	folder->name = name;
	folder->uidvalidity = uidvalidity;
	pthread_mutex_unlock(&memory.lock);
	return folder;
}

void memory_message_add(struct memory_folder *folder, uint32_t uid, const char *subject,
			const char *body)
{
	pthread_mutex_lock(&memory.lock);
	folder->messages[folder->count++] = (struct memory_message){
		.uid = uid, .subject = subject, .body = body, .size_told = strlen(body)};
	pthread_mutex_unlock(&memory.lock);
}

void memory_message_remove(struct memory_folder *folder, uint32_t uid)
{
	unsigned kept = 0;

	pthread_mutex_lock(&memory.lock);
	for (unsigned i = 0; i < folder->count; i++) {
		if (folder->messages[i].uid != uid)
			folder->messages[kept++] = folder->messages[i];
	}
	folder->count = kept;
	pthread_mutex_unlock(&memory.lock);
}

static struct memory_folder *find_folder(const char *name)
{
	for (unsigned i = 0; i < memory.folder_count; i++) {
		if (strcmp(memory.folders[i].name, name) == 0)
			return &memory.folders[i];
	}
	return NULL;
}

static struct store *memory_open(const struct store_config *config, const struct store_sink *sink,
				 void *data, int64_t now_ms)
{
	struct store *store = g_new0(struct store, 1);

	store->sink = sink;
	store->data = data;
	g_queue_init(&store->jobs);
	return store;
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
	memory.open -= (*store)->ready;
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

	return memory.hang || is_left_waiting(store) ||
	       (memory.hang_list && job && job->kind == STORE_LIST);
}

static void memory_poll(const struct store *store, struct pollfd *ret_poll,
			int64_t *ret_deadline_ms)
{
	bool work = !store->ready || !g_queue_is_empty((GQueue *)&store->jobs);

	pthread_mutex_lock(&memory.lock);
	ret_poll->fd = -1;
	*ret_deadline_ms = !work || hangs(store) ? INT64_MAX : store->drip_ms;
	pthread_mutex_unlock(&memory.lock);
}

/* --- jobs --- */

static void run_list(struct store *store)
{
	for (unsigned i = 0; i < memory.folder_count; i++)
		store->sink->folder(
			store->data,
			&(struct store_folder){.name = memory.folders[i].name,
					       .separator = '/',
					       .attributes = memory.folders[i].attributes});
}

static struct store_mailbox mailbox_of(const struct memory_folder *folder)
{
	return (struct store_mailbox){
		.uidvalidity = folder->uidvalidity,
		.messages = folder->count_told ? folder->count_told : folder->count,
		.uidnext = folder->count ? folder->messages[folder->count - 1].uid + 1 : 1};
}

static void run_refresh(struct store *store, const struct store_job *job,
			struct memory_folder *folder)
{
	struct store_mailbox box = mailbox_of(folder);
	struct seqset present = {0};

	folder->refreshes++;
	store->sink->opened(store->data, job->folder, &box);
	for (unsigned i = 0; i < folder->count; i++) {
		const struct memory_message *message = &folder->messages[i];

		seqset_add(&present, message->uid, message->uid);
		if (job->known.uidvalidity == box.uidvalidity && message->uid < job->known.uidnext)
			continue;
		store->sink->message(store->data, job->folder,
				     &(struct store_message){.uid = message->uid,
							     .size = message->size_told,
							     .date_s = 1000000,
							     .flags = message->flags,
							     .subject = message->subject});
	}
	if (job->known.verify) {
		memory.verifies++;
		store->sink->present(store->data, job->folder, &present, job->known.uidnext - 1);
	}
	store->sink->refreshed(store->data, job->folder, MAX(box.uidnext, job->known.uidnext), 0,
			       box.messages);
	seqset_clear(&present);
}

static void run_status(struct store *store, const struct store_job *job)
{
	for (unsigned i = 0; i < job->names->len; i++) {
		const struct memory_folder *folder = find_folder(g_ptr_array_index(job->names, i));
		struct store_mailbox box;

		if (!folder)
			continue;
		box = mailbox_of(folder);
		store->sink->status(store->data, g_array_index(job->folders, uint32_t, i), &box);
	}
}

static void send_body(struct store *store, const struct store_job *job,
		      const struct memory_message *message)
{
	size_t len = strlen(message->body);
	size_t start = MIN(job->origin, len);
	size_t count = job->window ? MIN(job->window, len - start) : len;

	store->sink->body_begin(store->data, job, message->uid);
	store->sink->body_data(store->data, job, message->uid, job->origin, message->body + start,
			       count);
	store->sink->body_end(store->data, job, message->uid, count,
			      job->window == 0 || count < job->window);
}

static const struct memory_message *find_message(const struct memory_folder *folder, uint32_t uid)
{
	for (unsigned i = 0; i < folder->count; i++) {
		if (folder->messages[i].uid == uid)
			return &folder->messages[i];
	}
	return NULL;
}

static void run_batch(struct store *store, const struct store_job *job,
		      const struct memory_folder *folder)
{
	for (unsigned i = 0; i < job->batch->len; i++) {
		const struct store_item *item = &g_array_index(job->batch, struct store_item, i);
		const struct memory_message *message = find_message(folder, item->uid);

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
	if (job->batch) {
		run_batch(store, job, folder);
		return NULL;
	}
	message = find_message(folder, job->uid);
	if (!message)
		return g_error_new(MAILFS_ERROR, ERROR_GONE, "gone");
	send_body(store, job, message);
	return NULL;
}

static GError *run_job(struct store *store, const struct store_job *job)
{
	struct memory_folder *folder = job->name ? find_folder(job->name) : NULL;

	memory.jobs[job->kind]++;
	if (job->name && !folder)
		return g_error_new(MAILFS_ERROR, ERROR_GONE, "no such folder");
	if (job->kind == STORE_LIST)
		run_list(store);
	else if (job->kind == STORE_STATUS)
		run_status(store, job);
	else if (job->kind == STORE_REFRESH)
		run_refresh(store, job, folder);
	else if (job->kind == STORE_BODY)
		return run_body(store, job, folder);
	return NULL;
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
	const struct memory_folder *folder = job->name ? find_folder(job->name) : NULL;
	struct store_mailbox box;

	if (memory.drip_ms == 0 || job->kind != STORE_REFRESH || store->dripped == folder->count)
		return false;
	if (now_ms < store->drip_ms)
		return true;
	box = mailbox_of(folder);
	if (store->dripped == 0)
		store->sink->opened(store->data, job->folder, &box);
	store->sink->message(store->data, job->folder,
			     &(struct store_message){.uid = folder->messages[store->dripped].uid});
	store->dripped++;
	store->drip_ms = now_ms + memory.drip_ms;
	return true;
}

static bool run_jobs(struct store *store, int64_t now_ms, GError **error)
{
	struct store_job *job;

	while (!hangs(store) && (job = g_queue_peek_head(&store->jobs)) &&
	       !drips(store, job, now_ms)) {
		g_autoptr(GError) failure = NULL;

		if ((memory.die_after > 0 && --memory.die_after == 0) || is_poisoned(job)) {
			g_set_error(error, MAILFS_ERROR, ERROR_UNREACHABLE, "connection lost");
			return false;
		}
		g_queue_pop_head(&store->jobs);
		failure = run_job(store, job);
		store->sink->done(store->data, job, failure);
	}
	return true;
}

static bool memory_step(struct store *store, int64_t now_ms, GError **error)
{
	bool alive = true;

	pthread_mutex_lock(&memory.lock);
	if (!store->ready && memory.refuse) {
		g_set_error(error, MAILFS_ERROR, memory.refuse, "no entry");
		alive = false;
	} else if (!store->ready && memory.open > 0 && memory.second == MEMORY_REFUSED) {
		memory.refused++;
		g_set_error(error, MAILFS_ERROR, ERROR_TEMPORARY, "too many connections");
		alive = false;
	} else if (!store->ready && !is_left_waiting(store)) {
		store->ready = true;
		memory.connections++;
		memory.open++;
	} else if (store->ready) {
		alive = run_jobs(store, now_ms, error);
	}
	pthread_mutex_unlock(&memory.lock);
	return alive;
}

static bool memory_accepts(const struct store *store, const struct store_job *job)
{
	return store->ready;
}

static void memory_submit(struct store *store, struct store_job *job, int64_t now_ms)
{
	g_queue_push_tail(&store->jobs, job);
}

static unsigned memory_abilities(const struct store *store, uint64_t *ret_append_max_bytes)
{
	*ret_append_max_bytes = UINT64_MAX;
	return 0;
}

static void memory_describe(const struct store *store, GString *out)
{
	g_string_append(out, "server: memory\n");
}

const struct store_ops store_memory = {
	.open = memory_open,
	.close = memory_close,
	.ready = memory_ready,
	.poll = memory_poll,
	.step = memory_step,
	.accepts = memory_accepts,
	.submit = memory_submit,
	.abilities = memory_abilities,
	.describe = memory_describe,
};
