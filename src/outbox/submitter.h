/* One connection to the submission server: link and session, carried by the outbox' thread, which
 * polls it. Owned and called by that thread; events as smtp_session.h has them come from within
 * submitter_step(), _send() and _free(). */
#pragma once

#include "config/account.h"
#include "config/credentials.h"
#include "protocol/smtp_session.h"

#include <poll.h>

struct submitter;

struct submitter_config {
	const struct account *account;	     /* borrowed, as the rest */
	const struct credential *credential; /* until it is ready; NULL: none */
	const struct smtp_session_events *events;
	void *data;
};

struct submitter *submitter_new(const struct submitter_config *config, int64_t now_ms);
/* A transaction under way is `done` before, as its state demands. */
void submitter_free(struct submitter **submitter);

bool submitter_is_ready(const struct submitter *submitter);
/* fd may be -1. `*ret_deadline_ms` INT64_MAX: none; 0: step at once. */
void submitter_poll(const struct submitter *submitter, struct pollfd *ret_poll,
		    int64_t *ret_deadline_ms);
/* False: the connection is over, with an error, or without one if it was asked to end. Errors of
 * link.h and smtp_session.h; ERROR_TIMEOUT. */
bool submitter_step(struct submitter *submitter, int64_t now_ms, GError **error);

/* While ready. */
void submitter_send(struct submitter *submitter, const struct smtp_transaction *transaction,
		    int64_t now_ms);
/* When it is ready: how it logged in, "SCRAM-SHA-256"; NULL: it did not. */
const char *submitter_way_in(const struct submitter *submitter);
/* Says goodbye; steps go on until it is over. */
void submitter_quit(struct submitter *submitter, int64_t now_ms);
/* Lines "key: value" as of store_ops.describe: server, tls, certificate, capabilities. */
void submitter_describe(const struct submitter *submitter, GString *out);
/* As smtp_session_size_max(). */
uint64_t submitter_size_max(const struct submitter *submitter);
