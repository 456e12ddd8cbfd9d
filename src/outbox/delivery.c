#include "outbox/delivery.h"

#include "base/error.h"
#include "outbox/address.h"

#include <errno.h>
#include <unistd.h>

#define MINUTE_MS INT64_C(60000)

int64_t delivery_pause_ms(unsigned tries)
{
	static const unsigned minutes[] = {1, 5, 15, 30, 60};

	return minutes[MIN(MAX(tries, 1u) - 1, G_N_ELEMENTS(minutes) - 1)] * MINUTE_MS;
}

static void set_text(char **where, const char *text)
{
	g_free(*where);
	*where = g_strdup(text);
}

static void judge_one(struct queue_recipient *recipient, enum queue_verdict verdict,
		      const char *text)
{
	recipient->verdict = verdict;
	set_text(&recipient->reply, text);
}

/* --- whom it goes to --- */

/* By address; borrowed. */
static GHashTable *known_recipients(const struct queue_info *info)
{
	GHashTable *known = g_hash_table_new(address_hash, address_equal);

	for (guint i = 0; info->recipients && i < info->recipients->len; i++) {
		struct queue_recipient *recipient = g_ptr_array_index(info->recipients, i);

		g_hash_table_insert(known, recipient->address, recipient);
	}
	return known;
}

/* Those that the message names, with what is known of them from earlier tries. */
static void merge_recipients(struct delivery *delivery)
{
	struct queue_info *info = &delivery->file.info;
	const GPtrArray *wanted = delivery->envelope.recipients;
	GPtrArray *merged = g_ptr_array_new_with_free_func(queue_recipient_free);
	g_autoptr(GHashTable) known = known_recipients(info);

	for (guint i = 0; i < wanted->len; i++) {
		struct queue_recipient *recipient = g_new0(struct queue_recipient, 1);
		const struct queue_recipient *old;

		recipient->address = g_strdup(g_ptr_array_index(wanted, i));
		old = g_hash_table_lookup(known, recipient->address);
		if (old)
			judge_one(recipient, old->verdict, old->reply);
		g_ptr_array_add(merged, recipient);
	}
	g_clear_pointer(&info->recipients, g_ptr_array_unref);
	info->recipients = merged;
}

static bool is_untried(const struct queue_recipient *recipient)
{
	return recipient->verdict == QUEUE_OPEN && !recipient->reply;
}

static unsigned count_open(const struct delivery *delivery, bool untried)
{
	const GPtrArray *all = delivery->file.info.recipients;
	unsigned count = 0;

	for (guint i = 0; i < all->len; i++) {
		const struct queue_recipient *recipient = g_ptr_array_index(all, i);

		count += untried ? is_untried(recipient) : recipient->verdict == QUEUE_OPEN;
	}
	return count;
}

/* Everybody who is still to get it is asked once a round. */
static void begin_round(struct delivery *delivery)
{
	GPtrArray *all = delivery->file.info.recipients;

	for (guint i = 0; i < all->len; i++) {
		struct queue_recipient *recipient = g_ptr_array_index(all, i);

		if (recipient->verdict == QUEUE_OPEN)
			g_clear_pointer(&recipient->reply, g_free);
	}
}

static void choose_batch(struct delivery *delivery)
{
	GPtrArray *all = delivery->file.info.recipients;

	delivery->batch = g_ptr_array_new();
	delivery->addresses = g_ptr_array_new();
	if (count_open(delivery, true) == 0)
		begin_round(delivery);
	for (guint i = 0; i < all->len && delivery->batch->len < SMTP_RECIPIENTS_MAX; i++) {
		struct queue_recipient *recipient = g_ptr_array_index(all, i);

		if (!is_untried(recipient))
			continue;
		g_ptr_array_add(delivery->batch, recipient);
		g_ptr_array_add(delivery->addresses, recipient->address);
	}
}

/* --- life --- */

static bool read_envelope(struct delivery *delivery, const char *from, GError **error)
{
	struct queue_info *info = &delivery->file.info;

	if (info->date_s == 0)
		info->date_s = info->handed_ms / 1000;
	return envelope_read(delivery->fd,
			     &(struct envelope_config){.from = from,
						       .given = info->given,
						       .message_id = info->message_id,
						       .date_s = info->date_s},
			     &delivery->envelope, error);
}

static bool refuse(struct delivery *delivery, GError **error)
{
	struct queue_info *info = &delivery->file.info;

	if (g_error_matches(*error, MAILFS_ERROR, ERROR_REFUSED) ||
	    g_error_matches(*error, MAILFS_ERROR, ERROR_LIMIT)) {
		info->error = error_errno(*error);
		set_text(&info->reply, (*error)->message);
		g_clear_error(error);
	}
	return false;
}

static void describe(struct delivery *delivery, unsigned notify)
{
	const struct envelope *envelope = &delivery->envelope;

	delivery->transaction = (struct smtp_transaction){
		.sender = envelope->sender,
		.recipients = delivery->addresses,
		.size = envelope->size,
		.eight_bit = envelope->eight_bit,
		.utf8_header = envelope->utf8_header,
		.notify = notify,
	};
}

bool delivery_init(struct delivery *delivery, struct queue_file *file, int fd, const char *from,
		   unsigned notify, GError **error)
{
	GError *why = NULL;

	*delivery = (struct delivery){.file = *file, .fd = fd};
	*file = (struct queue_file){0};
	if (!read_envelope(delivery, from, &why)) {
		refuse(delivery, &why);
		if (why)
			g_propagate_error(error, why);
		return false;
	}
	set_text(&delivery->file.info.sender, delivery->envelope.sender);
	set_text(&delivery->file.info.message_id, delivery->envelope.message_id);
	merge_recipients(delivery);
	choose_batch(delivery);
	delivery->text = compose_new(fd, &delivery->envelope, COMPOSE_SENDING);
	describe(delivery, notify);
	return true;
}

void delivery_init_old(struct delivery *delivery, struct queue_file *file)
{
	*delivery = (struct delivery){.file = *file, .fd = -1};
	*file = (struct queue_file){0};
}

void delivery_clear(struct delivery *delivery)
{
	compose_free(&delivery->text);
	g_clear_pointer(&delivery->batch, g_ptr_array_unref);
	g_clear_pointer(&delivery->addresses, g_ptr_array_unref);
	envelope_clear(&delivery->envelope);
	queue_file_clear(&delivery->file);
	if (delivery->fd >= 0)
		close(delivery->fd);
	*delivery = (struct delivery){.fd = -1};
}

bool delivery_is_done(const struct delivery *delivery)
{
	return delivery->batch->len == 0;
}

/* --- verdicts --- */

void delivery_recipient(struct delivery *delivery, unsigned number, const struct smtp_reply *reply)
{
	struct queue_recipient *recipient = g_ptr_array_index(delivery->batch, number);

	switch (smtp_reply_class(reply)) {
	case 2:
		judge_one(recipient, QUEUE_TAKEN, NULL);
		break;
	case 5:
		judge_one(recipient, QUEUE_REFUSED, reply->text);
		break;
	default:
		judge_one(recipient, QUEUE_OPEN, reply->text);
		break;
	}
}

/* Those that were taken. */
static void judge_taken(struct delivery *delivery, enum queue_verdict verdict, const char *text)
{
	for (guint i = 0; i < delivery->batch->len; i++) {
		struct queue_recipient *recipient = g_ptr_array_index(delivery->batch, i);

		if (recipient->verdict == QUEUE_TAKEN)
			judge_one(recipient, verdict, text);
	}
}

/* It was about the message, not about single recipients. */
static bool concerns_all(const struct delivery *delivery)
{
	for (guint i = 0; i < delivery->batch->len; i++) {
		const struct queue_recipient *recipient = g_ptr_array_index(delivery->batch, i);

		if (recipient->verdict == QUEUE_TAKEN || is_untried(recipient))
			return true;
	}
	return false;
}

static void judge_rest(struct delivery *delivery, enum queue_verdict verdict, const char *text)
{
	GPtrArray *all = delivery->file.info.recipients;

	for (guint i = 0; i < all->len; i++) {
		struct queue_recipient *recipient = g_ptr_array_index(all, i);

		if (recipient->verdict == QUEUE_TAKEN || is_untried(recipient) ||
		    (recipient->verdict == QUEUE_OPEN && verdict == QUEUE_REFUSED))
			judge_one(recipient, verdict, text);
	}
}

static int refusal_errno(const struct smtp_reply *reply)
{
	if (!reply)
		return EINVAL;
	/* RFC 3463: message too big (5.3.4, 5.2.3), mailbox full (5.2.2). */
	if (reply->enhanced[1] == 2 && reply->enhanced[2] == 2)
		return EDQUOT;
	if ((reply->enhanced[1] == 3 && reply->enhanced[2] == 4) ||
	    (reply->enhanced[1] == 2 && reply->enhanced[2] == 3) ||
	    (reply->code == 552 && reply->enhanced[0] == 0))
		return EMSGSIZE;
	return EIO;
}

void delivery_held(struct delivery *delivery, int error, const char *text)
{
	delivery->file.info.error = error;
	set_text(&delivery->file.info.reply, text);
}

static void lose(struct delivery *delivery, const char *text)
{
	g_autofree char *unknown = g_strdup_printf(
		"nobody knows whether it was sent, and it is not sent again by itself: %s", text);

	judge_taken(delivery, QUEUE_UNKNOWN, unknown);
	delivery_held(delivery, EIO, unknown);
}

void delivery_done(struct delivery *delivery, enum smtp_outcome outcome,
		   const struct smtp_reply *reply, const char *text)
{
	struct queue_info *info = &delivery->file.info;
	bool all = concerns_all(delivery);

	switch (outcome) {
	case SMTP_ACCEPTED:
		judge_taken(delivery, QUEUE_DONE, text);
		return;
	case SMTP_REFUSED:
		info->error = refusal_errno(reply);
		if (all)
			judge_rest(delivery, QUEUE_REFUSED, text);
		break;
	case SMTP_DEFERRED:
		info->error = EAGAIN;
		if (all)
			judge_rest(delivery, QUEUE_OPEN, text);
		break;
	case SMTP_UNKNOWN:
		lose(delivery, text);
		return;
	case SMTP_HELD:
	case SMTP_ABORTED:
		judge_taken(delivery, QUEUE_OPEN, NULL);
		return;
	}
	set_text(&info->reply, text);
}

void delivery_again(struct delivery *delivery, int64_t now_ms)
{
	struct queue_info *info = &delivery->file.info;

	begin_round(delivery);
	info->error = 0;
	info->not_before_ms = now_ms;
}

/* --- what becomes of it --- */

static const struct queue_recipient *first_of(const struct delivery *delivery,
					      enum queue_verdict verdict)
{
	const GPtrArray *all = delivery->file.info.recipients;

	for (guint i = 0; i < all->len; i++) {
		const struct queue_recipient *recipient = g_ptr_array_index(all, i);

		if (recipient->verdict == verdict)
			return recipient;
	}
	return NULL;
}

/* Refused ones make it a failure, whatever came of the others since. */
static void explain_failure(struct delivery *delivery)
{
	const struct queue_recipient *refused = first_of(delivery, QUEUE_REFUSED);
	const struct queue_recipient *unknown = first_of(delivery, QUEUE_UNKNOWN);
	const struct queue_recipient *worst = unknown ? unknown : refused;
	struct queue_info *info = &delivery->file.info;

	info->tries++;
	if (info->error == 0 || info->error == EAGAIN)
		info->error = EIO;
	if (worst && worst->reply)
		set_text(&info->reply, worst->reply);
}

bool delivery_is_expired(const struct delivery *delivery, int64_t now_ms)
{
	return now_ms - delivery->file.info.handed_ms >= DELIVERY_EXPIRES_MS;
}

void delivery_expire(struct delivery *delivery)
{
	struct queue_info *info = &delivery->file.info;
	g_autofree char *text = g_strdup_printf("given up after five days: %s",
						info->reply ? info->reply : "no reason is known");

	for (guint i = 0; info->recipients && i < info->recipients->len; i++) {
		struct queue_recipient *recipient = g_ptr_array_index(info->recipients, i);

		if (recipient->verdict == QUEUE_OPEN)
			judge_one(recipient, QUEUE_REFUSED, text);
	}
	info->error = ETIMEDOUT;
	set_text(&info->reply, text);
}

static enum queue_step judge_open(struct delivery *delivery, int64_t now_ms)
{
	struct queue_info *info = &delivery->file.info;
	const struct queue_recipient *open = first_of(delivery, QUEUE_OPEN);

	/* The others of a long list go at once. */
	if (count_open(delivery, true) > 0) {
		info->not_before_ms = now_ms;
		return QUEUE_WAITING;
	}
	info->error = EAGAIN;
	set_text(&info->reply, open->reply);
	if (delivery_is_expired(delivery, now_ms)) {
		delivery_expire(delivery);
		return QUEUE_FAILED;
	}
	info->tries++;
	info->not_before_ms = now_ms + delivery_pause_ms(info->tries);
	return QUEUE_WAITING;
}

enum queue_step delivery_judge(struct delivery *delivery, int64_t now_ms)
{
	/* It may have come to somebody already: nothing more of it goes out by itself. */
	if (first_of(delivery, QUEUE_UNKNOWN)) {
		explain_failure(delivery);
		return QUEUE_FAILED;
	}
	if (first_of(delivery, QUEUE_OPEN))
		return judge_open(delivery, now_ms);
	if (first_of(delivery, QUEUE_REFUSED)) {
		explain_failure(delivery);
		return QUEUE_FAILED;
	}
	delivery->file.info.error = 0;
	g_clear_pointer(&delivery->file.info.reply, g_free);
	return QUEUE_SENT;
}
