/* mkdir, rmdir and rename of folders: what is refused at once, and what the server is asked. */

#include "base/limits.h"
#include "tree_change_fixture.h"

#define ROOT NODE_ROOT

static int mkdir_in(struct fixture *f, uint64_t parent, const char *name)
{
	struct tree_entry entry;

	return tree_mkdir(f->tree, &f->call, parent, name, &entry);
}

static int rmdir_in(struct fixture *f, uint64_t parent, const char *name)
{
	return tree_rmdir(f->tree, &f->call, parent, name);
}

/* The server was asked this and nothing else. */
static void assert_asked(struct fixture *f, int result, enum folder_op_kind kind, uint32_t folder,
			 const char *name)
{
	g_assert_cmpuint(f->call.ticket, ==, f->engine.ticket);
	assert_hard(f, result, NEED_TICKET, 0, f->engine.ticket);
	g_assert_cmpint(f->engine.op.kind, ==, kind);
	g_assert_cmpuint(f->engine.op.folder, ==, folder);
	g_assert_cmpint(f->engine.op.separator, ==, '/');
	g_assert_cmpstr(kind == FOLDER_RENAME ? f->engine.op.target : f->engine.op.mailbox, ==,
			name);
}

static void new_call(struct fixture *f)
{
	memset(&f->call, 0, sizeof(f->call));
}

/* --- mkdir --- */

static void test_mkdir(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	struct tree_entry entry;

	assert_asked(f, mkdir_in(f, ROOT, "New"), FOLDER_CREATE, 0, "New");
	/* Asked once. */
	f->call.give_up = EACCES;
	g_assert_cmpint(mkdir_in(f, ROOT, "New"), ==, EACCES);
	g_assert_cmpuint(f->engine.ticket, ==, 1);
	new_call(f);
	assert_asked(f, mkdir_in(f, node_of(mail.archive), "Zoë"), FOLDER_CREATE, 0,
		     "Archive/Zo&AOs-");
	index_folder_seen(f->index, "Archive/Zo&AOs-", '/', 0, NOW_NS);
	commit(f);
	g_assert_cmpint(tree_mkdir(f->tree, &f->call, node_of(mail.archive), "Zoë", &entry), ==, 0);
	g_assert_cmpuint(entry.node, ==, node_of(folder_id(f, mail.archive, "Zo&AOs-")));
	g_assert_true(S_ISDIR(entry.attr.st_mode));
	g_assert_cmpuint(f->engine.ticket, ==, 2);
	/* Made, they say, but nowhere to be seen. */
	new_call(f);
	assert_asked(f, mkdir_in(f, ROOT, "Lost"), FOLDER_CREATE, 0, "Lost");
	g_assert_cmpint(mkdir_in(f, ROOT, "Lost"), ==, EIO);
}

static void test_mkdir_names(struct fixture *f, gconstpointer data)
{
	static const struct {
		const char *name;
		int error;
	} cases[] = {
		{".Trash-1000", EPERM}, {".hidden", EPERM}, {".mailfs", EPERM},
		{"x.eml", EPERM},	{"%00", EINVAL},    {"%ZZ", EINVAL},
		{"a%2Fb", EINVAL},	{"\xff", EINVAL},   {"2024", EEXIST},
	};
	struct mail mail = fill_mail(f, 0);
	uint64_t archive = node_of(mail.archive);

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		int result = mkdir_in(f, archive, cases[i].name);

		if (result != cases[i].error)
			g_test_message("%s: %d", cases[i].name, result);
		g_assert_cmpint(result, ==, cases[i].error);
	}
	g_assert_cmpint(mkdir_in(f, ROOT, "Inbox"), ==, EEXIST);
	g_assert_cmpint(mkdir_in(f, ROOT, ".Trash-0"), ==, EPERM);
	make_file(f, archive, "scratch", "abc");
	g_assert_cmpint(mkdir_in(f, archive, "scratch"), ==, EEXIST);
	g_assert_cmpuint(f->engine.ticket, ==, 0);
	/* At the root this name stands for something else. */
	g_assert_cmpint(mkdir_in(f, ROOT, "outbox"), ==, EINVAL);
	assert_asked(f, mkdir_in(f, ROOT, "%6Futbox"), FOLDER_CREATE, 0, "outbox");
}

static void test_mkdir_places(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox);

	g_assert_cmpint(mkdir_in(f, tree_deleted_node(mail.inbox), "x"), ==, EPERM);
	g_assert_cmpint(mkdir_in(f, find(f, ROOT, ".mailfs"), "x"), ==, EPERM);
	g_assert_cmpint(mkdir_in(f, find(f, inbox, "1.d"), "x"), ==, EPERM);
	g_assert_cmpint(mkdir_in(f, tree_folder_node(4711), "x"), ==, ESTALE);
	f->engine.rights.may = STORE_MAY_ALL & ~(unsigned)STORE_MAY_CREATE;
	g_assert_cmpint(mkdir_in(f, inbox, "x"), ==, EACCES);
	g_assert_cmpuint(f->engine.ticket, ==, 0);
	/* Of the root nobody has a right to tell. */
	assert_asked(f, mkdir_in(f, ROOT, "x"), FOLDER_CREATE, 0, "x");
	new_call(f);
	f->engine.rights_known = false;
	assert_asked(f, mkdir_in(f, inbox, "x"), FOLDER_CREATE, 0, "INBOX/x");
}

static void test_mkdir_separator(struct fixture *f, gconstpointer data)
{
	uint32_t flat, leaf;

	index_folder_seen(f->index, "INBOX", '.', 0, NOW_NS);
	index_folder_seen(f->index, "Flat", 0, 0, NOW_NS);
	index_folder_seen(f->index, "Leaf", '.', STORE_ATTR_NOINFERIORS, NOW_NS);
	index_folders_sweep(f->index, NOW_NS, ignore_folder, NULL);
	commit(f);
	flat = folder_id(f, INDEX_ROOT, "Flat");
	leaf = folder_id(f, INDEX_ROOT, "Leaf");
	g_assert_cmpint(mkdir_in(f, node_of(flat), "x"), ==, EPERM);
	g_assert_cmpint(mkdir_in(f, node_of(leaf), "x"), ==, EPERM);
	/* INBOX tells how names are parted. */
	g_assert_cmpint(mkdir_in(f, ROOT, "a.b"), ==, EINVAL);
	g_assert_cmpint(mkdir_in(f, node_of(folder_id(f, INDEX_ROOT, "INBOX")), "x"), ==,
			TREE_AGAIN);
	g_assert_cmpstr(f->engine.op.mailbox, ==, "INBOX.x");
	g_assert_cmpint(f->engine.op.separator, ==, '.');
}

static void test_mkdir_limits(struct fixture *f, gconstpointer data)
{
	g_autoptr(GString) deep = g_string_new("a");
	g_autofree char *name = NULL, *longer = NULL;
	uint32_t folder;

	for (unsigned i = 1; i < LIMIT_FOLDER_DEPTH - 1; i++)
		g_string_append(deep, "/a");
	index_folder_seen(f->index, deep->str, '/', 0, NOW_NS);
	commit(f);
	folder = folder_id(f, INDEX_ROOT, "a");
	for (unsigned i = 2; i < LIMIT_FOLDER_DEPTH; i++)
		folder = folder_id(f, folder, "a");
	g_assert_cmpint(mkdir_in(f, node_of(folder), "b"), ==, TREE_AGAIN);
	new_call(f);
	g_string_append(deep, "/b");
	index_folder_seen(f->index, deep->str, '/', 0, NOW_NS);
	commit(f);
	folder = folder_id(f, folder, "b");
	g_assert_cmpint(mkdir_in(f, node_of(folder), "c"), ==, ENAMETOOLONG);
	name = g_strnfill(LIMIT_MAILBOX_NAME - 200, 'n');
	index_folder_seen(f->index, name, '/', 0, NOW_NS);
	commit(f);
	folder = folder_id(f, INDEX_ROOT, name);
	longer = g_strnfill(199, 'x');
	g_assert_cmpint(mkdir_in(f, node_of(folder), longer), ==, TREE_AGAIN);
	g_assert_cmpuint(strlen(f->engine.op.mailbox), ==, LIMIT_MAILBOX_NAME);
	new_call(f);
	g_free(longer);
	longer = g_strnfill(200, 'x');
	g_assert_cmpint(mkdir_in(f, node_of(folder), longer), ==, ENAMETOOLONG);
	g_free(longer);
	longer = g_strnfill(256, 'x');
	g_assert_cmpint(mkdir_in(f, ROOT, longer), ==, ENAMETOOLONG);
}

/* --- rmdir --- */

static void test_rmdir(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t archive = node_of(mail.archive);

	g_assert_cmpint(rmdir_in(f, ROOT, "INBOX"), ==, EBUSY);
	g_assert_cmpint(rmdir_in(f, ROOT, "inbox"), ==, EBUSY);
	g_assert_cmpint(rmdir_in(f, ROOT, "Archive"), ==, ENOTEMPTY);
	g_assert_cmpint(rmdir_in(f, ROOT, "Trash"), ==, ENOTEMPTY);
	g_assert_cmpint(rmdir_in(f, ROOT, "None"), ==, ENOENT);
	g_assert_cmpint(rmdir_in(f, ROOT, ".mailfs"), ==, EPERM);
	g_assert_cmpint(rmdir_in(f, archive, ".deleted"), ==, EPERM);
	g_assert_cmpint(rmdir_in(f, archive, "1.d"), ==, EPERM);
	g_assert_cmpint(rmdir_in(f, archive, "1.m.eml"), ==, ENOTDIR);
	f->engine.rights.may = STORE_MAY_ALL & ~(unsigned)STORE_MAY_DROP;
	g_assert_cmpint(rmdir_in(f, archive, "2024"), ==, EACCES);
	f->engine.rights.may = STORE_MAY_ALL;
	g_assert_cmpuint(f->engine.ticket, ==, 0);
	assert_asked(f, rmdir_in(f, archive, "2024"), FOLDER_DELETE, mail.year, NULL);
	f->call.give_up = ENOTEMPTY;
	g_assert_cmpint(rmdir_in(f, archive, "2024"), ==, ENOTEMPTY);
	f->call.give_up = 0;
	g_assert_cmpint(rmdir_in(f, archive, "2024"), ==, 0);
	g_assert_cmpuint(f->engine.ticket, ==, 1);
}

/* What is on its way out is waited for, and what is deleted does not count. */
static void test_rmdir_pending(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t trash = node_of(mail.trash);

	f->engine.folder_fresh = false;
	assert_hard(f, rmdir_in(f, ROOT, "Trash"), NEED_FOLDER, mail.trash, 0);
	f->call.give_up = EHOSTUNREACH;
	g_assert_cmpint(rmdir_in(f, ROOT, "Trash"), ==, EHOSTUNREACH);
	new_call(f);
	f->engine.folder_fresh = true;
	g_assert_cmpint(unlink_in(f, trash, "7.m.eml"), ==, 0);
	assert_hard(f, rmdir_in(f, ROOT, "Trash"), NEED_CHANGES, mail.trash, 0);
	settle_all(f);
	assert_asked(f, rmdir_in(f, ROOT, "Trash"), FOLDER_DELETE, mail.trash, NULL);
}

static void test_rmdir_extras(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t archive = node_of(mail.archive), year = node_of(mail.year);

	make_file(f, year, ".scratch", "abc");
	g_assert_cmpint(rmdir_in(f, archive, "2024"), ==, ENOTEMPTY);
	g_assert_cmpint(unlink_in(f, year, ".scratch"), ==, 0);
	g_assert_cmpint(rename_to(f, node_of(mail.inbox), "1.m.eml", year, "one.eml"), ==, 0);
	g_assert_cmpint(rmdir_in(f, archive, "2024"), ==, ENOTEMPTY);
	g_assert_cmpuint(f->engine.ticket, ==, 0);
}

/* --- rename --- */

static void test_rename(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t archive = node_of(mail.archive), year = node_of(mail.year),
		 inbox = node_of(mail.inbox);

	g_assert_cmpint(rename_to(f, ROOT, "INBOX", archive, "Old"), ==, EBUSY);
	g_assert_cmpint(rename_to(f, ROOT, "Archive", archive, "Self"), ==, EINVAL);
	g_assert_cmpint(rename_to(f, ROOT, "Archive", year, "Deep"), ==, EINVAL);
	g_assert_cmpint(rename_to(f, ROOT, "Archive", ROOT, "Trash"), ==, EEXIST);
	g_assert_cmpint(rename_to(f, ROOT, "Archive", inbox, "1.m.eml"), ==, ENOTDIR);
	g_assert_cmpint(rename_to(f, ROOT, "Archive", inbox, "x.eml"), ==, EPERM);
	g_assert_cmpint(rename_to(f, ROOT, "Archive", ROOT, ".Trash-0"), ==, EPERM);
	g_assert_cmpint(rename_to(f, ROOT, "Archive", tree_deleted_node(mail.inbox), "x"), ==,
			EPERM);
	g_assert_cmpint(rename_to(f, ROOT, ".mailfs", ROOT, "x"), ==, EPERM);
	g_assert_cmpint(rename_to(f, archive, ".deleted", archive, "x"), ==, EPERM);
	g_assert_cmpint(rename_to(f, ROOT, "Archive", ROOT, "Archive"), ==, 0);
	make_file(f, inbox, "scratch", "abc");
	g_assert_cmpint(rename_to(f, ROOT, "Archive", inbox, "scratch"), ==, ENOTDIR);
	g_assert_cmpint(rename_to(f, inbox, "scratch", archive, "2024"), ==, EISDIR);
	g_assert_cmpuint(f->engine.ticket, ==, 0);
	assert_asked(f, rename_to(f, archive, "2024", ROOT, "Y24"), FOLDER_RENAME, mail.year,
		     "Y24");
	f->call.give_up = EBUSY;
	g_assert_cmpint(rename_to(f, archive, "2024", ROOT, "Y24"), ==, EBUSY);
	f->call.give_up = 0;
	g_assert_cmpint(rename_to(f, archive, "2024", ROOT, "Y24"), ==, 0);
	g_assert_cmpuint(f->engine.ticket, ==, 1);
	new_call(f);
	assert_asked(f, rename_to(f, ROOT, "Archive", inbox, "Old"), FOLDER_RENAME, mail.archive,
		     "INBOX/Old");
}

static void test_rename_checks(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);

	f->engine.rights.may = STORE_MAY_ALL & ~(unsigned)STORE_MAY_DROP;
	g_assert_cmpint(rename_to(f, ROOT, "Archive", ROOT, "New"), ==, EACCES);
	f->engine.rights.may = STORE_MAY_ALL & ~(unsigned)STORE_MAY_CREATE;
	g_assert_cmpint(rename_to(f, ROOT, "Archive", node_of(mail.inbox), "New"), ==, EACCES);
	f->engine.rights.may = STORE_MAY_ALL;
	g_assert_cmpint(unlink_in(f, node_of(mail.archive), "1.m.eml"), ==, 0);
	assert_hard(f, rename_to(f, ROOT, "Archive", ROOT, "New"), NEED_CHANGES, mail.archive, 0);
	f->call.give_up = ETIMEDOUT;
	g_assert_cmpint(rename_to(f, ROOT, "Archive", ROOT, "New"), ==, ETIMEDOUT);
	g_assert_cmpuint(f->engine.ticket, ==, 0);
}

#define ADD(path, function)                                                                        \
	g_test_add(path, struct fixture, NULL, fixture_up, function, fixture_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/tree-folder-op/mkdir", test_mkdir);
	ADD("/tree-folder-op/mkdir-names", test_mkdir_names);
	ADD("/tree-folder-op/mkdir-places", test_mkdir_places);
	ADD("/tree-folder-op/mkdir-separator", test_mkdir_separator);
	ADD("/tree-folder-op/mkdir-limits", test_mkdir_limits);
	ADD("/tree-folder-op/rmdir", test_rmdir);
	ADD("/tree-folder-op/rmdir-pending", test_rmdir_pending);
	ADD("/tree-folder-op/rmdir-extras", test_rmdir_extras);
	ADD("/tree-folder-op/rename", test_rename);
	ADD("/tree-folder-op/rename-checks", test_rename_checks);
	return g_test_run();
}
