/* What is in a mailbox, so far that a message can be told from others. */
#include "store/imap/imap_store.h"

#include "base/error.h"
#include "base/limits.h"
#include "store/identity.h"

#define ITEMS                                                                                      \
	"(UID RFC822.SIZE INTERNALDATE "                                                           \
	"BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM TO SUBJECT)])"

static void found(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	g_autofree char *name = imap_store_shown_name(job);
	g_autofree char *what = g_strdup_printf("cannot look through %s", name);

	imap_store_answered(job, tagged, what);
	if (tagged)
		imap_store_finish(job);
}

static void find_send(struct imap_job *job, const char *uids)
{
	struct imap_command *command = imap_command_new("UID FETCH %s " ITEMS, uids);

	imap_store_send(job, &command, false, found);
}

static uint32_t first_wanted(const struct imap_job *job)
{
	return MAX(job->job->known.uidnext, 1);
}

static void find_opened(struct imap_job *job)
{
	g_autoptr(GPtrArray) pieces = imap_store_set_pieces(&job->job->uids);

	for (unsigned i = 0; i < pieces->len; i++)
		find_send(job, g_ptr_array_index(pieces, i));
	/* Some servers refuse to fetch from an empty mailbox. */
	if (pieces->len == 0 && job->store->box.messages > 0) {
		g_autofree char *from = g_strdup_printf("%u:*", first_wanted(job));

		find_send(job, from);
	}
	imap_store_finish(job);
}

static void find_ready(struct imap_job *job)
{
	/* What just arrived is looked for. */
	if (job->fresh || job->job->uids.ranges)
		find_opened(job);
	else
		imap_store_news(job, find_opened);
}

void imap_find_start(struct imap_job *job)
{
	job->job->found = g_ptr_array_new_with_free_func(store_identity_free);
	imap_select_to_read(job, find_ready);
}

/* "n:*" gives the last message even if it is below n. */
static bool is_wanted(const struct imap_job *job, uint32_t uid)
{
	if (seqset_contains(&job->seen, uid))
		return false;
	if (job->job->uids.ranges)
		return seqset_contains(&job->job->uids, uid);
	return uid >= first_wanted(job);
}

void imap_find_fetch(struct imap_job *job, const struct imap_fetch *fetch)
{
	const unsigned all = IMAP_FETCH_UID | IMAP_FETCH_SIZE | IMAP_FETCH_HEADER;
	struct store_identity *identity;
	const char *header;
	gsize len;

	if ((fetch->items & all) != all || !is_wanted(job, fetch->uid) || job->error)
		return;
	if (job->job->found->len == LIMIT_FOUND) {
		imap_store_fail(job,
				g_error_new(MAILFS_ERROR, ERROR_LIMIT,
					    "more than %d messages to look through", LIMIT_FOUND));
		return;
	}
	seqset_add(&job->seen, fetch->uid, fetch->uid);
	header = g_bytes_get_data(fetch->header, &len);
	identity = g_new0(struct store_identity, 1);
	identity->uid = fetch->uid;
	identity->size = fetch->size;
	identity->date_s = fetch->date_s;
	identity->fields = store_identity_fields(header, len);
	g_ptr_array_add(job->job->found, identity);
}
