/* New messages: one spool file is in hand at a time.
 *
 *   QUEUED -(MARK, unless the last APPEND told)-> MARKED -(APPEND)-> uploaded, shown from the spool
 *   until a listing has it.
 *
 * If the connection is lost behind the APPEND, the folder is searched for the message (seek.c)
 * before it is sent again. What the server refuses stays in the folder as a file, with the reason.
 */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void let_go(struct engine *engine)
{
	engine->uploading = false;
	spool_file_clear(&engine->upload);
	if (engine->upload_fd >= 0)
		close(engine->upload_fd);
	engine->upload_fd = -1;
}

/* It could not be put on record: the disk is full. */
static void put_off(struct engine *engine, const GError *error)
{
	const struct spool_file *file = &engine->upload;
	int64_t pause_ms = change_pause_ms(file->tries + 1);

	log_error("%s: %s", engine->account->name, error->message);
	spool_defer(engine->state, file->id, engine->now_ms + pause_ms);
}

static struct store_job *job_of(struct engine *engine, enum store_job_kind kind)
{
	const struct spool_file *file = &engine->upload;
	struct store_job *job = store_job_new(kind);

	job->folder = file->folder;
	job->name = g_strdup(file->mailbox);
	job->ticket = file->id;
	return job;
}

/* What was sent was seen by who wrote it. */
static bool is_for_sent(struct engine *engine, uint32_t folder)
{
	struct folder_row row;
	bool sent;

	if (!index_folder_write_get(engine->index, folder, &row))
		return false;
	sent = (row.attributes & STORE_ATTR_SENT) != 0;
	folder_row_clear(&row);
	return sent;
}

static void send_append(struct engine *engine)
{
	const struct spool_file *file = &engine->upload;
	struct store_job *job = job_of(engine, STORE_APPEND);

	job->fd = dup(engine->upload_fd);
	job->len = file->size;
	job->date_s = file->mtime_ns / 1000000000;
	job->set = engine->account->append_seen || is_for_sent(engine, file->folder)
			   ? STORE_FLAG_SEEN
			   : 0;
	lane_queue(engine, LANE_CHANGE, job);
}

static void search(struct engine *engine)
{
	const struct spool_file *file = &engine->upload;
	struct store_job *job = job_of(engine, STORE_FIND);

	job->known.uidvalidity = file->mark_uidvalidity;
	job->known.uidnext = file->mark_uidnext;
	lane_queue(engine, LANE_CHANGE, job);
}

/* On record before it is sent. */
static void mark(struct engine *engine, const struct store_mailbox *box)
{
	struct spool_file *file = &engine->upload;
	g_autoptr(GError) error = NULL;

	if (spool_mark(engine->state, file->id, box->uidvalidity, box->uidnext, &error)) {
		file->mark_uidvalidity = box->uidvalidity;
		file->mark_uidnext = box->uidnext;
		send_append(engine);
		return;
	}
	put_off(engine, error);
	let_go(engine);
}

static void fail(struct engine *engine, const GError *error)
{
	const struct spool_file *file = &engine->upload;
	int number = error_errno(error);
	g_autofree char *name = text_clean(file->name, -1, 255);

	log_warning("%s: %s is kept as a file and not on the server: %s", engine->account->name,
		    name, error->message);
	spool_fail(engine->state, file->id, number, error->message);
	pending_note_failure(engine, file->folder, number);
	let_go(engine);
}

static bool is_too_large(struct engine *engine)
{
	g_autoptr(GError) error = NULL;

	if (engine->upload.size <= engine->shared.append_max_bytes)
		return false;
	error = g_error_new(MAILFS_ERROR, ERROR_LIMIT,
			    "the server takes messages up to %" G_GUINT64_FORMAT " bytes",
			    engine->shared.append_max_bytes);
	fail(engine, error);
	return true;
}

static void defer(struct engine *engine, int64_t pause_ms)
{
	spool_defer(engine->state, engine->upload.id, engine->now_ms + pause_ms);
	change_soon(engine, pause_ms);
	let_go(engine);
}

static void begin(struct engine *engine)
{
	const struct spool_file *file = &engine->upload;
	const struct store_mailbox *last = g_hash_table_lookup(engine->marks, file->mailbox);

	if (file->unknown && engine->now_ms < engine->doubt_ms)
		defer(engine, engine->doubt_ms - engine->now_ms);
	else if (file->unknown)
		search(engine);
	else if (is_too_large(engine))
		return;
	else if (last)
		mark(engine, last);
	else
		lane_queue(engine, LANE_CHANGE, job_of(engine, STORE_MARK));
}

void upload_run(struct engine *engine)
{
	while (!engine->uploading &&
	       spool_take(engine->state, engine->now_ms, &engine->upload, &engine->upload_fd)) {
		engine->uploading = true;
		begin(engine);
	}
}

/* --- what comes back --- */

/* The next needs no MARK. */
static void remember_mark(struct engine *engine, const struct store_job *job)
{
	struct store_mailbox *box;

	if (job->appended_uid == 0 || job->appended_uid == G_MAXUINT32 ||
	    job->box.uidvalidity == 0) {
		g_hash_table_remove(engine->marks, job->name);
		return;
	}
	box = g_new0(struct store_mailbox, 1);
	box->uidvalidity = job->box.uidvalidity;
	box->uidnext = job->appended_uid + 1;
	g_hash_table_insert(engine->marks, g_strdup(job->name), box);
}

/* An earlier state of the file was sent when somebody asked for a verdict while it was written. */
static void remove_former(struct engine *engine, uint64_t uidvalidity)
{
	const struct spool_file *file = &engine->upload;
	struct change_request request = {.kind = engine->shared.abilities & STORE_CAN_EXPUNGE
							 ? CHANGE_EXPUNGE
							 : CHANGE_FLAGS,
					 .set = STORE_FLAG_DELETED,
					 .uid = file->former_uid};
	g_autoptr(GError) error = NULL;
	struct folder_row row;

	if (file->former_uid == 0 || file->former_uidvalidity != uidvalidity ||
	    !index_folder_write_get(engine->index, file->folder, &row))
		return;
	request.box = (struct state_box){row.id, row.epoch, row.name, row.uidvalidity};
	if (!changes_add(engine->state, &request, &error))
		log_error("%s: %s", engine->account->name, error->message);
	folder_row_clear(&row);
}

static void uploaded(struct engine *engine, uint64_t uidvalidity, uint32_t uid)
{
	const struct spool_file *file = &engine->upload;
	g_autoptr(GError) error = NULL;

	/* First, so that it is not forgotten between the two. */
	remove_former(engine, uidvalidity);
	if (!spool_uploaded(engine->state, file->id, uidvalidity, uid, ++engine->order, &error))
		put_off(engine, error);
	if (file->folder) {
		pending_bind_folder(engine, file->folder); /* its name, too */
		report_touched(engine, file->folder);
		folder_changed(engine, file->folder);
	}
	let_go(engine);
}

static void found(struct engine *engine, const struct store_job *job)
{
	const struct spool_file *file = &engine->upload;
	uint32_t uid = seek_upload(engine, job->found);
	g_autoptr(GError) error = NULL;

	/* What the server said OK to is there, found or not. */
	if (uid || !file->unknown) {
		uploaded(engine, file->mark_uidvalidity, uid);
		return;
	}
	if (!spool_requeue(engine->state, file->id, &error))
		put_off(engine, error);
	let_go(engine);
}

static void appended(struct engine *engine, const struct store_job *job)
{
	remember_mark(engine, job);
	if (job->appended_uid)
		uploaded(engine, job->box.uidvalidity, job->appended_uid);
	else
		search(engine);
}

static void failed(struct engine *engine, const struct store_job *job, const GError *error)
{
	struct spool_file *file = &engine->upload;
	struct trouble trouble = {.folder = file->folder, .spool = file->id};
	bool again = change_may_come_again(error);

	g_hash_table_remove(engine->marks, job->name);
	if (job->kind == STORE_FIND && !file->unknown) {
		uploaded(engine, file->mark_uidvalidity, 0);
	} else if (job->kind == STORE_FIND && g_error_matches(error, MAILFS_ERROR, ERROR_STALE)) {
		log_warning("%s: a new message is sent again: %s", engine->account->name,
			    error->message);
		found(engine, job);
	} else if (again) {
		bool doubtful = job->kind == STORE_APPEND && job->sent;

		if (pending_is_hopeless(error, file->tries))
			pending_give_up(engine, &trouble, error_errno(error));
		if (doubtful)
			spool_set_unknown(engine->state, file->id);
		defer(engine,
		      MAX(change_pause_ms(file->tries + 1), doubtful ? ENGINE_DOUBT_MS : 0));
	} else {
		fail(engine, error);
	}
}

void upload_done(struct engine *engine, struct store_job *job, const GError *error)
{
	if (error)
		failed(engine, job, error);
	else if (job->kind == STORE_MARK)
		mark(engine, &job->box);
	else if (job->kind == STORE_APPEND)
		appended(engine, job);
	else
		found(engine, job);
	/* They go one behind the other: nothing is gained by waiting for company. */
	if (!engine->uploading)
		change_soon(engine, 0);
	pending_settle_needs(engine);
}
