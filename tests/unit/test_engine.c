#include "engine_fixture.h"

#include <signal.h>
#include <sys/resource.h>

static void test_list_and_read(void)
{
	struct fixture fix;
	struct memory_folder *inbox;
	struct folder_row row;

	fixture_open(&fix);
	inbox = memory_folder_add("INBOX", 7);
	memory_folder_add("Archive/2024", 8);
	memory_message_add(inbox, 5, "Lunch on Friday", "hello\r\n");
	memory_message_add(inbox, 9, NULL, "world\r\n");
	fixture_start(&fix);

	g_assert_cmpint(ask(&fix, NEED_FOLDER, folder_id(&fix, "INBOX"), 0, 0), ==, 0);
	row = folder(&fix, "INBOX");
	g_assert_cmpuint(row.messages, ==, 2);
	g_assert_true(row.synced);
	g_assert_cmpuint(row.uidnext, ==, 10);
	g_assert_true(engine_folder_is_fresh(fix.engine, row.id));
	g_assert_cmpint(ask(&fix, NEED_BODY, row.epoch, 9, UINT64_MAX), ==, 0);
	assert_body(&fix, row.epoch, 9, "world\r\n");
	/* Met already: the server is not asked again. */
	g_assert_cmpint(ask(&fix, NEED_BODY, row.epoch, 9, UINT64_MAX), ==, 0);
	g_assert_cmpint(ask(&fix, NEED_FOLDER, row.id, 0, 0), ==, 0);
	g_assert_cmpuint(jobs(STORE_BODY), ==, 1);
	g_assert_cmpuint(jobs(STORE_REFRESH), ==, 1);
	/* What does not exist is no need. */
	g_assert_cmpint(ask(&fix, NEED_BODY, row.epoch, 6, UINT64_MAX), ==, ESTALE);
	g_assert_cmpint(ask(&fix, NEED_FOLDER, 12345, 0, 0), ==, ENOENT);
	folder_row_clear(&row);
	fixture_close(&fix);
}

static void make_stale(struct fixture *fix, struct memory_folder *inbox, uint32_t id)
{
	/* A body that is gone on the server makes the listing suspect. */
	struct folder_row row = folder(fix, "INBOX");

	g_assert_cmpuint(row.id, ==, id);
	g_assert_cmpint(ask(fix, NEED_BODY, row.epoch, 5, UINT64_MAX), ==, ENOENT);
	folder_row_clear(&row);
}

static void test_expunged_elsewhere(void)
{
	struct fixture fix;
	struct memory_folder *inbox;
	struct folder_row row;
	uint32_t id;

	fixture_open(&fix);
	inbox = memory_folder_add("INBOX", 7);
	memory_message_add(inbox, 5, "a", "a");
	memory_message_add(inbox, 6, "b", "b");
	fixture_start(&fix);
	id = folder_id(&fix, "INBOX");
	g_assert_cmpint(ask(&fix, NEED_FOLDER, id, 0, 0), ==, 0);
	memory_message_remove(inbox, 5);
	make_stale(&fix, inbox, id);
	g_assert_cmpint(ask(&fix, NEED_FOLDER, id, 0, 0), ==, 0);
	row = folder(&fix, "INBOX");
	g_assert_cmpuint(row.messages, ==, 1);
	g_assert_cmpuint(fix.messages_gone, ==, 1);
	g_assert_cmpuint(memory_count(&memory.verifies), ==, 1);
	folder_row_clear(&row);
	fixture_close(&fix);
}

/* The server counts messages that it does not list: verified, listed anew, then left alone. */
static void test_wrong_count(void)
{
	struct fixture fix;
	struct memory_folder *inbox;
	struct folder_row row;

	fixture_open(&fix);
	inbox = memory_folder_add("INBOX", 7);
	memory_message_add(inbox, 5, "a", "a");
	inbox->count_told = 3;
	row = start_and_list(&fix);
	g_assert_cmpuint(row.messages, ==, 1);
	g_assert_cmpuint(jobs(STORE_REFRESH), ==, 3);
	folder_row_clear(&row);
	fixture_close(&fix);
}

static void test_uidvalidity(void)
{
	struct fixture fix;
	struct memory_folder *inbox;
	struct folder_row before, after;

	fixture_open(&fix);
	inbox = memory_folder_add("INBOX", 7);
	memory_message_add(inbox, 5, "a", "old");
	fixture_start(&fix);
	g_assert_cmpint(ask(&fix, NEED_FOLDER, folder_id(&fix, "INBOX"), 0, 0), ==, 0);
	before = folder(&fix, "INBOX");
	pthread_mutex_lock(&memory.lock);
	inbox->uidvalidity = 8;
	inbox->messages[0].body = "new";
	pthread_mutex_unlock(&memory.lock);
	g_assert_cmpint(ask(&fix, NEED_BODY, before.epoch, 5, UINT64_MAX), ==, ESTALE);
	g_assert_cmpint(ask(&fix, NEED_FOLDER, before.id, 0, 0), ==, 0);
	after = folder(&fix, "INBOX");
	g_assert_cmpuint(before.id, ==, after.id);
	g_assert_cmpuint(before.epoch, !=, after.epoch);
	g_assert_cmpuint(after.messages, ==, 1);
	g_assert_cmpuint(fix.epochs_gone, ==, 1);
	g_assert_cmpint(ask(&fix, NEED_BODY, after.epoch, 5, UINT64_MAX), ==, 0);
	assert_body(&fix, after.epoch, 5, "new");
	folder_row_clear(&before);
	folder_row_clear(&after);
	fixture_close(&fix);
}

/* A connection that still has the mailbox open that had this name before. */
static void test_gone_from_another_mailbox(void)
{
	struct fixture fix;
	struct memory_folder *inbox;
	struct folder_row row;

	fixture_open(&fix);
	inbox = memory_folder_add("INBOX", 7);
	memory_message_add(inbox, 5, "a", "a");
	fixture_start(&fix);
	g_assert_cmpint(ask(&fix, NEED_FOLDER, folder_id(&fix, "INBOX"), 0, 0), ==, 0);
	pthread_mutex_lock(&memory.lock);
	memory.stale_gone = 5;
	pthread_mutex_unlock(&memory.lock);
	row = folder(&fix, "INBOX");
	g_assert_cmpint(ask(&fix, NEED_BODY, row.epoch, 5, UINT64_MAX), ==, 0);
	assert_body(&fix, row.epoch, 5, "a");
	g_assert_cmpuint(fix.messages_gone, ==, 0);
	folder_row_clear(&row);
	fixture_close(&fix);
}

static void test_lying_size(void)
{
	struct fixture fix;
	struct memory_folder *inbox;
	struct folder_row row;

	fixture_open(&fix);
	inbox = memory_folder_add("INBOX", 7);
	memory_message_add(inbox, 5, "a", "longer than told");
	inbox->messages[0].size_told = 3;
	row = start_and_list(&fix);
	g_assert_cmpint(ask(&fix, NEED_BODY, row.epoch, 5, UINT64_MAX), ==, 0);
	assert_body(&fix, row.epoch, 5, "longer than told");
	folder_row_clear(&row);
	fixture_close(&fix);
}

static void test_connection_lost(void)
{
	struct fixture fix;
	struct memory_folder *inbox;
	struct folder_row row;

	fixture_open(&fix);
	inbox = memory_folder_add("INBOX", 7);
	memory_message_add(inbox, 5, "a", "a");
	row = start_and_list(&fix);
	pthread_mutex_lock(&memory.lock);
	memory.die_after = 1;
	pthread_mutex_unlock(&memory.lock);
	/* Tried once more, on another connection. */
	g_assert_cmpint(ask(&fix, NEED_BODY, row.epoch, 5, UINT64_MAX), ==, 0);
	assert_body(&fix, row.epoch, 5, "a");
	folder_row_clear(&row);
	fixture_close(&fix);
}

/* Opened and waited for, as a reader does. */
static void read_message(struct fixture *fix, uint32_t epoch, uint32_t uid)
{
	engine_opened(fix->engine, epoch, uid);
	g_assert_cmpint(ask(fix, NEED_BODY, epoch, uid, UINT64_MAX), ==, 0);
}

static struct folder_row fill_inbox(struct fixture *fix, unsigned count)
{
	struct memory_folder *inbox = memory_folder_add("INBOX", 7);

	for (unsigned uid = 1; uid <= count; uid++)
		memory_message_add(inbox, uid, "a", "body");
	return start_and_list(fix);
}

static void test_read_in_order(void)
{
	struct fixture fix;
	struct folder_row row;
	unsigned commands;

	fixture_open(&fix);
	row = fill_inbox(&fix, 60);
	for (uint32_t uid = 1; uid <= 60; uid++) {
		read_message(&fix, row.epoch, uid);
		assert_body(&fix, row.epoch, uid, "body");
	}
	commands = jobs(STORE_BODY);
	g_assert_cmpuint(commands, <=, 8);
	g_assert_cmpuint(memory_count(&memory.batched), <=, 60);
	folder_row_clear(&row);
	fixture_close(&fix);
}

static void test_read_at_random(void)
{
	static const uint32_t uids[] = {50, 30, 10, 40, 20, 60};
	struct fixture fix;
	struct folder_row row;

	fixture_open(&fix);
	row = fill_inbox(&fix, 60);
	for (unsigned i = 0; i < G_N_ELEMENTS(uids); i++)
		read_message(&fix, row.epoch, uids[i]);
	g_assert_cmpuint(memory_count(&memory.batched), ==, 0);
	g_assert_cmpuint(jobs(STORE_BODY), ==, G_N_ELEMENTS(uids));
	folder_row_clear(&row);
	fixture_close(&fix);
}

static unsigned bodies_ahead(struct fixture *fix)
{
	unsigned count;

	pthread_mutex_lock(&fix->lock);
	count = fix->bodies_ahead;
	pthread_mutex_unlock(&fix->lock);
	return count;
}

/* No less, and no more. */
static void wait_for_ahead(struct fixture *fix, unsigned count)
{
	pthread_mutex_lock(&fix->lock);
	while (fix->bodies_ahead < count)
		wait_cond(fix);
	pthread_mutex_unlock(&fix->lock);
	g_assert_cmpuint(bodies_ahead(fix), ==, count);
}

/* What a batch leaves out comes by itself to who waits for it. */
static void test_read_ahead_left_out(void)
{
	struct fixture fix;
	struct folder_row row;
	struct memory_folder *inbox = memory.folders;

	fixture_open(&fix);
	row = fill_inbox(&fix, 12);
	pthread_mutex_lock(&memory.lock);
	inbox->messages[5].body = "longer than told";
	pthread_mutex_unlock(&memory.lock);
	for (uint32_t uid = 1; uid <= 12; uid++)
		read_message(&fix, row.epoch, uid);
	assert_body(&fix, row.epoch, 6, "longer than told");
	folder_row_clear(&row);
	fixture_close(&fix);
}

/* A message on which the server stumbles spoils none but itself. */
static void test_read_ahead_poisoned(void)
{
	struct fixture fix;
	struct folder_row row;

	fixture_open(&fix);
	memory.poison = 6;
	row = fill_inbox(&fix, 12);
	for (uint32_t uid = 1; uid <= 12; uid++)
		read_message(&fix, row.epoch, uid);
	folder_row_clear(&row);
	fixture_close(&fix);
}

/* A large message comes in pieces, or over a fast line at once. */
static void read_large(bool slow, unsigned pieces)
{
	const size_t size = 20 << 20;
	g_autofree char *body = g_strnfill(size, 'x');
	struct fixture fix;
	struct folder_row row;
	struct file_span span = {.fd = -1};

	fixture_open(&fix);
	memory.slow = slow;
	memory_message_add(memory_folder_add("INBOX", 7), 5, "a", body);
	row = start_and_list(&fix);
	while (span.fd < 0) {
		uint64_t received = bodies_received(fix.bodies, row.epoch, 5);

		g_assert_cmpint(ask(&fix, NEED_BODY, row.epoch, 5, received + 1), ==, 0);
		bodies_get(fix.bodies, row.epoch, 5, size, &span);
	}
	close(span.fd);
	g_assert_cmpuint(span.size, ==, size);
	g_assert_cmpuint(jobs(STORE_BODY), ==, pieces);
	folder_row_clear(&row);
	fixture_close(&fix);
}

static void test_read_large(void)
{
	read_large(false, 1);
	read_large(true, 21); /* and a look at whether that is the end */
}

/* Read again, it is offered to the kernel's cache ahead of who reads. */
static void test_pages_ahead(void)
{
	struct fixture fix;
	struct folder_row row;

	fixture_open(&fix);
	row = fill_inbox(&fix, 60);
	for (uint32_t uid = 60; uid >= 1; uid--)
		g_assert_cmpint(ask(&fix, NEED_BODY, row.epoch, uid, UINT64_MAX), ==, 0);
	g_assert_cmpuint(bodies_ahead(&fix), ==, 0);
	engine_read(fix.engine, row.epoch, 30); /* alone it tells nothing */
	engine_opened(fix.engine, row.epoch, 1);
	engine_read(fix.engine, row.epoch, 2);
	wait_for_ahead(&fix, 8);
	engine_read(fix.engine, row.epoch, 7); /* that one is on its way */
	engine_read(fix.engine, row.epoch, 11);
	wait_for_ahead(&fix, 8 + 16);
	engine_read(fix.engine, row.epoch, 28);
	wait_for_ahead(&fix, 8 + 16 + 32);
	g_assert_cmpuint(jobs(STORE_BODY), ==, 60);
	folder_row_clear(&row);
	fixture_close(&fix);
}

static void assert_start_fails(int code)
{
	struct fixture fix;
	g_autoptr(GError) error = NULL;

	fixture_open(&fix);
	memory_folder_add("INBOX", 7);
	memory.refuse = code;
	engine_start(fix.engine);
	g_assert_false(engine_wait_ready(fix.engine, &error));
	g_assert_error(error, MAILFS_ERROR, code);
	g_assert_true(engine_is_stalled(fix.engine));
	/* No waiting for a server that is not there. */
	g_assert_cmpint(ask(&fix, NEED_FOLDERS, 0, 0, 0), ==, error_errno(error));
	fixture_close(&fix);
}

static void test_start_fails(void)
{
	assert_start_fails(ERROR_UNREACHABLE);
	assert_start_fails(ERROR_AUTH);
	assert_start_fails(ERROR_NO_LOGIN);
	assert_start_fails(ERROR_TLS);
}

/* A server with room for one connection. The folders are not listed yet when it refuses the second.
 */
static void test_second_refused(void)
{
	struct fixture fix;
	struct folder_row row;

	fixture_open(&fix);
	memory_message_add(memory_folder_add("INBOX", 7), 5, "a", "hello");
	memory.second = MEMORY_REFUSED;
	memory.hang_list = true;
	engine_start(fix.engine);
	while (memory_count(&memory.refused) == 0)
		g_usleep(1000);
	memory_set(&memory.hang_list, false);
	engine_need(fix.engine, &(struct need){.kind = NEED_FOLDERS}); /* wakes it */
	g_assert_true(engine_wait_ready(fix.engine, NULL));
	g_assert_cmpint(ask(&fix, NEED_FOLDER, folder_id(&fix, "INBOX"), 0, 0), ==, 0);
	row = folder(&fix, "INBOX");
	g_assert_cmpint(ask(&fix, NEED_BODY, row.epoch, 5, UINT64_MAX), ==, 0);
	assert_body(&fix, row.epoch, 5, "hello");
	folder_row_clear(&row);
	fixture_close(&fix);
}

/* Readers do not wait for a second connection that gets no answer. */
static void test_second_left_waiting(void)
{
	struct fixture fix;
	struct folder_row row;
	gint64 start_us;

	fixture_open(&fix);
	memory_message_add(memory_folder_add("INBOX", 7), 5, "a", "hello");
	fix.account.timeout_s = 60;
	memory.second = MEMORY_LEFT_WAITING;
	row = start_and_list(&fix);
	start_us = g_get_monotonic_time();
	g_assert_cmpint(ask(&fix, NEED_BODY, row.epoch, 5, UINT64_MAX), ==, 0);
	g_assert_cmpint(g_get_monotonic_time() - start_us, <, 10 * G_USEC_PER_SEC);
	assert_body(&fix, row.epoch, 5, "hello");
	folder_row_clear(&row);
	fixture_close(&fix);
}

static void set_disk_full(bool full)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
	limit.rlim_cur = full ? 0 : limit.rlim_max;
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
}

/* What cannot be kept is an error, told at once, and no more once there is room again. */
static void test_disk_full(void)
{
	struct fixture fix;
	struct memory_folder *inbox;
	struct folder_row row;
	uint32_t id;

	fixture_open(&fix);
	inbox = memory_folder_add("INBOX", 7);
	memory_folder_add("Archive", 8);
	memory_message_add(inbox, 5, "a", "a");
	fixture_start(&fix);
	id = folder_id(&fix, "INBOX");
	set_disk_full(true);
	g_assert_cmpint(ask(&fix, NEED_FOLDER, id, 0, 0), ==, EIO);
	g_assert_false(engine_folder_is_fresh(fix.engine, id));
	g_assert_cmpint(ask(&fix, NEED_FOLDER, id, 0, 0), ==, EIO);
	g_assert_cmpuint(jobs(STORE_REFRESH), ==, 2);
	/* So is that a folder is empty. */
	id = folder_id(&fix, "Archive");
	g_assert_cmpint(ask(&fix, NEED_FOLDER, id, 0, 0), ==, EIO);
	g_assert_false(engine_folder_is_fresh(fix.engine, id));
	id = folder_id(&fix, "INBOX");
	set_disk_full(false);
	g_assert_cmpint(ask(&fix, NEED_FOLDER, id, 0, 0), ==, 0);
	g_assert_cmpint(ask(&fix, NEED_FOLDERS, 0, 0, 0), ==, 0);
	g_assert_cmpuint(fix.folders_gone, ==, 0);
	row = folder(&fix, "INBOX");
	g_assert_cmpuint(row.messages, ==, 1);
	folder_row_clear(&row);
	fixture_close(&fix);
}

/* A list of folders without INBOX is no reason to forget them. */
static void test_list_without_inbox(void)
{
	struct fixture fix;

	fixture_open(&fix);
	memory_folder_add("INBOX", 7);
	memory_folder_add("Archive", 8);
	fixture_start(&fix);
	pthread_mutex_lock(&memory.lock);
	memory.folders[0] = memory.folders[1];
	memory.folder_count = 1;
	pthread_mutex_unlock(&memory.lock);
	/* Refused now, so that the folders are looked at again. */
	g_assert_cmpint(ask(&fix, NEED_FOLDER, folder_id(&fix, "INBOX"), 0, 0), ==, ENOENT);
	while (jobs(STORE_LIST) < 2)
		g_usleep(1000);
	g_assert_cmpint(ask(&fix, NEED_FOLDERS, 0, 0, 0), ==, 0);
	g_assert_cmpuint(fix.folders_gone, ==, 0);
	folder_id(&fix, "INBOX");
	fixture_close(&fix);
}

/* Only the folders used last are polled. */
static void test_poll_few(void)
{
	static const char names[][4] = {"f0",  "f1",  "f2",  "f3",  "f4",  "f5",  "f6",
					"f7",  "f8",  "f9",  "f10", "f11", "f12", "f13",
					"f14", "f15", "f16", "f17", "f18", "f19", "f20",
					"f21", "f22", "f23", "f24"};
	struct fixture fix;
	unsigned polled = 0;

	fixture_open(&fix);
	fix.account.poll_s = 1;
	memory_folder_add("INBOX", 7);
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		memory_folder_add(names[i], 8);
	fixture_start(&fix);
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		g_assert_cmpint(ask(&fix, NEED_FOLDER, folder_id(&fix, names[i]), 0, 0), ==, 0);
	while (jobs(STORE_REFRESH) < 3 * G_N_ELEMENTS(names))
		g_usleep(10000);
	for (unsigned i = 0; i <= G_N_ELEMENTS(names); i++)
		polled += memory_count(&memory.folders[i].refreshes) > 1;
	g_assert_cmpuint(polled, >=, 19); /* and the list of folders */
	g_assert_cmpuint(polled, <=, 20);
	fixture_close(&fix);
}

/* INBOX was listed; then the connection is made anew. */
static void open_listed(struct fixture *fix, bool counts)
{
	struct memory_folder *inbox;

	fixture_open(fix);
	fix->account.poll_s = 3600;
	inbox = memory_folder_add("INBOX", 7);
	inbox->modseq = 50;
	memory_folder_add("Archive", 8)->modseq = 50;
	memory.counts = counts;
	memory_message_add(inbox, 5, "a", "a");
	fixture_start(fix);
	g_assert_cmpint(ask(fix, NEED_FOLDER, folder_id(fix, "INBOX"), 0, 0), ==, 0);
}

static void connect_anew(struct fixture *fix)
{
	unsigned lists = jobs(STORE_LIST);

	engine_reconnect(fix->engine);
	while (jobs(STORE_LIST) == lists)
		g_usleep(1000);
	g_assert_cmpint(ask(fix, NEED_FOLDERS, 0, 0, 0), ==, 0);
}

/* What is as it was need not be opened. */
static void test_compare(const void *data)
{
	const bool counts = GPOINTER_TO_INT(data);
	struct fixture fix;

	open_listed(&fix, counts);
	for (unsigned i = 1; i <= 3; i++) {
		connect_anew(&fix);
		while (!counts && jobs(STORE_STATUS) < i)
			g_usleep(1000);
		g_assert_cmpint(ask(&fix, NEED_FOLDER, folder_id(&fix, "INBOX"), 0, 0), ==, 0);
		g_assert_cmpuint(jobs(STORE_STATUS), ==, counts ? 0 : i);
		g_assert_cmpuint(jobs(STORE_REFRESH), ==, 1);
	}
	fixture_close(&fix);
}

enum difference {
	OTHER_UIDVALIDITY,
	OTHER_UIDNEXT,
	OTHER_COUNT,
	OTHER_MODSEQ,
	LESS_MODSEQ,
	NO_MODSEQ
};

static void differ(struct memory_folder *inbox, enum difference difference)
{
	switch (difference) {
	case OTHER_UIDVALIDITY:
		inbox->uidvalidity++;
		break;
	case OTHER_UIDNEXT:
		inbox->uidnext++;
		break;
	case OTHER_COUNT:
		inbox->count_told = 2;
		break;
	case OTHER_MODSEQ:
		inbox->modseq++;
		break;
	case LESS_MODSEQ:
		inbox->modseq--;
		break;
	case NO_MODSEQ:
		inbox->modseq = 0;
		break;
	}
}

/* Any of it that differs, or is not told. */
static void test_compare_different(const void *data)
{
	const bool counts = GPOINTER_TO_INT(data);

	for (int difference = OTHER_UIDVALIDITY; difference <= NO_MODSEQ; difference++) {
		struct fixture fix;

		open_listed(&fix, counts);
		pthread_mutex_lock(&memory.lock);
		differ(&memory.folders[0], (enum difference)difference);
		pthread_mutex_unlock(&memory.lock);
		connect_anew(&fix);
		while (jobs(STORE_REFRESH) < 2)
			g_usleep(1000);
		fixture_close(&fix);
	}
}

/* Who waits for a listing that takes long hears that it gets on. */
static void test_long_listing(void)
{
	struct fixture fix;
	struct memory_folder *inbox;
	unsigned settled = 0;
	uint32_t id;

	fixture_open(&fix);
	fix.account.timeout_s = 1;
	inbox = memory_folder_add("INBOX", 7);
	for (uint32_t uid = 1; uid <= 20; uid++)
		memory_message_add(inbox, uid, "a", "");
	memory.drip_ms = 100;
	fixture_start(&fix);
	id = folder_id(&fix, "INBOX");
	while (!engine_folder_is_fresh(fix.engine, id)) {
		g_assert_cmpint(ask(&fix, NEED_FOLDER, id, 0, 0), ==, 0);
		settled++;
	}
	g_assert_cmpuint(settled, >, 1);
	g_assert_cmpuint(jobs(STORE_REFRESH), ==, 1);
	fixture_close(&fix);
}

static void test_stop_while_hanging(void)
{
	struct fixture fix;
	struct memory_folder *inbox;
	struct need need = {.kind = NEED_FOLDER};

	fixture_open(&fix);
	inbox = memory_folder_add("INBOX", 7);
	memory_message_add(inbox, 5, "a", "a");
	fixture_start(&fix);
	need.id = folder_id(&fix, "INBOX");
	memory_set(&memory.hang, true);
	engine_need(fix.engine, &need);
	engine_stop(fix.engine);
	g_assert_cmpuint(fix.settled->len, ==, 1);
	g_assert_cmpint(g_array_index(fix.settled, struct settled, 0).error, !=, 0);
	fixture_close(&fix);
}

static void test_folder_vanishes(void)
{
	struct fixture fix;
	uint32_t id;

	fixture_open(&fix);
	memory_folder_add("INBOX", 7);
	memory_folder_add("Old", 8);
	fixture_start(&fix);
	id = folder_id(&fix, "Old");
	pthread_mutex_lock(&memory.lock);
	memory.folder_count = 1;
	pthread_mutex_unlock(&memory.lock);
	g_assert_cmpint(ask(&fix, NEED_FOLDER, id, 0, 0), ==, ENOENT);
	g_assert_cmpint(ask(&fix, NEED_FOLDERS, 0, 0, 0), ==, 0);
	g_assert_cmpuint(fix.folders_gone, ==, 1);
	g_assert_cmpint(ask(&fix, NEED_FOLDER, id, 0, 0), ==, ENOENT);
	fixture_close(&fix);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	log_open("test", LOG_LEVEL_ERROR);
	label_init();
	g_test_add_func("/engine/list-and-read", test_list_and_read);
	g_test_add_func("/engine/expunged-elsewhere", test_expunged_elsewhere);
	g_test_add_func("/engine/wrong-count", test_wrong_count);
	g_test_add_func("/engine/uidvalidity", test_uidvalidity);
	g_test_add_func("/engine/gone-from-another-mailbox", test_gone_from_another_mailbox);
	g_test_add_func("/engine/lying-size", test_lying_size);
	g_test_add_func("/engine/connection-lost", test_connection_lost);
	g_test_add_func("/engine/read-in-order", test_read_in_order);
	g_test_add_func("/engine/read-at-random", test_read_at_random);
	g_test_add_func("/engine/read-ahead-left-out", test_read_ahead_left_out);
	g_test_add_func("/engine/read-large", test_read_large);
	g_test_add_func("/engine/pages-ahead", test_pages_ahead);
	g_test_add_func("/engine/read-ahead-poisoned", test_read_ahead_poisoned);
	g_test_add_func("/engine/start-fails", test_start_fails);
	g_test_add_func("/engine/second-refused", test_second_refused);
	g_test_add_func("/engine/second-left-waiting", test_second_left_waiting);
	g_test_add_func("/engine/disk-full", test_disk_full);
	g_test_add_func("/engine/list-without-inbox", test_list_without_inbox);
	g_test_add_func("/engine/poll-few", test_poll_few);
	g_test_add_data_func("/engine/compare/list", GINT_TO_POINTER(true), test_compare);
	g_test_add_data_func("/engine/compare/status", GINT_TO_POINTER(false), test_compare);
	g_test_add_data_func("/engine/compare-different/list", GINT_TO_POINTER(true),
			     test_compare_different);
	g_test_add_data_func("/engine/compare-different/status", GINT_TO_POINTER(false),
			     test_compare_different);
	g_test_add_func("/engine/long-listing", test_long_listing);
	g_test_add_func("/engine/stop-while-hanging", test_stop_while_hanging);
	g_test_add_func("/engine/folder-vanishes", test_folder_vanishes);
	return g_test_run();
}
