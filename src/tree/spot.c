#include "tree/spot.h"

#include "base/error.h"
#include "base/log.h"
#include "state/changes.h"
#include "tree/name.h"
#include "tree/node.h"

#include <errno.h>
#include <string.h>

/* --- finding --- */

static bool is_guest(const struct visit *visit, const struct spot *spot)
{
	struct guest guest;
	bool same;

	if (!changes_guest(visit->tree->config.state, spot->dir.id, spot->name, &guest))
		return false;
	same = tree_message_node(guest.epoch, guest.uid) == spot->node;
	guest_clear(&guest);
	return same;
}

static int classify(const struct visit *visit, struct spot *spot)
{
	switch (tree_node_kind(spot->node)) {
	case NODE_FOLDER:
		spot->kind = SPOT_FOLDER;
		return 0;
	case NODE_SPOOL:
		spot->kind = SPOT_SPOOL;
		return 0;
	case NODE_MESSAGE:
		spot->kind = !spot->deleted && is_guest(visit, spot) ? SPOT_GUEST : SPOT_MESSAGE;
		/* It arrived between two looks: another one finds it. */
		if (spot->kind == SPOT_MESSAGE && tree_node_epoch(spot->node) != spot->dir.epoch)
			return ESTALE;
		return 0;
	default:
		spot->kind = SPOT_FIXED;
		return 0;
	}
}

static int find_in(const struct visit *visit, uint64_t parent, struct spot *spot)
{
	struct tree_entry entry;
	int result = node_lookup(visit, parent, spot->name, &entry);

	if (result == ENOENT) {
		spot->kind = SPOT_FREE;
		return 0;
	}
	if (result != 0)
		return result;
	spot->node = entry.node;
	return classify(visit, spot);
}

int spot_find(const struct visit *visit, uint64_t parent, const char *name, struct spot *ret)
{
	uint32_t folder = tree_node_epoch(parent);
	struct spot spot = {.name = name, .deleted = parent == tree_deleted_node(folder)};
	int result;

	if (parent != NODE_ROOT && tree_node_kind(parent) != NODE_FOLDER && !spot.deleted)
		return EPERM;
	if (strlen(name) > NAME_MAX_BYTES)
		return ENAMETOOLONG;
	if (!index_folder_get(visit->view, folder, &spot.dir))
		return ESTALE;
	result = find_in(visit, parent, &spot);
	if (result == 0)
		*ret = spot;
	else
		spot_clear(&spot);
	return result;
}

void spot_clear(struct spot *spot)
{
	folder_row_clear(&spot->dir);
}

static bool is_selectable(const struct folder_row *row)
{
	return (row->attributes & (STORE_ATTR_NOSELECT | STORE_ATTR_NONEXISTENT)) == 0;
}

bool spot_holds_mail(const struct spot *spot)
{
	return spot->dir.id != INDEX_ROOT && is_selectable(&spot->dir);
}

bool spot_is_below(const struct visit *visit, uint32_t folder, uint32_t top)
{
	while (folder != INDEX_ROOT && folder != top) {
		struct folder_row row;

		if (!index_folder_get(visit->view, folder, &row))
			return false;
		folder = row.parent;
		folder_row_clear(&row);
	}
	return folder == top;
}

struct state_box spot_box(const struct folder_row *row)
{
	return (struct state_box){.folder = row->id,
				  .epoch = row->epoch,
				  .mailbox = row->name,
				  .uidvalidity = row->uidvalidity};
}

/* --- rights --- */

/* What can be done in this mount, of STORE_CAN_CHANGE and STORE_CAN_REMOVE. */
static unsigned abilities_of(const struct visit *visit)
{
	const struct tree_config *config = &visit->tree->config;
	uint64_t append_max;
	unsigned abilities;

	if (config->account->read_only)
		return 0;
	abilities = engine_abilities(config->engine, &append_max);
	/* 0: not known before the first connection. */
	return abilities == 0 ? STORE_CAN_CHANGE
			      : abilities & (STORE_CAN_CHANGE | STORE_CAN_REMOVE);
}

int spot_may_change(const struct visit *visit)
{
	return (abilities_of(visit) & STORE_CAN_CHANGE) != 0 ? 0 : EROFS;
}

int spot_may_remove(const struct visit *visit)
{
	return abilities_of(visit) != 0 ? 0 : EROFS;
}

bool spot_is_maildrop(const struct visit *visit)
{
	return abilities_of(visit) == STORE_CAN_REMOVE;
}

static int judge(const struct store_rights *rights, unsigned needed)
{
	if (rights->read_only)
		return EROFS;
	return (rights->may & needed) == needed ? 0 : EACCES;
}

int spot_may_known(const struct visit *visit, const struct folder_row *row, unsigned needed)
{
	struct store_rights rights;

	if (!engine_rights(visit->tree->config.engine, row->id, &rights))
		return 0;
	return judge(&rights, needed);
}

int spot_may(const struct visit *visit, const struct folder_row *row, unsigned needed)
{
	struct need need = {.kind = NEED_RIGHTS, .id = row->id};
	struct store_rights rights;

	if (engine_rights(visit->tree->config.engine, row->id, &rights))
		return judge(&rights, needed);
	/* Whose it is may remove its messages: no session is begun for that. */
	if (spot_is_maildrop(visit))
		return 0;
	return is_selectable(row) ? visit_need_soft(visit, &need) : 0;
}

int spot_alter(struct tree *tree, struct tree_call *call, uint64_t parent, const char *name,
	       int (*may)(const struct visit *visit),
	       int (*alter)(const struct visit *visit, const struct spot *spot))
{
	struct visit visit;
	struct spot spot;
	int result = visit_begin(&visit, tree, call);

	if (result != 0)
		return result;
	result = may(&visit);
	if (result == 0)
		result = spot_find(&visit, parent, name, &spot);
	if (result == 0) {
		result = alter(&visit, &spot);
		spot_clear(&spot);
	}
	visit_end(&visit);
	return result;
}

/* --- what is on its way --- */

static int wait_for_listing(const struct visit *visit, uint32_t folder)
{
	struct need need = {.kind = NEED_FOLDER, .id = folder};

	return visit_need_hard(visit, &need);
}

int spot_wait_for_guest(const struct visit *visit, const struct spot *spot)
{
	struct need need = {.kind = NEED_CHANGE,
			    .id = tree_node_epoch(spot->node),
			    .uid = node_low(spot->node)};

	/* Done, but its new UID is not known: a listing tells. */
	if (!changes_pending(visit->tree->config.state, need.id, need.uid))
		return wait_for_listing(visit, spot->dir.id);
	return visit_need_hard(visit, &need);
}

int spot_wait_for_spool(const struct visit *visit, uint32_t id)
{
	struct need need = {.kind = NEED_SPOOL, .uid = id};
	struct spool_file file;
	bool arrived;
	uint32_t folder;

	if (!spool_get(visit->tree->config.state, id, &file))
		return ESTALE;
	arrived = file.step == SPOOL_UPLOADED;
	folder = file.folder;
	spool_file_clear(&file);
	return arrived ? wait_for_listing(visit, folder) : visit_need_hard(visit, &need);
}

int spot_remove_spool(const struct visit *visit, const struct spot *spot)
{
	g_autoptr(GError) error = NULL;

	if (spool_remove(visit->tree->config.state, node_low(spot->node), &error))
		return 0;
	if (g_error_matches(error, MAILFS_ERROR, ERROR_BUSY))
		return spot_wait_for_spool(visit, node_low(spot->node));
	log_error("cannot remove %s: %s", spot->name, error->message);
	return error_errno(error);
}
