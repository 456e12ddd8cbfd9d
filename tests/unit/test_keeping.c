#include "fuse/request.h"

/* How long the kernel may keep names and attributes. */

#define FOLDER 20
#define DAY_S (24.0 * 60 * 60)

static struct tree_entry entry_of(enum node_kind kind, bool is_dir)
{
	return (struct tree_entry){
		.node = (uint64_t)kind << 60 | UINT64_C(5) << 32 | 7,
		.attr.st_mode = is_dir ? S_IFDIR | 0700 : S_IFREG | 0600,
		.volatile_attr = is_dir,
	};
}

/* Whoever removes or renames a message must leave no other name of it behind. */
static void test_one_name_of_a_message(void)
{
	struct tree_entry message = entry_of(NODE_MESSAGE, false);
	uint64_t folder = tree_folder_node(FOLDER);

	g_assert_cmpfloat(entry_timeout(folder, &message), >, DAY_S);
	g_assert_cmpfloat(entry_timeout(tree_deleted_node(FOLDER), &message), ==, 0);
	message.volatile_name = true;
	g_assert_cmpfloat(entry_timeout(folder, &message), ==, 0);
}

static void test_other_names(void)
{
	static const struct {
		enum node_kind kind;
		bool is_dir;
		bool kept;
	} cases[] = {
		{NODE_FOLDER, true, true}, {NODE_VIEW, true, true},    {NODE_SPOOL, false, false},
		{NODE_PARTS, true, false}, {NODE_FLAGS, false, false}, {NODE_CONTROL, false, false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct tree_entry entry = entry_of(cases[i].kind, cases[i].is_dir);
		double seconds = entry_timeout(tree_folder_node(FOLDER), &entry);

		g_assert_true((seconds > DAY_S) == cases[i].kept);
		g_assert_true((seconds == 0) == !cases[i].kept);
		entry.volatile_name = true;
		g_assert_cmpfloat(entry_timeout(tree_folder_node(FOLDER), &entry), ==, 0);
	}
}

static void test_attributes(void)
{
	struct tree_entry message = entry_of(NODE_MESSAGE, false);
	struct tree_entry draft = entry_of(NODE_SPOOL, false);
	struct tree_entry folder = entry_of(NODE_FOLDER, true);

	g_assert_cmpfloat(attr_timeout(&message), >, DAY_S);
	g_assert_cmpfloat(attr_timeout(&draft), ==, 0);
	g_assert_cmpfloat(attr_timeout(&folder), >, 0);
	g_assert_cmpfloat(attr_timeout(&folder), <=, 1);
	message.volatile_attr = true;
	g_assert_cmpfloat(attr_timeout(&message), ==, 0);
}

/* A message that is met in a view or on its way says nothing about how much of a folder is known.
 */
static void test_home(void)
{
	struct mount mount = {.known = known_new()};
	struct tree_entry message = entry_of(NODE_MESSAGE, false);
	struct tree_entry draft = entry_of(NODE_SPOOL, false);
	uint64_t folder = tree_folder_node(FOLDER), other = tree_folder_node(FOLDER + 1);
	uint64_t view = tree_deleted_node(FOLDER);

	entry_known(&mount, folder, &message);
	g_assert_cmpuint(known_children(mount.known, folder), ==, 1);
	entry_known(&mount, view, &message);
	message.volatile_name = true;
	entry_known(&mount, other, &message);
	entry_known(&mount, other, &draft);
	g_assert_cmpuint(known_children(mount.known, folder), ==, 1);
	g_assert_cmpuint(known_children(mount.known, view), ==, 0);
	g_assert_cmpuint(known_children(mount.known, other), ==, 0);
	g_assert_true(known_has(mount.known, draft.node));
	known_free(&mount.known);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/keeping/one-name-of-a-message", test_one_name_of_a_message);
	g_test_add_func("/keeping/other-names", test_other_names);
	g_test_add_func("/keeping/attributes", test_attributes);
	g_test_add_func("/keeping/home", test_home);
	return g_test_run();
}
