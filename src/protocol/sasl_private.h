/* The inside of a login, for sasl.c (choice, state), sasl_simple.c, sasl_gsasl.c (mechanisms) and
 * sasl_scram.c (what a SCRAM server may say) alone. */
#pragma once

#include "base/error.h"
#include "base/limits.h"
#include "protocol/sasl.h"

enum sasl_stage {
	SASL_GOING,
	SASL_PROVEN,  /* all was said, and what the server had to prove, it has */
	SASL_REFUSED, /* it told why, and its no is to come */
	SASL_FAILED,
};

/* Bytes that are wiped. */
struct sasl_message {
	char *bytes; /* NULL: none */
	size_t len;
};

struct sasl_gsasl;

struct sasl {
	const struct sasl_login *login;
	enum auth_mechanism mechanism;
	const struct sasl_mechanism *steps;
	const char *service;
	size_t line_max; /* 0: none */
	enum sasl_stage stage;
	unsigned step; /* messages of ours so far */
	bool sent;     /* the first one was given out */
	bool inside;   /* ... in the line that names the mechanism */
	bool repeated;
	GPtrArray *lines; /* of char *: messages in base64 */
	char *reason;
	struct sasl_gsasl *gsasl;
};

struct sasl_mechanism {
	bool client_first;
	bool is_deaf; /* what the server says does not matter, and need not be base64 */
	/* The answer to a challenge: into `out`. Of a client that speaks first, the first has none.
	 * False with an error. Alters `stage`. */
	bool (*step)(struct sasl *sasl, const struct sasl_message *challenge,
		     struct sasl_message *out, GError **error);
};

/* sasl.c */
void sasl_message_set(struct sasl_message *message, const char *bytes, size_t len);
void sasl_message_clear(struct sasl_message *message);
void sasl_set_reason(struct sasl *sasl, const char *text, size_t len);
bool sasl_asks_too_much(GError **error);

/* sasl_simple.c; NULL: not there. */
const struct sasl_mechanism *sasl_simple(enum auth_mechanism mechanism);

/* sasl_gsasl.c */
const struct sasl_mechanism *sasl_gsasl(enum auth_mechanism mechanism);
/* User and password consist of characters that SCRAM allows (SASLprep, RFC 4013). */
bool sasl_gsasl_prepares(const struct sasl_login *login);
void sasl_gsasl_free(struct sasl_gsasl **gsasl);

/* sasl_scram.c. Texts are followed by a NUL. */
/* The nonce in our first message. Free with g_free(). */
char *sasl_scram_nonce(const char *first);
/* The server's first message (RFC 5802 section 7) is fit to be computed with. */
bool sasl_scram_check_first(const char *text, size_t len, const char *nonce, GError **error);
/* Its last one, if it is an error: "e=...". */
bool sasl_scram_is_error(const char *text, size_t len);
