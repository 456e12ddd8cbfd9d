/* Folders and the root, which is the folder INDEX_ROOT without messages. */

#include "store/store.h"
#include "tree/attr.h"
#include "tree/name.h"
#include "tree/node.h"
#include "tree/tree_private.h"

#include <errno.h>
#include <string.h>

#define COOKIE_DOT 1
#define COOKIE_DOT_DOT 2
#define DOTS 2u
/* Child folders stand before messages; both are resumed by key. */
#define COOKIE_FOLDERS (1ull << 32)
#define COOKIE_MESSAGES (1ull << 33)

static bool is_selectable(const struct folder_row *row)
{
	return (row->attributes & (STORE_ATTR_NOSELECT | STORE_ATTR_NONEXISTENT)) == 0;
}

static void folder_entry(struct tree_entry *ret, const struct folder_row *row)
{
	attr_dir(ret, tree_folder_node(row->id), row->mtime_ns);
}

void folder_root_entry(const struct visit *visit, struct tree_entry *ret)
{
	struct folder_row root;

	if (!index_folder_get(visit->view, INDEX_ROOT, &root)) {
		attr_dir(ret, NODE_ROOT, 0);
		return;
	}
	folder_entry(ret, &root);
	folder_row_clear(&root);
}

/* --- waiting --- */

/* Freshness is asked before the index is read: else a refresh that ends in between would make an
 * old answer look like a new one. */
static bool is_fresh(const struct visit *visit, uint32_t folder)
{
	struct engine *engine = visit->tree->config.engine;

	return folder == INDEX_ROOT ? engine_folders_are_fresh(engine)
				    : engine_folder_is_fresh(engine, folder);
}

static int wait_for_folders(const struct visit *visit, bool fresh)
{
	struct need need = {.kind = NEED_FOLDERS};

	if (fresh)
		return 0;
	if (index_folders_count(visit->view, INDEX_ROOT) == 0)
		return visit_need_hard(visit, &need);
	return visit_need_soft(visit, &need);
}

static int wait_for_messages(const struct visit *visit, const struct folder_row *row, bool fresh)
{
	struct need need = {.kind = NEED_FOLDER, .id = row->id};

	if (!is_selectable(row))
		return 0;
	if (!row->synced)
		return visit_need_hard(visit, &need);
	return fresh ? 0 : visit_need_soft(visit, &need);
}

/* --- looking up --- */

struct search {
	const char *name;
	uint32_t parent;
	uint32_t found; /* 0: not */
};

static bool compare_sibling(void *data, const struct folder_row *row)
{
	struct search *search = data;
	g_autofree char *name = tree_folder_name(search->parent, row->leaf);

	if (strcmp(name, search->name) == 0)
		search->found = row->id;
	return search->found == 0;
}

static bool find_child(struct index_view *view, uint32_t parent, const char *name,
		       struct folder_row *ret)
{
	struct search search = {.name = name, .parent = parent};
	g_autofree char *raw = NULL;

	if (parent == INDEX_ROOT && g_ascii_strcasecmp(name, "INBOX") == 0)
		return index_inbox(view, ret);
	if (name_is_cut(name)) {
		index_folders_each(view, parent, 0, compare_sibling, &search);
		return search.found != 0 && index_folder_get(view, search.found, ret);
	}
	raw = name_to_raw(name, parent == INDEX_ROOT);
	return raw != NULL && index_folder_child(view, parent, raw, ret);
}

static int lookup_child(const struct visit *visit, uint32_t parent, const char *name,
			struct tree_entry *ret)
{
	bool fresh = is_fresh(visit, INDEX_ROOT);
	struct folder_row row;
	int result;

	if (find_child(visit->view, parent, name, &row)) {
		folder_entry(ret, &row);
		folder_row_clear(&row);
		return 0;
	}
	result = wait_for_folders(visit, fresh);
	return result != 0 ? result : ENOENT;
}

static int lookup_message(const struct visit *visit, uint32_t folder, const char *name,
			  struct tree_entry *ret)
{
	bool fresh = is_fresh(visit, folder);
	struct folder_row row;
	uint32_t uid;
	int result;

	if (!name_parse_message(name, &uid))
		return ENOENT;
	if (!index_folder_get(visit->view, folder, &row))
		return ESTALE;
	result = message_lookup(visit, &row, uid, name, ret);
	if (result == ENOENT) {
		int wait = wait_for_messages(visit, &row, fresh);

		result = wait != 0 ? wait : ENOENT;
	}
	folder_row_clear(&row);
	return result;
}

static int folder_lookup(const struct visit *visit, uint64_t parent, const char *name,
			 struct tree_entry *ret)
{
	uint32_t folder = tree_node_epoch(parent);

	/* Probes for .git, .Trash and the like are answered at once: no folder's name begins so. */
	if (name[0] == '.')
		return folder == INDEX_ROOT ? control_lookup_dir(visit, name, ret) : ENOENT;
	if (!name_is_message_like(name))
		return lookup_child(visit, folder, name, ret);
	return folder == INDEX_ROOT ? ENOENT : lookup_message(visit, folder, name, ret);
}

/* --- attributes --- */

static int folder_getattr(const struct visit *visit, uint64_t node, struct tree_entry *ret)
{
	uint32_t folder = tree_node_epoch(node);
	struct folder_row row;
	bool fresh;
	int result = 0;

	if (folder == INDEX_ROOT) {
		folder_root_entry(visit, ret);
		return 0;
	}
	fresh = is_fresh(visit, folder);
	if (!index_folder_get(visit->view, folder, &row))
		return ESTALE;
	/* So that stat(1) shows new mail. One never listed has nothing to refresh. */
	if (row.synced)
		result = wait_for_messages(visit, &row, fresh);
	if (result == 0)
		folder_entry(ret, &row);
	folder_row_clear(&row);
	return result;
}

/* --- listing --- */

static int open_root(const struct visit *visit, int64_t *ret_generation, uint32_t *ret_entries)
{
	int result = wait_for_folders(visit, is_fresh(visit, INDEX_ROOT));
	struct folder_row root;

	if (result != 0)
		return result;
	*ret_generation = 0;
	if (index_folder_get(visit->view, INDEX_ROOT, &root)) {
		*ret_generation = root.mtime_ns;
		folder_row_clear(&root);
	}
	*ret_entries = DOTS + index_folders_count(visit->view, INDEX_ROOT);
	return 0;
}

static int folder_opendir(const struct visit *visit, uint64_t node, int64_t *ret_generation,
			  uint32_t *ret_entries)
{
	uint32_t folder = tree_node_epoch(node);
	struct folder_row row;
	bool fresh;
	int result;

	if (folder == INDEX_ROOT)
		return open_root(visit, ret_generation, ret_entries);
	fresh = is_fresh(visit, folder);
	if (!index_folder_get(visit->view, folder, &row))
		return ESTALE;
	result = wait_for_messages(visit, &row, fresh);
	if (result == 0) {
		*ret_generation = row.mtime_ns;
		*ret_entries = DOTS + index_folders_count(visit->view, row.id) + row.messages;
	}
	folder_row_clear(&row);
	return result;
}

struct listing {
	const struct tree *tree;
	const struct folder_row *folder; /* NULL: the root */
	tree_entry_fn each;
	void *data;
	bool stopped;
};

static bool list_one(struct listing *listing, const char *name, const struct tree_entry *entry,
		     uint64_t cookie)
{
	listing->stopped = !listing->each(listing->data, name, entry, cookie);
	return !listing->stopped;
}

static bool list_child(void *data, const struct folder_row *row)
{
	struct listing *listing = data;
	g_autofree char *name = tree_folder_name(row->parent, row->leaf);
	struct tree_entry entry;

	folder_entry(&entry, row);
	return list_one(listing, name, &entry, COOKIE_FOLDERS + row->id);
}

static bool list_message(void *data, const struct message_row *row)
{
	struct listing *listing = data;
	g_autofree char *name =
		tree_message_name(listing->tree, row->uid, row->label, listing->folder->token);
	struct tree_entry entry;

	message_entry(&entry, listing->folder->epoch, row);
	return list_one(listing, name, &entry, COOKIE_MESSAGES + row->uid);
}

static void get_parent_entry(const struct visit *visit, const struct folder_row *folder,
			     struct tree_entry *ret)
{
	struct folder_row parent;

	if (folder == NULL || folder->parent == INDEX_ROOT ||
	    !index_folder_get(visit->view, folder->parent, &parent)) {
		folder_root_entry(visit, ret);
		return;
	}
	folder_entry(ret, &parent);
	folder_row_clear(&parent);
}

static void list_dots(const struct visit *visit, struct listing *listing, uint64_t cookie)
{
	struct tree_entry entry;

	if (listing->folder != NULL)
		folder_entry(&entry, listing->folder);
	else
		folder_root_entry(visit, &entry);
	if (cookie < COOKIE_DOT && !list_one(listing, ".", &entry, COOKIE_DOT))
		return;
	get_parent_entry(visit, listing->folder, &entry);
	list_one(listing, "..", &entry, COOKIE_DOT_DOT);
}

/* The last key that a cookie stands for; 0: before the first. */
static uint32_t key_after(uint64_t cookie, uint64_t base)
{
	return cookie <= base ? 0 : (uint32_t)MIN(cookie - base, (uint64_t)UINT32_MAX);
}

static void list_all(const struct visit *visit, struct listing *listing, uint32_t id,
		     uint64_t cookie)
{
	if (cookie < COOKIE_DOT_DOT)
		list_dots(visit, listing, cookie);
	if (!listing->stopped && cookie < COOKIE_MESSAGES)
		index_folders_each(visit->view, id, key_after(cookie, COOKIE_FOLDERS), list_child,
				   listing);
	if (!listing->stopped && listing->folder != NULL && listing->folder->epoch != 0)
		index_messages_each(visit->view, listing->folder->epoch,
				    key_after(cookie, COOKIE_MESSAGES), list_message, listing);
}

static int folder_readdir(const struct visit *visit, uint64_t node, uint64_t cookie,
			  tree_entry_fn each, void *data)
{
	struct listing listing = {.tree = visit->tree, .each = each, .data = data};
	uint32_t folder = tree_node_epoch(node);
	struct folder_row row;

	if (folder == INDEX_ROOT) {
		list_all(visit, &listing, folder, cookie);
		return 0;
	}
	if (!index_folder_get(visit->view, folder, &row))
		return ESTALE;
	listing.folder = &row;
	list_all(visit, &listing, folder, cookie);
	folder_row_clear(&row);
	return 0;
}

const struct node_ops folder_ops = {
	.lookup = folder_lookup,
	.getattr = folder_getattr,
	.opendir = folder_opendir,
	.readdir = folder_readdir,
};
