/* Bringing the index up to date with one mailbox, in as few round trips as the server allows:
 *
 * - QRESYNC: EXAMINE (QRESYNC ...) tells flags and expunges; UID FETCH what is new;
 *
 * - CONDSTORE: EXAMINE (CONDSTORE); UID FETCH what is new, and flags CHANGEDSINCE;
 *
 * - neither: EXAMINE; UID FETCH what is new and, now and then, all flags.
 *
 * A mailbox that was never opened is listed in the same round trip, if none is open.
 *
 * A mailbox that is open already is opened again: it costs no more than NOOP, and a mailbox that
 * was deleted and made anew does not pass for the old one. New messages and changed flags are asked
 * for together. Whether something was expunged shows in the number of messages; the engine compares
 * and asks again with `verify`, which finds the UIDs that exist. An answer that does not agree with
 * the server's own count is never taken for an absence.
 */
#include "store/imap/imap_store.h"

#include "base/error.h"
#include "base/header.h"
#include "base/limits.h"

#include <string.h>

#define FLAGS_AT_ONCE 5000  /* messages whose flags are all asked for as often as some change */
#define SEARCH_MAX 50000    /* UIDs that fit one line of a SEARCH answer */
#define SEARCH_WIDTH 150000 /* UIDs whose ranges fit one of ESEARCH, if every other one exists */
#define SEARCHES_MAX 64

#define ITEMS "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])"

/* --- the end --- */

static void report(struct imap_job *job)
{
	struct store *store = job->store;
	const struct store_known *known = &job->job->known;
	uint32_t uidnext =
		MAX(known->uidnext, job->highest == G_MAXUINT32 ? G_MAXUINT32 : job->highest + 1);

	uidnext = MAX(uidnext, store->box.uidnext);
	store->clean = !store->dirty;
	store->sink->refreshed(store->data, job->job->folder, uidnext, store->box.modseq,
			       store->dirty ? UINT64_MAX : store->box.messages);
	if (store->dirty)
		store->sink->changed(store->data, job->job->folder, store->dirty_flags);
}

static void finish(struct imap_job *job)
{
	if (job->commands > 0)
		return;
	if (!job->error)
		report(job);
	imap_store_finish(job);
}

static void fetched(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	imap_store_answered(job, tagged, "cannot list messages");
	if (tagged)
		finish(job);
}

static void send_fetch(struct imap_job *job, const char *arguments, imap_done_fn done)
{
	struct imap_command *command = imap_command_new("UID FETCH %s", arguments);

	imap_store_send(job, &command, false, done);
}

/* --- which UIDs exist --- */

static bool counts_agree(const struct imap_job *job)
{
	return !job->store->dirty && seqset_count(&job->seen) == job->store->box.messages;
}

static void report_present(struct imap_job *job)
{
	struct store *store = job->store;
	uint32_t uidnext = job->job->known.uidnext;

	/* The highest UID of all leaves no room for a UIDNEXT above it. */
	store->sink->present(store->data, job->job->folder, &job->seen,
			     uidnext == G_MAXUINT32 ? uidnext : uidnext - 1);
}

static void fail_by_count(struct imap_job *job)
{
	g_autofree char *name = imap_store_shown_name(job);

	imap_store_fail(job,
			g_error_new(MAILFS_ERROR, ERROR_PROTOCOL,
				    "the server lists other messages of %s than it counts", name));
}

static void verified_by_fetch(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	job->counting = false;
	if (imap_store_answered(job, tagged, "cannot list messages")) {
		if (counts_agree(job))
			report_present(job);
		else if (!job->store->dirty)
			fail_by_count(job);
	}
	if (tagged)
		finish(job);
}

static void verify_by_fetch(struct imap_job *job)
{
	seqset_clear(&job->seen);
	job->counting = true;
	send_fetch(job, "1:* (UID FLAGS)", verified_by_fetch);
}

static void verified_by_search(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	job->commands--;
	job->search_failed |= tagged && tagged->status != IMAP_OK;
	if (--job->searches > 0)
		return;
	job->counting = false;
	if (!tagged)
		return;
	/* Refused, or an answer that cannot be true: the long way. */
	if (job->search_failed || (!job->store->dirty && !counts_agree(job))) {
		verify_by_fetch(job);
		return;
	}
	if (counts_agree(job))
		report_present(job);
	finish(job);
}

static void send_search(struct imap_job *job, const char *arguments)
{
	struct imap_command *command = imap_command_new("UID SEARCH %s", arguments);

	job->counting = true;
	job->searches++;
	imap_store_send(job, &command, false, verified_by_search);
}

/* Ranges of a million UIDs may not fit one line. */
static void search_in_parts(struct imap_job *job, uint32_t uidnext)
{
	uint32_t first = 1;

	for (; first + SEARCH_WIDTH < uidnext; first += SEARCH_WIDTH) {
		g_autofree char *part =
			g_strdup_printf("RETURN (ALL) UID %u:%u", first, first + SEARCH_WIDTH - 1);

		send_search(job, part);
	}
	g_autofree char *rest = g_strdup_printf("RETURN (ALL) UID %u:*", first);

	send_search(job, rest);
}

static void verify(struct imap_job *job)
{
	struct store *store = job->store;
	bool esearch = imap_session_caps(store->session) & IMAP_CAP_ESEARCH;
	uint32_t uidnext = store->box.uidnext;

	job->search_failed = false;
	if (store->box.messages == 0) {
		report_present(job);
		finish(job);
	} else if (store->box.messages <= SEARCH_MAX) {
		send_search(job, esearch ? "RETURN (ALL) ALL" : "ALL");
	} else if (esearch && uidnext > 0 && uidnext / SEARCH_WIDTH < SEARCHES_MAX) {
		search_in_parts(job, uidnext);
	} else {
		verify_by_fetch(job);
	}
}

void imap_refresh_search(struct imap_job *job, const struct imap_response *response)
{
	const GArray *ranges = response->set.ranges;

	for (unsigned i = 0; job->counting && ranges && i < ranges->len; i++) {
		const struct seqrange *range = &g_array_index(ranges, struct seqrange, i);

		seqset_add(&job->seen, range->first, range->last);
	}
}

/* --- what is new --- */

/* The value of the first Subject field with its folds, or NULL. */
static char *subject_of(GBytes *bytes)
{
	gsize len;
	const char *start = g_bytes_get_data(bytes, &len);
	struct header header;
	struct header_field field;

	header_init(&header, start, len);
	while (header_next(&header, &field)) {
		if (header_field_is(&field, "Subject"))
			return g_strstrip(g_strndup(field.value, field.value_len));
	}
	return NULL;
}

void imap_refresh_fetch(struct imap_job *job, const struct imap_fetch *fetch)
{
	struct store *store = job->store;
	const unsigned all = IMAP_FETCH_UID | IMAP_FETCH_FLAGS | IMAP_FETCH_DATE | IMAP_FETCH_SIZE;
	g_autofree char *subject = NULL;

	if (fetch->uid == 0)
		return;
	if (job->counting)
		seqset_add(&job->seen, fetch->uid, fetch->uid);
	if ((fetch->items & all) != all)
		return;
	/* "n:*" gives the last message even if it is below n. */
	if (fetch->uid < job->job->known.uidnext)
		return;
	job->highest = MAX(job->highest, fetch->uid);
	subject = fetch->header ? subject_of(fetch->header) : NULL;
	store->sink->message(store->data, job->job->folder,
			     &(struct store_message){.uid = fetch->uid,
						     .size = fetch->size,
						     .date_s = fetch->date_s,
						     .flags = fetch->flags,
						     .keywords = fetch->keywords,
						     .subject = subject});
}

static bool flags_are_due(struct imap_job *job)
{
	struct store *store = job->store;
	gpointer key = GUINT_TO_POINTER(job->job->folder);
	int64_t *last = g_hash_table_lookup(store->flags_ms, key);
	/* All flags of a large mailbox cost much: the larger, the rarer. */
	int64_t pause = (int64_t)MIN(store->box.messages, LIMIT_MESSAGES) * 10;

	if (job->job->known.flags && store->box.messages <= FLAGS_AT_ONCE)
		pause = 0;
	if (last && store->now_ms - *last < pause)
		return false;
	last = g_new(int64_t, 1);
	*last = store->now_ms;
	g_hash_table_insert(store->flags_ms, key, last);
	return true;
}

static void fetch_flags(struct imap_job *job)
{
	struct store *store = job->store;
	const struct store_known *known = &job->job->known;
	g_autoptr(GString) arguments = g_string_new(NULL);

	/* Some servers refuse to fetch from an empty mailbox. */
	if (known->uidnext <= 1 || store->box.messages == 0)
		return;
	g_string_printf(arguments, "1:%u (UID FLAGS)", known->uidnext - 1);
	if (known->modseq > 0 && store->box.modseq > 0) {
		if (imap_session_qresync_enabled(store->session) ||
		    store->box.modseq == known->modseq)
			return;
		g_string_append_printf(arguments, " (CHANGEDSINCE %" G_GUINT64_FORMAT ")",
				       known->modseq);
	} else if (!flags_are_due(job) && store->box.modseq == 0) {
		job->job->flags_left = known->flags;
		return; /* where a MODSEQ will be known from now on, they are asked for once */
	}
	send_fetch(job, arguments->str, fetched);
}

static void fetch_new(struct imap_job *job)
{
	struct store *store = job->store;
	const struct store_known *known = &job->job->known;
	g_autofree char *arguments = NULL;

	if (store->box.messages == 0 ||
	    (store->box.uidnext && store->box.uidnext <= known->uidnext))
		return;
	arguments = g_strdup_printf("%u:* " ITEMS, known->uidnext);
	send_fetch(job, arguments, fetched);
}

/* The server's present against what the index knew. */
static void compare(struct imap_job *job)
{
	struct store *store = job->store;
	struct store_known *known = &job->job->known;

	store->sink->opened(store->data, job->job->folder, &store->box);
	if (known->uidvalidity != store->box.uidvalidity)
		*known = (struct store_known){.uidvalidity = store->box.uidvalidity, .uidnext = 1};
	if (store->box.modseq < known->modseq)
		known->modseq = 0; /* it went back: none of it can be trusted */
}

static void refresh_opened(struct imap_job *job)
{
	compare(job);
	/* What is told as known at the end has to be so, with or without `verify`. */
	if (!job->ahead)
		fetch_new(job);
	fetch_flags(job);
	if (job->job->known.verify)
		verify(job);
	else
		finish(job);
}

/* Where it is refused, for whatever reason, it is asked for again. */
static void fetched_ahead(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	job->commands--;
	if (!tagged)
		return;
	job->ahead = tagged->status == IMAP_OK;
	if (!job->ahead && !job->error && job->commands == 0)
		fetch_new(job);
	finish(job);
}

/* Nothing is known, so that nothing can be taken for another mailbox' than it is. */
static bool may_fetch_ahead(const struct imap_job *job)
{
	return job->job->known.uidvalidity == 0 && !job->store->selected_name;
}

static void fetch_ahead(struct imap_job *job)
{
	job->ahead = true;
	send_fetch(job, "1:* " ITEMS, fetched_ahead);
}

static void reopen(struct imap_job *job)
{
	const struct store_known *known = &job->job->known;
	unsigned caps = imap_session_caps(job->store->session);
	g_autofree char *parameters = NULL;

	if (known->modseq > 0 && known->uidvalidity <= G_MAXUINT32 &&
	    imap_session_qresync_enabled(job->store->session))
		parameters =
			g_strdup_printf(" (QRESYNC (%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "))",
					known->uidvalidity, known->modseq);
	else if (caps & IMAP_CAP_CONDSTORE)
		parameters = g_strdup(" (CONDSTORE)");
	if (!may_fetch_ahead(job)) {
		imap_select(job, parameters ? parameters : "", refresh_opened);
		return;
	}
	imap_select_ahead(job, parameters ? parameters : "", refresh_opened);
	fetch_ahead(job);
}

void imap_refresh_start(struct imap_job *job)
{
	struct store *store = job->store;
	const struct store_known *known = &job->job->known;
	bool same = store->selected == job->job->folder && store->clean && !store->dirty &&
		    known->uidvalidity == store->box.uidvalidity;

	store->clean = false;
	job->job->flags_left = false;
	if (known->verify && same)
		verify(job);
	else
		reopen(job);
}
