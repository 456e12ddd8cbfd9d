#include "fuse/watchdog.h"

#include "base/error.h"
#include "base/log.h"
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ORPHANED SIGUSR1 /* the daemon's main thread is gone */
#define NAME "mailfs-watchdog"
#define CONTROL_DIR "/sys/fs/fuse/connections"

/* What the process is told; or one byte instead. */
struct order {
	char path[64];
	ino_t inode; /* never used twice, unlike the path; 0: not known */
};

#define FAREWELL 'e' /* all is well, end */
#define UNMOUNT 'u'  /* and end */

struct watchdog {
	pid_t pid; /* 0: it has ended */
	int fd;
};

/* --- the process --- */

static void do_nothing(int number)
{
}

static void take_signal(void)
{
	const struct sigaction orphaned = {.sa_handler = do_nothing};
	sigset_t set;

	/* Let in only where it is waited for. */
	sigemptyset(&set);
	sigaddset(&set, ORPHANED);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(ORPHANED, &orphaned, NULL);
}

static void abort_connection(const struct order *order)
{
	int fd = open(order->path, O_WRONLY | O_CLOEXEC);
	struct stat attr;

	if (fd < 0 || fstat(fd, &attr) < 0)
		return;
	/* If the kernel refuses, there is nobody left to tell. */
	if ((!order->inode || attr.st_ino == order->inode) && write(fd, "1", 1) < 0)
		return;
}

/* As who runs it must not be asked, and has no rights but by its mode. */
static bool run_fusermount(const char *path)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		/* stdout and stderr */
		if (open("/dev/null", O_WRONLY) >= 0 && open("/dev/null", O_WRONLY) >= 0)
			execlp("fusermount3", "fusermount3", "-u", "-q", "-z", "--", path, NULL);
		_exit(1);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool unmount(const char *path)
{
	return umount2(path, MNT_DETACH) == 0 || run_fusermount(path);
}

/* A daemon that hangs as said above keeps its end of the pipe open, as all threads share their
 * descriptors: then it is the end of its main thread that tells. */
static bool outlives_daemon(void)
{
	struct pollfd pipe = {.fd = STDIN_FILENO, .events = POLLIN};
	sigset_t none;

	sigemptyset(&none);
	return ppoll(&pipe, 1, NULL, &none) < 0 && errno == EINTR;
}

/* Nothing that allocates or locks. */
static _Noreturn void watch(const char *mountpoint, int fd)
{
	struct order order = {0};
	char verb;
	ssize_t len;

	take_signal();
	if (!child_settle(NAME, fd, -1, ORPHANED))
		_exit(1);
	do {
		if (outlives_daemon())
			break;
		len = read(STDIN_FILENO, &order, sizeof(order));
		if (len > 0 && len < (ssize_t)sizeof(order)) {
			memcpy(&verb, &order, 1);
			_exit(verb == UNMOUNT && !unmount(mountpoint));
		}
	} while (len != 0);
	if (*order.path)
		abort_connection(&order);
	_exit(0);
}

/* --- the daemon --- */

struct watchdog *watchdog_new(const char *mountpoint, GError **error)
{
	struct watchdog *watchdog;
	int fds[2] = {-1, -1};
	pid_t pid = -1;

	if (pipe2(fds, O_CLOEXEC) == 0)
		pid = fork();
	if (pid == 0)
		watch(mountpoint, fds[0]);
	if (pid < 0) {
		g_set_error(error, MAILFS_ERROR, ERROR_MOUNT, "cannot start a process: %s",
			    g_strerror(errno));
		if (fds[0] >= 0)
			close(fds[0]);
		if (fds[1] >= 0)
			close(fds[1]);
		return NULL;
	}
	close(fds[0]);
	watchdog = g_new(struct watchdog, 1);
	*watchdog = (struct watchdog){.pid = pid, .fd = fds[1]};
	return watchdog;
}

void watchdog_arm(struct watchdog *watchdog, unsigned device)
{
	struct order order = {0};
	struct stat attr;

	snprintf(order.path, sizeof(order.path), CONTROL_DIR "/%u/abort", device);
	/* It may be mounted a moment after the kernel's module was loaded. */
	if (stat(order.path, &attr) == 0)
		order.inode = attr.st_ino;
	else
		log_debug("%s: %s", order.path, g_strerror(errno));
	if (write(watchdog->fd, &order, sizeof(order)) != (ssize_t)sizeof(order))
		log_warning("the watchdog is gone: %s", g_strerror(errno));
}

/* Tells it its last word. How it ended, as waitpid() has it. */
static int end_process(struct watchdog *watchdog, char verb)
{
	int status = -1;

	if (write(watchdog->fd, &verb, 1) < 0)
		log_debug("the watchdog is gone: %s", g_strerror(errno));
	close(watchdog->fd);
	while (waitpid(watchdog->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	watchdog->pid = 0;
	return status;
}

bool watchdog_unmount(struct watchdog *watchdog)
{
	int status = watchdog->pid ? end_process(watchdog, UNMOUNT) : -1;

	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void watchdog_stop(struct watchdog *watchdog)
{
	if (watchdog->pid)
		end_process(watchdog, FAREWELL);
}

void watchdog_free(struct watchdog **watchdog)
{
	if (!*watchdog)
		return;
	watchdog_stop(*watchdog);
	g_clear_pointer(watchdog, g_free);
}
