#include "config/secret.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_STEP_MS 10
#define READ_STEP_MS 100

enum output { OUTPUT_COMPLETE, OUTPUT_LATE, OUTPUT_TOO_LONG, OUTPUT_FAILED };

/* The command has a process group of its own: a signal that ends us must end it first. So these
 * are held back while it runs. */
static void ending_signals(sigset_t *ret_set)
{
	static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

	sigemptyset(ret_set);
	for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
		struct sigaction action;

		sigaction(numbers[i], NULL, &action);
		if (action.sa_handler != SIG_IGN)
			sigaddset(ret_set, numbers[i]);
	}
}

static bool is_ending(void)
{
	sigset_t pending, ending;

	ending_signals(&ending);
	sigpending(&pending);
	sigandset(&pending, &pending, &ending);
	return !sigisemptyset(&pending);
}

/* Behind threads signals are other people's business: they say it by a flag. */
static bool is_cancelled(const struct secret_command *command)
{
	return command->cancelled ? atomic_load(command->cancelled) : is_ending();
}

static int child_spawn(const struct secret_command *command, int out_fd, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t signals;
	int number;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (command->quiet)
		posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);

	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	sigemptyset(&signals);
	posix_spawnattr_setsigmask(&attr, &signals);
	sigfillset(&signals);
	posix_spawnattr_setsigdefault(&attr, &signals);

	number = posix_spawnp(ret_pid, command->argv[0], &actions, &attr,
			      (char *const *)command->argv,
			      command->environment ? command->environment : environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return number;
}

static bool child_has_ended(pid_t pid)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == pid;
}

/* Reads to the end, or until the command has ended: what it leaves behind, such as an agent, may
 * keep its output open for ever. `bytes` has room for LIMIT_SECRET and one more. */
static enum output output_read(const struct secret_command *command, pid_t pid, int fd,
			       int64_t deadline_ms, char *bytes, size_t *ret_len)
{
	size_t len = 0;

	while (len <= LIMIT_SECRET) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		int64_t left_ms = deadline_ms - clock_mono_ms();
		bool ended = child_has_ended(pid);
		int ready = 0;
		ssize_t got = 0;

		if (left_ms <= 0 || is_cancelled(command))
			return OUTPUT_LATE;
		ready = poll(&poll_fd, 1, ended ? 0 : (int)MIN(left_ms, READ_STEP_MS));
		if (ready > 0)
			got = read(fd, bytes + len, LIMIT_SECRET + 1 - len);
		if ((ready < 0 || got < 0) && errno != EINTR)
			return OUTPUT_FAILED;
		if ((ready > 0 && got == 0) || (ready == 0 && ended)) {
			*ret_len = len;
			return OUTPUT_COMPLETE;
		}
		if (got > 0)
			len += (size_t)got;
	}
	return OUTPUT_TOO_LONG;
}

/* A command may close its output and go on. False at the deadline, or if we are
 * to end. */
static bool child_wait(const struct secret_command *command, pid_t pid, int64_t deadline_ms,
		       int *ret_status)
{
	pid_t done;

	while ((done = waitpid(pid, ret_status, WNOHANG)) == 0 || (done < 0 && errno == EINTR)) {
		if (clock_mono_ms() >= deadline_ms || is_cancelled(command))
			return false;
		poll(NULL, 0, WAIT_STEP_MS);
	}
	return done == pid;
}

static void child_kill(pid_t pid)
{
	kill(-pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static bool command_fail(const struct secret_command *command, int code, GError **error,
			 const char *format, ...) G_GNUC_PRINTF(4, 5);

static bool command_fail(const struct secret_command *command, int code, GError **error,
			 const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(error, MAILFS_ERROR, code, "%s %s", command->what, text);
	return false;
}

static bool status_check(const struct secret_command *command, int status, GError **error)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (WIFEXITED(status))
		return command_fail(command, ERROR_CONFIG, error, "failed with exit status %d",
				    WEXITSTATUS(status));
	return command_fail(command, ERROR_CONFIG, error, "was killed by signal %d",
			    WTERMSIG(status));
}

/* The output in `bytes`, once the command has ended well. */
static bool child_finish(const struct secret_command *command, pid_t pid, int fd, char *bytes,
			 size_t *ret_len, GError **error)
{
	int64_t deadline_ms = clock_mono_ms() + command->timeout_ms;
	enum output output = output_read(command, pid, fd, deadline_ms, bytes, ret_len);
	int status;

	if (output == OUTPUT_COMPLETE && child_wait(command, pid, deadline_ms, &status))
		return status_check(command, status, error);
	child_kill(pid);
	if (output == OUTPUT_TOO_LONG)
		return command_fail(command, ERROR_CONFIG, error, "printed more than %d bytes",
				    LIMIT_SECRET);
	if (output == OUTPUT_FAILED)
		return command_fail(command, ERROR_CONFIG, error, "could not be read");
	return command_fail(command, ERROR_TIMEOUT, error, "did not end within %d seconds",
			    (command->timeout_ms + 999) / 1000);
}

static bool child_run(const struct secret_command *command, char *bytes, size_t *ret_len,
		      GError **error)
{
	int fds[2];
	int number;
	pid_t pid;
	bool ok;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return command_fail(command, ERROR_CONFIG, error, "cannot be started: %s",
				    g_strerror(errno));
	number = child_spawn(command, fds[1], &pid);
	close(fds[1]);
	if (number == 0)
		ok = child_finish(command, pid, fds[0], bytes, ret_len, error);
	else
		ok = command_fail(command, ERROR_CONFIG, error, "cannot be started: %s",
				  g_strerror(number));
	close(fds[0]);
	return ok;
}

/* While there is no other thread. */
static bool child_run_alone(const struct secret_command *command, char *bytes, size_t *ret_len,
			    GError **error)
{
	struct sigaction saved;
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t ending, saved_mask;
	bool ok;

	/* If our parent ignored SIGCHLD, there would be no exit status. */
	sigaction(SIGCHLD, &plain, &saved);
	ending_signals(&ending);
	pthread_sigmask(SIG_BLOCK, &ending, &saved_mask);
	ok = child_run(command, bytes, ret_len, error);
	pthread_sigmask(SIG_SETMASK, &saved_mask, NULL);
	sigaction(SIGCHLD, &saved, NULL);
	return ok;
}

struct secret *secret_from_command(const struct secret_command *command, GError **error)
{
	g_autofree char *what = g_strdup_printf("the output of %s", command->what);
	char *bytes = g_malloc(LIMIT_SECRET + 1);
	struct secret *secret = NULL;
	size_t len = 0;
	bool ok = command->cancelled ? child_run(command, bytes, &len, error)
				     : child_run_alone(command, bytes, &len, error);

	if (ok && (len == 0 || *bytes == '\n'))
		command_fail(command, ERROR_CONFIG, error, "printed no %s", command->noun);
	else if (ok)
		secret = secret_from_line(bytes, len, what, error);
	explicit_bzero(bytes, LIMIT_SECRET + 1);
	g_free(bytes);
	return secret;
}
