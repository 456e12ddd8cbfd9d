/* A working file becomes an upload, and back. */
#include "state/spool_private.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>

bool entry_has_bytes(const struct entry *entry)
{
	return entry->file.size > 0 || entry->file.clone_uid;
}

static bool name_is_free(struct state *state, const struct entry *entry,
			 const struct destination *to, GError **error)
{
	const struct place *place = to ? place_find(state, to->folder) : NULL;
	const struct entry *other = place ? g_hash_table_lookup(place->file_names, to->name) : NULL;

	if (!place ||
	    ((!other || other == entry) && !g_hash_table_contains(place->guest_names, to->name)))
		return true;
	g_set_error(error, MAILFS_ERROR, ERROR_EXISTS, "there is a file of that name");
	return false;
}

static void place_at(struct spool_file *file, const struct destination *to)
{
	if (!to)
		return;
	file->folder = to->folder;
	file->mailbox = (char *)mailbox_spelt(to->mailbox);
	file->name = (char *)to->name;
}

static void refuse(struct state *state, struct entry *entry, const GError *why)
{
	struct spool_file want = entry->file;
	g_autoptr(GError) error = NULL;

	want.step = SPOOL_FAILED;
	want.error = EINVAL;
	want.reason = why->message;
	if (!entry_write(state, entry, &want, -1, false, &error))
		log_warning("%s", error->message);
}

/* The upload is there: it counts once it is on record. */
static bool sealed(struct state *state, struct entry *entry, const struct destination *to,
		   GError **error)
{
	struct spool_file want = entry->file;
	uint32_t former = entry->file.folder;

	want.step = SPOOL_QUEUED;
	want.error = 0;
	want.reason = NULL;
	want.tries = 0;
	want.unknown = false;
	want.mark_uidvalidity = 0;
	want.mark_uidnext = 0;
	place_at(&want, to);
	entry->has_upload = true;
	if (!name_is_free(state, entry, to, error) ||
	    !entry_write(state, entry, &want, -1, true, error)) {
		entry_drop_upload(state, entry);
		return false;
	}
	entry->stuck = false;
	entry->not_before_ms = 0;
	if (entry->file.writers == 0)
		entry_drop_work(state, entry);
	entry_measure(state, entry);
	if (to)
		state_touch_locked(state, former);
	state_touch_locked(state, entry->file.folder);
	return true;
}

static bool seal_bytes(struct state *state, struct entry *entry, const struct destination *to,
		       GError **error)
{
	g_autoptr(GError) why = NULL;
	bool ok;

	entry->busy = true;
	pthread_mutex_unlock(&state->lock);
	ok = part_make_upload(state, entry->file.id, &why);
	pthread_mutex_lock(&state->lock);
	entry_unbusy(state, entry);
	if (ok)
		return sealed(state, entry, to, error);
	if (!to && g_error_matches(why, MAILFS_ERROR, ERROR_REFUSED))
		refuse(state, entry, why);
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

static struct item *item_of_clone(struct state *state, const struct entry *entry,
				  const struct destination *to)
{
	struct spool_file file = entry->file;

	place_at(&file, to);
	struct change_request request = {
		.kind = CHANGE_COPY,
		.box = {entry->clone_folder, file.clone_epoch, entry->clone_mailbox,
			entry->clone_uidvalidity},
		.uid = file.clone_uid,
		.target = file.folder,
		.target_mailbox = file.mailbox,
		.name = file.name,
	};
	struct item *item = item_new(&request);

	item->change.id = state->last_change + 1;
	return item;
}

static bool seal_clone(struct state *state, struct entry *entry, const struct destination *to,
		       GError **error)
{
	const struct message *message =
		message_find(state, entry->file.clone_epoch, entry->file.clone_uid);

	if (message && message_leaves(message)) {
		g_set_error(error, MAILFS_ERROR, ERROR_GONE,
			    "the message of which it is a copy is on its way out");
		return false;
	}
	if (!name_is_free(state, entry, to, error))
		return false;
	struct item *item = item_of_clone(state, entry, to);
	bool ok = db_begin(&state->db, true) && item_insert(state, item) &&
		  DB_RUN(&state->db, DB_FILE_DELETE, DB_INT(entry->file.id));

	if (!db_end(&state->db, ok, error)) {
		item_free(item);
		return false;
	}
	state_touch_locked(state, entry->file.folder);
	entry_drop_work(state, entry);
	entry_free(state, entry);
	state->last_change++;
	item_attach(state, item);
	return true;
}

bool entry_seal(struct state *state, struct entry *entry, const struct destination *to,
		GError **error)
{
	struct stat stat;

	/* Bytes of its own count for more than those that it was to have. */
	if (entry->file.clone_uid && part_stat(state, entry->file.id, PART_WORK, &stat) &&
	    stat.st_size > 0)
		entry_drop_clone(entry);
	entry_measure(state, entry);
	if (entry->file.clone_uid)
		return seal_clone(state, entry, to, error);
	return seal_bytes(state, entry, to, error);
}

bool entry_take_back(struct state *state, struct entry *entry, bool whole, GError **error)
{
	struct spool_file want = entry->file;
	uint32_t id = want.id;

	/* What is read from now on. */
	entry_measure(state, entry);
	want.size = entry->file.size;
	want.mtime_ns = entry->file.mtime_ns;
	want.step = SPOOL_LOCAL;
	want.error = 0;
	want.reason = NULL;
	want.unknown = false;
	if (!entry_write(state, entry, &want, whole ? (int64_t)want.size : -1, false, error))
		return false;
	if (entry->has_work) {
		entry_drop_upload(state, entry);
	} else if (part_rename(state, id, PART_UPLOAD, PART_WORK)) {
		entry->has_work = true;
		entry->has_upload = false;
	} else {
		return part_fail(state, id, PART_UPLOAD, "rename", error);
	}
	return true;
}
