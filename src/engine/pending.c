/* What is pending: who waits for it, and which folders it concerns. */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"

static bool is_of_changes(const struct need *need)
{
	return need->kind == NEED_CHANGE || need->kind == NEED_CHANGES || need->kind == NEED_SPOOL;
}

bool pending_is_awaited(const struct engine *engine)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, engine->pending);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		if (is_of_changes(key))
			return true;
	}
	return engine->flushing;
}

bool pending_is_urgent(struct engine *engine)
{
	return pending_is_awaited(engine) || state_pending(engine->state) >= CHANGES_BATCH;
}

static int take_failure(struct engine *engine, uint32_t folder)
{
	gpointer key = GUINT_TO_POINTER(folder), value;
	GHashTableIter iter;
	int error = 0;

	if (folder != INDEX_ROOT) {
		error = GPOINTER_TO_INT(g_hash_table_lookup(engine->refused_in, key));
		g_hash_table_remove(engine->refused_in, key);
		return error;
	}
	g_hash_table_iter_init(&iter, engine->refused_in);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		error = GPOINTER_TO_INT(value);
	g_hash_table_remove_all(engine->refused_in);
	return error;
}

static bool spool_is_pending(struct engine *engine, uint32_t id, int *ret_error)
{
	struct spool_file file;
	bool pending;

	if (!spool_get(engine->state, id, &file))
		return false;
	pending = file.step == SPOOL_QUEUED || file.step == SPOOL_MARKED;
	*ret_error = file.step == SPOOL_FAILED ? file.error : 0;
	spool_file_clear(&file);
	return pending;
}

/* A `cp` has ended, and the system has not told yet that the file is closed. */
static bool waits_for_closing(struct engine *engine, const struct need *need)
{
	uint32_t folder = need->id == INDEX_ROOT ? 0 : need->id;

	if (engine->now_ms >= (int64_t)need->upto || spool_closing(engine->state, folder) == 0)
		return false;
	change_soon(engine, ENGINE_CLOSING_MS);
	return true;
}

bool pending_has(struct engine *engine, const struct need *need, int *ret_error)
{
	*ret_error = 0;
	switch (need->kind) {
	case NEED_CHANGE:
		return changes_pending(engine->state, need->id, need->uid);
	case NEED_SPOOL:
		return spool_is_pending(engine, need->uid, ret_error);
	default:
		break;
	}
	if (need->id == INDEX_ROOT ? state_pending(engine->state) > 0
				   : state_pending_of(engine->state, need->id) > 0)
		return true;
	if (waits_for_closing(engine, need))
		return true;
	*ret_error = take_failure(engine, need->id);
	return false;
}

void pending_settle_needs(struct engine *engine)
{
	bool down = lane_is_down(engine, LANE_CHANGE);
	GHashTableIter iter;
	gpointer key;
	int error;

	g_hash_table_iter_init(&iter, engine->pending);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const struct need *need = key;

		if (!is_of_changes(need))
			continue;
		if (pending_has(engine, need, &error)) {
			if (!down)
				continue;
			error = lanes_down_errno(engine);
		}
		report_settled(engine, need, error);
		g_hash_table_iter_remove(&iter);
	}
}

/* Silence is not waited for twice, and a server that keeps ending connections not for ever. */
bool pending_is_hopeless(const GError *error, unsigned tries)
{
	return tries > 1 || g_error_matches(error, MAILFS_ERROR, ERROR_TIMEOUT);
}

static bool concerns(const struct trouble *trouble, const struct need *need)
{
	switch (need->kind) {
	case NEED_CHANGES:
		return need->id == INDEX_ROOT || need->id == trouble->folder ||
		       need->id == trouble->target;
	case NEED_CHANGE:
		return trouble->epoch != 0 && need->id == trouble->epoch;
	case NEED_SPOOL:
		return trouble->spool != 0 && need->uid == trouble->spool;
	default:
		return false;
	}
}

void pending_give_up(struct engine *engine, const struct trouble *trouble, int error)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, engine->pending);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const struct need *need = key;

		if (!concerns(trouble, need))
			continue;
		report_settled(engine, need, error);
		g_hash_table_iter_remove(&iter);
	}
}

/* --- folders --- */

static void told_gone(void *data, const char *what)
{
	struct engine *engine = data;

	log_warning("%s: not done: %s: there is no such folder any more", engine->account->name,
		    what);
}

static void told_lost(void *data, const char *what)
{
	struct engine *engine = data;

	log_warning("%s: not done: %s: the server renumbered the folder", engine->account->name,
		    what);
}

static void bind_row(struct engine *engine, const struct folder_row *row)
{
	struct state_box box = {row->id, row->epoch, row->name, row->uidvalidity};

	state_bind(engine->state, &box, told_lost, engine);
}

typedef void (*folder_fn)(struct engine *engine, const struct folder_row *row, void *data);

struct walk {
	struct engine *engine;
	GArray *folders; /* of uint32_t: their children are still to be seen */
	folder_fn each;
	void *data;
};

static bool walk_child(void *data, const struct folder_row *row)
{
	const struct walk *walk = data;

	walk->each(walk->engine, row, walk->data);
	g_array_append_val(walk->folders, row->id);
	return true;
}

static void each_folder(struct engine *engine, folder_fn each, void *data)
{
	g_autoptr(GArray) folders = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	struct walk walk = {engine, folders, each, data};
	uint32_t root = INDEX_ROOT;

	g_array_append_val(folders, root);
	for (unsigned i = 0; i < folders->len; i++)
		index_folders_each(engine->view, g_array_index(folders, uint32_t, i), 0, walk_child,
				   &walk);
}

static void bind_one(struct engine *engine, const struct folder_row *row, void *data)
{
	bind_row(engine, row);
}

void pending_bind(struct engine *engine)
{
	each_folder(engine, bind_one, NULL);
}

/* That it is there is known; what it is is known once it has been opened. */
static void open_unbound(struct engine *engine, const struct folder_row *row, void *data)
{
	bool is_inbox = g_ascii_strcasecmp(row->name, "INBOX") == 0;
	GHashTable *unbound = data;

	if (row->attributes & STORE_ATTR_NOSELECT ||
	    !g_hash_table_remove(unbound, is_inbox ? "INBOX" : row->name))
		return;
	if (row->epoch == 0)
		folder_refresh(engine, row->id);
}

void pending_find_unbound(struct engine *engine)
{
	g_autoptr(GHashTable) unbound = changes_unbound(engine->state);
	GHashTableIter iter;
	gpointer mailbox;

	if (!unbound)
		return;
	each_folder(engine, open_unbound, unbound);
	g_hash_table_iter_init(&iter, unbound);
	while (g_hash_table_iter_next(&iter, &mailbox, NULL))
		changes_lose(engine->state, mailbox, told_gone, engine);
	pending_settle_needs(engine);
}

void pending_bind_folder(struct engine *engine, uint32_t folder)
{
	struct folder_row row;

	if (!index_folder_write_get(engine->index, folder, &row))
		return;
	bind_row(engine, &row);
	folder_row_clear(&row);
}
