/* SASL as a client (RFC 4422), the same for IMAP, POP3 and SMTP: chooses a mechanism, gives the
 * messages to send, takes the server's. Without a socket and without a clock.
 *
 * Rules that it keeps, so that nobody else has to: the best mechanism that the server offers, that
 * the user allows, and for which there is what it needs; nothing that shows the password without
 * TLS, unless the user said so; SCRAM (RFC 5802, 7677) with a channel binding where TLS has one
 * (RFC 9266), with neither too few nor too many iterations, and a success only behind the server's
 * own proof; a login that ends early is none.
 *
 * Messages are base64, ready for a line; all of them are wiped. One thread; what struct sasl_login
 * borrows must outlive the login.
 */
#pragma once

#include "config/auth.h"

#include <stdint.h>

/* tls-exporter (RFC 9266), of TLS 1.3 alone. */
struct sasl_binding {
	bool known;
	uint8_t bytes[32];
};

/* Who logs in, with what. Texts are borrowed. */
struct sasl_login {
	const char *user;     /* NULL: nobody, and no login; only SMTP knows that */
	const char *password; /* NULL: none */
	const char *token;    /* OAuth 2.0; NULL: none */
	const char *host;     /* the server's, as the user named it; NULL: not told to the server */
	uint16_t port;
	unsigned allowed; /* enum auth_mechanism; 0: AUTH_DEFAULT, but for `below` */
	unsigned below;	  /* what the server has taken better than before */
	bool certificate; /* TLS shows the server one of ours */
	struct sasl_binding binding;
};

/* In which connection, and what its server offers. */
struct sasl_server {
	const char *service;	  /* "imap", "pop", "smtp" */
	unsigned offered;	  /* enum auth_mechanism */
	const char *offered_text; /* for people, as the server said it; may be NULL */
	bool tls;
	bool cleartext;	 /* the user does without TLS */
	size_t line_max; /* of a line of ours, without its end; 0: any */
};

struct sasl;

/* NULL with ERROR_NO_LOGIN: nothing that may be used is offered; ERROR_AUTH: it cannot begin;
 * ERROR_CONFIG: user or token hold what they cannot. `server` is not needed any more behind it. */
struct sasl *sasl_new(const struct sasl_login *login, const struct sasl_server *server,
		      GError **error);
/* Wipes; NULL is fine. */
void sasl_free(struct sasl **sasl);

enum auth_mechanism sasl_mechanism(const struct sasl *sasl);
/* As it stands behind AUTHENTICATE or AUTH. */
const char *sasl_name(const struct sasl *sasl);
/* For the line that names the mechanism ("=" is the empty message): NULL if the server speaks first
 * or if it is longer than `max`; what was not given out here comes from sasl_step(). Valid as long
 * as `sasl`. */
const char *sasl_initial(struct sasl *sasl, size_t max);
/* The first message was given out, of a mechanism that has one. */
bool sasl_is_begun(const struct sasl *sasl);
/* To a challenge as it stands in the line: the line that answers it, without its end; valid until
 * the next call. NULL: the login is to be cancelled with "*" and has failed: ERROR_PROTOCOL (no
 * base64, more than the mechanism has), ERROR_LIMIT (over LIMIT_SASL), ERROR_AUTH (the server is
 * not who knows the password, or would have us compute for hours). */
const char *sasl_step(struct sasl *sasl, const char *challenge, size_t len, GError **error);
/* The server says that the login is done. False: it cannot be (ERROR_AUTH). */
bool sasl_success(const struct sasl *sasl, GError **error);
/* The server says no: what it told before of its reasons, cleaned, " (invalid_token)"; or "". */
const char *sasl_reason(const struct sasl *sasl);

/* LOGIN of IMAP, and USER and PASS of POP3, may be used where SASL has nothing. */
bool sasl_may_tell_password(const struct sasl_login *login, const struct sasl_server *server);

/* The text repeats a secret, as it is, as it would be shown, or as it is sent; `sasl` may be NULL.
 */
bool sasl_is_echo(const struct sasl *sasl, const struct sasl_login *login, const char *text,
		  size_t len);
