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
	pid_t pid; /* 0: it ended */
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

static int fail(const GError *error)
{
	log_error("%s", error->message);
	return error_exit_code(error);
}

/* In the process of that account: as if it had been started for it alone. */
static int child_run(const struct all *all, const char *account)
{
	const struct options *options = all->options;
	g_autofree char *dir =
		options->mountpoint ? g_build_filename(options->mountpoint, account, NULL) : NULL;
	g_autofree char *ident = g_strdup_printf("mailfs[%s]", account);
	g_autoptr(GError) error = NULL;
	struct options own;

	log_open(ident, log_level_get());
	if (!options_parse_account(&own, all->argc, all->argv, account, dir, &error))
		return fail(error);
	if (g_mkdir_with_parents(own.mountpoint, 0700) != 0) {
		log_error("cannot make the directory '%s': %s", own.mountpoint, g_strerror(errno));
		options_clear(&own);
		return EX_CANTCREAT;
	}
	/* Two questions at once on one terminal are none. */
	own.unattended = all->count > 1;
	return all->serve(&own);
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
	exit(child_run(all, child->account));
}

static void child_ended(struct all *all, struct child *child, int status)
{
	child->pid = 0;
	child->code = WIFEXITED(status) ? WEXITSTATUS(status) : SIGNAL_EXIT + WTERMSIG(status);
	all->alive--;
	if (child->code != 0)
		log_error("%s %s (exit code %d)", child->account,
			  all->options->foreground ? "has ended" : "is not mounted", child->code);
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
	for (size_t i = 0; i < all.count; i++) {
		children[i].account = options->accounts[i];
		all.alive += child_start(&all, &children[i]);
	}
	while (all.alive > 0) {
		if (sigwait(&set, &number) != 0)
			continue;
		if (number == SIGCHLD)
			reap(&all);
		else
			forward(&all, number);
	}
	sigprocmask(SIG_SETMASK, &all.before, NULL);
	return first_failure(&all);
}
