/* A link that a test drives, and one of the servers of link_peer.h at its other end. */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "link_peer.h"
#include "net/link.h"

#include <poll.h>
#include <string.h>

#define PATIENCE_MS 20000 /* until a test gives up */

static inline struct link *new_link(const char *host, uint16_t port, const char *ca_file)
{
	const struct link_config config = {
		.host = host,
		.port = port,
		.tls = ca_file != NULL,
		.ca_file = ca_file,
	};

	return link_new(&config, clock_mono_ms());
}

static inline struct link *new_pinned(uint16_t port, const char *fingerprint)
{
	const struct link_config config = {
		.host = "localhost",
		.port = port,
		.tls = true,
		.fingerprint = fingerprint,
	};

	return link_new(&config, clock_mono_ms());
}

static inline void await(const struct link *link, bool want_write)
{
	struct pollfd fd = {.fd = link_fd(link), .events = link_events(link, want_write)};
	int64_t left_ms = link_deadline_ms(link) - clock_mono_ms();

	if (!link_pending(link))
		poll(&fd, 1, (int)CLAMP(left_ms, 0, PATIENCE_MS));
}

static inline bool drive(struct link *link, enum link_state until, GError **error)
{
	int64_t give_up_ms = clock_mono_ms() + PATIENCE_MS;

	for (;;) {
		if (!link_step(link, clock_mono_ms(), error))
			return false;
		if (link_state(link) == until)
			return true;
		g_assert_cmpint(link_state(link), <, until);
		await(link, false);
		g_assert_cmpint(clock_mono_ms(), <, give_up_ms);
	}
}

static inline void drive_open(struct link *link)
{
	GError *error = NULL;

	drive(link, LINK_OPEN, &error);
	g_assert_no_error(error);
}

static inline ssize_t read_some(struct link *link, void *bytes, size_t max, GError **error)
{
	ssize_t n;

	while ((n = link_read(link, bytes, max, error)) == 0)
		await(link, false);
	return n;
}

static inline void assert_reads(struct link *link, const char *text)
{
	char bytes[64] = {0};
	size_t len = strlen(text), got = 0;
	GError *error = NULL;

	while (got < len) {
		ssize_t n = read_some(link, bytes + got, len - got, &error);

		g_assert_no_error(error);
		got += (size_t)n;
	}
	g_assert_cmpstr(bytes, ==, text);
}

static inline void assert_echo(struct link *link, const char *text)
{
	GError *error = NULL;

	g_assert_cmpint(link_write(link, text, strlen(text), &error), ==, (ssize_t)strlen(text));
	g_assert_no_error(error);
	assert_reads(link, text);
}

/* Takes the error: its code, and a glob that its one line matches. */
static inline void assert_failure(GError *error, enum mailfs_error code, const char *glob)
{
	g_assert_error(error, MAILFS_ERROR, (int)code);
	if (!g_pattern_match_simple(glob, error->message))
		g_error("\"%s\" is not like \"%s\"", error->message, glob);
	g_assert_null(strchr(error->message, '\n'));
	g_error_free(error);
}

/* Takes the link: it dies on the way to LINK_OPEN and stays dead. */
static inline void assert_never_opens(struct link *link, enum mailfs_error code, const char *glob)
{
	GError *error = NULL;
	char byte;

	g_assert_false(drive(link, LINK_OPEN, &error));
	assert_failure(g_steal_pointer(&error), code, glob);

	g_assert_cmpint(link_state(link), ==, LINK_DEAD);
	g_assert_cmpint(link_fd(link), ==, -1);
	g_assert_cmpint(link_events(link, true), ==, 0);
	g_assert_cmpint(link_deadline_ms(link), ==, INT64_MAX);
	g_assert_false(link_pending(link));
	g_assert_false(link_step(link, clock_mono_ms(), &error));
	assert_failure(g_steal_pointer(&error), code, glob);
	g_assert_false(link_start_tls(link, clock_mono_ms(), &error));
	assert_failure(g_steal_pointer(&error), code, glob);
	g_assert_cmpint(link_read(link, &byte, 1, &error), ==, -1);
	assert_failure(g_steal_pointer(&error), code, glob);
	g_assert_cmpint(link_write(link, "x", 1, &error), ==, -1);
	assert_failure(g_steal_pointer(&error), code, glob);
	link_free(&link);
	g_assert_null(link);
}

static inline struct server tls_server(const struct pki *pki, enum script script)
{
	return (struct server){.script = script, .certificate = pki->good, .key = pki->key};
}

static inline void stop(struct link *link, struct server *server)
{
	link_free(&link);
	server_stop(server);
	g_free(server->server_name);
}
