/* Message bodies: BODY.PEEK[] whole, or <origin.span> by window. Bytes go out as they arrive; they
 * count only when the tagged OK came, the UID was ours, and the message was not expunged meanwhile.
 * Where that is in doubt (another length than RFC822.SIZE, an EXPUNGE that names no UID) the server
 * is asked once more whether the UID exists: some make up a body for a message that is gone. Of a
 * window, what begins as it must (UID, origin and length) may be read as it comes. */
#include "store/imap/imap_store.h"

#include "base/error.h"
#include "base/limits.h"

#include <string.h>

#define MOMENT_S 2
#define NEAR_BYTES_S (64ull * 1024 * 1024) /* this machine's, before it is known */
/* What was shorter, and took no longer, tells nothing of it. */
#define SPEED_MIN_BYTES (256 * 1024)
#define SPEED_MIN_MS 100

/* "cannot read message 5 of INBOX" */
static char *what_fails(const struct imap_job *job)
{
	g_autofree char *name = imap_store_shown_name(job);

	return g_strdup_printf("cannot read message %u of %s", job->job->uid, name);
}

static void fail(struct imap_job *job, int code, const char *why)
{
	g_autofree char *what = what_fails(job);

	imap_store_fail(job, g_error_new(MAILFS_ERROR, code, "%s: %s", what, why));
}

static void complete(struct imap_job *job)
{
	const struct store_job *wanted = job->job;
	bool end = job->span == 0 || job->len == 0 ||
		   (job->len < job->span && wanted->origin + job->len == wanted->size_hint);

	if (!job->error &&
	    !job->store->sink->body_end(job->store->data, wanted, wanted->uid, job->len, end))
		fail(job, ERROR_IO, "the cache cannot hold it");
	imap_store_finish(job);
}

/* Both answers are needed, in whichever order they come. */
static void look_ended(struct imap_job *job, const struct imap_response *tagged)
{
	if (tagged && job->commands == 0)
		complete(job);
}

static void looked_again(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	if (imap_store_answered(job, tagged, "cannot read a message") && !job->still_there)
		fail(job, ERROR_GONE, "it is gone");
	look_ended(job, tagged);
}

static void noop_done(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	imap_store_answered(job, tagged, "cannot read a message");
	look_ended(job, tagged);
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
	if (job->span == 0)
		return job->len != wanted->size_hint;
	return job->len == 0 && wanted->origin != wanted->size_hint;
}

/* --- how much to ask for --- */

/* What comes in so short a time may be asked for at once: others wait no longer behind it, and
 * no more comes in vain if the reader stops. */
static uint64_t reach(const struct store *store)
{
	uint64_t bytes_s = store->bytes_s;

	if (bytes_s == 0 && link_is_loopback(store->link))
		bytes_s = NEAR_BYTES_S;
	return bytes_s * MOMENT_S;
}

/* The whole costs a server less than all of its parts. */
static uint64_t span_of(const struct imap_job *job)
{
	const struct store_job *wanted = job->job;
	uint64_t span;

	if (wanted->window == 0)
		return 0;
	span = CLAMP(reach(job->store), wanted->window, wanted->window + wanted->more);
	return wanted->more > 0 && wanted->origin == 0 && span > wanted->size_hint ? 0 : span;
}

static void note_speed(struct store *store, uint64_t len)
{
	int64_t ms = MAX(store->now_ms - store->body_ms, 1);

	if (len >= SPEED_MIN_BYTES || ms >= SPEED_MIN_MS)
		store->bytes_s = MAX(len * 1000 / (uint64_t)ms, 1);
}

static void fetched(void *data, const struct imap_response *tagged);

static void send_single(struct imap_job *job)
{
	const struct store_job *wanted = job->job;
	struct imap_command *command =
		imap_command_new("UID FETCH %u (UID BODY.PEEK[]", wanted->uid);

	job->span = span_of(job);
	if (job->span > 0)
		imap_command_text(command, "<%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT ">",
				  wanted->origin, job->span);
	imap_command_text(command, ")");
	imap_store_send(job, &command, false, fetched);
}

static void fetched(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	g_autofree char *what = what_fails(job);
	bool done = imap_store_answered(job, tagged, what);

	if (!tagged)
		return;
	if (done && !job->error && !job->got && !job->again) {
		imap_store_news(job, send_single);
		return;
	}
	if (done && !job->got)
		fail(job, ERROR_GONE, "the server sent nothing");
	if (!job->error && is_doubtful(job))
		look_again(job);
	else
		complete(job);
}

/* --- several at once --- */

/* Of struct store_item; `items` as in "UID FETCH 5:7 (items)". */
static struct imap_command *fetch_of(const GArray *messages, const char *items)
{
	g_autoptr(GString) uids = g_string_new(NULL);
	struct seqset set = {0};

	for (unsigned i = 0; i < messages->len; i++) {
		uint32_t uid = g_array_index(messages, struct store_item, i).uid;

		seqset_add(&set, uid, uid);
	}
	seqset_format(&set, uids);
	seqset_clear(&set);
	return imap_command_new("UID FETCH %s (%s)", uids->str, items);
}

/* Those that are still there came as they are. */
static void complete_odd(struct imap_job *job)
{
	struct store *store = job->store;

	for (unsigned i = 0; !job->error && i < job->odd->len; i++) {
		const struct store_item *item = &g_array_index(job->odd, struct store_item, i);

		if (seqset_contains(&job->seen, item->uid))
			store->sink->body_end(store->data, job->job, item->uid, item->size_hint,
					      true);
	}
	imap_store_finish(job);
}

static void odd_answered(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	imap_store_answered(job, tagged, "cannot read messages");
	if (tagged && job->commands == 0)
		complete_odd(job);
}

static void look_again_at_odd(struct imap_job *job)
{
	struct imap_command *noop = imap_command_new("NOOP");
	struct imap_command *fetch = fetch_of(job->odd, "UID");

	seqset_clear(&job->seen);
	imap_store_send(job, &noop, false, odd_answered);
	imap_store_send(job, &fetch, false, odd_answered);
}

static void batch_fetched(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	imap_store_answered(job, tagged, "cannot read messages");
	if (tagged && !job->error && job->odd)
		look_again_at_odd(job);
	else if (tagged)
		imap_store_finish(job);
}

static void send_batch(struct imap_job *job)
{
	struct imap_command *command = fetch_of(job->job->batch, "UID BODY.PEEK[]");

	imap_store_send(job, &command, false, batch_fetched);
}

/* --- both --- */

static void send_fetch(struct imap_job *job)
{
	if (job->job->batch)
		send_batch(job);
	else
		send_single(job);
}

/* What comes from now on counts, if it is the mailbox that is meant. */
static void take_part(struct imap_job *job)
{
	job->expunges = job->store->expunges;
	job->asked = job->store->box.uidvalidity == job->job->known.uidvalidity;
	if (!job->asked)
		fail(job, ERROR_STALE, "its folder was replaced on the server");
}

/* All that were sent behind the opening. */
static void opened_ahead(struct imap_job *first)
{
	first->opening = false;
	for (GList *link = first->store->jobs.head; link; link = link->next)
		take_part(link->data);
	imap_store_finish(first); /* if its fetch was answered before its time */
}

static void not_opened(struct imap_job *first)
{
	first->opening = false;
	for (GList *link = first->store->jobs.head; link; link = link->next) {
		struct imap_job *job = link->data;

		if (job != first)
			imap_store_fail(job, g_error_copy(first->error));
	}
	imap_store_finish(first);
}

bool imap_body_is_opening(const struct store *store, const struct store_job *job)
{
	const struct imap_job *first = g_queue_peek_head((GQueue *)&store->jobs);

	return first && first->opening && first->job->folder == job->folder &&
	       first->job->known.uidvalidity == job->known.uidvalidity &&
	       strcmp(first->job->name, job->name) == 0;
}

/* In one flight: what is asked for behind the opening counts only if that was answered as expected,
 * and before. */
void imap_body_start(struct imap_job *job)
{
	struct store *store = job->store;

	if (job->job->batch && store->uid_late) {
		imap_store_finish(job); /* whose bodies they are could not be told */
		return;
	}
	if (imap_body_is_opening(store, job->job)) {
		send_fetch(job);
		return;
	}
	/* What is open may be a mailbox that was deleted and made anew since. */
	if (store->selected == job->job->folder &&
	    store->box.uidvalidity == job->job->known.uidvalidity) {
		take_part(job);
	} else {
		job->opening = true;
		job->refused = not_opened;
		imap_select_ahead(job, "", opened_ahead);
	}
	send_fetch(job);
}

/* --- what arrives --- */

static const struct store_item *batch_item(const struct imap_job *job, uint32_t uid)
{
	const GArray *batch = job->job->batch;

	for (unsigned i = 0; batch && i < batch->len; i++) {
		const struct store_item *item = &g_array_index(batch, struct store_item, i);

		if (item->uid == uid)
			return item;
	}
	return NULL;
}

static bool is_for(const struct imap_job *job, uint32_t uid)
{
	if (job->job->kind != STORE_BODY || !job->asked)
		return false; /* while its mailbox is being opened, bodies are of the one before */
	if (job->job->batch)
		return batch_item(job, uid) != NULL;
	return !job->got && (uid == 0 || job->job->uid == uid);
}

static struct imap_job *body_of_uid(struct store *store, uint32_t uid)
{
	for (GList *link = store->jobs.head; link; link = link->next) {
		if (is_for(link->data, uid))
			return link->data;
	}
	return NULL;
}

/* What makes up a body for a message that is gone does not know its length. */
static bool is_certain(const struct imap_job *job, uint32_t uid, uint64_t origin, uint64_t size)
{
	const struct store_job *wanted = job->job;
	uint64_t left = wanted->size_hint - MIN(wanted->origin, wanted->size_hint);

	return wanted->window > 0 && uid == wanted->uid && origin == wanted->origin &&
	       size == (job->span > 0 ? MIN(job->span, left) : left) && job->commands == 1;
}

static void begin(struct imap_job *job, uint64_t size)
{
	struct store *store = job->store;
	const struct store_job *wanted = job->job;

	store->body_failed = size > LIMIT_MESSAGE_SIZE || (job->span > 0 && size > job->span);
	if (store->body_failed && !wanted->batch)
		fail(job, ERROR_LIMIT, "the server sends more than was asked for");
	if (store->body_failed || store->sink->body_begin(store->data, wanted, store->body_uid))
		return;
	store->body_failed = true;
	if (!wanted->batch)
		fail(job, ERROR_IO, "the cache cannot hold it");
}

void imap_body_begin(struct store *store, uint32_t uid, uint64_t origin, uint64_t size)
{
	struct imap_job *job = body_of_uid(store, uid);

	if (uid == 0)
		store->uid_late = true;
	store->body = job;
	store->body_len = 0;
	store->body_ms = store->now_ms;
	if (!job)
		return;
	store->body_uid = job->job->batch ? uid : job->job->uid;
	store->body_certain = is_certain(job, uid, origin, size);
	begin(job, size);
}

void imap_body_data(struct store *store, const uint8_t *bytes, size_t len)
{
	struct imap_job *job = store->body;

	if (!job || store->body_failed)
		return;
	if (store->sink->body_data(store->data, job->job, store->body_uid,
				   job->job->origin + store->body_len, bytes, len)) {
		store->body_len += len;
		return;
	}
	store->body_failed = true;
	if (!job->job->batch)
		fail(job, ERROR_IO, "the cache cannot hold it");
}

void imap_body_tell(struct store *store)
{
	struct imap_job *job = store->body;

	if (!job || !store->body_certain || store->body_failed || job->error ||
	    job->came == store->body_len || job->expunges != store->expunges)
		return;
	job->came = store->body_len;
	store->sink->body_came(store->data, job->job, store->body_uid, job->came);
}

static void take_inline(struct store *store, const struct imap_fetch *fetch)
{
	gsize len = 0;
	const uint8_t *bytes = fetch->body ? g_bytes_get_data(fetch->body, &len) : NULL;

	imap_body_begin(store, fetch->uid, fetch->body_origin, len);
	if (len > 0)
		imap_body_data(store, bytes, len);
}

/* `size_hint`: what came. If it comes again, that counts. */
static void add_odd(struct imap_job *job, const struct store_item *odd)
{
	if (!job->odd)
		job->odd = g_array_new(FALSE, FALSE, sizeof(*odd));
	for (unsigned i = 0; i < job->odd->len; i++) {
		if (g_array_index(job->odd, struct store_item, i).uid == odd->uid) {
			g_array_index(job->odd, struct store_item, i) = *odd;
			return;
		}
	}
	g_array_append_vals(job->odd, odd, 1);
}

static void take_batched(struct imap_job *job, const struct imap_fetch *fetch)
{
	struct store *store = job->store;
	const struct store_item *item = batch_item(job, fetch->uid);

	if (!item || fetch->body_nil)
		return;
	if (store->body_len == item->size_hint && job->expunges == store->expunges)
		store->sink->body_end(store->data, job->job, item->uid, store->body_len, true);
	else
		add_odd(job, &(struct store_item){item->uid, store->body_len});
}

/* Without "<origin>" it is from the beginning. Nothing is nothing, wherever. */
static bool is_part_wanted(const struct imap_job *job, const struct imap_fetch *fetch)
{
	uint64_t origin = fetch->body_partial ? fetch->body_origin : 0;

	return origin == job->job->origin || (job->store->body_len == 0 && job->span > 0);
}

static void take_single(struct imap_job *job, const struct imap_fetch *fetch)
{
	/* NIL for a whole message means that there is none; for a window, that it ended before. */
	if (fetch->body_nil && job->span == 0)
		return;
	job->got = true;
	job->len = job->store->body_len;
}

/* --- is the size true? --- */

static void measure(struct imap_job *job);

static void measured(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	g_autofree char *what = what_fails(job);
	bool done = imap_store_answered(job, tagged, what);

	if (!tagged)
		return;
	if (done && !job->got && !job->again) {
		imap_store_news(job, measure);
		return;
	}
	job->job->honest = job->len == (job->job->size_hint > 0 ? 1 : 0);
	/* What takes the place of a message that is gone tells nothing. */
	if (done && (!job->got || (!job->job->honest && job->expunges != job->store->expunges)))
		fail(job, ERROR_GONE, "the server sent nothing");
	if (job->error)
		job->job->honest = false;
	imap_store_finish(job);
}

/* Its last byte, and one more if there is one. */
static void measure(struct imap_job *job)
{
	uint64_t size = job->job->size_hint;
	struct imap_command *command =
		imap_command_new("UID FETCH %u (UID BODY.PEEK[]<%" G_GUINT64_FORMAT ".%d>)",
				 job->job->uid, size > 0 ? size - 1 : 0, size > 0 ? 2 : 1);

	job->expunges = job->store->expunges;
	imap_store_send(job, &command, false, measured);
}

void imap_measure_start(struct imap_job *job)
{
	imap_select_to_read(job, measure);
}

/* True if the answer was to that question. */
static bool is_measured(struct store *store, const struct imap_fetch *fetch)
{
	struct imap_job *job = g_queue_peek_head(&store->jobs);

	if (!job || job->job->kind != STORE_MEASURE)
		return false;
	store->body = NULL;
	if (fetch->uid == job->job->uid && !fetch->body_nil) {
		job->got = true;
		job->len = fetch->body_size;
	}
	return true;
}

void imap_body_fetch(struct store *store, const struct imap_fetch *fetch)
{
	struct imap_job *job;
	bool wanted;

	if (is_measured(store, fetch))
		return;
	if (!fetch->body_streamed)
		take_inline(store, fetch);
	else
		note_speed(store, fetch->body_size);
	job = store->body;
	store->body = NULL;
	if (!job || store->body_failed)
		return;
	wanted = (fetch->items & IMAP_FETCH_UID) && store->body_uid == fetch->uid &&
		 is_part_wanted(job, fetch);
	if (wanted && job->job->batch)
		take_batched(job, fetch);
	else if (wanted)
		take_single(job, fetch);
	else if (!job->job->batch)
		fail(job, ERROR_PROTOCOL, "the server sends something else");
}

void imap_body_seen(struct store *store, uint32_t uid)
{
	for (GList *link = store->jobs.head; link; link = link->next) {
		struct imap_job *job = link->data;

		if (job->job->kind == STORE_BODY && job->odd)
			seqset_add(&job->seen, uid, uid);
		else if (job->job->kind == STORE_BODY && !job->job->batch && job->job->uid == uid)
			job->still_there = true;
	}
}

void imap_body_vanished(struct store *store, const struct seqset *uids)
{
	for (GList *link = store->jobs.head; link; link = link->next) {
		struct imap_job *job = link->data;

		if (job->job->kind == STORE_BODY && !job->job->batch &&
		    seqset_contains(uids, job->job->uid))
			fail(job, ERROR_GONE, "it was expunged");
	}
	if (store->body && seqset_contains(uids, store->body_uid))
		store->body_failed = true;
}
