/* What those do who write. */
#include "outbox/queue_private.h"

#include "base/error.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

static bool refuse_busy(GError **error)
{
	g_set_error(error, MAILFS_ERROR, ERROR_BUSY, "the message is just being sent");
	return false;
}

static bool refuse_gone(GError **error)
{
	g_set_error(error, MAILFS_ERROR, ERROR_GONE, "it is not in the outbox any more");
	return false;
}

static bool check_name(const char *name, GError **error)
{
	if (queue_name_is_sound(name))
		return true;
	g_set_error(error, MAILFS_ERROR, ERROR_LIMIT, "a name of more than %u bytes, or none",
		    QUEUE_NAME_MAX);
	return false;
}

/* Of what can be removed and renamed; NULL with ERROR_BUSY, ERROR_GONE. */
static struct queue_entry *find_own(struct queue *queue, uint32_t id, GError **error)
{
	struct queue_entry *entry = queue_entry_find(queue, id);

	if (!entry || entry->file.step == QUEUE_SENT) {
		refuse_gone(error);
		return NULL;
	}
	if (entry->file.step == QUEUE_SENDING) {
		refuse_busy(error);
		return NULL;
	}
	return entry;
}

/* --- creating --- */

static bool check_room(struct queue *queue, GError **error)
{
	if (g_hash_table_size(queue->entries) < LIMIT_QUEUE && queue->last_id < UINT32_MAX)
		return true;
	g_set_error(error, MAILFS_ERROR, ERROR_LIMIT, "the outbox holds %u files already",
		    g_hash_table_size(queue->entries));
	return false;
}

/* A descriptor to write to, and -1 if there is such a file. */
static int add_draft(struct queue *queue, uint32_t id, const char *name, struct queue_entry **ret,
		     GError **error)
{
	struct queue_file file = {.id = id, .writers = 1};
	char path[QUEUE_PATH_MAX];
	int fd;

	queue_path(id, name, path);
	fd = openat(queue->dirs[QUEUE_DIR_DRAFT], path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		    0600);
	if (fd < 0) {
		queue_fail(queue, "make", QUEUE_DIR_DRAFT, path, error);
		return -1;
	}
	file.name = g_strdup(name);
	*ret = queue_entry_add(queue, QUEUE_DIR_DRAFT, &file);
	queue_entry_measure(queue, *ret);
	return fd;
}

static uint32_t create(struct queue *queue, const char *name, GError **error)
{
	struct queue_entry *entry;
	int fd;

	if (!check_name(name, error))
		return 0;
	if (queue_entry_named(queue, QUEUE_SPACE_OUTBOX, name)) {
		g_set_error(error, MAILFS_ERROR, ERROR_EXISTS, "the name is taken");
		return 0;
	}
	if (!check_room(queue, error))
		return 0;
	fd = add_draft(queue, queue->last_id + 1, name, &entry, error);
	if (fd < 0)
		return 0;
	close(fd);
	queue->last_id++;
	entry->unclaimed = true;
	return entry->file.id;
}

uint32_t queue_create(struct queue *queue, const char *name, GError **error)
{
	pthread_mutex_lock(&queue->lock);
	uint32_t id = create(queue, name, error);

	pthread_mutex_unlock(&queue->lock);
	return id;
}

/* --- opening --- */

static int open_plain(struct queue *queue, const struct queue_entry *entry, int flags,
		      GError **error)
{
	int fd = queue_entry_open(queue, entry, flags);

	if (fd < 0)
		queue_entry_fail(queue, "open", entry, error);
	return fd;
}

static int open_draft(struct queue *queue, struct queue_entry *entry, GError **error)
{
	int fd = open_plain(queue, entry, O_RDWR, error);

	if (fd < 0)
		return -1;
	if (!entry->unclaimed)
		entry->file.writers++;
	entry->unclaimed = false;
	return fd;
}

/* Whole until it is written to. */
static bool take_back(struct queue *queue, struct queue_entry *entry, const char *name,
		      struct queue_entry *replaced, GError **error)
{
	struct queue_info info;
	const struct queue_move move = {
		.dir = QUEUE_DIR_WHOLE, .name = name, .info = &info, .replaced = replaced};
	bool ok;

	queue_info_copy(&entry->file.info, &info);
	queue_info_take_back(&info);
	ok = queue_move(queue, entry, &move, error);
	queue_info_clear(&info);
	return ok;
}

static int open_waiting(struct queue *queue, struct queue_entry *entry, GError **error)
{
	int fd = open_plain(queue, entry, O_RDWR, error);

	if (fd < 0)
		return -1;
	if (!take_back(queue, entry, entry->file.name, NULL, error)) {
		close(fd);
		return -1;
	}
	entry->file.writers++;
	return fd;
}

/* What was sent may still have to be filed: it stays, under a number of its own. */
static int open_sent(struct queue *queue, struct queue_entry *sent, GError **error)
{
	uint32_t id = sent->file.id;
	struct queue_entry *draft;
	int fd;

	if (queue_entry_named(queue, QUEUE_SPACE_OUTBOX, sent->file.name)) {
		refuse_gone(error);
		return -1;
	}
	if (!check_room(queue, error) || !queue_renumber(queue, sent, queue->last_id + 1, error))
		return -1;
	queue->last_id++;
	fd = add_draft(queue, id, sent->file.name, &draft, error);
	if (fd < 0)
		queue_renumber(queue, sent, id, NULL);
	return fd;
}

static int open_writer(struct queue *queue, struct queue_entry *entry, GError **error)
{
	switch (entry->file.step) {
	case QUEUE_DRAFT:
		return open_draft(queue, entry, error);
	case QUEUE_WAITING:
		return open_waiting(queue, entry, error);
	case QUEUE_SENT:
		return open_sent(queue, entry, error);
	case QUEUE_SENDING:
		refuse_busy(error);
		return -1;
	case QUEUE_FAILED:
		break;
	}
	g_set_error(error, MAILFS_ERROR, ERROR_READ_ONLY,
		    "a message that failed can be moved to be tried again, not written to");
	return -1;
}

int queue_open_file(struct queue *queue, uint32_t id, bool writer, GError **error)
{
	int fd = -1;

	pthread_mutex_lock(&queue->lock);
	struct queue_entry *entry = queue_entry_find(queue, id);

	if (!entry)
		refuse_gone(error);
	else if (writer)
		fd = open_writer(queue, entry, error);
	else
		fd = open_plain(queue, entry, O_RDONLY, error);
	pthread_mutex_unlock(&queue->lock);
	return fd;
}

/* --- writing --- */

static bool touch(struct queue *queue, struct queue_entry *entry, GError **error)
{
	if (entry->file.step != QUEUE_DRAFT)
		return refuse_busy(error);
	entry->touches++;
	if (entry->dir == QUEUE_DIR_WHOLE && !queue_shift(queue, entry, QUEUE_DIR_DRAFT, error))
		return false;
	entry->whole = false;
	return true;
}

bool queue_touch(struct queue *queue, uint32_t id, GError **error)
{
	pthread_mutex_lock(&queue->lock);
	struct queue_entry *entry = queue_entry_find(queue, id);
	bool ok = !entry || touch(queue, entry, error);

	pthread_mutex_unlock(&queue->lock);
	return ok;
}

static bool reset(struct queue *queue, struct queue_entry *entry, GError **error)
{
	struct queue_info info = {0};

	if (!entry->has_info)
		return true;
	if (!queue_info_unlink(queue, entry->file.id))
		return queue_entry_fail(queue, "forget what is on record of", entry, error);
	if (fsync(queue->dirs[QUEUE_DIR_INFO]) != 0) {
		queue_entry_fail(queue, "forget what is on record of", entry, error);
		queue_info_restore(queue, entry, true);
		return false;
	}
	entry->has_info = false;
	queue_entry_become(queue, entry, entry->dir, entry->file.name, &info);
	return true;
}

bool queue_reset(struct queue *queue, uint32_t id, GError **error)
{
	pthread_mutex_lock(&queue->lock);
	struct queue_entry *entry = queue_entry_find(queue, id);
	bool ok = !entry || entry->file.step != QUEUE_DRAFT || reset(queue, entry, error);

	pthread_mutex_unlock(&queue->lock);
	return ok;
}

static bool is_unflushed(const struct queue_entry *entry)
{
	return entry && entry->file.step == QUEUE_DRAFT && !entry->whole;
}

/* What is empty is not to be sent: it need not be moved each time that it is opened. */
static bool flush(struct queue *queue, struct queue_entry *entry, GError **error)
{
	if (!is_unflushed(entry))
		return true;
	if (!queue_sync_content(queue, &entry, error))
		return false;
	if (!is_unflushed(entry))
		return true;
	queue_entry_measure(queue, entry);
	if (entry->file.size > 0) {
		if (!queue_shift(queue, entry, QUEUE_DIR_WHOLE, error))
			return false;
	} else if (fsync(queue->dirs[entry->dir]) != 0) {
		return queue_entry_fail(queue, "sync", entry, error);
	}
	entry->whole = true;
	return true;
}

bool queue_flush(struct queue *queue, uint32_t id, GError **error)
{
	pthread_mutex_lock(&queue->lock);
	bool ok = flush(queue, queue_entry_find(queue, id), error);

	pthread_mutex_unlock(&queue->lock);
	return ok;
}

/* --- closing --- */

static bool is_left_to_hand(const struct queue_entry *entry)
{
	return entry && entry->file.step == QUEUE_DRAFT &&
	       queue_is_to_hand(entry, entry->file.name);
}

static bool hand_closed(struct queue *queue, struct queue_entry *entry, bool *ret_handed,
			GError **error)
{
	if (!entry->whole && !queue_sync_content(queue, &entry, error))
		return false;
	if (!is_left_to_hand(entry))
		return true;
	queue_entry_measure(queue, entry);
	if (!queue_hand(queue, entry, entry->file.name, NULL, error))
		return false;
	*ret_handed = true;
	return true;
}

/* The disk is full, or broken: later perhaps. What is wrong with the mail itself stays so. */
static void note_unhanded(struct queue *queue, uint32_t id, const GError *error)
{
	struct queue_entry *entry = queue_entry_find(queue, id);

	if (!is_left_to_hand(entry) || (!g_error_matches(error, MAILFS_ERROR, ERROR_IO) &&
					!g_error_matches(error, MAILFS_ERROR, ERROR_NO_SPACE)))
		return;
	entry->unhanded = queue->unhanded = true;
}

static bool try_again(struct queue *queue, struct queue_entry *entry)
{
	bool handed = false;

	entry->unhanded = false;
	if (!is_left_to_hand(entry))
		return true;
	entry->unhanded = !hand_closed(queue, entry, &handed, NULL);
	return !entry->unhanded;
}

static struct queue_entry *first_unhanded(struct queue *queue, uint32_t after)
{
	GTreeNode *node = g_tree_node_first(queue->steps[QUEUE_DRAFT]);

	for (; node; node = g_tree_node_next(node)) {
		struct queue_entry *entry = g_tree_node_value(node);

		if (entry->unhanded && entry->file.id > after)
			return entry;
	}
	return NULL;
}

unsigned queue_hand_left(struct queue *queue)
{
	struct queue_entry *entry;
	unsigned left = 0;
	uint32_t id = 0;

	pthread_mutex_lock(&queue->lock);
	while (queue->unhanded && (entry = first_unhanded(queue, id))) {
		id = entry->file.id;
		left += !try_again(queue, entry);
	}
	queue->unhanded = left > 0;
	pthread_mutex_unlock(&queue->lock);
	return left;
}

static bool close_writer(struct queue *queue, uint32_t id, bool abandoned, bool *ret_handed,
			 GError **error)
{
	GError *why = NULL;
	bool handed = false;

	pthread_mutex_lock(&queue->lock);
	struct queue_entry *entry = queue_entry_find(queue, id);

	if (entry && entry->file.writers > 0) {
		queue_entry_measure(queue, entry);
		entry->file.writers--;
		entry->unclaimed = false;
		if (is_left_to_hand(entry) && (entry->whole || !abandoned) &&
		    !hand_closed(queue, entry, &handed, &why))
			note_unhanded(queue, id, why);
	}
	pthread_mutex_unlock(&queue->lock);
	if (!why)
		*ret_handed = handed;
	else
		g_propagate_error(error, why);
	return !why;
}

bool queue_close_file(struct queue *queue, uint32_t id, bool writer, bool *ret_handed,
		      GError **error)
{
	if (writer)
		return close_writer(queue, id, false, ret_handed, error);
	*ret_handed = false;
	return true;
}

bool queue_abandon(struct queue *queue, uint32_t id, bool *ret_handed, GError **error)
{
	return close_writer(queue, id, true, ret_handed, error);
}

/* --- names --- */

static bool move_plain(struct queue *queue, struct queue_entry *entry, const char *name,
		       struct queue_entry *replaced, GError **error)
{
	const struct queue_move move = {
		.dir = entry->dir, .name = name, .info = &entry->file.info, .replaced = replaced};

	return queue_move(queue, entry, &move, error);
}

static bool has_name(const struct queue_entry *entry, const char *name)
{
	return entry->file.step != QUEUE_FAILED && strcmp(entry->file.name, name) == 0;
}

static bool rename_locked(struct queue *queue, uint32_t id, const char *name, bool *ret_handed,
			  GError **error)
{
	struct queue_entry *entry = find_own(queue, id, error);
	struct queue_entry *replaced = queue_entry_named(queue, QUEUE_SPACE_OUTBOX, name);

	if (!entry)
		return false;
	if (has_name(entry, name) && entry->file.step == QUEUE_WAITING)
		return true;
	if (replaced == entry)
		replaced = NULL;
	if (replaced && replaced->file.step == QUEUE_SENDING)
		return refuse_busy(error);
	if (queue_is_to_hand(entry, name)) {
		*ret_handed = queue_hand(queue, entry, name, replaced, error);
		return *ret_handed;
	}
	if (entry->file.step != QUEUE_DRAFT)
		return take_back(queue, entry, name, replaced, error);
	return has_name(entry, name) || move_plain(queue, entry, name, replaced, error);
}

bool queue_rename(struct queue *queue, uint32_t id, const char *name, bool *ret_handed,
		  GError **error)
{
	bool handed = false, ok;

	if (!check_name(name, error))
		return false;
	pthread_mutex_lock(&queue->lock);
	struct queue_entry *entry = queue_entry_find(queue, id);

	ok = true;
	if (is_unflushed(entry) && queue_is_to_hand(entry, name))
		ok = queue_sync_content(queue, &entry, error);
	ok = ok && rename_locked(queue, id, name, &handed, error);
	pthread_mutex_unlock(&queue->lock);
	if (ok)
		*ret_handed = handed;
	return ok;
}

bool queue_remove(struct queue *queue, uint32_t id, GError **error)
{
	pthread_mutex_lock(&queue->lock);
	struct queue_entry *entry = find_own(queue, id, error);
	bool ok = entry && queue_drop(queue, entry, error);

	pthread_mutex_unlock(&queue->lock);
	return ok;
}

static bool set_mtime(struct queue *queue, struct queue_entry *entry, int64_t mtime_ns,
		      GError **error)
{
	/* Before 1970, too. */
	int64_t rest_ns = (mtime_ns % NS_PER_S + NS_PER_S) % NS_PER_S;
	const struct timespec time = {.tv_sec = (mtime_ns - rest_ns) / NS_PER_S,
				      .tv_nsec = rest_ns};
	const struct timespec times[] = {time, time};
	char path[QUEUE_PATH_MAX];

	queue_path(entry->file.id, entry->file.name, path);
	if (utimensat(queue->dirs[entry->dir], path, times, AT_SYMLINK_NOFOLLOW) != 0)
		return queue_entry_fail(queue, "set the time of", entry, error);
	queue_entry_measure(queue, entry);
	return true;
}

bool queue_set_mtime(struct queue *queue, uint32_t id, int64_t mtime_ns, GError **error)
{
	pthread_mutex_lock(&queue->lock);
	struct queue_entry *entry = queue_entry_find(queue, id);
	bool ok = entry ? set_mtime(queue, entry, mtime_ns, error) : refuse_gone(error);

	pthread_mutex_unlock(&queue->lock);
	return ok;
}
