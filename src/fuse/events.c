#include "fuse/private.h"

/* What the engine tells, in its thread. Only what the kernel knows is worth telling it. */

static void event_settled(void *data, const struct need *need, int error)
{
	const struct mount *mount = data;

	park_settled(mount->park, need, error);
}

static void event_folder_changed(void *data, uint32_t folder)
{
	const struct mount *mount = data;
	uint64_t node = tree_folder_node(folder);

	/* The root is never looked up. */
	if (folder == INDEX_ROOT || known_may_have(mount->known, node))
		notify_attr(mount->notify, node);
	node = tree_deleted_node(folder);
	if (known_may_have(mount->known, node))
		notify_attr(mount->notify, node);
}

static void event_folder_gone(void *data, uint32_t folder, uint32_t parent, const char *leaf)
{
	const struct mount *mount = data;
	uint64_t node = tree_folder_node(folder);

	if (!known_may_have(mount->known, node))
		return;
	notify_name(mount->notify, tree_folder_node(parent), tree_folder_name(parent, leaf), node);
	notify_attr(mount->notify, node);
}

/* Its attributes stay: who has it open reads on. Its number alone, and its names in the view of
 * deleted messages, are never kept (entry_timeout()). */
static void event_message_gone(void *data, uint32_t folder, uint32_t epoch, uint32_t uid,
			       const char *label, const char *token, const char *chosen)
{
	const struct mount *mount = data;
	uint64_t parent = tree_folder_node(folder);
	uint64_t node = tree_message_node(epoch, uid);

	if (!known_may_have(mount->known, node))
		return;
	notify_name(mount->notify, parent, tree_message_name(mount->tree, uid, label, token), node);
	if (chosen)
		notify_name(mount->notify, parent, g_strdup(chosen), node);
}

static void event_name_changed(void *data, uint32_t folder, const char *name)
{
	const struct mount *mount = data;

	notify_name(mount->notify, tree_folder_node(folder), g_strdup(name), 0);
}

/* Only what it knows has a place for pages. */
static void event_body_ahead(void *data, uint32_t epoch, uint32_t uid, uint64_t size)
{
	const struct mount *mount = data;
	uint64_t node = tree_message_node(epoch, uid);

	if (known_has(mount->known, node))
		notify_pages(mount->notify, node, size);
}

static void event_message_changed(void *data, uint32_t epoch, uint32_t uid)
{
	const struct mount *mount = data;
	uint64_t node = tree_message_node(epoch, uid);

	if (known_may_have(mount->known, node))
		notify_attr(mount->notify, node);
}

/* Their names may stand for other messages now. With the attributes dropped the kernel asks, hears
 * ESTALE, and looks the name up again. */
static void event_epoch_gone(void *data, uint32_t folder, uint32_t epoch)
{
	const struct mount *mount = data;

	notify_siblings(mount->notify, tree_message_node(epoch, 1));
	event_folder_changed(data, folder);
}

/* Before anything is mounted, nothing waits. */
static struct outbox *outbox_of(struct mount *mount)
{
	struct outbox *outbox;

	pthread_mutex_lock(&mount->mutex);
	outbox = mount->state == MOUNT_NEW ? NULL : mount->outbox;
	pthread_mutex_unlock(&mount->mutex);
	return outbox;
}

static void event_online(void *data)
{
	struct outbox *outbox = outbox_of(data);

	if (outbox)
		outbox_online(outbox);
}

static void event_news(void *data, const struct engine_news *news)
{
	tell_news(data, news);
}

const struct engine_events events_table = {
	.settled = event_settled,
	.folder_changed = event_folder_changed,
	.folder_gone = event_folder_gone,
	.message_gone = event_message_gone,
	.name_changed = event_name_changed,
	.body_ahead = event_body_ahead,
	.message_changed = event_message_changed,
	.epoch_gone = event_epoch_gone,
	.online = event_online,
	.news = event_news,
};

/* --- what the outbox tells, in its thread --- */

static void outbox_settled(void *data, uint32_t id, int error)
{
	const struct mount *mount = data;
	struct need need = {.kind = NEED_OUTBOX, .uid = id};

	park_settled(mount->park, &need, error);
}

static void outbox_listing_changed(void *data)
{
	const struct mount *mount = data;

	for (int failed = 0; failed <= 1; failed++) {
		uint64_t node = tree_outbox_node(failed);

		if (known_has(mount->known, node))
			notify_attr(mount->notify, node);
	}
}

static void outbox_verdict(void *data, const char *name, bool sent, const char *why)
{
	tell_verdict(data, name, sent, why);
}

static bool outbox_file_copy(void *data, struct queue *queue, const struct queue_file *file,
			     struct compose *text, GError **error)
{
	const struct mount *mount = data;

	return engine_file_sent(mount->engine, queue, file, text, error);
}

static bool outbox_wants_copies(void *data)
{
	const struct mount *mount = data;

	return engine_wants_copies(mount->engine);
}

const struct outbox_events outbox_events_table = {
	.settled = outbox_settled,
	.changed = outbox_listing_changed,
	.verdict = outbox_verdict,
	.file_copy = outbox_file_copy,
	.wants_copies = outbox_wants_copies,
};
