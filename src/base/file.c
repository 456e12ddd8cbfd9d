#include "base/file.h"

#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A tree deeper than this is not one of ours; each level holds a file descriptor. */
#define FILE_TREE_DEPTH 64

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define AUTO_FD __attribute__((cleanup(fd_close))) int

bool file_is_full(int number)
{
	return number == ENOSPC || number == EDQUOT;
}

bool file_fail(const char *verb, const char *path, GError **error)
{
	int number = errno;

	g_set_error(error, MAILFS_ERROR, file_is_full(number) ? ERROR_NO_SPACE : ERROR_IO,
		    "cannot %s '%s': %s", verb, path, g_strerror(number));
	return false;
}

static bool file_is_ours(const struct stat *stat)
{
	return stat->st_uid == geteuid();
}

bool file_make_private_dir(const char *path, GError **error)
{
	struct stat stat;
	AUTO_FD fd = -1;

	if (g_mkdir_with_parents(path, 0700) != 0)
		return file_fail("make the directory", path, error);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &stat) != 0)
		return file_fail("open the directory", path, error);
	if (!file_is_ours(&stat)) {
		g_set_error(error, MAILFS_ERROR, ERROR_IO, "'%s' belongs to another user", path);
		return false;
	}
	if ((stat.st_mode & 07777) != 0700 && fchmod(fd, 0700) != 0)
		return file_fail("set the mode of", path, error);
	return true;
}

static bool file_check_private(const struct stat *stat, const char *path, GError **error)
{
	if (!file_is_ours(stat)) {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "'%s' belongs to another user",
			    path);
		return false;
	}
	if (stat->st_mode & (S_IRGRP | S_IROTH)) {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
			    "'%s' can be read by others (chmod 600 it)", path);
		return false;
	}
	return true;
}

/* Does not wait for the writer of a FIFO, and does not take a terminal. */
static int file_open_regular(int dir_fd, const char *path, int flags, struct stat *ret_stat,
			     GError **error)
{
	int fd = openat(dir_fd, path, flags | O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, ret_stat) != 0) {
		file_fail("open", path, error);
		fd_close(&fd);
		return -1;
	}
	if (!S_ISREG(ret_stat->st_mode)) {
		g_set_error(error, MAILFS_ERROR, ERROR_IO, "'%s' is not a regular file", path);
		close(fd);
		return -1;
	}
	return fd;
}

/* Until the end or `size` bytes; -1 with errno. */
static ssize_t file_read_all(int fd, char *bytes, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t got = read(fd, bytes + len, size - len);

		if (got == 0)
			break;
		if (got > 0)
			len += (size_t)got;
		else if (errno != EINTR)
			return -1;
	}
	return (ssize_t)len;
}

/* `fd` is borrowed; `path` is for messages. */
static bool file_read_fd(int fd, off_t size_told, const char *path, size_t max, char **ret_bytes,
			 gsize *ret_len, GError **error)
{
	/* One byte more than announced or allowed shows that the file is longer. */
	size_t size = (size_t)MIN((guint64)size_told, (guint64)max) + 1;
	char *bytes = g_malloc(size + 1);
	ssize_t len = file_read_all(fd, bytes, size);

	if (len >= 0 && (size_t)len < size) {
		bytes[len] = '\0';
		*ret_bytes = bytes;
		*ret_len = (gsize)len;
		return true;
	}
	if (len < 0)
		file_fail("read", path, error);
	else
		g_set_error(error, MAILFS_ERROR, ERROR_LIMIT,
			    "'%s' has more than %zu bytes, or grows while it is read", path, max);
	explicit_bzero(bytes, size);
	g_free(bytes);
	return false;
}

bool file_read(const char *path, size_t max, bool private, char **ret_bytes, gsize *ret_len,
	       GError **error)
{
	struct stat stat;
	AUTO_FD fd = file_open_regular(AT_FDCWD, path, 0, &stat, error);

	if (fd < 0 || (private && !file_check_private(&stat, path, error)))
		return false;
	return file_read_fd(fd, stat.st_size, path, max, ret_bytes, ret_len, error);
}

bool file_read_trusted(const char *path, size_t max, char **ret_bytes, gsize *ret_len,
		       bool *ret_private, GError **error)
{
	struct stat stat;
	AUTO_FD fd = file_open_regular(AT_FDCWD, path, 0, &stat, error);

	if (fd < 0)
		return false;
	if (stat.st_uid != 0 && !file_is_ours(&stat)) {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "'%s' belongs to another user",
			    path);
		return false;
	}
	if (stat.st_mode & (S_IWGRP | S_IWOTH)) {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
			    "'%s' can be written by others (chmod go-w it)", path);
		return false;
	}
	if (!file_read_fd(fd, stat.st_size, path, max, ret_bytes, ret_len, error))
		return false;
	*ret_private = file_is_ours(&stat) && !(stat.st_mode & (S_IRGRP | S_IROTH));
	return true;
}

bool file_read_at(int dir_fd, const char *name, size_t max, char **ret_bytes, gsize *ret_len,
		  GError **error)
{
	struct stat stat;
	AUTO_FD fd = file_open_regular(dir_fd, name, O_NOFOLLOW, &stat, error);

	return fd >= 0 && file_read_fd(fd, stat.st_size, name, max, ret_bytes, ret_len, error);
}

int file_open_dir_at(int dir_fd, const char *name)
{
	if (mkdirat(dir_fd, name, 0700) != 0 && errno != EEXIST)
		return -1;
	return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool file_empty_dir(int dir_fd, dev_t device, unsigned depth);

/* An entry on another device is a mount: it is not ours to empty. */
static bool file_remove_entry(int dir_fd, const char *name, dev_t device, unsigned depth)
{
	AUTO_FD fd = -1;
	struct stat stat;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return true;
	if (errno != EISDIR && errno != EPERM)
		return false;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &stat) != 0)
		return false;
	if (stat.st_dev != device) {
		errno = EXDEV;
		return false;
	}
	return file_empty_dir(fd, device, depth + 1) && unlinkat(dir_fd, name, AT_REMOVEDIR) == 0;
}

static bool file_empty_dir(int dir_fd, dev_t device, unsigned depth)
{
	int fd = depth < FILE_TREE_DEPTH ? fcntl(dir_fd, F_DUPFD_CLOEXEC, 0) : -1;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool ok = true;
	int number;

	if (!dir) {
		if (depth >= FILE_TREE_DEPTH)
			errno = ELOOP;
		fd_close(&fd);
		return false;
	}
	while (ok && (errno = 0, entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			ok = file_remove_entry(dir_fd, entry->d_name, device, depth);
	}
	number = errno;
	closedir(dir);
	errno = number;
	return ok && number == 0;
}

bool file_remove_tree(const char *path, GError **error)
{
	AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat stat;

	if (fd < 0 && errno == ENOENT)
		return true;
	if (fd < 0 || fstat(fd, &stat) != 0)
		return file_fail("open the directory", path, error);
	if (!file_is_ours(&stat)) {
		g_set_error(error, MAILFS_ERROR, ERROR_IO, "'%s' belongs to another user", path);
		return false;
	}
	if (!file_empty_dir(fd, stat.st_dev, 0) || (rmdir(path) != 0 && errno != ENOENT))
		return file_fail("remove", path, error);
	return true;
}

bool file_pwrite_all(int fd, const void *bytes, size_t len, off_t offset)
{
	const char *next = bytes;

	while (len > 0) {
		ssize_t written = pwrite(fd, next, len, offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		next += written;
		len -= (size_t)written;
		offset += written;
	}
	return true;
}

bool file_write_at(int dir_fd, const char *name, const void *bytes, size_t len)
{
	AUTO_FD fd =
		openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int number;

	if (fd < 0)
		return false;
	if (file_pwrite_all(fd, bytes, len, 0) && fsync(fd) == 0)
		return true;
	number = errno;
	unlinkat(dir_fd, name, 0);
	errno = number;
	return false;
}
