/* New messages (RFC 9051 section 6.3.12). */
#include "store/imap/imap_store.h"

#include "base/error.h"
#include "base/limits.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DATE_END 2145916800 /* 2038: some servers count in 32 bits */

static char *what_fails(const struct imap_job *job)
{
	g_autofree char *name = imap_store_shown_name(job);

	return g_strdup_printf("cannot add a message to %s", name);
}

static void fail(struct imap_job *job, int code, const char *why)
{
	g_autofree char *what = what_fails(job);

	imap_store_fail(job, g_error_new(MAILFS_ERROR, code, "%s: %s", what, why));
	imap_store_finish(job);
}

/* " 1-Jan-2024 10:00:00 +0000" */
static char *date_text(int64_t date_s)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = (time_t)CLAMP(date_s, 0, DATE_END - 1);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	return g_strdup_printf("%2d-%.3s-%04d %02d:%02d:%02d +0000", tm.tm_mday,
			       months + tm.tm_mon * 3, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
			       tm.tm_sec);
}

static size_t read_piece(void *data, uint64_t offset, void *bytes, size_t max)
{
	const struct imap_job *job = data;
	ssize_t n;

	do {
		n = pread(job->job->fd, bytes, max, (off_t)offset);
	} while (n < 0 && errno == EINTR);
	return n > 0 ? (size_t)n : 0;
}

static void take_uid(struct store_job *job, const struct imap_response *tagged)
{
	const struct seqrange *uid;

	if (tagged->code != IMAP_CODE_APPENDUID)
		return;
	uid = &g_array_index(tagged->to, struct seqrange, 0);
	if (tagged->to->len > 1 || uid->first != uid->last)
		return; /* one message was sent */
	job->box.uidvalidity = tagged->number;
	job->appended_uid = uid->first;
}

static void appended(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	g_autofree char *what = what_fails(job);

	if (imap_store_delivered(job, tagged, what, job->job->name))
		take_uid(job->job, tagged);
	if (!tagged)
		return;
	/* Exchange says BAD to a message that it does not like. */
	if (tagged->status == IMAP_BAD && g_error_matches(job->error, MAILFS_ERROR, ERROR_SERVER))
		job->error->code = ERROR_REFUSED;
	imap_store_finish(job);
}

/* A literal that was announced cannot be cut short. */
static bool is_readable(const struct store_job *job)
{
	struct stat stat;

	return fstat(job->fd, &stat) == 0 && stat.st_size >= 0 &&
	       (uint64_t)stat.st_size >= job->len;
}

void imap_append_start(struct imap_job *job)
{
	struct store_job *wanted = job->job;
	g_autofree char *flags = imap_store_flag_list(wanted->set, NULL);
	g_autofree char *date = date_text(wanted->date_s);
	struct imap_command *command;

	if (wanted->len > imap_session_append_limit(job->store->session)) {
		fail(job, ERROR_LIMIT, "it is larger than the server takes");
		return;
	}
	if (!is_readable(wanted)) {
		fail(job, ERROR_IO, "it cannot be read");
		return;
	}
	command = imap_store_named("APPEND", wanted->name);
	if (*flags)
		imap_command_text(command, " (%s)", flags);
	imap_command_text(command, " \"%s\" ", date);
	imap_command_stream(command, wanted->len, read_piece, job);
	wanted->sent = true;
	imap_store_send(job, &command, false, appended);
}

/* --- MARK --- */

static void marked(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	g_autofree char *name = imap_store_shown_name(job);
	g_autofree char *what = g_strdup_printf("cannot ask for the state of %s", name);

	imap_store_answered(job, tagged, what);
	if (tagged)
		imap_store_finish(job);
}

static void mark_send(struct imap_job *job)
{
	struct imap_command *command = imap_store_named("STATUS", job->job->name);

	imap_command_text(command, " (UIDNEXT UIDVALIDITY)");
	imap_store_send(job, &command, false, marked);
}

void imap_mark_start(struct imap_job *job)
{
	const char *open = job->store->selected_name;

	if (open && imap_store_is_same(open, job->job->name))
		imap_leave(job, mark_send);
	else
		mark_send(job);
}

void imap_mark_untagged(struct imap_job *job, const struct imap_response *response)
{
	if (!imap_store_is_same(job->job->name, response->mailbox))
		return;
	job->job->box.uidvalidity = response->uidvalidity;
	job->job->box.uidnext = (uint32_t)MIN(response->uidnext, G_MAXUINT32);
}
