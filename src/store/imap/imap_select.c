/* The selected mailbox. EXAMINE, not SELECT: reading changes nothing, not even \Recent (RFC 9051
 * section 6.3.3). */
#include "store/imap/imap_store.h"

#include "base/error.h"

#include <string.h>

/* RFC 9051 demands a UIDVALIDITY (section 2.3.1.1), without which no cached byte can be trusted,
 * and EXISTS (section 6.3.2), without which the mailbox would look empty. */
static void examined(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	struct store *store = job->store;
	g_autofree char *name = imap_store_shown_name(job);
	g_autofree char *what = g_strdup_printf("cannot open %s", name);

	if (!imap_store_answered(job, tagged, what)) {
		store->selected = 0;
		imap_store_finish(job);
		return;
	}
	if (store->box.uidvalidity == 0 || !store->counted) {
		imap_store_fail(job,
				g_error_new(MAILFS_ERROR, ERROR_PROTOCOL,
					    "the server gives %s no %s", name,
					    store->counted ? "UIDVALIDITY" : "number of messages"));
		imap_store_finish(job);
		return;
	}
	store->dirty = false;
	job->next(job);
}

void imap_select(struct imap_job *job, const char *parameters, void (*next)(struct imap_job *))
{
	struct store *store = job->store;
	struct imap_command *command = imap_command_new("EXAMINE ");

	if (!imap_command_string(command, job->job->name, strlen(job->job->name))) {
		imap_command_free(&command);
		imap_store_fail(job, g_error_new(MAILFS_ERROR, ERROR_GONE, "no such mailbox"));
		imap_store_finish(job);
		return;
	}
	imap_command_text(command, "%s", parameters);
	store->selected = job->job->folder;
	store->box = (struct store_mailbox){0};
	store->counted = store->dirty = store->clean = false;
	job->next = next;
	imap_store_send(job, &command, true, examined);
}

static void mark_dirty(struct store *store)
{
	if (store->dirty)
		return;
	store->dirty = true;
	/* While the mailbox is being opened or refreshed the job itself will tell. */
	if (store->clean)
		store->sink->changed(store->data, store->selected);
}

/* While a mailbox is being opened, news of the one before may still come. They end with [CLOSED],
 * or, as not every server says that, where the new one says its UIDVALIDITY. */
static bool is_open(const struct store *store)
{
	return store->box.uidvalidity != 0;
}

static void status_code(struct store *store, const struct imap_response *response)
{
	switch (response->code) {
	case IMAP_CODE_UIDVALIDITY:
		store->box.uidvalidity = response->number;
		break;
	case IMAP_CODE_UIDNEXT:
		store->box.uidnext = (uint32_t)MIN(response->number, G_MAXUINT32);
		break;
	case IMAP_CODE_HIGHESTMODSEQ:
		store->box.modseq = response->number;
		break;
	case IMAP_CODE_CLOSED:
		if (!is_open(store)) {
			store->box = (struct store_mailbox){0};
			store->counted = false;
		}
		break;
	default:
		break;
	}
}

static void vanished(struct store *store, const struct imap_response *response)
{
	uint64_t count = seqset_count(&response->set);

	if (!response->earlier)
		store->box.messages -= MIN(store->box.messages, count);
	imap_body_vanished(store, &response->set);
	store->sink->gone(store->data, store->selected, store->box.uidvalidity, &response->set);
}

static void fetched(struct store *store, const struct imap_response *response)
{
	const struct imap_fetch *fetch = &response->fetch;
	struct imap_job *job = g_queue_peek_head(&store->jobs);

	if (fetch->items & IMAP_FETCH_BODY) {
		imap_body_fetch(store, fetch);
	} else if (job && job->job->kind == STORE_REFRESH && (fetch->items & IMAP_FETCH_UID)) {
		imap_refresh_fetch(job, fetch);
	} else if (fetch->items & IMAP_FETCH_UID) {
		imap_body_seen(store, fetch->uid);
	}
	if (!(fetch->items & IMAP_FETCH_FLAGS))
		return;
	if (!(fetch->items & IMAP_FETCH_UID))
		mark_dirty(store);
	else if (!(fetch->items & IMAP_FETCH_DATE))
		store->sink->flags(store->data, store->selected, store->box.uidvalidity, fetch->uid,
				   fetch->flags, fetch->keywords);
}

void imap_select_untagged(struct store *store, const struct imap_response *response)
{
	if (store->selected == 0)
		return;
	switch (response->data) {
	case IMAP_DATA_STATUS:
		status_code(store, response);
		break;
	case IMAP_DATA_EXISTS:
		if (store->box.messages != response->number)
			mark_dirty(store);
		store->box.messages = response->number;
		store->counted = true;
		break;
	case IMAP_DATA_EXPUNGE:
		store->expunges++;
		mark_dirty(store);
		if (store->box.messages > 0)
			store->box.messages--;
		break;
	case IMAP_DATA_VANISHED:
		if (is_open(store))
			vanished(store, response);
		break;
	case IMAP_DATA_FETCH:
		if (is_open(store))
			fetched(store, response);
		break;
	default:
		break;
	}
}
