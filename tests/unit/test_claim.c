#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "cache/claim.h"

#include <glib/gstdio.h>
#include <pthread.h>
#include <unistd.h>

#define ENDLESS_MS (60 * 60 * 1000)

static char *top;

static int take(const char *mountpoint)
{
	g_autoptr(GError) error = NULL;
	int claim = claim_take(top, mountpoint, 0, &error);

	g_assert_no_error(error);
	g_assert_cmpint(claim, >=, 0);
	return claim;
}

static void refused(int64_t patience_ms, const char *part)
{
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(claim_take(top, "/elsewhere", patience_ms, &error), ==, -1);
	g_assert_error(error, MAILFS_ERROR, ERROR_BUSY);
	if (!strstr(error->message, part))
		g_error("'%s' is not in: %s", part, error->message);
}

static void test_second_is_refused(void)
{
	g_autofree char *who = g_strdup_printf("process %d at /home/a/my mail", (int)getpid());
	int claim = take("/home/a/my mail");

	refused(0, who);
	close(claim);
}

static void test_freed_by_close(void)
{
	close(take("/a/very/long/path"));
	close(take("/b"));
}

/* Whoever is patient waits no longer than a moment for one that is mounted. */
static void test_mounted_is_refused_soon(void)
{
	int64_t start_ms = clock_mono_ms();
	int claim = take("/a/very/long/path");

	refused(ENDLESS_MS, " at /a/very/long/path");
	g_assert_cmpint(clock_mono_ms() - start_ms, >=, CLAIM_GRACE_MS);
	close(claim);
	claim = take("/b");
	refused(0, " at /b");
	close(claim);
}

static void test_patience_ends(void)
{
	g_autofree char *who = g_strdup_printf("process %d still", (int)getpid());
	int64_t start_ms = clock_mono_ms();
	int claim = take("/a");

	claim_finishing(claim);
	refused(60, who);
	g_assert_cmpint(clock_mono_ms() - start_ms, >=, 60);
	refused(0, who);
	close(claim);
}

static void *take_patiently(void *data)
{
	int *ret = data;

	*ret = claim_take(top, "/b", ENDLESS_MS, NULL);
	return NULL;
}

static void test_finishing_is_waited_for(void)
{
	int claim = take("/a");
	int next = -1;
	pthread_t thread;

	g_assert_cmpint(pthread_create(&thread, NULL, take_patiently, &next), ==, 0);
	/* Within its grace: who was just unmounted says so a little later. */
	g_usleep(50000);
	claim_finishing(claim);
	g_usleep(CLAIM_GRACE_MS * 1100);
	close(claim);
	pthread_join(thread, NULL);
	g_assert_cmpint(next, >=, 0);
	refused(0, " at /b");
	close(next);
}

/* What a holder has half written says nothing. */
static void test_half_written(void)
{
	g_autofree char *path = g_build_filename(top, "lock", NULL);
	int claim = take("/a");

	g_assert_true(g_file_set_contents(path, "", 0, NULL));
	close(claim);
	claim = take("/a");
	g_assert_cmpint(ftruncate(claim, 3), ==, 0);
	refused(0, "another process");
	g_assert_cmpint(ftruncate(claim, 0), ==, 0);
	refused(0, "another process");
	close(claim);
}

static void test_no_directory(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *missing = g_build_filename(top, "missing", NULL);

	g_assert_cmpint(claim_take(missing, "/a", ENDLESS_MS, &error), ==, -1);
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
}

int main(int argc, char **argv)
{
	int result;

	g_test_init(&argc, &argv, NULL);
	top = g_dir_make_tmp("mailfs-test-XXXXXX", NULL);
	g_test_add_func("/claim/second-is-refused", test_second_is_refused);
	g_test_add_func("/claim/freed-by-close", test_freed_by_close);
	g_test_add_func("/claim/mounted-is-refused-soon", test_mounted_is_refused_soon);
	g_test_add_func("/claim/patience-ends", test_patience_ends);
	g_test_add_func("/claim/finishing-is-waited-for", test_finishing_is_waited_for);
	g_test_add_func("/claim/half-written", test_half_written);
	g_test_add_func("/claim/no-directory", test_no_directory);
	result = g_test_run();
	file_remove_tree(top, NULL);
	g_free(top);
	return result;
}
