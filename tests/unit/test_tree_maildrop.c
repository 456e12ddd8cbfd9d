/* A mount of a maildrop: messages can be removed, and that taken back; nothing else can be changed.
 */

#include "tree_change_fixture.h"

#define ROOT NODE_ROOT

static struct mail fill_maildrop(struct fixture *f)
{
	struct mail mail = fill_mail(f, 0);

	f->engine.abilities = STORE_CAN_REMOVE;
	f->engine.rights_known = false;
	return mail;
}

static uint64_t flags_node(struct fixture *f, uint64_t inbox)
{
	return find(f, find(f, inbox, "1.d"), "flags");
}

static void assert_unchangeable(struct fixture *f, const struct mail *mail)
{
	uint64_t inbox = node_of(mail->inbox), archive = node_of(mail->archive);
	uint64_t deleted = tree_deleted_node(mail->inbox);
	uint64_t message = tree_message_node(mail->inbox_epoch, 1);
	struct tree_setattr setattr = {.set_size = true};
	struct tree_file *file = NULL;
	struct tree_entry entry;

	g_assert_cmpint(tree_create(f->tree, &f->call, inbox, "x.eml", &entry, &file), ==, EROFS);
	g_assert_cmpint(tree_mkdir(f->tree, &f->call, ROOT, "New", &entry), ==, EROFS);
	g_assert_cmpint(tree_mkdir(f->tree, &f->call, inbox, "New", &entry), ==, EROFS);
	g_assert_cmpint(tree_rmdir(f->tree, &f->call, ROOT, "Archive"), ==, EROFS);
	g_assert_cmpint(rename_to(f, ROOT, "Archive", ROOT, "Other"), ==, EROFS);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", inbox, "x.eml"), ==, EROFS);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", archive, "1.m.eml"), ==, EROFS);
	g_assert_cmpint(rename_to(f, inbox, "1.m.eml", deleted, "1.m.eml"), ==, EROFS);
	g_assert_cmpint(tree_open(f->tree, &f->call, message, O_WRONLY, &file), ==, EROFS);
	g_assert_cmpint(tree_open(f->tree, &f->call, flags_node(f, inbox), O_WRONLY, &file), ==,
			EROFS);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, message, NULL, &setattr, &entry), ==,
			EROFS);
	g_assert_cmpint(tree_setxattr(f->tree, &f->call, message, "user.mail.flags", "+seen", 5, 0),
			==, EROFS);
	g_assert_null(file);
	assert_nothing_to_send(f);
}

static void test_read_only(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_maildrop(f);

	assert_unchangeable(f, &mail);
	f->account.read_only = true;
	assert_unchangeable(f, &mail);
	g_assert_cmpint(unlink_in(f, node_of(mail.inbox), "1.m.eml"), ==, EROFS);
}

/* No session is begun to ask for rights. */
static void test_remove(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_maildrop(f);
	uint64_t inbox = node_of(mail.inbox), deleted = tree_deleted_node(mail.inbox);

	g_assert_cmpint(unlink_in(f, inbox, "2.m.eml"), ==, 0);
	g_assert_cmpuint(f->engine.needs, ==, 0);
	assert_missing(f, inbox, "2.m.eml");
	find(f, deleted, "2.m.eml");
	/* It is about to go by itself. */
	g_assert_cmpint(unlink_in(f, deleted, "2.m.eml"), ==, EROFS);
	assert_only_change(f, CHANGE_FLAGS, 2, STORE_FLAG_DELETED, 0, 0, NULL);
	g_assert_cmpint(unlink_in(f, inbox, "9.m.eml"), ==, ENOENT);
}

/* Only where it was, and as it was called. */
static void test_take_back(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_maildrop(f);
	uint64_t inbox = node_of(mail.inbox), deleted = tree_deleted_node(mail.inbox);
	uint64_t archive = node_of(mail.archive);

	g_assert_cmpint(unlink_in(f, inbox, "2.m.eml"), ==, 0);
	g_assert_cmpint(rename_to(f, deleted, "2.m.eml", archive, "2.m.eml"), ==, EROFS);
	g_assert_cmpint(rename_to(f, deleted, "2.m.eml", inbox, "x.eml"), ==, EROFS);
	g_assert_cmpint(rename_to(f, deleted, "2.m.eml", inbox, "1.m.eml"), ==, EROFS);
	g_assert_cmpint(rename_to(f, deleted, "2.m.eml", deleted, "3.m.eml"), ==, EROFS);
	assert_missing(f, inbox, "2.m.eml");
	g_assert_cmpint(rename_to(f, deleted, "2.m.eml", inbox, "2.m.eml"), ==, 0);
	find(f, inbox, "2.m.eml");
	assert_missing(f, deleted, "2.m.eml");
	assert_only_change(f, CHANGE_FLAGS, 2, 0, STORE_FLAG_DELETED, 0, NULL);
	/* Its other name is its own too. */
	g_assert_cmpint(unlink_in(f, inbox, "2.eml"), ==, 0);
	g_assert_cmpint(rename_to(f, deleted, "2.m.eml", inbox, "2.eml"), ==, 0);
	find(f, inbox, "2.m.eml");
}

/* The server is being told: it cannot be promised any more. */
static void test_too_late(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_maildrop(f);
	uint64_t inbox = node_of(mail.inbox), deleted = tree_deleted_node(mail.inbox);
	g_autoptr(GPtrArray) taken = NULL;

	g_assert_cmpint(unlink_in(f, inbox, "2.m.eml"), ==, 0);
	take(f, &taken);
	g_assert_cmpint(rename_to(f, deleted, "2.m.eml", inbox, "2.m.eml"), ==, ENOENT);
	assert_missing(f, inbox, "2.m.eml");
	/* The connection was lost before: now it can. */
	changes_defer(f->state, taken, 0, false);
	g_assert_cmpint(rename_to(f, deleted, "2.m.eml", inbox, "2.m.eml"), ==, 0);
	find(f, inbox, "2.m.eml");
}

/* Nothing is listed yet: INBOX is waited for, and there is no other folder. */
static void test_unlisted(struct fixture *f, gconstpointer data)
{
	struct tree_entry entry;

	f->engine.abilities = STORE_CAN_REMOVE;
	f->engine.folders_fresh = false;
	assert_missing(f, ROOT, "New");
	g_assert_cmpint(tree_mkdir(f->tree, &f->call, ROOT, "New", &entry), ==, EROFS);
	assert_hard(f, tree_lookup(f->tree, &f->call, ROOT, "inbox", &entry), NEED_FOLDERS, 0, 0);
}

static void test_modes(struct fixture *f, gconstpointer data)
{
	struct mail mail = fill_maildrop(f);
	uint64_t inbox = node_of(mail.inbox);
	struct tree_entry entry;

	/* It can be removed, from a directory that can be written to. */
	g_assert_cmpint(tree_lookup(f->tree, &f->call, inbox, "1.m.eml", &entry), ==, 0);
	g_assert_cmpuint(entry.attr.st_mode & 0777, ==, 0600);
	g_assert_cmpint(tree_getattr(f->tree, &f->call, inbox, &entry), ==, 0);
	g_assert_cmpuint(entry.attr.st_mode & 0777, ==, 0700);
	f->account.read_only = true;
	g_assert_cmpint(tree_lookup(f->tree, &f->call, inbox, "1.m.eml", &entry), ==, 0);
	g_assert_cmpuint(entry.attr.st_mode & 0777, ==, 0400);
}

static void add(const char *path, void (*function)(struct fixture *, gconstpointer))
{
	g_test_add(path, struct fixture, NULL, fixture_up, function, fixture_down);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/tree-maildrop/read-only", test_read_only);
	add("/tree-maildrop/remove", test_remove);
	add("/tree-maildrop/take-back", test_take_back);
	add("/tree-maildrop/too-late", test_too_late);
	add("/tree-maildrop/unlisted", test_unlisted);
	add("/tree-maildrop/modes", test_modes);
	return g_test_run();
}
