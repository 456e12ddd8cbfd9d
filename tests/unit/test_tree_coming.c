/* A folder that is read while it is listed for the first time. */

#include "tree_look.h"

struct coming {
	uint32_t folder, epoch;
	uint64_t node;
};

/* Nothing of it is there yet. */
static struct coming coming_up(struct fixture *f)
{
	static const char *const names[] = {"INBOX", "INBOX/child", NULL};
	struct coming coming;

	set_folders(f, names);
	coming.folder = folder_of(f, "INBOX");
	coming.epoch = open_folder(f, coming.folder, 1);
	coming.node = must_find(f, ROOT, "INBOX");
	f->engine.folder_fresh = false;
	f->engine.arrivals = (struct arrivals){.epoch = coming.epoch};
	commit(f);
	return coming;
}

/* As the engine does it. */
static void come_with(struct fixture *f, const struct coming *coming, uint32_t uid, unsigned flags)
{
	put(f, coming->epoch, uid, "m", 10);
	index_message_flags(f->index, coming->epoch, uid, flags, "", NOW_NS);
	if (uid < f->engine.arrivals.upto)
		seqset_add(&f->engine.late, uid, uid);
	f->engine.arrivals.upto = MAX(f->engine.arrivals.upto, uid);
	commit(f);
}

static void come(struct fixture *f, const struct coming *coming, uint32_t uid)
{
	come_with(f, coming, uid, 0);
}

static void end(struct fixture *f, const struct coming *coming)
{
	index_folder_refreshed(f->index, coming->folder, UINT32_MAX, 0);
	commit(f);
	f->engine.arrivals.epoch = f->engine.arrivals.upto = 0;
	f->engine.folder_fresh = true;
}

static uint64_t last_cookie(const struct entries *entries)
{
	guint len = entries->cookies->len;

	return len > 0 ? g_array_index(entries->cookies, uint64_t, len - 1) : 0;
}

/* Goes on behind what was read, with as many calls as it takes. Gives what the last one says. */
static int go_on(struct fixture *f, const struct coming *coming, unsigned step,
		 struct entries *entries)
{
	guint before;
	int result;

	do {
		before = entries->names->len;
		entries->left = step;
		f->call.ticket = 0;
		result = tree_readdir(f->tree, &f->call, coming->node, last_cookie(entries),
				      note_entry, entries);
		g_assert_true(result == 0 || entries->names->len == before);
	} while (result == 0 && entries->names->len > before);
	return result;
}

static void assert_waits(struct fixture *f, const struct coming *coming, int result, uint32_t upto)
{
	assert_need(f, result, NEED_MESSAGES, coming->folder, false);
	g_assert_cmpuint(f->call.need.upto, ==, upto);
}

static int try_opendir(struct fixture *f, const struct coming *coming)
{
	int64_t generation;
	uint32_t count = 0;
	int result = tree_opendir(f->tree, &f->call, coming->node, &generation, &count);

	/* So the kernel keeps nothing of it. */
	if (result == 0)
		g_assert_cmpuint(count, ==, UINT32_MAX);
	return result;
}

static void test_half(struct fixture *f, gconstpointer data)
{
	static const char *const all[] = {".",	     "..",	"child", "2.m.eml",
					  "3.m.eml", "7.m.eml", NULL};

	for (unsigned step = 1; step < 8; step++) {
		struct entries entries;
		struct coming coming;

		if (step > 1) {
			fixture_down(f, NULL);
			fixture_up(f, NULL);
		}
		coming = coming_up(f);
		assert_waits(f, &coming, try_opendir(f, &coming), 0);
		entries_init(&entries);
		come(f, &coming, 2);
		g_assert_cmpint(try_opendir(f, &coming), ==, 0);
		assert_waits(f, &coming, go_on(f, &coming, step, &entries), 2);
		come(f, &coming, 3);
		assert_waits(f, &coming, go_on(f, &coming, step, &entries), 3);
		g_assert_cmpuint(entries.names->len, ==, 5);
		come(f, &coming, 7);
		end(f, &coming);
		g_assert_cmpint(go_on(f, &coming, step, &entries), ==, 0);
		assert_names(&entries, all);
		assert_resolvable(f, coming.node, &entries);
		entries_clear(&entries);
		check_listing(f, coming.node, all);
	}
}

static void test_late(struct fixture *f, gconstpointer data)
{
	static const char *const all[] = {".",	     "..",	"child",   "5.m.eml",
					  "9.m.eml", "2.m.eml", "7.m.eml", NULL};
	static const char *const in_order[] = {".",	  "..",	     "child",	"2.m.eml",
					       "5.m.eml", "7.m.eml", "9.m.eml", NULL};
	struct coming coming = coming_up(f);
	struct entries entries, other;

	entries_init(&entries);
	entries_init(&other);
	come(f, &coming, 5);
	assert_waits(f, &coming, go_on(f, &coming, 2, &entries), 5);
	come(f, &coming, 2);
	come(f, &coming, 9);
	come(f, &coming, 7);
	assert_waits(f, &coming, go_on(f, &coming, 1, &entries), 9);
	assert_waits(f, &coming, go_on(f, &coming, 9, &other), 9);
	end(f, &coming);
	g_assert_cmpint(go_on(f, &coming, 1, &entries), ==, 0);
	assert_names(&entries, all);
	assert_resolvable(f, coming.node, &entries);
	g_assert_cmpint(go_on(f, &coming, 9, &other), ==, 0);
	assert_names(&other, all);
	/* A place that was noted is the same later. */
	g_ptr_array_set_size(other.names, 4);
	g_array_set_size(other.cookies, 4);
	g_assert_cmpint(go_on(f, &coming, 3, &other), ==, 0);
	assert_names(&other, all);
	entries_clear(&entries);
	entries_clear(&other);
	check_listing(f, coming.node, in_order);
}

/* What the index has beyond what the listing told, such as a copy, is told in its turn. */
static void test_ahead(struct fixture *f, gconstpointer data)
{
	static const char *const all[] = {".",	     "..",	"child", "4.m.eml",
					  "6.m.eml", "8.m.eml", NULL};
	struct coming coming = coming_up(f);
	struct entries entries;

	entries_init(&entries);
	come(f, &coming, 4);
	put(f, coming.epoch, 8, "m", 10);
	commit(f);
	assert_waits(f, &coming, go_on(f, &coming, 9, &entries), 4);
	g_assert_cmpuint(entries.names->len, ==, 4);
	come(f, &coming, 6);
	end(f, &coming);
	g_assert_cmpint(go_on(f, &coming, 9, &entries), ==, 0);
	assert_names(&entries, all);
	entries_clear(&entries);
}

/* All that is no message comes behind the messages, once. */
static void test_draft(struct fixture *f, gconstpointer data)
{
	static const char *const all[] = {".",	     "..",	  "child",   "5.m.eml",
					  "6.m.eml", "draft.eml", "3.m.eml", NULL};
	struct coming coming = coming_up(f);

	come(f, &coming, 5);
	for (unsigned step = 1; step < 9; step++) {
		struct entries entries;
		struct tree_file *file;
		struct tree_entry entry;

		entries_init(&entries);
		f->call.ticket = 0;
		if (step == 1) {
			g_assert_cmpint(tree_create(f->tree, &f->call, coming.node, "draft.eml",
						    &entry, &file),
					==, 0);
			assert_waits(f, &coming, go_on(f, &coming, 9, &entries), 5);
			come(f, &coming, 3);
			come(f, &coming, 6);
			end(f, &coming);
			tree_abandon(f->tree, &file);
		} else {
			/* As one who has read the first message by then. */
			uint64_t cookie = ((uint64_t)coming.epoch << 35) + (1ull << 33) + 5;

			entries.left = 4;
			g_assert_cmpint(tree_readdir(f->tree, &f->call, coming.node, 0, note_entry,
						     &entries),
					==, 0);
			g_ptr_array_remove_index(entries.names, 3);
			g_ptr_array_add(entries.names, g_strdup("5.m.eml"));
			g_array_index(entries.cookies, uint64_t, 3) = cookie;
		}
		g_assert_cmpint(go_on(f, &coming, step, &entries), ==, 0);
		assert_names(&entries, all);
		entries_clear(&entries);
	}
}

/* It ends in an error, never short. */
static void test_failure(struct fixture *f, gconstpointer data)
{
	struct coming coming = coming_up(f);
	struct entries entries;

	entries_init(&entries);
	come(f, &coming, 5);
	assert_waits(f, &coming, go_on(f, &coming, 9, &entries), 5);
	f->engine.arrivals.epoch = f->engine.arrivals.upto = 0;
	assert_waits(f, &coming, try_opendir(f, &coming), 0);
	assert_waits(f, &coming, go_on(f, &coming, 9, &entries), 0);
	f->call.give_up = ETIMEDOUT;
	g_assert_cmpint(try_opendir(f, &coming), ==, ETIMEDOUT);
	g_assert_cmpint(go_on(f, &coming, 9, &entries), ==, ETIMEDOUT);
	/* What has come is handed out first. */
	f->engine.arrivals = (struct arrivals){.epoch = coming.epoch, .upto = 5};
	come(f, &coming, 6);
	g_assert_cmpint(go_on(f, &coming, 9, &entries), ==, ETIMEDOUT);
	g_assert_cmpuint(entries.names->len, ==, 5);
	f->call.give_up = 0;
	/* It is listed, but the server counts others: that is found out first. */
	index_folder_refreshed(f->index, coming.folder, UINT32_MAX, 0);
	commit(f);
	assert_waits(f, &coming, go_on(f, &coming, 9, &entries), 6);
	f->engine.arrivals = (struct arrivals){.lost = true};
	g_assert_cmpint(go_on(f, &coming, 9, &entries), ==, EIO);
	entries_clear(&entries);
}

/* While it waits for more, what is hidden is looked at once. */
static void test_hidden(struct fixture *f, gconstpointer data)
{
	static const char *const all[] = {".", "..", "child", "9.m.eml", NULL};
	struct coming coming = coming_up(f);
	struct entries entries;

	entries_init(&entries);
	assert_waits(f, &coming, go_on(f, &coming, 9, &entries), 0);
	for (uint32_t uid = 1; uid < 9; uid++) {
		come_with(f, &coming, uid, STORE_FLAG_DELETED);
		assert_waits(f, &coming,
			     tree_readdir(f->tree, &f->call, coming.node, last_cookie(&entries),
					  note_entry, &entries),
			     uid);
		g_assert_cmpuint(f->engine.late_asked, ==, uid);
	}
	come(f, &coming, 9);
	end(f, &coming);
	g_assert_cmpint(go_on(f, &coming, 9, &entries), ==, 0);
	assert_names(&entries, all);
	entries_clear(&entries);
}

/* So does one that began when it was listed, and is listed anew. */
static void test_renumbered_later(struct fixture *f, gconstpointer data)
{
	struct coming coming = coming_up(f);
	struct entries entries;

	come(f, &coming, 5);
	come(f, &coming, 6);
	end(f, &coming);
	entries_init(&entries);
	entries.left = 4;
	g_assert_cmpint(tree_readdir(f->tree, &f->call, coming.node, 0, note_entry, &entries), ==,
			0);
	g_assert_cmpuint(entries.names->len, ==, 4);
	coming.epoch = open_folder(f, coming.folder, 2);
	f->engine.arrivals = (struct arrivals){.epoch = coming.epoch};
	come(f, &coming, 5);
	come(f, &coming, 6);
	g_assert_cmpint(go_on(f, &coming, 9, &entries), ==, ESTALE);
	entries_clear(&entries);
}

static void test_renumbered(struct fixture *f, gconstpointer data)
{
	static const char *const all[] = {".", "..", "child", "5.m.eml", NULL};
	struct coming coming = coming_up(f);
	struct entries entries;

	entries_init(&entries);
	come(f, &coming, 5);
	assert_waits(f, &coming, go_on(f, &coming, 9, &entries), 5);
	coming.epoch = open_folder(f, coming.folder, 2);
	f->engine.arrivals = (struct arrivals){.epoch = coming.epoch};
	come(f, &coming, 5);
	g_assert_cmpint(go_on(f, &coming, 9, &entries), ==, ESTALE);
	end(f, &coming);
	g_assert_cmpint(go_on(f, &coming, 9, &entries), ==, ESTALE);
	entries_clear(&entries);
	check_listing(f, coming.node, all);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	FIXTURE_TEST("/tree/coming/half", test_half);
	FIXTURE_TEST("/tree/coming/late", test_late);
	FIXTURE_TEST("/tree/coming/ahead", test_ahead);
	FIXTURE_TEST("/tree/coming/draft", test_draft);
	FIXTURE_TEST("/tree/coming/failure", test_failure);
	FIXTURE_TEST("/tree/coming/hidden", test_hidden);
	FIXTURE_TEST("/tree/coming/renumbered", test_renumbered);
	FIXTURE_TEST("/tree/coming/renumbered-later", test_renumbered_later);
	return g_test_run();
}
