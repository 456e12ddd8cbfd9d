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
	g_test_add_func("/queue/record", test_record);
	g_test_add_func("/queue/limit", test_limit);
	return g_test_run();
}
