#include "tree/folder_op.h"

#include "base/limits.h"
#include "state/changes.h"
#include "tree/name.h"
#include "tree/node.h"
#include "tree/shown.h"

#include <errno.h>
#include <string.h>

static struct engine *engine_of(const struct visit *visit)
{
	return visit->tree->config.engine;
}

/* Asks, once; what waits for the ticket gets the verdict. */
static int ask(const struct visit *visit, const struct folder_op *op)
{
	struct need need = {.kind = NEED_TICKET};

	/* Who waits no more must not ask. */
	if (visit->call->give_up != 0)
		return visit->call->give_up;
	visit->call->ticket = engine_folder_op(engine_of(visit), op);
	need.uid = visit->call->ticket;
	return visit_need_hard(visit, &need);
}

static bool is_inbox(const struct visit *visit, uint32_t folder)
{
	struct folder_row inbox;
	bool same;

	if (!index_inbox(visit->view, &inbox))
		return false;
	same = inbox.id == folder;
	folder_row_clear(&inbox);
	return same;
}

/* What is pending in it may be lost with it. */
static int settle_pending(const struct visit *visit, uint32_t folder)
{
	struct need need = {.kind = NEED_CHANGES, .id = folder};

	if (state_pending_of(visit->tree->config.state, folder) == 0)
		return 0;
	return visit_need_hard(visit, &need);
}

/* --- names of mailboxes --- */

static bool take_separator(void *data, const struct folder_row *row)
{
	char *separator = data;

	*separator = row->separator;
	return *separator == 0;
}

/* That of the folders below it; at the root nobody tells, so another folder's. */
static char separator_below(const struct visit *visit, const struct folder_row *parent)
{
	struct folder_row inbox;
	char separator = parent->separator;

	if (parent->id != INDEX_ROOT)
		return separator;
	separator = 0;
	if (index_inbox(visit->view, &inbox)) {
		separator = inbox.separator;
		folder_row_clear(&inbox);
	}
	if (separator == 0)
		index_folders_each(visit->view, INDEX_ROOT, 0, take_separator, &separator);
	return separator;
}

/* How many folders are above those in it. */
static unsigned depth_of(const struct visit *visit, const struct folder_row *row)
{
	uint32_t parent = row->parent;
	unsigned depth = row->id == INDEX_ROOT ? 0 : 1;

	while (parent != INDEX_ROOT && depth != 0 && depth < LIMIT_FOLDER_DEPTH) {
		struct folder_row up;

		if (!index_folder_get(visit->view, parent, &up))
			break;
		parent = up.parent;
		folder_row_clear(&up);
		depth++;
	}
	return depth;
}

/* What no folder is called, so that nobody makes one by chance. */
static int check_component(const struct visit *visit, const struct spot *spot, char separator)
{
	bool at_root = spot->dir.id == INDEX_ROOT;

	if (spot->deleted || spot->name[0] == '.' || name_is_message_like(spot->name))
		return EPERM;
	if (!at_root && separator == 0)
		return EPERM;
	if ((spot->dir.attributes & STORE_ATTR_NOINFERIORS) != 0)
		return EPERM;
	return depth_of(visit, &spot->dir) >= LIMIT_FOLDER_DEPTH ? ENAMETOOLONG : 0;
}

static int make_mailbox(const struct visit *visit, const struct spot *spot, char separator,
			char **ret)
{
	bool at_root = spot->dir.id == INDEX_ROOT;
	g_autofree char *raw = name_to_raw(spot->name, at_root);
	g_autoptr(GString) mailbox = g_string_new(NULL);

	if (raw == NULL || *raw == '\0' || (separator != 0 && strchr(raw, separator) != NULL))
		return EINVAL;
	if (!at_root) {
		g_string_append(mailbox, spot->dir.name);
		g_string_append_c(mailbox, separator);
	}
	g_string_append(mailbox, raw);
	if (mailbox->len > LIMIT_MAILBOX_NAME)
		return ENAMETOOLONG;
	*ret = g_string_free(g_steal_pointer(&mailbox), FALSE);
	return 0;
}

/* The mailbox that the spot shall be. */
static int name_mailbox(const struct visit *visit, const struct spot *spot, char *ret_separator,
			char **ret)
{
	char separator = separator_below(visit, &spot->dir);
	int result = check_component(visit, spot, separator);

	if (result != 0)
		return result;
	*ret_separator = separator;
	return make_mailbox(visit, spot, separator, ret);
}

/* The verdict comes anyhow: what is not known is not asked for. */
static int may_make(const struct visit *visit, const struct folder_row *parent)
{
	return parent->id == INDEX_ROOT ? 0 : spot_may_known(visit, parent, STORE_MAY_CREATE);
}

/* --- mkdir --- */

static int make_folder(const struct visit *visit, const struct spot *spot)
{
	struct folder_op op = {.kind = FOLDER_CREATE};
	g_autofree char *mailbox = NULL;
	int result = name_mailbox(visit, spot, &op.separator, &mailbox);

	if (result != 0)
		return result;
	if (spot->kind != SPOT_FREE)
		return EEXIST;
	result = may_make(visit, &spot->dir);
	if (result != 0)
		return result;
	op.mailbox = mailbox;
	return ask(visit, &op);
}

static int find_made(const struct visit *visit, uint64_t parent, const char *name,
		     struct tree_entry *ret)
{
	int result = node_lookup(visit, parent, name, ret);

	/* It was made, and is not listed: the server calls it something else. */
	return result == ENOENT ? EIO : result;
}

static int mkdir_in(const struct visit *visit, uint64_t parent, const char *name)
{
	struct spot spot;
	int result = spot_may_change(visit);

	/* Names that are not even looked for. */
	if (result == 0 && name[0] == '.')
		result = EPERM;
	if (result == 0)
		result = spot_find(visit, parent, name, &spot);
	if (result != 0)
		return result;
	result = make_folder(visit, &spot);
	spot_clear(&spot);
	return result;
}

int tree_mkdir(struct tree *tree, struct tree_call *call, uint64_t parent, const char *name,
	       struct tree_entry *ret)
{
	struct visit visit;
	int result;

	if (call->ticket != 0 && call->give_up != 0)
		return call->give_up;
	result = visit_begin(&visit, tree, call);
	if (result != 0)
		return result;
	result = call->ticket != 0 ? find_made(&visit, parent, name, ret)
				   : mkdir_in(&visit, parent, name);
	visit_end(&visit);
	return result;
}

/* --- rmdir --- */

static bool has_extras(const struct visit *visit, uint32_t folder)
{
	struct state *state = visit->tree->config.state;
	g_autoptr(GPtrArray) files = spool_list(state, folder);
	g_autoptr(GPtrArray) guests = changes_guests(state, folder);

	return (files != NULL && files->len > 0) || (guests != NULL && guests->len > 0);
}

static bool shows_messages(const struct visit *visit, const struct folder_row *row)
{
	struct shown shown;
	uint32_t listed, deleted;

	shown_init(&shown, visit, row);
	shown_count(visit, &shown, row, &listed, &deleted);
	return listed > 0;
}

/* `fresh`: before the index was read. */
static int check_empty(const struct visit *visit, uint32_t folder, bool fresh)
{
	struct need need = {.kind = NEED_FOLDER, .id = folder};
	struct folder_row row;
	int result = 0;

	if (index_folders_count(visit->view, folder) > 0 || has_extras(visit, folder))
		return ENOTEMPTY;
	result = settle_pending(visit, folder);
	if (result != 0)
		return result;
	if (!index_folder_get(visit->view, folder, &row))
		return ENOENT;
	if ((row.attributes & (STORE_ATTR_NOSELECT | STORE_ATTR_NONEXISTENT)) == 0)
		result = !fresh || !row.synced	       ? visit_need_hard(visit, &need)
			 : shows_messages(visit, &row) ? ENOTEMPTY
						       : 0;
	folder_row_clear(&row);
	return result;
}

static int remove_folder(const struct visit *visit, const struct spot *spot)
{
	struct folder_op op = {.kind = FOLDER_DELETE, .folder = tree_node_epoch(spot->node)};
	bool fresh = engine_folder_is_fresh(engine_of(visit), op.folder);
	struct folder_row row;
	int result;

	if (is_inbox(visit, op.folder))
		return EBUSY;
	if (!index_folder_get(visit->view, op.folder, &row))
		return ENOENT;
	op.separator = row.separator;
	result = spot_may_known(visit, &row, STORE_MAY_DROP);
	folder_row_clear(&row);
	if (result == 0)
		result = check_empty(visit, op.folder, fresh);
	return result != 0 ? result : ask(visit, &op);
}

static int remove_spot(const struct visit *visit, const struct spot *spot)
{
	switch (spot->kind) {
	case SPOT_FREE:
		return ENOENT;
	case SPOT_FOLDER:
		return remove_folder(visit, spot);
	case SPOT_FIXED:
		return EPERM;
	default:
		return ENOTDIR;
	}
}

int tree_rmdir(struct tree *tree, struct tree_call *call, uint64_t parent, const char *name)
{
	/* The server was asked already. */
	if (call->ticket != 0)
		return call->give_up;
	return spot_alter(tree, call, parent, name, spot_may_change, remove_spot);
}

/* --- rename --- */

static int rename_folder(const struct visit *visit, const struct folder_row *row,
			 const struct spot *to)
{
	struct folder_op op = {.kind = FOLDER_RENAME, .folder = row->id};
	g_autofree char *target = NULL;
	int result = name_mailbox(visit, to, &op.separator, &target);

	if (result == 0)
		result = spot_may_known(visit, row, STORE_MAY_DROP);
	if (result == 0)
		result = may_make(visit, &to->dir);
	if (result == 0)
		result = settle_pending(visit, row->id);
	if (result != 0)
		return result;
	op.target = target;
	return ask(visit, &op);
}

int folder_op_move(const struct visit *visit, const struct spot *from, const struct spot *to)
{
	uint32_t folder = tree_node_epoch(from->node);
	struct folder_row row;
	int result;

	if (is_inbox(visit, folder))
		return EBUSY;
	if (to->kind != SPOT_FREE)
		return 0;
	if (spot_is_below(visit, to->dir.id, folder))
		return EINVAL;
	if (!index_folder_get(visit->view, folder, &row))
		return ENOENT;
	result = rename_folder(visit, &row, to);
	folder_row_clear(&row);
	return result;
}
