/* The queue on disk: what the submitter does with it. */
#include "queue_help.h"

#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>

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
	g_assert_true(set_copy(&fixture, wanted, QUEUE_COPY_FILED, NULL));
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
	g_assert_cmpuint(queue_next_copy(fixture.queue), ==, 0);
	put_sent(&fixture, "a.eml", QUEUE_COPY_NONE);
	uint32_t id = put_sent(&fixture, "b.eml", QUEUE_COPY_WANTED);

	g_assert_true(set_copy(&fixture, id, QUEUE_COPY_WANTED, "x.eml"));
	fixture_reopen(&fixture);
	g_assert_cmpuint(queue_next_copy(fixture.queue), ==, id);
	struct queue_file file = get(&fixture, id);

	g_assert_cmpstr(file.info.copy_name, ==, "x.eml");
	queue_file_clear(&file);
	assert_text(&fixture, id, "sent\n");
	g_assert_true(set_copy(&fixture, id, QUEUE_COPY_FILED, NULL));
	g_assert_cmpuint(queue_next_copy(fixture.queue), ==, 0);
	/* None is wanted any more. */
	g_assert_false(set_copy(&fixture, id, QUEUE_COPY_FILED, NULL));
	file = get(&fixture, id);
	file.id += 9;
	g_assert_cmpint(queue_read(fixture.queue, &file), ==, -1);
	queue_file_clear(&file);
	fixture_clear(&fixture);
}

/* Those of which some have it already; not while it is in hand. */
static void test_copies_early(void)
{
	struct fixture fixture;
	int64_t next_ms;
	int fd;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a.eml", "a\n");
	struct queue_file file = take(&fixture, id);

	file.info.copy = QUEUE_COPY_WANTED;
	commit(&fixture, &file);
	g_assert_cmpuint(queue_next_copy(fixture.queue), ==, 0);
	finish(&fixture, &file, QUEUE_WAITING);
	g_assert_cmpuint(queue_next_copy(fixture.queue), ==, id);
	g_assert_true(queue_take(fixture.queue, INT64_MAX, false, &file, &fd, &next_ms));
	close(fd);
	g_assert_cmpuint(queue_next_copy(fixture.queue), ==, 0);
	finish(&fixture, &file, QUEUE_FAILED);
	g_assert_cmpuint(queue_next_copy(fixture.queue), ==, id);
	g_assert_true(queue_remove(fixture.queue, id, NULL));
	g_assert_cmpuint(queue_next_copy(fixture.queue), ==, 0);
	fixture_clear(&fixture);
}

static bool note_one(void *data, const struct queue_file *file)
{
	g_string_append_printf(data, "%s ", file->name);
	return strcmp(file->name, "stop.eml") != 0;
}

static void test_pending(void)
{
	g_autoptr(GString) names = g_string_new(NULL);
	struct fixture fixture;
	int fd;

	fixture_init(&fixture);
	g_assert_true(queue_pending_all(fixture.queue, note_one, names));
	create(&fixture, "draft.eml", &fd);
	close(fd);
	put_sent(&fixture, "sent.eml", QUEUE_COPY_NONE);
	put_failed(&fixture, "failed.eml");
	struct queue_file file = take(&fixture, put(&fixture, "a.eml", "a\n"));

	put(&fixture, "b.eml", "b\n");
	commit(&fixture, &file);
	put(&fixture, "c.eml", "c\n");
	g_assert_true(queue_pending_all(fixture.queue, note_one, names));
	g_assert_cmpstr(names->str, ==, "a.eml b.eml c.eml ");
	g_assert_cmpuint(queue_pending(fixture.queue), ==, 3);
	g_string_truncate(names, 0);
	put(&fixture, "stop.eml", "d\n");
	put(&fixture, "e.eml", "e\n");
	g_assert_false(queue_pending_all(fixture.queue, note_one, names));
	g_assert_cmpstr(names->str, ==, "a.eml b.eml c.eml stop.eml ");
	queue_file_clear(&file);
	fixture_clear(&fixture);
}

/* What was sent and is written to anew is a new mail; the copy of the old one is not lost. */
static void test_sent_reopened(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;

	fixture_init(&fixture);
	uint32_t id = put_sent(&fixture, "a.eml", QUEUE_COPY_WANTED);
	struct queue_file sent = get(&fixture, id);

	g_assert_true(queue_has(fixture.queue, &sent));
	int fd = open_writer(&fixture, id);
	struct queue_file file = get(&fixture, id);

	/* Who has the copy in hand does not take the new one for it. */
	g_assert_false(queue_has(fixture.queue, &sent));
	g_assert_cmpint(queue_read(fixture.queue, &sent), ==, -1);
	g_assert_false(queue_set_copy(fixture.queue, &sent, QUEUE_COPY_FILED, NULL, &error));
	assert_error(&error, ERROR_GONE);
	g_assert_cmpint(file.info.copy, ==, QUEUE_COPY_NONE);
	queue_file_clear(&sent);

	g_assert_cmpint(file.step, ==, QUEUE_DRAFT);
	g_assert_cmpuint(file.size, ==, 0);
	g_assert_cmpuint(file.info.recipients->len, ==, 0);
	queue_file_clear(&file);
	append(&fixture, id, fd, "again\n");
	g_assert_true(finish_writer(&fixture, id, fd));
	g_assert_cmpuint(find(&fixture, false, "a.eml"), ==, id);
	assert_text(&fixture, id, "again\n");
	uint32_t copy = queue_next_copy(fixture.queue);

	g_assert_cmpuint(copy, >, id);
	file = get(&fixture, copy);
	g_assert_cmpuint(file.info.recipients->len, ==, 1);
	queue_file_clear(&file);
	assert_text(&fixture, copy, "sent\n");
	g_assert_cmpuint(put(&fixture, "b.eml", "b\n"), >, copy);
	/* By its number alone, when the name is another's. */
	g_assert_cmpint(queue_open_file(fixture.queue, copy, true, &error), ==, -1);
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
	commit(&fixture, &file);
	g_assert_cmpuint(queue_next_copy(fixture.queue), ==, 0);
	g_assert_true(set_copy(&fixture, id, QUEUE_COPY_FILED, "c.eml"));
	finish(&fixture, &file, QUEUE_SENT);
	g_assert_cmpuint(queue_next_copy(fixture.queue), ==, 0);
	file = get(&fixture, id);
	g_assert_cmpint(file.info.copy, ==, QUEUE_COPY_FILED);
	g_assert_cmpstr(file.info.copy_name, ==, "c.eml");
	queue_file_clear(&file);
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
	if (queue_commit(crew->fixture.queue, file, &error)) {
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
	g_test_add_func("/queue-submit/order", test_order);
	g_test_add_func("/queue-submit/hurry", test_hurry);
	g_test_add_func("/queue-submit/clock", test_clock);
	g_test_add_func("/queue-submit/sent", test_sent);
	g_test_add_func("/queue-submit/expire", test_expire);
	g_test_add_func("/queue-submit/copies", test_copies);
	g_test_add_func("/queue-submit/copies-early", test_copies_early);
	g_test_add_func("/queue-submit/pending", test_pending);
	g_test_add_func("/queue-submit/sent-reopened", test_sent_reopened);
	g_test_add_func("/queue-submit/sending", test_sending);
	g_test_add_func("/queue-submit/taken-back", test_taken_back);
	g_test_add_func("/queue-submit/appended", test_appended);
	g_test_add_func("/queue-submit/appended-untold", test_appended_untold);
	g_test_add_func("/queue-submit/failed-again", test_failed_again);
	g_test_add_func("/queue-submit/failed-names", test_failed_names);
	g_test_add_func("/queue-submit/filed-stays", test_filed_stays);
	g_test_add_func("/queue-submit/threads", test_threads);
	return g_test_run();
}
