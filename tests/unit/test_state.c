#include "base/error.h"
#include "state_help.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool add(struct fixture *fixture, const struct state_box *box, enum change_kind kind,
		uint32_t uid)
{
	struct change_request request = {.kind = kind,
					 .box = *box,
					 .uid = uid,
					 .set = kind == CHANGE_FLAGS ? 8 : 0,
					 .target = TARGET,
					 .target_mailbox = "Other",
					 .name = kind == CHANGE_MOVE ? "moved.eml" : NULL};

	return changes_add(fixture->state, &request, NULL);
}

static void take_note(void *data, const char *what)
{
	GString *notes = data;

	g_string_append_printf(notes, "%s\n", what);
}

static bool exists(const struct fixture *fixture, const char *pattern)
{
	g_autofree char *command =
		g_strdup_printf("ls '%s'/%s >/dev/null 2>&1", fixture->dir, pattern);

	return system(command) == 0;
}

static void test_private(void)
{
	struct fixture fixture;
	struct stat stat_buf;
	g_autofree char *path = NULL;

	fixture_init(&fixture);
	path = g_build_filename(fixture.dir, "state.sqlite", NULL);
	g_assert_cmpint(stat(path, &stat_buf), ==, 0);
	g_assert_cmpuint(stat_buf.st_mode & 0777, ==, 0600);
	g_assert_cmpint(stat(fixture.dir, &stat_buf), ==, 0);
	g_assert_cmpuint(stat_buf.st_mode & 0777, ==, 0700);
	fixture_clear(&fixture);
}

static void test_alone(void)
{
	struct fixture fixture;
	int status;

	fixture_init(&fixture);
	g_assert_true(add(&fixture, &box_a, CHANGE_FLAGS, 1));
	pid_t child = fork();

	if (child == 0) {
		g_autoptr(GError) error = NULL;

		state_open(fixture.dir, &error);
		_exit(g_error_matches(error, MAILFS_ERROR, ERROR_BUSY) ? 0 : 1);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_cmpint(status, ==, 0);
	fixture_clear(&fixture);
}

static void test_unopenable(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(state_open("/proc/none/state", &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
}

static void test_bind_changes(void)
{
	struct fixture fixture;
	struct overlay overlay;
	struct guest guest;

	fixture_init(&fixture);
	g_assert_true(add(&fixture, &box_a, CHANGE_FLAGS, 1));
	g_assert_true(add(&fixture, &box_a, CHANGE_MOVE, 1));
	fixture_reopen(&fixture);
	g_assert_cmpuint(state_pending(fixture.state), ==, 2);
	g_assert_cmpuint(state_pending_of(fixture.state, FOLDER), ==, 0);
	g_assert_false(changes_in(fixture.state, EPOCH));
	g_assert_null(changes_take(fixture.state, 0));
	state_bind(fixture.state, &box_a, NULL, NULL);
	changes_overlay(fixture.state, EPOCH, 1, &overlay);
	g_assert_cmpuint(overlay.set, ==, 8);
	g_assert_true(overlay.gone);
	g_assert_false(changes_guest(fixture.state, TARGET, "moved.eml", &guest));
	g_assert_cmpuint(state_pending_of(fixture.state, FOLDER), ==, 2);
	/* The target needs no UIDVALIDITY. */
	state_bind(fixture.state, &(struct state_box){TARGET, 0, "Other", 0}, NULL, NULL);
	g_assert_true(changes_guest(fixture.state, TARGET, "moved.eml", &guest));
	g_assert_cmpuint(guest.epoch, ==, EPOCH);
	guest_clear(&guest);
	g_assert_cmpuint(state_pending_of(fixture.state, TARGET), ==, 1);
	g_assert_cmpint(state_touched_ns(fixture.state, TARGET), >, 0);
	fixture_clear(&fixture);
}

/* Of another run, and of this one while the folder is replaced. */
static void test_lost(void)
{
	struct fixture fixture;
	struct state_box anew = {FOLDER, EPOCH + 1, "Box", 70};
	g_autoptr(GString) notes = g_string_new(NULL);
	g_autoptr(GPtrArray) batch = NULL;

	fixture_init(&fixture);
	g_assert_true(add(&fixture, &box_a, CHANGE_FLAGS, 5));
	g_assert_true(add(&fixture, &box_a, CHANGE_MOVE, 6));
	fixture_reopen(&fixture);
	g_assert_true(add(&fixture, &anew, CHANGE_EXPUNGE, 5));
	state_bind(fixture.state, &anew, take_note, notes);
	g_assert_cmpstr(notes->str, ==,
			"removing message 5 of Box\nmoving message 6 of Box to Other\n");
	g_assert_cmpuint(state_pending(fixture.state), ==, 1);
	g_assert_true(changes_in(fixture.state, EPOCH + 1));
	g_string_truncate(notes, 0);
	batch = changes_take(fixture.state, 0);
	g_assert_true(add(&fixture, &anew, CHANGE_FLAGS, 8));
	anew.uidvalidity++;
	anew.epoch++;
	/* What the engine has in hand stays. */
	state_bind(fixture.state, &anew, take_note, notes);
	g_assert_cmpstr(notes->str, ==, "removing message 8 of Box\n");
	changes_drop(fixture.state, g_ptr_array_index(batch, 0));
	fixture_reopen(&fixture);
	g_assert_cmpuint(state_pending(fixture.state), ==, 0);
	fixture_clear(&fixture);
}

static void test_renamed(void)
{
	struct fixture fixture;
	struct state_box child = {201, 301, "Box/x", 3}, other = {202, 302, "Boxes", 4};
	struct state_box moved = {FOLDER, EPOCH, "New", 7}, below = {201, 301, "New/x", 3};
	g_autoptr(GPtrArray) batch = NULL;

	fixture_init(&fixture);
	g_assert_true(add(&fixture, &box_a, CHANGE_FLAGS, 1));
	g_assert_true(add(&fixture, &child, CHANGE_MOVE, 2));
	g_assert_true(names_set(fixture.state, &child, 9, "n.eml", NULL));
	g_assert_true(names_set(fixture.state, &other, 9, "n.eml", NULL));
	g_assert_cmpuint(spool_create(fixture.state, FOLDER, "Box", "s.eml", NULL), ==, 1);
	g_assert_true(state_renamed(fixture.state, "Box", "New", '/', NULL));
	g_assert_true(state_renamed(fixture.state, "Other", "Box", '/', NULL));
	batch = changes_take(fixture.state, 0);
	g_assert_cmpstr(((struct change *)g_ptr_array_index(batch, 0))->mailbox, ==, "New");
	fixture_crash(&fixture, false);
	state_bind(fixture.state, &moved, NULL, NULL);
	state_bind(fixture.state, &below, NULL, NULL);
	state_bind(fixture.state, &other, NULL, NULL);
	g_assert_true(changes_in(fixture.state, EPOCH));
	g_assert_true(changes_in(fixture.state, 301));
	g_assert_cmpuint(names_find(fixture.state, 301, "n.eml"), ==, 9);
	g_assert_cmpuint(names_find(fixture.state, 302, "n.eml"), ==, 9);
	g_assert_cmpuint(state_pending_of(fixture.state, TARGET), ==, 0);
	state_bind(fixture.state, &(struct state_box){TARGET, 0, "Box", 0}, NULL, NULL);
	g_assert_cmpuint(state_pending_of(fixture.state, TARGET), ==, 1);

	struct spool_file file;

	g_assert_true(spool_find(fixture.state, FOLDER, "s.eml", &file));
	g_assert_cmpstr(file.mailbox, ==, "New");
	spool_file_clear(&file);
	fixture_clear(&fixture);
}

/* "a" becomes "a/b", below itself. */
static void test_renamed_below(void)
{
	struct fixture fixture;
	struct state_box a = {201, 301, "a", 3}, ab = {202, 302, "a/b", 4};
	struct state_box new_a = {201, 301, "a/b", 3}, new_ab = {202, 302, "a/b/b", 4};

	fixture_init(&fixture);
	g_assert_true(names_set(fixture.state, &a, 1, "a", NULL));
	g_assert_true(names_set(fixture.state, &ab, 2, "ab", NULL));
	g_assert_true(state_renamed(fixture.state, "a", "a/b", '/', NULL));
	fixture_reopen(&fixture);
	state_bind(fixture.state, &new_a, NULL, NULL);
	state_bind(fixture.state, &new_ab, NULL, NULL);
	g_assert_cmpuint(names_find(fixture.state, 301, "a"), ==, 1);
	g_assert_cmpuint(names_find(fixture.state, 302, "ab"), ==, 2);
	fixture_clear(&fixture);
}

static void test_touch(void)
{
	struct fixture fixture;
	int64_t last_ns = 0;

	fixture_init(&fixture);
	for (int i = 0; i < 1000; i++) {
		state_touch(fixture.state, FOLDER);
		g_assert_cmpint(state_touched_ns(fixture.state, FOLDER), >, last_ns);
		last_ns = state_touched_ns(fixture.state, FOLDER);
	}
	g_assert_cmpint(state_touched_ns(fixture.state, TARGET), ==, 0);
	fixture_clear(&fixture);
}

static void damage(struct fixture *fixture, const char *how)
{
	g_autofree char *command =
		g_strdup_printf("cd '%s' && { %s; } >/dev/null", fixture->dir, how);

	state_close(&fixture->state);
	fixture_run(command);
}

static void test_damaged(void)
{
	static const char *const ways[] = {
		"echo this is no database, and long enough to be none >state.sqlite",
		"printf 'xxxxxxxxxxxxxxxx' | dd of=state.sqlite conv=notrunc bs=1 seek=4096",
		"head -c 5000 state.sqlite >s && mv s state.sqlite",
		"printf '\\377' | dd of=state.sqlite conv=notrunc bs=1 seek=63",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
		struct fixture fixture;

		fixture_init(&fixture);
		g_assert_true(add(&fixture, &box_a, CHANGE_FLAGS, 1));
		damage(&fixture, ways[i]);
		g_assert_false(exists(&fixture, "state.damaged-*"));
		fixture_open(&fixture);
		g_assert_true(exists(&fixture, "state.damaged-*"));
		g_assert_cmpuint(state_pending(fixture.state), ==, 0);
		g_assert_true(add(&fixture, &box_a, CHANGE_FLAGS, 2));
		fixture_reopen(&fixture);
		g_assert_cmpuint(state_pending(fixture.state), ==, 1);
		fixture_clear(&fixture);
	}
}

static void test_empty_database(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	damage(&fixture, ": >state.sqlite; rm -f state.sqlite-wal");
	fixture_open(&fixture);
	g_assert_false(exists(&fixture, "state.damaged-*"));
	fixture_clear(&fixture);
}

/* A full disk: an error, and nothing is changed. */
static void test_disk_full(void)
{
	struct fixture fixture;
	struct rlimit old, none;
	struct change_request request = {.kind = CHANGE_FLAGS, .box = box_a, .uid = 2, .set = 8};
	g_autoptr(GError) error = NULL;
	struct overlay overlay;

	fixture_init(&fixture);
	g_assert_true(add(&fixture, &box_a, CHANGE_FLAGS, 1));
	getrlimit(RLIMIT_FSIZE, &old);
	none = old;
	none.rlim_cur = 0;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &none);
	bool added = changes_add(fixture.state, &request, &error);
	bool named = names_set(fixture.state, &box_a, 1, "x", NULL);
	uint32_t made = spool_create(fixture.state, FOLDER, "Box", "s", NULL);

	setrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, SIG_DFL);
	g_assert_false(added);
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	g_assert_false(named);
	g_assert_cmpuint(made, ==, 0);
	changes_overlay(fixture.state, EPOCH, 2, &overlay);
	g_assert_false(overlay.pending);
	g_assert_false(names_in(fixture.state, EPOCH));
	g_assert_null(spool_list(fixture.state, FOLDER));
	g_assert_cmpuint(state_pending(fixture.state), ==, 1);
	g_assert_true(add(&fixture, &box_a, CHANGE_FLAGS, 2));
	fixture_crash(&fixture, true);
	g_assert_cmpuint(state_pending(fixture.state), ==, 2);
	fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/state/private", test_private);
	g_test_add_func("/state/alone", test_alone);
	g_test_add_func("/state/unopenable", test_unopenable);
	g_test_add_func("/state/bind-changes", test_bind_changes);
	g_test_add_func("/state/lost", test_lost);
	g_test_add_func("/state/renamed", test_renamed);
	g_test_add_func("/state/renamed-below", test_renamed_below);
	g_test_add_func("/state/touch", test_touch);
	g_test_add_func("/state/damaged", test_damaged);
	g_test_add_func("/state/empty-database", test_empty_database);
	g_test_add_func("/state/disk-full", test_disk_full);
	return g_test_run();
}
