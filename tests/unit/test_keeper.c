#include "base/error.h"
#include "base/limits.h"
#include "config/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *text(const char *value)
{
	return (char *)value;
}

static void look(struct keeper *keeper, enum keeper_secret which, const char *wanted)
{
	g_autoptr(GError) error = NULL;
	struct secret *secret = NULL;

	g_assert_true(keeper_find(keeper, which, NULL, &secret, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(secret ? secret_text(secret) : NULL, ==, wanted);
	secret_free(&secret);
}

static struct keeper *start(const struct account *account)
{
	g_autoptr(GError) error = NULL;
	/* The process has a copy. */
	const struct options options = {.account = *account};
	struct keeper *keeper = keeper_new(&options, &error);

	g_assert_no_error(error);
	g_assert_nonnull(keeper);
	return keeper;
}

static struct account account_new(const char *password, const char *submission, const char *token)
{
	return (struct account){
		.name = text("a@host"),
		.user = text("a"),
		.host = text("host"),
		.password_command = text(password),
		.token_command = text(token),
		.smtp = {.host = text("out"), .password_command = text(submission)}};
}

static void finds_each(void)
{
	struct account account = account_new("echo one", "echo two", "echo three");
	struct keeper *keeper = start(&account);

	for (int i = 0; i < 2; i++) {
		look(keeper, KEEPER_PASSWORD, "one");
		look(keeper, KEEPER_SMTP_PASSWORD, "two");
		look(keeper, KEEPER_TOKEN, "three");
	}
	keeper_free(&keeper);
	g_assert_null(keeper);
	keeper_free(&keeper);
}

static void says_that_there_is_none(void)
{
	struct account account = account_new("echo one", NULL, NULL);
	struct keeper *keeper = start(&account);

	look(keeper, KEEPER_SMTP_PASSWORD, NULL);
	keeper_free(&keeper);
}

static void says_what_is_wrong(void)
{
	struct account account = account_new("exit 3", NULL, NULL);
	struct keeper *keeper = start(&account);
	g_autoptr(GError) error = NULL;
	struct secret *secret = NULL;

	g_assert_false(keeper_find(keeper, KEEPER_PASSWORD, NULL, &secret, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
	g_assert_cmpstr(error->message, ==, "password_command failed with exit status 3");
	g_assert_null(secret);
	keeper_free(&keeper);
}

static void can_be_gone(void)
{
	struct account account = account_new("kill -9 $PPID; echo one", NULL, NULL);
	struct keeper *keeper = start(&account);
	struct secret *secret = NULL;

	for (int i = 0; i < 2; i++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(keeper_find(keeper, KEEPER_PASSWORD, NULL, &secret, &error));
		g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
		g_assert_nonnull(strstr(error->message, "is gone"));
	}
	keeper_free(&keeper);
}

static void *cancel(void *data)
{
	atomic_store((atomic_bool *)data, true);
	return NULL;
}

static void can_be_cancelled(void)
{
	struct account account = account_new("sleep 600", NULL, NULL);
	struct keeper *keeper = start(&account);
	g_autoptr(GError) error = NULL;
	struct secret *secret = NULL;
	atomic_bool cancelled = false;
	pthread_t thread;

	g_assert_cmpint(pthread_create(&thread, NULL, cancel, &cancelled), ==, 0);
	g_assert_false(keeper_find(keeper, KEEPER_PASSWORD, &cancelled, &secret, &error));
	pthread_join(thread, NULL);
	/* Waits for the end of the command. */
	keeper_free(&keeper);
}

/* As one that waits for a file server does. */
static void is_left_behind(void)
{
	struct account account = account_new(NULL, NULL, NULL);
	int fds[2];
	g_autofree char *command = NULL;
	char line[32] = "";
	struct keeper *keeper;
	atomic_bool cancelled = true;
	struct secret *secret = NULL;
	pid_t pid;

	g_assert_cmpint(pipe(fds), ==, 0);
	command = g_strdup_printf("kill -STOP $PPID; echo $PPID >/proc/%d/fd/%d", getpid(), fds[1]);
	account.password_command = command;
	keeper = start(&account);
	g_assert_false(keeper_find(keeper, KEEPER_PASSWORD, &cancelled, &secret, NULL));
	g_assert_cmpint(read(fds[0], line, sizeof(line) - 1), >, 0);
	pid = (pid_t)strtol(line, NULL, 10);
	keeper_free(&keeper);
	g_assert_null(keeper);
	g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
	close(fds[0]);
	close(fds[1]);
}

static void gives_no_half(void)
{
	g_autofree char *dir = g_dir_make_tmp("keeper-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, ".netrc", NULL);
	g_autofree char *fits = g_strnfill(LIMIT_SECRET, 'x');
	struct account account = account_new(NULL, NULL, NULL);
	struct keeper *keeper;

	g_setenv("HOME", dir, TRUE);
	keeper = start(&account);
	for (int more = 0; more < 2; more++) {
		g_autofree char *text =
			g_strdup_printf("default password %s%s\n", fits, more ? "y" : "");
		g_autoptr(GError) error = NULL;
		struct secret *secret = NULL;

		g_assert_true(g_file_set_contents_full(path, text, -1, 0, 0600, NULL));
		g_assert_cmpint(keeper_find(keeper, KEEPER_PASSWORD, NULL, &secret, &error), ==,
				!more);
		g_assert_cmpint(secret ? secret_len(secret) : 0, ==, more ? 0 : LIMIT_SECRET);
		if (more)
			g_assert_nonnull(strstr(error->message, "longer than"));
		secret_free(&secret);
	}
	keeper_free(&keeper);
	unlink(path);
	rmdir(dir);
	g_setenv("HOME", "/nonexistent", TRUE);
}

int main(int argc, char **argv)
{
	/* Nothing of this machine's services and files. */
	g_setenv("PATH", "/bin:/usr/bin", TRUE);
	g_setenv("HOME", "/nonexistent", TRUE);
	g_unsetenv("CREDENTIALS_DIRECTORY");
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/keeper/each", finds_each);
	g_test_add_func("/keeper/none", says_that_there_is_none);
	g_test_add_func("/keeper/wrong", says_what_is_wrong);
	g_test_add_func("/keeper/gone", can_be_gone);
	g_test_add_func("/keeper/cancelled", can_be_cancelled);
	g_test_add_func("/keeper/left", is_left_behind);
	g_test_add_func("/keeper/half", gives_no_half);
	return g_test_run();
}
