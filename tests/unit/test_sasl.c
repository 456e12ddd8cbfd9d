/* All mechanisms but SCRAM, and the choice among all. */
#include "base/limits.h"
#include "sasl_fixture.h"

/* ---- PLAIN, LOGIN, EXTERNAL ---- */

static void check_plain(const char *user, const char *password, const char *expected, size_t len)
{
	struct sasl *sasl =
		begin(&(struct sasl_login){.user = user, .password = password}, AUTH_PLAIN);
	const char *line = sasl_initial(sasl, SIZE_MAX);
	g_autofree guchar *bytes = NULL;
	gsize n;

	g_assert_nonnull(line);
	g_assert_null(strpbrk(line, "\r\n"));
	bytes = g_base64_decode(line, &n);
	g_assert_cmpmem(bytes, (int)n, expected, (int)len);
	check_success(sasl);
	end(sasl);
}

static void test_plain(void)
{
	g_autofree char *password = g_strnfill(16 * 1024, 'x');
	g_autofree char *expected = g_strdup_printf("_u_%s", password);

	/* RFC 4616 section 4, without an authorisation identity. */
	check_plain("tim", "tanstaaftanstaaf", "\0tim\0tanstaaftanstaaf", 21);
	check_plain("j\xc3\xbcrgen", "\xc3\xa9\r\n\"\\", "\0j\xc3\xbcrgen\0\xc3\xa9\r\n\"\\", 15);
	check_plain("", "", "\0\0", 2);
	expected[0] = expected[2] = '\0';
	check_plain("u", password, expected, 16 * 1024 + 3);
}

#define PLAIN "AGFsaWNlAHMzc2FtZQ=="

static void test_plain_not_inside(void)
{
	struct sasl *sasl = begin(&alice, AUTH_PLAIN);
	GError *error = NULL;

	g_assert_cmpstr(sasl_name(sasl), ==, "PLAIN");
	g_assert_null(sasl_initial(sasl, strlen(PLAIN) - 1));
	g_assert_false(sasl_is_begun(sasl));
	check_early(sasl);
	/* Whatever the server says there. */
	g_assert_cmpstr(sasl_step(sasl, "go ahead", 8, &error), ==, PLAIN);
	g_assert_no_error(error);
	g_assert_true(sasl_is_begun(sasl));
	check_success(sasl);
	check_fails(sasl, "", ERROR_PROTOCOL, "more than its login has");
	end(sasl);
}

/* Some ask for what they got: once. */
static void test_plain_asked_again(void)
{
	struct sasl *sasl = begin(&alice, AUTH_PLAIN);

	g_assert_cmpstr(sasl_initial(sasl, strlen(PLAIN)), ==, PLAIN);
	g_assert_cmpstr(sasl_step(sasl, "", 0, NULL), ==, PLAIN);
	check_success(sasl);
	check_fails(sasl, "", ERROR_PROTOCOL, "more than its login has");
	end(sasl);
	sasl = begin(&alice, AUTH_PLAIN);
	g_assert_nonnull(sasl_initial(sasl, SIZE_MAX));
	check_fails(sasl, "what?", ERROR_PROTOCOL, "more than its login has");
	end(sasl);
}

static void test_login(void)
{
	struct sasl *sasl = begin(&alice, AUTH_LOGIN);

	g_assert_cmpstr(sasl_name(sasl), ==, "LOGIN");
	g_assert_null(sasl_initial(sasl, SIZE_MAX));
	check_early(sasl);
	check_answer(sasl, "Username:", "alice");
	check_early(sasl);
	check_answer(sasl, "Password:", "s3same");
	check_success(sasl);
	check_fails(sasl, "And then:", ERROR_PROTOCOL, "more than its login has");
	end(sasl);
}

static void test_external(void)
{
	const struct sasl_login login = {.user = "alice", .certificate = true};
	struct sasl *sasl = begin(&login, AUTH_EXTERNAL);

	g_assert_cmpstr(sasl_initial(sasl, SIZE_MAX), ==, "=");
	check_success(sasl);
	end(sasl);
	sasl = begin(&login, AUTH_EXTERNAL);
	g_assert_null(sasl_initial(sasl, 0));
	g_assert_cmpstr(sasl_step(sasl, "", 0, NULL), ==, "");
	check_success(sasl);
	end(sasl);
}

/* ---- OAuth 2.0 ---- */

static void check_refused(struct sasl *sasl, const char *json, const char *expected,
			  const char *reason)
{
	g_autoptr(GError) error = NULL;

	check_success(sasl);
	check_answer(sasl, json, expected);
	g_assert_cmpstr(sasl_reason(sasl), ==, reason);
	g_assert_false(sasl_success(sasl, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_AUTH);
	check_fails(sasl, "more", ERROR_PROTOCOL, "more than its login has");
}

/* RFC 7628 section 4.1 and 4.3 */
static void test_oauthbearer(void)
{
	const struct sasl_login login = {.user = "user@example.com",
					 .token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==",
					 .host = "server.example.com",
					 .port = 143};
	struct sasl *sasl = begin(&login, AUTH_OAUTHBEARER | AUTH_XOAUTH2 | AUTH_PLAIN);

	g_assert_cmpstr(sasl_initial(sasl, SIZE_MAX), ==,
			"bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQz"
			"AWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9"
			"PQEB");
	check_refused(sasl, "{\"status\":\"invalid_token\",\"scope\":\"example_scope\"}", "\x01",
		      " (invalid_token)");
	end(sasl);
}

static void test_oauthbearer_name(void)
{
	const struct sasl_login login = {.user = "a,b=c", .token = "t"};
	struct sasl *sasl = begin(&login, AUTH_OAUTHBEARER);
	g_autofree char *text = decoded(sasl_initial(sasl, SIZE_MAX));

	g_assert_cmpstr(text, ==,
			"n,a=a=2Cb=3Dc,\x01"
			"auth=Bearer t\x01\x01");
	end(sasl);
}

/* The example of Google's "OAuth 2.0 Mechanism". */
static void test_xoauth2(void)
{
	const struct sasl_login login = {.user = "someuser@example.com",
					 .token = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"};
	struct sasl *sasl = begin(&login, AUTH_XOAUTH2 | AUTH_PLAIN);

	g_assert_cmpstr(sasl_initial(sasl, SIZE_MAX), ==,
			"dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRj"
			"Mk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==");
	check_refused(sasl,
		      "{\"status\":\"401\",\"schemes\":\"bearer mac\","
		      "\"scope\":\"https://mail.google.com/\"}\n",
		      "", " (401)");
	end(sasl);
}

static void check_reason(const char *json, const char *reason)
{
	const struct sasl_login login = {.user = "u", .token = "t"};
	struct sasl *sasl = begin(&login, AUTH_XOAUTH2);

	g_assert_nonnull(sasl_initial(sasl, SIZE_MAX));
	check_refused(sasl, json, "", reason);
	end(sasl);
}

static void test_oauth_reasons(void)
{
	g_autofree char *x = g_strnfill(200, 'x');
	g_autofree char *json = g_strdup_printf("{\"status\":\"%s\"}", x);
	g_autofree char *reason = g_strdup_printf(" (%.97s...)", x);

	check_reason("{ \"schemes\" : \"Bearer\", \"status\" : \"a\x1b[31m\" }", " (a\\x1B[31m)");
	check_reason("{\"status\":400}", " (400)");
	check_reason("{\"status\"", "");
	check_reason("{\"status\":", "");
	check_reason("{\"status\":\"open", " (open)");
	check_reason("no json", "");
	check_reason(json, reason);
	check_reason("{\"status\":\"no, not t\"}",
		     " (its reason repeats the password and is not shown)");
}

static void test_oauth_tokens(void)
{
	static const char *const bad[] = {"", "a b", "a\tb", "a\nb", "\xc3\xa4", "a\x7f"};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		const struct sasl_login login = {.user = "u", .token = bad[i]};

		check_no_login(&login, AUTH_XOAUTH2, ERROR_CONFIG,
			       "the token is empty, or holds what no token does");
		check_no_login(&login, AUTH_OAUTHBEARER, ERROR_CONFIG,
			       "the token is empty, or holds what no token does");
	}
	check_no_login(&(struct sasl_login){.user = "u\x01", .token = "t"}, AUTH_XOAUTH2,
		       ERROR_CONFIG, "the user name holds control characters");
}

/* ---- CRAM-MD5 ---- */

/* RFC 2195 section 2 */
static void test_cram_md5(void)
{
	const struct sasl_login login = {
		.user = "tim", .password = "tanstaaftanstaaf", .allowed = AUTH_CRAM_MD5};
	struct sasl *sasl = begin(&login, AUTH_CRAM_MD5 | AUTH_PLAIN);

	g_assert_null(sasl_initial(sasl, SIZE_MAX));
	check_early(sasl);
	check_answer(sasl, "<1896.697170952@postoffice.reston.mci.net>",
		     "tim b913a602c7eda7a495b4e6e7334d3890");
	check_success(sasl);
	check_fails(sasl, "<again@example.net>", ERROR_PROTOCOL, "more than its login has");
	end(sasl);
	sasl = begin(&login, AUTH_CRAM_MD5);
	check_fails_raw(sasl, "", 0, ERROR_PROTOCOL, "challenge for CRAM-MD5 is empty");
	end(sasl);
}

/* ---- Any mechanism, with a server that lies ---- */

static const char *const garbage[] = {"!",    "A",	  "AA",	    "AAA",   "AAAA=", "=",
				      "====", "AA==AA==", "AAAA\r", "AA AA", "A===",  "-_-_"};

static void test_garbage(void)
{
	const struct sasl_login cram = {.user = "user", .password = "p", .allowed = AUTH_CRAM_MD5};

	for (unsigned i = 0; i < G_N_ELEMENTS(garbage); i++) {
		struct sasl *sasl = begin(&alice, AUTH_SCRAM_SHA_256);

		g_assert_nonnull(sasl_initial(sasl, SIZE_MAX));
		check_fails_raw(sasl, garbage[i], strlen(garbage[i]), ERROR_PROTOCOL, "no base64");
		end(sasl);
		sasl = begin(&cram, AUTH_CRAM_MD5);
		check_fails_raw(sasl, garbage[i], strlen(garbage[i]), ERROR_PROTOCOL, "no base64");
		end(sasl);
		/* Its words are for people, and not all servers encode them. */
		sasl = begin(&alice, AUTH_LOGIN);
		g_assert_cmpstr(sasl_step(sasl, garbage[i], strlen(garbage[i]), NULL), ==,
				"YWxpY2U=");
		end(sasl);
	}
}

static void test_nul(void)
{
	static const char text[] = "r=\0,s=AA==,i=4096";
	g_autofree char *challenge = g_base64_encode((const guchar *)text, sizeof(text) - 1);
	struct sasl *sasl = begin(&alice, AUTH_SCRAM_SHA_256);

	g_assert_nonnull(sasl_initial(sasl, SIZE_MAX));
	check_fails_raw(sasl, challenge, strlen(challenge), ERROR_PROTOCOL, "no sense");
	end(sasl);
}

static void check_length(size_t len, enum mailfs_error code)
{
	g_autofree char *challenge = g_strnfill(len, 'A');
	struct sasl *sasl = begin(&alice, AUTH_SCRAM_SHA_256);

	g_assert_nonnull(sasl_initial(sasl, SIZE_MAX));
	check_fails_raw(sasl, challenge, len, code, "");
	end(sasl);
}

static void test_length(void)
{
	check_length(LIMIT_SASL - 4, ERROR_PROTOCOL);
	check_length(LIMIT_SASL, ERROR_PROTOCOL);
	check_length(LIMIT_SASL + 1, ERROR_LIMIT);
	check_length(1024 * 1024, ERROR_LIMIT);
}

/* ---- Choice ---- */

struct choice {
	unsigned offered;
	unsigned allowed;
	enum auth_mechanism chosen; /* 0: none */
};

static void check_choices(const struct sasl_login *base, const struct sasl_server *where,
			  const struct choice *choices)
{
	for (; choices->offered; choices++) {
		struct sasl_login login = *base;
		struct sasl_server server = *where;
		struct sasl *sasl;

		login.allowed = choices->allowed;
		server.offered = choices->offered;
		sasl = sasl_new(&login, &server, NULL);
		g_assert_cmphex(sasl ? sasl_mechanism(sasl) : 0, ==, choices->chosen);
		sasl_free(&sasl);
	}
}

#define ALL 0xfffu

static void test_choice(void)
{
	const struct sasl_login everything = {.user = "u",
					      .password = "p",
					      .token = "t",
					      .certificate = true,
					      .binding = {.known = true}};
	const struct sasl_login bound = {.user = "u", .password = "p", .binding = {.known = true}};
	const struct sasl_login token = {.user = "u", .token = "t"};
	const struct sasl_server tls = {.service = "imap", .tls = true};
	const struct sasl_server off = {.service = "imap", .cleartext = true};
	const struct sasl_server neither = {.service = "imap"};

	check_choices(&everything, &tls,
		      (const struct choice[]){
			      {ALL, 0, AUTH_EXTERNAL},
			      {ALL & ~AUTH_EXTERNAL, 0, AUTH_OAUTHBEARER},
			      {ALL & ~0x7u, 0, AUTH_XOAUTH2},
			      {ALL & ~0xfu, 0, AUTH_SCRAM_SHA_256_PLUS},
			      {ALL & ~0x1fu, 0, AUTH_SCRAM_SHA_1_PLUS},
			      {ALL & ~0x3fu, 0, AUTH_SCRAM_SHA_256},
			      {ALL & ~0x7fu, 0, AUTH_SCRAM_SHA_1},
			      {ALL & ~0xffu, 0, AUTH_PLAIN},
			      {ALL & ~0x1ffu, 0, AUTH_LOGIN},
			      {ALL & ~0x3ffu, 0, 0},
			      /* GSSAPI, without a ticket: tried only if asked for. */
			      {AUTH_GSSAPI, 0, 0},
			      {ALL, AUTH_CRAM_MD5, AUTH_CRAM_MD5},
			      {ALL, AUTH_SCRAM_SHA_1 | AUTH_PLAIN, AUTH_SCRAM_SHA_1},
			      {ALL, AUTH_LOGIN | AUTH_PLAIN, AUTH_PLAIN},
			      /* Stripped by whoever: what is pinned is never done without. */
			      {AUTH_PLAIN | AUTH_LOGIN, AUTH_SCRAM_SHA_256, 0},
			      {AUTH_SCRAM_SHA_256, AUTH_SCRAM_SHA_256_PLUS, 0},
			      {ALL, AUTH_APOP, 0},
			      {0}});
	check_choices(&alice, &tls,
		      (const struct choice[]){{ALL, 0, AUTH_SCRAM_SHA_256},
					      {ALL, AUTH_EXTERNAL, 0},
					      {ALL, AUTH_OAUTHBEARER, 0},
					      {ALL, AUTH_SCRAM_SHA_256_PLUS, 0},
					      {0}});
	check_choices(&token, &tls,
		      (const struct choice[]){{ALL, 0, AUTH_OAUTHBEARER},
					      {ALL & ~0x7u, 0, AUTH_XOAUTH2},
					      {ALL & ~0xfu, 0, 0},
					      {0}});
	/* In cleartext, because the user said so: still the best. */
	check_choices(&bound, &off,
		      (const struct choice[]){{ALL, 0, AUTH_SCRAM_SHA_256},
					      {AUTH_PLAIN, 0, AUTH_PLAIN},
					      {AUTH_SCRAM_SHA_256_PLUS, 0, 0},
					      {0}});
	check_choices(&everything, &off, (const struct choice[]){{AUTH_EXTERNAL, 0, 0}, {0}});
	check_choices(&everything, &neither,
		      (const struct choice[]){{ALL, 0, AUTH_SCRAM_SHA_256},
					      {AUTH_PLAIN | AUTH_LOGIN, 0, 0},
					      {AUTH_OAUTHBEARER | AUTH_XOAUTH2, 0, 0},
					      {0}});
}

static void test_choice_errors(void)
{
	const struct sasl_login pinned = {
		.user = "u", .password = "p", .allowed = AUTH_SCRAM_SHA_256 | AUTH_SCRAM_SHA_1};
	struct sasl_server server = {.service = "imap",
				     .offered = AUTH_PLAIN | AUTH_LOGIN,
				     .offered_text = "PLAIN LOGIN NTLM\x1b",
				     .tls = true};
	g_autoptr(GError) error = NULL;

	g_assert_null(sasl_new(&pinned, &server, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_NO_LOGIN);
	g_assert_cmpstr(error->message, ==,
			"the server offers no login that may be used (it offers PLAIN LOGIN "
			"NTLM\\x1B, and these may: SCRAM-SHA-256 SCRAM-SHA-1)");
	check_no_login(&(struct sasl_login){.user = "u"}, 0, ERROR_NO_LOGIN,
		       "the server offers no login that may be used (it offers none, and these "
		       "may: none)");
	check_no_login(&(struct sasl_login){.user = "u",
					    .password = "p",
					    .below = auth_below(AUTH_SCRAM_SHA_1)},
		       AUTH_PLAIN | AUTH_LOGIN, ERROR_NO_LOGIN,
		       "the server offers no login that may be used (it offers none, and these "
		       "may: SCRAM-SHA-256 SCRAM-SHA-1): it took a better one before");
	g_assert_false(sasl_may_tell_password(&pinned, &server));
	g_assert_true(sasl_may_tell_password(&alice, &server));
	server.tls = false;
	g_assert_false(sasl_may_tell_password(&alice, &server));
	server.cleartext = true;
	g_assert_true(sasl_may_tell_password(&alice, &server));
}

/* The library below GNU SASL loses some bytes when there is no ticket. */
#if defined(__SANITIZE_ADDRESS__)
#define LEAKS_ARE_SEEN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS_ARE_SEEN 1
#endif
#endif

#ifndef LEAKS_ARE_SEEN
static void test_gssapi_without_ticket(void)
{
	const struct sasl_login login = {.user = "u", .host = "127.0.0.1", .allowed = AUTH_GSSAPI};
	const struct sasl_server server = {.service = "imap", .offered = AUTH_GSSAPI, .tls = true};
	g_autoptr(GError) error = NULL;

	g_assert_null(sasl_new(&login, &server, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_AUTH);
	g_assert_nonnull(strstr(error->message, "GSSAPI"));
}
#endif

/* ---- Echoes ---- */

static bool is_echo(const struct sasl *sasl, const struct sasl_login *login, const char *text)
{
	return sasl_is_echo(sasl, login, text, strlen(text));
}

static void test_echo(void)
{
	const struct sasl_login login = {.user = "u", .password = "p\x1bq", .token = "TTT"};
	struct sasl *sasl = begin(&alice, AUTH_LOGIN);

	g_assert_true(is_echo(sasl, &alice, "bad password s3same!"));
	g_assert_false(is_echo(sasl, &alice, "bad password"));
	g_assert_true(is_echo(sasl, &alice, "what is czNzYW1l"));
	g_assert_true(is_echo(NULL, &alice, "what is czNzYW1l"));
	end(sasl);
	sasl = begin(&alice, AUTH_PLAIN);
	g_assert_true(is_echo(sasl, &alice, "no " PLAIN));
	g_assert_false(is_echo(NULL, &alice, "no " PLAIN));
	end(sasl);
	g_assert_true(is_echo(NULL, &login, "p\\x1Bq"));
	g_assert_true(is_echo(NULL, &login, "p\x1bq"));
	g_assert_true(is_echo(NULL, &login, "aTTTb"));
	g_assert_false(is_echo(NULL, &(struct sasl_login){.user = "u", .password = ""}, "x"));
	g_assert_false(is_echo(NULL, &(struct sasl_login){0}, "x"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sasl/plain", test_plain);
	g_test_add_func("/sasl/plain-not-inside", test_plain_not_inside);
	g_test_add_func("/sasl/plain-asked-again", test_plain_asked_again);
	g_test_add_func("/sasl/login", test_login);
	g_test_add_func("/sasl/external", test_external);
	g_test_add_func("/sasl/oauthbearer", test_oauthbearer);
	g_test_add_func("/sasl/oauthbearer-name", test_oauthbearer_name);
	g_test_add_func("/sasl/xoauth2", test_xoauth2);
	g_test_add_func("/sasl/oauth-reasons", test_oauth_reasons);
	g_test_add_func("/sasl/oauth-tokens", test_oauth_tokens);
	g_test_add_func("/sasl/cram-md5", test_cram_md5);
	g_test_add_func("/sasl/garbage", test_garbage);
	g_test_add_func("/sasl/nul", test_nul);
	g_test_add_func("/sasl/length", test_length);
	g_test_add_func("/sasl/choice", test_choice);
	g_test_add_func("/sasl/choice-errors", test_choice_errors);
#ifndef LEAKS_ARE_SEEN
	g_test_add_func("/sasl/gssapi-without-ticket", test_gssapi_without_ticket);
#endif
	g_test_add_func("/sasl/echo", test_echo);
	return g_test_run();
}
