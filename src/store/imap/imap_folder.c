/* Folders made, renamed and removed (RFC 9051 section 6.3.4 to 6.3.9). Whether a folder is
 * subscribed is told to the server, but whether the server heard does not matter. */
#include "store/imap/imap_store.h"

#include "base/error.h"

#include <string.h>

#define SEARCH_MAX 50000 /* UIDs that fit one line of a SEARCH answer */

static char *what_fails(const struct imap_job *job, const char *verb)
{
	g_autofree char *name = imap_store_shown_name(job);

	return g_strdup_printf("cannot %s %s", verb, name);
}

static void subscription_done(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	job->commands--;
	if (tagged)
		imap_store_finish(job);
}

static void send_subscription(struct imap_job *job, const char *verb, const char *name)
{
	struct imap_command *command = imap_store_named(verb, name);

	imap_store_send(job, &command, false, subscription_done);
}

/* --- CREATE --- */

static void created(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	g_autofree char *what = what_fails(job, "create");

	imap_store_answered(job, tagged, what);
	if (tagged)
		imap_store_finish(job);
}

void imap_create_start(struct imap_job *job)
{
	struct imap_command *command = imap_store_named("CREATE", job->job->name);

	job->job->sent = true;
	imap_store_send(job, &command, false, created);
	send_subscription(job, "SUBSCRIBE", job->job->name);
}

/* --- LEAVE --- */

static bool is_open_or_above(const struct imap_job *job)
{
	const char *open = job->store->selected_name;
	const char *name = job->job->name;
	size_t len = strlen(name);

	if (!open)
		return false;
	return imap_store_is_same(open, name) ||
	       (job->job->separator && strncmp(open, name, len) == 0 &&
		open[len] == job->job->separator);
}

void imap_leave_start(struct imap_job *job)
{
	if (is_open_or_above(job))
		imap_leave(job, imap_store_finish);
	else
		imap_store_finish(job);
}

/* --- DELETE --- */

static void deleted(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	g_autofree char *what = what_fails(job, "remove");

	if (imap_store_answered(job, tagged, what))
		send_subscription(job, "UNSUBSCRIBE", job->job->name);
	else if (tagged)
		imap_store_finish(job);
}

static void delete_send(struct imap_job *job)
{
	struct imap_command *command = imap_store_named("DELETE", job->job->name);

	job->job->sent = true;
	imap_store_send(job, &command, false, deleted);
}

static void fail_not_empty(struct imap_job *job)
{
	g_autofree char *what = what_fails(job, "remove");

	imap_store_fail(job,
			g_error_new(MAILFS_ERROR, ERROR_NOT_EMPTY, "%s: it holds messages", what));
	imap_store_finish(job);
}

/* All that the server counts must be among those that it calls deleted: an answer that lacks some
 * cannot make a full folder look empty. */
static void searched(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	g_autofree char *what = what_fails(job, "remove");

	job->counting = false;
	if (!imap_store_answered(job, tagged, what)) {
		if (tagged)
			imap_store_finish(job);
	} else if (seqset_count(&job->seen) != job->store->box.messages) {
		fail_not_empty(job);
	} else {
		imap_leave(job, delete_send);
	}
}

static void delete_opened(struct imap_job *job)
{
	struct imap_command *command;

	if (job->store->box.messages == 0) {
		imap_leave(job, delete_send);
	} else if (job->store->box.messages > SEARCH_MAX) {
		fail_not_empty(job);
	} else {
		command = imap_command_new("UID SEARCH DELETED");
		job->counting = true;
		imap_store_send(job, &command, false, searched);
	}
}

void imap_delete_listed(struct imap_job *job, const struct imap_response *response)
{
	/* A "%" of the name may match others. */
	if (strcmp(response->mailbox, job->job->name) == 0 &&
	    (response->attributes & IMAP_LIST_NOSELECT))
		job->unselectable = true;
}

static void delete_listed(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	job->commands--;
	if (!tagged)
		return;
	if (tagged->status == IMAP_OK && job->unselectable) {
		g_clear_error(&job->error);
		delete_send(job);
	} else {
		imap_store_finish(job);
	}
}

/* One that cannot be opened because it can hold no messages may go; any other may hold some. */
static void delete_not_opened(struct imap_job *job)
{
	struct imap_command *command = imap_store_named("LIST \"\"", job->job->name);

	imap_store_send(job, &command, false, delete_listed);
}

void imap_delete_start(struct imap_job *job)
{
	job->refused = delete_not_opened;
	imap_select(job, "", delete_opened);
}

/* --- RENAME --- */

static void renamed(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	g_autofree char *what = what_fails(job, "rename");

	if (imap_store_answered(job, tagged, what)) {
		send_subscription(job, "SUBSCRIBE", job->job->target);
		send_subscription(job, "UNSUBSCRIBE", job->job->name);
	} else if (tagged) {
		imap_store_finish(job);
	}
}

static void rename_send(struct imap_job *job)
{
	struct imap_command *command = imap_store_named("RENAME", job->job->name);

	imap_command_text(command, " ");
	imap_command_string(command, job->job->target, strlen(job->job->target));
	job->job->sent = true;
	imap_store_send(job, &command, false, renamed);
}

void imap_rename_start(struct imap_job *job)
{
	if (is_open_or_above(job))
		imap_leave(job, rename_send);
	else
		rename_send(job);
}
