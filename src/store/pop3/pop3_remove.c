/* Messages that are removed for good: DELE, and QUIT at once, whose +OK makes it so. A connection
 * that is lost before has removed nothing; where the reply to QUIT is lost, the job comes again in
 * another session, and what is no longer listed there is gone.
 *
 * A UIDL may have come again for another message: before DELE the header is compared with the one
 * that is on record. Where the server has no TOP the UIDL must do. */
#include "store/pop3/pop3_store.h"

#include "base/error.h"

static void deny(struct pop3_job *job, uint32_t number)
{
	pop3_store_fail(job,
			g_error_new(MAILFS_ERROR, ERROR_DENIED,
				    "message %u is not removed: another one on the server cannot "
				    "be told apart from it",
				    number));
}

static void tell_gone(struct pop3_job *job, const struct seqset *numbers)
{
	struct store *store = job->store;

	if (numbers->ranges)
		store->sink->gone(store->data, job->job->folder, store->validity, numbers);
}

/* --- QUIT --- */

static bool is_put_off(const struct pop3_job *job)
{
	return g_error_matches(job->error, MAILFS_ERROR, ERROR_TEMPORARY);
}

/* The job will come again: nothing of it is refused yet. */
static void put_off(struct pop3_job *job, GError *error)
{
	if (!is_put_off(job))
		g_clear_error(&job->error);
	pop3_store_fail(job, error);
}

static void forget_all(struct pop3_job *job, const struct seqset *numbers)
{
	const GArray *ranges = numbers->ranges;

	for (unsigned i = 0; ranges && i < ranges->len; i++) {
		const struct seqrange *range = &g_array_index(ranges, struct seqrange, i);

		for (uint64_t number = range->first; number <= range->last; number++)
			pop3_store_forget(job->store, (uint32_t)number);
	}
}

/* The next session finds them as new ones. */
static void end(struct pop3_job *job)
{
	struct store *store = job->store;

	/* It is given back with what broke the store. */
	if (store->fatal)
		return;
	if (job->asked == 0 && job->others.ranges && !is_put_off(job)) {
		forget_all(job, &job->others);
		store->sink->changed(store->data, job->job->folder, false);
	}
	pop3_store_end(job);
}

static void quit_told(void *data, enum pop3_quit result, const struct pop3_reply *reply)
{
	struct pop3_job *job = data;
	struct store *store = job->store;

	switch (result) {
	case POP3_QUIT_COMMITTED:
		forget_all(job, &job->removed);
		tell_gone(job, &job->removed);
		break;
	case POP3_QUIT_PARTLY:
		put_off(job,
			g_error_new(MAILFS_ERROR, ERROR_TEMPORARY,
				    "the server did not remove all messages: %s", reply->text));
		break;
	case POP3_QUIT_UNKNOWN:
	case POP3_QUIT_NOT_SENT:
		return;
	}
	store->stage = POP3_STAGE_LEFT;
	job->asked--;
	end(job);
}

/* --- DELE --- */

static void removed(struct pop3_ask *ask, const struct pop3_reply *reply)
{
	struct pop3_job *job = ask->owner;
	uint32_t number = ask->message->number;
	g_autofree char *what = g_strdup_printf("cannot remove message %u", number);

	if (!reply)
		return;
	if (reply->status == POP3_OK)
		seqset_add(&job->removed, number, number);
	else if (pop3_store_is_temporary(reply))
		put_off(job, pop3_store_refused(reply, what));
	else
		pop3_store_fail(job, pop3_store_refused(reply, what));
	job->asked--;
}

static void ask_dele(struct pop3_job *job, struct pop3_message *message)
{
	job->job->sent = true;
	job->asked++;
	pop3_store_ask(job->store, &(struct pop3_ask){.verb = POP3_DELE,
						      .message = message,
						      .owner = job,
						      .done = removed});
}

/* QUIT behind the last DELE. */
static void leave(struct pop3_job *job)
{
	if (job->unchecked > 0 || job->asked == 0 || job->store->fatal)
		return;
	job->asked++;
	pop3_store_leave(job->store, quit_told, job);
}

/* --- is it the message? --- */

static void compared(struct pop3_job *job, struct pop3_message *message, bool same)
{
	if (same) {
		ask_dele(job, message);
		return;
	}
	seqset_add(&job->others, message->number, message->number);
	pop3_store_fail(job, g_error_new(MAILFS_ERROR, ERROR_DENIED,
					 "message %u is not removed: the server has another one "
					 "in its place",
					 message->number));
}

static void refused(struct pop3_ask *ask, const struct pop3_reply *reply)
{
	struct pop3_job *job = ask->owner;

	if (pop3_store_is_temporary(reply)) {
		put_off(job, pop3_store_refused(reply, "cannot tell a message from others"));
		return;
	}
	job->store->top_refused++;
	ask_dele(job, ask->message);
}

static void top_told(struct pop3_ask *ask, const struct pop3_reply *reply)
{
	struct pop3_job *job = ask->owner;
	bool same;

	if (!reply)
		return;
	if (reply->status != POP3_OK)
		refused(ask, reply);
	else if (pop3_store_is_on_record(ask, &same))
		compared(job, ask->message, same);
	job->asked--;
	job->unchecked--;
	leave(job);
	end(job);
}

static void ask_top(struct pop3_job *job, struct pop3_message *message)
{
	job->asked++;
	job->unchecked++;
	pop3_store_ask(job->store, &(struct pop3_ask){.verb = POP3_TOP,
						      .message = message,
						      .owner = job,
						      .done = top_told});
}

static void check(struct pop3_job *job, struct pop3_message *message, const char *hash)
{
	if (*hash && message->header.hash)
		compared(job, message, pop3_header_is_like(hash, message->header.hash));
	else if (*hash && pop3_walk_may_top(job->store))
		ask_top(job, message);
	else
		ask_dele(job, message);
}

/* --- what is asked for --- */

/* What is not listed was removed before. */
static void remove_one(struct pop3_job *job, uint32_t number, struct seqset *gone)
{
	struct store *store = job->store;
	struct pop3_message *message = pop3_store_message(store, number);
	struct uidl_row row;

	if (!message && store->partial) {
		put_off(job, g_error_new(MAILFS_ERROR, ERROR_TEMPORARY,
					 "the server does not list all messages now"));
	} else if (!message) {
		seqset_add(gone, number, number);
	} else if (!message->certain) {
		deny(job, number);
	} else if (pop3_store_row(store, message, &row)) {
		check(job, message, row.hash);
		pop3_row_clear(&row);
	}
}

static void remove_all(struct pop3_job *job)
{
	const GArray *ranges = job->job->uids.ranges;
	struct store *store = job->store;
	struct seqset gone = {0};

	for (unsigned i = 0; ranges && i < ranges->len; i++) {
		const struct seqrange *range = &g_array_index(ranges, struct seqrange, i);

		for (uint64_t n = range->first; n <= range->last && !store->fatal; n++)
			remove_one(job, (uint32_t)n, &gone);
	}
	tell_gone(job, &gone);
	seqset_clear(&gone);
	leave(job);
}

static bool is_other_flag(const struct store_job *wanted)
{
	return ((wanted->set | wanted->clear) & ~(unsigned)STORE_FLAG_DELETED) ||
	       (wanted->set_words && *wanted->set_words) ||
	       (wanted->clear_words && *wanted->clear_words);
}

/* Clearing \Deleted takes back what was not sent: nothing is to be done. */
void pop3_remove_start(struct pop3_job *job)
{
	const struct store_job *wanted = job->job;

	if (is_other_flag(wanted))
		pop3_store_fail(job,
				g_error_new(MAILFS_ERROR, ERROR_READ_ONLY, "POP3 knows no flags"));
	else if (pop3_store_is_here(job) && (wanted->set & STORE_FLAG_DELETED))
		remove_all(job);
	end(job);
}
