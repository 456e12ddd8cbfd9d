/* A disk that is full: what cannot be kept is refused and nothing changes, but what makes room. */
#include "queue_help.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>

static bool small_init(struct fixture *fixture)
{
	fixture->dir = g_dir_make_tmp("mailfs-full-XXXXXX", NULL);
	g_assert_nonnull(fixture->dir);
	if (mount("mailfs-test", fixture->dir, "tmpfs", 0, "size=400k,mode=700") != 0) {
		g_test_skip("nothing can be mounted");
		rmdir(fixture->dir);
		g_free(fixture->dir);
		return false;
	}
	fixture_open(fixture);
	return true;
}

static void small_clear(struct fixture *fixture)
{
	queue_close(&fixture->queue);
	g_assert_cmpint(umount(fixture->dir), ==, 0);
	g_assert_cmpint(rmdir(fixture->dir), ==, 0);
	g_free(fixture->dir);
}

/* A draft that takes what is left; its writer has it open. */
static uint32_t fill(struct fixture *fixture, const char *name, int *ret_fd)
{
	uint32_t id = create(fixture, name, ret_fd);
	char page[4096];
	off_t size = 0;

	memset(page, 'x', sizeof(page));
	g_assert_true(queue_touch(fixture->queue, id, NULL));
	while (file_pwrite_all(*ret_fd, page, sizeof(page), size))
		size += sizeof(page);
	g_assert_cmpint(errno, ==, ENOSPC);
	return id;
}

static void assert_same(struct fixture *fixture, const char *before)
{
	g_autofree char *after = describe(fixture);

	g_assert_cmpstr(after, ==, before);
}

static void test_write(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	bool handed = true;
	int fd;

	if (!small_init(&fixture))
		return;
	uint32_t id = fill(&fixture, "big.eml", &fd);

	/* What was written is there, but it cannot be on record that it is handed over. */
	close(fd);
	g_assert_false(queue_close_file(fixture.queue, id, true, &handed, &error));
	assert_error(&error, ERROR_NO_SPACE);
	g_assert_true(handed);
	assert_step(&fixture, id, QUEUE_DRAFT);
	g_assert_true(queue_remove(fixture.queue, id, &error));
	g_assert_no_error(error);
	id = put(&fixture, "big.eml", "less\n");
	assert_step(&fixture, id, QUEUE_WAITING);
	fixture_reopen(&fixture);
	assert_text(&fixture, id, "less\n");
	small_clear(&fixture);
}

/* close(2) had answered: it is handed over when there is room. */
static void test_hand_later(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	bool handed;
	int fd, big;

	if (!small_init(&fixture))
		return;
	uint32_t id = create(&fixture, "m.eml", &fd);

	g_assert_true(queue_touch(fixture.queue, id, NULL));
	g_assert_true(file_pwrite_all(fd, "m\n", 2, 0));
	close(fd);
	flush(&fixture, id);
	uint32_t filler = fill(&fixture, "big", &big);

	close(big);
	g_assert_false(queue_close_file(fixture.queue, id, true, &handed, &error));
	assert_error(&error, ERROR_NO_SPACE);
	g_assert_cmpuint(queue_hand_left(fixture.queue), ==, 1);
	assert_step(&fixture, id, QUEUE_DRAFT);
	g_assert_true(queue_remove(fixture.queue, filler, &error));
	g_assert_cmpuint(queue_hand_left(fixture.queue), ==, 0);
	assert_step(&fixture, id, QUEUE_WAITING);
	g_assert_cmpuint(queue_hand_left(fixture.queue), ==, 0);
	small_clear(&fixture);
}

static void test_change(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	g_autofree char *before = NULL;
	bool handed;
	int fd;

	if (!small_init(&fixture))
		return;
	uint32_t failed = put_failed(&fixture, "f.eml");
	uint32_t waiting = put(&fixture, "w.eml", "w\n");
	uint32_t draft = put(&fixture, "d.tmp", "d\n");
	uint32_t big = fill(&fixture, "big", &fd);

	close(fd);
	flush(&fixture, big);
	before = describe(&fixture);
	g_assert_false(queue_rename(fixture.queue, draft, "w.eml", &handed, &error));
	assert_error(&error, ERROR_NO_SPACE);
	g_assert_false(queue_rename(fixture.queue, failed, "f.eml", &handed, &error));
	assert_error(&error, ERROR_NO_SPACE);
	g_assert_cmpint(queue_open_file(fixture.queue, waiting, true, &error), ==, -1);
	assert_error(&error, ERROR_NO_SPACE);
	assert_same(&fixture, before);
	/* What frees room works. */
	g_assert_true(queue_remove(fixture.queue, waiting, &error));
	g_assert_true(queue_remove(fixture.queue, failed, &error));
	g_assert_no_error(error);
	small_clear(&fixture);
}

static void test_submit(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	struct queue_file file;
	int64_t next_ms;
	int fd, big;

	if (!small_init(&fixture))
		return;
	uint32_t id = put(&fixture, "w.eml", "w\n"), other = put(&fixture, "o.eml", "o\n");

	file = take(&fixture, id);
	uint32_t filler = fill(&fixture, "big", &big);

	/* No DATA, as nobody would know after a crash. */
	g_assert_false(queue_commit(fixture.queue, &file, &error));
	assert_error(&error, ERROR_NO_SPACE);
	assert_step(&fixture, id, QUEUE_WAITING);
	g_assert_false(queue_finish(fixture.queue, &file, QUEUE_FAILED, &error));
	assert_error(&error, ERROR_NO_SPACE);
	queue_file_clear(&file);
	/* It waits, and not only for a blink. */
	file = take(&fixture, other);
	queue_file_clear(&file);
	g_assert_false(
		queue_take(fixture.queue, queue_now_ms() + DELAY_MS, true, &file, &fd, &next_ms));
	g_assert_cmpint(next_ms, >, queue_now_ms() + DELAY_MS);
	close(big);
	g_assert_true(queue_remove(fixture.queue, filler, &error));
	small_clear(&fixture);
}

/* The server said yes, and it cannot be put on record: it must not be sent again. */
static void test_verdict(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	struct queue_file file;
	int64_t next_ms;
	int fd, big;

	if (!small_init(&fixture))
		return;
	uint32_t id = put(&fixture, "w.eml", "w\n");

	file = take(&fixture, id);
	add_recipient(&file, "a@example.org", QUEUE_TAKEN, NULL);
	commit(&fixture, &file);
	uint32_t filler = fill(&fixture, "big", &big);

	g_assert_false(queue_finish(fixture.queue, &file, QUEUE_SENT, &error));
	assert_error(&error, ERROR_NO_SPACE);
	queue_file_clear(&file);
	file = get(&fixture, id);
	g_assert_cmpint(file.step, ==, QUEUE_SENDING);
	g_assert_false(file.running);
	queue_file_clear(&file);
	queue_retry(fixture.queue);
	g_assert_false(queue_take(fixture.queue, FAR_MS, true, &file, &fd, &next_ms));
	/* Tried again, but not before its time. */
	g_assert_false(queue_end_left(fixture.queue, queue_now_ms(), &next_ms));
	g_assert_cmpint(next_ms, >, queue_now_ms() + 50 * 1000);
	g_assert_false(queue_end_left(fixture.queue, next_ms, &next_ms));
	g_assert_cmpint(next_ms, <, INT64_MAX);
	/* The next start has no room either: it is left alone, and not lost. */
	fixture_reopen(&fixture);
	g_assert_false(queue_end_left(fixture.queue, FAR_MS, &next_ms));
	g_assert_false(queue_take(fixture.queue, FAR_MS, true, &file, &fd, &next_ms));
	close(big);
	g_assert_true(queue_remove(fixture.queue, filler, &error));
	fixture_reopen(&fixture);
	assert_step(&fixture, id, QUEUE_FAILED);
	small_clear(&fixture);
}

/* There is room again: nobody need be told that nothing is known. */
static void test_verdict_late(void)
{
	static const enum queue_step ends[] = {QUEUE_SENT, QUEUE_FAILED, QUEUE_WAITING};
	struct fixture fixture;
	struct queue_file file;
	int64_t next_ms;
	int big;

	if (!small_init(&fixture))
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
		uint32_t id = put(&fixture, "w.eml", "w\n");

		file = take(&fixture, id);
		add_recipient(&file, "a@example.org", QUEUE_TAKEN, NULL);
		commit(&fixture, &file);
		uint32_t filler = fill(&fixture, "big", &big);

		g_assert_false(queue_finish(fixture.queue, &file, ends[i], NULL));
		queue_file_clear(&file);
		close(big);
		g_assert_true(queue_remove(fixture.queue, filler, NULL));
		g_assert_false(queue_end_left(fixture.queue, queue_now_ms(), &next_ms));
		g_assert_true(queue_end_left(fixture.queue, next_ms, &next_ms));
		g_assert_cmpint(next_ms, ==, INT64_MAX);
		assert_step(&fixture, id, ends[i]);
		fixture_reopen(&fixture);
		assert_step(&fixture, id, ends[i]);
	}
	small_clear(&fixture);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	/* What is mounted here ends with this process. */
	if (unshare(CLONE_NEWNS) == 0)
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	g_test_add_func("/queue-full/write", test_write);
	g_test_add_func("/queue-full/hand_later", test_hand_later);
	g_test_add_func("/queue-full/change", test_change);
	g_test_add_func("/queue-full/submit", test_submit);
	g_test_add_func("/queue-full/verdict", test_verdict);
	g_test_add_func("/queue-full/verdict-late", test_verdict_late);
	return g_test_run();
}
