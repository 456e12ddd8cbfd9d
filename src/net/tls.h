/* TLS (1.2 or newer, RFC 8446, RFC 5246) as a client over one connected, non-blocking socket.
 * Called by the one thread that owns it. Never raises SIGPIPE. There is no way to an established
 * connection around the check of the certificate: it is part of the handshake.
 *
 * Errors: ERROR_TLS (certificate, handshake, broken record), ERROR_UNREACHABLE (the connection was
 * lost or closed; a close without close_notify too), ERROR_CONFIG (ca_file, cert_file, key_file).
 * After an error it can only be freed.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TLS_BINDING_LEN 32

struct tls;

struct tls_config {
	const char *host;	 /* whom the certificate must name (RFC 9525) */
	const char *peer;	 /* "host:port", for error messages */
	const char *ca_file;	 /* PEM, replaces the system's store; may be NULL */
	const char *fingerprint; /* "SHA256:" and 64 lower-case hex digits; may be NULL */
	const char *cert_file;	 /* PEM, shown to a server that asks for it; may be NULL */
	const char *key_file;	 /* PEM, not encrypted, of nobody but us; NULL: in cert_file */
};

/* `fd` stays the caller's and must outlive the result; the strings are copied. */
struct tls *tls_new(int fd, const struct tls_config *config, GError **error);
/* Says close_notify, if that is possible without waiting. */
void tls_free(struct tls **tls);

/* 1: established and verified; 0: not yet; -1: error. */
int tls_handshake(struct tls *tls, GError **error);

/* > 0 bytes; 0: nothing now; -1: error. */
ssize_t tls_read(struct tls *tls, void *bytes, size_t max, GError **error);
/* After 0 the next call must offer at least the same bytes again (at any address). */
ssize_t tls_write(struct tls *tls, const void *bytes, size_t len, GError **error);

/* What to poll for before the next handshake or read, and write if that is wanted too. TLS may have
 * to write in order to read and the reverse. */
short tls_events(const struct tls *tls, bool want_write);
/* tls_read() may give bytes, or an error, that poll() does not announce. */
bool tls_pending(const struct tls *tls);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384"; free with g_free(). */
char *tls_describe(const struct tls *tls);
/* "imap.example.org, until 2027-01-31": for whom the server's certificate is, and how long. Free with
 * g_free(). */
char *tls_describe_certificate(const struct tls *tls);
/* What names this connection alone (RFC 9266); false if it is none of TLS 1.3. */
bool tls_binding(const struct tls *tls, uint8_t ret[TLS_BINDING_LEN]);
