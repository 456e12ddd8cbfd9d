#include "sendmail/handover.h"

#include "base/file.h"
#include "base/text.h"
#include "sendmail/failure.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *name_new(void)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *time = g_date_time_format(now, "%Y%m%dT%H%M%SZ");

	return g_strdup_printf("sendmail-%s-%d-%08x", time, (int)getpid(), g_random_int());
}

static char *draft_name(const struct handover *handover)
{
	return g_strconcat(handover->name, ".tmp", NULL);
}

static char *envelope_name(const struct handover *handover)
{
	return g_strconcat(".", handover->name, ".eml.envelope", NULL);
}

static bool fail(const struct handover *handover, int status, const char *verb, const char *name,
		 GError **error)
{
	int number = errno;
	g_autofree char *path = g_build_filename(handover->path, name, NULL);

	errno = number;
	return failure_errno(error, status, verb, path);
}

static bool create(const struct handover *handover, const char *name, int *ret_fd, GError **error)
{
	int fd = openat(handover->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			0600);

	if (fd < 0)
		return fail(handover, errno == EACCES || errno == EPERM ? EX_NOPERM : EX_CANTCREAT,
			    "create", name, error);
	*ret_fd = fd;
	return true;
}

/* Written to any other directory, a mail would lie there, and seem to be sent. */
static bool check_outbox(const struct handover *handover, GError **error)
{
	g_autofree char *shown = NULL;
	struct stat attr;

	if (fstatat(handover->dir, "failed", &attr, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(attr.st_mode))
		return true;
	shown = text_clean(handover->path, -1, PATH_MAX);
	return failure_set(error, EX_CANTCREAT, "'%s' is not the outbox of a mounted account",
			   shown);
}

bool handover_begin(struct handover *ret, const char *outbox, GError **error)
{
	g_autofree char *draft = NULL;

	*ret = (struct handover){.path = g_strdup(outbox), .name = name_new(), .dir = -1, .fd = -1};
	ret->dir = open(outbox, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ret->dir < 0)
		return failure_errno(error, errno == EACCES ? EX_NOPERM : EX_CANTCREAT, "open",
				     outbox);
	if (!check_outbox(ret, error))
		return false;
	draft = draft_name(ret);
	ret->has_draft = create(ret, draft, &ret->fd, error);
	return ret->has_draft;
}

/* The mount knows what the server takes. */
static int write_status(void)
{
	return errno == EFBIG || errno == EMSGSIZE ? EX_DATAERR : EX_IOERR;
}

bool handover_write(struct handover *handover, const char *bytes, size_t len, GError **error)
{
	g_autofree char *name = NULL;

	if (file_pwrite_all(handover->fd, bytes, len, (off_t)handover->size)) {
		handover->size += len;
		return true;
	}
	name = draft_name(handover);
	return fail(handover, write_status(), "write", name, error);
}

/* Synced and closed; `*fd` is -1 then. */
static bool complete(const struct handover *handover, const char *name, int *fd, GError **error)
{
	bool synced = fsync(*fd) == 0;
	int number = errno;
	bool closed = close(*fd) == 0;

	*fd = -1;
	if (synced && closed)
		return true;
	if (!synced)
		errno = number;
	return fail(handover, write_status(), "write", name, error);
}

static bool envelope_write(struct handover *handover, const char *text, GError **error)
{
	g_autofree char *name = envelope_name(handover);
	int fd = -1;

	if (!create(handover, name, &fd, error))
		return false;
	handover->has_envelope = true;
	if (!file_pwrite_all(fd, text, strlen(text), 0)) {
		fail(handover, write_status(), "write", name, error);
		close(fd);
		return false;
	}
	return complete(handover, name, &fd, error);
}

bool handover_finish(struct handover *handover, const char *envelope, GError **error)
{
	g_autofree char *name = draft_name(handover);

	if (handover->size == 0)
		return failure_set(error, EX_DATAERR, "the message is empty, nothing is sent");
	return complete(handover, name, &handover->fd, error) &&
	       envelope_write(handover, envelope, error);
}

/* Opened before: behind the rename it may be sent, and gone, at any moment. */
bool handover_commit(struct handover *handover, int *ret_reader, GError **error)
{
	g_autofree char *draft = draft_name(handover);
	g_autofree char *name = g_strconcat(handover->name, ".eml", NULL);
	int reader = openat(handover->dir, draft, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (reader < 0)
		return fail(handover, EX_IOERR, "open", draft, error);
	if (renameat(handover->dir, draft, handover->dir, name) < 0) {
		fail(handover, write_status(), "rename", draft, error);
		close(reader);
		return false;
	}
	handover->has_draft = handover->has_envelope = false;
	*ret_reader = reader;
	return true;
}

static void remove_file(const struct handover *handover, char *name)
{
	unlinkat(handover->dir, name, 0);
	g_free(name);
}

void handover_clear(struct handover *handover)
{
	if (handover->fd >= 0)
		close(handover->fd);
	if (handover->has_envelope)
		remove_file(handover, envelope_name(handover));
	if (handover->has_draft)
		remove_file(handover, draft_name(handover));
	if (handover->dir >= 0)
		close(handover->dir);
	g_free(handover->path);
	g_free(handover->name);
	*handover = (struct handover){.dir = -1, .fd = -1};
}
