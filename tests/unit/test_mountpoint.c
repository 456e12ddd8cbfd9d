#include "fuse/mountpoint.h"

#include "base/error.h"
#include "base/log.h"

#include <glib/gstdio.h>
#include <unistd.h>

static const char mountinfo[] =
	"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
	"23 22 0:21 / /proc rw - proc proc rw\n"
	"40 22 0:50 / /home/a/mail rw,nosuid - fuse.mailfs a@host: rw,user_id=1000\n"
	"41 22 0:51 / /home/a/my\\040mail rw master:2 propagate_from:3 - fuse.sshfs h: rw\n"
	"42 22 0:52 / /over rw - fuse.mailfs a@host: rw\n"
	"43 22 0:53 / /over rw - tmpfs none rw\n"
	"44 22 0:54 / /odd\\134134 rw - fuse x rw\n"
	"garbage\n"
	"45 22 0:55 / /short rw\n";

static void check_type(const char *path, const char *expected)
{
	g_autofree char *type = mountpoint_type(mountinfo, path);

	g_assert_cmpstr(type, ==, expected);
}

static void test_type(void)
{
	check_type("/home/a/mail", "fuse.mailfs");
	check_type("/home/a/my mail", "fuse.sshfs");
	check_type("/over", "tmpfs");
	check_type("/odd\\134", "fuse");
	check_type("/", "ext4");
	check_type("/home/a", NULL);
	check_type("/home/a/mail/x", NULL);
	check_type("/short", NULL);
}

static void expect(const char *path, bool nonempty, const char *message)
{
	g_autoptr(GError) error = NULL;
	bool fit = mountpoint_prepare(path, nonempty, &error);

	if (!message) {
		g_assert_no_error(error);
		g_assert_true(fit);
		return;
	}
	g_assert_false(fit);
	g_assert_error(error, MAILFS_ERROR, ERROR_MOUNT);
	g_assert_nonnull(strstr(error->message, message));
}

static void test_prepare(void)
{
	g_autofree char *top = g_dir_make_tmp("mailfs-test-XXXXXX", NULL);
	g_autofree char *empty = g_build_filename(top, "empty", NULL);
	g_autofree char *file = g_build_filename(top, "file", NULL);
	g_autofree char *link = g_build_filename(top, "link", NULL);
	g_autofree char *missing = g_build_filename(top, "missing", NULL);
	g_autofree char *deep = g_build_filename(top, "missing", "mail", NULL);

	g_assert_cmpint(g_mkdir(empty, 0700), ==, 0);
	g_assert_true(g_file_set_contents(file, "x", 1, NULL));
	g_assert_cmpint(symlink(empty, link), ==, 0);
	expect(empty, false, NULL);
	expect(link, false, NULL);
	expect(top, false, "not empty");
	expect(top, true, NULL);
	expect(file, true, "not a directory");
	expect(missing, false, "No such file");
	expect(deep, false, "No such file");

	g_unlink(link);
	g_unlink(file);
	g_rmdir(empty);
	g_rmdir(top);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	log_open("test", LOG_LEVEL_ERROR);
	g_test_add_func("/mountpoint/type", test_type);
	g_test_add_func("/mountpoint/prepare", test_prepare);
	return g_test_run();
}
