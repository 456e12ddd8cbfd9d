/* A login with a test as its server. */
#pragma once

#include "base/error.h"
#include "protocol/sasl.h"

#include <string.h>

static const struct sasl_login alice = {.user = "alice", .password = "s3same"};

static inline struct sasl *begin(const struct sasl_login *login, unsigned offered)
{
	const struct sasl_server server = {.service = "imap", .offered = offered, .tls = true};
	GError *error = NULL;
	struct sasl *sasl = sasl_new(login, &server, &error);

	g_assert_no_error(error);
	g_assert_nonnull(sasl);
	return sasl;
}

static inline void end(struct sasl *sasl)
{
	sasl_free(&sasl);
	g_assert_null(sasl);
	sasl_free(&sasl);
}

static inline char *decoded(const char *line)
{
	gsize len;
	guchar *bytes = g_base64_decode(line, &len);
	char *text = g_strndup((const char *)bytes, len);

	g_free(bytes);
	return text;
}

/* The server says `text`, the client answers; both in base64 on the way. */
static inline char *answer(struct sasl *sasl, const char *text)
{
	g_autofree char *challenge = g_base64_encode((const guchar *)text, strlen(text));
	GError *error = NULL;
	const char *line = sasl_step(sasl, challenge, strlen(challenge), &error);

	g_assert_no_error(error);
	g_assert_nonnull(line);
	return decoded(line);
}

static inline void check_answer(struct sasl *sasl, const char *text, const char *expected)
{
	g_autofree char *line = answer(sasl, text);

	g_assert_cmpstr(line, ==, expected);
}

static inline void check_fails_raw(struct sasl *sasl, const char *challenge, size_t len,
				   enum mailfs_error code, const char *message)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(sasl_step(sasl, challenge, len, &error));
	g_assert_error(error, MAILFS_ERROR, (int)code);
	g_assert_nonnull(strstr(error->message, message));
	g_clear_error(&error);
	/* There is no way back. */
	g_assert_false(sasl_success(sasl, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_AUTH);
	g_clear_error(&error);
	g_assert_null(sasl_step(sasl, "", 0, &error));
	g_assert_nonnull(error);
}

static inline void check_fails(struct sasl *sasl, const char *text, enum mailfs_error code,
			       const char *message)
{
	g_autofree char *challenge = g_base64_encode((const guchar *)text, strlen(text));

	check_fails_raw(sasl, challenge, strlen(challenge), code, message);
}

static inline void check_success(const struct sasl *sasl)
{
	GError *error = NULL;

	g_assert_true(sasl_success(sasl, &error));
	g_assert_no_error(error);
}

static inline void check_early(const struct sasl *sasl)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(sasl_success(sasl, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_AUTH);
	g_assert_nonnull(strstr(error->message, "is done before it is"));
}

static inline void check_no_login(const struct sasl_login *login, unsigned offered,
				  enum mailfs_error code, const char *message)
{
	const struct sasl_server server = {.service = "imap", .offered = offered, .tls = true};
	g_autoptr(GError) error = NULL;

	g_assert_null(sasl_new(login, &server, &error));
	g_assert_error(error, MAILFS_ERROR, (int)code);
	g_assert_cmpstr(error->message, ==, message);
}
