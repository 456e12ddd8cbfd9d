#include "tree/shown.h"

#include "state/changes.h"
#include "state/names.h"
#include "store/store.h"
#include "tree/name.h"

#include <string.h>

void shown_init(struct shown *ret, const struct visit *visit, const struct folder_row *folder)
{
	struct state *state = visit->tree->config.state;

	*ret = (struct shown){
		.tree = visit->tree,
		.folder = folder->id,
		.epoch = folder->epoch,
		.uidvalidity = folder->uidvalidity,
		.mailbox = folder->name,
		.token = folder->token,
		.writable = message_is_writable(visit, folder->id),
		.changed = folder->epoch != 0 && changes_in(state, folder->epoch),
		.named = folder->epoch != 0 && names_in(state, folder->epoch),
	};
}

/* --- one message --- */

static struct overlay overlay_of(const struct shown *shown, uint32_t uid)
{
	struct overlay overlay = {0};

	if (shown->changed)
		changes_overlay(shown->tree->config.state, shown->epoch, uid, &overlay);
	return overlay;
}

static enum shown_place place_of(unsigned flags)
{
	return (flags & STORE_FLAG_DELETED) != 0 ? SHOWN_DELETED : SHOWN_LISTED;
}

enum shown_place shown_place(const struct shown *shown, const struct message_row *row)
{
	struct overlay overlay = overlay_of(shown, row->uid);

	if (overlay.gone)
		return SHOWN_NOWHERE;
	return place_of((row->flags | overlay.set) & ~overlay.clear);
}

/* One that looks like a message's own would lie about the UID, so it only resolves. */
static char *listed_choice(const struct shown *shown, uint32_t uid)
{
	g_autofree char *chosen = NULL;
	uint32_t other;

	if (!shown->named)
		return NULL;
	chosen = names_get(shown->tree->config.state, shown->epoch, uid);
	if (chosen == NULL || name_parse_message(chosen, &other))
		return NULL;
	return g_steal_pointer(&chosen);
}

char *shown_name(const struct shown *shown, const struct message_row *row)
{
	char *chosen = listed_choice(shown, row->uid);

	if (chosen != NULL)
		return chosen;
	return tree_message_name(shown->tree, row->uid, row->label, shown->token);
}

void shown_entry(const struct shown *shown, const struct message_row *row, struct tree_entry *ret)
{
	message_entry(ret, shown->epoch, row, shown->writable);
	if (shown->changed)
		message_touch(shown->tree, shown->folder, ret);
}

/* --- finding --- */

struct match {
	const struct shown *shown;
	const char *name; /* NULL: any */
	bool lent;	  /* it may be the own name of a message that is to come */
	enum shown_place place;
	enum shown_result result;
	struct shown_message *found;
};

static bool is_own_name(const struct shown *shown, const struct message_row *row, const char *name)
{
	g_autofree char *alias = tree_message_alias(row->uid);
	g_autofree char *listed = NULL;

	if (strcmp(name, alias) == 0)
		return true;
	listed = shown_name(shown, row);
	return strcmp(name, listed) == 0;
}

static bool compare_row(void *data, const struct message_row *row)
{
	struct match *match = data;

	if (match->name != NULL && !is_own_name(match->shown, row, match->name))
		return true;
	if (shown_place(match->shown, row) == match->place) {
		match->result = SHOWN_FOUND;
		match->found->uid = row->uid;
		shown_entry(match->shown, row, &match->found->entry);
		match->found->entry.volatile_name = match->lent;
	} else if (place_of(row->flags) == match->place) {
		/* By our own change: the server has nothing newer to tell. */
		match->result = SHOWN_MISSING;
	}
	return true;
}

static enum shown_result find_uid(const struct visit *visit, struct match *match, uint32_t uid)
{
	match->result = SHOWN_UNKNOWN;
	index_message_get(visit->view, match->shown->epoch, uid, compare_row, match);
	return match->result;
}

/* Whose a chosen name is can be told once the folder has an epoch. */
static enum shown_result find_unopened(const struct shown *shown, const char *name)
{
	uint32_t uid;

	if (name_parse_message(name, &uid))
		return SHOWN_UNKNOWN;
	return name_is_message_like(name) && names_of(shown->tree->config.state, shown->mailbox)
		       ? SHOWN_UNKNOWN
		       : SHOWN_MISSING;
}

enum shown_result shown_find(const struct visit *visit, const struct shown *shown, const char *name,
			     enum shown_place place, struct shown_message *ret)
{
	struct match match = {.shown = shown, .name = name, .place = place, .found = ret};
	enum shown_result own = SHOWN_MISSING, other = SHOWN_MISSING;
	bool like_own;
	uint32_t uid;

	if (shown->epoch == 0)
		return find_unopened(shown, name);
	like_own = name_parse_message(name, &uid);
	if (like_own) {
		own = find_uid(visit, &match, uid);
		if (own == SHOWN_FOUND)
			return own;
	}
	uid = shown->named ? names_find(shown->tree->config.state, shown->epoch, name) : 0;
	if (uid != 0) {
		match.lent = like_own;
		match.name = NULL;
		other = find_uid(visit, &match, uid);
	}
	return other == SHOWN_FOUND || own == SHOWN_MISSING ? other : own;
}

/* --- counting --- */

struct count {
	const struct shown *shown;
	int64_t listed, deleted;
};

static void count_one(struct count *count, enum shown_place place, int n)
{
	if (place == SHOWN_LISTED)
		count->listed += n;
	else if (place == SHOWN_DELETED)
		count->deleted += n;
}

static bool count_change(void *data, const struct message_row *row)
{
	struct count *count = data;

	count_one(count, place_of(row->flags), -1);
	count_one(count, shown_place(count->shown, row), 1);
	return true;
}

void shown_count(const struct visit *visit, const struct shown *shown,
		 const struct folder_row *folder, uint32_t *ret_listed, uint32_t *ret_deleted)
{
	struct count count = {.shown = shown};

	if (shown->epoch != 0)
		count.deleted = index_deleted_count(visit->view, shown->epoch);
	count.listed = (int64_t)folder->messages - count.deleted;
	if (shown->changed) {
		g_autoptr(GArray) uids = changes_uids(visit->tree->config.state, shown->epoch);

		for (guint i = 0; i < uids->len; i++)
			index_message_get(visit->view, shown->epoch,
					  g_array_index(uids, uint32_t, i), count_change, &count);
	}
	/* The row and the messages may have been read at different times. */
	*ret_listed = (uint32_t)CLAMP(count.listed, 0, (int64_t)UINT32_MAX);
	*ret_deleted = (uint32_t)CLAMP(count.deleted, 0, (int64_t)UINT32_MAX);
}

/* --- what is not listed --- */

struct hidden {
	struct visit visit;
	struct folder_row folder; /* of `shown`, if that has an epoch */
	struct shown shown;
	tree_hidden_fn each;
	void *data;
};

static bool hidden_names(void *data, const struct message_row *row)
{
	const struct hidden *hidden = data;
	const struct shown *shown = &hidden->shown;
	g_autofree char *name = NULL;
	g_autofree char *chosen = NULL;

	if (shown_place(shown, row) == SHOWN_LISTED)
		return false;
	name = tree_message_name(shown->tree, row->uid, row->label, shown->token);
	hidden->each(hidden->data, shown->folder, name);
	chosen = names_get(shown->tree->config.state, shown->epoch, row->uid);
	if (chosen != NULL)
		hidden->each(hidden->data, shown->folder, chosen);
	return false;
}

/* Most follow others of their folder. */
static bool hidden_enter(struct hidden *hidden, uint32_t epoch)
{
	if (epoch == hidden->shown.epoch)
		return true;
	if (hidden->shown.epoch != 0)
		folder_row_clear(&hidden->folder);
	hidden->shown.epoch = 0;
	if (!index_folder_by_epoch(hidden->visit.view, epoch, &hidden->folder))
		return false;
	shown_init(&hidden->shown, &hidden->visit, &hidden->folder);
	return true;
}

void tree_hidden_names(struct tree *tree, const uint64_t *nodes, size_t count, tree_hidden_fn each,
		       void *data)
{
	struct hidden hidden = {.each = each, .data = data};

	if (visit_begin(&hidden.visit, tree, NULL) != 0)
		return;
	for (size_t i = 0; i < count; i++)
		if (tree_node_kind(nodes[i]) == NODE_MESSAGE &&
		    hidden_enter(&hidden, tree_node_epoch(nodes[i])))
			index_message_get(hidden.visit.view, hidden.shown.epoch, (uint32_t)nodes[i],
					  hidden_names, &hidden);
	if (hidden.shown.epoch != 0)
		folder_row_clear(&hidden.folder);
	visit_end(&hidden.visit);
}
