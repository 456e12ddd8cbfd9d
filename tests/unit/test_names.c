#include "state_help.h"

static void set(struct fixture *fixture, uint32_t uid, const char *name)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(names_set(fixture->state, &box_a, uid, name, &error));
	g_assert_no_error(error);
}

static void assert_name(struct fixture *fixture, uint32_t uid, const char *expected)
{
	g_autofree char *name = names_get(fixture->state, EPOCH, uid);

	g_assert_cmpstr(name, ==, expected);
}

static void test_set(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	g_assert_false(names_in(fixture.state, EPOCH));
	g_assert_cmpuint(names_find(fixture.state, EPOCH, "a.eml"), ==, 0);
	assert_name(&fixture, 1, NULL);
	set(&fixture, 1, "a.eml");
	g_assert_true(names_in(fixture.state, EPOCH));
	g_assert_false(names_in(fixture.state, TARGET_EPOCH));
	g_assert_cmpuint(names_find(fixture.state, EPOCH, "a.eml"), ==, 1);
	g_assert_cmpuint(names_find(fixture.state, EPOCH, "A.eml"), ==, 0);
	g_assert_cmpint(state_touched_ns(fixture.state, FOLDER), >, 0);
	/* One name a message, */
	set(&fixture, 1, "b.eml");
	g_assert_cmpuint(names_find(fixture.state, EPOCH, "a.eml"), ==, 0);
	assert_name(&fixture, 1, "b.eml");
	/* and one message a name. */
	set(&fixture, 2, "b.eml");
	assert_name(&fixture, 1, NULL);
	assert_name(&fixture, 2, "b.eml");
	fixture_crash(&fixture, true);
	assert_name(&fixture, 1, NULL);
	g_assert_cmpuint(names_find(fixture.state, EPOCH, "b.eml"), ==, 2);
	/* Again, and nothing changes. */
	set(&fixture, 2, "b.eml");
	assert_name(&fixture, 2, "b.eml");
	fixture_clear(&fixture);
}

static void test_drop(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	for (uint32_t uid = 1; uid <= 20; uid++) {
		g_autofree char *name = g_strdup_printf("%u.txt.eml", uid);

		set(&fixture, uid, name);
	}
	set(&fixture, G_MAXUINT32, "last.eml");
	names_drop(fixture.state, EPOCH, 5, 7);
	names_drop(fixture.state, TARGET_EPOCH, 1, G_MAXUINT32);
	assert_name(&fixture, 4, "4.txt.eml");
	assert_name(&fixture, 5, NULL);
	assert_name(&fixture, 7, NULL);
	assert_name(&fixture, 8, "8.txt.eml");
	g_assert_cmpuint(names_find(fixture.state, EPOCH, "6.txt.eml"), ==, 0);
	names_drop(fixture.state, EPOCH, 10, G_MAXUINT32 - 1);
	assert_name(&fixture, 20, NULL);
	fixture_reopen(&fixture);
	fixture_bind(&fixture);
	assert_name(&fixture, 6, NULL);
	assert_name(&fixture, 9, "9.txt.eml");
	assert_name(&fixture, G_MAXUINT32, "last.eml");
	names_drop(fixture.state, EPOCH, 1, G_MAXUINT32);
	g_assert_false(names_in(fixture.state, EPOCH));
	fixture_reopen(&fixture);
	fixture_bind(&fixture);
	g_assert_false(names_in(fixture.state, EPOCH));
	fixture_clear(&fixture);
}

/* Names wait for the index to know the mailbox, and go with its UIDVALIDITY. */
static void test_bind(void)
{
	struct fixture fixture;
	struct state_box anew = {FOLDER, EPOCH + 50, "Box", 9};

	fixture_init(&fixture);
	set(&fixture, 1, "a.eml");
	fixture_reopen(&fixture);
	g_assert_false(names_in(fixture.state, EPOCH));
	state_bind(fixture.state, &(struct state_box){FOLDER, 0, "Box", 0}, NULL, NULL);
	g_assert_false(names_in(fixture.state, EPOCH));
	fixture_bind(&fixture);
	assert_name(&fixture, 1, "a.eml");
	state_bind(fixture.state, &anew, NULL, NULL);
	g_assert_false(names_in(fixture.state, EPOCH));
	g_assert_false(names_in(fixture.state, EPOCH + 50));
	fixture_reopen(&fixture);
	fixture_bind(&fixture);
	g_assert_false(names_in(fixture.state, EPOCH));
	fixture_clear(&fixture);
}

static void test_inbox(void)
{
	struct fixture fixture;
	struct state_box shout = {5, 55, "INBOX", 7}, whisper = {5, 55, "inbox", 7};

	fixture_init(&fixture);
	g_assert_true(names_set(fixture.state, &whisper, 3, "x.eml", NULL));
	fixture_reopen(&fixture);
	state_bind(fixture.state, &shout, NULL, NULL);
	g_assert_cmpuint(names_find(fixture.state, 55, "x.eml"), ==, 3);
	fixture_reopen(&fixture);
	state_bind(fixture.state, &whisper, NULL, NULL);
	g_assert_cmpuint(names_find(fixture.state, 55, "x.eml"), ==, 3);
	fixture_clear(&fixture);
}

static void test_hostile(void)
{
	static const char *const names[] = {"a'b\"c.eml",
					    "line\nbreak\r.eml",
					    "\xff\xfe\x80.eml",
					    "'); DROP TABLE name; --",
					    "%s",
					    " "};
	struct fixture fixture;
	g_autofree char *longest = g_strnfill(255, 'x');

	fixture_init(&fixture);
	for (uint32_t i = 0; i < G_N_ELEMENTS(names); i++)
		set(&fixture, i + 1, names[i]);
	set(&fixture, 100, longest);
	fixture_crash(&fixture, true);
	for (uint32_t i = 0; i < G_N_ELEMENTS(names); i++) {
		assert_name(&fixture, i + 1, names[i]);
		g_assert_cmpuint(names_find(fixture.state, EPOCH, names[i]), ==, i + 1);
	}
	assert_name(&fixture, 100, longest);
	fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/names/set", test_set);
	g_test_add_func("/names/drop", test_drop);
	g_test_add_func("/names/bind", test_bind);
	g_test_add_func("/names/inbox", test_inbox);
	g_test_add_func("/names/hostile", test_hostile);
	return g_test_run();
}
