/* What the submitter does. */
#include "outbox/queue_private.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* No try is put off for longer: if it is, the clock was set back. */
#define WAIT_MAX_MS (60 * 60 * 1000)
/* When what cannot be opened or written is tried again. */
#define TROUBLE_MS (60 * 1000)

/* --- taking --- */

static bool is_due(const struct queue *queue, const struct queue_entry *entry, int64_t now_ms,
		   bool hurry)
{
	const struct queue_info *info = &entry->file.info;

	return (hurry && info->tries == 0 && info->error == 0) || info->not_before_ms <= now_ms ||
	       info->not_before_ms - now_ms > WAIT_MAX_MS + queue->send_delay_ms;
}

/* The first that is due; else, in `*next_ms`, when one will be. */
static struct queue_entry *find_due(struct queue *queue, int64_t now_ms, bool hurry,
				    int64_t *next_ms)
{
	GTreeNode *node = g_tree_node_first(queue->steps[QUEUE_WAITING]);

	for (; node; node = g_tree_node_next(node)) {
		struct queue_entry *entry = g_tree_node_value(node);

		if (entry->file.running || entry->file.writers > 0)
			continue;
		if (is_due(queue, entry, now_ms, hurry))
			return entry;
		*next_ms = MIN(*next_ms, entry->file.info.not_before_ms);
	}
	return NULL;
}

static struct queue_entry *find_oldest(struct queue *queue)
{
	GTreeNode *node = g_tree_node_first(queue->steps[QUEUE_WAITING]);
	struct queue_entry *oldest = NULL;

	for (; node; node = g_tree_node_next(node)) {
		struct queue_entry *entry = g_tree_node_value(node);

		if (entry->file.running || entry->file.writers > 0)
			continue;
		if (!oldest || entry->file.info.handed_ms < oldest->file.info.handed_ms)
			oldest = entry;
	}
	return oldest;
}

/* What cannot be read is left for later; what is not there any more is forgotten. */
static void set_aside(struct queue *queue, struct queue_entry *entry, int64_t now_ms)
{
	int number = errno;

	log_error("cannot open '%s/%s/%u': %s", queue->path, queue_dir_names[entry->dir],
		  entry->file.id, g_strerror(number));
	entry->file.info.not_before_ms = now_ms + TROUBLE_MS;
	/* With `hurry`, too. */
	entry->file.info.tries++;
	if (number == ENOENT)
		queue_drop(queue, entry, NULL);
}

static void hand_out(struct queue_entry *entry, struct queue_file *ret)
{
	entry->file.running = true;
	queue_file_copy(&entry->file, ret);
}

bool queue_take(struct queue *queue, int64_t now_ms, bool hurry, struct queue_file *ret,
		int *ret_fd, int64_t *ret_next_ms)
{
	int64_t next_ms = INT64_MAX;
	struct queue_entry *entry;
	int fd = -1;

	pthread_mutex_lock(&queue->lock);
	while ((entry = find_due(queue, now_ms, hurry, &next_ms))) {
		fd = queue_entry_open(queue, entry, O_RDONLY);
		if (fd >= 0)
			break;
		set_aside(queue, entry, now_ms);
		next_ms = INT64_MAX;
	}
	if (entry) {
		hand_out(entry, ret);
		*ret_fd = fd;
	} else {
		*ret_next_ms = next_ms;
	}
	pthread_mutex_unlock(&queue->lock);
	return entry;
}

bool queue_take_old(struct queue *queue, int64_t handed_ms, struct queue_file *ret,
		    int64_t *ret_oldest_ms)
{
	struct queue_entry *entry;
	bool old;

	pthread_mutex_lock(&queue->lock);
	entry = find_oldest(queue);
	old = entry && entry->file.info.handed_ms <= handed_ms;
	if (old)
		hand_out(entry, ret);
	else
		*ret_oldest_ms = entry ? entry->file.info.handed_ms : INT64_MAX;
	pthread_mutex_unlock(&queue->lock);
	return old;
}

void queue_hurry(struct queue *queue, uint32_t id)
{
	pthread_mutex_lock(&queue->lock);
	struct queue_entry *entry = queue_entry_find(queue, id);

	if (entry && entry->file.step == QUEUE_WAITING && entry->file.info.tries == 0 &&
	    entry->file.info.error == 0)
		entry->file.info.not_before_ms = 0;
	pthread_mutex_unlock(&queue->lock);
}

/* --- verdicts --- */

static struct queue_entry *find_running(struct queue *queue, uint32_t id)
{
	struct queue_entry *entry = queue_entry_find(queue, id);

	return entry && entry->file.running ? entry : NULL;
}

static bool refuse_gone(GError **error)
{
	g_set_error(error, MAILFS_ERROR, ERROR_GONE, "the message was taken back");
	return false;
}

/* What is filed already, somebody else has put on record. */
static void adopt(const struct queue_entry *entry, const struct queue_file *file,
		  struct queue_info *ret)
{
	queue_info_copy(&file->info, ret);
	if (entry->file.info.copy != QUEUE_COPY_FILED)
		return;
	ret->copy = QUEUE_COPY_FILED;
	g_free(ret->copy_name);
	ret->copy_name = g_strdup(entry->file.info.copy_name);
}

/* It stays in hand. */
static bool commit(struct queue *queue, const struct queue_file *file, GError **error)
{
	struct queue_entry *entry = find_running(queue, file->id);
	struct queue_info info;
	bool ok;

	if (!entry)
		return refuse_gone(error);
	adopt(entry, file, &info);

	const struct queue_move move = {
		.dir = QUEUE_DIR_SENDING, .name = entry->file.name, .info = &info};

	ok = queue_move(queue, entry, &move, error);
	entry->file.running = true;
	queue_info_clear(&info);
	return ok;
}

bool queue_commit(struct queue *queue, const struct queue_file *file, GError **error)
{
	pthread_mutex_lock(&queue->lock);
	bool ok = commit(queue, file, error);

	pthread_mutex_unlock(&queue->lock);
	return ok;
}

static enum queue_dir dir_of(enum queue_step step)
{
	if (step == QUEUE_SENT)
		return QUEUE_DIR_SENT;
	return step == QUEUE_FAILED ? QUEUE_DIR_FAILED : QUEUE_DIR_WAITING;
}

/* The disk does not take it: the memory knows at least what happened to whom, and what was not sent
 * yet is not tried again at once. */
static void keep_in_memory(struct queue *queue, struct queue_entry *entry, struct queue_info *info,
			   enum queue_step step)
{
	int64_t later_ms = queue_now_ms() + TROUBLE_MS;

	info->not_before_ms = MAX(info->not_before_ms, later_ms);
	info->tries = MAX(info->tries, 1);
	queue_entry_become(queue, entry, entry->dir, entry->file.name, info);
	entry->unended = entry->file.step == QUEUE_SENDING;
	entry->ends = step;
}

static bool end(struct queue *queue, struct queue_entry *entry, struct queue_info *info,
		enum queue_step step, GError **error)
{
	g_autofree char *name =
		step == QUEUE_FAILED ? queue_name_free(queue, QUEUE_SPACE_FAILED, entry->file.name)
				     : g_strdup(entry->file.name);
	const struct queue_move move = {.dir = dir_of(step),
					.name = name,
					.info = info,
					.sent_ms = step == QUEUE_SENT ? queue_now_ms() : 0};
	bool ok = queue_move(queue, entry, &move, error);

	if (!ok)
		keep_in_memory(queue, entry, info, step);
	return ok;
}

static bool finish(struct queue *queue, struct queue_entry *entry, const struct queue_file *file,
		   enum queue_step step, GError **error)
{
	struct queue_info info;
	bool ok;

	adopt(entry, file, &info);
	ok = end(queue, entry, &info, step, error);
	queue_info_clear(&info);
	return ok;
}

bool queue_finish(struct queue *queue, const struct queue_file *file, enum queue_step step,
		  GError **error)
{
	pthread_mutex_lock(&queue->lock);
	struct queue_entry *entry = find_running(queue, file->id);
	bool ok = !entry || finish(queue, entry, file, step, error);

	pthread_mutex_unlock(&queue->lock);
	return ok;
}

static bool end_again(struct queue *queue, struct queue_entry *entry)
{
	struct queue_info info;
	bool ok;

	queue_info_copy(&entry->file.info, &info);
	ok = end(queue, entry, &info, entry->ends, NULL);
	queue_info_clear(&info);
	return ok;
}

/* Also after the clock was set back. */
static bool is_to_end(const struct queue_entry *entry, int64_t now_ms)
{
	int64_t left_ms = entry->file.info.not_before_ms - now_ms;

	return left_ms <= 0 || left_ms > WAIT_MAX_MS;
}

bool queue_end_left(struct queue *queue, int64_t now_ms, int64_t *ret_next_ms)
{
	int64_t next_ms = INT64_MAX;
	GTreeNode *node, *next;
	bool ended = false;

	pthread_mutex_lock(&queue->lock);
	for (node = g_tree_node_first(queue->steps[QUEUE_SENDING]); node; node = next) {
		struct queue_entry *entry = g_tree_node_value(node);

		next = g_tree_node_next(node);
		if (!entry->unended)
			continue;
		if (is_to_end(entry, now_ms) && end_again(queue, entry))
			ended = true;
		else
			next_ms = MIN(next_ms, entry->file.info.not_before_ms);
	}
	pthread_mutex_unlock(&queue->lock);
	*ret_next_ms = next_ms;
	return ended;
}

/* --- what is left to do behind it --- */

static uint32_t find_copy(struct queue *queue, enum queue_step step)
{
	GTreeNode *node = g_tree_node_first(queue->steps[step]);

	for (; node; node = g_tree_node_next(node)) {
		const struct queue_entry *entry = g_tree_node_value(node);

		if (entry->file.info.copy == QUEUE_COPY_WANTED && !entry->file.running)
			return entry->file.id;
	}
	return 0;
}

uint32_t queue_next_copy(struct queue *queue)
{
	static const enum queue_step steps[] = {QUEUE_SENT, QUEUE_FAILED, QUEUE_WAITING};
	uint32_t id = 0;

	pthread_mutex_lock(&queue->lock);
	for (size_t i = 0; queue->copies > 0 && id == 0 && i < G_N_ELEMENTS(steps); i++)
		id = find_copy(queue, steps[i]);
	pthread_mutex_unlock(&queue->lock);
	return id;
}

/* What has its number now may be another. */
static struct queue_entry *find_same(struct queue *queue, const struct queue_file *file)
{
	struct queue_entry *entry = queue_entry_find(queue, file->id);

	return entry && entry->file.serial == file->serial ? entry : NULL;
}

bool queue_has(struct queue *queue, const struct queue_file *file)
{
	pthread_mutex_lock(&queue->lock);
	bool has = find_same(queue, file) != NULL;

	pthread_mutex_unlock(&queue->lock);
	return has;
}

int queue_read(struct queue *queue, const struct queue_file *file)
{
	pthread_mutex_lock(&queue->lock);
	struct queue_entry *entry = find_same(queue, file);
	int fd = entry ? queue_entry_open(queue, entry, O_RDONLY) : -1;

	pthread_mutex_unlock(&queue->lock);
	return fd;
}

static bool set_copy(struct queue *queue, struct queue_entry *entry, enum queue_copy copy,
		     const char *name, GError **error)
{
	bool running = entry->file.running, ok;
	struct queue_info info;
	const struct queue_move move = {.dir = entry->dir,
					.name = entry->file.name,
					.info = &info,
					.sent_ms = entry->sent_ms};

	queue_info_copy(&entry->file.info, &info);
	info.copy = copy;
	g_free(info.copy_name);
	info.copy_name = g_strdup(name);
	ok = queue_move(queue, entry, &move, error);
	entry->file.running = running;
	queue_info_clear(&info);
	return ok;
}

bool queue_set_copy(struct queue *queue, const struct queue_file *file, enum queue_copy copy,
		    const char *name, GError **error)
{
	pthread_mutex_lock(&queue->lock);
	struct queue_entry *entry = find_same(queue, file);
	bool wanted = entry && entry->file.info.copy == QUEUE_COPY_WANTED;
	bool ok = wanted ? set_copy(queue, entry, copy, name, error) : refuse_gone(error);

	pthread_mutex_unlock(&queue->lock);
	return ok;
}

void queue_retry(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	GTreeNode *node = g_tree_node_first(queue->steps[QUEUE_WAITING]);

	for (; node; node = g_tree_node_next(node)) {
		struct queue_entry *entry = g_tree_node_value(node);

		entry->file.info.not_before_ms = 0;
	}
	pthread_mutex_unlock(&queue->lock);
}

/* Also after the clock was set back. */
static bool is_expired(const struct queue_entry *entry, int64_t now_ms)
{
	return entry->sent_ms <= now_ms - QUEUE_SENT_MS || entry->sent_ms > now_ms + QUEUE_SENT_MS;
}

static void expire(struct queue *queue, struct queue_entry *entry)
{
	g_autoptr(GError) error = NULL;

	if (!queue_drop(queue, entry, &error))
		log_warning("%s", error->message);
}

int64_t queue_expire(struct queue *queue, int64_t now_ms)
{
	int64_t next_ms = INT64_MAX;
	GTreeNode *node, *next;

	pthread_mutex_lock(&queue->lock);
	for (node = g_tree_node_first(queue->steps[QUEUE_SENT]); node; node = next) {
		struct queue_entry *entry = g_tree_node_value(node);

		next = g_tree_node_next(node);
		if (entry->file.info.copy == QUEUE_COPY_WANTED)
			continue;
		if (is_expired(entry, now_ms))
			expire(queue, entry);
		else
			next_ms = MIN(next_ms, entry->sent_ms + QUEUE_SENT_MS);
	}
	pthread_mutex_unlock(&queue->lock);
	return next_ms;
}
