/* "scheme://[user@]host[:port]": the part of a URL that names a server. ERROR_USAGE says which part
 * is wrong; a password is refused without repeating it. */
#pragma once

#include "config/account.h"

#define URL_SCHEMES 4

struct url_scheme {
	const char *name; /* NULL: no more of them */
	enum tls_mode tls;
	uint16_t port;
	enum account_protocol protocol; /* if it is of an account */
};

/* What is expected where. */
struct url_kind {
	const char *what;    /* names the URL in messages */
	const char *example; /* a good one */
	const char *instead; /* where a password belongs */
	bool user_required;
	struct url_scheme schemes[URL_SCHEMES];
};

struct url {
	const struct url_scheme *scheme; /* the kind's */
	char *user;			 /* decoded; NULL: none was named */
	char *host;			 /* DNS name or IP address, lower case, without brackets */
	uint16_t port;
};

bool url_parse(const char *text, const struct url_kind *kind, struct url *ret, GError **error);
void url_clear(struct url *url);
