/* Which folders are watched, and what comes of it. */
#include "engine_world.h"

static void arrive(const char *name, uint32_t uid)
{
	memory_message_add(memory_folder_find(name), uid, "new", texts[uid]);
	memory_tell(name);
}

static void await_message(struct world *world, const struct folder_row *row, uint32_t uid)
{
	gint64 end_us = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

	while (!is_known(world, row, uid)) {
		g_assert_cmpint(g_get_monotonic_time(), <, end_us);
		g_usleep(1000);
	}
}

static void await_fresh(struct world *world, const struct folder_row *row)
{
	gint64 end_us = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

	while (!engine_folder_is_fresh(world->fix.engine, row->id)) {
		g_assert_cmpint(g_get_monotonic_time(), <, end_us);
		g_usleep(1000);
	}
}

/* Nobody asks, nobody polls. */
static void check_told(unsigned abilities)
{
	struct world world;

	watch_world_open(&world, abilities, 3);
	world_start(&world);
	await_watched(&world.fix, "INBOX, Archive");
	await_fresh(&world, &world.inbox);
	arrive("INBOX", 5);
	await_message(&world, &world.inbox, 5);
	arrive("INBOX", 6);
	await_message(&world, &world.inbox, 6);
	arrive("Archive", 7);
	await_message(&world, &world.archive, 7);
	await_fresh(&world, &world.inbox);
	await_fresh(&world, &world.archive);
	world_close(&world);
}

static void test_singly(void)
{
	check_told(STORE_CAN_WATCH);
}

static void test_many(void)
{
	check_told(STORE_CAN_WATCH | STORE_CAN_WATCH_MANY);
}

static void test_many_alone(void)
{
	check_told(STORE_CAN_WATCH_MANY);
	g_assert_cmpuint(memory.alive_most, <=, 4);
}

/* One that cannot watch many watches one after all. */
static void test_many_refused(void)
{
	struct world world;

	watch_world_open(&world, STORE_CAN_WATCH | STORE_CAN_WATCH_MANY, 3);
	memory_fault_set(STORE_WATCH, ERROR_SERVER, MEMORY_KEPT);
	world_start(&world);
	await_watched(&world.fix, "INBOX, Archive");
	g_assert_cmpuint(memory_count(&memory.watched), ==, 2);
	world_close(&world);
}

/* It stays fresh for longer than polling would let it. */
static void test_stays_fresh(void)
{
	struct world world;
	unsigned refreshes;

	watch_world_open(&world, STORE_CAN_WATCH, 3);
	world.fix.account.poll_s = 1;
	world_start(&world);
	await_watched(&world.fix, "INBOX, Archive");
	await_fresh(&world, &world.inbox);
	await_fresh(&world, &world.archive);
	refreshes = jobs(STORE_REFRESH);
	g_usleep(1500000);
	g_assert_true(engine_folder_is_fresh(world.fix.engine, world.inbox.id));
	g_assert_cmpuint(jobs(STORE_REFRESH), ==, refreshes);
	memory_cut_watches(true);
	await_watched(&world.fix, "none");
	while (jobs(STORE_REFRESH) == refreshes)
		g_usleep(1000);
	world_close(&world);
}

static void test_off(void)
{
	struct world world;

	watch_world_open(&world, STORE_CAN_WATCH | STORE_CAN_WATCH_MANY, 3);
	world.fix.account.idle = (char *)"";
	world_start(&world);
	g_assert_cmpint(sync_folder(&world, world.inbox.id), ==, 0);
	await_watched(&world.fix, "none");
	g_assert_cmpuint(jobs(STORE_WATCH), ==, 0);
	world_close(&world);
}

static void test_cannot(void)
{
	struct world world;

	watch_world_open(&world, 0, 3);
	world_start(&world);
	await_watched(&world.fix, "none");
	g_assert_cmpuint(jobs(STORE_WATCH), ==, 0);
	world_close(&world);
}

/* Those that are named come first, however they are written, and what is not there is no trouble.
 */
static void test_named(void)
{
	struct world world;

	watch_world_open(&world, STORE_CAN_WATCH, 3);
	memory_folder_add("Lists", 20);
	memory_folder_add("Lists/one", 21);
	memory_folder_add("Un:us,ed", 22);
	world.fix.account.idle = (char *)"Lists/one:/Nowhere,/inbox/:Un%3Aus%2Ced";
	world_start(&world);
	await_watched(&world.fix, "Lists/one, INBOX, Un:us,ed");
	/* Nobody asked for what is in those. */
	arrive("Un:us,ed", 4);
	g_assert_cmpint(ask(&world.fix, NEED_FOLDER, world.inbox.id, 0, 0), ==, 0);
	g_assert_cmpuint(memory_folder_find("Un:us,ed")->refreshes, ==, 0);
	world_close(&world);
}

/* Its connection costs nobody anything. */
static void test_cut(void)
{
	struct world world;
	g_autofree char *error = NULL;

	watch_world_open(&world, STORE_CAN_WATCH, 3);
	world_start(&world);
	await_watched(&world.fix, "INBOX, Archive");
	memory_cut_watches(true);
	await_watched(&world.fix, "none");
	set_flags(&world, 1, STORE_FLAG_SEEN, 0);
	g_assert_cmpint(sync_folder(&world, world.inbox.id), ==, 0);
	error = status_line(&world.fix, "last-error: ");
	g_assert_cmpstr(error, ==, "none");
	g_assert_false(log_says("too many connections"));
	g_assert_false(engine_is_stalled(world.fix.engine));
	world_close(&world);
}

/* It goes on as soon as there is a new connection for the rest, too. */
static void test_cut_and_back(void)
{
	struct world world;

	watch_world_open(&world, STORE_CAN_WATCH, 3);
	world_start(&world);
	await_watched(&world.fix, "INBOX, Archive");
	memory_cut_watches(true);
	await_watched(&world.fix, "none");
	memory_message_add(memory_folder_find("INBOX"), 9, "new", texts[9]);
	memory_set(&memory.cut_watches, false);
	engine_reconnect(world.fix.engine);
	await_watched(&world.fix, "INBOX, Archive");
	await_message(&world, &world.inbox, 9);
	world_close(&world);
}

static int verdict(struct world *world, uint32_t ticket)
{
	struct need need = {.kind = NEED_TICKET, .uid = ticket};
	struct fixture *fix = &world->fix;
	int error = -1;

	pthread_mutex_lock(&fix->lock);
	for (;;) {
		for (unsigned i = 0; i < fix->settled->len; i++) {
			const struct settled *settled =
				&g_array_index(fix->settled, struct settled, i);

			if (need_equal(&settled->need, &need))
				error = settled->error;
		}
		if (error >= 0)
			break;
		wait_cond(fix);
	}
	pthread_mutex_unlock(&fix->lock);
	return error;
}

static int operate(struct world *world, const struct folder_op *op)
{
	return verdict(world, engine_folder_op(world->fix.engine, op));
}

static void check_renamed(unsigned abilities)
{
	struct folder_op rename = {FOLDER_RENAME, 0, NULL, "Old", '/'};
	struct folder_op delete = {FOLDER_DELETE, 0, NULL, NULL, '/'};
	struct world world;

	watch_world_open(&world, abilities, 3);
	world_start(&world);
	await_watched(&world.fix, "INBOX, Archive");
	rename.folder = delete.folder = world.archive.id;
	g_assert_cmpint(operate(&world, &rename), ==, 0);
	g_assert_cmpuint(memory.trespasses, ==, 0);
	await_watched(&world.fix, "INBOX, Old");
	arrive("Old", 8);
	await_message(&world, &world.archive, 8);
	g_assert_cmpint(operate(&world, &delete), ==, ENOTEMPTY);
	await_watched(&world.fix, "INBOX, Old");
	world_close(&world);
}

static void test_renamed(void)
{
	check_renamed(STORE_CAN_WATCH);
}

static void test_renamed_of_many(void)
{
	check_renamed(STORE_CAN_WATCH_MANY);
}

/* Another client removed it. */
static void test_gone(void)
{
	struct world world;

	watch_world_open(&world, STORE_CAN_WATCH, 3);
	world_start(&world);
	await_watched(&world.fix, "INBOX, Archive");
	memory_set(&memory_folder_find("Archive")->gone, true);
	engine_reconnect(world.fix.engine);
	await_watched(&world.fix, "INBOX");
	world_close(&world);
}

/* Of a folder that cannot be watched the others hear nothing. */
static void test_refused(void)
{
	struct world world;

	watch_world_open(&world, STORE_CAN_WATCH, 3);
	memory_fault_set(STORE_WATCH, ERROR_DENIED, MEMORY_KEPT);
	world_start(&world);
	await_watched(&world.fix, "Archive");
	g_assert_cmpuint(jobs(STORE_WATCH), ==, 2);
	g_assert_false(log_says("refused"));
	world_close(&world);
}

int main(int argc, char **argv)
{
	texts_make();
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/engine-watch/singly", test_singly);
	g_test_add_func("/engine-watch/many", test_many);
	g_test_add_func("/engine-watch/many-alone", test_many_alone);
	g_test_add_func("/engine-watch/many-refused", test_many_refused);
	g_test_add_func("/engine-watch/stays-fresh", test_stays_fresh);
	g_test_add_func("/engine-watch/off", test_off);
	g_test_add_func("/engine-watch/cannot", test_cannot);
	g_test_add_func("/engine-watch/named", test_named);
	g_test_add_func("/engine-watch/cut", test_cut);
	g_test_add_func("/engine-watch/cut-and-back", test_cut_and_back);
	g_test_add_func("/engine-watch/renamed", test_renamed);
	g_test_add_func("/engine-watch/renamed-of-many", test_renamed_of_many);
	g_test_add_func("/engine-watch/gone", test_gone);
	g_test_add_func("/engine-watch/refused", test_refused);
	return g_test_run();
}
