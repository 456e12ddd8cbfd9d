#include "store/identity.h"

#include "base/limits.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

static const char *const names[] = {"Message-ID", "Date", "From", "To", "Subject"};
#define NAMES G_N_ELEMENTS(names)

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

static const char *line_end(const char *at, const char *end)
{
	const char *newline = memchr(at, '\n', (size_t)(end - at));

	return newline ? newline + 1 : end;
}

/* With the lines that go on with a space (RFC 5322 section 2.2.3). */
static const char *field_end(const char *at, const char *end)
{
	at = line_end(at, end);
	while (at < end && (*at == ' ' || *at == '\t'))
		at = line_end(at, end);
	return at;
}

static bool is_blank_line(const char *at, const char *end)
{
	return *at == '\n' || (*at == '\r' && at + 1 < end && at[1] == '\n');
}

/* NAMES if it is none of them. */
static size_t field_find(const char *at, size_t len)
{
	size_t i = 0;

	while (len > 0 && is_space(at[len - 1]))
		len--;
	while (i < NAMES &&
	       (strlen(names[i]) != len || g_ascii_strncasecmp(at, names[i], len) != 0))
		i++;
	return i;
}

/* NULL if nothing is left. */
static char *value_normalise(const char *at, const char *end)
{
	GString *value = g_string_new(NULL);

	for (; at < end && value->len < LIMIT_IDENTITY_VALUE; at++) {
		if (!is_space(*at))
			g_string_append_c(value, *at);
		else if (value->len > 0 && value->str[value->len - 1] != ' ')
			g_string_append_c(value, ' ');
	}
	if (value->len > 0 && value->str[value->len - 1] == ' ')
		g_string_truncate(value, value->len - 1);
	return g_string_free(value, value->len == 0);
}

static void field_take(const char *at, const char *end, char **values)
{
	const char *colon = memchr(at, ':', (size_t)(end - at));
	size_t i = colon ? field_find(at, (size_t)(colon - at)) : NAMES;

	if (i < NAMES && !values[i])
		values[i] = value_normalise(colon + 1, end);
}

char *store_identity_fields(const char *header, size_t len)
{
	const char *end = len > 0 ? header + len : header;
	char *values[NAMES] = {NULL};
	GString *fields = g_string_new(NULL);

	for (const char *at = header; at < end && !is_blank_line(at, end);) {
		const char *next = field_end(at, end);

		field_take(at, next, values);
		at = next;
	}
	for (size_t i = 0; i < NAMES; i++) {
		if (values[i])
			g_string_append_printf(fields, "%s:%s\n", names[i], values[i]);
		g_free(values[i]);
	}
	return g_string_free(fields, FALSE);
}
