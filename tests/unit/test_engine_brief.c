/* Brief sessions, one at a time: when they begin and end, and what waits for them. */

#include "engine_world.h"

#define SECOND_MS 1000
#define NEVER_S 86400

/* --- helpers --- */

static void brief_open(struct world *world, unsigned count, uint32_t poll_s)
{
	struct memory_folder *inbox;

	memset(world, 0, sizeof(*world));
	fixture_open_with(&world->fix, &store_memory_brief);
	memory.abilities = STORE_CAN_REMOVE;
	world->fix.account.poll_s = poll_s;
	inbox = memory_folder_add("INBOX", 1);
	for (unsigned uid = 1; uid <= count; uid++)
		memory_message_add(inbox, uid, "x", texts[uid]);
}

/* The row of INBOX, which the first session listed unasked. */
static void brief_start(struct world *world)
{
	struct fixture *fix = &world->fix;

	fixture_start(fix);
	g_assert_cmpint(ask(fix, NEED_FOLDER, folder_id(fix, "INBOX"), 0, 0), ==, 0);
	world->inbox = folder(fix, "INBOX");
}

static void brief_close(struct world *world)
{
	fixture_end(&world->fix);
	g_assert_cmpuint(memory.alive, ==, 0);
	g_assert_cmpuint(memory.alive_most, ==, 1);
	fixture_run(&world->fix);
	world_close(world);
}

static void await(const unsigned *counter, unsigned least)
{
	gint64 end_us = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

	while (memory_count(counter) < least) {
		g_assert_cmpint(g_get_monotonic_time(), <, end_us);
		g_usleep(1000);
	}
}

/* Until no session is held. */
static void await_end(void)
{
	gint64 end_us = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

	while (memory_count(&memory.alive) > 0) {
		g_assert_cmpint(g_get_monotonic_time(), <, end_us);
		g_usleep(1000);
	}
}

static void await_status(struct world *world, const char *line)
{
	gint64 end_us = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

	for (;;) {
		g_autofree char *status = engine_status(world->fix.engine);

		if (strstr(status, line))
			return;
		g_assert_cmpint(g_get_monotonic_time(), <, end_us);
		g_usleep(1000);
	}
}

static unsigned sessions(void)
{
	return memory_count(&memory.connections);
}

static unsigned settled_count(struct fixture *fix)
{
	unsigned n;

	pthread_mutex_lock(&fix->lock);
	n = fix->settled->len;
	pthread_mutex_unlock(&fix->lock);
	return n;
}

static void add_message(struct world *world, uint32_t uid)
{
	memory_message_add(memory_folder_find("INBOX"), uid, "x", texts[uid]);
}

/* As `rm`. */
static void rm(struct world *world, uint32_t uid)
{
	set_flags(world, uid, STORE_FLAG_DELETED, 0);
	engine_changed(world->fix.engine);
}

static void set_u32(uint32_t *value, uint32_t to)
{
	pthread_mutex_lock(&memory.lock);
	*value = to;
	pthread_mutex_unlock(&memory.lock);
}

static void set_refuse(int error)
{
	pthread_mutex_lock(&memory.lock);
	memory.refuse = error;
	pthread_mutex_unlock(&memory.lock);
}

static int read_message(struct world *world, uint32_t uid)
{
	return ask(&world->fix, NEED_BODY, world->inbox.epoch, uid, UINT64_MAX);
}

/* --- when sessions begin and end --- */

/* It lists, is held for a moment, ends, and nothing is amiss. */
static void test_idle(void)
{
	struct world world;

	brief_open(&world, 3, NEVER_S);
	brief_start(&world);
	g_assert_cmpuint(jobs(STORE_REFRESH), ==, 1);
	g_assert_true(is_known(&world, &world.inbox, 3));
	await_end();
	g_assert_cmpuint(memory_count(&memory.finished), ==, 1);
	await_status(&world, "connections: 0\n");
	await_status(&world, "state: online\n");
	await_status(&world, "last-error: none\n");
	g_assert_false(engine_is_stalled(world.fix.engine));
	/* What is known is fresh for as long as was said. */
	g_assert_cmpint(ask(&world.fix, NEED_FOLDER, world.inbox.id, 0, 0), ==, 0);
	g_assert_cmpint(ask(&world.fix, NEED_FOLDERS, 0, 0, 0), ==, 0);
	g_assert_cmpuint(sessions(), ==, 1);
	brief_close(&world);
}

/* Whoever waits for a message waits for nothing else; all go through one session. */
static void test_body_at_once(void)
{
	struct world world;

	brief_open(&world, 5, NEVER_S);
	brief_start(&world);
	g_assert_cmpint(read_message(&world, 1), ==, 0);
	g_assert_cmpuint(sessions(), ==, 1);
	await_end();
	g_assert_cmpint(read_message(&world, 2), ==, 0);
	assert_body(&world.fix, world.inbox.epoch, 2, texts[2]);
	g_assert_cmpint(read_message(&world, 5), ==, 0);
	g_assert_cmpuint(sessions(), ==, 2);
	/* It told of the folder too. */
	await(&memory.jobs[STORE_REFRESH], 2);
	await_end();
	g_assert_cmpuint(memory_count(&memory.finished), ==, 2);
	brief_close(&world);
}

/* A session that is held sees nothing new: another one is begun. */
static void test_news(void)
{
	struct world world;

	brief_open(&world, 1, 1);
	brief_start(&world);
	add_message(&world, 2);
	while (!is_known(&world, &world.inbox, 2))
		g_assert_cmpint(ask(&world.fix, NEED_FOLDER, world.inbox.id, 0, 0), ==, 0);
	add_message(&world, 3);
	while (!is_known(&world, &world.inbox, 3))
		g_assert_cmpint(ask(&world.fix, NEED_FOLDER, world.inbox.id, 0, 0), ==, 0);
	g_assert_cmpuint(sessions(), >=, 3);
	/* No more often than was said, whoever asks how often. */
	g_assert_cmpint(memory.gap_ms, >=, SECOND_MS);
	brief_close(&world);
}

/* What the session told is found to be wrong: the next one is not a poll away. */
static void test_outdated(void)
{
	struct world world;

	brief_open(&world, 1, NEVER_S);
	brief_start(&world);
	add_message(&world, 2);
	set_u32(&memory.another, 1);
	g_assert_cmpint(read_message(&world, 1), ==, ENOENT);
	while (!is_known(&world, &world.inbox, 2)) {
		ask(&world.fix, NEED_FOLDER, world.inbox.id, 0, 0);
		g_usleep(10000);
	}
	g_assert_cmpuint(sessions(), ==, 2);
	brief_close(&world);
}

/* A folder in use is polled, and not more often than that. */
static void test_polling(void)
{
	struct world world;

	brief_open(&world, 1, 1);
	brief_start(&world);
	await(&memory.connections, 4);
	g_assert_cmpint(memory.gap_ms, >=, SECOND_MS);
	g_assert_cmpuint(memory_count(&memory.attempts), ==, sessions());
	brief_close(&world);
}

/* Whoever waits, and for what: the server's wish counts. It is of logins, not of their ends. */
static void test_rest(void)
{
	struct need need = {.kind = NEED_FOLDER};
	struct world world;
	unsigned seen;

	brief_open(&world, 3, 1);
	memory.rest_ms = 6 * SECOND_MS;
	brief_start(&world);
	await_end();
	seen = settled_count(&world.fix);
	need.id = world.inbox.id;
	engine_need(world.fix.engine, &need);
	g_assert_cmpint(read_message(&world, 2), ==, 0);
	g_assert_cmpuint(sessions(), ==, 2);
	g_assert_true(log_says("the server allows no login for "));
	/* The same session told the other one. */
	while (settled_count(&world.fix) < seen + 2)
		g_usleep(1000);
	g_assert_cmpuint(sessions(), ==, 2);
	await_end();
	rm(&world, 1);
	g_assert_cmpint(sync_folder(&world, world.inbox.id), ==, 0);
	g_assert_cmpint(memory.gap_ms, >=, 6 * SECOND_MS);
	g_assert_cmpint(memory.gap_ms, <, 9 * SECOND_MS);
	brief_close(&world);
}

/* A session that was lost, or is to be begun anew, was one too. */
static void test_rest_lost(void)
{
	struct world world;

	brief_open(&world, 2, NEVER_S);
	memory.rest_ms = 2 * SECOND_MS;
	brief_start(&world);
	memory_fault_set(STORE_BODY, 0, MEMORY_LOST_BEFORE);
	g_assert_cmpint(read_message(&world, 1), ==, 0);
	g_assert_cmpuint(sessions(), ==, 2);
	engine_reconnect(world.fix.engine);
	await(&memory.connections, 3);
	g_assert_cmpint(memory.gap_ms, >=, 2 * SECOND_MS);
	brief_close(&world);
}

/* A large message comes whole, and who reads its beginning does not wait for its end. */
static void test_large(void)
{
	const size_t len = 2500 * 1000;
	g_autofree char *text = g_strnfill(len, 'x');
	struct file_span span;
	struct world world;

	brief_open(&world, 0, NEVER_S);
	memory_message_add(memory_folder_find("INBOX"), 1, "x", text);
	world.fix.account.cache_size_bytes = 16 << 20;
	brief_start(&world);
	g_assert_cmpint(ask(&world.fix, NEED_BODY, world.inbox.epoch, 1, 1), ==, 0);
	g_assert_cmpint(read_message(&world, 1), ==, 0);
	g_assert_true(bodies_get(world.fix.bodies, world.inbox.epoch, 1, UINT64_MAX, &span));
	close(span.fd);
	g_assert_cmpuint(span.size, ==, len);
	g_assert_cmpuint(jobs(STORE_BODY), ==, 1);
	brief_close(&world);
}

/* An end that was not meant is one: it connects anew, asked or not. */
static void test_lost(void)
{
	struct world world;

	brief_open(&world, 2, NEVER_S);
	brief_start(&world);
	memory_fault_set(STORE_BODY, 0, MEMORY_LOST_BEFORE);
	g_assert_cmpint(read_message(&world, 1), ==, 0);
	g_assert_cmpuint(sessions(), ==, 2);
	await_end();
	set_refuse(ERROR_UNREACHABLE);
	g_assert_cmpint(read_message(&world, 2), ==, EHOSTUNREACH);
	await_status(&world, "state: offline\n");
	set_refuse(0);
	await_status(&world, "state: online\n");
	g_assert_cmpuint(sessions(), ==, 3);
	brief_close(&world);
}

static void test_reconnect(void)
{
	struct world world;

	brief_open(&world, 1, NEVER_S);
	brief_start(&world);
	await_end();
	engine_reconnect(world.fix.engine);
	await(&memory.connections, 2);
	brief_close(&world);
}

/* What can be done is known before the first session, also that no copies can be kept. */
static void test_abilities(void)
{
	struct world world;
	uint64_t append_max;

	brief_open(&world, 0, NEVER_S);
	world.fix.account.smtp.host = (char *)"smtp.example.org";
	g_assert_cmpuint(engine_abilities(world.fix.engine, &append_max), ==, STORE_CAN_REMOVE);
	g_assert_false(engine_wants_copies(world.fix.engine));
	fixture_close(&world.fix);
	memset(&world, 0, sizeof(world));
	fixture_open(&world.fix);
	world.fix.account.smtp.host = (char *)"smtp.example.org";
	g_assert_cmpuint(engine_abilities(world.fix.engine, &append_max), ==, 0);
	g_assert_true(engine_wants_copies(world.fix.engine));
	fixture_close(&world.fix);
}

/* --- a mailbox in use --- */

static void test_locked(void)
{
	struct need need = {.kind = NEED_BODY, .uid = 1, .upto = UINT64_MAX};
	struct world world;
	unsigned seen, attempts;

	brief_open(&world, 1, NEVER_S);
	brief_start(&world);
	await_end();
	attempts = memory_count(&memory.attempts);
	set_refuse(ERROR_BUSY);
	seen = settled_count(&world.fix);
	need.id = world.inbox.epoch;
	engine_need(world.fix.engine, &need);
	await(&memory.attempts, attempts + 1);
	await_status(&world, "state: offline\n");
	g_assert_true(engine_is_stalled(world.fix.engine));
	g_assert_true(log_says("it is tried again"));
	/* Who comes meanwhile waits too, and does not hurry it. */
	need = (struct need){.kind = NEED_CHANGES, .id = world.inbox.id};
	rm(&world, 1);
	engine_need(world.fix.engine, &need);
	g_usleep(1200 * 1000);
	g_assert_cmpuint(settled_count(&world.fix), ==, seen);
	g_assert_cmpuint(memory_count(&memory.attempts), ==, attempts + 1);
	set_refuse(0);
	await(&memory.connections, 2);
	while (settled_count(&world.fix) < seen + 2)
		g_usleep(1000);
	assert_journal("flags INBOX 1 +8-0\n");
	brief_close(&world);
}

static void test_locked_at_start(void)
{
	struct world world;
	g_autoptr(GError) error = NULL;

	brief_open(&world, 1, NEVER_S);
	world.fix.account.timeout_s = 1;
	memory.refuse = ERROR_BUSY;
	engine_start(world.fix.engine);
	g_assert_false(engine_wait_ready(world.fix.engine, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_BUSY);
	g_assert_cmpuint(memory_count(&memory.attempts), ==, 2);
	fixture_close(&world.fix);
}

/* Some need long for their listing; that is no silence. */
static void test_slow_at_start(void)
{
	struct world world;

	brief_open(&world, 1, NEVER_S);
	world.fix.account.timeout_s = 1;
	memory.login_ms = 2 * SECOND_MS;
	brief_start(&world);
	g_assert_cmpuint(sessions(), ==, 1);
	brief_close(&world);
}

static void test_silent_at_start(void)
{
	struct world world;
	g_autoptr(GError) error = NULL;

	brief_open(&world, 1, NEVER_S);
	world.fix.account.timeout_s = 1;
	memory.hang = true;
	memory.login_ms = 20 * SECOND_MS;
	engine_start(world.fix.engine);
	g_assert_false(engine_wait_ready(world.fix.engine, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_TIMEOUT);
	fixture_close(&world.fix);
}

static void test_unlocked_at_start(void)
{
	struct world world;

	brief_open(&world, 1, NEVER_S);
	memory.refuse = ERROR_BUSY;
	engine_start(world.fix.engine);
	await(&memory.attempts, 1);
	set_refuse(0);
	fixture_end(&world.fix);
	fixture_run(&world.fix);
	brief_start(&world);
	brief_close(&world);
}

/* --- removing --- */

static int sync_inbox(struct world *world)
{
	return sync_folder(world, world->inbox.id);
}

/* Asked to be done, it is done at once; the session ends by it, and the next reader begins
 * another. */
static void test_remove_sync(void)
{
	struct world world;

	brief_open(&world, 4, NEVER_S);
	brief_start(&world);
	rm(&world, 2);
	rm(&world, 3);
	assert_journal("");
	g_assert_cmpint(sync_inbox(&world), ==, 0);
	assert_journal("flags INBOX 2:3 +8-0\n");
	g_assert_false(is_known(&world, &world.inbox, 2));
	g_assert_cmpuint(world.fix.messages_gone, ==, 2);
	await_end();
	await_status(&world, "state: online\n");
	g_assert_cmpint(read_message(&world, 4), ==, 0);
	g_assert_cmpuint(sessions(), ==, 2);
	await_end();
	rm(&world, 1);
	g_assert_cmpint(sync_inbox(&world), ==, 0);
	g_assert_cmpuint(sessions(), ==, 3);
	assert_messages("INBOX", "4");
	brief_close(&world);
}

/* Else it waits for the next session, and `poll` at most. */
static void test_remove_waits(void)
{
	struct world world;

	brief_open(&world, 2, 4);
	brief_start(&world);
	rm(&world, 1);
	await_end();
	assert_journal("");
	settle(&world);
	assert_journal("flags INBOX 1 +8-0\n");
	g_assert_cmpint(memory.gap_ms, >=, 4 * SECOND_MS);
	g_assert_cmpuint(sessions(), ==, 2);
	brief_close(&world);
}

/* However long ago the last session was: there is time to think again. */
static void test_remove_later(void)
{
	struct world world;
	gint64 begun_us;

	brief_open(&world, 2, 2);
	fixture_start(&world.fix);
	await_end();
	world.inbox = folder(&world.fix, "INBOX");
	rm(&world, 1);
	g_assert_cmpint(sync_inbox(&world), ==, 0);
	assert_journal("flags INBOX 1 +8-0\n");
	await_end();
	g_usleep(2500 * 1000); /* nobody looks at it, so nothing happens */
	g_assert_cmpuint(sessions(), ==, 2);
	begun_us = g_get_monotonic_time();
	rm(&world, 2);
	settle(&world);
	g_assert_cmpint(g_get_monotonic_time() - begun_us, >=, 1900 * 1000);
	g_assert_cmpuint(sessions(), ==, 3);
	assert_journal("flags INBOX 2 +8-0\n");
	brief_close(&world);
}

/* A session for something else takes it along, when that is done. */
static void test_remove_along(void)
{
	struct world world;

	brief_open(&world, 2, NEVER_S);
	brief_start(&world);
	await_end();
	rm(&world, 1);
	g_assert_cmpint(read_message(&world, 2), ==, 0);
	settle(&world);
	assert_journal("flags INBOX 1 +8-0\n");
	g_assert_cmpuint(sessions(), ==, 2);
	brief_close(&world);
}

static void test_remove_undone(void)
{
	struct world world;

	brief_open(&world, 2, NEVER_S);
	brief_start(&world);
	rm(&world, 1);
	set_flags(&world, 1, 0, STORE_FLAG_DELETED);
	rm(&world, 2);
	g_assert_cmpint(sync_inbox(&world), ==, 0);
	g_assert_cmpuint(state_pending(world.fix.state), ==, 0);
	assert_journal("flags INBOX 2 +8-0\n");
	assert_messages("INBOX", "1");
	brief_close(&world);
}

static void test_remove_many(void)
{
	struct world world;

	brief_open(&world, MESSAGES, NEVER_S);
	brief_start(&world);
	for (uint32_t uid = 1; uid < MESSAGES; uid++)
		rm(&world, uid);
	g_assert_cmpint(sync_inbox(&world), ==, 0);
	g_assert_cmpuint(jobs(STORE_FLAGS), ==, 1);
	assert_messages("INBOX", "1200");
	brief_close(&world);
}

/* At the end nothing is left. */
static void test_remove_flush(void)
{
	struct world world;

	brief_open(&world, 2, NEVER_S);
	brief_start(&world);
	await_end();
	rm(&world, 1);
	engine_flush(world.fix.engine, 10000);
	g_assert_cmpuint(state_pending(world.fix.state), ==, 0);
	assert_messages("INBOX", "2");
	brief_close(&world);
}

static void remove_over_loss(enum memory_loss loss)
{
	struct world world;

	brief_open(&world, 3, NEVER_S);
	brief_start(&world);
	rm(&world, 1);
	rm(&world, 3);
	memory_fault_set(STORE_FLAGS, 0, loss);
	g_assert_cmpint(sync_inbox(&world), ==, 0);
	assert_messages("INBOX", "2");
	g_assert_false(is_known(&world, &world.inbox, 1));
	g_assert_cmpuint(state_pending(world.fix.state), ==, 0);
	brief_close(&world);
}

static void test_remove_lost(void)
{
	remove_over_loss(MEMORY_LOST_BEFORE);
	remove_over_loss(MEMORY_LOST_AFTER);
}

/* As after kill -9. */
static void test_remove_after_restart(void)
{
	struct world world;

	brief_open(&world, 2, NEVER_S);
	brief_start(&world);
	await_end();
	set_flags(&world, 1, STORE_FLAG_DELETED, 0);
	fixture_end(&world.fix);
	folder_row_clear(&world.inbox);
	fixture_run(&world.fix);
	brief_start(&world);
	settle(&world);
	assert_messages("INBOX", "2");
	brief_close(&world);
}

/* One that cannot be told from others stays, and does not keep the others. */
static void test_remove_doubtful(void)
{
	struct world world;

	brief_open(&world, 4, NEVER_S);
	brief_start(&world);
	set_u32(&memory.doubtful, 2);
	for (uint32_t uid = 1; uid <= 3; uid++)
		rm(&world, uid);
	g_assert_cmpint(sync_inbox(&world), ==, EPERM);
	assert_messages("INBOX", "2 4");
	g_assert_true(is_known(&world, &world.inbox, 2));
	g_assert_cmpuint(flags_of(&world, &world.inbox, 2), ==, 0);
	g_assert_cmpuint(state_pending(world.fix.state), ==, 0);
	g_assert_cmpuint(jobs(STORE_FLAGS), ==, 1);
	g_assert_true(log_says("message 2, which shows again as it was"));
	g_assert_cmpint(sync_inbox(&world), ==, 0);
	brief_close(&world);
}

/* The server did not remove one of them: only that is asked for again. */
static void test_remove_partly(void)
{
	struct world world;

	brief_open(&world, 3, NEVER_S);
	brief_start(&world);
	set_u32(&memory.doubtful, 2);
	pthread_mutex_lock(&memory.lock);
	memory.doubt_error = ERROR_TEMPORARY;
	pthread_mutex_unlock(&memory.lock);
	rm(&world, 1);
	rm(&world, 2);
	rm(&world, 3);
	engine_need(world.fix.engine, &(struct need){.kind = NEED_CHANGES, .id = world.inbox.id});
	await(&memory.jobs[STORE_FLAGS], 1);
	set_u32(&memory.doubtful, 0);
	settle(&world);
	assert_messages("INBOX", "");
	brief_close(&world);
}

/* The server said that it was not done: it is done again. */
static void test_remove_refused(void)
{
	struct world world;

	brief_open(&world, 2, NEVER_S);
	brief_start(&world);
	memory_fault_set(STORE_FLAGS, ERROR_TEMPORARY, MEMORY_KEPT);
	rm(&world, 1);
	g_assert_cmpint(sync_inbox(&world), ==, 0);
	g_assert_cmpuint(jobs(STORE_FLAGS), ==, 2);
	assert_messages("INBOX", "2");
	brief_close(&world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	label_init();
	log_quiet_stderr();
	texts_make();
	g_test_add_func("/engine-brief/idle", test_idle);
	g_test_add_func("/engine-brief/body-at-once", test_body_at_once);
	g_test_add_func("/engine-brief/news", test_news);
	g_test_add_func("/engine-brief/outdated", test_outdated);
	g_test_add_func("/engine-brief/polling", test_polling);
	g_test_add_func("/engine-brief/rest", test_rest);
	g_test_add_func("/engine-brief/rest-lost", test_rest_lost);
	g_test_add_func("/engine-brief/large", test_large);
	g_test_add_func("/engine-brief/lost", test_lost);
	g_test_add_func("/engine-brief/reconnect", test_reconnect);
	g_test_add_func("/engine-brief/abilities", test_abilities);
	g_test_add_func("/engine-brief/locked", test_locked);
	g_test_add_func("/engine-brief/locked-at-start", test_locked_at_start);
	g_test_add_func("/engine-brief/slow-at-start", test_slow_at_start);
	g_test_add_func("/engine-brief/silent-at-start", test_silent_at_start);
	g_test_add_func("/engine-brief/unlocked-at-start", test_unlocked_at_start);
	g_test_add_func("/engine-brief/remove-sync", test_remove_sync);
	g_test_add_func("/engine-brief/remove-waits", test_remove_waits);
	g_test_add_func("/engine-brief/remove-later", test_remove_later);
	g_test_add_func("/engine-brief/remove-along", test_remove_along);
	g_test_add_func("/engine-brief/remove-undone", test_remove_undone);
	g_test_add_func("/engine-brief/remove-many", test_remove_many);
	g_test_add_func("/engine-brief/remove-flush", test_remove_flush);
	g_test_add_func("/engine-brief/remove-lost", test_remove_lost);
	g_test_add_func("/engine-brief/remove-after-restart", test_remove_after_restart);
	g_test_add_func("/engine-brief/remove-doubtful", test_remove_doubtful);
	g_test_add_func("/engine-brief/remove-partly", test_remove_partly);
	g_test_add_func("/engine-brief/remove-refused", test_remove_refused);
	return g_test_run();
}
