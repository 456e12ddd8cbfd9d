/* unlink(2): what `rm` of a message means is the account's choice. */

#include "base/clock.h"
#include "base/log.h"
#include "tree/alter.h"
#include "tree/node.h"

#include <errno.h>

#define TRASH_MS 5000

/* --- the \Trash folder --- */

/* Looked for now and then only: there can be many folders, and many files to remove. */
static uint32_t find_trash(const struct visit *visit)
{
	struct tree *tree = visit->tree;
	int64_t now_ms = clock_mono_ms();
	uint32_t trash;
	bool known;

	pthread_mutex_lock(&tree->lock);
	known = tree->trash_until_ms != 0 && now_ms < tree->trash_until_ms;
	trash = tree->trash;
	pthread_mutex_unlock(&tree->lock);
	if (known)
		return trash;
	trash = index_folders_search(visit->view, STORE_ATTR_TRASH,
				     STORE_ATTR_NOSELECT | STORE_ATTR_NONEXISTENT);
	pthread_mutex_lock(&tree->lock);
	tree->trash = trash;
	tree->trash_until_ms = now_ms + TRASH_MS;
	pthread_mutex_unlock(&tree->lock);
	return trash;
}

/* --- messages --- */

static bool told_before(struct tree *tree, bool *told)
{
	bool before;

	pthread_mutex_lock(&tree->lock);
	before = *told;
	*told = true;
	pthread_mutex_unlock(&tree->lock);
	return before;
}

static bool can_expunge(const struct visit *visit)
{
	uint64_t append_max;
	unsigned abilities = engine_abilities(visit->tree->config.engine, &append_max);

	/* Before the first connection: who sends it finds out. */
	return abilities == 0 || (abilities & STORE_CAN_EXPUNGE) != 0;
}

static int flag_message(const struct visit *visit, const struct spot *spot)
{
	int result = spot_may(visit, &spot->dir, STORE_MAY_DELETE);

	return result != 0 ? result : alter_deleted(visit, spot, true);
}

static int expunge_message(const struct visit *visit, const struct spot *spot)
{
	struct change_request request = {
		.kind = CHANGE_EXPUNGE, .box = spot_box(&spot->dir), .uid = node_low(spot->node)};
	int result = spot_may(visit, &spot->dir, STORE_MAY_DELETE | STORE_MAY_EXPUNGE);

	return result != 0 ? result : alter_add(visit, &request);
}

static int expunge_deleted(const struct visit *visit, const struct spot *spot)
{
	struct tree *tree = visit->tree;

	if (can_expunge(visit))
		return expunge_message(visit, spot);
	if (!told_before(tree, &tree->told_no_expunge))
		log_warning("the server cannot expunge single messages (it has no UIDPLUS): "
			    "what is in .deleted stays there");
	return EOPNOTSUPP;
}

static int move_to_trash(const struct visit *visit, const struct spot *spot, uint32_t folder)
{
	struct folder_row trash;
	int result;

	if (!index_folder_get(visit->view, folder, &trash))
		return ESTALE;
	result = spot_may(visit, &spot->dir, STORE_MAY_DELETE);
	if (result == 0)
		result = spot_may(visit, &trash, STORE_MAY_INSERT);
	if (result == 0)
		result = alter_move(visit, spot, &trash, NULL);
	folder_row_clear(&trash);
	return result;
}

static int expunge_or_flag(const struct visit *visit, const struct spot *spot)
{
	return can_expunge(visit) ? expunge_message(visit, spot) : flag_message(visit, spot);
}

static int trash_message(const struct visit *visit, const struct spot *spot)
{
	struct tree *tree = visit->tree;
	uint32_t trash = find_trash(visit);

	if (trash == 0) {
		if (!told_before(tree, &tree->told_no_trash))
			log_warning("no folder is marked as \\Trash: what is removed is marked as "
				    "\\Deleted instead");
		return flag_message(visit, spot);
	}
	if (spot_is_below(visit, spot->dir.id, trash))
		return expunge_or_flag(visit, spot);
	return move_to_trash(visit, spot, trash);
}

static int remove_message(const struct visit *visit, const struct spot *spot)
{
	/* What a maildrop has there is about to go by itself. */
	if (spot->deleted && spot_is_maildrop(visit))
		return EROFS;
	if (spot->deleted)
		return expunge_deleted(visit, spot);
	switch (visit->tree->config.account->delete_mode) {
	case DELETE_TRASH:
		return trash_message(visit, spot);
	case DELETE_EXPUNGE:
		return expunge_or_flag(visit, spot);
	case DELETE_FLAG:
		break;
	}
	return flag_message(visit, spot);
}

/* --- */

static int remove_place(const struct visit *visit, const struct spot *spot)
{
	switch (spot->kind) {
	case SPOT_FREE:
		return ENOENT;
	case SPOT_FOLDER:
		return EISDIR;
	case SPOT_MESSAGE:
		return remove_message(visit, spot);
	case SPOT_GUEST:
		return spot_wait_for_guest(visit, spot);
	case SPOT_SPOOL:
		return spot_remove_spool(visit, spot);
	case SPOT_FIXED:
		break;
	}
	return EPERM;
}

int tree_unlink(struct tree *tree, struct tree_call *call, uint64_t parent, const char *name)
{
	struct visit visit;
	int result;

	if (tree_node_kind(parent) != NODE_OUTBOX)
		return spot_alter(tree, call, parent, name, spot_may_remove, remove_place);
	result = visit_begin(&visit, tree, call);
	if (result != 0)
		return result;
	result = outbox_dir_unlink(&visit, parent, name);
	visit_end(&visit);
	return result;
}
