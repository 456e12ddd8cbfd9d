#include "fuse/mountpoint.h"

#include "base/error.h"
#include "base/log.h"
#include "base/number.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUR_TYPE "fuse.mailfs"
#define MAX_STALE_LAYERS 8
#define ASK_MS 5000

extern char **environ;

/* Undoes the \ooo of mountinfo, in place. */
static void unescape(char *text)
{
	char *out = text;

	for (const char *in = text; *in; in++) {
		if (in[0] == '\\' && g_ascii_isdigit(in[1]) && g_ascii_isdigit(in[2]) &&
		    g_ascii_isdigit(in[3])) {
			*out++ = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
			in += 3;
		} else {
			*out++ = *in;
		}
	}
	*out = '\0';
}

/* The fields of its line, all from the optional ones on in one; NULL: nothing is mounted there. */
static GStrv topmost_mount(const char *mountinfo, const char *path)
{
	g_auto(GStrv) lines = g_strsplit(mountinfo, "\n", -1);
	GStrv found = NULL;

	/* Mounted later stands later and covers what is before. */
	for (char **line = lines; *line; line++) {
		GStrv fields = g_strsplit(*line, " ", 6);

		if (g_strv_length(fields) == 6 && strstr(fields[5], " - ")) {
			unescape(fields[4]);
			if (strcmp(fields[4], path) == 0) {
				GStrv covered = found;

				found = fields;
				fields = covered;
			}
		}
		g_strfreev(fields);
	}
	return found;
}

char *mountpoint_type(const char *mountinfo, const char *path)
{
	g_auto(GStrv) fields = topmost_mount(mountinfo, path);
	const char *type;

	if (!fields)
		return NULL;
	type = strstr(fields[5], " - ") + strlen(" - ");
	return g_strndup(type, strcspn(type, " "));
}

bool mountpoint_device(const char *mountinfo, const char *path, unsigned *ret_device)
{
	g_autofree char *type = mountpoint_type(mountinfo, path);
	g_auto(GStrv) fields = topmost_mount(mountinfo, path);
	const char *minor;

	if (!type || strcmp(type, OUR_TYPE) != 0 || !g_str_has_prefix(fields[2], "0:"))
		return false;
	minor = fields[2] + strlen("0:");
	return number_parse_u32(minor, strlen(minor), ret_device);
}

static char *mounted_type(const char *path)
{
	g_autofree char *text = NULL;

	if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
		return NULL;
	return mountpoint_type(text, path);
}

/* The path as mountinfo spells it, without a look at its last component: that may be mounted and
 * hang. NULL if the directory above does not exist. */
static char *canonical_path(const char *path)
{
	g_autofree char *clean = g_canonicalize_filename(path, "/");
	g_autofree char *above = g_path_get_dirname(clean);
	g_autofree char *base = g_path_get_basename(clean);
	char *real, *result;

	if (strcmp(clean, "/") == 0)
		return g_strdup(clean);
	real = realpath(above, NULL);
	if (!real)
		return NULL;
	result = g_build_filename(real, base, NULL);
	free(real);
	return result;
}

static bool run_fusermount(const char *path)
{
	const char *argv[] = {"fusermount3", "-u", "-z", "--", path, NULL};
	int status = -1;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char **)argv, environ) != 0)
		return false;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool detach(const char *path)
{
	if (geteuid() == 0)
		return umount2(path, MNT_DETACH) == 0;
	return run_fusermount(path);
}

/* What statvfs() says there: 0 or errno. A stat() may be answered by what the kernel has kept of
 * the dead. Another process asks, as a daemon that hangs may never answer: ETIMEDOUT. */
static int ask_daemon(const char *path)
{
	struct pollfd end = {.events = POLLIN};
	struct statvfs space;
	int fds[2], status;
	bool ended;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return errno;
	pid = fork();
	if (pid == 0)
		_exit(statvfs(path, &space) == 0 ? 0 : errno);
	close(fds[1]);
	end.fd = fds[0];
	ended = pid < 0 || poll(&end, 1, ASK_MS) == 1;
	close(fds[0]);
	if (pid > 0 && !ended)
		kill(pid, SIGKILL);
	/* Perhaps it cannot be killed. */
	if (pid < 0 || waitpid(pid, &status, ended ? 0 : WNOHANG) != pid || !WIFEXITED(status))
		return ETIMEDOUT;
	return WEXITSTATUS(status);
}

static void refuse_mounted(const char *path, int code, GError **error)
{
	if (code == ETIMEDOUT)
		g_set_error(error, MAILFS_ERROR, ERROR_MOUNT,
			    "%s: mailfs is mounted there and does not answer; "
			    "if it is dead, try 'umount -f %s', see mailfs(7)",
			    path, path);
	else
		g_set_error(error, MAILFS_ERROR, ERROR_MOUNT, "%s: mailfs is mounted there already",
			    path);
}

/* Detaches dead ones of ours; an error if a living file system is in the way. */
static bool clear_stale(const char *path, GError **error)
{
	for (int i = 0; i < MAX_STALE_LAYERS; i++) {
		g_autofree char *type = mounted_type(path);
		int code;

		if (!type || !g_str_has_prefix(type, "fuse"))
			return true;
		/* Only ours is known. */
		if (strcmp(type, OUR_TYPE) != 0) {
			g_set_error(error, MAILFS_ERROR, ERROR_MOUNT,
				    "%s: a file system (%s) is mounted there already", path, type);
			return false;
		}
		code = ask_daemon(path);
		if (code != ENOTCONN && code != ECONNABORTED) {
			refuse_mounted(path, code, error);
			return false;
		}
		if (!detach(path)) {
			g_set_error(error, MAILFS_ERROR, ERROR_MOUNT,
				    "%s: cannot detach what a dead mailfs left mounted; "
				    "try 'fusermount3 -uz %s'",
				    path, path);
			return false;
		}
		log_warning("%s: detached what a dead mailfs had left mounted", path);
	}
	return true;
}

static bool directory_is_empty(const char *path, bool *ret_empty)
{
	const struct dirent *entry;
	DIR *dir = opendir(path);
	bool empty = true;

	if (!dir)
		return false;
	while (empty && (entry = readdir(dir)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(dir);
	*ret_empty = empty;
	return true;
}

static bool check_directory(const char *path, bool nonempty, GError **error)
{
	struct stat attr;
	bool empty;

	if (stat(path, &attr) < 0) {
		g_set_error(error, MAILFS_ERROR, ERROR_MOUNT, "mountpoint %s: %s", path,
			    g_strerror(errno));
	} else if (!S_ISDIR(attr.st_mode)) {
		g_set_error(error, MAILFS_ERROR, ERROR_MOUNT, "mountpoint %s: not a directory",
			    path);
	} else if (nonempty) {
		return true;
	} else if (!directory_is_empty(path, &empty)) {
		g_set_error(error, MAILFS_ERROR, ERROR_MOUNT, "mountpoint %s: %s", path,
			    g_strerror(errno));
	} else if (!empty) {
		g_set_error(error, MAILFS_ERROR, ERROR_MOUNT,
			    "mountpoint %s is not empty (mount over it with -o nonempty)", path);
	} else {
		return true;
	}
	return false;
}

bool mountpoint_prepare(const char *path, bool nonempty, GError **error)
{
	g_autofree char *canonical = canonical_path(path);
	char *real;
	bool clear;

	if (!canonical) {
		g_set_error(error, MAILFS_ERROR, ERROR_MOUNT, "mountpoint %s: %s", path,
			    g_strerror(errno));
		return false;
	}
	if (!clear_stale(canonical, error))
		return false;
	/* Its last component may be a link. */
	real = realpath(canonical, NULL);
	clear = !real || strcmp(real, canonical) == 0 || clear_stale(real, error);
	free(real);
	return clear && check_directory(path, nonempty, error);
}
