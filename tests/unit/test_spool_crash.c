/* Spool files after a crash, and those that are copies of messages. */
#include "base/error.h"
#include "spool_help.h"

#include <sqlite3.h>

/* --- clones --- */

static uint32_t make_clone(struct fixture *fixture, const char *name, int *ret_fd)
{
	g_autoptr(GError) error = NULL;
	uint32_t id = create(fixture, name, ret_fd);

	g_assert_true(spool_set_clone(fixture->state, id, &box_b, 44, 1234, &error));
	g_assert_no_error(error);
	return id;
}

static void assert_copy_queued(struct fixture *fixture, const char *name)
{
	g_autoptr(GPtrArray) batch = changes_take(fixture->state, 0);
	const struct change *change;

	g_assert_nonnull(batch);
	change = g_ptr_array_index(batch, 0);
	g_assert_cmpint(change->kind, ==, CHANGE_COPY);
	g_assert_cmpuint(change->uid, ==, 44);
	g_assert_cmpuint(change->epoch, ==, TARGET_EPOCH);
	g_assert_cmpuint(change->target, ==, FOLDER);
	g_assert_cmpstr(change->target_mailbox, ==, "Box");
	g_assert_cmpstr(change->name, ==, name);
	g_assert_cmpuint(count_files(fixture, "spool"), ==, 0);
}

static void test_clone(void)
{
	struct fixture fixture;
	struct spool_file file;
	struct guest guest;
	int fd;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	uint32_t id = make_clone(&fixture, "c.eml", &fd);

	file = get(&fixture, id);
	g_assert_cmpuint(file.clone_epoch, ==, TARGET_EPOCH);
	g_assert_cmpuint(file.clone_uid, ==, 44);
	g_assert_cmpuint(file.size, ==, 1234);
	spool_file_clear(&file);
	flush(&fixture, id);
	g_assert_true(finish(&fixture, id, fd));
	g_assert_false(spool_get(fixture.state, id, &file));
	g_assert_true(changes_guest(fixture.state, FOLDER, "c.eml", &guest));
	guest_clear(&guest);
	assert_copy_queued(&fixture, "c.eml");
	fixture_clear(&fixture);
}

static void test_clone_crash(void)
{
	struct fixture fixture;
	struct spool_file file;
	int fd;

	fixture_init(&fixture);
	uint32_t id = make_clone(&fixture, "c.eml", &fd);

	fixture_crash(&fixture, false);
	close(fd);
	g_assert_true(spool_get(fixture.state, id, &file));
	g_assert_cmpuint(file.clone_uid, ==, 44);
	g_assert_cmpuint(file.clone_epoch, ==, 0);
	spool_file_clear(&file);
	fixture_bind(&fixture);
	file = get(&fixture, id);
	g_assert_cmpuint(file.clone_epoch, ==, TARGET_EPOCH);
	g_assert_cmpuint(file.size, ==, 1234);
	spool_file_clear(&file);
	fd = spool_open(fixture.state, id, true, NULL);
	flush(&fixture, id);
	/* Whole now. */
	fixture_crash(&fixture, true);
	close(fd);
	g_assert_false(spool_get(fixture.state, id, &file));
	assert_copy_queued(&fixture, "c.eml");
	fixture_clear(&fixture);
}

static void test_clone_renamed(void)
{
	struct fixture fixture;
	bool queued = false;
	int fd;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	uint32_t id = make_clone(&fixture, "c.eml.part", &fd);

	g_assert_false(finish(&fixture, id, fd));
	g_assert_true(spool_rename(fixture.state, id, FOLDER, "Box", "c.eml", &queued, NULL));
	g_assert_true(queued);
	assert_copy_queued(&fixture, "c.eml");
	fixture_clear(&fixture);
}

static void test_clone_filled(void)
{
	struct fixture fixture;
	struct spool_file file;
	g_autofree char *path = NULL;
	struct file_span from = {.start = 4, .size = 6};
	int fd;

	fixture_init(&fixture);
	uint32_t id = make_clone(&fixture, "c.eml", &fd);

	path = g_build_filename(fixture.dir, "source", NULL);
	g_assert_true(g_file_set_contents(path, "not bytes\nnor this", -1, NULL));
	from.fd = open(path, O_RDONLY);
	g_assert_true(spool_fill_clone(fixture.state, id, &from, NULL));
	close(from.fd);
	file = get(&fixture, id);
	g_assert_cmpuint(file.clone_epoch, ==, 0);
	g_assert_cmpuint(file.clone_uid, ==, 0);
	g_assert_cmpuint(file.size, ==, 6);
	spool_file_clear(&file);
	g_assert_true(finish(&fixture, id, fd));
	assert_sent(&fixture, id, "bytes\r\n");
	fixture_clear(&fixture);
}

static void test_clone_lost(void)
{
	struct fixture fixture;
	struct state_box anew = {TARGET, TARGET_EPOCH + 9, "Other", 99};
	g_autoptr(GString) lost = g_string_new(NULL);
	struct spool_file file;
	int fd;

	fixture_init(&fixture);
	uint32_t id = make_clone(&fixture, "c.eml", &fd);

	state_bind(fixture.state, &anew, note_gone, lost);
	g_assert_cmpstr(lost->str, ==, "copying message 44 of Other to Box\n");
	g_assert_false(finish(&fixture, id, fd));
	file = get(&fixture, id);
	g_assert_cmpuint(file.clone_uid, ==, 0);
	g_assert_cmpuint(file.size, ==, 0);
	spool_file_clear(&file);
	fixture_clear(&fixture);
}

static void test_clone_of_leaving(void)
{
	struct fixture fixture;
	struct change_request request = {.kind = CHANGE_EXPUNGE, .box = box_b, .uid = 44};
	g_autoptr(GError) error = NULL;
	bool queued;
	int fd;

	fixture_init(&fixture);
	g_assert_true(changes_add(fixture.state, &request, NULL));
	uint32_t id = make_clone(&fixture, "c.eml", &fd);

	close(fd);
	g_assert_false(spool_close(fixture.state, id, true, &queued, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_GONE);
	fixture_clear(&fixture);
}

/* The copy gets its bytes before the message may go. */
static void test_leaving_of_cloned(void)
{
	struct fixture fixture;
	struct change_request request = {.kind = CHANGE_EXPUNGE, .box = box_b, .uid = 44};
	g_autoptr(GError) error = NULL;
	struct spool_file file;
	int fd;

	fixture_init(&fixture);
	uint32_t id = make_clone(&fixture, "c.eml", &fd);

	g_assert_false(spool_find_clone(fixture.state, box_b.epoch, 45, &file));
	g_assert_true(spool_find_clone(fixture.state, box_b.epoch, 44, &file));
	g_assert_cmpuint(file.id, ==, id);
	spool_file_clear(&file);
	g_assert_false(changes_add(fixture.state, &request, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_BUSY);
	g_assert_true(spool_fill_clone(fixture.state, id, NULL, NULL));
	g_assert_false(spool_find_clone(fixture.state, box_b.epoch, 44, &file));
	g_assert_true(changes_add(fixture.state, &request, NULL));
	/* Filled once: what was written since stays. */
	write_bytes(&fixture, id, fd, "bytes\n");
	g_assert_true(spool_fill_clone(fixture.state, id, NULL, NULL));
	g_assert_true(finish(&fixture, id, fd));
	assert_sent(&fixture, id, "bytes\r\n");
	fixture_clear(&fixture);
}

/* --- crashes --- */

/* Killed after each step of a client and the engine. */
static void test_crash_steps(void)
{
	enum { CREATED, WRITTEN, FLUSHED, TOUCHED, CLOSED, TAKEN, MARKED, UPLOADED, STEPS };

	for (int until = 0; until < STEPS; until++) {
		struct fixture fixture;
		struct spool_file file;
		int fd;

		fixture_init(&fixture);
		uint32_t id = create(&fixture, "a.eml", &fd);

		if (until >= WRITTEN)
			write_bytes(&fixture, id, fd, "x\n");
		if (until >= FLUSHED)
			flush(&fixture, id);
		if (until == TOUCHED)
			write_bytes(&fixture, id, fd, "y\n");
		if (until >= CLOSED)
			finish(&fixture, id, fd);
		if (until >= TAKEN)
			g_free(take(&fixture, id));
		if (until >= MARKED)
			g_assert_true(spool_mark(fixture.state, id, 7, 5, NULL));
		if (until >= UPLOADED)
			g_assert_true(spool_uploaded(fixture.state, id, 7, 5, 0, NULL));
		fixture_crash(&fixture, true);
		if (until < CLOSED)
			close(fd);
		g_assert_cmpuint(count_files(&fixture, "lost"), ==, 0);
		if (until == UPLOADED) {
			g_assert_false(spool_get(fixture.state, id, &file));
			g_assert_cmpuint(names_find(fixture.state, EPOCH, "a.eml"), ==, 5);
			g_assert_cmpuint(count_files(&fixture, "spool"), ==, 0);
			fixture_clear(&fixture);
			continue;
		}
		static const enum spool_step expected[STEPS] = {
			[CREATED] = SPOOL_LOCAL, [WRITTEN] = SPOOL_LOCAL, [FLUSHED] = SPOOL_QUEUED,
			[TOUCHED] = SPOOL_LOCAL, [CLOSED] = SPOOL_QUEUED, [TAKEN] = SPOOL_QUEUED,
			[MARKED] = SPOOL_MARKED};

		assert_step(&fixture, id, expected[until]);
		if (expected[until] == SPOOL_LOCAL) {
			g_autofree char *bytes = read_as_client(&fixture, id);

			g_assert_cmpstr(bytes, ==,
					until == CREATED   ? ""
					: until == WRITTEN ? "x\n"
							   : "x\ny\n");
			take_none(&fixture);
		} else {
			assert_sent(&fixture, id, "x\r\n");
		}
		fixture_clear(&fixture);
	}
}

/* Killed while sealing: before the rename, and between it and the record. */
static void test_crash_sealing(void)
{
	for (int flushed = 0; flushed < 2; flushed++) {
		struct fixture fixture;
		int fd;

		fixture_init(&fixture);
		uint32_t id = create(&fixture, "a.eml", &fd);

		write_bytes(&fixture, id, fd, "x\n");
		if (flushed)
			flush(&fixture, id);
		plant(&fixture, id, ".eml.tmp", "half");
		plant(&fixture, id, ".eml", "not on record\r\n");
		fixture_crash(&fixture, true);
		close(fd);
		g_assert_false(has(&fixture, id, ".eml.tmp"));
		if (flushed) {
			assert_sent(&fixture, id, "x\r\n");
		} else {
			take_none(&fixture);
			g_assert_false(has(&fixture, id, ".eml"));
		}
		fixture_clear(&fixture);
	}
}

/* Killed behind the record, before the working file was removed; and while it was taken back. */
static void test_crash_behind_record(void)
{
	struct fixture fixture;
	g_autofree char *upload = NULL, *work = NULL;
	int fd;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a.eml", "x\n");

	plant(&fixture, id, "", "x\n");
	fixture_crash(&fixture, true);
	g_assert_false(has(&fixture, id, ""));
	fd = spool_open(fixture.state, id, true, NULL);
	upload = path_of(&fixture, id, ".eml");
	work = path_of(&fixture, id, "");
	g_assert_cmpint(rename(work, upload), ==, 0);
	fixture_crash(&fixture, true);
	close(fd);
	assert_sent(&fixture, id, "x\r\n");
	fixture_clear(&fixture);
}

/* Killed while it was removed, before and behind the end of its record. */
static void test_crash_removing(void)
{
	struct fixture fixture;
	g_autofree char *gone = NULL, *work = NULL, *bytes = NULL;
	struct spool_file file;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a", "x\n");

	gone = path_of(&fixture, id, ".gone");
	work = path_of(&fixture, id, "");
	g_assert_cmpint(rename(work, gone), ==, 0);
	fixture_crash(&fixture, true);
	bytes = read_as_client(&fixture, id);
	g_assert_cmpstr(bytes, ==, "x\n");
	g_assert_true(spool_remove(fixture.state, id, NULL));
	plant(&fixture, id, ".gone", "x\n");
	fixture_crash(&fixture, true);
	g_assert_false(spool_get(fixture.state, id, &file));
	g_assert_cmpuint(count_files(&fixture, "spool"), ==, 0);
	g_assert_cmpuint(count_files(&fixture, "lost"), ==, 0);
	fixture_clear(&fixture);
}

static void test_strays(void)
{
	struct fixture fixture;
	struct spool_file file;

	fixture_init(&fixture);
	plant(&fixture, 7, "", "somebody's bytes");
	plant(&fixture, 8, "", "");
	plant(&fixture, 9, ".eml", "was sent");
	plant(&fixture, 10, ".eml.tmp", "half");
	plant(&fixture, 11, ".other", "not ours");
	fixture_crash(&fixture, true);
	g_assert_cmpuint(count_files(&fixture, "lost"), ==, 1);
	g_assert_cmpuint(count_files(&fixture, "spool"), ==, 1);
	g_assert_true(has(&fixture, 11, ".other"));
	uint32_t id = put(&fixture, "a.eml", "x");

	/* A file that vanished is not believed in. */
	g_autofree char *upload = path_of(&fixture, id, ".eml");

	unlink(upload);
	fixture_crash(&fixture, true);
	g_assert_false(spool_get(fixture.state, id, &file));
	g_assert_cmpuint(state_pending(fixture.state), ==, 0);
	fixture_clear(&fixture);
}

static void test_database_lost(void)
{
	struct fixture fixture;
	g_autofree char *command = NULL;
	int fd;

	fixture_init(&fixture);
	put(&fixture, "a.eml", "mail\n");
	put(&fixture, "b", "scratch");
	uint32_t id = create(&fixture, "c", &fd);

	finish(&fixture, id, fd);
	command =
		g_strdup_printf("echo damaged, and not a database >'%s/state.sqlite'", fixture.dir);
	state_close(&fixture.state);
	fixture_run(command);
	fixture_open(&fixture);
	g_assert_cmpuint(count_files(&fixture, "spool"), ==, 0);
	g_assert_cmpuint(count_files(&fixture, "lost"), ==, 2);
	fixture_clear(&fixture);
}

static void assert_kept(struct fixture *fixture, const char *command)
{
	g_autofree char *all = g_strdup_printf("cd '%s' && %s", fixture->dir, command);
	int fd;

	put(fixture, "a.eml", "mail\n");
	put(fixture, "b", "scratch");
	uint32_t id = create(fixture, "c", &fd);

	finish(fixture, id, fd);
	state_close(&fixture->state);
	fixture_run(all);
	fixture_open(fixture);
	g_assert_cmpuint(count_files(fixture, "spool"), ==, 0);
	g_assert_cmpuint(count_files(fixture, "lost"), ==, 2);
}

/* Nobody knows what was sent: sealed messages are kept, too. */
static void test_database_missing(void)
{
	static const char *const commands[] = {"rm -f state.sqlite", "rm -f state.sqlite*",
					       ": >state.sqlite"};

	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
		struct fixture fixture;

		fixture_init(&fixture);
		assert_kept(&fixture, commands[i]);
		/* From now on what is not on record was sent. */
		plant(&fixture, 99, ".eml", "was sent");
		fixture_reopen(&fixture);
		g_assert_false(has(&fixture, 99, ".eml"));
		g_assert_cmpuint(count_files(&fixture, "lost"), ==, 2);
		fixture_clear(&fixture);
	}
}

/* Killed when the new database was made, and the files were not looked at yet. */
static void test_database_begun(void)
{
	struct fixture fixture;
	g_autofree char *path = NULL;
	sqlite3 *db;

	fixture_init(&fixture);
	plant(&fixture, 5, ".eml", "mail");
	state_close(&fixture.state);
	path = g_build_filename(fixture.dir, "state.sqlite", NULL);
	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, "PRAGMA user_version = 0", NULL, NULL, NULL), ==,
			SQLITE_OK);
	sqlite3_close(db);
	fixture_open(&fixture);
	g_assert_cmpuint(count_files(&fixture, "lost"), ==, 1);
	fixture_clear(&fixture);
}

static void test_unbound(void)
{
	struct fixture fixture;
	struct spool_file file;
	int fd;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a.eml", "x");

	fixture_reopen(&fixture);
	g_assert_false(spool_find(fixture.state, FOLDER, "a.eml", &file));
	g_assert_cmpuint(state_pending(fixture.state), ==, 1);
	/* APPEND needs no number. */
	g_assert_true(spool_take(fixture.state, 0, &file, &fd));
	g_assert_cmpuint(file.folder, ==, 0);
	g_assert_cmpstr(file.mailbox, ==, "Box");
	spool_file_clear(&file);
	close(fd);
	state_bind(fixture.state, &(struct state_box){FOLDER, 0, "Box", 0}, NULL, NULL);
	g_assert_true(spool_find(fixture.state, FOLDER, "a.eml", &file));
	g_assert_true(file.running);
	spool_file_clear(&file);
	g_assert_cmpuint(state_pending_of(fixture.state, FOLDER), ==, 1);
	/* The name waits for the UIDVALIDITY. */
	g_assert_true(spool_uploaded(fixture.state, id, 7, 12, 1, NULL));
	g_assert_false(names_in(fixture.state, EPOCH));
	fixture_bind(&fixture);
	g_assert_cmpuint(names_find(fixture.state, EPOCH, "a.eml"), ==, 12);
	fixture_clear(&fixture);
}

static void test_hostile(void)
{
	static const char *const names[] = {"a'b\".eml",	"line\nbreak\r.eml",
					    "\xff\xfe\x80.eml", "'); DROP TABLE file; --.eml",
					    "x/../../x.eml",	"%s.eml"};
	struct fixture fixture;
	struct spool_file file;

	fixture_init(&fixture);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		put(&fixture, names[i], "x");
	fixture_crash(&fixture, true);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_assert_true(spool_find(fixture.state, FOLDER, names[i], &file));
		g_assert_cmpstr(file.name, ==, names[i]);
		g_assert_cmpint(file.step, ==, SPOOL_QUEUED);
		spool_file_clear(&file);
	}
	fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/spool-crash/clone", test_clone);
	g_test_add_func("/spool-crash/clone-crash", test_clone_crash);
	g_test_add_func("/spool-crash/clone-renamed", test_clone_renamed);
	g_test_add_func("/spool-crash/clone-filled", test_clone_filled);
	g_test_add_func("/spool-crash/clone-lost", test_clone_lost);
	g_test_add_func("/spool-crash/clone-of-leaving", test_clone_of_leaving);
	g_test_add_func("/spool-crash/leaving-of-cloned", test_leaving_of_cloned);
	g_test_add_func("/spool-crash/crash-steps", test_crash_steps);
	g_test_add_func("/spool-crash/crash-sealing", test_crash_sealing);
	g_test_add_func("/spool-crash/crash-behind-record", test_crash_behind_record);
	g_test_add_func("/spool-crash/crash-removing", test_crash_removing);
	g_test_add_func("/spool-crash/strays", test_strays);
	g_test_add_func("/spool-crash/database-lost", test_database_lost);
	g_test_add_func("/spool-crash/database-missing", test_database_missing);
	g_test_add_func("/spool-crash/database-begun", test_database_begun);
	g_test_add_func("/spool-crash/unbound", test_unbound);
	g_test_add_func("/spool-crash/hostile", test_hostile);
	return g_test_run();
}
