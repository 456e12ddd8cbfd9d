/* Being told what happens in mailboxes, without asking: of one by IDLE (RFC 2177), of several by
 * NOTIFY (RFC 5465), as STATUS. What was told says only that a refresh is due; it takes place on
 * another connection, so nothing of it is kept here.
 *
 * The watch is begun anew now and then: NATs and servers forget those that are silent, and a
 * mailbox that was replaced on the server shows.
 */
#include "store/imap/imap_store.h"

#include "base/error.h"

#include <string.h>

static bool is_of_many(const struct imap_job *job)
{
	return job->job->names;
}

static struct imap_job *watcher(struct store *store)
{
	struct imap_job *job = g_queue_peek_head(&store->jobs);

	return job && job->job->kind == STORE_WATCH ? job : NULL;
}

/* Another job took its place. */
static bool is_over(const struct imap_job *job)
{
	return job->store->jobs.length > 1 || job->error;
}

/* --- IDLE --- */

static void begin(struct imap_job *job);

static void idle_ended(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	if (!imap_store_answered(job, tagged, "cannot wait for news") || is_over(job)) {
		if (tagged)
			imap_store_finish(job);
		return;
	}
	begin(job);
}

static void idle(struct imap_job *job)
{
	struct store *store = job->store;

	if (is_over(job)) {
		imap_store_finish(job);
		return;
	}
	store->watching = true;
	job->told = false;
	job->commands++;
	store->progress_ms = store->now_ms;
	imap_session_idle(store->session, idle_ended, job);
}

/* Who never says "+" tells nothing. */
static void tell_begun(struct store *store)
{
	struct imap_job *job = watcher(store);

	if (!job || job->told || !store->watching || !imap_session_is_idle(store->session))
		return;
	job->told = true;
	store->sink->status(store->data, job->job->folder, &store->box);
	store->sink->watched(store->data, job->job->folder);
}

/* --- NOTIFY --- */

/* Whoever was not told of by STATUS may have changed. */
static void tell_watched(struct imap_job *job)
{
	struct store *store = job->store;
	const GArray *folders = job->job->folders;

	for (unsigned i = 0; i < folders->len; i++) {
		uint32_t folder = g_array_index(folders, uint32_t, i);

		if (!seqset_contains(&job->seen, i + 1))
			store->sink->changed(store->data, folder, true);
		store->sink->watched(store->data, folder);
	}
}

static void notifying(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	if (imap_store_answered(job, tagged, "cannot be told of news") && !is_over(job))
		tell_watched(job);
	else if (tagged)
		imap_store_finish(job);
}

static void silenced(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	job->commands--;
	/* The other answer may have come first. */
	if (tagged && job->error)
		imap_store_finish(job);
}

/* Dovecot 2.3 forgets some of what is asked for over what was asked for before. */
static void silence(struct imap_job *job)
{
	struct imap_command *command = imap_command_new("NOTIFY NONE");

	if (job->store->notified)
		imap_store_send(job, &command, false, silenced);
	else
		imap_command_free(&command);
	job->store->notified = true;
}

static void notify(struct imap_job *job)
{
	const GPtrArray *names = job->job->names;
	struct imap_command *command = imap_command_new("NOTIFY SET STATUS (mailboxes (");

	for (unsigned i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);

		if (i > 0)
			imap_command_text(command, " ");
		imap_command_string(command, name, strlen(name));
	}
	imap_command_text(command, ") (MessageNew MessageExpunge FlagChange))");
	seqset_clear(&job->seen);
	silence(job);
	imap_store_send(job, &command, false, notifying);
}

static void notify_left(struct imap_job *job)
{
	if (is_over(job))
		imap_store_finish(job);
	else
		notify(job);
}

/* --- both --- */

static void begin(struct imap_job *job)
{
	struct store *store = job->store;
	bool condstore = imap_session_caps(store->session) & IMAP_CAP_CONDSTORE;

	store->watch_ms = store->now_ms + IMAP_WATCH_MS;
	if (is_of_many(job))
		imap_leave(job, notify_left);
	else
		imap_select(job, condstore ? " (CONDSTORE)" : "", idle);
}

void imap_watch_start(struct imap_job *job)
{
	struct imap_job *before = watcher(job->store);

	/* IDLE ends with its answer, which comes before that of what is sent now. */
	if (before && before != job)
		imap_store_finish(before);
	begin(job);
}

bool imap_watch_accepts(const struct store *store, const struct store_job *job)
{
	const struct imap_job *before = watcher((struct store *)store);
	bool quiet = before && (before->commands == 0 || imap_session_is_idle(store->session));

	return quiet && store->jobs.length == 1 &&
	       (job->kind == STORE_WATCH || job->kind == STORE_LEAVE);
}

void imap_watch_step(struct store *store)
{
	struct imap_job *job = watcher(store);

	if (!job || store->now_ms < store->watch_ms || is_over(job))
		return;
	store->progress_ms = store->now_ms;
	store->watch_ms = store->now_ms + IMAP_WATCH_MS;
	if (imap_session_is_idle(store->session))
		imap_session_idle_end(store->session);
	else if (job->commands == 0)
		begin(job);
}

int64_t imap_watch_deadline_ms(const struct store *store)
{
	return watcher((struct store *)store) ? store->watch_ms : INT64_MAX;
}

/* --- what is told --- */

static void news(struct store *store, bool flags)
{
	store->news = true;
	store->news_flags |= flags;
}

void imap_watch_tell(struct store *store)
{
	tell_begun(store);
	if (store->news && store->watching)
		store->sink->changed(store->data, store->selected, store->news_flags);
	store->news = store->news_flags = false;
}

void imap_watch_untagged(struct store *store, const struct imap_response *response)
{
	switch (response->data) {
	case IMAP_DATA_EXISTS:
		if (store->box.messages != response->number)
			news(store, false);
		store->box.messages = response->number;
		break;
	case IMAP_DATA_EXPUNGE:
		store->box.messages -= MIN(store->box.messages, 1);
		news(store, false);
		break;
	case IMAP_DATA_VANISHED:
		store->box.messages -= MIN(store->box.messages, seqset_count(&response->set));
		news(store, false);
		break;
	case IMAP_DATA_FETCH:
		news(store, true);
		break;
	default:
		break;
	}
}

/* Without a HIGHESTMODSEQ it does not show what was changed. */
static void told(struct imap_job *job, unsigned i, const struct store_mailbox *box)
{
	struct store *store = job->store;
	uint32_t folder = g_array_index(job->job->folders, uint32_t, i);
	bool later = job->commands == 0;

	seqset_add(&job->seen, i + 1, i + 1);
	if (later && box->modseq == 0)
		store->sink->changed(store->data, folder, true);
	else
		store->sink->status(store->data, folder, box);
}

void imap_watch_status(struct imap_job *job, const struct imap_response *response)
{
	const struct store_mailbox box = {.uidvalidity = response->uidvalidity,
					  .messages = response->messages,
					  .uidnext = (uint32_t)MIN(response->uidnext, G_MAXUINT32),
					  .modseq = response->highestmodseq};

	for (unsigned i = 0; is_of_many(job) && i < job->job->names->len; i++) {
		if (imap_store_is_same(g_ptr_array_index(job->job->names, i), response->mailbox))
			told(job, i, &box);
	}
}

/* RFC 5465 section 5.8: from now on nothing is told. */
void imap_watch_overflow(struct imap_job *job)
{
	imap_store_fail(
		job, g_error_new(MAILFS_ERROR, ERROR_REFUSED, "the server tells of no more news"));
	imap_store_finish(job);
}
