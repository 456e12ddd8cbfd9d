#include "state/spool_private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_SIZE (64 * 1024)

void part_name(uint32_t id, enum part part, char ret[PART_NAME_MAX])
{
	static const char *const suffixes[PARTS] = {[PART_WORK] = "",
						    [PART_UPLOAD] = ".eml",
						    [PART_TMP] = ".eml.tmp",
						    [PART_GONE] = ".gone"};

	g_snprintf(ret, PART_NAME_MAX, "%u%s", id, suffixes[part]);
}

int part_open(struct state *state, uint32_t id, enum part part, int flags)
{
	char name[PART_NAME_MAX];

	part_name(id, part, name);
	return openat(state->spool_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

bool part_stat(struct state *state, uint32_t id, enum part part, struct stat *ret)
{
	char name[PART_NAME_MAX];

	part_name(id, part, name);
	return fstatat(state->spool_fd, name, ret, AT_SYMLINK_NOFOLLOW) == 0;
}

bool part_fail(struct state *state, uint32_t id, enum part part, const char *verb, GError **error)
{
	g_autofree char *path = NULL;
	char name[PART_NAME_MAX];
	int number = errno;

	part_name(id, part, name);
	path = g_build_filename(state->dir, "spool", name, NULL);
	errno = number;
	return file_fail(verb, path, error);
}

void part_unlink(struct state *state, uint32_t id, enum part part)
{
	char name[PART_NAME_MAX];

	part_name(id, part, name);
	if (unlinkat(state->spool_fd, name, 0) != 0 && errno != ENOENT)
		log_warning("cannot remove '%s/spool/%s': %s", state->dir, name, g_strerror(errno));
}

bool part_rename(struct state *state, uint32_t id, enum part from, enum part to)
{
	char old[PART_NAME_MAX], new[PART_NAME_MAX];

	part_name(id, from, old);
	part_name(id, to, new);
	return renameat(state->spool_fd, old, state->spool_fd, new) == 0;
}

static ssize_t read_some(int fd, void *buffer, off_t offset)
{
	ssize_t len;

	do {
		len = pread(fd, buffer, BUFFER_SIZE, offset);
	} while (len < 0 && errno == EINTR);
	return len;
}

/* --- the upload --- */

struct copy {
	int from, to;
	off_t read, written;
	bool after_cr; /* its CRLF is written */
	bool in_line;  /* the last line has no end yet */
	char in[BUFFER_SIZE];
	char out[2 * BUFFER_SIZE];
};

/* Every CR, LF and CRLF becomes CRLF. Returns the bytes of `out`, or -1 for NUL. */
static ssize_t convert(struct copy *copy, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = copy->in[i];
		bool second = c == '\n' && copy->after_cr;

		if (c == '\0')
			return -1;
		copy->after_cr = c == '\r';
		if (second)
			continue;
		copy->in_line = c != '\r' && c != '\n';
		if (copy->in_line) {
			copy->out[n++] = c;
		} else {
			copy->out[n++] = '\r';
			copy->out[n++] = '\n';
		}
	}
	return (ssize_t)n;
}

/* False with errno; EILSEQ: NUL. */
static bool convert_all(struct copy *copy)
{
	ssize_t len, n;

	while ((len = read_some(copy->from, copy->in, copy->read)) > 0) {
		n = convert(copy, (size_t)len);
		if (n < 0) {
			errno = EILSEQ;
			return false;
		}
		if (!file_pwrite_all(copy->to, copy->out, (size_t)n, copy->written))
			return false;
		copy->read += len;
		copy->written += n;
	}
	if (len == 0 && copy->in_line)
		return file_pwrite_all(copy->to, "\r\n", 2, copy->written);
	return len == 0;
}

static bool keep_time(int from, int to)
{
	struct stat stat;

	if (fstat(from, &stat) != 0)
		return false;
	return futimens(to, (struct timespec[]){stat.st_mtim, stat.st_mtim}) == 0;
}

/* `to` is closed. */
static bool copy_converted(int from, int to)
{
	struct copy *copy = g_new(struct copy, 1);

	copy->from = from;
	copy->to = to;
	copy->read = copy->written = 0;
	copy->after_cr = copy->in_line = false;
	bool ok = convert_all(copy) && keep_time(from, to) && fsync(to) == 0;
	int number = errno;

	g_free(copy);
	close(to);
	errno = number;
	return ok;
}

static bool upload_fail(struct state *state, uint32_t id, GError **error)
{
	if (errno != EILSEQ)
		return part_fail(state, id, PART_UPLOAD, "write", error);
	g_set_error(error, MAILFS_ERROR, ERROR_REFUSED, "it holds a NUL byte");
	return false;
}

bool part_make_upload(struct state *state, uint32_t id, GError **error)
{
	int from = part_open(state, id, PART_WORK, O_RDONLY);
	int to = from < 0 ? -1 : part_open(state, id, PART_TMP, O_WRONLY | O_CREAT | O_TRUNC);
	bool ok = to >= 0 && copy_converted(from, to) &&
		  part_rename(state, id, PART_TMP, PART_UPLOAD) && fsync(state->spool_fd) == 0;

	if (!ok) {
		upload_fail(state, id, error);
		part_unlink(state, id, PART_TMP);
		part_unlink(state, id, PART_UPLOAD);
	}
	if (from >= 0)
		close(from);
	return ok;
}

/* --- filling --- */

static bool copy_plain(const struct file_span *from, int to)
{
	g_autofree char *buffer = g_malloc(BUFFER_SIZE);
	uint64_t left = from ? from->size : 0, done = 0;

	if (ftruncate(to, 0) != 0)
		return false;
	while (left > 0) {
		ssize_t len = read_some(from->fd, buffer, (off_t)(from->start + done));
		size_t take = len > 0 ? MIN((size_t)len, left) : 0;

		if (len == 0)
			errno = EIO; /* somebody has cut it */
		if (take == 0 || !file_pwrite_all(to, buffer, take, (off_t)done))
			return false;
		done += take;
		left -= take;
	}
	return true;
}

bool part_fill(struct state *state, uint32_t id, const struct file_span *from, GError **error)
{
	int to = part_open(state, id, PART_WORK, O_WRONLY);
	bool ok = to >= 0 && copy_plain(from, to);

	if (!ok)
		part_fail(state, id, PART_WORK, "write", error);
	if (!ok && to >= 0 && ftruncate(to, 0) != 0)
		log_warning("cannot empty '%s/spool/%u': %s", state->dir, id, g_strerror(errno));
	if (to >= 0)
		close(to);
	return ok;
}
