#include "base/error.h"
#include "config/keeper.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

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
	struct keeper *keeper = keeper_new(account, true, &error);

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
	return g_test_run();
}
