/* SASL messages in base64, ready for an AUTHENTICATE or AUTH line. They hold a password:
 * sasl_free() wipes them. Pure functions. */
#pragma once

#include <glib.h>
#include <stddef.h>

/* PLAIN (RFC 4616): no authorisation identity. NUL-terminated. */
char *sasl_plain(const char *user, const char *password);
/* An initial response inside the AUTHENTICATE line: base64, "=" for an empty message
 * (RFC 4959). NUL-terminated. */
char *sasl_initial(const char *bytes, size_t len);
/* A response on a line of its own: base64, nothing for an empty message. NUL-terminated. */
char *sasl_response(const char *bytes, size_t len);
/* NULL is fine. */
void sasl_free(char **message);
