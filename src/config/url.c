#include "config/url.h"

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <string.h>

/* The pieces of a URL, still encoded. They own their text. */
struct url_parts {
	const struct url_scheme *scheme;
	char *user; /* NULL: none */
	char *host;
	char *port; /* NULL: the scheme's */
};

static void url_parts_clear(struct url_parts *parts)
{
	g_free(parts->user);
	g_free(parts->host);
	g_free(parts->port);
}

void url_clear(struct url *url)
{
	g_free(url->user);
	g_free(url->host);
	*url = (struct url){0};
}

__attribute__((format(printf, 2, 3))) static bool usage(GError **error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_propagate_error(error, g_error_new_valist(MAILFS_ERROR, ERROR_USAGE, format, args));
	va_end(args);
	return false;
}

static bool not_a_url(const struct url_kind *kind, GError **error)
{
	return usage(error, "%s is not a URL like %s", kind->what, kind->example);
}

/* "imaps:// or imap://" */
static char *schemes_text(const struct url_kind *kind)
{
	GString *text = g_string_new(NULL);

	for (size_t i = 0; i < URL_SCHEMES && kind->schemes[i].name; i++) {
		bool last = i + 1 == URL_SCHEMES || !kind->schemes[i + 1].name;

		g_string_append_printf(text, "%s%s://",
				       i == 0 ? ""
				       : last ? " or "
					      : ", ",
				       kind->schemes[i].name);
	}
	return g_string_free(text, FALSE);
}

static bool scheme_parse(const struct url_kind *kind, const char *url, size_t len,
			 const struct url_scheme **ret, GError **error)
{
	g_autofree char *name = g_strndup(url, len);
	g_autofree char *good = NULL;
	g_autofree char *shown = NULL;

	for (size_t i = 0; i < URL_SCHEMES && kind->schemes[i].name; i++) {
		if (g_ascii_strcasecmp(name, kind->schemes[i].name) == 0) {
			*ret = &kind->schemes[i];
			return true;
		}
	}
	/* Whatever has more characters than a scheme may hold a password. */
	if (len == 0 || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789+.-") != len)
		return not_a_url(kind, error);
	shown = text_clean(name, -1, 32);
	good = schemes_text(kind);
	return usage(error, "unknown scheme '%s' in %s, use %s", shown, kind->what, good);
}

/* Splits "host", "host:port", "[::1]" and "[::1]:port". */
static bool host_port_split(const struct url_kind *kind, const char *text, struct url_parts *parts,
			    GError **error)
{
	const char *end = text + strcspn(text, ":");

	if (*text == '[') {
		end = strchr(text, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return usage(error, "an IPv6 address in %s is written [ADDRESS]",
				     kind->what);
		end++;
	}
	parts->host = g_strndup(text, (gsize)(end - text));
	if (*end == ':')
		parts->port = g_strdup(end + 1);
	return true;
}

/* All is cut before anything is judged, so that no message can repeat a part of a password: it may
 * hold '/' and '@', so whatever stands between a ':' and the last '@' counts as one. */
static bool url_split(const struct url_kind *kind, const char *url, struct url_parts *parts,
		      GError **error)
{
	const char *colon = strstr(url, "://");
	const char *rest;
	const char *at;
	g_autofree char *authority = NULL;

	if (!colon)
		return not_a_url(kind, error);
	rest = colon + 3;
	at = strrchr(rest, '@');
	if (at && memchr(rest, ':', (size_t)(at - rest)))
		return usage(error, "a password does not belong in %s: use %s", kind->what,
			     kind->instead);
	if (!scheme_parse(kind, url, (size_t)(colon - url), &parts->scheme, error))
		return false;

	authority = g_strndup(rest, strcspn(rest, "/?#"));
	rest += strlen(authority);
	if (*rest != '\0' && strcmp(rest, "/") != 0)
		return usage(error, "%s has a path: it names a server, and nothing on it",
			     kind->what);
	at = strrchr(authority, '@');
	if (at == authority || (!at && kind->user_required))
		return usage(error, "%s has no user%s, write it like %s", kind->what,
			     kind->user_required ? "" : " before its '@'", kind->example);
	if (at)
		parts->user = g_strndup(authority, (gsize)(at - authority));
	return host_port_split(kind, at ? at + 1 : authority, parts, error);
}

/* NULL if the encoding is broken or the text is not fit to be shown. */
static char *url_decode(const char *text)
{
	g_autofree char *decoded = g_uri_unescape_string(text, NULL);

	if (!decoded || *decoded == '\0' || !text_is_visible(decoded))
		return NULL;
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

static bool port_parse(const struct url_kind *kind, const struct url_parts *parts, uint16_t *ret,
		       GError **error)
{
	uint32_t port = parts->scheme->port;

	if (parts->port && (!number_parse_u32(parts->port, strlen(parts->port), &port) ||
			    port == 0 || port > UINT16_MAX))
		return usage(error, "the port in %s is not a number from 1 to 65535", kind->what);
	*ret = (uint16_t)port;
	return true;
}

bool url_parse(const char *text, const struct url_kind *kind, struct url *ret, GError **error)
{
	__attribute__((cleanup(url_parts_clear))) struct url_parts parts = {0};
	g_autofree char *user = NULL;
	g_autofree char *host = NULL;
	uint16_t port = 0;

	if (!url_split(kind, text, &parts, error) || !port_parse(kind, &parts, &port, error))
		return false;
	if (parts.user) {
		user = url_decode(parts.user);
		if (!user)
			return usage(error, "the user in %s is not valid", kind->what);
	}
	host = host_parse(parts.host);
	if (!host)
		return usage(error, "the host in %s is not a name or an address", kind->what);
	*ret = (struct url){parts.scheme, g_steal_pointer(&user), g_steal_pointer(&host), port};
	return true;
}
