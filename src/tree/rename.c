/* rename(2): of messages within a folder a name of our own, else a move on the server. Nothing is
 * ever renamed onto a message, and no message onto a new one that is not sent yet. */

#include "base/error.h"
#include "base/log.h"
#include "state/names.h"
#include "tree/alter.h"
#include "tree/draft.h"
#include "tree/folder_op.h"
#include "tree/name.h"
#include "tree/node.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct rename {
	const struct visit *visit;
	uint64_t parent;
	struct spot from, to;
	bool no_replace;
};

static bool is_same_folder(const struct rename *rename)
{
	return rename->from.dir.id == rename->to.dir.id;
}

/* --- a message --- */

/* A name that another message has, or may come to have. */
static bool is_foreign_name(const char *name, uint32_t uid)
{
	uint32_t other;

	return name_parse_message(name, &other) && other != uid;
}

/* It has this name already, without our help. */
static bool is_own_name(const struct rename *rename)
{
	struct tree_entry entry;

	return strcmp(rename->from.name, rename->to.name) == 0 ||
	       (node_lookup(rename->visit, rename->parent, rename->to.name, &entry) == 0 &&
		entry.node == rename->from.node);
}

struct canonical {
	const struct rename *rename;
	bool same;
};

static bool compare_canonical(void *data, const struct message_row *row)
{
	struct canonical *canonical = data;
	const struct rename *rename = canonical->rename;
	g_autofree char *listed = tree_message_name(rename->visit->tree, row->uid, row->label,
						    rename->from.dir.token);
	g_autofree char *alias = tree_message_alias(row->uid);

	canonical->same =
		strcmp(rename->to.name, listed) == 0 || strcmp(rename->to.name, alias) == 0;
	return true;
}

/* A name that it would have if nobody had given it one. */
static bool is_canonical_name(const struct rename *rename)
{
	struct canonical canonical = {.rename = rename};

	index_message_get(rename->visit->view, rename->from.dir.epoch, node_low(rename->from.node),
			  compare_canonical, &canonical);
	return canonical.same;
}

static int drop_name(const struct rename *rename)
{
	struct state *state = rename->visit->tree->config.state;
	uint32_t uid = node_low(rename->from.node);

	g_autofree char *given = names_get(state, rename->from.dir.epoch, uid);

	if (given == NULL)
		return 0;
	names_drop(state, rename->from.dir.epoch, uid, uid);
	state_touch(state, rename->from.dir.id);
	return 0;
}

static int give_name(const struct rename *rename)
{
	struct state_box box = spot_box(&rename->from.dir);
	g_autoptr(GError) error = NULL;

	if (is_canonical_name(rename))
		return drop_name(rename);
	if (names_set(rename->visit->tree->config.state, &box, node_low(rename->from.node),
		      rename->to.name, &error))
		return 0;
	log_error("cannot keep the name %s: %s", rename->to.name, error->message);
	return error_errno(error);
}

static int undelete(const struct rename *rename)
{
	int result;

	if (!is_own_name(rename)) {
		result = give_name(rename);
		if (result != 0)
			return result;
	}
	return alter_deleted(rename->visit, &rename->from, false);
}

static int move_message(const struct rename *rename)
{
	int result = 0;

	if (rename->from.deleted)
		result = alter_deleted(rename->visit, &rename->from, false);
	if (result != 0)
		return result;
	return alter_move(rename->visit, &rename->from, &rename->to.dir, rename->to.name);
}

static int message_rights(const struct rename *rename)
{
	int result = 0;

	if (rename->from.deleted || rename->to.deleted || !is_same_folder(rename))
		result = spot_may(rename->visit, &rename->from.dir, STORE_MAY_DELETE);
	if (result == 0 && !is_same_folder(rename))
		result = spot_may(rename->visit, &rename->to.dir, STORE_MAY_INSERT);
	return result;
}

/* Into the view of deleted messages, under a name that it has. */
static int delete_message(const struct rename *rename)
{
	int result;

	if (!is_same_folder(rename) || !is_own_name(rename))
		return EPERM;
	if (rename->from.deleted)
		return 0;
	result = message_rights(rename);
	return result != 0 ? result : alter_deleted(rename->visit, &rename->from, true);
}

static bool is_replaceable(const struct rename *rename)
{
	return rename->to.kind != SPOT_SPOOL || draft_is_empty(rename->visit, &rename->to);
}

static int replace_by_message(const struct rename *rename)
{
	int result = draft_put_aside(rename->visit, &rename->to);

	if (result != 0)
		return result;
	/* It may have been written since it was judged. */
	if (!is_replaceable(rename))
		result = EEXIST;
	else if (!is_same_folder(rename))
		result = move_message(rename);
	else
		result = rename->from.deleted ? undelete(rename) : give_name(rename);
	draft_end_aside(rename->visit, &rename->to, result == 0);
	return result;
}

static int rename_message(const struct rename *rename)
{
	int result;

	if (rename->to.deleted)
		return delete_message(rename);
	if (!spot_holds_mail(&rename->to) || !spool_name_is_mail(rename->to.name))
		return EPERM;
	if (is_same_folder(rename) && strcmp(rename->from.name, rename->to.name) != 0 &&
	    is_foreign_name(rename->to.name, node_low(rename->from.node)))
		return EINVAL;
	result = message_rights(rename);
	return result != 0 ? result : replace_by_message(rename);
}

/* --- */

/* What stands under the new name may have to go. */
static int judge_target(const struct rename *rename)
{
	bool is_folder = rename->from.kind == SPOT_FOLDER;

	if (rename->to.kind == SPOT_FREE)
		return 0;
	if (rename->no_replace)
		return EEXIST;
	if (rename->to.node == rename->from.node)
		return 0;
	switch (rename->to.kind) {
	case SPOT_FOLDER:
		return is_folder ? EEXIST : EISDIR;
	case SPOT_SPOOL:
		if (is_folder)
			return ENOTDIR;
		/* A newer version of it may come, but no other mail. */
		return rename->from.kind == SPOT_SPOOL || is_replaceable(rename) ? 0 : EEXIST;
	case SPOT_MESSAGE:
	case SPOT_GUEST:
		return is_folder ? ENOTDIR : EEXIST;
	default:
		return EPERM;
	}
}

/* Not to remove a message after all is no change for a server that was not told yet. */
static bool takes_back(const struct rename *rename)
{
	return rename->from.kind == SPOT_MESSAGE && rename->from.deleted && !rename->to.deleted &&
	       rename->to.kind == SPOT_FREE && is_same_folder(rename) && is_own_name(rename);
}

static int rename_place(const struct rename *rename)
{
	int result;

	if (spot_is_maildrop(rename->visit) && !takes_back(rename))
		return EROFS;
	if (rename->from.kind == SPOT_FREE)
		return ENOENT;
	if (rename->from.kind == SPOT_FIXED)
		return EPERM;
	if (rename->from.kind == SPOT_GUEST)
		return spot_wait_for_guest(rename->visit, &rename->from);
	result = judge_target(rename);
	if (result != 0)
		return result;
	switch (rename->from.kind) {
	case SPOT_FOLDER:
		return folder_op_move(rename->visit, &rename->from, &rename->to);
	case SPOT_SPOOL:
		return draft_rename(rename->visit, &rename->from, &rename->to);
	default:
		return rename_message(rename);
	}
}

static int rename_in(struct rename *rename, const char *name, uint64_t new_parent,
		     const char *new_name)
{
	int result = spot_may_remove(rename->visit);

	if (result == 0)
		result = spot_find(rename->visit, rename->parent, name, &rename->from);
	if (result != 0)
		return result;
	result = spot_find(rename->visit, new_parent, new_name, &rename->to);
	if (result == 0) {
		result = rename_place(rename);
		spot_clear(&rename->to);
	}
	spot_clear(&rename->from);
	return result;
}

int tree_rename(struct tree *tree, struct tree_call *call, uint64_t parent, const char *name,
		uint64_t new_parent, const char *new_name, unsigned flags)
{
	struct visit visit;
	struct rename rename = {
		.visit = &visit, .parent = parent, .no_replace = (flags & RENAME_NOREPLACE) != 0};
	int result;

	if ((flags & ~(unsigned)RENAME_NOREPLACE) != 0)
		return EINVAL;
	/* The server was asked already. */
	if (call->ticket != 0)
		return call->give_up;
	result = visit_begin(&visit, tree, call);
	if (result != 0)
		return result;
	if (tree_node_kind(parent) == NODE_OUTBOX || tree_node_kind(new_parent) == NODE_OUTBOX)
		result = outbox_dir_rename(&visit, parent, name, new_parent, new_name,
					   rename.no_replace);
	else
		result = rename_in(&rename, name, new_parent, new_name);
	visit_end(&visit);
	return result;
}
