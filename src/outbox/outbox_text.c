/* What people read of the outbox: .mailfs/queue, and the reasons beside what failed. */
#include "outbox/outbox_private.h"

#include "base/clock.h"
#include "base/text.h"

#define TEXT_MAX 500

static void append_clean(GString *out, const char *text)
{
	g_autofree char *clean = text_clean(text ? text : "-", -1, TEXT_MAX);

	g_string_append(out, clean);
}

static void append_time(GString *out, int64_t wall_ms)
{
	g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(wall_ms / 1000);
	g_autofree char *stamp = utc ? g_date_time_format(utc, "%Y-%m-%dT%H:%M:%SZ") : NULL;

	g_string_append(out, stamp ? stamp : "-");
}

/* What is in the way of all. */
struct pause {
	int64_t until_ms; /* wall clock; 0: nothing; INT64_MAX: it does not end */
	char *why;
};

static struct pause get_pause(struct outbox *outbox)
{
	int64_t now_ms = clock_mono_ms();
	struct pause pause = {0};

	pthread_mutex_lock(&outbox->lock);
	if (now_ms < outbox->shared.pause_ms) {
		pause.until_ms = outbox->shared.pause_ms;
		if (pause.until_ms != INT64_MAX)
			pause.until_ms += clock_wall_ns() / 1000000 - now_ms;
		pause.why = g_strdup(outbox->shared.why);
	}
	pthread_mutex_unlock(&outbox->lock);
	return pause;
}

static const char *state_word(const struct queue_file *file)
{
	switch (file->step) {
	case QUEUE_DRAFT:
		return "draft";
	case QUEUE_WAITING:
		if (file->running)
			return "connecting";
		return file->info.tries > 0 ? "deferred" : "waiting";
	case QUEUE_SENDING:
		return "sending";
	case QUEUE_SENT:
		return "sent";
	case QUEUE_FAILED:
		break;
	}
	return "failed";
}

static void append_file(GString *out, const struct queue_file *file, const struct pause *pause)
{
	bool waits = file->step == QUEUE_WAITING;

	append_clean(out, file->name);
	g_string_append_printf(out, "\t%s\t%u\t", state_word(file), file->info.tries);
	if (waits && pause->until_ms != INT64_MAX)
		append_time(out, MAX(file->info.not_before_ms, pause->until_ms));
	else
		g_string_append_c(out, '-');
	g_string_append_c(out, '\t');
	append_clean(out, waits && pause->why ? pause->why : file->info.reply);
	g_string_append_c(out, '\n');
}

char *outbox_text(struct outbox *outbox)
{
	GString *out = g_string_new(NULL);
	struct pause pause = get_pause(outbox);

	for (int failed = 0; failed <= 1; failed++) {
		g_autoptr(GPtrArray) files = queue_list(outbox->queue, failed);

		for (guint i = 0; i < files->len; i++) {
			const struct queue_file *file = g_ptr_array_index(files, i);

			if (file->step != QUEUE_DRAFT)
				append_file(out, file, &pause);
		}
	}
	g_free(pause.why);
	return g_string_free(out, FALSE);
}

static const char *verdict_word(enum queue_verdict verdict)
{
	static const char *const words[] = {
		[QUEUE_OPEN] = "not sent",   [QUEUE_TAKEN] = "being sent", [QUEUE_DONE] = "sent",
		[QUEUE_REFUSED] = "refused", [QUEUE_UNKNOWN] = "unknown",
	};

	return words[verdict];
}

char *outbox_error_text(const struct queue_file *file)
{
	const GPtrArray *recipients = file->info.recipients;
	GString *out = g_string_new(NULL);

	append_clean(out, file->info.reply);
	g_string_append_c(out, '\n');
	for (guint i = 0; recipients && i < recipients->len; i++) {
		const struct queue_recipient *recipient = g_ptr_array_index(recipients, i);

		append_clean(out, recipient->address);
		g_string_append_printf(out, ": %s", verdict_word(recipient->verdict));
		if (recipient->reply && recipient->verdict != QUEUE_DONE) {
			g_string_append(out, ": ");
			append_clean(out, recipient->reply);
		}
		g_string_append_c(out, '\n');
	}
	return g_string_free(out, FALSE);
}
