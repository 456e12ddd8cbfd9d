#include "fuse/replay.h"

#include <glib.h>

/* The process that tells watchers keeps the mount busy for a tenth of the time at most, tells no more
 * than a hundred things a second, and is not silenced for long by one that took long. */
static void test_rest(void)
{
	g_assert_cmpint(replay_rest_ms(-5), ==, 10);
	g_assert_cmpint(replay_rest_ms(0), ==, 10);
	g_assert_cmpint(replay_rest_ms(1), ==, 10);
	g_assert_cmpint(replay_rest_ms(2), ==, 18);
	g_assert_cmpint(replay_rest_ms(111), ==, 999);
	g_assert_cmpint(replay_rest_ms(112), ==, 1000);
	g_assert_cmpint(replay_rest_ms(INT64_MAX), ==, 1000);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/replay/rest", test_rest);
	return g_test_run();
}
