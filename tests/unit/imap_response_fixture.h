/* Shared by the tests of the grammar. */
#pragma once

#include "base/error.h"
#include "protocol/imap_response.h"

#include <string.h>

/* From memory of exactly this length, so that a read beyond it is seen. */
static inline bool parse_bytes(const char *text, size_t len, uint64_t body_size,
			       struct imap_response *ret, GError **error)
{
	g_autofree char *copy = g_memdup2(text, len);

	return imap_response_parse(copy, len, body_size, ret, error);
}

static inline struct imap_response parse(const char *text)
{
	struct imap_response response;
	g_autoptr(GError) error = NULL;
	bool ok = parse_bytes(text, strlen(text), 0, &response, &error);

	g_assert_no_error(error);
	g_assert_true(ok);
	return response;
}

static inline void parse_bad(const char *text, int code)
{
	struct imap_response response;
	g_autoptr(GError) error = NULL;

	g_assert_false(parse_bytes(text, strlen(text), 0, &response, &error));
	g_assert_error(error, MAILFS_ERROR, code);
}

static inline void assert_words(const GPtrArray *words, const char *expected)
{
	GString *out = g_string_new(NULL);

	for (guint i = 0; words && i < words->len; i++)
		g_string_append_printf(out, "%s%s", i ? " " : "", (char *)words->pdata[i]);
	g_assert_cmpstr(out->str, ==, expected);
	g_string_free(out, TRUE);
}
