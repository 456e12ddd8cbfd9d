/* The queue when it is killed, or fails, at any step on disk: it is as it was before, or as it is
 * after, and nothing between. */
#include "queue_help.h"

#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define KILLED 42
#define STEPS_MAX 200

/* --- the steps: all that alters a directory or makes it durable comes through here --- */

enum fault { FAULT_NONE, FAULT_KILL, FAULT_FAIL };

static enum fault fault;
static unsigned steps_left; /* until the fault; 0: none any more */
static bool watched;	    /* `dirty` is kept */
static GHashTable *dirty;   /* inodes that were altered and not synced since */

/* False: this one fails. */
static bool step(void)
{
	if (steps_left == 0 || --steps_left > 0)
		return true;
	if (fault == FAULT_KILL)
		_exit(KILLED);
	errno = EIO;
	return false;
}

static void note(int fd, bool altered)
{
	struct stat stat;

	if (!watched || fstat(fd, &stat) != 0)
		return;
	if (altered)
		g_hash_table_add(dirty, GSIZE_TO_POINTER(stat.st_ino));
	else
		g_hash_table_remove(dirty, GSIZE_TO_POINTER(stat.st_ino));
}

int fsync(int fd)
{
	if (!step())
		return -1;
	note(fd, false);
	return (int)syscall(SYS_fsync, fd);
}

int renameat(int from, const char *old, int to, const char *new)
{
	if (!step())
		return -1;
	note(from, true);
	note(to, true);
	return (int)syscall(SYS_renameat2, from, old, to, new, 0);
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
	if (!step())
		return -1;
	note(to, true);
	return (int)syscall(SYS_linkat, from, old, to, new, flags);
}

/* What comes back after a crash is removed again: it need not be synced. */
int unlinkat(int dir, const char *name, int flags)
{
	return step() ? (int)syscall(SYS_unlinkat, dir, name, flags) : -1;
}

int openat(int dir, const char *name, int flags, ...)
{
	if (flags & O_CREAT) {
		if (!step())
			return -1;
		note(dir, true);
	}
	return (int)syscall(SYS_openat, dir, name, flags, 0600);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	if (!step())
		return -1;
	note(fd, true);
	return syscall(SYS_pwrite64, fd, bytes, len, offset);
}

/* --- what is done --- */

/* Each prepares what it needs, calls arm(), and does one thing. True: it said that it was done. */
typedef bool (*deed)(struct fixture *fixture);

static enum fault armed;
static unsigned armed_steps;

static void arm(struct fixture *fixture)
{
	fault = armed;
	steps_left = armed_steps;
	if (watched)
		g_hash_table_remove_all(dirty);
}

/* What was written to `fd`, which is closed, is not synced yet. */
static void arm_written(struct fixture *fixture, int fd)
{
	arm(fixture);
	note(fd, true);
	close(fd);
}

static void disarm(void)
{
	fault = FAULT_NONE;
	steps_left = 0;
}

static bool do_create(struct fixture *fixture)
{
	put(fixture, "b.txt", "b\n");
	arm(fixture);
	return queue_create(fixture->queue, "a.eml", NULL);
}

static bool do_flush(struct fixture *fixture)
{
	int fd;
	uint32_t id = create(fixture, "a.eml", &fd);

	append(fixture, id, fd, "a\n");
	arm_written(fixture, fd);
	return queue_flush(fixture->queue, id, NULL);
}

static bool do_flush_note(struct fixture *fixture)
{
	int fd;
	uint32_t id = create(fixture, "a.txt", &fd);

	append(fixture, id, fd, "a\n");
	arm_written(fixture, fd);
	return queue_flush(fixture->queue, id, NULL);
}

static bool do_touch(struct fixture *fixture)
{
	int fd;
	uint32_t id = create(fixture, "a.eml", &fd);

	append(fixture, id, fd, "a\n");
	flush(fixture, id);
	close(fd);
	arm(fixture);
	return queue_touch(fixture->queue, id, NULL);
}

static bool do_close(struct fixture *fixture)
{
	bool handed;
	int fd;

	put(fixture, ".a.eml.envelope", "me\nyou\n");
	uint32_t id = create(fixture, "a.eml", &fd);

	append(fixture, id, fd, "a\n");
	arm_written(fixture, fd);
	return queue_close_file(fixture->queue, id, true, &handed, NULL);
}

static bool do_rename_note(struct fixture *fixture)
{
	bool handed;

	put(fixture, "a.txt", "a\n");
	uint32_t id = put(fixture, "b.txt", "b\n");

	arm(fixture);
	return queue_rename(fixture->queue, id, "c.txt", &handed, NULL);
}

static bool do_replace_note(struct fixture *fixture)
{
	bool handed;

	put(fixture, "a.txt", "a\n");
	uint32_t id = put(fixture, "b.txt", "b\n");

	arm(fixture);
	return queue_rename(fixture->queue, id, "a.txt", &handed, NULL);
}

/* All at once: a draft becomes a mail, another one had its name, and there is an envelope. */
static bool do_replace(struct fixture *fixture)
{
	bool handed;

	put(fixture, ".a.eml.envelope", "old\nenvelope\n");
	put(fixture, "a.eml", "old\n");
	put(fixture, ".a.eml.envelope", "me\nyou\n");
	uint32_t id = put(fixture, ".tmp", "new\n");

	arm(fixture);
	return queue_rename(fixture->queue, id, "a.eml", &handed, NULL);
}

/* The other way round: its number is the lower one. */
static bool do_replace_younger(struct fixture *fixture)
{
	bool handed;
	uint32_t id = put(fixture, ".tmp", "new\n");

	put(fixture, "a.eml", "old\n");
	arm(fixture);
	return queue_rename(fixture->queue, id, "a.eml", &handed, NULL);
}

static uint32_t put_given(struct fixture *fixture)
{
	put(fixture, ".a.eml.envelope", "me\nyou\n");
	return put(fixture, "a.eml", "a\n");
}

/* Tried once, and one has it. */
static uint32_t put_tried(struct fixture *fixture)
{
	uint32_t id = put_given(fixture);
	struct queue_file file = take(fixture, id);

	add_recipient(&file, "a@example.org", QUEUE_DONE, "250 ok");
	add_recipient(&file, "b@example.org", QUEUE_OPEN, "451 later");
	file.info.tries = 1;
	finish(fixture, &file, QUEUE_WAITING);
	return id;
}

static bool do_rename_waiting(struct fixture *fixture)
{
	bool handed;
	uint32_t id = put_tried(fixture);

	arm(fixture);
	return queue_rename(fixture->queue, id, "b.eml", &handed, NULL);
}

static bool do_withdraw(struct fixture *fixture)
{
	bool handed;
	uint32_t id = put_tried(fixture);

	put(fixture, "a.eml~", "old\n");
	arm(fixture);
	return queue_rename(fixture->queue, id, "a.eml~", &handed, NULL);
}

static bool do_take_back(struct fixture *fixture)
{
	uint32_t id = put_tried(fixture);

	arm(fixture);
	int fd = queue_open_file(fixture->queue, id, true, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool do_reset(struct fixture *fixture)
{
	uint32_t id = put_tried(fixture);

	rename_to(fixture, id, "a.txt");
	arm(fixture);
	return queue_reset(fixture->queue, id, NULL);
}

static bool do_remove(struct fixture *fixture)
{
	uint32_t id = put_given(fixture);

	arm(fixture);
	return queue_remove(fixture->queue, id, NULL);
}

static bool do_remove_draft(struct fixture *fixture)
{
	uint32_t id = put(fixture, "a.txt", "a\n");

	arm(fixture);
	return queue_remove(fixture->queue, id, NULL);
}

/* Should it come back, it would be sent. */
static bool do_remove_whole(struct fixture *fixture)
{
	int fd;
	uint32_t id = create(fixture, "a.eml", &fd);

	append(fixture, id, fd, "a\n");
	flush(fixture, id);
	close(fd);
	arm(fixture);
	return queue_remove(fixture->queue, id, NULL);
}

static bool do_remove_failed(struct fixture *fixture)
{
	uint32_t id = put_failed(fixture, "a.eml");

	arm(fixture);
	return queue_remove(fixture->queue, id, NULL);
}

static bool do_again(struct fixture *fixture)
{
	bool handed;
	uint32_t id = put_failed(fixture, "a.eml");

	arm(fixture);
	return queue_rename(fixture->queue, id, "b.eml", &handed, NULL);
}

static bool do_again_later(struct fixture *fixture)
{
	bool handed;
	uint32_t id = put_failed(fixture, "a.eml");

	arm(fixture);
	return queue_rename(fixture->queue, id, "a.txt", &handed, NULL);
}

static struct queue_file take_tried(struct fixture *fixture)
{
	uint32_t id = put_given(fixture);
	struct queue_file file = take(fixture, id);

	add_recipient(&file, "a@example.org", QUEUE_OPEN, NULL);
	add_recipient(&file, "b@example.org", QUEUE_OPEN, NULL);
	return file;
}

static void set_verdicts(struct queue_file *file, enum queue_verdict verdict)
{
	for (guint i = 0; i < file->info.recipients->len; i++) {
		struct queue_recipient *recipient = g_ptr_array_index(file->info.recipients, i);

		recipient->verdict = verdict;
	}
	file->info.tries = 1;
	set_text(&file->info.reply, "some reply");
}

static bool done(struct queue_file *file, bool ok)
{
	queue_file_clear(file);
	return ok;
}

static bool do_commit(struct fixture *fixture)
{
	struct queue_file file = take_tried(fixture);
	uint32_t id = file.id;

	finish(fixture, &file, QUEUE_WAITING);
	file = take(fixture, id);
	/* Whoever finds these in waiting/ knows that DATA was not sent. */
	set_verdicts(&file, QUEUE_TAKEN);
	file.info.tries = 0;
	set_text(&file.info.reply, NULL);
	arm(fixture);
	return done(&file, queue_commit(fixture->queue, &file, NULL));
}

static bool finish_sending(struct fixture *fixture, enum queue_step step,
			   enum queue_verdict verdict)
{
	struct queue_file file = take_tried(fixture);

	set_verdicts(&file, QUEUE_TAKEN);
	commit(fixture, &file);
	set_verdicts(&file, verdict);
	file.info.copy = step == QUEUE_SENT ? QUEUE_COPY_WANTED : QUEUE_COPY_NONE;
	arm(fixture);
	return done(&file, queue_finish(fixture->queue, &file, step, NULL));
}

static bool do_finish_sent(struct fixture *fixture)
{
	return finish_sending(fixture, QUEUE_SENT, QUEUE_DONE);
}

static bool do_finish_later(struct fixture *fixture)
{
	return finish_sending(fixture, QUEUE_WAITING, QUEUE_OPEN);
}

static bool do_finish_failed(struct fixture *fixture)
{
	put_failed(fixture, "a.eml");
	return finish_sending(fixture, QUEUE_FAILED, QUEUE_UNKNOWN);
}

static bool do_refuse(struct fixture *fixture)
{
	struct queue_file file = take_tried(fixture);

	set_verdicts(&file, QUEUE_REFUSED);
	arm(fixture);
	return done(&file, queue_finish(fixture->queue, &file, QUEUE_FAILED, NULL));
}

static bool do_put_off(struct fixture *fixture)
{
	struct queue_file file = take_tried(fixture);

	set_verdicts(&file, QUEUE_OPEN);
	arm(fixture);
	return done(&file, queue_finish(fixture->queue, &file, QUEUE_WAITING, NULL));
}

static bool do_copy(struct fixture *fixture)
{
	uint32_t id = put_sent(fixture, "a.eml", QUEUE_COPY_WANTED);

	arm(fixture);
	return set_copy(fixture, id, QUEUE_COPY_WANTED, "c.eml");
}

static bool do_expire(struct fixture *fixture)
{
	uint32_t id = put_sent(fixture, "a.eml", QUEUE_COPY_NONE);
	struct queue_file file;

	arm(fixture);
	queue_expire(fixture->queue, FAR_MS);
	if (!queue_get(fixture->queue, id, &file))
		return true;
	queue_file_clear(&file);
	return false;
}

static bool do_write_sent(struct fixture *fixture)
{
	uint32_t id = put_sent(fixture, "a.eml", QUEUE_COPY_WANTED);

	arm(fixture);
	int fd = queue_open_file(fixture->queue, id, true, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

struct scenario {
	const char *name;
	deed act;
	bool durable; /* what it did is synced when it says so */
	bool patient; /* a failure is kept in memory until the next start */
};

static const struct scenario scenarios[] = {
	{"create", do_create},
	{"flush", do_flush, .durable = true},
	{"flush-note", do_flush_note, .durable = true},
	{"touch", do_touch, .durable = true},
	{"close", do_close, .durable = true},
	{"rename-note", do_rename_note},
	{"replace-note", do_replace_note, .durable = true},
	{"replace", do_replace, .durable = true},
	{"replace-younger", do_replace_younger, .durable = true},
	{"rename-waiting", do_rename_waiting, .durable = true},
	{"withdraw", do_withdraw, .durable = true},
	{"take-back", do_take_back, .durable = true},
	{"reset", do_reset, .durable = true},
	{"remove", do_remove, .durable = true},
	{"remove-draft", do_remove_draft},
	{"remove-whole", do_remove_whole, .durable = true},
	{"remove-failed", do_remove_failed, .durable = true},
	{"again", do_again, .durable = true},
	{"again-later", do_again_later, .durable = true},
	{"commit", do_commit, .durable = true},
	{"finish-sent", do_finish_sent, .durable = true, .patient = true},
	{"finish-later", do_finish_later, .durable = true, .patient = true},
	{"finish-failed", do_finish_failed, .durable = true, .patient = true},
	{"refuse", do_refuse, .durable = true, .patient = true},
	{"put-off", do_put_off, .durable = true, .patient = true},
	{"copy", do_copy, .durable = true},
	{"expire", do_expire, .durable = true},
	{"write-sent", do_write_sent},
};

/* --- killed --- */

static void init(struct fixture *fixture, enum fault kind, unsigned steps)
{
	disarm();
	armed = kind;
	armed_steps = steps;
	fixture_init(fixture);
}

/* What the next start finds; with `steps`, one that is killed itself at each of its own steps. */
static char *describe_found(struct fixture *fixture, bool killed)
{
	int status = 0;

	queue_close(&fixture->queue);
	for (unsigned steps = 1; killed && steps < STEPS_MAX; steps++) {
		pid_t child = fork();

		if (child == 0) {
			fault = FAULT_KILL;
			steps_left = steps;
			fixture_open(fixture);
			_exit(0);
		}
		g_assert_cmpint(waitpid(child, &status, 0), ==, child);
		g_assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) != KILLED)
			break;
	}
	g_assert_cmpint(WEXITSTATUS(status), ==, 0);
	fixture_open(fixture);
	return describe(fixture);
}

/* Both without a fault: what is found if it was killed just before, and after. */
static void describe_ends(const struct scenario *scenario, char **ret_before, char **ret_after)
{
	struct fixture fixture;
	int status;

	init(&fixture, FAULT_NONE, 0);
	g_assert_true(scenario->act(&fixture));
	*ret_after = describe_found(&fixture, false);
	fixture_clear(&fixture);

	init(&fixture, FAULT_KILL, 1);
	pid_t child = fork();

	if (child == 0) {
		scenario->act(&fixture);
		_exit(0);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_cmpint(WEXITSTATUS(status), ==, KILLED);
	*ret_before = describe_found(&fixture, false);
	fixture_clear(&fixture);
}

static void assert_clean(const struct fixture *fixture)
{
	GHashTableIter iter;
	unsigned infos = 0;
	gpointer value;

	g_hash_table_iter_init(&iter, fixture->queue->entries);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		infos += ((struct queue_entry *)value)->has_info;
	g_assert_cmpuint(count_files(fixture, "info"), ==, infos);
	for (int dir = 0; dir < QUEUE_DIR_INFO; dir++) {
		g_autofree char *path = g_build_filename(fixture->dir, queue_dir_names[dir], NULL);
		g_autoptr(GDir) stream = g_dir_open(path, 0, NULL);
		const char *name;

		while ((name = g_dir_read_name(stream)))
			g_assert_false(g_str_has_suffix(name, "."));
	}
}

/* True: it came to its end. */
static bool kill_at(const struct scenario *scenario, unsigned steps, const char *before,
		    const char *after)
{
	struct fixture fixture;
	int status;

	init(&fixture, FAULT_KILL, steps);
	pid_t child = fork();

	if (child == 0) {
		bool ok = scenario->act(&fixture);

		_exit(!ok);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_true(WIFEXITED(status));
	bool killed = WEXITSTATUS(status) == KILLED;
	g_autofree char *found = describe_found(&fixture, true);

	g_test_message("step %u: %s", steps, killed ? "killed" : "done");
	if (!killed)
		g_assert_cmpint(WEXITSTATUS(status), ==, 0);
	if (!killed || strcmp(found, before) != 0)
		g_assert_cmpstr(found, ==, after);
	assert_clean(&fixture);
	fixture_clear(&fixture);
	return !killed;
}

static void test_kill(gconstpointer data)
{
	const struct scenario *scenario = data;
	g_autofree char *before = NULL, *after = NULL;
	unsigned steps = 1;

	describe_ends(scenario, &before, &after);
	while (!kill_at(scenario, steps, before, after))
		g_assert_cmpuint(++steps, <, STEPS_MAX);
	g_assert_cmpuint(steps, >, 1);
}

/* --- failing --- */

static char *describe_memory(struct fixture *fixture)
{
	g_autofree char *text = describe(fixture);

	return g_strdup_printf("%s%u pending, %u files", text, queue_pending(fixture->queue),
			       g_hash_table_size(fixture->queue->entries));
}

static char *memory_before;

/* As arm(), once, with a look at the memory. */
static bool fail_at(const struct scenario *scenario, unsigned steps, const char *before,
		    const char *after)
{
	struct fixture fixture;

	init(&fixture, FAULT_FAIL, steps);
	bool ok = scenario->act(&fixture);
	bool reached = steps_left == 0;

	disarm();
	g_autofree char *memory = describe_memory(&fixture);
	g_autofree char *found = describe_found(&fixture, false);

	g_test_message("step %u: %s", steps, ok ? "done" : "failed");
	g_assert_cmpstr(found, ==, ok ? after : before);
	if (!ok && !scenario->patient)
		g_assert_cmpstr(memory, ==, memory_before);
	assert_clean(&fixture);
	fixture_clear(&fixture);
	return !reached;
}

static void test_fail(gconstpointer data)
{
	const struct scenario *scenario = data;
	g_autofree char *before = NULL, *after = NULL;
	unsigned steps = 1;
	struct fixture fixture;

	describe_ends(scenario, &before, &after);
	/* The first step has changed nothing. */
	init(&fixture, FAULT_FAIL, 1);
	scenario->act(&fixture);
	disarm();
	memory_before = describe_memory(&fixture);
	fixture_clear(&fixture);
	while (!fail_at(scenario, steps, before, after))
		g_assert_cmpuint(++steps, <, STEPS_MAX);
	g_clear_pointer(&memory_before, g_free);
}

/* --- synced --- */

static void test_synced(gconstpointer data)
{
	const struct scenario *scenario = data;
	struct fixture fixture;

	dirty = g_hash_table_new(NULL, NULL);
	watched = true;
	init(&fixture, FAULT_NONE, 0);
	g_assert_true(scenario->act(&fixture));
	g_assert_cmpuint(g_hash_table_size(dirty), ==, 0);
	watched = false;
	fixture_clear(&fixture);
	g_hash_table_unref(dirty);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(scenarios); i++) {
		const struct scenario *scenario = &scenarios[i];
		g_autofree char *kill_path =
			g_strconcat("/queue-crash/kill/", scenario->name, NULL);
		g_autofree char *fail_path =
			g_strconcat("/queue-crash/fail/", scenario->name, NULL);
		g_autofree char *sync_path =
			g_strconcat("/queue-crash/sync/", scenario->name, NULL);

		g_test_add_data_func(kill_path, scenario, test_kill);
		g_test_add_data_func(fail_path, scenario, test_fail);
		if (scenario->durable)
			g_test_add_data_func(sync_path, scenario, test_synced);
	}
	return g_test_run();
}
