#include "base/clock.h"

#include <glib.h>

static void test_mono(void)
{
	int64_t before = clock_mono_ms();

	g_assert_cmpint(before, >, 0);
	g_usleep(2000);
	g_assert_cmpint(clock_mono_ms(), >, before);
}

static void test_wall(void)
{
	int64_t before = g_get_real_time();
	int64_t now = clock_wall_ns() / 1000;

	g_assert_cmpint(now, >=, before - 1);
	g_assert_cmpint(now, <=, g_get_real_time());
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/clock/mono", test_mono);
	g_test_add_func("/clock/wall", test_wall);
	return g_test_run();
}
