#include "sendmail/input.h"

#include "base/limits.h"
#include "sendmail/failure.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define CHUNK ((size_t)64 * 1024)
#define LINE_BYTES 78 /* RFC 5322 section 2.1.1 */
#define WORD_BYTES 42 /* of text in an encoded word, at most 75 characters long (RFC 2047) */

/* Appends all but a line that is a dot alone. False: there it was. */
static bool dots_filter(struct input *input, const char *bytes, size_t len, GString *out)
{
	for (size_t i = 0; i < len; i++) {
		char c = bytes[i];

		if (input->state == DOT_LINE_START && c == '.') {
			input->state = DOT_SEEN;
			continue;
		}
		if (input->state == DOT_SEEN && c == '\r') {
			input->state = DOT_SEEN_CR;
			continue;
		}
		if (input->state == DOT_SEEN || input->state == DOT_SEEN_CR) {
			if (c == '\n')
				return false;
			g_string_append(out, input->state == DOT_SEEN ? "." : ".\r");
		}
		g_string_append_c(out, c);
		input->state = c == '\n' ? DOT_LINE_START : DOT_LINE_INSIDE;
	}
	return true;
}

bool input_read(struct input *input, GString *out, GError **error)
{
	char bytes[CHUNK];
	ssize_t got;

	do {
		if (!interrupt_wait(input->interrupt, input->fd))
			return failure_set(error, EX_TEMPFAIL, "interrupted, nothing is sent");
		got = read(input->fd, bytes, sizeof(bytes));
	} while (got < 0 && (errno == EINTR || errno == EAGAIN));
	if (got < 0)
		return failure_errno(error, EX_IOERR, "read", "standard input");
	input->size += (guint64)got;
	if (input->size > LIMIT_MESSAGE_SIZE)
		return failure_set(error, EX_DATAERR, "the message is larger than 256 MiB");
	if (!input->dot_ends)
		g_string_append_len(out, bytes, got);
	else if (!dots_filter(input, bytes, (size_t)got, out))
		input->ended = true;
	input->ended |= got == 0;
	return true;
}

/* Behind the empty line that ends the header; NULL: it is not there yet. */
static const char *header_end(const GString *text)
{
	const char *line = text->str;
	const char *end = text->str + text->len;

	while (line < end) {
		const char *next = memchr(line, '\n', (size_t)(end - line));

		if (!next)
			return NULL;
		if (next == line || (next == line + 1 && *line == '\r'))
			return next + 1;
		line = next + 1;
	}
	return NULL;
}

bool input_read_header(struct input *input, GString *out, GError **error)
{
	while (!input->ended && out->len < LIMIT_HEADER && !header_end(out)) {
		if (!input_read(input, out, error))
			return false;
	}
	return true;
}

/* A mailbox file's line in front of the header. */
static size_t mbox_line_len(const GString *text)
{
	const char *end;

	if (!g_str_has_prefix(text->str, "From "))
		return 0;
	end = memchr(text->str, '\n', text->len);
	return end ? (size_t)(end - text->str) + 1 : text->len;
}

/* The value of the From field, its lines joined; NULL: there is none. */
static char *from_value(const GString *header)
{
	const char *end = header_end(header);
	g_autofree char *text =
		g_strndup(header->str, end ? (gsize)(end - header->str) : header->len);
	g_auto(GStrv) lines = g_strsplit(text + mbox_line_len(header), "\n", 0);
	GString *value = NULL;

	for (size_t i = 0; lines[i]; i++) {
		if (value && (lines[i][0] == ' ' || lines[i][0] == '\t'))
			g_string_append(value, lines[i]);
		else if (value)
			break;
		else if (g_ascii_strncasecmp(lines[i], "from", 4) == 0 &&
			 lines[i][4 + strspn(lines[i] + 4, " \t")] == ':')
			value = g_string_new(strchr(lines[i], ':') + 1);
	}
	return value ? g_string_free(value, FALSE) : NULL;
}

char *input_from(const GString *header, bool *ret_has_field)
{
	g_autofree char *value = from_value(header);
	const char *angle = value ? strrchr(value, '<') : NULL;
	g_auto(GStrv) words = NULL;

	*ret_has_field = value != NULL;
	if (!value)
		return NULL;
	if (angle)
		return g_strndup(angle + 1, strcspn(angle + 1, ">"));
	words = g_strsplit_set(value, " \t\r,;()", 0);
	for (size_t i = 0; words[i]; i++) {
		if (strchr(words[i], '@'))
			return g_strdup(words[i]);
	}
	return NULL;
}

static void append_quoted(GString *out, const char *name)
{
	g_string_append_c(out, '"');
	for (; *name; name++) {
		if (*name == '"' || *name == '\\')
			g_string_append_c(out, '\\');
		g_string_append_c(out, *name);
	}
	g_string_append_c(out, '"');
}

/* Cut between characters, each word on a line of its own. */
static void append_encoded(GString *out, const char *name)
{
	while (*name) {
		const char *end = name;
		g_autofree char *word = NULL;

		while (*end && g_utf8_next_char(end) - name <= WORD_BYTES)
			end = g_utf8_next_char(end);
		word = g_base64_encode((const guchar *)name, (gsize)(end - name));
		g_string_append_printf(out, "=?UTF-8?B?%s?=%s", word, *end ? "\n " : "");
		name = end;
	}
}

void input_add_from(GString *header, const char *name, const char *address)
{
	g_autoptr(GString) field = g_string_new("From: ");
	bool fits;

	if (g_str_is_ascii(name))
		append_quoted(field, name);
	else
		append_encoded(field, name);
	fits = field->len + strlen(" <>") + strlen(address) <= LINE_BYTES;
	g_string_append_printf(field, "%s<%s>\n", fits ? " " : "\n ", address);
	g_string_insert_len(header, (gssize)mbox_line_len(header), field->str, (gssize)field->len);
}
