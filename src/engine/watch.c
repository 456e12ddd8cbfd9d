/* Which folders are watched, so that what happens in them is seen at once and nobody polls them:
 * those that the account names, then those used last. By IDLE each takes a connection of its own,
 * by NOTIFY one connection watches many.
 *
 * A watched folder stays fresh until it is told of as changed. A connection that cannot be had, or
 * a folder that cannot be watched, is tried again after some minutes; meanwhile it is polled, as
 * any other is.
 */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

#include <string.h>

/* One that might be watched. */
struct wish {
	uint32_t folder;
	bool named; /* by the account */
	int64_t used_ms;
};

void watch_init(struct engine *engine)
{
	for (int i = 0; i < ENGINE_WATCHED; i++)
		engine->watchers[i].folders = g_array_new(FALSE, FALSE, sizeof(uint32_t));
}

void watch_clear(struct engine *engine)
{
	for (int i = 0; i < ENGINE_WATCHED; i++) {
		g_array_unref(engine->watchers[i].folders);
		g_free(engine->watchers[i].name);
	}
	g_free(engine->shared.watched);
}

static struct watcher *watcher_of(struct engine *engine, const struct lane *lane)
{
	long i = lane - &engine->lanes[LANE_WATCH];

	return i >= 0 && i < ENGINE_WATCHED ? &engine->watchers[i] : NULL;
}

static struct lane *lane_of(struct engine *engine, const struct watcher *watcher)
{
	return &engine->lanes[LANE_WATCH + (watcher - engine->watchers)];
}

static bool has(const GArray *folders, uint32_t id)
{
	for (unsigned i = 0; i < folders->len; i++) {
		if (g_array_index(folders, uint32_t, i) == id)
			return true;
	}
	return false;
}

/* --- what is told of it --- */

/* As a path in the mount; NULL if it is gone. */
static char *path_of(struct engine *engine, uint32_t id)
{
	char *path = NULL;
	struct folder_row row;

	while (id != INDEX_ROOT && index_folder_write_get(engine->index, id, &row)) {
		g_autofree char *name = engine->names.shown(row.leaf, row.parent == INDEX_ROOT);
		char *longer = g_strconcat(name, path ? "/" : NULL, path, NULL);

		g_free(path);
		path = longer;
		id = row.parent;
		folder_row_clear(&row);
	}
	return path;
}

static void share_watched(struct engine *engine)
{
	g_autoptr(GString) text = g_string_new(NULL);
	char *old;

	for (int i = 0; i < ENGINE_WATCHED; i++) {
		const struct watcher *watcher = &engine->watchers[i];

		for (unsigned j = 0; watcher->live && j < watcher->folders->len; j++) {
			uint32_t id = g_array_index(watcher->folders, uint32_t, j);
			g_autofree char *path = path_of(engine, id);

			if (path)
				g_string_append_printf(text, "%s%s", text->len ? ", " : "", path);
		}
	}
	pthread_mutex_lock(&engine->lock);
	old = engine->shared.watched;
	engine->shared.watched = text->len ? g_strdup(text->str) : NULL;
	pthread_mutex_unlock(&engine->lock);
	g_free(old);
}

/* --- the life of a watch --- */

static void set_watched(struct engine *engine, uint32_t id, bool on)
{
	folder_state(engine, id)->watched = on;
	folder_set_watched(engine, id, on);
}

/* Those of `kept` go on to be. */
static void unwatch(struct engine *engine, struct watcher *watcher, const GArray *kept)
{
	for (unsigned i = 0; i < watcher->folders->len; i++) {
		uint32_t id = g_array_index(watcher->folders, uint32_t, i);

		if (!kept || !has(kept, id))
			set_watched(engine, id, false);
	}
}

static void forget(struct engine *engine, struct watcher *watcher)
{
	unwatch(engine, watcher, NULL);
	g_array_set_size(watcher->folders, 0);
	g_clear_pointer(&watcher->name, g_free);
	watcher->ticket = 0;
	watcher->live = false;
	share_watched(engine);
}

void watch_began(struct engine *engine, uint32_t id)
{
	struct watcher *watcher = watcher_of(engine, engine->lane);
	struct folder_row row;

	if (!watcher || !has(watcher->folders, id) ||
	    !index_folder_write_get(engine->index, id, &row))
		return;
	watcher->live = true;
	set_watched(engine, id, true);
	/* Flags may have changed before, and nothing would show it. */
	if (row.modseq == 0) {
		folder_state(engine, id)->flags = true;
		folder_changed(engine, id);
	}
	folder_row_clear(&row);
	share_watched(engine);
}

static struct watcher *watcher_by(struct engine *engine, uint32_t ticket)
{
	for (int i = 0; i < ENGINE_WATCHED; i++) {
		if (engine->watchers[i].ticket == ticket)
			return &engine->watchers[i];
	}
	return NULL;
}

/* It is not the connection that failed, unless it was by our asking: what is never answered would
 * be asked for again and again, with a login each. */
static bool is_refused(struct engine *engine, const struct watcher *watcher, const GError *error)
{
	const struct lane *lane = lane_of(engine, watcher);

	return (lane->state == LANE_READY && !lane->dying) ||
	       (!watcher->live && g_error_matches(error, MAILFS_ERROR, ERROR_TIMEOUT));
}

void watch_done(struct engine *engine, struct store_job *job, const GError *error)
{
	struct watcher *watcher = watcher_by(engine, job->ticket);
	bool refused;

	/* Another one may have taken its place. */
	if (!watcher)
		return;
	refused = error && is_refused(engine, watcher, error);
	forget(engine, watcher);
	if (!error)
		return;
	if (refused && watcher->many)
		engine->watch_singly = true;
	else if (refused)
		folder_state(engine, job->folder)->watch_ms =
			engine->now_ms + ENGINE_WATCH_PAUSE_MS;
	log_debug("%s: not watched: %s", engine->account->name, error->message);
}

void watch_again(struct engine *engine)
{
	engine->watch_singly = false;
	engine->watch_look_ms = 0;
}

/* The mailboxes go by other names now, and what is watched has to be said anew. */
void watch_renamed(struct engine *engine)
{
	engine->watch_look_ms = 0;
	for (int i = 0; i < ENGINE_WATCHED; i++) {
		if (engine->watchers[i].many)
			forget(engine, &engine->watchers[i]);
	}
}

/* --- asking for it --- */

static bool may_ask(const struct engine *engine, const struct watcher *watcher)
{
	const struct lane *lane = lane_of((struct engine *)engine, watcher);

	return engine->now_ms >= lane->retry_ms && g_queue_is_empty((GQueue *)&lane->queue);
}

static void ask(struct engine *engine, struct watcher *watcher, struct store_job *job)
{
	job->ticket = watcher->ticket = ++engine->last_watch;
	watcher->asked_ms = engine->now_ms;
	lane_queue(engine, LANE_WATCH + (enum lane_id)(watcher - engine->watchers), job);
}

static void watch_one(struct engine *engine, struct watcher *watcher, uint32_t id)
{
	struct store_job *job;
	struct folder_row row;

	if (!index_folder_write_get(engine->index, id, &row))
		return;
	forget(engine, watcher);
	watcher->many = false;
	g_array_append_val(watcher->folders, id);
	job = store_job_new(STORE_WATCH);
	job->folder = id;
	job->name = g_strdup(row.name);
	watcher->name = g_strdup(row.name);
	folder_row_clear(&row);
	ask(engine, watcher, job);
}

static void watch_many(struct engine *engine, struct watcher *watcher, const GArray *wishes)
{
	struct store_job *job = store_job_new(STORE_WATCH);
	g_autoptr(GArray) folders = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	struct folder_row row;

	job->names = g_ptr_array_new_with_free_func(g_free);
	job->folders = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	for (unsigned i = 0; i < MIN(wishes->len, ENGINE_WATCHED_MANY); i++) {
		uint32_t id = g_array_index(wishes, struct wish, i).folder;

		if (!index_folder_write_get(engine->index, id, &row))
			continue;
		g_ptr_array_add(job->names, g_strdup(row.name));
		g_array_append_val(job->folders, id);
		g_array_append_val(folders, id);
		folder_row_clear(&row);
	}
	unwatch(engine, watcher, folders);
	g_array_unref(watcher->folders);
	watcher->folders = g_steal_pointer(&folders);
	watcher->many = true;
	ask(engine, watcher, job);
}

/* Nobody uses it any more: the connection may be closed. */
static void leave(struct engine *engine, struct watcher *watcher)
{
	struct store_job *job = store_job_new(STORE_LEAVE);

	job->name = g_strdup(watcher->name);
	lane_queue(engine, LANE_WATCH + (enum lane_id)(watcher - engine->watchers), job);
}

/* --- choosing --- */

static bool may_be_watched(struct engine *engine, uint32_t id)
{
	struct folder_row row;
	bool may;

	const struct folder_state *state = folder_state(engine, id);

	if (state->held || engine->now_ms < state->watch_ms ||
	    !index_folder_write_get(engine->index, id, &row))
		return false;
	may = !(row.attributes & STORE_ATTR_NOSELECT);
	folder_row_clear(&row);
	return may;
}

static void add_wish(struct engine *engine, GArray *wishes, const struct wish *wish)
{
	for (unsigned i = 0; i < wishes->len; i++) {
		if (g_array_index(wishes, struct wish, i).folder == wish->folder)
			return;
	}
	if (may_be_watched(engine, wish->folder))
		g_array_append_vals(wishes, wish, 1);
}

/* "Lists/Announce" as it stands in the mount, but for %3A and %2C: what parts the paths. */
static uint32_t folder_of_path(struct engine *engine, const char *path)
{
	g_autoptr(GString) text = g_string_new(path);
	g_auto(GStrv) leaves = NULL;
	uint32_t id = INDEX_ROOT;

	g_string_replace(text, "%3A", ":", 0);
	g_string_replace(text, "%2C", ",", 0);
	leaves = g_strsplit(text->str, "/", -1);
	for (unsigned i = 0; leaves[i]; i++) {
		bool at_root = id == INDEX_ROOT;
		bool inbox = at_root && g_ascii_strcasecmp(leaves[i], "INBOX") == 0;
		g_autofree char *raw = NULL;
		struct folder_row row;

		if (*leaves[i] == '\0')
			continue;
		raw = inbox ? g_strdup("INBOX") : engine->names.raw(leaves[i], at_root);
		if (!raw || !index_folder_child(engine->view, id, raw, &row))
			return INDEX_ROOT;
		id = row.id;
		folder_row_clear(&row);
	}
	return id;
}

static void add_named(struct engine *engine, GArray *wishes)
{
	const char *named = engine->account->idle ? engine->account->idle : "INBOX";
	g_auto(GStrv) paths = g_strsplit_set(named, ":,", -1);

	for (unsigned i = 0; paths[i]; i++) {
		struct wish wish = {.folder = folder_of_path(engine, paths[i]), .named = true};

		if (wish.folder != INDEX_ROOT)
			add_wish(engine, wishes, &wish);
	}
}

static void add_used(struct engine *engine, GArray *wishes)
{
	g_autoptr(GArray) used = folders_used(engine, ENGINE_WATCHED_MANY);

	for (unsigned i = 0; i < used->len; i++) {
		const struct folder_use *use = &g_array_index(used, struct folder_use, i);

		add_wish(engine, wishes,
			 &(struct wish){.folder = use->folder, .used_ms = use->used_ms});
	}
}

static const struct wish *find_wish(const GArray *wishes, uint32_t id)
{
	for (unsigned i = 0; i < wishes->len; i++) {
		const struct wish *wish = &g_array_index(wishes, struct wish, i);

		if (wish->folder == id)
			return wish;
	}
	return NULL;
}

/* It watches what is not wished any more, or not as much. */
static bool can_be_spared(const struct engine *engine, const struct watcher *watcher,
			  const GArray *wishes)
{
	const struct wish *wish =
		watcher->folders->len
			? find_wish(wishes, g_array_index(watcher->folders, uint32_t, 0))
			: NULL;

	if (watcher->folders->len == 0 || !wish)
		return true;
	/* Whoever walks over all folders must not have each of them watched in turn. */
	return !wish->named && engine->now_ms - wish->used_ms >= ENGINE_WATCH_KEPT_MS;
}

static bool is_watched(const struct engine *engine, uint32_t id)
{
	for (int i = 0; i < ENGINE_WATCHED; i++) {
		if (has(engine->watchers[i].folders, id))
			return true;
	}
	return false;
}

static struct watcher *find_free(struct engine *engine, const GArray *wishes)
{
	struct watcher *spare = NULL;

	for (int i = 0; i < ENGINE_WATCHED; i++) {
		struct watcher *watcher = &engine->watchers[i];

		if (!may_ask(engine, watcher) || !can_be_spared(engine, watcher, wishes))
			continue;
		if (watcher->folders->len == 0)
			return watcher;
		spare = spare ? spare : watcher;
	}
	return spare;
}

static void choose_singly(struct engine *engine, const GArray *wishes)
{
	for (unsigned i = 0; i < wishes->len; i++) {
		const struct wish *wish = &g_array_index(wishes, struct wish, i);
		struct watcher *watcher;

		if (is_watched(engine, wish->folder))
			continue;
		watcher = find_free(engine, wishes);
		if (!watcher)
			return;
		watch_one(engine, watcher, wish->folder);
	}
}

static void leave_unused(struct engine *engine, const GArray *wishes)
{
	for (int i = 0; i < ENGINE_WATCHED; i++) {
		struct watcher *watcher = &engine->watchers[i];

		if (watcher->live && !watcher->many && may_ask(engine, watcher) &&
		    !find_wish(wishes, g_array_index(watcher->folders, uint32_t, 0)))
			leave(engine, watcher);
	}
}

static bool lacks_some(const struct watcher *watcher, const GArray *wishes)
{
	for (unsigned i = 0; i < MIN(wishes->len, ENGINE_WATCHED_MANY); i++) {
		if (!has(watcher->folders, g_array_index(wishes, struct wish, i).folder))
			return true;
	}
	return false;
}

static void choose_many(struct engine *engine, const GArray *wishes)
{
	struct watcher *watcher = &engine->watchers[0];
	bool full = watcher->folders->len == ENGINE_WATCHED_MANY;

	if (!lacks_some(watcher, wishes) || !may_ask(engine, watcher) ||
	    (full && engine->now_ms < watcher->asked_ms + ENGINE_WATCH_KEPT_MS))
		return;
	watch_many(engine, watcher, wishes);
}

/* Without an event: for one that is not watched yet, or is not used any more then. */
static int64_t next_look_ms(const struct engine *engine, const GArray *wishes)
{
	int64_t look_ms = engine->now_ms + ENGINE_WATCH_LOOK_MS;

	for (int i = LANE_WATCH; i < LANES; i++) {
		if (engine->lanes[i].retry_ms > engine->now_ms)
			look_ms = MIN(look_ms, engine->lanes[i].retry_ms);
	}
	for (unsigned i = 0; i < wishes->len; i++) {
		const struct wish *wish = &g_array_index(wishes, struct wish, i);

		if (!wish->named || !is_watched(engine, wish->folder))
			return look_ms;
	}
	return INT64_MAX;
}

static bool may_watch(const struct engine *engine)
{
	const char *idle = engine->account->idle;

	return (!idle || *idle) && !brief_is(engine) && !brief_is_alone(engine) &&
	       engine->lanes[LANE_LIST].state == LANE_READY && engine->listed_inbox &&
	       !engine->listing;
}

int64_t watch_run(struct engine *engine)
{
	unsigned abilities = engine->shared.abilities;
	g_autoptr(GArray) wishes = NULL;

	if (!may_watch(engine) || !(abilities & (STORE_CAN_WATCH | STORE_CAN_WATCH_MANY)))
		return INT64_MAX;
	if (engine->now_ms < engine->watch_look_ms)
		return engine->watch_look_ms;
	engine->watch_look_ms = engine->now_ms + ENGINE_LOOK_MS;
	wishes = g_array_new(FALSE, TRUE, sizeof(struct wish));
	add_named(engine, wishes);
	add_used(engine, wishes);
	if ((abilities & STORE_CAN_WATCH_MANY) && !engine->watch_singly) {
		choose_many(engine, wishes);
	} else if (abilities & STORE_CAN_WATCH) {
		leave_unused(engine, wishes);
		choose_singly(engine, wishes);
	}
	return next_look_ms(engine, wishes);
}
