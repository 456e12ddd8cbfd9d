/* What was promised of messages reaches the server, once, whatever happens on the way. */
#include "engine_world.h"

#include <signal.h>
#include <sys/resource.h>

/* --- batches --- */

static void test_remove_many(void)
{
	struct world world;

	world_open(&world, MESSAGES);
	for (uint32_t uid = 1; uid <= MESSAGES; uid++)
		set_flags(&world, uid, STORE_FLAG_DELETED, 0);
	g_assert_cmpint(sync_folder(&world, world.inbox.id), ==, 0);
	assert_journal("flags INBOX 1:500 +8-0\n"
		       "flags INBOX 501:1000 +8-0\n"
		       "flags INBOX 1001:1200 +8-0\n");
	g_assert_cmpuint(index_deleted_count(world.fix.view, world.inbox.epoch), ==, MESSAGES);
	g_assert_cmpint(sync_folder(&world, INDEX_ROOT), ==, 0);
	g_assert_cmpuint(jobs(STORE_FLAGS), ==, 3);
	world_close(&world);
}

/* Nobody waits: they go after a moment, together. */
static void test_company(void)
{
	struct world world;

	world_open(&world, 9);
	for (uint32_t uid = 1; uid <= 9; uid++) {
		set_flags(&world, uid, STORE_FLAG_SEEN, 0);
		engine_changed(world.fix.engine);
	}
	settle(&world);
	assert_journal("flags INBOX 1:9 +1-0\n");
	world_close(&world);
}

static void test_order(void)
{
	struct world world;

	world_open(&world, 3);
	set_flags(&world, 2, STORE_FLAG_FLAGGED, 0);
	promise(&world, &(struct change_request){.kind = CHANGE_EXPUNGE}, 2);
	promise(&world, &(struct change_request){.kind = CHANGE_EXPUNGE}, 1);
	set_flags(&world, 3, 0, STORE_FLAG_SEEN);
	promise(&world, &(struct change_request){.kind = CHANGE_FLAGS, .set_words = "$Work Later"},
		3);
	g_assert_cmpint(ask(&world.fix, NEED_CHANGE, world.inbox.epoch, 2, 0), ==, 0);
	g_assert_cmpint(sync_folder(&world, world.inbox.id), ==, 0);
	g_autofree char *journal = memory_journal();
	const char *flagged = strstr(journal, "flags INBOX 2 +4-0\n");
	const char *expunged = strstr(journal, "expunge INBOX");

	g_assert_nonnull(flagged);
	g_assert_nonnull(expunged);
	g_assert_cmpint(flagged - journal, <, expunged - journal);
	assert_messages("INBOX", "3 ($Work Later)");
	g_assert_false(is_known(&world, &world.inbox, 2));
	world_close(&world);
}

/* --- moving --- */

static void test_move(void)
{
	struct world world;

	world_open(&world, 9);
	g_assert_cmpint(ask(&world.fix, NEED_BODY, world.inbox.epoch, 5, UINT64_MAX), ==, 0);
	put_elsewhere(&world, CHANGE_MOVE, 5);
	put_elsewhere(&world, CHANGE_MOVE, 6);
	g_assert_cmpint(sync_folder(&world, world.archive.id), ==, 0);
	assert_journal("move INBOX 5:6 Archive\n");
	assert_texts("Archive", "5 6");
	assert_names(&world);
	/* Known at once, with its bytes. */
	g_assert_true(is_known(&world, &world.archive, 1));
	g_assert_true(is_known(&world, &world.archive, 2));
	g_assert_false(is_known(&world, &world.inbox, 5));
	assert_body(&world.fix, world.archive.epoch, 1, texts[5]);
	g_assert_cmpuint(jobs(STORE_BODY), ==, 1);
	world_close(&world);
}

/* A listing tells that it is gone before the answer tells where to. */
static void test_move_listed(void)
{
	struct world world;
	struct need sent = {.kind = NEED_CHANGES, .id = INDEX_ROOT};

	world_prepare(&world, 9);
	world.fix.account.poll_s = 1;
	world_start(&world);
	memory_set(&memory.hold[STORE_MOVE], true);
	put_elsewhere(&world, CHANGE_MOVE, 5);
	engine_need(world.fix.engine, &sent);
	memory_message_remove(&memory.folders[0], 5);
	memory_message_remove(&memory.folders[0], 6);
	while (memory_count(&memory.verifies) == 0) {
		g_usleep(1000);
		g_assert_cmpint(ask(&world.fix, NEED_FOLDER, world.inbox.id, 0, 0), ==, 0);
	}
	g_assert_true(is_known(&world, &world.inbox, 5));
	g_assert_false(is_known(&world, &world.inbox, 6));
	memory_set(&memory.hold[STORE_MOVE], false);
	g_assert_cmpint(sync_folder(&world, world.archive.id), ==, 0);
	g_assert_false(is_known(&world, &world.inbox, 5));
	world_close(&world);
}

/* A server that tells nonsense with the new UIDs: what is known of the folder stays. */
static void test_move_lie(void)
{
	struct world world;
	struct state_box box;
	g_autoptr(GError) error = NULL;

	world_prepare(&world, 3);
	memory.copied_to = 99;
	memory_message_add(&memory.folders[1], 20, "x", texts[9]);
	world_start(&world);
	box = box_of(&world.archive);
	g_assert_true(names_set(world.fix.state, &box, 20, "kept.eml", &error));
	put_elsewhere(&world, CHANGE_MOVE, 1);
	g_assert_cmpint(sync_folder(&world, world.archive.id), ==, 0);
	assert_texts("Archive", "9 1");
	g_assert_cmpuint(names_find(world.fix.state, world.archive.epoch, "kept.eml"), ==, 20);
	g_assert_true(is_known(&world, &world.archive, 20));
	g_assert_cmpuint(memory_count(&world.fix.epochs_gone), ==, 0);
	world_close(&world);
}

static void test_move_by_copy(void)
{
	struct world world;

	world_prepare(&world, 9);
	memory.abilities = STORE_CAN_CHANGE | STORE_CAN_EXPUNGE;
	world_start(&world);
	put_elsewhere(&world, CHANGE_MOVE, 5);
	put_elsewhere(&world, CHANGE_MOVE, 6);
	g_assert_cmpint(sync_folder(&world, world.inbox.id), ==, 0);
	assert_journal("copy INBOX 5:6 Archive\nexpunge INBOX 5:6\n");
	assert_texts("Archive", "5 6");
	assert_names(&world);
	g_assert_true(is_known(&world, &world.archive, 2));
	world_close(&world);
}

/* Nothing is told of new UIDs, and nothing can be expunged by itself. */
static void test_move_bare(void)
{
	struct world world;

	world_prepare(&world, 3);
	memory.abilities = STORE_CAN_CHANGE;
	memory.no_uidplus = true;
	memory_message_add(&memory.folders[1], 20, "x", texts[9]);
	memory.folders[0].messages[2].flags = STORE_FLAG_DELETED; /* another client's */
	world_start(&world);
	put_elsewhere(&world, CHANGE_MOVE, 1);
	put_elsewhere(&world, CHANGE_MOVE, 2);
	g_assert_cmpint(sync_folder(&world, world.inbox.id), ==, 0);
	assert_messages("INBOX", "1D 2D 3D");
	assert_texts("Archive", "9 1 2");
	g_assert_cmpuint(names_find(world.fix.state, world.archive.epoch, "my-1.eml"), ==, 21);
	g_assert_cmpuint(names_find(world.fix.state, world.archive.epoch, "my-2.eml"), ==, 22);
	g_assert_cmpuint(flags_of(&world, &world.inbox, 1), ==, STORE_FLAG_DELETED);
	world_close(&world);
}

static void test_copy(void)
{
	struct world world;

	world_open(&world, 3);
	put_elsewhere(&world, CHANGE_COPY, 2);
	g_assert_cmpint(sync_folder(&world, world.archive.id), ==, 0);
	assert_journal("copy INBOX 2 Archive\n");
	assert_messages("INBOX", "1 2 3");
	assert_texts("Archive", "2");
	assert_names(&world);
	g_assert_cmpuint(jobs(STORE_BODY) + jobs(STORE_APPEND), ==, 0);
	world_close(&world);
}

/* --- connections that are lost --- */

struct server {
	unsigned abilities;
	bool no_uidplus;
	const char *left_behind; /* of messages that were moved away */
};

static const struct server servers[] = {
	{STORE_CAN_CHANGE | STORE_CAN_MOVE | STORE_CAN_EXPUNGE, false, ""},
	{STORE_CAN_CHANGE | STORE_CAN_EXPUNGE, false, ""},
	{STORE_CAN_CHANGE, true, "1D 2D 3D"},
};

static const enum store_job_kind steps[] = {STORE_MARK, STORE_MOVE, STORE_COPY, STORE_FIND,
					    STORE_EXPUNGE};

static void promise_three(struct world *world, enum change_kind kind)
{
	for (uint32_t uid = 1; uid <= 3; uid++)
		put_elsewhere(world, kind, uid);
}

/* False if the job was not asked for at all. */
static bool lose_one(const struct server *server, enum change_kind kind, enum store_job_kind step,
		     enum memory_loss loss)
{
	struct world world;
	bool asked;

	world_prepare(&world, 3);
	memory.abilities = server->abilities;
	memory.no_uidplus = server->no_uidplus;
	world_start(&world);
	memory_fault_set(step, 0, loss);
	promise_three(&world, kind);
	settle(&world);
	asked = jobs(step) > 0;
	assert_texts("Archive", "1 2 3");
	assert_messages("INBOX", kind == CHANGE_COPY ? "1 2 3" : server->left_behind);
	/* Where a MOVE ended that had no answer is not known. */
	if (step != STORE_MOVE)
		assert_names(&world);
	world_close(&world);
	return asked;
}

static void lose_all(enum change_kind kind, unsigned expected)
{
	unsigned asked = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(servers); i++) {
		for (unsigned j = 0; j < G_N_ELEMENTS(steps); j++) {
			if (!lose_one(&servers[i], kind, steps[j], MEMORY_LOST_BEFORE))
				continue;
			lose_one(&servers[i], kind, steps[j], MEMORY_LOST_AFTER);
			asked++;
		}
	}
	g_assert_cmpuint(asked, ==, expected);
}

static void test_move_lost(void)
{
	lose_all(CHANGE_MOVE, 1 + 3 + 4);
}

/* The folder is looked at before the MOVE is sent again. */
static void test_move_lost_with_all(void)
{
	struct world world;

	world_prepare(&world, 3);
	memory.second = MEMORY_REFUSED;
	world_start(&world);
	memory_fault_set(STORE_MOVE, 0, MEMORY_LOST_AFTER);
	promise_three(&world, CHANGE_MOVE);
	settle(&world);
	assert_texts("Archive", "1 2 3");
	assert_messages("INBOX", "");
	g_assert_cmpuint(memory_count(&world.fix.news[NEWS_FAILED]), ==, 0);
	world_close(&world);
}

static void test_copy_lost(void)
{
	lose_all(CHANGE_COPY, 2 + 2 + 3);
}

/* The program ends before it knows. */
static void restart_after(enum memory_loss loss)
{
	struct world world;

	world_prepare(&world, 3);
	memory.abilities = STORE_CAN_CHANGE | STORE_CAN_EXPUNGE;
	world_start(&world);
	memory_fault_set(STORE_COPY, 0, loss);
	promise_three(&world, CHANGE_MOVE);
	memory.hold[STORE_FIND] = true;
	engine_changed(world.fix.engine);
	while (jobs(STORE_COPY) == 0)
		g_usleep(1000);
	folder_row_clear(&world.inbox);
	folder_row_clear(&world.archive);
	fixture_end(&world.fix);
	memory.hold[STORE_FIND] = false;
	fixture_run(&world.fix);
	world_start(&world);
	settle(&world);
	assert_texts("Archive", "1 2 3");
	assert_messages("INBOX", "");
	assert_names(&world);
	world_close(&world);
}

static void test_restart(void)
{
	restart_after(MEMORY_LOST_BEFORE);
	restart_after(MEMORY_LOST_AFTER);
}

static void end_without_cache(struct world *world)
{
	g_autoptr(GDir) dir = g_dir_open(world->fix.dir, 0, NULL);
	const char *name;

	folder_row_clear(&world->inbox);
	folder_row_clear(&world->archive);
	fixture_end(&world->fix);
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(world->fix.dir, name, NULL);

		if (strcmp(name, "state") != 0)
			g_assert_true(unlink(path) == 0 || file_remove_tree(path, NULL));
	}
}

/* The cache was deleted: what was promised is done without anybody looking at the folder. What is
 * of a folder that is gone too is not waited for. */
static void test_without_cache(void)
{
	struct world world;

	world_open(&world, 3);
	memory_set(&memory.hang, true);
	set_flags(&world, 1, STORE_FLAG_DELETED, 0);
	put_elsewhere(&world, CHANGE_MOVE, 2);
	promise_of(&world, &world.archive, &(struct change_request){.kind = CHANGE_EXPUNGE}, 9);
	end_without_cache(&world);
	memory_set(&memory.hang, false);
	memory.folders[1].gone = true;
	memory_folder_add("Other", 9);
	fixture_run(&world.fix);
	fixture_start(&world.fix);
	settle(&world);
	assert_messages("INBOX", "1D 2 3");
	g_assert_true(log_says("removing for good message 9 of Archive: there is no such folder"));
	fixture_close(&world.fix);
}

/* What arrived cannot be put on record: the server is not asked again and again where it is, and in
 * the end it is there once. */
static void test_disk_full(void)
{
	struct rlimit old, none;
	struct world world;

	world_prepare(&world, 3);
	memory.abilities = STORE_CAN_CHANGE | STORE_CAN_EXPUNGE;
	world_start(&world);
	memory_set(&memory.hold[STORE_COPY], true);
	promise_three(&world, CHANGE_MOVE);
	engine_changed(world.fix.engine);
	while (jobs(STORE_MARK) == 0)
		g_usleep(1000);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	none = (struct rlimit){0, old.rlim_max};
	setrlimit(RLIMIT_FSIZE, &none);
	memory_set(&memory.hold[STORE_COPY], false);
	engine_changed(world.fix.engine);
	while (jobs(STORE_FIND) == 0)
		g_usleep(1000);
	g_usleep(300000);
	g_assert_cmpuint(jobs(STORE_FIND), <, 20);
	setrlimit(RLIMIT_FSIZE, &old);
	settle(&world);
	assert_texts("Archive", "1 2 3");
	assert_messages("INBOX", "");
	world_close(&world);
}

static void test_flags_lost(void)
{
	static const enum memory_loss losses[] = {MEMORY_LOST_BEFORE, MEMORY_LOST_AFTER};

	for (unsigned i = 0; i < G_N_ELEMENTS(losses); i++) {
		struct world world;

		world_open(&world, 3);
		memory_fault_set(STORE_FLAGS, 0, losses[i]);
		memory_fault_set(STORE_EXPUNGE, 0, losses[i]);
		set_flags(&world, 1, STORE_FLAG_SEEN, 0);
		promise(&world, &(struct change_request){.kind = CHANGE_EXPUNGE}, 2);
		settle(&world);
		assert_messages("INBOX", "1S 3");
		g_assert_cmpuint(flags_of(&world, &world.inbox, 1), ==, STORE_FLAG_SEEN);
		world_close(&world);
	}
}

/* --- what the server refuses --- */

static bool is_hidden(struct world *world, uint32_t uid)
{
	struct overlay overlay;

	changes_overlay(world->fix.state, world->inbox.epoch, uid, &overlay);
	return overlay.gone || overlay.set & STORE_FLAG_DELETED;
}

static void test_refused(void)
{
	struct world world;

	world_open(&world, 3);
	memory_fault_set(STORE_FLAGS, ERROR_DENIED, MEMORY_KEPT);
	set_flags(&world, 2, STORE_FLAG_DELETED, 0);
	g_assert_true(is_hidden(&world, 2));
	g_assert_cmpint(ask(&world.fix, NEED_CHANGE, world.inbox.epoch, 2, 0), ==, EACCES);
	g_assert_false(is_hidden(&world, 2));
	g_assert_cmpuint(flags_of(&world, &world.inbox, 2), ==, 0);
	g_assert_cmpuint(memory_count(&world.fix.messages_changed), >, 0);
	g_assert_true(log_says("message 2, which shows again as it was: refused"));
	/* The verdict is told once. */
	g_assert_cmpint(sync_folder(&world, world.inbox.id), ==, EACCES);
	g_assert_cmpint(sync_folder(&world, world.inbox.id), ==, 0);
	world_close(&world);
}

/* One of many is not to the server's liking: the others are done. */
static void test_refused_of_many(void)
{
	struct world world;

	world_open(&world, 3);
	memory_fault_set(STORE_FLAGS, ERROR_SERVER, MEMORY_KEPT);
	for (uint32_t uid = 1; uid <= 3; uid++)
		set_flags(&world, uid, STORE_FLAG_SEEN, 0);
	settle(&world);
	assert_messages("INBOX", "1S 2S 3S");
	assert_journal("flags INBOX 1 +1-0\nflags INBOX 2 +1-0\nflags INBOX 3 +1-0\n");
	world_close(&world);
}

/* Refused at each step: it is where it was, and nowhere else. */
static void test_move_refused(void)
{
	static const enum store_job_kind kinds[] = {STORE_MOVE, STORE_MARK, STORE_COPY};

	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		struct world world;

		world_prepare(&world, 3);
		if (kinds[i] != STORE_MOVE)
			memory.abilities = STORE_CAN_CHANGE | STORE_CAN_EXPUNGE;
		world_start(&world);
		memory_fault_set(kinds[i], ERROR_QUOTA, MEMORY_KEPT);
		put_elsewhere(&world, CHANGE_MOVE, 2);
		g_assert_true(is_hidden(&world, 2));
		g_assert_cmpint(ask(&world.fix, NEED_CHANGE, world.inbox.epoch, 2, 0), ==, EDQUOT);
		g_assert_false(is_hidden(&world, 2));
		assert_messages("INBOX", "1 2 3");
		assert_messages("Archive", "");
		g_assert_null(changes_guests(world.fix.state, world.archive.id));
		g_assert_cmpint(sync_folder(&world, world.archive.id), ==, EDQUOT);
		pthread_mutex_lock(&world.fix.lock);
		g_assert_nonnull(g_hash_table_lookup(world.fix.names, "my-2.eml"));
		pthread_mutex_unlock(&world.fix.lock);
		world_close(&world);
	}
}

/* The copy has arrived, the source may not be removed: it stays, and nothing is lost. */
static void test_source_stays(void)
{
	struct world world;

	world_prepare(&world, 3);
	memory.abilities = STORE_CAN_CHANGE | STORE_CAN_EXPUNGE;
	world_start(&world);
	memory_fault_set(STORE_EXPUNGE, ERROR_DENIED, MEMORY_KEPT);
	put_elsewhere(&world, CHANGE_MOVE, 2);
	g_assert_cmpint(ask(&world.fix, NEED_CHANGE, world.inbox.epoch, 2, 0), ==, EACCES);
	assert_messages("INBOX", "1 2 3");
	assert_texts("Archive", "2");
	g_assert_false(is_hidden(&world, 2));
	world_close(&world);
}

static void test_target_gone(void)
{
	struct world world;

	world_open(&world, 3);
	pthread_mutex_lock(&memory.lock);
	memory.folders[1].gone = true;
	pthread_mutex_unlock(&memory.lock);
	put_elsewhere(&world, CHANGE_MOVE, 2);
	g_assert_cmpint(ask(&world.fix, NEED_CHANGE, world.inbox.epoch, 2, 0), ==, ENOENT);
	assert_messages("INBOX", "1 2 3");
	world_close(&world);
}

static void test_uidvalidity(void)
{
	struct world world;

	world_open(&world, 3);
	pthread_mutex_lock(&memory.lock);
	memory.folders[0].uidvalidity = 70;
	pthread_mutex_unlock(&memory.lock);
	set_flags(&world, 1, STORE_FLAG_DELETED, 0);
	promise(&world, &(struct change_request){.kind = CHANGE_EXPUNGE}, 2);
	put_elsewhere(&world, CHANGE_MOVE, 3);
	settle(&world);
	assert_journal("");
	assert_messages("INBOX", "1 2 3");
	assert_messages("Archive", "");
	g_assert_true(log_says("message 1"));
	world_close(&world);
}

/* --- the end --- */

static void test_flush(void)
{
	struct world world;
	gint64 start_us;

	world_open(&world, 3);
	set_flags(&world, 1, STORE_FLAG_SEEN, 0);
	write_new(&world, "one.eml", texts[1]);
	engine_flush(world.fix.engine, 10000);
	g_assert_cmpuint(state_pending(world.fix.state), ==, 0);
	assert_messages("INBOX", "1S 2 3");
	assert_texts("Archive", "1");
	/* Nobody answers. */
	memory_set(&memory.hang, true);
	set_flags(&world, 2, STORE_FLAG_SEEN, 0);
	start_us = g_get_monotonic_time();
	engine_flush(world.fix.engine, 300);
	g_assert_cmpint(g_get_monotonic_time() - start_us, <, 10 * G_USEC_PER_SEC);
	g_assert_cmpuint(state_pending(world.fix.state), ==, 1);
	g_assert_true(log_says("1 changes wait for the next mount"));
	world_close(&world);
}

/* Without a connection waiting is refused, nothing is lost, and the next mount does it. */
static void test_away(void)
{
	struct world world;

	world_open(&world, 3);
	memory_fault_set(STORE_FLAGS, 0, MEMORY_LOST_BEFORE);
	pthread_mutex_lock(&memory.lock);
	memory.refuse = ERROR_UNREACHABLE;
	pthread_mutex_unlock(&memory.lock);
	memory_fault_set(STORE_REFRESH, 0, MEMORY_LOST_BEFORE);
	memory_fault_set(STORE_LIST, 0, MEMORY_LOST_BEFORE);
	set_flags(&world, 1, STORE_FLAG_SEEN, 0);
	g_assert_cmpint(ask(&world.fix, NEED_CHANGE, world.inbox.epoch, 1, 0), !=, 0);
	g_assert_cmpuint(state_pending(world.fix.state), ==, 1);
	folder_row_clear(&world.inbox);
	folder_row_clear(&world.archive);
	fixture_end(&world.fix);
	memory.refuse = 0;
	memset(memory.faults, 0, sizeof(memory.faults));
	fixture_run(&world.fix);
	world_start(&world);
	settle(&world);
	assert_messages("INBOX", "1S 2 3");
	world_close(&world);
}

/* Whoever looks when the engine was started sees what was promised before. */
static void test_bound_at_start(void)
{
	struct world world;

	world_open(&world, 3);
	fixture_end(&world.fix);
	world.fix.account.offline = true;
	for (int i = 0; i < 2; i++) {
		fixture_run(&world.fix);
		engine_start(world.fix.engine);
		if (i == 0)
			set_flags(&world, 1, STORE_FLAG_DELETED, 0);
		g_assert_true(changes_pending(world.fix.state, world.inbox.epoch, 1));
		if (i == 0)
			fixture_end(&world.fix);
	}
	world_close(&world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	log_open("test", LOG_LEVEL_WARNING);
	label_init();
	texts_make();
	g_test_add_func("/engine-change/remove-many", test_remove_many);
	g_test_add_func("/engine-change/company", test_company);
	g_test_add_func("/engine-change/order", test_order);
	g_test_add_func("/engine-change/move", test_move);
	g_test_add_func("/engine-change/move-listed", test_move_listed);
	g_test_add_func("/engine-change/move-lie", test_move_lie);
	g_test_add_func("/engine-change/move-by-copy", test_move_by_copy);
	g_test_add_func("/engine-change/move-bare", test_move_bare);
	g_test_add_func("/engine-change/copy", test_copy);
	g_test_add_func("/engine-change/move-lost", test_move_lost);
	g_test_add_func("/engine-change/move-lost-with-all", test_move_lost_with_all);
	g_test_add_func("/engine-change/copy-lost", test_copy_lost);
	g_test_add_func("/engine-change/restart", test_restart);
	g_test_add_func("/engine-change/without-cache", test_without_cache);
	g_test_add_func("/engine-change/disk-full", test_disk_full);
	g_test_add_func("/engine-change/flags-lost", test_flags_lost);
	g_test_add_func("/engine-change/refused", test_refused);
	g_test_add_func("/engine-change/refused-of-many", test_refused_of_many);
	g_test_add_func("/engine-change/move-refused", test_move_refused);
	g_test_add_func("/engine-change/source-stays", test_source_stays);
	g_test_add_func("/engine-change/target-gone", test_target_gone);
	g_test_add_func("/engine-change/uidvalidity", test_uidvalidity);
	g_test_add_func("/engine-change/flush", test_flush);
	g_test_add_func("/engine-change/away", test_away);
	g_test_add_func("/engine-change/bound-at-start", test_bound_at_start);
	return g_test_run();
}
