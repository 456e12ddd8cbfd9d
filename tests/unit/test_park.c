#include "fuse/park.h"

#include "base/clock.h"

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <stdatomic.h>

#define ENDLESS_MS (60 * 60 * 1000)

/* A request that is answered when its need was met `rounds` times. */
struct fake {
	struct parked parked; /* first */
	struct need need;
	bool soft;
	int rounds;
	bool stubborn; /* never satisfied, not even when it must give up */
	atomic_int answers;
	atomic_int runs;
	atomic_int error;
	atomic_int gave_up;
};

struct world {
	struct park *park;
	pthread_mutex_t mutex;
	pthread_cond_t answered;
	bool settle_at_once;
	atomic_int stated;
};

static struct world world = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.answered = PTHREAD_COND_INITIALIZER,
};

static void fake_answer(struct fake *fake, int error)
{
	pthread_mutex_lock(&world.mutex);
	fake->error = error;
	fake->answers++;
	pthread_cond_broadcast(&world.answered);
	pthread_mutex_unlock(&world.mutex);
}

static bool fake_run(struct parked *parked, int give_up, struct need *ret_need, bool *ret_soft)
{
	struct fake *fake = (struct fake *)parked;

	fake->runs++;
	if (!fake->stubborn && (give_up || --fake->rounds <= 0)) {
		fake->gave_up = give_up;
		fake_answer(fake, 0);
		return true;
	}
	*ret_need = fake->need;
	*ret_soft = fake->soft;
	return false;
}

static void fake_abort(struct parked *parked, int error)
{
	fake_answer((struct fake *)parked, error);
}

static const struct parked_ops fake_ops = {.run = fake_run, .abort = fake_abort};

static void fake_init(struct fake *fake, uint32_t id, int rounds)
{
	*fake = (struct fake){
		.parked.ops = &fake_ops,
		.need = {.kind = NEED_FOLDER, .id = id},
		.rounds = rounds,
	};
}

static void fake_park(struct fake *fake)
{
	park_add(world.park, &fake->parked, &fake->need, fake->soft);
}

static void fake_wait(struct fake *fake)
{
	pthread_mutex_lock(&world.mutex);
	while (!fake->answers)
		pthread_cond_wait(&world.answered, &world.mutex);
	pthread_mutex_unlock(&world.mutex);
}

static void state_need(void *data, const struct need *need)
{
	world.stated++;
	if (world.settle_at_once)
		park_settled(world.park, need, 0);
}

static void world_begin(int64_t soft_ms, int64_t hard_ms, int64_t interrupt_ms)
{
	const struct park_config config = {
		.state_need = state_need,
		.soft_ms = soft_ms,
		.hard_ms = hard_ms,
		.interrupt_ms = interrupt_ms,
	};

	world.settle_at_once = false;
	world.stated = 0;
	world.park = park_new(&config);
}

static void world_end(void)
{
	park_free(&world.park);
	g_assert_null(world.park);
}

static void test_settled(void)
{
	struct fake one, other;
	struct need wrong = {.kind = NEED_FOLDERS, .id = 7};

	world_begin(ENDLESS_MS, ENDLESS_MS, ENDLESS_MS);
	fake_init(&one, 7, 1);
	fake_init(&other, 8, 1);
	fake_park(&one);
	fake_park(&other);
	g_assert_cmpint(world.stated, ==, 2);
	park_settled(world.park, &wrong, 0);
	park_settled(world.park, &one.need, 0);
	fake_wait(&one);
	g_assert_cmpint(one.gave_up, ==, 0);
	g_assert_cmpint(one.runs, ==, 1);
	g_assert_cmpint(other.runs, ==, 0);
	park_settled(world.park, &other.need, EHOSTUNREACH);
	fake_wait(&other);
	g_assert_cmpint(other.gave_up, ==, EHOSTUNREACH);
	world_end();
	g_assert_cmpint(one.answers, ==, 1);
	g_assert_cmpint(other.answers, ==, 1);
}

/* A need that is met while it is stated must find its request. */
static void test_settled_at_once(void)
{
	struct fake fake;

	world_begin(ENDLESS_MS, ENDLESS_MS, ENDLESS_MS);
	world.settle_at_once = true;
	fake_init(&fake, 7, 100);
	fake_park(&fake);
	fake_wait(&fake);
	g_assert_cmpint(fake.runs, ==, 100);
	g_assert_cmpint(fake.gave_up, ==, 0);
	world_end();
}

/* A verdict is given once, and nobody states a ticket: it must not be lost on a request that is
 * still on its way. */
static void test_ticket(void)
{
	struct fake before, after, other;

	world_begin(ENDLESS_MS, ENDLESS_MS, ENDLESS_MS);
	fake_init(&before, 0, 1);
	before.need = (struct need){.kind = NEED_TICKET, .uid = 7};
	fake_init(&after, 0, 1);
	after.need = (struct need){.kind = NEED_TICKET, .uid = 8};
	fake_init(&other, 0, 1);
	other.need = (struct need){.kind = NEED_TICKET, .uid = 9};

	park_settled(world.park, &before.need, EEXIST);
	fake_park(&other);
	fake_park(&before);
	fake_wait(&before);
	g_assert_cmpint(before.gave_up, ==, EEXIST);
	fake_park(&after);
	park_settled(world.park, &after.need, 0);
	fake_wait(&after);
	g_assert_cmpint(after.gave_up, ==, 0);
	g_assert_cmpint(after.runs, ==, 1);
	g_assert_cmpint(world.stated, ==, 0);
	g_assert_cmpint(other.runs, ==, 0);
	world_end();
	g_assert_cmpint(other.error, ==, ECONNABORTED);
}

/* Verdicts that nobody asks for do not pile up; the latest are kept. */
static void test_many_tickets(void)
{
	struct need need = {.kind = NEED_TICKET};
	struct fake fake;

	world_begin(ENDLESS_MS, ENDLESS_MS, ENDLESS_MS);
	for (need.uid = 1; need.uid <= 1000; need.uid++)
		park_settled(world.park, &need, EACCES);
	fake_init(&fake, 0, 1);
	fake.need = (struct need){.kind = NEED_TICKET, .uid = 1000};
	fake_park(&fake);
	fake_wait(&fake);
	g_assert_cmpint(fake.gave_up, ==, EACCES);
	world_end();
}

/* What is sent before it may take long: only the server's silence, of which the engine tells,
 * ends the wait for a change. */
static void test_changes_wait_longer(void)
{
	struct fake hard, change;

	world_begin(ENDLESS_MS, 20, ENDLESS_MS);
	fake_init(&change, 7, 1);
	change.need.kind = NEED_CHANGES;
	fake_init(&hard, 7, 1);
	fake_park(&change);
	fake_park(&hard);
	fake_wait(&hard);
	g_assert_cmpint(hard.gave_up, ==, ETIMEDOUT);
	g_assert_cmpint(change.runs, ==, 0);
	park_settled(world.park, &change.need, ENOSPC);
	fake_wait(&change);
	g_assert_cmpint(change.gave_up, ==, ENOSPC);
	world_end();
}

/* Settled for ever, never met: it ends. */
static void test_rounds(void)
{
	struct fake fake;

	world_begin(ENDLESS_MS, ENDLESS_MS, ENDLESS_MS);
	world.settle_at_once = true;
	fake_init(&fake, 7, INT_MAX);
	fake_park(&fake);
	fake_wait(&fake);
	g_assert_cmpint(fake.gave_up, ==, ETIMEDOUT);
	world_end();
}

static void test_deadlines(void)
{
	struct fake soft, hard, stubborn;
	int64_t start_ms = clock_mono_ms();

	world_begin(20, 60, ENDLESS_MS);
	fake_init(&soft, 7, 1);
	soft.soft = true;
	fake_init(&hard, 7, 1);
	fake_init(&stubborn, 7, 1);
	stubborn.stubborn = true;
	fake_park(&hard);
	fake_park(&soft);
	fake_park(&stubborn);
	fake_wait(&soft);
	g_assert_cmpint(clock_mono_ms() - start_ms, >=, 20);
	fake_wait(&hard);
	fake_wait(&stubborn);
	g_assert_cmpint(clock_mono_ms() - start_ms, >=, 60);
	g_assert_cmpint(soft.gave_up, ==, ETIMEDOUT);
	g_assert_cmpint(hard.gave_up, ==, ETIMEDOUT);
	g_assert_cmpint(stubborn.error, ==, ETIMEDOUT);
	world_end();
}

/* The time of a soft need is one for all its rounds. */
static void test_soft_is_bounded(void)
{
	struct fake fake;
	int64_t start_ms = clock_mono_ms();

	world_begin(50, ENDLESS_MS, ENDLESS_MS);
	fake_init(&fake, 7, INT_MAX);
	fake.soft = true;
	fake_park(&fake);
	while (!fake.answers) {
		park_settled(world.park, &fake.need, 0);
		g_usleep(1000);
	}
	g_assert_cmpint(fake.gave_up, ==, ETIMEDOUT);
	g_assert_cmpint(clock_mono_ms() - start_ms, >=, 50);
	g_assert_cmpint(fake.runs, >, 1);
	world_end();
}

static void test_interrupt(void)
{
	struct fake early, late, before;
	int64_t start_ms = clock_mono_ms();

	world_begin(ENDLESS_MS, ENDLESS_MS, 50);
	fake_init(&before, 7, 1);
	park_interrupt(world.park, &before.parked);
	fake_park(&before);
	fake_init(&early, 7, 1);
	fake_park(&early);
	park_interrupt(world.park, &early.parked);
	park_interrupt(world.park, &early.parked);
	fake_init(&late, 7, 1);
	fake_park(&late);
	fake_wait(&early);
	fake_wait(&before);
	g_assert_cmpint(clock_mono_ms() - start_ms, >=, 50);
	g_assert_cmpint(early.error, ==, EINTR);
	g_assert_cmpint(before.error, ==, EINTR);
	g_assert_cmpint(early.runs, ==, 0);
	g_assert_cmpint(late.answers, ==, 0);
	while (clock_mono_ms() - start_ms < 120)
		g_usleep(1000);
	park_interrupt(world.park, &late.parked);
	fake_wait(&late);
	g_assert_cmpint(late.error, ==, EINTR);
	world_end();
}

/* A signal that a runtime sends to itself does no harm. */
static void test_interrupt_too_early(void)
{
	struct fake fake;

	world_begin(ENDLESS_MS, ENDLESS_MS, ENDLESS_MS);
	fake_init(&fake, 7, 1);
	fake_park(&fake);
	park_interrupt(world.park, &fake.parked);
	park_settled(world.park, &fake.need, 0);
	fake_wait(&fake);
	g_assert_cmpint(fake.error, ==, 0);
	g_assert_cmpint(fake.runs, ==, 1);
	world_end();
}

static void test_stop(void)
{
	struct fake before, after;

	world_begin(ENDLESS_MS, ENDLESS_MS, ENDLESS_MS);
	fake_init(&before, 7, 1);
	fake_park(&before);
	park_stop(world.park);
	g_assert_cmpint(before.answers, ==, 1);
	g_assert_cmpint(before.error, ==, ECONNABORTED);
	fake_init(&after, 7, 1);
	fake_park(&after);
	g_assert_cmpint(after.answers, ==, 1);
	g_assert_cmpint(after.error, ==, ECONNABORTED);
	park_settled(world.park, &after.need, 0);
	park_stop(world.park);
	world_end();
	g_assert_cmpint(before.answers, ==, 1);
	g_assert_cmpint(after.answers, ==, 1);
}

/* --- everything at once --- */

enum { CROWD = 1000, CROWD_KEYS = 37 };

static struct fake crowd[CROWD];
static atomic_int crowd_parked;
static atomic_bool crowd_done;

static void *crowd_park(void *data)
{
	for (int i = 0; i < CROWD; i++) {
		fake_init(&crowd[i], (uint32_t)(i % CROWD_KEYS), 1 + i % 4);
		crowd[i].soft = i % 5 == 0;
		atomic_store(&crowd_parked, i + 1);
		fake_park(&crowd[i]);
	}
	return NULL;
}

static void *crowd_settle(void *data)
{
	unsigned i = 0;

	while (!crowd_done) {
		struct need need = {.kind = NEED_FOLDER, .id = i++ % CROWD_KEYS};

		/* Most keys; the rest is for the interrupts and the end. */
		if (need.id < CROWD_KEYS / 2)
			park_settled(world.park, &need, i % 7 ? 0 : EIO);
		g_usleep(10);
	}
	return NULL;
}

static void *crowd_interrupt(void *data)
{
	while (!crowd_done) {
		int parked = atomic_load(&crowd_parked);

		for (int i = 0; i < parked; i += 3)
			park_interrupt(world.park, &crowd[i].parked);
		g_usleep(100);
	}
	return NULL;
}

static void test_crowd(void)
{
	void *(*const mains[])(void *) = {crowd_park, crowd_settle, crowd_interrupt};
	pthread_t threads[G_N_ELEMENTS(mains)];
	int answered = 0;

	world_begin(30, ENDLESS_MS, 5);
	crowd_done = false;
	crowd_parked = 0;
	for (guint i = 0; i < G_N_ELEMENTS(mains); i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, mains[i], NULL), ==, 0);
	/* Stopped in the midst. */
	while (crowd_parked < CROWD)
		g_usleep(100);
	park_stop(world.park);
	crowd_done = true;
	for (guint i = 0; i < G_N_ELEMENTS(mains); i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < CROWD; i++) {
		g_assert_cmpint(crowd[i].answers, ==, 1);
		answered += crowd[i].error == 0;
	}
	g_test_message("%d of %d by replay", answered, CROWD);
	world_end();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/park/settled", test_settled);
	g_test_add_func("/park/settled-at-once", test_settled_at_once);
	g_test_add_func("/park/ticket", test_ticket);
	g_test_add_func("/park/many-tickets", test_many_tickets);
	g_test_add_func("/park/changes-wait-longer", test_changes_wait_longer);
	g_test_add_func("/park/rounds", test_rounds);
	g_test_add_func("/park/deadlines", test_deadlines);
	g_test_add_func("/park/soft-is-bounded", test_soft_is_bounded);
	g_test_add_func("/park/interrupt", test_interrupt);
	g_test_add_func("/park/interrupt-too-early", test_interrupt_too_early);
	g_test_add_func("/park/stop", test_stop);
	g_test_add_func("/park/crowd", test_crowd);
	return g_test_run();
}
