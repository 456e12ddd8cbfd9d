#include "daemon.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static ssize_t read_byte(int fd)
{
	char byte;
	ssize_t len;

	do
		len = read(fd, &byte, 1);
	while (len < 0 && errno == EINTR);
	return len;
}

static _Noreturn void wait_for_child(pid_t child, int fd, int killed)
{
	int status;

	if (read_byte(fd) == 1)
		_exit(0);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			_exit(killed);
	_exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : killed);
}

int daemon_fork(int killed)
{
	pid_t parent = getpid();
	pid_t child;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	child = fork();
	if (child < 0)
		return -1;
	if (child > 0) {
		close(fds[1]);
		wait_for_child(child, fds[0], killed);
	}
	close(fds[0]);
	/* Who ends the parent means both. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EX_SOFTWARE);
	return fds[1];
}

static void close_stdio(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
}

bool daemon_detach(int fd)
{
	ssize_t written;

	/* The parent's end is no longer ours. */
	prctl(PR_SET_PDEATHSIG, 0);
	setsid();
	if (chdir("/") < 0)
		log_warning("cannot change to /");
	log_to_syslog();
	written = write(fd, "", 1);
	close(fd);
	close_stdio();
	return written == 1;
}

void daemon_open_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}
