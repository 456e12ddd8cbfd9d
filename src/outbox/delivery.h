/* One message in hand: its envelope, whom it goes to this time, and what became of it. Owned by the
 * outbox' thread; knows neither connections nor pauses. */
#pragma once

#include "outbox/compose.h"
#include "outbox/queue.h"
#include "protocol/smtp_session.h"

#define DELIVERY_EXPIRES_MS (INT64_C(5) * 24 * 60 * 60 * 1000)

struct delivery {
	struct queue_file file; /* its info is what will be on record */
	int fd;
	struct envelope envelope;
	struct compose *text;
	GPtrArray *batch;     /* of struct queue_recipient *, of file.info */
	GPtrArray *addresses; /* of the same, borrowed: struct smtp_transaction.recipients */
	struct smtp_transaction transaction;
};

/* Takes `file` and `fd` over. False: it cannot be sent, and file.info says why; ERROR_IO: not now.
 */
bool delivery_init(struct delivery *delivery, struct queue_file *file, int fd, const char *from,
		   unsigned notify, GError **error);
/* The same of one that is to be given up, whatever is in it. */
void delivery_init_old(struct delivery *delivery, struct queue_file *file);
void delivery_clear(struct delivery *delivery);
/* Nobody is left to send it to. */
bool delivery_is_done(const struct delivery *delivery);

/* As the events of smtp_session.h have them. */
void delivery_recipient(struct delivery *delivery, unsigned number, const struct smtp_reply *reply);
void delivery_done(struct delivery *delivery, enum smtp_outcome outcome,
		   const struct smtp_reply *reply, const char *text);
/* Nothing came of the try: at once again. */
void delivery_again(struct delivery *delivery, int64_t now_ms);
/* It was not tried: why it still waits. */
void delivery_held(struct delivery *delivery, int error, const char *text);

/* What becomes of it now; `info.not_before_ms` and `tries` are set for WAITING. */
enum queue_step delivery_judge(struct delivery *delivery, int64_t now_ms);
/* Too old to be tried again. */
bool delivery_is_expired(const struct delivery *delivery, int64_t now_ms);
/* Gives up: FAILED, with the last reason. */
void delivery_expire(struct delivery *delivery);
/* The pause after so many tries (1: the first). */
int64_t delivery_pause_ms(unsigned tries);
