/* What .mailfs/status and the log tell of trouble, and of what is none. */
#include "engine_world.h"

static char *await_last_error(struct world *world, const char *pattern)
{
	gint64 end_us = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

	for (;;) {
		char *line = status_line(&world->fix, "last-error: ");

		if (g_regex_match_simple(pattern, line, 0, 0))
			return line;
		if (g_get_monotonic_time() > end_us)
			g_error("last-error: %s", line);
		g_free(line);
		g_usleep(1000);
	}
}

static unsigned times_logged(const char *text)
{
	gsize len;
	g_autofree char *log = log_ring_copy(&len);
	unsigned count = 0;

	for (const char *next = log; (next = strstr(next, text)); next++)
		count++;
	return count;
}

/* It says when it was, and that it is over. */
static void test_last_error(void)
{
	struct world world;
	g_autofree char *none = NULL;
	g_autofree char *now = NULL;
	g_autofree char *over = NULL;

	watch_world_open(&world, 0, 3);
	world_start(&world);
	none = await_last_error(&world, "^none$");
	pthread_mutex_lock(&memory.lock);
	memory.die_after = 1;
	memory.refuse = ERROR_UNREACHABLE;
	pthread_mutex_unlock(&memory.lock);
	ask(&world.fix, NEED_BODY, world.inbox.epoch, 1, UINT64_MAX);
	now = await_last_error(&world, "^.+ \\(\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ\\)$");
	pthread_mutex_lock(&memory.lock);
	memory.refuse = 0;
	pthread_mutex_unlock(&memory.lock);
	engine_reconnect(world.fix.engine);
	over = await_last_error(&world,
				"^.+ \\(\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ, over\\)$");
	world_close(&world);
}

/* Said once, however many connections there are, and no trouble. */
static void test_reconnect(void)
{
	struct world world;
	g_autofree char *none = NULL;
	unsigned before = times_logged("asked to reconnect");
	unsigned connections;

	watch_world_open(&world, STORE_CAN_WATCH, 3);
	world_start(&world);
	await_watched(&world.fix, "INBOX, Archive");
	connections = memory_count(&memory.connections);
	g_assert_cmpuint(connections, >=, 2);
	engine_reconnect(world.fix.engine);
	while (memory_count(&memory.connections) < 2 * connections)
		g_usleep(1000);
	await_watched(&world.fix, "INBOX, Archive");
	none = await_last_error(&world, "^none$");
	g_assert_cmpuint(times_logged("asked to reconnect"), ==, before + 1);
	world_close(&world);
}

int main(int argc, char **argv)
{
	texts_make();
	g_test_init(&argc, &argv, NULL);
	label_init();
	g_test_add_func("/engine-status/last-error", test_last_error);
	g_test_add_func("/engine-status/reconnect", test_reconnect);
	return g_test_run();
}
