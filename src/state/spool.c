/* What clients do to files. */
#include "state/spool_private.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* --- asking --- */

static void give_copy(struct state *state, struct entry *entry, struct spool_file *ret)
{
	if (entry->file.writers > 0)
		entry_measure(state, entry);
	spool_file_copy(&entry->file, ret);
}

bool spool_get(struct state *state, uint32_t id, struct spool_file *ret)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_find(state, id);

	if (entry)
		give_copy(state, entry, ret);
	pthread_mutex_unlock(&state->lock);
	return entry != NULL;
}

bool spool_find(struct state *state, uint32_t folder, const char *name, struct spool_file *ret)
{
	pthread_mutex_lock(&state->lock);
	const struct place *place = place_find(state, folder);
	struct entry *entry = place ? g_hash_table_lookup(place->file_names, name) : NULL;

	if (entry)
		give_copy(state, entry, ret);
	pthread_mutex_unlock(&state->lock);
	return entry != NULL;
}

GPtrArray *spool_list(struct state *state, uint32_t folder)
{
	GPtrArray *files = NULL;

	pthread_mutex_lock(&state->lock);
	const struct place *place = place_find(state, folder);
	GSequenceIter *iter = place ? g_sequence_get_begin_iter(place->files) : NULL;

	for (; iter && !g_sequence_iter_is_end(iter); iter = g_sequence_iter_next(iter)) {
		struct spool_file *file = g_new(struct spool_file, 1);

		if (!files)
			files = g_ptr_array_new_with_free_func(spool_file_free);
		give_copy(state, g_sequence_get(iter), file);
		g_ptr_array_add(files, file);
	}
	pthread_mutex_unlock(&state->lock);
	return files;
}

/* --- making and opening --- */

static bool name_is_taken(struct state *state, uint32_t folder, const char *name, GError **error)
{
	const struct place *place = place_find(state, folder);

	if (!place || (!g_hash_table_contains(place->file_names, name) &&
		       !g_hash_table_contains(place->guest_names, name)))
		return false;
	g_set_error(error, MAILFS_ERROR, ERROR_EXISTS, "there is a file of that name");
	return true;
}

static bool make_work(struct state *state, uint32_t id, GError **error)
{
	int fd = part_open(state, id, PART_WORK, O_WRONLY | O_CREAT | O_EXCL);

	if (fd < 0)
		return part_fail(state, id, PART_WORK, "make", error);
	close(fd);
	return true;
}

static uint32_t create(struct state *state, const struct destination *to, GError **error)
{
	uint32_t id = state->last_file + 1;
	struct spool_file file = {.id = id,
				  .folder = to->folder,
				  .mailbox = (char *)mailbox_spelt(to->mailbox),
				  .name = (char *)to->name,
				  .writers = 1};
	struct entry *entry;

	if (name_is_taken(state, to->folder, to->name, error) || !make_work(state, id, error))
		return 0;
	state->last_file = id;
	entry = entry_new(id);
	bool ok = db_begin(&state->db, false) && entry_put(state, entry, &file, -1);

	if (!db_end(&state->db, ok, error)) {
		part_unlink(state, id, PART_WORK);
		g_free(entry);
		return 0;
	}
	spool_file_copy(&file, &entry->file);
	entry->has_work = true;
	entry->unclaimed = true;
	entry_measure(state, entry);
	entry_attach(state, entry);
	state_touch_locked(state, to->folder);
	return id;
}

uint32_t spool_create(struct state *state, uint32_t folder, const char *mailbox, const char *name,
		      GError **error)
{
	struct destination to = {folder, mailbox, name};

	pthread_mutex_lock(&state->lock);
	uint32_t id = create(state, &to, error);

	pthread_mutex_unlock(&state->lock);
	return id;
}

static bool missing(GError **error)
{
	g_set_error(error, MAILFS_ERROR, ERROR_GONE, "there is no such file any more");
	return false;
}

static bool is_busy(const struct entry *entry, GError **error)
{
	if (!entry->file.running && entry->file.step != SPOOL_MARKED)
		return false;
	g_set_error(error, MAILFS_ERROR, ERROR_BUSY, "it is on its way to the server");
	return true;
}

static bool prepare_writer(struct state *state, struct entry *entry, GError **error)
{
	if (is_busy(entry, error))
		return false;
	switch (entry->file.step) {
	case SPOOL_LOCAL:
		return true;
	case SPOOL_UPLOADED:
		g_set_error(error, MAILFS_ERROR, ERROR_READ_ONLY, "it is a message now");
		return false;
	default:
		return entry_take_back(state, entry, true, error);
	}
}

static int open_locked(struct state *state, struct entry *entry, bool writer, GError **error)
{
	enum part part;
	int fd;

	if (!entry) {
		missing(error);
		return -1;
	}
	if (writer && !prepare_writer(state, entry, error))
		return -1;
	part = entry->has_work ? entry_work_part(entry) : PART_UPLOAD;
	fd = part_open(state, entry->file.id, part, writer ? O_RDWR : O_RDONLY);
	if (fd < 0) {
		part_fail(state, entry->file.id, part, "open", error);
		return -1;
	}
	if (writer && !entry->unclaimed)
		entry->file.writers++;
	if (writer)
		entry->unclaimed = entry->stuck = false;
	return fd;
}

int spool_open(struct state *state, uint32_t id, bool writer, GError **error)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = writer ? entry_wait(state, id) : entry_find(state, id);
	int fd = open_locked(state, entry, writer, error);

	pthread_mutex_unlock(&state->lock);
	return fd;
}

/* --- writing --- */

/* The message may have been renamed since. */
static const char *name_of_former(struct state *state, const struct spool_file *file)
{
	const struct place *place = place_find(state, file->folder);
	const char *name = names_get_locked(state, file->mailbox, file->uidvalidity, file->uid);
	bool taken = name && place &&
		     (g_hash_table_contains(place->file_names, name) ||
		      g_hash_table_contains(place->guest_names, name));

	return name && spool_name_is_mail(name) && !taken ? name : file->name;
}

/* What was sent is one message, what comes now will be another. */
static bool begin_again(struct state *state, struct entry *entry, GError **error)
{
	struct spool_file want = entry->file;

	if (entry->file.uid == 0 || !entry->has_work) {
		g_set_error(error, MAILFS_ERROR, ERROR_READ_ONLY, "it is a message now");
		return false;
	}
	want.step = SPOOL_LOCAL;
	want.former_uidvalidity = want.uidvalidity;
	want.former_uid = want.uid;
	want.name = (char *)name_of_former(state, &entry->file);
	want.uidvalidity = 0;
	want.uid = 0;
	want.mark_uidvalidity = 0;
	want.mark_uidnext = 0;
	if (!entry_write(state, entry, &want, -1, false, error))
		return false;
	if (part_rename(state, want.id, PART_GONE, PART_WORK))
		entry->aside = false;
	entry_drop_upload(state, entry);
	if (entry->retired) {
		struct spool_file shown = entry->file;

		entry->retired = false;
		entry_become(state, entry, &shown);
	}
	state_touch_locked(state, want.folder);
	return true;
}

static bool touch(struct state *state, struct entry *entry, GError **error)
{
	if (is_busy(entry, error))
		return false;
	switch (entry->file.step) {
	case SPOOL_LOCAL:
		return !entry->whole || entry_write(state, entry, &entry->file, -1, false, error);
	case SPOOL_UPLOADED:
		return begin_again(state, entry, error);
	default:
		return entry_take_back(state, entry, false, error);
	}
}

bool spool_touch(struct state *state, uint32_t id, GError **error)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_wait(state, id);
	bool ok = !entry || touch(state, entry, error);

	pthread_mutex_unlock(&state->lock);
	return ok;
}

/* Gives up the lock: the disk may take long. */
static bool sync_work(struct state *state, struct entry *entry, GError **error)
{
	int fd = part_open(state, entry->file.id, PART_WORK, O_RDONLY);
	bool ok;

	entry->busy = true;
	pthread_mutex_unlock(&state->lock);
	ok = fd >= 0 && fsync(fd) == 0 && (entry->named || fsync(state->spool_fd) == 0);
	if (!ok)
		part_fail(state, entry->file.id, PART_WORK, "sync", error);
	if (fd >= 0)
		close(fd);
	pthread_mutex_lock(&state->lock);
	entry_unbusy(state, entry);
	return ok;
}

static bool flush(struct state *state, struct entry *entry, GError **error)
{
	struct spool_file want;

	if (entry->whole || entry->file.step != SPOOL_LOCAL)
		return true;
	if (!sync_work(state, entry, error))
		return false;
	entry->named = true;
	entry_measure(state, entry);
	want = entry->file;
	return entry_write(state, entry, &want, want.clone_uid ? 0 : (int64_t)want.size, true,
			   error);
}

bool spool_flush(struct state *state, uint32_t id, GError **error)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_wait(state, id);
	bool ok = !entry || flush(state, entry, error);

	pthread_mutex_unlock(&state->lock);
	return ok;
}

/* --- sealing --- */

static bool is_queued(const struct entry *entry)
{
	return entry->file.step == SPOOL_QUEUED || entry->file.step == SPOOL_MARKED;
}

/* After sealing: a copy is queued as a change, and the file is gone. */
static bool seal_and_tell(struct state *state, struct entry *entry, bool *ret_queued,
			  GError **error)
{
	if (!entry_seal(state, entry, NULL, error))
		return false;
	*ret_queued = true;
	return true;
}

static bool is_to_seal(const struct entry *entry)
{
	return entry->file.step == SPOOL_LOCAL && entry_is_mail(entry) && entry_has_bytes(entry);
}

static bool is_closing(const struct entry *entry)
{
	return is_to_seal(entry) && (entry->busy || (entry->whole && entry->file.writers > 0));
}

unsigned spool_closing(struct state *state, uint32_t folder)
{
	unsigned count = 0;
	GHashTableIter iter;
	gpointer value;

	pthread_mutex_lock(&state->lock);
	g_hash_table_iter_init(&iter, state->entries);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct entry *entry = value;

		if (folder == 0 || entry->file.folder == folder)
			count += is_closing(entry);
	}
	pthread_mutex_unlock(&state->lock);
	return count;
}

static bool last_writer_gone(struct state *state, struct entry *entry, bool *ret_queued,
			     GError **error)
{
	entry->unclaimed = false;
	entry_measure(state, entry);
	if (is_to_seal(entry)) {
		entry->stuck = true;
		return seal_and_tell(state, entry, ret_queued, error);
	}
	*ret_queued = is_queued(entry);
	if (entry->has_upload) {
		entry_drop_work(state, entry);
		entry_measure(state, entry);
	}
	if (entry->retired) {
		entry_drop_work(state, entry);
		entry_free(state, entry);
	}
	return true;
}

bool spool_close(struct state *state, uint32_t id, bool writer, bool *ret_queued, GError **error)
{
	bool ok = true;

	pthread_mutex_lock(&state->lock);
	struct entry *entry = writer ? entry_wait(state, id) : NULL;

	if (entry && entry->file.writers > 0 && --entry->file.writers == 0)
		ok = last_writer_gone(state, entry, ret_queued, error);
	else
		*ret_queued = false;
	pthread_mutex_unlock(&state->lock);
	return ok;
}

bool spool_abandon(struct state *state, uint32_t id, bool *ret_queued, GError **error)
{
	bool ok = true;

	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_wait(state, id);

	*ret_queued = false;
	if (entry && entry->file.writers > 0 && --entry->file.writers == 0) {
		entry_measure(state, entry);
		if (entry->whole || entry->file.step != SPOOL_LOCAL)
			ok = last_writer_gone(state, entry, ret_queued, error);
	}
	pthread_mutex_unlock(&state->lock);
	return ok;
}

static bool retry(struct state *state, struct entry *entry, GError **error)
{
	struct spool_file want = entry->file;

	want.step = SPOOL_QUEUED;
	want.error = 0;
	want.reason = NULL;
	want.tries = 0;
	want.unknown = false;
	entry->not_before_ms = 0;
	return entry_write(state, entry, &want, -1, true, error);
}

/* What cannot be sealed was not asked for: a copy that is still open is made when it is closed. */
static bool seal(struct state *state, struct entry *entry, bool *ret_queued, GError **error)
{
	bool failed = entry->file.step == SPOOL_FAILED;

	entry_measure(state, entry);
	if (failed && !(entry->has_upload ? retry(state, entry, error)
					  : entry_take_back(state, entry, true, error)))
		return false;
	if (is_to_seal(entry) && !(entry->file.clone_uid && entry->file.writers > 0))
		return seal_and_tell(state, entry, ret_queued, error);
	*ret_queued = is_queued(entry);
	return true;
}

bool spool_seal(struct state *state, uint32_t id, bool *ret_queued, GError **error)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_wait(state, id);
	bool ok = true;

	if (entry)
		ok = seal(state, entry, ret_queued, error);
	else
		*ret_queued = false;
	pthread_mutex_unlock(&state->lock);
	return ok;
}

/* --- names --- */

static bool move_record(struct state *state, struct entry *entry, const struct destination *to,
			GError **error)
{
	struct spool_file want = entry->file;
	uint32_t former = want.folder;

	want.folder = to->folder;
	want.mailbox = (char *)mailbox_spelt(to->mailbox);
	want.name = (char *)to->name;
	if (!entry_write(state, entry, &want, entry_whole(entry), false, error))
		return false;
	state_touch_locked(state, former);
	state_touch_locked(state, to->folder);
	return true;
}

/* A failed one is tried again under its new name. */
static bool rename_entry(struct state *state, struct entry *entry, const struct destination *to,
			 bool *ret_queued, GError **error)
{
	bool mail = spool_name_is_mail(to->name);
	enum spool_step step = entry->file.step;

	if (step != SPOOL_LOCAL && !(mail && entry->has_upload) &&
	    !entry_take_back(state, entry, true, error))
		return false;
	entry_measure(state, entry);
	if (mail && entry->file.step == SPOOL_LOCAL && entry->file.writers == 0 &&
	    entry_has_bytes(entry)) {
		if (!entry_seal(state, entry, to, error))
			return false;
		*ret_queued = true;
		return true;
	}
	if (!move_record(state, entry, to, error) ||
	    (entry->file.step == SPOOL_FAILED && !retry(state, entry, error)))
		return false;
	*ret_queued = is_queued(entry);
	return true;
}

static bool may_move(const struct entry *entry, GError **error)
{
	if (is_busy(entry, error))
		return false;
	if (entry->file.step != SPOOL_UPLOADED)
		return true;
	g_set_error(error, MAILFS_ERROR, ERROR_BUSY, "it becomes a message at this moment");
	return false;
}

static bool rename_locked(struct state *state, struct entry *entry, const struct destination *to,
			  bool *ret_queued, GError **error)
{
	if (!entry)
		return missing(error);
	if (!may_move(entry, error))
		return false;
	if (entry->file.folder == to->folder && g_str_equal(entry->file.name, to->name)) {
		*ret_queued = is_queued(entry);
		return true;
	}
	return !name_is_taken(state, to->folder, to->name, error) &&
	       rename_entry(state, entry, to, ret_queued, error);
}

bool spool_rename(struct state *state, uint32_t id, uint32_t folder, const char *mailbox,
		  const char *name, bool *ret_queued, GError **error)
{
	struct destination to = {folder, mailbox, name};

	pthread_mutex_lock(&state->lock);
	bool ok = rename_locked(state, entry_wait(state, id), &to, ret_queued, error);

	pthread_mutex_unlock(&state->lock);
	return ok;
}

static bool delete_record(struct state *state, const struct entry *entry, GError **error)
{
	bool ok = db_begin(&state->db, false) &&
		  DB_RUN(&state->db, DB_FILE_DELETE, DB_INT(entry->file.id));

	return db_end(&state->db, ok, error);
}

/* A full disk has room for the end of the record when the bytes have gone. A record without files
 * is none at the next start. */
static void delete_bytes(struct state *state, struct entry *entry)
{
	g_autoptr(GError) error = NULL;

	entry_drop_work(state, entry);
	entry_drop_upload(state, entry);
	if (fsync(state->spool_fd) != 0)
		log_warning("cannot sync '%s/spool': %s", state->dir, g_strerror(errno));
	if (!delete_record(state, entry, &error))
		log_warning("a file that was removed stays on record until the next start: %s",
			    error->message);
}

/* Under its other name the working file is not taken for bytes that lost their record. */
static bool remove_files(struct state *state, struct entry *entry, GError **error)
{
	uint32_t id = entry->file.id;
	bool renamed = entry->has_work && !entry->aside;
	g_autoptr(GError) why = NULL;

	if (renamed && !part_rename(state, id, PART_WORK, PART_GONE)) {
		if (!file_is_full(errno))
			return part_fail(state, id, PART_WORK, "rename", error);
		renamed = false;
	}
	entry->aside |= renamed;
	if (delete_record(state, entry, &why))
		return true;
	if (g_error_matches(why, MAILFS_ERROR, ERROR_NO_SPACE)) {
		delete_bytes(state, entry);
		return true;
	}
	if (renamed)
		entry->aside = !part_rename(state, id, PART_GONE, PART_WORK);
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

static bool remove_locked(struct state *state, struct entry *entry, GError **error)
{
	if (!may_move(entry, error) || !remove_files(state, entry, error))
		return false;
	state_touch_locked(state, entry->file.folder);
	entry_drop_work(state, entry);
	entry_drop_upload(state, entry);
	entry_free(state, entry);
	return true;
}

bool spool_remove(struct state *state, uint32_t id, GError **error)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_wait(state, id);
	bool ok = entry ? remove_locked(state, entry, error) : missing(error);

	pthread_mutex_unlock(&state->lock);
	return ok;
}

/* --- attributes --- */

static bool set_time(struct state *state, struct entry *entry, enum part part, int64_t mtime_ns,
		     GError **error)
{
	struct timespec time = {.tv_sec = mtime_ns / 1000000000, .tv_nsec = mtime_ns % 1000000000};
	char name[PART_NAME_MAX];

	/* Before 1970 the rest is negative. */
	if (time.tv_nsec < 0) {
		time.tv_sec--;
		time.tv_nsec += 1000000000;
	}
	part_name(entry->file.id, part, name);
	return utimensat(state->spool_fd, name, (struct timespec[]){time, time},
			 AT_SYMLINK_NOFOLLOW) == 0 ||
	       part_fail(state, entry->file.id, part, "set the time of", error);
}

bool spool_set_mtime(struct state *state, uint32_t id, int64_t mtime_ns, GError **error)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_wait(state, id);
	bool ok = entry || missing(error);

	if (ok && entry->has_work)
		ok = set_time(state, entry, entry_work_part(entry), mtime_ns, error);
	if (ok && entry->has_upload)
		ok = set_time(state, entry, PART_UPLOAD, mtime_ns, error);
	if (ok)
		entry_measure(state, entry);
	pthread_mutex_unlock(&state->lock);
	return ok;
}

struct entry *entry_find_clone(struct state *state, uint32_t epoch, uint32_t uid)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, state->entries);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct entry *entry = value;

		if (entry->file.clone_uid == uid && entry->file.clone_epoch == epoch)
			return entry;
	}
	return NULL;
}

bool spool_find_clone(struct state *state, uint32_t epoch, uint32_t uid, struct spool_file *ret)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_find_clone(state, epoch, uid);

	if (entry)
		give_copy(state, entry, ret);
	pthread_mutex_unlock(&state->lock);
	return entry != NULL;
}

static bool set_clone(struct state *state, struct entry *entry, const struct state_box *box,
		      uint32_t uid, uint64_t size, GError **error)
{
	struct spool_file want = entry->file;

	want.clone_epoch = box->epoch;
	want.clone_uid = uid;
	want.clone_size = size;
	want.size = size;
	entry_drop_clone(entry);
	entry->clone_mailbox = g_strdup(mailbox_spelt(box->mailbox));
	entry->clone_folder = box->folder;
	entry->clone_uidvalidity = box->uidvalidity;
	binding_note(state, box->mailbox, box->folder, box->epoch, box->uidvalidity);
	if (entry_write(state, entry, &want, -1, false, error))
		return true;
	entry_drop_clone(entry);
	return false;
}

bool spool_set_clone(struct state *state, uint32_t id, const struct state_box *box, uint32_t uid,
		     uint64_t size, GError **error)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_wait(state, id);
	bool ok = entry ? touch(state, entry, error) : missing(error);

	ok = ok && set_clone(state, entry, box, uid, size, error);
	pthread_mutex_unlock(&state->lock);
	return ok;
}

static bool fill_clone(struct state *state, struct entry *entry, const struct file_span *from,
		       GError **error)
{
	bool ok;

	entry->busy = true;
	pthread_mutex_unlock(&state->lock);
	ok = part_fill(state, entry->file.id, from, error);
	pthread_mutex_lock(&state->lock);
	entry_unbusy(state, entry);
	if (!ok)
		return false;
	entry_drop_clone(entry);
	entry_measure(state, entry);
	return entry_write(state, entry, &entry->file, -1, false, error);
}

bool spool_fill_clone(struct state *state, uint32_t id, const struct file_span *from,
		      GError **error)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_wait(state, id);
	bool ok = entry ? touch(state, entry, error) : missing(error);

	/* Another thread may have filled it, and a client written since. */
	if (ok && entry->file.clone_uid)
		ok = fill_clone(state, entry, from, error);
	pthread_mutex_unlock(&state->lock);
	return ok;
}
