/* What a SCRAM server may say (RFC 5802 section 7), looked at before anything is computed from it:
 * the number of iterations is its choice, and the time is ours. */
#include "base/number.h"
#include "protocol/sasl_private.h"

#include <string.h>

/* RFC 7677 section 4 wants so many at least; fewer only make a stolen exchange cheaper to guess. */
#define ITERATIONS_MIN 4096
/* About a second. */
#define ITERATIONS_MAX 1000000

char *sasl_scram_nonce(const char *first)
{
	const char *at = strstr(first, ",r=");

	return at ? g_strdup(at + strlen(",r=")) : g_strdup("");
}

static bool bad(GError **error, enum mailfs_error code, const char *what)
{
	g_set_error(error, MAILFS_ERROR, code, "the server's part of SCRAM %s", what);
	return false;
}

/* "x=value", and moves `*at` behind it and the ','. */
static bool attribute(const char **at, char name, const char **ret_value, size_t *ret_len)
{
	const char *value = *at + 2;

	if ((*at)[0] != name || (*at)[1] != '=')
		return false;
	*ret_value = value;
	*ret_len = strcspn(value, ",");
	*at = value + *ret_len;
	*at += **at == ',';
	return true;
}

static bool check_iterations(const char *value, size_t len, GError **error)
{
	uint64_t iterations;

	if (!number_parse_u64(value, len, &iterations))
		return bad(error, ERROR_PROTOCOL, "makes no sense");
	if (iterations < ITERATIONS_MIN)
		return bad(error, ERROR_AUTH,
			   "has fewer than 4096 iterations, which protect no password");
	if (iterations > ITERATIONS_MAX)
		return bad(error, ERROR_AUTH,
			   "has more than 1000000 iterations, which would take too long");
	return true;
}

/* Extensions may be ignored, but not a second word on what was said. */
static bool check_rest(const char *text, GError **error)
{
	while (*text) {
		if (strchr("rsim", *text))
			return bad(error, ERROR_PROTOCOL, "makes no sense");
		text += strcspn(text, ",");
		text += *text == ',';
	}
	return true;
}

bool sasl_scram_check_first(const char *text, size_t len, const char *nonce, GError **error)
{
	size_t nonce_len = strlen(nonce);
	const char *value;
	size_t n;

	if (memchr(text, '\0', len))
		return bad(error, ERROR_PROTOCOL, "makes no sense");
	if (g_str_has_prefix(text, "m="))
		return bad(error, ERROR_AUTH, "demands an extension that nobody knows");
	if (!attribute(&text, 'r', &value, &n))
		return bad(error, ERROR_PROTOCOL, "makes no sense");
	/* Else it is the answer to somebody else's login. */
	if (nonce_len == 0 || n <= nonce_len || memcmp(value, nonce, nonce_len) != 0)
		return bad(error, ERROR_AUTH, "does not belong to this login: another nonce");
	if (!attribute(&text, 's', &value, &n) || n == 0 || !attribute(&text, 'i', &value, &n))
		return bad(error, ERROR_PROTOCOL, "makes no sense");
	return check_iterations(value, n, error) && check_rest(text, error);
}

bool sasl_scram_is_error(const char *text, size_t len)
{
	return len > 2 && memcmp(text, "e=", 2) == 0;
}
