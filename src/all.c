#include "all.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define SIGNAL_EXIT 128 /* and the signal's number, as shells say it */
#define MESSAGE_MAX 4096
#define EXTEND "EXTEND_TIMEOUT_USEC="

/* One account and its process. */
struct child {
	const char *account;
	struct options options; /* its mountpoint is NULL: there is nothing to start */
	pid_t pid;		/* 0: it ended */
	int code;
	int fd; /* what it would tell a service manager; -1: nobody asks */
	bool mounted;
};

struct all {
	const struct options *options;
	int argc;
	char **argv;
	all_serve_fn serve;
	sigset_t before;	       /* what was blocked when we began */
	struct supervisor *supervisor; /* NULL: nobody asks */
	int signals;
	bool ready; /* that was told */
	bool stopping;
	struct child *children;
	size_t count;
	size_t alive;
};

/* As if we had been started for this one alone. */
static bool child_read(const struct all *all, struct child *child, GError **error)
{
	const struct options *options = all->options;
	g_autofree char *dir = options->mountpoint
				       ? g_build_filename(options->mountpoint, child->account, NULL)
				       : NULL;

	if (!options_parse_account(&child->options, all->argc, all->argv, child->account, dir,
				   error))
		return false;
	/* Two questions at once on one terminal are none. */
	child->options.unattended = all->count > 1;
	return true;
}

/* All begin at once: neither would see that the other is mounted there. */
static bool child_has_place(const struct all *all, const struct child *child, GError **error)
{
	for (const struct child *other = all->children; other < child; other++) {
		if (g_strcmp0(other->options.mountpoint, child->options.mountpoint) != 0)
			continue;
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
			    "%s: [account %s]: mountpoint: '%s' is that of [account %s] already",
			    child->options.account.config, child->account,
			    child->options.mountpoint, other->account);
		return false;
	}
	return true;
}

static void child_tell(const struct all *all, const struct child *child)
{
	log_error("%s %s (exit code %d)", child->account,
		  all->options->foreground ? "has ended" : "is not mounted", child->code);
}

static void child_prepare(const struct all *all, struct child *child)
{
	g_autoptr(GError) error = NULL;

	if (child_read(all, child, &error) && child_has_place(all, child, &error))
		return;
	log_error("%s", error->message);
	child->code = error_exit_code(error);
	child_tell(all, child);
	options_clear(&child->options);
}

/* In the process of that account. */
static int child_run(const struct all *all, struct child *child, int fd)
{
	g_autofree char *ident = g_strdup_printf("mailfs[%s]", child->account);
	const char *mountpoint = child->options.mountpoint;

	log_open(ident, log_level_get());
	if (g_mkdir_with_parents(mountpoint, 0700) != 0) {
		log_error("cannot make the directory '%s': %s", mountpoint, g_strerror(errno));
		return EX_CANTCREAT;
	}
	return all->serve(&child->options, fd < 0 ? NULL : supervisor_of(fd));
}

/* It has no business with the others', nor with ours. */
static void child_close(struct all *all)
{
	close(all->signals);
	supervisor_free(&all->supervisor);
	for (size_t i = 0; i < all->count; i++) {
		if (all->children[i].fd >= 0)
			close(all->children[i].fd);
	}
}

static bool child_failed(struct child *child)
{
	log_error("%s: cannot start a process: %s", child->account, g_strerror(errno));
	child->pid = 0;
	child->code = EX_OSERR;
	return false;
}

static bool child_start(struct all *all, struct child *child)
{
	pid_t parent = getpid();
	int fds[2] = {-1, -1};

	if (all->supervisor &&
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
		return child_failed(child);
	child->fd = fds[0];
	child->pid = fork();
	if (child->pid != 0 && fds[1] >= 0)
		close(fds[1]);
	if (child->pid < 0)
		return child_failed(child);
	if (child->pid > 0)
		return true;
	child_close(all);
	/* Who ends us means all. Those that are in the background have left by then. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* In the background it has nothing to reload before its daemon has. */
	if (all->options->foreground)
		signal(SIGHUP, SIG_IGN);
	sigprocmask(SIG_SETMASK, &all->before, NULL);
	if (getppid() != parent)
		_exit(EX_SOFTWARE);
	exit(child_run(all, child, fds[1]));
}

static void child_ended(struct all *all, struct child *child, int status)
{
	child->pid = 0;
	child->code = WIFEXITED(status) ? WEXITSTATUS(status) : SIGNAL_EXIT + WTERMSIG(status);
	/* In the background its daemon goes on. */
	child->mounted = child->code == 0 && !all->options->foreground;
	all->alive--;
	if (child->code != 0)
		child_tell(all, child);
}

static void reap(struct all *all)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < all->count; i++) {
			if (all->children[i].pid == pid)
				child_ended(all, &all->children[i], status);
		}
	}
}

static void forward(const struct all *all, int number)
{
	for (size_t i = 0; i < all->count; i++) {
		if (all->children[i].pid > 0)
			kill(all->children[i].pid, number);
	}
}

/* Blocked, they wait to be read; SIGCHLD among them, so that no end is missed. */
static void signals_take(struct all *all)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &all->before);
	all->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (all->signals < 0)
		g_error("signalfd: %s", g_strerror(errno));
}

/* --- the service manager --- */

static bool is_settled(const struct all *all)
{
	for (size_t i = 0; i < all->count; i++) {
		if (all->children[i].pid > 0 && !all->children[i].mounted)
			return false;
	}
	return true;
}

static void append_name(GString *list, const struct child *child)
{
	g_string_append_printf(list, "%s%s", list->len > 0 ? ", " : "", child->account);
	if (child->code != 0)
		g_string_append_printf(list, " (exit code %d)", child->code);
}

/* "mounted: work, home; not mounted: old (exit code 77)"; NULL: none is. */
static char *status_new(const struct all *all)
{
	g_autoptr(GString) mounted = g_string_new(NULL);
	g_autoptr(GString) others = g_string_new(NULL);

	for (size_t i = 0; i < all->count; i++)
		append_name(all->children[i].mounted ? mounted : others, &all->children[i]);
	if (mounted->len == 0)
		return NULL;
	if (others->len == 0)
		return g_strdup_printf("mounted: %s", mounted->str);
	return g_strdup_printf("mounted: %s; not mounted: %s", mounted->str, others->str);
}

/* Something has changed. If nothing is mounted there is nobody to be ready, and the end comes. */
static void tell_status(struct all *all)
{
	g_autofree char *status = status_new(all);
	g_autofree char *lines = NULL;

	if (!status || all->stopping || !is_settled(all))
		return;
	lines = g_strdup_printf("%sSTATUS=%s", all->ready ? "" : "READY=1\n", status);
	all->ready = true;
	supervisor_tell(all->supervisor, lines);
}

static void tell_stopping(struct all *all)
{
	all->stopping = true;
	supervisor_tell(all->supervisor, "STOPPING=1\nSTATUS=Finishing what was promised");
}

/* They do what there is to do by themselves. */
static void tell_reloading(struct all *all)
{
	g_autofree char *lines =
		g_strdup_printf("RELOADING=1\nMONOTONIC_USEC=%" PRIi64, clock_mono_ms() * 1000);

	if (!all->ready || all->stopping)
		return;
	supervisor_tell(all->supervisor, lines);
	all->ready = false;
}

/* An end may take longer than managers wait. */
static void tell_extended(const struct all *all, char **lines)
{
	for (; all->stopping && *lines; lines++) {
		if (g_str_has_prefix(*lines, EXTEND))
			supervisor_tell(all->supervisor, *lines);
	}
}

static void child_told_us(struct all *all, struct child *child)
{
	char bytes[MESSAGE_MAX + 1];
	ssize_t len = recv(child->fd, bytes, MESSAGE_MAX, 0);
	g_auto(GStrv) lines = NULL;

	if (len < 0)
		return;
	if (len == 0) {
		close(child->fd);
		child->fd = -1;
		return;
	}
	bytes[len] = '\0';
	lines = g_strsplit(bytes, "\n", -1);
	child->mounted |= g_strv_contains((const char **)lines, "READY=1");
	tell_extended(all, lines);
}

/* --- from the start to the end --- */

static void take_signal(struct all *all, int number)
{
	if (number == SIGCHLD) {
		reap(all);
		return;
	}
	if (number == SIGHUP)
		tell_reloading(all);
	else
		tell_stopping(all);
	forward(all, number);
}

static void take_signals(struct all *all)
{
	struct signalfd_siginfo info;

	while (read(all->signals, &info, sizeof(info)) == sizeof(info))
		take_signal(all, (int)info.ssi_signo);
}

static void wait_and_take(struct all *all)
{
	g_autofree struct pollfd *fds = g_new0(struct pollfd, all->count + 1);

	fds[all->count] = (struct pollfd){.fd = all->signals, .events = POLLIN};
	for (size_t i = 0; i < all->count; i++)
		fds[i] = (struct pollfd){.fd = all->children[i].fd, .events = POLLIN};
	if (poll(fds, all->count + 1, -1) < 0)
		return;
	for (size_t i = 0; i < all->count; i++) {
		if (fds[i].revents)
			child_told_us(all, &all->children[i]);
	}
	take_signals(all);
	tell_status(all);
}

static void start(struct all *all)
{
	for (size_t i = 0; i < all->count; i++) {
		all->children[i].account = all->options->accounts[i];
		all->children[i].fd = -1;
		child_prepare(all, &all->children[i]);
	}
	for (size_t i = 0; i < all->count; i++) {
		if (all->children[i].options.mountpoint)
			all->alive += child_start(all, &all->children[i]);
	}
}

static int first_failure(const struct all *all)
{
	for (size_t i = 0; i < all->count; i++) {
		if (all->children[i].code != 0)
			return all->children[i].code;
	}
	return EX_OK;
}

int all_run(const struct options *options, int argc, char **argv, all_serve_fn serve)
{
	struct all all = {.options = options,
			  .argc = argc,
			  .argv = argv,
			  .serve = serve,
			  .count = g_strv_length(options->accounts)};
	g_autofree struct child *children = g_new0(struct child, all.count);

	all.children = children;
	all.supervisor = supervisor_new();
	signals_take(&all);
	start(&all);
	while (all.alive > 0)
		wait_and_take(&all);
	close(all.signals);
	sigprocmask(SIG_SETMASK, &all.before, NULL);
	for (size_t i = 0; i < all.count; i++) {
		if (children[i].fd >= 0)
			close(children[i].fd);
		options_clear(&children[i].options);
	}
	supervisor_free(&all.supervisor);
	return first_failure(&all);
}
