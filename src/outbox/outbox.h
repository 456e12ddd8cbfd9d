/* The outbox of an account: its queue (queue.h) and the thread that hands in what waits there, one
 * message after the other over one connection. A message that has to wait holds up no other; a
 * server that cannot be reached, or closes the connection on its first message (421), pauses the
 * whole queue. Both come again after 1, 5, 15, 30, 60 minutes, then every hour, for five days. A
 * refused login pauses it until outbox_retry(); but what has waited for five days fails then, too.
 *
 * Any thread, where nothing else is said.
 */
#pragma once

#include "config/account.h"
#include "config/credentials.h"
#include "outbox/compose.h"
#include "outbox/queue.h"

struct outbox;

/* In the outbox' thread; must not block for long, nor call the outbox' stop function. */
struct outbox_events {
	/* To whom stated outbox_want(). */
	void (*settled)(void *data, uint32_t id, int error);
	/* A listing changed, or what a name stands for. */
	void (*changed)(void *data);
	/* A message was sent, or stands in failed/ from now on: why. It is so already. */
	void (*verdict)(void *data, const char *name, bool sent, const char *why);
	/* Files a copy of what was sent. The name that it decides on is on record
	 * (queue_set_copy(), still WANTED) before anything is filed; where one is on record already
	 * and stands there, all is done. ERROR_TEMPORARY: not now; ERROR_GONE: there is no such
	 * folder. */
	bool (*file_copy)(void *data, struct queue *queue, const struct queue_file *file,
			  struct compose *text, GError **error);
	/* For all that is known, the provider files no copies by itself, and there is a place for
	 * ours. */
	bool (*wants_copies)(void *data);
};

struct outbox_config {
	const struct account *account;	 /* borrowed, as the rest */
	struct credentials *credentials; /* NULL: nothing is needed to log in */
	const char *dir;		 /* made if need be */
};

/* ERROR_IO; ERROR_REFUSED: account->smtp.from is no address. */
struct outbox *outbox_new(const struct outbox_config *config, const struct outbox_events *events,
			  void *data, GError **error);
void outbox_start(struct outbox *outbox);
/* Hands in what can be now, those that were never tried without their delay; until `timeout_ms`
 * have passed. What is left waits for the next mount, and a log line says so. */
void outbox_flush(struct outbox *outbox, int64_t timeout_ms);
void outbox_stop(struct outbox *outbox);
void outbox_free(struct outbox **outbox);

struct queue *outbox_queue(struct outbox *outbox);
/* The queue got something new. */
void outbox_changed(struct outbox *outbox);
/* Somebody waits for the verdict on file `id`, or, 0, on all: told by events.settled, always. What
 * was never tried is handed in without delay. 0: sent, or nothing to send. Else the errno of its
 * failure; of one that has to wait, that of the last try (EAGAIN, EACCES, EHOSTUNREACH, ETIMEDOUT);
 * of all: that of what still stands in failed/ and nobody was told of. `until_ms` (monotonic
 * clock): until then those count that are about to be closed (queue_closing()). */
void outbox_want(struct outbox *outbox, uint32_t id, int64_t until_ms);
/* Whether it has a verdict now. */
bool outbox_is_settled(struct outbox *outbox, uint32_t id, int *ret_error);
/* Everything is tried again now (SIGHUP). */
void outbox_retry(struct outbox *outbox);
/* The server can be reached again, for all that is known: a pause ends. */
void outbox_online(struct outbox *outbox);
/* The largest message that the server takes, by its word; UINT64_MAX: not told. */
uint64_t outbox_size_max(struct outbox *outbox);
/* The text of .mailfs/queue: a line a message. Free with g_free(). */
char *outbox_text(struct outbox *outbox);
/* The text of failed/NAME.eml.err: why, then a line a recipient. Free with g_free(). */
char *outbox_error_text(const struct queue_file *file);
