#include "cache/claim.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define CLAIM_FILE "lock"
#define CLAIM_TEXT_MAX 4200 /* a path and a number */
#define CLAIM_FINISHING "finishing"
#define CLAIM_POLL_US 20000

enum holder_state {
	HOLDER_UNKNOWN, /* it has not said who it is, or is just saying it */
	HOLDER_MOUNTED,
	HOLDER_FINISHING,
};

/* What the lock file says: "4711 /home/alice/mail" or "4711 finishing". */
struct holder {
	enum holder_state state;
	char *pid;
	char *mountpoint;
};

static void holder_clear(struct holder *holder)
{
	g_clear_pointer(&holder->pid, g_free);
	g_clear_pointer(&holder->mountpoint, g_free);
	holder->state = HOLDER_UNKNOWN;
}

static void holder_read(int fd, struct holder *ret)
{
	char text[CLAIM_TEXT_MAX];
	ssize_t len = pread(fd, text, sizeof(text), 0);
	g_autofree char *clean = NULL;
	const char *rest;

	holder_clear(ret);
	if (len <= 0 || text[len - 1] != '\n')
		return;
	clean = text_clean(text, len - 1, sizeof(text));
	rest = strchr(clean, ' ');
	if (!rest)
		return;
	ret->state = strcmp(rest + 1, CLAIM_FINISHING) == 0 ? HOLDER_FINISHING : HOLDER_MOUNTED;
	ret->pid = g_strndup(clean, (gsize)(rest - clean));
	ret->mountpoint = g_strdup(rest + 1);
}

static void holder_report(const struct holder *holder, GError **error)
{
	switch (holder->state) {
	case HOLDER_UNKNOWN:
		g_set_error(error, MAILFS_ERROR, ERROR_BUSY,
			    "the account is being mounted by another process");
		break;
	case HOLDER_MOUNTED:
		g_set_error(error, MAILFS_ERROR, ERROR_BUSY,
			    "the account is mounted already: process %s at %s", holder->pid,
			    holder->mountpoint);
		break;
	case HOLDER_FINISHING:
		g_set_error(error, MAILFS_ERROR, ERROR_BUSY,
			    "the account was unmounted, but process %s still sends changes",
			    holder->pid);
		break;
	}
}

static bool holder_write(int fd, const char *what)
{
	g_autofree char *text = g_strdup_printf("%d %s\n", (int)getpid(), what);
	ssize_t len = (ssize_t)strlen(text);

	return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len;
}

/* False with EWOULDBLOCK if somebody has it to the end, and `ret` says who. */
static bool lock_wait(int fd, int64_t patience_ms, struct holder *ret)
{
	int64_t start_ms = clock_mono_ms();
	bool told = false;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int64_t limit_ms = patience_ms;

		if (errno != EWOULDBLOCK)
			return false;
		holder_read(fd, ret);
		if (ret->state != HOLDER_FINISHING)
			limit_ms = MIN(limit_ms, CLAIM_GRACE_MS);
		else if (!told && limit_ms > 0)
			log_info("waiting for process %s to send the last changes", ret->pid);
		told |= ret->state == HOLDER_FINISHING;
		if (clock_mono_ms() - start_ms >= limit_ms) {
			errno = EWOULDBLOCK;
			return false;
		}
		g_usleep(CLAIM_POLL_US);
	}
	return true;
}

int claim_take(const char *dir, const char *mountpoint, int64_t patience_ms, GError **error)
{
	g_autofree char *path = g_build_filename(dir, CLAIM_FILE, NULL);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct holder holder = {0};
	bool taken = fd >= 0 && lock_wait(fd, patience_ms, &holder);

	if (taken && holder_write(fd, mountpoint)) {
		holder_clear(&holder);
		return fd;
	}
	if (fd >= 0 && !taken && errno == EWOULDBLOCK)
		holder_report(&holder, error);
	else
		file_fail("take the lock", path, error);
	holder_clear(&holder);
	if (fd >= 0)
		close(fd);
	return -1;
}

void claim_finishing(int claim)
{
	if (!holder_write(claim, CLAIM_FINISHING))
		log_debug("cannot say in the lock file that the mount is gone: %s",
			  g_strerror(errno));
}
