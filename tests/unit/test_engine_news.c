/* What is news: what others did to what a folder shows, once, and not too much of it. */
#include "engine_world.h"

static unsigned news(struct world *world, enum engine_news_kind kind)
{
	unsigned value;

	pthread_mutex_lock(&world->fix.lock);
	value = world->fix.news[kind];
	pthread_mutex_unlock(&world->fix.lock);
	return value;
}

static void news_world_open(struct world *world, unsigned count)
{
	watch_world_open(world, STORE_CAN_WATCH, count);
	world_start(world);
	await_watched(&world->fix, "INBOX, Archive");
}

/* A refresh that began after what was done. */
static void refresh(struct world *world)
{
	gint64 end_us = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
	unsigned before = jobs(STORE_REFRESH);

	while (jobs(STORE_REFRESH) == before) {
		g_assert_cmpint(g_get_monotonic_time(), <, end_us);
		memory_tell("INBOX");
		g_usleep(1000);
	}
	g_assert_cmpint(ask(&world->fix, NEED_FOLDER, world->inbox.id, 0, 0), ==, 0);
}

static void await(struct world *world, enum engine_news_kind kind, unsigned count)
{
	gint64 end_us = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;

	while (news(world, kind) < count) {
		g_assert_cmpint(g_get_monotonic_time(), <, end_us);
		refresh(world);
	}
	g_assert_cmpuint(news(world, kind), ==, count);
}

static void arrive(unsigned from, unsigned upto)
{
	for (unsigned uid = from; uid <= upto; uid++)
		memory_message_add(memory_folder_find("INBOX"), uid, "x", texts[1]);
}

static void set_there(uint32_t uid, unsigned flags)
{
	struct memory_folder *inbox = memory_folder_find("INBOX");

	pthread_mutex_lock(&memory.lock);
	for (unsigned i = 0; i < inbox->count; i++) {
		if (inbox->messages[i].uid == uid)
			inbox->messages[i].flags = flags;
	}
	inbox->modseq += inbox->modseq > 0;
	pthread_mutex_unlock(&memory.lock);
}

static void test_others(void)
{
	struct world world;

	news_world_open(&world, 9);
	g_assert_cmpuint(news(&world, NEWS_NEW), ==, 0); /* they were there */
	arrive(10, 11);
	await(&world, NEWS_NEW, 2);
	set_there(3, STORE_FLAG_SEEN);
	await(&world, NEWS_FLAGS, 1);
	set_there(4, STORE_FLAG_DELETED);
	await(&world, NEWS_GONE, 1);
	memory_message_remove(memory_folder_find("INBOX"), 4); /* nobody saw it any more */
	memory_message_remove(memory_folder_find("INBOX"), 5);
	await(&world, NEWS_GONE, 2);
	set_there(6, STORE_FLAG_DELETED);
	await(&world, NEWS_GONE, 3);
	set_there(6, 0);
	await(&world, NEWS_NEW, 3);
	g_assert_cmpuint(news(&world, NEWS_FLAGS), ==, 1);
	g_assert_cmpuint(news(&world, NEWS_MANY), ==, 0);
	world_close(&world);
}

/* What this mount removed or moved was told when it did so. */
static void test_ours(void)
{
	struct world world;

	news_world_open(&world, 9);
	set_flags(&world, 1, STORE_FLAG_DELETED, 0);
	promise(&world, &(struct change_request){.kind = CHANGE_EXPUNGE}, 2);
	put_elsewhere(&world, CHANGE_MOVE, 3);
	put_elsewhere(&world, CHANGE_COPY, 4);
	set_flags(&world, 5, STORE_FLAG_SEEN, 0);
	settle(&world);
	memory_message_remove(memory_folder_find("INBOX"), 1);
	arrive(10, 10);
	await(&world, NEWS_NEW, 2); /* the copy, too */
	g_assert_cmpint(ask(&world.fix, NEED_FOLDER, world.archive.id, 0, 0), ==, 0);
	g_assert_cmpuint(news(&world, NEWS_NEW), ==, 2);
	g_assert_cmpuint(news(&world, NEWS_GONE), ==, 0);
	g_assert_cmpuint(news(&world, NEWS_FLAGS), ==, 1);
	world_close(&world);
}

static void test_many(void)
{
	struct world world;

	news_world_open(&world, 1);
	/* One refresh tells of all. */
	memory_set(&memory.hold[STORE_REFRESH], true);
	arrive(2, 1002);
	memory_set(&memory.hold[STORE_REFRESH], false);
	await(&world, NEWS_MANY, 1);
	g_assert_cmpuint(news(&world, NEWS_NEW), <=, 1000);
	g_assert_cmpuint(news(&world, NEWS_NEW), >=, 900);
	world_close(&world);
}

static void test_refused(void)
{
	struct world world;

	news_world_open(&world, 2);
	memory_fault_set(STORE_FLAGS, ERROR_DENIED, MEMORY_KEPT);
	set_flags(&world, 1, STORE_FLAG_DELETED, 0);
	settle(&world);
	await(&world, NEWS_FAILED, 1);
	g_assert_cmpuint(news(&world, NEWS_GONE), ==, 0);
	world_close(&world);
}

static void test_folders(void)
{
	struct world world;
	struct folder_op op = {.kind = FOLDER_CREATE, .mailbox = "Mine", .separator = '/'};
	gint64 end_us = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;

	world_open(&world, 1);
	g_assert_cmpuint(news(&world, NEWS_FOLDER_NEW), ==, 0);
	memory_folder_add("Fresh", 9);
	engine_folder_op(world.fix.engine, &op);
	while (news(&world, NEWS_FOLDER_NEW) < 2) {
		g_assert_cmpint(g_get_monotonic_time(), <, end_us);
		g_usleep(1000);
	}
	g_assert_cmpuint(news(&world, NEWS_FOLDER_GONE), ==, 0);
	world_close(&world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	label_init();
	texts_make();
	log_open("test", LOG_LEVEL_ERROR);
	g_test_add_func("/engine/news/others", test_others);
	g_test_add_func("/engine/news/ours", test_ours);
	g_test_add_func("/engine/news/many", test_many);
	g_test_add_func("/engine/news/refused", test_refused);
	g_test_add_func("/engine/news/folders", test_folders);
	return g_test_run();
}
