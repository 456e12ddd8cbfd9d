/* What links under test talk to: certificates made on the spot, and servers of one connection each
 * that follow a script in a thread of their own. All on loopback. */
#pragma once

#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

/* --- Certificates --- */

struct recipe {
	const char *common_name;
	const char *alt_names; /* as in openssl.cnf; may be NULL */
	int days_left;	       /* negative: expired */
	bool authority;
};

struct pki {
	char *dir;
	char *ca_file;
	char *other_ca_file;
	EVP_PKEY *ca_key;
	EVP_PKEY *key; /* of all servers */
	X509 *ca;
	X509 *good;
};

static inline void certificate_extend(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	g_assert_nonnull(extension);
	g_assert_cmpint(X509_add_ext(certificate, extension, -1), ==, 1);
	X509_EXTENSION_free(extension);
}

/* Signed by `issuer_key`; by itself if `issuer` is NULL. */
static inline X509 *certificate_new(const struct recipe *recipe, EVP_PKEY *key, X509 *issuer,
				    EVP_PKEY *issuer_key)
{
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_get_subject_name(certificate);

	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), g_random_int_range(1, G_MAXINT32));
	X509_time_adj_ex(X509_getm_notBefore(certificate), -10, 0, NULL);
	X509_time_adj_ex(X509_getm_notAfter(certificate), recipe->days_left, 0, NULL);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
				   (const unsigned char *)recipe->common_name, -1, -1, 0);
	X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer) : subject);
	X509_set_pubkey(certificate, key);
	if (recipe->authority)
		certificate_extend(certificate, NID_basic_constraints, "critical,CA:TRUE");
	if (recipe->alt_names)
		certificate_extend(certificate, NID_subject_alt_name, recipe->alt_names);
	g_assert_cmpint(X509_sign(certificate, issuer_key, EVP_sha256()), >, 0);
	return certificate;
}

static inline char *certificate_save(const struct pki *pki, const char *name, X509 *certificate)
{
	char *path = g_build_filename(pki->dir, name, NULL);
	FILE *file = fopen(path, "w");

	g_assert_nonnull(file);
	g_assert_cmpint(PEM_write_X509(file, certificate), ==, 1);
	fclose(file);
	return path;
}

static inline void pki_init(struct pki *pki)
{
	static const struct recipe ca = {"Test CA", NULL, 10, true};
	static const struct recipe other = {"Other CA", NULL, 10, true};
	static const struct recipe good = {"ignored.example", "DNS:localhost,IP:127.0.0.1,IP:::1",
					   10, false};
	EVP_PKEY *other_key = EVP_EC_gen("P-256");
	X509 *other_ca = certificate_new(&other, other_key, NULL, other_key);

	pki->dir = g_dir_make_tmp("mailfs-link-XXXXXX", NULL);
	g_assert_nonnull(pki->dir);
	pki->ca_key = EVP_EC_gen("P-256");
	pki->key = EVP_EC_gen("P-256");
	pki->ca = certificate_new(&ca, pki->ca_key, NULL, pki->ca_key);
	pki->good = certificate_new(&good, pki->key, pki->ca, pki->ca_key);
	pki->ca_file = certificate_save(pki, "ca.pem", pki->ca);
	pki->other_ca_file = certificate_save(pki, "other.pem", other_ca);
	X509_free(other_ca);
	EVP_PKEY_free(other_key);
}

static inline void pki_clear(struct pki *pki)
{
	g_unlink(pki->ca_file);
	g_unlink(pki->other_ca_file);
	g_rmdir(pki->dir);
	g_free(pki->ca_file);
	g_free(pki->other_ca_file);
	g_free(pki->dir);
	X509_free(pki->good);
	X509_free(pki->ca);
	EVP_PKEY_free(pki->key);
	EVP_PKEY_free(pki->ca_key);
}

/* --- Servers --- */

enum script {
	SCRIPT_ECHO,	      /* until the client closes */
	SCRIPT_STARTTLS,      /* a line, "OK\n", TLS, echo */
	SCRIPT_GREET,	      /* a line in clear, then silence */
	SCRIPT_SILENT,	      /* takes all, says nothing */
	SCRIPT_HELLO_CLOSE,   /* "hello", then closes politely */
	SCRIPT_HELLO_CUT,     /* "hello", then closes without close_notify */
	SCRIPT_HELLO_RESET,   /* "hello", then RST once a byte has come */
	SCRIPT_HANDSHAKE_CUT, /* one byte of the client's, then closes */
};

struct server {
	enum script script;
	int family;
	int max_version;   /* of TLS; 0: any */
	X509 *certificate; /* NULL: no TLS */
	EVP_PKEY *key;

	int listener;
	uint16_t port;
	pthread_t thread;
	/* For after server_stop(): */
	char *server_name;   /* that the client asked for */
	uint8_t binding[32]; /* tls-exporter, of RFC 9266 */
};

static inline int listen_loopback(int family, int backlog, uint16_t *ret_port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = {0};
	socklen_t len = family == AF_INET6 ? sizeof(address.v6) : sizeof(address.v4);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.any.sa_family = (sa_family_t)family;
	if (family == AF_INET6)
		address.v6.sin6_addr = in6addr_loopback;
	else
		address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, &address.any, len) < 0 || listen(fd, backlog) < 0 ||
	    getsockname(fd, &address.any, &len) < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	*ret_port = ntohs(family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
	return fd;
}

static inline ssize_t peer_read(SSL *ssl, int fd, void *bytes, size_t max)
{
	return ssl ? SSL_read(ssl, bytes, (int)max) : recv(fd, bytes, max, 0);
}

static inline void peer_write(SSL *ssl, int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = ssl ? SSL_write(ssl, bytes, (int)len) : send(fd, bytes, len, 0);

		if (n <= 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
}

static inline void peer_drain(SSL *ssl, int fd, bool echo)
{
	char bytes[16384];
	ssize_t n;

	while ((n = peer_read(ssl, fd, bytes, sizeof(bytes))) > 0)
		if (echo)
			peer_write(ssl, fd, bytes, (size_t)n);
}

static inline SSL *peer_accept_tls(struct server *server, SSL_CTX *context, int fd)
{
	SSL *ssl = SSL_new(context);

	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	server->server_name = g_strdup(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
	SSL_export_keying_material(ssl, server->binding, sizeof(server->binding),
				   "EXPORTER-Channel-Binding", 24, (const uint8_t *)"", 0, 1);
	return ssl;
}

static inline SSL_CTX *server_context(const struct server *server)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	SSL_CTX_set_security_level(context, 0);
	SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
	if (server->max_version)
		SSL_CTX_set_max_proto_version(context, server->max_version);
	g_assert_cmpint(SSL_CTX_use_certificate(context, server->certificate), ==, 1);
	g_assert_cmpint(SSL_CTX_use_PrivateKey(context, server->key), ==, 1);
	return context;
}

static inline void peer_follow_script(struct server *server, SSL *ssl, int fd)
{
	const struct linger reset = {.l_onoff = 1};
	char bytes[64];

	switch (server->script) {
	case SCRIPT_ECHO:
	case SCRIPT_STARTTLS:
		peer_drain(ssl, fd, true);
		break;
	case SCRIPT_GREET:
		peer_write(ssl, fd, "* OK hello\r\n", 12);
		peer_drain(ssl, fd, false);
		break;
	case SCRIPT_SILENT:
		peer_drain(ssl, fd, false);
		break;
	case SCRIPT_HELLO_CLOSE:
		peer_write(ssl, fd, "hello", 5);
		if (ssl)
			SSL_shutdown(ssl);
		break;
	case SCRIPT_HELLO_CUT:
		peer_write(ssl, fd, "hello", 5);
		break;
	case SCRIPT_HELLO_RESET:
		peer_write(ssl, fd, "hello", 5);
		peer_read(ssl, fd, bytes, sizeof(bytes));
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		break;
	case SCRIPT_HANDSHAKE_CUT:
		break;
	}
}

/* True if the connection is in clear from now on, or `*ret_ssl` is established. */
static inline bool peer_begin(struct server *server, SSL_CTX *context, int fd, SSL **ret_ssl)
{
	char line[64];

	if (server->script == SCRIPT_STARTTLS) {
		if (recv(fd, line, sizeof(line), 0) <= 0)
			return false;
		peer_write(NULL, fd, "OK\n", 3);
	}
	if (server->script == SCRIPT_HANDSHAKE_CUT)
		return recv(fd, line, sizeof(line), 0) > 0;
	if (!context || server->script == SCRIPT_GREET)
		return true;
	*ret_ssl = peer_accept_tls(server, context, fd);
	return *ret_ssl != NULL;
}

static inline void *server_run(void *data)
{
	struct server *server = data;
	SSL_CTX *context = server->certificate ? server_context(server) : NULL;
	SSL *ssl = NULL;
	sigset_t pipe_signal;
	int fd;

	/* Only here: that the client needs no such thing is part of the test. */
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);

	fd = accept(server->listener, NULL, NULL);
	if (fd >= 0 && peer_begin(server, context, fd, &ssl))
		peer_follow_script(server, ssl, fd);
	if (fd >= 0)
		close(fd);
	SSL_free(ssl);
	SSL_CTX_free(context);
	ERR_clear_error();
	return NULL;
}

static inline void server_start(struct server *server)
{
	if (!server->family)
		server->family = AF_INET;
	server->listener = listen_loopback(server->family, 8, &server->port);
	g_assert_cmpint(server->listener, >=, 0);
	g_assert_cmpint(pthread_create(&server->thread, NULL, server_run, server), ==, 0);
}

/* The client must have closed, or never come. */
static inline void server_stop(struct server *server)
{
	shutdown(server->listener, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->listener);
}

/* A port where nobody listens. */
static inline uint16_t closed_port(void)
{
	uint16_t port = 0;

	close(listen_loopback(AF_INET, 1, &port));
	return port;
}

/* --- A port where nobody answers: its queue is full, so the kernel drops what comes. --- */

struct black_hole {
	int listener;
	uint16_t port;
	int fillers[4];
};

static inline void black_hole_open(struct black_hole *hole)
{
	struct sockaddr_in address = {.sin_family = AF_INET};

	hole->port = 0;
	hole->listener = listen_loopback(AF_INET, 0, &hole->port);
	g_assert_cmpint(hole->listener, >=, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(hole->port);
	for (size_t i = 0; i < G_N_ELEMENTS(hole->fillers); i++) {
		hole->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(hole->fillers[i], (struct sockaddr *)&address, sizeof(address));
	}
}

static inline void black_hole_close(struct black_hole *hole)
{
	for (size_t i = 0; i < G_N_ELEMENTS(hole->fillers); i++)
		close(hole->fillers[i]);
	close(hole->listener);
}
