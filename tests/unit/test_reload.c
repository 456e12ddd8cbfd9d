#include "base/error.h"
#include "config/reload.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define WORK "[account work]\nimap = imaps://alice@imap.example.org\n"
#define MOVED "[account work]\nimap = imaps://alice@elsewhere.example.org\n"

struct world {
	char *dir;
	char *file;
	struct options options;
	struct reload *reload;
};

static void write_text(const struct world *world, const char *text)
{
	g_assert_true(g_file_set_contents_full(world->file, text, -1,
					       G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
}

/* As "mailfs -c mailfs.conf -o password_file=MORE work /mnt", written where the file is. */
static void world_init(struct world *world, const char *text, const char *more)
{
	g_autofree char *here = g_get_current_dir();
	char *argv[] = {(char *)"mailfs", (char *)"-c",	  (char *)"mailfs.conf", (char *)"-o",
			(char *)more,	  (char *)"work", (char *)"/mnt",	 NULL};
	g_autoptr(GError) error = NULL;

	*world = (struct world){.dir = g_dir_make_tmp("mailfs-reload-XXXXXX", NULL)};
	world->file = g_build_filename(world->dir, "mailfs.conf", NULL);
	write_text(world, text);
	g_assert_cmpint(chdir(world->dir), ==, 0);
	g_assert_cmpint(options_parse(&world->options, 7, argv, &error), ==, OPTIONS_RUN);
	g_assert_no_error(error);
	/* The daemon and its helpers are elsewhere. */
	g_assert_cmpint(chdir(here), ==, 0);
	world->reload = reload_new(&world->options);
}

static void world_clear(struct world *world)
{
	reload_free(&world->reload);
	options_clear(&world->options);
	g_unlink(world->file);
	g_rmdir(world->dir);
	g_free(world->file);
	g_free(world->dir);
}

/* `wanted`: behind the name of the file; NULL: nothing is told. */
static void check(struct world *world, const char *text, const char *wanted)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *told = NULL;
	g_autofree char *line = wanted ? g_strconcat(world->file, wanted, NULL) : NULL;

	write_text(world, text);
	reload_read(world->reload, &told, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(told, ==, line);
}

static void test_settings(void)
{
	struct world world;

	world_init(&world, WORK "poll = 10\ntimeout = 9\nxattr = yes\n", "names=uid");
	check(&world, WORK "poll = 10\ntimeout = 9\nxattr = yes\n", NULL);
	check(&world, "# moved\n[defaults]\npoll = 10\ntimeout=9\n" WORK "xattr = yes\n", NULL);
	check(&world, WORK "idle = Lists\ntimeout = 8\nnoatime = yes\nxattr = yes\n",
	      " was changed; from the next mount on: poll, timeout, idle, noatime");
	/* What the command line says weighs more. */
	check(&world, WORK "poll = 10\ntimeout = 9\nxattr = yes\nnames = label\n", NULL);
	check(&world, WORK "poll = 11\ntimeout = 9\nxattr = yes\n",
	      " was changed; from the next mount on: poll");
	g_assert_cmpuint(reload_account(world.reload)->timeout_s, ==, 9);
	world_clear(&world);
}

static void test_sources(void)
{
	struct world world;

	world_init(&world, WORK "password_command = one\n", "xattr");
	g_assert_cmpstr(reload_account(world.reload)->password_command, ==, "one");
	check(&world, WORK "password_command = two\npoll = 5\n",
	      " was changed; from now on: password_command; from the next mount on: poll");
	g_assert_cmpstr(reload_account(world.reload)->password_command, ==, "two");
	/* That is told once; what is to come, as long as it is. */
	check(&world, WORK "password_command = two\npoll = 5\n",
	      " was changed; from the next mount on: poll");
	check(&world, WORK "password = hunter2\n",
	      " was changed; from now on: password_command, password");
	g_assert_true(reload_account(world.reload)->password_in_file);
	check(&world, WORK "password = hunter3\n", NULL);
	world_clear(&world);
}

/* No server sees what is meant for another, and none gets something of another kind. */
static void test_elsewhere(void)
{
	static const char *const others[] = {
		MOVED "password_command = two\n",
		"[account work]\npop3 = pop3s://alice@imap.example.org\npassword_command = two\n",
		WORK "password_command = two\ntls_fingerprint = SHA256:"
		     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
		WORK "password_command = two\nauth = plain\n",
		WORK "password_command = two\nsmtp = smtps://smtp.example.org\n",
		WORK "oauth2_token_command = two\n",
	};
	struct world world;

	world_init(&world, WORK "password_command = one\n", "xattr");
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *told = NULL;

		write_text(&world, others[i]);
		g_assert_true(reload_read(world.reload, &told, &error));
		g_assert_nonnull(strstr(told, "from the next mount on: "));
		g_assert_nonnull(strstr(told, "_command"));
		g_assert_null(strstr(told, "from now on"));
		g_assert_cmpstr(reload_account(world.reload)->password_command, ==, "one");
		g_assert_cmpint(reload_has_moved(world.reload), ==, i + 1 < G_N_ELEMENTS(others));
	}
	check(&world, WORK "password_command = one\n", NULL);
	g_assert_false(reload_has_moved(world.reload));
	world_clear(&world);
}

static void check_broken(struct world *world, const char *text, const char *wanted)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *told = NULL;
	g_autofree char *line = g_strconcat(world->file, wanted, NULL);

	if (text)
		write_text(world, text);
	else
		g_assert_cmpint(g_unlink(world->file), ==, 0);
	g_assert_false(reload_read(world->reload, &told, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
	g_assert_true(strstr(error->message, line) || strstr(error->message, wanted));
	g_assert_null(told);
	g_assert_cmpstr(reload_account(world->reload)->password_command, ==, "two");
}

static void test_broken(void)
{
	struct world world;

	world_init(&world, WORK "password_command = one\n", "xattr");
	check(&world, WORK "password_command = two\n",
	      " was changed; from now on: password_command");
	check_broken(&world, WORK "pol = 3\n", ": [account work]: pol: unknown key, did you mean");
	check_broken(&world, WORK "poll\n", ":3: neither 'key = value' nor");
	check_broken(&world, "[account home]\nimap = imaps://a@h\n", ": no [account work] there");
	check_broken(&world, WORK "poll = 0\n", ": [account work]: poll: '0' is not a number");
	check_broken(&world, NULL, "No such file");
	check(&world, WORK "password_command = two\n", NULL);
	world_clear(&world);
}

/* Of the command line, which was written elsewhere. */
static void test_relative(void)
{
	struct world world;
	g_autofree char *path = NULL;

	world_init(&world, WORK "poll = 10\n", "password_file=secret");
	path = g_build_filename(world.dir, "secret", NULL);
	check(&world, WORK "poll = 10\n", NULL);
	g_assert_cmpstr(reload_account(world.reload)->password_file, ==, path);
	g_assert_true(reload_account(world.reload) != &world.options.account);
	world_clear(&world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/reload/settings", test_settings);
	g_test_add_func("/reload/sources", test_sources);
	g_test_add_func("/reload/elsewhere", test_elsewhere);
	g_test_add_func("/reload/broken", test_broken);
	g_test_add_func("/reload/relative", test_relative);
	return g_test_run();
}
