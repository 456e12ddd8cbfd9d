/* What the server allows in a folder, and whether the sizes that it announces are true: both are
 * asked for once, when somebody has to know. */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>

/* --- rights --- */

void rights_free(void *data)
{
	struct store_rights *rights = data;

	g_clear_pointer(&rights->keywords, g_ptr_array_unref);
	g_free(rights);
}

static GPtrArray *copy_words(const GPtrArray *words)
{
	GPtrArray *copy = g_ptr_array_new_with_free_func(g_free);

	for (unsigned i = 0; words && i < words->len; i++)
		g_ptr_array_add(copy, g_strdup(g_ptr_array_index(words, i)));
	return copy;
}

void rights_set(struct engine *engine, uint32_t folder, const struct store_rights *rights)
{
	struct store_rights *copy = g_memdup2(rights, sizeof(*rights));

	copy->keywords = copy_words(rights->keywords);
	pthread_mutex_lock(&engine->lock);
	g_hash_table_insert(engine->shared.rights, GUINT_TO_POINTER(folder), copy);
	pthread_mutex_unlock(&engine->lock);
}

void rights_forget(struct engine *engine, uint32_t folder)
{
	pthread_mutex_lock(&engine->lock);
	g_hash_table_remove(engine->shared.rights, GUINT_TO_POINTER(folder));
	pthread_mutex_unlock(&engine->lock);
}

bool engine_rights(struct engine *engine, uint32_t folder, struct store_rights *ret)
{
	const struct store_rights *known;

	pthread_mutex_lock(&engine->lock);
	known = g_hash_table_lookup(engine->shared.rights, GUINT_TO_POINTER(folder));
	if (known) {
		*ret = *known;
		ret->keywords = NULL;
	}
	pthread_mutex_unlock(&engine->lock);
	return known;
}

bool engine_has_keyword(struct engine *engine, uint32_t folder, const char *keyword)
{
	const struct store_rights *known;
	bool found = false;

	pthread_mutex_lock(&engine->lock);
	known = g_hash_table_lookup(engine->shared.rights, GUINT_TO_POINTER(folder));
	for (unsigned i = 0; known && i < known->keywords->len && !found; i++)
		found = g_ascii_strcasecmp(g_ptr_array_index(known->keywords, i), keyword) == 0;
	pthread_mutex_unlock(&engine->lock);
	return found;
}

bool rights_are_known(struct engine *engine, uint32_t folder)
{
	struct store_rights rights;

	return engine_rights(engine, folder, &rights);
}

/* On the connection that lists: it is there, and opens each mailbox anew anyway. */
void rights_ask(struct engine *engine, uint32_t folder)
{
	struct folder_row row;
	struct store_job *job;

	if (!index_folder_write_get(engine->index, folder, &row)) {
		needs_settle(engine, NEED_RIGHTS, folder, 0, ENOENT);
		return;
	}
	job = store_job_new(STORE_RIGHTS);
	job->folder = folder;
	job->name = g_strdup(row.name);
	job->known.uidvalidity = row.uidvalidity;
	folder_row_clear(&row);
	lane_queue(engine, LANE_LIST, job);
}

void rights_done(struct engine *engine, const struct store_job *job, const GError *error)
{
	if (error)
		log_info("%s: %s", engine->account->name, error->message);
	needs_settle(engine, NEED_RIGHTS, job->folder, 0, error ? error_errno(error) : 0);
}

/* --- sizes --- */

enum sizes_trust engine_trusts_sizes(struct engine *engine)
{
	enum sizes_trust trust;

	pthread_mutex_lock(&engine->lock);
	trust = engine->shared.trust;
	pthread_mutex_unlock(&engine->lock);
	return trust;
}

void sizes_set(struct engine *engine, enum sizes_trust trust)
{
	enum sizes_trust before = engine_trusts_sizes(engine);

	if (before == trust || before == SIZES_LIE)
		return;
	/* Of a maildrop they never count: nothing to be told of. */
	if (trust == SIZES_LIE && !brief_is(engine))
		log_info("%s: the server announces wrong sizes: messages are fetched before they "
			 "are open",
			 engine->account->name);
	index_sizes_set(engine->index, trust);
	pthread_mutex_lock(&engine->lock);
	engine->shared.trust = trust;
	pthread_mutex_unlock(&engine->lock);
}

static void settle_sizes(struct engine *engine, int error)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, engine->pending);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const struct need *need = key;

		if (need->kind != NEED_SIZE)
			continue;
		report_settled(engine, need, error);
		g_hash_table_iter_remove(&iter);
	}
}

void sizes_ask(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	struct store_job *job;

	if (engine->measuring)
		return;
	job = body_job(engine, epoch, uid);
	if (!job) {
		needs_settle(engine, NEED_SIZE, epoch, uid, ESTALE);
		return;
	}
	job->kind = STORE_MEASURE;
	engine->measuring = true;
	lane_queue(engine, LANE_BODY, job);
}

/* One that is gone tells nothing: whoever waits for others asks again with theirs. */
void sizes_done(struct engine *engine, const struct store_job *job, const GError *error)
{
	engine->measuring = false;
	if (!error)
		sizes_set(engine, job->honest ? SIZES_TRUE : SIZES_LIE);
	settle_sizes(engine, error ? error_errno(error) : 0);
}
