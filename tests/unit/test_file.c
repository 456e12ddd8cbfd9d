#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *dir_new(void)
{
	char *dir = g_dir_make_tmp("mailfs-test-XXXXXX", NULL);

	g_assert_nonnull(dir);
	return dir;
}

static void dir_remove(const char *dir)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(file_remove_tree(dir, &error));
	g_assert_no_error(error);
	g_assert_false(g_file_test(dir, G_FILE_TEST_EXISTS));
}

static char *file_put(const char *dir, const char *name, const char *text)
{
	char *path = g_build_filename(dir, name, NULL);

	g_assert_true(
		g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
	return path;
}

static mode_t mode_of(const char *path)
{
	struct stat stat;

	g_assert_cmpint(lstat(path, &stat), ==, 0);
	return stat.st_mode & 07777;
}

static void test_private_dir(void)
{
	g_autofree char *dir = dir_new();
	g_autofree char *deep = g_build_filename(dir, "a", "b", "c", NULL);
	g_autofree char *link = g_build_filename(dir, "link", NULL);
	g_autofree char *file = file_put(dir, "file", "");
	g_autoptr(GError) error = NULL;

	g_assert_true(file_make_private_dir(deep, &error));
	g_assert_cmpint(mode_of(deep), ==, 0700);
	g_assert_cmpint(chmod(deep, 0755), ==, 0);
	g_assert_true(file_make_private_dir(deep, &error));
	g_assert_cmpint(mode_of(deep), ==, 0700);
	g_assert_no_error(error);

	g_assert_cmpint(symlink(deep, link), ==, 0);
	g_assert_false(file_make_private_dir(link, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	g_clear_error(&error);
	g_assert_false(file_make_private_dir(file, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	dir_remove(dir);
}

static void test_foreign_dir(void)
{
	g_autofree char *dir = dir_new();
	g_autoptr(GError) error = NULL;

	if (geteuid() != 0 || chown(dir, 1, 1) != 0) {
		g_test_skip("only root can make a directory of another user");
	} else {
		g_assert_false(file_make_private_dir(dir, &error));
		g_assert_error(error, MAILFS_ERROR, ERROR_IO);
		g_clear_error(&error);
		g_assert_false(file_remove_tree(dir, &error));
		g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	}
	g_assert_cmpint(rmdir(dir), ==, 0);
}

static void assert_refused(const char *path, size_t max, bool private, int code)
{
	g_autoptr(GError) error = NULL;
	char *bytes = GINT_TO_POINTER(1);
	gsize len = 7;

	g_assert_false(file_read(path, max, private, &bytes, &len, &error));
	g_assert_error(error, MAILFS_ERROR, code);
	g_assert_true(bytes == GINT_TO_POINTER(1) && len == 7);
}

static void assert_read(const char *path, size_t max, bool private, const char *want)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *bytes = NULL;
	gsize len;

	g_assert_true(file_read(path, max, private, &bytes, &len, &error));
	g_assert_no_error(error);
	g_assert_cmpmem(bytes, (int)len, want, (int)strlen(want));
	g_assert_cmpint(bytes[len], ==, '\0');
}

static void test_read(void)
{
	g_autofree char *dir = dir_new();
	g_autofree char *path = file_put(dir, "file", "12345");
	g_autofree char *empty = file_put(dir, "empty", "");
	g_autofree char *missing = g_build_filename(dir, "missing", NULL);
	g_autofree char *fifo = g_build_filename(dir, "fifo", NULL);

	assert_read(path, 6, false, "12345");
	assert_read(path, 5, false, "12345");
	assert_refused(path, 4, false, ERROR_LIMIT);
	assert_read(empty, 0, true, "");
	assert_refused(missing, 10, false, ERROR_IO);
	assert_refused(dir, 10, false, ERROR_IO);
	g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
	assert_refused(fifo, 10, false, ERROR_IO);
	dir_remove(dir);
}

static void test_read_private(void)
{
	static const mode_t bad[] = {0640, 0604, 0644, 0660};
	g_autofree char *dir = dir_new();
	g_autofree char *path = file_put(dir, "file", "x");

	assert_read(path, 1, true, "x");
	g_assert_cmpint(chmod(path, 0400), ==, 0);
	assert_read(path, 1, true, "x");
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_cmpint(chmod(path, bad[i]), ==, 0);
		assert_refused(path, 1, true, ERROR_CONFIG);
		assert_read(path, 1, false, "x");
	}
	g_assert_cmpint(chmod(path, 0600), ==, 0);
	if (geteuid() == 0) {
		g_assert_cmpint(chown(path, 1, 1), ==, 0);
		assert_refused(path, 1, true, ERROR_CONFIG);
	}
	dir_remove(dir);
}

static void test_remove_tree(void)
{
	g_autofree char *dir = dir_new();
	g_autofree char *other = dir_new();
	g_autofree char *kept = file_put(other, "kept", "x");
	g_autofree char *deep = g_build_filename(dir, "a", "b", "c", NULL);
	g_autofree char *link = g_build_filename(deep, "link", NULL);
	g_autofree char *file = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_true(file_remove_tree(deep, &error));
	g_assert_cmpint(g_mkdir_with_parents(deep, 0700), ==, 0);
	file = file_put(deep, "file", "x");
	g_assert_cmpint(symlink(other, link), ==, 0);
	g_assert_false(file_remove_tree(file, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	g_clear_error(&error);
	g_assert_false(file_remove_tree(link, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	dir_remove(dir);
	assert_read(kept, 1, true, "x");
	dir_remove(other);
}

/* As deep as a tree of ours may be, and one more. */
static void test_remove_deep(void)
{
	g_autofree char *dir = dir_new();
	g_autoptr(GString) path = g_string_new(dir);
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i < 64; i++)
		g_string_append(path, "/d");
	g_assert_cmpint(g_mkdir_with_parents(path->str, 0700), ==, 0);
	g_assert_false(file_remove_tree(dir, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	g_assert_cmpint(rmdir(path->str), ==, 0);
	dir_remove(dir);
}

static void test_pwrite(void)
{
	g_autofree char *dir = dir_new();
	g_autofree char *path = file_put(dir, "file", "......");
	int fd = open(path, O_RDWR | O_CLOEXEC);

	g_assert_true(file_pwrite_all(fd, "abc", 3, 2));
	g_assert_true(file_pwrite_all(fd, NULL, 0, 0));
	assert_read(path, 10, false, "..abc.");
	close(fd);
	g_assert_false(file_pwrite_all(-1, "x", 1, 0));
	dir_remove(dir);
}

static void test_at(void)
{
	g_autofree char *dir = dir_new();
	g_autofree char *link = g_build_filename(dir, "link", NULL);
	g_autofree char *bytes = NULL;
	g_autoptr(GError) error = NULL;
	int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int sub = file_open_dir_at(top, "sub");
	gsize len;

	g_assert_cmpint(sub, >=, 0);
	close(sub);
	sub = file_open_dir_at(top, "sub");
	g_assert_true(file_write_at(sub, "file", "longer than that", 16));
	g_assert_true(file_write_at(sub, "file", "12345", 5));
	g_assert_true(file_read_at(sub, "file", 5, &bytes, &len, &error));
	g_assert_cmpstr(bytes, ==, "12345");
	g_assert_cmpuint(len, ==, 5);
	g_assert_false(file_read_at(sub, "file", 4, &bytes, &len, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_LIMIT);
	g_clear_error(&error);

	g_assert_cmpint(symlink("sub/file", link), ==, 0);
	g_assert_false(file_read_at(top, "link", 5, &bytes, &len, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	g_assert_false(file_write_at(top, "link", "x", 1));
	g_assert_cmpint(unlink(link), ==, 0);
	g_assert_cmpint(symlink("sub", link), ==, 0);
	g_assert_cmpint(file_open_dir_at(top, "link"), ==, -1);
	g_assert_false(file_write_at(top, "sub", "x", 1));
	close(sub);
	close(top);
	dir_remove(dir);
}

static void test_fail(void)
{
	static const struct {
		int number;
		enum mailfs_error code;
	} cases[] = {{ENOSPC, ERROR_NO_SPACE}, {EDQUOT, ERROR_NO_SPACE}, {EACCES, ERROR_IO}};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;

		errno = cases[i].number;
		g_assert_false(file_fail("write", "/x", &error));
		g_assert_error(error, MAILFS_ERROR, (int)cases[i].code);
		g_assert_nonnull(strstr(error->message, g_strerror(cases[i].number)));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/file/private-dir", test_private_dir);
	g_test_add_func("/file/foreign-dir", test_foreign_dir);
	g_test_add_func("/file/read", test_read);
	g_test_add_func("/file/read-private", test_read_private);
	g_test_add_func("/file/remove-tree", test_remove_tree);
	g_test_add_func("/file/remove-deep", test_remove_deep);
	g_test_add_func("/file/pwrite", test_pwrite);
	g_test_add_func("/file/at", test_at);
	g_test_add_func("/file/fail", test_fail);
	return g_test_run();
}
