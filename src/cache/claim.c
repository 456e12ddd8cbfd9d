#include "cache/claim.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define CLAIM_FILE "lock"
#define CLAIM_TEXT_MAX 4200 /* a path and a number */

/* "4711 /home/alice/mail", for people only. */
static void report_holder(int fd, GError **error)
{
	char text[CLAIM_TEXT_MAX];
	ssize_t len = pread(fd, text, sizeof(text), 0);
	g_autofree char *clean = NULL;
	const char *mountpoint;

	if (len > 0 && text[len - 1] == '\n')
		len--;
	clean = text_clean(text, MAX(len, 0), sizeof(text));
	mountpoint = strchr(clean, ' ');
	if (mountpoint)
		g_set_error(error, MAILFS_ERROR, ERROR_BUSY,
			    "the account is mounted already: process %.*s at %s",
			    (int)(mountpoint - clean), clean, mountpoint + 1);
	else
		g_set_error(error, MAILFS_ERROR, ERROR_BUSY,
			    "the account is being mounted by another process");
}

static bool write_holder(int fd, const char *mountpoint)
{
	g_autofree char *text = g_strdup_printf("%d %s\n", (int)getpid(), mountpoint);
	ssize_t len = (ssize_t)strlen(text);

	return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len;
}

int claim_take(const char *dir, const char *mountpoint, GError **error)
{
	g_autofree char *path = g_build_filename(dir, CLAIM_FILE, NULL);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && write_holder(fd, mountpoint))
		return fd;
	if (fd >= 0 && errno == EWOULDBLOCK)
		report_holder(fd, error);
	else
		file_fail("take the lock", path, error);
	if (fd >= 0)
		close(fd);
	return -1;
}
