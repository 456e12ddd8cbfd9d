/* A login, with a server that says anything: the first byte chooses the mechanism, the second how
 * its words are sent; then a line each, in which '$' stands for the nonce of a SCRAM client.
 * Whoever knows no password is never believed to. */
#include "base/limits.h"
#include "fuzz.h"
#include "protocol/sasl.h"

#include <string.h>

enum {
	INSIDE = 1, /* the first message goes with the mechanism's name */
	RAW = 2,    /* lines are base64 already */
};

static bool is_scram(const struct sasl *sasl)
{
	return g_str_has_prefix(sasl_name(sasl), "SCRAM-");
}

static char *nonce_of(const char *first)
{
	gsize len;
	g_autofree guchar *bytes = g_base64_decode(first, &len);
	g_autofree char *text = g_strndup((const char *)bytes, len);
	const char *at = strstr(text, ",r=");

	return g_strdup(at ? at + 3 : "");
}

static void check_line(const char *line)
{
	for (; *line; line++)
		FUZZ_CHECK(g_ascii_isalnum(*line) || strchr("+/=", *line));
}

static char *spoken(const char *line, size_t len, const char *nonce, bool raw)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (size_t i = 0; i < len; i++) {
		if (line[i] == '$')
			g_string_append(text, nonce);
		else
			g_string_append_c(text, line[i]);
	}
	if (raw)
		return g_strndup(text->str, text->len);
	return g_base64_encode((const guchar *)text->str, text->len);
}

/* False: the login has failed. */
static bool say(struct sasl *sasl, const char *challenge)
{
	g_autoptr(GError) error = NULL;
	const char *line = sasl_step(sasl, challenge, strlen(challenge), &error);

	FUZZ_CHECK(!line == !!error);
	if (line)
		check_line(line);
	FUZZ_CHECK(strlen(sasl_reason(sasl)) < 200);
	if (is_scram(sasl) || !line)
		FUZZ_CHECK(!sasl_success(sasl, NULL));
	return line;
}

static void converse(struct sasl *sasl, unsigned flags, const char *text, size_t len)
{
	const char *first = flags & INSIDE ? sasl_initial(sasl, SIZE_MAX) : NULL;
	g_autofree char *nonce = NULL;

	if (!first && is_scram(sasl))
		first = sasl_step(sasl, "", 0, NULL);
	nonce = nonce_of(first && is_scram(sasl) ? first : "");
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;
		g_autofree char *challenge = spoken(text, n, nonce, flags & RAW);

		if (!say(sasl, challenge))
			break;
		n += end ? 1 : 0;
		text += n;
		len -= n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const enum auth_mechanism mechanisms[] = {
		AUTH_EXTERNAL,	    AUTH_OAUTHBEARER, AUTH_XOAUTH2,
		AUTH_SCRAM_SHA_256, AUTH_SCRAM_SHA_1, AUTH_SCRAM_SHA_256_PLUS,
		AUTH_PLAIN,	    AUTH_LOGIN,	      AUTH_CRAM_MD5};
	struct sasl_login login = {.user = "user",
				   .password = "pencil",
				   .token = "token",
				   .certificate = true,
				   .binding = {.known = true}};
	struct sasl_server server = {.service = "imap", .tls = true};
	struct sasl *sasl;

	if (len < 2)
		return 0;
	login.allowed = server.offered = mechanisms[bytes[0] % G_N_ELEMENTS(mechanisms)];
	sasl = sasl_new(&login, &server, NULL);
	FUZZ_CHECK(sasl);
	converse(sasl, bytes[1], (const char *)bytes + 2, len - 2);
	sasl_free(&sasl);
	return 0;
}
