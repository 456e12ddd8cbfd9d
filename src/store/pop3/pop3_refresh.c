/* What is new since the folder was refreshed last, and what is there. The session listed all when
 * it began; of the new ones the headers are asked for, for their subjects and dates. */
#include "store/pop3/pop3_store.h"

#include "base/error.h"
#include "base/log.h"

#include <string.h>

/* The header tells which message it is from now on. */
static bool keep_hash(struct store *store, const struct pop3_message *message)
{
	struct uidl_row row;

	if (!pop3_store_row(store, message, &row))
		return false;
	if (message->header_known && strcmp(row.hash, message->header.hash) != 0) {
		g_free(row.hash);
		row.hash = g_strdup(message->header.hash);
		uidls_set(store->index, &row);
	}
	pop3_row_clear(&row);
	return true;
}

/* Nobody knows yet what it is, and what is told once is never told otherwise. */
static void put_off(struct pop3_job *job, const struct pop3_message *message)
{
	if (job->put_off++ == 0 || message->number < job->first_put_off)
		job->first_put_off = message->number;
}

/* The subjects of a large maildrop are many. */
static void forget_header(struct pop3_message *message)
{
	g_clear_pointer(&message->header.subject, g_free);
	message->header_known = false;
}

/* One that the server shows to nobody is told without its header: it is there. */
static void tell(void *data, struct pop3_message *message)
{
	struct pop3_job *job = data;
	struct store *store = job->store;

	if (store->fatal)
		return;
	if (message->header_later && !message->header_known) {
		put_off(job, message);
		return;
	}
	if (!keep_hash(store, message))
		return;
	store->sink->message(store->data, job->job->folder,
			     &(struct store_message){
				     .uid = message->number,
				     .size = message->size == POP3_SIZE_UNKNOWN ? 0 : message->size,
				     .date_s = message->header.date_s,
				     .subject = message->header.subject,
			     });
	forget_header(message);
}

static void tell_present(struct pop3_job *job)
{
	struct store *store = job->store;
	struct seqset present = {0};

	for (unsigned i = 0; i < store->messages->len; i++) {
		const struct pop3_message *message = g_ptr_array_index(store->messages, i);

		if (pop3_store_message(store, message->number) == message)
			seqset_add(&present, message->number, message->number);
	}
	store->sink->present(store->data, job->job->folder, &present, uidls_next(store->index) - 1);
	seqset_clear(&present);
}

/* What was put off is asked for again the next time, with what is behind it. */
static void tell_refreshed(struct pop3_job *job)
{
	struct store *store = job->store;
	bool is_whole = !store->partial && job->put_off == 0;

	if (job->put_off > 0)
		log_warning("%s: the server does not show %u of the new messages now",
			    store->account->name, job->put_off);
	if (!store->partial)
		tell_present(job);
	store->sink->refreshed(store->data, job->job->folder,
			       job->put_off > 0 ? job->first_put_off : uidls_next(store->index), 0,
			       is_whole ? g_hash_table_size(store->numbers) : UINT64_MAX);
}

static void told(void *data)
{
	struct pop3_job *job = data;
	struct store *store = job->store;

	job->asked--;
	if (store->fatal)
		return;
	if (job->put_off > 0 && job->put_off == g_hash_table_size(store->numbers))
		pop3_store_fail(job, g_error_new(MAILFS_ERROR, ERROR_TEMPORARY,
						 "the server shows no message now"));
	else
		tell_refreshed(job);
	pop3_store_end(job);
}

static void choose_news(struct pop3_job *job)
{
	struct store *store = job->store;
	const struct store_known *known = &job->job->known;
	uint32_t from = known->uidvalidity == store->validity ? known->uidnext : 0;

	job->news = g_ptr_array_new();
	for (unsigned i = 0; i < store->messages->len; i++) {
		struct pop3_message *message = g_ptr_array_index(store->messages, i);

		if (message->number >= from &&
		    pop3_store_message(store, message->number) == message)
			g_ptr_array_add(job->news, message);
	}
}

void pop3_refresh_start(struct pop3_job *job)
{
	struct store *store = job->store;

	if (!pop3_store_is_here(job)) {
		pop3_store_end(job);
		return;
	}
	store->sink->opened(store->data, job->job->folder,
			    &(struct store_mailbox){
				    .uidvalidity = store->validity,
				    .messages = g_hash_table_size(store->numbers),
				    .uidnext = uidls_next(store->index),
			    });
	choose_news(job);
	job->asked = 1;
	job->walk = pop3_walk_new(store, job->news, tell, told, job);
	pop3_walk_start(job->walk);
}
