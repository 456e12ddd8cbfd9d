/* The namespace: names, attributes, listings, and when an answer has to wait. */

#include "tree/name.h"
#include "tree_look.h"

#include "base/log.h"

static void test_list_folder(struct fixture *f, gconstpointer data)
{
	static const char *const names[] = {"INBOX", "INBOX/Lists", NULL};
	static const char *const want[] = {
		".", "..", "Lists", "1.m.eml", "2.m.eml", "30.m.eml", "4294967295.m.eml", NULL};
	static const uint32_t uids[] = {30, 2, 1, UINT32_MAX};
	uint64_t inbox;
	int64_t generation;
	uint32_t count;

	fill_inbox(f, uids, G_N_ELEMENTS(uids));
	set_folders(f, names);
	inbox = must_find(f, ROOT, "INBOX");
	check_listing(f, inbox, want);
	g_assert_cmpint(tree_opendir(f->tree, &f->call, inbox, &generation, &count), ==, 0);
	g_assert_cmpuint(count, ==, 7);
}

static void test_list_dots(struct fixture *f, gconstpointer data)
{
	static const char *const names[] = {"a", "a/b", NULL};
	struct entries entries;
	uint64_t a, b;

	set_folders(f, names);
	a = must_find(f, ROOT, "a");
	b = must_find(f, a, "b");
	index_folder_refreshed(f->index, tree_node_epoch(b), 1, 0);
	commit(f);
	list(f, b, 9, &entries);
	g_assert_cmpuint(g_array_index(entries.entries, struct tree_entry, 0).node, ==, b);
	g_assert_cmpuint(g_array_index(entries.entries, struct tree_entry, 1).node, ==, a);
	entries_clear(&entries);
	list(f, ROOT, 9, &entries);
	g_assert_cmpuint(g_array_index(entries.entries, struct tree_entry, 0).node, ==, ROOT);
	g_assert_cmpuint(g_array_index(entries.entries, struct tree_entry, 1).node, ==, ROOT);
	entries_clear(&entries);
}

/* A message that goes while it is listed shifts nothing. */
static void test_list_resume(struct fixture *f, gconstpointer data)
{
	static const uint32_t uids[] = {1, 2, 3, 4, 5};
	uint32_t epoch = fill_inbox(f, uids, G_N_ELEMENTS(uids));
	uint64_t inbox = must_find(f, ROOT, "INBOX");
	struct seqset gone = {NULL};
	struct entries entries;

	entries_init(&entries);
	entries.left = 5;
	tree_readdir(f->tree, &f->call, inbox, 0, note_entry, &entries);
	g_assert_cmpstr(g_ptr_array_index(entries.names, 4), ==, "3.m.eml");
	seqset_add(&gone, 1, 4);
	index_messages_remove(f->index, epoch, &gone, ignore_message, NULL);
	put(f, epoch, 6, "m", 10);
	commit(f);
	entries.left = 5;
	tree_readdir(f->tree, &f->call, inbox, g_array_index(entries.cookies, uint64_t, 4),
		     note_entry, &entries);
	g_assert_cmpuint(entries.names->len, ==, 7);
	g_assert_cmpstr(g_ptr_array_index(entries.names, 5), ==, "5.m.eml");
	g_assert_cmpstr(g_ptr_array_index(entries.names, 6), ==, "6.m.eml");
	entries_clear(&entries);
	seqset_clear(&gone);
}

static void test_list_root(struct fixture *f, gconstpointer data)
{
	static const char *const names[] = {"INBOX", "outbox", ".git", "&bad",
					    "a%b",   "1.eml",  NULL};
	struct entries entries;
	int64_t before, after;
	uint32_t count;

	set_folders(f, names);
	list(f, ROOT, 3, &entries);
	g_assert_cmpuint(entries.names->len, ==, 8);
	assert_resolvable(f, ROOT, &entries);
	entries_clear(&entries);
	g_assert_cmpint(tree_opendir(f->tree, &f->call, ROOT, &before, &count), ==, 0);
	g_assert_cmpuint(count, ==, 8);
	index_folder_seen(f->index, "new", '/', 0, NOW_NS);
	commit(f);
	g_assert_cmpint(tree_opendir(f->tree, &f->call, ROOT, &after, &count), ==, 0);
	g_assert_cmpint(after, >, before);
	must_find(f, ROOT, "%6Futbox");
	must_find(f, ROOT, "%2Egit");
	must_find(f, ROOT, "%26bad");
	must_find(f, ROOT, "1%2Eeml");
	assert_missing(f, ROOT, "outbox", ENOENT);
	assert_missing(f, ROOT, "a%62", ENOENT);
}

/* --- names --- */

static void test_inbox_case(struct fixture *f, gconstpointer data)
{
	static const char *const names[] = {"Inbox", "Sent", NULL};

	set_folders(f, names);
	g_assert_cmpuint(must_find(f, ROOT, "INBOX"), ==, must_find(f, ROOT, "inbox"));
	assert_missing(f, ROOT, "sent", ENOENT);
}

static void test_cut_name(struct fixture *f, gconstpointer data)
{
	g_autofree char *one = g_strnfill(300, 'x'), *two = g_strnfill(301, 'x');
	const char *const names[] = {one, two, NULL};
	g_autofree char *first = NULL, *second = NULL;

	set_folders(f, names);
	first = tree_folder_name(INDEX_ROOT, one);
	second = tree_folder_name(INDEX_ROOT, two);
	g_assert_cmpuint(must_find(f, ROOT, first), !=, must_find(f, ROOT, second));
	first[0] = 'y';
	assert_missing(f, ROOT, first, ENOENT);
	assert_missing(f, ROOT, one, ENAMETOOLONG);
}

static void test_message_names(struct fixture *f, gconstpointer data)
{
	static const uint32_t uids[] = {5};
	uint32_t epoch = fill_inbox(f, uids, 1);
	uint64_t inbox = must_find(f, ROOT, "INBOX"), node;
	static const char *const wrong[] = {"05.m.eml", "5.x.eml",  "5.M.eml", "5..eml",
					    "6.eml",	"6.m.eml",  "x.eml",   "5.m",
					    "5",	"5.eml.eml"};

	node = must_find(f, inbox, "5.m.eml");
	g_assert_cmpuint(node, ==, tree_message_node(epoch, 5));
	g_assert_cmpuint(must_find(f, inbox, "5.eml"), ==, node);
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		assert_missing(f, inbox, wrong[i], ENOENT);
	assert_missing(f, ROOT, "5.eml", ENOENT);
	assert_missing(f, node, "x", ENOTDIR);
}

/* Without a subject, or if the user wants it so, the folder's token stands in its place. */
static void test_token_names(struct fixture *f, gconstpointer data)
{
	static const uint32_t uids[] = {5};
	uint32_t epoch = fill_inbox(f, uids, 1);
	uint64_t inbox = must_find(f, ROOT, "INBOX");
	struct entries entries;

	put(f, epoch, 6, "", 10);
	commit(f);
	list(f, inbox, 9, &entries);
	g_assert_cmpuint(strlen(g_ptr_array_index(entries.names, 3)), ==, strlen("6.abcd.eml"));
	assert_resolvable(f, inbox, &entries);
	entries_clear(&entries);
	f->account.names = NAMES_UID;
	list(f, inbox, 9, &entries);
	g_assert_cmpuint(strlen(g_ptr_array_index(entries.names, 2)), ==, strlen("5.abcd.eml"));
	assert_resolvable(f, inbox, &entries);
	entries_clear(&entries);
	assert_missing(f, inbox, "5.m.eml", ENOENT);
}

/* Probes of file managers and shells cost nothing, however old the listing is. */
static void test_probes(struct fixture *f, gconstpointer data)
{
	static const uint32_t uids[] = {5};
	uint64_t inbox;

	fill_inbox(f, uids, 1);
	inbox = must_find(f, ROOT, "INBOX");
	f->engine.folder_fresh = false;
	f->engine.folders_fresh = false;
	assert_missing(f, ROOT, ".Trash-1000", ENOENT);
	assert_missing(f, ROOT, ".git", ENOENT);
	assert_missing(f, inbox, ".git", ENOENT);
	assert_missing(f, inbox, ".mailfs", ENOENT);
	assert_missing(f, inbox, "x.eml", ENOENT);
	assert_missing(f, ROOT, "7.eml", ENOENT);
	g_assert_cmpuint(f->engine.needs, ==, 0);
}

/* --- attributes --- */

static void test_message_attr(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = fill_inbox(f, NULL, 0);
	struct tree_entry entry;

	put(f, epoch, 7, "x", 513);
	commit(f);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, tree_message_node(epoch, 7), &entry), ==,
			0);
	g_assert_cmpuint(entry.attr.st_mode, ==, S_IFREG | 0600);
	g_assert_cmpuint(entry.attr.st_nlink, ==, 1);
	g_assert_cmpuint(entry.attr.st_uid, ==, geteuid());
	g_assert_cmpint(entry.attr.st_size, ==, 513);
	g_assert_cmpint(entry.attr.st_blocks, ==, 2);
	g_assert_cmpint(entry.attr.st_mtim.tv_sec, ==, 1000000000);
	g_assert_cmpint(entry.attr.st_ctim.tv_sec, ==, 1000000000);
	g_assert_false(entry.volatile_attr);
	index_message_flags(f->index, epoch, 7, STORE_FLAG_SEEN, "", NOW_NS);
	commit(f);
	tree_getattr(f->tree, &f->call, entry.node, &entry);
	g_assert_cmpint(entry.attr.st_ctim.tv_sec, ==, NOW_NS / 1000000000);
	g_assert_cmpint(entry.attr.st_mtim.tv_sec, ==, 1000000000);
}

static void test_folder_attr(struct fixture *f, gconstpointer data)
{
	uint32_t folder;
	struct tree_entry before, after;

	fill_inbox(f, NULL, 0);
	folder = folder_id(f, INDEX_ROOT, "INBOX");
	g_assert_cmpint(tree_getattr(f->tree, &f->call, tree_folder_node(folder), &before), ==, 0);
	g_assert_cmpuint(before.attr.st_mode, ==, S_IFDIR | 0700);
	g_assert_cmpuint(before.attr.st_nlink, ==, 2);
	g_assert_cmpint(before.attr.st_blksize, ==, 131072);
	g_assert_true(before.volatile_attr);
	index_folder_touch(f->index, folder, NOW_NS);
	commit(f);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, tree_folder_node(folder), &after), ==, 0);
	g_assert_true(after.attr.st_mtim.tv_sec > before.attr.st_mtim.tv_sec ||
		      after.attr.st_mtim.tv_nsec > before.attr.st_mtim.tv_nsec);
}

static void test_stale_nodes(struct fixture *f, gconstpointer data)
{
	static const uint64_t nodes[] = {0,
					 2,
					 5ull << 60,
					 0xfull << 60,
					 77ull << 32 | 1ull << 60,
					 77ull << 32 | 2ull << 60 | 1,
					 3ull << 60 | 9};
	struct tree_entry entry;
	struct tree_file *file;

	fill_inbox(f, NULL, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(nodes); i++)
		g_assert_cmpint(tree_getattr(f->tree, &f->call, nodes[i], &entry), ==, ESTALE);
	g_assert_cmpint(tree_open(f->tree, &f->call, nodes[5], O_RDONLY, &file), ==, ESTALE);
	g_assert_cmpint(tree_readdir(f->tree, &f->call, nodes[4], 0, note_entry, NULL), ==, ESTALE);
}

/* A new UIDVALIDITY makes new nodes, and the old ones stale. */
static void test_uidvalidity(struct fixture *f, gconstpointer data)
{
	static const uint32_t uids[] = {5};
	uint32_t old = fill_inbox(f, uids, 1), folder, epoch;
	uint64_t inbox = must_find(f, ROOT, "INBOX"), node = must_find(f, inbox, "5.eml");
	struct tree_entry entry;

	folder = folder_id(f, INDEX_ROOT, "INBOX");
	epoch = open_folder(f, folder, 2);
	commit(f);
	g_assert_cmpuint(epoch, !=, old);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, node, &entry), ==, ESTALE);
	assert_need(f, lookup(f, inbox, "5.eml", &entry), NEED_FOLDER, folder, false);
	put(f, epoch, 5, "other", 10);
	index_folder_refreshed(f->index, folder, 6, 0);
	commit(f);
	g_assert_cmpuint(must_find(f, inbox, "5.eml"), !=, node);
	assert_missing(f, inbox, "5.m.eml", ENOENT);
	must_find(f, inbox, "5.other.eml");
}

/* --- waiting --- */

static void test_wait_root(struct fixture *f, gconstpointer data)
{
	static const char *const names[] = {"a", NULL};
	struct tree_entry entry;
	int64_t generation;
	uint32_t count;

	f->engine.folders_fresh = false;
	assert_need(f, tree_opendir(f->tree, &f->call, ROOT, &generation, &count), NEED_FOLDERS, 0,
		    false);
	assert_need(f, lookup(f, ROOT, "a", &entry), NEED_FOLDERS, 0, false);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, ROOT, &entry), ==, 0);
	/* Waiting may be pointless, but there is nothing else to answer with. */
	f->engine.stalled = true;
	assert_need(f, lookup(f, ROOT, "a", &entry), NEED_FOLDERS, 0, false);
	f->call.give_up = EHOSTUNREACH;
	assert_missing(f, ROOT, "a", EHOSTUNREACH);
	f->call.give_up = 0;
	set_folders(f, names);
	must_find(f, ROOT, "a");
	assert_missing(f, ROOT, "b", ENOENT);
	f->engine.stalled = false;
	assert_need(f, lookup(f, ROOT, "b", &entry), NEED_FOLDERS, 0, true);
	assert_need(f, tree_opendir(f->tree, &f->call, ROOT, &generation, &count), NEED_FOLDERS, 0,
		    true);
	f->call.give_up = ETIMEDOUT;
	assert_missing(f, ROOT, "b", ENOENT);
	g_assert_cmpint(tree_opendir(f->tree, &f->call, ROOT, &generation, &count), ==, 0);
}

static void test_wait_stale(struct fixture *f, gconstpointer data)
{
	static const uint32_t uids[] = {5};
	struct tree_entry entry;
	uint64_t inbox;
	uint32_t folder, count;
	int64_t generation;

	fill_inbox(f, uids, 1);
	folder = folder_id(f, INDEX_ROOT, "INBOX");
	inbox = must_find(f, ROOT, "INBOX");
	f->engine.folder_fresh = false;
	must_find(f, inbox, "5.eml");
	assert_need(f, lookup(f, inbox, "6.eml", &entry), NEED_FOLDER, folder, true);
	assert_need(f, tree_getattr(f->tree, &f->call, inbox, &entry), NEED_FOLDER, folder, true);
	assert_need(f, tree_opendir(f->tree, &f->call, inbox, &generation, &count), NEED_FOLDER,
		    folder, true);
	f->call.give_up = ETIMEDOUT;
	assert_missing(f, inbox, "6.eml", ENOENT);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, inbox, &entry), ==, 0);
	g_assert_cmpint(tree_opendir(f->tree, &f->call, inbox, &generation, &count), ==, 0);
	f->call.give_up = 0;
	f->engine.stalled = true;
	assert_missing(f, inbox, "6.eml", ENOENT);
	g_assert_cmpint(tree_opendir(f->tree, &f->call, inbox, &generation, &count), ==, 0);
}

static void test_wait_unsynced(struct fixture *f, gconstpointer data)
{
	static const char *const names[] = {"a", NULL};
	struct tree_entry entry;
	uint32_t folder, count;
	int64_t generation;
	uint64_t node;

	set_folders(f, names);
	folder = folder_id(f, INDEX_ROOT, "a");
	node = must_find(f, ROOT, "a");
	f->engine.folder_fresh = false;
	g_assert_cmpint(tree_getattr(f->tree, &f->call, node, &entry), ==, 0);
	assert_need(f, lookup(f, node, "1.eml", &entry), NEED_FOLDER, folder, false);
	assert_need(f, tree_opendir(f->tree, &f->call, node, &generation, &count), NEED_MESSAGES,
		    folder, false);
	f->call.give_up = EACCES;
	assert_missing(f, node, "1.eml", EACCES);
	g_assert_cmpint(tree_opendir(f->tree, &f->call, node, &generation, &count), ==, EACCES);
}

static void test_noselect(struct fixture *f, gconstpointer data)
{
	static const char *const want[] = {".", "..", "b", NULL};
	uint32_t count;
	int64_t generation;
	uint64_t node;

	index_folder_seen(f->index, "a", '/', STORE_ATTR_NOSELECT, NOW_NS);
	index_folder_seen(f->index, "a/b", '/', 0, NOW_NS);
	commit(f);
	f->engine.folder_fresh = false;
	node = must_find(f, ROOT, "a");
	assert_missing(f, node, "1.eml", ENOENT);
	g_assert_cmpint(tree_opendir(f->tree, &f->call, node, &generation, &count), ==, 0);
	g_assert_cmpuint(count, ==, 3);
	check_listing(f, node, want);
}

/* --- .mailfs and df --- */

static void test_control(struct fixture *f, gconstpointer data)
{
	static const char *const want[] = {".", "..", "status", "log", NULL};
	struct entries entries;
	struct tree_entry entry;
	uint64_t dir = must_find(f, ROOT, ".mailfs"), status;
	uint32_t count;
	int64_t generation;

	for (unsigned step = 1; step < 6; step++) {
		list(f, dir, step, &entries);
		assert_names(&entries, want);
		entries_clear(&entries);
	}
	g_assert_cmpint(tree_opendir(f->tree, &f->call, dir, &generation, &count), ==, 0);
	g_assert_cmpuint(count, ==, 4);
	status = must_find(f, dir, "status");
	must_find(f, dir, "log");
	must_find(f, dir, "ctl"); /* unlisted */
	assert_missing(f, dir, "clt", ENOENT);
	assert_missing(f, status, "x", ENOTDIR);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, status, &entry), ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, strlen("state: fine\n"));
	g_assert_cmpuint(entry.attr.st_mode, ==, S_IFREG | 0400);
	g_assert_true(entry.volatile_attr);
	list(f, ROOT, 9, &entries);
	g_assert_cmpuint(entries.names->len, ==, 2);
	entries_clear(&entries);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, dir, &entry), ==, 0);
	g_assert_true(S_ISDIR(entry.attr.st_mode));
	g_assert_cmpint(tree_opendir(f->tree, &f->call, status, &generation, &count), ==, ENOTDIR);
}

static void test_statfs(struct fixture *f, gconstpointer data)
{
	uint32_t epoch = fill_inbox(f, NULL, 0);
	struct statvfs st;

	put(f, epoch, 1, "x", 3 * 4096 + 1);
	put(f, epoch, 2, "y", 4096);
	commit(f);
	g_assert_cmpint(tree_statfs(f->tree, &st), ==, 0);
	g_assert_cmpuint(st.f_bsize, ==, 4096);
	g_assert_cmpuint(st.f_namemax, ==, 255);
	g_assert_cmpuint(st.f_files, ==, 2);
	g_assert_cmpuint(st.f_blocks - st.f_bfree, ==, 5);
	g_assert_cmpuint(st.f_bfree, >, 1ull << 30);
	f->engine.has_quota = true;
	f->engine.used = 10 * 4096;
	f->engine.limit = 100 * 4096;
	g_assert_cmpint(tree_statfs(f->tree, &st), ==, 0);
	g_assert_cmpuint(st.f_blocks, ==, 100);
	g_assert_cmpuint(st.f_bfree, ==, 90);
	g_assert_cmpuint(st.f_bavail, ==, 90);
	f->engine.used = 101 * 4096;
	g_assert_cmpint(tree_statfs(f->tree, &st), ==, 0);
	g_assert_cmpuint(st.f_bfree, ==, 0);
	f->engine.used = UINT64_MAX;
	f->engine.limit = UINT64_MAX;
	g_assert_cmpint(tree_statfs(f->tree, &st), ==, 0);
	g_assert_cmpuint(st.f_bfree, ==, 0);
	g_assert_cmpuint(st.f_blocks, ==, 1ull << 52);
}

/* --- many threads --- */

struct crowd {
	struct fixture *f;
	uint64_t inbox;
};

static void *visit_often(void *data)
{
	struct crowd *crowd = data;
	struct tree_call call = {0};
	struct tree_entry entry;
	struct statvfs st;

	for (int i = 0; i < 200; i++) {
		g_assert_cmpint(tree_lookup(crowd->f->tree, &call, crowd->inbox, "5.eml", &entry),
				==, 0);
		g_assert_cmpint(tree_getattr(crowd->f->tree, &call, entry.node, &entry), ==, 0);
		g_assert_cmpint(tree_statfs(crowd->f->tree, &st), ==, 0);
	}
	return NULL;
}

static void test_threads(struct fixture *f, gconstpointer data)
{
	static const uint32_t uids[] = {5};
	struct crowd crowd = {.f = f};
	pthread_t threads[4];

	fill_inbox(f, uids, 1);
	crowd.inbox = must_find(f, ROOT, "INBOX");
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, visit_often, &crowd), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	FIXTURE_TEST("/tree/list-folder", test_list_folder);
	FIXTURE_TEST("/tree/list-dots", test_list_dots);
	FIXTURE_TEST("/tree/list-resume", test_list_resume);
	FIXTURE_TEST("/tree/list-root", test_list_root);
	FIXTURE_TEST("/tree/inbox-case", test_inbox_case);
	FIXTURE_TEST("/tree/cut-name", test_cut_name);
	FIXTURE_TEST("/tree/message-names", test_message_names);
	FIXTURE_TEST("/tree/token-names", test_token_names);
	FIXTURE_TEST("/tree/probes", test_probes);
	FIXTURE_TEST("/tree/message-attr", test_message_attr);
	FIXTURE_TEST("/tree/folder-attr", test_folder_attr);
	FIXTURE_TEST("/tree/stale-nodes", test_stale_nodes);
	FIXTURE_TEST("/tree/uidvalidity", test_uidvalidity);
	FIXTURE_TEST("/tree/wait-root", test_wait_root);
	FIXTURE_TEST("/tree/wait-stale", test_wait_stale);
	FIXTURE_TEST("/tree/wait-unsynced", test_wait_unsynced);
	FIXTURE_TEST("/tree/noselect", test_noselect);
	FIXTURE_TEST("/tree/control", test_control);
	FIXTURE_TEST("/tree/statfs", test_statfs);
	FIXTURE_TEST("/tree/threads", test_threads);
	return g_test_run();
}
