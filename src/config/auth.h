/* The ways to log in, by the names that servers and `auth=` call them. Pure functions. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* The better first: of those that a server offers and that may be used, the first is. */
enum auth_mechanism {
	AUTH_EXTERNAL = 1 << 0,
	AUTH_GSSAPI = 1 << 1,
	AUTH_OAUTHBEARER = 1 << 2,
	AUTH_XOAUTH2 = 1 << 3,
	AUTH_SCRAM_SHA_256_PLUS = 1 << 4,
	AUTH_SCRAM_SHA_1_PLUS = 1 << 5,
	AUTH_SCRAM_SHA_256 = 1 << 6,
	AUTH_SCRAM_SHA_1 = 1 << 7,
	AUTH_PLAIN = 1 << 8,
	AUTH_LOGIN = 1 << 9, /* or IMAP's command LOGIN, or USER and PASS of POP3 */
	AUTH_CRAM_MD5 = 1 << 10,
	AUTH_APOP = 1 << 11, /* of POP3; no SASL */
};

/* What need not be asked for. CRAM-MD5 and APOP are weak, and some servers offer CRAM-MD5 and then
 * fail at it; GSSAPI needs a ticket, and may wait for who gives them. */
#define AUTH_DEFAULT                                                                               \
	(AUTH_EXTERNAL | AUTH_OAUTHBEARER | AUTH_XOAUTH2 | AUTH_SCRAM_SHA_256_PLUS |               \
	 AUTH_SCRAM_SHA_1_PLUS | AUTH_SCRAM_SHA_256 | AUTH_SCRAM_SHA_1 | AUTH_PLAIN | AUTH_LOGIN)
/* What needs no password. */
#define AUTH_BY_TOKEN (AUTH_OAUTHBEARER | AUTH_XOAUTH2)
#define AUTH_WITHOUT_PASSWORD (AUTH_EXTERNAL | AUTH_GSSAPI | AUTH_BY_TOKEN)

/* In upper case. */
const char *auth_name(enum auth_mechanism mechanism);
/* In any case; 0: none of these. */
unsigned auth_find(const char *name, size_t len);
/* One or more names with ':' or ',' between. `ret_` is untouched on failure. */
bool auth_parse(const char *list, unsigned *ret_set);
/* Those that are less than this one: they show the password or token, or are not bound to the
 * connection as it was. */
unsigned auth_below(unsigned mechanism);
/* "SCRAM-SHA-256 PLAIN", or "none". Free with g_free(). */
char *auth_text(unsigned set);
