/* Folders and the root, which is the folder INDEX_ROOT without messages. */

#include "store/store.h"
#include "tree/attr.h"
#include "tree/extras.h"
#include "tree/name.h"
#include "tree/node.h"
#include "tree/shown.h"
#include "tree/spot.h"

#include <errno.h>
#include <string.h>

#define COOKIE_DOT 1
#define COOKIE_DOT_DOT 2
#define DOTS 2u
#define COOKIE_OUTBOX 3 /* in the root */
/* Child folders stand before messages, and those before what is no message here yet; all are
 * resumed by key. */
#define COOKIE_FOLDERS (1ull << 32)
#define COOKIE_MESSAGES (1ull << 33)
#define COOKIE_EXTRAS (1ull << 34)
/* Who began to read the messages during the folder's first listing goes on in the order in which
 * it came: those that came late are the last. All his cookies name the epoch, in the bits above. */
#define COOKIE_LATE (COOKIE_EXTRAS + (1ull << 33))
#define COOKIE_BITS 35

static bool is_selectable(const struct folder_row *row)
{
	return (row->attributes & (STORE_ATTR_NOSELECT | STORE_ATTR_NONEXISTENT)) == 0;
}

static int64_t touched_ns(const struct visit *visit, const struct folder_row *row)
{
	return state_touched_ns(visit->tree->config.state, row->id);
}

/* Both rise strictly with what they tell of; the later one alone could miss a change that was told
 * late. */
int64_t folder_generation(const struct visit *visit, const struct folder_row *row)
{
	return (int64_t)((uint64_t)row->mtime_ns + (uint64_t)touched_ns(visit, row));
}

void folder_entry(const struct visit *visit, const struct folder_row *row, struct tree_entry *ret)
{
	attr_dir(ret, tree_folder_node(row->id), MAX(row->mtime_ns, touched_ns(visit, row)));
	if (!visit->tree->config.account->read_only)
		attr_set_writable(ret);
}

void folder_root_entry(const struct visit *visit, struct tree_entry *ret)
{
	struct folder_row root;

	if (!index_folder_get(visit->view, INDEX_ROOT, &root)) {
		attr_dir(ret, NODE_ROOT, 0);
		return;
	}
	folder_entry(visit, &root, ret);
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

/* For the first listing to have come further than `arrivals`, or to end. */
static int wait_for_messages(const struct visit *visit, const struct folder_row *row,
			     const struct arrivals *arrivals)
{
	struct need need = {.kind = NEED_MESSAGES, .id = row->id, .upto = arrivals->upto};

	return visit_need_hard(visit, &need);
}

static bool is_unlisted(const struct folder_row *row)
{
	return is_selectable(row) && !row->synced;
}

/* The first listing has brought something, and goes on. */
static bool is_coming(const struct folder_row *row, const struct arrivals *arrivals)
{
	return !row->synced && row->epoch != 0 && arrivals->epoch == row->epoch &&
	       arrivals->upto > 0;
}

int folder_wait(const struct visit *visit, const struct folder_row *row, bool fresh)
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

static bool lookup_child(const struct visit *visit, uint32_t parent, const char *name,
			 struct tree_entry *ret)
{
	struct folder_row row;

	if (!find_child(visit->view, parent, name, &row))
		return false;
	folder_entry(visit, &row, ret);
	folder_row_clear(&row);
	return true;
}

static bool has_outbox(const struct visit *visit)
{
	return visit->tree->config.outbox != NULL;
}

static int root_lookup(const struct visit *visit, const char *name, struct tree_entry *ret)
{
	bool fresh;
	int result;

	/* Probes for .git, .Trash and the like are answered at once: no folder's name begins so. */
	if (name[0] == '.')
		return control_lookup_dir(visit, name, ret);
	if (has_outbox(visit) && strcmp(name, OUTBOX_DIR_NAME) == 0) {
		outbox_dir_entry(visit, false, ret);
		return 0;
	}
	if (name_is_message_like(name))
		return ENOENT;
	fresh = is_fresh(visit, INDEX_ROOT);
	if (lookup_child(visit, INDEX_ROOT, name, ret))
		return 0;
	/* It has no other folder: to make one is refused without waiting for the server. */
	if (spot_is_maildrop(visit) && g_ascii_strcasecmp(name, "INBOX") != 0)
		return ENOENT;
	result = wait_for_folders(visit, fresh);
	return result != 0 ? result : ENOENT;
}

/* Freshness is asked for by names of messages alone: a folder that is only walked through is not in
 * use. */
static bool messages_are_fresh(const struct visit *visit, uint32_t folder, const char *name)
{
	g_autofree char *whole = name_of_whole(name);

	return (whole == NULL && !name_is_message_like(name)) || is_fresh(visit, folder);
}

/* What is neither a message nor a file. A mailbox wins over the parts of a message. */
static int lookup_dir(const struct visit *visit, const struct folder_row *row,
		      const struct shown *shown, const char *name, bool fresh,
		      struct tree_entry *ret)
{
	bool folders_fresh = is_fresh(visit, INDEX_ROOT);
	enum shown_result parts;
	int result;

	if (lookup_child(visit, row->id, name, ret))
		return 0;
	parts = parts_find(visit, shown, name, SHOWN_LISTED, ret);
	if (parts == SHOWN_FOUND)
		return 0;
	result = parts == SHOWN_UNKNOWN ? folder_wait(visit, row, fresh) : 0;
	if (result == 0)
		result = wait_for_folders(visit, folders_fresh);
	return result != 0 ? result : ENOENT;
}

static int lookup_other(const struct visit *visit, const struct folder_row *row,
			const struct shown *shown, const char *name, bool fresh,
			enum shown_result message, struct tree_entry *ret)
{
	int result;

	if (name[0] == '.')
		return view_lookup_dir(visit, row, name, ret);
	if (!name_is_message_like(name))
		return lookup_dir(visit, row, shown, name, fresh, ret);
	result = message == SHOWN_UNKNOWN ? folder_wait(visit, row, fresh) : 0;
	return result != 0 ? result : ENOENT;
}

/* What leaves the state comes into the index before: so the state is asked first. */
static int lookup_in(const struct visit *visit, const struct folder_row *row, const char *name,
		     bool fresh, struct tree_entry *ret)
{
	struct tree_entry guest;
	struct shown_message message;
	enum shown_result found;
	struct shown shown;
	bool has_guest;

	if (extra_find_draft(visit, row, name, ret))
		return 0;
	has_guest = extra_find_guest(visit, row, name, &guest);
	shown_init(&shown, visit, row);
	found = shown_find(visit, &shown, name, SHOWN_LISTED, &message);
	if (found == SHOWN_FOUND)
		*ret = message.entry;
	else if (has_guest)
		*ret = guest;
	else
		return lookup_other(visit, row, &shown, name, fresh, found, ret);
	return 0;
}

static int folder_lookup(const struct visit *visit, uint64_t parent, const char *name,
			 struct tree_entry *ret)
{
	uint32_t folder = tree_node_epoch(parent);
	struct folder_row row;
	bool fresh;
	int result;

	if (folder == INDEX_ROOT)
		return root_lookup(visit, name, ret);
	fresh = messages_are_fresh(visit, folder, name);
	if (!index_folder_get(visit->view, folder, &row))
		return ESTALE;
	result = lookup_in(visit, &row, name, fresh, ret);
	folder_row_clear(&row);
	return result;
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
		result = folder_wait(visit, &row, fresh);
	if (result == 0)
		folder_entry(visit, &row, ret);
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
		*ret_generation = folder_generation(visit, &root);
		folder_row_clear(&root);
	}
	*ret_entries = DOTS + has_outbox(visit) + index_folders_count(visit->view, INDEX_ROOT);
	return 0;
}

static void count_entries(const struct visit *visit, const struct folder_row *row,
			  uint32_t *ret_entries)
{
	struct extras extras;
	struct shown shown;
	uint32_t listed, deleted;

	shown_init(&shown, visit, row);
	shown_count(visit, &shown, row, &listed, &deleted);
	extras_init(&extras, visit, row);
	*ret_entries = DOTS + index_folders_count(visit->view, row->id) + listed +
		       extras_count(&extras, &shown);
	extras_clear(&extras);
}

static int wait_for_listing(const struct visit *visit, const struct folder_row *row, bool fresh,
			    const struct arrivals *arrivals)
{
	if (is_coming(row, arrivals))
		return 0;
	if (is_unlisted(row))
		return wait_for_messages(visit, row, arrivals);
	return folder_wait(visit, row, fresh);
}

static int folder_opendir(const struct visit *visit, uint64_t node, int64_t *ret_generation,
			  uint32_t *ret_entries)
{
	uint32_t folder = tree_node_epoch(node);
	struct arrivals arrivals;
	struct folder_row row;
	bool fresh;
	int result;

	if (folder == INDEX_ROOT)
		return open_root(visit, ret_generation, ret_entries);
	fresh = is_fresh(visit, folder);
	arrivals = engine_arrivals(visit->tree->config.engine, folder);
	if (!index_folder_get(visit->view, folder, &row))
		return ESTALE;
	result = wait_for_listing(visit, &row, fresh, &arrivals);
	if (result == 0) {
		*ret_generation = folder_generation(visit, &row);
		if (is_unlisted(&row))
			*ret_entries = UINT32_MAX;
		else
			count_entries(visit, &row, ret_entries);
	}
	folder_row_clear(&row);
	return result;
}

struct listing {
	const struct visit *visit;
	const struct folder_row *folder; /* NULL: the root */
	struct shown shown;
	uint64_t tag;	   /* of cookies; 0: the messages are listed in the order of UIDs */
	uint32_t upto;	   /* messages above are yet to come */
	uint32_t last_uid; /* looked at */
	tree_entry_fn each;
	void *data;
	bool any; /* entry was taken */
	bool stopped;
};

static bool list_one(struct listing *listing, const char *name, const struct tree_entry *entry,
		     uint64_t cookie)
{
	listing->stopped = !listing->each(listing->data, name, entry, listing->tag | cookie);
	listing->any |= !listing->stopped;
	return !listing->stopped;
}

static bool list_child(void *data, const struct folder_row *row)
{
	struct listing *listing = data;
	g_autofree char *name = tree_folder_name(row->parent, row->leaf);
	struct tree_entry entry;

	folder_entry(listing->visit, row, &entry);
	return list_one(listing, name, &entry, COOKIE_FOLDERS + row->id);
}

static bool list_at(struct listing *listing, const struct message_row *row, uint64_t base)
{
	g_autofree char *name = NULL;
	struct tree_entry entry;

	if (shown_place(&listing->shown, row) != SHOWN_LISTED)
		return true;
	name = shown_name(&listing->shown, row);
	if (extra_find_draft(listing->visit, listing->folder, name, &entry))
		return true;
	shown_entry(&listing->shown, row, &entry);
	return list_one(listing, name, &entry, base + row->uid);
}

static bool came_late(const struct listing *listing, uint32_t uid)
{
	return listing->tag != 0 &&
	       engine_came_late(listing->visit->tree->config.engine, listing->folder, uid);
}

static bool list_message(void *data, const struct message_row *row)
{
	struct listing *listing = data;

	if (row->uid > listing->upto)
		return false;
	listing->last_uid = row->uid;
	return came_late(listing, row->uid) || list_at(listing, row, COOKIE_MESSAGES);
}

static bool list_late_message(void *data, const struct message_row *row)
{
	return list_at(data, row, COOKIE_LATE);
}

static bool list_extra(void *data, const char *name, const struct tree_entry *entry, uint64_t key)
{
	return list_one(data, name, entry, COOKIE_EXTRAS + key);
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
	folder_entry(visit, &parent, ret);
	folder_row_clear(&parent);
}

static void list_dots(const struct visit *visit, struct listing *listing, uint64_t cookie)
{
	struct tree_entry entry;

	if (listing->folder != NULL)
		folder_entry(visit, listing->folder, &entry);
	else
		folder_root_entry(visit, &entry);
	if (cookie < COOKIE_DOT && !list_one(listing, ".", &entry, COOKIE_DOT))
		return;
	get_parent_entry(visit, listing->folder, &entry);
	list_one(listing, "..", &entry, COOKIE_DOT_DOT);
}

static void list_outbox(const struct visit *visit, struct listing *listing)
{
	struct tree_entry entry;

	if (listing->folder != NULL || !has_outbox(visit))
		return;
	outbox_dir_entry(visit, false, &entry);
	list_one(listing, OUTBOX_DIR_NAME, &entry, COOKIE_OUTBOX);
}

/* The last key that a cookie stands for; 0: before the first. */
static uint64_t key_after(uint64_t cookie, uint64_t base)
{
	return cookie <= base ? 0 : cookie - base;
}

static void list_dirs(const struct visit *visit, struct listing *listing, uint32_t id,
		      uint64_t cookie)
{
	uint64_t after = key_after(cookie, COOKIE_FOLDERS);

	if (cookie < COOKIE_DOT_DOT)
		list_dots(visit, listing, cookie);
	if (!listing->stopped && cookie < COOKIE_OUTBOX)
		list_outbox(visit, listing);
	if (!listing->stopped && cookie < COOKIE_MESSAGES)
		index_folders_each(visit->view, id, (uint32_t)MIN(after, UINT32_MAX), list_child,
				   listing);
}

static void list_messages(struct listing *listing)
{
	shown_init(&listing->shown, listing->visit, listing->folder);
	if (listing->shown.epoch != 0)
		index_messages_each(listing->visit->view, listing->shown.epoch, listing->last_uid,
				    list_message, listing);
}

static void list_late(struct listing *listing, uint64_t cookie)
{
	uint32_t uid = (uint32_t)MIN(key_after(cookie, COOKIE_LATE), UINT32_MAX);
	struct engine *engine = listing->visit->tree->config.engine;

	while (!listing->stopped && (uid = engine_next_late(engine, listing->folder, uid)) != 0)
		index_message_get(listing->visit->view, listing->folder->epoch, uid,
				  list_late_message, listing);
}

/* What leaves the extras comes into the index before: so there is another look at the end of the
 * messages once the extras are known. */
static void list_rest(struct listing *listing, uint64_t cookie)
{
	struct extras extras;

	extras_init(&extras, listing->visit, listing->folder);
	list_messages(listing);
	if (!listing->stopped)
		extras_each(&extras, &listing->shown, key_after(cookie, COOKIE_EXTRAS), list_extra,
			    listing);
	extras_clear(&extras);
	if (!listing->stopped && listing->tag != 0)
		list_late(listing, cookie);
}

/* Who is amid its messages began when it was another mailbox. */
static bool is_renumbered(const struct folder_row *row, uint64_t cookie)
{
	uint64_t epoch = cookie >> COOKIE_BITS;

	return epoch != 0 ? epoch != row->epoch : cookie >= COOKIE_MESSAGES && is_unlisted(row);
}

/* Whether more may come, as far as `arrivals` tells. Sets up the order in which the messages are
 * listed: that of the first listing for who begins during that, or did so. */
static bool set_order(struct listing *listing, uint64_t cookie, const struct arrivals *arrivals)
{
	const struct folder_row *row = listing->folder;
	bool coming = arrivals->epoch != 0 && arrivals->epoch == row->epoch;

	listing->upto = UINT32_MAX;
	if (cookie >> COOKIE_BITS == 0 && !is_unlisted(row))
		return false;
	listing->tag = (uint64_t)row->epoch << COOKIE_BITS;
	if (row->synced && !coming)
		return false;
	listing->upto = coming ? arrivals->upto : 0;
	return true;
}

static int list_files(struct listing *listing, uint64_t cookie, const struct arrivals *arrivals)
{
	struct tree_call *call = listing->visit->call;
	uint64_t inner = cookie & ((1ull << COOKIE_BITS) - 1);
	bool coming = set_order(listing, cookie, arrivals);
	uint32_t after = (uint32_t)MIN(key_after(inner, COOKIE_MESSAGES), UINT32_MAX);

	if (is_renumbered(listing->folder, cookie))
		return ESTALE;
	if (cookie >> COOKIE_BITS != 0 && arrivals->lost)
		return EIO;
	/* Those that are hidden are not looked at again each time that it has waited. */
	listing->last_uid = MAX(after, call->ticket);
	list_messages(listing);
	if (!listing->stopped && !coming)
		list_rest(listing, inner);
	if (listing->any || !coming)
		return 0;
	call->ticket = listing->last_uid;
	return wait_for_messages(listing->visit, listing->folder, arrivals);
}

static int folder_readdir(const struct visit *visit, uint64_t node, uint64_t cookie,
			  tree_entry_fn each, void *data)
{
	struct listing listing = {.visit = visit, .each = each, .data = data};
	uint32_t folder = tree_node_epoch(node);
	struct arrivals arrivals;
	struct folder_row row;
	int result = 0;

	if (folder == INDEX_ROOT) {
		list_dirs(visit, &listing, folder, cookie);
		return 0;
	}
	arrivals = engine_arrivals(visit->tree->config.engine, folder);
	if (!index_folder_get(visit->view, folder, &row))
		return ESTALE;
	listing.folder = &row;
	list_dirs(visit, &listing, folder, cookie);
	if (!listing.stopped)
		result = list_files(&listing, cookie, &arrivals);
	folder_row_clear(&row);
	return result;
}

const struct node_ops folder_ops = {
	.lookup = folder_lookup,
	.getattr = folder_getattr,
	.opendir = folder_opendir,
	.readdir = folder_readdir,
};
