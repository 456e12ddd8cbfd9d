/* Removing and renaming: what is put on record, what is refused, and what waits. */

#include "base/log.h"
#include "state/names.h"
#include "tree_change_fixture.h"

#define ROOT NODE_ROOT

/* --- what may be changed --- */

static void assert_all_read_only(struct fixture *f, const struct mail *mail)
{
	struct tree_entry entry;
	struct tree_file *file = NULL;
	struct tree_setattr setattr = {0};
	uint64_t inbox = node_of(mail->inbox);

	g_assert_cmpint(unlink_in(f, inbox, "1.m.eml"), ==, EROFS);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", inbox, "x.eml"), ==, EROFS);
	g_assert_cmpint(tree_mkdir(f->tree, &f->call, ROOT, "New", &entry), ==, EROFS);
	g_assert_cmpint(tree_rmdir(f->tree, &f->call, ROOT, "Archive"), ==, EROFS);
	g_assert_cmpint(tree_create(f->tree, &f->call, inbox, "x.eml", &entry, &file), ==, EROFS);
	g_assert_cmpint(tree_open(f->tree, &f->call, tree_message_node(mail->inbox_epoch, 1),
				  O_RDWR, &file),
			==, EROFS);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, tree_message_node(mail->inbox_epoch, 1),
				     NULL, &setattr, &entry),
			==, EROFS);
	g_assert_null(file);
	assert_nothing_to_send(f);
}

static void test_read_only(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);

	f->account.read_only = true;
	assert_all_read_only(f, &mail);
	f->account.read_only = false;
	f->engine.abilities = STORE_CAN_MOVE;
	assert_all_read_only(f, &mail);
	/* Not known yet: it is taken for possible. */
	f->engine.abilities = 0;
	g_assert_cmpint(unlink_in(f, node_of(mail.inbox), "1.m.eml"), ==, 0);
}

static void test_rights(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), archive = node_of(mail.archive);

	f->engine.rights.may = STORE_MAY_ALL & ~(unsigned)STORE_MAY_DELETE;
	g_assert_cmpint(unlink_in(f, inbox, "1.m.eml"), ==, EACCES);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", archive, "x.eml"), ==, EACCES);
	f->engine.rights.may = STORE_MAY_ALL & ~(unsigned)STORE_MAY_INSERT;
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", archive, "x.eml"), ==, EACCES);
	/* A name of our own is nobody's business. */
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", inbox, "x.eml"), ==, 0);
	f->engine.rights.may = STORE_MAY_ALL & ~(unsigned)STORE_MAY_EXPUNGE;
	f->account.delete_mode = DELETE_EXPUNGE;
	g_assert_cmpint(unlink_in(f, inbox, "2.m.eml"), ==, EACCES);
	f->engine.rights.may = STORE_MAY_ALL;
	f->engine.rights.read_only = true;
	g_assert_cmpint(unlink_in(f, inbox, "2.m.eml"), ==, EROFS);
	assert_nothing_to_send(f);
}

/* Not known: the server is asked, and its silence is taken for a yes. */
static void test_rights_unknown(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), archive = node_of(mail.archive);

	f->engine.rights_known = false;
	assert_soft(f, unlink_in(f, inbox, "1.m.eml"), NEED_RIGHTS, mail.inbox);
	assert_nothing_to_send(f);
	f->call.give_up = ETIMEDOUT;
	g_assert_cmpint(unlink_in(f, inbox, "1.m.eml"), ==, 0);
	f->call.give_up = 0;
	f->engine.stalled = true;
	g_assert_cmpint(unlink_in(f, inbox, "2.m.eml"), ==, 0);
	f->engine.stalled = false;
	assert_soft(f, rename_to(f, inbox, "3.m.eml", archive, "x.eml"), NEED_RIGHTS, mail.inbox);
	f->engine.rights_known = true;
	g_assert_cmpint(rename_to(f, inbox, "3.m.eml", archive, "x.eml"), ==, 0);
}

/* --- unlink --- */

static void test_unlink_flag(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, STORE_ATTR_TRASH);
	uint64_t inbox = node_of(mail.inbox), deleted = tree_deleted_node(mail.inbox);
	int64_t before = state_touched_ns(f->state, mail.inbox);

	g_assert_cmpint(unlink_in(f, inbox, "2.m.eml"), ==, 0);
	g_assert_cmpuint(f->engine.changes, ==, 1);
	g_assert_cmpint(state_touched_ns(f->state, mail.inbox), >, before);
	assert_missing(f, inbox, "2.m.eml");
	assert_missing(f, inbox, "2.eml");
	g_assert_cmpint(unlink_in(f, inbox, "2.m.eml"), ==, ENOENT);
	g_assert_cmpuint(find(f, deleted, "2.m.eml"), ==, tree_message_node(mail.inbox_epoch, 2));
	assert_only_change(f, CHANGE_FLAGS, 2, STORE_FLAG_DELETED, 0, 0, NULL);
	find(f, inbox, "2.m.eml");
	/* Any of its names. */
	g_assert_cmpint(unlink_in(f, inbox, "3.eml"), ==, 0);
	assert_only_change(f, CHANGE_FLAGS, 3, STORE_FLAG_DELETED, 0, 0, NULL);
}

/* Who makes a change keeps others waiting while he waits for the disk. */
static void test_open_at_once(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t node = tree_message_node(mail.inbox_epoch, 1);
	struct tree_file *file = NULL;

	complete(f, mail.inbox_epoch, 1, 10);
	g_assert_false(tree_is_at_once(f->tree, node));
	g_assert_cmpint(tree_open(f->tree, &f->call, node, O_RDONLY, &file), ==, 0);
	tree_close(f->tree, &file);
	g_assert_true(tree_is_at_once(f->tree, node));
	g_assert_false(tree_is_at_once(f->tree, tree_message_node(mail.inbox_epoch, 2)));
	g_assert_false(tree_is_at_once(f->tree, node_of(mail.inbox)));
	g_assert_cmpint(unlink_in(f, node_of(mail.inbox), "2.m.eml"), ==, 0);
	g_assert_false(tree_is_at_once(f->tree, node));
}

static void test_unlink_expunge(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox);

	f->account.delete_mode = DELETE_EXPUNGE;
	g_assert_cmpint(unlink_in(f, inbox, "2.m.eml"), ==, 0);
	assert_missing(f, inbox, "2.m.eml");
	assert_missing(f, tree_deleted_node(mail.inbox), "2.m.eml");
	assert_only_change(f, CHANGE_EXPUNGE, 2, 0, 0, 0, NULL);
	f->engine.abilities = STORE_CAN_CHANGE;
	g_assert_cmpint(unlink_in(f, inbox, "2.m.eml"), ==, 0);
	assert_only_change(f, CHANGE_FLAGS, 2, STORE_FLAG_DELETED, 0, 0, NULL);
}

static void test_unlink_trash(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, STORE_ATTR_TRASH);

	f->account.delete_mode = DELETE_TRASH;
	g_assert_cmpint(unlink_in(f, node_of(mail.inbox), "2.m.eml"), ==, 0);
	assert_missing(f, node_of(mail.inbox), "2.m.eml");
	assert_only_change(f, CHANGE_MOVE, 2, 0, 0, mail.trash, NULL);
	/* In there it goes for good. */
	g_assert_cmpint(unlink_in(f, node_of(mail.trash), "7.m.eml"), ==, 0);
	assert_only_change(f, CHANGE_EXPUNGE, 7, 0, 0, 0, NULL);
	f->engine.abilities = STORE_CAN_CHANGE;
	g_assert_cmpint(unlink_in(f, node_of(mail.trash), "7.m.eml"), ==, 0);
	assert_only_change(f, CHANGE_FLAGS, 7, STORE_FLAG_DELETED, 0, 0, NULL);
}

/* Below the trash, and where the trash is below another folder. */
static void test_unlink_deep_trash(struct fixture *f, gconstpointer data)
{
	static const char *const names[] = {"INBOX", "A", "A/Bin", "A/Bin/Old"};
	uint32_t a, bin, old, epoch;

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		index_folder_seen(f->index, names[i], '/', i == 2 ? STORE_ATTR_TRASH : 0, NOW_NS);
	index_folders_sweep(f->index, NOW_NS, ignore_folder, NULL);
	commit(f);
	a = folder_id(f, INDEX_ROOT, "A");
	bin = folder_id(f, a, "Bin");
	old = folder_id(f, bin, "Old");
	put(f, open_folder(f, a, 1), 1, "m", 10);
	epoch = open_folder(f, old, 2);
	put(f, epoch, 2, "m", 10);
	index_folder_refreshed(f->index, a, 2, 0);
	index_folder_refreshed(f->index, old, 3, 0);
	commit(f);
	f->account.delete_mode = DELETE_TRASH;
	g_assert_cmpint(unlink_in(f, node_of(old), "2.m.eml"), ==, 0);
	assert_only_change(f, CHANGE_EXPUNGE, 2, 0, 0, 0, NULL);
	g_assert_cmpint(unlink_in(f, node_of(a), "1.m.eml"), ==, 0);
	assert_only_change(f, CHANGE_MOVE, 1, 0, 0, bin, NULL);
}

static unsigned count_in_log(const char *text)
{
	gsize len;
	g_autofree char *ring = log_ring_copy(&len);
	unsigned count = 0;

	for (const char *at = ring; (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}

static void test_unlink_no_trash(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	unsigned before = count_in_log("no folder is marked");

	f->account.delete_mode = DELETE_TRASH;
	g_assert_cmpint(unlink_in(f, node_of(mail.inbox), "1.m.eml"), ==, 0);
	assert_only_change(f, CHANGE_FLAGS, 1, STORE_FLAG_DELETED, 0, 0, NULL);
	g_assert_cmpint(unlink_in(f, node_of(mail.inbox), "2.m.eml"), ==, 0);
	g_assert_cmpuint(count_in_log("no folder is marked"), ==, before + 1);
}

static void test_unlink_deleted(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), deleted = tree_deleted_node(mail.inbox);

	index_message_flags(f->index, mail.inbox_epoch, 1, STORE_FLAG_DELETED, "", NOW_NS);
	commit(f);
	g_assert_cmpint(unlink_in(f, inbox, "1.m.eml"), ==, ENOENT);
	g_assert_cmpint(unlink_in(f, deleted, "2.m.eml"), ==, ENOENT);
	f->engine.abilities = STORE_CAN_CHANGE;
	g_assert_cmpint(unlink_in(f, deleted, "1.m.eml"), ==, EOPNOTSUPP);
	g_assert_cmpuint(count_in_log("cannot expunge single messages"), ==, 1);
	f->engine.abilities = STORE_CAN_CHANGE | STORE_CAN_EXPUNGE;
	g_assert_cmpint(unlink_in(f, deleted, "1.m.eml"), ==, 0);
	assert_missing(f, deleted, "1.m.eml");
	assert_only_change(f, CHANGE_EXPUNGE, 1, 0, 0, 0, NULL);
}

static void test_unlink_fixed(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox);
	uint64_t control = find(f, ROOT, ".mailfs"), parts = find(f, inbox, "1.d");

	g_assert_cmpint(unlink_in(f, control, "status"), ==, EPERM);
	g_assert_cmpint(unlink_in(f, parts, "flags"), ==, EPERM);
	g_assert_cmpint(unlink_in(f, inbox, ".deleted"), ==, EPERM);
	g_assert_cmpint(unlink_in(f, inbox, "1.d"), ==, EPERM);
	g_assert_cmpint(unlink_in(f, ROOT, ".mailfs"), ==, EPERM);
	g_assert_cmpint(unlink_in(f, ROOT, "Archive"), ==, EISDIR);
	g_assert_cmpint(unlink_in(f, inbox, "9.m.eml"), ==, ENOENT);
	g_assert_cmpint(unlink_in(f, inbox, "none"), ==, ENOENT);
	g_assert_cmpint(unlink_in(f, tree_message_node(mail.inbox_epoch, 1), "x"), ==, EPERM);
	g_assert_cmpint(unlink_in(f, tree_folder_node(4711), "x"), ==, ESTALE);
	assert_nothing_to_send(f);
}

/* A message on its way in is waited for. */
static void test_unlink_guest(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), archive = node_of(mail.archive);

	g_assert_cmpint(rename_to(f, inbox, "2.m.eml", archive, "two.eml"), ==, 0);
	g_assert_cmpuint(find(f, archive, "two.eml"), ==, tree_message_node(mail.inbox_epoch, 2));
	assert_hard(f, unlink_in(f, archive, "two.eml"), NEED_CHANGE, mail.inbox_epoch, 2);
	f->call.give_up = EHOSTUNREACH;
	g_assert_cmpint(unlink_in(f, archive, "two.eml"), ==, EHOSTUNREACH);
	f->call.give_up = 0;
	/* Done, but where it is now is not known. */
	settle_all(f);
	assert_hard(f, unlink_in(f, archive, "two.eml"), NEED_FOLDER, mail.archive, 0);
	put(f, mail.archive_epoch, 5, "m", 10);
	commit(f);
	changes_refreshed(f->state, mail.archive_epoch, 100, true, NULL);
	g_assert_cmpint(unlink_in(f, archive, "5.m.eml"), ==, 0);
	assert_only_change(f, CHANGE_FLAGS, 5, STORE_FLAG_DELETED, 0, 0, NULL);
}

static void test_unlink_draft(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox);
	uint32_t scratch = make_file(f, inbox, ".x.swp", "abc");
	uint32_t new = make_file(f, inbox, "new.eml", "abc");

	g_assert_cmpint(unlink_in(f, inbox, ".x.swp"), ==, 0);
	g_assert_false(exists(f, scratch));
	begin_sending(f, new);
	assert_hard(f, unlink_in(f, inbox, "new.eml"), NEED_SPOOL, 0, new);
	f->call.give_up = EIO;
	g_assert_cmpint(unlink_in(f, inbox, "new.eml"), ==, EIO);
	/* It failed: it can go. */
	spool_fail(f->state, new, EIO, "no");
	g_assert_cmpint(unlink_in(f, inbox, "new.eml"), ==, 0);
	f->call.give_up = 0;
	g_assert_false(exists(f, new));
	new = make_file(f, inbox, "new.eml", "abc");
	g_assert_cmpint(unlink_in(f, inbox, "new.eml"), ==, 0);
	assert_nothing_to_send(f);
}

/* Sent, and not listed yet. */
static void test_unlink_uploaded(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox);
	uint32_t new = make_file(f, inbox, "new.eml", "abc");

	begin_sending(f, new);
	end_sending(f, new, 1, 4);
	assert_hard(f, unlink_in(f, inbox, "new.eml"), NEED_FOLDER, mail.inbox, 0);
	put(f, mail.inbox_epoch, 4, "m", 10);
	commit(f);
	bind_folder(f, mail.inbox);
	g_assert_cmpint(unlink_in(f, inbox, "new.eml"), ==, 0);
	assert_missing(f, inbox, "new.eml");
	assert_only_change(f, CHANGE_FLAGS, 4, STORE_FLAG_DELETED, 0, 0, NULL);
}

/* --- rename of messages --- */

static void test_rename_flags(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox);

	g_assert_cmpint(
		tree_rename(f->tree, &f->call, inbox, "1.m.eml", inbox, "2.m.eml", RENAME_EXCHANGE),
		==, EINVAL);
	g_assert_cmpint(
		tree_rename(f->tree, &f->call, inbox, "1.m.eml", inbox, "x.eml", RENAME_WHITEOUT),
		==, EINVAL);
	g_assert_cmpint(
		tree_rename(f->tree, &f->call, inbox, "1.m.eml", inbox, "1.eml", RENAME_NOREPLACE),
		==, EEXIST);
	g_assert_cmpint(
		tree_rename(f->tree, &f->call, inbox, "1.m.eml", inbox, "x.eml", RENAME_NOREPLACE),
		==, 0);
	find(f, inbox, "x.eml");
}

static void test_rename_alias(struct fixture *f, gconstpointer data)
{
	static const char *const foreign[] = {"2.m.eml", "3.eml"};
	static const char *const refused[] = {"x", ".x.eml", "m.eml~", "x.EML"};
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), one = tree_message_node(mail.inbox_epoch, 1);

	for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++)
		g_assert_cmpint(rename_to(f, inbox, "1.m.eml", inbox, foreign[i]), ==, EEXIST);
	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
		g_assert_cmpint(rename_to(f, inbox, "1.m.eml", inbox, refused[i]), ==, EPERM);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", inbox, "9.x.eml"), ==, EINVAL);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", inbox, "9.eml"), ==, EINVAL);
	g_assert_cmpint(rename_to(f, inbox, "9.m.eml", inbox, "x.eml"), ==, ENOENT);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", inbox, "1.eml"), ==, 0);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", inbox, "lunch.eml"), ==, 0);
	g_assert_cmpuint(find(f, inbox, "lunch.eml"), ==, one);
	g_assert_cmpuint(find(f, inbox, "1.eml"), ==, one);
	assert_missing(f, inbox, "1.m.eml");
	g_assert_cmpint(rename_to(f, inbox, "lunch.eml", inbox, "lunch.eml"), ==, 0);
	g_assert_cmpint(rename_to(f, inbox, "2.m.eml", inbox, "lunch.eml"), ==, EEXIST);
	/* Back to its own. */
	g_assert_cmpint(rename_to(f, inbox, "lunch.eml", inbox, "1.m.eml"), ==, 0);
	g_assert_cmpuint(find(f, inbox, "1.m.eml"), ==, one);
	assert_missing(f, inbox, "lunch.eml");
	g_assert_false(names_in(f->state, mail.inbox_epoch));
	assert_nothing_to_send(f);
}

static void test_rename_move(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), archive = node_of(mail.archive);

	g_assert_cmpint(rename_to(f, inbox, "2.m.eml", archive, "1.m.eml"), ==, EEXIST);
	g_assert_cmpint(rename_to(f, inbox, "2.m.eml", archive, "1.eml"), ==, EEXIST);
	g_assert_cmpint(rename_to(f, inbox, "2.m.eml", archive, "2024"), ==, EISDIR);
	g_assert_cmpint(rename_to(f, inbox, "2.m.eml", archive, "two"), ==, EPERM);
	g_assert_cmpint(rename_to(f, inbox, "2.m.eml", archive, ".two.eml"), ==, EPERM);
	g_assert_cmpint(rename_to(f, inbox, "2.m.eml", ROOT, "two.eml"), ==, EPERM);
	g_assert_cmpint(rename_to(f, inbox, "2.m.eml", find(f, ROOT, ".mailfs"), "two.eml"), ==,
			EPERM);
	g_assert_cmpint(rename_to(f, inbox, "2.m.eml", archive, "2.m.eml"), ==, 0);
	assert_missing(f, inbox, "2.m.eml");
	find(f, archive, "2.m.eml");
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", archive, "2.m.eml"), ==, EEXIST);
	assert_only_change(f, CHANGE_MOVE, 2, 0, 0, mail.archive, "2.m.eml");
	find(f, inbox, "2.m.eml");
}

/* A guest that is to go on is waited for. */
static void test_rename_guest(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), archive = node_of(mail.archive);

	g_assert_cmpint(rename_to(f, inbox, "2.m.eml", archive, "two.eml"), ==, 0);
	assert_hard(f, rename_to(f, archive, "two.eml", inbox, "x.eml"), NEED_CHANGE,
		    mail.inbox_epoch, 2);
}

static void test_rename_undelete(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), deleted = tree_deleted_node(mail.inbox);

	for (uint32_t uid = 1; uid <= 3; uid++)
		index_message_flags(f->index, mail.inbox_epoch, uid, STORE_FLAG_DELETED, "",
				    NOW_NS);
	commit(f);
	g_assert_cmpint(rename_to(f, deleted, "1.m.eml", inbox, "1.m.eml"), ==, 0);
	find(f, inbox, "1.m.eml");
	assert_missing(f, deleted, "1.m.eml");
	g_assert_false(names_in(f->state, mail.inbox_epoch));
	assert_only_change(f, CHANGE_FLAGS, 1, 0, STORE_FLAG_DELETED, 0, NULL);
	g_assert_cmpint(rename_to(f, deleted, "1.m.eml", inbox, "1.eml"), ==, 0);
	g_assert_false(names_in(f->state, mail.inbox_epoch));
	assert_only_change(f, CHANGE_FLAGS, 1, 0, STORE_FLAG_DELETED, 0, NULL);
	g_assert_cmpint(rename_to(f, deleted, "2.m.eml", inbox, "7.eml"), ==, EINVAL);
	g_assert_cmpint(rename_to(f, deleted, "2.m.eml", inbox, "two"), ==, EPERM);
	g_assert_cmpint(rename_to(f, deleted, "2.m.eml", inbox, "two.eml"), ==, 0);
	find(f, inbox, "two.eml");
	assert_only_change(f, CHANGE_FLAGS, 2, 0, STORE_FLAG_DELETED, 0, NULL);
	assert_missing(f, inbox, "two.eml");
	g_assert_cmpint(rename_to(f, deleted, "3.m.eml", deleted, "3.eml"), ==, 0);
	g_assert_cmpint(rename_to(f, deleted, "3.m.eml", deleted, "x.eml"), ==, EPERM);
	assert_nothing_to_send(f);
}

/* Where its namesake is gone, it goes on under the name that it came with. */
static void test_rename_undelete_foreign(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), deleted = tree_deleted_node(mail.inbox);
	struct folder_row row;
	struct state_box box = box_of(f, mail.inbox, &row);

	g_assert_true(names_set(f->state, &box, 2, "9.m.eml", NULL));
	folder_row_clear(&row);
	index_message_flags(f->index, mail.inbox_epoch, 2, STORE_FLAG_DELETED, "", NOW_NS);
	commit(f);
	g_assert_cmpint(rename_to(f, deleted, "9.m.eml", inbox, "9.m.eml"), ==, 0);
	g_assert_cmpuint(find(f, inbox, "9.m.eml"), ==, tree_message_node(mail.inbox_epoch, 2));
	assert_only_change(f, CHANGE_FLAGS, 2, 0, STORE_FLAG_DELETED, 0, NULL);
	assert_nothing_to_send(f);
}

/* Out of the view into another folder: the flag comes off first. */
static void test_rename_undelete_away(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	GPtrArray *taken;
	struct change *change;

	index_message_flags(f->index, mail.inbox_epoch, 1, STORE_FLAG_DELETED, "", NOW_NS);
	commit(f);
	g_assert_cmpint(rename_to(f, tree_deleted_node(mail.inbox), "1.m.eml",
				  node_of(mail.archive), "one.eml"),
			==, 0);
	find(f, node_of(mail.archive), "one.eml");
	assert_missing(f, node_of(mail.inbox), "1.m.eml");
	change = take(f, &taken);
	g_assert_cmpint(change->kind, ==, CHANGE_FLAGS);
	g_assert_cmpuint(change->clear, ==, STORE_FLAG_DELETED);
	changes_settle(f->state, taken, 1);
	g_ptr_array_unref(taken);
	assert_only_change(f, CHANGE_MOVE, 1, 0, 0, mail.archive, "one.eml");
}

static void test_rename_delete(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), deleted = tree_deleted_node(mail.inbox);

	f->account.delete_mode = DELETE_EXPUNGE;
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", deleted, "x.eml"), ==, EPERM);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", tree_deleted_node(mail.archive), "1.m.eml"),
			==, EPERM);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", deleted, "1.m.eml"), ==, 0);
	assert_missing(f, inbox, "1.m.eml");
	find(f, deleted, "1.m.eml");
	assert_only_change(f, CHANGE_FLAGS, 1, STORE_FLAG_DELETED, 0, 0, NULL);
}

/* Onto a file that is no message: an empty one. */
static void test_rename_over_draft(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), archive = node_of(mail.archive);
	uint32_t here = make_file(f, inbox, "here.eml", ""),
		 there = make_file(f, archive, "there.eml", "");

	g_assert_cmpint(tree_rename(f->tree, &f->call, inbox, "1.m.eml", inbox, "here.eml",
				    RENAME_NOREPLACE),
			==, EEXIST);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", inbox, "here.eml"), ==, 0);
	g_assert_false(exists(f, here));
	g_assert_cmpuint(find(f, inbox, "here.eml"), ==, tree_message_node(mail.inbox_epoch, 1));
	g_assert_cmpint(rename_to(f, inbox, "2.m.eml", archive, "there.eml"), ==, 0);
	g_assert_false(exists(f, there));
	assert_only_change(f, CHANGE_MOVE, 2, 0, 0, mail.archive, "there.eml");
}

/* --- setattr, fsync --- */

static void test_setattr(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t node = tree_message_node(mail.inbox_epoch, 1);
	struct tree_setattr touch = {.set_mtime = true, .mtime_ns = NOW_NS},
			    cut = {.set_size = true};
	struct tree_entry before, after;

	g_assert_cmpint(tree_getattr(f->tree, &f->call, node, &before), ==, 0);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, node, NULL, &touch, &after), ==, 0);
	g_assert_cmpint(after.attr.st_mtim.tv_sec, ==, before.attr.st_mtim.tv_sec);
	g_assert_cmpuint(after.node, ==, node);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, node, NULL, &cut, &after), ==, EPERM);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, node_of(mail.inbox), NULL, &touch, &after),
			==, 0);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, node_of(mail.inbox), NULL, &cut, &after),
			==, EPERM);
	node = find(f, find(f, node_of(mail.inbox), "1.d"), "flags");
	g_assert_cmpint(tree_setattr(f->tree, &f->call, node, NULL, &cut, &after), ==, 0);
	assert_nothing_to_send(f);
}

static void test_fsync_message(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	struct tree_file *file = NULL;

	complete(f, mail.inbox_epoch, 1, 10);
	g_assert_cmpint(tree_open(f->tree, &f->call, tree_message_node(mail.inbox_epoch, 1),
				  O_RDONLY, &file),
			==, 0);
	g_assert_cmpint(tree_fsync(f->tree, &f->call, file), ==, 0);
	g_assert_cmpint(unlink_in(f, node_of(mail.inbox), "1.m.eml"), ==, 0);
	assert_hard(f, tree_fsync(f->tree, &f->call, file), NEED_CHANGE, mail.inbox_epoch, 1);
	f->call.give_up = EACCES;
	g_assert_cmpint(tree_fsync(f->tree, &f->call, file), ==, EACCES);
	f->call.give_up = 0;
	settle_all(f);
	g_assert_cmpint(tree_fsync(f->tree, &f->call, file), ==, 0);
	tree_close(f->tree, &file);
}

static int sync_dir(struct fixture *f, uint64_t node)
{
	f->call.ticket = 0;
	return tree_fsyncdir(f->tree, &f->call, node);
}

static void test_fsyncdir(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_mail(f, 0);
	uint64_t inbox = node_of(mail.inbox), archive = node_of(mail.archive);

	/* Once it is asked in any case whether something was refused. */
	assert_hard(f, sync_dir(f, archive), NEED_CHANGES, mail.archive, 0);
	g_assert_cmpint(tree_fsyncdir(f->tree, &f->call, archive), ==, 0);
	g_assert_cmpint(unlink_in(f, inbox, "1.m.eml"), ==, 0);
	assert_hard(f, sync_dir(f, inbox), NEED_CHANGES, mail.inbox, 0);
	assert_hard(f, tree_fsyncdir(f->tree, &f->call, inbox), NEED_CHANGES, mail.inbox, 0);
	assert_hard(f, sync_dir(f, tree_deleted_node(mail.inbox)), NEED_CHANGES, mail.inbox, 0);
	assert_hard(f, sync_dir(f, ROOT), NEED_CHANGES, INDEX_ROOT, 0);
	g_assert_cmpint(sync_dir(f, find(f, ROOT, ".mailfs")), ==, 0);
	f->call.give_up = EDQUOT;
	g_assert_cmpint(tree_fsyncdir(f->tree, &f->call, inbox), ==, EDQUOT);
	f->call.give_up = 0;
	settle_all(f);
	assert_hard(f, sync_dir(f, ROOT), NEED_CHANGES, INDEX_ROOT, 0);
	g_assert_cmpint(tree_fsyncdir(f->tree, &f->call, ROOT), ==, 0);
}

#define ADD(path, function)                                                                        \
	g_test_add(path, struct fixture, NULL, fixture_up, function, fixture_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/tree-change/read-only", test_read_only);
	ADD("/tree-change/rights", test_rights);
	ADD("/tree-change/rights-unknown", test_rights_unknown);
	ADD("/tree-change/unlink-flag", test_unlink_flag);
	ADD("/tree-change/open-at-once", test_open_at_once);
	ADD("/tree-change/unlink-expunge", test_unlink_expunge);
	ADD("/tree-change/unlink-trash", test_unlink_trash);
	ADD("/tree-change/unlink-deep-trash", test_unlink_deep_trash);
	ADD("/tree-change/unlink-no-trash", test_unlink_no_trash);
	ADD("/tree-change/unlink-deleted", test_unlink_deleted);
	ADD("/tree-change/unlink-fixed", test_unlink_fixed);
	ADD("/tree-change/unlink-guest", test_unlink_guest);
	ADD("/tree-change/unlink-draft", test_unlink_draft);
	ADD("/tree-change/unlink-uploaded", test_unlink_uploaded);
	ADD("/tree-change/rename-flags", test_rename_flags);
	ADD("/tree-change/rename-alias", test_rename_alias);
	ADD("/tree-change/rename-move", test_rename_move);
	ADD("/tree-change/rename-guest", test_rename_guest);
	ADD("/tree-change/rename-undelete", test_rename_undelete);
	ADD("/tree-change/rename-undelete-foreign", test_rename_undelete_foreign);
	ADD("/tree-change/rename-undelete-away", test_rename_undelete_away);
	ADD("/tree-change/rename-delete", test_rename_delete);
	ADD("/tree-change/rename-over-draft", test_rename_over_draft);
	ADD("/tree-change/setattr", test_setattr);
	ADD("/tree-change/fsync-message", test_fsync_message);
	ADD("/tree-change/fsyncdir", test_fsyncdir);
	return g_test_run();
}
