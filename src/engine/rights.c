/* What the server allows in a folder, and whether the sizes that it announces are true: both are
 * asked for once, when somebody has to know. What was allowed last is kept in the index, so that
 * changes can be judged without a connection. */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

/* --- rights --- */

void rights_free(void *data)
{
	struct known_rights *known = data;

	g_clear_pointer(&known->rights.keywords, g_ptr_array_unref);
	g_free(known);
}

static GPtrArray *copy_words(const GPtrArray *words)
{
	GPtrArray *copy = g_ptr_array_new_with_free_func(g_free);

	for (unsigned i = 0; words && i < words->len; i++)
		g_ptr_array_add(copy, g_strdup(g_ptr_array_index(words, i)));
	return copy;
}

static void keep(struct engine *engine, uint32_t folder, const struct store_rights *rights)
{
	g_autoptr(GString) words = g_string_new(NULL);

	for (unsigned i = 0; rights->keywords && i < rights->keywords->len; i++)
		g_string_append_printf(words, "%s%s", i > 0 ? " " : "",
				       (const char *)g_ptr_array_index(rights->keywords, i));
	index_rights_set(engine->index, &(struct rights_row){.folder = folder,
							     .read_only = rights->read_only,
							     .may = rights->may,
							     .flags = rights->flags,
							     .keywords = words->str});
}

static bool equals(const struct store_rights *a, const struct store_rights *b)
{
	unsigned n = b->keywords ? b->keywords->len : 0;

	if (a->read_only != b->read_only || a->may != b->may || a->flags != b->flags ||
	    a->keywords->len != n)
		return false;
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(g_ptr_array_index(a->keywords, i), g_ptr_array_index(b->keywords, i)))
			return false;
	}
	return true;
}

void rights_set(struct engine *engine, uint32_t folder, const struct store_rights *rights)
{
	struct known_rights *copy = g_new0(struct known_rights, 1);
	const struct known_rights *known;
	bool news;

	copy->rights = *rights;
	copy->rights.keywords = copy_words(rights->keywords);
	pthread_mutex_lock(&engine->lock);
	known = g_hash_table_lookup(engine->shared.rights, GUINT_TO_POINTER(folder));
	news = !known || !equals(&known->rights, rights);
	g_hash_table_insert(engine->shared.rights, GUINT_TO_POINTER(folder), copy);
	pthread_mutex_unlock(&engine->lock);
	if (news)
		keep(engine, folder, rights);
}

static GPtrArray *split_words(const char *text)
{
	GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) each = g_strsplit(text, " ", -1);

	for (char **word = each; *word; word++) {
		if (**word)
			g_ptr_array_add(words, g_strdup(*word));
	}
	return words;
}

static void remember(void *data, const struct rights_row *row)
{
	struct known_rights *known = g_new0(struct known_rights, 1);

	*known = (struct known_rights){.rights = {.read_only = row->read_only,
						  .may = row->may,
						  .flags = row->flags,
						  .keywords = split_words(row->keywords)},
				       .old = true};
	g_hash_table_insert(data, GUINT_TO_POINTER(row->folder), known);
}

void rights_init(struct engine *engine)
{
	struct shared *shared = &engine->shared;

	shared->abilities = engine->ops->always;
	shared->append_max_bytes = UINT64_MAX;
	shared->rights = g_hash_table_new_full(NULL, NULL, NULL, rights_free);
	index_rights_each(engine->index, remember, shared->rights);
	index_abilities_get(engine->index, &shared->abilities, &shared->append_max_bytes);
}

void rights_age(struct engine *engine)
{
	GHashTableIter iter;
	gpointer value;

	pthread_mutex_lock(&engine->lock);
	g_hash_table_iter_init(&iter, engine->shared.rights);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		((struct known_rights *)value)->old = true;
	pthread_mutex_unlock(&engine->lock);
}

void rights_forget(struct engine *engine, uint32_t folder)
{
	pthread_mutex_lock(&engine->lock);
	g_hash_table_remove(engine->shared.rights, GUINT_TO_POINTER(folder));
	pthread_mutex_unlock(&engine->lock);
}

static bool get_rights(struct engine *engine, uint32_t folder, bool always,
		       struct store_rights *ret)
{
	const struct known_rights *known;

	pthread_mutex_lock(&engine->lock);
	known = g_hash_table_lookup(engine->shared.rights, GUINT_TO_POINTER(folder));
	if (known && known->old && !always && !engine_is_stalled_locked(engine))
		known = NULL;
	if (known) {
		*ret = known->rights;
		ret->keywords = NULL;
	}
	pthread_mutex_unlock(&engine->lock);
	return known;
}

bool engine_rights(struct engine *engine, uint32_t folder, struct store_rights *ret)
{
	return get_rights(engine, folder, false, ret);
}

bool engine_last_rights(struct engine *engine, uint32_t folder, struct store_rights *ret)
{
	return get_rights(engine, folder, true, ret);
}

bool engine_has_keyword(struct engine *engine, uint32_t folder, const char *keyword)
{
	const struct known_rights *known;
	bool found = false;

	pthread_mutex_lock(&engine->lock);
	known = g_hash_table_lookup(engine->shared.rights, GUINT_TO_POINTER(folder));
	for (unsigned i = 0; known && i < known->rights.keywords->len && !found; i++)
		found = g_ascii_strcasecmp(g_ptr_array_index(known->rights.keywords, i), keyword) ==
			0;
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
	engine->measuring = true;
	engine->measured = (struct need){.kind = NEED_BODY, .id = epoch, .uid = uid};
	if (job->size_hint <= ENGINE_PAGES_SIZE && !brief_is(engine) &&
	    !body_is_under_way(engine, epoch, uid)) {
		/* Who opens it will read it: the whole tells the same. */
		store_job_free(&job);
		body_fetch(engine, epoch, uid);
		ahead_missed(engine, epoch, uid, false);
		return;
	}
	job->kind = STORE_MEASURE;
	lane_queue(engine, LANE_BODY, job);
}

void sizes_body_done(struct engine *engine, const struct store_job *job, const GError *error)
{
	struct need need = {.kind = NEED_BODY, .id = job->epoch, .uid = job->uid};

	if (!engine->measuring || !need_equal(&engine->measured, &need))
		return;
	engine->measuring = false;
	if (!error)
		sizes_set(engine, SIZES_TRUE); /* unless it has proved otherwise */
	settle_sizes(engine, error ? error_errno(error) : 0);
}

/* One that is gone tells nothing: whoever waits for others asks again with theirs. */
void sizes_done(struct engine *engine, const struct store_job *job, const GError *error)
{
	engine->measuring = false;
	if (!error)
		sizes_set(engine, job->honest ? SIZES_TRUE : SIZES_LIE);
	settle_sizes(engine, error ? error_errno(error) : 0);
}
