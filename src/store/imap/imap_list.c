/* Folders, counts and quota. */
#include "store/imap/imap_store.h"

#include "base/limits.h"
#include "base/log.h"

/* --- QUOTA (RFC 9208) --- */

static void quota_done(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	/* Who is not told does without. */
	job->commands--;
	if (tagged)
		imap_store_finish(job);
}

static void quota_send(struct imap_job *job)
{
	struct imap_command *command;

	if (!(imap_session_caps(job->store->session) & IMAP_CAP_QUOTA))
		return;
	command = imap_command_new("GETQUOTAROOT INBOX");
	imap_store_send(job, &command, false, quota_done);
}

void imap_quota_untagged(struct store *store, const struct imap_response *response)
{
	if (!response->has_storage && !response->has_message_quota)
		return;
	store->sink->quota(store->data,
			   &(struct store_quota){.used_bytes = response->storage_used,
						 .limit_bytes = response->storage_limit,
						 .used_messages = response->message_used,
						 .limit_messages = response->message_limit});
}

/* --- LIST --- */

static void list_send(struct imap_job *job, const char *options, imap_done_fn done)
{
	struct imap_command *command = imap_command_new("LIST \"\" \"*\"%s", options);

	job->store->list_count = 0;
	job->store->list_inbox = false;
	imap_store_send(job, &command, false, done);
}

static void listed(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	imap_store_answered(job, tagged, "cannot list folders");
	if (tagged)
		imap_store_finish(job);
}

static void listed_extended(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	/* Some servers leave out INBOX, or refuse options that they advertise. */
	if (tagged && (tagged->status != IMAP_OK || !job->store->list_inbox)) {
		job->commands--;
		list_send(job, "", listed);
		return;
	}
	listed(data, tagged);
}

static const char *status_items(const struct store *store)
{
	if (imap_session_caps(store->session) & IMAP_CAP_CONDSTORE)
		return "(MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)";
	return "(MESSAGES UIDNEXT UIDVALIDITY)";
}

/* What LIST shall tell beside (RFC 5258, RFC 6154, RFC 5819). Free with g_free(). */
static char *list_options(const struct imap_job *job)
{
	unsigned caps = imap_session_caps(job->store->session);
	bool roles = caps & IMAP_CAP_SPECIAL_USE;
	bool counts = job->job->counts && caps & IMAP_CAP_LIST_STATUS;
	g_autofree char *status =
		counts ? g_strconcat("STATUS ", status_items(job->store), NULL) : g_strdup("");

	if (!(caps & IMAP_CAP_LIST_EXTENDED) || (!roles && !counts))
		return NULL;
	return g_strdup_printf(" RETURN (%s%s%s)", roles ? "SPECIAL-USE" : "",
			       roles && counts ? " " : "", status);
}

void imap_list_start(struct imap_job *job)
{
	g_autofree char *options = list_options(job);

	if (options)
		list_send(job, options, listed_extended);
	else
		list_send(job, "", listed);
	quota_send(job);
}

void imap_list_untagged(struct store *store, const struct imap_response *response)
{
	if (!response->mailbox || !*response->mailbox)
		return;
	if (++store->list_count > LIMIT_FOLDERS) {
		if (store->list_count == LIMIT_FOLDERS + 1)
			log_warning("%s: more than %d folders: the rest is not shown",
				    store->account->name, LIMIT_FOLDERS);
		return;
	}
	if (g_ascii_strcasecmp(response->mailbox, "INBOX") == 0)
		store->list_inbox = true;
	store->sink->folder(store->data,
			    &(struct store_folder){.name = response->mailbox,
						   .separator = response->separator,
						   .attributes = response->attributes});
}

/* --- STATUS --- */

static void status_done(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	/* A folder that cannot be asked is simply not news. */
	job->commands--;
	if (tagged)
		imap_store_finish(job);
}

static void status_send(struct imap_job *job)
{
	for (unsigned i = 0; i < job->job->names->len; i++) {
		struct imap_command *command =
			imap_store_named("STATUS", g_ptr_array_index(job->job->names, i));

		imap_command_text(command, " %s", status_items(job->store));
		imap_store_send(job, &command, false, status_done);
	}
	imap_store_finish(job);
}

void imap_status_start(struct imap_job *job)
{
	const struct store *store = job->store;
	bool open = false;

	for (unsigned i = 0; store->selected_name && i < job->job->names->len; i++)
		open |= imap_store_is_same(g_ptr_array_index(job->job->names, i),
					   store->selected_name);
	/* STATUS of the open mailbox is asking for trouble (RFC 9051 section 6.3.11). */
	if (open)
		imap_leave(job, status_send);
	else
		status_send(job);
}

static struct store_mailbox told_mailbox(const struct imap_response *response)
{
	return (struct store_mailbox){.uidvalidity = response->uidvalidity,
				      .messages = response->messages,
				      .uidnext = (uint32_t)MIN(response->uidnext, G_MAXUINT32),
				      .modseq = response->highestmodseq};
}

void imap_list_status(struct store *store, const struct imap_response *response)
{
	struct store_mailbox box = told_mailbox(response);

	store->sink->counts(store->data, response->mailbox, &box);
}

void imap_status_untagged(struct imap_job *job, const struct imap_response *response)
{
	struct store *store = job->store;
	struct store_mailbox box = told_mailbox(response);

	for (unsigned i = 0; i < job->job->names->len; i++) {
		if (!imap_store_is_same(g_ptr_array_index(job->job->names, i), response->mailbox))
			continue;
		store->sink->status(store->data, g_array_index(job->job->folders, uint32_t, i),
				    &box);
	}
}
