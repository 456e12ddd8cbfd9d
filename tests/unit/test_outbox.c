/* The outbox' thread, with a server that nobody can reach. */
#include "queue_help.h"

#include "base/clock.h"
#include "outbox/outbox_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

#define WHILE_US (200 * 1000) /* long enough to see that nothing more happens */
#define PATIENCE_S 20

/* --- the clock, instead of base/clock.c: days pass when the test says so --- */

static atomic_int_fast64_t passed_ms;

static int64_t clock_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_mono_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t clock_wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME) + atomic_load(&passed_ms) * 1000000;
}

/* --- the world --- */

struct world {
	struct fixture fixture;
	struct account account;
	struct credentials *credentials; /* NULL: none are needed */
	struct outbox *outbox;
	pthread_mutex_t lock;
	pthread_cond_t news;
	/* under the lock */
	bool rewritten;	 /* what is filed is written to anew meanwhile, once */
	unsigned copies; /* asked for */
	unsigned verdicts;
	unsigned told;
	int error; /* with the last of those */
};

/* Without a reader: what connects there is refused. */
static uint16_t closed_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, len), ==, 0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &len), ==, 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void count(struct world *world, unsigned *counter)
{
	pthread_mutex_lock(&world->lock);
	++*counter;
	pthread_cond_broadcast(&world->news);
	pthread_mutex_unlock(&world->lock);
}

/* Until it is `least`, or the test fails. */
static void wait_for(struct world *world, const unsigned *counter, unsigned least)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&world->lock);
	while (*counter < least)
		g_assert_cmpint(pthread_cond_timedwait(&world->news, &world->lock, &until), ==, 0);
	pthread_mutex_unlock(&world->lock);
}

static unsigned seen(struct world *world, const unsigned *counter)
{
	unsigned value;

	pthread_mutex_lock(&world->lock);
	value = *counter;
	pthread_mutex_unlock(&world->lock);
	return value;
}

static void on_settled(void *data, uint32_t id, int error)
{
	struct world *world = data;

	(void)id;
	pthread_mutex_lock(&world->lock);
	world->error = error;
	pthread_mutex_unlock(&world->lock);
	count(world, &world->told);
}

static void on_changed(void *data)
{
	(void)data;
}

static void on_verdict(void *data, const char *name, bool sent, const char *why)
{
	struct world *world = data;

	(void)name;
	(void)why;
	g_assert_false(sent);
	count(world, &world->verdicts);
}

/* As by a client whose verdict came before the copy was filed. */
static void write_anew(struct queue *queue, uint32_t id)
{
	struct fixture fixture = {.queue = queue};
	int fd = open_writer(&fixture, id);

	append(&fixture, id, fd, "From: a@b.org\nTo: c@d.org\n\nanother\n");
	g_assert_true(finish_writer(&fixture, id, fd));
}

static bool on_file_copy(void *data, struct queue *queue, const struct queue_file *file,
			 struct compose *text, GError **error)
{
	struct world *world = data;
	char bytes[1000];

	(void)error;
	if (world->rewritten) {
		world->rewritten = false;
		write_anew(queue, file->id);
	}
	while (compose_read(text, bytes, sizeof(bytes)) > 0)
		;
	count(world, &world->copies);
	return true;
}

static bool on_wants_copies(void *data)
{
	(void)data;
	return true;
}

static const struct outbox_events events = {
	.settled = on_settled,
	.changed = on_changed,
	.verdict = on_verdict,
	.file_copy = on_file_copy,
	.wants_copies = on_wants_copies,
};

static void world_init(struct world *world)
{
	*world = (struct world){.account = {.name = (char *)"me@h.example",
					    .user = (char *)"me@h.example",
					    .host = (char *)"h.example",
					    .smtp = {.host = (char *)"127.0.0.1",
						     .port = closed_port(),
						     .tls = TLS_OFF}}};
	pthread_mutex_init(&world->lock, NULL);
	pthread_cond_init(&world->news, NULL);
	fixture_init(&world->fixture);
}

/* What was put into its queue is the thread's from now on. */
static void world_open(struct world *world)
{
	const struct outbox_config config = {.account = &world->account,
					     .credentials = world->credentials,
					     .dir = world->fixture.dir};
	g_autoptr(GError) error = NULL;

	queue_close(&world->fixture.queue);
	world->outbox = outbox_new(&config, &events, world, &error);
	g_assert_no_error(error);
}

static void world_clear(struct world *world)
{
	outbox_free(&world->outbox);
	credentials_free(&world->credentials);
	fixture_open(&world->fixture);
	fixture_clear(&world->fixture);
	pthread_cond_destroy(&world->news);
	pthread_mutex_destroy(&world->lock);
}

/* A mail that was sent, and whose copy is to be filed. */
static uint32_t put_copied(struct world *world, const char *name)
{
	struct fixture *fixture = &world->fixture;
	uint32_t id = put(fixture, name, "From: a@b.org\nTo: c@d.org\n\nhello\n");
	struct queue_file file = take(fixture, id);

	file.info.copy = QUEUE_COPY_WANTED;
	commit(fixture, &file);
	finish(fixture, &file, QUEUE_SENT);
	return id;
}

static void test_copies(void)
{
	struct world world;

	world_init(&world);
	for (unsigned i = 0; i < 5; i++) {
		g_autofree char *name = g_strdup_printf("%u.eml", i);

		put_copied(&world, name);
	}
	world_open(&world);
	outbox_start(world.outbox);
	wait_for(&world, &world.copies, 5);
	outbox_stop(world.outbox);
	g_assert_cmpuint(queue_next_copy(outbox_queue(world.outbox)), ==, 0);
	g_assert_cmpuint(world.copies, ==, 5);
	world_clear(&world);
}

/* Meanwhile another mail has its name, and its number: that one's copy is not the one filed. */
static void test_copy_rewritten(void)
{
	struct world world;

	world_init(&world);
	uint32_t id = put_copied(&world, "a.eml");
	struct queue_file file;

	world_open(&world);
	world.rewritten = true;
	outbox_start(world.outbox);
	wait_for(&world, &world.copies, 2);
	outbox_stop(world.outbox);
	g_assert_cmpuint(queue_next_copy(outbox_queue(world.outbox)), ==, 0);
	g_assert_true(queue_get(outbox_queue(world.outbox), id, &file));
	g_assert_cmpint(file.step, ==, QUEUE_WAITING);
	g_assert_cmpint(file.info.copy, !=, QUEUE_COPY_FILED);
	queue_file_clear(&file);
	world_clear(&world);
}

/* That it is filed cannot be put on record: the next try is not at once. */
static void test_copy_unrecorded(void)
{
	struct world world;

	world_init(&world);
	uint32_t id = put_copied(&world, "a.eml");
	g_autofree char *obstacle = g_strdup_printf("%s/info/%u.tmp", world.fixture.dir, id);

	world_open(&world);
	g_assert_cmpint(mkdir(obstacle, 0700), ==, 0);
	outbox_start(world.outbox);
	wait_for(&world, &world.copies, 1);
	g_usleep(WHILE_US);
	g_assert_cmpuint(seen(&world, &world.copies), ==, 1);
	outbox_stop(world.outbox);
	g_assert_cmpuint(queue_next_copy(outbox_queue(world.outbox)), ==, id);
	g_assert_cmpint(rmdir(obstacle), ==, 0);
	world_clear(&world);
}

/* Those that waited for too long fail while nobody can be reached; the others are told why they
 * wait. */
static void test_down(void)
{
	struct world world;
	int64_t next_ms;
	struct queue_file file;
	int fd;

	world_init(&world);
	uint32_t old = put(&world.fixture, "old.eml", "From: a@b.org\nTo: c@d.org\n\nold\n");

	g_assert_true(queue_take(world.fixture.queue, FAR_MS, false, &file, &fd, &next_ms));
	close(fd);
	file.info.handed_ms -= INT64_C(5) * 24 * 60 * 60 * 1000;
	file.info.not_before_ms = 0;
	finish(&world.fixture, &file, QUEUE_WAITING);
	uint32_t new = put(&world.fixture, "new.eml", "From: a@b.org\nTo: c@d.org\n\nnew\n");

	world_open(&world);
	outbox_start(world.outbox);
	outbox_want(world.outbox, new, 0);
	wait_for(&world, &world.told, 1);
	g_assert_cmpint(world.error, ==, EHOSTUNREACH);
	outbox_want(world.outbox, old, 0);
	wait_for(&world, &world.told, 2);
	g_assert_cmpint(world.error, ==, ETIMEDOUT);
	outbox_want(world.outbox, 0, 0);
	wait_for(&world, &world.told, 3);
	g_assert_cmpint(world.error, ==, EHOSTUNREACH);
	outbox_stop(world.outbox);
	world_clear(&world);
}

static int error_of(struct world *world, uint32_t id)
{
	unsigned told = seen(world, &world->told);

	outbox_want(world->outbox, id, 0);
	wait_for(world, &world->told, told + 1);
	return world->error;
}

static void check_step(struct world *world, uint32_t id, enum queue_step step, const char *reply)
{
	struct queue_file file;

	g_assert_true(queue_get(outbox_queue(world->outbox), id, &file));
	g_assert_cmpint(file.step, ==, step);
	g_assert_true(g_str_has_prefix(file.info.reply, reply));
	queue_file_clear(&file);
}

/* Nothing is tried before somebody says so; but what waits does so for five days, not for ever. */
static void test_refused(void)
{
	struct world world;

	world_init(&world);
	world.account.password_file = (char *)"/nonexistent";
	world.credentials = credentials_new(&world.account);
	uint32_t first = put(&world.fixture, "first.eml", "From: a@b.org\nTo: c@d.org\n\n1\n");

	world_open(&world);
	outbox_start(world.outbox);
	g_assert_cmpint(error_of(&world, first), ==, EACCES);
	atomic_store(&passed_ms, DELIVERY_EXPIRES_MS / 2);
	g_assert_cmpint(error_of(&world, first), ==, EACCES);
	/* What comes meanwhile has its own five days. */
	struct fixture fixture = {.queue = outbox_queue(world.outbox)};
	uint32_t second = put(&fixture, "second.eml", "From: a@b.org\nTo: c@d.org\n\n2\n");

	g_assert_cmpint(error_of(&world, second), ==, EACCES);
	atomic_store(&passed_ms, DELIVERY_EXPIRES_MS);
	outbox_changed(world.outbox);
	wait_for(&world, &world.verdicts, 1);
	check_step(&world, first, QUEUE_FAILED, "given up after five days: password_file: ");
	g_assert_cmpint(error_of(&world, first), ==, ETIMEDOUT);
	g_assert_cmpint(error_of(&world, second), ==, EACCES);
	g_assert_cmpuint(seen(&world, &world.verdicts), ==, 1);
	outbox_stop(world.outbox);
	world_clear(&world);
	atomic_store(&passed_ms, 0);
}

/* As long as nothing is to be tried, nothing has failed. */
static void test_offline(void)
{
	struct world world;

	world_init(&world);
	world.account.offline = true;
	uint32_t id = put(&world.fixture, "a.eml", "From: a@b.org\nTo: c@d.org\n\n1\n");

	world_open(&world);
	outbox_start(world.outbox);
	atomic_store(&passed_ms, DELIVERY_EXPIRES_MS);
	g_assert_cmpint(error_of(&world, id), ==, EHOSTUNREACH);
	g_assert_cmpint(error_of(&world, id), ==, EHOSTUNREACH);
	outbox_stop(world.outbox);
	g_assert_cmpuint(queue_pending(outbox_queue(world.outbox)), ==, 1);
	world_clear(&world);
	atomic_store(&passed_ms, 0);
}

static void check_from(const char *user, const char *host, const char *smtp_user, const char *from,
		       const char *expected)
{
	struct world world;

	world_init(&world);
	world.account.user = (char *)user;
	world.account.host = (char *)host;
	world.account.smtp.user = (char *)smtp_user;
	world.account.smtp.from = (char *)from;
	world_open(&world);
	g_assert_cmpstr(world.outbox->from, ==, expected);
	world_clear(&world);
}

/* A login that is no address must not be in the way of mail that says who sends it. */
static void test_from(void)
{
	struct world world;
	g_autoptr(GError) error = NULL;

	check_from("a@b.org", "imap.b.org", NULL, NULL, "a@b.org");
	check_from("a@b.org", "imap.b.org", "c@d.org", NULL, "c@d.org");
	check_from("a@b.org", "imap.b.org", "c@d.org", "e@f.org", "e@f.org");
	check_from("a@b.org", "imap.b.org", "DOMAIN\\c", NULL, "a@b.org");
	check_from("a", "imap.b.org", "c", NULL, "a@imap.b.org");
	check_from("DOMAIN\\a", "imap.b.org", NULL, NULL, NULL);
	check_from("a@b.org/shared@b.org", "imap.b.org", NULL, NULL, NULL);
	check_from("a", "::1", NULL, NULL, NULL);
	world_init(&world);
	queue_close(&world.fixture.queue);
	world.account.smtp.from = (char *)"a..b@c.org";
	g_assert_null(outbox_new(
		&(struct outbox_config){.account = &world.account, .dir = world.fixture.dir},
		&events, &world, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_REFUSED);
	g_assert_cmpstr(error->message, ==, "option from: 'a..b@c.org' is no address");
	world_clear(&world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/outbox/copies", test_copies);
	g_test_add_func("/outbox/copy-rewritten", test_copy_rewritten);
	g_test_add_func("/outbox/copy-unrecorded", test_copy_unrecorded);
	g_test_add_func("/outbox/down", test_down);
	g_test_add_func("/outbox/refused", test_refused);
	g_test_add_func("/outbox/offline", test_offline);
	g_test_add_func("/outbox/from", test_from);
	return g_test_run();
}
