#include "config/secret.h"

#include "base/error.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

enum answer { ANSWER_LINE, ANSWER_SIGNAL, ANSWER_FAILED };

/* Characters up to the line end, which counts too. */
static enum answer line_read(int tty, int signals, char *bytes, size_t *ret_len)
{
	size_t len = 0;

	while (len < LIMIT_SECRET) {
		struct pollfd fds[] = {{.fd = tty, .events = POLLIN},
				       {.fd = signals, .events = POLLIN}};
		ssize_t got;

		if (poll(fds, G_N_ELEMENTS(fds), -1) < 0) {
			if (errno == EINTR)
				continue;
			return ANSWER_FAILED;
		}
		if (fds[1].revents)
			return ANSWER_SIGNAL;
		got = read(tty, bytes + len, LIMIT_SECRET - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ANSWER_FAILED;
		len += (size_t)got;
		if (got == 0 || bytes[len - 1] == '\n') {
			*ret_len = len;
			return ANSWER_LINE;
		}
	}
	return ANSWER_FAILED;
}

static void tty_print(int tty, const char *text)
{
	if (write(tty, text, strlen(text)) < 0)
		return; /* the user will see that nothing is asked */
}

static enum answer line_ask(int tty, int signals, const char *prompt, char *bytes, size_t *ret_len)
{
	struct termios saved;
	struct termios silent;
	enum answer answer;

	if (tcgetattr(tty, &saved) != 0)
		return ANSWER_FAILED;
	silent = saved;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	silent.c_lflag |= ICANON | ISIG;
	if (tcsetattr(tty, TCSAFLUSH, &silent) != 0)
		return ANSWER_FAILED;
	tty_print(tty, prompt);
	answer = line_read(tty, signals, bytes, ret_len);
	tcsetattr(tty, TCSAFLUSH, &saved);
	tty_print(tty, "\n");
	return answer;
}

/* Signals that end or stop us wait until the echo is on again: they stay pending, unread, and come
 * when the mask is restored. */
static enum answer line_ask_blocked(int tty, const char *prompt, char *bytes, size_t *ret_len,
				    bool *ret_stopped)
{
	static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
	enum answer answer = ANSWER_FAILED;
	sigset_t blocked;
	sigset_t saved;
	int signals;

	sigemptyset(&blocked);
	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
		sigaddset(&blocked, numbers[i]);
	pthread_sigmask(SIG_BLOCK, &blocked, &saved);
	signals = signalfd(-1, &blocked, SFD_CLOEXEC);
	if (signals >= 0) {
		answer = line_ask(tty, signals, prompt, bytes, ret_len);
		close(signals);
	}
	sigpending(&blocked);
	*ret_stopped = sigismember(&blocked, SIGTSTP) == 1;
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return answer;
}

struct secret *secret_from_terminal(int tty, const char *prompt, GError **error)
{
	char *bytes = g_malloc(LIMIT_SECRET);
	struct secret *secret = NULL;
	enum answer answer;
	bool stopped;
	size_t len;

	/* Stopped and continued: asks again. */
	do
		answer = line_ask_blocked(tty, prompt, bytes, &len, &stopped);
	while (answer == ANSWER_SIGNAL && stopped);

	if (answer == ANSWER_LINE)
		secret = secret_from_line(bytes, len, "the answer", error);
	else
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
			    answer == ANSWER_SIGNAL ? "interrupted while asking for the password"
						    : "cannot ask for the password");
	explicit_bzero(bytes, LIMIT_SECRET);
	g_free(bytes);
	return secret;
}
