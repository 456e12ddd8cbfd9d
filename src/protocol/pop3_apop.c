#include "protocol/pop3_apop.h"

#include <stdbool.h>
#include <string.h>

static bool is_atext(char c)
{
	return g_ascii_isalnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_dot_atom(const char *text, size_t len)
{
	bool in_atom = false;

	for (size_t i = 0; i < len; i++) {
		if (!is_atext(text[i]) && (text[i] != '.' || !in_atom))
			return false;
		in_atom = text[i] != '.';
	}
	return in_atom;
}

static bool is_literal(const char *text, size_t len)
{
	if (len < 3 || text[0] != '[' || text[len - 1] != ']')
		return false;
	for (size_t i = 1; i < len - 1; i++) {
		if (!g_ascii_isgraph(text[i]) || strchr("[]\\<>@", text[i]))
			return false;
	}
	return true;
}

/* Between the brackets. */
static bool is_msg_id(const char *text, size_t len)
{
	const char *at = memchr(text, '@', len);
	size_t local_len = at ? (size_t)(at - text) : len;

	if (!at || !is_dot_atom(text, local_len))
		return false;
	at++;
	len -= local_len + 1;
	return is_dot_atom(at, len) || is_literal(at, len);
}

char *pop3_apop_timestamp(const char *greeting, size_t len)
{
	const char *begin = len > 0 ? memchr(greeting, '<', len) : NULL;
	const char *end = begin ? memchr(begin, '>', len - (size_t)(begin - greeting)) : NULL;

	if (!end || !is_msg_id(begin + 1, (size_t)(end - begin - 1)))
		return NULL;
	return g_strndup(begin, (size_t)(end + 1 - begin));
}

char *pop3_apop_digest(const char *timestamp, const char *password)
{
	/* It wipes what it held when it is asked for the digest. */
	GChecksum *checksum = g_checksum_new(G_CHECKSUM_MD5);
	char *digest;

	g_checksum_update(checksum, (const guchar *)timestamp, (gssize)strlen(timestamp));
	g_checksum_update(checksum, (const guchar *)password, (gssize)strlen(password));
	digest = g_strdup(g_checksum_get_string(checksum));
	g_checksum_free(checksum);
	return digest;
}
