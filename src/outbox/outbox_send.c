/* The thread's work: one message in hand, one connection. */
#include "outbox/outbox_private.h"

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>

#define IDLE_MS 5000	 /* a connection without work is closed */
#define PUT_OFF_MS 60000 /* the disk is full: not before */

static const char *name_of(const struct outbox *outbox)
{
	return outbox->config.account->name;
}

static char *shown_name(const struct outbox *outbox)
{
	return text_clean(outbox->delivery.file.name, -1, QUEUE_NAME_MAX);
}

/* --- pauses --- */

void outbox_end_pause(struct outbox *outbox)
{
	pthread_mutex_lock(&outbox->lock);
	outbox->shared.pause_ms = 0;
	pthread_mutex_unlock(&outbox->lock);
}

static int64_t pause_ends_ms(struct outbox *outbox)
{
	int64_t pause_ms;

	pthread_mutex_lock(&outbox->lock);
	pause_ms = outbox->shared.pause_ms;
	pthread_mutex_unlock(&outbox->lock);
	return pause_ms;
}

static int trouble_errno(const GError *error)
{
	/* A server that wants none of it may want it later. */
	return g_error_matches(error, MAILFS_ERROR, ERROR_REFUSED) ? EAGAIN : error_errno(error);
}

static void pause_queue(struct outbox *outbox, int down, const char *why)
{
	bool news;

	outbox->failures++;
	pthread_mutex_lock(&outbox->lock);
	news = g_strcmp0(outbox->shared.why, why) != 0;
	g_free(outbox->shared.why);
	outbox->shared.why = g_strdup(why);
	outbox->shared.down = down;
	outbox->shared.pause_ms = outbox->now_ms + delivery_pause_ms(outbox->failures);
	pthread_mutex_unlock(&outbox->lock);
	if (news)
		log_warning("%s: mail waits in the outbox: %s", name_of(outbox), why);
}

static void end_trouble(struct outbox *outbox)
{
	outbox->failures = 0;
	pthread_mutex_lock(&outbox->lock);
	g_clear_pointer(&outbox->shared.why, g_free);
	outbox->shared.size_max = submitter_size_max(outbox->submitter);
	pthread_mutex_unlock(&outbox->lock);
}

/* --- the end of a try --- */

static void tell(struct outbox *outbox, enum queue_step step)
{
	const struct queue_info *info = &outbox->delivery.file.info;
	g_autofree char *name = shown_name(outbox);

	if (step == QUEUE_SENT) {
		log_info("%s: sent %s", name_of(outbox), name);
	} else if (step == QUEUE_FAILED) {
		log_warning("%s: %s stands in outbox/failed: %s", name_of(outbox), name,
			    info->reply ? info->reply : "");
		outbox_note_failure(outbox, outbox->delivery.file.id);
	} else if (info->reply && info->not_before_ms > outbox->wall_ms) {
		log_info("%s: %s waits: %s", name_of(outbox), name, info->reply);
	}
}

static void finish(struct outbox *outbox, enum queue_step step)
{
	g_autoptr(GError) error = NULL;

	tell(outbox, step);
	if (!queue_finish(outbox->queue, &outbox->delivery.file, step, &error))
		log_error("%s: %s", name_of(outbox), error->message);
	delivery_clear(&outbox->delivery);
	outbox->delivering = outbox->handed = outbox->over = false;
	outbox->events->changed(outbox->data);
}

/* It stays as it is. */
static void put_off(struct outbox *outbox, const char *why)
{
	delivery_held(&outbox->delivery, EIO, why);
	outbox->delivery.file.info.not_before_ms = outbox->wall_ms + PUT_OFF_MS;
	finish(outbox, QUEUE_WAITING);
}

static bool wants_copy(struct outbox *outbox)
{
	switch (outbox->config.account->smtp.save_sent) {
	case SAVE_SENT_YES:
		return true;
	case SAVE_SENT_NO:
		return false;
	case SAVE_SENT_AUTO:
		break;
	}
	/* A maildrop has no folder for it. */
	return outbox->config.account->protocol != ACCOUNT_POP3 &&
	       !outbox->events->provider_files(outbox->data);
}

static void accepted(struct outbox *outbox)
{
	struct queue_info *info = &outbox->delivery.file.info;

	if (info->copy == QUEUE_COPY_NONE && wants_copy(outbox))
		info->copy = QUEUE_COPY_WANTED;
	outbox->copy_ms = 0;
}

static void held(struct outbox *outbox)
{
	const struct queue_info *info = &outbox->delivery.file.info;

	pause_queue(outbox, EACCES, info->reply ? info->reply : "the server wants a login");
	finish(outbox, QUEUE_WAITING);
}

static void aborted(struct outbox *outbox)
{
	if (outbox->unrecorded)
		put_off(outbox, "it cannot be put on record that it is being sent");
	else
		finish(outbox, QUEUE_WAITING); /* or gone */
}

/* A connection that served others may end between two messages. */
static bool may_come_again(const struct outbox *outbox)
{
	return outbox->outcome == SMTP_DEFERRED && outbox->cut && outbox->served > 0;
}

static void conclude(struct outbox *outbox)
{
	outbox->used_ms = outbox->now_ms;
	if (outbox->outcome == SMTP_HELD) {
		held(outbox);
		return;
	}
	if (outbox->outcome == SMTP_ABORTED) {
		aborted(outbox);
		return;
	}
	if (outbox->outcome == SMTP_ACCEPTED)
		accepted(outbox);
	if (may_come_again(outbox)) {
		delivery_again(&outbox->delivery, outbox->wall_ms);
		finish(outbox, QUEUE_WAITING);
		return;
	}
	outbox->served++;
	finish(outbox, delivery_judge(&outbox->delivery, outbox->wall_ms));
}

/* --- what the session tells --- */

static ssize_t on_read(void *data, void *bytes, size_t max)
{
	struct outbox *outbox = data;

	return compose_read(outbox->delivery.text, bytes, max);
}

static void on_recipient(void *data, unsigned number, const struct smtp_reply *reply)
{
	struct outbox *outbox = data;

	delivery_recipient(&outbox->delivery, number, reply);
}

static bool on_commit(void *data)
{
	struct outbox *outbox = data;
	g_autoptr(GError) error = NULL;

	if (queue_commit(outbox->queue, &outbox->delivery.file, &error))
		return true;
	outbox->unrecorded = !g_error_matches(error, MAILFS_ERROR, ERROR_GONE);
	if (outbox->unrecorded)
		log_error("%s: %s", name_of(outbox), error->message);
	return false;
}

static void on_done(void *data, enum smtp_outcome outcome, const struct smtp_reply *reply,
		    const char *text)
{
	struct outbox *outbox = data;
	struct delivery *delivery = &outbox->delivery;

	delivery_done(delivery, outcome, reply, text);
	if (outcome == SMTP_REFUSED && outbox->submitter &&
	    delivery->transaction.size > outbox_size_max(outbox))
		delivery->file.info.error = EMSGSIZE;
	if (outcome == SMTP_HELD)
		delivery_held(delivery, EACCES, text);
	outbox->outcome = outcome;
	outbox->cut = !reply || reply->code == 421;
	outbox->over = true;
}

static const struct smtp_session_events session_events = {
	.read = on_read,
	.recipient = on_recipient,
	.commit = on_commit,
	.done = on_done,
};

/* --- taking --- */

/* False: it has no way out, or none now, and is out of our hands. */
static bool prepare(struct outbox *outbox, struct queue_file *file, int fd)
{
	g_autoptr(GError) error = NULL;

	outbox->delivering = true;
	outbox->handed = outbox->over = outbox->unrecorded = false;
	if (!delivery_init(&outbox->delivery, file, fd, outbox->from,
			   outbox->config.account->smtp.dsn_notify, &error)) {
		if (error)
			put_off(outbox, error->message);
		else
			finish(outbox, QUEUE_FAILED);
		return false;
	}
	if (!delivery_is_done(&outbox->delivery))
		return true;
	finish(outbox, delivery_judge(&outbox->delivery, outbox->wall_ms));
	return false;
}

/* When the next is due, if there is none now. */
static int64_t take(struct outbox *outbox)
{
	bool hurry = outbox_hurries(outbox);
	int64_t next_ms = INT64_MAX;
	struct queue_file file;
	int fd;

	while (!outbox->delivering &&
	       queue_take(outbox->queue, outbox->wall_ms, hurry, &file, &fd, &next_ms)) {
		if (prepare(outbox, &file, fd))
			return INT64_MAX;
	}
	return next_ms == INT64_MAX ? next_ms : outbox->now_ms + (next_ms - outbox->wall_ms);
}

/* --- the connection --- */

static void connect_server(struct outbox *outbox)
{
	outbox->attempt_ms = outbox->now_ms;
	outbox->served = 0;
	outbox->logged_in = false;
	outbox->submitter =
		submitter_new(&(struct submitter_config){.account = outbox->config.account,
							 .secret = outbox->config.secret,
							 .events = &session_events,
							 .data = outbox},
			      outbox->now_ms);
}

/* Those that have waited too long already; the one in hand is the oldest. */
static void release(struct outbox *outbox, const GError *error)
{
	while (outbox->delivering) {
		delivery_held(&outbox->delivery, trouble_errno(error), error->message);
		if (!delivery_is_expired(&outbox->delivery, outbox->wall_ms)) {
			finish(outbox, QUEUE_WAITING);
			return;
		}
		delivery_expire(&outbox->delivery);
		finish(outbox, QUEUE_FAILED);
		take(outbox);
	}
}

void outbox_lost(struct outbox *outbox, const GError *error)
{
	bool was_handed = outbox->handed;

	submitter_free(&outbox->submitter);
	if (outbox->over) {
		conclude(outbox);
	} else if (error && !was_handed && (outbox->delivering || !outbox->logged_in)) {
		pause_queue(outbox, trouble_errno(error), error->message);
		release(outbox, error);
	}
}

static void hand_in(struct outbox *outbox)
{
	if (!outbox->logged_in)
		end_trouble(outbox);
	outbox->logged_in = true;
	if (!outbox->delivering || outbox->handed)
		return;
	outbox->handed = true;
	submitter_send(outbox->submitter, &outbox->delivery.transaction, outbox->now_ms);
}

static int64_t rest(struct outbox *outbox)
{
	int64_t until_ms = outbox->used_ms + IDLE_MS;

	if (!outbox->submitter || !submitter_is_ready(outbox->submitter))
		return INT64_MAX;
	if (outbox->now_ms < until_ms)
		return until_ms;
	submitter_quit(outbox->submitter, outbox->now_ms);
	return outbox->now_ms;
}

int64_t outbox_send(struct outbox *outbox)
{
	int64_t next_ms = INT64_MAX;

	if (outbox->over)
		conclude(outbox);
	if (!outbox->submitter && outbox->now_ms < pause_ends_ms(outbox))
		return pause_ends_ms(outbox);
	if (!outbox->delivering)
		next_ms = take(outbox);
	if (!outbox->delivering)
		return MIN(next_ms, rest(outbox));
	if (!outbox->submitter)
		connect_server(outbox);
	if (submitter_is_ready(outbox->submitter))
		hand_in(outbox);
	/* It may be over already, or the link is new: a step at once. */
	return outbox->over ? outbox->now_ms : INT64_MAX;
}

void outbox_hang_up(struct outbox *outbox)
{
	g_autoptr(GError) error = NULL;

	if (outbox->submitter && submitter_is_ready(outbox->submitter)) {
		submitter_quit(outbox->submitter, outbox->now_ms);
		submitter_step(outbox->submitter, outbox->now_ms, &error);
	}
	submitter_free(&outbox->submitter);
	if (outbox->over)
		conclude(outbox);
	else if (outbox->delivering)
		finish(outbox, QUEUE_WAITING);
}
