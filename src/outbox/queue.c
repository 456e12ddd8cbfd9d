#include "outbox/queue_private.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* --- life --- */

static bool open_dirs(struct queue *queue, GError **error)
{
	int top = open(queue->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool ok = top >= 0;

	for (int dir = 0; ok && dir < QUEUE_DIRS; dir++) {
		queue->dirs[dir] = file_open_dir_at(top, queue_dir_names[dir]);
		ok = queue->dirs[dir] >= 0;
	}
	/* The new ones. */
	ok = ok && fsync(top) == 0;
	if (!ok)
		file_fail("open the directories of", queue->path, error);
	if (top >= 0)
		close(top);
	return ok;
}

struct queue *queue_open(const char *dir, int64_t send_delay_ms, GError **error)
{
	struct queue *queue;

	if (!file_make_private_dir(dir, error))
		return NULL;
	queue = g_new0(struct queue, 1);
	queue->path = g_strdup(dir);
	queue->send_delay_ms = send_delay_ms;
	for (int i = 0; i < QUEUE_DIRS; i++)
		queue->dirs[i] = -1;
	queue_memory_init(queue);
	if (!open_dirs(queue, error) || !queue_recover(queue, error))
		queue_close(&queue);
	return queue;
}

void queue_close(struct queue **queue)
{
	if (!*queue)
		return;
	for (int dir = 0; dir < QUEUE_DIRS; dir++) {
		if ((*queue)->dirs[dir] >= 0)
			close((*queue)->dirs[dir]);
	}
	queue_memory_clear(*queue);
	g_free((*queue)->path);
	g_clear_pointer(queue, g_free);
}

/* --- looking --- */

/* Who writes does not tell how much. */
static void give(struct queue *queue, struct queue_entry *entry, struct queue_file *ret)
{
	if (entry->file.writers > 0)
		queue_entry_measure(queue, entry);
	queue_file_copy(&entry->file, ret);
}

bool queue_get(struct queue *queue, uint32_t id, struct queue_file *ret)
{
	pthread_mutex_lock(&queue->lock);
	struct queue_entry *entry = queue_entry_find(queue, id);

	if (entry)
		give(queue, entry, ret);
	pthread_mutex_unlock(&queue->lock);
	return entry;
}

bool queue_find(struct queue *queue, bool failed, const char *name, struct queue_file *ret)
{
	enum queue_space space = failed ? QUEUE_SPACE_FAILED : QUEUE_SPACE_OUTBOX;

	pthread_mutex_lock(&queue->lock);
	struct queue_entry *entry = queue_entry_named(queue, space, name);

	if (!entry && !failed)
		entry = queue_entry_named(queue, QUEUE_SPACE_SENT, name);
	if (entry)
		give(queue, entry, ret);
	pthread_mutex_unlock(&queue->lock);
	return entry;
}

static void list_step(struct queue *queue, enum queue_step step, GPtrArray *files)
{
	GTreeNode *node = g_tree_node_first(queue->steps[step]);

	for (; node; node = g_tree_node_next(node)) {
		struct queue_file *file = g_new(struct queue_file, 1);

		give(queue, g_tree_node_value(node), file);
		g_ptr_array_add(files, file);
	}
}

static gint by_id(gconstpointer a, gconstpointer b)
{
	const struct queue_file *one = *(struct queue_file *const *)a;
	const struct queue_file *other = *(struct queue_file *const *)b;

	return one->id < other->id ? -1 : one->id > other->id;
}

GPtrArray *queue_list(struct queue *queue, bool failed)
{
	GPtrArray *files = g_ptr_array_new_with_free_func(queue_file_free);

	pthread_mutex_lock(&queue->lock);
	if (failed) {
		list_step(queue, QUEUE_FAILED, files);
	} else {
		list_step(queue, QUEUE_DRAFT, files);
		list_step(queue, QUEUE_WAITING, files);
		list_step(queue, QUEUE_SENDING, files);
	}
	pthread_mutex_unlock(&queue->lock);
	g_ptr_array_sort(files, by_id);
	return files;
}

int64_t queue_touched_ns(struct queue *queue, bool failed)
{
	pthread_mutex_lock(&queue->lock);
	int64_t touched_ns = queue->touched_ns[failed];

	pthread_mutex_unlock(&queue->lock);
	return touched_ns;
}

unsigned queue_pending(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	int pending = g_tree_nnodes(queue->steps[QUEUE_WAITING]) +
		      g_tree_nnodes(queue->steps[QUEUE_SENDING]);

	pthread_mutex_unlock(&queue->lock);
	return (unsigned)pending;
}

static bool step_all(struct queue *queue, enum queue_step step, queue_check_fn check, void *data)
{
	GTreeNode *node = g_tree_node_first(queue->steps[step]);

	for (; node; node = g_tree_node_next(node)) {
		const struct queue_entry *entry = g_tree_node_value(node);

		if (!check(data, &entry->file))
			return false;
	}
	return true;
}

bool queue_pending_all(struct queue *queue, queue_check_fn check, void *data)
{
	pthread_mutex_lock(&queue->lock);
	bool all = step_all(queue, QUEUE_SENDING, check, data) &&
		   step_all(queue, QUEUE_WAITING, check, data);

	pthread_mutex_unlock(&queue->lock);
	return all;
}

static bool is_closing(const struct queue_entry *entry)
{
	return entry->file.writers > 0 && entry->whole && entry->file.size > 0 &&
	       queue_entry_is_mail(entry);
}

unsigned queue_closing(struct queue *queue)
{
	unsigned count = 0;

	pthread_mutex_lock(&queue->lock);
	GTreeNode *node = g_tree_node_first(queue->steps[QUEUE_DRAFT]);

	for (; node; node = g_tree_node_next(node))
		count += is_closing(g_tree_node_value(node));
	pthread_mutex_unlock(&queue->lock);
	return count;
}
