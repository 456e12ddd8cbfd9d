/* Finding out what became of a COPY or an APPEND whose answer never came, and the new UIDs where
 * the server does not tell them (no UIDPLUS): what arrived in the target behind the mark is
 * compared with what was to arrive. Two messages are taken for the same if their size and their
 * Message-ID, Date, From, To and Subject agree. */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "state/names.h"
#include "store/identity.h"

#include <string.h>
#include <unistd.h>

struct seek {
	GPtrArray *batch; /* of struct change *, running */
	bool sure;
	uint64_t uidvalidity; /* of the target */
	GPtrArray *sources;   /* of struct store_identity *; NULL: not known yet */
};

void seek_free(struct seek **seek)
{
	if (!*seek)
		return;
	g_ptr_array_unref((*seek)->batch);
	g_clear_pointer(&(*seek)->sources, g_ptr_array_unref);
	g_clear_pointer(seek, g_free);
}

static struct change *first_of(const struct seek *seek)
{
	return g_ptr_array_index(seek->batch, 0);
}

void seek_start(struct engine *engine, GPtrArray *batch, bool sure)
{
	struct seek *seek = g_new0(struct seek, 1);

	seek->batch = g_ptr_array_ref(batch);
	seek->sure = sure;
	engine->seek = seek;
	engine->changing = true;
	lane_queue(engine, LANE_CHANGE, change_job(STORE_FIND, batch));
}

/* The lowest mark of all. */
static uint32_t lowest_mark(const struct seek *seek)
{
	uint32_t lowest = G_MAXUINT32;

	for (unsigned i = 0; i < seek->batch->len; i++) {
		const struct change *change = g_ptr_array_index(seek->batch, i);

		lowest = MIN(lowest, change->mark_uidnext);
	}
	return lowest;
}

static void search_target(struct engine *engine, struct seek *seek)
{
	const struct change *change = first_of(seek);
	struct store_job *job = store_job_new(STORE_FIND);

	seek->uidvalidity = change->mark_uidvalidity;
	job->folder = change->target;
	job->name = g_strdup(change->target_mailbox);
	job->known.uidvalidity = change->mark_uidvalidity;
	job->known.uidnext = lowest_mark(seek);
	job->changes = g_ptr_array_ref(seek->batch);
	engine->changing = true;
	lane_queue(engine, LANE_CHANGE, job);
}

static bool is_same(const struct store_identity *a, const struct store_identity *b)
{
	return a->size == b->size && strcmp(a->fields, b->fields) == 0;
}

static const struct store_identity *source_of(const struct seek *seek, uint32_t uid)
{
	for (unsigned i = 0; i < seek->sources->len; i++) {
		const struct store_identity *identity = g_ptr_array_index(seek->sources, i);

		if (identity->uid == uid)
			return identity;
	}
	return NULL;
}

/* What has a name from us is something else. */
static void drop_named(struct engine *engine, uint32_t folder, uint64_t uidvalidity,
		       GPtrArray *found)
{
	struct folder_row row;

	if (!index_folder_write_get(engine->index, folder, &row))
		return;
	for (unsigned i = found->len; i > 0 && row.uidvalidity == uidvalidity; i--) {
		const struct store_identity *identity = g_ptr_array_index(found, i - 1);
		g_autofree char *name = names_get(engine->state, row.epoch, identity->uid);

		if (name)
			g_ptr_array_remove_index(found, i - 1);
	}
	folder_row_clear(&row);
}

/* The UID of the one that it is, which no other can be any more; 0: none. */
static uint32_t take_same(GPtrArray *found, const struct store_identity *wanted)
{
	for (unsigned i = 0; found && i < found->len; i++) {
		const struct store_identity *identity = g_ptr_array_index(found, i);
		uint32_t uid = identity->uid;

		if (!is_same(identity, wanted))
			continue;
		g_ptr_array_remove_index(found, i);
		return uid;
	}
	return 0;
}

static void requeue(struct engine *engine, struct change *change)
{
	g_autoptr(GError) error = NULL;

	if (changes_requeue(engine->state, change, &error))
		change_soon(engine, 0);
	else
		change_put_off(engine, change, error);
}

static void drop_gone(struct engine *engine, struct change *change)
{
	g_autoptr(GError) error =
		g_error_new(MAILFS_ERROR, ERROR_GONE, "it is gone from its folder");

	change_drop(engine, change, error);
}

static void settle_one(struct engine *engine, struct change *change)
{
	g_autoptr(GPtrArray) one = g_ptr_array_new();

	g_ptr_array_add(one, change);
	change_settle(engine, one);
}

/* It is in the target, as `uid` if that is known. */
static void arrived(struct engine *engine, const struct seek *seek, struct change *change,
		    uint32_t uid)
{
	uint64_t uidvalidity = seek->uidvalidity;
	uint32_t epoch = uid ? change_target_epoch(engine, change, uidvalidity) : 0;

	if (epoch) {
		change_place(engine, change, epoch, uid);
		report_commit(engine);
		change_name(engine, change, epoch, uid, uidvalidity);
	}
	if (change->kind == CHANGE_MOVE)
		change_copied(engine, change, uid);
	else
		settle_one(engine, change);
}

static void decide(struct engine *engine, const struct seek *seek, struct change *change,
		   GPtrArray *found)
{
	const struct store_identity *source = source_of(seek, change->uid);
	uint32_t uid = source ? take_same(found, source) : 0;

	if (uid || seek->sure)
		arrived(engine, seek, change, uid);
	else if (source)
		requeue(engine, change);
	else
		drop_gone(engine, change);
}

static void decide_all(struct engine *engine, const struct seek *seek, GPtrArray *found)
{
	for (unsigned i = 0; i < seek->batch->len; i++)
		decide(engine, seek, g_ptr_array_index(seek->batch, i), found);
}

/* Without an answer nothing is known, but that one which is sure has arrived. A target that was
 * made anew holds nothing of what went to the old one. */
static void failed(struct engine *engine, const struct seek *seek, const struct store_job *job,
		   const GError *error)
{
	bool is_target = seek->sources != NULL;

	if (change_may_come_again(error)) {
		/* They must not be sent again, sure or not. */
		changes_set_unknown(engine->state, seek->batch);
		change_failed(engine, job, error);
	} else if (is_target && (seek->sure || g_error_matches(error, MAILFS_ERROR, ERROR_STALE))) {
		decide_all(engine, seek, NULL);
	} else {
		change_failed(engine, job, error);
	}
}

void seek_done(struct engine *engine, struct store_job *job, const GError *error)
{
	struct seek *seek = g_steal_pointer(&engine->seek);

	if (error) {
		failed(engine, seek, job, error);
	} else if (!seek->sources) {
		seek->sources = job->found ? g_ptr_array_ref(job->found) : g_ptr_array_new();
		engine->seek = g_steal_pointer(&seek);
		search_target(engine, engine->seek);
	} else {
		if (job->found)
			drop_named(engine, job->folder, seek->uidvalidity, job->found);
		decide_all(engine, seek, job->found);
	}
	seek_free(&seek);
}

/* --- new messages --- */

static char *fields_of(int fd)
{
	g_autofree char *head = g_malloc(LIMIT_INLINE_LITERAL);
	ssize_t len = pread(fd, head, LIMIT_INLINE_LITERAL, 0);

	return store_identity_fields(head, len > 0 ? (size_t)len : 0);
}

/* Servers may store a message otherwise than it was sent: its size need not agree where a
 * Message-ID does, if there is none that agrees in all. */
uint32_t seek_upload(struct engine *engine, GPtrArray *found)
{
	const struct spool_file *file = &engine->upload;
	g_autofree char *fields = fields_of(engine->upload_fd);
	bool has_id = g_str_has_prefix(fields, "Message-ID:");
	uint32_t alike = 0;

	if (found)
		drop_named(engine, file->folder, file->mark_uidvalidity, found);
	for (unsigned i = 0; found && i < found->len; i++) {
		const struct store_identity *identity = g_ptr_array_index(found, i);

		if (strcmp(identity->fields, fields) != 0)
			continue;
		if (identity->size == file->size)
			return identity->uid;
		alike = identity->uid;
	}
	return has_id ? alike : 0;
}
