#include "protocol/line_sender.h"

#include "base/text.h"

#include <stdarg.h>
#include <string.h>

#define TRACE_MAX 200

void line_sender_init(struct line_sender *sender, size_t max)
{
	buf_init(&sender->output, max);
	/* The greeting is asked for by connecting. */
	sender->asked = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	g_array_append_val(sender->asked, sender->appended);
}

void line_sender_clear(struct line_sender *sender)
{
	buf_clear(&sender->output);
	g_clear_pointer(&sender->asked, g_array_unref);
}

static void put(struct line_sender *sender, const char *text)
{
	size_t len = strlen(text);
	bool fits = buf_append(&sender->output, text, len);

	g_assert(fits);
	sender->appended += len;
}

void line_sender_command(struct line_sender *sender, const char *command, const char *secret)
{
	put(sender, command);
	if (secret)
		put(sender, secret);
	put(sender, "\r\n");
	g_array_append_val(sender->asked, sender->appended);
	line_sender_trace(sender, 'C', "%s%s", command, secret ? "..." : "");
}

bool line_sender_answered(struct line_sender *sender)
{
	uint64_t written = sender->appended - buf_len(&sender->output);

	if (sender->asked->len == 0 || g_array_index(sender->asked, uint64_t, 0) > written)
		return false;
	g_array_remove_index(sender->asked, 0);
	return true;
}

void line_sender_trace(const struct line_sender *sender, char direction, const char *format, ...)
{
	g_autofree char *line = NULL;
	g_autofree char *shown = NULL;
	va_list args;

	if (!sender->trace)
		return;
	va_start(args, format);
	line = g_strdup_vprintf(format, args);
	va_end(args);
	shown = text_clean(line, -1, TRACE_MAX);
	sender->trace(sender->trace_data, direction, shown);
}
