/* Mechanisms that say what they have to say, and need nothing computed: EXTERNAL (RFC 4422 appendix
 * A), PLAIN (RFC 4616), LOGIN (of no RFC), OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's). */
#include "protocol/sasl_private.h"

#include <string.h>

/* ---- EXTERNAL ---- */

/* Without an identity: the one that the certificate names. */
static bool external_step(struct sasl *sasl, const struct sasl_message *challenge,
			  struct sasl_message *out, GError **error)
{
	if (sasl->step > 1)
		return sasl_asks_too_much(error);
	sasl_message_set(out, "", 0);
	sasl->stage = SASL_PROVEN;
	return true;
}

/* ---- PLAIN, LOGIN ---- */

/* NUL, and two texts with NUL between. */
static bool plain_step(struct sasl *sasl, const struct sasl_message *challenge,
		       struct sasl_message *out, GError **error)
{
	const char *user = sasl->login->user;
	const char *password = sasl->login->password;
	size_t user_len = strlen(user), password_len = strlen(password);

	if (sasl->step > 1)
		return sasl_asks_too_much(error);
	out->len = user_len + password_len + 2;
	out->bytes = g_malloc(out->len);
	out->bytes[0] = '\0';
	memcpy(out->bytes + 1, user, user_len + 1);
	memcpy(out->bytes + user_len + 2, password, password_len);
	sasl->stage = SASL_PROVEN;
	return true;
}

/* What the server calls the two is its own affair. */
static bool login_step(struct sasl *sasl, const struct sasl_message *challenge,
		       struct sasl_message *out, GError **error)
{
	const char *text = sasl->step == 1 ? sasl->login->user : sasl->login->password;

	if (sasl->step > 2)
		return sasl_asks_too_much(error);
	sasl_message_set(out, text, strlen(text));
	if (sasl->step == 2)
		sasl->stage = SASL_PROVEN;
	return true;
}

/* ---- OAuth 2.0 ---- */

/* Visible ASCII: RFC 6750 has less, servers have more. */
static bool is_token(const char *text)
{
	const char *at = text;

	while (*at > ' ' && *at <= '~')
		at++;
	return at > text && *at == '\0';
}

static bool holds_controls(const char *text)
{
	while (*text && !g_ascii_iscntrl(*text))
		text++;
	return *text;
}

static bool token_check(const struct sasl_login *login, GError **error)
{
	const char *what = NULL;

	if (!is_token(login->token))
		what = "the token is empty, or holds what no token does";
	else if (holds_controls(login->user))
		what = "the user name holds control characters";
	if (what)
		g_set_error_literal(error, MAILFS_ERROR, ERROR_CONFIG, what);
	return !what;
}

/* A saslname (RFC 5801 section 4). */
static char *name_escape(const char *name)
{
	GString *text = g_string_new(NULL);

	for (; *name; name++) {
		if (*name == ',')
			g_string_append(text, "=2C");
		else if (*name == '=')
			g_string_append(text, "=3D");
		else
			g_string_append_c(text, *name);
	}
	return g_string_free(text, FALSE);
}

/* `head`, the token, and what ends the message. */
static void bearer(const char *head, const char *token, struct sasl_message *out)
{
	static const char end[] = "\x01\x01";
	size_t head_len = strlen(head), token_len = strlen(token);

	out->len = head_len + token_len + sizeof(end) - 1;
	out->bytes = g_malloc(out->len);
	memcpy(out->bytes, head, head_len);
	memcpy(out->bytes + head_len, token, token_len);
	memcpy(out->bytes + head_len + token_len, end, sizeof(end) - 1);
}

/* The text of a member of an object. JSON enough for what is only shown. */
static const char *json_text(const char *json, const char *name, size_t *ret_len)
{
	g_autofree char *key = g_strdup_printf("\"%s\"", name);
	const char *at = strstr(json, key);

	if (!at)
		return NULL;
	at += strlen(key);
	at += strspn(at, " \t\r\n");
	if (*at++ != ':')
		return NULL;
	at += strspn(at, " \t\r\n");
	if (*at == '"') {
		*ret_len = strcspn(++at, "\"\\");
		return at;
	}
	*ret_len = strspn(at, "0123456789");
	return at;
}

/* The server's reasons; its no comes behind our answer. */
static void take_refusal(struct sasl *sasl, const struct sasl_message *challenge)
{
	size_t len;
	const char *status = json_text(challenge->bytes, "status", &len);

	if (status)
		sasl_set_reason(sasl, status, len);
	sasl->stage = SASL_REFUSED;
}

static bool oauthbearer_step(struct sasl *sasl, const struct sasl_message *challenge,
			     struct sasl_message *out, GError **error)
{
	const struct sasl_login *login = sasl->login;
	g_autofree char *user = name_escape(login->user);
	g_autoptr(GString) head = g_string_new(NULL);

	if (sasl->step > 1) {
		take_refusal(sasl, challenge);
		sasl_message_set(out, "\x01", 1);
		return true;
	}
	if (!token_check(login, error))
		return false;
	g_string_printf(head, "n,a=%s,\x01", user);
	if (login->host && login->port)
		g_string_append_printf(head, "host=%s\x01port=%u\x01", login->host, login->port);
	g_string_append(head, "auth=Bearer ");
	bearer(head->str, login->token, out);
	sasl->stage = SASL_PROVEN;
	return true;
}

static bool xoauth2_step(struct sasl *sasl, const struct sasl_message *challenge,
			 struct sasl_message *out, GError **error)
{
	const struct sasl_login *login = sasl->login;
	g_autofree char *head = NULL;

	if (sasl->step > 1) {
		take_refusal(sasl, challenge);
		sasl_message_set(out, "", 0);
		return true;
	}
	if (!token_check(login, error))
		return false;
	head = g_strdup_printf("user=%s\x01"
			       "auth=Bearer ",
			       login->user);
	bearer(head, login->token, out);
	sasl->stage = SASL_PROVEN;
	return true;
}

const struct sasl_mechanism *sasl_simple(enum auth_mechanism mechanism)
{
	static const struct sasl_mechanism external = {true, false, external_step};
	static const struct sasl_mechanism plain = {true, false, plain_step};
	static const struct sasl_mechanism login = {false, true, login_step};
	static const struct sasl_mechanism oauthbearer = {true, false, oauthbearer_step};
	static const struct sasl_mechanism xoauth2 = {true, false, xoauth2_step};

	switch (mechanism) {
	case AUTH_EXTERNAL:
		return &external;
	case AUTH_PLAIN:
		return &plain;
	case AUTH_LOGIN:
		return &login;
	case AUTH_OAUTHBEARER:
		return &oauthbearer;
	case AUTH_XOAUTH2:
		return &xoauth2;
	default:
		return NULL;
	}
}
