/* The first listing of a folder, told while it comes. */

#include "engine_fixture.h"

#define NEVER_MS 3600000
#define SOON_MS 5

/* One every `drip_ms`, the first at once. */
static struct memory_folder *coming_up(struct fixture *fix, const uint32_t *uids, size_t count,
				       unsigned drip_ms)
{
	struct memory_folder *inbox;

	fixture_open(fix);
	inbox = memory_folder_add("INBOX", 7);
	for (size_t i = 0; i < count; i++)
		memory_message_add(inbox, uids[i], "a", "a");
	memory.drip_ms = drip_ms;
	return inbox;
}

static bool note_uid(void *data, const struct message_row *row)
{
	seqset_add(data, row->uid, row->uid);
	return true;
}

static void test_first(void)
{
	static const uint32_t uids[] = {3, 4};
	struct arrivals arrivals;
	struct folder_row row;
	struct fixture fix;
	uint32_t id;

	coming_up(&fix, uids, G_N_ELEMENTS(uids), NEVER_MS);
	fixture_start(&fix);
	id = folder_id(&fix, "INBOX");
	g_assert_cmpuint(engine_arrivals(fix.engine, id).epoch, ==, 0);
	g_assert_cmpint(ask(&fix, NEED_MESSAGES, id, 0, 0), ==, 0);
	row = folder(&fix, "INBOX");
	arrivals = engine_arrivals(fix.engine, id);
	g_assert_cmpuint(arrivals.epoch, ==, row.epoch);
	g_assert_cmpuint(arrivals.upto, ==, 3);
	g_assert_cmpuint(row.messages, ==, 1);
	g_assert_false(row.synced);
	g_assert_false(engine_came_late(fix.engine, &row, 3));
	/* Who comes later with less is answered at once. */
	g_assert_cmpint(ask(&fix, NEED_MESSAGES, id, 0, 2), ==, 0);
	folder_row_clear(&row);
	fixture_close(&fix);
}

static void test_in_order(void)
{
	static const uint32_t uids[] = {1, 2, 3, 5, 8, 13, 21, 34, 55, 89};
	struct arrivals arrivals = {0}, now;
	struct folder_row row;
	struct fixture fix;
	uint32_t id;

	coming_up(&fix, uids, G_N_ELEMENTS(uids), SOON_MS);
	fixture_start(&fix);
	id = folder_id(&fix, "INBOX");
	do {
		g_assert_cmpint(ask(&fix, NEED_MESSAGES, id, 0, arrivals.upto), ==, 0);
		now = engine_arrivals(fix.engine, id);
		row = folder(&fix, "INBOX");
		if (now.epoch != 0) {
			struct seqset seen = {0};

			/* All that is said to be there is. */
			index_messages_each(fix.view, row.epoch, 0, note_uid, &seen);
			for (unsigned i = 0; i < G_N_ELEMENTS(uids) && uids[i] <= now.upto; i++)
				g_assert_true(seqset_contains(&seen, uids[i]));
			g_assert_cmpuint(now.epoch, ==, row.epoch);
			arrivals = now;
			seqset_clear(&seen);
		}
		g_assert_true(row.synced || now.epoch != 0);
		g_assert_false(engine_came_late(fix.engine, &row, 5));
		folder_row_clear(&row);
	} while (now.epoch != 0);
	row = folder(&fix, "INBOX");
	g_assert_true(row.synced);
	folder_row_clear(&row);
	g_assert_cmpint(ask(&fix, NEED_MESSAGES, id, 0, UINT32_MAX), ==, 0);
	g_assert_cmpuint(memory_count(&memory.jobs[STORE_REFRESH]), ==, 1);
	fixture_close(&fix);
}

struct looker {
	struct fixture *fix;
	uint32_t id;
	unsigned looks;
};

/* Nobody sees it in the index yet: who was told of it would wait for more. */
static void look_amid(void *data, uint32_t uid)
{
	struct looker *looker = data;

	if (looker->id != 0)
		g_assert_cmpuint(engine_arrivals(looker->fix->engine, looker->id).upto, <, uid);
	looker->looks++;
}

static void test_shown(void)
{
	static const uint32_t uids[] = {2, 4, 6};
	struct fixture fix;
	struct looker looker = {.fix = &fix};

	coming_up(&fix, uids, G_N_ELEMENTS(uids), SOON_MS);
	memory.dripped = look_amid;
	memory.dripped_data = &looker;
	fixture_start(&fix);
	looker.id = folder_id(&fix, "INBOX");
	g_assert_cmpint(ask(&fix, NEED_MESSAGES, looker.id, 0, 2), ==, 0);
	g_assert_cmpint(ask(&fix, NEED_FOLDER, looker.id, 0, 0), ==, 0);
	fixture_end(&fix);
	g_assert_cmpuint(looker.looks, ==, G_N_ELEMENTS(uids));
	fixture_run(&fix);
	fixture_close(&fix);
}

static void test_late(void)
{
	static const uint32_t uids[] = {5, 2, 9, 7, 8, 1, 10};
	struct folder_row row;
	struct fixture fix;
	uint32_t id;

	coming_up(&fix, uids, G_N_ELEMENTS(uids), SOON_MS);
	fixture_start(&fix);
	id = folder_id(&fix, "INBOX");
	g_assert_cmpint(ask(&fix, NEED_FOLDER, id, 0, 0), ==, 0);
	row = folder(&fix, "INBOX");
	g_assert_cmpuint(engine_arrivals(fix.engine, id).epoch, ==, 0);
	for (uint32_t uid = 1; uid <= 11; uid++)
		g_assert_true(engine_came_late(fix.engine, &row, uid) ==
			      (uid == 1 || uid == 2 || uid == 7 || uid == 8));
	g_assert_cmpuint(engine_next_late(fix.engine, &row, 0), ==, 1);
	g_assert_cmpuint(engine_next_late(fix.engine, &row, 1), ==, 2);
	g_assert_cmpuint(engine_next_late(fix.engine, &row, 2), ==, 7);
	g_assert_cmpuint(engine_next_late(fix.engine, &row, 8), ==, 0);
	g_assert_cmpuint(engine_next_late(fix.engine, &row, UINT32_MAX), ==, 0);
	row.epoch++;
	g_assert_false(engine_came_late(fix.engine, &row, 1));
	folder_row_clear(&row);
	fixture_close(&fix);
}

/* How many are known as such is limited: with one more nobody is sure of having them all. */
static void check_lost(unsigned late, bool lost)
{
	struct memory_folder *inbox;
	struct fixture fix;
	uint32_t id;

	fixture_open(&fix);
	inbox = memory_folder_add("INBOX", 7);
	memory_message_add(inbox, 2 * late + 2, "a", "a");
	for (uint32_t uid = 2 * late; uid > 0; uid -= 2)
		memory_message_add(inbox, uid, "a", "a");
	fixture_start(&fix);
	id = folder_id(&fix, "INBOX");
	g_assert_cmpint(ask(&fix, NEED_FOLDER, id, 0, 0), ==, 0);
	g_assert_true(engine_arrivals(fix.engine, id).lost == lost);
	fixture_close(&fix);
}

static void test_lost(void)
{
	check_lost(16383, false);
	check_lost(16384, false);
	check_lost(16385, true);
}

/* What is left of one that an earlier mount did not end is not taken for new. */
static void test_left(void)
{
	static const uint32_t uids[] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct memory_folder *inbox;
	struct folder_row row;
	struct fixture fix;
	uint32_t id;

	inbox = coming_up(&fix, uids, G_N_ELEMENTS(uids), NEVER_MS);
	fixture_start(&fix);
	id = folder_id(&fix, "INBOX");
	g_assert_cmpint(ask(&fix, NEED_MESSAGES, id, 0, 0), ==, 0);
	fixture_end(&fix);
	memory_message_remove(inbox, 1);
	memory.drip_ms = SOON_MS;
	fixture_run(&fix);
	fixture_start(&fix);
	row = folder(&fix, "INBOX");
	g_assert_false(row.synced);
	g_assert_cmpuint(row.messages, >, 0);
	folder_row_clear(&row);
	g_assert_cmpuint(engine_arrivals(fix.engine, id).epoch, ==, 0);
	do {
		g_assert_cmpint(ask(&fix, NEED_MESSAGES, id, 0, 0), ==, 0);
		g_assert_cmpuint(engine_arrivals(fix.engine, id).epoch, ==, 0);
		row = folder(&fix, "INBOX");
		folder_row_clear(&row);
	} while (!row.synced);
	g_assert_cmpint(ask(&fix, NEED_FOLDER, id, 0, 0), ==, 0);
	row = folder(&fix, "INBOX");
	g_assert_cmpuint(row.messages, ==, G_N_ELEMENTS(uids) - 1);
	folder_row_clear(&row);
	fixture_close(&fix);
}

static void test_refused(void)
{
	static const uint32_t uids[] = {1};
	struct fixture fix;
	uint32_t id;

	coming_up(&fix, uids, G_N_ELEMENTS(uids), 0);
	memory_fault_set(STORE_REFRESH, ERROR_DENIED, MEMORY_KEPT);
	fixture_start(&fix);
	id = folder_id(&fix, "INBOX");
	g_assert_cmpint(ask(&fix, NEED_MESSAGES, id, 0, 0), ==, EACCES);
	g_assert_cmpint(ask(&fix, NEED_MESSAGES, id, 0, 0), ==, 0);
	g_assert_cmpint(ask(&fix, NEED_MESSAGES, 12345, 0, 0), ==, ENOENT);
	fixture_close(&fix);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/engine/coming/first", test_first);
	g_test_add_func("/engine/coming/in-order", test_in_order);
	g_test_add_func("/engine/coming/shown", test_shown);
	g_test_add_func("/engine/coming/late", test_late);
	g_test_add_func("/engine/coming/lost", test_lost);
	g_test_add_func("/engine/coming/left", test_left);
	g_test_add_func("/engine/coming/refused", test_refused);
	return g_test_run();
}
