/* What a folder shows where changes of this mount, names that clients chose, files of the spool and
 * messages on their way are laid over the index. */

#include "tree_look.h"

#include "store/store.h"
#include "tree/name.h"

#define DELETED STORE_FLAG_DELETED

static void set_flags(struct fixture *f, uint32_t epoch, uint32_t uid, unsigned flags)
{
	index_message_flags(f->index, epoch, uid, flags, "", NOW_NS);
	commit(f);
}

static void assert_count(struct fixture *f, uint64_t node, uint32_t want)
{
	int64_t generation;
	uint32_t count;

	g_assert_cmpint(tree_opendir(f->tree, &f->call, node, &generation, &count), ==, 0);
	g_assert_cmpuint(count, ==, want + 2);
}

/* The names of a listing, without the dots, that fit together with look-ups and the count. */
static void assert_shows(struct fixture *f, uint64_t node, const char *names)
{
	g_autofree char *all = g_strconcat("., ..", *names != '\0' ? ", " : "", names, NULL);
	g_auto(GStrv) want = g_strsplit(all, ", ", -1);

	check_listing(f, node, (const char *const *)want);
	assert_count(f, node, g_strv_length(want) - 2);
}

struct scene {
	uint32_t epoch, folder;
	uint64_t inbox, deleted;
};

/* INBOX with the messages 1 to 5, labelled "m". */
static struct scene set_scene(struct fixture *f)
{
	static const uint32_t uids[] = {1, 2, 3, 4, 5};
	struct scene scene = {.epoch = fill_inbox(f, uids, G_N_ELEMENTS(uids))};

	scene.folder = folder_of(f, "INBOX");
	scene.inbox = must_find(f, ROOT, "INBOX");
	scene.deleted = must_find(f, scene.inbox, ".deleted");
	g_assert_cmpuint(scene.deleted, ==, tree_deleted_node(scene.folder));
	return scene;
}

/* --- hidden messages --- */

static void test_deleted(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	struct tree_entry entry;

	assert_shows(f, s.deleted, "");
	set_flags(f, s.epoch, 4, DELETED);
	ask_flags(f, 2, DELETED, 0);
	assert_shows(f, s.inbox, "1.m.eml, 3.m.eml, 5.m.eml");
	assert_shows(f, s.deleted, "2.m.eml, 4.m.eml");
	for (uint32_t uid = 2; uid <= 4; uid += 2) {
		g_autofree char *alias = tree_message_alias(uid);

		assert_missing(f, s.inbox, alias, ENOENT);
		g_assert_cmpuint(must_find(f, s.deleted, alias), ==,
				 tree_message_node(s.epoch, uid));
		g_assert_cmpint(
			tree_getattr(f->tree, &f->call, tree_message_node(s.epoch, uid), &entry),
			==, 0);
	}
	assert_missing(f, s.deleted, "1.eml", ENOENT);
	assert_missing(f, s.deleted, ".deleted", ENOENT);
	assert_missing(f, s.deleted, "INBOX", ENOENT);
	must_find(f, s.deleted, "4.d");
	assert_missing(f, s.deleted, "1.d", ENOENT);
	assert_missing(f, s.inbox, "4.d", ENOENT);
	assert_missing(f, ROOT, ".deleted", ENOENT);
}

static void test_taken_back(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);

	set_flags(f, s.epoch, 1, DELETED);
	set_flags(f, s.epoch, 2, DELETED);
	ask_flags(f, 2, 0, DELETED);
	ask_flags(f, 3, DELETED, 0);
	ask_flags(f, 3, 0, DELETED);
	assert_shows(f, s.inbox, "2.m.eml, 3.m.eml, 4.m.eml, 5.m.eml");
	assert_shows(f, s.deleted, "1.m.eml");
}

static void test_expunged(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	struct tree_entry entry;

	set_flags(f, s.epoch, 1, DELETED);
	ask_expunge(f, 1);
	ask_expunge(f, 2);
	assert_shows(f, s.inbox, "3.m.eml, 4.m.eml, 5.m.eml");
	assert_shows(f, s.deleted, "");
	assert_missing(f, s.deleted, "1.eml", ENOENT);
	assert_missing(f, s.inbox, "2.eml", ENOENT);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, tree_message_node(s.epoch, 1), &entry), ==,
			0);
}

/* What we hide ourselves is not asked for again; what others hide may have come back. */
static void test_hidden_waits(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	struct tree_entry entry;

	set_flags(f, s.epoch, 1, DELETED);
	ask_flags(f, 2, DELETED, 0);
	f->engine.folder_fresh = false;
	assert_missing(f, s.inbox, "2.eml", ENOENT);
	assert_need(f, lookup(f, s.inbox, "1.eml", &entry), NEED_FOLDER, s.folder, true);
	assert_need(f, lookup(f, s.deleted, "3.eml", &entry), NEED_FOLDER, s.folder, true);
	assert_need(f, lookup(f, s.inbox, "9.d", &entry), NEED_FOLDER, s.folder, true);
	assert_need(f, tree_getattr(f->tree, &f->call, s.deleted, &entry), NEED_FOLDER, s.folder,
		    true);
	must_find(f, s.inbox, "3.d");
	assert_missing(f, s.deleted, "x", ENOENT);
	f->call.give_up = ETIMEDOUT;
	assert_missing(f, s.inbox, "1.eml", ENOENT);
	assert_missing(f, s.inbox, "9.d", ENOENT);
}

/* Random flags and changes, compared with a plain model. */
static void test_random(struct fixture *f, gconstpointer data)
{
	g_autoptr(GString) listed = g_string_new(NULL), deleted = g_string_new(NULL);
	struct scene s = set_scene(f);
	g_autoptr(GRand) random = g_rand_new_with_seed(4711);

	for (uint32_t uid = 1; uid <= 60; uid++) {
		bool hidden = g_rand_boolean(random);
		int change = g_rand_int_range(random, 0, 5);
		g_autofree char *name = tree_message_name(f->tree, uid, "m", "");

		put(f, s.epoch, uid, "m", 10);
		set_flags(f, s.epoch, uid, hidden ? DELETED : 0);
		if (change == 1)
			ask_flags(f, uid, DELETED, 0);
		else if (change == 2)
			ask_flags(f, uid, 0, DELETED);
		else if (change == 3)
			ask_expunge(f, uid);
		else if (change == 4)
			ask_flags(f, uid, STORE_FLAG_SEEN, 0);
		hidden = change == 1 || (hidden && change != 2);
		if (change != 3)
			g_string_append_printf(hidden ? deleted : listed, ", %s", name);
	}
	assert_shows(f, s.inbox, listed->str + 2);
	assert_shows(f, s.deleted, deleted->str + 2);
}

/* --- chosen names --- */

static void test_chosen_name(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	uint64_t node = tree_message_node(s.epoch, 2);

	name_message(f, 2, "letter.eml");
	assert_shows(f, s.inbox, "1.m.eml, letter.eml, 3.m.eml, 4.m.eml, 5.m.eml");
	g_assert_cmpuint(must_find(f, s.inbox, "letter.eml"), ==, node);
	g_assert_cmpuint(must_find(f, s.inbox, "2.eml"), ==, node);
	assert_missing(f, s.inbox, "2.m.eml", ENOENT);
	g_assert_cmpuint(must_find(f, s.inbox, "2.d"), ==, must_find(f, s.inbox, "letter.eml.d"));
	assert_missing(f, s.inbox, "letter.d", ENOENT);
	ask_flags(f, 2, DELETED, 0);
	assert_missing(f, s.inbox, "letter.eml", ENOENT);
	assert_shows(f, s.deleted, "letter.eml");
}

/* It would lie about the UID, so it only resolves; and never instead of the message that it lies
 * about. */
static void test_chosen_look_alike(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	uint64_t node = tree_message_node(s.epoch, 2);
	struct tree_entry entry;

	name_message(f, 2, "7.m.eml");
	assert_shows(f, s.inbox, "1.m.eml, 2.m.eml, 3.m.eml, 4.m.eml, 5.m.eml");
	g_assert_cmpint(lookup(f, s.inbox, "7.m.eml", &entry), ==, 0);
	g_assert_cmpuint(entry.node, ==, node);
	g_assert_true(entry.volatile_name);
	g_assert_cmpint(lookup(f, s.inbox, "2.m.eml", &entry), ==, 0);
	g_assert_cmpuint(entry.node, ==, node);
	g_assert_false(entry.volatile_name);
	assert_missing(f, s.inbox, "7.eml", ENOENT);
	put(f, s.epoch, 7, "m", 10);
	commit(f);
	assert_shows(f, s.inbox, "1.m.eml, 2.m.eml, 3.m.eml, 4.m.eml, 5.m.eml, 7.m.eml");
	g_assert_cmpuint(must_find(f, s.inbox, "7.m.eml"), ==, tree_message_node(s.epoch, 7));
	ask_flags(f, 7, DELETED, 0);
	g_assert_cmpuint(must_find(f, s.inbox, "7.m.eml"), ==, node);
	g_assert_cmpuint(must_find(f, s.deleted, "7.m.eml"), ==, tree_message_node(s.epoch, 7));
}

/* Who has a chosen name is known when the folder was listed; that there are none, at once. */
static void test_chosen_unsynced(struct fixture *f, gconstpointer data)
{
	static const char *const names[] = {"INBOX", NULL};
	struct tree_entry entry;
	uint32_t folder;
	uint64_t inbox;

	set_folders(f, names);
	folder = folder_of(f, "INBOX");
	inbox = must_find(f, ROOT, "INBOX");
	assert_missing(f, inbox, "letter.eml", ENOENT);
	assert_need(f, lookup(f, inbox, "2.m.eml", &entry), NEED_FOLDER, folder, false);
	names_set(f->state,
		  &(struct state_box){.folder = folder, .mailbox = "INBOX", .uidvalidity = 1}, 2,
		  "letter.eml", NULL);
	assert_need(f, lookup(f, inbox, "other.eml", &entry), NEED_FOLDER, folder, false);
	assert_missing(f, inbox, ".letter.eml", ENOENT);
	open_folder(f, folder, 1);
	commit(f);
	assert_missing(f, inbox, "other.eml", ENOENT);
	assert_need(f, lookup(f, inbox, "letter.eml", &entry), NEED_FOLDER, folder, false);
	assert_need(f, lookup(f, inbox, "letter.eml.d", &entry), NEED_FOLDER, folder, false);
}

/* --- files of the spool --- */

static void test_draft(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	struct tree_entry entry;
	uint32_t id, other;

	id = add_draft(f, "new.eml", "a: b\n\nc\n");
	other = add_draft(f, ".x.swp", "swap");
	add_draft(f, "4913", "");
	assert_shows(f, s.inbox,
		     "1.m.eml, 2.m.eml, 3.m.eml, 4.m.eml, 5.m.eml, new.eml, .x.swp, 4913");
	assert_shows(f, s.deleted, "");
	g_assert_cmpint(lookup(f, s.inbox, ".x.swp", &entry), ==, 0);
	g_assert_cmpuint(entry.node, ==, node_pack(NODE_SPOOL, 0, other));
	g_assert_cmpuint(entry.attr.st_mode, ==, S_IFREG | 0600);
	g_assert_cmpint(entry.attr.st_size, ==, 4);
	g_assert_true(entry.volatile_attr && entry.volatile_name);
	f->engine.folder_fresh = f->engine.folders_fresh = false;
	g_assert_cmpuint(must_find(f, s.inbox, "new.eml"), ==, node_pack(NODE_SPOOL, 0, id));
	assert_missing(f, s.deleted, "new.eml", ENOENT);
	assert_missing(f, s.inbox, ".y.swp", ENOENT);
}

static void test_uploaded(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	uint32_t id = add_draft(f, "new.eml", "a: b\n\nc\n");

	upload(f, 1, 9);
	assert_shows(f, s.inbox, "1.m.eml, 2.m.eml, 3.m.eml, 4.m.eml, 5.m.eml, new.eml");
	g_assert_cmpuint(must_find(f, s.inbox, "new.eml"), ==, node_pack(NODE_SPOOL, 0, id));
	put(f, s.epoch, 9, "m", 10);
	put(f, s.epoch, 10, "m", 10);
	commit(f);
	assert_shows(f, s.inbox, "1.m.eml, 2.m.eml, 3.m.eml, 4.m.eml, 5.m.eml, new.eml, 10.m.eml");
	g_assert_cmpuint(must_find(f, s.inbox, "new.eml"), ==, tree_message_node(s.epoch, 9));
	ask_flags(f, 9, DELETED, 0);
	assert_missing(f, s.inbox, "new.eml", ENOENT);
	assert_shows(f, s.inbox, "1.m.eml, 2.m.eml, 3.m.eml, 4.m.eml, 5.m.eml, 10.m.eml");
	assert_shows(f, s.deleted, "new.eml");
}

/* Of a mailbox that was replaced meanwhile, or with a UID that nobody told: it is still the file.
 */
static void test_uploaded_elsewhere(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	uint32_t id = add_draft(f, "new.eml", "a: b\n\nc\n"), other;

	upload(f, 2, 3);
	other = add_draft(f, "other.eml", "a: b\n\nc\n");
	upload(f, 1, 0);
	g_assert_cmpuint(must_find(f, s.inbox, "new.eml"), ==, node_pack(NODE_SPOOL, 0, id));
	g_assert_cmpuint(must_find(f, s.inbox, "other.eml"), ==, node_pack(NODE_SPOOL, 0, other));
	assert_shows(f, s.inbox, "1.m.eml, 2.m.eml, 3.m.eml, 4.m.eml, 5.m.eml, new.eml, other.eml");
}

/* A file that is edited again stands before the message that it was. */
static void test_draft_over_message(struct fixture *f, gconstpointer data)
{
	static const char *const want[] = {".",	      "..",	 "1.m.eml", "3.m.eml",
					   "4.m.eml", "5.m.eml", "new.eml", NULL};
	struct scene s = set_scene(f);
	uint32_t id = add_draft(f, "new.eml", "a: b\n\nc\n");

	name_message(f, 2, "new.eml");
	check_listing(f, s.inbox, want);
	g_assert_cmpuint(must_find(f, s.inbox, "new.eml"), ==, node_pack(NODE_SPOOL, 0, id));
	g_assert_cmpuint(must_find(f, s.inbox, "2.eml"), ==, tree_message_node(s.epoch, 2));
}

static void test_clone(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	struct scene s = set_scene(f);
	uint32_t id = spool_create(f->state, s.folder, "INBOX", "copy.eml", &error);
	struct tree_entry entry;
	struct folder_row row;
	struct state_box box = box_of(f, s.folder, &row);

	g_assert_no_error(error);
	spool_set_clone(f->state, id, &box, 2, 4711, &error);
	g_assert_no_error(error);
	folder_row_clear(&row);
	g_assert_cmpint(lookup(f, s.inbox, "copy.eml", &entry), ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, 4711);
	g_assert_cmpuint(entry.node, ==, node_pack(NODE_SPOOL, 0, id));
}

/* --- guests --- */

/* A second folder "Old" with the message 8. */
static uint32_t add_old(struct fixture *f)
{
	static const char *const names[] = {"INBOX", "Old", NULL};
	uint32_t folder, epoch;

	set_folders(f, names);
	folder = folder_of(f, "Old");
	epoch = open_folder(f, folder, 7);
	put(f, epoch, 8, "old", 4711);
	put(f, epoch, 9, "old", 10);
	index_folder_refreshed(f->index, folder, 10, 0);
	commit(f);
	return epoch;
}

static void test_guest(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	uint32_t old = add_old(f);
	uint64_t folder = must_find(f, ROOT, "Old");
	struct tree_entry entry;

	ask_to_inbox(f, CHANGE_MOVE, "Old", 8, "8.old.eml");
	ask_to_inbox(f, CHANGE_COPY, "Old", 9, "copy.eml");
	assert_shows(f, s.inbox,
		     "1.m.eml, 2.m.eml, 3.m.eml, 4.m.eml, 5.m.eml, 8.old.eml, copy.eml");
	assert_shows(f, folder, "9.old.eml");
	g_assert_cmpint(lookup(f, s.inbox, "8.old.eml", &entry), ==, 0);
	g_assert_cmpuint(entry.node, ==, tree_message_node(old, 8));
	g_assert_cmpint(entry.attr.st_size, ==, 4711);
	g_assert_true(entry.volatile_name);
	g_assert_false(entry.volatile_attr);
	assert_missing(f, s.inbox, "8.eml", ENOENT);
	assert_missing(f, s.inbox, "copy.eml.d", ENOENT);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, entry.node, &entry), ==, 0);
}

/* It arrived, and its change is not forgotten yet. */
static void test_guest_arrived(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	uint32_t old = add_old(f);

	ask_to_inbox(f, CHANGE_COPY, "Old", 8, "copy.eml");
	g_assert_cmpuint(must_find(f, s.inbox, "copy.eml"), ==, tree_message_node(old, 8));
	put(f, s.epoch, 6, "old", 4711);
	commit(f);
	name_message(f, 6, "copy.eml");
	g_assert_cmpuint(must_find(f, s.inbox, "copy.eml"), ==, tree_message_node(s.epoch, 6));
	assert_shows(f, s.inbox, "1.m.eml, 2.m.eml, 3.m.eml, 4.m.eml, 5.m.eml, copy.eml");
	ask_flags(f, 6, DELETED, 0);
	assert_missing(f, s.inbox, "copy.eml", ENOENT);
	assert_shows(f, s.inbox, "1.m.eml, 2.m.eml, 3.m.eml, 4.m.eml, 5.m.eml");
}

/* A message has the name of itself; the guest waits until it has another. */
static void test_guest_look_alike(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	uint32_t old = add_old(f);

	ask_to_inbox(f, CHANGE_COPY, "Old", 8, "6.m.eml");
	g_assert_cmpuint(must_find(f, s.inbox, "6.m.eml"), ==, tree_message_node(old, 8));
	put(f, s.epoch, 6, "m", 10);
	commit(f);
	g_assert_cmpuint(must_find(f, s.inbox, "6.m.eml"), ==, tree_message_node(s.epoch, 6));
	assert_shows(f, s.inbox, "1.m.eml, 2.m.eml, 3.m.eml, 4.m.eml, 5.m.eml, 6.m.eml");
}

/* What it was is gone from the index: there is nothing to show. */
static void test_guest_lost(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	uint32_t old = add_old(f);

	ask_to_inbox(f, CHANGE_MOVE, "Old", 8, "8.old.eml");
	expunge(f, old);
	assert_missing(f, s.inbox, "8.old.eml", ENOENT);
	assert_shows(f, s.inbox, "1.m.eml, 2.m.eml, 3.m.eml, 4.m.eml, 5.m.eml");
}

/* --- between two pages --- */

static void read_on(struct fixture *f, uint64_t node, unsigned count, struct entries *entries)
{
	uint64_t cookie = 0;

	if (entries->cookies->len > 0)
		cookie = g_array_index(entries->cookies, uint64_t, entries->cookies->len - 1);
	entries->left = count;
	g_assert_cmpint(tree_readdir(f->tree, &f->call, node, cookie, note_entry, entries), ==, 0);
}

static void test_pages(struct fixture *f, gconstpointer data)
{
	static const char *const want[] = {".",	      "..",	 "1.m.eml",   "2.m.eml",
					   "4.m.eml", "6.m.eml", "draft.eml", "tmp",
					   "late",    "a.eml",	 "c.eml",     NULL};
	struct scene s = set_scene(f);
	struct entries entries;
	uint32_t gone;

	add_old(f);
	add_draft(f, "draft.eml", "a: b\n\nc\n");
	gone = add_draft(f, "gone", "");
	add_draft(f, "tmp", "");
	entries_init(&entries);
	read_on(f, s.inbox, 4, &entries);
	ask_flags(f, 1, DELETED, 0);
	ask_flags(f, 3, DELETED, 0);
	ask_expunge(f, 5);
	put(f, s.epoch, 6, "m", 10);
	commit(f);
	read_on(f, s.inbox, 3, &entries);
	spool_remove(f->state, gone, NULL);
	add_draft(f, "late", "");
	ask_to_inbox(f, CHANGE_COPY, "Old", 8, "a.eml");
	ask_to_inbox(f, CHANGE_COPY, "Old", 9, "b.eml");
	read_on(f, s.inbox, 3, &entries);
	/* Its turn would be next. */
	name_message(f, 4, "b.eml");
	ask_to_inbox(f, CHANGE_COPY, "Old", 9, "c.eml");
	read_on(f, s.inbox, 9, &entries);
	assert_names(&entries, want);
	read_on(f, s.inbox, 9, &entries);
	assert_names(&entries, want);
	entries_clear(&entries);
}

static void test_view_pages(struct fixture *f, gconstpointer data)
{
	static const char *const want[] = {".", "..", "2.m.eml", "3.m.eml", "5.m.eml", NULL};
	struct scene s = set_scene(f);
	struct entries entries;

	set_flags(f, s.epoch, 2, DELETED);
	set_flags(f, s.epoch, 4, DELETED);
	ask_flags(f, 3, DELETED, 0);
	entries_init(&entries);
	read_on(f, s.deleted, 3, &entries);
	ask_flags(f, 1, DELETED, 0);
	read_on(f, s.deleted, 1, &entries);
	ask_flags(f, 4, 0, DELETED);
	set_flags(f, s.epoch, 5, DELETED);
	read_on(f, s.deleted, 9, &entries);
	assert_names(&entries, want);
	entries_clear(&entries);
}

static void test_view_dots(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	struct entries entries;
	struct tree_entry entry;

	list(f, s.deleted, 9, &entries);
	g_assert_cmpuint(g_array_index(entries.entries, struct tree_entry, 0).node, ==, s.deleted);
	g_assert_cmpuint(g_array_index(entries.entries, struct tree_entry, 1).node, ==, s.inbox);
	entries_clear(&entries);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, s.deleted, &entry), ==, 0);
	g_assert_cmpuint(entry.attr.st_mode, ==, S_IFDIR | 0700);
	g_assert_true(entry.volatile_attr);
}

/* --- attributes --- */

static int64_t mtime_ns(struct fixture *f, uint64_t node)
{
	struct tree_entry entry;

	g_assert_cmpint(tree_getattr(f->tree, &f->call, node, &entry), ==, 0);
	return (int64_t)entry.attr.st_mtim.tv_sec * 1000000000 + entry.attr.st_mtim.tv_nsec;
}

static int64_t generation(struct fixture *f, uint64_t node)
{
	int64_t ret;
	uint32_t count;

	g_assert_cmpint(tree_opendir(f->tree, &f->call, node, &ret, &count), ==, 0);
	return ret;
}

static void test_touched(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	int64_t mtime = mtime_ns(f, s.inbox), first = generation(f, s.inbox), second;

	ask_flags(f, 2, DELETED, 0);
	g_assert_cmpint(mtime_ns(f, s.inbox), >, mtime);
	g_assert_cmpint(mtime_ns(f, s.deleted), ==, mtime_ns(f, s.inbox));
	second = generation(f, s.inbox);
	g_assert_cmpint(second, !=, first);
	/* A commit whose clock was read before. */
	mtime = mtime_ns(f, s.inbox);
	index_folder_touch(f->index, s.folder, NOW_NS);
	commit(f);
	g_assert_cmpint(mtime_ns(f, s.inbox), >=, mtime);
	g_assert_cmpint(generation(f, s.inbox), !=, second);
	g_assert_cmpint(generation(f, s.inbox), !=, first);
}

static int64_t ctime_ns(struct fixture *f, uint64_t node)
{
	struct tree_entry entry;

	g_assert_cmpint(tree_getattr(f->tree, &f->call, node, &entry), ==, 0);
	return (int64_t)entry.attr.st_ctim.tv_sec * 1000000000 + entry.attr.st_ctim.tv_nsec;
}

static void test_ctime(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	uint64_t one = tree_message_node(s.epoch, 1), two = tree_message_node(s.epoch, 2);
	int64_t first = ctime_ns(f, one), second = ctime_ns(f, two);

	ask_flags(f, 2, STORE_FLAG_SEEN, 0);
	g_assert_cmpint(ctime_ns(f, one), ==, first);
	g_assert_cmpint(ctime_ns(f, two), >, second);
	assert_shows(f, s.inbox, "1.m.eml, 2.m.eml, 3.m.eml, 4.m.eml, 5.m.eml");
}

static mode_t mode_of(struct fixture *f, uint64_t node)
{
	struct tree_entry entry;

	g_assert_cmpint(tree_getattr(f->tree, &f->call, node, &entry), ==, 0);
	return entry.attr.st_mode & 07777;
}

static void test_modes(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	uint64_t message = tree_message_node(s.epoch, 1);
	uint64_t parts = must_find(f, s.inbox, "1.d"), flags = must_find(f, parts, "flags");

	g_assert_cmpuint(mode_of(f, ROOT), ==, 0700);
	g_assert_cmpuint(mode_of(f, s.inbox), ==, 0700);
	g_assert_cmpuint(mode_of(f, message), ==, 0600);
	g_assert_cmpuint(mode_of(f, parts), ==, 0500);
	g_assert_cmpuint(mode_of(f, flags), ==, 0600);
	f->engine.rights.may &= ~STORE_MAY_DELETE;
	g_assert_cmpuint(mode_of(f, message), ==, 0400);
	f->engine.rights_known = false;
	g_assert_cmpuint(mode_of(f, message), ==, 0600);
	f->engine.rights = (struct store_rights){.may = STORE_MAY_ALL, .read_only = true};
	f->engine.rights_known = true;
	g_assert_cmpuint(mode_of(f, message), ==, 0400);
	f->account.read_only = true;
	f->engine.rights_known = false;
	g_assert_cmpuint(mode_of(f, ROOT), ==, 0500);
	g_assert_cmpuint(mode_of(f, s.inbox), ==, 0500);
	g_assert_cmpuint(mode_of(f, s.deleted), ==, 0500);
	g_assert_cmpuint(mode_of(f, message), ==, 0400);
	g_assert_cmpuint(mode_of(f, flags), ==, 0400);
}

/* --- "<uid>.d" --- */

static void test_parts(struct fixture *f, gconstpointer data)
{
	static const char *const names[] = {"INBOX", "INBOX/3.d", NULL};
	struct scene s = set_scene(f);
	struct tree_entry entry;
	uint64_t parts;

	parts = must_find(f, s.inbox, "1.d");
	g_assert_cmpuint(must_find(f, s.inbox, "1.m.eml.d"), ==, parts);
	g_assert_cmpuint(must_find(f, s.inbox, "1.eml.d"), ==, parts);
	g_assert_cmpint(lookup(f, s.inbox, "1.d", &entry), ==, 0);
	g_assert_true(S_ISDIR(entry.attr.st_mode) && entry.volatile_name);
	assert_shows(f, parts, "flags");
	assert_missing(f, parts, "x", ENOENT);
	assert_missing(f, s.inbox, "6.d", ENOENT);
	assert_missing(f, s.inbox, "01.d", ENOENT);
	assert_missing(f, s.inbox, ".d", ENOENT);
	assert_missing(f, s.inbox, "1.x.eml.d", ENOENT);
	assert_missing(f, s.inbox, "1.m.d", ENOENT);
	assert_missing(f, ROOT, "1.d", ENOENT);
	set_folders(f, names);
	g_assert_cmpint(tree_node_kind(must_find(f, s.inbox, "3.d")), ==, NODE_FOLDER);
	g_assert_cmpint(tree_node_kind(must_find(f, s.inbox, "3.eml.d")), ==, NODE_PARTS);
	ask_flags(f, 1, DELETED, 0);
	assert_missing(f, s.inbox, "1.d", ENOENT);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, parts, &entry), ==, 0);
	expunge(f, s.epoch);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, parts, &entry), ==, ESTALE);
	assert_missing(f, parts, "flags", ESTALE);
	g_assert_cmpint(tree_readdir(f->tree, &f->call, parts, 0, note_entry, NULL), ==, ESTALE);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	FIXTURE_TEST("/tree-view/deleted", test_deleted);
	FIXTURE_TEST("/tree-view/taken-back", test_taken_back);
	FIXTURE_TEST("/tree-view/expunged", test_expunged);
	FIXTURE_TEST("/tree-view/hidden-waits", test_hidden_waits);
	FIXTURE_TEST("/tree-view/random", test_random);
	FIXTURE_TEST("/tree-view/chosen-name", test_chosen_name);
	FIXTURE_TEST("/tree-view/chosen-look-alike", test_chosen_look_alike);
	FIXTURE_TEST("/tree-view/chosen-unsynced", test_chosen_unsynced);
	FIXTURE_TEST("/tree-view/draft", test_draft);
	FIXTURE_TEST("/tree-view/uploaded", test_uploaded);
	FIXTURE_TEST("/tree-view/uploaded-elsewhere", test_uploaded_elsewhere);
	FIXTURE_TEST("/tree-view/draft-over-message", test_draft_over_message);
	FIXTURE_TEST("/tree-view/clone", test_clone);
	FIXTURE_TEST("/tree-view/guest", test_guest);
	FIXTURE_TEST("/tree-view/guest-arrived", test_guest_arrived);
	FIXTURE_TEST("/tree-view/guest-look-alike", test_guest_look_alike);
	FIXTURE_TEST("/tree-view/guest-lost", test_guest_lost);
	FIXTURE_TEST("/tree-view/pages", test_pages);
	FIXTURE_TEST("/tree-view/view-pages", test_view_pages);
	FIXTURE_TEST("/tree-view/view-dots", test_view_dots);
	FIXTURE_TEST("/tree-view/touched", test_touched);
	FIXTURE_TEST("/tree-view/ctime", test_ctime);
	FIXTURE_TEST("/tree-view/modes", test_modes);
	FIXTURE_TEST("/tree-view/parts", test_parts);
	return g_test_run();
}
