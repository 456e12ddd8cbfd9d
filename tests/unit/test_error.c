#include "base/error.h"

#include <errno.h>
#include <glib.h>

static void test_codes(void)
{
	static const struct {
		enum mailfs_error code;
		int exit_code;
		int number;
	} cases[] = {
		{ERROR_USAGE, 64, EINVAL},
		{ERROR_CONFIG, 78, EINVAL},
		{ERROR_NO_HOST, 68, EHOSTUNREACH},
		{ERROR_UNREACHABLE, 69, EHOSTUNREACH},
		{ERROR_TIMEOUT, 75, ETIMEDOUT},
		{ERROR_TEMPORARY, 75, EAGAIN},
		{ERROR_TLS, 76, EACCES},
		{ERROR_PROTOCOL, 76, EIO},
		{ERROR_AUTH, 77, EACCES},
		{ERROR_NO_LOGIN, 77, EACCES},
		{ERROR_DENIED, 77, EACCES},
		{ERROR_MOUNT, 73, EIO},
		{ERROR_IO, 74, EIO},
		{ERROR_GONE, 74, ENOENT},
		{ERROR_STALE, 74, ESTALE},
		{ERROR_LIMIT, 76, EFBIG},
		{ERROR_BUSY, 75, EBUSY},
		{ERROR_QUOTA, 74, EDQUOT},
		{ERROR_READ_ONLY, 74, EROFS},
		{ERROR_EXISTS, 74, EEXIST},
		{ERROR_NOT_EMPTY, 74, ENOTEMPTY},
		{ERROR_REFUSED, 74, EINVAL},
		{ERROR_SERVER, 69, EIO},
		{ERROR_NO_SPACE, 74, ENOSPC},
	};

	g_assert_cmpuint(G_N_ELEMENTS(cases), ==, ERROR_NO_SPACE + 1);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = g_error_new_literal(MAILFS_ERROR, cases[i].code, "x");

		g_assert_cmpint(error_exit_code(error), ==, cases[i].exit_code);
		g_assert_cmpint(error_errno(error), ==, cases[i].number);
	}
}

static void test_none_and_foreign(void)
{
	g_autoptr(GError) foreign = g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_NOENT, "x");
	g_autoptr(GError) beyond = g_error_new_literal(MAILFS_ERROR, ERROR_NO_SPACE + 1, "x");
	g_autoptr(GError) below = g_error_new_literal(MAILFS_ERROR, -1, "x");

	g_assert_cmpint(error_exit_code(NULL), ==, 0);
	g_assert_cmpint(error_errno(NULL), ==, 0);
	g_assert_cmpint(error_exit_code(foreign), ==, 70);
	g_assert_cmpint(error_errno(foreign), ==, EIO);
	g_assert_cmpint(error_exit_code(beyond), ==, 70);
	g_assert_cmpint(error_errno(below), ==, EIO);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/error/codes", test_codes);
	g_test_add_func("/error/none-and-foreign", test_none_and_foreign);
	return g_test_run();
}
