/* What the tests of the state share: a directory of its own for each test, and crashes. */
#pragma once

#include "state/changes.h"
#include "state/names.h"
#include "state/spool.h"
#include "state/state.h"

#include <stdio.h>

#define EPOCH 1001u
#define FOLDER 101u
#define TARGET_EPOCH 1002u
#define TARGET 102u

struct fixture {
	char *dir;
	struct state *state;
};

static const struct state_box box_a = {FOLDER, EPOCH, "Box", 7};
static const struct state_box box_b = {TARGET, TARGET_EPOCH, "Other", 8};

static inline void fixture_run(const char *command)
{
	g_assert_cmpint(system(command), ==, 0);
}

static inline void fixture_open(struct fixture *fixture)
{
	g_autoptr(GError) error = NULL;

	fixture->state = state_open(fixture->dir, &error);
	g_assert_no_error(error);
	g_assert_nonnull(fixture->state);
}

static inline void fixture_bind(struct fixture *fixture)
{
	state_bind(fixture->state, &box_a, NULL, NULL);
	state_bind(fixture->state, &box_b, NULL, NULL);
}

static inline void fixture_init(struct fixture *fixture)
{
	fixture->dir = g_dir_make_tmp("mailfs-state-XXXXXX", NULL);
	g_assert_nonnull(fixture->dir);
	fixture_open(fixture);
}

static inline void fixture_clear(struct fixture *fixture)
{
	g_autofree char *command = g_strdup_printf("rm -rf '%s'", fixture->dir);

	state_close(&fixture->state);
	fixture_run(command);
	g_free(fixture->dir);
}

static inline void fixture_reopen(struct fixture *fixture)
{
	state_close(&fixture->state);
	fixture_open(fixture);
}

/* The directory as a killed process leaves it, opened anew, and bound. Copied by another process:
 * closing a file that SQLite has locked would unlock it. */
static inline void fixture_crash(struct fixture *fixture, bool bind)
{
	g_autofree char *copy = g_strconcat(fixture->dir, ".copy", NULL);
	g_autofree char *command = g_strdup_printf("cp -a '%s' '%s'", fixture->dir, copy);
	g_autofree char *swap =
		g_strdup_printf("rm -rf '%s' && mv '%s' '%s'", fixture->dir, copy, fixture->dir);

	fixture_run(command);
	state_close(&fixture->state);
	fixture_run(swap);
	fixture_open(fixture);
	if (bind)
		fixture_bind(fixture);
}
