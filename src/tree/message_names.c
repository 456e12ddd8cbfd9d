#include "state/names.h"
#include "tree/node.h"
#include "tree/tree_private.h"

static bool copy_label(void *data, const struct message_row *row)
{
	char **ret = data;

	*ret = g_strdup(row->label);
	return false;
}

static GPtrArray *collect(const struct visit *visit, const struct folder_row *folder, uint32_t uid)
{
	const struct tree *tree = visit->tree;
	g_autofree char *label = NULL;
	GPtrArray *names;
	char *chosen;

	if (!index_message_get(visit->view, folder->epoch, uid, copy_label, &label))
		return NULL;
	names = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(names, tree_message_name(tree, uid, label, folder->token));
	chosen = names_get(tree->config.state, folder->epoch, uid);
	if (chosen)
		g_ptr_array_add(names, chosen);
	return names;
}

GPtrArray *tree_message_names(struct tree *tree, uint64_t node, uint32_t *ret_folder)
{
	GPtrArray *names = NULL;
	struct folder_row folder;
	struct visit visit;

	if (visit_begin(&visit, tree, NULL) != 0)
		return NULL;
	if (index_folder_by_epoch(visit.view, tree_node_epoch(node), &folder)) {
		names = collect(&visit, &folder, node_low(node));
		*ret_folder = folder.id;
		folder_row_clear(&folder);
	}
	visit_end(&visit);
	return names;
}
