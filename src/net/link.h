/* A byte stream to a server: TCP, with TLS from the start or later, and compressed later.
 * Non-blocking; owned and called by one thread, which polls link_fd() for link_events() and steps
 * it. Names are resolved in a helper thread, so that no call here waits; every address is tried in
 * turn (RFC 8305 order, without racing them), each with its own share of LIMIT_CONNECT_MS. If none
 * works, the error is that of the first one that refused, else that of the last.
 *
 * Certificates are verified against the system's store or `ca_file`, the host name (DNS without
 * partial wildcards, or IP) against the certificate; TLS 1.2 at least. With `fingerprint` the
 * certificate must have that SHA-256 (of the DER certificate), and then needs no CA: the user has
 * vouched for it.
 *
 * Errors: ERROR_NO_HOST, ERROR_UNREACHABLE, ERROR_TIMEOUT, ERROR_TLS, ERROR_CONFIG (the three
 * files), those of net/deflate.h once it is compressed. After an error the link is dead and can
 * only be freed; every call repeats the error.
 */
#pragma once

#include "config/account.h"
#include "net/tls.h"

#include <sys/types.h>

struct link;

struct link_config {
	const char *host; /* copied */
	uint16_t port;
	bool tls;		 /* from the first byte */
	const char *ca_file;	 /* NULL: the system's store; copied */
	const char *fingerprint; /* as in struct account; may be NULL; copied */
	const char *cert_file;	 /* as in struct account; may be NULL; copied */
	const char *key_file;	 /* likewise */
};

enum link_state {
	LINK_RESOLVING,
	LINK_CONNECTING,
	LINK_HANDSHAKE, /* TLS */
	LINK_OPEN,
	LINK_DEAD,
};

struct link *link_new(const struct link_config *config, int64_t now_ms);
void link_free(struct link **link);

enum link_state link_state(const struct link *link);
/* What to poll; -1 and 0 are possible. In LINK_RESOLVING it is an eventfd. Whatever poll() reports
 * then, step, read and write: TLS may have to write in order to read and the reverse. */
int link_fd(const struct link *link);
short link_events(const struct link *link, bool want_write);
/* When link_step() must be called even without an event (of a new link: at once); INT64_MAX if
 * never. */
int64_t link_deadline_ms(const struct link *link);
/* True if link_read() may give bytes that poll() does not announce (TLS records or compressed bytes
 * read already). */
bool link_pending(const struct link *link);

/* Drives resolving, connecting and the handshake. False if the link died. */
bool link_step(struct link *link, int64_t now_ms, GError **error);
/* Starts TLS on an open link. The caller has made sure that no byte is buffered. */
bool link_start_tls(struct link *link, int64_t now_ms, GError **error);

/* All that follows is compressed, either way. `bytes` were read already, and are so too. */
bool link_start_deflate(struct link *link, const void *bytes, size_t len, GError **error);

/* > 0 bytes; 0: nothing now; -1: dead, with an error. The peer's close is ERROR_UNREACHABLE, a
 * close without close_notify too. After a link_write() of 0 the next one must offer at least the
 * same bytes again (at any address): what stands for them may be on its way in part. */
ssize_t link_read(struct link *link, void *bytes, size_t max, GError **error);
ssize_t link_write(struct link *link, const void *bytes, size_t len, GError **error);

/* "127.0.0.1:993" and "TLSv1.3 TLS_AES_256_GCM_SHA384" or "cleartext"; free with g_free(). */
char *link_describe_peer(const struct link *link);
char *link_describe_tls(const struct link *link);
/* Both, and the certificate as tls_describe_certificate() has it ("none" in cleartext): three
 * lines, "server:", "tls:" and "certificate:". */
void link_describe(const struct link *link, GString *out);
/* As tls_binding(); false in cleartext. */
bool link_binding(const struct link *link, uint8_t ret[TLS_BINDING_LEN]);
bool link_is_compressed(const struct link *link);
/* The peer is on this machine. */
bool link_is_loopback(const struct link *link);
