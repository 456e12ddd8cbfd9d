/* What is told to people, and to who watches a folder: what came and went there. Only what a folder
 * shows counts: what this mount has hidden already is no news when the server confirms it. */
#include "engine/engine_private.h"

#include "state/changes.h"
#include "state/names.h"

#define NEWS_MAX 1000 /* of a refresh, or a listing of folders, are told one by one */

static void add(struct engine *engine, const struct engine_news *news)
{
	struct engine_news copy = *news;

	copy.text = g_strdup(news->text);
	copy.token = g_strdup(news->token);
	copy.chosen = g_strdup(news->chosen);
	g_array_append_val(engine->news, copy);
}

static void news_free(void *data)
{
	struct engine_news *news = data;

	g_free((char *)news->text);
	g_free((char *)news->token);
	g_free((char *)news->chosen);
}

static void on_folder_made(void *data, const struct folder_row *row);

void news_init(struct engine *engine)
{
	engine->news = g_array_new(FALSE, FALSE, sizeof(struct engine_news));
	g_array_set_clear_func(engine->news, news_free);
	index_on_folder_made(engine->index, on_folder_made, engine);
}

void news_clear(struct engine *engine)
{
	index_on_folder_made(engine->index, NULL, NULL);
	g_array_unref(engine->news);
}

/* --- how many --- */

/* Those of INDEX_ROOT are folders. */
static bool is_told(struct engine *engine, uint32_t folder)
{
	struct folder_state *state = folder_state(engine, folder);

	if (state->news_began != state->began) {
		state->news_began = state->began;
		state->news = 0;
	}
	if (state->news++ == NEWS_MAX && !state->refreshing)
		news_many(engine, folder);
	return state->news <= NEWS_MAX;
}

void news_many(struct engine *engine, uint32_t folder)
{
	add(engine, &(struct engine_news){.kind = NEWS_MANY, .folder = folder});
}

void news_refreshed(struct engine *engine, uint32_t folder)
{
	struct folder_state *state = folder_state(engine, folder);

	if (state->news > NEWS_MAX)
		news_many(engine, folder);
	state->news = 0;
	if (folder == INDEX_ROOT)
		engine->news_of_folders = true;
}

/* --- messages --- */

static bool take_flags(void *data, const struct message_row *row)
{
	*(unsigned *)data = row->flags;
	return false;
}

unsigned news_shown_flags(struct engine *engine, uint32_t epoch, uint32_t uid, unsigned flags,
			  bool *ret_gone)
{
	struct overlay overlay = {0};

	if (changes_in(engine->state, epoch))
		changes_overlay(engine->state, epoch, uid, &overlay);
	*ret_gone = overlay.gone;
	return (flags | overlay.set) & ~overlay.clear;
}

/* Its folder lists it, by what readers know. */
static bool is_shown(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	unsigned flags = STORE_FLAG_DELETED;
	bool gone;

	index_message_get(engine->view, epoch, uid, take_flags, &flags);
	flags = news_shown_flags(engine, epoch, uid, flags, &gone);
	return !gone && !(flags & STORE_FLAG_DELETED);
}

void news_message(struct engine *engine, enum engine_news_kind kind, uint32_t folder,
		  uint32_t epoch, uint32_t uid)
{
	if (is_told(engine, folder) && (kind == NEWS_NEW || is_shown(engine, epoch, uid)))
		add(engine, &(struct engine_news){
				    .kind = kind, .folder = folder, .epoch = epoch, .uid = uid});
}

static bool take_label(void *data, const struct message_row *row)
{
	*(char **)data = g_strdup(row->label);
	return false;
}

static void add_gone(struct engine *engine, uint32_t folder, uint32_t epoch, uint32_t uid,
		     const char *label, const char *chosen)
{
	add(engine, &(struct engine_news){.kind = NEWS_GONE,
					  .folder = folder,
					  .epoch = epoch,
					  .uid = uid,
					  .text = label,
					  .token = engine->last_token,
					  .chosen = chosen});
}

void news_shifted(struct engine *engine, uint32_t folder, uint32_t epoch, uint32_t uid,
		  bool deleted)
{
	unsigned former = deleted ? 0 : STORE_FLAG_DELETED;
	g_autofree char *label = NULL;
	g_autofree char *chosen = NULL;
	bool gone;
	unsigned before = news_shown_flags(engine, epoch, uid, former, &gone);
	unsigned after = news_shown_flags(engine, epoch, uid, former ^ STORE_FLAG_DELETED, &gone);

	if (gone || !((before ^ after) & STORE_FLAG_DELETED) || !is_told(engine, folder))
		return;
	if (!deleted) {
		add(engine,
		    &(struct engine_news){
			    .kind = NEWS_NEW, .folder = folder, .epoch = epoch, .uid = uid});
		return;
	}
	if (!index_message_get(engine->view, epoch, uid, take_label, &label))
		return;
	chosen = names_get(engine->state, epoch, uid);
	add_gone(engine, folder, epoch, uid, label, chosen);
}

void news_gone(struct engine *engine, uint32_t folder, uint32_t epoch, uint32_t uid,
	       const char *label, const char *chosen)
{
	if (is_told(engine, folder) && is_shown(engine, epoch, uid))
		add_gone(engine, folder, epoch, uid, label, chosen);
}

void news_failed(struct engine *engine, uint32_t folder, uint32_t epoch, uint32_t uid,
		 const char *why)
{
	if (is_told(engine, folder))
		add(engine, &(struct engine_news){.kind = NEWS_FAILED,
						  .folder = folder,
						  .epoch = epoch,
						  .uid = uid,
						  .text = why});
}

/* --- folders --- */

static void on_folder_made(void *data, const struct folder_row *row)
{
	struct engine *engine = data;

	/* Those of the first listing are not new. */
	if (engine->news_of_folders && is_told(engine, INDEX_ROOT))
		add(engine, &(struct engine_news){.kind = NEWS_FOLDER_NEW,
						  .folder = row->id,
						  .own = engine->news_own});
}

void news_folder_gone(struct engine *engine, const struct folder_row *row, bool own)
{
	if (engine->news_of_folders && is_told(engine, INDEX_ROOT))
		add(engine, &(struct engine_news){.kind = NEWS_FOLDER_GONE,
						  .folder = row->id,
						  .own = own,
						  .parent = row->parent,
						  .text = row->leaf});
}

void news_folder_moved(struct engine *engine, const struct folder_row *row)
{
	add(engine, &(struct engine_news){.kind = NEWS_FOLDER_MOVED,
					  .folder = row->id,
					  .parent = row->parent,
					  .text = row->leaf});
}

/* --- the account --- */

void news_state(struct engine *engine, bool online)
{
	add(engine, &(struct engine_news){.kind = online ? NEWS_ONLINE : NEWS_OFFLINE});
}

void news_tell(struct engine *engine)
{
	for (guint i = 0; i < engine->news->len; i++)
		engine->events->news(engine->data,
				     &g_array_index(engine->news, struct engine_news, i));
	g_array_set_size(engine->news, 0);
}
