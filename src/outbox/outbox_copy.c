/* Copies of what was sent, for the \Sent folder. That they cannot be filed never sends anything
 * again. */
#include "outbox/outbox_private.h"

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

#include <unistd.h>

#define AGAIN_MS 10000

/* False: not now. */
static bool set_filed(struct outbox *outbox, const struct queue_file *file)
{
	g_autoptr(GError) error = NULL;

	if (queue_set_copy(outbox->queue, file, QUEUE_COPY_FILED, NULL, &error) ||
	    g_error_matches(error, MAILFS_ERROR, ERROR_GONE))
		return true;
	log_error("%s: %s", outbox->config.account->name, error->message);
	return false;
}

static bool compose_copy(struct outbox *outbox, const struct queue_file *file, int fd,
			 GError **error)
{
	struct envelope_config config = {.from = outbox->from,
					 .given = file->info.given,
					 .message_id = file->info.message_id,
					 .date_s = file->info.date_s};
	struct envelope envelope;
	struct compose *text;
	bool filed;

	if (!envelope_read(fd, &config, &envelope, error))
		return false;
	text = compose_new(fd, &envelope, COMPOSE_FILING);
	filed = outbox->events->file_copy(outbox->data, outbox->queue, file, text, error);
	compose_free(&text);
	envelope_clear(&envelope);
	return filed;
}

/* False: not now. */
static bool file_one(struct outbox *outbox, const struct queue_file *file)
{
	g_autofree char *name = text_clean(file->name, -1, QUEUE_NAME_MAX);
	g_autoptr(GError) error = NULL;
	int fd = queue_read(outbox->queue, file);
	bool filed = fd >= 0 && compose_copy(outbox, file, fd, &error);

	if (fd >= 0)
		close(fd);
	outbox->copy_waits &= !filed;
	if (filed || fd < 0)
		return set_filed(outbox, file);
	/* Written to anew meanwhile: the next turn finds it under another number. */
	if (!queue_has(outbox->queue, file))
		return true;
	if (g_error_matches(error, MAILFS_ERROR, ERROR_TEMPORARY) ||
	    g_error_matches(error, MAILFS_ERROR, ERROR_NO_SPACE)) {
		if (!outbox->copy_waits)
			log_info("%s: the copy of %s waits: %s", outbox->config.account->name, name,
				 error->message);
		outbox->copy_waits = true;
		return false;
	}
	log_warning("%s: no copy of %s is kept: %s", outbox->config.account->name, name,
		    error->message);
	return set_filed(outbox, file);
}

bool outbox_has_copies(struct outbox *outbox)
{
	return outbox->now_ms >= outbox->copy_ms && queue_next_copy(outbox->queue) != 0;
}

int64_t outbox_file_copies(struct outbox *outbox)
{
	int64_t expire_ms = queue_expire(outbox->queue, outbox->wall_ms);
	int64_t next_ms =
		expire_ms == INT64_MAX ? INT64_MAX : outbox->now_ms + (expire_ms - outbox->wall_ms);
	struct queue_file file;

	if (outbox->now_ms < outbox->copy_ms)
		return MIN(next_ms, outbox->copy_ms);
	/* One a turn: nothing else waits for all of them. */
	if (!queue_get(outbox->queue, queue_next_copy(outbox->queue), &file))
		return next_ms;
	if (!file_one(outbox, &file))
		outbox->copy_ms = outbox->now_ms + AGAIN_MS;
	queue_file_clear(&file);
	return MIN(next_ms, MAX(outbox->copy_ms, outbox->now_ms));
}
