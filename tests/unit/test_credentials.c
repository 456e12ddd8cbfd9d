#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "config/auth.h"
#include "config/credentials.h"

#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* An account whose commands are here. */
struct world {
	char *dir;
	struct account account;
	struct credentials *credentials;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned wakes;
};

static void on_wake(void *data)
{
	struct world *world = data;

	pthread_mutex_lock(&world->lock);
	world->wakes++;
	pthread_cond_broadcast(&world->cond);
	pthread_mutex_unlock(&world->lock);
}

static void world_init(struct world *world)
{
	*world = (struct world){.account = {.name = (char *)"alice@h",
					    .user = (char *)"alice",
					    .host = (char *)"h"}};
	pthread_mutex_init(&world->lock, NULL);
	pthread_cond_init(&world->cond, NULL);
	world->dir = g_dir_make_tmp("mailfs-credentials-XXXXXX", NULL);
	g_setenv("HOME", world->dir, TRUE);
}

static void world_open(struct world *world)
{
	world->credentials = credentials_new(&world->account);
	credentials_watch(world->credentials, CREDENTIALS_MAILBOX, on_wake, world);
	credentials_watch(world->credentials, CREDENTIALS_SUBMISSION, on_wake, world);
}

static void world_clear(struct world *world)
{
	credentials_free(&world->credentials);
	g_assert_true(file_remove_tree(world->dir, NULL));
	g_free(world->dir);
	g_free(world->account.password_command);
	g_free(world->account.token_command);
	g_free(world->account.smtp.password_command);
	pthread_cond_destroy(&world->cond);
	pthread_mutex_destroy(&world->lock);
}

/* Prints "NAME 1", then "NAME 2" and so on, without the blank. */
static char *counting(const struct world *world, const char *name)
{
	return g_strdup_printf("cd '%s'; echo >>%s; echo %s$(wc -l <%s)", world->dir, name, name,
			       name);
}

static void find(struct world *world)
{
	g_autoptr(GError) error = NULL;

	credentials_find(world->credentials, false, true, &error);
	g_assert_no_error(error);
}

/* As who has to wait does. */
static enum credentials_answer begin(struct world *world, enum credentials_side side,
				     const struct credential **ret, GError **error)
{
	enum credentials_answer answer;
	unsigned wakes;

	for (;;) {
		pthread_mutex_lock(&world->lock);
		wakes = world->wakes;
		pthread_mutex_unlock(&world->lock);
		answer = credentials_begin(world->credentials, side, ret, error);
		if (answer != CREDENTIALS_WAIT)
			return answer;
		pthread_mutex_lock(&world->lock);
		while (world->wakes == wakes)
			pthread_cond_wait(&world->cond, &world->lock);
		pthread_mutex_unlock(&world->lock);
	}
}

static const struct credential *go(struct world *world, enum credentials_side side)
{
	g_autoptr(GError) error = NULL;
	const struct credential *credential;
	enum credentials_answer answer = begin(world, side, &credential, &error);

	g_assert_no_error(error);
	g_assert_cmpint(answer, ==, CREDENTIALS_GO);
	return credential;
}

static void stops(struct world *world, enum credentials_side side, int code, const char *message)
{
	g_autoptr(GError) error = NULL;
	const struct credential *credential;

	g_assert_cmpint(begin(world, side, &credential, &error), ==, CREDENTIALS_STOP);
	g_assert_null(credential);
	g_assert_error(error, MAILFS_ERROR, code);
	g_assert_cmpstr(error->message, ==, message);
}

static void waits(struct world *world, enum credentials_side side)
{
	const struct credential *credential;

	g_assert_cmpint(credentials_begin(world->credentials, side, &credential, NULL), ==,
			CREDENTIALS_WAIT);
	g_assert_null(credential);
}

/* `code` -1: it was taken. */
static bool ends(struct world *world, enum credentials_side side, const struct credential **ret,
		 int code)
{
	g_autoptr(GError) error =
		code < 0 ? NULL : g_error_new(MAILFS_ERROR, code, "login refused");
	bool again = credentials_end(world->credentials, side, ret, error);

	g_assert_null(*ret);
	return again;
}

static bool logs_in(struct world *world, enum credentials_side side, const char *password,
		    const char *token, int code)
{
	const struct credential *credential = go(world, side);

	g_assert_cmpstr(credential->password ? secret_text(credential->password) : NULL, ==,
			password);
	g_assert_cmpstr(credential->token ? secret_text(credential->token) : NULL, ==, token);
	return ends(world, side, &credential, code);
}

static void test_nothing(void)
{
	struct world world;
	const struct credential *credential;

	g_assert_cmpint(credentials_begin(NULL, CREDENTIALS_MAILBOX, &credential, NULL), ==,
			CREDENTIALS_GO);
	g_assert_null(credential);
	g_assert_false(credentials_end(NULL, CREDENTIALS_MAILBOX, &credential, NULL));
	credentials_renew(NULL);

	world_init(&world);
	world.account.auth = AUTH_EXTERNAL;
	world.account.password_command = g_strdup("false");
	world_open(&world);
	find(&world);
	logs_in(&world, CREDENTIALS_MAILBOX, NULL, NULL, -1);
	world_clear(&world);
}

/* Found once, and kept. */
static void test_password(void)
{
	struct world world;

	world_init(&world);
	world.account.password_command = counting(&world, "p");
	world_open(&world);
	find(&world);
	for (int i = 0; i < 3; i++)
		g_assert_false(logs_in(&world, CREDENTIALS_MAILBOX, "p1", NULL, -1));
	g_assert_false(logs_in(&world, CREDENTIALS_MAILBOX, "p1", NULL, ERROR_UNREACHABLE));
	g_assert_false(logs_in(&world, CREDENTIALS_MAILBOX, "p1", NULL, ERROR_TEMPORARY));
	g_assert_false(logs_in(&world, CREDENTIALS_MAILBOX, "p1", NULL, ERROR_NO_LOGIN));
	credentials_renew(world.credentials);
	logs_in(&world, CREDENTIALS_MAILBOX, "p2", NULL, -1);
	world_clear(&world);
}

static void test_refused(void)
{
	struct world world;

	world_init(&world);
	world.account.password_command = counting(&world, "p");
	world_open(&world);
	find(&world);
	logs_in(&world, CREDENTIALS_MAILBOX, "p1", NULL, -1);
	g_assert_false(logs_in(&world, CREDENTIALS_MAILBOX, "p1", NULL, ERROR_AUTH));
	for (int i = 0; i < 3; i++)
		stops(&world, CREDENTIALS_MAILBOX, ERROR_AUTH, "login refused");
	credentials_renew(world.credentials);
	logs_in(&world, CREDENTIALS_MAILBOX, "p2", NULL, -1);
	world_clear(&world);
}

static void check_below(struct world *world, enum credentials_side side, unsigned below,
			const char *mechanism)
{
	const struct credential *credential = go(world, side);

	g_assert_cmphex(credential->below, ==, below);
	credentials_taken(world->credentials, side, &credential, mechanism);
	g_assert_null(credential);
}

/* Each server by itself, and for good. */
static void test_below(void)
{
	struct world world;
	unsigned below = auth_below(AUTH_SCRAM_SHA_256);
	unsigned more = below | auth_below(AUTH_SCRAM_SHA_1_PLUS);

	world_init(&world);
	world.account.password_command = counting(&world, "p");
	world.account.smtp.host = g_strdup("smtp.example.org");
	world.account.smtp.user = g_strdup("alice");
	world_open(&world);
	find(&world);
	check_below(&world, CREDENTIALS_MAILBOX, 0, NULL);
	check_below(&world, CREDENTIALS_MAILBOX, 0, "USER");
	check_below(&world, CREDENTIALS_MAILBOX, 0, "PLAIN");
	check_below(&world, CREDENTIALS_MAILBOX, 0, "SCRAM-SHA-256");
	check_below(&world, CREDENTIALS_SUBMISSION, 0, "LOGIN");
	check_below(&world, CREDENTIALS_MAILBOX, below, "SCRAM-SHA-1-PLUS");
	credentials_renew(world.credentials);
	check_below(&world, CREDENTIALS_MAILBOX, more, "EXTERNAL");
	check_below(&world, CREDENTIALS_MAILBOX, more, NULL);
	world_clear(&world);
}

/* Two servers, one password: the mailbox is asked first, and what it refuses is not shown to the
 * other. */
static void test_one_at_a_time(void)
{
	struct world world;
	const struct credential *mailbox;

	world_init(&world);
	world.account.password_command = counting(&world, "p");
	world.account.smtp.host = (char *)"s";
	world_open(&world);
	find(&world);
	mailbox = go(&world, CREDENTIALS_MAILBOX);
	waits(&world, CREDENTIALS_SUBMISSION);
	ends(&world, CREDENTIALS_MAILBOX, &mailbox, ERROR_TIMEOUT);
	g_assert_cmpuint(world.wakes, >, 0);
	mailbox = go(&world, CREDENTIALS_SUBMISSION);
	waits(&world, CREDENTIALS_MAILBOX);
	ends(&world, CREDENTIALS_SUBMISSION, &mailbox, ERROR_TIMEOUT);
	logs_in(&world, CREDENTIALS_MAILBOX, "p1", NULL, ERROR_AUTH);
	stops(&world, CREDENTIALS_SUBMISSION, ERROR_AUTH, "h refused the same password");
	credentials_renew(world.credentials);
	/* What one of them has taken both may try at the same time. */
	logs_in(&world, CREDENTIALS_MAILBOX, "p2", NULL, -1);
	mailbox = go(&world, CREDENTIALS_MAILBOX);
	logs_in(&world, CREDENTIALS_SUBMISSION, "p2", NULL, ERROR_AUTH);
	stops(&world, CREDENTIALS_SUBMISSION, ERROR_AUTH, "login refused");
	ends(&world, CREDENTIALS_MAILBOX, &mailbox, -1);
	logs_in(&world, CREDENTIALS_MAILBOX, "p2", NULL, -1);
	world_clear(&world);
}

static void test_submission_own(void)
{
	struct world world;

	world_init(&world);
	world.account.password_command = counting(&world, "p");
	world.account.smtp.host = (char *)"s";
	world.account.smtp.password_command = counting(&world, "s");
	world_open(&world);
	find(&world);
	logs_in(&world, CREDENTIALS_MAILBOX, "p1", NULL, ERROR_AUTH);
	logs_in(&world, CREDENTIALS_SUBMISSION, "s1", NULL, -1);
	world_clear(&world);

	/* The account needs none itself. */
	world_init(&world);
	world.account.auth = AUTH_EXTERNAL;
	world.account.password_command = counting(&world, "p");
	world.account.smtp.host = (char *)"s";
	world.account.smtp.auth = AUTH_PLAIN;
	world_open(&world);
	find(&world);
	logs_in(&world, CREDENTIALS_MAILBOX, NULL, NULL, -1);
	logs_in(&world, CREDENTIALS_SUBMISSION, "p1", NULL, -1);
	world_clear(&world);
}

/* It may have expired: once. */
static void test_token(void)
{
	struct world world;

	world_init(&world);
	world.account.token_command = counting(&world, "t");
	world.account.password_command = NULL;
	world.account.smtp.host = (char *)"s";
	world_open(&world);
	find(&world);
	g_assert_true(logs_in(&world, CREDENTIALS_MAILBOX, NULL, "t1", ERROR_AUTH));
	logs_in(&world, CREDENTIALS_MAILBOX, NULL, "t2", -1);
	g_assert_true(logs_in(&world, CREDENTIALS_MAILBOX, NULL, "t2", ERROR_AUTH));
	/* The other server has use for the new one, too. */
	logs_in(&world, CREDENTIALS_SUBMISSION, NULL, "t3", -1);
	g_assert_false(logs_in(&world, CREDENTIALS_MAILBOX, NULL, "t3", ERROR_AUTH));
	stops(&world, CREDENTIALS_MAILBOX, ERROR_AUTH, "login refused");
	logs_in(&world, CREDENTIALS_SUBMISSION, NULL, "t3", -1);
	credentials_renew(world.credentials);
	logs_in(&world, CREDENTIALS_MAILBOX, NULL, "t4", -1);
	world_clear(&world);
}

/* Two that were refused the same one need one new one. */
static void test_token_single_flight(void)
{
	struct world world;
	const struct credential *one, *two;

	world_init(&world);
	world.account.token_command = counting(&world, "t");
	world.account.smtp.host = (char *)"s";
	world_open(&world);
	find(&world);
	logs_in(&world, CREDENTIALS_MAILBOX, NULL, "t1", -1);
	one = go(&world, CREDENTIALS_MAILBOX);
	two = go(&world, CREDENTIALS_SUBMISSION);
	g_assert_true(ends(&world, CREDENTIALS_MAILBOX, &one, ERROR_AUTH));
	one = go(&world, CREDENTIALS_MAILBOX);
	g_assert_cmpstr(secret_text(one->token), ==, "t2");
	/* What it borrowed is still there. */
	g_assert_cmpstr(secret_text(two->token), ==, "t1");
	g_assert_true(ends(&world, CREDENTIALS_SUBMISSION, &two, ERROR_AUTH));
	ends(&world, CREDENTIALS_MAILBOX, &one, -1);
	logs_in(&world, CREDENTIALS_SUBMISSION, NULL, "t2", -1);
	world_clear(&world);
}

/* As many connections as a mailbox has may be refused the same one. */
static void test_token_of_several(void)
{
	struct world world;
	const struct credential *late[3], *next;

	world_init(&world);
	world.account.token_command = counting(&world, "t");
	world_open(&world);
	find(&world);
	logs_in(&world, CREDENTIALS_MAILBOX, NULL, "t1", -1);
	for (size_t i = 0; i < G_N_ELEMENTS(late); i++)
		late[i] = go(&world, CREDENTIALS_MAILBOX);
	g_assert_true(ends(&world, CREDENTIALS_MAILBOX, &late[0], ERROR_AUTH));
	g_assert_true(ends(&world, CREDENTIALS_MAILBOX, &late[1], ERROR_AUTH));
	next = go(&world, CREDENTIALS_MAILBOX);
	g_assert_cmpstr(secret_text(next->token), ==, "t2");
	ends(&world, CREDENTIALS_MAILBOX, &next, -1);
	g_assert_true(ends(&world, CREDENTIALS_MAILBOX, &late[2], ERROR_AUTH));
	g_assert_true(logs_in(&world, CREDENTIALS_MAILBOX, NULL, "t2", ERROR_AUTH));
	g_assert_false(logs_in(&world, CREDENTIALS_MAILBOX, NULL, "t3", ERROR_AUTH));
	stops(&world, CREDENTIALS_MAILBOX, ERROR_AUTH, "login refused");
	world_clear(&world);
}

/* One connection too many says nothing about a password. */
static void test_beside(void)
{
	g_autoptr(GError) refused = g_error_new(MAILFS_ERROR, ERROR_AUTH, "too many");
	struct world world;
	const struct credential *credential;

	world_init(&world);
	world.account.password_command = counting(&world, "p");
	world_open(&world);
	find(&world);
	logs_in(&world, CREDENTIALS_MAILBOX, "p1", NULL, -1);
	credential = go(&world, CREDENTIALS_MAILBOX);
	g_assert_false(credentials_end_beside(world.credentials, CREDENTIALS_MAILBOX, &credential,
					      refused));
	logs_in(&world, CREDENTIALS_MAILBOX, "p1", NULL, -1);
	world_clear(&world);

	world_init(&world);
	world.account.token_command = counting(&world, "t");
	world_open(&world);
	find(&world);
	logs_in(&world, CREDENTIALS_MAILBOX, NULL, "t1", -1);
	credential = go(&world, CREDENTIALS_MAILBOX);
	g_assert_true(credentials_end_beside(world.credentials, CREDENTIALS_MAILBOX, &credential,
					     refused));
	credential = go(&world, CREDENTIALS_MAILBOX);
	g_assert_false(credentials_end_beside(world.credentials, CREDENTIALS_MAILBOX, &credential,
					      refused));
	logs_in(&world, CREDENTIALS_MAILBOX, NULL, "t2", -1);
	world_clear(&world);
}

/* What cannot be found anew stays, if it is known to be good. */
static void test_renew_fails(void)
{
	struct world world;

	world_init(&world);
	world.account.password_command =
		g_strdup_printf("test -e '%s/locked' && exit 3; echo p", world.dir);
	g_autofree char *locked = g_build_filename(world.dir, "locked", NULL);
	world_open(&world);
	find(&world);
	logs_in(&world, CREDENTIALS_MAILBOX, "p", NULL, -1);
	g_assert_true(g_file_set_contents(locked, "", 0, NULL));
	credentials_renew(world.credentials);
	logs_in(&world, CREDENTIALS_MAILBOX, "p", NULL, ERROR_AUTH);
	credentials_renew(world.credentials);
	stops(&world, CREDENTIALS_MAILBOX, ERROR_AUTH,
	      "password_command failed with exit status 3");
	stops(&world, CREDENTIALS_MAILBOX, ERROR_AUTH,
	      "password_command failed with exit status 3");
	g_unlink(locked);
	credentials_renew(world.credentials);
	logs_in(&world, CREDENTIALS_MAILBOX, "p", NULL, -1);
	world_clear(&world);
}

/* The net may be away: each try asks again. */
static void test_token_fails(void)
{
	struct world world;
	g_autofree char *there = NULL;

	world_init(&world);
	there = g_build_filename(world.dir, "there", NULL);
	world.account.token_command = g_strdup_printf("test -e '%s' && echo t", there);
	world_open(&world);
	for (int i = 0; i < 2; i++)
		stops(&world, CREDENTIALS_MAILBOX, ERROR_TEMPORARY,
		      "oauth2_token_command failed with exit status 1");
	g_assert_true(g_file_set_contents(there, "", 0, NULL));
	logs_in(&world, CREDENTIALS_MAILBOX, NULL, "t", -1);
	world_clear(&world);
}

static void test_start_fails(void)
{
	g_autoptr(GError) error = NULL;
	struct world world;

	world_init(&world);
	world_open(&world);
	g_assert_false(credentials_find(world.credentials, false, true, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
	g_assert_cmpstr(error->message, ==,
			"no password for alice@h: give password_command or password_file, or add "
			"it to ~/.netrc");
	world_clear(&world);

	g_clear_error(&error);
	world_init(&world);
	world.account.token_command = g_strdup("exit 3");
	world_open(&world);
	g_assert_true(credentials_find(world.credentials, false, false, NULL));
	g_assert_false(credentials_find(world.credentials, false, true, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
	world_clear(&world);
}

/* A wish that comes while an older one is looked for is not lost; a refusal of what was there
 * before the wish does not count. */
static void test_renew_meanwhile(void)
{
	struct world world;
	const struct credential *credential;
	g_autofree char *go_on = NULL;

	world_init(&world);
	go_on = g_build_filename(world.dir, "go", NULL);
	world.account.password_command =
		g_strdup_printf("cd '%s'; echo >>n; test $(wc -l <n) = 2 && "
				"while ! test -e go; do sleep 0.01; done; echo p$(wc -l <n)",
				world.dir);
	world_open(&world);
	find(&world);
	credential = go(&world, CREDENTIALS_MAILBOX);
	credentials_renew(world.credentials);
	g_assert_true(ends(&world, CREDENTIALS_MAILBOX, &credential, ERROR_AUTH));
	waits(&world, CREDENTIALS_MAILBOX);
	for (;;) {
		g_autofree char *text = NULL;
		g_autofree char *n = g_build_filename(world.dir, "n", NULL);

		if (g_file_get_contents(n, &text, NULL, NULL) && strlen(text) == 2)
			break;
		g_usleep(1000);
	}
	credentials_renew(world.credentials);
	g_assert_true(g_file_set_contents(go_on, "", 0, NULL));
	logs_in(&world, CREDENTIALS_MAILBOX, "p3", NULL, -1);
	world_clear(&world);
}

/* Nobody waits for a command when all is over. */
static void test_end_of_hanging_command(void)
{
	struct world world;
	int64_t start_ms = clock_mono_ms();

	world_init(&world);
	world.account.token_command = g_strdup("sleep 1000");
	world_open(&world);
	waits(&world, CREDENTIALS_MAILBOX);
	waits(&world, CREDENTIALS_MAILBOX);
	world_clear(&world);
	g_assert_cmpint(clock_mono_ms() - start_ms, <, 50000);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_unsetenv("CREDENTIALS_DIRECTORY");
	g_test_add_func("/credentials/nothing", test_nothing);
	g_test_add_func("/credentials/password", test_password);
	g_test_add_func("/credentials/refused", test_refused);
	g_test_add_func("/credentials/below", test_below);
	g_test_add_func("/credentials/one-at-a-time", test_one_at_a_time);
	g_test_add_func("/credentials/submission-own", test_submission_own);
	g_test_add_func("/credentials/token", test_token);
	g_test_add_func("/credentials/token-single-flight", test_token_single_flight);
	g_test_add_func("/credentials/token-of-several", test_token_of_several);
	g_test_add_func("/credentials/beside", test_beside);
	g_test_add_func("/credentials/renew-fails", test_renew_fails);
	g_test_add_func("/credentials/renew-meanwhile", test_renew_meanwhile);
	g_test_add_func("/credentials/token-fails", test_token_fails);
	g_test_add_func("/credentials/start-fails", test_start_fails);
	g_test_add_func("/credentials/end-of-hanging-command", test_end_of_hanging_command);
	return g_test_run();
}
