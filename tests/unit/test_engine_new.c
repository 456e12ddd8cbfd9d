/* New messages and folders reach the server, once, whatever happens on the way; what has to be
 * known for changes. */
#include "engine_world.h"

/* --- new messages --- */

static void test_append(void)
{
	struct world world;
	uint32_t ids[2];

	world_open(&world, 0);
	ids[0] = write_new(&world, "one.eml", "Message-ID: <1@x>\nSubject: 1\n\nbody 1\n");
	ids[1] = write_new(&world, "two.eml", texts[2]);
	g_assert_cmpint(sync_file(&world, ids[0]), ==, 0);
	g_assert_cmpint(sync_file(&world, ids[1]), ==, 0);
	assert_journal("append Archive\nappend Archive\n");
	g_assert_cmpuint(jobs(STORE_MARK), ==, 1);
	g_assert_cmpstr(memory.folders[1].messages[0].body, ==,
			"Message-ID: <1@x>\r\nSubject: 1\r\n\r\nbody 1\r\n");
	g_assert_cmpint(memory.folders[1].messages[0].date_s, ==, 1234567890);
	g_assert_cmpstr(memory.folders[1].messages[1].body, ==, texts[2]);
	g_assert_cmpuint(names_find(world.fix.state, world.archive.epoch, "one.eml"), ==, 1);
	g_assert_cmpuint(names_find(world.fix.state, world.archive.epoch, "two.eml"), ==, 2);
	world_close(&world);
}

static void test_append_seen(void)
{
	struct world world;

	world_prepare(&world, 0);
	world.fix.account.append_seen = true;
	memory.no_uidplus = true;
	world_start(&world);
	g_assert_cmpint(sync_file(&world, write_new(&world, "one.eml", texts[1])), ==, 0);
	assert_messages("Archive", "1S");
	g_assert_cmpuint(names_find(world.fix.state, world.archive.epoch, "one.eml"), ==, 1);
	world_close(&world);
}

static void append_lost(bool no_uidplus, enum store_job_kind step, enum memory_loss loss)
{
	struct world world;

	world_prepare(&world, 0);
	memory.no_uidplus = no_uidplus;
	world_start(&world);
	memory_message_add(&memory.folders[1], 4, "x", texts[9]);
	memory_fault_set(step, 0, loss);
	write_new(&world, "one.eml", texts[1]);
	settle(&world);
	assert_texts("Archive", "9 1");
	/* What was said OK to is there: it is not searched for twice. */
	if (step != STORE_FIND)
		g_assert_cmpuint(names_find(world.fix.state, world.archive.epoch, "one.eml"), ==,
				 5);
	world_close(&world);
}

static void test_append_lost(void)
{
	static const enum store_job_kind kinds[] = {STORE_MARK, STORE_APPEND, STORE_FIND};

	for (unsigned i = 0; i < 2 * G_N_ELEMENTS(kinds); i++) {
		append_lost(i % 2, kinds[i / 2], MEMORY_LOST_BEFORE);
		append_lost(i % 2, kinds[i / 2], MEMORY_LOST_AFTER);
	}
}

static void assert_append_fails(struct world *world, int number)
{
	struct spool_file file;
	uint32_t id = write_new(world, "one.eml", texts[1]);

	g_assert_cmpint(sync_file(world, id), ==, number);
	g_assert_true(spool_get(world->fix.state, id, &file));
	g_assert_cmpint(file.step, ==, SPOOL_FAILED);
	g_assert_cmpint(file.error, ==, number);
	spool_file_clear(&file);
	assert_messages("Archive", "");
	g_assert_cmpint(sync_folder(world, world->archive.id), ==, number);
	g_assert_true(log_says("one.eml is kept as a file"));
}

static void test_append_refused(void)
{
	struct world world;

	world_open(&world, 0);
	memory_fault_set(STORE_APPEND, ERROR_QUOTA, MEMORY_KEPT);
	assert_append_fails(&world, EDQUOT);
	world_close(&world);
}

static void test_append_too_large(void)
{
	struct world world;

	world_prepare(&world, 0);
	memory.append_max_bytes = strlen(texts[1]) - 1;
	world_start(&world);
	assert_append_fails(&world, EFBIG);
	g_assert_cmpuint(jobs(STORE_APPEND), ==, 0);
	world_close(&world);
	world_prepare(&world, 0);
	memory.append_max_bytes = strlen(texts[1]);
	world_start(&world);
	g_assert_cmpint(sync_file(&world, write_new(&world, "one.eml", texts[1])), ==, 0);
	world_close(&world);
}

/* --- folders --- */

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

static void test_folders(void)
{
	struct folder_op create = {FOLDER_CREATE, 0, "New", NULL, '/'};
	struct folder_op rename = {FOLDER_RENAME, 0, NULL, "Old/Archive", '/'};
	struct folder_op delete = {FOLDER_DELETE, 0, NULL, NULL, '/'};
	struct world world;
	struct folder_row old, row;

	world_open(&world, 3);
	g_assert_cmpint(operate(&world, &create), ==, 0);
	g_assert_cmpint(operate(&world, &create), ==, EEXIST);
	delete.folder = folder_id(&world.fix, "New");
	memory_message_add(memory_folder_find("New"), 1, "x", texts[1]);
	g_assert_cmpint(operate(&world, &delete), ==, ENOTEMPTY);
	memory_message_remove(memory_folder_find("New"), 1);
	g_assert_cmpint(operate(&world, &delete), ==, 0);
	g_assert_false(index_folder_child(world.fix.view, INDEX_ROOT, "New", &row));
	g_assert_null(memory_folder_find("New"));

	rename.folder = world.archive.id;
	memory_folder_add("Archive/2024", 9);
	g_assert_cmpint(operate(&world, &rename), ==, 0);
	g_assert_nonnull(memory_folder_find("Old/Archive/2024"));
	old = folder(&world.fix, "Old");
	g_assert_true(index_folder_child(world.fix.view, old.id, "Archive", &row));
	g_assert_cmpuint(row.id, ==, world.archive.id);
	g_assert_cmpuint(row.epoch, ==, world.archive.epoch);
	folder_row_clear(&row);
	folder_row_clear(&old);
	g_assert_cmpuint(memory_count(&memory.trespasses), ==, 0);
	g_assert_cmpuint(jobs(STORE_LEAVE), >, 0);
	delete.folder = 12345;
	g_assert_cmpint(operate(&world, &delete), ==, ENOENT);
	world_close(&world);
}

/* What is to go into a folder that gets another name arrives there. */
static void test_rename_with_changes(void)
{
	struct folder_op rename = {FOLDER_RENAME, 0, NULL, "Other", '/'};
	struct world world;

	world_open(&world, 3);
	put_elsewhere(&world, CHANGE_MOVE, 1);
	g_assert_cmpint(sync_folder(&world, world.archive.id), ==, 0);
	put_elsewhere(&world, CHANGE_MOVE, 2);
	rename.folder = world.archive.id;
	g_assert_cmpint(operate(&world, &rename), ==, 0);
	settle(&world);
	assert_texts("Other", "1 2");
	assert_messages("INBOX", "3");
	world_close(&world);
}

/* Where the last new message ended tells nothing of another folder of that name. */
static void test_append_lost_after_rename(void)
{
	struct folder_op rename = {FOLDER_RENAME, 0, NULL, "Old", '/'};
	struct folder_op create = {FOLDER_CREATE, 0, "Archive", NULL, '/'};
	struct world world;

	world_open(&world, 0);
	g_assert_cmpint(sync_file(&world, write_new(&world, "one.eml", texts[1])), ==, 0);
	rename.folder = world.archive.id;
	g_assert_cmpint(operate(&world, &rename), ==, 0);
	g_assert_cmpint(operate(&world, &create), ==, 0);
	folder_row_clear(&world.archive);
	world.archive = folder(&world.fix, "Archive");
	memory_fault_set(STORE_APPEND, 0, MEMORY_LOST_AFTER);
	write_new(&world, "two.eml", texts[2]);
	settle(&world);
	assert_texts("Old", "1");
	assert_texts("Archive", "2");
	world_close(&world);
}

/* It is in hand when its folder gets another name. */
static void test_append_while_renamed(void)
{
	struct folder_op rename = {FOLDER_RENAME, 0, NULL, "Old", '/'};
	struct need sent = {.kind = NEED_CHANGES, .id = INDEX_ROOT};
	struct world world;
	uint32_t ticket;

	world_open(&world, 1);
	set_flags(&world, 1, STORE_FLAG_SEEN, 0);
	g_assert_cmpint(sync_folder(&world, world.inbox.id), ==, 0);
	memory_set(&memory.hold[STORE_RENAME], true);
	rename.folder = world.archive.id;
	ticket = engine_folder_op(world.fix.engine, &rename);
	while (jobs(STORE_LEAVE) < 3)
		g_usleep(1000);
	write_new(&world, "one.eml", texts[1]);
	engine_need(world.fix.engine, &sent);
	/* Now it waits behind the other. */
	g_assert_cmpint(ask(&world.fix, NEED_RIGHTS, world.inbox.id, 0, 0), ==, 0);
	memory_set(&memory.hold[STORE_RENAME], false);
	g_assert_cmpint(sync_folder(&world, world.inbox.id), ==, 0);
	settle(&world);
	g_assert_cmpint(verdict(&world, ticket), ==, 0);
	assert_texts("Old", "1");
	world_close(&world);
}

static void memory_call(const char *from, const char *to)
{
	struct memory_folder *folder = memory_folder_find(from);

	pthread_mutex_lock(&memory.lock);
	folder->name = to;
	pthread_mutex_unlock(&memory.lock);
}

/* The server has done it when it lists, and says so only later. */
static void test_list_while_renamed(void)
{
	struct folder_op rename = {FOLDER_RENAME, 0, NULL, "Old", '/'};
	struct need folders = {.kind = NEED_FOLDERS};
	struct folder_row old;
	struct world world;
	unsigned lists;
	uint32_t ticket;

	world_prepare(&world, 1);
	world.fix.account.poll_s = 1;
	world_start(&world);
	set_flags(&world, 1, STORE_FLAG_SEEN, 0);
	g_assert_cmpint(sync_folder(&world, world.inbox.id), ==, 0);
	memory_set(&memory.hold[STORE_RENAME], true);
	rename.folder = world.archive.id;
	ticket = engine_folder_op(world.fix.engine, &rename);
	while (jobs(STORE_LEAVE) < 3)
		g_usleep(1000);
	memory_call("Archive", "Old");
	lists = jobs(STORE_LIST);
	while (jobs(STORE_LIST) == lists) {
		engine_need(world.fix.engine, &folders);
		g_usleep(1000);
	}
	memory_call("Old", "Archive");
	memory_set(&memory.hold[STORE_RENAME], false);
	g_assert_cmpint(verdict(&world, ticket), ==, 0);
	old = folder(&world.fix, "Old");
	g_assert_cmpuint(old.id, ==, world.archive.id);
	g_assert_cmpuint(old.epoch, ==, world.archive.epoch);
	folder_row_clear(&old);
	world_close(&world);
}

/* --- what has to be known --- */

static void test_rights(void)
{
	struct store_rights rights;
	struct world world;

	world_prepare(&world, 3);
	memory.folders[0].read_only = true;
	memory.folders[1].may = STORE_MAY_ALL & ~(unsigned)STORE_MAY_INSERT;
	memory.folders[0].messages[1].keywords = "$Work later";
	world_start(&world);
	g_assert_false(engine_rights(world.fix.engine, world.inbox.id, &rights));
	g_assert_cmpint(ask(&world.fix, NEED_RIGHTS, world.inbox.id, 0, 0), ==, 0);
	g_assert_cmpint(ask(&world.fix, NEED_RIGHTS, world.archive.id, 0, 0), ==, 0);
	g_assert_cmpint(ask(&world.fix, NEED_RIGHTS, 12345, 0, 0), ==, ENOENT);
	g_assert_true(engine_rights(world.fix.engine, world.inbox.id, &rights));
	g_assert_true(rights.read_only);
	g_assert_true(engine_rights(world.fix.engine, world.archive.id, &rights));
	g_assert_false(rights.read_only);
	g_assert_false(rights.may & STORE_MAY_INSERT);
	g_assert_true(engine_has_keyword(world.fix.engine, world.inbox.id, "LATER"));
	g_assert_false(engine_has_keyword(world.fix.engine, world.inbox.id, "late"));
	/* What the tree did not stop is refused by the server. */
	set_flags(&world, 1, STORE_FLAG_SEEN, 0);
	g_assert_cmpint(ask(&world.fix, NEED_CHANGE, world.inbox.epoch, 1, 0), ==, EROFS);
	/* What was denied is asked for again on another connection. */
	memory_set(&memory.folders[0].read_only, false);
	engine_reconnect(world.fix.engine);
	while (engine_rights(world.fix.engine, world.inbox.id, &rights))
		g_usleep(1000);
	g_assert_cmpint(ask(&world.fix, NEED_RIGHTS, world.inbox.id, 0, 0), ==, 0);
	g_assert_true(engine_rights(world.fix.engine, world.inbox.id, &rights));
	g_assert_false(rights.read_only);
	world_close(&world);
}

static void test_sizes(void)
{
	for (unsigned lie = 0; lie < 2; lie++) {
		struct world world;

		world_prepare(&world, 3);
		memory.folders[0].messages[1].size_told += lie;
		world_start(&world);
		g_assert_cmpint(engine_trusts_sizes(world.fix.engine), ==, SIZES_UNPROVEN);
		g_assert_cmpint(ask(&world.fix, NEED_SIZE, world.inbox.epoch, 2, 0), ==, 0);
		g_assert_cmpint(ask(&world.fix, NEED_SIZE, world.inbox.epoch, 3, 0), ==, 0);
		g_assert_cmpint(engine_trusts_sizes(world.fix.engine), ==,
				lie ? SIZES_LIE : SIZES_TRUE);
		/* Small ones tell it by themselves. */
		g_assert_cmpuint(jobs(STORE_MEASURE), ==, 0);
		g_assert_cmpuint(jobs(STORE_BODY), ==, 1);
		world_close(&world);
	}
}

static void test_sizes_of_large(void)
{
	for (unsigned lie = 0; lie < 2; lie++) {
		g_autofree char *body = g_strnfill(100000, 'x');
		struct world world;

		world_prepare(&world, 3);
		memory.folders[0].messages[0].body = body;
		memory.folders[0].messages[0].size_told = 100000 + lie;
		world_start(&world);
		g_assert_cmpint(ask(&world.fix, NEED_SIZE, world.inbox.epoch, 1, 0), ==, 0);
		g_assert_cmpint(engine_trusts_sizes(world.fix.engine), ==,
				lie ? SIZES_LIE : SIZES_TRUE);
		g_assert_cmpuint(jobs(STORE_MEASURE), ==, 1);
		g_assert_cmpuint(jobs(STORE_BODY), ==, 0);
		world_close(&world);
	}
}

static void test_abilities(void)
{
	struct world world;
	uint64_t max;

	world_prepare(&world, 0);
	memory.abilities = STORE_CAN_CHANGE | STORE_CAN_MOVE;
	memory.append_max_bytes = 12345;
	world_start(&world);
	g_assert_cmpuint(engine_abilities(world.fix.engine, &max), ==,
			 STORE_CAN_CHANGE | STORE_CAN_MOVE);
	g_assert_cmpuint(max, ==, 12345);
	world_close(&world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	log_open("test", LOG_LEVEL_WARNING);
	label_init();
	texts_make();
	g_test_add_func("/engine-new/append", test_append);
	g_test_add_func("/engine-new/append-seen", test_append_seen);
	g_test_add_func("/engine-new/append-lost", test_append_lost);
	g_test_add_func("/engine-new/append-refused", test_append_refused);
	g_test_add_func("/engine-new/append-too-large", test_append_too_large);
	g_test_add_func("/engine-new/folders", test_folders);
	g_test_add_func("/engine-new/rename-with-changes", test_rename_with_changes);
	g_test_add_func("/engine-new/append-lost-after-rename", test_append_lost_after_rename);
	g_test_add_func("/engine-new/append-while-renamed", test_append_while_renamed);
	g_test_add_func("/engine-new/list-while-renamed", test_list_while_renamed);
	g_test_add_func("/engine-new/rights", test_rights);
	g_test_add_func("/engine-new/sizes", test_sizes);
	g_test_add_func("/engine-new/sizes-of-large", test_sizes_of_large);
	g_test_add_func("/engine-new/abilities", test_abilities);
	return g_test_run();
}
