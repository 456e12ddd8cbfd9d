#include "base/error.h"
#include "spool_help.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

static void test_names(void)
{
	g_assert_true(spool_name_is_mail("a.eml"));
	g_assert_true(spool_name_is_mail("1041.x.eml"));
	g_assert_false(spool_name_is_mail(".eml"));
	g_assert_false(spool_name_is_mail(".a.eml"));
	g_assert_false(spool_name_is_mail("a.eml~"));
	g_assert_false(spool_name_is_mail("a.EML"));
	g_assert_false(spool_name_is_mail(""));
}

static void test_append(void)
{
	struct fixture fixture;
	struct spool_file file;
	g_autofree char *bytes = NULL, *name = NULL;
	int fd;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	uint32_t id = create(&fixture, "new.eml", &fd);

	g_assert_cmpint(state_touched_ns(fixture.state, FOLDER), >, 0);
	write_bytes(&fixture, id, fd, "A: b\n\nbody");
	file = get(&fixture, id);
	g_assert_cmpuint(file.writers, ==, 1);
	g_assert_cmpuint(file.size, ==, 10);
	g_assert_cmpstr(file.name, ==, "new.eml");
	spool_file_clear(&file);
	flush(&fixture, id);
	take_none(&fixture);
	g_assert_cmpuint(state_pending(fixture.state), ==, 0);
	g_assert_true(finish(&fixture, id, fd));
	g_assert_cmpuint(state_pending(fixture.state), ==, 1);
	g_assert_cmpuint(state_pending_of(fixture.state, FOLDER), ==, 1);
	g_assert_false(has(&fixture, id, ""));
	assert_sent(&fixture, id, "A: b\r\n\r\nbody\r\n");
	take_none(&fixture);
	g_assert_true(spool_mark(fixture.state, id, 7, 30, NULL));
	g_assert_true(spool_uploaded(fixture.state, id, 7, 30, 100, NULL));
	g_assert_cmpuint(state_pending(fixture.state), ==, 0);
	g_assert_cmpuint(names_find(fixture.state, EPOCH, "new.eml"), ==, 30);
	/* Readers have it from here until a listing has it. */
	g_assert_true(spool_find(fixture.state, FOLDER, "new.eml", &file));
	g_assert_cmpint(file.step, ==, SPOOL_UPLOADED);
	g_assert_cmpuint(file.uid, ==, 30);
	g_assert_cmpuint(file.size, ==, 14);
	spool_file_clear(&file);
	bytes = read_as_client(&fixture, id);
	g_assert_cmpstr(bytes, ==, "A: b\r\n\r\nbody\r\n");
	spool_refreshed(fixture.state, FOLDER, 99);
	g_assert_true(spool_get(fixture.state, id, &file));
	spool_file_clear(&file);
	spool_refreshed(fixture.state, FOLDER, 100);
	g_assert_false(spool_get(fixture.state, id, &file));
	g_assert_cmpuint(count_files(&fixture, "spool"), ==, 0);
	fixture_crash(&fixture, true);
	g_assert_null(spool_list(fixture.state, FOLDER));
	name = names_get(fixture.state, EPOCH, 30);
	g_assert_cmpstr(name, ==, "new.eml");
	fixture_clear(&fixture);
}

static void test_line_ends(void)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"a", "a\r\n"},
		{"a\n", "a\r\n"},
		{"a\r\n", "a\r\n"},
		{"a\r", "a\r\n"},
		{"a\n\nb\n", "a\r\n\r\nb\r\n"},
		{"a\r\rb", "a\r\n\r\nb\r\n"},
		{"a\r\n\r\nb", "a\r\n\r\nb\r\n"},
		{"a\n\r\nb\r\n", "a\r\n\r\nb\r\n"},
		{"a\r\r\nb", "a\r\n\r\nb\r\n"},
		{"\n", "\r\n"},
		{"\r", "\r\n"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct fixture fixture;

		fixture_init(&fixture);
		uint32_t id = put(&fixture, "a.eml", cases[i].in);

		assert_sent(&fixture, id, cases[i].out);
		fixture_clear(&fixture);
	}
}

/* The border of the buffer within, before and behind a CRLF. */
static void test_buffer_borders(void)
{
	for (size_t before = 65533; before <= 65538; before++) {
		static const char *const ends[] = {"\r\n", "\n", "\r"};

		for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
			struct fixture fixture;
			g_autofree char *line = g_strnfill(before, 'x');
			g_autofree char *in = g_strconcat(line, ends[i], "end", NULL);
			g_autofree char *out = g_strconcat(line, "\r\nend\r\n", NULL);

			fixture_init(&fixture);
			uint32_t id = put(&fixture, "a.eml", in);

			assert_sent(&fixture, id, out);
			fixture_clear(&fixture);
		}
	}
}

static void test_nul(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	struct spool_file file;
	bool queued = true;
	int fd;

	fixture_init(&fixture);
	uint32_t id = create(&fixture, "a.eml", &fd);

	g_assert_true(spool_touch(fixture.state, id, NULL));
	g_assert_cmpint(write(fd, "a\0b", 3), ==, 3);
	close(fd);
	g_assert_false(spool_close(fixture.state, id, true, &queued, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_REFUSED);
	file = get(&fixture, id);
	g_assert_cmpint(file.step, ==, SPOOL_FAILED);
	g_assert_cmpint(file.error, ==, EINVAL);
	g_assert_cmpstr(file.reason, ==, "it holds a NUL byte");
	spool_file_clear(&file);
	g_assert_cmpuint(state_pending(fixture.state), ==, 0);
	spool_retry(fixture.state);
	take_none(&fixture);
	fixture_crash(&fixture, true);
	assert_step(&fixture, id, SPOOL_FAILED);
	/* Mended. */
	fd = spool_open(fixture.state, id, true, NULL);
	assert_step(&fixture, id, SPOOL_LOCAL);
	g_assert_true(spool_touch(fixture.state, id, NULL));
	g_assert_cmpint(ftruncate(fd, 1), ==, 0);
	g_assert_true(finish(&fixture, id, fd));
	assert_sent(&fixture, id, "a\r\n");
	fixture_clear(&fixture);
}

static void test_local(void)
{
	static const char *const names[] = {"notes.txt", ".hidden.eml", "a.eml~"};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		struct fixture fixture;
		int fd;

		fixture_init(&fixture);
		uint32_t id = create(&fixture, names[i], &fd);

		write_bytes(&fixture, id, fd, "a\nb");
		flush(&fixture, id);
		g_assert_false(finish(&fixture, id, fd));
		take_none(&fixture);
		fixture_crash(&fixture, true);
		take_none(&fixture);

		g_autofree char *bytes = read_as_client(&fixture, id);

		g_assert_cmpstr(bytes, ==, "a\nb");
		fixture_clear(&fixture);
	}
}

static void test_empty(void)
{
	struct fixture fixture;
	int fd;

	fixture_init(&fixture);
	uint32_t id = create(&fixture, "a.eml", &fd);

	flush(&fixture, id);
	g_assert_false(finish(&fixture, id, fd));
	assert_step(&fixture, id, SPOOL_LOCAL);
	fixture_crash(&fixture, true);
	assert_step(&fixture, id, SPOOL_LOCAL);
	fd = spool_open(fixture.state, id, true, NULL);
	write_bytes(&fixture, id, fd, "x");
	g_assert_true(finish(&fixture, id, fd));
	fixture_clear(&fixture);
}

static void test_writers(void)
{
	struct fixture fixture;
	bool queued = true;
	int one, two, reader;

	fixture_init(&fixture);
	uint32_t id = create(&fixture, "a.eml", &one);

	two = spool_open(fixture.state, id, true, NULL);
	reader = spool_open(fixture.state, id, false, NULL);
	write_bytes(&fixture, id, one, "a");
	g_assert_false(finish(&fixture, id, one));
	g_assert_true(spool_close(fixture.state, id, false, &queued, NULL));
	g_assert_false(queued);
	close(reader);
	assert_step(&fixture, id, SPOOL_LOCAL);
	g_assert_true(finish(&fixture, id, two));
	fixture_clear(&fixture);
}

static void test_taken_back(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a.eml", "one\n");
	int fd = spool_open(fixture.state, id, true, NULL);

	take_none(&fixture);
	assert_step(&fixture, id, SPOOL_LOCAL);
	g_assert_false(has(&fixture, id, ".eml"));
	g_assert_cmpint(lseek(fd, 0, SEEK_END), ==, 5);
	write_bytes(&fixture, id, fd, "two");
	g_assert_true(finish(&fixture, id, fd));
	assert_sent(&fixture, id, "one\r\ntwo\r\n");
	g_assert_cmpint(spool_open(fixture.state, id, true, &error), ==, -1);
	g_assert_error(error, MAILFS_ERROR, ERROR_BUSY);
	g_clear_error(&error);
	g_assert_false(spool_remove(fixture.state, id, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_BUSY);
	g_clear_error(&error);
	spool_fail(fixture.state, id, EDQUOT, "over quota");
	fd = spool_open(fixture.state, id, true, NULL);
	g_assert_true(finish(&fixture, id, fd));
	g_free(take(&fixture, id));
	g_assert_true(spool_uploaded(fixture.state, id, 7, 9, 5, NULL));
	g_assert_cmpint(spool_open(fixture.state, id, true, &error), ==, -1);
	g_assert_error(error, MAILFS_ERROR, ERROR_READ_ONLY);
	fixture_clear(&fixture);
}

/* fsync while the file stays open. */
static void test_sealed_open(void)
{
	struct fixture fixture;
	struct spool_file file;
	bool queued = false;
	int fd;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	uint32_t id = create(&fixture, "a.eml", &fd);

	write_bytes(&fixture, id, fd, "one\n");
	g_assert_true(spool_seal(fixture.state, id, &queued, NULL));
	g_assert_true(queued);
	assert_step(&fixture, id, SPOOL_QUEUED);
	/* Not sent yet: it never was. */
	write_bytes(&fixture, id, fd, "two\n");
	assert_step(&fixture, id, SPOOL_LOCAL);
	g_assert_true(spool_seal(fixture.state, id, &queued, NULL));
	assert_sent(&fixture, id, "one\r\ntwo\r\n");
	g_assert_false(spool_touch(fixture.state, id, NULL));
	g_assert_true(spool_mark(fixture.state, id, 7, 30, NULL));
	g_assert_false(spool_touch(fixture.state, id, NULL));
	g_assert_true(spool_uploaded(fixture.state, id, 7, 30, 100, NULL));
	spool_refreshed(fixture.state, FOLDER, 200);
	g_assert_false(spool_find(fixture.state, FOLDER, "a.eml", &file));
	/* Sent and listed: what comes now is another message. */
	write_bytes(&fixture, id, fd, "three\n");
	g_assert_true(spool_find(fixture.state, FOLDER, "a.eml", &file));
	g_assert_cmpint(file.step, ==, SPOOL_LOCAL);
	g_assert_cmpuint(file.former_uid, ==, 30);
	g_assert_cmpuint(file.former_uidvalidity, ==, 7);
	spool_file_clear(&file);
	flush(&fixture, id);
	fixture_crash(&fixture, true);
	close(fd);
	file = get(&fixture, id);
	g_assert_cmpint(file.step, ==, SPOOL_QUEUED);
	g_assert_cmpuint(file.former_uid, ==, 30);
	spool_file_clear(&file);
	assert_sent(&fixture, id, "one\r\ntwo\r\nthree\r\n");
	fixture_clear(&fixture);
}

/* The message was renamed meanwhile: what comes goes by its name, if that is one for mail. */
static void test_sealed_renamed(void)
{
	static const char *const names[][2] = {{"o2.eml", "o2.eml"}, {"o2", "a.eml"}};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		struct fixture fixture;
		bool queued;
		int fd;

		fixture_init(&fixture);
		fixture_bind(&fixture);
		uint32_t id = create(&fixture, "a.eml", &fd);

		write_bytes(&fixture, id, fd, "one\n");
		g_assert_true(spool_seal(fixture.state, id, &queued, NULL));
		g_free(take(&fixture, id));
		g_assert_true(spool_uploaded(fixture.state, id, 7, 30, 100, NULL));
		spool_refreshed(fixture.state, FOLDER, 200);
		g_assert_true(names_set(fixture.state, &box_a, 30, names[i][0], NULL));
		write_bytes(&fixture, id, fd, "two\n");
		flush(&fixture, id);
		fixture_crash(&fixture, true);
		close(fd);
		struct spool_file file = get(&fixture, id);

		g_assert_cmpstr(file.name, ==, names[i][1]);
		spool_file_clear(&file);
		assert_sent(&fixture, id, "one\r\ntwo\r\n");
		fixture_clear(&fixture);
	}
}

/* fsync, then nothing more: dd conv=fsync. */
static void test_sealed_closed(void)
{
	struct fixture fixture;
	struct spool_file file;
	bool queued = false;
	int fd;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	uint32_t id = create(&fixture, "a.eml", &fd);

	write_bytes(&fixture, id, fd, "one\n");
	g_assert_true(spool_seal(fixture.state, id, &queued, NULL));
	g_free(take(&fixture, id));
	g_assert_true(spool_uploaded(fixture.state, id, 7, 30, 100, NULL));
	/* Killed now: nothing is sent again, and nothing is taken for lost. */
	fixture_crash(&fixture, true);
	g_assert_cmpuint(count_files(&fixture, "spool"), ==, 0);
	g_assert_cmpuint(count_files(&fixture, "lost"), ==, 0);
	take_none(&fixture);
	close(fd);
	id = create(&fixture, "b.eml", &fd);
	write_bytes(&fixture, id, fd, "one\n");
	g_assert_true(spool_seal(fixture.state, id, &queued, NULL));
	g_free(take(&fixture, id));
	g_assert_true(spool_uploaded(fixture.state, id, 7, 31, 100, NULL));
	g_assert_true(spool_find(fixture.state, FOLDER, "b.eml", &file));
	spool_file_clear(&file);
	spool_refreshed(fixture.state, FOLDER, 100);
	g_assert_false(spool_find(fixture.state, FOLDER, "b.eml", &file));
	g_assert_false(finish(&fixture, id, fd));
	g_assert_cmpuint(count_files(&fixture, "spool"), ==, 0);
	fixture_clear(&fixture);
}

static void test_unknown_uid(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	bool queued;
	int fd;

	fixture_init(&fixture);
	uint32_t id = create(&fixture, "a.eml", &fd);

	write_bytes(&fixture, id, fd, "one\n");
	g_assert_true(spool_seal(fixture.state, id, &queued, NULL));
	g_free(take(&fixture, id));
	g_assert_true(spool_uploaded(fixture.state, id, 7, 0, 100, NULL));
	g_assert_false(spool_touch(fixture.state, id, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_READ_ONLY);
	g_assert_false(finish(&fixture, id, fd));
	fixture_clear(&fixture);
}

static void test_rename(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	struct spool_file file;
	bool queued = false;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, ".tmp.eml.x1", "a\n");
	uint32_t other = put(&fixture, "other", "o\n");

	g_assert_false(spool_rename(fixture.state, id, FOLDER, "Box", "other", &queued, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_EXISTS);
	g_assert_true(spool_rename(fixture.state, id, TARGET, "Other", "a.eml", &queued, NULL));
	g_assert_true(queued);
	g_assert_false(spool_find(fixture.state, FOLDER, ".tmp.eml.x1", &file));
	g_assert_true(spool_find(fixture.state, TARGET, "a.eml", &file));
	g_assert_cmpstr(file.mailbox, ==, "Other");
	spool_file_clear(&file);
	/* Back: nothing was sent. */
	g_assert_true(spool_rename(fixture.state, id, FOLDER, "Box", "a", &queued, NULL));
	g_assert_false(queued);
	take_none(&fixture);
	assert_step(&fixture, id, SPOOL_LOCAL);
	g_assert_true(spool_rename(fixture.state, id, FOLDER, "Box", "a.eml", &queued, NULL));
	g_assert_true(spool_rename(fixture.state, id, FOLDER, "Box", "b.eml", &queued, NULL));
	g_assert_true(queued);
	g_assert_true(spool_rename(fixture.state, id, FOLDER, "Box", "b.eml", &queued, NULL));
	fixture_crash(&fixture, true);
	assert_sent(&fixture, id, "a\r\n");
	assert_step(&fixture, other, SPOOL_LOCAL);
	spool_fail(fixture.state, id, EFBIG, "too big");
	g_assert_true(spool_rename(fixture.state, id, FOLDER, "Box", "c.eml", &queued, NULL));
	g_assert_true(queued);
	assert_sent(&fixture, id, "a\r\n");
	g_assert_false(spool_rename(fixture.state, id, FOLDER, "Box", "d.eml", &queued, NULL));
	fixture_clear(&fixture);
}

/* A name that cannot become mail leaves all as it was. */
static void test_rename_refused(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	struct spool_file file;
	bool queued;
	int fd;

	fixture_init(&fixture);
	uint32_t id = create(&fixture, "a", &fd);

	g_assert_true(spool_touch(fixture.state, id, NULL));
	g_assert_cmpint(write(fd, "\0", 1), ==, 1);
	finish(&fixture, id, fd);
	g_assert_false(spool_rename(fixture.state, id, FOLDER, "Box", "a.eml", &queued, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_REFUSED);
	file = get(&fixture, id);
	g_assert_cmpint(file.step, ==, SPOOL_LOCAL);
	g_assert_cmpstr(file.name, ==, "a");
	spool_file_clear(&file);
	fixture_clear(&fixture);
}

static void test_rename_open(void)
{
	struct fixture fixture;
	bool queued = true;
	int fd;

	fixture_init(&fixture);
	uint32_t id = create(&fixture, "a", &fd);

	write_bytes(&fixture, id, fd, "x\n");
	g_assert_true(spool_rename(fixture.state, id, FOLDER, "Box", "a.eml", &queued, NULL));
	g_assert_false(queued);
	g_assert_true(finish(&fixture, id, fd));
	fixture_clear(&fixture);
}

static void test_remove(void)
{
	struct fixture fixture;
	struct spool_file file;
	bool queued = true;
	char byte;
	int fd;

	fixture_init(&fixture);
	uint32_t id = create(&fixture, "a.eml", &fd);

	write_bytes(&fixture, id, fd, "x");
	g_assert_true(spool_remove(fixture.state, id, NULL));
	g_assert_false(spool_get(fixture.state, id, &file));
	g_assert_false(spool_find(fixture.state, FOLDER, "a.eml", &file));
	/* Who has it open carries on. */
	write_bytes(&fixture, id, fd, "y");
	g_assert_cmpint(pread(fd, &byte, 1, 1), ==, 1);
	flush(&fixture, id);
	g_assert_true(spool_seal(fixture.state, id, &queued, NULL));
	g_assert_false(queued);
	g_assert_false(finish(&fixture, id, fd));
	g_assert_cmpuint(count_files(&fixture, "spool"), ==, 0);
	id = put(&fixture, "a.eml", "x");
	g_assert_true(spool_remove(fixture.state, id, NULL));
	g_assert_cmpuint(state_pending(fixture.state), ==, 0);
	g_assert_cmpuint(count_files(&fixture, "spool"), ==, 0);
	g_assert_false(spool_remove(fixture.state, id, NULL));
	fixture_crash(&fixture, true);
	g_assert_null(spool_list(fixture.state, FOLDER));
	g_assert_cmpuint(count_files(&fixture, "lost"), ==, 0);
	fixture_clear(&fixture);
}

static void test_mtime(void)
{
	static const int64_t times[] = {1000000000123456789, 0, -1500000000};

	for (size_t i = 0; i < G_N_ELEMENTS(times); i++) {
		struct fixture fixture;
		struct spool_file file;
		int fd;

		fixture_init(&fixture);
		uint32_t id = create(&fixture, "a.eml", &fd);

		write_bytes(&fixture, id, fd, "x");
		flush(&fixture, id);
		g_assert_true(spool_set_mtime(fixture.state, id, times[i], NULL));
		finish(&fixture, id, fd);
		fixture_crash(&fixture, true);
		g_assert_true(spool_take(fixture.state, 0, &file, &fd));
		g_assert_cmpint(file.mtime_ns, ==, times[i]);
		spool_file_clear(&file);
		close(fd);
		g_assert_true(spool_set_mtime(fixture.state, id, 5, NULL));
		file = get(&fixture, id);
		g_assert_cmpint(file.mtime_ns, ==, 5);
		spool_file_clear(&file);
		fixture_clear(&fixture);
	}
}

static void test_failed(void)
{
	struct fixture fixture;
	struct spool_file file;
	bool queued = false;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a.eml", "x");

	g_free(take(&fixture, id));
	spool_defer(fixture.state, id, 1001);
	take_none(&fixture);
	int fd;

	g_assert_true(spool_take(fixture.state, 1001, &file, &fd));
	g_assert_cmpuint(file.tries, ==, 1);
	spool_file_clear(&file);
	close(fd);
	spool_fail(fixture.state, id, EDQUOT, "the server says 'no'");
	g_assert_cmpuint(state_pending_of(fixture.state, FOLDER), ==, 0);
	fixture_crash(&fixture, true);
	file = get(&fixture, id);
	g_assert_cmpint(file.error, ==, EDQUOT);
	g_assert_cmpstr(file.reason, ==, "the server says 'no'");
	spool_file_clear(&file);
	spool_retry(fixture.state);
	assert_sent(&fixture, id, "x\r\n");
	spool_fail(fixture.state, id, EDQUOT, NULL);
	g_assert_true(spool_seal(fixture.state, id, &queued, NULL));
	g_assert_true(queued);
	assert_sent(&fixture, id, "x\r\n");
	fixture_clear(&fixture);
}

static void test_unknown(void)
{
	struct fixture fixture;
	struct spool_file file;
	int fd;

	fixture_init(&fixture);
	uint32_t id = put(&fixture, "a.eml", "x");

	g_free(take(&fixture, id));
	g_assert_true(spool_mark(fixture.state, id, 7, 31, NULL));
	fixture_crash(&fixture, true);
	g_assert_true(spool_take(fixture.state, 0, &file, &fd));
	close(fd);
	g_assert_true(file.unknown);
	g_assert_cmpint(file.step, ==, SPOOL_MARKED);
	g_assert_cmpuint(file.mark_uidnext, ==, 31);
	g_assert_cmpuint(file.mark_uidvalidity, ==, 7);
	spool_file_clear(&file);
	g_assert_true(spool_requeue(fixture.state, id, NULL));
	g_assert_true(spool_take(fixture.state, 0, &file, &fd));
	close(fd);
	g_assert_false(file.unknown);
	g_assert_cmpint(file.step, ==, SPOOL_QUEUED);
	spool_file_clear(&file);
	g_assert_true(spool_mark(fixture.state, id, 7, 31, NULL));
	spool_set_unknown(fixture.state, id);
	spool_defer(fixture.state, id, 0);
	g_assert_true(spool_take(fixture.state, 0, &file, &fd));
	close(fd);
	g_assert_true(file.unknown);
	spool_file_clear(&file);
	fixture_clear(&fixture);
}

static void test_order(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	uint32_t one = put(&fixture, "1.eml", "1"), two = put(&fixture, "2.eml", "2");
	g_autoptr(GPtrArray) files = spool_list(fixture.state, FOLDER);

	g_assert_cmpuint(files->len, ==, 2);
	g_assert_cmpuint(((struct spool_file *)g_ptr_array_index(files, 0))->id, ==, one);
	g_assert_null(spool_list(fixture.state, TARGET));
	assert_sent(&fixture, one, "1\r\n");
	assert_sent(&fixture, two, "2\r\n");
	spool_defer(fixture.state, one, 5000);
	spool_defer(fixture.state, two, 0);
	assert_sent(&fixture, two, "2\r\n");
	take_none(&fixture);
	fixture_clear(&fixture);
}

static void test_taken_names(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	struct change_request request = {.kind = CHANGE_MOVE,
					 .box = box_b,
					 .uid = 3,
					 .target = FOLDER,
					 .target_mailbox = "Box",
					 .name = "guest.eml"};

	fixture_init(&fixture);
	put(&fixture, "a.eml", "1");
	g_assert_cmpuint(spool_create(fixture.state, FOLDER, "Box", "a.eml", &error), ==, 0);
	g_assert_error(error, MAILFS_ERROR, ERROR_EXISTS);
	g_clear_error(&error);
	g_assert_true(changes_add(fixture.state, &request, NULL));
	g_assert_cmpuint(spool_create(fixture.state, FOLDER, "Box", "guest.eml", &error), ==, 0);
	g_assert_error(error, MAILFS_ERROR, ERROR_EXISTS);
	g_clear_error(&error);
	request.uid = 4;
	request.name = "a.eml";
	g_assert_false(changes_add(fixture.state, &request, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_EXISTS);
	fixture_clear(&fixture);
}

/* The disk is full when it is closed, and not later. */
static void test_stuck(void)
{
	struct fixture fixture;
	struct rlimit old, none;
	bool queued;
	int fd;

	fixture_init(&fixture);
	uint32_t id = create(&fixture, "a.eml", &fd);

	write_bytes(&fixture, id, fd, "x\n");
	close(fd);
	getrlimit(RLIMIT_FSIZE, &old);
	none = old;
	none.rlim_cur = 0;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &none);
	bool closed = spool_close(fixture.state, id, true, &queued, NULL);

	spool_retry(fixture.state);
	setrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, SIG_DFL);
	g_assert_false(closed);
	assert_step(&fixture, id, SPOOL_LOCAL);
	g_assert_false(has(&fixture, id, ".eml.tmp"));
	spool_retry(fixture.state);
	assert_sent(&fixture, id, "x\r\n");
	fixture_clear(&fixture);
}

static void test_upload_missing(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	uint32_t gone = put(&fixture, "1.eml", "1"), fine = put(&fixture, "2.eml", "2");
	g_autofree char *path = path_of(&fixture, gone, ".eml");

	unlink(path);
	assert_sent(&fixture, fine, "2\r\n");
	assert_step(&fixture, gone, SPOOL_FAILED);
	fixture_clear(&fixture);
}

/* --- threads --- */

enum { WRITERS = 3, EACH = 15 };

struct writer {
	struct fixture *fixture;
	int number;
};

static void *write_files(void *data)
{
	const struct writer *writer = data;

	for (int i = 0; i < EACH; i++) {
		g_autofree char *name = g_strdup_printf("%d-%d.eml", writer->number, i);
		g_autoptr(GPtrArray) seen = NULL;
		bool queued;
		int fd;
		uint32_t id = create(writer->fixture, name, &fd);

		write_bytes(writer->fixture, id, fd, "one\n");
		if (i % 2)
			g_assert_true(spool_seal(writer->fixture->state, id, &queued, NULL));
		if (spool_touch(writer->fixture->state, id, NULL))
			g_assert_cmpint(write(fd, "two\n", 4), ==, 4);
		seen = spool_list(writer->fixture->state, FOLDER);
		close(fd);
		g_assert_true(spool_close(writer->fixture->state, id, true, &queued, NULL));
	}
	return NULL;
}

static unsigned send_all(struct fixture *fixture)
{
	struct spool_file file;
	unsigned n = 0;
	int fd;

	while (spool_take(fixture->state, 0, &file, &fd)) {
		close(fd);
		g_assert_true(spool_mark(fixture->state, file.id, 7, file.id, NULL));
		g_assert_true(spool_uploaded(fixture->state, file.id, 7, file.id, 1, NULL));
		spool_file_clear(&file);
		spool_refreshed(fixture->state, FOLDER, 1);
		n++;
	}
	return n;
}

static void test_threads(void)
{
	struct fixture fixture;
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];
	unsigned sent = 0;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){&fixture, i};
		g_assert_cmpint(pthread_create(&threads[i], NULL, write_files, &writers[i]), ==, 0);
	}
	while (sent < WRITERS * EACH / 2)
		sent += send_all(&fixture);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	sent += send_all(&fixture);
	/* What was sent while it was open, and written to after, is sent once more. */
	g_assert_cmpuint(sent, >=, WRITERS * EACH);
	g_assert_cmpuint(sent, <=, 2 * WRITERS * EACH);
	g_assert_cmpuint(count_files(&fixture, "spool"), ==, 0);
	fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/spool/names", test_names);
	g_test_add_func("/spool/append", test_append);
	g_test_add_func("/spool/line-ends", test_line_ends);
	g_test_add_func("/spool/buffer-borders", test_buffer_borders);
	g_test_add_func("/spool/nul", test_nul);
	g_test_add_func("/spool/local", test_local);
	g_test_add_func("/spool/empty", test_empty);
	g_test_add_func("/spool/writers", test_writers);
	g_test_add_func("/spool/taken-back", test_taken_back);
	g_test_add_func("/spool/sealed-open", test_sealed_open);
	g_test_add_func("/spool/sealed-renamed", test_sealed_renamed);
	g_test_add_func("/spool/sealed-closed", test_sealed_closed);
	g_test_add_func("/spool/unknown-uid", test_unknown_uid);
	g_test_add_func("/spool/rename", test_rename);
	g_test_add_func("/spool/rename-refused", test_rename_refused);
	g_test_add_func("/spool/rename-open", test_rename_open);
	g_test_add_func("/spool/remove", test_remove);
	g_test_add_func("/spool/mtime", test_mtime);
	g_test_add_func("/spool/failed", test_failed);
	g_test_add_func("/spool/unknown", test_unknown);
	g_test_add_func("/spool/order", test_order);
	g_test_add_func("/spool/taken-names", test_taken_names);
	g_test_add_func("/spool/stuck", test_stuck);
	g_test_add_func("/spool/upload-missing", test_upload_missing);
	g_test_add_func("/spool/threads", test_threads);
	return g_test_run();
}
