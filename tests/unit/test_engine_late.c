/* Several connections tell of one message: what comes late by one of them does not stand against
 * what another has told since. */
#include "engine_world.h"

#define ASKED 2 /* the UID */

/* One look more, within 20 seconds from when `*end_us` was 0. */
static void look_again(gint64 *end_us)
{
	gint64 now_us = g_get_monotonic_time();

	if (*end_us == 0)
		*end_us = now_us + 20 * G_USEC_PER_SEC;
	g_assert_cmpint(now_us, <, *end_us);
	g_usleep(1000);
}

static void await(const unsigned *counter, unsigned n)
{
	gint64 end_us = 0;

	while (memory_count(counter) < n)
		look_again(&end_us);
}

static void await_flags(struct world *world, unsigned flags)
{
	gint64 end_us = 0;

	while (flags_of(world, &world->inbox, ASKED) != flags)
		look_again(&end_us);
}

static void late_world_prepare(struct world *world)
{
	struct memory_folder *inbox;

	memset(world, 0, sizeof(*world));
	watch_world_open(world, STORE_CAN_WATCH, 3);
	inbox = &memory.folders[0];
	inbox->modseq = memory.folders[1].modseq = 10;
	for (unsigned i = 0; i < inbox->count; i++)
		inbox->messages[i].modseq = 10;
}

static void late_world_open(struct world *world)
{
	late_world_prepare(world);
	world_start(world);
	await_watched(&world->fix, "INBOX, Archive");
}

/* Another client changed the message on the server. */
static void change(unsigned flags, uint64_t modseq)
{
	struct memory_folder *inbox = memory_folder_find("INBOX");

	pthread_mutex_lock(&memory.lock);
	inbox->messages[ASKED - 1].flags = flags;
	inbox->messages[ASKED - 1].modseq = inbox->modseq = modseq;
	pthread_mutex_unlock(&memory.lock);
	memory_tell("INBOX");
}

/* The message is deleted, which is done and undone on the server, and not answered yet. */
static void delete_and_undo(struct world *world)
{
	memory_set(&memory.hold[STORE_FLAGS], true);
	memory_set(&memory.undone, true);
	set_flags(world, ASKED, STORE_FLAG_DELETED, 0);
	engine_changed(world->fix.engine);
	await(&memory.submitted[STORE_FLAGS], 1);
}

/* Jobs that were held go on. */
static void go_on(struct world *world, bool *held)
{
	memory_set(held, false);
	engine_changed(world->fix.engine);
}

static void answer(struct world *world)
{
	go_on(world, &memory.hold[STORE_FLAGS]);
	settle(world);
	g_assert_cmpuint(jobs(STORE_FLAGS), ==, 1);
}

static bool is_shown_as_deleted(struct world *world)
{
	struct overlay overlay;

	changes_overlay(world->fix.state, world->inbox.epoch, ASKED, &overlay);
	return ((flags_of(world, &world->inbox, ASKED) | overlay.set) & ~overlay.clear) &
	       STORE_FLAG_DELETED;
}

static unsigned news_of(struct world *world, enum engine_news_kind kind)
{
	unsigned n;

	pthread_mutex_lock(&world->fix.lock);
	n = world->fix.news[kind];
	pthread_mutex_unlock(&world->fix.lock);
	return n;
}

/* News are told behind the answers of their turn. */
static void catch_up(struct world *world, uint32_t folder)
{
	for (int i = 0; i < 2; i++)
		g_assert_cmpint(ask(&world->fix, NEED_FOLDER, folder, 0, 0), ==, 0);
}

/* It is there again, and whoever keeps something of it was told. */
static void assert_back(struct world *world, unsigned flags)
{
	gint64 end_us = 0;

	await_flags(world, flags);
	while (is_shown_as_deleted(world) || news_of(world, NEWS_NEW) == 0)
		look_again(&end_us);
	catch_up(world, world->inbox.id);
	g_assert_cmpuint(news_of(world, NEWS_NEW), ==, 1);
	pthread_mutex_lock(&world->fix.lock);
	g_assert_cmpuint(world->fix.messages_gone, >, 0);
	pthread_mutex_unlock(&world->fix.lock);
	world_close(world);
}

static void test_answer_after_refresh(void)
{
	struct world world;
	unsigned refreshes;

	late_world_open(&world);
	delete_and_undo(&world);
	refreshes = memory_count(&memory.folders[0].refreshes);
	change(STORE_FLAG_FLAGGED, 12);
	await(&memory.folders[0].refreshes, refreshes + 1);
	await_flags(&world, STORE_FLAG_FLAGGED);
	answer(&world);
	await(&memory.folders[0].refreshes, refreshes + 2);
	assert_back(&world, STORE_FLAG_FLAGGED);
}

static void test_answer_amid_refresh(void)
{
	struct world world;
	unsigned refreshes;

	late_world_open(&world);
	delete_and_undo(&world);
	refreshes = memory_count(&memory.folders[0].refreshes);
	memory_set(&memory.hold_refreshed, true);
	change(STORE_FLAG_FLAGGED, 12);
	await_flags(&world, STORE_FLAG_FLAGGED);
	answer(&world);
	go_on(&world, &memory.hold_refreshed);
	await(&memory.folders[0].refreshes, refreshes + 2);
	assert_back(&world, STORE_FLAG_FLAGGED);
}

/* What was asked for is in the index already, and undone by a refresh that began before the answer.
 */
static void test_answer_known(void)
{
	struct world world;
	unsigned refreshes, submitted;

	late_world_open(&world);
	delete_and_undo(&world);
	refreshes = memory_count(&memory.folders[0].refreshes);
	change(STORE_FLAG_DELETED, 11);
	await(&memory.folders[0].refreshes, refreshes + 1);
	await_flags(&world, STORE_FLAG_DELETED);
	memory_set(&memory.hold[STORE_REFRESH], true);
	submitted = memory_count(&memory.submitted[STORE_REFRESH]);
	change(0, 12);
	await(&memory.submitted[STORE_REFRESH], submitted + 1);
	answer(&world);
	go_on(&world, &memory.hold[STORE_REFRESH]);
	assert_back(&world, 0);
}

static void await_listed(struct world *world)
{
	gint64 end_us = 0;

	world->inbox = folder(&world->fix, "INBOX");
	while (!is_known(world, &world->inbox, ASKED)) {
		look_again(&end_us);
		folder_row_clear(&world->inbox);
		world->inbox = folder(&world->fix, "INBOX");
	}
}

/* The folder is being listed for the first time. */
static void delete_amid_listing(struct world *world)
{
	struct need need = {.kind = NEED_FOLDER};

	late_world_prepare(world);
	fixture_start(&world->fix);
	memory_set(&memory.hold_refreshed, true);
	need.id = folder_id(&world->fix, "INBOX");
	engine_need(world->fix.engine, &need);
	await_listed(world);
	delete_and_undo(world);
}

static void test_answer_amid_listing(void)
{
	struct world world;
	gint64 end_us = 0;

	delete_amid_listing(&world);
	answer(&world);
	go_on(&world, &memory.hold_refreshed);
	while (is_shown_as_deleted(&world))
		look_again(&end_us);
	catch_up(&world, world.inbox.id);
	g_assert_cmpuint(flags_of(&world, &world.inbox, ASKED), ==, 0);
	world_close(&world);
}

static void test_answer_after_listing(void)
{
	struct world world;
	unsigned refreshes;

	delete_amid_listing(&world);
	go_on(&world, &memory.hold_refreshed);
	await_watched(&world.fix, "INBOX");
	refreshes = memory_count(&memory.folders[0].refreshes);
	change(STORE_FLAG_FLAGGED, 12);
	await(&memory.folders[0].refreshes, refreshes + 1);
	await_flags(&world, STORE_FLAG_FLAGGED);
	answer(&world);
	memory_tell("INBOX");
	await(&memory.folders[0].refreshes, refreshes + 2);
	assert_back(&world, STORE_FLAG_FLAGGED);
}

/* A refresh tells what is so, and does not end. */
static void begin_refresh(struct world *world)
{
	unsigned submitted = memory_count(&memory.submitted[STORE_REFRESH]);

	memory_set(&memory.hold_refreshed, true);
	memory_tell("INBOX");
	await(&memory.submitted[STORE_REFRESH], submitted + 1);
}

static void settle_flags(struct world *world, unsigned set, unsigned clear)
{
	set_flags(world, ASKED, set, clear);
	settle(world);
}

/* Taken out of .deleted, to another folder: it arrives as what it is. */
static void test_move_behind(void)
{
	struct world world;

	late_world_open(&world);
	change(STORE_FLAG_DELETED, 11);
	await_flags(&world, STORE_FLAG_DELETED);
	begin_refresh(&world);
	settle_flags(&world, STORE_FLAG_SEEN, STORE_FLAG_DELETED);
	put_elsewhere(&world, CHANGE_MOVE, ASKED);
	settle(&world);
	assert_messages("Archive", "1S");
	g_assert_cmpuint(flags_of(&world, &world.archive, 1), ==, STORE_FLAG_SEEN);
	go_on(&world, &memory.hold_refreshed);
	catch_up(&world, world.archive.id);
	g_assert_cmpuint(news_of(&world, NEWS_NEW), ==, 0);
	world_close(&world);
}

/* What is removed is gone when it has been expunged, too, which the count alone shows. */
static void test_removed_behind(void)
{
	struct world world;
	gint64 end_us = 0;

	late_world_open(&world);
	begin_refresh(&world);
	settle_flags(&world, STORE_FLAG_DELETED, 0);
	memory_message_remove(&memory.folders[0], ASKED);
	go_on(&world, &memory.hold_refreshed);
	memory_tell("INBOX");
	while (is_known(&world, &world.inbox, ASKED))
		look_again(&end_us);
	catch_up(&world, world.inbox.id);
	g_assert_cmpuint(news_of(&world, NEWS_NEW) + news_of(&world, NEWS_GONE), ==, 0);
	world_close(&world);
}

/* To find out which messages exist tells nothing of what was settled before. */
static void test_verified_behind(void)
{
	struct world world;

	late_world_open(&world);
	memory_message_remove(&memory.folders[0], 3);
	begin_refresh(&world);
	settle_flags(&world, STORE_FLAG_DELETED, 0);
	go_on(&world, &memory.hold_refreshed);
	await(&memory.verifies, 1);
	await_flags(&world, STORE_FLAG_DELETED);
	catch_up(&world, world.inbox.id);
	g_assert_cmpuint(news_of(&world, NEWS_NEW), ==, 0);
	world_close(&world);
}

/* Who looks offline sees it as well. */
static void test_flushed_behind(void)
{
	struct world world;

	late_world_open(&world);
	begin_refresh(&world);
	settle_flags(&world, STORE_FLAG_DELETED, 0);
	g_assert_cmpuint(flags_of(&world, &world.inbox, ASKED), ==, 0);
	go_on(&world, &memory.hold_refreshed);
	engine_flush(world.fix.engine, 20000);
	g_assert_cmpuint(flags_of(&world, &world.inbox, ASKED), ==, STORE_FLAG_DELETED);
	world_close(&world);
}

static void lose_modseq(void)
{
	struct memory_folder *inbox = memory_folder_find("INBOX");
	unsigned refreshes = memory_count(&inbox->refreshes);

	pthread_mutex_lock(&memory.lock);
	inbox->modseq = 0;
	for (unsigned i = 0; i < inbox->count; i++)
		inbox->messages[i].modseq = 0;
	pthread_mutex_unlock(&memory.lock);
	memory_tell("INBOX");
	await(&inbox->refreshes, refreshes + 1);
}

/* Without a MODSEQ. The message was deleted after a refresh had looked, and before that told what it
 * had seen: it does not end yet. */
static void tell_too_late(struct world *world)
{
	unsigned submitted;

	late_world_open(world);
	lose_modseq();
	memory_set(&memory.hold[STORE_REFRESH], true);
	memory_set(&memory.undone, true);
	submitted = memory_count(&memory.submitted[STORE_REFRESH]);
	memory_tell("INBOX");
	await(&memory.submitted[STORE_REFRESH], submitted + 1);
	settle_flags(world, STORE_FLAG_DELETED, 0);
	await_flags(world, STORE_FLAG_DELETED);
	memory_set(&memory.hold_refreshed, true);
	go_on(world, &memory.hold[STORE_REFRESH]);
	await_flags(world, 0);
	pthread_mutex_lock(&memory.lock);
	memory.folders[0].messages[ASKED - 1].flags = STORE_FLAG_DELETED;
	pthread_mutex_unlock(&memory.lock);
}

static void test_flushed_without_modseq(void)
{
	struct world world;

	tell_too_late(&world);
	go_on(&world, &memory.hold_refreshed);
	engine_flush(world.fix.engine, 20000);
	g_assert_cmpuint(flags_of(&world, &world.inbox, ASKED), ==, STORE_FLAG_DELETED);
	world_close(&world);
}

/* What was done shows until somebody tells of flags. */
static void test_flags_left(void)
{
	struct world world;
	unsigned refreshes;

	tell_too_late(&world);
	refreshes = memory_count(&memory.folders[0].refreshes);
	memory_set(&memory.leave_flags, true);
	go_on(&world, &memory.hold_refreshed);
	await(&memory.folders[0].refreshes, refreshes + 2);
	catch_up(&world, world.inbox.id);
	g_assert_cmpuint(flags_of(&world, &world.inbox, ASKED), ==, 0);
	g_assert_true(is_shown_as_deleted(&world));
	memory_set(&memory.leave_flags, false);
	memory_tell("INBOX");
	await_flags(&world, STORE_FLAG_DELETED);
	catch_up(&world, world.inbox.id);
	g_assert_cmpuint(news_of(&world, NEWS_NEW), ==, 0);
	world_close(&world);
}

/* To find out which messages exist tells no flags either. */
static void test_flags_left_verified(void)
{
	struct world world;

	tell_too_late(&world);
	memory_set(&memory.leave_flags, true);
	memory_message_remove(&memory.folders[0], 3);
	go_on(&world, &memory.hold_refreshed);
	await(&memory.verifies, 1);
	catch_up(&world, world.inbox.id);
	g_assert_cmpuint(flags_of(&world, &world.inbox, ASKED), ==, 0);
	g_assert_true(is_shown_as_deleted(&world));
	world_close(&world);
}

/* Several promises of one message are one thing that is back. */
static void test_undone_often(void)
{
	struct world world;

	late_world_open(&world);
	memory_set(&memory.undone, true);
	begin_refresh(&world);
	settle_flags(&world, STORE_FLAG_DELETED, 0);
	settle_flags(&world, 0, STORE_FLAG_DELETED);
	settle_flags(&world, STORE_FLAG_DELETED, 0);
	go_on(&world, &memory.hold_refreshed);
	assert_back(&world, 0);
}

/* The answer alters what the index has, and nothing else was told: there is nothing to ask anew. */
static void answer_in_time(bool echo)
{
	struct world world;
	unsigned refreshes;

	late_world_open(&world);
	memory_set(&memory.echo, echo);
	refreshes = memory_count(&memory.folders[0].refreshes);
	set_flags(&world, ASKED, STORE_FLAG_DELETED, 0);
	settle(&world);
	await_flags(&world, STORE_FLAG_DELETED);
	g_assert_cmpint(ask(&world.fix, NEED_FOLDER, world.inbox.id, 0, 0), ==, 0);
	g_assert_cmpuint(memory_count(&memory.folders[0].refreshes), ==, refreshes);
	world_close(&world);
}

static void test_answer_in_time(void)
{
	answer_in_time(false);
}

/* Some tell what was done though nobody asked (RFC 3501 6.4.6). */
static void test_answer_echoed(void)
{
	answer_in_time(true);
}

/* By the connection that fetches messages. */
static void test_told_after_refresh(void)
{
	struct world world;
	unsigned refreshes;

	late_world_open(&world);
	refreshes = memory_count(&memory.folders[0].refreshes);
	change(STORE_FLAG_FLAGGED, 12);
	await(&memory.folders[0].refreshes, refreshes + 1);
	await_flags(&world, STORE_FLAG_FLAGGED);
	pthread_mutex_lock(&memory.lock);
	memory.stale_flags = ASKED;
	pthread_mutex_unlock(&memory.lock);
	g_assert_cmpint(ask(&world.fix, NEED_BODY, world.inbox.epoch, 1, UINT64_MAX), ==, 0);
	g_assert_cmpuint(flags_of(&world, &world.inbox, ASKED), ==, STORE_FLAG_FLAGGED);
	/* What is right is found out. */
	await(&memory.folders[0].refreshes, refreshes + 2);
	await_flags(&world, STORE_FLAG_FLAGGED);
	world_close(&world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	log_open("test", LOG_LEVEL_WARNING);
	label_init();
	texts_make();
	g_test_add_func("/engine-late/answer-after-refresh", test_answer_after_refresh);
	g_test_add_func("/engine-late/answer-amid-refresh", test_answer_amid_refresh);
	g_test_add_func("/engine-late/answer-known", test_answer_known);
	g_test_add_func("/engine-late/answer-amid-listing", test_answer_amid_listing);
	g_test_add_func("/engine-late/answer-after-listing", test_answer_after_listing);
	g_test_add_func("/engine-late/move-behind", test_move_behind);
	g_test_add_func("/engine-late/removed-behind", test_removed_behind);
	g_test_add_func("/engine-late/verified-behind", test_verified_behind);
	g_test_add_func("/engine-late/flushed-behind", test_flushed_behind);
	g_test_add_func("/engine-late/flushed-without-modseq", test_flushed_without_modseq);
	g_test_add_func("/engine-late/flags-left", test_flags_left);
	g_test_add_func("/engine-late/flags-left-verified", test_flags_left_verified);
	g_test_add_func("/engine-late/undone-often", test_undone_often);
	g_test_add_func("/engine-late/answer-in-time", test_answer_in_time);
	g_test_add_func("/engine-late/answer-echoed", test_answer_echoed);
	g_test_add_func("/engine-late/told-after-refresh", test_told_after_refresh);
	return g_test_run();
}
