/* What the engine does to files that are to be sent. */
#include "state/spool_private.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static struct entry *oldest_sendable(struct state *state, int64_t now_ms)
{
	GSequenceIter *iter = g_sequence_get_begin_iter(state->sendable);

	for (; !g_sequence_iter_is_end(iter); iter = g_sequence_iter_next(iter)) {
		struct entry *entry = g_sequence_get(iter);

		if (entry->not_before_ms <= now_ms && !entry_waits(state, entry))
			return entry;
	}
	return NULL;
}

static void fail_locked(struct state *state, struct entry *entry, int error, const char *reason)
{
	struct spool_file want = entry->file;
	g_autoptr(GError) failure = NULL;

	want.step = SPOOL_FAILED;
	want.running = false;
	want.unknown = false;
	want.error = error;
	want.reason = (char *)reason;
	if (entry_write(state, entry, &want, -1, false, &failure))
		return;
	log_warning("%s", failure->message);
	/* It will be refused again. */
	entry_become(state, entry, &want);
}

static void set_running(struct state *state, struct entry *entry, bool running)
{
	struct spool_file want = entry->file;

	want.running = running;
	entry_become(state, entry, &want);
}

/* What is sent is the upload, whatever is done to the working file. */
static void give_upload(struct entry *entry, int fd, struct spool_file *ret)
{
	struct stat stat;

	spool_file_copy(&entry->file, ret);
	if (fstat(fd, &stat) != 0)
		return;
	ret->size = (uint64_t)stat.st_size;
	ret->mtime_ns = stat.st_mtim.tv_sec * (int64_t)1000000000 + stat.st_mtim.tv_nsec;
}

bool spool_take(struct state *state, int64_t now_ms, struct spool_file *ret, int *ret_fd)
{
	struct entry *entry;
	int fd = -1;

	pthread_mutex_lock(&state->lock);
	while ((entry = oldest_sendable(state, now_ms))) {
		fd = part_open(state, entry->file.id, PART_UPLOAD, O_RDONLY);
		/* Too many files are open: later. */
		if (fd >= 0 || errno == EMFILE || errno == ENFILE)
			break;
		fail_locked(state, entry, errno, "its copy in the spool cannot be opened");
	}
	if (fd >= 0) {
		set_running(state, entry, true);
		give_upload(entry, fd, ret);
		*ret_fd = fd;
	}
	pthread_mutex_unlock(&state->lock);
	return fd >= 0;
}

void spool_defer(struct state *state, uint32_t id, int64_t not_before_ms)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_find(state, id);

	if (entry) {
		entry->not_before_ms = not_before_ms;
		entry->file.tries++;
		set_running(state, entry, false);
	}
	pthread_mutex_unlock(&state->lock);
}

static bool missing(GError **error)
{
	g_set_error(error, MAILFS_ERROR, ERROR_GONE, "there is no such file any more");
	return false;
}

bool spool_mark(struct state *state, uint32_t id, uint64_t uidvalidity, uint32_t uidnext,
		GError **error)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_find(state, id);
	bool ok = entry || missing(error);

	if (ok) {
		struct spool_file want = entry->file;

		want.step = SPOOL_MARKED;
		want.mark_uidvalidity = uidvalidity;
		want.mark_uidnext = uidnext;
		ok = entry_write(state, entry, &want, -1, true, error);
	}
	pthread_mutex_unlock(&state->lock);
	return ok;
}

void spool_set_unknown(struct state *state, uint32_t id)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_find(state, id);

	if (entry) {
		entry->file.unknown = entry->file.step == SPOOL_MARKED;
		set_running(state, entry, false);
	}
	pthread_mutex_unlock(&state->lock);
}

bool spool_requeue(struct state *state, uint32_t id, GError **error)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_find(state, id);
	bool ok = entry || missing(error);

	if (ok) {
		struct spool_file want = entry->file;

		want.step = SPOOL_QUEUED;
		want.running = false;
		want.unknown = false;
		want.mark_uidvalidity = 0;
		want.mark_uidnext = 0;
		ok = entry_write(state, entry, &want, -1, false, error);
		if (!ok)
			set_running(state, entry, false);
	}
	pthread_mutex_unlock(&state->lock);
	return ok;
}

/* The working file loses its record, but not those who write to it. */
static bool end_record(struct state *state, struct entry *entry, const struct state_box *box,
		       uint32_t uid, GError **error)
{
	bool aside = entry->has_work && part_rename(state, entry->file.id, PART_WORK, PART_GONE);
	bool ok = db_begin(&state->db, false) &&
		  DB_RUN(&state->db, DB_FILE_DELETE, DB_INT(entry->file.id)) &&
		  (uid == 0 || names_put(state, box, uid, entry->file.name));

	ok = db_end(&state->db, ok, error);
	if (ok)
		entry->aside = aside;
	else if (aside)
		part_rename(state, entry->file.id, PART_GONE, PART_WORK);
	return ok;
}

static bool uploaded(struct state *state, struct entry *entry, uint64_t uidvalidity, uint32_t uid,
		     uint64_t at, GError **error)
{
	struct spool_file want = entry->file;
	const struct binding *binding = binding_find(state, want.mailbox);
	struct state_box box = {
		.folder = want.folder, .mailbox = want.mailbox, .uidvalidity = uidvalidity};

	if (binding && binding->uidvalidity == uidvalidity)
		box.epoch = binding->epoch;
	want.running = false;
	if (!end_record(state, entry, &box, uid, error)) {
		/* The server has it: it must be found there. */
		want.unknown = want.step == SPOOL_MARKED;
		entry_become(state, entry, &want);
		return false;
	}
	if (uid)
		names_remember(state, &box, uid, want.name);
	want.step = SPOOL_UPLOADED;
	want.unknown = false;
	want.uidvalidity = uidvalidity;
	want.uid = uid;
	want.uploaded_at = at;
	want.former_uid = 0;
	want.former_uidvalidity = 0;
	entry_become(state, entry, &want);
	return true;
}

bool spool_uploaded(struct state *state, uint32_t id, uint64_t uidvalidity, uint32_t uid,
		    uint64_t at, GError **error)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_find(state, id);
	bool ok = entry ? uploaded(state, entry, uidvalidity, uid, at, error) : missing(error);

	pthread_mutex_unlock(&state->lock);
	return ok;
}

void spool_fail(struct state *state, uint32_t id, int error, const char *reason)
{
	pthread_mutex_lock(&state->lock);
	struct entry *entry = entry_find(state, id);

	if (entry)
		fail_locked(state, entry, error, reason);
	pthread_mutex_unlock(&state->lock);
}

/* A listing has it. Who still writes to it may make another message of it. */
static void retire(struct state *state, struct entry *entry)
{
	struct spool_file want = entry->file;

	state_touch_locked(state, want.folder);
	entry_drop_upload(state, entry);
	if (want.writers == 0) {
		entry_drop_work(state, entry);
		entry_free(state, entry);
		return;
	}
	entry->retired = true;
	entry_become(state, entry, &want);
}

void spool_refreshed(struct state *state, uint32_t folder, uint64_t began)
{
	pthread_mutex_lock(&state->lock);
	const struct place *place = place_find(state, folder);
	GSequenceIter *iter = place ? g_sequence_get_begin_iter(place->files) : NULL;

	while (iter && !g_sequence_iter_is_end(iter)) {
		struct entry *entry = g_sequence_get(iter);

		iter = g_sequence_iter_next(iter);
		if (entry->file.step == SPOOL_UPLOADED && entry->file.uploaded_at <= began)
			retire(state, entry);
	}
	pthread_mutex_unlock(&state->lock);
}

static void retry(struct state *state, struct entry *entry)
{
	struct spool_file want = entry->file;
	g_autoptr(GError) error = NULL;
	bool ok = true;

	if (want.step == SPOOL_FAILED && entry->has_upload) {
		want.step = SPOOL_QUEUED;
		want.error = 0;
		want.reason = NULL;
		want.tries = 0;
		entry->not_before_ms = 0;
		ok = entry_write(state, entry, &want, -1, false, &error);
	} else if (want.step == SPOOL_LOCAL && entry->stuck && want.writers == 0 &&
		   entry_is_mail(entry)) {
		ok = entry_seal(state, entry, NULL, &error);
	}
	if (!ok)
		log_warning("%s", error->message);
}

void spool_retry(struct state *state)
{
	pthread_mutex_lock(&state->lock);
	/* Sealing gives up the lock. */
	g_autoptr(GList) ids = g_hash_table_get_keys(state->entries);

	for (GList *link = ids; link; link = link->next) {
		struct entry *entry = entry_wait(state, GPOINTER_TO_UINT(link->data));

		if (entry)
			retry(state, entry);
	}
	pthread_mutex_unlock(&state->lock);
}
