#include "sasl_fixture.h"
#include "scram_server.h"

/* ---- SCRAM ---- */

static const struct scram_server pencil_sha1 = {.hash = G_CHECKSUM_SHA1,
						.password = "pencil",
						.salt = "QSXCR+Q6sek8bf92",
						.iterations = 4096};
static const struct scram_server pencil_sha256 = {.hash = G_CHECKSUM_SHA256,
						  .password = "pencil",
						  .salt = "W22ZaJ0SNY7soEsUEjb6gQ==",
						  .iterations = 4096};
static const struct sasl_login user = {.user = "user", .password = "pencil"};

static void check_vector(const struct scram_server *server, const char *auth, const char *proof,
			 const char *signature)
{
	g_autofree char *computed_proof = scram_proof(server, auth);
	g_autofree char *computed_signature = scram_signature(server, auth);

	g_assert_cmpstr(computed_proof, ==, proof);
	g_assert_cmpstr(computed_signature, ==, signature);
}

/* The yardstick itself: RFC 5802 section 5, RFC 7677 section 3. */
static void test_scram_vectors(void)
{
	check_vector(&pencil_sha1,
		     "n=user,r=fyko+d2lbbFgONRv9qkxdawL,"
		     "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,"
		     "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
		     "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ=");
	check_vector(&pencil_sha256,
		     "n=user,r=rOprNGfwEbeRWgbNEkqO,"
		     "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
		     "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
		     "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
		     "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		     "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

struct scram {
	struct sasl *sasl;
	char *bare;  /* the client's first message, behind its header */
	char *nonce; /* the client's */
	char *first; /* the server's */
	char *auth;
};

/* Up to the client's first message, which has this header and name. */
static void scram_begin(struct scram *scram, const struct sasl_login *login, unsigned mechanism,
			const char *header, const char *name)
{
	g_autofree char *first = NULL;
	g_autofree char *head = g_strdup_printf("%s%s,r=", header, name);
	const char *line;

	*scram = (struct scram){.sasl = begin(login, mechanism)};
	g_assert_cmphex(sasl_mechanism(scram->sasl), ==, mechanism);
	line = sasl_initial(scram->sasl, SIZE_MAX);
	g_assert_nonnull(line);
	first = decoded(line);
	g_assert_true(g_str_has_prefix(first, head));
	scram->bare = g_strdup(first + strlen(header));
	scram->nonce = g_strdup(first + strlen(head));
	/* 18 bytes in base64 */
	g_assert_cmpuint(strlen(scram->nonce), >=, 24);
}

static void scram_end(struct scram *scram)
{
	end(scram->sasl);
	g_free(scram->bare);
	g_free(scram->nonce);
	g_free(scram->first);
	g_free(scram->auth);
}

/* The server's first message, and the client's proof. */
static void scram_prove(struct scram *scram, const struct scram_server *server, const char *channel,
			size_t channel_len)
{
	g_autofree char *binding = g_base64_encode((const guchar *)channel, channel_len);
	g_autofree char *without = g_strdup_printf("c=%s,r=%sAND-OURS", binding, scram->nonce);
	g_autofree char *proof = NULL, *expected = NULL, *final = NULL;

	scram->first = g_strdup_printf("r=%sAND-OURS,s=%s,i=%u", scram->nonce, server->salt,
				       server->iterations);
	scram->auth = g_strdup_printf("%s,%s,%s", scram->bare, scram->first, without);
	check_early(scram->sasl);
	final = answer(scram->sasl, scram->first);
	proof = scram_proof(server, scram->auth);
	expected = g_strdup_printf("%s,p=%s", without, proof);
	g_assert_cmpstr(final, ==, expected);
	/* The server has shown nothing yet. */
	check_early(scram->sasl);
}

static void scram_finish(struct scram *scram, const struct scram_server *server)
{
	g_autofree char *signature = scram_signature(server, scram->auth);
	g_autofree char *final = g_strdup_printf("v=%s", signature);

	check_answer(scram->sasl, final, "");
	check_success(scram->sasl);
	check_fails(scram->sasl, "once more", ERROR_PROTOCOL, "more than its login has");
	scram_end(scram);
}

static void test_scram(void)
{
	struct scram scram;

	scram_begin(&scram, &user, AUTH_SCRAM_SHA_1, "n,,", "n=user");
	scram_prove(&scram, &pencil_sha1, "n,,", 3);
	scram_finish(&scram, &pencil_sha1);
	scram_begin(&scram, &user, AUTH_SCRAM_SHA_256, "n,,", "n=user");
	scram_prove(&scram, &pencil_sha256, "n,,", 3);
	scram_finish(&scram, &pencil_sha256);
}

static void test_scram_name(void)
{
	const struct sasl_login login = {.user = "a,b=c", .password = "pencil"};
	struct scram scram;

	scram_begin(&scram, &login, AUTH_SCRAM_SHA_256, "n,,", "n=a=2Cb=3Dc");
	scram_prove(&scram, &pencil_sha256, "n,,", 3);
	scram_finish(&scram, &pencil_sha256);
}

/* SASLprep (RFC 4013): a soft hyphen is nothing, a full-width letter is that letter; a control is
 * not allowed. */
static void test_scram_prepared(void)
{
	const struct sasl_login login = {.user = "us\xc2\xad"
						 "er",
					 .password = "\xef\xbd\x90"
						     "encil"};
	struct sasl_login control = {.user = "user", .password = "\x07"};
	struct scram scram;
	struct sasl *sasl;

	scram_begin(&scram, &login, AUTH_SCRAM_SHA_256, "n,,", "n=user");
	scram_prove(&scram, &pencil_sha256, "n,,", 3);
	scram_finish(&scram, &pencil_sha256);
	sasl = begin(&control, AUTH_SCRAM_SHA_256 | AUTH_PLAIN);
	g_assert_cmpstr(sasl_name(sasl), ==, "PLAIN");
	end(sasl);
	control.allowed = AUTH_SCRAM_SHA_256;
	check_no_login(&control, AUTH_SCRAM_SHA_256 | AUTH_PLAIN, ERROR_AUTH,
		       "the user name or the password holds characters that SCRAM-SHA-256 does not "
		       "allow; auth=plain does without it");
}

static void test_scram_binding(void)
{
	struct sasl_login login = user;
	char channel[100] = "p=tls-exporter,,";
	size_t len = strlen(channel);
	struct scram scram;

	login.binding.known = true;
	for (unsigned i = 0; i < sizeof(login.binding.bytes); i++)
		login.binding.bytes[i] = (uint8_t)(i * 7);
	memcpy(channel + len, login.binding.bytes, sizeof(login.binding.bytes));
	len += sizeof(login.binding.bytes);
	scram_begin(&scram, &login, AUTH_SCRAM_SHA_256_PLUS, "p=tls-exporter,,", "n=user");
	scram_prove(&scram, &pencil_sha256, channel, len);
	scram_finish(&scram, &pencil_sha256);
	scram_begin(&scram, &login, AUTH_SCRAM_SHA_1_PLUS, "p=tls-exporter,,", "n=user");
	scram_prove(&scram, &pencil_sha1, channel, len);
	scram_finish(&scram, &pencil_sha1);
	/* It is there, but the server cannot use it. */
	scram_begin(&scram, &login, AUTH_SCRAM_SHA_256, "n,,", "n=user");
	scram_prove(&scram, &pencil_sha256, "n,,", 3);
	scram_finish(&scram, &pencil_sha256);
}

/* ---- SCRAM with a server that lies ---- */

/* Whose first message is this, with "%s" for the client's nonce. */
static void check_first_refused(const char *format, enum mailfs_error code, const char *message)
{
	g_auto(GStrv) parts = g_strsplit(format, "%s", -1);
	struct scram scram;

	scram_begin(&scram, &user, AUTH_SCRAM_SHA_256, "n,,", "n=user");
	scram.first = g_strjoinv(scram.nonce, parts);
	check_fails(scram.sasl, scram.first, code, message);
	scram_end(&scram);
}

#define SALT ",s=W22ZaJ0SNY7soEsUEjb6gQ=="

static void test_scram_iterations(void)
{
	check_first_refused("r=%sX" SALT ",i=1", ERROR_AUTH, "fewer than 4096");
	check_first_refused("r=%sX" SALT ",i=4095", ERROR_AUTH, "fewer than 4096");
	check_first_refused("r=%sX" SALT ",i=0", ERROR_AUTH, "fewer than 4096");
	check_first_refused("r=%sX" SALT ",i=1000001", ERROR_AUTH, "more than 1000000");
	check_first_refused("r=%sX" SALT ",i=4294971392", ERROR_AUTH, "more than 1000000");
	check_first_refused("r=%sX" SALT ",i=18446744073709555712", ERROR_PROTOCOL, "no sense");
	check_first_refused("r=%sX" SALT ",i=-4096", ERROR_PROTOCOL, "no sense");
	check_first_refused("r=%sX" SALT ",i=", ERROR_PROTOCOL, "no sense");
	check_first_refused("r=%sX" SALT ",i=4096x", ERROR_PROTOCOL, "no sense");
	check_first_refused("r=%sX" SALT ",i=4096,i=1", ERROR_PROTOCOL, "");
}

/* The most that is computed; 4096 is what all the others have. */
static void test_scram_iterations_most(void)
{
	struct scram scram;
	g_autofree char *final = NULL;

	scram_begin(&scram, &user, AUTH_SCRAM_SHA_256, "n,,", "n=user");
	scram.first = g_strdup_printf("r=%sX" SALT ",i=1000000", scram.nonce);
	final = answer(scram.sasl, scram.first);
	g_assert_true(g_str_has_prefix(final, "c=biws,r="));
	scram_end(&scram);
}

static void test_scram_first(void)
{
	check_first_refused("r=fyko+d2lbbFgONRv9qkxdawLX" SALT ",i=4096", ERROR_AUTH, "nonce");
	check_first_refused("r=X%s" SALT ",i=4096", ERROR_AUTH, "nonce");
	/* It has to add something. */
	check_first_refused("r=%s" SALT ",i=4096", ERROR_AUTH, "nonce");
	check_first_refused("r=" SALT ",i=4096", ERROR_AUTH, "nonce");
	check_first_refused("m=x,r=%sX" SALT ",i=4096", ERROR_AUTH, "extension");
	check_first_refused("r=%sX,i=4096", ERROR_PROTOCOL, "no sense");
	check_first_refused("r=%sX,s=,i=4096", ERROR_PROTOCOL, "no sense");
	check_first_refused("r=%sX,s=!!!!,i=4096", ERROR_PROTOCOL, "");
	check_first_refused("r=%sX" SALT, ERROR_PROTOCOL, "no sense");
	check_first_refused("e=other-error", ERROR_PROTOCOL, "no sense");
	check_first_refused("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", ERROR_PROTOCOL, "no sense");
	check_first_refused("r", ERROR_PROTOCOL, "no sense");
}

static void check_last_refused(const char *text, enum mailfs_error code, const char *message)
{
	struct scram scram;

	scram_begin(&scram, &user, AUTH_SCRAM_SHA_256, "n,,", "n=user");
	scram_prove(&scram, &pencil_sha256, "n,,", 3);
	check_fails(scram.sasl, text, code, message);
	scram_end(&scram);
}

static void test_scram_last(void)
{
	/* Of another login, of no login, of another hash, cut. */
	check_last_refused("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", ERROR_AUTH,
			   "does not prove by SCRAM-SHA-256 that it knows the password");
	check_last_refused("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", ERROR_AUTH,
			   "does not prove");
	check_last_refused("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", ERROR_AUTH, "does not prove");
	check_last_refused("v=", ERROR_PROTOCOL, "");
	check_last_refused("v", ERROR_PROTOCOL, "");
	check_last_refused("", ERROR_PROTOCOL, "");
	check_last_refused("v=!", ERROR_PROTOCOL, "");
	check_last_refused("e=", ERROR_PROTOCOL, "");
}

/* It says why; its no comes behind our empty answer. */
static void test_scram_error(void)
{
	struct scram scram;
	g_autoptr(GError) error = NULL;

	scram_begin(&scram, &user, AUTH_SCRAM_SHA_256, "n,,", "n=user");
	scram_prove(&scram, &pencil_sha256, "n,,", 3);
	check_answer(scram.sasl, "e=invalid-proof", "");
	g_assert_cmpstr(sasl_reason(scram.sasl), ==, " (invalid-proof)");
	g_assert_false(sasl_success(scram.sasl, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_AUTH);
	g_assert_nonnull(strstr(error->message, "refuses the login"));
	scram_end(&scram);
	scram_begin(&scram, &user, AUTH_SCRAM_SHA_256, "n,,", "n=user");
	scram_prove(&scram, &pencil_sha256, "n,,", 3);
	check_answer(scram.sasl, "e=not pencil", "");
	g_assert_cmpstr(sasl_reason(scram.sasl), ==,
			" (its reason repeats the password and is not shown)");
	scram_end(&scram);
}

/* The signature of a server that knows another password. */
static void test_scram_other_password(void)
{
	struct scram_server other = pencil_sha256;
	g_autofree char *signature = NULL, *final = NULL;
	struct scram scram;

	other.password = "pencils";
	scram_begin(&scram, &user, AUTH_SCRAM_SHA_256, "n,,", "n=user");
	scram_prove(&scram, &pencil_sha256, "n,,", 3);
	signature = scram_signature(&other, scram.auth);
	final = g_strdup_printf("v=%s", signature);
	check_fails(scram.sasl, final, ERROR_AUTH, "does not prove");
	scram_end(&scram);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sasl_scram/vectors", test_scram_vectors);
	g_test_add_func("/sasl_scram/both", test_scram);
	g_test_add_func("/sasl_scram/name", test_scram_name);
	g_test_add_func("/sasl_scram/prepared", test_scram_prepared);
	g_test_add_func("/sasl_scram/binding", test_scram_binding);
	g_test_add_func("/sasl_scram/iterations", test_scram_iterations);
	g_test_add_func("/sasl_scram/iterations-most", test_scram_iterations_most);
	g_test_add_func("/sasl_scram/first", test_scram_first);
	g_test_add_func("/sasl_scram/last", test_scram_last);
	g_test_add_func("/sasl_scram/error", test_scram_error);
	g_test_add_func("/sasl_scram/other-password", test_scram_other_password);
	return g_test_run();
}
