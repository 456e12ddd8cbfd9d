/* Two folders with mail, and short ways to change it. */
#pragma once

#include "base/error.h"
#include "tree/node.h"
#include "tree_fixture.h"

#include <stdio.h>

struct mail {
	uint32_t inbox, archive, year, trash; /* folders; `year` is Archive/2024 */
	uint32_t inbox_epoch, archive_epoch, trash_epoch;
};

/* INBOX with 1.m.eml to 3.m.eml, Archive with 1.m.eml and the folder 2024; Trash, if `special`, is
 * marked as such. */
static inline struct mail fill_mail(struct fixture *f, unsigned special)
{
	struct mail mail;

	index_folder_seen(f->index, "INBOX", '/', 0, NOW_NS);
	index_folder_seen(f->index, "Archive", '/', 0, NOW_NS);
	index_folder_seen(f->index, "Archive/2024", '/', 0, NOW_NS);
	index_folder_seen(f->index, "Trash", '/', special, NOW_NS);
	index_folders_sweep(f->index, NOW_NS, ignore_folder, NULL);
	commit(f);
	mail.inbox = folder_id(f, INDEX_ROOT, "INBOX");
	mail.archive = folder_id(f, INDEX_ROOT, "Archive");
	mail.year = folder_id(f, mail.archive, "2024");
	mail.trash = folder_id(f, INDEX_ROOT, "Trash");
	mail.inbox_epoch = open_folder(f, mail.inbox, 1);
	mail.archive_epoch = open_folder(f, mail.archive, 2);
	mail.trash_epoch = open_folder(f, mail.trash, 3);
	open_folder(f, mail.year, 4);
	for (uint32_t uid = 1; uid <= 3; uid++)
		put(f, mail.inbox_epoch, uid, "m", 10);
	put(f, mail.archive_epoch, 1, "m", 10);
	put(f, mail.trash_epoch, 7, "m", 10);
	index_folder_refreshed(f->index, mail.inbox, 4, 0);
	index_folder_refreshed(f->index, mail.archive, 2, 0);
	index_folder_refreshed(f->index, mail.year, 1, 0);
	index_folder_refreshed(f->index, mail.trash, 8, 0);
	commit(f);
	return mail;
}

static inline uint64_t node_of(uint32_t folder)
{
	return tree_folder_node(folder);
}

static inline int unlink_in(struct fixture *f, uint64_t parent, const char *name)
{
	return tree_unlink(f->tree, &f->call, parent, name);
}

static inline int rename_to(struct fixture *f, uint64_t parent, const char *name,
			    uint64_t new_parent, const char *new_name)
{
	return tree_rename(f->tree, &f->call, parent, name, new_parent, new_name, 0);
}

static inline uint64_t find(struct fixture *f, uint64_t parent, const char *name)
{
	struct tree_entry entry;
	int result = tree_lookup(f->tree, &f->call, parent, name, &entry);

	if (result != 0)
		g_test_message("%s: %s", name, result > 0 ? g_strerror(result) : "again");
	g_assert_cmpint(result, ==, 0);
	return entry.node;
}

static inline void assert_missing(struct fixture *f, uint64_t parent, const char *name)
{
	struct tree_entry entry;

	g_assert_cmpint(tree_lookup(f->tree, &f->call, parent, name, &entry), ==, ENOENT);
}

static inline void assert_hard(struct fixture *f, int result, enum need_kind kind, uint32_t id,
			       uint32_t uid)
{
	g_assert_cmpint(result, ==, TREE_AGAIN);
	g_assert_cmpint(f->call.need.kind, ==, kind);
	g_assert_cmpuint(f->call.need.id, ==, id);
	g_assert_cmpuint(f->call.need.uid, ==, uid);
	g_assert_false(f->call.need_soft);
}

static inline void assert_soft(struct fixture *f, int result, enum need_kind kind, uint32_t id)
{
	g_assert_cmpint(result, ==, TREE_AGAIN);
	g_assert_cmpint(f->call.need.kind, ==, kind);
	g_assert_cmpuint(f->call.need.id, ==, id);
	g_assert_true(f->call.need_soft);
}

/* What the engine would take next: one change, given back at the end of its test by drop_taken() or
 * settle_taken(). */
static inline struct change *take(struct fixture *f, GPtrArray **ret)
{
	*ret = changes_take(f->state, 0);
	g_assert_nonnull(*ret);
	g_assert_cmpuint((*ret)->len, ==, 1);
	return g_ptr_array_index(*ret, 0);
}

static inline void assert_nothing_to_send(struct fixture *f)
{
	g_assert_null(changes_take(f->state, 0));
	g_assert_cmpuint(state_pending(f->state), ==, 0);
}

/* The only change is this one of a message of INBOX; it is undone then. */
static inline void assert_only_change(struct fixture *f, enum change_kind kind, uint32_t uid,
				      unsigned set, unsigned clear, uint32_t target,
				      const char *name)
{
	g_autoptr(GPtrArray) taken = NULL;
	struct change *change = take(f, &taken);

	g_assert_cmpint(change->kind, ==, kind);
	g_assert_cmpuint(change->uid, ==, uid);
	g_assert_cmpuint(change->set, ==, set);
	g_assert_cmpuint(change->clear, ==, clear);
	g_assert_cmpuint(change->target, ==, target);
	g_assert_cmpstr(change->name, ==, name);
	g_assert_cmpuint(f->engine.changes, >, 0);
	changes_drop(f->state, change);
	assert_nothing_to_send(f);
	f->engine.changes = 0;
}

static inline void settle_all(struct fixture *f)
{
	GPtrArray *taken;

	while ((taken = changes_take(f->state, 0)) != NULL) {
		changes_settle(f->state, taken, 1);
		g_ptr_array_unref(taken);
	}
}

/* --- files of the spool --- */

static inline struct tree_file *create_in(struct fixture *f, uint64_t parent, const char *name,
					  struct tree_entry *ret)
{
	struct tree_file *file = NULL;
	struct tree_entry entry;

	g_assert_cmpint(tree_create(f->tree, &f->call, parent, name, &entry, &file), ==, 0);
	g_assert_cmpint(tree_node_kind(entry.node), ==, NODE_SPOOL);
	g_assert_nonnull(file);
	if (ret != NULL)
		*ret = entry;
	return file;
}

static inline void write_text(struct fixture *f, struct tree_file *file, uint64_t offset,
			      const char *text)
{
	g_assert_cmpint(tree_write(f->tree, &f->call, file, offset, strlen(text), text), ==, 0);
}

/* A closed file with these bytes. Returns its number. */
static inline uint32_t make_file(struct fixture *f, uint64_t parent, const char *name,
				 const char *text)
{
	struct tree_entry entry;
	struct tree_file *file = create_in(f, parent, name, &entry);

	if (*text != '\0')
		write_text(f, file, 0, text);
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, 0);
	tree_close(f->tree, &file);
	return node_low(entry.node);
}

static inline enum spool_step step_of(struct fixture *f, uint32_t id)
{
	struct spool_file file;
	enum spool_step step;

	g_assert_true(spool_get(f->state, id, &file));
	step = file.step;
	spool_file_clear(&file);
	return step;
}

static inline bool exists(struct fixture *f, uint32_t id)
{
	struct spool_file file;

	if (!spool_get(f->state, id, &file))
		return false;
	spool_file_clear(&file);
	return true;
}

/* As a refresh does. */
static inline void bind_folder(struct fixture *f, uint32_t folder)
{
	struct folder_row row;
	struct state_box box = box_of(f, folder, &row);

	state_bind(f->state, &box, NULL, NULL);
	folder_row_clear(&row);
}

/* An APPEND of it is under way from here. */
static inline void begin_sending(struct fixture *f, uint32_t id)
{
	struct spool_file file;
	int fd = -1;

	g_assert_true(spool_take(f->state, 0, &file, &fd));
	g_assert_cmpuint(file.id, ==, id);
	spool_file_clear(&file);
	close(fd);
}

static inline void end_sending(struct fixture *f, uint32_t id, uint64_t uidvalidity, uint32_t uid)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(spool_uploaded(f->state, id, uidvalidity, uid, 1, &error));
	g_assert_no_error(error);
}
