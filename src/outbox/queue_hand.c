/* A message is handed over. */
#include "outbox/queue_private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

bool queue_sync_content(struct queue *queue, struct queue_entry **entry, GError **error)
{
	uint32_t id = (*entry)->file.id;
	unsigned touches = (*entry)->touches;
	int fd = queue_entry_open(queue, *entry, O_RDONLY);
	bool ok;

	if (fd < 0)
		return queue_entry_fail(queue, "sync", *entry, error);
	pthread_mutex_unlock(&queue->lock);
	ok = fsync(fd) == 0;
	pthread_mutex_lock(&queue->lock);
	*entry = queue_entry_find(queue, id);
	/* What was written meanwhile is not much. */
	if (ok && *entry && (*entry)->touches != touches)
		ok = fsync(fd) == 0;
	if (!ok && *entry)
		queue_entry_fail(queue, "sync", *entry, error);
	close(fd);
	return ok || !*entry;
}

bool queue_is_to_hand(const struct queue_entry *entry, const char *name)
{
	const struct queue_file *file = &entry->file;

	return file->step != QUEUE_SENDING && file->step != QUEUE_SENT && file->writers == 0 &&
	       file->size > 0 && queue_name_is_mail(name);
}

static bool read_envelope(struct queue *queue, const struct queue_entry *envelope,
			  struct queue_info *info, GError **error)
{
	g_autofree char *text = NULL;
	char path[QUEUE_PATH_MAX];
	gsize len;

	if (envelope->file.step != QUEUE_DRAFT || !envelope->whole) {
		g_set_error(error, MAILFS_ERROR, ERROR_BUSY, "its envelope is still being written");
		return false;
	}
	queue_path(envelope->file.id, envelope->file.name, path);
	if (!file_read_at(queue->dirs[envelope->dir], path, LIMIT_ENVELOPE, &text, &len, error))
		return false;
	if (strlen(text) != len) {
		g_set_error(error, MAILFS_ERROR, ERROR_REFUSED, "its envelope holds a NUL byte");
		return false;
	}
	/* Others than before. */
	queue_info_take_back(info);
	g_free(info->given);
	info->given = g_steal_pointer(&text);
	return true;
}

bool queue_hand(struct queue *queue, struct queue_entry *entry, const char *name,
		struct queue_entry *replaced, GError **error)
{
	int64_t delay_ms = entry->file.step == QUEUE_FAILED ? 0 : queue->send_delay_ms;
	g_autofree char *beside = g_strdup_printf(".%s.envelope", name);
	struct queue_entry *envelope = queue_entry_named(queue, QUEUE_SPACE_OUTBOX, beside);
	struct queue_info info;
	const struct queue_move move = {.dir = QUEUE_DIR_WAITING,
					.name = name,
					.info = &info,
					.replaced = replaced,
					.envelope = envelope};
	bool ok;

	queue_info_copy(&entry->file.info, &info);
	queue_info_reopen(&info);
	ok = !envelope || read_envelope(queue, envelope, &info, error);
	info.handed_ms = queue_now_ms();
	info.not_before_ms = info.handed_ms + delay_ms;
	ok = ok && queue_move(queue, entry, &move, error);
	queue_info_clear(&info);
	return ok;
}
