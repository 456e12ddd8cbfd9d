/* Node ids are arithmetic and reversible. */

#include "tree/node.h"

static void test_root(void)
{
	g_assert_cmpuint(tree_folder_node(INDEX_ROOT), ==, 1);
	g_assert_cmpint(tree_node_kind(1), ==, NODE_SPECIAL);
	g_assert_cmpuint(tree_node_epoch(1), ==, INDEX_ROOT);
}

static void test_folder(void)
{
	static const uint32_t ids[] = {16, 17, 0x1234567, 0xffffffe, 0xfffffff};

	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
		uint64_t node = tree_folder_node(ids[i]);

		g_assert_cmpint(tree_node_kind(node), ==, NODE_FOLDER);
		g_assert_cmpuint(tree_node_epoch(node), ==, ids[i]);
		g_assert_cmpuint(node_low(node), ==, 0);
	}
}

static void test_message(void)
{
	static const uint32_t epochs[] = {16, 0xfffffff};
	static const uint32_t uids[] = {1, 2, 0x7fffffff, 0x80000000, 0xffffffff};

	for (size_t i = 0; i < G_N_ELEMENTS(epochs); i++) {
		for (size_t k = 0; k < G_N_ELEMENTS(uids); k++) {
			uint64_t node = tree_message_node(epochs[i], uids[k]);

			g_assert_cmpint(tree_node_kind(node), ==, NODE_MESSAGE);
			g_assert_cmpuint(tree_node_epoch(node), ==, epochs[i]);
			g_assert_cmpuint(node_low(node), ==, uids[k]);
		}
	}
}

static void test_deleted(void)
{
	uint64_t node = tree_deleted_node(0xfffffff);

	g_assert_cmpint(tree_node_kind(node), ==, NODE_VIEW);
	g_assert_cmpuint(tree_node_epoch(node), ==, 0xfffffff);
	g_assert_cmpuint(node_low(node), ==, NODE_VIEW_DELETED);
}

/* No two things share an inode number. */
static void test_distinct(void)
{
	g_assert_cmpuint(tree_folder_node(20), !=, tree_message_node(20, 1));
	g_assert_cmpuint(tree_folder_node(20), !=, tree_folder_node(21));
	g_assert_cmpuint(node_pack(NODE_CONTROL, 0, 1), !=, NODE_ROOT);
	g_assert_cmpuint(tree_message_node(20, 1), !=, tree_message_node(21, 1));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/node/root", test_root);
	g_test_add_func("/node/folder", test_folder);
	g_test_add_func("/node/message", test_message);
	g_test_add_func("/node/deleted", test_deleted);
	g_test_add_func("/node/distinct", test_distinct);
	return g_test_run();
}
