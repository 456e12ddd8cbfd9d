/* What is in the maildrop: STAT, UIDL and LIST at the beginning of a session. Servers leave out
 * lines, say things twice, or do not know UIDL; what LIST or UIDL tells of exists, and if STAT
 * knows of more, what was not told of is not taken for gone. */
#include "store/pop3/pop3_store.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"

#include <string.h>

enum { LISTINGS = 3 };

void pop3_message_free(void *data)
{
	struct pop3_message *message = data;

	pop3_header_clear(&message->header);
	g_free(message->uidl);
	g_free(message);
}

static struct pop3_message *message_at(struct store *store, uint32_t place)
{
	struct pop3_message *message = g_hash_table_lookup(store->places, GUINT_TO_POINTER(place));

	if (message)
		return message;
	message = g_new0(struct pop3_message, 1);
	message->place = place;
	message->uidl = g_strdup("");
	message->size = POP3_SIZE_UNKNOWN;
	g_ptr_array_add(store->messages, message);
	g_hash_table_insert(store->places, GUINT_TO_POINTER(place), message);
	return message;
}

/* One that has two has none. */
void pop3_list_uid_told(struct store *store, uint32_t place, const char *uidl)
{
	struct pop3_message *message = message_at(store, place);
	bool differs = message->uidl_told && strcmp(message->uidl, uidl) != 0;

	store->uidl_bytes += strlen(uidl);
	if (store->uidl_bytes > LIMIT_POP3_UIDS) {
		pop3_store_break(store, g_error_new(MAILFS_ERROR, ERROR_LIMIT,
						    "the UIDs of the server are longer than %llu "
						    "bytes",
						    LIMIT_POP3_UIDS));
		return;
	}
	message->uidl_told = true;
	g_free(message->uidl);
	message->uidl = g_strdup(differs ? "" : uidl);
}

void pop3_list_size_told(struct store *store, uint32_t place, uint64_t size)
{
	struct pop3_message *message = message_at(store, place);
	bool differs = message->size_told && message->size != size;

	message->size_told = true;
	message->size = differs ? POP3_SIZE_UNKNOWN : size;
}

static int compare_places(const void *a, const void *b)
{
	const struct pop3_message *first = *(struct pop3_message *const *)a;
	const struct pop3_message *second = *(struct pop3_message *const *)b;

	return first->place < second->place ? -1 : first->place > second->place;
}

/* Something must be known, if only that there is nothing. */
static bool is_listed(struct store *store)
{
	unsigned n = store->messages->len;

	if (!store->uidls_listed && !store->sizes_listed && (!store->counted || store->count > 0)) {
		pop3_store_break(store, g_steal_pointer(&store->listing_error));
		return false;
	}
	store->partial = store->counted ? n < store->count
					: n == 0 && !(store->uidls_listed && store->sizes_listed);
	if (store->partial)
		log_warning("%s: the server counts %u messages but lists %u", store->account->name,
			    store->count, n);
	return true;
}

static void listing_ended(struct pop3_ask *ask, const struct pop3_reply *reply, const char *what)
{
	struct store *store = ask->store;

	if (reply->status != POP3_OK && !store->listing_error)
		store->listing_error = pop3_store_refused(reply, what);
	if (++store->listings < LISTINGS || store->stage != POP3_STAGE_LISTING || store->fatal)
		return;
	g_ptr_array_sort(store->messages, compare_places);
	if (!is_listed(store))
		return;
	if (store->index)
		pop3_map_begin(store);
	else
		store->stage = POP3_STAGE_WORKING;
}

static void counted(struct pop3_ask *ask, const struct pop3_reply *reply)
{
	struct store *store = ask->store;
	uint64_t size;

	if (!reply)
		return;
	store->counted = reply->status == POP3_OK &&
			 pop3_list_stat(reply->raw, reply->raw_len, &store->count, &size);
	listing_ended(ask, reply, "cannot count messages");
}

static void uidls_told(struct pop3_ask *ask, const struct pop3_reply *reply)
{
	if (!reply)
		return;
	ask->store->uidls_listed = reply->status == POP3_OK;
	listing_ended(ask, reply, "cannot list messages");
}

static void sizes_told(struct pop3_ask *ask, const struct pop3_reply *reply)
{
	if (!reply)
		return;
	ask->store->sizes_listed = reply->status == POP3_OK;
	listing_ended(ask, reply, "cannot list messages");
}

/* UIDL too where CAPA does not tell of it: some servers have no CAPA, or a poor one. */
void pop3_list_begin(struct store *store)
{
	store->stage = POP3_STAGE_LISTING;
	pop3_store_ask(store, &(struct pop3_ask){.verb = POP3_STAT, .done = counted});
	pop3_store_ask(store, &(struct pop3_ask){.verb = POP3_UIDL, .done = uidls_told});
	pop3_store_ask(store, &(struct pop3_ask){.verb = POP3_LIST, .done = sizes_told});
}
