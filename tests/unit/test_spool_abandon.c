#include "state_help.h"

#include <unistd.h>

/* What becomes of files that somebody writes while the mount goes away. */

static uint32_t make_file(struct fixture *fixture, const char *name, const char *text, int *ret_fd)
{
	g_autoptr(GError) error = NULL;
	uint32_t id = spool_create(fixture->state, FOLDER, "Box", name, &error);

	g_assert_no_error(error);
	*ret_fd = spool_open(fixture->state, id, true, &error);
	g_assert_no_error(error);
	g_assert_true(spool_touch(fixture->state, id, &error));
	g_assert_cmpint(write(*ret_fd, text, strlen(text)), ==, (ssize_t)strlen(text));
	return id;
}

static void abandon(struct fixture *fixture, uint32_t id, bool queued)
{
	g_autoptr(GError) error = NULL;
	bool got = !queued;

	g_assert_true(spool_abandon(fixture->state, id, &got, &error));
	g_assert_no_error(error);
	g_assert_true(got == queued);
}

static void assert_step(struct fixture *fixture, uint32_t id, enum spool_step step, uint64_t size)
{
	struct spool_file file;

	g_assert_true(spool_get(fixture->state, id, &file));
	g_assert_cmpint(file.step, ==, step);
	g_assert_cmpuint(file.size, ==, size);
	spool_file_clear(&file);
}

/* Half a mail is no mail, also not after the next start. */
static void test_half_written(void)
{
	struct fixture fixture;
	uint32_t id;
	int fd;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	id = make_file(&fixture, "half.eml", "Subj", &fd);
	abandon(&fixture, id, false);
	close(fd);
	assert_step(&fixture, id, SPOOL_LOCAL, 4);
	fixture_reopen(&fixture);
	fixture_bind(&fixture);
	assert_step(&fixture, id, SPOOL_LOCAL, 4);
	fixture_clear(&fixture);
}

/* Its writer closed it, and only the news of that was lost. */
static void test_whole(void)
{
	g_autoptr(GError) error = NULL;
	struct fixture fixture;
	uint32_t id;
	int fd;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	id = make_file(&fixture, "whole.eml", "Subject: x\r\n", &fd);
	g_assert_true(spool_flush(fixture.state, id, &error));
	abandon(&fixture, id, true);
	close(fd);
	assert_step(&fixture, id, SPOOL_QUEUED, 12);
	fixture_clear(&fixture);
}

static void test_two_writers(void)
{
	g_autoptr(GError) error = NULL;
	struct fixture fixture;
	int fd, second;
	uint32_t id;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	id = make_file(&fixture, "two.eml", "Subject: x\r\n", &fd);
	second = spool_open(fixture.state, id, true, &error);
	g_assert_no_error(error);
	g_assert_true(spool_flush(fixture.state, id, &error));
	abandon(&fixture, id, false);
	assert_step(&fixture, id, SPOOL_LOCAL, 12);
	abandon(&fixture, id, true);
	assert_step(&fixture, id, SPOOL_QUEUED, 12);
	abandon(&fixture, id + 1, false);
	close(fd);
	close(second);
	fixture_clear(&fixture);
}

static void test_scratch(void)
{
	g_autoptr(GError) error = NULL;
	struct fixture fixture;
	uint32_t id;
	int fd;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	id = make_file(&fixture, ".x.swp", "abc", &fd);
	g_assert_true(spool_flush(fixture.state, id, &error));
	abandon(&fixture, id, false);
	close(fd);
	assert_step(&fixture, id, SPOOL_LOCAL, 3);
	fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/spool-abandon/half-written", test_half_written);
	g_test_add_func("/spool-abandon/whole", test_whole);
	g_test_add_func("/spool-abandon/two-writers", test_two_writers);
	g_test_add_func("/spool-abandon/scratch", test_scratch);
	return g_test_run();
}
