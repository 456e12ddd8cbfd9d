/* What is new since the folder was refreshed last, and what is there. The session listed all when
 * it began; of the new ones the headers are asked for, for their subjects and dates. */
#include "store/pop3/pop3_store.h"

#include "base/error.h"

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
static void put_off(struct pop3_job *job)
{
	pop3_store_fail(job, g_error_new(MAILFS_ERROR, ERROR_TEMPORARY,
					 "the server does not show a message now"));
}

/* One that the server shows to nobody is told without its header: it is there. */
static void tell(void *data, struct pop3_message *message)
{
	struct pop3_job *job = data;
	struct store *store = job->store;

	if (message->header_later && !message->header_known)
		put_off(job);
	if (job->error || store->fatal || !keep_hash(store, message))
		return;
	store->sink->message(store->data, job->job->folder,
			     &(struct store_message){
				     .uid = message->number,
				     .size = message->size == POP3_SIZE_UNKNOWN ? 0 : message->size,
				     .date_s = message->header.date_s,
				     .subject = message->header.subject,
			     });
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

static void told(void *data)
{
	struct pop3_job *job = data;
	struct store *store = job->store;

	job->asked--;
	if (store->fatal)
		return;
	if (!job->error && !store->partial)
		tell_present(job);
	if (!job->error)
		store->sink->refreshed(store->data, job->job->folder, uidls_next(store->index), 0,
				       store->partial ? UINT64_MAX
						      : g_hash_table_size(store->numbers));
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
