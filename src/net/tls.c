#include "net/tls.h"

#include "base/error.h"
#include "base/text.h"
#include "net/tls_identity.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum {
	NAME_MAX_BYTES = 100, /* of a name in a certificate, in an error message */
	NAMES_SHOWN = 3,
	READ_AHEAD_BYTES = 64 * 1024, /* some servers send records of 4 KiB */
};

struct tls {
	int fd;
	char *host; /* without scope or final dot */
	char *peer;
	char *fingerprint;
	bool host_is_ip;

	SSL_CTX *context;
	SSL *ssl;
	BIO_METHOD *method;

	bool verified;	      /* the certificate has passed verify_peer() */
	GError *verify_error; /* why it has not */
	bool established;
	bool failed;
	bool drained; /* the last read found no whole record */
	GError *late; /* that read's error, as it gave bytes too */
	bool eof;     /* of the socket */
	int io_errno; /* of the socket, if it broke */
	short read_events;
	short write_events;
};

/* --- The socket as a BIO: OpenSSL's own would raise SIGPIPE. --- */

static bool is_transient(int err)
{
	return err == EAGAIN || err == EWOULDBLOCK || err == EINTR;
}

static int socket_bio_read(BIO *bio, char *bytes, int max)
{
	struct tls *tls = BIO_get_data(bio);
	ssize_t n = recv(tls->fd, bytes, (size_t)max, 0);

	BIO_clear_retry_flags(bio);
	if (n == 0)
		tls->eof = true;
	else if (n < 0 && is_transient(errno))
		BIO_set_retry_read(bio);
	else if (n < 0)
		tls->io_errno = errno;
	return (int)n;
}

static int socket_bio_write(BIO *bio, const char *bytes, int len)
{
	struct tls *tls = BIO_get_data(bio);
	ssize_t n = send(tls->fd, bytes, (size_t)len, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (n < 0 && is_transient(errno))
		BIO_set_retry_write(bio);
	else if (n < 0)
		tls->io_errno = errno;
	return (int)n;
}

static long socket_bio_ctrl(BIO *bio, int command, G_GNUC_UNUSED long number,
			    G_GNUC_UNUSED void *pointer)
{
	const struct tls *tls = BIO_get_data(bio);

	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return tls->eof;
	default:
		return 0;
	}
}

static bool attach_socket(struct tls *tls)
{
	BIO *bio;

	tls->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
	if (!tls->method || !BIO_meth_set_read(tls->method, socket_bio_read) ||
	    !BIO_meth_set_write(tls->method, socket_bio_write) ||
	    !BIO_meth_set_ctrl(tls->method, socket_bio_ctrl))
		return false;
	bio = BIO_new(tls->method);
	if (!bio)
		return false;
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->ssl, bio, bio);
	return true;
}

/* --- Verification --- */

static char *certificate_fingerprint(const X509 *certificate)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	GString *text = g_string_new("SHA256:");

	/* A digest that fails leaves the text short: it then matches nothing. */
	if (X509_digest(certificate, EVP_sha256(), digest, &len) != 1)
		len = 0;
	for (unsigned int i = 0; i < len; i++)
		g_string_append_printf(text, "%02x", digest[i]);
	return g_string_free(text, FALSE);
}

static char *subject_alt_name_text(const GENERAL_NAME *name)
{
	const ASN1_STRING *value;
	char address[INET6_ADDRSTRLEN];
	int type, family;

	value = GENERAL_NAME_get0_value(name, &type);
	if (type == GEN_DNS)
		return text_clean((const char *)ASN1_STRING_get0_data(value),
				  ASN1_STRING_length(value), NAME_MAX_BYTES);
	if (type != GEN_IPADD)
		return NULL;
	family = ASN1_STRING_length(value) == sizeof(struct in_addr) ? AF_INET : AF_INET6;
	if (family == AF_INET6 && ASN1_STRING_length(value) != sizeof(struct in6_addr))
		return NULL;
	return g_strdup(inet_ntop(family, ASN1_STRING_get0_data(value), address, sizeof(address)));
}

static void append_common_name(const X509 *certificate, GString *text)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *utf8 = NULL;
	g_autofree char *clean = NULL;
	int len;

	if (at < 0)
		return;
	len = ASN1_STRING_to_UTF8(&utf8,
				  X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (len < 0)
		return;
	clean = text_clean((const char *)utf8, len, NAME_MAX_BYTES);
	g_string_append(text, clean);
	OPENSSL_free(utf8);
}

/* The names that a certificate claims, for a human. Free with g_free(). */
static char *certificate_names(const X509 *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	GString *text = g_string_new(NULL);
	int shown = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		g_autofree char *name = subject_alt_name_text(sk_GENERAL_NAME_value(names, i));

		if (!name)
			continue;
		if (shown == NAMES_SHOWN) {
			g_string_append(text, ", ...");
			break;
		}
		g_string_append_printf(text, "%s%s", shown++ ? ", " : "", name);
	}
	GENERAL_NAMES_free(names);
	if (shown == 0)
		append_common_name(certificate, text);
	if (text->len == 0)
		g_string_append(text, "nobody");
	return g_string_free(text, FALSE);
}

static bool is_unknown_issuer(int code)
{
	return code == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
	       code == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
	       code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
	       code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
	       code == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

static GError *describe_rejection(const struct tls *tls, const X509 *certificate, int code)
{
	g_autofree char *fingerprint = certificate_fingerprint(certificate);
	g_autofree char *names = certificate_names(certificate);
	const char *why = X509_verify_cert_error_string(code);

	if (tls->fingerprint)
		return g_error_new(MAILFS_ERROR, ERROR_TLS,
				   "certificate of %s has the fingerprint %s, not that of "
				   "tls_fingerprint",
				   tls->host, fingerprint);
	if (code == X509_V_ERR_HOSTNAME_MISMATCH || code == X509_V_ERR_IP_ADDRESS_MISMATCH)
		return g_error_new(MAILFS_ERROR, ERROR_TLS, "certificate is for %s, not %s", names,
				   tls->host);
	if (is_unknown_issuer(code))
		return g_error_new(MAILFS_ERROR, ERROR_TLS,
				   "certificate of %s: %s; give the CA with tls_ca=FILE or, if "
				   "you know this certificate, pin it with tls_fingerprint=%s",
				   tls->host, why, fingerprint);
	return g_error_new(MAILFS_ERROR, ERROR_TLS, "certificate of %s: %s", tls->host, why);
}

static bool fingerprint_matches(const X509 *certificate, const char *wanted)
{
	g_autofree char *actual = certificate_fingerprint(certificate);
	size_t len = strlen(actual);

	return strlen(wanted) == len && len > strlen("SHA256:") &&
	       CRYPTO_memcmp(actual, wanted, len) == 0;
}

/* Stands in for OpenSSL's own verification: calls it, or compares the fingerprint. It runs inside
 * the handshake, which fails with it; and it still has the certificate, to say what is wrong. */
static int verify_peer(X509_STORE_CTX *store, void *data)
{
	struct tls *tls = data;
	const X509 *certificate = X509_STORE_CTX_get0_cert(store);
	int code;

	if (!certificate)
		return 0;
	if (tls->fingerprint) {
		tls->verified = fingerprint_matches(certificate, tls->fingerprint);
		code = tls->verified ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION;
	} else {
		tls->verified = X509_verify_cert(store) == 1;
		code = X509_STORE_CTX_get_error(store);
		if (!tls->verified && code == X509_V_OK)
			code = X509_V_ERR_UNSPECIFIED;
	}
	X509_STORE_CTX_set_error(store, code);
	if (!tls->verified && !tls->verify_error)
		tls->verify_error = describe_rejection(tls, certificate, code);
	return tls->verified;
}

/* --- Making it --- */

static const char *queued_reason(void)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_SYSTEM_ERROR(code) ? g_strerror(ERR_GET_REASON(code))
						    : ERR_reason_error_string(code);

	return reason ? reason : "unknown reason";
}

static bool load_trust(SSL_CTX *context, const char *ca_file, GError **error)
{
	if (!ca_file)
		return SSL_CTX_set_default_verify_paths(context) == 1;
	if (SSL_CTX_load_verify_locations(context, ca_file, NULL) != 1) {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
			    "cannot read certificates from tls_ca=%s: %s", ca_file,
			    queued_reason());
		return false;
	}
	/* Whatever is in the user's own file is trusted, a server's certificate too. */
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
	return true;
}

static bool make_context(struct tls *tls, const struct tls_config *config, GError **error)
{
	SSL_CTX *context = tls->context = SSL_CTX_new(TLS_client_method());

	if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
		return false;
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD_BYTES);
	SSL_CTX_set_mode(context,
			 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(context, verify_peer, tls);
	return (tls->fingerprint || load_trust(context, config->ca_file, error)) &&
	       tls_identity_load(context, config, error);
}

/* "fe80::1%eth0" is fe80::1 in a certificate, and "example.org." example.org. */
static void set_host(struct tls *tls, const char *host)
{
	struct in6_addr address;
	size_t len = strlen(host);

	tls->host = g_strndup(host, strcspn(host, "%"));
	tls->host_is_ip = inet_pton(AF_INET, tls->host, &address) == 1 ||
			  inet_pton(AF_INET6, tls->host, &address) == 1;
	if (tls->host_is_ip)
		return;
	if (len > 0 && host[len - 1] == '.')
		len--;
	g_free(tls->host);
	tls->host = g_strndup(host, len);
}

static bool expect_host(struct tls *tls)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);

	/* Without a name OpenSSL would check none. */
	if (!*tls->host)
		return false;
	if (tls->host_is_ip)
		return X509_VERIFY_PARAM_set1_ip_asc(param, tls->host) == 1;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(param, tls->host, 0) == 1 &&
	       SSL_set_tlsext_host_name(tls->ssl, tls->host) == 1;
}

static bool prepare(struct tls *tls, const struct tls_config *config, GError **error)
{
	ERR_clear_error();
	if (!make_context(tls, config, error))
		return false;
	tls->ssl = SSL_new(tls->context);
	if (!tls->ssl || !expect_host(tls) || !attach_socket(tls))
		return false;
	SSL_set_connect_state(tls->ssl);
	return true;
}

struct tls *tls_new(int fd, const struct tls_config *config, GError **error)
{
	struct tls *tls = g_new0(struct tls, 1);
	GError *cause = NULL;

	tls->fd = fd;
	tls->peer = g_strdup(config->peer);
	tls->fingerprint = g_strdup(config->fingerprint);
	tls->read_events = POLLOUT; /* the client speaks first */
	tls->write_events = POLLOUT;
	set_host(tls, config->host);
	if (prepare(tls, config, &cause))
		return tls;

	if (!cause)
		g_set_error(&cause, MAILFS_ERROR, ERROR_TLS, "cannot set up TLS for %s: %s",
			    tls->peer, queued_reason());
	g_propagate_error(error, cause);
	tls_free(&tls);
	return NULL;
}

void tls_free(struct tls **tls)
{
	struct tls *old = *tls;

	if (!old)
		return;
	*tls = NULL;
	if (old->established && !old->failed)
		SSL_shutdown(old->ssl);
	SSL_free(old->ssl);
	SSL_CTX_free(old->context);
	BIO_meth_free(old->method);
	ERR_clear_error();
	g_clear_error(&old->verify_error);
	g_clear_error(&old->late);
	g_free(old->host);
	g_free(old->peer);
	g_free(old->fingerprint);
	g_free(old);
}

/* --- Using it --- */

static void report_protocol_error(const struct tls *tls, GError **error)
{
	switch (ERR_GET_REASON(ERR_peek_error())) {
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
		if (tls->established)
			break;
		g_set_error(error, MAILFS_ERROR, ERROR_TLS, "%s does not speak TLS", tls->peer);
		return;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
		g_set_error(error, MAILFS_ERROR, ERROR_TLS, "%s does not speak TLS 1.2 or newer",
			    tls->peer);
		return;
	default:
		break;
	}
	g_set_error(error, MAILFS_ERROR, ERROR_TLS, "TLS with %s failed: %s", tls->peer,
		    queued_reason());
}

static void report_failure(struct tls *tls, int code, GError **error)
{
	const char *when = tls->established ? "" : " during the TLS handshake";

	tls->failed = true;
	if (tls->verify_error)
		g_propagate_error(error, g_steal_pointer(&tls->verify_error));
	else if (code == SSL_ERROR_ZERO_RETURN)
		g_set_error(error, MAILFS_ERROR, ERROR_UNREACHABLE, "%s closed the connection%s",
			    tls->peer, when);
	else if (tls->eof)
		g_set_error(error, MAILFS_ERROR, ERROR_UNREACHABLE, "connection to %s lost%s",
			    tls->peer, when);
	else if (tls->io_errno)
		g_set_error(error, MAILFS_ERROR, ERROR_UNREACHABLE, "connection to %s lost%s: %s",
			    tls->peer, when, g_strerror(tls->io_errno));
	else
		report_protocol_error(tls, error);
}

/* After a call that gave nothing: true if it only has to wait, for what `ret_events` says. */
static bool must_wait(struct tls *tls, int result, short *ret_events, GError **error)
{
	int code = SSL_get_error(tls->ssl, result);

	if (code == SSL_ERROR_WANT_READ)
		*ret_events = POLLIN;
	else if (code == SSL_ERROR_WANT_WRITE)
		*ret_events = POLLOUT;
	else
		report_failure(tls, code, error);
	return !tls->failed;
}

int tls_handshake(struct tls *tls, GError **error)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(tls->ssl);
	if (result != 1)
		return must_wait(tls, result, &tls->read_events, error) ? 0 : -1;
	if (!tls->verified || SSL_get_verify_result(tls->ssl) != X509_V_OK) {
		tls->failed = true;
		g_set_error(error, MAILFS_ERROR, ERROR_TLS, "%s showed no certificate", tls->peer);
		return -1;
	}
	tls->established = true;
	tls->read_events = POLLIN;
	return 1;
}

ssize_t tls_read(struct tls *tls, void *bytes, size_t max, GError **error)
{
	size_t len = 0, n = 0;
	int result;

	if (tls->late) {
		g_propagate_error(error, g_steal_pointer(&tls->late));
		return -1;
	}
	do {
		ERR_clear_error();
		result = SSL_read_ex(tls->ssl, (char *)bytes + len, max - len, &n);
		len += result == 1 ? n : 0;
	} while (result == 1 && len < max);
	tls->read_events = POLLIN;
	tls->drained = result != 1;
	if (result == 1 || must_wait(tls, result, &tls->read_events, len > 0 ? &tls->late : error))
		return (ssize_t)len;
	return len > 0 ? (ssize_t)len : -1;
}

ssize_t tls_write(struct tls *tls, const void *bytes, size_t len, GError **error)
{
	size_t n = 0;
	int result;

	ERR_clear_error();
	result = SSL_write_ex(tls->ssl, bytes, len, &n);
	tls->write_events = POLLOUT;
	if (result != 1)
		return must_wait(tls, result, &tls->write_events, error) ? 0 : -1;
	return (ssize_t)n;
}

short tls_events(const struct tls *tls, bool want_write)
{
	return (short)(tls->read_events | (want_write ? tls->write_events : 0));
}

/* Not SSL_has_pending(): it is true for half a record too, and the owner would spin. */
bool tls_pending(const struct tls *tls)
{
	return !tls->drained || tls->late;
}

char *tls_describe(const struct tls *tls)
{
	return g_strdup_printf("%s %s", SSL_get_version(tls->ssl), SSL_get_cipher_name(tls->ssl));
}

char *tls_describe_certificate(const struct tls *tls)
{
	X509 *certificate = SSL_get1_peer_certificate(tls->ssl);
	g_autofree char *names = NULL;
	struct tm end;

	if (!certificate)
		return g_strdup("none");
	names = certificate_names(certificate);
	if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1)
		end = (struct tm){.tm_mday = 1};
	X509_free(certificate);
	return g_strdup_printf("%s, until %04d-%02d-%02d", names, end.tm_year + 1900, end.tm_mon + 1,
			       end.tm_mday);
}

bool tls_binding(const struct tls *tls, uint8_t ret[TLS_BINDING_LEN])
{
	static const char label[] = "EXPORTER-Channel-Binding";
	uint8_t bytes[TLS_BINDING_LEN];

	/* Older ones would need the extended master secret for it. */
	if (!tls->established || SSL_version(tls->ssl) != TLS1_3_VERSION ||
	    SSL_export_keying_material(tls->ssl, bytes, sizeof(bytes), label, sizeof(label) - 1,
				       NULL, 0, 1) != 1)
		return false;
	memcpy(ret, bytes, sizeof(bytes));
	return true;
}
