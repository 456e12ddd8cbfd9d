#include "protocol/imap_command_parts.h"

#include <stdarg.h>
#include <string.h>

/* Some servers read a command line into a small buffer. */
#define QUOTED_MAX 256

struct imap_command {
	GPtrArray *parts; /* of struct imap_part */
};

static void part_free(void *data)
{
	struct imap_part *part = data;

	if (part->secret)
		explicit_bzero(part->bytes->str, part->bytes->allocated_len);
	g_string_free(part->bytes, TRUE);
	g_free(part);
}

static struct imap_part *part_add(struct imap_command *command, enum imap_part_kind kind,
				  bool secret, size_t size)
{
	struct imap_part *part = g_new0(struct imap_part, 1);

	part->kind = kind;
	part->secret = secret;
	part->bytes = g_string_sized_new(size + 1);
	g_ptr_array_add(command->parts, part);
	return part;
}

/* Where plain text goes: behind the plain text that is there. */
static GString *text_tail(struct imap_command *command)
{
	struct imap_part *last = NULL;

	if (command->parts->len > 0)
		last = g_ptr_array_index(command->parts, command->parts->len - 1);
	if (!last || last->kind != IMAP_PART_TEXT || last->secret)
		last = part_add(command, IMAP_PART_TEXT, false, 64);
	return last->bytes;
}

G_GNUC_PRINTF(2, 0)
static void text_append(struct imap_command *command, const char *format, va_list args)
{
	GString *text = text_tail(command);
	size_t before = text->len;

	g_string_append_vprintf(text, format, args);
	g_assert(!strpbrk(text->str + before, "\r\n"));
}

struct imap_command *imap_command_new(const char *format, ...)
{
	struct imap_command *command = g_new0(struct imap_command, 1);
	va_list args;

	command->parts = g_ptr_array_new_with_free_func(part_free);
	va_start(args, format);
	text_append(command, format, args);
	va_end(args);
	return command;
}

void imap_command_free(struct imap_command **command)
{
	if (!*command)
		return;
	g_ptr_array_unref((*command)->parts);
	g_free(*command);
	*command = NULL;
}

void imap_command_text(struct imap_command *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_append(command, format, args);
	va_end(args);
}

static bool can_be_quoted(const char *bytes, size_t len)
{
	if (len > QUOTED_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] < ' ' || bytes[i] > '~')
			return false;
	}
	return true;
}

static void quoted_append(GString *text, const char *bytes, size_t len)
{
	g_string_append_c(text, '"');
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '"' || bytes[i] == '\\')
			g_string_append_c(text, '\\');
		g_string_append_c(text, bytes[i]);
	}
	g_string_append_c(text, '"');
}

static bool string_add(struct imap_command *command, const char *bytes, size_t len, bool secret)
{
	if (len > 0 && memchr(bytes, '\0', len))
		return false;
	if (!can_be_quoted(bytes, len)) {
		struct imap_part *part = part_add(command, IMAP_PART_LITERAL, secret, len);

		g_string_append_len(part->bytes, bytes, (gssize)len);
	} else if (secret) {
		/* Twice the length and the quotes: all bytes may need a backslash. */
		struct imap_part *part = part_add(command, IMAP_PART_TEXT, true, 2 * len + 2);

		quoted_append(part->bytes, bytes, len);
	} else {
		quoted_append(text_tail(command), bytes, len);
	}
	return true;
}

bool imap_command_string(struct imap_command *command, const char *bytes, size_t len)
{
	return string_add(command, bytes, len, false);
}

bool imap_command_secret(struct imap_command *command, const char *bytes, size_t len)
{
	return string_add(command, bytes, len, true);
}

void imap_command_stream(struct imap_command *command, uint64_t len, imap_read_fn read, void *data)
{
	struct imap_part *part = part_add(command, IMAP_PART_STREAM, false, 0);

	part->len = len;
	part->read = read;
	part->data = data;
}

void imap_command_done(struct imap_command *command)
{
	struct imap_part *part = part_add(command, IMAP_PART_DONE, false, 4);

	g_string_append(part->bytes, "DONE");
}

void imap_command_initial(struct imap_command *command, const char *message)
{
	struct imap_part *part;

	imap_command_text(command, " ");
	part = part_add(command, IMAP_PART_TEXT, true, strlen(message));
	g_string_append(part->bytes, message);
}

unsigned imap_command_parts(const struct imap_command *command)
{
	return command->parts->len;
}

const struct imap_part *imap_command_part(const struct imap_command *command, unsigned i)
{
	return g_ptr_array_index(command->parts, i);
}
