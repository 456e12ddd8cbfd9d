#include "memory_private.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct store_job *memory_watch_end(struct store *store)
{
	struct store_job *job = g_steal_pointer(&store->watch);

	if (job) {
		g_ptr_array_remove_fast(memory.watches, store);
		memory.watched--;
		close(store->news_fd);
		store->news_fd = -1;
		store->news = NULL;
	}
	return job;
}

static void watch_one(struct store *store, uint32_t id, const char *name)
{
	const struct memory_folder *folder = memory_find(name);
	struct store_mailbox box;

	if (!folder)
		return;
	box = memory_mailbox(folder);
	store->sink->status(store->data, id, &box);
	store->sink->watched(store->data, id);
}

void memory_watch(struct store *store, struct store_job *job)
{
	struct store_job *before = memory_watch_end(store);

	if (before)
		store->sink->done(store->data, before, NULL);
	if (!memory.watches)
		memory.watches = g_ptr_array_new();
	g_ptr_array_add(memory.watches, store);
	memory.watched++;
	store->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	store->watch = job;
	for (unsigned i = 0; job->names && i < job->names->len; i++)
		watch_one(store, g_array_index(job->folders, uint32_t, i),
			  g_ptr_array_index(job->names, i));
	if (!job->names)
		watch_one(store, job->folder, job->name);
}

/* The engine's number of it, or 0. */
static uint32_t watched_id(const struct store_job *job, const char *name)
{
	for (unsigned i = 0; job->names && i < job->names->len; i++) {
		if (strcmp(g_ptr_array_index(job->names, i), name) == 0)
			return g_array_index(job->folders, uint32_t, i);
	}
	return job->name && strcmp(job->name, name) == 0 ? job->folder : 0;
}

bool memory_watches(const struct store *store, const char *name)
{
	return store->watch && watched_id(store->watch, name) != 0;
}

bool memory_watch_step(struct store *store)
{
	uint64_t count;

	if (!store->watch)
		return true;
	if (read(store->news_fd, &count, sizeof(count)) > 0 && store->news)
		store->sink->changed(store->data, watched_id(store->watch, store->news), true);
	store->news = NULL;
	return !memory.cut_watches;
}

static void wake(struct store *store)
{
	uint64_t one = 1;

	g_assert_cmpint(write(store->news_fd, &one, sizeof(one)), ==, sizeof(one));
}

void memory_tell(const char *name)
{
	pthread_mutex_lock(&memory.lock);
	for (unsigned i = 0; memory.watches && i < memory.watches->len; i++) {
		struct store *store = g_ptr_array_index(memory.watches, i);

		if (!memory_watches(store, name))
			continue;
		store->news = name;
		wake(store);
	}
	pthread_mutex_unlock(&memory.lock);
}

void memory_cut_watches(bool for_good)
{
	pthread_mutex_lock(&memory.lock);
	memory.cut_watches = true;
	for (unsigned i = 0; memory.watches && i < memory.watches->len; i++)
		wake(g_ptr_array_index(memory.watches, i));
	pthread_mutex_unlock(&memory.lock);
	while (memory_count(&memory.watched) > 0)
		g_usleep(1000);
	memory_set(&memory.cut_watches, for_good);
}
