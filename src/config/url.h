/* "scheme://[user@]host[:port]": the part of a URL that names a server. ERROR_USAGE says which part
 * is wrong; a password is refused without repeating it. */
#pragma once

#include "config/account.h"

struct url_scheme {
	const char *name;
	enum tls_mode tls;
	uint16_t port;
};

/* What is expected where. */
struct url_kind {
	const char *what;    /* names the URL in messages */
	const char *example; /* a good one */
	const char *instead; /* where a password belongs */
	bool user_required;
	struct url_scheme schemes[2];
};

struct url {
	const struct url_scheme *scheme; /* the kind's */
	char *user;			 /* decoded; NULL: none was named */
	char *host;			 /* DNS name or IP address, lower case, without brackets */
	uint16_t port;
};

bool url_parse(const char *text, const struct url_kind *kind, struct url *ret, GError **error);
void url_clear(struct url *url);
