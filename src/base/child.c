#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void ignore_signals(void)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

	for (size_t i = 0; i < G_N_ELEMENTS(ignored); i++)
		signal(ignored[i], SIG_IGN);
}

/* The daemon's command line is not ours: who looks for it by that shall find one process. */
static void rename_process(const char *name)
{
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	char bytes[512];
	size_t size = 0;
	ssize_t len;

	while (fd >= 0 && (len = read(fd, bytes, sizeof(bytes))) > 0)
		size += (size_t)len;
	close(fd);
	memset(program_invocation_name, 0, size);
	if (size > strlen(name))
		memcpy(program_invocation_name, name, strlen(name));
	prctl(PR_SET_NAME, name);
}

/* No descriptor of the daemon's may be kept open here, above all not /dev/fuse. */
static bool keep_only(int in, int out)
{
	int last = out >= 0 ? STDOUT_FILENO : STDIN_FILENO;

	/* Neither is overwritten: the standard ones are open from the start. */
	if (dup2(in, STDIN_FILENO) < 0 || (out >= 0 && dup2(out, STDOUT_FILENO) < 0))
		return false;
	return close_range((unsigned)last + 1, ~0U, 0) == 0;
}

bool child_settle(const char *name, int in, int out, int death)
{
	ignore_signals();
	rename_process(name);
	if (!keep_only(in, out))
		return false;
	setsid();
	return chdir("/") == 0 && prctl(PR_SET_PDEATHSIG, death) == 0;
}
