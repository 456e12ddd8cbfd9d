#include "net/link.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "net/deflate.h"
#include "net/resolve.h"
#include "net/tls.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RAW_SIZE (16 * 1024) /* a TLS record */

struct link {
	char *host;
	uint16_t port;
	char *peer; /* "host:port", IPv6 in brackets */
	bool tls_first;
	char *ca_file;
	char *fingerprint;
	char *cert_file;
	char *key_file;

	enum link_state state;
	int64_t deadline_ms; /* of the state, or of the address being tried */
	GError *death;	     /* in LINK_DEAD: why */

	struct resolve *resolve; /* in LINK_RESOLVING, once begun */

	union resolve_address addresses[LIMIT_ADDRESSES];
	unsigned address_count;
	unsigned address;	     /* the one tried or connected */
	int64_t connect_deadline_ms; /* of all together */
	GError *connect_error;	     /* the best explanation so far */
	bool refused;		     /* it is a refusal */

	int fd;
	struct tls *tls;
	struct deflate *deflate;
};

static char *join_host_port(const char *host, const char *port)
{
	return g_strdup_printf(strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static const char *state_name(enum link_state state)
{
	switch (state) {
	case LINK_RESOLVING:
		return "resolving";
	case LINK_CONNECTING:
		return "connecting";
	case LINK_HANDSHAKE:
		return "handshake";
	case LINK_OPEN:
		return "open";
	case LINK_DEAD:
		return "dead";
	}
	return "?";
}

static void enter(struct link *link, enum link_state state, int64_t deadline_ms)
{
	link->state = state;
	link->deadline_ms = deadline_ms;
	log_debug("link %s: %s", link->peer, state_name(state));
}

struct link *link_new(const struct link_config *config, int64_t now_ms)
{
	struct link *link = g_new0(struct link, 1);
	g_autofree char *port = g_strdup_printf("%u", config->port);

	link->host = g_strdup(config->host);
	link->port = config->port;
	link->peer = join_host_port(config->host, port);
	link->tls_first = config->tls;
	link->ca_file = g_strdup(config->ca_file);
	link->fingerprint = g_strdup(config->fingerprint);
	link->cert_file = g_strdup(config->cert_file);
	link->key_file = g_strdup(config->key_file);
	link->fd = -1;
	/* The look-up begins in the first step, which can report an error. */
	enter(link, LINK_RESOLVING, now_ms);
	return link;
}

static void close_socket(struct link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
}

static void release(struct link *link)
{
	resolve_free(&link->resolve);
	deflate_free(&link->deflate);
	tls_free(&link->tls);
	close_socket(link);
	g_clear_error(&link->connect_error);
}

void link_free(struct link **link)
{
	struct link *old = *link;

	if (!old)
		return;
	*link = NULL;
	release(old);
	g_clear_error(&old->death);
	g_free(old->host);
	g_free(old->peer);
	g_free(old->ca_file);
	g_free(old->fingerprint);
	g_free(old->cert_file);
	g_free(old->key_file);
	g_free(old);
}

static void report_death(const struct link *link, GError **error)
{
	g_propagate_error(error, g_error_copy(link->death));
}

/* Takes `cause`. */
static void die(struct link *link, GError *cause, GError **error)
{
	release(link);
	link->death = cause;
	enter(link, LINK_DEAD, INT64_MAX);
	report_death(link, error);
}

enum link_state link_state(const struct link *link)
{
	return link->state;
}

int link_fd(const struct link *link)
{
	return link->resolve ? resolve_fd(link->resolve) : link->fd;
}

short link_events(const struct link *link, bool want_write)
{
	switch (link->state) {
	case LINK_RESOLVING:
		return link->resolve ? POLLIN : 0;
	case LINK_CONNECTING:
		return POLLOUT;
	case LINK_HANDSHAKE:
		return tls_events(link->tls, false);
	case LINK_OPEN:
		if (link->tls)
			return tls_events(link->tls, want_write);
		return (short)(POLLIN | (want_write ? POLLOUT : 0));
	case LINK_DEAD:
		break;
	}
	return 0;
}

int64_t link_deadline_ms(const struct link *link)
{
	return link->deadline_ms;
}

bool link_pending(const struct link *link)
{
	return link->state == LINK_OPEN && ((link->tls && tls_pending(link->tls)) ||
					    (link->deflate && deflate_pending(link->deflate)));
}

/* --- Connecting --- */

static void note_connect_failure(struct link *link, GError *failure, bool refused)
{
	close_socket(link);
	if (link->refused) {
		g_error_free(failure);
		return;
	}
	g_clear_error(&link->connect_error);
	link->connect_error = failure;
	link->refused = refused;
}

static void note_connect_errno(struct link *link, int err)
{
	note_connect_failure(link,
			     g_error_new(MAILFS_ERROR, ERROR_UNREACHABLE,
					 "cannot connect to %s: %s", link->peer, g_strerror(err)),
			     err == ECONNREFUSED);
}

static void note_connect_timeout(struct link *link)
{
	/* Shown only if it was the last address, when the whole time has been spent. */
	note_connect_failure(link,
			     g_error_new(MAILFS_ERROR, ERROR_TIMEOUT, "no answer from %s in %d s",
					 link->peer, LIMIT_CONNECT_MS / 1000),
			     false);
}

/* 0 or an errno. */
static int begin_connect(struct link *link, const union resolve_address *address)
{
	const int on = 1;

	link->fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (link->fd < 0)
		return errno;
	setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(link->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (connect(link->fd, &address->any, resolve_address_len(address)) == 0 ||
	    errno == EINPROGRESS || errno == EINTR)
		return 0;
	return errno;
}

/* What is left is shared, so that black holes at the front do not eat it all. */
static int64_t address_deadline_ms(const struct link *link, int64_t now_ms)
{
	int64_t left_ms = link->connect_deadline_ms - now_ms;
	unsigned untried = link->address_count - link->address;

	if (untried > 1)
		left_ms = MIN(left_ms / untried, LIMIT_CONNECT_SHARE_MS);
	return now_ms + left_ms;
}

/* Tries from link->address on. False, with the best explanation, if there is none left. */
static bool connect_from_here(struct link *link, int64_t now_ms, GError **error)
{
	for (; link->address < link->address_count; link->address++) {
		int err;

		if (now_ms >= link->connect_deadline_ms)
			break;
		err = begin_connect(link, &link->addresses[link->address]);
		if (err == 0) {
			enter(link, LINK_CONNECTING, address_deadline_ms(link, now_ms));
			return true;
		}
		note_connect_errno(link, err);
	}
	g_propagate_error(error, g_steal_pointer(&link->connect_error));
	return false;
}

static bool step_resolving(struct link *link, int64_t now_ms, GError **error)
{
	int found;

	if (!link->resolve) {
		link->resolve = resolve_start(link->host, link->port, error);
		link->deadline_ms = now_ms + LIMIT_CONNECT_MS;
		return link->resolve != NULL;
	}
	found = resolve_finish(link->resolve, link->addresses, &link->address_count, error);
	if (found < 0)
		return false;
	if (found > 0) {
		resolve_free(&link->resolve);
		link->connect_deadline_ms = now_ms + LIMIT_CONNECT_MS;
		return connect_from_here(link, now_ms, error);
	}
	if (now_ms < link->deadline_ms)
		return true;
	g_set_error(error, MAILFS_ERROR, ERROR_TIMEOUT, "no answer to the look-up of %s in %d s",
		    link->host, LIMIT_CONNECT_MS / 1000);
	return false;
}

static bool begin_handshake(struct link *link, int64_t now_ms, GError **error)
{
	const struct tls_config config = {
		.host = link->host,
		.peer = link->peer,
		.ca_file = link->ca_file,
		.fingerprint = link->fingerprint,
		.cert_file = link->cert_file,
		.key_file = link->key_file,
	};

	link->tls = tls_new(link->fd, &config, error);
	if (!link->tls)
		return false;
	enter(link, LINK_HANDSHAKE, now_ms + LIMIT_CONNECT_MS);
	return true;
}

/* An errno, 0 if connected, EINPROGRESS. SO_ERROR alone does not tell the last two apart. */
static int connect_outcome(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int err = 0;

	if (poll(&poll_fd, 1, 0) <= 0)
		return EINPROGRESS;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return errno;
	return err;
}

static bool step_connecting(struct link *link, int64_t now_ms, GError **error)
{
	int err = connect_outcome(link->fd);

	if (err == 0 && link->tls_first)
		return begin_handshake(link, now_ms, error);
	if (err == 0) {
		enter(link, LINK_OPEN, INT64_MAX);
		return true;
	}
	if (err == EINPROGRESS && now_ms < link->deadline_ms)
		return true;
	if (err == EINPROGRESS)
		note_connect_timeout(link);
	else
		note_connect_errno(link, err);
	link->address++;
	return connect_from_here(link, now_ms, error);
}

static bool step_handshake(struct link *link, int64_t now_ms, GError **error)
{
	int done = tls_handshake(link->tls, error);

	if (done < 0)
		return false;
	if (done > 0) {
		enter(link, LINK_OPEN, INT64_MAX);
		return true;
	}
	if (now_ms < link->deadline_ms)
		return true;
	g_set_error(error, MAILFS_ERROR, ERROR_TIMEOUT,
		    "no answer from %s to the TLS handshake in %d s", link->peer,
		    LIMIT_CONNECT_MS / 1000);
	return false;
}

static bool step_state(struct link *link, int64_t now_ms, GError **error)
{
	switch (link->state) {
	case LINK_RESOLVING:
		return step_resolving(link, now_ms, error);
	case LINK_CONNECTING:
		return step_connecting(link, now_ms, error);
	case LINK_HANDSHAKE:
		return step_handshake(link, now_ms, error);
	case LINK_OPEN:
	case LINK_DEAD:
		break;
	}
	return true;
}

bool link_step(struct link *link, int64_t now_ms, GError **error)
{
	GError *cause = NULL;
	enum link_state before;

	if (link->state == LINK_DEAD) {
		report_death(link, error);
		return false;
	}
	do {
		before = link->state;
		if (!step_state(link, now_ms, &cause)) {
			die(link, cause, error);
			return false;
		}
	} while (link->state != before);
	return true;
}

bool link_start_tls(struct link *link, int64_t now_ms, GError **error)
{
	GError *cause = NULL;

	if (link->state == LINK_DEAD) {
		report_death(link, error);
		return false;
	}
	if (link->state != LINK_OPEN || link->tls || link->deflate)
		g_set_error(&cause, MAILFS_ERROR, ERROR_TLS, "TLS with %s cannot start now",
			    link->peer);
	else if (begin_handshake(link, now_ms, &cause))
		return true;
	die(link, cause, error);
	return false;
}

bool link_start_deflate(struct link *link, const void *bytes, size_t len, GError **error)
{
	GError *cause = NULL;

	if (link->state == LINK_DEAD) {
		report_death(link, error);
		return false;
	}
	if (link->state == LINK_OPEN && !link->deflate)
		link->deflate = deflate_new(link->peer, &cause);
	else
		g_set_error(&cause, MAILFS_ERROR, ERROR_PROTOCOL,
			    "compression with %s cannot start now", link->peer);
	if (cause) {
		die(link, cause, error);
		return false;
	}
	deflate_feed(link->deflate, bytes, len);
	return true;
}

/* --- Bytes --- */

/* What recv() or send() gave, as link_read() and link_write() give it. */
static ssize_t plain_result(const struct link *link, ssize_t n, GError **error)
{
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return 0;
	g_set_error(error, MAILFS_ERROR, ERROR_UNREACHABLE, "connection to %s lost: %s", link->peer,
		    g_strerror(errno));
	return -1;
}

static ssize_t plain_read(const struct link *link, void *bytes, size_t max, GError **error)
{
	ssize_t n = recv(link->fd, bytes, max, 0);

	if (n != 0)
		return plain_result(link, n, error);
	g_set_error(error, MAILFS_ERROR, ERROR_UNREACHABLE, "%s closed the connection", link->peer);
	return -1;
}

static ssize_t plain_write(const struct link *link, const void *bytes, size_t len, GError **error)
{
	return plain_result(link, send(link->fd, bytes, len, MSG_NOSIGNAL), error);
}

static ssize_t raw_read(const struct link *link, void *bytes, size_t max, GError **error)
{
	return link->tls ? tls_read(link->tls, bytes, max, error)
			 : plain_read(link, bytes, max, error);
}

static ssize_t raw_write(const struct link *link, const void *bytes, size_t len, GError **error)
{
	return link->tls ? tls_write(link->tls, bytes, len, error)
			 : plain_write(link, bytes, len, error);
}

/* At most one read of the connection: what inflates to nothing could go on for ever. */
static ssize_t inflated_read(const struct link *link, void *bytes, size_t max, GError **error)
{
	uint8_t raw[RAW_SIZE];
	ssize_t n = deflate_read(link->deflate, bytes, max, error);

	if (n != 0)
		return n;
	n = raw_read(link, raw, sizeof(raw), error);
	if (n <= 0)
		return n;
	deflate_feed(link->deflate, raw, (size_t)n);
	return deflate_read(link->deflate, bytes, max, error);
}

static ssize_t deflated_write(const struct link *link, const void *bytes, size_t len,
			      GError **error)
{
	size_t raw_len;
	const uint8_t *raw = deflate_write(link->deflate, bytes, len, &raw_len);
	ssize_t sent = raw_write(link, raw, raw_len, error);

	return sent < 0 ? -1 : (ssize_t)deflate_sent(link->deflate, (size_t)sent);
}

/* True if bytes can move; else `ret` is the caller's answer. */
static bool can_transfer(const struct link *link, size_t len, ssize_t *ret, GError **error)
{
	if (link->state == LINK_OPEN && len > 0)
		return true;
	*ret = 0;
	if (link->state == LINK_DEAD) {
		report_death(link, error);
		*ret = -1;
	}
	return false;
}

ssize_t link_read(struct link *link, void *bytes, size_t max, GError **error)
{
	GError *cause = NULL;
	ssize_t n;

	if (!can_transfer(link, max, &n, error))
		return n;
	n = link->deflate ? inflated_read(link, bytes, max, &cause)
			  : raw_read(link, bytes, max, &cause);
	if (n < 0)
		die(link, cause, error);
	return n;
}

ssize_t link_write(struct link *link, const void *bytes, size_t len, GError **error)
{
	GError *cause = NULL;
	ssize_t n;

	if (!can_transfer(link, len, &n, error))
		return n;
	n = link->deflate ? deflated_write(link, bytes, len, &cause)
			  : raw_write(link, bytes, len, &cause);
	if (n < 0)
		die(link, cause, error);
	return n;
}

/* --- Descriptions --- */

char *link_describe_peer(const struct link *link)
{
	const union resolve_address *address = &link->addresses[link->address];
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (link->address >= link->address_count ||
	    getnameinfo(&address->any, resolve_address_len(address), host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return g_strdup(link->peer);
	return join_host_port(host, port);
}

bool link_binding(const struct link *link, uint8_t ret[TLS_BINDING_LEN])
{
	return link->tls && tls_binding(link->tls, ret);
}

char *link_describe_tls(const struct link *link)
{
	if (link->state == LINK_OPEN && link->tls)
		return tls_describe(link->tls);
	return g_strdup("cleartext");
}

static char *describe_certificate(const struct link *link)
{
	if (link->state == LINK_OPEN && link->tls)
		return tls_describe_certificate(link->tls);
	return g_strdup("none");
}

void link_describe(const struct link *link, GString *out)
{
	g_autofree char *peer = link_describe_peer(link);
	g_autofree char *tls = link_describe_tls(link);
	g_autofree char *certificate = describe_certificate(link);

	g_string_append_printf(out, "server: %s\ntls: %s\ncertificate: %s\n", peer, tls,
			       certificate);
}

bool link_is_compressed(const struct link *link)
{
	return link->deflate != NULL;
}

bool link_is_loopback(const struct link *link)
{
	const union resolve_address *address = &link->addresses[link->address];

	return link->address < link->address_count && resolve_is_loopback(address);
}
