#include "base/text.h"
#include "protocol/sasl_private.h"

#include <gsasl.h>
#include <string.h>

#define STEPS_MAX 10
#define OFFERED_SHOWN 200
#define REASON_MAX 100

/* ---- Messages ---- */

void sasl_message_set(struct sasl_message *message, const char *bytes, size_t len)
{
	sasl_message_clear(message);
	message->bytes = g_malloc(len + 1);
	memcpy(message->bytes, bytes, len);
	message->bytes[len] = '\0';
	message->len = len;
}

void sasl_message_clear(struct sasl_message *message)
{
	if (message->bytes)
		explicit_bzero(message->bytes, message->len);
	g_free(message->bytes);
	*message = (struct sasl_message){0};
}

static void line_free(void *line)
{
	explicit_bzero(line, strlen(line));
	g_free(line);
}

/* NULL: it is longer than any server has to take. */
static const char *line_add(struct sasl *sasl, const struct sasl_message *message, GError **error)
{
	char *line = message->len > 0
			     ? g_base64_encode((const guchar *)message->bytes, message->len)
			     : g_strdup("");

	g_ptr_array_add(sasl->lines, line);
	if (!sasl->line_max || strlen(line) <= sasl->line_max)
		return line;
	g_set_error(error, MAILFS_ERROR, ERROR_AUTH,
		    "the user name and the password or token are too long for a login by %s",
		    sasl_name(sasl));
	return NULL;
}

/* Strict, unlike GLib's. */
static bool decode(const char *text, size_t len, struct sasl_message *ret, GError **error)
{
	char *bytes = NULL;
	size_t n = 0;

	if (len > LIMIT_SASL) {
		g_set_error(error, MAILFS_ERROR, ERROR_LIMIT,
			    "a message of the server's login is longer than %d bytes", LIMIT_SASL);
		return false;
	}
	if (len > 0 && gsasl_base64_from(text, len, &bytes, &n) != GSASL_OK) {
		g_set_error(error, MAILFS_ERROR, ERROR_PROTOCOL,
			    "a message of the server's login is no base64");
		return false;
	}
	sasl_message_set(ret, bytes ? bytes : "", n);
	gsasl_free(bytes);
	return true;
}

/* ---- Choice ---- */

static unsigned allowed(const struct sasl_login *login)
{
	return login->allowed ? login->allowed : AUTH_DEFAULT & ~login->below;
}

static bool may_show(const struct sasl_server *server)
{
	return server->tls || server->cleartext;
}

/* Those for which there is what they need. */
static unsigned possible(const struct sasl_login *login, const struct sasl_server *server)
{
	const unsigned tokens = AUTH_OAUTHBEARER | AUTH_XOAUTH2;
	const unsigned bound = AUTH_SCRAM_SHA_256_PLUS | AUTH_SCRAM_SHA_1_PLUS;
	const unsigned scram = AUTH_SCRAM_SHA_256 | AUTH_SCRAM_SHA_1;
	const unsigned shown = AUTH_PLAIN | AUTH_LOGIN;
	unsigned set = AUTH_GSSAPI;

	if (login->certificate && server->tls)
		set |= AUTH_EXTERNAL;
	if (login->token && may_show(server))
		set |= tokens;
	if (login->password)
		set |= scram | AUTH_CRAM_MD5;
	if (login->password && login->binding.known && server->tls)
		set |= bound;
	if (login->password && may_show(server))
		set |= shown;
	/* Who asks for it alone is told why not. */
	if (login->password && !login->allowed && !sasl_gsasl_prepares(login))
		set &= ~(scram | bound);
	return set & allowed(login);
}

bool sasl_may_tell_password(const struct sasl_login *login, const struct sasl_server *server)
{
	return possible(login, server) & AUTH_LOGIN;
}

static void set_none(const struct sasl_login *login, const struct sasl_server *server,
		     GError **error)
{
	const char *text = server->offered_text ? server->offered_text : "";
	g_autofree char *offered = text_clean(text, -1, OFFERED_SHOWN);
	g_autofree char *may = auth_text(possible(login, server));

	g_set_error(
		error, MAILFS_ERROR, ERROR_NO_LOGIN,
		"the server offers no login that may be used (it offers %s, and these may: %s)%s",
		*offered ? offered : "none", may,
		!login->allowed && login->below ? ": it took a better one before" : "");
}

static const struct sasl_mechanism *steps_of(enum auth_mechanism mechanism)
{
	const struct sasl_mechanism *steps = sasl_simple(mechanism);

	return steps ? steps : sasl_gsasl(mechanism);
}

static enum auth_mechanism choose(unsigned set)
{
	return set & -set;
}

/* ---- State ---- */

void sasl_set_reason(struct sasl *sasl, const char *text, size_t len)
{
	bool echo = sasl_is_echo(sasl, sasl->login, text, len);
	g_autofree char *clean = text_clean(text, (gssize)MIN(len, LIMIT_SASL), REASON_MAX);

	g_free(sasl->reason);
	if (echo)
		sasl->reason = g_strdup(" (its reason repeats the password and is not shown)");
	else
		sasl->reason = *clean ? g_strdup_printf(" (%s)", clean) : g_strdup("");
}

bool sasl_asks_too_much(GError **error)
{
	g_set_error(error, MAILFS_ERROR, ERROR_PROTOCOL,
		    "the server asks for more than its login has");
	return false;
}

/* What comes next, as a line. */
static const char *advance(struct sasl *sasl, const struct sasl_message *challenge, GError **error)
{
	struct sasl_message out = {0};
	const char *line = NULL;
	bool ok = ++sasl->step <= STEPS_MAX ? sasl->steps->step(sasl, challenge, &out, error)
					    : sasl_asks_too_much(error);

	if (ok)
		line = line_add(sasl, &out, error);
	if (!line)
		sasl->stage = SASL_FAILED;
	sasl_message_clear(&out);
	return line;
}

struct sasl *sasl_new(const struct sasl_login *login, const struct sasl_server *server,
		      GError **error)
{
	unsigned set = possible(login, server) & server->offered & ~(unsigned)AUTH_APOP;
	const struct sasl_message nothing = {0};
	struct sasl *sasl;

	if (!set) {
		set_none(login, server, error);
		return NULL;
	}
	sasl = g_new0(struct sasl, 1);
	sasl->login = login;
	sasl->service = server->service;
	sasl->line_max = server->line_max;
	sasl->mechanism = choose(set);
	sasl->steps = steps_of(sasl->mechanism);
	sasl->lines = g_ptr_array_new_with_free_func(line_free);
	sasl->reason = g_strdup("");
	if (sasl->steps->client_first && !advance(sasl, &nothing, error))
		sasl_free(&sasl);
	return sasl;
}

void sasl_free(struct sasl **sasl)
{
	struct sasl *gone = g_steal_pointer(sasl);

	if (!gone)
		return;
	sasl_gsasl_free(&gone->gsasl);
	g_ptr_array_unref(gone->lines);
	g_free(gone->reason);
	g_free(gone);
}

enum auth_mechanism sasl_mechanism(const struct sasl *sasl)
{
	return sasl->mechanism;
}

const char *sasl_name(const struct sasl *sasl)
{
	return auth_name(sasl->mechanism);
}

const char *sasl_initial(struct sasl *sasl, size_t max)
{
	const char *line;

	if (!sasl->steps->client_first)
		return NULL;
	line = g_ptr_array_index(sasl->lines, 0);
	if (*line == '\0')
		line = "=";
	if (strlen(line) > max)
		return NULL;
	sasl->sent = sasl->inside = true;
	return line;
}

bool sasl_is_begun(const struct sasl *sasl)
{
	return sasl->sent;
}

/* Some servers ask, with nothing, for what the first line had already. */
static bool wants_again(struct sasl *sasl, size_t len)
{
	if (!sasl->inside || sasl->repeated || sasl->step > 1 || len > 0)
		return false;
	sasl->repeated = true;
	return true;
}

/* The first message, to whatever the server says: it has nothing to say yet. */
static bool is_first_due(struct sasl *sasl, size_t len)
{
	return (sasl->steps->client_first && !sasl->sent) || wants_again(sasl, len);
}

const char *sasl_step(struct sasl *sasl, const char *challenge, size_t len, GError **error)
{
	struct sasl_message message = {0};
	const char *line = NULL;

	if (sasl->stage == SASL_FAILED || sasl->stage == SASL_REFUSED) {
		sasl_asks_too_much(error);
	} else if (is_first_due(sasl, len)) {
		sasl->sent = true;
		return g_ptr_array_index(sasl->lines, 0);
	} else if (sasl->steps->is_deaf || decode(challenge, len, &message, error)) {
		line = advance(sasl, &message, error);
	}
	if (!line)
		sasl->stage = SASL_FAILED;
	sasl_message_clear(&message);
	return line;
}

bool sasl_success(const struct sasl *sasl, GError **error)
{
	bool begun = sasl->sent || !sasl->steps->client_first;

	if (begun && sasl->stage == SASL_PROVEN)
		return true;
	g_set_error(error, MAILFS_ERROR, ERROR_AUTH,
		    sasl->stage == SASL_REFUSED
			    ? "the server refuses the login by %s and then says that it is done%s"
			    : "the server says that the login by %s is done before it is%s",
		    sasl_name(sasl), sasl->reason);
	return false;
}

const char *sasl_reason(const struct sasl *sasl)
{
	return sasl->reason;
}

/* ---- Secrets that come back ---- */

static bool is_in(const char *secret, const char *text, size_t len)
{
	return secret && *secret && memmem(text, len, secret, strlen(secret));
}

/* As it is, as it would be shown, or as LOGIN sends it. */
static bool is_in_somehow(const char *secret, const char *text, size_t len)
{
	char *shown, *encoded;
	bool found;

	if (!secret)
		return false;
	shown = text_clean(secret, -1, LIMIT_SECRET);
	encoded = g_base64_encode((const guchar *)secret, strlen(secret));
	found = is_in(secret, text, len) || is_in(shown, text, len) || is_in(encoded, text, len);
	line_free(shown);
	line_free(encoded);
	return found;
}

bool sasl_is_echo(const struct sasl *sasl, const struct sasl_login *login, const char *text,
		  size_t len)
{
	if (is_in_somehow(login->password, text, len) || is_in_somehow(login->token, text, len))
		return true;
	for (unsigned i = 0; sasl && i < sasl->lines->len; i++) {
		if (is_in(g_ptr_array_index(sasl->lines, i), text, len))
			return true;
	}
	return false;
}
