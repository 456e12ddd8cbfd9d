#include "all.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define SIGNAL_EXIT 128 /* and the signal's number, as shells say it */

/* One account and its process. */
struct child {
	const char *account;
	struct options options; /* its mountpoint is NULL: there is nothing to start */
	pid_t pid;		/* 0: it ended */
	int code;
};

struct all {
	const struct options *options;
	int argc;
	char **argv;
	all_serve_fn serve;
	sigset_t before; /* what was blocked when we began */
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

static void child_told(const struct all *all, const struct child *child)
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
	child_told(all, child);
	options_clear(&child->options);
}

/* In the process of that account. */
static int child_run(const struct all *all, struct child *child)
{
	g_autofree char *ident = g_strdup_printf("mailfs[%s]", child->account);
	const char *mountpoint = child->options.mountpoint;

	log_open(ident, log_level_get());
	if (g_mkdir_with_parents(mountpoint, 0700) != 0) {
		log_error("cannot make the directory '%s': %s", mountpoint, g_strerror(errno));
		return EX_CANTCREAT;
	}
	return all->serve(&child->options);
}

static bool child_start(struct all *all, struct child *child)
{
	pid_t parent = getpid();

	child->pid = fork();
	if (child->pid < 0) {
		log_error("%s: cannot start a process: %s", child->account, g_strerror(errno));
		child->pid = 0;
		child->code = EX_OSERR;
		return false;
	}
	if (child->pid > 0)
		return true;
	/* Who ends us means all. Those that are in the background have left by then. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigprocmask(SIG_SETMASK, &all->before, NULL);
	if (getppid() != parent)
		_exit(EX_SOFTWARE);
	exit(child_run(all, child));
}

static void child_ended(struct all *all, struct child *child, int status)
{
	child->pid = 0;
	child->code = WIFEXITED(status) ? WEXITSTATUS(status) : SIGNAL_EXIT + WTERMSIG(status);
	all->alive--;
	if (child->code != 0)
		child_told(all, child);
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

/* Blocked, they wait for sigwait(); SIGCHLD among them, so that no end is missed. */
static void signals_take(struct all *all, sigset_t *ret_set)
{
	sigemptyset(ret_set);
	sigaddset(ret_set, SIGTERM);
	sigaddset(ret_set, SIGINT);
	sigaddset(ret_set, SIGHUP);
	sigaddset(ret_set, SIGCHLD);
	sigprocmask(SIG_BLOCK, ret_set, &all->before);
}

static void start(struct all *all)
{
	for (size_t i = 0; i < all->count; i++) {
		all->children[i].account = all->options->accounts[i];
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
	sigset_t set;
	int number;

	all.children = children;
	signals_take(&all, &set);
	start(&all);
	while (all.alive > 0) {
		if (sigwait(&set, &number) != 0)
			continue;
		if (number == SIGCHLD)
			reap(&all);
		else
			forward(&all, number);
	}
	sigprocmask(SIG_SETMASK, &all.before, NULL);
	for (size_t i = 0; i < all.count; i++)
		options_clear(&children[i].options);
	return first_failure(&all);
}
