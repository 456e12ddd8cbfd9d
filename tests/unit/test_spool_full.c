/* A disk that is full: what is asked for fails as such, but for removing what fills it. */
#include "spool_help.h"

#include "base/error.h"

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
	fixture_bind(fixture);
	return true;
}

static void small_clear(struct fixture *fixture)
{
	state_close(&fixture->state);
	g_assert_cmpint(umount(fixture->dir), ==, 0);
	g_assert_cmpint(rmdir(fixture->dir), ==, 0);
	g_free(fixture->dir);
}

static void fill(struct fixture *fixture, uint32_t id, int fd)
{
	char page[4096];

	memset(page, 'x', sizeof(page));
	g_assert_true(spool_touch(fixture->state, id, NULL));
	while (write(fd, page, sizeof(page)) > 0)
		;
	g_assert_cmpint(errno, ==, ENOSPC);
}

static void assert_full(struct fixture *fixture)
{
	struct change_request request = {.kind = CHANGE_FLAGS, .box = box_a, .uid = 2, .set = 8};
	g_autoptr(GError) change = NULL, name = NULL, file = NULL;

	g_assert_false(changes_add(fixture->state, &request, &change));
	g_assert_error(change, MAILFS_ERROR, ERROR_NO_SPACE);
	g_assert_cmpint(error_errno(change), ==, ENOSPC);
	g_assert_false(names_set(fixture->state, &box_a, 1, "x.eml", &name));
	g_assert_error(name, MAILFS_ERROR, ERROR_NO_SPACE);
	g_assert_cmpuint(spool_create(fixture->state, FOLDER, "Box", "s", &file), ==, 0);
	g_assert_error(file, MAILFS_ERROR, ERROR_NO_SPACE);
}

/* As kill -9 leaves it, and on a disk with room. */
static unsigned files_after_crash(const struct fixture *fixture)
{
	struct fixture other = {.dir = g_strconcat(fixture->dir, ".copy", NULL)};
	g_autofree char *command = g_strdup_printf("cp -a '%s' '%s'", fixture->dir, other.dir);
	g_autoptr(GPtrArray) files = NULL;
	unsigned pending;

	fixture_run(command);
	fixture_open(&other);
	fixture_bind(&other);
	files = spool_list(other.state, FOLDER);
	pending = state_pending(other.state) + count_files(&other, "lost");
	fixture_clear(&other);
	return (files ? files->len : 0) + pending;
}

static void test_remove(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	bool queued = false;
	int fd;

	if (!small_init(&fixture))
		return;
	uint32_t id = create(&fixture, "big.eml", &fd);

	fill(&fixture, id, fd);
	close(fd);
	g_assert_false(spool_close(fixture.state, id, true, &queued, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_NO_SPACE);
	g_clear_error(&error);
	assert_full(&fixture);
	g_assert_true(spool_remove(fixture.state, id, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(count_files(&fixture, "spool"), ==, 0);
	g_assert_null(spool_list(fixture.state, FOLDER));
	g_assert_cmpuint(files_after_crash(&fixture), ==, 0);
	/* There is room again. */
	assert_sent(&fixture, put(&fixture, "small.eml", "x\n"), "x\r\n");
	small_clear(&fixture);
}

/* A message that waits to be sent, with a stranger's file on the disk. */
static void test_remove_upload(void)
{
	struct fixture fixture;
	g_autofree char *path = NULL;
	g_autoptr(GError) error = NULL;
	char page[4096];

	if (!small_init(&fixture))
		return;
	memset(page, 'y', sizeof(page));
	uint32_t id = put(&fixture, "a.eml", "mail\n");

	path = g_build_filename(fixture.dir, "stranger", NULL);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	while (write(fd, page, sizeof(page)) > 0)
		;
	close(fd);
	assert_full(&fixture);
	g_assert_true(spool_remove(fixture.state, id, &error));
	g_assert_no_error(error);
	g_assert_false(has(&fixture, id, ".eml"));
	g_assert_cmpuint(state_pending(fixture.state), ==, 0);
	g_assert_cmpuint(files_after_crash(&fixture), ==, 0);
	small_clear(&fixture);
}

/* The bytes stay as long as somebody has them open: the record cannot be written at all. */
static void test_remove_open(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	bool queued = true;
	int fd;

	if (!small_init(&fixture))
		return;
	uint32_t id = create(&fixture, "big.eml", &fd);

	fill(&fixture, id, fd);
	g_assert_true(spool_remove(fixture.state, id, &error));
	g_assert_no_error(error);
	g_assert_null(spool_list(fixture.state, FOLDER));
	g_assert_cmpint(lseek(fd, 0, SEEK_END), >, 100000);
	g_assert_cmpuint(files_after_crash(&fixture), ==, 0);
	close(fd);
	g_assert_true(spool_close(fixture.state, id, true, &queued, NULL));
	g_assert_false(queued);
	put(&fixture, "big.eml", "another\n");
	g_assert_cmpuint(files_after_crash(&fixture), ==, 2); /* one file, pending */
	small_clear(&fixture);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	/* What is mounted here ends with this process. */
	if (unshare(CLONE_NEWNS) == 0)
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	g_test_add_func("/spool-full/remove", test_remove);
	g_test_add_func("/spool-full/remove-upload", test_remove_upload);
	g_test_add_func("/spool-full/remove-open", test_remove_open);
	return g_test_run();
}
