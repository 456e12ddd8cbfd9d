#include "config/keeper.h"

#include "base/child.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "config/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "mailfs-keeper"
#define RELOAD (KEEPER_TOKEN + 1) /* asked for like a secret */
#define WAIT_STEP_MS 100
/* What it reads may lie on a file server that is gone, and there are things that cannot be killed:
 * the daemon does not wait for those. */
#define END_MS 5000
#define END_SLACK_MS 1000
/* Room for what secret_from_line() lets pass, and for messages. */
#define TEXT_MAX (LIMIT_SECRET + 1)

/* A secret (or a text), none, or why not. */
enum answer_kind { ANSWER_SECRET, ANSWER_NONE, ANSWER_ERROR };

struct answer {
	enum answer_kind kind;
	int code; /* of ANSWER_ERROR */
	size_t len;
	char text[TEXT_MAX]; /* that much of it */
};

struct keeper {
	pid_t pid;
	int fd;
};

static bool look(const struct secret_search *search, enum keeper_secret which,
		 struct secret **ret_secret, GError **error)
{
	switch (which) {
	case KEEPER_PASSWORD:
		return secret_find(search, ret_secret, error);
	case KEEPER_SMTP_PASSWORD:
		return secret_find_submission(search, ret_secret, error);
	case KEEPER_TOKEN:
		break;
	}
	*ret_secret = secret_find_token(search, error);
	return *ret_secret != NULL;
}

bool keeper_look(const struct account *account, enum keeper_secret which,
		 const atomic_bool *cancelled, struct secret **ret_secret, GError **error)
{
	const struct secret_search search = {.account = account, .cancelled = cancelled};
	struct secret *secret = NULL;

	if (!look(&search, which, &secret, error))
		return false;
	/* Half of one would be refused, and nobody would know why. */
	if (secret && secret_len(secret) > LIMIT_SECRET) {
		secret_free(&secret);
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
			    "the password or token is longer than %d bytes", LIMIT_SECRET);
		return false;
	}
	*ret_secret = secret;
	return true;
}

/* --- the process --- */

struct watch {
	int fd;
	atomic_bool cancelled;
};

/* The daemon has closed its end: nobody waits for an answer. */
static void *watch_main(void *data)
{
	struct watch *watch = data;
	struct pollfd fd = {.fd = watch->fd, .events = POLLRDHUP};

	while (poll(&fd, 1, -1) < 0 && errno == EINTR)
		continue;
	atomic_store(&watch->cancelled, true);
	poll(NULL, 0, END_MS);
	_exit(1);
}

static void answer_set(struct answer *answer, const char *text, size_t len)
{
	answer->len = MIN(len, sizeof(answer->text));
	memcpy(answer->text, text, answer->len);
}

static void answer_fail(struct answer *answer, const GError *error)
{
	answer->kind = ANSWER_ERROR;
	answer->code = error->code;
	answer_set(answer, error->message, strlen(error->message));
}

/* What stands there now may be the password of another server. */
static bool is_elsewhere(const struct reload *reload, enum keeper_secret which, GError **error)
{
	const struct account *account = reload_account(reload);
	bool in_file = which == KEEPER_PASSWORD	       ? account->password_in_file
		       : which == KEEPER_SMTP_PASSWORD ? account->smtp.password_in_file
						       : false;

	if (in_file && reload_has_moved(reload))
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
			    "%s: [account %s] tells of other servers or logins than the mount has",
			    account->config, account->alias);
	return in_file && reload_has_moved(reload);
}

static void answer_find(struct answer *answer, const struct reload *reload,
			enum keeper_secret which, const atomic_bool *cancelled)
{
	g_autoptr(GError) error = NULL;
	struct secret *secret = NULL;

	if (is_elsewhere(reload, which, &error) ||
	    !keeper_look(reload_account(reload), which, cancelled, &secret, &error)) {
		answer_fail(answer, error);
		return;
	}
	answer->kind = secret ? ANSWER_SECRET : ANSWER_NONE;
	if (secret)
		answer_set(answer, secret_text(secret), secret_len(secret));
	secret_free(&secret);
}

static void answer_reload(struct answer *answer, struct reload *reload)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	if (!reload_read(reload, &text, &error)) {
		answer_fail(answer, error);
		return;
	}
	answer->kind = text ? ANSWER_SECRET : ANSWER_NONE;
	if (text)
		answer_set(answer, text, strlen(text));
}

static bool answer_send(int fd, struct answer *answer)
{
	size_t size = offsetof(struct answer, text) + answer->len;
	bool sent = send(fd, answer, size, MSG_NOSIGNAL) == (ssize_t)size;

	explicit_bzero(answer, sizeof(*answer));
	return sent;
}

/* stdout is nobody's: commands have their own. */
static bool settle(int fd, bool quiet)
{
	/* The end is heard from the socket: who is killed leaves its command behind. */
	if (!child_settle(NAME, fd, quiet ? -1 : STDERR_FILENO, 0))
		return false;
	if (quiet && open("/dev/null", O_WRONLY | O_CLOEXEC) != STDOUT_FILENO)
		return false;
	return dup2(STDOUT_FILENO, STDERR_FILENO) >= 0;
}

static _Noreturn void serve(const struct options *options, int fd)
{
	struct watch watch = {.fd = STDIN_FILENO};
	struct reload *reload = reload_new(options);
	struct answer answer = {0};
	pthread_t thread;
	char which;

	if (!settle(fd, !options->foreground) ||
	    pthread_create(&thread, NULL, watch_main, &watch) != 0 || pthread_detach(thread) != 0)
		_exit(1);
	while (recv(STDIN_FILENO, &which, 1, 0) == 1 && which >= KEEPER_SMTP_PASSWORD &&
	       which <= RELOAD) {
		if (which == RELOAD)
			answer_reload(&answer, reload);
		else
			answer_find(&answer, reload, (enum keeper_secret)which, &watch.cancelled);
		if (!answer_send(STDIN_FILENO, &answer))
			break;
	}
	_exit(0);
}

/* --- the daemon --- */

struct keeper *keeper_new(const struct options *options, GError **error)
{
	struct keeper *keeper;
	int fds[2] = {-1, -1};
	pid_t pid = -1;

	/* Whole messages. */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0)
		pid = fork();
	if (pid == 0) {
		close(fds[0]);
		serve(options, fds[1]);
	}
	if (pid < 0) {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "cannot start a process: %s",
			    g_strerror(errno));
		if (fds[0] >= 0)
			close(fds[0]);
		if (fds[1] >= 0)
			close(fds[1]);
		return NULL;
	}
	close(fds[1]);
	keeper = g_new(struct keeper, 1);
	*keeper = (struct keeper){.pid = pid, .fd = fds[0]};
	return keeper;
}

/* False: the process is gone, or nobody wants to know any more. */
static bool answer_wait(const struct keeper *keeper, const atomic_bool *cancelled,
			struct answer *answer)
{
	struct pollfd fd = {.fd = keeper->fd, .events = POLLIN};
	ssize_t len;
	int ready = 0;

	while (ready == 0 || (ready < 0 && errno == EINTR)) {
		if (cancelled && atomic_load(cancelled))
			return false;
		ready = poll(&fd, 1, WAIT_STEP_MS);
	}
	len = recv(keeper->fd, answer, sizeof(*answer), 0);
	return len >= (ssize_t)offsetof(struct answer, text) &&
	       answer->len == (size_t)len - offsetof(struct answer, text);
}

static bool answer_take(const struct answer *answer, struct secret **ret_secret, GError **error)
{
	g_autofree char *text = NULL;

	switch (answer->kind) {
	case ANSWER_SECRET:
		*ret_secret = secret_new(answer->text, answer->len);
		return true;
	case ANSWER_NONE:
		*ret_secret = NULL;
		return true;
	case ANSWER_ERROR:
		break;
	}
	text = g_strndup(answer->text, answer->len);
	g_set_error_literal(error, MAILFS_ERROR, answer->code, text);
	return false;
}

static bool ask(struct keeper *keeper, int which, const atomic_bool *cancelled,
		struct secret **ret_secret, GError **error)
{
	struct answer answer = {0};
	char byte = (char)which;
	bool ok;

	if (send(keeper->fd, &byte, 1, MSG_NOSIGNAL) == 1 &&
	    answer_wait(keeper, cancelled, &answer)) {
		ok = answer_take(&answer, ret_secret, error);
	} else {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
			    "the process that finds secrets (" NAME ") is gone");
		ok = false;
	}
	explicit_bzero(&answer, sizeof(answer));
	return ok;
}

bool keeper_find(struct keeper *keeper, enum keeper_secret which, const atomic_bool *cancelled,
		 struct secret **ret_secret, GError **error)
{
	return ask(keeper, (int)which, cancelled, ret_secret, error);
}

bool keeper_reload(struct keeper *keeper, const atomic_bool *cancelled, char **ret_text,
		   GError **error)
{
	struct secret *text = NULL;

	if (!ask(keeper, RELOAD, cancelled, &text, error))
		return false;
	*ret_text = text ? g_strdup(secret_text(text)) : NULL;
	secret_free(&text);
	return true;
}

/* Its end of the socket is closed with the last of its threads. */
static bool has_ended(const struct keeper *keeper)
{
	struct pollfd fd = {.fd = keeper->fd};
	int ready;

	shutdown(keeper->fd, SHUT_WR);
	do
		ready = poll(&fd, 1, END_MS + END_SLACK_MS);
	while (ready < 0 && errno == EINTR);
	return ready > 0;
}

void keeper_free(struct keeper **keeper)
{
	struct keeper *old = *keeper;
	bool ended;

	if (!old)
		return;
	ended = has_ended(old);
	if (!ended)
		log_warning("the process that finds secrets (" NAME ") does not end");
	while (ended && waitpid(old->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	close(old->fd);
	g_clear_pointer(keeper, g_free);
}
