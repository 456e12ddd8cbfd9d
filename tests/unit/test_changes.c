#include "base/error.h"
#include "state_help.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SEEN = 1, DELETED = 8 };

static void flags(struct fixture *fixture, uint32_t uid, unsigned set, unsigned clear)
{
	struct change_request request = {
		.kind = CHANGE_FLAGS, .box = box_a, .uid = uid, .set = set, .clear = clear};
	g_autoptr(GError) error = NULL;

	g_assert_true(changes_add(fixture->state, &request, &error));
	g_assert_no_error(error);
}

static void words(struct fixture *fixture, uint32_t uid, const char *set, const char *clear)
{
	struct change_request request = {.kind = CHANGE_FLAGS,
					 .box = box_a,
					 .uid = uid,
					 .set_words = set,
					 .clear_words = clear};

	g_assert_true(changes_add(fixture->state, &request, NULL));
}

static bool transfer(struct fixture *fixture, enum change_kind kind, uint32_t uid, const char *name,
		     GError **error)
{
	struct change_request request = {.kind = kind,
					 .box = box_a,
					 .uid = uid,
					 .target = TARGET,
					 .target_mailbox = "Other",
					 .name = name};

	return changes_add(fixture->state, &request, error);
}

static bool expunge(struct fixture *fixture, uint32_t uid, GError **error)
{
	struct change_request request = {.kind = CHANGE_EXPUNGE, .box = box_a, .uid = uid};

	return changes_add(fixture->state, &request, error);
}

static struct overlay overlay(struct fixture *fixture, uint32_t uid)
{
	struct overlay overlay;

	changes_overlay(fixture->state, EPOCH, uid, &overlay);
	return overlay;
}

static struct change *nth(GPtrArray *batch, unsigned n)
{
	return g_ptr_array_index(batch, n);
}

static GPtrArray *take(struct fixture *fixture, unsigned len)
{
	GPtrArray *batch = changes_take(fixture->state, 1000);

	g_assert_nonnull(batch);
	g_assert_cmpuint(batch->len, ==, len);
	return batch;
}

static void take_none(struct fixture *fixture)
{
	g_assert_null(changes_take(fixture->state, 1000));
}

static void settle_all(struct fixture *fixture)
{
	GPtrArray *batch;

	while ((batch = changes_take(fixture->state, G_MAXINT64))) {
		changes_settle(fixture->state, batch, 0);
		g_ptr_array_unref(batch);
	}
}

static void test_overlay(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	g_assert_false(changes_in(fixture.state, EPOCH));
	g_assert_false(overlay(&fixture, 1).pending);
	g_assert_cmpint(state_touched_ns(fixture.state, FOLDER), ==, 0);
	flags(&fixture, 1, SEEN, 0);
	g_assert_true(changes_in(fixture.state, EPOCH));
	g_assert_false(changes_in(fixture.state, TARGET_EPOCH));
	g_assert_cmpuint(overlay(&fixture, 1).set, ==, SEEN);
	g_assert_true(overlay(&fixture, 1).pending);
	g_assert_false(overlay(&fixture, 2).pending);

	int64_t touched_ns = state_touched_ns(fixture.state, FOLDER);

	g_assert_cmpint(touched_ns, >, 0);
	g_assert_true(transfer(&fixture, CHANGE_MOVE, 1, "m.eml", NULL));
	g_assert_true(overlay(&fixture, 1).gone);
	g_assert_cmpint(state_touched_ns(fixture.state, FOLDER), >, touched_ns);
	g_assert_cmpint(state_touched_ns(fixture.state, TARGET), >, 0);
	g_assert_true(transfer(&fixture, CHANGE_COPY, 2, NULL, NULL));
	g_assert_false(overlay(&fixture, 2).gone);
	g_assert_true(overlay(&fixture, 2).pending);
	g_assert_cmpuint(state_pending(fixture.state), ==, 3);
	g_assert_cmpuint(state_pending_of(fixture.state, TARGET), ==, 2);
	g_assert_cmpuint(state_pending_of(fixture.state, FOLDER), ==, 3);
	fixture_clear(&fixture);
}

static void test_uids(void)
{
	struct fixture fixture;
	g_autoptr(GArray) uids = NULL;

	fixture_init(&fixture);
	flags(&fixture, 4000000000u, SEEN, 0);
	flags(&fixture, 9, SEEN, 0);
	flags(&fixture, 5, SEEN, 0);
	uids = changes_uids(fixture.state, EPOCH);
	g_assert_cmpuint(uids->len, ==, 3);
	g_assert_cmpuint(g_array_index(uids, uint32_t, 0), ==, 5);
	g_assert_cmpuint(g_array_index(uids, uint32_t, 2), ==, 4000000000u);
	fixture_clear(&fixture);
}

/* What is asked for last counts, and is asked for: the server's flags are not known here. */
static void test_join(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) batch = NULL;

	fixture_init(&fixture);
	flags(&fixture, 1, DELETED, 0);
	flags(&fixture, 1, SEEN, 0);
	flags(&fixture, 1, 0, DELETED);
	g_assert_cmpuint(state_pending(fixture.state), ==, 1);
	g_assert_cmpuint(overlay(&fixture, 1).set, ==, SEEN);
	g_assert_cmpuint(overlay(&fixture, 1).clear, ==, DELETED);
	flags(&fixture, 1, 0, 0);
	fixture_crash(&fixture, true);
	batch = take(&fixture, 1);
	g_assert_cmpuint(nth(batch, 0)->set, ==, SEEN);
	g_assert_cmpuint(nth(batch, 0)->clear, ==, DELETED);
	/* Under way: what comes now is another. */
	flags(&fixture, 1, DELETED, 0);
	g_assert_cmpuint(state_pending(fixture.state), ==, 2);
	g_assert_cmpuint(overlay(&fixture, 1).set, ==, SEEN | DELETED);
	take_none(&fixture);
	fixture_clear(&fixture);
}

static void test_join_words(void)
{
	struct fixture fixture;
	g_autofree char *after = NULL;
	g_autoptr(GPtrArray) batch = NULL;

	fixture_init(&fixture);
	words(&fixture, 1, "$Forwarded work", NULL);
	words(&fixture, 1, "$junk", "WORK old");
	after = changes_keywords(fixture.state, EPOCH, 1, "Old work other");
	g_assert_cmpstr(after, ==, "other $Forwarded $junk");
	batch = take(&fixture, 1);
	g_assert_cmpstr(nth(batch, 0)->set_words, ==, "$Forwarded $junk");
	g_assert_cmpstr(nth(batch, 0)->clear_words, ==, "WORK old");
	fixture_clear(&fixture);
}

static void test_no_join_across(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) first = NULL, second = NULL;

	fixture_init(&fixture);
	flags(&fixture, 1, SEEN, 0);
	g_assert_true(transfer(&fixture, CHANGE_COPY, 1, "c.eml", NULL));
	flags(&fixture, 1, 0, SEEN);
	g_assert_cmpuint(state_pending(fixture.state), ==, 3);
	first = take(&fixture, 1);
	g_assert_cmpint(nth(first, 0)->kind, ==, CHANGE_FLAGS);
	take_none(&fixture);
	changes_settle(fixture.state, first, 5);
	second = take(&fixture, 1);
	g_assert_cmpint(nth(second, 0)->kind, ==, CHANGE_COPY);
	fixture_clear(&fixture);
}

static void test_leaving(void)
{
	struct fixture fixture;
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) batch = NULL;

	fixture_init(&fixture);
	g_assert_true(transfer(&fixture, CHANGE_MOVE, 1, "a.eml", NULL));
	g_assert_false(expunge(&fixture, 1, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_GONE);
	g_clear_error(&error);
	g_assert_false(transfer(&fixture, CHANGE_MOVE, 1, "b.eml", &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_GONE);
	g_clear_error(&error);
	g_assert_false(transfer(&fixture, CHANGE_MOVE, 2, "a.eml", &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_EXISTS);
	batch = take(&fixture, 1);
	changes_drop(fixture.state, nth(batch, 0));
	g_assert_true(expunge(&fixture, 1, NULL));
	g_assert_true(transfer(&fixture, CHANGE_MOVE, 2, "a.eml", NULL));
	fixture_clear(&fixture);
}

static void test_batches(void)
{
	static const unsigned sizes[] = {CHANGES_BATCH - 1, CHANGES_BATCH, CHANGES_BATCH + 1};

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		struct fixture fixture;
		g_autoptr(GPtrArray) batch = NULL, rest = NULL;

		fixture_init(&fixture);
		for (uint32_t uid = 1; uid <= sizes[i]; uid++) {
			flags(&fixture, uid, DELETED, 0);
			/* Of another kind, in between. */
			flags(&fixture, 10000 + uid, SEEN, 0);
		}
		batch = take(&fixture, MIN(sizes[i], CHANGES_BATCH));
		for (unsigned n = 0; n < batch->len; n++) {
			g_assert_cmpuint(nth(batch, n)->uid, ==, n + 1);
			g_assert_true(nth(batch, n)->running);
		}
		rest = take(&fixture, MIN(sizes[i], CHANGES_BATCH));
		g_assert_cmpuint(nth(rest, 0)->uid, ==, 10001);
		fixture_clear(&fixture);
	}
}

static void test_kinds_apart(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) one = NULL, two = NULL, three = NULL;
	struct change_request elsewhere = {.kind = CHANGE_MOVE,
					   .box = box_a,
					   .uid = 3,
					   .target = 103,
					   .target_mailbox = "Third"};

	fixture_init(&fixture);
	g_assert_true(transfer(&fixture, CHANGE_MOVE, 1, "1", NULL));
	g_assert_true(transfer(&fixture, CHANGE_COPY, 2, "2", NULL));
	g_assert_true(changes_add(fixture.state, &elsewhere, NULL));
	g_assert_true(transfer(&fixture, CHANGE_MOVE, 4, "4", NULL));
	one = take(&fixture, 2);
	two = take(&fixture, 1);
	three = take(&fixture, 1);
	g_assert_cmpuint(nth(one, 1)->uid, ==, 4);
	g_assert_cmpuint(nth(three, 0)->target, ==, 103);
	take_none(&fixture);
	fixture_clear(&fixture);
}

static void test_defer(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) batch = NULL, single = NULL, other = NULL;
	struct change_request other_folder = {
		.kind = CHANGE_FLAGS, .box = box_b, .uid = 1, .set = SEEN};

	fixture_init(&fixture);
	for (uint32_t uid = 1; uid <= 3; uid++)
		flags(&fixture, uid, SEEN, 0);
	batch = take(&fixture, 3);
	changes_defer(fixture.state, batch, 1001, true);
	take_none(&fixture);
	g_assert_true(changes_add(fixture.state, &other_folder, NULL));
	other = take(&fixture, 1);
	g_assert_cmpuint(nth(other, 0)->epoch, ==, TARGET_EPOCH);
	single = changes_take(fixture.state, 1001);
	g_assert_cmpuint(single->len, ==, 1);
	g_assert_cmpuint(nth(single, 0)->uid, ==, 1);
	/* Together again when they are no more alone. */
	changes_defer(fixture.state, batch, 0, false);
	g_ptr_array_unref(batch);
	batch = take(&fixture, 3);
	fixture_clear(&fixture);
}

/* One that never succeeds: those that were to go with it go, and what comes later does not wait. */
static void test_poison(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) all = NULL, poison = NULL, later = NULL, second = NULL, last = NULL;

	fixture_init(&fixture);
	for (uint32_t uid = 1; uid <= 2; uid++)
		flags(&fixture, uid, SEEN, 0);
	all = take(&fixture, 2);
	changes_defer(fixture.state, all, 0, true);
	poison = take(&fixture, 1);
	g_assert_cmpuint(nth(poison, 0)->uid, ==, 1);
	changes_defer(fixture.state, poison, 1001, true);
	g_assert_cmpuint(nth(poison, 0)->tries, ==, 2);
	flags(&fixture, 3, SEEN, 0);
	later = take(&fixture, 1);
	g_assert_cmpuint(nth(later, 0)->uid, ==, 3);
	take_none(&fixture);
	second = changes_take(fixture.state, 1001);
	g_assert_cmpuint(second->len, ==, 1);
	g_assert_cmpuint(nth(second, 0)->uid, ==, 2);
	last = changes_take(fixture.state, 1001);
	g_assert_cmpuint(nth(last, 0)->uid, ==, 1);
	fixture_clear(&fixture);
}

static void test_move_by_copy(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) marked = NULL, again = NULL, copied = NULL;

	fixture_init(&fixture);
	g_assert_true(transfer(&fixture, CHANGE_MOVE, 1, "a.eml", NULL));
	g_assert_true(transfer(&fixture, CHANGE_MOVE, 2, "b.eml", NULL));
	marked = take(&fixture, 2);
	g_assert_true(changes_mark(fixture.state, marked, 8, 50, NULL));
	g_assert_true(nth(marked, 0)->running);
	fixture_crash(&fixture, true);
	again = take(&fixture, 2);
	g_assert_cmpint(nth(again, 0)->step, ==, CHANGE_MARKED);
	g_assert_true(nth(again, 0)->unknown);
	g_assert_cmpuint(nth(again, 0)->mark_uidvalidity, ==, 8);
	g_assert_cmpuint(nth(again, 0)->mark_uidnext, ==, 50);
	g_assert_true(changes_copied(fixture.state, nth(again, 0), 50, NULL));
	g_assert_true(changes_requeue(fixture.state, nth(again, 1), NULL));
	fixture_crash(&fixture, true);
	copied = take(&fixture, 1);
	g_assert_cmpint(nth(copied, 0)->step, ==, CHANGE_COPIED);
	g_assert_cmpuint(nth(copied, 0)->target_uid, ==, 50);
	g_assert_false(nth(copied, 0)->unknown);
	g_ptr_array_unref(marked);
	marked = take(&fixture, 1);
	g_assert_cmpint(nth(marked, 0)->step, ==, CHANGE_QUEUED);
	g_assert_false(nth(marked, 0)->unknown);
	fixture_clear(&fixture);
}

static void test_unknown(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) batch = NULL, again = NULL;

	fixture_init(&fixture);
	g_assert_true(transfer(&fixture, CHANGE_COPY, 1, "a.eml", NULL));
	batch = take(&fixture, 1);
	g_assert_true(changes_mark(fixture.state, batch, 8, 50, NULL));
	changes_set_unknown(fixture.state, batch);
	/* Not running already: as the engine does it. */
	changes_defer(fixture.state, batch, 0, false);
	g_assert_true(transfer(&fixture, CHANGE_COPY, 2, "b.eml", NULL));
	again = take(&fixture, 1);
	g_assert_true(nth(again, 0)->unknown);
	fixture_clear(&fixture);
}

static void test_settled(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) batch = NULL;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	flags(&fixture, 1, SEEN, 0);
	batch = take(&fixture, 1);
	changes_settle(fixture.state, batch, 100);
	g_assert_cmpuint(overlay(&fixture, 1).set, ==, SEEN);
	g_assert_false(overlay(&fixture, 1).pending);
	g_assert_false(changes_pending(fixture.state, EPOCH, 1));
	g_assert_cmpuint(state_pending(fixture.state), ==, 0);
	changes_refreshed(fixture.state, EPOCH, 99, true, NULL);
	g_assert_cmpuint(overlay(&fixture, 1).set, ==, SEEN);
	changes_refreshed(fixture.state, TARGET_EPOCH, 200, true, NULL);
	g_assert_cmpuint(overlay(&fixture, 1).set, ==, SEEN);
	changes_refreshed(fixture.state, EPOCH, 100, true, NULL);
	g_assert_cmpuint(overlay(&fixture, 1).set, ==, 0);
	g_assert_false(changes_in(fixture.state, EPOCH));
	fixture_crash(&fixture, true);
	g_assert_cmpuint(state_pending(fixture.state), ==, 0);
	fixture_clear(&fixture);
}

static bool has_guest(struct fixture *fixture, const char *name)
{
	struct guest guest;
	bool found = changes_guest(fixture->state, TARGET, name, &guest);

	if (found) {
		g_assert_cmpstr(guest.name, ==, name);
		g_assert_cmpuint(guest.epoch, ==, EPOCH);
		guest_clear(&guest);
	}
	return found;
}

static void test_guests(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) guests = NULL, batch = NULL;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	g_assert_null(changes_guests(fixture.state, TARGET));
	g_assert_true(transfer(&fixture, CHANGE_MOVE, 2, "b.eml", NULL));
	g_assert_true(transfer(&fixture, CHANGE_MOVE, 1, "a.eml", NULL));
	g_assert_true(transfer(&fixture, CHANGE_MOVE, 3, NULL, NULL));
	g_assert_true(has_guest(&fixture, "a.eml"));
	g_assert_false(has_guest(&fixture, "c.eml"));
	guests = changes_guests(fixture.state, TARGET);
	g_assert_cmpuint(guests->len, ==, 2);
	g_assert_cmpuint(((struct guest *)g_ptr_array_index(guests, 0))->uid, ==, 2);
	batch = take(&fixture, 3);
	/* The engine put this one into the index, under its name. */
	g_assert_true(names_set(fixture.state, &box_b, 70, "b.eml", NULL));
	g_assert_false(has_guest(&fixture, "b.eml"));
	changes_settle(fixture.state, batch, 100);
	/* Each folder by its own refresh. */
	changes_refreshed(fixture.state, EPOCH, 100, true, NULL);
	g_assert_false(changes_in(fixture.state, EPOCH));
	g_assert_true(has_guest(&fixture, "a.eml"));
	changes_refreshed(fixture.state, TARGET_EPOCH, 99, true, NULL);
	g_assert_true(has_guest(&fixture, "a.eml"));
	changes_refreshed(fixture.state, TARGET_EPOCH, 101, true, NULL);
	g_assert_false(has_guest(&fixture, "a.eml"));
	g_assert_null(changes_guests(fixture.state, TARGET));
	fixture_clear(&fixture);
}

static void test_guest_first(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) batch = NULL;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	g_assert_true(transfer(&fixture, CHANGE_MOVE, 1, "a.eml", NULL));
	batch = take(&fixture, 1);
	changes_settle(fixture.state, batch, 100);
	changes_refreshed(fixture.state, TARGET_EPOCH, 100, true, NULL);
	g_assert_false(has_guest(&fixture, "a.eml"));
	g_assert_true(overlay(&fixture, 1).gone);
	changes_refreshed(fixture.state, EPOCH, 100, true, NULL);
	g_assert_false(changes_in(fixture.state, EPOCH));
	fixture_clear(&fixture);
}

static void test_dropped(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) batch = NULL, next = NULL;

	fixture_init(&fixture);
	flags(&fixture, 1, SEEN, 0);
	g_assert_true(transfer(&fixture, CHANGE_MOVE, 1, "a.eml", NULL));
	batch = take(&fixture, 1);
	changes_drop(fixture.state, nth(batch, 0));
	g_assert_cmpuint(overlay(&fixture, 1).set, ==, 0);
	next = take(&fixture, 1);
	changes_drop(fixture.state, nth(next, 0));
	g_assert_false(overlay(&fixture, 1).gone);
	g_assert_false(has_guest(&fixture, "a.eml"));
	g_assert_cmpuint(state_pending(fixture.state), ==, 0);
	g_assert_cmpuint(state_pending_of(fixture.state, TARGET), ==, 0);
	fixture_crash(&fixture, true);
	g_assert_false(changes_in(fixture.state, EPOCH));
	fixture_clear(&fixture);
}

static const char *const hostile[] = {
	"a'b\"c\\.eml", "line\nbreak\r.eml",	    "\xff\xfe\x80.eml",
	"%s%n",		"'; DROP TABLE change; --", "\x7f\x1b[31m"};

static void test_hostile(void)
{
	struct fixture fixture;
	g_autofree char *longest = g_strnfill(255, 'x');

	fixture_init(&fixture);
	for (uint32_t i = 0; i < G_N_ELEMENTS(hostile); i++)
		g_assert_true(transfer(&fixture, CHANGE_COPY, i + 1, hostile[i], NULL));
	g_assert_true(transfer(&fixture, CHANGE_COPY, 100, longest, NULL));
	fixture_crash(&fixture, true);
	for (uint32_t i = 0; i < G_N_ELEMENTS(hostile); i++)
		g_assert_true(has_guest(&fixture, hostile[i]));
	g_assert_true(has_guest(&fixture, longest));
	fixture_clear(&fixture);
}

static void test_many(void)
{
	struct fixture fixture;
	struct overlay seen;
	enum { MANY = 100000, SOME = 10000 };

	fixture_init(&fixture);
	int64_t began = g_get_monotonic_time();

	for (uint32_t uid = 1; uid <= SOME; uid++)
		flags(&fixture, uid, DELETED, 0);
	g_test_message("%d adds: %.1f us each", SOME,
		       (double)(g_get_monotonic_time() - began) / SOME);
	for (uint32_t uid = SOME + 1; uid <= MANY; uid++)
		flags(&fixture, uid, DELETED, 0);
	began = g_get_monotonic_time();
	for (uint32_t uid = 1; uid <= SOME; uid++)
		changes_overlay(fixture.state, EPOCH, uid, &seen);
	g_test_message("%d overlays: %.2f us each", SOME,
		       (double)(g_get_monotonic_time() - began) / SOME);
	began = g_get_monotonic_time();
	settle_all(&fixture);
	g_test_message("%d taken and settled: %.1f us each", MANY,
		       (double)(g_get_monotonic_time() - began) / MANY);
	g_assert_cmpuint(state_pending(fixture.state), ==, 0);
	fixture_clear(&fixture);
}

/* --- threads --- */

enum { WRITERS = 3, EACH = 400 };

struct crowd {
	struct fixture *fixture;
	atomic_uint done;
	uint32_t first;
};

static void *write_changes(void *data)
{
	struct crowd *crowd = data;
	uint32_t first = (uint32_t)atomic_fetch_add(&crowd->done, 0x10000) >> 16;

	for (uint32_t i = 0; i < EACH; i++) {
		uint32_t uid = first * EACH + i + 1;
		g_autofree char *name = g_strdup_printf("%u.eml", uid);

		flags(crowd->fixture, uid, DELETED, 0);
		flags(crowd->fixture, uid, SEEN, DELETED);
		if (i % 3 == 0)
			g_assert_true(transfer(crowd->fixture, CHANGE_MOVE, uid, name, NULL));
		g_assert_true(overlay(crowd->fixture, uid).gone || i % 3 != 0);
	}
	atomic_fetch_add(&crowd->done, 1);
	return NULL;
}

static void test_threads(void)
{
	struct fixture fixture;
	struct crowd crowd = {.fixture = &fixture};
	pthread_t threads[WRITERS];
	GPtrArray *batch;
	bool done;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	for (int i = 0; i < WRITERS; i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, write_changes, &crowd), ==, 0);
	do {
		done = (atomic_load(&crowd.done) & 0xffff) == WRITERS;
		while ((batch = changes_take(fixture.state, 1000))) {
			changes_settle(fixture.state, batch, 10);
			g_ptr_array_unref(batch);
		}
	} while (!done);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	settle_all(&fixture);
	g_assert_cmpuint(state_pending(fixture.state), ==, 0);
	changes_refreshed(fixture.state, EPOCH, 10, true, NULL);
	changes_refreshed(fixture.state, TARGET_EPOCH, 10, true, NULL);
	g_assert_false(changes_in(fixture.state, EPOCH));
	fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/changes/overlay", test_overlay);
	g_test_add_func("/changes/uids", test_uids);
	g_test_add_func("/changes/join", test_join);
	g_test_add_func("/changes/join-words", test_join_words);
	g_test_add_func("/changes/no-join-across", test_no_join_across);
	g_test_add_func("/changes/leaving", test_leaving);
	g_test_add_func("/changes/batches", test_batches);
	g_test_add_func("/changes/kinds-apart", test_kinds_apart);
	g_test_add_func("/changes/defer", test_defer);
	g_test_add_func("/changes/poison", test_poison);
	g_test_add_func("/changes/move-by-copy", test_move_by_copy);
	g_test_add_func("/changes/unknown", test_unknown);
	g_test_add_func("/changes/settled", test_settled);
	g_test_add_func("/changes/guests", test_guests);
	g_test_add_func("/changes/guest-first", test_guest_first);
	g_test_add_func("/changes/dropped", test_dropped);
	g_test_add_func("/changes/hostile", test_hostile);
	g_test_add_func("/changes/many", test_many);
	g_test_add_func("/changes/threads", test_threads);
	return g_test_run();
}
