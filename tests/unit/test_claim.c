#include "cache/claim.h"

#include "base/error.h"
#include "base/file.h"

#include <glib/gstdio.h>
#include <unistd.h>

static char *top;

static void test_second_is_refused(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *pid = g_strdup_printf("process %d at /home/a/my mail", (int)getpid());
	int fd = claim_take(top, "/home/a/my mail", &error);

	g_assert_no_error(error);
	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(claim_take(top, "/elsewhere", &error), ==, -1);
	g_assert_error(error, MAILFS_ERROR, ERROR_BUSY);
	g_assert_nonnull(strstr(error->message, pid));
	close(fd);
}

static void test_freed_by_close(void)
{
	g_autoptr(GError) error = NULL;
	int fd = claim_take(top, "/a/very/long/path", &error);

	g_assert_cmpint(fd, >=, 0);
	close(fd);
	fd = claim_take(top, "/b", &error);
	g_assert_no_error(error);
	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(claim_take(top, "/c", &error), ==, -1);
	g_assert_true(g_str_has_suffix(error->message, " at /b"));
	close(fd);
}

static void test_no_directory(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *missing = g_build_filename(top, "missing", NULL);

	g_assert_cmpint(claim_take(missing, "/a", &error), ==, -1);
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
}

int main(int argc, char **argv)
{
	int result;

	g_test_init(&argc, &argv, NULL);
	top = g_dir_make_tmp("mailfs-test-XXXXXX", NULL);
	g_test_add_func("/claim/second-is-refused", test_second_is_refused);
	g_test_add_func("/claim/freed-by-close", test_freed_by_close);
	g_test_add_func("/claim/no-directory", test_no_directory);
	result = g_test_run();
	file_remove_tree(top, NULL);
	g_free(top);
	return result;
}
