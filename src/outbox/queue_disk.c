#include "outbox/queue_private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *const queue_dir_names[QUEUE_DIRS] = {
	[QUEUE_DIR_DRAFT] = "draft",	 [QUEUE_DIR_WHOLE] = "whole",
	[QUEUE_DIR_WAITING] = "waiting", [QUEUE_DIR_SENDING] = "sending",
	[QUEUE_DIR_SENT] = "sent",	 [QUEUE_DIR_FAILED] = "failed",
	[QUEUE_DIR_INFO] = "info",
};

void queue_path(uint32_t id, const char *name, char ret[QUEUE_PATH_MAX])
{
	g_snprintf(ret, QUEUE_PATH_MAX, "%u.%s", id, name);
}

bool queue_fail(struct queue *queue, const char *verb, enum queue_dir dir, const char *name,
		GError **error)
{
	int number = errno;
	g_autofree char *path = g_build_filename(queue->path, queue_dir_names[dir], name, NULL);

	errno = number;
	return file_fail(verb, path, error);
}

bool queue_entry_fail(struct queue *queue, const char *verb, const struct queue_entry *entry,
		      GError **error)
{
	char path[QUEUE_PATH_MAX];

	queue_path(entry->file.id, entry->file.name, path);
	return queue_fail(queue, verb, entry->dir, path, error);
}

int queue_entry_open(struct queue *queue, const struct queue_entry *entry, int flags)
{
	char path[QUEUE_PATH_MAX];

	queue_path(entry->file.id, entry->file.name, path);
	return openat(queue->dirs[entry->dir], path, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* --- one step, and back; false with errno --- */

static bool rename_file(struct queue *queue, uint32_t id, enum queue_dir from, const char *name,
			enum queue_dir to, const char *new_name)
{
	char old[QUEUE_PATH_MAX], new[QUEUE_PATH_MAX];

	queue_path(id, name, old);
	queue_path(id, new_name, new);
	return renameat(queue->dirs[from], old, queue->dirs[to], new) == 0;
}

static bool sync_dirs(struct queue *queue, enum queue_dir to, enum queue_dir from)
{
	return fsync(queue->dirs[to]) == 0 && (to == from || fsync(queue->dirs[from]) == 0);
}

/* Also what a failed sync has left in doubt. */
static void rename_back(struct queue *queue, const struct queue_entry *entry, enum queue_dir dir,
			const char *name)
{
	const struct queue_file *file = &entry->file;

	if (!rename_file(queue, file->id, dir, name, entry->dir, file->name))
		log_error("cannot put '%s/%s/%u.%s' back: %s", queue->path, queue_dir_names[dir],
			  file->id, name, g_strerror(errno));
}

static bool rename_synced(struct queue *queue, const struct queue_entry *entry, enum queue_dir dir,
			  const char *name, bool synced)
{
	const struct queue_file *file = &entry->file;

	if (!rename_file(queue, file->id, entry->dir, file->name, dir, name))
		return false;
	if (!synced || sync_dirs(queue, dir, entry->dir))
		return true;
	int number = errno;

	rename_back(queue, entry, dir, name);
	errno = number;
	return false;
}

/* --- what goes away: without a name first, so that it can come back --- */

static bool hide(struct queue *queue, const struct queue_entry *entry, bool synced)
{
	return !entry || rename_synced(queue, entry, entry->dir, "", synced);
}

static void unhide(struct queue *queue, const struct queue_entry *entry)
{
	if (entry)
		rename_back(queue, entry, entry->dir, "");
}

/* Should something stay, the next start removes it. */
static void forget(struct queue *queue, struct queue_entry *entry)
{
	char path[QUEUE_PATH_MAX];
	uint32_t id;

	if (!entry)
		return;
	id = entry->file.id;
	queue_path(id, "", path);
	if (unlinkat(queue->dirs[entry->dir], path, 0) != 0 && errno != ENOENT)
		log_warning("cannot remove '%s/%s/%s': %s", queue->path,
			    queue_dir_names[entry->dir], path, g_strerror(errno));
	if (entry->has_info && !queue_info_unlink(queue, id))
		log_warning("cannot remove '%s/info/%u': %s", queue->path, id, g_strerror(errno));
	queue_entry_free(queue, entry);
}

bool queue_drop(struct queue *queue, struct queue_entry *entry, GError **error)
{
	bool failed = entry->file.step == QUEUE_FAILED;

	/* What stands in draft/ is not sent, should it come back. */
	if (!hide(queue, entry, entry->dir != QUEUE_DIR_DRAFT) && errno != ENOENT)
		return queue_entry_fail(queue, "remove", entry, error);
	if (failed)
		queue_note_leaver(queue, entry->file.name);
	forget(queue, entry);
	return true;
}

/* --- from place to place --- */

/* Between drafts of which nothing is on record a rename is all. */
static bool is_recorded(const struct queue_entry *entry, const struct queue_move *move)
{
	return entry->has_info || move->replaced || entry->file.step != QUEUE_DRAFT ||
	       queue_step_of(move->dir) != QUEUE_DRAFT;
}

static bool put_record(struct queue *queue, struct queue_entry *entry,
		       const struct queue_move *move, GError **error)
{
	g_autofree char *name = g_strdup(move->name);
	const struct queue_record record = {queue_step_of(move->dir), name, move->sent_ms,
					    *move->info};

	return queue_info_put(queue, entry, &record, error);
}

static bool move_files(struct queue *queue, struct queue_entry *entry,
		       const struct queue_move *move, bool synced)
{
	bool ok = hide(queue, move->envelope, true);
	int number;

	if (!ok)
		return false;
	ok = hide(queue, move->replaced, true);
	if (ok && rename_synced(queue, entry, move->dir, move->name, synced))
		return true;
	number = errno;
	if (ok)
		unhide(queue, move->replaced);
	unhide(queue, move->envelope);
	errno = number;
	return false;
}

static bool is_elsewhere(const struct queue_entry *entry, const struct queue_move *move)
{
	return entry->dir != move->dir || strcmp(entry->file.name, move->name) != 0;
}

bool queue_move(struct queue *queue, struct queue_entry *entry, const struct queue_move *move,
		GError **error)
{
	bool recorded = is_recorded(entry, move), had_info = entry->has_info;

	if (recorded && !put_record(queue, entry, move, error))
		return false;
	if (is_elsewhere(entry, move) && !move_files(queue, entry, move, recorded)) {
		queue_entry_fail(queue, "rename", entry, error);
		if (recorded)
			queue_info_restore(queue, entry, had_info);
		return false;
	}
	if (entry->file.step == QUEUE_FAILED && move->dir != QUEUE_DIR_FAILED)
		queue_note_leaver(queue, entry->file.name);
	forget(queue, move->replaced);
	forget(queue, move->envelope);
	entry->sent_ms = move->sent_ms;
	queue_entry_become(queue, entry, move->dir, move->name, move->info);
	return true;
}

bool queue_shift(struct queue *queue, struct queue_entry *entry, enum queue_dir dir, GError **error)
{
	if (!rename_synced(queue, entry, dir, entry->file.name, true))
		return queue_entry_fail(queue, "rename", entry, error);
	entry->dir = dir;
	return true;
}

/* --- another number --- */

static bool link_info(struct queue *queue, uint32_t from, uint32_t to)
{
	int dir = queue->dirs[QUEUE_DIR_INFO];
	char old[16], new[16];

	g_snprintf(old, sizeof(old), "%u", from);
	g_snprintf(new, sizeof(new), "%u", to);
	return linkat(dir, old, dir, new, 0) == 0;
}

static bool renumber_file(struct queue *queue, struct queue_entry *entry, uint32_t from,
			  uint32_t to)
{
	int dir = queue->dirs[entry->dir];
	char old[QUEUE_PATH_MAX], new[QUEUE_PATH_MAX];

	queue_path(from, entry->file.name, old);
	queue_path(to, entry->file.name, new);
	return renameat(dir, old, dir, new) == 0;
}

bool queue_renumber(struct queue *queue, struct queue_entry *entry, uint32_t id, GError **error)
{
	uint32_t old = entry->file.id;

	if (entry->has_info && !link_info(queue, old, id))
		return queue_entry_fail(queue, "keep the record of", entry, error);
	if (!renumber_file(queue, entry, old, id)) {
		queue_entry_fail(queue, "rename", entry, error);
		queue_info_unlink(queue, id);
		return false;
	}
	if (queue_info_unlink(queue, old) && fsync(queue->dirs[entry->dir]) == 0 &&
	    fsync(queue->dirs[QUEUE_DIR_INFO]) == 0) {
		queue_entry_renumber(queue, entry, id);
		return true;
	}
	queue_entry_fail(queue, "rename", entry, error);
	if (entry->has_info && !link_info(queue, id, old) && errno != EEXIST)
		log_error("'%s/info/%u' is lost: %s", queue->path, old, g_strerror(errno));
	if (renumber_file(queue, entry, id, old))
		queue_info_unlink(queue, id);
	return false;
}
