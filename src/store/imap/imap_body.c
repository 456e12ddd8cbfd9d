/* Message bodies: BODY.PEEK[] whole, or <origin.window> by window. Bytes go out as they arrive;
 * they count only when the tagged OK came, the UID was ours, and the message was not expunged
 * meanwhile. Where that is in doubt (another length than RFC822.SIZE, an EXPUNGE that names no UID)
 * the server is asked once more whether the UID exists: some make up a body for a message that is
 * gone. */
#include "store/imap/imap_store.h"

#include "base/error.h"
#include "base/limits.h"

static void fail(struct imap_job *job, int code, const char *what)
{
	imap_store_fail(job, g_error_new(MAILFS_ERROR, code, "cannot read message %u of %s: %s",
					 job->job->uid, job->job->name, what));
}

static void complete(struct imap_job *job)
{
	const struct store_job *wanted = job->job;
	bool end = wanted->window == 0 || job->len == 0 ||
		   (job->len < wanted->window && wanted->origin + job->len == wanted->size_hint);

	if (!job->error && !job->store->sink->body_end(job->store->data, wanted, job->len, end))
		fail(job, ERROR_IO, "the cache cannot hold it");
	imap_store_finish(job);
}

static void looked_again(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	if (imap_store_answered(job, tagged, "cannot read a message") && !job->still_there)
		fail(job, ERROR_GONE, "it is gone");
	if (tagged && job->commands == 0)
		complete(job);
}

static void noop_done(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	imap_store_answered(job, tagged, "cannot read a message");
}

static void look_again(struct imap_job *job)
{
	struct imap_command *noop = imap_command_new("NOOP");
	struct imap_command *fetch = imap_command_new("UID FETCH %u (UID)", job->job->uid);

	job->still_there = false;
	imap_store_send(job, &noop, false, noop_done);
	imap_store_send(job, &fetch, false, looked_again);
}

static bool is_doubtful(const struct imap_job *job)
{
	const struct store_job *wanted = job->job;

	if (job->expunges != job->store->expunges)
		return true;
	return wanted->window == 0 && job->len != wanted->size_hint;
}

static void fetched(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	g_autofree char *what =
		g_strdup_printf("cannot read message %u of %s", job->job->uid, job->job->name);

	if (job->store->body == job)
		job->store->body = NULL;
	if (imap_store_answered(job, tagged, what) && !job->got)
		fail(job, ERROR_GONE, "the server sent nothing");
	if (!tagged)
		return;
	if (!job->error && is_doubtful(job))
		look_again(job);
	else
		complete(job);
}

static void body_opened(struct imap_job *job)
{
	struct store *store = job->store;
	const struct store_job *wanted = job->job;
	struct imap_command *command;

	if (store->box.uidvalidity != wanted->known.uidvalidity) {
		fail(job, ERROR_STALE, "its folder was replaced on the server");
		imap_store_finish(job);
		return;
	}
	command = imap_command_new("UID FETCH %u (UID BODY.PEEK[]", wanted->uid);
	if (wanted->window > 0)
		imap_command_text(command, "<%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT ">",
				  wanted->origin, wanted->window);
	imap_command_text(command, ")");
	job->expunges = store->expunges;
	imap_store_send(job, &command, false, fetched);
}

void imap_body_start(struct imap_job *job)
{
	const struct store *store = job->store;

	/* What is open may be a mailbox that was deleted and made anew since. */
	if (store->selected == job->job->folder &&
	    store->box.uidvalidity == job->job->known.uidvalidity)
		body_opened(job);
	else
		imap_select(job, "", body_opened);
}

/* --- what arrives --- */

static struct imap_job *body_of_uid(struct store *store, uint32_t uid)
{
	for (GList *link = store->jobs.head; link; link = link->next) {
		struct imap_job *job = link->data;

		if (job->job->kind == STORE_BODY && job->commands > 0 && !job->got &&
		    (uid == 0 || job->job->uid == uid))
			return job;
	}
	return NULL;
}

void imap_body_begin(struct store *store, uint32_t uid, uint64_t size)
{
	struct imap_job *job = body_of_uid(store, uid);

	if (uid == 0)
		store->uid_late = true;
	store->body = job;
	store->body_offset = job ? job->job->origin : 0;
	if (!job)
		return;
	job->len = 0;
	if (size > LIMIT_MESSAGE_SIZE || (job->job->window > 0 && size > job->job->window))
		fail(job, ERROR_LIMIT, "the server sends more than was asked for");
	else if (!store->sink->body_begin(store->data, job->job))
		fail(job, ERROR_IO, "the cache cannot hold it");
}

void imap_body_data(struct store *store, const uint8_t *bytes, size_t len)
{
	struct imap_job *job = store->body;

	if (!job || job->error)
		return;
	if (!store->sink->body_data(store->data, job->job, store->body_offset, bytes, len)) {
		fail(job, ERROR_IO, "the cache cannot hold it");
		return;
	}
	store->body_offset += len;
	job->len += len;
}

static void take_inline(struct store *store, const struct imap_fetch *fetch)
{
	gsize len = 0;
	const uint8_t *bytes = fetch->body ? g_bytes_get_data(fetch->body, &len) : NULL;

	imap_body_begin(store, fetch->uid, len);
	if (len > 0)
		imap_body_data(store, bytes, len);
}

void imap_body_fetch(struct store *store, const struct imap_fetch *fetch)
{
	struct imap_job *job;

	if (!fetch->body_streamed)
		take_inline(store, fetch);
	job = store->body;
	store->body = NULL;
	if (!job || job->job->uid != fetch->uid || !(fetch->items & IMAP_FETCH_UID))
		return;
	/* NIL for a whole message means that there is none; for a window, that it ended before. */
	if (fetch->body_nil && job->job->window == 0)
		return;
	if (fetch->body_partial && fetch->body_origin != job->job->origin)
		return;
	job->got = true;
}

void imap_body_vanished(struct store *store, const struct seqset *uids)
{
	for (GList *link = store->jobs.head; link; link = link->next) {
		struct imap_job *job = link->data;

		if (job->job->kind == STORE_BODY && seqset_contains(uids, job->job->uid))
			fail(job, ERROR_GONE, "it was expunged");
	}
}
