/* The outbox on disk: what clients and the submitter see of it. */
#include "queue_help.h"

#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>

/* --- drafts --- */

static void test_name(void)
{
	g_assert_true(queue_name_is_mail("a.eml"));
	g_assert_true(queue_name_is_mail("a b~.eml"));
	g_assert_false(queue_name_is_mail(".eml"));
	g_assert_false(queue_name_is_mail(".a.eml"));
	g_assert_false(queue_name_is_mail("a.eml.tmp"));
	g_assert_false(queue_name_is_mail("eml"));
	g_assert_false(queue_name_is_mail(""));
}

static void test_create(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	int fd;

	fixture_init(&fixture);
	uint32_t id = create(&fixture, "a.eml", &fd);
	struct queue_file file = get(&fixture, id);

	g_assert_cmpint(file.step, ==, QUEUE_DRAFT);
	g_assert_cmpuint(file.writers, ==, 1);
	g_assert_cmpuint(file.size, ==, 0);
	g_assert_cmpuint(file.info.recipients->len, ==, 0);
	queue_file_clear(&file);
	g_assert_cmpuint(queue_create(fixture.queue, "a.eml", &error), ==, 0);
	assert_error(&error, ERROR_EXISTS);
	/* Empty: nothing to send. */
	g_assert_false(finish_writer(&fixture, id, fd));
	assert_step(&fixture, id, QUEUE_DRAFT);
	fd = open_writer(&fixture, id);
	append(&fixture, id, fd, "text");
	file = get(&fixture, id);
	g_assert_cmpuint(file.size, ==, 4);
	g_assert_cmpuint(file.writers, ==, 1);
	queue_file_clear(&file);
	g_assert_true(finish_writer(&fixture, id, fd));
	assert_step(&fixture, id, QUEUE_WAITING);
	g_assert_cmpuint(queue_create(fixture.queue, "a.eml", &error), ==, 0);
	assert_error(&error, ERROR_EXISTS);
	assert_text(&fixture, id, "text");
	fixture_clear(&fixture);
}

static void assert_no_name(struct fixture *fixture, uint32_t id, const char *name)
{
	g_autoptr(GError) error = NULL;
	bool handed = true;

	g_assert_cmpuint(queue_create(fixture->queue, name, &error), ==, 0);
	assert_error(&error, ERROR_LIMIT);
	g_assert_false(queue_rename(fixture->queue, id, name, &handed, &error));
	assert_error(&error, ERROR_LIMIT);
	g_assert_true(handed);
}

static void test_names(void)
{
	struct fixture fixture;
	g_autofree char *longest = g_strnfill(QUEUE_NAME_MAX, 'x');
	g_autofree char *too_long = g_strnfill(QUEUE_NAME_MAX + 1, 'x');

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a.txt", "a\n");

	assert_no_name(&fixture, id, "");
	assert_no_name(&fixture, id, ".");
	assert_no_name(&fixture, id, "..");
	assert_no_name(&fixture, id, "../x.eml");
	assert_no_name(&fixture, id, "x/y.eml");
	assert_no_name(&fixture, id, too_long);
	g_assert_false(rename_to(&fixture, id, longest));
	g_assert_cmpuint(find(&fixture, false, longest), ==, id);
	longest[QUEUE_NAME_MAX - 1] = '\n';
	g_assert_false(rename_to(&fixture, id, longest));
	g_assert_true(rename_to(&fixture, id, "1.\xff\n\"\\ .eml"));
	fixture_reopen(&fixture);
	g_assert_cmpuint(find(&fixture, false, "1.\xff\n\"\\ .eml"), ==, id);
	assert_step(&fixture, id, QUEUE_WAITING);
	fixture_clear(&fixture);
}

static void test_ids(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	uint32_t first = put(&fixture, "a", "a\n"), second = put(&fixture, "b", "b\n");

	g_assert_cmpuint(second, >, first);
	g_assert_true(queue_remove(fixture.queue, second, NULL));
	uint32_t third = put(&fixture, "c", "c\n");

	g_assert_cmpuint(third, >, second);
	fixture_reopen(&fixture);
	g_assert_cmpuint(put(&fixture, "d", "d\n"), >, third);
	g_assert_cmpuint(find(&fixture, false, "a"), ==, first);
	g_assert_cmpuint(find(&fixture, false, "c"), ==, third);
	fixture_clear(&fixture);
}

static void test_list(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	uint32_t failed = put_failed(&fixture, "f.eml");
	uint32_t draft = put(&fixture, "a", "a\n");
	uint32_t waiting = put(&fixture, "w.eml", "w\n");
	uint32_t other = put(&fixture, "b", "b\n");
	g_autoptr(GPtrArray) files = queue_list(fixture.queue, false);
	g_autoptr(GPtrArray) failures = queue_list(fixture.queue, true);
	const uint32_t expected[] = {draft, waiting, other};

	g_assert_cmpuint(files->len, ==, 3);
	for (guint i = 0; i < 3; i++) {
		const struct queue_file *file = g_ptr_array_index(files, i);

		g_assert_cmpuint(file->id, ==, expected[i]);
	}
	g_assert_cmpuint(failures->len, ==, 1);
	g_assert_cmpuint(((struct queue_file *)g_ptr_array_index(failures, 0))->id, ==, failed);
	g_assert_cmpuint(queue_pending(fixture.queue), ==, 1);
	fixture_clear(&fixture);
}

static void test_touched(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	int64_t outbox_ns = queue_touched_ns(fixture.queue, false);
	int64_t failed_ns = queue_touched_ns(fixture.queue, true);

	for (int i = 0; i < 100; i++) {
		uint32_t id = put(&fixture, "a", "a\n");
		int64_t now_ns = queue_touched_ns(fixture.queue, false);

		g_assert_cmpint(now_ns, >, outbox_ns);
		g_assert_true(queue_remove(fixture.queue, id, NULL));
		outbox_ns = queue_touched_ns(fixture.queue, false);
		g_assert_cmpint(outbox_ns, >, now_ns);
	}
	g_assert_cmpint(queue_touched_ns(fixture.queue, true), ==, failed_ns);
	put_failed(&fixture, "f.eml");
	g_assert_cmpint(queue_touched_ns(fixture.queue, true), >, failed_ns);
	g_assert_cmpint(queue_touched_ns(fixture.queue, false), >, outbox_ns);
	outbox_ns = queue_touched_ns(fixture.queue, false);
	g_assert_false(queue_find(fixture.queue, false, "f.eml", &(struct queue_file){0}));
	g_assert_cmpint(queue_touched_ns(fixture.queue, false), ==, outbox_ns);
	fixture_clear(&fixture);
}

static void test_modes(void)
{
	struct fixture fixture;
	struct stat stat_dir, stat_file, stat_info;
	g_autofree char *waiting = NULL, *file = NULL, *info = NULL;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a.eml", "a\n");

	waiting = g_build_filename(fixture.dir, "waiting", NULL);
	file = g_strdup_printf("%s/waiting/%u.a.eml", fixture.dir, id);
	info = g_strdup_printf("%s/info/%u", fixture.dir, id);
	g_assert_cmpint(stat(waiting, &stat_dir), ==, 0);
	g_assert_cmpint(stat(file, &stat_file), ==, 0);
	g_assert_cmpint(stat(info, &stat_info), ==, 0);
	g_assert_cmpint(stat_dir.st_mode & 07777, ==, 0700);
	g_assert_cmpint(stat_file.st_mode & 07777, ==, 0600);
	g_assert_cmpint(stat_info.st_mode & 07777, ==, 0600);
	fixture_clear(&fixture);
}

static void test_mtime(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	struct queue_file file;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a.eml", "a\n");

	g_assert_true(queue_set_mtime(fixture.queue, id, INT64_C(1234567890123456789), &error));
	file = get(&fixture, id);
	g_assert_cmpint(file.mtime_ns, ==, INT64_C(1234567890123456789));
	queue_file_clear(&file);
	g_assert_true(queue_set_mtime(fixture.queue, id, -1, &error));
	g_assert_no_error(error);
	fixture_reopen(&fixture);
	file = get(&fixture, id);
	g_assert_cmpint(file.mtime_ns, ==, -1);
	queue_file_clear(&file);
	g_assert_false(queue_set_mtime(fixture.queue, id + 1, 0, &error));
	assert_error(&error, ERROR_GONE);
	fixture_clear(&fixture);
}

/* --- handing over --- */

static void test_hand(void)
{
	struct fixture fixture;
	struct queue_file file;
	int64_t next_ms = 0, before_ms = queue_now_ms();
	int fd;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a.eml", "a\n");

	file = get(&fixture, id);
	g_assert_cmpint(file.info.handed_ms, >=, before_ms);
	g_assert_cmpint(file.info.not_before_ms, ==, file.info.handed_ms + DELAY_MS);
	g_assert_false(queue_take(fixture.queue, file.info.not_before_ms - 1, false, &file, &fd,
				  &next_ms));
	g_assert_cmpint(next_ms, ==, file.info.not_before_ms);
	queue_file_clear(&file);
	g_assert_true(queue_take(fixture.queue, next_ms, false, &file, &fd, &next_ms));
	g_assert_cmpuint(file.id, ==, id);
	g_autofree char *text = read_fd(fd);

	g_assert_cmpstr(text, ==, "a\n");
	queue_file_clear(&file);
	/* In hand: nobody else gets it. */
	g_assert_false(queue_take(fixture.queue, FAR_MS, true, &file, &fd, &next_ms));
	g_assert_cmpint(next_ms, ==, INT64_MAX);
	fixture_clear(&fixture);
}

static void test_hand_scratch(void)
{
	struct fixture fixture;
	int fd;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, ".a.eml.Xy12", "a\n");

	assert_step(&fixture, id, QUEUE_DRAFT);
	g_assert_true(rename_to(&fixture, id, "a.eml"));
	assert_step(&fixture, id, QUEUE_WAITING);
	/* Nothing new. */
	g_assert_false(rename_to(&fixture, id, "a.eml"));
	g_assert_true(rename_to(&fixture, id, "b.eml"));
	g_assert_cmpuint(find(&fixture, false, "a.eml"), ==, 0);
	g_assert_false(rename_to(&fixture, id, "a.eml~"));
	assert_step(&fixture, id, QUEUE_DRAFT);
	struct queue_file file = get(&fixture, id);

	g_assert_cmpint(file.info.handed_ms, ==, 0);
	queue_file_clear(&file);

	/* Under its writer's hands, it is not whole. */
	uint32_t other = create(&fixture, "x", &fd);

	append(&fixture, other, fd, "x\n");
	g_assert_false(rename_to(&fixture, other, "x.eml"));
	assert_step(&fixture, other, QUEUE_DRAFT);
	g_assert_true(finish_writer(&fixture, other, fd));

	/* Empty ones stay. */
	uint32_t empty = create(&fixture, "e", &fd);

	finish_writer(&fixture, empty, fd);
	g_assert_false(rename_to(&fixture, empty, "e.eml"));
	assert_step(&fixture, empty, QUEUE_DRAFT);
	fixture_clear(&fixture);
}

/* `{ printf hdr; cat body; } > f` and `printf hdr > f; cat body >> f`. */
static void test_writers(void)
{
	struct fixture fixture;
	int fd, second;

	fixture_init(&fixture);
	uint32_t id = create(&fixture, "a.eml", &fd);

	append(&fixture, id, fd, "a");
	second = open_writer(&fixture, id);
	flush(&fixture, id);
	g_assert_cmpuint(queue_closing(fixture.queue), ==, 1);
	g_assert_false(finish_writer(&fixture, id, fd));
	append(&fixture, id, second, "b");
	g_assert_cmpuint(queue_closing(fixture.queue), ==, 0);
	flush(&fixture, id);
	g_assert_true(finish_writer(&fixture, id, second));
	g_assert_cmpuint(queue_closing(fixture.queue), ==, 0);
	fd = open_writer(&fixture, id);
	assert_step(&fixture, id, QUEUE_DRAFT);
	append(&fixture, id, fd, "c");
	g_assert_true(finish_writer(&fixture, id, fd));
	assert_text(&fixture, id, "abc");

	/* Readers hand nothing over. */
	bool handed = true;

	fd = queue_open_file(fixture.queue, id, false, NULL);
	close(fd);
	g_assert_true(queue_close_file(fixture.queue, id, false, &handed, NULL));
	g_assert_false(handed);
	assert_step(&fixture, id, QUEUE_WAITING);
	fixture_clear(&fixture);
}

static void test_abandon(void)
{
	struct fixture fixture;
	bool handed = true;
	int fd;

	fixture_init(&fixture);
	uint32_t id = create(&fixture, "a.eml", &fd);

	append(&fixture, id, fd, "a\n");
	close(fd);
	g_assert_true(queue_abandon(fixture.queue, id, &handed, NULL));
	g_assert_false(handed);
	assert_step(&fixture, id, QUEUE_DRAFT);
	fd = open_writer(&fixture, id);
	append(&fixture, id, fd, "b\n");
	flush(&fixture, id);
	close(fd);
	g_assert_true(queue_abandon(fixture.queue, id, &handed, NULL));
	g_assert_true(handed);
	fixture_clear(&fixture);
}

static void test_replace(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	bool handed = true;

	fixture_init(&fixture);
	uint32_t old = put(&fixture, "a.eml", "old\n");
	uint32_t new = put(&fixture, "a.tmp", "new\n");

	g_assert_true(rename_to(&fixture, new, "a.eml"));
	assert_gone(&fixture, old);
	g_assert_cmpuint(find(&fixture, false, "a.eml"), ==, new);
	g_assert_cmpuint(queue_pending(fixture.queue), ==, 1);
	g_assert_cmpuint(count_files(&fixture, "info"), ==, 1);
	uint32_t other = put(&fixture, "b.tmp", "other\n");
	struct queue_file file = take(&fixture, new);

	commit(&fixture, &file);
	g_assert_false(queue_rename(fixture.queue, other, "a.eml", &handed, &error));
	assert_error(&error, ERROR_BUSY);
	g_assert_false(queue_rename(fixture.queue, new, "c.eml", &handed, &error));
	assert_error(&error, ERROR_BUSY);
	g_assert_true(handed);
	finish(&fixture, &file, QUEUE_SENT);
	g_assert_false(queue_rename(fixture.queue, new, "c.eml", &handed, &error));
	assert_error(&error, ERROR_GONE);
	g_assert_false(queue_rename(fixture.queue, old, "c.eml", &handed, &error));
	assert_error(&error, ERROR_GONE);
	/* Among drafts, as editors do it. */
	uint32_t backup = put(&fixture, "n.txt~", "1\n");

	rename_to(&fixture, other, "n.txt~");
	assert_gone(&fixture, backup);
	g_assert_cmpuint(find(&fixture, false, "n.txt~"), ==, other);
	assert_text(&fixture, other, "other\n");
	fixture_clear(&fixture);
}

static void test_remove(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	bool handed = true;
	int fd;

	fixture_init(&fixture);
	uint32_t waiting = put(&fixture, "a.eml", "a\n");
	uint32_t draft = create(&fixture, "b.eml", &fd);

	append(&fixture, draft, fd, "b\n");
	g_assert_true(queue_remove(fixture.queue, waiting, &error));
	g_assert_true(queue_remove(fixture.queue, draft, &error));
	g_assert_false(queue_remove(fixture.queue, draft, &error));
	assert_error(&error, ERROR_GONE);
	/* Its writer does not mind. */
	append(&fixture, draft, fd, "more\n");
	g_assert_true(queue_flush(fixture.queue, draft, &error));
	close(fd);
	g_assert_true(queue_close_file(fixture.queue, draft, true, &handed, &error));
	g_assert_false(handed);
	g_assert_cmpint(queue_open_file(fixture.queue, draft, false, &error), ==, -1);
	assert_error(&error, ERROR_GONE);
	g_assert_cmpuint(count_files(&fixture, "draft"), ==, 0);
	g_assert_cmpuint(count_files(&fixture, "waiting"), ==, 0);
	g_assert_cmpuint(count_files(&fixture, "info"), ==, 0);
	fixture_clear(&fixture);
}

/* --- envelopes --- */

static void put_envelope(struct fixture *fixture, const char *name, size_t len)
{
	int fd;
	uint32_t id = create(fixture, name, &fd);
	g_autofree char *text = g_strnfill(len, 'x');

	append(fixture, id, fd, text);
	flush(fixture, id);
	finish_writer(fixture, id, fd);
}

static void test_envelope(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	put(&fixture, ".a.eml.envelope", "me@example.org\nyou@example.org\n\"x\\\n");
	put(&fixture, ".b.eml.envelope", "b\n");
	uint32_t id = put(&fixture, ".tmp", "a\n");

	g_assert_true(rename_to(&fixture, id, "a.eml"));
	for (int i = 0; i < 2; i++) {
		struct queue_file file = get(&fixture, id);

		g_assert_cmpstr(file.info.given, ==, "me@example.org\nyou@example.org\n\"x\\\n");
		queue_file_clear(&file);
		g_assert_cmpuint(find(&fixture, false, ".a.eml.envelope"), ==, 0);
		g_assert_cmpuint(find(&fixture, false, ".b.eml.envelope"), !=, 0);
		fixture_reopen(&fixture);
	}
	fixture_clear(&fixture);
}

static void test_envelope_limit(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	bool handed = true;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, ".tmp", "a\n");

	put_envelope(&fixture, ".a.eml.envelope", LIMIT_ENVELOPE + 1);
	put_envelope(&fixture, ".b.eml.envelope", LIMIT_ENVELOPE);
	g_assert_false(queue_rename(fixture.queue, id, "a.eml", &handed, &error));
	assert_error(&error, ERROR_LIMIT);
	g_assert_true(handed);
	assert_step(&fixture, id, QUEUE_DRAFT);
	g_assert_cmpuint(find(&fixture, false, ".tmp"), ==, id);
	g_assert_cmpuint(find(&fixture, false, ".a.eml.envelope"), !=, 0);
	g_assert_true(rename_to(&fixture, id, "b.eml"));
	struct queue_file file = get(&fixture, id);

	g_assert_cmpuint(strlen(file.info.given), ==, LIMIT_ENVELOPE);
	queue_file_clear(&file);
	fixture_clear(&fixture);
}

/* One that is not whole must not decide who gets a mail, nor be overlooked. */
static void test_envelope_half(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	bool handed = true;
	int fd;

	fixture_init(&fixture);
	uint32_t envelope = create(&fixture, ".a.eml.envelope", &fd);
	uint32_t id = put(&fixture, ".tmp", "a\n");

	append(&fixture, envelope, fd, "me\n");
	g_assert_false(queue_rename(fixture.queue, id, "a.eml", &handed, &error));
	assert_error(&error, ERROR_BUSY);
	flush(&fixture, envelope);
	/* close() has returned, its news are under way. */
	g_assert_true(rename_to(&fixture, id, "a.eml"));
	close(fd);
	g_assert_true(queue_close_file(fixture.queue, envelope, true, &handed, NULL));

	envelope = create(&fixture, ".n.eml.envelope", &fd);
	g_assert_true(queue_touch(fixture.queue, envelope, NULL));
	g_assert_true(file_pwrite_all(fd, "a\0b", 3, 0));
	flush(&fixture, envelope);
	finish_writer(&fixture, envelope, fd);
	g_assert_false(queue_rename(fixture.queue, id, "n.eml", &handed, &error));
	assert_error(&error, ERROR_REFUSED);
	assert_step(&fixture, id, QUEUE_WAITING);
	g_assert_cmpuint(find(&fixture, false, "a.eml"), ==, id);
	fixture_clear(&fixture);
}

/* --- the submitter --- */

static void test_order(void)
{
	struct fixture fixture;
	struct queue_file file;
	int64_t next_ms = 0, now_ms;
	int fd;

	fixture_init(&fixture);
	uint32_t first = put(&fixture, "1.eml", "1\n"), second = put(&fixture, "2.eml", "2\n");

	now_ms = queue_now_ms() + DELAY_MS;
	file = take(&fixture, first);
	file.info.tries = 1;
	file.info.not_before_ms = now_ms + 60000;
	set_text(&file.info.reply, "451 later");
	finish(&fixture, &file, QUEUE_WAITING);
	/* One that waits holds up no other. */
	file = take(&fixture, second);
	queue_file_clear(&file);
	g_assert_false(queue_take(fixture.queue, now_ms, true, &file, &fd, &next_ms));
	g_assert_cmpint(next_ms, ==, now_ms + 60000);
	fixture_reopen(&fixture);
	file = take(&fixture, second);
	finish(&fixture, &file, QUEUE_SENT);
	g_assert_false(queue_take(fixture.queue, now_ms, false, &file, &fd, &next_ms));
	g_assert_cmpint(next_ms, ==, now_ms + 60000);
	queue_retry(fixture.queue);
	file = take(&fixture, first);
	g_assert_cmpuint(file.info.tries, ==, 1);
	g_assert_cmpstr(file.info.reply, ==, "451 later");
	queue_file_clear(&file);
	fixture_clear(&fixture);
}

static void test_hurry(void)
{
	struct fixture fixture;
	struct queue_file file;
	int64_t next_ms;
	int fd;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "1.eml", "1\n");

	file = get(&fixture, id);
	int64_t now_ms = file.info.handed_ms;

	queue_file_clear(&file);
	g_assert_false(queue_take(fixture.queue, now_ms, false, &file, &fd, &next_ms));
	g_assert_true(queue_take(fixture.queue, now_ms, true, &file, &fd, &next_ms));
	close(fd);
	file.info.tries = 1;
	file.info.not_before_ms = now_ms + 1000;
	finish(&fixture, &file, QUEUE_WAITING);
	g_assert_false(queue_take(fixture.queue, now_ms, true, &file, &fd, &next_ms));
	fixture_clear(&fixture);
}

/* A clock that was set back must not hold up a mail for years. */
static void test_clock(void)
{
	static const int64_t hour_ms = 60 * 60 * 1000;
	struct fixture fixture;
	struct queue_file file;
	int64_t next_ms;
	int fd;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "1.eml", "1\n");

	file = get(&fixture, id);
	int64_t due_ms = file.info.not_before_ms;

	queue_file_clear(&file);
	g_assert_false(queue_take(fixture.queue, due_ms - hour_ms - DELAY_MS, false, &file, &fd,
				  &next_ms));
	g_assert_true(queue_take(fixture.queue, due_ms - hour_ms - DELAY_MS - 1, false, &file, &fd,
				 &next_ms));
	close(fd);
	queue_file_clear(&file);
	fixture_clear(&fixture);
}

static void test_sent(void)
{
	struct fixture fixture;
	struct queue_file file;
	g_autoptr(GError) error = NULL;

	fixture_init(&fixture);
	uint32_t id = put_sent(&fixture, "a.eml", QUEUE_COPY_NONE);

	assert_step(&fixture, id, QUEUE_SENT);
	g_assert_cmpuint(find(&fixture, false, "a.eml"), ==, id);
	g_autoptr(GPtrArray) files = queue_list(fixture.queue, false);

	g_assert_cmpuint(files->len, ==, 0);
	g_assert_cmpuint(queue_pending(fixture.queue), ==, 0);
	fixture_reopen(&fixture);
	file = get(&fixture, id);
	g_assert_cmpint(file.step, ==, QUEUE_SENT);
	g_assert_cmpuint(file.info.recipients->len, ==, 1);
	queue_file_clear(&file);
	g_assert_false(queue_remove(fixture.queue, id, &error));
	assert_error(&error, ERROR_GONE);
	/* A new one takes the name, and for good. */
	uint32_t other = put(&fixture, "a.eml", "a\n");

	g_assert_cmpuint(find(&fixture, false, "a.eml"), ==, other);
	g_assert_true(queue_remove(fixture.queue, other, NULL));
	g_assert_cmpuint(find(&fixture, false, "a.eml"), ==, 0);
	assert_step(&fixture, id, QUEUE_SENT);
	fixture_clear(&fixture);
}

static void test_expire(void)
{
	struct fixture fixture;
	int64_t before_ms, after_ms;

	fixture_init(&fixture);
	g_assert_cmpint(queue_expire(fixture.queue, FAR_MS), ==, INT64_MAX);
	before_ms = queue_now_ms();
	uint32_t plain = put_sent(&fixture, "a.eml", QUEUE_COPY_NONE);
	uint32_t wanted = put_sent(&fixture, "b.eml", QUEUE_COPY_WANTED);

	after_ms = queue_now_ms();
	int64_t next_ms = queue_expire(fixture.queue, before_ms + QUEUE_SENT_MS - 1);

	g_assert_cmpint(next_ms, >=, before_ms + QUEUE_SENT_MS);
	g_assert_cmpint(next_ms, <=, after_ms + QUEUE_SENT_MS);
	assert_step(&fixture, plain, QUEUE_SENT);
	g_assert_cmpint(queue_expire(fixture.queue, after_ms + QUEUE_SENT_MS), ==, INT64_MAX);
	assert_gone(&fixture, plain);
	g_assert_cmpuint(find(&fixture, false, "a.eml"), ==, 0);
	assert_step(&fixture, wanted, QUEUE_SENT);
	g_assert_true(queue_set_copy(fixture.queue, wanted, QUEUE_COPY_FILED, NULL, NULL));
	fixture_reopen(&fixture);
	queue_expire(fixture.queue, after_ms + QUEUE_SENT_MS);
	assert_gone(&fixture, wanted);
	g_assert_cmpuint(count_files(&fixture, "sent"), ==, 0);
	g_assert_cmpuint(count_files(&fixture, "info"), ==, 0);
	/* It was sent in times to come: the clock was set back. */
	plain = put_sent(&fixture, "c.eml", QUEUE_COPY_NONE);
	queue_expire(fixture.queue, after_ms - 2 * QUEUE_SENT_MS);
	assert_gone(&fixture, plain);
	fixture_clear(&fixture);
}

static void test_copies(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	g_assert_null(queue_copies(fixture.queue));
	put_sent(&fixture, "a.eml", QUEUE_COPY_NONE);
	uint32_t id = put_sent(&fixture, "b.eml", QUEUE_COPY_WANTED);

	g_assert_true(queue_set_copy(fixture.queue, id, QUEUE_COPY_WANTED, "x.eml", NULL));
	fixture_reopen(&fixture);
	g_autoptr(GPtrArray) files = queue_copies(fixture.queue);

	g_assert_nonnull(files);
	g_assert_cmpuint(files->len, ==, 1);
	const struct queue_file *file = g_ptr_array_index(files, 0);

	g_assert_cmpuint(file->id, ==, id);
	g_assert_cmpstr(file->info.copy_name, ==, "x.eml");
	assert_text(&fixture, id, "sent\n");
	g_assert_true(queue_set_copy(fixture.queue, id, QUEUE_COPY_FILED, NULL, NULL));
	g_assert_null(queue_copies(fixture.queue));
	g_assert_cmpint(queue_read(fixture.queue, id + 9), ==, -1);
	fixture_clear(&fixture);
}

/* What was sent and is written to anew is a new mail; the copy of the old one is not lost. */
static void test_sent_reopened(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;

	fixture_init(&fixture);
	uint32_t id = put_sent(&fixture, "a.eml", QUEUE_COPY_WANTED);
	int fd = open_writer(&fixture, id);
	struct queue_file file = get(&fixture, id);

	g_assert_cmpint(file.step, ==, QUEUE_DRAFT);
	g_assert_cmpuint(file.size, ==, 0);
	g_assert_cmpuint(file.info.recipients->len, ==, 0);
	queue_file_clear(&file);
	append(&fixture, id, fd, "again\n");
	g_assert_true(finish_writer(&fixture, id, fd));
	g_assert_cmpuint(find(&fixture, false, "a.eml"), ==, id);
	assert_text(&fixture, id, "again\n");
	g_autoptr(GPtrArray) files = queue_copies(fixture.queue);

	g_assert_nonnull(files);
	const struct queue_file *copy = g_ptr_array_index(files, 0);

	g_assert_cmpuint(copy->id, >, id);
	g_assert_cmpuint(copy->info.recipients->len, ==, 1);
	assert_text(&fixture, copy->id, "sent\n");
	g_assert_cmpuint(put(&fixture, "b.eml", "b\n"), >, copy->id);
	/* By its number alone, when the name is another's. */
	g_assert_cmpint(queue_open_file(fixture.queue, copy->id, true, &error), ==, -1);
	assert_error(&error, ERROR_GONE);
	fixture_clear(&fixture);
}

static void test_sending(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a.eml", "a\n");
	struct queue_file file = take(&fixture, id);

	add_recipient(&file, "a@example.org", QUEUE_TAKEN, NULL);
	commit(&fixture, &file);
	assert_step(&fixture, id, QUEUE_SENDING);
	g_assert_cmpuint(queue_pending(fixture.queue), ==, 1);
	g_assert_false(queue_remove(fixture.queue, id, &error));
	assert_error(&error, ERROR_BUSY);
	g_assert_cmpint(queue_open_file(fixture.queue, id, true, &error), ==, -1);
	assert_error(&error, ERROR_BUSY);
	g_assert_false(queue_touch(fixture.queue, id, &error));
	assert_error(&error, ERROR_BUSY);
	int fd = queue_open_file(fixture.queue, id, false, &error);

	g_assert_cmpint(fd, >=, 0);
	close(fd);
	/* Refused for now, after all. */
	finish(&fixture, &file, QUEUE_WAITING);
	assert_step(&fixture, id, QUEUE_WAITING);
	file = take(&fixture, id);
	finish(&fixture, &file, QUEUE_FAILED);
	g_assert_cmpuint(find(&fixture, false, "a.eml"), ==, 0);
	g_assert_cmpuint(find(&fixture, true, "a.eml"), ==, id);
	g_assert_cmpint(queue_open_file(fixture.queue, id, true, &error), ==, -1);
	assert_error(&error, ERROR_READ_ONLY);
	fixture_clear(&fixture);
}

static void assert_taken_back(struct fixture *fixture, const struct queue_file *file)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(queue_save(fixture->queue, file, &error));
	assert_error(&error, ERROR_GONE);
	g_assert_false(queue_commit(fixture->queue, file, &error));
	assert_error(&error, ERROR_GONE);
	g_assert_true(queue_finish(fixture->queue, file, QUEUE_FAILED, &error));
	g_assert_no_error(error);
}

/* Up to commit, whoever is faster. */
static void test_taken_back(void)
{
	struct fixture fixture;
	struct queue_file file;
	int fd;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a.eml", "a\n");

	file = take(&fixture, id);
	g_assert_true(queue_save(fixture.queue, &file, NULL));
	g_assert_true(queue_save(fixture.queue, &file, NULL));
	g_assert_true(queue_remove(fixture.queue, id, NULL));
	assert_taken_back(&fixture, &file);
	queue_file_clear(&file);

	id = put(&fixture, "a.eml", "a\n");
	file = take(&fixture, id);
	fd = open_writer(&fixture, id);
	assert_taken_back(&fixture, &file);
	assert_step(&fixture, id, QUEUE_DRAFT);
	finish_writer(&fixture, id, fd);
	/* Handed over again, which is not what the submitter has. */
	assert_taken_back(&fixture, &file);
	assert_step(&fixture, id, QUEUE_WAITING);
	queue_file_clear(&file);

	file = take(&fixture, id);
	rename_to(&fixture, id, "b.eml");
	assert_taken_back(&fixture, &file);
	queue_file_clear(&file);
	file = take(&fixture, id);
	g_assert_cmpstr(file.name, ==, "b.eml");
	finish(&fixture, &file, QUEUE_SENT);
	fixture_clear(&fixture);
}

/* --- who has it already --- */

static void assert_recipients(struct fixture *fixture, uint32_t id, const char *expected)
{
	struct queue_file file = get(fixture, id);
	GString *text = g_string_new(NULL);

	describe_info(&file.info, text);
	g_assert_cmpstr(strstr(text->str, " <") ? strstr(text->str, " <") : "", ==, expected);
	g_string_free(text, TRUE);
	queue_file_clear(&file);
}

static uint32_t put_tried(struct fixture *fixture, const char *name, enum queue_verdict verdict)
{
	uint32_t id = put(fixture, name, "text\n");
	struct queue_file file = take(fixture, id);

	add_recipient(&file, "a@example.org", verdict, "said");
	add_recipient(&file, "b@example.org", QUEUE_OPEN, "451 later");
	set_text(&file.info.sender, "me@example.org");
	set_text(&file.info.message_id, "<1@example.org>");
	set_text(&file.info.reply, "451 later");
	file.info.tries = 3;
	file.info.error = EAGAIN;
	finish(fixture, &file, QUEUE_WAITING);
	return id;
}

static void test_appended(void)
{
	struct fixture fixture;
	int fd;

	fixture_init(&fixture);
	uint32_t id = put_tried(&fixture, "a.eml", QUEUE_DONE);

	fd = open_writer(&fixture, id);
	append(&fixture, id, fd, "more\n");
	g_assert_true(finish_writer(&fixture, id, fd));
	assert_recipients(&fixture, id, " <a@example.org done said> <b@example.org open (null)>");
	fixture_reopen(&fixture);
	assert_recipients(&fixture, id, " <a@example.org done said> <b@example.org open (null)>");
	struct queue_file file = get(&fixture, id);

	g_assert_cmpuint(file.info.tries, ==, 0);
	g_assert_cmpint(file.info.error, ==, 0);
	g_assert_null(file.info.reply);
	g_assert_cmpstr(file.info.message_id, ==, "<1@example.org>");
	queue_file_clear(&file);

	/* Truncated it is another one. */
	fd = open_writer(&fixture, id);
	g_assert_true(queue_touch(fixture.queue, id, NULL));
	g_assert_true(queue_reset(fixture.queue, id, NULL));
	g_assert_cmpint(ftruncate(fd, 0), ==, 0);
	append(&fixture, id, fd, "new\n");
	g_assert_true(finish_writer(&fixture, id, fd));
	assert_recipients(&fixture, id, "");
	file = get(&fixture, id);
	g_assert_null(file.info.message_id);
	queue_file_clear(&file);
	g_assert_true(queue_reset(fixture.queue, id + 7, NULL));
	fixture_clear(&fixture);
}

/* Nobody has it: its header may say something else now. */
static void test_appended_untold(void)
{
	struct fixture fixture;
	int fd;

	fixture_init(&fixture);
	put(&fixture, ".a.eml.envelope", "x\ny\n");
	uint32_t id = put_tried(&fixture, "a.eml", QUEUE_REFUSED);

	fd = open_writer(&fixture, id);
	finish_writer(&fixture, id, fd);
	assert_recipients(&fixture, id, "");
	struct queue_file file = get(&fixture, id);

	g_assert_cmpstr(file.info.given, ==, "x\ny\n");
	g_assert_null(file.info.sender);
	g_assert_cmpuint(file.info.tries, ==, 0);
	queue_file_clear(&file);
	fixture_clear(&fixture);
}

static void test_failed_again(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	uint32_t id = put_failed(&fixture, "a.eml");

	g_assert_cmpuint(find(&fixture, false, "a.eml"), ==, 0);
	g_assert_true(rename_to(&fixture, id, "a.eml"));
	assert_recipients(&fixture, id, " <a@example.org done 250 ok> <b@example.org open (null)>");
	struct queue_file file = get(&fixture, id);

	g_assert_cmpint(file.info.not_before_ms, ==, file.info.handed_ms);
	g_assert_cmpint(file.info.error, ==, 0);
	g_assert_cmpuint(file.info.tries, ==, 0);
	queue_file_clear(&file);
	g_assert_true(queue_failed_was(fixture.queue, "a.eml"));
	g_assert_false(queue_failed_was(fixture.queue, "b.eml"));

	g_assert_true(queue_remove(fixture.queue, id, NULL));
	id = put_failed(&fixture, "b.eml");
	g_assert_false(rename_to(&fixture, id, "b.txt"));
	assert_step(&fixture, id, QUEUE_DRAFT);
	assert_recipients(&fixture, id, " <a@example.org done 250 ok> <b@example.org open (null)>");
	fixture_clear(&fixture);
}

static void test_failed_names(void)
{
	struct fixture fixture;
	g_autofree char *name = g_strnfill(QUEUE_NAME_MAX, 'x');

	fixture_init(&fixture);
	uint32_t first = put_failed(&fixture, "x.eml"), second = put_failed(&fixture, "x.eml");
	uint32_t third = put_failed(&fixture, "x.eml");

	g_assert_cmpuint(find(&fixture, true, "x.eml"), ==, first);
	g_assert_cmpuint(find(&fixture, true, "x~2.eml"), ==, second);
	g_assert_cmpuint(find(&fixture, true, "x~3.eml"), ==, third);
	memcpy(name + QUEUE_NAME_MAX - 4, ".eml", 4);
	memcpy(name + QUEUE_NAME_MAX - 7, "\xe2\x82\xac", 3);
	put_failed(&fixture, name);
	second = put_failed(&fixture, name);
	struct queue_file file = get(&fixture, second);

	g_assert_true(g_utf8_validate(file.name, -1, NULL));
	g_assert_cmpuint(strlen(file.name), <=, QUEUE_NAME_MAX);
	g_assert_true(g_str_has_suffix(file.name, "x~2.eml"));
	queue_file_clear(&file);
	g_assert_true(queue_remove(fixture.queue, first, NULL));
	g_assert_true(queue_failed_was(fixture.queue, "x.eml"));
	g_assert_false(queue_failed_was(fixture.queue, "x~2.eml"));
	fixture_reopen(&fixture);
	g_assert_cmpuint(find(&fixture, true, "x~3.eml"), ==, third);
	fixture_clear(&fixture);
}

/* What another one has put on record about the copy stays. */
static void test_filed_stays(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a.eml", "a\n");
	struct queue_file file = take(&fixture, id);

	file.info.copy = QUEUE_COPY_WANTED;
	g_assert_true(queue_save(fixture.queue, &file, NULL));
	g_assert_null(queue_copies(fixture.queue));
	g_assert_true(queue_set_copy(fixture.queue, id, QUEUE_COPY_FILED, "c.eml", NULL));
	finish(&fixture, &file, QUEUE_SENT);
	g_assert_null(queue_copies(fixture.queue));
	file = get(&fixture, id);
	g_assert_cmpint(file.info.copy, ==, QUEUE_COPY_FILED);
	g_assert_cmpstr(file.info.copy_name, ==, "c.eml");
	queue_file_clear(&file);
	fixture_clear(&fixture);
}

/* --- the record --- */

static void test_record(void)
{
	static const char *const texts[] = {"",	      " a ",	     "\"", "\\",
					    "\n\r\t", "\xff\x01[x]", "#",  ";="};
	struct fixture fixture;
	g_autofree char *before = NULL, *after = NULL;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a.eml", "a\n");
	struct queue_file file = take(&fixture, id);

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		add_recipient(&file, texts[i], (enum queue_verdict)(i % 3 + 2), texts[i]);
		set_text(&file.info.reply, texts[i]);
		set_text(&file.info.sender, texts[G_N_ELEMENTS(texts) - 1 - i]);
	}
	for (unsigned i = (unsigned)G_N_ELEMENTS(texts); i < LIMIT_RECIPIENTS; i++)
		add_recipient(&file, "someone@example.org", QUEUE_DONE, "250 2.1.5 Ok");
	file.info.tries = 5;
	file.info.error = EAGAIN;
	finish(&fixture, &file, QUEUE_FAILED);
	before = describe(&fixture);
	fixture_reopen(&fixture);
	after = describe(&fixture);
	g_assert_cmpstr(before, ==, after);
	fixture_clear(&fixture);
}

static void test_limit(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;

	fixture_init(&fixture);
	put(&fixture, "a", "a\n");
	queue_close(&fixture.queue);
	plant(&fixture, "draft/4294967294.b", "b\n");
	fixture_open(&fixture);
	g_assert_cmpuint(queue_create(fixture.queue, "c", &error), ==, UINT32_MAX);
	g_assert_cmpuint(queue_create(fixture.queue, "d", &error), ==, 0);
	assert_error(&error, ERROR_LIMIT);
	fixture_clear(&fixture);
}

/* --- threads --- */

#define MAILS 40

struct crew {
	struct fixture fixture;
	pthread_mutex_t lock;
	unsigned clients, sent;
};

static void write_one(struct crew *crew, unsigned n, unsigned i)
{
	g_autofree char *name = g_strdup_printf("%u-%u.eml", n, i);
	uint32_t id = put(&crew->fixture, name, "text\n");
	bool handed;
	int fd;

	/* Some are altered, some renamed, while the submitter may have them. */
	if (i % 3 == 0 && (fd = queue_open_file(crew->fixture.queue, id, true, NULL)) >= 0) {
		if (queue_touch(crew->fixture.queue, id, NULL))
			g_assert_true(file_pwrite_all(fd, "more\n", 5, 5));
		finish_writer(&crew->fixture, id, fd);
	}
	if (i % 3 == 1) {
		g_autofree char *other = g_strdup_printf("%u-%u-b.eml", n, i);

		queue_rename(crew->fixture.queue, id, other, &handed, NULL);
	}
	g_ptr_array_unref(queue_list(crew->fixture.queue, false));
	queue_closing(crew->fixture.queue);
}

static void *client(void *data)
{
	struct crew *crew = data;
	unsigned n;

	pthread_mutex_lock(&crew->lock);
	n = crew->clients++;
	pthread_mutex_unlock(&crew->lock);
	for (unsigned i = 0; i < MAILS; i++)
		write_one(crew, n, i);
	return NULL;
}

static void submit(struct crew *crew, struct queue_file *file, int fd)
{
	g_autoptr(GError) error = NULL;

	close(fd);
	if (queue_save(crew->fixture.queue, file, &error) &&
	    queue_commit(crew->fixture.queue, file, &error)) {
		finish(&crew->fixture, file, QUEUE_SENT);
		crew->sent++;
		return;
	}
	assert_error(&error, ERROR_GONE);
	queue_file_clear(file);
}

static void *submitter(void *data)
{
	struct crew *crew = data;
	int64_t deadline_ms = clock_mono_ms() + 60000;
	struct queue_file file;
	int64_t next_ms;
	int fd;

	/* A message that is altered when it was sent already is sent once more. */
	while (crew->sent < 2 * MAILS && clock_mono_ms() < deadline_ms) {
		if (queue_take(crew->fixture.queue, queue_now_ms(), true, &file, &fd, &next_ms))
			submit(crew, &file, fd);
		else
			g_usleep(100);
	}
	return NULL;
}

static void test_threads(void)
{
	struct crew crew = {.lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t threads[3];

	fixture_init(&crew.fixture);
	g_assert_cmpint(pthread_create(&threads[0], NULL, submitter, &crew), ==, 0);
	g_assert_cmpint(pthread_create(&threads[1], NULL, client, &crew), ==, 0);
	g_assert_cmpint(pthread_create(&threads[2], NULL, client, &crew), ==, 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	g_assert_cmpuint(crew.sent, >=, 2 * MAILS);
	fixture_reopen(&crew.fixture);
	fixture_clear(&crew.fixture);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/queue/name", test_name);
	g_test_add_func("/queue/create", test_create);
	g_test_add_func("/queue/names", test_names);
	g_test_add_func("/queue/ids", test_ids);
	g_test_add_func("/queue/list", test_list);
	g_test_add_func("/queue/touched", test_touched);
	g_test_add_func("/queue/modes", test_modes);
	g_test_add_func("/queue/mtime", test_mtime);
	g_test_add_func("/queue/hand", test_hand);
	g_test_add_func("/queue/hand-scratch", test_hand_scratch);
	g_test_add_func("/queue/writers", test_writers);
	g_test_add_func("/queue/abandon", test_abandon);
	g_test_add_func("/queue/replace", test_replace);
	g_test_add_func("/queue/remove", test_remove);
	g_test_add_func("/queue/envelope", test_envelope);
	g_test_add_func("/queue/envelope-limit", test_envelope_limit);
	g_test_add_func("/queue/envelope-half", test_envelope_half);
	g_test_add_func("/queue/order", test_order);
	g_test_add_func("/queue/hurry", test_hurry);
	g_test_add_func("/queue/clock", test_clock);
	g_test_add_func("/queue/sent", test_sent);
	g_test_add_func("/queue/expire", test_expire);
	g_test_add_func("/queue/copies", test_copies);
	g_test_add_func("/queue/sent-reopened", test_sent_reopened);
	g_test_add_func("/queue/sending", test_sending);
	g_test_add_func("/queue/taken-back", test_taken_back);
	g_test_add_func("/queue/appended", test_appended);
	g_test_add_func("/queue/appended-untold", test_appended_untold);
	g_test_add_func("/queue/failed-again", test_failed_again);
	g_test_add_func("/queue/failed-names", test_failed_names);
	g_test_add_func("/queue/filed-stays", test_filed_stays);
	g_test_add_func("/queue/record", test_record);
	g_test_add_func("/queue/limit", test_limit);
	g_test_add_func("/queue/threads", test_threads);
	return g_test_run();
}
