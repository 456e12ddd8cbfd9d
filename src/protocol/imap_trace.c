#include "protocol/imap_trace.h"

#include "base/text.h"

#include <stdbool.h>
#include <string.h>

#define TRACE_MAX 200

char *imap_trace_clean(const char *line, size_t len)
{
	return text_clean(line, (gssize)len, TRACE_MAX);
}

/* "* 5 FETCH ..." */
static bool is_fetch(const char *line, size_t len)
{
	size_t i = 0;

	while (i < len && strchr("* 0123456789", line[i]))
		i++;
	return len - i >= 5 && g_ascii_strncasecmp(line + i, "FETCH", 5) == 0;
}

/* Bodies and headers may come as quoted strings. */
static char *trace_fetch(const char *line, size_t len)
{
	g_autoptr(GString) shown = g_string_new(NULL);
	bool quoted = false;

	for (size_t i = 0; i < len && shown->len <= TRACE_MAX; i++) {
		if (quoted && line[i] == '\\') {
			i++;
		} else if (line[i] == '"') {
			g_string_append(shown, quoted ? "...\"" : "\"");
			quoted = !quoted;
		} else if (!quoted) {
			g_string_append_c(shown, line[i]);
		}
	}
	return imap_trace_clean(shown->str, shown->len);
}

char *imap_trace_response(const char *text, size_t len)
{
	const char *end = memchr(text, '\n', len);
	size_t line_len = end ? (size_t)(end - text) : len;

	if (line_len > 0 && text[line_len - 1] == '\r')
		line_len--;
	if (is_fetch(text, line_len))
		return trace_fetch(text, line_len);
	return imap_trace_clean(text, line_len);
}
