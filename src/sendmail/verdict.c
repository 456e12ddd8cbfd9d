#include "sendmail/verdict.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"
#include "sendmail/failure.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define REASON_MAX 1000
#define BUSY_MS 5000
#define BUSY_PAUSE_US 20000

/* Our own close may still be on its way to the mount: for so long it takes us for a writer. Who was
 * stopped and goes on (Ctrl-Z, fg) waits on. */
static int sync_patiently(int fd)
{
	int64_t until_ms = clock_mono_ms() + BUSY_MS;

	while (fsync(fd) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EBUSY || clock_mono_ms() >= until_ms)
			return errno;
		g_usleep(BUSY_PAUSE_US);
	}
	return 0;
}

bool verdict_wait(int reader, const char *outbox, const char *name, GError **error)
{
	int number = sync_patiently(reader);

	close(reader);
	return verdict_judge(number, outbox, name, error);
}

/* Why it failed; NULL: it has not. */
static char *reason_read(const char *failed)
{
	g_autofree char *path = g_strconcat(failed, ".err", NULL);
	g_autofree char *text = NULL;
	gsize len;

	if (!file_read(path, LIMIT_HEADER, false, &text, &len, NULL))
		return NULL;
	return text_clean(text, (gssize)strcspn(text, "\r\n"), REASON_MAX);
}

/* An enhanced status code 5.1.x (RFC 3463): about the address. */
static bool is_about_address(const char *reason)
{
	return g_regex_match_simple("(?<![0-9.])5\\.1\\.[0-9]{1,3}(?![0-9.])", reason, 0, 0);
}

static int refusal_status(const char *reason, int number)
{
	if (is_about_address(reason))
		return EX_NOUSER;
	return number == EINVAL ? EX_DATAERR : EX_UNAVAILABLE;
}

bool verdict_judge(int number, const char *outbox, const char *name, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s/%s.eml", outbox, name);
	g_autofree char *failed = g_strdup_printf("%s/failed/%s.eml", outbox, name);
	g_autofree char *shown = text_clean(failed, -1, PATH_MAX);
	g_autofree char *reason = NULL;

	if (number == 0)
		return true;
	reason = reason_read(failed);
	if (reason)
		return failure_set(error, refusal_status(reason, number),
				   "%s; the message is in %s", reason, shown);
	/* A mount that has gone takes it up again when it comes back. */
	if (access(path, F_OK) == 0 || errno == ENOTCONN || number == ENOTCONN)
		return failure_set(error, EX_TEMPFAIL, "queued, not sent yet: %s",
				   g_strerror(number));
	return failure_set(error, EX_IOERR,
			   "the message is not in the outbox any more, and was not sent: %s",
			   g_strerror(number));
}
