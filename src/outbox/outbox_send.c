/* The thread's work: one message in hand, one connection. */
#include "outbox/outbox_private.h"

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>

#define IDLE_MS 5000	 /* a connection without work is closed */
#define PUT_OFF_MS 60000 /* the disk is full: not before */
/* RFC 5321 section 4.5.3.1.7: so much anybody takes. Were less believed for good, nothing would be
 * handed over any more, and no server asked again. */
#define SIZE_MIN (UINT64_C(64) * 1024)

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
	if (outbox->config.account->offline)
		return;
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

static void pause_until(struct outbox *outbox, int64_t until_ms, int down, const char *why)
{
	bool news;

	pthread_mutex_lock(&outbox->lock);
	news = g_strcmp0(outbox->shared.why, why) != 0;
	g_free(outbox->shared.why);
	outbox->shared.why = g_strdup(why);
	outbox->shared.down = down;
	outbox->shared.pause_ms = until_ms;
	pthread_mutex_unlock(&outbox->lock);
	if (news)
		log_warning("%s: mail waits in the outbox: %s%s", name_of(outbox), why,
			    until_ms == INT64_MAX
				    ? "; to try again: echo reconnect >.mailfs/ctl in the mount"
				    : "");
}

static void pause_queue(struct outbox *outbox, int down, const char *why)
{
	outbox->failures++;
	pause_until(outbox, outbox->now_ms + delivery_pause_ms(outbox->failures), down, why);
}

/* The server takes mail, whatever it said of this one. */
static void end_trouble(struct outbox *outbox)
{
	outbox->failures = 0;
	pthread_mutex_lock(&outbox->lock);
	g_clear_pointer(&outbox->shared.why, g_free);
	pthread_mutex_unlock(&outbox->lock);
}

static void note_size_max(struct outbox *outbox)
{
	pthread_mutex_lock(&outbox->lock);
	outbox->shared.size_max = MAX(submitter_size_max(outbox->submitter), SIZE_MIN);
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
	const struct queue_file *file = &outbox->delivery.file;
	g_autoptr(GError) error = NULL;

	tell(outbox, step);
	if (!queue_finish(outbox->queue, &outbox->delivery.file, step, &error))
		log_error("%s: %s", name_of(outbox), error->message);
	if (step == QUEUE_SENT || step == QUEUE_FAILED)
		outbox->events->verdict(outbox->data, file->name, step == QUEUE_SENT,
					file->info.reply ? file->info.reply : "");
	delivery_clear(&outbox->delivery);
	outbox->delivering = outbox->handed = outbox->over = false;
	outbox->events->changed(outbox->data);
}

/* It was not tried, and waits on; but not for ever. */
static void hold(struct outbox *outbox, int number, const char *why)
{
	struct delivery *delivery = &outbox->delivery;

	delivery_held(delivery, number, why);
	if (!delivery_is_expired(delivery, outbox->wall_ms)) {
		finish(outbox, QUEUE_WAITING);
		return;
	}
	delivery_expire(delivery);
	finish(outbox, QUEUE_FAILED);
}

static void put_off(struct outbox *outbox, const char *why)
{
	outbox->delivery.file.info.not_before_ms = outbox->wall_ms + PUT_OFF_MS;
	hold(outbox, EIO, why);
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
	return outbox->events->wants_copies(outbox->data);
}

static void accepted(struct outbox *outbox)
{
	struct queue_info *info = &outbox->delivery.file.info;

	if (info->copy == QUEUE_COPY_NONE && wants_copy(outbox))
		info->copy = QUEUE_COPY_WANTED;
	outbox->copy_ms = 0;
}

/* It would say the same of every message. */
static void held(struct outbox *outbox)
{
	g_autofree char *why = g_strdup(outbox->delivery.file.info.reply);

	submitter_free(&outbox->submitter);
	pause_queue(outbox, EACCES, why);
	hold(outbox, EACCES, why);
}

static void aborted(struct outbox *outbox)
{
	outbox->served++;
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

static void judge(struct outbox *outbox)
{
	enum queue_step step = delivery_judge(&outbox->delivery, outbox->wall_ms);
	g_autofree char *why = g_strdup(outbox->delivery.file.info.reply);

	finish(outbox, step);
	/* It would close it on the others, too. */
	if (outbox->closing && outbox->served == 0)
		pause_queue(outbox, EAGAIN, why);
	outbox->served++;
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
	end_trouble(outbox);
	if (outbox->outcome == SMTP_ACCEPTED)
		accepted(outbox);
	if (may_come_again(outbox)) {
		delivery_again(&outbox->delivery, outbox->wall_ms);
		finish(outbox, QUEUE_WAITING);
		return;
	}
	judge(outbox);
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
	    delivery->transaction.size > submitter_size_max(outbox->submitter))
		delivery->file.info.error = EMSGSIZE;
	if (outcome == SMTP_HELD)
		delivery_held(delivery, EACCES, text);
	outbox->outcome = outcome;
	outbox->closing = reply && reply->code == 421;
	outbox->cut = !reply || outbox->closing;
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

static int64_t end_left(struct outbox *outbox)
{
	int64_t next_ms;

	if (queue_end_left(outbox->queue, outbox->wall_ms, &next_ms))
		outbox->events->changed(outbox->data);
	return next_ms == INT64_MAX ? next_ms : outbox->now_ms + (next_ms - outbox->wall_ms);
}

static int64_t hand_left(struct outbox *outbox)
{
	if (outbox->now_ms >= outbox->hand_ms || outbox_hurries(outbox)) {
		outbox->unhanded = queue_hand_left(outbox->queue);
		outbox->hand_ms = outbox->unhanded ? outbox->now_ms + PUT_OFF_MS : 0;
	}
	return outbox->unhanded ? outbox->hand_ms : INT64_MAX;
}

/* When to come again, if there is none in hand now. */
static int64_t take(struct outbox *outbox)
{
	int64_t next_ms = hand_left(outbox), due_ms = INT64_MAX;
	struct queue_file file;
	int fd;

	if (queue_take(outbox->queue, outbox->wall_ms, outbox_hurries(outbox), &file, &fd, &due_ms))
		return prepare(outbox, &file, fd) ? INT64_MAX : outbox->now_ms;
	return due_ms == INT64_MAX ? next_ms
				   : MIN(next_ms, outbox->now_ms + (due_ms - outbox->wall_ms));
}

/* A pause may last for longer than anybody may wait. Gives when to come again. */
static int64_t give_up_old(struct outbox *outbox)
{
	int64_t limit_ms = outbox->wall_ms - DELIVERY_EXPIRES_MS;
	struct queue_file file;
	int64_t oldest_ms;

	/* Offline, nothing is tried, as asked for. */
	if (outbox->delivering || outbox->config.account->offline)
		return INT64_MAX;
	while (queue_take_old(outbox->queue, limit_ms, &file, &oldest_ms)) {
		delivery_init_old(&outbox->delivery, &file);
		delivery_held(&outbox->delivery, 0, outbox->shared.why);
		delivery_expire(&outbox->delivery);
		finish(outbox, QUEUE_FAILED);
	}
	return oldest_ms == INT64_MAX ? oldest_ms : outbox->now_ms + (oldest_ms - limit_ms);
}

/* --- the connection --- */

static void connect_server(struct outbox *outbox)
{
	outbox->attempt_ms = outbox->now_ms;
	outbox->served = 0;
	outbox->submitter =
		submitter_new(&(struct submitter_config){.account = outbox->config.account,
							 .credential = outbox->credential,
							 .events = &session_events,
							 .data = outbox},
			      outbox->now_ms);
}

/* With it those that have waited too long, too: it is the oldest. */
static void release(struct outbox *outbox, const GError *error)
{
	while (outbox->delivering) {
		bool expired = delivery_is_expired(&outbox->delivery, outbox->wall_ms);

		hold(outbox, trouble_errno(error), error->message);
		if (expired)
			take(outbox);
	}
}

/* A refused login would be refused again and again. */
static void give_way(struct outbox *outbox, const GError *error)
{
	if (g_error_matches(error, MAILFS_ERROR, ERROR_AUTH))
		pause_until(outbox, INT64_MAX, error_errno(error), error->message);
	else
		pause_queue(outbox, trouble_errno(error), error->message);
	release(outbox, error);
}

/* Nobody needs what it logged in with any more. True: it may log in with something else. */
static bool end_login(struct outbox *outbox, const GError *error)
{
	return credentials_end(outbox->config.credentials, CREDENTIALS_SUBMISSION,
			       &outbox->credential, error);
}

static void drop_login(struct outbox *outbox)
{
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, ERROR_UNREACHABLE, "it is over");

	end_login(outbox, error);
}

void outbox_lost(struct outbox *outbox, const GError *error)
{
	bool was_handed = outbox->handed;
	bool served = outbox->served > 0;
	bool again;

	submitter_free(&outbox->submitter);
	again = error && end_login(outbox, error);
	drop_login(outbox);
	if (outbox->over)
		conclude(outbox);
	else if (error && !was_handed && !served && !again)
		give_way(outbox, error);
}

/* If there is something to log in with; else the message in hand waits, or goes back. */
static void begin_login(struct outbox *outbox)
{
	g_autoptr(GError) error = NULL;

	switch (credentials_begin(outbox->config.credentials, CREDENTIALS_SUBMISSION,
				  &outbox->credential, &error)) {
	case CREDENTIALS_GO:
		connect_server(outbox);
		break;
	case CREDENTIALS_WAIT:
		break;
	case CREDENTIALS_STOP:
		give_way(outbox, error);
		break;
	}
}

static void hand_in(struct outbox *outbox)
{
	const char *way_in = submitter_way_in(outbox->submitter);

	note_size_max(outbox);
	if (way_in)
		credentials_taken(outbox->config.credentials, CREDENTIALS_SUBMISSION,
				  &outbox->credential, way_in);
	drop_login(outbox);
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

/* The one in hand, or else the next. */
static int64_t carry_on(struct outbox *outbox)
{
	int64_t next_ms = INT64_MAX;

	if (!outbox->submitter && outbox->now_ms < pause_ends_ms(outbox))
		return MIN(pause_ends_ms(outbox), give_up_old(outbox));
	if (!outbox->delivering)
		next_ms = take(outbox);
	if (!outbox->delivering)
		return MIN(next_ms, rest(outbox));
	if (!outbox->submitter)
		begin_login(outbox);
	if (!outbox->submitter)
		return outbox->delivering ? INT64_MAX : outbox->now_ms;
	if (submitter_is_ready(outbox->submitter))
		hand_in(outbox);
	/* It may be over already, or the link is new: a step at once. */
	return outbox->over ? outbox->now_ms : INT64_MAX;
}

int64_t outbox_send(struct outbox *outbox)
{
	int64_t next_ms = end_left(outbox);

	if (outbox->over)
		conclude(outbox);
	return MIN(next_ms, carry_on(outbox));
}

void outbox_hang_up(struct outbox *outbox)
{
	g_autoptr(GError) error = NULL;
	int64_t next_ms;

	queue_end_left(outbox->queue, INT64_MAX, &next_ms);
	if (outbox->submitter && submitter_is_ready(outbox->submitter)) {
		submitter_quit(outbox->submitter, outbox->now_ms);
		submitter_step(outbox->submitter, outbox->now_ms, &error);
	}
	submitter_free(&outbox->submitter);
	drop_login(outbox);
	if (outbox->over)
		conclude(outbox);
	else if (outbox->delivering)
		finish(outbox, QUEUE_WAITING);
}
