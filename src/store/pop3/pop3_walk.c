/* Headers of many messages: for their subjects, and to tell them apart. */
#include "store/pop3/pop3_store.h"

#define DEPTH 50	  /* commands under way: bodies that somebody waits for come soon */
#define REFUSALS_ENOUGH 3 /* of TOP, and never an answer: the server has none */

struct pop3_walk {
	struct store *store;
	GPtrArray *messages;
	unsigned next;
	unsigned under_way;
	bool lost;
	pop3_walk_each_fn each;
	pop3_walk_done_fn done;
	void *data;
};

struct pop3_walk *pop3_walk_new(struct store *store, GPtrArray *messages, pop3_walk_each_fn each,
				pop3_walk_done_fn done, void *data)
{
	struct pop3_walk *walk = g_new0(struct pop3_walk, 1);

	walk->store = store;
	walk->messages = messages;
	walk->each = each;
	walk->done = done;
	walk->data = data;
	return walk;
}

void pop3_walk_free(struct pop3_walk **walk)
{
	g_clear_pointer(walk, g_free);
}

bool pop3_walk_may_top(const struct store *store)
{
	const struct pop3_capa *capa = pop3_session_capa(store->session);

	return capa->known ? capa->caps & POP3_CAP_TOP : store->top_refused < REFUSALS_ENOUGH;
}

static void next(struct pop3_walk *walk);

static void ended(struct pop3_walk *walk, struct pop3_message *message)
{
	walk->under_way--;
	if (walk->each)
		walk->each(walk->data, message);
	next(walk);
}

static void read_header(struct pop3_ask *ask)
{
	struct pop3_message *message = ask->message;

	message->header_known = true;
	message->header_later = false;
	pop3_header_clear(&message->header);
	pop3_header_read(&message->header, ask->store->header->str, ask->store->header->len);
}

static void answered_retr(struct pop3_ask *ask, const struct pop3_reply *reply)
{
	struct pop3_walk *walk = ask->owner;

	if (!reply) {
		walk->lost = true;
		return;
	}
	if (reply->status == POP3_OK)
		read_header(ask);
	else
		ask->message->header_later = pop3_store_is_temporary(reply);
	ended(walk, ask->message);
}

static void ask_retr(struct pop3_walk *walk, struct pop3_message *message)
{
	pop3_store_ask(walk->store, &(struct pop3_ask){.verb = POP3_RETR,
						       .message = message,
						       .owner = walk,
						       .done = answered_retr});
}

static void refused_top(struct pop3_ask *ask, const struct pop3_reply *reply)
{
	ask->store->top_refused++;
	if (!pop3_store_is_too_large(ask->message)) {
		ask_retr(ask->owner, ask->message);
		return;
	}
	ask->message->header_later = pop3_store_is_temporary(reply);
	ended(ask->owner, ask->message);
}

static void answered_top(struct pop3_ask *ask, const struct pop3_reply *reply)
{
	struct pop3_walk *walk = ask->owner;

	if (!reply) {
		walk->lost = true;
	} else if (reply->status == POP3_OK) {
		ask->store->top_refused = 0;
		read_header(ask);
		ended(walk, ask->message);
	} else {
		refused_top(ask, reply);
	}
}

static void ask_top(struct pop3_walk *walk, struct pop3_message *message)
{
	pop3_store_ask(walk->store, &(struct pop3_ask){.verb = POP3_TOP,
						       .message = message,
						       .owner = walk,
						       .done = answered_top});
}

/* Of one that was told apart from others it is known; and of one that is too large RETR, which has
 * no end, is not worth it. */
static bool must_ask(const struct pop3_walk *walk, const struct pop3_message *message)
{
	return !message->header_known &&
	       (pop3_walk_may_top(walk->store) || !pop3_store_is_too_large(message));
}

static void ask(struct pop3_walk *walk, struct pop3_message *message)
{
	walk->under_way++;
	if (pop3_walk_may_top(walk->store))
		ask_top(walk, message);
	else
		ask_retr(walk, message);
}

static unsigned depth(const struct store *store)
{
	return pop3_session_capa(store->session)->caps & POP3_CAP_PIPELINING ? DEPTH : 1;
}

static void next(struct pop3_walk *walk)
{
	while (walk->under_way < depth(walk->store) && walk->next < walk->messages->len &&
	       !walk->lost) {
		struct pop3_message *message = g_ptr_array_index(walk->messages, walk->next++);

		if (must_ask(walk, message))
			ask(walk, message);
		else if (walk->each)
			walk->each(walk->data, message);
	}
	if (walk->under_way == 0 && !walk->lost)
		walk->done(walk->data);
}

void pop3_walk_start(struct pop3_walk *walk)
{
	next(walk);
}
