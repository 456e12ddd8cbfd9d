/* Views of a folder: unlisted directories of some of its messages, with the names and nodes that
 * they have there. */

#include "state/changes.h"
#include "store/store.h"
#include "tree/attr.h"
#include "tree/name.h"
#include "tree/node.h"
#include "tree/shown.h"

#include <errno.h>
#include <string.h>

#define COOKIE_DOT 1
#define COOKIE_DOT_DOT 2
#define DOTS 2u
#define COOKIE_MESSAGES (1ull << 33)

struct view {
	const char *name; /* NULL: none */
	enum shown_place place;
	/* What of it the index knows. */
	void (*each)(struct index_view *view, uint32_t epoch, uint32_t after_uid,
		     index_message_each_fn each, void *data);
};

static const struct view views[] = {
	[NODE_VIEW_DELETED] = {".deleted", SHOWN_DELETED, index_deleted_each},
};

/* NULL for a number that was never a view's. */
static const struct view *view_of(uint64_t node)
{
	uint32_t number = node_low(node);

	if (number >= G_N_ELEMENTS(views) || views[number].name == NULL)
		return NULL;
	return &views[number];
}

char *view_name(uint64_t node)
{
	const struct view *view = view_of(node);

	return view != NULL ? g_strdup(view->name) : NULL;
}

static void view_entry(const struct visit *visit, const struct folder_row *folder, uint32_t number,
		       struct tree_entry *ret)
{
	folder_entry(visit, folder, ret);
	ret->node = node_pack(NODE_VIEW, folder->id, number);
	ret->attr.st_ino = ret->node;
}

int view_lookup_dir(const struct visit *visit, const struct folder_row *folder, const char *name,
		    struct tree_entry *ret)
{
	for (uint32_t number = 0; number < G_N_ELEMENTS(views); number++) {
		if (views[number].name == NULL || strcmp(name, views[number].name) != 0)
			continue;
		view_entry(visit, folder, number, ret);
		return 0;
	}
	return ENOENT;
}

/* The folder of a view, and whether it is fresh. */
static int get_folder(const struct visit *visit, uint64_t node, struct folder_row *ret,
		      bool *ret_fresh)
{
	uint32_t id = tree_node_epoch(node);
	bool fresh = engine_folder_is_fresh(visit->tree->config.engine, id);

	if (view_of(node) == NULL || !index_folder_get(visit->view, id, ret))
		return ESTALE;
	*ret_fresh = fresh;
	return 0;
}

static int find(const struct visit *visit, const struct folder_row *folder, const struct view *view,
		const char *name, bool fresh, struct tree_entry *ret)
{
	struct shown_message message;
	enum shown_result result;
	struct shown shown;
	int wait;

	shown_init(&shown, visit, folder);
	result = shown_find(visit, &shown, name, view->place, &message);
	if (result == SHOWN_FOUND) {
		*ret = message.entry;
		return 0;
	}
	if (!name_is_message_like(name))
		result = parts_find(visit, &shown, name, view->place, ret);
	if (result == SHOWN_FOUND)
		return 0;
	wait = result == SHOWN_UNKNOWN ? folder_wait(visit, folder, fresh) : 0;
	return wait != 0 ? wait : ENOENT;
}

static int view_lookup(const struct visit *visit, uint64_t parent, const char *name,
		       struct tree_entry *ret)
{
	struct folder_row folder;
	bool fresh;
	int result = get_folder(visit, parent, &folder, &fresh);

	if (result != 0)
		return result;
	result = find(visit, &folder, view_of(parent), name, fresh, ret);
	folder_row_clear(&folder);
	return result;
}

static int view_getattr(const struct visit *visit, uint64_t node, struct tree_entry *ret)
{
	struct folder_row folder;
	bool fresh;
	int result = get_folder(visit, node, &folder, &fresh);

	if (result != 0)
		return result;
	if (folder.synced)
		result = folder_wait(visit, &folder, fresh);
	if (result == 0)
		view_entry(visit, &folder, node_low(node), ret);
	folder_row_clear(&folder);
	return result;
}

static int view_opendir(const struct visit *visit, uint64_t node, int64_t *ret_generation,
			uint32_t *ret_entries)
{
	struct folder_row folder;
	bool fresh;
	int result = get_folder(visit, node, &folder, &fresh);

	if (result != 0)
		return result;
	result = folder_wait(visit, &folder, fresh);
	if (result == 0) {
		uint32_t listed, deleted;
		struct shown shown;

		shown_init(&shown, visit, &folder);
		shown_count(visit, &shown, &folder, &listed, &deleted);
		*ret_generation = folder_generation(visit, &folder);
		*ret_entries = DOTS + deleted;
	}
	folder_row_clear(&folder);
	return result;
}

/* --- listing --- */

/* What the index holds of the view and what our changes bring into it, by UID. */
struct walk {
	const struct visit *visit;
	const struct view *view;
	struct shown shown;
	GArray *changed; /* UIDs, ascending; NULL: none */
	guint next;	 /* in `changed` */
	tree_entry_fn each;
	void *data;
	bool stopped;
};

static bool list_row(void *data, const struct message_row *row)
{
	struct walk *walk = data;
	g_autofree char *name = NULL;
	struct tree_entry entry;

	if (shown_place(&walk->shown, row) != walk->view->place)
		return true;
	name = shown_name(&walk->shown, row);
	shown_entry(&walk->shown, row, &entry);
	walk->stopped = !walk->each(walk->data, name, &entry, COOKIE_MESSAGES + row->uid);
	return !walk->stopped;
}

/* Those that the index does not hold in the view, up to `uid`. */
static bool list_changed(struct walk *walk, uint32_t upto)
{
	while (walk->changed != NULL && walk->next < walk->changed->len && !walk->stopped) {
		uint32_t uid = g_array_index(walk->changed, uint32_t, walk->next);

		if (uid > upto)
			break;
		walk->next++;
		index_message_get(walk->visit->view, walk->shown.epoch, uid, list_row, walk);
	}
	return !walk->stopped;
}

static bool list_known(void *data, const struct message_row *row)
{
	struct walk *walk = data;
	bool again;

	if (!list_changed(walk, row->uid - 1))
		return false;
	again = walk->changed != NULL && walk->next < walk->changed->len &&
		g_array_index(walk->changed, uint32_t, walk->next) == row->uid;
	if (again)
		walk->next++;
	return list_row(walk, row);
}

static void list_messages(struct walk *walk, uint32_t after)
{
	if (walk->shown.epoch == 0)
		return;
	if (walk->shown.changed)
		walk->changed = changes_uids(walk->visit->tree->config.state, walk->shown.epoch);
	while (walk->changed != NULL && walk->next < walk->changed->len &&
	       g_array_index(walk->changed, uint32_t, walk->next) <= after)
		walk->next++;
	walk->view->each(walk->visit->view, walk->shown.epoch, after, list_known, walk);
	list_changed(walk, UINT32_MAX);
	g_clear_pointer(&walk->changed, g_array_unref);
}

static void list_dots(struct walk *walk, const struct folder_row *folder, uint32_t number,
		      uint64_t cookie)
{
	struct tree_entry entry;

	view_entry(walk->visit, folder, number, &entry);
	walk->stopped = cookie < COOKIE_DOT && !walk->each(walk->data, ".", &entry, COOKIE_DOT);
	if (walk->stopped || cookie >= COOKIE_DOT_DOT)
		return;
	folder_entry(walk->visit, folder, &entry);
	walk->stopped = !walk->each(walk->data, "..", &entry, COOKIE_DOT_DOT);
}

static int view_readdir(const struct visit *visit, uint64_t node, uint64_t cookie,
			tree_entry_fn each, void *data)
{
	uint64_t after = cookie <= COOKIE_MESSAGES ? 0 : cookie - COOKIE_MESSAGES;
	struct walk walk = {.visit = visit, .view = view_of(node), .each = each, .data = data};
	struct folder_row folder;

	if (walk.view == NULL || !index_folder_get(visit->view, tree_node_epoch(node), &folder))
		return ESTALE;
	shown_init(&walk.shown, visit, &folder);
	list_dots(&walk, &folder, node_low(node), cookie);
	if (!walk.stopped)
		list_messages(&walk, (uint32_t)MIN(after, UINT32_MAX));
	folder_row_clear(&folder);
	return 0;
}

const struct node_ops view_ops = {
	.lookup = view_lookup,
	.getattr = view_getattr,
	.opendir = view_opendir,
	.readdir = view_readdir,
};
