/* Flags as a file and as an extended attribute; the other attributes. */

#include "tree_look.h"

#include "base/limits.h"
#include "store/store.h"

#include <sys/xattr.h>

#define FLAGS "user.mail.flags"

struct scene {
	uint32_t epoch;
	uint64_t inbox, message, file;
};

static void set_flags(struct fixture *f, uint32_t epoch, unsigned flags, const char *keywords)
{
	index_message_flags(f->index, epoch, 5, flags, keywords, NOW_NS);
	commit(f);
}

/* Message 5, seen and with a keyword, which exists in the folder. */
static struct scene set_scene(struct fixture *f)
{
	static const uint32_t uids[] = {5};
	struct scene scene = {.epoch = fill_inbox(f, uids, 1)};

	set_flags(f, scene.epoch, STORE_FLAG_SEEN, "$Work");
	scene.inbox = must_find(f, ROOT, "INBOX");
	scene.message = tree_message_node(scene.epoch, 5);
	scene.file = must_find(f, must_find(f, scene.inbox, "5.d"), "flags");
	f->engine.keyword = "$Work";
	return scene;
}

static char *get(struct fixture *f, uint64_t node, const char *name)
{
	size_t len;
	char *value;

	g_assert_cmpint(tree_getxattr(f->tree, &f->call, node, name, &value, &len), ==, 0);
	g_assert_cmpuint(strlen(value), ==, len);
	return value;
}

static void assert_xattr(struct fixture *f, uint64_t node, const char *name, const char *want)
{
	g_autofree char *value = get(f, node, name);

	g_assert_cmpstr(value, ==, want);
}

static int set(struct fixture *f, uint64_t node, const char *value)
{
	return tree_setxattr(f->tree, &f->call, node, FLAGS, value, strlen(value), 0);
}

static void assert_set(struct fixture *f, const struct scene *s, const char *value,
		       const char *want)
{
	int result = set(f, s->message, value);

	if (result != 0)
		g_test_message("%s: %d", value, result);
	g_assert_cmpint(result, ==, 0);
	assert_xattr(f, s->message, FLAGS, want);
}

/* --- the file --- */

static char *read_flags(struct fixture *f, uint64_t node)
{
	char buffer[256];
	struct tree_entry entry;
	struct tree_file *file;
	size_t len;

	g_assert_cmpint(tree_getattr(f->tree, &f->call, node, &entry), ==, 0);
	g_assert_true(entry.volatile_attr);
	g_assert_cmpint(tree_open(f->tree, &f->call, node, O_RDONLY, &file), ==, 0);
	g_assert_true(tree_file_is_text(file));
	g_assert_cmpint(tree_read(f->tree, &f->call, file, 0, sizeof(buffer), buffer, &len), ==, 0);
	g_assert_cmpint(entry.attr.st_size, ==, len);
	tree_close(f->tree, &file);
	return g_strndup(buffer, len);
}

static void assert_file(struct fixture *f, const struct scene *s, const char *want)
{
	g_autofree char *text = read_flags(f, s->file);

	g_assert_cmpstr(text, ==, want);
}

static int write_file(struct fixture *f, uint64_t node, int flags, const char *text)
{
	struct tree_setattr truncate = {.set_size = true};
	struct tree_entry entry;
	struct tree_file *file;
	int result = tree_open(f->tree, &f->call, node, flags, &file);

	if (result != 0)
		return result;
	g_assert_cmpint(tree_setattr(f->tree, &f->call, node, file, &truncate, &entry), ==, 0);
	result = tree_write(f->tree, &f->call, file, 0, strlen(text), text);
	if (result == 0)
		result = tree_flush(f->tree, &f->call, file);
	tree_close(f->tree, &file);
	return result;
}

static struct tree_file *open_file(struct fixture *f, const struct scene *s, int flags)
{
	struct tree_file *file = NULL;

	g_assert_cmpint(tree_open(f->tree, &f->call, s->file, flags, &file), ==, 0);
	return file;
}

static int write_at(struct fixture *f, struct tree_file *file, uint64_t offset, const char *text)
{
	return tree_write(f->tree, &f->call, file, offset, strlen(text), text);
}

static void flush(struct fixture *f, struct tree_file *file)
{
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, 0);
}

static void test_file(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);

	assert_file(f, &s, "seen\n$Work\n");
	g_assert_cmpint(write_file(f, s.file, O_WRONLY | O_TRUNC, "+flagged\n"), ==, 0);
	assert_file(f, &s, "seen\nflagged\n$Work\n");
	g_assert_cmpuint(f->engine.changes, ==, 1);
	g_assert_cmpint(write_file(f, s.file, O_RDWR, "draft answered"), ==, 0);
	assert_file(f, &s, "answered\ndraft\n");
	g_assert_cmpint(write_file(f, s.file, O_WRONLY, "+what?*"), ==, EINVAL);
	assert_file(f, &s, "answered\ndraft\n");
	f->account.read_only = true;
	g_assert_cmpint(write_file(f, s.file, O_WRONLY, "+seen"), ==, EROFS);
	assert_file(f, &s, "answered\ndraft\n");
}

/* Many writes are one text. */
static void test_pieces(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	struct tree_file *file = open_file(f, &s, O_WRONLY);

	/* As a shell's second descriptor is closed before anything is written. */
	flush(f, file);
	g_assert_cmpint(write_at(f, file, 0, " "), ==, 0);
	g_assert_cmpint(write_at(f, file, 1, "answe"), ==, 0);
	assert_file(f, &s, "seen\n$Work\n");
	g_assert_false(tree_file_take_changed(file));
	g_assert_cmpint(write_at(f, file, 6, "red,flag"), ==, 0);
	assert_file(f, &s, "answered\n");
	g_assert_true(tree_file_take_changed(file));
	g_assert_false(tree_file_take_changed(file));
	g_assert_cmpint(write_at(f, file, 14, "ged"), ==, 0);
	assert_file(f, &s, "answered\n");
	flush(f, file);
	assert_file(f, &s, "answered\nflagged\n");
	/* Nothing is left for the next close, whatever changed since. */
	assert_set(f, &s, "-flagged", "answered");
	flush(f, file);
	assert_file(f, &s, "answered\n");
	tree_close(f->tree, &file);
	file = open_file(f, &s, O_WRONLY);
	g_assert_cmpint(write_at(f, file, 0, "+seen\n"), ==, 0);
	g_assert_cmpint(write_at(f, file, 6, "-seen +draft\n"), ==, 0);
	assert_file(f, &s, "answered\ndraft\n");
	tree_close(f->tree, &file);
}

static void test_piece_fails(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	struct tree_file *file = open_file(f, &s, O_WRONLY);

	g_assert_cmpint(write_at(f, file, 1, "+draft\n"), ==, EINVAL);
	g_assert_cmpint(write_at(f, file, 0, "+flagged\n"), ==, 0);
	g_assert_cmpint(write_at(f, file, 9, "seen\n"), ==, EINVAL);
	g_assert_cmpint(write_at(f, file, 9, "+a(b "), ==, EINVAL);
	g_assert_cmpint(write_at(f, file, 0, "+draft\n"), ==, EINVAL);
	g_assert_cmpint(write_at(f, file, 14, "+draft\n"), ==, EINVAL);
	g_assert_cmpint(write_at(f, file, 9, "+draft\n"), ==, 0);
	assert_file(f, &s, "seen\nflagged\ndraft\n$Work\n");
	/* The close tells what is wrong with the last word. */
	g_assert_cmpint(write_at(f, file, 16, "+a("), ==, 0);
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, EINVAL);
	f->engine.rights_known = false;
	tree_close(f->tree, &file);
	file = open_file(f, &s, O_WRONLY);
	assert_need(f, write_at(f, file, 0, "+answered\n"), NEED_RIGHTS, folder_of(f, "INBOX"),
		    true);
	f->engine.rights_known = true;
	g_assert_cmpint(write_at(f, file, 0, "+answered\n"), ==, 0);
	assert_file(f, &s, "seen\nanswered\nflagged\ndraft\n$Work\n");
	tree_close(f->tree, &file);
}

static void test_truncate(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	struct tree_file *file = open_file(f, &s, O_WRONLY);
	struct tree_setattr cut = {.set_size = true};
	struct tree_entry entry;

	g_assert_cmpint(write_at(f, file, 0, "flagged\nwh"), ==, 0);
	g_assert_cmpint(tree_setattr(f->tree, &f->call, s.file, file, &cut, &entry), ==, 0);
	flush(f, file);
	assert_file(f, &s, "flagged\n");
	g_assert_cmpint(write_at(f, file, 0, "+draft"), ==, 0);
	cut.size = 5;
	g_assert_cmpint(tree_setattr(f->tree, &f->call, s.file, file, &cut, &entry), ==, EINVAL);
	cut.size = 6;
	g_assert_cmpint(tree_setattr(f->tree, &f->call, s.file, file, &cut, &entry), ==, 0);
	g_assert_cmpint(tree_fsync(f->tree, &f->call, file), ==, TREE_AGAIN);
	assert_file(f, &s, "flagged\ndraft\n");
	tree_close(f->tree, &file);
	/* Without a word it is the list of none, once it is closed. */
	file = open_file(f, &s, O_WRONLY | O_APPEND);
	g_assert_cmpint(write_at(f, file, 14, "\n"), ==, 0);
	assert_file(f, &s, "flagged\ndraft\n");
	flush(f, file);
	assert_file(f, &s, "");
	g_assert_cmpint(write_at(f, file, 4, "+seen\n"), ==, 0);
	assert_file(f, &s, "seen\n");
	tree_close(f->tree, &file);
}

static void test_long_text(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	g_autofree char *blank = g_strnfill(65536, ' ');
	struct tree_file *file = open_file(f, &s, O_WRONLY);

	g_assert_cmpint(tree_write(f->tree, &f->call, file, 0, 65529, blank), ==, 0);
	g_assert_cmpint(write_at(f, file, 65529, "+draft,\n"), ==, EFBIG);
	g_assert_cmpint(write_at(f, file, 65529, "+draft,"), ==, 0);
	g_assert_cmpint(write_at(f, file, 65536, "\n"), ==, EFBIG);
	assert_file(f, &s, "seen\ndraft\n$Work\n");
	tree_close(f->tree, &file);
}

static void test_gone(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	struct tree_file *file;

	expunge(f, s.epoch);
	g_assert_cmpint(tree_open(f->tree, &f->call, s.file, O_RDONLY, &file), ==, ESTALE);
	g_assert_cmpint(set(f, s.message, "+seen"), ==, ESTALE);
}

static void test_moved_away(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);

	ask_expunge(f, 5);
	g_assert_cmpint(set(f, s.message, "+flagged"), ==, ENOENT);
	g_assert_cmpuint(f->engine.changes, ==, 0);
}

/* What a server made of keywords does not fool a terminal. */
static void test_hostile_keywords(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);

	set_flags(f, s.epoch, 0, "a\x1b[2J b\xff");
	assert_file(f, &s, "a\\x1B[2J\nb\\xFF\n");
}

/* --- words --- */

static void test_words(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);

	assert_xattr(f, s.message, FLAGS, "seen $Work");
	assert_set(f, &s, "+\\Flagged,-SEEN", "flagged $Work");
	assert_set(f, &s, " \t+seen\r\n\v-\\flagged,,", "seen $Work");
	assert_set(f, &s, "+new -$WORK", "seen new");
	assert_set(f, &s, "+one -one +two", "seen new two");
	assert_set(f, &s, "NEW flagged", "flagged new");
	assert_set(f, &s, "", "");
	assert_set(f, &s, "Draft answered deleted flagged seen x",
		   "seen answered flagged deleted draft x");
	assert_set(f, &s, "\n", "");
	assert_set(f, &s, "+seen-ish", "seen-ish");
}

static void test_wrong_words(struct fixture *f, gconstpointer data)
{
	static const char *const wrong[] = {
		"+",	     "-",    "\\",	    "\\Recent", "+\\x",		 "++seen\\",
		"a(b",	     "a]b",  "a\"b",	    "a%b",	"a*b",		 "{3}",
		"\x01",	     "\x7f", "caf\xc3\xa9", "+a b",	"seen +flagged", "-a b",
		"+seen + x", "a\\b"};
	struct scene s = set_scene(f);

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		int result = set(f, s.message, wrong[i]);

		g_test_message("%zu", i);
		g_assert_cmpint(result, ==, EINVAL);
	}
	g_assert_cmpint(tree_setxattr(f->tree, &f->call, s.message, FLAGS, "+a\0b", 4, 0), ==,
			EINVAL);
	g_assert_cmpuint(f->engine.changes, ==, 0);
	assert_xattr(f, s.message, FLAGS, "seen $Work");
}

static void test_limits(struct fixture *f, gconstpointer data)
{
	g_autofree char *longest = g_strnfill(LIMIT_KEYWORD, 'k');
	g_autofree char *longer = g_strnfill(LIMIT_KEYWORD + 1, 'k');
	g_autoptr(GString) many = g_string_new(NULL);
	struct scene s = set_scene(f);

	assert_set(f, &s, longest, longest);
	g_assert_cmpint(set(f, s.message, longer), ==, EINVAL);
	for (unsigned i = 0; i < LIMIT_KEYWORDS; i++)
		g_string_append_printf(many, "%sk%u", i > 0 ? " " : "", i);
	assert_set(f, &s, many->str, many->str);
	g_string_append(many, " one");
	g_assert_cmpint(set(f, s.message, many->str), ==, EINVAL);
	g_assert_cmpint(tree_setxattr(f->tree, &f->call, s.message, FLAGS, many->str, 65537, 0), ==,
			E2BIG);
}

/* --- what is sent --- */

static void test_difference(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);
	g_autoptr(GPtrArray) taken = NULL;
	const struct change *change;

	assert_set(f, &s, "+seen +$WORK -draft", "seen $Work");
	assert_set(f, &s, "seen, $work", "seen $Work");
	g_assert_cmpuint(f->engine.changes, ==, 0);
	g_assert_cmpuint(state_pending(f->state), ==, 0);
	assert_set(f, &s, "flagged other", "flagged other");
	g_assert_cmpuint(f->engine.changes, ==, 1);
	taken = changes_take(f->state, 1000000);
	g_assert_nonnull(taken);
	g_assert_cmpuint(taken->len, ==, 1);
	change = g_ptr_array_index(taken, 0);
	g_assert_cmpint(change->kind, ==, CHANGE_FLAGS);
	g_assert_cmpuint(change->uid, ==, 5);
	g_assert_cmpuint(change->epoch, ==, s.epoch);
	g_assert_cmpuint(change->uidvalidity, ==, 1);
	g_assert_cmpuint(change->set, ==, STORE_FLAG_FLAGGED);
	g_assert_cmpuint(change->clear, ==, STORE_FLAG_SEEN);
	g_assert_cmpstr(change->set_words, ==, "other");
	g_assert_cmpstr(change->clear_words, ==, "$Work");
}

static void test_deleted(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);

	assert_set(f, &s, "+deleted", "seen deleted $Work");
	assert_missing(f, s.inbox, "5.eml", ENOENT);
	must_find(f, must_find(f, s.inbox, ".deleted"), "5.eml");
	assert_set(f, &s, "-deleted", "seen $Work");
	must_find(f, s.inbox, "5.eml");
}

/* --- rights --- */

static void test_rights(struct fixture *f, gconstpointer data)
{
	static const struct {
		const char *word;
		unsigned right;
	} cases[] = {{"-seen", STORE_MAY_SEEN},	   {"+deleted", STORE_MAY_DELETE},
		     {"+flagged", STORE_MAY_FLAG}, {"+answered", STORE_MAY_FLAG},
		     {"-$work", STORE_MAY_FLAG},   {"+new", STORE_MAY_FLAG}};
	struct scene s = set_scene(f);

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		f->engine.rights.may = STORE_MAY_ALL & ~cases[i].right;
		g_assert_cmpint(set(f, s.message, cases[i].word), ==, EACCES);
	}
	f->engine.rights.may = STORE_MAY_ALL & ~STORE_MAY_KEYWORD;
	g_assert_cmpint(set(f, s.message, "+new"), ==, EPERM);
	f->engine.keyword = "New";
	assert_set(f, &s, "+new", "seen $Work new");
	f->engine.rights.may = STORE_MAY_ALL;
	f->engine.rights.flags = STORE_FLAG_SEEN;
	g_assert_cmpint(set(f, s.message, "+draft"), ==, EPERM);
	assert_set(f, &s, "-seen", "$Work new");
	f->engine.rights.read_only = true;
	g_assert_cmpint(set(f, s.message, "+seen"), ==, EROFS);
	assert_set(f, &s, "-seen", "$Work new");
	f->engine.rights.read_only = false;
	f->engine.abilities = STORE_CAN_EXPUNGE;
	g_assert_cmpint(set(f, s.message, "+seen"), ==, EROFS);
	f->engine.abilities = 0;
	f->account.read_only = true;
	g_assert_cmpint(set(f, s.message, "+seen"), ==, EROFS);
}

static void test_rights_unknown(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);

	f->engine.rights_known = false;
	assert_need(f, set(f, s.message, "+flagged"), NEED_RIGHTS, folder_of(f, "INBOX"), true);
	g_assert_cmpuint(f->engine.changes, ==, 0);
	assert_set(f, &s, "+seen", "seen $Work");
	f->call.give_up = ETIMEDOUT;
	assert_set(f, &s, "+flagged", "seen flagged $Work");
	f->call.give_up = 0;
	f->engine.stalled = true;
	assert_set(f, &s, "+draft", "seen flagged draft $Work");
}

/* --- the other attributes --- */

static void assert_none(struct fixture *f, uint64_t node, const char *name, int want)
{
	size_t len;
	char *value;

	g_assert_cmpint(tree_getxattr(f->tree, &f->call, node, name, &value, &len), ==, want);
}

static void assert_names_of(struct fixture *f, uint64_t node, const char *want, size_t want_len)
{
	g_autofree char *names = NULL;
	size_t len;

	g_assert_cmpint(tree_listxattr(f->tree, &f->call, node, &names, &len), ==, 0);
	g_assert_cmpmem(names, (int)len, want, (int)want_len);
}

#define ASSERT_LIST(f, node, text) assert_names_of(f, node, text, sizeof(text) - 1)

static void test_message_xattr(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);

	assert_xattr(f, s.message, "user.mime_type", "message/rfc822");
	assert_xattr(f, s.message, "user.mailfs.uid", "5");
	assert_xattr(f, s.message, "user.mailfs.uidvalidity", "1");
	assert_none(f, s.message, "user.mailfs.messages", ENODATA);
	assert_none(f, s.message, "security.selinux", ENODATA);
	ASSERT_LIST(f, s.message,
		    FLAGS "\0user.mime_type\0user.mailfs.uid\0user.mailfs.uidvalidity\0");
	g_assert_cmpint(tree_setxattr(f->tree, &f->call, s.message, "user.mailfs.uid", "6", 1, 0),
			==, EOPNOTSUPP);
	g_assert_cmpint(tree_setxattr(f->tree, &f->call, s.inbox, FLAGS, "seen", 4, 0), ==,
			EOPNOTSUPP);
	g_assert_cmpint(tree_setxattr(f->tree, &f->call, s.message, FLAGS, "seen", 4, XATTR_CREATE),
			==, EEXIST);
	g_assert_cmpint(
		tree_setxattr(f->tree, &f->call, s.message, FLAGS, "draft", 5, XATTR_REPLACE), ==,
		0);
	expunge(f, s.epoch);
	assert_none(f, s.message, "user.mime_type", ESTALE);
	assert_none(f, s.message, "user.mailfs.uid", ESTALE);
	assert_none(f, s.message, FLAGS, ESTALE);
	assert_none(f, s.message, "security.selinux", ENODATA);
}

static void test_folder_xattr(struct fixture *f, gconstpointer data)
{
	static const char *const names[] = {"INBOX", "new", NULL};
	struct scene s = set_scene(f);

	put(f, s.epoch, 6, "m", 10);
	commit(f);
	assert_xattr(f, s.inbox, "user.mailfs.messages", "2");
	assert_xattr(f, s.inbox, "user.mailfs.uidnext", "4294967295");
	ASSERT_LIST(f, s.inbox, "user.mailfs.messages\0user.mailfs.uidnext\0");
	ask_flags(f, 6, STORE_FLAG_DELETED, 0);
	assert_xattr(f, s.inbox, "user.mailfs.messages", "1");
	set_folders(f, names);
	assert_none(f, must_find(f, ROOT, "new"), "user.mailfs.messages", ENODATA);
	assert_none(f, ROOT, "user.mailfs.messages", ENODATA);
	ASSERT_LIST(f, ROOT, "");
	ASSERT_LIST(f, s.file, "");
	assert_none(f, s.file, FLAGS, ENODATA);
	assert_none(f, tree_folder_node(77), "user.mailfs.uidnext", ESTALE);
}

static void test_draft_xattr(struct fixture *f, gconstpointer data)
{
	uint64_t local, queued;
	struct spool_file file;
	int fd;

	set_scene(f);
	local = node_pack(NODE_SPOOL, 0, add_draft(f, "tmp", "x"));
	queued = node_pack(NODE_SPOOL, 0, add_draft(f, "new.eml", "a: b\n\nc\n"));
	assert_xattr(f, local, "user.mailfs.state", "local");
	assert_xattr(f, queued, "user.mailfs.state", "queued");
	assert_none(f, queued, "user.mailfs.error", ENODATA);
	ASSERT_LIST(f, queued, "user.mailfs.state\0");
	g_assert_true(spool_take(f->state, 1000, &file, &fd));
	close(fd);
	spool_fail(f->state, file.id, EDQUOT, "the server says: full");
	spool_file_clear(&file);
	assert_xattr(f, queued, "user.mailfs.state", "failed");
	assert_xattr(f, queued, "user.mailfs.error", "the server says: full");
	ASSERT_LIST(f, queued, "user.mailfs.state\0user.mailfs.error\0");
	add_draft(f, "sent.eml", "a: b\n\nc\n");
	upload(f, 1, 9);
	assert_xattr(f, must_find(f, must_find(f, ROOT, "INBOX"), "sent.eml"), "user.mailfs.state",
		     "sent");
	assert_none(f, node_pack(NODE_SPOOL, 0, 4711), "user.mailfs.state", ESTALE);
}

/* A copy that is on its way has the node of the message that it is made of. */
static void test_xattr_of_copied(struct fixture *f, gconstpointer data)
{
	struct scene s = set_scene(f);

	ask_to_inbox(f, CHANGE_COPY, "INBOX", 5, "copy.eml");
	g_assert_cmpuint(must_find(f, s.inbox, "copy.eml"), ==, s.message);
	g_assert_cmpint(set(f, s.message, "+flagged"), ==, EBUSY);
	assert_xattr(f, s.message, FLAGS, "seen $Work");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	FIXTURE_TEST("/tree-flags/file", test_file);
	FIXTURE_TEST("/tree-flags/pieces", test_pieces);
	FIXTURE_TEST("/tree-flags/piece-fails", test_piece_fails);
	FIXTURE_TEST("/tree-flags/truncate", test_truncate);
	FIXTURE_TEST("/tree-flags/long-text", test_long_text);
	FIXTURE_TEST("/tree-flags/gone", test_gone);
	FIXTURE_TEST("/tree-flags/moved-away", test_moved_away);
	FIXTURE_TEST("/tree-flags/hostile-keywords", test_hostile_keywords);
	FIXTURE_TEST("/tree-flags/words", test_words);
	FIXTURE_TEST("/tree-flags/wrong-words", test_wrong_words);
	FIXTURE_TEST("/tree-flags/limits", test_limits);
	FIXTURE_TEST("/tree-flags/difference", test_difference);
	FIXTURE_TEST("/tree-flags/deleted", test_deleted);
	FIXTURE_TEST("/tree-flags/rights", test_rights);
	FIXTURE_TEST("/tree-flags/rights-unknown", test_rights_unknown);
	FIXTURE_TEST("/tree-flags/message-xattr", test_message_xattr);
	FIXTURE_TEST("/tree-flags/folder-xattr", test_folder_xattr);
	FIXTURE_TEST("/tree-flags/draft-xattr", test_draft_xattr);
	FIXTURE_TEST("/tree-flags/xattr-of-copied", test_xattr_of_copied);
	return g_test_run();
}
