/* Message bodies: RETR, always whole; where a window is asked for it comes with all that follows.
 * What LIST said of the size, and any number in the reply, is not looked at. The header is compared
 * with the one that is on record: some servers make up a message for one that another session
 * removed. Where it differs TOP decides, as some servers write another header for it. */
#include "store/pop3/pop3_store.h"

#include "base/error.h"
#include "base/limits.h"

#define TOO_LARGE "it is larger than 256 MiB"
G_STATIC_ASSERT(LIMIT_MESSAGE_SIZE == 256 << 20);

static void fail(struct pop3_job *job, uint32_t number, int code, const char *why)
{
	pop3_store_fail(job,
			g_error_new(MAILFS_ERROR, code, "cannot read message %u: %s", number, why));
}

/* Of a batch, those that do not come are left out. */
static void fail_one(struct pop3_ask *ask, int code, const char *why)
{
	struct pop3_job *job = ask->owner;

	if (!job->job->batch)
		fail(job, ask->message->number, code, why);
}

static void ended(struct pop3_ask *ask)
{
	struct pop3_job *job = ask->owner;

	job->asked--;
	pop3_store_end(job);
}

/* --- what arrives --- */

static bool begin(struct pop3_ask *ask)
{
	const struct pop3_job *job = ask->owner;
	struct store *store = ask->store;

	if (!ask->begun && !ask->failed)
		ask->failed = !store->sink->body_begin(store->data, job->job, ask->message->number);
	ask->begun = true;
	return !ask->failed;
}

static void take(struct pop3_ask *ask, const uint8_t *bytes, size_t len)
{
	const struct pop3_job *job = ask->owner;
	struct store *store = ask->store;
	uint64_t origin = job->job->origin;
	uint64_t skip = MIN(len, origin > ask->len ? origin - ask->len : 0);
	uint64_t at = ask->len + skip;

	ask->len += len;
	if (ask->len > LIMIT_MESSAGE_SIZE || !begin(ask) || skip == len)
		return;
	ask->failed = !store->sink->body_data(store->data, job->job, ask->message->number, at,
					      bytes + skip, len - skip);
}

static void complete(struct pop3_ask *ask)
{
	struct pop3_job *job = ask->owner;
	struct store *store = ask->store;
	uint64_t origin = job->job->origin;

	if (ask->len > LIMIT_MESSAGE_SIZE)
		fail_one(ask, ERROR_LIMIT, TOO_LARGE);
	else if (ask->len < origin)
		fail_one(ask, ERROR_GONE, "it is shorter than it was");
	else if (!begin(ask) || !store->sink->body_end(store->data, job->job, ask->message->number,
						       ask->len - origin, true))
		fail_one(ask, ERROR_IO, "the cache cannot hold it");
}

/* --- is it the message? --- */

/* What is there under its name is another message: the next session finds it as a new one. */
static void is_another(struct pop3_ask *ask)
{
	struct pop3_job *job = ask->owner;
	struct store *store = ask->store;
	uint32_t number = ask->message->number;
	struct seqset gone = {0};

	seqset_add(&gone, number, number);
	pop3_store_forget(store, number);
	store->sink->gone(store->data, job->job->folder, store->validity, &gone);
	store->sink->changed(store->data, job->job->folder, false);
	seqset_clear(&gone);
	fail_one(ask, ERROR_GONE, "the server sends another message in its place");
}

static void top_told(struct pop3_ask *ask, const struct pop3_reply *reply)
{
	bool same = false;

	if (!reply)
		return;
	if (reply->status == POP3_OK && !pop3_store_is_on_record(ask, &same))
		return;
	if (same)
		complete(ask);
	else
		is_another(ask);
	ended(ask);
}

/* As the ask before, and of the same message; its reply decides. */
static void ask_top(const struct pop3_ask *before,
		    void (*done)(struct pop3_ask *, const struct pop3_reply *), char *refusal)
{
	pop3_store_ask(before->store, &(struct pop3_ask){.verb = POP3_TOP,
							 .message = before->message,
							 .owner = before->owner,
							 .done = done,
							 .len = before->len,
							 .begun = before->begun,
							 .failed = before->failed,
							 .refusal = refusal});
}

static void retrieved(struct pop3_ask *ask)
{
	bool same;

	if (!pop3_store_is_on_record(ask, &same))
		return;
	if (!same && pop3_walk_may_top(ask->store)) {
		ask_top(ask, top_told, NULL);
		return;
	}
	if (same)
		complete(ask);
	else
		is_another(ask);
	ended(ask);
}

/* --- -ERR --- */

static void existence_told(struct pop3_ask *ask, const struct pop3_reply *reply)
{
	if (!reply)
		return;
	if (reply->status == POP3_OK)
		fail_one(ask, ERROR_SERVER, ask->refusal);
	else
		fail_one(ask, ERROR_GONE, ask->refusal);
	ended(ask);
}

/* Another session may have removed it; or the server does not give it out. */
static void refused(struct pop3_ask *ask, const struct pop3_reply *reply)
{
	const struct pop3_job *job = ask->owner;

	if (!pop3_store_is_temporary(reply) && !job->job->batch && pop3_walk_may_top(ask->store)) {
		ask_top(ask, existence_told, g_strdup(reply->text));
		return;
	}
	fail_one(ask, pop3_store_is_temporary(reply) ? ERROR_TEMPORARY : ERROR_GONE, reply->text);
	ended(ask);
}

static void answered(struct pop3_ask *ask, const struct pop3_reply *reply)
{
	if (!reply)
		return;
	if (reply->status == POP3_OK)
		retrieved(ask);
	else
		refused(ask, reply);
}

/* --- what is asked for --- */

static void ask_retr(struct pop3_job *job, struct pop3_message *message)
{
	job->asked++;
	pop3_store_ask(job->store, &(struct pop3_ask){.verb = POP3_RETR,
						      .message = message,
						      .owner = job,
						      .body = take,
						      .done = answered});
}

static void ask_one(struct pop3_job *job, uint32_t number)
{
	struct pop3_message *message = pop3_store_message(job->store, number);
	bool alone = !job->job->batch;

	/* What LIST says need not be true: somebody who waits for just that message will see. */
	if (message && (alone || !pop3_store_is_too_large(message)))
		ask_retr(job, message);
	else if (alone)
		fail(job, number, ERROR_GONE, "it is gone");
}

void pop3_body_start(struct pop3_job *job)
{
	const GArray *batch = job->job->batch;

	if (pop3_store_is_here(job) && batch) {
		for (unsigned i = 0; i < batch->len; i++)
			ask_one(job, g_array_index(batch, struct store_item, i).uid);
	} else if (!job->error) {
		ask_one(job, job->job->uid);
	}
	pop3_store_end(job);
}
