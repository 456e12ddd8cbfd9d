#include "fuse/replay_helper.h"

#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NAME "mailfs-inotify"
#define FILE_MODE (S_IRUSR | S_IWUSR)

/* What is mounted there may be gone, and what is below it is not ours. `name` "": `fd` itself,
 * without asking anybody. */
static bool is_on(int fd, const char *name, uint64_t device)
{
	struct statx attr;

	return statx(fd, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, 0,
		     &attr) == 0 &&
	       makedev(attr.stx_dev_major, attr.stx_dev_minor) == device;
}

/* The number of a device goes to who mounts next. So we ask who serves this directory, which `dir`
 * holds: what is done relative to it happens there. */
static bool is_ours(int dir, const char *proof)
{
	struct stat attr;

	return fstatat(dir, proof, &attr, AT_SYMLINK_NOFOLLOW) < 0 && errno == REPLAY_PROOF_ERRNO;
}

static int do_verb(int dir, const struct replay_command *command)
{
	switch (command->verb) {
	case REPLAY_VERB_GREET:
		return 0;
	case REPLAY_VERB_MKNOD:
		return mknodat(dir, command->name, S_IFREG | FILE_MODE, 0);
	case REPLAY_VERB_UNLINK:
		return unlinkat(dir, command->name, 0);
	case REPLAY_VERB_CHMOD:
		errno = EXDEV;
		return is_on(dir, command->name, command->device)
			       ? fchmodat(dir, command->name, FILE_MODE, 0)
			       : -1;
	case REPLAY_VERB_MKDIR:
		return mkdirat(dir, command->name, REPLAY_DIR_MODE);
	case REPLAY_VERB_RMDIR:
		return unlinkat(dir, command->name, AT_REMOVEDIR);
	}
	return -1;
}

/* Nothing of the mount is kept open: it could not be unmounted. */
static int carry_out(const struct replay_command *command)
{
	int dir = open(command->dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int result = 0;

	if (dir < 0)
		return errno;
	if (!is_on(dir, "", command->device))
		result = EXDEV;
	else if (!is_ours(dir, command->proof))
		result = ESTALE;
	else if (do_verb(dir, command) < 0)
		result = errno;
	close(dir);
	return result;
}

static bool read_command(struct replay_command *command)
{
	size_t done = 0;

	while (done < sizeof(*command)) {
		ssize_t len = read(STDIN_FILENO, (char *)command + done, sizeof(*command) - done);

		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			return false;
		done += (size_t)len;
	}
	return true;
}

void replay_helper_run(int in, int out)
{
	static struct replay_command command;
	int result;

	if (!child_settle(NAME, in, out, SIGKILL))
		_exit(1);
	umask(0);
	while (read_command(&command)) {
		result = carry_out(&command);
		if (write(STDOUT_FILENO, &result, sizeof(result)) != (ssize_t)sizeof(result))
			break;
	}
	_exit(0);
}
