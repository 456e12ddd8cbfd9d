#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/limits.h"
#include "config/account.h"
#include "config/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define LONG_MS 60000
#define SHORT_MS 200

static char *home;

static void assert_secret(struct secret *secret, const char *want)
{
	g_assert_nonnull(secret);
	g_assert_cmpstr(secret_text(secret), ==, want);
	g_assert_cmpuint(secret_len(secret), ==, strlen(want));
	secret_free(&secret);
	g_assert_null(secret);
	secret_free(&secret);
}

static struct secret *from_command(const char *text, int timeout_ms, GError **error)
{
	const char *const argv[] = {"/bin/sh", "-c", text, NULL};

	return secret_from_command(&(struct secret_command){.what = "password_command",
							    .noun = "password",
							    .argv = argv,
							    .timeout_ms = timeout_ms},
				   error);
}

/* NULL without an error: there is none. */
static struct secret *find(const struct account *account, GError **error)
{
	struct secret *secret = NULL;

	secret_find(&(struct secret_search){.account = account}, &secret, error);
	return secret;
}

static struct secret *find_submission(const struct account *account, GError **error)
{
	struct secret *secret = NULL;

	secret_find_submission(&(struct secret_search){.account = account}, &secret, error);
	return secret;
}

static void test_memory(void)
{
	g_autofree char *big = g_strnfill(LIMIT_SECRET, 'x');

	assert_secret(secret_new("hunter2", 7), "hunter2");
	assert_secret(secret_new("hunter2", 3), "hun");
	assert_secret(secret_new(NULL, 0), "");
	assert_secret(secret_new(big, LIMIT_SECRET), big);
}

static void test_line(void)
{
	g_autoptr(GError) error = NULL;

	assert_secret(secret_from_line("a b\r\nc", 6, "x", NULL), "a b");
	assert_secret(secret_from_line("a\r", 2, "x", NULL), "a\r");
	assert_secret(secret_from_line(" a \n\n", 5, "x", NULL), " a ");
	assert_secret(secret_from_line("a\n\0", 3, "x", NULL), "a");
	g_assert_null(secret_from_line("\na", 2, "x", &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
	g_clear_error(&error);
	g_assert_null(secret_from_line("\r\na", 3, "x", NULL));
	g_assert_null(secret_from_line("", 0, "x", NULL));
	g_assert_null(secret_from_line("a\0b\n", 4, "x", &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
}

static void test_command(void)
{
	assert_secret(from_command("echo hunter2", LONG_MS, NULL), "hunter2");
	assert_secret(from_command("printf 'a b\\r\\nuser: x\\n'", LONG_MS, NULL), "a b");
	assert_secret(from_command("printf hunter2; cat", LONG_MS, NULL), "hunter2");
	/* Late output, in pieces. */
	assert_secret(from_command("printf a; sleep 0.05; printf 'b\\n'", LONG_MS, NULL), "ab");
	/* Closes its output before it ends. */
	assert_secret(from_command("echo a; exec >&-; sleep 0.05", LONG_MS, NULL), "a");
}

static void assert_command_fails(const char *command, int timeout_ms, int code, const char *part)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(from_command(command, timeout_ms, &error));
	g_assert_error(error, MAILFS_ERROR, code);
	g_assert_nonnull(strstr(error->message, part));
	g_assert_null(strstr(error->message, "hunter2"));
}

static void test_command_fails(void)
{
	assert_command_fails("echo hunter2; exit 3", LONG_MS, ERROR_CONFIG, "exit status 3");
	assert_command_fails("echo hunter2; kill -KILL $$", LONG_MS, ERROR_CONFIG, "signal 9");
	assert_command_fails("exec /nonexistent/hunter 2>/dev/null", LONG_MS, ERROR_CONFIG,
			     "exit status 127");
	assert_command_fails("true", LONG_MS, ERROR_CONFIG, "no password");
	assert_command_fails("echo; echo hunter2", LONG_MS, ERROR_CONFIG, "no password");
	assert_command_fails("printf 'hunter2\\000x\\n'", LONG_MS, ERROR_CONFIG, "NUL");
}

static void test_command_limit(void)
{
	for (int len = LIMIT_SECRET - 1; len <= LIMIT_SECRET; len++) {
		g_autofree char *command =
			g_strdup_printf("head -c %d /dev/zero | tr '\\000' x", len);
		g_autofree char *want = g_strnfill((gsize)len, 'x');

		assert_secret(from_command(command, LONG_MS, NULL), want);
	}
	assert_command_fails("yes hunter2", LONG_MS, ERROR_CONFIG, "more than 16384 bytes");
	{
		g_autofree char *command =
			g_strdup_printf("head -c %d /dev/zero | tr '\\000' x", LIMIT_SECRET + 1);

		assert_command_fails(command, LONG_MS, ERROR_CONFIG, "more than 16384 bytes");
	}
}

static bool process_is_gone(pid_t pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static pid_t pid_of(const char *path)
{
	g_autofree char *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return (pid_t)g_ascii_strtoll(text, NULL, 10);
}

/* At the deadline all of its processes end, also one that does not hold the pipe. */
static void test_command_deadline(void)
{
	g_autofree char *path = g_build_filename(home, "pid", NULL);
	g_autofree char *command = g_strdup_printf(
		"echo hunter2; sleep 1000 >/dev/null & echo $! > '%s'; sleep 1000", path);
	int64_t start_ms = clock_mono_ms();
	int64_t end_ms;

	assert_command_fails(command, SHORT_MS, ERROR_TIMEOUT, "1 seconds");
	assert_command_fails("exec >&-; sleep 1000", SHORT_MS, ERROR_TIMEOUT, "did not end");
	end_ms = clock_mono_ms();
	g_assert_cmpint(end_ms - start_ms, >=, 2 * SHORT_MS);
	g_assert_cmpint(end_ms - start_ms, <, LONG_MS);
	while (!process_is_gone(pid_of(path)) && clock_mono_ms() < end_ms + 10000)
		g_usleep(1000);
	g_unlink(path);
}

/* As who starts an agent that does not close what it inherits. It is left alone. */
static void test_command_leaves_one_behind(void)
{
	g_autofree char *path = g_build_filename(home, "pid", NULL);
	g_autofree char *command =
		g_strdup_printf("sleep 1000 & echo $! > '%s'; echo hunter2", path);

	assert_secret(from_command(command, LONG_MS, NULL), "hunter2");
	g_assert_cmpint(kill(pid_of(path), SIGKILL), ==, 0);
	g_unlink(path);
}

/* A command starts with an open mind: no ignored and no blocked signals, nothing on stdin, a group
 * of its own, and none of our descriptors. */
static void test_command_setting(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct sigaction saved_chld;
	struct sigaction saved_term;
	g_autofree char *command = NULL;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t blocked;
	sigset_t saved;

	sigaction(SIGCHLD, &ignore, &saved_chld);
	sigaction(SIGTERM, &ignore, &saved_term);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &blocked, &saved);
	assert_command_fails("kill -TERM $$; echo alive", LONG_MS, ERROR_CONFIG, "signal 15");
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	sigaction(SIGTERM, &saved_term, NULL);
	sigaction(SIGCHLD, NULL, &ignore);
	g_assert_true(ignore.sa_handler == SIG_IGN);
	sigaction(SIGCHLD, &saved_chld, NULL);

	command = g_strdup_printf("test ! -e /proc/self/fd/%d && test -z \"$(cat)\" && "
				  "set -- $(cat /proc/$$/stat) && test $5 = $$ && echo good",
				  fd);
	assert_secret(from_command(command, LONG_MS, NULL), "good");
	close(fd);
}

static void test_netrc(void)
{
	static const struct {
		const char *text;
		const char *password; /* NULL: none */
	} cases[] = {
		{"", NULL},
		{"machine", NULL},
		{"machine h", NULL},
		{"machine h login alice password", NULL},
		{"machine h login alice password pw", "pw"},
		{"machine h\n\tlogin alice\r\n\tpassword pw\r\n", "pw"},
		{"machine h password pw login alice", "pw"},
		{"machine h password pw", "pw"},
		{"machine H login alice password pw", "pw"},
		{"machine h login bob password pw", NULL},
		{"machine h login Alice password pw", NULL},
		{"machine other login alice password pw", NULL},
		{"machine h login bob password no\nmachine h login alice password pw", "pw"},
		{"machine h login alice password pw machine h login alice password no", "pw"},
		{"machine h login alice\nmachine h login alice password pw", "pw"},
		{"machine h login alice password \"\"\ndefault password pw", "pw"},
		{"machine other password no\ndefault login alice password pw", "pw"},
		{"default password pw\nmachine h login alice password no", "pw"},
		{"default login bob password no", NULL},
		{"machine h login \"alice\" password \"p w\\\"\\\\x\"", "p w\"\\x"},
		{"machine h login alice password \"open end", "open end"},
		{"machine h login alice password \"trailing\\", "trailing\\"},
		{"machine h login alice password p\"w", "p\"w"},
		{"# machine h password no\nmachine h # password no\nlogin alice password #pw",
		 "#pw"},
		{"machine h login alice account password password pw", "pw"},
		{"machine h port imaps login alice password pw", "pw"},
		{"macdef m\nmachine h password no\n\nmachine h login alice password pw", "pw"},
		{"macdef m\r\nmachine h password no\r\n\r\nmachine h password pw", "pw"},
		{"macdef m\nmachine h password no\n", NULL},
		{"machine h login alice password pw\nmacdef m\nlogin bob\n\n", "pw"},
		{"machine machine login alice password no", NULL},
		{"machine login login alice password password", NULL},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct secret *secret = secret_from_netrc(cases[i].text, "h", "alice");

		g_test_message("%s", cases[i].text);
		if (cases[i].password)
			assert_secret(secret, cases[i].password);
		else
			g_assert_null(secret);
	}
}

/* Whatever stands there, it is read to its end. */
static void test_netrc_random(void)
{
	static const char *const words[] = {"machine", "default", "login",  "password", "account",
					    "macdef",  "h",	  "alice",  "\"",	"\\",
					    "\n",      "\r\n",	  "\n\n",   "#",	" ",
					    "\t",      "\"a b\"", "\xff\n", "machine h"};
	GRand *rand = g_rand_new_with_seed(3);

	for (unsigned i = 0; i < 3000; i++) {
		g_autoptr(GString) text = g_string_new(NULL);
		struct secret *secret;

		for (gint32 left = g_rand_int_range(rand, 0, 40); left > 0; left--) {
			g_string_append(text,
					words[g_rand_int_range(rand, 0, G_N_ELEMENTS(words))]);
			if (g_rand_boolean(rand))
				g_string_append_c(text, ' ');
		}
		secret = secret_from_netrc(text->str, "h", "alice");
		if (secret)
			g_assert_cmpuint(secret_len(secret), <=, text->len);
		secret_free(&secret);
	}
	g_rand_free(rand);
}

static char *home_put(const char *name, const char *text, int mode)
{
	char *path = g_build_filename(home, name, NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_assert_cmpint(g_chmod(path, mode), ==, 0);
	return path;
}

static struct account account_of_alice(void)
{
	return (struct account){
		.name = (char *)"alice@h", .user = (char *)"alice", .host = (char *)"h"};
}

static void assert_not_found(const struct account *account, const char *part)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(find(account, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
	g_assert_nonnull(strstr(error->message, part));
	g_assert_null(strstr(error->message, "hunter2"));
}

static void assert_nothing(const struct account *account)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(find(account, &error));
	g_assert_no_error(error);
}

static void test_find_order(void)
{
	g_autofree char *netrc = home_put(".netrc", "machine h login alice password net\n", 0600);
	g_autofree char *file = home_put("password", "file\n", 0600);
	struct account account = account_of_alice();

	assert_secret(find(&account, NULL), "net");
	account.password_file = file;
	assert_secret(find(&account, NULL), "file");
	account.password_command = (char *)"echo command";
	assert_secret(find(&account, NULL), "command");
	/* A source that was named is not passed over when it fails. */
	account.password_command = (char *)"false";
	assert_not_found(&account, "exit status 1");
	g_unlink(netrc);
	g_unlink(file);
}

static void test_find_credential(void)
{
	g_autofree char *netrc = home_put(".netrc", "machine h login alice password net\n", 0600);
	g_autofree char *file = home_put("password", "file\n", 0600);
	struct account account = account_of_alice();

	g_setenv("CREDENTIALS_DIRECTORY", home, TRUE);
	assert_secret(find(&account, NULL), "net");
	/* With access lists the group's bits say nothing. */
	g_autofree char *credential = home_put("mailfs.password", "given\n", 0440);

	assert_secret(find(&account, NULL), "given");
	account.password_file = file;
	assert_secret(find(&account, NULL), "file");
	account.password_file = NULL;
	g_assert_true(g_file_set_contents(credential, "\nhunter2", -1, NULL));
	assert_not_found(&account, "no password in credential mailfs.password");
	g_unsetenv("CREDENTIALS_DIRECTORY");
	assert_secret(find(&account, NULL), "net");
	g_unlink(credential);
	g_unlink(netrc);
	g_unlink(file);
}

/* Those of an account of the configuration file come before those for all. */
static void test_find_credential_of_account(void)
{
	struct account account = account_of_alice();
	g_autofree char *all = home_put("mailfs.password", "all\n", 0400);
	g_autofree char *other = home_put("mailfs.home.password", "other\n", 0400);
	g_autofree char *smtp = home_put("mailfs.work.smtp_password", "smtp\n", 0400);

	account.smtp.host = (char *)"h";
	g_setenv("CREDENTIALS_DIRECTORY", home, TRUE);
	assert_secret(find(&account, NULL), "all");
	account.alias = (char *)"work";
	assert_secret(find(&account, NULL), "all");
	g_autofree char *work = home_put("mailfs.work.password", "work\n", 0400);
	assert_secret(find(&account, NULL), "work");
	assert_secret(find_submission(&account, NULL), "smtp");
	g_unsetenv("CREDENTIALS_DIRECTORY");
	g_unlink(all);
	g_unlink(other);
	g_unlink(smtp);
	g_unlink(work);
}

/* A Secret Service that says what it was asked; for "gone" it has nothing to say. */
static void test_find_service(void)
{
	g_autofree char *tool = home_put("secret-tool",
					 "#!/bin/sh\ncase $* in *gone*) echo hunter2; exit 1;; "
					 "esac\n"
					 "printf '%s' \"$*\"\n",
					 0700);
	g_autofree char *path = g_strdup(g_getenv("PATH"));
	g_autofree char *with = g_strdup_printf("%s:%s", home, path);
	g_autofree char *netrc = home_put(".netrc", "default password net\n", 0600);
	struct account account = account_of_alice();

	assert_secret(find(&account, NULL), "net");
	g_setenv("PATH", with, TRUE);
	assert_secret(find(&account, NULL), "lookup host h service imap user alice");
	account.protocol = ACCOUNT_POP3;
	account.user = (char *)"al ice; x";
	assert_secret(find(&account, NULL), "lookup host h service pop3 user al ice; x");
	account.smtp.host = (char *)"s";
	account.smtp.user = (char *)"bob";
	assert_secret(find_submission(&account, NULL), "lookup host s service smtp user bob");
	account.host = (char *)"gone";
	assert_secret(find(&account, NULL), "net");
	account.password_command = (char *)"echo command";
	assert_secret(find(&account, NULL), "command");
	g_setenv("PATH", path, TRUE);
	g_unlink(tool);
	g_unlink(netrc);
}

static struct secret *token_of(const char *command, GError **error)
{
	struct account account = account_of_alice();

	account.token_command = (char *)command;
	return secret_find_token(&(struct secret_search){.account = &account}, error);
}

static void assert_no_token(const char *command, const char *message)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(token_of(command, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
	g_assert_cmpstr(error->message, ==, message);
}

static void test_find_token(void)
{
	static const char no_token[] =
		"the first line that oauth2_token_command prints is no token";

	assert_secret(token_of("echo ya29.A0-_~+/==; echo expires: 3600", NULL), "ya29.A0-_~+/==");
	assert_no_token("echo '{\"error\": \"x\"}'", no_token);
	assert_no_token("printf 'a\\tb\\n'", no_token);
	assert_no_token("printf 't\\303\\266ken\\n'", no_token);
	assert_no_token("true", "oauth2_token_command printed no token");
	assert_no_token("exit 4", "oauth2_token_command failed with exit status 4");
}

/* Nothing but what password managers need; and who is meant. */
static void test_environment(void)
{
	struct account account = account_of_alice();

	account.smtp.host = (char *)"s";
	account.smtp.user = (char *)"bob";
	account.password_command = (char *)"echo $HOME,$LC_X,$XDG_X,$GNUPGHOME,$OTHER,"
					   "$CREDENTIALS_DIRECTORY,$MAILFS_ACCOUNT,$MAILFS_USER,"
					   "$MAILFS_HOST,$MAILFS_PROTOCOL";
	account.smtp.password_command = (char *)"echo $OTHER,$MAILFS_ACCOUNT,$MAILFS_USER,"
						"$MAILFS_HOST,$MAILFS_PROTOCOL";
	g_setenv("LC_X", "lc", TRUE);
	g_setenv("XDG_X", "xdg", TRUE);
	g_setenv("GNUPGHOME", "gnupg", TRUE);
	g_setenv("OTHER", "hunter2", TRUE);
	g_setenv("CREDENTIALS_DIRECTORY", "/hunter2", TRUE);
	g_setenv("MAILFS_USER", "mallory", TRUE);
	{
		g_autofree char *want =
			g_strdup_printf("%s,lc,xdg,gnupg,,,alice@h,alice,h,imap", home);

		assert_secret(find(&account, NULL), want);
	}
	account.alias = (char *)"work";
	account.protocol = ACCOUNT_POP3;
	account.password_command = (char *)"echo $MAILFS_ACCOUNT,$MAILFS_PROTOCOL";
	assert_secret(find(&account, NULL), "work,pop3");
	assert_secret(find_submission(&account, NULL), ",work,bob,s,smtp");
	g_unsetenv("LC_X");
	g_unsetenv("XDG_X");
	g_unsetenv("GNUPGHOME");
	g_unsetenv("OTHER");
	g_unsetenv("CREDENTIALS_DIRECTORY");
	g_unsetenv("MAILFS_USER");
}

static void test_find_file(void)
{
	g_autofree char *file = home_put("password", "hunter2\n", 0640);
	struct account account = account_of_alice();

	account.password_file = file;
	assert_not_found(&account, "can be read by others");
	g_assert_cmpint(g_chmod(file, 0400), ==, 0);
	assert_secret(find(&account, NULL), "hunter2");
	g_unlink(file);
	assert_not_found(&account, "password_file: ");
}

static void test_find_netrc(void)
{
	g_autofree char *netrc = home_put(".netrc", "machine h password hunter2\n", 0644);
	struct account account = account_of_alice();

	assert_not_found(&account, "can be read by others");
	account.host = (char *)"other";
	assert_nothing(&account);
	g_unlink(netrc);
	assert_nothing(&account);
}

/* It is the account's. */
static void assert_no_own(const struct account *account)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(find_submission(account, &error));
	g_assert_no_error(error);
}

static void assert_submission(const struct account *account, const char *want)
{
	assert_secret(find_submission(account, NULL), want);
}

static void test_find_submission(void)
{
	g_autofree char *netrc = home_put(".netrc",
					  "machine h login alice password imap\n"
					  "machine s login alice password net\n"
					  "machine s login bob password bobs\n",
					  0600);
	g_autofree char *file = home_put("password", "file\n", 0600);
	struct account account = account_of_alice();

	account.smtp.host = (char *)"other";
	assert_no_own(&account);
	account.smtp.host = (char *)"s";
	assert_submission(&account, "net");
	account.smtp.user = (char *)"bob";
	assert_submission(&account, "bobs");
	account.smtp.host = (char *)"h";
	assert_no_own(&account);
	/* The account's own password, which it may have from a better source. */
	account.smtp.user = NULL;
	assert_no_own(&account);
	g_unlink(netrc);

	g_setenv("CREDENTIALS_DIRECTORY", home, TRUE);
	g_autofree char *other = home_put("mailfs.password", "wrong\n", 0400);
	assert_no_own(&account);
	g_autofree char *credential = home_put("mailfs.smtp_password", "given\n", 0400);
	assert_submission(&account, "given");
	account.password_file = (char *)"/none";
	account.password_command = (char *)"echo wrong";
	assert_submission(&account, "given");
	account.smtp.password_file = file;
	assert_submission(&account, "file");
	account.smtp.password_command = (char *)"echo command";
	assert_submission(&account, "command");
	g_unsetenv("CREDENTIALS_DIRECTORY");
	g_unlink(other);
	g_unlink(credential);
	g_unlink(file);
}

static void assert_no_submission(const struct account *account, const char *part)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(find_submission(account, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
	if (!strstr(error->message, part))
		g_error("'%s' is not in: %s", part, error->message);
	g_assert_null(strstr(error->message, "hunter2"));
}

/* A source that was named is not passed over when it fails. */
static void test_find_submission_fails(void)
{
	g_autofree char *netrc = home_put(".netrc", "machine s password hunter2\n", 0644);
	g_autofree char *file = home_put("password", "hunter2\n", 0644);
	struct account account = account_of_alice();

	account.smtp.host = (char *)"s";
	assert_no_submission(&account, "can be read by others");
	account.smtp.password_file = file;
	assert_no_submission(&account, "smtp_password_file: ");
	account.smtp.password_command = (char *)"echo hunter2; false";
	assert_no_submission(&account, "exit status 1");
	g_unlink(netrc);
	g_unlink(file);
}

/* A user at the other end of a terminal. */
struct user {
	int fd;
	const char *types;
	bool echo_was_on;
	GString *saw;
};

static void *user_run(void *data)
{
	struct user *user = data;
	struct termios termios;
	char c;

	/* Types once asked, as people do. */
	while (!strstr(user->saw->str, "Password: ") && read(user->fd, &c, 1) == 1)
		g_string_append_c(user->saw, c);
	user->echo_was_on = tcgetattr(user->fd, &termios) == 0 && (termios.c_lflag & ECHO);
	if (write(user->fd, user->types, strlen(user->types)) < 0)
		return NULL;
	while (!strchr(user->saw->str, '\n') && read(user->fd, &c, 1) == 1)
		g_string_append_c(user->saw, c);
	return NULL;
}

static struct secret *ask(const char *types, GError **error)
{
	struct user user = {.types = types, .saw = g_string_new(NULL)};
	struct secret *secret;
	struct termios termios;
	pthread_t thread;
	int tty;

	g_assert_cmpint(openpty(&user.fd, &tty, NULL, NULL, NULL), ==, 0);
	g_assert_cmpint(pthread_create(&thread, NULL, user_run, &user), ==, 0);
	secret = secret_from_terminal(tty, "Password: ", error);
	pthread_join(thread, NULL);
	g_assert_cmpint(tcgetattr(tty, &termios), ==, 0);
	g_assert_true(termios.c_lflag & ECHO);
	g_assert_false(user.echo_was_on);
	g_assert_cmpstr(user.saw->str, ==, "Password: \r\n");
	close(tty);
	close(user.fd);
	g_string_free(user.saw, TRUE);
	return secret;
}

static void test_terminal(void)
{
	g_autoptr(GError) error = NULL;

	assert_secret(ask("hunter2\n", NULL), "hunter2");
	assert_secret(ask("hunter3\177"
			  "2\n",
			  NULL),
		      "hunter2");
	g_assert_null(ask("\n", &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
	g_clear_error(&error);
	g_assert_null(ask("\004", &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
}

static volatile sig_atomic_t signal_came;

static void signal_note(int number)
{
	signal_came = number;
}

/* A signal is delivered, but only after the echo is on again. */
static void test_terminal_signal(void)
{
	struct sigaction action = {.sa_handler = signal_note};
	struct sigaction saved;
	struct termios termios;
	g_autoptr(GError) error = NULL;
	sigset_t blocked;
	sigset_t mask;
	int master;
	int tty;

	g_assert_cmpint(openpty(&master, &tty, NULL, NULL, NULL), ==, 0);
	sigaction(SIGTERM, &action, &saved);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &blocked, &mask);
	raise(SIGTERM);
	g_assert_null(secret_from_terminal(tty, "Password: ", &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
	g_assert_nonnull(strstr(error->message, "interrupted"));
	g_assert_cmpint(tcgetattr(tty, &termios), ==, 0);
	g_assert_true(termios.c_lflag & ECHO);
	g_assert_cmpint(signal_came, ==, 0);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	g_assert_cmpint(signal_came, ==, SIGTERM);
	sigaction(SIGTERM, &saved, NULL);
	close(tty);
	close(master);
}

static void test_not_a_terminal(void)
{
	g_autoptr(GError) error = NULL;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	g_assert_null(secret_from_terminal(fd, "Password: ", &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
	close(fd);
}

int main(int argc, char **argv)
{
	int failed;

	g_test_init(&argc, &argv, NULL);
	home = g_dir_make_tmp("mailfs-test-XXXXXX", NULL);
	g_assert_nonnull(home);
	g_setenv("HOME", home, TRUE);
	g_unsetenv("CREDENTIALS_DIRECTORY");
	g_test_add_func("/secret/memory", test_memory);
	g_test_add_func("/secret/line", test_line);
	g_test_add_func("/secret/command", test_command);
	g_test_add_func("/secret/command-fails", test_command_fails);
	g_test_add_func("/secret/command-limit", test_command_limit);
	g_test_add_func("/secret/command-deadline", test_command_deadline);
	g_test_add_func("/secret/command-leaves-one-behind", test_command_leaves_one_behind);
	g_test_add_func("/secret/command-setting", test_command_setting);
	g_test_add_func("/secret/netrc", test_netrc);
	g_test_add_func("/secret/netrc-random", test_netrc_random);
	g_test_add_func("/secret/find-order", test_find_order);
	g_test_add_func("/secret/find-credential", test_find_credential);
	g_test_add_func("/secret/find-credential-of-account", test_find_credential_of_account);
	g_test_add_func("/secret/find-service", test_find_service);
	g_test_add_func("/secret/find-token", test_find_token);
	g_test_add_func("/secret/environment", test_environment);
	g_test_add_func("/secret/find-file", test_find_file);
	g_test_add_func("/secret/find-netrc", test_find_netrc);
	g_test_add_func("/secret/find-submission", test_find_submission);
	g_test_add_func("/secret/find-submission-fails", test_find_submission_fails);
	g_test_add_func("/secret/terminal", test_terminal);
	g_test_add_func("/secret/terminal-signal", test_terminal_signal);
	g_test_add_func("/secret/not-a-terminal", test_not_a_terminal);
	failed = g_test_run();
	file_remove_tree(home, NULL);
	g_free(home);
	return failed;
}
