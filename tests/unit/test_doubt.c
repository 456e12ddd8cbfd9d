/* While it is not known whether something arrived in a mailbox, nothing else is sent there. */
#include "spool_help.h"

#include "base/error.h"

enum { SEEN = 1 };

static const struct state_box box_c = {103, 1003, "Third", 9};

static void copy_to(struct fixture *fixture, enum change_kind kind, uint32_t uid,
		    const struct state_box *target)
{
	g_autofree char *name = g_strdup_printf("c%u.eml", uid);
	struct change_request request = {.kind = kind,
					 .box = box_b,
					 .uid = uid,
					 .target = target->folder,
					 .target_mailbox = target->mailbox,
					 .name = name};
	g_autoptr(GError) error = NULL;

	g_assert_true(changes_add(fixture->state, &request, &error));
	g_assert_no_error(error);
}

static struct change *nth(GPtrArray *batch, unsigned n)
{
	return g_ptr_array_index(batch, n);
}

static GPtrArray *take_changes(struct fixture *fixture, unsigned len, uint32_t uid)
{
	GPtrArray *batch = changes_take(fixture->state, 1000);

	g_assert_nonnull(batch);
	g_assert_cmpuint(batch->len, ==, len);
	g_assert_cmpuint(nth(batch, 0)->uid, ==, uid);
	return batch;
}

static void take_no_changes(struct fixture *fixture)
{
	g_assert_null(changes_take(fixture->state, 1000));
}

static void mark(struct fixture *fixture, GPtrArray *batch)
{
	g_assert_true(changes_mark(fixture->state, batch, 7, 10, NULL));
}

static void take_file(struct fixture *fixture, uint32_t id, bool unknown)
{
	struct spool_file file;
	int fd;

	g_assert_true(spool_take(fixture->state, 1000, &file, &fd));
	g_assert_cmpuint(file.id, ==, id);
	g_assert_cmpint(file.unknown, ==, unknown);
	spool_file_clear(&file);
	close(fd);
}

static void lose_file(struct fixture *fixture, uint32_t id)
{
	take_file(fixture, id, false);
	g_assert_true(spool_mark(fixture->state, id, 7, 10, NULL));
	spool_set_unknown(fixture->state, id);
}

/* One file is unknown: no other goes there, nor a change, but elsewhere all goes on. */
static void test_file(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) flags = NULL, elsewhere = NULL, there = NULL;
	struct change_request flag = {.kind = CHANGE_FLAGS, .box = box_a, .uid = 1, .set = SEEN};

	fixture_init(&fixture);
	fixture_bind(&fixture);
	uint32_t first = put(&fixture, "a.eml", "x\n");

	lose_file(&fixture, first);
	spool_defer(fixture.state, first, 1001);
	uint32_t second = put(&fixture, "b.eml", "x\n");
	int fd;
	uint32_t other = spool_create(fixture.state, box_c.folder, "Third", "o.eml", NULL);

	fd = spool_open(fixture.state, other, true, NULL);
	write_bytes(&fixture, other, fd, "y");
	finish(&fixture, other, fd);
	copy_to(&fixture, CHANGE_COPY, 1, &box_a);
	copy_to(&fixture, CHANGE_MOVE, 2, &box_a);
	copy_to(&fixture, CHANGE_COPY, 3, &box_c);
	g_assert_true(changes_add(fixture.state, &flag, NULL));
	elsewhere = take_changes(&fixture, 1, 3);
	flags = take_changes(&fixture, 1, 1);
	g_assert_cmpint(nth(flags, 0)->kind, ==, CHANGE_FLAGS);
	take_no_changes(&fixture);
	take_file(&fixture, other, false);
	take_none(&fixture);
	/* Its time has come. */
	spool_defer(fixture.state, first, 1000);
	take_file(&fixture, first, true);
	take_none(&fixture);
	take_no_changes(&fixture);
	g_assert_true(spool_uploaded(fixture.state, first, 7, 10, 0, NULL));
	take_file(&fixture, second, false);
	there = take_changes(&fixture, 1, 1);
	g_assert_cmpint(nth(there, 0)->kind, ==, CHANGE_COPY);
	fixture_clear(&fixture);
}

/* All the ways out of doubt. */
static void test_file_ends(void)
{
	for (unsigned way = 0; way < 3; way++) {
		struct fixture fixture;

		fixture_init(&fixture);
		fixture_bind(&fixture);
		uint32_t first = put(&fixture, "a.eml", "x\n");
		uint32_t second = put(&fixture, "b.eml", "x\n");

		lose_file(&fixture, first);
		take_file(&fixture, first, true);
		take_none(&fixture);
		if (way == 0)
			spool_fail(fixture.state, first, EIO, "no");
		else if (way == 1)
			g_assert_true(spool_requeue(fixture.state, first, NULL));
		else
			g_assert_true(spool_uploaded(fixture.state, first, 7, 0, 0, NULL));
		if (way == 1)
			take_file(&fixture, first, false);
		take_file(&fixture, second, false);
		fixture_clear(&fixture);
	}
}

/* Unknown ones go one behind the other, the oldest first, also after a crash. */
static void test_files(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	uint32_t ids[3];

	for (unsigned i = 0; i < 3; i++) {
		g_autofree char *name = g_strdup_printf("%u.eml", i);

		ids[i] = put(&fixture, name, "x\n");
	}
	take_file(&fixture, ids[0], false);
	take_file(&fixture, ids[1], false);
	for (unsigned i = 0; i < 2; i++)
		g_assert_true(spool_mark(fixture.state, ids[i], 7, 10, NULL));
	fixture_crash(&fixture, true);
	take_file(&fixture, ids[0], true);
	g_assert_true(spool_requeue(fixture.state, ids[0], NULL));
	take_file(&fixture, ids[1], true);
	take_none(&fixture);
	g_assert_true(spool_uploaded(fixture.state, ids[1], 7, 10, 0, NULL));
	take_file(&fixture, ids[0], false);
	take_file(&fixture, ids[2], false);
	fixture_clear(&fixture);
}

/* Changes that are unknown keep others, and files, out of their target alone. */
static void test_change(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) lost = NULL, again = NULL, rest = NULL, copied = NULL, last = NULL;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	copy_to(&fixture, CHANGE_MOVE, 1, &box_a);
	copy_to(&fixture, CHANGE_MOVE, 2, &box_a);
	lost = take_changes(&fixture, 2, 1);
	mark(&fixture, lost);
	changes_set_unknown(fixture.state, lost);
	copy_to(&fixture, CHANGE_COPY, 3, &box_a);
	uint32_t id = put(&fixture, "a.eml", "x\n");

	take_none(&fixture);
	again = take_changes(&fixture, 2, 1);
	g_assert_true(nth(again, 0)->unknown);
	take_no_changes(&fixture);
	take_none(&fixture);
	g_assert_true(changes_copied(fixture.state, nth(again, 0), 10, NULL));
	/* What remains of it brings nothing there. */
	copied = take_changes(&fixture, 1, 1);
	g_assert_cmpint(nth(copied, 0)->step, ==, CHANGE_COPIED);
	take_no_changes(&fixture);
	take_none(&fixture);
	g_assert_true(changes_requeue(fixture.state, nth(again, 1), NULL));
	take_file(&fixture, id, false);
	rest = take_changes(&fixture, 1, 2);
	g_assert_cmpint(nth(rest, 0)->step, ==, CHANGE_QUEUED);
	last = take_changes(&fixture, 1, 3);
	fixture_clear(&fixture);
}

/* Dropped, lost with its source, and settled: doubt ends with the change. */
static void test_change_ends(void)
{
	for (unsigned way = 0; way < 3; way++) {
		struct fixture fixture;
		g_autoptr(GPtrArray) lost = NULL;
		struct state_box anew = box_b;

		fixture_init(&fixture);
		fixture_bind(&fixture);
		copy_to(&fixture, CHANGE_COPY, 1, &box_a);
		lost = take_changes(&fixture, 1, 1);
		mark(&fixture, lost);
		changes_set_unknown(fixture.state, lost);
		uint32_t id = put(&fixture, "a.eml", "x\n");

		take_none(&fixture);
		anew.epoch++;
		anew.uidvalidity++;
		if (way == 0)
			changes_drop(fixture.state, nth(lost, 0));
		else if (way == 1)
			state_bind(fixture.state, &anew, NULL, NULL);
		else
			changes_settle(fixture.state, lost, 0);
		take_file(&fixture, id, false);
		fixture_clear(&fixture);
	}
}

/* Both at once: the file first, and never together. */
static void test_both(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) batch = NULL, sought = NULL, again = NULL;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	uint32_t id = put(&fixture, "a.eml", "x\n");

	copy_to(&fixture, CHANGE_COPY, 1, &box_a);
	batch = take_changes(&fixture, 1, 1);
	mark(&fixture, batch);
	take_file(&fixture, id, false);
	g_assert_true(spool_mark(fixture.state, id, 7, 10, NULL));
	fixture_crash(&fixture, true);
	take_no_changes(&fixture);
	take_file(&fixture, id, true);
	take_no_changes(&fixture);
	spool_defer(fixture.state, id, 5000);
	take_no_changes(&fixture);
	spool_fail(fixture.state, id, EIO, "no");
	sought = take_changes(&fixture, 1, 1);
	g_assert_true(nth(sought, 0)->unknown);
	/* What is not unknown waits on. */
	spool_retry(fixture.state);
	take_none(&fixture);
	changes_defer(fixture.state, sought, 0, true);
	take_none(&fixture);
	again = take_changes(&fixture, 1, 1);
	changes_settle(fixture.state, again, 0);
	take_file(&fixture, id, false);
	fixture_clear(&fixture);
}

/* A file in flight when the change was taken for a search. */
static void test_both_in_hand(void)
{
	struct fixture fixture;
	g_autoptr(GPtrArray) batch = NULL, sought = NULL;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	uint32_t id = put(&fixture, "a.eml", "x\n");

	copy_to(&fixture, CHANGE_COPY, 1, &box_a);
	take_file(&fixture, id, false);
	batch = take_changes(&fixture, 1, 1);
	mark(&fixture, batch);
	changes_set_unknown(fixture.state, batch);
	sought = take_changes(&fixture, 1, 1);
	g_assert_true(spool_mark(fixture.state, id, 7, 10, NULL));
	spool_set_unknown(fixture.state, id);
	take_none(&fixture);
	changes_defer(fixture.state, sought, 0, false);
	take_file(&fixture, id, true);
	fixture_clear(&fixture);
}

/* INBOX in any case is one mailbox; a mailbox that gets another name keeps its doubt. */
static void test_names(void)
{
	struct fixture fixture;
	struct state_box inbox = {103, 1003, "inbox", 9};
	g_autoptr(GPtrArray) batch = NULL;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	int fd;
	uint32_t id = spool_create(fixture.state, inbox.folder, "InBox", "o.eml", NULL);

	fd = spool_open(fixture.state, id, true, NULL);
	write_bytes(&fixture, id, fd, "y");
	finish(&fixture, id, fd);
	lose_file(&fixture, id);
	copy_to(&fixture, CHANGE_COPY, 1, &inbox);
	take_no_changes(&fixture);
	g_assert_true(state_renamed(fixture.state, "INBOX", "Old", '/', NULL));
	take_no_changes(&fixture);
	g_assert_true(spool_requeue(fixture.state, id, NULL));
	batch = take_changes(&fixture, 1, 1);
	g_assert_cmpstr(nth(batch, 0)->target_mailbox, ==, "Old");
	fixture_clear(&fixture);
}

/* Many that wait are looked at once, not with each question. */
static void test_many(void)
{
	enum { MANY = 20000, QUESTIONS = 20000 };
	struct fixture fixture;
	unsigned taken = 0;
	GPtrArray *batch;

	fixture_init(&fixture);
	fixture_bind(&fixture);
	uint32_t id = put(&fixture, "a.eml", "x\n");

	lose_file(&fixture, id);
	for (uint32_t uid = 1; uid <= MANY; uid++)
		copy_to(&fixture, CHANGE_MOVE, uid, &box_a);
	int64_t began_us = g_get_monotonic_time();

	for (unsigned i = 0; i < QUESTIONS; i++)
		take_no_changes(&fixture);
	take_file(&fixture, id, true);
	g_assert_true(spool_uploaded(fixture.state, id, 7, 10, 0, NULL));
	while ((batch = changes_take(fixture.state, 1000))) {
		taken += batch->len;
		g_ptr_array_unref(batch);
	}
	g_assert_cmpint(g_get_monotonic_time() - began_us, <, 10 * G_USEC_PER_SEC);
	g_assert_cmpuint(taken, ==, MANY);
	fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/doubt/file", test_file);
	g_test_add_func("/doubt/file-ends", test_file_ends);
	g_test_add_func("/doubt/files", test_files);
	g_test_add_func("/doubt/change", test_change);
	g_test_add_func("/doubt/change-ends", test_change_ends);
	g_test_add_func("/doubt/both", test_both);
	g_test_add_func("/doubt/both-in-hand", test_both_in_hand);
	g_test_add_func("/doubt/names", test_names);
	g_test_add_func("/doubt/many", test_many);
	return g_test_run();
}
