#include "config/account.h"

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <limits.h>
#include <string.h>

struct scheme {
	const char *name;
	enum account_protocol protocol;
	enum tls_mode tls;
	uint16_t port;
};

static const struct scheme schemes[] = {
	{"imaps", ACCOUNT_IMAP, TLS_IMPLICIT, 993},
	{"imap", ACCOUNT_IMAP, TLS_STARTTLS, 143},
};

/* The pieces of a URL, still encoded. They own their text. */
struct url_parts {
	const struct scheme *scheme;
	char *user;
	char *host;
	char *port; /* NULL: the scheme's */
};

static void url_parts_clear(struct url_parts *parts)
{
	g_free(parts->user);
	g_free(parts->host);
	g_free(parts->port);
}

void account_clear(struct account *account)
{
	g_free(account->name);
	g_free(account->user);
	g_free(account->host);
	g_free(account->tls_ca);
	g_free(account->tls_fingerprint);
	g_free(account->password_command);
	g_free(account->password_file);
	*account = (struct account){0};
}

static bool usage(GError **error, const char *message)
{
	g_set_error_literal(error, MAILFS_ERROR, ERROR_USAGE, message);
	return false;
}

static bool scheme_parse(const char *url, size_t len, const struct scheme **ret, GError **error)
{
	g_autofree char *name = g_strndup(url, len);
	g_autofree char *shown = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
		if (g_ascii_strcasecmp(name, schemes[i].name) == 0) {
			*ret = &schemes[i];
			return true;
		}
	}
	/* Whatever has more characters than a scheme may hold a password. */
	if (len == 0 || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789+.-") != len)
		return usage(error, "SOURCE is not a URL like imaps://alice@imap.example.org");
	shown = text_clean(name, -1, 32);
	g_set_error(error, MAILFS_ERROR, ERROR_USAGE,
		    "unknown scheme '%s' in SOURCE, use imaps:// or imap://", shown);
	return false;
}

/* Splits "host", "host:port", "[::1]" and "[::1]:port". */
static bool host_port_split(const char *text, struct url_parts *parts, GError **error)
{
	const char *end = text + strcspn(text, ":");

	if (*text == '[') {
		end = strchr(text, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return usage(error, "an IPv6 address in SOURCE is written [ADDRESS]");
		end++;
	}
	parts->host = g_strndup(text, (gsize)(end - text));
	if (*end == ':')
		parts->port = g_strdup(end + 1);
	return true;
}

/* All is cut before anything is judged, so that no message can repeat a part of a password: it may
 * hold '/' and '@', so whatever stands between a ':' and the last '@' counts as one. */
static bool url_split(const char *url, struct url_parts *parts, GError **error)
{
	const char *colon = strstr(url, "://");
	const char *rest;
	const char *at;
	g_autofree char *authority = NULL;

	if (!colon)
		return usage(error, "SOURCE is not a URL like imaps://alice@imap.example.org");
	rest = colon + 3;
	at = strrchr(rest, '@');
	if (at && memchr(rest, ':', (size_t)(at - rest)))
		return usage(error, "a password does not belong in SOURCE: use password_command, "
				    "password_file or ~/.netrc");
	if (!scheme_parse(url, (size_t)(colon - url), &parts->scheme, error))
		return false;

	authority = g_strndup(rest, strcspn(rest, "/?#"));
	rest += strlen(authority);
	if (*rest != '\0' && strcmp(rest, "/") != 0)
		return usage(error, "SOURCE has a path: only whole accounts can be mounted");
	at = strrchr(authority, '@');
	if (!at || at == authority)
		return usage(error, "SOURCE has no user, write it like "
				    "imaps://alice@imap.example.org");
	parts->user = g_strndup(authority, (gsize)(at - authority));
	return host_port_split(at + 1, parts, error);
}

/* NULL if the encoding is broken or the text is not fit to be shown. */
static char *url_decode(const char *text)
{
	g_autofree char *decoded = g_uri_unescape_string(text, NULL);

	if (!decoded || *decoded == '\0' || !g_utf8_validate(decoded, -1, NULL))
		return NULL;
	for (const char *next = decoded; *next; next = g_utf8_next_char(next)) {
		if (text_char_is_hostile(g_utf8_get_char(next)))
			return NULL;
	}
	return g_steal_pointer(&decoded);
}

static char *host_parse_ipv6(const char *text)
{
	g_autofree char *address = g_strndup(text + 1, strlen(text) - 2);
	struct in6_addr binary;

	if (inet_pton(AF_INET6, address, &binary) != 1)
		return NULL;
	return g_ascii_strdown(address, -1);
}

/* Lower case, so that one host has one name. Names of other scripts become ASCII (RFC 5890). */
static char *host_parse(const char *text)
{
	g_autofree char *decoded = NULL;
	g_autofree char *ascii = NULL;
	size_t len;

	if (*text == '[')
		return host_parse_ipv6(text);
	decoded = url_decode(text);
	ascii = decoded ? g_hostname_to_ascii(decoded) : NULL;
	if (!ascii)
		return NULL;
	len = strlen(ascii);
	if (len == 0 || len > 253 || *ascii == '.' || *ascii == '-' ||
	    strspn(ascii, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			  "0123456789.-_") != len)
		return NULL;
	return g_ascii_strdown(ascii, -1);
}

static bool port_parse(const struct url_parts *parts, uint16_t *ret, GError **error)
{
	uint32_t port = parts->scheme->port;

	if (parts->port && (!number_parse_u32(parts->port, strlen(parts->port), &port) ||
			    port == 0 || port > UINT16_MAX))
		return usage(error, "the port in SOURCE is not a number from 1 to 65535");
	*ret = (uint16_t)port;
	return true;
}

static char *account_name_new(const char *user, const char *host, uint16_t port, bool show_port)
{
	bool ipv6 = strchr(host, ':') != NULL;
	g_autofree char *bare =
		g_strdup_printf("%s@%s%s%s", user, ipv6 ? "[" : "", host, ipv6 ? "]" : "");

	if (!show_port)
		return g_steal_pointer(&bare);
	return g_strdup_printf("%s:%u", bare, port);
}

/* '/' and '%' of a name, and a '.' in front, would change what the name means. */
static char *dir_name_new(const char *name)
{
	GString *out = g_string_new(NULL);

	for (const char *next = name; *next; next++) {
		if (*next == '/' || *next == '%' || (*next == '.' && next == name))
			g_string_append_printf(out, "%%%02X", (unsigned char)*next);
		else
			g_string_append_c(out, *next);
	}
	return g_string_free(out, FALSE);
}

bool account_parse_url(struct account *account, const char *url, GError **error)
{
	__attribute__((cleanup(url_parts_clear))) struct url_parts parts = {0};
	g_autofree char *user = NULL;
	g_autofree char *host = NULL;
	g_autofree char *name = NULL;
	g_autofree char *dir = NULL;
	uint16_t port;

	if (!url_split(url, &parts, error) || !port_parse(&parts, &port, error))
		return false;
	user = url_decode(parts.user);
	if (!user)
		return usage(error, "the user in SOURCE is not valid");
	host = host_parse(parts.host);
	if (!host)
		return usage(error, "the host in SOURCE is not a name or an address");
	name = account_name_new(user, host, port, port != parts.scheme->port);
	dir = dir_name_new(name);
	if (strlen(dir) > NAME_MAX)
		return usage(error, "user and host in SOURCE are too long");

	g_free(account->name);
	g_free(account->user);
	g_free(account->host);
	account->name = g_steal_pointer(&name);
	account->user = g_steal_pointer(&user);
	account->host = g_steal_pointer(&host);
	account->port = port;
	account->protocol = parts.scheme->protocol;
	account->tls = parts.scheme->tls;
	return true;
}

char *account_dir_name(const struct account *account)
{
	return dir_name_new(account->name);
}
