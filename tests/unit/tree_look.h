/* How the tests of the namespace look at a tree. */
#pragma once

#include "state/changes.h"
#include "state/names.h"
#include "state/spool.h"
#include "tree/node.h"
#include "tree_fixture.h"

#define ROOT NODE_ROOT

#define FIXTURE_TEST(path, function)                                                               \
	g_test_add(path, struct fixture, NULL, fixture_up, function, fixture_down)

static inline int lookup(struct fixture *f, uint64_t parent, const char *name,
			 struct tree_entry *ret)
{
	return tree_lookup(f->tree, &f->call, parent, name, ret);
}

static inline uint64_t must_find(struct fixture *f, uint64_t parent, const char *name)
{
	struct tree_entry entry;

	g_assert_cmpint(lookup(f, parent, name, &entry), ==, 0);
	g_assert_cmpuint(entry.node, ==, entry.attr.st_ino);
	return entry.node;
}

static inline void assert_missing(struct fixture *f, uint64_t parent, const char *name, int want)
{
	struct tree_entry entry;
	int result = lookup(f, parent, name, &entry);

	if (result != want)
		g_test_message("%s: %d", name, result);
	g_assert_cmpint(result, ==, want);
}

static inline void assert_need(struct fixture *f, int result, enum need_kind kind, uint32_t id,
			       bool soft)
{
	g_assert_cmpint(result, ==, TREE_AGAIN);
	g_assert_cmpint(f->call.need.kind, ==, kind);
	g_assert_cmpuint(f->call.need.id, ==, id);
	g_assert_true(f->call.need_soft == soft);
}

/* --- listings --- */

struct entries {
	GPtrArray *names;
	GArray *cookies;
	GArray *entries;
	unsigned left; /* refuses what comes after so many */
};

static inline bool note_entry(void *data, const char *name, const struct tree_entry *entry,
			      uint64_t cookie)
{
	struct entries *entries = data;

	if (entries->left == 0)
		return false;
	entries->left--;
	g_ptr_array_add(entries->names, g_strdup(name));
	g_array_append_val(entries->cookies, cookie);
	g_array_append_val(entries->entries, *entry);
	return true;
}

static inline void entries_init(struct entries *entries)
{
	entries->names = g_ptr_array_new_with_free_func(g_free);
	entries->cookies = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	entries->entries = g_array_new(FALSE, FALSE, sizeof(struct tree_entry));
}

static inline void entries_clear(struct entries *entries)
{
	g_ptr_array_unref(entries->names);
	g_array_unref(entries->cookies);
	g_array_unref(entries->entries);
}

/* Lists `step` entries a call, as full buffers of the kernel make it. */
static inline void list(struct fixture *f, uint64_t node, unsigned step, struct entries *entries)
{
	uint64_t cookie = 0;
	guint before;

	entries_init(entries);
	do {
		before = entries->names->len;
		entries->left = step;
		g_assert_cmpint(tree_readdir(f->tree, &f->call, node, cookie, note_entry, entries),
				==, 0);
		if (entries->cookies->len > 0)
			cookie = g_array_index(entries->cookies, uint64_t,
					       entries->cookies->len - 1);
	} while (entries->names->len > before);
}

static inline void assert_names(const struct entries *entries, const char *const *want)
{
	for (guint i = 0; i < entries->names->len; i++)
		g_assert_cmpstr(g_ptr_array_index(entries->names, i), ==, want[i]);
	g_assert_null(want[entries->names->len]);
}

/* What a listing says is what a lookup says, and cookies rise. */
static inline void assert_resolvable(struct fixture *f, uint64_t node,
				     const struct entries *entries)
{
	uint64_t before = 0;

	for (guint i = 0; i < entries->names->len; i++) {
		uint64_t cookie = g_array_index(entries->cookies, uint64_t, i);
		const struct tree_entry *entry =
			&g_array_index(entries->entries, struct tree_entry, i);
		struct tree_entry found;

		g_assert_cmpuint(cookie, >, before);
		before = cookie;
		if (i < 2)
			continue;
		g_assert_cmpint(lookup(f, node, g_ptr_array_index(entries->names, i), &found), ==,
				0);
		g_assert_cmpuint(found.node, ==, entry->node);
		g_assert_cmpint(memcmp(&found.attr, &entry->attr, sizeof(found.attr)), ==, 0);
	}
}

static inline void check_listing(struct fixture *f, uint64_t node, const char *const *want)
{
	for (unsigned step = 1; step < 10; step++) {
		struct entries entries;

		list(f, node, step, &entries);
		assert_names(&entries, want);
		assert_resolvable(f, node, &entries);
		entries_clear(&entries);
	}
}

/* --- what the state is told --- */

static inline uint32_t folder_of(struct fixture *f, const char *name)
{
	return folder_id(f, INDEX_ROOT, name);
}

/* Of a message of the folder. */
static inline void ask(struct fixture *f, const char *folder, struct change_request request)
{
	g_autoptr(GError) error = NULL;
	struct folder_row row;

	request.box = box_of(f, folder_of(f, folder), &row);
	changes_add(f->state, &request, &error);
	g_assert_no_error(error);
	folder_row_clear(&row);
}

static inline void ask_flags(struct fixture *f, uint32_t uid, unsigned set, unsigned clear)
{
	ask(f, "INBOX",
	    (struct change_request){.kind = CHANGE_FLAGS, .uid = uid, .set = set, .clear = clear});
}

static inline void ask_expunge(struct fixture *f, uint32_t uid)
{
	ask(f, "INBOX", (struct change_request){.kind = CHANGE_EXPUNGE, .uid = uid});
}

static inline void ask_to_inbox(struct fixture *f, enum change_kind kind, const char *folder,
				uint32_t uid, const char *name)
{
	ask(f, folder,
	    (struct change_request){.kind = kind,
				    .uid = uid,
				    .target = folder_of(f, "INBOX"),
				    .target_mailbox = "INBOX",
				    .name = name});
}

static inline void name_message(struct fixture *f, uint32_t uid, const char *name)
{
	g_autoptr(GError) error = NULL;
	struct folder_row row;
	struct state_box box = box_of(f, folder_of(f, "INBOX"), &row);

	names_set(f->state, &box, uid, name, &error);
	g_assert_no_error(error);
	folder_row_clear(&row);
}

/* A file of INBOX with this text, that its writer has closed. */
static inline uint32_t add_draft(struct fixture *f, const char *name, const char *text)
{
	g_autoptr(GError) error = NULL;
	uint32_t id = spool_create(f->state, folder_of(f, "INBOX"), "INBOX", name, &error);
	bool queued;
	int fd;

	g_assert_no_error(error);
	fd = spool_open(f->state, id, true, &error);
	g_assert_no_error(error);
	spool_touch(f->state, id, &error);
	g_assert_no_error(error);
	g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
	close(fd);
	for (int i = 0; i < 2; i++) {
		spool_close(f->state, id, true, &queued, &error);
		g_assert_no_error(error);
	}
	return id;
}

/* As the engine does when the folder is refreshed. */
static inline void bind_inbox(struct fixture *f)
{
	struct folder_row row;
	struct state_box box = box_of(f, folder_of(f, "INBOX"), &row);

	state_bind(f->state, &box, NULL, NULL);
	folder_row_clear(&row);
}

/* The server has what add_draft() queued. */
static inline void upload(struct fixture *f, uint64_t uidvalidity, uint32_t uid)
{
	g_autoptr(GError) error = NULL;
	struct spool_file file;
	int fd;

	g_assert_true(spool_take(f->state, 1000, &file, &fd));
	close(fd);
	spool_mark(f->state, file.id, 1, 1, &error);
	g_assert_no_error(error);
	spool_uploaded(f->state, file.id, uidvalidity, uid, 1000, &error);
	g_assert_no_error(error);
	spool_file_clear(&file);
	bind_inbox(f);
}
