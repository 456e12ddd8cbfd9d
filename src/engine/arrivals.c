/* The first listing of a folder, which is read while it comes. Its readers follow the order of
 * UIDs, and so does nearly every server; what comes out of order is remembered as late, and read at
 * the end.
 *
 * What an earlier mount has left of such a listing may be out of date: nobody reads it before it is
 * complete. */
#include "engine/engine_private.h"

#include "protocol/seqset.h"

/* Under engine->lock. There is none for a folder whose first listing was not read as it came, or
 * has ended and nothing in it was late. */
struct coming {
	uint32_t epoch;
	uint32_t told; /* up to this UID */
	uint32_t upto; /* so far the index shows it */
	bool now;      /* a refresh is under way */
	struct seqset late;
	bool lost; /* there are more than that */
};

void arrivals_free(void *data)
{
	struct coming *coming = data;

	seqset_clear(&coming->late);
	g_free(coming);
}

static struct coming *coming_locked(const struct engine *engine, uint32_t folder)
{
	return g_hash_table_lookup(engine->shared.arrivals, GUINT_TO_POINTER(folder));
}

/* --- any thread --- */

struct arrivals engine_arrivals(struct engine *engine, uint32_t folder)
{
	struct arrivals arrivals = {0};
	const struct coming *coming;

	pthread_mutex_lock(&engine->lock);
	coming = coming_locked(engine, folder);
	if (coming && coming->now && !coming->lost)
		arrivals = (struct arrivals){.epoch = coming->epoch, .upto = coming->upto};
	arrivals.lost = coming && coming->lost;
	pthread_mutex_unlock(&engine->lock);
	return arrivals;
}

/* NULL: none of this epoch was late. */
static const struct seqset *late_locked(const struct engine *engine,
					const struct folder_row *folder)
{
	const struct coming *coming = coming_locked(engine, folder->id);

	return coming && coming->epoch == folder->epoch ? &coming->late : NULL;
}

bool engine_came_late(struct engine *engine, const struct folder_row *folder, uint32_t uid)
{
	const struct seqset *late;
	bool was_late;

	pthread_mutex_lock(&engine->lock);
	late = late_locked(engine, folder);
	was_late = late && seqset_contains(late, uid);
	pthread_mutex_unlock(&engine->lock);
	return was_late;
}

uint32_t engine_next_late(struct engine *engine, const struct folder_row *folder, uint32_t after)
{
	const struct seqset *late;
	uint32_t next;

	pthread_mutex_lock(&engine->lock);
	late = late_locked(engine, folder);
	next = late ? seqset_next(late, after) : 0;
	pthread_mutex_unlock(&engine->lock);
	return next;
}

/* --- the engine's thread --- */

/* What was kept of another epoch is dropped. `is_empty`: nothing is known of this one, and it was
 * never listed. */
static struct coming *open_locked(struct engine *engine, const struct folder_row *row,
				  bool is_empty)
{
	struct coming *coming = coming_locked(engine, row->id);

	if (coming && coming->epoch == row->epoch)
		return coming;
	g_hash_table_remove(engine->shared.arrivals, GUINT_TO_POINTER(row->id));
	if (!is_empty)
		return NULL;
	coming = g_new0(struct coming, 1);
	coming->epoch = row->epoch;
	g_hash_table_insert(engine->shared.arrivals, GUINT_TO_POINTER(row->id), coming);
	return coming;
}

void arrivals_begin(struct engine *engine, uint32_t folder)
{
	struct folder_row row;
	struct coming *coming;
	uint32_t highest;
	bool is_empty;

	if (!index_folder_write_get(engine->index, folder, &row))
		return;
	is_empty = !row.synced && index_messages_count(engine->index, row.epoch, &highest) == 0;
	pthread_mutex_lock(&engine->lock);
	coming = open_locked(engine, &row, is_empty);
	if (coming && !row.synced)
		coming->now = true;
	pthread_mutex_unlock(&engine->lock);
	folder_row_clear(&row);
	/* Who waits for another epoch, or for the listing to go on, is to look again. */
	needs_settle(engine, NEED_MESSAGES, folder, 0, 0);
}

/* The index has one that it had not. */
static void put_locked(struct coming *coming, uint32_t uid)
{
	if (coming->lost || uid >= coming->told)
		return;
	seqset_add(&coming->late, uid, uid);
	coming->lost = coming->late.ranges->len > ENGINE_LATE;
}

void arrivals_put(struct engine *engine, uint32_t folder, uint32_t uid)
{
	struct coming *coming;

	pthread_mutex_lock(&engine->lock);
	coming = coming_locked(engine, folder);
	if (coming)
		put_locked(coming, uid);
	pthread_mutex_unlock(&engine->lock);
}

void arrivals_told(struct engine *engine, uint32_t folder, uint32_t uid, bool is_new)
{
	struct coming *coming;
	bool more;

	pthread_mutex_lock(&engine->lock);
	coming = coming_locked(engine, folder);
	if (coming && is_new)
		put_locked(coming, uid);
	more = coming && uid > coming->told;
	if (more)
		coming->told = uid;
	pthread_mutex_unlock(&engine->lock);
	if (more)
		needs_settle(engine, NEED_MESSAGES, folder, 0, 0);
}

void arrivals_shown(struct engine *engine)
{
	GHashTableIter iter;
	gpointer value;

	pthread_mutex_lock(&engine->lock);
	g_hash_table_iter_init(&iter, engine->shared.arrivals);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct coming *coming = value;

		coming->upto = coming->told;
	}
	pthread_mutex_unlock(&engine->lock);
}

void arrivals_end(struct engine *engine, uint32_t folder, bool complete)
{
	struct coming *coming;

	pthread_mutex_lock(&engine->lock);
	coming = coming_locked(engine, folder);
	if (coming)
		coming->now = false;
	if (coming && complete && !coming->late.ranges)
		g_hash_table_remove(engine->shared.arrivals, GUINT_TO_POINTER(folder));
	pthread_mutex_unlock(&engine->lock);
}

void arrivals_forget(struct engine *engine, uint32_t folder)
{
	pthread_mutex_lock(&engine->lock);
	g_hash_table_remove(engine->shared.arrivals, GUINT_TO_POINTER(folder));
	pthread_mutex_unlock(&engine->lock);
}

bool arrivals_have(struct engine *engine, const struct folder_row *row, uint64_t upto)
{
	const struct coming *coming;
	bool have = row->synced;

	pthread_mutex_lock(&engine->lock);
	coming = coming_locked(engine, row->id);
	if (coming && coming->now && !coming->lost && coming->epoch == row->epoch)
		have = coming->told > upto;
	pthread_mutex_unlock(&engine->lock);
	return have;
}
