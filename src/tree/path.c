/* Where things stand, as the user writes it. */
#include "tree/attr.h"
#include "tree/node.h"
#include "tree/tree_private.h"

#include "base/limits.h"

static char *join(char *above, char *name)
{
	char *path = *above ? g_strconcat(above, "/", name, NULL) : g_strdup(name);

	g_free(above);
	g_free(name);
	return path;
}

static char *folder_path(struct index_view *view, uint32_t folder)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	char *path = g_strdup("");
	struct folder_row row;

	while (folder != INDEX_ROOT && names->len <= LIMIT_FOLDER_DEPTH) {
		if (!index_folder_get(view, folder, &row)) {
			g_free(path);
			return NULL;
		}
		g_ptr_array_add(names, tree_folder_name(row.parent, row.leaf));
		folder = row.parent;
		folder_row_clear(&row);
	}
	while (names->len > 0)
		path = join(path, g_ptr_array_steal_index(names, names->len - 1));
	return path;
}

static char *outbox_path(uint64_t node)
{
	if (node == tree_outbox_node(false))
		return g_strdup(OUTBOX_DIR_NAME);
	return node == tree_outbox_node(true) ? g_strdup(OUTBOX_DIR_NAME "/failed") : NULL;
}

char *tree_path(struct tree *tree, uint64_t node)
{
	enum node_kind kind = tree_node_kind(node);
	g_autofree char *name = kind == NODE_VIEW ? view_name(node) : NULL;
	struct visit visit;
	char *path = NULL;

	if (kind == NODE_OUTBOX)
		return outbox_path(node);
	if (visit_begin(&visit, tree, NULL) != 0)
		return NULL;
	if (node == NODE_ROOT || kind == NODE_FOLDER || kind == NODE_VIEW)
		path = folder_path(visit.view, tree_node_epoch(node));
	visit_end(&visit);
	if (path != NULL && kind == NODE_VIEW && name != NULL)
		path = join(path, g_steal_pointer(&name));
	return path;
}

void tree_ghost(uint32_t number, bool is_dir, struct tree_entry *ret)
{
	uint64_t node = node_pack(NODE_GHOST, is_dir, number);

	if (is_dir)
		attr_dir(ret, node, 0);
	else
		attr_file(ret, node, 0, true);
	ret->volatile_name = true;
}

bool tree_folder_parent(struct tree *tree, uint32_t folder, uint32_t *ret_parent)
{
	struct folder_row row;
	struct visit visit;
	bool found;

	if (visit_begin(&visit, tree, NULL) != 0)
		return false;
	found = index_folder_get(visit.view, folder, &row);
	if (found) {
		*ret_parent = row.parent;
		folder_row_clear(&row);
	}
	visit_end(&visit);
	return found;
}
