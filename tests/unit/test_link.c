/* Links that open, and those whose certificate does not let them. */
#include "fake_resolver.h"
#include "link_fixture.h"

#define FAR_MS (1000ll * 1000 * 1000) /* past every deadline */
#define BIG_BYTES ((size_t)5 * 1024 * 1024)

/* --- What works --- */

static void test_plain_echo(void)
{
	struct server server = {.script = SCRIPT_ECHO};
	struct link *link;
	char byte;

	server_start(&server);
	link = new_link("127.0.0.1", server.port, NULL);
	g_assert_cmpint(link_state(link), ==, LINK_RESOLVING);
	g_assert_cmpint(link_deadline_ms(link), <=, clock_mono_ms());
	g_assert_cmpint(link_read(link, &byte, 1, NULL), ==, 0);
	g_assert_cmpint(link_write(link, "x", 1, NULL), ==, 0);
	drive_open(link);
	g_assert_cmpint(link_deadline_ms(link), ==, INT64_MAX);
	g_assert_cmpint(link_events(link, false), ==, POLLIN);
	g_assert_cmpint(link_events(link, true), ==, POLLIN | POLLOUT);
	g_assert_true(link_step(link, FAR_MS, NULL));
	assert_echo(link, "abc");

	g_autofree char *peer = link_describe_peer(link);
	g_autofree char *tls = link_describe_tls(link);
	g_autofree char *expected = g_strdup_printf("127.0.0.1:%u", server.port);
	g_assert_cmpstr(peer, ==, expected);
	g_assert_cmpstr(tls, ==, "cleartext");
	stop(link, &server);
}

/* Both ends know it, and it is that of this connection alone. */
static void test_binding(const void *data)
{
	const struct pki *pki = data;
	uint8_t bindings[2][TLS_BINDING_LEN] = {0};

	for (unsigned i = 0; i < 2; i++) {
		struct server server = tls_server(pki, SCRIPT_ECHO);
		struct link *link;

		server_start(&server);
		link = new_link("localhost", server.port, pki->ca_file);
		g_assert_false(link_binding(link, bindings[i]));
		drive_open(link);
		assert_echo(link, "abc");
		g_assert_true(link_binding(link, bindings[i]));
		stop(link, &server);
		g_assert_cmpmem(bindings[i], TLS_BINDING_LEN, server.binding, TLS_BINDING_LEN);
	}
	g_assert_cmpint(memcmp(bindings[0], bindings[1], TLS_BINDING_LEN), !=, 0);
}

/* Neither cleartext nor an older TLS has one. */
static void test_no_binding(const void *data)
{
	struct server old = tls_server(data, SCRIPT_ECHO);
	struct server clear = {.script = SCRIPT_ECHO};
	uint8_t binding[TLS_BINDING_LEN];
	struct link *link;

	old.max_version = TLS1_2_VERSION;
	server_start(&old);
	link = new_link("localhost", old.port, ((const struct pki *)data)->ca_file);
	drive_open(link);
	g_assert_false(link_binding(link, binding));
	stop(link, &old);
	server_start(&clear);
	link = new_link("127.0.0.1", clear.port, NULL);
	drive_open(link);
	g_assert_false(link_binding(link, binding));
	stop(link, &clear);
}

static void echo_over_tls(const struct pki *pki, const char *host, int family, int version,
			  const char *glob)
{
	struct server server = tls_server(pki, SCRIPT_ECHO);
	bool numeric = strcmp(host, "localhost") != 0;
	struct link *link;

	server.family = family;
	server.max_version = version;
	server_start(&server);
	link = new_link(host, server.port, pki->ca_file);
	drive_open(link);
	assert_echo(link, "abc");

	g_autofree char *peer = link_describe_peer(link);
	g_autofree char *tls = link_describe_tls(link);
	g_assert_true(g_str_has_prefix(peer, family == AF_INET6 ? "[::1]:" : "127.0.0.1:"));
	g_assert_true(g_pattern_match_simple(glob, tls));
	link_free(&link);
	server_stop(&server);
	g_assert_cmpstr(server.server_name, ==, numeric ? NULL : "localhost");
	g_free(server.server_name);
}

static void test_tls_echo(const void *pki)
{
	echo_over_tls(pki, "127.0.0.1", AF_INET, 0, "TLSv1.3 *");
	echo_over_tls(pki, "localhost", AF_INET, 0, "TLSv1.3 *");
	echo_over_tls(pki, "127.0.0.1", AF_INET, TLS1_2_VERSION, "TLSv1.2 *");
}

static void test_ipv6(const void *pki)
{
	uint16_t port;
	int fd = listen_loopback(AF_INET6, 1, &port);

	if (fd < 0) {
		g_test_skip("no ::1 here");
		return;
	}
	close(fd);
	echo_over_tls(pki, "::1", AF_INET6, 0, "TLSv1.3 *");
	assert_never_opens(new_link("::1", port, NULL), ERROR_UNREACHABLE,
			   "cannot connect to [::1]:*: Connection refused");
}

static void test_starttls(const void *data)
{
	const struct pki *pki = data;
	const struct link_config config = {
		.host = "localhost",
		.ca_file = pki->ca_file,
	};
	struct link_config with_port = config;
	struct server server = tls_server(pki, SCRIPT_STARTTLS);
	struct link *link;
	GError *error = NULL;

	server_start(&server);
	with_port.port = server.port;
	link = link_new(&with_port, clock_mono_ms());
	drive_open(link);
	g_assert_cmpint(link_write(link, "STARTTLS\n", 9, NULL), ==, 9);
	assert_reads(link, "OK\n");
	g_assert_true(link_start_tls(link, clock_mono_ms(), &error));
	g_assert_cmpint(link_state(link), ==, LINK_HANDSHAKE);
	g_assert_cmpint(link_write(link, "x", 1, NULL), ==, 0);
	drive_open(link);
	assert_echo(link, "secret");
	g_assert_false(link_start_tls(link, clock_mono_ms(), &error));
	assert_failure(error, ERROR_TLS, "TLS with localhost:* cannot start now");
	stop(link, &server);
}

/* Writes and reads at once; a small socket buffer makes most writes partial, and what is left is
 * offered again from another place. */
static void transfer_big(struct link *link)
{
	g_autofree uint8_t *out = g_malloc(BIG_BYTES), *in = g_malloc(BIG_BYTES);
	g_autofree uint8_t *moved = NULL;
	const int small = 32 * 1024;
	size_t written = 0, got = 0, turn = 0;
	GError *error = NULL;
	ssize_t n;

	for (size_t i = 0; i < BIG_BYTES; i++)
		out[i] = (uint8_t)(i * 2654435761u >> 13);
	moved = g_memdup2(out, BIG_BYTES);
	drive_open(link);
	setsockopt(link_fd(link), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (got < BIG_BYTES) {
		await(link, written < BIG_BYTES);
		n = link_read(link, in + got, BIG_BYTES - got, &error);
		g_assert_no_error(error);
		got += (size_t)n;
		do {
			const uint8_t *from = turn++ % 2 ? moved : out;

			n = link_write(link, from + written, BIG_BYTES - written, &error);
			g_assert_no_error(error);
			written += (size_t)n;
		} while (n > 0);
	}
	g_assert_true(memcmp(in, out, BIG_BYTES) == 0);
}

static void test_big(const void *data)
{
	const struct pki *pki = data;
	struct server plain = {.script = SCRIPT_ECHO};
	struct server tls = tls_server(pki, SCRIPT_ECHO);
	struct link *link;

	server_start(&plain);
	link = new_link("127.0.0.1", plain.port, NULL);
	transfer_big(link);
	stop(link, &plain);

	server_start(&tls);
	link = new_link("127.0.0.1", tls.port, pki->ca_file);
	transfer_big(link);
	stop(link, &tls);
}

static void test_pending(const void *data)
{
	const struct pki *pki = data;
	struct server server = tls_server(pki, SCRIPT_ECHO);
	struct link *link;
	char bytes[4];

	server_start(&server);
	link = new_link("127.0.0.1", server.port, pki->ca_file);
	drive_open(link);
	g_assert_cmpint(link_read(link, bytes, sizeof(bytes), NULL), ==, 0);
	g_assert_false(link_pending(link));
	g_assert_cmpint(link_write(link, "0123456789", 10, NULL), ==, 10);
	assert_reads(link, "0123");
	g_assert_true(link_pending(link));
	assert_reads(link, "456789");
	g_assert_cmpint(link_read(link, bytes, sizeof(bytes), NULL), ==, 0);
	g_assert_false(link_pending(link));
	stop(link, &server);
}

/* Many records are given by one read, and bytes before the end that came with them. */
static void test_joined(const void *data)
{
	const struct pki *pki = data;
	struct server server = tls_server(pki, SCRIPT_HELLO_CLOSE);
	struct pollfd closed = {.events = POLLRDHUP};
	GError *error = NULL;
	struct link *link;
	char bytes[64];

	server_start(&server);
	link = new_link("127.0.0.1", server.port, pki->ca_file);
	drive_open(link);
	closed.fd = link_fd(link);
	g_assert_cmpint(poll(&closed, 1, PATIENCE_MS), ==, 1);
	g_assert_cmpint(link_read(link, bytes, sizeof(bytes), &error), ==, 5);
	g_assert_no_error(error);
	g_assert_true(link_pending(link));
	g_assert_cmpint(link_read(link, bytes, sizeof(bytes), &error), ==, -1);
	assert_failure(error, ERROR_UNREACHABLE, "127.0.0.1:* closed the connection");
	stop(link, &server);
}

/* --- Certificates --- */

/* `glob` NULL: accepted. */
static void check_certificate(const struct pki *pki, X509 *certificate, const char *host,
			      const char *ca_file, const char *glob)
{
	struct server server = {.certificate = certificate, .key = pki->key};
	const struct link_config config = {.host = host, .tls = true, .ca_file = ca_file};
	struct link_config with_port = config;
	g_autofree char *list = NULL;
	struct link *link;

	server_start(&server);
	list = g_strdup_printf("127.0.0.1 %u", server.port);
	fake_set_list(list);
	with_port.port = server.port;
	link = link_new(&with_port, clock_mono_ms());
	if (glob) {
		assert_never_opens(g_steal_pointer(&link), ERROR_TLS, glob);
	} else {
		drive_open(link);
		assert_echo(link, "abc");
	}
	stop(link, &server);
	fake_set_list(NULL);
}

static void test_names(const void *data)
{
	static const struct {
		struct recipe recipe;
		const char *host;
		const char *glob;
	} cases[] = {
		{{"x", "DNS:other.example", 10},
		 "localhost",
		 "certificate is for other.example, not localhost"},
		{{"x", "DNS:a,DNS:b,IP:::2,DNS:d", 10},
		 "127.0.0.1",
		 "certificate is for a, b, ::2, ..., not 127.0.0.1"},
		{{"x", "DNS:127.0.0.1", 10}, "127.0.0.1", "certificate is for *"},
		{{"localhost", NULL, 10}, "localhost", NULL},
		{{"other.example", NULL, 10},
		 "localhost",
		 "certificate is for other.example, not localhost"},
		{{"localhost", "DNS:other.example", 10}, "localhost", "certificate is for *"},
		{{"x", "DNS:local*", 10}, "localhost", "certificate is for *"},
		{{"x", "DNS:*", 10}, "localhost", "certificate is for *"},
		{{"x", "DNS:*.fake.invalid", 10}, "mail.fake.invalid", NULL},
		{{"x", "DNS:*.fake.invalid", 10}, "mail.fake.invalid.", NULL},
		{{"x", "DNS:m*.fake.invalid", 10}, "mail.fake.invalid", "certificate is for *"},
		{{"x", "DNS:*.fake.invalid", 10}, "a.b.fake.invalid", "certificate is for *"},
		{{"x", "DNS:LOCALHOST", 10}, "localhost", NULL},
		/* "localhost\0.evil" */
		{{"x", "DER:30:11:82:0f:6c:6f:63:61:6c:68:6f:73:74:00:2e:65:76:69:6c", 10},
		 "localhost",
		 "certificate is for localhost\\x00.evil, not localhost"},
	};
	const struct pki *pki = data;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		X509 *certificate =
			certificate_new(&cases[i].recipe, pki->key, pki->ca, pki->ca_key);

		check_certificate(pki, certificate, cases[i].host, pki->ca_file, cases[i].glob);
		X509_free(certificate);
	}
}

static void test_trust(const void *data)
{
	static const struct recipe local = {"localhost", "DNS:localhost", 10};
	static const struct recipe expired = {"localhost", "DNS:localhost", -1};
	const struct pki *pki = data;
	X509 *self = certificate_new(&local, pki->key, NULL, pki->key);
	X509 *old = certificate_new(&expired, pki->key, pki->ca, pki->ca_key);
	g_autofree char *self_file = certificate_save(pki, "self.pem", self);
	g_autofree char *good_file = certificate_save(pki, "good.pem", pki->good);

	check_certificate(pki, self, "localhost", pki->ca_file,
			  "certificate of localhost: self-signed certificate; give the CA with "
			  "tls_ca=FILE or*tls_fingerprint=SHA256:*");
	check_certificate(pki, pki->good, "localhost", pki->other_ca_file,
			  "certificate of localhost: unable to *; give the CA *");
	check_certificate(pki, pki->good, "localhost", NULL,
			  "certificate of localhost: unable to *; give the CA *");
	check_certificate(pki, old, "localhost", pki->ca_file,
			  "certificate of localhost: certificate has expired");
	check_certificate(pki, self, "localhost", self_file, NULL);
	check_certificate(pki, pki->good, "localhost", good_file, NULL);

	g_unlink(self_file);
	g_unlink(good_file);
	X509_free(old);
	X509_free(self);
}

static char *fingerprint_of(const X509 *certificate)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len;
	GString *text = g_string_new("SHA256:");

	X509_digest(certificate, EVP_sha256(), digest, &len);
	for (unsigned int i = 0; i < len; i++)
		g_string_append_printf(text, "%02x", digest[i]);
	return g_string_free(text, FALSE);
}

static void test_fingerprint(const void *data)
{
	/* All that a CA would refuse: the user has vouched for this one. */
	static const struct recipe odd = {"x", "DNS:other.example", -1};
	const struct pki *pki = data;
	X509 *certificate = certificate_new(&odd, pki->key, NULL, pki->key);
	g_autofree char *right = fingerprint_of(certificate);
	g_autofree char *wrong = fingerprint_of(pki->good);
	g_autofree char *glob = g_strdup_printf("certificate of localhost has the fingerprint %s, "
						"not that of tls_fingerprint",
						right);
	const char *refused[] = {wrong, "", "SHA256:"};
	struct server server = {.certificate = certificate, .key = pki->key};
	struct link *link;

	server_start(&server);
	link = new_pinned(server.port, right);
	drive_open(link);
	assert_echo(link, "abc");
	stop(link, &server);

	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
		server = (struct server){.certificate = certificate, .key = pki->key};
		server_start(&server);
		assert_never_opens(new_pinned(server.port, refused[i]), ERROR_TLS, glob);
		stop(NULL, &server);
	}
	X509_free(certificate);
}

static void test_ca_file(const void *data)
{
	const struct pki *pki = data;
	struct server server = tls_server(pki, SCRIPT_SILENT);

	server_start(&server);
	assert_never_opens(new_link("localhost", server.port, "/nonexistent/ca.pem"), ERROR_CONFIG,
			   "cannot read certificates from tls_ca=/nonexistent/ca.pem: No such *");
	stop(NULL, &server);
}

/* --- The end --- */

static void test_free_in_every_state(const void *data)
{
	static const enum link_state states[] = {LINK_RESOLVING, LINK_CONNECTING, LINK_HANDSHAKE,
						 LINK_OPEN};
	const struct pki *pki = data;
	struct link *link = NULL;

	link_free(&link);
	link = new_link("localhost", 1, NULL);
	link_free(&link);
	for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
		struct server server = tls_server(pki, SCRIPT_ECHO);
		struct black_hole hole;
		bool connecting = states[i] == LINK_CONNECTING;

		if (states[i] == LINK_HANDSHAKE)
			server = (struct server){.script = SCRIPT_SILENT};
		black_hole_open(&hole);
		server_start(&server);
		link = new_link("127.0.0.1", connecting ? hole.port : server.port, pki->ca_file);
		g_assert_true(drive(link, states[i], NULL));
		stop(link, &server);
		black_hole_close(&hole);
	}
}

int main(int argc, char **argv)
{
	struct pki pki;
	int result;

	g_test_init(&argc, &argv, NULL);
	pki_init(&pki);
	g_test_add_func("/link/plain-echo", test_plain_echo);
	g_test_add_data_func("/link/tls-echo", &pki, test_tls_echo);
	g_test_add_data_func("/link/binding", &pki, test_binding);
	g_test_add_data_func("/link/no-binding", &pki, test_no_binding);
	g_test_add_data_func("/link/ipv6", &pki, test_ipv6);
	g_test_add_data_func("/link/starttls", &pki, test_starttls);
	g_test_add_data_func("/link/big", &pki, test_big);
	g_test_add_data_func("/link/pending", &pki, test_pending);
	g_test_add_data_func("/link/joined", &pki, test_joined);
	g_test_add_data_func("/link/certificate/names", &pki, test_names);
	g_test_add_data_func("/link/certificate/trust", &pki, test_trust);
	g_test_add_data_func("/link/certificate/fingerprint", &pki, test_fingerprint);
	g_test_add_data_func("/link/certificate/ca-file", &pki, test_ca_file);
	g_test_add_data_func("/link/free-in-every-state", &pki, test_free_in_every_state);
	result = g_test_run();
	pki_clear(&pki);
	return result;
}
